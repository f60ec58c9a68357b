// SPDX-License-Identifier: GPL-2.0
/*
 * ALLOC: what it accepts and refuses, which pool it picks, where buffers lie, and that
 * pools and heaps can be used up and become whole again.
 */
#include "cmem_test.h"

FIXTURE(alloc)
{
	int fd;
	struct snapshot before;
};

FIXTURE_SETUP(alloc)
{
	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!self->before.num_blocks)
		SKIP(return, "no block");
	srand(1);
}

FIXTURE_TEARDOWN(alloc)
{
	close(self->fd);
	expect_same(&self->before);
}

static __u64 min(__u64 a, __u64 b)
{
	return a < b ? a : b;
}

static __u64 round_up_page(__u64 length)
{
	return (length + page_size() - 1) & ~(__u64)(page_size() - 1);
}

static __u64 largest_pool(const struct snapshot *s, unsigned int i)
{
	__u64 length = 0;

	for (__u32 j = 0; j < s->block[i].num_pools; j++)
		if (s->pool[i][j].length > length)
			length = s->pool[i][j].length;
	return length;
}

static void shuffle(__u64 *addr, size_t count)
{
	for (size_t i = count; i > 1; i--) {
		size_t j = rand() % i;
		__u64 swap = addr[i - 1];

		addr[i - 1] = addr[j];
		addr[j] = swap;
	}
}

/* What is wrong with a buffer that was allocated with @length, or "". */
static const char *misplaced(const struct snapshot *s, unsigned int i, __u64 length,
			     __u64 alignment, const struct cmem_alloc *buf)
{
	const struct cmem_block_info *b = &s->block[i];

	if (buf->phys_addr % page_size() || buf->length % page_size())
		return "not in pages";
	if (alignment && buf->phys_addr & (alignment - 1))
		return "not aligned";
	if (buf->length < length)
		return "too short";
	if (b->kind != CMEM_KIND_CMA && (buf->phys_addr < b->base ||
					 buf->phys_addr + buf->length > b->base + b->length))
		return "outside of its block";
	if (buf->pool == CMEM_POOL_HEAP)
		return buf->length == round_up_page(length) ? "" : "not just as long as asked";
	if (buf->pool < 0 || buf->pool >= (__s32)b->num_pools)
		return "from no pool";
	if (b->kind != CMEM_KIND_CMA) {
		const struct cmem_pool_info *p = &s->pool[i][buf->pool];

		if (buf->length != p->length || buf->phys_addr < p->base ||
		    buf->phys_addr >= p->base + p->count * p->length ||
		    (buf->phys_addr - p->base) % p->length)
			return "not a buffer of its pool";
	}
	return "";
}

TEST_F(alloc, unknown_blocks_are_ENOENT)
{
	struct cmem_alloc buf;
	struct cmem_info info;

	ASSERT_EQ(0, cmem_get_info(self->fd, &info));

	const __s32 unknown[] = {
		info.block_limit, info.block_limit + 1, 0x7fffffff, -2, -3, -0x7fffffff - 1,
	};
	const __s32 pools[] = { 0, CMEM_POOL_BEST, CMEM_POOL_HEAP };

	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		for (size_t j = 0; j < ARRAY_SIZE(pools); j++) {
			EXPECT_REFUSED(ENOENT, cmem_alloc(self->fd, unknown[i], pools[j], 1, 0,
							  &buf));
		}
	if (self->before.block[0].block != CMEM_BLOCK_CMA)
		for (size_t j = 0; j < ARRAY_SIZE(pools); j++) {
			EXPECT_REFUSED(ENOENT, cmem_alloc(self->fd, CMEM_BLOCK_CMA, pools[j], 1,
							  0, &buf));
		}
}

TEST_F(alloc, unknown_pools_are_ENOENT)
{
	struct cmem_alloc buf;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];
		const __s32 unknown[] = {
			b->num_pools, CMEM_MAX_POOLS, 0x7fffffff, -3, -0x7fffffff - 1,
		};

		for (size_t j = 0; j < ARRAY_SIZE(unknown); j++) {
			EXPECT_REFUSED(ENOENT, cmem_alloc(self->fd, b->block, unknown[j], 1, 0,
							  &buf));
			EXPECT_REFUSED(ENOENT, cmem_alloc(self->fd, b->block, unknown[j], 0, 0,
							  &buf));
			EXPECT_REFUSED(ENOENT, cmem_alloc(self->fd, b->block, unknown[j], 1,
							  CMEM_ALLOC_HEAP_FALLBACK, &buf));
		}
	}
}

