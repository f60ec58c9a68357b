// SPDX-License-Identifier: GPL-2.0-only
/*
 * Block -1: memory from CMA areas, which the kernel lends to others as long as
 * nobody here wants it.
 *
 * Each pool has an area of its own, and so has the heap, unless the kernel's
 * global area serves as one. What is free there, CMA knows. The block only keeps
 * which pages its buffers are in, by page frame number, in the tree that other
 * blocks have for their heap: its base is page frame 0, and all of its buffers,
 * those of pools too, are kept like those of a heap.
 *
 * Memory comes out of the area that was asked for, or not at all. It is cleaned
 * when it is allocated: whoever had it meanwhile left his bytes in it. There is
 * one such block at the most; once made, it stays.
 */
#define pr_fmt(fmt) "cmem: " fmt

#include <linux/cma.h>
#include <linux/device.h>
#include <linux/dma-map-ops.h>
#include <linux/highmem.h>
#include <linux/io.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/nospec.h>
#include <linux/of.h>
#include <linux/of_reserved_mem.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#ifdef CONFIG_ARM
#include <asm/dcache_poc.h>
#endif

#include "cmem.h"
#include "dmabuf.h"
#include "early.h"

/* Behind the areas of the pools */
#define CMEM_CMA_HEAP	CMEM_MAX_POOLS

/**
 * struct cmem_cma_area - a CMA area
 * @cma: the area, NULL if there is none
 * @base_pfn: page frame number of its first page
 * @num_pages: its length. The kernel made it a multiple of what CMA works with.
 * @limit: pages that were asked for: as many as can be in our buffers. Of the global
 *	area it is our share, under the block's lock.
 * @used: pages in our buffers, those that are on their way included, under the
 *	block's lock
 */
struct cmem_cma_area {
	struct cma *cma;
	unsigned long base_pfn;
	unsigned long num_pages;
	unsigned long limit;
	unsigned long used;
};

/**
 * struct cmem_cma - the block and its areas
 * @block: what all blocks have
 * @areas: those of the pools by the pools' numbers, then the heap's
 * @own_heap: the heap's area is not the global one, which others use as well
 * @no_heap: there is to be none, not even in the global area
 */
struct cmem_cma {
	struct cmem_block block;
	struct cmem_cma_area areas[CMEM_MAX_POOLS + 1];
	bool own_heap;
	bool no_heap;
};

/**
 * struct cmem_cma_buffer - a buffer of the block
 * @buffer: what buffers of a heap have
 * @area: where it came from
 * @remapped: the kernel's own map of it has been made non-cached as well
 */
struct cmem_cma_buffer {
	struct cmem_heap_buffer buffer;
	struct cmem_cma_area *area;
	bool remapped;
};

static struct cmem_cma *cmem_cma;

/*
 * Of the global area, which is every driver's, we take a part: so much that the others
 * can't be left without any by programs.
 */
static struct cmem_amount cmem_cma_share = { .given = true, .percent = 25 };

/**
 * cmem_cma_block - the block of CMA areas
 *
 * Return: the block, or NULL if there is none.
 */
struct cmem_block *cmem_cma_block(void)
{
	/* With all that cmem_cma_publish() has put into it */
	struct cmem_cma *cma = smp_load_acquire(&cmem_cma);

	return cma ? &cma->block : NULL;
}

/**
 * cmem_cma_find_pfn - find out if a page is in a CMA area of ours
 * @pfn: page frame number
 *
 * Return: the block or NULL.
 */
struct cmem_block *cmem_cma_find_pfn(unsigned long pfn)
{
	/* As above */
	struct cmem_cma *cma = smp_load_acquire(&cmem_cma);
	unsigned int i;

	for (i = 0; cma && i < ARRAY_SIZE(cma->areas); i++)
		if (pfn - cma->areas[i].base_pfn < cma->areas[i].num_pages)
			return &cma->block;
	return NULL;
}

static struct cmem_cma *cmem_cma_of(struct cmem_block *block)
{
	return container_of(block, struct cmem_cma, block);
}

