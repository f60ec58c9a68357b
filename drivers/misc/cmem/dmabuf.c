// SPDX-License-Identifier: GPL-2.0-only
/*
 * Export buffers as DMA-BUFs.
 *
 * A DMA-BUF holds its buffer like a registration or a mapping does. Its user needs no
 * file of /dev/cmem, so a private buffer is passed on as a DMA-BUF.
 *
 * A buffer has one DMA-BUF, however often it is exported, so that fences, poll() and the
 * caches of importers find the same object. The DMA-BUF is kept while a file is
 * registered for the buffer, as DRM does for its handles: nothing tells whether it still
 * has other users. A read-only or a write-only DMA-BUF is a separate file and so a
 * separate DMA-BUF. So is a heap's DMA-BUF: closing it frees the buffer, so nobody else
 * gets it. All DMA-BUFs of a buffer share their fences and their counts of attached
 * devices (exports.c).
 *
 * dmabuf_map.c finds a device's addresses. This file maintains the caches through sync.c.
 *
 * An importer gets struct pages if the memory has them. Otherwise the importer must be
 * able to do without: it must allow peer2peer.
 */
#include <linux/device.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/huge_mm.h>
#include <linux/iosys-map.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "alias.h"
#include "block.h"
#include "buffer.h"
#include "dmabuf.h"
#include "dmabuf_map.h"
#include "exports.h"
#include "failure.h"
#include "file.h"
#include "registration.h"
#include "space.h"
#include "sync.h"
#include "vma.h"

/**
 * struct cmem_attachment - state of an attachment
 * @table: the memory, as the device sees it
 * @unsnooped: the device does not snoop the caches
 */
struct cmem_attachment {
	struct sg_table table;
	bool unsnooped;
};

static int cmem_dmabuf_sync(struct cmem_buffer *buffer, bool killable,
			    enum cmem_sync_op op)
{
	return cmem_buffer_sync(buffer, 0, cmem_buffer_length(buffer), killable, op);
}

static int cmem_dmabuf_attach(struct dma_buf *dmabuf,
			      struct dma_buf_attachment *attachment)
{
	struct cmem_dmabuf *exported = dmabuf->priv;
	const struct cmem_block *block = cmem_buffer_block(exported->buffer);
	struct device *dev = attachment->dev;
	struct cmem_attachment *attached;
	int ret;

	if (!block->has_pages && !attachment->peer2peer) {
		dev_err_ratelimited(dev, "cmem: this importer wants struct pages, which the memory of block %d has not: have the kernel know of that memory, as reserved-memory without no-map, or in place of mem= as cmem_carveout=\n",
				    block->id);
		return -EOPNOTSUPP;
	}

	attached = kzalloc(sizeof(*attached), GFP_KERNEL_ACCOUNT);
	if (!attached)
		return -ENOMEM;
	ret = sg_alloc_table(&attached->table,
			     DIV_ROUND_UP_ULL(dmabuf->size, CMEM_DMABUF_ENTRY),
			     GFP_KERNEL_ACCOUNT);
	if (ret) {
		kfree(attached);
		return ret;
	}
	attached->unsnooped = !cmem_dmabuf_snoops(dev, block->has_pages);
	attachment->priv = attached;
	cmem_exports_count(exported->exports, attached->unsnooped, 1);
	return 0;
}

static void cmem_dmabuf_detach(struct dma_buf *dmabuf,
			       struct dma_buf_attachment *attachment)
{
	struct cmem_attachment *attached = attachment->priv;
	struct cmem_dmabuf *exported = dmabuf->priv;

	cmem_exports_count(exported->exports, attached->unsnooped, -1);
	sg_free_table(&attached->table);
	kfree(attached);
}

/*
 * A cached buffer needs no maintenance for a device that snoops. For a buffer that is not
 * cached, such a device may find lines that the CPU prefetched: see cmem_sync_needs().
 */
static bool cmem_dmabuf_sync_device(const struct cmem_buffer *buffer,
				    const struct cmem_attachment *attached)
{
	return attached->unsnooped || !cmem_buffer_is_cached(buffer);
}

