// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl doctor: mistakes in the device tree, according to the binding
 * (misc/ti,cmem.yaml), and memory not reserved as the tree says.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "doctor.h"

static const char area[] = "device tree";
static const char memory[] = "reservation";

static const struct node *root;
static struct tree_blocks *blocks;
static unsigned int room;
static char *iomem;

/* Nodes whose compatible matches a driver, exactly or nearly */
static const struct node *cmem_node[64];
static unsigned int cmem_nodes;

/* The binding's properties: of the ti,cmem node, and of a block's node */
static const char *const node_properties[] = {
	"compatible", "#address-cells", "#size-cells", "#pool-size-cells", "memory-region",
	"memory-region-names", "cmem-buf-pools", "ti,quarantine", "ti,quarantine-ms", "ti,rprocs",
	"ti,user-quota", "ti,user-quota-percent", "ti,dma-heap-names", "ti,dma-heap-pools",
	"ti,page-backed", "dma-coherent", "status",
};

static const char *const block_properties[] = {
	"reg", "memory-region", "sram", "cmem-buf-pools", "ti,keep-contents", "ti,is-memory",
	"ti,shared-region", "ti,quarantine", "ti,quarantine-ms", "ti,rprocs", "ti,user-quota",
	"ti,user-quota-percent", "ti,dma-heap-names", "ti,dma-heap-pools",
	"ti,page-backed", "status",
};

