// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO_DMA_MAP_IOVA and VFIO_DMA_UNMAP on both kinds of fd: ranges, limits,
 * owners, and what the device really reaches.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "util.h"

#define MIB		(1024 * 1024UL)
#define HUGE_SIZE	(2 * MIB)

/*
 * A program that an exec test turns into: unmap what the former one mapped, and
 * see whether the books of this one stay in order.
 */
static void __attribute__((constructor)) after_exec(void)
{
	const char *arg = getenv("UIOMMU_TEST_EXEC");
	unsigned long long iova, size;
	int fd;

	if (!arg)
		return;
	if (sscanf(arg, "%d %llu %llu", &fd, &iova, &size) != 3)
		_exit(1);
	if (dma_unmap(fd, iova, size))
		_exit(2);
	_exit(file_field("/proc/self/status", "VmPin") ? 3 : 0);
}

static void expect_quiet(struct __test_metadata *_metadata, struct log *log)
{
	log_read(log);
	EXPECT_EQ(0, log->splats + log->faults) {
		TH_LOG("%s", log->first);
	}
	log_close(log);
}

/*
 * Ranges, through a space fd alone and through both fds of an attached device
 */
FIXTURE(range)
{
	struct device dev;
	int fd;
	char *mem;
};

FIXTURE_VARIANT(range)
{
	bool attached;
	bool by_device;
};

FIXTURE_VARIANT_ADD(range, space_alone) {
	.attached = false,
};

FIXTURE_VARIANT_ADD(range, space_attached) {
	.attached = true,
};

FIXTURE_VARIANT_ADD(range, device) {
	.attached = true,
	.by_device = true,
};

FIXTURE_SETUP(range)
{
	const char *bdf = device_any();

	self->dev.fd = -1;
	self->dev.space = -1;
	if (!bdf)
		SKIP(return, "no device");
	ASSERT_EQ(0, device_open(&self->dev, bdf));
	if (variant->attached)
		ASSERT_EQ(0, device_attach(&self->dev));
	self->fd = variant->by_device ? self->dev.fd : self->dev.space;
	self->mem = pages_alloc(16);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(range)
{
	struct uiommu_info info = {};

	EXPECT_EQ(0, space_info(self->dev.space, &info));
	EXPECT_EQ(0, info.out_mappings);
	EXPECT_EQ(0, info.out_charged);
	device_close(&self->dev);
	expect_quiet(_metadata, &self->dev.log);
}

/* Every bit below the page size, in each of the three (2010: & ~PAGE_SIZE) */
TEST_F_TIMEOUT(range, misaligned, TEST_SECONDS)
{
	const __u64 size = page_size();
	__u64 off;

	for (off = 1; off < size; off <<= 1) {
		EXPECT_EQ(-EINVAL, dma_map(self->fd, self->mem + off, IOVA_A,
					   size, 0));
		EXPECT_EQ(-EINVAL, dma_map(self->fd, self->mem, IOVA_A + off,
					   size, 0));
		EXPECT_EQ(-EINVAL, dma_map(self->fd, self->mem, IOVA_A,
					   size + off, 0));
		EXPECT_EQ(-EINVAL, dma_map(self->fd, self->mem, IOVA_A, off,
					   0));
		EXPECT_EQ(-EINVAL, dma_unmap(self->fd, IOVA_A + off, size));
		EXPECT_EQ(-EINVAL, dma_unmap(self->fd, IOVA_A, size + off));
		EXPECT_EQ(-EINVAL, dma_unmap(self->fd, IOVA_A, off));
	}
	EXPECT_EQ(0, dma_map(self->fd, self->mem, IOVA_A, size, 0));
	EXPECT_EQ(-EINVAL, dma_unmap(self->fd, IOVA_A, size / 2));
	EXPECT_EQ(0, dma_unmap(self->fd, IOVA_A, size));
}

TEST_F_TIMEOUT(range, empty, TEST_SECONDS)
{
	EXPECT_EQ(-EINVAL, dma_map(self->fd, self->mem, IOVA_A, 0, 0));
	EXPECT_EQ(-EINVAL, dma_unmap(self->fd, IOVA_A, 0));
	EXPECT_EQ(0, dma_map(self->fd, self->mem, IOVA_A, page_size(), 0));
	EXPECT_EQ(-EINVAL, dma_unmap(self->fd, IOVA_A, 0));
	EXPECT_EQ(0, dma_unmap(self->fd, IOVA_A, page_size()));
}

TEST_F_TIMEOUT(range, wrapping, TEST_SECONDS)
{
	const __u64 size = page_size();
	const __u64 top = UINT64_MAX - size + 1;
	/* Not by dma_map(): a pointer can have 32 bits. */
	struct vfio_dma_map wraps = {
		.vaddr = top,
		.dmaaddr = IOVA_A,
		.size = 2 * size,
	};

	/* Device addresses */
	EXPECT_EQ(-EINVAL, dma_map(self->fd, self->mem, top, 2 * size, 0));
	EXPECT_EQ(-EINVAL, dma_map(self->fd, self->mem, IOVA_A,
				   UINT64_MAX - IOVA_A + 1 + size, 0));
	EXPECT_EQ(-EINVAL, dma_unmap(self->fd, top, 2 * size));
	EXPECT_EQ(-EINVAL, dma_unmap(self->fd, IOVA_A,
				     UINT64_MAX - IOVA_A + 1 + size));
	/* Process addresses */
	EXPECT_EQ(-EINVAL, request(self->fd, VFIO_DMA_MAP_IOVA, &wraps));
	wraps.vaddr = top - size;
	wraps.size = 3 * size;
	EXPECT_EQ(-EINVAL, request(self->fd, VFIO_DMA_MAP_IOVA, &wraps));
	EXPECT_EQ(-EINVAL, dma_map(self->fd, self->mem, 0, top, 0));
}

TEST_F_TIMEOUT(range, overlapping, TEST_SECONDS)
{
	const __u64 size = page_size();
	static const struct {
		int first;
		int num;
	} busy[] = {
		{ 4, 4 }, { 4, 1 }, { 7, 1 }, { 5, 2 }, { 3, 2 }, { 7, 2 },
		{ 3, 6 }, { 0, 5 }, { 0, 16 },
	};
	size_t i;

	EXPECT_EQ(0, dma_map(self->fd, self->mem, IOVA_A + 4 * size, 4 * size,
			     0));
	for (i = 0; i < ARRAY_SIZE(busy); i++) {
		EXPECT_EQ(-EBUSY, dma_map(self->fd, self->mem,
					  IOVA_A + busy[i].first * size,
					  busy[i].num * size, 0)) {
			TH_LOG("pages %d + %d", busy[i].first, busy[i].num);
		}
	}
	/* Neighbours are none of its business. */
	EXPECT_EQ(0, dma_map(self->fd, self->mem, IOVA_A + 3 * size, size, 0));
	EXPECT_EQ(0, dma_map(self->fd, self->mem, IOVA_A + 8 * size, size, 0));
	EXPECT_EQ(0, dma_unmap(self->fd, IOVA_A, 16 * size));
}

TEST_F_TIMEOUT(range, unmap_nothing, TEST_SECONDS)
{
	const __u64 size = page_size();

	EXPECT_EQ(-ENXIO, dma_unmap(self->fd, IOVA_A, size));
	EXPECT_EQ(-ENXIO, dma_unmap(self->fd, 0, UINT64_MAX - size + 1));
	EXPECT_EQ(0, dma_map(self->fd, self->mem, IOVA_A, size, 0));
	EXPECT_EQ(-ENXIO, dma_unmap(self->fd, IOVA_A - size, size));
	EXPECT_EQ(-ENXIO, dma_unmap(self->fd, IOVA_A + size, size));
	EXPECT_EQ(0, dma_unmap(self->fd, IOVA_A, size));
	EXPECT_EQ(-ENXIO, dma_unmap(self->fd, IOVA_A, size));
}

/* A mapping that is only partly in the range stays, and so does all the rest. */
TEST_F_TIMEOUT(range, unmap_a_part, TEST_SECONDS)
{
	const __u64 size = page_size();
	struct uiommu_info info = {};

	EXPECT_EQ(0, dma_map(self->fd, self->mem, IOVA_A, 4 * size, 0));
	EXPECT_EQ(0, dma_map(self->fd, self->mem, IOVA_A + 4 * size, 2 * size,
			     0));
	EXPECT_EQ(0, dma_map(self->fd, self->mem, IOVA_A + 8 * size, 4 * size,
			     0));
	EXPECT_EQ(-EINVAL, dma_unmap(self->fd, IOVA_A, size));
	EXPECT_EQ(-EINVAL, dma_unmap(self->fd, IOVA_A, 3 * size));
	EXPECT_EQ(-EINVAL, dma_unmap(self->fd, IOVA_A + size, 3 * size));
	EXPECT_EQ(-EINVAL, dma_unmap(self->fd, IOVA_A + size, 2 * size));
	/* Cut at the start, whole in the middle, cut at the end */
	EXPECT_EQ(-EINVAL, dma_unmap(self->fd, IOVA_A + size, 11 * size));
	EXPECT_EQ(-EINVAL, dma_unmap(self->fd, IOVA_A, 9 * size));
	EXPECT_EQ(-EINVAL, dma_unmap(self->fd, IOVA_A + 4 * size, 7 * size));
	ASSERT_EQ(0, space_info(self->dev.space, &info));
	EXPECT_EQ(3, info.out_mappings);
	EXPECT_EQ(10 * size, info.out_pinned);
	EXPECT_EQ(0, dma_unmap(self->fd, IOVA_A, 12 * size));
}

/* Several mappings at once, gaps between and around them */
TEST_F_TIMEOUT(range, unmap_several, TEST_SECONDS)
{
	const __u64 size = page_size();
	struct uiommu_info info = {};
	int i;

	for (i = 0; i < 5; i++) {
		EXPECT_EQ(0, dma_map(self->fd, self->mem,
				     IOVA_A + 3 * i * size, 2 * size, 0));
	}
	EXPECT_EQ(0, dma_unmap(self->fd, IOVA_A + 2 * size, 7 * size));
	ASSERT_EQ(0, space_info(self->dev.space, &info));
	EXPECT_EQ(3, info.out_mappings);
	EXPECT_EQ(0, dma_unmap(self->fd, 0, 0x10000000));
	ASSERT_EQ(0, space_info(self->dev.space, &info));
	EXPECT_EQ(0, info.out_mappings);
	EXPECT_EQ(-ENXIO, dma_unmap(self->fd, 0, 0x10000000));
}

/* The key is the device address (2010: the process address). */
TEST_F_TIMEOUT(range, one_buffer_at_two_addresses, TEST_SECONDS)
{
	const __u64 size = page_size();
	struct uiommu_info info = {};

	EXPECT_EQ(0, dma_map(self->fd, self->mem, IOVA_A, size, 0));
	EXPECT_EQ(0, dma_map(self->fd, self->mem, IOVA_B, size,
			     VFIO_FLAG_WRITE));
	EXPECT_EQ(0, dma_unmap(self->fd, IOVA_A, size));
	EXPECT_EQ(-ENXIO, dma_unmap(self->fd, IOVA_A, size));
	ASSERT_EQ(0, space_info(self->dev.space, &info));
	EXPECT_EQ(1, info.out_mappings);
	EXPECT_EQ(0, dma_unmap(self->fd, IOVA_B, size));
}

/* Device address 0 is an address. */
TEST_F_TIMEOUT(range, at_zero, TEST_SECONDS)
{
	EXPECT_EQ(0, dma_map(self->fd, self->mem, 0, page_size(), 0));
	EXPECT_EQ(-EBUSY, dma_map(self->fd, self->mem, 0, page_size(), 0));
	EXPECT_EQ(0, dma_unmap(self->fd, 0, page_size()));
}

/* Memory that is not there, in part or as a whole: nothing is left behind. */
TEST_F_TIMEOUT(range, holes, TEST_SECONDS)
{
	const __u64 size = page_size();
	struct uiommu_info info = {};
	long pins = pins_outstanding();
	char *mem = pages_alloc(2048);

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, munmap(mem + 2047 * size, size));
	ASSERT_EQ(0, munmap(mem, size));
	EXPECT_EQ(-EFAULT, dma_map(self->fd, mem, IOVA_A, size, 0));
	EXPECT_EQ(-EFAULT, dma_map(self->fd, mem, IOVA_A, 2 * size, 0));
	EXPECT_EQ(-EFAULT, dma_map(self->fd, mem + size, IOVA_HIGH,
				   2047 * size, VFIO_FLAG_WRITE));
	EXPECT_EQ(-EFAULT, dma_map(self->fd, NULL, IOVA_A, size, 0));
	/* Kernel memory */
	EXPECT_EQ(-EFAULT, dma_map(self->fd, (void *)(-64 * MIB), IOVA_A, size,
				   0));
	ASSERT_EQ(0, space_info(self->dev.space, &info));
	EXPECT_EQ(0, info.out_mappings);
	EXPECT_EQ(0, info.out_pinned);
	EXPECT_EQ(0, info.out_charged);
	EXPECT_EQ(pins, pins_outstanding());
	EXPECT_EQ(-ENXIO, dma_unmap(self->fd, IOVA_HIGH, 2048 * size));
	EXPECT_EQ(0, dma_map(self->fd, mem + size, IOVA_HIGH, 2046 * size,
			     VFIO_FLAG_WRITE));
	EXPECT_EQ(0, dma_unmap(self->fd, IOVA_HIGH, 2046 * size));
	EXPECT_EQ(pins, pins_outstanding());
}

