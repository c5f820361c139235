// SPDX-License-Identifier: GPL-2.0-only
/*
 * Config space as a user-level driver sees it: what is real, what is virtual,
 * what stays as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "util.h"

#define MAP_HEADER	0x00
#define MAP_HIDDEN	0xfe
#define MAP_GAP		0xff

#define CONFIG_SPACE	VFIO_PCI_CONFIG_RESOURCE

/* Registers of an NVMe drive, to see a reset */
#define NVME_CC		0x14

FIXTURE(config)
{
	struct device dev;
	unsigned int size;
};

FIXTURE_VARIANT(config)
{
	const char *env;
	/* has registers that can be read without effect */
	unsigned int bar;
};

FIXTURE_VARIANT_ADD(config, vf) {
	.env = "UIOMMU_VF",
};

FIXTURE_VARIANT_ADD(config, edu) {
	.env = "UIOMMU_EDU",
};

FIXTURE_VARIANT_ADD(config, nvme) {
	.env = "UIOMMU_NVME",
};

FIXTURE_VARIANT_ADD(config, e1000e) {
	.env = "UIOMMU_E1000E",
};

FIXTURE_VARIANT_ADD(config, igb) {
	.env = "UIOMMU_IGB",
};

FIXTURE_VARIANT_ADD(config, virtio) {
	.env = "UIOMMU_VIRTIO",
	.bar = 4,
};

FIXTURE_VARIANT_ADD(config, ivshmem) {
	.env = "UIOMMU_IVSHMEM",
};

FIXTURE_VARIANT_ADD(config, testdev) {
	.env = "UIOMMU_TESTDEV",
};

FIXTURE_SETUP(config)
{
	struct uiommu_device_info info;

	self->dev.fd = -1;
	self->dev.space = -1;
	if (!getenv(variant->env))
		SKIP(return, "no such device");
	ASSERT_EQ(0, device_open(&self->dev, getenv(variant->env)));
	ASSERT_EQ(0, device_info(self->dev.fd, &info));
	self->size = info.out_config_size;
}

FIXTURE_TEARDOWN(config)
{
	device_close(&self->dev);
	log_read(&self->dev.log);
	EXPECT_EQ(0, self->dev.log.splats + self->dev.log.faults) {
		TH_LOG("%s", self->dev.log.first);
	}
	log_close(&self->dev.log);
}

/* The real config space: whole for root, the header for others */
static ssize_t real_config(const char *bdf, void *buf, size_t len)
{
	char path[PATH_MAX];
	ssize_t ret;
	int fd;

	pci_path(path, sizeof(path), bdf, "config");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = pread(fd, buf, len, 0);
	close(fd);
	return ret;
}

static ssize_t node_file(const char *bdf, const char *name, void *buf,
			 size_t len)
{
	char path[PATH_MAX];
	ssize_t ret, done = 0;
	int fd;

	ret = node_attr(bdf, name, path, sizeof(path));
	if (ret)
		return ret;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do {
		ret = read(fd, (char *)buf + done, len - done);
		done += ret > 0 ? ret : 0;
	} while (ret > 0);
	close(fd);
	return ret < 0 ? -EIO : done;
}

static __u32 dword(const unsigned char *config, unsigned int pos)
{
	return config[pos] | config[pos + 1] << 8 | config[pos + 2] << 16 |
	       (__u32)config[pos + 3] << 24;
}

static __u32 real_dword(const char *bdf, unsigned int pos)
{
	unsigned char bytes[4];
	char path[PATH_MAX];
	int fd;

	pci_path(path, sizeof(path), bdf, "config");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, bytes, 4, pos) != 4)
		abort();
	close(fd);
	return dword(bytes, 0);
}

static unsigned long id_in_sysfs(const char *bdf, const char *name)
{
	char text[32];

	if (pci_attr_read(bdf, name, text, sizeof(text)) < 0)
		return 0;
	return strtoul(text, NULL, 16);
}

/* A virtual function has its ids like any other, whatever its registers say. */
TEST_F_TIMEOUT(config, identity, TEST_SECONDS)
{
	unsigned long vendor = id_in_sysfs(self->dev.bdf, "vendor");
	unsigned long device = id_in_sysfs(self->dev.bdf, "device");
	int round;

	ASSERT_LT(0, vendor);
	for (round = 0; round < 2; round++) {
		EXPECT_EQ(vendor, config_read(self->dev.fd, 0, 2));
		EXPECT_EQ(device, config_read(self->dev.fd, 2, 2));
		EXPECT_EQ(device << 16 | vendor,
			  config_read(self->dev.fd, 0, 4));
		EXPECT_EQ(vendor & 0xff, config_read(self->dev.fd, 0, 1));
		EXPECT_EQ(vendor >> 8, config_read(self->dev.fd, 1, 1));
		EXPECT_EQ(device & 0xff, config_read(self->dev.fd, 2, 1));
		EXPECT_EQ(device >> 8, config_read(self->dev.fd, 3, 1));
		EXPECT_EQ(id_in_sysfs(self->dev.bdf, "class"),
			  config_read(self->dev.fd, 8, 4) >> 8);
		if (!round)
			ASSERT_EQ(0, device_attach(&self->dev));
	}
}