/* What our buffers can still get of an area. The share may be less than they have. */
static unsigned long cmem_cma_left(const struct cmem_cma_area *area)
{
	return area->limit - min(area->used, area->limit);
}

/**
 * cmem_cma_length - bytes that buffers can have in all areas
 * @block: the block
 *
 * Return: the sum, that of the global area included.
 */
u64 cmem_cma_length(struct cmem_block *block)
{
	struct cmem_cma *cma = cmem_cma_of(block);
	u64 pages = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cma->areas); i++)
		pages += max(READ_ONCE(cma->areas[i].limit),
			     READ_ONCE(cma->areas[i].used));
	return pages << PAGE_SHIFT;
}

/**
 * cmem_cma_largest - the longest run of pages that no buffer of ours is in
 * @block: the block, locked
 *
 * Return: its length in pages, in the heap's area, and no more than can be had of it.
 */
unsigned long cmem_cma_largest(struct cmem_block *block)
{
	struct cmem_cma_area *area = &cmem_cma_of(block)->areas[CMEM_CMA_HEAP];
	unsigned long end = area->base_pfn + area->num_pages;
	unsigned long largest = 0, run = area->base_pfn, pfn = run;
	struct cmem_heap_buffer *from;

	while (pfn < end && (from = cmem_heap_next(&block->heap, &pfn, end - 1))) {
		largest = max(largest, pfn - run);
		pfn += from->pages;
		run = pfn;
	}
	return min(max(largest, end - run), cmem_cma_left(area));
}

/**
 * cmem_cma_is_ours - tell if there is memory for nobody but us
 * @block: the block
 *
 * Return: true if there is a pool or a heap that is not the global area.
 */
bool cmem_cma_is_ours(struct cmem_block *block)
{
	return block->num_pools || cmem_cma_of(block)->own_heap;
}

/**
 * cmem_cma_area - where an area is
 * @block: the block
 * @number: of the pool, or CMEM_MAX_POOLS for the heap
 * @start: where to put the page frame number of its first page
 * @pages: where to put its length
 */
void cmem_cma_area(struct cmem_block *block, unsigned int number,
		   unsigned long *start, unsigned long *pages)
{
	const struct cmem_cma_area *area = &cmem_cma_of(block)->areas[number];

	*start = area->base_pfn;
	*pages = area->num_pages;
}