TEST_F_TIMEOUT(range, access_rights, TEST_SECONDS)
{
	const __u64 size = page_size();

	ASSERT_EQ(0, mprotect(self->mem, size, PROT_READ));
	EXPECT_EQ(-EFAULT, dma_map(self->fd, self->mem, IOVA_A, size,
				   VFIO_FLAG_WRITE));
	/* Writable up to the last page */
	EXPECT_EQ(-EFAULT, dma_map(self->fd, self->mem, IOVA_A, 4 * size,
				   VFIO_FLAG_WRITE));
	EXPECT_EQ(0, dma_map(self->fd, self->mem, IOVA_A, size, 0));
	EXPECT_EQ(0, dma_unmap(self->fd, IOVA_A, size));
	ASSERT_EQ(0, mprotect(self->mem, size, PROT_NONE));
	EXPECT_EQ(-EFAULT, dma_map(self->fd, self->mem, IOVA_A, size, 0));
	EXPECT_EQ(-EFAULT, dma_map(self->fd, self->mem, IOVA_A, size,
				   VFIO_FLAG_WRITE));
	ASSERT_EQ(0, mprotect(self->mem, size, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, dma_map(self->fd, self->mem, IOVA_A, size,
			     VFIO_FLAG_WRITE));
	EXPECT_EQ(0, dma_unmap(self->fd, IOVA_A, size));
}

/* More than a process can have: fails without a trace, with a negative error. */
TEST_F_TIMEOUT(range, absurd_sizes, TEST_SECONDS)
{
	long pins = pins_outstanding();
	int shift, ret;

	for (shift = 48; shift < 64; shift++) {
		ret = dma_map(self->fd, self->mem, 0, 1ULL << shift,
			      VFIO_FLAG_WRITE);
		EXPECT_TRUE(ret == -EINVAL || ret == -EFAULT ||
			    ret == -ENOMEM || ret == -EADDRNOTAVAIL) {
			TH_LOG("2^%d bytes: %d", shift, ret);
		}
	}
	EXPECT_EQ(pins, pins_outstanding());
}

/* Registers are not memory, and cannot be pinned. */
TEST_F_TIMEOUT(range, not_memory, TEST_SECONDS)
{
	if (!variant->attached)
		SKIP(return, "needs an attached device");
	ASSERT_EQ(0, device_map_bar(&self->dev, 0));
	if (!self->dev.bar)
		SKIP(return, "its registers share a page");
	EXPECT_EQ(-EFAULT, dma_map(self->fd, self->dev.bar, IOVA_A,
				   page_size(), 0));
	EXPECT_EQ(-EFAULT, dma_map(self->fd, self->dev.bar, IOVA_A,
				   page_size(), VFIO_FLAG_WRITE));
}

/* Memory of other kinds than anonymous and private */
TEST_F_TIMEOUT(range, shared_and_file_memory, TEST_SECONDS)
{
	const __u64 size = page_size();
	int memfd = memfd_create("test", MFD_CLOEXEC);
	char *shared, *file, *private;

	ASSERT_LE(0, memfd);
	ASSERT_EQ(0, ftruncate(memfd, 4 * size));
	shared = mmap(NULL, 4 * size, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	file = mmap(NULL, 4 * size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd,
		    0);
	private = mmap(NULL, 4 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE,
		       memfd, 0);
	ASSERT_NE(MAP_FAILED, shared);
	ASSERT_NE(MAP_FAILED, file);
	ASSERT_NE(MAP_FAILED, private);
	EXPECT_EQ(0, dma_map(self->fd, shared, IOVA_A, 4 * size,
			     VFIO_FLAG_WRITE));
	EXPECT_EQ(0, dma_map(self->fd, file, IOVA_B, 4 * size,
			     VFIO_FLAG_WRITE));
	EXPECT_EQ(0, dma_map(self->fd, private, IOVA_C, 4 * size,
			     VFIO_FLAG_WRITE));
	EXPECT_EQ(0, dma_unmap(self->fd, IOVA_A, 4 * size));
	EXPECT_EQ(0, dma_unmap(self->fd, IOVA_B, 4 * size));
	EXPECT_EQ(0, dma_unmap(self->fd, IOVA_C, 4 * size));
	/* Beyond the end of the file */
	ASSERT_EQ(0, ftruncate(memfd, 2 * size));
	EXPECT_EQ(-EFAULT, dma_map(self->fd, file, IOVA_B, 4 * size,
				   VFIO_FLAG_WRITE));
}

/* Memory that was never touched, read by the device: the page of zeroes */
TEST_F_TIMEOUT(range, untouched_memory, TEST_SECONDS)
{
	const __u64 len = 64 * page_size();
	long pins = pins_outstanding();
	char *mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, mem);
	EXPECT_EQ(0, dma_map(self->fd, mem, IOVA_A, len, 0));
	EXPECT_EQ(0, dma_unmap(self->fd, IOVA_A, len));
	ASSERT_EQ(0, munmap(mem, len));
	mem = mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	EXPECT_EQ(0, dma_map(self->fd, mem, IOVA_A, len, 0));
	EXPECT_EQ(0, dma_unmap(self->fd, IOVA_A, len));
	EXPECT_EQ(pins, pins_outstanding());
}

TEST_F_TIMEOUT(range, many_mappings, TEST_SECONDS)
{
	const __u64 size = page_size();
	struct uiommu_info info = {};
	long pins = pins_outstanding();
	int num = pages_to_lock(10000), i;

	/* Every second page, in an order that is neither up nor down */
	for (i = 0; i < num; i++) {
		ASSERT_EQ(0, dma_map(self->fd, self->mem, IOVA_HIGH +
				     (__u64)(i * 7919 % num) * 2 * size,
				     size, 0)) {
			TH_LOG("mapping %d", i);
		}
	}
	ASSERT_EQ(0, space_info(self->dev.space, &info));
	EXPECT_EQ(num, info.out_mappings);
	EXPECT_EQ(num * size, info.out_pinned);
	EXPECT_EQ(-EBUSY, dma_map(self->fd, self->mem, IOVA_HIGH + num * size,
				  64 * size, 0));
	for (i = 0; i < num; i += 2) {
		ASSERT_EQ(0, dma_unmap(self->fd, IOVA_HIGH + i * 2 * size,
				       size));
	}
	ASSERT_EQ(0, space_info(self->dev.space, &info));
	EXPECT_EQ(num / 2, info.out_mappings);
	EXPECT_EQ(0, dma_unmap(self->fd, IOVA_HIGH, num * 2 * size));
	EXPECT_EQ(pins, pins_outstanding());
}

struct mapper {
	pthread_t thread;
	int fd;
	char *mem;
	__u64 iova;
	int failed;
};

#define BATCH		2500

static __u64 live_mappings(struct device *dev)
{
	struct uiommu_info info = {};

	return space_info(dev->space, &info) ? UINT64_MAX : info.out_mappings;
}

/* More than are taken at once, and each end of a batch that fails */
TEST_F_TIMEOUT(range, batch, TEST_SECONDS)
{
	struct vfio_dma_map *e = calloc(BATCH, sizeof(*e));
	unsigned int i, done;
	__u64 page = page_size();

	ASSERT_NE(NULL, e);
	for (i = 0; i < BATCH; i++)
		e[i] = (struct vfio_dma_map){
			.vaddr = (unsigned long)self->mem + i % 16 * page,
			.dmaaddr = IOVA_HIGH + 2 * i * page,
			.size = page,
			.flags = VFIO_FLAG_WRITE,
		};
	EXPECT_EQ(0, dma_batch(self->fd, UIOMMU_MAP_BATCH, e, BATCH, &done));
	EXPECT_EQ(BATCH, done);
	EXPECT_EQ(BATCH, live_mappings(&self->dev));
	/* What is there already, at the beginning */
	EXPECT_EQ(-EBUSY, dma_batch(self->fd, UIOMMU_MAP_BATCH, e, 3, &done));
	EXPECT_EQ(0, done);
	/* Unmapped up to one that is no mapping */
	e[1500].dmaaddr += page;
	EXPECT_EQ(-ENXIO, dma_batch(self->fd, UIOMMU_UNMAP_BATCH, e, BATCH,
				    &done));
	EXPECT_EQ(1500, done);
	EXPECT_EQ(BATCH - 1500, live_mappings(&self->dev));
	/* Mapped again up to that, which is in the way of nothing but has flags */
	e[1500].flags = 4;
	EXPECT_EQ(-EOPNOTSUPP, dma_batch(self->fd, UIOMMU_MAP_BATCH, e, BATCH,
					 &done));
	EXPECT_EQ(1500, done);
	EXPECT_EQ(BATCH, live_mappings(&self->dev));
	e[1500].dmaaddr -= page;
	e[1500].flags = 0;
	/* The same range twice: nothing is there at the second. */
	e[10].dmaaddr = e[9].dmaaddr;
	EXPECT_EQ(-ENXIO, dma_batch(self->fd, UIOMMU_UNMAP_BATCH, e, 20,
				    &done));
	EXPECT_EQ(10, done);
	/* One, then that and another: the one does not stand in the way. */
	e[11].dmaaddr = IOVA_HIGH + 20 * page;
	e[12].dmaaddr = e[11].dmaaddr;
	e[12].size = 5 * page;
	EXPECT_EQ(0, dma_batch(self->fd, UIOMMU_UNMAP_BATCH, e + 11, 2,
			       &done));
	EXPECT_EQ(2, done);
	EXPECT_EQ(BATCH - 13, live_mappings(&self->dev));
	EXPECT_EQ(0, dma_batch(self->fd, UIOMMU_UNMAP_BATCH, e + 13,
			       BATCH - 13, &done));
	EXPECT_EQ(BATCH - 13, done);
	EXPECT_EQ(0, live_mappings(&self->dev));

	EXPECT_EQ(-EINVAL, dma_batch(self->fd, UIOMMU_MAP_BATCH, e, 0, &done));
	EXPECT_EQ(-EFAULT, dma_batch(self->fd, UIOMMU_MAP_BATCH, NULL, 1,
				     &done));
	EXPECT_EQ(0, done);
	EXPECT_EQ(-EFAULT, dma_batch(self->fd, UIOMMU_UNMAP_BATCH, NULL,
				     UINT32_MAX, &done));
	EXPECT_EQ(0, done);
	free(e);
}

static __u64 lowest(struct __test_metadata *_metadata, int fd, char *mem,
		    __u64 pages, __u64 max)
{
	__u64 iova = UINT64_MAX;

	EXPECT_EQ(0, dma_map_lowest(fd, mem, pages * page_size(), 0, max,
				    &iova));
	return iova;
}

/* The lowest hole that fits, in each kind of hole */
TEST_F_TIMEOUT(range, lowest, TEST_SECONDS)
{
	const __u64 page = page_size();
	__u64 iova, done;
	unsigned int i;

	/* From the first page on, which is never taken */
	for (i = 1; i <= 10; i++)
		EXPECT_EQ(i * page,
			  lowest(_metadata, self->fd, self->mem, 1, 0));
	EXPECT_EQ(11 * page, lowest(_metadata, self->fd, self->mem, 4, 0));
	/* Holes of 1, 2 and 3 pages, at 2, 4 and 7 */
	EXPECT_EQ(0, dma_unmap(self->fd, 7 * page, 3 * page));
	EXPECT_EQ(0, dma_unmap(self->fd, 4 * page, 2 * page));
	EXPECT_EQ(0, dma_unmap(self->fd, 2 * page, page));
	EXPECT_EQ(15 * page, lowest(_metadata, self->fd, self->mem, 4, 0));
	EXPECT_EQ(7 * page, lowest(_metadata, self->fd, self->mem, 3, 0));
	EXPECT_EQ(4 * page, lowest(_metadata, self->fd, self->mem, 2, 0));
	EXPECT_EQ(2 * page, lowest(_metadata, self->fd, self->mem, 1, 0));
	EXPECT_EQ(19 * page, lowest(_metadata, self->fd, self->mem, 1, 0));
	/* Joined holes */
	EXPECT_EQ(0, dma_unmap(self->fd, 10 * page, page));
	EXPECT_EQ(0, dma_unmap(self->fd, 11 * page, 4 * page));
	EXPECT_EQ(20 * page, lowest(_metadata, self->fd, self->mem, 6, 0));
	EXPECT_EQ(10 * page, lowest(_metadata, self->fd, self->mem, 5, 0));
	/* One that somebody took by name meanwhile */
	EXPECT_EQ(0, dma_map(self->fd, self->mem, 26 * page, page, 0));
	EXPECT_EQ(27 * page, lowest(_metadata, self->fd, self->mem, 1, 0));
	/* No higher than wanted: the last byte counts */
	EXPECT_EQ(-ENOSPC, dma_map_lowest(self->fd, self->mem, page, 0,
					  28 * page - 1, &iova));
	EXPECT_EQ(-ENOSPC, dma_map_lowest(self->fd, self->mem, page, 0,
					  29 * page - 2, &iova));
	EXPECT_EQ(28 * page, lowest(_metadata, self->fd, self->mem, 1,
				    29 * page - 1));
	EXPECT_EQ(-ENOSPC, dma_map_lowest(self->fd, self->mem, page, 0, 1,
					  &iova));
	EXPECT_EQ(0, dma_unmap_all(self->fd, &done));
	EXPECT_EQ(page, lowest(_metadata, self->fd, self->mem, 1, 0));
	EXPECT_EQ(0, dma_unmap(self->fd, page, page));

	EXPECT_EQ(-EINVAL, dma_map_lowest(self->fd, self->mem, 0, 0, 0, &iova));
	EXPECT_EQ(-EINVAL, dma_map_lowest(self->fd, self->mem + 1, page, 0, 0,
					  &iova));
	EXPECT_EQ(-EINVAL, dma_map_lowest(self->fd, self->mem, page + 1, 0, 0,
					  &iova));
	EXPECT_EQ(-EFAULT, dma_map_lowest(self->fd, NULL, page, 0, 0, &iova));
}

/* Huge pages can stay huge: the IOVA is congruent to the address. */
TEST_F_TIMEOUT(range, lowest_is_congruent, TEST_SECONDS)
{
	const __u64 page = page_size();
	const __u64 huge = huge_page_size();
	__u64 iova, done;
	unsigned int i;
	char *mem;

	if (huge > 2 * MIB)
		SKIP(return, "huge pages take more than a user may lock");
	mem = mmap(NULL, 3 * huge, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	for (i = 0; i < 8; i++) {
		char *at = mem + i * 37 % 200 * page;

		EXPECT_EQ(0, dma_map_lowest(self->fd, at, huge, 0, 0, &iova));
		EXPECT_EQ((uintptr_t)at % huge, iova % huge);
		EXPECT_GE(16 * huge, iova);
		/* Small ones go between. */
		EXPECT_EQ(0, dma_map_lowest(self->fd, self->mem, page, 0, 0,
					    &iova));
		EXPECT_GE(16 * huge, iova);
	}
	EXPECT_EQ(0, dma_unmap_all(self->fd, &done));
	EXPECT_EQ(16, done);
	munmap(mem, 3 * huge);
}

/* As books kept here say, with sizes, ends and limits at random */
#define BOOK	512

TEST_F_TIMEOUT(range, lowest_at_random, TEST_SECONDS)
{
	const __u64 page = page_size();
	unsigned int seed = 1, i, n, p, used, len[BOOK] = {};
	unsigned char book[BOOK] = { 1 };
	__u64 iova, done;
	int ret;

	for (i = 0; i < 3000; i++) {
		p = rand_r(&seed) % BOOK;
		if (len[p] && rand_r(&seed) % 2) {
			ASSERT_EQ(0, dma_unmap(self->fd, p * page,
					       len[p] * page));
			memset(book + p, 0, len[p]);
			len[p] = 0;
			continue;
		}
		n = 1 + rand_r(&seed) % 16;
		for (p = 0, used = 0; p < BOOK && used < n; p++)
			used = book[p] ? 0 : used + 1;
		ret = dma_map_lowest(self->fd, self->mem, n * page, 0,
				     BOOK * page - 1, &iova);
		if (used < n) {
			ASSERT_EQ(-ENOSPC, ret);
			continue;
		}
		p -= n;
		ASSERT_EQ(0, ret);
		ASSERT_EQ(p * page, iova) {
			TH_LOG("round %u, %u pages", i, n);
		}
		memset(book + p, 1, n);
		len[p] = n;
	}
	EXPECT_EQ(0, dma_unmap_all(self->fd, &done));
}

/* All through a uiommu fd, its own through a device fd */
TEST_F_TIMEOUT(range, unmap_all, TEST_SECONDS)
{
	__u64 page = page_size(), done;
	unsigned int i;

	EXPECT_EQ(0, dma_unmap_all(self->fd, &done));
	EXPECT_EQ(0, done);
	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, dma_map(i % 2 ? self->fd : self->dev.space,
				     self->mem, IOVA_A + 3 * i * page, page,
				     0));
	EXPECT_EQ(0, dma_unmap_all(self->fd, &done));
	EXPECT_EQ(variant->by_device ? 50 : 100, done);
	EXPECT_EQ(100 - done, live_mappings(&self->dev));
	EXPECT_EQ(0, dma_unmap_all(self->dev.space, &done));
	EXPECT_EQ(variant->by_device ? 50 : 0, done);
	EXPECT_EQ(0, live_mappings(&self->dev));
}

static void *map_own_range(void *arg)
{
	struct mapper *m = arg;
	int i;

	for (i = 0; i < 300; i++) {
		if (dma_map(m->fd, m->mem, m->iova, 4 * page_size(),
			    VFIO_FLAG_WRITE) ||
		    dma_unmap(m->fd, m->iova, 4 * page_size()))
			m->failed++;
	}
	return NULL;
}

/* Threads that map ranges of their own do not disturb each other. */
TEST_F_TIMEOUT(range, parallel, TEST_SECONDS)
{
	struct mapper m[4];
	int i;

	for (i = 0; i < 4; i++) {
		m[i].fd = self->fd;
		m[i].mem = self->mem + i * 4 * page_size();
		m[i].iova = IOVA_A + i * 4 * page_size();
		m[i].failed = 0;
		ASSERT_EQ(0, pthread_create(&m[i].thread, NULL, map_own_range,
					    &m[i]));
	}
	for (i = 0; i < 4; i++) {
		pthread_join(m[i].thread, NULL);
		EXPECT_EQ(0, m[i].failed);
	}
}

static void *map_same_range(void *arg)
{
	struct mapper *m = arg;
	int i, ret;

	for (i = 0; i < 300; i++) {
		ret = dma_map(m->fd, m->mem, IOVA_A, 4 * page_size(), 0);
		if (ret && ret != -EBUSY)
			m->failed++;
		ret = dma_unmap(m->fd, IOVA_A, 4 * page_size());
		if (ret && ret != -ENXIO && ret != -EBUSY)
			m->failed++;
	}
	return NULL;
}

/* Threads that fight for one range get it one at a time, and never break it. */
TEST_F_TIMEOUT(range, contended, TEST_SECONDS)
{
	struct mapper m[4];
	int i;

	for (i = 0; i < 4; i++) {
		m[i].fd = i & 1 ? self->dev.space : self->fd;
		m[i].mem = self->mem + i * 4 * page_size();
		m[i].failed = 0;
		ASSERT_EQ(0, pthread_create(&m[i].thread, NULL, map_same_range,
					    &m[i]));
	}
	for (i = 0; i < 4; i++) {
		pthread_join(m[i].thread, NULL);
		EXPECT_EQ(0, m[i].failed);
	}
	/* The last ones may have left it mapped. */
	dma_unmap(self->fd, IOVA_A, 4 * page_size());
}

/*
 * The limit, owners and refunds: a device that is attached, DMA not needed
 */
FIXTURE(charge)
{
	struct device dev;
	char *mem;
};

FIXTURE_SETUP(charge)
{
	const char *bdf = device_any();

	self->dev.fd = -1;
	self->dev.space = -1;
	if (!bdf)
		SKIP(return, "no device");
	ASSERT_EQ(0, device_open(&self->dev, bdf));
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, locked_pages(bdf));
	self->mem = pages_alloc(32);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(charge)
{
	device_close(&self->dev);
	if (self->dev.bdf)
		EXPECT_EQ(0, locked_pages(self->dev.bdf));
	EXPECT_EQ(0, file_field("/proc/self/status", "VmPin"));
	expect_quiet(_metadata, &self->dev.log);
}

static int set_memlock(size_t pages)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit))
		return -errno;
	limit.rlim_cur = pages * page_size();
	return setrlimit(RLIMIT_MEMLOCK, &limit) ? -errno : 0;
}

