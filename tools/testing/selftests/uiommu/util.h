/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the uiommu tests share. Functions return a result that is not negative,
 * or the negative error number, so that a test compares with -EBUSY and a system
 * call that returns a positive error is found out.
 */
#ifndef _SELFTESTS_UIOMMU_UTIL_H
#define _SELFTESTS_UIOMMU_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/pci_regs.h>
#include <linux/uiommu.h>

/* Seconds that a test may take; the harness kills it then. */
#define TEST_SECONDS	300

/*
 * Device addresses that the tests map at. All of them are in reach of edu, which
 * has 28 address bits. The engines keep their own memory at IOVA_ENGINE.
 */
#define IOVA_A		0x00400000ULL
#define IOVA_B		0x00800000ULL
#define IOVA_C		0x00c00000ULL
#define IOVA_LARGE	0x01000000ULL
#define IOVA_ENGINE	0x0e000000ULL

/* What is too large for these: no IOMMU keeps anything for interrupts there. */
#define IOVA_HIGH	0x100000000ULL

/* What an engine transfers at most: edu has a buffer of that size. */
#define ENGINE_BYTES	4096

/* The kernel logs no more than 10 faults in this time. */
#define FAULT_INTERVAL_MS	5100

/**
 * struct log - the kernel log since log_open()
 * @fd: /dev/kmsg
 * @splats: warnings and bugs
 * @faults: DMA or interrupts that an IOMMU refused
 * @first: the first such line
 */
struct log {
	int fd;
	unsigned int splats;
	unsigned int faults;
	char first[200];
};

/**
 * struct device - a device under test and an address space
 * @bdf: its PCI address
 * @fd: /dev/vfioN
 * @space: /dev/uiommu
 * @bar: a BAR, when it is mapped
 * @bar_len: length of that mapping
 * @regs: the BAR that reg_read() and reg_write() access, by calls if need be
 * @log: kernel log since the device was opened
 */
struct device {
	const char *bdf;
	int fd;
	int space;
	unsigned char *bar;
	size_t bar_len;
	unsigned int regs;
	struct log log;
};

/**
 * struct engine - a device that copies memory on demand
 * @dev: attached, with registers in BAR 0
 * @nvme: an NVMe drive, else QEMU's edu
 * @loaded: edu's buffer holds @data
 * @mem: memory that belongs to the engine, mapped through the space fd
 * @mem_len: its length
 * @stride: bytes between NVMe doorbells
 * @sq_tail: next entry of the submission queues
 * @cq_head: next entry of the completion queues
 * @phase: phase tag of the next completion
 * @data: the pattern that engine_write() writes, of ENGINE_BYTES
 */
struct engine {
	struct device *dev;
	bool nvme;
	bool loaded;
	unsigned char *mem;
	size_t mem_len;
	unsigned int stride;
	unsigned int sq_tail[2];
	unsigned int cq_head[2];
	unsigned int phase[2];
	unsigned char *data;
};

/*
 * Registers, and words that threads share: read and written at once, in one
 * piece.
 */
#define get_once(p)		__atomic_load_n(p, __ATOMIC_RELAXED)
#define set_once(p, val)	__atomic_store_n(p, val, __ATOMIC_RELAXED)

/* Time */
__u64 now_ms(void);
void sleep_ms(unsigned int ms);

/* Files */
int file_write(const char *path, const char *text);
ssize_t file_read(const char *path, char *buf, size_t len);
long file_number(const char *path);
long file_field(const char *path, const char *field);

/* Kernel log */
int log_open(struct log *log);
void log_close(struct log *log);
void log_read(struct log *log);
unsigned int log_take_faults(struct log *log, unsigned int ms);

/* PCI devices in sysfs */
void pci_path(char *path, size_t len, const char *bdf, const char *name);
int pci_attr_write(const char *bdf, const char *name, const char *text);
ssize_t pci_attr_read(const char *bdf, const char *name, char *buf, size_t len);
__u64 reserved_iova(const char *bdf);
long pci_config_word(const char *bdf, unsigned int pos);
int pci_driver_write(const char *driver, const char *name, const char *text);
bool pci_driver_is(const char *bdf, const char *driver);
int pci_bind(const char *bdf);
int pci_unbind(const char *bdf);

/* Nodes */
int node_name(const char *bdf, char *name, size_t len);
int node_open(const char *bdf, int flags);
int node_attr(const char *bdf, const char *attr, char *path, size_t len);
long locked_pages(const char *bdf);
const char *device_any(void);

/* Requests */
long request(int fd, unsigned long cmd, void *arg);
int space_open(void);
int domain_set(int fd, int space);
int domain_unset(int fd);
int dma_map(int fd, const void *vaddr, __u64 iova, __u64 size,
	    __u64 flags);
