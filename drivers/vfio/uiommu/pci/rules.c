// SPDX-License-Identifier: GPL-2.0-only
/*
 * Config space rules: tables of what a user may do with each register, the walk
 * of the capability lists that finds where they apply, and the arithmetic of an
 * access.
 *
 * The tables say why a bit is not simply the user's.  By default
 *
 *  - a register of the header or of a capability is real and read-only;
 *  - a gap, which is in neither, is real and writable: devices keep registers
 *    of their own there and reach nothing through them that their BARs do not;
 *  - a capability that is not in the tables is hidden: taken out of the list,
 *    its bytes read 0 and stay.  Nobody knows what it can do.
 *
 * Sections are of PCI Express r5.0 unless another specification is named.
 *
 * Design: original vfio/uiommu, Tom Lyon, Cisco Systems, 2010
 */
#include <linux/bitfield.h>
#include <linux/bitmap.h>
#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/ioport.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "rules.h"

/* The upper register of a dword. */
#define HI(bits)	((u32)(bits) << 16)

/**
 * struct rule - one row: a dword of the header or of a capability
 * @virt: see struct uiommu_pci_dword
 * @keep: bits of @virt that begin as they are in hardware, the others as 0
 * @write: see struct uiommu_pci_dword
 * @w1c: likewise; a status register has all its bits here, as those that it
 *	does not clear ignore what is written
 */
struct rule {
	u32 virt;
	u32 keep;
	u32 write;
	u32 w1c;
};

#define STATUS_W1C	(PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT | \
			 PCI_STATUS_REC_TARGET_ABORT | \
			 PCI_STATUS_REC_MASTER_ABORT | \
			 PCI_STATUS_SIG_SYSTEM_ERROR | \
			 PCI_STATUS_DETECTED_PARITY)

/* Type 0 header, 7.5.1.1 and 7.5.1.2. */
static const struct rule header_rules[PCI_STD_HEADER_SIZEOF / 4] = {
	/*
	 * VENDOR_ID, DEVICE_ID: those of a VF read FFFFh (9.3.4.1), its user is
	 * shown what the kernel made of the PF's.
	 */
	[PCI_VENDOR_ID / 4] = { .virt = ~0U },

	/*
	 * COMMAND. IO, MEMORY: decoding stays on, as the kernel and the other
	 * users of the device count on it; MEMORY keeps its own user out. Which
	 * of them can be set is up to the BARs, see init_bars().
	 * MASTER: DMA needs an address space, so it becomes writable when the
	 * device is attached, see config.c.
	 * INTX_DISABLE: the interrupt handler masks with it.
	 * INVALIDATE, PARITY: about the device's own transfers.
	 * SERR: who handles errors, AER or firmware, says what is reported.
	 * FAST_BACK, SPECIAL, VGA_PALETTE: right or wrong by what else is on
	 * the bus. WAIT: hardwired since PCI 3.0.
	 *
	 * STATUS. CAP_LIST: hiding may have left no capability.
	 */
	[PCI_COMMAND / 4] = {
		.virt = PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
			PCI_COMMAND_INTX_DISABLE | HI(PCI_STATUS_CAP_LIST),
		.keep = HI(PCI_STATUS_CAP_LIST),
		.write = PCI_COMMAND_INVALIDATE | PCI_COMMAND_PARITY |
			 HI(STATUS_W1C),
		.w1c = HI(0xffff),
	},

	/*
	 * CACHE_LINE_SIZE, LATENCY_TIMER: tune the device's own transfers, and
	 * do nothing on PCI Express. BIST: takes the device off the bus for up
	 * to two seconds, in which nobody else can tell it from a dead one.
	 */
	[PCI_CACHE_LINE_SIZE / 4] = { .write = 0xffff },

	/*
	 * The BARs and the ROM BAR say where the device answers: a real one in
	 * the user's hands would take the addresses of other devices. They can
	 * be sized and written like real ones, see init_bars().
	 */
	[PCI_BASE_ADDRESS_0 / 4] = { .virt = ~0U },
	[PCI_BASE_ADDRESS_1 / 4] = { .virt = ~0U },
	[PCI_BASE_ADDRESS_2 / 4] = { .virt = ~0U },
	[PCI_BASE_ADDRESS_3 / 4] = { .virt = ~0U },
	[PCI_BASE_ADDRESS_4 / 4] = { .virt = ~0U },
	[PCI_BASE_ADDRESS_5 / 4] = { .virt = ~0U },
	[PCI_ROM_ADDRESS / 4] = { .virt = ~0U },

	/* CAPABILITY_LIST: the first one may be hidden. */
	[PCI_CAPABILITY_LIST / 4] = { .virt = 0xff },

	/*
	 * INTERRUPT_LINE: a scratch register that the kernel has read long ago
	 * (7.5.1.1.12). INTERRUPT_PIN: 0 when there is no INTx to be had.
	 */
	[PCI_INTERRUPT_LINE / 4] = {
		.virt = 0xffff, .keep = 0xffff, .write = 0xff,
	},
};

/* 7.5.2 */
static const struct rule pm_rules[PCI_PM_SIZEOF / 4] = {
	/* PMC: no PME of the device reaches the user. */
	[0] = { .virt = HI(PCI_PM_CAP_PME_MASK) },
	/*
	 * PMCSR. State: the device stays in D0, as it forgets in any other what
	 * the kernel wrote to config space; what the user sees is a device that
	 * went there, see config.c. PME: the kernel's, for wake-up.
	 */
	[PCI_PM_CTRL / 4] = {
		.virt = PCI_PM_CTRL_STATE_MASK | PCI_PM_CTRL_PME_ENABLE |
			PCI_PM_CTRL_PME_STATUS,
		.write = PCI_PM_CTRL_STATE_MASK | PCI_PM_CTRL_DATA_SEL_MASK,
		.w1c = PCI_PM_CTRL_PME_STATUS,
	},
};

