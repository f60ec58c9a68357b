// SPDX-License-Identifier: GPL-2.0
/*
 * Blocks that come and go while the system runs: the tests remove a block and carve up
 * its memory anew, in valid and invalid ways, while it is in use and while others work.
 * At the end they restore the original block.
 */
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include <linux/capability.h>

#include "cmem_test.h"

#define IOMEM "/proc/iomem"

/* Flags that the board sets for a block, whoever adds the block */
#define BOARDS (CMEM_BLOCK_COHERENT | CMEM_BLOCK_DMA_HEAP_POOLS | \
		CMEM_BLOCK_PAGES | CMEM_BLOCK_CAN_PAGES)

FIXTURE(block)
{
	int fd;
	int other_fd;			/* another owner */
	unsigned long page;
	struct snapshot before;
	struct spare_block spare;	/* the original; removed when a test begins */
	__s32 id;
	__u64 base;
	__u64 length;
	__s32 unused;			/* a number that no block has */
};

FIXTURE_SETUP(block)
{
	struct cmem_info info;

	self->page = page_size();
	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	self->other_fd = cmem_open();
	ASSERT_LE(0, self->other_fd);
	if (!find_spare_block(self->fd, CMEM_BLOCK_CMA, &self->spare))
		SKIP(return, "no block to remove");
	self->id = self->spare.info.block;
	self->base = self->spare.info.base;
	self->length = self->spare.info.length;
	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	self->unused = info.block_limit + 3;
	ASSERT_EQ(0, cmem_block_remove(self->fd, self->id));
}

FIXTURE_TEARDOWN(block)
{
	int fd = cmem_open();

	close(self->fd);
	close(self->other_fd);
	/* What a failed test left behind */
	for (__s32 id = self->unused; id < self->unused + 3; id++)
		cmem_block_remove(fd, id);
	cmem_block_remove(fd, self->id);
	EXPECT_EQ(0, put_back_block(fd, &self->spare));
	close(fd);
	expect_same(&self->before);
}

/* Our block again, with our own pools */
static int add(FIXTURE_DATA(block) *self, const struct cmem_block_pool *pools, __u32 num_pools)
{
	return cmem_block_add(self->fd, self->id, self->base, self->length, 0, pools, num_pools);
}

static const struct cmem_block_pool small_pools[] = {
	{ .count = 3, .length = 30000 }, { .count = 2, .length = 5 },
};

/* Whether a file has a line that begins with some text */
static bool has_line(const char *path, const char *text)
{
	char line[512];
	bool found = false;
	FILE *f = fopen(path, "re");

	while (f && !found && fgets(line, sizeof(line), f))
		found = !strncmp(line, text, strlen(text));
	if (f)
		fclose(f);
	return found;
}

static bool proc_has(__s32 id)
{
	char text[32];

	snprintf(text, sizeof(text), "Block %d:", id);
	return has_line("/proc/cmem", text);
}

static void debugfs_path(__s32 id, char *path, size_t size)
{
	snprintf(path, size, "/sys/kernel/debug/cmem/%d/extents", id);
}

TEST_F(block, its_memory_is_carved_anew)
{
	struct cmem_alloc buf[6];
	struct cmem_block_info info;
	struct cmem_pool_info pool;
	char path[64];
	char *map;

	ASSERT_EQ(0, add(self, small_pools, 2));
	ASSERT_EQ(0, cmem_get_block(self->fd, self->id, &info));
	EXPECT_EQ(self->base, info.base);
	EXPECT_EQ(self->length, info.length);
	EXPECT_EQ(self->spare.info.kind, info.kind);
	EXPECT_EQ(CMEM_BLOCK_ADDED, info.out_flags & ~BOARDS);
	EXPECT_EQ(2, info.num_pools);
	ASSERT_EQ(0, cmem_get_pool(self->fd, self->id, 0, &pool));
	EXPECT_EQ(3, pool.count);
	EXPECT_EQ(30000, pool.requested_length);
	EXPECT_EQ((30000 + self->page - 1) / self->page * self->page, pool.length);
	EXPECT_EQ(info.length - 3 * pool.length - 2 * self->page, info.heap_size);
	EXPECT_EQ(info.heap_size, info.heap_free);
	EXPECT_EQ(-ENOENT, cmem_get_pool(self->fd, self->id, 2, &pool));

	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, cmem_alloc(self->fd, self->id, i / 3, 0, 0, &buf[i]));
		map = cmem_map(self->fd, &buf[i]);
		ASSERT_MAPPED(map);
		EXPECT_EQ(-1, find_nonzero(map, buf[i].length));
		fill(map, buf[i].length, i);
		EXPECT_EQ(-1, find_stranger(map, buf[i].length, i));
		ASSERT_EQ(0, munmap(map, buf[i].length));
	}
	EXPECT_EQ(-ENOMEM, cmem_alloc(self->fd, self->id, 0, 0, 0, &buf[5]));
	ASSERT_EQ(0, cmem_alloc(self->fd, self->id, CMEM_POOL_HEAP, 1, 0, &buf[5]));
	for (int i = 0; i < 6; i++)
		ASSERT_EQ(0, cmem_free(self->fd, buf[i].phys_addr));

	EXPECT_TRUE(proc_has(self->id));
	debugfs_path(self->id, path, sizeof(path));
	if (!access("/sys/kernel/debug/cmem", F_OK)) {
		EXPECT_TRUE(has_line(path, "phys="));
	}
	EXPECT_EQ(0, cmem_block_remove(self->fd, self->id));
}

