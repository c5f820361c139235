/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * rig.h - common part of the benchmarks of user-level drivers.
 *
 * A backend is one way for a process to own a PCI function: map memory for its
 * DMA, reach its configuration space and BARs, and receive its interrupts.
 * The three benchmark programs only see this interface, so that adding a way
 * is adding one struct rig_backend to rig_backends[] in backends.c.
 */
#ifndef RIG_H
#define RIG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdnoreturn.h>
#include <time.h>

enum { RIG_R = 1, RIG_W = 2 };
enum rig_irq { RIG_INTX, RIG_MSI };

struct rig_dev;

/*
 * All operations return 0 (or a byte count, or a file descriptor) on success
 * and a negative errno on failure. A NULL operation means "this backend cannot
 * do it"; the programs skip the measurement then and say so.
 */
struct rig_backend {
	const char *name;
	const char *driver;	/* kernel driver the function must be bound to */
	const char *what;	/* one line for the report */
	int is_floor;		/* not a usable DMA path, only a lower bound */

	/* From nothing to "a DMA mapping can be made"; see rig_step(). */
	int (*open)(struct rig_dev *d);
	void (*close)(struct rig_dev *d);

	/* Optional untimed work before/after maps within [va, va + size). */
	int (*prepare)(struct rig_dev *d, void *va, size_t size);
	void (*finish)(struct rig_dev *d);

	int (*map)(struct rig_dev *d, void *va, uint64_t iova, size_t size,
		   unsigned int rw);
	int (*unmap)(struct rig_dev *d, uint64_t iova, size_t size);
	unsigned int max_maps;	/* 0: no limit of the backend itself */

	/* Up to RIG_MAXBATCH of them in one call, @stride apart. */
	int (*map_batch)(struct rig_dev *d, void *va, uint64_t iova,
			 size_t size, size_t stride, unsigned int num);
	int (*unmap_batch)(struct rig_dev *d, uint64_t iova, size_t size,
			   size_t stride, unsigned int num);

	int (*cfg_rd)(struct rig_dev *d, unsigned int off, void *buf,
		      unsigned int len);
	int (*cfg_wr)(struct rig_dev *d, unsigned int off, const void *buf,
		      unsigned int len);
	int (*bar_rd)(struct rig_dev *d, unsigned int bar, uint64_t off,
		      void *buf, unsigned int len);
	void *(*bar_mmap)(struct rig_dev *d, unsigned int bar, size_t len);

	/* Enable an interrupt; returns the fd whose read() waits for it. */
	int (*irq_on)(struct rig_dev *d, enum rig_irq kind);
	void (*irq_off)(struct rig_dev *d);
	unsigned int irq_width;	/* bytes to read() from that fd */
	int (*irq_unmask)(struct rig_dev *d);		/* INTx, by a call */
	int (*irq_unmask_fd)(struct rig_dev *d);	/* INTx: fd to write 8 bytes to */
};

#define RIG_MAXSTEP	32
#define RIG_MAXBATCH	1024

struct rig_dev {
	const struct rig_backend *be;
	char bdf[16];
	void *priv;
	void *bar;		/* mapped by rig_bar(), unmapped by rig_close() */
	size_t bar_len;
	int nstep;
	struct {
		const char *what;
		uint64_t t;	/* when the call had returned */
		uint64_t cpu;	/* CPU time of the thread by then */
		int optional;
	} step[RIG_MAXSTEP];
};

/* be_uiommu.c */
extern const struct rig_backend be_uiommu, be_keep;
/* be_vfio.c */
extern const struct rig_backend be_type1, be_iommufd;
/* be_sysfs.c */
extern const struct rig_backend be_sysfs, be_uio;
/* be_floor.c */
extern const struct rig_backend be_kpin, be_kmap;

extern const struct rig_backend *const rig_backends[];
const struct rig_backend *rig_find(const char *name);

/* Bind the function to the driver of the backend, unless it already is. */
int rig_bind(const char *bdf, const char *driver);
int rig_unbind(const char *bdf);

/* Open the function bdf through be, with the driver be needs. */
int rig_open(struct rig_dev *d, const struct rig_backend *be, const char *bdf);
void rig_close(struct rig_dev *d);
/* Map BAR 0 of the edu device; NULL on failure. */
void *rig_bar(struct rig_dev *d);

/* Record that a system call of the open path has returned. */
void rig_step(struct rig_dev *d, const char *what, int optional);

static inline uint64_t rig_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline uint64_t rig_cpu_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Registers, and memory that a device reads and writes */
static inline uint32_t rig_load(const void *p)
{
	return __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
}

static inline void rig_store(void *p, uint32_t val)
{
	__atomic_store_n((uint32_t *)p, val, __ATOMIC_RELAXED);
}

static inline uint64_t rig_load64(const void *p)
{
	return __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
}

static inline void rig_store64(void *p, uint64_t val)
{
	__atomic_store_n((uint64_t *)p, val, __ATOMIC_RELAXED);
}

static inline uint64_t rig_tsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return lo | (uint64_t)hi << 32;
}

/* Cost of one pair of rig_now(), to be subtracted from single samples. */
uint64_t rig_clock_cost(void);

struct rig_stat {
	uint64_t n, first, min, p50, mean, max;
};

struct rig_stat rig_stat(const uint64_t *v, size_t n);
void rig_print(const char *prog, const char *be, const char *what,
	       const struct rig_stat *s);

/* Memory to be mapped. */
enum rig_mem {
	MEM_4K,			/* MADV_NOHUGEPAGE, touched in order */
	MEM_4K_CONTIGUOUS,	/* huge pages split: small folios, in physical order */
	MEM_4K_SCATTERED,	/* MADV_NOHUGEPAGE, touched in random order */
	MEM_THP,
	MEM_HUGETLB,
	MEM_NR
};

extern const char *const rig_mem_name[MEM_NR];

struct rig_buf {
	char *va;
	size_t size;
	void *base;		/* what to munmap */
	size_t base_size;
	size_t runs;		/* physically contiguous runs, 0: unknown */
	size_t huge_kb;		/* AnonHugePages or Private_Hugetlb of the area */
};

int rig_alloc(struct rig_buf *b, enum rig_mem kind, size_t size);
void rig_free(struct rig_buf *b);

int rig_drop_ipc_lock(void);	/* account pinned pages, as for a plain user */
int rig_pin_cpu(int cpu);
uint64_t rig_slab_bytes(void);	/* in use; 0: unknown */
int rig_read_file(const char *path, char *buf, size_t len);
int rig_write_file(const char *path, const char *val);
void rig_must(int ret, const char *what);	/* die if ret is negative */
noreturn void rig_die(const char *fmt, ...);

/* QEMU "edu" device, BAR 0. */
#define EDU_ID		0x00
#define EDU_LIVE	0x04
#define EDU_IRQ_STATUS	0x24
#define EDU_IRQ_RAISE	0x60
#define EDU_IRQ_ACK	0x64
#define EDU_DMA_SRC	0x80
#define EDU_DMA_DST	0x88
#define EDU_DMA_CNT	0x90
#define EDU_DMA_CMD	0x98
#define EDU_DMA_BUF	0x40000
#define EDU_BAR_LEN	0x100000

#endif
