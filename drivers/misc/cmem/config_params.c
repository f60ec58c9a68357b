// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads parameters of the kernel command line into a struct cmem_block_config. The
 * out-of-tree module had the same parameters.
 *
 *	cmem.phys_start=0x88000000 cmem.phys_end=0x90000000 cmem.pools=4x30000,2x500000
 *
 * Names that end in _1, _2 and _3 are for block 1, 2 and 3. Addresses are hexadecimal,
 * with or without 0x. Counts and sizes are decimal, because x separates them. phys_end
 * is the first address after the block. is_memory=1 is new, for memory that nothing
 * else vouches for.
 *
 * The module's documents have addresses in the middle of a page: one block ends and the
 * next one starts at 0x4033FFFF. A block is whole pages, so it gets the pages that are
 * entirely in the range. The driver then touches nothing outside of the range, and two
 * ranges that do not overlap make blocks that do not overlap.
 */
#include <linux/ctype.h>
#include <linux/device.h>
#include <linux/kstrtox.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "config.h"

/* Digits of 2^64 - 1 in decimal, and the NUL */
#define CMEM_PARAM_DIGITS	21

/**
 * cmem_param_suffix - get the end of the names of a block's parameters
 * @id: number of the block, less than CMEM_PARAM_BLOCKS, or CMEM_BLOCK_CMA
 *
 * Return: a string.
 */
const char *cmem_param_suffix(s32 id)
{
	static const char * const suffix[CMEM_PARAM_BLOCKS] = {
		"", "_1", "_2", "_3",
	};

	return id == CMEM_BLOCK_CMA ? "_cma" : suffix[id];
}

static int cmem_param_address(struct device *dev, s32 id, const char *name,
			      const char *text, u64 *address)
{
	const char *suffix = cmem_param_suffix(id);
	size_t length = strlen(text);
	char *number;
	int ret;

	/* The module accepted a comma after an address, and scripts pass one. */
	if (length && text[length - 1] == ',')
		length--;
	number = kstrndup(text, length, GFP_KERNEL);
	if (!number)
		return -ENOMEM;
	/* kstrtoull() also accepts a sign. */
	ret = isxdigit(*number) ? kstrtoull(number, 16, address) : -EINVAL;
	kfree(number);
	if (ret == -ERANGE)
		dev_err(dev, "block %d: %s%s=%s has more than 64 bits\n",
			id, name, suffix, text);
	else if (ret)
		dev_err(dev, "block %d: %s%s=%s is no address, must be hexadecimal, such as 0x88000000\n",
			id, name, suffix, text);
	return ret;
}

/* Read decimal digits and move past them. */
static int cmem_param_decimal(const char **text, u64 *value)
{
	size_t length = strspn(*text, "0123456789");
	char digits[CMEM_PARAM_DIGITS];

	if (length >= sizeof(digits))
		return -ERANGE;
	memcpy(digits, *text, length);
	digits[length] = '\0';
	*text += length;
	return kstrtoull(digits, 10, value);
}

static int cmem_param_pool(const char *text, size_t length,
			   struct cmem_pool_config *pool)
{
	const char *end = text + length;
	u64 count;
	int ret;

	ret = cmem_param_decimal(&text, &count);
	if (ret)
		return ret;
	if (*text++ != 'x')
		return -EINVAL;
	ret = cmem_param_decimal(&text, &pool->length);
	if (ret)
		return ret;
	if (text != end)
		return -EINVAL;
	if (count > U32_MAX)
		return -ERANGE;
	pool->count = count;
	return 0;
}

/**
 * cmem_config_param_pools - read the pools of a block
 * @dev: for messages
 * @text: value of the parameter
 * @config: gets the pools; its @id and @length are read
 *
 * Return: 0; -EINVAL for a malformed list, -ERANGE for a number that is too large,
 * -E2BIG for more than CMEM_MAX_POOLS; or an error of cmem_config_set_pools().
 */
int cmem_config_param_pools(struct device *dev, const char *text,
			    struct cmem_block_config *config)
{
	const char *suffix = cmem_param_suffix(config->id);
	const char *next = text;
	unsigned int i = 0;
	char name[10];
	int ret;

	config->num_pools = 0;
	for (;;) {
		size_t length = strcspn(next, ",");

		if (i == CMEM_MAX_POOLS) {
			dev_err(dev, "block %d: pools%s=%s has more than %d pools\n",
				config->id, suffix, text, CMEM_MAX_POOLS);
			return -E2BIG;
		}
		ret = cmem_param_pool(next, length, &config->pools[i]);
		if (ret == -ERANGE) {
			dev_err(dev, "block %d: pools%s=%s: pool %u, '%.*s', has a number that is too large\n",
				config->id, suffix, text, i, (int)length, next);
			return ret;
		}
		if (ret) {
			dev_err(dev, "block %d: pools%s=%s: pool %u is '%.*s', must be <count>x<bytes>, both decimal, such as 4x30000\n",
				config->id, suffix, text, i, (int)length, next);
			return ret;
		}
		i++;
		next += length;
		if (!*next++)
			break;
	}

