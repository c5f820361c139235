// SPDX-License-Identifier: GPL-2.0-only
/*
 * Config space: access by the rules, and what some registers set in motion.
 *
 * Design: original vfio/uiommu, Tom Lyon, Cisco Systems, 2010
 */
#include <linux/bitfield.h>
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "private.h"
#include "trace.h"
#include "rules.h"

/* The flag of VPD, in the dword of the address */
#define VPD_DONE	((u32)PCI_VPD_ADDR_F << 16)

/**
 * struct uiommu_pci_config - virtual config space of an open device
 * @rules: rules and copy
 * @vpd_failed: an access to VPD timed out; another would take as long, and the
 *	PCI core would say so in the log each time
 * @decode: IO and MEMORY as they are in the real COMMAND register, for good
 */
struct uiommu_pci_config {
	struct uiommu_pci_rules *rules;
	bool vpd_failed;
	u16 decode;
};

static int user_read(void *priv, unsigned int pos, unsigned int len, u32 *val)
{
	int ret;
	u16 word;
	u8 byte;

	switch (len) {
	case 1:
		ret = pci_user_read_config_byte(priv, pos, &byte);
		*val = byte;
		break;
	case 2:
		ret = pci_user_read_config_word(priv, pos, &word);
		*val = word;
		break;
	default:
		ret = pci_user_read_config_dword(priv, pos, val);
	}
	return ret ? -ENODEV : 0;
}

static int user_write(void *priv, unsigned int pos, unsigned int len, u32 val)
{
	int ret;

	switch (len) {
	case 1:
		ret = pci_user_write_config_byte(priv, pos, val);
		break;
	case 2:
		ret = pci_user_write_config_word(priv, pos, val);
		break;
	default:
		ret = pci_user_write_config_dword(priv, pos, val);
	}
	return ret ? -ENODEV : 0;
}

/* Both sleep while a reset or a change of power state blocks config access. */
static const struct uiommu_pci_hw user_hw = {
	.read = user_read,
	.write = user_write,
};

/* A BAR that could not be claimed at first open is as good as absent. */
static struct uiommu_pci_rules *build_rules(struct uiommu_pci *dev, bool open)
{
	struct pci_dev *pdev = dev->pdev;
	struct uiommu_pci_rules_source src = {
		.hw = &user_hw,
		.priv = pdev,
		.size = pdev->cfg_size,
		.vendor = pdev->vendor,
		.device = pdev->device,
		.intx = uiommu_pci_irq_max(dev, UIOMMU_PCI_IRQ_INTX),
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(src.bars); i++) {
		src.bars[i].len = open ? dev->bars[i].len :
					 pci_resource_len(pdev, i);
		src.bars[i].flags = pci_resource_flags(pdev, i);
	}
	return uiommu_pci_rules_build(&src);
}

/**
 * uiommu_pci_config_init - make the virtual config space for a new user
 * @dev: the device, at its first open: reset, its BARs claimed
 *
 * Context: the device lock is held, so that nothing blocks config access.
 * Return: 0; -ENOMEM; -ENODEV when the device does not answer.
 */
int uiommu_pci_config_init(struct uiommu_pci *dev)
{
	struct uiommu_pci_config *config __free(kfree) =
		kzalloc_obj(*config, GFP_KERNEL_ACCOUNT);

	device_lock_assert(&dev->pdev->dev);

	if (!config)
		return -ENOMEM;
	config->rules = build_rules(dev, true);
	if (IS_ERR(config->rules))
		return PTR_ERR(config->rules);

	pci_read_config_word(dev->pdev, PCI_COMMAND, &config->decode);
	config->decode &= PCI_COMMAND_IO | PCI_COMMAND_MEMORY;

	/* The copy says MEMORY and D0, whatever the last user left. */
	if (READ_ONCE(dev->gated) & (UIOMMU_PCI_MEMOFF | UIOMMU_PCI_D3))
		uiommu_pci_gate_open(dev, UIOMMU_PCI_MEMOFF | UIOMMU_PCI_D3);

	guard(mutex)(&dev->config_lock);
	dev->config = no_free_ptr(config);
	return 0;
}

/**
 * uiommu_pci_config_free - forget the virtual config space
 * @dev: the device, after its last close or leaving
 */