/* The second block has other pools, and the same user, whose account is a new one. */
TEST_F(block, has_nothing_of_an_earlier_block_of_its_number)
{
	struct cmem_block_info info;
	struct cmem_alloc buf;

	for (int pools = 2; pools >= 0; pools--) {
		ASSERT_EQ(0, add(self, small_pools, pools));
		ASSERT_EQ(0, cmem_get_block(self->fd, self->id, &info));
		EXPECT_EQ(pools, info.num_pools);
		EXPECT_EQ(info.heap_size, info.heap_free);
		EXPECT_EQ(0, info.charged);
		EXPECT_EQ(0, info.quarantined);
		EXPECT_EQ(0, info.failed);
		ASSERT_EQ(0, cmem_alloc(self->fd, self->id, CMEM_POOL_HEAP, self->page, 0, &buf));
		ASSERT_EQ(0, cmem_get_block(self->fd, self->id, &info));
		EXPECT_EQ(self->page, info.charged);
		EXPECT_EQ(self->page, info.heap_size - info.heap_free);
		EXPECT_EQ(0, cmem_free(self->fd, buf.phys_addr));
		ASSERT_EQ(0, cmem_get_block(self->fd, self->id, &info));
		EXPECT_EQ(0, info.charged);
		ASSERT_EQ(0, cmem_block_remove(self->fd, self->id));
	}
}

TEST_F(block, is_gone_for_everybody_when_it_is_removed)
{
	struct cmem_register reg;
	struct cmem_block_info info;
	struct cmem_pool_info pool;
	struct cmem_alloc buf, old;
	char path[64], text[16];
	int extents;
	__s32 found;

	ASSERT_EQ(0, add(self, small_pools, 2));
	ASSERT_EQ(0, cmem_alloc(self->fd, self->id, 0, 0, 0, &old));
	ASSERT_EQ(0, cmem_free(self->fd, old.phys_addr));
	debugfs_path(self->id, path, sizeof(path));
	extents = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_EQ(0, cmem_block_remove(self->fd, self->id));

	EXPECT_EQ(-ENOENT, cmem_block_remove(self->fd, self->id));
	EXPECT_EQ(-ENOENT, cmem_get_block(self->fd, self->id, &info));
	EXPECT_EQ(-ENOENT, cmem_get_pool(self->fd, self->id, 0, &pool));
	EXPECT_EQ(-ENOENT, cmem_find_pool(self->fd, self->id, 1, &found));
	EXPECT_EQ(-ENOENT, cmem_alloc(self->fd, self->id, 0, 0, 0, &buf));
	EXPECT_EQ(-ENOENT, cmem_alloc(self->fd, self->id, CMEM_POOL_HEAP, 1, 0, &buf));
	EXPECT_EQ(-ENOENT, cmem_free(self->fd, old.phys_addr));
	EXPECT_EQ(-ENOENT, cmem_register_info(self->fd, old.phys_addr, &reg));
	EXPECT_TRUE(cmem_map(self->fd, &old) == MAP_FAILED);
	EXPECT_EQ(EINVAL, errno);
	EXPECT_FALSE(proc_has(self->id));
	if (extents >= 0) {
		EXPECT_EQ(-1, open(path, O_RDONLY | O_CLOEXEC));
		EXPECT_EQ(ENODEV, errno);
	}
	/* A program that had the block open does not read later data. */
	ASSERT_EQ(0, add(self, small_pools, 2));
	if (extents >= 0) {
		EXPECT_EQ(-1, read(extents, text, sizeof(text)));
		EXPECT_EQ(EIO, errno);
		close(extents);
	}
}

