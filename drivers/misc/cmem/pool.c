// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pool bookkeeping: index lists over an array of slots.
 *
 * This file knows slots by their index. It does not know addresses, buffers or locks:
 * the caller holds the block's lock, which protects a pool. No bookkeeping is kept in
 * the memory that is handed out.
 */
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "cmem.h"
#include "pool.h"

/**
 * cmem_pool_alloc_array - allocate an array with an element for each slot
 * @count: number of slots
 * @size: bytes in an element
 *
 * Large arrays come from vmalloc(), since kmalloc() would round them up to a power of
 * two. May sleep.
 *
 * Return: the zeroed array, to be freed with kvfree(), or NULL.
 */
void *cmem_pool_alloc_array(u32 count, size_t size)
{
	gfp_t gfp = GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN;
	size_t bytes = array_size(count, size);

	return bytes > SZ_32K ? __vmalloc(bytes, gfp) : kmalloc(bytes, gfp);
}

/**
 * cmem_pool_init - initialize a pool of dirty slots
 * @pool: the pool
 * @count: number of slots, at least 1
 * @untouched: do not clean a slot before it is taken for the first time
 *
 * All slots start dirty, since memory at boot may contain old data. May sleep.
 *
 * Return: 0, -EOVERFLOW for a count that is out of range, -ENOMEM.
 */
int cmem_pool_init(struct cmem_pool *pool, u32 count, bool untouched)
{
	u32 i;

	if (!count || count >= CMEM_SLOT_NONE)
		return -EOVERFLOW;

	*pool = (struct cmem_pool) {
		.slots = cmem_pool_alloc_array(count, sizeof(*pool->slots)),
		.count = count,
		.clean = CMEM_SLOT_NONE,
		.clean_tail = CMEM_SLOT_NONE,
		.young = CMEM_SLOT_NONE,
		.old = untouched ? CMEM_SLOT_NONE : 0,
		.untouched = untouched ? 0 : count,
		.num_dirty = count,
	};
	if (!pool->slots)
		return -ENOMEM;

	for (i = 0; i < count; i++) {
		pool->slots[i].state = CMEM_SLOT_DIRTY;
		pool->slots[i].next = i + 1;
	}
	pool->slots[count - 1].next = CMEM_SLOT_NONE;
	return 0;
}

void cmem_pool_destroy(struct cmem_pool *pool)
{
	kvfree(pool->slots);
	pool->slots = NULL;
}

static u32 cmem_pool_pop(struct cmem_pool *pool, u32 *head,
			 enum cmem_slot_state state)
{
	u32 index = *head;

	*head = pool->slots[index].next;
	pool->slots[index].state = state;
	return index;
}

static void cmem_pool_push_dirty(struct cmem_pool *pool, u32 index, u64 tag)
{
	struct cmem_slot *slot = &pool->slots[index];

	slot->tag = tag;
	slot->state = CMEM_SLOT_DIRTY;
	slot->next = pool->young;
	pool->young = index;
	pool->num_dirty++;
}

/* Prefer memory that has been used before. */
static u32 cmem_pool_pop_dirty(struct cmem_pool *pool)
{
	pool->num_dirty--;
	if (pool->old != CMEM_SLOT_NONE)
		return cmem_pool_pop(pool, &pool->old, CMEM_SLOT_TAKEN);
	if (pool->young != CMEM_SLOT_NONE)
		return cmem_pool_pop(pool, &pool->young, CMEM_SLOT_TAKEN);
	pool->slots[pool->untouched].state = CMEM_SLOT_TAKEN;
	return pool->untouched++;
}

static bool cmem_pool_is_own(struct cmem_pool *pool, u32 index, u64 tag)
{
	return index != CMEM_SLOT_NONE && pool->slots[index].tag == tag;
}

/**
 * cmem_pool_take - take a slot out of the pool
 * @pool: the pool
 * @tag: tag of the new user, not 0
 * @index: where to put the slot's index
 *
 * Prefers the user's own last slot, uncleaned, then a clean slot, then a dirty slot that
 * was freed long ago, then one that was freed recently, then one that nobody has used
 * yet.
 *
 * Return: CMEM_TAKEN_READY, CMEM_TAKEN_DIRTY when the slot must be cleaned first,
 * -EAGAIN when all free slots are being cleaned, -ENOMEM when no slot is free.
 */
int cmem_pool_take(struct cmem_pool *pool, u64 tag, u32 *index)
{
	int ret = CMEM_TAKEN_READY;
	u32 slot;

	if (cmem_pool_is_own(pool, pool->young, tag)) {
		slot = cmem_pool_pop(pool, &pool->young, CMEM_SLOT_TAKEN);
		pool->num_dirty--;
	} else if (cmem_pool_is_own(pool, pool->old, tag)) {
		slot = cmem_pool_pop(pool, &pool->old, CMEM_SLOT_TAKEN);
		pool->num_dirty--;
	} else if (pool->clean != CMEM_SLOT_NONE) {
		slot = cmem_pool_pop(pool, &pool->clean, CMEM_SLOT_TAKEN);
		pool->num_clean--;
	} else if (pool->num_dirty) {
		slot = cmem_pool_pop_dirty(pool);
		ret = CMEM_TAKEN_DIRTY;
	} else {
		return pool->num_scrubbing ? -EAGAIN : -ENOMEM;
	}

	pool->slots[slot].tag = tag;
	*index = slot;
	return ret;
}