TEST_F_TIMEOUT(charge, locked_pages_counts_this_device, TEST_SECONDS)
{
	const __u64 size = page_size();
	int second = node_open(self->dev.bdf, O_RDWR);

	ASSERT_LE(0, second);
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, 8 * size, 0));
	EXPECT_EQ(8, locked_pages(self->dev.bdf));
	EXPECT_EQ(0, dma_map(second, self->mem, IOVA_B, 3 * size, 0));
	EXPECT_EQ(11, locked_pages(self->dev.bdf));
	/* Those of the space's own fd belong to no device. */
	EXPECT_EQ(0, dma_map(self->dev.space, self->mem, IOVA_C, size, 0));
	EXPECT_EQ(11, locked_pages(self->dev.bdf));
	/* Any fd of the space may unmap, the refund goes where it belongs. */
	EXPECT_EQ(0, dma_unmap(self->dev.space, IOVA_B, 3 * size));
	EXPECT_EQ(8, locked_pages(self->dev.bdf));
	EXPECT_EQ(0, dma_unmap(second, IOVA_A, 8 * size));
	EXPECT_EQ(0, locked_pages(self->dev.bdf));
	EXPECT_EQ(0, dma_unmap(second, IOVA_C, size));
	EXPECT_EQ(0, locked_pages(self->dev.bdf));
	close(second);
}

