// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts: INTx, MSI and MSI-X, each one signalling an eventfd.
 *
 * The handlers do nothing but that.  Vectors are allocated when a kind is turned
 * on and stay until it is turned off; eventfds are swapped in place, so that an
 * interrupt goes to the old one or to the new one and is never lost.
 *
 * INTx is masked by its handler, until the user clears INTX_DISABLE or says end
 * of interrupt.  A line that is still asserted then is signalled again and not
 * unmasked: it would only fire at once.
 *
 * Design: original vfio/uiommu, Tom Lyon, Cisco Systems, 2010
 */
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "private.h"

static void signal_vector(struct uiommu_pci_vector *vector)
{
	struct eventfd_ctx *trigger;

	guard(rcu)();
	trigger = rcu_dereference(vector->trigger);
	if (trigger)
		eventfd_signal(trigger);
}

static irqreturn_t msi_handler(int irq, void *arg)
{
	signal_vector(arg);
	return IRQ_HANDLED;
}

static irqreturn_t intx_handler(int irq, void *arg)
{
	struct uiommu_pci_vector *vector = arg;
	struct uiommu_pci *dev = vector->dev;
	struct uiommu_pci_irqs *irqs = &dev->irqs;

	scoped_guard(spinlock_irqsave, &irqs->intx_lock) {
		if (irqs->intx_exclusive) {
			/* Masked meanwhile: it fires again when it is not. */
			if (irqs->intx_masked)
				return IRQ_HANDLED;
			disable_irq_nosync(irq);
		} else if (!pci_check_and_mask_intx(dev->pdev) ||
			   irqs->intx_masked) {
			/*
			 * Another device's; or others wrote the register, and
			 * now it is masked again.
			 */
			return IRQ_NONE;
		}
		irqs->intx_masked = true;
	}
	signal_vector(vector);
	return IRQ_HANDLED;
}

/**
 * uiommu_pci_intx_mask - INTX_DISABLE as the user writes it
 * @dev: the device
 * @mask: set or cleared
 *
 * Remembered while INTx is off, for when it is turned on.
 *
 * Context: any but hard interrupts.
 */
void uiommu_pci_intx_mask(struct uiommu_pci *dev, bool mask)
{
	struct uiommu_pci_irqs *irqs = &dev->irqs;
	struct uiommu_pci_vector *vector = NULL;

	guard(rcu)();
	scoped_guard(spinlock_irqsave, &irqs->intx_lock) {
		irqs->intx_disabled = mask;
		if (mask == irqs->intx_masked)
			return;
		if (!irqs->intx_on) {
			irqs->intx_masked = mask;
		} else if (irqs->intx_exclusive) {
			if (mask)
				disable_irq_nosync(irqs->vectors->irq);
			else
				enable_irq(irqs->vectors->irq);
			irqs->intx_masked = mask;
		} else if (mask) {
			pci_intx(dev->pdev, 0);
			irqs->intx_masked = true;
		} else if (pci_check_and_unmask_intx(dev->pdev)) {
			irqs->intx_masked = false;
		} else {
			/* Still asserted: this interrupt is the next one too. */
			vector = irqs->vectors;
		}
	}
	/* Freed after a grace period. */
	if (vector)
		signal_vector(vector);
}

/**
 * uiommu_pci_intx_eoi - end of interrupt: unmask INTx
 * @dev: the device
 *
 * Return: 0, -EINVAL when INTx is off.
 */
int uiommu_pci_intx_eoi(struct uiommu_pci *dev)
{
	if (!READ_ONCE(dev->irqs.intx_on))
		return -EINVAL;
	uiommu_pci_intx_mask(dev, false);
	return 0;
}

/**
 * uiommu_pci_irq_max - vectors of a kind that a device has
 * @pdev: the device
 * @type: the kind
 *
 * Return: their number, 0 when it has not that kind.
 */
unsigned int uiommu_pci_irq_max(struct pci_dev *pdev,
				enum uiommu_pci_irq_type type)
{
	int num = 0;

	switch (type) {
	case UIOMMU_PCI_IRQ_NONE:
		break;
	case UIOMMU_PCI_IRQ_INTX:
		/* A VF has no pin, whatever its config space says. */
		num = pdev->pin && pdev->irq && !pdev->is_virtfn;
		break;
	case UIOMMU_PCI_IRQ_MSI:
		num = pci_msi_vec_count(pdev);
		break;
	case UIOMMU_PCI_IRQ_MSIX:
		num = pci_msix_vec_count(pdev);
		break;
	}
	return max(num, 0);
}

/**
 * uiommu_pci_intx_sync - make the hardware's mask what it should be
 * @dev: the device, after others may have changed it: a reset, say
 */
void uiommu_pci_intx_sync(struct uiommu_pci *dev)
{
	struct uiommu_pci_irqs *irqs = &dev->irqs;

	bool enable;

	guard(spinlock_irqsave)(&irqs->intx_lock);
	enable = irqs->intx_on && (irqs->intx_exclusive || !irqs->intx_masked);
	pci_intx(dev->pdev, enable);
}

