// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sets up a block: claims its memory, carves it into pools and a heap, and starts the
 * work on free memory.
 */
#include <linux/align.h>
#include <linux/device.h>
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>

#include "alias.h"
#include "block.h"
#include "cmem.h"
#include "config.h"
#include "dmem.h"
#include "failure.h"
#include "heap.h"
#include "pool.h"
#include "quarantine.h"
#include "quota.h"
#include "scrub.h"

static int cmem_block_claim(struct device *dev, struct cmem_block *block,
			    const struct cmem_block_config *config)
{
	/*
	 * Memory in the linear map is claimed as reserved already, SRAM by its
	 * driver.
	 */
	if (config->kind != CMEM_KIND_CARVEOUT)
		return 0;

	/* So is a region that the kernel placed: it is no-map, and reserved. */
	if (config->placed_by_kernel)
		return 0;

	block->claimed = request_mem_region(config->base, config->length,
					    "cmem");
	if (!block->claimed) {
		dev_err(dev, "block %d: %#llx bytes at %pa are claimed by another driver: see /proc/iomem\n",
			block->id, config->length, &config->base);
		return -EBUSY;
	}
	return 0;
}

static int cmem_block_compare_pools(const void *a, const void *b,
				    const void *priv)
{
	const struct cmem_block *block = priv;
	const u8 *left = a, *right = b;

	if (block->pools[*left].pages != block->pools[*right].pages)
		return block->pools[*left].pages < block->pools[*right].pages ?
		       -1 : 1;
	return *left - *right;
}

/**
 * cmem_block_sort_pools - sort the pools by the size of their buffers
 * @block: a block that is being created, with its pools
 */
void cmem_block_sort_pools(struct cmem_block *block)
{
	unsigned int i;

	for (i = 0; i < block->num_pools; i++)
		block->by_size[i] = i;
	sort_r(block->by_size, block->num_pools, sizeof(*block->by_size),
	       cmem_block_compare_pools, NULL, block);
}

static int cmem_block_init_pool(struct cmem_block *block, unsigned int number,
				unsigned long start,
				const struct cmem_pool_config *config,
				bool untouched)
{
	struct cmem_carved_pool *pool = &block->pools[number];
	u32 i;
	int ret;

	ret = cmem_heap_reserve(&block->heap, start,
				config->count * pool->pages);
	if (ret)
		return ret;

	ret = cmem_pool_init(&pool->slots, config->count, untouched);
	if (ret)
		return ret;

	pool->buffers = cmem_pool_alloc_array(config->count,
					      sizeof(*pool->buffers));
	if (!pool->buffers)
		return -ENOMEM;

	for (i = 0; i < config->count; i++)
		pool->buffers[i].pool = pool;
	return 0;
}

/*
 * Pools follow each other from the start of the block, in the order of their numbers.
 * The heap is the rest. If the block is large enough, a pool with buffers of at least a
 * huge page starts at a huge page boundary, so that huge pages can map them. The gap
 * belongs to the heap, so nothing is lost.
 */
static int cmem_block_carve(struct device *dev, struct cmem_block *block,
			    const struct cmem_block_config *config)
{
	unsigned long huge = CMEM_HUGE_SIZE >> PAGE_SHIFT;
	unsigned long slack = block->num_pages;
	unsigned long start = 0;
	unsigned int i;
	int ret;

	guard(mutex)(&block->lock);

	for (i = 0; i < config->num_pools; i++) {
		struct cmem_carved_pool *pool = &block->pools[i];

		pool->block = block;
		pool->number = i;
		pool->requested = config->pools[i].length;
		pool->pages = PFN_UP(pool->requested);
		slack -= config->pools[i].count * pool->pages;
	}
	block->num_pools = config->num_pools;
	block->num_carved = config->num_pools;
	cmem_block_sort_pools(block);

	cmem_heap_init(&block->heap, block->base_pfn, block->num_pages,
		       &block->lock);
	for (i = 0; i < block->num_pools; i++) {
		struct cmem_carved_pool *pool = &block->pools[i];
		unsigned long gap = 0;

		if (pool->pages >= huge)
			gap = ALIGN(block->base_pfn + start, huge) -
			      (block->base_pfn + start);
		if (gap <= slack) {
			start += gap;
			slack -= gap;
		}
		pool->start = start;
		ret = cmem_block_init_pool(block, i, start, &config->pools[i],
					   !config->is_ram);
		if (ret)
			return ret;
		dev_dbg(dev, "block %d: pool %u: %u buffers of %#llx bytes at page %#lx\n",
			block->id, i, config->pools[i].count,
			(u64)pool->pages << PAGE_SHIFT, start);
		start += config->pools[i].count * pool->pages;
	}
	return cmem_heap_open(&block->heap, !config->is_ram);
}

