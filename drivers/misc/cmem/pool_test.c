// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of pool bookkeeping.
 *
 * The last test is the strictest: it applies thousands of random operations to a
 * pool and to a model that searches a table with one entry per slot. The two must
 * agree on each allocated slot.
 */
#include <linux/prandom.h>

#include "cmem.h"
#include "kunit.h"
#include "pool.h"

#define TAG_A	0xaull
#define TAG_B	0xbull
/* Tags are 64-bit, even if a long is not. */
#define TAG_HIGH	(TAG_A | 1ull << 63)

KUNIT_DEFINE_ACTION_WRAPPER(cmem_pool_test_destroy, cmem_pool_destroy,
			    struct cmem_pool *);

static struct cmem_pool *cmem_pool_test_create(struct kunit *test, u32 count)
{
	struct cmem_pool *pool = kunit_kzalloc(test, sizeof(*pool), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, pool);
	KUNIT_ASSERT_EQ(test, cmem_pool_init(pool, count, false), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test,
							cmem_pool_test_destroy,
							pool), 0);
	return pool;
}

static void cmem_pool_expect_free(struct kunit *test, struct cmem_pool *pool,
				  u32 clean, u32 dirty, u32 scrubbing)
{
	KUNIT_EXPECT_EQ(test, pool->num_clean, clean);
	KUNIT_EXPECT_EQ(test, pool->num_dirty, dirty);
	KUNIT_EXPECT_EQ(test, pool->num_scrubbing, scrubbing);
	KUNIT_EXPECT_EQ(test, cmem_pool_free(pool), clean + dirty + scrubbing);
}

static void cmem_pool_expect_take(struct kunit *test, struct cmem_pool *pool,
				  u64 tag, int state, u32 slot)
{
	u32 index = CMEM_SLOT_NONE;

	KUNIT_EXPECT_EQ(test, cmem_pool_take(pool, tag, &index), state);
	KUNIT_EXPECT_EQ(test, index, slot);
}

static void cmem_pool_expect_none(struct kunit *test, struct cmem_pool *pool,
				  int error)
{
	u32 index = 4711;

	KUNIT_EXPECT_EQ(test, cmem_pool_take(pool, TAG_A, &index), error);
	KUNIT_EXPECT_EQ(test, index, 4711);
}

/* Allocate all slots of a new pool, so that a test can free them in any order. */
static void cmem_pool_take_all(struct kunit *test, struct cmem_pool *pool)
{
	u32 i, index;

	for (i = 0; i < pool->count; i++)
		KUNIT_ASSERT_GE(test, cmem_pool_take(pool, TAG_B, &index), 0);
	cmem_pool_expect_free(test, pool, 0, 0, 0);
}

static void cmem_pool_scrub_all(struct kunit *test, struct cmem_pool *pool)
{
	u32 index;

	cmem_pool_age(pool);
	while ((index = cmem_pool_scrub_begin(pool)) != CMEM_SLOT_NONE)
		cmem_pool_scrub_end(pool, index, true);
}

static void cmem_pool_rejects_impossible_counts(struct kunit *test)
{
	struct cmem_pool pool;

	KUNIT_EXPECT_EQ(test, cmem_pool_init(&pool, 0, false), -EOVERFLOW);
	KUNIT_EXPECT_EQ(test, cmem_pool_init(&pool, U32_MAX, false), -EOVERFLOW);
	/* valid as a number, but no machine has memory for so many slots */
	KUNIT_EXPECT_EQ(test, cmem_pool_init(&pool, CMEM_SLOT_NONE - 1, false), -ENOMEM);
	cmem_pool_destroy(&pool);
}

static void cmem_pool_starts_dirty(struct kunit *test)
{
	struct cmem_pool *pool = cmem_pool_test_create(test, 5);
	u32 i;

	cmem_pool_expect_free(test, pool, 0, 5, 0);
	for (i = 0; i < 5; i++) {
		cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_DIRTY, i);
		cmem_pool_expect_free(test, pool, 0, 4 - i, 0);
	}
	cmem_pool_expect_none(test, pool, -ENOMEM);
}

