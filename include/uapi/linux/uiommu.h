/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * User API of /dev/uiommu (IOMMU address spaces) and /dev/vfioN (PCI devices
 * for user-level drivers).
 *
 * Design: original vfio/uiommu, Tom Lyon, Cisco Systems, 2010
 */
#ifndef _UAPI_LINUX_UIOMMU_H
#define _UAPI_LINUX_UIOMMU_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: Glossary
 *
 * address space
 *	What one open of /dev/uiommu stands for: the I/O virtual addresses that
 *	attached devices can reach, and the memory behind each of them.
 *
 * IOVA
 *	I/O virtual address: the address a device puts on the bus.  Nothing but
 *	mapped memory answers to it.
 *
 * mapping
 *	A range of IOVA backed by pinned pages of the process that made it.  A
 *	mapping belongs to the open file it was made through and goes with the
 *	last close of that file, or with its memory.
 *
 * window
 *	A range of IOVA that every attached device can use: the IOMMU's aperture
 *	without the reserved regions of the devices' IOMMU groups.
 *
 * group
 *	The devices that the IOMMU cannot tell apart.  A group is in one address
 *	space at a time.
 *
 * attached
 *	A device is attached after VFIO_DOMAIN_SET and until VFIO_DOMAIN_UNSET.
 *	Only then can its registers be reached and can it do DMA.
 *
 * space (of a device fd)
 *	A BAR, the ROM or config space, picked by the upper bits of the file
 *	offset.
 *
 * gate
 *	What stands between a process and the registers of its device.  While the
 *	gate is closed (in reset, memory decoding off, gone) reads give all-ones,
 *	writes are dropped and nothing reaches the device.  Before the device is
 *	attached read() and write() fail and mappings show all-ones.
 */

/**
 * DOC: Errors
 *
 * A request that fails changes nothing, but for a reset that fails half-way: the
 * device then stays out of reach until a reset succeeds; and for a batch, which
 * tells how far it came.
 *
 *  - ENOTTY: no such request, or not one of this kind of fd.
 *  - EFAULT: an argument or a buffer cannot be read or written, or the memory
 *    to be mapped cannot be pinned.
 *  - EINVAL: a value is malformed: misaligned, zero, wrapping, out of range, a
 *    structure smaller than its first version; or the device is not attached
 *    and the request needs it to be.
 *  - E2BIG: a structure is larger than this kernel knows and its unknown part
 *    is not zero.
 *  - EOPNOTSUPP: an unknown flag, or something this device cannot do.
 *  - EBADF, EINVAL: an fd argument is closed, or an fd of another kind.
 *  - EBUSY: an IOVA range overlaps a live mapping, the device or its group is
 *    in use by another address space, a mapping or an interrupt stands in the
 *    way, a page of a BAR is mapped in the other way, or the device is in reset:
 *    try again.
 *  - EAGAIN: there is nothing to read, and it was asked not to wait.
 *  - EADDRNOTAVAIL: an IOVA range lies outside the windows.
 *  - ENXIO: there is no mapping in the range to unmap, or no more, as its memory
 *    went away.
 *  - ENOMEM: RLIMIT_MEMLOCK would be exceeded, or the kernel is out of memory.
 *  - EINTR: the process was killed, or a signal came first.
 *  - EIO: the device or its IOMMU failed.
 *  - EPERM: the IOMMU does not isolate message-signalled interrupts; or, of
 *    open(), another driver owns the device's group.
 *  - ENOSPC: fewer interrupt vectors are available than asked for, or no IOVA.
 *  - EOVERFLOW: an answer does not fit its field.
 *  - EMFILE, ENFILE: there are too many files.
 *  - ENODEV: the device is gone.
 */

/**
 * DOC: Requests
 *
 * The ``VFIO_`` requests are those of 2010, with their numbers.  The ``UIOMMU_``
 * requests take a structure that begins with its own size in bytes: the size
 * encoded in the request number is only that of this first word, so that the
 * structure can grow.  Reserved fields and flags must be 0.
 */

