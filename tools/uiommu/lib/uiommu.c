// SPDX-License-Identifier: GPL-2.0-only
/*
 * Helpers for user-level PCI drivers: devices, DMA buffers, BARs, config space
 * and interrupts through /dev/uiommu and /dev/vfioN.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/uiommu.h>

#include "uiommu.h"

#define MAX_MSIX	2048

/* Say what failed and why, and return the reason. */
#define failed(fmt, ...) ({						\
	int __err = errno;						\
									\
	fprintf(stderr, "uiommu: " fmt ": %s\n", ##__VA_ARGS__,		\
		strerror(__err));					\
	errno = __err;							\
	-__err;								\
})

/**
 * ud_find_node() - find the device node of a PCI device
 * @bdf: PCI address
 * @node: receives the path, as in /dev/vfio0
 * @len: size of @node
 *
 * A device that is bound to the driver "vfio" has a directory vfio/vfioN in
 * sysfs; N has nothing to do with the address.
 */
int ud_find_node(const char *bdf, char *node, size_t len)
{
	char path[128];
	struct dirent *d;
	unsigned int n;
	DIR *dir;
	int end;

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/vfio/%s/vfio", bdf);
	dir = opendir(path);
	if (!dir)
		return failed("%s", path);

	while ((d = readdir(dir))) {
		end = 0;
		if (sscanf(d->d_name, "vfio%u%n", &n, &end) != 1 ||
		    d->d_name[end])
			continue;
		snprintf(node, len, "/dev/vfio%u", n);
		closedir(dir);
		return 0;
	}
	closedir(dir);
	errno = ENODEV;
	return failed("no vfioN in %s", path);
}

/**
 * ud_open() - open a device and attach it to a new address space
 * @ud: to be filled in
 * @bdf: PCI address, with or without the domain
 */
int ud_open(struct ud_device *ud, const char *bdf)
{
	unsigned int domain = 0, bus, dev, fn;
	int ret;

	ud->fd = -1;
	ud->space = -1;
	if (sscanf(bdf, "%x:%x:%x.%x", &domain, &bus, &dev, &fn) != 4) {
		domain = 0;
		if (sscanf(bdf, "%x:%x.%x", &bus, &dev, &fn) != 3) {
			errno = EINVAL;
			return failed("'%s' is no PCI address", bdf);
		}
	}
	snprintf(ud->bdf, sizeof(ud->bdf), "%04x:%02x:%02x.%x", domain & 0xffff,
		 bus & 0xff, dev & 0x1f, fn & 7);
	ret = ud_find_node(ud->bdf, ud->node, sizeof(ud->node));
	if (ret)
		return ret;

	ud->space = open("/dev/uiommu", O_RDWR | O_CLOEXEC);
	if (ud->space < 0)
		return failed("/dev/uiommu");

	ud->fd = open(ud->node, O_RDWR | O_CLOEXEC);
	if (ud->fd < 0) {
		ret = failed("%s", ud->node);
		goto err_close;
	}
	if (ioctl(ud->fd, VFIO_DOMAIN_SET, &ud->space)) {
		ret = failed("%s: VFIO_DOMAIN_SET", ud->node);
		goto err_close;
	}
	return 0;

err_close:
	ud_close(ud);
	return ret;
}

/**
 * ud_close() - give the device back
 * @ud: device
 *
 * The last close resets the device and unmaps all that was mapped through it.
 */
void ud_close(struct ud_device *ud)
{
	if (ud->fd >= 0)
		close(ud->fd);
	if (ud->space >= 0)
		close(ud->space);
	ud->fd = -1;
	ud->space = -1;
}

/**
 * ud_dma_alloc() - memory that the device can reach
 * @ud: device
 * @len: bytes, a multiple of the page size
 * @iova: address at which the device finds it
 * @flags: VFIO_FLAG_WRITE when the device may write
 *
 * The mapping is made through the device fd and not through the address space,
 * so that it is the device's close that ends it: when the process is killed,
 * the device is stopped before the memory goes.
 */
