// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a device between users: first open, attach, reset, detach, last
 * close and removal, and the gate that keeps its registers out of reach in
 * between.
 *
 * Removal waits for nobody: whoever has the device open is left with an object
 * that knows it is gone.
 *
 * Design: original vfio/uiommu, Tom Lyon, Cisco Systems, 2010
 */
#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/pm.h>
#include <linux/pm_runtime.h>
#include <linux/sched.h>
#include <linux/uiommu.h>

#include <uapi/linux/uiommu.h>

#include "private.h"
#include "trace.h"

/* Take every BAR page out of every process. */
static void zap(struct uiommu_pci *dev)
{
	unmap_mapping_range(dev->inode->i_mapping, 0, 0, true);
}

/**
 * uiommu_pci_gate_close - keep everything away from the registers
 * @dev: the device
 * @why: one more reason
 *
 * When it returns no access is under way, and none begins before every reason
 * is gone.  For one of UIOMMU_PCI_DOWN, which are about config space too, the
 * caller keeps config access to itself; so it does when that goes.
 */
void uiommu_pci_gate_close(struct uiommu_pci *dev, enum uiommu_pci_gate why)
{
	scoped_guard(rwsem_write, &dev->gate)
		WRITE_ONCE(dev->gated, dev->gated | why);
	trace_uiommu_pci_gate(dev);
	if (why & UIOMMU_PCI_DOWN)
		uiommu_pci_intx_sync(dev);
	zap(dev);
	uiommu_pci_drain(dev);
}

/**
 * uiommu_pci_lock_config - keep config access from everybody else
 * @dev: the device
 *
 * Resets have it for long, but close the gate first.  Others let it go soon: they
 * are waited for.
 *
 * Context: may sleep, for 10 to 20 ms.
 * Return: whether it is ours, to be given back by pci_cfg_access_unlock().
 */
bool uiommu_pci_lock_config(struct uiommu_pci *dev)
{
	unsigned int tries = 100;

	while (!pci_cfg_access_trylock(dev->pdev)) {
		if (!--tries || READ_ONCE(dev->gated) &
				(UIOMMU_PCI_DOWN | UIOMMU_PCI_GONE))
			return false;
		usleep_range(100, 200);
	}
	return true;
}

/**
 * uiommu_pci_gate_open - one reason less to keep away
 * @dev: the device
 * @why: the reason
 */
void uiommu_pci_gate_open(struct uiommu_pci *dev, enum uiommu_pci_gate why)
{
	scoped_guard(rwsem_write, &dev->gate)
		WRITE_ONCE(dev->gated, dev->gated & ~why);
	trace_uiommu_pci_gate(dev);
	if (why & UIOMMU_PCI_DOWN)
		uiommu_pci_intx_sync(dev);
	/* All-ones pages have to go for the registers to be seen again. */
	zap(dev);
}

/* Stop what the device does of its own accord, as far as it listens. */
static void stop_dma(struct uiommu_pci *dev)
{
	struct pci_dev *pdev = dev->pdev;

	if (pci_dev_is_disconnected(pdev))
		return;
	/* Not in the middle of a reset: the register is read and written. */
	pci_cfg_access_lock(pdev);
	pci_clear_master(pdev);
	pci_cfg_access_unlock(pdev);
	if (!pci_wait_for_pending_transaction(pdev))
		pci_info_ratelimited(pdev, "transactions still pending\n");
}

/* Stop it for a while, see go_on(). */
static void pause(struct uiommu_pci *dev)
{
	u16 command;

	pci_read_config_word(dev->pdev, PCI_COMMAND, &command);
	/* When it is stopped already, what it was before counts. */
	if (!PCI_POSSIBLE_ERROR(command) && command & PCI_COMMAND_MASTER)
		dev->was_master = true;
	stop_dma(dev);
}

/* Config access is kept away from others. */
static void go_on(struct uiommu_pci *dev)
{
	if (dev->was_master)
		pci_set_master(dev->pdev);
	dev->was_master = false;
}

