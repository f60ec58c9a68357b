// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory that was reserved for CMEM at boot.
 *
 * Most of it is ordinary RAM. Only the reservation shows that nothing else uses it, but
 * other memory is reserved as well. So this file remembers each region when its block
 * is created. After that block is removed, a new block can use the region. There is no
 * lock: cmem_blocks_lock serializes the callers.
 */
#include <linux/err.h>
#include <linux/list.h>
#include <linux/slab.h>

#include "config.h"
#include "memory.h"

/* Entries are only added. */
static LIST_HEAD(cmem_regions);

/**
 * cmem_region_remember - record that memory was reserved for CMEM
 * @config: the block that covers the whole region
 * @coherent: devices that use it snoop the caches
 *
 * Return: 0 or -ENOMEM.
 */
int cmem_region_remember(const struct cmem_block_config *config, bool coherent)
{
	struct cmem_region *region;

	region = kzalloc(sizeof(*region), GFP_KERNEL);
	if (!region)
		return -ENOMEM;

	region->base = config->base;
	region->length = config->length;
	region->kind = config->kind;
	region->keep_contents = config->keep_contents;
	region->is_memory = config->is_memory;
	region->coherent = coherent;
	region->placed_by_kernel = config->placed_by_kernel;
	region->quarantine = config->quarantine;
	region->dma_heap = config->dma_heap;
	region->pages = config->pages;
	/* If creating the block fails and is retried, the newest entry is found first. */
	list_add(&region->in_regions, &cmem_regions);
	return 0;
}

/**
 * cmem_region_find - find the region for a block
 * @config: has the range of the block, which does not wrap around
 *
 * Return: the region that contains all of the range; NULL if no region overlaps it;
 * ERR_PTR(-EINVAL) if a region contains only a part of it.
 */
const struct cmem_region *
cmem_region_find(const struct cmem_block_config *config)
{
	phys_addr_t last = config->base + config->length - 1;
	const struct cmem_region *region;

	list_for_each_entry(region, &cmem_regions, in_regions) {
		phys_addr_t region_last = region->base + region->length - 1;

		if (config->base >= region->base && last <= region_last)
			return region;
		if (config->base <= region_last && last >= region->base)
			return ERR_PTR(-EINVAL);
	}
	return NULL;
}
