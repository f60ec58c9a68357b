// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of heap bookkeeping.
 *
 * The last test is the strictest: it applies thousands of random operations to a
 * heap and to a model with one entry per page, and searches the entries for the
 * correct result.
 */
#include <linux/align.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/prandom.h>
#include <linux/sizes.h>

#include "cmem.h"
#include "heap.h"
#include "kunit.h"

#define TAG_A	0xaull
#define TAG_B	0xbull

/* From this size on, a heap prefers ranges that huge pages can map. */
#define HUGE_PAGES	((unsigned long)SZ_2M >> PAGE_SHIFT)

/**
 * struct cmem_heap_test - a heap like a block's
 * @lock: held around all calls of the heap
 * @heap: the heap
 */
struct cmem_heap_test {
	struct mutex lock;
	struct cmem_heap heap;
};

/* Represents a user's buffer: it is compared, never accessed. */
static u64 cmem_heap_test_user;

static void cmem_heap_test_destroy(void *data)
{
	struct cmem_heap_test *t = data;

	mutex_lock(&t->lock);
	cmem_heap_destroy(&t->heap);
	mutex_unlock(&t->lock);
}

static struct cmem_heap_test *cmem_heap_test_init(struct kunit *test,
						  unsigned long base_pfn,
						  unsigned long num_pages)
{
	struct cmem_heap_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	mutex_init(&t->lock);
	mutex_lock(&t->lock);
	cmem_heap_init(&t->heap, base_pfn, num_pages, &t->lock);
	mutex_unlock(&t->lock);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test,
							cmem_heap_test_destroy,
							t), 0);
	return t;
}

static int cmem_heap_test_reserve(struct cmem_heap_test *t, unsigned long start,
				  unsigned long pages)
{
	int ret;

	mutex_lock(&t->lock);
	ret = cmem_heap_reserve(&t->heap, start, pages);
	mutex_unlock(&t->lock);
	return ret;
}

static int cmem_heap_test_open(struct cmem_heap_test *t)
{
	int ret;

	mutex_lock(&t->lock);
	ret = cmem_heap_open(&t->heap, false);
	mutex_unlock(&t->lock);
	return ret;
}

static int cmem_heap_test_take(struct cmem_heap_test *t, unsigned long pages,
			       unsigned long align, u64 tag, void *user,
			       unsigned long *start)
{
	int ret;

	mutex_lock(&t->lock);
	ret = cmem_heap_take(&t->heap, pages, align, tag, user, start);
	mutex_unlock(&t->lock);
	return ret;
}

static void cmem_heap_test_put(struct cmem_heap_test *t, unsigned long start,
			       unsigned long pages, u64 tag)
{
	mutex_lock(&t->lock);
	cmem_heap_put(&t->heap, start, pages, tag);
	mutex_unlock(&t->lock);
}

static void *cmem_heap_test_find(struct cmem_heap_test *t, unsigned long page)
{
	void *user;

	mutex_lock(&t->lock);
	user = cmem_heap_find(&t->heap, page);
	mutex_unlock(&t->lock);
	return user;
}

static void cmem_heap_test_age(struct cmem_heap_test *t)
{
	mutex_lock(&t->lock);
	cmem_heap_age(&t->heap);
	mutex_unlock(&t->lock);
}

static bool cmem_heap_test_has_old(struct cmem_heap_test *t)
{
	bool old;

	mutex_lock(&t->lock);
	old = cmem_heap_has_old(&t->heap);
	mutex_unlock(&t->lock);
	return old;
}

static long cmem_heap_test_scrub_begin(struct cmem_heap_test *t,
				       unsigned long max, unsigned long *start)
{
	long pages;

	mutex_lock(&t->lock);
	pages = cmem_heap_scrub_begin(&t->heap, max, start);
	mutex_unlock(&t->lock);
	return pages;
}

static void cmem_heap_test_scrub_end(struct cmem_heap_test *t,
				     unsigned long start, unsigned long pages,
				     bool cleaned)
{
	mutex_lock(&t->lock);
	cmem_heap_scrub_end(&t->heap, start, pages, cleaned);
	mutex_unlock(&t->lock);
}

static unsigned long cmem_heap_test_largest(struct cmem_heap_test *t)
{
	unsigned long largest;

	mutex_lock(&t->lock);
	largest = cmem_heap_largest(&t->heap);
	mutex_unlock(&t->lock);
	return largest;
}

static void cmem_heap_expect_free(struct kunit *test, struct cmem_heap_test *t,
				  unsigned long clean, unsigned long dirty,
				  unsigned long scrubbing)
{
	KUNIT_EXPECT_EQ(test, t->heap.free, clean + dirty + scrubbing);
	KUNIT_EXPECT_EQ(test, t->heap.dirty, dirty);
	KUNIT_EXPECT_EQ(test, t->heap.scrubbing, scrubbing);
}

static void cmem_heap_expect_take(struct kunit *test, struct cmem_heap_test *t,
				  unsigned long pages, unsigned long align,
				  u64 tag, int state, unsigned long start)
{
	unsigned long free = t->heap.free;
	unsigned long got = ULONG_MAX;

	KUNIT_EXPECT_EQ(test,
			cmem_heap_test_take(t, pages, align, tag,
					    &cmem_heap_test_user, &got), state);
	KUNIT_EXPECT_EQ(test, got, start);
	KUNIT_EXPECT_EQ(test, t->heap.free, free - pages);
	KUNIT_EXPECT_PTR_EQ(test, cmem_heap_test_find(t, start),
			    (void *)&cmem_heap_test_user);
	KUNIT_EXPECT_PTR_EQ(test, cmem_heap_test_find(t, start + pages - 1),
			    (void *)&cmem_heap_test_user);
}

static void cmem_heap_expect_none(struct kunit *test, struct cmem_heap_test *t,
				  unsigned long pages, unsigned long align,
				  int error)
{
	unsigned long free = t->heap.free, dirty = t->heap.dirty;
	unsigned long start;

	KUNIT_EXPECT_EQ(test,
			cmem_heap_test_take(t, pages, align, TAG_A,
					    &cmem_heap_test_user, &start),
			error);
	KUNIT_EXPECT_EQ(test, t->heap.free, free);
	KUNIT_EXPECT_EQ(test, t->heap.dirty, dirty);
}

static struct cmem_heap_test *cmem_heap_test_dirty(struct kunit *test,
						   unsigned long base_pfn,
						   unsigned long num_pages)
{
	struct cmem_heap_test *t = cmem_heap_test_init(test, base_pfn,
						       num_pages);

	KUNIT_ASSERT_EQ(test, cmem_heap_test_open(t), 0);
	cmem_heap_expect_free(test, t, 0, num_pages, 0);
	return t;
}

/* Request pages to clean until there are some: the search sometimes pauses. */
static unsigned long cmem_heap_find_dirty(struct kunit *test,
					  struct cmem_heap_test *t,
					  unsigned long max,
					  unsigned long *start)
{
	long pages = 0;
	int calls;

	for (calls = 0; !pages && calls < 100; calls++)
		pages = cmem_heap_test_scrub_begin(t, max, start);
	KUNIT_ASSERT_GT(test, pages, 0);
	return pages;
}

