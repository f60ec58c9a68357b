// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parameters that describe blocks, and the creation of these blocks at boot.
 * config_params.c parses the values.
 *
 * The device tree takes precedence: the parameters can't use a number that it uses,
 * even if its block does not exist yet.
 */
#include <linux/device.h>
#include <linux/init.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>

#include "block.h"
#include "cmem.h"
#include "config.h"
#include "params.h"

struct cmem_block_params cmem_params[CMEM_PARAM_BLOCKS];

module_param_named(phys_start, cmem_params[0].phys_start, charp, 0444);
MODULE_PARM_DESC(phys_start, "address of the first byte of block 0, hexadecimal");
module_param_named(phys_end, cmem_params[0].phys_end, charp, 0444);
MODULE_PARM_DESC(phys_end, "address behind the last byte of block 0, hexadecimal");
module_param_named(pools, cmem_params[0].pools, charp, 0444);
MODULE_PARM_DESC(pools, "pools of block 0: <count>x<bytes>[,<count>x<bytes>...], decimal");
module_param_named(quarantine, cmem_params[0].quarantine, charp, 0444);
MODULE_PARM_DESC(quarantine, "quarantine of what is not freed of block 0: milliseconds, decimal, 0 for ever");

module_param_named(phys_start_1, cmem_params[1].phys_start, charp, 0444);
MODULE_PARM_DESC(phys_start_1, "as phys_start, of block 1");
module_param_named(phys_end_1, cmem_params[1].phys_end, charp, 0444);
MODULE_PARM_DESC(phys_end_1, "as phys_end, of block 1");
module_param_named(pools_1, cmem_params[1].pools, charp, 0444);
MODULE_PARM_DESC(pools_1, "as pools, of block 1");
module_param_named(quarantine_1, cmem_params[1].quarantine, charp, 0444);
MODULE_PARM_DESC(quarantine_1, "as quarantine, of block 1");

module_param_named(phys_start_2, cmem_params[2].phys_start, charp, 0444);
MODULE_PARM_DESC(phys_start_2, "as phys_start, of block 2");
module_param_named(phys_end_2, cmem_params[2].phys_end, charp, 0444);
MODULE_PARM_DESC(phys_end_2, "as phys_end, of block 2");
module_param_named(pools_2, cmem_params[2].pools, charp, 0444);
MODULE_PARM_DESC(pools_2, "as pools, of block 2");
module_param_named(quarantine_2, cmem_params[2].quarantine, charp, 0444);
MODULE_PARM_DESC(quarantine_2, "as quarantine, of block 2");

module_param_named(phys_start_3, cmem_params[3].phys_start, charp, 0444);
MODULE_PARM_DESC(phys_start_3, "as phys_start, of block 3");
module_param_named(phys_end_3, cmem_params[3].phys_end, charp, 0444);
MODULE_PARM_DESC(phys_end_3, "as phys_end, of block 3");
module_param_named(pools_3, cmem_params[3].pools, charp, 0444);
MODULE_PARM_DESC(pools_3, "as pools, of block 3");
module_param_named(quarantine_3, cmem_params[3].quarantine, charp, 0444);
MODULE_PARM_DESC(quarantine_3, "as quarantine, of block 3");

module_param_named(is_memory, cmem_params[0].is_memory, bool, 0444);
MODULE_PARM_DESC(is_memory, "there is memory, whatever firmware and device tree say of it: block 0");
module_param_named(is_memory_1, cmem_params[1].is_memory, bool, 0444);
MODULE_PARM_DESC(is_memory_1, "as is_memory, of block 1");
module_param_named(is_memory_2, cmem_params[2].is_memory, bool, 0444);
MODULE_PARM_DESC(is_memory_2, "as is_memory, of block 2");
module_param_named(is_memory_3, cmem_params[3].is_memory, bool, 0444);
MODULE_PARM_DESC(is_memory_3, "as is_memory, of block 3");

module_param_named(dma_heap_pools, cmem_params[0].dma_heap_pools, bool, 0444);
MODULE_PARM_DESC(dma_heap_pools, "its DMA-BUF heaps take longer buffers of pools when nothing else is left: block 0");
module_param_named(dma_heap_pools_1, cmem_params[1].dma_heap_pools, bool, 0444);
MODULE_PARM_DESC(dma_heap_pools_1, "as dma_heap_pools, of block 1");
module_param_named(dma_heap_pools_2, cmem_params[2].dma_heap_pools, bool, 0444);
MODULE_PARM_DESC(dma_heap_pools_2, "as dma_heap_pools, of block 2");
module_param_named(dma_heap_pools_3, cmem_params[3].dma_heap_pools, bool, 0444);
MODULE_PARM_DESC(dma_heap_pools_3, "as dma_heap_pools, of block 3");
module_param_named(page_backed, cmem_params[0].page_backed, bool, 0444);
MODULE_PARM_DESC(page_backed, "cached buffers are page-backed, for O_DIRECT and the like: block 0");
module_param_named(page_backed_1, cmem_params[1].page_backed, bool, 0444);
MODULE_PARM_DESC(page_backed_1, "as page_backed, of block 1");
module_param_named(page_backed_2, cmem_params[2].page_backed, bool, 0444);
MODULE_PARM_DESC(page_backed_2, "as page_backed, of block 2");
module_param_named(page_backed_3, cmem_params[3].page_backed, bool, 0444);
MODULE_PARM_DESC(page_backed_3, "as page_backed, of block 3");

