// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers as DMA-BUFs, for the rest of Linux.
 *
 * A DMA-BUF holds its buffer like a registration or a mapping does, and whoever has
 * it needs no file of /dev/cmem: it is the way in which a private buffer is passed on.
 *
 * A buffer has one DMA-BUF, however often it is exported, so that fences, poll() and
 * importers that look for what they have already find the same. As long as a file is
 * registered for the buffer, that DMA-BUF is kept, as DRM does for its handles: whether
 * somebody else has one still can't be told. One that may only be read, or only written,
 * is another file and so another DMA-BUF. So is that of a heap: to close that one is to
 * free the buffer, so nobody else is given it. All DMA-BUFs of a buffer share their
 * fences, and what is known of the devices that are attached to any of them.
 *
 * To a device it is one run of addresses. The DMA API gives these out, but is not
 * asked to do more: it would maintain the caches, and bounce what a device can't
 * reach, through the linear map, which does not have a no-map carveout. So the caches
 * are maintained here, as sync.c does it, and a device that can't reach the memory is
 * refused before the DMA API finds out.
 *
 * An importer gets struct pages as long as the memory has any; otherwise it must be
 * one that can do without, which are those that allow peer2peer.
 */
#include <linux/device.h>
#include <linux/dma-buf.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-resv.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/huge_mm.h>
#include <linux/iommu-dma.h>
#include <linux/iosys-map.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/swiotlb.h>

#include "cmem.h"
#include "dmabuf.h"

/* The length of an entry is 32 bits wide. */
#define CMEM_DMABUF_ENTRY	SZ_2G

/**
 * struct cmem_exports - the DMA-BUFs of a buffer
 * @in_hash: by @buffer
 * @buffer: whose they are. Each of @users holds it.
 * @users: DMA-BUFs that are not released yet, and calls that make one
 * @kept: what EXPORT answers with, by what it is open for (O_RDONLY, O_WRONLY, O_RDWR),
 *	held as long as a file is registered, under the block's lock
 * @resv: their fences
 * @dmabufs: all that are not released yet, under the block's lock
 * @unsnooped: how many devices are attached that do not snoop the caches, under the
 *	block's lock
 * @snooped: how many that do, under the block's lock
 *
 * What is not said to be under another lock is under cmem_exports_lock.
 */
struct cmem_exports {
	struct hlist_node in_hash;
	struct cmem_buffer *buffer;
	unsigned int users;
	struct dma_buf *kept[O_ACCMODE];
	struct dma_resv resv;
	struct list_head dmabufs;
	unsigned int unsnooped;
	unsigned int snooped;
};

/**
 * struct cmem_dmabuf - what is behind a DMA-BUF
 * @buffer: the buffer, held
 * @exports: all DMA-BUFs of it, held
 * @in_exports: among these
 * @inode: number of its inode, by which debugfs and fdinfo know it
 * @heap: it is from a DMA-BUF heap
 */
struct cmem_dmabuf {
	struct cmem_buffer *buffer;
	struct cmem_exports *exports;
	struct list_head in_exports;
	u64 inode;
	bool heap;
};

/**
 * struct cmem_attachment - what is behind an attachment
 * @table: the memory, as the device sees it
 * @unsnooped: the device does not snoop the caches
 */
struct cmem_attachment {
	struct sg_table table;
	bool unsnooped;
};

/* Few buffers of a system are DMA-BUFs at a time; each of them costs no more for it. */
static DEFINE_HASHTABLE(cmem_exports_hash, 6);
static DEFINE_SPINLOCK(cmem_exports_lock);

static struct cmem_exports *cmem_exports_find(const struct cmem_buffer *buffer)
{
	struct cmem_exports *exports;

	lockdep_assert_held(&cmem_exports_lock);
	hash_for_each_possible(cmem_exports_hash, exports, in_hash,
			       (unsigned long)buffer)
		if (exports->buffer == buffer)
			return exports;
	return NULL;
}

/* Find the DMA-BUFs of a buffer that the caller holds, or begin them; -ENOMEM. */
static struct cmem_exports *cmem_exports_get(struct cmem_buffer *buffer)
{
	struct cmem_exports *spare, *exports;

	spare = kzalloc(sizeof(*spare), GFP_KERNEL_ACCOUNT);
	if (!spare)
		return ERR_PTR(-ENOMEM);
	dma_resv_init(&spare->resv);
	INIT_LIST_HEAD(&spare->dmabufs);
	spare->buffer = buffer;

