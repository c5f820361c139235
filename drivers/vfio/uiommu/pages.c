// SPDX-License-Identifier: GPL-2.0-only
/*
 * User pages of a mapping: the memlock charge, pinning, and the extents that
 * remember what was pinned.
 *
 * Extents cost 8 bytes for each physically contiguous run.  They are what makes
 * unmapping cheap: nothing has to be read back from the I/O page tables, and
 * another domain can be filled without pinning again.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/overflow.h>
#include <linux/scatterlist.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/unroll.h>

#include "private.h"

/*
 * Pages pinned at once.  Pinning runs with interrupts off, so the piece is
 * bounded; it ends where a huge I/O page ends, so as never to split one.
 */
#define PIECE_SIZE	max(SZ_2M, PAGE_SIZE)
#define PIECE_PAGES	(PIECE_SIZE >> PAGE_SHIFT)

/* Pieces up to this many pages need no memory but the stack. */
#define SMALL_PAGES	4

/*
 * Huge pages are gathered before they are mapped: up to this many runs, and this
 * many pages.
 */
#define GATHER_RUNS	64
#define GATHER_PAGES	(SZ_256M >> PAGE_SHIFT)

/* Extents in a chunk of one page. */
#define CHUNK_EXTENTS	((SZ_4K - sizeof(struct uiommu_chunk)) / \
			 sizeof(uiommu_extent_t))

static struct uiommu_payer *find_payer(struct uiommu_owner *owner,
				       struct mm_struct *mm,
				       struct user_struct *user,
				       unsigned long num)
{
	struct uiommu_payer *payer;

	lockdep_assert_held(&owner->payers_lock);

	list_for_each_entry(payer, &owner->payers, link) {
		if (payer->mm == mm && payer->user == user) {
			/* To the front: others can be many, and dead. */
			list_move(&payer->link, &owner->payers);
			payer->users += num;
			return payer;
		}
	}
	return NULL;
}

static void free_payer(struct uiommu_payer *payer)
{
	uiommu_watch_put(payer->watch);
	mmdrop(payer->mm);
	free_uid(payer->user);
	kfree(payer);
}

/**
 * uiommu_payer_get - who pays for what the calling process maps now
 * @owner: the file it maps through
 * @num: number of mappings
 *
 * Context: process context, may sleep; the caller has an mm.
 * Return: the payer, to be given back with uiommu_payer_put(), or NULL when
 * there is no memory.
 */
struct uiommu_payer *uiommu_payer_get(struct uiommu_owner *owner,
				      unsigned long num)
{
	struct uiommu_payer *payer, *fresh, *next;
	struct mm_struct *mm = current->mm;
	LIST_HEAD(idle);

	scoped_guard(spinlock, &owner->payers_lock)
		payer = find_payer(owner, mm, current_user(), num);
	if (payer)
		return payer;

	fresh = kzalloc_obj(*fresh, GFP_KERNEL_ACCOUNT);
	if (!fresh)
		return NULL;
	fresh->owner = owner;
	fresh->mm = mm;
	fresh->user = get_uid(current_user());
	fresh->users = num;
	mmgrab(mm);

	scoped_guard(spinlock, &owner->payers_lock) {
		/* Another thread of the process may have been faster. */
		payer = find_payer(owner, mm, current_user(), num);
		if (!payer) {
			/* Idle ones are few: each holds an mm, perhaps dead. */
			list_for_each_entry_safe(payer, next, &owner->payers,
						 link)
				if (!payer->users)
					list_move(&payer->link, &idle);
			list_add(&fresh->link, &owner->payers);
			payer = fresh;
		} else {
			list_add(&fresh->link, &idle);
		}
	}
	list_for_each_entry_safe(fresh, next, &idle, link)
		free_payer(fresh);
	return payer;
}

/**
 * uiommu_payer_put - mappings less to pay for
 * @payer: the payer
 * @num: how many
 *
 * The payer of a living process is kept for its next mapping: to get its watch
 * takes every lock of its memory.
 */
