// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the config space rules, on config spaces of real kinds of
 * devices and on broken ones.
 */
#include <kunit/test.h>
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/bits.h>
#include <linux/err.h>
#include <linux/ioport.h>
#include <linux/prandom.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/unaligned.h>

#include "rules.h"
#include "rules_images.h"

/* A device: bits in @w1c go to 0 when a 1 is written, others are writable. */
struct device_model {
	u8 regs[PCI_CFG_SPACE_EXP_SIZE];
	u8 w1c[PCI_CFG_SPACE_EXP_SIZE];
	unsigned int reads;
	unsigned int writes;
	unsigned int last_pos;
	unsigned int last_len;
	unsigned int bad;	/* misaligned, or beyond the end */
	int error;
};

static int model_read(void *priv, unsigned int pos, unsigned int len, u32 *val)
{
	struct device_model *model = priv;
	unsigned int i;

	model->reads++;
	if (pos % len || pos + len > sizeof(model->regs)) {
		model->bad++;
		return -EFAULT;
	}
	if (model->error)
		return model->error;
	*val = 0;
	for (i = 0; i < len; i++)
		*val |= (u32)model->regs[pos + i] << (i * 8);
	return 0;
}

static int model_write(void *priv, unsigned int pos, unsigned int len, u32 val)
{
	struct device_model *model = priv;
	unsigned int i;

	model->writes++;
	model->bad += pos % len;
	model->last_pos = pos;
	model->last_len = len;
	if (model->error)
		return model->error;
	for (i = 0; i < len; i++) {
		u8 w1c = model->w1c[pos + i], byte = val >> (i * 8);

		model->regs[pos + i] = (byte & ~w1c) |
				       (model->regs[pos + i] & w1c & ~byte);
	}
	return 0;
}

static const struct uiommu_pci_hw model_hw = {
	.read = model_read,
	.write = model_write,
};

static u32 model_get(const struct device_model *model, unsigned int pos)
{
	return get_unaligned_le32(&model->regs[pos]);
}

static void model_set(struct device_model *model, unsigned int pos, u32 val)
{
	put_unaligned_le32(val, &model->regs[pos]);
}

KUNIT_DEFINE_ACTION_WRAPPER(free_rules, kvfree, const void *);

static struct uiommu_pci_rules *
build_rules(struct kunit *test, struct device_model *model,
	    const struct uiommu_pci_rules_source *like)
{
	struct uiommu_pci_rules_source src = *like;
	struct uiommu_pci_rules *rules;
	unsigned int i;

	model->writes = 0;
	src.hw = &model_hw;
	src.priv = model;
	rules = uiommu_pci_rules_build(&src);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rules);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_rules,
							   rules));
	KUNIT_EXPECT_EQ(test, model->writes, 0);
	KUNIT_EXPECT_EQ(test, model->bad, 0);
	for (i = 0; i < rules->num; i++)
		put_unaligned_le32(rules->dwords[i].w1c, &model->w1c[i * 4]);
	model->reads = 0;
	return rules;
}

static struct device_model *load(struct kunit *test, const struct image *image)
{
	struct device_model *model = kunit_kzalloc(test, sizeof(*model),
						   GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, model);
	for (i = 0; i < image->num; i++)
		model_set(model, image->regs[i].pos, image->regs[i].val);
	return model;
}

static u32 rd(struct kunit *test, struct uiommu_pci_rules *rules,
	      struct device_model *model, unsigned int pos)
{
	u32 val;

	KUNIT_ASSERT_EQ(test, 0, uiommu_pci_rules_read(rules, &model_hw, model,
						       pos, 4, &val));
	return val;
}

static void wr(struct kunit *test, struct uiommu_pci_rules *rules,
	       struct device_model *model, unsigned int pos, u32 val)
{
	KUNIT_ASSERT_EQ(test, 0, uiommu_pci_rules_write(rules, &model_hw, model,
							pos, 4, val));
}

static u8 map_at(struct uiommu_pci_rules *rules, unsigned int pos)
{
	return uiommu_pci_dword(rules, pos)->map[pos % 4];
}

/* Bytes from @pos that have the owner of @pos. */
static unsigned int owned(struct uiommu_pci_rules *rules, unsigned int pos)
{
	unsigned int end = pos;

	while (end < rules->num * 4 && map_at(rules, end) == map_at(rules, pos))
		end++;
	return end - pos;
}

/* Follow the list as a user would, and compare its IDs. */
static void expect_caps(struct kunit *test, struct uiommu_pci_rules *rules,
			struct device_model *model, const u8 *ids,
			unsigned int num)
{
	unsigned int pos = rd(test, rules, model, PCI_CAPABILITY_LIST) & 0xff;
	unsigned int i;

	for (i = 0; pos && i <= num; i++) {
		u32 header = rd(test, rules, model, pos);

		KUNIT_ASSERT_LT(test, i, num);
		KUNIT_EXPECT_EQ(test, header & 0xff, ids[i]);
		KUNIT_EXPECT_EQ(test, map_at(rules, pos), ids[i]);
		pos = header >> 8 & 0xff;
	}
	KUNIT_EXPECT_EQ(test, i, num);
	KUNIT_EXPECT_EQ(test, num != 0,
			!!(rd(test, rules, model, PCI_COMMAND) & STATUS_CAPS));
}

static void expect_ext_caps(struct kunit *test, struct uiommu_pci_rules *rules,
			    struct device_model *model, const u16 *ids,
			    unsigned int num)
{
	unsigned int pos = PCI_CFG_SPACE_SIZE;
	unsigned int i;

	for (i = 0; pos && i <= num; i++) {
		u32 header = rd(test, rules, model, pos);

		KUNIT_ASSERT_LT(test, i, num);
		KUNIT_EXPECT_EQ(test, header & 0xffff, ids[i]);
		KUNIT_EXPECT_EQ(test, map_at(rules, pos),
				ids[i] ?: UIOMMU_PCI_MAP_HIDDEN);
		pos = header >> 20;
	}
	KUNIT_EXPECT_EQ(test, i, num);
}

#define EXPECT_CAPS(test, rules, model, ...) \
	expect_caps(test, rules, model, (const u8[]) { __VA_ARGS__ }, \
		    sizeof((const u8[]) { __VA_ARGS__ }))
#define EXPECT_EXT_CAPS(test, rules, model, ...) \
	expect_ext_caps(test, rules, model, (const u16[]) { __VA_ARGS__ }, \
			sizeof((const u16[]) { __VA_ARGS__ }) / 2)

static void test_nic_pf(struct kunit *test)
{
	struct device_model *model = load(test, &nic_pf);
	struct uiommu_pci_rules *rules = build_rules(test, model, &nic_pf.src);

	EXPECT_CAPS(test, rules, model, PCI_CAP_ID_PM, PCI_CAP_ID_MSI,
		    PCI_CAP_ID_MSIX, PCI_CAP_ID_EXP);
	EXPECT_EXT_CAPS(test, rules, model, PCI_EXT_CAP_ID_ERR,
			PCI_EXT_CAP_ID_DSN, PCI_EXT_CAP_ID_ARI,
			PCI_EXT_CAP_ID_SRIOV);
	KUNIT_EXPECT_EQ(test, owned(rules, 0), PCI_STD_HEADER_SIZEOF);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x40), PCI_PM_SIZEOF);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x48), 8);
	KUNIT_EXPECT_EQ(test, map_at(rules, 0x48), UIOMMU_PCI_MAP_GAP);
	KUNIT_EXPECT_EQ(test, owned(rules, 0xa0),
			PCI_CAP_EXP_ENDPOINT_SIZEOF_V2);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x100), PCI_ERR_ROOT_COMMAND);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x160), PCI_EXT_CAP_SRIOV_SIZEOF);
	KUNIT_EXPECT_EQ(test, rules->devctl, 0xa8);
	KUNIT_EXPECT_EQ(test, rules->pm_ctrl, 0x44);
	KUNIT_EXPECT_EQ(test, rules->pm_states, BIT(0) | BIT(3));
	KUNIT_EXPECT_FALSE(test, rules->pm_forgets);

	/* Nothing of the host's in what is virtual */
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, 0x00), 0x10c98086);
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, PCI_BASE_ADDRESS_0), 0);
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, PCI_BASE_ADDRESS_2),
			PCI_BASE_ADDRESS_SPACE_IO);
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, 0x54), 0);
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, 0x3c), 0x010b);
	/* PME is neither supported nor pending */
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, 0x40) >> 16, 0x0023);
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, 0x44), 0x0008);
}