void uiommu_pci_config_free(struct uiommu_pci *dev)
{
	guard(mutex)(&dev->config_lock);
	if (!dev->config)
		return;
	kvfree(dev->config->rules);
	kfree(dev->config);
	dev->config = NULL;
}

/**
 * uiommu_pci_config_attached - MASTER is the user's
 * @dev: the device, in an address space
 */
void uiommu_pci_config_attached(struct uiommu_pci *dev)
{
	guard(mutex)(&dev->config_lock);
	uiommu_pci_dword(dev->config->rules, PCI_COMMAND)->write |=
		PCI_COMMAND_MASTER;
}

/**
 * uiommu_pci_config_detached - MASTER is off and stays off
 * @dev: the device, about to leave its address space
 *
 * Context: process context; config access not blocked by the caller.
 */
void uiommu_pci_config_detached(struct uiommu_pci *dev)
{
	struct uiommu_pci_rules *rules;
	u32 command;

	guard(mutex)(&dev->config_lock);
	rules = dev->config->rules;
	if (!pci_dev_is_disconnected(dev->pdev) &&
	    !uiommu_pci_rules_read(rules, &user_hw, dev->pdev, PCI_COMMAND, 1,
				   &command))
		uiommu_pci_rules_write(rules, &user_hw, dev->pdev, PCI_COMMAND,
				       1, command & ~PCI_COMMAND_MASTER);
	uiommu_pci_dword(rules, PCI_COMMAND)->write &= ~PCI_COMMAND_MASTER;
}

/**
 * uiommu_pci_config_reset - the device was reset for its user
 * @dev: the device, open
 *
 * The virtual registers keep what the user wrote, as the real ones are restored;
 * but a reset leads to D0.
 */
void uiommu_pci_config_reset(struct uiommu_pci *dev)
{
	struct uiommu_pci_rules *rules;

	guard(mutex)(&dev->config_lock);
	rules = dev->config->rules;
	if (rules->pm_ctrl)
		uiommu_pci_dword(rules, rules->pm_ctrl)->value &=
			~PCI_PM_CTRL_STATE_MASK;
	if (READ_ONCE(dev->gated) & UIOMMU_PCI_D3)
		uiommu_pci_gate_open(dev, UIOMMU_PCI_D3);
}

/*
 * A device that was reset by its user in a way of its own, or behind the user's
 * back, has lost its BARs and all else that the kernel wrote to config space. It
 * does not decode any more, which nothing else can turn off.  Whoever then turns
 * it on again finds it as it was at first open, interrupts included.
 */
static int restore_if_lost(struct uiommu_pci *dev)
{
	struct pci_dev *pdev = dev->pdev;
	u16 decode = dev->config->decode;
	u32 command;
	int ret;

	if (!decode)
		return 0;
	ret = user_read(pdev, PCI_COMMAND, 2, &command);
	if (ret || (command & decode) == decode)
		return ret;

	/* The core does not wait for a reset: keep it out in the meantime. */
	pci_cfg_access_lock(pdev);
	/* Others may have begun to, and failed. */
	ret = READ_ONCE(dev->gated) & UIOMMU_PCI_DOWN ? -EBUSY :
		      pci_load_saved_state(pdev, dev->saved_state);
	if (!ret) {
		pci_restore_state(pdev);
		pci_clear_master(pdev);
		uiommu_pci_intx_sync(dev);
	}
	pci_cfg_access_unlock(pdev);
	return ret;
}

/* INTx is also masked by its interrupts. */
static void update_command(struct uiommu_pci *dev, struct uiommu_pci_dword *d)
{
	if (!(d->write & PCI_COMMAND_INTX_DISABLE))
		return;
	if (READ_ONCE(dev->irqs.intx.masked))
		d->value |= PCI_COMMAND_INTX_DISABLE;
	else
		d->value &= ~PCI_COMMAND_INTX_DISABLE;
}

/* Follow a write to COMMAND, of @written bits; the copy was @old before. */
static void command_written(struct uiommu_pci *dev, struct uiommu_pci_dword *d,
			    u32 written, u32 old)
{
	written &= d->write;

	/*
	 * Whether it changes or not: cleared is end of interrupt, although the
	 * copy may not have heard of the interrupt.
	 */
	if (written & PCI_COMMAND_INTX_DISABLE)
		uiommu_pci_intx_mask(dev, d->value & PCI_COMMAND_INTX_DISABLE);

	if (!((d->value ^ old) & PCI_COMMAND_MEMORY))
		return;
	if (d->value & PCI_COMMAND_MEMORY)
		uiommu_pci_gate_open(dev, UIOMMU_PCI_MEMOFF);
	else
		uiommu_pci_gate_close(dev, UIOMMU_PCI_MEMOFF);
}