void *ud_dma_alloc(struct ud_device *ud, size_t len, __u64 iova, int flags)
{
	struct vfio_dma_map map = {
		.dmaaddr = iova,
		.size = len,
		.flags = flags,
	};
	void *mem;

	mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED) {
		failed("%zu bytes of memory", len);
		return NULL;
	}
	map.vaddr = (uintptr_t)mem;
	if (ioctl(ud->fd, VFIO_DMA_MAP_IOVA, &map)) {
		failed("%s: map %zu bytes at 0x%llx", ud->node, len,
		       (unsigned long long)iova);
		munmap(mem, len);
		return NULL;
	}
	return mem;
}

/**
 * ud_dma_free() - undo ud_dma_alloc()
 * @ud: device
 * @mem: the memory
 * @len: as it was allocated
 * @iova: as it was allocated
 */
int ud_dma_free(struct ud_device *ud, void *mem, size_t len, __u64 iova)
{
	struct vfio_dma_map map = {
		.vaddr = (uintptr_t)mem,
		.dmaaddr = iova,
		.size = len,
	};

	if (ioctl(ud->fd, VFIO_DMA_UNMAP, &map))
		return failed("%s: unmap 0x%llx", ud->node,
			      (unsigned long long)iova);
	munmap(mem, len);
	return 0;
}

/**
 * ud_map_bar() - map the registers of a device
 * @ud: device
 * @bar: 0 to 5
 * @len: receives the length, may be NULL
 */
void *ud_map_bar(struct ud_device *ud, int bar, size_t *len)
{
	struct uiommu_region_info info = {
		.size = sizeof(info),
		.index = bar,
	};
	void *mem;

	if (ioctl(ud->fd, UIOMMU_REGION_INFO, &info)) {
		failed("%s: BAR %d", ud->node, bar);
		return NULL;
	}
	if (!(info.out_flags & UIOMMU_REGION_MMAP)) {
		errno = ENODEV;
		failed("%s: BAR %d cannot be mapped", ud->node, bar);
		return NULL;
	}
	mem = mmap(NULL, info.out_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		   ud->fd, VFIO_PCI_SPACE_TO_OFFSET(bar));
	if (mem == MAP_FAILED) {
		failed("%s: mmap BAR %d", ud->node, bar);
		return NULL;
	}
	if (len)
		*len = info.out_size;
	return mem;
}

/**
 * ud_config_read() - read from config space
 * @ud: device
 * @offset: register
 * @size: 1, 2 or 4 bytes
 * @val: receives the value
 */
int ud_config_read(struct ud_device *ud, int offset, int size, __u32 *val)
{
	__u32 raw = 0;
	ssize_t n;

	n = pread(ud->fd, &raw, size, VFIO_PCI_CONFIG_OFF + offset);
	if (n != size) {
		if (n >= 0)
			errno = EIO;
		return failed("%s: config read 0x%x", ud->node, offset);
	}
	*val = le32toh(raw);
	return 0;
}

/**
 * ud_config_write() - write to config space
 * @ud: device
 * @offset: register
 * @size: 1, 2 or 4 bytes
 * @val: value
 */
int ud_config_write(struct ud_device *ud, int offset, int size, __u32 val)
{
	__u32 raw = htole32(val);
	ssize_t n;

	n = pwrite(ud->fd, &raw, size, VFIO_PCI_CONFIG_OFF + offset);
	if (n != size) {
		if (n >= 0)
			errno = EIO;
		return failed("%s: config write 0x%x", ud->node, offset);
	}
	return 0;
}

/**
 * ud_command() - change bits of the COMMAND register
 * @ud: device
 * @clear: PCI_COMMAND_* to clear
 * @set: PCI_COMMAND_* to set
 */
