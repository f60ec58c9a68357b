/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints for each change of a buffer's state, and for operations on its memory.
 * phys is a physical address, lengths are in bytes.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM cmem

#if !defined(_CMEM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _CMEM_TRACE_H

#include <linux/tracepoint.h>

#include "buffer.h"
#include "file.h"
#include "vma.h"

/* Let trace-cmd and perf resolve these names. */
TRACE_DEFINE_ENUM(CMEM_BUFFER_LIVE);
TRACE_DEFINE_ENUM(CMEM_BUFFER_CACHED);
TRACE_DEFINE_ENUM(CMEM_BUFFER_PRIVATE);
TRACE_DEFINE_ENUM(CMEM_BUFFER_SHARED);
TRACE_DEFINE_ENUM(CMEM_BUFFER_QUARANTINE);
TRACE_DEFINE_ENUM(CMEM_BUFFER_FAILED);
TRACE_DEFINE_ENUM(CMEM_BUFFER_PAGES);
TRACE_DEFINE_ENUM(CMEM_BUFFER_ABANDONED);
TRACE_DEFINE_ENUM(CMEM_BUFFER_QUARANTINED);
TRACE_DEFINE_ENUM(CMEM_BUFFER_UNSNOOPED);
TRACE_DEFINE_ENUM(CMEM_BUFFER_SNOOPED);
TRACE_DEFINE_ENUM(CMEM_BUFFER_ALIASED);
TRACE_DEFINE_ENUM(CMEM_BUFFER_EXPORTED);
TRACE_DEFINE_ENUM(CMEM_BUFFER_PINNED);
TRACE_DEFINE_ENUM(CMEM_SYNC_WRITE_BACK);
TRACE_DEFINE_ENUM(CMEM_SYNC_INVALIDATE);
TRACE_DEFINE_ENUM(CMEM_SYNC_WRITE_BACK_INVALIDATE);

DECLARE_EVENT_CLASS(cmem_pages,
	TP_PROTO(const struct cmem_block *block, unsigned long start,
		 unsigned long pages),
	TP_ARGS(block, start, pages),
	TP_STRUCT__entry(
		__field(s32, block)
		__field(u64, phys)
		__field(u64, length)
	),
	TP_fast_assign(
		__entry->block = block->id;
		__entry->phys = cmem_block_phys(block, start);
		__entry->length = (u64)pages << PAGE_SHIFT;
	),
	TP_printk("block=%d phys=%#llx length=%#llx",
		  __entry->block, __entry->phys, __entry->length)
);

/* Pages are zeroed, written back and invalidated. */
DEFINE_EVENT(cmem_pages, cmem_scrub,
	TP_PROTO(const struct cmem_block *block, unsigned long start,
		 unsigned long pages),
	TP_ARGS(block, start, pages)
);

/* The last reference on a buffer, or its quarantine, has ended: its pages are free. */
DEFINE_EVENT(cmem_pages, cmem_release,
	TP_PROTO(const struct cmem_block *block, unsigned long start,
		 unsigned long pages),
	TP_ARGS(block, start, pages)
);

/* The last reference has ended, but a user did not free the buffer: it is quarantined. */
DEFINE_EVENT(cmem_pages, cmem_quarantine,
	TP_PROTO(const struct cmem_block *block, unsigned long start,
		 unsigned long pages),
	TP_ARGS(block, start, pages)
);

/* The last reference on a page-backed buffer has ended, but its pages may be in use. */
DEFINE_EVENT(cmem_pages, cmem_pin,
	TP_PROTO(const struct cmem_block *block, unsigned long start,
		 unsigned long pages),
	TP_ARGS(block, start, pages)
);