static void test_nic_vf(struct kunit *test)
{
	struct device_model *model = load(test, &nic_vf);
	struct uiommu_pci_rules *rules = build_rules(test, model, &nic_vf.src);

	EXPECT_CAPS(test, rules, model, PCI_CAP_ID_MSIX, PCI_CAP_ID_EXP);
	EXPECT_EXT_CAPS(test, rules, model, PCI_EXT_CAP_ID_ERR,
			PCI_EXT_CAP_ID_ARI);
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, 0), 0x10ca8086);
	/* Decodes, though hardware does not say so; no pin, though it does */
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, PCI_COMMAND) & 0xffff,
			PCI_COMMAND_MEMORY);
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, PCI_INTERRUPT_LINE), 0);
	wr(test, rules, model, PCI_COMMAND, ~0U);
	KUNIT_EXPECT_FALSE(test, rd(test, rules, model, PCI_COMMAND) &
				 (PCI_COMMAND_IO | PCI_COMMAND_INTX_DISABLE));
	wr(test, rules, model, PCI_COMMAND, 0);
	KUNIT_EXPECT_FALSE(test, rd(test, rules, model, PCI_COMMAND) &
				 PCI_COMMAND_MEMORY);
}

static void test_nvme(struct kunit *test)
{
	struct device_model *model = load(test, &nvme);
	struct uiommu_pci_rules *rules = build_rules(test, model, &nvme.src);
	unsigned int pos;

	EXPECT_CAPS(test, rules, model, PCI_CAP_ID_PM, PCI_CAP_ID_MSI,
		    PCI_CAP_ID_EXP, PCI_CAP_ID_MSIX);
	EXPECT_EXT_CAPS(test, rules, model, PCI_EXT_CAP_ID_ERR,
			PCI_EXT_CAP_ID_DSN, PCI_EXT_CAP_ID_PWR,
			PCI_EXT_CAP_ID_LTR);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x100), 0x48);

	/* Of unknown length: up to the next one. Gone, and stays so. */
	KUNIT_EXPECT_EQ(test, owned(rules, 0x168), 0x20);
	for (pos = 0x168; pos < 0x188; pos += 4) {
		wr(test, rules, model, pos, ~0U);
		KUNIT_EXPECT_EQ(test, rd(test, rules, model, pos), 0);
	}
	KUNIT_EXPECT_EQ(test, model->writes, 0);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x190), 0x10);
	KUNIT_EXPECT_EQ(test, map_at(rules, 0x190), UIOMMU_PCI_MAP_HIDDEN);
	KUNIT_EXPECT_EQ(test, map_at(rules, 0x1a0), UIOMMU_PCI_MAP_GAP);
	/* The data select register of power budgeting, and no more */
	KUNIT_EXPECT_EQ(test, uiommu_pci_dword(rules, 0x15c)->write, 0xff);
	KUNIT_EXPECT_EQ(test, uiommu_pci_dword(rules, 0x160)->write, 0);
}

static void test_pcix(struct kunit *test)
{
	struct device_model *model = load(test, &pcix);
	struct uiommu_pci_rules *rules = build_rules(test, model, &pcix.src);

	KUNIT_EXPECT_EQ(test, rules->num, 64);
	EXPECT_CAPS(test, rules, model, PCI_CAP_ID_PM, PCI_CAP_ID_PCIX,
		    PCI_CAP_ID_MSI);
	KUNIT_EXPECT_EQ(test, owned(rules, 0xe4), PCI_CAP_PCIX_SIZEOF_V0);
	/* The gaps are the device's own */
	wr(test, rules, model, 0x40, 0x12345678);
	KUNIT_EXPECT_EQ(test, model_get(model, 0x40), 0x12345678);
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, 0x40), 0x12345678);
	KUNIT_EXPECT_TRUE(test, rules->pm_forgets);
	/* Status bits are cleared by the user alone */
	wr(test, rules, model, 0xe8, PCI_X_STATUS_SPL_ERR);
	KUNIT_EXPECT_EQ(test, model_get(model, 0xe8),
			0x240300f8 & ~PCI_X_STATUS_SPL_ERR);

	model_set(model, 0xe4, CAP(PCI_CAP_ID_PCIX, 0xc0, 0x1002));
	model_set(model, 0xc0, CAP(PCI_CAP_ID_PCIX, 0, 0x1002));
	rules = build_rules(test, model, &pcix.src);
	/* The kernel drives the first of two. */
	EXPECT_CAPS(test, rules, model, PCI_CAP_ID_PM, PCI_CAP_ID_PCIX);
	KUNIT_EXPECT_EQ(test, owned(rules, 0xe4), PCI_CAP_PCIX_SIZEOF_V2);
}

static void test_gpu(struct kunit *test)
{
	struct device_model *model = load(test, &gpu);
	struct uiommu_pci_rules *rules = build_rules(test, model, &gpu.src);

	EXPECT_EXT_CAPS(test, rules, model, PCI_EXT_CAP_ID_VC,
			PCI_EXT_CAP_ID_LTR, PCI_EXT_CAP_ID_PWR,
			PCI_EXT_CAP_ID_ERR, PCI_EXT_CAP_ID_VNDR,
			PCI_EXT_CAP_ID_DVSEC, PCI_EXT_CAP_ID_DVSEC,
			PCI_EXT_CAP_ID_REBAR);
	/* Vendor's: all but what describes it */
	KUNIT_EXPECT_EQ(test, owned(rules, 0xb4), 0x14);
	KUNIT_EXPECT_EQ(test, uiommu_pci_dword(rules, 0xb4)->write, 0xff000000);
	KUNIT_EXPECT_EQ(test, uiommu_pci_dword(rules, 0xb8)->write, ~0U);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x600), 0x24);
	KUNIT_EXPECT_EQ(test, uiommu_pci_dword(rules, 0x604)->write, 0);
	KUNIT_EXPECT_EQ(test, uiommu_pci_dword(rules, 0x608)->write, ~0U);
	/* A DVSEC of the CXL consortium, one of the device's vendor */
	KUNIT_EXPECT_EQ(test, owned(rules, 0x900), 0x1c);
	KUNIT_EXPECT_EQ(test, uiommu_pci_dword(rules, 0x90c)->write, 0);
	KUNIT_EXPECT_EQ(test, uiommu_pci_dword(rules, 0xa08)->write,
			HI(0xffff));
	KUNIT_EXPECT_EQ(test, uiommu_pci_dword(rules, 0xa0c)->write, ~0U);
	KUNIT_EXPECT_EQ(test, owned(rules, 0xbb0), 12);
	KUNIT_EXPECT_EQ(test, uiommu_pci_dword(rules, 0xbb8)->write, 0);
}

