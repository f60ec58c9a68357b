// SPDX-License-Identifier: GPL-2.0
/*
 * An old 32-bit program that was built without large files: its off_t, in which the
 * library keeps physical addresses, has four bytes and a sign. An address from 2 GiB on
 * is negative, a pointer to it is passed where the driver reads eight bytes, and an
 * address from 4 GiB on does not fit at all.
 *
 * Where a long has 64 bits, no such program exists and there is nothing to test.
 */
#include <sys/syscall.h>

#include "legacy.h"

FIXTURE(off32)
{
	int fd;
	int other_fd;
	struct source src;
	struct old_buf buf;
	off_t phys;
	unsigned long page;
	struct snapshot before;
};

FIXTURE_VARIANT(off32)
{
	bool heap;
};

FIXTURE_VARIANT_ADD(off32, pool) { .heap = false };
FIXTURE_VARIANT_ADD(off32, heap) { .heap = true };

/* A pool or heap of a block between 2 and 4 GiB, with two pages. */
static bool find_negative_source(bool heap, struct source *src)
{
	static struct snapshot s;

	if (take_snapshot(&s))
		return false;
	for (unsigned int i = 0; i < s.num_blocks; i++) {
		const struct cmem_block_info *b = &s.block[i];

		if (b->kind == CMEM_KIND_CMA || b->base < 1ULL << 31 ||
		    b->base + b->length > 1ULL << 32)
			continue;
		if (heap && b->heap_largest >= 2 * page_size()) {
			*src = (struct source){ b->block, CMEM_POOL_HEAP, 2 * page_size() };
			return true;
		}
		for (__u32 p = 0; !heap && p < b->num_pools; p++) {
			const struct cmem_pool_info *pool = &s.pool[i][p];

			if (!pool->free || pool->length < 2 * page_size() ||
			    pool->length > TOUCH_LIMIT)
				continue;
			*src = (struct source){ b->block, p, pool->length };
			return true;
		}
	}
	return false;
}

FIXTURE_SETUP(off32)
{
	self->page = page_size();
	if (sizeof(off_t) > 4)
		SKIP(return, "off_t has 64 bits");
	OPEN_OR_SKIP(self->fd);
	OLD_OR_SKIP(self->fd);
	self->other_fd = cmem_open();
	ASSERT_LE(0, self->other_fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!find_negative_source(variant->heap, &self->src))
		SKIP(return, "no such memory between 2 and 4 GiB");
	ASSERT_EQ(0, old_source_alloc(self->fd, &self->src, OLD_CACHED, &self->buf));
	self->phys = self->buf.phys;
	ASSERT_GT(0, self->phys);
}

FIXTURE_TEARDOWN(off32)
{
	close(self->fd);
	close(self->other_fd);
	expect_same(&self->before);
}

static char *map_off(int fd, off_t phys, size_t length)
{
	return mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, phys);
}

/* A C library that shifts the negative off_t right with its sign. */
static char *map_shifted(int fd, off_t phys, size_t length)
{
#ifdef SYS_mmap2
	return (char *)syscall(SYS_mmap2, NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			       phys >> 12);
#else
	errno = ENOSYS;
	return MAP_FAILED;
#endif
}

static int try_off(int fd, off_t phys, size_t length)
{
	return map_off(fd, phys, length) == MAP_FAILED ? -errno : 0;
}

static int try_shifted(int fd, off_t phys, size_t length)
{
	return map_shifted(fd, phys, length) == MAP_FAILED ? -errno : 0;
}

TEST_F(off32, a_negative_offset_maps_the_buffer)
{
	char *one = map_off(self->fd, self->phys, self->buf.size);
	char *two = map_shifted(self->fd, self->phys, self->buf.size);
	off_t second_page = self->phys + self->page;
	__u64 phys;
	char *three;

	ASSERT_MAPPED(one);
	ASSERT_MAPPED(two);
	three = map_shifted(self->fd, second_page, self->page);
	ASSERT_MAPPED(three);
	fill(one, self->buf.size, 1);
	EXPECT_EQ(-1, find_stranger(two, self->buf.size, 1));
	EXPECT_EQ(0, memcmp(one + self->page, three, self->page));
	ASSERT_EQ(0, old_getphys(self->fd, one + 1, &phys));
	EXPECT_EQ(self->buf.phys + 1, phys);
	ASSERT_EQ(0, old_getphys(self->fd, two + 1, &phys));
	EXPECT_EQ(self->buf.phys + 1, phys);
	ASSERT_EQ(0, old_getphys(self->fd, three + 1, &phys));
	EXPECT_EQ(self->buf.phys + self->page + 1, phys);
	EXPECT_EQ(0, old_cache(self->fd, two, self->buf.size, OLD_WB | OLD_INV));
	EXPECT_EQ(-1, find_stranger(two, self->buf.size, 1));
	EXPECT_EQ(0, old_free(self->fd, two));
	EXPECT_REFUSED(ENOENT, old_free(self->fd, one));
	ASSERT_EQ(0, munmap(one, self->buf.size));
	ASSERT_EQ(0, munmap(two, self->buf.size));
	ASSERT_EQ(0, munmap(three, self->page));
}