/* Tell what an area has left in terms of other blocks' pools and heaps. */
static void cmem_cma_count(struct cmem_cma *cma, const struct cmem_cma_area *area)
{
	unsigned int number = area - cma->areas;
	unsigned long left = cmem_cma_left(area);
	struct cmem_block *block = &cma->block;

	if (number == CMEM_CMA_HEAP) {
		block->heap.size = area->used + left;
		block->heap.free = left;
		block->heap.dirty = left;
	} else {
		/* Without an area, their length may be more than fits there. */
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
			request->account->pages += pages;
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
 * On arm, the kernel's own map of low memory must not be cached where a program's
 * is not. That of arm64 stays cached: nobody touches it, and what is in a cache
 * for it is clean. So does it with the DMA API, which makes the same difference.
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
 * Buffers that huge pages can map begin on a boundary of such if there is one
 * free. In a pool, all of them do, or a pool of n would not have room for n.
 */
static struct page *cmem_cma_alloc(const struct cmem_cma_area *area, bool heap,
				   unsigned long pages, unsigned int order)
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
	struct cmem_heap_buffer *from = &buffer->buffer;
	int ret;

	ret = cmem_scrub_pages(&cma->block, from->start, from->pages, true);
	if (ret)
		return ret;

	buffer->remapped = cmem_cma_must_remap(&cma->block, page, flags);
	if (buffer->remapped)
		cmem_cma_remap(page, from->pages, false);
	return 0;
}

static void cmem_cma_release(struct cmem_cma_buffer *buffer)
{
	struct cmem_heap_buffer *from = &buffer->buffer;
	struct page *page = pfn_to_page(from->start);

	if (buffer->remapped)
		cmem_cma_remap(page, from->pages, true);
	cma_release(buffer->area->cma, page, from->pages);
}

/* Put a buffer into the tree. */
static int cmem_cma_note(struct cmem_cma *cma, struct cmem_heap_buffer *from)
{
	unsigned int tries = CMEM_ROOM_TRIES;
	int ret;

	do {
		mutex_lock(&cma->block.lock);
		ret = cmem_heap_insert(&cma->block.heap, from->start,
				       from->pages, from);
		mutex_unlock(&cma->block.lock);
	} while (cmem_try_again(&ret, &tries));
	return ret;
}

/* Get clean pages of an area, which has been charged for them. */
static int cmem_cma_fill(struct cmem_cma *cma, struct cmem_cma_area *area,
			 const struct cmem_request *request, unsigned long pages,
			 struct cmem_heap_buffer **from)
{
	unsigned int number = area - cma->areas;
	bool heap = number == CMEM_CMA_HEAP;
	u64 align = max_t(u64, request->alignment, PAGE_SIZE);
	struct cmem_cma_buffer *buffer;
	struct page *page;
	int ret;

	buffer = kzalloc(sizeof(*buffer), CMEM_GFP_USER);
	if (!buffer)
		return -ENOMEM;

	ret = cmem_dmem_charge(&cma->block.dmem, &buffer->buffer.buffer.dmem,
			       (u64)pages << PAGE_SHIFT);
	if (ret)
		goto err_free;
	page = cmem_cma_alloc(area, heap, pages,
			      min_t(unsigned int, ilog2(align) - PAGE_SHIFT,
				    BITS_PER_LONG - 2));
	if (!page) {
		ret = fatal_signal_pending(current) ? -EINTR : -ENOMEM;
		goto err_dmem;
	}

	buffer->area = area;
	buffer->buffer.block = &cma->block;
	buffer->buffer.pool = heap ? CMEM_POOL_HEAP : (s32)number;
	buffer->buffer.user = request->user;
	buffer->buffer.start = page_to_pfn(page);
	buffer->buffer.pages = pages;
	ret = cmem_cma_clean(cma, buffer, page, request->flags);
	if (ret)
		goto err_release;

	ret = cmem_cma_note(cma, &buffer->buffer);
	if (ret)
		goto err_release;
	*from = &buffer->buffer;
	return 0;

err_release:
	cmem_cma_release(buffer);
err_dmem:
	cmem_dmem_uncharge(&buffer->buffer.buffer.dmem, (u64)pages << PAGE_SHIFT);
err_free:
	kfree(buffer);
	return ret;
}

/* Once: a program may go on asking. */
static void cmem_cma_tell_share(const struct cmem_cma *cma,
				const struct cmem_cma_area *area)
{
	if (area != &cma->areas[CMEM_CMA_HEAP] || cma->own_heap || !area->cma ||
	    area->limit == area->num_pages)
		return;
	pr_notice_once("block %d: the heap gets no more than %#llx of the %#llx bytes of the global CMA area: cmem.cma_share= is more, cmem_cma_heapsize= is an area of its own\n",
		       CMEM_BLOCK_CMA, (u64)area->limit << PAGE_SHIFT,
		       (u64)area->num_pages << PAGE_SHIFT);
}

static int cmem_cma_take_from(struct cmem_cma *cma, unsigned int number,
			      struct cmem_request *request,
			      struct cmem_heap_buffer **from)
{
	struct cmem_cma_area *area = &cma->areas[number];
	unsigned long pages;
	int ret;

	if (request->length > (u64)READ_ONCE(area->limit) << PAGE_SHIFT) {
		cmem_cma_tell_share(cma, area);
		return -ENOMEM;
	}
	pages = DIV_ROUND_UP_ULL(request->length, PAGE_SIZE);
	/* A pool's buffer is as long as all of them, or longer if asked for. */
	if (number != CMEM_CMA_HEAP)
		pages = max(pages, cma->block.pools[number].pages);

	ret = cmem_cma_charge(cma, area, request, pages);
	if (ret) {
		if (pages > cmem_cma_left(area))
			cmem_cma_tell_share(cma, area);
		return ret;
	}
	ret = cmem_cma_fill(cma, area, request, pages, from);
	if (ret) {
		mutex_lock(&cma->block.lock);
		cmem_cma_uncharge(cma, area, request->user, pages);
		mutex_unlock(&cma->block.lock);
	}
	return ret;
}

/* The area for a buffer: its pool's is never left for another's */
static int cmem_cma_choose(struct cmem_cma *cma,
			   const struct cmem_request *request)
{
	struct cmem_block *block = &cma->block;
	unsigned int i;

	if (request->pool == CMEM_POOL_HEAP)
		return CMEM_CMA_HEAP;
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

	if (request->alignment & (request->alignment - 1))
		return -EINVAL;
	if (request->pool < CMEM_POOL_HEAP ||
	    request->pool >= (s32)cma->block.num_pools)
		return -ENOENT;
	if (request->pool < 0) {
		/* More than our share of the global area is not wrong, but not there. */
		length = cmem_cma_length(&cma->block);
		if (!cma->own_heap)
			length += (u64)cma->areas[CMEM_CMA_HEAP].num_pages <<
				  PAGE_SHIFT;
		return !request->length || request->length > length ? -EINVAL : 0;
	}
	length = cma->areas[array_index_nospec(request->pool,
					       cma->block.num_pools)].limit;
	/* One that could not be had at boot has room for nothing. */
	return length && request->length > length << PAGE_SHIFT ? -EINVAL : 0;
}

/* Take memory of the area that is chosen, or else of the heap's if that may serve. */
static int cmem_cma_take_chosen(struct cmem_block *block,
				struct cmem_request *request,
				struct cmem_heap_buffer **from)
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
		ret = cmem_cma_take_from(cma, number, request, from);
	} else {
		ret = number;
	}
	if (fallback && number != CMEM_CMA_HEAP &&
	    (ret == -ENOMEM || ret == -ENOENT))
		ret = cmem_cma_take_from(cma, CMEM_CMA_HEAP, request, from);
	return ret;
}

