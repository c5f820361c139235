// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/uiommu and the way of devices in and out of address spaces.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "util.h"

/* A device that does DMA, to see what it can reach */
static const char *engine_bdf(void)
{
	return getenv("UIOMMU_EDU") ?: getenv("UIOMMU_NVME");
}

/* Another device, in another group */
static const char *other_bdf(void)
{
	return getenv("UIOMMU_VF") ?: getenv("UIOMMU_E1000E");
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
 * Without a device
 */
FIXTURE(space)
{
	struct log log;
	void *page;
};

FIXTURE_SETUP(space)
{
	if (access("/dev/uiommu", F_OK))
		SKIP(return, "no /dev/uiommu");
	ASSERT_EQ(0, log_open(&self->log));
	self->page = pages_alloc(1);
	ASSERT_NE(NULL, self->page);
}

FIXTURE_TEARDOWN(space)
{
	expect_quiet(_metadata, &self->log);
}

TEST_F_TIMEOUT(space, opens_in_every_mode, TEST_SECONDS)
{
	static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		int fd = open("/dev/uiommu", modes[i] | O_CLOEXEC);

		ASSERT_LE(0, fd);
		EXPECT_EQ(0, dma_map(fd, self->page, IOVA_A, page_size(),
				     VFIO_FLAG_WRITE));
		EXPECT_EQ(0, dma_unmap(fd, IOVA_A, page_size()));
		close(fd);
	}
}

TEST_F_TIMEOUT(space, each_open_is_a_space_of_its_own, TEST_SECONDS)
{
	int one = space_open(), two = space_open();
	struct uiommu_info info = {};

	ASSERT_LE(0, one);
	ASSERT_LE(0, two);
	EXPECT_EQ(0, dma_map(one, self->page, IOVA_A, page_size(), 0));
	EXPECT_EQ(-ENXIO, dma_unmap(two, IOVA_A, page_size()));
	EXPECT_EQ(0, dma_map(two, self->page, IOVA_A, page_size(), 0));
	ASSERT_EQ(0, space_info(one, &info));
	EXPECT_EQ(1, info.out_mappings);
	EXPECT_EQ(0, dma_unmap(one, IOVA_A, page_size()));
	ASSERT_EQ(0, space_info(two, &info));
	EXPECT_EQ(1, info.out_mappings);
	close(one);
	close(two);
}

TEST_F_TIMEOUT(space, info_counts, TEST_SECONDS)
{
	struct uiommu_info info = {};
	int fd = space_open();
	char *mem = pages_alloc(8);

	ASSERT_LE(0, fd);
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, space_info(fd, &info));
	EXPECT_EQ(0, info.out_mappings);
	EXPECT_EQ(0, info.out_pinned);
	EXPECT_EQ(0, info.out_charged);
	/* The unit is the page, and nothing smaller. */
	EXPECT_EQ(page_size(), info.out_page_sizes & -info.out_page_sizes);

	EXPECT_EQ(0, dma_map(fd, mem, IOVA_A, 8 * page_size(), 0));
	ASSERT_EQ(0, space_info(fd, &info));
	EXPECT_EQ(1, info.out_mappings);
	EXPECT_EQ(8 * page_size(), info.out_pinned);
	EXPECT_EQ(8 * page_size(), info.out_charged);

	/* The same memory again counts again. */
	EXPECT_EQ(0, dma_map(fd, mem, IOVA_B, page_size(), 0));
	ASSERT_EQ(0, space_info(fd, &info));
	EXPECT_EQ(2, info.out_mappings);
	EXPECT_EQ(9 * page_size(), info.out_pinned);

	EXPECT_EQ(0, dma_unmap(fd, IOVA_A, 8 * page_size()));
	EXPECT_EQ(0, dma_unmap(fd, IOVA_B, page_size()));
	ASSERT_EQ(0, space_info(fd, &info));
	EXPECT_EQ(0, info.out_mappings);
	EXPECT_EQ(0, info.out_pinned);
	EXPECT_EQ(0, info.out_charged);
	close(fd);
}