/* Size every BAR as an operating system does. */
static void test_bars(struct kunit *test)
{
	static const struct {
		unsigned int pos;
		u32 type;
		u32 sized;
	} expect[] = {
		{ PCI_BASE_ADDRESS_0, 0x0, 0xff000000 },
		{ PCI_BASE_ADDRESS_1, 0xc, 0x0000000c },
		{ PCI_BASE_ADDRESS_2, 0x0, 0xfffffffc },
		{ PCI_BASE_ADDRESS_3, 0xc, 0xfe00000c },
		{ PCI_BASE_ADDRESS_4, 0x0, 0xffffffff },
		{ PCI_BASE_ADDRESS_5, 0x1, 0xffffff81 },
		{ PCI_ROM_ADDRESS, 0x0, 0xfff80001 },
	};
	struct device_model *model = load(test, &gpu);
	struct uiommu_pci_rules *rules = build_rules(test, model, &gpu.src);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(expect); i++) {
		KUNIT_EXPECT_EQ(test, rd(test, rules, model, expect[i].pos),
				expect[i].type);
		wr(test, rules, model, expect[i].pos, ~0U);
		KUNIT_EXPECT_EQ(test, rd(test, rules, model, expect[i].pos),
				expect[i].sized);
		wr(test, rules, model, expect[i].pos, 0x87654321);
		KUNIT_EXPECT_EQ(test, rd(test, rules, model, expect[i].pos),
				expect[i].type |
				(0x87654321 & expect[i].sized));
	}
	KUNIT_EXPECT_EQ(test, model->reads + model->writes, 0);

	/* What is not there; what is smaller than the bits it could have */
	rules = build_rules(test, model, &(struct uiommu_pci_rules_source) {
		.size = 256, .bars = {
			[0] = { 1, IORESOURCE_IO },
			[1] = { 1, IORESOURCE_MEM },
			[5] = { SZ_4K, IORESOURCE_MEM | IORESOURCE_MEM_64 },
		},
	});
	for (i = 0; i < ARRAY_SIZE(expect); i++)
		wr(test, rules, model, expect[i].pos, ~0U);
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, PCI_BASE_ADDRESS_0),
			0xfffffffd);
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, PCI_BASE_ADDRESS_1),
			0xfffffff0);
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, PCI_BASE_ADDRESS_2), 0);
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, PCI_BASE_ADDRESS_5),
			0xfffff004);
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, PCI_CARDBUS_CIS), 0);
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, PCI_ROM_ADDRESS), 0);
}

static void test_command(struct kunit *test)
{
	struct device_model *model = load(test, &nic_pf);
	struct uiommu_pci_rules *rules = build_rules(test, model, &nic_pf.src);
	u32 before = model_get(model, PCI_COMMAND);

	/* Found decoding, with INTx free and no bus master */
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, PCI_COMMAND), before);
	wr(test, rules, model, PCI_COMMAND, 0);
	KUNIT_EXPECT_EQ(test, model_get(model, PCI_COMMAND), before);
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, PCI_COMMAND) & 0xffff,
			PCI_COMMAND_SERR);

	/* Not before it is attached */
	wr(test, rules, model, PCI_COMMAND, PCI_COMMAND_MASTER);
	KUNIT_EXPECT_EQ(test, model_get(model, PCI_COMMAND), before);
	uiommu_pci_dword(rules, PCI_COMMAND)->write |= PCI_COMMAND_MASTER;
	wr(test, rules, model, PCI_COMMAND,
	   PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	KUNIT_EXPECT_EQ(test, model_get(model, PCI_COMMAND),
			before | PCI_COMMAND_MASTER);
	KUNIT_EXPECT_TRUE(test, rd(test, rules, model, PCI_COMMAND) &
				PCI_COMMAND_INTX_DISABLE);

	/* A 16-bit write leaves the byte with INTX_DISABLE alone */
	KUNIT_EXPECT_EQ(test, 0, uiommu_pci_rules_write(rules, &model_hw, model,
							PCI_COMMAND, 2, 0));
	KUNIT_EXPECT_EQ(test, model->last_pos, PCI_COMMAND);
	KUNIT_EXPECT_EQ(test, model->last_len, 1);

	/* STATUS: nothing to be read back first */
	model->reads = 0;
	KUNIT_EXPECT_EQ(test, 0, uiommu_pci_rules_write(rules, &model_hw, model,
							PCI_STATUS, 2,
							HI(0x2000)));
	KUNIT_EXPECT_EQ(test, model->reads, 0);
	KUNIT_EXPECT_EQ(test, model_get(model, PCI_COMMAND),
			before & ~HI(0x2000));
}

static void test_exp(struct kunit *test)
{
	const u32 relaxed = PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN;
	struct device_model *model = load(test, &nic_pf);
	struct uiommu_pci_rules *rules = build_rules(test, model, &nic_pf.src);
	struct uiommu_pci_dword *d = uiommu_pci_dword(rules, rules->devctl);

	KUNIT_EXPECT_EQ(test, d->write & relaxed, relaxed);
	wr(test, rules, model, 0xa8, 0x8000);
	/* FLR does not reach hardware, error bits stay */
	KUNIT_EXPECT_EQ(test, d->value, PCI_EXP_DEVCTL_BCR_FLR);
	KUNIT_EXPECT_EQ(test, model_get(model, 0xa8),
			(DEVCTL_ON & 0x0fef & ~relaxed) | HI(0x9));
	wr(test, rules, model, 0xa8, HI(0x1));
	KUNIT_EXPECT_EQ(test, model_get(model, 0xa8) >> 16, 0x8);
	/* Link registers are read-only */
	KUNIT_EXPECT_EQ(test, uiommu_pci_dword(rules, 0xb0)->write, 0);

	/* Off and no FLR: no way to turn them on */
	model = load(test, &gpu);
	rules = build_rules(test, model, &gpu.src);
	d = uiommu_pci_dword(rules, rules->devctl);
	KUNIT_EXPECT_EQ(test, rules->devctl, 0x80);
	KUNIT_EXPECT_EQ(test, d->write & (relaxed | PCI_EXP_DEVCTL_BCR_FLR), 0);

	/* Version 1, with a link and without one */
	model_set(model, 0x78, CAP(PCI_CAP_ID_EXP, 0, 0x0001));
	rules = build_rules(test, model, &gpu.src);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x78),
			PCI_CAP_EXP_ENDPOINT_SIZEOF_V1);
	model_set(model, 0x78, CAP(PCI_CAP_ID_EXP, 0, 0x0091));
	rules = build_rules(test, model, &gpu.src);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x78),
			PCI_CAP_EXP_RC_ENDPOINT_SIZEOF_V1);
	model_set(model, 0x78, CAP(PCI_CAP_ID_EXP, 0, 0x0092));
	rules = build_rules(test, model, &gpu.src);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x78),
			PCI_CAP_EXP_RC_ENDPOINT_SIZEOF_V2);
}

/* Status bits that nobody wrote 1 to survive a write to all around them. */
static void test_w1c(struct kunit *test)
{
	/* From the specifications, not from the tables */
	static const struct reg w1c[] = {
		{ PCI_COMMAND, HI(0xf900) }, { 0x44, 0x8000 },
		{ 0xa8, HI(0x004f) }, { 0xb0, HI(0xc000) },
		{ 0x104, 0x03fff030 }, { 0x110, 0xf1c1 },
	};
	struct device_model *model = load(test, &nic_pf);
	struct uiommu_pci_rules *rules = build_rules(test, model, &nic_pf.src);
	unsigned int i, pos, len;

	memset(model->w1c, 0, sizeof(model->w1c));
	for (i = 0; i < ARRAY_SIZE(w1c); i++) {
		put_unaligned_le32(w1c[i].val, &model->w1c[w1c[i].pos]);
		model_set(model, w1c[i].pos,
			  model_get(model, w1c[i].pos) | w1c[i].val);
	}
	for (len = 1; len <= 4; len *= 2)
		for (pos = 0; pos < rules->num * 4; pos += len)
			KUNIT_EXPECT_EQ(test, 0,
					uiommu_pci_rules_write(rules, &model_hw,
							       model, pos, len,
							       0));
	for (i = 0; i < ARRAY_SIZE(w1c); i++)
		KUNIT_EXPECT_EQ(test, w1c[i].val,
				w1c[i].val & model_get(model, w1c[i].pos));
}

