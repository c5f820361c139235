/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints of address spaces.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM uiommu

#if !defined(_UIOMMU_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _UIOMMU_TRACE_H

#include <linux/device.h>
#include <linux/tracepoint.h>

#include "private.h"

DECLARE_EVENT_CLASS(uiommu_mapping,
	TP_PROTO(const struct uiommu_mapping *m),
	TP_ARGS(m),
	TP_STRUCT__entry(
		__field(u64, iova)
		__field(u64, size)
		__field(u32, extents)
		__field(bool, write)
	),
	TP_fast_assign(
		__entry->iova = uiommu_first(m);
		__entry->size = uiommu_size(m);
		__entry->extents = m->num_extents;
		__entry->write = m->write;
	),
	TP_printk("iova=0x%llx size=0x%llx extents=%u write=%d",
		  __entry->iova, __entry->size, __entry->extents,
		  __entry->write)
);

DEFINE_EVENT(uiommu_mapping, uiommu_map,
	TP_PROTO(const struct uiommu_mapping *m), TP_ARGS(m));
DEFINE_EVENT(uiommu_mapping, uiommu_unmap,
	TP_PROTO(const struct uiommu_mapping *m), TP_ARGS(m));
DEFINE_EVENT(uiommu_mapping, uiommu_lost,
	TP_PROTO(const struct uiommu_mapping *m), TP_ARGS(m));

DECLARE_EVENT_CLASS(uiommu_device,
	TP_PROTO(const struct device *dev, int ret),
	TP_ARGS(dev, ret),
	TP_STRUCT__entry(
		__string(name, dev_name(dev))
		__field(int, ret)
	),
	TP_fast_assign(
		__assign_str(name);
		__entry->ret = ret;
	),
	TP_printk("%s ret=%d", __get_str(name), __entry->ret)
);

DEFINE_EVENT(uiommu_device, uiommu_attach,
	TP_PROTO(const struct device *dev, int ret), TP_ARGS(dev, ret));
DEFINE_EVENT(uiommu_device, uiommu_detach,
	TP_PROTO(const struct device *dev, int ret), TP_ARGS(dev, ret));

#endif /* _UIOMMU_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH ../../drivers/vfio/uiommu
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