/* Skip aging at boot: no owner will want these slots back. */
static void cmem_pool_scrubs_boot_contents_at_once(struct kunit *test)
{
	struct cmem_pool *pool = cmem_pool_test_create(test, 3);
	u32 i;

	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, cmem_pool_scrub_begin(pool), i);
		cmem_pool_expect_free(test, pool, i, 2 - i, 1);
		cmem_pool_scrub_end(pool, i, true);
		cmem_pool_expect_free(test, pool, i + 1, 2 - i, 0);
	}
	KUNIT_EXPECT_EQ(test, cmem_pool_scrub_begin(pool), CMEM_SLOT_NONE);
}

static void cmem_pool_hands_out_clean_slots_in_order(struct kunit *test)
{
	struct cmem_pool *pool = cmem_pool_test_create(test, 100);
	u32 i;

	cmem_pool_scrub_all(test, pool);
	cmem_pool_expect_free(test, pool, 100, 0, 0);
	for (i = 0; i < 100; i++)
		cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_READY, i);
	cmem_pool_expect_none(test, pool, -ENOMEM);
	cmem_pool_expect_free(test, pool, 0, 0, 0);
}

static void cmem_pool_of_one(struct kunit *test)
{
	struct cmem_pool *pool = cmem_pool_test_create(test, 1);

	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_DIRTY, 0);
	cmem_pool_expect_none(test, pool, -ENOMEM);
	cmem_pool_put(pool, 0, TAG_A);
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_READY, 0);
	cmem_pool_put(pool, 0, TAG_A);
	cmem_pool_scrub_all(test, pool);
	cmem_pool_expect_free(test, pool, 1, 0, 0);
	cmem_pool_expect_take(test, pool, TAG_B, CMEM_TAKEN_READY, 0);
	cmem_pool_put(pool, 0, TAG_B);
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_DIRTY, 0);
}

static void cmem_pool_prefers_own_young_old_clean_dirty(struct kunit *test)
{
	struct cmem_pool *pool = cmem_pool_test_create(test, 6);

	cmem_pool_take_all(test, pool);
	cmem_pool_put(pool, 0, TAG_B);
	cmem_pool_put(pool, 5, TAG_B);
	cmem_pool_age(pool);
	KUNIT_ASSERT_EQ(test, cmem_pool_scrub_begin(pool), 5);
	cmem_pool_scrub_end(pool, 5, true);
	KUNIT_ASSERT_EQ(test, cmem_pool_scrub_begin(pool), 0);
	cmem_pool_scrub_end(pool, 0, true);
	cmem_pool_put(pool, 1, TAG_B);
	cmem_pool_put(pool, 2, TAG_A);
	cmem_pool_age(pool);
	cmem_pool_put(pool, 3, TAG_B);
	cmem_pool_put(pool, 4, TAG_A);
	cmem_pool_expect_free(test, pool, 2, 4, 0);

	/* own, freed last; own, freed long ago; clean ones, first cleaned first */
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_READY, 4);
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_READY, 2);
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_READY, 5);
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_READY, 0);
	/* other owners', the first to age first */
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_DIRTY, 1);
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_DIRTY, 3);
	cmem_pool_expect_none(test, pool, -ENOMEM);
}

static void cmem_pool_gives_own_slots_back_last_first(struct kunit *test)
{
	struct cmem_pool *pool = cmem_pool_test_create(test, 4);
	u32 i;

	cmem_pool_take_all(test, pool);
	for (i = 0; i < 4; i++)
		cmem_pool_put(pool, i, TAG_A);
	for (i = 4; i-- > 0; )
		cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_READY, i);
}

static void cmem_pool_compares_all_of_a_tag(struct kunit *test)
{
	struct cmem_pool *pool = cmem_pool_test_create(test, 1);

	cmem_pool_take_all(test, pool);
	cmem_pool_put(pool, 0, TAG_HIGH);
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_DIRTY, 0);
	cmem_pool_put(pool, 0, TAG_HIGH);
	cmem_pool_expect_take(test, pool, TAG_HIGH, CMEM_TAKEN_READY, 0);
}

static void cmem_pool_put_for_nobody_is_dirty_for_all(struct kunit *test)
{
	struct cmem_pool *pool = cmem_pool_test_create(test, 1);

	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_DIRTY, 0);
	cmem_pool_put(pool, 0, 0);
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_DIRTY, 0);
}

