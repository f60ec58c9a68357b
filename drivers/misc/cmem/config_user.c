// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads the argument of CMEM_IOCTL_BLOCK_ADD into a struct cmem_block_config. An errno
 * says little to the person who typed the numbers, so errors are logged as well.
 */
#include <linux/device.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "config.h"

static int cmem_config_user_pools(struct device *dev,
				  const struct cmem_block_add *add,
				  struct cmem_block_config *config)
{
	const u32 first = offsetofend(struct cmem_block_pool, length);
	u32 i, size = add->pool_size ?: first;
	struct cmem_block_pool pool;
	unsigned long address;
	int ret;

	if (overflows_type(add->pools, address))
		return -EFAULT;
	if (size < first) {
		dev_err(dev, "block %d: pool_size is %u, must be %u or more\n",
			config->id, size, first);
		return -EINVAL;
	}
	if (size > PAGE_SIZE)
		return -E2BIG;
	for (i = 0; i < add->num_pools; i++) {
		ret = copy_struct_from_user(&pool, sizeof(pool),
					    u64_to_user_ptr(add->pools) +
					    (size_t)i * size, size);
		if (ret)
			return ret;
		if (pool.__reserved)
			return -EOPNOTSUPP;
		config->pools[i].count = pool.count;
		config->pools[i].length = pool.length;
	}
	return cmem_config_set_pools(dev, "pools", i, config->length, config);
}

static int cmem_config_user_names(struct device *dev,
				  const struct cmem_block_add *add,
				  struct cmem_block_config *config)
{
	unsigned long address;
	char *names;
	int ret;

	if (!add->dma_heap_names)
		return 0;
	if (overflows_type(add->dma_heap_names, address))
		return -EFAULT;
	names = strndup_user(u64_to_user_ptr(add->dma_heap_names),
			     CMEM_MAX_DMA_HEAP_NAMES);
	/* strndup_user() fails with -EINVAL if the string is too long. */
	if (IS_ERR(names))
		return PTR_ERR(names) == -EINVAL ? -EOVERFLOW : PTR_ERR(names);
	ret = cmem_config_set_dma_heap_names(dev, "dma_heap_names", names, config);
	kfree(names);
	return ret;
}

/**
 * cmem_config_user_block - read the argument of CMEM_IOCTL_BLOCK_ADD
 * @dev: for messages
 * @add: the kernel's copy of the argument
 * @config: set on success
 *
 * Return: 0, or an errno as documented for struct cmem_block_add in the UAPI header.
 */
int cmem_config_user_block(struct device *dev, const struct cmem_block_add *add,
			   struct cmem_block_config *config)
{
	*config = (struct cmem_block_config) {
		.id = add->block,
		.base = add->base,
		.length = add->length,
		.keep_contents = add->flags & CMEM_BLOCK_KEEP_CONTENTS,
		.is_memory = add->flags & CMEM_BLOCK_IS_MEMORY,
		.pages = add->flags & CMEM_BLOCK_PAGES,
		.quarantine = {
			.all = add->flags & CMEM_BLOCK_QUARANTINE,
			.ms = add->quarantine_ms,
		},
		.quota = { .given = add->quota, .bytes = add->quota },
		.dma_heap = {
			.from_pools = add->flags & CMEM_BLOCK_DMA_HEAP_POOLS,
		},
	};

	if (add->block < 0) {
		dev_err(dev, "block %d: the number of a block that is added must be from 0 to %d\n",
			add->block, S32_MAX);
		return -EINVAL;
	}
	if (!add->length || !PAGE_ALIGNED(add->base) ||
	    !PAGE_ALIGNED(add->length)) {
		dev_err(dev, "block %d: %#llx bytes at %#llx: both must be multiples of %lu, and the first not 0\n",
			add->block, add->length, add->base, PAGE_SIZE);
		return -EINVAL;
	}
	if (add->base > PHYS_ADDR_MAX ||
	    add->length - 1 > PHYS_ADDR_MAX - add->base) {
		dev_err(dev, "block %d: %#llx bytes at %#llx are no range of memory\n",
			add->block, add->length, add->base);
		return -EINVAL;
	}
	if (add->quarantine_ms > CMEM_MAX_QUARANTINE_MS) {
		dev_err(dev, "block %d: a quarantine of %u milliseconds: must be from 0, if time is not to count, to %u\n",
			add->block, add->quarantine_ms, CMEM_MAX_QUARANTINE_MS);
		return -EINVAL;
	}
	if (add->num_pools > CMEM_MAX_POOLS) {
		dev_err(dev, "block %d: %u pools, at most %d are possible\n",
			add->block, add->num_pools, CMEM_MAX_POOLS);
		return -EOVERFLOW;
	}
	return cmem_config_user_names(dev, add, config) ?:
	       cmem_config_user_pools(dev, add, config);
}
