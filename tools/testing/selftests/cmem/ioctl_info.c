// SPDX-License-Identifier: GPL-2.0
/*
 * What GET_INFO, GET_BLOCK, GET_POOL and FIND_POOL report is consistent and follows the
 * allocations, and they refuse bad requests.
 */
#include <sys/utsname.h>

#include "cmem_test.h"

FIXTURE(info)
{
	int fd;
	struct snapshot before;
};

FIXTURE_SETUP(info)
{
	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
}

FIXTURE_TEARDOWN(info)
{
	close(self->fd);
	expect_same(&self->before);
}

TEST_F(info, get_info_describes_this_machine)
{
	struct cmem_info info;
	struct utsname name;

	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	EXPECT_EQ(sizeof(info), info.size);
	EXPECT_LE(CMEM_ABI_VERSION, info.abi_version);
	EXPECT_EQ(page_size(), info.alignment);
	EXPECT_LE(4, info.cache_line);
	EXPECT_GE(4096, info.cache_line);
	EXPECT_EQ(0, info.cache_line & (info.cache_line - 1));
	EXPECT_TRUE(info.features & CMEM_FEATURE_SCRUB);
	EXPECT_TRUE(info.features & CMEM_FEATURE_PRIVATE);
	/* x86 snoops. */
	ASSERT_EQ(0, uname(&name));
	if (strstr(name.machine, "86")) {
		EXPECT_TRUE(info.out_flags & CMEM_INFO_COHERENT);
	}
	if (strncmp(name.machine, "aarch64", 7) && strcmp(name.machine, "armv8l")) {
		EXPECT_FALSE(info.out_flags & CMEM_INFO_USER_SYNC);
	}
	EXPECT_TRUE(info.features & CMEM_FEATURE_BLOCK_ADD);
	EXPECT_TRUE(info.features & CMEM_FEATURE_DMABUF);
	EXPECT_TRUE(info.features & CMEM_FEATURE_QUARANTINE);
	if (info.abi_version == CMEM_ABI_VERSION) {
		EXPECT_EQ(0, info.out_flags & ~(CMEM_INFO_COHERENT | CMEM_INFO_USER_SYNC |
						CMEM_INFO_HEAP_FALLBACK));
		EXPECT_EQ(0, info.features & ~(__u64)(CMEM_FEATURE_SCRUB | CMEM_FEATURE_PMD |
						      CMEM_FEATURE_PRIVATE |
						      CMEM_FEATURE_BLOCK_ADD |
						      CMEM_FEATURE_DMABUF |
						      CMEM_FEATURE_QUARANTINE |
						      CMEM_FEATURE_ANY_ADDRESS |
						      CMEM_FEATURE_IMPORT |
						      CMEM_FEATURE_CHANGES |
						      CMEM_FEATURE_PAGES));
	}
}

TEST_F(info, what_was_answered_can_be_asked_with_again)
{
	struct cmem_block_info block = { .size = sizeof(block) };
	struct cmem_info info = { .size = sizeof(info) };

	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, cmem_ioctl(self->fd, CMEM_IOCTL_GET_INFO, &info));
	for (block.block = 0; block.block < (__s32)info.block_limit; block.block++) {
		if (cmem_ioctl(self->fd, CMEM_IOCTL_GET_BLOCK, &block))
			continue;
		ASSERT_EQ(0, cmem_ioctl(self->fd, CMEM_IOCTL_GET_BLOCK, &block))
			TH_LOG("block %d", block.block);
	}
}

#ifdef __aarch64__
TEST_F(info, cache_line_covers_the_cpus_line)
{
	struct cmem_info info;
	unsigned long ctr;
	unsigned int line;

	asm("mrs %0, ctr_el0" : "=r" (ctr));
	line = 4 << (ctr >> 16 & 0xf);
	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	EXPECT_LE(line, info.cache_line);
}
#endif

TEST_F(info, num_blocks_and_block_limit_count_what_get_block_finds)
{
	struct cmem_block_info block;
	struct cmem_info info;
	unsigned int found = 0;

	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	for (__u32 id = 0; id < info.block_limit; id++) {
		int ret = cmem_get_block(self->fd, id, &block);

		if (ret != -ENOENT) {
			ASSERT_EQ(0, ret);
			found++;
		}
	}
	EXPECT_EQ(found, info.num_blocks);
	if (info.block_limit) {
		EXPECT_EQ(0, cmem_get_block(self->fd, info.block_limit - 1, &block));
	} else {
		EXPECT_EQ(0, info.num_blocks);
	}
}