static void cmem_pool_cleaned_slot_is_nobodys(struct kunit *test)
{
	struct cmem_pool *pool = cmem_pool_test_create(test, 2);

	/* Slot 0 is clean and slot 1 is not: the last owner has no claim to 0. */
	cmem_pool_take_all(test, pool);
	cmem_pool_put(pool, 0, TAG_A);
	cmem_pool_scrub_all(test, pool);
	KUNIT_EXPECT_EQ(test, pool->slots[0].tag, 0);
	cmem_pool_put(pool, 1, TAG_A);
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_READY, 1);
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_READY, 0);
}

static void cmem_pool_soiled_is_dirty_for_all(struct kunit *test)
{
	struct cmem_pool *pool = cmem_pool_test_create(test, 3);

	cmem_pool_take_all(test, pool);
	cmem_pool_put(pool, 0, TAG_A);
	cmem_pool_scrub_all(test, pool);
	cmem_pool_put(pool, 1, TAG_A);
	cmem_pool_age(pool);
	cmem_pool_put(pool, 2, TAG_A);
	cmem_pool_expect_free(test, pool, 1, 2, 0);

	/* One is clean, one A's for a long time and one A's only recently. */
	cmem_pool_soil(pool);
	cmem_pool_expect_free(test, pool, 0, 3, 0);
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_DIRTY, 1);
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_DIRTY, 0);
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_DIRTY, 2);
	/* Held slots are not touched. */
	cmem_pool_soil(pool);
	cmem_pool_expect_none(test, pool, -ENOMEM);
}

static void cmem_pool_withdraws_from_any_list(struct kunit *test)
{
	struct cmem_pool *pool = cmem_pool_test_create(test, 7);
	u32 i;

	cmem_pool_take_all(test, pool);
	for (i = 0; i < 3; i++)
		cmem_pool_put(pool, i, TAG_A);
	cmem_pool_scrub_all(test, pool);
	cmem_pool_put(pool, 3, TAG_A);
	cmem_pool_put(pool, 4, TAG_A);
	cmem_pool_age(pool);
	cmem_pool_put(pool, 5, TAG_A);
	cmem_pool_put(pool, 6, TAG_A);
	cmem_pool_expect_free(test, pool, 3, 4, 0);

	/* the last clean one; the next one goes behind it */
	cmem_pool_withdraw(pool, 0);
	cmem_pool_expect_free(test, pool, 2, 4, 0);
	/* one each of the old and the young dirty ones */
	cmem_pool_withdraw(pool, 3);
	cmem_pool_withdraw(pool, 6);
	cmem_pool_expect_free(test, pool, 2, 2, 0);
	cmem_pool_scrub_all(test, pool);
	cmem_pool_scrub_all(test, pool);
	cmem_pool_expect_free(test, pool, 4, 0, 0);
	cmem_pool_expect_take(test, pool, TAG_B, CMEM_TAKEN_READY, 2);
	cmem_pool_expect_take(test, pool, TAG_B, CMEM_TAKEN_READY, 1);
	cmem_pool_expect_take(test, pool, TAG_B, CMEM_TAKEN_READY, 4);
	/* the only one */
	cmem_pool_withdraw(pool, 5);
	cmem_pool_expect_free(test, pool, 0, 0, 0);
	cmem_pool_expect_none(test, pool, -ENOMEM);
	cmem_pool_put(pool, 2, 0);
	cmem_pool_expect_take(test, pool, TAG_B, CMEM_TAKEN_DIRTY, 2);
}

static void cmem_pool_withdraws_what_nobody_had(struct kunit *test)
{
	struct cmem_pool *pool = kunit_kzalloc(test, sizeof(*pool), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, pool);
	KUNIT_ASSERT_EQ(test, cmem_pool_init(pool, 4, true), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test,
							cmem_pool_test_destroy,
							pool), 0);
	cmem_pool_withdraw(pool, 1);
	cmem_pool_expect_free(test, pool, 0, 3, 0);
	KUNIT_EXPECT_EQ(test, cmem_pool_to_clean(pool), 1);
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_DIRTY, 0);
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_DIRTY, 2);
	cmem_pool_withdraw(pool, 3);
	cmem_pool_expect_none(test, pool, -ENOMEM);
	KUNIT_EXPECT_EQ(test, cmem_pool_to_clean(pool), 0);
}

