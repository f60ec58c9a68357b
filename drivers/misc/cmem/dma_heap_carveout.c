// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two features of TI's vendor kernels that mainline lacks, for programs of vision_apps,
 * TIOVX and TIDL: reserved-memory nodes that are DMA-BUF heaps, and /dev/dma-buf-phys,
 * which returns the physical address of a DMA-BUF.
 *
 * Each such node is a block of its own, all heap, with the next free number. These
 * programs look for its heap by name. /dev/dma-buf-phys accepts a DMA-BUF of any
 * exporter, which stays in place until the program closes the file.
 */
#include <linux/compat.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/of.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "block.h"
#include "cmem.h"
#include "config.h"
#include "dma_heap.h"
#include "import.h"
#include "params.h"

/* The ABI: programs bring their own copy of this header. */
struct cmem_dma_buf_phys {
	u32 fd;
	u64 phys;
};

#define CMEM_DMA_BUF_PHYS_CONVERT	_IOWR('D', 0, struct cmem_dma_buf_phys)

/**
 * struct cmem_dmabuf_phys - an open file of /dev/dma-buf-phys
 * @lock: covers @import
 * @import: the DMA-BUF whose address was returned, or NULL
 */
struct cmem_dmabuf_phys {
	struct mutex lock;
	struct cmem_import *import;
};

static int cmem_dmabuf_phys_convert(struct cmem_dmabuf_phys *file, u32 fd,
				    u64 __user *answer)
{
	struct cmem_import *import;

	guard(mutex)(&file->lock);
	/* These programs expect this error for a second request. */
	if (file->import)
		return -EFAULT;
	import = cmem_import_get(fd);
	if (IS_ERR(import))
		return PTR_ERR(import);
	if (copy_to_user(answer, &import->phys, sizeof(import->phys))) {
		cmem_import_put(import);
		return -EFAULT;
	}
	file->import = import;
	return 0;
}

static long cmem_dmabuf_phys_ioctl(struct file *filp, unsigned int cmd,
				   unsigned long arg)
{
	struct cmem_dma_buf_phys __user *user = (void __user *)arg;
	u32 fd;

	if (cmd != CMEM_DMA_BUF_PHYS_CONVERT)
		return -ENOTTY;
	if (get_user(fd, &user->fd))
		return -EFAULT;
	return cmem_dmabuf_phys_convert(filp->private_data, fd, &user->phys);
}

#ifdef CONFIG_COMPAT
/* On 32-bit x86, a __u64 needs no padding before it. */
struct cmem_compat_dma_buf_phys {
	u32 fd;
	compat_u64 phys;
};

#define CMEM_COMPAT_DMA_BUF_PHYS_CONVERT \
	_IOWR('D', 0, struct cmem_compat_dma_buf_phys)

static long cmem_dmabuf_phys_compat_ioctl(struct file *filp, unsigned int cmd,
					  unsigned long arg)
{
	struct cmem_compat_dma_buf_phys __user *user = compat_ptr(arg);
	u32 fd;

	if (cmd != CMEM_COMPAT_DMA_BUF_PHYS_CONVERT)
		return -ENOTTY;
	if (get_user(fd, &user->fd))
		return -EFAULT;
	return cmem_dmabuf_phys_convert(filp->private_data, fd,
					(u64 __user *)&user->phys);
}
#endif

static int cmem_dmabuf_phys_open(struct inode *inode, struct file *filp)
{
	struct cmem_dmabuf_phys *file = kzalloc(sizeof(*file), GFP_KERNEL_ACCOUNT);

	if (!file)
		return -ENOMEM;
	mutex_init(&file->lock);
	filp->private_data = file;
	return nonseekable_open(inode, filp);
}

static int cmem_dmabuf_phys_release(struct inode *inode, struct file *filp)
{
	struct cmem_dmabuf_phys *file = filp->private_data;

	if (file->import)
		cmem_import_put(file->import);
	mutex_destroy(&file->lock);
	kfree(file);
	return 0;
}

static const struct file_operations cmem_dmabuf_phys_fops = {
	.owner = THIS_MODULE,
	.open = cmem_dmabuf_phys_open,
	.release = cmem_dmabuf_phys_release,
	.unlocked_ioctl = cmem_dmabuf_phys_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl = cmem_dmabuf_phys_compat_ioctl,
#endif
};

static struct miscdevice cmem_dmabuf_phys_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "dma-buf-phys",
	.fops = &cmem_dmabuf_phys_fops,
	.mode = 0660,
};

static void __init cmem_dma_heap_carveout_create(struct device *dev,
						 struct device_node *region,
						 struct cmem_block_config *config)
{
	bool coherent = CMEM_ALWAYS_COHERENT || cmem_config_of_coherent();
	s32 id = cmem_params_next_number();

	if (!cmem_config_of_carveout(dev, region, id, config))
		cmem_block_create(dev, config, coherent);
}

/**
 * cmem_dma_heap_carveouts - make blocks of the nodes that are heaps in TI's kernels
 * @dev: for messages
 *
 * Call this when all other blocks have their numbers. A bad node is logged, and the
 * others are made. /dev/dma-buf-phys is there even without such a node.
 */
void __init cmem_dma_heap_carveouts(struct device *dev)
{
	struct cmem_block_config *config;
	struct device_node *parent;
	int ret;

	ret = misc_register(&cmem_dmabuf_phys_misc);
	if (ret)
		dev_err(dev, "/dev/dma-buf-phys: %pe\n", ERR_PTR(ret));

	config = kmalloc(sizeof(*config), GFP_KERNEL);
	parent = of_find_node_by_path("/reserved-memory");
	if (config)
		for_each_available_child_of_node_scoped(parent, region)
			if (of_device_is_compatible(region, "dma-heap-carveout"))
				cmem_dma_heap_carveout_create(dev, region, config);
	of_node_put(parent);
	kfree(config);
}