TEST_F(info, a_block_is_its_pools_and_its_heap)
{
	unsigned long page = page_size();

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];
		__u64 sum = b->heap_size;

		EXPECT_EQ(sizeof(*b), b->size);
		EXPECT_EQ(0, b->out_flags & ~(CMEM_BLOCK_KEEP_CONTENTS | CMEM_BLOCK_ADDED |
					      CMEM_BLOCK_IS_MEMORY |
					      CMEM_BLOCK_QUARANTINE | CMEM_BLOCK_RPROC |
					      CMEM_BLOCK_COHERENT |
					      CMEM_BLOCK_DMA_HEAP_POOLS |
					      CMEM_BLOCK_PAGES | CMEM_BLOCK_CAN_PAGES));
		if (b->out_flags & CMEM_BLOCK_PAGES) {
			EXPECT_TRUE(b->out_flags & CMEM_BLOCK_CAN_PAGES);
		}
		EXPECT_EQ(!b->pinned, !b->pinned_buffers);
		EXPECT_LE(b->pinned_pages * page, b->pinned);
		EXPECT_EQ(!b->quarantined, !b->quarantined_buffers);
		EXPECT_LE(b->quarantined, b->length);
		EXPECT_LE(b->failed, b->length);
		EXPECT_EQ(0, b->failed % page);
		EXPECT_GE(CMEM_KIND_CMA, b->kind);
		EXPECT_EQ(b->block == CMEM_BLOCK_CMA, b->kind == CMEM_KIND_CMA);
		EXPECT_GE(CMEM_MAX_POOLS, b->num_pools);
		EXPECT_LT(0, b->length);
		EXPECT_EQ(0, b->base % page);
		EXPECT_EQ(0, b->length % page);
		EXPECT_LT(b->base, b->base + b->length);
		EXPECT_EQ(0, b->heap_size % page);
		EXPECT_EQ(0, b->heap_free % page);
		EXPECT_EQ(0, b->heap_clean % page);
		EXPECT_EQ(0, b->heap_largest % page);
		EXPECT_EQ(b->heap_free > 0, b->heap_largest > 0);
		for (__u32 j = 0; j < b->num_pools; j++) {
			const struct cmem_pool_info *p = &self->before.pool[i][j];

			sum += p->length * p->count;
		}
		if (b->kind != CMEM_KIND_CMA) {
			EXPECT_EQ(b->length, sum) TH_LOG("block %d", b->block);
		}
	}
}

TEST_F(info, pools_lie_inside_their_block_and_apart)
{
	unsigned long page = page_size();

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];

		if (b->kind == CMEM_KIND_CMA)
			continue;
		for (__u32 j = 0; j < b->num_pools; j++) {
			const struct cmem_pool_info *p = &self->before.pool[i][j];
			__u64 end = p->base + p->length * p->count;

			EXPECT_EQ(sizeof(*p), p->size);
			EXPECT_EQ(b->block, p->block);
			EXPECT_EQ(j, p->pool);
			EXPECT_EQ(0, p->flags);
			EXPECT_EQ(0, p->__reserved);
			EXPECT_LT(0, p->count);
			EXPECT_LE(p->free + p->quarantined + p->failed, p->count);
			EXPECT_EQ(0, p->base % page);
			EXPECT_EQ(0, p->length % page);
			EXPECT_LT(0, p->requested_length);
			EXPECT_LE(p->requested_length, p->length);
			EXPECT_GT(p->requested_length + page, p->length);
			EXPECT_LE(b->base, p->base);
			EXPECT_GE(b->base + b->length, end);
			for (__u32 k = 0; k < j; k++) {
				const struct cmem_pool_info *q = &self->before.pool[i][k];

				EXPECT_TRUE(q->base + q->length * q->count <= p->base ||
					    end <= q->base)
					TH_LOG("block %d: pools %u and %u", b->block, k, j);
			}
		}
	}
}

TEST_F(info, blocks_do_not_overlap)
{
	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *a = &self->before.block[i];

		for (unsigned int j = 0; j < i; j++) {
			const struct cmem_block_info *b = &self->before.block[j];

			if (a->kind == CMEM_KIND_CMA || b->kind == CMEM_KIND_CMA)
				continue;
			EXPECT_TRUE(a->base + a->length <= b->base ||
				    b->base + b->length <= a->base)
				TH_LOG("blocks %d and %d", a->block, b->block);
		}
	}
}