void uiommu_payer_put(struct uiommu_payer *payer, unsigned long num)
{
	struct uiommu_owner *owner = payer->owner;

	scoped_guard(spinlock, &owner->payers_lock) {
		payer->users -= num;
		if (payer->users || atomic_read(&payer->mm->mm_users))
			return;
		list_del(&payer->link);
	}
	free_payer(payer);
}

/* Free what uiommu_payer_put() kept; nothing is mapped through @owner. */
void uiommu_payers_free(struct uiommu_owner *owner)
{
	struct uiommu_payer *payer, *next;

	list_for_each_entry_safe(payer, next, &owner->payers, link) {
		WARN_ON_ONCE(payer->users);
		free_payer(payer);
	}
}

/**
 * uiommu_charge_user - charge pages against RLIMIT_MEMLOCK
 * @user: current_user()
 * @npages: pages
 *
 * For all that the user has charged, as io_uring and iommufd count; CAP_IPC_LOCK
 * lifts the limit and not the charge.
 *
 * Return: 0, or -ENOMEM when it would exceed the limit.
 */
int uiommu_charge_user(struct user_struct *user, unsigned long npages)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	unsigned long old, new;

	old = atomic_long_read(&user->locked_vm);
	do {
		if (check_add_overflow(old, npages, &new))
			return -ENOMEM;
		if (new > limit && !capable(CAP_IPC_LOCK))
			return -ENOMEM;
	} while (!atomic_long_try_cmpxchg(&user->locked_vm, &old, new));
	return 0;
}

/**
 * uiommu_charge - charge pages that are about to be pinned
 * @payer: the calling process' payer
 * @npages: pages
 *
 * Return: as uiommu_charge_user().
 */
int uiommu_charge(struct uiommu_payer *payer, unsigned long npages)
{
	int ret = uiommu_charge_user(payer->user, npages);

	if (ret)
		return ret;
	atomic64_add(npages, &payer->mm->pinned_vm);
	atomic_long_add(npages, &payer->owner->space->charged);
	return 0;
}

/* Charge for pages that stay pinned although the mapping is given up. */
static void keep_charge(struct uiommu_payer *payer, unsigned long npages)
{
	atomic_long_add(npages, &payer->user->locked_vm);
	atomic64_add(npages, &payer->mm->pinned_vm);
	atomic_long_add(npages, &payer->owner->space->charged);
}

/* Undo uiommu_charge(), from any process. */
void uiommu_uncharge(struct uiommu_payer *payer, unsigned long npages)
{
	atomic_long_sub(npages, &payer->owner->space->charged);
	atomic64_sub(npages, &payer->mm->pinned_vm);
	atomic_long_sub(npages, &payer->user->locked_vm);
}

/**
 * struct cursor - walks the extents of a mapping, or what is left of one
 * @chunk: where it is, when there is more than one extent
 * @m: the mapping
 * @i: next extent, in @chunk or of one
 */
struct cursor {
	struct uiommu_mapping *m;
	struct uiommu_chunk *chunk;
	u32 i;
};

static struct cursor first_extent(struct uiommu_mapping *m)
{
	return (struct cursor) {
		.m = m,
		.chunk = m->num_extents > 1 ? m->chunks : NULL,
	};
}

static bool next_extent(struct cursor *c, uiommu_extent_t *extent)
{
	if (c->m->num_extents <= 1) {
		*extent = c->m->extent;
		return c->i++ < c->m->num_extents;
	}
	if (c->chunk && c->i == c->chunk->num) {
		c->chunk = c->chunk->next;
		c->i = 0;
	}
	if (!c->chunk)
		return false;
	*extent = c->chunk->extent[c->i++];
	return true;
}

/* As uiommu_pinned_size(), counted */
u64 uiommu_partial_size(struct uiommu_mapping *m)
{
	struct cursor c = first_extent(m);
	uiommu_extent_t extent;
	u64 npages = 0;

	while (next_extent(&c, &extent))
		npages += uiommu_extent_pages(extent);
	return npages << PAGE_SHIFT;
}