/* Nothing bounds a space before a device does, but ranges must not wrap. */
TEST_F_TIMEOUT(space, without_a_device_every_address_goes, TEST_SECONDS)
{
	const __u64 top = UINT64_MAX - page_size() + 1;
	struct uiommu_window window = {};
	struct uiommu_info info = {
		.num_windows = 1,
		.windows = (uintptr_t)&window,
	};
	int fd = space_open();

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, space_info(fd, &info));
	EXPECT_EQ(1, info.num_windows);
	EXPECT_EQ(0, window.first);
	EXPECT_EQ(UINT64_MAX, window.last);

	EXPECT_EQ(0, dma_map(fd, self->page, 0, page_size(), 0));
	EXPECT_EQ(0, dma_map(fd, self->page, IOVA_LARGE, page_size(), 0));
	EXPECT_EQ(0, dma_map(fd, self->page, top, page_size(), 0));
	EXPECT_EQ(-EINVAL, dma_map(fd, self->page, top, 2 * page_size(), 0));
	EXPECT_EQ(-EINVAL, dma_unmap(fd, top, 2 * page_size()));
	EXPECT_EQ(0, dma_unmap(fd, 0, page_size()));
	EXPECT_EQ(0, dma_unmap(fd, IOVA_LARGE, page_size()));
	EXPECT_EQ(0, dma_unmap(fd, top, page_size()));
	close(fd);
}

TEST_F_TIMEOUT(space, many_spaces, TEST_SECONDS)
{
	int fds[200];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = space_open();
		ASSERT_LE(0, fds[i]);
		ASSERT_EQ(0, dma_map(fds[i], self->page, IOVA_A, page_size(),
				     0));
	}
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	EXPECT_TRUE(memory_is(self->page, 0, page_size()));
}

/*
 * With a device
 */
FIXTURE(attach)
{
	struct device dev;
	void *page;
};

FIXTURE_SETUP(attach)
{
	const char *bdf = device_any();

	self->dev.fd = -1;
	self->dev.space = -1;
	if (!bdf)
		SKIP(return, "no device");
	ASSERT_EQ(0, device_open(&self->dev, bdf));
	self->page = pages_alloc(1);
	ASSERT_NE(NULL, self->page);
}

FIXTURE_TEARDOWN(attach)
{
	device_close(&self->dev);
	expect_quiet(_metadata, &self->dev.log);
}

TEST_F_TIMEOUT(attach, set_with_wrong_fds, TEST_SECONDS)
{
	int efd = eventfd_new(), null = open("/dev/null", O_RDWR);
	int dir = open("/", O_RDONLY | O_DIRECTORY), path = open("/", O_PATH);
	int closed = dup(efd);
	int pipes[2];

	ASSERT_EQ(0, pipe(pipes));
	close(closed);
	EXPECT_EQ(-EBADF, domain_set(self->dev.fd, -1));
	EXPECT_EQ(-EBADF, domain_set(self->dev.fd, INT32_MIN));
	EXPECT_EQ(-EBADF, domain_set(self->dev.fd, INT32_MAX));
	EXPECT_EQ(-EBADF, domain_set(self->dev.fd, closed));
	EXPECT_EQ(-EBADF, domain_set(self->dev.fd, path));
	EXPECT_EQ(-EINVAL, domain_set(self->dev.fd, efd));
	EXPECT_EQ(-EINVAL, domain_set(self->dev.fd, null));
	EXPECT_EQ(-EINVAL, domain_set(self->dev.fd, dir));
	EXPECT_EQ(-EINVAL, domain_set(self->dev.fd, pipes[0]));
	EXPECT_EQ(-EINVAL, domain_set(self->dev.fd, self->dev.fd));

	/* None of that attached it, and the right fd does. */
	EXPECT_EQ(-EINVAL, domain_unset(self->dev.fd));
	EXPECT_EQ(0, domain_set(self->dev.fd, self->dev.space));
	EXPECT_EQ(0, domain_unset(self->dev.fd));
}

/* A refused fd is not held: the last reader of a pipe is gone when closed. */
TEST_F_TIMEOUT(attach, set_leaks_no_reference, TEST_SECONDS)
{
	int pipes[2];
	int i;

	signal(SIGPIPE, SIG_IGN);
	ASSERT_EQ(0, pipe(pipes));
	for (i = 0; i < 10; i++)
		EXPECT_EQ(-EINVAL, domain_set(self->dev.fd, pipes[0]));
	EXPECT_EQ(1, write(pipes[1], "", 1));
	close(pipes[0]);
	EXPECT_EQ(-1, write(pipes[1], "", 1));
	EXPECT_EQ(EPIPE, errno);
}