/* In bytes, words, dwords, odd pieces and as a whole: the same */
TEST_F_TIMEOUT(config, widths, TEST_SECONDS)
{
	unsigned char whole[4096], pieces[4096];
	static const unsigned int lens[] = { 1, 2, 4, 3, 5, 7, 64, 1000 };
	unsigned int pos, len;
	int round;
	size_t i;

	for (round = 0; round < 2; round++) {
		ASSERT_EQ(self->size, space_read(self->dev.fd, CONFIG_SPACE, 0,
						 whole, sizeof(whole)));
		for (i = 0; i < ARRAY_SIZE(lens); i++) {
			memset(pieces, 0xa5, sizeof(pieces));
			for (pos = 0; pos < self->size; pos += len) {
				len = lens[i];
				if (len > self->size - pos)
					len = self->size - pos;
				ASSERT_EQ(len, space_read(self->dev.fd,
							  CONFIG_SPACE, pos,
							  pieces + pos, len));
			}
			EXPECT_EQ(0, memcmp(whole, pieces, self->size)) {
				TH_LOG("pieces of %u", lens[i]);
			}
		}
		if (!round)
			ASSERT_EQ(0, device_attach(&self->dev));
	}
}

TEST_F_TIMEOUT(config, end, TEST_SECONDS)
{
	unsigned char buf[16] = {};

	EXPECT_EQ(0, space_read(self->dev.fd, CONFIG_SPACE, 0, buf, 0));
	EXPECT_EQ(1, space_read(self->dev.fd, CONFIG_SPACE, self->size - 1,
				buf, 16));
	EXPECT_EQ(3, space_read(self->dev.fd, CONFIG_SPACE, self->size - 3,
				buf, 4));
	EXPECT_EQ(0, space_read(self->dev.fd, CONFIG_SPACE, self->size, buf,
				4));
	/* No bit of the offset is ignored. */
	EXPECT_EQ(0, space_read(self->dev.fd, CONFIG_SPACE, 4096, buf, 4));
	EXPECT_EQ(0, space_read(self->dev.fd, CONFIG_SPACE, 1ULL << 16, buf,
				4));
	EXPECT_EQ(0, space_read(self->dev.fd, CONFIG_SPACE, 1ULL << 32, buf,
				4));
	EXPECT_EQ(0, space_read(self->dev.fd, CONFIG_SPACE, (1ULL << 40) - 4,
				buf, 4));
	ASSERT_EQ(0, device_attach(&self->dev));
	EXPECT_EQ(-EINVAL, space_write(self->dev.fd, CONFIG_SPACE, self->size,
				       buf, 4));
	EXPECT_EQ(-EINVAL, space_write(self->dev.fd, CONFIG_SPACE, 1ULL << 32,
				       buf, 4));
}

TEST_F_TIMEOUT(config, bad_buffers, TEST_SECONDS)
{
	char *mem = pages_alloc(2);

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, munmap(mem + page_size(), page_size()));
	ASSERT_EQ(0, device_attach(&self->dev));
	EXPECT_EQ(-EFAULT, space_read(self->dev.fd, CONFIG_SPACE, 0, NULL, 4));
	EXPECT_EQ(-EFAULT, space_write(self->dev.fd, CONFIG_SPACE,
				       PCI_INTERRUPT_LINE, NULL, 1));
	EXPECT_GT(64, space_read(self->dev.fd, CONFIG_SPACE, 0,
				 mem + page_size() - 32, 64));
	EXPECT_GT(4, space_write(self->dev.fd, CONFIG_SPACE, PCI_CARDBUS_CIS,
				 mem + page_size() - 2, 4));
}

TEST_F_TIMEOUT(config, no_write_before_set, TEST_SECONDS)
{
	unsigned char before[4096], after[4096];
	unsigned int pos;

	ASSERT_EQ(self->size, space_read(self->dev.fd, CONFIG_SPACE, 0, before,
					 sizeof(before)));
	for (pos = 0; pos < self->size; pos += 4)
		EXPECT_EQ(-EINVAL, config_write(self->dev.fd, pos, 4,
						UINT32_MAX));
	EXPECT_EQ(-EINVAL, config_write(self->dev.fd, PCI_INTERRUPT_LINE, 1,
					0x55));
	ASSERT_EQ(self->size, space_read(self->dev.fd, CONFIG_SPACE, 0, after,
					 sizeof(after)));
	EXPECT_EQ(0, memcmp(before, after, self->size));
	ASSERT_EQ(0, device_attach(&self->dev));
	EXPECT_EQ(0, config_write(self->dev.fd, PCI_INTERRUPT_LINE, 1, 0x55));
	EXPECT_EQ(0x55, config_read(self->dev.fd, PCI_INTERRUPT_LINE, 1));
}

/*
 * Size a BAR as an operating system does, write in units of @width, and return
 * how many BARs it took: 1, or 2 for 64 bits.
 */
static unsigned int size_bar(struct __test_metadata *_metadata, int fd,
			     unsigned int bar, unsigned int width)
{
	unsigned int pos = bar == 6 ? PCI_ROM_ADDRESS :
				      PCI_BASE_ADDRESS_0 + 4 * bar;
	struct uiommu_region_info info;
	__u64 mask, low_bits;
	__u32 old, low, high_old = 0, high = UINT32_MAX;
	bool wide = false;
	unsigned int i;

	EXPECT_EQ(0, region_info(fd, bar, &info));
	old = config_read(fd, pos, 4);
	if (bar == 6)
		low_bits = 0x7ff;
	else if (old & PCI_BASE_ADDRESS_SPACE_IO)
		low_bits = 0x3;
	else
		low_bits = 0xf;
	if (bar != 6 && !(old & PCI_BASE_ADDRESS_SPACE_IO))
		wide = (old & PCI_BASE_ADDRESS_MEM_TYPE_MASK) ==
		       PCI_BASE_ADDRESS_MEM_TYPE_64;
	for (i = 0; i < 4; i += width)
		EXPECT_EQ(0, config_write(fd, pos + i, width, UINT32_MAX));
	low = config_read(fd, pos, 4);
	if (wide) {
		high_old = config_read(fd, pos + 4, 4);
		for (i = 0; i < 4; i += width)
			EXPECT_EQ(0, config_write(fd, pos + 4 + i, width,
						  UINT32_MAX));
		high = config_read(fd, pos + 4, 4);
	}
	if (!info.out_size) {
		EXPECT_EQ(0, low);
	} else {
		/* The type stays, the enable bit of a ROM can be written. */
		EXPECT_EQ(bar == 6 ? PCI_ROM_ADDRESS_ENABLE : old & low_bits,
			  low & low_bits);
		mask = (__u64)high << 32 | (low & ~(__u32)low_bits);
		if (bar != 6 && old & PCI_BASE_ADDRESS_SPACE_IO)
			mask |= ~0xffffULL;
		EXPECT_EQ(info.out_size, -mask) {
			TH_LOG("BAR %u: %08x %08x", bar, high, low);
		}
	}
	/* Put back as it was */
	EXPECT_EQ(0, config_write(fd, pos, 4, old));
	EXPECT_EQ(old, config_read(fd, pos, 4));
	if (wide) {
		EXPECT_EQ(0, config_write(fd, pos + 4, 4, high_old));
		EXPECT_EQ(high_old, config_read(fd, pos + 4, 4));
	}
	return wide ? 2 : 1;
}

