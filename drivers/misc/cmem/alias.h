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
 * cmem_alias_hold - let a cached buffer keep its block's alias, once there is one
 * @block: the block, locked
 * @flags: flags of the buffer, which is being allocated
 *
 * Programs map the buffer cached as well, and maintain its caches often. Mapping it anew
 * each time would gain nothing. The alias is made once there is enough work.
 *
 * Return: flags to add to the buffer's flags.
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
 * cmem_alias_release - undo cmem_alias_hold(), if it returned a flag
 * @buffer: a buffer of a locked block
 *
 * The last user of the alias unmaps it.
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
