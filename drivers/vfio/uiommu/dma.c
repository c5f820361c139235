// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping records: map and unmap.
 *
 * A record has one claimer at a time.  Who makes it holds it RESERVED, pins and
 * maps its memory piece by piece with nothing locked in between, and publishes
 * it LIVE.  Who unmaps it makes it DYING first.  So maps and unmaps of disjoint
 * ranges meet only at the tree of records, for as long as an insertion takes.
 *
 * Unmapping clears the I/O page tables of every domain, syncs once, takes the
 * records out of the tree, and only then unpins: memory is never given back
 * while a device can reach it.  All up to the removal happens in one read
 * section of domains_rwsem, so that no new domain is filled from a record whose
 * memory is on its way out.
 *
 * Design: original vfio/uiommu, Tom Lyon, Cisco Systems, 2010
 */
#include <linux/cleanup.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "private.h"

static_assert(!IS_ENABLED(CONFIG_64BIT) ||
	      sizeof(struct uiommu_mapping) == 64);

/* The first record that ends at @first or above. */
static struct uiommu_mapping *find_from(struct uiommu_space *space, u64 first)
{
	struct rb_node *node = space->mappings.rb_node;
	struct uiommu_mapping *found = NULL;

	lockdep_assert_held(&space->iova_lock);

