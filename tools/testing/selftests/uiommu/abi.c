// SPDX-License-Identifier: GPL-2.0-only
/*
 * The contract of <linux/uiommu.h>: numbers and layouts, and the errors that
 * every request has in common.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/iommufd.h>
#include <linux/vfio.h>

#include "../kselftest_harness.h"
#include "util.h"

#define FIELD(type, field, offset, bytes)				\
	static_assert(offsetof(struct type, field) == (offset) &&	\
		      sizeof(((struct type *)0)->field) == (bytes),	\
		      #type "." #field)

FIELD(vfio_dma_map, vaddr, 0, 8);
FIELD(vfio_dma_map, dmaaddr, 8, 8);
FIELD(vfio_dma_map, size, 16, 8);
FIELD(vfio_dma_map, flags, 24, 8);
static_assert(sizeof(struct vfio_dma_map) == 32, "vfio_dma_map");

FIELD(uiommu_window, first, 0, 8);
FIELD(uiommu_window, last, 8, 8);
static_assert(sizeof(struct uiommu_window) == 16, "uiommu_window");

FIELD(uiommu_info, size, 0, 4);
FIELD(uiommu_info, flags, 4, 4);
FIELD(uiommu_info, out_page_sizes, 8, 8);
FIELD(uiommu_info, out_mappings, 16, 8);
FIELD(uiommu_info, out_pinned, 24, 8);
FIELD(uiommu_info, out_charged, 32, 8);
FIELD(uiommu_info, num_windows, 40, 4);
FIELD(uiommu_info, __reserved, 44, 4);
FIELD(uiommu_info, windows, 48, 8);
static_assert(sizeof(struct uiommu_info) == 56, "uiommu_info");

FIELD(uiommu_device_info, size, 0, 4);
FIELD(uiommu_device_info, flags, 4, 4);
FIELD(uiommu_device_info, out_flags, 8, 4);
FIELD(uiommu_device_info, out_domain, 12, 4);
FIELD(uiommu_device_info, out_bus, 16, 2);
FIELD(uiommu_device_info, out_devfn, 18, 2);
FIELD(uiommu_device_info, out_num_msi, 20, 2);
FIELD(uiommu_device_info, out_num_msix, 22, 2);
FIELD(uiommu_device_info, out_config_size, 24, 4);
FIELD(uiommu_device_info, __reserved, 28, 4);
static_assert(sizeof(struct uiommu_device_info) == 32, "uiommu_device_info");

FIELD(uiommu_region_info, size, 0, 4);
FIELD(uiommu_region_info, flags, 4, 4);
FIELD(uiommu_region_info, index, 8, 4);
FIELD(uiommu_region_info, out_flags, 12, 4);
FIELD(uiommu_region_info, out_size, 16, 8);
FIELD(uiommu_region_info, out_offset, 24, 8);
static_assert(sizeof(struct uiommu_region_info) == 32, "uiommu_region_info");

FIELD(uiommu_reset, size, 0, 4);
FIELD(uiommu_reset, flags, 4, 4);
FIELD(uiommu_reset, num_fds, 8, 4);
FIELD(uiommu_reset, __reserved, 12, 4);
FIELD(uiommu_reset, fds, 16, 8);
static_assert(sizeof(struct uiommu_reset) == 24, "uiommu_reset");

FIELD(uiommu_irq_eoi, size, 0, 4);
FIELD(uiommu_irq_eoi, flags, 4, 4);
static_assert(sizeof(struct uiommu_irq_eoi) == 8, "uiommu_irq_eoi");

FIELD(uiommu_irq_eoi_eventfd, size, 0, 4);
FIELD(uiommu_irq_eoi_eventfd, flags, 4, 4);
FIELD(uiommu_irq_eoi_eventfd, fd, 8, 4);
FIELD(uiommu_irq_eoi_eventfd, __reserved, 12, 4);
static_assert(sizeof(struct uiommu_irq_eoi_eventfd) == 16, "irq_eoi_eventfd");

FIELD(uiommu_batch, size, 0, 4);
FIELD(uiommu_batch, flags, 4, 4);
FIELD(uiommu_batch, num, 8, 4);
FIELD(uiommu_batch, out_done, 12, 4);
FIELD(uiommu_batch, entries, 16, 8);
static_assert(sizeof(struct uiommu_batch) == 24, "uiommu_batch");

FIELD(uiommu_map, size, 0, 4);
FIELD(uiommu_map, flags, 4, 4);
FIELD(uiommu_map, vaddr, 8, 8);
FIELD(uiommu_map, length, 16, 8);
FIELD(uiommu_map, max, 24, 8);
FIELD(uiommu_map, out_iova, 32, 8);
FIELD(uiommu_map, out_sequence, 40, 8);
static_assert(sizeof(struct uiommu_map) == 48, "uiommu_map");

FIELD(uiommu_event_fd, size, 0, 4);
FIELD(uiommu_event_fd, flags, 4, 4);
FIELD(uiommu_event_fd, num, 8, 4);
FIELD(uiommu_event_fd, __reserved, 12, 4);
static_assert(sizeof(struct uiommu_event_fd) == 16, "uiommu_event_fd");

FIELD(uiommu_event, type, 0, 4);
FIELD(uiommu_event, flags, 4, 4);
FIELD(uiommu_event, sequence, 8, 8);
FIELD(uiommu_event, iova, 16, 8);
FIELD(uiommu_event, length, 24, 8);
static_assert(sizeof(struct uiommu_event) == 32, "uiommu_event");

FIELD(uiommu_unmap_all, size, 0, 4);
FIELD(uiommu_unmap_all, flags, 4, 4);
FIELD(uiommu_unmap_all, out_mappings, 8, 8);
static_assert(sizeof(struct uiommu_unmap_all) == 16, "uiommu_unmap_all");

FIELD(uiommu_irq_set, size, 0, 4);
FIELD(uiommu_irq_set, flags, 4, 4);
FIELD(uiommu_irq_set, kind, 8, 4);
FIELD(uiommu_irq_set, op, 12, 4);
FIELD(uiommu_irq_set, first, 16, 4);
FIELD(uiommu_irq_set, num, 20, 4);
FIELD(uiommu_irq_set, data_size, 24, 4);
FIELD(uiommu_irq_set, __reserved, 28, 4);
FIELD(uiommu_irq_set, data, 32, 8);
static_assert(sizeof(struct uiommu_irq_set) == 40, "uiommu_irq_set");

static_assert(VFIO_FLAG_WRITE == 1, "flag");
static_assert(UIOMMU_DEVICE_RESET == 1, "flag");
static_assert(UIOMMU_DEVICE_VF == 2, "flag");
static_assert(UIOMMU_DEVICE_PCIE == 4, "flag");
static_assert(UIOMMU_DEVICE_INTX == 8, "flag");
static_assert(UIOMMU_DEVICE_ISOLATED_MSI == 16, "flag");
static_assert(UIOMMU_DEVICE_ATTACHED == 32, "flag");
static_assert(UIOMMU_IRQ_KIND_INTX == 1, "kind");
static_assert(UIOMMU_IRQ_KIND_MSI == 2, "kind");
static_assert(UIOMMU_IRQ_KIND_MSIX == 3, "kind");
static_assert(UIOMMU_IRQ_OP_EVENTFDS == 1, "op");
static_assert(UIOMMU_IRQ_OP_NONE == 2, "op");
static_assert(UIOMMU_IRQ_OP_TRIGGER == 3, "op");
static_assert(UIOMMU_IRQ_OP_AFFINITY == 4, "op");
static_assert(UIOMMU_EVENT_OVERFLOW == 1, "event");
static_assert(UIOMMU_EVENT_MAPPING_LOST == 2, "event");
static_assert(UIOMMU_EVENT_STUCK == 1, "flag");
static_assert(UIOMMU_EVENTS_MAX == 16384, "events");
static_assert(UIOMMU_REGION_READ == 1, "flag");
static_assert(UIOMMU_REGION_WRITE == 2, "flag");
static_assert(UIOMMU_REGION_MMAP == 4, "flag");

static_assert(VFIO_PCI_BAR0_RESOURCE == 0, "space");
static_assert(VFIO_PCI_BAR5_RESOURCE == 5, "space");
static_assert(VFIO_PCI_ROM_RESOURCE == 6, "space");
static_assert(VFIO_PCI_CONFIG_RESOURCE == 15, "space");
static_assert(VFIO_PCI_SPACE_TO_OFFSET(15) == 15ULL << 40, "space");
static_assert(VFIO_OFFSET_TO_PCI_SPACE((5ULL << 40) + 4096) == 5, "space");
static_assert(VFIO_PCI_CONFIG_OFF == 15ULL << 40, "space");

enum fd_kind {
	ON_SPACE = 1,
	ON_DEVICE = 2,
	ON_BOTH = 3,
};

/* Every request there is */
static const struct {
	unsigned long cmd;
	unsigned int dir;
	unsigned int nr;
	unsigned int size;
	enum fd_kind on;
} requests[] = {
	{ VFIO_DMA_MAP_IOVA, _IOC_READ | _IOC_WRITE, 101, 32, ON_BOTH },
	{ VFIO_DMA_UNMAP, _IOC_WRITE, 102, 32, ON_BOTH },
	{ VFIO_EVENTFD_IRQ, _IOC_WRITE, 104, 4, ON_DEVICE },
	{ VFIO_EVENTFD_MSI, _IOC_WRITE, 105, 4, ON_DEVICE },
	{ VFIO_EVENTFDS_MSIX, _IOC_WRITE, 106, 4, ON_DEVICE },
	{ VFIO_BAR_LEN, _IOC_READ | _IOC_WRITE, 107, 4, ON_DEVICE },
	{ VFIO_DOMAIN_SET, _IOC_WRITE, 108, 4, ON_DEVICE },
	{ VFIO_DOMAIN_UNSET, _IOC_WRITE, 109, 4, ON_DEVICE },
	{ VFIO_EVENTFDS_MSI, _IOC_WRITE, 110, 4, ON_DEVICE },
	{ UIOMMU_INFO, _IOC_READ | _IOC_WRITE, 0x6f, 4, ON_BOTH },
	{ UIOMMU_DEVICE_INFO, _IOC_READ | _IOC_WRITE, 0x70, 4, ON_DEVICE },
	{ UIOMMU_REGION_INFO, _IOC_READ | _IOC_WRITE, 0x71, 4, ON_DEVICE },
	{ UIOMMU_RESET, _IOC_READ | _IOC_WRITE, 0x72, 4, ON_DEVICE },
	{ UIOMMU_IRQ_EOI, _IOC_READ | _IOC_WRITE, 0x73, 4, ON_DEVICE },
	{ UIOMMU_IRQ_EOI_EVENTFD, _IOC_READ | _IOC_WRITE, 0x74, 4, ON_DEVICE },
	{ UIOMMU_IRQ_SET, _IOC_READ | _IOC_WRITE, 0x75, 4, ON_DEVICE },
	{ UIOMMU_EVENT_FD, _IOC_READ | _IOC_WRITE, 0x76, 4, ON_BOTH },
	{ UIOMMU_MAP_BATCH, _IOC_READ | _IOC_WRITE, 0x77, 4, ON_BOTH },
	{ UIOMMU_UNMAP_BATCH, _IOC_READ | _IOC_WRITE, 0x78, 4, ON_BOTH },
	{ UIOMMU_UNMAP_ALL, _IOC_READ | _IOC_WRITE, 0x79, 4, ON_BOTH },
	{ UIOMMU_MAP, _IOC_READ | _IOC_WRITE, 0x7a, 4, ON_BOTH },
};

