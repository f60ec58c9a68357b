// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads a device tree node into a struct cmem_block_config.
 *
 * The binding is Documentation/devicetree/bindings/misc/ti,cmem.yaml. This file
 * believes nothing that the tree says without a check, tells what is wrong in
 * the words of the tree (block, property, value), and touches no memory.
 */
#include <linux/device.h>
#include <linux/mm.h>
#include <linux/of.h>
#include <linux/of_reserved_mem.h>
#include <linux/overflow.h>

#include "config.h"
#include "pool.h"

/**
 * cmem_config_pool_cells - read #pool-size-cells of a ti,cmem node
 * @dev: for messages
 * @node: the node
 *
 * Return: 1 (also when the property is not there), 2, or -EINVAL.
 */
int cmem_config_pool_cells(struct device *dev, const struct device_node *node)
{
	u32 cells;
	int ret;

	ret = of_property_read_u32(node, "#pool-size-cells", &cells);
	if (ret == -EINVAL)
		return 1;
	if (ret || (cells != 1 && cells != 2)) {
		if (ret)
			dev_err(dev, "#pool-size-cells has no value, must be <1> or <2>\n");
		else
			dev_err(dev, "#pool-size-cells is <%u>, must be <1> or <2>\n",
				cells);
		return -EINVAL;
	}
	return cells;
}

/**
 * cmem_config_of_pools - read cmem-buf-pools of a block's node
 * @dev: for messages
 * @node: the node
 * @pool_cells: cells in a buffer size, 1 or 2
 * @length: bytes in the block
 * @config: where to put the pools; @config->id is read, for messages
 *
 * A block without the property has no pools: all of it is heap.
 *
 * Return: 0; -EINVAL for a malformed property, -E2BIG for more than
 * CMEM_MAX_POOLS, -EOVERFLOW when the sizes add up to more than 64 bits hold,
 * -ENOSPC when they add up to more than the block, each buffer rounded up to
 * pages.
 */
int cmem_config_of_pools(struct device *dev, const struct device_node *node,
			 int pool_cells, u64 length,
			 struct cmem_block_config *config)
{
	static const char * const prop = "cmem-buf-pools";
	int tuple = 1 + pool_cells;
	const __be32 *cell;
	u64 total = 0;
	int i, cells;

	config->num_pools = 0;
	cell = of_get_property(node, prop, &cells);
	if (!cell)
		return 0;

	if (!cells || cells % (tuple * (int)sizeof(*cell))) {
		dev_err(dev, "block %d: %s has %d bytes, must be a number of <count size> of %d cells each\n",
			config->id, prop, cells, tuple);
		return -EINVAL;
	}
	cells /= sizeof(*cell);
	if (cells / tuple > CMEM_MAX_POOLS) {
		dev_err(dev, "block %d: %s has %d pools, at most %d are possible\n",
			config->id, prop, cells / tuple, CMEM_MAX_POOLS);
		return -E2BIG;
	}

	for (i = 0; i < cells / tuple; i++, cell += tuple) {
		struct cmem_pool_config *pool = &config->pools[i];
		u64 bytes, page_mask = PAGE_SIZE - 1;

		pool->count = be32_to_cpup(cell);
		pool->length = of_read_number(cell + 1, pool_cells);
		if (!pool->count || !pool->length) {
			dev_err(dev, "block %d: %s: pool %d has %u buffers of %llu bytes, neither can be 0\n",
				config->id, prop, i, pool->count, pool->length);
			return -EINVAL;
		}
		if (pool->count >= CMEM_SLOT_NONE ||
		    check_add_overflow(pool->length, page_mask, &bytes) ||
		    check_mul_overflow(bytes & ~page_mask, (u64)pool->count,
				       &bytes) ||
		    check_add_overflow(total, bytes, &total)) {
			dev_err(dev, "block %d: %s: pool %d of %u buffers of %#llx bytes is larger than any memory\n",
				config->id, prop, i, pool->count, pool->length);
			return -EOVERFLOW;
		}
	}