/**
 * struct vfio_dma_map - ioctl(VFIO_DMA_MAP_IOVA), ioctl(VFIO_DMA_UNMAP)
 * @vaddr: process address of the buffer, a multiple of the page size.
 *	Ignored by VFIO_DMA_UNMAP.
 * @dmaaddr: IOVA of the mapping, a multiple of the page size
 * @size: bytes, a multiple of the page size, not 0
 * @flags: VFIO_FLAG_WRITE when the device may write to the buffer; without it
 *	the device can only read.  UIOMMU_FLAG_KEEP when the mapping shall stay
 *	although its memory goes away.  VFIO_DMA_UNMAP takes and ignores both.
 *
 * VFIO_DMA_MAP_IOVA pins the buffer and maps it; it works before any device is
 * attached.  When the process unmaps (munmap() or mmap() over it) or moves
 * (mremap()) any part of the buffer, the whole mapping is removed, as the device
 * would go on with memory that the process does not have any more; before the next
 * request on the space begins, at the latest.  When the process exits or calls
 * execve() while others have the file open, it is removed soon after.  An event
 * tells so, see UIOMMU_EVENT_FD.
 *
 * madvise(), mprotect(), fork() and what the kernel itself moves remove nothing;
 * but after MADV_DONTNEED the process finds other pages there than the device.
 *
 * VFIO_DMA_UNMAP removes every mapping between @dmaaddr and
 * @dmaaddr + @size, whichever file it was made through; a mapping that lies
 * only partly in the range makes it fail with EINVAL and stay as it was.
 */
struct vfio_dma_map {
	__aligned_u64 vaddr;
	__aligned_u64 dmaaddr;
	__aligned_u64 size;
	__aligned_u64 flags;
};
#define VFIO_FLAG_WRITE		0x1
#define UIOMMU_FLAG_KEEP	0x2

/* Map pages of the calling process.  Both kinds of fd. */
#define VFIO_DMA_MAP_IOVA	_IOWR(';', 101, struct vfio_dma_map)

/* Unmap.  Both kinds of fd. */
#define VFIO_DMA_UNMAP		_IOW(';', 102, struct vfio_dma_map)

/* 103 was VFIO_DMA_MASK: the IOMMU made it pointless. */

/*
 * Signal an eventfd at each INTx interrupt, < 0 to turn INTx off.  INTx is
 * masked after each one until INTX_DISABLE is cleared in the COMMAND register,
 * UIOMMU_IRQ_EOI is called or the eventfd of UIOMMU_IRQ_EOI_EVENTFD is written.
 * Device fd.
 */
#define VFIO_EVENTFD_IRQ	_IOW(';', 104, int)

/* Signal an eventfd at each MSI, < 0 to turn MSI off.  Device fd. */
#define VFIO_EVENTFD_MSI	_IOW(';', 105, int)

/*
 * Signal eventfds at MSI-X interrupts: arg[0] is their number N, arg[1..N] one
 * eventfd for each vector, < 0 for none.  N = 0 turns MSI-X off; the same N as
 * before swaps the eventfds and loses no interrupt.  Device fd.
 */
#define VFIO_EVENTFDS_MSIX	_IOW(';', 106, int)

/*
 * In: number of a BAR, 0 to 5, or 6 for the ROM.  Out: its length in bytes, 0
 * when the device has none.  EOVERFLOW from 4 GiB up, see UIOMMU_REGION_INFO.
 * Device fd.
 */
#define VFIO_BAR_LEN		_IOWR(';', 107, __u32)

/* Attach the device to the address space of a /dev/uiommu fd.  Device fd. */
#define VFIO_DOMAIN_SET		_IOW(';', 108, int)

/* Leave the address space; the argument is ignored.  Device fd. */
#define VFIO_DOMAIN_UNSET	_IOW(';', 109, int)

