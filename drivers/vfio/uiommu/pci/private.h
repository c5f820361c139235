/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the PCI bus driver share: one object for each bound device,
 * which outlives the device while a file of it is open.
 *
 * Lock order, each taken inside the one before it:
 *
 *	device lock of the upstream bridge
 *	device lock of the device; held by the driver core in probe and remove,
 *		and by who opens, closes or resets; never waited for with the
 *		bridge's held, as remove() can only try that one
 *	dev->srcu, read side; every use of dev->pdev but those under the device
 *		lock; only remove() waits for it
 *	dev->lock
 *	dev->irqs.lock
 *	dev->config_lock; sleeps while a reset blocks config access, so a reset
 *		takes neither it nor anything outside it but the device locks
 *	dev->bars_lock; also inside mmap_lock
 *	dev->gate; also inside mmap_lock
 *	dev->irqs.intx_lock; also inside the lock of an eventfd
 *	dev->files_lock; inside any of them
 *
 * None of them is held while user memory is copied.
 */
#ifndef _UIOMMU_PCI_PRIVATE_H
#define _UIOMMU_PCI_PRIVATE_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/eventfd.h>
#include <linux/interval_tree.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/poll.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "intx.h"

struct uiommu_event;
struct uiommu_events;
struct uiommu_owner;
struct uiommu_pci_config;
struct task_struct;
struct uiommu_space;
struct vm_area_struct;

/**
 * enum uiommu_pci_gate - why nothing reaches the registers of a device
 * @UIOMMU_PCI_GONE: the driver is unbound from it, or it failed for good; never
 *	cleared
 * @UIOMMU_PCI_ERROR: a bus error is being handled
 * @UIOMMU_PCI_RESET: it is in reset, or the last reset failed
 * @UIOMMU_PCI_MEMOFF: the user cleared MEMORY in the COMMAND register
 * @UIOMMU_PCI_UNSET: it is in no address space
 * @UIOMMU_PCI_D3: the user put it into a power state other than D0
 * @UIOMMU_PCI_SLEEP: the system sleeps
 */
enum uiommu_pci_gate {
	UIOMMU_PCI_GONE		= BIT(0),
	UIOMMU_PCI_ERROR	= BIT(1),
	UIOMMU_PCI_RESET	= BIT(2),
	UIOMMU_PCI_MEMOFF	= BIT(3),
	UIOMMU_PCI_UNSET	= BIT(4),
	UIOMMU_PCI_D3		= BIT(5),
	UIOMMU_PCI_SLEEP	= BIT(6),
};

/* Config space and interrupts are out of reach too. */
#define UIOMMU_PCI_DOWN	(UIOMMU_PCI_ERROR | UIOMMU_PCI_RESET | \
			 UIOMMU_PCI_SLEEP)

/* The most vectors that a device can have, MSI-X: PCI_MSIX_FLAGS_QSIZE + 1 */
#define UIOMMU_PCI_MAX_VECTORS	(PCI_MSIX_FLAGS_QSIZE + 1)

enum uiommu_pci_irq_type {
	UIOMMU_PCI_IRQ_NONE,
	UIOMMU_PCI_IRQ_INTX,
	UIOMMU_PCI_IRQ_MSI,
	UIOMMU_PCI_IRQ_MSIX,
};

/**
 * struct uiommu_pci_vector - one interrupt
 * @trigger: signalled by the handler, NULL for none; swapped under irqs->lock
 * @dev: the device
 * @irq: Linux interrupt number, 0 while the vector is not allocated
 * @name: in /proc/interrupts, freed after the interrupt
 */
struct uiommu_pci_vector {
	struct eventfd_ctx __rcu *trigger;
	struct uiommu_pci *dev;
	int irq;
	char *name;
};

/**
 * struct uiommu_pci_eoi - an eventfd that unmasks INTx when it is written
 * @dev: the device
 * @ctx: the eventfd, referenced
 * @head: its wait queue
 * @wait: on that
 * @poll: to get there
 * @again: signals an interrupt that the end of interrupt found asserted, as
 *	nothing is signalled within the wakeup of an eventfd
 * @last: jiffies when it did so last
 */
struct uiommu_pci_eoi {
	struct uiommu_pci *dev;
	struct eventfd_ctx *ctx;
	wait_queue_head_t *head;
	wait_queue_entry_t wait;
	poll_table poll;
	struct delayed_work again;
	unsigned long last;
};

/**
 * struct uiommu_pci_irqs - interrupts of a device
 * @lock: protects @type, @num_vectors, @vectors, every trigger and @eoi
 * @type: the kind in use
 * @num_vectors: vectors in use are below this
 * @room: entries of @vectors
 * @num_msi: MSI messages that the device has
 * @num_msix: entries of its MSI-X table
 * @vectors: allocated when the kind is turned on, freed when it is turned off
 * @eoi: unmasks INTx, or NULL; there before INTx is turned on or after
 * @intx_lock: protects @intx and the hardware's mask
 * @intx: the mask of INTx
 */