TEST_F(alloc, length_zero_is_EINVAL_unless_a_pool_is_named)
{
	struct cmem_alloc buf;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		__s32 id = self->before.block[i].block;

		EXPECT_REFUSED(EINVAL, cmem_alloc(self->fd, id, CMEM_POOL_HEAP, 0, 0, &buf));
		EXPECT_REFUSED(EINVAL, cmem_alloc(self->fd, id, CMEM_POOL_BEST, 0, 0, &buf));
		EXPECT_REFUSED(EINVAL, cmem_alloc(self->fd, id, CMEM_POOL_BEST, 0,
						  CMEM_ALLOC_HEAP_FALLBACK, &buf));
	}
}

TEST_F(alloc, a_named_pool_gives_a_whole_buffer_for_any_length_up_to_its_own)
{
	bool tried = false;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		for (__u32 j = 0; j < self->before.block[i].num_pools; j++) {
			const struct cmem_pool_info *p = &self->before.pool[i][j];
			const __u64 lengths[] = {
				0, 1, p->length / 2, p->requested_length, p->length - 1, p->length,
			};

			if (!p->free)
				continue;
			tried = true;
			for (size_t k = 0; k < ARRAY_SIZE(lengths); k++) {
				struct cmem_alloc buf;
				const char *wrong;

				ASSERT_EQ(0, cmem_alloc(self->fd, p->block, j, lengths[k], 0,
							&buf));
				EXPECT_EQ(j, buf.pool);
				EXPECT_EQ(p->block, buf.block);
				wrong = misplaced(&self->before, i, lengths[k], 0, &buf);
				EXPECT_STREQ("", wrong);
				EXPECT_EQ(0, cmem_free(self->fd, buf.phys_addr));
			}
		}
	}
	if (!tried)
		SKIP(return, "no pool");
}

TEST_F(alloc, more_than_the_named_pools_length_is_EINVAL)
{
	bool tried = false;
	struct cmem_alloc buf;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		/* A CMA pool also serves longer requests: see cma.c. */
		if (self->before.block[i].kind == CMEM_KIND_CMA)
			continue;
		for (__u32 j = 0; j < self->before.block[i].num_pools; j++) {
			const struct cmem_pool_info *p = &self->before.pool[i][j];
			const __u64 lengths[] = {
				p->length + 1, 2 * p->length, 1ULL << 32 | 1, 1ULL << 63,
				~0ULL, ~0ULL - 4095, ~0ULL - p->length + 2,
			};

			tried = true;
			for (size_t k = 0; k < ARRAY_SIZE(lengths); k++) {
				if (lengths[k] <= p->length)
					continue;
				EXPECT_REFUSED(EINVAL, cmem_alloc(self->fd, p->block, j,
								  lengths[k], 0, &buf));
			}
		}
	}
	if (!tried)
		SKIP(return, "no pool");
}

TEST_F(alloc, lengths_longer_than_the_block_are_EINVAL_everywhere)
{
	struct cmem_alloc buf;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];
		const __u32 fallback = CMEM_ALLOC_HEAP_FALLBACK;
		const __u64 lengths[] = {
			b->length + 1, b->length + page_size(), 1ULL << 52, 1ULL << 63,
			(1ULL << 63) + 1, ~0ULL, ~0ULL - 1, ~0ULL - 4094, ~0ULL - 4095,
			~0ULL - 4096, -b->base, -b->base + 1,
		};

		for (size_t k = 0; k < ARRAY_SIZE(lengths); k++) {
			const __u64 length = lengths[k];

			/* The CMA heap may be part of a longer area. */
			if (length <= b->length ||
			    (b->kind == CMEM_KIND_CMA && length < 1ULL << 52))
				continue;
			EXPECT_REFUSED(EINVAL, cmem_alloc(self->fd, b->block, CMEM_POOL_HEAP,
							  length, 0, &buf));
			EXPECT_REFUSED(EINVAL, cmem_alloc(self->fd, b->block, CMEM_POOL_BEST,
							  length, 0, &buf));
			EXPECT_REFUSED(EINVAL, cmem_alloc(self->fd, b->block, CMEM_POOL_BEST,
							  length, fallback, &buf));
			if (b->num_pools) {
				EXPECT_REFUSED(EINVAL, cmem_alloc(self->fd, b->block, 0, length,
								  fallback, &buf));
			}
		}
	}
}

