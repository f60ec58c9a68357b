// SPDX-License-Identifier: GPL-2.0-only
/*
 * Block -1: memory from CMA areas, which the kernel lends to others while no buffer
 * needs it.
 *
 * Each pool has an area of its own, and so has the heap, unless it uses the kernel's
 * global area. CMA tracks what is free in an area. The block only tracks the pages of its
 * buffers, by page frame number, in the tree that other blocks use for their heap: its
 * base is page frame 0, and it has all buffers of the block, including those of pools.
 *
 * A buffer comes from the requested area, or the allocation fails. Memory is cleaned
 * when it is allocated, since it has the data of whoever used it before. There is at most
 * one such block; once created, it stays.
 */
#define pr_fmt(fmt) "cmem: " fmt

#include <linux/cma.h>
#include <linux/highmem.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#ifdef CONFIG_ARM
#include <asm/dcache_poc.h>
#endif

#include "alloc.h"
#include "block.h"
#include "buffer.h"
#include "cma_area.h"
#include "cmem.h"
#include "dmem.h"
#include "failure.h"
#include "heap.h"
#include "quota.h"
#include "scrub.h"

/**
 * struct cmem_cma_buffer - a buffer of the block
 * @heap_buffer: what buffers of a heap have
 * @area: the area that it came from
 * @remapped: the linear map of it has been made non-cached as well
 */
struct cmem_cma_buffer {
	struct cmem_heap_buffer heap_buffer;
	struct cmem_cma_area *area;
	bool remapped;
};

static bool cmem_cma_has(const struct cmem_block *block, unsigned long pfn)
{
	const struct cmem_cma *cma = cmem_cma_of(block);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cma->areas); i++)
		if (pfn - cma->areas[i].base_pfn < cma->areas[i].num_pages)
			return true;
	return false;
}

/* Pages that buffers can still get. A lowered share may be less than they have. */
static unsigned long cmem_cma_left(const struct cmem_cma_area *area)
{
	return area->limit - min(area->used, area->limit);
}

/* Includes the share of the global area. */
static u64 cmem_cma_length(const struct cmem_block *block)
{
	const struct cmem_cma *cma = cmem_cma_of(block);
	u64 pages = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cma->areas); i++)
		pages += max(READ_ONCE(cma->areas[i].limit),
			     READ_ONCE(cma->areas[i].used));
	return pages << PAGE_SHIFT;
}

/* The longest run without our buffers, limited to what is left of the area */
static unsigned long cmem_cma_largest(struct cmem_block *block)
{
	struct cmem_cma_area *area = &cmem_cma_of(block)->areas[CMEM_PLACE_HEAP];
	unsigned long end = area->base_pfn + area->num_pages;
	unsigned long largest = 0, run = area->base_pfn, pfn = run;
	struct cmem_heap_buffer *heap_buffer;

	while (pfn < end && (heap_buffer = cmem_heap_next(&block->heap, &pfn, end - 1))) {
		largest = max(largest, pfn - run);
		pfn += heap_buffer->pages;
		run = pfn;
	}
	return min(max(largest, end - run), cmem_cma_left(area));
}

static void cmem_cma_place(const struct cmem_block *block, unsigned int number,
			   unsigned long *start, unsigned long *pages)
{
	const struct cmem_cma_area *area = &cmem_cma_of(block)->areas[number];

	*start = area->base_pfn;
	*pages = area->num_pages;
}

/* Report what an area has left in the counters of other blocks' pools and heaps. */
void cmem_cma_count(struct cmem_cma *cma, const struct cmem_cma_area *area)
{
	unsigned int number = area - cma->areas;
	unsigned long left = cmem_cma_left(area);
	struct cmem_block *block = &cma->block;

	if (number == CMEM_PLACE_HEAP) {
		block->heap.size = area->used + left;
		block->heap.free = left;
		block->heap.dirty = left;
	} else {
		/* Without an area, the pages of a buffer may have overflowed to 0. */
		block->pools[number].slots.num_dirty =
			left ? left / block->pools[number].pages : 0;
	}
}

static int cmem_cma_charge(struct cmem_cma *cma, struct cmem_cma_area *area,
			   struct cmem_request *request, unsigned long pages)
{
	struct cmem_block *block = &cma->block;
	unsigned int tries = CMEM_ROOM_TRIES;
	int ret;