static void cmem_heap_scrub_all(struct kunit *test, struct cmem_heap_test *t)
{
	unsigned long start, pages;

	cmem_heap_test_age(t);
	while (cmem_heap_test_has_old(t)) {
		pages = cmem_heap_find_dirty(test, t, ULONG_MAX, &start);
		cmem_heap_test_scrub_end(t, start, pages, true);
	}
	KUNIT_ASSERT_EQ(test, t->heap.dirty, 0);
}

static struct cmem_heap_test *cmem_heap_test_clean(struct kunit *test,
						   unsigned long base_pfn,
						   unsigned long num_pages)
{
	struct cmem_heap_test *t = cmem_heap_test_dirty(test, base_pfn,
							num_pages);

	cmem_heap_scrub_all(test, t);
	cmem_heap_expect_free(test, t, num_pages, 0, 0);
	return t;
}

/* A heap with all pages allocated, one by one */
static struct cmem_heap_test *cmem_heap_test_full(struct kunit *test,
						  unsigned long base_pfn,
						  unsigned long num_pages)
{
	struct cmem_heap_test *t = cmem_heap_test_clean(test, base_pfn,
							num_pages);
	unsigned long i;

	for (i = 0; i < num_pages; i++)
		cmem_heap_expect_take(test, t, 1, 1, TAG_A, CMEM_TAKEN_READY,
				      i);
	cmem_heap_expect_free(test, t, 0, 0, 0);
	return t;
}

static void cmem_heap_starts_dirty(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_dirty(test, 0x80000, 16);

	KUNIT_EXPECT_EQ(test, t->heap.size, 16);
	KUNIT_EXPECT_EQ(test, cmem_heap_test_largest(t), 16);
	KUNIT_EXPECT_TRUE(test, cmem_heap_test_has_old(t));
	cmem_heap_expect_take(test, t, 5, 1, TAG_A, CMEM_TAKEN_DIRTY, 0);
	cmem_heap_expect_free(test, t, 0, 11, 0);
	cmem_heap_expect_take(test, t, 11, 1, TAG_A, CMEM_TAKEN_DIRTY, 5);
	cmem_heap_expect_free(test, t, 0, 0, 0);
	cmem_heap_expect_none(test, t, 1, 1, -ENOMEM);
}

static void cmem_heap_is_what_pools_leave(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_init(test, 0, 20);
	unsigned long page;

	KUNIT_ASSERT_EQ(test, cmem_heap_test_reserve(t, 0, 4), 0);
	KUNIT_ASSERT_EQ(test, cmem_heap_test_reserve(t, 4, 1), 0);
	KUNIT_ASSERT_EQ(test, cmem_heap_test_reserve(t, 10, 2), 0);
	KUNIT_ASSERT_EQ(test, cmem_heap_test_reserve(t, 19, 1), 0);
	KUNIT_ASSERT_EQ(test, cmem_heap_test_open(t), 0);

	KUNIT_EXPECT_EQ(test, t->heap.size, 12);
	cmem_heap_expect_free(test, t, 0, 12, 0);
	KUNIT_EXPECT_EQ(test, cmem_heap_test_largest(t), 7);
	for (page = 0; page < 20; page++)
		KUNIT_EXPECT_NULL(test, cmem_heap_test_find(t, page));

	cmem_heap_scrub_all(test, t);
	KUNIT_EXPECT_EQ(test, cmem_heap_test_largest(t), 7);
	cmem_heap_expect_none(test, t, 8, 1, -ENOMEM);
	cmem_heap_expect_take(test, t, 6, 1, TAG_A, CMEM_TAKEN_READY, 12);
	cmem_heap_expect_take(test, t, 5, 1, TAG_A, CMEM_TAKEN_READY, 5);
	cmem_heap_expect_take(test, t, 1, 1, TAG_A, CMEM_TAKEN_READY, 18);
	cmem_heap_expect_none(test, t, 1, 1, -ENOMEM);
}

static void cmem_heap_without_pages(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_init(test, 0x1000, 64);
	unsigned long start;

	KUNIT_ASSERT_EQ(test, cmem_heap_test_reserve(t, 0, 32), 0);
	KUNIT_ASSERT_EQ(test, cmem_heap_test_reserve(t, 32, 32), 0);
	KUNIT_ASSERT_EQ(test, cmem_heap_test_open(t), 0);
	KUNIT_EXPECT_EQ(test, t->heap.size, 0);
	cmem_heap_expect_free(test, t, 0, 0, 0);
	cmem_heap_expect_none(test, t, 1, 1, -ENOMEM);
	KUNIT_EXPECT_EQ(test, cmem_heap_test_largest(t), 0);
	cmem_heap_test_age(t);
	KUNIT_EXPECT_FALSE(test, cmem_heap_test_has_old(t));
	KUNIT_EXPECT_EQ(test, cmem_heap_test_scrub_begin(t, 1, &start), 0);
}

static void cmem_heap_of_one_page(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_clean(test, 0x1001, 1);

	cmem_heap_expect_none(test, t, 1, 2, -ENOMEM);
	cmem_heap_expect_none(test, t, 2, 1, -ENOMEM);
	cmem_heap_expect_take(test, t, 1, 1, TAG_A, CMEM_TAKEN_READY, 0);
	cmem_heap_expect_none(test, t, 1, 1, -ENOMEM);
	cmem_heap_test_put(t, 0, 1, TAG_A);
	KUNIT_EXPECT_NULL(test, cmem_heap_test_find(t, 0));
	cmem_heap_expect_take(test, t, 1, 1, TAG_B, CMEM_TAKEN_DIRTY, 0);
}

static void cmem_heap_finds_the_user_of_each_page(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_clean(test, 0, 100);
	unsigned long start, page;
	static u32 users[3];
	int i;

	for (i = 0; i < 3; i++) {
		KUNIT_ASSERT_EQ(test, cmem_heap_test_take(t, 30, 1, TAG_A,
							  &users[i], &start),
				CMEM_TAKEN_READY);
		KUNIT_ASSERT_EQ(test, start, 30 * i);
	}
	for (page = 0; page < 90; page++)
		KUNIT_EXPECT_PTR_EQ(test, cmem_heap_test_find(t, page),
				    (void *)&users[page / 30]);
	KUNIT_EXPECT_NULL(test, cmem_heap_test_find(t, 90));
	KUNIT_EXPECT_NULL(test, cmem_heap_test_find(t, 99));
	KUNIT_EXPECT_NULL(test, cmem_heap_test_find(t, 100));
	KUNIT_EXPECT_NULL(test, cmem_heap_test_find(t, ULONG_MAX));

	cmem_heap_test_put(t, 30, 30, TAG_A);
	for (page = 0; page < 90; page++)
		KUNIT_EXPECT_PTR_EQ(test, cmem_heap_test_find(t, page),
				    page / 30 == 1 ? NULL :
						     (void *)&users[page / 30]);
}

/* Page frame numbers are aligned, not offsets in a block. */
static void cmem_heap_aligns_page_frames(struct kunit *test)
{
	static const unsigned long bases[] = { 0, 1, 7, 0x80000, 0xbadb5 };
	unsigned long align, start;
	int i, clean;

	for (i = 0; i < ARRAY_SIZE(bases); i++) {
		for (clean = 0; clean < 2; clean++) {
			struct cmem_heap_test *t;

			t = clean ? cmem_heap_test_clean(test, bases[i], 700) :
				    cmem_heap_test_dirty(test, bases[i], 700);
			for (align = 1; align <= 128; align *= 2) {
				KUNIT_ASSERT_EQ(test,
						cmem_heap_test_take(t, 3, align,
								    TAG_A,
								    &cmem_heap_test_user,
								    &start),
						clean ? CMEM_TAKEN_READY :
							CMEM_TAKEN_DIRTY);
				KUNIT_EXPECT_TRUE(test,
						  IS_ALIGNED(bases[i] + start,
							     align));
			}
		}
	}
}