/* Those with an extensible structure, and its size in the first version */
static const struct {
	unsigned long cmd;
	unsigned int size;
	enum fd_kind on;
} structs[] = {
	{ UIOMMU_INFO, 56, ON_BOTH },
	{ UIOMMU_DEVICE_INFO, 32, ON_DEVICE },
	{ UIOMMU_REGION_INFO, 32, ON_DEVICE },
	{ UIOMMU_RESET, 24, ON_DEVICE },
	{ UIOMMU_IRQ_EOI, 8, ON_DEVICE },
	{ UIOMMU_IRQ_EOI_EVENTFD, 16, ON_DEVICE },
	{ UIOMMU_IRQ_SET, 40, ON_DEVICE },
	{ UIOMMU_EVENT_FD, 16, ON_BOTH },
	{ UIOMMU_MAP_BATCH, 24, ON_BOTH },
	{ UIOMMU_UNMAP_BATCH, 24, ON_BOTH },
	{ UIOMMU_UNMAP_ALL, 16, ON_BOTH },
	{ UIOMMU_MAP, 48, ON_BOTH },
};

/* Those that change nothing, so that they can be called as a positive control */
static bool only_asks(unsigned long cmd)
{
	return cmd == UIOMMU_INFO || cmd == UIOMMU_DEVICE_INFO ||
	       cmd == UIOMMU_REGION_INFO;
}

