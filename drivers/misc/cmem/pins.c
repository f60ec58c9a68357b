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
 *
 * To count the pages of a long buffer takes time, so it is done without the block's
 * lock. Until it is done, the buffer is pinned. An allocation that would fail waits for
 * it. Otherwise a program that frees its memory and allocates it in another thread would
 * find none for a moment.
 */
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/page-flags.h>
#include <linux/page_ref.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "alloc.h"
#include "block.h"
#include "buffer.h"
#include "pins.h"
#include "trace.h"

/* Milliseconds between two looks */
#define CMEM_PINS_DELAY_MIN	10
#define CMEM_PINS_DELAY_MAX	1000

/* Pages that are counted with the block locked. That takes some microseconds. */
#define CMEM_PINS_SHORT		256

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

/**
 * cmem_pins_count - count the pages in use of a buffer without users
 * @buffer: the buffer. Nobody else changes or frees it, so its block need not be locked.
 * @stop: stop at the first such page. The page that was the first one last time comes
 *	first now, since it is most likely still in use.
 * @first: gets the number of that page in the buffer, 0 if there is none
 *
 * Return: the number of pages in use, with @stop 1 at most.
 */
static unsigned long cmem_pins_count(const struct cmem_buffer *buffer, bool stop,
				     unsigned long *first)
{
	unsigned long pinned = 0, i;
	struct cmem_extent extent;
	struct page *page;

	*first = 0;
	cmem_buffer_locate(buffer, &extent);
	if (stop && buffer->pinned) {
		*first = buffer->first_pinned;
		if (cmem_pins_on(extent.block, pfn_to_page(extent.pfn + *first)))
			return 1;
	}
	for (i = 0; i < extent.pages && !(stop && pinned); i++) {
		page = pfn_to_page(extent.pfn + i);
		if (!cmem_pins_on(extent.block, page))
			cmem_pins_clear_marks(page);
		else if (!pinned++)
			*first = i;
		if (!(i % SZ_1K))
			cond_resched();
	}
	/* What the last user of a page wrote comes before what its next user writes. */
	smp_acquire__after_ctrl_dep();
	return pinned;
}

/* Without the lock of the block. Not inline: tests stop it here. */
static noinline unsigned long cmem_pins_count_long(const struct cmem_buffer *buffer,
						   unsigned long *first)
{
	return cmem_pins_count(buffer, false, first);
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
	block->pinned_length += change * (long)pages;
	block->pinned_pages += change * (long)buffer->pinned;
	/* Pairs with cmem_pins_look(), which reads @pins_freed afterwards. */
	smp_store_release(&block->num_pinned, block->num_pinned + change);
}