/* As VFIO_EVENTFDS_MSIX, for multi-message MSI.  Device fd. */
#define VFIO_EVENTFDS_MSI	_IOW(';', 110, int)

/**
 * struct uiommu_window - a usable range of IOVA
 * @first: first address
 * @last: last address, included
 */
struct uiommu_window {
	__aligned_u64 first;
	__aligned_u64 last;
};

/**
 * struct uiommu_info - ioctl(UIOMMU_INFO)
 * @size: sizeof(struct uiommu_info)
 * @flags: must be 0
 * @out_page_sizes: bitmap of the page sizes that mappings are built of, in
 *	bytes; the lowest is the unit of every address and size
 * @out_mappings: mappings in the address space, those being made included
 * @out_pinned: bytes pinned by live mappings
 * @out_charged: bytes charged to users for this space, mappings that are being
 *	made included
 * @num_windows: in: windows that the array at @windows has room for; out:
 *	windows there are.  When that is more, only the first are written.
 * @__reserved: must be 0
 * @windows: address of an array of struct uiommu_window, ascending; ignored
 *	when @num_windows is 0
 *
 * What the address space can hold and holds now.  A device fd tells of the
 * space the device is attached to.
 */
struct uiommu_info {
	__u32 size;
	__u32 flags;
	__aligned_u64 out_page_sizes;
	__aligned_u64 out_mappings;
	__aligned_u64 out_pinned;
	__aligned_u64 out_charged;
	__u32 num_windows;
	__u32 __reserved;
	__aligned_u64 windows;
};
#define UIOMMU_INFO		_IOWR(';', 0x6f, __u32)

/**
 * enum uiommu_device_flags - what a device is and can do
 * @UIOMMU_DEVICE_RESET: UIOMMU_RESET works
 * @UIOMMU_DEVICE_VF: an SR-IOV virtual function
 * @UIOMMU_DEVICE_PCIE: PCI Express
 * @UIOMMU_DEVICE_INTX: has an INTx pin
 * @UIOMMU_DEVICE_ISOLATED_MSI: the interrupts of its group are isolated, so
 *	that VFIO_DOMAIN_SET needs no override by the administrator
 * @UIOMMU_DEVICE_ATTACHED: attached to an address space now
 * @UIOMMU_DEVICE_RESET_SET: UIOMMU_RESET with UIOMMU_RESET_SET works; without
 *	UIOMMU_DEVICE_RESET it is the only way, and VFIO_DOMAIN_SET fails with EBUSY
 *	until it was gone
 */
enum uiommu_device_flags {
	UIOMMU_DEVICE_RESET		= 1 << 0,
	UIOMMU_DEVICE_VF		= 1 << 1,
	UIOMMU_DEVICE_PCIE		= 1 << 2,
	UIOMMU_DEVICE_INTX		= 1 << 3,
	UIOMMU_DEVICE_ISOLATED_MSI	= 1 << 4,
	UIOMMU_DEVICE_ATTACHED		= 1 << 5,
	UIOMMU_DEVICE_RESET_SET		= 1 << 6
};

/**
 * struct uiommu_device_info - ioctl(UIOMMU_DEVICE_INFO)
 * @size: sizeof(struct uiommu_device_info)
 * @flags: must be 0
 * @out_flags: enum uiommu_device_flags
 * @out_domain: PCI domain number of the device
 * @out_bus: PCI bus number
 * @out_devfn: device number << 3 | function number
 * @out_num_msi: MSI messages that the device can send, 0 to 32
 * @out_num_msix: MSI-X vectors that the device has, 0 to 2048
 * @out_config_size: bytes of config space, 256 or 4096
 * @__reserved: must be 0
 */
struct uiommu_device_info {
	__u32 size;
	__u32 flags;
	__u32 out_flags;
	__u32 out_domain;
	__u16 out_bus;
	__u16 out_devfn;
	__u16 out_num_msi;
	__u16 out_num_msix;
	__u32 out_config_size;
	__u32 __reserved;
};
#define UIOMMU_DEVICE_INFO	_IOWR(';', 0x70, __u32)

