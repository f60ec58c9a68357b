// SPDX-License-Identifier: GPL-2.0-only
/*
 * Creates block -1, from a node of the device tree, from the kernel command line, or
 * from the kernel's global CMA area alone.
 */
#define pr_fmt(fmt) "cmem: " fmt

#include <linux/cma.h>
#include <linux/device.h>
#include <linux/dma-map-ops.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/of.h>
#include <linux/of_reserved_mem.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "block.h"
#include "cma.h"
#include "cma_area.h"
#include "cmem.h"
#include "config.h"
#include "dmem.h"
#include "early.h"
#include "heap.h"
#include "quarantine.h"
#include "quota.h"

/*
 * The share of the global area, which all drivers use, that programs may take through
 * this driver. The rest stays available to other drivers.
 */
static struct cmem_amount cmem_cma_share = { .given = true, .percent = 25 };

static void cmem_cma_set_area(struct cmem_cma_area *area, struct cma *cma)
{
	/* An area that the kernel could not activate has size 0. */
	if (!cma || !cma_get_size(cma))
		return;
	area->cma = cma;
	area->base_pfn = PHYS_PFN(cma_get_base(cma));
	area->num_pages = cma_get_size(cma) >> PAGE_SHIFT;
	area->limit = area->num_pages;
}

/* A block without an area for its heap uses a share of the global one. */
static void cmem_cma_set_share(struct cmem_cma_area *heap, struct cma *cma)
{
	unsigned long share;

	/* Set the area even if the share is 0: root may raise it. */
	cmem_cma_set_area(heap, cma);
	share = cmem_amount_pages(&cmem_cma_share, heap->num_pages);
	heap->limit = min(heap->limit, share);
}

static int cmem_cma_share_set(const char *val, const struct kernel_param *kp)
{
	struct cmem_block *block = cmem_block_find(CMEM_BLOCK_CMA);
	size_t length = strcspn(val, "\n");
	struct cmem_amount share;
	struct cmem_cma_area *heap;
	char word[40];

	if (length >= sizeof(word))
		length = sizeof(word) - 1;
	strscpy(word, val, length + 1);
	if (cmem_amount_parse(word, &share)) {
		pr_err("cma_share=%s: must be bytes, with K, M or G behind, a percentage such as 25%%, or none, for all of it\n",
		       word);
		return -EINVAL;
	}
	/* During boot, parameters are parsed before the block is created. */
	if (system_state < SYSTEM_RUNNING && !block) {
		cmem_cma_share = share;
		return 0;
	}
	if (!block || cmem_cma_of(block)->own_heap ||
	    !cmem_cma_of(block)->areas[CMEM_PLACE_HEAP].cma) {
		pr_err("cma_share=%s: the heap of block %d is no part of the global CMA area\n",
		       word, CMEM_BLOCK_CMA);
		return -ENODEV;
	}

	heap = &cmem_cma_of(block)->areas[CMEM_PLACE_HEAP];
	mutex_lock(&block->lock);
	cmem_cma_share = share;
	WRITE_ONCE(heap->limit, min(cmem_amount_pages(&share, heap->num_pages),
				    heap->num_pages));
	cmem_cma_count(cmem_cma_of(block), heap);
	mutex_unlock(&block->lock);
	cmem_quota_apply(block);
	return 0;
}

static int cmem_cma_share_get(char *buffer, const struct kernel_param *kp)
{
	int length = cmem_amount_emit(&cmem_cma_share, buffer, 0);

	return length + sysfs_emit_at(buffer, length, "\n");
}

static const struct kernel_param_ops cmem_cma_share_ops = {
	.set = cmem_cma_share_set,
	.get = cmem_cma_share_get,
};
module_param_cb(cma_share, &cmem_cma_share_ops, NULL, 0644);
MODULE_PARM_DESC(cma_share, "what block -1 may take of the kernel's global CMA area if that is its heap: bytes with K, M or G, a percentage, or none, for all of it (default 25%)");

static struct cmem_cma *cmem_cma_new(unsigned int num_pools)
{
	struct cmem_cma *cma = kzalloc(sizeof(*cma), GFP_KERNEL);

	if (!cma)
		return NULL;
	cma->block.pools = kcalloc(num_pools, sizeof(*cma->block.pools),
				   GFP_KERNEL);
	if (!cma->block.pools) {
		kfree(cma);
		return NULL;
	}
	cmem_block_prepare(&cma->block, CMEM_BLOCK_CMA, &cmem_cma_ops);
	cma->block.num_pools = num_pools;
	return cma;
}

static void cmem_cma_free(struct cmem_cma *cma)
{
	mutex_destroy(&cma->block.lock);
	kfree(cma->block.pools);
	kfree(cma);
}

