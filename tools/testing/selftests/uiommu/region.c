// SPDX-License-Identifier: GPL-2.0-only
/*
 * BARs and the ROM: read(), write() and mmap() of a device fd.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "util.h"

#define GIB		(1024 * 1024 * 1024ULL)
#define MSIX_ENTRY	16

/* IORESOURCE_MEM, in a device's "resource" file */
#define RESOURCE_MEMORY	0x200
#define RESOURCE_PREFETCH	0x2000

/* x86 says here how memory that is no RAM is cached. */
#define MEMTYPES	"/sys/kernel/debug/x86/pat_memtype_list"

static void expect_quiet(struct __test_metadata *_metadata, struct log *log)
{
	log_read(log);
	EXPECT_EQ(0, log->splats + log->faults) {
		TH_LOG("%s", log->first);
	}
	log_close(log);
}

/*
 * Any device: what there is and where it ends
 */
FIXTURE(region)
{
	struct device dev;
	struct uiommu_region_info bar;
};

FIXTURE_SETUP(region)
{
	/* The BARs of the first can share a page; edu's is 1 MiB. */
	const char *const bdf[] = { device_any(), getenv("UIOMMU_EDU") };
	unsigned int i, k;

	self->dev.fd = -1;
	self->dev.space = -1;
	if (!bdf[0])
		SKIP(return, "no device");
	for (k = 0; k < ARRAY_SIZE(bdf) && bdf[k]; k++) {
		if (k) {
			device_close(&self->dev);
			log_close(&self->dev.log);
		}
		ASSERT_EQ(0, device_open(&self->dev, bdf[k]));
		ASSERT_EQ(0, device_attach(&self->dev));
		for (i = 0; i < 6; i++) {
			ASSERT_EQ(0, region_info(self->dev.fd, i, &self->bar));
			if (self->bar.out_flags & UIOMMU_REGION_MMAP)
				return;
		}
	}
	ASSERT_TRUE(false) {
		TH_LOG("%s has no BAR to mmap", bdf[0]);
	}
}

FIXTURE_TEARDOWN(region)
{
	device_close(&self->dev);
	expect_quiet(_metadata, &self->dev.log);
}

static void expect_regions(struct __test_metadata *_metadata, const char *bdf)
{
	unsigned long long first, last, flags;
	struct uiommu_region_info info;
	char text[4096], *line, *save;
	unsigned int i, want;
	struct device dev;
	bool memory;
	long len;
	int num;

	ASSERT_EQ(0, device_open(&dev, bdf));
	ASSERT_LT(0, pci_attr_read(bdf, "resource", text, sizeof(text)));
	line = strtok_r(text, "\n", &save);
	for (i = 0; i <= VFIO_PCI_ROM_RESOURCE; i++) {
		__u64 size;

		ASSERT_NE(NULL, line);
		num = sscanf(line, "%llx %llx %llx", &first, &last, &flags);
		ASSERT_EQ(3, num);
		line = strtok_r(NULL, "\n", &save);
		size = last ? last - first + 1 : 0;

		ASSERT_EQ(0, region_info(dev.fd, i, &info));
		EXPECT_EQ(size, info.out_size) {
			TH_LOG("%s space %u", bdf, i);
		}
		EXPECT_EQ(VFIO_PCI_SPACE_TO_OFFSET(i), info.out_offset);
		len = bar_len(dev.fd, i);
		EXPECT_EQ(size >> 32 ? -EOVERFLOW : (long)size, len);

		want = UIOMMU_REGION_READ | UIOMMU_REGION_WRITE;
		if (i == VFIO_PCI_ROM_RESOURCE)
			want = UIOMMU_REGION_READ;
		if (!size)
			want = 0;
		EXPECT_EQ(want, info.out_flags & ~(UIOMMU_REGION_MMAP |
						   UIOMMU_REGION_WC));
		/* Memory can be mapped, I/O ports and the ROM cannot. */
		memory = i < VFIO_PCI_ROM_RESOURCE && flags & RESOURCE_MEMORY;
		if (!memory || !size)
			EXPECT_EQ(0, info.out_flags & UIOMMU_REGION_MMAP);
		if (memory && size >= page_size())
			EXPECT_NE(0, info.out_flags & UIOMMU_REGION_MMAP);
		EXPECT_EQ(info.out_flags & UIOMMU_REGION_MMAP &&
			  flags & RESOURCE_PREFETCH,
			  !!(info.out_flags & UIOMMU_REGION_WC));
	}
	device_close(&dev);
	log_close(&dev.log);
}

TEST_F_TIMEOUT(region, info_and_bar_len_are_right, TEST_SECONDS)
{
	static const char *const names[] = {
		"UIOMMU_VF", "UIOMMU_EDU", "UIOMMU_NVME", "UIOMMU_E1000E",
		"UIOMMU_IGB", "UIOMMU_VIRTIO",
		"UIOMMU_IVSHMEM", "UIOMMU_TESTDEV",
	};
	size_t i;

	device_close(&self->dev);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (getenv(names[i]))
			expect_regions(_metadata, getenv(names[i]));
}

TEST_F_TIMEOUT(region, config_info, TEST_SECONDS)
{
	struct uiommu_device_info device;
	struct uiommu_region_info info;

	ASSERT_EQ(0, device_info(self->dev.fd, &device));
	ASSERT_EQ(0, region_info(self->dev.fd, VFIO_PCI_CONFIG_RESOURCE,
				 &info));
	EXPECT_EQ(device.out_config_size, info.out_size);
	EXPECT_EQ(VFIO_PCI_CONFIG_OFF, info.out_offset);
	EXPECT_EQ(UIOMMU_REGION_READ | UIOMMU_REGION_WRITE, info.out_flags);
}

/* Spaces that are none */
TEST_F_TIMEOUT(region, unknown_spaces, TEST_SECONDS)
{
	/* 8 to 13 are for mmap() alone. */
	static const unsigned int none[] = {
		7, 8, 13, 14, 16, 17, 255, 0x7fffff,
	};
	struct uiommu_region_info info;
	__u32 val = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(none); i++) {
		EXPECT_EQ(-EINVAL, region_info(self->dev.fd, none[i], &info)) {
			TH_LOG("space %u", none[i]);
		}
		EXPECT_EQ(-EINVAL, bar_len(self->dev.fd, none[i]));
		EXPECT_EQ(-EINVAL, space_read(self->dev.fd, none[i], 0, &val,
					      4));
		EXPECT_EQ(-EINVAL, space_write(self->dev.fd, none[i], 0, &val,
					       4));
		if (none[i] >= VFIO_PCI_WC_RESOURCE(0) &&
		    none[i] <= VFIO_PCI_WC_RESOURCE(5))
			continue;
		EXPECT_EQ(NULL, space_mmap(self->dev.fd, none[i], 0,
					   page_size()));
		EXPECT_EQ(EINVAL, errno);
	}
	EXPECT_EQ(-EINVAL, region_info(self->dev.fd, UINT32_MAX, &info));
	EXPECT_EQ(-EINVAL, bar_len(self->dev.fd, UINT32_MAX));
	EXPECT_EQ(-EINVAL, bar_len(self->dev.fd, VFIO_PCI_CONFIG_RESOURCE));
	/* Config space and ROM are for read() and write() alone. */
	EXPECT_EQ(NULL, space_mmap(self->dev.fd, VFIO_PCI_CONFIG_RESOURCE, 0,
				   page_size()));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(NULL, space_mmap(self->dev.fd, VFIO_PCI_ROM_RESOURCE, 0,
				   page_size()));
	EXPECT_EQ(EINVAL, errno);
}

