// SPDX-License-Identifier: GPL-2.0-only
/*
 * The blocks: the table by which all others find them, and how they come into it and
 * leave it. block_fill.c has what is in one.
 *
 * The struct of a block stays in the list for good: who found one needs no
 * reference, and every ioctl saves two. A block that is removed is only emptied,
 * and when one of its number is added again, it is filled anew. What is in it, and
 * whether there is anything, is under its own lock.
 */
#include <linux/device.h>
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "block.h"
#include "cma.h"
#include "cmem.h"
#include "config.h"
#include "debugfs.h"
#include "dmabuf.h"
#include "memory.h"
#include "pool.h"
#include "quarantine.h"
#include "quota.h"
#include "scrub.h"

/* In the order of their numbers. Only ever added to, under the lock. */
static LIST_HEAD(cmem_blocks);

/* One block at a time is made or removed. Taken before any block's lock. */
static DEFINE_MUTEX(cmem_blocks_lock);

/**
 * cmem_block_find_from - find the block with the next number
 * @id: the lowest number that counts
 *
 * It may be removed at any time: only under its lock it can be told if it is
 * still present.
 *
 * Return: the block, or NULL if there is none from there on.
 */
struct cmem_block *cmem_block_find_from(s32 id)
{
	struct cmem_block *block;

	list_for_each_entry_lockless(block, &cmem_blocks, in_blocks)
		if (block->id >= id && READ_ONCE(block->present))
			return block;
	return NULL;
}

/**
 * cmem_block_find - find a block by its number
 * @id: the number, as users say it
 *
 * Return: the block, which may be removed at any time, or NULL.
 */
struct cmem_block *cmem_block_find(s32 id)
{
	struct cmem_block *block;

	if (id < 0)
		return id == CMEM_BLOCK_CMA ? cmem_cma_block() : NULL;
	block = cmem_block_find_from(id);
	return block && block->id == id ? block : NULL;
}

/**
 * cmem_block_lock - find a block by its number, and lock it
 * @id: the number
 *
 * Return: the block, to be unlocked by the caller, or NULL.
 */
struct cmem_block *cmem_block_lock(s32 id)
{
	struct cmem_block *block = cmem_block_find(id);

	if (!block)
		return NULL;
	mutex_lock(&block->lock);
	if (block->present)
		return block;
	mutex_unlock(&block->lock);
	return NULL;
}

/* Without the lock this is a guess about a block that is removed or added. */
static bool cmem_block_has(const struct cmem_block *block, unsigned long pfn)
{
	return pfn - READ_ONCE(block->base_pfn) < READ_ONCE(block->num_pages);
}

/**
 * cmem_block_lock_pfn - find the block that has a page, and lock it
 * @pfn: page frame number
 *
 * Return: the block, to be unlocked by the caller, or NULL.
 */
struct cmem_block *cmem_block_lock_pfn(unsigned long pfn)
{
	struct cmem_block *block;

	list_for_each_entry_lockless(block, &cmem_blocks, in_blocks) {
		if (!cmem_block_has(block, pfn))
			continue;
		mutex_lock(&block->lock);
		if (block->present && cmem_block_has(block, pfn))
			return block;
		mutex_unlock(&block->lock);
	}
	block = cmem_cma_find_pfn(pfn);
	if (block)
		mutex_lock(&block->lock);
	return block;
}

/**
 * cmem_block_length - how long a block is
 * @block: the block
 *
 * Return: bytes.
 */
u64 cmem_block_length(struct cmem_block *block)
{
	if (block->kind == CMEM_KIND_CMA)
		return cmem_cma_length(block);
	return (u64)block->num_pages << PAGE_SHIFT;
}

/**
 * cmem_block_for_each - do something with each block
 * @fn: called with a block, block -1 among them, that is not locked and need not be
 *	present. Other than 0 ends it.
 *
 * Return: what @fn returned last, 0 without blocks.
 */
int cmem_block_for_each(int (*fn)(struct cmem_block *block))
{
	struct cmem_block *block = cmem_cma_block();
	int ret = block ? fn(block) : 0;

	list_for_each_entry_lockless(block, &cmem_blocks, in_blocks) {
		if (ret)
			break;
		ret = fn(block);
	}
	return ret;
}

/**
 * cmem_block_count - sum up the blocks
 * @count: where to put how many there are
 * @limit: where to put one more than the highest number, 0 without blocks
 */