/*
 * PCI 3.0 appendix I. Reads go through the PCI core, which shares the registers
 * with sysfs; so both are virtual. Writes are not carried out: an EEPROM would
 * remember them beyond the user.
 */
static const struct rule vpd_rules[PCI_CAP_VPD_SIZEOF / 4] = {
	[0] = { .virt = HI(0xffff), .write = HI(0xffff) },
	[PCI_VPD_DATA / 4] = { .virt = ~0U, .write = ~0U },
};

/*
 * 7.7.1. Enable, count, address and data belong to the kernel, which sets them
 * when the user asks for eventfds: a message is a DMA write. The user has a
 * copy of them to play with. Mask bits are real, pending bits read-only.
 */
#define MSI_CONTROL_RULE { \
	.virt = HI(0xffff), \
	.keep = HI((u16)~(PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE)), \
	.write = HI(PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE), \
}

static const struct rule msi32_rules[] = {
	[0] = MSI_CONTROL_RULE,
	[PCI_MSI_ADDRESS_LO / 4] = { .virt = ~0U, .write = ~3U },
	[PCI_MSI_DATA_32 / 4] = { .virt = ~0U, .write = ~0U },
	[PCI_MSI_MASK_32 / 4] = { .write = ~0U },
};

static const struct rule msi64_rules[] = {
	[0] = MSI_CONTROL_RULE,
	[PCI_MSI_ADDRESS_LO / 4] = { .virt = ~0U, .write = ~3U },
	[PCI_MSI_ADDRESS_HI / 4] = { .virt = ~0U, .write = ~0U },
	[PCI_MSI_DATA_64 / 4] = { .virt = ~0U, .write = ~0U },
	[PCI_MSI_MASK_64 / 4] = { .write = ~0U },
};

/* PCI-X 2.0 7.2 */
static const struct rule pcix_rules[] = {
	/* Tunes the device's own transfers. */
	[0] = {
		.write = HI(PCI_X_CMD_DPERR_E | PCI_X_CMD_ERO |
			    PCI_X_CMD_MAX_READ | PCI_X_CMD_MAX_SPLIT),
	},
	[PCI_X_STATUS / 4] = {
		.write = PCI_X_STATUS_SPL_DISC | PCI_X_STATUS_UNX_SPL |
			 PCI_X_STATUS_SPL_ERR,
		.w1c = ~0U,
	},
	/* ECC control comes with its status bits, and is about the bus. */
	[PCI_X_ECC_CSR / 4] = { .w1c = ~0U },
};

/* The length byte is the capability's, what follows the vendor's. 7.9.4 */
static const struct rule vndr_rules[] = {
	[0] = { .write = 0xff000000 },
};

#define DEVSTA_W1C	(PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_NFED | \
			 PCI_EXP_DEVSTA_FED | PCI_EXP_DEVSTA_URD)

/* 7.5.3. The link has two ends, and only one is the user's: not writable. */
static const struct rule exp_rules[PCI_CAP_EXP_ENDPOINT_SIZEOF_V2 / 4] = {
	/*
	 * DEVCTL. RELAX_EN, NOSNOOP_EN: may be turned off; on only where they
	 * were, see init_exp(). READRQ: not below PAYLOAD nor above what the
	 * host bridge can take, see config.c. BCR_FLR: a reset takes locks and
	 * more than one register, so it is done by the driver; reads 0.
	 * PAYLOAD: both ends of every link on the way have to agree. PHANTOM:
	 * the IOMMU does not know phantom functions. EXT_TAG: the other side
	 * has to take them. CERE, NFERE, FERE, URRE: as SERR above. AUX_PME:
	 * draws on a budget.
	 */
	[PCI_EXP_DEVCTL / 4] = {
		.virt = PCI_EXP_DEVCTL_BCR_FLR,
		.write = PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN |
			 PCI_EXP_DEVCTL_READRQ | PCI_EXP_DEVCTL_BCR_FLR |
			 HI(DEVSTA_W1C),
		.w1c = HI(0xffff),
	},
	[PCI_EXP_LNKCTL / 4] = { .w1c = HI(0xffff) },
	/*
	 * DEVCTL2. The completion timeout and ID-based ordering are about the
	 * device's own requests. ARI was settled when the bus was scanned;
	 * atomic requests, LTR, OBFF and longer tags need the whole path.
	 */
	[PCI_EXP_DEVCTL2 / 4] = {
		.write = PCI_EXP_DEVCTL2_COMP_TIMEOUT |
			 PCI_EXP_DEVCTL2_COMP_TMOUT_DIS |
			 PCI_EXP_DEVCTL2_IDO_REQ_EN |
			 PCI_EXP_DEVCTL2_IDO_CMP_EN,
		.w1c = HI(0xffff),
	},
	[PCI_EXP_LNKCTL2 / 4] = { .w1c = HI(0xffff) },
};

/* PCI Advanced Capabilities ECN. FLR as in the PCI Express capability. */
static const struct rule af_rules[] = {
	[PCI_AF_CTRL / 4] = {
		.virt = PCI_AF_CTRL_FLR, .write = PCI_AF_CTRL_FLR,
	},
};

#define ERR_UNC_BITS	(PCI_ERR_UNC_UND | PCI_ERR_UNC_DLP | \
			 PCI_ERR_UNC_SURPDN | PCI_ERR_UNC_POISON_TLP | \
			 PCI_ERR_UNC_FCP | PCI_ERR_UNC_COMP_TIME | \
			 PCI_ERR_UNC_COMP_ABORT | PCI_ERR_UNC_UNX_COMP | \
			 PCI_ERR_UNC_RX_OVER | PCI_ERR_UNC_MALF_TLP | \
			 PCI_ERR_UNC_ECRC | PCI_ERR_UNC_UNSUP | \
			 PCI_ERR_UNC_ACSV | PCI_ERR_UNC_INTN | \
			 PCI_ERR_UNC_MCBTLP | PCI_ERR_UNC_ATOMEG | \
			 PCI_ERR_UNC_TLPPRE)
