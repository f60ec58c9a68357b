// SPDX-License-Identifier: GPL-2.0-only
/*
 * CMEM, the contiguous memory allocator: /dev/cmem and the ti,cmem device.
 *
 * CMEM gives programs blocks of physically contiguous memory that a DSP, a codec or a DMA
 * engine can read and write. A program uses it like this:
 *
 *	struct cmem_alloc a = {
 *		.size = sizeof(a), .block = 0, .pool = CMEM_POOL_BEST,
 *		.flags = CMEM_ALLOC_CACHED, .length = 1920 * 1080 * 2,
 *	};
 *	int fd = open("/dev/cmem", O_RDWR);
 *
 *	ioctl(fd, CMEM_IOCTL_ALLOC, &a);
 *	p = mmap(NULL, a.length, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
 *		 a.mmap_offset);
 *
 * It then passes a.phys_addr to the device. This file opens and closes files, and creates
 * the blocks. The ioctls are in ioctl.c, and cmem.h lists the other files.
 */
#define pr_fmt(fmt) "cmem: " fmt

#include <linux/cacheinfo.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/of.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/slab.h>

#include "block.h"
#include "changes.h"
#include "cma.h"
#include "cmem.h"
#include "config.h"
#include "debugfs.h"
#include "dma_heap.h"
#include "early.h"
#include "failure.h"
#include "file.h"
#include "import.h"
#include "ioctl.h"
#include "params.h"
#include "power.h"
#include "procfs.h"
#include "registration.h"
#include "remoteproc.h"
#include "space.h"
#include "sram.h"
#include "vma.h"

static int cmem_open(struct inode *inode, struct file *filp)
{
	struct cmem_file *file;

	file = kmalloc(sizeof(*file), GFP_KERNEL_ACCOUNT);
	if (!file)
		return -ENOMEM;
	cmem_space_join(filp);

	cmem_file_init(file, filp);
	filp->private_data = file;
	return nonseekable_open(inode, filp);
}

static int cmem_release(struct inode *inode, struct file *filp)
{
	struct cmem_file *file = filp->private_data;

	cmem_file_release(file);
	cmem_changes_free(file);
	kfree(file);
	return 0;
}

static const struct file_operations cmem_fops = {
	.owner = THIS_MODULE,
	.open = cmem_open,
	.release = cmem_release,
	.unlocked_ioctl = cmem_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl = cmem_compat_ioctl,
#endif
	.mmap = cmem_mmap,
	.get_unmapped_area = thp_get_unmapped_area,
	.show_fdinfo = cmem_show_fdinfo,
	.fop_flags = FOP_UNSIGNED_OFFSET,
};

/* A block works without these names, so failures are ignored. */
static void cmem_name_block(struct cmem_block *block)
{
	cmem_debugfs_add_block(block);
	cmem_dma_heap_add(block);
}

static int cmem_probe(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;
	struct cmem_block_config *config;
	bool coherent;
	int cells;

	cmem_config_of_check_names(dev, dev->of_node, false);
	cells = cmem_config_pool_cells(dev, dev->of_node);
	if (cells < 0)
		return cells;

	config = kmalloc(sizeof(*config), GFP_KERNEL);
	if (!config)
		return -ENOMEM;

	coherent = CMEM_ALWAYS_COHERENT ||
		   device_get_dma_attr(dev) == DEV_DMA_COHERENT;

	/* A bad block was logged and does not stop the others. */
	cmem_cma_create_of(dev, cells, coherent);
	for_each_available_child_of_node_scoped(dev->of_node, child) {
		if (cmem_config_of_block(dev, child, cells, config)) {
			if (config->length && config->kind != CMEM_KIND_SRAM)
				cmem_block_reserve(dev, config, coherent);
			continue;
		}
		if (config->kind == CMEM_KIND_SRAM)
			cmem_sram_add_block(dev, child, config);
		else
			cmem_block_create(dev, config, coherent);
	}

	kfree(config);
	cmem_block_wait_for_names();
	return 0;
}

static const struct of_device_id cmem_of_match[] = {
	{ .compatible = "ti,cmem" },
	{ }
};

static struct platform_driver cmem_driver = {
	.probe = cmem_probe,
	.driver = {
		.name = "cmem",
		.of_match_table = cmem_of_match,
		.suppress_bind_attrs = true,
	},
};

/* Make blocks of what cmem_carveout= reserved, in its order. */
static void __init cmem_create_carveouts(struct device *dev)
{
	phys_addr_t base;
	unsigned int i;
	u64 length;

	for (i = 0; cmem_early_carveout(i, &base, &length); i++)
		cmem_params_create_carveout(dev, base, length);
}

static int __init cmem_init(void)
{
	int ret;

	/* A kernel for both ARMv6 and ARMv7 learns only at boot which CPU it runs on. */
	if (cpu_dcache_is_aliasing()) {
		pr_info("the data cache of this CPU aliases, so that it can't be maintained for programs: no /dev/cmem\n");
		return -ENODEV;
	}

	ret = cmem_block_init(cmem_name_block);
	if (ret)
		return ret;
	ret = cmem_carved_init();
	if (ret)
		goto err_block;
	ret = cmem_registration_init();
	if (ret)
		goto err_carved;
	ret = cmem_space_init();
	if (ret)
		goto err_registration;
	ret = cmem_changes_init();
	if (ret)
		goto err_space;
	ret = cmem_procfs_init();
	if (ret)
		goto err_changes;
	cmem_debugfs_init();
	ret = cmem_rproc_init();
	if (ret)
		goto err_procfs;
	cmem_misc.fops = &cmem_fops;
	ret = misc_register(&cmem_misc);
	if (ret)
		goto err_rproc;
	ret = cmem_import_init(cmem_misc.this_device);
	if (ret)
		goto err_misc;
	if (cmem_early_saves_dump()) {
		pr_notice("this kernel saves a crash dump: it makes no blocks and reserves nothing, and their memory stays as it was (cmem_kdump on its command line makes them)\n");
		return 0;
	}
	cmem_params_init(cmem_misc.this_device);
	if (IS_ENABLED(CONFIG_OF)) {
		ret = cmem_sram_init();
		if (ret)
			goto err_misc;
		cmem_config_of_note_unused(cmem_misc.this_device);
		ret = platform_driver_register(&cmem_driver);
		if (ret)
			goto err_sram;
	}

	cmem_power_init(cmem_misc.this_device);
	cmem_failure_init();
	/* The blocks of the device tree go first. */
	cmem_params_create_blocks(cmem_misc.this_device);
	cmem_create_carveouts(cmem_misc.this_device);
	cmem_dma_heap_carveouts(cmem_misc.this_device);
	cmem_params_finish(cmem_misc.this_device);
	cmem_cma_create(cmem_misc.this_device);
	cmem_block_wait_for_names();
	return 0;

err_sram:
	cmem_sram_exit();
err_misc:
	misc_deregister(&cmem_misc);
err_rproc:
	cmem_rproc_exit();
err_procfs:
	cmem_debugfs_exit();
	cmem_procfs_exit();
err_changes:
	cmem_changes_exit();
err_space:
	cmem_space_exit();
err_registration:
	cmem_registration_exit();
err_carved:
	cmem_carved_exit();
err_block:
	cmem_block_exit();
	return ret;
}
device_initcall(cmem_init);