TEST_F_TIMEOUT(config, bar_sizing, TEST_SECONDS)
{
	unsigned char before[64], after[64];
	unsigned int bar, width;

	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(64, real_config(self->dev.bdf, before, 64));
	for (width = 1; width <= 4; width *= 2) {
		for (bar = 0; bar < 6;)
			bar += size_bar(_metadata, self->dev.fd, bar, width);
		size_bar(_metadata, self->dev.fd, 6, width);
	}
	ASSERT_EQ(64, real_config(self->dev.bdf, after, 64));
	EXPECT_EQ(0, memcmp(before + PCI_BASE_ADDRESS_0,
			    after + PCI_BASE_ADDRESS_0, 24));
	EXPECT_EQ(dword(before, PCI_ROM_ADDRESS),
		  dword(after, PCI_ROM_ADDRESS));
}

/* With the addresses that the kernel chose, BARs read as the kernel's do. */
TEST_F_TIMEOUT(config, bars_as_the_kernels, TEST_SECONDS)
{
	unsigned char real[64];
	unsigned int pos;

	if (!strcmp(variant->env, "UIOMMU_VF"))
		SKIP(return, "those of a virtual function are not in its space");
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(64, real_config(self->dev.bdf, real, 64));
	for (pos = PCI_BASE_ADDRESS_0; pos <= PCI_BASE_ADDRESS_5; pos += 4)
		EXPECT_EQ(0, config_write(self->dev.fd, pos, 4,
					  dword(real, pos)));
	EXPECT_EQ(0, config_write(self->dev.fd, PCI_ROM_ADDRESS, 4,
				  dword(real, PCI_ROM_ADDRESS)));
	for (pos = 0; pos < sizeof(real); pos += 4) {
		/* The lines of the kernel are not for users. */
		if (pos == PCI_COMMAND || pos == PCI_INTERRUPT_LINE)
			continue;
		EXPECT_EQ(dword(real, pos),
			  config_read(self->dev.fd, pos, 4)) {
			TH_LOG("at 0x%x", pos);
		}
	}
	EXPECT_EQ(real[PCI_INTERRUPT_PIN],
		  config_read(self->dev.fd, PCI_INTERRUPT_PIN, 1));
}

/* A BAR moved by the user moves in his view alone. */
TEST_F_TIMEOUT(config, bars_are_virtual, TEST_SECONDS)
{
	struct uiommu_region_info info;
	unsigned char before[64], after[64];
	__u32 val, was;
	unsigned int bar;

	ASSERT_EQ(0, device_attach(&self->dev));
	for (bar = 0; bar < 6; bar++) {
		ASSERT_EQ(0, region_info(self->dev.fd, bar, &info));
		if (info.out_size && !(info.out_size >> 31))
			break;
	}
	ASSERT_NE(6, bar);
	ASSERT_EQ(64, real_config(self->dev.bdf, before, 64));
	EXPECT_EQ(4, space_read(self->dev.fd, bar, 0, &was, 4));
	EXPECT_EQ(0, config_write(self->dev.fd, PCI_BASE_ADDRESS_0 + 4 * bar,
				  4, 0xc0000000));
	val = config_read(self->dev.fd, PCI_BASE_ADDRESS_0 + 4 * bar, 4);
	if (!(val & PCI_BASE_ADDRESS_SPACE_IO))
		EXPECT_EQ(0xc0000000, val & ~0xfU);
	ASSERT_EQ(64, real_config(self->dev.bdf, after, 64));
	EXPECT_EQ(0, memcmp(before, after, 64));
	/* The registers are where they were. */
	EXPECT_EQ(4, space_read(self->dev.fd, bar, 0, &val, 4));
	EXPECT_EQ(was, val);
}

