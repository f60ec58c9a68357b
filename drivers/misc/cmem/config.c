// SPDX-License-Identifier: GPL-2.0-only
/*
 * What must hold for each struct cmem_block_config, wherever it comes from.
 */
#include <linux/device.h>
#include <linux/mm.h>
#include <linux/overflow.h>

#include "config.h"
#include "pool.h"

/**
 * cmem_config_set_pools - take the pools of a block if they fit into it
 * @dev: for messages
 * @source: where they were asked for, in the words of who did so
 * @num_pools: how many, at most CMEM_MAX_POOLS
 * @length: bytes in the block
 * @config: its @pools are there. @id is read, for messages; @num_pools is set when
 *	all is well.
 *
 * Return: 0; -EINVAL for a pool of nothing, -EOVERFLOW when the sizes add up to more
 * than 64 bits hold, -ENOSPC when they add up to more than the block, each buffer
 * rounded up to pages. Why was logged.
 */
int cmem_config_set_pools(struct device *dev, const char *source,
			  unsigned int num_pools, u64 length,
			  struct cmem_block_config *config)
{
	u64 total = 0, page_mask = PAGE_SIZE - 1;
	unsigned int i;

	for (i = 0; i < num_pools; i++) {
		struct cmem_pool_config *pool = &config->pools[i];
		u64 bytes;

		if (!pool->count || !pool->length) {
			dev_err(dev, "block %d: %s: pool %u has %u buffers of %llu bytes, neither can be 0\n",
				config->id, source, i, pool->count,
				pool->length);
			return -EINVAL;
		}
		if (pool->count >= CMEM_SLOT_NONE ||
		    check_add_overflow(pool->length, page_mask, &bytes) ||
		    check_mul_overflow(bytes & ~page_mask, (u64)pool->count,
				       &bytes) ||
		    check_add_overflow(total, bytes, &total)) {
			dev_err(dev, "block %d: %s: pool %u of %u buffers of %#llx bytes is larger than any memory\n",
				config->id, source, i, pool->count,
				pool->length);
			return -EOVERFLOW;
		}
	}

	if (total > length) {
		dev_err(dev, "block %d: %s needs %#llx bytes, each buffer rounded up to %lu, but the block has %#llx\n",
			config->id, source, total, PAGE_SIZE, length);
		return -ENOSPC;
	}
	config->num_pools = num_pools;
	return 0;
}
