// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts: INTx, MSI and MSI-X, each one signalling an eventfd.
 *
 * The handlers do nothing but that.  Vectors are allocated when a kind is turned
 * on and stay until it is turned off; eventfds are swapped in place, so that an
 * interrupt goes to the old one or to the new one and is never lost.
 *
 * What the handler of INTx does to its mask is in intx.c.
 *
 * Design: original vfio/uiommu, Tom Lyon, Cisco Systems, 2010
 */
#include <linux/bitmap.h>
#include <linux/cleanup.h>
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/msi.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "private.h"
#include "trace.h"

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
	struct uiommu_pci_vector *vector = arg;

	trace_uiommu_pci_irq(vector->dev, vector - vector->dev->irqs.vectors);
	signal_vector(vector);
	return IRQ_HANDLED;
}

static irqreturn_t intx_handler(int irq, void *arg)
{
	struct uiommu_pci_vector *vector = arg;
	struct uiommu_pci_irqs *irqs = &vector->dev->irqs;
	enum uiommu_intx_event event;

	/* Interrupts are off in a handler. */
	scoped_guard(spinlock, &irqs->intx_lock)
		event = uiommu_intx_interrupt(&irqs->intx);
	if (event == UIOMMU_INTX_SIGNAL) {
		trace_uiommu_pci_irq(vector->dev, 0);
		signal_vector(vector);
	}
	return IRQ_RETVAL(event != UIOMMU_INTX_OTHERS);
}

static bool intx_mask_asserted(void *priv)
{
	struct uiommu_pci *dev = priv;

	return pci_check_and_mask_intx(dev->pdev);
}

static bool intx_unmask_quiet(void *priv)
{
	struct uiommu_pci *dev = priv;

	return pci_check_and_unmask_intx(dev->pdev);
}

static void intx_enable(void *priv, bool on)
{
	struct uiommu_pci *dev = priv;
	enum uiommu_pci_irq_type type = READ_ONCE(dev->irqs.type);

	/* Some devices send no message with INTX_DISABLE set. */
	if (dev->pdev->dev_flags & PCI_DEV_FLAGS_MSI_INTX_DISABLE_BUG &&
	    (type == UIOMMU_PCI_IRQ_MSI || type == UIOMMU_PCI_IRQ_MSIX))
		on = true;
	pci_intx(dev->pdev, on);
}

static void intx_enable_line(void *priv, bool on)
{
	struct uiommu_pci *dev = priv;

	if (on)
		enable_irq(dev->irqs.vectors->irq);
	else
		disable_irq_nosync(dev->irqs.vectors->irq);
}

static const struct uiommu_intx_hw intx_hw = {
	.mask_asserted = intx_mask_asserted,
	.unmask_quiet = intx_unmask_quiet,
	.enable = intx_enable,
	.enable_line = intx_enable_line,
};

/**
 * uiommu_pci_irq_prepare - prepare what lives as long as the object
 * @dev: the device, being allocated
 */
void uiommu_pci_irq_prepare(struct uiommu_pci *dev)
{
	struct uiommu_pci_irqs *irqs = &dev->irqs;

	mutex_init(&irqs->lock);
	spin_lock_init(&irqs->intx_lock);
	irqs->intx.hw = &intx_hw;
	irqs->intx.priv = dev;
	irqs->num_msi = max(pci_msi_vec_count(dev->pdev), 0);
	irqs->num_msix = max(pci_msix_vec_count(dev->pdev), 0);
}

/**
 * uiommu_pci_intx_user - INTX_DISABLE as the user writes it
 * @dev: the device
 * @mask: set or cleared
 *
 * Context: any; signals nothing.
 * Return: true when the device still asserts its line: the next interrupt, to be
 * signalled by uiommu_pci_intx_again().
 */
bool uiommu_pci_intx_user(struct uiommu_pci *dev, bool mask)
{
	guard(spinlock_irqsave)(&dev->irqs.intx_lock);
	return uiommu_intx_user(&dev->irqs.intx, mask);
}

/**
 * uiommu_pci_intx_again - signal an interrupt that is there already
 * @dev: the device
 *
 * Context: any but within the wakeup of an eventfd.
 */
void uiommu_pci_intx_again(struct uiommu_pci *dev)
{
	struct uiommu_pci_irqs *irqs = &dev->irqs;
	struct uiommu_pci_vector *vector = NULL;

	/* Freed a grace period after it was turned off. */
	guard(rcu)();
	scoped_guard(spinlock_irqsave, &irqs->intx_lock)
		if (irqs->intx.on)
			vector = irqs->vectors;
	if (vector)
		signal_vector(vector);
}

