/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Buffers as DMA-BUFs (dmabuf.c), and blocks as DMA-BUF heaps (dma_heap.c).
 */
#ifndef _CMEM_DMABUF_H
#define _CMEM_DMABUF_H

#include <linux/types.h>

struct cmem_block;
struct cmem_buffer;
struct cmem_file;
struct device;
struct dma_buf;
struct file;

struct dma_buf *cmem_dmabuf_wrap(struct cmem_buffer *buffer, const char *name,
				 u64 length, bool heap, int flags);
struct dma_buf *cmem_dmabuf_export(struct cmem_file *file, unsigned long pfn,
				   int flags);
void cmem_dmabuf_die(struct file *file);
bool cmem_dmabuf_locate(const struct dma_buf *dmabuf, u64 *phys);
struct cmem_buffer *cmem_dmabuf_get_buffer(struct cmem_file *file, int fd);

#ifdef CONFIG_TI_CMEM_DMA_HEAPS
void cmem_dma_heap_add(struct cmem_block *block);
#else
static inline void cmem_dma_heap_add(struct cmem_block *block)
{
}
#endif

#ifdef CONFIG_TI_CMEM_DMA_HEAP_CARVEOUT
void cmem_dma_heap_carveouts(struct device *dev);
#else
static inline void cmem_dma_heap_carveouts(struct device *dev)
{
}
#endif

#endif /* _CMEM_DMABUF_H */
