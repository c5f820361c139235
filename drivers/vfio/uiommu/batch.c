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
#include <linux/sched.h>
#include <linux/slab.h>

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
 * @most: pages of the largest
 * @created: so many have a record
 * @watched: so many are watched, if they are to be
 * @reserved: all have their IOVA
 * @m: records
 * @pages: room for @npages
 * @sg: room for the pages of each, zeroed
 */
struct together {
	struct uiommu_owner *owner;
	struct uiommu_payer *payer;
	const struct vfio_dma_map *entry;
	u32 num;
	u32 npages;
	u32 most;
	u32 created;
	u32 watched;
	bool reserved;
	struct uiommu_mapping **m;
	struct page **pages;
	struct scatterlist *sg;
};

static bool is_valid(const struct vfio_dma_map *entry)
{
	return !(entry->flags & ~(u64)UIOMMU_MAP_FLAGS) &&
	       entry->vaddr <= ULONG_MAX &&
	       uiommu_range_valid(entry->vaddr, entry->dmaaddr, entry->size);
}

/* Take as many of the first entries as can be mapped together. */
static void take_entries(struct together *t, u32 num)
{
	u32 n;

	for (; t->num < num && is_valid(&t->entry[t->num]); t->num++) {
		if (t->entry[t->num].size >> PAGE_SHIFT >
		    UIOMMU_TOGETHER_PAGES - t->npages)
			break;
		n = t->entry[t->num].size >> PAGE_SHIFT;
		t->npages += n;
		t->most = max(t->most, n);
	}
}

static int create_records(struct together *t)
{
	for (; t->created < t->num; t->created++) {
		const struct vfio_dma_map *e = &t->entry[t->created];
		struct uiommu_mapping *m;

		m = uiommu_record_create(t->payer, e->dmaaddr, e->size,
					 e->flags);
		if (!m)
			return -ENOMEM;
		t->m[t->created] = m;
	}
	return 0;
}

static int reserve_all(struct together *t)
{
	struct uiommu_space *space = t->owner->space;
	int ret = 0;
	u32 i;

	guard(mutex)(&space->iova_lock);

	for (i = 0; !ret && i < t->num; i++)
		ret = uiommu_record_reserve(space, t->m[i]);
	if (ret) {
		for (i--; i; i--)
			uiommu_record_remove(space, t->m[i - 1]);
		return ret;
	}
	atomic_long_add(t->num, &t->owner->num_mappings);
	t->reserved = true;
	return 0;
}

static int watch_all(struct together *t)
{
	int ret;

	for (; t->watched < t->num; t->watched++) {
		if (!t->m[t->watched]->watched)
			continue;
		ret = uiommu_watch_begin(t->m[t->watched],
					 t->entry[t->watched].vaddr);
		if (ret)
			return ret;
	}
	return 0;
}

/* The end of what follows an entry in memory and is written by devices, or not */
static u32 run_end(const struct together *t, u32 first)
{
	const struct vfio_dma_map *e = &t->entry[first];

	for (; first + 1 < t->num; first++, e++)
		if (e[1].vaddr != e->vaddr + e->size ||
		    t->m[first + 1]->write != t->m[first]->write)
			break;
	return first + 1;
}

static int pin_all(struct together *t)
{
	u32 i, end;
	int ret;

	for (i = 0; i < t->num; i = end) {
		end = run_end(t, i);
		ret = uiommu_pin_together(t->owner->space, t->m + i, end - i,
					  t->entry[i].vaddr, t->pages, t->sg);
		if (ret)
			return ret;
	}
	return 0;
}

/* Undo what was done for the mappings from @first on. */
static void undo(struct together *t, u32 first)
{
	struct uiommu_mapping *list = NULL;
	u32 i;

	if (!t->reserved) {
		for (i = 0; i < t->created; i++)
			kfree(t->m[i]);
		uiommu_uncharge(t->payer, t->npages);
		uiommu_payer_put(t->payer, t->num);
		return;
	}
	for (i = t->num; i > first; i--) {
		struct uiommu_mapping *m = t->m[i - 1];

		if (m->watched && i <= t->watched)
			uiommu_watch_end(m);
		m->next = list;
		list = m;
	}
	uiommu_destroy(t->owner->space, list);
}

/*
 * Returns how many of the first of @entry were mapped; when that is 0, *@tried were
 * not, and may be one by one.
 */
static u32 map_together(struct uiommu_owner *owner,
			const struct vfio_dma_map *entry, u32 num, u32 *tried)
{
	struct together t = { .owner = owner, .entry = entry };
	u32 done = 0;

	take_entries(&t, num);
	*tried = max(t.num, 1);
	if (t.num < 2)
		return 0;

	struct uiommu_mapping **m __free(kvfree) =
		kvmalloc_objs(*m, t.num, GFP_KERNEL_ACCOUNT);
	struct page **pages __free(kvfree) =
		kvmalloc_objs(*pages, t.npages, GFP_KERNEL_ACCOUNT);
	struct scatterlist *sg __free(kvfree) =
		kvzalloc_objs(*sg, t.most, GFP_KERNEL_ACCOUNT);

	if (!m || !pages || !sg)
		return 0;
	t.m = m;
	t.pages = pages;
	t.sg = sg;

	t.payer = uiommu_payer_get(owner, t.num);
	if (!t.payer)
		return 0;
	if (uiommu_charge(t.payer, t.npages)) {
		uiommu_payer_put(t.payer, t.num);
		return 0;
	}
	if (!create_records(&t) && !reserve_all(&t) && !watch_all(&t) &&
	    !pin_all(&t))
		done = uiommu_publish(owner, t.m, t.num);
	if (done < t.num)
		undo(&t, done);
	return done;
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
 * @entry: the first
 * @num: number of them
 * @done: number of those that are mapped, added to
 *
 * Context: as uiommu_map().
 * Return: 0, or why the next one is not.
 */
int uiommu_map_batch(struct uiommu_owner *owner,
		     const struct vfio_dma_map *entry, u32 num, u32 *done)
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

static int unmap_entry(struct uiommu_owner *owner,
		       const struct vfio_dma_map *entry,
		       struct uiommu_mapping *list,
		       struct uiommu_mapping ***tail)
{
	struct uiommu_mapping *last = NULL;

	if (entry->flags & ~(u64)UIOMMU_MAP_FLAGS)
		return -EOPNOTSUPP;
	if (list)
		last = container_of(*tail, struct uiommu_mapping, next);
	return uiommu_unmap_begin(owner->space, entry->dmaaddr, entry->size,
				  last, tail);
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
	struct uiommu_mapping *list = NULL, **tail = &list;
	int ret = 0, failed;
	u32 i;

	for (i = 0; i < num && !ret; i++) {
		ret = unmap_entry(owner, &entry[i], list, &tail);
		if (ret && list) {
			/* What stands in its way may be of this batch. */
			ret = uiommu_unmap_finish(owner->space, list);
			list = NULL;
			tail = &list;
			ret = ret ?: unmap_entry(owner, &entry[i], list, &tail);
		}
		*done += !ret;
		cond_resched();
	}
	failed = uiommu_unmap_finish(owner->space, list);
	return ret ?: failed;
}