/**
 * uiommu_pci_intx_mask - mask or unmask INTx for the user
 * @dev: the device
 * @mask: mask
 *
 * Context: process context.
 */
void uiommu_pci_intx_mask(struct uiommu_pci *dev, bool mask)
{
	if (uiommu_pci_intx_user(dev, mask))
		uiommu_pci_intx_again(dev);
}

/**
 * uiommu_pci_intx_eoi - end of interrupt: unmask INTx
 * @dev: the device
 *
 * Return: 0, -EINVAL when INTx is off.
 */
int uiommu_pci_intx_eoi(struct uiommu_pci *dev)
{
	if (!READ_ONCE(dev->irqs.intx.on))
		return -EINVAL;
	uiommu_pci_intx_mask(dev, false);
	return 0;
}

/**
 * uiommu_pci_intx_sync - the device is out of reach, or was, or others wrote its
 * registers
 * @dev: the device
 */
void uiommu_pci_intx_sync(struct uiommu_pci *dev)
{
	guard(spinlock_irqsave)(&dev->irqs.intx_lock);
	uiommu_intx_sync(&dev->irqs.intx,
			 READ_ONCE(dev->gated) & UIOMMU_PCI_DOWN);
}

/**
 * uiommu_pci_irq_max - vectors of a kind that a device has
 * @dev: the device
 * @type: the kind
 *
 * Context: any; does not look at the device, which may be in reset.
 * Return: their number, 0 when it has not that kind.
 */
unsigned int uiommu_pci_irq_max(struct uiommu_pci *dev,
				enum uiommu_pci_irq_type type)
{
	struct pci_dev *pdev = dev->pdev;

	switch (type) {
	case UIOMMU_PCI_IRQ_NONE:
		break;
	case UIOMMU_PCI_IRQ_INTX:
		/* A VF has no pin, whatever its config space says. */
		return pdev->pin && pdev->irq && !pdev->is_virtfn &&
		       pdev->irq != IRQ_NOTCONNECTED;
	case UIOMMU_PCI_IRQ_MSI:
		return dev->irqs.num_msi;
	case UIOMMU_PCI_IRQ_MSIX:
		return dev->irqs.num_msix;
	}
	return 0;
}