static bool is_among(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

/* Properties that the compiler and the boot loader add to any node */
static bool is_anybodys(const char *name)
{
	static const char *const names[] = {
		"name", "phandle", "linux,phandle", "bootph-all", "bootph-pre-ram",
		"u-boot,dm-pre-reloc", "u-boot,dm-spl", "label", "dma-noncoherent", "compatible",
		"status", "#address-cells", "#size-cells",
	};

	return is_among(name, names, ARRAY_SIZE(names));
}

/* The intended name, or NULL */
static const char *meant(const char *name, const char *const *names, size_t count)
{
	size_t closest = strlen(name) > 8 ? 4 : 3;
	const char *found_name = NULL;

	for (size_t i = 0; i < count; i++) {
		size_t far = word_distance(name, names[i]);

		/* "buf-pools" is a part of "cmem-buf-pools". */
		if (strlen(name) > 3 && strstr(names[i], name))
			far = 1;
		if (far < closest) {
			closest = far;
			found_name = names[i];
		}
	}
	return found_name;
}

static void check_names(const struct node *node, bool is_block)
{
	const char *const *own_names = is_block ? block_properties : node_properties;
	const char *const *other_names = is_block ? node_properties : block_properties;
	size_t num_own = is_block ? ARRAY_SIZE(block_properties) : ARRAY_SIZE(node_properties);
	size_t num_other = is_block ? ARRAY_SIZE(node_properties) : ARRAY_SIZE(block_properties);

	for (unsigned int i = 0; i < node->properties; i++) {
		const char *name = node->property[i].name, *right;

		if (is_among(name, own_names, num_own) || is_anybodys(name))
			continue;
		if (is_among(name, other_names, num_other)) {
			found(IS_WRONG, area, say("Put it into %s.", is_block ?
						  "the node above it, the one with compatible = \"ti,cmem\"" :
						  "the node of the block that it is for"),
			      "%s: %s is not read there", node->path, name);
			continue;
		}
		right = meant(name, own_names, num_own);
		if (right)
			found(IS_WRONG, area, say("Write %s.", right),
			      "%s: %s is no property of the binding ti,cmem, and is not read: %s is",
			      node->path, name, right);
	}
}

/* Whether any node can create a block */
static bool any_is_enabled(void)
{
	for (unsigned int i = 0; i < cmem_nodes; i++) {
		const struct node *node = cmem_node[i];

		if (tree_disabled(node))
			continue;
		if (tree_property(node, "memory-region"))
			return true;
		for (unsigned int k = 0; k < node->children; k++)
			if (!tree_disabled(node->child[k]))
				return true;
	}
	return false;
}

/*
 * A status other than okay and ok means disabled. If other nodes are enabled, that may be
 * intended: a board disables nodes of its SoC.
 */
static bool check_status(const struct node *node)
{
	const struct node *off = tree_disabled(node);

	if (!off)
		return true;
	found(any_is_enabled() ? IS_NOTE : IS_WRONG, area, say("Write status = \"okay\" into %s, or leave status out.", off->path),
	      "%s is disabled: status of %s is \"%s\"", node->path,
	      off == node ? "it" : off->path, tree_string(off, "status"));
	return false;
}

/* Which nodes belong to CMEM, or are intended to */

static bool has_pools(const struct node *node)
{
	for (unsigned int i = 0; i < node->children; i++)
		if (tree_property(node->child[i], "cmem-buf-pools"))
			return true;
	return false;
}

/* "ti,cmen", "ti-cmem", "TI,CMEM" */
static bool is_nearly(const struct node *node, const char *compatible)
{
	size_t far = word_distance(compatible, "ti,cmem");

	return far == 1 || !strcasecmp(compatible, "ti,cmem") ||
	       ((far <= 4 || strstr(compatible, "cmem")) &&
		(has_pools(node) || !strncmp(node->name, "cmem", 4)));
}

static void take_node(const struct node *node)
{
	const struct property *property = tree_property(node, "compatible");
	const char *compatible = property ? (const char *)property->value : "";

	if (tree_is_compatible(node, "ti,cmem")) {
		if (cmem_nodes < ARRAY_SIZE(cmem_node))
			cmem_node[cmem_nodes++] = node;
		return;
	}
	/* Such a name under /reserved-memory is memory, not a block. */
	if (node->parent && !strcmp(node->parent->path, "/reserved-memory"))
		return;
	if (property && is_nearly(node, compatible))
		found(IS_WRONG, area, "Write compatible = \"ti,cmem\".",
		      "%s: compatible is \"%s\", must be \"ti,cmem\"", node->path, compatible);
	else if (!property && (has_pools(node) || !strcmp(node->name, "cmem")))
		found(IS_WRONG, area, "Write compatible = \"ti,cmem\".",
		      "%s looks like a node of CMEM but has no compatible, must be \"ti,cmem\"",
		      node->path);
}

/* The kernel creates devices for nodes below the root, and below a bus there. */
static void check_place(const struct node *node)
{
	static const char *const buses[] = { "simple-bus", "simple-mfd", "isa", "arm,amba-bus" };

	for (const struct node *above = node->parent; above && above->parent;
	     above = above->parent) {
		bool is_bus = false;

		for (size_t i = 0; i < ARRAY_SIZE(buses); i++)
			is_bus |= tree_is_compatible(above, buses[i]);
		if (is_bus)
			continue;
		found(IS_WRONG, area, "Put the node directly into the root node, / { ... }.",
		      "%s: no device is made of it, since %s is no bus", node->path, above->path);
		return;
	}
}

/*
 * Pools
 */

static bool pools_fit(const struct property *pools, unsigned int cells)
{
	unsigned int tuple = 1 + cells, count = pools->length / 4;

	if (!count || count % tuple || pools->length % 4)
		return false;
	for (unsigned int i = 0; i < count; i += tuple)
		if (!tree_cell(pools, i) || !tree_number(pools, i + 1, cells))
			return false;
	return true;
}

static uint64_t pools_length(const struct property *pools, unsigned int cells)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < pools->length / 4; i += 1 + cells)
		sum += tree_cell(pools, i) *
		       ((tree_number(pools, i + 1, cells) + 4095) & ~4095ULL);
	return sum;
}

