// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events: what a process is told without having asked, by file descriptors of
 * their own, so that a thread can wait for them.
 *
 * Each descriptor has a queue of fixed size.  Who has something to tell never
 * waits for those who read: what does not fit is counted and told as such.
 *
 * Design: original vfio/uiommu, Tom Lyon, Cisco Systems, 2010
 */
#include <linux/anon_inodes.h>
#include <linux/cleanup.h>
#include <linux/cred.h>
#include <linux/export.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/sched/user.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uio.h>

#include <uapi/linux/uiommu.h>

#include "private.h"

#define DEFAULT_ROOM	256

/* An event takes time for each. */
#define MAX_QUEUES	64

/**
 * struct uiommu_events - what is told to the users of a file
 * @ref: the file, and each queue
 * @lock: protects what follows, and the queues but for their reader
 * @queues: struct queue
 * @num_queues: number of them
 * @sequence: of the last event
 * @closed: there will be no more
 */
struct uiommu_events {
	struct kref ref;
	spinlock_t lock;		/* the queues */
	struct list_head queues;
	unsigned int num_queues;
	u64 sequence;
	bool closed;
};

/**
 * struct queue - what one event file descriptor was not asked for yet
 * @link: on events->queues
 * @events: referenced
 * @user: referenced, charged for the memory
 * @read_lock: held by who takes from the queue
 * @wait: woken when there is something to read
 * @missed: events that did not fit and were not told yet
 * @room: entries of @ring, at least 2
 * @first: the oldest one
 * @num: used ones
 * @ring: the events
 */
struct queue {
	struct list_head link;
	struct uiommu_events *events;
	struct user_struct *user;
	struct mutex read_lock;		/* the head of the ring */
	wait_queue_head_t wait;
	u64 missed;
	u32 room;
	u32 first;
	u32 num;
	struct uiommu_event ring[] __counted_by(room);
};

static void push(struct queue *q, const struct uiommu_event *event)
{
	u32 i = q->first + q->num++;

	q->ring[i < q->room ? i : i - q->room] = *event;
}

/* Say how many are missing, up to @last, where they are. */
static void push_missed(struct queue *q, u64 last)
{
	struct uiommu_event event = {
		.type = UIOMMU_EVENT_OVERFLOW,
		.sequence = last,
		.length = q->missed,
	};

	if (!q->missed)
		return;
	q->missed = 0;
	push(q, &event);
}

static void tell(struct queue *q, const struct uiommu_event *event)
{
	if (q->num + 1 + !!q->missed > q->room) {
		q->missed++;
	} else {
		push_missed(q, event->sequence - 1);
		push(q, event);
	}
	wake_up_poll(&q->wait, EPOLLIN | EPOLLRDNORM);
}

/**
 * uiommu_events_post - tell an event
 * @events: of the file whose users are told
 * @event: the event; its sequence is filled in
 *
 * Context: process context; any lock but those of wait queues may be held.
 */
void uiommu_events_post(struct uiommu_events *events,
			struct uiommu_event *event)
{
	struct queue *q;

	guard(spinlock)(&events->lock);

	event->sequence = ++events->sequence;
	list_for_each_entry(q, &events->queues, link)
		tell(q, event);
}
EXPORT_SYMBOL_NS_GPL(uiommu_events_post, "UIOMMU");

/* The number of the last event */
u64 uiommu_events_sequence(struct uiommu_events *events)
{
	guard(spinlock)(&events->lock);
	return events->sequence;
}

static void free_events(struct kref *ref)
{
	kfree(container_of(ref, struct uiommu_events, ref));
}

/**
 * uiommu_events_create - what the users of a new file are going to be told
 *
 * Return: to be given to uiommu_events_close(), or NULL without memory.
 */
struct uiommu_events *uiommu_events_create(void)
{
	struct uiommu_events *events;

	events = kzalloc_obj(*events, GFP_KERNEL_ACCOUNT);
	if (!events)
		return NULL;
	kref_init(&events->ref);
	spin_lock_init(&events->lock);
	INIT_LIST_HEAD(&events->queues);
	return events;
}
EXPORT_SYMBOL_NS_GPL(uiommu_events_create, "UIOMMU");

/**
 * uiommu_events_end - the end of what there is to tell
 * @events: of the file whose users are told
 *
 * They read the rest and then the end of the file, and hear of a hang-up.
 */
void uiommu_events_end(struct uiommu_events *events)
{
	struct queue *q;

	guard(spinlock)(&events->lock);

	events->closed = true;
	list_for_each_entry(q, &events->queues, link)
		wake_up_all(&q->wait);
}
EXPORT_SYMBOL_NS_GPL(uiommu_events_end, "UIOMMU");

/**
 * uiommu_events_close - the file is closed: who listens is told no more
 * @events: not to be used any more
 */
void uiommu_events_close(struct uiommu_events *events)
{
	uiommu_events_end(events);
	kref_put(&events->ref, free_events);
}
EXPORT_SYMBOL_NS_GPL(uiommu_events_close, "UIOMMU");

/* The oldest event stays where it is until drop_first(). */
static bool peek(struct queue *q, struct uiommu_event *event)
{
	guard(spinlock)(&q->events->lock);

	if (!q->num)
		push_missed(q, q->events->sequence);
	if (!q->num)
		return false;
	*event = q->ring[q->first];
	return true;
}

static void drop_first(struct queue *q)
{
	guard(spinlock)(&q->events->lock);

	if (++q->first == q->room)
		q->first = 0;
	q->num--;
}