static char *cmem_dma_heap_names[CMEM_PARAM_BLOCKS];
static char *cmem_dma_heap_names_cma;

module_param_named(dma_heap_names, cmem_dma_heap_names[0], charp, 0444);
MODULE_PARM_DESC(dma_heap_names, "names of more DMA-BUF heaps of block 0, with a colon between them");
module_param_named(dma_heap_names_1, cmem_dma_heap_names[1], charp, 0444);
MODULE_PARM_DESC(dma_heap_names_1, "as dma_heap_names, of block 1");
module_param_named(dma_heap_names_2, cmem_dma_heap_names[2], charp, 0444);
MODULE_PARM_DESC(dma_heap_names_2, "as dma_heap_names, of block 2");
module_param_named(dma_heap_names_3, cmem_dma_heap_names[3], charp, 0444);
MODULE_PARM_DESC(dma_heap_names_3, "as dma_heap_names, of block 3");
module_param_named(dma_heap_names_cma, cmem_dma_heap_names_cma, charp, 0444);
MODULE_PARM_DESC(dma_heap_names_cma, "as dma_heap_names, of block -1");

static bool cmem_allow_overlap;
module_param_named(allowOverlap, cmem_allow_overlap, bool, 0444);
MODULE_PARM_DESC(allowOverlap, "ignored: what memory can be a block is found out");

static bool cmem_params_have_range(s32 id)
{
	return id < CMEM_PARAM_BLOCKS &&
	       (cmem_params[id].phys_start || cmem_params[id].phys_end);
}

/* Blocks whose parameters are used, or are reported as ignored */
static bool cmem_params_done[CMEM_PARAM_BLOCKS] __initdata;

static char **cmem_params_names_of(s32 id)
{
	if (id == CMEM_BLOCK_CMA)
		return &cmem_dma_heap_names_cma;
	return id < CMEM_PARAM_BLOCKS ? &cmem_dma_heap_names[id] : NULL;
}

/**
 * cmem_params_dma_heap_names - get the DMA-BUF heap names that parameters give a block
 * @id: the block's number, which may come from the device tree
 *
 * Return: names separated by colons, or an empty string.
 */
const char *cmem_params_dma_heap_names(s32 id)
{
	char **names = cmem_params_names_of(id);

	return names && *names ? *names : "";
}

/**
 * cmem_params_init - check the parameters that extend blocks
 * @dev: for messages
 *
 * Call this before the first block is created. Invalid names are logged and dropped.
 */
void __init cmem_params_init(struct device *dev)
{
	struct cmem_block_config *config;
	char source[32], **names;
	s32 id;

	config = kzalloc(sizeof(*config), GFP_KERNEL);
	if (!config)
		return;
	for (id = CMEM_BLOCK_CMA; id < CMEM_PARAM_BLOCKS; id++) {
		names = cmem_params_names_of(id);
		if (!*names)
			continue;
		config->id = id;
		snprintf(source, sizeof(source), "dma_heap_names%s=",
			 id < 0 ? "_cma" : cmem_param_suffix(id));
		if (!IS_ENABLED(CONFIG_DMABUF_HEAPS))
			dev_notice(dev, "block %d: %s is ignored: this kernel has no DMA-BUF heaps: CONFIG_DMABUF_HEAPS is not set\n",
				   id, source);
		else if (cmem_config_set_dma_heap_names(dev, source, *names, config))
			*names = NULL;
	}
	kfree(config);
}

/**
 * cmem_params_create_blocks - create the blocks that the parameters describe
 * @dev: for messages
 *
 * Call this when the blocks of the device tree exist, except those that wait for
 * another driver. An invalid block is logged and does not stop the others.
 */