	do {
		mutex_lock(&block->lock);
		ret = cmem_quota_begin(block, request);
		if (!ret && (pages > cmem_cma_left(area) ||
			     !cmem_quota_allows(block, request, pages)))
			ret = -ENOMEM;
		if (!ret) {
			cmem_quota_charge(request, pages);
			area->used += pages;
			cmem_cma_count(cma, area);
		}
		mutex_unlock(&block->lock);
	} while (cmem_try_again(&ret, &tries));
	return ret;
}

/* The block is locked. */
static void cmem_cma_uncharge(struct cmem_cma *cma, struct cmem_cma_area *area,
			      kuid_t user, unsigned long pages)
{
	cmem_quota_uncharge(&cma->block, user, pages);
	area->used -= pages;
	cmem_cma_count(cma, area);
}

/*
 * On arm, the linear map of low memory must not be cached while a program's mapping is
 * non-cached. On arm64 it stays cached: nobody accesses it, and its cachelines are clean.
 * The DMA API makes the same distinction.
 */
static bool cmem_cma_must_remap(const struct cmem_block *block,
				struct page *page, u32 flags)
{
	return IS_ENABLED(CONFIG_ARM) && !block->coherent &&
	       !(flags & CMEM_ALLOC_CACHED) && !PageHighMem(page);
}

static void cmem_cma_remap(struct page *page, unsigned long pages, bool cached)
{
#ifdef CONFIG_ARM
	arm_lowmem_set_prot(page, pages, cached ? PAGE_KERNEL :
			    pgprot_writecombine(PAGE_KERNEL));
#endif
}

/*
 * A buffer of at least a huge page starts at a huge page boundary if one is free. In a
 * pool, buffers must be whole huge pages for that, or a pool of n has no room for n.
 */
static struct page *cmem_cma_get_pages(const struct cmem_cma_area *area,
				       bool heap, unsigned long pages,
				       unsigned int order)
{
	unsigned long huge = CMEM_HUGE_SIZE >> PAGE_SHIFT;
	unsigned int preferred = ilog2(huge);
	struct page *page = NULL;

	if (order < preferred && pages >= huge &&
	    (heap || IS_ALIGNED(pages, huge)))
		page = cma_alloc(area->cma, pages, preferred, true);
	if (!page && !fatal_signal_pending(current))
		page = cma_alloc(area->cma, pages, order, true);
	return page;
}

static int cmem_cma_clean(struct cmem_cma *cma, struct cmem_cma_buffer *buffer,
			  struct page *page, u32 flags)
{
	struct cmem_heap_buffer *heap_buffer = &buffer->heap_buffer;
	int ret;

	ret = cmem_scrub_pages(&cma->block, heap_buffer->start, heap_buffer->pages, true);
	if (ret)
		return ret;

	buffer->remapped = cmem_cma_must_remap(&cma->block, page, flags);
	if (buffer->remapped)
		cmem_cma_remap(page, heap_buffer->pages, false);
	return 0;
}

static void cmem_cma_release(struct cmem_cma_buffer *buffer)
{
	struct cmem_heap_buffer *heap_buffer = &buffer->heap_buffer;
	struct page *page = pfn_to_page(heap_buffer->start);

	if (buffer->remapped)
		cmem_cma_remap(page, heap_buffer->pages, true);
	cma_release(buffer->area->cma, page, heap_buffer->pages);
}

/* Add a buffer to the tree. */
static int cmem_cma_note(struct cmem_cma *cma, struct cmem_heap_buffer *heap_buffer)
{
	unsigned int tries = CMEM_ROOM_TRIES;
	int ret;

	do {
		mutex_lock(&cma->block.lock);
		ret = cmem_heap_insert(&cma->block.heap, heap_buffer->start,
				       heap_buffer->pages, heap_buffer);
		mutex_unlock(&cma->block.lock);
	} while (cmem_try_again(&ret, &tries));
	return ret;
}

/* Allocate clean pages from an area that has been charged for them. */
static int cmem_cma_fill(struct cmem_cma *cma, struct cmem_cma_area *area,
			 const struct cmem_request *request, unsigned long pages,
			 struct cmem_heap_buffer **heap_buffer)
{
	unsigned int number = area - cma->areas;
	bool heap = number == CMEM_PLACE_HEAP;
	u64 align = max_t(u64, request->alignment, PAGE_SIZE);
	struct cmem_cma_buffer *buffer;
	struct page *page;
	int ret;

	buffer = kzalloc(sizeof(*buffer), CMEM_GFP_USER);
	if (!buffer)
		return -ENOMEM;

