// SPDX-License-Identifier: GPL-2.0
/*
 * A new owner never sees an old byte, whatever the memory, its old and new mappings and
 * its other holders; an owner gets its own memory back without waiting; and free memory
 * becomes clean by itself.
 */
#include "cmem_dmabuf.h"
#include "cmem_trace.h"

#define MAX_BUFFERS 2048

FIXTURE(scrub)
{
	int a;
	int b;
	struct source src;
	struct snapshot before;
};

/* The flags apply to the new owner. */
SOURCE_VARIANTS(scrub);

static const __u32 old_flags[] = { CMEM_ALLOC_CACHED, 0 };

/* Iterates over the pools or heaps of this kind that can be used up. */
static bool next_source(const struct snapshot *s, int kind, bool heap, int *next,
			struct source *src)
{
	int n = 0;

	for (unsigned int i = 0; i < s->num_blocks; i++) {
		const struct cmem_block_info *b = &s->block[i];

		if (!is_of_kind(b, kind))
			continue;
		if (heap && b->heap_free && b->heap_free <= TOUCH_LIMIT && n++ == *next) {
			*src = (struct source){ b->block, CMEM_POOL_HEAP, b->heap_free };
			++*next;
			return true;
		}
		for (__u32 j = 0; !heap && j < b->num_pools; j++) {
			const struct cmem_pool_info *p = &s->pool[i][j];

			if (!p->free || p->free > COUNT_LIMIT ||
			    p->free * p->length > TOUCH_LIMIT || n++ != *next)
				continue;
			*src = (struct source){ p->block, j, p->length };
			++*next;
			return true;
		}
	}
	return false;
}

FIXTURE_SETUP(scrub)
{
	__u64 least = 0;
	struct source src;
	int next = 0;

	OPEN_OR_SKIP(self->a);
	self->b = cmem_open();
	ASSERT_LE(0, self->b);
	ASSERT_EQ(0, take_snapshot(&self->before));
	/* The source with the least memory, but enough to catch the cleaner at work. */
	while (next_source(&self->before, variant->kind, variant->heap, &next, &src)) {
		__u64 bytes = source_free(self->a, &src) * (variant->heap ? 1 : src.length);

		if (bytes >= 1 << 20 && (!least || bytes < least)) {
			least = bytes;
			self->src = src;
		}
	}
	if (!least)
		SKIP(return, "no such memory on this board, or too much of it");
}

FIXTURE_TEARDOWN(scrub)
{
	close(self->a);
	close(self->b);
	expect_same(&self->before);
}

static struct cmem_alloc buf[MAX_BUFFERS];

/* Allocates all of the source through @fd and fills it; returns the number of buffers. */
static int fill_all(struct __test_metadata *_metadata, int fd, const struct source *src,
		    __u32 flags, __u32 tag)
{
	int count = drain(fd, src, flags, buf, MAX_BUFFERS);

	ASSERT_LT(0, count);
	for (int i = 0; i < count; i++) {
		char *map = cmem_map(fd, &buf[i]);

		ASSERT_MAPPED(map);
		fill(map, buf[i].length, tag);
		ASSERT_EQ(0, munmap(map, buf[i].length));
	}
	return count;
}

/* Allocates all of the source through @fd: each word is 0. */
static int expect_all_zero(struct __test_metadata *_metadata, int fd, const struct source *src,
			   __u32 flags)
{
	int count = drain(fd, src, flags, buf, MAX_BUFFERS);

	ASSERT_LT(0, count);
	for (int i = 0; i < count; i++) {
		__u64 *map = cmem_map(fd, &buf[i]);
		long long at;

		ASSERT_MAPPED(map);
		at = find_nonzero(map, buf[i].length);
		EXPECT_EQ(-1, at)
			TH_LOG("buffer %#llx: byte %#llx is from %#llx", buf[i].phys_addr, at,
			       map[at / sizeof(*map)]);
		ASSERT_EQ(0, munmap(map, buf[i].length));
	}
	return count;
}

static void free_all(struct __test_metadata *_metadata, int fd, int count)
{
	while (count--) {
		ASSERT_EQ(0, cmem_free(fd, buf[count].phys_addr));
	}
}