TEST_F_TIMEOUT(attach, set_twice, TEST_SECONDS)
{
	int other = space_open();
	int second = node_open(self->dev.bdf, O_RDWR);

	ASSERT_LE(0, other);
	ASSERT_LE(0, second);
	EXPECT_EQ(0, domain_set(self->dev.fd, self->dev.space));
	EXPECT_EQ(-EBUSY, domain_set(self->dev.fd, self->dev.space));
	EXPECT_EQ(-EBUSY, domain_set(self->dev.fd, other));
	/* It is the device that is attached, not the file. */
	EXPECT_EQ(-EBUSY, domain_set(second, self->dev.space));
	EXPECT_EQ(-EBUSY, domain_set(second, other));
	EXPECT_EQ(0, domain_unset(second));
	EXPECT_EQ(-EINVAL, domain_unset(self->dev.fd));
	EXPECT_EQ(0, domain_set(second, other));
	EXPECT_EQ(0, domain_unset(self->dev.fd));
	close(second);
	close(other);
}

TEST_F_TIMEOUT(attach, set_and_unset_many_times, TEST_SECONDS)
{
	int i;

	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, domain_set(self->dev.fd, self->dev.space));
		ASSERT_EQ(0, domain_unset(self->dev.fd));
	}
}

/* An unset device leaves nothing in the space, which takes it again. */
TEST_F_TIMEOUT(attach, from_one_space_to_another, TEST_SECONDS)
{
	struct uiommu_info info = {};
	int other = space_open();

	ASSERT_LE(0, other);
	EXPECT_EQ(0, dma_map(self->dev.space, self->page, IOVA_A, page_size(),
			     0));
	EXPECT_EQ(0, dma_map(other, self->page, IOVA_B, page_size(), 0));
	EXPECT_EQ(0, dma_map(other, self->page, IOVA_C, page_size(), 0));
	ASSERT_EQ(0, domain_set(self->dev.fd, self->dev.space));
	ASSERT_EQ(0, space_info(self->dev.fd, &info));
	EXPECT_EQ(1, info.out_mappings);
	ASSERT_EQ(0, domain_unset(self->dev.fd));
	ASSERT_EQ(0, domain_set(self->dev.fd, other));
	ASSERT_EQ(0, space_info(self->dev.fd, &info));
	EXPECT_EQ(2, info.out_mappings);
	ASSERT_EQ(0, domain_unset(self->dev.fd));
	ASSERT_EQ(0, domain_set(self->dev.fd, self->dev.space));
	ASSERT_EQ(0, space_info(self->dev.fd, &info));
	EXPECT_EQ(1, info.out_mappings);
	close(other);
}

/* A read-only space fd is as good as another. */
TEST_F_TIMEOUT(attach, set_to_a_space_opened_for_reading, TEST_SECONDS)
{
	int fd = open("/dev/uiommu", O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, domain_set(self->dev.fd, fd));
	EXPECT_EQ(0, domain_unset(self->dev.fd));
	close(fd);
}

/* A mapping of the device's own fd keeps it attached, others do not. */
TEST_F_TIMEOUT(attach, unset_with_mappings, TEST_SECONDS)
{
	ASSERT_EQ(0, domain_set(self->dev.fd, self->dev.space));
	EXPECT_EQ(0, dma_map(self->dev.space, self->page, IOVA_A, page_size(),
			     0));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->page, IOVA_B, page_size(),
			     0));
	EXPECT_EQ(-EBUSY, domain_unset(self->dev.fd));
	/* Refused, it changed nothing: still attached, both still there. */
	EXPECT_EQ(-EBUSY, dma_map(self->dev.fd, self->page, IOVA_A,
				  page_size(), 0));
	EXPECT_EQ(-EBUSY, dma_map(self->dev.fd, self->page, IOVA_B,
				  page_size(), 0));
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_B, page_size()));
	EXPECT_EQ(0, domain_unset(self->dev.fd));
	EXPECT_EQ(0, dma_unmap(self->dev.space, IOVA_A, page_size()));
}

