// SPDX-License-Identifier: GPL-2.0-only
/*
 * Quarantine: memory that its owner did not free, and that nobody gets yet.
 *
 * A DSP or a DMA engine that an owner has told of a buffer does not end when the owner
 * does: it may write there for as long as it runs. So a buffer that asked for it, or
 * whose block did, does not go back to its pool or heap when its last hold is gone,
 * unless each file that was registered has freed it (CMEM_IOCTL_FREE) before it was
 * closed. It stays taken until
 *
 *	- a supervisor releases it (CMEM_IOCTL_RELEASE),
 *	- all remote processors that the block names have stopped since, if it names any
 *	  (remoteproc.c), or
 *	- as many milliseconds have passed as the block says, if it says any.
 *
 * What is kept of such a buffer is what there is of it anyway: no memory is needed. It is
 * in the block's list, in the order in which it came, which is the order in which time
 * and remote processors let it go. All of this is under the block's lock. Nobody waits
 * for anything here: an allocation takes other memory, or gets ENOMEM.
 */
#include <linux/dev_printk.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/workqueue.h>

#include "alias.h"
#include "alloc.h"
#include "block.h"
#include "buffer.h"
#include "config.h"
#include "quarantine.h"
#include "remoteproc.h"
#include "trace.h"

/* What is released before others get at the block */
#define CMEM_QUARANTINE_BATCH	64

/* Of two supervisors, the one that finds nothing left waits for the other. */
static DEFINE_MUTEX(cmem_quarantine_release_lock);

/* Milliseconds since boot, suspended ones not counted: a processor did not run then. */
static u64 cmem_quarantine_now(void)
{
	return ktime_to_ms(ktime_get());
}

/**
 * cmem_quarantine_since - tell since when a buffer is in quarantine
 * @buffer: such a buffer, of a block that is locked
 *
 * Return: milliseconds since boot, as the kernel's log has them.
 */
u64 cmem_quarantine_since(const struct cmem_buffer *buffer)
{
	return (u64)buffer->since * MSEC_PER_SEC + buffer->since_ms;
}

static unsigned long cmem_quarantine_count(const struct cmem_buffer *buffer,
					   int change)
{
	struct cmem_block *block = cmem_buffer_block(buffer);
	unsigned long pages = cmem_buffer_length(buffer) >> PAGE_SHIFT;
	struct cmem_carved_pool *pool = buffer->pool;

	/* CMA has its pools' buffers like those of a heap. */
	if (!pool && cmem_heap_buffer(buffer)->pool >= 0)
		pool = &block->pools[cmem_heap_buffer(buffer)->pool];
	if (pool)
		pool->quarantined += change;
	/* The remote processors' work looks at it without the lock. */
	WRITE_ONCE(block->quarantined, block->quarantined + change);
	block->quarantined_pages += change * (long)pages;
	return pages;
}

/**
 * cmem_quarantine_add - keep a buffer that nobody holds any more
 * @buffer: the buffer, of a block that is locked
 */
void cmem_quarantine_add(struct cmem_buffer *buffer)
{
	u64 now = cmem_quarantine_now();
	struct cmem_extent extent;
	struct cmem_block *block;

	cmem_buffer_locate(buffer, &extent);
	block = extent.block;
	trace_cmem_quarantine(block, extent.start, extent.pages);

	cmem_alias_release(buffer);
	buffer->flags &= ~CMEM_BUFFER_LIVE;
	buffer->flags |= CMEM_BUFFER_QUARANTINED;
	buffer->since_ms = do_div(now, MSEC_PER_SEC);
	buffer->since = now;
	buffer->stops = cmem_rproc_stops();
	list_add_tail(&buffer->in_block, &block->quarantine);
	cmem_quarantine_count(buffer, 1);

	/* The first of the list is the first to go. */
	if (block->quarantine_config.ms)
		queue_delayed_work(system_unbound_wq, &block->quarantine_work,
				   msecs_to_jiffies(block->quarantine_config.ms));
	/* One that does not run now can't write. */
	cmem_rproc_look(block);
}

/* Let it go. The block is locked. */
static unsigned long cmem_quarantine_take(struct cmem_buffer *buffer)
{
	struct cmem_extent extent;
	unsigned long pages;

	cmem_buffer_locate(buffer, &extent);
	trace_cmem_release(extent.block, extent.start, extent.pages);
	list_del(&buffer->in_block);
	pages = cmem_quarantine_count(buffer, -1);
	buffer->first.file = NULL;
	buffer->first.next = NULL;
	/* As it is, it is for nobody. */
	cmem_buffer_return(buffer, true);
	return pages;
}

static void cmem_quarantine_pause(struct cmem_block *block)
{
	mutex_unlock(&block->lock);
	cond_resched();
	mutex_lock(&block->lock);
}