#define ERR_COR_BITS	(PCI_ERR_COR_RCVR | PCI_ERR_COR_BAD_TLP | \
			 PCI_ERR_COR_BAD_DLLP | PCI_ERR_COR_REP_ROLL | \
			 PCI_ERR_COR_REP_TIMER | PCI_ERR_COR_ADV_NFAT | \
			 PCI_ERR_COR_INTERNAL | PCI_ERR_COR_LOG_OVER)

/*
 * 7.8.4. Which errors of its device count is the user's business, but only of
 * the kinds that are known. ECRC is a decision for the whole hierarchy (ecrc=).
 */
static const struct rule err_rules[] = {
	[PCI_ERR_UNCOR_STATUS / 4] = { .write = ERR_UNC_BITS, .w1c = ~0U },
	[PCI_ERR_UNCOR_MASK / 4] = { .write = ERR_UNC_BITS },
	[PCI_ERR_UNCOR_SEVER / 4] = { .write = ERR_UNC_BITS },
	[PCI_ERR_COR_STATUS / 4] = { .write = ERR_COR_BITS, .w1c = ~0U },
	[PCI_ERR_COR_MASK / 4] = { .write = ERR_COR_BITS },
};

/* 7.8.1. Selects what the read-only data register shows. */
static const struct rule pwr_rules[] = {
	[PCI_PWR_DSR / 4] = { .write = 0xff },
};

/* As above, with a dword for ID and length. 7.9.5, 7.9.6 */
static const struct rule vsec_rules[] = {
	[PCI_VNDR_HEADER / 4] = {},
};

static const struct rule dvsec_rules[] = {
	[PCI_DVSEC_HEADER2 / 4] = { .write = HI(0xffff) },
};

/* What holds for the rest of a capability, behind its rows. */
enum rest {
	HIDDEN,
	READ_ONLY,
	WRITABLE,
};

static const struct rule rest_rules[] = {
	[HIDDEN] = { .virt = ~0U },
	[READ_ONLY] = {},
	[WRITABLE] = { .write = ~0U },
};

/**
 * struct cap_type - a kind of capability
 * @rest: what its user sees
 * @many: a function can have more than one; otherwise the kernel drives the
 *	first and the user is not shown another
 * @len: bytes; 0 for what cap_len() says, or up to whatever follows
 * @num_rules: entries of @rules
 * @rules: rows; of the first dword, the header of the capability is read-only
 *	and virtual in any case, as the next pointer may change
 */
struct cap_type {
	enum rest rest;
	bool many;
	u16 len;
	u16 num_rules;
	const struct rule *rules;
};

#define RULES(r)	.num_rules = ARRAY_SIZE(r), .rules = r

static const struct cap_type cap_types[PCI_CAP_ID_MAX + 1] = {
	/* No registers at all. */
	[0] = { .len = PCI_CAP_SIZEOF },
	[PCI_CAP_ID_PM] = {
		.rest = READ_ONLY,
		.len = PCI_PM_SIZEOF,
		RULES(pm_rules),
	},
	/* The GART is not where a user's DMA goes: nothing to be set. */
	[PCI_CAP_ID_AGP] = { .rest = READ_ONLY, .len = PCI_AGP_SIZEOF },
	[PCI_CAP_ID_VPD] = {
		.rest = READ_ONLY,
		.len = PCI_CAP_VPD_SIZEOF,
		RULES(vpd_rules),
	},
	/* Slots, hot plug and bridges: not of an endpoint. */
	[PCI_CAP_ID_SLOTID] = { .len = PCI_CAP_SIZEOF },
	[PCI_CAP_ID_CHSWP] = { .len = PCI_CAP_SIZEOF },
	[PCI_CAP_ID_SHPC] = { .len = 8 },
	[PCI_CAP_ID_SSVID] = { .len = 8 },
	[PCI_CAP_ID_MSI] = { .rest = READ_ONLY },
	[PCI_CAP_ID_PCIX] = { .rest = READ_ONLY, RULES(pcix_rules) },
	/* Routing and mapping of a HyperTransport chain. */
	[PCI_CAP_ID_HT] = { .rest = READ_ONLY, .many = true },
	[PCI_CAP_ID_VNDR] = {
		.rest = WRITABLE,
		.many = true,
		RULES(vndr_rules),
	},
	/* The debug port is a console of the kernel. */
	[PCI_CAP_ID_DBG] = { .len = PCI_CAP_SIZEOF },
	[PCI_CAP_ID_EXP] = { .rest = READ_ONLY, RULES(exp_rules) },
	/* Enable and mask go with the eventfds; 7.7.2. */
	[PCI_CAP_ID_MSIX] = { .rest = READ_ONLY, .len = PCI_CAP_MSIX_SIZEOF },
	/* Inline index and data registers reach what BAR 5 does. */
	[PCI_CAP_ID_SATA] = { .rest = READ_ONLY },
	[PCI_CAP_ID_AF] = {
		.rest = READ_ONLY,
		.len = PCI_CAP_AF_SIZEOF,
		RULES(af_rules),
	},
	/* BARs by another name: addresses of the host, and not virtual. */
	[PCI_CAP_ID_EA] = { .rest = HIDDEN },
	/* CCRC, AGP3 and SECDEV, not here, are of bridges or undocumented. */
};

/*
 * The length of a hidden one tells what follows it from it.  Those not here are
 * of root ports and root complexes, equalise a link, or are unknown.
 */
