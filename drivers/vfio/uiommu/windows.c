// SPDX-License-Identifier: GPL-2.0-only
/*
 * Windows: which IOVA can be mapped at all.
 */
#include <linux/align.h>
#include <linux/math.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "private.h"

/*
 * One window from @first to @last, shrunk to whole pages, with room for
 * @max_cuts calls of uiommu_windows_cut().
 */
struct uiommu_windows *uiommu_windows_create(u64 first, u64 last,
					     unsigned int max_cuts)
{
	struct uiommu_windows *windows;
	unsigned int room = max_cuts + 1;

	windows = kzalloc_flex(*windows, range, room, GFP_KERNEL_ACCOUNT);
	if (!windows)
		return NULL;

	windows->room = room;
	windows->range[0].first = 0;
	windows->range[0].last = U64_MAX;
	windows->num = 1;
	if (first)
		uiommu_windows_cut(windows, 0, first - 1);
	if (last != U64_MAX)
		uiommu_windows_cut(windows, last + 1, U64_MAX);
	return windows;
}

static void remove_range(struct uiommu_windows *windows, unsigned int i)
{
	windows->num--;
	memmove(&windows->range[i], &windows->range[i + 1],
		(windows->num - i) * sizeof(windows->range[0]));
}

static void insert_range(struct uiommu_windows *windows, unsigned int i)
{
	memmove(&windows->range[i + 1], &windows->range[i],
		(windows->num - i) * sizeof(windows->range[0]));
	windows->num++;
}

/*
 * Take @first to @last, grown to whole pages, out of the windows.  Each call
 * adds one range at most, when it cuts one in two; cutting at an end of the
 * address space adds none.
 */
void uiommu_windows_cut(struct uiommu_windows *windows, u64 first, u64 last)
{
	unsigned int i = 0;

	first = ALIGN_DOWN(first, (u64)PAGE_SIZE);
	last |= PAGE_SIZE - 1;

	while (i < windows->num) {
		struct uiommu_range *range = &windows->range[i];

		if (last < range->first || first > range->last) {
			i++;
		} else if (first <= range->first && last >= range->last) {
			remove_range(windows, i);
		} else if (first <= range->first) {
			range->first = last + 1;
			i++;
		} else if (last >= range->last) {
			range->last = first - 1;
			i++;
		} else {
			if (WARN_ON_ONCE(windows->num == windows->room)) {
				/* Too small a window is safe, too large is not. */
				range->last = first - 1;
				return;
			}
			insert_range(windows, i);
			windows->range[i].last = first - 1;
			windows->range[i + 1].first = last + 1;
			return;
		}
	}
}

/* Does one window hold all of @first to @last?  NULL is no limit at all. */
bool uiommu_windows_hold(const struct uiommu_windows *windows, u64 first,
			 u64 last)
{
	unsigned int i;

	if (!windows)
		return true;
	for (i = 0; i < windows->num; i++)
		if (first >= windows->range[i].first &&
		    last <= windows->range[i].last)
			return true;
	return false;
}
