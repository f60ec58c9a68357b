/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pool bookkeeping: which of a number of equal slots are free, and how clean.
 */
#ifndef _CMEM_POOL_H
#define _CMEM_POOL_H

#include <linux/bits.h>
#include <linux/types.h>
#include <linux/uidgid.h>

/* Ends a list of slots. A pool has fewer slots than this. */
#define CMEM_SLOT_NONE	(BIT(30) - 1)

/**
 * enum cmem_slot_state - where a slot is
 * @CMEM_SLOT_TAKEN: not in the pool: in use, or being cleaned for its next user
 * @CMEM_SLOT_CLEAN: free and zeroed
 * @CMEM_SLOT_DIRTY: free, with the data of its last user
 * @CMEM_SLOT_SCRUBBING: free, being cleaned in the background
 */
enum cmem_slot_state {
	CMEM_SLOT_TAKEN,
	CMEM_SLOT_CLEAN,
	CMEM_SLOT_DIRTY,
	CMEM_SLOT_SCRUBBING,
};

/**
 * struct cmem_slot - one buffer's worth of memory in a pool
 * @tag: identifies the last owner and how it mapped the memory; a request with the same
 *     tag may get the slot uncleaned. 0 is nobody.
 * @user: the user who is charged while the slot is taken
 * @next: the next slot of the list that this slot is in
 * @state: one of enum cmem_slot_state
 *
 * 16 bytes: there is one for each buffer, free or not.
 */
struct cmem_slot {
	u64 tag;
	kuid_t user;
	u32 next : 30;
	u32 state : 2;
};

/**
 * struct cmem_pool - the free slots of a pool
 * @slots: array of @count
 * @count: number of slots
 * @clean: oldest clean slot. Clean slots are a queue, so that a fresh pool hands out
 *     its slots in ascending order.
 * @clean_tail: youngest clean slot
 * @young: the dirty slot freed last. Dirty slots are a stack, so that an owner who
 *     frees and allocates in turn gets its own slot back.
 * @old: as @young, for slots that were freed before the last ageing and must be
 *     cleaned
 * @untouched: the first slot that nobody has used yet. It and the slots behind it are
 *     dirty and in no list: they are not cleaned until they are taken.
 * @num_clean: free slots that are clean
 * @num_dirty: free slots that are dirty
 * @num_scrubbing: free slots that are being cleaned
 *
 * The caller serializes all calls. All but init, soil and withdraw take constant time.
 */
struct cmem_pool {
	struct cmem_slot *slots;
	u32 count;
	u32 clean;
	u32 clean_tail;
	u32 young;
	u32 old;
	u32 untouched;
	u32 num_clean;
	u32 num_dirty;
	u32 num_scrubbing;
};

void *cmem_pool_alloc_array(u32 count, size_t size);
int cmem_pool_init(struct cmem_pool *pool, u32 count, bool untouched);
void cmem_pool_destroy(struct cmem_pool *pool);
int cmem_pool_take(struct cmem_pool *pool, u64 tag, u32 *index);
void cmem_pool_put(struct cmem_pool *pool, u32 index, u64 tag);
void cmem_pool_age(struct cmem_pool *pool);
void cmem_pool_soil(struct cmem_pool *pool);
void cmem_pool_withdraw(struct cmem_pool *pool, u32 index);
u32 cmem_pool_scrub_begin(struct cmem_pool *pool);
void cmem_pool_scrub_end(struct cmem_pool *pool, u32 index, bool cleaned);

static inline u32 cmem_pool_free(const struct cmem_pool *pool)
{
	return pool->num_clean + pool->num_dirty + pool->num_scrubbing;
}

/* Dirty slots that the scrubber will clean, sooner or later */
static inline u32 cmem_pool_to_clean(const struct cmem_pool *pool)
{
	return pool->num_dirty - (pool->count - pool->untouched);
}

#endif /* _CMEM_POOL_H */
