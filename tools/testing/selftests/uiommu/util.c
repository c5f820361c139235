// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the uiommu tests share: devices by PCI address, requests, the kernel log,
 * and two devices that do DMA on demand.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

/*
 * Time
 */
__u64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (__u64)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void sleep_ms(unsigned int ms)
{
	struct timespec left = {
		.tv_sec = ms / 1000,
		.tv_nsec = (ms % 1000) * 1000000L,
	};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

/*
 * Files
 */
int file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* Read a whole file; the text is terminated and has no newline at its end. */
ssize_t file_read(const char *path, char *buf, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t done = 0;
	ssize_t ret = 0;

	if (fd < 0)
		return -errno;
	while (done < len - 1) {
		ret = read(fd, buf + done, len - 1 - done);
		if (ret <= 0)
			break;
		done += ret;
	}
	if (ret < 0)
		ret = -errno;
	close(fd);
	if (ret < 0)
		return ret;
	buf[done] = 0;
	if (done && buf[done - 1] == '\n')
		buf[done - 1] = 0;
	return done;
}

long file_number(const char *path)
{
	char buf[64];
	ssize_t ret = file_read(path, buf, sizeof(buf));

	return ret < 0 ? ret : strtol(buf, NULL, 0);
}

/* The number behind the name of a field at the start of a line, or LONG_MIN */
long file_field(const char *path, const char *field)
{
	static char buf[32768];
	size_t len = strlen(field);
	char *line, *save;

	if (file_read(path, buf, sizeof(buf)) < 0)
		return LONG_MIN;
	for (line = strtok_r(buf, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		if (!strncmp(line, field, len) &&
		    strchr(" \t:", line[len]))
			return strtol(line + len + strspn(line + len, " \t:"),
				      NULL, 0);
	return LONG_MIN;
}

/*
 * Kernel log
 */
int log_open(struct log *log)
{
	memset(log, 0, sizeof(*log));
	log->fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (log->fd < 0)
		return -errno;
	lseek(log->fd, 0, SEEK_END);
	return 0;
}

void log_close(struct log *log)
{
	if (log->fd >= 0)
		close(log->fd);
	log->fd = -1;
}

static bool line_has(const char *line, const char *const *words, size_t num)
{
	size_t i;

	for (i = 0; i < num; i++)
		if (strstr(line, words[i]))
			return true;
	return false;
}

void log_read(struct log *log)
{
	static const char *const splats[] = {
		"WARNING:", "BUG:", "Oops", "cut here", "KASAN:", "UBSAN:",
		"INFO: task", "INFO: rcu", "INFO: possible", "INFO: trying",
		"possible recursive", "possible circular", "lock state",
		"suspicious RCU", "refcount_t:", "corruption", "general protect",
		"Flags mismatch", "nobody cared",
	};
	static const char *const faults[] = {
		"DMAR: [", "IO_PAGE_FAULT", "fault from EP", "event: F_",
	};
	char line[8192], *text;
	ssize_t len;

	if (log->fd < 0)
		return;
	for (;;) {
		len = read(log->fd, line, sizeof(line) - 1);
		/* EPIPE: records were overwritten; go on with the oldest. */
		if (len < 0 && (errno == EPIPE || errno == EINTR))
			continue;
		if (len <= 0)
			break;
		line[len] = 0;
		/* "level and facility,...;text": the kernel is facility 0 */
		if (strtoul(line, NULL, 10) >> 3)
			continue;
		text = strchr(line, ';');
		if (!text)
			continue;
		text++;
		/* Races of all of the kernel: who reads the log has to tell. */
		if (strstr(text, "BUG: KCSAN:"))
			continue;
		if (line_has(text, splats, ARRAY_LEN(splats)))
			log->splats++;
		else if (line_has(text, faults, ARRAY_LEN(faults)))
			log->faults++;
		else
			continue;
		if (log->splats + log->faults == 1)
			snprintf(log->first, sizeof(log->first), "%.*s",
				 (int)strcspn(text, "\n"), text);
	}
}

/* How many faults there are after at most that time, and forget them. */
unsigned int log_take_faults(struct log *log, unsigned int ms)
{
	__u64 end = now_ms() + ms;
	unsigned int faults;

	for (;;) {
		log_read(log);
		if (log->faults || now_ms() >= end)
			break;
		sleep_ms(5);
	}
	/* Let those that belong together arrive. */
	if (log->faults) {
		sleep_ms(50);
		log_read(log);
	}
	faults = log->faults;
	log->faults = 0;
	return faults;
}

/*
 * PCI devices in sysfs
 */
void pci_path(char *path, size_t len, const char *bdf, const char *name)
{
	snprintf(path, len, "/sys/bus/pci/devices/%s/%s", bdf, name);
}

int pci_attr_write(const char *bdf, const char *name, const char *text)
{
	char path[PATH_MAX];

	pci_path(path, sizeof(path), bdf, name);
	return file_write(path, text);
}

ssize_t pci_attr_read(const char *bdf, const char *name, char *buf, size_t len)
{
	char path[PATH_MAX];

	pci_path(path, sizeof(path), bdf, name);
	return file_read(path, buf, len);
}

/*
 * Where a device can have no memory because its interrupts are there: what the
 * hardware reserves for them, or the IOMMU driver.
 */
__u64 reserved_iova(const char *bdf)
{
	char text[4096], type[32], *line, *save;
	unsigned long long first;

	if (pci_attr_read(bdf, "iommu_group/reserved_regions", text,
			  sizeof(text)) < 0)
		return 0;
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		if (sscanf(line, "%llx %*x %31s", &first, type) == 2 &&
		    !strcmp(type, "msi"))
			return first;
	return 0;
}

/* A word of the real config space */
long pci_config_word(const char *bdf, unsigned int pos)
{
	char path[PATH_MAX];
	__u16 val;
	ssize_t ret;
	int fd;

	pci_path(path, sizeof(path), bdf, "config");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = pread(fd, &val, sizeof(val), pos);
	if (ret < 0)
		ret = -errno;
	close(fd);
	return ret == sizeof(val) ? val : ret < 0 ? ret : -EIO;
}

int pci_driver_write(const char *driver, const char *name, const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%s/%s", driver,
		 name);
	return file_write(path, text);
}

bool pci_driver_is(const char *bdf, const char *driver)
{
	char path[PATH_MAX], link[PATH_MAX];
	ssize_t len;

	pci_path(path, sizeof(path), bdf, "driver");
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		return false;
	link[len] = 0;
	return !strcmp(strrchr(link, '/') + 1, driver);
}

/* Bind a device to "vfio" and wait for its node. */
int pci_bind(const char *bdf)
{
	__u64 end = now_ms() + 5000;
	char name[PATH_MAX];
	int ret;

	ret = pci_attr_write(bdf, "driver_override", "vfio");
	if (ret)
		return ret;
	ret = file_write("/sys/bus/pci/drivers_probe", bdf);
	if (ret)
		return ret;
	while (!pci_driver_is(bdf, "vfio") ||
	       node_name(bdf, name, sizeof(name)) || access(name, F_OK)) {
		if (now_ms() > end)
			return -ENODEV;
		sleep_ms(10);
	}
	return 0;
}

int pci_unbind(const char *bdf)
{
	return pci_driver_write("vfio", "unbind", bdf);
}

/*
 * Nodes
 */

/* The path of 2010: .../drivers/vfio/<bdf>/vfio/vfioN names /dev/vfioN. */
static int node_entry(const char *bdf, char *entry, size_t len)
{
	char path[PATH_MAX];
	struct dirent *d;
	int ret = -ENODEV;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/vfio/%s/vfio", bdf);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((d = readdir(dir))) {
		if (strncmp(d->d_name, "vfio", 4) ||
		    d->d_name[4] < '0' || d->d_name[4] > '9')
			continue;
		snprintf(entry, len, "%s", d->d_name);
		ret = 0;
	}
	closedir(dir);
	return ret;
}

int node_name(const char *bdf, char *name, size_t len)
{
	char entry[NAME_MAX + 1];
	int ret;

	ret = node_entry(bdf, entry, sizeof(entry));
	if (!ret)
		snprintf(name, len, "/dev/%s", entry);
	return ret;
}

int node_open(const char *bdf, int flags)
{
	char name[PATH_MAX];
	int ret;

	ret = node_name(bdf, name, sizeof(name));
	if (ret)
		return ret;
	ret = open(name, flags | O_CLOEXEC);
	return ret < 0 ? -errno : ret;
}

/* Path of a sysfs file of the node */
int node_attr(const char *bdf, const char *attr, char *path, size_t len)
{
	char entry[NAME_MAX + 1];
	int ret;

	ret = node_entry(bdf, entry, sizeof(entry));
	if (!ret)
		snprintf(path, len, "/sys/bus/pci/drivers/vfio/%s/vfio/%s/%s",
			 bdf, entry, attr);
	return ret;
}

long locked_pages(const char *bdf)
{
	char path[PATH_MAX];
	int ret;

	ret = node_attr(bdf, "locked_pages", path, sizeof(path));
	return ret ? ret : file_number(path);
}

/* Some device, for tests that need no particular one */
const char *device_any(void)
{
	static const char *const names[] = {
		"UIOMMU_VF", "UIOMMU_EDU", "UIOMMU_NVME", "UIOMMU_E1000E",
		"UIOMMU_IVSHMEM", "UIOMMU_TESTDEV",
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++)
		if (getenv(names[i]))
			return getenv(names[i]);
	return NULL;
}

/*
 * Requests
 */
long request(int fd, unsigned long cmd, void *arg)
{
	long ret = ioctl(fd, cmd, arg);

	return ret == -1 ? -errno : ret;
}

int space_open(void)
{
	int fd = open("/dev/uiommu", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int domain_set(int fd, int space)
{
	return request(fd, VFIO_DOMAIN_SET, &space);
}

int domain_unset(int fd)
{
	int ignored = -1;

	return request(fd, VFIO_DOMAIN_UNSET, &ignored);
}

int dma_map(int fd, const void *vaddr, __u64 iova, __u64 size,
	    __u64 flags)
{
	struct vfio_dma_map map = {
		.vaddr = (uintptr_t)vaddr,
		.dmaaddr = iova,
		.size = size,
		.flags = flags,
	};

	return request(fd, VFIO_DMA_MAP_IOVA, &map);
}

int dma_unmap(int fd, __u64 iova, __u64 size)
{
	struct vfio_dma_map map = {
		.dmaaddr = iova,
		.size = size,
	};

	return request(fd, VFIO_DMA_UNMAP, &map);
}

/* Asks for windows when there is an array for them. */
int dma_batch(int fd, unsigned long cmd, const struct vfio_dma_map *entries,
	      unsigned int num, unsigned int *done)
{
	struct uiommu_batch batch = {
		.size = sizeof(batch),
		.num = num,
		.out_done = UINT32_MAX,
		.entries = (unsigned long)entries,
	};
	int ret = request(fd, cmd, &batch);

	*done = batch.out_done;
	return ret;
}

int dma_map_lowest(int fd, const void *vaddr, __u64 size, __u64 flags,
		   __u64 max, __u64 *iova)
{
	struct uiommu_map map = {
		.size = sizeof(map),
		.flags = flags,
		.vaddr = (uintptr_t)vaddr,
		.length = size,
		.max = max,
	};
	int ret = request(fd, UIOMMU_MAP, &map);

	*iova = map.out_iova;
	return ret;
}

int dma_unmap_all(int fd, __u64 *mappings)
{
	struct uiommu_unmap_all all = { .size = sizeof(all) };
	int ret = request(fd, UIOMMU_UNMAP_ALL, &all);

	*mappings = all.out_mappings;
	return ret;
}

int space_info(int fd, struct uiommu_info *info)
{
	info->size = sizeof(*info);
	if (!info->windows)
		info->num_windows = 0;
	return request(fd, UIOMMU_INFO, info);
}

int device_info(int fd, struct uiommu_device_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	return request(fd, UIOMMU_DEVICE_INFO, info);
}

int region_info(int fd, unsigned int index, struct uiommu_region_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	info->index = index;
	return request(fd, UIOMMU_REGION_INFO, info);
}

int device_reset(int fd)
{
	struct uiommu_reset reset = { .size = sizeof(reset) };

	return request(fd, UIOMMU_RESET, &reset);
}

int device_reset_set(int fd, const int *fds, unsigned int num)
{
	struct uiommu_reset reset = {
		.size = sizeof(reset),
		.flags = UIOMMU_RESET_SET,
		.num_fds = num,
		.fds = (uintptr_t)fds,
	};

	return request(fd, UIOMMU_RESET, &reset);
}

int irq_eoi(int fd)
{
	struct uiommu_irq_eoi eoi = { .size = sizeof(eoi) };

	return request(fd, UIOMMU_IRQ_EOI, &eoi);
}

int irq_eoi_eventfd(int fd, int eventfd)
{
	struct uiommu_irq_eoi_eventfd eoi = {
		.size = sizeof(eoi),
		.fd = eventfd,
	};

	return request(fd, UIOMMU_IRQ_EOI_EVENTFD, &eoi);
}

int irq_range(int fd, unsigned int kind, unsigned int op, unsigned int first,
	      unsigned int num, const void *data, size_t size)
{
	struct uiommu_irq_set set = {
		.size = sizeof(set),
		.kind = kind,
		.op = op,
		.first = first,
		.num = num,
		.data_size = size,
		.data = (unsigned long)data,
	};

	return request(fd, UIOMMU_IRQ_SET, &set);
}

int irq_set(int fd, unsigned long cmd, int eventfd)
{
	return request(fd, cmd, &eventfd);
}

int irq_set_many(int fd, unsigned long cmd, int num, const int *eventfds)
{
	int arg[1 + 64];

	if (num > 64)
		return -E2BIG;
	arg[0] = num;
	if (num > 0)
		memcpy(arg + 1, eventfds, num * sizeof(*arg));
	return request(fd, cmd, arg);
}

/* Beware: a length of 2 GiB and above is positive here, as long is 64 bits. */
long bar_len(int fd, unsigned int bar)
{
	__u32 arg = bar;
	long ret = request(fd, VFIO_BAR_LEN, &arg);

	return ret ? ret : (long)arg;
}

/*
 * Spaces of a device
 */
ssize_t space_read(int fd, unsigned int space, __u64 pos, void *buf,
		   size_t len)
{
	ssize_t ret = pread(fd, buf, len,
			    VFIO_PCI_SPACE_TO_OFFSET(space) + pos);

	return ret < 0 ? -errno : ret;
}

ssize_t space_write(int fd, unsigned int space, __u64 pos, const void *buf,
		    size_t len)
{
	ssize_t ret = pwrite(fd, buf, len,
			     VFIO_PCI_SPACE_TO_OFFSET(space) + pos);

	return ret < 0 ? -errno : ret;
}

/* NULL on failure, with errno */
void *space_mmap(int fd, unsigned int space, __u64 pos, size_t len)
{
	void *mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 VFIO_PCI_SPACE_TO_OFFSET(space) + pos);

	return mem == MAP_FAILED ? NULL : mem;
}

/* All-ones on failure, as a PCI read gives */
__u32 config_read(int fd, unsigned int pos, unsigned int width)
{
	__u32 val = 0;

	if (space_read(fd, VFIO_PCI_CONFIG_RESOURCE, pos, &val, width) !=
	    (ssize_t)width)
		return UINT32_MAX;
	return val;
}

int config_write(int fd, unsigned int pos, unsigned int width, __u32 val)
{
	ssize_t ret = space_write(fd, VFIO_PCI_CONFIG_RESOURCE, pos, &val,
				  width);

	return ret == (ssize_t)width ? 0 : ret < 0 ? ret : -EIO;
}

/* Offset of a capability, 0 when there is none */
unsigned int config_cap(int fd, unsigned int id)
{
	unsigned int pos, loops = 48;

	if (!(config_read(fd, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST))
		return 0;
	pos = config_read(fd, PCI_CAPABILITY_LIST, 1) & ~3U;
	while (pos && loops--) {
		if (config_read(fd, pos + PCI_CAP_LIST_ID, 1) == id)
			return pos;
		pos = config_read(fd, pos + PCI_CAP_LIST_NEXT, 1) & ~3U;
	}
	return 0;
}

int config_command(int fd, unsigned int clear, unsigned int set)
{
	__u32 val = config_read(fd, PCI_COMMAND, 2);

	return config_write(fd, PCI_COMMAND, 2, (val & ~clear) | set);
}

/*
 * Devices
 */
int device_open(struct device *dev, const char *bdf)
{
	int ret;

	memset(dev, 0, sizeof(*dev));
	dev->bdf = bdf;
	dev->fd = -1;
	dev->space = -1;
	ret = log_open(&dev->log);
	if (ret)
		return ret;
	dev->fd = node_open(bdf, O_RDWR);
	if (dev->fd < 0)
		return dev->fd;
	dev->space = space_open();
	return dev->space < 0 ? dev->space : 0;
}

/* Can a device only raise those interrupts that are its own? */
bool device_isolated(int fd)
{
	struct uiommu_device_info info;

	return !device_info(fd, &info) &&
	       info.out_flags & UIOMMU_DEVICE_ISOLATED_MSI;
}

/* Attach, and let the device decode its BARs and do DMA. */
int device_attach(struct device *dev)
{
	int ret;

	ret = domain_set(dev->fd, dev->space);
	if (ret)
		return ret;
	return config_command(dev->fd, 0, PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
			      PCI_COMMAND_MASTER);
}

int device_map_bar(struct device *dev, unsigned int bar)
{
	long len = bar_len(dev->fd, bar);
	unsigned int cap;
	__u32 table;

	if (len < 0)
		return len;
	dev->regs = bar;
	dev->bar = space_mmap(dev->fd, bar, 0, len);
	cap = config_cap(dev->fd, PCI_CAP_ID_MSIX);
	if (!dev->bar && cap) {
		/* Without isolated interrupts up to the MSI-X table */
		table = config_read(dev->fd, cap + PCI_MSIX_TABLE, 4);
		if ((table & PCI_MSIX_TABLE_BIR) == bar && table >= page_size()) {
			len = table & ~(page_size() - 1);
			dev->bar = space_mmap(dev->fd, bar, 0, len);
		}
	}
	dev->bar_len = len;
	/* One that shares a page is read and written by calls. */
	if (!dev->bar && len < (long)page_size() && errno == EINVAL)
		return 0;
	return dev->bar ? 0 : -errno;
}

void device_close(struct device *dev)
{
	if (dev->bar)
		munmap(dev->bar, dev->bar_len);
	dev->bar = NULL;
	if (dev->fd >= 0)
		close(dev->fd);
	dev->fd = -1;
	if (dev->space >= 0)
		close(dev->space);
	dev->space = -1;
}

__u32 reg_read(struct device *dev, unsigned int reg)
{
	__u32 val = UINT32_MAX;

	if (dev->bar)
		return get_once((__u32 *)(dev->bar + reg));
	space_read(dev->fd, dev->regs, reg, &val, sizeof(val));
	return val;
}

void reg_write(struct device *dev, unsigned int reg, __u32 val)
{
	if (dev->bar)
		set_once((__u32 *)(dev->bar + reg), val);
	else
		space_write(dev->fd, dev->regs, reg, &val, sizeof(val));
}

__u64 reg_read64(struct device *dev, unsigned int reg)
{
	__u64 val = UINT64_MAX;

	if (dev->bar)
		return get_once((__u64 *)(dev->bar + reg));
	space_read(dev->fd, dev->regs, reg, &val, sizeof(val));
	return val;
}

void reg_write64(struct device *dev, unsigned int reg, __u64 val)
{
	if (dev->bar)
		set_once((__u64 *)(dev->bar + reg), val);
	else
		space_write(dev->fd, dev->regs, reg, &val, sizeof(val));
}

/*
 * Memory
 */
size_t page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

/* Bytes that one entry of the last but one level of page tables maps */
size_t huge_page_size(void)
{
	long size = file_number("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");

	return size > 0 ? size : 512 * page_size();
}

/* Of @max pages, those that an ordinary user may lock: run.sh lets it 256 MiB. */
unsigned int pages_to_lock(unsigned int max)
{
	size_t may = (192UL << 20) / page_size();

	return max < may ? max : may;
}

/* Zeroed private pages that are there, or NULL */
void *pages_alloc(size_t npages)
{
	void *mem = mmap(NULL, npages * page_size(), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

bool memory_is(const void *mem, unsigned char byte, size_t len)
{
	const unsigned char *p = mem;
	size_t i;

	for (i = 0; i < len; i++)
		if (get_once(p + i) != byte)
			return false;
	return true;
}

/* Pages that somebody in the system has pinned, LONG_MIN when not known */
long pins_outstanding(void)
{
	long taken, given;

	if (file_write("/proc/sys/vm/stat_refresh", "1"))
		return LONG_MIN;
	taken = file_field("/proc/vmstat", "nr_foll_pin_acquired");
	given = file_field("/proc/vmstat", "nr_foll_pin_released");
	if (taken == LONG_MIN || given == LONG_MIN)
		return LONG_MIN;
	return taken - given;
}

/* Does RLIMIT_MEMLOCK not count for this process? */
bool limit_is_lifted(void)
{
	char buf[4096], *eff;

	if (file_read("/proc/self/status", buf, sizeof(buf)) < 0)
		return false;
	eff = strstr(buf, "CapEff:");
	/* CAP_IPC_LOCK is 14. */
	return eff && strtoull(eff + 7, NULL, 16) >> 14 & 1;
}

/*
 * Device DMA
 */
#define ENGINE_PAGES		5
#define AMD_IOMMU		"/sys/class/iommu/ivhd0"
#define ENGINE_WAIT_MS		3000

/* NVMe */
#define NVME_INTMS		0x0c
#define NVME_CAP		0x00
#define NVME_CC			0x14
#define NVME_CSTS		0x1c
#define NVME_AQA		0x24
#define NVME_ASQ		0x28
#define NVME_ACQ		0x30
#define NVME_DOORBELLS		0x1000
#define NVME_QUEUE_LEN		16
#define NVME_BLOCK		512
#define NVME_OP_CREATE_SQ	0x01
#define NVME_OP_CREATE_CQ	0x05
#define NVME_OP_WRITE		0x01
#define NVME_OP_READ		0x02

struct nvme_command {
	__u8 opcode;
	__u8 flags;
	__u16 id;
	__u32 nsid;
	__u64 reserved;
	__u64 metadata;
	__u64 prp1;
	__u64 prp2;
	__u32 dw10;
	__u32 dw11;
	__u32 dw12;
	__u32 dw13;
	__u32 dw14;
	__u32 dw15;
};

struct nvme_completion {
	__u32 result;
	__u32 reserved;
	__u16 sq_head;
	__u16 sq_id;
	__u16 id;
	__u16 status;
};

static int edu_wait(struct device *dev)
{
	__u64 end = now_ms() + ENGINE_WAIT_MS;

	while (reg_read64(dev, EDU_DMA_COMMAND) & EDU_DMA_RUN) {
		if (now_ms() > end)
			return -ETIMEDOUT;
		sleep_ms(1);
	}
	return 0;
}

static void edu_begin(struct device *dev, __u64 from, __u64 to,
		      size_t len, unsigned int command)
{
	reg_write64(dev, EDU_DMA_FROM, from);
	reg_write64(dev, EDU_DMA_TO, to);
	reg_write64(dev, EDU_DMA_COUNT, len);
	reg_write64(dev, EDU_DMA_COMMAND, EDU_DMA_RUN | command);
}

static int edu_dma(struct device *dev, __u64 from, __u64 to, size_t len,
		   unsigned int command)
{
	int ret = edu_wait(dev);

	if (ret)
		return ret;
	edu_begin(dev, from, to, len, command);
	return edu_wait(dev);
}

/* Fill edu's buffer with what engine_write() writes. */
static int edu_load(struct engine *engine)
{
	int ret;

	if (engine->loaded)
		return 0;
	ret = edu_dma(engine->dev, IOVA_ENGINE + 4 * page_size(), EDU_BUFFER,
		      ENGINE_BYTES, 0);
	engine->loaded = !ret;
	return ret;
}

static int nvme_ready(struct device *dev, unsigned int ready)
{
	__u64 end = now_ms() + ENGINE_WAIT_MS;

	while ((reg_read(dev, NVME_CSTS) & 1) != ready) {
		if (now_ms() > end)
			return -ETIMEDOUT;
		sleep_ms(1);
	}
	return 0;
}

/* Queue 0 is the admin queue, 1 the only one for data. */
static int nvme_do(struct engine *engine, unsigned int queue,
		   const struct nvme_command *command)
{
	__u64 end = now_ms() + ENGINE_WAIT_MS;
	struct nvme_completion *done;
	struct nvme_command *slot;
	unsigned int status;

	slot = (void *)(engine->mem + 2 * queue * page_size());
	slot[engine->sq_tail[queue]] = *command;
	engine->sq_tail[queue] = (engine->sq_tail[queue] + 1) % NVME_QUEUE_LEN;
	__sync_synchronize();
	reg_write(engine->dev, NVME_DOORBELLS + 2 * queue * engine->stride,
		  engine->sq_tail[queue]);

	done = (void *)(engine->mem + (2 * queue + 1) * page_size());
	done += engine->cq_head[queue];
	while ((get_once(&done->status) & 1) != engine->phase[queue]) {
		if (now_ms() > end)
			return -ETIMEDOUT;
		usleep(200);
	}
	status = done->status >> 1;
	if (++engine->cq_head[queue] == NVME_QUEUE_LEN) {
		engine->cq_head[queue] = 0;
		engine->phase[queue] ^= 1;
	}
	reg_write(engine->dev,
		  NVME_DOORBELLS + (2 * queue + 1) * engine->stride,
		  engine->cq_head[queue]);
	return status ? -EIO : 0;
}

static int nvme_create_queues(struct engine *engine)
{
	struct nvme_command command = {
		.opcode = NVME_OP_CREATE_CQ,
		.prp1 = IOVA_ENGINE + 3 * page_size(),
		.dw10 = (NVME_QUEUE_LEN - 1) << 16 | 1,
		.dw11 = 1,
	};
	int ret;

	ret = nvme_do(engine, 0, &command);
	if (ret)
		return ret;
	command.opcode = NVME_OP_CREATE_SQ;
	command.prp1 = IOVA_ENGINE + 2 * page_size();
	command.dw11 = 1 << 16 | 1;
	return nvme_do(engine, 0, &command);
}

static int nvme_io(struct engine *engine, unsigned int opcode,
		   unsigned int block, __u64 iova, size_t len)
{
	struct nvme_command command = {
		.opcode = opcode,
		.nsid = 1,
		.prp1 = iova,
		.dw10 = block,
		.dw12 = len / NVME_BLOCK - 1,
	};

	if (!len || len % NVME_BLOCK)
		return -EINVAL;
	return nvme_do(engine, 1, &command);
}

static int nvme_start(struct engine *engine)
{
	struct device *dev = engine->dev;
	int ret;

	engine->stride = 4 << (reg_read64(dev, NVME_CAP) >> 32 & 0xf);
	engine->phase[0] = 1;
	engine->phase[1] = 1;
	reg_write(dev, NVME_CC, 0);
	ret = nvme_ready(dev, 0);
	if (ret)
		return ret;
	reg_write(dev, NVME_INTMS, UINT32_MAX);
	reg_write(dev, NVME_AQA,
		  (NVME_QUEUE_LEN - 1) << 16 | (NVME_QUEUE_LEN - 1));
	reg_write64(dev, NVME_ASQ, IOVA_ENGINE);
	reg_write64(dev, NVME_ACQ, IOVA_ENGINE + page_size());
	/* Entries of 64 and 16 bytes, 4 KiB pages */
	reg_write(dev, NVME_CC, 4 << 20 | 6 << 16 | 1);
	ret = nvme_ready(dev, 1);
	if (ret)
		return ret;
	ret = nvme_create_queues(engine);
	if (ret)
		return ret;
	return nvme_io(engine, NVME_OP_WRITE, 0,
		       IOVA_ENGINE + 4 * page_size(), ENGINE_BYTES);
}

/*
 * The device is attached and may do DMA; nothing is mapped at IOVA_ENGINE. The
 * engine's memory is mapped through the space fd, so that it does not count in
 * locked_pages and does not keep the device from leaving the space.
 */
int engine_start(struct engine *engine, struct device *dev)
{
	size_t i;
	int ret;

	memset(engine, 0, sizeof(*engine));
	engine->dev = dev;
	engine->nvme = config_read(dev->fd, PCI_VENDOR_ID, 4) == 0x00101b36;
	if (!dev->bar) {
		ret = device_map_bar(dev, 0);
		if (ret)
			return ret;
	}
	engine->mem_len = ENGINE_PAGES * page_size();
	engine->mem = pages_alloc(ENGINE_PAGES);
	if (!engine->mem)
		return -ENOMEM;
	engine->data = engine->mem + 4 * page_size();
	for (i = 0; i < ENGINE_BYTES; i++)
		engine->data[i] = (i * 7 + i / 256 + 1) | 1;
	ret = dma_map(dev->space, engine->mem, IOVA_ENGINE, engine->mem_len,
		      VFIO_FLAG_WRITE);
	if (ret)
		return ret;
	if (engine->nvme)
		return nvme_start(engine);
	if (reg_read(dev, EDU_ID) != EDU_ID_VALUE)
		return -ENODEV;
	return edu_wait(dev);
}

int engine_attach(struct engine *engine, struct device *dev)
{
	int ret = device_attach(dev);

	return ret ? ret : engine_start(engine, dev);
}

void engine_stop(struct engine *engine)
{
	if (!engine->mem)
		return;
	if (engine->nvme && engine->dev->fd >= 0) {
		reg_write(engine->dev, NVME_CC, 0);
		nvme_ready(engine->dev, 0);
	}
	if (engine->dev->space >= 0)
		dma_unmap(engine->dev->space, IOVA_ENGINE, engine->mem_len);
	munmap(engine->mem, engine->mem_len);
	engine->mem = NULL;
}

/*
 * Let the device write the first bytes of engine->data to @iova. An NVMe drive
 * reports -EIO when it could not; edu says nothing.
 */
int engine_write(struct engine *engine, __u64 iova, size_t len)
{
	int ret;

	if (engine->nvme)
		return nvme_io(engine, NVME_OP_READ, 0, iova, len);
	ret = edu_load(engine);
	if (ret)
		return ret;
	return edu_dma(engine->dev, EDU_BUFFER, iova, len, EDU_DMA_TO_MEMORY);
}

/* Does what the device writes to @iova appear in the page at @mem? */
bool engine_reaches(struct engine *engine, __u64 iova, void *mem)
{
	memset(mem, 0, page_size());
	return !engine_write(engine, iova, ENGINE_BYTES) &&
	       !memcmp(mem, engine->data, ENGINE_BYTES) &&
	       !log_take_faults(&engine->dev->log, 0);
}

/* An NVMe drive, where it is sure to be allowed to write */
static bool engine_works(struct engine *engine)
{
	unsigned char byte = engine->data[0];

	engine->data[0] = ~byte;
	return !engine_write(engine, IOVA_ENGINE + 4 * page_size(),
			     NVME_BLOCK) && engine->data[0] == byte;
}

/*
 * Is the device stopped at @iova, and nothing of it in the page at @mem? An NVMe
 * drive tells that by itself. For edu the kernel's log does, where faults are
 * lines; a write of many bytes would be many of them, and only so many are logged
 * in a time. QEMU's AMD IOMMU tells neither: then what the drive says it has
 * written, and writes elsewhere, is to be nowhere.
 */
bool engine_is_stopped(struct engine *engine, __u64 iova, void *mem)
{
	struct log *log = &engine->dev->log;
	bool stopped = false;
	int tries, ret;

	memset(mem, 0, page_size());
	if (engine->nvme) {
		ret = engine_write(engine, iova, NVME_BLOCK);
		stopped = ret == -EIO || (!ret && !access(AMD_IOMMU, F_OK) &&
					  engine_works(engine));
		log_take_faults(log, 100);
	}
	for (tries = 0; tries < 2 && !stopped; tries++) {
		if (tries)
			sleep_ms(FAULT_INTERVAL_MS);
		engine_write(engine, iova, engine->nvme ? NVME_BLOCK : 8);
		stopped = log_take_faults(log, 500);
	}
	return stopped && memory_is(mem, 0, page_size());
}

/* As engine_write(), but return while the device is at it: edu takes 100 ms. */
int engine_begin_write(struct engine *engine, __u64 iova, size_t len)
{
	int ret;

	if (engine->nvme)
		return -EOPNOTSUPP;
	ret = edu_load(engine);
	if (ret)
		return ret;
	edu_begin(engine->dev, EDU_BUFFER, iova, len, EDU_DMA_TO_MEMORY);
	return 0;
}

int engine_copy(struct engine *engine, __u64 from, __u64 to, size_t len)
{
	int ret;

	if (engine->nvme) {
		ret = nvme_io(engine, NVME_OP_WRITE, 8, from, len);
		if (ret)
			return ret;
		return nvme_io(engine, NVME_OP_READ, 8, to, len);
	}
	engine->loaded = false;
	ret = edu_dma(engine->dev, from, EDU_BUFFER, len, 0);
	if (ret)
		return ret;
	return edu_dma(engine->dev, EDU_BUFFER, to, len, EDU_DMA_TO_MEMORY);
}

/*
 * Interrupts
 */
int eventfd_new(void)
{
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/* What an eventfd counted, 0 when it is not signalled in that time */
__u64 eventfd_wait(int fd, unsigned int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	__u64 count;

	if (poll(&p, 1, ms) <= 0)
		return 0;
	if (read(fd, &count, sizeof(count)) != sizeof(count))
		return 0;
	return count;
}

int event_fd(int fd, unsigned int num, bool wait)
{
	struct uiommu_event_fd arg = { .size = sizeof(arg), .num = num };
	int ret = request(fd, UIOMMU_EVENT_FD, &arg);

	if (ret >= 0 && !wait && fcntl(ret, F_SETFL, O_NONBLOCK))
		return -errno;
	return ret;
}

/* Number of events, or an error number */
int event_read(int fd, struct uiommu_event *events, unsigned int num)
{
	ssize_t ret = read(fd, events, num * sizeof(*events));

	if (ret < 0)
		return -errno;
	return ret % sizeof(*events) ? -EIO : ret / (ssize_t)sizeof(*events);
}

/* What can be read without a wait: POLLIN, POLLHUP */
short event_poll(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, 0) < 0)
		abort();
	return p.revents;
}

/* Wait until there is something to read: nobody makes a request. */
bool event_wait(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 20000) == 1 && p.revents & POLLIN;
}

/* Wait for an event of this type; those before it are dropped. */
int event_wait_for(int fd, unsigned int type, struct uiommu_event *event)
{
	int ret;

	do {
		if (!event_wait(fd))
			return -ETIMEDOUT;
		ret = event_read(fd, event, 1);
		if (ret != 1)
			return ret < 0 ? ret : -ENODATA;
	} while (event->type != type);
	return 0;
}

/*
 * The number of the slot that a device is in.  tools/series/boot gives its QEMU
 * devices names by that: the device in slot 3 is dev3, on root port rp3.
 */
int slot_of(const char *bdf)
{
	char path[PATH_MAX], address[32];
	glob_t slots;
	int slot = -ENOENT;
	size_t i;

	if (glob("/sys/bus/pci/slots/*", 0, NULL, &slots))
		return -ENOENT;
	for (i = 0; i < slots.gl_pathc && slot < 0; i++) {
		snprintf(path, sizeof(path), "%s/address", slots.gl_pathv[i]);
		if (file_read(path, address, sizeof(address)) > 0 &&
		    !strncmp(address, bdf, strcspn(address, "\n")))
			slot = atoi(strrchr(slots.gl_pathv[i], '/') + 1);
	}
	globfree(&slots);
	return slot;
}

/* Read what comes from a terminal, until nothing came for a while. */
static ssize_t read_all(int fd, char *buf, size_t len, int timeout)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t done = 0;
	ssize_t n;

	while (done < len - 1 && poll(&p, 1, timeout) == 1) {
		n = read(fd, buf + done, len - 1 - done);
		if (n <= 0)
			return -EIO;
		done += n;
		timeout = 300;
	}
	buf[done] = 0;
	return done;
}

static bool answered(const char *answer)
{
	const char *text = strchr(answer, '\n');

	return text && strstr(text, "(qemu) ");
}

/*
 * Tell the machine, where it is an emulated one that can be told: UIOMMU_MONITOR
 * is a terminal with the monitor of QEMU at its other end.
 */
int monitor(const char *format, ...)
{
	const char *path = getenv("UIOMMU_MONITOR");
	char command[200], answer[16384] = "", *text;
	int fd, len, ret = -EIO;
	struct termios raw;
	size_t done = 0;
	ssize_t got;
	va_list args;

	if (!path)
		return -ENOENT;
	va_start(args, format);
	len = vsnprintf(command, sizeof(command) - 1, format, args);
	va_end(args);
	strcpy(command + len, "\n");

	fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!tcgetattr(fd, &raw)) {
		cfmakeraw(&raw);
		tcsetattr(fd, TCSAFLUSH, &raw);
	}
	/*
	 * Until then it echoed to the monitor what came from there: that is the
	 * beginning of a command now, which has to end.
	 */
	tcflush(fd, TCIOFLUSH);
	if (write(fd, "\n", 1) != 1)
		goto out;
	while (read_all(fd, answer, sizeof(answer), 1000) > 0)
		;
	*answer = 0;
	if (write(fd, command, len + 1) != len + 1)
		goto out;
	/* It repeats the command, answers, and asks for the next. */
	while (!answered(answer)) {
		if (done >= sizeof(answer) - 1)
			goto out;
		got = read_all(fd, answer + done, sizeof(answer) - done, 20000);
		if (got <= 0)
			goto out;
		done += got;
	}
	text = strchr(answer, '\n');
	ret = strcasestr(text, "error") ? -EINVAL : 0;
out:
	close(fd);
	return ret;
}
