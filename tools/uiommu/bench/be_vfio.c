// SPDX-License-Identifier: GPL-2.0-only
/*
 * be_vfio.c - the two mainline ways: group + container + type1, and device
 * cdev + iommufd. They differ in how the device fd is obtained and in how
 * memory is mapped; config, BAR and interrupt access through the device fd is
 * the same code here.
 */
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/iommufd.h>
#include <linux/vfio.h>

#include "rig.h"

#define NO_REGION UINT64_MAX

struct vfio {
	int ctl;		/* /dev/vfio/vfio or /dev/iommu */
	int group;		/* type1 only */
	int dev;
	uint32_t ioas;		/* iommufd only */
	uint64_t region[VFIO_PCI_NUM_REGIONS];	/* offset in dev, or NO_REGION */
	int efd, unmask_efd;
	uint32_t irq_index;
};

static int vfio_new(struct rig_dev *d)
{
	struct vfio *v = malloc(sizeof(*v));

	if (!v)
		return -ENOMEM;
	memset(v, 0, sizeof(*v));
	v->ctl = -1;
	v->group = -1;
	v->dev = -1;
	v->efd = -1;
	v->unmask_efd = -1;
	v->irq_index = UINT32_MAX;
	for (int i = 0; i < VFIO_PCI_NUM_REGIONS; i++)
		v->region[i] = NO_REGION;
	d->priv = v;
	return 0;
}

static void vfio_irq_off(struct rig_dev *d);

static void vfio_close(struct rig_dev *d)
{
	struct vfio *v = d->priv;

	if (!v)
		return;
	vfio_irq_off(d);
	if (v->dev >= 0)
		close(v->dev);
	if (v->group >= 0)
		close(v->group);
	if (v->ctl >= 0)
		close(v->ctl);
	free(v);
	d->priv = NULL;
}

/* ---- open ---- */

/* Number of the IOMMU group, from the link that vfio users follow. */
static int group_of(const char *bdf)
{
	char path[128], link[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	n = readlink(path, link, sizeof(link) - 1);
	if (n <= 0)
		return -ENODEV;
	link[n] = 0;
	return atoi(strrchr(link, '/') + 1);
}

/* Name of the cdev: the only entry of .../vfio-dev/. */
static int cdev_of(const char *bdf, char *name, size_t len)
{
	char path[128];
	struct dirent *e;
	DIR *dir;
	int ret = -ENODEV;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", bdf);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((e = readdir(dir)))
		if (!strncmp(e->d_name, "vfio", 4)) {
			snprintf(name, len, "/dev/vfio/devices/%s", e->d_name);
			ret = 0;
		}
	closedir(dir);
	return ret;
}

static int type1_open(struct rig_dev *d)
{
	struct vfio_group_status st = { .argsz = sizeof(st) };
	char path[32];
	struct vfio *v;
	int ret, grp = group_of(d->bdf);

	if (grp < 0)
		return grp;
	ret = vfio_new(d);
	if (ret)
		return ret;
	v = d->priv;
	snprintf(path, sizeof(path), "/dev/vfio/%d", grp);

	rig_step(d, "start", 0);
	v->ctl = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	rig_step(d, "open(container)", 0);
	ret = ioctl(v->ctl, VFIO_GET_API_VERSION);
	rig_step(d, "GET_API_VERSION", 1);
	if (v->ctl < 0 || ret != VFIO_API_VERSION)
		goto err;
	ret = ioctl(v->ctl, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU);
	rig_step(d, "CHECK_EXTENSION", 1);
	if (ret != 1)
		goto err;
	v->group = open(path, O_RDWR | O_CLOEXEC);
	rig_step(d, "open(group)", 0);
	if (v->group < 0)
		goto err;
	ret = ioctl(v->group, VFIO_GROUP_GET_STATUS, &st);
	rig_step(d, "GROUP_GET_STATUS", 1);
	if (ret || !(st.flags & VFIO_GROUP_FLAGS_VIABLE))
		goto err;
	ret = ioctl(v->group, VFIO_GROUP_SET_CONTAINER, &v->ctl);
	rig_step(d, "GROUP_SET_CONTAINER", 0);
	if (ret)
		goto err;
	ret = ioctl(v->ctl, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	rig_step(d, "SET_IOMMU", 0);
	if (ret)
		goto err;
	v->dev = ioctl(v->group, VFIO_GROUP_GET_DEVICE_FD, d->bdf);
	rig_step(d, "GROUP_GET_DEVICE_FD", 0);
	if (v->dev < 0)
		goto err;
	return 0;
err:
	ret = errno ? -errno : -EINVAL;
	vfio_close(d);
	return ret;
}

static int iommufd_open(struct rig_dev *d)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
	};
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct vfio_device_attach_iommufd_pt at = { .argsz = sizeof(at) };
	char path[300];
	struct vfio *v;
	int ret = cdev_of(d->bdf, path, sizeof(path));

	if (ret)
		return ret;
	ret = vfio_new(d);
	if (ret)
		return ret;
	v = d->priv;

	rig_step(d, "start", 0);
	v->dev = open(path, O_RDWR | O_CLOEXEC);
	rig_step(d, "open(cdev)", 0);
	v->ctl = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	rig_step(d, "open(iommu)", 0);
	if (v->dev < 0 || v->ctl < 0)
		goto err;
	bind.iommufd = v->ctl;
	ret = ioctl(v->dev, VFIO_DEVICE_BIND_IOMMUFD, &bind);
	rig_step(d, "BIND_IOMMUFD", 0);
	if (ret)
		goto err;
	ret = ioctl(v->ctl, IOMMU_IOAS_ALLOC, &ioas);
	rig_step(d, "IOAS_ALLOC", 0);
	if (ret)
		goto err;
	v->ioas = ioas.out_ioas_id;
	at.pt_id = v->ioas;
	ret = ioctl(v->dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &at);
	rig_step(d, "ATTACH_IOMMUFD_PT", 0);
	if (ret)
		goto err;
	return 0;
err:
	ret = errno ? -errno : -EINVAL;
	vfio_close(d);
	return ret;
}

