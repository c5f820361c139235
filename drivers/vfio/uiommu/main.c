// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/uiommu: a file descriptor for an IOMMU address space, and the requests
 * that act on one.
 *
 * Design: original vfio/uiommu, Tom Lyon, Cisco Systems, 2010
 */
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <uapi/linux/uiommu.h>

#include "private.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* Mappings of a batch that are copied in, and unmapped with one sync. */
#define BATCH_ENTRIES	1024

static int ioctl_map(struct uiommu_owner *owner, void __user *uarg)
{
	struct vfio_dma_map arg;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	return uiommu_map_entry(owner, &arg);
}

static int ioctl_map_lowest(struct uiommu_owner *owner, void __user *uarg)
{
	struct uiommu_map __user *answer = uarg;
	struct uiommu_map arg;
	int ret;

	ret = uiommu_copy_arg(&arg, sizeof(arg), UIOMMU_MAP_FLAGS, uarg);
	if (ret)
		return ret;
	if (arg.vaddr > ULONG_MAX)
		return -EINVAL;
	return uiommu_map_lowest(owner, arg.vaddr, arg.length,
				 arg.max ?: U64_MAX, arg.flags, answer);
}

static int ioctl_unmap(struct uiommu_owner *owner, void __user *uarg)
{
	struct vfio_dma_map arg;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (arg.flags & ~(u64)UIOMMU_MAP_FLAGS)
		return -EOPNOTSUPP;
	return uiommu_unmap(owner->space, arg.dmaaddr, arg.size);
}

static int ioctl_batch(struct uiommu_owner *owner, bool map, void __user *uarg)
{
	struct uiommu_batch __user *answer = uarg;
	struct vfio_dma_map __user *from;
	struct uiommu_batch arg;
	u32 size, n;
	int ret;

	ret = uiommu_copy_arg(&arg, sizeof(arg), 0, uarg);
	if (ret)
		return ret;
	if (!arg.num)
		return -EINVAL;
	if (arg.entries > ULONG_MAX)
		return -EFAULT;
	/* Too late to find out when all is done */
	if (put_user(0, &answer->out_done))
		return -EFAULT;
	size = arg.size;
	arg.out_done = 0;
	from = u64_to_user_ptr(arg.entries);

	struct vfio_dma_map *entries __free(kvfree) =
		kvmalloc_objs(*entries, min(arg.num, BATCH_ENTRIES),
			      GFP_KERNEL_ACCOUNT);
	if (!entries)
		return -ENOMEM;

	while (arg.out_done < arg.num && !ret) {
		n = min(arg.num - arg.out_done, BATCH_ENTRIES);
		if (fatal_signal_pending(current))
			ret = -EINTR;
		else if (copy_from_user(entries, from + arg.out_done,
					array_size(n, sizeof(*entries))))
			ret = -EFAULT;
		else if (map)
			ret = uiommu_map_batch(owner, entries, n,
					       &arg.out_done);
		else
			ret = uiommu_unmap_batch(owner, entries, n,
						 &arg.out_done);
	}
	/* Again from the beginning would not be the same. */
	if (ret == -ERESTARTNOINTR && arg.out_done)
		ret = -EINTR;
	if (copy_to_user(uarg, &arg, min_t(size_t, size, sizeof(arg))))
		return -EFAULT;
	return ret;
}

static int ioctl_unmap_all(struct uiommu_owner *owner, void __user *uarg)
{
	struct uiommu_unmap_all __user *answer = uarg;
	struct uiommu_unmap_all arg;
	int ret;

	ret = uiommu_copy_arg(&arg, sizeof(arg), 0, uarg);
	if (ret)
		return ret;
	arg.out_mappings = 0;
	if (put_user(arg.out_mappings, &answer->out_mappings))
		return -EFAULT;
	/* Through a device file only its own, as others of the space may not know. */
	ret = uiommu_unmap_all(owner->space, owner->locked_pages ? owner : NULL,
			       &arg.out_mappings);
	if (put_user(arg.out_mappings, &answer->out_mappings))
		return -EFAULT;
	return ret;
}

/* A copy of the windows, so that none is looked at while they are copied out. */
static struct uiommu_windows *copy_windows(struct uiommu_space *space)
{
	struct uiommu_windows *copy;

	guard(rwsem_read)(&space->domains_rwsem);

	if (!space->windows)
		return uiommu_windows_create(0, U64_MAX, 0);
	copy = kmemdup(space->windows,
		       struct_size(copy, range, space->windows->room),
		       GFP_KERNEL_ACCOUNT);
	return copy;
}