TEST_F(scrub, a_new_owner_finds_all_of_every_pool_and_heap_zero)
{
	for (size_t i = 0; i < ARRAY_SIZE(old_flags); i++) {
		int next = 0;

		while (next_source(&self->before, variant->kind, variant->heap, &next,
				   &self->src)) {
			int count = fill_all(_metadata, self->a, &self->src, old_flags[i], 0xabcd);

			free_all(_metadata, self->a, count);
			count = expect_all_zero(_metadata, self->b, &self->src, variant->flags);
			free_all(_metadata, self->b, count);
		}
	}
}

TEST_F(scrub, the_owner_of_a_file_opened_later_is_a_new_one)
{
	fill_all(_metadata, self->a, &self->src, CMEM_ALLOC_CACHED, 0xabcd);
	close(self->a);
	/* Probably with the same descriptor and the same memory for its struct. */
	self->a = cmem_open();
	expect_all_zero(_metadata, self->a, &self->src, variant->flags);
}

TEST_F(scrub, the_next_owner_after_a_kill_finds_zeros)
{
	pid_t pid;

	IN_CHILD(pid) {
		fill_all(_metadata, cmem_open(), &self->src, CMEM_ALLOC_CACHED, 0xabcd);
	}
	join_child(pid);
	expect_all_zero(_metadata, self->a, &self->src, variant->flags);
}

TEST_F(scrub, with_another_attribute_the_same_owner_gets_zeros)
{
	__u32 other_flags = variant->flags ^ CMEM_ALLOC_CACHED;
	int count;

	if (variant->kind == CMEM_KIND_SRAM)
		SKIP(return, "it has only one: never cached");
	count = fill_all(_metadata, self->a, &self->src, other_flags, 0xabcd);
	free_all(_metadata, self->a, count);
	expect_all_zero(_metadata, self->a, &self->src, variant->flags);
}

TEST_F(scrub, the_same_owner_gets_zeros_or_his_own_and_nothing_else)
{
	struct cmem_alloc own;

	for (unsigned int n = 0; n < scaled(128); n++) {
		__u64 *map;

		ASSERT_EQ(0, cmem_alloc(self->a, self->src.block, self->src.pool, 1,
					variant->flags, &own));
		map = cmem_map(self->a, &own);
		ASSERT_MAPPED(map);
		for (size_t i = 0; i < own.length / sizeof(*map); i++) {
			ASSERT_TRUE(!map[i] || map[i] == fill_word(0xabcd, i))
				TH_LOG("word %zu is %#llx", i, map[i]);
		}
		fill(map, own.length < SZ_2M ? own.length : SZ_2M, 0xabcd);
		ASSERT_EQ(0, munmap(map, own.length));
		ASSERT_EQ(0, cmem_free(self->a, own.phys_addr));
		/* Sometimes the cleaner runs in between. */
		if (n % 16 == 0)
			usleep(n * 2000);
	}
}

/* Allocates and fills one buffer with tag 0xabcd, the only one of a. */
static void fill_one(struct __test_metadata *_metadata, FIXTURE_DATA(scrub) *self,
		     struct cmem_alloc *shared, char **map)
{
	__u64 length = self->src.pool == CMEM_POOL_HEAP ? 16 * page_size() : 0;

	ASSERT_EQ(0, cmem_alloc(self->a, self->src.block, self->src.pool, length,
				CMEM_ALLOC_CACHED, shared));
	*map = cmem_map(self->a, shared);
	ASSERT_MAPPED(*map);
	fill(*map, shared->length, 0xabcd);
}