/**
 * cmem_cma_take - take memory out of a CMA area
 * @block: the block
 * @request: what is wanted. A pool that is named gives a longer buffer than its
 *	own as well, in place of some of these.
 * @from: where to put the buffer, which has no user yet
 *
 * The memory is clean. May sleep for long: others' pages are moved away. Called
 * without the block's lock.
 *
 * Return: 0 or an errno, as struct cmem_alloc in the UAPI header says.
 */
int cmem_cma_take(struct cmem_block *block, struct cmem_request *request,
		  struct cmem_heap_buffer **from)
{
	int ret = cmem_cma_take_chosen(block, request, from);

	if (ret != -ENOMEM || !(request->flags & CMEM_REQUEST_EXACT) ||
	    !block->dma_heap_config.from_pools)
		return ret;
	request->flags &= ~CMEM_REQUEST_EXACT;
	return cmem_cma_take_chosen(block, request, from);
}

/**
 * cmem_cma_put - give memory back to its CMA area
 * @from: a buffer that nobody holds. The block is locked.
 */
void cmem_cma_put(struct cmem_heap_buffer *from)
{
	struct cmem_cma_buffer *buffer = container_of(from, struct cmem_cma_buffer,
						      buffer);
	struct cmem_cma *cma = cmem_cma_of(from->block);

	cmem_heap_erase(&cma->block.heap, from->start, from->pages);
	cmem_cma_uncharge(cma, buffer->area, from->user, from->pages);
	cmem_cma_release(buffer);
	kfree(buffer);
}

static void cmem_cma_set_area(struct cmem_cma_area *area, struct cma *cma)
{
	/* One that the kernel could not make use of has no size left. */
	if (!cma || !cma_get_size(cma))
		return;
	area->cma = cma;
	area->base_pfn = PHYS_PFN(cma_get_base(cma));
	area->num_pages = cma_get_size(cma) >> PAGE_SHIFT;
	area->limit = area->num_pages;
}

/* The heap of a block that has no area for it is a part of the global one. */
static void cmem_cma_set_share(struct cmem_cma_area *heap, struct cma *cma)
{
	unsigned long share;

	/* Also if it is nothing: root may raise it. */
	cmem_cma_set_area(heap, cma);
	share = cmem_amount_pages(&cmem_cma_share, heap->num_pages);
	heap->limit = min(heap->limit, share);
}