/* Page sizes that every domain has, with the CPU's page as the lowest. */
static u64 page_sizes(struct uiommu_space *space)
{
	struct uiommu_domain *domain;
	u64 sizes = U64_MAX;

	guard(rwsem_read)(&space->domains_rwsem);

	if (list_empty(&space->domains))
		return PAGE_SIZE;
	list_for_each_entry(domain, &space->domains, link)
		sizes &= domain->iommu->pgsize_bitmap;
	return (sizes & PAGE_MASK) | PAGE_SIZE;
}

static int ioctl_info(struct uiommu_owner *owner, void __user *uarg)
{
	struct uiommu_space *space = owner->space;
	struct uiommu_info info;
	size_t room;
	u32 size;
	int ret;

	static_assert(sizeof(struct uiommu_window) ==
		      sizeof(struct uiommu_range));

	ret = uiommu_copy_arg(&info, sizeof(info), 0, uarg);
	if (ret)
		return ret;
	if (info.__reserved)
		return -EINVAL;
	if (info.num_windows && info.windows > ULONG_MAX)
		return -EFAULT;
	size = info.size;

	struct uiommu_windows *windows __free(kfree) = copy_windows(space);
	if (!windows)
		return -ENOMEM;

	room = min(info.num_windows, windows->num);
	if (room && copy_to_user(u64_to_user_ptr(info.windows), windows->range,
				 array_size(room, sizeof(windows->range[0]))))
		return -EFAULT;

	scoped_guard(mutex, &space->iova_lock)
		info.out_mappings = space->num_mappings;
	info.out_page_sizes = page_sizes(space);
	info.out_pinned = (u64)atomic_long_read(&space->pinned) << PAGE_SHIFT;
	info.out_charged = (u64)atomic_long_read(&space->charged) << PAGE_SHIFT;
	info.num_windows = windows->num;
	if (copy_to_user(uarg, &info, min_t(size_t, size, sizeof(info))))
		return -EFAULT;
	return 0;
}

/**
 * uiommu_copy_arg - read the structure of an extensible request
 * @arg: where to; begins with its size and its flags
 * @size: sizeof the structure that this kernel knows
 * @flags: those that the request has
 * @uarg: user address
 *
 * Return: 0, -EFAULT, -EINVAL when it is too short, -E2BIG when it has unknown
 * contents or is longer than a page, -EOPNOTSUPP for an unknown flag.
 */
