// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that a block owns exclusively: which pool or heap serves an allocation, and how
 * the memory returns there.
 */
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "alloc.h"
#include "block.h"
#include "buffer.h"
#include "cmem.h"
#include "dmem.h"
#include "failure.h"
#include "heap.h"
#include "pool.h"
#include "quota.h"
#include "scrub.h"

static struct kmem_cache *cmem_heap_buffer_cache;

int __init cmem_carved_init(void)
{
	cmem_heap_buffer_cache = KMEM_CACHE(cmem_heap_buffer, SLAB_ACCOUNT);
	return cmem_heap_buffer_cache ? 0 : -ENOMEM;
}

void __init cmem_carved_exit(void)
{
	kmem_cache_destroy(cmem_heap_buffer_cache);
}

static void cmem_carved_put(struct cmem_buffer *buffer, bool shared)
{
	struct cmem_block *block = cmem_buffer_block(buffer);
	struct cmem_carved_pool *pool = buffer->pool;

	if (pool) {
		u32 slot = buffer - pool->buffers;

		cmem_quota_uncharge(block, pool->slots.slots[slot].user,
				    pool->pages);
		cmem_pool_put(&pool->slots, slot,
			      shared ? 0 : pool->slots.slots[slot].tag);
	} else {
		struct cmem_heap_buffer *heap_buffer = cmem_heap_buffer(buffer);

		cmem_quota_uncharge(block, heap_buffer->user, heap_buffer->pages);
		cmem_heap_put(&block->heap, heap_buffer->start, heap_buffer->pages,
			      shared ? 0 : heap_buffer->tag);
		kmem_cache_free(cmem_heap_buffer_cache, heap_buffer);
	}
	cmem_scrub_kick(block);
}

static int cmem_carved_take_pool(struct cmem_carved_pool *pool,
				 const struct cmem_request *request,
				 struct cmem_buffer **buffer)
{
	struct cmem_block *block = pool->block;
	u64 length = (u64)pool->pages << PAGE_SHIFT;
	u32 clean = pool->slots.num_clean;
	struct cmem_dmem_charge dmem;
	u32 slot;
	int ret;

	if (!cmem_quota_allows(block, request, pool->pages) ||
	    cmem_dmem_charge(&block->dmem, &dmem, length))
		return -ENOMEM;

	ret = cmem_pool_take(&pool->slots, request->tag, &slot);
	if (ret < 0) {
		cmem_dmem_uncharge(&dmem, length);
		if (ret == -ENOMEM && cmem_request_waits(request, pool->pinned))
			return -EBUSY;
		/* The caller freed this buffer last: it takes it back uncleaned. */
		if (ret == -EAGAIN && block->scrubbing_pool == pool &&
		    pool->slots.slots[block->scrubbing_slot].tag == request->tag)
			WRITE_ONCE(block->scrub_cancel, true);
		return ret;
	}

	/* This was not the caller's own memory: keep clean memory ready. */
	if ((ret == CMEM_TAKEN_DIRTY || pool->slots.num_clean != clean) &&
	    pool->slots.num_clean < cmem_pool_to_clean(&pool->slots) / 2)
		cmem_scrub_hurry(block);
	pool->slots.slots[slot].user = request->user;
	cmem_quota_charge(request, pool->pages);
	*buffer = &pool->buffers[slot];
	(*buffer)->dmem = dmem;
	return ret;
}

/* The requested alignment, in pages */
static unsigned long cmem_carved_align(const struct cmem_request *request)
{
	u64 align = max(request->alignment >> PAGE_SHIFT, 1ULL);

	/* No address of this machine is aligned to more than this. */
	return min_t(u64, align, 1UL << (BITS_PER_LONG - 1));
}

static bool cmem_carved_serves(const struct cmem_carved_pool *pool,
			       unsigned long pages, unsigned long align)
{
	return pool->pages >= pages &&
	       IS_ALIGNED(pool->block->base_pfn + pool->start, align) &&
	       (pool->slots.count == 1 || IS_ALIGNED(pool->pages, align));
}

