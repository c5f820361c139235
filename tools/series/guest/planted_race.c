// SPDX-License-Identifier: GPL-2.0-only
/*
 * A data race for check: KCSAN has to report it.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>

static unsigned long planted;
static DECLARE_COMPLETION(planted_done);

static int uiommu_planted_race(void *unused)
{
	int i;

	for (i = 0; i < 2000000; i++) {
		planted++;
		barrier();
		if (!(i % 1000))
			cond_resched();
	}
	complete(&planted_done);
	return 0;
}

static int __init planted_race_init(void)
{
	int i, started = 0;

	for (i = 0; i < 2; i++)
		started += !IS_ERR(kthread_run(uiommu_planted_race, NULL,
					       "planted/%d", i));
	for (i = 0; i < started; i++)
		wait_for_completion(&planted_done);
	return 0;
}
module_init(planted_race_init);

MODULE_DESCRIPTION("Planted data race");
MODULE_LICENSE("GPL");