int uiommu_copy_arg(void *arg, size_t size, u32 flags, void __user *uarg)
{
	u32 user_size;
	int ret;

	if (get_user(user_size, (u32 __user *)uarg))
		return -EFAULT;
	if (user_size < size)
		return -EINVAL;
	if (user_size > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(arg, size, uarg, user_size);
	if (ret)
		return ret;

	/* The first word may have changed since; the size checked counts. */
	((u32 *)arg)[0] = user_size;
	return ((u32 *)arg)[1] & ~flags ? -EOPNOTSUPP : 0;
}
EXPORT_SYMBOL_NS_GPL(uiommu_copy_arg, "UIOMMU");

/**
 * uiommu_ioctl - the requests that act on an address space
 * @owner: the file they were made on
 * @cmd: request number
 * @uarg: user address of its argument
 *
 * For the uiommu file and for the device files of bus drivers.
 *
 * Context: process context, hold nothing.
 * Return: as the request, or -ENOIOCTLCMD when it is none of these.
 */
long uiommu_ioctl(struct uiommu_owner *owner, unsigned int cmd,
		  void __user *uarg)
{
	/* What the process gave up before this is gone. */
	uiommu_watch_flush(owner->space);

	switch (cmd) {
	case VFIO_DMA_MAP_IOVA:
		return ioctl_map(owner, uarg);
	case UIOMMU_MAP:
		return ioctl_map_lowest(owner, uarg);
	case VFIO_DMA_UNMAP:
		return ioctl_unmap(owner, uarg);
	case UIOMMU_INFO:
		return ioctl_info(owner, uarg);
	case UIOMMU_MAP_BATCH:
		return ioctl_batch(owner, true, uarg);
	case UIOMMU_UNMAP_BATCH:
		return ioctl_batch(owner, false, uarg);
	case UIOMMU_UNMAP_ALL:
		return ioctl_unmap_all(owner, uarg);
	default:
		return -ENOIOCTLCMD;
	}
}
EXPORT_SYMBOL_NS_GPL(uiommu_ioctl, "UIOMMU");

/**
 * uiommu_show_fdinfo - what /proc/PID/fdinfo shows of a file and its space
 * @owner: the file
 * @seq: where to
 *
 * Context: may sleep.
 */
void uiommu_show_fdinfo(struct uiommu_owner *owner, struct seq_file *seq)
{
	struct uiommu_space *space = owner->space;

	seq_printf(seq, "mappings:\t%ld\n",
		   atomic_long_read(&owner->num_mappings));
	scoped_guard(mutex, &space->iova_lock)
		seq_printf(seq, "space-mappings:\t%lu\n",
			   space->num_mappings);
	seq_printf(seq, "space-pinned:\t%ld kB\n",
		   atomic_long_read(&space->pinned) << (PAGE_SHIFT - 10));
	seq_printf(seq, "space-charged:\t%ld kB\n",
		   atomic_long_read(&space->charged) << (PAGE_SHIFT - 10));

	guard(rwsem_read)(&space->domains_rwsem);
	seq_printf(seq, "space-groups:\t%zu\n",
		   list_count_nodes(&space->groups));
	seq_printf(seq, "space-domains:\t%zu\n",
		   list_count_nodes(&space->domains));
}
EXPORT_SYMBOL_NS_GPL(uiommu_show_fdinfo, "UIOMMU");

static int uiommu_fops_open(struct inode *inode, struct file *filp)
{
	struct uiommu_events *events = uiommu_events_create();
	struct uiommu_owner *owner = NULL;
	struct uiommu_space *space;

	if (!events)
		return -ENOMEM;
	space = uiommu_space_create();
	if (space) {
		owner = uiommu_owner_create(space, NULL, events);
		uiommu_space_put(space);
	}
	if (!owner) {
		uiommu_events_close(events);
		return -ENOMEM;
	}
	filp->private_data = owner;
	return 0;
}

static int uiommu_fops_release(struct inode *inode, struct file *filp)
{
	struct uiommu_owner *owner = filp->private_data;
	struct uiommu_events *events = owner->events;

	uiommu_owner_destroy(owner);
	uiommu_events_close(events);
	return 0;
}

static long uiommu_fops_ioctl(struct file *filp, unsigned int cmd,
			      unsigned long arg)
{
	struct uiommu_owner *owner = filp->private_data;

	if (cmd == UIOMMU_EVENT_FD)
		return uiommu_events_fd(owner->events, (void __user *)arg);
	return uiommu_ioctl(owner, cmd, (void __user *)arg);
}

static void uiommu_fops_show_fdinfo(struct seq_file *seq, struct file *filp)
{
	uiommu_show_fdinfo(filp->private_data, seq);
}

static const struct file_operations uiommu_fops = {
	.owner = THIS_MODULE,
	.open = uiommu_fops_open,
	.release = uiommu_fops_release,
	.unlocked_ioctl = uiommu_fops_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
	.show_fdinfo = uiommu_fops_show_fdinfo,
};

/**
 * uiommu_space_fdget - the address space behind a file descriptor
 * @fd: of the calling process
 *
 * Return: the space, to be given back with uiommu_space_put(); -EBADF when @fd
 * is not open, -EINVAL when it is no file of /dev/uiommu.
 */
struct uiommu_space *uiommu_space_fdget(int fd)
{
	struct uiommu_owner *owner;

	CLASS(fd, f)(fd);
	if (fd_empty(f))
		return ERR_PTR(-EBADF);
	if (fd_file(f)->f_op != &uiommu_fops)
		return ERR_PTR(-EINVAL);
	owner = fd_file(f)->private_data;
	kref_get(&owner->space->ref);
	return owner->space;
}
EXPORT_SYMBOL_NS_GPL(uiommu_space_fdget, "UIOMMU");

/* For all: without a device it does no more than pin within the memlock limit. */
static struct miscdevice uiommu_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "uiommu",
	.mode = 0666,
	.fops = &uiommu_fops,
};

static int __init uiommu_init(void)
{
	int ret;

	ret = uiommu_records_start();
	if (ret)
		return ret;
	ret = uiommu_watch_start();
	if (ret)
		goto err_records;
	ret = misc_register(&uiommu_misc);
	if (ret)
		goto err_watch;
	return 0;

err_watch:
	uiommu_watch_exit();
err_records:
	uiommu_records_exit();
	return ret;
}
module_init(uiommu_init);

static void __exit uiommu_exit(void)
{
	misc_deregister(&uiommu_misc);
	uiommu_watch_exit();
	uiommu_records_exit();
}
module_exit(uiommu_exit);

MODULE_DESCRIPTION("IOMMU address spaces for user-level drivers");
MODULE_LICENSE("GPL");
