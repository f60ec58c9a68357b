// SPDX-License-Identifier: GPL-2.0
/*
 * Block -1: memory from CMA areas. It keeps all promises of other blocks, which the other
 * programs test. This one tests what is special: each pool is an area of its own, memory
 * comes from that area or not at all, and the kernel may use free memory.
 */
#include <dirent.h>

#include "cmem_test.h"

#define CMA_DEBUGFS "/sys/kernel/debug/cma"

FIXTURE(cma)
{
	int fd;
	struct cmem_block_info block;
	struct snapshot before;
};

FIXTURE_SETUP(cma)
{
	int ret;

	OPEN_OR_SKIP(self->fd);
	ret = cmem_get_block(self->fd, CMEM_BLOCK_CMA, &self->block);
	if (ret == -ENOENT)
		SKIP(return, "no CMA");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, take_snapshot(&self->before));
}

FIXTURE_TEARDOWN(cma)
{
	close(self->fd);
	expect_same(&self->before);
}

#define FOR_EACH_POOL(info, n)						\
	for ((n) = 0; (n) < self->block.num_pools &&			\
	     !cmem_get_pool(self->fd, CMEM_BLOCK_CMA, n, info); (n)++)

/* Reads a value of the kernel for the area that begins at @base, or -1. */
static long long area_number(__u64 base, const char *what)
{
	struct dirent *entry;
	DIR *dir = opendir(CMA_DEBUGFS);
	long long found = -1;

	while (dir && found < 0 && (entry = readdir(dir))) {
		unsigned long long pfn = 0;
		char path[400];
		FILE *file;

		snprintf(path, sizeof(path), CMA_DEBUGFS "/%s/base_pfn", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fscanf(file, "%llu", &pfn) != 1)
			pfn = 0;
		fclose(file);
		if (!pfn || pfn * page_size() != base)
			continue;
		snprintf(path, sizeof(path), CMA_DEBUGFS "/%s/%s", entry->d_name, what);
		file = fopen(path, "r");
		if (!file || fscanf(file, "%lld", &found) != 1)
			found = -1;
		if (file)
			fclose(file);
	}
	if (dir)
		closedir(dir);
	return found;
}

TEST_F(cma, the_block_tells_what_it_is)
{
	struct cmem_info info;
	struct cmem_pool_info pool;
	__u32 n;

	EXPECT_EQ(CMEM_BLOCK_CMA, self->block.block);
	EXPECT_EQ(CMEM_KIND_CMA, self->block.kind);
	EXPECT_EQ(0, self->block.base);
	EXPECT_EQ(0, self->block.heap_clean);
	EXPECT_LE(self->block.heap_size, self->block.length);
	FOR_EACH_POOL(&pool, n) {
		EXPECT_EQ(pool.count, pool.free);
		EXPECT_EQ(pool.count, pool.dirty);
		EXPECT_EQ((pool.requested_length + page_size() - 1) & -page_size(), pool.length);
	}
	EXPECT_EQ(self->block.num_pools, n);
	EXPECT_EQ(-ENOENT, cmem_get_pool(self->fd, CMEM_BLOCK_CMA, n, &pool));
	/* It is not among the numbered blocks. */
	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	EXPECT_EQ(self->before.num_blocks, info.num_blocks + 1);
}

TEST_F(cma, no_other_negative_number_is_a_block)
{
	static const __s32 wrong[] = { -2, -3, -32768, -2147483647 - 1 };
	struct cmem_block_info block;
	struct cmem_alloc buf;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_EQ(-ENOENT, cmem_get_block(self->fd, wrong[i], &block));
		EXPECT_REFUSED(ENOENT, cmem_alloc(self->fd, wrong[i], CMEM_POOL_HEAP, 4096, 0,
						  &buf));
	}
}