/* Of the 2010 device BARs that are not there, each kind of access */
TEST_F_TIMEOUT(region, absent_bars, TEST_SECONDS)
{
	struct uiommu_region_info info;
	__u32 val = 0;
	unsigned int i, found = 0;

	for (i = 0; i < 6; i++) {
		ASSERT_EQ(0, region_info(self->dev.fd, i, &info));
		if (info.out_size)
			continue;
		found++;
		EXPECT_EQ(-EINVAL, space_read(self->dev.fd, i, 0, &val, 4));
		EXPECT_EQ(-EINVAL, space_write(self->dev.fd, i, 0, &val, 4));
		EXPECT_EQ(NULL, space_mmap(self->dev.fd, i, 0, page_size()));
		EXPECT_EQ(EINVAL, errno);
	}
	if (!found)
		SKIP(return, "this device has all BARs");
}

TEST_F_TIMEOUT(region, end_of_a_bar, TEST_SECONDS)
{
	const __u64 size = self->bar.out_size;
	const unsigned int bar = self->bar.index;
	unsigned char buf[64];

	EXPECT_EQ(4, space_read(self->dev.fd, bar, size - 4, buf, 4));
	/* Short at the end, nothing beyond it; no write there */
	EXPECT_EQ(4, space_read(self->dev.fd, bar, size - 4, buf, 64));
	EXPECT_EQ(0, space_read(self->dev.fd, bar, size, buf, 4));
	EXPECT_EQ(0, space_read(self->dev.fd, bar, size + 4, buf, 4));
	EXPECT_EQ(0, space_read(self->dev.fd, bar, (1ULL << 40) - 4, buf, 4));
	EXPECT_EQ(-EINVAL, space_write(self->dev.fd, bar, size, buf, 4));
	EXPECT_EQ(-EINVAL, space_write(self->dev.fd, bar, size + 4, buf, 4));
	EXPECT_EQ(-EINVAL, space_write(self->dev.fd, bar, (1ULL << 40) - 4,
				       buf, 4));
	EXPECT_EQ(0, space_read(self->dev.fd, bar, 0, buf, 0));
	EXPECT_EQ(0, space_write(self->dev.fd, bar, 0, buf, 0));
}

TEST_F_TIMEOUT(region, bad_buffers, TEST_SECONDS)
{
	const unsigned int bar = self->bar.index;
	char *mem = pages_alloc(2);

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, munmap(mem + page_size(), page_size()));
	EXPECT_EQ(-EFAULT, space_read(self->dev.fd, bar, 0, NULL, 4));
	EXPECT_EQ(-EFAULT, space_write(self->dev.fd, bar, 0, NULL, 4));
	EXPECT_EQ(-EFAULT, space_read(self->dev.fd, bar, 0, (void *)-4096L,
				      4));
	EXPECT_EQ(-EFAULT, space_read(self->dev.fd, bar, 0,
				      mem + page_size(), 4));
	/* What fits may be told as a short count, never as success. */
	EXPECT_GT(16, space_read(self->dev.fd, bar, 0,
				 mem + page_size() - 8, 16));
}

/* The file position works as that of a file. */
TEST_F_TIMEOUT(region, seek_and_read, TEST_SECONDS)
{
	__u32 ids = config_read(self->dev.fd, 0, 4), val = 0;
	__u16 half[2];
	struct iovec vec[2] = {
		{ half, 2 },
		{ half + 1, 2 },
	};

	EXPECT_EQ(VFIO_PCI_CONFIG_OFF, lseek(self->dev.fd, VFIO_PCI_CONFIG_OFF,
					     SEEK_SET));
	EXPECT_EQ(4, read(self->dev.fd, &val, 4));
	EXPECT_EQ(ids, val);
	EXPECT_EQ(VFIO_PCI_CONFIG_OFF + 4, lseek(self->dev.fd, 0, SEEK_CUR));
	EXPECT_EQ(VFIO_PCI_CONFIG_OFF, lseek(self->dev.fd, -4, SEEK_CUR));
	EXPECT_EQ(4, readv(self->dev.fd, vec, 2));
	EXPECT_EQ(ids, half[0] | (__u32)half[1] << 16);
	/* pread() leaves it. */
	config_read(self->dev.fd, 0x10, 4);
	EXPECT_EQ(VFIO_PCI_CONFIG_OFF + 4, lseek(self->dev.fd, 0, SEEK_CUR));
}

TEST_F_TIMEOUT(region, mmap_checks, TEST_SECONDS)
{
	const __u64 off = self->bar.out_offset, size = self->bar.out_size;
	const __u64 len = (size + page_size() - 1) & -page_size();
	const int rw = PROT_READ | PROT_WRITE;
	int fd = self->dev.fd;
	char *mem;

	EXPECT_EQ(MAP_FAILED, mmap(NULL, len, rw, MAP_PRIVATE, fd, off));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd,
				   off));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, len + page_size(), rw, MAP_SHARED, fd,
				   off));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page_size(), rw, MAP_SHARED, fd,
				   off + len));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page_size(), rw, MAP_SHARED, fd,
				   off + (1ULL << 40) - page_size()));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, len + page_size(), rw, MAP_SHARED, fd,
				   off + len - page_size()));
	EXPECT_EQ(EINVAL, errno);

	mem = mmap(NULL, len, rw, MAP_SHARED, fd, off);
	ASSERT_NE(MAP_FAILED, mem);
	/* It does not grow beyond the BAR. */
	EXPECT_EQ(MAP_FAILED, mremap(mem, len, len + page_size(),
				     MREMAP_MAYMOVE));
	EXPECT_EQ(0, munmap(mem, len));
	mem = mmap(NULL, page_size(), rw, MAP_SHARED, fd,
		   off + len - page_size());
	ASSERT_NE(MAP_FAILED, mem);
	EXPECT_EQ(0, munmap(mem, page_size()));
	mem = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, off);
	ASSERT_NE(MAP_FAILED, mem);
	EXPECT_EQ(0, munmap(mem, len));
}

/* A file opened for reading gives no writable mapping. */
TEST_F_TIMEOUT(region, mmap_of_a_read_only_file, TEST_SECONDS)
{
	const __u64 off = self->bar.out_offset;
	int fd = node_open(self->dev.bdf, O_RDONLY);
	char *mem;

	ASSERT_LE(0, fd);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page_size(), PROT_READ | PROT_WRITE,
				   MAP_SHARED, fd, off));
	EXPECT_EQ(EACCES, errno);
	mem = mmap(NULL, page_size(), PROT_READ, MAP_SHARED, fd, off);
	ASSERT_NE(MAP_FAILED, mem) {
		TH_LOG("error %d", errno);
	}
	EXPECT_EQ(-1, mprotect(mem, page_size(), PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-EBADF, space_write(fd, self->bar.index, 0, "", 1));
	close(fd);
}

/*
 * edu: registers that answer, and the gate
 */
FIXTURE(edu)
{
	struct device dev;
};

FIXTURE_SETUP(edu)
{
	self->dev.fd = -1;
	self->dev.space = -1;
	if (!getenv("UIOMMU_EDU"))
		SKIP(return, "no edu device");
	ASSERT_EQ(0, device_open(&self->dev, getenv("UIOMMU_EDU")));
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, device_map_bar(&self->dev, 0));
}

FIXTURE_TEARDOWN(edu)
{
	device_close(&self->dev);
	expect_quiet(_metadata, &self->dev.log);
}

