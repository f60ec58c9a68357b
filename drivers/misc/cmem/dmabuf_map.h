/* SPDX-License-Identifier: GPL-2.0-only */
/* How a device reaches a buffer that is shared with it (dmabuf_map.c) */
#ifndef _CMEM_DMABUF_MAP_H
#define _CMEM_DMABUF_MAP_H

#include <linux/dma-direction.h>
#include <linux/sizes.h>
#include <linux/types.h>

struct cmem_buffer;
struct cmem_extent;
struct device;
struct dma_buf_attachment;
struct sg_table;

/* Longest scatter-gather entry: its length is 32 bits wide. */
#define CMEM_DMABUF_ENTRY	SZ_2G

bool cmem_dmabuf_snoops(struct device *dev, bool has_pages);
int cmem_dmabuf_check_device(struct device *dev, phys_addr_t phys, size_t length,
			     bool has_pages);
int cmem_dmabuf_map_table(struct device *dev, struct sg_table *table,
			  const struct cmem_extent *extent, size_t length,
			  enum dma_data_direction direction);
void cmem_dmabuf_unmap_table(struct cmem_buffer *buffer,
			     struct dma_buf_attachment *attachment,
			     struct sg_table *table,
			     enum dma_data_direction direction);

#endif /* _CMEM_DMABUF_MAP_H */
