/* SPDX-License-Identifier: GPL-2.0-only */
/* The DMA-BUFs of one buffer (exports.c), of which each is one (dmabuf.c) */
#ifndef _CMEM_EXPORTS_H
#define _CMEM_EXPORTS_H

#include <linux/dma-resv.h>
#include <linux/fcntl.h>
#include <linux/list.h>
#include <linux/types.h>

#include "buffer.h"

struct dma_buf;
struct file;

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

struct cmem_exports *cmem_exports_get(struct cmem_buffer *buffer);
void cmem_exports_put(struct cmem_exports *exports);
struct dma_buf *cmem_exports_find_kept(struct cmem_exports *exports, int access);
struct dma_buf *cmem_exports_keep(struct cmem_exports *exports, int access,
				  struct dma_buf *dmabuf);
void cmem_exports_forget(struct cmem_buffer *buffer);
void cmem_exports_inodes(const struct cmem_buffer *buffer,
			 void (*fn)(u64 inode, void *arg), void *arg);
void cmem_dmabuf_die(struct file *file);
void cmem_exports_count(struct cmem_exports *exports, bool unsnooped, int change);

#endif /* _CMEM_EXPORTS_H */