static bool is_known(unsigned long cmd)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(requests); i++)
		if (requests[i].cmd == cmd)
			return true;
	return false;
}

TEST(requests_have_their_numbers)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		EXPECT_EQ(';', _IOC_TYPE(requests[i].cmd));
		EXPECT_EQ(requests[i].dir, _IOC_DIR(requests[i].cmd));
		EXPECT_EQ(requests[i].nr, _IOC_NR(requests[i].cmd));
		EXPECT_EQ(requests[i].size, _IOC_SIZE(requests[i].cmd));
	}
}

TEST(requests_have_their_values_of_2010)
{
	/* Some architectures encode direction and size in other bits. */
	if (_IOC_READ != 2U || _IOC_SIZEBITS != 14)
		SKIP(return, "values are recorded for the generic ioctl encoding");

	EXPECT_EQ(0xc0203b65, VFIO_DMA_MAP_IOVA);
	EXPECT_EQ(0x40203b66, VFIO_DMA_UNMAP);
	EXPECT_EQ(0x40043b68, VFIO_EVENTFD_IRQ);
	EXPECT_EQ(0x40043b69, VFIO_EVENTFD_MSI);
	EXPECT_EQ(0x40043b6a, VFIO_EVENTFDS_MSIX);
	EXPECT_EQ(0xc0043b6b, VFIO_BAR_LEN);
	EXPECT_EQ(0x40043b6c, VFIO_DOMAIN_SET);
}

