/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's own mapping of a block (alias.c) */
#ifndef _CMEM_ALIAS_H
#define _CMEM_ALIAS_H

#include <linux/types.h>

#include "buffer.h"

typedef void (*cmem_alias_fn)(struct cmem_block *block, void *va,
			      phys_addr_t phys, size_t length, void *arg);

int cmem_alias_init(struct cmem_block *block);
bool cmem_alias_is_uncached(const struct cmem_block *block);
void cmem_alias_exit(struct cmem_block *block);
void __cmem_alias_release(struct cmem_buffer *buffer);
int cmem_alias_for_each(struct cmem_block *block,
			const struct cmem_buffer *buffer, u64 offset,
			u64 length, bool killable, cmem_alias_fn fn, void *arg);

/**
 * cmem_alias_hold - keep a block mapped once it is, for a buffer that becomes cached
 * @block: the block, which is locked
 * @flags: the buffer's
 *
 * Its programs map it cached as well, and who maintains the caches does so often: nobody
 * gains by a kernel that maps it anew each time. It is mapped when there is enough work.
 *
 * Return: what belongs into the buffer's flags as well.
 */
static inline u16 cmem_alias_hold(struct cmem_block *block, u16 flags)
{
	if (!block->alias_on_demand ||
	    !(block->coherent || flags & CMEM_BUFFER_CACHED))
		return 0;
	block->alias_users++;
	return CMEM_BUFFER_ALIASED;
}

/**
 * cmem_alias_release - undo cmem_alias_hold(), if that was done
 * @buffer: a buffer of a block that is locked
 *
 * With the last one the kernel has no mapping of the block any more.
 */
static inline void cmem_alias_release(struct cmem_buffer *buffer)
{
	if (buffer->flags & CMEM_BUFFER_ALIASED)
		__cmem_alias_release(buffer);
}

int cmem_buffer_copy(struct cmem_buffer *buffer, u64 offset, void *data,
		     size_t length, bool write);
void *cmem_buffer_vmap(struct cmem_buffer *buffer);
void cmem_buffer_vunmap(struct cmem_buffer *buffer, void *va);

#endif /* _CMEM_ALIAS_H */
