// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cleans free memory, off the allocation path.
 *
 * Before another owner gets memory, it is zeroed, written back and invalidated to the
 * point of coherency. If zeros stayed dirty in the cache, an invalidate by that owner
 * would bring the old data back. A change between cached and non-cached would mix two
 * views of the same memory.
 *
 * Each block has one thread for this. It starts a while after a buffer was freed: an
 * owner that allocates again meanwhile gets its own memory back, uncleaned. The thread
 * marks memory as being cleaned under the block's lock, and drops the lock for the
 * work. If the last owner wants a pool's buffer back meanwhile, the thread stops.
 *
 * Memory that is not known to be RAM may be absent, now or always. The thread skips it
 * until it has been used. The first allocation of it cleans it.
 */
#define pr_fmt(fmt) "cmem: " fmt

#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/printk.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "alias.h"
#include "block.h"
#include "cache.h"
#include "cmem.h"
#include "failure.h"
#include "heap.h"
#include "pool.h"
#include "scrub.h"
#include "trace.h"

/* A board may keep buffers for their last owner for up to an hour. */
#define CMEM_SCRUB_DELAY_MAX	(60 * 60 * 1000)

/* Pages that are cleaned between two checks whether to continue */
#define CMEM_SCRUB_PAGES	(SZ_256K >> PAGE_SHIFT)

/* A buffer is kept for its last owner for this long, or up to twice as long. */
static unsigned int cmem_scrub_delay_ms = 100;

static unsigned long cmem_scrub_delay(void)
{
	return msecs_to_jiffies(READ_ONCE(cmem_scrub_delay_ms));
}

/* Apply a new delay to work that is queued already. */
static void cmem_scrub_requeue(struct cmem_block *block)
{
	mutex_lock(&block->lock);
	if (block->present && block->scrub_queued && !block->scrub_urgent)
		kthread_mod_delayed_work(block->scrubber, &block->scrub_work,
					 cmem_scrub_delay());
	mutex_unlock(&block->lock);
}

static int cmem_scrub_delay_set(const char *val, const struct kernel_param *kp)
{
	struct cmem_block *block;
	unsigned int ms;

	if (kstrtouint(val, 0, &ms) || ms > CMEM_SCRUB_DELAY_MAX) {
		pr_err("scrub_delay_ms=%.*s is no time to wait, must be from 0 to %u milliseconds\n",
		       (int)strcspn(val, "\n"), val, CMEM_SCRUB_DELAY_MAX);
		return -EINVAL;
	}
	WRITE_ONCE(cmem_scrub_delay_ms, ms);
	cmem_for_each_block(block)
		cmem_scrub_requeue(block);
	return 0;
}

static int cmem_scrub_delay_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%u\n", READ_ONCE(cmem_scrub_delay_ms));
}

static const struct kernel_param_ops cmem_scrub_delay_ops = {
	.set = cmem_scrub_delay_set,
	.get = cmem_scrub_delay_get,
};
module_param_cb(scrub_delay_ms, &cmem_scrub_delay_ops, NULL, 0644);
MODULE_PARM_DESC(scrub_delay_ms, "how long freed memory is kept for its last owner before it is cleaned, in milliseconds (default 100)");

static void cmem_scrub_run(struct cmem_block *block, void *va,
			   phys_addr_t phys, size_t length, void *arg)
{
	if (!block->keep_contents)
		memset(va, 0, length);
	/* A device that does not snoop may be attached to a DMA-BUF of any block. */
	if (!CMEM_ALWAYS_COHERENT)
		cmem_cache_maintain(va, phys, length,
				    CMEM_SYNC_WRITE_BACK_INVALIDATE);
}

/**
 * cmem_scrub_pages - clean memory that nobody else can access
 * @block: the block
 * @start: page offset in it
 * @pages: number of pages
 * @killable: give up on a fatal signal
 *
 * May sleep. Called without the block's lock.
 *
 * Return: 0, -EINTR, -EHWPOISON when a page has failed, or -ENOMEM when the kernel
 * could not map the memory.
 */