TEST(requests_differ_from_each_other_and_from_mainline)
{
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		for (j = 0; j < i; j++)
			EXPECT_NE(requests[i].cmd, requests[j].cmd);
		/* vfio.h and iommufd.h use plain _IO for all of theirs. */
		for (j = 0; j < 256; j++)
			EXPECT_NE(requests[i].cmd, _IO(';', j));
	}
}

FIXTURE(abi)
{
	struct device dev;
	void *blind;		/* a page that cannot be accessed */
	char *edge;		/* its first byte, a writable page in front */
};

FIXTURE_SETUP(abi)
{
	const char *bdf = device_any();

	self->dev.fd = -1;
	self->dev.space = -1;
	if (!bdf)
		SKIP(return, "no device");
	ASSERT_EQ(0, device_open(&self->dev, bdf));
	self->edge = mmap(NULL, 2 * page_size(), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->edge);
	self->edge += page_size();
	self->blind = self->edge;
	ASSERT_EQ(0, mprotect(self->blind, page_size(), PROT_NONE));
}

FIXTURE_TEARDOWN(abi)
{
	device_close(&self->dev);
	log_read(&self->dev.log);
	EXPECT_EQ(0, self->dev.log.splats + self->dev.log.faults) {
		TH_LOG("%s", self->dev.log.first);
	}
}

static void expect_unknown(struct __test_metadata *_metadata, int fd)
{
	/* Big enough for whatever the request may take it for */
	static char arg[4096];
	size_t i;

	/* Everything with plain _IO: all of vfio.h and iommufd.h */
	for (i = 0; i < 256; i++) {
		EXPECT_EQ(-ENOTTY, request(fd, _IO(';', i), arg)) {
			TH_LOG("_IO(';', %zu)", i);
		}
	}
	EXPECT_EQ(-ENOTTY, request(fd, VFIO_GET_API_VERSION, arg));
	EXPECT_EQ(-ENOTTY, request(fd, VFIO_DEVICE_GET_INFO, arg));
	EXPECT_EQ(-ENOTTY, request(fd, VFIO_DEVICE_SET_IRQS, arg));
	EXPECT_EQ(-ENOTTY, request(fd, VFIO_DEVICE_RESET, arg));
	EXPECT_EQ(-ENOTTY, request(fd, VFIO_IOMMU_MAP_DMA, arg));
	EXPECT_EQ(-ENOTTY, request(fd, IOMMU_IOAS_ALLOC, arg));
	EXPECT_EQ(-ENOTTY, request(fd, IOMMU_IOAS_MAP, arg));
	/* VFIO_DMA_MASK of 2010 */
	EXPECT_EQ(-ENOTTY, request(fd, _IOW(';', 103, __u64), arg));
	/* VFIO_DOMAIN_UNSET of 2010 */
	EXPECT_EQ(-ENOTTY, request(fd, _IO(';', 109), arg));
	EXPECT_EQ(-ENOTTY, request(fd, TCGETS, arg));

	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		unsigned int nr = requests[i].nr, size = requests[i].size;
		unsigned long wrong[] = {
			_IOC(_IOC_NONE, ';', nr, size),
			_IOC(_IOC_READ, ';', nr, size),
			_IOC(_IOC_WRITE, ';', nr, size),
			_IOC(_IOC_READ | _IOC_WRITE, ';', nr, size),
			_IOC(requests[i].dir, ';', nr, size - 1),
			_IOC(requests[i].dir, ';', nr, size + 4),
			_IOC(requests[i].dir, ';', nr, 0),
			_IOC(requests[i].dir, ':', nr, size),
			_IOC(requests[i].dir, 0, nr, size),
			_IOC(requests[i].dir, ';', nr | 0x80, size),
		};
		size_t j;

		for (j = 0; j < ARRAY_SIZE(wrong); j++) {
			if (is_known(wrong[j]))
				continue;
			EXPECT_EQ(-ENOTTY, request(fd, wrong[j], arg)) {
				TH_LOG("0x%lx", wrong[j]);
			}
		}
	}
	for (i = 0x6f; i < 0x80; i++) {
		if (is_known(_IOWR(';', i, __u32)))
			continue;
		EXPECT_EQ(-ENOTTY, request(fd, _IOWR(';', i, __u32), arg)) {
			TH_LOG("number 0x%zx", i);
		}
	}
}