static int cmem_cma_share_set(const char *val, const struct kernel_param *kp)
{
	struct cmem_block *block = cmem_cma_block();
	size_t length = strcspn(val, "\n");
	struct cmem_amount share;
	struct cmem_cma_area *heap;
	char word[40];

	if (length >= sizeof(word))
		length = sizeof(word) - 1;
	strscpy(word, val, length + 1);
	if (cmem_amount_parse(word, &share)) {
		pr_err("cma_share=%s: must be bytes, with K, M or G behind, a percentage such as 25%%, or none, for all of it\n",
		       word);
		return -EINVAL;
	}
	/* When the kernel boots, the parameters come before the block. */
	if (system_state < SYSTEM_RUNNING && !block) {
		cmem_cma_share = share;
		return 0;
	}
	if (!block || cmem_cma_of(block)->own_heap ||
	    !cmem_cma_of(block)->areas[CMEM_CMA_HEAP].cma) {
		pr_err("cma_share=%s: the heap of block %d is no part of the global CMA area\n",
		       word, CMEM_BLOCK_CMA);
		return -ENODEV;
	}

	heap = &cmem_cma_of(block)->areas[CMEM_CMA_HEAP];
	mutex_lock(&block->lock);
	cmem_cma_share = share;
	WRITE_ONCE(heap->limit, min(cmem_amount_pages(&share, heap->num_pages),
				    heap->num_pages));
	cmem_cma_count(cmem_cma_of(block), heap);
	mutex_unlock(&block->lock);
	cmem_quota_apply(block);
	return 0;
}

static int cmem_cma_share_get(char *buffer, const struct kernel_param *kp)
{
	int length = cmem_amount_emit(&cmem_cma_share, buffer, 0);

	return length + sysfs_emit_at(buffer, length, "\n");
}

static const struct kernel_param_ops cmem_cma_share_ops = {
	.set = cmem_cma_share_set,
	.get = cmem_cma_share_get,
};
module_param_cb(cma_share, &cmem_cma_share_ops, NULL, 0644);
MODULE_PARM_DESC(cma_share, "what block -1 may take of the kernel's global CMA area if that is its heap: bytes with K, M or G, a percentage, or none, for all of it (default 25%)");

static struct cmem_cma *cmem_cma_new(unsigned int num_pools)
{
	struct cmem_cma *cma = kzalloc(sizeof(*cma), GFP_KERNEL);

	if (!cma)
		return NULL;
	cma->block.pools = kcalloc(num_pools, sizeof(*cma->block.pools),
				   GFP_KERNEL);
	if (!cma->block.pools) {
		kfree(cma);
		return NULL;
	}
	cma->block.num_pools = num_pools;
	return cma;
}

static void cmem_cma_free(struct cmem_cma *cma)
{
	kfree(cma->block.pools);
	kfree(cma);
}

static void cmem_cma_set_pool(struct cmem_cma *cma, unsigned int number,
			      const struct cmem_pool_config *config,
			      struct cma *area)
{
	struct cmem_carved_pool *pool = &cma->block.pools[number];

	cmem_cma_set_area(&cma->areas[number], area);
	pool->block = &cma->block;
	pool->number = number;
	pool->start = cma->areas[number].base_pfn;
	pool->requested = config->length;
	pool->pages = DIV_ROUND_UP_ULL(config->length, PAGE_SIZE);
	pool->slots.count = cma->areas[number].cma ? config->count : 0;
	cma->areas[number].limit = pool->slots.count * pool->pages;
}

static bool cmem_cma_has_area(const struct cmem_cma *cma, const struct cma *area)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cma->areas); i++)
		if (cma->areas[i].cma == area)
			return true;
	return false;
}

