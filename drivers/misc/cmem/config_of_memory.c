// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory that a device tree gives a block: reserved memory or on-chip memory. Unless
 * the block has ti,shared-region, no other node may use this memory.
 */
#include <linux/device.h>
#include <linux/mm.h>
#include <linux/of.h>
#include <linux/of_address.h>
#include <linux/of_reserved_mem.h>
#include <linux/string.h>

#include "config.h"
#include "config_of.h"

static bool cmem_config_of_refers(const struct device_node *node,
				  const char *property,
				  const struct device_node *memory)
{
	int i, count = of_count_phandle_with_args(node, property, NULL);
	struct device_node *found;

	for (i = 0; i < count; i++) {
		found = of_parse_phandle(node, property, i);
		of_node_put(found);
		if (found == memory)
			return true;
	}
	return false;
}

/*
 * Find the first enabled node outside of CMEM that refers to memory. The caller puts it.
 * Creating a block detects memory that is in two blocks.
 */
struct device_node *cmem_config_of_user(const char *property,
					const struct device_node *memory)
{
	struct device_node *node;

	for_each_node_with_property(node, property)
		if (!cmem_config_of_is_cmem(node) &&
		    cmem_config_of_refers(node, property, memory) &&
		    cmem_config_of_is_enabled(node))
			return node;
	return NULL;
}

/* No other node may use the memory that a block refers to. */
static int cmem_config_of_check_own(struct device *dev, const char *property,
				    const struct device_node *memory,
				    const struct cmem_block_config *config)
{
	struct device_node *user;
	const char *compatible;

	if (config->shared)
		return 0;
	user = cmem_config_of_user(property, memory);
	if (user) {
		dev_err(dev, "block %d: %s %pOF is for %pOF as well, and would be cleared: give the block memory of its own, or, if they share it on purpose, ti,shared-region\n",
			config->id, property, memory, user);
		of_node_put(user);
		return -EBUSY;
	}
	/* A shared-dma-pool to which no node refers is unused. */
	if (!of_property_read_string(memory, "compatible", &compatible) &&
	    !of_device_is_compatible(memory, "shared-dma-pool")) {
		dev_err(dev, "block %d: %s %pOF is for a driver, and would be cleared: it is a %s. Give the block memory of its own, or, if they share it on purpose, ti,shared-region\n",
			config->id, property, memory, compatible);
		return -EBUSY;
	}
	return 0;
}

static bool cmem_config_of_overlaps(struct device_node *region,
				    const struct cmem_block_config *config)
{
	phys_addr_t last = config->base + config->length - 1;
	const struct reserved_mem *mem;
	struct resource res;
	int i;

	/* struct reserved_mem has only the first range, and only if it was reserved. */
	for (i = 0; !of_address_to_resource(region, i, &res); i++)
		if (config->base <= res.end && last >= res.start)
			return true;
	/* Without reg, the kernel chose the address. */
	mem = of_reserved_mem_lookup(region);
	return mem && mem->size && last >= mem->base &&
	       config->base <= mem->base + mem->size - 1;
}

static int cmem_config_of_check_region(struct device *dev,
				       struct device_node *region,
				       const struct device_node *own,
				       const struct cmem_block_config *config)
{
	const char *name = own ? own->full_name : "", *is = own ? ", " : "";
	struct device_node *user;
	const char *compatible;

	if (region == own || !cmem_config_of_overlaps(region, config))
		return 0;

	user = cmem_config_of_user("memory-region", region);
	if (user) {
		dev_err(dev, "block %d: %#llx bytes at %pa%s%s overlap %pOF, which is reserved for %pOF\n",
			config->id, config->length, &config->base, is, name,
			region, user);
		of_node_put(user);
		return -EBUSY;
	}
	if (!of_property_read_string(region, "compatible", &compatible)) {
		dev_err(dev, "block %d: %#llx bytes at %pa%s%s overlap %pOF, which is reserved for a driver: it is a %s\n",
			config->id, config->length, &config->base, is, name,
			region, compatible);
		return -EBUSY;
	}
	return 0;
}

/* No region that is in use, except @own if not NULL, may overlap the memory. */
int cmem_config_of_check_regions(struct device *dev,
				 const struct device_node *own,
				 const struct cmem_block_config *config)
{
	struct device_node *parent;
	int ret = 0;

	if (config->shared)
		return 0;
	parent = of_find_node_by_path("/reserved-memory");
	for_each_available_child_of_node_scoped(parent, region) {
		ret = cmem_config_of_check_region(dev, region, own, config);
		if (ret)
			break;
	}
	of_node_put(parent);
	return ret;
}

