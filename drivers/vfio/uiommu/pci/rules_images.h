/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Config spaces for the KUnit tests: of emulated devices as they are, of others
 * as their data sheets and the specifications have them.
 */
#ifndef _UIOMMU_PCI_RULES_IMAGES_H
#define _UIOMMU_PCI_RULES_IMAGES_H

#include <linux/array_size.h>
#include <linux/ioport.h>
#include <linux/pci.h>
#include <linux/sizes.h>

#include "rules.h"

#define HI(bits)	((u32)(bits) << 16)

/* A dword that is not 0. */
struct reg {
	u16 pos;
	u32 val;
};

struct image {
	const char *name;
	struct uiommu_pci_rules_source src;
	unsigned int num;
	const struct reg *regs;
	/* IDs of the capabilities that its user is shown, in their order */
	const u8 *caps;
	const u16 *ext_caps;
};

#define REGS(...) \
	.num = ARRAY_SIZE(((const struct reg[]) { __VA_ARGS__ })), \
	.regs = (const struct reg[]) { __VA_ARGS__ }

#define CAPS(...)	.caps = (const u8[]) { __VA_ARGS__, 0 }
/* The first can be an empty one, in the place of one that is hidden. */
#define EXT_CAPS(...)	.ext_caps = (const u16[]) { __VA_ARGS__, 0xffff }
#define NO_EXT_CAPS	.ext_caps = (const u16[]) { 0xffff }

#define CAP(id, next, flags)	((id) | (next) << 8 | HI(flags))
#define EXT_CAP(id, ver, next)	((id) | (ver) << 16 | (u32)(next) << 20)

#define COMMAND_ON	(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_SERR)
#define STATUS_CAPS	HI(PCI_STATUS_CAP_LIST)
/* RELAX_EN, NOSNOOP_EN, READRQ 512, PAYLOAD 256, error reporting */
#define DEVCTL_ON	0x283f

/* 82576: every register of the header, AER, SR-IOV */
static const struct image nic_pf = {
	.name = "nic-pf",
	.src = {
		.size = 4096, .vendor = 0x8086, .device = 0x10c9, .intx = true,
		.bars = {
			[0] = { SZ_128K, IORESOURCE_MEM },
			[1] = { SZ_4M, IORESOURCE_MEM },
			[2] = { 32, IORESOURCE_IO },
			[3] = { SZ_16K, IORESOURCE_MEM },
			[PCI_ROM_RESOURCE] = { SZ_4M, IORESOURCE_MEM },
		},
	},
	REGS({ 0x00, 0x10c98086 }, { 0x04, COMMAND_ON | HI(0x2010) },
	     { 0x08, 0x02000001 }, { 0x0c, 0x00800010 },
	     { 0x10, 0xfe400000 }, { 0x14, 0xfe000000 }, { 0x18, 0x0000e021 },
	     { 0x1c, 0xfe440000 }, { 0x2c, 0xa03c8086 }, { 0x30, 0xfdc00000 },
	     { 0x34, 0x40 }, { 0x3c, 0x010b },
	     { 0x40, CAP(PCI_CAP_ID_PM, 0x50, 0xc823) }, { 0x44, 0x8008 },
	     { 0x50, CAP(PCI_CAP_ID_MSI, 0x70, 0x0180) },
	     { 0x54, 0xfee00000 }, { 0x5c, 0x4041 }, { 0x60, 1 },
	     { 0x70, CAP(PCI_CAP_ID_MSIX, 0xa0, 0x8018) },
	     { 0x74, 0x3 }, { 0x78, 0x2003 },
	     { 0xa0, CAP(PCI_CAP_ID_EXP, 0, 0x0002) },
	     { 0xa4, 0x10008cc2 }, { 0xa8, DEVCTL_ON | HI(0x0009) },
	     { 0xac, 0x00014c41 }, { 0xb0, HI(0x1041) },
	     { 0xc4, 0x1f }, { 0xc8, 0x5 },
	     { 0x100, EXT_CAP(PCI_EXT_CAP_ID_ERR, 1, 0x140) },
	     { 0x104, 0x00100000 }, { 0x10c, 0x00062011 }, { 0x110, 0x2000 },
	     { 0x114, 0x2000 },
	     { 0x140, EXT_CAP(PCI_EXT_CAP_ID_DSN, 1, 0x150) },
	     { 0x144, 0xff112233 }, { 0x148, 0x001b21ff },
	     { 0x150, EXT_CAP(PCI_EXT_CAP_ID_ARI, 1, 0x160) }, { 0x154, 0x100 },
	     { 0x160, EXT_CAP(PCI_EXT_CAP_ID_SRIOV, 1, 0) },
	     { 0x168, 0x19 }, { 0x16c, 0x00080008 }),
	CAPS(PCI_CAP_ID_PM, PCI_CAP_ID_MSI, PCI_CAP_ID_MSIX, PCI_CAP_ID_EXP),
	EXT_CAPS(PCI_EXT_CAP_ID_ERR, PCI_EXT_CAP_ID_DSN, PCI_EXT_CAP_ID_ARI,
		 PCI_EXT_CAP_ID_SRIOV),
};

