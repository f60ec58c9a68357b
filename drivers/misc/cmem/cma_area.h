/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the files of block -1: cma.c allocates from it, cma_create.c creates it.
 */
#ifndef _CMEM_CMA_AREA_H
#define _CMEM_CMA_AREA_H

#include "block.h"

struct cma;

/**
 * struct cmem_cma_area - a CMA area
 * @cma: the area, NULL if there is none
 * @base_pfn: page frame number of its first page
 * @num_pages: its length, which the kernel rounded up to the granularity of CMA
 * @limit: pages that were asked for: the most that our buffers can have. For the global
 *	area this is our share, protected by the block's lock.
 * @used: pages in our buffers, including allocations in progress; protected by the
 *	block's lock
 */
struct cmem_cma_area {
	struct cma *cma;
	unsigned long base_pfn;
	unsigned long num_pages;
	unsigned long limit;
	unsigned long used;
};

/**
 * struct cmem_cma - the block and its areas
 * @block: what all blocks have
 * @areas: the pools' areas by number of the pool, then the heap's
 * @own_heap: the heap's area is not the global one, which others use as well
 * @no_heap: there must be no heap, not even in the global area
 */
struct cmem_cma {
	struct cmem_block block;
	struct cmem_cma_area areas[CMEM_MAX_POOLS + 1];
	bool own_heap;
	bool no_heap;
};

#define cmem_cma_of(_block)	container_of(_block, struct cmem_cma, block)

extern const struct cmem_block_ops cmem_cma_ops;

void cmem_cma_count(struct cmem_cma *cma, const struct cmem_cma_area *area);

#endif /* _CMEM_CMA_AREA_H */
