/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kernel API of user-level IOMMU address spaces, for bus drivers.
 *
 * Design: original vfio/uiommu, Tom Lyon, Cisco Systems, 2010
 */
#ifndef _LINUX_UIOMMU_H
#define _LINUX_UIOMMU_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/types.h>

struct device;
struct seq_file;
struct uiommu_event;
struct uiommu_events;
struct uiommu_owner;
struct uiommu_space;

/*
 * A device's way through this API, in order, each step undone by the other one
 * of its line:
 *
 *	uiommu_claim()		uiommu_release()
 *	uiommu_space_fdget()	uiommu_space_put()
 *	uiommu_attach()		uiommu_detach()
 *	uiommu_owner_create()	uiommu_owner_destroy()
 */

int uiommu_claim(struct device *dev);
void uiommu_release(struct device *dev);

struct uiommu_space *uiommu_space_fdget(int fd);
void uiommu_space_get(struct uiommu_space *space);
void uiommu_space_put(struct uiommu_space *space);

int uiommu_attach(struct uiommu_space *space, struct device *dev);
void uiommu_detach(struct uiommu_space *space, struct device *dev);

struct uiommu_events *uiommu_events_create(void);
void uiommu_events_end(struct uiommu_events *events);
void uiommu_events_close(struct uiommu_events *events);
void uiommu_events_post(struct uiommu_events *events,
			struct uiommu_event *event);
int uiommu_events_fd(struct uiommu_events *events, void __user *uarg);

struct uiommu_owner *uiommu_owner_create(struct uiommu_space *space,
					 atomic_long_t *locked_pages,
					 struct uiommu_events *events);
void uiommu_owner_destroy(struct uiommu_owner *owner);
bool uiommu_owner_idle(struct uiommu_owner *owner);

/* Flags of uiommu_map() */
#define UIOMMU_WRITE	BIT(0)
#define UIOMMU_KEEP	BIT(1)

int uiommu_map(struct uiommu_owner *owner, unsigned long vaddr, u64 iova,
	       u64 size, unsigned int flags);
int uiommu_unmap(struct uiommu_space *space, u64 iova, u64 size);

int uiommu_copy_arg(void *arg, size_t size, u32 flags, void __user *uarg);
long uiommu_ioctl(struct uiommu_owner *owner, unsigned int cmd,
		  void __user *uarg);
void uiommu_show_fdinfo(struct uiommu_owner *owner, struct seq_file *seq);
bool uiommu_isolated_msi(struct device *dev);

#endif /* _LINUX_UIOMMU_H */