/* Its virtual function: nothing in the header that a VF does not have */
static const struct image nic_vf = {
	.name = "nic-vf",
	.src = {
		.size = 4096, .vendor = 0x8086, .device = 0x10ca,
		.bars = {
			[0] = { SZ_16K, IORESOURCE_MEM | IORESOURCE_MEM_64 },
			[3] = { SZ_16K, IORESOURCE_MEM | IORESOURCE_MEM_64 },
		},
	},
	REGS({ 0x00, 0xffffffff }, { 0x04, STATUS_CAPS }, { 0x08, 0x02000001 },
	     { 0x2c, 0xa03c8086 }, { 0x34, 0x70 }, { 0x3c, 0x0100 },
	     { 0x70, CAP(PCI_CAP_ID_MSIX, 0xa0, 0x0002) },
	     { 0x74, 0x3 }, { 0x78, 0x2003 },
	     { 0xa0, CAP(PCI_CAP_ID_EXP, 0, 0x0002) }, { 0xa4, 0x10008cc2 },
	     { 0x100, EXT_CAP(PCI_EXT_CAP_ID_ERR, 1, 0x150) },
	     { 0x150, EXT_CAP(PCI_EXT_CAP_ID_ARI, 1, 0) }),
	CAPS(PCI_CAP_ID_MSIX, PCI_CAP_ID_EXP),
	EXT_CAPS(PCI_EXT_CAP_ID_ERR, PCI_EXT_CAP_ID_ARI),
};

/* Hidden capabilities in the middle and at the end of the extended list */
static const struct image nvme = {
	.name = "nvme",
	.src = {
		.size = 4096, .vendor = 0x144d, .device = 0xa808, .intx = true,
		.bars = {
			[0] = { SZ_16K, IORESOURCE_MEM | IORESOURCE_MEM_64 },
		},
	},
	REGS({ 0x00, 0xa808144d }, { 0x04, 0x0406 | STATUS_CAPS },
	     { 0x08, 0x01080200 }, { 0x0c, 0x10 }, { 0x10, 0xfc200004 },
	     { 0x34, 0x40 }, { 0x3c, 0x01ff },
	     { 0x40, CAP(PCI_CAP_ID_PM, 0x50, 0x0003) }, { 0x44, 0x8 },
	     { 0x50, CAP(PCI_CAP_ID_MSI, 0x70, 0x008a) },
	     { 0x70, CAP(PCI_CAP_ID_EXP, 0xb0, 0x0002) },
	     { 0x74, 0x10008fc1 }, { 0x78, DEVCTL_ON },
	     { 0xb0, CAP(PCI_CAP_ID_MSIX, 0, 0x0020) }, { 0xb4, 0x3000 },
	     { 0x100, EXT_CAP(PCI_EXT_CAP_ID_ERR, 2, 0x148) },
	     { 0x148, EXT_CAP(PCI_EXT_CAP_ID_DSN, 1, 0x158) },
	     { 0x158, EXT_CAP(PCI_EXT_CAP_ID_PWR, 1, 0x168) },
	     { 0x168, EXT_CAP(PCI_EXT_CAP_ID_SECPCI, 1, 0x188) },
	     { 0x16c, 0x12345678 },
	     { 0x188, EXT_CAP(PCI_EXT_CAP_ID_LTR, 1, 0x190) },
	     { 0x18c, 0x10031003 },
	     { 0x190, EXT_CAP(PCI_EXT_CAP_ID_L1SS, 1, 0) }, { 0x194, 0x1f }),
	CAPS(PCI_CAP_ID_PM, PCI_CAP_ID_MSI, PCI_CAP_ID_EXP, PCI_CAP_ID_MSIX),
	EXT_CAPS(PCI_EXT_CAP_ID_ERR, PCI_EXT_CAP_ID_DSN, PCI_EXT_CAP_ID_PWR,
		 PCI_EXT_CAP_ID_LTR),
};