TEST_F(alloc, more_than_the_heap_but_not_than_the_block_is_ENOMEM)
{
	struct cmem_alloc buf;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];

		if (b->heap_largest < b->length) {
			EXPECT_REFUSED(ENOMEM, cmem_alloc(self->fd, b->block, CMEM_POOL_HEAP,
							  b->heap_largest + 1, 0, &buf));
			EXPECT_REFUSED(ENOMEM, cmem_alloc(self->fd, b->block, CMEM_POOL_HEAP,
							  b->length, 0, &buf));
		}
		if (!b->heap_size) {
			EXPECT_REFUSED(ENOMEM, cmem_alloc(self->fd, b->block, CMEM_POOL_HEAP,
							  1, 0, &buf));
		}
	}
}

/* One byte with an alignment that ALLOC refuses. */
static int alloc_aligned(int fd, __s32 block, __s32 pool, __u64 alignment)
{
	struct cmem_alloc buf;

	return cmem_alloc_aligned(fd, block, pool, 1, alignment, 0, &buf);
}

TEST_F(alloc, an_alignment_that_is_no_power_of_two_is_EINVAL)
{
	const __u64 wrong[] = {
		3, 5, 6, 7, 9, 12, 48, 4095, 4097, 6144, 3 * 4096, 65535, 65537,
		(1ULL << 32) + 1, (1ULL << 32) + 4096, (1ULL << 63) + 1, 3ULL << 62,
		~0ULL, ~0ULL - 4095,
	};
	const __s32 pools[] = { CMEM_POOL_HEAP, CMEM_POOL_BEST, 0 };

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];

		for (size_t k = 0; k < ARRAY_SIZE(wrong); k++) {
			for (size_t p = 0; p < ARRAY_SIZE(pools); p++) {
				if (pools[p] == 0 && !b->num_pools)
					continue;
				EXPECT_REFUSED(EINVAL, alloc_aligned(self->fd, b->block, pools[p],
								     wrong[k]));
			}
		}
	}
}

TEST_F(alloc, alignments_up_to_a_page_are_always_granted)
{
	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];

		for (__u64 align = 0; align <= page_size(); align = align ? 2 * align : 1) {
			struct cmem_alloc buf;

			if (b->heap_largest) {
				ASSERT_EQ(0, cmem_alloc_aligned(self->fd, b->block, CMEM_POOL_HEAP,
								1, align, 0, &buf));
				EXPECT_EQ(0, buf.phys_addr % page_size());
				EXPECT_EQ(page_size(), buf.length);
				EXPECT_EQ(0, cmem_free(self->fd, buf.phys_addr));
			}
			for (__u32 j = 0; j < b->num_pools; j++) {
				if (!self->before.pool[i][j].free)
					continue;
				ASSERT_EQ(0, cmem_alloc_aligned(self->fd, b->block, j, 0, align,
								0, &buf));
				EXPECT_EQ(0, cmem_free(self->fd, buf.phys_addr));
			}
		}
	}
}

TEST_F(alloc, a_heap_honours_larger_alignments)
{
	bool tried = false;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];

		/*
		 * Without one page, half of the heap is one run and has such an address.
		 */
		for (__u64 align = 2 * page_size(); 4 * align <= b->heap_largest; align *= 2) {
			struct cmem_alloc one, two;
			const char *wrong;

			tried = true;
			/* The first page keeps the rest from being aligned by chance. */
			ASSERT_EQ(0, cmem_alloc(self->fd, b->block, CMEM_POOL_HEAP, 1, 0, &one));
			ASSERT_EQ(0, cmem_alloc_aligned(self->fd, b->block, CMEM_POOL_HEAP,
							2 * page_size(), align, 0, &two))
				TH_LOG("alignment %#llx", align);
			wrong = misplaced(&self->before, i, 2 * page_size(), align, &two);
			EXPECT_STREQ("", wrong);
			EXPECT_EQ(0, cmem_free(self->fd, two.phys_addr));
			EXPECT_EQ(0, cmem_free(self->fd, one.phys_addr));
		}
	}
	if (!tried)
		SKIP(return, "no heap of eight pages");
}

TEST_F(alloc, an_alignment_no_address_of_the_heap_has_is_ENOMEM)
{
	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];

		for (int bit = 63; bit > 40; bit--) {
			if (!(b->base >> bit)) {
				EXPECT_REFUSED(ENOMEM, alloc_aligned(self->fd, b->block,
								     CMEM_POOL_HEAP, 1ULL << bit));
			}
		}
	}
}

