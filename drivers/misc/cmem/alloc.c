// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which memory an allocation gets, and where a buffer's goes when nobody holds it:
 * pools, the heap, CMA areas.
 */
#include <linux/cred.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "alias.h"
#include "alloc.h"
#include "block.h"
#include "buffer.h"
#include "cma.h"
#include "cmem.h"
#include "dmem.h"
#include "failure.h"
#include "file.h"
#include "heap.h"
#include "pool.h"
#include "quota.h"
#include "scrub.h"
#include "trace.h"

static struct kmem_cache *cmem_heap_buffer_cache;

int __init cmem_alloc_init(void)
{
	cmem_heap_buffer_cache = KMEM_CACHE(cmem_heap_buffer, SLAB_ACCOUNT);
	return cmem_heap_buffer_cache ? 0 : -ENOMEM;
}

void __init cmem_alloc_exit(void)
{
	kmem_cache_destroy(cmem_heap_buffer_cache);
}

/* What has failed of it is not for anybody. */
static noinline void cmem_buffer_return_failed(struct cmem_buffer *buffer,
					       bool shared)
{
	struct cmem_extent extent;

	cmem_buffer_locate(buffer, &extent);
	buffer->flags = 0;
	cmem_buffer_return(buffer, shared);
	cmem_failure_return(extent.block, extent.start, extent.pages);
}

/**
 * cmem_buffer_return - give pages back
 * @buffer: a buffer that nobody holds, of a block that is locked. It is gone then if
 *	it is one from a heap.
 * @shared: its last owner must not have it back as it is
 */
void cmem_buffer_return(struct cmem_buffer *buffer, bool shared)
{
	struct cmem_carved_pool *pool = buffer->pool;
	struct cmem_block *block = cmem_buffer_block(buffer);

	cmem_alias_release(buffer);
	if (unlikely(buffer->flags & CMEM_BUFFER_FAILED)) {
		cmem_buffer_return_failed(buffer, shared);
		return;
	}
	buffer->flags = 0;
	cmem_dmem_uncharge(&buffer->dmem, cmem_buffer_length(buffer));
	if (pool) {
		u32 slot = buffer - pool->buffers;

		cmem_quota_uncharge(block, pool->slots.slots[slot].user,
				    pool->pages);
		cmem_pool_put(&pool->slots, slot,
			      shared ? 0 : pool->slots.slots[slot].tag);
		cmem_scrub_kick(block);
	} else if (block->kind == CMEM_KIND_CMA) {
		cmem_cma_put(cmem_heap_buffer(buffer));
	} else {
		struct cmem_heap_buffer *from = cmem_heap_buffer(buffer);

		cmem_quota_uncharge(block, from->user, from->pages);
		cmem_heap_put(&block->heap, from->start, from->pages,
			      shared ? 0 : from->tag);
		kmem_cache_free(cmem_heap_buffer_cache, from);
		cmem_scrub_kick(block);
	}
}

static int cmem_buffer_take_pool(struct cmem_carved_pool *pool,
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
		/* The caller left this buffer: it takes it back without cleaning. */
		if (ret == -EAGAIN && block->scrubbing_pool == pool &&
		    pool->slots.slots[block->scrubbing_slot].tag == request->tag)
			WRITE_ONCE(block->scrub_cancel, true);
		return ret;
	}

	/* Others' memory is wanted: let there be clean memory when it is. */
	if ((ret == CMEM_TAKEN_DIRTY || pool->slots.num_clean != clean) &&
	    pool->slots.num_clean < cmem_pool_to_clean(&pool->slots) / 2)
		cmem_scrub_hurry(block);
	pool->slots.slots[slot].user = request->user;
	request->account->pages += pool->pages;
	*buffer = &pool->buffers[slot];
	(*buffer)->dmem = dmem;
	return ret;
}

/* The alignment that is asked for, in pages */
static unsigned long cmem_request_align(const struct cmem_request *request)
{
	u64 align = max(request->alignment >> PAGE_SHIFT, 1ULL);

	/* No address that this machine has is a multiple of more than this. */
	return min_t(u64, align, 1UL << (BITS_PER_LONG - 1));
}

static bool cmem_pool_serves(const struct cmem_carved_pool *pool,
			     unsigned long pages, unsigned long align)
{
	return pool->pages >= pages &&
	       IS_ALIGNED(pool->block->base_pfn + pool->start, align) &&
	       (pool->slots.count == 1 || IS_ALIGNED(pool->pages, align));
}