/* So does a mapping made through another file of the device. */
TEST_F_TIMEOUT(attach, unset_with_mappings_of_another_file, TEST_SECONDS)
{
	int second = node_open(self->dev.bdf, O_RDWR);

	ASSERT_LE(0, second);
	ASSERT_EQ(0, domain_set(self->dev.fd, self->dev.space));
	EXPECT_EQ(0, dma_map(second, self->page, IOVA_A, page_size(), 0));
	EXPECT_EQ(-EBUSY, domain_unset(self->dev.fd));
	close(second);
	EXPECT_EQ(0, domain_unset(self->dev.fd));
}

TEST_F_TIMEOUT(attach, unset_with_interrupts, TEST_SECONDS)
{
	static const unsigned long kinds[] = {
		VFIO_EVENTFD_IRQ, VFIO_EVENTFD_MSI, VFIO_EVENTFDS_MSI,
		VFIO_EVENTFDS_MSIX,
	};
	struct uiommu_device_info info;
	int efd = eventfd_new();
	bool has[4];
	size_t i;

	ASSERT_EQ(0, device_info(self->dev.fd, &info));
	has[0] = info.out_flags & UIOMMU_DEVICE_INTX;
	has[1] = info.out_num_msi;
	has[2] = info.out_num_msi;
	has[3] = info.out_num_msix;
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		bool many = kinds[i] == VFIO_EVENTFDS_MSI ||
			    kinds[i] == VFIO_EVENTFDS_MSIX;

		if (!has[i])
			continue;
		ASSERT_EQ(0, device_attach(&self->dev));
		ASSERT_EQ(0, many ? irq_set_many(self->dev.fd, kinds[i], 1,
						 &efd) :
				    irq_set(self->dev.fd, kinds[i], efd));
		EXPECT_EQ(-EBUSY, domain_unset(self->dev.fd));
		ASSERT_EQ(0, many ? irq_set_many(self->dev.fd, kinds[i], 0,
						 NULL) :
				    irq_set(self->dev.fd, kinds[i], -1));
		EXPECT_EQ(0, domain_unset(self->dev.fd));
	}
}

/*
 * Windows
 */
#define MAX_WINDOWS	32

static int get_windows(int fd, struct uiommu_window *windows)
{
	struct uiommu_info info = {
		.num_windows = MAX_WINDOWS,
		.windows = (uintptr_t)windows,
	};
	int ret = space_info(fd, &info);

	return ret ? ret : (int)info.num_windows;
}

static bool in_windows(const struct uiommu_window *windows, int num,
		       __u64 first, __u64 last)
{
	int i;

	for (i = 0; i < num; i++)
		if (first >= windows[i].first && last <= windows[i].last)
			return true;
	return false;
}

/* What nobody may map in the group of a device, as sysfs tells */
static int get_reserved(const char *bdf, struct uiommu_window *ranges, int max)
{
	char text[4096], type[32], *line, *save;
	unsigned long long first, last;
	int fields, num = 0;

	if (pci_attr_read(bdf, "iommu_group/reserved_regions", text,
			  sizeof(text)) < 0)
		return 0;
	for (line = strtok_r(text, "\n", &save); line && num < max;
	     line = strtok_r(NULL, "\n", &save)) {
		fields = sscanf(line, "%llx %llx %31s", &first, &last, type);
		if (fields != 3 || !strcmp(type, "direct-relaxable"))
			continue;
		ranges[num].first = first;
		ranges[num].last = last;
		num++;
	}
	return num;
}

TEST_F_TIMEOUT(attach, windows_are_ascending_and_leave_out_reserved,
	       TEST_SECONDS)
{
	struct uiommu_window windows[MAX_WINDOWS], same[MAX_WINDOWS];
	struct uiommu_window reserved[MAX_WINDOWS];
	int num, num_reserved, i, j;

	ASSERT_EQ(0, device_attach(&self->dev));
	num = get_windows(self->dev.space, windows);
	ASSERT_LT(0, num);
	ASSERT_GE(MAX_WINDOWS, num);
	for (i = 0; i < num; i++) {
		EXPECT_LE(windows[i].first, windows[i].last);
		EXPECT_EQ(0, windows[i].first % page_size());
		EXPECT_EQ(0, (windows[i].last + 1) % page_size());
		if (i)
			EXPECT_GT(windows[i].first, windows[i - 1].last + 1);
	}
	EXPECT_TRUE(in_windows(windows, num, IOVA_A, IOVA_A + 4095));
	num_reserved = get_reserved(self->dev.bdf, reserved, MAX_WINDOWS);
	for (i = 0; i < num; i++) {
		for (j = 0; j < num_reserved; j++)
			EXPECT_TRUE(windows[i].last < reserved[j].first ||
				    windows[i].first > reserved[j].last);
	}
	/* The device fd tells of the same space. */
	EXPECT_EQ(num, get_windows(self->dev.fd, same));
	EXPECT_EQ(0, memcmp(windows, same, num * sizeof(*windows)));
}