TEST_F(alloc, a_pool_serves_a_larger_alignment_only_if_all_its_buffers_have_it)
{
	bool tried = false;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		for (__u32 j = 0; j < self->before.block[i].num_pools; j++) {
			const struct cmem_pool_info *p = &self->before.pool[i][j];

			if (!p->free || self->before.block[i].kind == CMEM_KIND_CMA)
				continue;
			tried = true;
			for (int bit = 13; bit < 64; bit++) {
				__u64 align = 1ULL << bit;
				struct cmem_alloc buf;

				if (p->base % align || (p->count > 1 && p->length % align)) {
					EXPECT_REFUSED(EINVAL, alloc_aligned(self->fd, p->block, j,
									     align))
						TH_LOG("pool %u alignment %#llx", j, align);
					continue;
				}
				ASSERT_EQ(0, cmem_alloc_aligned(self->fd, p->block, j, 0, align,
								0, &buf))
					TH_LOG("pool %u alignment %#llx", j, align);
				EXPECT_EQ(0, buf.phys_addr % align);
				EXPECT_EQ(j, buf.pool);
				EXPECT_EQ(0, cmem_free(self->fd, buf.phys_addr));
			}
		}
	}
	if (!tried)
		SKIP(return, "no pool");
}

/* The pool with the smallest buffers that all have an alignment, or -1 */
static int best_aligned(const struct snapshot *s, unsigned int i, __u64 align)
{
	int best = -1;

	for (__u32 j = 0; j < s->block[i].num_pools; j++) {
		const struct cmem_pool_info *p = &s->pool[i][j];

		if (!p->free || p->base % align || (p->count > 1 && p->length % align))
			continue;
		if (best < 0 || p->length < s->pool[i][best].length)
			best = j;
	}
	return best;
}

TEST_F(alloc, the_best_pool_has_the_alignment_that_is_asked_for)
{
	bool tried = false;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];

		if (!b->num_pools || b->kind == CMEM_KIND_CMA)
			continue;
		tried = true;
		for (__u64 align = page_size(); align; align *= 2) {
			int best = best_aligned(&self->before, i, align);
			struct cmem_alloc buf;

			if (best < 0) {
				EXPECT_REFUSED(ENOENT, alloc_aligned(self->fd, b->block,
								     CMEM_POOL_BEST, align))
					TH_LOG("block %d alignment %#llx", b->block, align);
				continue;
			}
			ASSERT_EQ(0, cmem_alloc_aligned(self->fd, b->block, CMEM_POOL_BEST, 1,
							align, 0, &buf))
				TH_LOG("block %d alignment %#llx", b->block, align);
			EXPECT_EQ(self->before.pool[i][best].length, buf.length);
			EXPECT_EQ(0, buf.phys_addr % align);
			EXPECT_EQ(0, cmem_free(self->fd, buf.phys_addr));
		}
	}
	if (!tried)
		SKIP(return, "no pool");
}

TEST_F(alloc, large_heap_buffers_start_on_2M)
{
	bool tried = false;

	if (!huge_pages_are_2M())
		SKIP(return, "no huge pages of 2 MiB");
	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];
		const __u64 lengths[] = { SZ_2M, SZ_2M + 1, 3 * SZ_2M, 3 * SZ_2M + 12345 };

		for (size_t k = 0; k < ARRAY_SIZE(lengths); k++) {
			struct cmem_alloc small, buf;

			/* There is room on a boundary, wherever the small buffer lies. */
			if (b->kind == CMEM_KIND_CMA ||
			    b->heap_largest < 2 * lengths[k] + 2 * SZ_2M)
				continue;
			tried = true;
			ASSERT_EQ(0, cmem_alloc(self->fd, b->block, CMEM_POOL_HEAP, 1, 0,
						&small));
			ASSERT_EQ(0, cmem_alloc(self->fd, b->block, CMEM_POOL_HEAP, lengths[k],
						0, &buf));
			EXPECT_EQ(0, buf.phys_addr % SZ_2M);
			EXPECT_EQ(round_up_page(lengths[k]), buf.length);
			EXPECT_EQ(0, cmem_free(self->fd, buf.phys_addr));
			EXPECT_EQ(0, cmem_free(self->fd, small.phys_addr));
		}
	}
	if (!tried)
		SKIP(return, "no heap of 8 MiB");
}