/*
 * Let the PCI core set the size of read requests, as it knows what the host
 * bridge can take, and replace what the user wants in *@val by what came of it.
 */
static int set_readrq(struct uiommu_pci *dev, unsigned int devctl, u32 *val)
{
	struct pci_dev *pdev = dev->pdev;
	int size = 128 << FIELD_GET(PCI_EXP_DEVCTL_READRQ, *val);
	u32 now;
	int ret;

	/* The core does not wait for a reset: keep it out in the meantime. */
	pci_cfg_access_lock(pdev);
	if (READ_ONCE(dev->gated) & UIOMMU_PCI_DOWN) {
		pci_cfg_access_unlock(pdev);
		return -EBUSY;
	}
	/* Requests for less than a packet are only slow. */
	size = clamp(size, pcie_get_mps(pdev), 4096);
	/* The core would refuse and log it. */
	if (pci_find_host_bridge(pdev->bus)->no_inc_mrrs)
		size = min(size, pcie_get_readrq(pdev));
	pcie_set_readrq(pdev, size);
	pci_cfg_access_unlock(pdev);

	ret = user_read(pdev, devctl, 2, &now);
	if (ret)
		return ret;
	*val = (*val & ~PCI_EXP_DEVCTL_READRQ) | (now & PCI_EXP_DEVCTL_READRQ);
	return 0;
}

/*
 * The address of VPD was written, with the flag that says which way the data
 * goes and changes when it is there.  A write never completes.
 */
static void vpd_written(struct uiommu_pci *dev)
{
	struct uiommu_pci_config *config = dev->config;
	unsigned int vpd = config->rules->vpd;
	struct uiommu_pci_dword *addr = uiommu_pci_dword(config->rules, vpd);
	struct uiommu_pci_dword *data =
		uiommu_pci_dword(config->rules, vpd + PCI_VPD_DATA);
	unsigned int reg = addr->value >> 16;
	__le32 val = 0;
	ssize_t ret;

	if (addr->value & VPD_DONE || config->vpd_failed)
		return;
	ret = pci_read_vpd(dev->pdev, round_down(reg, 4), sizeof(val), &val);
	if (ret > 0) {
		data->value = le32_to_cpu(val);
		addr->value |= VPD_DONE;
	} else if (ret == -ETIMEDOUT) {
		config->vpd_failed = true;
	}
}

/* A state that the device does not have is dropped. 7.5.2.2 */
static u32 choose_power_state(struct uiommu_pci_rules *rules, u32 val)
{
	const struct uiommu_pci_dword *d =
		uiommu_pci_dword(rules, rules->pm_ctrl);

	if (rules->pm_states & BIT(val & PCI_PM_CTRL_STATE_MASK))
		return val;
	return (val & ~PCI_PM_CTRL_STATE_MASK) |
	       (d->value & PCI_PM_CTRL_STATE_MASK);
}

/*
 * True when the device has to be reset now, as it would have done itself.  It
 * stays in D3hot until that is done, see uiommu_pci_config_reset().
 */
static bool power_state_written(struct uiommu_pci *dev, u32 old)
{
	struct uiommu_pci_rules *rules = dev->config->rules;
	struct uiommu_pci_dword *d = uiommu_pci_dword(rules, rules->pm_ctrl);
	u32 new = d->value & PCI_PM_CTRL_STATE_MASK;

	old &= PCI_PM_CTRL_STATE_MASK;
	if (new && !old) {
		uiommu_pci_gate_close(dev, UIOMMU_PCI_D3);
	} else if (old && !new) {
		if (old == (__force u32)PCI_D3hot && rules->pm_forgets) {
			d->value |= old;
			return true;
		}
		uiommu_pci_gate_open(dev, UIOMMU_PCI_D3);
	}
	return false;
}

