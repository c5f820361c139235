// SPDX-License-Identifier: GPL-2.0-only
/* backends.c - the table of backends. Add a new one here. */
#include "rig.h"

const struct rig_backend *const rig_backends[] = {
	&be_type1, &be_iommufd, &be_uiommu, &be_keep, &be_sysfs, &be_uio,
	&be_kpin, &be_kmap, NULL
};
