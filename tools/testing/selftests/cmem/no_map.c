// SPDX-License-Identifier: GPL-2.0
/*
 * What no-map promises on arm64: the kernel has no mapping of a carveout, through which
 * the CPU could read speculatively, except while it works on the memory or programs have
 * cached buffers there.
 */
#include <sys/utsname.h>

#include "cmem_dmabuf.h"

FIXTURE(no_map)
{
	int fd;
	struct source src;
	struct cmem_block_info block;
	unsigned long page;
	struct snapshot before;
};

FIXTURE_VARIANT(no_map)
{
	bool heap;
};

FIXTURE_VARIANT_ADD(no_map, pool) { .heap = false };
FIXTURE_VARIANT_ADD(no_map, heap) { .heap = true };

FIXTURE_SETUP(no_map)
{
	struct utsname name;

	self->page = page_size();
	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	ASSERT_EQ(0, uname(&name));
	if (strcmp(name.machine, "aarch64") && strncmp(name.machine, "armv8", 5))
		SKIP(return, "x86 has it mapped for good, 32 bit page by page");
	if (access("/proc/vmallocinfo", R_OK))
		SKIP(return, "no /proc/vmallocinfo");
	if (!find_source(CMEM_KIND_CARVEOUT, variant->heap, 4 * self->page, &self->src))
		SKIP(return, "no carveout on this board");
	ASSERT_EQ(0, cmem_get_block(self->fd, self->src.block, &self->block));
}

FIXTURE_TEARDOWN(no_map)
{
	close(self->fd);
	expect_same(&self->before);
}

/* How many of the kernel's mappings contain a part of the block */
static int count_mappings(const struct cmem_block_info *block)
{
	FILE *file = fopen("/proc/vmallocinfo", "r");
	unsigned long long phys, length;
	char line[512];
	int count = 0;

	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file)) {
		const char *at = strstr(line, "phys=");

		if (!at || sscanf(at, "phys=%llx", &phys) != 1 ||
		    sscanf(line, "%*s %llu", &length) != 1)
			continue;
		/* A guard page follows it. */
		length -= page_size();
		if (phys < block->base + block->length && phys + length > block->base)
			count++;
	}
	fclose(file);
	return count;
}

/* The scrubber has no work left and is not running. */
static bool is_clean(int fd, __s32 id)
{
	struct cmem_block_info block;
	struct cmem_pool_info pool;

	if (cmem_get_block(fd, id, &block) || block.heap_clean != block.heap_free)
		return false;
	for (__u32 i = 0; i < block.num_pools; i++)
		if (cmem_get_pool(fd, id, i, &pool) || pool.dirty || pool.scrubbing)
			return false;
	return true;
}

/* The mapping ends at last: the scrubber cleans dirty memory first. */
static bool becomes_unmapped(int fd, const struct cmem_block_info *block)
{
	for (int i = 0; i < 1000; i++) {
		if (is_clean(fd, block->block) && !count_mappings(block))
			return true;
		usleep(10000);
	}
	return false;
}

TEST_F(no_map, a_buffer_that_is_not_cached_has_nothing_mapped)
{
	struct cmem_alloc buf;
	char *map;

	ASSERT_TRUE(becomes_unmapped(self->fd, &self->block));
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &buf));
	map = cmem_map(self->fd, &buf);
	ASSERT_MAPPED(map);
	fill(map, buf.length, 1);
	ASSERT_EQ(0, cmem_sync(self->fd, map, buf.length, CMEM_SYNC_WRITE_BACK_INVALIDATE));
	ASSERT_EQ(0, cmem_sync_all(self->fd, CMEM_SYNC_WRITE_BACK));
	EXPECT_EQ(-1, find_stranger(map, buf.length, 1));
	EXPECT_TRUE(becomes_unmapped(self->fd, &self->block));
	ASSERT_EQ(0, munmap(map, buf.length));
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	/* It is cleaned for other owners, and only mapped for that. */
	EXPECT_TRUE(becomes_unmapped(self->fd, &self->block));
}

/* One frame after another: mapping the whole block for each would take long. */
TEST_F(no_map, little_work_maps_no_more_than_it_needs)
{
	struct cmem_alloc buf;
	char *map;

	if (self->block.length < 1024 * page_size())
		SKIP(return, "the block is small: it is mapped at once");
	ASSERT_TRUE(becomes_unmapped(self->fd, &self->block));
	for (int i = 0; i < 64; i++) {
		ASSERT_EQ(0, source_alloc(self->fd, &self->src, CMEM_ALLOC_CACHED, &buf));
		map = cmem_map(self->fd, &buf);
		ASSERT_MAPPED(map);
		ASSERT_EQ(0, cmem_sync(self->fd, map, buf.length, CMEM_SYNC_WRITE_BACK));
		ASSERT_EQ(0, count_mappings(&self->block));
		ASSERT_EQ(0, munmap(map, buf.length));
		ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	}
}

TEST_F(no_map, a_cached_buffer_is_mapped_while_it_is_there)
{
	struct cmem_alloc buf, other_buf;
	char *map;

	ASSERT_TRUE(becomes_unmapped(self->fd, &self->block));
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, CMEM_ALLOC_CACHED, &buf));
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, CMEM_ALLOC_CACHED, &other_buf));
	map = cmem_map(self->fd, &buf);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, work_until_mapped(self->fd, self->src.block, map, buf.length));
	for (int i = 0; i < 3; i++) {
		fill(map, buf.length, i);
		ASSERT_EQ(0, cmem_sync(self->fd, map, buf.length,
				       CMEM_SYNC_WRITE_BACK_INVALIDATE));
		EXPECT_EQ(-1, find_stranger(map, buf.length, i));
		EXPECT_EQ(1, count_mappings(&self->block));
	}
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	ASSERT_EQ(0, cmem_free(self->fd, other_buf.phys_addr));
	/* A mapping of one buffer holds it. */
	EXPECT_EQ(1, count_mappings(&self->block));
	EXPECT_EQ(-1, find_stranger(map, buf.length, 2));
	ASSERT_EQ(0, munmap(map, buf.length));
	EXPECT_TRUE(becomes_unmapped(self->fd, &self->block));
}

/* Memory kept for a supervisor is the device's, not the kernel's. */
TEST_F(no_map, what_is_in_quarantine_is_not_mapped)
{
	struct cmem_release release = {
		.size = sizeof(release), .block = self->src.block, .flags = CMEM_RELEASE_BUFFER,
	};
	struct cmem_alloc buf;
	int fd = cmem_open();
	char *map;

	ASSERT_LE(0, fd);
	ASSERT_TRUE(becomes_unmapped(self->fd, &self->block));
	ASSERT_EQ(0, source_alloc(fd, &self->src, CMEM_ALLOC_CACHED | CMEM_ALLOC_QUARANTINE,
				  &buf));
	map = cmem_map(fd, &buf);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, work_until_mapped(fd, self->src.block, map, buf.length));
	EXPECT_EQ(1, count_mappings(&self->block));
	ASSERT_EQ(0, munmap(map, buf.length));
	close(fd);
	EXPECT_TRUE(becomes_unmapped(self->fd, &self->block));
	release.phys_addr = buf.phys_addr;
	ASSERT_EQ(0, cmem_ioctl(self->fd, CMEM_IOCTL_RELEASE, &release));
	EXPECT_TRUE(becomes_unmapped(self->fd, &self->block));
}

TEST_HARNESS_MAIN