int dma_unmap(int fd, __u64 iova, __u64 size);
int dma_batch(int fd, unsigned long cmd, const struct vfio_dma_map *entries,
	      unsigned int num, unsigned int *done);
int dma_map_lowest(int fd, const void *vaddr, __u64 size, __u64 flags,
		   __u64 max, __u64 *iova);
int dma_unmap_all(int fd, __u64 *mappings);
int space_info(int fd, struct uiommu_info *info);
int device_info(int fd, struct uiommu_device_info *info);
bool device_isolated(int fd);
int region_info(int fd, unsigned int index, struct uiommu_region_info *info);
int device_reset(int fd);
int device_reset_set(int fd, const int *fds, unsigned int num);
int irq_eoi(int fd);
int irq_eoi_eventfd(int fd, int eventfd);
int irq_range(int fd, unsigned int kind, unsigned int op, unsigned int first,
	      unsigned int num, const void *data, size_t size);
int irq_set(int fd, unsigned long cmd, int eventfd);
int irq_set_many(int fd, unsigned long cmd, int num, const int *eventfds);
long bar_len(int fd, unsigned int bar);

/* Spaces of a device */
ssize_t space_read(int fd, unsigned int space, __u64 pos, void *buf,
		   size_t len);
ssize_t space_write(int fd, unsigned int space, __u64 pos, const void *buf,
		    size_t len);
void *space_mmap(int fd, unsigned int space, __u64 pos, size_t len);
__u32 config_read(int fd, unsigned int pos, unsigned int width);
int config_write(int fd, unsigned int pos, unsigned int width, __u32 val);
unsigned int config_cap(int fd, unsigned int id);
int config_command(int fd, unsigned int clear, unsigned int set);

/* Devices */
int device_open(struct device *dev, const char *bdf);
int device_attach(struct device *dev);
int device_map_bar(struct device *dev, unsigned int bar);
void device_close(struct device *dev);
__u32 reg_read(struct device *dev, unsigned int reg);
void reg_write(struct device *dev, unsigned int reg, __u32 val);
__u64 reg_read64(struct device *dev, unsigned int reg);
void reg_write64(struct device *dev, unsigned int reg, __u64 val);

/* Memory */
size_t page_size(void);
size_t huge_page_size(void);
unsigned int pages_to_lock(unsigned int max);
void *pages_alloc(size_t npages);
bool memory_is(const void *mem, unsigned char byte, size_t len);
long pins_outstanding(void);
bool limit_is_lifted(void);

/* Device DMA, at most ENGINE_BYTES at a time */
int engine_start(struct engine *engine, struct device *dev);
int engine_attach(struct engine *engine, struct device *dev);
void engine_stop(struct engine *engine);
int engine_write(struct engine *engine, __u64 iova, size_t len);
int engine_copy(struct engine *engine, __u64 from, __u64 to, size_t len);
bool engine_reaches(struct engine *engine, __u64 iova, void *mem);
bool engine_is_stopped(struct engine *engine, __u64 iova, void *mem);
int engine_begin_write(struct engine *engine, __u64 iova, size_t len);

/* Interrupts */
int eventfd_new(void);
__u64 eventfd_wait(int fd, unsigned int ms);

/* Events */
int event_fd(int fd, unsigned int num, bool wait);
int event_read(int fd, struct uiommu_event *events, unsigned int num);
short event_poll(int fd);
bool event_wait(int fd);
int event_wait_for(int fd, unsigned int type, struct uiommu_event *event);

/* The machine */
int slot_of(const char *bdf);
int monitor(const char *format, ...);

/* Registers of QEMU's edu, BAR 0 */
#define EDU_ID			0x00
#define EDU_ID_VALUE		0x010000edU
#define EDU_LIVENESS		0x04
#define EDU_IRQ_STATUS		0x24
#define EDU_IRQ_RAISE		0x60
#define EDU_IRQ_ACK		0x64
#define EDU_DMA_FROM		0x80
#define EDU_DMA_TO		0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_COMMAND		0x98
#define EDU_DMA_RUN		0x1
#define EDU_DMA_TO_MEMORY	0x2
#define EDU_BUFFER		0x40000

/* Registers of an 82576 virtual function, BAR 0 */
#define VF_EICS			0x1520
#define VF_EIMS			0x1524
#define VF_EIMC			0x1528
#define VF_EIAC			0x152c
#define VF_EICR			0x1580
#define VF_VECTORS		3

#endif /* _SELFTESTS_UIOMMU_UTIL_H */