static const struct cap_type ext_cap_types[PCI_EXT_CAP_ID_MAX + 1] = {
	[PCI_EXT_CAP_ID_ERR] = { .rest = READ_ONLY, RULES(err_rules) },
	/* Arbitration is between functions. */
	[PCI_EXT_CAP_ID_VC] = { .rest = READ_ONLY },
	[PCI_EXT_CAP_ID_VC9] = { .rest = READ_ONLY },
	[PCI_EXT_CAP_ID_MFVC] = { .rest = READ_ONLY },
	[PCI_EXT_CAP_ID_DSN] = {
		.rest = READ_ONLY,
		.len = PCI_EXT_CAP_DSN_SIZEOF,
	},
	[PCI_EXT_CAP_ID_PWR] = {
		.rest = READ_ONLY,
		.len = PCI_EXT_CAP_PWR_SIZEOF,
		RULES(pwr_rules),
	},
	[PCI_EXT_CAP_ID_VNDR] = {
		.rest = WRITABLE,
		.many = true,
		RULES(vsec_rules),
	},
	/* What isolation rests on. */
	[PCI_EXT_CAP_ID_ACS] = { .rest = READ_ONLY },
	/* Settled when the bus was scanned. */
	[PCI_EXT_CAP_ID_ARI] = {
		.rest = READ_ONLY,
		.len = PCI_EXT_CAP_ARI_SIZEOF,
	},
	/* The IOMMU driver turns ATS and PRI on, as it has to trust them. */
	[PCI_EXT_CAP_ID_ATS] = {
		.rest = READ_ONLY,
		.len = PCI_EXT_CAP_ATS_SIZEOF,
	},
	[PCI_EXT_CAP_ID_PRI] = {
		.rest = READ_ONLY,
		.len = PCI_EXT_CAP_PRI_SIZEOF,
	},
	/* Address spaces within the space: there are none. */
	[PCI_EXT_CAP_ID_PASID] = { .len = PCI_EXT_CAP_PASID_SIZEOF },
	/* VFs appear in the kernel's device model, or not at all. */
	[PCI_EXT_CAP_ID_SRIOV] = {
		.rest = READ_ONLY,
		.len = PCI_EXT_CAP_SRIOV_SIZEOF,
	},
	/* Multicast addresses are claimed from others. */
	[PCI_EXT_CAP_ID_MCAST] = {
		.rest = READ_ONLY,
		.len = PCI_EXT_CAP_MCAST_ENDPOINT_SIZEOF,
	},
	/* Changes the BARs under the kernel. */
	[PCI_EXT_CAP_ID_REBAR] = { .rest = READ_ONLY },
	/* Power of the device is a decision of the platform. */
	[PCI_EXT_CAP_ID_DPA] = { .rest = READ_ONLY },
	/* Steering tags name CPUs: the kernel knows which. */
	[PCI_EXT_CAP_ID_TPH] = { .rest = READ_ONLY },
	/* Latency limits of the platform. */
	[PCI_EXT_CAP_ID_LTR] = {
		.rest = READ_ONLY,
		.len = PCI_EXT_CAP_LTR_SIZEOF,
	},
	/* Unless it is of another vendor, see ext_cap_len(). */
	[PCI_EXT_CAP_ID_DVSEC] = {
		.rest = WRITABLE,
		.many = true,
		RULES(dvsec_rules),
	},
	/* Of the link: both ends have to agree. */
	[PCI_EXT_CAP_ID_L1SS] = { .len = PCI_L1SS_CTL2 + 4 },
	[PCI_EXT_CAP_ID_DLF] = { .len = PCI_DLF_CAP + 8 },
	/* The path up to the root has to take part. */
	[PCI_EXT_CAP_ID_PTM] = { .len = PCI_PTM_CTRL + 4 },
	/* Lights of the enclosure, driven by the kernel. */
	[PCI_EXT_CAP_ID_NPEM] = { .len = PCI_NPEM_STATUS + 4 },
	/* Mailboxes that the kernel talks through, to authenticate it even. */
	[PCI_EXT_CAP_ID_DOE] = { .many = true, .len = PCI_DOE_CAP_SIZEOF },
	/* Tag sizes and more that the path has to take. */
	[PCI_EXT_CAP_ID_DEV3] = { .len = PCI_DEV3_STA + 4 },
};

/* Message Control: data has 32 bits; 7.7.1.2, not in pci_regs.h */
#define MSI_FLAGS_EXT_DATA	0x0200

/* State of uiommu_pci_rules_build() */
struct build {
	const struct uiommu_pci_rules_source *src;
	struct uiommu_pci_rules *rules;
	/* Dwords where a capability starts */
	DECLARE_BITMAP(starts, PCI_CFG_SPACE_EXP_SIZE / 4);
};

/* One of the two lists of capabilities */
struct cap_list {
	bool ext;
	unsigned int first;	/* position below which there is none */
	unsigned int end;
	u32 header;		/* bits of the header, in the first dword */
	u32 next;		/* of these, the pointer */
};

static const struct cap_list std_list = {
	.first = PCI_STD_HEADER_SIZEOF,
	.end = PCI_CFG_SPACE_SIZE,
	.header = PCI_CAP_ID_MASK | PCI_CAP_LIST_NEXT_MASK,
	.next = PCI_CAP_LIST_NEXT_MASK,
};

static const struct cap_list ext_list = {
	.ext = true,
	.first = PCI_CFG_SPACE_SIZE,
	.end = PCI_CFG_SPACE_EXP_SIZE,
	.header = ~0U,
	.next = 0xfff00000,
};

/* A capability being looked at */
struct cap {
	u16 id;
	unsigned int pos;
	unsigned int len;
	u32 header;
	struct cap_type type;
};

static int read_dword(const struct build *b, unsigned int pos, u32 *val)
{
	*val = 0;
	/* A capability can end beyond the space. */
	if (pos >= b->src->size)
		return 0;
	return b->src->hw->read(b->src->priv, pos, 4, val);
}