static struct sg_table *cmem_dmabuf_map(struct dma_buf_attachment *attachment,
					enum dma_data_direction direction)
{
	struct cmem_dmabuf *exported = attachment->dmabuf->priv;
	struct cmem_attachment *attached = attachment->priv;
	struct cmem_buffer *buffer = exported->buffer;
	struct sg_table *table = &attached->table;
	struct device *dev = attachment->dev;
	size_t length = attachment->dmabuf->size;
	struct cmem_extent extent;
	int ret;

	cmem_buffer_locate(buffer, &extent);
	if (cmem_failure_in(extent.block, extent.pfn, extent.pages))
		return ERR_PTR(-EHWPOISON);
	ret = cmem_dmabuf_check_device(dev, PFN_PHYS(extent.pfn), length,
				       extent.block->has_pages);
	if (ret)
		return ERR_PTR(ret);

	ret = cmem_dmabuf_map_table(dev, table, &extent, length, direction);
	if (ret)
		return ERR_PTR(ret);

	/* Write back first: a later eviction would overwrite what the device writes. */
	if (cmem_dmabuf_sync_device(buffer, attached))
		ret = cmem_dmabuf_sync(buffer, true, CMEM_SYNC_WRITE_BACK);
	if (ret) {
		cmem_dmabuf_unmap_table(buffer, attachment, table, direction);
		return ERR_PTR(ret);
	}
	return table;
}

/*
 * The caller does not know who else wrote: through vmap, or while the caller itself may
 * only read. So dirty lines are written back, never dropped.
 */
#define CMEM_DMABUF_FOR_CPU	CMEM_SYNC_WRITE_BACK_INVALIDATE

static void cmem_dmabuf_unmap(struct dma_buf_attachment *attachment,
			      struct sg_table *table,
			      enum dma_data_direction direction)
{
	struct cmem_dmabuf *exported = attachment->dmabuf->priv;
	struct cmem_attachment *attached = attachment->priv;

	cmem_dmabuf_unmap_table(exported->buffer, attachment, table, direction);
	if (direction != DMA_TO_DEVICE &&
	    cmem_dmabuf_sync_device(exported->buffer, attached))
		cmem_dmabuf_sync(exported->buffer, false, CMEM_DMABUF_FOR_CPU);
}

static int cmem_dmabuf_begin_cpu_access(struct dma_buf *dmabuf,
					enum dma_data_direction direction)
{
	struct cmem_dmabuf *exported = dmabuf->priv;
	bool write = direction != DMA_FROM_DEVICE;
	long ret;

	/*
	 * Sync a buffer that is not cached even before a write: lines that a snooping
	 * device left in a cache must not be written back over the CPU's uncached stores.
	 */
	if (direction == DMA_TO_DEVICE && cmem_buffer_is_cached(exported->buffer))
		return 0;
	if (!cmem_buffer_must_sync(exported->buffer))
		return 0;
	/* The core waits later, but by then the caches may hold stale bytes again. */
	ret = dma_resv_wait_timeout(dmabuf->resv, dma_resv_usage_rw(write), true,
				    MAX_SCHEDULE_TIMEOUT);
	if (ret < 0)
		return ret;
	return cmem_dmabuf_sync(exported->buffer, true, CMEM_DMABUF_FOR_CPU);
}

static int cmem_dmabuf_end_cpu_access(struct dma_buf *dmabuf,
				      enum dma_data_direction direction)
{
	struct cmem_dmabuf *exported = dmabuf->priv;

	if (direction == DMA_FROM_DEVICE)
		return 0;
	return cmem_dmabuf_sync(exported->buffer, true, CMEM_SYNC_WRITE_BACK);
}

static int cmem_dmabuf_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct cmem_dmabuf *exported = dmabuf->priv;

	/* An importer's mmap() has checked only the importer's own file. */
	if (!(dmabuf->file->f_mode & FMODE_WRITE)) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		vm_flags_clear(vma, VM_MAYWRITE);
	}
	return cmem_vma_map_dmabuf(exported->buffer, vma);
}

