// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pins: page-backed buffers that nobody holds, but whose pages are still in use.
 *
 * A page-backed buffer is mapped with its struct pages. The kernel can pin such a page
 * for I/O, or keep a reference to it in a pipe or a socket (get_user_pages()). These
 * references outlive the mapping, the file and the process. Each page of a buffer has
 * one reference of its own, as free memory has it. While a page has more, the buffer is
 * pinned: it is not free, nobody gets it, and its user stays charged.
 *
 * A page without such a reference gets none any more: only references and mappings lead
 * to a page, and each entry of a mapping has a reference. get_user_pages_fast() may have
 * read a page table entry before it went. It then takes a reference, finds that the entry
 * has gone, and drops the reference without using the page. This does not matter for
 * memory that stays CMEM's, but CMA warns about each page that has another reference.
 * get_user_pages_fast() runs with interrupts disabled, so memory returns to CMA only
 * after an RCU grace period.
 *
 * Nothing tells that a reference was dropped, so this file looks at the counts: when a
 * buffer is freed, before an allocation fails or a block is removed, and from time to
 * time. The delay between two looks doubles while they find no change.
 */
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/page-flags.h>
#include <linux/page_ref.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>

#include "alloc.h"
#include "block.h"
#include "buffer.h"
#include "pins.h"
#include "trace.h"

/* Milliseconds between two looks */
#define CMEM_PINS_DELAY_MIN	10
#define CMEM_PINS_DELAY_MAX	1000

/*
 * A failed page is never used again, so it need not be waited for. CMA would warn of it
 * all the same: there, the buffer stays pinned, which keeps it out of use.
 */
static bool cmem_pins_on(const struct cmem_block *block, struct page *page)
{
	return page_ref_count(page) != 1 &&
	       (block->ops->lends_free || !PageHWPoison(page));
}

/* Unmapping and I/O mark pages, even those that are not in the page cache. */
static void cmem_pins_clear_marks(struct page *page)
{
	struct folio *folio = page_folio(page);

	if (folio_test_dirty(folio))
		folio_clear_dirty(folio);
	if (folio_test_referenced(folio))
		folio_clear_referenced(folio);
}

/*
 * Count the pages in use of a buffer without users, or stop at the first one. The block
 * is not locked: nobody else changes or frees the buffer.
 */
static unsigned long cmem_pins_count(const struct cmem_buffer *buffer, bool stop)
{
	unsigned long pinned = 0, i;
	struct cmem_extent extent;
	struct page *page;

	cmem_buffer_locate(buffer, &extent);
	for (i = 0; i < extent.pages && !(stop && pinned); i++) {
		page = pfn_to_page(extent.pfn + i);
		if (cmem_pins_on(extent.block, page))
			pinned++;
		else
			cmem_pins_clear_marks(page);
		if (!(i % SZ_1K))
			cond_resched();
	}
	/* What the last user of a page wrote comes before what its next user writes. */
	smp_acquire__after_ctrl_dep();
	return pinned;
}

/* Count a pinned buffer in, with @change 1, or out, with -1. The block is locked. */
static void cmem_pins_account(struct cmem_buffer *buffer, int change)
{
	unsigned long pages = cmem_buffer_length(buffer) >> PAGE_SHIFT;
	struct cmem_block *block = cmem_buffer_block(buffer);
	struct cmem_carved_pool *pool = cmem_buffer_pool(buffer);

	if (pool) {
		pool->pinned += change;
		pool->pinned_pages += change * (long)buffer->pinned;
	}
	WRITE_ONCE(block->num_pinned, block->num_pinned + change);
	block->pinned_length += change * (long)pages;
	block->pinned_pages += change * (long)buffer->pinned;
}

static void cmem_pins_update(struct cmem_buffer *buffer, unsigned long pinned)
{
	struct cmem_block *block = cmem_buffer_block(buffer);
	struct cmem_carved_pool *pool = cmem_buffer_pool(buffer);

	if (pool)
		pool->pinned_pages += pinned - buffer->pinned;
	block->pinned_pages += pinned - buffer->pinned;
	buffer->pinned = pinned;
}

/* Free a buffer whose pages are not in use. The block is locked. */
static void cmem_pins_free(struct cmem_buffer *buffer)
{
	struct cmem_extent extent;

	cmem_buffer_locate(buffer, &extent);
	trace_cmem_release(extent.block, extent.start, extent.pages);
	buffer->first.file = NULL;
	buffer->first.next = NULL;
	cmem_buffer_return(buffer, buffer->flags & CMEM_BUFFER_SHARED);
}

/* Look in at most @delay jiffies. The block is locked. */
static void cmem_pins_look_soon(struct cmem_block *block, unsigned long delay)
{
	unsigned long due = jiffies + delay;

	if (block->num_pinned > 1 && !time_before(due, block->pins_due))
		return;
	block->pins_due = due;
	mod_delayed_work(system_unbound_wq, &block->pins_work, delay);
}

/*
 * Add a buffer that @pinned pages of are in use. Others may have been in use for long.
 * This one need not wait for them.
 */