TEST_F(alloc, live_buffers_lie_inside_their_block_and_never_overlap)
{
	static struct cmem_alloc live[256];
	unsigned int count = 0;

	for (unsigned int n = 0; n < 4000 && count < scaled(ARRAY_SIZE(live)); n++) {
		unsigned int i = rand() % self->before.num_blocks;
		const struct cmem_block_info *b = &self->before.block[i];
		__u64 length = 1 + rand() % (64 * 1024);
		__u64 align = 1ULL << (rand() % 17);
		__s32 pool = rand() % 3 ? CMEM_POOL_HEAP : CMEM_POOL_BEST;
		const char *wrong;

		if (cmem_alloc_aligned(self->fd, b->block, pool, length, align,
				       rand() % 8 & ~CMEM_ALLOC_PRIVATE, &live[count]))
			continue;
		wrong = misplaced(&self->before, i, length, align, &live[count]);
		ASSERT_STREQ("", wrong);
		for (unsigned int k = 0; k < count; k++) {
			ASSERT_TRUE(live[k].phys_addr + live[k].length <= live[count].phys_addr ||
				    live[count].phys_addr + live[count].length <=
				    live[k].phys_addr);
		}
		count++;
		/* Holes, so that buffers are not all contiguous. */
		if (rand() % 4 == 0) {
			unsigned int k = rand() % count;

			ASSERT_EQ(0, cmem_free(self->fd, live[k].phys_addr));
			live[k] = live[--count];
		}
	}
	if (!count)
		SKIP(return, "no room for buffers of 64 KiB");
	while (count--) {
		EXPECT_EQ(0, cmem_free(self->fd, live[count].phys_addr));
	}
	expect_same(&self->before);
}

TEST_F(alloc, the_best_pool_is_the_one_with_the_smallest_buffers_that_fit)
{
	struct snapshot *s = &self->before;
	bool tried = false;

	for (unsigned int i = 0; i < s->num_blocks; i++) {
		for (__u32 j = 0; j < s->block[i].num_pools; j++) {
			const __u64 lengths[] = {
				1, s->pool[i][j].requested_length, s->pool[i][j].length - 1,
				s->pool[i][j].length, s->pool[i][j].length + 1,
			};

			for (size_t k = 0; k < ARRAY_SIZE(lengths); k++) {
				struct cmem_alloc buf;
				const char *wrong;
				__u64 best = 0;
				int ret;

				/* That fails with EINVAL, which another test checks. */
				if (lengths[k] > s->block[i].length)
					continue;
				for (__u32 n = 0; n < s->block[i].num_pools; n++) {
					const struct cmem_pool_info *p = &s->pool[i][n];

					if (p->free && p->length >= lengths[k] &&
					    (!best || p->length < best))
						best = p->length;
				}
				tried = true;
				ret = cmem_alloc(self->fd, s->block[i].block, CMEM_POOL_BEST,
						 lengths[k], 0, &buf);
				if (!best) {
					EXPECT_EQ(lengths[k] > largest_pool(s, i) ? -ENOENT :
						  -ENOMEM, ret);
					continue;
				}
				ASSERT_EQ(0, ret);
				wrong = misplaced(s, i, lengths[k], 0, &buf);
				EXPECT_STREQ("", wrong);
				EXPECT_EQ(best, buf.length) TH_LOG("block %d length %llu",
								   buf.block, lengths[k]);
				EXPECT_EQ(0, cmem_free(self->fd, buf.phys_addr));
			}
		}
	}
	if (!tried)
		SKIP(return, "no pool");
}