/**
 * cmem_pool_put - give a slot back
 * @pool: the pool
 * @index: a slot that is taken
 * @tag: tag that may get the slot back uncleaned, 0 for none
 */
void cmem_pool_put(struct cmem_pool *pool, u32 index, u64 tag)
{
	if (WARN_ON_ONCE(pool->slots[index].state != CMEM_SLOT_TAKEN))
		return;

	cmem_pool_push_dirty(pool, index, tag);
}

/**
 * cmem_pool_age - make recently freed slots old
 * @pool: the pool
 *
 * Does nothing while older slots still wait to be cleaned.
 */
void cmem_pool_age(struct cmem_pool *pool)
{
	if (pool->old != CMEM_SLOT_NONE)
		return;

	pool->old = pool->young;
	pool->young = CMEM_SLOT_NONE;
}

/**
 * cmem_pool_soil - make all free slots dirty, without a last owner
 * @pool: a pool of which no slot is being cleaned
 */
void cmem_pool_soil(struct cmem_pool *pool)
{
	u32 i;

	for (i = 0; i < pool->count; i++)
		if (pool->slots[i].state == CMEM_SLOT_DIRTY)
			pool->slots[i].tag = 0;
	while (pool->clean != CMEM_SLOT_NONE) {
		i = cmem_pool_pop(pool, &pool->clean, CMEM_SLOT_TAKEN);
		pool->num_clean--;
		cmem_pool_push_dirty(pool, i, 0);
	}
}

static bool cmem_pool_unlink(struct cmem_pool *pool, u32 *head, u32 index)
{
	u32 last = CMEM_SLOT_NONE, next = pool->slots[index].next;
	u32 slot;

	for (slot = *head; slot != index; slot = pool->slots[slot].next) {
		if (slot == CMEM_SLOT_NONE)
			return false;
		last = slot;
	}
	if (last == CMEM_SLOT_NONE)
		*head = next;
	else
		pool->slots[last].next = next;
	if (head == &pool->clean && pool->clean_tail == index)
		pool->clean_tail = last;
	return true;
}

/**
 * cmem_pool_withdraw - take a slot out of the pool for good
 * @pool: the pool
 * @index: a slot that is free, and not being cleaned
 *
 * Searches the lists: for rare events only.
 */
void cmem_pool_withdraw(struct cmem_pool *pool, u32 index)
{
	struct cmem_slot *slot = &pool->slots[index];

	/* Untouched slots are in no list: add them to one, up to this slot. */
	for (; pool->untouched <= index; pool->untouched++) {
		pool->slots[pool->untouched].next = pool->young;
		pool->young = pool->untouched;
	}
	if (cmem_pool_unlink(pool, &pool->clean, index))
		pool->num_clean--;
	else if (cmem_pool_unlink(pool, &pool->young, index) ||
		 cmem_pool_unlink(pool, &pool->old, index))
		pool->num_dirty--;
	else if (WARN_ON_ONCE(true))
		return;
	slot->state = CMEM_SLOT_TAKEN;
	slot->tag = 0;
}

/**
 * cmem_pool_scrub_begin - pick an old dirty slot to clean
 * @pool: the pool
 *
 * Return: its index, or CMEM_SLOT_NONE.
 */
u32 cmem_pool_scrub_begin(struct cmem_pool *pool)
{
	if (pool->old == CMEM_SLOT_NONE)
		return CMEM_SLOT_NONE;

	pool->num_dirty--;
	pool->num_scrubbing++;
	return cmem_pool_pop(pool, &pool->old, CMEM_SLOT_SCRUBBING);
}

/**
 * cmem_pool_scrub_end - put a slot back after cleaning
 * @pool: the pool
 * @index: what cmem_pool_scrub_begin() returned
 * @cleaned: false if cleaning stopped early: the slot is as dirty as before, and its
 *     last user may still get it back
 */
void cmem_pool_scrub_end(struct cmem_pool *pool, u32 index, bool cleaned)
{
	struct cmem_slot *slot = &pool->slots[index];

	if (WARN_ON_ONCE(slot->state != CMEM_SLOT_SCRUBBING))
		return;

	pool->num_scrubbing--;
	if (!cleaned) {
		cmem_pool_push_dirty(pool, index, slot->tag);
		return;
	}

	slot->tag = 0;
	slot->state = CMEM_SLOT_CLEAN;
	slot->next = CMEM_SLOT_NONE;
	if (pool->clean == CMEM_SLOT_NONE)
		pool->clean = index;
	else
		pool->slots[pool->clean_tail].next = index;
	pool->clean_tail = index;
	pool->num_clean++;
}