/* 82545: 256 bytes, and registers of its own between the capabilities */
static const struct image pcix = {
	.name = "pci-x",
	.src = {
		.size = 256, .vendor = 0x8086, .device = 0x1026, .intx = true,
		.bars = {
			[0] = { SZ_128K, IORESOURCE_MEM | IORESOURCE_MEM_64 },
			[2] = { 64, IORESOURCE_IO },
		},
	},
	REGS({ 0x00, 0x10268086 }, { 0x04, 0x0317 | HI(0x0230) },
	     { 0x08, 0x02000004 }, { 0x0c, 0x00004010 }, { 0x10, 0xfeb80004 },
	     { 0x18, 0xdf01 }, { 0x34, 0xdc }, { 0x3c, 0xff000105 },
	     { 0x40, 0xcafe }, { 0xdc, CAP(PCI_CAP_ID_PM, 0xe4, 0xc822) },
	     { 0xe0, 0x2000 }, { 0xe4, CAP(PCI_CAP_ID_PCIX, 0xf0, 0x0002) },
	     { 0xe8, 0x240300f8 }, { 0xf0, CAP(PCI_CAP_ID_MSI, 0, 0x0080) }),
	CAPS(PCI_CAP_ID_PM, PCI_CAP_ID_PCIX, PCI_CAP_ID_MSI),
	NO_EXT_CAPS,
};

/* BARs beyond 4 GiB, vendor's capabilities, resizable BARs */
static const struct image gpu = {
	.name = "gpu",
	.src = {
		.size = 4096, .vendor = 0x10de, .device = 0x2330, .intx = true,
		.bars = {
			[0] = { SZ_16M, IORESOURCE_MEM },
			[1] = { 16ULL << 30,
				IORESOURCE_MEM | IORESOURCE_MEM_64 |
				IORESOURCE_PREFETCH },
			[3] = { SZ_32M, IORESOURCE_MEM | IORESOURCE_MEM_64 |
					IORESOURCE_PREFETCH },
			[5] = { 128, IORESOURCE_IO },
			[PCI_ROM_RESOURCE] = { SZ_512K, IORESOURCE_MEM },
		},
	},
	REGS({ 0x00, 0x233010de }, { 0x04, COMMAND_ON | STATUS_CAPS },
	     { 0x08, 0x030000a1 }, { 0x34, 0x60 }, { 0x3c, 0x0110 },
	     { 0x60, CAP(PCI_CAP_ID_PM, 0x68, 0x0003) }, { 0x64, 0x8 },
	     { 0x68, CAP(PCI_CAP_ID_MSI, 0x78, 0x0080) },
	     { 0x78, CAP(PCI_CAP_ID_EXP, 0xb4, 0x0012) },
	     { 0x80, DEVCTL_ON & ~(PCI_EXP_DEVCTL_RELAX_EN |
				   PCI_EXP_DEVCTL_NOSNOOP_EN) },
	     { 0xb4, CAP(PCI_CAP_ID_VNDR, 0, 0x0114) }, { 0xb8, 0xdead },
	     { 0x100, EXT_CAP(PCI_EXT_CAP_ID_VC, 1, 0x250) },
	     { 0x128, EXT_CAP(PCI_EXT_CAP_ID_PWR, 1, 0x420) },
	     { 0x250, EXT_CAP(PCI_EXT_CAP_ID_LTR, 1, 0x258) },
	     { 0x258, EXT_CAP(PCI_EXT_CAP_ID_L1SS, 1, 0x128) },
	     { 0x420, EXT_CAP(PCI_EXT_CAP_ID_ERR, 2, 0x600) },
	     { 0x600, EXT_CAP(PCI_EXT_CAP_ID_VNDR, 1, 0x900) },
	     { 0x604, 0x02410001 },
	     { 0x900, EXT_CAP(PCI_EXT_CAP_ID_DVSEC, 1, 0xa00) },
	     { 0x904, 0x01c01e98 }, { 0x908, 0x0000 },
	     { 0xa00, EXT_CAP(PCI_EXT_CAP_ID_DVSEC, 1, 0xbb0) },
	     { 0xa04, 0x010010de }, { 0xa08, 0x0007 },
	     { 0xbb0, EXT_CAP(PCI_EXT_CAP_ID_REBAR, 1, 0) }, { 0xbb8, 0x21 }),
	CAPS(PCI_CAP_ID_PM, PCI_CAP_ID_MSI, PCI_CAP_ID_EXP, PCI_CAP_ID_VNDR),
	EXT_CAPS(PCI_EXT_CAP_ID_VC, PCI_EXT_CAP_ID_LTR, PCI_EXT_CAP_ID_PWR,
		 PCI_EXT_CAP_ID_ERR, PCI_EXT_CAP_ID_VNDR, PCI_EXT_CAP_ID_DVSEC,
		 PCI_EXT_CAP_ID_DVSEC, PCI_EXT_CAP_ID_REBAR),
};