TEST_F(block, is_not_removed_while_a_buffer_of_it_is_held)
{
	const __s32 pools[] = { 0, 1, CMEM_POOL_HEAP };
	static struct snapshot held;
	struct cmem_alloc buf;
	char *map;

	ASSERT_EQ(0, add(self, small_pools, 2));
	for (size_t i = 0; i < ARRAY_SIZE(pools); i++) {
		ASSERT_EQ(0, cmem_alloc(self->fd, self->id, pools[i], self->page, 0, &buf));
		EXPECT_REFUSED(EBUSY, cmem_block_remove(self->fd, self->id));
		EXPECT_REFUSED(EBUSY, cmem_block_remove(self->other_fd, self->id));
		/* A mapping alone holds the buffer, and keeps its contents. */
		map = cmem_map(self->fd, &buf);
		ASSERT_MAPPED(map);
		fill(map, buf.length, i + 1);
		ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
		ASSERT_EQ(0, take_snapshot(&held));
		EXPECT_REFUSED(EBUSY, cmem_block_remove(self->fd, self->id));
		EXPECT_EQ(-1, find_stranger(map, buf.length, i + 1));
		EXPECT_EQ(0, cmem_sync(self->fd, map, buf.length, CMEM_SYNC_WRITE_BACK));
		expect_same(&held);
		ASSERT_EQ(0, munmap(map, buf.length));
	}
	/* A registration by another owner is enough. */
	ASSERT_EQ(0, cmem_alloc(self->fd, self->id, 0, 0, 0, &buf));
	ASSERT_EQ(0, cmem_register(self->other_fd, buf.phys_addr));
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	EXPECT_REFUSED(EBUSY, cmem_block_remove(self->fd, self->id));
	ASSERT_EQ(0, cmem_free(self->other_fd, buf.phys_addr));
	EXPECT_EQ(0, cmem_block_remove(self->fd, self->id));
}

TEST_F(block, others_keep_their_buffers_and_work_meanwhile)
{
	struct cmem_alloc buf, more;
	struct source src;
	char *map;

	if (!find_source(ANY_KIND, false, 1, &src) && !find_source(ANY_KIND, true, 1, &src))
		SKIP(return, "no other block");
	ASSERT_EQ(0, source_alloc(self->fd, &src, CMEM_ALLOC_CACHED, &buf));
	map = cmem_map(self->fd, &buf);
	ASSERT_MAPPED(map);
	fill(map, buf.length, 7);
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, add(self, small_pools, i % 3));
		ASSERT_EQ(0, source_alloc(self->other_fd, &src, 0, &more));
		EXPECT_EQ(0, cmem_sync_all(self->fd, CMEM_SYNC_WRITE_BACK_INVALIDATE));
		ASSERT_EQ(0, cmem_block_remove(self->fd, self->id));
		EXPECT_EQ(0, cmem_free(self->other_fd, more.phys_addr));
		EXPECT_EQ(-1, find_stranger(map, buf.length, 7));
	}
	ASSERT_EQ(0, munmap(map, buf.length));
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
}

TEST_F(block, two_blocks_share_its_region_and_do_not_overlap)
{
	__u64 half = self->length / 2 / self->page * self->page;
	struct cmem_alloc one, two;
	struct cmem_block_info info;
	__s32 id = self->unused;

	/* One with a new number, the other in place of the old one */
	ASSERT_EQ(0, cmem_block_add(self->fd, id, self->base, half, 0, NULL, 0));
	EXPECT_REFUSED(EBUSY, add(self, NULL, 0));
	EXPECT_REFUSED(EBUSY, cmem_block_add(self->fd, self->id, self->base + half - self->page,
					     half, 0, NULL, 0));
	ASSERT_EQ(0, cmem_block_add(self->fd, self->id, self->base + half, half, 0,
				    small_pools, 2));
	ASSERT_EQ(0, cmem_alloc(self->fd, id, CMEM_POOL_HEAP, half, 0, &one));
	EXPECT_EQ(self->base, one.phys_addr);
	ASSERT_EQ(0, cmem_alloc(self->fd, self->id, 1, 0, 0, &two));
	EXPECT_LE(self->base + half, two.phys_addr);
	EXPECT_REFUSED(EBUSY, cmem_block_remove(self->fd, id));
	ASSERT_EQ(0, cmem_free(self->fd, one.phys_addr));
	EXPECT_EQ(0, cmem_block_remove(self->fd, id));
	/* The highest number is gone, and the limit goes down with it. */
	EXPECT_EQ(-ENOENT, cmem_get_block(self->fd, id, &info));
	ASSERT_EQ(0, cmem_free(self->fd, two.phys_addr));
	EXPECT_EQ(0, cmem_block_remove(self->fd, self->id));
}