/* What a user writes must not be able to make it another device. */
TEST_F_TIMEOUT(config, read_only_fields, TEST_SECONDS)
{
	static const struct {
		unsigned int pos;
		unsigned int len;
	} fields[] = {
		{ PCI_VENDOR_ID, 2 }, { PCI_DEVICE_ID, 2 },
		{ PCI_REVISION_ID, 1 }, { PCI_CLASS_PROG, 1 },
		{ PCI_CLASS_DEVICE, 2 }, { PCI_HEADER_TYPE, 1 },
		{ PCI_SUBSYSTEM_VENDOR_ID, 2 }, { PCI_SUBSYSTEM_ID, 2 },
		{ PCI_CAPABILITY_LIST, 1 }, { PCI_INTERRUPT_PIN, 1 },
		{ PCI_MIN_GNT, 1 }, { PCI_MAX_LAT, 1 },
	};
	unsigned int pos, loops = 48;
	__u32 was;
	size_t i;

	ASSERT_EQ(0, device_attach(&self->dev));
	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		was = config_read(self->dev.fd, fields[i].pos, fields[i].len);
		EXPECT_EQ(0, config_write(self->dev.fd, fields[i].pos,
					  fields[i].len, ~was));
		EXPECT_EQ(was, config_read(self->dev.fd, fields[i].pos,
					   fields[i].len)) {
			TH_LOG("at 0x%x", fields[i].pos);
		}
	}
	/* The list of capabilities */
	pos = config_read(self->dev.fd, PCI_CAPABILITY_LIST, 1) & ~3U;
	if (!(config_read(self->dev.fd, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST))
		pos = 0;
	while (pos && loops--) {
		was = config_read(self->dev.fd, pos, 2);
		EXPECT_EQ(0, config_write(self->dev.fd, pos, 1, ~was));
		EXPECT_EQ(0, config_write(self->dev.fd, pos + 1, 1,
					  ~(was >> 8)));
		EXPECT_EQ(was, config_read(self->dev.fd, pos, 2));
		pos = was >> 8 & ~3U;
	}
	EXPECT_NE(UINT32_MAX, loops);
}

static bool real_master(const char *bdf)
{
	return pci_config_word(bdf, PCI_COMMAND) & PCI_COMMAND_MASTER;
}

static bool seen_master(int fd)
{
	return config_read(fd, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
}

/* Bus mastering is the user's to turn on, and real only while attached. */
TEST_F_TIMEOUT(config, bus_master, TEST_SECONDS)
{
	int i;

	EXPECT_FALSE(real_master(self->dev.bdf));
	EXPECT_FALSE(seen_master(self->dev.fd));
	EXPECT_EQ(-EINVAL, config_command(self->dev.fd, 0,
					  PCI_COMMAND_MASTER));
	EXPECT_FALSE(real_master(self->dev.bdf));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, domain_set(self->dev.fd, self->dev.space));
		/* Not by a side effect */
		EXPECT_FALSE(real_master(self->dev.bdf));
		EXPECT_EQ(0, config_command(self->dev.fd, 0,
					    PCI_COMMAND_MASTER));
		EXPECT_TRUE(real_master(self->dev.bdf));
		EXPECT_TRUE(seen_master(self->dev.fd));
		EXPECT_EQ(0, config_command(self->dev.fd, PCI_COMMAND_MASTER,
					    0));
		EXPECT_FALSE(real_master(self->dev.bdf));
		EXPECT_FALSE(seen_master(self->dev.fd));
		EXPECT_EQ(0, config_command(self->dev.fd, 0,
					    PCI_COMMAND_MASTER));
		ASSERT_EQ(0, domain_unset(self->dev.fd));
		EXPECT_FALSE(real_master(self->dev.bdf));
	}
	ASSERT_EQ(0, device_attach(&self->dev));
	EXPECT_TRUE(real_master(self->dev.bdf));
	device_close(&self->dev);
	EXPECT_FALSE(real_master(self->dev.bdf));
}

TEST_F_TIMEOUT(config, command_bits, TEST_SECONDS)
{
	static const unsigned int bits[] = {
		PCI_COMMAND_MEMORY, PCI_COMMAND_MASTER,
		PCI_COMMAND_INTX_DISABLE,
	};
	bool intx = config_read(self->dev.fd, PCI_INTERRUPT_PIN, 1);
	size_t i;

	ASSERT_EQ(0, device_attach(&self->dev));
	for (i = 0; i < ARRAY_SIZE(bits); i++) {
		/* Without a pin there is nothing to disable. */
		if (bits[i] == PCI_COMMAND_INTX_DISABLE && !intx)
			continue;
		EXPECT_EQ(0, config_command(self->dev.fd, 0, bits[i]));
		EXPECT_EQ(bits[i], config_read(self->dev.fd, PCI_COMMAND, 2) &
				   bits[i]);
		EXPECT_EQ(0, config_command(self->dev.fd, bits[i], 0));
		EXPECT_EQ(0, config_read(self->dev.fd, PCI_COMMAND, 2) &
			     bits[i]);
	}
	if (!intx)
		return;
	/* Byte by byte */
	EXPECT_EQ(0, config_write(self->dev.fd, PCI_COMMAND + 1, 1,
				  PCI_COMMAND_INTX_DISABLE >> 8));
	EXPECT_EQ(0, config_write(self->dev.fd, PCI_COMMAND, 1,
				  PCI_COMMAND_MEMORY));
	EXPECT_EQ(PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE,
		  config_read(self->dev.fd, PCI_COMMAND, 2) &
		  (PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE |
		   PCI_COMMAND_MASTER));
	/* Writing COMMAND as part of a dword does not harm STATUS. */
	EXPECT_EQ(0, config_write(self->dev.fd, PCI_COMMAND, 4,
				  PCI_COMMAND_MEMORY));
	EXPECT_EQ(PCI_COMMAND_MEMORY,
		  config_read(self->dev.fd, PCI_COMMAND, 2) &
		  (PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE));
}

TEST_F_TIMEOUT(config, interrupt_line_is_scratch, TEST_SECONDS)
{
	unsigned char before[64], after[64];
	__u32 val;

	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(64, real_config(self->dev.bdf, before, 64));
	for (val = 0; val < 256; val += 15) {
		EXPECT_EQ(0, config_write(self->dev.fd, PCI_INTERRUPT_LINE, 1,
					  val));
		EXPECT_EQ(val, config_read(self->dev.fd, PCI_INTERRUPT_LINE,
					   1));
	}
	ASSERT_EQ(64, real_config(self->dev.bdf, after, 64));
	EXPECT_EQ(before[PCI_INTERRUPT_LINE], after[PCI_INTERRUPT_LINE]);
}

