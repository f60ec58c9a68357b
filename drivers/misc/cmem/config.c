// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checks that apply to every struct cmem_block_config, whatever its source.
 */
#include <linux/ctype.h>
#include <linux/device.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "config.h"
#include "pool.h"

/**
 * cmem_config_set_pools - check the pools of a block and accept them
 * @dev: for messages
 * @source: name of the property or parameter, for messages
 * @num_pools: number of pools, at most CMEM_MAX_POOLS
 * @length: bytes in the block
 * @config: has the pools in @pools, and the @id for messages. @num_pools is set on
 *	success.
 *
 * Return: 0; -EINVAL for a pool with no buffers or no bytes, -EOVERFLOW if the sizes add
 * up to more than 64 bits, -ENOSPC if they add up to more than the block, with each
 * buffer rounded up to pages. The reason is logged.
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

/* The name must be safe in a /dev path and in a list with colons. */
static bool cmem_config_is_dma_heap_name(const char *name, size_t length)
{
	size_t i;

	if (!length || length > CMEM_MAX_DMA_HEAP_NAME || *name == '.' ||
	    strstarts(name, "cmem-"))
		return false;
	for (i = 0; i < length; i++)
		if (!isascii(name[i]) ||
		    !(isalnum(name[i]) || strchr("_-+.,@", name[i])))
			return false;
	return true;
}

/**
 * cmem_config_set_dma_heap_names - check and store names for a block's DMA-BUF heaps
 * @dev: for messages
 * @source: name of the property or parameter, for messages
 * @text: names separated by colons
 * @config: @config->id is for messages; @config->dma_heap.names gets the names
 *
 * Return: 0; -EINVAL for an invalid name, -EOVERFLOW for too many characters.
 */
int cmem_config_set_dma_heap_names(struct device *dev, const char *source,
				   const char *text,
				   struct cmem_block_config *config)
{
	const char *name = text;
	int length;

	for (;; name += length + 1) {
		length = strcspn(name, ":");
		if (!cmem_config_is_dma_heap_name(name, length)) {
			dev_err(dev, "block %d: %s: '%*pE' can't be the name of a DMA-BUF heap, must be 1 to %d letters, digits and _-+.,@ that begin neither with a dot nor with cmem-\n",
				config->id, source, min(length, CMEM_MAX_DMA_HEAP_NAME + 1), name,
				CMEM_MAX_DMA_HEAP_NAME);
			return -EINVAL;
		}
		if (!name[length])
			break;
	}
	if (strscpy(config->dma_heap.names, text,
		    sizeof(config->dma_heap.names)) < 0) {
		dev_err(dev, "block %d: %s has %zu characters, must be at most %d\n",
			config->id, source, strlen(text),
			CMEM_MAX_DMA_HEAP_NAMES - 1);
		config->dma_heap.names[0] = '\0';
		return -EOVERFLOW;
	}
	return 0;
}

/**
 * cmem_config_add_quarantine - apply a region's quarantine to a new block in it
 * @region: the quarantine of the region, from the board's configuration
 * @config: the requested quarantine; on return, the effective one
 *
 * The creator of the block may ask for more than the region, but not for less: of two
 * times, the longer one applies, and if either has no time limit, the result has none.
 */
void cmem_config_add_quarantine(const struct cmem_quarantine_config *region,
				struct cmem_quarantine_config *config)
{
	bool all = config->all;
	u32 ms = config->ms;

	*config = *region;
	config->all |= all;
	if (!region->all && !region->ms && !region->num_rprocs)
		config->ms = ms;
	else if (all || ms)
		config->ms = region->ms && ms ? max(region->ms, ms) : 0;
}

/**
 * cmem_amount_parse - parse an amount of memory
 * @text: bytes, with an optional unit such as K, M or G; 0% to 100%; or "none"
 * @amount: set on success; "none" means no limit
 *
 * Return: 0 or -EINVAL.
 */
int cmem_amount_parse(const char *text, struct cmem_amount *amount)
{
	unsigned long long number;
	char *end;

	*amount = (struct cmem_amount){ .given = true };
	if (!strcmp(text, "none")) {
		amount->bytes = CMEM_AMOUNT_ALL;
		return 0;
	}
	if (*text < '0' || *text > '9')
		return -EINVAL;
	number = memparse(text, &end);
	if (end[0] == '%' && !end[1]) {
		if (number > 100 || (end[-1] < '0' || end[-1] > '9'))
			return -EINVAL;
		/* 0% is stored as 0 bytes. */
		amount->percent = number;
		return 0;
	}
	if (*end)
		return -EINVAL;
	amount->bytes = number;
	return 0;
}

/**
 * cmem_amount_pages - convert an amount to pages
 * @amount: the amount
 * @pages: pages that a percentage refers to
 *
 * Return: pages, rounded down; ULONG_MAX for no limit.
 */
unsigned long cmem_amount_pages(const struct cmem_amount *amount, u64 pages)
{
	if (amount->percent)
		return mul_u64_u32_div(pages, amount->percent, 100);
	if (amount->bytes == CMEM_AMOUNT_ALL)
		return ULONG_MAX;
	return min_t(u64, amount->bytes >> PAGE_SHIFT, ULONG_MAX);
}

/**
 * cmem_amount_emit - print an amount to a sysfs file
 * @amount: the amount
 * @buffer: buffer of the file
 * @at: offset in @buffer
 *
 * Return: the number of characters.
 */
int cmem_amount_emit(const struct cmem_amount *amount, char *buffer, int at)
{
	if (amount->percent)
		return sysfs_emit_at(buffer, at, "%u%%", amount->percent);
	if (amount->bytes == CMEM_AMOUNT_ALL)
		return sysfs_emit_at(buffer, at, "none");
	return sysfs_emit_at(buffer, at, "%llu", amount->bytes);
}