/*
 * Reset the function behind a closed gate.  After an error it stays out of reach,
 * see uiommu_pci_was_reset().  The device lock is held, and that
 * of the bridge, so that nobody else resets or removes either.
 */
static int reset_locked(struct uiommu_pci *dev)
{
	struct pci_dev *pdev = dev->pdev;
	int ret;

	device_lock_assert(&pdev->dev);

	pci_cfg_access_lock(pdev);
	uiommu_pci_gate_close(dev, UIOMMU_PCI_RESET);
	dev->own_reset = true;
	dev->num_resets++;
	dev->reset_by = NULL;
	ret = pci_reset_function_locked(pdev);
	dev->own_reset = false;
	/* Its state is unknown after a failure: it stays out of reach. */
	dev->reset_failed = ret;
	trace_uiommu_pci_reset(dev, ret);
	if (!ret)
		uiommu_pci_gate_open(dev, UIOMMU_PCI_RESET);
	pci_cfg_access_unlock(pdev);
	return ret;
}

static void unlock_device(struct uiommu_pci *dev)
{
	device_unlock(&dev->pdev->dev);
	if (dev->bridge)
		pci_dev_unlock(dev->bridge);
}

/*
 * Lock the upstream bridge and the device, unless the driver is unbound from it:
 * then nothing is locked and the device is not ours.  Never sleeps on the device
 * with the bridge locked: remove() holds the one and tries the other, and a user
 * must not be able to keep it from its reset.
 */
static bool lock_device(struct uiommu_pci *dev)
{
	while (!READ_ONCE(dev->unbound)) {
		if (dev->bridge)
			pci_dev_lock(dev->bridge);
		if (device_trylock(&dev->pdev->dev)) {
			if (!dev->unbound)
				return true;
			unlock_device(dev);
			return false;
		}
		if (dev->bridge)
			pci_dev_unlock(dev->bridge);

		/* Wait for who has it, then begin again. */
		device_lock(&dev->pdev->dev);
		device_unlock(&dev->pdev->dev);
	}
	return false;
}

/* Give the group back to the kernel: the device is in a known state. */
static void release_group(struct uiommu_pci *dev)
{
	if (dev->claimed)
		uiommu_release(&dev->pdev->dev);
	dev->claimed = false;
}

static int first_open(struct uiommu_pci *dev)
{
	struct pci_dev *pdev = dev->pdev;
	int ret;

	/* It rests between users. */
	ret = pm_runtime_resume_and_get(&pdev->dev);
	if (ret)
		return ret;
	if (!dev->claimed) {
		ret = uiommu_claim(&pdev->dev);
		if (ret)
			goto err_power;
		dev->claimed = true;
	}

	/* The next user must not find what the last one left running. */
	pci_clear_master(pdev);
	ret = pci_enable_device(pdev);
	if (ret)
		goto err_release;
	uiommu_pci_irq_init(dev);
	ret = reset_locked(dev);
	/* A method that the core knows can turn out to be one for all functions. */
	dev->set_only = ret == -ENOTTY && dev->has_set_reset;
	if (ret && !dev->set_only) {
		ret = uiommu_pci_reset_errno(ret);
		goto err_disable;
	}

	ret = pci_save_state(pdev);
	if (ret)
		goto err_disable;
	dev->saved_state = pci_store_saved_state(pdev);
	ret = -ENOMEM;
	if (!dev->saved_state)
		goto err_disable;

	ret = uiommu_pci_claim_bars(dev);
	if (ret)
		goto err_bars;
	ret = uiommu_pci_config_init(dev);
	if (ret)
		goto err_bars;
	dev->active = true;
	return 0;

err_bars:
	uiommu_pci_release_bars(dev);
	kfree(dev->saved_state);
	dev->saved_state = NULL;
err_disable:
	pci_disable_device(pdev);
err_release:
	if (!dev->reset_failed)
		release_group(dev);
err_power:
	pm_runtime_put(&pdev->dev);
	return ret;
}