static bool check_pools(const struct node *node, const struct property *pools, unsigned int cells,
			bool cells_given, uint64_t length)
{
	uint64_t sum;

	if (pools_fit(pools, cells)) {
		sum = pools_length(pools, cells);
		if (!length || sum <= length)
			return true;
		found(IS_WRONG, area, "Fewer or smaller buffers, or a larger region.",
		      "%s: cmem-buf-pools needs %s (%#" PRIx64 " bytes), but the region has %s",
		      node->path, human(sum), sum, human(length));
		return false;
	}
	if (cells == 1 && pools_fit(pools, 2))
		found(IS_WRONG, area,
		      say("Put #pool-size-cells = <2> into %s.",
			  tree_is_compatible(node, "ti,cmem") ? node->path : node->parent->path),
		      "%s: cmem-buf-pools has sizes of two cells, but #pool-size-cells %s: a pool of buffers of 0 bytes is read there",
		      node->path, cells_given ? "is 1" : "is missing, which means 1");
	else if (cells == 2 && pools_fit(pools, 1))
		found(IS_WRONG, area,
		      "Write each size as two cells, <4 0x0 0x1000000>, or leave out #pool-size-cells.",
		      "%s: cmem-buf-pools has sizes of one cell, but #pool-size-cells is 2",
		      node->path);
	else
		found(IS_WRONG, area,
		      say("Write <count %s> for each pool, neither of which is 0.",
			  cells == 1 ? "size" : "high-size low-size"),
		      "%s: cmem-buf-pools has %zu cells that are no pools of %u cells each, or a count or size of 0",
		      node->path, pools->length / 4, 1 + cells);
	return false;
}

/*
 * Memory
 */

struct range {
	uint64_t base, length;
};

/* How many bytes of a range are in memory nodes; false without such nodes */
static bool memory_nodes_have(const struct range *range, uint64_t *bytes)
{
	unsigned int ac = tree_cells(root, "#address-cells", 2);
	unsigned int sc = tree_cells(root, "#size-cells", 1);
	bool any = false;

	*bytes = 0;
	for (unsigned int i = 0; i < root->children; i++) {
		const struct node *node = root->child[i];
		const char *type = tree_string(node, "device_type");
		const struct property *reg = tree_property(node, "linux,usable-memory");

		if (!type || strcmp(type, "memory") || tree_disabled(node))
			continue;
		if (!reg)
			reg = tree_property(node, "reg");
		for (unsigned int at = 0; reg && (at + ac + sc) * 4 <= reg->length; at += ac + sc) {
			uint64_t base = tree_number(reg, at, ac);
			uint64_t length = tree_number(reg, at + ac, sc);
			uint64_t start = base > range->base ? base : range->base;
			uint64_t end = base + length < range->base + range->length ?
				       base + length : range->base + range->length;

			any |= length;
			if (start < end)
				*bytes += end - start;
		}
	}
	return any;
}

enum where { NOWHERE, IN_RAM, UNSEEN };

/* Whether a part of a range is System RAM in /proc/iomem */
static enum where in_iomem(const struct range *range)
{
	uint64_t start, end;
	bool seen = false, in = false;
	char *line, *next;

	for (line = iomem; line && *line; line = next) {
		next = strchrnul(line, '\n');
		if (*next)
			next++;
		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) != 2)
			continue;
		/* For non-root users, all addresses are 0. */
		seen |= end;
		if (*line != ' ' && !strncmp(strchrnul(line, ':'), ": System RAM", 12) &&
		    start < range->base + range->length && end >= range->base)
			in = true;
	}
	return !seen ? UNSEEN : in ? IN_RAM : NOWHERE;
}

static bool reserved_memory_is_sound(void)
{
	static int sound = -1;
	const struct node *node = tree_find(root, "/reserved-memory");
	unsigned int ac = tree_cells(root, "#address-cells", 2);
	unsigned int sc = tree_cells(root, "#size-cells", 1), own_ac, own_sc;

	if (sound >= 0 || !node)
		return sound;
	sound = 1;
	own_ac = tree_cells(node, "#address-cells", 0);
	own_sc = tree_cells(node, "#size-cells", 0);
	if (!tree_property(node, "ranges")) {
		found(IS_WRONG, memory, "Write ranges; into /reserved-memory.",
		      "/reserved-memory has no ranges, so the kernel reserves nothing of what is in it");
		sound = 0;
	}
	if (own_ac != ac || own_sc != sc) {
		found(IS_WRONG, memory,
		      say("Write #address-cells = <%u> and #size-cells = <%u> into /reserved-memory, and each reg with so many.",
			  ac, sc),
		      "/reserved-memory has other cell counts than the root node (%u and %u instead of %u and %u), so the kernel reserves nothing of what is in it",
		      own_ac, own_sc, ac, sc);
		sound = 0;
	}
	return sound;
}

