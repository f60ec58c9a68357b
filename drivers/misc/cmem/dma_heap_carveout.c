// SPDX-License-Identifier: GPL-2.0-only
/*
 * What TI's vendor kernels have for programs of vision_apps, TIOVX and TIDL, and mainline
 * has not: reserved-memory nodes that are DMA-BUF heaps, and /dev/dma-buf-phys, which
 * tells the physical address of a DMA-BUF.
 *
 * Such a node is a block of its own, all heap, with the next number that is free. Its
 * name among the heaps is what these programs look for. The address that they are told
 * is one of a DMA-BUF that stays where it is until they close the file, whoever exports
 * it.
 */
#include <linux/compat.h>
#include <linux/device.h>
#include <linux/dma-buf.h>
#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/of.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>
#include <linux/uaccess.h>

#include "cmem.h"
#include "dmabuf.h"

/* What programs have in a header that they bring along */
struct cmem_dma_buf_phys {
	u32 fd;
	u64 phys;
};

#define CMEM_DMA_BUF_PHYS_CONVERT	_IOWR('D', 0, struct cmem_dma_buf_phys)

/**
 * struct cmem_dmabuf_phys - an open file of /dev/dma-buf-phys
 * @lock: covers what follows
 * @dmabuf: what it was asked for, or NULL
 * @attachment: for which we stand as a device, or NULL for a DMA-BUF of ours
 * @table: its addresses
 */
struct cmem_dmabuf_phys {
	struct mutex lock;
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attachment;
	struct sg_table *table;
};

static struct miscdevice cmem_dmabuf_phys_misc;

/* What is pinned does not move. */
static void cmem_dmabuf_phys_moved(struct dma_buf_attachment *attachment)
{
}

/* An address is all that we want: memory may be without struct pages. */
static const struct dma_buf_attach_ops cmem_dmabuf_phys_attach_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = cmem_dmabuf_phys_moved,
};

/*
 * Pin it, and have its addresses. The DMA-BUF is locked. Nothing is read or written: what
 * the CPU has in its caches is not dropped when it is let go of.
 */
static int cmem_dmabuf_phys_map(struct cmem_dmabuf_phys *file)
{
	int ret = dma_buf_pin(file->attachment);

	if (ret)
		return ret;
	file->table = dma_buf_map_attachment(file->attachment, DMA_TO_DEVICE);
	if (!IS_ERR(file->table))
		return 0;
	ret = PTR_ERR(file->table);
	file->table = NULL;
	dma_buf_unpin(file->attachment);
	return ret;
}

static int cmem_dmabuf_phys_attach(struct cmem_dmabuf_phys *file)
{
	struct dma_buf *dmabuf = file->dmabuf;
	int ret;

	/* The address would be that of a copy. */
	if (is_swiotlb_force_bounce(cmem_dmabuf_phys_misc.this_device))
		return -EIO;
	file->attachment = dma_buf_dynamic_attach(dmabuf,
						  cmem_dmabuf_phys_misc.this_device,
						  &cmem_dmabuf_phys_attach_ops,
						  NULL);
	if (IS_ERR(file->attachment)) {
		ret = PTR_ERR(file->attachment);
		file->attachment = NULL;
		return ret;
	}
	dma_resv_lock(dmabuf->resv, NULL);
	ret = cmem_dmabuf_phys_map(file);
	dma_resv_unlock(dmabuf->resv);
	if (ret) {
		dma_buf_detach(dmabuf, file->attachment);
		file->attachment = NULL;
	}
	return ret;
}

/* Forget what the file was asked for. */
static void cmem_dmabuf_phys_drop(struct cmem_dmabuf_phys *file)
{
	struct dma_buf *dmabuf = file->dmabuf;

	if (file->attachment) {
		dma_resv_lock(dmabuf->resv, NULL);
		dma_buf_unmap_attachment(file->attachment, file->table,
					 DMA_TO_DEVICE);
		dma_buf_unpin(file->attachment);
		dma_resv_unlock(dmabuf->resv);
		dma_buf_detach(dmabuf, file->attachment);
	}
	file->table = NULL;
	file->attachment = NULL;
	file->dmabuf = NULL;
	dma_buf_put(dmabuf);
}

/* -EINVAL when it is in more than one piece */
static int cmem_dmabuf_phys_of_table(const struct sg_table *table, u64 *phys)
{
	struct scatterlist *sg;
	dma_addr_t next = 0;
	unsigned int i;

	for_each_sgtable_dma_sg(table, sg, i) {
		if (i && sg_dma_address(sg) != next)
			return -EINVAL;
		if (!i)
			*phys = dma_to_phys(cmem_dmabuf_phys_misc.this_device,
					    sg_dma_address(sg));
		next = sg_dma_address(sg) + sg_dma_len(sg);
	}
	return 0;
}

static int cmem_dmabuf_phys_find(struct cmem_dmabuf_phys *file, int fd, u64 *phys)
{
	int ret;

	/* What these programs expect of a second one */
	if (file->dmabuf)
		return -EFAULT;
	file->dmabuf = dma_buf_get(fd);
	if (IS_ERR(file->dmabuf)) {
		ret = PTR_ERR(file->dmabuf);
		file->dmabuf = NULL;
		return ret;
	}
	/* Ours need no device, which would count as one that does not snoop. */
	if (cmem_dmabuf_locate(file->dmabuf, phys))
		return 0;
	ret = cmem_dmabuf_phys_attach(file);
	if (!ret)
		ret = cmem_dmabuf_phys_of_table(file->table, phys);
	if (ret)
		cmem_dmabuf_phys_drop(file);
	return ret;
}

static int cmem_dmabuf_phys_convert(struct cmem_dmabuf_phys *file, u32 fd,
				    u64 __user *answer)
{
	u64 phys = 0;
	int ret;

	guard(mutex)(&file->lock);
	ret = cmem_dmabuf_phys_find(file, fd, &phys);
	if (ret)
		return ret;
	if (!copy_to_user(answer, &phys, sizeof(phys)))
		return 0;
	cmem_dmabuf_phys_drop(file);
	return -EFAULT;
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
/* In 32-bit x86 programs a __u64 has no gap before it. */
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

	if (file->dmabuf)
		cmem_dmabuf_phys_drop(file);
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
 * cmem_dma_heap_carveouts - make blocks of the nodes that TI's kernels have heaps of
 * @dev: for messages
 *
 * To be called when all other blocks have their numbers. What is wrong with one was
 * logged, and the others are made. Where there is none, programs that ask for addresses
 * of DMA-BUFs are served all the same.
 */
void __init cmem_dma_heap_carveouts(struct device *dev)
{
	struct cmem_block_config *config;
	struct device_node *parent;
	int ret;

	ret = misc_register(&cmem_dmabuf_phys_misc);
	if (!ret)
		ret = dma_coerce_mask_and_coherent(cmem_dmabuf_phys_misc.this_device,
						   DMA_BIT_MASK(64));
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
