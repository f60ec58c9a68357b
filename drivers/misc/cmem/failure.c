// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of blocks that has failed: an error that the hardware can't correct.
 *
 * What the kernel learns of such an error (memory_failure()) it notes in the struct
 * page. For a page that is reserved, or that CMA has given away, it can do no more, and
 * it tells nobody but a trace point. So this file looks for such pages: when the trace
 * point says that there is a new one, and else before memory is handed out.
 *
 * What is free is taken out of use: of a heap the page alone, of a pool the buffer that
 * it is in. So is what is in use, as soon as its last holder lets go of it. Its holders
 * get SIGBUS when they touch the page, and EHWPOISON from what would touch it for them.
 * What is out of use stays so until its block is removed.
 *
 * Memory without struct pages has no place to note it in, and nobody tells. Of CMA, the
 * page allocator takes care: it gives such a page to nobody any more.
 */
#define pr_fmt(fmt) "cmem: " fmt

#include <linux/init.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include <ras/ras_event.h>

#include "cmem.h"

/* No number of failed pages in the machine: whatever that is, look again. */
#define CMEM_FAILURES_UNKNOWN	-1

/**
 * cmem_failure_in - tell if memory has failed
 * @block: a block of which the caller holds a buffer
 * @pfn: page frame number of the first page, in the block
 * @pages: how many
 *
 * Return: true if one of the pages has failed, as far as the kernel knows.
 */
bool cmem_failure_in(const struct cmem_block *block, unsigned long pfn,
		     unsigned long pages)
{
	if (likely(!atomic_long_read(&num_poisoned_pages)) || !block->has_pages)
		return false;
	while (pages--)
		if (PageHWPoison(pfn_to_page(pfn++)))
			return true;
	return false;
}

/* Of a buffer that has been taken. Its block is locked. */
static bool cmem_failure_tell(struct cmem_buffer *buffer, unsigned long page)
{
	struct cmem_extent extent;
	phys_addr_t at, phys;

	/* Out of use already, or being cleaned: its owner is told when that is done. */
	if (!(buffer->flags & (CMEM_BUFFER_LIVE | CMEM_BUFFER_QUARANTINED)))
		return buffer->flags & CMEM_BUFFER_FAILED;

	cmem_buffer_locate(buffer, &extent);
	at = cmem_block_phys(extent.block, page);
	phys = PFN_PHYS(extent.pfn);
	if (buffer->flags & CMEM_BUFFER_LIVE)
		cmem_buffer_unmap(buffer, PHYS_PFN(at), 1);
	if (buffer->flags & CMEM_BUFFER_FAILED)
		return true;
	buffer->flags |= CMEM_BUFFER_FAILED;
	pr_err("block %d: memory failure at %pa, in the buffer of %#llx bytes at %pa, which is in use: it is kept out of use once it is freed\n",
	       extent.id, &at, (u64)extent.pages << PAGE_SHIFT, &phys);
	return true;
}

/* It has been taken out of its pool or heap, which keeps it as one that is in use. */
static void cmem_failure_keep(struct cmem_buffer *buffer, unsigned long page)
{
	struct cmem_extent extent;
	phys_addr_t at;

	cmem_buffer_locate(buffer, &extent);
	at = cmem_block_phys(extent.block, page);
	pr_err("block %d: memory failure at %pa: %#llx bytes are kept out of use\n",
	       extent.id, &at, (u64)extent.pages << PAGE_SHIFT);
	buffer->flags = CMEM_BUFFER_FAILED;
	list_add(&buffer->in_file, &extent.block->failed);
	if (buffer->pool)
		buffer->pool->failed++;
	else
		extent.block->heap_failed += extent.pages;
}

static bool cmem_failure_in_pool(struct cmem_carved_pool *pool,
				 unsigned long page)
{
	u32 slot = (page - pool->start) / pool->pages;
	struct cmem_buffer *buffer = &pool->buffers[slot];

	switch (pool->slots.slots[slot].state) {
	case CMEM_SLOT_TAKEN:
		return cmem_failure_tell(buffer, page);
	case CMEM_SLOT_SCRUBBING:
		return false;
	default:
		cmem_pool_withdraw(&pool->slots, slot);
		cmem_failure_keep(buffer, page);
		return true;
	}
}