TEST_F(scrub, what_another_file_was_registered_for_comes_back_clean_even_to_its_owner)
{
	struct cmem_alloc shared;
	char *map;

	for (int owner_last = 0; owner_last < 2; owner_last++) {
		fill_one(_metadata, self, &shared, &map);
		ASSERT_EQ(0, munmap(map, shared.length));
		ASSERT_EQ(0, cmem_register(self->b, shared.phys_addr));
		ASSERT_EQ(0, cmem_free(owner_last ? self->b : self->a, shared.phys_addr));
		ASSERT_EQ(0, cmem_free(owner_last ? self->a : self->b, shared.phys_addr));
		/* All of it, to be sure that it includes this buffer. */
		free_all(_metadata, self->a,
			 expect_all_zero(_metadata, self->a, &self->src, CMEM_ALLOC_CACHED));
	}
	/* b wrote to it, but does not get it back without scrubbing, either. */
	fill_one(_metadata, self, &shared, &map);
	ASSERT_EQ(0, munmap(map, shared.length));
	ASSERT_EQ(0, cmem_register(self->b, shared.phys_addr));
	ASSERT_EQ(0, cmem_free(self->a, shared.phys_addr));
	ASSERT_EQ(0, cmem_free(self->b, shared.phys_addr));
	expect_all_zero(_metadata, self->b, &self->src, CMEM_ALLOC_CACHED);
}

TEST_F(scrub, what_a_child_inherited_comes_back_clean_even_to_its_owner)
{
	struct cmem_alloc shared;
	char *map;
	pid_t pid;

	fill_one(_metadata, self, &shared, &map);
	IN_CHILD(pid) {
		fill(map, shared.length, 0xabcd);
	}
	join_child(pid);
	ASSERT_EQ(0, munmap(map, shared.length));
	ASSERT_EQ(0, cmem_free(self->a, shared.phys_addr));
	expect_all_zero(_metadata, self->a, &self->src, CMEM_ALLOC_CACHED);
}

TEST_F(scrub, what_was_a_DMA_BUF_comes_back_clean_even_to_its_owner)
{
	struct cmem_alloc shared;
	int dmabuf;
	char *map;

	DMABUF_OR_SKIP(self->a);
	/* Whether or not anybody used the DMA-BUF, and whatever goes last */
	for (int owner_last = 0; owner_last < 2; owner_last++) {
		fill_one(_metadata, self, &shared, &map);
		ASSERT_EQ(0, munmap(map, shared.length));
		dmabuf = cmem_export(self->a, shared.phys_addr, O_RDONLY | O_CLOEXEC);
		ASSERT_LE(0, dmabuf);
		if (owner_last)
			close(dmabuf);
		ASSERT_EQ(0, cmem_free(self->a, shared.phys_addr));
		if (!owner_last)
			close(dmabuf);
		free_all(_metadata, self->a,
			 expect_all_zero(_metadata, self->a, &self->src, CMEM_ALLOC_CACHED));
	}
}

TEST_F(scrub, what_was_written_through_a_DMA_BUF_is_clean_for_the_next_owner)
{
	struct cmem_alloc shared;
	int dmabuf;
	char *map;

	DMABUF_OR_SKIP(self->a);
	fill_one(_metadata, self, &shared, &map);
	ASSERT_EQ(0, munmap(map, shared.length));
	dmabuf = cmem_export(self->a, shared.phys_addr, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, cmem_free(self->a, shared.phys_addr));
	/* Long after the free, and after the file descriptor was closed */
	map = dmabuf_map(dmabuf, 0, shared.length);
	ASSERT_MAPPED(map);
	close(dmabuf);
	fill(map, shared.length, 0xabce);
	ASSERT_EQ(0, munmap(map, shared.length));
	expect_all_zero(_metadata, self->b, &self->src, variant->flags);
}

TEST_F(scrub, what_was_mapped_at_the_free_is_clean_for_the_next_owner_after_the_munmap)
{
	struct cmem_alloc shared;
	char *map;

	fill_one(_metadata, self, &shared, &map);
	ASSERT_EQ(0, cmem_free(self->a, shared.phys_addr));
	fill(map, shared.length, 0xabce);
	ASSERT_EQ(0, munmap(map, shared.length));
	expect_all_zero(_metadata, self->b, &self->src, variant->flags);
}

/* On-chip memory is not cleaned before it was used. */
static void touch_all(struct __test_metadata *_metadata, FIXTURE_DATA(scrub) *self)
{
	int count = drain(self->b, &self->src, CMEM_ALLOC_CACHED, buf, MAX_BUFFERS);

	free_all(_metadata, self->b, count);
}