/**
 * struct builder - a mapping in the making
 * @m: its record
 * @last: where the last extent is, NULL before the first
 * @tail: the last chunk, NULL while there is none
 * @mapped: pages done
 * @pinned: pages that are only pinned yet; they follow those
 * @sg: runs of them
 * @nents: used entries of @sg
 * @room: entries of @sg
 */
struct builder {
	struct uiommu_mapping *m;
	uiommu_extent_t *last;
	struct uiommu_chunk **tail;
	u32 mapped;
	u32 pinned;
	struct scatterlist *sg;
	unsigned int nents;
	unsigned int room;
};

static struct uiommu_chunk *new_chunk(u32 room)
{
	struct uiommu_chunk *chunk;

	chunk = kmalloc_flex(*chunk, extent, room, GFP_KERNEL_ACCOUNT);
	if (!chunk)
		return NULL;
	chunk->next = NULL;
	chunk->num = 0;
	chunk->room = room;
	return chunk;
}

/*
 * Do pages continue an extent, in memory and in struct page?  An extent is at
 * most 1 GiB long, so that a scatterlist entry holds it.
 */
static bool extends(uiommu_extent_t extent, unsigned long pfn,
		    unsigned long npages)
{
	unsigned long next = uiommu_extent_pfn(extent) +
			     uiommu_extent_pages(extent);

	return pfn == next && pfn_to_page(next - 1) + 1 == pfn_to_page(pfn) &&
	       uiommu_extent_pages(extent) + npages <= SZ_1G >> PAGE_SHIFT;
}

/* Inlined, as scattered memory has one for each page. */
static __always_inline int append_extent(struct builder *b, unsigned long pfn,
					 unsigned long npages, bool join)
{
	struct uiommu_mapping *m = b->m;
	struct uiommu_chunk *chunk;
	u32 left = m->npages - b->mapped;

	if (join && b->last && extends(*b->last, pfn, npages)) {
		*b->last += npages;
		goto done;
	}

	if (!m->num_extents) {
		m->extent = uiommu_extent(pfn, npages);
		b->last = &m->extent;
		m->num_extents = 1;
		goto done;
	}

	if (m->num_extents == 1) {
		/* The first extent is longer than 0 pages: room for it too. */
		chunk = new_chunk(min_t(u32, left + 1, CHUNK_EXTENTS));
		if (!chunk)
			return -ENOMEM;
		chunk->extent[chunk->num++] = m->extent;
		m->chunks = chunk;
		b->tail = &m->chunks;
	} else if ((*b->tail)->num == (*b->tail)->room) {
		chunk = new_chunk(min_t(u32, left, CHUNK_EXTENTS));
		if (!chunk)
			return -ENOMEM;
		(*b->tail)->next = chunk;
		b->tail = &(*b->tail)->next;
	}

	chunk = *b->tail;
	chunk->extent[chunk->num] = uiommu_extent(pfn, npages);
	b->last = &chunk->extent[chunk->num++];
	m->num_extents++;
done:
	b->mapped += npages;
	return 0;
}

/* Give back the unused end of the last chunk; domains_rwsem is held. */
static void trim_extents(struct builder *b)
{
	struct uiommu_chunk *old, *new;

	if ((*b->tail)->num == (*b->tail)->room)
		return;
	new = new_chunk((*b->tail)->num);
	if (!new)
		return;		/* as good, only larger */

	old = *b->tail;
	new->num = old->num;
	memcpy(new->extent, old->extent,
	       flex_array_size(new, extent, new->num));
	*b->tail = new;
	kfree(old);
}

/*
 * As num_pages_contiguous(), but for 32 at a time: this is a third of what it
 * takes to map huge pages.
 */
static unsigned long num_contiguous(struct page **pages, unsigned long npages)
{
	unsigned long n, i, diff;

	/* Each section has an array of struct page of its own. */
	if (IS_ENABLED(CONFIG_SPARSEMEM) &&
	    !IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP))
		return num_pages_contiguous(pages, npages);

	for (n = 0; npages - n >= 32; n += 32) {
		diff = 0;
		unrolled_count(32)
		for (i = 0; i < 32; i++)
			diff |= (unsigned long)pages[n + i] ^
				(unsigned long)(pages[0] + n + i);
		if (diff)
			break;
	}
	while (n < npages && pages[n] == pages[0] + n)
		n++;
	return n;
}