void cmem_block_count(u32 *count, u32 *limit)
{
	const struct cmem_block *block;

	*count = 0;
	*limit = 0;
	list_for_each_entry_lockless(block, &cmem_blocks, in_blocks) {
		if (!READ_ONCE(block->present))
			continue;
		(*count)++;
		*limit = block->id + 1;
	}
}

/**
 * cmem_block_best_pool - find the pool that fits a buffer best
 * @block: the block, locked
 * @length: of the buffer, in bytes
 *
 * Return: the number of the pool with the smallest buffers that are long enough
 * and of which one is free; -ENOENT when no pool has buffers that long, -ENOMEM
 * when none of them is free.
 */
int cmem_block_best_pool(struct cmem_block *block, u64 length)
{
	int ret = -ENOENT;
	unsigned int i;

	for (i = 0; i < block->num_pools && ret < 0; i++) {
		const struct cmem_carved_pool *pool;

		pool = &block->pools[block->by_size[i]];
		if ((u64)pool->pages << PAGE_SHIFT < length ||
		    !pool->slots.count)
			continue;
		ret = cmem_pool_free(&pool->slots) ? (int)pool->number : -ENOMEM;
		/* An area is not left for a larger one. */
		if (block->kind == CMEM_KIND_CMA)
			break;
	}
	return ret;
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
	const struct cmem_block *other;

	if (!config->length || last_byte < config->base ||
	    last_byte > cmem_block_last_byte()) {
		dev_err(dev, "block %d: %#llx bytes at %pa are no range of memory\n",
			config->id, config->length, &config->base);
		return -EINVAL;
	}

	list_for_each_entry(other, &cmem_blocks, in_blocks) {
		if (!other->present)
			continue;
		if (other->id == config->id) {
			dev_err(dev, "block %d: there is a block of this number already\n",
				config->id);
			return -EEXIST;
		}
		if (first <= other->base_pfn + other->num_pages - 1 &&
		    last >= other->base_pfn) {
			dev_err(dev, "block %d: %#llx bytes at %pa overlap block %d\n",
				config->id, config->length, &config->base,
				other->id);
			return -EBUSY;
		}
	}
	return 0;
}

/* Where a number is in the list, or would be before. What is there need not be present. */
static struct cmem_block *cmem_block_place(s32 id)
{
	struct cmem_block *block;

	list_for_each_entry(block, &cmem_blocks, in_blocks)
		if (block->id >= id)
			return block;
	return NULL;
}

/*
 * Give a block its names in debugfs and in /dev/dma_heap. Who lists such a directory
 * keeps it locked while a page of his comes from where it is, be it for ever: so this is
 * done where nobody must wait for it, and no lock of ours is held.
 */
static void cmem_block_make_names(struct work_struct *work)
{
	struct cmem_block *block = container_of(work, struct cmem_block,
						names_work);

	cmem_debugfs_add_block(block);
	cmem_dma_heap_add(block);
	complete_all(&block->named);
}

/**
 * cmem_block_wait_for_names - wait until each block is where programs look for it
 *
 * A fatal signal ends it.
 */
void cmem_block_wait_for_names(void)
{
	struct cmem_block *block;

	list_for_each_entry_lockless(block, &cmem_blocks, in_blocks)
		if (wait_for_completion_killable(&block->named))
			return;
}

static struct cmem_block *cmem_block_alloc(s32 id)
{
	struct cmem_block *block = kzalloc(sizeof(*block), GFP_KERNEL);

	if (!block)
		return NULL;
	block->id = id;
	mutex_init(&block->lock);
	init_waitqueue_head(&block->scrub_wait);
	cmem_quarantine_init(block);
	INIT_WORK(&block->names_work, cmem_block_make_names);
	init_completion(&block->named);
	cmem_quota_init(block);
	INIT_LIST_HEAD(&block->failed);
	return block;
}

/* Put what has been checked in its place, for everybody. */
static int cmem_block_make(struct device *dev,
			   const struct cmem_block_config *config,
			   bool coherent, bool added)
{
	struct cmem_block *place = cmem_block_place(config->id);
	bool again = place && place->id == config->id;
	struct cmem_block *block;
	int ret;

	block = again ? place : cmem_block_alloc(config->id);
	if (!block)
		return -ENOMEM;
	ret = cmem_block_fill(dev, block, config, coherent);
	if (ret) {
		if (!again) {
			mutex_destroy(&block->lock);
			kfree(block);
		}
		return ret;
	}

	/* Nobody has it before it has one; a new cmem.quota= does not find it yet. */
	cmem_quota_apply(block);
	mutex_lock(&block->lock);
	block->added = added;
	WRITE_ONCE(block->present, true);
	cmem_scrub_kick(block);
	mutex_unlock(&block->lock);
	if (!again)
		list_add_tail_rcu(&block->in_blocks, place ? &place->in_blocks :
							     &cmem_blocks);
	cmem_quota_apply(block);

	dev_info(dev, "block %d: %#llx bytes at %pa, %u pools, heap of %#llx bytes\n",
		 block->id, config->length, &config->base, block->num_pools,
		 (u64)block->heap.size << PAGE_SHIFT);
	/* It may have other names than the one before. */
	reinit_completion(&block->named);
	queue_work(system_unbound_wq, &block->names_work);
	return 0;
}

