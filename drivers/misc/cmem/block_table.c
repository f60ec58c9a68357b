// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of blocks, by which all others find them.
 *
 * The struct of a block stays in the table for good: who found one needs no reference,
 * and every ioctl saves two. A block that is removed is only emptied, and when one of
 * its number is added again, it is filled anew. What is in it, and whether there is
 * anything, is under its own lock.
 */
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rculist.h>

#include "block.h"
#include "pool.h"

/*
 * In the order of their numbers, that of CMA last: the others are looked up more often.
 * Only ever added to, under the lock.
 */
LIST_HEAD(cmem_blocks);

/* One block at a time is made or removed. Taken before any block's lock. */
DEFINE_MUTEX(cmem_blocks_lock);

/**
 * cmem_block_enter - put a block into the table, for good
 * @block: a block with a number that no other has
 *
 * The caller holds cmem_blocks_lock.
 */
void cmem_block_enter(struct cmem_block *block)
{
	struct cmem_block *next;

	lockdep_assert_held(&cmem_blocks_lock);

	cmem_for_each_block(next)
		if ((u32)next->id > (u32)block->id)
			break;
	list_add_tail_rcu(&block->in_blocks, &next->in_blocks);
}

/**
 * cmem_block_find_id - find the struct for a block's number
 * @id: the number, which may be CMEM_BLOCK_CMA
 *
 * Return: the block, which need not be present, or NULL if there never was one.
 */
struct cmem_block *cmem_block_find_id(s32 id)
{
	struct cmem_block *block;

	cmem_for_each_block(block)
		if (block->id == id)
			return block;
	return NULL;
}

/**
 * cmem_block_find - find a block by its number
 * @id: the number, as users say it
 *
 * Return: the block, which may be removed at any time, or NULL.
 */
struct cmem_block *cmem_block_find(s32 id)
{
	struct cmem_block *block = cmem_block_find_id(id);

	return block && READ_ONCE(block->present) ? block : NULL;
}

/**
 * cmem_block_find_from - find the block with the next number, but for that of CMA
 * @id: the lowest number that counts, from 0
 *
 * It may be removed at any time: only under its lock it can be told if it is
 * still present.
 *
 * Return: the block, or NULL if there is none from there on.
 */
struct cmem_block *cmem_block_find_from(s32 id)
{
	struct cmem_block *block;

	cmem_for_each_block(block)
		if (block->id >= id && READ_ONCE(block->present))
			return block;
	return NULL;
}

/**
 * cmem_block_lock - find a block by its number, and lock it
 * @id: the number
 *
 * Return: the block, to be unlocked by the caller, or NULL.
 */
struct cmem_block *cmem_block_lock(s32 id)
{
	struct cmem_block *block = cmem_block_find(id);

	if (!block)
		return NULL;
	mutex_lock(&block->lock);
	if (block->present)
		return block;
	mutex_unlock(&block->lock);
	return NULL;
}

/* Without the lock this is a guess about a block that is removed or added. */
static bool cmem_block_has(const struct cmem_block *block, unsigned long pfn)
{
	return pfn - READ_ONCE(block->base_pfn) < READ_ONCE(block->num_pages) &&
	       (!block->ops->has || block->ops->has(block, pfn));
}

/**
 * cmem_block_lock_pfn - find the block that has a page, and lock it
 * @pfn: page frame number
 *
 * Return: the block, to be unlocked by the caller, or NULL.
 */
struct cmem_block *cmem_block_lock_pfn(unsigned long pfn)
{
	struct cmem_block *block;

	cmem_for_each_block(block) {
		if (!cmem_block_has(block, pfn))
			continue;
		mutex_lock(&block->lock);
		if (block->present && cmem_block_has(block, pfn))
			return block;
		mutex_unlock(&block->lock);
	}
	return NULL;
}

/**
 * cmem_block_count - sum up the blocks, but for that of CMA
 * @count: where to put how many there are
 * @limit: where to put one more than the highest number, 0 without blocks
 */
void cmem_block_count(u32 *count, u32 *limit)
{
	const struct cmem_block *block;

	*count = 0;
	*limit = 0;
	cmem_for_each_block(block) {
		if (block->id < 0 || !READ_ONCE(block->present))
			continue;
		(*count)++;
		*limit = block->id + 1;
	}
}

/**
 * cmem_block_best_pool - find the pool that fits a buffer best
 * @block: the block, locked
 * @length: of the buffer, in bytes
 *
 * Return: the number of the pool with the smallest buffers that are long enough
 * and of which one is free; -ENOENT when no pool has buffers that long, -ENOMEM
 * when none of them is free.
 */
int cmem_block_best_pool(struct cmem_block *block, u64 length)
{
	int ret = -ENOENT;
	unsigned int i;

	for (i = 0; i < block->num_pools && ret < 0; i++) {
		const struct cmem_carved_pool *pool;

		pool = &block->pools[block->by_size[i]];
		if ((u64)pool->pages << PAGE_SHIFT < length ||
		    !pool->slots.count)
			continue;
		ret = cmem_pool_free(&pool->slots) ? (int)pool->number : -ENOMEM;
		if (block->ops->one_pool)
			break;
	}
	return ret;
}
