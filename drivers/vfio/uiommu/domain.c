// SPDX-License-Identifier: GPL-2.0-only
/*
 * Address spaces: their IOMMU domains, the groups attached to them, and who may
 * do DMA at all.
 *
 * Design: original vfio/uiommu, Tom Lyon, Cisco Systems, 2010
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "private.h"
#include "trace.h"

static bool allow_unsafe_interrupts;
module_param(allow_unsafe_interrupts, bool, 0644);
MODULE_PARM_DESC(allow_unsafe_interrupts,
		 "Attach devices whose MSI writes the IOMMU does not check: a device can then forge any interrupt of the host");

/* Whoever owns a group for user DMA owns it through this module. */
static const char dma_owner[] = "uiommu";

static void put_group(struct iommu_group *group)
{
	if (group)
		iommu_group_put(group);
}

DEFINE_FREE(put_group, struct iommu_group *, put_group(_T))

/**
 * uiommu_claim - take the DMA of a device's IOMMU group away from the kernel
 * @dev: device of a driver that sets driver_managed_dma
 *
 * The group is parked on a blocking domain: no device of it can do DMA, until
 * uiommu_attach().  Devices of one group can be claimed one by one.
 *
 * Context: may sleep.
 * Return: 0; -EPERM or -EBUSY when a device of the group is used by another
 * driver; -ENODEV without an IOMMU; -EINVAL when firmware demands a direct
 * mapping for it.
 */
int uiommu_claim(struct device *dev)
{
	return iommu_device_claim_dma_owner(dev, (void *)dma_owner);
}
EXPORT_SYMBOL_NS_GPL(uiommu_claim, "UIOMMU");

/**
 * uiommu_release - undo uiommu_claim()
 * @dev: the device; it can do no DMA of its own accord any more
 */
void uiommu_release(struct device *dev)
{
	iommu_device_release_dma_owner(dev);
}
EXPORT_SYMBOL_NS_GPL(uiommu_release, "UIOMMU");

/**
 * uiommu_isolated_msi - are the interrupts of a device's group isolated?
 * @dev: the device
 *
 * Return: true when a device of the group can raise no interrupt but its own.
 */
bool uiommu_isolated_msi(struct device *dev)
{
	struct iommu_group *group __free(put_group) = iommu_group_get(dev);

	return group && iommu_group_has_isolated_msi(group);
}
EXPORT_SYMBOL_NS_GPL(uiommu_isolated_msi, "UIOMMU");

/* An empty space with one reference, or NULL. */
struct uiommu_space *uiommu_space_create(void)
{
	struct uiommu_space *space;

	space = kzalloc_obj(*space, GFP_KERNEL_ACCOUNT);
	if (!space)
		return NULL;
	kref_init(&space->ref);
	init_rwsem(&space->domains_rwsem);
	INIT_LIST_HEAD(&space->domains);
	INIT_LIST_HEAD(&space->groups);
	mutex_init(&space->iova_lock);
	space->mappings = RB_ROOT;
	uiommu_watch_init(space);
	return space;
}

static void space_free(struct kref *ref)
{
	struct uiommu_space *space = container_of(ref, struct uiommu_space, ref);

	uiommu_watch_stop(space);
	WARN_ON(!list_empty(&space->domains) || !list_empty(&space->groups) ||
		!RB_EMPTY_ROOT(&space->mappings));
	mutex_destroy(&space->iova_lock);
	kfree(space->windows);
	kfree(space);
}

/**
 * uiommu_space_get - take one more reference to an address space
 * @space: the space
 */
void uiommu_space_get(struct uiommu_space *space)
{
	kref_get(&space->ref);
}
EXPORT_SYMBOL_NS_GPL(uiommu_space_get, "UIOMMU");

/**
 * uiommu_space_put - give a reference to an address space back
 * @space: the space
 */
void uiommu_space_put(struct uiommu_space *space)
{
	kref_put(&space->ref, space_free);
}
EXPORT_SYMBOL_NS_GPL(uiommu_space_put, "UIOMMU");