/* Make the block of its areas, and let others find it. */
static void cmem_cma_publish(struct cmem_cma *cma, bool coherent,
			     struct device *dev,
			     const struct cmem_quarantine_config *quarantine)
{
	struct cmem_cma_area *heap = &cma->areas[CMEM_CMA_HEAP];
	struct cma *global = dev_get_cma_area(NULL);
	struct cmem_block *block = &cma->block;
	unsigned int i;

	cma->own_heap = heap->cma && heap->cma != global;
	/* A pool may have it: linux,cma-default makes any area the global one. */
	if (global && !cma->no_heap && !cmem_cma_has_area(cma, global) && !heap->cma)
		cmem_cma_set_share(heap, global);
	if (!heap->cma && !block->num_pools) {
		cmem_cma_free(cma);
		return;
	}

	mutex_init(&block->lock);
	cmem_quarantine_init(block);
	cmem_quota_init(block);
	block->id = CMEM_BLOCK_CMA;
	block->kind = CMEM_KIND_CMA;
	block->coherent = coherent;
	block->has_pages = true;
	for (i = 0; i < ARRAY_SIZE(cma->areas); i++)
		block->num_pages = max(block->num_pages, cma->areas[i].base_pfn +
				       cma->areas[i].num_pages);
	cmem_heap_init(&block->heap, 0, block->num_pages, &block->lock);
	cmem_block_sort_pools(block);
	mutex_lock(&block->lock);
	for (i = 0; i < block->num_pools; i++)
		cmem_cma_count(cma, &cma->areas[i]);
	cmem_cma_count(cma, heap);
	/* Without memory for it, what is in quarantine waits for a supervisor. */
	if (cmem_quarantine_configure(dev, block, quarantine))
		block->quarantine_config.num_rprocs = 0;
	block->present = true;
	mutex_unlock(&block->lock);
	/* With all that the share may become */
	if (cmem_dmem_register(&block->dmem, block->id, cmem_cma_length(block) +
			       ((u64)(heap->num_pages - heap->limit) << PAGE_SHIFT)))
		pr_err("block %d: no memory for its region of the dmem cgroup controller\n",
		       block->id);
	/* From here on, cmem_cma_block() finds all of it. */
	smp_store_release(&cmem_cma, cma);
	cmem_quota_apply(block);

	pr_info("block %d: %u pools, heap of %#llx bytes in %s CMA area\n",
		block->id, block->num_pools, (u64)heap->limit << PAGE_SHIFT,
		cma->own_heap ? "its own" : heap->cma ? "the global" : "no");
	cmem_debugfs_add_block(block);
	cmem_dma_heap_add(block);
}

/* What programs do not free of it goes into quarantine, for so many milliseconds. */
static char *cmem_cma_quarantine;
module_param_named(quarantine_cma, cmem_cma_quarantine, charp, 0444);
MODULE_PARM_DESC(quarantine_cma, "quarantine of what is not freed of block -1: milliseconds, decimal, 0 for ever");

static void __init cmem_cma_create_early(bool coherent,
					 const struct cmem_quarantine_config *quarantine)
{
	const struct cmem_early_pool *pool;
	struct cmem_cma *cma;
	unsigned int i, count;

	for (count = 0; cmem_early_pool(count); count++)
		;
	cma = cmem_cma_new(count);
	if (!cma)
		return;
	for (i = 0; i < count; i++) {
		pool = cmem_early_pool(i);
		cmem_cma_set_pool(cma, i, &pool->config, pool->cma);
	}
	cmem_cma_set_area(&cma->areas[CMEM_CMA_HEAP], cmem_early_heap());
	cmem_cma_publish(cma, coherent, NULL, quarantine);
}

/**
 * cmem_cma_create - make block -1 of what the kernel command line says
 * @dev: for messages
 *
 * Unless there is one already. Without any areas of its own, the kernel's global
 * one is its heap; without that, there is no such block, nor if its quarantine can't be
 * what somebody counts on.
 */
void __init cmem_cma_create(struct device *dev)
{
	bool coherent = CMEM_ALWAYS_COHERENT || cmem_config_of_coherent();
	struct cmem_block_config *config;

	/* Also if it is not well there, or not there yet. */
	if (cmem_config_of_has_areas()) {
		if (cmem_early_wanted())
			pr_warn("cmem_cma_pools= and cmem_cma_heapsize= are not used: the device tree describes block %d\n",
				CMEM_BLOCK_CMA);
		if (cmem_cma_quarantine)
			dev_notice(dev, "block %d: it is in the device tree: quarantine_cma= is ignored, ti,quarantine of its node is what counts\n",
				   CMEM_BLOCK_CMA);
		return;
	}

	config = kzalloc(sizeof(*config), GFP_KERNEL);
	if (!config)
		return;
	config->id = CMEM_BLOCK_CMA;
	if (!cmem_cma_quarantine ||
	    !cmem_config_param_quarantine(dev, cmem_cma_quarantine, config))
		cmem_cma_create_early(coherent, &config->quarantine);
	kfree(config);
}

