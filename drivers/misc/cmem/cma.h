/* SPDX-License-Identifier: GPL-2.0-only */
/* Creation of the block of CMA areas (cma_create.c) */
#ifndef _CMEM_CMA_H
#define _CMEM_CMA_H

#include <linux/types.h>

struct device;

#ifdef CONFIG_DMA_CMA
int cmem_cma_create_of(struct device *dev, int pool_cells, bool coherent);
void cmem_cma_create(struct device *dev);
#else
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