/* No hole is long enough for any alignment, but one happens to start aligned. */
static void cmem_heap_finds_the_hole_that_fits(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_full(test, 1, 64);
	int clean;

	for (clean = 1; clean >= 0; clean--) {
		cmem_heap_test_put(t, 20, 10, TAG_B);	/* frames 21 .. 30 */
		cmem_heap_test_put(t, 39, 8, TAG_B);	/* frames 40 .. 47 */
		cmem_heap_test_put(t, 50, 4, TAG_B);	/* frames 51 .. 54 */
		if (clean)
			cmem_heap_scrub_all(test, t);
		cmem_heap_expect_take(test, t, 8, 8, TAG_A,
				      clean ? CMEM_TAKEN_READY :
					      CMEM_TAKEN_DIRTY, 39);
		cmem_heap_expect_none(test, t, 8, 8, -ENOMEM);
		cmem_heap_expect_take(test, t, 4, 4, TAG_A,
				      clean ? CMEM_TAKEN_READY :
					      CMEM_TAKEN_DIRTY, 23);
		cmem_heap_expect_none(test, t, 4, 4, -ENOMEM);
		cmem_heap_expect_take(test, t, 4, 1, TAG_A,
				      clean ? CMEM_TAKEN_READY :
					      CMEM_TAKEN_DIRTY, 50);
		cmem_heap_expect_take(test, t, 3, 1, TAG_A,
				      clean ? CMEM_TAKEN_READY :
					      CMEM_TAKEN_DIRTY, 20);
		cmem_heap_expect_take(test, t, 3, 1, TAG_A,
				      clean ? CMEM_TAKEN_READY :
					      CMEM_TAKEN_DIRTY, 27);
		cmem_heap_expect_free(test, t, 0, 0, 0);
	}
}

static void cmem_heap_prefers_own_clean_dirty(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_full(test, 0, 12);

	cmem_heap_test_put(t, 8, 2, TAG_B);
	cmem_heap_scrub_all(test, t);
	cmem_heap_test_put(t, 0, 2, TAG_B);
	cmem_heap_test_put(t, 4, 2, TAG_A);
	cmem_heap_expect_free(test, t, 2, 4, 0);

	cmem_heap_expect_take(test, t, 2, 1, TAG_A, CMEM_TAKEN_READY, 4);
	cmem_heap_expect_take(test, t, 2, 1, TAG_A, CMEM_TAKEN_READY, 8);
	cmem_heap_expect_take(test, t, 2, 1, TAG_A, CMEM_TAKEN_DIRTY, 0);
}

static void cmem_heap_gives_own_pages_back(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_clean(test, 0x80001, 32);

	cmem_heap_expect_take(test, t, 10, 1, TAG_A, CMEM_TAKEN_READY, 0);
	cmem_heap_test_put(t, 0, 10, TAG_A);
	/* bit by bit */
	cmem_heap_expect_take(test, t, 3, 1, TAG_A, CMEM_TAKEN_READY, 0);
	cmem_heap_expect_take(test, t, 7, 1, TAG_A, CMEM_TAKEN_READY, 3);
	cmem_heap_expect_free(test, t, 22, 0, 0);

	/* not for another owner, while there are clean ones */
	cmem_heap_test_put(t, 0, 3, TAG_A);
	cmem_heap_expect_take(test, t, 3, 1, TAG_B, CMEM_TAKEN_READY, 10);
	/* not if the alignment is wrong: the next even frame is page 13 */
	cmem_heap_expect_take(test, t, 3, 2, TAG_A, CMEM_TAKEN_READY, 13);
	/* not if A freed fewer pages */
	cmem_heap_expect_take(test, t, 4, 1, TAG_A, CMEM_TAKEN_READY, 16);
	cmem_heap_expect_take(test, t, 3, 1, TAG_A, CMEM_TAKEN_READY, 0);
}

static void cmem_heap_forgets_who_had_what_others_took(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_dirty(test, 0, 8);

	cmem_heap_expect_take(test, t, 8, 1, TAG_A, CMEM_TAKEN_DIRTY, 0);
	cmem_heap_test_put(t, 0, 8, TAG_A);
	cmem_heap_expect_take(test, t, 4, 1, TAG_B, CMEM_TAKEN_DIRTY, 0);
	cmem_heap_expect_none(test, t, 8, 1, -ENOMEM);
	/* the other half still belongs to A */
	cmem_heap_expect_take(test, t, 4, 1, TAG_A, CMEM_TAKEN_READY, 4);
	/* pages that B freed without a tag are dirty for all */
	cmem_heap_test_put(t, 0, 4, 0);
	cmem_heap_expect_take(test, t, 4, 1, TAG_B, CMEM_TAKEN_DIRTY, 0);
}

static void cmem_heap_soiled_is_dirty_for_all(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_clean(test, 0, 16);
	int ret;

	cmem_heap_expect_take(test, t, 4, 1, TAG_A, CMEM_TAKEN_READY, 0);
	cmem_heap_expect_take(test, t, 4, 1, TAG_B, CMEM_TAKEN_READY, 4);
	cmem_heap_test_put(t, 0, 4, TAG_A);
	cmem_heap_expect_free(test, t, 8, 4, 0);

	mutex_lock(&t->lock);
	ret = cmem_heap_soil(&t->heap);
	mutex_unlock(&t->lock);
	KUNIT_ASSERT_EQ(test, ret, 0);
	cmem_heap_expect_free(test, t, 0, 12, 0);
	/* held pages are not touched, and A's pages no longer belong to A */
	KUNIT_EXPECT_PTR_EQ(test, cmem_heap_test_find(t, 5),
			    (void *)&cmem_heap_test_user);
	cmem_heap_expect_take(test, t, 4, 1, TAG_A, CMEM_TAKEN_DIRTY, 0);
	cmem_heap_expect_take(test, t, 8, 1, TAG_A, CMEM_TAKEN_DIRTY, 8);
}

static void cmem_heap_test_withdraw(struct cmem_heap_test *t,
				    unsigned long page)
{
	mutex_lock(&t->lock);
	cmem_heap_withdraw(&t->heap, page, &cmem_heap_test_user);
	mutex_unlock(&t->lock);
}

static void cmem_heap_withdraws_single_pages(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_clean(test, 0, 16);

	cmem_heap_expect_take(test, t, 8, 1, TAG_A, CMEM_TAKEN_READY, 0);
	cmem_heap_test_put(t, 0, 8, TAG_A);
	cmem_heap_expect_free(test, t, 8, 8, 0);

	/* a clean page, and one in the middle of A's freed pages */
	cmem_heap_test_withdraw(t, 12);
	cmem_heap_expect_free(test, t, 7, 8, 0);
	cmem_heap_test_withdraw(t, 4);
	cmem_heap_expect_free(test, t, 7, 7, 0);
	KUNIT_EXPECT_PTR_EQ(test, cmem_heap_test_find(t, 4),
			    (void *)&cmem_heap_test_user);
	KUNIT_EXPECT_EQ(test, cmem_heap_test_largest(t), 7);
	/* the rest still belongs to A, and the page itself is not allocated */
	cmem_heap_expect_take(test, t, 7, 1, TAG_B, CMEM_TAKEN_DIRTY, 5);
	cmem_heap_expect_take(test, t, 4, 1, TAG_A, CMEM_TAKEN_READY, 0);
	cmem_heap_expect_none(test, t, 4, 1, -ENOMEM);
	cmem_heap_expect_take(test, t, 3, 1, TAG_A, CMEM_TAKEN_READY, 13);
}

