// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bugs for check: the sanitiser kernel has to report each of them.
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static DEFINE_SPINLOCK(planted_spin);
static DEFINE_MUTEX(planted_first);
static DEFINE_MUTEX(planted_second);

static int __init planted_init(void)
{
	char *volatile p;
	int i;

	/* DEBUG_ATOMIC_SLEEP */
	spin_lock(&planted_spin);
	might_sleep();
	spin_unlock(&planted_spin);

	/* PROVE_LOCKING: before KASAN, whose report switches it off */
	mutex_lock(&planted_first);
	mutex_lock(&planted_second);
	mutex_unlock(&planted_second);
	mutex_unlock(&planted_first);
	mutex_lock(&planted_second);
	mutex_lock(&planted_first);
	mutex_unlock(&planted_first);
	mutex_unlock(&planted_second);

	/* KASAN */
	p = kmalloc(24, GFP_KERNEL);
	if (!p)
		return -ENOMEM;
	p[24] = 1;
	kfree(p);

	/* kmemleak */
	for (i = 0; i < 8; i++)
		p = kmalloc(3000, GFP_KERNEL);
	p = NULL;

	return 0;
}
module_init(planted_init);

MODULE_DESCRIPTION("Planted bugs");
MODULE_LICENSE("GPL");