/* Note how many pages are in use, and if any, which one is the first. */
static void cmem_pins_update(struct cmem_buffer *buffer, unsigned long pinned,
			     unsigned long first)
{
	struct cmem_block *block = cmem_buffer_block(buffer);
	struct cmem_carved_pool *pool = cmem_buffer_pool(buffer);

	if (pool)
		pool->pinned_pages += pinned - buffer->pinned;
	block->pinned_pages += pinned - buffer->pinned;
	buffer->pinned = pinned;
	if (pinned)
		buffer->first_pinned = first;
	else if (block->ops->lends_free)
		buffer->grace = start_poll_synchronize_rcu();
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

/* Free a buffer that has been pinned, and tell those who wait for memory. */
static void cmem_pins_end(struct cmem_buffer *buffer)
{
	struct cmem_block *block = cmem_buffer_block(buffer);

	WRITE_ONCE(block->pins_freed, block->pins_freed + 1);
	cmem_pins_account(buffer, -1);
	cmem_pins_free(buffer);
	wake_up_all(&block->pins_counted);
}

/* Look in at most @delay jiffies. The block is locked. */
static void cmem_pins_look_soon(struct cmem_block *block, unsigned long delay)
{
	unsigned long due = jiffies + delay;

	if (!list_is_singular(&block->pinned) && !time_before(due, block->pins_due))
		return;
	block->pins_due = due;
	mod_delayed_work(system_unbound_wq, &block->pins_work, delay);
}

/*
 * Add a buffer that is counted in, and that @pinned pages of are in use. Others may have
 * been in use for long. This one need not wait for them.
 */
static void cmem_pins_add(struct cmem_buffer *buffer, unsigned long pinned,
			  unsigned long first)
{
	struct cmem_block *block = cmem_buffer_block(buffer);
	struct cmem_extent extent;

	cmem_buffer_locate(buffer, &extent);
	trace_cmem_pin(block, extent.start, extent.pages);
	cmem_pins_update(buffer, pinned, first);
	list_add_tail(&buffer->in_block, &block->pinned);
	block->pins_delay = CMEM_PINS_DELAY_MIN;
	cmem_pins_look_soon(block, msecs_to_jiffies(CMEM_PINS_DELAY_MIN));
}

/**
 * cmem_pins_release - free a page-backed buffer once its pages are not in use
 * @buffer: a buffer without references or mappings, of a locked block. If it is from a
 *	heap, it may no longer be valid afterwards.
 *
 * Drops the lock of the block meanwhile, if the buffer is long.
 */
void cmem_pins_release(struct cmem_buffer *buffer)
{
	bool is_short = cmem_buffer_length(buffer) >> PAGE_SHIFT <= CMEM_PINS_SHORT;
	struct cmem_block *block = cmem_buffer_block(buffer);
	unsigned long pinned, first;

	/* Nobody finds a buffer that is not live, and it is in no list yet. */
	buffer->flags &= ~(CMEM_BUFFER_LIVE | CMEM_BUFFER_QUARANTINED);
	buffer->flags |= CMEM_BUFFER_PINNED;
	buffer->pinned = 0;

	if (is_short) {
		pinned = cmem_pins_count(buffer, false, &first);
		if (!pinned && !block->ops->lends_free) {
			cmem_pins_free(buffer);
			return;
		}
		cmem_pins_account(buffer, 1);
	} else {
		cmem_pins_account(buffer, 1);
		block->pins_counting++;
		mutex_unlock(&block->lock);
		pinned = cmem_pins_count_long(buffer, &first);
		mutex_lock(&block->lock);
		block->pins_counting--;
		wake_up_all(&block->pins_counted);
		if (!pinned && !block->ops->lends_free) {
			cmem_pins_end(buffer);
			return;
		}
	}
	cmem_pins_add(buffer, pinned, first);
}

/*
 * Note what a look at a pinned buffer found, and tell if it can be freed. What has used
 * its pages until now may have mapped them, as a socket can do. So only when nothing uses
 * them can the grace period begin that must pass before memory returns to CMA.
 */
static bool cmem_pins_ended(struct cmem_buffer *buffer, bool stop,
			    unsigned long pinned, unsigned long first)
{
	if (pinned && stop && buffer->pinned) {
		/* Nobody has counted the others. */
		buffer->first_pinned = first;
		return false;
	}
	if (pinned || buffer->pinned)
		cmem_pins_update(buffer, pinned, first);
	if (pinned)
		return false;
	return !cmem_buffer_block(buffer)->ops->lends_free ||
	       poll_state_synchronize_rcu(buffer->grace);
}

/*
 * Look once at each pinned buffer, and free those whose pages are not in use any more.
 * Return true if there are some whose pages are not in use, but that wait for an RCU grace
 * period. pins_lock is held: only its holder takes buffers from the list.
 */
static bool cmem_pins_sweep(struct cmem_block *block, bool stop)
{
	struct cmem_buffer *buffer, *next, *last;
	unsigned long pinned, first;
	bool waits = false;

	lockdep_assert_held(&block->pins_lock);
	guard(mutex)(&block->lock);
	if (list_empty(&block->pinned))
		return false;

	last = list_last_entry(&block->pinned, struct cmem_buffer, in_block);
	next = list_first_entry(&block->pinned, struct cmem_buffer, in_block);
	do {
		buffer = next;
		mutex_unlock(&block->lock);
		pinned = cmem_pins_count(buffer, stop, &first);
		mutex_lock(&block->lock);
		next = list_next_entry(buffer, in_block);
		if (cmem_pins_ended(buffer, stop, pinned, first)) {
			list_del(&buffer->in_block);
			cmem_pins_end(buffer);
		} else if (!pinned) {
			waits = true;
		}
	} while (buffer != last);
	return waits;
}

/**
 * cmem_pins_look - free buffers of a block whose pages are not in use any more
 * @block: the block, not locked
 * @freed: cmem_block.pins_freed before the caller found that it has no memory
 *
 * For callers that would fail because of pinned buffers. Waits until buffers that are
 * just being freed have been counted, and for CMA until an RCU grace period has passed,
 * however many buffers there are.
 *
 * Return: 1 if memory has become free since @freed was read, 0 if not; -EINTR on a fatal
 * signal.
 */
int cmem_pins_look(struct cmem_block *block, unsigned long freed)
{
	/* Pairs with cmem_pins_account(): if the last pin has ended, @pins_freed tells. */
	if (!smp_load_acquire(&block->num_pinned))
		return READ_ONCE(block->pins_freed) != freed;

	if (wait_event_killable(block->pins_counted,
				!READ_ONCE(block->pins_counting) ||
				READ_ONCE(block->pins_freed) != freed))
		return -EINTR;
	if (READ_ONCE(block->pins_freed) != freed)
		return 1;
	if (mutex_lock_killable(&block->pins_lock))
		return -EINTR;
	if (cmem_pins_sweep(block, true)) {
		synchronize_rcu();
		cmem_pins_sweep(block, true);
	}
	mutex_unlock(&block->pins_lock);
	return READ_ONCE(block->pins_freed) != freed;
}

/**
 * cmem_pins_find_pool - find the pool that fits a buffer best
 * @id: the number of the block, which need not exist
 * @length: length of the buffer in bytes
 * @pool: gets what cmem_block_best_pool() returns
 *
 * Looks at pinned buffers only if the answer may depend on them. May sleep like
 * cmem_pins_look().
 *
 * Return: the block, locked, or NULL if there is none of this number.
 */
struct cmem_block *cmem_pins_find_pool(s32 id, u64 length, int *pool)
{
	struct cmem_block *block = cmem_block_lock(id);
	unsigned long freed;
	bool pinned;

	if (!block)
		return NULL;
	*pool = cmem_block_best_pool(block, length, &pinned);
	if (!pinned)
		return block;

	freed = block->pins_freed;
	mutex_unlock(&block->lock);
	cmem_pins_look(block, freed);
	block = cmem_block_lock(id);
	if (block)
		*pool = cmem_block_best_pool(block, length, &pinned);
	return block;
}

static void cmem_pins_work(struct work_struct *work)
{
	struct cmem_block *block = container_of(work, struct cmem_block,
						pins_work.work);
	unsigned long freed = READ_ONCE(block->pins_freed);
	unsigned long delay;
	bool waits;

	mutex_lock(&block->pins_lock);
	waits = cmem_pins_sweep(block, false);
	mutex_unlock(&block->pins_lock);

	guard(mutex)(&block->lock);
	if (list_empty(&block->pinned))
		return;
	if (waits || block->pins_freed != freed)
		block->pins_delay = CMEM_PINS_DELAY_MIN;
	delay = msecs_to_jiffies(block->pins_delay);
	block->pins_delay = min(2 * block->pins_delay, CMEM_PINS_DELAY_MAX);
	/* A buffer that was added meanwhile has queued it already. */
	if (queue_delayed_work(system_unbound_wq, &block->pins_work, delay))
		block->pins_due = jiffies + delay;
}

/**
 * cmem_pins_init - initialize what a new struct cmem_block has for pinned buffers
 * @block: the block, without buffers
 */
void cmem_pins_init(struct cmem_block *block)
{
	mutex_init(&block->pins_lock);
	init_waitqueue_head(&block->pins_counted);
	INIT_LIST_HEAD(&block->pinned);
	INIT_DELAYED_WORK(&block->pins_work, cmem_pins_work);
	block->pins_delay = CMEM_PINS_DELAY_MIN;
}
