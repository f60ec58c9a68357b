// SPDX-License-Identifier: GPL-2.0-only
/*
 * Find out whether a device can reach a buffer, and at which addresses.
 *
 * A device sees the buffer as one run of addresses. The DMA API only assigns these. It
 * must not maintain the caches, or bounce what a device can't reach: it does both through
 * the linear map, which lacks a no-map carveout. So the driver refuses a device that
 * can't reach the memory before it calls the DMA API.
 */
#include <linux/device.h>
#include <linux/dma-buf.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/iommu-dma.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/swiotlb.h>

#include "block.h"
#include "buffer.h"
#include "cmem.h"
#include "dmabuf_map.h"

/* Whether the DMA API maps by adding an offset to physical addresses, and only so. */
static bool cmem_dmabuf_is_direct(struct device *dev)
{
	return !use_dma_iommu(dev) && !get_dma_ops(dev);
}

/**
 * cmem_dmabuf_snoops - tell if a device snoops the caches
 * @dev: the device
 * @has_pages: the memory has struct pages
 *
 * An IOMMU maps memory without struct pages like registers, which no device snoops.
 *
 * Return: true if the device snoops.
 */
bool cmem_dmabuf_snoops(struct device *dev, bool has_pages)
{
	return dev_is_dma_coherent(dev) &&
	       (CMEM_ALWAYS_COHERENT || has_pages || cmem_dmabuf_is_direct(dev));
}

/* A bus may have several ranges with different offsets. */
static bool cmem_dmabuf_in_reach(struct device *dev, phys_addr_t phys,
				 size_t length, bool has_pages)
{
	dma_addr_t address = phys_to_dma(dev, phys);

	return dma_capable(dev, address, length, has_pages, 0) &&
	       phys_to_dma(dev, phys + length - 1) == address + length - 1;
}

/**
 * cmem_dmabuf_check_device - check that a device can reach memory
 * @dev: the device; a failure is logged for it
 * @phys: physical address
 * @length: in bytes
 * @has_pages: the memory has struct pages
 *
 * Return: 0 or -EIO.
 */
int cmem_dmabuf_check_device(struct device *dev, phys_addr_t phys, size_t length,
			     bool has_pages)
{
	if (!dev->dma_mask) {
		dev_err_ratelimited(dev, "cmem: no DMA mask: this device can't do DMA\n");
		return -EIO;
	}
	if (!cmem_dmabuf_is_direct(dev)) {
		/* The IOMMU DMA API sums the lengths of merged entries in 32 bits. */
		if (has_pages && length > CMEM_DMABUF_ENTRY &&
		    dma_get_max_seg_size(dev) < CMEM_DMABUF_ENTRY) {
			dev_err_ratelimited(dev, "cmem: %#zx bytes at %pa are too long for segments of %#x bytes\n",
					    length, &phys,
					    dma_get_max_seg_size(dev));
			return -EIO;
		}
		return 0;
	}
	if (is_swiotlb_force_bounce(dev)) {
		dev_err_ratelimited(dev, "cmem: DMA of this device is bounced, which a buffer that others share can't be\n");
		return -EIO;
	}
	if (!cmem_dmabuf_in_reach(dev, phys, length, has_pages)) {
		dev_err_ratelimited(dev, "cmem: %#zx bytes at %pa are out of reach: DMA mask %#llx, bus limit %#llx\n",
				    length, &phys, *dev->dma_mask,
				    dev->bus_dma_limit);
		return -EIO;
	}
	return 0;
}

static int cmem_dmabuf_map_pages(struct device *dev, struct sg_table *table,
				 const struct cmem_extent *extent, size_t length,
				 enum dma_data_direction direction)
{
	unsigned long pfn = extent->pfn;
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_sg(table, sg, i) {
		size_t part = min_t(size_t, length, CMEM_DMABUF_ENTRY);

		sg_set_page(sg, pfn_to_page(pfn), part, 0);
		pfn += part >> PAGE_SHIFT;
		length -= part;
	}
	return dma_map_sgtable(dev, table, direction, DMA_ATTR_SKIP_CPU_SYNC);
}

static int cmem_dmabuf_map_resource(struct device *dev, struct sg_table *table,
				    const struct cmem_extent *extent,
				    size_t length,
				    enum dma_data_direction direction)
{
	struct scatterlist *sg;
	dma_addr_t address;
	unsigned int i;

	/* dma_map_resource() ignores bus offsets, but they apply to memory. */
	if (cmem_dmabuf_is_direct(dev)) {
		address = phys_to_dma(dev, PFN_PHYS(extent->pfn));
	} else {
		address = dma_map_resource(dev, PFN_PHYS(extent->pfn), length,
					   direction, DMA_ATTR_SKIP_CPU_SYNC);
		if (dma_mapping_error(dev, address))
			return -EIO;
	}

	table->nents = table->orig_nents;
	for_each_sgtable_sg(table, sg, i) {
		size_t part = min_t(size_t, length, CMEM_DMABUF_ENTRY);

		sg_set_page(sg, NULL, part, 0);
		sg_dma_address(sg) = address;
		sg_dma_len(sg) = part;
		address += part;
		length -= part;
	}
	return 0;
}

/**
 * cmem_dmabuf_map_table - map memory for a device with the DMA API
 * @dev: a device that can reach the memory
 * @table: allocated entries for all of the memory; this fills them in
 * @extent: the memory
 * @length: of the mapping, in bytes
 * @direction: as for the DMA API, which maintains no caches here
 *
 * Return: 0 or an errno of the DMA API.
 */
int cmem_dmabuf_map_table(struct device *dev, struct sg_table *table,
			  const struct cmem_extent *extent, size_t length,
			  enum dma_data_direction direction)
{
	if (extent->block->has_pages)
		return cmem_dmabuf_map_pages(dev, table, extent, length, direction);
	return cmem_dmabuf_map_resource(dev, table, extent, length, direction);
}

/**
 * cmem_dmabuf_unmap_table - undo cmem_dmabuf_map_table()
 * @buffer: the memory
 * @attachment: the attachment of the device
 * @table: the table that was filled in
 * @direction: as it was mapped
 */
void cmem_dmabuf_unmap_table(struct cmem_buffer *buffer,
			     struct dma_buf_attachment *attachment,
			     struct sg_table *table,
			     enum dma_data_direction direction)
{
	struct device *dev = attachment->dev;

	if (cmem_buffer_block(buffer)->has_pages)
		dma_unmap_sgtable(dev, table, direction, DMA_ATTR_SKIP_CPU_SYNC);
	else if (!cmem_dmabuf_is_direct(dev))
		dma_unmap_resource(dev, sg_dma_address(table->sgl),
				   attachment->dmabuf->size, direction,
				   DMA_ATTR_SKIP_CPU_SYNC);
}