/* At first open: nothing is on, and the device cannot assert its line. */
void uiommu_pci_irq_init(struct uiommu_pci *dev)
{
	struct uiommu_pci_irqs *irqs = &dev->irqs;

	irqs->type = UIOMMU_PCI_IRQ_NONE;
	irqs->intx_on = false;
	irqs->intx_disabled = false;
	irqs->intx_masked = false;
	irqs->intx_exclusive = !pci_intx_mask_supported(dev->pdev);
	pci_intx(dev->pdev, 0);
}

static void put_triggers(struct eventfd_ctx **triggers, unsigned int num)
{
	while (num--)
		if (triggers[num])
			eventfd_ctx_put(triggers[num]);
	kvfree(triggers);
}

/* The eventfds behind @fds, NULL for those < 0; all or an error. */
static struct eventfd_ctx **get_triggers(const s32 *fds, unsigned int num)
{
	struct eventfd_ctx **triggers;
	unsigned int i;

	triggers = kvzalloc_objs(*triggers, num, GFP_KERNEL_ACCOUNT);
	if (!triggers)
		return ERR_PTR(-ENOMEM);

	for (i = 0; i < num; i++) {
		struct eventfd_ctx *trigger;

		if (fds[i] < 0)
			continue;
		trigger = eventfd_ctx_fdget(fds[i]);
		if (IS_ERR(trigger)) {
			put_triggers(triggers, i);
			return ERR_CAST(trigger);
		}
		triggers[i] = trigger;
	}
	return triggers;
}

/* Put @triggers in and leave those that were there in their place. */
static void swap_triggers(struct uiommu_pci_irqs *irqs,
			  struct eventfd_ctx **triggers)
{
	unsigned int i;

	lockdep_assert_held(&irqs->lock);

	for (i = 0; i < irqs->num_vectors; i++)
		triggers[i] = rcu_replace_pointer(irqs->vectors[i].trigger,
						  triggers[i],
						  lockdep_is_held(&irqs->lock));
	/* A handler may still be at one of the old ones. */
	synchronize_rcu();
}

static const char * const type_names[] = {
	[UIOMMU_PCI_IRQ_INTX] = "intx",
	[UIOMMU_PCI_IRQ_MSI] = "msi",
	[UIOMMU_PCI_IRQ_MSIX] = "msix",
};

static int request_vector(struct uiommu_pci *dev,
			  enum uiommu_pci_irq_type type, unsigned int i)
{
	struct uiommu_pci_irqs *irqs = &dev->irqs;
	struct uiommu_pci_vector *vector = &irqs->vectors[i];
	unsigned long flags = 0;
	int ret;

	vector->dev = dev;
	vector->irq = pci_irq_vector(dev->pdev, i);
	if (vector->irq < 0)
		return vector->irq;
	vector->name = kasprintf(GFP_KERNEL_ACCOUNT, "vfio-%s[%u](%s)",
				 type_names[type], i, pci_name(dev->pdev));
	if (!vector->name)
		return -ENOMEM;

	if (type == UIOMMU_PCI_IRQ_INTX)
		flags = irqs->intx_exclusive ? IRQF_NO_AUTOEN : IRQF_SHARED;
	ret = request_irq(vector->irq,
			  type == UIOMMU_PCI_IRQ_INTX ? intx_handler :
							msi_handler,
			  flags, vector->name, vector);
	if (ret)
		kfree(vector->name);
	return ret;
}

static void free_vectors(struct uiommu_pci *dev, unsigned int num)
{
	struct uiommu_pci_irqs *irqs = &dev->irqs;

	while (num--) {
		free_irq(irqs->vectors[num].irq, &irqs->vectors[num]);
		kfree(irqs->vectors[num].name);
	}
	pci_free_irq_vectors(dev->pdev);
	/* Turning MSI off turns INTx on. */
	pci_intx(dev->pdev, 0);
}

/* The handler is there: let interrupts through, unless the user masked them. */
static void start_intx(struct uiommu_pci *dev)
{
	struct uiommu_pci_irqs *irqs = &dev->irqs;

	guard(spinlock_irqsave)(&irqs->intx_lock);
	irqs->intx_on = true;
	if (irqs->intx_masked)
		return;
	if (irqs->intx_exclusive)
		enable_irq(irqs->vectors->irq);
	pci_intx(dev->pdev, 1);
}

static void stop_intx(struct uiommu_pci *dev)
{
	struct uiommu_pci_irqs *irqs = &dev->irqs;

	guard(spinlock_irqsave)(&irqs->intx_lock);
	irqs->intx_on = false;
	/* What an interrupt masked is not masked for the next eventfd. */
	irqs->intx_masked = irqs->intx_disabled;
	pci_intx(dev->pdev, 0);
}