/*
 * How many of @pages follow each other in memory, from the first one on.  @once:
 * they were pinned without a page fault in between.
 */
static unsigned long long_run(struct page **pages, unsigned long npages,
			      bool once)
{
	struct folio *folio;

	/*
	 * One entry of the page tables maps it, and was looked at once. The pages
	 * of any other can be permuted, or be replaced half-way; so can those that
	 * a fault brought in, as faults are resolved one by one.
	 */
	folio = page_folio(pages[0]);
	if (once && folio_test_hugetlb(folio) &&
	    (folio_size(folio) == PMD_SIZE || folio_size(folio) == PUD_SIZE))
		return min(npages, folio_nr_pages(folio) -
				   folio_page_idx(folio, pages[0]));
	return num_contiguous(pages, npages);
}

/* As long_run(), at once for scattered pages. */
static inline unsigned long run_length(struct page **pages,
				       unsigned long npages, bool once)
{
	if (npages < 2 || pages[1] != pages[0] + 1)
		return 1;
	return long_run(pages, npages, once);
}

/* Make a run part of the last one, if it continues that. */
static bool join_last(struct builder *b, struct page *page, unsigned long run)
{
	struct scatterlist *last;

	if (!b->nents)
		return false;
	last = &b->sg[b->nents - 1];
	if (!extends(uiommu_extent(page_to_pfn(sg_page(last)),
				   last->length >> PAGE_SHIFT),
		     page_to_pfn(page), run))
		return false;
	last->length += run << PAGE_SHIFT;
	return true;
}

static void add_pinned(struct builder *b, struct page **pages,
		       unsigned long npages, bool once)
{
	unsigned long run, done;

	for (done = 0; done < npages; done += run) {
		run = run_length(pages + done, npages - done, once);
		/* Only the first can continue one. */
		if (done || !join_last(b, pages[0], run))
			sg_set_page(&b->sg[b->nents++], pages[done],
				    run << PAGE_SHIFT, 0);
	}
	b->pinned += npages;
}

/*
 * Map what is pinned into every domain and remember it.  What could not be mapped
 * is still in @b->sg; -ENOTRECOVERABLE when it can still be in a domain.
 */
static int map_pinned(struct uiommu_space *space, struct builder *b)
{
	struct uiommu_mapping *m = b->m;
	u64 iova = uiommu_first(m) + ((u64)b->mapped << PAGE_SHIFT);
	u64 size = (u64)b->pinned << PAGE_SHIFT;
	unsigned int i;
	int ret;

	guard(rwsem_read)(&space->domains_rwsem);

	ret = uiommu_domains_map(space, iova, b->sg, b->nents, size, m->write);
	if (ret)
		return ret;

	for (i = 0; i < b->nents; i++) {
		unsigned long run = b->sg[i].length >> PAGE_SHIFT;

		/* The others are runs of their own. */
		ret = append_extent(b, page_to_pfn(sg_page(&b->sg[i])), run,
				    !i);
		if (ret)
			break;
		b->pinned -= run;
	}
	if (!ret) {
		b->nents = 0;
		return 0;
	}

	/* Extents tell what is mapped: no more than they say. */
	b->nents -= i;
	memmove(b->sg, b->sg + i, array_size(b->nents, sizeof(*b->sg)));
	size = (u64)b->pinned << PAGE_SHIFT;
	iova = uiommu_first(m) + ((u64)b->mapped << PAGE_SHIFT);
	return uiommu_domains_unmap(space, iova, size) ? ret : -ENOTRECOVERABLE;
}