struct uiommu_pci_irqs {
	struct mutex lock;		/* what is turned on */
	enum uiommu_pci_irq_type type;
	unsigned int num_vectors;
	unsigned int room;
	unsigned int num_msi;
	unsigned int num_msix;
	struct uiommu_pci_vector *vectors;
	struct uiommu_pci_eoi *eoi;

	spinlock_t intx_lock;		/* the mask of INTx */
	struct uiommu_intx intx;
};

/*
 * Page offsets of VMAs name a BAR as file offsets do: number of the space << this
 * plus the offset into it.
 */
#define UIOMMU_PCI_SPACE_SHIFT	40

/**
 * struct uiommu_pci_bar - a standard BAR or the ROM
 * @len: bytes, 0 when there is none
 * @start: bus address as the CPU sees it
 * @flags: IORESOURCE_MEM or IORESOURCE_IO among others
 * @io: mapped for read() and write() at the first of them, published with
 *	release order; taken away under dev->gate, as it is not there while
 *	a page is mapped write-combining
 * @mapped: struct uiommu_pci_mapping, those that are write-combining in the second;
 *	protected by dev->bars_lock
 * @num_combined: those in the second
 * @claimed: the resource is ours; without that it is as if there were none
 */
struct uiommu_pci_bar {
	u64 len;
	u64 start;
	unsigned long flags;
	void __iomem *io;
	struct rb_root_cached mapped[2];
	unsigned int num_combined;
	bool claimed;
};

/**
 * struct uiommu_pci_mapping - what a process mapped of a BAR
 * @ref: one for each VMA; it is shared by those that one was split in or copied to
 * @file: the file, which the VMAs hold
 * @bar: number of the BAR
 * @wc: write-combining
 * @added: @node is among those that the BAR has; not any more when it is no longer
 *	the user's
 * @node: its pages of the BAR
 */
struct uiommu_pci_mapping {
	refcount_t ref;
	struct uiommu_pci_file *file;
	unsigned int bar;
	bool wc;
	bool added;
	struct interval_tree_node node;
};

/**
 * struct uiommu_pci_msix_range - where the MSI-X table or its pending bits are
 * @bar: BAR number
 * @first: offset of the first byte
 * @end: offset behind the last byte, 0 when there is none
 */
struct uiommu_pci_msix_range {
	unsigned int bar;
	u64 first;
	u64 end;
};

/**
 * struct uiommu_pci - a device bound to this driver
 * @dev: /dev/vfioN; its last reference frees the object
 * @cdev: the character device
 * @pdev: referenced until the object is freed, used as the lock order says
 * @bridge: upstream bridge, referenced, or NULL
 * @srcu: see the lock order
 * @gate: protects @gated: held for read around one access to a register or one
 *	insertion of a page, for write to change a bit; nobody sleeps in it
 * @gated: enum uiommu_pci_gate; the registers are in reach when it is 0
 * @inode: its mapping holds every VMA of the device, whichever node was opened
 * @bound_link: on the list of bound devices
 * @has_set_reset: it can be reset together with others
 * @set_only: that is the only way; known from first open on
 * @unbound: the driver is unbound from it; protected by the device lock
 * @own_reset: this driver resets the device; protected by the device lock
 * @reset_failed: its last reset failed; protected by the device lock
 * @num_resets: counts all; protected by the device lock
 * @reset_by: who began the last one, but for those of this device alone; only to
 *	be compared
 * @was_master: it was bus master before the system went to sleep or it failed
 * @was_reset: it was reset since it failed
 * @num_corrected: errors of its link that hardware corrected
 * @lock: protects @opens, @files and @space, and serialises attach and detach. Not
 *	held while the device is reset: that takes locks of the PCI core which
 *	remove() is called with. First open and last close have the device lock.
 * @opens: open files
 * @active: between first open and last close or removal
 * @claimed: its IOMMU group is ours; also after a last close that could not
 *	reset it, so that its DMA stays blocked
 * @files: struct uiommu_pci_file; changed under @files_lock, too
 * @space: what the device is attached to, or NULL
 * @saved_state: config space as it is between users
 * @bars_lock: protects what of @bars is mapped by the kernel and by processes
 * @combined: a page of @bars is or was mapped write-combining by these users
 * @bars: standard BARs and the ROM; set at first open
 * @msix_table: set at first open
 * @msix_pba: the pending bits, likewise
 * @rom: copy of the ROM's image, from the first read on
 * @rom_size: bytes of @rom, 0 when there is no image
 * @rom_read: @rom and @rom_size are valid
 * @locked_pages: pages pinned by mappings made through files of this device
 * @config_lock: protects @config and serialises access to config space
 * @config: virtual config space, from first open to last close
 * @files_lock: for those who only look at @files and must not wait for @lock
 * @irqs: interrupts
 */
