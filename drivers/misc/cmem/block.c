// SPDX-License-Identifier: GPL-2.0-only
/*
 * Creates and removes blocks. block_table.c has the table of blocks, block_fill.c sets
 * one up.
 */
#include <linux/cache.h>
#include <linux/device.h>
#include <linux/init.h>
#include <linux/ioport.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "block.h"
#include "cmem.h"
#include "config.h"
#include "memory.h"
#include "pins.h"
#include "pool.h"
#include "quarantine.h"
#include "quota.h"
#include "scrub.h"

/* Creates the names of a block; set by main.c */
static void (*cmem_block_name)(struct cmem_block *block) __ro_after_init;

/* Names blocks in the order of their creation: the first one gets a name that two ask for. */
static struct workqueue_struct *cmem_block_namers;

/**
 * cmem_block_init - set up before the first block is created
 * @name: called for each published block, without locks. The block may be removed
 *	already.
 *
 * Return: 0 or -ENOMEM.
 */
int __init cmem_block_init(void (*name)(struct cmem_block *block))
{
	cmem_block_name = name;
	cmem_block_namers = alloc_ordered_workqueue("cmem-names", 0);
	return cmem_block_namers ? 0 : -ENOMEM;
}

void __init cmem_block_exit(void)
{
	destroy_workqueue(cmem_block_namers);
}

/* The last byte that this machine can address */
static u64 cmem_block_last_byte(void)
{
	u64 last = iomem_resource.end;

#ifdef PHYS_MASK
	last = min_t(u64, last, PHYS_MASK);
#endif
	return last;
}

static int cmem_block_check_free(struct device *dev,
				 const struct cmem_block_config *config)
{
	unsigned long first = PHYS_PFN(config->base);
	unsigned long last = PHYS_PFN(config->base + config->length - 1);
	u64 last_byte = (u64)config->base + config->length - 1;
	const struct cmem_block *block;

	if (!config->length || last_byte < config->base ||
	    last_byte > cmem_block_last_byte()) {
		dev_err(dev, "block %d: %#llx bytes at %pa are no range of memory\n",
			config->id, config->length, &config->base);
		return -EINVAL;
	}

	cmem_for_each_block(block) {
		/* memory.c finds that CMA areas are System RAM. */
		if (block->id < 0 || !block->present)
			continue;
		if (block->id == config->id) {
			dev_err(dev, "block %d: there is a block of this number already\n",
				config->id);
			return -EEXIST;
		}
		if (first <= block->base_pfn + block->num_pages - 1 &&
		    last >= block->base_pfn) {
			dev_err(dev, "block %d: %#llx bytes at %pa overlap block %d\n",
				config->id, config->length, &config->base,
				block->id);
			return -EBUSY;
		}
	}
	return 0;
}

/*
 * Create the names of a block in debugfs and in /dev/dma_heap. A program that lists such
 * a directory keeps it locked during a fault on its own memory, maybe forever. So this
 * runs in a work item that nobody must wait for, without any lock of this driver.
 */
static void cmem_block_make_names(struct work_struct *work)
{
	struct cmem_block *block = container_of(work, struct cmem_block,
						names_work);

	cmem_block_name(block);
	complete_all(&block->named);
}

/**
 * cmem_block_wait_for_names - wait until programs find each block by its names
 *
 * A fatal signal ends the wait.
 */
void cmem_block_wait_for_names(void)
{
	struct cmem_block *block;

	cmem_for_each_block(block)
		if (wait_for_completion_killable(&block->named))
			return;
}

/**
 * cmem_block_prepare - initialize the struct of a block before it is filled
 * @block: the struct, zeroed
 * @id: the block's number
 * @ops: where its memory comes from
 */
void cmem_block_prepare(struct cmem_block *block, s32 id,
			const struct cmem_block_ops *ops)
{
	block->id = id;
	block->ops = ops;
	mutex_init(&block->lock);
	init_waitqueue_head(&block->scrub_wait);
	cmem_quarantine_init(block);
	cmem_pins_init(block);
	INIT_WORK(&block->names_work, cmem_block_make_names);
	init_completion(&block->named);
	cmem_quota_init(block);
	INIT_LIST_HEAD(&block->failed);
}

/**
 * cmem_block_publish - make a block visible
 * @block: a block that has been filled and is not present. It is in the table only if
 *	there was a block of its number before.
 *
 * The caller holds cmem_blocks_lock.
 */