TEST_F(info, unknown_blocks_are_ENOENT)
{
	struct cmem_block_info block;
	struct cmem_pool_info pool;
	struct cmem_info info;
	__s32 found;

	ASSERT_EQ(0, cmem_get_info(self->fd, &info));

	const __s32 unknown[] = {
		info.block_limit, info.block_limit + 1, 4, 0x7fffffff, -2, -3, -0x7fffffff - 1,
	};

	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		if (unknown[i] >= 0 && unknown[i] < (__s32)info.block_limit)
			continue;
		EXPECT_REFUSED(ENOENT, cmem_get_block(self->fd, unknown[i], &block));
		EXPECT_REFUSED(ENOENT, cmem_get_pool(self->fd, unknown[i], 0, &pool));
		EXPECT_REFUSED(ENOENT, cmem_find_pool(self->fd, unknown[i], 1, &found));
	}
}

TEST_F(info, without_CMA_block_minus_one_is_ENOENT)
{
	struct cmem_block_info block;
	struct cmem_pool_info pool;
	__s32 found;

	if (self->before.num_blocks && self->before.block[0].block == CMEM_BLOCK_CMA)
		SKIP(return, "this kernel has CMA blocks");
	EXPECT_REFUSED(ENOENT, cmem_get_block(self->fd, CMEM_BLOCK_CMA, &block));
	EXPECT_REFUSED(ENOENT, cmem_get_pool(self->fd, CMEM_BLOCK_CMA, 0, &pool));
	EXPECT_REFUSED(ENOENT, cmem_find_pool(self->fd, CMEM_BLOCK_CMA, 1, &found));
}

TEST_F(info, unknown_pools_are_ENOENT)
{
	struct cmem_pool_info pool;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];
		const __u32 unknown[] = {
			b->num_pools, CMEM_MAX_POOLS, CMEM_MAX_POOLS + 1, 0x7fffffff,
			0x80000000, CMEM_POOL_HEAP, CMEM_POOL_BEST,
		};

		for (size_t j = 0; j < ARRAY_SIZE(unknown); j++) {
			EXPECT_REFUSED(ENOENT, cmem_get_pool(self->fd, b->block, unknown[j],
							     &pool));
		}
	}
}

TEST_F(info, refused_questions_write_nothing)
{
	struct cmem_block_info block;
	struct cmem_block_info asked;

	memset(&block, 0x5a, sizeof(block));
	block.size = sizeof(block);
	block.block = -2;
	block.flags = 0;
	block.out_flags = 0;
	asked = block;
	ASSERT_EQ(-ENOENT, cmem_ioctl(self->fd, CMEM_IOCTL_GET_BLOCK, &block));
	EXPECT_EQ(0, memcmp(&asked, &block, sizeof(block)));
}

TEST_F(info, pool_counters_follow_alloc_and_free)
{
	struct cmem_pool_info before, now;
	struct cmem_alloc buf;
	struct source src;

	if (!find_pool_source(ANY_KIND, 1, 1, &src))
		SKIP(return, "no pool with a free buffer");
	ASSERT_EQ(0, cmem_get_pool(self->fd, src.block, src.pool, &before));
	ASSERT_EQ(0, source_alloc(self->fd, &src, 0, &buf));
	ASSERT_EQ(0, cmem_get_pool(self->fd, src.block, src.pool, &now));
	EXPECT_EQ(before.free - 1, now.free);
	EXPECT_EQ(now.free, now.clean + now.dirty + now.scrubbing);
	EXPECT_EQ(before.count, now.count);
	EXPECT_EQ(before.base, now.base);
	EXPECT_EQ(before.length, now.length);
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	ASSERT_EQ(0, cmem_get_pool(self->fd, src.block, src.pool, &now));
	EXPECT_EQ(before.free, now.free);
	EXPECT_EQ(now.free, now.clean + now.dirty + now.scrubbing);
}

TEST_F(info, heap_counters_follow_alloc_and_free)
{
	struct cmem_block_info before, now;
	unsigned long page = page_size();
	struct cmem_alloc buf;
	struct source src;

	if (!find_heap_source(ANY_KIND, 3 * page, &src))
		SKIP(return, "no heap with three pages free");
	ASSERT_EQ(0, cmem_get_block(self->fd, src.block, &before));
	/* Two pages and a byte occupy three pages. */
	ASSERT_EQ(0, cmem_alloc(self->fd, src.block, CMEM_POOL_HEAP, 2 * page + 1, 0, &buf));
	EXPECT_EQ(3 * page, buf.length);
	ASSERT_EQ(0, cmem_get_block(self->fd, src.block, &now));
	EXPECT_EQ(before.heap_free - 3 * page, now.heap_free);
	EXPECT_GE(before.heap_largest, now.heap_largest);
	EXPECT_GE(now.heap_free, now.heap_clean);
	EXPECT_EQ(before.heap_size, now.heap_size);
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	ASSERT_EQ(0, cmem_get_block(self->fd, src.block, &now));
	EXPECT_EQ(before.heap_free, now.heap_free);
	EXPECT_EQ(before.heap_largest, now.heap_largest);
}