TEST_F_TIMEOUT(attach, windows_array_may_be_short, TEST_SECONDS)
{
	struct uiommu_window windows[MAX_WINDOWS], some[MAX_WINDOWS];
	struct uiommu_info info = {
		.num_windows = 1,
		.windows = (uintptr_t)some,
	};
	int num;

	ASSERT_EQ(0, device_attach(&self->dev));
	num = get_windows(self->dev.space, windows);
	ASSERT_LT(0, num);
	memset(some, 0xa5, sizeof(some));
	EXPECT_EQ(0, space_info(self->dev.space, &info));
	EXPECT_EQ(num, info.num_windows);
	EXPECT_EQ(0, memcmp(windows, some, sizeof(*windows)));
	EXPECT_TRUE(memory_is(some + 1, 0xa5,
			      sizeof(some) - sizeof(*some)));

	/* Without an array the number alone is told. */
	info.num_windows = 0;
	info.windows = 0;
	EXPECT_EQ(0, space_info(self->dev.space, &info));
	EXPECT_EQ(num, info.num_windows);

	/* More room than there are windows is left as it is. */
	memset(some, 0xa5, sizeof(some));
	info.num_windows = MAX_WINDOWS;
	info.windows = (uintptr_t)some;
	EXPECT_EQ(0, space_info(self->dev.space, &info));
	EXPECT_EQ(num, info.num_windows);
	EXPECT_TRUE(memory_is(some + num, 0xa5,
			      sizeof(some) - num * sizeof(*some)));
}

/* The last page is nobody's, whatever the IOMMU can do. */
static __u64 page_outside(void)
{
	return UINT64_MAX - page_size() + 1;
}

TEST_F_TIMEOUT(attach, map_outside_the_windows, TEST_SECONDS)
{
	struct uiommu_window windows[MAX_WINDOWS], reserved[MAX_WINDOWS];
	const __u64 size = page_size();
	void *two = pages_alloc(2);
	int num, num_reserved, i;

	ASSERT_NE(NULL, two);
	ASSERT_EQ(0, device_attach(&self->dev));
	num = get_windows(self->dev.space, windows);
	ASSERT_LT(0, num);
	num_reserved = get_reserved(self->dev.bdf, reserved, MAX_WINDOWS);
	for (i = 0; i < num_reserved; i++) {
		EXPECT_EQ(-EADDRNOTAVAIL, dma_map(self->dev.fd, self->page,
						  reserved[i].first, size, 0));
		EXPECT_EQ(-EADDRNOTAVAIL, dma_map(self->dev.space, self->page,
						  reserved[i].first, size, 0));
		EXPECT_EQ(-EADDRNOTAVAIL,
			  dma_map(self->dev.fd, self->page,
				  reserved[i].last + 1 - size, size, 0));
		/* There is nothing to unmap there, windows or not. */
		EXPECT_EQ(-ENXIO, dma_unmap(self->dev.fd, reserved[i].first,
					    size));
	}
	/* The first and the last page of each are in, the next are out. */
	for (i = 0; i < num; i++) {
		__u64 last = windows[i].last + 1 - size;

		EXPECT_EQ(0, dma_map(self->dev.fd, self->page,
				     windows[i].first, size, 0));
		EXPECT_EQ(0, dma_unmap(self->dev.fd, windows[i].first, size));
		EXPECT_EQ(0, dma_map(self->dev.fd, self->page, last, size, 0));
		EXPECT_EQ(0, dma_unmap(self->dev.fd, last, size));
		if (windows[i].first)
			EXPECT_EQ(-EADDRNOTAVAIL,
				  dma_map(self->dev.fd, two,
					  windows[i].first - size, 2 * size,
					  0));
		EXPECT_EQ(-EADDRNOTAVAIL, dma_map(self->dev.fd, two, last,
						  2 * size, 0));
	}
	EXPECT_EQ(-EADDRNOTAVAIL, dma_map(self->dev.fd, self->page,
					  page_outside(), size, 0));
}

