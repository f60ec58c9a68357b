/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is to become a block, whoever asks for it.
 */
#ifndef _CMEM_CONFIG_H
#define _CMEM_CONFIG_H

#include <linux/types.h>
#include <uapi/linux/cmem.h>

struct device;
struct device_node;

/**
 * struct cmem_pool_config - one pool as asked for
 * @count: number of buffers, at least 1
 * @length: bytes in each, at least 1, not rounded
 */
struct cmem_pool_config {
	u32 count;
	u64 length;
};

/**
 * struct cmem_block_config - one block as asked for
 * @id: the block's number
 * @kind: what memory it is
 * @base: physical address of the first byte
 * @length: in bytes
 * @keep_contents: never zero this memory
 * @placed_by_kernel: the region had no address of its own
 * @num_pools: how many of @pools are there
 * @pools: the pools, in the order of their numbers
 */
struct cmem_block_config {
	s32 id;
	enum cmem_block_kind kind;
	phys_addr_t base;
	u64 length;
	bool keep_contents;
	bool placed_by_kernel;
	unsigned int num_pools;
	struct cmem_pool_config pools[CMEM_MAX_POOLS];
};

int cmem_config_pool_cells(struct device *dev, const struct device_node *node);
int cmem_config_of_pools(struct device *dev, const struct device_node *node,
			 int pool_cells, u64 length,
			 struct cmem_block_config *config);
int cmem_config_of_block(struct device *dev, const struct device_node *node,
			 int pool_cells, struct cmem_block_config *config);

#endif /* _CMEM_CONFIG_H */