/* A partition with reg = <0 0> is a placeholder that a boot loader may fill in. */
static bool cmem_config_of_has_partition(const struct device_node *sram)
{
	struct resource res;

	for_each_available_child_of_node_scoped(sram, child)
		if (of_address_to_resource(child, 0, &res) ||
		    resource_size(&res))
			return true;
	return false;
}

/* Check if block @config->id may use an SRAM, in @partition if that is not NULL. */
static int cmem_config_of_check_sram_use(struct device *dev,
					 const struct device_node *sram,
					 const struct device_node *partition,
					 const struct cmem_block_config *config)
{
	if (of_property_read_bool(sram, "no-memory-wc")) {
		dev_err(dev, "block %d: sram %pOF has no-memory-wc: programs can't use Device memory\n",
			config->id, sram);
		return -EINVAL;
	}
	if (partition && of_property_read_bool(partition, "protect-exec")) {
		dev_err(dev, "block %d: sram %pOF has protect-exec: it is for code of the kernel\n",
			config->id, partition);
		return -EINVAL;
	}
	if (partition && !of_property_read_bool(partition, "pool") &&
	    cmem_config_of_check_own(dev, "sram", partition, config))
		return -EBUSY;
	return 0;
}

/* Check @partition of an SRAM for block @config->id, or all of the SRAM if it is NULL. */
static int cmem_config_of_check_sram(struct device *dev,
				     const struct device_node *sram,
				     const struct device_node *partition,
				     const struct cmem_block_config *config)
{
	const struct device_node *memory = partition ?: sram;

	if (!of_device_is_compatible(sram, "mmio-sram")) {
		dev_err(dev, "block %d: sram %pOF is neither an mmio-sram node nor a partition of one\n",
			config->id, memory);
		return -EINVAL;
	}
	if (!of_device_is_available(sram) || !of_device_is_available(memory)) {
		dev_err(dev, "block %d: sram %pOF is disabled: status of it and of its SRAM must be \"okay\"\n",
			config->id, memory);
		return -ENODEV;
	}
	if (!partition && cmem_config_of_has_partition(sram)) {
		dev_err(dev, "block %d: sram %pOF has partitions, must be one of these\n",
			config->id, sram);
		return -EINVAL;
	}
	return cmem_config_of_check_sram_use(dev, sram, partition, config);
}

static int cmem_config_of_sram_range(struct device *dev,
				     struct device_node *memory,
				     struct cmem_block_config *config)
{
	struct resource res;
	u64 start, end;

	if (of_address_to_resource(memory, 0, &res)) {
		dev_err(dev, "block %d: sram %pOF has no address: reg of it, or ranges of a node above it, is missing or wrong\n",
			config->id, memory);
		return -EINVAL;
	}
	config->kind = CMEM_KIND_SRAM;
	config->base = res.start;
	config->length = resource_size(&res);
	start = ALIGN((u64)res.start, PAGE_SIZE);
	end = ALIGN_DOWN((u64)res.start + config->length, PAGE_SIZE);
	if (start == res.start && end == (u64)res.start + config->length &&
	    config->length)
		return 0;

	if (start < end)
		dev_err(dev, "block %d: sram %pOF is %#llx bytes at %pa, must be whole pages: %#llx bytes at %#llx would be\n",
			config->id, memory, config->length, &config->base,
			end - start, start);
	else
		dev_err(dev, "block %d: sram %pOF is %#llx bytes at %pa, must be whole pages of %lu bytes\n",
			config->id, memory, config->length, &config->base,
			PAGE_SIZE);
	return -EINVAL;
}

static int cmem_config_of_sram(struct device *dev,
			       const struct device_node *node,
			       struct cmem_block_config *config)
{
	struct device_node *memory, *parent;
	int ret, count;

	count = of_count_phandle_with_args(node, "sram", NULL);
	if (count > 1) {
		dev_err(dev, "block %d: sram refers to %d nodes, must be one\n",
			config->id, count);
		return -EINVAL;
	}
	memory = of_parse_phandle(node, "sram", 0);
	if (!memory) {
		dev_err(dev, "block %d: sram refers to no node, must be an mmio-sram node or a partition of one\n",
			config->id);
		return -ENOENT;
	}

	parent = of_get_parent(memory);
	if (parent && of_device_is_compatible(parent, "mmio-sram"))
		ret = cmem_config_of_check_sram(dev, parent, memory, config);
	else
		ret = cmem_config_of_check_sram(dev, memory, NULL, config);
	if (!ret)
		ret = cmem_config_of_sram_range(dev, memory, config);
	of_node_put(parent);
	of_node_put(memory);
	return ret;
}

