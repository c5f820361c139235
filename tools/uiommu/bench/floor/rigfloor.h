/* SPDX-License-Identifier: GPL-2.0-only */
/* rigfloor.h - interface of the lower-bound module; not for real use. */
#ifndef RIGFLOOR_H
#define RIGFLOOR_H

#include <linux/ioctl.h>
#include <linux/types.h>

struct rigfloor_range {
	__u64 va;	/* AREA: start of the area */
	__u64 iova;	/* MAP, UNMAP */
	__u64 page;	/* PIN, UNPIN, MAP: index of the first page in the area */
	__u64 npages;
};

/* Take ownership of the function named "dddd:bb:dd.f" and attach a domain. */
#define RIGFLOOR_ATTACH	_IOW('F', 0, char[16])
/* Declare the area of memory used from now on (npages 0: none). */
#define RIGFLOOR_AREA	_IOW('F', 1, struct rigfloor_range)
/* Long-term pin / unpin pages of the area. */
#define RIGFLOOR_PIN	_IOW('F', 2, struct rigfloor_range)
#define RIGFLOOR_UNPIN	_IOW('F', 3, struct rigfloor_range)
/* Prepare a scatter list for the whole, pinned area (needed by MAP). */
#define RIGFLOOR_SG	_IO('F', 4)
/* Map / unmap pages of the area that are pinned. */
#define RIGFLOOR_MAP	_IOW('F', 5, struct rigfloor_range)
#define RIGFLOOR_UNMAP	_IOW('F', 6, struct rigfloor_range)

#endif