int ud_command(struct ud_device *ud, __u16 clear, __u16 set)
{
	__u32 cmd = 0;
	int ret;

	ret = ud_config_read(ud, PCI_COMMAND, 2, &cmd);
	if (ret)
		return ret;
	return ud_config_write(ud, PCI_COMMAND, 2, (cmd & ~clear) | set);
}

/**
 * ud_eventfd() - make a file descriptor that interrupts can be sent to
 */
int ud_eventfd(void)
{
	int efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return efd < 0 ? failed("eventfd") : efd;
}

/**
 * ud_irq_intx() - send INTx interrupts to an eventfd
 * @ud: device
 * @efd: eventfd, -1 to turn INTx off
 *
 * INTx is masked after each interrupt, see ud_irq_intx_eoi().
 */
int ud_irq_intx(struct ud_device *ud, int efd)
{
	if (ioctl(ud->fd, VFIO_EVENTFD_IRQ, &efd))
		return failed("%s: VFIO_EVENTFD_IRQ", ud->node);
	return 0;
}

/**
 * ud_irq_intx_eoi() - end of interrupt: let the next INTx through
 * @ud: device
 */
int ud_irq_intx_eoi(struct ud_device *ud)
{
	struct uiommu_irq_eoi eoi = { .size = sizeof(eoi) };

	if (ioctl(ud->fd, UIOMMU_IRQ_EOI, &eoi))
		return failed("%s: UIOMMU_IRQ_EOI", ud->node);
	return 0;
}

/**
 * ud_irq_msi() - send MSI interrupts to an eventfd
 * @ud: device
 * @efd: eventfd, -1 to turn MSI off
 */
int ud_irq_msi(struct ud_device *ud, int efd)
{
	if (ioctl(ud->fd, VFIO_EVENTFD_MSI, &efd))
		return failed("%s: VFIO_EVENTFD_MSI", ud->node);
	return 0;
}

/**
 * ud_irq_msix() - send MSI-X interrupts to eventfds
 * @ud: device
 * @count: vectors, 0 to turn MSI-X off
 * @efds: an eventfd for each vector
 */
int ud_irq_msix(struct ud_device *ud, int count, const int *efds)
{
	int ret = 0;
	int *arg;

	if (count < 0 || count > MAX_MSIX) {
		errno = EINVAL;
		return failed("%s: %d MSI-X vectors", ud->node, count);
	}
	arg = calloc(count + 1, sizeof(*arg));
	if (!arg)
		return failed("memory");
	arg[0] = count;
	if (count)
		memcpy(arg + 1, efds, count * sizeof(*arg));
	if (ioctl(ud->fd, VFIO_EVENTFDS_MSIX, arg))
		ret = failed("%s: VFIO_EVENTFDS_MSIX", ud->node);
	free(arg);
	return ret;
}

/**
 * ud_wait() - wait for interrupts
 * @efd: an eventfd of ud_eventfd()
 * @timeout_ms: how long to wait
 *
 * Return: interrupts since the last call, 0 when the time is over.
 */
__s64 ud_wait(int efd, int timeout_ms)
{
	struct pollfd pfd = { .fd = efd, .events = POLLIN };
	__u64 end = ud_now_us() + (__u64)timeout_ms * 1000;
	__u64 count, now;

	for (;;) {
		now = ud_now_us();
		timeout_ms = now < end ? (end - now + 999) / 1000 : 0;
		if (poll(&pfd, 1, timeout_ms) < 0 && errno != EINTR)
			return failed("poll");
		if (read(efd, &count, sizeof(count)) == sizeof(count))
			return count;
		if (errno != EAGAIN && errno != EINTR)
			return failed("eventfd");
		if (!timeout_ms)
			return 0;
	}
}

/**
 * ud_now_us() - microseconds that go on whatever happens to the clock
 */
__u64 ud_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ull + ts.tv_nsec / 1000;
}
