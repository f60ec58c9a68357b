// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory failures in blocks: errors that the hardware can't correct.
 *
 * memory_failure() marks the struct page. For a page that is reserved, or that CMA has
 * allocated, it can do no more, and only a trace point reports the error. So this file
 * looks for marked pages when the trace point reports one, and before memory is handed
 * out or cleaned.
 *
 * A free page of a heap is taken out of use alone, a free page of a pool with its
 * buffer. A buffer that is held is marked, and taken out of use with its last reference.
 * Until then, the page is unmapped everywhere: an access gets SIGBUS, and calls that
 * would access it return EHWPOISON. Memory stays out of use until its block is removed.
 *
 * The block's lock protects all this, except the mappings. A fault may check a page
 * before it fails, and map it after it was unmapped everywhere. So faults are SRCU
 * readers, and the work item waits for them between marking and unmapping.
 *
 * Memory without struct pages has no place for the mark, so its failures stay unknown.
 * For CMA, the page allocator never hands out a failed page again.
 */
#define pr_fmt(fmt) "cmem: " fmt

#include <linux/init.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/workqueue.h>

#include <trace/events/memory-failure.h>

#include "block.h"
#include "buffer.h"
#include "failure.h"
#include "heap.h"
#include "memory.h"
#include "pool.h"
#include "space.h"

/* Never the number of failed pages in the machine: forces another look */
#define CMEM_FAILURES_UNKNOWN	-1

DEFINE_STATIC_SRCU(cmem_failure_srcu);

static void cmem_failure_work_fn(struct work_struct *work);
static DECLARE_WORK(cmem_failure_work, cmem_failure_work_fn);

/**
 * cmem_failure_fault_begin - begin to check pages and map them
 *
 * Return: for cmem_failure_fault_end().
 */
int cmem_failure_fault_begin(void)
	__acquires(&cmem_failure_srcu)
{
	return srcu_read_lock(&cmem_failure_srcu);
}

/**
 * cmem_failure_fault_end - all checked pages are mapped
 * @idx: what cmem_failure_fault_begin() returned
 */
void cmem_failure_fault_end(int idx)
	__releases(&cmem_failure_srcu)
{
	srcu_read_unlock(&cmem_failure_srcu, idx);
}

/* Check as memory_failure() does: only a part of a block may have struct pages. */
static bool cmem_failure_at(const struct cmem_block *block, unsigned long pfn)
{
	struct page *page = block->has_pages ? pfn_to_page(pfn) :
					       pfn_to_online_page(pfn);

	return page && PageHWPoison(page);
}

/**
 * cmem_failure_before - count the pages before the first failed one
 * @block: a block of which the caller has a buffer
 * @pfn: page frame number of the first page, in the block
 * @pages: number of pages to check
 *
 * Return: number of pages before the first one that the kernel knows to have failed;
 * @pages if none has.
 */
unsigned long cmem_failure_before(const struct cmem_block *block,
				  unsigned long pfn, unsigned long pages)
{
	unsigned long i;

	for (i = 0; i < pages; i++)
		if (cmem_failure_at(block, pfn + i))
			break;
	return i;
}

/* Mark a taken buffer as failed. Only its first failed page is logged. */
static void cmem_failure_tell(struct cmem_buffer *buffer, unsigned long page)
{
	struct cmem_extent extent;
	phys_addr_t at, phys;

	if (buffer->flags & CMEM_BUFFER_FAILED)
		return;
	/* An allocation in progress sees the flag, and gives the buffer back. */
	buffer->flags |= CMEM_BUFFER_FAILED;
	if (!(buffer->flags & (CMEM_BUFFER_LIVE | CMEM_BUFFER_QUARANTINED |
			       CMEM_BUFFER_PINNED)))
		return;

	cmem_buffer_locate(buffer, &extent);
	at = cmem_block_phys(extent.block, page);
	phys = PFN_PHYS(extent.pfn);
	pr_err("block %d: memory failure at %pa, in the buffer of %#llx bytes at %pa, which is in use: it is kept out of use once it is freed\n",
	       extent.id, &at, (u64)extent.pages << PAGE_SHIFT, &phys);
	queue_work(system_unbound_wq, &cmem_failure_work);
}

/* Keep a buffer out of use. Its pool or heap already treats it as taken. */
static void cmem_failure_keep(struct cmem_buffer *buffer, unsigned long page)
{
	struct cmem_extent extent;
	phys_addr_t at;

	cmem_buffer_locate(buffer, &extent);
	at = cmem_block_phys(extent.block, page);
	pr_err("block %d: memory failure at %pa: %#llx bytes are kept out of use\n",
	       extent.id, &at, (u64)extent.pages << PAGE_SHIFT);
	buffer->flags = CMEM_BUFFER_FAILED;
	list_add(&buffer->in_block, &extent.block->failed);
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
		cmem_failure_tell(buffer, page);
		return true;
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
	struct cmem_heap_buffer *heap_buffer;
	unsigned long pages;
	void *user;

	switch (cmem_heap_look(&block->heap, page, &pages, &user)) {
	case CMEM_HEAP_USED:
		heap_buffer = user;
		cmem_failure_tell(&heap_buffer->buffer, page);
		return true;
	case CMEM_HEAP_SCRUBBING:
		return false;
	default:
		/* This must not fail, or the page would be handed out. */
		heap_buffer = kzalloc(sizeof(*heap_buffer), GFP_KERNEL | __GFP_NOFAIL);
		heap_buffer->block = block;
		heap_buffer->pool = CMEM_POOL_HEAP;
		heap_buffer->start = page;
		heap_buffer->pages = 1;
		cmem_heap_withdraw(&block->heap, page, heap_buffer);
		cmem_failure_keep(&heap_buffer->buffer, page);
		return true;
	}
}