/*
 * Map @size bytes of @sg into one domain, all or nothing; -ENOTRECOVERABLE when
 * it can be neither.
 */
int uiommu_domain_map(struct uiommu_domain *domain, u64 iova,
		      struct scatterlist *sg, unsigned int nents, size_t size,
		      bool write)
{
	int prot = domain->prot | IOMMU_READ | (write ? IOMMU_WRITE : 0);
	ssize_t mapped;

	mapped = iommu_map_sg(domain->iommu, iova, sg, nents, prot,
			      GFP_KERNEL_ACCOUNT);
	if (mapped < 0)
		return mapped == -ENOMEM ? -ENOMEM : -EIO;
	if (WARN_ON_ONCE(mapped != size))
		return uiommu_domain_clear(domain, iova, mapped) ?
			       -EIO : -ENOTRECOVERABLE;
	return 0;
}

/*
 * Clear a range of whole mappings, to be synced by the caller.  False when the
 * IOMMU driver did not clear all: then what is behind it must stay pinned.
 */
bool uiommu_domain_unmap(struct uiommu_domain *domain, u64 iova, u64 size,
			 struct iommu_iotlb_gather *gather)
{
	u64 end = iova + size;

	/* Most ranges lie within one step; what failed early has none. */
	if (size && !((iova ^ (end - 1)) & ~(u64)(UIOMMU_UNMAP_STEP - 1)))
		return !WARN_ON_ONCE(iommu_unmap_fast(domain->iommu, iova, size,
						      gather) != size);

	while (iova != end) {
		u64 n = min(end - iova, UIOMMU_UNMAP_STEP -
					(iova & (UIOMMU_UNMAP_STEP - 1)));

		if (WARN_ON_ONCE(iommu_unmap_fast(domain->iommu, iova, n,
						  gather) != n))
			return false;
		iova += n;
		cond_resched();
	}
	return true;
}

/* Clear a range and sync; false as above. */
bool uiommu_domain_clear(struct uiommu_domain *domain, u64 iova, u64 size)
{
	struct iommu_iotlb_gather gather;
	bool clean;

	if (!size)
		return true;
	iommu_iotlb_gather_init(&gather);
	clean = uiommu_domain_unmap(domain, iova, size, &gather);
	iommu_iotlb_sync(domain->iommu, &gather);
	return clean;
}

/* Map into every domain, all or nothing; -ENOTRECOVERABLE as above. */
int uiommu_domains_map(struct uiommu_space *space, u64 iova,
		       struct scatterlist *sg, unsigned int nents, size_t size,
		       bool write)
{
	struct uiommu_domain *domain;
	int ret;

	lockdep_assert_held(&space->domains_rwsem);

	list_for_each_entry(domain, &space->domains, link) {
		ret = uiommu_domain_map(domain, iova, sg, nents, size, write);
		if (ret) {
			list_for_each_entry_continue_reverse(domain,
							     &space->domains,
							     link)
				if (!uiommu_domain_clear(domain, iova, size))
					ret = -ENOTRECOVERABLE;
			return ret;
		}
	}
	return 0;
}

/* Clear a range in every domain and sync; false as above. */
bool uiommu_domains_unmap(struct uiommu_space *space, u64 iova, u64 size)
{
	struct uiommu_domain *domain;
	bool clean = true;

	lockdep_assert_held(&space->domains_rwsem);

	list_for_each_entry(domain, &space->domains, link)
		clean &= uiommu_domain_clear(domain, iova, size);
	return clean;
}

static void free_regions(struct list_head *regions)
{
	struct iommu_resv_region *region, *next;

	list_for_each_entry_safe(region, next, regions, list)
		kfree(region);
}

/*
 * Where a group wants its software-managed MSI window; false when the hardware
 * has a window of its own.
 */
static bool sw_msi_base(const struct list_head *regions, phys_addr_t *base)
{
	const struct iommu_resv_region *region;
	bool found = false;

	list_for_each_entry(region, regions, list) {
		if (region->type == IOMMU_RESV_MSI)
			return false;
		if (region->type == IOMMU_RESV_SW_MSI) {
			*base = region->start;
			found = true;
		}
	}
	return found;
}