TEST_F_TIMEOUT(charge, pinned_memory_of_the_process, TEST_SECONDS)
{
	const __u64 size = page_size();
	const char *status = "/proc/self/status";

	EXPECT_EQ(0, file_field(status, "VmPin"));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, 16 * size, 0));
	EXPECT_EQ(16 * size / 1024, file_field(status, "VmPin"));
	EXPECT_EQ(0, dma_map(self->dev.space, self->mem, IOVA_B, 8 * size, 0));
	EXPECT_EQ(24 * size / 1024, file_field(status, "VmPin"));
	/* A failure is not charged. */
	EXPECT_EQ(-EFAULT, dma_map(self->dev.fd, NULL, IOVA_C, size, 0));
	EXPECT_EQ(-EBUSY, dma_map(self->dev.fd, self->mem, IOVA_A, size, 0));
	EXPECT_EQ(24 * size / 1024, file_field(status, "VmPin"));
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_B, 8 * size));
	EXPECT_EQ(16 * size / 1024, file_field(status, "VmPin"));
	EXPECT_EQ(0, dma_unmap(self->dev.space, IOVA_A, 16 * size));
	EXPECT_EQ(0, file_field(status, "VmPin"));
}

/* The last page within the limit goes, the first one beyond does not. */
TEST_F_TIMEOUT(charge, limit_is_exact, TEST_SECONDS)
{
	const __u64 size = page_size();
	struct uiommu_info info = {};

	if (limit_is_lifted())
		SKIP(return, "this user has no limit");
	ASSERT_EQ(0, set_memlock(16));
	/* At once */
	EXPECT_EQ(-ENOMEM, dma_map(self->dev.fd, self->mem, IOVA_A, 17 * size,
				   0));
	EXPECT_EQ(-ENOMEM, dma_map(self->dev.space, self->mem, IOVA_A,
				   32 * size, 0));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, 16 * size, 0));
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_A, 16 * size));
	/* One after the other, through both fds */
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, 15 * size, 0));
	EXPECT_EQ(-ENOMEM, dma_map(self->dev.fd, self->mem, IOVA_B, 2 * size,
				   0));
	EXPECT_EQ(0, dma_map(self->dev.space, self->mem, IOVA_B, size, 0));
	EXPECT_EQ(-ENOMEM, dma_map(self->dev.fd, self->mem, IOVA_C, size, 0));
	EXPECT_EQ(-ENOMEM, dma_map(self->dev.space, self->mem, IOVA_C, size,
				   0));
	ASSERT_EQ(0, space_info(self->dev.fd, &info));
	EXPECT_EQ(2, info.out_mappings);
	EXPECT_EQ(16 * size, info.out_charged);
	/* A refund is at hand at once. */
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_B, size));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_C, size, 0));
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_A, 15 * size));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, 15 * size, 0));
	EXPECT_EQ(-ENOMEM, dma_map(self->dev.fd, self->mem, IOVA_B, size, 0));
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_A, 15 * size));
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_C, size));
}

TEST_F_TIMEOUT(charge, limit_of_nothing, TEST_SECONDS)
{
	if (limit_is_lifted())
		SKIP(return, "this user has no limit");
	ASSERT_EQ(0, set_memlock(0));
	EXPECT_EQ(-ENOMEM, dma_map(self->dev.fd, self->mem, IOVA_A,
				   page_size(), 0));
	EXPECT_EQ(-ENOMEM, dma_map(self->dev.space, self->mem, IOVA_A,
				   page_size(), 0));
	ASSERT_EQ(0, set_memlock(1));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(), 0));
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_A, page_size()));
}