/* Return false if the page is being cleaned, and must be looked at again. */
static bool cmem_failure_handle(struct cmem_block *block, unsigned long page)
{
	struct cmem_carved_pool *pool = cmem_block_pool_at(block, page);

	WRITE_ONCE(block->has_failed, true);
	return pool ? cmem_failure_in_pool(pool, page) :
		      cmem_failure_in_heap(block, page);
}

/* Handles a failed page; returns false if it must be looked at again */
typedef bool (*cmem_failure_fn)(struct cmem_block *block, unsigned long page);

/* Walk pages in use only, for blocks whose free memory is lent to the kernel. */
static void cmem_failure_walk_used(struct cmem_block *block, cmem_failure_fn fn)
{
	struct cmem_heap_buffer *heap_buffer;
	unsigned long page = 0, i;

	while (page < block->num_pages) {
		heap_buffer = cmem_heap_next(&block->heap, &page, block->num_pages - 1);
		if (!heap_buffer)
			return;
		for (i = heap_buffer->start; i < heap_buffer->start + heap_buffer->pages; i++) {
			if (cmem_failure_at(block, block->base_pfn + i))
				fn(block, i);
			if (!(i % SZ_2K))
				cond_resched();
		}
		page = heap_buffer->start + heap_buffer->pages;
		cond_resched();
	}
}

/* Call a function for each failed page. Return true if all calls returned true. */
static bool cmem_failure_walk(struct cmem_block *block, cmem_failure_fn fn)
{
	unsigned long page, next, pfn, steps = 0;
	bool ret = true;

	if (block->ops->lends_free) {
		cmem_failure_walk_used(block, fn);
		return true;
	}
	for (page = 0; page < block->num_pages; page = next) {
		pfn = block->base_pfn + page;
		next = page + 1;
		if (!block->has_pages && !pfn_to_online_page(pfn))
			next = cmem_memory_next_page(pfn) - block->base_pfn;
		else if (cmem_failure_at(block, pfn) && !fn(block, page))
			ret = false;
		if (!(steps++ % SZ_2K))
			cond_resched();
	}
	return ret;
}

/**
 * cmem_failure_look - look for failed memory of a block
 * @block: the block, which is present and locked
 *
 * Walks the whole block, so there should be a reason to. May sleep.
 */
void cmem_failure_look(struct cmem_block *block)
{
	long failures = atomic_long_read(&num_poisoned_pages);

	/* The scrubber looks again when it has finished its pages. */
	if (!cmem_failure_walk(block, cmem_failure_handle))
		failures = CMEM_FAILURES_UNKNOWN;
	block->failures = failures;
}

/**
 * cmem_failure_return - take failed memory of a buffer out of use
 * @block: the block, which is present and locked
 * @start: page offset of the buffer, which has just been given back
 * @pages: number of its pages
 */
void cmem_failure_return(struct cmem_block *block, unsigned long start,
			 unsigned long pages)
{
	unsigned long i;

	if (block->ops->lends_free)
		return;
	for (i = start; i < start + pages; i++)
		if (cmem_failure_at(block, block->base_pfn + i))
			cmem_failure_handle(block, i);
}

/**
 * cmem_failure_forget - forget the memory that is kept out of use
 * @block: a block that is being removed, locked
 */
void cmem_failure_forget(struct cmem_block *block)
{
	struct cmem_buffer *buffer, *next;

	list_for_each_entry_safe(buffer, next, &block->failed, in_block) {
		list_del(&buffer->in_block);
		if (!buffer->pool)
			kfree(cmem_heap_buffer(buffer));
	}
}

static void cmem_failure_look_again(struct cmem_block *block)
{
	guard(mutex)(&block->lock);
	if (block->present)
		cmem_failure_look(block);
}

static bool cmem_failure_unmap(struct cmem_block *block, unsigned long page)
{
	cmem_space_unmap(block->base_pfn + page, 1);
	return true;
}

static void cmem_failure_unmap_all(struct cmem_block *block)
{
	guard(mutex)(&block->lock);
	if (block->present && block->has_failed)
		cmem_failure_walk(block, cmem_failure_unmap);
}

static void cmem_failure_work_fn(struct work_struct *work)
{
	struct cmem_block *block;

	cmem_for_each_block(block)
		cmem_failure_look_again(block);
	/* After this, all faults that saw no failure have mapped their pages. */
	synchronize_srcu(&cmem_failure_srcu);
	cmem_for_each_block(block)
		cmem_failure_unmap_all(block);
}

/* The struct page is marked already, but num_poisoned_pages does not count it yet. */
static void cmem_failure_event(void *data, unsigned long pfn, int type,
			       int result)
{
	queue_work(system_unbound_wq, &cmem_failure_work);
}

/**
 * cmem_failure_init - listen for memory failures
 *
 * Without trace points, they are noticed when memory is handed out or cleaned.
 */
void __init cmem_failure_init(void)
{
	register_trace_memory_failure_event(cmem_failure_event, NULL);
}
