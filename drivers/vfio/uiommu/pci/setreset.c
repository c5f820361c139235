// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reset of devices that nothing resets one by one: all functions of a slot, or all
 * of a bus, by who has them all open, and when nobody has any of them open.
 *
 * Who is let at this must not reach anything of others.  So every function that
 * is going to be reset is bound to this driver, which is seen under srcu, where
 * remove() cannot end, and open through one of the files that the caller shows.
 */
#include <linux/bitmap.h>
#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/pm_runtime.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "private.h"

/* How long to try, when others keep locking the devices */
#define RETRY_MS	20
#define RETRIES		50

/* Every bound device */
static LIST_HEAD(bound);
static DEFINE_MUTEX(bound_lock);

/**
 * struct reach - what is reset together
 * @slot: all below this slot, or NULL
 * @bus: all below this bus
 * @dev: devices of this driver that are meant to be all of it
 * @num: number of them
 * @seen: those that are in it
 * @others: there are some that are none of them
 * @idle: nobody may have one of them open
 */
struct reach {
	struct pci_slot *slot;
	struct pci_bus *bus;
	struct uiommu_pci *const *dev;
	unsigned int num;
	unsigned long *seen;
	bool others;
	bool idle;
};

/**
 * uiommu_pci_has_set_reset - can a device be reset together with others?
 * @pdev: the device
 *
 * A virtual function goes with its physical one, which the kernel drives.
 */
bool uiommu_pci_has_set_reset(struct pci_dev *pdev)
{
	return !pdev->is_virtfn && (!pci_probe_reset_slot(pdev->slot) ||
				    !pci_probe_reset_bus(pdev->bus));
}

/* Only while the device is on its bus does the core tell it when its slot goes. */
static int reach_init(struct reach *reach, struct uiommu_pci *dev)
{
	struct pci_dev *pdev = dev->pdev;

	guard(srcu)(&dev->srcu);

	if (uiommu_pci_gone(dev))
		return -ENODEV;
	reach->bus = pdev->bus;
	reach->slot = pci_probe_reset_slot(pdev->slot) ? NULL : pdev->slot;
	return 0;
}

/* Also what is below a bridge of the slot or of the bus */
static bool is_in_reach(const struct reach *reach, struct pci_dev *pdev)
{
	for (; pdev; pdev = pdev->bus->self)
		if (pdev->bus == reach->bus)
			return !reach->slot || pdev->slot == reach->slot;
	return false;
}

static int look_at(struct pci_dev *pdev, void *arg)
{
	struct reach *reach = arg;
	bool found = false;
	unsigned int i;

	/* A bridge is the kernel's, and restored by it. */
	if (pdev->subordinate || !is_in_reach(reach, pdev))
		return 0;
	for (i = 0; i < reach->num; i++) {
		if (reach->dev[i]->pdev == pdev) {
			__set_bit(i, reach->seen);
			found = true;
		}
	}
	reach->others |= !found;
	return 0;
}

/*
 * Are the devices all that would be reset, and no more?  Not under srcu: whoever
 * unbinds waits for that, and can have those wait who keep others from the list of
 * a bus.
 */
static int check_reach(struct reach *reach)
{
	unsigned int i;

	for (i = 0; i < reach->num; i++)
		if (uiommu_pci_gone(reach->dev[i]))
			return -ENODEV;

	bitmap_zero(reach->seen, reach->num);
	reach->others = false;
	pci_walk_bus(reach->bus, look_at, reach);
	if (reach->others)
		return -EPERM;
	return bitmap_full(reach->seen, reach->num) ? 0 : -EINVAL;
}

static int try_reset(struct reach *reach, unsigned long *resets)
{
	struct uiommu_pci *dev;
	unsigned int i;

	for (i = 0; i < reach->num; i++)
		resets[i] = READ_ONCE(reach->dev[i]->num_resets);
	for (i = 0; i < reach->num; i++) {
		dev = reach->dev[i];
		if (uiommu_pci_gone(dev))
			return -ENODEV;
		if (READ_ONCE(dev->gated) &
		    (UIOMMU_PCI_ERROR | UIOMMU_PCI_SLEEP))
			return -EBUSY;
		/* Opened since: that has reset it, or waits for this. */
		if (reach->idle && READ_ONCE(dev->opens))
			return -EBUSY;
	}
	/* Only tries for the locks of the devices. */
	return uiommu_pci_reset_errno(pci_reset_bus(reach->dev[0]->pdev));
}

