// SPDX-License-Identifier: GPL-2.0-only
/*
 * rigfloor - what a DMA mapping interface cannot avoid, for benchmarks only.
 *
 * PIN is one pin_user_pages_fast(FOLL_LONGTERM) of the range into an array
 * that exists already; MAP is one iommu_map_sg() of a scatter list that exists
 * already; UNMAP is one iommu_unmap() including the IOTLB invalidation. There
 * is no accounting, no IOVA bookkeeping, no overlap check and no protection
 * against misuse: the difference between these and an interface's own numbers
 * is what that interface adds.
 */
#include <linux/fs.h>
#include <linux/iommu.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "rigfloor.h"

struct floor {
	struct mutex lock;	/* one request at a time */
	struct pci_dev *pdev;
	struct iommu_group *group;
	struct iommu_domain *domain;
	unsigned long va;
	unsigned long npages;
	struct page **pages;	/* NULL: not pinned */
	struct sg_table sgt;
};

static void floor_drop_area(struct floor *f)
{
	unsigned long i;

	sg_free_table(&f->sgt);
	memset(&f->sgt, 0, sizeof(f->sgt));
	for (i = 0; i < f->npages; i++)
		if (f->pages[i])
			unpin_user_pages(&f->pages[i], 1);
	kvfree(f->pages);
	f->pages = NULL;
	f->npages = 0;
}

static int floor_attach(struct floor *f, const char *bdf)
{
	unsigned int dom, bus, slot, fn;
	int ret;

	if (f->pdev)
		return -EBUSY;
	if (sscanf(bdf, "%x:%x:%x.%x", &dom, &bus, &slot, &fn) != 4)
		return -EINVAL;
	f->pdev = pci_get_domain_bus_and_slot(dom, bus, PCI_DEVFN(slot, fn));
	if (!f->pdev)
		return -ENODEV;
	ret = iommu_device_claim_dma_owner(&f->pdev->dev, f);
	if (ret)
		goto put;
	f->group = iommu_group_get(&f->pdev->dev);
	f->domain = iommu_paging_domain_alloc(&f->pdev->dev);
	if (IS_ERR(f->domain)) {
		ret = PTR_ERR(f->domain);
		goto release;
	}
	ret = iommu_attach_group(f->domain, f->group);
	if (ret)
		goto free;
	return 0;
free:
	iommu_domain_free(f->domain);
release:
	f->domain = NULL;
	iommu_group_put(f->group);
	iommu_device_release_dma_owner(&f->pdev->dev);
put:
	pci_dev_put(f->pdev);
	f->pdev = NULL;
	return ret;
}

static int floor_area(struct floor *f, const struct rigfloor_range *r)
{
	floor_drop_area(f);
	if (!r->npages)
		return 0;
	if (r->npages > ULONG_MAX / PAGE_SIZE)
		return -EINVAL;
	f->pages = kvcalloc(r->npages, sizeof(*f->pages), GFP_KERNEL);
	if (!f->pages)
		return -ENOMEM;
	f->va = r->va;
	f->npages = r->npages;
	return 0;
}

static bool floor_in_area(const struct floor *f, const struct rigfloor_range *r)
{
	return r->npages && r->page < f->npages &&
	       r->npages <= f->npages - r->page;
}

static int floor_pin(struct floor *f, const struct rigfloor_range *r)
{
	unsigned long done = 0;

	while (done < r->npages) {
		int n = pin_user_pages_fast(f->va + (r->page + done) * PAGE_SIZE,
					    r->npages - done,
					    FOLL_WRITE | FOLL_LONGTERM,
					    f->pages + r->page + done);

		if (n <= 0)
			return n ? n : -EFAULT;	/* the area keeps the rest */
		done += n;
	}
	return 0;
}

static void floor_unpin(struct floor *f, const struct rigfloor_range *r)
{
	unpin_user_pages(f->pages + r->page, r->npages);
	memset(f->pages + r->page, 0, r->npages * sizeof(*f->pages));
}

static int floor_map(struct floor *f, const struct rigfloor_range *r)
{
	const int prot = IOMMU_READ | IOMMU_WRITE | IOMMU_CACHE;

	if (r->npages == f->npages && f->sgt.sgl) {
		ssize_t n = iommu_map_sg(f->domain, r->iova, f->sgt.sgl,
					 f->sgt.orig_nents, prot, GFP_KERNEL);

		return n < 0 ? n : 0;
	}
	if (r->npages != 1 || !f->pages[r->page])
		return -EINVAL;
	return iommu_map(f->domain, r->iova, page_to_phys(f->pages[r->page]),
			 PAGE_SIZE, prot, GFP_KERNEL);
}

static long floor_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct floor *f = file->private_data;
	struct rigfloor_range r = { };
	char bdf[16];

	guard(mutex)(&f->lock);
	switch (cmd) {
	case RIGFLOOR_ATTACH:
		if (copy_from_user(bdf, (void __user *)arg, sizeof(bdf)))
			return -EFAULT;
		bdf[sizeof(bdf) - 1] = 0;
		return floor_attach(f, bdf);
	case RIGFLOOR_SG:
		if (f->sgt.sgl || !f->npages || !f->pages[0])
			return -EINVAL;
		return sg_alloc_table_from_pages(&f->sgt, f->pages, f->npages, 0,
						 f->npages * PAGE_SIZE,
						 GFP_KERNEL);
	}
	if (copy_from_user(&r, (void __user *)arg, sizeof(r)))
		return -EFAULT;
	if (cmd == RIGFLOOR_AREA)
		return floor_area(f, &r);
	if (cmd == RIGFLOOR_UNMAP) {
		if (!f->domain)
			return -EINVAL;
		return iommu_unmap(f->domain, r.iova, r.npages * PAGE_SIZE) ==
		       r.npages * PAGE_SIZE ? 0 : -ENOENT;
	}
	if (!floor_in_area(f, &r))
		return -EINVAL;
	switch (cmd) {
	case RIGFLOOR_PIN:
		return floor_pin(f, &r);
	case RIGFLOOR_UNPIN:
		floor_unpin(f, &r);
		return 0;
	case RIGFLOOR_MAP:
		return f->domain ? floor_map(f, &r) : -EINVAL;
	}
	return -ENOTTY;
}

static int floor_open(struct inode *inode, struct file *file)
{
	struct floor *f;

	if (!capable(CAP_SYS_RAWIO))
		return -EPERM;
	f = kzalloc_obj(*f, GFP_KERNEL);
	if (!f)
		return -ENOMEM;
	mutex_init(&f->lock);
	file->private_data = f;
	return 0;
}

static int floor_release(struct inode *inode, struct file *file)
{
	struct floor *f = file->private_data;

	/* The domain goes first: nothing may reach unpinned pages. */
	if (f->domain) {
		iommu_detach_group(f->domain, f->group);
		iommu_domain_free(f->domain);
		iommu_group_put(f->group);
		iommu_device_release_dma_owner(&f->pdev->dev);
		pci_dev_put(f->pdev);
	}
	floor_drop_area(f);
	kfree(f);
	return 0;
}

static const struct file_operations floor_fops = {
	.owner = THIS_MODULE,
	.open = floor_open,
	.release = floor_release,
	.unlocked_ioctl = floor_ioctl,
};

static struct miscdevice floor_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "rigfloor",
	.fops = &floor_fops,
	.mode = 0600,
};
module_misc_device(floor_misc);

MODULE_DESCRIPTION("Lower bounds of DMA mapping, for benchmarks only");
MODULE_LICENSE("GPL");
