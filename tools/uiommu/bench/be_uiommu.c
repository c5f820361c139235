// SPDX-License-Identifier: GPL-2.0-only
/* be_uiommu.c - /dev/uiommu and /dev/vfioN. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/uiommu.h>

#include "rig.h"

struct uiommu {
	int space;
	int dev;
	int efd, unmask_efd;
	unsigned long irq_cmd;
};

/* Name of the node: the only entry of .../vfio/ that begins with it. */
static int node_of(const char *bdf, char *name, size_t len)
{
	char path[128];
	struct dirent *e;
	DIR *dir;
	int ret = -ENODEV;

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/vfio/%s/vfio", bdf);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((e = readdir(dir)))
		if (!strncmp(e->d_name, "vfio", 4)) {
			snprintf(name, len, "/dev/%s", e->d_name);
			ret = 0;
		}
	closedir(dir);
	return ret;
}

static void uiommu_irq_off(struct rig_dev *d)
{
	struct uiommu *u = d->priv;
	int off = -1;

	if (u->irq_cmd)
		rig_must(ioctl(u->dev, u->irq_cmd, &off), "irq off");
	u->irq_cmd = 0;
	if (u->efd >= 0)
		close(u->efd);
	if (u->unmask_efd >= 0)
		close(u->unmask_efd);
	u->efd = -1;
	u->unmask_efd = -1;
}

static void uiommu_close(struct rig_dev *d)
{
	struct uiommu *u = d->priv;

	if (!u)
		return;
	uiommu_irq_off(d);
	if (u->dev >= 0)
		close(u->dev);
	if (u->space >= 0)
		close(u->space);
	free(u);
	d->priv = NULL;
}

static int uiommu_open(struct rig_dev *d)
{
	struct uiommu *u;
	char path[300];
	int ret = node_of(d->bdf, path, sizeof(path));

	if (ret)
		return ret;
	u = calloc(1, sizeof(*u));
	if (!u)
		return -ENOMEM;
	u->efd = -1;
	u->unmask_efd = -1;
	d->priv = u;

	rig_step(d, "start", 0);
	u->dev = open(path, O_RDWR | O_CLOEXEC);
	rig_step(d, "open(device)", 0);
	u->space = open("/dev/uiommu", O_RDWR | O_CLOEXEC);
	rig_step(d, "open(uiommu)", 0);
	if (u->dev < 0 || u->space < 0)
		goto err;
	ret = ioctl(u->dev, VFIO_DOMAIN_SET, &u->space);
	rig_step(d, "DOMAIN_SET", 0);
	if (ret)
		goto err;
	return 0;
err:
	ret = errno ? -errno : -EINVAL;
	uiommu_close(d);
	return ret;
}

static int uiommu_map(struct rig_dev *d, void *va, uint64_t iova, size_t size,
		      unsigned int rw)
{
	struct uiommu *u = d->priv;
	struct vfio_dma_map m = {
		.vaddr = (uintptr_t)va,
		.dmaaddr = iova,
		.size = size,
		.flags = rw & RIG_W ? VFIO_FLAG_WRITE : 0,
	};

	return ioctl(u->space, VFIO_DMA_MAP_IOVA, &m) ? -errno : 0;
}

static int uiommu_unmap(struct rig_dev *d, uint64_t iova, size_t size)
{
	struct uiommu *u = d->priv;
	struct vfio_dma_map m = { .dmaaddr = iova, .size = size };

	return ioctl(u->space, VFIO_DMA_UNMAP, &m) ? -errno : 0;
}

static int uiommu_map_keep(struct rig_dev *d, void *va, uint64_t iova,
			   size_t size, unsigned int rw)
{
	struct uiommu *u = d->priv;
	struct vfio_dma_map m = {
		.vaddr = (uintptr_t)va,
		.dmaaddr = iova,
		.size = size,
		.flags = UIOMMU_FLAG_KEEP | (rw & RIG_W ? VFIO_FLAG_WRITE : 0),
	};

	return ioctl(u->space, VFIO_DMA_MAP_IOVA, &m) ? -errno : 0;
}

/* Maps of @size bytes each, @num of them, and the same unmapped */
static int batch(struct rig_dev *d, unsigned long cmd, void *va, uint64_t iova,
		 size_t size, size_t stride, unsigned int num)
{
	static struct vfio_dma_map entries[RIG_MAXBATCH];
	struct uiommu_batch b = {
		.size = sizeof(b),
		.num = num,
		.entries = (uintptr_t)entries,
	};
	struct uiommu *u = d->priv;
	unsigned int i;

	if (num > RIG_MAXBATCH)
		return -EINVAL;
	for (i = 0; i < num; i++)
		entries[i] = (struct vfio_dma_map){
			.vaddr = (uintptr_t)va + i * stride,
			.dmaaddr = iova + i * stride,
			.size = size,
			.flags = VFIO_FLAG_WRITE,
		};
	return ioctl(u->space, cmd, &b) ? -errno : 0;
}

