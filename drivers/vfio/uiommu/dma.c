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
#include <linux/array_size.h>
#include <linux/cleanup.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <uapi/linux/uiommu.h>

#include "private.h"
#include "trace.h"

static_assert(!IS_ENABLED(CONFIG_64BIT) ||
	      (sizeof(struct uiommu_mapping) == 96 &&
	       UIOMMU_UNWATCHED_SIZE == 64));

/* Records that are watched, and those that are not */
static struct kmem_cache *watched_cache;
static struct kmem_cache *kept_cache;

static struct kmem_cache *cache_of(bool watched)
{
	return watched ? watched_cache : kept_cache;
}

/* Before the first record; 0 or -ENOMEM */
int __init uiommu_records_start(void)
{
	watched_cache = kmem_cache_create("uiommu_mapping",
					  sizeof(struct uiommu_mapping), 0,
					  SLAB_ACCOUNT, NULL);
	kept_cache = kmem_cache_create("uiommu_mapping_kept",
				       UIOMMU_UNWATCHED_SIZE, 0, SLAB_ACCOUNT,
				       NULL);
	if (watched_cache && kept_cache)
		return 0;
	uiommu_records_exit();
	return -ENOMEM;
}

/* After the last record */
void uiommu_records_exit(void)
{
	kmem_cache_destroy(watched_cache);
	kmem_cache_destroy(kept_cache);
}

/* Memory for records of mappings with the same @flags, or for none */
bool uiommu_records_alloc(struct uiommu_mapping **m, u32 num,
			  unsigned int flags)
{
	struct kmem_cache *cache = cache_of(!(flags & UIOMMU_KEEP));

	if (num > 1)
		return kmem_cache_alloc_bulk(cache, GFP_KERNEL, num,
					     (void **)m);
	*m = kmem_cache_alloc(cache, GFP_KERNEL);
	return *m;
}

void uiommu_records_free(struct uiommu_mapping **m, u32 num)
{
	struct kmem_cache *cache = cache_of(m[0]->watched);

	if (num > 1)
		kmem_cache_free_bulk(cache, num, (void **)m);
	else
		kmem_cache_free(cache, *m);
}

/* The first record that ends at @first or above, or NULL. */
struct uiommu_mapping *uiommu_find_from(struct uiommu_space *space, u64 first)
{
	struct uiommu_mapping *prev = NULL, *next = NULL;
	struct rb_node *node = space->mappings.rb_node;
	u64 page = first >> PAGE_SHIFT;

	lockdep_assert_held(&space->iova_lock);

	if (space->top && space->top->page <= page)
		return uiommu_last(space->top) >= first ? space->top : NULL;

	/* There can be 40 steps: each looks at one word. */
	while (node) {
		struct uiommu_mapping *m = to_mapping(node);

		if (m->page <= page) {
			prev = m;
			node = node->rb_right;
		} else {
			next = m;
			node = node->rb_left;
		}
	}
	return prev && uiommu_last(prev) >= first ? prev : next;
}

static struct uiommu_mapping *next_up_to(struct uiommu_mapping *m, u64 last)
{
	struct rb_node *node;

	if (uiommu_last(m) >= last)
		return NULL;
	node = rb_next(&m->node);
	if (!node || uiommu_first(to_mapping(node)) > last)
		return NULL;
	return to_mapping(node);
}

static int insert(struct uiommu_space *space, struct uiommu_mapping *new)
{
	struct rb_node **link = &space->mappings.rb_node, *parent = NULL;
	struct uiommu_mapping *prev = NULL, *next = NULL;

	if (space->top && space->top->page <= new->page) {
		prev = space->top;
		parent = &prev->node;
		link = &parent->rb_right;
	}
	while (*link) {
		struct uiommu_mapping *m = to_mapping(*link);

		parent = *link;
		if (m->page <= new->page) {
			prev = m;
			link = &parent->rb_right;
		} else {
			next = m;
			link = &parent->rb_left;
		}
	}
	if ((prev && uiommu_last(prev) >= uiommu_first(new)) ||
	    (next && uiommu_first(next) <= uiommu_last(new)))
		return -EBUSY;
	rb_link_node(&new->node, parent, link);
	rb_insert_color(&new->node, &space->mappings);
	if (!next)
		space->top = new;
	space->num_mappings++;
	return 0;
}