static int cmem_dmabuf_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct cmem_dmabuf *exported = dmabuf->priv;
	struct cmem_extent extent;
	void *va;

	/* A program survives an access to failed memory, the kernel does not. */
	cmem_buffer_locate(exported->buffer, &extent);
	if (cmem_failure_in(extent.block, extent.pfn, extent.pages))
		return -EHWPOISON;
	va = cmem_buffer_vmap(exported->buffer);
	if (!va)
		return -ENOMEM;
	iosys_map_set_vaddr(map, va);
	return 0;
}

static void cmem_dmabuf_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct cmem_dmabuf *exported = dmabuf->priv;

	cmem_buffer_vunmap(exported->buffer, map->vaddr);
	iosys_map_clear(map);
}

static void cmem_dmabuf_release(struct dma_buf *dmabuf)
{
	struct cmem_dmabuf *exported = dmabuf->priv;
	struct cmem_block *block = cmem_buffer_block(exported->buffer);

	/*
	 * Only closing a heap's DMA-BUF frees its buffer. A process that dies with it
	 * open, even in exit(), has not freed it. cmem_dmabuf_die() covers processes that
	 * have it mapped.
	 */
	if (exported->heap && current->flags & PF_EXITING)
		cmem_buffer_abandon(exported->buffer);
	mutex_lock(&block->lock);
	list_del(&exported->in_exports);
	mutex_unlock(&block->lock);
	cmem_exports_put(exported->exports);
	cmem_buffer_put(exported->buffer);
	kfree(exported);
}

static const struct dma_buf_ops cmem_dmabuf_ops = {
	.attach = cmem_dmabuf_attach,
	.detach = cmem_dmabuf_detach,
	.map_dma_buf = cmem_dmabuf_map,
	.unmap_dma_buf = cmem_dmabuf_unmap,
	.begin_cpu_access = cmem_dmabuf_begin_cpu_access,
	.end_cpu_access = cmem_dmabuf_end_cpu_access,
	.mmap = cmem_dmabuf_mmap,
	.get_unmapped_area = thp_get_unmapped_area,
	.vmap = cmem_dmabuf_vmap,
	.vunmap = cmem_dmabuf_vunmap,
	.release = cmem_dmabuf_release,
};

static struct dma_buf *cmem_dmabuf_make(struct cmem_buffer *buffer,
					struct cmem_exports *exports,
					const char *name, u64 length, bool heap,
					int flags)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct cmem_dmabuf *exported;
	struct dma_buf *dmabuf;

	if (overflows_type(length, info.size))
		return ERR_PTR(-EOVERFLOW);
	exported = kzalloc(sizeof(*exported), GFP_KERNEL_ACCOUNT);
	if (!exported)
		return ERR_PTR(-ENOMEM);

	exported->buffer = buffer;
	exported->exports = exports;
	exported->heap = heap;
	info.exp_name = name;
	info.ops = &cmem_dmabuf_ops;
	info.size = length;
	info.flags = flags;
	info.resv = &exports->resv;
	info.priv = exported;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		kfree(exported);
		return dmabuf;
	}
	cmem_space_join(dmabuf->file);
	exported->inode = file_inode(dmabuf->file)->i_ino;
	guard(mutex)(&cmem_buffer_block(buffer)->lock);
	list_add_tail(&exported->in_exports, &exports->dmabufs);
	return dmabuf;
}

/**
 * cmem_dmabuf_wrap - get a DMA-BUF of a buffer
 * @buffer: a buffer that the caller holds, marked as shared. This takes over the hold,
 *	even on failure.
 * @name: the exporter, for debugfs; must stay valid
 * @length: bytes of the buffer to expose, whole pages
 * @heap: make a new DMA-BUF for a DMA-BUF heap; otherwise return the kept one if any
 * @flags: O_RDONLY, O_WRONLY or O_RDWR; with @heap also O_ACCMODE
 *
 * Return: the DMA-BUF; -EOVERFLOW when the buffer is longer than a size_t can hold,
 * -ENOMEM.
 */
