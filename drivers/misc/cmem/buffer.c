// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lifetime of a buffer: it is refcounted, and returns to its pool or heap with the
 * last reference.
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
 * cmem_buffer_abi_flags - get the attributes of a buffer that the UAPI reports
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
 * cmem_buffer_last_owner - get the owner that allocated a buffer
 * @buffer: a buffer that was allocated, of a locked block
 *
 * Return: the number of the file that allocated it, 0 if it is from a DMA-BUF heap.
 */
u64 cmem_buffer_last_owner(const struct cmem_buffer *buffer)
{
	const struct cmem_carved_pool *pool = buffer->pool;
	u64 tag = pool ? pool->slots.slots[buffer - pool->buffers].tag :
			 cmem_heap_buffer(buffer)->tag;

	return tag >> 1;
}

/**
 * cmem_buffer_release - free a buffer without references, or quarantine it
 * @buffer: a buffer of a locked block
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
 * cmem_buffer_put - drop a reference on a buffer
 * @buffer: the buffer
 *
 * May sleep for a short time. Does not fail.
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
 * cmem_buffer_share - note that others than its owner can see a buffer
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
 * cmem_buffer_abandon - note that a user has not freed a buffer
 * @buffer: a buffer that the caller holds; a device may know its address
 */
void cmem_buffer_abandon(struct cmem_buffer *buffer)
{
	struct cmem_block *block = cmem_buffer_block(buffer);

	mutex_lock(&block->lock);
	buffer->flags |= CMEM_BUFFER_ABANDONED;
	mutex_unlock(&block->lock);
}