/* CAP_IPC_LOCK lifts the limit, and nothing else: the charge is made. */
TEST_F_TIMEOUT(charge, limit_lifted_by_capability, TEST_SECONDS)
{
	struct uiommu_info info = {};

	if (!limit_is_lifted())
		SKIP(return, "needs CAP_IPC_LOCK");
	ASSERT_EQ(0, set_memlock(1));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A,
			     16 * page_size(), 0));
	ASSERT_EQ(0, space_info(self->dev.fd, &info));
	EXPECT_EQ(16 * page_size(), info.out_charged);
	EXPECT_EQ(16 * page_size() / 1024,
		  file_field("/proc/self/status", "VmPin"));
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_A, 16 * page_size()));
}

/* The limit is the user's, not the process's or the fd's. */
TEST_F_TIMEOUT(charge, limit_is_shared_by_processes, TEST_SECONDS)
{
	int space = space_open();
	int status = -1;
	pid_t child;

	if (limit_is_lifted())
		SKIP(return, "this user has no limit");
	ASSERT_LE(0, space);
	ASSERT_EQ(0, set_memlock(16));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A,
			     10 * page_size(), 0));
	child = fork();
	if (!child) {
		int fd = space_open();

		if (dma_map(fd, self->mem, IOVA_A, 7 * page_size(), 0) !=
		    -ENOMEM)
			_exit(1);
		if (dma_map(fd, self->mem, IOVA_A, 6 * page_size(), 0))
			_exit(2);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	/* What the child had is refunded with its fd. */
	EXPECT_EQ(0, dma_map(space, self->mem, IOVA_A, 6 * page_size(), 0));
	EXPECT_EQ(-ENOMEM, dma_map(space, self->mem, IOVA_B, page_size(), 0));
	close(space);
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_B,
			     6 * page_size(), 0));
}

static bool whole_limit_is_free(char *mem)
{
	int fd = space_open();
	int ret;

	ret = dma_map(fd, mem, IOVA_A, 16 * page_size(), 0);
	close(fd);
	return !ret;
}

/* A child maps its memory through an inherited fd and exits; then we close. */
TEST_F_TIMEOUT(charge, child_maps_and_exits, TEST_SECONDS)
{
	struct uiommu_info info = {};
	int status = -1;
	pid_t child;

	if (!limit_is_lifted())
		ASSERT_EQ(0, set_memlock(16));
	child = fork();
	if (!child) {
		if (dma_map(self->dev.fd, self->mem, IOVA_A, 8 * page_size(),
			    0))
			_exit(1);
		if (dma_map(self->dev.space, self->mem, IOVA_B,
			    8 * page_size(), 0))
			_exit(2);
		_exit(file_field("/proc/self/status", "VmPin") ==
		      16 * page_size() / 1024 ? 0 : 3);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	/* Nothing of it was ever ours. */
	EXPECT_EQ(0, file_field("/proc/self/status", "VmPin"));
	ASSERT_EQ(0, space_info(self->dev.fd, &info));
	EXPECT_EQ(info.out_pinned, info.out_charged);
	/* Unmapping what is left of it refunds neither too much nor us. */
	dma_unmap(self->dev.fd, IOVA_A, 8 * page_size());
	EXPECT_EQ(0, locked_pages(self->dev.bdf));
	EXPECT_EQ(0, file_field("/proc/self/status", "VmPin"));
	device_close(&self->dev);
	EXPECT_EQ(0, locked_pages(self->dev.bdf));
	EXPECT_TRUE(whole_limit_is_free(self->mem));
}

/* The parent maps; a child unmaps, which refunds the parent. */
TEST_F_TIMEOUT(charge, child_unmaps_for_parent, TEST_SECONDS)
{
	const char *vmpin = "VmPin";
	int status = -1;
	pid_t child;

	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A,
			     8 * page_size(), 0));
	EXPECT_EQ(8 * page_size() / 1024,
		  file_field("/proc/self/status", vmpin));
	child = fork();
	if (!child) {
		if (file_field("/proc/self/status", vmpin))
			_exit(1);
		if (dma_unmap(self->dev.fd, IOVA_A, 8 * page_size()))
			_exit(2);
		_exit(file_field("/proc/self/status", vmpin) ? 3 : 0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, locked_pages(self->dev.bdf));
	EXPECT_EQ(0, file_field("/proc/self/status", vmpin));
}

/* A child that exits and closes its copies takes nothing of the parent's. */
TEST_F_TIMEOUT(charge, child_exit_leaves_parents_mappings, TEST_SECONDS)
{
	struct uiommu_info info = {};
	int status = -1;
	pid_t child;

	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A,
			     8 * page_size(), 0));
	child = fork();
	if (!child) {
		device_close(&self->dev);
		munmap(self->mem, 8 * page_size());
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(8, locked_pages(self->dev.bdf));
	ASSERT_EQ(0, space_info(self->dev.fd, &info));
	EXPECT_EQ(1, info.out_mappings);
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_A, 8 * page_size()));
}

/* exec replaces the memory, not who was charged for it. */
TEST_F_TIMEOUT(charge, exec, TEST_SECONDS)
{
	int status = -1;
	pid_t child;

	child = fork();
	if (!child) {
		char arg[100];

		if (dma_map(self->dev.fd, self->mem, IOVA_A, 8 * page_size(),
			    0))
			_exit(10);
		snprintf(arg, sizeof(arg), "%d %llu %zu", self->dev.fd, IOVA_A,
			 8 * page_size());
		setenv("UIOMMU_TEST_EXEC", arg, 1);
		fcntl(self->dev.fd, F_SETFD, 0);
		execl("/proc/self/exe", "map", NULL);
		_exit(11);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	/* 2: gone with the memory, which is as good. */
	EXPECT_TRUE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 2) {
		TH_LOG("status %d", WEXITSTATUS(status));
	}
	EXPECT_EQ(0, locked_pages(self->dev.bdf));
}

/* The fd goes to an unrelated process, the mapper closes it: still paid. */
TEST_F_TIMEOUT(charge, close_by_another_process, TEST_SECONDS)
{
	int status = -1, go[2];
	pid_t child;
	char c;

	ASSERT_EQ(0, pipe(go));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A,
			     8 * page_size(), 0));
	child = fork();
	if (!child) {
		close(go[1]);
		if (read(go[0], &c, 1) != 1)
			_exit(1);
		/* The last holder now: exit closes. */
		_exit(0);
	}
	device_close(&self->dev);
	EXPECT_EQ(8, locked_pages(self->dev.bdf));
	EXPECT_EQ(8 * page_size() / 1024,
		  file_field("/proc/self/status", "VmPin"));
	EXPECT_EQ(1, write(go[1], "", 1));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, locked_pages(self->dev.bdf));
	EXPECT_EQ(0, file_field("/proc/self/status", "VmPin"));
}

/* Closing refunds, in each order of fds. */
TEST_F_TIMEOUT(charge, close_refunds, TEST_SECONDS)
{
	const char *status = "/proc/self/status";

	/* The space first */
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A,
			     4 * page_size(), 0));
	EXPECT_EQ(0, dma_map(self->dev.space, self->mem, IOVA_B,
			     4 * page_size(), 0));
	close(self->dev.space);
	self->dev.space = -1;
	EXPECT_EQ(4 * page_size() / 1024, file_field(status, "VmPin"));
	EXPECT_EQ(-ENXIO, dma_unmap(self->dev.fd, IOVA_B, 4 * page_size()));
	close(self->dev.fd);
	self->dev.fd = -1;
	EXPECT_EQ(0, file_field(status, "VmPin"));
	EXPECT_EQ(0, locked_pages(self->dev.bdf));

	/* The device first */
	self->dev.fd = node_open(self->dev.bdf, O_RDWR);
	self->dev.space = space_open();
	ASSERT_EQ(0, device_attach(&self->dev));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A,
			     4 * page_size(), 0));
	EXPECT_EQ(0, dma_map(self->dev.space, self->mem, IOVA_B,
			     4 * page_size(), 0));
	close(self->dev.fd);
	self->dev.fd = -1;
	EXPECT_EQ(4 * page_size() / 1024, file_field(status, "VmPin"));
	EXPECT_EQ(-ENXIO, dma_unmap(self->dev.space, IOVA_A,
				    4 * page_size()));
	close(self->dev.space);
	self->dev.space = -1;
	EXPECT_EQ(0, file_field(status, "VmPin"));
}

/* Killed while it maps: nothing stays pinned or charged. */
TEST_F_TIMEOUT(charge, killed_in_the_middle, TEST_SECONDS)
{
	const size_t len = 192 * MIB;
	struct uiommu_info info = {};
	long pins = pins_outstanding();
	int i, status;
	__u64 begin;
	pid_t child;

	for (i = 0; i < 12; i++) {
		child = fork();
		if (!child) {
			int fd = node_open(self->dev.bdf, O_RDWR);
			void *mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;) {
				if (dma_map(fd, mem, IOVA_HIGH, len,
					    VFIO_FLAG_WRITE))
					_exit(1);
				if (dma_unmap(fd, IOVA_HIGH, len))
					_exit(2);
			}
		}
		/* The charge is made before the memory is pinned. */
		begin = now_ms();
		do {
			sched_yield();
			ASSERT_EQ(0, space_info(self->dev.space, &info));
			ASSERT_LT(now_ms(), begin + 20000);
		} while (!info.out_charged);
		usleep(i * i * 2000);
		kill(child, SIGKILL);
		begin = now_ms();
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status)) {
			TH_LOG("status %x", status);
		}
		EXPECT_GT(begin + 10000, now_ms());
		EXPECT_EQ(0, locked_pages(self->dev.bdf));
		ASSERT_EQ(0, space_info(self->dev.space, &info));
		EXPECT_EQ(0, info.out_mappings);
		EXPECT_EQ(0, info.out_pinned);
		EXPECT_EQ(0, info.out_charged);
	}
	EXPECT_EQ(pins, pins_outstanding());
	EXPECT_TRUE(whole_limit_is_free(self->mem));
}

