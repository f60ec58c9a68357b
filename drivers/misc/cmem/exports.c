// SPDX-License-Identifier: GPL-2.0-only
/*
 * The DMA-BUFs of one buffer: which of them is kept, and which kinds of devices are
 * attached to any of them. Only few buffers are exported at a time, so a hash holds this,
 * which costs other buffers nothing.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include "buffer.h"
#include "exports.h"

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

/**
 * cmem_exports_get - find or create the set of DMA-BUFs of a buffer
 * @buffer: a buffer that the caller holds
 *
 * Return: the set, for cmem_exports_put(), or -ENOMEM.
 */
struct cmem_exports *cmem_exports_get(struct cmem_buffer *buffer)
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

/**
 * cmem_exports_put - drop a reference from cmem_exports_get()
 * @exports: the DMA-BUFs of a buffer
 */
void cmem_exports_put(struct cmem_exports *exports)
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

/**
 * cmem_exports_find_kept - get the DMA-BUF that is kept for an access
 * @exports: the DMA-BUFs of a buffer
 * @access: O_RDONLY, O_WRONLY or O_RDWR
 *
 * Return: the DMA-BUF, held for the caller, or NULL.
 */
struct dma_buf *cmem_exports_find_kept(struct cmem_exports *exports, int access)
{
	struct dma_buf *dmabuf;

	guard(mutex)(&cmem_buffer_block(exports->buffer)->lock);
	dmabuf = exports->kept[access];
	if (dmabuf)
		get_dma_buf(dmabuf);
	return dmabuf;
}

/**
 * cmem_exports_keep - keep a DMA-BUF while a file is registered for the buffer
 * @exports: the DMA-BUFs of the buffer
 * @access: O_RDONLY, O_WRONLY or O_RDWR
 * @dmabuf: a DMA-BUF with that access, which the caller holds
 *
 * Return: the DMA-BUF to use, held for the caller in place of @dmabuf: another thread may
 * have kept one already.
 */
struct dma_buf *cmem_exports_keep(struct cmem_exports *exports, int access,
				  struct dma_buf *dmabuf)
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
	/* Another thread was faster. */
	dma_buf_put(dmabuf);
	get_dma_buf(exports->kept[access]);
	return exports->kept[access];
}

/**
 * cmem_exports_forget - drop the kept DMA-BUFs when no file is registered any more
 * @buffer: a buffer of a block that is locked
 *
 * Other users of the DMA-BUFs keep them.
 */
void cmem_exports_forget(struct cmem_buffer *buffer)
{
	struct dma_buf *kept[O_ACCMODE];
	struct cmem_exports *exports;
	int i;

	if (!(buffer->flags & CMEM_BUFFER_EXPORTED))
		return;
	WRITE_ONCE(buffer->flags, buffer->flags & ~CMEM_BUFFER_EXPORTED);
	/* Each kept DMA-BUF counts as a user, so the lookup finds the set. */
	spin_lock(&cmem_exports_lock);
	exports = cmem_exports_find(buffer);
	memcpy(kept, exports->kept, sizeof(kept));
	memset(exports->kept, 0, sizeof(exports->kept));
	spin_unlock(&cmem_exports_lock);
	/* The files are closed later, without the lock. */
	for (i = 0; i < ARRAY_SIZE(kept); i++)
		if (kept[i])
			dma_buf_put(kept[i]);
}

/**
 * cmem_exports_inodes - iterate over the DMA-BUFs of a buffer
 * @buffer: a live buffer of a block that is locked
 * @fn: called with each DMA-BUF's inode number
 * @arg: passed on to @fn
 */
void cmem_exports_inodes(const struct cmem_buffer *buffer,
			 void (*fn)(u64 inode, void *arg), void *arg)
{
	const struct cmem_dmabuf *exported;
	struct cmem_exports *exports;

	/* Each listed DMA-BUF is a user and stays listed while the block is locked. */
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

/**
 * cmem_exports_count - count a device that is attached to any DMA-BUF of a buffer
 * @exports: the DMA-BUFs of the buffer
 * @unsnooped: the device does not snoop the caches
 * @change: 1 or -1
 */
void cmem_exports_count(struct cmem_exports *exports, bool unsnooped, int change)
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
	/* One store: a concurrent sync reads the flags without the lock. */
	WRITE_ONCE(buffer->flags, flags);
}

/**
 * cmem_dmabuf_die - handle the end of a program that has a DMA-BUF of ours mapped
 * @file: the DMA-BUF's file, which that mapping still holds
 *
 * This runs on exec() as well. The caller may be another process that was reading the
 * program's memory (ps, a debugger). cmem_dmabuf_release() then runs in that process, and
 * can't tell that the program has ended.
 */
void cmem_dmabuf_die(struct file *file)
{
	struct dma_buf *dmabuf = file->private_data;
	struct cmem_dmabuf *exported = dmabuf->priv;

	if (exported->heap && file_count(file) == 1)
		cmem_buffer_abandon(exported->buffer);
}
