// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that goes away: a mapping ends when its process unmaps or moves any of
 * the memory behind it, or exits.
 *
 * The pages are pinned, so the kernel would not mind if a device went on to use
 * them.  But the process means something else by that address from then on, and
 * a driver that did not see the munmap() of its caller corrupts data.
 *
 * A notifier of the process finds the mappings by address.  It can neither sleep
 * nor fail, so it marks them as lost and leaves the rest to a work item of their
 * address space; every request on the space waits for that first.
 *
 * A page can be pinned until its entry in the page tables is cleared, which is
 * after the notifier ran.  So a mapping is known here before its memory is
 * pinned, and does not come to life if it was lost meanwhile; and it waits for
 * the end of what was under way when it came.
 *
 * A process that exits loses its memory before its files.  The close of the last
 * file stops the device and unmaps; so that no device is cut off in between, what
 * an exit leaves is looked at when the files are closed, and is what others who
 * hold them are left with.
 *
 * Design: original vfio/uiommu, Tom Lyon, Cisco Systems, 2010
 */
#include <linux/atomic.h>
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/interval_tree_generic.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/pid.h>
#include <linux/rbtree_augmented.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/wait_bit.h>

#include "private.h"

/* In the lower bits of uiommu_mapping.va, protected by watch->lock */
#define WATCH_LIVE	BIT(0)	/* with lost_work(), once it is lost */
#define WATCH_LOST	BIT(1)	/* out of the tree */

/* With a rescuer: unmapping gives back memory of processes that were killed. */
static struct workqueue_struct *lost_wq;

/* Watches that are not freed yet */
static atomic_t num_watches = ATOMIC_INIT(0);

/*
 * How long to wait before looking whether a process has closed its files, and how
 * often at most: it can hang there.
 */
#define CLOSING_DELAY	msecs_to_jiffies(10)
#define CLOSING_LOOKS	1000

/* Looks after an exec: it closes files on its way back, and that resets devices. */
#define EXEC_LOOKS	100

/* Mappings that are added, removed or lost with the lock held once. */
#define AT_ONCE		32

/**
 * struct uiommu_watch - the watched mappings of a process
 * @mn: referenced by each payer of the process
 * @ref: of @mn, and of @exit_work while that is to be done
 * @exit_work: what is left when the process exits, or has new memory by exec
 * @pid: that process, which may have files to close
 * @looks: how often @exit_work looked for that
 * @wait: so often it assumes that there are some
 * @lock: protects what follows, and uiommu_mapping.va of @mappings
 * @mappings: by process address; they may overlap
 * @top: the last of the tree
 * @unmapping: munmap() and the like under way
 * @first: first address of all of those
 * @last: last address of all of those
 * @ended: counts how often @unmapping became 0
 * @quiet: woken when it did
 */
struct uiommu_watch {
	struct mmu_notifier mn;
	refcount_t ref;
	struct delayed_work exit_work;
	struct pid *pid;
	unsigned int looks;
	unsigned int wait;
	spinlock_t lock;		/* the tree of mappings */
	struct rb_root_cached mappings;
	struct uiommu_mapping *top;
	unsigned int unmapping;
	unsigned long first;
	unsigned long last;
	unsigned long ended;
	wait_queue_head_t quiet;
};

static unsigned long first_va(const struct uiommu_mapping *m)
{
	return m->va & PAGE_MASK;
}

static unsigned long last_va(const struct uiommu_mapping *m)
{
	return first_va(m) + (unsigned long)uiommu_size(m) - 1;
}

INTERVAL_TREE_DEFINE(struct uiommu_mapping, va_node, unsigned long,
		     va_subtree_last, first_va, last_va, static inline,
		     va_tree)

/* As va_tree_insert(), but at once for those who go upwards. */
static void insert(struct uiommu_watch *watch, struct uiommu_mapping *m)
{
	struct uiommu_mapping *top = watch->top, *up;
	unsigned long last = last_va(m);
	struct rb_node *node;

	if (!top || first_va(m) < first_va(top)) {
		va_tree_insert(m, &watch->mappings);
		if (!top)
			watch->top = m;
		return;
	}
	for (node = &top->va_node; node; node = rb_parent(node)) {
		up = rb_entry(node, struct uiommu_mapping, va_node);
		if (up->va_subtree_last >= last)
			break;
		up->va_subtree_last = last;
	}
	m->va_subtree_last = last;
	rb_link_node(&m->va_node, &top->va_node, &top->va_node.rb_right);
	rb_insert_augmented_cached(&m->va_node, &watch->mappings, false,
				   &va_tree_augment);
	watch->top = m;
}