/*
 * The windows that all domains and groups of a space leave, to be freed by the
 * caller; NULL for no limit, without a group.
 */
static struct uiommu_windows *compute_windows(struct uiommu_space *space)
{
	struct iommu_resv_region *region;
	struct uiommu_windows *windows;
	struct uiommu_domain *domain;
	/*
	 * What iommu_map() takes, but for the last page: IOMMU code adds up where a
	 * range ends, and all-ones is what is read from a device that is gone.
	 */
	u64 first = 0, last = ULONG_MAX - PAGE_SIZE;
	struct uiommu_group *group;
	unsigned int cuts = 2;
	LIST_HEAD(regions);
	int ret;

	lockdep_assert_held_write(&space->domains_rwsem);

	if (list_empty(&space->groups))
		return NULL;

	list_for_each_entry(domain, &space->domains, link) {
		first = max(first, domain->iommu->geometry.aperture_start);
		last = min(last, domain->iommu->geometry.aperture_end);
	}
	list_for_each_entry(group, &space->groups, link) {
		ret = iommu_get_group_resv_regions(group->group, &regions);
		if (ret) {
			windows = ERR_PTR(ret);
			goto out;
		}
	}
	cuts += list_count_nodes(&regions);

	windows = uiommu_windows_create(first, last, cuts);
	if (!windows) {
		windows = ERR_PTR(-ENOMEM);
		goto out;
	}
	list_for_each_entry(region, &regions, list)
		if (region->type != IOMMU_RESV_DIRECT_RELAXABLE &&
		    region->length)
			uiommu_windows_cut(windows, region->start,
					   region->start + region->length - 1);
out:
	free_regions(&regions);
	return windows;
}

static void free_domain(struct uiommu_domain *domain)
{
	iommu_domain_free(domain->iommu);
	kfree(domain);
}

static struct uiommu_domain *new_domain(struct device *dev, bool sw_msi,
					phys_addr_t msi_base)
{
	struct uiommu_domain *domain;
	int ret;

	domain = kzalloc_obj(*domain, GFP_KERNEL_ACCOUNT);
	if (!domain)
		return ERR_PTR(-ENOMEM);

	domain->prot = IOMMU_CACHE;
	domain->sw_msi = sw_msi;
	domain->iommu = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain->iommu)) {
		ret = PTR_ERR(domain->iommu);
		kfree(domain);
		return ERR_PTR(ret);
	}

	/* IOVA and memory are cut in pages of the CPU, the tables must too. */
	ret = -EINVAL;
	if (!(domain->iommu->pgsize_bitmap & (PAGE_SIZE | (PAGE_SIZE - 1))))
		goto err_free;

	/*
	 * Done while the domain is empty: it has no effect on what is mapped.
	 * AMD's version 2 tables always snoop and have no such operation.
	 */
	if (device_iommu_capable(dev, IOMMU_CAP_ENFORCE_CACHE_COHERENCY)) {
		const struct iommu_domain_ops *ops = domain->iommu->ops;

		if (ops->enforce_cache_coherency &&
		    !ops->enforce_cache_coherency(domain->iommu)) {
			ret = -EOPNOTSUPP;
			goto err_free;
		}
		domain->coherent = true;
	}

	if (sw_msi) {
		ret = iommu_get_msi_cookie(domain->iommu, msi_base);
		if (ret)
			goto err_free;
	}
	return domain;

err_free:
	free_domain(domain);
	return ERR_PTR(ret);
}

/* Fill a new domain with all that the space has mapped, or with nothing. */
static int fill_all(struct uiommu_space *space, struct uiommu_domain *domain)
{
	struct uiommu_mapping *m;
	struct rb_node *node;
	int ret;

	lockdep_assert_held(&space->iova_lock);

	for (node = rb_first(&space->mappings); node; node = rb_next(node)) {
		ret = uiommu_fill(domain, to_mapping(node));
		if (ret)
			break;
	}
	if (!node)
		return 0;

	while ((node = rb_prev(node))) {
		m = to_mapping(node);
		uiommu_domain_clear(domain, uiommu_first(m),
				    uiommu_pinned_size(m));
		cond_resched();
	}
	return ret;
}