/* The length of the smallest free buffers that hold @length, or 0. */
static __u64 best_length(const struct snapshot *s, unsigned int i, __u64 length)
{
	__u64 best = 0;

	for (__u32 j = 0; j < s->block[i].num_pools; j++) {
		const struct cmem_pool_info *p = &s->pool[i][j];

		if (p->free && p->length >= length && (!best || p->length < best))
			best = p->length;
	}
	return best;
}

TEST_F(info, find_pool_names_the_best_fit)
{
	struct snapshot *s = &self->before;

	for (unsigned int i = 0; i < s->num_blocks; i++) {
		for (__u32 j = 0; j < s->block[i].num_pools; j++) {
			const struct cmem_pool_info *p = &s->pool[i][j];
			const __u64 asked[] = {
				1, p->requested_length, p->length, p->length - 1, p->length + 1,
			};

			for (size_t k = 0; k < ARRAY_SIZE(asked); k++) {
				__u64 best = best_length(s, i, asked[k]);
				__s32 found = -1;
				int ret = cmem_find_pool(self->fd, p->block, asked[k], &found);

				if (!asked[k])
					continue;
				if (!best) {
					EXPECT_GT(0, ret);
					continue;
				}
				ASSERT_EQ(0, ret) TH_LOG("length %llu", asked[k]);
				ASSERT_LE(0, found);
				ASSERT_GT(s->block[i].num_pools, found);
				EXPECT_EQ(best, s->pool[i][found].length)
					TH_LOG("block %d length %llu", p->block, asked[k]);
			}
		}
	}
}

TEST_F(info, find_pool_refuses_what_no_pool_can_hold)
{
	const __u64 top = 1ULL << 63;
	__s32 found;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];
		__u64 largest = 0;

		for (__u32 j = 0; j < b->num_pools; j++)
			if (self->before.pool[i][j].length > largest)
				largest = self->before.pool[i][j].length;

		EXPECT_REFUSED(EINVAL, cmem_find_pool(self->fd, b->block, 0, &found));
		EXPECT_REFUSED(ENOENT, cmem_find_pool(self->fd, b->block, largest + 1, &found));
		EXPECT_REFUSED(ENOENT, cmem_find_pool(self->fd, b->block, top, &found));
		EXPECT_REFUSED(ENOENT, cmem_find_pool(self->fd, b->block, ~0ULL, &found));
		EXPECT_REFUSED(ENOENT, cmem_find_pool(self->fd, b->block, ~0ULL - 4095, &found));
	}
}

TEST_F(info, find_pool_goes_to_the_next_larger_pool_and_ends_with_ENOMEM)
{
	struct snapshot *s = &self->before;
	bool tried = false;

	for (unsigned int i = 0; i < s->num_blocks; i++) {
		struct cmem_alloc buf;
		__u64 length = 0;
		__u32 count = 0;
		__s32 found;

		for (__u32 j = 0; j < s->block[i].num_pools; j++)
			count += s->pool[i][j].free;
		if (!count || count > COUNT_LIMIT || s->block[i].kind == CMEM_KIND_CMA)
			continue;
		tried = true;
		/* Allocate what it names until nothing is left: lengths never drop. */
		while (count--) {
			ASSERT_EQ(0, cmem_find_pool(self->fd, s->block[i].block, 1, &found));
			EXPECT_LE(length, s->pool[i][found].length);
			length = s->pool[i][found].length;
			ASSERT_EQ(0, cmem_alloc(self->fd, s->block[i].block, found, 0, 0, &buf));
		}
		EXPECT_REFUSED(ENOMEM, cmem_find_pool(self->fd, s->block[i].block, 1, &found));
		EXPECT_REFUSED(ENOMEM, cmem_find_pool(self->fd, s->block[i].block, length,
						      &found));
	}
	if (!tried)
		SKIP(return, "no block with pools small enough to be emptied");
}

TEST_HARNESS_MAIN
