// SPDX-License-Identifier: GPL-2.0-only
/*
 * Blocks in on-chip memory that the mmio-sram driver (drivers/misc/sram.c) has.
 *
 * That driver maps all of its memory, also the partitions that it leaves to others,
 * as write-combining Normal memory, and keeps it so. A cached mapping of the same
 * memory beside that one would be a second truth about it, so every mapping of ours
 * is write-combining as well, the kernel's own one and those of the programs, whatever
 * they asked for (CMEM_KIND_SRAM). With no-memory-wc in its node it would be Device
 * memory, on which a program's memcpy() can fault: that is no memory for a block.
 *
 * A partition without pool, which the driver does not touch, is for whom the device
 * tree says. A partition with pool, and what is in no partition, it hands out piece
 * by piece: what the block has of that is taken from it before the block is made, and stays
 * taken when the block is removed, or could not be made, as memory stays reserved. The
 * range itself is claimed by that driver: there is nothing to claim in /proc/iomem.
 *
 * A block refers to its memory in one of two ways: sram names the SRAM or a partition, and
 * the block is all of that; memory-region names a region that is in an SRAM, maybe in the
 * midst of it. If that SRAM's node is disabled, or there is no driver for it in this kernel,
 * the region is a carveout like others, which can be cached.
 *
 * The driver may come late, after a clock that its memory needs, or never. Other
 * blocks do not wait for that: a block in SRAM is a device of its own, a child of the
 * ti,cmem device, the probe of which the driver core repeats until the driver is there
 * or it gives up on that.
 */
#include <linux/bitmap.h>
#include <linux/device.h>
#include <linux/genalloc.h>
#include <linux/init.h>
#include <linux/of.h>
#include <linux/of_platform.h>
#include <linux/platform_device.h>
#include <linux/property.h>

#include "block.h"
#include "config.h"
#include "sram.h"

static const char cmem_sram_name[] = "cmem-sram";

/**
 * cmem_sram_add_block - make a block in SRAM, now or when its driver is there
 * @dev: the ti,cmem device
 * @node: the block's node
 * @config: what is to become of it, of CMEM_KIND_SRAM
 *
 * What goes wrong is logged.
 */
void cmem_sram_add_block(struct device *dev, struct device_node *node,
			 const struct cmem_block_config *config)
{
	const struct platform_device_info info = {
		.parent = dev,
		.fwnode = of_fwnode_handle(node),
		.name = cmem_sram_name,
		.id = PLATFORM_DEVID_AUTO,
		.data = config,
		.size_data = sizeof(*config),
	};
	struct platform_device *pdev;

	pdev = platform_device_register_full(&info);
	if (IS_ERR(pdev))
		dev_err(dev, "block %d: no device for it: %pe\n", config->id,
			pdev);
}

static struct device_node *
cmem_sram_memory(struct platform_device *pdev,
		 const struct cmem_block_config *config)
{
	struct device_node *memory;

	memory = of_parse_phandle(pdev->dev.of_node, "sram", 0);
	/* Else the block's region is in an SRAM. */
	return memory ?: cmem_config_of_find_sram(config);
}

/* The device with the memory is the SRAM itself, or has it as a partition. */
static struct platform_device *cmem_sram_device(struct device_node *memory)
{
	struct platform_device *pdev = of_find_device_by_node(memory);

	if (!pdev) {
		struct device_node *sram = of_get_parent(memory);

		pdev = of_find_device_by_node(sram);
		of_node_put(sram);
	}
	return pdev;
}

static bool cmem_sram_is_there(struct device_node *memory)
{
	struct platform_device *pdev = cmem_sram_device(memory);
	bool bound;

	if (!pdev)
		return false;

	device_lock(&pdev->dev);
	bound = device_is_bound(&pdev->dev);
	device_unlock(&pdev->dev);
	put_device(&pdev->dev);
	return bound;
}

static int cmem_sram_wait(struct platform_device *pdev,
			  struct device_node *memory,
			  const struct cmem_block_config *config)
{
	int ret;

	if (cmem_sram_is_there(memory))
		return 0;
	ret = driver_deferred_probe_check_state(&pdev->dev);
	if (ret != -EPROBE_DEFER)
		dev_err(pdev->dev.parent, "block %d: sram %pOF: its driver did not come: see the boot log and /sys/kernel/debug/devices_deferred for why\n",
			config->id, memory);
	return ret;
}

/* The pool that the memory is in; NULL for a partition without one */
static struct gen_pool *cmem_sram_pool(struct device_node *memory)
{
	struct platform_device *pdev = cmem_sram_device(memory);
	struct gen_pool *pool;
	const char *name;

	if (!pdev)
		return NULL;
	if (pdev->dev.of_node == memory)
		name = NULL;
	else if (of_property_read_string(memory, "label", &name))
		name = of_node_full_name(memory);
	pool = gen_pool_get(&pdev->dev, name);
	put_device(&pdev->dev);
	return pool;
}

/* Finds the very bytes that a block is to be, if they are free. */
static unsigned long cmem_sram_fit(unsigned long *map, unsigned long size,
				   unsigned long start, unsigned int nr,
				   void *data, struct gen_pool *pool,
				   unsigned long start_addr)
{
	const struct cmem_block_config *config = data;
	phys_addr_t base = gen_pool_virt_to_phys(pool, start_addr);
	u64 offset = config->base - base;
	u64 first = offset >> pool->min_alloc_order;

	if (config->base < base || first >= size ||
	    first << pool->min_alloc_order != offset)
		return size;
	return bitmap_find_next_zero_area(map, size, first, nr, 0) == first ?
	       first : size;
}

static int cmem_sram_take(struct device *dev, struct device_node *memory,
			  struct cmem_block_config *config)
{
	struct gen_pool *pool = cmem_sram_pool(memory);

	if (!pool || gen_pool_alloc_algo(pool, config->length, cmem_sram_fit,
					 config))
		return 0;
	dev_err(dev, "block %d: %#llx bytes at %pa are not all free in sram %pOF: other drivers allocate from it, or it has partitions there\n",
		config->id, config->length, &config->base, memory);
	return -ENODEV;
}

static int cmem_sram_probe(struct platform_device *pdev)
{
	struct cmem_block_config *config = dev_get_platdata(&pdev->dev);
	struct device *dev = pdev->dev.parent;
	struct device_node *memory;
	int ret;

	memory = cmem_sram_memory(pdev, config);
	ret = cmem_sram_wait(pdev, memory, config);
	if (!ret)
		ret = cmem_sram_take(dev, memory, config);
	of_node_put(memory);
	if (ret)
		return ret;

	/*
	 * What it says of coherency is of cached mappings. What is wrong is said
	 * there: the driver core need not add to it.
	 */
	ret = cmem_block_create(dev, config, false) ? -ENODEV : 0;
	if (!ret)
		cmem_block_wait_for_names();
	return ret;
}

static struct platform_driver cmem_sram_driver = {
	.probe = cmem_sram_probe,
	.driver = {
		.name = cmem_sram_name,
		.suppress_bind_attrs = true,
	},
};

int __init cmem_sram_init(void)
{
	return platform_driver_register(&cmem_sram_driver);
}

void __init cmem_sram_exit(void)
{
	platform_driver_unregister(&cmem_sram_driver);
}