/* @len bytes of memory that are @num times the same */
static void *same_memory(size_t len, unsigned int num)
{
	int fd = memfd_create("uiommu", MFD_CLOEXEC);
	char *mem = mmap(NULL, len * num, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	if (fd < 0 || mem == MAP_FAILED || ftruncate(fd, len))
		return NULL;
	for (i = 0; i < num; i++)
		if (mmap(mem + i * len, len, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) ==
		    MAP_FAILED)
			return NULL;
	close(fd);
	return mem;
}

/*
 * 4 GiB in one mapping: what the kernel keeps of them is bounded, and it gives up
 * in the middle when the process is killed.
 */
TEST_F_TIMEOUT(charge, four_gib, TEST_SECONDS)
{
	const unsigned int num = 64;
	const size_t part = 64 * MIB;
	const __u64 iova = 0x100000000ULL;
	struct uiommu_info info = {};
	long pins = pins_outstanding(), slab, status, i, rounds;
	__u64 begin, took;
	char *mem;
	pid_t child;

	if (!limit_is_lifted())
		SKIP(return, "more than the limit");
	if (sizeof(mem) == 4)
		SKIP(return, "more than the process has addresses for");
	mem = same_memory(part, num);
	ASSERT_NE(NULL, mem);
	slab = file_field("/proc/meminfo", "SUnreclaim");
	begin = now_ms();
	ASSERT_EQ(0, dma_map(self->dev.fd, mem, iova, num * part,
			     VFIO_FLAG_WRITE));
	took = now_ms() - begin;
	slab = file_field("/proc/meminfo", "SUnreclaim") - slab;
	TH_LOG("%llu ms, %ld kB of slab", took, slab);
	/* 8 bytes for each page if no two of them were neighbours */
	EXPECT_GT(10 * 1024, slab);
	EXPECT_EQ(num * part / page_size(), locked_pages(self->dev.bdf));
	EXPECT_EQ(0, dma_unmap(self->dev.fd, iova, num * part));
	EXPECT_EQ(pins, pins_outstanding());

	/* With sanitisers it takes long. */
	rounds = took < 5000 ? 4 : 1;
	for (i = 1; i <= rounds; i++) {
		child = fork();
		if (!child) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;) {
				if (dma_map(self->dev.space, mem, iova,
					    num * part, VFIO_FLAG_WRITE) ||
				    dma_unmap(self->dev.space, iova,
					      num * part))
					_exit(1);
			}
		}
		begin = now_ms();
		do {
			sched_yield();
			ASSERT_EQ(0, space_info(self->dev.space, &info));
			ASSERT_LT(now_ms(), begin + 60000);
		} while (!info.out_charged);
		usleep(took * i * 200);
		kill(child, SIGKILL);
		begin = now_ms();
		ASSERT_EQ(child, waitpid(child, (int *)&status, 0));
		EXPECT_TRUE(WIFSIGNALED((int)status));
		/* The file is ours, too: what was complete goes a little later. */
		do {
			sleep_ms(10);
			ASSERT_EQ(0, space_info(self->dev.space, &info));
		} while (info.out_charged && now_ms() < begin + 60000);
		EXPECT_EQ(0, info.out_mappings);
		EXPECT_EQ(0, info.out_pinned);
		EXPECT_EQ(0, info.out_charged);
		EXPECT_EQ(pins, pins_outstanding());
	}
	munmap(mem, num * part);
}

#define CGROUP	"/sys/fs/cgroup/uiommu"

/* A cgroup of its own with so much memory, or false */
static bool cgroup_make(const char *max)
{
	char controllers[256] = "";

	/* It may be there already. */
	mount("none", "/sys/fs/cgroup", "cgroup2", 0, NULL);
	if (file_read("/sys/fs/cgroup/cgroup.controllers", controllers,
		      sizeof(controllers)) < 0 ||
	    !strstr(controllers, "memory"))
		return false;
	return !file_write("/sys/fs/cgroup/cgroup.subtree_control", "+memory") &&
	       !mkdir(CGROUP, 0755) &&
	       !file_write(CGROUP "/memory.max", max);
}

/* What a user leaves in the kernel by mappings is limited with its cgroup. */
TEST_F_TIMEOUT(charge, small_cgroup, TEST_SECONDS)
{
	const long max = 6 * MIB;
	unsigned int *made;
	int status, space;
	pid_t child;

	made = mmap(NULL, page_size(), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, made);
	if (geteuid() || !cgroup_make("6291456"))
		SKIP(return, "no cgroup with a limit of memory");
	space = space_open();
	ASSERT_LE(0, space);
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (file_write(CGROUP "/cgroup.procs", "0"))
			_exit(1);
		/* Records alone: the page is one, and no table holds it yet. */
		for (; *made < 1000000; (*made)++)
			if (dma_map(space, self->mem,
				    IOVA_LARGE + *made * page_size(),
				    page_size(), 0))
				_exit(2);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	TH_LOG("%u mappings in %ld kB", *made, max / 1024);
	/* Refused, or killed for want of memory; with 64 bytes and more for each */
	EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 2) {
		TH_LOG("status %x", status);
	}
	EXPECT_LT(1000, *made);
	EXPECT_GT(max / 64, *made);
	close(space);
	/* Pages of slabs come back a little later. */
	for (status = 0; status < 1000; status++) {
		if (file_number(CGROUP "/memory.current") < (long)MIB)
			break;
		sleep_ms(10);
	}
	EXPECT_GT((long)MIB, file_number(CGROUP "/memory.current"));
	EXPECT_EQ(0, rmdir(CGROUP));
	munmap(made, page_size());
}

/*
 * What the device reaches
 */
FIXTURE(dma)
{
	struct device dev;
	struct engine engine;
	unsigned char *mem;
	unsigned char *data;
};

FIXTURE_VARIANT(dma)
{
	const char *env;
};

FIXTURE_VARIANT_ADD(dma, edu) {
	.env = "UIOMMU_EDU",
};

FIXTURE_VARIANT_ADD(dma, nvme) {
	.env = "UIOMMU_NVME",
};

FIXTURE_SETUP(dma)
{
	self->dev.fd = -1;
	self->dev.space = -1;
	if (!getenv(variant->env))
		SKIP(return, "no such device");
	ASSERT_EQ(0, device_open(&self->dev, getenv(variant->env)));
	self->mem = pages_alloc(16);
	ASSERT_NE(NULL, self->mem);
}

FIXTURE_TEARDOWN(dma)
{
	engine_stop(&self->engine);
	device_close(&self->dev);
	if (self->dev.bdf)
		EXPECT_EQ(0, locked_pages(self->dev.bdf));
	expect_quiet(_metadata, &self->dev.log);
}

TEST_F_TIMEOUT(dma, reaches_what_is_mapped, TEST_SECONDS)
{
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_EQ(0, dma_map(self->dev.space, self->mem + page_size(), IOVA_B,
			     page_size(), VFIO_FLAG_WRITE));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->mem));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_B,
				   self->mem + page_size()));
	/* From one buffer to the other */
	memset(self->mem, 0x5a, page_size());
	EXPECT_EQ(0, engine_copy(&self->engine, IOVA_A, IOVA_B, ENGINE_BYTES));
	EXPECT_TRUE(memory_is(self->mem + page_size(), 0x5a,
			      ENGINE_BYTES));
}

TEST_F_TIMEOUT(dma, does_not_reach_the_rest, TEST_SECONDS)
{
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_A + page_size(),
				      self->mem));
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_A - page_size(),
				      self->mem));
	EXPECT_TRUE(engine_is_stopped(&self->engine, 0, self->mem));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->mem));
}

TEST_F_TIMEOUT(dma, stops_when_unmapped, TEST_SECONDS)
{
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->mem));
	EXPECT_EQ(0, dma_unmap(self->dev.space, IOVA_A, page_size()));
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_A, self->mem));
	EXPECT_EQ(0, dma_map(self->dev.space, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->mem));
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_A, page_size()));
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_A, self->mem));
}

TEST_F_TIMEOUT(dma, read_only_mapping, TEST_SECONDS)
{
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(), 0));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem + page_size(), IOVA_B,
			     page_size(), VFIO_FLAG_WRITE));
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_A, self->mem));
	/* Reading works. */
	memset(self->mem, 0x77, page_size());
	EXPECT_EQ(0, engine_copy(&self->engine, IOVA_A, IOVA_B, ENGINE_BYTES));
	EXPECT_TRUE(memory_is(self->mem + page_size(), 0x77,
			      ENGINE_BYTES));
	EXPECT_TRUE(memory_is(self->mem, 0x77, page_size()));
}

/* A read-only mapping of memory that the process itself may only read */
TEST_F_TIMEOUT(dma, read_only_memory, TEST_SECONDS)
{
	unsigned char *target = self->mem + page_size();

	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	memset(self->mem, 0x33, page_size());
	ASSERT_EQ(0, mprotect(self->mem, page_size(), PROT_READ));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(), 0));
	EXPECT_EQ(0, dma_map(self->dev.fd, target, IOVA_B, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_EQ(0, engine_copy(&self->engine, IOVA_A, IOVA_B, ENGINE_BYTES));
	EXPECT_TRUE(memory_is(target, 0x33, ENGINE_BYTES));
}

/* Mapped before any device is there, found by the device that comes. */
TEST_F_TIMEOUT(dma, mapped_before_set, TEST_SECONDS)
{
	EXPECT_EQ(0, dma_map(self->dev.space, self->mem, IOVA_A,
			     4 * page_size(), VFIO_FLAG_WRITE));
	EXPECT_EQ(0, dma_map(self->dev.space, self->mem + 8 * page_size(),
			     IOVA_B, page_size(), 0));
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->mem));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A + 3 * page_size(),
				   self->mem + 3 * page_size()));
	/* A read-only one is so for a device that comes later. */
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_B,
				      self->mem + 8 * page_size()));
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_A + 4 * page_size(),
				      self->mem));
}