static void test_err(struct kunit *test)
{
	struct device_model *model = load(test, &nic_pf);
	struct uiommu_pci_rules *rules = build_rules(test, model, &nic_pf.src);

	/* Mask, severity and status, of known errors; ECRC is not the user's */
	wr(test, rules, model, 0x108, ~0U);
	KUNIT_EXPECT_EQ(test, model_get(model, 0x108), 0x03fff031);
	wr(test, rules, model, 0x104, ~0U);
	KUNIT_EXPECT_EQ(test, model_get(model, 0x104), 0);
	wr(test, rules, model, 0x110, 0x1);
	KUNIT_EXPECT_EQ(test, model_get(model, 0x110), 0x2000);
	KUNIT_EXPECT_EQ(test, uiommu_pci_dword(rules, 0x118)->write, 0);
}

/* A device of one or two capabilities */
static struct uiommu_pci_rules *
build_caps(struct kunit *test, struct device_model **model,
	   const struct reg *regs, unsigned int num, unsigned int size)
{
	const struct image image = {
		.src = { .size = size, .vendor = 0x1af4, .device = 0x1041 },
		.num = num,
		.regs = regs,
	};

	*model = load(test, &image);
	model_set(*model, PCI_VENDOR_ID, 0x10411af4);
	model_set(*model, PCI_COMMAND, STATUS_CAPS);
	return build_rules(test, *model, &image.src);
}

#define BUILD_CAPS(test, model, size, ...) \
	build_caps(test, model, (const struct reg[]) { __VA_ARGS__ }, \
		   sizeof((const struct reg[]) { __VA_ARGS__ }) / \
		   sizeof(struct reg), size)

static void test_msi(struct kunit *test)
{
	static const struct {
		u16 flags;
		unsigned int len;
		unsigned int mask;
	} kinds[] = {
		{ 0, 10 },
		{ PCI_MSI_FLAGS_64BIT, 14 },
		{ PCI_MSI_FLAGS_MASKBIT, 20, PCI_MSI_MASK_32 },
		{ PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT, 24,
		  PCI_MSI_MASK_64 },
		/* Extended message data */
		{ 0x0200, 12 },
	};
	struct uiommu_pci_rules *rules;
	struct device_model *model;
	unsigned int i, off;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		/* Enabled for 4 of 16, as the kernel may have it */
		u16 flags = kinds[i].flags | 0x0029;
		unsigned int end = kinds[i].mask ?: kinds[i].len;

		rules = BUILD_CAPS(test, &model, 256, { 0x34, 0x50 },
				   { 0x50, CAP(PCI_CAP_ID_MSI, 0, flags) },
				   { 0x54, 0xfee01000 }, { 0x58, 0x4021 },
				   { 0x5c, 0x4021 });
		KUNIT_EXPECT_EQ(test, owned(rules, 0x50), kinds[i].len);
		KUNIT_EXPECT_EQ(test, rd(test, rules, model, 0x50) >> 16,
				kinds[i].flags | 0x0008);
		model->reads = 0;

		/* Address and data do not reach hardware */
		for (off = 0x50; off < 0x50 + end; off += 2)
			KUNIT_EXPECT_EQ(test, 0,
					uiommu_pci_rules_write(rules, &model_hw,
							       model, off, 2,
							       ~0U));
		KUNIT_EXPECT_EQ(test, model->writes, 0);
		KUNIT_EXPECT_EQ(test, rd(test, rules, model, 0x50) >> 16,
				kinds[i].flags | 0x0079);
		KUNIT_EXPECT_EQ(test, rd(test, rules, model, 0x54), ~3U);
		if (!kinds[i].mask)
			continue;
		/* The mask does, pending bits are read-only */
		wr(test, rules, model, 0x50 + kinds[i].mask, 0xa5a5a5a5);
		wr(test, rules, model, 0x54 + kinds[i].mask, ~0U);
		KUNIT_EXPECT_EQ(test, model->writes, 1);
		KUNIT_EXPECT_EQ(test, model_get(model, 0x50 + kinds[i].mask),
				0xa5a5a5a5);
	}
}

static void test_vpd_af(struct kunit *test)
{
	struct uiommu_pci_rules *rules;
	struct device_model *model;

	rules = BUILD_CAPS(test, &model, 256, { 0x34, 0x40 },
			   { 0x40, CAP(PCI_CAP_ID_VPD, 0x48, 0x8000) },
			   { 0x44, 0x11223344 },
			   { 0x48, CAP(PCI_CAP_ID_AF, 0, 0x0306) });
	KUNIT_EXPECT_EQ(test, rules->vpd, 0x40);
	KUNIT_EXPECT_EQ(test, rules->af_ctrl, 0x4c);
	wr(test, rules, model, 0x40, HI(0x0010));
	wr(test, rules, model, 0x44, 0xabcdef01);
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, 0x40) >> 16, 0x0010);
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, 0x44), 0xabcdef01);
	KUNIT_EXPECT_EQ(test, 0, uiommu_pci_rules_write(rules, &model_hw, model,
							0x4c, 1, 0xff));
	KUNIT_EXPECT_EQ(test, uiommu_pci_dword(rules, 0x4c)->value,
			PCI_AF_CTRL_FLR);
	KUNIT_EXPECT_EQ(test, model->writes, 0);

	/* Without FLR; cut short */
	rules = BUILD_CAPS(test, &model, 256, { 0x34, 0x40 },
			   { 0x40, CAP(PCI_CAP_ID_VPD, 0x44, 0) },
			   { 0x44, CAP(PCI_CAP_ID_AF, 0x4c, 0x0106) },
			   { 0x4c, CAP(PCI_CAP_ID_SATA, 0, 0) },
			   { 0x50, 0xf });
	KUNIT_EXPECT_EQ(test, rules->vpd, 0);
	KUNIT_EXPECT_EQ(test, uiommu_pci_dword(rules, 0x48)->write & 0xff, 0);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x4c), PCI_SATA_SIZEOF_LONG);
}

static void test_refused(struct kunit *test)
{
	struct device_model *model = load(test, &nic_pf);
	struct uiommu_pci_rules_source src = nic_pf.src;

	src.hw = &model_hw;
	src.priv = model;

	/* A bridge; multifunction alone is not one */
	model_set(model, PCI_CACHE_LINE_SIZE, HI(PCI_HEADER_TYPE_BRIDGE));
	KUNIT_EXPECT_EQ(test, PTR_ERR(uiommu_pci_rules_build(&src)), -EINVAL);
	model_set(model, PCI_CACHE_LINE_SIZE, HI(PCI_HEADER_TYPE_CARDBUS |
						 PCI_HEADER_TYPE_MFD));
	KUNIT_EXPECT_EQ(test, PTR_ERR(uiommu_pci_rules_build(&src)), -EINVAL);
	model_set(model, PCI_CACHE_LINE_SIZE, HI(PCI_HEADER_TYPE_MFD));
	build_rules(test, model, &src);

	src.size = 0;
	KUNIT_EXPECT_EQ(test, PTR_ERR(uiommu_pci_rules_build(&src)), -EINVAL);
	src.size = 8192;
	KUNIT_EXPECT_EQ(test, PTR_ERR(uiommu_pci_rules_build(&src)), -EINVAL);
	src.size = 130;
	KUNIT_EXPECT_EQ(test, PTR_ERR(uiommu_pci_rules_build(&src)), -EINVAL);

	src.size = 4096;
	model->error = -EIO;
	KUNIT_EXPECT_EQ(test, PTR_ERR(uiommu_pci_rules_build(&src)), -EIO);
	model->error = 0;
	memset(model->regs, 0xff, sizeof(model->regs));
	KUNIT_EXPECT_EQ(test, PTR_ERR(uiommu_pci_rules_build(&src)), -ENODEV);
}