struct dma_buf *cmem_dmabuf_wrap(struct cmem_buffer *buffer, const char *name,
				 u64 length, bool heap, int flags)
{
	int access = flags & O_ACCMODE;
	struct dma_buf *dmabuf = NULL;
	struct cmem_exports *exports;

	exports = cmem_exports_get(buffer);
	if (IS_ERR(exports)) {
		cmem_buffer_put(buffer);
		return ERR_CAST(exports);
	}

	if (!heap)
		dmabuf = cmem_exports_find_kept(exports, access);
	if (!dmabuf) {
		dmabuf = cmem_dmabuf_make(buffer, exports, name, length, heap,
					  flags);
		/* The DMA-BUF now owns both holds. */
		if (!IS_ERR(dmabuf))
			return heap ? dmabuf :
				      cmem_exports_keep(exports, access, dmabuf);
	}
	cmem_exports_put(exports);
	cmem_buffer_put(buffer);
	return dmabuf;
}

/**
 * cmem_dmabuf_export - get the DMA-BUF of a buffer that a file is registered for
 * @file: the file
 * @pfn: page frame number of the buffer's first page
 * @flags: O_RDONLY, O_WRONLY or O_RDWR
 *
 * Return: the DMA-BUF, or as struct cmem_export in the UAPI header says.
 */
struct dma_buf *cmem_dmabuf_export(struct cmem_file *file, unsigned long pfn,
				   int flags)
{
	fmode_t missing = OPEN_FMODE(flags) & (FMODE_READ | FMODE_WRITE) &
			  ~file->filp->f_mode;
	struct cmem_buffer *buffer;

	/* A DMA-BUF must not grant an access that mmap() would refuse. */
	if (missing)
		return ERR_PTR(-EPERM);
	buffer = cmem_buffer_get_registered(file, pfn);
	if (IS_ERR(buffer))
		return ERR_CAST(buffer);
	cmem_buffer_share(buffer);
	return cmem_dmabuf_wrap(buffer, "cmem", cmem_buffer_length(buffer),
				false, flags);
}

/**
 * cmem_dmabuf_locate - locate a DMA-BUF if it is one of ours
 * @dmabuf: the DMA-BUF, which the caller holds
 * @phys: where to put the physical address of its first byte
 *
 * Return: true if it is one of ours.
 */
bool cmem_dmabuf_locate(const struct dma_buf *dmabuf, u64 *phys)
{
	const struct cmem_dmabuf *exported = dmabuf->priv;
	struct cmem_extent extent;

	if (dmabuf->ops != &cmem_dmabuf_ops)
		return false;
	cmem_buffer_locate(exported->buffer, &extent);
	*phys = PFN_PHYS(extent.pfn);
	return true;
}

/**
 * cmem_dmabuf_get_buffer - hold a DMA-BUF's buffer, to register for it
 * @file: the file to register
 * @fd: file descriptor of the DMA-BUF
 *
 * Return: the buffer, or an errno, as struct cmem_register in the UAPI header says.
 */
struct cmem_buffer *cmem_dmabuf_get_buffer(struct cmem_file *file, int fd)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);
	const struct cmem_dmabuf *exported;
	struct cmem_buffer *buffer;

	if (IS_ERR(dmabuf))
		return ERR_CAST(dmabuf);
	if (dmabuf->ops != &cmem_dmabuf_ops) {
		buffer = ERR_PTR(-EINVAL);
		goto out;
	}
	/* A registration grants all access that the file is open for. */
	if (file->filp->f_mode & (FMODE_READ | FMODE_WRITE) &
	    ~dmabuf->file->f_mode) {
		buffer = ERR_PTR(-EPERM);
		goto out;
	}
	exported = dmabuf->priv;
	buffer = exported->buffer;
	cmem_buffer_get(buffer);
out:
	dma_buf_put(dmabuf);
	return buffer;
}