static void cmem_pool_waits_only_for_the_last_ones(struct kunit *test)
{
	struct cmem_pool *pool = cmem_pool_test_create(test, 2);

	KUNIT_ASSERT_EQ(test, cmem_pool_scrub_begin(pool), 0);
	/* A dirty one is better than waiting for one in cleaning. */
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_DIRTY, 1);
	cmem_pool_expect_none(test, pool, -EAGAIN);
	cmem_pool_expect_free(test, pool, 0, 0, 1);
	cmem_pool_scrub_end(pool, 0, true);
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_READY, 0);
	cmem_pool_expect_none(test, pool, -ENOMEM);
}

static void cmem_pool_ages_in_two_steps(struct kunit *test)
{
	struct cmem_pool *pool = cmem_pool_test_create(test, 3);

	cmem_pool_take_all(test, pool);
	cmem_pool_put(pool, 0, TAG_A);
	/* Slots freed just now are left for their owner. */
	KUNIT_EXPECT_EQ(test, cmem_pool_scrub_begin(pool), CMEM_SLOT_NONE);
	cmem_pool_age(pool);
	cmem_pool_put(pool, 1, TAG_A);
	/* Slot 0 still waits, so slot 1 does not age yet. */
	cmem_pool_age(pool);
	KUNIT_EXPECT_EQ(test, cmem_pool_scrub_begin(pool), 0);
	KUNIT_EXPECT_EQ(test, cmem_pool_scrub_begin(pool), CMEM_SLOT_NONE);
	cmem_pool_age(pool);
	KUNIT_EXPECT_EQ(test, cmem_pool_scrub_begin(pool), 1);
	cmem_pool_expect_free(test, pool, 0, 0, 2);
	/* Cleaning may end in any order. */
	cmem_pool_scrub_end(pool, 1, true);
	cmem_pool_scrub_end(pool, 0, true);
	cmem_pool_age(pool);
	KUNIT_EXPECT_EQ(test, cmem_pool_scrub_begin(pool), CMEM_SLOT_NONE);
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_READY, 1);
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_READY, 0);
}

static void cmem_pool_cancelled_scrub_leaves_the_owner(struct kunit *test)
{
	struct cmem_pool *pool = cmem_pool_test_create(test, 2);

	cmem_pool_take_all(test, pool);
	cmem_pool_put(pool, 0, TAG_A);
	cmem_pool_age(pool);
	KUNIT_ASSERT_EQ(test, cmem_pool_scrub_begin(pool), 0);
	cmem_pool_expect_none(test, pool, -EAGAIN);
	cmem_pool_scrub_end(pool, 0, false);
	cmem_pool_expect_free(test, pool, 0, 1, 0);
	cmem_pool_expect_take(test, pool, TAG_A, CMEM_TAKEN_READY, 0);

	cmem_pool_put(pool, 0, TAG_A);
	cmem_pool_age(pool);
	KUNIT_ASSERT_EQ(test, cmem_pool_scrub_begin(pool), 0);
	cmem_pool_scrub_end(pool, 0, false);
	cmem_pool_expect_take(test, pool, TAG_B, CMEM_TAKEN_DIRTY, 0);
}