static bool all_clean(int fd, const struct source *src)
{
	struct cmem_block_info block;
	struct cmem_pool_info pool;

	if (src->pool == CMEM_POOL_HEAP)
		return !cmem_get_block(fd, src->block, &block) &&
		       block.heap_clean == block.heap_free;
	return !cmem_get_pool(fd, src->block, src->pool, &pool) && pool.clean == pool.free;
}

TEST_F(scrub, what_is_free_gets_clean_by_itself)
{
	if (variant->kind == CMEM_KIND_CMA)
		SKIP(return, "what is free is the kernel's to use");
	touch_all(_metadata, self);
	EXPECT_TRUE(eventually(all_clean(self->b, &self->src)));
	fill_all(_metadata, self->a, &self->src, CMEM_ALLOC_CACHED, 0xabcd);
	close(self->a);
	EXPECT_TRUE(eventually(all_clean(self->b, &self->src)));
	/* After use, it is cleaned. */
	self->a = cmem_open();
	expect_all_zero(_metadata, self->a, &self->src, variant->flags);
}

TEST_F(scrub, what_is_being_cleaned_is_waited_for_and_not_refused)
{
	for (unsigned int n = 0; n < scaled(variant->heap ? 6 : 30); n++) {
		int fd = n % 2 ? self->a : self->b;
		int count = drain(fd, &self->src, variant->flags, buf, MAX_BUFFERS);

		ASSERT_LT(0, count);
		/* No buffer is missing, at whatever moment the cleaner is caught. */
		ASSERT_EQ(0, source_free(fd, &self->src));
		free_all(_metadata, fd, count);
		usleep(n % 10 * 5000);
	}
}

/* An owner that allocates its own memory again */

static void count_scrub(const char *name, const char *fields, void *arg)
{
	int *count = arg;

	*count += !strcmp(name, "cmem_scrub");
}

TEST_F(scrub, an_owner_never_has_to_clean_what_was_only_his)
{
	struct cmem_alloc own;
	int scrubbed = 0;

	if (variant->kind == CMEM_KIND_CMA)
		SKIP(return, "what is free is the kernel's to use");
	if (!trace_begin())
		SKIP(return, "no tracefs");
	if (!trace_has("cmem/cmem_scrub")) {
		trace_end();
		SKIP(return, "no tracepoints");
	}
	touch_all(_metadata, self);
	ASSERT_TRUE(eventually(all_clean(self->a, &self->src)));
	ASSERT_EQ(0, cmem_alloc(self->a, self->src.block, self->src.pool, 1, variant->flags,
				&own));
	ASSERT_TRUE(trace_enable("cmem/cmem_scrub", getpid()));
	for (unsigned int n = 0; n < scaled(2000); n++) {
		ASSERT_EQ(0, cmem_free(self->a, own.phys_addr));
		ASSERT_EQ(0, cmem_alloc(self->a, self->src.block, self->src.pool, 1,
					variant->flags, &own));
	}
	ASSERT_LE(0, trace_for_each(count_scrub, &scrubbed));
	EXPECT_EQ(0, scrubbed);

	/* Proof that the trace works: it shows the scrubber's own work. */
	ASSERT_TRUE(trace_everybody("cmem/cmem_scrub"));
	EXPECT_EQ(0, cmem_free(self->a, own.phys_addr));
	ASSERT_TRUE(eventually(all_clean(self->a, &self->src)));
	ASSERT_LE(0, trace_for_each(count_scrub, &scrubbed));
	EXPECT_LT(0, scrubbed);
	trace_end();
}

/* How long memory is kept for its last owner */

#define DELAY_PARAMETER "/sys/module/cmem/parameters/scrub_delay_ms"