static struct uiommu_mapping *before(struct uiommu_mapping *m)
{
	struct rb_node *node = rb_prev(&m->node);

	return node ? to_mapping(node) : NULL;
}

/* Take the IOVA for a record, or say why not. */
int uiommu_record_reserve(struct uiommu_space *space,
			  struct uiommu_mapping *new)
{
	lockdep_assert_held(&space->iova_lock);

	if (!uiommu_windows_hold(space->windows, uiommu_first(new),
				 uiommu_last(new)))
		return -EADDRNOTAVAIL;
	return insert(space, new);
}

/* Give the IOVA of a record back. */
void uiommu_record_remove(struct uiommu_space *space, struct uiommu_mapping *m)
{
	lockdep_assert_held(&space->iova_lock);

	if (space->chooses)
		uiommu_freed(space, m);
	if (m == space->top)
		space->top = before(m);
	rb_erase(&m->node, &space->mappings);
	space->num_mappings--;
}

/* Take the lowest IOVA up to @max for a record, or say why not. */
static int reserve_lowest(struct uiommu_space *space,
			  struct uiommu_mapping *new, unsigned long vaddr,
			  u64 max)
{
	u64 iova;
	int ret;

	lockdep_assert_held(&space->iova_lock);

	ret = uiommu_choose(space, vaddr, uiommu_size(new), max, &iova);
	if (ret)
		return ret;
	new->page = iova >> PAGE_SHIFT;
	return insert(space, new);
}

/**
 * uiommu_publish - mappings are made: from here on they are for anybody to unmap
 * @owner: the file they are made through
 * @m: their records, of one payer, all watched or none
 * @num: number of them
 * @npages: pages of all
 *
 * Return: how many of the first; the next one lost its memory meanwhile.
 */
u32 uiommu_publish(struct uiommu_owner *owner, struct uiommu_mapping **m,
		   u32 num, long npages)
{
	struct uiommu_space *space = owner->space;
	u32 i, live;

	atomic_long_add(npages, &space->pinned);
	if (owner->locked_pages)
		atomic_long_add(npages, owner->locked_pages);

	scoped_guard(mutex, &space->iova_lock) {
		live = m[0]->watched ? uiommu_watch_live(m, num) : num;
		for (i = 0; i < live; i++) {
			npages -= m[i]->npages;
			m[i]->state = UIOMMU_LIVE;
			trace_uiommu_map(m[i]);
		}
	}
	if (npages) {
		atomic_long_sub(npages, &space->pinned);
		if (owner->locked_pages)
			atomic_long_sub(npages, owner->locked_pages);
	}
	return live;
}

/*
 * Clear a record in a domain, and those behind it in the list that are its
 * neighbours: to clear a range costs little more than to clear a page.  Returns
 * the next one.
 */
static struct uiommu_mapping *unmap_run(struct uiommu_domain *domain,
					struct uiommu_mapping *m,
					struct iommu_iotlb_gather *gather)
{
	u64 first = uiommu_first(m), size = uiommu_pinned_size(m);
	struct uiommu_mapping *next = m->next;

	for (; next && uiommu_first(next) == first + size; next = next->next)
		size += uiommu_pinned_size(next);
	if (!uiommu_domain_unmap(domain, first, size, gather))
		for (; m != next; m = m->next)
			m->stuck = true;
	return next;
}

/* Its memory went away, and it is out of all domains or stuck there. */
static void tell_gone(const struct uiommu_mapping *m)
{
	struct uiommu_event event = {
		.type = UIOMMU_EVENT_MAPPING_LOST,
		.flags = m->stuck ? UIOMMU_EVENT_STUCK : 0,
		.iova = uiommu_first(m),
		.length = uiommu_size(m),
	};

	uiommu_events_post(m->payer->owner->events, &event);
	trace_uiommu_lost(m);
}

/*
 * Take records that the caller has claimed out of every domain and of the tree.
 * What an IOMMU driver failed to clear is leaked rather than freed under a
 * device.
 */
