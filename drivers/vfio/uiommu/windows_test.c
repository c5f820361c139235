// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of windows and extents.
 */
#include <kunit/test.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "private.h"

KUNIT_DEFINE_ACTION_WRAPPER(free_windows, kfree, const void *);

static struct uiommu_windows *create(struct kunit *test, u64 first, u64 last)
{
	struct uiommu_windows *windows = uiommu_windows_create(first, last, 8);

	KUNIT_ASSERT_NOT_NULL(test, windows);
	kunit_add_action_or_reset(test, free_windows, windows);
	return windows;
}

static void expect(struct kunit *test, const struct uiommu_windows *windows,
		   unsigned int num, const struct uiommu_range *range)
{
	unsigned int i;

	KUNIT_ASSERT_EQ(test, windows->num, num);
	for (i = 0; i < num; i++) {
		KUNIT_EXPECT_EQ(test, windows->range[i].first, range[i].first);
		KUNIT_EXPECT_EQ(test, windows->range[i].last, range[i].last);
	}
}

static void whole_space(struct kunit *test)
{
	static const struct uiommu_range all = { 0, U64_MAX };
	struct uiommu_windows *windows = create(test, 0, U64_MAX);

	expect(test, windows, 1, &all);
	KUNIT_EXPECT_TRUE(test, uiommu_windows_hold(windows, 0, U64_MAX));
	KUNIT_EXPECT_TRUE(test, uiommu_windows_hold(windows, U64_MAX, U64_MAX));
	KUNIT_EXPECT_TRUE(test, uiommu_windows_hold(NULL, 0, U64_MAX));
}

/* An aperture that ends within pages is shrunk to whole ones. */
static void aperture(struct kunit *test)
{
	static const struct uiommu_range all = {
		PAGE_SIZE, 10 * PAGE_SIZE - 1
	};
	struct uiommu_windows *windows = create(test, 1, 10 * PAGE_SIZE);

	expect(test, windows, 1, &all);
	KUNIT_EXPECT_FALSE(test, uiommu_windows_hold(windows, 0, PAGE_SIZE));
	KUNIT_EXPECT_FALSE(test, uiommu_windows_hold(windows, PAGE_SIZE,
						     10 * PAGE_SIZE));
}

static void cut_middle(struct kunit *test)
{
	static const struct uiommu_range left[] = {
		{ 0, 0xfedfffff }, { 0xfef00000, U64_MAX }
	};
	struct uiommu_windows *windows = create(test, 0, U64_MAX);

	uiommu_windows_cut(windows, 0xfee00000, 0xfeefffff);
	expect(test, windows, 2, left);
	/* Again, and a part of it: no change. */
	uiommu_windows_cut(windows, 0xfee00000, 0xfeefffff);
	uiommu_windows_cut(windows, 0xfee80000, 0xfee80fff);
	expect(test, windows, 2, left);
	/* A range may not reach over the hole. */
	KUNIT_EXPECT_FALSE(test, uiommu_windows_hold(windows, 0xfedff000,
						     0xfef00fff));
	KUNIT_EXPECT_TRUE(test, uiommu_windows_hold(windows, 0xfedff000,
						    0xfedfffff));
	KUNIT_EXPECT_FALSE(test, uiommu_windows_hold(windows, 0xfedff000,
						     0xfee00000));
}

static void cut_ends(struct kunit *test)
{
	static const struct uiommu_range left = {
		2 * PAGE_SIZE, U64_MAX - 2 * PAGE_SIZE
	};
	struct uiommu_windows *windows = create(test, 0, U64_MAX);

	uiommu_windows_cut(windows, 0, 2 * PAGE_SIZE - 1);
	uiommu_windows_cut(windows, U64_MAX - 2 * PAGE_SIZE + 1, U64_MAX);
	expect(test, windows, 1, &left);
}

/* One byte of a page takes the page. */
static void cut_grows(struct kunit *test)
{
	static const struct uiommu_range left[] = {
		{ 0, 3 * PAGE_SIZE - 1 }, { 5 * PAGE_SIZE, U64_MAX }
	};
	struct uiommu_windows *windows = create(test, 0, U64_MAX);

	uiommu_windows_cut(windows, 4 * PAGE_SIZE - 1, 4 * PAGE_SIZE);
	expect(test, windows, 2, left);
}

static void cut_all(struct kunit *test)
{
	struct uiommu_windows *windows = create(test, 0, U64_MAX);

	uiommu_windows_cut(windows, 0x100000, 0x1fffff);
	uiommu_windows_cut(windows, 0x300000, 0x3fffff);
	KUNIT_EXPECT_EQ(test, windows->num, 3);
	uiommu_windows_cut(windows, 0x80000, 0x37ffff);
	KUNIT_EXPECT_EQ(test, windows->num, 2);
	uiommu_windows_cut(windows, 0, U64_MAX);
	KUNIT_EXPECT_EQ(test, windows->num, 0);
	KUNIT_EXPECT_FALSE(test, uiommu_windows_hold(windows, 0, 0));
}

static void extents(struct kunit *test)
{
	unsigned long pfn = BIT_ULL(40) - 1 > ULONG_MAX ? ULONG_MAX :
							   BIT_ULL(40) - 1;
	uiommu_extent_t extent = uiommu_extent(pfn, BIT(24) - 1);

	KUNIT_EXPECT_EQ(test, uiommu_extent_pfn(extent), pfn);
	KUNIT_EXPECT_EQ(test, uiommu_extent_pages(extent), BIT(24) - 1);
	/* Growing one leaves the page frame alone. */
	extent = uiommu_extent(pfn, 1) + 511;
	KUNIT_EXPECT_EQ(test, uiommu_extent_pfn(extent), pfn);
	KUNIT_EXPECT_EQ(test, uiommu_extent_pages(extent), 512);
}

static void records(struct kunit *test)
{
	struct uiommu_mapping m = {
		.page = U64_MAX >> PAGE_SHIFT,
		.npages = 1,
	};

	/* The top page of the address space is one like the others. */
	KUNIT_EXPECT_EQ(test, uiommu_first(&m), U64_MAX - PAGE_SIZE + 1);
	KUNIT_EXPECT_EQ(test, uiommu_last(&m), U64_MAX);
	m.page = 0;
	m.npages = U32_MAX;
	KUNIT_EXPECT_EQ(test, uiommu_size(&m), (u64)U32_MAX << PAGE_SHIFT);
}

static struct kunit_case windows_cases[] = {
	KUNIT_CASE(whole_space),
	KUNIT_CASE(aperture),
	KUNIT_CASE(cut_middle),
	KUNIT_CASE(cut_ends),
	KUNIT_CASE(cut_grows),
	KUNIT_CASE(cut_all),
	KUNIT_CASE(extents),
	KUNIT_CASE(records),
	{}
};

static struct kunit_suite windows_suite = {
	.name = "uiommu-windows",
	.test_cases = windows_cases,
};
kunit_test_suite(windows_suite);