/* Take of the pool with the smallest buffers that serve, which may have to be as asked. */
static int cmem_buffer_take_best(struct cmem_block *block,
				 const struct cmem_request *request,
				 unsigned long align, bool exact,
				 struct cmem_buffer **buffer)
{
	int ret = -ENOENT;
	unsigned int i;

	for (i = 0; i < block->num_pools; i++) {
		struct cmem_carved_pool *pool = &block->pools[block->by_size[i]];

		if (!cmem_pool_serves(pool, request->pages, align))
			continue;
		if (exact && pool->pages > request->pages)
			break;
		ret = cmem_buffer_take_pool(pool, request, buffer);
		if (ret != -ENOMEM)
			return ret;
	}
	return ret;
}

static int cmem_buffer_take_heap(struct cmem_block *block,
				 const struct cmem_request *request,
				 unsigned long align,
				 struct cmem_heap_buffer *from)
{
	u64 length = (u64)request->pages << PAGE_SHIFT;
	int ret;

	if (!cmem_quota_allows(block, request, request->pages) ||
	    cmem_dmem_charge(&block->dmem, &from->buffer.dmem, length))
		return -ENOMEM;

	ret = cmem_heap_take(&block->heap, request->pages, align, request->tag,
			     from, &from->start);
	if (ret < 0) {
		cmem_dmem_uncharge(&from->buffer.dmem, length);
		return ret;
	}

	from->block = block;
	from->pool = CMEM_POOL_HEAP;
	from->user = request->user;
	from->pages = request->pages;
	from->tag = request->tag;
	request->account->pages += request->pages;
	return ret;
}

/* Take memory as checked. @spare is what a heap buffer would be kept in. */
static int cmem_buffer_take(struct cmem_block *block,
			    const struct cmem_request *request,
			    struct cmem_heap_buffer **spare,
			    struct cmem_buffer **buffer)
{
	unsigned long align = cmem_request_align(request);
	bool exact = request->flags & CMEM_REQUEST_EXACT;
	struct cmem_heap_buffer *from = *spare;
	int ret = -ENOMEM;

	if (request->pool >= 0)
		ret = cmem_buffer_take_pool(&block->pools[request->pool],
					    request, buffer);
	else if (request->pool == CMEM_POOL_BEST)
		ret = cmem_buffer_take_best(block, request, align, exact,
					    buffer);
	if (!from || (ret != -ENOMEM && ret != -ENOENT))
		return ret;

	ret = cmem_buffer_take_heap(block, request, align, from);
	if (ret == -ENOMEM && exact && block->dma_heap_config.from_pools)
		return cmem_buffer_take_best(block, request, align, false,
					     buffer);
	if (ret < 0)
		return ret;
	*spare = NULL;
	*buffer = &from->buffer;
	return ret;
}

/* Whether a buffer is cached: in SRAM none is, and sram.c says why. */
static bool cmem_request_cached(const struct cmem_block *block,
				const struct cmem_request *request)
{
	return request->flags & CMEM_ALLOC_CACHED &&
	       block->kind != CMEM_KIND_SRAM;
}

/*
 * The file owns the buffer from here on. The caller holds the buffer as well, since other
 * threads know its address. Without a file only the caller holds it, and may show it to
 * anybody.
 */
static void cmem_buffer_admit(struct cmem_file *file,
			      struct cmem_buffer *buffer,
			      struct cmem_request *request)
{
	u16 flags = CMEM_BUFFER_LIVE;

	cmem_buffer_locate(buffer, &request->extent);
	if (cmem_request_cached(request->extent.block, request))
		flags |= CMEM_BUFFER_CACHED;
	if (request->flags & CMEM_ALLOC_PRIVATE)
		flags |= CMEM_BUFFER_PRIVATE;
	if (request->flags & CMEM_ALLOC_QUARANTINE ||
	    request->extent.block->quarantine_config.all)
		flags |= CMEM_BUFFER_QUARANTINE;

	refcount_set(&buffer->refs, file ? 2 : 1);
	request->buffer = buffer;
	buffer->first.file = file;
	if (!file) {
		flags |= CMEM_BUFFER_SHARED;
		buffer->count = 0;
	} else {
		buffer->count = 1;
		spin_lock(&file->lock);
		list_add(&buffer->first.in_file, &file->allocated);
		file->num_allocated++;
		file->num_pages += request->extent.pages;
		spin_unlock(&file->lock);
	}
	buffer->flags = flags | cmem_alias_hold(request->extent.block, flags);
	trace_cmem_alloc(file, &request->extent, flags);
}