/* The kernel alone aims and enables messages. */
TEST_F_TIMEOUT(config, messages_are_the_kernels, TEST_SECONDS)
{
	unsigned char before[4096], after[4096];
	unsigned int msi, msix, i;
	int efd = eventfd_new();

	if (geteuid())
		SKIP(return, "reading all of the real config space needs root");
	ASSERT_EQ(0, device_attach(&self->dev));
	msi = config_cap(self->dev.fd, PCI_CAP_ID_MSI);
	msix = config_cap(self->dev.fd, PCI_CAP_ID_MSIX);
	if (!msi && !msix)
		SKIP(return, "the device has no messages");
	ASSERT_EQ(self->size, real_config(self->dev.bdf, before,
					  sizeof(before)));
	if (msi) {
		EXPECT_EQ(0, config_write(self->dev.fd, msi + PCI_MSI_FLAGS, 2,
					  PCI_MSI_FLAGS_ENABLE));
		for (i = 4; i < 12; i += 4)
			EXPECT_EQ(0, config_write(self->dev.fd, msi + i, 4,
						  0xfee01230));
	}
	if (msix)
		EXPECT_EQ(0, config_write(self->dev.fd, msix + PCI_MSIX_FLAGS,
					  2, PCI_MSIX_FLAGS_ENABLE |
					     PCI_MSIX_FLAGS_MASKALL));
	ASSERT_EQ(self->size, real_config(self->dev.bdf, after,
					  sizeof(after)));
	if (msi)
		EXPECT_EQ(0, memcmp(before + msi, after + msi, 14));
	if (msix)
		EXPECT_EQ(0, memcmp(before + msix, after + msix, 12));
	/* Nor does it take much of the user to lose them. */
	if (msix) {
		ASSERT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX, 1,
					  &efd));
		EXPECT_EQ(0, config_write(self->dev.fd, msix + PCI_MSIX_FLAGS,
					  2, 0));
		ASSERT_EQ(self->size, real_config(self->dev.bdf, after,
						  sizeof(after)));
		EXPECT_EQ(PCI_MSIX_FLAGS_ENABLE, dword(after, msix) >> 16 &
						 PCI_MSIX_FLAGS_ENABLE);
		EXPECT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX, 0,
					  NULL));
	}
}

/* One user's leavings are not seen by the next. */
TEST_F_TIMEOUT(config, two_users_in_turn, TEST_SECONDS)
{
	unsigned char before[4096], after[4096];
	const char *bdf = self->dev.bdf;
	unsigned int pos;

	ASSERT_EQ(self->size, space_read(self->dev.fd, CONFIG_SPACE, 0, before,
					 sizeof(before)));
	ASSERT_EQ(0, device_attach(&self->dev));
	for (pos = PCI_BASE_ADDRESS_0; pos < PCI_CARDBUS_CIS; pos += 4)
		EXPECT_EQ(0, config_write(self->dev.fd, pos, 4, UINT32_MAX));
	EXPECT_EQ(0, config_write(self->dev.fd, PCI_ROM_ADDRESS, 4,
				  UINT32_MAX));
	EXPECT_EQ(0, config_write(self->dev.fd, PCI_INTERRUPT_LINE, 1, 0x77));
	EXPECT_EQ(0, config_command(self->dev.fd, PCI_COMMAND_MEMORY,
				    PCI_COMMAND_INTX_DISABLE));
	ASSERT_EQ(self->size, space_read(self->dev.fd, CONFIG_SPACE, 0, after,
					 sizeof(after)));
	EXPECT_NE(0, memcmp(before, after, self->size));
	device_close(&self->dev);
	log_close(&self->dev.log);

	ASSERT_EQ(0, device_open(&self->dev, bdf));
	ASSERT_EQ(self->size, space_read(self->dev.fd, CONFIG_SPACE, 0, after,
					 sizeof(after)));
	for (pos = 0; pos < self->size; pos += 4) {
		EXPECT_EQ(dword(before, pos), dword(after, pos)) {
			TH_LOG("at 0x%x", pos);
		}
	}
}

/* Several users at the same time have one device, and so one config space. */
TEST_F_TIMEOUT(config, two_files, TEST_SECONDS)
{
	int second = node_open(self->dev.bdf, O_RDWR);

	ASSERT_LE(0, second);
	ASSERT_EQ(0, device_attach(&self->dev));
	EXPECT_EQ(0, config_write(self->dev.fd, PCI_INTERRUPT_LINE, 1, 0x31));
	EXPECT_EQ(0x31, config_read(second, PCI_INTERRUPT_LINE, 1));
	EXPECT_EQ(0, config_write(second, PCI_INTERRUPT_LINE, 1, 0x32));
	close(second);
	EXPECT_EQ(0x32, config_read(self->dev.fd, PCI_INTERRUPT_LINE, 1));
}

/* After a reset the user's config space is as it was before. */
TEST_F_TIMEOUT(config, reset_keeps_it, TEST_SECONDS)
{
	unsigned char before[4096], after[4096];
	unsigned int pos;

	ASSERT_EQ(0, device_attach(&self->dev));
	EXPECT_EQ(0, config_write(self->dev.fd, PCI_INTERRUPT_LINE, 1, 0x42));
	EXPECT_EQ(0, config_write(self->dev.fd, PCI_BASE_ADDRESS_0, 4,
				  0xd0000000));
	ASSERT_EQ(self->size, space_read(self->dev.fd, CONFIG_SPACE, 0, before,
					 sizeof(before)));
	ASSERT_EQ(0, device_reset(self->dev.fd));
	ASSERT_EQ(self->size, space_read(self->dev.fd, CONFIG_SPACE, 0, after,
					 sizeof(after)));
	for (pos = 0; pos < self->size; pos += 4) {
		EXPECT_EQ(dword(before, pos), dword(after, pos)) {
			TH_LOG("at 0x%x", pos);
		}
	}
	EXPECT_TRUE(real_master(self->dev.bdf));
}

