/* SPDX-License-Identifier: GPL-2.0-only */
/* Blocks (dma_heap.c) and reserved memory (dma_heap_carveout.c) as DMA-BUF heaps */
#ifndef _CMEM_DMA_HEAP_H
#define _CMEM_DMA_HEAP_H

struct cmem_block;
struct device;

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

#endif /* _CMEM_DMA_HEAP_H */
