// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of blocks, for lookups.
 *
 * The struct of a block stays in the table forever, so a lookup needs no reference, and
 * every ioctl saves two atomic operations. Removing a block only empties its struct.
 * Adding a block of the same number fills that struct again. The block's own lock
 * protects its contents, and whether it is present.
 */
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rculist.h>

#include "block.h"
#include "pool.h"

/*
 * Sorted by number, the CMA block last: the others are looked up more often. The list
 * only grows, under cmem_blocks_lock.
 */
LIST_HEAD(cmem_blocks);

/* Serializes creating and removing blocks. Taken before any block's lock. */
DEFINE_MUTEX(cmem_blocks_lock);

/**
 * cmem_block_enter - add a block to the table
 * @block: a block with a number that no other block has
 *
 * The block stays in the table forever. The caller holds cmem_blocks_lock.
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
 * Return: the block, present or not, or NULL if there never was one.
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
 * @id: the number, as users know it
 *
 * Return: the block, which may be removed at any time, or NULL.
 */
struct cmem_block *cmem_block_find(s32 id)
{
	struct cmem_block *block = cmem_block_find_id(id);

	return block && READ_ONCE(block->present) ? block : NULL;
}

/**
 * cmem_block_find_from - find the next block by number, except the CMA block
 * @id: the lowest number to accept, from 0
 *
 * The block may be removed at any time: the caller must check under its lock that it
 * is still present.
 *
 * Return: the block, or NULL if there is none.
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
 * Return: the block, which the caller unlocks, or NULL.
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

/* Without the lock, the result is a guess while the block is removed or added. */
static bool cmem_block_has(const struct cmem_block *block, unsigned long pfn)
{
	return pfn - READ_ONCE(block->base_pfn) < READ_ONCE(block->num_pages) &&
	       (!block->ops->has || block->ops->has(block, pfn));
}

/**
 * cmem_block_lock_pfn - find the block that a page belongs to, and lock it
 * @pfn: page frame number
 *
 * Return: the block, which the caller unlocks, or NULL.
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
 * cmem_block_count - count the blocks, except the CMA block
 * @count: where to put the number of blocks
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
 * @length: length of the buffer in bytes
 * @pinned: gets whether the end of pins may give a better answer: a smaller pool that is
 *	long enough has pinned buffers, or there is no pool, but the block has some
 *
 * Return: the number of the pool with the smallest buffers that are long enough and of
 * which one is free; -ENOENT when no pool has buffers of that length, -ENOMEM when
 * none of them is free.
 */
int cmem_block_best_pool(struct cmem_block *block, u64 length, bool *pinned)
{
	int ret = -ENOENT;
	unsigned int i;

	*pinned = false;
	for (i = 0; i < block->num_pools && ret < 0; i++) {
		const struct cmem_carved_pool *pool;

		pool = &block->pools[block->by_size[i]];
		if ((u64)pool->pages << PAGE_SHIFT < length ||
		    !pool->slots.count)
			continue;
		ret = cmem_pool_free(&pool->slots) ? (int)pool->number : -ENOMEM;
		if (ret < 0 && pool->pinned)
			*pinned = true;
		if (block->ops->one_pool)
			break;
	}
	if (ret < 0 && block->num_pinned)
		*pinned = true;
	return ret;
}