/* Take from the pool with the smallest sufficient buffers, exact ones only if @exact. */
static int cmem_carved_take_best(struct cmem_block *block,
				 const struct cmem_request *request,
				 unsigned long align, bool exact,
				 struct cmem_buffer **buffer)
{
	int ret = -ENOENT;
	unsigned int i;

	for (i = 0; i < block->num_pools; i++) {
		struct cmem_carved_pool *pool = &block->pools[block->by_size[i]];

		if (!cmem_carved_serves(pool, request->pages, align))
			continue;
		if (exact && pool->pages > request->pages)
			break;
		ret = cmem_carved_take_pool(pool, request, buffer);
		if (ret != -ENOMEM)
			return ret;
	}
	return ret;
}

static int cmem_carved_take_heap(struct cmem_block *block,
				 const struct cmem_request *request,
				 unsigned long align,
				 struct cmem_heap_buffer *heap_buffer)
{
	u64 length = (u64)request->pages << PAGE_SHIFT;
	int ret;

	if (!cmem_quota_allows(block, request, request->pages) ||
	    cmem_dmem_charge(&block->dmem, &heap_buffer->buffer.dmem, length))
		return -ENOMEM;

	ret = cmem_heap_take(&block->heap, request->pages, align, request->tag,
			     heap_buffer, &heap_buffer->start);
	if (ret < 0) {
		cmem_dmem_uncharge(&heap_buffer->buffer.dmem, length);
		return ret;
	}

	heap_buffer->block = block;
	heap_buffer->pool = CMEM_POOL_HEAP;
	heap_buffer->user = request->user;
	heap_buffer->pages = request->pages;
	heap_buffer->tag = request->tag;
	cmem_quota_charge(request, request->pages);
	return ret;
}

/* Take memory for a checked request. @spare becomes the heap buffer if one is needed. */
static int cmem_carved_take(struct cmem_block *block,
			    const struct cmem_request *request,
			    struct cmem_heap_buffer **spare,
			    struct cmem_buffer **buffer)
{
	unsigned long align = cmem_carved_align(request);
	bool exact = request->flags & CMEM_REQUEST_EXACT;
	struct cmem_heap_buffer *heap_buffer = *spare;
	int ret = -ENOMEM;

	if (request->pool >= 0)
		ret = cmem_carved_take_pool(&block->pools[request->pool],
					    request, buffer);
	else if (request->pool == CMEM_POOL_BEST)
		ret = cmem_carved_take_best(block, request, align, exact,
					    buffer);
	if (!heap_buffer || (ret != -ENOMEM && ret != -ENOENT))
		return ret;

	ret = cmem_carved_take_heap(block, request, align, heap_buffer);
	if (ret == -ENOMEM && cmem_request_waits(request, block->num_pinned))
		return -EBUSY;
	if (ret == -ENOMEM && exact && block->dma_heap_config.from_pools)
		return cmem_carved_take_best(block, request, align, false,
					     buffer);
	if (ret < 0)
		return ret;
	*spare = NULL;
	*buffer = &heap_buffer->buffer;
	return ret;
}

/* The block is locked, and stays locked until the memory has been taken. */
static int cmem_carved_check(const struct cmem_block *block,
			     struct cmem_request *request)
{
	const struct cmem_carved_pool *pool;
	u64 length;
	int ret;

	if (!block->present)
		return -ENOENT;
	if (request->alignment & (request->alignment - 1))
		return -EINVAL;
	ret = cmem_request_check_pages(block, request);
	if (ret)
		return ret;

	if (request->pool < 0) {
		if (request->pool < CMEM_POOL_HEAP)
			return -ENOENT;
		length = (u64)block->num_pages << PAGE_SHIFT;
		if (!request->length || request->length > length)
			return -EINVAL;
		request->pages = DIV_ROUND_UP_ULL(request->length, PAGE_SIZE);
		return 0;
	}