/* A function level reset by the register for it */
TEST_F_TIMEOUT(config, function_level_reset, TEST_SECONDS)
{
	unsigned int cap = config_cap(self->dev.fd, PCI_CAP_ID_EXP);
	__u32 control, command;

	if (!cap || !(config_read(self->dev.fd, cap + PCI_EXP_DEVCAP, 4) &
		      PCI_EXP_DEVCAP_FLR))
		SKIP(return, "the device has no such reset");
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, device_map_bar(&self->dev, variant->bar));
	command = config_read(self->dev.fd, PCI_COMMAND, 2);
	control = config_read(self->dev.fd, cap + PCI_EXP_DEVCTL, 2);
	if (!strcmp(variant->env, "UIOMMU_NVME")) {
		reg_write(&self->dev, NVME_CC, 4 << 20 | 6 << 16);
		EXPECT_NE(0, reg_read(&self->dev, NVME_CC));
	}
	EXPECT_EQ(0, config_write(self->dev.fd, cap + PCI_EXP_DEVCTL, 2,
				  control | PCI_EXP_DEVCTL_BCR_FLR));
	sleep_ms(200);
	EXPECT_EQ(command, config_read(self->dev.fd, PCI_COMMAND, 2));
	EXPECT_EQ(control, config_read(self->dev.fd, cap + PCI_EXP_DEVCTL, 2));
	EXPECT_TRUE(real_master(self->dev.bdf));
	if (!strcmp(variant->env, "UIOMMU_NVME"))
		EXPECT_EQ(0, reg_read(&self->dev, NVME_CC));
}

/* Into D3 and back: no register is in reach meanwhile, and it works again. */
TEST_F_TIMEOUT(config, power_states, TEST_SECONDS)
{
	unsigned int cap = config_cap(self->dev.fd, PCI_CAP_ID_PM);
	unsigned int ctrl = cap + PCI_PM_CTRL;
	__u32 was, val, caps;

	if (!cap)
		SKIP(return, "the device has no power management");
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, device_map_bar(&self->dev, variant->bar));
	was = reg_read(&self->dev, 0);
	EXPECT_EQ(4, space_read(self->dev.fd, variant->bar, 0, &val, 4));
	EXPECT_EQ(was, val);
	/* A state that it does not have changes nothing. */
	caps = config_read(self->dev.fd, cap + PCI_PM_PMC, 2);
	if (!(caps & PCI_PM_CAP_D1)) {
		EXPECT_EQ(0, config_write(self->dev.fd, ctrl, 2, 1));
		EXPECT_EQ(0, config_read(self->dev.fd, ctrl, 2) & 3);
		EXPECT_EQ(was, reg_read(&self->dev, 0));
	}

	EXPECT_EQ(0, config_write(self->dev.fd, ctrl, 2, 3));
	EXPECT_EQ(3, config_read(self->dev.fd, ctrl, 2) & 3);
	EXPECT_EQ(4, space_read(self->dev.fd, variant->bar, 0, &val, 4));
	EXPECT_EQ(UINT32_MAX, val);
	EXPECT_EQ(UINT32_MAX, reg_read(&self->dev, 0));
	/* Config space is there, and the device really in D0. */
	if (!geteuid())
		EXPECT_EQ(0, pci_config_word(self->dev.bdf, ctrl) & 3);
	EXPECT_EQ(id_in_sysfs(self->dev.bdf, "device"),
		  config_read(self->dev.fd, PCI_DEVICE_ID, 2));

	EXPECT_EQ(0, config_write(self->dev.fd, ctrl, 2, 0));
	EXPECT_EQ(0, config_read(self->dev.fd, ctrl, 2) & 3);
	EXPECT_EQ(was, reg_read(&self->dev, 0));
	EXPECT_TRUE(real_master(self->dev.bdf));

	/* A reset wakes it up. */
	EXPECT_EQ(0, config_write(self->dev.fd, ctrl, 2, 3));
	EXPECT_EQ(0, device_reset(self->dev.fd));
	EXPECT_EQ(0, config_read(self->dev.fd, ctrl, 2) & 3);
	EXPECT_EQ(was, reg_read(&self->dev, 0));

	/* So does the next user. */
	EXPECT_EQ(0, config_write(self->dev.fd, ctrl, 2, 3));
	device_close(&self->dev);
	ASSERT_EQ(0, device_open(&self->dev, getenv(variant->env)));
	EXPECT_EQ(0, config_read(self->dev.fd, ctrl, 2) & 3);
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, device_map_bar(&self->dev, variant->bar));
	EXPECT_EQ(was, reg_read(&self->dev, 0));
}

/* Root writes to the real config space, as a reset would. */
static int real_write(const char *bdf, unsigned int pos, const void *buf,
		      size_t len)
{
	char path[PATH_MAX];
	ssize_t ret;
	int fd;

	pci_path(path, sizeof(path), bdf, "config");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = pwrite(fd, buf, len, pos);
	close(fd);
	return ret == (ssize_t)len ? 0 : -EIO;
}

