// SPDX-License-Identifier: GPL-2.0-only
/*
 * A buffer's life: it is held by references, and given back to its pool or heap when the
 * last of these is gone.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "alloc.h"
#include "block.h"
#include "buffer.h"
#include "dmem.h"
#include "pool.h"
#include "quarantine.h"
#include "trace.h"

#ifdef CONFIG_64BIT
static_assert(sizeof(struct cmem_buffer) + sizeof(struct cmem_slot) <=
	      64 + sizeof(struct cmem_dmem_charge));
#endif

/**
 * cmem_buffer_abi_flags - what users are told of a buffer's attributes
 * @buffer: a buffer that the caller holds
 *
 * Return: bits of enum cmem_alloc_flags.
 */
u32 cmem_buffer_abi_flags(const struct cmem_buffer *buffer)
{
	return (READ_ONCE(buffer->flags) & CMEM_BUFFER_ABI) /
	       CMEM_BUFFER_OF_ABI;
}

/**
 * cmem_buffer_last_owner - tell whose a buffer was
 * @buffer: a buffer that was allocated, of a block that is locked
 *
 * Return: the number of the file that allocated it, 0 for one from a DMA-BUF heap.
 */
u64 cmem_buffer_last_owner(const struct cmem_buffer *buffer)
{
	const struct cmem_carved_pool *pool = buffer->pool;
	u64 tag = pool ? pool->slots.slots[buffer - pool->buffers].tag :
			 cmem_heap_buffer(buffer)->tag;

	return tag >> 1;
}

/**
 * cmem_buffer_release - nobody holds a buffer any more
 * @buffer: a buffer of a block that is locked
 *
 * Its memory goes back, or into quarantine.
 */
void cmem_buffer_release(struct cmem_buffer *buffer)
{
	struct cmem_extent extent;

	if ((buffer->flags & CMEM_BUFFER_QUARANTINE) &&
	    (buffer->flags & CMEM_BUFFER_ABANDONED)) {
		cmem_quarantine_add(buffer);
		return;
	}
	if (trace_cmem_release_enabled()) {
		cmem_buffer_locate(buffer, &extent);
		trace_cmem_release(extent.block, extent.start, extent.pages);
	}
	cmem_buffer_return(buffer, buffer->flags & CMEM_BUFFER_SHARED);
}

/**
 * cmem_buffer_put - let go of a buffer
 * @buffer: the buffer
 *
 * May sleep, but not long, and does not fail.
 */
void cmem_buffer_put(struct cmem_buffer *buffer)
{
	struct cmem_block *block = cmem_buffer_block(buffer);

	if (!refcount_dec_and_mutex_lock(&buffer->refs, &block->lock))
		return;

	cmem_buffer_release(buffer);
	mutex_unlock(&block->lock);
}

/**
 * cmem_buffer_share - somebody else can see a buffer now
 * @buffer: a buffer that the caller holds
 */
void cmem_buffer_share(struct cmem_buffer *buffer)
{
	struct cmem_block *block = cmem_buffer_block(buffer);

	mutex_lock(&block->lock);
	buffer->flags |= CMEM_BUFFER_SHARED;
	mutex_unlock(&block->lock);
}

/**
 * cmem_buffer_abandon - somebody who had told a device of a buffer has not freed it
 * @buffer: a buffer that the caller holds
 */
void cmem_buffer_abandon(struct cmem_buffer *buffer)
{
	struct cmem_block *block = cmem_buffer_block(buffer);

	mutex_lock(&block->lock);
	buffer->flags |= CMEM_BUFFER_ABANDONED;
	mutex_unlock(&block->lock);
}
