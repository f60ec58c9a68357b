// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads a device tree node into a struct cmem_block_config.
 *
 * The binding is Documentation/devicetree/bindings/misc/ti,cmem.yaml. This file
 * checks every value in the tree, reports errors in the terms of the tree (block,
 * property, value), and accesses no memory of a block. config_of_memory.c looks up
 * the memory that the node refers to.
 */
#include <linux/device.h>
#include <linux/mm.h>
#include <linux/of.h>
#include <linux/of_address.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "config.h"
#include "config_of.h"

/**
 * cmem_config_pool_cells - read #pool-size-cells of a ti,cmem node
 * @dev: for messages
 * @node: the node
 *
 * Return: 1 (also if the property is absent), 2, or -EINVAL.
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

/* Tell if a property consists of non-empty pools only. */
static bool cmem_config_of_are_pools(const __be32 *cell, int cells,
				     int pool_cells)
{
	int i;

	if (!cells || cells % (1 + pool_cells))
		return false;
	for (i = 0; i < cells; i += 1 + pool_cells)
		if (!be32_to_cpup(cell + i) ||
		    !of_read_number(cell + i + 1, pool_cells))
			return false;
	return true;
}

/* Tell if a property is valid only with the other number of cells for sizes. */
static bool cmem_config_of_want_other_cells(const __be32 *cell, int cells,
					    int pool_cells)
{
	int i, other_cells = 3 - pool_cells;

	if (cmem_config_of_are_pools(cell, cells, pool_cells) ||
	    !cmem_config_of_are_pools(cell, cells, other_cells))
		return false;
	/* Buffers of 2^40 bytes are not a likely intention. */
	for (i = 1; other_cells == 2 && i < cells; i += 3)
		if (be32_to_cpu(cell[i]) >= 0x100)
			return false;
	return true;
}

/**
 * cmem_config_of_pools - read cmem-buf-pools of a block's node
 * @dev: for messages
 * @node: the node
 * @pool_cells: cells in a buffer size, 1 or 2
 * @length: bytes in the block
 * @config: gets the pools; @config->id is for messages
 *
 * A block without the property has no pools: all of it is heap.
 *
 * Return: 0; -EINVAL for a malformed property, -E2BIG for more than
 * CMEM_MAX_POOLS; or an error of cmem_config_set_pools().
 */
int cmem_config_of_pools(struct device *dev, const struct device_node *node,
			 int pool_cells, u64 length,
			 struct cmem_block_config *config)
{
	static const char * const prop = "cmem-buf-pools";
	int tuple = 1 + pool_cells;
	const __be32 *cell;
	int i, cells;

	config->num_pools = 0;
	cell = of_get_property(node, prop, &cells);
	if (!cell)
		return 0;

	if (!(cells % (int)sizeof(*cell)) &&
	    cmem_config_of_want_other_cells(cell, cells / (int)sizeof(*cell),
					    pool_cells)) {
		dev_err(dev, "block %d: %s has sizes of %d cells, but #pool-size-cells of the ti,cmem node is %s: must be <%d>\n",
			config->id, prop, 3 - pool_cells,
			pool_cells == 2 ? "<2>" : "missing, or <1>",
			3 - pool_cells);
		return -EINVAL;
	}
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
		config->pools[i].count = be32_to_cpup(cell);
		config->pools[i].length = of_read_number(cell + 1, pool_cells);
	}
	return cmem_config_set_pools(dev, prop, i, length, config);
}

/**
 * cmem_config_of_quarantine - read what happens to buffers that programs do not free
 * @dev: for messages
 * @node: the node of a block, or a ti,cmem node for its CMA areas
 * @config: gets the quarantine; @config->id is for messages
 *
 * A remote processor need not have a driver yet.
 *
 * Return: 0; -EINVAL for a malformed property, -ENOENT for an invalid reference, -E2BIG
 * for more than CMEM_MAX_RPROCS.
 */
int cmem_config_of_quarantine(struct device *dev, const struct device_node *node,
			      struct cmem_block_config *config)
{
	struct cmem_quarantine_config *quarantine = &config->quarantine;
	int i, count;

	*quarantine = (struct cmem_quarantine_config) {
		.all = of_property_read_bool(node, "ti,quarantine"),
	};
	if (of_property_present(node, "ti,quarantine-ms") &&
	    (of_property_count_u32_elems(node, "ti,quarantine-ms") != 1 ||
	     of_property_read_u32(node, "ti,quarantine-ms", &quarantine->ms) ||
	     !quarantine->ms || quarantine->ms > CMEM_MAX_QUARANTINE_MS)) {
		dev_err(dev, "block %d: ti,quarantine-ms must be one cell, from 1 to %u milliseconds; without it, time does not count\n",
			config->id, CMEM_MAX_QUARANTINE_MS);
		return -EINVAL;
	}

