/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of uiommu share: address spaces, domains, mapping records.
 *
 * Lock order:
 *
 *	space->domains_rwsem > space->iova_lock > owner->payers_lock
 *	mmap_lock, space->iova_lock > watch->lock
 *	space->iova_lock > events->lock > wait queues
 *
 * None of ours is held while user memory is pinned or copied.
 */
#ifndef _UIOMMU_PRIVATE_H
#define _UIOMMU_PRIVATE_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/iommu.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/rwsem.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/uiommu.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct uiommu_map;
struct vfio_dma_map;

/**
 * struct uiommu_range - a range of IOVA
 * @first: first address
 * @last: last address, included: the top of the space is usable
 */
struct uiommu_range {
	u64 first;
	u64 last;
};

/**
 * struct uiommu_windows - the IOVA that every attached group can use
 * @num: used entries of @range
 * @room: entries of @range
 * @range: ascending and disjoint
 */
struct uiommu_windows {
	unsigned int num;
	unsigned int room;
	struct uiommu_range range[] __counted_by(room);
};

/* Orders of size that holes are told apart by; larger ones are of the last. */
#define UIOMMU_ORDERS	21

/**
 * struct uiommu_space - one IOMMU address space
 * @ref: files, attached devices and owners
 * @domains_rwsem: held for write by attach and detach, which change @domains,
 *	@groups and @windows and need every record as it is; held for read by a
 *	map or unmap around its IOMMU work on one piece
 * @domains: struct uiommu_domain, usually one
 * @groups: struct uiommu_group, the attached groups
 * @iova_lock: protects @mappings, @top, @num_mappings, the state of each record,
 *	@hints, @chooses, and for readers @windows
 * @mappings: every record, by IOVA
 * @top: the one with the highest IOVA: many users go upwards
 * @num_mappings: records in @mappings
 * @windows: NULL while nothing is attached: any IOVA goes
 * @hints: for each order, no hole of 2^order pages or more begins below
 * @chooses: an IOVA was chosen: keep @hints
 * @lost: mappings whose memory went away, LIVE yet
 * @num_lost: those, and those that @lost_work is at
 * @lost_work: unmaps them
 * @pinned: pages of live mappings
 * @charged: pages charged
 */
struct uiommu_space {
	struct kref ref;
	struct rw_semaphore domains_rwsem;
	struct list_head domains;
	struct list_head groups;

	struct mutex iova_lock;		/* the tree of records */
	struct rb_root mappings;
	struct uiommu_mapping *top;
	unsigned long num_mappings;
	struct uiommu_windows *windows;
	u64 hints[UIOMMU_ORDERS];
	bool chooses;

	struct llist_head lost;
	atomic_long_t num_lost;
	struct work_struct lost_work;

	atomic_long_t pinned;
	atomic_long_t charged;
};

/**
 * struct uiommu_domain - one set of I/O page tables of a space
 * @link: on space->domains
 * @iommu: the tables
 * @prot: IOMMU_CACHE, for every mapping
 * @num_groups: groups attached to it
 * @coherent: snooping is enforced
 * @sw_msi: has the window of software-managed MSI
 */
struct uiommu_domain {
	struct list_head link;
	struct iommu_domain *iommu;
	int prot;
	unsigned int num_groups;
	bool coherent;
	bool sw_msi;
};

/**
 * struct uiommu_group - an IOMMU group attached to a space
 * @link: on space->groups
 * @group: referenced
 * @domain: what it is attached to
 * @num_devices: devices of the group that are attached
 */
struct uiommu_group {
	struct list_head link;
	struct iommu_group *group;
	struct uiommu_domain *domain;
	unsigned int num_devices;
};

/**
 * struct uiommu_owner - the mappings made through one open file
 * @space: referenced
 * @locked_pages: where else to count pinned pages, or NULL
 * @events: where to tell of lost mappings
 * @num_mappings: records that belong to it, those in the making included
 * @settled: woken when a record that somebody else unmapped is gone
 * @payers_lock: protects @payers
 * @payers: struct uiommu_payer
 */