	if (request->pool >= block->num_pools)
		return -ENOENT;
	request->pool = array_index_nospec(request->pool, block->num_pools);
	pool = &block->pools[request->pool];
	length = (u64)pool->pages << PAGE_SHIFT;
	if (request->length > length)
		return -EINVAL;
	if (!cmem_carved_serves(pool, 0, cmem_carved_align(request)))
		return -EINVAL;
	request->pages = request->length ?
			 DIV_ROUND_UP_ULL(request->length, PAGE_SIZE) :
			 pool->pages;
	return 0;
}

/* Return -EHWPOISON if the memory has failed meanwhile. It is out of use then. */
static int cmem_carved_alloc(struct cmem_file *file, struct cmem_block *block,
			     struct cmem_request *request)
{
	struct cmem_heap_buffer *spare = NULL;
	unsigned int tries = CMEM_ROOM_TRIES;
	struct cmem_buffer *buffer;
	unsigned int round;
	int ret;

	if (request->pool == CMEM_POOL_HEAP ||
	    request->flags & CMEM_ALLOC_HEAP_FALLBACK) {
		spare = kmem_cache_zalloc(cmem_heap_buffer_cache,
					  CMEM_GFP_USER);
		if (!spare)
			return -ENOMEM;
	}

	/* While the lock is dropped, the block may be removed and created again. */
	for (;;) {
		mutex_lock(&block->lock);
		ret = cmem_carved_check(block, request);
		if (!ret)
			ret = cmem_quota_begin(block, request);
		if (!ret) {
			cmem_failure_check(block);
			request->tag = cmem_request_tag(file, block, request);
			ret = cmem_carved_take(block, request, &spare, &buffer);
		}
		if (ret == CMEM_TAKEN_READY && block->soiled)
			ret = CMEM_TAKEN_DIRTY;
		if (ret == CMEM_TAKEN_READY)
			cmem_buffer_admit(file, buffer, request);
		round = block->scrub_round;
		mutex_unlock(&block->lock);
		if (cmem_try_again(&ret, &tries))
			continue;
		if (ret != -EAGAIN)
			break;

		if (wait_event_killable(block->scrub_wait,
					READ_ONCE(block->scrub_round) != round)) {
			ret = -EINTR;
			break;
		}
	}

	if (ret == CMEM_TAKEN_DIRTY) {
		cmem_buffer_locate(buffer, &request->extent);
		ret = cmem_scrub_pages(block, request->extent.start,
				       request->extent.pages, true);

		mutex_lock(&block->lock);
		if (ret == -EHWPOISON)
			buffer->flags = CMEM_BUFFER_FAILED;
		else if (!ret && buffer->flags & CMEM_BUFFER_FAILED)
			ret = -EHWPOISON;
		if (ret)
			cmem_buffer_return(buffer, true);
		else
			cmem_buffer_admit(file, buffer, request);
		mutex_unlock(&block->lock);
	}

	if (spare)
		kmem_cache_free(cmem_heap_buffer_cache, spare);
	return ret;
}

static u64 cmem_carved_length(const struct cmem_block *block)
{
	return (u64)READ_ONCE(block->num_pages) << PAGE_SHIFT;
}

static unsigned long cmem_carved_largest(struct cmem_block *block)
{
	return cmem_heap_largest(&block->heap);
}

/* The heap is the memory between the pools and behind them. */
static void cmem_carved_place(const struct cmem_block *block, unsigned int number,
			      unsigned long *start, unsigned long *pages)
{
	const struct cmem_carved_pool *pool;

	if (number == CMEM_PLACE_HEAP) {
		*start = 0;
		*pages = block->num_pages;
		return;
	}
	pool = &block->pools[number];
	*start = pool->start;
	*pages = pool->slots.count * pool->pages;
}

const struct cmem_block_ops cmem_carved_ops = {
	.alloc = cmem_carved_alloc,
	.put = cmem_carved_put,
	.length = cmem_carved_length,
	.largest = cmem_carved_largest,
	.place = cmem_carved_place,
};