static void cmem_cma_set_pool(struct cmem_cma *cma, unsigned int number,
			      const struct cmem_pool_config *config,
			      struct cma *area)
{
	struct cmem_carved_pool *pool = &cma->block.pools[number];

	cmem_cma_set_area(&cma->areas[number], area);
	pool->block = &cma->block;
	pool->number = number;
	pool->start = cma->areas[number].base_pfn;
	pool->requested = config->length;
	pool->pages = DIV_ROUND_UP_ULL(config->length, PAGE_SIZE);
	pool->slots.count = cma->areas[number].cma ? config->count : 0;
	cma->areas[number].limit = pool->slots.count * pool->pages;
}

static bool cmem_cma_has_area(const struct cmem_cma *cma, const struct cma *area)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cma->areas); i++)
		if (cma->areas[i].cma == area)
			return true;
	return false;
}

/* Without the change to the core, a long-term pin of a page of CMA would never return. */
#ifdef GUP_LONGTERM_FAILS_FOR_DRIVERS
#define CMEM_CMA_CAN_PAGES	true
#else
#define CMEM_CMA_CAN_PAGES	false
#endif

/* Create the block from its areas, and make it visible. */
static void cmem_cma_publish(struct cmem_cma *cma, bool coherent,
			     struct device *dev,
			     const struct cmem_block_config *config)
{
	struct cmem_cma_area *heap = &cma->areas[CMEM_PLACE_HEAP];
	struct cma *global = dev_get_cma_area(NULL);
	struct cmem_block *block = &cma->block;
	unsigned int i;

	cma->own_heap = heap->cma && heap->cma != global;
	/* A pool may have the global area: linux,cma-default makes any area global. */
	if (global && !cma->no_heap && !cmem_cma_has_area(cma, global) && !heap->cma)
		cmem_cma_set_share(heap, global);
	if (!heap->cma && !block->num_pools) {
		cmem_cma_free(cma);
		return;
	}

	guard(mutex)(&cmem_blocks_lock);

	block->kind = CMEM_KIND_CMA;
	block->coherent = coherent;
	block->has_pages = true;
	block->can_pages = CMEM_CMA_CAN_PAGES;
	block->pages = config->pages && block->can_pages;
	if (config->pages && !block->pages)
		pr_err("block %d: its buffers can't be page-backed: this kernel lacks the patch of mm/gup.c\n",
		       block->id);
	block->shown_in_use = !block->num_pools && !cma->own_heap;
	for (i = 0; i < ARRAY_SIZE(cma->areas); i++)
		block->num_pages = max(block->num_pages, cma->areas[i].base_pfn +
				       cma->areas[i].num_pages);
	cmem_heap_init(&block->heap, 0, block->num_pages, &block->lock);
	cmem_block_sort_pools(block);
	/* If this fails, buffers in quarantine wait for time or a supervisor. */
	if (cmem_quarantine_configure(dev, block, &config->quarantine))
		block->quarantine_config.num_rprocs = 0;
	mutex_lock(&block->lock);
	for (i = 0; i < block->num_pools; i++)
		cmem_cma_count(cma, &cma->areas[i]);
	cmem_cma_count(cma, heap);
	mutex_unlock(&block->lock);
	/* Include what the share of the global area may become. */
	if (cmem_dmem_register(&block->dmem, block->id, cmem_block_length(block) +
			       ((u64)(heap->num_pages - heap->limit) << PAGE_SHIFT)))
		pr_err("block %d: no memory for its region of the dmem cgroup controller\n",
		       block->id);
	cmem_block_publish(block);

	pr_info("block %d: %u pools, heap of %#llx bytes in %s CMA area\n",
		block->id, block->num_pools, (u64)heap->limit << PAGE_SHIFT,
		cma->own_heap ? "its own" : heap->cma ? "the global" : "no");
}

/* Buffers that programs do not free go into quarantine, for this many milliseconds. */
static char *cmem_cma_quarantine;
module_param_named(quarantine_cma, cmem_cma_quarantine, charp, 0444);
MODULE_PARM_DESC(quarantine_cma, "quarantine of what is not freed of block -1: milliseconds, decimal, 0 for ever");

static bool cmem_cma_page_backed;
module_param_named(page_backed_cma, cmem_cma_page_backed, bool, 0444);
MODULE_PARM_DESC(page_backed_cma, "as page_backed, of block -1");

static void __init cmem_cma_create_early(bool coherent,
					 const struct cmem_block_config *config)
{
	const struct cmem_early_pool *pool;
	struct cmem_cma *cma;
	unsigned int i, count;

	for (count = 0; cmem_early_pool(count); count++)
		;
	cma = cmem_cma_new(count);
	if (!cma)
		return;
	for (i = 0; i < count; i++) {
		pool = cmem_early_pool(i);
		cmem_cma_set_pool(cma, i, &pool->config, pool->cma);
	}
	cmem_cma_set_area(&cma->areas[CMEM_PLACE_HEAP], cmem_early_heap());
	cmem_cma_publish(cma, coherent, NULL, config);
}