/* Five vendor-specific capabilities say where its registers are */
static const struct image virtio_net = {
	.name = "virtio-net",
	.src = {
		.size = 256, .vendor = 0x1af4, .device = 0x1000, .intx = true,
		.bars = {
			[0] = { SZ_32, IORESOURCE_IO },
			[1] = { SZ_4K, IORESOURCE_MEM },
			[4] = { SZ_16K,
				IORESOURCE_MEM | IORESOURCE_PREFETCH |
				IORESOURCE_MEM_64 },
			[PCI_ROM_RESOURCE] = { SZ_256K, IORESOURCE_MEM },
		},
	},
	REGS({ 0x00, 0x10001af4 }, { 0x04, 0x00100107 }, { 0x08, 0x02000000 },
	     { 0x10, 0x000052c1 }, { 0x14, 0xfeb36000 }, { 0x20, 0x00c0000c },
	     { 0x24, 0x000000ff }, { 0x2c, 0x00011af4 }, { 0x30, 0xfea00000 },
	     { 0x34, 0x00000098 }, { 0x3c, 0x0000010a }, { 0x40, 0x01100009 },
	     { 0x44, 0x00000004 }, { 0x4c, 0x00001000 }, { 0x50, 0x03104009 },
	     { 0x54, 0x00000004 }, { 0x58, 0x00001000 }, { 0x5c, 0x00001000 },
	     { 0x60, 0x04105009 }, { 0x64, 0x00000004 }, { 0x68, 0x00002000 },
	     { 0x6c, 0x00001000 }, { 0x70, 0x02146009 }, { 0x74, 0x00000004 },
	     { 0x78, 0x00003000 }, { 0x7c, 0x00001000 }, { 0x80, 0x00000004 },
	     { 0x84, 0x05147009 }, { 0x98, 0x00038411 }, { 0x9c, 0x00000001 },
	     { 0xa0, 0x00000801 }),
	CAPS(PCI_CAP_ID_MSIX, PCI_CAP_ID_VNDR, PCI_CAP_ID_VNDR,
	     PCI_CAP_ID_VNDR, PCI_CAP_ID_VNDR, PCI_CAP_ID_VNDR),
	NO_EXT_CAPS,
};

/* A gap before the capabilities; PCI Express, root complex integrated */
static const struct image xhci = {
	.name = "xhci",
	.src = {
		.size = 4096, .vendor = 0x1b36, .device = 0x000d, .intx = true,
		.bars = {
			[0] = { SZ_16K, IORESOURCE_MEM | IORESOURCE_MEM_64 },
		},
	},
	REGS({ 0x00, 0x000d1b36 }, { 0x04, 0x00100107 }, { 0x08, 0x0c033001 },
	     { 0x10, 0xfeb30004 }, { 0x2c, 0x11001af4 }, { 0x34, 0x00000090 },
	     { 0x3c, 0x0000010b }, { 0x60, 0x00000030 }, { 0x90, 0x000fa011 },
	     { 0x94, 0x00003000 }, { 0x98, 0x00003800 }, { 0xa0, 0x00920010 },
	     { 0xa4, 0x00008020 }, { 0xac, 0x00000411 }, { 0xb0, 0x00110000 },
	     { 0xc4, 0x00300000 }),
	CAPS(PCI_CAP_ID_MSIX, PCI_CAP_ID_EXP),
	NO_EXT_CAPS,
};