static void cmem_heap_takes_dirty_and_clean_together(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_clean(test, 0, 8);

	cmem_heap_expect_take(test, t, 4, 1, TAG_A, CMEM_TAKEN_READY, 0);
	cmem_heap_test_put(t, 0, 4, TAG_A);
	cmem_heap_expect_free(test, t, 4, 4, 0);
	/* all its dirty pages are A's */
	cmem_heap_expect_take(test, t, 8, 1, TAG_A, CMEM_TAKEN_READY, 0);
	cmem_heap_expect_free(test, t, 0, 0, 0);

	cmem_heap_test_put(t, 0, 8, TAG_A);
	cmem_heap_scrub_all(test, t);
	cmem_heap_expect_take(test, t, 4, 1, TAG_A, CMEM_TAKEN_READY, 0);
	cmem_heap_test_put(t, 0, 4, TAG_A);
	/* none is B's */
	cmem_heap_expect_take(test, t, 8, 1, TAG_B, CMEM_TAKEN_DIRTY, 0);

	/* some is not A's */
	cmem_heap_test_put(t, 0, 4, TAG_A);
	cmem_heap_test_put(t, 4, 4, TAG_B);
	cmem_heap_expect_take(test, t, 8, 1, TAG_A, CMEM_TAKEN_DIRTY, 0);
	cmem_heap_expect_free(test, t, 0, 0, 0);
}

/* If a tag can't be kept in full, it must not match another one. */
static void cmem_heap_compares_all_of_a_tag(struct kunit *test)
{
	static const u64 bits[] = { 1ull << 31, 1ull << 32, 1ull << 62,
				    1ull << 63 };
	int i;

	for (i = 0; i < ARRAY_SIZE(bits); i++) {
		struct cmem_heap_test *t = cmem_heap_test_full(test, 0, 4);

		cmem_heap_test_put(t, 0, 2, TAG_A | bits[i]);
		cmem_heap_test_put(t, 2, 1, TAG_A | bits[i]);
		cmem_heap_expect_take(test, t, 1, 1, TAG_A, CMEM_TAKEN_DIRTY,
				      0);
		cmem_heap_expect_take(test, t, 1, 1, TAG_A | bits[i],
				      CMEM_TAKEN_READY, 2);
	}
}

static void cmem_heap_prefers_huge_page_boundaries(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_clean(test, 3,
							4 * HUGE_PAGES);

	/* one page less is too short for a huge page anyway */
	cmem_heap_expect_take(test, t, HUGE_PAGES - 1, 1, TAG_B,
			      CMEM_TAKEN_READY, 0);
	cmem_heap_test_put(t, 0, HUGE_PAGES - 1, 0);
	cmem_heap_scrub_all(test, t);

	cmem_heap_expect_take(test, t, HUGE_PAGES, 1, TAG_A, CMEM_TAKEN_READY,
			      HUGE_PAGES - 3);
	cmem_heap_expect_take(test, t, HUGE_PAGES + 1, 1, TAG_A,
			      CMEM_TAKEN_READY, 2 * HUGE_PAGES - 3);
	/* an aligned dirty run is better than an unaligned clean one */
	cmem_heap_test_put(t, HUGE_PAGES - 3, HUGE_PAGES, TAG_A);
	cmem_heap_expect_take(test, t, HUGE_PAGES, 1, TAG_B, CMEM_TAKEN_DIRTY,
			      HUGE_PAGES - 3);
	cmem_heap_expect_take(test, t, HUGE_PAGES, 1, TAG_B, CMEM_TAKEN_READY,
			      3 * HUGE_PAGES - 2);
}

static void cmem_heap_does_without_huge_page_boundaries(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_clean(test, 1,
							HUGE_PAGES +
							HUGE_PAGES / 2);

	cmem_heap_expect_none(test, t, HUGE_PAGES, HUGE_PAGES, -ENOMEM);
	cmem_heap_expect_take(test, t, HUGE_PAGES, 1, TAG_A, CMEM_TAKEN_READY,
			      0);
	cmem_heap_test_put(t, 0, HUGE_PAGES, 0);
	cmem_heap_expect_take(test, t, HUGE_PAGES, 2, TAG_A, CMEM_TAKEN_DIRTY,
			      1);
}

static void cmem_heap_waits_only_if_it_helps(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_dirty(test, 0, 16);
	unsigned long start = ULONG_MAX;

	KUNIT_ASSERT_EQ(test, cmem_heap_test_scrub_begin(t, 6, &start), 6);
	KUNIT_ASSERT_EQ(test, start, 0);
	cmem_heap_expect_free(test, t, 0, 10, 6);
	KUNIT_EXPECT_EQ(test, cmem_heap_test_largest(t), 16);

	cmem_heap_expect_none(test, t, 17, 1, -ENOMEM);
	cmem_heap_expect_none(test, t, 16, 1, -EAGAIN);
	cmem_heap_expect_none(test, t, 11, 1, -EAGAIN);
	/* dirty ones, to avoid waiting */
	cmem_heap_expect_take(test, t, 8, 1, TAG_A, CMEM_TAKEN_DIRTY, 6);
	KUNIT_EXPECT_EQ(test, cmem_heap_test_largest(t), 6);
	/* 8 are free, but never in one run */
	cmem_heap_expect_none(test, t, 7, 1, -ENOMEM);
	cmem_heap_expect_none(test, t, 6, 1, -EAGAIN);
	cmem_heap_expect_none(test, t, 6, 8, -EAGAIN);
	cmem_heap_expect_none(test, t, 3, 4, -EAGAIN);
	/* pages 0 and 16 are aligned; one run is too short, the other outside */
	cmem_heap_expect_none(test, t, 7, 16, -ENOMEM);

	cmem_heap_test_scrub_end(t, 0, 6, true);
	cmem_heap_expect_take(test, t, 6, 1, TAG_A, CMEM_TAKEN_READY, 0);
	cmem_heap_expect_none(test, t, 6, 1, -ENOMEM);
	cmem_heap_expect_free(test, t, 0, 2, 0);
}

static void cmem_heap_joins_what_is_cleaned(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_dirty(test, 0, 12);
	unsigned long start[3];
	int i;

	/* split at @max, from the end of the last run */
	for (i = 0; i < 2; i++) {
		KUNIT_ASSERT_EQ(test,
				cmem_heap_test_scrub_begin(t, 5, &start[i]), 5);
		KUNIT_ASSERT_EQ(test, start[i], 5 * i);
	}
	KUNIT_ASSERT_EQ(test, cmem_heap_test_scrub_begin(t, 5, &start[2]), 2);
	KUNIT_ASSERT_EQ(test, start[2], 10);
	cmem_heap_expect_free(test, t, 0, 0, 12);
	KUNIT_EXPECT_FALSE(test, cmem_heap_test_has_old(t));
	KUNIT_EXPECT_EQ(test, cmem_heap_test_scrub_begin(t, 5, &start[2]), 0);
	for (i = 0; i < 12; i++)
		KUNIT_EXPECT_NULL(test, cmem_heap_test_find(t, i));

	cmem_heap_test_scrub_end(t, 5, 5, true);
	cmem_heap_test_scrub_end(t, 10, 2, true);
	cmem_heap_expect_free(test, t, 7, 0, 5);
	cmem_heap_test_scrub_end(t, 0, 5, true);
	cmem_heap_expect_take(test, t, 12, 1, TAG_A, CMEM_TAKEN_READY, 0);
}