/* ---- DMA ---- */

static int type1_map(struct rig_dev *d, void *va, uint64_t iova, size_t size,
		     unsigned int rw)
{
	struct vfio *v = d->priv;
	struct vfio_iommu_type1_dma_map m = {
		.argsz = sizeof(m),
		.flags = (rw & RIG_R ? VFIO_DMA_MAP_FLAG_READ : 0) |
			 (rw & RIG_W ? VFIO_DMA_MAP_FLAG_WRITE : 0),
		.vaddr = (uintptr_t)va,
		.iova = iova,
		.size = size,
	};

	return ioctl(v->ctl, VFIO_IOMMU_MAP_DMA, &m) ? -errno : 0;
}

static int type1_unmap(struct rig_dev *d, uint64_t iova, size_t size)
{
	struct vfio *v = d->priv;
	struct vfio_iommu_type1_dma_unmap u = {
		.argsz = sizeof(u),
		.iova = iova,
		.size = size,
	};

	if (ioctl(v->ctl, VFIO_IOMMU_UNMAP_DMA, &u))
		return -errno;
	return u.size == size ? 0 : -ENOENT;
}

static int iommufd_map(struct rig_dev *d, void *va, uint64_t iova, size_t size,
		       unsigned int rw)
{
	struct vfio *v = d->priv;
	struct iommu_ioas_map m = {
		.size = sizeof(m),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA |
			 (rw & RIG_R ? IOMMU_IOAS_MAP_READABLE : 0) |
			 (rw & RIG_W ? IOMMU_IOAS_MAP_WRITEABLE : 0),
		.ioas_id = v->ioas,
		.user_va = (uintptr_t)va,
		.length = size,
		.iova = iova,
	};

	return ioctl(v->ctl, IOMMU_IOAS_MAP, &m) ? -errno : 0;
}

static int iommufd_unmap(struct rig_dev *d, uint64_t iova, size_t size)
{
	struct vfio *v = d->priv;
	struct iommu_ioas_unmap u = {
		.size = sizeof(u),
		.ioas_id = v->ioas,
		.iova = iova,
		.length = size,
	};

	if (ioctl(v->ctl, IOMMU_IOAS_UNMAP, &u))
		return -errno;
	return u.length == size ? 0 : -ENOENT;
}

/* ---- configuration space and BARs ---- */