	if (!of_property_present(node, "ti,rprocs"))
		return 0;
	count = of_count_phandle_with_args(node, "ti,rprocs", NULL);
	if (count > CMEM_MAX_RPROCS) {
		dev_err(dev, "block %d: ti,rprocs refers to %d nodes, at most %d are possible\n",
			config->id, count, CMEM_MAX_RPROCS);
		return -E2BIG;
	}
	for (i = 0; i < count; i++) {
		struct device_node *rproc = of_parse_phandle(node, "ti,rprocs", i);

		if (!rproc)
			break;
		quarantine->rprocs[i] = rproc->phandle;
		of_node_put(rproc);
	}
	if (i != count || !count) {
		dev_err(dev, "block %d: ti,rprocs: reference %d is to no node, must be the nodes of remote processors\n",
			config->id, i);
		return -ENOENT;
	}
	quarantine->num_rprocs = count;
	return 0;
}

/**
 * cmem_config_of_quota - read how much each user may have of a block
 * @dev: for messages
 * @node: the block's node
 * @pool_cells: cells in a size, 1 or 2
 * @config: gets the @quota; its @id is for messages
 *
 * Return: 0; -EINVAL for an invalid value, or for both bytes and a percentage.
 */
int cmem_config_of_quota(struct device *dev, const struct device_node *node,
			 int pool_cells, struct cmem_block_config *config)
{
	const __be32 *cells;
	u32 percent;
	int length;

	config->quota = (struct cmem_amount){};
	cells = of_get_property(node, "ti,user-quota", &length);
	if (cells) {
		if (length != pool_cells * sizeof(*cells)) {
			dev_err(dev, "block %d: ti,user-quota has %d bytes, must be one size of %d cells, as #pool-size-cells says\n",
				config->id, length, pool_cells);
			return -EINVAL;
		}
		config->quota.given = true;
		config->quota.bytes = of_read_number(cells, pool_cells);
	}
	if (of_property_read_u32(node, "ti,user-quota-percent", &percent))
		return 0;
	if (cells || percent > 100) {
		dev_err(dev, "block %d: ti,user-quota-percent is %u%s, must be 0 to 100, and the only property of a quota\n",
			config->id, percent,
			cells ? " beside ti,user-quota" : "");
		return -EINVAL;
	}
	config->quota.given = true;
	config->quota.percent = percent;
	return 0;
}

/**
 * cmem_config_of_dma_heap - read the DMA-BUF heaps of a block
 * @dev: for messages
 * @node: the node of a block, or a ti,cmem node for its CMA areas
 * @config: gets the heaps; @config->id is for messages
 *
 * Return: 0, -ENOMEM, -EINVAL, or an error of cmem_config_set_dma_heap_names().
 */
int cmem_config_of_dma_heap(struct device *dev, const struct device_node *node,
			    struct cmem_block_config *config)
{
	static const char * const prop = "ti,dma-heap-names";
	const char *value;
	int i, length, ret;
	char *names;

	config->dma_heap.from_pools = of_property_read_bool(node, "ti,dma-heap-pools");
	config->dma_heap.names[0] = '\0';
	value = of_get_property(node, prop, &length);
	if (!value)
		return 0;
	if (of_property_count_strings(node, prop) < 1) {
		dev_err(dev, "block %d: %s must be one or more strings\n",
			config->id, prop);
		return -EINVAL;
	}
	if (memchr(value, ':', length)) {
		dev_err(dev, "block %d: %s has a name with a colon: a DMA-BUF heap can't\n",
			config->id, prop);
		return -EINVAL;
	}

	names = kmemdup(value, length, GFP_KERNEL);
	if (!names)
		return -ENOMEM;
	/* Replace the NULs between the strings with colons. */
	for (i = 0; i < length - 1; i++)
		if (!names[i])
			names[i] = ':';
	ret = cmem_config_set_dma_heap_names(dev, prop, names, config);
	kfree(names);
	return ret;
}

/**
 * cmem_config_of_carveout - read a reserved-memory node that becomes a DMA-BUF heap
 * @dev: for messages
 * @region: the node, which is enabled
 * @id: number of the new block
 * @config: set on success
 *
 * Programs for TI's kernels look for a heap named carveout_<node name>. The heap is not
 * cached if the node has no-map.
 *
 * Return: 0; -EBUSY if another node uses the memory, -ENODEV if it was not reserved,
 * -EINVAL if the node can't be a block.
 */