static void remove(struct uiommu_watch *watch, struct uiommu_mapping *m)
{
	struct rb_node *node;

	if (m == watch->top) {
		node = rb_prev(&m->va_node);
		watch->top = rb_entry_safe(node, struct uiommu_mapping,
					   va_node);
	}
	va_tree_remove(m, &watch->mappings);
}

static struct uiommu_watch *to_watch(struct mmu_notifier *mn)
{
	return container_of(mn, struct uiommu_watch, mn);
}

static void lose(struct uiommu_watch *watch, struct uiommu_mapping *m)
{
	struct uiommu_space *space = m->payer->owner->space;

	remove(watch, m);
	m->va |= WATCH_LOST;
	if (!(m->va & WATCH_LIVE))
		return;		/* who makes it will see */
	atomic_long_inc(&space->num_lost);
	llist_add(&m->lost, &space->lost);
	queue_work(lost_wq, &space->lost_work);
}

/* Lose some of a range; true when there can be more. */
static bool lose_some(struct uiommu_watch *watch, unsigned long first,
		      unsigned long last)
{
	struct uiommu_mapping *m;
	unsigned int i;

	guard(spinlock)(&watch->lock);

	for (i = 0; i < AT_ONCE; i++) {
		m = va_tree_iter_first(&watch->mappings, first, last);
		if (!m)
			return false;
		lose(watch, m);
	}
	return true;
}

static int watch_start(struct mmu_notifier *mn,
		       const struct mmu_notifier_range *range)
{
	struct uiommu_watch *watch = to_watch(mn);
	unsigned long first = range->start, last = range->end - 1;

	/* Whatever else changes page tables, the memory remains. */
	if (range->event != MMU_NOTIFY_UNMAP)
		return 0;

	scoped_guard(spinlock, &watch->lock) {
		if (!watch->unmapping++) {
			watch->first = first;
			watch->last = last;
		} else {
			watch->first = min(watch->first, first);
			watch->last = max(watch->last, last);
		}
	}
	while (lose_some(watch, first, last))
		if (mmu_notifier_range_blockable(range))
			cond_resched();
	return 0;
}

static void watch_end(struct mmu_notifier *mn,
		      const struct mmu_notifier_range *range)
{
	struct uiommu_watch *watch = to_watch(mn);

	if (range->event != MMU_NOTIFY_UNMAP)
		return;

	guard(spinlock)(&watch->lock);

	if (!--watch->unmapping) {
		WRITE_ONCE(watch->ended, watch->ended + 1);
		wake_up_all(&watch->quiet);
	}
}

static void put_watch(struct uiommu_watch *watch)
{
	if (!refcount_dec_and_test(&watch->ref))
		return;
	put_pid(watch->pid);
	kfree(watch);
	if (atomic_dec_and_test(&num_watches))
		wake_up_var(&num_watches);
}

static bool is_idle(struct uiommu_watch *watch)
{
	guard(spinlock)(&watch->lock);
	return RB_EMPTY_ROOT(&watch->mappings.rb_root);
}

/* Can the process that exits or becomes another program have files to close? */
static bool is_closing(struct uiommu_watch *watch)
{
	struct task_struct *process, *thread;

	if (watch->looks++ > CLOSING_LOOKS)
		return false;

	guard(rcu)();

	process = pid_task(watch->pid, PIDTYPE_TGID);
	if (!process)
		return false;
	for_each_thread(process, thread) {
		/* Looked at again when it is too early or too late. */
		if (data_race(thread->in_execve != 0)) {
			watch->wait = watch->looks + EXEC_LOOKS;
			return true;
		}
		if (!atomic_read(&process->signal->live) &&
		    !READ_ONCE(thread->exit_state))
			return true;
	}
	return watch->looks < watch->wait;
}

static void exit_work(struct work_struct *work)
{
	struct uiommu_watch *watch = container_of(to_delayed_work(work),
						  struct uiommu_watch,
						  exit_work);

	if (!is_idle(watch) && is_closing(watch)) {
		queue_delayed_work(lost_wq, &watch->exit_work, CLOSING_DELAY);
		return;
	}
	while (lose_some(watch, 0, ULONG_MAX))
		cond_resched();
	put_watch(watch);
}