/* The block is locked, and stays so until what is asked for has been taken. */
static int cmem_request_check(const struct cmem_block *block,
			      struct cmem_request *request)
{
	const struct cmem_carved_pool *pool;
	u64 length;

	if (!block->present)
		return -ENOENT;
	if (request->alignment & (request->alignment - 1))
		return -EINVAL;

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
	if (!cmem_pool_serves(pool, 0, cmem_request_align(request)))
		return -EINVAL;
	request->pages = request->length ?
			 DIV_ROUND_UP_ULL(request->length, PAGE_SIZE) :
			 pool->pages;
	return 0;
}

/*
 * An owner gets back memory that it left, without cleaning, if it maps the memory with the
 * same attributes. The tag says both.
 */
static u64 cmem_buffer_tag(const struct cmem_file *file,
			   const struct cmem_block *block,
			   const struct cmem_request *request)
{
	if (!file)
		return CMEM_TAG_NOBODY;
	return file->owner << 1 | cmem_request_cached(block, request);
}

static int cmem_buffer_alloc_cma(struct cmem_file *file,
				 struct cmem_block *block,
				 struct cmem_request *request)
{
	struct cmem_heap_buffer *from;
	int ret;

	ret = cmem_cma_take(block, request, &from);
	if (ret)
		return ret;

	mutex_lock(&block->lock);
	from->tag = cmem_buffer_tag(file, block, request);
	cmem_failure_check(block);
	/* While it was on its way, the failure may have been seen, or not. */
	if (from->buffer.flags & CMEM_BUFFER_FAILED ||
	    cmem_failure_in_new(block, from->start, from->pages)) {
		cmem_buffer_return(&from->buffer, true);
		ret = -EHWPOISON;
	} else {
		cmem_buffer_admit(file, &from->buffer, request);
	}
	mutex_unlock(&block->lock);
	return ret;
}

/* -EHWPOISON: what was found has failed since. It is out of use. */
static int cmem_buffer_try_alloc(struct cmem_file *file,
				 struct cmem_block *block,
				 struct cmem_request *request)
{
	struct cmem_heap_buffer *spare = NULL;
	unsigned int tries = CMEM_ROOM_TRIES;
	struct cmem_buffer *buffer;
	unsigned int round;
	int ret;

	if (block->id < 0)
		return cmem_buffer_alloc_cma(file, block, request);

	if (request->pool == CMEM_POOL_HEAP ||
	    request->flags & CMEM_ALLOC_HEAP_FALLBACK) {
		spare = kmem_cache_zalloc(cmem_heap_buffer_cache,
					  CMEM_GFP_USER);
		if (!spare)
			return -ENOMEM;
	}

	/* While nobody holds the lock, it may become another block. */
	for (;;) {
		mutex_lock(&block->lock);
		ret = cmem_request_check(block, request);
		if (!ret)
			ret = cmem_quota_begin(block, request);
		if (!ret) {
			cmem_failure_check(block);
			request->tag = cmem_buffer_tag(file, block, request);
			ret = cmem_buffer_take(block, request, &spare, &buffer);
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

/* Allocate a buffer. The caller may have no file: then it is nobody's. */
static int cmem_buffer_alloc_from(struct cmem_file *file,
				  struct cmem_block *block,
				  struct cmem_request *request)
{
	int ret;

	do {
		ret = cmem_buffer_try_alloc(file, block, request);
	} while (ret == -EHWPOISON);
	return ret;
}

/**
 * cmem_buffer_alloc - allocate a buffer
 * @file: who is registered for it
 * @id: the number of the block
 * @request: what is wanted; where to put what was found
 *
 * May sleep, and waits for memory that is being cleaned when there is no other. When
 * all went well, the caller holds the buffer, and puts it when the user knows of it, or
 * after cmem_buffer_undo_alloc().
 *
 * Return: 0 or an errno, as struct cmem_alloc in the UAPI header says.
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
 * @request: what is wanted; where to put what was found
 *
 * The caller's user is charged for it. May sleep as cmem_buffer_alloc() may.
 *
 * Return: the buffer, clean, marked as shared and held by the caller; or an errno, as
 * struct cmem_alloc in the UAPI header says.
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