static void set_opens(struct uiommu_pci *dev, unsigned int opens)
{
	guard(mutex)(&dev->lock);
	WRITE_ONCE(dev->opens, opens);
}

/**
 * uiommu_pci_open - a file of the device is opened
 * @dev: the device
 *
 * The first one takes the IOMMU group away from the kernel, with DMA blocked,
 * and resets the device.
 *
 * Context: may sleep; takes the device lock.
 * Return: 0; -ENODEV when it is gone; -EBUSY or -EPERM when its group is in use
 * by another driver; -EIO when the reset fails.
 */
int uiommu_pci_open(struct uiommu_pci *dev)
{
	bool again;
	int ret = 0;

	/* These locks keep remove() away: no need for SRCU. */
	if (!lock_device(dev))
		return -ENODEV;
	if (uiommu_pci_gone(dev)) {
		ret = -ENODEV;
	} else if (!dev->opens) {
		/* Config space is not itself while an error is handled. */
		ret = READ_ONCE(dev->gated) & UIOMMU_PCI_ERROR ?
			      -EBUSY : first_open(dev);
	}
	if (!ret)
		set_opens(dev, dev->opens + 1);
	trace_uiommu_pci_open(dev, ret ?: dev->opens);
	/* As after a last close */
	again = ret && !dev->opens && dev->claimed && dev->reset_failed;
	unlock_device(dev);
	if (again && dev->has_set_reset)
		uiommu_pci_reset_idle(dev);
	return ret;
}

/*
 * Nobody uses the device any more.  Its DMA is stopped before anything it can
 * reach goes away; it is left as it was before the first open.  One that could
 * not be reset stays blocked, until it is opened again or leaves.
 */
static void shut_down(struct uiommu_pci *dev, bool can_reset)
{
	struct pci_dev *pdev = dev->pdev;
	struct uiommu_space *space;
	bool known = false;
	unsigned int i;

	device_lock_assert(&pdev->dev);

	uiommu_pci_gate_close(dev, UIOMMU_PCI_UNSET);
	/* A reset can map BARs, and must find them as if nobody had. */
	for (i = 0; i < PCI_STD_NUM_BARS; i++)
		uiommu_pci_bar_unmap(dev, i);
	/* Nobody can map one now. */
	WRITE_ONCE(dev->combined, false);
	stop_dma(dev);
	dev->was_master = false;
	if (can_reset && !pci_dev_is_disconnected(pdev))
		known = !reset_locked(dev);
	uiommu_pci_irq_off(dev);

	scoped_guard(mutex, &dev->lock) {
		space = dev->space;
		dev->space = NULL;
	}
	if (space) {
		uiommu_detach(space, &pdev->dev);
		uiommu_space_put(space);
	}

	uiommu_pci_config_free(dev);
	uiommu_pci_release_bars(dev);
	if (dev->saved_state) {
		pci_load_and_free_saved_state(pdev, &dev->saved_state);
		pci_restore_state(pdev);
	}
	pci_disable_device(pdev);
	if (known)
		release_group(dev);
	pm_runtime_put(&pdev->dev);
	dev->active = false;
}

/**
 * uiommu_pci_close - a file of the device is closed
 * @dev: the device
 *
 * When this was the last one, the device is reset and detached; what was mapped
 * through the file can be unmapped afterwards.
 */
void uiommu_pci_close(struct uiommu_pci *dev)
{
	bool locked = lock_device(dev), again = false;

	/* Without the device lock several files may be closed at once. */
	scoped_guard(mutex, &dev->lock) {
		WRITE_ONCE(dev->opens, dev->opens - 1);
		trace_uiommu_pci_close(dev, dev->opens);
	}
	if (locked) {
		if (!dev->opens && dev->active)
			shut_down(dev, true);
		again = !dev->opens && dev->reset_failed;
		unlock_device(dev);
	}
	if (again && dev->has_set_reset)
		uiommu_pci_reset_idle(dev);
}

