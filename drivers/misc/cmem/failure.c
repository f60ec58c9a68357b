// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of blocks that has failed: an error that the hardware can't correct.
 *
 * What the kernel learns of such an error (memory_failure()) it notes in the struct
 * page. For a page that is reserved, or that CMA has given away, it can do no more, and
 * it tells nobody but a trace point. So this file looks for such pages: when the trace
 * point says that there is a new one, and else before memory is handed out or cleaned.
 *
 * A free page of a heap is taken out of use alone, one of a pool with the buffer that it
 * is in. A buffer that somebody holds is marked, and taken out of use when its last holder
 * lets go of it. Until then no mapping has the page: whoever touches it gets SIGBUS, and
 * calls that would touch it return EHWPOISON. Memory that is out of use stays out of use
 * until its block is removed.
 *
 * All of this is under the block's lock, but for the mappings. A fault may have looked at
 * a page before it failed, and map it later than it was taken out of all mappings. So
 * faults are SRCU readers, and between the mark and the mappings one waits for them.
 *
 * Memory without struct pages has no place to note it in, and nobody tells. Of CMA, the
 * page allocator takes care: it gives such a page to nobody any more.
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

/* No number of failed pages in the machine: whatever that is, look again. */
#define CMEM_FAILURES_UNKNOWN	-1

DEFINE_STATIC_SRCU(cmem_failure_srcu);

static void cmem_failure_work_fn(struct work_struct *work);
static DECLARE_WORK(cmem_failure_work, cmem_failure_work_fn);

/**
 * cmem_failure_fault_begin - go to look at pages and to map them
 *
 * Return: for cmem_failure_fault_end().
 */
int cmem_failure_fault_begin(void)
	__acquires(&cmem_failure_srcu)
{
	return srcu_read_lock(&cmem_failure_srcu);
}

/**
 * cmem_failure_fault_end - what is mapped is mapped
 * @idx: what cmem_failure_fault_begin() returned
 */
void cmem_failure_fault_end(int idx)
	__releases(&cmem_failure_srcu)
{
	srcu_read_unlock(&cmem_failure_srcu, idx);
}

/* As memory_failure() sees it: a block may have struct pages for a part of it. */
static bool cmem_failure_at(const struct cmem_block *block, unsigned long pfn)
{
	struct page *page = block->has_pages ? pfn_to_page(pfn) :
					       pfn_to_online_page(pfn);

	return page && PageHWPoison(page);
}

/**
 * cmem_failure_before - count pages that are well
 * @block: a block of which the caller has a buffer
 * @pfn: page frame number of the first page, in the block
 * @pages: how many
 *
 * Return: how many there are before the first that has failed, as far as the kernel
 * knows; @pages if none has.
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

/* Of a buffer that has been taken. The log tells of the first page alone. */
static void cmem_failure_tell(struct cmem_buffer *buffer, unsigned long page)
{
	struct cmem_extent extent;
	phys_addr_t at, phys;

	if (buffer->flags & CMEM_BUFFER_FAILED)
		return;
	/* Who is just being given it sees that, and gives it back. */
	buffer->flags |= CMEM_BUFFER_FAILED;
	if (!(buffer->flags & (CMEM_BUFFER_LIVE | CMEM_BUFFER_QUARANTINED)))
		return;

	cmem_buffer_locate(buffer, &extent);
	at = cmem_block_phys(extent.block, page);
	phys = PFN_PHYS(extent.pfn);
	pr_err("block %d: memory failure at %pa, in the buffer of %#llx bytes at %pa, which is in use: it is kept out of use once it is freed\n",
	       extent.id, &at, (u64)extent.pages << PAGE_SHIFT, &phys);
	queue_work(system_unbound_wq, &cmem_failure_work);
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
	struct cmem_heap_buffer *from;
	unsigned long pages;
	void *user;

	switch (cmem_heap_look(&block->heap, page, &pages, &user)) {
	case CMEM_HEAP_USED:
		from = user;
		cmem_failure_tell(&from->buffer, page);
		return true;
	case CMEM_HEAP_SCRUBBING:
		return false;
	default:
		/* Without, somebody would get the page. */
		from = kzalloc(sizeof(*from), GFP_KERNEL | __GFP_NOFAIL);
		from->block = block;
		from->pool = CMEM_POOL_HEAP;
		from->start = page;
		from->pages = 1;
		cmem_heap_withdraw(&block->heap, page, from);
		cmem_failure_keep(&from->buffer, page);
		return true;
	}
}

/* If not all is done, it is being cleaned. */
static bool cmem_failure_handle(struct cmem_block *block, unsigned long page)
{
	struct cmem_carved_pool *pool = cmem_block_pool_at(block, page);

	WRITE_ONCE(block->has_failed, true);
	return pool ? cmem_failure_in_pool(pool, page) :
		      cmem_failure_in_heap(block, page);
}

/* Called for a page that has failed; returns whether all is done about it */
typedef bool (*cmem_failure_fn)(struct cmem_block *block, unsigned long page);

/* Where what is free is the kernel's: what is in use */
static void cmem_failure_walk_used(struct cmem_block *block, cmem_failure_fn fn)
{
	struct cmem_heap_buffer *from;
	unsigned long page = 0, i;

	while (page < block->num_pages) {
		from = cmem_heap_next(&block->heap, &page, block->num_pages - 1);
		if (!from)
			return;
		for (i = from->start; i < from->start + from->pages; i++) {
			if (cmem_failure_at(block, block->base_pfn + i))
				fn(block, i);
			if (!(i % SZ_2K))
				cond_resched();
		}
		page = from->start + from->pages;
		cond_resched();
	}
}

/* Call a function for each page that has failed, and tell if it always returned true. */
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
 * cmem_failure_look - look for memory of a block that has failed
 * @block: the block, which is present and locked
 *
 * Goes through all of it: for when there is reason to. May sleep.
 */
void cmem_failure_look(struct cmem_block *block)
{
	long failures = atomic_long_read(&num_poisoned_pages);

	/* The scrubber looks again when it has done what it was at. */
	if (!cmem_failure_walk(block, cmem_failure_handle))
		failures = CMEM_FAILURES_UNKNOWN;
	block->failures = failures;
}

/**
 * cmem_failure_return - take out of use what of a buffer has failed
 * @block: the block, which is present and locked
 * @start: page offset of the buffer, which has just been given back
 * @pages: how many it has
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
 * cmem_failure_forget - let go of what is kept out of use
 * @block: a block that becomes none, locked
 */
void cmem_failure_forget(struct cmem_block *block)
{
	struct cmem_buffer *buffer, *next;

	list_for_each_entry_safe(buffer, next, &block->failed, in_block) {
		list_del(&buffer->in_block);
		if (!buffer->pool)
			kfree(cmem_heap_buffer(buffer));
	}
	block->heap_failed = 0;
	block->failures = 0;
	WRITE_ONCE(block->has_failed, false);
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
	/* Faults that saw no failure have mapped what they are going to. */
	synchronize_srcu(&cmem_failure_srcu);
	cmem_for_each_block(block)
		cmem_failure_unmap_all(block);
}

/* It is noted in the struct page already, but not in the number of failed pages. */
static void cmem_failure_event(void *data, unsigned long pfn, int type,
			       int result)
{
	queue_work(system_unbound_wq, &cmem_failure_work);
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