static int uiommu_map_batch(struct rig_dev *d, void *va, uint64_t iova,
			    size_t size, size_t stride, unsigned int num)
{
	return batch(d, UIOMMU_MAP_BATCH, va, iova, size, stride, num);
}

static int uiommu_unmap_batch(struct rig_dev *d, uint64_t iova, size_t size,
			      size_t stride, unsigned int num)
{
	return batch(d, UIOMMU_UNMAP_BATCH, NULL, iova, size, stride, num);
}

static int uiommu_cfg_rd(struct rig_dev *d, unsigned int off, void *buf,
			 unsigned int len)
{
	struct uiommu *u = d->priv;

	return pread(u->dev, buf, len, VFIO_PCI_CONFIG_OFF + off) ==
	       (ssize_t)len ? 0 : -EIO;
}

static int uiommu_cfg_wr(struct rig_dev *d, unsigned int off, const void *buf,
			 unsigned int len)
{
	struct uiommu *u = d->priv;

	return pwrite(u->dev, buf, len, VFIO_PCI_CONFIG_OFF + off) ==
	       (ssize_t)len ? 0 : -EIO;
}

static int uiommu_bar_rd(struct rig_dev *d, unsigned int bar, uint64_t off,
			 void *buf, unsigned int len)
{
	struct uiommu *u = d->priv;

	return pread(u->dev, buf, len, VFIO_PCI_SPACE_TO_OFFSET(bar) + off) ==
	       (ssize_t)len ? 0 : -EIO;
}

static void *uiommu_bar_mmap(struct rig_dev *d, unsigned int bar, size_t len)
{
	struct uiommu *u = d->priv;
	void *p;

	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, u->dev,
		 VFIO_PCI_SPACE_TO_OFFSET(bar));
	return p == MAP_FAILED ? NULL : p;
}

static int uiommu_irq_on(struct rig_dev *d, enum rig_irq kind)
{
	unsigned long cmd = kind == RIG_MSI ? VFIO_EVENTFD_MSI :
					      VFIO_EVENTFD_IRQ;
	struct uiommu *u = d->priv;

	u->efd = eventfd(0, EFD_CLOEXEC);
	if (u->efd < 0 || ioctl(u->dev, cmd, &u->efd))
		return -errno;
	u->irq_cmd = cmd;
	return u->efd;
}

static int uiommu_irq_unmask(struct rig_dev *d)
{
	struct uiommu_irq_eoi eoi = { .size = sizeof(eoi) };
	struct uiommu *u = d->priv;

	return ioctl(u->dev, UIOMMU_IRQ_EOI, &eoi) ? -errno : 0;
}

static int uiommu_irq_unmask_fd(struct rig_dev *d)
{
	struct uiommu_irq_eoi_eventfd eoi = { .size = sizeof(eoi) };
	struct uiommu *u = d->priv;

	u->unmask_efd = eventfd(0, EFD_CLOEXEC);
	eoi.fd = u->unmask_efd;
	if (eoi.fd < 0 || ioctl(u->dev, UIOMMU_IRQ_EOI_EVENTFD, &eoi))
		return -errno;
	return eoi.fd;
}

#define UIOMMU_OPS							\
	.driver = "vfio",						\
	.open = uiommu_open, .close = uiommu_close,			\
	.unmap = uiommu_unmap,						\
	.map_batch = uiommu_map_batch,					\
	.unmap_batch = uiommu_unmap_batch,				\
	.cfg_rd = uiommu_cfg_rd, .cfg_wr = uiommu_cfg_wr,		\
	.bar_rd = uiommu_bar_rd, .bar_mmap = uiommu_bar_mmap,		\
	.irq_on = uiommu_irq_on, .irq_off = uiommu_irq_off,		\
	.irq_width = 8,							\
	.irq_unmask = uiommu_irq_unmask,				\
	.irq_unmask_fd = uiommu_irq_unmask_fd

const struct rig_backend be_uiommu = {
	.name = "uiommu",
	.what = "/dev/uiommu and /dev/vfioN",
	UIOMMU_OPS,
	.map = uiommu_map,
};

const struct rig_backend be_keep = {
	.name = "keep",
	.what = "the same, with UIOMMU_FLAG_KEEP",
	UIOMMU_OPS,
	.map = uiommu_map_keep,
};