static void cmem_pins_add(struct cmem_buffer *buffer, unsigned long pinned)
{
	struct cmem_block *block = cmem_buffer_block(buffer);
	struct cmem_extent extent;

	cmem_buffer_locate(buffer, &extent);
	trace_cmem_pin(block, extent.start, extent.pages);
	buffer->pinned = pinned;
	list_add_tail(&buffer->in_block, &block->pinned);
	cmem_pins_account(buffer, 1);
	block->pins_delay = CMEM_PINS_DELAY_MIN;
	cmem_pins_look_soon(block, pinned ? msecs_to_jiffies(CMEM_PINS_DELAY_MIN) : 0);
}

/**
 * cmem_pins_release - free a page-backed buffer once its pages are not in use
 * @buffer: a buffer without references or mappings, of a locked block. If it is from a
 *	heap, it may no longer be valid afterwards.
 *
 * Drops the lock of the block meanwhile.
 */
void cmem_pins_release(struct cmem_buffer *buffer)
{
	struct cmem_block *block = cmem_buffer_block(buffer);
	unsigned long pinned;

	/* Nobody finds a buffer that is not live, and it is in no list yet. */
	buffer->flags &= ~(CMEM_BUFFER_LIVE | CMEM_BUFFER_QUARANTINED);
	buffer->flags |= CMEM_BUFFER_PINNED;
	buffer->pinned = 0;

	mutex_unlock(&block->lock);
	pinned = cmem_pins_count(buffer, false);
	mutex_lock(&block->lock);
	buffer->grace = start_poll_synchronize_rcu();
	if (pinned || block->ops->lends_free)
		cmem_pins_add(buffer, pinned);
	else
		cmem_pins_free(buffer);
}

/*
 * Look at one pinned buffer, and tell how many of its pages are in use. What has used its
 * pages until now may have mapped them, as a socket can do, so only now the grace period
 * can begin that must pass before memory returns to CMA.
 */
static unsigned long cmem_pins_look_at(struct cmem_buffer *buffer, bool stop)
{
	unsigned long pinned = cmem_pins_count(buffer, stop);

	if (pinned || !cmem_buffer_block(buffer)->ops->lends_free)
		return pinned;
	if (buffer->pinned)
		buffer->grace = get_state_synchronize_rcu();
	cond_synchronize_rcu(buffer->grace);
	return cmem_pins_count(buffer, stop);
}

/* Free the buffers whose pages are not in use any more. Return their number. */
static unsigned long cmem_pins_look_at_all(struct cmem_block *block, bool stop)
{
	struct cmem_buffer *buffer, *next, *last;
	unsigned long freed = 0, pinned;

	/* Only the holder of this lock takes buffers from the list. */
	guard(mutex)(&block->pins_lock);
	mutex_lock(&block->lock);
	if (list_empty(&block->pinned)) {
		mutex_unlock(&block->lock);
		return 0;
	}

	last = list_last_entry(&block->pinned, struct cmem_buffer, in_block);
	next = list_first_entry(&block->pinned, struct cmem_buffer, in_block);
	do {
		buffer = next;
		mutex_unlock(&block->lock);
		pinned = cmem_pins_look_at(buffer, stop);
		mutex_lock(&block->lock);
		next = list_next_entry(buffer, in_block);
		if (!pinned) {
			list_del(&buffer->in_block);
			cmem_pins_account(buffer, -1);
			cmem_pins_free(buffer);
			freed++;
		} else if (!stop) {
			cmem_pins_update(buffer, pinned);
		}
	} while (buffer != last);
	mutex_unlock(&block->lock);
	return freed;
}

/**
 * cmem_pins_look - free buffers of a block whose pages are not in use any more
 * @block: the block, not locked
 *
 * For callers that would fail because of pinned buffers. May sleep, for CMA as long as
 * an RCU grace period takes.
 *
 * Return: true if it freed any.
 */
bool cmem_pins_look(struct cmem_block *block)
{
	return READ_ONCE(block->num_pinned) && cmem_pins_look_at_all(block, true);
}

/**
 * cmem_pins_look_in - free buffers of a block whose pages are not in use any more
 * @id: the number of the block, which need not exist
 *
 * As cmem_pins_look().
 */
void cmem_pins_look_in(s32 id)
{
	struct cmem_block *block = cmem_block_find(id);

	if (block)
		cmem_pins_look(block);
}

static void cmem_pins_work(struct work_struct *work)
{
	struct cmem_block *block = container_of(work, struct cmem_block,
						pins_work.work);

	unsigned long freed = cmem_pins_look_at_all(block, false);
	unsigned long delay;

	guard(mutex)(&block->lock);
	if (list_empty(&block->pinned))
		return;
	if (freed)
		block->pins_delay = CMEM_PINS_DELAY_MIN;
	delay = msecs_to_jiffies(block->pins_delay);
	block->pins_delay = min(2 * block->pins_delay, CMEM_PINS_DELAY_MAX);
	/* A buffer that was added meanwhile has queued it already. */
	if (queue_delayed_work(system_unbound_wq, &block->pins_work, delay))
		block->pins_due = jiffies + delay;
}

/**
 * cmem_pins_init - initialize the list of pinned buffers of a new struct cmem_block
 * @block: the block, without buffers
 */
void cmem_pins_init(struct cmem_block *block)
{
	mutex_init(&block->pins_lock);
	INIT_LIST_HEAD(&block->pinned);
	INIT_DELAYED_WORK(&block->pins_work, cmem_pins_work);
	block->pins_delay = CMEM_PINS_DELAY_MIN;
}