/* At first open: nothing is on, and the device cannot assert its line. */
void uiommu_pci_irq_init(struct uiommu_pci *dev)
{
	struct uiommu_intx *intx = &dev->irqs.intx;

	dev->irqs.type = UIOMMU_PCI_IRQ_NONE;
	intx->exclusive = !pci_intx_mask_supported(dev->pdev);
	intx->on = false;
	intx->disabled = false;
	intx->masked = false;
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

/*
 * Put @triggers in from @first on, and leave those that were there in them; NULL
 * for vectors that were just @added with theirs.
 */
static void swap_triggers(struct uiommu_pci_irqs *irqs, unsigned int first,
			  unsigned int num, struct eventfd_ctx **triggers,
			  const unsigned long *added)
{
	struct uiommu_pci_vector *vector = &irqs->vectors[first];
	unsigned int i;

	lockdep_assert_held(&irqs->lock);

	for (i = 0; i < num; i++)
		triggers[i] = test_bit(first + i, added) ? NULL :
			rcu_replace_pointer(vector[i].trigger, triggers[i],
					    lockdep_is_held(&irqs->lock));
	/* A handler may still be at one of the old ones. */
	synchronize_rcu();
}

/* What else an MSI domain says, when it cannot, is no errno of user space. */
static int errno_of(int err)
{
	switch (err) {
	case -EBUSY:
	case -EINVAL:
	case -ENOMEM:
	case -ENOSPC:
		return err;
	default:
		return -EOPNOTSUPP;
	}
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
	int irq, ret;

	vector->dev = dev;
	irq = pci_irq_vector(dev->pdev, i);
	if (irq < 0)
		return irq;
	vector->name = kasprintf(GFP_KERNEL_ACCOUNT, "vfio-%s[%u](%s)",
				 type_names[type], i, pci_name(dev->pdev));
	if (!vector->name)
		return -ENOMEM;

	/* A line that cannot be shared is an answer, not a line in the log. */
	if (type == UIOMMU_PCI_IRQ_INTX)
		flags = IRQF_PROBE_SHARED | (irqs->intx.exclusive ?
					     IRQF_NO_AUTOEN : IRQF_SHARED);
	ret = request_irq(irq, type == UIOMMU_PCI_IRQ_INTX ? intx_handler :
							     msi_handler,
			  flags, vector->name, vector);
	if (ret)
		kfree(vector->name);
	else
		vector->irq = irq;
	return ret;
}

static void free_vector(struct uiommu_pci_vector *vector)
{
	if (!vector->irq)
		return;
	free_irq(vector->irq, vector);
	kfree(vector->name);
	vector->irq = 0;
}

/*
 * Without a mask of its vectors MSI goes on when its address is taken away, and
 * writes to 0 then.
 */
static void stop_msi(struct pci_dev *pdev)
{
	unsigned int pos = pdev->msi_cap + PCI_MSI_FLAGS;
	u16 flags;

	if (!pdev->msi_enabled)
		return;
	/* Turning MSI off turns INTx on. */
	pci_intx(pdev, 0);
	pci_read_config_word(pdev, pos, &flags);
	pci_write_config_word(pdev, pos, flags & ~PCI_MSI_FLAGS_ENABLE);
}

static void free_vectors(struct uiommu_pci *dev, unsigned int num)
{
	stop_msi(dev->pdev);
	while (num--)
		free_vector(&dev->irqs.vectors[num]);
	/*
	 * A CPU may have taken one before it was masked, and not have looked up
	 * yet what that is: it must still be there, else it is an unexpected
	 * interrupt.  And uiommu_pci_intx_again() may be at the vector.
	 */
	synchronize_rcu();
	pci_free_irq_vectors(dev->pdev);
	/* As in stop_msi(), for MSI-X */
	pci_intx(dev->pdev, 0);
}

static int turn_on(struct uiommu_pci *dev, enum uiommu_pci_irq_type type,
		   unsigned int num, struct eventfd_ctx **triggers)
{
	struct uiommu_pci_irqs *irqs = &dev->irqs;
	unsigned int i;
	int ret;

	/* Vectors do not move while they are on: room for those to come. */
	irqs->room = num;
	if (type == UIOMMU_PCI_IRQ_MSIX && pci_msix_can_alloc_dyn(dev->pdev))
		irqs->room = max(num, uiommu_pci_irq_max(dev, type));
	irqs->vectors = kvzalloc_objs(*irqs->vectors, irqs->room,
				      GFP_KERNEL_ACCOUNT);
	if (!irqs->vectors)
		return -ENOMEM;

	/* INTx needs no allocation, and that would let it through at once. */
	if (type != UIOMMU_PCI_IRQ_INTX) {
		ret = pci_alloc_irq_vectors(dev->pdev, num, num,
					    type == UIOMMU_PCI_IRQ_MSI ?
						    PCI_IRQ_MSI : PCI_IRQ_MSIX);
		if (ret < 0) {
			ret = errno_of(ret);
			goto err_free;
		}
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
	if (type == UIOMMU_PCI_IRQ_INTX) {
		guard(spinlock_irqsave)(&irqs->intx_lock);
		uiommu_intx_start(&irqs->intx);
	} else if (dev->pdev->dev_flags & PCI_DEV_FLAGS_MSI_INTX_DISABLE_BUG) {
		pci_intx(dev->pdev, 1);
	}
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

	if (irqs->type == UIOMMU_PCI_IRQ_INTX) {
		guard(spinlock_irqsave)(&irqs->intx_lock);
		uiommu_intx_stop(&irqs->intx);
	}
	free_vectors(dev, irqs->num_vectors);

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
	uiommu_pci_eoi_drop(dev);
}

/* Is any interrupt on, or an eventfd that unmasks one? */
bool uiommu_pci_irq_in_use(struct uiommu_pci *dev)
{
	guard(mutex)(&dev->irqs.lock);
	return dev->irqs.type != UIOMMU_PCI_IRQ_NONE || dev->irqs.eoi;
}

/*
 * Allocate what is missing of vectors that get an eventfd, all or none.  A vector
 * can have an interrupt pending, so it gets its eventfd first.
 */
static int add_vectors(struct uiommu_pci *dev, unsigned int first,
		       unsigned int num, struct eventfd_ctx **triggers,
		       unsigned long *added)
{
	struct uiommu_pci_irqs *irqs = &dev->irqs;
	struct msi_map map = {};
	unsigned int i;
	int ret;

	for (i = first; i < first + num; i++) {
		if (irqs->vectors[i].irq || !triggers[i - first])
			continue;
		map = pci_msix_alloc_irq_at(dev->pdev, i, NULL);
		ret = map.index < 0 ? errno_of(map.index) : 0;
		if (ret)
			goto err_free;
		__set_bit(i, added);
		rcu_assign_pointer(irqs->vectors[i].trigger,
				   triggers[i - first]);
		ret = request_vector(dev, UIOMMU_PCI_IRQ_MSIX, i);
		if (ret)
			goto err_free;
	}
	irqs->num_vectors = max(irqs->num_vectors, first + num);
	return 0;

err_free:
	for_each_set_bit(i, added, UIOMMU_PCI_MAX_VECTORS)
		free_vector(&irqs->vectors[i]);
	/* As in free_vectors() */
	synchronize_rcu();
	for_each_set_bit(i, added, UIOMMU_PCI_MAX_VECTORS) {
		map.index = i;
		map.virq = pci_irq_vector(dev->pdev, i);
		pci_msix_free_irq(dev->pdev, map);
		RCU_INIT_POINTER(irqs->vectors[i].trigger, NULL);
	}
	bitmap_zero(added, UIOMMU_PCI_MAX_VECTORS);
	return ret;
}

/* Does a vector get an eventfd that is not allocated yet? */
static bool are_missing(struct uiommu_pci_irqs *irqs, unsigned int first,
			unsigned int num, struct eventfd_ctx **triggers)
{
	unsigned int i;

	for (i = first; i < first + num; i++)
		if (triggers[i - first] &&
		    (i >= irqs->room || !irqs->vectors[i].irq))
			return true;
	return false;
}

/* What changes the hardware: a reset keeps config access to itself. */
static int change(struct uiommu_pci *dev, enum uiommu_pci_irq_type type,
		  unsigned int first, unsigned int num,
		  struct eventfd_ctx **triggers, unsigned long *added)
{
	int ret = 0;

	if (!uiommu_pci_lock_config(dev))
		return -EBUSY;

	if (READ_ONCE(dev->gated) & UIOMMU_PCI_DOWN)
		ret = -EBUSY;
	else if (!num)
		turn_off(dev);
	else if (dev->irqs.type == UIOMMU_PCI_IRQ_NONE)
		ret = turn_on(dev, type, num, triggers);
	else
		ret = add_vectors(dev, first, num, triggers, added);

	pci_cfg_access_unlock(dev->pdev);
	return ret;
}

static int set_range(struct uiommu_pci *dev, enum uiommu_pci_irq_type type,
		     unsigned int first, unsigned int num, const s32 *fds)
{
	DECLARE_BITMAP(added, UIOMMU_PCI_MAX_VECTORS) = {};
	struct uiommu_pci_irqs *irqs = &dev->irqs;
	struct eventfd_ctx **triggers;
	int ret = 0;

	lockdep_assert_held(&irqs->lock);

	triggers = get_triggers(fds, num);
	if (IS_ERR(triggers))
		return PTR_ERR(triggers);

	if (type == UIOMMU_PCI_IRQ_INTX && irqs->eoi && triggers[0] &&
	    triggers[0] == irqs->eoi->ctx) {
		/* Its interrupts would unmask themselves for ever. */
		ret = -EINVAL;
	} else if (irqs->type == UIOMMU_PCI_IRQ_NONE) {
		ret = change(dev, type, 0, num, triggers, NULL);
	} else {
		if (are_missing(irqs, first, num, triggers))
			ret = first + num > irqs->room ? -EOPNOTSUPP :
				      change(dev, type, first, num, triggers,
					     added);
		if (!ret && first < irqs->num_vectors)
			swap_triggers(irqs, first,
				      min(num, irqs->num_vectors - first),
				      triggers, added);
	}
	put_triggers(triggers, num);
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
 * not so many, an fd is no eventfd or unmasks INTx; -EBADF; -EBUSY when another
 * kind, or another number, is in use, or in reset; -ENOSPC when the system has
 * not so many; -ENOMEM.  Nothing has changed then.
 */
int uiommu_pci_irq_set(struct uiommu_pci *dev, enum uiommu_pci_irq_type type,
		       unsigned int num, const s32 *fds)
{
	struct uiommu_pci_irqs *irqs = &dev->irqs;
	unsigned int max = uiommu_pci_irq_max(dev, type);

	if (!max)
		return -EOPNOTSUPP;
	if (num > max)
		return -EINVAL;

	guard(mutex)(&irqs->lock);

	if (!num)
		return irqs->type == type ? change(dev, type, 0, 0, NULL, NULL) :
					    0;
	if (irqs->type != UIOMMU_PCI_IRQ_NONE &&
	    (irqs->type != type || irqs->num_vectors != num))
		return -EBUSY;
	return set_range(dev, type, 0, num, fds);
}

/* Vectors of the kind that is in use, from @first on? */
static int check_range(struct uiommu_pci *dev, enum uiommu_pci_irq_type type,
		       unsigned int first, unsigned int num, unsigned int end)
{
	if (!uiommu_pci_irq_max(dev, type))
		return -EOPNOTSUPP;
	if (dev->irqs.type != type)
		return -EBUSY;
	return first < end && num <= end - first ? 0 : -EINVAL;
}

/**
 * uiommu_pci_irq_set_range - set eventfds of some vectors
 * @dev: the device
 * @type: the kind, in use
 * @first: first vector
 * @num: vectors
 * @fds: an eventfd for each, < 0 for none
 *
 * MSI-X vectors that are not allocated yet are, where that can be done while
 * others are in use.
 *
 * Context: as uiommu_pci_irq_set().
 * Return: 0; -EOPNOTSUPP also when vectors cannot be added; -EBUSY also when the
 * kind is not in use; or as uiommu_pci_irq_set().
 */
int uiommu_pci_irq_set_range(struct uiommu_pci *dev,
			     enum uiommu_pci_irq_type type, unsigned int first,
			     unsigned int num, const s32 *fds)
{
	int ret;

	guard(mutex)(&dev->irqs.lock);
	ret = check_range(dev, type, first, num,
			  uiommu_pci_irq_max(dev, type));
	return ret ?: set_range(dev, type, first, num, fds);
}

/**
 * uiommu_pci_irq_trigger - signal eventfds as if their interrupts had come
 * @dev: the device
 * @type: the kind, in use
 * @first: first vector
 * @num: vectors
 *
 * Context: as uiommu_pci_irq_set().
 * Return: 0; -EOPNOTSUPP, -EINVAL or -EBUSY as there.
 */
int uiommu_pci_irq_trigger(struct uiommu_pci *dev,
			   enum uiommu_pci_irq_type type, unsigned int first,
			   unsigned int num)
{
	struct uiommu_pci_irqs *irqs = &dev->irqs;
	unsigned int i;
	int ret;

	guard(mutex)(&irqs->lock);
	ret = check_range(dev, type, first, num, irqs->num_vectors);
	if (ret)
		return ret;
	for (i = first; i < first + num; i++)
		signal_vector(&irqs->vectors[i]);
	return 0;
}

/**
 * uiommu_pci_irq_affinity - say which CPUs take the interrupts of some vectors
 * @dev: the device
 * @type: MSI or MSI-X, in use
 * @first: first vector
 * @num: vectors
 * @mask: CPUs, some of them online
 *
 * The caller may only use its own CPUs: nobody else's time is taken from him.
 *
 * Context: as uiommu_pci_irq_set().
 * Return: 0; -EPERM when the calling thread may not run on all of @mask; -EINVAL
 * also for a vector that is not allocated; -EBUSY also in reset; or as
 * uiommu_pci_irq_trigger(); then nothing has changed.  -ENOSPC when a CPU has no
 * vector left: those before it have moved.
 */
int uiommu_pci_irq_affinity(struct uiommu_pci *dev,
			    enum uiommu_pci_irq_type type, unsigned int first,
			    unsigned int num, const struct cpumask *mask)
{
	struct uiommu_pci_irqs *irqs = &dev->irqs;
	unsigned int i;
	int ret;

	/* Others may share the line of INTx. */
	if (type == UIOMMU_PCI_IRQ_INTX)
		return -EOPNOTSUPP;
	if (!cpumask_subset(mask, current->cpus_ptr))
		return -EPERM;
	if (!cpumask_intersects(mask, cpu_online_mask))
		return -EINVAL;

	guard(mutex)(&irqs->lock);
	ret = check_range(dev, type, first, num, irqs->num_vectors);
	if (ret)
		return ret;
	for (i = first; i < first + num; i++)
		if (!irqs->vectors[i].irq)
			return -EINVAL;

	/* Without remapping it is a write to the device. */
	if (!uiommu_pci_lock_config(dev))
		return -EBUSY;
	if (READ_ONCE(dev->gated) & UIOMMU_PCI_DOWN)
		ret = -EBUSY;
	for (i = first; i < first + num && !ret; i++)
		ret = irq_set_affinity(irqs->vectors[i].irq, mask);
	pci_cfg_access_unlock(dev->pdev);
	return ret;
}