/**
 * enum uiommu_region_flags - what can be done with a space of a device
 * @UIOMMU_REGION_READ: pread() works
 * @UIOMMU_REGION_WRITE: pwrite() works
 * @UIOMMU_REGION_MMAP: mmap() works
 * @UIOMMU_REGION_WC: mmap() of VFIO_PCI_WC_RESOURCE() works, too, but for pages of
 *	the MSI-X table
 */
enum uiommu_region_flags {
	UIOMMU_REGION_READ	= 1 << 0,
	UIOMMU_REGION_WRITE	= 1 << 1,
	UIOMMU_REGION_MMAP	= 1 << 2,
	UIOMMU_REGION_WC	= 1 << 3
};

/**
 * struct uiommu_region_info - ioctl(UIOMMU_REGION_INFO)
 * @size: sizeof(struct uiommu_region_info)
 * @flags: must be 0
 * @index: number of the space, VFIO_PCI_*_RESOURCE
 * @out_flags: enum uiommu_region_flags, 0 when the device does not have it
 * @out_size: its length in bytes
 * @out_offset: file offset of its first byte
 */
struct uiommu_region_info {
	__u32 size;
	__u32 flags;
	__u32 index;
	__u32 out_flags;
	__aligned_u64 out_size;
	__aligned_u64 out_offset;
};
#define UIOMMU_REGION_INFO	_IOWR(';', 0x71, __u32)

/**
 * struct uiommu_reset - ioctl(UIOMMU_RESET)
 * @size: sizeof(struct uiommu_reset)
 * @flags: 0 or UIOMMU_RESET_SET
 * @num_fds: number of device fds in @fds, up to 256; 0 without UIOMMU_RESET_SET
 * @__reserved: must be 0
 * @fds: address of an array of device fds, int; ignored without UIOMMU_RESET_SET
 *
 * Reset the function.  Config space, as the user sees it, and interrupts are
 * afterwards as they were before; BAR mappings stay and are filled again at the
 * next touch.
 *
 * With UIOMMU_RESET_SET, reset all functions of the slot, or of the bus where slots
 * are not reset, of the first of @fds.  @fds has to hold an fd of each of these
 * functions (EPERM); the fd that this is asked of is not meant unless it is in there.
 * None needs to be attached.
 */
struct uiommu_reset {
	__u32 size;
	__u32 flags;
	__u32 num_fds;
	__u32 __reserved;
	__aligned_u64 fds;
};
#define UIOMMU_RESET_SET	(1 << 0)
#define UIOMMU_RESET		_IOWR(';', 0x72, __u32)

/**
 * struct uiommu_irq_eoi - ioctl(UIOMMU_IRQ_EOI)
 * @size: sizeof(struct uiommu_irq_eoi)
 * @flags: must be 0
 *
 * End of interrupt: unmask INTx.  A line that is still asserted signals again.
 */
struct uiommu_irq_eoi {
	__u32 size;
	__u32 flags;
};
#define UIOMMU_IRQ_EOI		_IOWR(';', 0x73, __u32)

/**
 * struct uiommu_irq_eoi_eventfd - ioctl(UIOMMU_IRQ_EOI_EVENTFD)
 * @size: sizeof(struct uiommu_irq_eoi_eventfd)
 * @flags: must be 0
 * @fd: an eventfd, < 0 for none
 * @__reserved: must be 0
 *
 * Whenever the eventfd is written that is an end of interrupt, and takes its
 * count, or 1 of it with EFD_SEMAPHORE.  It replaces the one that was set before,
 * and can be set before or after VFIO_EVENTFD_IRQ, but not to the same eventfd
 * (EINVAL).
 */
struct uiommu_irq_eoi_eventfd {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 __reserved;
};
#define UIOMMU_IRQ_EOI_EVENTFD	_IOWR(';', 0x74, __u32)