/* Reads a region's location; reports an error and returns false if it is wrong */
static bool read_region(const struct node *region, struct range *range)
{
	unsigned int ac = tree_cells(region->parent, "#address-cells", 2);
	unsigned int sc = tree_cells(region->parent, "#size-cells", 1);
	const struct property *reg = tree_property(region, "reg");

	*range = (struct range){ };
	if (!reg) {
		const struct property *size = tree_property(region, "size");

		range->length = size ? tree_number(size, 0, size->length / 4) : 0;
		if (range->length)
			return true;
		found(IS_WRONG, memory, "Write reg = <address size> into it.",
		      "%s has neither reg nor size, so nothing is reserved", region->path);
		return false;
	}
	if (!reg->length || reg->length % (4 * (ac + sc))) {
		found(IS_WRONG, memory,
		      say("Write %u cells for the address and %u for the size.", ac, sc),
		      "%s: reg has %zu cells, must be %u: nothing is reserved", region->path,
		      reg->length / 4, ac + sc);
		return false;
	}
	range->base = tree_number(reg, 0, ac);
	range->length = tree_number(reg, ac, sc);
	if (!range->length || range->base % 4096 || range->length % 4096) {
		found(IS_WRONG, memory, "Write an address and a size that are multiples of the page size.",
		      "%s: reg is %#" PRIx64 " bytes at %#" PRIx64 ", both must be multiples of a page, and the first not 0",
		      region->path, range->length, range->base);
		return false;
	}
	return true;
}

/* The tree is right: did the kernel reserve the memory? */
static bool is_reserved(const struct node *block, const struct node *region,
			const struct range *range)
{
	bool no_map = tree_property(region, "no-map");
	uint64_t bytes;

	if (!range->base)
		return true;
	if (memory_nodes_have(range, &bytes) && bytes < range->length &&
	    !tree_property(block, "ti,is-memory") && access(rooted("/sys/firmware/efi"), F_OK)) {
		found(IS_WRONG, memory,
		      "Is this another board, or one with less memory? Take an address and a size that the board has; if it is memory of which the tree does not know, write ti,is-memory into the block.",
		      "%s: the memory nodes have only %s of the %s at %#" PRIx64, region->path,
		      human(bytes), human(range->length), range->base);
		return false;
	}
	switch (in_iomem(range)) {
	case UNSEEN:
		return true;
	case IN_RAM:
		if (!no_map)
			return true;
		found(IS_WRONG, memory,
		      "Something else is there already: another node, the kernel's image, the initial RAM disk or the device tree. dmesg | grep 'reserved mem' says so: move one of them.",
		      "%s: the kernel uses memory of it as its RAM, although it is no-map",
		      region->path);
		return false;
	case NOWHERE:
		break;
	}
	return true;
}

static void check_iomem(void)
{
	const struct range all = { .length = UINT64_MAX };

	iomem = read_text("/proc/iomem");
	if (!iomem || in_iomem(&all) == UNSEEN)
		found(IS_UNKNOWN, memory, NULL, "could not look at %s: %s", rooted("/proc/iomem"),
		      iomem || errno == EACCES || errno == EPERM ? "run as root" : strerror(errno));
}

static bool check_region(const struct node *block, const struct node *region, long id,
			 struct range *range)
{
	const struct node *off;

