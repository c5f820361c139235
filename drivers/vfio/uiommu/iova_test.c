// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the choice of IOVA, with records that hold no memory.
 */
#include <kunit/test.h>
#include <linux/bitmap.h>
#include <linux/cleanup.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/prandom.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "private.h"

#define PAGES(n)	((u64)(n) << PAGE_SHIFT)

static void put_space(void *space)
{
	struct uiommu_space *s = space;

	/* The records go with the test. */
	s->mappings = RB_ROOT;
	uiommu_space_put(s);
}

static struct uiommu_space *new_space(struct kunit *test)
{
	struct uiommu_space *space = uiommu_space_create();

	KUNIT_ASSERT_NOT_NULL(test, space);
	kunit_add_action_or_reset(test, put_space, space);
	return space;
}

static struct uiommu_mapping *take(struct kunit *test,
				   struct uiommu_space *space, u64 first,
				   u64 size)
{
	struct rb_node **link = &space->mappings.rb_node, *parent = NULL;
	struct uiommu_mapping *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, m);
	m->page = first >> PAGE_SHIFT;
	m->npages = size >> PAGE_SHIFT;
	while (*link) {
		parent = *link;
		link = first < uiommu_first(to_mapping(parent)) ?
			       &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&m->node, parent, link);
	rb_insert_color(&m->node, &space->mappings);
	if (!rb_next(&m->node))
		space->top = m;
	return m;
}

static void give(struct uiommu_space *space, struct uiommu_mapping *m)
{
	struct rb_node *prev = rb_prev(&m->node);

	guard(mutex)(&space->iova_lock);
	uiommu_freed(space, m);
	if (m == space->top)
		space->top = prev ? to_mapping(prev) : NULL;
	rb_erase(&m->node, &space->mappings);
}

static int try(struct uiommu_space *space, unsigned long vaddr, u64 size,
	       u64 max, u64 *iova)
{
	guard(mutex)(&space->iova_lock);
	return uiommu_choose(space, vaddr, size, max, iova);
}

static u64 choose(struct kunit *test, struct uiommu_space *space,
		  unsigned long vaddr, u64 size)
{
	u64 iova = U64_MAX;

	KUNIT_EXPECT_EQ(test, 0, try(space, vaddr, size, U64_MAX, &iova));
	return iova;
}

static void avoided(struct kunit *test)
{
	struct uiommu_space *space = new_space(test);

	KUNIT_EXPECT_EQ(test, PAGE_SIZE, choose(test, space, 0, PAGE_SIZE));
	take(test, space, PAGE_SIZE, 0x08000000 - PAGES(4));
	KUNIT_EXPECT_EQ(test, 0x08100000, choose(test, space, 0, PAGES(4)));
	KUNIT_EXPECT_EQ(test, 0x08000000 - PAGES(3),
			choose(test, space, 0, PAGES(3)));
	take(test, space, 0x08000000 - PAGES(3), PAGES(3));
	KUNIT_EXPECT_EQ(test, 0x08100000, choose(test, space, 0, PAGE_SIZE));
	/* One that somebody has there by name is none in the way. */
	take(test, space, 0x08080000, SZ_64K);
	KUNIT_EXPECT_EQ(test, 0x08100000, choose(test, space, 0, PAGE_SIZE));
	take(test, space, 0x08100000, 0xfee00000 - 0x08100000 - PAGES(16));
	KUNIT_EXPECT_EQ(test, 0xfef00000, choose(test, space, 0, PAGES(17)));
	KUNIT_EXPECT_EQ(test, 0xfee00000 - PAGES(16),
			choose(test, space, 0, PAGES(16)));
	take(test, space, 0xfee00000 - PAGES(16), PAGES(32));
	KUNIT_EXPECT_EQ(test, 0xfef00000, choose(test, space, 0, PAGE_SIZE));
}