/* AHCI: SATA capability, index and data registers by ports */
static const struct image ahci = {
	.name = "ahci",
	.src = {
		.size = 256, .vendor = 0x8086, .device = 0x2922, .intx = true,
		.bars = {
			[4] = { SZ_32, IORESOURCE_IO },
			[5] = { SZ_4K, IORESOURCE_MEM },
		},
	},
	REGS({ 0x00, 0x29228086 }, { 0x04, 0x00100107 }, { 0x08, 0x01060102 },
	     { 0x20, 0x000052e1 }, { 0x24, 0xfeb37000 }, { 0x2c, 0x11001af4 },
	     { 0x34, 0x00000080 }, { 0x3c, 0x0000010b }, { 0x80, 0x0080a805 },
	     { 0x90, 0x00000040 }, { 0xa8, 0x00100012 }, { 0xac, 0x00000048 }),
	CAPS(PCI_CAP_ID_MSI, PCI_CAP_ID_SATA),
	NO_EXT_CAPS,
};

/* RAID adapter: PCI Express capability at the end, I/O and 64-bit BARs */
static const struct image raid = {
	.name = "raid",
	.src = {
		.size = 4096, .vendor = 0x1000, .device = 0x0079, .intx = true,
		.bars = {
			[0] = { SZ_256, IORESOURCE_IO },
			[1] = { SZ_16K, IORESOURCE_MEM | IORESOURCE_MEM_64 },
			[3] = { SZ_256K, IORESOURCE_MEM | IORESOURCE_MEM_64 },
		},
	},
	REGS({ 0x00, 0x00791000 }, { 0x04, 0x00100103 }, { 0x08, 0x01040000 },
	     { 0x10, 0x00005001 }, { 0x14, 0x80040004 }, { 0x18, 0x000000fe },
	     { 0x1c, 0x80000004 }, { 0x20, 0x000000fe }, { 0x2c, 0x92611000 },
	     { 0x34, 0x000000a0 }, { 0x3c, 0x0000010a }, { 0x50, 0x00800005 },
	     { 0x68, 0x000e5011 }, { 0x6c, 0x00002001 }, { 0x70, 0x00003801 },
	     { 0xa0, 0x00926810 }, { 0xa4, 0x00008020 }, { 0xac, 0x00000411 },
	     { 0xb0, 0x00110000 }, { 0xc4, 0x00300000 }),
	CAPS(PCI_CAP_ID_EXP, PCI_CAP_ID_MSIX, PCI_CAP_ID_MSI),
	NO_EXT_CAPS,
};

/* Paravirtual NIC: 64-bit MSI with mask bits, MSI-X in a BAR of its own */
static const struct image vmxnet3 = {
	.name = "vmxnet3",
	.src = {
		.size = 4096, .vendor = 0x15ad, .device = 0x07b0, .intx = true,
		.bars = {
			[0] = { SZ_4K, IORESOURCE_MEM },
			[1] = { SZ_4K, IORESOURCE_MEM },
			[2] = { SZ_8K, IORESOURCE_MEM },
			[PCI_ROM_RESOURCE] = { SZ_256K, IORESOURCE_MEM },
		},
	},
	REGS({ 0x00, 0x07b015ad }, { 0x04, 0x00100103 }, { 0x08, 0x02000001 },
	     { 0x10, 0xfeb38000 }, { 0x14, 0xfeb39000 }, { 0x18, 0xfeb34000 },
	     { 0x2c, 0x07b015ad }, { 0x30, 0xfea40000 }, { 0x34, 0x00000048 },
	     { 0x3c, 0x0000010a }, { 0x48, 0x00929c10 }, { 0x4c, 0x00008020 },
	     { 0x54, 0x00000411 }, { 0x58, 0x00110000 }, { 0x6c, 0x00300000 },
	     { 0x84, 0x00800005 }, { 0x9c, 0x00188411 }, { 0xa0, 0x00000002 },
	     { 0xa4, 0x00001002 }, { 0x100, 0x00010003 }, { 0x104, 0x573412fe },
	     { 0x108, 0xff005452 }),
	CAPS(PCI_CAP_ID_EXP, PCI_CAP_ID_MSIX, PCI_CAP_ID_MSI),
	EXT_CAPS(PCI_EXT_CAP_ID_DSN),
};