static int turn_on(struct uiommu_pci *dev, enum uiommu_pci_irq_type type,
		   unsigned int num, struct eventfd_ctx **triggers)
{
	struct uiommu_pci_irqs *irqs = &dev->irqs;
	unsigned int i;
	int ret;

	irqs->vectors = kvzalloc_objs(*irqs->vectors, num, GFP_KERNEL_ACCOUNT);
	if (!irqs->vectors)
		return -ENOMEM;

	/* INTx needs no allocation, and that would let it through at once. */
	if (type != UIOMMU_PCI_IRQ_INTX) {
		ret = pci_alloc_irq_vectors(dev->pdev, num, num,
					    type == UIOMMU_PCI_IRQ_MSI ?
						    PCI_IRQ_MSI : PCI_IRQ_MSIX);
		if (ret < 0)
			goto err_free;
	}

	/* Before the first handler: an interrupt finds its eventfd. */
	for (i = 0; i < num; i++)
		RCU_INIT_POINTER(irqs->vectors[i].trigger, triggers[i]);

	for (i = 0; i < num; i++) {
		ret = request_vector(dev, type, i);
		if (ret)
			goto err_vectors;
	}
	memset(triggers, 0, array_size(num, sizeof(*triggers)));
	irqs->num_vectors = num;
	irqs->type = type;
	if (type == UIOMMU_PCI_IRQ_INTX)
		start_intx(dev);
	return 0;

err_vectors:
	free_vectors(dev, i);
err_free:
	kvfree(irqs->vectors);
	irqs->vectors = NULL;
	return ret;
}

static void turn_off(struct uiommu_pci *dev)
{
	struct uiommu_pci_irqs *irqs = &dev->irqs;
	struct eventfd_ctx *trigger;
	unsigned int i;

	lockdep_assert_held(&irqs->lock);

	if (irqs->type == UIOMMU_PCI_IRQ_INTX)
		stop_intx(dev);
	free_vectors(dev, irqs->num_vectors);

	/* uiommu_pci_intx_mask() may be at the vector. */
	synchronize_rcu();
	for (i = 0; i < irqs->num_vectors; i++) {
		trigger = rcu_dereference_protected(irqs->vectors[i].trigger,
						    true);
		if (trigger)
			eventfd_ctx_put(trigger);
	}
	kvfree(irqs->vectors);
	irqs->vectors = NULL;
	irqs->num_vectors = 0;
	irqs->type = UIOMMU_PCI_IRQ_NONE;
}

/* Everything off: the last file is closed, or the device is leaving. */
void uiommu_pci_irq_off(struct uiommu_pci *dev)
{
	guard(mutex)(&dev->irqs.lock);
	if (dev->irqs.type != UIOMMU_PCI_IRQ_NONE)
		turn_off(dev);
}

static int set_locked(struct uiommu_pci *dev, enum uiommu_pci_irq_type type,
		      unsigned int num, struct eventfd_ctx **triggers)
{
	int ret = 0;

	/* A reset keeps config access to itself, and so do we. */
	if (!pci_cfg_access_trylock(dev->pdev))
		return -EBUSY;

	if (READ_ONCE(dev->gated) & UIOMMU_PCI_DOWN)
		ret = -EBUSY;
	else if (!num)
		turn_off(dev);
	else
		ret = turn_on(dev, type, num, triggers);

	pci_cfg_access_unlock(dev->pdev);
	return ret;
}

/**
 * uiommu_pci_irq_set - turn interrupts on or off, or swap their eventfds
 * @dev: the device
 * @type: the kind
 * @num: vectors, 0 to turn the kind off
 * @fds: an eventfd for each, < 0 for none
 *
 * One kind is in use at a time.  Turning off what is off is no error.
 *
 * Context: process context, dev->srcu held, dev->lock held.
 * Return: 0; -EOPNOTSUPP when the device has not that kind; -EINVAL when it has
 * not so many or an fd is no eventfd; -EBADF; -EBUSY when another kind, or
 * another number, is in use, or in reset; -ENOSPC when the system has not so
 * many; -ENOMEM.  Nothing has changed then.
 */
int uiommu_pci_irq_set(struct uiommu_pci *dev, enum uiommu_pci_irq_type type,
		       unsigned int num, const s32 *fds)
{
	struct uiommu_pci_irqs *irqs = &dev->irqs;
	unsigned int max = uiommu_pci_irq_max(dev->pdev, type);
	struct eventfd_ctx **triggers;
	int ret;

	if (!max)
		return -EOPNOTSUPP;
	if (num > max)
		return -EINVAL;

	guard(mutex)(&irqs->lock);

	if (!num)
		return irqs->type == type ? set_locked(dev, type, 0, NULL) : 0;
	if (irqs->type != UIOMMU_PCI_IRQ_NONE &&
	    (irqs->type != type || irqs->num_vectors != num))
		return -EBUSY;

	triggers = get_triggers(fds, num);
	if (IS_ERR(triggers))
		return PTR_ERR(triggers);

	if (irqs->type == type) {
		swap_triggers(irqs, triggers);
		ret = 0;
	} else {
		ret = set_locked(dev, type, num, triggers);
	}
	put_triggers(triggers, num);
	return ret;
}
