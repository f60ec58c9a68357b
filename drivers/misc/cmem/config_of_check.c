// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tells which device tree nodes belong to CMEM and are enabled. Warns of mistakes that
 * otherwise go unnoticed: properties that nothing reads, and nodes that make no block.
 */
#include <linux/device.h>
#include <linux/of.h>
#include <linux/string.h>

#include "config.h"
#include "config_of.h"

/* A ti,cmem node or the node of a block, enabled or not */
bool cmem_config_of_is_cmem(const struct device_node *node)
{
	struct device_node *parent = of_get_parent(node);
	bool is = of_device_is_compatible(node, "ti,cmem") ||
		  of_device_is_compatible(parent, "ti,cmem");

	of_node_put(parent);
	return is;
}

/* A disabled node also disables the nodes below it. */
bool cmem_config_of_is_enabled(struct device_node *node)
{
	bool enabled = true;

	of_node_get(node);
	while (node) {
		enabled &= of_device_is_available(node);
		node = of_get_next_parent(node);
	}
	return enabled;
}

/* The properties in misc/ti,cmem.yaml, of a ti,cmem node and of a block's node */
static const char * const cmem_config_node_names[] = {
	"#pool-size-cells", "memory-region", "memory-region-names",
	"cmem-buf-pools", "ti,quarantine", "ti,quarantine-ms", "ti,rprocs",
	"ti,user-quota", "ti,user-quota-percent", "ti,dma-heap-names",
	"ti,dma-heap-pools", "ti,page-backed", "dma-coherent",
};

static const char * const cmem_config_block_names[] = {
	"reg", "memory-region", "sram", "cmem-buf-pools", "ti,keep-contents",
	"ti,is-memory", "ti,shared-region", "ti,quarantine",
	"ti,quarantine-ms", "ti,rprocs", "ti,user-quota",
	"ti,user-quota-percent", "ti,dma-heap-names", "ti,dma-heap-pools",
	"ti,page-backed",
};

/* Any node may have these. */
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

/* The number of letters to change, insert or delete to get from one name to the other */
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
		/* A part of a name, such as buf-pools */
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
 * @node: a ti,cmem node, or the node of a block
 * @is_block: @node is the node of a block
 *
 * A misspelt name, or a name that belongs to the other node, is most often a mistake,
 * but the code that reads the node does not notice that the property is missing.
 */
void cmem_config_of_check_names(struct device *dev,
				const struct device_node *node, bool is_block)
{
	const char * const *own = is_block ? cmem_config_block_names :
					     cmem_config_node_names;
	const char * const *other_names = is_block ? cmem_config_node_names :
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
		if (cmem_config_of_is_among(prop->name, other_names, num_other)) {
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
 * cmem_config_of_note_unused - log nodes that make no block
 * @dev: for messages
 *
 * This can be intentional: a board may disable nodes of its SoC.
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