/* Windows and contents of the space, after a group came to @domain. */
static int settle(struct uiommu_space *space, struct uiommu_domain *domain,
		  bool fresh)
{
	struct uiommu_windows *windows;
	struct uiommu_mapping *m;
	struct rb_node *node;
	int ret = 0;

	windows = compute_windows(space);
	if (IS_ERR(windows))
		return PTR_ERR(windows);

	/* From here on MAP sees the new windows or waits. */
	mutex_lock(&space->iova_lock);

	for (node = rb_first(&space->mappings); node; node = rb_next(node)) {
		m = to_mapping(node);
		if (!uiommu_windows_hold(windows, uiommu_first(m),
					 uiommu_last(m))) {
			ret = -EADDRNOTAVAIL;
			break;
		}
		cond_resched();
	}
	if (!ret && fresh)
		ret = fill_all(space, domain);
	if (!ret) {
		swap(space->windows, windows);
		uiommu_choose_anew(space);
	}

	mutex_unlock(&space->iova_lock);
	kfree(windows);
	return ret;
}

/* The domain of @space that takes @group, NULL when none suits, or an error. */
static struct uiommu_domain *attach_existing(struct uiommu_space *space,
					     struct iommu_group *group,
					     bool coherent, bool sw_msi)
{
	struct uiommu_domain *domain;
	int ret;

	list_for_each_entry(domain, &space->domains, link) {
		if (domain->coherent != coherent || domain->sw_msi != sw_msi)
			continue;
		ret = iommu_attach_group(domain->iommu, group);
		if (!ret)
			return domain;
		/* These two: its tables do not suit the group's IOMMU. */
		if (ret != -EINVAL && ret != -ENODEV)
			return ERR_PTR(ret);
	}
	return NULL;
}

static int attach_group(struct uiommu_space *space, struct device *dev,
			struct uiommu_group *g)
{
	bool can_enforce =
		device_iommu_capable(dev, IOMMU_CAP_ENFORCE_CACHE_COHERENCY);
	struct uiommu_domain *domain;
	phys_addr_t msi_base = 0;
	LIST_HEAD(regions);
	bool sw_msi, fresh;
	int ret;

	ret = iommu_get_group_resv_regions(g->group, &regions);
	sw_msi = sw_msi_base(&regions, &msi_base);
	free_regions(&regions);
	if (ret)
		return ret;

	domain = attach_existing(space, g->group, can_enforce, sw_msi);
	if (IS_ERR(domain))
		return PTR_ERR(domain);
	fresh = !domain;
	if (fresh) {
		domain = new_domain(dev, sw_msi, msi_base);
		if (IS_ERR(domain))
			return PTR_ERR(domain);
		ret = iommu_attach_group(domain->iommu, g->group);
		if (ret) {
			free_domain(domain);
			return ret;
		}
		list_add_tail(&domain->link, &space->domains);
	}

	g->domain = domain;
	g->num_devices = 1;
	domain->num_groups++;
	list_add_tail(&g->link, &space->groups);

	ret = settle(space, domain, fresh);
	if (ret) {
		list_del(&g->link);
		domain->num_groups--;
		iommu_detach_group(domain->iommu, g->group);
		if (fresh) {
			list_del(&domain->link);
			free_domain(domain);
		}
	}
	return ret;
}

static struct uiommu_group *find_group(struct uiommu_space *space,
				       struct iommu_group *group)
{
	struct uiommu_group *g;

	lockdep_assert_held_write(&space->domains_rwsem);

	list_for_each_entry(g, &space->groups, link)
		if (g->group == group)
			return g;
	return NULL;
}