struct uiommu_owner {
	struct uiommu_space *space;
	atomic_long_t *locked_pages;
	struct uiommu_events *events;
	atomic_long_t num_mappings;
	wait_queue_head_t settled;
	spinlock_t payers_lock;		/* the list of payers */
	struct list_head payers;
};

/**
 * struct uiommu_payer - who is charged for pinned pages
 * @link: on owner->payers
 * @owner: the file
 * @mm: grabbed: outlives exec and exit of the process, not its memory
 * @user: referenced
 * @watch: of @mm, NULL before the first watched mapping
 * @users: mappings charged to it, or about to be; protected by payers_lock
 *
 * One for each (mm, user, file), so that a refund reaches who paid, whoever
 * unmaps.
 */
struct uiommu_payer {
	struct list_head link;
	struct uiommu_owner *owner;
	struct mm_struct *mm;
	struct user_struct *user;
	struct uiommu_watch *watch;
	unsigned long users;
};

/*
 * A physically contiguous run: page frame number of the first page in the upper
 * 40 bits, number of pages in the lower 24.
 */
typedef u64 uiommu_extent_t;

#define UIOMMU_EXTENT_PAGES_BITS	24

static inline uiommu_extent_t uiommu_extent(unsigned long pfn,
					    unsigned long npages)
{
	return (u64)pfn << UIOMMU_EXTENT_PAGES_BITS | npages;
}

static inline unsigned long uiommu_extent_pfn(uiommu_extent_t extent)
{
	return extent >> UIOMMU_EXTENT_PAGES_BITS;
}

static inline unsigned long uiommu_extent_pages(uiommu_extent_t extent)
{
	return extent & GENMASK_ULL(UIOMMU_EXTENT_PAGES_BITS - 1, 0);
}

/**
 * struct uiommu_chunk - some extents of a mapping
 * @next: the following ones, in the order of IOVA
 * @num: used entries of @extent
 * @room: entries of @extent
 * @extent: the extents
 */
struct uiommu_chunk {
	struct uiommu_chunk *next;
	u32 num;
	u32 room;
	uiommu_extent_t extent[] __counted_by(room);
};

/**
 * enum uiommu_state - life of a mapping record
 * @UIOMMU_RESERVED: holds its IOVA while it is being made, by who makes it
 * @UIOMMU_LIVE: complete; whoever unmaps it first claims it
 * @UIOMMU_DYING: claimed for unmapping; its IOVA is not free yet
 */
enum uiommu_state {
	UIOMMU_RESERVED,
	UIOMMU_LIVE,
	UIOMMU_DYING,
};

/**
 * struct uiommu_mapping - the record of one mapping
 * @node: in space->mappings
 * @page: IOVA >> PAGE_SHIFT
 * @state: enum uiommu_state; changed under space->iova_lock
 * @write: the device may write
 * @stuck: an IOMMU driver failed to clear it: its memory stays pinned for ever
 * @watched: goes when its memory does
 * @gone: its memory did: to be told
 * @payer: who is charged
 * @npages: its length
 * @num_extents: what is pinned and in the I/O page tables of every domain, from
 *	the start of the mapping on.  Grows under space->domains_rwsem held for
 *	read, together with the tables.
 * @extent: the only one, when @num_extents is 1
 * @chunks: all of them, when @num_extents is more
 * @next: while dying, the next one of the same claimer
 * @lost: on space->lost
 * @va_node: on payer->watch->mappings
 * @va: process address, and flags of watch.c
 * @va_subtree_last: see <linux/interval_tree_generic.h>
 *
 * There can be millions: 96 bytes, and 64 without what only watched ones have.
 */
struct uiommu_mapping {
	struct rb_node node;
	u64 page : 52;
	u64 state : 2;
	u64 write : 1;
	u64 stuck : 1;
	u64 watched : 1;
	u64 gone : 1;
	struct uiommu_payer *payer;
	u32 npages;
	u32 num_extents;
	union {
		uiommu_extent_t extent;
		struct uiommu_chunk *chunks;
	};
	union {
		struct uiommu_mapping *next;
		struct llist_node lost;
		struct rb_node va_node;
	};
	unsigned long va;
	unsigned long va_subtree_last;
};