static __u32 edu_pread(struct device *dev, unsigned int reg)
{
	__u32 val = 0;

	if (space_read(dev->fd, 0, reg, &val, 4) != 4)
		return 0;
	return val;
}

TEST_F_TIMEOUT(edu, read_write_and_mmap_reach_the_same, TEST_SECONDS)
{
	__u32 val = 0x12345678;

	EXPECT_EQ(EDU_ID_VALUE, edu_pread(&self->dev, EDU_ID));
	EXPECT_EQ(EDU_ID_VALUE, reg_read(&self->dev, EDU_ID));
	/* It answers with the inverted value. */
	EXPECT_EQ(4, space_write(self->dev.fd, 0, EDU_LIVENESS, &val, 4));
	EXPECT_EQ(~0x12345678U, edu_pread(&self->dev, EDU_LIVENESS));
	EXPECT_EQ(~0x12345678U, reg_read(&self->dev, EDU_LIVENESS));
	reg_write(&self->dev, EDU_LIVENESS, 0x0badcafe);
	EXPECT_EQ(~0x0badcafeU, edu_pread(&self->dev, EDU_LIVENESS));
	/* Eight bytes where the device takes eight */
	reg_write64(&self->dev, EDU_DMA_FROM, 0x1122334455667788);
	EXPECT_EQ(0x1122334455667788, reg_read64(&self->dev, EDU_DMA_FROM));
}

TEST_F_TIMEOUT(edu, eight_bytes_at_once, TEST_SECONDS)
{
	__u64 val = 0x8877665544332211, back = 0;
	__u32 half[2] = {};

	/* Two halves would leave the upper one in the register, not both. */
	EXPECT_EQ(8, space_write(self->dev.fd, 0, EDU_DMA_FROM, &val, 8));
	EXPECT_EQ(val, reg_read64(&self->dev, EDU_DMA_FROM));
	EXPECT_EQ(8, space_read(self->dev.fd, 0, EDU_DMA_FROM, &back, 8));
	EXPECT_EQ(val, back);
	/* Two registers of four bytes are read as such. */
	EXPECT_EQ(8, space_read(self->dev.fd, 0, EDU_ID, half, 8));
}

TEST_F_TIMEOUT(edu, gated_after_unset, TEST_SECONDS)
{
	__u32 val;

	reg_write(&self->dev, EDU_LIVENESS, 0x600df00d);
	EXPECT_EQ(EDU_ID_VALUE, reg_read(&self->dev, EDU_ID));
	ASSERT_EQ(0, domain_unset(self->dev.fd));
	EXPECT_EQ(UINT32_MAX, reg_read(&self->dev, EDU_ID));
	EXPECT_EQ(UINT64_MAX, reg_read64(&self->dev, EDU_DMA_FROM));
	EXPECT_TRUE(memory_is(self->dev.bar + 0x1000, 0xff, page_size()));
	EXPECT_EQ(-EINVAL, space_read(self->dev.fd, 0, EDU_ID, &val, 4));
	EXPECT_EQ(-EINVAL, space_write(self->dev.fd, 0, EDU_ID, &val, 4));
	EXPECT_EQ(NULL, space_mmap(self->dev.fd, 0, 0, page_size()));
	EXPECT_EQ(EINVAL, errno);
	/* Writes go nowhere, and nobody is killed for them. */
	reg_write(&self->dev, EDU_LIVENESS, 0xbad);

	ASSERT_EQ(0, device_attach(&self->dev));
	EXPECT_EQ(EDU_ID_VALUE, reg_read(&self->dev, EDU_ID));
	EXPECT_EQ(~0x600df00dU, reg_read(&self->dev, EDU_LIVENESS));
	reg_write(&self->dev, EDU_LIVENESS, 1);
	EXPECT_EQ(~1U, reg_read(&self->dev, EDU_LIVENESS));
}

/* Pages that were never touched before are gated, too. */
TEST_F_TIMEOUT(edu, gated_when_first_touched, TEST_SECONDS)
{
	ASSERT_EQ(0, domain_unset(self->dev.fd));
	EXPECT_EQ(UINT32_MAX, reg_read(&self->dev, EDU_ID));
	reg_write(&self->dev, EDU_LIVENESS, 7);
	ASSERT_EQ(0, device_attach(&self->dev));
	EXPECT_EQ(EDU_ID_VALUE, reg_read(&self->dev, EDU_ID));
}

/* MEMORY in the COMMAND register is a gate of its own. */
TEST_F_TIMEOUT(edu, gated_without_memory_decoding, TEST_SECONDS)
{
	__u32 val = 0;

	reg_write(&self->dev, EDU_LIVENESS, 0x1111);
	ASSERT_EQ(0, config_command(self->dev.fd, PCI_COMMAND_MEMORY, 0));
	EXPECT_EQ(UINT32_MAX, reg_read(&self->dev, EDU_ID));
	EXPECT_EQ(4, space_read(self->dev.fd, 0, EDU_ID, &val, 4));
	EXPECT_EQ(UINT32_MAX, val);
	/* Swallowed with full count */
	EXPECT_EQ(4, space_write(self->dev.fd, 0, EDU_LIVENESS, &val, 4));
	reg_write(&self->dev, EDU_LIVENESS, 0x2222);
	ASSERT_EQ(0, config_command(self->dev.fd, 0, PCI_COMMAND_MEMORY));
	EXPECT_EQ(EDU_ID_VALUE, reg_read(&self->dev, EDU_ID));
	EXPECT_EQ(~0x1111U, reg_read(&self->dev, EDU_LIVENESS));
	EXPECT_EQ(EDU_ID_VALUE, edu_pread(&self->dev, EDU_ID));
}

/* What a process writes into a gated page is seen by no other file. */
TEST_F_TIMEOUT(edu, gated_page_is_private, TEST_SECONDS)
{
	int second = node_open(self->dev.bdf, O_RDWR);
	__u32 *other;

	ASSERT_LE(0, second);
	other = space_mmap(second, 0, 0, page_size());
	ASSERT_NE(NULL, other);
	ASSERT_EQ(0, domain_unset(self->dev.fd));
	EXPECT_EQ(UINT32_MAX, get_once(other));
	reg_write(&self->dev, EDU_ID, 0x5ec4e7);
	EXPECT_EQ(UINT32_MAX, get_once(other));
	munmap(other, page_size());
	close(second);
}

struct toucher {
	struct device *dev;
	int stop;
	unsigned long good;
	unsigned long gated;
	unsigned long wrong;
};

static void *touch(void *arg)
{
	struct toucher *t = arg;

	while (!get_once(&t->stop)) {
		__u32 val = reg_read(t->dev, EDU_ID);

		if (val == EDU_ID_VALUE)
			t->good++;
		else if (val == UINT32_MAX)
			t->gated++;
		else
			t->wrong++;
	}
	return NULL;
}

/* A thread reads all the time while the device comes and goes. */
TEST_F_TIMEOUT(edu, set_and_unset_under_access, TEST_SECONDS)
{
	struct toucher t = { .dev = &self->dev };
	pthread_t thread;
	int i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, touch, &t));
	for (i = 0; i < 50; i++) {
		EXPECT_EQ(0, domain_unset(self->dev.fd));
		usleep(1000);
		EXPECT_EQ(0, device_attach(&self->dev));
		usleep(1000);
	}
	set_once(&t.stop, 1);
	pthread_join(thread, NULL);
	EXPECT_LT(0, t.good);
	EXPECT_LT(0, t.gated);
	EXPECT_EQ(0, t.wrong);
}