TEST_F(block, keeps_its_contents_if_it_is_told_to)
{
	struct cmem_alloc buf;
	char *map;

	for (int keep = 1; keep >= 0; keep--) {
		ASSERT_EQ(0, cmem_block_add(self->fd, self->id, self->base, self->length,
					    keep ? CMEM_BLOCK_KEEP_CONTENTS : 0, small_pools, 1));
		ASSERT_EQ(0, cmem_alloc(self->fd, self->id, 0, 0, 0, &buf));
		map = cmem_map(self->fd, &buf);
		ASSERT_MAPPED(map);
		fill(map, buf.length, 3);
		ASSERT_EQ(0, munmap(map, buf.length));
		ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
		/* The buffer of the same memory, which another owner gets */
		do {
			ASSERT_EQ(0, cmem_alloc(self->other_fd, self->id, 0, 0, 0, &buf));
		} while (buf.phys_addr != self->base);
		map = cmem_map(self->other_fd, &buf);
		ASSERT_MAPPED(map);
		if (keep) {
			EXPECT_EQ(-1, find_stranger(map, buf.length, 3));
		} else {
			EXPECT_EQ(-1, find_nonzero(map, buf.length));
		}
		ASSERT_EQ(0, munmap(map, buf.length));
		close(self->other_fd);
		self->other_fd = cmem_open();
		ASSERT_EQ(0, cmem_block_remove(self->fd, self->id));
	}
}

/* The first range with some name in /proc/iomem; false if there is none */
static bool iomem(const char *name, __u64 *start, __u64 *end)
{
	unsigned long long first, last;
	char line[256], what[128];
	bool found = false;
	FILE *f = fopen(IOMEM, "re");

	while (f && !found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, " %llx-%llx : %127[^\n]", &first, &last, what) != 3 ||
		    strcmp(what, name) || !last)
			continue;
		*start = first;
		*end = last + 1;
		found = true;
	}
	if (f)
		fclose(f);
	return found;
}

/* No machine we tested has anything from this address on. */
#define NOTHING		0x6000000000ULL
#define SOME_LENGTH	(64ULL << 20)

/* No /memory node, memory map, SRAM or device reports memory there. */
TEST_F(block, is_not_made_of_memory_that_is_not_there)
{
	__s32 id = self->unused;
	struct cmem_block_info info;
	struct cmem_alloc buf;

	if (cmem_block_add(self->fd, id, NOTHING, SOME_LENGTH, 0, NULL, 0) == -EINVAL)
		SKIP(return, "this machine has no such address");
	EXPECT_REFUSED(ENXIO, cmem_block_add(self->fd, id, NOTHING, SOME_LENGTH, 0, NULL, 0));
	EXPECT_REFUSED(ENXIO, cmem_block_add(self->fd, id, NOTHING, SOME_LENGTH,
					     CMEM_BLOCK_KEEP_CONTENTS, small_pools, 2));

	/* A caller that claims so gets it; without an allocation, nothing fails. */
	ASSERT_EQ(0, cmem_block_add(self->fd, id, NOTHING, SOME_LENGTH, CMEM_BLOCK_IS_MEMORY,
				    small_pools, 2));
	usleep(300 * 1000);
	ASSERT_EQ(0, cmem_get_block(self->fd, id, &info));
	EXPECT_EQ(CMEM_BLOCK_ADDED | CMEM_BLOCK_IS_MEMORY, info.out_flags & ~BOARDS);
	EXPECT_EQ(info.heap_size, info.heap_free);
	EXPECT_EQ(0, info.heap_clean);
	EXPECT_EQ(-EINVAL, cmem_alloc(self->fd, id, CMEM_POOL_HEAP, SOME_LENGTH + 1, 0, &buf));
	ASSERT_EQ(0, cmem_block_remove(self->fd, id));
	/* The claim counts for one call only. */
	EXPECT_REFUSED(ENXIO, cmem_block_add(self->fd, id, NOTHING, SOME_LENGTH, 0, NULL, 0));
}

/*
 * CPU time of this program. arm64 under QEMU took 3 ms for the whole call when it looked
 * at each section of memory, and 25 s when it looked at each of the 2^28 pages.
 */
