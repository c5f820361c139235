/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Helpers for user-level PCI drivers: what each of them would write again.
 *
 * A function that fails says so on stderr and returns a negative errno, or NULL
 * with errno set.
 */
#ifndef UIOMMU_LIB_H
#define UIOMMU_LIB_H

#include <endian.h>
#include <stddef.h>

#include <linux/types.h>

/**
 * struct ud_device - an open device, attached to an address space of its own
 * @fd: /dev/vfioN
 * @space: /dev/uiommu
 * @bdf: PCI address, as in 0000:01:10.0
 * @node: path of the device node
 */
struct ud_device {
	int fd;
	int space;
	char bdf[16];
	char node[32];
};

int ud_find_node(const char *bdf, char *node, size_t len);
int ud_open(struct ud_device *ud, const char *bdf);
void ud_close(struct ud_device *ud);

void *ud_dma_alloc(struct ud_device *ud, size_t len, __u64 iova, int flags);
int ud_dma_free(struct ud_device *ud, void *mem, size_t len, __u64 iova);

void *ud_map_bar(struct ud_device *ud, int bar, size_t *len);

int ud_config_read(struct ud_device *ud, int offset, int size, __u32 *val);
int ud_config_write(struct ud_device *ud, int offset, int size, __u32 val);
int ud_command(struct ud_device *ud, __u16 clear, __u16 set);

int ud_eventfd(void);
int ud_irq_intx(struct ud_device *ud, int efd);
int ud_irq_intx_eoi(struct ud_device *ud);
int ud_irq_msi(struct ud_device *ud, int efd);
int ud_irq_msix(struct ud_device *ud, int count, const int *efds);
__s64 ud_wait(int efd, int timeout_ms);

__u64 ud_now_us(void);

/*
 * Registers are little-endian. Atomic accesses are those that the compiler does
 * not drop, repeat or split.
 */
static inline __u32 ud_read32(const void *bar, size_t reg)
{
	const __u32 *p = (const void *)((const char *)bar + reg);

	return le32toh(__atomic_load_n(p, __ATOMIC_RELAXED));
}

static inline void ud_write32(void *bar, size_t reg, __u32 val)
{
	__u32 *p = (void *)((char *)bar + reg);

	__atomic_store_n(p, htole32(val), __ATOMIC_RELAXED);
}

/*
 * Between accesses to memory that the device shares and the register access, or
 * the look at a descriptor, that they depend on.
 */
static inline void ud_barrier(void)
{
	__sync_synchronize();
}

#endif /* UIOMMU_LIB_H */
