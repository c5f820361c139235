// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many mappings in one request: what they share is done once for all.
 *
 * Entries of a few pages each are mapped together: one charge, one reservation and
 * one publication; and where they follow each other in memory, one pin.  That is
 * all or nothing.  When it fails, they are mapped one by one, which finds the one
 * that is to blame.
 */
#include <linux/array_size.h>
#include <linux/cleanup.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <uapi/linux/uiommu.h>

#include "private.h"

static_assert(VFIO_FLAG_WRITE == UIOMMU_WRITE);
static_assert(UIOMMU_FLAG_KEEP == UIOMMU_KEEP);

/**
 * struct together - mappings that are being made together
 * @owner: the file they are made through
 * @payer: who is charged
 * @entry: what was asked for
 * @num: number of them
 * @npages: pages of all
 * @flags: of all
 * @m: their records
 * @pages: room for @npages
 * @sg: as much
 */
struct together {
	struct uiommu_owner *owner;
	struct uiommu_payer *payer;
	struct vfio_dma_map *entry;
	u32 num;
	u32 npages;
	unsigned int flags;
	struct uiommu_mapping **m;
	struct page **pages;
	struct scatterlist *sg;
};

/* Valid, and not of those that have to be mapped in pieces; takes the tag away. */
static bool is_good(struct vfio_dma_map *entry)
{
	if (entry->vaddr > ULONG_MAX)
		return false;
	entry->vaddr = untagged_addr((unsigned long)entry->vaddr);
	return uiommu_range_valid(entry->vaddr, entry->dmaaddr, entry->size) &&
	       !((entry->dmaaddr ^ (entry->dmaaddr + entry->size - 1)) &
		 ~(u64)(UIOMMU_UNMAP_STEP - 1));
}

/* Take as many of the first entries as can be mapped together. */
static void take_entries(struct together *t, u32 num)
{
	struct vfio_dma_map *e = t->entry;

	if (e->flags & ~(u64)UIOMMU_MAP_FLAGS)
		return;
	t->flags = e->flags;
	for (; t->num < num && is_good(e); t->num++, e++) {
		if (e->flags != t->flags ||
		    e->size >> PAGE_SHIFT >
			    UIOMMU_TOGETHER_PAGES - t->npages)
			break;
		t->npages += e->size >> PAGE_SHIFT;
	}
}

static int reserve_all(struct together *t)
{
	struct uiommu_space *space = t->owner->space;
	int ret;
	u32 i;

	guard(mutex)(&space->iova_lock);

	for (i = 0; i < t->num; i++) {
		ret = uiommu_record_reserve(space, t->m[i]);
		if (ret)
			goto err;
	}
	return 0;
err:
	while (i--)
		uiommu_record_remove(space, t->m[i]);
	return ret;
}

/* The end of what follows an entry in memory */
static u32 run_end(const struct together *t, u32 first)
{
	const struct vfio_dma_map *e = &t->entry[first];

	for (; first + 1 < t->num; first++, e++)
		if (e[1].vaddr != e->vaddr + e->size)
			break;
	return first + 1;
}

static int pin_all(struct together *t)
{
	const struct vfio_dma_map *first, *last;
	u32 i, end;
	int ret;

	for (i = 0; i < t->num; i = end) {
		end = run_end(t, i);
		first = &t->entry[i];
		last = &t->entry[end - 1];
		ret = uiommu_pin_together(t->owner->space, t->m + i, end - i,
					  first->vaddr,
					  (last->vaddr + last->size -
					   first->vaddr) >> PAGE_SHIFT,
					  t->pages, t->sg);
		if (ret)
			return ret;
	}
	return 0;
}

/* Undo what was done for the mappings from @first on. */
static void destroy(struct together *t, u32 first)
{
	struct uiommu_mapping *list = NULL;
	u32 i;

	for (i = t->num; i > first; i--) {
		t->m[i - 1]->next = list;
		list = t->m[i - 1];
	}
	uiommu_destroy(t->owner->space, list);
}

/* Returns how many of the first are mapped. */
static u32 pin_and_publish(struct together *t)
{
	bool watched = t->m[0]->watched;
	u32 done = 0;

	if (!watched || !uiommu_watch_begin(t->m, t->num)) {
		if (!pin_all(t))
			done = uiommu_publish(t->owner, t->m, t->num,
					      t->npages);
		if (watched && done < t->num)
			uiommu_watch_abort(t->m + done, t->num - done);
	}
	if (done < t->num)
		destroy(t, done);
	return done;
}

