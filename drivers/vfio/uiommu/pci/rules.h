/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a user may read and write in the config space of a device, bit by bit.
 *
 * Nothing in here knows a struct pci_dev or a lock: the registers are reached
 * through struct uiommu_pci_hw, so that the rules can be tested on recorded
 * config spaces.
 *
 * Registers are handled a dword at a time, in CPU order; they are little-endian
 * where they meet the bus (behind struct uiommu_pci_hw) and the user.
 */
#ifndef _UIOMMU_PCI_RULES_H
#define _UIOMMU_PCI_RULES_H

#include <linux/pci.h>
#include <linux/types.h>

/*
 * Who owns a byte of config space: the ID of a capability, a standard one below
 * PCI_CFG_SPACE_SIZE and an extended one from there on, or one of these. HEADER
 * and GAP have the values of 2010, when sysfs first showed them.
 */
#define UIOMMU_PCI_MAP_HEADER	0x00	/* none that is shown has this ID */
#define UIOMMU_PCI_MAP_HIDDEN	0xfe	/* a capability kept from the user */
#define UIOMMU_PCI_MAP_GAP	0xff	/* in no capability */

/**
 * struct uiommu_pci_hw - access to the registers of a device
 * @read: read @len bytes (1, 2 or 4) at @pos, a multiple of @len
 * @write: write them
 */
struct uiommu_pci_hw {
	int (*read)(void *priv, unsigned int pos, unsigned int len, u32 *val);
	int (*write)(void *priv, unsigned int pos, unsigned int len, u32 val);
};

/**
 * struct uiommu_pci_rules_source - what rules are made from
 * @hw: access to the device
 * @priv: first argument of the functions in @hw
 * @size: bytes of config space, a multiple of 4
 * @vendor: vendor ID; registers of a virtual function do not have it
 * @device: device ID, likewise
 * @intx: the device has an INTx pin that the user can make use of
 * @bars: length and IORESOURCE_* flags of the standard BARs and the ROM
 */
struct uiommu_pci_rules_source {
	const struct uiommu_pci_hw *hw;
	void *priv;
	unsigned int size;
	u16 vendor;
	u16 device;
	bool intx;
	struct {
		u64 len;
		unsigned long flags;
	} bars[PCI_ROM_RESOURCE + 1];
};

/**
 * struct uiommu_pci_dword - the rules of four bytes
 * @virt: bits that are in @value and not in hardware, for reads and writes
 * @write: bits that the user may change
 * @w1c: bits that hardware may clear when a 1 is written: 0 is written unless
 *	the user wrote 1 and may change them
 * @value: virtual copy; 0 outside @virt
 * @map: owner of each byte, UIOMMU_PCI_MAP_*
 */
struct uiommu_pci_dword {
	u32 virt;
	u32 write;
	u32 w1c;
	u32 value;
	u8 map[4];
};

/**
 * struct uiommu_pci_rules - the rules of a device and its virtual config space
 * @devctl: position of the PCIe Device Control register, 0 when there is none
 * @af_ctrl: position of the Advanced Features Control register, or 0
 * @vpd: position of the Vital Product Data capability, or 0
 * @pm_ctrl: position of the Power Management Control/Status register, or 0
 * @pm_states: bit N is set when the device has power state DN
 * @pm_forgets: it is as after a reset when it comes back from D3hot
 * @num: number of @dwords
 * @dwords: the rules, freed with the whole by kvfree()
 */
struct uiommu_pci_rules {
	u16 devctl;
	u16 af_ctrl;
	u16 vpd;
	u16 pm_ctrl;
	u8 pm_states;
	bool pm_forgets;
	unsigned int num;
	struct uiommu_pci_dword dwords[] __counted_by(num);
};

static inline struct uiommu_pci_dword *
uiommu_pci_dword(struct uiommu_pci_rules *rules, unsigned int pos)
{
	return &rules->dwords[pos / 4];
}

/* The bits of its dword that an access covers. */
static inline u32 uiommu_pci_bits(unsigned int pos, unsigned int len)
{
	return GENMASK(len * 8 - 1, 0) << (pos % 4 * 8);
}

struct uiommu_pci_rules *
uiommu_pci_rules_build(const struct uiommu_pci_rules_source *src);
int uiommu_pci_rules_read(struct uiommu_pci_rules *rules,
			  const struct uiommu_pci_hw *hw, void *priv,
			  unsigned int pos, unsigned int len, u32 *val);
int uiommu_pci_rules_write(struct uiommu_pci_rules *rules,
			   const struct uiommu_pci_hw *hw, void *priv,
			   unsigned int pos, unsigned int len, u32 val);

#endif /* _UIOMMU_PCI_RULES_H */
