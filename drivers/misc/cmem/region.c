// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory that was reserved for CMEM when the kernel booted.
 *
 * Most of it is ordinary RAM, and that nobody else uses it only shows in that it is
 * reserved, which other memory is as well. So when a block that was made of it is
 * removed, what it was is kept here, for whatever block comes next. There is no
 * lock: blocks are made one at a time.
 */
#include <linux/err.h>
#include <linux/list.h>
#include <linux/slab.h>

#include "config.h"
#include "memory.h"

/* Only ever added to */
static LIST_HEAD(cmem_regions);

/**
 * cmem_region_remember - keep in mind that memory was reserved for CMEM
 * @config: the block that is made of all of it
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
	/* Should making the block fail and be tried again, the last one counts. */
	list_add(&region->in_regions, &cmem_regions);
	return 0;
}

/**
 * cmem_region_find - tell which region a block is to be made of
 * @config: where it is to be: a range of memory that does not wrap around
 *
 * Return: the region that has all of it; NULL when none has any of it; -EINVAL as a
 * pointer when one has a part of it.
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