static noinline void unpin_long_run(unsigned long pfn, unsigned long npages,
				    bool dirty)
{
	for (; npages > PIECE_PAGES; npages -= PIECE_PAGES) {
		unpin_user_page_range_dirty_lock(pfn_to_page(pfn), PIECE_PAGES,
						 dirty);
		pfn += PIECE_PAGES;
		cond_resched();
	}
	unpin_user_page_range_dirty_lock(pfn_to_page(pfn), npages, dirty);
}

static inline void unpin_run(unsigned long pfn, unsigned long npages,
			     bool dirty)
{
	struct page *page = pfn_to_page(pfn);

	/* There are many of one page, which most often is dirty already. */
	if (npages == 1 && (!dirty || folio_test_dirty(page_folio(page))))
		unpin_user_page(page);
	else
		unpin_long_run(pfn, npages, dirty);
}

/* The IOVA of what is pinned next */
static u64 next_iova(const struct builder *b)
{
	return uiommu_first(b->m) +
	       ((u64)(b->mapped + b->pinned) << PAGE_SHIFT);
}

/* Pages up to where a huge I/O page ends */
static unsigned long piece_pages(const struct builder *b)
{
	u64 iova = next_iova(b);
	u64 end = ALIGN_DOWN(iova, (u64)PIECE_SIZE) + PIECE_SIZE;

	return min_t(u64, b->m->npages - b->mapped - b->pinned,
		     (end - iova) >> PAGE_SHIFT);
}

/*
 * Has enough been gathered?  Nothing is left to pin, there is no room for single
 * pages, or unmapping makes a cut here: some IOMMU drivers unmap what was mapped
 * at once, whatever they are asked for.
 */
static bool is_enough(const struct builder *b, unsigned long npages)
{
	return !npages || b->nents + npages > b->room ||
	       b->pinned >= GATHER_PAGES ||
	       (b->pinned && !(next_iova(b) & (UIOMMU_UNMAP_STEP - 1)));
}

static unsigned int pin_flags(const struct uiommu_mapping *m)
{
	return FOLL_LONGTERM | (m->write ? FOLL_WRITE : 0);
}

/* -EINTR and -ENOMEM mean what they say. */
static int pin_error(long npinned)
{
	return npinned == -ENOMEM || npinned == -EINTR ? npinned : -EFAULT;
}

/* What is pinned and could not be mapped, because of @ret */
static int give_up(struct builder *b, int ret)
{
	unsigned int i;

	if (ret == -ENOTRECOVERABLE) {
		/* Leaked rather than freed too early, and not refunded. */
		keep_charge(b->m->payer, b->pinned);
		return -EIO;
	}
	for (i = 0; i < b->nents; i++)
		unpin_run(page_to_pfn(sg_page(&b->sg[i])),
			  b->sg[i].length >> PAGE_SHIFT, false);
	return ret;
}

/* Without page faults as far as that goes, see run_length() */
static long pin_piece(unsigned long vaddr, unsigned long npages,
		      unsigned int flags, struct page **pages, bool *once)
{
	long npinned;

	npinned = pin_user_pages_fast(vaddr, npages, flags | FOLL_NOFAULT,
				      pages);
	*once = npinned > 0;
	if (npinned > 0)
		return npinned;
	return pin_user_pages_fast(vaddr, npages, flags, pages);
}

static int pin_all(struct uiommu_space *space, struct builder *b,
		   unsigned long vaddr, struct page **pages)
{
	unsigned int flags = pin_flags(b->m);
	int ret = 0;
	bool once;

	while (!ret && b->mapped < b->m->npages) {
		u64 done = b->mapped + b->pinned;
		long npinned = piece_pages(b);

		if (is_enough(b, npinned)) {
			ret = map_pinned(space, b);
			continue;
		}
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		npinned = pin_piece(vaddr + (done << PAGE_SHIFT), npinned,
				    flags, pages, &once);
		if (npinned > 0)
			add_pinned(b, pages, npinned, once);
		else
			ret = pin_error(npinned);
		cond_resched();
	}
	return give_up(b, ret);
}

