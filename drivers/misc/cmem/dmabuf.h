/* SPDX-License-Identifier: GPL-2.0-only */
/* Buffers as DMA-BUFs (dmabuf.c) */
#ifndef _CMEM_DMABUF_H
#define _CMEM_DMABUF_H

#include <linux/types.h>

struct cmem_buffer;
struct cmem_file;
struct dma_buf;
struct file;

struct dma_buf *cmem_dmabuf_wrap(struct cmem_buffer *buffer, const char *name,
				 u64 length, bool heap, int flags);
struct dma_buf *cmem_dmabuf_export(struct cmem_file *file, unsigned long pfn,
				   int flags);
bool cmem_dmabuf_locate(const struct dma_buf *dmabuf, u64 *phys);
struct cmem_buffer *cmem_dmabuf_get_buffer(struct cmem_file *file, int fd);

#endif /* _CMEM_DMABUF_H */