/* A mapping that the device cannot have keeps it out, and only that. */
TEST_F_TIMEOUT(attach, set_with_a_mapping_outside_the_windows, TEST_SECONDS)
{
	const __u64 top = page_outside();
	struct uiommu_window reserved;

	EXPECT_EQ(0, dma_map(self->dev.space, self->page, top, page_size(),
			     0));
	EXPECT_EQ(-EADDRNOTAVAIL, domain_set(self->dev.fd, self->dev.space));
	EXPECT_EQ(-EINVAL, domain_unset(self->dev.fd));
	EXPECT_EQ(0, dma_unmap(self->dev.space, top, page_size()));
	if (get_reserved(self->dev.bdf, &reserved, 1)) {
		EXPECT_EQ(0, dma_map(self->dev.space, self->page,
				     reserved.first, page_size(), 0));
		EXPECT_EQ(-EADDRNOTAVAIL,
			  domain_set(self->dev.fd, self->dev.space));
		EXPECT_EQ(0, dma_unmap(self->dev.space, reserved.first,
				       page_size()));
	}
	EXPECT_EQ(0, dma_map(self->dev.space, self->page, IOVA_A, page_size(),
			     0));
	EXPECT_EQ(0, domain_set(self->dev.fd, self->dev.space));
	EXPECT_EQ(0, domain_unset(self->dev.fd));
}

/* The windows are those of attached devices: without any, all is open again. */
TEST_F_TIMEOUT(attach, windows_go_with_the_device, TEST_SECONDS)
{
	const __u64 top = page_outside();

	ASSERT_EQ(0, domain_set(self->dev.fd, self->dev.space));
	EXPECT_EQ(-EADDRNOTAVAIL, dma_map(self->dev.space, self->page, top,
					  page_size(), 0));
	ASSERT_EQ(0, domain_unset(self->dev.fd));
	EXPECT_EQ(0, dma_map(self->dev.space, self->page, top, page_size(),
			     0));
	EXPECT_EQ(0, dma_unmap(self->dev.space, top, page_size()));
}

/*
 * Two devices in two groups
 */
FIXTURE(two)
{
	struct device dev;
	struct device other;
	struct engine engine;
	unsigned char *page;
};

FIXTURE_SETUP(two)
{
	self->dev.fd = -1;
	self->dev.space = -1;
	self->other = self->dev;
	if (!engine_bdf() || !other_bdf())
		SKIP(return, "needs two devices, one of them edu or nvme");
	ASSERT_EQ(0, device_open(&self->dev, engine_bdf()));
	ASSERT_EQ(0, device_open(&self->other, other_bdf()));
	self->page = pages_alloc(1);
	ASSERT_NE(NULL, self->page);
}

FIXTURE_TEARDOWN(two)
{
	engine_stop(&self->engine);
	device_close(&self->dev);
	device_close(&self->other);
	expect_quiet(_metadata, &self->dev.log);
	log_close(&self->other.log);
}

/* What is unmapped for one device is unmapped for both, and only that. */
TEST_F_TIMEOUT(two, devices_in_one_space, TEST_SECONDS)
{
	struct uiommu_info info = {};

	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, domain_set(self->other.fd, self->dev.space));
	ASSERT_EQ(0, engine_start(&self->engine, &self->dev));
	/* Mapped through one, used by the other */
	EXPECT_EQ(0, dma_map(self->other.fd, self->page, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->page));
	ASSERT_EQ(0, space_info(self->other.fd, &info));
	EXPECT_EQ(2, info.out_mappings);
	EXPECT_EQ(-EBUSY, domain_unset(self->other.fd));
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_A, page_size()));
	EXPECT_EQ(0, domain_unset(self->other.fd));
}

/* One of them leaves: the mappings of the other stay (2010: freed for both). */
TEST_F_TIMEOUT(two, one_leaves_the_other_works, TEST_SECONDS)
{
	ASSERT_EQ(0, domain_set(self->other.fd, self->dev.space));
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, engine_start(&self->engine, &self->dev));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->page, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_EQ(0, domain_unset(self->other.fd));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->page));

	EXPECT_EQ(0, domain_set(self->other.fd, self->dev.space));
	device_close(&self->other);
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->page));
}