DECLARE_EVENT_CLASS(cmem_registration,
	TP_PROTO(const struct cmem_file *file, const struct cmem_extent *extent,
		 u16 flags),
	TP_ARGS(file, extent, flags),
	TP_STRUCT__entry(
		__field(u64, owner)
		__field(s32, block)
		__field(s32, pool)
		__field(u64, phys)
		__field(u64, length)
		__field(u16, flags)
	),
	TP_fast_assign(
		__entry->owner = file ? file->owner : 0;
		__entry->block = extent->id;
		__entry->pool = extent->pool;
		__entry->phys = PFN_PHYS(extent->pfn);
		__entry->length = (u64)extent->pages << PAGE_SHIFT;
		__entry->flags = flags;
	),
	TP_printk("owner=%llu block=%d pool=%d phys=%#llx length=%#llx flags=%s",
		  __entry->owner, __entry->block, __entry->pool, __entry->phys,
		  __entry->length,
		  __print_flags(__entry->flags, "|",
				{ CMEM_BUFFER_LIVE, "live" },
				{ CMEM_BUFFER_CACHED, "cached" },
				{ CMEM_BUFFER_PRIVATE, "private" },
				{ CMEM_BUFFER_SHARED, "shared" },
				{ CMEM_BUFFER_QUARANTINE, "quarantine" },
				{ CMEM_BUFFER_FAILED, "failed" },
				{ CMEM_BUFFER_PAGES, "pages" },
				{ CMEM_BUFFER_ABANDONED, "abandoned" },
				{ CMEM_BUFFER_QUARANTINED, "quarantined" },
				{ CMEM_BUFFER_UNSNOOPED, "unsnooped" },
				{ CMEM_BUFFER_SNOOPED, "snooped" },
				{ CMEM_BUFFER_ALIASED, "aliased" },
				{ CMEM_BUFFER_EXPORTED, "exported" },
				{ CMEM_BUFFER_PINNED, "pinned" }))
);

/* A file has allocated a buffer or, with owner 0, a DMA-BUF heap has. */
DEFINE_EVENT(cmem_registration, cmem_alloc,
	TP_PROTO(const struct cmem_file *file, const struct cmem_extent *extent,
		 u16 flags),
	TP_ARGS(file, extent, flags)
);

/* A file has registered for a buffer, maybe again. */
DEFINE_EVENT(cmem_registration, cmem_register,
	TP_PROTO(const struct cmem_file *file, const struct cmem_extent *extent,
		 u16 flags),
	TP_ARGS(file, extent, flags)
);

/* A file has dropped a registration or, when closed, all it had for a buffer. */
DEFINE_EVENT(cmem_registration, cmem_free,
	TP_PROTO(const struct cmem_file *file, const struct cmem_extent *extent,
		 u16 flags),
	TP_ARGS(file, extent, flags)
);

DECLARE_EVENT_CLASS(cmem_mapping,
	TP_PROTO(const struct vm_area_struct *vma),
	TP_ARGS(vma),
	TP_STRUCT__entry(
		__field(unsigned long, address)
		__field(u64, phys)
		__field(u64, length)
	),
	TP_fast_assign(
		__entry->address = vma->vm_start;
		__entry->phys = cmem_vma_phys(vma, vma->vm_start);
		__entry->length = vma->vm_end - vma->vm_start;
	),
	TP_printk("address=%#lx phys=%#llx length=%#llx",
		  __entry->address, __entry->phys, __entry->length)
);

/* A mapping of a buffer is made by mmap(), a split, a move or fork(). */
DEFINE_EVENT(cmem_mapping, cmem_map,
	TP_PROTO(const struct vm_area_struct *vma),
	TP_ARGS(vma)
);

/* A mapping of a buffer ends. */
DEFINE_EVENT(cmem_mapping, cmem_unmap,
	TP_PROTO(const struct vm_area_struct *vma),
	TP_ARGS(vma)
);

/* The caches are maintained over a run of memory, for a program or a device. */
TRACE_EVENT(cmem_sync,
	TP_PROTO(phys_addr_t phys, size_t length, enum cmem_sync_op op),
	TP_ARGS(phys, length, op),
	TP_STRUCT__entry(
		__field(u64, phys)
		__field(u64, length)
		__field(u32, op)
	),
	TP_fast_assign(
		__entry->phys = phys;
		__entry->length = length;
		__entry->op = op;
	),
	TP_printk("phys=%#llx length=%#llx op=%s",
		  __entry->phys, __entry->length,
		  __print_symbolic(__entry->op,
				   { CMEM_SYNC_WRITE_BACK, "write-back" },
				   { CMEM_SYNC_INVALIDATE, "invalidate" },
				   { CMEM_SYNC_WRITE_BACK_INVALIDATE,
				     "write-back-invalidate" }))
);

#endif /* _CMEM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH ../../drivers/misc/cmem
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