TEST_F_TIMEOUT(abi, unknown_requests_of_a_space, TEST_SECONDS)
{
	expect_unknown(_metadata, self->dev.space);
}

TEST_F_TIMEOUT(abi, unknown_requests_of_a_device, TEST_SECONDS)
{
	expect_unknown(_metadata, self->dev.fd);
}

TEST_F_TIMEOUT(abi, unknown_requests_of_an_attached_device, TEST_SECONDS)
{
	ASSERT_EQ(0, device_attach(&self->dev));
	expect_unknown(_metadata, self->dev.fd);
}

TEST_F_TIMEOUT(abi, device_requests_on_a_space, TEST_SECONDS)
{
	static char arg[4096];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		if (requests[i].on & ON_SPACE)
			continue;
		EXPECT_EQ(-ENOTTY,
			  request(self->dev.space, requests[i].cmd, arg)) {
			TH_LOG("number %u", requests[i].nr);
		}
	}
}

TEST_F_TIMEOUT(abi, structures_too_short, TEST_SECONDS)
{
	__u32 arg[64];
	size_t i, size;

	ASSERT_EQ(0, device_attach(&self->dev));
	for (i = 0; i < ARRAY_SIZE(structs); i++) {
		for (size = 0; size < structs[i].size; size++) {
			memset(arg, 0, sizeof(arg));
			arg[0] = size;
			EXPECT_EQ(-EINVAL, request(self->dev.fd,
						   structs[i].cmd, arg)) {
				TH_LOG("number 0x%lx, size %zu",
				       _IOC_NR(structs[i].cmd), size);
			}
			if (!(structs[i].on & ON_SPACE))
				continue;
			EXPECT_EQ(-EINVAL, request(self->dev.space,
						   structs[i].cmd, arg));
		}
	}
}

/* An unknown part that is 0 does no harm; one that is not is E2BIG. */
TEST_F_TIMEOUT(abi, structures_of_the_future, TEST_SECONDS)
{
	__u32 arg[64];
	size_t i, j;
	int ret;

	ASSERT_EQ(0, device_attach(&self->dev));
	for (i = 0; i < ARRAY_SIZE(structs); i++) {
		memset(arg, 0, sizeof(arg));
		arg[0] = sizeof(arg);
		if (only_asks(structs[i].cmd)) {
			EXPECT_EQ(0, request(self->dev.fd, structs[i].cmd,
					     arg));
			/* It says what there is, not what was asked for. */
			for (j = structs[i].size / 4; j < 64; j++)
				EXPECT_EQ(0, arg[j]);
		}
		memset(arg, 0, sizeof(arg));
		arg[0] = sizeof(arg);
		arg[63] = 1;
		EXPECT_EQ(-E2BIG, request(self->dev.fd, structs[i].cmd, arg));
		arg[63] = 0;
		arg[structs[i].size / 4] = 1;
		EXPECT_EQ(-E2BIG, request(self->dev.fd, structs[i].cmd, arg));
		if (structs[i].on & ON_SPACE) {
			EXPECT_EQ(-E2BIG, request(self->dev.space,
						  structs[i].cmd, arg));
			memset(arg, 0, sizeof(arg));
			arg[0] = sizeof(arg);
			ret = request(self->dev.space, structs[i].cmd, arg);
			if (structs[i].cmd == UIOMMU_EVENT_FD) {
				EXPECT_LE(0, ret);
				close(ret);
				continue;
			}
			/* To map nothing is refused. */
			EXPECT_EQ(structs[i].cmd == UIOMMU_MAP ||
				  structs[i].cmd == UIOMMU_MAP_BATCH ||
				  structs[i].cmd == UIOMMU_UNMAP_BATCH ?
					  -EINVAL : 0, ret);
		}
	}
}