#define UIOMMU_UNWATCHED_SIZE	offsetofend(struct uiommu_mapping, next)

static inline struct uiommu_mapping *to_mapping(struct rb_node *node)
{
	return rb_entry(node, struct uiommu_mapping, node);
}

static inline u64 uiommu_first(const struct uiommu_mapping *m)
{
	return (u64)m->page << PAGE_SHIFT;
}

static inline u64 uiommu_size(const struct uiommu_mapping *m)
{
	return (u64)m->npages << PAGE_SHIFT;
}

static inline u64 uiommu_last(const struct uiommu_mapping *m)
{
	return uiommu_first(m) + uiommu_size(m) - 1;
}

/* pages.c */

/* Pages that are pinned at once for several mappings */
#define UIOMMU_TOGETHER_PAGES	(SZ_2M >> PAGE_SHIFT)

struct uiommu_payer *uiommu_payer_get(struct uiommu_owner *owner,
				      unsigned long num);
void uiommu_payer_put(struct uiommu_payer *payer, unsigned long num);
void uiommu_payers_free(struct uiommu_owner *owner);
int uiommu_charge_user(struct user_struct *user, unsigned long npages);
int uiommu_charge(struct uiommu_payer *payer, unsigned long npages);
void uiommu_uncharge(struct uiommu_payer *payer, unsigned long npages);
int uiommu_pin(struct uiommu_space *space, struct uiommu_mapping *m,
	       unsigned long vaddr);
int uiommu_pin_together(struct uiommu_space *space, struct uiommu_mapping **m,
			u32 num, unsigned long vaddr, unsigned long npages,
			struct page **pages, struct scatterlist *sg);
void uiommu_unpin(struct uiommu_mapping *m);
void uiommu_extents_free(struct uiommu_mapping *m);
u64 uiommu_partial_size(struct uiommu_mapping *m);
int uiommu_fill(struct uiommu_domain *domain, struct uiommu_mapping *m);

/* Bytes of @m that are pinned and mapped, from its start on. */
static inline u64 uiommu_pinned_size(struct uiommu_mapping *m)
{
	/* Only one in the making can be in part. */
	return m->state == UIOMMU_RESERVED ? uiommu_partial_size(m) :
					     uiommu_size(m);
}

/* All but the links, which those who link it set */
static inline void uiommu_record_init(struct uiommu_mapping *m,
				      struct uiommu_payer *payer,
				      unsigned long vaddr, u64 iova, u64 size,
				      unsigned int flags)
{
	m->page = iova >> PAGE_SHIFT;
	m->state = UIOMMU_RESERVED;
	m->write = !!(flags & UIOMMU_WRITE);
	m->stuck = false;
	m->gone = false;
	m->watched = !(flags & UIOMMU_KEEP);
	m->payer = payer;
	m->npages = size >> PAGE_SHIFT;
	m->num_extents = 0;
	if (m->watched)
		m->va = vaddr;
}

/* dma.c */

/**
 * struct uiommu_claims - mappings that are being claimed for unmapping
 * @tail: the end of the list of them
 * @last: the last one, or NULL
 * @num: number of those in the list
 * @num_pending: number of those in @pending
 * @pending: watched ones, not in the list yet: there are many, and one does not
 *	lock for each
 */
struct uiommu_claims {
	struct uiommu_mapping **tail;
	struct uiommu_mapping *last;
	u64 num;
	u32 num_pending;
	struct uiommu_mapping *pending[16];
};

static inline void uiommu_claims_begin(struct uiommu_claims *claims,
				       struct uiommu_mapping **list)
{
	claims->tail = list;
	claims->last = NULL;
	claims->num = 0;
	claims->num_pending = 0;
}

#define UIOMMU_MAP_FLAGS	(UIOMMU_WRITE | UIOMMU_KEEP)