TEST_F(cma, a_pools_memory_is_of_its_area_however_small_it_is)
{
	static struct cmem_alloc buf[COUNT_LIMIT];
	struct cmem_pool_info pool;
	bool tried = false;
	__u32 n;

	FOR_EACH_POOL(&pool, n) {
		long long pages = area_number(pool.base, "count");
		struct source src = { CMEM_BLOCK_CMA, n, pool.length };
		int count;

		if (!pool.count || pool.count > COUNT_LIMIT)
			continue;
		if (pages < 0)
			SKIP(return, "no CONFIG_CMA_DEBUGFS");
		tried = true;
		count = drain(self->fd, &src, CMEM_ALLOC_CACHED, buf, COUNT_LIMIT);
		ASSERT_EQ(pool.count, count);
		for (int i = 0; i < count; i++) {
			EXPECT_EQ(n, buf[i].pool);
			EXPECT_EQ(pool.length, buf[i].length);
			EXPECT_LE(pool.base, buf[i].phys_addr);
			EXPECT_GE(pool.base + pages * page_size(),
				  buf[i].phys_addr + buf[i].length);
			for (int j = 0; j < i; j++)
				EXPECT_FALSE(overlaps(&buf[i], &buf[j]));
		}
		/* That is all: no page comes from ordinary memory. */
		EXPECT_EQ(-ENOMEM, cmem_alloc(self->fd, CMEM_BLOCK_CMA, n, 1, 0, &buf[0]));
	}
	if (!tried)
		SKIP(return, "no pool of CMA");
}

TEST_F(cma, what_is_freed_is_the_kernels_again)
{
	struct cmem_alloc buf;
	long long used;
	__u32 n;
	struct cmem_pool_info pool;

	FOR_EACH_POOL(&pool, n) {
		used = area_number(pool.base, "used");
		if (used < 0)
			SKIP(return, "no CONFIG_CMA_DEBUGFS");
		ASSERT_EQ(0, cmem_alloc(self->fd, CMEM_BLOCK_CMA, n, 0, 0, &buf));
		EXPECT_EQ(used + (long long)(pool.length / page_size()),
			  area_number(pool.base, "used"));
		ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
		EXPECT_EQ(used, area_number(pool.base, "used"));
	}
	if (!n)
		SKIP(return, "no pool of CMA");
}

TEST_F(cma, the_best_pool_is_never_left_for_a_larger_one)
{
	static struct cmem_alloc buf[COUNT_LIMIT];
	struct cmem_pool_info pool, larger;
	__s32 best, found;
	int count;

	if (cmem_find_pool(self->fd, CMEM_BLOCK_CMA, 1, &best))
		SKIP(return, "no pool of CMA");
	ASSERT_EQ(0, cmem_get_pool(self->fd, CMEM_BLOCK_CMA, best, &pool));
	if (cmem_find_pool(self->fd, CMEM_BLOCK_CMA, pool.length + 1, &found))
		SKIP(return, "no second pool with larger buffers");
	ASSERT_EQ(0, cmem_get_pool(self->fd, CMEM_BLOCK_CMA, found, &larger));
	EXPECT_LT(pool.length, larger.length);

	for (count = 0; count < (int)pool.count && count < COUNT_LIMIT; count++) {
		ASSERT_EQ(0, cmem_alloc(self->fd, CMEM_BLOCK_CMA, CMEM_POOL_BEST, 1, 0,
					&buf[count]));
		EXPECT_EQ(best, buf[count].pool);
	}
	EXPECT_REFUSED(ENOMEM, cmem_alloc(self->fd, CMEM_BLOCK_CMA, CMEM_POOL_BEST, 1, 0,
					  &buf[0]));
	EXPECT_REFUSED(ENOMEM, cmem_find_pool(self->fd, CMEM_BLOCK_CMA, 1, &found));
	ASSERT_EQ(0, cmem_alloc(self->fd, CMEM_BLOCK_CMA, CMEM_POOL_BEST, pool.length + 1, 0,
				&buf[0]));
	EXPECT_EQ(larger.pool, buf[0].pool);
}