	ret = cmem_dmem_charge(&cma->block.dmem, &buffer->heap_buffer.buffer.dmem,
			       (u64)pages << PAGE_SHIFT);
	if (ret)
		goto err_free;
	page = cmem_cma_get_pages(area, heap, pages,
				  min_t(unsigned int, ilog2(align) - PAGE_SHIFT,
					BITS_PER_LONG - 2));
	if (!page) {
		ret = fatal_signal_pending(current) ? -EINTR : -ENOMEM;
		goto err_dmem;
	}

	buffer->area = area;
	buffer->heap_buffer.block = &cma->block;
	buffer->heap_buffer.pool = heap ? CMEM_POOL_HEAP : (s32)number;
	buffer->heap_buffer.user = request->user;
	buffer->heap_buffer.start = page_to_pfn(page);
	buffer->heap_buffer.pages = pages;
	ret = cmem_cma_clean(cma, buffer, page, request->flags);
	if (ret)
		goto err_release;

	ret = cmem_cma_note(cma, &buffer->heap_buffer);
	if (ret)
		goto err_release;
	*heap_buffer = &buffer->heap_buffer;
	return 0;

err_release:
	cmem_cma_release(buffer);
err_dmem:
	cmem_dmem_uncharge(&buffer->heap_buffer.buffer.dmem, (u64)pages << PAGE_SHIFT);
err_free:
	kfree(buffer);
	return ret;
}

/* Log this once: a program may repeat its request. */
static void cmem_cma_tell_share(const struct cmem_cma *cma,
				const struct cmem_cma_area *area)
{
	if (area != &cma->areas[CMEM_PLACE_HEAP] || cma->own_heap || !area->cma ||
	    area->limit == area->num_pages)
		return;
	pr_notice_once("block %d: the heap gets no more than %#llx of the %#llx bytes of the global CMA area: cmem.cma_share= is more, cmem_cma_heapsize= is an area of its own\n",
		       CMEM_BLOCK_CMA, (u64)area->limit << PAGE_SHIFT,
		       (u64)area->num_pages << PAGE_SHIFT);
}

static int cmem_cma_take_from(struct cmem_cma *cma, unsigned int number,
			      struct cmem_request *request,
			      struct cmem_heap_buffer **heap_buffer)
{
	struct cmem_cma_area *area = &cma->areas[number];
	unsigned long pages;
	int ret;

	if (request->length > (u64)READ_ONCE(area->limit) << PAGE_SHIFT) {
		cmem_cma_tell_share(cma, area);
		return -ENOMEM;
	}
	pages = DIV_ROUND_UP_ULL(request->length, PAGE_SIZE);
	/* A pool's buffer has at least the configured length. */
	if (number != CMEM_PLACE_HEAP)
		pages = max(pages, cma->block.pools[number].pages);

	ret = cmem_cma_charge(cma, area, request, pages);
	if (ret) {
		/* Not locked: it is for the log alone. */
		if (pages > data_race(cmem_cma_left(area)))
			cmem_cma_tell_share(cma, area);
		return ret;
	}
	ret = cmem_cma_fill(cma, area, request, pages, heap_buffer);
	if (ret) {
		mutex_lock(&cma->block.lock);
		cmem_cma_uncharge(cma, area, request->user, pages);
		mutex_unlock(&cma->block.lock);
	}
	return ret;
}

/* Choose the area of a buffer. A full pool does not fall back to another pool. */
static int cmem_cma_choose(struct cmem_cma *cma,
			   const struct cmem_request *request)
{
	struct cmem_block *block = &cma->block;
	unsigned int i;

	if (request->pool == CMEM_POOL_HEAP)
		return CMEM_PLACE_HEAP;
	if (request->pool >= 0)
		return array_index_nospec(request->pool, block->num_pools);

	for (i = 0; i < block->num_pools; i++) {
		unsigned int number = block->by_size[i];
		u64 length = (u64)block->pools[number].pages << PAGE_SHIFT;

		if (!cma->areas[number].cma || length < request->length)
			continue;
		if (request->flags & CMEM_REQUEST_EXACT &&
		    length - request->length >= PAGE_SIZE)
			break;
		return number;
	}
	return -ENOENT;
}

