// SPDX-License-Identifier: GPL-2.0-only
/*
 * Blocks in on-chip memory that the mmio-sram driver (drivers/misc/sram.c) owns.
 *
 * The mmio-sram driver maps all of its memory, including partitions for others, as
 * write-combining Normal memory, and keeps the mapping. A cached mapping of the same
 * memory would conflict with it. So every mapping of such a block (CMEM_KIND_SRAM) is
 * write-combining, in the kernel and in programs, even if a program asks for a cached
 * one. With no-memory-wc, the SRAM is Device memory, on which a program's memcpy() can
 * fault, so a block can't use it.
 *
 * The driver does not touch a partition without pool: the device tree says who uses it.
 * It allocates from partitions with pool and from memory outside of partitions. A block
 * in such memory allocates its range from the driver before the block is created. The
 * range stays allocated if creation fails or the block is removed, as reserved memory
 * stays reserved. The driver claims the range in /proc/iomem, so the block does not.
 *
 * A block refers to its memory in one of two ways. sram names the SRAM or a partition,
 * and the block is all of it. memory-region names a region that is in an SRAM, anywhere.
 * If the SRAM's node is disabled, or the kernel has no driver for it, the region is an
 * ordinary carveout, which can be cached.
 *
 * The driver may probe late, after a clock that its memory needs, or never. Other blocks
 * do not wait for it: a block in SRAM is a child device of the ti,cmem device. The driver
 * core retries the probe of this child until the driver is bound or the core gives up.
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
 * cmem_sram_add_block - create a block in SRAM when the SRAM's driver is bound
 * @dev: the ti,cmem device
 * @node: the block's node
 * @config: configuration of the block, of CMEM_KIND_SRAM
 *
 * Errors are logged.
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
	/* Without sram, the block has a region in an SRAM. */
	return memory ?: cmem_config_of_find_sram(config);
}

/* Find the device of an SRAM, or of the SRAM that contains a partition. */
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

/* Find the pool of the memory; NULL for a partition without pool. */
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

/* Find exactly the range of a block, if all of it is free. */
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
	 * Coherency matters for cached mappings only. cmem_block_create() logs the
	 * reason if it fails; with -ENODEV the driver core logs nothing more.
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