/* The bridge's lock comes first: with the device's held it can only be tried. */
static bool try_lock_bridge(struct uiommu_pci *dev)
{
	unsigned int tries = 50;

	if (!dev->bridge)
		return true;
	while (!pci_dev_trylock(dev->bridge)) {
		if (!--tries)
			return false;
		msleep(20);
	}
	return true;
}

/**
 * uiommu_pci_revoke - the driver is being unbound
 * @dev: the device, which can be in use in every way
 *
 * Context: the driver core holds the device lock.  Waits for what is in the
 * middle of using the device, which is bounded, and for no user.
 */
void uiommu_pci_revoke(struct uiommu_pci *dev)
{
	struct pci_dev *pdev = dev->pdev;
	bool locked;

	WRITE_ONCE(dev->unbound, true);
	uiommu_pci_gate_close(dev, UIOMMU_PCI_GONE);
	uiommu_pci_tell_gone(dev);
	synchronize_srcu(&dev->srcu);

	if (dev->active) {
		locked = try_lock_bridge(dev);
		if (!locked && !pci_dev_is_disconnected(pdev)) {
			/* The one reset that does nothing to the bridge. */
			stop_dma(dev);
			dev->reset_failed = pcie_reset_flr(pdev,
							   PCI_RESET_DO_RESET);
		}
		shut_down(dev, locked);
		if (locked && dev->bridge)
			pci_dev_unlock(dev->bridge);
	}
	if (dev->claimed && dev->reset_failed && !pci_dev_is_disconnected(pdev))
		pci_warn(pdev, "left without a reset\n");
	release_group(dev);
}

/* Is it well after a reset, or out of reach for lack of one that succeeds? */
static u32 reset_flags(struct uiommu_pci *dev)
{
	return UIOMMU_EVENT_WAS_RESET |
	       (READ_ONCE(dev->gated) & UIOMMU_PCI_RESET ?
			UIOMMU_EVENT_FAILED : 0);
}

/*
 * From here on the device stays attached, or not, until the reset is over: who wants
 * to change that finds it out of reach.
 */
static int start_reset(struct uiommu_pci *dev)
{
	lockdep_assert_held(&dev->lock);

	if (uiommu_pci_gone(dev))
		return -ENODEV;
	/* One that is out of reach cannot be attached before a reset. */
	if (!dev->space && !(READ_ONCE(dev->gated) & UIOMMU_PCI_RESET))
		return -EINVAL;
	if (READ_ONCE(dev->gated) & UIOMMU_PCI_ERROR)
		return -EBUSY;
	if (!uiommu_pci_has_own_reset(dev))
		return -EOPNOTSUPP;
	pci_cfg_access_lock(dev->pdev);
	uiommu_pci_gate_close(dev, UIOMMU_PCI_RESET);
	pci_cfg_access_unlock(dev->pdev);
	return 0;
}

/**
 * uiommu_pci_reset - reset the function for its user
 * @file: who asks for it
 *
 * Config space and interrupts are restored. The other users are told.
 *
 * Context: may sleep; takes the device lock, so hold nothing.
 * Return: 0; -ENODEV when it is gone; -EINVAL before it is attached, unless it is
 * out of reach after another reset; -EBUSY while a bus error is handled;
 * -EOPNOTSUPP when nothing resets it alone; -EIO when the reset fails.
 */
int uiommu_pci_reset(struct uiommu_pci_file *file)
{
	struct uiommu_event event = { .type = UIOMMU_EVENT_RESET };
	struct uiommu_pci *dev = file->dev;
	int ret;

	if (!lock_device(dev))
		return -ENODEV;
	scoped_guard(mutex, &dev->lock)
		ret = start_reset(dev);
	if (!ret) {
		ret = uiommu_pci_reset_errno(reset_locked(dev));
		if (!ret)
			uiommu_pci_config_reset(dev);
		event.flags = reset_flags(dev);
		uiommu_pci_tell(dev, &event, file);
	}
	unlock_device(dev);
	return ret;
}

