/* SPDX-License-Identifier: GPL-2.0-only */
/* All DMA-BUFs of one buffer (exports.c); dmabuf.c implements each of them */
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
 * @in_hash: in the hash, by @buffer
 * @buffer: the buffer. Each of @users holds it.
 * @users: DMA-BUFs that are not released yet, and calls that make one
 * @kept: the DMA-BUFs that EXPORT returns, by access (O_RDONLY, O_WRONLY, O_RDWR), held
 *	while a file is registered, under the block's lock
 * @resv: their fences
 * @dmabufs: all that are not released yet, under the block's lock
 * @unsnooped: number of attached devices that do not snoop the caches, under the block's
 *	lock
 * @snooped: number of attached devices that snoop, under the block's lock
 *
 * cmem_exports_lock protects the members for which no other lock is named.
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
 * struct cmem_dmabuf - state of a DMA-BUF
 * @buffer: the buffer, held
 * @exports: all DMA-BUFs of the buffer, held
 * @in_exports: in cmem_exports.dmabufs
 * @inode: its inode number, by which debugfs and fdinfo name it
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