static void test_broken_lists(struct kunit *test)
{
	struct uiommu_pci_rules *rules;
	struct device_model *model;

	/* No list, whatever the pointer says */
	rules = BUILD_CAPS(test, &model, 256, { 0x34, 0x40 },
			   { 0x40, CAP(PCI_CAP_ID_PM, 0, 0) });
	model_set(model, PCI_COMMAND, 0);
	rules = build_rules(test, model, &(struct uiommu_pci_rules_source) {
		.size = 256,
	});
	EXPECT_CAPS(test, rules, model);
	KUNIT_EXPECT_EQ(test, map_at(rules, 0x40), UIOMMU_PCI_MAP_GAP);

	/* To itself; back; the reserved bits are none of the address */
	rules = BUILD_CAPS(test, &model, 256, { 0x34, 0x43 },
			   { 0x40, CAP(PCI_CAP_ID_PM, 0x40, 0) });
	EXPECT_CAPS(test, rules, model, PCI_CAP_ID_PM);
	rules = BUILD_CAPS(test, &model, 256, { 0x34, 0x40 },
			   { 0x40, CAP(PCI_CAP_ID_PM, 0x51, 0) },
			   { 0x50, CAP(PCI_CAP_ID_MSI, 0x62, 0) },
			   { 0x60, CAP(PCI_CAP_ID_VNDR, 0x50, 8) });
	EXPECT_CAPS(test, rules, model, PCI_CAP_ID_PM, PCI_CAP_ID_MSI,
		    PCI_CAP_ID_VNDR);

	/* Into the header */
	rules = BUILD_CAPS(test, &model, 256, { 0x34, 0x40 },
			   { 0x40, CAP(PCI_CAP_ID_PM, 0x10, 0) });
	EXPECT_CAPS(test, rules, model, PCI_CAP_ID_PM);

	/* Nothing that can be shown, first and last hidden */
	rules = BUILD_CAPS(test, &model, 256, { 0x34, 0x40 },
			   { 0x40, CAP(PCI_CAP_ID_SHPC, 0x50, 0) },
			   { 0x50, CAP(0x77, 0x60, 0) }, { 0x60, 0 });
	EXPECT_CAPS(test, rules, model);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x40), 8);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x50), 0x14);
	rules = BUILD_CAPS(test, &model, 256, { 0x34, 0x40 },
			   { 0x40, CAP(PCI_CAP_ID_EA, 0x50, 0) },
			   { 0x50, CAP(PCI_CAP_ID_PM, 0x60, 0) },
			   { 0x60, CAP(PCI_CAP_ID_SSVID, 0, 0) });
	EXPECT_CAPS(test, rules, model, PCI_CAP_ID_PM);

	/* A length that reaches over others does not make them writable. */
	rules = BUILD_CAPS(test, &model, 256, { 0x34, 0x40 },
			   { 0x40, CAP(PCI_CAP_ID_VNDR, 0x50, 0xff) },
			   { 0x50, CAP(PCI_CAP_ID_EXP, 0x58, 0x0002) },
			   { 0x58, CAP(PCI_CAP_ID_MSIX, 0, 0) });
	EXPECT_CAPS(test, rules, model, PCI_CAP_ID_VNDR, PCI_CAP_ID_EXP,
		    PCI_CAP_ID_MSIX);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x40), 0x10);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x50), 8);
	KUNIT_EXPECT_EQ(test, rules->devctl, 0);
	KUNIT_EXPECT_EQ(test, uiommu_pci_dword(rules, 0x58)->write, 0);

	/* Beyond the end, of the list and of the space; no length at all */
	rules = BUILD_CAPS(test, &model, 4096, { 0x34, 0xf8 },
			   { 0xf8, CAP(PCI_CAP_ID_EXP, 0xfc, 0x0002) },
			   { 0xfc, CAP(PCI_CAP_ID_VNDR, 0, 0) });
	EXPECT_CAPS(test, rules, model, PCI_CAP_ID_EXP, PCI_CAP_ID_VNDR);
	KUNIT_EXPECT_EQ(test, map_at(rules, 0x100), UIOMMU_PCI_MAP_GAP);
	rules = BUILD_CAPS(test, &model, 160, { 0x34, 0x98 },
			   { 0x98, CAP(PCI_CAP_ID_EXP, 0xa0, 0x0002) });
	EXPECT_CAPS(test, rules, model, PCI_CAP_ID_EXP);
}

static void test_broken_ext_lists(struct kunit *test)
{
	struct uiommu_pci_rules *rules;
	struct device_model *model;

	/* There is none, in both ways to say so */
	rules = BUILD_CAPS(test, &model, 4096, { 0x34, 0 });
	KUNIT_EXPECT_EQ(test, owned(rules, 0x40), 4096 - 0x40);
	rules = BUILD_CAPS(test, &model, 4096, { 0x100, ~0U });
	KUNIT_EXPECT_EQ(test, owned(rules, 0x40), 4096 - 0x40);

	/* A loop, a pointer below, one that ends beyond the space */
	rules = BUILD_CAPS(test, &model, 4096,
			   { 0x100, EXT_CAP(PCI_EXT_CAP_ID_DSN, 1, 0x110) },
			   { 0x110, EXT_CAP(PCI_EXT_CAP_ID_LTR, 1, 0x100) });
	EXPECT_EXT_CAPS(test, rules, model, PCI_EXT_CAP_ID_DSN,
			PCI_EXT_CAP_ID_LTR);
	rules = BUILD_CAPS(test, &model, 4096,
			   { 0x100, EXT_CAP(PCI_EXT_CAP_ID_DSN, 1, 0xff8) },
			   { 0xff8, EXT_CAP(PCI_EXT_CAP_ID_SRIOV, 1, 0x40) });
	EXPECT_EXT_CAPS(test, rules, model, PCI_EXT_CAP_ID_DSN,
			PCI_EXT_CAP_ID_SRIOV);
	rules = BUILD_CAPS(test, &model, 4096,
			   { 0x100, EXT_CAP(PCI_EXT_CAP_ID_DSN, 1, 0xffc) },
			   { 0xffc, EXT_CAP(PCI_EXT_CAP_ID_REBAR, 1, 0) });
	EXPECT_EXT_CAPS(test, rules, model, PCI_EXT_CAP_ID_DSN,
			PCI_EXT_CAP_ID_REBAR);

	/* The first one is hidden: the list still has a beginning */
	rules = BUILD_CAPS(test, &model, 4096,
			   { 0x100, EXT_CAP(PCI_EXT_CAP_ID_PASID, 1, 0x110) },
			   { 0x104, 0x1f00 },
			   { 0x110, EXT_CAP(PCI_EXT_CAP_ID_PTM, 1, 0x120) },
			   { 0x120, EXT_CAP(PCI_EXT_CAP_ID_LTR, 1, 0) });
	EXPECT_EXT_CAPS(test, rules, model, 0, PCI_EXT_CAP_ID_LTR);
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, 0x100), 0x12000000);
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, 0x104), 0);
	/* and the only one */
	rules = BUILD_CAPS(test, &model, 4096,
			   { 0x100, EXT_CAP(0x7777, 1, 0x110) },
			   { 0x110, EXT_CAP(PCI_EXT_CAP_ID_DPC, 1, 0) });
	KUNIT_EXPECT_EQ(test, rd(test, rules, model, 0x100), 0);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x100), 4096 - 0x100);
	KUNIT_EXPECT_EQ(test, map_at(rules, 0x100), UIOMMU_PCI_MAP_HIDDEN);
}