/* Conventional PCI: no capability, although the pointer is set */
static const struct image rtl8139 = {
	.name = "rtl8139",
	.src = {
		.size = 256, .vendor = 0x10ec, .device = 0x8139, .intx = true,
		.bars = {
			[0] = { SZ_256, IORESOURCE_IO },
			[1] = { SZ_256, IORESOURCE_MEM },
			[PCI_ROM_RESOURCE] = { SZ_256K, IORESOURCE_MEM },
		},
	},
	REGS({ 0x00, 0x813910ec }, { 0x04, 0x00000103 }, { 0x08, 0x02000020 },
	     { 0x10, 0x00005101 }, { 0x14, 0xfeb3a000 }, { 0x2c, 0x11001af4 },
	     { 0x30, 0xfeac0000 }, { 0x34, 0x000000dc }, { 0x3c, 0x0000010b }),
	.caps = (const u8[]) { 0 },
	NO_EXT_CAPS,
};

/* Conventional PCI: MSI and nothing else */
static const struct image edu = {
	.name = "edu",
	.src = {
		.size = 256, .vendor = 0x1234, .device = 0x11e8, .intx = true,
		.bars = {
			[0] = { SZ_1M, IORESOURCE_MEM },
		},
	},
	REGS({ 0x00, 0x11e81234 }, { 0x04, 0x00100103 }, { 0x08, 0x00ff0010 },
	     { 0x10, 0xfe400000 }, { 0x2c, 0x11001af4 }, { 0x34, 0x00000040 },
	     { 0x3c, 0x0000010a }, { 0x40, 0x00800005 }),
	CAPS(PCI_CAP_ID_MSI),
	NO_EXT_CAPS,
};

/* No capability at all, BARs of ports and of memory */
static const struct image testdev = {
	.name = "testdev",
	.src = {
		.size = 256, .vendor = 0x1b36, .device = 0x0005,
		.bars = {
			[0] = { SZ_4K, IORESOURCE_MEM },
			[1] = { SZ_256, IORESOURCE_IO },
		},
	},
	REGS({ 0x00, 0x00051b36 }, { 0x04, 0x00000103 }, { 0x08, 0x00ff0000 },
	     { 0x10, 0xfe200000 }, { 0x14, 0x00002001 }, { 0x2c, 0x11001af4 }),
	.caps = (const u8[]) { 0 },
	NO_EXT_CAPS,
};

/* 82574: the list goes from one end to the other and back */
static const struct image e1000e = {
	.name = "e1000e",
	.src = {
		.size = 4096, .vendor = 0x8086, .device = 0x10d3, .intx = true,
		.bars = {
			[0] = { SZ_128K, IORESOURCE_MEM },
			[1] = { SZ_128K, IORESOURCE_MEM },
			[2] = { SZ_32, IORESOURCE_IO },
			[3] = { SZ_16K, IORESOURCE_MEM },
			[PCI_ROM_RESOURCE] = { SZ_256K, IORESOURCE_MEM },
		},
	},
	REGS({ 0x00, 0x10d38086 }, { 0x04, 0x00100103 }, { 0x08, 0x02000000 },
	     { 0x10, 0xfde40000 }, { 0x14, 0xfde60000 }, { 0x18, 0x00001001 },
	     { 0x1c, 0xfde80000 }, { 0x2c, 0x00008086 }, { 0x30, 0xfde00000 },
	     { 0x34, 0x000000c8 }, { 0x3c, 0x0000010a }, { 0xa0, 0x00040011 },
	     { 0xa4, 0x00000003 }, { 0xa8, 0x00002003 }, { 0xc8, 0x0022d001 },
	     { 0xd0, 0x0080e005 }, { 0xe0, 0x0001a010 }, { 0xe4, 0x00008020 },
	     { 0xec, 0x00000411 }, { 0xf0, 0x00110000 }, { 0x100, 0x14020001 },
	     { 0x108, 0x02400000 }, { 0x10c, 0x00462030 },
	     { 0x114, 0x0000c000 }, { 0x118, 0x000000a0 },
	     { 0x140, 0x00010003 }, { 0x144, 0xff123455 },
	     { 0x148, 0x525400ff }),
	CAPS(PCI_CAP_ID_PM, PCI_CAP_ID_MSI, PCI_CAP_ID_EXP, PCI_CAP_ID_MSIX),
	EXT_CAPS(PCI_EXT_CAP_ID_ERR, PCI_EXT_CAP_ID_DSN),
};