static int cmem_cma_check(struct cmem_cma *cma,
			  const struct cmem_request *request)
{
	u64 length;
	int ret;

	if (request->alignment & (request->alignment - 1))
		return -EINVAL;
	ret = cmem_request_check_pages(&cma->block, request);
	if (ret)
		return ret;
	if (request->pool < CMEM_POOL_HEAP ||
	    request->pool >= (s32)cma->block.num_pools)
		return -ENOENT;
	if (request->pool < 0) {
		/* Exceeding our share of the global area is not invalid, but -ENOMEM. */
		length = cmem_cma_length(&cma->block);
		if (!cma->own_heap)
			length += (u64)cma->areas[CMEM_PLACE_HEAP].num_pages <<
				  PAGE_SHIFT;
		return !request->length || request->length > length ? -EINVAL : 0;
	}
	length = cma->areas[array_index_nospec(request->pool,
					       cma->block.num_pools)].limit;
	/* A pool that got no area at boot has no room: not -EINVAL. */
	return length && request->length > length << PAGE_SHIFT ? -EINVAL : 0;
}

/* Take memory from the chosen area, or fall back to the heap if allowed. */
static int cmem_cma_take_chosen(struct cmem_block *block,
				struct cmem_request *request,
				struct cmem_heap_buffer **heap_buffer)
{
	bool fallback = request->flags & CMEM_ALLOC_HEAP_FALLBACK;
	struct cmem_cma *cma = cmem_cma_of(block);
	int ret, number;

	ret = cmem_cma_check(cma, request);
	if (ret)
		return ret;

	number = cmem_cma_choose(cma, request);
	if (number >= 0) {
		if (!request->length)
			request->length = (u64)block->pools[number].pages <<
					  PAGE_SHIFT;
		ret = cmem_cma_take_from(cma, number, request, heap_buffer);
	} else {
		ret = number;
	}
	if (ret == -ENOMEM &&
	    cmem_request_waits(request, READ_ONCE(block->num_pinned)))
		return -EBUSY;
	if (fallback && number != CMEM_PLACE_HEAP &&
	    (ret == -ENOMEM || ret == -ENOENT))
		ret = cmem_cma_take_from(cma, CMEM_PLACE_HEAP, request, heap_buffer);
	return ret;
}

/*
 * Take clean memory for a buffer without references. A pool that the request names also
 * serves a longer buffer, which takes the room of several. May sleep for long: CMA
 * migrates other users' pages.
 */
static int cmem_cma_take(struct cmem_block *block, struct cmem_request *request,
			 struct cmem_heap_buffer **heap_buffer)
{
	int ret = cmem_cma_take_chosen(block, request, heap_buffer);

	if (ret != -ENOMEM || !(request->flags & CMEM_REQUEST_EXACT) ||
	    !block->dma_heap_config.from_pools)
		return ret;
	request->flags &= ~CMEM_REQUEST_EXACT;
	ret = cmem_cma_take_chosen(block, request, heap_buffer);
	/* If it is made again, an exact one comes first again. */
	request->flags |= CMEM_REQUEST_EXACT;
	return ret;
}

static int cmem_cma_alloc(struct cmem_file *file, struct cmem_block *block,
			  struct cmem_request *request)
{
	struct cmem_heap_buffer *heap_buffer;
	int ret;

	ret = cmem_cma_take(block, request, &heap_buffer);
	if (ret)
		return ret;

	mutex_lock(&block->lock);
	heap_buffer->tag = cmem_request_tag(file, block, request);
	cmem_failure_check(block);
	/* A failure during the allocation may have been noticed, or not. */
	if (heap_buffer->buffer.flags & CMEM_BUFFER_FAILED ||
	    cmem_failure_in_new(block, heap_buffer->start, heap_buffer->pages)) {
		cmem_buffer_return(&heap_buffer->buffer, true);
		ret = -EHWPOISON;
	} else {
		cmem_buffer_admit(file, &heap_buffer->buffer, request);
	}
	mutex_unlock(&block->lock);
	return ret;
}

static void cmem_cma_put(struct cmem_buffer *buffer, bool shared)
{
	struct cmem_heap_buffer *heap_buffer = cmem_heap_buffer(buffer);
	struct cmem_cma *cma = cmem_cma_of(heap_buffer->block);
	struct cmem_cma_buffer *cma_buffer;

	cma_buffer = container_of(heap_buffer, struct cmem_cma_buffer, heap_buffer);
	cmem_heap_erase(&cma->block.heap, heap_buffer->start, heap_buffer->pages);
	cmem_cma_uncharge(cma, cma_buffer->area, heap_buffer->user, heap_buffer->pages);
	cmem_cma_release(cma_buffer);
	kfree(cma_buffer);
}

const struct cmem_block_ops cmem_cma_ops = {
	.lends_free = true,
	.one_pool = true,
	.alloc = cmem_cma_alloc,
	.put = cmem_cma_put,
	.has = cmem_cma_has,
	.length = cmem_cma_length,
	.largest = cmem_cma_largest,
	.place = cmem_cma_place,
};