/* Do its registers answer? */
static bool is_there(struct pci_dev *pdev)
{
	u16 command;

	pci_read_config_word(pdev, PCI_COMMAND, &command);
	return !PCI_POSSIBLE_ERROR(command);
}

/* Nobody but this driver can say so of a device that it could not reset. */
static void in_reach_again(struct uiommu_pci *dev)
{
	struct uiommu_event event = { .type = UIOMMU_EVENT_RESET };

	pci_cfg_access_lock(dev->pdev);
	if (is_there(dev->pdev)) {
		dev->reset_failed = false;
		uiommu_pci_gate_open(dev, UIOMMU_PCI_RESET);
	}
	pci_cfg_access_unlock(dev->pdev);
	event.flags = reset_flags(dev);
	uiommu_pci_tell(dev, &event, NULL);
}

/* Did the caller begin a reset since then, and nobody another one after it? */
static bool was_last(struct uiommu_pci *dev, unsigned long resets)
{
	return dev->num_resets != resets && dev->reset_by == current;
}

static bool out_of_reach(struct uiommu_pci *dev)
{
	return dev->reset_failed || READ_ONCE(dev->gated) & UIOMMU_PCI_RESET;
}

/**
 * uiommu_pci_was_reset - the device was reset together with others
 * @dev: the device
 * @resets: what @dev->num_resets was before
 *
 * Context: may sleep; takes the device lock, so hold nothing.
 * Return: 0; -ENODEV when it is gone; -EAGAIN when it was reset once more since, or
 * does not answer.
 */
int uiommu_pci_was_reset(struct uiommu_pci *dev, unsigned long resets)
{
	int ret = 0;

	if (!lock_device(dev))
		return -ENODEV;
	if (!was_last(dev, resets))
		ret = -EAGAIN;
	else if (out_of_reach(dev))
		in_reach_again(dev);
	scoped_guard(mutex, &dev->lock) {
		if (out_of_reach(dev))
			ret = -EAGAIN;
		else if (dev->active)
			uiommu_pci_config_reset(dev);
		else
			release_group(dev);
	}
	unlock_device(dev);
	return ret;
}

/**
 * uiommu_pci_reset_failed - the device was to be reset together with others
 * @dev: the device
 * @resets: what @dev->num_resets was before
 *
 * When that was begun, nobody knows how far it came: the device is out of reach until
 * one succeeds.
 *
 * Context: may sleep; takes the device lock, so hold nothing.
 */
void uiommu_pci_reset_failed(struct uiommu_pci *dev, unsigned long resets)
{
	struct uiommu_event event = { .type = UIOMMU_EVENT_RESET };

	if (!lock_device(dev))
		return;
	if (was_last(dev, resets) && !dev->reset_failed) {
		dev->reset_failed = true;
		pci_cfg_access_lock(dev->pdev);
		uiommu_pci_gate_close(dev, UIOMMU_PCI_RESET);
		pci_cfg_access_unlock(dev->pdev);
		event.flags = reset_flags(dev);
		uiommu_pci_tell(dev, &event, NULL);
	}
	unlock_device(dev);
}

/**
 * uiommu_pci_attach - let the device reach an address space, and its user the
 * device
 * @dev: the device, open
 * @space: the space; a reference is taken
 *
 * Context: dev->srcu held for read.
 * Return: 0; -EBUSY when it is attached already or in reset; or as
 * uiommu_attach().
 */
int uiommu_pci_attach(struct uiommu_pci *dev, struct uiommu_space *space)
{
	int ret;

	guard(mutex)(&dev->lock);
	if (dev->space || READ_ONCE(dev->gated) & UIOMMU_PCI_DOWN)
		return -EBUSY;

	ret = uiommu_attach(space, &dev->pdev->dev);
	if (ret)
		return ret;
	uiommu_space_get(space);
	dev->space = space;
	uiommu_pci_config_attached(dev);
	uiommu_pci_gate_open(dev, UIOMMU_PCI_UNSET);
	return 0;
}