/* A hole that an avoided range cuts is two, and one without any is none. */
static void around_avoided(struct kunit *test)
{
	struct uiommu_space *space = new_space(test);
	u64 iova;

	take(test, space, SZ_2M, 40 * SZ_1M);
	take(test, space, choose(test, space, SZ_2M, 120 * SZ_1M), 120 * SZ_1M);
	iova = choose(test, space, SZ_2M, 80 * SZ_1M);
	KUNIT_EXPECT_LT(test, iova, 0x08000000);
	take(test, space, iova, 80 * SZ_1M);

	scoped_guard(mutex, &space->iova_lock)
		uiommu_choose_anew(space);
	take(test, space, choose(test, space, 0, PAGE_SIZE), PAGE_SIZE);
	choose(test, space, 0, PAGE_SIZE);
	KUNIT_EXPECT_GT(test, space->hints[0], 0);
}

static void windows(struct kunit *test)
{
	struct uiommu_space *space = new_space(test);
	struct uiommu_windows *w = uiommu_windows_create(PAGES(16),
							 PAGES(64) - 1, 4);
	struct uiommu_mapping *m;
	u64 iova;

	KUNIT_ASSERT_NOT_NULL(test, w);
	uiommu_windows_cut(w, PAGES(24), PAGES(32) - 1);
	space->windows = w;		/* freed with it */
	KUNIT_EXPECT_EQ(test, PAGES(16), choose(test, space, 0, PAGES(8)));
	KUNIT_EXPECT_EQ(test, PAGES(32), choose(test, space, 0, PAGES(9)));
	KUNIT_EXPECT_EQ(test, PAGES(32), choose(test, space, 0, PAGES(32)));
	KUNIT_EXPECT_EQ(test, -ENOSPC, try(space, 0, PAGES(33), U64_MAX,
					   &iova));
	m = take(test, space, PAGES(16), PAGES(8));
	KUNIT_EXPECT_EQ(test, PAGES(32), choose(test, space, 0, PAGE_SIZE));
	take(test, space, PAGES(32), PAGES(32));
	KUNIT_EXPECT_EQ(test, -ENOSPC, try(space, 0, PAGE_SIZE, U64_MAX,
					   &iova));
	give(space, m);
	KUNIT_EXPECT_EQ(test, PAGES(16), choose(test, space, 0, PAGES(8)));
}

static void congruent(struct kunit *test)
{
	struct uiommu_space *space = new_space(test);
	/* Some huge pages are larger than what is below the avoided ranges. */
	const u64 base = ALIGN(0xfef00000ULL, PMD_SIZE);

	take(test, space, 0, base + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, base + PMD_SIZE,
			choose(test, space, 0, PMD_SIZE));
	KUNIT_EXPECT_EQ(test, base + PAGES(5),
			choose(test, space, 7 * PMD_SIZE + PAGES(5), PMD_SIZE));
	KUNIT_EXPECT_EQ(test, base + PMD_SIZE - PAGE_SIZE,
			choose(test, space, PMD_SIZE - PAGE_SIZE,
			       PMD_SIZE + PAGES(3)));
	/* A small one goes anywhere. */
	KUNIT_EXPECT_EQ(test, base + PAGE_SIZE,
			choose(test, space, PAGES(5), PMD_SIZE - PAGE_SIZE));
	/* Half of a hole is lost to it, but is found by a small one. */
	take(test, space, base + PAGE_SIZE, PAGES(9));
	KUNIT_EXPECT_EQ(test, base + PMD_SIZE + PAGE_SIZE,
			choose(test, space, PAGES(1), PMD_SIZE));
	KUNIT_EXPECT_EQ(test, base + PAGES(10),
			choose(test, space, 0, PAGE_SIZE));
}