TEST_F(alloc, an_exhausted_best_pool_is_promoted_to_the_next_larger)
{
	struct snapshot *s = &self->before;
	bool tried = false;

	for (unsigned int i = 0; i < s->num_blocks; i++) {
		__u32 total = 0;

		for (__u32 j = 0; j < s->block[i].num_pools; j++)
			total += s->pool[i][j].free;
		if (!total || total > COUNT_LIMIT || s->block[i].kind == CMEM_KIND_CMA)
			continue;
		tried = true;

		/* One byte at a time, all pools: each from the shortest free buffers. */
		struct cmem_alloc buf;

		for (__u32 n = 0; n < total; n++) {
			__u64 best = 0;

			ASSERT_EQ(0, cmem_alloc(self->fd, s->block[i].block, CMEM_POOL_BEST, 1,
						0, &buf));
			for (__u32 j = 0; j < s->block[i].num_pools; j++)
				if (s->pool[i][j].free && (!best || s->pool[i][j].length < best))
					best = s->pool[i][j].length;
			EXPECT_EQ(best, buf.length);
			ASSERT_LT(0, s->pool[i][buf.pool].free);
			s->pool[i][buf.pool].free--;
		}
		EXPECT_REFUSED(ENOMEM, cmem_alloc(self->fd, s->block[i].block, CMEM_POOL_BEST,
						  1, 0, &buf));
		EXPECT_REFUSED(ENOMEM, cmem_alloc(self->fd, s->block[i].block, 0, 0, 0, &buf));
		if (s->block[i].heap_largest) {
			ASSERT_EQ(0, cmem_alloc(self->fd, s->block[i].block, CMEM_POOL_BEST, 1,
						CMEM_ALLOC_HEAP_FALLBACK, &buf));
			EXPECT_EQ(CMEM_POOL_HEAP, buf.pool);
			EXPECT_EQ(page_size(), buf.length);
		} else {
			EXPECT_REFUSED(ENOMEM, cmem_alloc(self->fd, s->block[i].block,
							  CMEM_POOL_BEST, 1,
							  CMEM_ALLOC_HEAP_FALLBACK, &buf));
		}
	}
	close(self->fd);
	self->fd = -1;
	/* The teardown expects the counts of before. */
	ASSERT_EQ(0, take_snapshot(s));
	for (unsigned int i = 0; i < s->num_blocks; i++)
		for (__u32 j = 0; j < s->block[i].num_pools; j++) {
			EXPECT_EQ(s->pool[i][j].count, s->pool[i][j].free);
		}
	if (!tried)
		SKIP(return, "no block with pools small enough to be emptied");
}

TEST_F(alloc, a_named_pool_that_is_empty_is_not_promoted)
{
	struct source src;
	bool tried = false;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		for (__u32 j = 0; j < self->before.block[i].num_pools; j++) {
			const struct cmem_pool_info *p = &self->before.pool[i][j];
			struct cmem_alloc buf;
			int owner;

			if (p->free > COUNT_LIMIT)
				continue;
			tried = true;
			owner = cmem_open();
			ASSERT_LE(0, owner);
			src = (struct source){ p->block, j, 0 };
			for (__u32 n = 0; n < p->free; n++) {
				ASSERT_EQ(0, source_alloc(owner, &src, 0, &buf));
			}
			EXPECT_REFUSED(ENOMEM, source_alloc(owner, &src, 0, &buf));
			EXPECT_REFUSED(ENOMEM, source_alloc(self->fd, &src, 0, &buf));
			EXPECT_REFUSED(ENOMEM, cmem_alloc(self->fd, p->block, j, 1, 0, &buf));
			close(owner);
		}
	}
	if (!tried)
		SKIP(return, "no pool small enough to be emptied");
}

TEST_F(alloc, heap_fallback_serves_from_the_heap_only_when_no_pool_can)
{
	bool tried = false;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];
		__u64 length = largest_pool(&self->before, i) + 1;
		struct cmem_alloc buf;

		if (length > b->heap_largest)
			continue;
		tried = true;
		EXPECT_REFUSED(ENOENT, cmem_alloc(self->fd, b->block, CMEM_POOL_BEST, length, 0,
						  &buf));
		ASSERT_EQ(0, cmem_alloc(self->fd, b->block, CMEM_POOL_BEST, length,
					CMEM_ALLOC_HEAP_FALLBACK, &buf));
		EXPECT_EQ(CMEM_POOL_HEAP, buf.pool);
		EXPECT_EQ(round_up_page(length), buf.length);
		EXPECT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	}
	if (!tried)
		SKIP(return, "no heap that is larger than its block's pools' buffers");
}