/* Never-used slots are taken last, and never cleaned in the background. */
static void cmem_pool_leaves_untouched_slots_alone(struct kunit *test)
{
	struct cmem_pool pool;
	u32 index;

	KUNIT_ASSERT_EQ(test, cmem_pool_init(&pool, 3, true), 0);
	cmem_pool_age(&pool);
	KUNIT_EXPECT_EQ(test, cmem_pool_scrub_begin(&pool), CMEM_SLOT_NONE);
	KUNIT_EXPECT_EQ(test, cmem_pool_free(&pool), 3);
	KUNIT_EXPECT_EQ(test, pool.num_dirty, 3);
	KUNIT_EXPECT_EQ(test, cmem_pool_to_clean(&pool), 0);

	KUNIT_ASSERT_EQ(test, cmem_pool_take(&pool, 5, &index), CMEM_TAKEN_DIRTY);
	KUNIT_EXPECT_EQ(test, index, 0);
	cmem_pool_put(&pool, index, 5);
	KUNIT_EXPECT_EQ(test, cmem_pool_to_clean(&pool), 1);

	/* Another owner gets the same slot, not a never-used one. */
	KUNIT_ASSERT_EQ(test, cmem_pool_take(&pool, 7, &index), CMEM_TAKEN_DIRTY);
	KUNIT_EXPECT_EQ(test, index, 0);
	cmem_pool_put(&pool, index, 7);
	cmem_pool_age(&pool);
	KUNIT_EXPECT_EQ(test, cmem_pool_scrub_begin(&pool), 0);
	cmem_pool_scrub_end(&pool, 0, true);
	cmem_pool_age(&pool);
	KUNIT_EXPECT_EQ(test, cmem_pool_scrub_begin(&pool), CMEM_SLOT_NONE);
	KUNIT_EXPECT_EQ(test, pool.num_clean, 1);
	KUNIT_EXPECT_EQ(test, pool.num_dirty, 2);

	KUNIT_EXPECT_EQ(test, cmem_pool_take(&pool, 5, &index), CMEM_TAKEN_READY);
	KUNIT_EXPECT_EQ(test, index, 0);
	KUNIT_EXPECT_EQ(test, cmem_pool_take(&pool, 5, &index), CMEM_TAKEN_DIRTY);
	KUNIT_EXPECT_EQ(test, index, 1);
	KUNIT_EXPECT_EQ(test, cmem_pool_take(&pool, 5, &index), CMEM_TAKEN_DIRTY);
	KUNIT_EXPECT_EQ(test, index, 2);
	KUNIT_EXPECT_EQ(test, cmem_pool_take(&pool, 5, &index), -ENOMEM);
	KUNIT_EXPECT_EQ(test, cmem_pool_to_clean(&pool), 0);
	cmem_pool_destroy(&pool);
}

static void cmem_pool_destroy_twice(struct kunit *test)
{
	struct cmem_pool pool;

	KUNIT_ASSERT_EQ(test, cmem_pool_init(&pool, 3, false), 0);
	cmem_pool_destroy(&pool);
	KUNIT_EXPECT_NULL(test, pool.slots);
	cmem_pool_destroy(&pool);
}

/*
 * The model: the state of each slot, and since when. It searches dirty slots for the
 * largest time, the slot freed last, and clean slots for the smallest.
 */
#define CMEM_MODEL_SLOTS	37
#define CMEM_MODEL_STEPS	20000

struct cmem_slot_model {
	enum cmem_slot_state state;
	bool aged;
	u64 tag;
	long since;
};

struct cmem_pool_model {
	struct cmem_slot_model slots[CMEM_MODEL_SLOTS];
	long now;
};

static u32 cmem_model_count(const struct cmem_pool_model *model,
			    enum cmem_slot_state state)
{
	u32 i, count = 0;

	for (i = 0; i < CMEM_MODEL_SLOTS; i++)
		count += model->slots[i].state == state;
	return count;
}

static u32 cmem_model_last_dirty(const struct cmem_pool_model *model, bool aged)
{
	u32 i, last = CMEM_SLOT_NONE;

	for (i = 0; i < CMEM_MODEL_SLOTS; i++) {
		const struct cmem_slot_model *slot = &model->slots[i];

		if (slot->state == CMEM_SLOT_DIRTY && slot->aged == aged &&
		    (last == CMEM_SLOT_NONE ||
		     slot->since > model->slots[last].since))
			last = i;
	}
	return last;
}

static u32 cmem_model_first_clean(const struct cmem_pool_model *model)
{
	u32 i, first = CMEM_SLOT_NONE;

	for (i = 0; i < CMEM_MODEL_SLOTS; i++) {
		const struct cmem_slot_model *slot = &model->slots[i];

		if (slot->state == CMEM_SLOT_CLEAN &&
		    (first == CMEM_SLOT_NONE ||
		     slot->since < model->slots[first].since))
			first = i;
	}
	return first;
}