/* Records stay when the device leaves, and fill the tables of the next. */
TEST_F_TIMEOUT(dma, mappings_survive_unset, TEST_SECONDS)
{
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
		if (!i)
			EXPECT_EQ(0, dma_map(self->dev.space, self->mem,
					     IOVA_A, 2 * page_size(),
					     VFIO_FLAG_WRITE));
		EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->mem));
		EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A + page_size(),
					   self->mem + page_size()));
		engine_stop(&self->engine);
		ASSERT_EQ(0, domain_unset(self->dev.fd));
	}
	/* Unmapped while nothing is attached: gone for the next. */
	EXPECT_EQ(0, dma_unmap(self->dev.space, IOVA_A, 2 * page_size()));
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_A, self->mem));
}

TEST_F_TIMEOUT(dma, one_buffer_at_two_addresses, TEST_SECONDS)
{
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_B, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->mem));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_B, self->mem));
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_A, page_size()));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_B, self->mem));
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_A, self->mem));
}

/* A refused unmap leaves the whole mapping in the tables, too. */
TEST_F_TIMEOUT(dma, partial_unmap_changes_nothing, TEST_SECONDS)
{
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, 4 * page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_EQ(-EINVAL, dma_unmap(self->dev.fd, IOVA_A, page_size()));
	EXPECT_EQ(-EINVAL, dma_unmap(self->dev.fd, IOVA_A + 2 * page_size(),
				     8 * page_size()));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->mem));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A + 3 * page_size(),
				   self->mem + 3 * page_size()));
}

/* A map that fails half way puts nothing into the tables. */
TEST_F_TIMEOUT(dma, failed_map_leaves_nothing, TEST_SECONDS)
{
	unsigned char *mem = pages_alloc(1024);

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, munmap(mem + 1023 * page_size(), page_size()));
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_EQ(-EFAULT, dma_map(self->dev.fd, mem, IOVA_A,
				   1024 * page_size(), VFIO_FLAG_WRITE));
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_A, mem));
	EXPECT_TRUE(engine_is_stopped(&self->engine,
				      IOVA_A + 1022 * page_size(),
				      mem + 1022 * page_size()));
}

/* The mappings of the space fd go with it, the device stays attached. */
TEST_F_TIMEOUT(dma, space_closed_first, TEST_SECONDS)
{
	unsigned char *engine = pages_alloc(5);

	ASSERT_NE(NULL, engine);
	ASSERT_EQ(0, device_attach(&self->dev));
	EXPECT_EQ(0, dma_map(self->dev.space, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	close(self->dev.space);
	/* From here on the engine uses the device fd. */
	self->dev.space = self->dev.fd;
	ASSERT_EQ(0, engine_start(&self->engine, &self->dev));
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_A, self->mem));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->mem));
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_A, page_size()));
	engine_stop(&self->engine);
	self->dev.space = -1;
}

/* A second fd refers to the same open file, a second open does not. */
TEST_F_TIMEOUT(dma, mappings_belong_to_the_open_file, TEST_SECONDS)
{
	int space = dup(self->dev.space);
	int second = node_open(self->dev.bdf, O_RDWR);

	ASSERT_LE(0, space);
	ASSERT_LE(0, second);
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_EQ(0, dma_map(space, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_EQ(0, dma_map(second, self->mem + page_size(), IOVA_B,
			     page_size(), VFIO_FLAG_WRITE));
	close(space);
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->mem));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_B,
				   self->mem + page_size()));
	close(second);
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->mem));
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_B,
				      self->mem + page_size()));
	EXPECT_EQ(0, locked_pages(self->dev.bdf));
}

/* The first file of a device closes, a second one keeps it attached. */
TEST_F_TIMEOUT(dma, attached_until_the_last_close, TEST_SECONDS)
{
	int second = node_open(self->dev.bdf, O_RDWR);

	ASSERT_LE(0, second);
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_EQ(0, dma_map(second, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_B, page_size(),
			     VFIO_FLAG_WRITE));
	/* The mapped BAR holds the first file: map it through the second. */
	if (self->dev.bar) {
		ASSERT_EQ(0, munmap(self->dev.bar, self->dev.bar_len));
		self->dev.bar = space_mmap(second, 0, 0, self->dev.bar_len);
		ASSERT_NE(NULL, self->dev.bar);
	}
	close(self->dev.fd);
	self->dev.fd = second;
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->mem));
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_B, self->mem));
}

TEST_F_TIMEOUT(dma, large_mapping, TEST_SECONDS)
{
	const size_t len = 64 * MIB;
	unsigned char *mem = pages_alloc(len / page_size());
	long pins = pins_outstanding();

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_EQ(0, dma_map(self->dev.fd, mem, IOVA_LARGE, len,
			     VFIO_FLAG_WRITE));
	EXPECT_EQ(len / page_size(), locked_pages(self->dev.bdf));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_LARGE, mem));
	EXPECT_TRUE(engine_reaches(&self->engine,
				   IOVA_LARGE + len / 2 + page_size(),
				   mem + len / 2 + page_size()));
	EXPECT_TRUE(engine_reaches(&self->engine,
				   IOVA_LARGE + len - page_size(),
				   mem + len - page_size()));
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_LARGE + len, mem));
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_LARGE - page_size(),
				      mem));
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_LARGE, len));
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_LARGE + len / 2,
				      mem + len / 2));
	engine_stop(&self->engine);
	EXPECT_EQ(pins, pins_outstanding());
}

/* Pages in an order that no two of them are neighbours in memory */
TEST_F_TIMEOUT(dma, scattered_pages, TEST_SECONDS)
{
	/* With large pages fewer: interrupts can be from 128 MiB on. */
	const size_t size = page_size(), num = size > 4096 ? 1024 : 2048;
	unsigned char *mem = mmap(NULL, num * size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const size_t tests[] = { 0, 1, 511, 512, 513, num / 2 - 1, num - 1 };
	size_t i;

	ASSERT_NE(MAP_FAILED, mem);
	madvise(mem, num * size, MADV_NOHUGEPAGE);
	for (i = 0; i < num; i++)
		mem[i * 1237 % num * size] = 1;
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_EQ(0, dma_map(self->dev.fd, mem, IOVA_A, num * size,
			     VFIO_FLAG_WRITE));
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		EXPECT_TRUE(engine_reaches(&self->engine,
					   IOVA_A + tests[i] * size,
					   mem + tests[i] * size));
	}
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_A, num * size));
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_A + 512 * size,
				      mem + 512 * size));
}

static unsigned char *huge_alloc(size_t len)
{
	unsigned char *mem = mmap(NULL, len + HUGE_SIZE,
				  PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		return NULL;
	mem += -(uintptr_t)mem & (HUGE_SIZE - 1);
	if (madvise(mem, len, MADV_HUGEPAGE))
		return NULL;
	memset(mem, 0, len);
	return mem;
}

TEST_F_TIMEOUT(dma, huge_pages, TEST_SECONDS)
{
	const size_t len = 4 * HUGE_SIZE;
	unsigned char *mem = huge_alloc(len);
	long pins = pins_outstanding();

	if (!mem)
		SKIP(return, "no transparent huge pages");
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_EQ(0, dma_map(self->dev.fd, mem, IOVA_LARGE, len,
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_LARGE, mem));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_LARGE + HUGE_SIZE,
				   mem + HUGE_SIZE));
	EXPECT_TRUE(engine_reaches(&self->engine,
				   IOVA_LARGE + len - page_size(),
				   mem + len - page_size()));
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_LARGE + len, mem));
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_LARGE, len));
	/* Congruent to nothing: starts and ends within huge pages */
	EXPECT_EQ(0, dma_map(self->dev.fd, mem + 5 * page_size(),
			     IOVA_LARGE + 3 * page_size(),
			     len - 9 * page_size(), VFIO_FLAG_WRITE));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_LARGE + 3 * page_size(),
				   mem + 5 * page_size()));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_LARGE + HUGE_SIZE,
				   mem + HUGE_SIZE + 2 * page_size()));
	EXPECT_TRUE(engine_is_stopped(&self->engine,
				      IOVA_LARGE + 2 * page_size(),
				      mem + 4 * page_size()));
	EXPECT_TRUE(engine_is_stopped(&self->engine,
				      IOVA_LARGE + len - 6 * page_size(),
				      mem + len - 4 * page_size()));
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_LARGE + 3 * page_size(),
			       len - 9 * page_size()));
	engine_stop(&self->engine);
	EXPECT_EQ(pins, pins_outstanding());
}

/*
 * A mapping that is contiguous in memory and crosses a border of the largest
 * I/O page, so that it is two runs for the IOMMU: filled at attach, unmapped at
 * once.
 */
TEST_F_TIMEOUT(dma, contiguous_across_a_border, TEST_SECONDS)
{
	const __u64 borders[] = { 0x200000, 0x9000000, 0x40000000 };
	unsigned char *mem = huge_alloc(HUGE_SIZE);
	const size_t size = page_size();
	size_t i;

	if (!mem)
		SKIP(return, "no transparent huge pages");
	for (i = 0; i < ARRAY_SIZE(borders); i++)
		ASSERT_EQ(0, dma_map(self->dev.space, mem, borders[i] - size,
				     2 * size, VFIO_FLAG_WRITE));
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	for (i = 0; i < ARRAY_SIZE(borders); i++) {
		/* edu reaches the lower ones only. */
		if (borders[i] < 0x10000000 || self->engine.nvme)
			EXPECT_TRUE(engine_reaches(&self->engine, borders[i],
						   mem + size));
		EXPECT_EQ(0, dma_unmap(self->dev.space, borders[i] - size,
				       2 * size));
	}
	EXPECT_TRUE(engine_is_stopped(&self->engine, borders[0], mem + size));
}

/*
 * As engine_is_stopped(), by what is in memory alone: the kernel logs only so many
 * faults in a time.
 */
static bool is_untouched(struct engine *engine, __u64 iova, void *mem)
{
	memset(mem, 0, page_size());
	engine_write(engine, iova, engine->nvme ? 512 : 8);
	log_take_faults(&engine->dev->log, 100);
	return memory_is(mem, 0, page_size());
}