TEST_F(alloc, heap_fallback_of_a_named_pool_is_for_when_that_is_empty)
{
	bool tried = false;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		for (__u32 j = 0; j < self->before.block[i].num_pools; j++) {
			const struct cmem_pool_info *p = &self->before.pool[i][j];
			const __u32 flags = CMEM_ALLOC_HEAP_FALLBACK;
			struct cmem_alloc buf;

			if (p->free > COUNT_LIMIT ||
			    self->before.block[i].heap_largest < 2 * p->length)
				continue;
			tried = true;
			for (__u32 n = 0; n < p->free; n++) {
				ASSERT_EQ(0, cmem_alloc(self->fd, p->block, j, 1, flags, &buf));
				EXPECT_EQ(j, buf.pool);
			}
			ASSERT_EQ(0, cmem_alloc(self->fd, p->block, j, 1, flags, &buf));
			EXPECT_EQ(CMEM_POOL_HEAP, buf.pool);
			EXPECT_EQ(page_size(), buf.length);
			/* A whole buffer of that pool takes as much from the heap. */
			ASSERT_EQ(0, cmem_alloc(self->fd, p->block, j, 0, flags, &buf));
			EXPECT_EQ(CMEM_POOL_HEAP, buf.pool);
			EXPECT_EQ(p->length, buf.length);
			if (self->before.block[i].kind == CMEM_KIND_CMA)
				continue;
			/* ALLOC refuses more than the pool's buffer length here, too. */
			EXPECT_REFUSED(EINVAL, cmem_alloc(self->fd, p->block, j, p->length + 1,
							  flags, &buf));
		}
	}
	if (!tried)
		SKIP(return, "no pool small enough to be emptied beside a heap");
}

TEST_F(alloc, all_of_a_pool_can_be_taken_and_given_back_in_any_order)
{
	static __u64 addr[COUNT_LIMIT];
	bool tried = false;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		for (__u32 j = 0; j < self->before.block[i].num_pools; j++) {
			const struct cmem_pool_info *p = &self->before.pool[i][j];
			struct source src = { p->block, j, 0 };
			struct cmem_alloc buf;

			if (!p->free || p->free > COUNT_LIMIT)
				continue;
			tried = true;
			for (int round = 0; round < 2; round++) {
				for (__u32 n = 0; n < p->free; n++) {
					const char *wrong;

					ASSERT_EQ(0, source_alloc(self->fd, &src, 0, &buf));
					wrong = misplaced(&self->before, i, 0, 0, &buf);
					EXPECT_STREQ("", wrong);
					for (__u32 k = 0; k < n; k++) {
						ASSERT_NE(addr[k], buf.phys_addr);
					}
					addr[n] = buf.phys_addr;
				}
				EXPECT_EQ(0, source_free(self->fd, &src));
				EXPECT_REFUSED(ENOMEM, source_alloc(self->fd, &src, 0, &buf));
				shuffle(addr, p->free);
				for (__u32 n = 0; n < p->free; n++) {
					ASSERT_EQ(0, cmem_free(self->fd, addr[n]));
					EXPECT_EQ(n + 1, source_free(self->fd, &src));
				}
			}
		}
	}
	if (!tried)
		SKIP(return, "no pool small enough to be emptied");
}

TEST_F(alloc, all_of_a_heap_can_be_taken_and_comes_back_in_one_piece)
{
	static __u64 addr[16384];
	bool tried = false;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];
		/* The sizes halve at the end: a few dozen buffers more than the 256. */
		__u64 chunk = round_up_page(b->heap_free / scaled(256));
		struct cmem_block_info now;
		struct cmem_alloc buf;
		unsigned int count = 0;

		if (!b->heap_free || b->heap_size > TOUCH_LIMIT || b->kind == CMEM_KIND_CMA)
			continue;
		tried = true;
		while (chunk) {
			int ret = cmem_alloc(self->fd, b->block, CMEM_POOL_HEAP, chunk, 0, &buf);

			if (ret) {
				ASSERT_EQ(-ENOMEM, ret);
				chunk = chunk > page_size() ? round_up_page(chunk / 2) : 0;
				continue;
			}
			ASSERT_GT(ARRAY_SIZE(addr), count);
			addr[count++] = buf.phys_addr;
		}
		ASSERT_EQ(0, cmem_get_block(self->fd, b->block, &now));
		EXPECT_EQ(0, now.heap_free);
		EXPECT_EQ(0, now.heap_clean);
		EXPECT_EQ(0, now.heap_largest);
		EXPECT_REFUSED(ENOMEM, cmem_alloc(self->fd, b->block, CMEM_POOL_HEAP, 1, 0, &buf));
		shuffle(addr, count);
		while (count) {
			ASSERT_EQ(0, cmem_free(self->fd, addr[--count]));
		}
		ASSERT_EQ(0, cmem_get_block(self->fd, b->block, &now));
		EXPECT_EQ(b->heap_free, now.heap_free);
		EXPECT_EQ(b->heap_largest, now.heap_largest);
	}
	if (!tried)
		SKIP(return, "no heap, or none small enough to be used up");
}

