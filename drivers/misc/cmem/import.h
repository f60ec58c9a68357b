/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses of DMA-BUFs of any exporter */
#ifndef _CMEM_IMPORT_H
#define _CMEM_IMPORT_H

#include <linux/types.h>

struct device;
struct dma_buf;
struct dma_buf_attachment;
struct file;
struct sg_table;

/**
 * struct cmem_import - a DMA-BUF whose address was passed to user space
 * @dmabuf: held
 * @attachment: of our device, or NULL for a DMA-BUF of ours
 * @table: its addresses
 * @phys: physical address of the first byte
 */
struct cmem_import {
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attachment;
	struct sg_table *table;
	u64 phys;
};

int cmem_import_init(struct device *dev);
struct cmem_import *cmem_import_get(int fd);
void cmem_import_put(struct cmem_import *import);
struct file *cmem_import_file(struct cmem_import *import);

#endif /* _CMEM_IMPORT_H */