static int cmem_model_take(const struct cmem_pool_model *model, u64 tag,
			   u32 *index)
{
	u32 young = cmem_model_last_dirty(model, false);
	u32 old = cmem_model_last_dirty(model, true);
	u32 clean = cmem_model_first_clean(model);

	if (young != CMEM_SLOT_NONE && model->slots[young].tag == tag)
		*index = young;
	else if (old != CMEM_SLOT_NONE && model->slots[old].tag == tag)
		*index = old;
	else if (clean != CMEM_SLOT_NONE)
		*index = clean;
	else if (old != CMEM_SLOT_NONE || young != CMEM_SLOT_NONE)
		*index = old != CMEM_SLOT_NONE ? old : young;
	else
		return cmem_model_count(model, CMEM_SLOT_SCRUBBING) ? -EAGAIN :
								      -ENOMEM;

	return model->slots[*index].state == CMEM_SLOT_CLEAN ||
	       model->slots[*index].tag == tag ? CMEM_TAKEN_READY :
						 CMEM_TAKEN_DIRTY;
}

/* A random slot in a state, or CMEM_SLOT_NONE */
static u32 cmem_model_pick(const struct cmem_pool_model *model,
			   enum cmem_slot_state state, struct rnd_state *rnd)
{
	u32 i, index = prandom_u32_state(rnd) % CMEM_MODEL_SLOTS;

	for (i = 0; i < CMEM_MODEL_SLOTS; i++) {
		if (model->slots[index].state == state)
			return index;
		index = (index + 1) % CMEM_MODEL_SLOTS;
	}
	return CMEM_SLOT_NONE;
}

static void cmem_model_set(struct cmem_pool_model *model, u32 index,
			   enum cmem_slot_state state, u64 tag)
{
	model->slots[index] = (struct cmem_slot_model) {
		.state = state,
		.tag = tag,
		.since = ++model->now,
	};
}

/* Each list must contain each of its slots once, and end. */
static u32 cmem_pool_list_length(const struct cmem_pool *pool, u32 head,
				 enum cmem_slot_state state)
{
	u32 length = 0;

	for (; head != CMEM_SLOT_NONE; head = pool->slots[head].next) {
		if (pool->slots[head].state != state || length > pool->count)
			return CMEM_SLOT_NONE;
		length++;
	}
	return length;
}

static void cmem_pool_compare(struct kunit *test, const struct cmem_pool *pool,
			      const struct cmem_pool_model *model)
{
	u32 i;

	KUNIT_ASSERT_EQ(test, pool->num_clean,
			cmem_model_count(model, CMEM_SLOT_CLEAN));
	KUNIT_ASSERT_EQ(test, pool->num_dirty,
			cmem_model_count(model, CMEM_SLOT_DIRTY));
	KUNIT_ASSERT_EQ(test, pool->num_scrubbing,
			cmem_model_count(model, CMEM_SLOT_SCRUBBING));
	KUNIT_ASSERT_EQ(test, pool->num_clean,
			cmem_pool_list_length(pool, pool->clean,
					      CMEM_SLOT_CLEAN));
	KUNIT_ASSERT_EQ(test, pool->num_dirty,
			cmem_pool_list_length(pool, pool->young,
					      CMEM_SLOT_DIRTY) +
			cmem_pool_list_length(pool, pool->old,
					      CMEM_SLOT_DIRTY));
	for (i = 0; i < CMEM_MODEL_SLOTS; i++)
		KUNIT_ASSERT_EQ(test, (u32)pool->slots[i].state,
				model->slots[i].state);
}