/*
 * Neighbours in memory and in IOVA that are mapped in one request are mappings of
 * their own: each is unmapped alone, and the others stay in reach.
 */
TEST_F_TIMEOUT(dma, batch_of_neighbours, TEST_SECONDS)
{
	const unsigned int num = 512, gone[] = { 0, 1, 255, 256, 300, 511 };
	const size_t size = page_size();
	unsigned char *huge = huge_alloc(num * size);
	unsigned char *mem[] = { pages_alloc(num), huge };
	struct vfio_dma_map e[512];
	long pins = pins_outstanding();
	unsigned int i, k, done;

	ASSERT_NE(NULL, mem[0]);
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	for (k = 0; k < ARRAY_SIZE(mem) && mem[k]; k++) {
		for (i = 0; i < num; i++)
			e[i] = (struct vfio_dma_map){
				.vaddr = (uintptr_t)mem[k] + i * size,
				.dmaaddr = IOVA_LARGE + i * size,
				.size = size,
				.flags = VFIO_FLAG_WRITE,
			};
		ASSERT_EQ(0, dma_batch(self->dev.fd, UIOMMU_MAP_BATCH, e, num,
				       &done));
		EXPECT_EQ(num, done);
		EXPECT_EQ(num, locked_pages(self->dev.bdf));
		for (i = 0; i < num; i += 73)
			EXPECT_TRUE(engine_reaches(&self->engine, e[i].dmaaddr,
						   mem[k] + i * size));
		for (i = 0; i < ARRAY_SIZE(gone); i++)
			EXPECT_EQ(0, dma_unmap(self->dev.fd,
					       e[gone[i]].dmaaddr, size));
		for (i = 0; i < ARRAY_SIZE(gone); i++)
			EXPECT_TRUE(is_untouched(&self->engine,
						 e[gone[i]].dmaaddr,
						 mem[k] + gone[i] * size));
		EXPECT_TRUE(engine_reaches(&self->engine, e[2].dmaaddr,
					   mem[k] + 2 * size));
		EXPECT_TRUE(engine_reaches(&self->engine, e[254].dmaaddr,
					   mem[k] + 254 * size));
		EXPECT_TRUE(engine_reaches(&self->engine, e[257].dmaaddr,
					   mem[k] + 257 * size));
		EXPECT_TRUE(engine_reaches(&self->engine, e[510].dmaaddr,
					   mem[k] + 510 * size));
		/* The rest in one piece, over the holes */
		EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_LARGE, num * size));
		EXPECT_EQ(0, locked_pages(self->dev.bdf));
	}
	log_take_faults(&self->dev.log, 500);
	engine_stop(&self->engine);
	EXPECT_EQ(pins, pins_outstanding());
}

/* One that cannot be mapped: those before it are, and nothing of the others. */
TEST_F_TIMEOUT(dma, batch_with_a_bad_one, TEST_SECONDS)
{
	const unsigned int num = 64, bad = 37;
	unsigned char *mem = pages_alloc(num);
	const size_t size = page_size();
	long pins = pins_outstanding();
	struct vfio_dma_map e[64];
	unsigned int i, how, done;

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	for (how = 0; how < 3; how++) {
		const int error[] = { -EFAULT, -EBUSY, -EADDRNOTAVAIL };

		for (i = 0; i < num; i++)
			e[i] = (struct vfio_dma_map){
				.vaddr = (uintptr_t)mem + i * size,
				.dmaaddr = IOVA_LARGE + i * size,
				.size = size,
				.flags = VFIO_FLAG_WRITE,
			};
		if (how == 0)
			e[bad].vaddr = 0;
		else if (how == 1)
			e[bad].dmaaddr = e[3].dmaaddr;
		else
			e[bad].dmaaddr = reserved_iova(self->dev.bdf);
		EXPECT_EQ(error[how], dma_batch(self->dev.fd, UIOMMU_MAP_BATCH,
						e, num, &done));
		EXPECT_EQ(bad, done);
		EXPECT_EQ(bad, locked_pages(self->dev.bdf));
		EXPECT_TRUE(engine_reaches(&self->engine, e[bad - 1].dmaaddr,
					   mem + (bad - 1) * size));
		EXPECT_TRUE(is_untouched(&self->engine,
					 IOVA_LARGE + bad * size,
					 mem + bad * size));
		EXPECT_TRUE(is_untouched(&self->engine, e[bad + 1].dmaaddr,
					 mem + (bad + 1) * size));
		EXPECT_EQ(0, dma_batch(self->dev.fd, UIOMMU_UNMAP_BATCH, e, bad,
				       &done));
		EXPECT_EQ(bad, done);
		EXPECT_EQ(0, locked_pages(self->dev.bdf));
	}
	log_take_faults(&self->dev.log, 500);
	engine_stop(&self->engine);
	EXPECT_EQ(pins, pins_outstanding());
}

/*
 * The pages of a huge page, two of them exchanged: the first and the last one
 * are where they were, and only a look at each tells.
 */
TEST_F_TIMEOUT(dma, permuted_huge_page, TEST_SECONDS)
{
	const size_t size = page_size();
	const size_t a = HUGE_SIZE / 4 / size * size, b = 2 * a;
	unsigned char *mem = huge_alloc(HUGE_SIZE);
	unsigned char *spare = pages_alloc(1);
	const int flags = MREMAP_MAYMOVE | MREMAP_FIXED;

	if (!mem)
		SKIP(return, "no transparent huge pages");
	ASSERT_EQ(spare, mremap(mem + a, size, size, flags, spare));
	ASSERT_EQ(mem + a, mremap(mem + b, size, size, flags, mem + a));
	ASSERT_EQ(mem + b, mremap(spare, size, size, flags, mem + b));
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_EQ(0, dma_map(self->dev.fd, mem, IOVA_LARGE, HUGE_SIZE,
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_LARGE + a, mem + a));
	EXPECT_TRUE(memory_is(mem + b, 0, size));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_LARGE + b, mem + b));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_LARGE + a - size,
				   mem + a - size));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_LARGE + a + size,
				   mem + a + size));
}

TEST_F_TIMEOUT(dma, hugetlb, TEST_SECONDS)
{
	const size_t len = 2 * HUGE_SIZE;
	long pins = pins_outstanding();
	unsigned char *mem;

	mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1,
		   0);
	if (mem == MAP_FAILED)
		SKIP(return, "no hugetlb pages");
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_EQ(0, dma_map(self->dev.fd, mem, IOVA_LARGE, len,
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_LARGE, mem));
	EXPECT_TRUE(engine_reaches(&self->engine,
				   IOVA_LARGE + len - page_size(),
				   mem + len - page_size()));
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_LARGE, len));
	/* A piece across the border of two of them */
	EXPECT_EQ(0, dma_map(self->dev.fd, mem + HUGE_SIZE - 3 * page_size(),
			     IOVA_A, 7 * page_size(), VFIO_FLAG_WRITE));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A,
				   mem + HUGE_SIZE - 3 * page_size()));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A + 6 * page_size(),
				   mem + HUGE_SIZE + 3 * page_size()));
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_A + 7 * page_size(),
				      mem + HUGE_SIZE + 4 * page_size()));
	EXPECT_EQ(7, locked_pages(self->dev.bdf));
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_A, 7 * page_size()));
	engine_stop(&self->engine);
	ASSERT_EQ(0, munmap(mem, len));
	EXPECT_EQ(pins, pins_outstanding());
}

/*
 * The process changes its mind about the memory. Whether the mapping goes or
 * keeps the old pages, the device must not reach what comes in their place.
 */
TEST_F_TIMEOUT(dma, memory_replaced_by_mmap, TEST_SECONDS)
{
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->mem));
	ASSERT_EQ(self->mem, mmap(self->mem, page_size(),
				  PROT_READ | PROT_WRITE, MAP_PRIVATE |
				  MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1,
				  0));
	engine_write(&self->engine, IOVA_A, ENGINE_BYTES);
	log_take_faults(&self->dev.log, 200);
	EXPECT_TRUE(memory_is(self->mem, 0, page_size()));
}

TEST_F_TIMEOUT(dma, memory_moved_by_mremap, TEST_SECONDS)
{
	unsigned char *to = pages_alloc(1);

	ASSERT_NE(NULL, to);
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	ASSERT_EQ(to, mremap(self->mem, page_size(), page_size(),
			     MREMAP_MAYMOVE | MREMAP_FIXED, to));
	ASSERT_EQ(self->mem, mmap(self->mem, page_size(),
				  PROT_READ | PROT_WRITE, MAP_PRIVATE |
				  MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1,
				  0));
	engine_write(&self->engine, IOVA_A, ENGINE_BYTES);
	log_take_faults(&self->dev.log, 200);
	EXPECT_TRUE(memory_is(self->mem, 0, page_size()));
}

TEST_F_TIMEOUT(dma, memory_given_back_by_madvise, TEST_SECONDS)
{
	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	ASSERT_EQ(0, madvise(self->mem, page_size(), MADV_DONTNEED));
	EXPECT_TRUE(memory_is(self->mem, 0, page_size()));
	engine_write(&self->engine, IOVA_A, ENGINE_BYTES);
	log_take_faults(&self->dev.log, 200);
	EXPECT_TRUE(memory_is(self->mem, 0, page_size()));
}

/* fork: parent and child write, the device stays with the parent's page. */
TEST_F_TIMEOUT(dma, fork_and_write, TEST_SECONDS)
{
	int status = -1;
	pid_t child;

	ASSERT_EQ(0, engine_attach(&self->engine, &self->dev));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->mem, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	child = fork();
	if (!child) {
		memset(self->mem, 0xcc, page_size());
		sleep_ms(100);
		_exit(memory_is(self->mem, 0xcc, page_size()) ? 0 : 1);
	}
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->mem));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->mem));
}

TEST_HARNESS_MAIN
