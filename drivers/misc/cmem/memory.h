/* SPDX-License-Identifier: GPL-2.0-only */
/* Checks of memory for blocks (memory.c), and regions that were reserved (region.c) */
#ifndef _CMEM_MEMORY_H
#define _CMEM_MEMORY_H

#include <linux/list.h>
#include <linux/types.h>

#include "config.h"

struct device;

unsigned long cmem_memory_next_page(unsigned long pfn);
int cmem_memory_check(struct device *dev, struct cmem_block_config *config);
int cmem_memory_check_unknown(struct device *dev,
			      struct cmem_block_config *config);

/**
 * struct cmem_region - memory that was reserved for CMEM at boot
 * @in_regions: entry in the list of all regions
 * @base: physical address of its first byte
 * @length: in bytes
 * @kind: the kind of memory
 * @keep_contents: never zero it
 * @is_memory: the device tree, a parameter or an ioctl vouches that there is memory
 * @coherent: devices that use it snoop the caches
 * @placed_by_kernel: it had no address of its own
 * @quarantine: which of its buffers go into quarantine, and for how long
 * @dma_heap: the DMA-BUF heaps of a block in it
 * @pages: its cached buffers are page-backed
 */
struct cmem_region {
	struct list_head in_regions;
	phys_addr_t base;
	u64 length;
	enum cmem_block_kind kind;
	bool keep_contents;
	bool is_memory;
	bool coherent;
	bool placed_by_kernel;
	struct cmem_quarantine_config quarantine;
	struct cmem_dma_heap_config dma_heap;
	bool pages;
};

int cmem_region_remember(const struct cmem_block_config *config, bool coherent);

const struct cmem_region *
cmem_region_find(const struct cmem_block_config *config);

#endif /* _CMEM_MEMORY_H */