static void limits(struct kunit *test)
{
	struct uiommu_space *space = new_space(test);
	struct uiommu_mapping *m;
	u64 iova;

	take(test, space, PAGE_SIZE, PAGES(9));
	KUNIT_EXPECT_EQ(test, -ENOSPC, try(space, 0, PAGE_SIZE, PAGES(11) - 2,
					   &iova));
	KUNIT_EXPECT_EQ(test, -ENOSPC, try(space, 0, PAGES(2), PAGES(11) - 1,
					   &iova));
	KUNIT_EXPECT_EQ(test, -ENOSPC, try(space, 0, PAGE_SIZE, 1, &iova));
	KUNIT_EXPECT_EQ(test, 0, try(space, 0, PAGE_SIZE, PAGES(11) - 1,
				     &iova));
	KUNIT_EXPECT_EQ(test, PAGES(10), iova);

	/* The top page is one like the others. */
	m = take(test, space, ULONG_MAX & PAGE_MASK, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, PAGES(10), choose(test, space, 0, PAGE_SIZE));
	if (IS_ENABLED(CONFIG_64BIT))
		KUNIT_EXPECT_EQ(test, ALIGN(0xfef00000ULL, PUD_SIZE),
				choose(test, space, 0, PAGES(U32_MAX)));
	give(space, m);
	KUNIT_EXPECT_EQ(test, PAGES(10), choose(test, space, 0, PAGE_SIZE));
}

#define BOOK	(PMD_SIZE / PAGE_SIZE * 6)

/* Where the book begins: not far before an avoided range */
#define START	(round_down(0xfee00000ULL, PMD_SIZE) - 2 * PMD_SIZE)

struct book {
	DECLARE_BITMAP(used, 1 << 16);
};

/* Against a bitmap, with a limit, sizes up to two huge pages, and all holes */
static void at_random(struct kunit *test)
{
	struct uiommu_space *space = new_space(test);
	struct book *book = kunit_kzalloc(test, sizeof(*book), GFP_KERNEL);
	struct uiommu_mapping *m;
	struct rnd_state rnd;
	struct rb_node *node;
	unsigned long n, p, used, align, page;
	unsigned int i, k;
	u64 iova;
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, book);
	KUNIT_ASSERT_LE(test, BOOK, 1 << 16);
	prandom_seed_state(&rnd, 2010);
	for (p = 0; p < BOOK; p++)
		if (START + PAGES(p) >= 0xfee00000 &&
		    START + PAGES(p) <= 0xfeefffff)
			__set_bit(p, book->used);
	take(test, space, 0, START);
	for (i = 0; i < 4000; i++) {
		u32 r = prandom_u32_state(&rnd);

		node = rb_next(rb_first(&space->mappings));
		for (k = r % 64; k && node && rb_next(node); k--)
			node = rb_next(node);
		if (node && r & 0x100) {
			m = to_mapping(node);
			bitmap_clear(book->used,
				     (uiommu_first(m) - START) >> PAGE_SHIFT,
				     m->npages);
			give(space, m);
			continue;
		}
		n = 1 + prandom_u32_state(&rnd) %
			(r & 0xe00 ? 24 : 2 * PMD_SIZE / PAGE_SIZE);
		page = prandom_u32_state(&rnd) & 0xffff;
		align = PAGES(n) >= PMD_SIZE ? PMD_SIZE / PAGE_SIZE : 1;
		for (p = page % align; p + n <= BOOK;
		     p = used + 1 + (page - used - 1) % align) {
			used = find_next_bit(book->used, p + n, p);
			if (used >= p + n)
				break;
		}
		ret = try(space, page << PAGE_SHIFT, PAGES(n),
			  START + PAGES(BOOK) - 1, &iova);
		if (p + n > BOOK) {
			KUNIT_ASSERT_EQ(test, -ENOSPC, ret);
			continue;
		}
		KUNIT_ASSERT_EQ(test, 0, ret);
		KUNIT_ASSERT_EQ_MSG(test, START + PAGES(p), iova, "round %u, %lu pages",
				    i, n);
		bitmap_set(book->used, p, n);
		take(test, space, iova, PAGES(n));
	}
}

static struct kunit_case iova_cases[] = {
	KUNIT_CASE(avoided),
	KUNIT_CASE(around_avoided),
	KUNIT_CASE(windows),
	KUNIT_CASE(congruent),
	KUNIT_CASE(limits),
	KUNIT_CASE(at_random),
	{}
};

static struct kunit_suite iova_suite = {
	.name = "uiommu-iova",
	.test_cases = iova_cases,
};

kunit_test_suite(iova_suite);