void cmem_block_publish(struct cmem_block *block)
{
	lockdep_assert_held(&cmem_blocks_lock);

	/* Set the quota first. A write to cmem.quota= may miss the block: see below. */
	cmem_quota_apply(block);
	mutex_lock(&block->lock);
	WRITE_ONCE(block->present, true);
	mutex_unlock(&block->lock);
	if (cmem_block_find_id(block->id) != block)
		cmem_block_enter(block);
	cmem_quota_apply(block);
	/* Its names may differ from those of the block before. */
	reinit_completion(&block->named);
	queue_work(cmem_block_namers, &block->names_work);
}

/* Create and publish a block from a checked configuration. */
static int cmem_block_make(struct device *dev,
			   const struct cmem_block_config *config,
			   bool coherent, bool added)
{
	struct cmem_block *before = cmem_block_find_id(config->id);
	struct cmem_block *block = before;
	int ret;

	if (!before) {
		block = kzalloc(sizeof(*block), GFP_KERNEL);
		if (!block)
			return -ENOMEM;
		cmem_block_prepare(block, config->id, &cmem_carved_ops);
	}
	ret = cmem_block_fill(dev, block, config, coherent);
	if (ret) {
		if (!before) {
			mutex_destroy(&block->pins_lock);
			mutex_destroy(&block->lock);
			kfree(block);
		}
		return ret;
	}

	block->added = added;
	cmem_block_publish(block);
	mutex_lock(&block->lock);
	cmem_scrub_kick(block);
	mutex_unlock(&block->lock);
	dev_info(dev, "block %d: %#llx bytes at %pa, %u pools, heap of %#llx bytes\n",
		 block->id, config->length, &config->base, block->num_pools,
		 (u64)block->heap.size << PAGE_SHIFT);
	return 0;
}

static int cmem_block_keep(struct device *dev, struct cmem_block_config *config,
			   bool coherent)
{
	int ret, conflict;

	conflict = cmem_block_check_free(dev, config);
	if (conflict && conflict != -EEXIST)
		return conflict;
	ret = cmem_memory_check(dev, config);
	if (ret)
		return ret;
	/* If only the number is taken, another block can use the memory. */
	ret = cmem_region_remember(config, coherent);
	return ret ?: conflict;
}

/*
 * The linear map of 32-bit arm consists of sections here, and can't be changed page by
 * page. In CMA areas, it can.
 */
static void cmem_block_warn_alias(struct device *dev,
				  const struct cmem_block_config *config,
				  bool coherent)
{
	if (IS_ENABLED(CONFIG_ARM) && !coherent &&
	    config->kind == CMEM_KIND_RESERVED &&
	    !PageHighMem(pfn_to_page(PHYS_PFN(config->base))))
		dev_warn(dev, "block %d: %#llx bytes at %pa are cached in the kernel's linear map beside non-cached buffers: put no-map into their node, or allocate cached buffers only\n",
			 config->id, config->length, &config->base);
}

/**
 * cmem_block_reserve - record reserved memory of a block that can't be created now
 * @dev: the device that the memory belongs to
 * @config: where the memory is. Other parts of the configuration are invalid.
 * @coherent: devices snoop the caches
 *
 * cmem_block_add() can create a block in this memory. If the memory is invalid as well,
 * this is logged.
 */
void cmem_block_reserve(struct device *dev, struct cmem_block_config *config,
			bool coherent)
{
	guard(mutex)(&cmem_blocks_lock);

	/* A block may have been created in it before. */
	if (!cmem_region_find(config))
		cmem_block_keep(dev, config, coherent);
}

/**
 * cmem_block_create - create a block in memory that was reserved for it at boot
 * @dev: the device that the block belongs to
 * @config: configuration, with pools that fit into the block. The function corrects
 *	the kind if the memory turns out to be of another kind.
 * @coherent: devices snoop the caches
 *
 * The block is visible when this returns. If it is removed, cmem_block_add() can
 * create another one in its memory. May sleep.
 *
 * Return: 0, or an errno after logging the reason.
 */
int cmem_block_create(struct device *dev, struct cmem_block_config *config,
		      bool coherent)
{
	int ret;

	guard(mutex)(&cmem_blocks_lock);

	ret = cmem_block_keep(dev, config, coherent);
	if (ret)
		return ret;
	cmem_block_warn_alias(dev, config, coherent);
	return cmem_block_make(dev, config, coherent, false);
}