static void withdraw(struct uiommu_space *space, struct uiommu_mapping *list)
{
	struct iommu_iotlb_gather gather;
	struct uiommu_mapping *m, *next;
	struct uiommu_domain *domain;

	guard(rwsem_read)(&space->domains_rwsem);

	list_for_each_entry(domain, &space->domains, link) {
		iommu_iotlb_gather_init(&gather);
		for (m = list; m; m = next) {
			next = unmap_run(domain, m, &gather);
			cond_resched();
		}
		iommu_iotlb_sync(domain->iommu, &gather);
	}

	guard(mutex)(&space->iova_lock);
	for (m = list; m; m = m->next) {
		/* Before its IOVA can be of another mapping */
		if (m->gone)
			tell_gone(m);
		trace_uiommu_unmap(m);
		uiommu_record_remove(space, m);
		cond_resched();
	}
}

/**
 * struct refund - what a payer gets back
 * @num: mappings
 * @pinned: pages that are no longer counted as mapped
 * @charged: pages
 */
struct refund {
	unsigned long num;
	unsigned long pinned;
	unsigned long charged;
};

/* The last access to @payer and its owner for these mappings */
static void settle(struct uiommu_payer *payer, const struct refund *refund)
{
	struct uiommu_owner *owner = payer->owner;

	atomic_long_sub(refund->pinned, &owner->space->pinned);
	if (owner->locked_pages)
		atomic_long_sub(refund->pinned, owner->locked_pages);
	uiommu_uncharge(payer, refund->charged);
	uiommu_payer_put(payer, refund->num);

	/* The owner may go once it counts to 0. */
	guard(spinlock)(&owner->payers_lock);
	if (!atomic_long_sub_return(refund->num, &owner->num_mappings))
		wake_up(&owner->settled);
}

/**
 * uiommu_destroy - unmap claimed records, unpin their memory, refund who paid
 * @space: the address space
 * @list: the records, or NULL
 *
 * With one sync for all. What stays pinned stays charged.
 *
 * Return: 0, -EIO when a device can still reach some of it.
 */
int uiommu_destroy(struct uiommu_space *space, struct uiommu_mapping *list)
{
	struct uiommu_mapping *m, *next, *done[32];
	struct refund refund = {};
	u32 num = 0;
	int ret = 0;

	if (!list)
		return 0;
	withdraw(space, list);

	for (m = list; m; m = next) {
		struct uiommu_payer *payer = m->payer;

		next = m->next;
		refund.num++;
		refund.charged += m->npages;
		if (m->state == UIOMMU_DYING)
			refund.pinned += m->npages;
		if (m->stuck) {
			refund.charged -= uiommu_pinned_size(m) >> PAGE_SHIFT;
			ret = -EIO;
		} else {
			uiommu_unpin(m);
		}
		if (m->num_extents > 1)
			uiommu_extents_free(m);
		done[num++] = m;
		if (num == ARRAY_SIZE(done) || !next ||
		    next->watched != m->watched) {
			uiommu_records_free(done, num);
			num = 0;
		}
		if (!next || next->payer != payer) {
			settle(payer, &refund);
			refund = (struct refund) {};
		}
		cond_resched();
	}
	return ret;
}

/**
 * struct request - what is to be mapped
 * @vaddr: process address
 * @iova: address for the devices, chosen when it is to be
 * @size: bytes
 * @max: 0, or choose @iova, and none above this
 * @answer: where to put the chosen one, for the user
 * @flags: UIOMMU_WRITE, UIOMMU_KEEP
 */
struct request {
	unsigned long vaddr;
	u64 iova;
	u64 size;
	u64 max;
	struct uiommu_map __user *answer;
	unsigned int flags;
};

/* Whole pages that wrap neither in the process nor in IOVA? */
bool uiommu_range_valid(u64 vaddr, u64 iova, u64 size)
{
	unsigned long vlast;
	u64 last;

	return size && PAGE_ALIGNED(vaddr | iova | size) &&
	       size >> PAGE_SHIFT <= U32_MAX &&
	       !check_add_overflow(iova, size - 1, &last) &&
	       !check_add_overflow(vaddr, size - 1, &vlast);
}

