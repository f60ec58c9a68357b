/* SPDX-License-Identifier: GPL-2.0-only */
/* Block -1, of CMA areas (cma.c, cma_create.c) */
#ifndef _CMEM_CMA_H
#define _CMEM_CMA_H

#include <linux/errno.h>
#include <linux/types.h>

struct cmem_block;
struct cmem_heap_buffer;
struct cmem_request;
struct device;

#ifdef CONFIG_DMA_CMA
struct cmem_block *cmem_cma_block(void);
struct cmem_block *cmem_cma_find_pfn(unsigned long pfn);
u64 cmem_cma_length(struct cmem_block *block);
unsigned long cmem_cma_largest(struct cmem_block *block);
bool cmem_cma_is_ours(struct cmem_block *block);
void cmem_cma_area(struct cmem_block *block, unsigned int number,
		   unsigned long *start, unsigned long *pages);
int cmem_cma_take(struct cmem_block *block, struct cmem_request *request,
		  struct cmem_heap_buffer **from);
void cmem_cma_put(struct cmem_heap_buffer *from);
int cmem_cma_create_of(struct device *dev, int pool_cells, bool coherent);
void cmem_cma_create(struct device *dev);
#else
static inline struct cmem_block *cmem_cma_block(void)
{
	return NULL;
}

static inline struct cmem_block *cmem_cma_find_pfn(unsigned long pfn)
{
	return NULL;
}

static inline u64 cmem_cma_length(struct cmem_block *block)
{
	return 0;
}

static inline unsigned long cmem_cma_largest(struct cmem_block *block)
{
	return 0;
}

static inline bool cmem_cma_is_ours(struct cmem_block *block)
{
	return false;
}

static inline void cmem_cma_area(struct cmem_block *block, unsigned int number,
				 unsigned long *start, unsigned long *pages)
{
}

static inline int cmem_cma_take(struct cmem_block *block,
				struct cmem_request *request,
				struct cmem_heap_buffer **from)
{
	return -ENOENT;
}

static inline void cmem_cma_put(struct cmem_heap_buffer *from)
{
}

static inline int cmem_cma_create_of(struct device *dev, int pool_cells,
				     bool coherent)
{
	return 0;
}

static inline void cmem_cma_create(struct device *dev)
{
}
#endif

#endif /* _CMEM_CMA_H */