	if (total > length) {
		dev_err(dev, "block %d: %s needs %#llx bytes, each buffer rounded up to %lu, but the block has %#llx\n",
			config->id, prop, total, PAGE_SIZE, length);
		return -ENOSPC;
	}
	config->num_pools = i;
	return 0;
}

static int cmem_config_of_memory(struct device *dev,
				 const struct device_node *node,
				 struct cmem_block_config *config)
{
	struct device_node *region;
	struct reserved_mem *mem;
	int count;

	if (of_property_present(node, "sram")) {
		if (of_property_present(node, "memory-region"))
			dev_err(dev, "block %d: has both memory-region and sram, must have one\n",
				config->id);
		else
			dev_err(dev, "block %d: sram is not supported by this kernel, memory-region is\n",
				config->id);
		return -EINVAL;
	}

	count = of_count_phandle_with_args(node, "memory-region", NULL);
	if (count > 1) {
		dev_err(dev, "block %d: memory-region refers to %d nodes, must be one\n",
			config->id, count);
		return -EINVAL;
	}
	region = of_parse_phandle(node, "memory-region", 0);
	if (!region) {
		dev_err(dev, "block %d: memory-region is missing or refers to no node, must be a node under /reserved-memory\n",
			config->id);
		return -ENOENT;
	}

	/*
	 * The kernel only logs a reservation that failed, or one under a
	 * /reserved-memory node whose cells or ranges are wrong. What is in the
	 * node is ordinary RAM then, so its reg is not to be believed.
	 */
	mem = of_reserved_mem_lookup(region);
	if (!mem || !mem->size) {
		dev_err(dev, "block %d: memory-region %pOF was not reserved at boot: see the boot log for why; must be an enabled node with reg under a /reserved-memory that has ranges and the root's cell counts\n",
			config->id, region);
		of_node_put(region);
		return -ENODEV;
	}
	if (of_property_present(region, "reusable")) {
		dev_err(dev, "block %d: memory-region %pOF is reusable: the kernel lends it to others\n",
			config->id, region);
		of_node_put(region);
		return -EINVAL;
	}
	if (!PAGE_ALIGNED(mem->base) || !PAGE_ALIGNED(mem->size)) {
		dev_err(dev, "block %d: memory-region %pOF is %pa bytes at %pa, both must be multiples of %lu\n",
			config->id, region, &mem->size, &mem->base, PAGE_SIZE);
		of_node_put(region);
		return -EINVAL;
	}

	config->placed_by_kernel = !of_property_present(region, "reg");
	config->base = mem->base;
	config->length = mem->size;
	config->kind = of_property_read_bool(region, "no-map") ?
		       CMEM_KIND_CARVEOUT : CMEM_KIND_RESERVED;
	of_node_put(region);
	return 0;
}

/**
 * cmem_config_of_block - read a block's node
 * @dev: for messages
 * @node: the node, a child of a ti,cmem node
 * @pool_cells: what cmem_config_pool_cells() said of the ti,cmem node
 * @config: to be filled in
 *
 * Return: 0; -EINVAL for a malformed property, -ENOENT for one that is missing,
 * -ENODEV when the memory was not reserved; and as cmem_config_of_pools().
 */
int cmem_config_of_block(struct device *dev, const struct device_node *node,
			 int pool_cells, struct cmem_block_config *config)
{
	u32 id;
	int ret;

	memset(config, 0, sizeof(*config));

	if (!of_property_present(node, "reg")) {
		dev_err(dev, "%pOF: reg is missing, must be the number of the block\n",
			node);
		return -ENOENT;
	}
	if (of_property_count_u32_elems(node, "reg") != 1) {
		dev_err(dev, "%pOF: reg must be one cell, the number of the block\n",
			node);
		return -EINVAL;
	}
	of_property_read_u32(node, "reg", &id);
	if (id > S32_MAX) {
		dev_err(dev, "%pOF: reg is <%u>, must be at most %d\n",
			node, id, S32_MAX);
		return -EINVAL;
	}
	config->id = id;

	config->keep_contents = of_property_read_bool(node, "ti,keep-contents");

	ret = cmem_config_of_memory(dev, node, config);
	if (ret)
		return ret;

	return cmem_config_of_pools(dev, node, pool_cells, config->length,
				    config);
}
