// SPDX-License-Identifier: GPL-2.0-only
/*
 * Addresses of DMA-BUFs of any exporter, for programs that pass them to a DSP for which
 * no driver attaches.
 *
 * The address of our own DMA-BUF is known. To another exporter, we are a device that
 * reaches all memory by physical addresses. While an import is held, that device is
 * attached, and the DMA-BUF is pinned and mapped for it, so the memory stays in place. An
 * import is an open file, so the limit on open files bounds the number of imports.
 *
 * The exporter maintains the caches: a program uses DMA_BUF_IOCTL_SYNC around its
 * accesses. Our device counts as one that does not snoop, unless all devices do.
 */
#include <linux/anon_inodes.h>
#include <linux/dma-buf.h>
#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>

#include "dmabuf.h"
#include "import.h"

/* The device that attaches */
static struct device *cmem_import_device;

/**
 * cmem_import_init - set the device that attaches
 * @dev: a device of ours that is never removed
 *
 * Return: 0 or an errno.
 */
int cmem_import_init(struct device *dev)
{
	cmem_import_device = dev;
	return dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(64));
}

/* A pinned DMA-BUF does not move. */
static void cmem_import_moved(struct dma_buf_attachment *attachment)
{
}

/* Only the address is used, so the memory may lack struct pages. */
static const struct dma_buf_attach_ops cmem_import_attach_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = cmem_import_moved,
};

/*
 * Pin the DMA-BUF and map it. The caller holds its lock. DMA_TO_DEVICE, since this
 * transfers no data: unmapping must not drop what the CPU has in its caches.
 */
static int cmem_import_map(struct cmem_import *import)
{
	long ret = dma_buf_pin(import->attachment);

	if (ret)
		return ret;
	import->table = dma_buf_map_attachment(import->attachment, DMA_TO_DEVICE);
	if (IS_ERR(import->table)) {
		ret = PTR_ERR(import->table);
		goto err_unpin;
	}
	/* The exporter may still be moving it here: wait for its fences. */
	ret = dma_resv_wait_timeout(import->dmabuf->resv, DMA_RESV_USAGE_KERNEL,
				    true, MAX_SCHEDULE_TIMEOUT);
	if (ret >= 0)
		return 0;
	dma_buf_unmap_attachment(import->attachment, import->table,
				 DMA_TO_DEVICE);
err_unpin:
	dma_buf_unpin(import->attachment);
	return ret;
}

static int cmem_import_attach(struct cmem_import *import)
{
	struct dma_buf *dmabuf = import->dmabuf;
	struct dma_buf_attachment *attachment;
	int ret;

	/* The address would be the address of a bounce buffer. */
	if (is_swiotlb_force_bounce(cmem_import_device))
		return -EIO;
	attachment = dma_buf_dynamic_attach(dmabuf, cmem_import_device,
					    &cmem_import_attach_ops, NULL);
	if (IS_ERR(attachment))
		return PTR_ERR(attachment);
	import->attachment = attachment;
	dma_resv_lock(dmabuf->resv, NULL);
	ret = cmem_import_map(import);
	dma_resv_unlock(dmabuf->resv);
	if (ret) {
		dma_buf_detach(dmabuf, attachment);
		import->attachment = NULL;
	}
	return ret;
}

/* -EINVAL when it is not contiguous, or not all of it has an address */
static int cmem_import_locate(struct cmem_import *import)
{
	struct scatterlist *sg;
	dma_addr_t next = 0;
	u64 length = 0;
	unsigned int i;

	for_each_sgtable_dma_sg(import->table, sg, i) {
		if (i && sg_dma_address(sg) != next)
			return -EINVAL;
		if (!i)
			import->phys = dma_to_phys(cmem_import_device,
						   sg_dma_address(sg));
		next = sg_dma_address(sg) + sg_dma_len(sg);
		length += sg_dma_len(sg);
	}
	return length < import->dmabuf->size ? -EINVAL : 0;
}

/**
 * cmem_import_get - get the address of a DMA-BUF
 * @fd: its file descriptor
 *
 * Return: an import, for cmem_import_put(); -EBADF; -EINVAL for a file that is no
 * DMA-BUF, or memory that is not contiguous; -EIO when DMA is bounced; -ENOMEM; or an
 * errno of the exporter.
 */
struct cmem_import *cmem_import_get(int fd)
{
	struct cmem_import *import;
	struct dma_buf *dmabuf;
	int ret;

	dmabuf = dma_buf_get(fd);
	if (IS_ERR(dmabuf))
		return ERR_CAST(dmabuf);
	import = kzalloc(sizeof(*import), GFP_KERNEL_ACCOUNT);
	if (!import) {
		dma_buf_put(dmabuf);
		return ERR_PTR(-ENOMEM);
	}
	import->dmabuf = dmabuf;
	/* Ours need no device, which would count as one that does not snoop. */
	if (cmem_dmabuf_locate(dmabuf, &import->phys))
		return import;
	ret = cmem_import_attach(import);
	if (!ret)
		ret = cmem_import_locate(import);
	if (!ret)
		return import;
	cmem_import_put(import);
	return ERR_PTR(ret);
}

/**
 * cmem_import_put - release an import
 * @import: from cmem_import_get()
 */
void cmem_import_put(struct cmem_import *import)
{
	struct dma_buf *dmabuf = import->dmabuf;

	if (import->attachment) {
		dma_resv_lock(dmabuf->resv, NULL);
		dma_buf_unmap_attachment(import->attachment, import->table,
					 DMA_TO_DEVICE);
		dma_buf_unpin(import->attachment);
		dma_resv_unlock(dmabuf->resv);
		dma_buf_detach(dmabuf, import->attachment);
	}
	dma_buf_put(dmabuf);
	kfree(import);
}

static int cmem_import_release(struct inode *inode, struct file *filp)
{
	cmem_import_put(filp->private_data);
	return 0;
}

/* In addition to the fdinfo of the DMA-BUF itself */
static void cmem_import_show_fdinfo(struct seq_file *m, struct file *filp)
{
	const struct cmem_import *import = filp->private_data;

	seq_printf(m, "phys:\t0x%llx\nsize:\t%llu\nexp_name:\t%s\n",
		   import->phys, (u64)import->dmabuf->size,
		   import->dmabuf->exp_name);
}

static const struct file_operations cmem_import_fops = {
	.owner = THIS_MODULE,
	.release = cmem_import_release,
	.show_fdinfo = cmem_import_show_fdinfo,
};

/**
 * cmem_import_file - make an import an open file, whose close puts it
 * @import: from cmem_import_get(); on success the file owns it
 *
 * Return: the file, or an errno.
 */
struct file *cmem_import_file(struct cmem_import *import)
{
	return anon_inode_getfile("[cmem-import]", &cmem_import_fops, import,
				  O_RDONLY);
}