/* Lay the rows of a part of config space over it. */
static int apply(struct build *b, unsigned int pos, unsigned int len, u8 owner,
		 const struct cap_type *type)
{
	unsigned int i;
	int ret;

	for (i = 0; i * 4 < len; i++) {
		const struct rule *rule = i < type->num_rules ?
			&type->rules[i] : &rest_rules[type->rest];
		struct uiommu_pci_dword *d =
			uiommu_pci_dword(b->rules, pos + i * 4);
		unsigned int bytes = min(len - i * 4, 4);
		u32 owned = uiommu_pci_bits(0, bytes);
		u32 real = 0;

		if (rule->keep) {
			ret = read_dword(b, pos + i * 4, &real);
			if (ret)
				return ret;
		}
		memset(d->map, owner, bytes);
		d->virt = (d->virt & ~owned) | (rule->virt & owned);
		d->write = (d->write & ~owned) | (rule->write & owned);
		d->w1c = (d->w1c & ~owned) | (rule->w1c & owned);
		d->value = (d->value & ~owned) | (real & rule->keep & owned);
	}
	return 0;
}

/* What a register of @len address bits answers when it is sized. */
static u64 size_mask(u64 len)
{
	return ~0ULL << min(fls64(len - 1), 63);
}

/*
 * BARs begin as after a reset, with address 0: where the device really is, is
 * nothing that its user needs.  7.5.1.2.1, 7.5.1.2.4
 */
static void init_bars(struct build *b)
{
	const struct uiommu_pci_rules_source *src = b->src;
	struct uiommu_pci_rules *rules = b->rules;
	struct uiommu_pci_dword *d, *command;
	u32 decode = 0;
	unsigned int i;
	u64 mask;

	for (i = 0; i < PCI_STD_NUM_BARS; i++) {
		unsigned long flags = src->bars[i].flags;

		if (!src->bars[i].len)
			continue;
		d = uiommu_pci_dword(rules, PCI_BASE_ADDRESS_0 + i * 4);
		mask = size_mask(src->bars[i].len);

		if (flags & IORESOURCE_IO) {
			decode |= PCI_COMMAND_IO;
			d->value = PCI_BASE_ADDRESS_SPACE_IO;
			d->write = mask & PCI_BASE_ADDRESS_IO_MASK;
			continue;
		}

		decode |= PCI_COMMAND_MEMORY;
		d->write = mask & PCI_BASE_ADDRESS_MEM_MASK;
		if (flags & IORESOURCE_PREFETCH)
			d->value |= PCI_BASE_ADDRESS_MEM_PREFETCH;
		if (flags & IORESOURCE_MEM_64) {
			d->value |= PCI_BASE_ADDRESS_MEM_TYPE_64;
			if (++i < PCI_STD_NUM_BARS)
				d[1].write = upper_32_bits(mask);
		}
	}

	if (src->bars[PCI_ROM_RESOURCE].len) {
		decode |= PCI_COMMAND_MEMORY;
		mask = size_mask(src->bars[PCI_ROM_RESOURCE].len);
		d = uiommu_pci_dword(rules, PCI_ROM_ADDRESS);
		d->write = (mask & PCI_ROM_ADDRESS_MASK) |
			   PCI_ROM_ADDRESS_ENABLE;
	}

	/*
	 * The device is found decoding. A VF does not implement MEMORY
	 * (9.3.4.1.3) and decodes all the same.
	 */
	command = uiommu_pci_dword(rules, PCI_COMMAND);
	command->write |= decode;
	command->value |= decode;
}

static int init_header(struct build *b)
{
	static const struct cap_type header = {
		.rest = READ_ONLY,
		RULES(header_rules),
	};
	const struct uiommu_pci_rules_source *src = b->src;
	struct uiommu_pci_rules *rules = b->rules;
	u32 val;
	int ret;

	/* All-ones in COMMAND: nobody answers; a VF has it in VENDOR_ID. */
	ret = read_dword(b, PCI_COMMAND, &val);
	if (ret)
		return ret;
	if (PCI_POSSIBLE_ERROR(val))
		return -ENODEV;

	ret = read_dword(b, PCI_CACHE_LINE_SIZE, &val);
	if (ret)
		return ret;
	if ((val >> 16 & PCI_HEADER_TYPE_MASK) != PCI_HEADER_TYPE_NORMAL)
		return -EINVAL;

	ret = apply(b, 0, PCI_STD_HEADER_SIZEOF, UIOMMU_PCI_MAP_HEADER,
		    &header);
	if (ret)
		return ret;

	uiommu_pci_dword(rules, PCI_VENDOR_ID)->value =
		src->vendor | HI(src->device);
	init_bars(b);
	if (src->intx)
		uiommu_pci_dword(rules, PCI_COMMAND)->write |=
			PCI_COMMAND_INTX_DISABLE;
	else
		uiommu_pci_dword(rules, PCI_INTERRUPT_PIN)->value &= 0xff;
	return 0;
}

/*
 * The length of a capability by what is in it.  It stays 0, for up to whatever
 * follows, where nothing is writable and the length not worth the finding out.
 */