TEST_F(cma, a_pool_that_is_named_gives_a_longer_buffer_in_place_of_some_of_its_own)
{
	struct cmem_alloc buf, more;
	struct cmem_pool_info pool, now;
	bool tried = false;
	__u32 n;

	FOR_EACH_POOL(&pool, n) {
		if (pool.count < 4)
			continue;
		tried = true;
		ASSERT_EQ(0, cmem_alloc(self->fd, CMEM_BLOCK_CMA, n, 2 * pool.length + 1, 0,
					&buf));
		EXPECT_EQ(2 * pool.length + page_size(), buf.length);
		EXPECT_EQ(n, buf.pool);
		ASSERT_EQ(0, cmem_get_pool(self->fd, CMEM_BLOCK_CMA, n, &now));
		EXPECT_EQ(pool.free - 3, now.free);
		EXPECT_REFUSED(ENOMEM, cmem_alloc(self->fd, CMEM_BLOCK_CMA, n,
						  pool.count * pool.length, 0, &more));
		EXPECT_REFUSED(EINVAL, cmem_alloc(self->fd, CMEM_BLOCK_CMA, n,
						  pool.count * pool.length + 1, 0, &more));
		ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
		ASSERT_EQ(0, cmem_alloc(self->fd, CMEM_BLOCK_CMA, n, pool.count * pool.length, 0,
					&buf));
		ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	}
	if (!tried)
		SKIP(return, "no pool of CMA with four buffers");
}

TEST_F(cma, with_heap_fallback_the_heap_serves_when_the_pool_is_empty)
{
	static struct cmem_alloc buf[COUNT_LIMIT];
	struct cmem_pool_info pool;
	struct source src;
	__s32 best;

	if (cmem_find_pool(self->fd, CMEM_BLOCK_CMA, 1, &best))
		SKIP(return, "no pool of CMA");
	ASSERT_EQ(0, cmem_get_pool(self->fd, CMEM_BLOCK_CMA, best, &pool));
	if (self->block.heap_free < pool.length)
		SKIP(return, "no heap for it");
	src = (struct source){ CMEM_BLOCK_CMA, best, pool.length };
	ASSERT_LT(0, drain(self->fd, &src, 0, buf, COUNT_LIMIT));
	ASSERT_EQ(0, cmem_alloc(self->fd, CMEM_BLOCK_CMA, CMEM_POOL_BEST, 1,
				CMEM_ALLOC_HEAP_FALLBACK, &buf[0]));
	EXPECT_EQ(CMEM_POOL_HEAP, buf[0].pool);
	EXPECT_EQ(page_size(), buf[0].length);
}

TEST_F(cma, alignments_are_granted_as_far_as_the_area_has_them)
{
	struct cmem_alloc buf;

	if (self->block.heap_largest < 8 << 20)
		SKIP(return, "no heap of CMA of 8 MiB");
	for (__u64 align = 1; align <= 2 << 20; align *= 2) {
		ASSERT_EQ(0, cmem_alloc_aligned(self->fd, CMEM_BLOCK_CMA, CMEM_POOL_HEAP, 4096,
						align, 0, &buf));
		EXPECT_EQ(0, buf.phys_addr % align);
	}
	EXPECT_REFUSED(ENOMEM, cmem_alloc_aligned(self->fd, CMEM_BLOCK_CMA, CMEM_POOL_HEAP, 4096,
						  1ULL << 52, 0, &buf));
	EXPECT_REFUSED(ENOMEM, cmem_alloc_aligned(self->fd, CMEM_BLOCK_CMA, CMEM_POOL_HEAP, 4096,
						  1ULL << 63, 0, &buf));
}

TEST_F(cma, who_is_killed_while_he_allocates_leaves_nothing)
{
	unsigned int hits = 0, runs = 0;
	volatile bool *allocating;
	struct source src;

	if (!find_heap_source(CMEM_KIND_CMA, 8 << 20, &src))
		SKIP(return, "no heap of CMA of 8 MiB");
	allocating = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			  -1, 0);
	ASSERT_MAPPED((void *)allocating);
	/* Until enough signals hit the child in ALLOC, where it mostly is. */
	while (hits < scaled(50)) {
		pid_t pid;

		ASSERT_GT(scaled(50) * 20, runs);
		*allocating = false;
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			struct cmem_alloc buf;
			int fd = cmem_open();

			for (;;) {
				int ret;

				*allocating = true;
				ret = cmem_alloc(fd, src.block, src.pool, src.length,
						 runs % 2 ? CMEM_ALLOC_CACHED : 0, &buf);
				*allocating = false;
				if (!ret)
					cmem_free(fd, buf.phys_addr);
			}
		}
		ASSERT_TRUE(eventually(*allocating));
		usleep(runs++ % 100 * 200);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		hits += *allocating;
		ASSERT_TRUE(eventually(is_same(&self->before)));
	}
	ASSERT_EQ(0, munmap((void *)allocating, page_size()));
}

TEST_HARNESS_MAIN