void __init cmem_params_create_blocks(struct device *dev)
{
	struct cmem_block_config *config;
	s32 id;

	if (cmem_allow_overlap)
		dev_notice(dev, "allowOverlap=1 is ignored: memory that Linux does not use can be a block wherever it is, and no other can\n");

	config = kmalloc(sizeof(*config), GFP_KERNEL);
	if (!config)
		return;

	for (id = 0; id < CMEM_PARAM_BLOCKS; id++) {
		const struct cmem_block_params *params = &cmem_params[id];
		const char *suffix = cmem_param_suffix(id);

		if (!cmem_params_have_range(id) && !params->pools &&
		    !params->quarantine && !params->dma_heap_pools && !params->page_backed)
			continue;
		if (cmem_config_of_has_block(id)) {
			if (cmem_params_have_range(id) || params->pools)
				dev_notice(dev, "block %d: it is in the device tree: phys_start%s=, phys_end%s= and pools%s= are ignored\n",
					   id, suffix, suffix, suffix);
			if (params->quarantine)
				dev_notice(dev, "block %d: it is in the device tree: quarantine%s= is ignored, ti,quarantine of its node is what counts\n",
					   id, suffix);
			if (params->page_backed)
				dev_notice(dev, "block %d: it is in the device tree: page_backed%s= is ignored, ti,page-backed of its node is what counts\n",
					   id, suffix);
			if (params->dma_heap_pools)
				dev_notice(dev, "block %d: it is in the device tree: dma_heap_pools%s= is ignored, ti,dma-heap-pools of its node is what counts\n",
					   id, suffix);
			cmem_params_done[id] = true;
			continue;
		}
		if (!cmem_params_have_range(id))
			continue;
		cmem_params_done[id] = true;
		config->id = id;
		if (!cmem_config_param_block(dev, params, config))
			cmem_block_add(dev, config);
	}
	kfree(config);
}

/**
 * cmem_params_next_number - choose a number for a block without one
 *
 * Call this when all blocks with a number of their own exist.
 *
 * Return: the next number that neither the device tree nor the parameters use.
 */
s32 __init cmem_params_next_number(void)
{
	static s32 next __initdata;

	while (cmem_config_of_has_block(next) || cmem_params_have_range(next) ||
	       cmem_block_find(next))
		next++;
	return next++;
}

/**
 * cmem_params_create_carveout - create a block for memory without a number
 * @dev: for messages
 * @base: physical address of the first byte, reserved at boot and in the linear map
 * @length: in bytes, 0 if the reservation failed
 *
 * The block gets the number that cmem_params_next_number() chooses, and the pools and
 * quarantine that the parameters give that number. A failed reservation uses up a
 * number as well, so that the numbers of the next blocks do not change. Call this after
 * cmem_params_create_blocks().
 *
 * Return: 0 or an errno. The reason is logged.
 */
int __init cmem_params_create_carveout(struct device *dev, phys_addr_t base,
				       u64 length)
{
	bool coherent = CMEM_ALWAYS_COHERENT || cmem_config_of_coherent();
	struct cmem_block_config *config;
	s32 id = cmem_params_next_number();
	int ret = 0;

	if (!length) {
		if (id < CMEM_PARAM_BLOCKS)
			cmem_params_done[id] = true;
		dev_err(dev, "block %d: there is none: its memory of cmem_carveout= could not be had\n",
			id);
		return -ENOMEM;
	}

	config = kmalloc(sizeof(*config), GFP_KERNEL);
	if (!config)
		return -ENOMEM;
	*config = (struct cmem_block_config) {
		.id = id,
		.kind = CMEM_KIND_RESERVED,
		.base = base,
		.length = length,
		.dma_heap.from_pools = id < CMEM_PARAM_BLOCKS &&
				       cmem_params[id].dma_heap_pools,
		.pages = id < CMEM_PARAM_BLOCKS && cmem_params[id].page_backed,
	};
	if (id < CMEM_PARAM_BLOCKS && cmem_params[id].pools) {
		cmem_params_done[id] = true;
		ret = cmem_config_param_pools(dev, cmem_params[id].pools,
					      config);
	}
	if (!ret && id < CMEM_PARAM_BLOCKS && cmem_params[id].quarantine) {
		cmem_params_done[id] = true;
		ret = cmem_config_param_quarantine(dev,
						   cmem_params[id].quarantine,
						   config);
	}
	if (ret)
		cmem_block_reserve(dev, config, coherent);
	else
		ret = cmem_block_create(dev, config, coherent);
	kfree(config);
	return ret;
}

/**
 * cmem_params_finish - log parameters that made no block
 * @dev: for messages
 */
void __init cmem_params_finish(struct device *dev)
{
	s32 id;

	for (id = 0; id < CMEM_PARAM_BLOCKS; id++) {
		const char *suffix = cmem_param_suffix(id);

		if (cmem_params[id].pools && !cmem_params_done[id])
			dev_err(dev, "block %d: pools%s=%s needs phys_start%s= and phys_end%s=\n",
				id, suffix, cmem_params[id].pools, suffix,
				suffix);
		if (cmem_params[id].quarantine && !cmem_params_done[id])
			dev_err(dev, "block %d: quarantine%s=%s needs phys_start%s= and phys_end%s=\n",
				id, suffix, cmem_params[id].quarantine, suffix,
				suffix);
	}
}