/* Milliseconds until the buffer's time is over; 0 if it is, or if it may go anyway */
static u64 cmem_quarantine_left(const struct cmem_block *block,
				const struct cmem_buffer *buffer)
{
	u64 end = cmem_quarantine_since(buffer) + block->quarantine_config.ms;
	u64 now = cmem_quarantine_now();

	if (cmem_rproc_have_stopped(block, buffer->stops))
		return 0;
	if (!block->quarantine_config.ms)
		return U64_MAX;
	return end > now ? end - now : 0;
}

static void cmem_quarantine_work(struct work_struct *work)
{
	struct cmem_block *block = container_of(work, struct cmem_block,
						quarantine_work.work);
	struct cmem_buffer *buffer;
	unsigned int count = 0;
	u64 left;

	mutex_lock(&block->lock);
	while ((buffer = list_first_entry_or_null(&block->quarantine,
						  struct cmem_buffer, in_block))) {
		left = cmem_quarantine_left(block, buffer);
		if (left == U64_MAX)
			break;
		if (left) {
			mod_delayed_work(system_unbound_wq,
					 &block->quarantine_work,
					 msecs_to_jiffies(left));
			break;
		}
		cmem_quarantine_take(buffer);
		if (!(++count % CMEM_QUARANTINE_BATCH))
			cmem_quarantine_pause(block);
	}
	mutex_unlock(&block->lock);
}

/**
 * cmem_quarantine_release - let go what a supervisor says is safe
 * @id: number of the block
 * @buffers: where to put how many buffers went
 * @pages: where to put how many pages that were
 *
 * That is all that is in quarantine when this begins.
 *
 * Return: 0; -ENOENT when there is no such block.
 */
int cmem_quarantine_release(s32 id, u64 *buffers, u64 *pages)
{
	struct cmem_block *block;
	LIST_HEAD(going);

	*buffers = 0;
	*pages = 0;
	guard(mutex)(&cmem_quarantine_release_lock);
	block = cmem_block_lock(id);
	if (!block)
		return -ENOENT;

	/*
	 * While the lock is dropped, another supervisor may take one of these by its
	 * address, and the block can't go.
	 */
	list_splice_init(&block->quarantine, &going);
	while (!list_empty(&going)) {
		*pages += cmem_quarantine_take(list_first_entry(&going,
								struct cmem_buffer,
								in_block));
		if (!(++*buffers % CMEM_QUARANTINE_BATCH))
			cmem_quarantine_pause(block);
	}
	mutex_unlock(&block->lock);
	return 0;
}

/**
 * cmem_quarantine_release_buffer - let one buffer go that a supervisor says is safe
 * @id: number of the block
 * @pfn: page frame number of the buffer's first page
 * @pages: where to put how many pages it has
 *
 * Return: 0; -ENOENT when there is no such block, or no buffer in quarantine starts there.
 */
int cmem_quarantine_release_buffer(s32 id, unsigned long pfn, u64 *pages)
{
	struct cmem_block *block = cmem_block_lock(id);
	struct cmem_buffer *buffer;
	struct cmem_extent extent;
	int ret = -ENOENT;

	if (!block)
		return -ENOENT;

	buffer = cmem_buffer_at(block, pfn - block->base_pfn);
	if (buffer && buffer->flags & CMEM_BUFFER_QUARANTINED) {
		cmem_buffer_locate(buffer, &extent);
		if (extent.pfn == pfn) {
			*pages = cmem_quarantine_take(buffer);
			ret = 0;
		}
	}
	mutex_unlock(&block->lock);
	return ret;
}

/**
 * cmem_quarantine_init - prepare a new struct cmem_block
 * @block: the block, in which nothing is in quarantine
 */
void cmem_quarantine_init(struct cmem_block *block)
{
	INIT_LIST_HEAD(&block->quarantine);
	INIT_DELAYED_WORK(&block->quarantine_work, cmem_quarantine_work);
}

/**
 * cmem_quarantine_configure - take over what a block is to do
 * @dev: for messages
 * @block: a block that is not present
 * @config: what was asked for
 *
 * Return: 0 or -ENOMEM.
 */
int cmem_quarantine_configure(struct device *dev, struct cmem_block *block,
			      const struct cmem_quarantine_config *config)
{
	block->quarantine_config = *config;
	if (config->num_rprocs && !IS_REACHABLE(CONFIG_REMOTEPROC)) {
		dev_err(dev, "block %d: ti,rprocs: this kernel does not know remote processors: CONFIG_REMOTEPROC is not set; what is in quarantine waits for cmemctl release\n",
			block->id);
		block->quarantine_config.num_rprocs = 0;
	}
	return cmem_rproc_configure(block);
}
