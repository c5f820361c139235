// SPDX-License-Identifier: GPL-2.0-only
/*
 * be_floor.c - backends that no driver could use, to bound the others.
 *
 * kpin:     one bare pin_user_pages_fast(FOLL_LONGTERM) / unpin_user_pages(),
 *           through the module in floor/.
 * kmap:     one bare iommu_map_sg() / iommu_unmap(), through the same module,
 *           of pages that are pinned and in a scatter list already.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "floor/rigfloor.h"
#include "rig.h"

struct kfloor {
	int fd;
	char *va;
	size_t npages;
};

static int kfloor_new(struct rig_dev *d)
{
	struct kfloor *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	rig_step(d, "start", 0);
	k->fd = open("/dev/rigfloor", O_RDWR | O_CLOEXEC);
	rig_step(d, "open(rigfloor)", 0);
	if (k->fd < 0) {
		int ret = -errno;

		free(k);
		return ret;
	}
	d->priv = k;
	return 0;
}

static void kfloor_close(struct rig_dev *d)
{
	struct kfloor *k = d->priv;

	close(k->fd);
	free(k);
	d->priv = NULL;
}

static int kmap_open(struct rig_dev *d)
{
	struct kfloor *k;
	int ret = kfloor_new(d);

	if (ret)
		return ret;
	k = d->priv;
	if (ioctl(k->fd, RIGFLOOR_ATTACH, d->bdf)) {
		ret = -errno;
		kfloor_close(d);
		return ret;
	}
	rig_step(d, "ATTACH", 0);
	return 0;
}

static int kfloor_area(struct rig_dev *d, void *va, size_t size)
{
	struct kfloor *k = d->priv;
	struct rigfloor_range r = { .va = (uintptr_t)va, .npages = size / 4096 };

	k->va = va;
	k->npages = size / 4096;
	return ioctl(k->fd, RIGFLOOR_AREA, &r) ? -errno : 0;
}

static void kfloor_finish(struct rig_dev *d)
{
	kfloor_area(d, NULL, 0);
}

static int kmap_prepare(struct rig_dev *d, void *va, size_t size)
{
	struct rigfloor_range r = { .page = 0, .npages = size / 4096 };
	struct kfloor *k = d->priv;
	int ret = kfloor_area(d, va, size);

	if (ret)
		return ret;
	if (ioctl(k->fd, RIGFLOOR_PIN, &r) || ioctl(k->fd, RIGFLOOR_SG))
		return -errno;
	return 0;
}

static int kmap_map(struct rig_dev *d, void *va, uint64_t iova, size_t size,
		    unsigned int rw)
{
	struct kfloor *k = d->priv;
	struct rigfloor_range r = {
		.iova = iova,
		.page = (size_t)((char *)va - k->va) / 4096,
		.npages = size / 4096,
	};

	(void)rw;
	return ioctl(k->fd, RIGFLOOR_MAP, &r) ? -errno : 0;
}

static int kmap_unmap(struct rig_dev *d, uint64_t iova, size_t size)
{
	struct kfloor *k = d->priv;
	struct rigfloor_range r = { .iova = iova, .npages = size / 4096 };

	return ioctl(k->fd, RIGFLOOR_UNMAP, &r) ? -errno : 0;
}

/*
 * kpin keeps no record of where a mapping is: the page index follows from the
 * IOVA, as dmabench lays mappings out (whole area, or single pages 8 KiB apart).
 */
static int kpin_ioctl(struct rig_dev *d, unsigned long cmd, uint64_t iova,
		      size_t size)
{
	struct kfloor *k = d->priv;
	struct rigfloor_range r = {
		.page = (iova & 0xffffffff) / 8192,
		.npages = size / 4096,
	};

	return ioctl(k->fd, cmd, &r) ? -errno : 0;
}

static int kpin_map(struct rig_dev *d, void *va, uint64_t iova, size_t size,
		    unsigned int rw)
{
	(void)va;
	(void)rw;
	return kpin_ioctl(d, RIGFLOOR_PIN, iova, size);
}

static int kpin_unmap(struct rig_dev *d, uint64_t iova, size_t size)
{
	return kpin_ioctl(d, RIGFLOOR_UNPIN, iova, size);
}

const struct rig_backend be_kpin = {
	.name = "kpin",
	.what = "bare pin_user_pages_fast(FOLL_LONGTERM), in a module",
	.is_floor = 1,
	.open = kfloor_new, .close = kfloor_close,
	.prepare = kfloor_area, .finish = kfloor_finish,
	.map = kpin_map, .unmap = kpin_unmap,
};

const struct rig_backend be_kmap = {
	.name = "kmap",
	.driver = "vfio-pci",	/* one that leaves the DMA ownership free */
	.what = "bare iommu_map_sg() of pinned pages, in a module",
	.is_floor = 1,
	.open = kmap_open, .close = kfloor_close,
	.prepare = kmap_prepare, .finish = kfloor_finish,
	.map = kmap_map, .unmap = kmap_unmap,
};