#define AT_ONCE	(2 * CLOCKS_PER_SEC)

TEST_F(block, of_1_tib_is_made_or_refused_at_once)
{
	__u64 tib = 1ULL << 40;
	__s32 id = self->unused;
	clock_t before = clock();
	int ret;

	ret = cmem_block_add(self->fd, id, 2 * tib, tib, 0, NULL, 0);
	if (ret == -EINVAL)
		SKIP(return, "this machine has no such address");
	EXPECT_EQ(-ENXIO, ret);
	ASSERT_EQ(0, cmem_block_add(self->fd, id, 2 * tib, tib, CMEM_BLOCK_IS_MEMORY, NULL, 0));
	ASSERT_EQ(0, cmem_block_remove(self->fd, id));
	EXPECT_GT(AT_ONCE, clock() - before);
}

static bool in_a_block(const FIXTURE_DATA(block) *self, __u64 address)
{
	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];

		if (address >= b->base && address - b->base < b->length)
			return true;
	}
	return false;
}

TEST_F(block, is_not_made_of_memory_that_is_not_its_own)
{
	__u64 start, end;
	__s32 id = self->unused;

	/* Ordinary RAM, and the kernel image in it. A PC's RAM may end mid-page. */
	ASSERT_TRUE(iomem("System RAM", &start, &end));
	start = (start + self->page - 1) & -self->page;
	end &= -self->page;
	EXPECT_REFUSED(EBUSY, cmem_block_add(self->fd, id, start, self->page, 0, NULL, 0));
	EXPECT_REFUSED(EBUSY, cmem_block_add(self->fd, id, end - self->page, self->page, 0,
					     NULL, 0));
	if (end <= self->base || start >= self->base + self->length) {
		EXPECT_REFUSED(EBUSY, cmem_block_add(self->fd, id, start, end - start, 0,
						     NULL, 0));
	} else {
		/* Our region lies in the middle of it. */
		EXPECT_REFUSED(EINVAL, cmem_block_add(self->fd, id, start, end - start, 0,
						      NULL, 0));
	}
	if (iomem("Kernel code", &start, &end)) {
		EXPECT_REFUSED(EBUSY, cmem_block_add(self->fd, id, start & -self->page,
						     self->page, 0, NULL, 0));
	}
	/* RAM that is reserved, but not for CMEM: it looks like any other RAM. */
	if (iomem("reserved", &start, &end) && end - start >= self->page &&
	    (start >= self->base + self->length || end <= self->base)) {
		int ret = cmem_block_add(self->fd, id, start & -self->page, self->page, 0,
					 NULL, 0);

		EXPECT_NE(0, ret) TH_LOG("%llx", (unsigned long long)start);
	}
	/* Memory of a driver */
	if (iomem("9000000.pl011", &start, &end) ||
	    iomem("9000000.pl011 pl011@9000000", &start, &end)) {
		EXPECT_REFUSED(ENXIO, cmem_block_add(self->fd, id, start & -self->page,
						     self->page, 0, NULL, 0));
		EXPECT_REFUSED(EBUSY, cmem_block_add(self->fd, id, start & -self->page, self->page,
						     CMEM_BLOCK_IS_MEMORY, NULL, 0));
	}
	/* More than the reserved region, on either side */
	EXPECT_REFUSED(EINVAL, cmem_block_add(self->fd, id, self->base,
					      self->length + self->page, 0, NULL, 0));
	EXPECT_REFUSED(in_a_block(self, self->base - self->page) ? EBUSY : EINVAL,
		       cmem_block_add(self->fd, id, self->base - self->page,
				      2 * self->page, 0, NULL, 0));
	/* Memory of another block */
	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];

		if (b->block < 0 || b->block == self->id)
			continue;
		EXPECT_REFUSED(EBUSY, cmem_block_add(self->fd, id, b->base, b->length, 0,
						     NULL, 0));
		EXPECT_REFUSED(EBUSY, cmem_block_add(self->fd, id, b->base + self->page,
						     self->page, 0, NULL, 0));
		EXPECT_REFUSED(EEXIST, cmem_block_add(self->fd, b->block, self->base,
						      self->length, 0, NULL, 0));
	}
}

