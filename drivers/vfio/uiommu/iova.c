// SPDX-License-Identifier: GPL-2.0-only
/*
 * Choosing the IOVA of a mapping: the lowest hole that is large enough.
 *
 * Holes are looked for along the records, from a hint on.  There is a hint for
 * each order of size, below which no hole of that order is, so that small holes
 * far below do not make the search for a large one long.
 */
#include <linux/align.h>
#include <linux/cleanup.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched/signal.h>

#include "private.h"

/*
 * Left out, though a process can have them by name: 0, which too many drivers
 * take for none, and where interrupts are on x86 and, managed by software, on
 * others: a device that comes later may not have memory there.
 */
static const struct uiommu_range avoided[] = {
	{ 0, PAGE_SIZE - 1 },
	{ 0x08000000, 0x080fffff },
	{ 0xfee00000, 0xfeefffff },
};

/**
 * struct search - for a hole
 * @size: bytes that it must have
 * @vaddr: IOVA and process address are to be the same, modulo @align
 * @align: size of a huge page that fits in, or of a page
 * @max: the last IOVA to be used
 * @found: the IOVA
 * @start: first address of the hole that it is in
 * @killed: the process was, before the end of the search
 * @seen: holes that did not do are of an order below this
 * @first: of each order below, the first such hole
 */
struct search {
	u64 size;
	u64 vaddr;
	u64 align;
	u64 max;
	u64 found;
	u64 start;
	bool killed;
	unsigned int seen;
	u64 first[UIOMMU_ORDERS];
};

/* Of the size of a hole of whole pages */
static unsigned int order_of(u64 first, u64 last)
{
	return min_t(unsigned int, ilog2(((last - first) >> PAGE_SHIFT) + 1),
		     UIOMMU_ORDERS - 1);
}

/* Try a hole, or the part of one before or behind an avoided range. */
static bool try_part(struct search *s, u64 first, u64 last)
{
	u64 iova = first + ((s->vaddr - first) & (s->align - 1));
	u64 end = min(last, s->max);

	if (iova >= first && iova <= end && end - iova >= s->size - 1) {
		s->found = iova;
		s->start = first;
		return true;
	}
	/* The first of its order: this is done once for each. */
	while (s->seen <= order_of(first, last))
		s->first[s->seen++] = first;
	return false;
}

static bool try_hole(struct search *s, u64 first, u64 last)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(avoided); i++) {
		if (avoided[i].last < first || avoided[i].first > last)
			continue;
		if (avoided[i].first > first &&
		    try_part(s, first, avoided[i].first - 1))
			return true;
		if (avoided[i].last >= last)
			return false;
		first = avoided[i].last + 1;
	}
	return try_part(s, first, last);
}

/* Look at the holes of a window, from @first on. */
static bool try_window(struct uiommu_space *space, struct search *s, u64 first,
		       u64 last)
{
	struct uiommu_mapping *m = uiommu_find_from(space, first);
	struct rb_node *node = m ? &m->node : NULL;

	for (; node && first <= s->max; node = rb_next(node)) {
		m = to_mapping(node);
		if (uiommu_first(m) > last)
			break;
		if (fatal_signal_pending(current)) {
			s->killed = true;
			return true;
		}
		if (uiommu_first(m) > first &&
		    try_hole(s, first, uiommu_first(m) - 1))
			return true;
		if (uiommu_last(m) >= last)
			return false;
		first = uiommu_last(m) + 1;
		cond_resched();
	}
	return first <= s->max && try_hole(s, first, last);
}

static bool try_from(struct uiommu_space *space, struct search *s, u64 from)
{
	static const struct uiommu_range all = { 0, ULONG_MAX };
	const struct uiommu_range *range = &all;
	unsigned int i, num = 1;

	if (space->windows) {
		range = space->windows->range;
		num = space->windows->num;
	}
	for (i = 0; i < num; i++) {
		u64 last = range[i].last, first = max(range[i].first, from);

		if (first <= last && first <= s->max &&
		    try_window(space, s, first, last))
			return true;
	}
	return false;
}

/**
 * uiommu_choose - find the lowest free IOVA
 * @space: the address space
 * @vaddr: process address of what is to be mapped: the IOVA is congruent to it
 *	modulo the size of the huge pages that fit in
 * @size: bytes, a multiple of PAGE_SIZE, not 0
 * @max: the last IOVA that may be used
 * @iova: where to put it
 *
 * Context: space->iova_lock is held.
 * Return: 0, -ENOSPC, -EINTR when killed.
 */
int uiommu_choose(struct uiommu_space *space, unsigned long vaddr, u64 size,
		  u64 max, u64 *iova)
{
	struct search s = {
		.size = size,
		.vaddr = vaddr,
		.align = size >= PUD_SIZE ? PUD_SIZE :
			 size >= PMD_SIZE ? PMD_SIZE : PAGE_SIZE,
		.max = max,
	};
	unsigned int order = order_of(0, size - 1), i;
	u64 from = space->hints[order];

	lockdep_assert_held(&space->iova_lock);

	space->chooses = true;
	s.seen = order;
	if (!try_from(space, &s, from))
		return -ENOSPC;
	if (s.killed)
		return -EINTR;

	for (i = order; i < UIOMMU_ORDERS; i++)
		space->hints[i] = max(space->hints[i],
				      i < s.seen ? s.first[i] : s.start);
	*iova = s.found;
	return 0;
}

/**
 * uiommu_freed - a record is about to leave the tree
 * @space: the address space
 * @m: the record
 *
 * Context: space->iova_lock is held.
 */
void uiommu_freed(struct uiommu_space *space, struct uiommu_mapping *m)
{
	struct rb_node *prev, *next;
	u64 first = 0, last = U64_MAX;
	unsigned int i;

	prev = rb_prev(&m->node);
	if (prev)
		first = uiommu_last(to_mapping(prev)) + 1;
	next = rb_next(&m->node);
	if (next)
		last = uiommu_first(to_mapping(next)) - 1;
	for (i = 0; i <= order_of(first, last); i++)
		space->hints[i] = min(space->hints[i], first);
}

/* The windows have changed. */
void uiommu_choose_anew(struct uiommu_space *space)
{
	lockdep_assert_held(&space->iova_lock);

	memset(space->hints, 0, sizeof(space->hints));
}