TEST_F_TIMEOUT(edu, reset_keeps_mappings, TEST_SECONDS)
{
	int i;

	for (i = 0; i < 3; i++) {
		EXPECT_EQ(EDU_ID_VALUE, reg_read(&self->dev, EDU_ID));
		ASSERT_EQ(0, device_reset(self->dev.fd));
		EXPECT_EQ(EDU_ID_VALUE, reg_read(&self->dev, EDU_ID));
		EXPECT_EQ(EDU_ID_VALUE, edu_pread(&self->dev, EDU_ID));
	}
}

/* The mapping keeps the file: closing the fd changes nothing for it. */
TEST_F_TIMEOUT(edu, mapping_outlives_the_fd, TEST_SECONDS)
{
	close(self->dev.fd);
	self->dev.fd = -1;
	EXPECT_EQ(EDU_ID_VALUE, reg_read(&self->dev, EDU_ID));
	reg_write(&self->dev, EDU_LIVENESS, 5);
	EXPECT_EQ(~5U, reg_read(&self->dev, EDU_LIVENESS));
}

/*
 * ivshmem: BAR 2 is memory, prefetchable and 64 bits wide
 */
FIXTURE(memory_bar)
{
	struct device dev;
	__u64 size;
};

FIXTURE_SETUP(memory_bar)
{
	struct uiommu_region_info info;

	self->dev.fd = -1;
	self->dev.space = -1;
	if (!getenv("UIOMMU_IVSHMEM"))
		SKIP(return, "no ivshmem device");
	ASSERT_EQ(0, device_open(&self->dev, getenv("UIOMMU_IVSHMEM")));
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, region_info(self->dev.fd, 2, &info));
	self->size = info.out_size;
	ASSERT_LE(1024 * 1024, self->size);
}

FIXTURE_TEARDOWN(memory_bar)
{
	device_close(&self->dev);
	expect_quiet(_metadata, &self->dev.log);
}

/* Every offset and count, so every way to split an access into aligned ones */
TEST_F_TIMEOUT(memory_bar, odd_offsets_and_counts, TEST_SECONDS)
{
	unsigned char *bar = space_mmap(self->dev.fd, 2, 0, page_size());
	unsigned char buf[64], back[64];
	size_t off, len, i;

	ASSERT_NE(NULL, bar);
	for (off = 0; off < 9; off++) {
		for (len = 1; len < 34; len++) {
			memset(bar, 0, 64);
			for (i = 0; i < len; i++)
				buf[i] = off * 37 + len * 11 + i + 1;
			ASSERT_EQ(len, space_write(self->dev.fd, 2, off, buf,
						   len));
			/* Exactly these bytes, and none beside them */
			EXPECT_EQ(0, memcmp(bar + off, buf, len)) {
				TH_LOG("write %zu at %zu", len, off);
			}
			EXPECT_TRUE(memory_is(bar, 0, off));
			EXPECT_TRUE(memory_is(bar + off + len, 0,
					      64 - off - len));
			memset(back, 0, sizeof(back));
			ASSERT_EQ(len, space_read(self->dev.fd, 2, off, back,
						  len));
			EXPECT_EQ(0, memcmp(back, buf, len)) {
				TH_LOG("read %zu at %zu", len, off);
			}
			EXPECT_TRUE(memory_is(back + len, 0,
					      sizeof(back) - len));
		}
	}
}

TEST_F_TIMEOUT(memory_bar, many_bytes, TEST_SECONDS)
{
	const size_t len = 256 * 1024 + 3;
	unsigned char *buf = pages_alloc(65), *back = pages_alloc(65);
	size_t i;

	ASSERT_NE(NULL, buf);
	ASSERT_NE(NULL, back);
	for (i = 0; i < len; i++)
		buf[i] = i * 31 + i / 251;
	EXPECT_EQ(len, space_write(self->dev.fd, 2, 4093, buf, len));
	EXPECT_EQ(len, space_read(self->dev.fd, 2, 4093, back, len));
	EXPECT_EQ(0, memcmp(buf, back, len));
}

TEST_F_TIMEOUT(memory_bar, short_at_the_end, TEST_SECONDS)
{
	unsigned char buf[64] = {}, back[64];
	size_t i;

	for (i = 0; i < 32; i++)
		buf[i] = 200 + i;
	EXPECT_EQ(7, space_write(self->dev.fd, 2, self->size - 7, buf, 32));
	memset(back, 0, sizeof(back));
	EXPECT_EQ(7, space_read(self->dev.fd, 2, self->size - 7, back, 64));
	EXPECT_EQ(0, memcmp(buf, back, 7));
	EXPECT_EQ(0, back[7]);
	EXPECT_EQ(1, space_read(self->dev.fd, 2, self->size - 1, back, 64));
	EXPECT_EQ(buf[6], back[0]);
	EXPECT_EQ(0, space_read(self->dev.fd, 2, self->size, back, 64));
}

/* The far end: no offset is cut to 32 bits, the base address neither. */
TEST_F_TIMEOUT(memory_bar, high_offsets, TEST_SECONDS)
{
	__u64 pos[] = {
		0, self->size / 2, self->size - page_size(),
		self->size > 4 * GIB ? 4 * GIB : self->size / 4,
	};
	__u64 val, *bar;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(pos); i++) {
		val = 0xa5a5a5a500000000 + i;
		EXPECT_EQ(8, space_write(self->dev.fd, 2, pos[i] + 64, &val,
					 8));
	}
	for (i = 0; i < ARRAY_SIZE(pos); i++) {
		bar = space_mmap(self->dev.fd, 2, pos[i], page_size());
		ASSERT_NE(NULL, bar);
		EXPECT_EQ(0xa5a5a5a500000000 + i, bar[8]) {
			TH_LOG("at 0x%llx", (unsigned long long)pos[i]);
		}
		bar[9] = 0x5a5a000000000000 + i;
		munmap(bar, page_size());
	}
	for (i = 0; i < ARRAY_SIZE(pos); i++) {
		EXPECT_EQ(8, space_read(self->dev.fd, 2, pos[i] + 72, &val,
					8));
		EXPECT_EQ(0x5a5a000000000000 + i, val);
		for (j = 0; j < i; j++)
			EXPECT_NE(pos[i], pos[j]);
	}
}

TEST_F_TIMEOUT(memory_bar, length_beyond_32_bits, TEST_SECONDS)
{
	if (self->size < 4 * GIB)
		SKIP(return, "BAR 2 is smaller than 4 GiB");
	EXPECT_EQ(-EOVERFLOW, bar_len(self->dev.fd, 2));
}

/* Touch all of a mapping: the borders of huge pages hold. */
TEST_F_TIMEOUT(memory_bar, whole_bar_mapped, TEST_SECONDS)
{
	const __u64 len = self->size > GIB ? GIB : self->size;
	const __u64 step = 2 * 1024 * 1024;
	__u64 *bar = space_mmap(self->dev.fd, 2, 0, len);
	__u64 pos, val;

	ASSERT_NE(NULL, bar);
	for (pos = 0; pos < len; pos += step) {
		bar[pos / 8] = pos ^ 0x77;
		bar[(pos + step - 8) / 8] = pos ^ 0x88;
	}
	for (pos = 0; pos < len; pos += step) {
		ASSERT_EQ(8, space_read(self->dev.fd, 2, pos, &val, 8));
		EXPECT_EQ(pos ^ 0x77, val);
		ASSERT_EQ(8, space_read(self->dev.fd, 2, pos + step - 8, &val,
					8));
		EXPECT_EQ(pos ^ 0x88, val);
	}
	ASSERT_EQ(0, domain_unset(self->dev.fd));
	EXPECT_EQ(UINT64_MAX, get_once(bar));
	EXPECT_EQ(UINT64_MAX, get_once(bar + len / 8 - 1));
	munmap(bar, len);
}