/**
 * uiommu_pin - pin the memory of a reserved mapping and map it
 * @space: the address space
 * @m: its record, charged and in state UIOMMU_RESERVED
 * @vaddr: address in the calling process
 *
 * Holds nothing but the reservation while it pins: a fault can sleep for ever.
 *
 * Return: 0, or -EFAULT, -ENOMEM, -EINTR or what the IOMMU says; then some of
 * it may be mapped, and the extents tell how much.
 */
int uiommu_pin(struct uiommu_space *space, struct uiommu_mapping *m,
	       unsigned long vaddr)
{
	struct builder b = {
		.m = m,
		.room = min_t(u64, m->npages, PIECE_PAGES + GATHER_RUNS),
	};
	int ret;

	if (b.room <= SMALL_PAGES) {
		struct page *pages[SMALL_PAGES];
		struct scatterlist sg[SMALL_PAGES] = {};

		b.sg = sg;
		ret = pin_all(space, &b, vaddr, pages);
	} else {
		struct page **pages __free(kvfree) =
			kvmalloc_objs(*pages, min(b.room, PIECE_PAGES),
				      GFP_KERNEL_ACCOUNT);
		struct scatterlist *sg __free(kvfree) =
			kvzalloc_objs(*sg, b.room, GFP_KERNEL_ACCOUNT);

		if (!pages || !sg)
			return -ENOMEM;
		b.sg = sg;
		ret = pin_all(space, &b, vaddr, pages);
	}
	if (b.tail) {
		guard(rwsem_read)(&space->domains_rwsem);
		trim_extents(&b);
	}
	return ret;
}

/* Can two mappings, of memory that ends and begins so, go to the IOMMU as one? */
static bool is_joint(const struct uiommu_mapping *m, struct page *end,
		     const struct uiommu_mapping *next, struct page *page)
{
	return (u64)m->page + m->npages == next->page &&
	       page_to_pfn(end) + 1 != page_to_pfn(page);
}

/*
 * Map what is pinned for records that follow each other in IOVA and nowhere in
 * memory, so that each has its own entries in every domain.
 */
static int map_joint(struct uiommu_space *space, struct uiommu_mapping **m,
		     u32 num, struct page **pages, struct scatterlist *sg)
{
	unsigned long run, left, npages = 0;
	unsigned int nents = 0;
	int ret = 0;
	u32 i;

	guard(rwsem_read)(&space->domains_rwsem);

	for (i = 0; !ret && i < num; i++) {
		struct builder b = { .m = m[i] };

		for (left = m[i]->npages; !ret && left; left -= run) {
			run = run_length(pages, left, false);
			sg[nents] = (struct scatterlist) {};
			sg_set_page(&sg[nents++], *pages, run << PAGE_SHIFT, 0);
			ret = append_extent(&b, page_to_pfn(*pages), run,
					    false);
			pages += run;
		}
		if (b.tail)
			trim_extents(&b);
		npages += m[i]->npages;
	}
	if (!ret)
		ret = uiommu_domains_map(space, uiommu_first(m[0]), sg, nents,
					 (u64)npages << PAGE_SHIFT,
					 m[0]->write);
	for (i = 0; ret && i < num; i++)
		uiommu_extents_free(m[i]);
	return ret;
}

/**
 * uiommu_pin_together - pin the memory of several reserved mappings and map it
 * @space: the address space
 * @m: their records, charged and in state UIOMMU_RESERVED; with the same write
 * @num: number of them
 * @vaddr: address in the calling process of the first; the others follow
 * @npages: pages of all, at most UIOMMU_TOGETHER_PAGES
 * @pages: room for them
 * @sg: as much room
 *
 * None may reach across a multiple of UIOMMU_UNMAP_STEP of IOVA.  No two of them
 * share an I/O page, which could not be unmapped with one of them.
 *
 * Return: as uiommu_pin(); then some of them may be mapped.
 */
int uiommu_pin_together(struct uiommu_space *space, struct uiommu_mapping **m,
			u32 num, unsigned long vaddr, unsigned long npages,
			struct page **pages, struct scatterlist *sg)
{
	unsigned long done = 0, joint;
	int ret = 0;
	u32 i, end;
	long n;