static int reserve(struct uiommu_owner *owner, struct uiommu_mapping *m,
		   const struct request *r, u64 *sequence)
{
	struct uiommu_space *space = owner->space;

	guard(mutex)(&space->iova_lock);
	/* What is told up to here is not of this mapping. */
	if (r->answer)
		*sequence = uiommu_events_sequence(owner->events);
	return r->max ? reserve_lowest(space, m, r->vaddr, r->max) :
			uiommu_record_reserve(space, m);
}

static int map(struct uiommu_owner *owner, const struct request *r)
{
	struct uiommu_space *space = owner->space;
	struct uiommu_payer *payer;
	struct uiommu_mapping *m;
	u64 sequence = 0;
	int ret;

	if (!uiommu_range_valid(r->vaddr, r->iova, r->size))
		return -EINVAL;

	payer = uiommu_payer_get(owner, 1);
	if (!payer)
		return -ENOMEM;

	ret = uiommu_charge(payer, r->size >> PAGE_SHIFT);
	if (ret)
		goto err_payer;

	ret = -ENOMEM;
	if (!uiommu_records_alloc(&m, 1, r->flags))
		goto err_charge;
	uiommu_record_init(m, payer, r->vaddr, r->iova, r->size, r->flags);

	ret = reserve(owner, m, r, &sequence);
	if (ret)
		goto err_free;
	atomic_long_inc(&owner->num_mappings);

	if (m->watched) {
		ret = uiommu_watch_begin(&m, 1);
		if (ret)
			goto err_destroy;
	}
	ret = uiommu_pin(space, m, r->vaddr);
	/* Nobody else can unmap it yet. */
	if (!ret && r->answer &&
	    (put_user(uiommu_first(m), &r->answer->out_iova) ||
	     put_user(sequence, &r->answer->out_sequence)))
		ret = -EFAULT;
	if (!ret && !uiommu_publish(owner, &m, 1, m->npages))
		ret = -EFAULT;
	if (!ret)
		return 0;
	if (m->watched)
		uiommu_watch_abort(&m, 1);
err_destroy:
	m->next = NULL;
	uiommu_destroy(space, m);
	return ret;

err_free:
	uiommu_records_free(&m, 1);
err_charge:
	uiommu_uncharge(payer, r->size >> PAGE_SHIFT);
err_payer:
	uiommu_payer_put(payer, 1);
	return ret;
}

/**
 * uiommu_map - pin memory of the calling process and map it
 * @owner: the file it is mapped through
 * @vaddr: process address, a multiple of PAGE_SIZE
 * @iova: address for the devices, a multiple of PAGE_SIZE
 * @size: bytes, a multiple of PAGE_SIZE, not 0, less than 2^32 pages
 * @flags: UIOMMU_WRITE: the devices may write to it; UIOMMU_KEEP: it stays when
 *	the process unmaps the memory or exits
 *
 * Context: process context of the memory's process, may sleep; hold nothing.
 * Return: 0; -EINVAL for a malformed range, -EADDRNOTAVAIL outside the windows,
 * -EBUSY when it overlaps a mapping, -ENOMEM above the memlock limit or without
 * memory, -EFAULT when the memory cannot be pinned or goes away, -EIO when the
 * IOMMU fails, -EINTR when killed.
 */
int uiommu_map(struct uiommu_owner *owner, unsigned long vaddr, u64 iova,
	       u64 size, unsigned int flags)
{
	const struct request r = {
		.vaddr = untagged_addr(vaddr),
		.iova = iova,
		.size = size,
		.flags = flags,
	};

	return map(owner, &r);
}
EXPORT_SYMBOL_NS_GPL(uiommu_map, "UIOMMU");

/**
 * uiommu_map_lowest - pin memory of the calling process and map it somewhere
 * @owner: the file it is mapped through
 * @vaddr: process address, a multiple of PAGE_SIZE
 * @size: as for uiommu_map()
 * @max: the last address for the devices that may be used, not 0
 * @flags: as for uiommu_map()
 * @answer: where to put the address that was chosen, see uiommu_choose(), and the
 *	number of the last event before that
 *
 * Context: process context of the memory's process, may sleep; hold nothing.
 * Return: as uiommu_map(); -ENOSPC when there is no such address.
 */