static int std_cap_len(struct build *b, struct cap *cap)
{
	u16 flags = cap->header >> 16;
	u32 val;
	int ret;

	switch (cap->id) {
	case PCI_CAP_ID_MSI:
		if (flags & PCI_MSI_FLAGS_64BIT) {
			cap->type.rules = msi64_rules;
			cap->type.num_rules = ARRAY_SIZE(msi64_rules);
			cap->len = PCI_MSI_DATA_64 + 2;
		} else {
			cap->type.rules = msi32_rules;
			cap->type.num_rules = ARRAY_SIZE(msi32_rules);
			cap->len = PCI_MSI_DATA_32 + 2;
		}
		/* The mask starts at a dword, pending bits follow it. */
		if (flags & PCI_MSI_FLAGS_MASKBIT)
			cap->len += 2 + 4 + 4;
		else if (flags & MSI_FLAGS_EXT_DATA)
			cap->len += 2;
		break;
	case PCI_CAP_ID_PCIX:
		cap->len = PCI_X_CMD_VERSION(flags) ? PCI_CAP_PCIX_SIZEOF_V2 :
						      PCI_CAP_PCIX_SIZEOF_V0;
		break;
	case PCI_CAP_ID_VNDR:
		cap->len = max(flags & 0xff, PCI_CAP_SIZEOF);
		break;
	case PCI_CAP_ID_EXP:
		val = FIELD_GET(PCI_EXP_FLAGS_TYPE, flags);
		/* No link, no registers of one. */
		if (val == PCI_EXP_TYPE_RC_END)
			cap->len = (flags & PCI_EXP_FLAGS_VERS) < 2 ?
					   PCI_CAP_EXP_RC_ENDPOINT_SIZEOF_V1 :
					   PCI_CAP_EXP_RC_ENDPOINT_SIZEOF_V2;
		else
			cap->len = (flags & PCI_EXP_FLAGS_VERS) < 2 ?
					   PCI_CAP_EXP_ENDPOINT_SIZEOF_V1 :
					   PCI_CAP_EXP_ENDPOINT_SIZEOF_V2;
		break;
	case PCI_CAP_ID_SATA:
		ret = read_dword(b, cap->pos + PCI_SATA_REGS, &val);
		if (ret)
			return ret;
		cap->len = (val & PCI_SATA_REGS_MASK) == PCI_SATA_REGS_INLINE ?
				   PCI_SATA_SIZEOF_LONG : PCI_SATA_SIZEOF_SHORT;
		break;
	}
	return 0;
}

static int ext_cap_len(struct build *b, struct cap *cap)
{
	u32 val, ctrl;
	int ret;

	ret = read_dword(b, cap->pos + 4, &val);
	if (ret)
		return ret;

	switch (cap->id) {
	case PCI_EXT_CAP_ID_ERR:
		/* The registers of root ports lie between, unused. */
		cap->len = PCI_EXT_CAP_VER(cap->header) < 2 ?
				   PCI_ERR_ROOT_COMMAND :
				   PCI_ERR_PREFIX_LOG + 16;
		break;
	case PCI_EXT_CAP_ID_VC:
	case PCI_EXT_CAP_ID_VC9:
	case PCI_EXT_CAP_ID_MFVC:
		/* Arbitration tables can be anywhere behind several VCs. */
		if (!(val & PCI_VC_CAP1_EVCC))
			cap->len = PCI_CAP_VC_BASE_SIZEOF +
				   PCI_CAP_VC_PER_VC_SIZEOF;
		break;
	case PCI_EXT_CAP_ID_VNDR:
		cap->len = max(PCI_VNDR_HEADER_LEN(val), PCI_VNDR_HEADER + 4);
		break;
	case PCI_EXT_CAP_ID_DVSEC:
		cap->len = max(PCI_DVSEC_HEADER1_LEN(val),
			       PCI_DVSEC_HEADER2 + 2);
		/* By others: a standard like CXL, with host addresses in it. */
		if (PCI_DVSEC_HEADER1_VID(val) != b->src->vendor)
			cap->type = (struct cap_type) { .rest = READ_ONLY };
		break;
	case PCI_EXT_CAP_ID_ACS:
		cap->len = PCI_ACS_EGRESS_CTL_V;
		/* A vector of as many bits as the second byte says; 0: 256 */
		if (val & PCI_ACS_EC)
			cap->len += 4 *
				DIV_ROUND_UP((val >> 8 & 0xff) ?: 256, 32);
		break;
	case PCI_EXT_CAP_ID_REBAR:
		ret = read_dword(b, cap->pos + PCI_REBAR_CTRL, &ctrl);
		if (ret)
			return ret;
		cap->len = PCI_REBAR_CAP +
			   8 * FIELD_GET(PCI_REBAR_CTRL_NBAR_MASK, ctrl);
		break;
	case PCI_EXT_CAP_ID_DPA:
		cap->len = PCI_DPA_BASE_SIZEOF +
			   (val & PCI_DPA_CAP_SUBSTATE_MASK) + 1;
		break;
	case PCI_EXT_CAP_ID_TPH:
		cap->len = PCI_TPH_BASE_SIZEOF;
		if ((val & PCI_TPH_CAP_LOC_MASK) == PCI_TPH_LOC_CAP)
			cap->len += 2 *
				(FIELD_GET(PCI_TPH_CAP_ST_MASK, val) + 1);
		break;
	}
	return 0;
}

/* What this device has of the registers that the driver acts on */
static int init_exp(struct build *b, const struct cap *cap)
{
	struct uiommu_pci_dword *d;
	u32 devcap, devctl;
	int ret;

	if (cap->len < PCI_EXP_DEVCTL + 4)
		return 0;
	ret = read_dword(b, cap->pos + PCI_EXP_DEVCAP, &devcap);
	if (ret)
		return ret;
	ret = read_dword(b, cap->pos + PCI_EXP_DEVCTL, &devctl);
	if (ret)
		return ret;

	b->rules->devctl = cap->pos + PCI_EXP_DEVCTL;
	d = uiommu_pci_dword(b->rules, b->rules->devctl);
	if (!(devcap & PCI_EXP_DEVCAP_FLR))
		d->write &= ~PCI_EXP_DEVCTL_BCR_FLR;
	/* Off: by a quirk, or firmware that knows why. */
	d->write &= ~(~devctl & (PCI_EXP_DEVCTL_RELAX_EN |
				 PCI_EXP_DEVCTL_NOSNOOP_EN));
	return 0;
}