static __poll_t readable(struct queue *q)
{
	__poll_t mask = 0;

	guard(spinlock)(&q->events->lock);

	if (q->num || q->missed)
		mask |= EPOLLIN | EPOLLRDNORM;
	if (q->events->closed)
		mask |= EPOLLHUP;
	return mask;
}

static bool is_closed(struct queue *q)
{
	return readable(q) == EPOLLHUP;
}

/* As many as there are and fit in; @q->read_lock is held. */
static ssize_t take(struct queue *q, struct iov_iter *to)
{
	struct uiommu_event event;
	ssize_t done = 0;
	size_t n;

	while (iov_iter_count(to) >= sizeof(event) && peek(q, &event)) {
		n = copy_to_iter(&event, sizeof(event), to);
		if (n != sizeof(event)) {
			iov_iter_revert(to, n);
			return done ?: -EFAULT;
		}
		drop_first(q);
		done += n;
	}
	return done;
}

static ssize_t event_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct queue *q = iocb->ki_filp->private_data;
	bool nowait = iocb->ki_filp->f_flags & O_NONBLOCK ||
		      iocb->ki_flags & IOCB_NOWAIT;
	ssize_t done;

	if (iov_iter_count(to) < sizeof(struct uiommu_event))
		return -EINVAL;
	for (;;) {
		/* Another reader may be at it: not the same as no event. */
		if (iocb->ki_flags & IOCB_NOWAIT) {
			if (!mutex_trylock(&q->read_lock))
				return -EAGAIN;
		} else if (mutex_lock_interruptible(&q->read_lock)) {
			return -ERESTARTSYS;
		}
		done = take(q, to);
		mutex_unlock(&q->read_lock);
		if (done || is_closed(q))
			return done;
		if (nowait)
			return -EAGAIN;
		if (wait_event_interruptible(q->wait, readable(q)))
			return -ERESTARTSYS;
	}
}

static __poll_t event_poll(struct file *filp, struct poll_table_struct *table)
{
	struct queue *q = filp->private_data;

	poll_wait(filp, &q->wait, table);
	return readable(q);
}

static unsigned long queue_pages(u32 room)
{
	return PFN_UP(struct_size_t(struct queue, ring, room));
}

static void free_queue(struct queue *q)
{
	atomic_long_sub(queue_pages(q->room), &q->user->locked_vm);
	free_uid(q->user);
	kref_put(&q->events->ref, free_events);
	mutex_destroy(&q->read_lock);
	kvfree(q);
}

static bool add_queue(struct uiommu_events *events, struct queue *q)
{
	guard(spinlock)(&events->lock);

	if (events->num_queues == MAX_QUEUES)
		return false;
	events->num_queues++;
	list_add_tail(&q->link, &events->queues);
	return true;
}

static void remove_queue(struct queue *q)
{
	scoped_guard(spinlock, &q->events->lock) {
		list_del(&q->link);
		q->events->num_queues--;
	}
	free_queue(q);
}

static int event_release(struct inode *inode, struct file *filp)
{
	remove_queue(filp->private_data);
	return 0;
}

static const struct file_operations event_fops = {
	.owner = THIS_MODULE,
	.release = event_release,
	.read_iter = event_read_iter,
	.poll = event_poll,
	.llseek = noop_llseek,
};

static struct queue *create_queue(struct uiommu_events *events, u32 room)
{
	struct queue *q;

	if (uiommu_charge_user(current_user(), queue_pages(room)))
		return NULL;
	q = kvzalloc_flex(*q, ring, room, GFP_KERNEL_ACCOUNT);
	if (!q) {
		atomic_long_sub(queue_pages(room), &current_user()->locked_vm);
		return NULL;
	}
	q->room = room;
	q->user = get_uid(current_user());
	kref_get(&events->ref);
	q->events = events;
	mutex_init(&q->read_lock);
	init_waitqueue_head(&q->wait);
	return q;
}

/**
 * uiommu_events_fd - UIOMMU_EVENT_FD: a file descriptor to read events from
 * @events: of the file that was asked
 * @uarg: user address of struct uiommu_event_fd
 *
 * Context: process context, hold nothing.
 * Return: the descriptor, -EFAULT, -EINVAL, -E2BIG, -EOPNOTSUPP, -ENOMEM, -EBUSY,
 * -EMFILE, -ENFILE.
 */
int uiommu_events_fd(struct uiommu_events *events, void __user *uarg)
{
	struct uiommu_event_fd arg;
	struct queue *q;
	int ret;

	ret = uiommu_copy_arg(&arg, sizeof(arg), 0, uarg);
	if (ret)
		return ret;
	if (arg.__reserved || arg.num == 1 || arg.num > UIOMMU_EVENTS_MAX)
		return -EINVAL;

	q = create_queue(events, arg.num ?: DEFAULT_ROOM);
	if (!q)
		return -ENOMEM;
	if (!add_queue(events, q)) {
		free_queue(q);
		return -EBUSY;
	}
	FD_PREPARE(fdf, O_CLOEXEC,
		   anon_inode_getfile_fmode("[uiommu-events]", &event_fops, q,
					    O_RDONLY, FMODE_NOWAIT));
	if (fdf.err) {
		remove_queue(q);
		return fdf.err;
	}
	return fd_publish(fdf);
}
EXPORT_SYMBOL_NS_GPL(uiommu_events_fd, "UIOMMU");