/* Pages that were never allocated are not cleaned in the background. */
static void cmem_heap_leaves_untouched_pages_alone(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_init(test, 0, 16);
	unsigned long start;

	mutex_lock(&t->lock);
	KUNIT_ASSERT_EQ(test, cmem_heap_open(&t->heap, true), 0);
	mutex_unlock(&t->lock);
	cmem_heap_expect_free(test, t, 0, 16, 0);
	KUNIT_EXPECT_FALSE(test, cmem_heap_test_has_old(t));
	KUNIT_EXPECT_EQ(test, cmem_heap_test_scrub_begin(t, 8, &start), 0);

	cmem_heap_expect_take(test, t, 4, 1, TAG_A, CMEM_TAKEN_DIRTY, 0);
	KUNIT_EXPECT_EQ(test, t->heap.untouched, 12);
	cmem_heap_test_put(t, 0, 4, TAG_A);
	KUNIT_EXPECT_FALSE(test, cmem_heap_test_has_old(t));
	cmem_heap_test_age(t);
	KUNIT_EXPECT_TRUE(test, cmem_heap_test_has_old(t));
	KUNIT_ASSERT_EQ(test, cmem_heap_test_scrub_begin(t, 8, &start), 4);
	KUNIT_EXPECT_EQ(test, start, 0);
	cmem_heap_test_scrub_end(t, 0, 4, true);
	KUNIT_EXPECT_FALSE(test, cmem_heap_test_has_old(t));
	cmem_heap_expect_free(test, t, 4, 12, 0);

	/* clean and never-used pages in one buffer */
	cmem_heap_expect_take(test, t, 6, 1, TAG_B, CMEM_TAKEN_DIRTY, 0);
	KUNIT_EXPECT_EQ(test, t->heap.untouched, 10);
	cmem_heap_expect_free(test, t, 0, 10, 0);
	cmem_heap_expect_take(test, t, 10, 1, TAG_B, CMEM_TAKEN_DIRTY, 6);
	KUNIT_EXPECT_EQ(test, t->heap.untouched, 0);
}

static void cmem_heap_soiled_leaves_untouched_pages_alone(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_init(test, 0, 16);
	unsigned long start;
	int ret;

	mutex_lock(&t->lock);
	ret = cmem_heap_open(&t->heap, true);
	mutex_unlock(&t->lock);
	KUNIT_ASSERT_EQ(test, ret, 0);
	cmem_heap_expect_take(test, t, 4, 1, TAG_A, CMEM_TAKEN_DIRTY, 0);
	cmem_heap_test_put(t, 0, 4, TAG_A);

	mutex_lock(&t->lock);
	ret = cmem_heap_soil(&t->heap);
	mutex_unlock(&t->lock);
	KUNIT_ASSERT_EQ(test, ret, 0);
	KUNIT_EXPECT_EQ(test, t->heap.untouched, 12);
	cmem_heap_test_age(t);
	KUNIT_ASSERT_EQ(test, cmem_heap_find_dirty(test, t, 16, &start), 4);
	cmem_heap_test_scrub_end(t, start, 4, true);
	KUNIT_EXPECT_FALSE(test, cmem_heap_test_has_old(t));
	cmem_heap_expect_free(test, t, 4, 12, 0);
}

static void cmem_heap_keeps_what_was_not_cleaned(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_full(test, 0, 4);
	unsigned long start;

	cmem_heap_test_put(t, 1, 2, TAG_A);
	cmem_heap_test_age(t);
	KUNIT_ASSERT_EQ(test, cmem_heap_find_dirty(test, t, 8, &start), 2);
	cmem_heap_expect_none(test, t, 2, 1, -EAGAIN);
	cmem_heap_test_scrub_end(t, start, 2, false);
	cmem_heap_expect_free(test, t, 0, 2, 0);
	/* half of it may be clean: it has no owner any more */
	cmem_heap_expect_take(test, t, 2, 1, TAG_A, CMEM_TAKEN_DIRTY, 1);
}

static void cmem_heap_leaves_the_last_to_its_owner(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_full(test, 0, 8);
	unsigned long start;
	int i;

	cmem_heap_test_put(t, 0, 3, TAG_A);
	KUNIT_EXPECT_FALSE(test, cmem_heap_test_has_old(t));
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, cmem_heap_test_scrub_begin(t, 8, &start),
				0);
	cmem_heap_expect_free(test, t, 0, 3, 0);

	/* it is no longer the last */
	cmem_heap_test_put(t, 3, 2, TAG_A);
	KUNIT_EXPECT_TRUE(test, cmem_heap_test_has_old(t));
	KUNIT_EXPECT_EQ(test, cmem_heap_test_scrub_begin(t, 8, &start), 3);
	KUNIT_EXPECT_EQ(test, start, 0);
	KUNIT_EXPECT_FALSE(test, cmem_heap_test_has_old(t));
	cmem_heap_test_scrub_end(t, 0, 3, true);

	/* the rest of a partly reallocated last run still counts */
	cmem_heap_expect_take(test, t, 1, 1, TAG_A, CMEM_TAKEN_READY, 3);
	KUNIT_EXPECT_FALSE(test, cmem_heap_test_has_old(t));
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, cmem_heap_test_scrub_begin(t, 8, &start),
				0);

	/* once aged, it is like all others */
	cmem_heap_test_age(t);
	KUNIT_EXPECT_TRUE(test, cmem_heap_test_has_old(t));
	KUNIT_EXPECT_EQ(test, cmem_heap_test_scrub_begin(t, 8, &start), 1);
	KUNIT_EXPECT_EQ(test, start, 4);
	KUNIT_EXPECT_FALSE(test, cmem_heap_test_has_old(t));
	cmem_heap_test_scrub_end(t, 4, 1, true);
	cmem_heap_expect_take(test, t, 1, 1, TAG_A, CMEM_TAKEN_READY, 0);
}

static void cmem_heap_search_goes_round(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_full(test, 0, 8);
	unsigned long start;

	cmem_heap_test_put(t, 5, 1, TAG_A);
	cmem_heap_test_age(t);
	KUNIT_ASSERT_EQ(test, cmem_heap_find_dirty(test, t, 1, &start), 1);
	KUNIT_ASSERT_EQ(test, start, 5);
	cmem_heap_test_scrub_end(t, 5, 1, true);
	/* one on each side of the position: the one ahead comes first */
	cmem_heap_test_put(t, 2, 1, TAG_A);
	cmem_heap_test_put(t, 7, 1, TAG_A);
	cmem_heap_test_age(t);
	KUNIT_ASSERT_EQ(test, cmem_heap_test_scrub_begin(t, 1, &start), 1);
	KUNIT_ASSERT_EQ(test, start, 7);
	cmem_heap_test_scrub_end(t, 7, 1, true);
	KUNIT_EXPECT_TRUE(test, cmem_heap_test_has_old(t));
	KUNIT_EXPECT_EQ(test, cmem_heap_test_scrub_begin(t, 1, &start), 0);
	KUNIT_ASSERT_EQ(test, cmem_heap_test_scrub_begin(t, 1, &start), 1);
	KUNIT_ASSERT_EQ(test, start, 2);
	cmem_heap_test_scrub_end(t, 2, 1, true);
}