/* A device that was reset by other means is put back when it is turned on. */
TEST_F_TIMEOUT(config, reset_behind_the_back, TEST_SECONDS)
{
	static const unsigned char zero[24];
	unsigned char before[64], after[64];
	__u32 was, val;

	if (geteuid())
		SKIP(return, "writing the real config space needs root");
	if (!strcmp(variant->env, "UIOMMU_VF"))
		SKIP(return, "a virtual function has no BARs to lose");
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(64, real_config(self->dev.bdf, before, 64));
	EXPECT_EQ(4, space_read(self->dev.fd, variant->bar, 0, &was, 4));

	ASSERT_EQ(0, real_write(self->dev.bdf, PCI_COMMAND, zero, 2));
	ASSERT_EQ(0, real_write(self->dev.bdf, PCI_BASE_ADDRESS_0, zero, 24));
	EXPECT_EQ(4, space_read(self->dev.fd, variant->bar, 0, &val, 4));

	/* Nothing is turned on by turning it off. */
	EXPECT_EQ(0, config_write(self->dev.fd, PCI_COMMAND, 2, 0));
	EXPECT_EQ(0, pci_config_word(self->dev.bdf, PCI_COMMAND) &
		     (PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
	EXPECT_EQ(0, config_write(self->dev.fd, PCI_COMMAND, 2,
				  PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
				  PCI_COMMAND_MASTER));
	ASSERT_EQ(64, real_config(self->dev.bdf, after, 64));
	EXPECT_EQ(0, memcmp(before + PCI_BASE_ADDRESS_0,
			    after + PCI_BASE_ADDRESS_0, 24));
	EXPECT_EQ(0, (before[PCI_COMMAND] ^ after[PCI_COMMAND]) &
		     (PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
	EXPECT_TRUE(real_master(self->dev.bdf));
	EXPECT_EQ(4, space_read(self->dev.fd, variant->bar, 0, &val, 4));
	EXPECT_EQ(was, val);
}

/* No loop, no end outside, nothing hidden in the list of capabilities. */
TEST_F_TIMEOUT(config, capability_lists, TEST_SECONDS)
{
	unsigned char map[4096];
	unsigned int pos, loops;
	__u32 header;

	ASSERT_EQ(self->size, node_file(self->dev.bdf, "config_map", map,
					sizeof(map)));
	pos = config_read(self->dev.fd, PCI_CAPABILITY_LIST, 1);
	for (loops = 0; pos && loops < 48; loops++) {
		EXPECT_LE(64, pos);
		EXPECT_EQ(0, pos % 4);
		EXPECT_NE(0, config_read(self->dev.fd, pos, 1));
		EXPECT_EQ(config_read(self->dev.fd, pos, 1), map[pos]) {
			TH_LOG("at 0x%x", pos);
		}
		pos = config_read(self->dev.fd, pos + 1, 1);
	}
	EXPECT_GT(48, loops);
	if (self->size == 256)
		return;
	pos = 256;
	for (loops = 0; pos && loops < 960; loops++) {
		header = config_read(self->dev.fd, pos, 4);
		if (!header || header == UINT32_MAX)
			break;
		EXPECT_EQ(0, pos % 4);
		if (PCI_EXT_CAP_ID(header)) {
			EXPECT_EQ(PCI_EXT_CAP_ID(header), map[pos]) {
				TH_LOG("at 0x%x", pos);
			}
		}
		pos = PCI_EXT_CAP_NEXT(header);
		EXPECT_TRUE(!pos || pos >= 256);
	}
	EXPECT_GT(960, loops);
}

TEST_F_TIMEOUT(config, map_in_sysfs, TEST_SECONDS)
{
	unsigned char map[8192], again[4096];
	unsigned int pos;

	ASSERT_EQ(self->size, node_file(self->dev.bdf, "config_map", map,
					sizeof(map)));
	for (pos = 0; pos < 64; pos++)
		EXPECT_EQ(MAP_HEADER, map[pos]);
	/* Hidden bytes read as nothing at all. */
	for (pos = 64; pos < self->size; pos++) {
		EXPECT_NE(MAP_HEADER, map[pos]);
		if (map[pos] == MAP_HIDDEN)
			EXPECT_EQ(0, config_read(self->dev.fd, pos, 1));
	}
	/* Without a user it is the same. */
	device_close(&self->dev);
	ASSERT_EQ(self->size, node_file(self->dev.bdf, "config_map", again,
					sizeof(again)));
	EXPECT_EQ(0, memcmp(map, again, self->size));
}

/* Registers that do something when they are written */
static bool acts(int fd, unsigned int pos)
{
	static const unsigned int ids[] = {
		PCI_CAP_ID_PM, PCI_CAP_ID_VPD, PCI_CAP_ID_AF,
	};
	unsigned int cap;
	size_t i;

	if (pos == PCI_COMMAND)
		return true;
	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		cap = config_cap(fd, ids[i]);
		if (cap && (pos == cap || pos == cap + 4))
			return true;
	}
	cap = config_cap(fd, PCI_CAP_ID_EXP);
	return cap && pos == cap + PCI_EXP_DEVCTL;
}

/*
 * What sysfs says of each bit is what happens to it: all bits of every dword
 * are inverted, and put back.
 */
TEST_F_TIMEOUT(config, rules_in_sysfs_are_kept, TEST_SECONDS)
{
	unsigned char rules[8192], real[4096];
	__u32 was, is, virt, can, changed;
	unsigned int pos;

	if (geteuid())
		SKIP(return, "reading all of the real config space needs root");
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(2 * self->size, node_file(self->dev.bdf, "config_rules",
					    rules, sizeof(rules)));
	ASSERT_EQ(self->size, real_config(self->dev.bdf, real, sizeof(real)));
	for (pos = 0; pos < self->size; pos += 4) {
		virt = dword(rules, 2 * pos);
		can = dword(rules, 2 * pos + 4);
		was = config_read(self->dev.fd, pos, 4);
		/* A bit that is not virtual is the device's. */
		EXPECT_EQ(0, (was ^ dword(real, pos)) & ~virt) {
			TH_LOG("at 0x%x: 0x%08x, really 0x%08x, virtual 0x%08x",
			       pos, was, dword(real, pos), virt);
		}
		if (acts(self->dev.fd, pos))
			continue;
		EXPECT_EQ(0, config_write(self->dev.fd, pos, 4, ~was));
		is = config_read(self->dev.fd, pos, 4);
		changed = was ^ is;
		EXPECT_EQ(0, changed & ~can) {
			TH_LOG("at 0x%x: 0x%08x to 0x%08x, may change 0x%08x",
			       pos, was, is, can);
		}
		EXPECT_EQ(virt & can, changed & virt) {
			TH_LOG("at 0x%x: 0x%08x to 0x%08x, virtual 0x%08x",
			       pos, was, is, virt & can);
		}
		/* Nothing virtual and nothing forbidden reached the device. */
		changed = dword(real, pos) ^ real_dword(self->dev.bdf, pos);
		EXPECT_EQ(0, changed & (virt | ~can)) {
			TH_LOG("at 0x%x: really 0x%08x, 0x%08x changed", pos,
			       dword(real, pos), changed);
		}
		EXPECT_EQ(0, config_write(self->dev.fd, pos, 4, was));
	}
}

struct reader {
	int fd;
	__u32 want;
	int stop;
	unsigned long good;
	unsigned long busy;
	unsigned long wrong;
};

static void *read_always(void *arg)
{
	struct reader *r = arg;
	__u32 val;
	ssize_t ret;

	while (!get_once(&r->stop)) {
		val = 0;
		ret = space_read(r->fd, CONFIG_SPACE, 0, &val, 4);
		if (ret == 4 && val == r->want)
			r->good++;
		else if (ret == -EBUSY)
			r->busy++;
		else
			r->wrong++;
		/* Words that lie across the ends of others */
		val = 0x11223344;
		ret = space_write(r->fd, CONFIG_SPACE, PCI_INTERRUPT_LINE, &val,
				  1);
		if (ret != 1 && ret != -EBUSY)
			r->wrong++;
	}
	return NULL;
}

/* Config space in use by others while the device is reset */
TEST_F_TIMEOUT(config, access_during_reset, TEST_SECONDS)
{
	struct reader r[2];
	pthread_t threads[2];
	int i, ret;

	ASSERT_EQ(0, device_attach(&self->dev));
	for (i = 0; i < 2; i++) {
		r[i] = (struct reader){
			.fd = self->dev.fd,
			.want = config_read(self->dev.fd, 0, 4),
		};
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, read_always,
					    &r[i]));
	}
	for (i = 0; i < 5; i++) {
		ret = device_reset(self->dev.fd);
		EXPECT_EQ(0, ret);
		usleep(20000);
	}
	for (i = 0; i < 2; i++) {
		set_once(&r[i].stop, 1);
		pthread_join(threads[i], NULL);
		EXPECT_LT(0, r[i].good);
		EXPECT_EQ(0, r[i].wrong);
	}
}

struct sizer {
	int fd;
	unsigned int pos;
	__u32 values[2];	/* what the register can say */
	int stop;
	bool writes;
	unsigned long done;
	unsigned long torn;
};

static void *size_always(void *arg)
{
	struct sizer *s = arg;
	__u32 val;
	int i;

	for (i = 0; !get_once(&s->stop); i++) {
		if (s->writes) {
			val = i % 2 ? UINT32_MAX : 0;
			if (space_write(s->fd, CONFIG_SPACE, s->pos,
					&val, 4) != 4)
				s->torn++;
		} else {
			val = 0x11223344;
			if (space_read(s->fd, CONFIG_SPACE, s->pos,
				       &val, 4) != 4 ||
			    (val != s->values[0] && val != s->values[1]))
				s->torn++;
		}
		s->done++;
	}
	return NULL;
}

/* Two size a BAR, two look on, one turns decoding off and on. */
TEST_F_TIMEOUT(config, whole_values_only, TEST_SECONDS)
{
	struct sizer s[4];
	pthread_t threads[4];
	unsigned int pos = PCI_BASE_ADDRESS_0 + 4 * variant->bar;
	__u32 command, values[2];
	int i;

	ASSERT_EQ(0, device_attach(&self->dev));
	command = config_read(self->dev.fd, PCI_COMMAND, 2);
	ASSERT_EQ(0, config_write(self->dev.fd, pos, 4, UINT32_MAX));
	values[1] = config_read(self->dev.fd, pos, 4);
	ASSERT_EQ(0, config_write(self->dev.fd, pos, 4, 0));
	values[0] = config_read(self->dev.fd, pos, 4);
	ASSERT_NE(values[0], values[1]);
	for (i = 0; i < 4; i++) {
		s[i] = (struct sizer){
			.fd = self->dev.fd,
			.pos = pos,
			.values = { values[0], values[1] },
			.writes = i < 2,
		};
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, size_always,
					    &s[i]));
	}
	for (i = 0; i < 100; i++) {
		EXPECT_EQ(0, config_write(self->dev.fd, PCI_COMMAND, 2,
					  command & ~PCI_COMMAND_MEMORY));
		EXPECT_EQ(command & ~PCI_COMMAND_MEMORY,
			  config_read(self->dev.fd, PCI_COMMAND, 2));
		EXPECT_EQ(0, config_write(self->dev.fd, PCI_COMMAND, 2,
					  command));
		usleep(1000);
	}
	for (i = 0; i < 4; i++) {
		set_once(&s[i].stop, 1);
		pthread_join(threads[i], NULL);
		EXPECT_LT(0, s[i].done);
		EXPECT_EQ(0, s[i].torn);
	}
}

TEST_HARNESS_MAIN