/* A mapping with a negative offset behaves like any other. */
TEST_F(off32, such_a_mapping_can_be_split_and_inherited)
{
	char *map = map_shifted(self->fd, self->phys, 2 * self->page);
	__u64 phys;
	pid_t pid;

	ASSERT_MAPPED(map);
	ASSERT_EQ(0, munmap(map, self->page));
	IN_CHILD(pid) {
		ASSERT_EQ(0, old_getphys(self->fd, map + self->page, &phys));
		ASSERT_EQ(self->buf.phys + self->page, phys);
		map[self->page] = 'c';
	}
	join_child(pid);
	EXPECT_EQ('c', map[self->page]);
	ASSERT_EQ(0, old_freephys(self->fd, self->buf.phys));
	EXPECT_EQ('c', map[self->page]);
	ASSERT_EQ(0, munmap(map + self->page, self->page));
}

TEST_F(off32, a_negative_offset_opens_nothing_that_is_not_the_files_own)
{
	EXPECT_REFUSED(EINVAL, try_off(self->fd, self->phys, self->buf.size + self->page));
	EXPECT_REFUSED(EINVAL, try_shifted(self->fd, self->phys, self->buf.size + self->page));
	/* Neighbouring buffers, and ordinary memory. */
	for (int bit = 12; bit < 32; bit++) {
		off_t off = self->phys ^ (off_t)(1u << bit);
		__u32 addr = off;

		if (addr - self->buf.phys < self->buf.size)
			continue;
		EXPECT_REFUSED(EINVAL, try_off(self->fd, off, self->page)) TH_LOG("%#x", addr);
		EXPECT_REFUSED(EINVAL, try_shifted(self->fd, off, self->page))
			TH_LOG("%#x", addr);
	}
	ASSERT_EQ(0, old_freephys(self->fd, self->buf.phys));
	EXPECT_REFUSED(EINVAL, try_off(self->fd, self->phys, self->page));
	EXPECT_REFUSED(EINVAL, try_shifted(self->fd, self->phys, self->page));
}

TEST_F(off32, FREE_ignores_what_is_behind_an_off_t)
{
	const __u32 junk[] = { 0, 1, 8, 0x5a5a5a5a, 0x7fffffff, 0x80000000, 0xbefff000, ~0u };
	struct { off_t phys; __u32 behind; } arg = { .phys = self->phys };
	size_t size;

	for (size_t i = 0; i < ARRAY_SIZE(junk); i++) {
		arg.behind = junk[i];
		ASSERT_EQ(0, old_reguser(self->fd, self->buf.phys, &size));
		ASSERT_EQ(0, cmem_ioctl(self->fd, OLD_FREE | OLD_PHYS | (i % 2 ? OLD_HEAP : 0),
					&arg))
			TH_LOG("%#x", junk[i]);
		EXPECT_EQ(self->phys, arg.phys);
		EXPECT_EQ(junk[i], arg.behind);
		/* It does not let other callers in, and finds no other buffer. */
		EXPECT_REFUSED(EPERM, cmem_ioctl(self->other_fd, OLD_FREE | OLD_PHYS, &arg));
		arg.phys += self->page;
		EXPECT_REFUSED(ENOENT, cmem_ioctl(self->fd, OLD_FREE | OLD_PHYS, &arg));
		arg.phys = self->phys;
	}
	ASSERT_EQ(0, cmem_ioctl(self->fd, OLD_FREE | OLD_PHYS, &arg));
	EXPECT_REFUSED(ENOENT, cmem_ioctl(self->fd, OLD_FREE | OLD_PHYS, &arg));
}