static void cmem_heap_search_lets_others_in(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_full(test, 0, 3000);
	unsigned long start;
	int calls = 0;
	long pages;

	cmem_heap_scrub_all(test, t);
	cmem_heap_test_put(t, 2999, 1, TAG_A);
	cmem_heap_test_age(t);
	do {
		KUNIT_ASSERT_TRUE(test, cmem_heap_test_has_old(t));
		pages = cmem_heap_test_scrub_begin(t, 1, &start);
		calls++;
	} while (!pages && calls < 3000);
	KUNIT_EXPECT_EQ(test, pages, 1);
	KUNIT_EXPECT_EQ(test, start, 2999);
	/* two calls are enough if one goes all the way */
	KUNIT_EXPECT_GT(test, calls, 2);
	KUNIT_EXPECT_LT(test, calls, 100);
	cmem_heap_test_scrub_end(t, start, 1, true);
}

static void cmem_heap_refuses_absurd_requests(struct kunit *test)
{
	const unsigned long top = 1UL << (BITS_PER_LONG - 1);
	struct cmem_heap_test *t;
	unsigned long align;
	int clean;

	for (clean = 0; clean < 2; clean++) {
		t = clean ? cmem_heap_test_clean(test, 0x80000, 64) :
			    cmem_heap_test_dirty(test, 0x80000, 64);
		cmem_heap_expect_none(test, t, 65, 1, -ENOMEM);
		cmem_heap_expect_none(test, t, top, 1, -ENOMEM);
		cmem_heap_expect_none(test, t, ULONG_MAX, 1, -ENOMEM);
		cmem_heap_expect_none(test, t, ULONG_MAX, top, -ENOMEM);
		cmem_heap_expect_none(test, t, 1, top, -ENOMEM);
		cmem_heap_expect_none(test, t, 64, top, -ENOMEM);
		for (align = 0x100000; align; align *= 2)
			cmem_heap_expect_none(test, t, 2, align, -ENOMEM);
		/* possible, but only just */
		cmem_heap_expect_take(test, t, 64, 0x80000, TAG_A,
				      clean ? CMEM_TAKEN_READY :
					      CMEM_TAKEN_DIRTY, 0);
	}

	/* frame 0 has any alignment */
	t = cmem_heap_test_clean(test, 0, 64);
	cmem_heap_expect_take(test, t, 1, top, TAG_A, CMEM_TAKEN_READY, 0);
	cmem_heap_expect_none(test, t, 1, top, -ENOMEM);
}

/* The last possible page: no sum may wrap around. */
static void cmem_heap_at_the_end_of_addresses(struct kunit *test)
{
	struct cmem_heap_test *t = cmem_heap_test_clean(test, ULONG_MAX - 63,
							64);

	cmem_heap_expect_none(test, t, 1, 128, -ENOMEM);
	cmem_heap_expect_none(test, t, 64, 1UL << (BITS_PER_LONG - 1),
			      -ENOMEM);
	cmem_heap_expect_take(test, t, 32, 64, TAG_A, CMEM_TAKEN_READY, 0);
	cmem_heap_expect_take(test, t, 32, 32, TAG_A, CMEM_TAKEN_READY, 32);
	cmem_heap_expect_none(test, t, 1, 64, -ENOMEM);
}

static void cmem_heap_of_4_tib(struct kunit *test)
{
	const unsigned long pages = 1UL << (42 - PAGE_SHIFT);
	struct cmem_heap_test *t = cmem_heap_test_clean(test, 0x100001, pages);

	KUNIT_EXPECT_EQ(test, cmem_heap_test_largest(t), pages);
	cmem_heap_expect_take(test, t, pages, 1, TAG_A, CMEM_TAKEN_READY, 0);
	KUNIT_EXPECT_EQ(test, cmem_heap_test_largest(t), 0);
	cmem_heap_test_put(t, 0, pages, TAG_A);
	cmem_heap_expect_free(test, t, 0, pages, 0);
	cmem_heap_expect_take(test, t, pages / 2, 1, TAG_B, CMEM_TAKEN_DIRTY,
			      HUGE_PAGES - 1);
	cmem_heap_scrub_all(test, t);
	cmem_heap_expect_none(test, t, pages / 2 + 1, 1, -ENOMEM);
	cmem_heap_expect_take(test, t, pages / 2 - HUGE_PAGES + 1, 1, TAG_A,
			      CMEM_TAKEN_READY, HUGE_PAGES - 1 + pages / 2);
	cmem_heap_expect_take(test, t, HUGE_PAGES - 1, 1, TAG_A,
			      CMEM_TAKEN_READY, 0);
	cmem_heap_expect_free(test, t, 0, 0, 0);
}

/*
 * The model: the state of each page, and its last owner. It tracks the last freed run as
 * the heap does, because the heap guarantees this.
 */
#define CMEM_MODEL_PAGES	(3 * HUGE_PAGES)
#define CMEM_MODEL_BUFFERS	100
#define CMEM_MODEL_SCRUBS	4
#define CMEM_MODEL_STEPS	6000

enum cmem_page_state {
	CMEM_PAGE_POOLED,
	CMEM_PAGE_CLEAN,
	CMEM_PAGE_DIRTY,
	CMEM_PAGE_SCRUBBING,
	CMEM_PAGE_TAKEN,
};

struct cmem_page_model {
	enum cmem_page_state state;
	u64 tag;
	void *user;
};

struct cmem_run {
	unsigned long start;
	unsigned long pages;
};

struct cmem_heap_model {
	struct cmem_page_model pages[CMEM_MODEL_PAGES];
	struct cmem_run buffers[CMEM_MODEL_BUFFERS];
	struct cmem_run scrubs[CMEM_MODEL_SCRUBS];
	struct cmem_run recent;
	u64 recent_tag;
	bool recent_old;
	unsigned long base_pfn;
};

static unsigned long cmem_model_count(const struct cmem_heap_model *model,
				      const struct cmem_run *run,
				      enum cmem_page_state state)
{
	unsigned long page, count = 0;

	for (page = run->start; page < run->start + run->pages; page++)
		count += model->pages[page].state == state;
	return count;
}

static unsigned long cmem_model_count_all(const struct cmem_heap_model *model,
					  enum cmem_page_state state)
{
	const struct cmem_run all = { 0, CMEM_MODEL_PAGES };

	return cmem_model_count(model, &all, state);
}

static void cmem_model_set(struct cmem_heap_model *model,
			   const struct cmem_run *run,
			   enum cmem_page_state state, u64 tag, void *user)
{
	unsigned long page;

	for (page = run->start; page < run->start + run->pages; page++) {
		model->pages[page] = (struct cmem_page_model) {
			.state = state,
			.tag = tag,
			.user = user,
		};
	}
}