int cmem_config_of_carveout(struct device *dev, struct device_node *region,
			    s32 id, struct cmem_block_config *config)
{
	struct device_node *user;
	char name[CMEM_MAX_DMA_HEAP_NAME + 2];
	int ret;

	*config = (struct cmem_block_config) { .id = id };
	user = cmem_config_of_user("memory-region", region);
	if (user) {
		dev_err(dev, "block %d: %pOF is for %pOF as well, and would be cleared: a dma-heap-carveout is for DMA-BUFs alone\n",
			id, region, user);
		of_node_put(user);
		return -EBUSY;
	}
	ret = cmem_config_of_region(dev, region, config);
	if (!ret)
		ret = cmem_config_of_check_regions(dev, region, config);
	if (!ret && config->kind == CMEM_KIND_SRAM) {
		dev_err(dev, "block %d: %pOF is on-chip memory: a block of it needs a node under ti,cmem\n",
			id, region);
		ret = -EINVAL;
	}
	if (ret)
		return ret;
	config->dma_heap.uncached = config->kind == CMEM_KIND_CARVEOUT;
	snprintf(name, sizeof(name), "carveout_%pOFn", region);
	return cmem_config_set_dma_heap_names(dev, region->full_name, name,
					      config);
}

/**
 * cmem_config_of_block - read a block's node
 * @dev: for messages
 * @node: the node, a child of a ti,cmem node
 * @pool_cells: result of cmem_config_pool_cells() for the ti,cmem node
 * @config: set on success
 *
 * Return: 0; -EINVAL for a malformed property, -ENOENT for a missing one, -ENODEV if
 * the memory was not reserved or is disabled, -EBUSY if others use it; or an error of
 * cmem_config_of_pools(), cmem_config_of_dma_heap() or cmem_config_of_quarantine().
 * After an error of these three, the memory is usable, and @config->length is not 0.
 */
int cmem_config_of_block(struct device *dev, const struct device_node *node,
			 int pool_cells, struct cmem_block_config *config)
{
	u32 id;
	int ret;

	memset(config, 0, sizeof(*config));
	cmem_config_of_check_names(dev, node, true);

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
	config->is_memory = of_property_read_bool(node, "ti,is-memory");
	config->shared = of_property_read_bool(node, "ti,shared-region");
	config->pages = of_property_read_bool(node, "ti,page-backed");
	ret = cmem_config_of_quota(dev, node, pool_cells, config);
	if (ret)
		return ret;

	ret = cmem_config_of_memory(dev, node, config);
	if (ret) {
		config->length = 0;
		return ret;
	}
	ret = cmem_config_of_quarantine(dev, node, config);
	if (!ret)
		ret = cmem_config_of_dma_heap(dev, node, config);
	if (ret)
		return ret;

	return cmem_config_of_pools(dev, node, pool_cells, config->length,
				    config);
}

/**
 * cmem_config_of_has_block - tell if the device tree has a block with a number
 * @id: the number
 *
 * The block may still wait for its memory's driver, or may have failed.
 *
 * Return: true if it has.
 */
bool cmem_config_of_has_block(s32 id)
{
	struct device_node *node;
	bool found = false;
	u32 reg;

	for_each_compatible_node(node, NULL, "ti,cmem") {
		if (!of_device_is_available(node))
			continue;
		for_each_available_child_of_node_scoped(node, child)
			if (!of_property_read_u32(child, "reg", &reg) &&
			    (s32)reg == id)
				found = true;
	}
	return found;
}

/**
 * cmem_config_of_has_areas - tell if the device tree has areas for the CMA block
 *
 * The areas may turn out to be missing or invalid.
 *
 * Return: true if a ti,cmem node refers to any.
 */
bool cmem_config_of_has_areas(void)
{
	struct device_node *node;
	bool found = false;

	for_each_compatible_node(node, NULL, "ti,cmem")
		found |= of_device_is_available(node) &&
			 of_property_present(node, "memory-region");
	return found;
}

/**
 * cmem_config_of_check_unused - check that memory is not reserved for others
 * @dev: for messages
 * @config: has the range, which does not wrap around
 *
 * Firmware of another processor may run in a region long before, and without, any
 * driver that claims it. A region is free if it has no compatible string and no enabled
 * node refers to it: boards reserve memory this way for blocks that parameters
 * describe.
 *
 * Return: 0 or -EBUSY. The user of the memory is logged.
 */
int cmem_config_of_check_unused(struct device *dev,
				const struct cmem_block_config *config)
{
	return cmem_config_of_check_regions(dev, NULL, config);
}

/**
 * cmem_config_of_coherent - tell if the board's devices snoop the CPU's caches
 *
 * Return: true if there are enabled ti,cmem nodes and all of them are coherent.
 */
bool cmem_config_of_coherent(void)
{
	struct device_node *node;
	bool coherent = true, found = false;

	for_each_compatible_node(node, NULL, "ti,cmem") {
		if (!of_device_is_available(node))
			continue;
		found = true;
		coherent &= of_dma_is_coherent(node);
	}
	return found && coherent;
}