/**
 * enum uiommu_irq_kind - kinds of interrupts
 * @UIOMMU_IRQ_KIND_INTX: the INTx pin; has one vector, 0
 * @UIOMMU_IRQ_KIND_MSI: message-signalled interrupts
 * @UIOMMU_IRQ_KIND_MSIX: the same with a table of vectors
 */
enum uiommu_irq_kind {
	UIOMMU_IRQ_KIND_INTX = 1,
	UIOMMU_IRQ_KIND_MSI = 2,
	UIOMMU_IRQ_KIND_MSIX = 3
};

/**
 * enum uiommu_irq_op - what to do with some vectors
 * @UIOMMU_IRQ_OP_EVENTFDS: set their eventfds, from an array of __s32, < 0 for
 *	none.  MSI-X vectors behind those in use are added where the platform can
 *	(EOPNOTSUPP), and count for VFIO_EVENTFDS_MSIX from then on.
 * @UIOMMU_IRQ_OP_NONE: take their eventfds away
 * @UIOMMU_IRQ_OP_TRIGGER: signal their eventfds once, as if they had come
 * @UIOMMU_IRQ_OP_AFFINITY: have them come to the CPUs of a bitmap, an array of
 *	bytes with CPU 0 in bit 0 of the first, as sched_setaffinity() has it in
 *	little-endian.  The calling thread must be allowed to run on all of them
 *	(EPERM).  MSI and MSI-X (EOPNOTSUPP).
 */
enum uiommu_irq_op {
	UIOMMU_IRQ_OP_EVENTFDS = 1,
	UIOMMU_IRQ_OP_NONE = 2,
	UIOMMU_IRQ_OP_TRIGGER = 3,
	UIOMMU_IRQ_OP_AFFINITY = 4
};

/**
 * struct uiommu_irq_set - ioctl(UIOMMU_IRQ_SET)
 * @size: sizeof(struct uiommu_irq_set)
 * @flags: must be 0
 * @kind: enum uiommu_irq_kind, that which is in use (EBUSY)
 * @op: enum uiommu_irq_op
 * @first: first vector
 * @num: vectors, not 0
 * @data_size: bytes at @data: 4 for each vector, or of the bitmap, at most 1024;
 *	otherwise 0
 * @__reserved: must be 0
 * @data: address of the array; ignored when @data_size is 0
 *
 * Change some vectors of the interrupts that VFIO_EVENTFD_IRQ, VFIO_EVENTFD_MSI,
 * VFIO_EVENTFDS_MSI or VFIO_EVENTFDS_MSIX turned on.
 */
struct uiommu_irq_set {
	__u32 size;
	__u32 flags;
	__u32 kind;
	__u32 op;
	__u32 first;
	__u32 num;
	__u32 data_size;
	__u32 __reserved;
	__aligned_u64 data;
};
#define UIOMMU_IRQ_SET		_IOWR(';', 0x75, __u32)

/**
 * struct uiommu_batch - ioctl(UIOMMU_MAP_BATCH), ioctl(UIOMMU_UNMAP_BATCH)
 * @size: sizeof(struct uiommu_batch)
 * @flags: must be 0
 * @num: entries, not 0
 * @out_done: those that were done, from the first one on; @num on success
 * @entries: address of an array of struct vfio_dma_map
 *
 * As VFIO_DMA_MAP_IOVA or VFIO_DMA_UNMAP of each entry in turn, in one call;
 * unmapping syncs the IOMMU once for 1024 of them.  It ends with the first entry
 * that fails, and with its error: those before it stay done.  Entries can be charged
 * and have their IOVA taken ahead of their turn.
 */
struct uiommu_batch {
	__u32 size;
	__u32 flags;
	__u32 num;
	__u32 out_done;
	__aligned_u64 entries;
};
#define UIOMMU_MAP_BATCH	_IOWR(';', 0x77, __u32)
#define UIOMMU_UNMAP_BATCH	_IOWR(';', 0x78, __u32)