static int set_delay(const char *value)
{
	int fd = open(DELAY_PARAMETER, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

FIXTURE(delay)
{
	int fd;
	struct source src;
	char before[16];
	struct snapshot blocks;
};

FIXTURE_VARIANT(delay)
{
	bool heap;
};

FIXTURE_VARIANT_ADD(delay, pool) { .heap = false };
FIXTURE_VARIANT_ADD(delay, heap) { .heap = true };

FIXTURE_SETUP(delay)
{
	FILE *parameter;

	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->blocks));
	if (!find_source(ANY_KIND, variant->heap, page_size(), &self->src))
		SKIP(return, "no %s with a page free", variant->heap ? "heap" : "pool");
	parameter = fopen(DELAY_PARAMETER, "re");
	ASSERT_POINTER(parameter);
	ASSERT_POINTER(fgets(self->before, sizeof(self->before), parameter));
	fclose(parameter);
}

FIXTURE_TEARDOWN(delay)
{
	if (self->before[0])
		EXPECT_EQ(0, set_delay(self->before));
	close(self->fd);
	expect_same(&self->blocks);
}

TEST_F(delay, what_waits_longer_is_cleaned_when_the_time_gets_shorter)
{
	struct cmem_alloc own;

	ASSERT_TRUE(eventually(all_clean(self->fd, &self->src)));
	/* An hour: the test does not wait for that. */
	ASSERT_EQ(0, set_delay("3600000\n"));
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &own));
	ASSERT_EQ(0, cmem_free(self->fd, own.phys_addr));
	EXPECT_FALSE(all_clean(self->fd, &self->src));
	ASSERT_EQ(0, set_delay("0"));
	EXPECT_TRUE(eventually(all_clean(self->fd, &self->src)));
}

TEST_F(delay, a_time_that_is_none_is_refused)
{
	static const char *const wrong[] = { "3600001", "-1", "1s", "\n", "4294967396" };
	char now[16];
	FILE *parameter;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_EQ(-EINVAL, set_delay(wrong[i])) TH_LOG("%s", wrong[i]);
	}
	parameter = fopen(DELAY_PARAMETER, "re");
	ASSERT_POINTER(parameter);
	ASSERT_POINTER(fgets(now, sizeof(now), parameter));
	fclose(parameter);
	EXPECT_STREQ(self->before, now);
}

/* Blocks that opted out */

FIXTURE(keep)
{
	int a;
	int b;
	__s32 block;
	struct snapshot before;
};

FIXTURE_SETUP(keep)
{
	bool found = false;

	OPEN_OR_SKIP(self->a);
	self->b = cmem_open();
	ASSERT_LE(0, self->b);
	ASSERT_EQ(0, take_snapshot(&self->before));
	for (unsigned int i = 0; i < self->before.num_blocks && !found; i++) {
		found = self->before.block[i].out_flags & CMEM_BLOCK_KEEP_CONTENTS;
		self->block = self->before.block[i].block;
	}
	if (!found)
		SKIP(return, "no block that keeps its contents");
}

FIXTURE_TEARDOWN(keep)
{
	close(self->a);
	close(self->b);
	expect_same(&self->before);
}

TEST_F(keep, the_next_owner_finds_what_the_last_one_left)
{
	struct source src = { self->block, CMEM_POOL_HEAP, 0 };
	struct cmem_alloc old;
	bool seen = false;
	int count;
	char *map;

	ASSERT_EQ(0, cmem_alloc(self->a, self->block, CMEM_POOL_BEST, 1,
				CMEM_ALLOC_HEAP_FALLBACK, &old));
	src.pool = old.pool;
	map = cmem_map(self->a, &old);
	ASSERT_MAPPED(map);
	fill(map, old.length, 0xabcd);
	ASSERT_EQ(0, munmap(map, old.length));
	ASSERT_EQ(0, cmem_free(self->a, old.phys_addr));
	count = drain(self->b, &src, 0, buf, MAX_BUFFERS);
	ASSERT_LT(0, count);
	for (int i = 0; i < count && !seen; i++) {
		__u64 offset = old.phys_addr - buf[i].phys_addr;

		if (!overlaps(&buf[i], &old))
			continue;
		map = cmem_map(self->b, &buf[i]);
		ASSERT_MAPPED(map);
		EXPECT_EQ(-1, find_stranger(map + offset, old.length, 0xabcd));
		ASSERT_EQ(0, munmap(map, buf[i].length));
		seen = true;
	}
	EXPECT_TRUE(seen);
}

TEST_HARNESS_MAIN