int cmem_scrub_pages(struct cmem_block *block, unsigned long start,
		     unsigned long pages, bool killable)
{
	if (cmem_failure_in(block, block->base_pfn + start, pages))
		return -EHWPOISON;
	trace_cmem_scrub(block, start, pages);
	return cmem_alias_for_each(block, NULL, (u64)start << PAGE_SHIFT,
				   (u64)pages << PAGE_SHIFT, killable,
				   cmem_scrub_run, NULL);
}

/* End a round, and wake all who wait for it. The block is locked. */
static void cmem_scrub_finish(struct cmem_block *block)
{
	WRITE_ONCE(block->scrub_round, block->scrub_round + 1);
	wake_up_all(&block->scrub_wait);
}

static void cmem_scrub_pool(struct cmem_carved_pool *pool)
{
	struct cmem_block *block = pool->block;
	unsigned long start, done, pages;
	u32 slot;
	int ret;

	while (block->present && !block->scrub_rests) {
		slot = cmem_pool_scrub_begin(&pool->slots);
		if (slot == CMEM_SLOT_NONE)
			return;

		block->scrubbing_pool = pool;
		block->scrubbing_slot = slot;
		WRITE_ONCE(block->scrub_cancel, false);
		mutex_unlock(&block->lock);

		start = pool->start + slot * pool->pages;
		ret = 0;
		for (done = 0; done < pool->pages && !ret; done += pages) {
			pages = min_t(unsigned long, pool->pages - done,
				      CMEM_SCRUB_PAGES);
			ret = READ_ONCE(block->scrub_cancel) ? -EAGAIN :
			      cmem_scrub_pages(block, start + done, pages,
					       false);
		}

		mutex_lock(&block->lock);
		block->scrubbing_pool = NULL;
		cmem_pool_scrub_end(&pool->slots, slot, !ret);
		/* The memory may have failed meanwhile. */
		cmem_failure_check(block);
		cmem_scrub_finish(block);
	}
}

static void cmem_scrub_heap(struct cmem_block *block)
{
	struct cmem_heap *heap = &block->heap;
	unsigned long start;
	long pages;
	int ret = 0;

	while (!ret && block->present && !block->scrub_rests &&
	       cmem_heap_has_old(heap)) {
		pages = cmem_heap_scrub_begin(heap, CMEM_SCRUB_PAGES, &start);
		if (pages < 0)
			break;

		mutex_unlock(&block->lock);
		if (pages)
			ret = cmem_scrub_pages(block, start, pages, false);
		else
			cond_resched();
		mutex_lock(&block->lock);

		if (pages) {
			cmem_heap_scrub_end(heap, start, pages, !ret);
			cmem_failure_check(block);
			cmem_scrub_finish(block);
		}
	}
}

static bool cmem_scrub_left(const struct cmem_block *block)
{
	unsigned int i;

	for (i = 0; i < block->num_pools; i++)
		if (cmem_pool_to_clean(&block->pools[i].slots))
			return true;
	return cmem_heap_to_clean(&block->heap);
}

/* Make all free memory dirty, without a last owner. */
static void cmem_scrub_soil(struct cmem_block *block)
{
	unsigned int i;

	for (i = 0; i < block->num_pools; i++)
		cmem_pool_soil(&block->pools[i].slots);
	/* If this fails, the block stays soiled: allocations clean all memory. */
	if (!cmem_heap_soil(&block->heap))
		block->soiled = false;
}