/* After a reset, or one that failed: each device knows whether it was begun. */
static int finish(struct reach *reach, const unsigned long *resets, int ret)
{
	const bool failed = ret;
	unsigned int i;
	int err;

	for (i = 0; i < reach->num; i++) {
		if (failed) {
			uiommu_pci_reset_failed(reach->dev[i], resets[i]);
			continue;
		}
		err = uiommu_pci_was_reset(reach->dev[i], resets[i]);
		ret = ret ?: err;
	}
	return ret == -EAGAIN ? -EBUSY : ret;
}

static int reset_reach(struct reach *reach)
{
	struct uiommu_pci *const *dev = reach->dev;
	unsigned int num = reach->num, tries = 0, i;
	int ret;

	unsigned long *resets __free(kfree) =
		kmalloc_objs(*resets, num, GFP_KERNEL_ACCOUNT);
	unsigned long *seen __free(bitmap) =
		bitmap_alloc(num, GFP_KERNEL_ACCOUNT);
	int *idx __free(kfree) = kmalloc_objs(*idx, num, GFP_KERNEL_ACCOUNT);
	if (!resets || !seen || !idx)
		return -ENOMEM;

	if (!dev[0]->has_set_reset)
		return -EOPNOTSUPP;
	reach->seen = seen;
	ret = reach_init(reach, dev[0]);
	if (ret)
		return ret;
	do {
		if (tries)
			msleep(RETRY_MS);
		/* Others may have come meanwhile. */
		ret = check_reach(reach);
		if (ret)
			return ret;
		for (i = 0; i < num; i++)
			idx[i] = srcu_read_lock(&dev[i]->srcu);
		ret = try_reset(reach, resets);
		while (i--)
			srcu_read_unlock(&dev[i]->srcu, idx[i]);
	} while (ret == -EAGAIN && ++tries < RETRIES &&
		 !fatal_signal_pending(current));
	return finish(reach, resets, ret);
}

/**
 * uiommu_pci_reset_set - reset devices that are only reset together
 * @dev: the devices, not to be freed as long as this takes
 * @num: number of them, not 0
 *
 * Config space and interrupts are restored. All users are told, the caller, too.
 *
 * Context: may sleep; takes the device locks, so hold nothing.
 * Return: 0; -ENODEV when one is gone; -EPERM when a device that is none of them
 * would be reset, too; -EINVAL when one would not; -EOPNOTSUPP when this is not
 * possible here; -EBUSY while a bus error is handled or others have them locked;
 * -EIO when the reset fails.
 */
int uiommu_pci_reset_set(struct uiommu_pci *const *dev, unsigned int num)
{
	struct reach reach = { .dev = dev, .num = num };

	return reset_reach(&reach);
}

static void put_all(struct uiommu_pci **dev, unsigned int num)
{
	while (num--) {
		pm_runtime_put(&dev[num]->pdev->dev);
		put_device(&dev[num]->dev);
	}
}

/**
 * uiommu_pci_reset_idle - a device that is only reset with others was closed
 * @dev: the device
 *
 * When nobody has one of the others open either, reset them, so that none of them
 * remembers its user.
 *
 * Context: may sleep; takes the device locks, so hold nothing.
 */
void uiommu_pci_reset_idle(struct uiommu_pci *dev)
{
	struct reach reach = { .idle = true };
	unsigned int num = 0;
	struct uiommu_pci *d;

	struct uiommu_pci **all __free(kfree) =
		kmalloc_objs(*all, UIOMMU_PCI_MAX_SET);
	if (!all || reach_init(&reach, dev))
		return;

	scoped_guard(mutex, &bound_lock) {
		list_for_each_entry(d, &bound, bound_link) {
			if (!is_in_reach(&reach, d->pdev))
				continue;
			/* The first one is what tells of the reach. */
			if (READ_ONCE(d->opens) || num == UIOMMU_PCI_MAX_SET) {
				put_all(all, num);
				return;
			}
			get_device(&d->dev);
			pm_runtime_get_sync(&d->pdev->dev);
			all[num++] = d;
		}
	}
	if (num) {
		reach.dev = all;
		reach.num = num;
		reset_reach(&reach);
	}
	put_all(all, num);
}

/**
 * uiommu_pci_bind - a device is bound
 * @dev: the device
 */
void uiommu_pci_bind(struct uiommu_pci *dev)
{
	guard(mutex)(&bound_lock);
	list_add(&dev->bound_link, &bound);
}

/**
 * uiommu_pci_unbind - undo uiommu_pci_bind()
 * @dev: the device
 */
void uiommu_pci_unbind(struct uiommu_pci *dev)
{
	guard(mutex)(&bound_lock);
	list_del(&dev->bound_link);
}