	while (!ret && done < npages) {
		n = pin_user_pages_fast(vaddr + (done << PAGE_SHIFT),
					npages - done, pin_flags(m[0]),
					pages + done);
		if (n > 0)
			done += n;
		else
			ret = pin_error(n);
	}
	for (i = 0; !ret && i < num; i = end) {
		joint = m[i]->npages;
		for (end = i + 1; end < num; end++) {
			if (!is_joint(m[end - 1], pages[joint - 1], m[end],
				      pages[joint]))
				break;
			joint += m[end]->npages;
		}
		ret = map_joint(space, m + i, end - i, pages, sg);
		if (ret == -ENOTRECOVERABLE) {
			/* Leaked, see give_up(). */
			keep_charge(m[0]->payer, joint);
			ret = -EIO;
		} else if (ret) {
			break;
		}
		pages += joint;
		done -= joint;
		cond_resched();
	}
	unpin_user_pages(pages, done);
	return ret;
}

static noinline void unpin_chunks(const struct uiommu_chunk *chunk, bool dirty)
{
	u32 i;

	for (; chunk; chunk = chunk->next) {
		for (i = 0; i < chunk->num; i++)
			unpin_run(uiommu_extent_pfn(chunk->extent[i]),
				  uiommu_extent_pages(chunk->extent[i]), dirty);
		cond_resched();
	}
}

/* Unpin all that @m holds; nothing is mapped any more. */
void uiommu_unpin(struct uiommu_mapping *m)
{
	if (m->num_extents == 1)
		unpin_run(uiommu_extent_pfn(m->extent),
			  uiommu_extent_pages(m->extent), m->write);
	else if (m->num_extents)
		unpin_chunks(m->chunks, m->write);
}

/* Forget what @m holds. */
void uiommu_extents_free(struct uiommu_mapping *m)
{
	struct uiommu_chunk *chunk, *next;

	if (m->num_extents > 1) {
		for (chunk = m->chunks; chunk; chunk = next) {
			next = chunk->next;
			kfree(chunk);
			cond_resched();
		}
	}
	m->num_extents = 0;
}

/**
 * uiommu_fill - map what a record holds into one more domain
 * @domain: has nothing in the range yet
 * @m: the record
 *
 * Context: space->domains_rwsem is held for write.
 * Return: 0, or what the IOMMU says; then nothing of @m is in @domain.
 */
int uiommu_fill(struct uiommu_domain *domain, struct uiommu_mapping *m)
{
	u64 first = uiommu_first(m), iova = first, start = first;
	struct scatterlist sg[SMALL_PAGES] = {};
	struct cursor c = first_extent(m);
	unsigned long pfn = 0, left = 0;
	unsigned int nents = 0;
	uiommu_extent_t extent;
	int ret;

	for (;;) {
		if (!left && next_extent(&c, &extent)) {
			pfn = uiommu_extent_pfn(extent);
			left = uiommu_extent_pages(extent);
		}
		if (left) {
			/* No I/O page across where unmapping makes a cut. */
			u64 room = UIOMMU_UNMAP_STEP -
				   (iova & (UIOMMU_UNMAP_STEP - 1));
			unsigned long n = min_t(u64, left, room >> PAGE_SHIFT);

			sg_set_page(&sg[nents++], pfn_to_page(pfn),
				    n << PAGE_SHIFT, 0);
			iova += (u64)n << PAGE_SHIFT;
			pfn += n;
			left -= n;
			if (nents < SMALL_PAGES &&
			    (iova & (UIOMMU_UNMAP_STEP - 1)))
				continue;
		}
		if (!nents)
			return 0;

		ret = fatal_signal_pending(current) ? -EINTR :
			      uiommu_domain_map(domain, start, sg, nents,
						iova - start, m->write);
		if (ret) {
			uiommu_domain_clear(domain, first, start - first);
			/* What could not be cleared goes with the domain. */
			return ret == -ENOTRECOVERABLE ? -EIO : ret;
		}
		start = iova;
		nents = 0;
		cond_resched();
	}
}