static bool cmem_failure_in_heap(struct cmem_block *block, unsigned long page)
{
	struct cmem_heap_buffer *from;
	unsigned long pages;
	void *user;

	switch (cmem_heap_look(&block->heap, page, &pages, &user)) {
	case CMEM_HEAP_USED:
		from = user;
		return cmem_failure_tell(&from->buffer, page);
	case CMEM_HEAP_SCRUBBING:
		return false;
	default:
		from = kzalloc(sizeof(*from), GFP_KERNEL);
		if (!from)
			return false;
		from->block = block;
		from->pool = CMEM_POOL_HEAP;
		from->start = page;
		from->pages = 1;
		if (cmem_heap_withdraw(&block->heap, page, from)) {
			kfree(from);
			return false;
		}
		cmem_failure_keep(&from->buffer, page);
		return true;
	}
}

/* Whether all is done about a page that has failed */
static bool cmem_failure_handle(struct cmem_block *block, unsigned long page)
{
	unsigned int i;

	for (i = 0; i < block->num_pools; i++) {
		struct cmem_carved_pool *pool = &block->pools[i];

		if (page - pool->start < pool->slots.count * pool->pages)
			return cmem_failure_in_pool(pool, page);
	}
	return cmem_failure_in_heap(block, page);
}

/* Of CMA, what is in use: the rest is the kernel's. */
static void cmem_failure_look_cma(struct cmem_block *block)
{
	struct cmem_heap_buffer *from;
	unsigned long page = 0, i;

	while (page < block->num_pages) {
		from = cmem_heap_next(&block->heap, &page, block->num_pages - 1);
		if (!from)
			return;
		for (i = from->start; i < from->start + from->pages; i++)
			if (PageHWPoison(pfn_to_page(block->base_pfn + i)))
				cmem_failure_tell(&from->buffer, i);
		page = from->start + from->pages;
	}
}

/**
 * cmem_failure_look - look for memory of a block that has failed
 * @block: the block, which is present and locked
 *
 * Goes through all of it: for when there is reason to. May sleep.
 */
void cmem_failure_look(struct cmem_block *block)
{
	long failures = atomic_long_read(&num_poisoned_pages);
	unsigned long page;

	if (block->kind == CMEM_KIND_CMA)
		cmem_failure_look_cma(block);
	if (block->kind == CMEM_KIND_CMA || !block->has_pages) {
		block->failures = failures;
		return;
	}
	for (page = 0; page < block->num_pages; page++)
		if (PageHWPoison(pfn_to_page(block->base_pfn + page)) &&
		    !cmem_failure_handle(block, page))
			failures = CMEM_FAILURES_UNKNOWN;
	block->failures = failures;
}

/**
 * cmem_failure_forget - let go of what is kept out of use
 * @block: a block that becomes none, locked
 */
void cmem_failure_forget(struct cmem_block *block)
{
	struct cmem_buffer *buffer, *next;

	list_for_each_entry_safe(buffer, next, &block->failed, in_file) {
		list_del(&buffer->in_file);
		if (!buffer->pool)
			kfree(cmem_heap_buffer(buffer));
	}
	block->heap_failed = 0;
	block->failures = 0;
}

static int cmem_failure_look_again(struct cmem_block *block)
{
	guard(mutex)(&block->lock);
	if (block->present)
		cmem_failure_look(block);
	return 0;
}

static void cmem_failure_work_fn(struct work_struct *work)
{
	cmem_block_for_each(cmem_failure_look_again);
}

static DECLARE_WORK(cmem_failure_work, cmem_failure_work_fn);

/* It is noted in the struct page already, but not in the number of failed pages. */
static void cmem_failure_event(void *data, unsigned long pfn, int type,
			       int result)
{
	schedule_work(&cmem_failure_work);
}

/**
 * cmem_failure_init - hear of memory that fails
 *
 * Without trace points, it is seen when memory is handed out.
 */
void __init cmem_failure_init(void)
{
	register_trace_memory_failure_event(cmem_failure_event, NULL);
}