TEST_F(block, is_not_made_of_numbers_that_are_wrong)
{
	struct cmem_block_pool pool[CMEM_MAX_POOLS + 1];
	struct cmem_block_add wrong;

	for (size_t i = 0; i < ARRAY_SIZE(pool); i++)
		pool[i] = (struct cmem_block_pool){ .count = 1, .length = 1 };

#define EXPECT_WRONG(err, ...) do {						\
	wrong = (struct cmem_block_add){					\
		.size = sizeof(wrong), .block = self->id, .base = self->base,	\
		.length = self->length, .pools = (unsigned long)pool, .num_pools = 1, \
		__VA_ARGS__							\
	};									\
	EXPECT_REFUSED(err, cmem_ioctl(self->fd, CMEM_IOCTL_BLOCK_ADD, &wrong)); \
} while (0)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
	EXPECT_WRONG(EINVAL, .block = -1);
	EXPECT_WRONG(EINVAL, .block = -2);
	EXPECT_WRONG(EINVAL, .length = 0);
	EXPECT_WRONG(EINVAL, .length = self->length - 1);
	EXPECT_WRONG(EINVAL, .base = self->base + 1);
	EXPECT_WRONG(EINVAL, .base = -(__u64)self->page, .length = self->page);
	EXPECT_WRONG(EINVAL, .base = -(__u64)self->page, .length = 2 * self->page);
	EXPECT_WRONG(EINVAL, .length = -(__u64)self->page);
	EXPECT_WRONG(EINVAL, .base = 1ULL << 56, .length = self->page);
	EXPECT_WRONG(EOVERFLOW, .num_pools = CMEM_MAX_POOLS + 1);
	EXPECT_WRONG(EOVERFLOW, .num_pools = ~0U);
	EXPECT_WRONG(EFAULT, .pools = 0);
	EXPECT_WRONG(EFAULT, .pools = ~0ULL);
	EXPECT_WRONG(EOPNOTSUPP, .flags = CMEM_BLOCK_ADDED);
	EXPECT_WRONG(EOPNOTSUPP, .flags = 1U << 31);
	pool[0].count = 0;
	EXPECT_WRONG(EINVAL);
	pool[0].count = 1;
	pool[0].length = 0;
	EXPECT_WRONG(EINVAL);
	pool[0].length = self->length + 1;
	EXPECT_WRONG(ENOSPC);
	pool[0].length = self->length;
	EXPECT_WRONG(ENOSPC, .num_pools = 2);
	pool[0].length = ~0ULL;
	EXPECT_WRONG(EOVERFLOW);
	pool[0].length = self->page;
	pool[0].count = ~0U;
	EXPECT_WRONG(EOVERFLOW);
	pool[0].count = self->length / self->page + 1;
	EXPECT_WRONG(ENOSPC);
	pool[0].__reserved = 1;
	EXPECT_WRONG(EOPNOTSUPP);
	EXPECT_WRONG(EINVAL, .pool_size = sizeof(struct cmem_block_pool) - 1);
	EXPECT_WRONG(E2BIG, .pool_size = ~0U);
#pragma GCC diagnostic pop

	EXPECT_REFUSED(EINVAL, cmem_block_remove(self->fd, CMEM_BLOCK_CMA));
	EXPECT_REFUSED(ENOENT, cmem_block_remove(self->fd, self->unused));
	EXPECT_REFUSED(ENOENT, cmem_block_remove(self->fd, 0x7fffffff));
	/* 32 pools are allowed. */
	pool[0] = pool[1];
	EXPECT_EQ(0, add(self, pool, CMEM_MAX_POOLS));
}

/* Gives up one capability that root has */
static int drop_capability(int capability)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data))
		return -errno;
	data[CAP_TO_INDEX(capability)].effective &= ~CAP_TO_MASK(capability);
	data[CAP_TO_INDEX(capability)].permitted &= ~CAP_TO_MASK(capability);
	return syscall(SYS_capset, &head, data) ? -errno : 0;
}

/* Nothing answers at that address: an access is fatal. */
TEST_F(block, is_made_of_unreserved_memory_only_by_who_may_use_dev_mem)
{
	pid_t pid;

	IN_CHILD(pid) {
		int ret;

		ASSERT_EQ(0, drop_capability(CAP_SYS_RAWIO));
		ret = cmem_block_add(self->fd, self->unused, 0x2000000000ULL, page_size(), 0,
				     NULL, 0);
		/* Without LPAE, the machine has no such address. */
		if (on_32_bit_kernel() && ret == -EINVAL)
			ret = cmem_block_add(self->fd, self->unused, 0xe0000000ULL, page_size(),
					     0, NULL, 0);
		ASSERT_EQ(-EPERM, ret);
		ASSERT_EQ(0, add(self, small_pools, 2));
		ASSERT_EQ(0, cmem_block_remove(self->fd, self->id));
	}
	join_child(pid);
}

