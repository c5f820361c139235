// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the users of a device are told: it sleeps, somebody reset it, it failed, it
 * is gone.
 *
 * Design: original vfio/uiommu, Tom Lyon, Cisco Systems, 2010
 */
#include <linux/cleanup.h>
#include <linux/uiommu.h>

#include <uapi/linux/uiommu.h>

#include "private.h"
#include "trace.h"

/**
 * uiommu_pci_tell - tell the users of a device
 * @dev: the device
 * @event: what happened; its sequence is not used
 * @but: the file of who did it and knows, or NULL
 *
 * Context: process context; any lock of the device may be held. Waits for nobody.
 */
void uiommu_pci_tell(struct uiommu_pci *dev, const struct uiommu_event *event,
		     const struct uiommu_pci_file *but)
{
	struct uiommu_pci_file *file;

	trace_uiommu_pci_tell(dev, event->type);

	guard(mutex)(&dev->files_lock);

	list_for_each_entry(file, &dev->files, link) {
		/* Each file counts its own events. */
		struct uiommu_event copy = *event;

		if (file != but && !file->told_gone)
			uiommu_events_post(file->events, &copy);
	}
}

static void tell_gone(struct uiommu_pci_file *file)
{
	struct uiommu_event event = { .type = UIOMMU_EVENT_REMOVED };

	if (file->told_gone)
		return;
	file->told_gone = true;
	uiommu_events_post(file->events, &event);
	uiommu_events_end(file->events);
}

/**
 * uiommu_pci_tell_gone - tell the users of a device that it is gone for good
 * @dev: the device, gone
 */
void uiommu_pci_tell_gone(struct uiommu_pci *dev)
{
	struct uiommu_pci_file *file;

	trace_uiommu_pci_tell(dev, UIOMMU_EVENT_REMOVED);

	guard(mutex)(&dev->files_lock);

	list_for_each_entry(file, &dev->files, link)
		tell_gone(file);
}

/**
 * uiommu_pci_file_add - there is one more file to be told
 * @file: the file
 */
void uiommu_pci_file_add(struct uiommu_pci_file *file)
{
	struct uiommu_pci *dev = file->dev;

	guard(mutex)(&dev->lock);
	guard(mutex)(&dev->files_lock);

	list_add(&file->link, &dev->files);
	/* Others were told before. */
	if (uiommu_pci_gone(dev))
		tell_gone(file);
}

/**
 * uiommu_pci_file_remove - undo uiommu_pci_file_add()
 * @file: the file
 */
void uiommu_pci_file_remove(struct uiommu_pci_file *file)
{
	struct uiommu_pci *dev = file->dev;

	guard(mutex)(&dev->lock);
	guard(mutex)(&dev->files_lock);

	list_del(&file->link);
}