/* Take a bit that starts something out of the copy, as it reads 0. */
static bool take_bit(struct uiommu_pci_rules *rules, unsigned int pos, u32 bit)
{
	struct uiommu_pci_dword *d = uiommu_pci_dword(rules, pos);
	bool set = pos && d->value & d->write & bit;

	if (set)
		d->value &= ~bit;
	return set;
}

static int read_locked(struct uiommu_pci *dev, unsigned int pos,
		       unsigned int len, u32 *val)
{
	struct uiommu_pci_rules *rules = dev->config->rules;

	lockdep_assert_held(&dev->config_lock);

	if (round_down(pos, 4) == PCI_COMMAND)
		update_command(dev, uiommu_pci_dword(rules, PCI_COMMAND));
	return uiommu_pci_rules_read(rules, &user_hw, dev->pdev, pos, len, val);
}

/* @reset is set when the user asked for a reset, which needs other locks. */
static int write_locked(struct uiommu_pci *dev, unsigned int pos,
			unsigned int len, u32 val, bool *reset)
{
	struct uiommu_pci_rules *rules = dev->config->rules;
	struct uiommu_pci_dword *d = uiommu_pci_dword(rules, pos);
	unsigned int reg = round_down(pos, 4);
	u32 written = uiommu_pci_bits(pos, len);
	u32 old = d->value;
	int ret;

	lockdep_assert_held(&dev->config_lock);

	if (rules->devctl && reg == rules->devctl &&
	    written & PCI_EXP_DEVCTL_READRQ) {
		ret = set_readrq(dev, reg, &val);
		if (ret)
			return ret;
	}

	if (rules->pm_ctrl && reg == rules->pm_ctrl &&
	    written & PCI_PM_CTRL_STATE_MASK)
		val = choose_power_state(rules, val);
	if (reg == PCI_COMMAND && written & val &
	    (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)) {
		ret = restore_if_lost(dev);
		if (ret)
			return ret;
	}

	trace_uiommu_pci_config_denied(dev, reg, val, written & ~d->write);
	ret = uiommu_pci_rules_write(rules, &user_hw, dev->pdev, pos, len, val);
	if (ret)
		return ret;

	if (reg == PCI_COMMAND)
		command_written(dev, d, written, old);
	else if (rules->vpd && reg == rules->vpd && written & VPD_DONE)
		vpd_written(dev);
	*reset = rules->pm_ctrl && reg == rules->pm_ctrl &&
		 power_state_written(dev, old);
	*reset |= take_bit(rules, rules->devctl, PCI_EXP_DEVCTL_BCR_FLR) ||
		 take_bit(rules, rules->af_ctrl, PCI_AF_CTRL_FLR);
	return 0;
}

/* One access within a dword. */
static int transfer(struct uiommu_pci *dev, unsigned int pos,
		    unsigned int len, u32 *val, bool write, bool *reset)
{
	unsigned int gated;

	guard(srcu)(&dev->srcu);
	guard(mutex)(&dev->config_lock);
	gated = READ_ONCE(dev->gated);
	if (gated & UIOMMU_PCI_GONE)
		return -ENODEV;
	if (gated & UIOMMU_PCI_DOWN)
		return -EBUSY;
	if (pci_dev_is_disconnected(dev->pdev))
		return -ENODEV;
	/* Registers can tell a device to do something on the bus. */
	if (write && gated & UIOMMU_PCI_UNSET)
		return -EINVAL;
	return write ? write_locked(dev, pos, len, *val, reset) :
		       read_locked(dev, pos, len, val);
}

/**
 * uiommu_pci_config_rw - read or write config space
 * @file: an open file of the device
 * @buf: user memory, little-endian like the registers
 * @count: bytes
 * @pos: first byte
 * @write: to the device
 *
 * A function level reset that is asked for in a register is done before it
 * returns, and its error is the error of the write.
 *
 * Context: may sleep; hold nothing.
 * Return: bytes done, less than @count at the end of config space or when an
 * error came after them; -EINVAL for a write behind the end or before the device
 * is attached; -EFAULT; -EBUSY in reset; -ENODEV.
 */
