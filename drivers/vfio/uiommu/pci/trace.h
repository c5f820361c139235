/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints of PCI devices.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM uiommu_pci

#if !defined(_UIOMMU_PCI_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _UIOMMU_PCI_TRACE_H

#include <linux/pci.h>
#include <linux/tracepoint.h>

#include "private.h"

DECLARE_EVENT_CLASS(uiommu_pci,
	TP_PROTO(const struct uiommu_pci *dev, int value),
	TP_ARGS(dev, value),
	TP_STRUCT__entry(
		__string(name, pci_name(dev->pdev))
		__field(int, value)
	),
	TP_fast_assign(
		__assign_str(name);
		__entry->value = value;
	),
	TP_printk("%s %d", __get_str(name), __entry->value)
);

/* The number of open files after it, or an error */
DEFINE_EVENT(uiommu_pci, uiommu_pci_open,
	TP_PROTO(const struct uiommu_pci *dev, int value), TP_ARGS(dev, value));
/* The number of open files after it */
DEFINE_EVENT(uiommu_pci, uiommu_pci_close,
	TP_PROTO(const struct uiommu_pci *dev, int value), TP_ARGS(dev, value));
/* 0 or an error */
DEFINE_EVENT(uiommu_pci, uiommu_pci_reset,
	TP_PROTO(const struct uiommu_pci *dev, int value), TP_ARGS(dev, value));
/* The vector */
DEFINE_EVENT(uiommu_pci, uiommu_pci_irq,
	TP_PROTO(const struct uiommu_pci *dev, int value), TP_ARGS(dev, value));
/* enum uiommu_event_type: what users are told */
DEFINE_EVENT(uiommu_pci, uiommu_pci_tell,
	TP_PROTO(const struct uiommu_pci *dev, int value), TP_ARGS(dev, value));

TRACE_EVENT(uiommu_pci_gate,
	TP_PROTO(const struct uiommu_pci *dev),
	TP_ARGS(dev),
	TP_STRUCT__entry(
		__string(name, pci_name(dev->pdev))
		__field(unsigned int, gated)
	),
	TP_fast_assign(
		__assign_str(name);
		__entry->gated = dev->gated;
	),
	TP_printk("%s %s", __get_str(name),
		  __print_flags(__entry->gated, "|",
				{ UIOMMU_PCI_GONE, "gone" },
				{ UIOMMU_PCI_ERROR, "error" },
				{ UIOMMU_PCI_RESET, "reset" },
				{ UIOMMU_PCI_MEMOFF, "memoff" },
				{ UIOMMU_PCI_UNSET, "unset" },
				{ UIOMMU_PCI_D3, "d3" },
				{ UIOMMU_PCI_SLEEP, "sleep" }))
);

/* A write to config space with bits that are not the user's to change */
TRACE_EVENT_CONDITION(uiommu_pci_config_denied,
	TP_PROTO(const struct uiommu_pci *dev, unsigned int pos, u32 val,
		 u32 denied),
	TP_ARGS(dev, pos, val, denied),
	TP_CONDITION(val & denied),
	TP_STRUCT__entry(
		__string(name, pci_name(dev->pdev))
		__field(u32, pos)
		__field(u32, val)
		__field(u32, denied)
	),
	TP_fast_assign(
		__assign_str(name);
		__entry->pos = pos;
		__entry->val = val;
		__entry->denied = denied;
	),
	TP_printk("%s pos=0x%x val=0x%x denied=0x%x", __get_str(name),
		  __entry->pos, __entry->val, __entry->val & __entry->denied)
);

#endif /* _UIOMMU_PCI_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH ../../drivers/vfio/uiommu/pci
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