/* Devices in different spaces do not see each other's memory. */
TEST_F_TIMEOUT(two, devices_in_two_spaces, TEST_SECONDS)
{
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, device_attach(&self->other));
	ASSERT_EQ(0, engine_start(&self->engine, &self->dev));
	EXPECT_EQ(0, dma_map(self->other.fd, self->page, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(engine_is_stopped(&self->engine, IOVA_A, self->page));
}

/* The second device finds what was mapped before it came. */
TEST_F_TIMEOUT(two, the_second_finds_older_mappings, TEST_SECONDS)
{
	ASSERT_EQ(0, domain_set(self->other.fd, self->dev.space));
	EXPECT_EQ(0, dma_map(self->other.fd, self->page, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, engine_start(&self->engine, &self->dev));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->page));
}

/* SET references the space, not the file: the fd can be closed at once. */
TEST_F_TIMEOUT(two, space_lives_on_without_its_fd, TEST_SECONDS)
{
	unsigned char *mem = pages_alloc(5);

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, device_attach(&self->dev));
	ASSERT_EQ(0, domain_set(self->other.fd, self->dev.space));
	close(self->dev.space);
	/* The engine's memory is now mapped through the other device. */
	self->dev.space = self->other.fd;
	ASSERT_EQ(0, engine_start(&self->engine, &self->dev));
	EXPECT_EQ(0, dma_map(self->dev.fd, self->page, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_TRUE(engine_reaches(&self->engine, IOVA_A, self->page));
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_A, page_size()));
	engine_stop(&self->engine);
	self->dev.space = -1;
	EXPECT_EQ(0, domain_unset(self->other.fd));
	EXPECT_EQ(0, domain_unset(self->dev.fd));
}

/*
 * Two devices in one group
 */
FIXTURE(group)
{
	struct device dev;
	struct device sibling;
};

FIXTURE_SETUP(group)
{
	struct uiommu_device_info info;
	int fds[2];

	self->dev.fd = -1;
	self->dev.space = -1;
	self->sibling = self->dev;
	if (!getenv("UIOMMU_SIBLING1") || !getenv("UIOMMU_SIBLING2"))
		SKIP(return, "no two devices in one group");
	ASSERT_EQ(0, device_open(&self->dev, getenv("UIOMMU_SIBLING1")));
	ASSERT_EQ(0, device_open(&self->sibling, getenv("UIOMMU_SIBLING2")));
	ASSERT_EQ(0, device_info(self->dev.fd, &info));
	if (info.out_flags & UIOMMU_DEVICE_RESET)
		return;
	/* Functions of one slot are attached after a reset of all of them. */
	fds[0] = self->dev.fd;
	fds[1] = self->sibling.fd;
	ASSERT_EQ(0, device_reset_set(self->dev.fd, fds, 2));
}

FIXTURE_TEARDOWN(group)
{
	device_close(&self->dev);
	device_close(&self->sibling);
	expect_quiet(_metadata, &self->dev.log);
	log_close(&self->sibling.log);
}

/* A group is in one space at most. */
TEST_F_TIMEOUT(group, has_one_space, TEST_SECONDS)
{
	__u32 val;

	ASSERT_EQ(0, domain_set(self->dev.fd, self->dev.space));
	EXPECT_EQ(-EBUSY, domain_set(self->sibling.fd, self->sibling.space));
	/* An opened sibling that is not SET stays gated. */
	EXPECT_EQ(-EINVAL, space_read(self->sibling.fd, 0, 0, &val, 4));
	EXPECT_EQ(0, domain_set(self->sibling.fd, self->dev.space));
	EXPECT_EQ(0, domain_unset(self->dev.fd));
	/* The sibling is still in it. */
	EXPECT_EQ(-EBUSY, domain_set(self->dev.fd, self->sibling.space));
	EXPECT_EQ(0, domain_unset(self->sibling.fd));
	EXPECT_EQ(0, domain_set(self->dev.fd, self->sibling.space));
	EXPECT_EQ(0, domain_set(self->sibling.fd, self->sibling.space));
	EXPECT_EQ(0, domain_unset(self->sibling.fd));
	EXPECT_EQ(0, domain_unset(self->dev.fd));
}

TEST_HARNESS_MAIN