/* No matter who opened the file */
TEST_F(block, is_for_root_alone)
{
	pid_t pid;

	ASSERT_EQ(0, add(self, small_pools, 2));
	IN_CHILD(pid) {
		ASSERT_EQ(0, become_user(OTHER_UID));
		ASSERT_EQ(-EPERM, cmem_block_remove(self->fd, self->id));
		ASSERT_EQ(-EPERM, cmem_block_remove(self->fd, self->unused));
		ASSERT_EQ(-EPERM, cmem_block_add(self->fd, self->unused, self->base,
						 self->length, 0, NULL, 0));
	}
	join_child(pid);
	ASSERT_EQ(0, cmem_block_remove(self->fd, self->id));
	IN_CHILD(pid) {
		ASSERT_EQ(0, become_user(OTHER_UID));
		ASSERT_EQ(-EPERM, add(self, small_pools, 2));
	}
	join_child(pid);
}

struct waiter {
	int fd;
	__s32 id;
	int ret;
	struct cmem_alloc buf;
};

static void *wait_for_memory(void *arg)
{
	struct waiter *w = arg;

	w->ret = cmem_alloc(w->fd, w->id, 0, 0, 0, &w->buf);
	return NULL;
}

/* Cleaning takes less time than one sleep of eventually(). */
static bool see_scrubbing(int fd, __s32 id, struct cmem_pool_info *pool)
{
	for (long i = 0; i < 100 * 1000 * 1000; i++)
		if (!cmem_get_pool(fd, id, 0, pool) && (pool->scrubbing || pool->clean))
			return true;
	return false;
}

/* A caller that waits for clean memory does not hang. */
TEST_F(block, who_waits_for_its_memory_gets_ENOENT)
{
	const struct cmem_block_pool all = { .count = 1, .length = self->length };
	struct waiter waiter = { .fd = self->other_fd, .id = self->id };
	bool missed = true;

	for (int i = 0; i < 2000 && missed; i++) {
		struct cmem_pool_info pool;
		struct cmem_alloc buf;
		pthread_t thread;
		int ret;

		/* The freed buffer is the whole block; the cleaner soon takes it. */
		ASSERT_EQ(0, add(self, &all, 1));
		ASSERT_EQ(0, cmem_alloc(self->fd, self->id, 0, 0, 0, &buf));
		ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
		ASSERT_TRUE(see_scrubbing(self->fd, self->id, &pool));
		ASSERT_EQ(0, pthread_create(&thread, NULL, wait_for_memory, &waiter));
		usleep(i % 20 * 100);
		ret = cmem_block_remove(self->fd, self->id);
		ASSERT_EQ(0, pthread_join(thread, NULL));
		missed = waiter.ret != -ENOENT || ret || !pool.scrubbing;
		ASSERT_TRUE(!waiter.ret || waiter.ret == -ENOENT) TH_LOG("%d", waiter.ret);
		if (!waiter.ret) {
			/* The allocation came before the removal, which then saw it. */
			ASSERT_EQ(-EBUSY, ret);
			ASSERT_EQ(0, cmem_free(self->other_fd, waiter.buf.phys_addr));
			ASSERT_EQ(0, cmem_block_remove(self->fd, self->id));
		} else {
			ASSERT_EQ(0, ret);
		}
	}
	EXPECT_FALSE(missed);
}

/* One thread adds and removes, the others use and inspect what exists. */

struct traffic {
	volatile bool stop;
	volatile bool hush;		/* free all buffers: the block is busy */
	volatile unsigned int used;
	volatile unsigned int missed;
	volatile unsigned int removed;
	volatile unsigned int busy;
};

static void use(struct __test_metadata *_metadata, FIXTURE_DATA(block) *self,
		struct traffic *traffic, unsigned int seed)
{
	struct cmem_alloc buf;
	struct cmem_register reg;
	__u64 last = self->base;
	int fd = cmem_open();