/* Is there an aligned run of this length in one of these states? */
static bool cmem_model_has_run(const struct cmem_heap_model *model,
			       unsigned long pages, unsigned long align,
			       unsigned int states)
{
	unsigned long page, run = 0;

	for (page = CMEM_MODEL_PAGES; page-- > 0; ) {
		run = states & BIT(model->pages[page].state) ? run + 1 : 0;
		if (run >= pages && IS_ALIGNED(model->base_pfn + page, align))
			return true;
	}
	return false;
}

static unsigned long cmem_model_largest(const struct cmem_heap_model *model,
					unsigned int states)
{
	unsigned long page, run = 0, largest = 0;

	for (page = 0; page < CMEM_MODEL_PAGES; page++) {
		run = states & BIT(model->pages[page].state) ? run + 1 : 0;
		largest = max(largest, run);
	}
	return largest;
}

static void cmem_model_forget_recent(struct cmem_heap_model *model,
				     const struct cmem_run *run)
{
	if (run->start < model->recent.start + model->recent.pages &&
	    model->recent.start < run->start + run->pages)
		model->recent.pages = 0;
}

/* Allocate from the heap, and compare with the model. */
static void cmem_model_take(struct kunit *test, struct cmem_heap_test *t,
			    struct cmem_heap_model *model, unsigned long pages,
			    unsigned long align, u64 tag, struct cmem_run *run)
{
	const unsigned int free = BIT(CMEM_PAGE_CLEAN) | BIT(CMEM_PAGE_DIRTY);
	bool recent = model->recent.pages >= pages &&
		      model->recent_tag == tag &&
		      IS_ALIGNED(model->base_pfn + model->recent.start, align);
	unsigned long preferred = align, start = ULONG_MAX, page, dirty;
	bool own = true;
	int ret;

	ret = cmem_heap_test_take(t, pages, align, tag, run, &start);
	if (pages >= HUGE_PAGES &&
	    cmem_model_has_run(model, pages, max(align, HUGE_PAGES), free))
		preferred = max(align, HUGE_PAGES);

	if (!cmem_model_has_run(model, pages, align, free)) {
		const unsigned int soon = free | BIT(CMEM_PAGE_SCRUBBING);

		KUNIT_ASSERT_EQ(test, ret,
				cmem_model_has_run(model, pages, align, soon) ?
				-EAGAIN : -ENOMEM);
		return;
	}

	KUNIT_ASSERT_GE(test, ret, 0);
	KUNIT_ASSERT_LE(test, start, CMEM_MODEL_PAGES - pages);
	*run = (struct cmem_run) { start, pages };
	dirty = cmem_model_count(model, run, CMEM_PAGE_DIRTY);
	KUNIT_ASSERT_EQ(test, cmem_model_count(model, run, CMEM_PAGE_CLEAN) +
			      dirty, pages);
	for (page = start; page < start + pages; page++)
		if (model->pages[page].state == CMEM_PAGE_DIRTY &&
		    model->pages[page].tag != tag)
			own = false;
	KUNIT_ASSERT_EQ(test, ret, own ? CMEM_TAKEN_READY : CMEM_TAKEN_DIRTY);

	if (recent) {
		KUNIT_ASSERT_EQ(test, start, model->recent.start);
		model->recent.start += pages;
		model->recent.pages -= pages;
	} else {
		KUNIT_ASSERT_TRUE(test, IS_ALIGNED(model->base_pfn + start,
						   preferred));
		KUNIT_ASSERT_EQ(test, !dirty,
				cmem_model_has_run(model, pages, preferred,
						   BIT(CMEM_PAGE_CLEAN)));
		if (dirty)
			cmem_model_forget_recent(model, run);
	}
	cmem_model_set(model, run, CMEM_PAGE_TAKEN, 0, run);
}

static void cmem_model_put(struct cmem_heap_test *t,
			   struct cmem_heap_model *model, u64 tag,
			   struct cmem_run *run)
{
	cmem_heap_test_put(t, run->start, run->pages, tag);
	cmem_model_set(model, run, CMEM_PAGE_DIRTY, tag, NULL);
	model->recent = *run;
	model->recent_tag = tag;
	model->recent_old = false;
	run->pages = 0;
}

static void cmem_model_scrub_begin(struct kunit *test, struct cmem_heap_test *t,
				   struct cmem_heap_model *model,
				   unsigned long max, struct cmem_run *run)
{
	bool old = cmem_heap_test_has_old(t);
	unsigned long start = ULONG_MAX, page;
	long pages = 0;
	int i;

	KUNIT_ASSERT_EQ(test, old,
			cmem_model_count_all(model, CMEM_PAGE_DIRTY) >
			(model->recent_old ? 0 : model->recent.pages));
	/* To the end, and once around. */
	for (i = 0; !pages && i < 3; i++)
		pages = cmem_heap_test_scrub_begin(t, max, &start);
	KUNIT_ASSERT_EQ(test, pages > 0, old);
	if (!old)
		return;

	KUNIT_ASSERT_LE(test, pages, max);
	KUNIT_ASSERT_LE(test, start, CMEM_MODEL_PAGES - pages);
	*run = (struct cmem_run) { start, pages };
	KUNIT_ASSERT_EQ(test, cmem_model_count(model, run, CMEM_PAGE_DIRTY),
			pages);
	for (page = start; !model->recent_old && page < start + pages; page++)
		KUNIT_ASSERT_FALSE(test, page - model->recent.start <
					 model->recent.pages);
	cmem_model_forget_recent(model, run);
	cmem_model_set(model, run, CMEM_PAGE_SCRUBBING, 0, NULL);
}

static void cmem_model_scrub_end(struct cmem_heap_test *t,
				 struct cmem_heap_model *model, bool cleaned,
				 struct cmem_run *run)
{
	cmem_heap_test_scrub_end(t, run->start, run->pages, cleaned);
	cmem_model_set(model, run, cleaned ? CMEM_PAGE_CLEAN : CMEM_PAGE_DIRTY,
		       0, NULL);
	run->pages = 0;
}

static void cmem_heap_compare(struct kunit *test, struct cmem_heap_test *t,
			      const struct cmem_heap_model *model)
{
	unsigned long dirty = cmem_model_count_all(model, CMEM_PAGE_DIRTY);
	unsigned long scrubbing = cmem_model_count_all(model,
						       CMEM_PAGE_SCRUBBING);
	unsigned long clean = cmem_model_count_all(model, CMEM_PAGE_CLEAN);
	unsigned long page;

	KUNIT_ASSERT_EQ(test, t->heap.dirty, dirty);
	KUNIT_ASSERT_EQ(test, t->heap.scrubbing, scrubbing);
	KUNIT_ASSERT_EQ(test, t->heap.free, clean + dirty + scrubbing);
	KUNIT_ASSERT_EQ(test, t->heap.size, CMEM_MODEL_PAGES -
			cmem_model_count_all(model, CMEM_PAGE_POOLED));
	KUNIT_ASSERT_EQ(test, cmem_heap_test_largest(t),
			cmem_model_largest(model, BIT(CMEM_PAGE_CLEAN) |
						  BIT(CMEM_PAGE_DIRTY) |
						  BIT(CMEM_PAGE_SCRUBBING)));
	for (page = 0; page < CMEM_MODEL_PAGES; page++)
		KUNIT_ASSERT_PTR_EQ(test, cmem_heap_test_find(t, page),
				    model->pages[page].user);
}