	snprintf(name, sizeof(name), "pools%s", suffix);
	return cmem_config_set_pools(dev, name, i, config->length, config);
}

/**
 * cmem_config_param_quarantine - read how long buffers stay in quarantine
 * @dev: for messages
 * @text: value of the parameter
 * @config: gets the quarantine; its @id is read
 *
 * Return: 0; -EINVAL for an invalid number, -ERANGE for one that is too large.
 */
int cmem_config_param_quarantine(struct device *dev, const char *text,
				 struct cmem_block_config *config)
{
	const char *suffix = cmem_param_suffix(config->id);
	const char *end = text;
	u64 ms;
	int ret;

	ret = cmem_param_decimal(&end, &ms);
	if (!ret && *end)
		ret = -EINVAL;
	if (!ret && ms > CMEM_MAX_QUARANTINE_MS)
		ret = -ERANGE;
	if (ret) {
		dev_err(dev, "block %d: quarantine%s=%s: must be milliseconds, from 0, for ever, to %u\n",
			config->id, suffix, text, CMEM_MAX_QUARANTINE_MS);
		return ret;
	}
	config->quarantine.all = true;
	config->quarantine.ms = ms;
	return 0;
}

/* Reduce the range to whole pages. */
static int cmem_config_param_range(struct device *dev,
				   const struct cmem_block_params *params,
				   u64 start, u64 end,
				   struct cmem_block_config *config)
{
	const char *suffix = cmem_param_suffix(config->id);
	u64 page = PAGE_SIZE;

	if (end <= start) {
		dev_err(dev, "block %d: phys_end%s=%s is not above phys_start%s=%s, must be the address behind the last byte\n",
			config->id, suffix, params->phys_end, suffix,
			params->phys_start);
		return -EINVAL;
	}
	if (end - 1 > PHYS_ADDR_MAX) {
		dev_err(dev, "block %d: phys_end%s=%s is beyond the last address of this kernel\n",
			config->id, suffix, params->phys_end);
		return -EINVAL;
	}
	if (start > round_down(end, page) ||
	    round_up(start, page) == round_down(end, page)) {
		dev_err(dev, "block %d: phys_start%s=%s to phys_end%s=%s is less than a page of %lu bytes\n",
			config->id, suffix, params->phys_start, suffix,
			params->phys_end, PAGE_SIZE);
		return -EINVAL;
	}

	config->base = round_up(start, page);
	config->length = round_down(end, page) - config->base;
	if (config->length != end - start)
		dev_notice(dev, "block %d: phys_start%s=%s to phys_end%s=%s is not whole pages: it has those that are, %#llx bytes at %pa\n",
			   config->id, suffix, params->phys_start, suffix,
			   params->phys_end, config->length, &config->base);
	return 0;
}

/**
 * cmem_config_param_block - read the parameters of a block
 * @dev: for messages
 * @params: the parameters, with at least one of phys_start and phys_end
 * @config: set on success; its @id is read, from 0 to CMEM_PARAM_BLOCKS - 1
 *
 * A block without pools is all heap. This does not check if the memory exists.
 *
 * Return: 0; -EINVAL for an invalid range, -ERANGE for a number that is too large,
 * -ENOMEM; or an error of cmem_config_param_pools().
 */
int cmem_config_param_block(struct device *dev,
			    const struct cmem_block_params *params,
			    struct cmem_block_config *config)
{
	s32 id = config->id;
	const char *suffix = cmem_param_suffix(id);
	u64 start, end;
	int ret;

	*config = (struct cmem_block_config) {
		.id = id,
		.is_memory = params->is_memory,
		.pages = params->page_backed,
		.dma_heap.from_pools = params->dma_heap_pools,
	};

	if (!params->phys_end) {
		dev_err(dev, "block %d: phys_start%s=%s needs phys_end%s=, the address behind the last byte\n",
			id, suffix, params->phys_start, suffix);
		return -EINVAL;
	}
	if (!params->phys_start) {
		dev_err(dev, "block %d: phys_end%s=%s needs phys_start%s=, the address of the first byte\n",
			id, suffix, params->phys_end, suffix);
		return -EINVAL;
	}
	ret = cmem_param_address(dev, id, "phys_start", params->phys_start,
				 &start);
	if (ret)
		return ret;
	ret = cmem_param_address(dev, id, "phys_end", params->phys_end, &end);
	if (ret)
		return ret;
	ret = cmem_config_param_range(dev, params, start, end, config);
	if (!ret && params->quarantine)
		ret = cmem_config_param_quarantine(dev, params->quarantine,
						   config);
	if (ret || !params->pools)
		return ret;
	return cmem_config_param_pools(dev, params->pools, config);
}