/* Where a BAR is, 0 when this cannot be known */
static unsigned long long bar_start(const char *bdf, unsigned int bar)
{
	unsigned long long first = 0;
	char text[4096], *line = text;

	if (pci_attr_read(bdf, "resource", text, sizeof(text)) <= 0)
		return 0;
	while (line && bar--) {
		line = strchr(line, '\n');
		line += !!line;
	}
	if (line)
		sscanf(line, "%llx", &first);
	return first;
}

/* How many times is a page known as write-combining? -1 when nobody says */
static int times_combining(const char *bdf, unsigned int bar, __u64 pos)
{
	unsigned long long first, end, at = bar_start(bdf, bar) + pos;
	char line[256];
	int num = 0;
	FILE *f;

	f = fopen(MEMTYPES, "r");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "PAT: [mem %llx-%llx]", &first, &end) == 2 &&
		    first <= at && at < end && strstr(line, "write-combining"))
			num++;
	fclose(f);
	return num;
}

#define EXPECT_COMBINING(n, dev, pos) do {				\
	int _num = times_combining((dev)->bdf, 2, pos);			\
									\
	if (_num >= 0)							\
		EXPECT_EQ(n, _num);					\
} while (0)

TEST_F_TIMEOUT(memory_bar, write_combining, TEST_SECONDS)
{
	const size_t len = 4 * page_size();
	const __u64 pos = 8 * page_size();
	__u64 *wc, *uc, val;
	size_t i;

	/* The kernel maps all of it for read() and write(), until it may not. */
	val = 0x1122334455667788ULL;
	EXPECT_EQ(8, space_write(self->dev.fd, 2, pos, &val, 8));
	wc = space_mmap(self->dev.fd, VFIO_PCI_WC_RESOURCE(2), pos, len);
	ASSERT_NE(NULL, wc);
	EXPECT_EQ(val, get_once(wc));
	EXPECT_COMBINING(1, &self->dev, pos);
	EXPECT_COMBINING(1, &self->dev, pos + len - 1);
	EXPECT_COMBINING(0, &self->dev, pos - 1);
	EXPECT_COMBINING(0, &self->dev, pos + len);
	for (i = 0; i < len / 8; i++)
		set_once(wc + i, i ^ 0x5a5a);

	/* Other pages are read and written as ever. */
	val = 99;
	EXPECT_EQ(8, space_write(self->dev.fd, 2, pos + len, &val, 8));
	EXPECT_EQ(8, space_write(self->dev.fd, 2, pos - 8, &val, 8));
	val = 0;
	EXPECT_EQ(8, space_read(self->dev.fd, 2, pos + len, &val, 8));
	EXPECT_EQ(99, val);
	val = 0;
	EXPECT_EQ(8, space_read(self->dev.fd, 2, pos - 8, &val, 8));
	EXPECT_EQ(99, val);

	munmap(wc, len);
	EXPECT_COMBINING(0, &self->dev, pos);
	uc = space_mmap(self->dev.fd, 2, pos, len);
	ASSERT_NE(NULL, uc);
	for (i = 0; i < len / 8; i++)
		if (get_once(uc + i) != (i ^ 0x5a5a))
			break;
	EXPECT_EQ(len / 8, i);
	EXPECT_EQ(8, space_read(self->dev.fd, 2, pos, &val, 8));
	EXPECT_EQ(0x5a5a, val);
	munmap(uc, len);
	if (times_combining(self->dev.bdf, 2, pos) < 0)
		SKIP(return, "nobody says how memory is cached");
}

/* A page is never mapped in both ways. */
TEST_F_TIMEOUT(memory_bar, one_way_at_a_time, TEST_SECONDS)
{
	const __u64 page = page_size(), pos = 8 * page;
	const unsigned int wc = VFIO_PCI_WC_RESOURCE(2);
	char *a, *b, *c, buf[16] = "";
	int fd = self->dev.fd;

	a = space_mmap(fd, wc, pos, 2 * page);
	ASSERT_NE(NULL, a);
	EXPECT_EQ(NULL, space_mmap(fd, 2, pos + page, page));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_EQ(NULL, space_mmap(fd, 2, pos - page, 4 * page));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_EQ(-EBUSY, space_read(fd, 2, pos, buf, 4));
	EXPECT_EQ(-EBUSY, space_write(fd, 2, pos + 2 * page - 1, buf, 1));
	/* Up to there */
	EXPECT_EQ(8, space_read(fd, 2, pos - 8, buf, 16));
	/* In the same way, and beside it */
	b = space_mmap(fd, wc, pos + page, 2 * page);
	ASSERT_NE(NULL, b);
	c = space_mmap(fd, 2, pos - page, page);
	ASSERT_NE(NULL, c);
	EXPECT_EQ(NULL, space_mmap(fd, wc, pos - page, page));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_COMBINING(2, &self->dev, pos + page);
	set_once(a + page, 17);
	EXPECT_EQ(17, get_once(b));
	munmap(a, 2 * page);
	EXPECT_COMBINING(1, &self->dev, pos + page);
	EXPECT_EQ(-EBUSY, space_read(fd, 2, pos + page, buf, 4));
	EXPECT_EQ(4, space_read(fd, 2, pos, buf, 4));
	munmap(b, 2 * page);
	munmap(c, page);
	a = space_mmap(fd, wc, pos - page, 2 * page);
	EXPECT_NE(NULL, a);
	munmap(a, 2 * page);
	EXPECT_EQ(4, space_read(fd, 2, pos, buf, 4));
}

/* Split, moved, and copied by fork(): until the last part of it goes */
TEST_F_TIMEOUT(memory_bar, combining_as_long_as_it_is_mapped, TEST_SECONDS)
{
	const __u64 page = page_size(), pos = 16 * page;
	const unsigned int wc = VFIO_PCI_WC_RESOURCE(2);
	int fd = self->dev.fd, status;
	char *a, *b;
	pid_t pid;

	a = space_mmap(fd, wc, pos, 4 * page);
	ASSERT_NE(NULL, a);
	EXPECT_EQ(0, munmap(a + page, page));
	EXPECT_EQ(NULL, space_mmap(fd, 2, pos + page, page));
	EXPECT_EQ(EBUSY, errno);
	pid = fork();
	if (!pid) {
		set_once(a, 23);
		pause();
	}
	ASSERT_LT(0, pid);
	b = mremap(a, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, a + page);
	EXPECT_EQ(a + page, b);
	while (get_once(b) != 23)
		sleep_ms(1);
	EXPECT_EQ(0, munmap(a + page, 3 * page));
	EXPECT_COMBINING(1, &self->dev, pos);
	EXPECT_EQ(NULL, space_mmap(fd, 2, pos, page));
	kill(pid, SIGKILL);
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_COMBINING(0, &self->dev, pos);
	a = space_mmap(fd, 2, pos, 4 * page);
	EXPECT_NE(NULL, a);
	EXPECT_EQ(23, get_once(a));
	munmap(a, 4 * page);
}