static void watch_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct uiommu_watch *watch = to_watch(mn);

	if (is_idle(watch))
		return;
	/* Others can share its memory, or be the last to let go of it. */
	if (current->flags & PF_EXITING || current->in_execve) {
		put_pid(watch->pid);
		watch->pid = get_task_pid(current, PIDTYPE_TGID);
	}
	if (current->in_execve)
		watch->wait = EXEC_LOOKS;
	refcount_inc(&watch->ref);
	queue_delayed_work(lost_wq, &watch->exit_work, CLOSING_DELAY);
}

static struct mmu_notifier *watch_alloc(struct mm_struct *mm)
{
	struct uiommu_watch *watch;

	watch = kzalloc_obj(*watch, GFP_KERNEL_ACCOUNT);
	if (!watch)
		return ERR_PTR(-ENOMEM);
	atomic_inc(&num_watches);
	refcount_set(&watch->ref, 1);
	INIT_DELAYED_WORK(&watch->exit_work, exit_work);
	watch->pid = get_task_pid(current, PIDTYPE_TGID);
	spin_lock_init(&watch->lock);
	watch->mappings = RB_ROOT_CACHED;
	init_waitqueue_head(&watch->quiet);
	return &watch->mn;
}

static void watch_free(struct mmu_notifier *mn)
{
	put_watch(to_watch(mn));
}

static const struct mmu_notifier_ops watch_ops = {
	.release = watch_release,
	.invalidate_range_start = watch_start,
	.invalidate_range_end = watch_end,
	.alloc_notifier = watch_alloc,
	.free_notifier = watch_free,
};

/* The watch of the calling process, which @payer then has. */
static struct uiommu_watch *get_watch(struct uiommu_payer *payer)
{
	struct uiommu_watch *watch = READ_ONCE(payer->watch), *others;
	struct mmu_notifier *mn;

	if (watch)
		return watch;
	mn = mmu_notifier_get(&watch_ops, current->mm);
	if (IS_ERR(mn)) {
		/* It gives way to any signal. */
		if (PTR_ERR(mn) == -EINTR && !fatal_signal_pending(current))
			return ERR_PTR(-ERESTARTNOINTR);
		return ERR_CAST(mn);
	}
	watch = to_watch(mn);
	/* Another thread of the process may have been faster. */
	others = cmpxchg(&payer->watch, NULL, watch);
	if (others)
		mmu_notifier_put(mn);
	return others ?: watch;
}

/**
 * uiommu_watch_put - a payer is done with a watch
 * @watch: the watch, or NULL
 */
void uiommu_watch_put(struct uiommu_watch *watch)
{
	if (watch)
		mmu_notifier_put(&watch->mn);
}

static int begin_some(struct uiommu_watch *watch, struct uiommu_mapping **m,
		      u32 num)
{
	unsigned long ended;
	bool wait = false;
	u32 i;

	scoped_guard(spinlock, &watch->lock) {
		for (i = 0; i < num; i++) {
			insert(watch, m[i]);
			wait |= first_va(m[i]) <= watch->last &&
				last_va(m[i]) >= watch->first;
		}
		wait &= !!watch->unmapping;
		ended = watch->ended;
	}
	if (!wait)
		return 0;
	return wait_event_killable(watch->quiet,
				   READ_ONCE(watch->ended) != ended) ?
		       -EINTR : 0;
}

/**
 * uiommu_watch_begin - watch the memory of mappings that are being made
 * @m: their records, watched, of one payer, with their process address in va
 * @num: number of them
 *
 * Context: process context, hold nothing; before any of it is pinned.
 * Return: 0, -ENOMEM without memory, -EINTR when killed, -ERESTARTNOINTR when a
 * signal came.  After an error none is watched.
 */
int uiommu_watch_begin(struct uiommu_mapping **m, u32 num)
{
	struct uiommu_watch *watch = get_watch(m[0]->payer);
	u32 i, n;
	int ret;

	if (IS_ERR(watch))
		return PTR_ERR(watch);

	for (i = 0; i < num; i += n) {
		n = min(num - i, AT_ONCE);
		ret = begin_some(watch, m + i, n);
		if (ret) {
			uiommu_watch_abort(m, i + n);
			return ret;
		}
	}
	return 0;
}