ssize_t uiommu_pci_config_rw(struct uiommu_pci_file *file, char __user *buf,
			     size_t count, u64 pos, bool write)
{
	struct uiommu_pci *dev = file->dev;
	/* Does not change, and is there as long as the object is. */
	unsigned int size = dev->pdev->cfg_size;
	size_t done = 0;
	int ret = 0;

	if (pos >= size)
		return write ? -EINVAL : 0;
	count = min_t(u64, count, size - pos);

	while (done < count) {
		unsigned int at = array_index_nospec((u32)pos + done, size);
		unsigned int left = count - done;
		unsigned int len = !(at % 4) && left >= 4 ? 4 :
				   !(at % 2) && left >= 2 ? 2 : 1;
		unsigned int shift = at % 4 * 8;
		bool reset = false;
		__le32 le = 0;
		u32 val = 0;

		/* Whole, it would write back what the INTx handler changes. */
		if (write && round_down(at, 4) == PCI_COMMAND)
			len = min(len, 2U);

		ret = -EFAULT;
		if (write && copy_from_user(&le, buf + done, len))
			break;
		val = le32_to_cpu(le) << shift;
		ret = transfer(dev, at, len, &val, write, &reset);
		if (!ret && reset)
			ret = uiommu_pci_reset(file);
		if (ret)
			break;
		le = cpu_to_le32(val >> shift);
		ret = -EFAULT;
		if (!write && copy_to_user(buf + done, &le, len))
			break;
		done += len;
	}
	return done ? done : ret;
}

/* The rules in force, or what they would be with the device open. */
static struct uiommu_pci_rules *get_rules(struct uiommu_pci *dev,
					  struct uiommu_pci_rules **built)
{
	lockdep_assert_held(&dev->config_lock);

	if (dev->config)
		return dev->config->rules;
	if (READ_ONCE(dev->gated) & UIOMMU_PCI_DOWN)
		return ERR_PTR(-EBUSY);
	if (pci_dev_is_disconnected(dev->pdev))
		return ERR_PTR(-ENODEV);
	*built = build_rules(dev, false);
	return *built;
}

/**
 * uiommu_pci_config_map - who owns which byte of config space, for sysfs
 * @dev: the device
 * @buf: kernel memory
 * @pos: first byte
 * @count: bytes
 *
 * A byte for each of config space: the ID of its capability, a standard one in
 * the first 256 bytes and an extended one from there on, 0x00 in the header,
 * 0xff in a gap and 0xfe in a capability that is hidden.
 *
 * Context: dev->srcu held for read.
 * Return: bytes, 0 at the end, or an error.
 */
ssize_t uiommu_pci_config_map(struct uiommu_pci *dev, char *buf, loff_t pos,
			      size_t count)
{
	struct uiommu_pci_rules *built __free(kvfree) = NULL;
	struct uiommu_pci_rules *rules;
	size_t i, size;

	guard(mutex)(&dev->config_lock);
	rules = get_rules(dev, &built);
	if (IS_ERR(rules))
		return PTR_ERR(rules);

	size = rules->num * 4;
	if (pos < 0 || pos >= size)
		return 0;
	count = min(count, size - (size_t)pos);
	for (i = 0; i < count; i++)
		buf[i] = uiommu_pci_dword(rules, pos + i)->map[(pos + i) % 4];
	return count;
}

/**
 * uiommu_pci_config_rules - what can be written, and what is virtual, for sysfs
 * @dev: the device
 * @buf: kernel memory
 * @pos: first byte
 * @count: bytes
 *
 * Two little-endian words for each dword of config space: its virtual bits, and
 * the bits that the user may change.
 *
 * Context: dev->srcu held for read.
 * Return: bytes, 0 at the end, or an error.
 */
ssize_t uiommu_pci_config_rules(struct uiommu_pci *dev, char *buf, loff_t pos,
				size_t count)
{
	struct uiommu_pci_rules *built __free(kvfree) = NULL;
	struct uiommu_pci_rules *rules;
	size_t i, size;

	guard(mutex)(&dev->config_lock);
	rules = get_rules(dev, &built);
	if (IS_ERR(rules))
		return PTR_ERR(rules);

	size = rules->num * 8;
	if (pos < 0 || pos >= size)
		return 0;
	count = min(count, size - (size_t)pos);
	for (i = 0; i < count; i++) {
		size_t at = pos + i;
		const struct uiommu_pci_dword *d = &rules->dwords[at / 8];
		u64 both = (u64)d->write << 32 | d->virt;

		buf[i] = both >> (at % 8 * 8);
	}
	return count;
}