static bool cmem_config_of_contains(struct device_node *node,
				    const struct cmem_block_config *config)
{
	phys_addr_t last = config->base + config->length - 1;
	struct resource res;

	return !of_address_to_resource(node, 0, &res) &&
	       config->base >= res.start && last <= res.end;
}

/**
 * cmem_config_of_find_sram - find the SRAM that contains the memory of a block
 * @config: has the range of the block
 *
 * Return: the partition that contains all of it, otherwise the SRAM; NULL if no enabled
 * SRAM contains it. The caller puts the node.
 */
struct device_node *
cmem_config_of_find_sram(const struct cmem_block_config *config)
{
	struct device_node *sram;

	for_each_compatible_node(sram, NULL, "mmio-sram")
		if (cmem_config_of_is_enabled(sram) &&
		    cmem_config_of_contains(sram, config))
			break;
	if (!sram)
		return NULL;
	for_each_available_child_of_node_scoped(sram, partition) {
		if (!cmem_config_of_contains(partition, config))
			continue;
		of_node_put(sram);
		return of_node_get(partition);
	}
	return sram;
}

/*
 * If the region is in an enabled SRAM, the SRAM's driver maps and claims all of that.
 * The block then uses the driver's memory, as if it referred to the SRAM.
 */
static int cmem_config_of_region_in_sram(struct device *dev,
					 struct cmem_block_config *config)
{
	struct device_node *memory, *sram;
	bool partition;
	int ret;

	if (!IS_ENABLED(CONFIG_SRAM))
		return 0;
	memory = cmem_config_of_find_sram(config);
	if (!memory)
		return 0;

	partition = !of_device_is_compatible(memory, "mmio-sram");
	sram = partition ? of_get_parent(memory) : of_node_get(memory);
	ret = cmem_config_of_check_sram_use(dev, sram,
					    partition ? memory : NULL, config);
	config->kind = CMEM_KIND_SRAM;
	of_node_put(sram);
	of_node_put(memory);
	return ret;
}

int cmem_config_of_region(struct device *dev,
			  struct device_node *region,
			  struct cmem_block_config *config)
{
	struct reserved_mem *mem;

	/*
	 * If a reservation fails, or if the cells or ranges of /reserved-memory are
	 * wrong, the kernel only logs it. The range in reg is ordinary RAM then, so
	 * do not trust it.
	 */
	mem = of_reserved_mem_lookup(region);
	if (!mem || !mem->size) {
		dev_err(dev, "block %d: memory-region %pOF was not reserved at boot: see the boot log for why; must be an enabled node with reg under a /reserved-memory that has ranges and the root's cell counts\n",
			config->id, region);
		return -ENODEV;
	}
	if (of_property_present(region, "reusable")) {
		dev_err(dev, "block %d: memory-region %pOF is reusable: the kernel lends it to others\n",
			config->id, region);
		return -EINVAL;
	}
	if (!PAGE_ALIGNED(mem->base) || !PAGE_ALIGNED(mem->size)) {
		dev_err(dev, "block %d: memory-region %pOF is %pa bytes at %pa, both must be multiples of %lu\n",
			config->id, region, &mem->size, &mem->base, PAGE_SIZE);
		return -EINVAL;
	}

	config->placed_by_kernel = !of_property_present(region, "reg");
	config->base = mem->base;
	config->length = mem->size;
	config->kind = of_property_read_bool(region, "no-map") ?
		       CMEM_KIND_CARVEOUT : CMEM_KIND_RESERVED;
	return cmem_config_of_region_in_sram(dev, config);
}

int cmem_config_of_memory(struct device *dev,
			  const struct device_node *node,
			  struct cmem_block_config *config)
{
	struct device_node *region;
	int ret, count;

	if (of_property_present(node, "sram")) {
		if (!of_property_present(node, "memory-region"))
			return cmem_config_of_sram(dev, node, config);
		dev_err(dev, "block %d: has both memory-region and sram, must have one\n",
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
		dev_err(dev, "block %d: memory-region is missing or refers to no node, must be a node under /reserved-memory, or there must be sram\n",
			config->id);
		return -ENOENT;
	}

	ret = cmem_config_of_check_own(dev, "memory-region", region, config);
	if (!ret)
		ret = cmem_config_of_region(dev, region, config);
	if (!ret)
		ret = cmem_config_of_check_regions(dev, region, config);
	of_node_put(region);
	return ret;
}