/* Look a region up at its first use; the programs do one untimed access. */
static int region_lookup(struct vfio *v, uint32_t index)
{
	struct vfio_region_info r = { .argsz = sizeof(r), .index = index };

	if (index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	if (ioctl(v->dev, VFIO_DEVICE_GET_REGION_INFO, &r))
		return -errno;
	if (!r.size)
		return -ENODEV;
	v->region[index] = r.offset;
	return 0;
}

static int region_rd(struct vfio *v, uint32_t index, uint64_t off, void *buf,
		     unsigned int len)
{
	if (v->region[index] == NO_REGION) {
		int ret = region_lookup(v, index);

		if (ret)
			return ret;
	}
	return pread(v->dev, buf, len, (off_t)(v->region[index] + off)) ==
	       (ssize_t)len ? 0 : -EIO;
}

static int vfio_cfg_rd(struct rig_dev *d, unsigned int off, void *buf,
		       unsigned int len)
{
	return region_rd(d->priv, VFIO_PCI_CONFIG_REGION_INDEX, off, buf, len);
}

static int vfio_cfg_wr(struct rig_dev *d, unsigned int off, const void *buf,
		       unsigned int len)
{
	const uint32_t index = VFIO_PCI_CONFIG_REGION_INDEX;
	struct vfio *v = d->priv;

	if (v->region[index] == NO_REGION) {
		int ret = region_lookup(v, index);

		if (ret)
			return ret;
	}
	return pwrite(v->dev, buf, len, (off_t)(v->region[index] + off)) ==
	       (ssize_t)len ? 0 : -EIO;
}

static int vfio_bar_rd(struct rig_dev *d, unsigned int bar, uint64_t off,
		       void *buf, unsigned int len)
{
	return region_rd(d->priv, bar, off, buf, len);
}

static void *vfio_bar_mmap(struct rig_dev *d, unsigned int bar, size_t len)
{
	struct vfio *v = d->priv;
	void *p;

	if (region_lookup(v, bar))
		return NULL;
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, v->dev,
		 (off_t)v->region[bar]);
	return p == MAP_FAILED ? NULL : p;
}

/* ---- interrupts ---- */

static int set_irqs(struct vfio *v, uint32_t index, uint32_t flags,
		    uint32_t count, const int *fd)
{
	struct {
		struct vfio_irq_set s;
		int fd;
	} a = {
		.s = {
			.argsz = sizeof(a.s) + (fd ? sizeof(int) : 0),
			.flags = flags,
			.index = index,
			.count = count,
		},
		.fd = fd ? *fd : 0,
	};

	return ioctl(v->dev, VFIO_DEVICE_SET_IRQS, &a) ? -errno : 0;
}

static int vfio_irq_on(struct rig_dev *d, enum rig_irq kind)
{
	struct vfio *v = d->priv;
	uint32_t index = kind == RIG_MSI ? VFIO_PCI_MSI_IRQ_INDEX :
					   VFIO_PCI_INTX_IRQ_INDEX;
	int ret;

	v->efd = eventfd(0, EFD_CLOEXEC);
	if (v->efd < 0)
		return -errno;
	ret = set_irqs(v, index, VFIO_IRQ_SET_DATA_EVENTFD |
		       VFIO_IRQ_SET_ACTION_TRIGGER, 1, &v->efd);
	if (ret) {
		close(v->efd);
		v->efd = -1;
		return ret;
	}
	v->irq_index = index;
	return v->efd;
}

static void vfio_irq_off(struct rig_dev *d)
{
	struct vfio *v = d->priv;

	if (v->irq_index != UINT32_MAX)
		set_irqs(v, v->irq_index, VFIO_IRQ_SET_DATA_NONE |
			 VFIO_IRQ_SET_ACTION_TRIGGER, 0, NULL);
	v->irq_index = UINT32_MAX;
	if (v->efd >= 0)
		close(v->efd);
	if (v->unmask_efd >= 0)
		close(v->unmask_efd);
	v->efd = -1;
	v->unmask_efd = -1;
}

static int vfio_irq_unmask(struct rig_dev *d)
{
	return set_irqs(d->priv, VFIO_PCI_INTX_IRQ_INDEX,
			VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, 1,
			NULL);
}

static int vfio_irq_unmask_fd(struct rig_dev *d)
{
	struct vfio *v = d->priv;
	int ret;

	v->unmask_efd = eventfd(0, EFD_CLOEXEC);
	if (v->unmask_efd < 0)
		return -errno;
	ret = set_irqs(v, VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_DATA_EVENTFD |
		       VFIO_IRQ_SET_ACTION_UNMASK, 1, &v->unmask_efd);
	return ret ? ret : v->unmask_efd;
}

#define VFIO_DEVICE_OPS						\
	.driver = "vfio-pci",					\
	.close = vfio_close,					\
	.cfg_rd = vfio_cfg_rd, .cfg_wr = vfio_cfg_wr,		\
	.bar_rd = vfio_bar_rd, .bar_mmap = vfio_bar_mmap,	\
	.irq_on = vfio_irq_on, .irq_off = vfio_irq_off,		\
	.irq_width = 8,						\
	.irq_unmask = vfio_irq_unmask, .irq_unmask_fd = vfio_irq_unmask_fd

const struct rig_backend be_type1 = {
	.name = "type1",
	.what = "vfio group + container, VFIO_TYPE1v2_IOMMU",
	VFIO_DEVICE_OPS,
	.open = type1_open, .map = type1_map, .unmap = type1_unmap,
};

const struct rig_backend be_iommufd = {
	.name = "iommufd",
	.what = "vfio device cdev + iommufd IOAS",
	VFIO_DEVICE_OPS,
	.open = iommufd_open, .map = iommufd_map, .unmap = iommufd_unmap,
};