	while (node) {
		struct uiommu_mapping *m = to_mapping(node);

		if (uiommu_last(m) >= first) {
			found = m;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return found;
}

static struct uiommu_mapping *next_up_to(struct uiommu_mapping *m, u64 last)
{
	struct rb_node *node = rb_next(&m->node);

	if (!node || uiommu_first(to_mapping(node)) > last)
		return NULL;
	return to_mapping(node);
}

/* Take the IOVA for a record, or say why not. */
static int reserve(struct uiommu_space *space, struct uiommu_mapping *new)
{
	struct rb_node **link = &space->mappings.rb_node, *parent = NULL;
	u64 first = uiommu_first(new), last = uiommu_last(new);

	guard(mutex)(&space->iova_lock);

	if (!uiommu_windows_hold(space->windows, first, last))
		return -EADDRNOTAVAIL;

	while (*link) {
		struct uiommu_mapping *m = to_mapping(*link);

		parent = *link;
		if (last < uiommu_first(m))
			link = &parent->rb_left;
		else if (first > uiommu_last(m))
			link = &parent->rb_right;
		else
			return -EBUSY;
	}
	rb_link_node(&new->node, parent, link);
	rb_insert_color(&new->node, &space->mappings);
	space->num_mappings++;
	return 0;
}

static void publish(struct uiommu_owner *owner, struct uiommu_mapping *m)
{
	struct uiommu_space *space = owner->space;

	atomic_long_add(m->npages, &space->pinned);
	if (owner->locked_pages)
		atomic_long_add(m->npages, owner->locked_pages);

	/* From here on it is for anybody to unmap. */
	guard(mutex)(&space->iova_lock);
	m->state = UIOMMU_LIVE;
}

/*
 * Take records that the caller has claimed out of every domain and of the tree.
 * What an IOMMU driver failed to clear is leaked rather than freed under a
 * device.
 */
static void withdraw(struct uiommu_space *space, struct uiommu_mapping *list)
{
	struct iommu_iotlb_gather gather;
	struct uiommu_domain *domain;
	struct uiommu_mapping *m;

	guard(rwsem_read)(&space->domains_rwsem);

	list_for_each_entry(domain, &space->domains, link) {
		iommu_iotlb_gather_init(&gather);
		for (m = list; m; m = m->next)
			if (!uiommu_domain_unmap(domain, uiommu_first(m),
						 uiommu_pinned_size(m),
						 &gather))
				m->stuck = true;
		iommu_iotlb_sync(domain->iommu, &gather);
	}

	guard(mutex)(&space->iova_lock);
	for (m = list; m; m = m->next) {
		rb_erase(&m->node, &space->mappings);
		space->num_mappings--;
		cond_resched();
	}
}

/*
 * Unmap claimed records, unpin their memory and refund who paid.  What stays
 * pinned stays charged.
 */
static void destroy(struct uiommu_space *space, struct uiommu_mapping *list)
{
	struct uiommu_mapping *m, *next;

	withdraw(space, list);

	for (m = list; m; m = next) {
		struct uiommu_owner *owner = m->payer->owner;
		unsigned long refund = m->npages;

		next = m->next;
		if (m->stuck)
			refund -= uiommu_pinned_size(m) >> PAGE_SHIFT;
		else
			uiommu_unpin(m);
		uiommu_extents_free(m);
		if (m->state == UIOMMU_DYING) {
			atomic_long_sub(m->npages, &space->pinned);
			if (owner->locked_pages)
				atomic_long_sub(m->npages, owner->locked_pages);
		}
		uiommu_uncharge(m->payer, refund);
		uiommu_payer_put(m->payer);
		kfree(m);

		/* The last access: the owner may go once it counts to 0. */
		spin_lock(&owner->payers_lock);
		if (atomic_long_dec_and_test(&owner->num_mappings))
			wake_up(&owner->settled);
		spin_unlock(&owner->payers_lock);
		cond_resched();
	}
}

/**
 * uiommu_map - pin memory of the calling process and map it
 * @owner: the file it is mapped through
 * @vaddr: process address, a multiple of PAGE_SIZE
 * @iova: address for the devices, a multiple of PAGE_SIZE
 * @size: bytes, a multiple of PAGE_SIZE, not 0, less than 2^32 pages
 * @write: the devices may write to it
 *
 * Context: process context of the memory's process, may sleep; hold nothing.
 * Return: 0; -EINVAL for a malformed range, -EADDRNOTAVAIL outside the windows,
 * -EBUSY when it overlaps a mapping, -ENOMEM above the memlock limit or without
 * memory, -EFAULT when the memory cannot be pinned, -EINTR when killed.
 */
int uiommu_map(struct uiommu_owner *owner, unsigned long vaddr, u64 iova,
	       u64 size, bool write)
{
	struct uiommu_space *space = owner->space;
	struct uiommu_payer *payer;
	struct uiommu_mapping *m;
	unsigned long vlast;
	u64 last;
	int ret;

	if (!size || !PAGE_ALIGNED(vaddr | iova | size) ||
	    size >> PAGE_SHIFT > U32_MAX)
		return -EINVAL;
	if (check_add_overflow(iova, size - 1, &last) ||
	    check_add_overflow(vaddr, size - 1, &vlast))
		return -EINVAL;

	payer = uiommu_payer_get(owner);
	if (!payer)
		return -ENOMEM;

	ret = uiommu_charge(payer, size >> PAGE_SHIFT);
	if (ret)
		goto err_payer;

	ret = -ENOMEM;
	m = kzalloc_obj(*m, GFP_KERNEL_ACCOUNT);
	if (!m)
		goto err_charge;
	m->page = iova >> PAGE_SHIFT;
	m->npages = size >> PAGE_SHIFT;
	m->state = UIOMMU_RESERVED;
	m->write = write;
	m->payer = payer;

	ret = reserve(space, m);
	if (ret)
		goto err_free;
	atomic_long_inc(&owner->num_mappings);

	ret = uiommu_pin(space, m, vaddr);
	if (ret) {
		destroy(space, m);
		return ret;
	}
	publish(owner, m);
	return 0;

err_free:
	kfree(m);
err_charge:
	uiommu_uncharge(payer, size >> PAGE_SHIFT);
err_payer:
	uiommu_payer_put(payer);
	return ret;
}
EXPORT_SYMBOL_NS_GPL(uiommu_map, "UIOMMU");

static void claim(struct uiommu_mapping *m, struct uiommu_mapping ***tail)
{
	m->state = UIOMMU_DYING;
	m->next = NULL;
	**tail = m;
	*tail = &m->next;
}

/* Claim every mapping in a range, or none. */
static int claim_range(struct uiommu_space *space, u64 first, u64 last,
		       struct uiommu_mapping ***tail)
{
	struct uiommu_mapping *m, *start;
	bool found = false, busy = false;

	guard(mutex)(&space->iova_lock);

	start = find_from(space, first);
	if (start && uiommu_first(start) > last)
		start = NULL;

	for (m = start; m; m = next_up_to(m, last)) {
		if (uiommu_first(m) < first || uiommu_last(m) > last)
			return -EINVAL;
		if (m->state != UIOMMU_LIVE)
			busy = true;
		found = true;
		cond_resched();
	}
	if (!found)
		return -ENXIO;
	/* 0 would say that no device reaches it any more, or not yet. */
	if (busy)
		return -EBUSY;

	for (m = start; m; m = next_up_to(m, last)) {
		claim(m, tail);
		cond_resched();
	}
	return 0;
}

/**
 * uiommu_unmap_begin - claim all that is mapped in a range for unmapping
 * @space: the address space
 * @iova: first address, a multiple of PAGE_SIZE
 * @size: bytes, a multiple of PAGE_SIZE, not 0
 * @tail: end of the list that uiommu_unmap_finish() gets, moved on
 *
 * Return: 0 or as uiommu_unmap(), then nothing was claimed.
 */
int uiommu_unmap_begin(struct uiommu_space *space, u64 iova, u64 size,
		       struct uiommu_mapping ***tail)
{
	u64 last;

	if (!size || !PAGE_ALIGNED(iova | size) ||
	    check_add_overflow(iova, size - 1, &last))
		return -EINVAL;
	return claim_range(space, iova, last, tail);
}

/**
 * uiommu_unmap_finish - unmap what was claimed, with one sync
 * @space: the address space
 * @list: what uiommu_unmap_begin() claimed, or NULL
 */
void uiommu_unmap_finish(struct uiommu_space *space,
			 struct uiommu_mapping *list)
{
	if (list)
		destroy(space, list);
}

/**
 * uiommu_unmap - unmap all that is mapped in a range
 * @space: the address space
 * @iova: first address, a multiple of PAGE_SIZE
 * @size: bytes, a multiple of PAGE_SIZE, not 0
 *
 * Whoever mapped it: who holds a file of the space may unmap, and the refund
 * goes to who paid.
 *
 * Context: may sleep.
 * Return: 0; -EINVAL for a malformed range or one that cuts a mapping in two,
 * -ENXIO when it holds none, -EBUSY when one is just being made or unmapped.
 */
int uiommu_unmap(struct uiommu_space *space, u64 iova, u64 size)
{
	struct uiommu_mapping *list = NULL, **tail = &list;
	int ret;

	ret = uiommu_unmap_begin(space, iova, size, &tail);
	uiommu_unmap_finish(space, list);
	return ret;
}
EXPORT_SYMBOL_NS_GPL(uiommu_unmap, "UIOMMU");

/**
 * uiommu_unmap_all - unmap all that there is, with one sync
 * @space: the address space
 * @owner: only what was mapped through this file, or NULL
 *
 * But for what others are making or unmapping just now.
 *
 * Context: may sleep.
 * Return: mappings.
 */
unsigned long uiommu_unmap_all(struct uiommu_space *space,
			       struct uiommu_owner *owner)
{
	struct uiommu_mapping *list = NULL, **tail = &list;
	unsigned long num = 0;
	struct rb_node *node;

	scoped_guard(mutex, &space->iova_lock) {
		for (node = rb_first(&space->mappings); node;
		     node = rb_next(node)) {
			struct uiommu_mapping *m = to_mapping(node);

			if (m->state == UIOMMU_LIVE &&
			    (!owner || m->payer->owner == owner)) {
				claim(m, &tail);
				num++;
			}
			cond_resched();
		}
	}
	uiommu_unmap_finish(space, list);
	return num;
}

/**
 * uiommu_owner_create - start mapping through a file
 * @space: the address space; a reference is taken
 * @locked_pages: also counts the pages that are mapped through it, or NULL;
 *	lives until uiommu_owner_destroy()
 *
 * Return: the owner, or NULL when there is no memory.
 */
struct uiommu_owner *uiommu_owner_create(struct uiommu_space *space,
					 atomic_long_t *locked_pages)
{
	struct uiommu_owner *owner;

	owner = kzalloc_obj(*owner, GFP_KERNEL_ACCOUNT);
	if (!owner)
		return NULL;
	kref_get(&space->ref);
	owner->space = space;
	owner->locked_pages = locked_pages;
	init_waitqueue_head(&owner->settled);
	spin_lock_init(&owner->payers_lock);
	INIT_LIST_HEAD(&owner->payers);
	return owner;
}
EXPORT_SYMBOL_NS_GPL(uiommu_owner_create, "UIOMMU");

/**
 * uiommu_owner_idle - does a file own no mapping?
 * @owner: the file
 */
bool uiommu_owner_idle(struct uiommu_owner *owner)
{
	return !atomic_long_read(&owner->num_mappings);
}
EXPORT_SYMBOL_NS_GPL(uiommu_owner_idle, "UIOMMU");

/**
 * uiommu_owner_destroy - unmap all that was mapped through a file
 * @owner: the file, with no uiommu_map() under way; freed
 *
 * Context: may sleep; cannot fail.
 */
void uiommu_owner_destroy(struct uiommu_owner *owner)
{
	struct uiommu_space *space = owner->space;

	if (!uiommu_owner_idle(owner)) {
		uiommu_unmap_all(space, owner);
		/* Others may be at work on mappings of ours. */
		wait_event(owner->settled, uiommu_owner_idle(owner));
	}
	/* Whoever unmapped the last one holds this until done with @owner. */
	spin_lock(&owner->payers_lock);
	spin_unlock(&owner->payers_lock);

	uiommu_payers_free(owner);
	kfree(owner);
	uiommu_space_put(space);
}
EXPORT_SYMBOL_NS_GPL(uiommu_owner_destroy, "UIOMMU");