TEST_F(off32, FREE_does_without_anything_behind_an_off_t)
{
	char *page = mmap(NULL, 2 * self->page, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	off_t *last;

	ASSERT_MAPPED(page);
	ASSERT_EQ(0, munmap(page + self->page, self->page));
	last = (off_t *)(page + self->page) - 1;
	*last = self->phys + 1;
	EXPECT_REFUSED(EINVAL, cmem_ioctl(self->fd, OLD_FREE | OLD_PHYS, last));
	*last = self->phys;
	EXPECT_REFUSED(EFAULT, cmem_ioctl(self->fd, OLD_FREE | OLD_PHYS, (char *)last + 1));
	EXPECT_REFUSED(EFAULT, cmem_ioctl(self->fd, OLD_FREE | OLD_PHYS, last + 1));
	EXPECT_EQ(0, cmem_ioctl(self->fd, OLD_FREE | OLD_PHYS, last));
	EXPECT_REFUSED(ENOENT, cmem_ioctl(self->fd, OLD_FREE | OLD_PHYS, last));
}

TEST_F(off32, REGUSER_understands_an_off_t_that_became_64_bits)
{
	/* The sign extends into the upper half. */
	__u64 extended = self->phys;
	size_t size;

	ASSERT_EQ(~0u, extended >> 32);
	ASSERT_EQ(0, old_reguser(self->other_fd, extended, &size));
	EXPECT_EQ(self->buf.size, size);
	EXPECT_EQ(0, old_freephys(self->other_fd, extended));
	EXPECT_REFUSED(EPERM, old_freephys(self->other_fd, extended));
	/* Only a full sign extension counts. */
	for (int bit = 32; bit < 64; bit++) {
		EXPECT_REFUSED(ENOENT, old_reguser(self->other_fd, extended ^ 1ULL << bit, &size));
	}
}

TEST_F(off32, EXPORTDMABUF_knows_such_mappings)
{
	char *const maps[] = {
		map_off(self->fd, self->phys, self->buf.size),
		map_shifted(self->fd, self->phys, self->buf.size),
	};

	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		char *map;
		int fd;

		ASSERT_MAPPED(maps[i]);
		fill(maps[i], self->buf.size, i);
		fd = old_exportdmabuf(self->fd, maps[i] + self->page + 1);
		ASSERT_LE(0, fd);
		EXPECT_EQ(self->buf.size, lseek(fd, 0, SEEK_END));
		map = mmap(NULL, self->buf.size, PROT_READ, MAP_SHARED, fd, 0);
		ASSERT_MAPPED(map);
		EXPECT_EQ(-1, find_stranger(map, self->buf.size, i));
		EXPECT_REFUSED(EPERM, old_exportdmabuf(self->other_fd, map));
		ASSERT_EQ(0, munmap(map, self->buf.size));
		ASSERT_EQ(0, munmap(maps[i], self->buf.size));
		close(fd);
	}
}

TEST_F(off32, an_address_that_is_too_large_is_an_error_and_not_another_address)
{
	bool tried = false;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];
		struct old_buf buf;
		__u64 phys;

		if (b->base < 1ULL << 32 || old_allocheap(self->fd, b->block, 1, 0, 0, &buf))
			continue;
		tried = true;
		EXPECT_LE(b->base, buf.phys);
		EXPECT_REFUSED(EINVAL, try_off(self->fd, (off_t)buf.phys, self->page));
		EXPECT_REFUSED(EINVAL, try_shifted(self->fd, (off_t)buf.phys, self->page));
		/* If all 64 bits are passed, they count. */
		phys = buf.phys;
		EXPECT_EQ(0, cmem_ioctl(self->fd, OLD_FREE | OLD_PHYS, &phys));
		EXPECT_REFUSED(ENOENT, cmem_ioctl(self->fd, OLD_FREE | OLD_PHYS, &phys));
	}
	if (!tried)
		SKIP(return, "no memory above 4 GiB");
}

/* The life of a buffer as the library manages it, with nothing but an off_t. */
TEST_F(off32, the_whole_life_of_a_buffer)
{
	off_t phys = self->phys;
	size_t size;
	int pool;
	char *map;

	map = map_off(self->fd, phys, self->buf.size);
	ASSERT_MAPPED(map);
	fill(map, self->buf.size, 7);
	EXPECT_EQ(0, old_cache(self->fd, map, self->buf.size, OLD_WB));
	ASSERT_EQ(0, old_reguser(self->other_fd, (__u64)phys, &size));
	ASSERT_EQ(0, old_free_out(self->fd, map, 0, &pool, &size));
	ASSERT_EQ(0, munmap(map, size));

	map = map_off(self->other_fd, phys, self->buf.size);
	ASSERT_MAPPED(map);
	EXPECT_EQ(-1, find_stranger(map, self->buf.size, 7));
	ASSERT_EQ(0, old_free_out(self->other_fd, map, 0, &pool, &size));
	EXPECT_EQ(self->buf.size, size);
	ASSERT_EQ(0, munmap(map, size));
	EXPECT_REFUSED(ENOENT, cmem_ioctl(self->other_fd, OLD_FREE | OLD_PHYS, &phys));
}

TEST_HARNESS_MAIN