/* 7.5.2.1, 7.5.2.2 */
static int init_pm(struct build *b, const struct cap *cap)
{
	u16 caps = cap->header >> 16;
	u32 val;
	int ret;

	if (cap->len < PCI_PM_CTRL + 2)
		return 0;
	ret = read_dword(b, cap->pos + PCI_PM_CTRL, &val);
	if (ret)
		return ret;
	b->rules->pm_ctrl = cap->pos + PCI_PM_CTRL;
	b->rules->pm_states = BIT(0) | BIT(3);
	if (caps & PCI_PM_CAP_D1)
		b->rules->pm_states |= BIT(1);
	if (caps & PCI_PM_CAP_D2)
		b->rules->pm_states |= BIT(2);
	b->rules->pm_forgets = !(val & PCI_PM_CTRL_NO_SOFT_RESET);
	return 0;
}

static void init_af(struct build *b, const struct cap *cap)
{
	u8 caps = cap->header >> 24;

	if (cap->len < PCI_AF_CTRL + 1)
		return;
	b->rules->af_ctrl = cap->pos + PCI_AF_CTRL;
	if (!(caps & PCI_AF_CAP_FLR) || !(caps & PCI_AF_CAP_TP))
		uiommu_pci_dword(b->rules, b->rules->af_ctrl)->write &=
			~PCI_AF_CTRL_FLR;
}

static unsigned int next_of(const struct cap_list *list, u32 header)
{
	/* The two low bits are reserved in both lists. */
	return list->ext ? PCI_EXT_CAP_NEXT(header) : header >> 8 & 0xfc;
}

/* Make the capability at @prev, or the header when that is 0, point to @pos. */
static void link(struct build *b, const struct cap_list *list,
		 unsigned int prev, unsigned int pos)
{
	struct uiommu_pci_dword *d;

	if (prev) {
		d = uiommu_pci_dword(b->rules, prev);
		d->value &= ~list->next;
		d->value |= list->ext ? pos << 20 : pos << 8;
	} else if (!list->ext) {
		uiommu_pci_dword(b->rules, PCI_CAPABILITY_LIST)->value = pos;
		if (!pos)
			uiommu_pci_dword(b->rules, PCI_STATUS)->value &=
				~HI(PCI_STATUS_CAP_LIST);
	}
}

/*
 * Walk a list once, without looking at more than the headers, which are left in
 * the copy: hardware may say something else when asked again.
 */
static int scan_list(struct build *b, const struct cap_list *list,
		     unsigned int pos)
{
	unsigned int end = min(list->end, b->src->size);
	unsigned int max_caps = (list->end - list->first) / PCI_CAP_SIZEOF;
	unsigned int num;
	int ret;

	for (num = 0; num < max_caps; num++) {
		u32 *header;

		if (pos < list->first || pos >= end)
			break;
		/* A loop is the end of the list. */
		if (__test_and_set_bit(pos / 4, b->starts))
			break;
		header = &uiommu_pci_dword(b->rules, pos)->value;
		ret = read_dword(b, pos, header);
		if (ret)
			return ret;
		/* There are no extended capabilities. */
		if (list->ext && pos == list->first &&
		    (!*header || PCI_POSSIBLE_ERROR(*header))) {
			*header = 0;
			break;
		}
		pos = next_of(list, *header);
	}
	return num;
}

static int init_cap(struct build *b, const struct cap_list *list,
		    struct cap *cap, unsigned long *seen)
{
	unsigned int end = min(list->end, b->src->size);
	unsigned int next, room;
	int ret = 0;
	u8 owner;

	if (!list->ext && cap->id <= PCI_CAP_ID_MAX)
		cap->type = cap_types[cap->id];
	else if (list->ext && cap->id <= PCI_EXT_CAP_ID_MAX)
		cap->type = ext_cap_types[cap->id];
	if (cap->type.rest != HIDDEN && !cap->type.many &&
	    __test_and_set_bit(cap->id, seen))
		cap->type = (struct cap_type) { .len = cap->type.len };

	cap->len = cap->type.len;
	if (cap->type.rest != HIDDEN && !cap->len)
		ret = list->ext ? ext_cap_len(b, cap) : std_cap_len(b, cap);
	if (ret)
		return ret;

	/*
	 * Nothing reaches into the next capability or out of the space, however
	 * long it says it is: that keeps what is writable of one from being
	 * laid over another.
	 */
	next = find_next_bit(b->starts, b->src->size / 4, cap->pos / 4 + 1) * 4;
	room = min(next, end) - cap->pos;
	cap->len = cap->len ? min(cap->len, room) : room;

	owner = cap->type.rest == HIDDEN ? UIOMMU_PCI_MAP_HIDDEN : cap->id;
	return apply(b, cap->pos, cap->len, owner, &cap->type);
}

/* Show what may be shown of the list that starts at @pos, and link that up. */
static int init_list(struct build *b, const struct cap_list *list,
		     unsigned int pos)
{
	DECLARE_BITMAP(seen, MAX(PCI_CAP_ID_MAX, PCI_EXT_CAP_ID_MAX) + 1) = {};
	unsigned int prev = 0;
	int num, ret;

	num = scan_list(b, list, pos);
	if (num < 0)
		return num;

	while (num--) {
		struct uiommu_pci_dword *d = uiommu_pci_dword(b->rules, pos);
		struct cap cap = {
			.id = list->ext ? PCI_EXT_CAP_ID(d->value) :
					  d->value & PCI_CAP_ID_MASK,
			.pos = pos,
			.header = d->value,
		};

		ret = init_cap(b, list, &cap, seen);
		if (ret)
			return ret;

		if (cap.type.rest != HIDDEN) {
			d->virt |= list->header;
			d->write &= ~list->header;
			d->value |= cap.header & list->header;
			link(b, list, prev, pos);
			prev = pos;
			if (!list->ext && cap.id == PCI_CAP_ID_EXP)
				ret = init_exp(b, &cap);
			else if (!list->ext && cap.id == PCI_CAP_ID_PM)
				ret = init_pm(b, &cap);
			else if (!list->ext && cap.id == PCI_CAP_ID_AF)
				init_af(b, &cap);
			else if (!list->ext && cap.id == PCI_CAP_ID_VPD &&
				 cap.len == PCI_CAP_VPD_SIZEOF)
				b->rules->vpd = pos;
			if (ret)
				return ret;
		} else if (list->ext && pos == list->first) {
			/*
			 * The list has no other place to start than here: leave
			 * an empty header, ID and version 0 (7.6.3).
			 */
			prev = pos;
		}
		pos = next_of(list, cap.header);
	}
	link(b, list, prev, 0);
	return 0;
}