/**
 * struct uiommu_map - ioctl(UIOMMU_MAP)
 * @size: sizeof(struct uiommu_map)
 * @flags: as of struct vfio_dma_map
 * @vaddr: process address of the buffer, a multiple of the page size
 * @length: bytes, a multiple of the page size, not 0
 * @max: the last IOVA that may be used, for devices that cannot drive all address
 *	bits; 0 for any
 * @out_iova: IOVA of the mapping
 * @out_sequence: events of the file up to this one are not about the mapping, but
 *	about an earlier one at that IOVA
 *
 * As VFIO_DMA_MAP_IOVA, at the lowest free IOVA that every attached device can
 * use (ENOSPC): never 0, congruent to @vaddr modulo the size of the huge pages
 * that fit in, so that they stay huge, and not where platforms have the
 * interrupts of devices that may come later.
 */
struct uiommu_map {
	__u32 size;
	__u32 flags;
	__aligned_u64 vaddr;
	__aligned_u64 length;
	__aligned_u64 max;
	__aligned_u64 out_iova;
	__aligned_u64 out_sequence;
};

/* Both kinds of fd. */
#define UIOMMU_MAP		_IOWR(';', 0x7a, __u32)

/**
 * struct uiommu_unmap_all - ioctl(UIOMMU_UNMAP_ALL)
 * @size: sizeof(struct uiommu_unmap_all)
 * @flags: must be 0
 * @out_mappings: mappings that were removed
 *
 * On a uiommu fd, remove every mapping of the address space; on a device fd, those
 * that were made through it.  Mappings that another thread is just making or
 * removing are left to it.
 */
struct uiommu_unmap_all {
	__u32 size;
	__u32 flags;
	__aligned_u64 out_mappings;
};
#define UIOMMU_UNMAP_ALL	_IOWR(';', 0x79, __u32)

/* The most events that a file descriptor can keep for its readers */
#define UIOMMU_EVENTS_MAX	16384

/**
 * struct uiommu_event_fd - ioctl(UIOMMU_EVENT_FD)
 * @size: sizeof(struct uiommu_event_fd)
 * @flags: must be 0
 * @num: events to keep until they are read: 2 to UIOMMU_EVENTS_MAX, or 0 for the
 *	default
 * @__reserved: must be 0
 *
 * Returns a new file descriptor to read events from, of what is made through the
 * file that is asked, from now on.  It is closed on exec.  There can be up to 64 of
 * a file (EBUSY): each has all events, and its memory is charged as pinned pages are
 * (ENOMEM).
 *
 * read() gives one or more struct uiommu_event, as many as there are and fit in,
 * and waits for the first (EAGAIN with O_NONBLOCK, EINVAL when there is no room for
 * one).  Of several readers each gets other events.  After the last close of the
 * file that was asked it gives what is left, then 0.  poll() tells POLLIN and
 * POLLHUP.
 */
struct uiommu_event_fd {
	__u32 size;
	__u32 flags;
	__u32 num;
	__u32 __reserved;
};

/* Both kinds of fd. */
#define UIOMMU_EVENT_FD		_IOWR(';', 0x76, __u32)

/**
 * enum uiommu_event_type - what struct uiommu_event tells
 * @UIOMMU_EVENT_OVERFLOW: @length events did not fit in, the last of them had
 *	@sequence
 * @UIOMMU_EVENT_MAPPING_LOST: the mapping at @iova is gone, as some of its memory
 *	is
 * @UIOMMU_EVENT_REMOVED: the device is gone for good; a hang-up follows
 * @UIOMMU_EVENT_ERROR: a bus error was detected: the device has stopped and is out
 *	of reach until UIOMMU_EVENT_RECOVERED or _REMOVED
 * @UIOMMU_EVENT_RECOVERED: it is in reach again, and bus master if it was before
 *	and was not reset
 * @UIOMMU_EVENT_CORRECTED: a bus error that hardware corrected, the @length-th
 *	since the device was bound
 * @UIOMMU_EVENT_RESET: somebody else reset the device, see UIOMMU_RESET
 * @UIOMMU_EVENT_SUSPEND: the machine goes to sleep; read after it woke up, as a
 *	process sleeps first
 * @UIOMMU_EVENT_RESUME: it woke up; config space and interrupts are as before,
 *	what else the device knew may be lost
 */