static int cmem_block_keep(struct device *dev, struct cmem_block_config *config,
			   bool coherent)
{
	int ret, taken;

	taken = cmem_block_check_free(dev, config);
	if (taken && taken != -EEXIST)
		return taken;
	ret = cmem_memory_check(dev, config);
	if (ret)
		return ret;
	/* If only the number is taken, the memory is there for another. */
	ret = cmem_region_remember(config, coherent);
	return ret ?: taken;
}

/*
 * The linear map of 32-bit arm is made of sections, and can't be changed page by page
 * there, as that of CMA areas can.
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
 * cmem_block_reserve - remember memory of which no block can be made now
 * @dev: whose it is
 * @config: where it is. The block would have been wrong in another way.
 * @coherent: devices snoop the caches
 *
 * A block can be made in it with cmem_block_add(). What is wrong with the memory as
 * well was logged.
 */
void cmem_block_reserve(struct device *dev, struct cmem_block_config *config,
			bool coherent)
{
	guard(mutex)(&cmem_blocks_lock);

	/* Another one may have been made in it. */
	if (!cmem_region_find(config))
		cmem_block_keep(dev, config, coherent);
}

/**
 * cmem_block_create - make a block of memory that was reserved for it at boot
 * @dev: whose block it is
 * @config: what it is to be. The pools fit into it. Its kind is set right if it
 *	turns out to be something else.
 * @coherent: devices snoop the caches
 *
 * The block is there for everybody when this returns. Should it be removed, another
 * one can be made in its memory with cmem_block_add(). May sleep.
 *
 * Return: 0, or an errno, and why was logged.
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
 * cmem_block_add - make a block of any memory that is free for it
 * @dev: for messages
 * @config: what it is to be: its number, where it is, and pools that fit into it.
 *	What kind of memory that is, is filled in.
 *
 * That is memory in one region that was reserved for CMEM when the kernel booted,
 * or memory that is no System RAM and that no driver claimed. May sleep.
 *
 * Return: 0; -EINVAL for a range that can't be one block, -EEXIST when there is a
 * block of this number, -EBUSY when the memory is in use, -ENXIO when nothing says that
 * there is memory, -EPERM for memory that was
 * not reserved when the kernel is locked down or the caller lacks CAP_SYS_RAWIO,
 * -ENOMEM, -EINTR. Why was logged.
 */
int cmem_block_add(struct device *dev, struct cmem_block_config *config)
{
	const struct cmem_region *region;
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
		/* Programs look for what the board says, unless somebody says otherwise. */
		config->dma_heap.from_pools |= region->dma_heap.from_pools;
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
	if (ret)
		return ret;
	return cmem_block_make(dev, config, coherent, true);
}

/* Nobody holds memory of it, nor is anybody being given some. */
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
 * May sleep, until the part of its memory that is being cleaned is done.
 *
 * Return: 0; -EINVAL for a number that no block can have, -ENOENT when there is no
 * block of this number, -EBUSY when a buffer of it is held.
 */
int cmem_block_remove(struct device *dev, s32 id)
{
	struct cmem_block *block;

	if (id < 0)
		return -EINVAL;

	guard(mutex)(&cmem_blocks_lock);

	block = cmem_block_lock(id);
	if (!block)
		return -ENOENT;
	if (!cmem_block_is_idle(block)) {
		unsigned long quarantined = block->quarantined;

		mutex_unlock(&block->lock);
		if (quarantined)
			dev_notice(dev, "block %d: it is not removed: %lu of its buffers are in quarantine: cmemctl release %d lets them go\n",
				   id, quarantined, id);
		return -EBUSY;
	}
	/* From here on, nobody finds it, and so nobody makes it busy again. */
	WRITE_ONCE(block->present, false);
	block->incarnation++;
	cmem_scrub_dismiss(block);
	mutex_unlock(&block->lock);

	cmem_block_empty(block);
	dev_info(dev, "block %d: removed\n", id);
	return 0;
}