/**
 * cmem_cma_create - create block -1 from the kernel command line
 * @dev: for messages
 *
 * Creates nothing if the device tree describes the block. Without areas of its own, the
 * block uses the kernel's global area as its heap. Without that area, or with an invalid
 * quarantine_cma=, there is no such block.
 */
void __init cmem_cma_create(struct device *dev)
{
	bool coherent = CMEM_ALWAYS_COHERENT || cmem_config_of_coherent();
	struct cmem_block_config *config;

	/* Even if that block is invalid, or does not exist yet. */
	if (cmem_config_of_has_areas()) {
		if (cmem_early_wanted())
			pr_warn("cmem_cma_pools= and cmem_cma_heapsize= are not used: the device tree describes block %d\n",
				CMEM_BLOCK_CMA);
		if (cmem_cma_quarantine)
			dev_notice(dev, "block %d: it is in the device tree: quarantine_cma= is ignored, ti,quarantine of its node is what counts\n",
				   CMEM_BLOCK_CMA);
		if (cmem_cma_page_backed)
			dev_notice(dev, "block %d: it is in the device tree: page_backed_cma= is ignored, ti,page-backed of its node is what counts\n",
				   CMEM_BLOCK_CMA);
		return;
	}

	config = kzalloc(sizeof(*config), GFP_KERNEL);
	if (!config)
		return;
	config->id = CMEM_BLOCK_CMA;
	config->pages = cmem_cma_page_backed;
	if (!cmem_cma_quarantine ||
	    !cmem_config_param_quarantine(dev, cmem_cma_quarantine, config))
		cmem_cma_create_early(coherent, config);
	kfree(config);
}

#ifdef CONFIG_OF

/* A node describes the block, whether correctly or not. */
static bool cmem_cma_in_tree;

/* Look up the CMA area of a node that memory-region refers to. */
static int cmem_cma_of_area(struct device *dev, const struct cmem_cma *cma,
			    const char *name, struct cma **area)
{
	int ret;

	ret = of_reserved_mem_device_init_by_name(dev, dev->of_node, name);
	/* An area that the kernel could not activate has size 0. */
	if (ret || !dev->cma_area || !cma_get_size(dev->cma_area)) {
		dev_err(dev, "block %d: memory-region \"%s\" is no CMA area: must be a node under /reserved-memory that is compatible with shared-dma-pool, reusable, and was reserved and activated at boot: see the boot log\n",
			CMEM_BLOCK_CMA, name);
		if (!ret)
			of_reserved_mem_device_release(dev);
		return ret ?: -EINVAL;
	}
	*area = dev->cma_area;
	of_reserved_mem_device_release(dev);
	/* Two names for one area would count its memory twice. */
	if (cmem_cma_has_area(cma, *area)) {
		dev_err(dev, "block %d: memory-region \"%s\" is %s, which another name has: each pool and the heap must have an area of its own\n",
			CMEM_BLOCK_CMA, name, cma_get_name(*area));
		return -EINVAL;
	}
	return 0;
}

static int cmem_cma_of_pool(struct device *dev, struct cmem_cma *cma,
			    unsigned int number,
			    const struct cmem_block_config *config)
{
	struct cmem_pool_config pool;
	struct cma *area;
	char name[16];
	u64 bytes;
	int ret;

	snprintf(name, sizeof(name), "pool%u", number);
	ret = cmem_cma_of_area(dev, cma, name, &area);
	if (ret)
		return ret;

	/* Without cmem-buf-pools, the area is one buffer. */
	pool.count = 1;
	pool.length = cma_get_size(area);
	if (config->num_pools)
		pool = config->pools[number];
	bytes = round_up(pool.length, (u64)PAGE_SIZE) * pool.count;
	if (bytes > cma_get_size(area)) {
		dev_err(dev, "block %d: cmem-buf-pools: pool %u needs %#llx bytes, each buffer rounded up to %lu, but memory-region \"%s\" has %#lx\n",
			CMEM_BLOCK_CMA, number, bytes, PAGE_SIZE, name,
			cma_get_size(area));
		return -ENOSPC;
	}
	cmem_cma_set_pool(cma, number, &pool, area);
	return 0;
}

/*
 * Get the areas that exist. A pool without an area keeps its number and has no buffers,
 * as with the command line. A heap without its area does not use the global one instead.
 */