/* Returns how many of the first are mapped. */
static u32 map_all(struct together *t)
{
	u32 i;

	t->payer = uiommu_payer_get(t->owner, t->num);
	if (!t->payer)
		return 0;
	if (uiommu_charge(t->payer, t->npages))
		goto err_payer;
	if (!uiommu_records_alloc(t->m, t->num, t->flags))
		goto err_charge;
	for (i = 0; i < t->num; i++)
		uiommu_record_init(t->m[i], t->payer, t->entry[i].vaddr,
				   t->entry[i].dmaaddr, t->entry[i].size,
				   t->flags);
	if (reserve_all(t))
		goto err_free;
	atomic_long_add(t->num, &t->owner->num_mappings);
	return pin_and_publish(t);

err_free:
	uiommu_records_free(t->m, t->num);
err_charge:
	uiommu_uncharge(t->payer, t->npages);
err_payer:
	uiommu_payer_put(t->payer, t->num);
	return 0;
}

/*
 * Returns how many of the first of @entry were mapped; when that is 0, *@tried were
 * not, and may be one by one.
 */
static u32 map_together(struct uiommu_owner *owner, struct vfio_dma_map *entry,
			u32 num, u32 *tried)
{
	struct together t = { .owner = owner, .entry = entry };

	take_entries(&t, num);
	*tried = max(t.num, 1);
	if (t.num < 2 || fatal_signal_pending(current))
		return 0;

	struct uiommu_mapping **m __free(kvfree) =
		kvmalloc_objs(*m, t.num, GFP_KERNEL_ACCOUNT);
	struct page **pages __free(kvfree) =
		kvmalloc_objs(*pages, t.npages, GFP_KERNEL_ACCOUNT);
	struct scatterlist *sg __free(kvfree) =
		kvmalloc_objs(*sg, t.npages, GFP_KERNEL_ACCOUNT);

	if (!m || !pages || !sg)
		return 0;
	t.m = m;
	t.pages = pages;
	t.sg = sg;
	return map_all(&t);
}

/**
 * uiommu_map_entry - map what a user asks for
 * @owner: the file it is mapped through
 * @entry: the request
 *
 * Return: as uiommu_map(), -EOPNOTSUPP for an unknown flag.
 */
int uiommu_map_entry(struct uiommu_owner *owner,
		     const struct vfio_dma_map *entry)
{
	if (entry->flags & ~(u64)UIOMMU_MAP_FLAGS)
		return -EOPNOTSUPP;
	if (entry->vaddr > ULONG_MAX)
		return -EINVAL;
	return uiommu_map(owner, entry->vaddr, entry->dmaaddr, entry->size,
			  entry->flags);
}

/**
 * uiommu_map_batch - map entry after entry, up to one that cannot be
 * @owner: the file they are mapped through
 * @entry: the first; tags are taken from their process addresses
 * @num: number of them
 * @done: number of those that are mapped, added to
 *
 * Context: as uiommu_map().
 * Return: 0, or why the next one is not.
 */
int uiommu_map_batch(struct uiommu_owner *owner, struct vfio_dma_map *entry,
		     u32 num, u32 *done)
{
	const struct vfio_dma_map *end = entry + num;
	u32 n, tried;
	int ret;

	while (entry < end) {
		n = map_together(owner, entry, end - entry, &tried);
		entry += n;
		*done += n;
		if (n)
			continue;
		for (; tried; tried--) {
			ret = uiommu_map_entry(owner, entry);
			if (ret)
				return ret;
			entry++;
			(*done)++;
			cond_resched();
		}
	}
	return 0;
}

/* Claim what the next entries name, up to one that cannot be. */
static int claim_entries(struct uiommu_owner *owner,
			 const struct vfio_dma_map *entry, u32 num, u32 *done,
			 struct uiommu_mapping **list)
{
	struct uiommu_space *space = owner->space;
	struct uiommu_claims claims;
	int ret = 0;

	uiommu_claims_begin(&claims, list);
	guard(mutex)(&space->iova_lock);

	for (; num; num--, entry++) {
		ret = entry->flags & ~(u64)UIOMMU_MAP_FLAGS ? -EOPNOTSUPP :
			      uiommu_claim_range(space, entry->dmaaddr,
						 entry->size, &claims);
		if (ret)
			break;
		(*done)++;
		cond_resched();
	}
	uiommu_claims_end(&claims);
	return ret;
}

/**
 * uiommu_unmap_batch - unmap range after range, up to one that cannot be
 * @owner: the file it was asked for on
 * @entry: the first
 * @num: number of them
 * @done: number of those that are unmapped, added to
 *
 * With one sync for all.
 *
 * Context: as uiommu_unmap().
 * Return: 0, or why the next one is not; -EIO can be of any.
 */
int uiommu_unmap_batch(struct uiommu_owner *owner,
		       const struct vfio_dma_map *entry, u32 num, u32 *done)
{
	struct uiommu_mapping *list;
	u32 before;
	int ret, failed;

	do {
		before = *done;
		list = NULL;
		ret = claim_entries(owner, entry, num, done, &list);
		failed = uiommu_unmap_finish(owner->space, list);
		if (failed)
			return failed;
		entry += *done - before;
		num -= *done - before;
		/* What stands in the way of the next may be of those. */
	} while (ret && *done != before);
	return ret;
}