/**
 * uiommu_watch_live - mappings are complete
 * @m: their records, as for uiommu_watch_begin()
 * @num: number of them
 *
 * Context: space->iova_lock is held, and they are LIVE when it is released.
 * Return: the first of which some memory went away meanwhile, or @num; it and the
 * following ones are not to be LIVE.
 */
u32 uiommu_watch_live(struct uiommu_mapping **m, u32 num)
{
	u32 i;

	guard(spinlock)(&m[0]->payer->watch->lock);

	for (i = 0; i < num && !(m[i]->va & WATCH_LOST); i++)
		m[i]->va |= WATCH_LIVE;
	return i;
}

/**
 * uiommu_watch_abort - watch mappings no longer that are not going to be LIVE
 * @m: their records, as for uiommu_watch_begin()
 * @num: number of them
 */
void uiommu_watch_abort(struct uiommu_mapping **m, u32 num)
{
	struct uiommu_watch *watch = m[0]->payer->watch;
	u32 i, n;

	for (; num; num -= n, m += n) {
		n = min(num, AT_ONCE);
		guard(spinlock)(&watch->lock);
		for (i = 0; i < n; i++)
			if (!(m[i]->va & WATCH_LOST))
				remove(watch, m[i]);
	}
}

/**
 * uiommu_watch_end - watch the memory of mappings no longer
 * @m: their records, watched and published. Those of which some memory went away,
 *	which are for lost_work() to unmap, are replaced by NULL.
 * @num: number of them
 *
 * Context: space->iova_lock is held.
 */
void uiommu_watch_end(struct uiommu_mapping **m, u32 num)
{
	struct uiommu_watch *watch;
	u32 i = 0;

	while (i < num) {
		watch = m[i]->payer->watch;
		guard(spinlock)(&watch->lock);
		for (; i < num && m[i]->payer->watch == watch; i++) {
			if (m[i]->va & WATCH_LOST) {
				m[i]->state = UIOMMU_LIVE;
				m[i] = NULL;
			} else {
				remove(watch, m[i]);
			}
		}
	}
}

static void lost_work(struct work_struct *work)
{
	struct uiommu_space *space = container_of(work, struct uiommu_space,
						  lost_work);
	struct llist_node *lost = llist_del_all(&space->lost);
	struct uiommu_mapping *m, *next, *list = NULL;
	long num = 0;

	scoped_guard(mutex, &space->iova_lock) {
		llist_for_each_entry_safe(m, next, lost, lost) {
			/* The notifier may still be about to queue this work. */
			spin_lock(&m->payer->watch->lock);
			spin_unlock(&m->payer->watch->lock);
			m->state = UIOMMU_DYING;
			m->gone = true;
			m->next = list;
			list = m;
			num++;
			cond_resched();
		}
	}
	uiommu_destroy(space, list);
	/* The owner can be gone; uiommu_watch_stop() waits for us. */
	atomic_long_sub(num, &space->num_lost);
}

/**
 * uiommu_watch_init - what a new space needs to lose mappings
 * @space: the space
 */
void uiommu_watch_init(struct uiommu_space *space)
{
	init_llist_head(&space->lost);
	INIT_WORK(&space->lost_work, lost_work);
}

/**
 * uiommu_watch_flush - wait until mappings whose memory went away are gone
 * @space: the space
 *
 * Context: may sleep; holds nothing of the space.
 * Return: whether there were some.
 */
bool uiommu_watch_flush(struct uiommu_space *space)
{
	if (!atomic_long_read(&space->num_lost))
		return false;
	flush_work(&space->lost_work);
	return true;
}

/**
 * uiommu_watch_stop - a space without mappings is about to be freed
 * @space: the space
 */
void uiommu_watch_stop(struct uiommu_space *space)
{
	flush_work(&space->lost_work);
}

/**
 * uiommu_watch_start - before the first space
 *
 * Return: 0, -ENOMEM.
 */
int __init uiommu_watch_start(void)
{
	lost_wq = alloc_workqueue("uiommu", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return lost_wq ? 0 : -ENOMEM;
}

/**
 * uiommu_watch_exit - after the last space: wait for all that is called back
 */
void uiommu_watch_exit(void)
{
	mmu_notifier_synchronize();
	/*
	 * No mapping is left that an exit_work() would wait for. Watches are freed
	 * with bottom halves off, so that modules are not before that returns.
	 */
	wait_var_event(&num_watches, !atomic_read(&num_watches));
	destroy_workqueue(lost_wq);
}
