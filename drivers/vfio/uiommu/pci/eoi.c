// SPDX-License-Identifier: GPL-2.0-only
/*
 * An eventfd that is an end of interrupt: writing to it unmasks INTx, without a
 * request to the device.
 */
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/slab.h>

#include "private.h"

/*
 * The eventfd was written; its lock is held, with interrupts off.  Nothing can be
 * signalled in here: that eventfd may have a wakeup that writes to this one.
 */
static int eoi_wake(wait_queue_entry_t *wait, unsigned int mode, int sync,
		    void *key)
{
	struct uiommu_pci_eoi *eoi = container_of(wait, struct uiommu_pci_eoi,
						  wait);
	u64 count;

	if (!(key_to_poll(key) & EPOLLIN))
		return 0;
	eventfd_ctx_do_read(eoi->ctx, &count);
	/*
	 * Not more than once in a jiffy: two devices whose lines stay asserted
	 * can be made to end each other's interrupts.
	 */
	if (uiommu_pci_intx_user(eoi->dev, false))
		schedule_delayed_work(&eoi->again,
				      time_after_eq(READ_ONCE(eoi->last),
						    jiffies));
	return 0;
}

static void eoi_again(struct work_struct *work)
{
	struct uiommu_pci_eoi *eoi = container_of(to_delayed_work(work),
						  struct uiommu_pci_eoi, again);

	WRITE_ONCE(eoi->last, jiffies);
	uiommu_pci_intx_again(eoi->dev);
}

static void eoi_queue(struct file *file, wait_queue_head_t *head,
		      poll_table *poll)
{
	struct uiommu_pci_eoi *eoi = container_of(poll, struct uiommu_pci_eoi,
						  poll);

	eoi->head = head;
	add_wait_queue(head, &eoi->wait);
}

/**
 * uiommu_pci_eoi_drop - the eventfd is one like others again
 * @dev: the device
 *
 * Context: dev->irqs.lock held.
 */
void uiommu_pci_eoi_drop(struct uiommu_pci *dev)
{
	struct uiommu_pci_eoi *eoi = dev->irqs.eoi;
	u64 count;

	lockdep_assert_held(&dev->irqs.lock);

	if (!eoi)
		return;
	dev->irqs.eoi = NULL;
	eventfd_ctx_remove_wait_queue(eoi->ctx, &eoi->wait, &count);
	cancel_delayed_work_sync(&eoi->again);
	eventfd_ctx_put(eoi->ctx);
	kfree(eoi);
}

/* Take what was written before anybody waited for it. */
static void take_count(struct uiommu_pci_eoi *eoi)
{
	u64 count;

	guard(spinlock_irq)(&eoi->head->lock);
	eventfd_ctx_do_read(eoi->ctx, &count);
	/* Under the lock that those who wait take, too. */
	if (waitqueue_active(eoi->head))
		wake_up_locked_poll(eoi->head, EPOLLOUT);
}

/* Is it the eventfd that INTx signals? */
static bool is_trigger(struct uiommu_pci_irqs *irqs, struct eventfd_ctx *ctx)
{
	return irqs->type == UIOMMU_PCI_IRQ_INTX &&
	       rcu_access_pointer(irqs->vectors->trigger) == ctx;
}

/**
 * uiommu_pci_eoi_set - unmask INTx whenever an eventfd is written
 * @dev: the device
 * @fd: the eventfd, in place of one that was set before; < 0 for none
 *
 * INTx may be turned on before or after.
 *
 * Context: process context, dev->srcu held, dev->lock held.
 * Return: 0; -EOPNOTSUPP when the device has no INTx; -EBADF; -EINVAL when @fd is
 * no eventfd or the one that INTx signals; -ENOMEM.
 */
int uiommu_pci_eoi_set(struct uiommu_pci *dev, s32 fd)
{
	struct uiommu_pci_irqs *irqs = &dev->irqs;
	struct uiommu_pci_eoi *eoi;
	struct eventfd_ctx *ctx;

	if (!uiommu_pci_irq_max(dev, UIOMMU_PCI_IRQ_INTX))
		return -EOPNOTSUPP;

	guard(mutex)(&irqs->lock);
	if (fd < 0) {
		uiommu_pci_eoi_drop(dev);
		return 0;
	}

	CLASS(fd, f)(fd);
	if (fd_empty(f))
		return -EBADF;
	ctx = eventfd_ctx_fileget(fd_file(f));
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	eoi = is_trigger(irqs, ctx) ? ERR_PTR(-EINVAL) :
				      kzalloc_obj(*eoi, GFP_KERNEL_ACCOUNT);
	if (IS_ERR_OR_NULL(eoi)) {
		eventfd_ctx_put(ctx);
		return eoi ? PTR_ERR(eoi) : -ENOMEM;
	}

	eoi->dev = dev;
	eoi->ctx = ctx;
	eoi->last = jiffies - 1;
	INIT_DELAYED_WORK(&eoi->again, eoi_again);
	init_waitqueue_func_entry(&eoi->wait, eoi_wake);
	init_poll_funcptr(&eoi->poll, eoi_queue);

	uiommu_pci_eoi_drop(dev);
	irqs->eoi = eoi;
	/* Written before: that was an end of interrupt, too. */
	if (vfs_poll(fd_file(f), &eoi->poll) & EPOLLIN) {
		take_count(eoi);
		uiommu_pci_intx_mask(dev, false);
	}
	return 0;
}