enum uiommu_event_type {
	UIOMMU_EVENT_OVERFLOW = 1,
	UIOMMU_EVENT_MAPPING_LOST = 2,
	UIOMMU_EVENT_REMOVED = 3,
	UIOMMU_EVENT_ERROR = 4,
	UIOMMU_EVENT_RECOVERED = 5,
	UIOMMU_EVENT_CORRECTED = 6,
	UIOMMU_EVENT_RESET = 7,
	UIOMMU_EVENT_SUSPEND = 8,
	UIOMMU_EVENT_RESUME = 9
};

/**
 * enum uiommu_event_flags - more about an event
 * @UIOMMU_EVENT_STUCK: the IOMMU failed: devices can still reach the memory of
 *	the mapping, which stays pinned
 * @UIOMMU_EVENT_WAS_RESET: the device has lost its state, or may have
 * @UIOMMU_EVENT_FAILED: the reset failed, the device is out of reach until one
 *	succeeds
 * @UIOMMU_EVENT_FATAL: the error is one that takes a reset to recover from
 */
enum uiommu_event_flags {
	UIOMMU_EVENT_STUCK	= 1 << 0,
	UIOMMU_EVENT_WAS_RESET	= 1 << 1,
	UIOMMU_EVENT_FAILED	= 1 << 2,
	UIOMMU_EVENT_FATAL	= 1 << 3
};

/**
 * struct uiommu_event - what read() of an event fd gives
 * @type: enum uiommu_event_type; ignore what you do not know
 * @flags: enum uiommu_event_flags
 * @sequence: counts the events of a file, from 1
 * @iova: of the mapping, else 0
 * @length: bytes of the mapping, or a number, else 0
 */
struct uiommu_event {
	__u32 type;
	__u32 flags;
	__aligned_u64 sequence;
	__aligned_u64 iova;
	__aligned_u64 length;
};

/*
 * read(), write() and mmap() of a device fd pick a space by the upper bits of
 * the file offset.
 */
#define VFIO_PCI_BAR0_RESOURCE		0x0
#define VFIO_PCI_BAR1_RESOURCE		0x1
#define VFIO_PCI_BAR2_RESOURCE		0x2
#define VFIO_PCI_BAR3_RESOURCE		0x3
#define VFIO_PCI_BAR4_RESOURCE		0x4
#define VFIO_PCI_BAR5_RESOURCE		0x5
#define VFIO_PCI_ROM_RESOURCE		0x6
#define VFIO_PCI_CONFIG_RESOURCE	0xF

/*
 * BAR 0 to 5 once more, for mmap() only: writes are combined.  A page of a BAR is
 * mapped either so or as above: as long as it is, the other way fails with EBUSY, and
 * so does read() and write() of a page that is mapped so.
 */
#define VFIO_PCI_WC_RESOURCE(bar)	(0x8 + (bar))

#define VFIO_PCI_SPACE_SHIFT		40
#define VFIO_PCI_SPACE_TO_OFFSET(sp)	((__u64)(sp) << VFIO_PCI_SPACE_SHIFT)
#define VFIO_OFFSET_TO_PCI_SPACE(off)	((__u64)(off) >> VFIO_PCI_SPACE_SHIFT)
#define VFIO_PCI_CONFIG_OFF		\
	VFIO_PCI_SPACE_TO_OFFSET(VFIO_PCI_CONFIG_RESOURCE)

#endif /* _UAPI_LINUX_UIOMMU_H */