TEST_F(alloc, a_fragmented_heap_becomes_one_piece_again)
{
	static struct cmem_alloc live[512];
	bool tried = false;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];
		__u64 room = min(b->heap_largest, TOUCH_LIMIT) / (2 * ARRAY_SIZE(live));
		struct cmem_block_info now;
		unsigned int count = 0;
		__u64 used = 0;

		if (room < page_size() || b->kind == CMEM_KIND_CMA)
			continue;
		tried = true;
		for (unsigned int n = scaled(4000); n; n--) {
			if (count < ARRAY_SIZE(live) && rand() % 5 < 3) {
				ASSERT_EQ(0, cmem_alloc_aligned(self->fd, b->block, CMEM_POOL_HEAP,
								1 + rand() % room,
								1ULL << (rand() % 15), 0,
								&live[count]));
				used += live[count++].length;
			} else if (count) {
				unsigned int k = rand() % count;

				ASSERT_EQ(0, cmem_free(self->fd, live[k].phys_addr));
				used -= live[k].length;
				live[k] = live[--count];
			}
		}
		ASSERT_EQ(0, cmem_get_block(self->fd, b->block, &now));
		EXPECT_EQ(b->heap_free - used, now.heap_free);
		while (count--) {
			ASSERT_EQ(0, cmem_free(self->fd, live[count].phys_addr));
		}
		ASSERT_EQ(0, cmem_get_block(self->fd, b->block, &now));
		EXPECT_EQ(b->heap_free, now.heap_free);
		EXPECT_EQ(b->heap_largest, now.heap_largest);
	}
	if (!tried)
		SKIP(return, "no heap of 4 MiB");
}

TEST_F(alloc, the_largest_free_run_of_a_heap_can_be_had)
{
	bool tried = false;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];
		struct cmem_block_info now;
		struct cmem_alloc buf;

		/* In CMA, others may take the free memory at any time. */
		if (!b->heap_largest || b->heap_largest > 4 * TOUCH_LIMIT ||
		    b->kind == CMEM_KIND_CMA)
			continue;
		tried = true;
		ASSERT_EQ(0, cmem_alloc(self->fd, b->block, CMEM_POOL_HEAP, b->heap_largest, 0,
					&buf));
		EXPECT_EQ(b->heap_largest, buf.length);
		ASSERT_EQ(0, cmem_get_block(self->fd, b->block, &now));
		EXPECT_EQ(b->heap_free - b->heap_largest, now.heap_free);
		EXPECT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	}
	if (!tried)
		SKIP(return, "no heap, or none small enough");
}

/* Except SRAM, which is never cached. */
TEST_F(alloc, the_attributes_are_those_asked_for)
{
	const __u32 flags[] = {
		0, CMEM_ALLOC_CACHED, CMEM_ALLOC_PRIVATE,
		CMEM_ALLOC_CACHED | CMEM_ALLOC_PRIVATE,
	};

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];
		__s32 pool = b->heap_largest ? CMEM_POOL_HEAP : CMEM_POOL_BEST;
		__u32 never = b->kind == CMEM_KIND_SRAM ? CMEM_ALLOC_CACHED : 0;

		for (size_t k = 0; k < ARRAY_SIZE(flags); k++) {
			struct cmem_register reg;
			struct cmem_alloc buf;

			ASSERT_EQ(0, cmem_alloc(self->fd, b->block, pool, 1, flags[k], &buf));
			/* Its own file may register a private buffer, too. */
			ASSERT_EQ(0, cmem_register_info(self->fd, buf.phys_addr, &reg));
			EXPECT_EQ(flags[k] & ~never, reg.buffer_flags);
			EXPECT_EQ(buf.length, reg.length);
			EXPECT_EQ(buf.mmap_offset, reg.mmap_offset);
			EXPECT_EQ(buf.block, reg.block);
			EXPECT_EQ(buf.pool, reg.pool);
			EXPECT_EQ(buf.phys_addr, reg.phys_addr);
			EXPECT_EQ(buf.phys_addr, buf.mmap_offset);
			EXPECT_EQ(0, cmem_free(self->fd, buf.phys_addr));
			EXPECT_EQ(0, cmem_free(self->fd, buf.phys_addr));
			EXPECT_EQ(-ENOENT, cmem_free(self->fd, buf.phys_addr));
		}
	}
}

TEST_HARNESS_MAIN