/**
 * cmem_block_add - create a block in any memory that is available for it
 * @dev: for messages
 * @config: number, location, and pools that fit into the block. The function fills in
 *	the kind of memory.
 *
 * The memory must be in one region that was reserved for CMEM at boot, or be neither
 * System RAM nor claimed by a driver. May sleep.
 *
 * Return: 0; -EINVAL for a range that can't be one block, -EEXIST when there is a block
 * of this number, -EBUSY when the memory is in use, -ENXIO when nothing says that there
 * is memory, -EPERM for memory that was not reserved when the kernel is locked down or
 * the caller lacks CAP_SYS_RAWIO, -EOPNOTSUPP when the caller asks for page-backed buffers
 * and the memory can't have them, -ENOMEM, -EINTR. The reason is logged.
 */
int cmem_block_add(struct device *dev, struct cmem_block_config *config)
{
	const struct cmem_region *region;
	bool pages = config->pages;
	bool coherent;
	int ret;

	guard(mutex)(&cmem_blocks_lock);

	ret = cmem_block_check_free(dev, config);
	if (ret)
		return ret;

	region = cmem_region_find(config);
	if (IS_ERR(region)) {
		dev_err(dev, "block %d: %#llx bytes at %pa are not all in one region that was reserved for CMEM at boot\n",
			config->id, config->length, &config->base);
		return PTR_ERR(region);
	}
	if (region) {
		config->kind = region->kind;
		config->keep_contents |= region->keep_contents;
		config->is_memory |= region->is_memory;
		config->placed_by_kernel = region->placed_by_kernel;
		cmem_config_add_quarantine(&region->quarantine,
					   &config->quarantine);
		/* Names from the device tree apply, unless the caller chose others. */
		config->dma_heap.from_pools |= region->dma_heap.from_pools;
		config->pages |= region->pages;
		if (!*config->dma_heap.names) {
			config->dma_heap.uncached = region->dma_heap.uncached;
			strscpy(config->dma_heap.names, region->dma_heap.names,
				sizeof(config->dma_heap.names));
		}
		coherent = region->coherent;
	} else {
		ret = cmem_memory_check_unknown(dev, config);
		if (ret)
			return ret;
		coherent = CMEM_ALWAYS_COHERENT || cmem_config_of_coherent();
	}

	ret = cmem_memory_check(dev, config);
	if (!ret && pages && !config->pages)
		ret = -EOPNOTSUPP;
	if (ret)
		return ret;
	return cmem_block_make(dev, config, coherent, true);
}

/* Tell if no memory of the block is held or being allocated. */
static bool cmem_block_is_idle(const struct cmem_block *block)
{
	unsigned int i;

	for (i = 0; i < block->num_pools; i++) {
		const struct cmem_pool *slots = &block->pools[i].slots;

		if (cmem_pool_free(slots) + block->pools[i].failed !=
		    slots->count)
			return false;
	}
	return block->heap.free + block->heap_failed == block->heap.size;
}

/**
 * cmem_block_remove - remove a block that is not in use
 * @dev: for messages
 * @id: the number of the block
 *
 * May sleep until the scrubber has left the block.
 *
 * Return: 0; -EINVAL for a number that no block can have, -ENOENT when there is no
 * block of this number, -EBUSY when a buffer of it is held or pinned, -EINTR on a fatal
 * signal.
 */
int cmem_block_remove(struct device *dev, s32 id)
{
	struct cmem_block *block;

	if (id < 0)
		return -EINVAL;

	guard(mutex)(&cmem_blocks_lock);

	block = cmem_block_find(id);
	if (block && cmem_pins_look(block, READ_ONCE(block->pins_freed)) < 0)
		return -EINTR;
	block = cmem_block_lock(id);
	if (!block)
		return -ENOENT;
	if (!cmem_block_is_idle(block)) {
		unsigned long quarantined = block->quarantined;
		unsigned long pinned = block->num_pinned;

		mutex_unlock(&block->lock);
		if (quarantined)
			dev_notice(dev, "block %d: it is not removed: %lu of its buffers are in quarantine: cmemctl release %d lets them go\n",
				   id, quarantined, id);
		if (pinned)
			dev_notice(dev, "block %d: it is not removed: %lu of its buffers are pinned: the kernel still uses their pages for I/O\n",
				   id, pinned);
		return -EBUSY;
	}
	/* From here on, lookups fail, so the block stays idle. */
	WRITE_ONCE(block->present, false);
	block->incarnation++;
	cmem_scrub_dismiss(block);
	mutex_unlock(&block->lock);

	cmem_block_empty(block);
	dev_info(dev, "block %d: removed\n", id);
	return 0;
}