	if (!region->parent || strcmp(region->parent->path, "/reserved-memory")) {
		found(IS_WRONG, memory, "Refer to a node directly under /reserved-memory.",
		      "%s: memory-region refers to %s, which is not under /reserved-memory",
		      block->path, region->path);
		return false;
	}
	off = tree_disabled(region);
	if (off) {
		found(IS_WRONG, memory, say("Write status = \"okay\" into %s, or leave status out.", off->path),
		      "%s is disabled, so it is not reserved", off->path);
		return false;
	}
	if (tree_property(region, "reusable")) {
		found(IS_WRONG, memory, "Write no-map in its place.",
		      "%s is reusable, which lends it to others (CMA): it can't be a block's", region->path);
		return false;
	}
	if (!read_region(region, range) || !reserved_memory_is_sound())
		return false;
	/* Memory that the driver has taken is correct. */
	return has_block(id) || is_reserved(block, region, range);
}

static bool check_sram(const struct node *block, const struct node *sram)
{
	const struct node *off = tree_disabled(sram);

	if (!tree_is_compatible(sram, "mmio-sram") &&
	    !(sram->parent && tree_is_compatible(sram->parent, "mmio-sram"))) {
		found(IS_WRONG, area, "Refer to an mmio-sram node, or to a partition of one.",
		      "%s: sram refers to %s, which is neither", block->path, sram->path);
		return false;
	}
	if (off)
		found(IS_WRONG, area, say("Write status = \"okay\" into %s.", off->path),
		      "%s: its sram, %s, is disabled", block->path, off->path);
	return !off;
}

/* The node that a property refers to; reports an error and returns NULL if none */
static const struct node *referred(const struct node *block, const char *name)
{
	const struct property *property = tree_property(block, name);
	const struct node *node;

	if (property->length != 4) {
		found(IS_WRONG, area, say("Write %s = <&label>.", name),
		      "%s: %s has %zu cells, must be one reference", block->path, name,
		      property->length / 4);
		return NULL;
	}
	node = tree_by_phandle(root, tree_cell(property, 0));
	if (!node)
		found(IS_WRONG, area, say("Write %s = <&label>, the label of a node that is there.", name),
		      "%s: %s refers to no node", block->path, name);
	return node;
}

static bool check_block(const struct node *node, long id, unsigned int cells, bool cells_given)
{
	bool by_region = tree_property(node, "memory-region");
	bool by_sram = tree_property(node, "sram");
	const struct property *pools = tree_property(node, "cmem-buf-pools");
	const struct node *target;
	struct range range = { };
	bool good;

	if (by_region == by_sram) {
		found(IS_WRONG, area, "Write memory-region = <&label>, of a node under /reserved-memory.",
		      by_region ? "%s has both memory-region and sram, must have one" :
		      "%s has no memory: neither memory-region nor sram", node->path);
		return false;
	}
	target = referred(node, by_region ? "memory-region" : "sram");
	if (!target)
		return false;
	good = by_region ? check_region(node, target, id, &range) : check_sram(node, target);
	if (good && by_region)
		found(IS_OK, memory, NULL, "block %ld: %s at %#" PRIx64 "%s, %s", id,
		      human(range.length), range.base,
		      range.base ? "" : " (the kernel chooses)", target->path);
	if (pools && !check_pools(node, pools, cells, cells_given, good ? range.length : 0))
		good = false;
	return good;
}

static void take_block(const struct node *node, unsigned int cells, bool cells_given)
{
	const struct property *reg = tree_property(node, "reg");
	struct tree_block block = { .node = node->path };

	check_names(node, true);
	if (!check_status(node))
		return;
	if (!reg || reg->length != 4) {
		found(IS_WRONG, area, "Write reg = <0>, the number of the block.",
		      "%s: reg must be one cell, the number of the block", node->path);
		return;
	}
	block.id = tree_cell(reg, 0);
	for (unsigned int i = 0; i < blocks->count; i++) {
		if (blocks->block[i].id != block.id)
			continue;
		found(IS_WRONG, area, "Give each block a reg of its own.",
		      "%s and %s are both block %ld", blocks->block[i].node, node->path, block.id);
		return;
	}
	block.wrong = !check_block(node, block.id, cells, cells_given);
	grow(blocks->block, blocks->count, room);
	blocks->block[blocks->count++] = block;
}