TEST_F_TIMEOUT(abi, unknown_flags, TEST_SECONDS)
{
	__u32 arg[64];
	size_t i;
	int bit;

	ASSERT_EQ(0, device_attach(&self->dev));
	for (i = 0; i < ARRAY_SIZE(structs); i++) {
		for (bit = 0; bit < 32; bit++) {
			/* Those of struct vfio_dma_map */
			if (structs[i].cmd == UIOMMU_MAP && bit < 2)
				continue;
			/* UIOMMU_RESET_SET */
			if (structs[i].cmd == UIOMMU_RESET && bit < 1)
				continue;
			memset(arg, 0, sizeof(arg));
			arg[0] = structs[i].size;
			arg[1] = 1U << bit;
			EXPECT_EQ(-EOPNOTSUPP, request(self->dev.fd,
						       structs[i].cmd, arg)) {
				TH_LOG("number 0x%lx, bit %d",
				       _IOC_NR(structs[i].cmd), bit);
			}
		}
	}
}

TEST_F_TIMEOUT(abi, unknown_map_flags, TEST_SECONDS)
{
	void *page = pages_alloc(1);
	int bit;

	ASSERT_NE(NULL, page);
	for (bit = 2; bit < 64; bit++) {
		EXPECT_EQ(-EOPNOTSUPP,
			  dma_map(self->dev.space, page, IOVA_A, page_size(),
				  1ULL << bit | VFIO_FLAG_WRITE)) {
			TH_LOG("bit %d", bit);
		}
	}
	EXPECT_EQ(-ENXIO, dma_unmap(self->dev.space, IOVA_A, page_size()));
	EXPECT_EQ(0, dma_map(self->dev.space, page, IOVA_A, page_size(),
			     VFIO_FLAG_WRITE));
	EXPECT_EQ(0, dma_unmap(self->dev.space, IOVA_A, page_size()));
}

/* VFIO_DMA_UNMAP takes what VFIO_DMA_MAP_IOVA took and looks at the range. */
TEST_F_TIMEOUT(abi, unmap_ignores_address_and_write, TEST_SECONDS)
{
	struct vfio_dma_map map = {
		.vaddr = 0x123,
		.dmaaddr = IOVA_A,
		.size = page_size(),
		.flags = VFIO_FLAG_WRITE,
	};
	void *page = pages_alloc(1);

	ASSERT_NE(NULL, page);
	EXPECT_EQ(0, dma_map(self->dev.space, page, IOVA_A, page_size(), 0));
	map.flags = UINT64_MAX;
	EXPECT_EQ(-EOPNOTSUPP, request(self->dev.space, VFIO_DMA_UNMAP, &map));
	map.flags = VFIO_FLAG_WRITE;
	EXPECT_EQ(0, request(self->dev.space, VFIO_DMA_UNMAP, &map));
	EXPECT_EQ(-ENXIO, request(self->dev.space, VFIO_DMA_UNMAP, &map));
}

TEST_F_TIMEOUT(abi, reserved_fields, TEST_SECONDS)
{
	struct uiommu_info info = { .__reserved = 1 };

	EXPECT_EQ(-EINVAL, space_info(self->dev.space, &info));
	info.__reserved = 0;
	EXPECT_EQ(0, space_info(self->dev.space, &info));
}

TEST_F_TIMEOUT(abi, arguments_that_cannot_be_read, TEST_SECONDS)
{
	void *const wrong[] = {
		NULL, self->blind, (void *)1, (void *)-1, (void *)(-4096L),
		/* The first bytes can be read, the last cannot. */
		self->edge - 2,
	};
	size_t i, j;

	ASSERT_EQ(0, device_attach(&self->dev));
	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		/* The argument of UNSET is ignored: see the test of it. */
		if (requests[i].cmd == VFIO_DOMAIN_UNSET)
			continue;
		for (j = 0; j < ARRAY_SIZE(wrong); j++) {
			EXPECT_EQ(-EFAULT, request(self->dev.fd,
						   requests[i].cmd,
						   wrong[j])) {
				TH_LOG("number %u, pointer %p",
				       requests[i].nr, wrong[j]);
			}
			if (!(requests[i].on & ON_SPACE))
				continue;
			EXPECT_EQ(-EFAULT, request(self->dev.space,
						   requests[i].cmd, wrong[j]));
		}
	}
}