static int attach(struct uiommu_space *space, struct device *dev)
{
	struct iommu_group *group __free(put_group) = iommu_group_get(dev);
	struct uiommu_group *g;
	int ret;

	if (!group)
		return -ENODEV;
	if (!device_iommu_capable(dev, IOMMU_CAP_CACHE_COHERENCY))
		return -EOPNOTSUPP;
	if (!iommu_group_has_isolated_msi(group) && !allow_unsafe_interrupts)
		return -EPERM;

	guard(rwsem_write)(&space->domains_rwsem);

	g = find_group(space, group);
	if (g) {
		/* A function may have come with reserved regions of its own. */
		ret = settle(space, g->domain, false);
		if (!ret)
			g->num_devices++;
		return ret;
	}

	g = kzalloc_obj(*g, GFP_KERNEL_ACCOUNT);
	if (!g)
		return -ENOMEM;
	g->group = group;
	ret = attach_group(space, dev, g);
	if (ret) {
		kfree(g);
		return ret;
	}
	retain_and_null_ptr(group);
	kref_get(&space->ref);
	return 0;
}

/**
 * uiommu_attach - let a device reach an address space
 * @space: the space
 * @dev: the device, claimed with uiommu_claim(), quiet, and out of reach of
 *	the user until this returns
 *
 * Devices of one IOMMU group count: the first attaches the group and the last
 * detaches it.
 *
 * Context: may sleep; takes time in proportion to what the space has mapped.
 * Return: 0; -EPERM when its interrupts are not isolated; -EOPNOTSUPP when its
 * DMA does not see the CPU's caches; -EBUSY when its group is in another space
 * or in reset; -EADDRNOTAVAIL when a mapping lies where the group can have
 * none; -EINTR when killed; -ENODEV without an IOMMU.
 */
int uiommu_attach(struct uiommu_space *space, struct device *dev)
{
	int ret;

	uiommu_watch_flush(space);
	ret = attach(space, dev);
	/* One that was lost meanwhile may be what is in the way. */
	if (ret == -EADDRNOTAVAIL && uiommu_watch_flush(space))
		ret = attach(space, dev);
	trace_uiommu_attach(dev, ret);
	return ret;
}
EXPORT_SYMBOL_NS_GPL(uiommu_attach, "UIOMMU");

/* The last group has left @domain: its tables go, the records stay. */
static void drop_domain(struct uiommu_space *space,
			struct uiommu_domain *domain)
{
	struct iommu_iotlb_gather gather;
	struct uiommu_mapping *m;
	struct rb_node *node;

	list_del(&domain->link);
	iommu_iotlb_gather_init(&gather);
	scoped_guard(mutex, &space->iova_lock) {
		for (node = rb_first(&space->mappings); node;
		     node = rb_next(node)) {
			m = to_mapping(node);
			uiommu_domain_unmap(domain, uiommu_first(m),
					    uiommu_pinned_size(m), &gather);
			cond_resched();
		}
	}
	iommu_iotlb_sync(domain->iommu, &gather);
	free_domain(domain);
}

/**
 * uiommu_detach - undo uiommu_attach()
 * @space: the space
 * @dev: the device, quiet and out of reach of the user
 *
 * What is mapped stays pinned and fills the tables of the next device.
 *
 * Context: may sleep; cannot fail.
 */
void uiommu_detach(struct uiommu_space *space, struct device *dev)
{
	struct iommu_group *group __free(put_group) = iommu_group_get(dev);
	struct uiommu_windows *windows;
	struct uiommu_domain *domain;
	struct uiommu_group *g;

	scoped_guard(rwsem_write, &space->domains_rwsem) {
		g = find_group(space, group);
		if (WARN_ON(!g) || --g->num_devices)
			return;

		domain = g->domain;
		iommu_detach_group(domain->iommu, g->group);
		list_del(&g->link);
		if (!--domain->num_groups)
			drop_domain(space, domain);

		/* Without memory the windows stay narrower than they need be. */
		windows = compute_windows(space);
		if (!IS_ERR(windows)) {
			guard(mutex)(&space->iova_lock);
			swap(space->windows, windows);
			uiommu_choose_anew(space);
			kfree(windows);
		}
	}
	trace_uiommu_detach(dev, 0);
	iommu_group_put(g->group);
	kfree(g);
	uiommu_space_put(space);
}
EXPORT_SYMBOL_NS_GPL(uiommu_detach, "UIOMMU");
