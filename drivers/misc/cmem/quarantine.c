// SPDX-License-Identifier: GPL-2.0-only
/*
 * Quarantine: memory that its owner did not free, and that can't be allocated yet.
 *
 * A DSP or DMA engine that an owner passed a buffer to may keep writing after the owner
 * exits. So a buffer for which its owner or its block requested quarantine does not
 * return to its pool or heap with its last reference, unless each file that was
 * registered freed it (CMEM_IOCTL_FREE) before it was closed. The buffer stays taken
 * until
 *
 *	- a supervisor releases it (CMEM_IOCTL_RELEASE),
 *	- all remote processors that the block names have stopped since, if it names any
 *	  (remoteproc.c), or
 *	- the block's quarantine time in milliseconds has passed, if it has one.
 *
 * Quarantine needs no memory: it uses the buffer's own struct. The block lists these
 * buffers in order of arrival, which is also the order in which time and remote
 * processors release them. The block's lock protects all this. Nobody waits for buffers
 * in quarantine: an allocation takes other memory, or fails with ENOMEM.
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
#include "pins.h"
#include "quarantine.h"
#include "remoteproc.h"
#include "trace.h"

/* Buffers to release before the lock is dropped for others */
#define CMEM_QUARANTINE_BATCH	64

/* A supervisor that finds no buffers left waits for another one to finish. */
static DEFINE_MUTEX(cmem_quarantine_release_lock);

/* Milliseconds since boot without suspend, since processors do not run then */
static u64 cmem_quarantine_now(void)
{
	return ktime_to_ms(ktime_get());
}

/**
 * cmem_quarantine_since - tell since when a buffer is in quarantine
 * @buffer: a buffer in quarantine, of a block that is locked
 *
 * Return: milliseconds since boot, as in the kernel's log.
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
	struct cmem_carved_pool *pool = cmem_buffer_pool(buffer);

	if (pool)
		pool->quarantined += change;
	/* The work item of a remote processor reads this without the lock. */
	WRITE_ONCE(block->quarantined, block->quarantined + change);
	block->quarantined_pages += change * (long)pages;
	return pages;
}

/**
 * cmem_quarantine_add - put a buffer without references into quarantine
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

	/* The work may be queued already: the first buffer leaves first. */
	if (block->quarantine_config.ms)
		queue_delayed_work(system_unbound_wq, &block->quarantine_work,
				   msecs_to_jiffies(block->quarantine_config.ms));
	/* A processor that does not run now can't write. */
	cmem_rproc_look(block);
}

/*
 * Take a buffer out of quarantine and free it. The block is locked. The lock may be
 * dropped meanwhile.
 */
static unsigned long cmem_quarantine_take(struct cmem_buffer *buffer)
{
	struct cmem_extent extent;
	unsigned long pages;

	cmem_buffer_locate(buffer, &extent);
	list_del(&buffer->in_block);
	pages = cmem_quarantine_count(buffer, -1);
	if (buffer->flags & CMEM_BUFFER_PAGES) {
		buffer->flags |= CMEM_BUFFER_SHARED;
		cmem_pins_release(buffer);
		return pages;
	}
	trace_cmem_release(extent.block, extent.start, extent.pages);
	buffer->first.file = NULL;
	buffer->first.next = NULL;
	/* No owner may get it back uncleaned. */
	cmem_buffer_return(buffer, true);
	return pages;
}

static void cmem_quarantine_pause(struct cmem_block *block)
{
	mutex_unlock(&block->lock);
	cond_resched();
	mutex_lock(&block->lock);
}

/* Milliseconds until a buffer may leave, 0 for now, U64_MAX if no time is set */
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
 * cmem_quarantine_release - release all buffers in quarantine for a supervisor
 * @id: number of the block
 * @buffers: where to put the number of buffers released
 * @pages: where to put the number of their pages
 *
 * Releases the buffers that are in quarantine when the call begins.
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
	 * While the lock is dropped, another supervisor may release one of these buffers
	 * by address. The block can't be removed.
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
 * cmem_quarantine_release_buffer - release one buffer in quarantine for a supervisor
 * @id: number of the block
 * @pfn: page frame number of the buffer's first page
 * @pages: where to put the number of its pages
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
 * cmem_quarantine_init - initialize the quarantine of a new struct cmem_block
 * @block: the block, without buffers in quarantine
 */
void cmem_quarantine_init(struct cmem_block *block)
{
	INIT_LIST_HEAD(&block->quarantine);
	INIT_DELAYED_WORK(&block->quarantine_work, cmem_quarantine_work);
}

/**
 * cmem_quarantine_configure - set the quarantine configuration of a block
 * @dev: for messages
 * @block: a block that is not present
 * @config: the configuration
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