/* Does anything still rest on the device being attached? */
static bool in_use(struct uiommu_pci *dev)
{
	struct uiommu_pci_file *file;

	lockdep_assert_held(&dev->lock);

	if (uiommu_pci_irq_in_use(dev))
		return true;
	list_for_each_entry(file, &dev->files, link)
		if (file->owner_users ||
		    (file->owner && !uiommu_owner_idle(file->owner)))
			return true;
	return false;
}

/**
 * uiommu_pci_detach - undo uiommu_pci_attach()
 * @dev: the device
 *
 * Context: dev->srcu held for read.
 * Return: 0; -EINVAL when it is not attached; -EBUSY while it is in reset, an
 * interrupt is on or a mapping made through a file of the device lives.
 */
int uiommu_pci_detach(struct uiommu_pci *dev)
{
	struct uiommu_pci_file *file;

	guard(mutex)(&dev->lock);
	if (!dev->space)
		return -EINVAL;
	if (in_use(dev) || READ_ONCE(dev->gated) & UIOMMU_PCI_DOWN)
		return -EBUSY;

	uiommu_pci_gate_close(dev, UIOMMU_PCI_UNSET);
	uiommu_pci_config_detached(dev);
	stop_dma(dev);
	uiommu_detach(dev->space, &dev->pdev->dev);

	/* They can map into another space next. */
	list_for_each_entry(file, &dev->files, link) {
		if (file->owner)
			uiommu_owner_destroy(file->owner);
		file->owner = NULL;
	}
	uiommu_space_put(dev->space);
	dev->space = NULL;
	return 0;
}

static void reset_prepare(struct pci_dev *pdev)
{
	struct uiommu_pci *dev = pci_get_drvdata(pdev);

	if (dev->own_reset)
		return;
	dev->num_resets++;
	dev->reset_by = current;
	uiommu_pci_gate_close(dev, UIOMMU_PCI_RESET);
}

/* Comes after failed resets too. */
static void reset_done(struct pci_dev *pdev)
{
	struct uiommu_event event = { .type = UIOMMU_EVENT_RESET };
	struct uiommu_pci *dev = pci_get_drvdata(pdev);

	/* Out of reach before, it stays so; see uiommu_pci_was_reset(). */
	if (dev->own_reset || dev->reset_failed)
		return;
	if (is_there(pdev))
		uiommu_pci_gate_open(dev, UIOMMU_PCI_RESET);
	event.flags = reset_flags(dev);
	uiommu_pci_tell(dev, &event, NULL);
}

/* No reset_prepare() comes before the reset of a link that had an error. */
static pci_ers_result_t error_detected(struct pci_dev *pdev,
				       pci_channel_state_t state)
{
	struct uiommu_event event = { .type = UIOMMU_EVENT_ERROR };
	struct uiommu_pci *dev = pci_get_drvdata(pdev);

	if (state == pci_channel_io_perm_failure) {
		uiommu_pci_gate_close(dev, UIOMMU_PCI_GONE);
		pci_clear_master(pdev);
		dev->was_master = false;
		uiommu_pci_tell_gone(dev);
		return PCI_ERS_RESULT_DISCONNECT;
	}

	pci_cfg_access_lock(pdev);
	uiommu_pci_gate_close(dev, UIOMMU_PCI_ERROR);
	pci_cfg_access_unlock(pdev);
	dev->was_reset = false;
	if (state == pci_channel_io_normal) {
		pause(dev);
	} else {
		dev->was_master = false;
		event.flags = UIOMMU_EVENT_FATAL;
	}
	uiommu_pci_tell(dev, &event, NULL);

	/* Without need it is not worth a reset of all that is on the bus. */
	return state == pci_channel_io_normal ? PCI_ERS_RESULT_CAN_RECOVER :
						PCI_ERS_RESULT_NEED_RESET;
}