bool uiommu_range_valid(u64 vaddr, u64 iova, u64 size);
int uiommu_records_start(void);
void uiommu_records_exit(void);
bool uiommu_records_alloc(struct uiommu_mapping **m, u32 num,
			  unsigned int flags);
void uiommu_records_free(struct uiommu_mapping **m, u32 num);
int uiommu_record_reserve(struct uiommu_space *space,
			  struct uiommu_mapping *new);
void uiommu_record_remove(struct uiommu_space *space,
			  struct uiommu_mapping *m);
u32 uiommu_publish(struct uiommu_owner *owner, struct uiommu_mapping **m,
		   u32 num, long npages);
int uiommu_destroy(struct uiommu_space *space, struct uiommu_mapping *list);
int uiommu_map_lowest(struct uiommu_owner *owner, unsigned long vaddr,
		      u64 size, u64 max, unsigned int flags,
		      struct uiommu_map __user *answer);
int uiommu_claim_range(struct uiommu_space *space, u64 iova, u64 size,
		       struct uiommu_claims *claims);
void uiommu_claims_end(struct uiommu_claims *claims);
int uiommu_unmap_finish(struct uiommu_space *space,
			struct uiommu_mapping *list);
int uiommu_unmap_all(struct uiommu_space *space, struct uiommu_owner *owner,
		     u64 *num);

struct uiommu_mapping *uiommu_find_from(struct uiommu_space *space, u64 first);

/* batch.c */
int uiommu_map_entry(struct uiommu_owner *owner,
		     const struct vfio_dma_map *entry);
int uiommu_map_batch(struct uiommu_owner *owner, struct vfio_dma_map *entry,
		     u32 num, u32 *done);
int uiommu_unmap_batch(struct uiommu_owner *owner,
		       const struct vfio_dma_map *entry, u32 num, u32 *done);

/* iova.c */
int uiommu_choose(struct uiommu_space *space, unsigned long vaddr, u64 size,
		  u64 max, u64 *iova);
void uiommu_freed(struct uiommu_space *space, struct uiommu_mapping *m);
void uiommu_choose_anew(struct uiommu_space *space);

/* event.c */
u64 uiommu_events_sequence(struct uiommu_events *events);

/* watch.c */
int uiommu_watch_begin(struct uiommu_mapping **m, u32 num);
u32 uiommu_watch_live(struct uiommu_mapping **m, u32 num);
void uiommu_watch_abort(struct uiommu_mapping **m, u32 num);
void uiommu_watch_end(struct uiommu_mapping **m, u32 num);
void uiommu_watch_put(struct uiommu_watch *watch);
void uiommu_watch_init(struct uiommu_space *space);
bool uiommu_watch_flush(struct uiommu_space *space);
void uiommu_watch_stop(struct uiommu_space *space);
int uiommu_watch_start(void);
void uiommu_watch_exit(void);

/* domain.c */

/*
 * Unmapping clears this much without a chance to schedule, so no I/O page may
 * reach across a multiple of it.
 */
#define UIOMMU_UNMAP_STEP	SZ_1G

struct uiommu_space *uiommu_space_create(void);
int uiommu_domains_map(struct uiommu_space *space, u64 iova,
		       struct scatterlist *sg, unsigned int nents, size_t size,
		       bool write);
bool uiommu_domains_unmap(struct uiommu_space *space, u64 iova, u64 size);
int uiommu_domain_map(struct uiommu_domain *domain, u64 iova,
		      struct scatterlist *sg, unsigned int nents, size_t size,
		      bool write);
bool uiommu_domain_unmap(struct uiommu_domain *domain, u64 iova, u64 size,
			 struct iommu_iotlb_gather *gather);
bool uiommu_domain_clear(struct uiommu_domain *domain, u64 iova, u64 size);

/* windows.c */
struct uiommu_windows *uiommu_windows_create(u64 first, u64 last,
					     unsigned int max_cuts);
void uiommu_windows_cut(struct uiommu_windows *windows, u64 first, u64 last);
bool uiommu_windows_hold(const struct uiommu_windows *windows, u64 first,
			 u64 last);

#endif /* _UIOMMU_PRIVATE_H */