int uiommu_map_lowest(struct uiommu_owner *owner, unsigned long vaddr,
		      u64 size, u64 max, unsigned int flags,
		      struct uiommu_map __user *answer)
{
	const struct request r = {
		.vaddr = untagged_addr(vaddr),
		.size = size,
		.max = max,
		.answer = answer,
		.flags = flags,
	};

	return map(owner, &r);
}

/**
 * uiommu_claims_end - all that was claimed is in the list
 * @claims: what uiommu_claim_range() claimed
 *
 * But what was lost: lost_work() unmaps it.
 *
 * Context: space->iova_lock is held, since the first was claimed.
 */
void uiommu_claims_end(struct uiommu_claims *claims)
{
	struct uiommu_mapping **tail = claims->tail, *m;
	u32 i;

	uiommu_watch_end(claims->pending, claims->num_pending);
	for (i = 0; i < claims->num_pending; i++) {
		m = claims->pending[i];
		if (!m)
			continue;
		*tail = m;
		tail = &m->next;
		claims->num++;
	}
	*tail = NULL;
	claims->tail = tail;
	claims->num_pending = 0;
}

static noinline void claim_kept(struct uiommu_mapping *m,
				struct uiommu_claims *claims)
{
	/* In the order of the tree */
	uiommu_claims_end(claims);
	m->next = NULL;
	*claims->tail = m;
	claims->tail = &m->next;
	claims->num++;
}

static inline void claim(struct uiommu_mapping *m, struct uiommu_claims *claims)
{
	m->state = UIOMMU_DYING;
	claims->last = m;
	if (!m->watched) {
		claim_kept(m, claims);
		return;
	}
	claims->pending[claims->num_pending++] = m;
	if (claims->num_pending == ARRAY_SIZE(claims->pending))
		uiommu_claims_end(claims);
}

/* As uiommu_find_from(); most often it is the one behind @near. */
static struct uiommu_mapping *find_near(struct uiommu_space *space,
					struct uiommu_mapping *near, u64 first)
{
	struct rb_node *node = near ? rb_next(&near->node) : NULL;

	if (node && uiommu_first(to_mapping(node)) == first)
		return to_mapping(node);
	return uiommu_find_from(space, first);
}

/* As uiommu_claim_range(), for a range that is not that of one mapping */
static noinline int claim_several(struct uiommu_mapping *start, u64 iova,
				  u64 last, struct uiommu_claims *claims)
{
	bool found = false, busy = false;
	struct uiommu_mapping *m;

	if (start && uiommu_first(start) > last)
		start = NULL;

	for (m = start; m; m = next_up_to(m, last)) {
		if (uiommu_first(m) < iova || uiommu_last(m) > last)
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
		claim(m, claims);
		cond_resched();
	}
	return 0;
}

/**
 * uiommu_claim_range - claim all that is mapped in a range for unmapping
 * @space: the address space
 * @iova: first address, a multiple of PAGE_SIZE
 * @size: bytes, a multiple of PAGE_SIZE, not 0
 * @claims: they are added to it
 *
 * Context: space->iova_lock is held, until uiommu_claims_end() was called.
 * Return: 0 or as uiommu_unmap(), then nothing was claimed.
 */
int uiommu_claim_range(struct uiommu_space *space, u64 iova, u64 size,
		       struct uiommu_claims *claims)
{
	struct uiommu_mapping *m;
	u64 last;

	lockdep_assert_held(&space->iova_lock);

	if (!size || !PAGE_ALIGNED(iova | size) ||
	    check_add_overflow(iova, size - 1, &last))
		return -EINVAL;

	m = find_near(space, claims->last, iova);
	/* Most ranges are that of one mapping. */
	if (m && m->state == UIOMMU_LIVE && uiommu_first(m) == iova &&
	    uiommu_size(m) == size) {
		claim(m, claims);
		return 0;
	}
	return claim_several(m, iova, last, claims);
}