static int cmem_cma_of_areas(struct device *dev, struct cmem_cma *cma,
			     const struct cmem_block_config *config)
{
	struct cma *area;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < cma->block.num_pools; i++) {
		static const struct cmem_pool_config nothing = { .length = 1 };
		int err = cmem_cma_of_pool(dev, cma, i, config);

		if (err)
			cmem_cma_set_pool(cma, i, config->num_pools ?
					  &config->pools[i] : &nothing, NULL);
		ret = ret ?: err;
	}
	if (of_property_match_string(dev->of_node, "memory-region-names",
				     "heap") >= 0) {
		int err = cmem_cma_of_area(dev, cma, "heap", &area);

		if (!err)
			cmem_cma_set_area(&cma->areas[CMEM_PLACE_HEAP], area);
		cma->no_heap = err;
		ret = ret ?: err;
	}
	for (i = 0; i < ARRAY_SIZE(cma->areas); i++)
		if (cma->areas[i].cma)
			return 0;
	return ret;
}

/* Count the pools in memory-region-names: valid names are pool0, pool1, ... and heap. */
static int cmem_cma_of_count(struct device *dev)
{
	const struct device_node *node = dev->of_node;
	int regions = of_count_phandle_with_args(node, "memory-region", NULL);
	int names = of_property_count_strings(node, "memory-region-names");
	int heap = of_property_match_string(node, "memory-region-names",
					    "heap") >= 0;
	char name[16];
	int i;

	if (regions <= 0 || names != regions) {
		dev_err(dev, "block %d: memory-region refers to %d nodes and memory-region-names has %d names, must be as many\n",
			CMEM_BLOCK_CMA, max(regions, 0), max(names, 0));
		return -EINVAL;
	}
	if (names - heap > CMEM_MAX_POOLS) {
		dev_err(dev, "block %d: memory-region-names has %d pools, at most %d are possible\n",
			CMEM_BLOCK_CMA, names - heap, CMEM_MAX_POOLS);
		return -E2BIG;
	}
	for (i = 0; i < names - heap; i++) {
		snprintf(name, sizeof(name), "pool%d", i);
		if (of_property_match_string(node, "memory-region-names",
					     name) < 0) {
			dev_err(dev, "block %d: memory-region-names has %d names but no \"%s\", must be pool0, pool1, ... and heap\n",
				CMEM_BLOCK_CMA, names, name);
			return -EINVAL;
		}
	}
	return names - heap;
}

/**
 * cmem_cma_create_of - create block -1 from a ti,cmem node
 * @dev: the node's device
 * @pool_cells: result of cmem_config_pool_cells() for the node
 * @coherent: devices snoop the caches
 *
 * A node without a memory-region property does not describe the block. Errors are
 * logged. An invalid area is left out. If the node is invalid or no area is left, there
 * is no such block, and no other memory replaces it.
 *
 * Return: 0, or an errno.
 */
int cmem_cma_create_of(struct device *dev, int pool_cells, bool coherent)
{
	struct cmem_block_config *config;
	struct cmem_cma *cma;
	int count, ret;

	if (!of_property_present(dev->of_node, "memory-region"))
		return 0;
	if (cmem_cma_in_tree) {
		dev_err(dev, "block %d: memory-region is in another ti,cmem node already\n",
			CMEM_BLOCK_CMA);
		return -EEXIST;
	}
	if (cmem_block_find(CMEM_BLOCK_CMA)) {
		dev_err(dev, "block %d: it is there already: its node in the device tree came too late\n",
			CMEM_BLOCK_CMA);
		return -EBUSY;
	}
	cmem_cma_in_tree = true;
	count = cmem_cma_of_count(dev);
	if (count < 0)
		return count;

	config = kzalloc(sizeof(*config), GFP_KERNEL);
	if (!config)
		return -ENOMEM;
	config->id = CMEM_BLOCK_CMA;
	config->pages = of_property_read_bool(dev->of_node, "ti,page-backed");
	ret = cmem_config_of_quota(dev, dev->of_node, pool_cells, config);
	if (!ret)
		ret = cmem_config_of_pools(dev, dev->of_node, pool_cells,
					   U64_MAX, config);
	if (!ret)
		ret = cmem_config_of_quarantine(dev, dev->of_node, config);
	if (!ret)
		ret = cmem_config_of_dma_heap(dev, dev->of_node, config);
	if (ret)
		goto out;
	if (config->num_pools && config->num_pools != count) {
		dev_err(dev, "block %d: cmem-buf-pools has %u pools and memory-region-names has %d, must be as many\n",
			CMEM_BLOCK_CMA, config->num_pools, count);
		ret = -EINVAL;
		goto out;
	}

	cma = cmem_cma_new(count);
	if (!cma) {
		ret = -ENOMEM;
		goto out;
	}
	cma->block.own_quota = config->quota;
	cma->block.dma_heap_config = config->dma_heap;
	ret = cmem_cma_of_areas(dev, cma, config);
	if (ret)
		cmem_cma_free(cma);
	else
		cmem_cma_publish(cma, coherent, dev, config);
out:
	kfree(config);
	return ret;
}

#endif /* CONFIG_OF */
