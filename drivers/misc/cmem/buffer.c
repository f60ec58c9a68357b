// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lifetime of a buffer: it is allocated, refcounted, and returns to its pool or heap
 * with the last reference.
 */
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "alloc.h"
#include "block.h"
#include "buffer.h"
#include "dmem.h"
#include "file.h"
#include "pins.h"
#include "pool.h"
#include "quarantine.h"
#include "quota.h"
#include "trace.h"

#ifdef CONFIG_64BIT
static_assert(sizeof(struct cmem_buffer) + sizeof(struct cmem_slot) <=
	      64 + sizeof(struct cmem_dmem_charge));
#endif

/*
 * Repeat an allocation after @ret, if its memory has failed, or if there is no memory, but
 * some that was pinned has become free since @freed was read. Others may take that first,
 * so this does not go on for ever.
 */
static noinline int cmem_buffer_alloc_again(struct cmem_file *file,
					    struct cmem_block *block,
					    struct cmem_request *request,
					    unsigned long freed, int ret)
{
	unsigned int tries = CMEM_PINS_TRIES;
	int looked;

	do {
		if (ret == -ENOMEM || ret == -EBUSY) {
			request->flags |= CMEM_REQUEST_LOOKED;
			looked = cmem_pins_look(block, freed);
			if (looked < 0 || fatal_signal_pending(current))
				return -EINTR;
			if (ret == -ENOMEM && (!looked || !tries--))
				return ret;
			freed = READ_ONCE(block->pins_freed);
		} else if (ret != -EHWPOISON) {
			return ret;
		}
		ret = block->ops->alloc(file, block, request);
	} while (ret);
	return 0;
}

/* Allocate a buffer, without owner if @file is NULL. */
static int cmem_buffer_alloc_from(struct cmem_file *file,
				  struct cmem_block *block,
				  struct cmem_request *request)
{
	unsigned long freed = READ_ONCE(block->pins_freed);
	int ret = block->ops->alloc(file, block, request);

	if (unlikely(ret))
		return cmem_buffer_alloc_again(file, block, request, freed, ret);
	return 0;
}

/**
 * cmem_buffer_alloc - allocate a buffer
 * @file: the file to register for the buffer
 * @id: the number of the block
 * @request: the request; gets the result
 *
 * May sleep. Waits for memory that is being zeroed if there is no other. On success, the
 * caller holds a reference. It drops that after telling the user of the buffer, or after
 * cmem_buffer_undo_alloc().
 *
 * Return: 0 or an errno as documented for struct cmem_alloc in the UAPI header.
 */
int cmem_buffer_alloc(struct cmem_file *file, s32 id,
		      struct cmem_request *request)
{
	struct cmem_block *block = cmem_block_find(id);

	request->cred = file->filp->f_cred;
	request->user = file->user;
	return block ? cmem_buffer_alloc_from(file, block, request) : -ENOENT;
}

/**
 * cmem_buffer_alloc_unowned - allocate a buffer that no file is registered for
 * @block: a block, which need not be present
 * @request: the request; gets the result
 *
 * Charges the user of the calling process. May sleep like cmem_buffer_alloc().
 *
 * Return: the buffer, clean, marked as shared and held by the caller; or an errno as
 * documented for struct cmem_alloc in the UAPI header.
 */
struct cmem_buffer *cmem_buffer_alloc_unowned(struct cmem_block *block,
					      struct cmem_request *request)
{
	int ret;

	request->cred = current_cred();
	request->user = cmem_quota_user(request->cred);
	ret = cmem_buffer_alloc_from(NULL, block, request);
	return ret ? ERR_PTR(ret) : request->buffer;
}

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
 *
 * The lock of the block may be dropped meanwhile.
 */
void cmem_buffer_release(struct cmem_buffer *buffer)
{
	struct cmem_extent extent;

	if ((buffer->flags & CMEM_BUFFER_QUARANTINE) &&
	    (buffer->flags & CMEM_BUFFER_ABANDONED)) {
		cmem_quarantine_add(buffer);
		return;
	}
	if (buffer->flags & CMEM_BUFFER_PAGES) {
		cmem_pins_release(buffer);
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