	spin_lock(&cmem_exports_lock);
	exports = cmem_exports_find(buffer);
	if (!exports) {
		exports = spare;
		spare = NULL;
		hash_add(cmem_exports_hash, &exports->in_hash,
			 (unsigned long)buffer);
	}
	exports->users++;
	spin_unlock(&cmem_exports_lock);

	if (spare) {
		dma_resv_fini(&spare->resv);
		kfree(spare);
	}
	return exports;
}

static void cmem_exports_put(struct cmem_exports *exports)
{
	bool last;

	spin_lock(&cmem_exports_lock);
	last = !--exports->users;
	if (last)
		hash_del(&exports->in_hash);
	spin_unlock(&cmem_exports_lock);

	if (last) {
		dma_resv_fini(&exports->resv);
		kfree(exports);
	}
}

/* The DMA-BUF that is kept for an access, held for the caller, or NULL */
static struct dma_buf *cmem_exports_find_kept(struct cmem_exports *exports,
					      int access)
{
	struct dma_buf *dmabuf;

	guard(mutex)(&cmem_buffer_block(exports->buffer)->lock);
	dmabuf = exports->kept[access];
	if (dmabuf)
		get_dma_buf(dmabuf);
	return dmabuf;
}

/*
 * Keep a DMA-BUF, which the caller holds, if there is none and a file is registered that
 * will have it forgotten. Return the one to use, held for the caller.
 */
static struct dma_buf *cmem_exports_keep(struct cmem_exports *exports,
					 int access, struct dma_buf *dmabuf)
{
	struct cmem_buffer *buffer = exports->buffer;

	guard(mutex)(&cmem_buffer_block(buffer)->lock);
	if (!cmem_buffer_is_registered(buffer))
		return dmabuf;
	if (!exports->kept[access]) {
		get_dma_buf(dmabuf);
		exports->kept[access] = dmabuf;
		buffer->flags |= CMEM_BUFFER_EXPORTED;
		return dmabuf;
	}
	/* Somebody else was faster. */
	dma_buf_put(dmabuf);
	get_dma_buf(exports->kept[access]);
	return exports->kept[access];
}

/**
 * cmem_dmabuf_forget - no file is registered for a buffer any more
 * @buffer: a buffer of a block that is locked
 *
 * Those who have its DMA-BUFs keep them.
 */
void cmem_dmabuf_forget(struct cmem_buffer *buffer)
{
	struct dma_buf *kept[O_ACCMODE];
	struct cmem_exports *exports;
	int i;

	if (!(buffer->flags & CMEM_BUFFER_EXPORTED))
		return;
	WRITE_ONCE(buffer->flags, buffer->flags & ~CMEM_BUFFER_EXPORTED);
	/* Each that is kept is one of its users, so that there is one. */
	spin_lock(&cmem_exports_lock);
	exports = cmem_exports_find(buffer);
	memcpy(kept, exports->kept, sizeof(kept));
	memset(exports->kept, 0, sizeof(exports->kept));
	spin_unlock(&cmem_exports_lock);
	/* Files are closed later, with nothing locked. */
	for (i = 0; i < ARRAY_SIZE(kept); i++)
		if (kept[i])
			dma_buf_put(kept[i]);
}

/**
 * cmem_dmabuf_inodes - go through the DMA-BUFs of a buffer
 * @buffer: a live buffer of a block that is locked
 * @fn: called with the number of each one's inode
 * @arg: passed on to @fn
 */
void cmem_dmabuf_inodes(const struct cmem_buffer *buffer,
			void (*fn)(u64 inode, void *arg), void *arg)
{
	const struct cmem_dmabuf *exported;
	struct cmem_exports *exports;

	/* Each that is in the list is one of its users, and stays there meanwhile. */
	spin_lock(&cmem_exports_lock);
	exports = cmem_exports_find(buffer);
	if (exports && list_empty(&exports->dmabufs))
		exports = NULL;
	spin_unlock(&cmem_exports_lock);
	if (!exports)
		return;
	list_for_each_entry(exported, &exports->dmabufs, in_exports)
		fn(exported->inode, arg);
}

/* A device comes or goes. */
static void cmem_exports_count(struct cmem_exports *exports, bool unsnooped,
			       int change)
{
	struct cmem_buffer *buffer = exports->buffer;
	u16 flags;

	guard(mutex)(&cmem_buffer_block(buffer)->lock);
	if (unsnooped)
		exports->unsnooped += change;
	else
		exports->snooped += change;
	flags = buffer->flags & ~(CMEM_BUFFER_UNSNOOPED | CMEM_BUFFER_SNOOPED);
	if (exports->unsnooped)
		flags |= CMEM_BUFFER_UNSNOOPED;
	if (exports->snooped)
		flags |= CMEM_BUFFER_SNOOPED;
	/* At once: who syncs meanwhile looks at it without the lock. */
	WRITE_ONCE(buffer->flags, flags);
}