#ifdef CONFIG_OF

/* A node describes the block, be it well or not. */
static bool cmem_cma_in_tree;

/* The area of a node that memory-region refers to */
static int cmem_cma_of_area(struct device *dev, const struct cmem_cma *cma,
			    const char *name, struct cma **area)
{
	int ret;

	ret = of_reserved_mem_device_init_by_name(dev, dev->of_node, name);
	/* The kernel leaves no size to one that it could not make use of. */
	if (ret || !dev->cma_area || !cma_get_size(dev->cma_area)) {
		dev_err(dev, "block %d: memory-region \"%s\" is no CMA area: must be a node under /reserved-memory that is compatible with shared-dma-pool, reusable, and was reserved and activated at boot: see the boot log\n",
			CMEM_BLOCK_CMA, name);
		if (!ret)
			of_reserved_mem_device_release(dev);
		return ret ?: -EINVAL;
	}
	*area = dev->cma_area;
	of_reserved_mem_device_release(dev);
	/* Two names for one would count its memory twice. */
	if (cmem_cma_has_area(cma, *area)) {
		dev_err(dev, "block %d: memory-region \"%s\" is %s, which another name has: each pool and the heap must have an area of its own\n",
			CMEM_BLOCK_CMA, name, cma_get_name(*area));
		return -EINVAL;
	}
	return 0;
}

static int cmem_cma_of_pool(struct device *dev, struct cmem_cma *cma,
			    unsigned int number,
			    const struct cmem_block_config *config)
{
	struct cmem_pool_config pool;
	struct cma *area;
	char name[16];
	u64 bytes;
	int ret;

	snprintf(name, sizeof(name), "pool%u", number);
	ret = cmem_cma_of_area(dev, cma, name, &area);
	if (ret)
		return ret;

	/* Without a word on its buffers, all of it is one. */
	pool.count = 1;
	pool.length = cma_get_size(area);
	if (config->num_pools)
		pool = config->pools[number];
	bytes = round_up(pool.length, (u64)PAGE_SIZE) * pool.count;
	if (bytes > cma_get_size(area)) {
		dev_err(dev, "block %d: cmem-buf-pools: pool %u needs %#llx bytes, each buffer rounded up to %lu, but memory-region \"%s\" has %#lx\n",
			CMEM_BLOCK_CMA, number, bytes, PAGE_SIZE, name,
			cma_get_size(area));
		return -ENOSPC;
	}
	cmem_cma_set_pool(cma, number, &pool, area);
	return 0;
}

/*
 * Get the areas that can be had. A pool without one keeps its number and has no buffers,
 * as one of the command line; a heap without one is not the global area instead.
 */
static int cmem_cma_of_areas(struct device *dev, struct cmem_cma *cma,
			     const struct cmem_block_config *config)
{
	struct cma *area;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < cma->block.num_pools; i++) {
		static const struct cmem_pool_config nothing = { .length = 1 };
		int err = cmem_cma_of_pool(dev, cma, i, config);

		if (err)
			cmem_cma_set_pool(cma, i, config->num_pools ?
					  &config->pools[i] : &nothing, NULL);
		ret = ret ?: err;
	}
	if (of_property_match_string(dev->of_node, "memory-region-names",
				     "heap") >= 0) {
		int err = cmem_cma_of_area(dev, cma, "heap", &area);

		if (!err)
			cmem_cma_set_area(&cma->areas[CMEM_CMA_HEAP], area);
		cma->no_heap = err;
		ret = ret ?: err;
	}
	for (i = 0; i < ARRAY_SIZE(cma->areas); i++)
		if (cma->areas[i].cma)
			return 0;
	return ret;
}