/* Behind a closed gate, and when the driver has to go */
TEST_F_TIMEOUT(memory_bar, combining_and_the_gate, TEST_SECONDS)
{
	const __u64 page = page_size(), pos = 16 * page;
	__u64 *wc;

	wc = space_mmap(self->dev.fd, VFIO_PCI_WC_RESOURCE(2), pos, page);
	ASSERT_NE(NULL, wc);
	set_once(wc, 31);
	ASSERT_EQ(0, domain_unset(self->dev.fd));
	EXPECT_EQ(UINT64_MAX, get_once(wc));
	EXPECT_EQ(NULL, space_mmap(self->dev.fd, VFIO_PCI_WC_RESOURCE(2),
				   pos + page, page));
	EXPECT_EQ(EINVAL, errno);
	ASSERT_EQ(0, domain_set(self->dev.fd, self->dev.space));
	EXPECT_EQ(31, get_once(wc));
	if (geteuid())
		SKIP(return, "to unbind needs root");
	ASSERT_EQ(0, pci_unbind(self->dev.bdf));
	EXPECT_EQ(UINT64_MAX, get_once(wc));
	EXPECT_COMBINING(0, &self->dev, pos);
	ASSERT_EQ(0, pci_bind(self->dev.bdf));
	device_close(&self->dev);
	log_close(&self->dev.log);
	ASSERT_EQ(0, device_open(&self->dev, self->dev.bdf));
	ASSERT_EQ(0, device_attach(&self->dev));
	/* The old mapping says nothing of the new device. */
	EXPECT_NE(NULL, space_mmap(self->dev.fd, 2, pos, page));
	EXPECT_EQ(UINT64_MAX, get_once(wc));
	munmap(wc, page);
}

static void *map_both_ways(void *arg)
{
	int *args = arg, fd = args[1], i;
	unsigned int space = 2;
	__u64 begin = now_ms();
	char *mem, buf[8];
	long done = 0;

	if (__atomic_fetch_add(args, 1, __ATOMIC_RELAXED) & 1)
		space = VFIO_PCI_WC_RESOURCE(2);
	/* The others may be faster, up to their end. */
	for (i = 0; now_ms() < begin + (done ? 1000 : 60000); i++) {
		mem = space_mmap(fd, space, (i % 3) * page_size(),
				 2 * page_size());
		if (mem) {
			done += get_once(mem) != get_once(mem + 1) || 1;
			munmap(mem, 2 * page_size());
		}
		space_read(fd, 2, page_size(), buf, sizeof(buf));
	}
	return (void *)done;
}

/* Many threads, in both ways: what is mapped last is as it should be. */
TEST_F_TIMEOUT(memory_bar, both_ways_at_once, TEST_SECONDS)
{
	int arg[2] = { 0, self->dev.fd };
	pthread_t threads[4];
	void *done;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(threads); i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, map_both_ways,
					    arg));
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		pthread_join(threads[i], &done);
		EXPECT_LT(0, (long)done);
	}
	EXPECT_COMBINING(0, &self->dev, page_size());
}

/* Where reads have effects, or where the kernel looks, too */
TEST_F_TIMEOUT(region, combining_is_for_prefetchable_memory, TEST_SECONDS)
{
	static const char *const names[] = {
		"UIOMMU_EDU", "UIOMMU_NVME", "UIOMMU_VF", "UIOMMU_TESTDEV",
	};
	struct uiommu_region_info info;
	unsigned int i, bar, cap, table;
	struct device dev;
	void *mem;

	device_close(&self->dev);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (!getenv(names[i]))
			continue;
		ASSERT_EQ(0, device_open(&dev, getenv(names[i])));
		ASSERT_EQ(0, device_attach(&dev));
		cap = config_cap(dev.fd, PCI_CAP_ID_MSIX);
		table = cap ? config_read(dev.fd, cap + PCI_MSIX_TABLE, 4) : 7;
		for (bar = 0; bar < 6; bar++) {
			bool wc;

			ASSERT_EQ(0, region_info(dev.fd, bar, &info));
			wc = info.out_flags & UIOMMU_REGION_WC &&
			     ((table & PCI_MSIX_TABLE_BIR) != bar ||
			      table >= page_size());
			mem = space_mmap(dev.fd, VFIO_PCI_WC_RESOURCE(bar), 0,
					 page_size());
			if (!mem)
				EXPECT_EQ(EINVAL, errno);
			EXPECT_EQ(wc, !!mem) {
				TH_LOG("%s BAR %u", names[i], bar);
			}
			if (mem)
				munmap(mem, page_size());
		}
		device_close(&dev);
		log_close(&dev.log);
	}
}

/*
 * The buffer of read() and write() is a mapping of the same BAR, not touched
 * before, so that the copy itself faults it in. It may fail; it must not hang.
 */
TEST_F_TIMEOUT(memory_bar, buffer_in_the_same_bar, TEST_SECONDS)
{
	const size_t len = 4 * page_size();
	unsigned char *bar;
	ssize_t ret;
	int i;

	for (i = 0; i < 20; i++) {
		bar = space_mmap(self->dev.fd, 2, 0, len);
		ASSERT_NE(NULL, bar);
		ret = space_write(self->dev.fd, 2, 8 * page_size(), bar, len);
		EXPECT_TRUE(ret == len || ret == -EFAULT);
		munmap(bar, len);
		bar = space_mmap(self->dev.fd, 2, 0, len);
		ASSERT_NE(NULL, bar);
		ret = space_read(self->dev.fd, 2, 8 * page_size(), bar, len);
		EXPECT_TRUE(ret == len || ret == -EFAULT);
		munmap(bar, len);
		/* Onto itself */
		bar = space_mmap(self->dev.fd, 2, 0, len);
		ASSERT_NE(NULL, bar);
		ret = space_write(self->dev.fd, 2, 0, bar, len);
		EXPECT_TRUE(ret == len || ret == -EFAULT);
		munmap(bar, len);
		/* Config space the same way */
		bar = space_mmap(self->dev.fd, 2, 0, len);
		ASSERT_NE(NULL, bar);
		ret = space_read(self->dev.fd, VFIO_PCI_CONFIG_RESOURCE, 0,
				 bar, 64);
		EXPECT_TRUE(ret == 64 || ret == -EFAULT);
		munmap(bar, len);
	}
}

struct gate_swinger {
	struct device *dev;
	int stop;
	int failed;
	unsigned int swings;
};

static void *swing_gate(void *arg)
{
	struct gate_swinger *s = arg;

	while (!get_once(&s->stop)) {
		if (config_command(s->dev->fd, PCI_COMMAND_MEMORY, 0) ||
		    config_command(s->dev->fd, 0, PCI_COMMAND_MEMORY))
			s->failed++;
		s->swings++;
	}
	return NULL;
}

/* The same while the gate closes and opens: readers, faults and writers meet. */
TEST_F_TIMEOUT(memory_bar, buffer_in_the_same_bar_under_a_swinging_gate,
	       TEST_SECONDS)
{
	struct gate_swinger s = { .dev = &self->dev };
	const size_t len = 4 * page_size();
	unsigned char *bar;
	pthread_t thread;
	ssize_t ret;
	int i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, swing_gate, &s));
	for (i = 0; i < 300; i++) {
		bar = space_mmap(self->dev.fd, 2, 0, len);
		ASSERT_NE(NULL, bar);
		ret = space_write(self->dev.fd, 2, 8 * page_size(), bar, len);
		EXPECT_TRUE(ret == len || ret == -EFAULT);
		ret = space_read(self->dev.fd, 2, 8 * page_size(), bar, len);
		EXPECT_TRUE(ret == len || ret == -EFAULT);
		munmap(bar, len);
	}
	set_once(&s.stop, 1);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, s.failed);
	EXPECT_LT(1, s.swings);
}