static int cmem_dmabuf_sync(struct cmem_buffer *buffer, bool killable,
			    enum cmem_sync_op op)
{
	return cmem_buffer_sync(buffer, 0, cmem_buffer_length(buffer), killable, op);
}

/* The DMA API maps by adding to physical addresses, and by nothing else. */
static bool cmem_dmabuf_is_direct(struct device *dev)
{
	return !use_dma_iommu(dev) && !get_dma_ops(dev);
}

/*
 * Whether a device sees what is in the caches. What an IOMMU maps without struct pages it
 * maps as registers are, which nobody snoops, whatever the device could.
 */
static bool cmem_dmabuf_snoops(struct device *dev, bool has_pages)
{
	return dev_is_dma_coherent(dev) &&
	       (CMEM_ALWAYS_COHERENT || has_pages || cmem_dmabuf_is_direct(dev));
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

/* A bus may have another offset for each of several ranges. */
static bool cmem_dmabuf_in_reach(struct device *dev, phys_addr_t phys,
				 size_t length, bool has_pages)
{
	dma_addr_t address = phys_to_dma(dev, phys);

	return dma_capable(dev, address, length, has_pages, 0) &&
	       phys_to_dma(dev, phys + length - 1) == address + length - 1;
}

static int cmem_dmabuf_check_device(struct device *dev, phys_addr_t phys,
				    size_t length, bool has_pages)
{
	if (!dev->dma_mask) {
		dev_err_ratelimited(dev, "cmem: no DMA mask: this device can't do DMA\n");
		return -EIO;
	}
	if (!cmem_dmabuf_is_direct(dev)) {
		/* An IOMMU's DMA API adds up entries that it joins in 32 bits. */
		if (has_pages && length > CMEM_DMABUF_ENTRY &&
		    dma_get_max_seg_size(dev) < CMEM_DMABUF_ENTRY) {
			dev_err_ratelimited(dev, "cmem: %#zx bytes at %pa are too long for segments of %#x bytes\n",
					    length, &phys,
					    dma_get_max_seg_size(dev));
			return -EIO;
		}
		return 0;
	}
	if (is_swiotlb_force_bounce(dev)) {
		dev_err_ratelimited(dev, "cmem: DMA of this device is bounced, which a buffer that others share can't be\n");
		return -EIO;
	}
	if (!cmem_dmabuf_in_reach(dev, phys, length, has_pages)) {
		dev_err_ratelimited(dev, "cmem: %#zx bytes at %pa are out of reach: DMA mask %#llx, bus limit %#llx\n",
				    length, &phys, *dev->dma_mask,
				    dev->bus_dma_limit);
		return -EIO;
	}
	return 0;
}

static int cmem_dmabuf_map_pages(struct device *dev, struct sg_table *table,
				 const struct cmem_extent *extent, size_t length,
				 enum dma_data_direction direction)
{
	unsigned long pfn = extent->pfn;
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_sg(table, sg, i) {
		size_t part = min_t(size_t, length, CMEM_DMABUF_ENTRY);

		sg_set_page(sg, pfn_to_page(pfn), part, 0);
		pfn += part >> PAGE_SHIFT;
		length -= part;
	}
	return dma_map_sgtable(dev, table, direction, DMA_ATTR_SKIP_CPU_SYNC);
}

static int cmem_dmabuf_map_resource(struct device *dev, struct sg_table *table,
				    const struct cmem_extent *extent,
				    size_t length,
				    enum dma_data_direction direction)
{
	struct scatterlist *sg;
	dma_addr_t address;
	unsigned int i;

	/* dma_map_resource() knows no offset of a bus, but this is memory. */
	if (cmem_dmabuf_is_direct(dev)) {
		address = phys_to_dma(dev, PFN_PHYS(extent->pfn));
	} else {
		address = dma_map_resource(dev, PFN_PHYS(extent->pfn), length,
					   direction, DMA_ATTR_SKIP_CPU_SYNC);
		if (dma_mapping_error(dev, address))
			return -EIO;
	}

	table->nents = table->orig_nents;
	for_each_sgtable_sg(table, sg, i) {
		size_t part = min_t(size_t, length, CMEM_DMABUF_ENTRY);

		sg_set_page(sg, NULL, part, 0);
		sg_dma_address(sg) = address;
		sg_dma_len(sg) = part;
		address += part;
		length -= part;
	}
	return 0;
}

static void cmem_dmabuf_unmap_table(struct cmem_buffer *buffer,
				    struct dma_buf_attachment *attachment,
				    struct sg_table *table,
				    enum dma_data_direction direction)
{
	struct device *dev = attachment->dev;

	if (cmem_buffer_block(buffer)->has_pages)
		dma_unmap_sgtable(dev, table, direction, DMA_ATTR_SKIP_CPU_SYNC);
	else if (!cmem_dmabuf_is_direct(dev))
		dma_unmap_resource(dev, sg_dma_address(table->sgl),
				   attachment->dmabuf->size, direction,
				   DMA_ATTR_SKIP_CPU_SYNC);
}

/*
 * A device that snoops needs nothing of a cached buffer. Where the buffer is not cached,
 * it may find what the CPU read ahead of time: see cmem_sync_needs().
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

	if (extent.block->has_pages)
		ret = cmem_dmabuf_map_pages(dev, table, &extent, length,
					    direction);
	else
		ret = cmem_dmabuf_map_resource(dev, table, &extent, length,
					       direction);
	if (ret)
		return ERR_PTR(ret);

	/* What the CPU wrote must not get there later than what the device writes. */
	if (cmem_dmabuf_sync_device(buffer, attached))
		ret = cmem_dmabuf_sync(buffer, true, CMEM_SYNC_WRITE_BACK);
	if (ret) {
		cmem_dmabuf_unmap_table(buffer, attachment, table, direction);
		return ERR_PTR(ret);
	}
	return table;
}