/* Shared memory: a large prefetchable 64-bit BAR */
static const struct image ivshmem = {
	.name = "ivshmem",
	.src = {
		.size = 256, .vendor = 0x1af4, .device = 0x1110,
		.bars = {
			[0] = { SZ_256, IORESOURCE_MEM },
			[2] = { SZ_1G,
				IORESOURCE_MEM | IORESOURCE_PREFETCH |
				IORESOURCE_MEM_64 },
		},
	},
	REGS({ 0x00, 0x11101af4 }, { 0x04, 0x00000103 }, { 0x08, 0x05000001 },
	     { 0x10, 0xfdc00000 }, { 0x18, 0xc000000c }, { 0x1c, 0x000000fe },
	     { 0x2c, 0x11001af4 }),
	.caps = (const u8[]) { 0 },
	NO_EXT_CAPS,
};

/* 82571: PCI Express of version 1, which ends before the second registers */
static const struct image pcie1 = {
	.name = "pcie-v1",
	.src = {
		.size = 4096, .vendor = 0x8086, .device = 0x105e, .intx = true,
		.bars = {
			[0] = { SZ_128K, IORESOURCE_MEM },
			[1] = { SZ_128K, IORESOURCE_MEM },
			[2] = { 32, IORESOURCE_IO },
		},
	},
	REGS({ 0x00, 0x105e8086 }, { 0x04, COMMAND_ON | STATUS_CAPS },
	     { 0x08, 0x02000006 }, { 0x0c, 0x00800010 }, { 0x10, 0xb1a20000 },
	     { 0x14, 0xb1a00000 }, { 0x18, 0x00002021 }, { 0x34, 0xc8 },
	     { 0x3c, 0x010b }, { 0xc8, CAP(PCI_CAP_ID_PM, 0xd0, 0xc822) },
	     { 0xcc, 0x2000 }, { 0xd0, CAP(PCI_CAP_ID_MSI, 0xe0, 0x0080) },
	     { 0xe0, CAP(PCI_CAP_ID_EXP, 0, 0x0001) }, { 0xe4, 0x00000cc1 },
	     { 0xe8, DEVCTL_ON }, { 0xec, 0x00014c41 }, { 0xf0, HI(0x1041) },
	     { 0x100, EXT_CAP(PCI_EXT_CAP_ID_ERR, 1, 0x140) },
	     { 0x140, EXT_CAP(PCI_EXT_CAP_ID_DSN, 1, 0) }),
	CAPS(PCI_CAP_ID_PM, PCI_CAP_ID_MSI, PCI_CAP_ID_EXP),
	EXT_CAPS(PCI_EXT_CAP_ID_ERR, PCI_EXT_CAP_ID_DSN),
};