static void cmem_pool_agrees_with_a_model(struct kunit *test)
{
	struct cmem_pool *pool = cmem_pool_test_create(test, CMEM_MODEL_SLOTS);
	struct cmem_pool_model *model;
	struct rnd_state rnd;
	u32 step, i;

	model = kunit_kzalloc(test, sizeof(*model), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, model);
	/* At boot all are old and dirty, and the first one goes first. */
	for (i = 0; i < CMEM_MODEL_SLOTS; i++) {
		model->slots[i].state = CMEM_SLOT_DIRTY;
		model->slots[i].aged = true;
		model->slots[i].since = -(long)i;
	}
	prandom_seed_state(&rnd, 20240601);

	for (step = 0; step < CMEM_MODEL_STEPS; step++) {
		u32 chance = prandom_u32_state(&rnd) % 100;
		u64 tag = 1 + prandom_u32_state(&rnd) % 3;
		u32 index = CMEM_SLOT_NONE, want = CMEM_SLOT_NONE;
		/* Long phases with more takes than puts, and the reverse */
		u32 takes = step / 500 % 2 ? 50 : 25;
		bool cleaned;

		if (chance < takes) {
			KUNIT_ASSERT_EQ(test, cmem_pool_take(pool, tag, &index),
					cmem_model_take(model, tag, &want));
			KUNIT_ASSERT_EQ(test, index, want);
			if (index != CMEM_SLOT_NONE)
				cmem_model_set(model, index, CMEM_SLOT_TAKEN,
					       tag);
		} else if (chance < 75) {
			index = cmem_model_pick(model, CMEM_SLOT_TAKEN, &rnd);
			if (index == CMEM_SLOT_NONE)
				continue;
			if (!(prandom_u32_state(&rnd) % 4))
				tag = 0;
			cmem_pool_put(pool, index, tag);
			cmem_model_set(model, index, CMEM_SLOT_DIRTY, tag);
		} else if (chance < 80) {
			cmem_pool_age(pool);
			if (cmem_model_last_dirty(model, true) !=
			    CMEM_SLOT_NONE)
				continue;
			for (i = 0; i < CMEM_MODEL_SLOTS; i++)
				if (model->slots[i].state == CMEM_SLOT_DIRTY)
					model->slots[i].aged = true;
		} else if (chance < 90) {
			index = cmem_pool_scrub_begin(pool);
			KUNIT_ASSERT_EQ(test, index,
					cmem_model_last_dirty(model, true));
			if (index != CMEM_SLOT_NONE)
				cmem_model_set(model, index,
					       CMEM_SLOT_SCRUBBING,
					       model->slots[index].tag);
		} else {
			index = cmem_model_pick(model, CMEM_SLOT_SCRUBBING,
						&rnd);
			if (index == CMEM_SLOT_NONE)
				continue;
			cleaned = prandom_u32_state(&rnd) % 4;
			cmem_pool_scrub_end(pool, index, cleaned);
			cmem_model_set(model, index,
				       cleaned ? CMEM_SLOT_CLEAN :
						 CMEM_SLOT_DIRTY,
				       cleaned ? 0 : model->slots[index].tag);
		}
		cmem_pool_compare(test, pool, model);
	}
}

static struct kunit_case cmem_pool_cases[] = {
	KUNIT_CASE(cmem_pool_rejects_impossible_counts),
	KUNIT_CASE(cmem_pool_starts_dirty),
	KUNIT_CASE(cmem_pool_scrubs_boot_contents_at_once),
	KUNIT_CASE(cmem_pool_hands_out_clean_slots_in_order),
	KUNIT_CASE(cmem_pool_of_one),
	KUNIT_CASE(cmem_pool_prefers_own_young_old_clean_dirty),
	KUNIT_CASE(cmem_pool_gives_own_slots_back_last_first),
	KUNIT_CASE(cmem_pool_compares_all_of_a_tag),
	KUNIT_CASE(cmem_pool_put_for_nobody_is_dirty_for_all),
	KUNIT_CASE(cmem_pool_cleaned_slot_is_nobodys),
	KUNIT_CASE(cmem_pool_soiled_is_dirty_for_all),
	KUNIT_CASE(cmem_pool_withdraws_from_any_list),
	KUNIT_CASE(cmem_pool_withdraws_what_nobody_had),
	KUNIT_CASE(cmem_pool_waits_only_for_the_last_ones),
	KUNIT_CASE(cmem_pool_ages_in_two_steps),
	KUNIT_CASE(cmem_pool_cancelled_scrub_leaves_the_owner),
	KUNIT_CASE(cmem_pool_leaves_untouched_slots_alone),
	KUNIT_CASE(cmem_pool_destroy_twice),
	KUNIT_CASE(cmem_pool_agrees_with_a_model),
	{}
};

static struct kunit_suite cmem_pool_suite = {
	.name = "cmem_pool",
	.test_cases = cmem_pool_cases,
};

kunit_test_suite(cmem_pool_suite);
