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
#include <linux/of_address.h>
#include <linux/of_reserved_mem.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "config.h"

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

/* Whether all of a property are pools, none of them empty */
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

/* Whether they are not, but would be if sizes had the other number of cells */
static bool cmem_config_of_want_other_cells(const __be32 *cell, int cells,
					    int pool_cells)
{
	int i, other = 3 - pool_cells;

	if (cmem_config_of_are_pools(cell, cells, pool_cells) ||
	    !cmem_config_of_are_pools(cell, cells, other))
		return false;
	/* Nobody means buffers of 2^40 bytes. */
	for (i = 1; other == 2 && i < cells; i += 3)
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
 * @config: where to put the pools; @config->id is read, for messages
 *
 * A block without the property has no pools: all of it is heap.
 *
 * Return: 0; -EINVAL for a malformed property, -E2BIG for more than
 * CMEM_MAX_POOLS; and as cmem_config_set_pools().
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

/* A ti,cmem node, or that of a block: no matter if it is enabled */
static bool cmem_config_of_is_cmem(const struct device_node *node)
{
	struct device_node *parent = of_get_parent(node);
	bool is = of_device_is_compatible(node, "ti,cmem") ||
		  of_device_is_compatible(parent, "ti,cmem");

	of_node_put(parent);
	return is;
}

/* Nothing is made of what is in a node that is disabled. */
static bool cmem_config_of_is_enabled(struct device_node *node)
{
	bool enabled = true;

	of_node_get(node);
	while (node) {
		enabled &= of_device_is_available(node);
		node = of_get_next_parent(node);
	}
	return enabled;
}

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
 * The first enabled node of others that refers to memory, or NULL. That two blocks have
 * the same memory is seen when they are made.
 */
static struct device_node *cmem_config_of_user(const char *property,
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

/* What misc/ti,cmem.yaml has, of a ti,cmem node and of a block's */
static const char * const cmem_config_node_names[] = {
	"#pool-size-cells", "memory-region", "memory-region-names",
	"cmem-buf-pools", "ti,quarantine", "ti,quarantine-ms", "ti,rprocs",
	"ti,user-quota", "ti,user-quota-percent", "ti,dma-heap-names",
	"ti,dma-heap-pools", "dma-coherent",
};

static const char * const cmem_config_block_names[] = {
	"reg", "memory-region", "sram", "cmem-buf-pools", "ti,keep-contents",
	"ti,is-memory", "ti,shared-region", "ti,quarantine",
	"ti,quarantine-ms", "ti,rprocs", "ti,user-quota",
	"ti,user-quota-percent", "ti,dma-heap-names", "ti,dma-heap-pools",
};

/* A node may have these, whatever it is. */
static const char * const cmem_config_any_names[] = {
	"name", "compatible", "status", "phandle", "linux,phandle",
	"#address-cells", "#size-cells", "dma-noncoherent",
};

static bool cmem_config_of_is_among(const char *name,
				    const char * const *names, int num_names)
{
	int i;

	for (i = 0; i < num_names; i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

/* How many letters are to be changed, put in or left out to make one name of another */
static int cmem_config_of_distance(const char *from, const char *to)
{
	u8 row[32], left, above;
	int i, k, length = strlen(to);

	if (length >= ARRAY_SIZE(row) || strlen(from) >= ARRAY_SIZE(row))
		return INT_MAX;
	for (k = 0; k <= length; k++)
		row[k] = k;
	for (i = 0; from[i]; i++) {
		left = row[0]++;
		for (k = 1; k <= length; k++) {
			above = row[k];
			row[k] = min3((u8)(left + (from[i] != to[k - 1])),
				      (u8)(above + 1), (u8)(row[k - 1] + 1));
			left = above;
		}
	}
	return row[length];
}

static const char *cmem_config_of_meant(const char *name,
					const char * const *names,
					int num_names)
{
	int i, far, closest = strlen(name) > 8 ? 4 : 3;
	const char *found = NULL;

	for (i = 0; i < num_names; i++) {
		far = cmem_config_of_distance(name, names[i]);
		/* buf-pools, say */
		if (strlen(name) > 3 && strstr(names[i], name))
			far = 1;
		if (far < closest) {
			closest = far;
			found = names[i];
		}
	}
	return found;
}

/**
 * cmem_config_of_check_names - look for properties that nothing reads
 * @dev: for messages
 * @node: a ti,cmem node, or that of a block
 * @is_block: which of these
 *
 * A name that is nearly right, or right in the other node, is most often a mistake; but
 * what it would have said is not missed by those who read the node.
 */
void cmem_config_of_check_names(struct device *dev,
				const struct device_node *node, bool is_block)
{
	const char * const *own = is_block ? cmem_config_block_names :
					     cmem_config_node_names;
	const char * const *other = is_block ? cmem_config_node_names :
					       cmem_config_block_names;
	int num_own = is_block ? ARRAY_SIZE(cmem_config_block_names) :
				 ARRAY_SIZE(cmem_config_node_names);
	int num_other = is_block ? ARRAY_SIZE(cmem_config_node_names) :
				   ARRAY_SIZE(cmem_config_block_names);
	const struct property *prop;
	const char *meant;

	for_each_property_of_node(node, prop) {
		if (cmem_config_of_is_among(prop->name, own, num_own) ||
		    cmem_config_of_is_among(prop->name, cmem_config_any_names,
					    ARRAY_SIZE(cmem_config_any_names)))
			continue;
		if (cmem_config_of_is_among(prop->name, other, num_other)) {
			dev_warn(dev, "%pOF: %s is ignored there: it belongs into the node of %s\n",
				 node, prop->name, is_block ? "ti,cmem" : "a block");
			continue;
		}
		meant = cmem_config_of_meant(prop->name, own, num_own);
		if (meant)
			dev_warn(dev, "%pOF: %s is ignored: is it a misspelt %s?\n",
				 node, prop->name, meant);
	}
}

/**
 * cmem_config_of_note_unused - tell of nodes that no block is made of
 * @dev: for messages
 *
 * They may be as they should be: a board may disable what its SoC has.
 */
void cmem_config_of_note_unused(struct device *dev)
{
	struct device_node *node, *child;

	for_each_compatible_node(node, NULL, "ti,cmem") {
		if (!cmem_config_of_is_enabled(node)) {
			dev_notice(dev, "%pOF is disabled, no block is made of it: status of it, and of the nodes above it, must be \"okay\"\n",
				   node);
			continue;
		}
		for_each_child_of_node(node, child)
			if (!of_device_is_available(child))
				dev_notice(dev, "%pOF is disabled, no block is made of it: status must be \"okay\"\n",
					   child);
	}
	for_each_node_with_property(node, "cmem-buf-pools")
		if (!cmem_config_of_is_cmem(node))
			dev_notice(dev, "%pOF has cmem-buf-pools, but no block is made of it: the node above it must be compatible with \"ti,cmem\"\n",
				   node);
}

/* The memory that a block refers to is for nobody else. */
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
	/* One of these without a user is nobody's. */
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

	/* The kernel keeps only the first range, and none that it could not reserve. */
	for (i = 0; !of_address_to_resource(region, i, &res); i++)
		if (config->base <= res.end && last >= res.start)
			return true;
	/* Without reg, it is where the kernel found a place. */
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

/* No region but @own, if there is one, that is for somebody has a part of the memory. */
static int cmem_config_of_check_regions(struct device *dev,
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

/* A partition with reg = <0 0> stands for one that a boot loader may make. */
static bool cmem_config_of_has_partition(const struct device_node *sram)
{
	struct resource res;

	for_each_available_child_of_node_scoped(sram, child)
		if (of_address_to_resource(child, 0, &res) ||
		    resource_size(&res))
			return true;
	return false;
}

/* Whether @config->id may have memory of an SRAM, in @partition if that is not NULL */
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

/* What @config->id may have of an SRAM: of all of it, if @partition is NULL */
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
 * cmem_config_of_find_sram - find the SRAM that has the memory of a block
 * @config: where the block is
 *
 * Return: the partition that has all of it, or else the SRAM that has, to be put by the
 * caller; NULL if there is none that a driver may have.
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
 * A region in an SRAM that is enabled: its driver maps and claims all of it, so that the
 * block is one of that driver's memory, as if it referred to it.
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

static int cmem_config_of_region(struct device *dev,
				 struct device_node *region,
				 struct cmem_block_config *config)
{
	struct reserved_mem *mem;

	/*
	 * The kernel only logs a reservation that failed, or one under a
	 * /reserved-memory node whose cells or ranges are wrong. What is in the
	 * node is ordinary RAM then, so its reg is not to be believed.
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

static int cmem_config_of_memory(struct device *dev,
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

/**
 * cmem_config_of_quarantine - read what is done with what programs do not free
 * @dev: for messages
 * @node: the node of a block, or a ti,cmem node for its CMA areas
 * @config: where to put it; @config->id is read, for messages
 *
 * A remote processor need not have a driver yet.
 *
 * Return: 0; -EINVAL for a malformed property, -ENOENT for a reference to nothing, -E2BIG
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
 * cmem_config_of_quota - read what each user may have of a block
 * @dev: for messages
 * @node: the block's node
 * @pool_cells: cells in a size, 1 or 2
 * @config: its @quota is set, its @id read for messages
 *
 * Return: 0; -EINVAL for what is neither bytes nor a percentage, or both.
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
 * cmem_config_of_dma_heap - read what a block is as DMA-BUF heaps
 * @dev: for messages
 * @node: the node of a block, or a ti,cmem node for its CMA areas
 * @config: where to put it; @config->id is read, for messages
 *
 * Return: 0, -ENOMEM, or as cmem_config_set_dma_heap_names().
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
	/* Between strings is a NUL, between names a colon. */
	for (i = 0; i < length - 1; i++)
		if (!names[i])
			names[i] = ':';
	ret = cmem_config_set_dma_heap_names(dev, prop, names, config);
	kfree(names);
	return ret;
}

/**
 * cmem_config_of_carveout - read a reserved-memory node that is to be a DMA-BUF heap
 * @dev: for messages
 * @region: the node, which is enabled
 * @id: number that the block is to have
 * @config: to be filled in
 *
 * Programs of TI's kernels look for a heap that has carveout_ and the node's name as its
 * name, and is not cached if the node has no-map.
 *
 * Return: 0; -EBUSY when the memory is for another node as well, -ENODEV when it was
 * not reserved, -EINVAL for what can't be a block.
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
 * @pool_cells: what cmem_config_pool_cells() said of the ti,cmem node
 * @config: to be filled in
 *
 * Return: 0; -EINVAL for a malformed property, -ENOENT for one that is missing,
 * -ENODEV when the memory was not reserved or is disabled, -EBUSY when it is for
 * somebody else; and as cmem_config_of_pools() and cmem_config_of_dma_heap(). When only
 * its pools, the names of its heaps or what is said of quarantine are wrong, its @length is
 * not 0: the memory is good.
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
 * cmem_config_of_has_block - tell if the device tree has a block of some number
 * @id: the number
 *
 * It may still wait for what its memory comes from, or have failed.
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
 * They may turn out to be none, or wrong.
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
 * cmem_config_of_check_unused - see that memory is not reserved for somebody else
 * @dev: for messages
 * @config: where it is: a range that does not wrap around
 *
 * Firmware of another processor may run in a region long before, and without, any
 * driver that claims it. One that says neither what it is nor is referred to by an
 * enabled node is nobody's: boards reserve memory like that for what parameters
 * describe.
 *
 * Return: 0, or -EBUSY, and whose it is was logged.
 */
int cmem_config_of_check_unused(struct device *dev,
				const struct cmem_block_config *config)
{
	return cmem_config_of_check_regions(dev, NULL, config);
}

/**
 * cmem_config_of_coherent - tell if the board's devices snoop the CPU's caches
 *
 * Return: true if there are ti,cmem nodes, and all of them say so.
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