/*
 * Who begins to read, or has a device let go, does not know who else wrote: by vmap, or
 * while he may only read. So what was written is not dropped.
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
	 * What a device that snoops has left in a cache must not be written back over what
	 * the CPU is going to write past the caches.
	 */
	if (direction == DMA_TO_DEVICE && cmem_buffer_is_cached(exported->buffer))
		return 0;
	if (!cmem_buffer_must_sync(exported->buffer))
		return 0;
	/* The core waits later: by then the old bytes may be in the caches again. */
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

	/* An importer's mmap() has looked at the importer's own file only. */
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

	/* The kernel does not survive what programs do. */
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
	 * A process that closes one of a heap frees it: there is no other way. A process
	 * that dies with it open, be it in exit(), has freed nothing. cmem_dmabuf_die()
	 * takes care of processes that have it mapped.
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

/**
 * cmem_dmabuf_die - a program ends that has a DMA-BUF of ours mapped
 * @file: the DMA-BUF's, which that mapping holds still
 *
 * exec() calls this as well. The caller may be another process, which was reading the
 * memory of the program that ends (ps, a debugger). cmem_dmabuf_release() then runs in
 * that process, and can't tell that a program has ended.
 */
void cmem_dmabuf_die(struct file *file)
{
	struct dma_buf *dmabuf = file->private_data;
	struct cmem_dmabuf *exported = dmabuf->priv;

	if (exported->heap && file_count(file) == 1)
		cmem_buffer_abandon(exported->buffer);
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
	cmem_vma_set_space(dmabuf->file);
	exported->inode = file_inode(dmabuf->file)->i_ino;
	guard(mutex)(&cmem_buffer_block(buffer)->lock);
	list_add_tail(&exported->in_exports, &exports->dmabufs);
	return dmabuf;
}

/**
 * cmem_dmabuf_wrap - get a DMA-BUF of a buffer
 * @buffer: a buffer that the caller holds, marked as shared. The DMA-BUF takes that
 *	hold over, also when there is none.
 * @name: who exports it, for debugfs; must stay
 * @length: in bytes, whole pages, what it shows of the buffer
 * @heap: make one of a DMA-BUF heap; else the one that is kept will do
 * @flags: O_RDONLY, O_WRONLY or O_RDWR; with @heap O_ACCMODE as well
 *
 * Return: the DMA-BUF; -EOVERFLOW when the buffer is longer than a size_t can tell,
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
		/* It has the holds from here on. */
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

	/* Nobody gets by a DMA-BUF what mmap() would not give him. */
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
 * cmem_dmabuf_locate - tell where a DMA-BUF is, if it is one of ours
 * @dmabuf: the DMA-BUF, which the caller holds
 * @phys: where to put the physical address of its first byte
 *
 * Return: true if it is.
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
 * cmem_dmabuf_get_buffer - hold the buffer that a DMA-BUF is of, to register for it
 * @file: who is to be registered
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
	/* A registration is good for all that the file is open for. */
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