static pci_ers_result_t mmio_enabled(struct pci_dev *pdev)
{
	return is_there(pdev) ? PCI_ERS_RESULT_RECOVERED :
				PCI_ERS_RESULT_NEED_RESET;
}

static pci_ers_result_t slot_reset(struct pci_dev *pdev)
{
	struct uiommu_pci *dev = pci_get_drvdata(pdev);

	/* As after first open, BUS MASTER off: the user has to begin anew. */
	if (dev->saved_state)
		pci_load_saved_state(pdev, dev->saved_state);
	pci_restore_state(pdev);
	pci_clear_master(pdev);
	dev->was_master = false;
	dev->was_reset = true;
	return PCI_ERS_RESULT_RECOVERED;
}

static void resume(struct pci_dev *pdev)
{
	struct uiommu_event event = { .type = UIOMMU_EVENT_RECOVERED };
	struct uiommu_pci *dev = pci_get_drvdata(pdev);

	pci_cfg_access_lock(pdev);
	go_on(dev);
	uiommu_pci_gate_open(dev, UIOMMU_PCI_ERROR);
	pci_cfg_access_unlock(pdev);
	if (dev->was_reset)
		event.flags = UIOMMU_EVENT_WAS_RESET;
	uiommu_pci_tell(dev, &event, NULL);
}

/*
 * Most often called without the device lock, for CXL with it.  When somebody has it
 * the error is not told: nobody waits for a reset or a removal because of it.
 */
static void cor_error_detected(struct pci_dev *pdev)
{
	struct uiommu_event event = { .type = UIOMMU_EVENT_CORRECTED };
	struct uiommu_pci *dev;

	if (!device_trylock(&pdev->dev))
		return;
	/* It may be another driver's by now. */
	if (pdev->driver &&
	    pdev->driver->err_handler == &uiommu_pci_err_handlers) {
		dev = pci_get_drvdata(pdev);
		event.length = ++dev->num_corrected;
		uiommu_pci_tell(dev, &event, NULL);
	}
	device_unlock(&pdev->dev);
}

const struct pci_error_handlers uiommu_pci_err_handlers = {
	.error_detected = error_detected,
	.mmio_enabled = mmio_enabled,
	.slot_reset = slot_reset,
	.resume = resume,
	.cor_error_detected = cor_error_detected,
	.reset_prepare = reset_prepare,
	.reset_done = reset_done,
};

/*
 * System sleep: processes are frozen.  The IOMMU is off for a moment before the
 * machine sleeps and after it wakes, so there must be no DMA.  The PCI core saves
 * and restores the rest of config space.
 */
static int go_to_sleep(struct device *device)
{
	struct uiommu_event event = { .type = UIOMMU_EVENT_SUSPEND };
	struct pci_dev *pdev = to_pci_dev(device);
	struct uiommu_pci *dev = pci_get_drvdata(pdev);

	pci_cfg_access_lock(pdev);
	uiommu_pci_gate_close(dev, UIOMMU_PCI_SLEEP);
	pci_cfg_access_unlock(pdev);
	pause(dev);
	uiommu_pci_tell(dev, &event, NULL);
	return 0;
}

static int wake_up_again(struct device *device)
{
	struct uiommu_event event = {
		.type = UIOMMU_EVENT_RESUME,
		.flags = UIOMMU_EVENT_WAS_RESET,
	};
	struct pci_dev *pdev = to_pci_dev(device);
	struct uiommu_pci *dev = pci_get_drvdata(pdev);

	pci_cfg_access_lock(pdev);
	go_on(dev);
	uiommu_pci_gate_open(dev, UIOMMU_PCI_SLEEP);
	pci_cfg_access_unlock(pdev);
	uiommu_pci_tell(dev, &event, NULL);
	return 0;
}

DEFINE_SIMPLE_DEV_PM_OPS(uiommu_pci_pm_ops, go_to_sleep, wake_up_again);
