/* SPDX-License-Identifier: GPL-2.0-only */
/* Cache maintenance of buffers (sync.c) */
#ifndef _CMEM_SYNC_H
#define _CMEM_SYNC_H

#include <linux/types.h>
#include <uapi/linux/cmem.h>

struct cmem_buffer;
struct cmem_file;

bool cmem_buffer_must_sync(const struct cmem_buffer *buffer);
int cmem_buffer_sync(struct cmem_buffer *buffer, u64 offset, u64 length,
		     bool killable, enum cmem_sync_op op);
int cmem_sync_array(struct cmem_file *file, const struct cmem_sync_range *ranges,
		    u32 count);
int cmem_sync_ranges(struct cmem_file *file, const void __user *ranges, u32 count,
		     u32 size);
int cmem_sync_all(struct cmem_file *file, enum cmem_sync_op op);

#endif /* _CMEM_SYNC_H */
