// SPDX-License-Identifier: GPL-2.0-only
/*
 * Blocks during suspend and hibernation.
 *
 * Suspend to RAM or to idle preserves memory. A hibernation image contains memory that
 * the kernel has mapped, and CMA, but not carveouts and on-chip memory. The kernel also
 * creates and restores the image through a cached mapping. If devices do not snoop, a
 * program's non-cached mapping of the same memory is not consistent with it. So
 * hibernation fails while a buffer is in use that the image would not restore.
 *
 * The image contains the driver's bookkeeping. Memory that it marks as clean may be dirty
 * after the resume if the image does not contain it. If the image does, its zeros may be
 * in the cache, not written back. So after hibernation, no free memory counts as clean.
 * A program that wrote back its buffer for a device that does not snoop does not do it
 * again, so the driver does.
 *
 * The scrubber pauses meanwhile. Otherwise a part of the memory that it is zeroing could
 * have its old contents after the resume, and the scrubber would mark it as clean.
 */
#define pr_fmt(fmt) "cmem: " fmt

#include <linux/device.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/pm.h>
#include <linux/pm_domain.h>
#include <linux/suspend.h>

#include "block.h"
#include "buffer.h"
#include "heap.h"
#include "power.h"
#include "scrub.h"
#include "sync.h"

/* This kernel is creating an image. False while it loads one for a resume. */
static bool cmem_hibernating;

static bool cmem_power_is_lost(const struct cmem_block *block,
			       struct cmem_buffer *buffer)
{
	switch (block->kind) {
	case CMEM_KIND_CMA:
		break;
	case CMEM_KIND_RESERVED:
		/* It may be highmem, or not be in the linear map. */
		if (IS_ENABLED(CONFIG_ARM))
			return true;
		break;
	default:
		return true;
	}
	return !block->coherent && !(buffer->flags & CMEM_BUFFER_CACHED);
}

/* Whether a program, a device or the kernel itself may still use the contents */
static bool cmem_power_in_use(const struct cmem_buffer *buffer)
{
	return buffer->flags & (CMEM_BUFFER_LIVE | CMEM_BUFFER_PINNED);
}

/*
 * Visit the buffers in use until @fn returns true, and return the buffer for which it
 * does. The block is locked.
 */
static struct cmem_buffer *
cmem_power_walk(struct cmem_block *block,
		bool (*fn)(const struct cmem_block *block,
			   struct cmem_buffer *buffer))
{
	struct cmem_heap_buffer *heap_buffer;
	unsigned long page = 0;
	unsigned int i;
	u32 slot;

	for (i = 0; i < block->num_carved; i++) {
		const struct cmem_carved_pool *pool = &block->pools[i];

		for (slot = 0; slot < pool->slots.count; slot++)
			if (cmem_power_in_use(&pool->buffers[slot]) &&
			    fn(block, &pool->buffers[slot]))
				return &pool->buffers[slot];
	}

	while (page < block->num_pages) {
		heap_buffer = cmem_heap_next(&block->heap, &page, block->num_pages - 1);
		if (!heap_buffer)
			break;
		if (cmem_power_in_use(&heap_buffer->buffer) &&
		    fn(block, &heap_buffer->buffer))
			return &heap_buffer->buffer;
		page += heap_buffer->pages;
	}
	return NULL;
}

static int cmem_power_check_block(struct cmem_block *block)
{
	const struct cmem_buffer *buffer;
	struct cmem_extent extent;
	phys_addr_t phys;

	guard(mutex)(&block->lock);
	if (!block->present)
		return 0;
	buffer = cmem_power_walk(block, cmem_power_is_lost);
	if (!buffer)
		return 0;

	cmem_buffer_locate(buffer, &extent);
	phys = PFN_PHYS(extent.pfn);
	pr_err("block %d: no hibernation while its %#llx bytes at %pa are in use: %s\n",
	       block->id, (u64)extent.pages << PAGE_SHIFT, &phys,
	       block->kind == CMEM_KIND_CARVEOUT || block->kind == CMEM_KIND_SRAM ||
	       IS_ENABLED(CONFIG_ARM) ?
	       "the image would not have this memory" :
	       "they are mapped non-cached, and the image is made through the cache");
	return -EBUSY;
}

/* Processes are frozen, and no device is suspended yet. */
static int cmem_power_prepare(struct device *dev)
{
	struct cmem_block *block;

	cmem_for_each_block(block)
		cmem_scrub_rest(block);
	return 0;
}

static int cmem_power_check(void)
{
	struct cmem_block *block;
	int ret;

	cmem_for_each_block(block) {
		ret = cmem_power_check_block(block);
		if (ret)
			return ret;
	}
	return 0;
}

/* Check again: programs could still allocate after the first check. */
static int cmem_power_freeze(struct device *dev)
{
	return cmem_hibernating ? cmem_power_check() : 0;
}

/* Failed memory is logged elsewhere. */
static bool cmem_power_write_back(const struct cmem_block *block,
				  struct cmem_buffer *buffer)
{
	int ret;

	/*
	 * Memory outside of the image has not changed. Skip a block with an alias on
	 * demand as well: mapping it takes the block's lock, which is held.
	 */
	if (block->alias_on_demand || cmem_power_is_lost(block, buffer))
		return false;
	ret = cmem_buffer_sync(buffer, 0, cmem_buffer_length(buffer), false,
			       CMEM_SYNC_WRITE_BACK_INVALIDATE);

	if (ret && ret != -EHWPOISON)
		pr_err("block %d: no memory to write back a buffer of %#llx bytes after the resume: a device that does not snoop may read old data\n",
		       block->id, cmem_buffer_length(buffer));
	return false;
}

static void cmem_power_soil_block(struct cmem_block *block)
{
	guard(mutex)(&block->lock);
	block->soiled = block->present;
	if (block->present)
		cmem_power_walk(block, cmem_power_write_back);
}

/* The image is restored. Processes are still frozen. */
static int cmem_power_restore(struct device *dev)
{
	struct cmem_block *block;

	cmem_for_each_block(block)
		cmem_power_soil_block(block);
	return 0;
}

static void cmem_power_complete(struct device *dev)
{
	struct cmem_block *block;

	cmem_for_each_block(block)
		cmem_scrub_wake(block);
}

static struct dev_pm_domain cmem_power_domain = {
	.ops = {
		.prepare = cmem_power_prepare,
		.freeze = cmem_power_freeze,
		.restore = cmem_power_restore,
		.complete = cmem_power_complete,
	},
};

static int cmem_power_notify(struct notifier_block *notifier,
			     unsigned long event, void *data)
{
	int ret = 0;

	switch (event) {
	case PM_HIBERNATION_PREPARE:
		ret = cmem_power_check();
		cmem_hibernating = !ret;
		break;
	case PM_POST_HIBERNATION:
		cmem_hibernating = false;
		break;
	}
	return notifier_from_errno(ret);
}

static struct notifier_block cmem_power_notifier = {
	.notifier_call = cmem_power_notify,
};

/**
 * cmem_power_init - get callbacks for suspend and hibernation
 * @dev: a device of CMEM without a driver
 */
void __init cmem_power_init(struct device *dev)
{
	device_lock(dev);
	dev_pm_domain_set(dev, &cmem_power_domain);
	device_unlock(dev);
	register_pm_notifier(&cmem_power_notifier);
}