/* A BAR smaller than a page is not mapped, as others may be in that page. */
TEST_F_TIMEOUT(memory_bar, less_than_a_page, TEST_SECONDS)
{
	struct uiommu_region_info info;
	__u32 val;

	ASSERT_EQ(0, region_info(self->dev.fd, 0, &info));
	ASSERT_LT(0, info.out_size);
	if (info.out_size >= page_size())
		SKIP(return, "BAR 0 is a page or more");
	EXPECT_EQ(4, space_read(self->dev.fd, 0, 0, &val, 4));
	if (!(info.out_flags & UIOMMU_REGION_MMAP)) {
		EXPECT_EQ(NULL, space_mmap(self->dev.fd, 0, 0, page_size()));
		EXPECT_EQ(EINVAL, errno);
	} else {
		void *bar = space_mmap(self->dev.fd, 0, 0, page_size());

		/* Only when the rest of the page is nobody's */
		EXPECT_NE(NULL, bar);
	}
}

/*
 * pci-testdev: BAR 1 is I/O ports
 */
#define TESTDEV_OFFSET		4
#define TESTDEV_DATA		8
#define TESTDEV_COUNT		12
#define TESTDEV_NAME		16

FIXTURE(io_bar)
{
	struct device dev;
};

FIXTURE_SETUP(io_bar)
{
	self->dev.fd = -1;
	self->dev.space = -1;
	if (!getenv("UIOMMU_TESTDEV"))
		SKIP(return, "no pci-testdev device");
	ASSERT_EQ(0, device_open(&self->dev, getenv("UIOMMU_TESTDEV")));
	ASSERT_EQ(0, device_attach(&self->dev));
}

FIXTURE_TEARDOWN(io_bar)
{
	device_close(&self->dev);
	expect_quiet(_metadata, &self->dev.log);
}

/* The device counts the writes that it is told to wait for. */
static void count_writes(struct __test_metadata *_metadata, struct device *dev,
			 unsigned int bar, const char *name)
{
	__u32 offset = 0, count = 1;
	__u8 test = 0, data = 0;
	char text[8] = {};
	int i;

	EXPECT_EQ(1, space_write(dev->fd, bar, 0, &test, 1));
	EXPECT_EQ(strlen(name), space_read(dev->fd, bar, TESTDEV_NAME, text,
					   strlen(name)));
	EXPECT_STREQ(name, text);
	EXPECT_EQ(4, space_read(dev->fd, bar, TESTDEV_OFFSET, &offset, 4));
	EXPECT_EQ(1, space_read(dev->fd, bar, TESTDEV_DATA, &data, 1));
	EXPECT_EQ(4, space_read(dev->fd, bar, TESTDEV_COUNT, &count, 4));
	EXPECT_EQ(0, count);
	for (i = 0; i < 5; i++)
		EXPECT_EQ(1, space_write(dev->fd, bar, offset, &data, 1));
	EXPECT_EQ(4, space_read(dev->fd, bar, TESTDEV_COUNT, &count, 4));
	EXPECT_EQ(5, count);
}

TEST_F_TIMEOUT(io_bar, ports_are_read_and_written, TEST_SECONDS)
{
	count_writes(_metadata, &self->dev, 1, "portio");
}

TEST_F_TIMEOUT(io_bar, memory_is_read_and_written, TEST_SECONDS)
{
	count_writes(_metadata, &self->dev, 0, "mmio");
}

TEST_F_TIMEOUT(io_bar, ports_cannot_be_mapped, TEST_SECONDS)
{
	struct uiommu_region_info info;

	ASSERT_EQ(0, region_info(self->dev.fd, 1, &info));
	EXPECT_LT(0, info.out_size);
	EXPECT_EQ(UIOMMU_REGION_READ | UIOMMU_REGION_WRITE, info.out_flags);
	EXPECT_EQ(NULL, space_mmap(self->dev.fd, 1, 0, page_size()));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F_TIMEOUT(io_bar, end_of_the_ports, TEST_SECONDS)
{
	long len = bar_len(self->dev.fd, 1);
	unsigned char buf[32];

	ASSERT_LT(0, len);
	EXPECT_EQ(1, space_read(self->dev.fd, 1, len - 1, buf, 1));
	EXPECT_EQ(3, space_read(self->dev.fd, 1, len - 3, buf, 32));
	EXPECT_EQ(0, space_read(self->dev.fd, 1, len, buf, 1));
	EXPECT_EQ(0, space_read(self->dev.fd, 1, len + 1, buf, 1));
	EXPECT_EQ(-EINVAL, space_write(self->dev.fd, 1, len, buf, 1));
}

/*
 * e1000e: the ROM
 */
FIXTURE(rom)
{
	struct device dev;
	long len;
};

FIXTURE_SETUP(rom)
{
	self->dev.fd = -1;
	self->dev.space = -1;
	if (!getenv("UIOMMU_E1000E"))
		SKIP(return, "no e1000e device");
	ASSERT_EQ(0, device_open(&self->dev, getenv("UIOMMU_E1000E")));
	self->len = bar_len(self->dev.fd, VFIO_PCI_ROM_RESOURCE);
	if (!self->len)
		SKIP(return, "the device has no ROM");
	ASSERT_EQ(0, device_attach(&self->dev));
}

FIXTURE_TEARDOWN(rom)
{
	device_close(&self->dev);
	expect_quiet(_metadata, &self->dev.log);
}

TEST_F_TIMEOUT(rom, image_can_be_read, TEST_SECONDS)
{
	unsigned char *rom = malloc(self->len), *again = malloc(self->len);
	size_t image, pos;

	ASSERT_NE(NULL, rom);
	ASSERT_NE(NULL, again);
	ASSERT_EQ(self->len, space_read(self->dev.fd, VFIO_PCI_ROM_RESOURCE, 0,
					rom, self->len));
	EXPECT_EQ(0x55, rom[0]);
	EXPECT_EQ(0xaa, rom[1]);
	/* The PCI data structure is where the header says. */
	pos = rom[0x18] | rom[0x19] << 8;
	ASSERT_GT(self->len - 4, pos);
	EXPECT_EQ(0, memcmp(rom + pos, "PCIR", 4));
	image = rom[2] * 512UL;
	EXPECT_LT(0, image);
	/* In pieces it is the same. */
	for (pos = 0; pos < 8192 && pos + 7 < self->len; pos += 7) {
		ASSERT_EQ(7, space_read(self->dev.fd, VFIO_PCI_ROM_RESOURCE,
					pos, again + pos, 7));
	}
	EXPECT_EQ(0, memcmp(rom, again, pos));
	free(rom);
	free(again);
}

TEST_F_TIMEOUT(rom, end_of_the_rom, TEST_SECONDS)
{
	unsigned char buf[32];

	EXPECT_EQ(1, space_read(self->dev.fd, VFIO_PCI_ROM_RESOURCE,
				self->len - 1, buf, 32));
	EXPECT_EQ(0, space_read(self->dev.fd, VFIO_PCI_ROM_RESOURCE,
				self->len, buf, 32));
	EXPECT_EQ(0, space_read(self->dev.fd, VFIO_PCI_ROM_RESOURCE,
				self->len + 1, buf, 32));
}

TEST_F_TIMEOUT(rom, cannot_be_written, TEST_SECONDS)
{
	unsigned char before[16], after[16], zero[16] = {};

	EXPECT_EQ(16, space_read(self->dev.fd, VFIO_PCI_ROM_RESOURCE, 0,
				 before, 16));
	EXPECT_EQ(-EINVAL, space_write(self->dev.fd, VFIO_PCI_ROM_RESOURCE, 0,
				       zero, 16));
	EXPECT_EQ(16, space_read(self->dev.fd, VFIO_PCI_ROM_RESOURCE, 0, after,
				 16));
	EXPECT_EQ(0, memcmp(before, after, 16));
}

struct rom_reader {
	pthread_t thread;
	int fd;
	char *mem;
	ssize_t done;
};

static void *read_rom(void *arg)
{
	struct rom_reader *r = arg;

	r->done = space_read(r->fd, VFIO_PCI_ROM_RESOURCE, 0, r->mem,
			     page_size());
	return NULL;
}

/* Memory that is not there yet lets a read() wait, and the device leaves. */
TEST_F_TIMEOUT(rom, device_leaves_while_it_is_read, TEST_SECONDS)
{
	const size_t size = page_size();
	struct rom_reader r = { .fd = self->dev.fd };
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zero = {};
	char *want = malloc(size), *others;
	struct uffd_msg msg;
	size_t num;
	int pager;

	if (geteuid())
		SKIP(return, "needs root");
	ASSERT_NE(NULL, want);
	ASSERT_EQ(size, space_read(self->dev.fd, VFIO_PCI_ROM_RESOURCE, 0, want,
				   size));
	r.mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, r.mem);
	pager = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (pager < 0)
		SKIP(return, "no CONFIG_USERFAULTFD");
	ASSERT_EQ(0, ioctl(pager, UFFDIO_API, &api));
	range.range.start = (uintptr_t)r.mem;
	range.range.len = size;
	ASSERT_EQ(0, ioctl(pager, UFFDIO_REGISTER, &range));
	ASSERT_EQ(0, pthread_create(&r.thread, NULL, read_rom, &r));
	ASSERT_EQ(sizeof(msg), read(pager, &msg, sizeof(msg)));

	EXPECT_EQ(0, pci_unbind(self->dev.bdf));
	/* What was freed is somebody else's now. */
	num = sysconf(_SC_AVPHYS_PAGES) / 4 * 3;
	others = pages_alloc(num);
	ASSERT_NE(NULL, others);
	memset(others, 0xa5, num * size);
	zero.range = range.range;
	EXPECT_EQ(0, ioctl(pager, UFFDIO_ZEROPAGE, &zero));
	ASSERT_EQ(0, pthread_join(r.thread, NULL));
	EXPECT_EQ(size, r.done);
	EXPECT_EQ(0, memcmp(want, r.mem, size));
	close(pager);
	close(self->dev.fd);
	self->dev.fd = -1;
	EXPECT_EQ(0, pci_bind(self->dev.bdf));
	munmap(others, num * size);
	munmap(r.mem, size);
	free(want);
}