/**
 * uiommu_pci_rules_build - make the rules of a device
 * @src: the device
 *
 * Whatever its config space says, lists that loop or leave it included, leads
 * to rules that are safe to follow.
 *
 * Return: the rules, to be freed by kvfree(); -EINVAL for a bridge or a size
 * that no config space has; -ENODEV when the device does not answer; -ENOMEM;
 * or what @src->hw->read() says.
 */
struct uiommu_pci_rules *
uiommu_pci_rules_build(const struct uiommu_pci_rules_source *src)
{
	struct uiommu_pci_rules *rules __free(kvfree) = NULL;
	struct build b = { .src = src };
	unsigned int i;
	u32 val;
	int ret;

	if (src->size < PCI_STD_HEADER_SIZEOF || src->size % 4 ||
	    src->size > PCI_CFG_SPACE_EXP_SIZE)
		return ERR_PTR(-EINVAL);

	rules = kvzalloc_flex(*rules, dwords, src->size / 4,
			      GFP_KERNEL_ACCOUNT);
	if (!rules)
		return ERR_PTR(-ENOMEM);
	rules->num = src->size / 4;
	b.rules = rules;
	for (i = 0; i < rules->num; i++) {
		rules->dwords[i].write = ~0U;
		memset(rules->dwords[i].map, UIOMMU_PCI_MAP_GAP, 4);
	}

	ret = init_header(&b);
	if (ret)
		return ERR_PTR(ret);

	val = 0;
	if (uiommu_pci_dword(rules, PCI_STATUS)->value &
	    HI(PCI_STATUS_CAP_LIST))
		ret = read_dword(&b, PCI_CAPABILITY_LIST, &val);
	if (!ret)
		ret = init_list(&b, &std_list, val & 0xfc);
	if (!ret)
		ret = init_list(&b, &ext_list, PCI_CFG_SPACE_SIZE);
	if (ret)
		return ERR_PTR(ret);
	return no_free_ptr(rules);
}

/**
 * uiommu_pci_rules_read - read what the user sees
 * @rules: the rules
 * @hw: access to the device
 * @priv: first argument of the functions in @hw
 * @pos: position, a multiple of @len
 * @len: bytes: 1, 2 or 4
 * @val: result, in its place in the dword
 *
 * Hardware is not touched when every bit is virtual.
 *
 * Return: 0, or what @hw->read() says.
 */
int uiommu_pci_rules_read(struct uiommu_pci_rules *rules,
			  const struct uiommu_pci_hw *hw, void *priv,
			  unsigned int pos, unsigned int len, u32 *val)
{
	const struct uiommu_pci_dword *d = uiommu_pci_dword(rules, pos);
	u32 bits = uiommu_pci_bits(pos, len);
	u32 real = 0;
	int ret;

	if (bits & ~d->virt) {
		ret = hw->read(priv, pos, len, &real);
		if (ret)
			return ret;
		real <<= pos % 4 * 8;
	}
	*val = ((real & ~d->virt) | d->value) & bits;
	return 0;
}

/**
 * uiommu_pci_rules_write - write what the user may write
 * @rules: the rules
 * @hw: access to the device
 * @priv: first argument of the functions in @hw
 * @pos: position, a multiple of @len
 * @len: bytes: 1, 2 or 4
 * @val: value, in its place in the dword
 *
 * Hardware sees the smallest access that holds every bit the user may change in
 * it: the handler of INTx sets its bit of COMMAND at any time, and a write to
 * the other byte must not undo that.
 *
 * Return: 0; -ENODEV when the device does not answer; or what @hw says. Nothing
 * has changed then.
 */
int uiommu_pci_rules_write(struct uiommu_pci_rules *rules,
			   const struct uiommu_pci_hw *hw, void *priv,
			   unsigned int pos, unsigned int len, u32 val)
{
	struct uiommu_pci_dword *d = uiommu_pci_dword(rules, pos);
	u32 change = uiommu_pci_bits(pos, len) & d->write;
	u32 real = change & ~d->virt;
	u32 virt = change & d->virt;
	int ret;

	if (real) {
		unsigned int low = __ffs(real) / 8, high = __fls(real) / 8;
		u32 bits, out = val & real, old;

		if (low == high)
			len = 1;
		else if (low / 2 == high / 2)
			len = 2;
		else
			len = 4;
		low = round_down(low, len);
		pos = round_down(pos, 4) + low;
		bits = uiommu_pci_bits(pos, len);

		if (bits & ~(real | d->w1c)) {
			ret = hw->read(priv, pos, len, &old);
			if (ret)
				return ret;
			old <<= low * 8;
			/* What it has in there cannot be all-ones. */
			if (old == bits)
				return -ENODEV;
			out |= old & ~real & ~d->w1c;
		}
		ret = hw->write(priv, pos, len, (out & bits) >> (low * 8));
		if (ret)
			return ret;
	}
	d->value = (d->value & ~virt) | (val & virt);
	return 0;
}