/**
 * cmem_block_empty - undo cmem_block_fill(), even if it failed halfway
 * @block: a block that is not present
 */
void cmem_block_empty(struct cmem_block *block)
{
	unsigned int i;

	cmem_scrub_stop(block);
	cmem_dmem_unregister(&block->dmem);
	cmem_alias_exit(block);
	if (block->claimed)
		release_mem_region(PFN_PHYS(block->base_pfn),
				   PFN_PHYS(block->num_pages));

	mutex_lock(&block->lock);
	cmem_quota_exit(block);
	cmem_failure_forget(block);
	cmem_heap_destroy(&block->heap);
	for (i = 0; i < block->num_pools; i++) {
		cmem_pool_destroy(&block->pools[i].slots);
		kvfree(block->pools[i].buffers);
	}
	kfree(block->pools);
	WRITE_ONCE(block->num_pages, 0);
	memset(&block->content, 0, sizeof(block->content));
	mutex_unlock(&block->lock);
}

/**
 * cmem_block_fill - set up a block from its configuration
 * @dev: for messages
 * @block: a block that is not present
 * @config: the configuration, checked
 * @coherent: the devices that it is for snoop the caches
 *
 * Return: 0, -ENOMEM, -EBUSY when another driver has claimed the memory, or what stopped
 * the creation of the
 * scrubber's thread or of the region for cgroups.
 */
int cmem_block_fill(struct device *dev, struct cmem_block *block,
		    const struct cmem_block_config *config, bool coherent)
{
	int ret;

	if (config->num_pools) {
		block->pools = kcalloc(config->num_pools,
				       sizeof(*block->pools), GFP_KERNEL);
		if (!block->pools)
			return -ENOMEM;
	}

	block->kind = config->kind;
	block->keep_contents = config->keep_contents;
	block->is_memory = config->is_memory;
	block->is_ram = config->is_ram;
	block->own_quota = config->quota;
	block->dma_heap_config = config->dma_heap;
	block->coherent = coherent;
	block->has_pages = config->has_pages;
	block->can_pages = config->can_pages;
	block->pages = config->pages;
	WRITE_ONCE(block->base_pfn, PHYS_PFN(config->base));
	WRITE_ONCE(block->num_pages,
		   PHYS_PFN(config->base + config->length - 1) -
		   PHYS_PFN(config->base) + 1);

	ret = cmem_block_carve(dev, block, config);
	if (ret) {
		dev_err(dev, "block %d: no memory for its pools and heap: %pe\n",
			block->id, ERR_PTR(ret));
		goto err_empty;
	}
	ret = cmem_quarantine_configure(dev, block, &config->quarantine);
	if (ret)
		goto err_empty;
	ret = cmem_block_claim(dev, block, config);
	if (ret)
		goto err_empty;
	ret = cmem_alias_init(block);
	if (ret) {
		if (IS_ENABLED(CONFIG_X86))
			dev_err(dev, "block %d: %#llx bytes at %pa can't be mapped: others have mapped parts of them with more than one memory type (see /sys/kernel/debug/x86/pat_memtype_list), or the kernel has no room\n",
				block->id, config->length, &config->base);
		else
			dev_err(dev, "block %d: %#llx bytes at %pa can't be mapped: the kernel has no room\n",
				block->id, config->length, &config->base);
		goto err_empty;
	}
	if (cmem_alias_is_uncached(block))
		dev_info(dev, "block %d: the CPU does not cache its memory: an MTRR or another mapping has it as another type than write-back (see /sys/kernel/debug/x86/pat_memtype_list)\n",
			 block->id);
	ret = cmem_dmem_register(&block->dmem, block->id,
				 cmem_block_length(block));
	if (ret) {
		dev_err(dev, "block %d: no region of the dmem cgroup controller for it: %pe\n",
			block->id, ERR_PTR(ret));
		goto err_empty;
	}
	ret = cmem_scrub_start(block);
	if (ret) {
		dev_err(dev, "block %d: no thread to clean its memory: %pe\n",
			block->id, ERR_PTR(ret));
		goto err_empty;
	}
	return 0;

err_empty:
	cmem_block_empty(block);
	return ret;
}