static void test_ext_lengths(struct kunit *test)
{
	struct uiommu_pci_rules *rules;
	struct device_model *model;

	rules = BUILD_CAPS(test, &model, 4096,
			   { 0x100, EXT_CAP(PCI_EXT_CAP_ID_ACS, 1, 0x200) },
			   { 0x104, PCI_ACS_EC },
			   { 0x200, EXT_CAP(PCI_EXT_CAP_ID_DPA, 1, 0x300) },
			   { 0x204, 0x1f },
			   { 0x300, EXT_CAP(PCI_EXT_CAP_ID_TPH, 1, 0x400) },
			   { 0x304, 0x00040000 | PCI_TPH_LOC_CAP },
			   { 0x400, EXT_CAP(PCI_EXT_CAP_ID_MFVC, 1, 0x500) },
			   { 0x404, 0x1 },
			   { 0x500, EXT_CAP(PCI_EXT_CAP_ID_VC9, 1, 0x600) },
			   { 0x600, EXT_CAP(PCI_EXT_CAP_ID_DVSEC, 1, 0) },
			   { 0x604, 0xfff01af4 });
	KUNIT_EXPECT_EQ(test, owned(rules, 0x100), 8 + 32);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x200), 16 + 32);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x300), 12 + 10);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x400), 0x100);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x500), 0x1c);
	KUNIT_EXPECT_EQ(test, owned(rules, 0x600), 0xa00);

	model_set(model, 0x104, PCI_ACS_EC | 33 << 8);
	rules = build_rules(test, model, &(struct uiommu_pci_rules_source) {
		.size = 4096,
	});
	KUNIT_EXPECT_EQ(test, owned(rules, 0x100), 8 + 8);
}

/* The properties that every config space has to have, of one access */
static void check_write(struct kunit *test, struct uiommu_pci_rules *rules,
			struct device_model *model, unsigned int pos,
			unsigned int len, u32 val)
{
	struct uiommu_pci_dword *d = uiommu_pci_dword(rules, pos);
	unsigned int at = round_down(pos, 4);
	u32 bits = uiommu_pci_bits(pos, len);
	u32 old = model_get(model, at), old_copy = d->value;
	u32 real = bits & d->write & ~d->virt;
	u32 virt = bits & d->write & d->virt;
	u32 expect = (old & ~real) | (val & real & ~d->w1c) |
		     (old & ~val & real & d->w1c);
	u32 seen;
	int ret;

	model->reads = 0;
	model->writes = 0;
	ret = uiommu_pci_rules_write(rules, &model_hw, model, pos, len, val);
	if (ret == -ENODEV) {
		expect = old;
		virt = 0;
	} else if (ret || model->writes != !!real ||
		   (!real && model->reads)) {
		KUNIT_FAIL(test, "write %#x+%u: %d, %u reads, %u writes", pos,
			   len, ret, model->reads, model->writes);
	}
	if (model_get(model, at) != expect)
		KUNIT_FAIL(test, "write %#x+%u of %#x: %#x became %#x, not %#x",
			   pos, len, val, old, model_get(model, at), expect);
	if (d->value != ((old_copy & ~virt) | (val & virt)))
		KUNIT_FAIL(test, "write %#x+%u of %#x: copy %#x became %#x",
			   pos, len, val, old_copy, d->value);

	model->reads = 0;
	ret = uiommu_pci_rules_read(rules, &model_hw, model, pos, len, &seen);
	if (ret || model->reads != !!(bits & ~d->virt) ||
	    seen != (bits & ((d->value & d->virt) |
			     (model_get(model, at) & ~d->virt))))
		KUNIT_FAIL(test, "read %#x+%u: %d, %#x", pos, len, ret, seen);
	model_set(model, at, old);
	d->value = old_copy;
}

static void check_all_writes(struct kunit *test, struct uiommu_pci_rules *rules,
			     struct device_model *model, struct rnd_state *rnd)
{
	static const struct {
		unsigned int off, len;
	} pieces[] = {
		{ 0, 1 }, { 1, 1 }, { 2, 1 }, { 3, 1 }, { 0, 2 }, { 2, 2 },
		{ 0, 4 },
	};
	unsigned int i, j;

	for (i = 0; i < rules->num; i++) {
		struct uiommu_pci_dword *d = &rules->dwords[i];

		if (d->value & ~d->virt)
			KUNIT_FAIL(test, "%#x: real bits in the copy", i * 4);
		for (j = 0; j < ARRAY_SIZE(pieces); j++) {
			unsigned int pos = i * 4 + pieces[j].off;
			unsigned int len = pieces[j].len;

			check_write(test, rules, model, pos, len, 0);
			check_write(test, rules, model, pos, len, ~0U);
			check_write(test, rules, model, pos, len,
				    prandom_u32_state(rnd));
		}
		cond_resched();
	}
	KUNIT_EXPECT_EQ(test, model->bad, 0);
}

static void test_writes(struct kunit *test)
{
	const struct image *image = *(const struct image **)test->param_value;
	struct device_model *model = load(test, image);
	struct uiommu_pci_rules *rules = build_rules(test, model, &image->src);
	struct rnd_state rnd;
	unsigned int i;

	prandom_seed_state(&rnd, 1);
	check_all_writes(test, rules, model, &rnd);

	/* With every bit that hardware has set, or none */
	for (i = 0; i < rules->num; i++)
		model_set(model, i * 4, i % 2 ? 0xfffffffe : 0x7fffffff);
	check_all_writes(test, rules, model, &rnd);

	/* What the kernel relies on is out of reach */
	KUNIT_EXPECT_EQ(test, uiommu_pci_dword(rules, PCI_COMMAND)->write &
			~uiommu_pci_dword(rules, PCI_COMMAND)->virt & 0xffff,
			PCI_COMMAND_INVALIDATE | PCI_COMMAND_PARITY);
	for (i = PCI_BASE_ADDRESS_0; i <= PCI_BASE_ADDRESS_5; i += 4)
		KUNIT_EXPECT_EQ(test, uiommu_pci_dword(rules, i)->virt, ~0U);
	KUNIT_EXPECT_EQ(test, uiommu_pci_dword(rules, PCI_ROM_ADDRESS)->virt,
			~0U);
}