/**
 * uiommu_unmap_finish - unmap what was claimed, with one sync
 * @space: the address space
 * @list: what was claimed, or NULL
 *
 * And wait for what was lost and not claimed.
 *
 * Return: 0, -EIO when a device can still reach some of it.
 */
int uiommu_unmap_finish(struct uiommu_space *space,
			struct uiommu_mapping *list)
{
	int ret = uiommu_destroy(space, list);

	uiommu_watch_flush(space);
	return ret;
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
 * -ENXIO when it holds none, -EBUSY when one is just being made or unmapped,
 * -EIO when the IOMMU failed: then a device can still reach the memory.
 */
int uiommu_unmap(struct uiommu_space *space, u64 iova, u64 size)
{
	struct uiommu_mapping *list = NULL;
	struct uiommu_claims claims;
	int ret;

	uiommu_claims_begin(&claims, &list);
	scoped_guard(mutex, &space->iova_lock) {
		ret = uiommu_claim_range(space, iova, size, &claims);
		uiommu_claims_end(&claims);
	}
	return ret ?: uiommu_unmap_finish(space, list);
}
EXPORT_SYMBOL_NS_GPL(uiommu_unmap, "UIOMMU");

/**
 * uiommu_unmap_all - unmap all that there is, with one sync
 * @space: the address space
 * @owner: only what was mapped through this file, or NULL
 * @num: the number of mappings is added to it
 *
 * But for what others are making or unmapping just now.
 *
 * Context: may sleep.
 * Return: as uiommu_unmap_finish().
 */
int uiommu_unmap_all(struct uiommu_space *space, struct uiommu_owner *owner,
		     u64 *num)
{
	struct uiommu_mapping *list = NULL;
	struct uiommu_claims claims;
	struct rb_node *node;

	uiommu_claims_begin(&claims, &list);
	scoped_guard(mutex, &space->iova_lock) {
		for (node = rb_first(&space->mappings); node;
		     node = rb_next(node)) {
			struct uiommu_mapping *m = to_mapping(node);

			if (m->state == UIOMMU_LIVE &&
			    (!owner || m->payer->owner == owner))
				claim(m, &claims);
			cond_resched();
		}
		uiommu_claims_end(&claims);
	}
	*num += claims.num;
	return uiommu_unmap_finish(space, list);
}

/**
 * uiommu_owner_create - start mapping through a file
 * @space: the address space; a reference is taken
 * @locked_pages: also counts the pages that are mapped through it, or NULL;
 *	lives until uiommu_owner_destroy()
 * @events: where to tell what happens to its mappings, lives as long
 *
 * Return: the owner, or NULL when there is no memory.
 */
struct uiommu_owner *uiommu_owner_create(struct uiommu_space *space,
					 atomic_long_t *locked_pages,
					 struct uiommu_events *events)
{
	struct uiommu_owner *owner;

	owner = kzalloc_obj(*owner, GFP_KERNEL_ACCOUNT);
	if (!owner)
		return NULL;
	kref_get(&space->ref);
	owner->space = space;
	owner->locked_pages = locked_pages;
	owner->events = events;
	init_waitqueue_head(&owner->settled);
	spin_lock_init(&owner->payers_lock);
	INIT_LIST_HEAD(&owner->payers);
	return owner;
}
EXPORT_SYMBOL_NS_GPL(uiommu_owner_create, "UIOMMU");

/**
 * uiommu_owner_idle - does a file own no mapping?
 * @owner: the file
 *
 * Context: may sleep.
 */
bool uiommu_owner_idle(struct uiommu_owner *owner)
{
	uiommu_watch_flush(owner->space);
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
	u64 num = 0;

	if (atomic_long_read(&owner->num_mappings)) {
		uiommu_unmap_all(space, owner, &num);
		/* Others may be at work on mappings of ours. */
		wait_event(owner->settled,
			   !atomic_long_read(&owner->num_mappings));
	}
	/* Whoever unmapped the last one holds this until done with @owner. */
	spin_lock(&owner->payers_lock);
	spin_unlock(&owner->payers_lock);

	uiommu_payers_free(owner);
	kfree(owner);
	uiommu_space_put(space);
}
EXPORT_SYMBOL_NS_GPL(uiommu_owner_destroy, "UIOMMU");