struct uiommu_pci {
	struct device dev;
	struct cdev cdev;
	struct pci_dev *pdev;
	struct pci_dev *bridge;
	struct srcu_struct srcu;

	struct rw_semaphore gate;
	unsigned int gated;
	struct inode *inode;
	struct list_head bound_link;
	bool has_set_reset;
	bool set_only;
	bool unbound;
	bool own_reset;
	bool reset_failed;
	unsigned long num_resets;
	const struct task_struct *reset_by;
	bool was_master;
	bool was_reset;
	u64 num_corrected;

	struct mutex lock;		/* open, attach and their opposites */
	unsigned int opens;
	bool active;
	bool claimed;
	struct list_head files;
	struct uiommu_space *space;
	struct pci_saved_state *saved_state;
	struct mutex bars_lock;		/* how BARs are mapped */
	bool combined;
	struct uiommu_pci_bar bars[PCI_ROM_RESOURCE + 1];
	struct uiommu_pci_msix_range msix_table;
	struct uiommu_pci_msix_range msix_pba;
	u8 *rom;
	size_t rom_size;
	bool rom_read;
	atomic_long_t locked_pages;

	struct mutex config_lock;	/* config space, as the user sees it */
	struct uiommu_pci_config *config;

	struct mutex files_lock;	/* the list of files */

	struct uiommu_pci_irqs irqs;
};

/**
 * struct uiommu_pci_file - an open file of a device
 * @dev: referenced
 * @link: on dev->files
 * @owner: what was mapped through it, NULL before the first mapping in a space;
 *	protected by dev->lock
 * @owner_users: requests that use @owner without dev->lock; protected by it
 * @events: what is told through it
 * @told_gone: that the device is, and so no more
 * @dummy: all-ones, what a BAR mapping shows while the gate is closed; allocated
 *	at the first mmap(), lives as long as the file and so as its VMAs
 */
struct uiommu_pci_file {
	struct uiommu_pci *dev;
	struct list_head link;
	struct uiommu_owner *owner;
	unsigned int owner_users;
	struct uiommu_events *events;
	bool told_gone;
	struct page *dummy;
};

static inline struct uiommu_pci *to_uiommu_pci(struct device *dev)
{
	return container_of(dev, struct uiommu_pci, dev);
}

static inline bool uiommu_pci_gone(struct uiommu_pci *dev)
{
	return READ_ONCE(dev->gated) & UIOMMU_PCI_GONE;
}

/* Can it be reset alone?  An administrator can change that. */
static inline bool uiommu_pci_has_own_reset(struct uiommu_pci *dev)
{
	return dev->pdev->reset_methods[0] && !dev->set_only;
}

/* file.c */
extern const struct file_operations uiommu_pci_fops;

/* sysfs.c */
extern const struct attribute_group *uiommu_pci_dev_groups[];
int uiommu_pci_sysfs_add(struct uiommu_pci *dev);
void uiommu_pci_sysfs_remove(struct uiommu_pci *dev);

/*
 * What the PCI core says of a reset, for user space: -ENOTTY, which a link that does
 * not come up gives, too, would be a request that does not exist.
 */
static inline int uiommu_pci_reset_errno(int err)
{
	switch (err) {
	case 0:
	case -EAGAIN:
	case -ENODEV:
	case -ENOMEM:
		return err;
	default:
		return -EIO;
	}
}

/* lifecycle.c */
int uiommu_pci_open(struct uiommu_pci *dev);
void uiommu_pci_close(struct uiommu_pci *dev);
void uiommu_pci_revoke(struct uiommu_pci *dev);
int uiommu_pci_reset(struct uiommu_pci_file *file);
int uiommu_pci_attach(struct uiommu_pci *dev, struct uiommu_space *space);
int uiommu_pci_detach(struct uiommu_pci *dev);
int uiommu_pci_was_reset(struct uiommu_pci *dev, unsigned long resets);
void uiommu_pci_reset_failed(struct uiommu_pci *dev, unsigned long resets);
void uiommu_pci_gate_close(struct uiommu_pci *dev, enum uiommu_pci_gate why);
void uiommu_pci_gate_open(struct uiommu_pci *dev, enum uiommu_pci_gate why);
bool uiommu_pci_lock_config(struct uiommu_pci *dev);
extern const struct pci_error_handlers uiommu_pci_err_handlers;
extern const struct dev_pm_ops uiommu_pci_pm_ops;

/* event.c */
void uiommu_pci_tell(struct uiommu_pci *dev, const struct uiommu_event *event,
		     const struct uiommu_pci_file *but);