static void cmem_scrub_work(struct kthread_work *work)
{
	struct cmem_block *block = container_of(work, struct cmem_block,
						scrub_work.work);
	unsigned int i;

	mutex_lock(&block->lock);
	block->scrub_queued = false;
	if (block->soiled && block->present)
		cmem_scrub_soil(block);
	if (block->present)
		cmem_failure_check(block);
	if (block->scrub_urgent)
		cmem_heap_age(&block->heap);
	for (i = 0; i < block->num_pools; i++) {
		if (block->scrub_urgent)
			cmem_pool_age(&block->pools[i].slots);
		cmem_scrub_pool(&block->pools[i]);
		cmem_pool_age(&block->pools[i].slots);
	}
	cmem_scrub_heap(block);
	cmem_heap_age(&block->heap);
	block->scrub_urgent = false;

	/* Memory that was freed meanwhile waits for the delay, too. */
	if (block->present && (block->soiled || cmem_scrub_left(block)))
		cmem_scrub_kick(block);
	mutex_unlock(&block->lock);
}

/**
 * cmem_scrub_kick - schedule cleaning after memory was freed
 * @block: the block, locked
 */
void cmem_scrub_kick(struct cmem_block *block)
{
	if (block->scrub_queued || block->scrub_rests)
		return;

	block->scrub_queued = true;
	kthread_queue_delayed_work(block->scrubber, &block->scrub_work,
				   cmem_scrub_delay());
}

/**
 * cmem_scrub_hurry - start cleaning at once
 * @block: the block, locked
 */
void cmem_scrub_hurry(struct cmem_block *block)
{
	if (block->scrub_urgent || block->scrub_rests)
		return;

	block->scrub_urgent = true;
	block->scrub_queued = true;
	kthread_mod_delayed_work(block->scrubber, &block->scrub_work, 0);
}

/**
 * cmem_scrub_rest - clean nothing until cmem_scrub_wake()
 * @block: the block, not locked
 *
 * Returns when cleaning in progress is finished or cancelled. The block must not be
 * removed meanwhile.
 */
void cmem_scrub_rest(struct cmem_block *block)
{
	mutex_lock(&block->lock);
	block->scrub_rests = true;
	WRITE_ONCE(block->scrub_cancel, true);
	mutex_unlock(&block->lock);

	if (block->scrubber)
		kthread_cancel_delayed_work_sync(&block->scrub_work);
}

/**
 * cmem_scrub_wake - resume cleaning
 * @block: the block, not locked
 */
void cmem_scrub_wake(struct cmem_block *block)
{
	mutex_lock(&block->lock);
	block->scrub_rests = false;
	block->scrub_queued = false;
	block->scrub_urgent = false;
	/* The CMA block has no scrubber: it cleans memory at allocation. */
	if (block->present && block->scrubber) {
		if (block->soiled)
			cmem_scrub_hurry(block);
		else if (cmem_scrub_left(block))
			cmem_scrub_kick(block);
	}
	mutex_unlock(&block->lock);
}

/**
 * cmem_scrub_start - create the thread that cleans a new block
 * @block: the block
 *
 * The thread is idle until cmem_scrub_kick() or cmem_scrub_hurry().
 *
 * Return: 0, or the errno of kthread_create_worker().
 */
int cmem_scrub_start(struct cmem_block *block)
{
	struct kthread_worker *worker;

	worker = kthread_create_worker(0, "cmem-scrub/%d", block->id);
	if (IS_ERR(worker))
		return PTR_ERR(worker);

	/* A queued work item stays bound to its worker: initialize it again. */
	kthread_init_delayed_work(&block->scrub_work, cmem_scrub_work);
	block->scrubber = worker;
	return 0;
}

/**
 * cmem_scrub_dismiss - cancel cleaning of a block, and wake all who wait for it
 * @block: the block, locked, which is no longer present
 */
void cmem_scrub_dismiss(struct cmem_block *block)
{
	WRITE_ONCE(block->scrub_cancel, true);
	cmem_scrub_finish(block);
}

/**
 * cmem_scrub_stop - end the thread that cleans a block
 * @block: the block, not locked, which is not present
 */
void cmem_scrub_stop(struct cmem_block *block)
{
	if (!block->scrubber)
		return;

	kthread_cancel_delayed_work_sync(&block->scrub_work);
	kthread_destroy_worker(block->scrubber);
}