/* The areas of block -1: each is a separate CMA area */
static void check_areas(const struct node *node, unsigned int cells, bool cells_given)
{
	const struct property *regions = tree_property(node, "memory-region");
	const struct property *pools = tree_property(node, "cmem-buf-pools");

	blocks->areas = true;
	if (!tree_property(node, "memory-region-names"))
		found(IS_WRONG, area, "Write memory-region-names = \"pool0\", ..., \"heap\".",
		      "%s: memory-region-names is missing", node->path);
	for (unsigned int i = 0; i < regions->length / 4; i++) {
		const struct node *region = tree_by_phandle(root, tree_cell(regions, i));

		if (!region)
			found(IS_WRONG, area, "Write the label of a node that is there.",
			      "%s: reference %u of memory-region is to no node", node->path, i);
		else if (tree_disabled(region))
			found(IS_WRONG, memory, "Write status = \"okay\" into it, or leave status out.",
			      "%s is disabled, so it is not reserved", region->path);
		else if (!tree_is_compatible(region, "shared-dma-pool") ||
			 !tree_property(region, "reusable"))
			found(IS_WRONG, memory,
			      "Write compatible = \"shared-dma-pool\" and reusable into it; or, if it is to be a block, move memory-region into the block's node.",
			      "%s is no CMA area, which memory-region of %s must refer to",
			      region->path, node->path);
		else
			reserved_memory_is_sound();
	}
	if (pools)
		check_pools(node, pools, cells, cells_given, 0);
}

static void check_node(const struct node *node)
{
	const struct property *cells = tree_property(node, "#pool-size-cells");
	unsigned int pool_cells = tree_cell(cells, 0);

	check_names(node, false);
	if (!check_status(node))
		return;
	blocks->nodes = true;
	check_place(node);
	if (cells && (cells->length != 4 || (pool_cells != 1 && pool_cells != 2))) {
		found(IS_WRONG, area, "Write #pool-size-cells = <1> or <2>.",
		      "%s: #pool-size-cells is neither <1> nor <2>", node->path);
		return;
	}
	if (!cells)
		pool_cells = 1;
	if (tree_property(node, "memory-region"))
		check_areas(node, pool_cells, cells);
	if (!node->children && !tree_property(node, "memory-region"))
		found(IS_WRONG, area, "Write a node for each block, block@0 { reg = <0>; ... }.",
		      "%s has no block in it", node->path);
	for (unsigned int i = 0; i < node->children; i++)
		take_block(node->child[i], pool_cells, cells);
}

void doctor_tree(struct tree_blocks *to)
{
	static const char *const places[] = {
		"/sys/firmware/devicetree/base", "/proc/device-tree",
	};
	struct node *tree = NULL;

	blocks = to;
	for (size_t i = 0; i < ARRAY_SIZE(places) && !tree; i++)
		tree = tree_read(rooted(places[i]));
	if (!tree) {
		found(IS_NOTE, area, NULL,
		      "there is none in %s: blocks come from parameters on the kernel command line alone",
		      rooted(places[0]));
		return;
	}
	/* Never freed: it holds the names of blocks. */
	root = tree;
	tree_walk(root, take_node);
	if (!cmem_nodes && has_blocks()) {
		found(IS_OK, area, NULL, "no node has compatible = \"ti,cmem\": the blocks come from parameters");
		return;
	}
	if (!cmem_nodes) {
		found(IS_WRONG, area,
		      "Is this the .dtb that was built? Write a node as in the binding misc/ti,cmem.yaml.",
		      "no node has compatible = \"ti,cmem\", which blocks come from");
		return;
	}
	found(IS_OK, area, NULL, "%s has compatible = \"ti,cmem\"%s", cmem_node[0]->path,
	      cmem_nodes > 1 ? ", and others have" : "");
	check_iomem();
	for (unsigned int i = 0; i < cmem_nodes; i++)
		check_node(cmem_node[i]);
	free(iomem);
}