/* An accelerator in the root complex: all that goes with shared memory */
static const struct image accel = {
	.name = "accelerator",
	.src = {
		.size = 4096, .vendor = 0x8086, .device = 0x0b25,
		.bars = {
			[0] = { SZ_64K, IORESOURCE_MEM | IORESOURCE_MEM_64 |
					IORESOURCE_PREFETCH },
			[2] = { SZ_128K, IORESOURCE_MEM | IORESOURCE_MEM_64 |
					 IORESOURCE_PREFETCH },
		},
	},
	REGS({ 0x00, 0x0b258086 }, { 0x04, 0x0006 | STATUS_CAPS },
	     { 0x08, 0x08800000 }, { 0x10, 0x0000000c }, { 0x14, 0x21f },
	     { 0x34, 0x40 }, { 0x40, CAP(PCI_CAP_ID_EXP, 0x80, 0x0092) },
	     { 0x44, 0x10008fc1 }, { 0x48, DEVCTL_ON },
	     { 0x80, CAP(PCI_CAP_ID_MSIX, 0x90, 0x0008) }, { 0x84, 0x2000 },
	     { 0x90, CAP(PCI_CAP_ID_PM, 0, 0x0003) }, { 0x94, 0x8 },
	     { 0x100, EXT_CAP(PCI_EXT_CAP_ID_ERR, 2, 0x150) },
	     { 0x150, EXT_CAP(PCI_EXT_CAP_ID_LTR, 1, 0x160) },
	     { 0x160, EXT_CAP(PCI_EXT_CAP_ID_TPH, 1, 0x170) },
	     { 0x170, EXT_CAP(PCI_EXT_CAP_ID_VC, 1, 0x180) }, { 0x174, 1 },
	     { 0x180, EXT_CAP(PCI_EXT_CAP_ID_VC9, 1, 0x200) }, { 0x184, 1 },
	     { 0x200, EXT_CAP(PCI_EXT_CAP_ID_ATS, 1, 0x210) },
	     { 0x204, HI(0x8000) },
	     { 0x210, EXT_CAP(PCI_EXT_CAP_ID_PASID, 1, 0x220) },
	     { 0x214, 0x00071404 },
	     { 0x220, EXT_CAP(PCI_EXT_CAP_ID_PRI, 1, 0) }, { 0x224, 0x0001 },
	     { 0x228, 512 }, { 0x22c, 512 }),
	CAPS(PCI_CAP_ID_EXP, PCI_CAP_ID_MSIX, PCI_CAP_ID_PM),
	EXT_CAPS(PCI_EXT_CAP_ID_ERR, PCI_EXT_CAP_ID_LTR, PCI_EXT_CAP_ID_TPH,
		 PCI_EXT_CAP_ID_VC, PCI_EXT_CAP_ID_VC9, PCI_EXT_CAP_ID_ATS,
		 PCI_EXT_CAP_ID_PRI),
};

/* CXL memory: DVSECs of a consortium, mailboxes of the kernel */
static const struct image cxl = {
	.name = "cxl-memory",
	.src = {
		.size = 4096, .vendor = 0x8086, .device = 0x0d93,
		.bars = {
			[0] = { SZ_64K, IORESOURCE_MEM | IORESOURCE_MEM_64 },
			[2] = { SZ_256K, IORESOURCE_MEM | IORESOURCE_MEM_64 },
		},
	},
	REGS({ 0x00, 0x0d938086 }, { 0x04, 0x0006 | STATUS_CAPS },
	     { 0x08, 0x05021001 }, { 0x10, 0xfe840004 }, { 0x18, 0xfe800004 },
	     { 0x34, 0x40 }, { 0x40, CAP(PCI_CAP_ID_MSIX, 0x80, 0x0009) },
	     { 0x80, CAP(PCI_CAP_ID_EXP, 0, 0x0002) }, { 0x84, 0x10008020 },
	     { 0x100, EXT_CAP(PCI_EXT_CAP_ID_DVSEC, 1, 0x13c) },
	     { 0x104, 0x03c11e98 }, { 0x108, 0x001e0000 }, { 0x120, 0x00000401 },
	     { 0x13c, EXT_CAP(PCI_EXT_CAP_ID_DVSEC, 1, 0x160) },
	     { 0x140, 0x02401e98 }, { 0x144, 0x00010008 },
	     { 0x160, EXT_CAP(PCI_EXT_CAP_ID_DOE, 2, 0x190) },
	     { 0x164, 0x1 },
	     { 0x190, EXT_CAP(PCI_EXT_CAP_ID_DOE, 2, 0x200) },
	     { 0x200, EXT_CAP(PCI_EXT_CAP_ID_ERR, 2, 0) }),
	CAPS(PCI_CAP_ID_MSIX, PCI_CAP_ID_EXP),
	EXT_CAPS(PCI_EXT_CAP_ID_DVSEC, PCI_EXT_CAP_ID_DVSEC,
		 PCI_EXT_CAP_ID_ERR),
};

static const struct image * const images[] = {
	&nic_pf, &nic_vf, &nvme, &pcix, &gpu, &pcie1, &accel, &cxl, &virtio_net,
	&xhci, &ahci, &raid, &vmxnet3, &rtl8139, &edu, &testdev, &e1000e,
	&ivshmem,
};

#endif /* _UIOMMU_PCI_RULES_IMAGES_H */