/* A walk over all extents reports each page's state, except in pools. */
static void cmem_heap_compare_looks(struct kunit *test,
				    struct cmem_heap_test *t,
				    const struct cmem_heap_model *model)
{
	static const enum cmem_page_state states[] = {
		[CMEM_HEAP_CLEAN] = CMEM_PAGE_CLEAN,
		[CMEM_HEAP_DIRTY] = CMEM_PAGE_DIRTY,
		[CMEM_HEAP_SCRUBBING] = CMEM_PAGE_SCRUBBING,
		[CMEM_HEAP_USED] = CMEM_PAGE_TAKEN,
	};
	struct cmem_run run = {};
	enum cmem_heap_state state;

	for (; run.start < CMEM_MODEL_PAGES; run.start += run.pages) {
		void *user = NULL;

		run.pages = 1;
		if (model->pages[run.start].state == CMEM_PAGE_POOLED)
			continue;

		mutex_lock(&t->lock);
		state = cmem_heap_look(&t->heap, run.start, &run.pages, &user);
		mutex_unlock(&t->lock);
		KUNIT_ASSERT_GT(test, run.pages, 0);
		KUNIT_ASSERT_LE(test, run.pages, CMEM_MODEL_PAGES - run.start);
		KUNIT_ASSERT_EQ(test, cmem_model_count(model, &run,
						       states[state]),
				run.pages);
		KUNIT_ASSERT_PTR_EQ(test, user, model->pages[run.start].user);
	}
}

static unsigned long cmem_model_random_pages(struct rnd_state *rnd)
{
	u32 r = prandom_u32_state(rnd);

	switch (r % 16) {
	case 0:
		return HUGE_PAGES + r / 16 % HUGE_PAGES;
	case 1 ... 4:
		return 1 + r / 16 % 100;
	default:
		return 1 + r / 16 % 10;
	}
}

static void cmem_heap_agrees_with_a_model(struct kunit *test)
{
	static const struct cmem_run pools[] = { { 100, 7 }, { 107, 1 },
						 { CMEM_MODEL_PAGES - 1, 1 } };
	struct cmem_heap_model *model;
	struct cmem_heap_test *t;
	struct cmem_run *run;
	struct rnd_state rnd;
	int step, i;

	model = kunit_kzalloc(test, sizeof(*model), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, model);
	model->base_pfn = 0x9f35b;
	cmem_model_set(model, &(struct cmem_run) { 0, CMEM_MODEL_PAGES },
		       CMEM_PAGE_DIRTY, 0, NULL);

	t = cmem_heap_test_init(test, model->base_pfn, CMEM_MODEL_PAGES);
	for (i = 0; i < ARRAY_SIZE(pools); i++) {
		KUNIT_ASSERT_EQ(test, cmem_heap_test_reserve(t, pools[i].start,
							     pools[i].pages), 0);
		cmem_model_set(model, &pools[i], CMEM_PAGE_POOLED, 0, NULL);
	}
	KUNIT_ASSERT_EQ(test, cmem_heap_test_open(t), 0);
	prandom_seed_state(&rnd, 20240601);

	for (step = 0; step < CMEM_MODEL_STEPS; step++) {
		u32 chance = prandom_u32_state(&rnd) % 100;
		u64 tag = 1 + prandom_u32_state(&rnd) % 3;
		/* Long phases with more scrubbing, and with almost none */
		u32 scrubs = step / 500 % 2 ? 30 : 5;

		run = &model->buffers[prandom_u32_state(&rnd) %
				      CMEM_MODEL_BUFFERS];
		if (chance >= 100 - scrubs) {
			run = &model->scrubs[prandom_u32_state(&rnd) %
					     CMEM_MODEL_SCRUBS];
			if (run->pages)
				cmem_model_scrub_end(t, model, chance % 8, run);
			else
				cmem_model_scrub_begin(test, t, model,
						       1 + chance, run);
		} else if (chance < 2) {
			cmem_heap_test_age(t);
			model->recent_old = true;
		} else if (run->pages) {
			cmem_model_put(t, model, chance % 5 ? tag : 0, run);
		} else {
			unsigned long pages = cmem_model_random_pages(&rnd);
			unsigned long align = 1UL << chance % 4 * 2;

			cmem_model_take(test, t, model, pages, align, tag, run);
		}
		if (step % 16 == 0) {
			cmem_heap_compare(test, t, model);
			cmem_heap_compare_looks(test, t, model);
		}
	}

	/* Finally, all of it is freed. */
	for (i = 0; i < CMEM_MODEL_SCRUBS; i++)
		if (model->scrubs[i].pages)
			cmem_model_scrub_end(t, model, true, &model->scrubs[i]);
	for (i = 0; i < CMEM_MODEL_BUFFERS; i++)
		if (model->buffers[i].pages)
			cmem_model_put(t, model, 0, &model->buffers[i]);
	cmem_heap_scrub_all(test, t);
	KUNIT_EXPECT_EQ(test, t->heap.free, t->heap.size);
	KUNIT_EXPECT_EQ(test, t->heap.dirty, 0);
	KUNIT_EXPECT_EQ(test, t->heap.scrubbing, 0);
}

static struct kunit_case cmem_heap_cases[] = {
	KUNIT_CASE(cmem_heap_starts_dirty),
	KUNIT_CASE(cmem_heap_is_what_pools_leave),
	KUNIT_CASE(cmem_heap_without_pages),
	KUNIT_CASE(cmem_heap_of_one_page),
	KUNIT_CASE(cmem_heap_finds_the_user_of_each_page),
	KUNIT_CASE(cmem_heap_aligns_page_frames),
	KUNIT_CASE(cmem_heap_finds_the_hole_that_fits),
	KUNIT_CASE(cmem_heap_prefers_own_clean_dirty),
	KUNIT_CASE(cmem_heap_gives_own_pages_back),
	KUNIT_CASE(cmem_heap_forgets_who_had_what_others_took),
	KUNIT_CASE(cmem_heap_soiled_is_dirty_for_all),
	KUNIT_CASE(cmem_heap_withdraws_single_pages),
	KUNIT_CASE(cmem_heap_takes_dirty_and_clean_together),
	KUNIT_CASE(cmem_heap_compares_all_of_a_tag),
	KUNIT_CASE(cmem_heap_prefers_huge_page_boundaries),
	KUNIT_CASE(cmem_heap_does_without_huge_page_boundaries),
	KUNIT_CASE(cmem_heap_waits_only_if_it_helps),
	KUNIT_CASE(cmem_heap_joins_what_is_cleaned),
	KUNIT_CASE(cmem_heap_leaves_untouched_pages_alone),
	KUNIT_CASE(cmem_heap_soiled_leaves_untouched_pages_alone),
	KUNIT_CASE(cmem_heap_keeps_what_was_not_cleaned),
	KUNIT_CASE(cmem_heap_leaves_the_last_to_its_owner),
	KUNIT_CASE(cmem_heap_search_goes_round),
	KUNIT_CASE(cmem_heap_search_lets_others_in),
	KUNIT_CASE(cmem_heap_refuses_absurd_requests),
	KUNIT_CASE(cmem_heap_at_the_end_of_addresses),
	KUNIT_CASE(cmem_heap_of_4_tib),
	KUNIT_CASE(cmem_heap_agrees_with_a_model),
	{}
};

static struct kunit_suite cmem_heap_suite = {
	.name = "cmem_heap",
	.test_cases = cmem_heap_cases,
};

kunit_test_suite(cmem_heap_suite);