	ASSERT_LE(0, fd);
	for (unsigned int n = 0; !traffic->stop; n++) {
		__s32 pool = (__s32)(rand_r(&seed) % 4) - 2;
		__u32 tag = seed;
		char *map;
		int ret;

		while (traffic->hush && !traffic->stop)
			usleep(100);
		ret = cmem_alloc(fd, self->id, pool, 1 + rand_r(&seed) % 40000,
				 rand_r(&seed) % 8, &buf);
		/* The buffer there now may belong to another owner. */
		if (n % 4 == 0 && !cmem_register_info(fd, last, &reg)) {
			ASSERT_EQ(0, cmem_free(fd, last));
		}
		if (ret) {
			/* The pools differ each time. */
			ASSERT_TRUE(ret == -ENOENT || ret == -ENOMEM || ret == -EINVAL)
				TH_LOG("%s", strerror(-ret));
			traffic->missed++;
			continue;
		}
		last = buf.phys_addr;
		ASSERT_TRUE(buf.phys_addr >= self->base &&
			    buf.phys_addr + buf.length <= self->base + self->length);
		map = cmem_map(fd, &buf);
		ASSERT_MAPPED(map);
		fill(map, self->page, tag);
		ASSERT_EQ(0, cmem_sync(fd, map, self->page, CMEM_SYNC_WRITE_BACK));
		if (n % 2) {
			ASSERT_EQ(0, cmem_free(fd, buf.phys_addr));
		}
		ASSERT_EQ(-1, find_stranger(map, self->page, tag));
		ASSERT_EQ(0, munmap(map, buf.length));
		if (!(n % 2)) {
			ASSERT_EQ(0, cmem_free(fd, buf.phys_addr));
		}
		if (n % 64 == 0) {
			close(fd);
			fd = cmem_open();
			ASSERT_LE(0, fd);
		}
		traffic->used++;
	}
	close(fd);
}

static void look(struct __test_metadata *_metadata, FIXTURE_DATA(block) *self,
		 struct traffic *traffic)
{
	struct cmem_block_info info;
	struct cmem_pool_info pool;
	struct cmem_info all;
	char path[64], text[1024];
	__s32 found;
	ssize_t got;
	int fd;

	debugfs_path(self->id, path, sizeof(path));
	while (!traffic->stop) {
		fd = open("/proc/cmem", O_RDONLY | O_CLOEXEC);
		ASSERT_LE(0, fd);
		for (off_t at = 0; at < 100000; at += got) {
			got = read(fd, text, sizeof(text));
			ASSERT_LE(0, got);
			if (!got)
				break;
		}
		close(fd);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			while (read(fd, text, sizeof(text)) > 0)
				;
			close(fd);
		}
		ASSERT_EQ(0, cmem_get_info(self->other_fd, &all));
		cmem_get_block(self->other_fd, self->id, &info);
		cmem_get_pool(self->other_fd, self->id, 0, &pool);
		cmem_find_pool(self->other_fd, self->id, 1, &found);
	}
}

TEST_F(block, comes_and_goes_under_traffic)
{
	const struct cmem_block_pool pools[][3] = {
		{ { .count = 3, .length = 30000 }, { .count = 2, .length = 5 } },
		{ { .count = 40, .length = 1 } },
		{ { .count = 1, .length = self->length / 2 }, { .count = 8, .length = 5000 },
		  { .count = 1, .length = 60000 } },
	};
	struct traffic *traffic = mmap(NULL, sizeof(*traffic), PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const __u32 count[] = { 2, 1, 3 };
	unsigned int want = scaled(150);
	pid_t pid[5];

	ASSERT_MAPPED(traffic);
	for (unsigned int i = 0; i < ARRAY_SIZE(pid); i++) {
		IN_CHILD(pid[i]) {
			/* The children end if the parent fails. */
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (i)
				use(_metadata, self, traffic, i);
			else
				look(_metadata, self, traffic);
		}
	}
	for (unsigned int n = 0; traffic->removed < want; n++) {
		int ret;

		ASSERT_EQ(0, cmem_block_add(self->fd, self->id, self->base, self->length, 0,
					    pools[n % 3], n % 4 ? count[n % 3] : 0));
		/* The other threads hold what they have now. */
		if (n % 3)
			usleep(n % 10 * 1000);
		for (int tries = 0; ; tries++) {
			ret = cmem_block_remove(self->fd, self->id);
			if (!ret)
				break;
			ASSERT_EQ(-EBUSY, ret);
			traffic->busy++;
			traffic->hush = tries > 20;
			usleep(tries > 20 ? 1000 : 50);
		}
		traffic->hush = false;
		traffic->removed++;
	}
	traffic->stop = true;
	for (unsigned int i = 0; i < ARRAY_SIZE(pid); i++)
		join_child(pid[i]);
	TH_LOG("%u buffers, %u refused, %u removals, %u busy", traffic->used, traffic->missed,
	       traffic->removed, traffic->busy);
	EXPECT_LT(0, traffic->used);
	EXPECT_LT(0, traffic->missed);
	EXPECT_LT(0, traffic->busy);
}

TEST_HARNESS_MAIN