/* How many pools memory-region-names names; pool0, pool1, ... and heap are names */
static int cmem_cma_of_count(struct device *dev)
{
	const struct device_node *node = dev->of_node;
	int regions = of_count_phandle_with_args(node, "memory-region", NULL);
	int names = of_property_count_strings(node, "memory-region-names");
	int heap = of_property_match_string(node, "memory-region-names",
					    "heap") >= 0;
	char name[16];
	int i;

	if (regions <= 0 || names != regions) {
		dev_err(dev, "block %d: memory-region refers to %d nodes and memory-region-names has %d names, must be as many\n",
			CMEM_BLOCK_CMA, max(regions, 0), max(names, 0));
		return -EINVAL;
	}
	if (names - heap > CMEM_MAX_POOLS) {
		dev_err(dev, "block %d: memory-region-names has %d pools, at most %d are possible\n",
			CMEM_BLOCK_CMA, names - heap, CMEM_MAX_POOLS);
		return -E2BIG;
	}
	for (i = 0; i < names - heap; i++) {
		snprintf(name, sizeof(name), "pool%d", i);
		if (of_property_match_string(node, "memory-region-names",
					     name) < 0) {
			dev_err(dev, "block %d: memory-region-names has %d names but no \"%s\", must be pool0, pool1, ... and heap\n",
				CMEM_BLOCK_CMA, names, name);
			return -EINVAL;
		}
	}
	return names - heap;
}

/**
 * cmem_cma_create_of - make block -1 of what a ti,cmem node says
 * @dev: the node's device
 * @pool_cells: what cmem_config_pool_cells() said of it
 * @coherent: devices snoop the caches
 *
 * A node without a memory-region of its own says nothing of it. What is wrong is
 * logged. An area that is wrong is left out; if the node is, or if no area is left, there
 * is no such block, not one of other memory.
 *
 * Return: 0, or an errno.
 */
int cmem_cma_create_of(struct device *dev, int pool_cells, bool coherent)
{
	struct cmem_block_config *config;
	struct cmem_cma *cma;
	int count, ret;

	if (!of_property_present(dev->of_node, "memory-region"))
		return 0;
	if (cmem_cma_in_tree) {
		dev_err(dev, "block %d: memory-region is in another ti,cmem node already\n",
			CMEM_BLOCK_CMA);
		return -EEXIST;
	}
	if (cmem_cma_block()) {
		dev_err(dev, "block %d: it is there already: its node in the device tree came too late\n",
			CMEM_BLOCK_CMA);
		return -EBUSY;
	}
	cmem_cma_in_tree = true;
	count = cmem_cma_of_count(dev);
	if (count < 0)
		return count;

	config = kzalloc(sizeof(*config), GFP_KERNEL);
	if (!config)
		return -ENOMEM;
	config->id = CMEM_BLOCK_CMA;
	ret = cmem_config_of_quota(dev, dev->of_node, pool_cells, config);
	if (!ret)
		ret = cmem_config_of_pools(dev, dev->of_node, pool_cells,
					   U64_MAX, config);
	if (!ret)
		ret = cmem_config_of_quarantine(dev, dev->of_node, config);
	if (!ret)
		ret = cmem_config_of_dma_heap(dev, dev->of_node, config);
	if (ret)
		goto out;
	if (config->num_pools && config->num_pools != count) {
		dev_err(dev, "block %d: cmem-buf-pools has %u pools and memory-region-names has %d, must be as many\n",
			CMEM_BLOCK_CMA, config->num_pools, count);
		ret = -EINVAL;
		goto out;
	}

	cma = cmem_cma_new(count);
	if (!cma) {
		ret = -ENOMEM;
		goto out;
	}
	cma->block.own_quota = config->quota;
	cma->block.dma_heap_config = config->dma_heap;
	ret = cmem_cma_of_areas(dev, cma, config);
	if (ret)
		cmem_cma_free(cma);
	else
		cmem_cma_publish(cma, coherent, dev, &config->quarantine);
out:
	kfree(config);
	return ret;
}

#endif /* CONFIG_OF */
