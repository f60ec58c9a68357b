// SPDX-License-Identifier: GPL-2.0
/*
 * On-chip memory: it is never mapped cached, whatever the caller requests, the
 * information about a buffer says so, and it is Normal memory, on which every access
 * works. The other tests check everything else on it as well.
 */
#include "cmem_test.h"

FIXTURE(sram)
{
	int fd;
	struct source src;
	struct cmem_alloc buf;
	unsigned char *map;
	struct snapshot before;
};

FIXTURE_VARIANT(sram)
{
	bool heap;
};

FIXTURE_VARIANT_ADD(sram, pool) { .heap = false };
FIXTURE_VARIANT_ADD(sram, heap) { .heap = true };

FIXTURE_SETUP(sram)
{
	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!find_source(CMEM_KIND_SRAM, variant->heap, 4 * page_size(), &self->src))
		SKIP(return, "no such memory on this board");
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, CMEM_ALLOC_CACHED, &self->buf));
	self->map = cmem_map(self->fd, &self->buf);
	ASSERT_MAPPED(self->map);
}

FIXTURE_TEARDOWN(sram)
{
	munmap(self->map, self->buf.length);
	close(self->fd);
	expect_same(&self->before);
}

TEST_F(sram, who_asks_for_cached_is_told_that_it_is_not)
{
	struct cmem_register reg;
	struct cmem_resolve res;
	int other_fd;

	ASSERT_EQ(0, cmem_resolve(self->fd, self->map, &res));
	EXPECT_EQ(0, res.buffer_flags);

	other_fd = cmem_open();
	ASSERT_LE(0, other_fd);
	ASSERT_EQ(0, cmem_register_info(other_fd, self->buf.phys_addr, &reg));
	EXPECT_EQ(0, reg.buffer_flags);
	EXPECT_EQ(0, close(other_fd));
}

TEST_F(sram, other_flags_are_kept)
{
	struct cmem_resolve res;
	struct cmem_alloc buf;
	void *map;

	ASSERT_EQ(0, source_alloc(self->fd, &self->src, CMEM_ALLOC_CACHED | CMEM_ALLOC_PRIVATE,
				  &buf));
	map = cmem_map(self->fd, &buf);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, cmem_resolve(self->fd, map, &res));
	EXPECT_EQ(CMEM_ALLOC_PRIVATE, res.buffer_flags);
	ASSERT_EQ(0, munmap(map, buf.length));
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
}

/* On Device memory the first of these would be a bus error. */
TEST_F(sram, every_access_works)
{
	static unsigned char data[4096];
	unsigned char *at = self->map + 1;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = i * 7;
	for (size_t offset = 0; offset < 16; offset++) {
		memset(self->map, 0xa5, self->buf.length);
		memcpy(self->map + offset, data, sizeof(data));
		ASSERT_EQ(0, memcmp(self->map + offset, data, sizeof(data)));
		ASSERT_EQ(0xa5, self->map[offset + sizeof(data)]);
	}
	for (size_t i = 0; i < 16; i++, at++) {
		__u64 word = 0x0123456789abcdefULL * (i + 1), back;
		volatile __u32 *unaligned = (volatile __u32 *)at;

		memcpy(at, &word, sizeof(word));
		memcpy(&back, at, sizeof(back));
		ASSERT_EQ(word, back);
		*unaligned = i + 0x1020304;
		ASSERT_EQ(i + 0x1020304, *unaligned);
	}
}

/* One mapping reads what another wrote, without any maintenance. */
TEST_F(sram, two_mappings_see_the_same)
{
	unsigned char *second = cmem_map(self->fd, &self->buf);

	ASSERT_MAPPED(second);
	for (__u32 round = 1; round <= 4; round++) {
		fill(self->map, self->buf.length, round);
		ASSERT_EQ(-1, find_stranger(second, self->buf.length, round));
	}
	ASSERT_EQ(0, munmap(second, self->buf.length));
}

TEST_F(sram, sync_is_taken_and_changes_nothing)
{
	const __u32 ops[] = {
		CMEM_SYNC_WRITE_BACK, CMEM_SYNC_INVALIDATE, CMEM_SYNC_WRITE_BACK_INVALIDATE,
	};

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		fill(self->map, self->buf.length, 0x55 + i);
		ASSERT_EQ(0, cmem_sync(self->fd, self->map, self->buf.length, ops[i]));
		ASSERT_EQ(-1, find_stranger(self->map, self->buf.length, 0x55 + i));
	}
	ASSERT_EQ(0, cmem_sync_all(self->fd, CMEM_SYNC_WRITE_BACK));
	ASSERT_EQ(-1, find_stranger(self->map, self->buf.length, 0x57));
}

/* Cached or not is no reason to clean: memory and mapping are the same. */
TEST_F(sram, the_owner_gets_his_own_back_however_he_asks)
{
	__u64 phys = self->buf.phys_addr;

	fill(self->map, self->buf.length, 0x77);
	ASSERT_EQ(0, munmap(self->map, self->buf.length));
	ASSERT_EQ(0, cmem_free(self->fd, phys));
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &self->buf));
	self->map = cmem_map(self->fd, &self->buf);
	ASSERT_MAPPED(self->map);
	ASSERT_EQ(phys, self->buf.phys_addr);
	EXPECT_EQ(-1, find_stranger(self->map, self->buf.length, 0x77));
}

TEST_F(sram, another_owner_gets_zeros)
{
	struct cmem_alloc bufs[256];
	int count, other_fd;

	fill(self->map, self->buf.length, 0x99);
	ASSERT_EQ(0, munmap(self->map, self->buf.length));
	ASSERT_EQ(0, cmem_free(self->fd, self->buf.phys_addr));

	other_fd = cmem_open();
	ASSERT_LE(0, other_fd);
	count = drain(other_fd, &self->src, CMEM_ALLOC_CACHED, bufs, ARRAY_SIZE(bufs));
	ASSERT_LT(0, count);
	for (int i = 0; i < count; i++) {
		void *map = cmem_map(other_fd, &bufs[i]);

		ASSERT_MAPPED(map);
		EXPECT_EQ(-1, find_nonzero(map, bufs[i].length));
		ASSERT_EQ(0, munmap(map, bufs[i].length));
	}
	ASSERT_EQ(0, close(other_fd));
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &self->buf));
	self->map = cmem_map(self->fd, &self->buf);
	ASSERT_MAPPED(self->map);
}

TEST_HARNESS_MAIN