static void image_desc(const struct image * const *image, char *desc)
{
	strscpy(desc, (*image)->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(image, images, image_desc);

/* What is shown of each, in both lists */
static void test_lists(struct kunit *test)
{
	const struct image *image = *(const struct image **)test->param_value;
	struct device_model *model = load(test, image);
	struct uiommu_pci_rules *rules = build_rules(test, model, &image->src);
	unsigned int num = 0;

	while (image->caps[num])
		num++;
	expect_caps(test, rules, model, image->caps, num);
	for (num = 0; image->ext_caps[num] != 0xffff; num++)
		;
	if (num)
		expect_ext_caps(test, rules, model, image->ext_caps, num);
	else if (image->src.size > PCI_CFG_SPACE_SIZE)
		KUNIT_EXPECT_EQ(test, map_at(rules, PCI_CFG_SPACE_SIZE),
				UIOMMU_PCI_MAP_GAP);
}

/* Every BAR answers as the real one does, and hardware hears nothing of it. */
static void test_sizing(struct kunit *test)
{
	const struct image *image = *(const struct image **)test->param_value;
	struct device_model *model = load(test, image);
	struct uiommu_pci_rules *rules = build_rules(test, model, &image->src);
	u32 want[PCI_ROM_RESOURCE + 1] = {}, flags[PCI_ROM_RESOURCE + 1] = {};
	unsigned int i, pos;

	for (i = 0; i < PCI_ROM_RESOURCE; i++) {
		u64 len = image->src.bars[i].len;
		unsigned long kind = image->src.bars[i].flags;

		if (!len)
			continue;
		flags[i] = (kind & IORESOURCE_IO ? 0x1 : 0) |
			   (kind & IORESOURCE_MEM_64 ? 0x4 : 0) |
			   (kind & IORESOURCE_PREFETCH ? 0x8 : 0);
		want[i] = (u32)-len | flags[i];
		if (kind & IORESOURCE_MEM_64)
			want[i + 1] = -len >> 32;
	}
	if (image->src.bars[PCI_ROM_RESOURCE].len)
		want[PCI_ROM_RESOURCE] =
			-(u32)image->src.bars[PCI_ROM_RESOURCE].len | 1;

	for (i = 0; i <= PCI_ROM_RESOURCE; i++) {
		pos = i == PCI_ROM_RESOURCE ? PCI_ROM_ADDRESS :
					      PCI_BASE_ADDRESS_0 + i * 4;
		KUNIT_EXPECT_EQ(test, rd(test, rules, model, pos), flags[i]);
		wr(test, rules, model, pos, ~0U);
		KUNIT_EXPECT_EQ(test, rd(test, rules, model, pos), want[i]);
		wr(test, rules, model, pos, 0);
		KUNIT_EXPECT_EQ(test, rd(test, rules, model, pos), flags[i]);
	}
	KUNIT_EXPECT_EQ(test, model->reads, 0);
	KUNIT_EXPECT_EQ(test, model->writes, 0);
}

/*
 * A field is a run of bits that are treated alike.  Narrow ones are written with
 * all values, wide ones with single bits set or clear, with the bits around them
 * all 0 and all 1.
 */
static void check_field(struct kunit *test, struct uiommu_pci_rules *rules,
			struct device_model *model, unsigned int pos, u32 field)
{
	unsigned int low = __ffs(field), width = __fls(field) - low + 1, i;

	if (width <= 8) {
		for (i = 0; i < BIT(width); i++) {
			check_write(test, rules, model, pos, 4, i << low);
			check_write(test, rules, model, pos, 4,
				    i << low | ~field);
		}
		return;
	}
	for (i = low; i < low + width; i++) {
		check_write(test, rules, model, pos, 4, BIT(i));
		check_write(test, rules, model, pos, 4, ~BIT(i));
		check_write(test, rules, model, pos, 4, BIT(i) | ~field);
		check_write(test, rules, model, pos, 4, field & ~BIT(i));
	}
}

/* The bits that are not as the one below them */
static u32 edges(u32 bits)
{
	return bits ^ bits << 1;
}

static void test_fields(struct kunit *test)
{
	const struct image *image = *(const struct image **)test->param_value;
	struct device_model *model = load(test, image);
	struct uiommu_pci_rules *rules = build_rules(test, model, &image->src);
	unsigned int i, low, end, fields = 0;

	for (i = 0; i < rules->num; i++) {
		const struct uiommu_pci_dword *d = &rules->dwords[i];

		/* Gaps are all alike: their beginnings are enough. */
		if (i && d->map[0] == UIOMMU_PCI_MAP_GAP &&
		    !memchr_inv(d->map, UIOMMU_PCI_MAP_GAP, 4) &&
		    !memchr_inv(d[-1].map, UIOMMU_PCI_MAP_GAP, 4))
			continue;
		for (low = 0; low < 32; low = end) {
			for (end = low + 1; end < 32; end++)
				if ((edges(d->virt) | edges(d->write) |
				     edges(d->w1c)) & BIT(end))
					break;
			check_field(test, rules, model, i * 4,
				    GENMASK(end - 1, low));
			fields++;
		}
		cond_resched();
	}
	KUNIT_EXPECT_GT(test, fields, PCI_STD_HEADER_SIZEOF / 4);
	KUNIT_EXPECT_EQ(test, model->bad, 0);
}

/* Whatever a device says, its lists end and its header stays what it is. */
static void check_safe(struct kunit *test, struct uiommu_pci_rules *rules,
		       struct device_model *model)
{
	DECLARE_BITMAP(seen, 256) = {};
	unsigned int i, n, pos;
	u32 val;

	KUNIT_ASSERT_EQ(test, owned(rules, 0), PCI_STD_HEADER_SIZEOF);
	pos = rd(test, rules, model, PCI_CAPABILITY_LIST) & 0xff;
	for (n = 0; pos && n < 64; n++) {
		KUNIT_ASSERT_GE(test, pos, PCI_STD_HEADER_SIZEOF);
		KUNIT_ASSERT_EQ(test, pos % 4, 0);
		KUNIT_ASSERT_LT(test, pos, rules->num * 4);
		KUNIT_ASSERT_LT(test, map_at(rules, pos),
				UIOMMU_PCI_MAP_HIDDEN);
		val = rd(test, rules, model, pos);
		/* The kernel turns interrupts on, with the first of each. */
		if (!__test_and_set_bit(val & 0xff, seen) &&
		    ((val & 0xff) == PCI_CAP_ID_MSI ||
		     (val & 0xff) == PCI_CAP_ID_MSIX)) {
			struct uiommu_pci_dword *d = uiommu_pci_dword(rules,
								      pos);

			KUNIT_ASSERT_EQ(test, d->write & ~d->virt, 0);
		}
		pos = val >> 8 & 0xff;
	}
	KUNIT_ASSERT_EQ(test, pos, 0);
	if (rules->num * 4 > PCI_CFG_SPACE_SIZE)
		pos = PCI_CFG_SPACE_SIZE;
	for (n = 0; pos && n < 1024; n++) {
		KUNIT_ASSERT_GE(test, pos, PCI_CFG_SPACE_SIZE);
		KUNIT_ASSERT_EQ(test, pos % 4, 0);
		KUNIT_ASSERT_LT(test, pos, rules->num * 4);
		pos = rd(test, rules, model, pos) >> 20;
	}
	KUNIT_ASSERT_EQ(test, pos, 0);

	for (i = 0; i < rules->num * 4; i++) {
		struct uiommu_pci_dword *d = uiommu_pci_dword(rules, i);
		u32 bits = uiommu_pci_bits(i, 1);

		if (d->map[i % 4] == UIOMMU_PCI_MAP_HIDDEN)
			KUNIT_ASSERT_EQ(test, (d->virt & bits) |
					(~d->write & bits), bits);
	}
	KUNIT_ASSERT_EQ(test, uiommu_pci_dword(rules, PCI_COMMAND)->write &
			~uiommu_pci_dword(rules, PCI_COMMAND)->virt & 0xffff &
			~(PCI_COMMAND_INVALIDATE | PCI_COMMAND_PARITY), 0);
	for (i = PCI_BASE_ADDRESS_0; i <= PCI_BASE_ADDRESS_5; i += 4)
		KUNIT_ASSERT_EQ(test, uiommu_pci_dword(rules, i)->virt, ~0U);
	KUNIT_ASSERT_EQ(test, uiommu_pci_dword(rules, PCI_ROM_ADDRESS)->virt,
			~0U);
	KUNIT_ASSERT_EQ(test, model->bad, 0);
}

static void test_noise(struct kunit *test)
{
	struct uiommu_pci_rules_source src = gpu.src;
	struct device_model *model = load(test, &gpu);
	unsigned int pos, round;
	struct rnd_state rnd;

	prandom_seed_state(&rnd, 2);
	for (round = 0; round < 200; round++) {
		struct uiommu_pci_rules *rules;

		prandom_bytes_state(&rnd, model->regs, sizeof(model->regs));
		/* Known capabilities are more fun than unknown ones. */
		for (pos = 0x40; pos < 4096; pos += 4)
			if (pos < 256)
				model->regs[pos] %= PCI_CAP_ID_MAX + 1;
			else
				put_unaligned_le16(model->regs[pos] % 0x34,
						   &model->regs[pos]);
		model->regs[PCI_HEADER_TYPE] = 0;
		model->regs[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
		memset(model->w1c, 0, sizeof(model->w1c));
		model->writes = 0;
		rules = build_rules(test, model, &src);

		check_safe(test, rules, model);
		if (round < 10)
			check_all_writes(test, rules, model, &rnd);
		kunit_release_action(test, free_rules, rules);
	}
}

static unsigned int draw(struct rnd_state *rnd, unsigned int below)
{
	return prandom_u32_state(rnd) % below;
}

/* Change what a device says in places, most often where its lists are. */
static void mutate(struct device_model *model,
		   struct uiommu_pci_rules_source *src, struct rnd_state *rnd)
{
	unsigned int n = 1 + draw(rnd, 8), pos;
	u32 val;

	while (n--) {
		switch (draw(rnd, 6)) {
		case 0:		/* a bit */
			pos = draw(rnd, sizeof(model->regs));
			model->regs[pos] ^= BIT(draw(rnd, 8));
			break;
		case 1:		/* a register */
			pos = draw(rnd, sizeof(model->regs) / 4) * 4;
			model_set(model, pos, prandom_u32_state(rnd));
			break;
		case 2:		/* a standard capability */
			pos = 0x40 + draw(rnd, 0xc0);
			model->regs[pos] = draw(rnd, PCI_CAP_ID_MAX + 2);
			break;
		case 3:		/* a link to one, or to anywhere */
			pos = draw(rnd, 2) ? PCI_CAPABILITY_LIST :
					     0x41 + draw(rnd, 0x2f) * 4;
			model->regs[pos] = prandom_u32_state(rnd);
			break;
		case 4:		/* an extended one, and the next */
			pos = PCI_CFG_SPACE_SIZE + draw(rnd, 960) * 4;
			val = draw(rnd, PCI_EXT_CAP_ID_MAX + 2);
			val |= BIT(16) | prandom_u32_state(rnd) << 20;
			model_set(model, pos, val);
			break;
		default:	/* its BARs */
			pos = draw(rnd, ARRAY_SIZE(src->bars));
			src->bars[pos].len = draw(rnd, 4) ?
					     1ULL << draw(rnd, 64) : 0;
			src->bars[pos].flags ^= BIT(draw(rnd, 32));
		}
	}
	if (!draw(rnd, 8))
		src->size = PCI_STD_HEADER_SIZEOF + draw(rnd, 1008) * 4 + 4;
	src->intx = draw(rnd, 2);
	model->regs[PCI_HEADER_TYPE] &= 0x80;
}

/* Nearly right is worse than noise: it gets further. */
static void test_mutations(struct kunit *test)
{
	const struct image *image = *(const struct image **)test->param_value;
	unsigned int round, built = 0;
	struct rnd_state rnd;

	prandom_seed_state(&rnd, 3);
	for (round = 0; round < 300; round++) {
		struct uiommu_pci_rules_source src = image->src;
		struct device_model *model = load(test, image);
		struct uiommu_pci_rules *rules;

		mutate(model, &src, &rnd);
		src.hw = &model_hw;
		src.priv = model;
		rules = uiommu_pci_rules_build(&src);
		/* All-ones is no device. */
		if (IS_ERR(rules)) {
			KUNIT_ASSERT_EQ(test, PTR_ERR(rules), -ENODEV);
		} else {
			KUNIT_ASSERT_EQ(test, rules->num * 4, src.size);
			kvfree(rules);
			rules = build_rules(test, model, &src);
			check_safe(test, rules, model);
			if (!(round % 50))
				check_all_writes(test, rules, model, &rnd);
			kunit_release_action(test, free_rules, rules);
			built++;
		}
		kunit_kfree(test, model);
		cond_resched();
	}
	KUNIT_EXPECT_GT(test, built, round * 9 / 10);
}

static void test_errors(struct kunit *test)
{
	struct device_model *model = load(test, &nic_pf);
	struct uiommu_pci_rules *rules = build_rules(test, model, &nic_pf.src);
	struct uiommu_pci_dword *d = uiommu_pci_dword(rules, PCI_COMMAND);
	u32 val, copy = d->value;

	/* Virtual registers need no device */
	model->error = -ENODEV;
	KUNIT_EXPECT_EQ(test, 0, uiommu_pci_rules_read(rules, &model_hw, model,
						       0, 4, &val));
	KUNIT_EXPECT_EQ(test, 0, uiommu_pci_rules_write(rules, &model_hw, model,
							0x54, 4, ~0U));
	KUNIT_EXPECT_EQ(test, -ENODEV,
			uiommu_pci_rules_read(rules, &model_hw, model, 4, 4,
					      &val));
	KUNIT_EXPECT_EQ(test, -ENODEV, uiommu_pci_rules_write(rules, &model_hw,
							      model, 4, 4, 0));
	KUNIT_EXPECT_EQ(test, d->value, copy);

	/* All-ones read back are not written */
	model->error = 0;
	model->writes = 0;
	model_set(model, PCI_COMMAND, ~0U);
	KUNIT_EXPECT_EQ(test, -ENODEV, uiommu_pci_rules_write(rules, &model_hw,
							      model, 4, 2, 0));
	KUNIT_EXPECT_EQ(test, model->writes, 0);
	KUNIT_EXPECT_EQ(test, d->value, copy);
}

static struct kunit_case rules_cases[] = {
	KUNIT_CASE(test_nic_pf),
	KUNIT_CASE(test_nic_vf),
	KUNIT_CASE(test_nvme),
	KUNIT_CASE(test_pcix),
	KUNIT_CASE(test_gpu),
	KUNIT_CASE(test_bars),
	KUNIT_CASE(test_command),
	KUNIT_CASE(test_exp),
	KUNIT_CASE(test_w1c),
	KUNIT_CASE(test_err),
	KUNIT_CASE(test_msi),
	KUNIT_CASE(test_vpd_af),
	KUNIT_CASE(test_refused),
	KUNIT_CASE(test_broken_lists),
	KUNIT_CASE(test_broken_ext_lists),
	KUNIT_CASE(test_ext_lengths),
	KUNIT_CASE_PARAM(test_lists, image_gen_params),
	KUNIT_CASE_PARAM(test_sizing, image_gen_params),
	KUNIT_CASE_PARAM(test_fields, image_gen_params),
	KUNIT_CASE_PARAM(test_writes, image_gen_params),
	KUNIT_CASE(test_noise),
	KUNIT_CASE_PARAM(test_mutations, image_gen_params),
	KUNIT_CASE(test_errors),
	{}
};

static struct kunit_suite rules_suite = {
	.name = "uiommu-config",
	.test_cases = rules_cases,
};

kunit_test_suite(rules_suite);