void uiommu_pci_tell_gone(struct uiommu_pci *dev);
void uiommu_pci_file_add(struct uiommu_pci_file *file);
void uiommu_pci_file_remove(struct uiommu_pci_file *file);

/* region.c */
int uiommu_pci_claim_bars(struct uiommu_pci *dev);
void uiommu_pci_release_bars(struct uiommu_pci *dev);
ssize_t uiommu_pci_bar_rw(struct uiommu_pci *dev, unsigned int bar,
			  char __user *buf, size_t count, u64 pos, bool write);
ssize_t uiommu_pci_rom_read(struct uiommu_pci *dev, char __user *buf,
			    size_t count, u64 pos);
bool uiommu_pci_bar_mappable(struct uiommu_pci *dev, unsigned int bar);
bool uiommu_pci_bar_combines(struct uiommu_pci *dev, unsigned int bar);
int uiommu_pci_bar_mmap(struct uiommu_pci_file *file,
			struct vm_area_struct *vma, unsigned int bar, bool wc,
			u64 pos);

/* mapping.c */
struct uiommu_pci_mapping *
uiommu_pci_mapping_create(struct uiommu_pci_file *file, unsigned int bar,
			  bool wc, unsigned long first, unsigned long last);
void uiommu_pci_mapping_put(struct uiommu_pci_mapping *m);
void uiommu_pci_drain(struct uiommu_pci *dev);
void uiommu_pci_bar_unmap(struct uiommu_pci *dev, unsigned int bar);
void __iomem *uiommu_pci_bar_map_page(struct uiommu_pci *dev, unsigned int bar,
				      u64 pos);
void uiommu_pci_bar_unmap_page(struct uiommu_pci *dev, unsigned int bar,
			       void __iomem *at);

/* config.c */
int uiommu_pci_config_init(struct uiommu_pci *dev);
void uiommu_pci_config_free(struct uiommu_pci *dev);
void uiommu_pci_config_attached(struct uiommu_pci *dev);
void uiommu_pci_config_detached(struct uiommu_pci *dev);
void uiommu_pci_config_reset(struct uiommu_pci *dev);
ssize_t uiommu_pci_config_rw(struct uiommu_pci_file *file, char __user *buf,
			     size_t count, u64 pos, bool write);
ssize_t uiommu_pci_config_map(struct uiommu_pci *dev, char *buf, loff_t pos,
			      size_t count);
ssize_t uiommu_pci_config_rules(struct uiommu_pci *dev, char *buf, loff_t pos,
				size_t count);

/* irq.c */
void uiommu_pci_irq_prepare(struct uiommu_pci *dev);
void uiommu_pci_irq_init(struct uiommu_pci *dev);
int uiommu_pci_irq_set(struct uiommu_pci *dev, enum uiommu_pci_irq_type type,
		       unsigned int num, const s32 *fds);
int uiommu_pci_irq_set_range(struct uiommu_pci *dev,
			     enum uiommu_pci_irq_type type, unsigned int first,
			     unsigned int num, const s32 *fds);
int uiommu_pci_irq_trigger(struct uiommu_pci *dev,
			   enum uiommu_pci_irq_type type, unsigned int first,
			   unsigned int num);
int uiommu_pci_irq_affinity(struct uiommu_pci *dev,
			    enum uiommu_pci_irq_type type, unsigned int first,
			    unsigned int num, const struct cpumask *mask);
bool uiommu_pci_irq_in_use(struct uiommu_pci *dev);
void uiommu_pci_irq_off(struct uiommu_pci *dev);
unsigned int uiommu_pci_irq_max(struct uiommu_pci *dev,
				enum uiommu_pci_irq_type type);
void uiommu_pci_intx_sync(struct uiommu_pci *dev);
void uiommu_pci_intx_mask(struct uiommu_pci *dev, bool mask);
int uiommu_pci_intx_eoi(struct uiommu_pci *dev);
bool uiommu_pci_intx_user(struct uiommu_pci *dev, bool mask);
void uiommu_pci_intx_again(struct uiommu_pci *dev);

/* eoi.c */
int uiommu_pci_eoi_set(struct uiommu_pci *dev, s32 fd);
void uiommu_pci_eoi_drop(struct uiommu_pci *dev);

/* setreset.c */
/* Devices that are reset together: what there is room for on a bus */
#define UIOMMU_PCI_MAX_SET	256

bool uiommu_pci_has_set_reset(struct pci_dev *pdev);
int uiommu_pci_reset_set(struct uiommu_pci *const *dev, unsigned int num);
void uiommu_pci_reset_idle(struct uiommu_pci *dev);
void uiommu_pci_bind(struct uiommu_pci *dev);
void uiommu_pci_unbind(struct uiommu_pci *dev);

#endif /* _UIOMMU_PCI_PRIVATE_H */