TEST_F_TIMEOUT(rom, needs_an_attached_device, TEST_SECONDS)
{
	unsigned char buf[4];

	ASSERT_EQ(0, domain_unset(self->dev.fd));
	EXPECT_EQ(-EINVAL, space_read(self->dev.fd, VFIO_PCI_ROM_RESOURCE, 0,
				      buf, 4));
}

/*
 * The MSI-X table
 */
FIXTURE(msix_table)
{
	struct device dev;
	unsigned int bar;
	__u32 offset;
	__u32 *table;
	unsigned char *page;
};

FIXTURE_SETUP(msix_table)
{
	const char *bdf = getenv("UIOMMU_VF") ?: getenv("UIOMMU_NVME");
	unsigned int cap;
	__u32 where;

	self->dev.fd = -1;
	self->dev.space = -1;
	if (!bdf)
		SKIP(return, "no device with MSI-X");
	ASSERT_EQ(0, device_open(&self->dev, bdf));
	ASSERT_EQ(0, device_attach(&self->dev));
	cap = config_cap(self->dev.fd, PCI_CAP_ID_MSIX);
	ASSERT_NE(0, cap);
	where = config_read(self->dev.fd, cap + PCI_MSIX_TABLE, 4);
	self->bar = where & PCI_MSIX_TABLE_BIR;
	self->offset = where & PCI_MSIX_TABLE_OFFSET;
	/* Its page can be mapped: what is in it is nobody's danger. */
	self->page = space_mmap(self->dev.fd, self->bar,
				self->offset & -page_size(), page_size());
	if (!self->page &&
	    bar_len(self->dev.fd, self->bar) < (long)page_size())
		SKIP(return, "the table shares a page with other BARs");
	if (!device_isolated(self->dev.fd)) {
		EXPECT_EQ(NULL, self->page);
		SKIP(return, "the table cannot be mapped without isolation");
	}
	ASSERT_NE(NULL, self->page);
	self->table = (void *)(self->page + self->offset % page_size());
}

FIXTURE_TEARDOWN(msix_table)
{
	if (self->page)
		munmap(self->page, page_size());
	device_close(&self->dev);
	expect_quiet(_metadata, &self->dev.log);
}

static void expect_unwritable(struct __test_metadata *_metadata, int fd,
			      unsigned int bar, __u32 offset, __u32 *table)
{
	__u32 before[3 * MSIX_ENTRY / 4], after[3 * MSIX_ENTRY / 4];
	__u32 junk[3 * MSIX_ENTRY / 4];
	size_t i;
	int width;

	for (i = 0; i < ARRAY_SIZE(before); i++)
		before[i] = get_once(table + i);
	memset(junk, 0x5a, sizeof(junk));
	/* Every width, and all of it at once: swallowed */
	for (width = 1; width <= 8; width *= 2)
		EXPECT_EQ(width, space_write(fd, bar, offset, junk, width));
	EXPECT_EQ(2, space_write(fd, bar, offset + 14, junk, 2));
	EXPECT_EQ(sizeof(junk), space_write(fd, bar, offset, junk,
					    sizeof(junk)));
	for (i = 0; i < ARRAY_SIZE(after); i++)
		after[i] = get_once(table + i);
	EXPECT_EQ(0, memcmp(before, after, sizeof(before)));
}

TEST_F_TIMEOUT(msix_table, cannot_be_written_by_pwrite, TEST_SECONDS)
{
	expect_unwritable(_metadata, self->dev.fd, self->bar, self->offset,
			  self->table);
}

TEST_F_TIMEOUT(msix_table, cannot_be_written_while_in_use, TEST_SECONDS)
{
	int efds[3] = { eventfd_new(), eventfd_new(), eventfd_new() };

	ASSERT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX, 3, efds));
	/* There is something in it now. */
	EXPECT_NE(0, get_once(self->table));
	expect_unwritable(_metadata, self->dev.fd, self->bar, self->offset,
			  self->table);
	ASSERT_EQ(0, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX, 0, NULL));
}

/* The bytes beside the table are registers like others. */
TEST_F_TIMEOUT(msix_table, write_across_its_end, TEST_SECONDS)
{
	struct uiommu_device_info info;
	__u32 junk[4] = { 1, 1, 1, 1 };
	__u32 last;
	size_t end;

	ASSERT_EQ(0, device_info(self->dev.fd, &info));
	end = info.out_num_msix * MSIX_ENTRY;
	if (self->offset % page_size() + end + 8 > page_size())
		SKIP(return, "the table fills its page");
	last = get_once(self->table + end / 4 - 1);
	EXPECT_EQ(16, space_write(self->dev.fd, self->bar,
				  self->offset + end - 8, junk, 16));
	EXPECT_EQ(last, get_once(self->table + end / 4 - 1));
}

TEST_HARNESS_MAIN