/* The size can be read, the structure behind it cannot. */
TEST_F_TIMEOUT(abi, structures_that_cannot_be_read, TEST_SECONDS)
{
	struct uiommu_device_info info;
	size_t i;

	ASSERT_EQ(0, device_attach(&self->dev));
	for (i = 0; i < ARRAY_SIZE(structs); i++) {
		*(__u32 *)(self->edge - 4) = structs[i].size;
		EXPECT_EQ(-EFAULT, request(self->dev.fd, structs[i].cmd,
					   self->edge - 4)) {
			TH_LOG("number 0x%lx", _IOC_NR(structs[i].cmd));
		}
	}
	/* The same for an array of eventfds, where the device has such vectors */
	ASSERT_EQ(0, device_info(self->dev.fd, &info));
	*(int *)(self->edge - 4) = 1;
	if (info.out_num_msix)
		EXPECT_EQ(-EFAULT, request(self->dev.fd, VFIO_EVENTFDS_MSIX,
					   self->edge - 4));
	if (info.out_num_msi)
		EXPECT_EQ(-EFAULT, request(self->dev.fd, VFIO_EVENTFDS_MSI,
					   self->edge - 4));
}

TEST_F_TIMEOUT(abi, answers_that_cannot_be_written, TEST_SECONDS)
{
	struct uiommu_info info = { .num_windows = 1 };
	__u32 *page = pages_alloc(1);
	size_t i;

	ASSERT_NE(NULL, page);
	for (i = 0; i < ARRAY_SIZE(structs); i++) {
		if (!only_asks(structs[i].cmd) || structs[i].on & ON_SPACE)
			continue;
		memset(page, 0, structs[i].size);
		page[0] = structs[i].size;
		ASSERT_EQ(0, mprotect(page, page_size(), PROT_READ));
		EXPECT_EQ(-EFAULT, request(self->dev.fd, structs[i].cmd, page));
		ASSERT_EQ(0, mprotect(page, page_size(),
				      PROT_READ | PROT_WRITE));
		EXPECT_EQ(0, request(self->dev.fd, structs[i].cmd, page));
	}
	memset(page, 0, page_size());
	ASSERT_EQ(0, mprotect(page, page_size(), PROT_READ));
	EXPECT_EQ(-EFAULT, request(self->dev.fd, VFIO_BAR_LEN, page));
	/* The array of windows */
	info.windows = (uintptr_t)page;
	EXPECT_EQ(-EFAULT, space_info(self->dev.space, &info));
	info.num_windows = 1;
	info.windows = 0;
	EXPECT_EQ(-EFAULT, request(self->dev.space, UIOMMU_INFO, &info));
}

TEST_F_TIMEOUT(abi, requests_before_set, TEST_SECONDS)
{
	int efd = eventfd_new();
	struct uiommu_info info = {};
	struct uiommu_device_info device;
	struct uiommu_region_info region;
	void *page = pages_alloc(1);
	__u32 val = 0;

	ASSERT_NE(NULL, page);
	ASSERT_LE(0, efd);
	EXPECT_EQ(-EINVAL, dma_map(self->dev.fd, page, IOVA_A, page_size(), 0));
	EXPECT_EQ(-EINVAL, dma_unmap(self->dev.fd, IOVA_A, page_size()));
	EXPECT_EQ(-EINVAL, irq_set(self->dev.fd, VFIO_EVENTFD_IRQ, efd));
	EXPECT_EQ(-EINVAL, irq_set(self->dev.fd, VFIO_EVENTFD_MSI, efd));
	EXPECT_EQ(-EINVAL, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSI, 1,
					&efd));
	EXPECT_EQ(-EINVAL, irq_set_many(self->dev.fd, VFIO_EVENTFDS_MSIX, 1,
					&efd));
	EXPECT_EQ(-EINVAL, irq_eoi(self->dev.fd));
	EXPECT_EQ(-EINVAL, irq_eoi_eventfd(self->dev.fd, -1));
	EXPECT_EQ(-EINVAL, device_reset(self->dev.fd));
	EXPECT_EQ(-EINVAL, domain_unset(self->dev.fd));
	EXPECT_EQ(-EINVAL, space_info(self->dev.fd, &info));
	EXPECT_EQ(-EINVAL, space_read(self->dev.fd, 0, 0, &val, 4));
	EXPECT_EQ(-EINVAL, space_write(self->dev.fd, 0, 0, &val, 4));
	EXPECT_EQ(-EINVAL, config_write(self->dev.fd, PCI_CACHE_LINE_SIZE, 1,
					0));
	EXPECT_EQ(NULL, space_mmap(self->dev.fd, 0, 0, page_size()));
	EXPECT_EQ(EINVAL, errno);

	/* What only asks works, and config space can be read. */
	EXPECT_EQ(0, device_info(self->dev.fd, &device));
	EXPECT_EQ(0, device.out_flags & UIOMMU_DEVICE_ATTACHED);
	EXPECT_EQ(0, region_info(self->dev.fd, VFIO_PCI_CONFIG_RESOURCE,
				 &region));
	EXPECT_LE(0, bar_len(self->dev.fd, 0));
	EXPECT_EQ(4, space_read(self->dev.fd, VFIO_PCI_CONFIG_RESOURCE, 0,
				&val, 4));
	EXPECT_NE(0, val);
	EXPECT_NE(UINT32_MAX, val);

	/* The same on an attached device */
	ASSERT_EQ(0, device_attach(&self->dev));
	EXPECT_EQ(0, dma_map(self->dev.fd, page, IOVA_A, page_size(), 0));
	EXPECT_EQ(0, dma_unmap(self->dev.fd, IOVA_A, page_size()));
	EXPECT_EQ(0, space_info(self->dev.fd, &info));
	EXPECT_EQ(4, space_read(self->dev.fd, 0, 0, &val, 4));
	EXPECT_EQ(0, device_info(self->dev.fd, &device));
	EXPECT_NE(0, device.out_flags & UIOMMU_DEVICE_ATTACHED);
	EXPECT_EQ(0, domain_unset(self->dev.fd));
}

/* Any argument will do for UNSET, a pointer to nothing included. */
TEST_F_TIMEOUT(abi, unset_ignores_its_argument, TEST_SECONDS)
{
	ASSERT_EQ(0, domain_set(self->dev.fd, self->dev.space));
	EXPECT_EQ(0, request(self->dev.fd, VFIO_DOMAIN_UNSET, NULL));
	ASSERT_EQ(0, domain_set(self->dev.fd, self->dev.space));
	EXPECT_EQ(0, request(self->dev.fd, VFIO_DOMAIN_UNSET, self->blind));
	ASSERT_EQ(0, domain_set(self->dev.fd, self->dev.space));
	EXPECT_EQ(0, request(self->dev.fd, VFIO_DOMAIN_UNSET, (void *)-1));
	EXPECT_EQ(-EINVAL, domain_unset(self->dev.fd));
}

/* What DEVICE_INFO tells is what sysfs tells. */
TEST_F_TIMEOUT(abi, device_info_is_right, TEST_SECONDS)
{
	static const char *const names[] = {
		"UIOMMU_VF", "UIOMMU_VF2", "UIOMMU_EDU", "UIOMMU_NVME",
		"UIOMMU_E1000E", "UIOMMU_IGB", "UIOMMU_VIRTIO",
		"UIOMMU_IVSHMEM", "UIOMMU_TESTDEV",
	};
	unsigned int domain, bus, slot, function;
	struct uiommu_device_info info;
	struct device dev;
	unsigned int cap;
	char link[8];
	char path[256];
	size_t i;
	int num;

	device_close(&self->dev);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		const char *bdf = getenv(names[i]);

		if (!bdf)
			continue;
		ASSERT_EQ(0, device_open(&dev, bdf));
		ASSERT_EQ(0, device_info(dev.fd, &info));
		num = sscanf(bdf, "%x:%x:%x.%x", &domain, &bus, &slot,
			     &function);
		ASSERT_EQ(4, num);
		EXPECT_EQ(domain, info.out_domain);
		EXPECT_EQ(bus, info.out_bus);
		EXPECT_EQ(slot << 3 | function, info.out_devfn);

		pci_path(path, sizeof(path), bdf, "physfn");
		EXPECT_EQ(readlink(path, link, sizeof(link)) > 0,
			  !!(info.out_flags & UIOMMU_DEVICE_VF));
		cap = config_cap(dev.fd, PCI_CAP_ID_EXP);
		EXPECT_EQ(!!cap, !!(info.out_flags & UIOMMU_DEVICE_PCIE));
		EXPECT_EQ(cap ? 4096 : 256, info.out_config_size);
		EXPECT_EQ(!!config_read(dev.fd, PCI_INTERRUPT_PIN, 1),
			  !!(info.out_flags & UIOMMU_DEVICE_INTX));
		cap = config_cap(dev.fd, PCI_CAP_ID_MSI);
		EXPECT_EQ(cap ? 1 << (config_read(dev.fd, cap + 2, 2) >> 1 & 7)
			      : 0, info.out_num_msi);
		cap = config_cap(dev.fd, PCI_CAP_ID_MSIX);
		EXPECT_EQ(cap ? (config_read(dev.fd, cap + 2, 2) & 0x7ff) + 1
			      : 0, info.out_num_msix);
		EXPECT_EQ(0, info.__reserved);
		pci_path(path, sizeof(path), bdf, "reset_method");
		EXPECT_EQ(!access(path, F_OK),
			  !!(info.out_flags & UIOMMU_DEVICE_RESET));
		device_close(&dev);
		log_close(&dev.log);
	}
}

TEST_HARNESS_MAIN
