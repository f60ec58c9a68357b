// SPDX-License-Identifier: GPL-2.0
/*
 * Mapping buffers: whole, in part, many times and wrongly; what mremap(), munmap(),
 * mprotect(), madvise() and fork() do to a mapping; and how a debugger sees it.
 */
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "cmem_test.h"

#define PAGES 8

FIXTURE(map)
{
	int fd;
	struct source src;
	struct cmem_alloc buf;
	unsigned long page;
	struct snapshot before;
};

SOURCE_VARIANTS(map);

FIXTURE_SETUP(map)
{
	self->page = page_size();
	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!find_source(variant->kind, variant->heap, PAGES * self->page, &self->src))
		SKIP(return, "no such memory on this board");
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, variant->flags, &self->buf));
}

FIXTURE_TEARDOWN(map)
{
	close(self->fd);
	expect_same(&self->before);
}

/* mmap() of /dev/cmem at a physical address: the address, or a negative errno. */
static long try_map(int fd, __u64 phys_addr, size_t length, int prot, int flags)
{
	void *addr = mmap(NULL, length, prot, flags, fd, phys_addr);

	return addr == MAP_FAILED ? -errno : (long)addr;
}

#define RW (PROT_READ | PROT_WRITE)

static void *map_part(int fd, __u64 phys_addr, size_t length)
{
	return mmap(NULL, length, RW, MAP_SHARED, fd, phys_addr);
}

/*
 * What is mapped
 */

TEST_F(map, the_whole_buffer_is_readable_and_writable)
{
	char *map = cmem_map(self->fd, &self->buf);

	ASSERT_MAPPED(map);
	fill(map, self->buf.length, 1);
	EXPECT_EQ(-1, find_stranger(map, self->buf.length, 1));
	EXPECT_EQ(0, munmap(map, self->buf.length));
}

TEST_F(map, a_new_buffer_is_zero)
{
	char *map = cmem_map(self->fd, &self->buf);

	ASSERT_MAPPED(map);
	EXPECT_EQ(-1, find_nonzero(map, self->buf.length));
	EXPECT_EQ(0, munmap(map, self->buf.length));
}

TEST_F(map, parts_show_the_bytes_of_their_place)
{
	char *map = cmem_map(self->fd, &self->buf);

	ASSERT_MAPPED(map);
	for (int i = 0; i < PAGES; i++)
		memset(map + i * self->page, 'a' + i, self->page);
	for (int first = 0; first < PAGES; first++) {
		for (int pages = 1; first + pages <= PAGES; pages++) {
			char *part = map_part(self->fd, self->buf.phys_addr + first * self->page,
					      pages * self->page);

			ASSERT_MAPPED(part);
			for (int i = 0; i < pages; i++) {
				EXPECT_EQ('a' + first + i, part[i * self->page]);
				EXPECT_EQ('a' + first + i, part[(i + 1) * self->page - 1]);
			}
			EXPECT_EQ(0, munmap(part, pages * self->page));
		}
	}
	EXPECT_EQ(0, munmap(map, self->buf.length));
}

TEST_F(map, the_last_page_can_be_mapped_and_nothing_behind_it)
{
	__u64 last = self->buf.phys_addr + self->buf.length - self->page;
	char *tail = map_part(self->fd, last, self->page);

	ASSERT_MAPPED(tail);
	memset(tail, 1, self->page);
	EXPECT_EQ(0, munmap(tail, self->page));
	EXPECT_REFUSED(EINVAL, try_map(self->fd, last, 2 * self->page, RW, MAP_SHARED));
	EXPECT_REFUSED(EINVAL, try_map(self->fd, last, self->page + 1, RW, MAP_SHARED));
}

TEST_F(map, a_length_that_is_no_multiple_of_a_page_is_rounded_up)
{
	char *map = map_part(self->fd, self->buf.phys_addr, 1);

	ASSERT_MAPPED(map);
	memset(map, 1, self->page);
	EXPECT_EQ(0, munmap(map, self->page));
}

TEST_F(map, two_mappings_show_the_same_bytes)
{
	volatile char *one = cmem_map(self->fd, &self->buf);
	volatile char *two = cmem_map(self->fd, &self->buf);

	ASSERT_MAPPED(one);
	ASSERT_MAPPED(two);
	for (size_t i = 0; i < self->buf.length; i += 1000) {
		one[i] = i;
		EXPECT_EQ((char)i, two[i]);
		two[i]++;
		EXPECT_EQ((char)(i + 1), one[i]);
	}
	EXPECT_EQ(0, munmap((void *)one, self->buf.length));
	EXPECT_EQ(0, munmap((void *)two, self->buf.length));
}

TEST_F(map, many_mappings_of_one_buffer)
{
	enum { MANY = 40 * PAGES };
	static char *map[MANY];

	for (int i = 0; i < MANY; i++) {
		map[i] = map_part(self->fd, self->buf.phys_addr + i % PAGES * self->page,
				  self->page);
		ASSERT_MAPPED(map[i]);
		map[i][i] = i;
	}
	/* Each byte is written through one mapping and read through another. */
	for (int i = 0; i < MANY; i++) {
		EXPECT_EQ((char)i, map[(i + MANY - PAGES) % MANY][i]);
	}
	for (int i = 0; i < MANY; i++) {
		EXPECT_EQ(0, munmap(map[i], self->page));
	}
}

TEST_F(map, a_mapping_at_a_fixed_place_with_odd_alignment)
{
	char *area = mmap(NULL, self->buf.length + 3 * self->page, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *map;

	ASSERT_MAPPED(area);
	for (int shift = 0; shift < 3; shift++) {
		map = mmap(area + shift * self->page, self->buf.length, RW,
			   MAP_SHARED | MAP_FIXED, self->fd, self->buf.mmap_offset);
		ASSERT_TRUE(map == area + shift * self->page);
		if (shift) {
			EXPECT_EQ(-1, find_stranger(map, self->buf.length, shift - 1));
		}
		fill(map, self->buf.length, shift);
	}
	EXPECT_EQ(0, munmap(area, self->buf.length + 3 * self->page));
}

TEST_F(map, every_page_of_2M_mappings_is_the_right_one)
{
	struct source src;
	struct cmem_alloc buf;
	volatile __u64 *map, *odd;
	size_t words = self->page / sizeof(*map);
	char *area;

	if (!find_source(variant->kind, variant->heap, variant->heap ? 3 * SZ_2M : SZ_2M, &src))
		SKIP(return, "no buffer of 2 MiB");
	ASSERT_EQ(0, source_alloc(self->fd, &src, variant->flags, &buf));
	map = cmem_map(self->fd, &buf);
	ASSERT_MAPPED(map);
	area = mmap(NULL, buf.length + 2 * SZ_2M, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(area);
	/* One page off: this mapping cannot use a large page table entry. */
	odd = (void *)(((unsigned long)area | (SZ_2M - 1)) + 1 +
		       (((unsigned long)map + self->page) & (SZ_2M - 1)));
	odd = mmap((void *)odd, buf.length, RW, MAP_SHARED | MAP_FIXED, self->fd,
		   buf.mmap_offset);
	ASSERT_MAPPED(odd);
	for (__u64 i = 0; i < buf.length / sizeof(*map); i += words)
		map[i] = i;
	for (__u64 i = 0; i < buf.length / sizeof(*map); i += words) {
		ASSERT_EQ(i, odd[i]);
		odd[i + words - 1] = ~i;
	}
	for (__u64 i = 0; i < buf.length / sizeof(*map); i += words) {
		ASSERT_EQ(i, map[i]);
		ASSERT_EQ(~i, map[i + words - 1]);
	}
	EXPECT_EQ(0, munmap((void *)map, buf.length));
	EXPECT_EQ(0, munmap(area, buf.length + 2 * SZ_2M));
}

/* The number of splits of a large page table entry */
TEST_F(map, parts_of_2M_mappings_can_go_and_change_protection)
{
	struct source src;
	struct cmem_alloc buf;
	char *map;

	if (!find_source(variant->kind, variant->heap, SZ_2M, &src))
		SKIP(return, "no buffer of 2 MiB");
	ASSERT_EQ(0, source_alloc(self->fd, &src, variant->flags, &buf));
	map = cmem_map(self->fd, &buf);
	ASSERT_MAPPED(map);
	for (size_t i = 0; i < buf.length; i += self->page)
		map[i] = i / self->page;
	ASSERT_EQ(0, mprotect(map + 5 * self->page, self->page, PROT_READ));
	ASSERT_EQ(0, munmap(map + 9 * self->page, self->page));
	EXPECT_EQ(SIGSEGV, access_signal(map + 5 * self->page, true));
	EXPECT_EQ(0, access_signal(map + 5 * self->page, false));
	EXPECT_EQ(0, access_signal(map + 4 * self->page, true));
	EXPECT_EQ(0, access_signal(map + 6 * self->page, true));
	EXPECT_EQ(SIGSEGV, access_signal(map + 9 * self->page, false));
	for (size_t i = 0; i < buf.length; i += self->page) {
		if (i == 4 * self->page || i == 6 * self->page) {
			EXPECT_EQ(1, map[i]);
		} else if (i != 9 * self->page) {
			ASSERT_EQ((char)(i / self->page), map[i]);
		}
	}
	ASSERT_EQ(0, mprotect(map + 5 * self->page, self->page, RW));
	map[5 * self->page] = 1;
	EXPECT_EQ(0, munmap(map, buf.length));
}

TEST_F(map, unaligned_access_and_string_functions_work)
{
	char *map = cmem_map(self->fd, &self->buf);
	const size_t half = PAGES / 2 * self->page;
	char copy[512];

	ASSERT_MAPPED(map);
	memset(map, 0, half * 2);
	for (size_t i = 0; i < sizeof(copy); i++)
		copy[i] = i * 7;
	for (size_t at = 0; at < 16; at++) {
		struct { __u64 word; } __packed *odd = (void *)(map + at);

		odd->word = 0x0123456789abcdefULL + at;
		EXPECT_EQ(0x0123456789abcdefULL + at, odd->word);
		memcpy(map + half + at, copy, sizeof(copy));
		EXPECT_EQ(0, memcmp(map + half + at, copy, sizeof(copy)));
		memmove(map + half + at + 3, map + half + at, sizeof(copy));
		EXPECT_EQ(0, memcmp(map + half + at + 3, copy, sizeof(copy)));
		memset(map + at, 0x5a, self->page + 11);
		EXPECT_EQ(0x5a, map[at + self->page + 10]);
		EXPECT_EQ(0, map[at + self->page + 11]);
	}
	/* Across a page boundary. */
	memcpy(map + self->page - 3, "cmem-cmem", 10);
	EXPECT_STREQ("cmem-cmem", map + self->page - 3);
	EXPECT_EQ(0, munmap(map, self->buf.length));
}

TEST_F(map, system_calls_can_use_the_memory)
{
	char *map = cmem_map(self->fd, &self->buf);
	int ends[2];

	ASSERT_MAPPED(map);
	ASSERT_EQ(0, pipe(ends));
	memset(map, 'x', self->page);
	ASSERT_EQ(100, write(ends[1], map + self->page - 50, 100));
	ASSERT_EQ(100, read(ends[0], map + 2 * self->page - 50, 100));
	EXPECT_EQ('x', map[2 * self->page - 1]);
	EXPECT_EQ(0, map[2 * self->page]);
	EXPECT_EQ(0, munmap(map, self->buf.length));
	close(ends[0]);
	close(ends[1]);
}

/*
 * What is not mapped
 */

TEST_F(map, more_than_the_buffer_is_EINVAL)
{
	const size_t lengths[] = {
		self->buf.length + 1, self->buf.length + self->page, 2 * self->buf.length,
		1UL << 30,
	};

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		if (lengths[i] > self->buf.length) {
			EXPECT_REFUSED(EINVAL, try_map(self->fd, self->buf.phys_addr, lengths[i],
						       RW, MAP_SHARED));
		}
	}
	for (__u64 off = self->page; off < self->buf.length; off *= 2) {
		EXPECT_REFUSED(EINVAL, try_map(self->fd, self->buf.phys_addr + off,
					       self->buf.length, RW, MAP_SHARED));
	}
}

TEST_F(map, a_mapping_may_not_begin_before_the_buffer)
{
	EXPECT_REFUSED(EINVAL, try_map(self->fd, self->buf.phys_addr - self->page,
				       2 * self->page, RW, MAP_SHARED));
}

TEST_F(map, addresses_in_no_buffer_are_EINVAL)
{
	const __u64 far[] = {
		0, self->page, 1ULL << 40, (1ULL << 44) - self->page,
		self->buf.phys_addr ^ 1ULL << 42,
	};
	struct cmem_alloc freed;

	for (size_t i = 0; i < ARRAY_SIZE(far); i++) {
		/* A 32-bit kernel has no page after the last, and says so itself. */
		bool last = far[i] + self->page == 1ULL << 44 && on_32_bit_kernel();

		EXPECT_REFUSED(last ? EOVERFLOW : EINVAL,
			       try_map(self->fd, far[i], self->page, RW, MAP_SHARED))
			TH_LOG("%#llx", far[i]);
	}
	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];

		if (b->kind == CMEM_KIND_CMA)
			continue;
		/* A CMA area with our buffer may lie right next to the block. */
		if (b->base - self->page - self->buf.phys_addr >= self->buf.length) {
			EXPECT_REFUSED(EINVAL, try_map(self->fd, b->base - self->page, self->page,
						       RW, MAP_SHARED));
		}
		if (b->base + b->length - self->buf.phys_addr >= self->buf.length) {
			EXPECT_REFUSED(EINVAL, try_map(self->fd, b->base + b->length, self->page,
						       RW, MAP_SHARED));
		}
		EXPECT_REFUSED(EINVAL, try_map(self->fd, b->base + b->length - self->page,
					       2 * self->page, RW, MAP_SHARED));
	}
	/* A freed buffer cannot be mapped. */
	ASSERT_EQ(0, cmem_free(self->fd, self->buf.phys_addr));
	EXPECT_REFUSED(EINVAL, try_map(self->fd, self->buf.phys_addr, self->page, RW,
				       MAP_SHARED));
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, variant->flags, &freed));
}

TEST_F(map, offset_plus_length_that_wraps_is_refused)
{
	/* Of the offsets that 64 bits hold, and that mmap2() of 32 bits can request. */
	const __u64 offset[] = {
		sizeof(long) == 8 ? -self->page : (1ULL << 44) - self->page,
		sizeof(long) == 8 ? -2 * self->page : (1ULL << 44) - 2 * self->page,
		sizeof(long) == 8 ? 1ULL << 63 : 1ULL << 43,
	};

	for (size_t i = 0; i < ARRAY_SIZE(offset); i++) {
		for (size_t pages = 1; pages < 5; pages++) {
			long ret;

			ASSERT_EQ(0, take_snapshot(&before_call));
			ret = try_map(self->fd, offset[i], pages * self->page, RW, MAP_SHARED);
			/* EOVERFLOW: the kernel itself, before it calls the driver. */
			EXPECT_TRUE(ret == -EINVAL || ret == -EOVERFLOW)
				TH_LOG("%#llx: %ld", offset[i], ret);
			expect_same(&before_call);
		}
	}
}

TEST_F(map, an_offset_within_a_page_is_EINVAL)
{
	EXPECT_REFUSED(EINVAL, try_map(self->fd, self->buf.phys_addr + 1, 1, RW, MAP_SHARED));
	EXPECT_REFUSED(EINVAL, try_map(self->fd, self->buf.phys_addr + 512, 1, RW, MAP_SHARED));
}

TEST_F(map, a_length_of_zero_is_EINVAL)
{
	EXPECT_REFUSED(EINVAL, try_map(self->fd, self->buf.phys_addr, 0, RW, MAP_SHARED));
}

/*
 * Without a registration: an old program that knows an address maps it, and does no more.
 */

/* How many files are registered, as others can find out */
static int num_holders(__u64 phys_addr)
{
	char path[64], line[512], start[32];
	int count = 0;

	snprintf(start, sizeof(start), "phys=%#llx ", (unsigned long long)phys_addr);
	for (int block = -1; block < 32; block++) {
		FILE *file;

		snprintf(path, sizeof(path), "/sys/kernel/debug/cmem/%d/extents", block);
		file = fopen(path, "r");
		if (!file)
			continue;
		while (fgets(line, sizeof(line), file))
			if (strstr(line, start))
				for (char *at = line; (at = strstr(at, " owner=")); at++)
					count++;
		fclose(file);
	}
	return count;
}

TEST_F(map, who_may_register_may_map)
{
	__u64 phys = self->buf.phys_addr;
	int other_fd = cmem_open(), third = cmem_open();
	char *map, *part;

	ASSERT_LE(0, other_fd);
	ASSERT_LE(0, third);
	EXPECT_REFUSED(EINVAL, try_map(other_fd, phys, 2 * self->buf.length, RW, MAP_SHARED));
	map = map_part(self->fd, phys, self->buf.length);
	part = map_part(other_fd, phys + self->page, self->page);
	ASSERT_MAPPED(map);
	ASSERT_MAPPED(part);
	fill(map, self->buf.length, 1);
	EXPECT_EQ(0, memcmp(part, map + self->page, self->page));
	/* There is no registration to drop, but it may export and sync. */
	EXPECT_REFUSED(EPERM, cmem_free(other_fd, phys));
	EXPECT_EQ(0, cmem_sync(other_fd, part, self->page, CMEM_SYNC_WRITE_BACK));
	ASSERT_EQ(0, munmap(map, self->buf.length));

	/* While it exists, it counts: a file that may register by address still may. */
	ASSERT_EQ(0, cmem_free(self->fd, phys));
	EXPECT_REFUSED(EPERM, cmem_free(other_fd, phys));
	ASSERT_EQ(0, cmem_register(third, phys));
	ASSERT_EQ(0, cmem_free(third, phys));
	EXPECT_EQ(fill_word(1, self->page / 8), *(volatile __u64 *)part);
	ASSERT_EQ(0, munmap(part, self->page));
	EXPECT_REFUSED(ENOENT, cmem_register(third, phys));
	EXPECT_REFUSED(EINVAL, try_map(other_fd, phys, self->page, RW, MAP_SHARED));
	expect_same(&self->before);
	close(third);
	close(other_fd);
}

TEST_F(map, such_a_mapping_is_split_moved_and_inherited)
{
	__u64 phys = self->buf.phys_addr;
	int other_fd = cmem_open();
	char *map = map_part(other_fd, phys, self->buf.length), *moved;
	bool told = !access("/sys/kernel/debug/cmem", F_OK);
	pid_t pid;

	ASSERT_MAPPED(map);
	if (told) {
		EXPECT_EQ(2, num_holders(phys));
	}
	ASSERT_EQ(0, cmem_free(self->fd, phys));
	moved = mmap(NULL, self->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(moved);
	ASSERT_EQ(0, munmap(map + self->page, self->page));
	ASSERT_EQ(0, mprotect(map + 3 * self->page, self->page, PROT_READ));
	ASSERT_TRUE(mremap(map + 5 * self->page, self->page, self->page,
			   MREMAP_MAYMOVE | MREMAP_FIXED, moved) == moved);
	IN_CHILD(pid) {
		ASSERT_EQ(0, munmap(map, self->buf.length));
		ASSERT_EQ(-EPERM, cmem_free(other_fd, phys));
		ASSERT_EQ(0, *moved);
	}
	join_child(pid);
	*moved = 1;
	if (told) {
		EXPECT_EQ(1, num_holders(phys));
	}
	ASSERT_EQ(0, munmap(map, self->buf.length));
	EXPECT_EQ(1, *moved);
	EXPECT_EQ(0, cmem_register(self->fd, phys));
	EXPECT_EQ(0, cmem_free(self->fd, phys));
	ASSERT_EQ(0, munmap(moved, self->page));
	EXPECT_REFUSED(ENOENT, cmem_register(self->fd, phys));
	expect_same(&self->before);
	close(other_fd);
}

TEST_F(map, such_a_file_registers_as_well)
{
	__u64 phys = self->buf.phys_addr;
	int other_fd = cmem_open();
	char *map = map_part(other_fd, phys, self->page), *remapped;

	ASSERT_MAPPED(map);
	ASSERT_EQ(0, cmem_register(other_fd, phys));
	/* A registered file made this mapping: it only holds its own memory. */
	remapped = map_part(other_fd, phys, self->page);
	ASSERT_MAPPED(remapped);
	ASSERT_EQ(0, munmap(map, self->page));
	ASSERT_EQ(0, cmem_free(self->fd, phys));
	ASSERT_EQ(0, cmem_register(self->fd, phys));
	ASSERT_EQ(0, cmem_free(self->fd, phys));
	ASSERT_EQ(0, cmem_free(other_fd, phys));
	EXPECT_REFUSED(ENOENT, cmem_register(self->fd, phys));
	*remapped = 1;
	ASSERT_EQ(0, munmap(remapped, self->page));
	close(other_fd);
	expect_same(&self->before);
}

TEST_F(map, who_may_not_register_may_not_map)
{
	struct cmem_alloc private;
	int reader = open(CMEM_DEVICE, O_RDONLY | O_CLOEXEC), other_fd = cmem_open();
	struct source src;
	void *map;
	pid_t pid;

	ASSERT_LE(0, reader);
	/* A read-only file may map for reading; the owner's file is open for more. */
	map = mmap(NULL, self->page, PROT_READ, MAP_SHARED, reader, self->buf.phys_addr);
	ASSERT_MAPPED(map);
	EXPECT_EQ(-1, mprotect(map, self->page, RW));
	ASSERT_EQ(0, munmap(map, self->page));
	EXPECT_REFUSED(EACCES, try_map(reader, self->buf.phys_addr, self->page, RW, MAP_SHARED));
	if (find_source(ANY_KIND, variant->heap, self->page, &src)) {
		ASSERT_EQ(0, source_alloc(self->fd, &src, CMEM_ALLOC_PRIVATE, &private));
		EXPECT_REFUSED(EPERM, try_map(other_fd, private.phys_addr, self->page, RW,
					      MAP_SHARED));
		ASSERT_EQ(0, cmem_free(self->fd, private.phys_addr));
	}
	if (getuid() || anyone_may_share())
		SKIP(goto out, "wants root, and no cmem.share=any");
	IN_CHILD(pid) {
		int fd;

		ASSERT_EQ(0, become_user(OTHER_UID));
		fd = cmem_open();
		ASSERT_LE(0, fd);
		ASSERT_EQ(-EPERM, try_map(fd, self->buf.phys_addr, self->page, RW, MAP_SHARED));
		ASSERT_EQ(-EPERM, try_map(fd, self->buf.phys_addr, self->page, PROT_READ,
					  MAP_SHARED));
	}
	join_child(pid);
out:
	close(reader);
	close(other_fd);
}

TEST_F(map, no_more_files_than_may_register_map_a_buffer)
{
	static void *maps[CMEM_MAX_HOLDERS];
	static int fd[CMEM_MAX_HOLDERS];
	int last = cmem_open();

	for (int i = 1; i < CMEM_MAX_HOLDERS; i++) {
		fd[i] = cmem_open();
		ASSERT_LE(0, fd[i]);
		maps[i] = map_part(fd[i], self->buf.phys_addr, self->page);
		ASSERT_MAPPED(maps[i]);
	}
	EXPECT_REFUSED(EOVERFLOW, try_map(last, self->buf.phys_addr, self->page, RW,
					  MAP_SHARED));
	EXPECT_REFUSED(EOVERFLOW, cmem_register(last, self->buf.phys_addr));
	ASSERT_EQ(0, munmap(maps[1], self->page));
	maps[1] = map_part(last, self->buf.phys_addr, self->page);
	ASSERT_MAPPED(maps[1]);
	close(last);
	for (int i = 1; i < CMEM_MAX_HOLDERS; i++) {
		close(fd[i]);
		ASSERT_EQ(0, munmap(maps[i], self->page));
	}
}

TEST_F(map, private_mappings_are_EINVAL)
{
	EXPECT_REFUSED(EINVAL, try_map(self->fd, self->buf.phys_addr, self->page, RW,
				       MAP_PRIVATE));
	EXPECT_REFUSED(EINVAL, try_map(self->fd, self->buf.phys_addr, self->page, PROT_READ,
				       MAP_PRIVATE));
}

TEST_F(map, executable_mappings_are_EPERM)
{
	EXPECT_REFUSED(EPERM, try_map(self->fd, self->buf.phys_addr, self->page, RW | PROT_EXEC,
				      MAP_SHARED));
	EXPECT_REFUSED(EPERM, try_map(self->fd, self->buf.phys_addr, self->page,
				      PROT_READ | PROT_EXEC, MAP_SHARED));
	EXPECT_REFUSED(EPERM, try_map(self->fd, self->buf.phys_addr, self->page, PROT_EXEC,
				      MAP_SHARED));
}

TEST_F(map, a_file_opened_for_reading_maps_for_reading_only)
{
	int reader = open(CMEM_DEVICE, O_RDONLY | O_CLOEXEC);
	char *map;

	ASSERT_LE(0, reader);
	ASSERT_EQ(0, cmem_register(reader, self->buf.phys_addr));
	EXPECT_REFUSED(EACCES, try_map(reader, self->buf.phys_addr, self->page, RW, MAP_SHARED));
	map = mmap(NULL, self->page, PROT_READ, MAP_SHARED, reader, self->buf.mmap_offset);
	ASSERT_MAPPED(map);
	EXPECT_EQ(0, *map);
	EXPECT_EQ(-1, mprotect(map, self->page, RW));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(0, munmap(map, self->page));
	close(reader);
}

/* What happens to a mapping */

TEST_F(map, without_access_first_it_maps_the_same_memory_later)
{
	char *map, *second = cmem_map(self->fd, &self->buf);

	ASSERT_MAPPED(second);
	fill(second, self->buf.length, 7);
	map = mmap(NULL, self->buf.length, PROT_NONE, MAP_SHARED, self->fd,
		   self->buf.mmap_offset);
	ASSERT_MAPPED(map);
	EXPECT_EQ(SIGSEGV, access_signal(map, false));
	ASSERT_EQ(0, mprotect(map, self->buf.length, RW));
	EXPECT_EQ(-1, find_stranger(map, self->buf.length, 7));
	fill(map, self->buf.length, 8);
	EXPECT_EQ(-1, find_stranger(second, self->buf.length, 8));
	EXPECT_EQ(0, munmap(map, self->buf.length));
	EXPECT_EQ(0, munmap(second, self->buf.length));
}

/* The "rwxs" of the mapping at @addr in /proc/self/maps; true if it exists. */
static bool permissions(const void *addr, char perms[5])
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	bool found = false;
	char line[512];

	while (maps && !found && fgets(line, sizeof(line), maps))
		found = sscanf(line, "%lx-%lx %4s", &start, &end, perms) == 3 &&
			start <= (unsigned long)addr && (unsigned long)addr < end;
	if (maps)
		fclose(maps);
	return found;
}

TEST_F(map, mprotect_can_not_make_it_executable)
{
	char *map = cmem_map(self->fd, &self->buf);
	char perms[5] = "";

	ASSERT_MAPPED(map);
	EXPECT_EQ(-1, mprotect(map, self->page, RW | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(map, self->page, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	ASSERT_TRUE(permissions(map, perms));
	EXPECT_STREQ("rw-s", perms);
	EXPECT_EQ(0, munmap(map, self->buf.length));
}

TEST_F(map, READ_IMPLIES_EXEC_programs_can_map_and_can_not_execute)
{
	int was = personality(0xffffffff);
	char perms[5] = "";
	char *map;

	ASSERT_LE(0, was);
	ASSERT_LE(0, personality(was | READ_IMPLIES_EXEC));
	map = cmem_map(self->fd, &self->buf);
	ASSERT_MAPPED(map);
	map[0] = 1;
	ASSERT_TRUE(permissions(map, perms));
	EXPECT_STREQ("rw-s", perms);
	ASSERT_LE(0, personality(was));
	EXPECT_EQ(-1, mprotect(map, self->page, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(0, munmap(map, self->buf.length));
}

TEST_F(map, mprotect_to_read_only_and_back)
{
	char *map = cmem_map(self->fd, &self->buf);

	ASSERT_MAPPED(map);
	memset(map, 7, self->buf.length);
	ASSERT_EQ(0, mprotect(map, self->buf.length, PROT_READ));
	EXPECT_EQ(SIGSEGV, access_signal(map, true));
	EXPECT_EQ(SIGSEGV, access_signal(map + self->buf.length - 1, true));
	EXPECT_EQ(0, access_signal(map, false));
	EXPECT_EQ(7, map[self->page]);
	ASSERT_EQ(0, mprotect(map, self->buf.length, PROT_NONE));
	EXPECT_EQ(SIGSEGV, access_signal(map, false));
	ASSERT_EQ(0, mprotect(map, self->buf.length, RW));
	EXPECT_EQ(7, map[self->buf.length - 1]);
	memset(map, 8, self->buf.length);
	EXPECT_EQ(8, map[self->page]);
	EXPECT_EQ(0, munmap(map, self->buf.length));
}

TEST_F(map, a_read_only_mapping_is_not_writable)
{
	char *map = mmap(NULL, self->buf.length, PROT_READ, MAP_SHARED, self->fd,
			 self->buf.mmap_offset);
	char *rw = cmem_map(self->fd, &self->buf);

	ASSERT_MAPPED(map);
	ASSERT_MAPPED(rw);
	EXPECT_EQ(SIGSEGV, access_signal(map, true));
	EXPECT_EQ(SIGSEGV, access_signal(map + self->buf.length - 1, true));
	*rw = 3;
	EXPECT_EQ(3, *map);
	/* Also after an earlier read. */
	EXPECT_EQ(SIGSEGV, access_signal(map, true));
	EXPECT_EQ(0, munmap(map, self->buf.length));
	EXPECT_EQ(0, munmap(rw, self->buf.length));
}

TEST_F(map, mremap_can_not_grow_it)
{
	char *map = map_part(self->fd, self->buf.phys_addr, 2 * self->page);
	void *ret;

	ASSERT_MAPPED(map);
	ret = mremap(map, 2 * self->page, 3 * self->page, MREMAP_MAYMOVE);
	EXPECT_TRUE(ret == MAP_FAILED);
	EXPECT_EQ(EFAULT, errno);
	ret = mremap(map, 2 * self->page, 3 * self->page, 0);
	EXPECT_TRUE(ret == MAP_FAILED);
	EXPECT_EQ(EFAULT, errno);
	ret = mremap(map, 2 * self->page, 2 * self->buf.length, MREMAP_MAYMOVE);
	EXPECT_TRUE(ret == MAP_FAILED);
	EXPECT_EQ(EFAULT, errno);
	/* A length of 0 would make a second mapping. */
	ret = mremap(map, 0, 2 * self->page, MREMAP_MAYMOVE);
	EXPECT_TRUE(ret == MAP_FAILED);
	EXPECT_EQ(EFAULT, errno);
	map[2 * self->page - 1] = 1;
	EXPECT_EQ(0, munmap(map, 2 * self->page));
}

TEST_F(map, mremap_moves_it_with_its_bytes)
{
	size_t length = PAGES * self->page;
	char *place = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *map = map_part(self->fd, self->buf.phys_addr, length);
	struct cmem_resolve res;

	ASSERT_MAPPED(place);
	ASSERT_MAPPED(map);
	fill(map, length, 5);
	ASSERT_TRUE(mremap(map, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place);
	EXPECT_EQ(SIGSEGV, access_signal(map, false));
	EXPECT_EQ(-1, find_stranger(place, length, 5));
	fill(place, length, 6);
	EXPECT_EQ(-1, find_stranger(place, length, 6));
	ASSERT_EQ(0, cmem_resolve(self->fd, place + self->page, &res));
	EXPECT_EQ(self->buf.phys_addr + self->page, res.phys_addr);
	EXPECT_EQ(-EFAULT, cmem_resolve(self->fd, map, &res));
	EXPECT_EQ(0, munmap(place, length));
}

TEST_F(map, mremap_shrinks_it)
{
	char *map = map_part(self->fd, self->buf.phys_addr, 3 * self->page);

	ASSERT_MAPPED(map);
	memset(map, 9, 3 * self->page);
	ASSERT_TRUE(mremap(map, 3 * self->page, self->page, 0) == map);
	EXPECT_EQ(9, map[self->page - 1]);
	EXPECT_EQ(SIGSEGV, access_signal(map + self->page, false));
	EXPECT_EQ(0, munmap(map, self->page));
}

TEST_F(map, the_middle_can_be_unmapped)
{
	char *map = map_part(self->fd, self->buf.phys_addr, 5 * self->page);

	ASSERT_MAPPED(map);
	for (int i = 0; i < 5; i++)
		memset(map + i * self->page, i, self->page);
	ASSERT_EQ(0, munmap(map + 2 * self->page, self->page));
	EXPECT_EQ(1, map[2 * self->page - 1]);
	EXPECT_EQ(3, map[3 * self->page]);
	EXPECT_EQ(SIGSEGV, access_signal(map + 2 * self->page, false));
	ASSERT_EQ(0, munmap(map, 2 * self->page));
	memset(map + 3 * self->page, 6, 2 * self->page);
	EXPECT_EQ(6, map[4 * self->page]);
	EXPECT_EQ(0, munmap(map + 3 * self->page, 2 * self->page));
}

TEST_F(map, fork_inherits_the_mapping_itself)
{
	volatile char *map = cmem_map(self->fd, &self->buf);
	pid_t pid;

	ASSERT_MAPPED(map);
	map[0] = 1;
	IN_CHILD(pid) {
		ASSERT_EQ(1, map[0]);
		map[self->page] = 2;
		map[self->buf.length - 1] = 3;
	}
	join_child(pid);
	EXPECT_EQ(2, map[self->page]);
	EXPECT_EQ(3, map[self->buf.length - 1]);
	EXPECT_EQ(0, munmap((void *)map, self->buf.length));
}

TEST_F(map, madvise_takes_no_bytes_away)
{
	const int advice[] = {
		MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_WILLNEED, MADV_RANDOM,
		MADV_SEQUENTIAL, MADV_NORMAL, MADV_COLD, MADV_PAGEOUT, MADV_HUGEPAGE,
		MADV_NOHUGEPAGE, MADV_MERGEABLE, MADV_WIPEONFORK, MADV_DODUMP,
	};
	char *map = cmem_map(self->fd, &self->buf);

	ASSERT_MAPPED(map);
	fill(map, self->buf.length, 11);
	/* The kernel decides which of them it refuses. */
	for (size_t i = 0; i < ARRAY_SIZE(advice); i++) {
		madvise(map, self->buf.length, advice[i]);
		ASSERT_EQ(-1, find_stranger(map, self->buf.length, 11))
			TH_LOG("advice %d", advice[i]);
	}
	EXPECT_EQ(0, munmap(map, self->buf.length));
}

TEST_F(map, MAP_POPULATE_and_mlock_succeed)
{
	char *map = mmap(NULL, self->buf.length, RW, MAP_SHARED | MAP_POPULATE, self->fd,
			 self->buf.mmap_offset);

	ASSERT_MAPPED(map);
	map[self->buf.length - 1] = 1;
	EXPECT_EQ(0, mlock(map, self->buf.length));
	EXPECT_EQ(0, munlock(map, self->buf.length));
	EXPECT_EQ(1, map[self->buf.length - 1]);
	EXPECT_EQ(0, munmap(map, self->buf.length));
}

/* The line "VmFlags:" of the mapping at @addr, empty if there is none. */
static void vm_flags(const void *addr, char *flags, size_t size)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	unsigned long start, end;
	bool here = false;
	char line[512];

	flags[0] = 0;
	while (smaps && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start == (unsigned long)addr;
		else if (here && !strncmp(line, "VmFlags:", 8))
			snprintf(flags, size, "%.200s", line + 8);
	}
	if (smaps)
		fclose(smaps);
}

static bool has_flag(const char *flags, const char *flag)
{
	const char *at = strstr(flags, flag);

	/* Two letters each, with a space before and after. */
	return at && at > flags && at[-1] == ' ';
}

/* What is wrong with the flags of a mapping, or "" */
static const char *wrong_flags(const char *flags)
{
	if (!has_flag(flags, "dd"))
		return "not out of core dumps";
	if (!has_flag(flags, "de"))
		return "can be expanded";
	if (!has_flag(flags, "io") || !has_flag(flags, "pf"))
		return "may have pages";
	if (!has_flag(flags, "sh"))
		return "not shared";
	if (!has_flag(flags, "rd") || !has_flag(flags, "wr"))
		return "not readable and writable";
	if (has_flag(flags, "ex") || has_flag(flags, "me"))
		return "executable, or may become so";
	return "";
}

TEST_F(map, core_dumps_leave_it_out_and_it_neither_grows_nor_executes)
{
	char *map = cmem_map(self->fd, &self->buf);
	char flags[256];

	ASSERT_MAPPED(map);
	vm_flags(map, flags, sizeof(flags));
	if (!flags[0]) {
		munmap(map, self->buf.length);
		SKIP(return, "no /proc/self/smaps");
	}
	EXPECT_STREQ("", wrong_flags(flags)) TH_LOG("flags:%s", flags);
	EXPECT_EQ(0, munmap(map, self->buf.length));
}

/* If a part is mapped page by page, the core sets some of the flags. */
TEST_F(map, a_mapping_of_huge_pages_alone_has_the_same_flags)
{
	struct cmem_alloc buf;
	struct source src;
	char flags[256];
	char *map;

	if (!find_source(variant->kind, variant->heap, SZ_2M, &src))
		SKIP(return, "no room for 2 MiB");
	ASSERT_EQ(0, source_alloc(self->fd, &src, variant->flags, &buf));
	map = map_part(self->fd, buf.phys_addr, SZ_2M);
	ASSERT_MAPPED(map);
	vm_flags(map, flags, sizeof(flags));
	if (flags[0])
		EXPECT_STREQ("", wrong_flags(flags)) TH_LOG("flags:%s", flags);
	EXPECT_EQ(0, munmap(map, SZ_2M));
	EXPECT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	if (!flags[0])
		SKIP(return, "no /proc/self/smaps");
}

/*
 * x86 keeps a list of how physical memory other than RAM is mapped. Returns the number of
 * its entries that concern this range, with @but only those of another type; -1 where
 * there is no such list.
 */
static int count_memory_types(__u64 start, __u64 end, const char *but)
{
	FILE *list = fopen("/sys/kernel/debug/x86/pat_memtype_list", "re");
	unsigned long long first, last;
	char line[128], type[32];
	int count = 0;

	if (!list)
		return -1;
	while (fgets(line, sizeof(line), list)) {
		if (sscanf(line, "PAT: [mem %llx-%llx] %31s", &first, &last, type) == 3 &&
		    first < end && start < last && (!but || strcmp(type, but)))
			count++;
	}
	fclose(list);
	return count;
}

TEST_F(map, on_x86_it_is_write_back_and_nobody_makes_it_another)
{
	__u64 start = self->buf.phys_addr, end = start + self->buf.length;
	char *map, *raw;
	int mem;

	if (count_memory_types(start, end, NULL) < 0)
		SKIP(return, "not x86, which keeps a list of memory types");
	map = cmem_map(self->fd, &self->buf);
	ASSERT_MAPPED(map);
	if (variant->kind == CMEM_KIND_CARVEOUT) {
		EXPECT_LT(0, count_memory_types(start, end, NULL));
	}
	EXPECT_EQ(0, count_memory_types(start, end, "write-back"));
	/* O_SYNC requests an uncached mapping. */
	mem = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
	if (mem >= 0) {
		raw = mmap(NULL, self->page, PROT_READ | PROT_WRITE, MAP_SHARED, mem, start);
		EXPECT_EQ(0, count_memory_types(start, end, "write-back"));
		if (raw != MAP_FAILED)
			munmap(raw, self->page);
		close(mem);
	}
	EXPECT_EQ(0, munmap(map, self->buf.length));
}

TEST_F(map, on_x86_unmapping_it_piece_by_piece_leaves_no_record)
{
	__u64 start = self->buf.phys_addr, end = start + self->buf.length;
	int before = count_memory_types(start, end, NULL);
	char *map;
	pid_t pid;

	if (before < 0)
		SKIP(return, "not x86, which keeps a list of memory types");
	map = cmem_map(self->fd, &self->buf);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, munmap(map + 2 * self->page, self->page));
	IN_CHILD(pid) {
		ASSERT_EQ(0, munmap(map, self->page));
		map[self->page] = 1;
	}
	join_child(pid);
	ASSERT_EQ(0, munmap(map, 2 * self->page));
	EXPECT_EQ(0, map[3 * self->page]);
	ASSERT_EQ(0, munmap(map + 3 * self->page, self->buf.length - 3 * self->page));
	EXPECT_EQ(before, count_memory_types(start, end, NULL));
}

/* How others see it */

TEST_F(map, proc_mem_reads_and_writes_it)
{
	if (on_32_bit_kernel())
		SKIP(return, "32-bit arm has no ioremap_prot(): its core does not ask the driver");

	char *map = cmem_map(self->fd, &self->buf);
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	char text[32] = "";

	ASSERT_MAPPED(map);
	ASSERT_LE(0, mem);
	memcpy(map + self->page - 5, "hello debugger", 15);
	ASSERT_EQ(15, pread(mem, text, 15, (unsigned long)map + self->page - 5));
	EXPECT_STREQ("hello debugger", text);
	ASSERT_EQ(8, pwrite(mem, "patched", 8, (unsigned long)map + 2 * self->page - 3));
	EXPECT_STREQ("patched", map + 2 * self->page - 3);
	/* Up to the end, and not one byte more. */
	EXPECT_EQ(1, pread(mem, text, 1, (unsigned long)map + self->buf.length - 1));
	EXPECT_EQ(0, munmap(map, self->buf.length));
	EXPECT_EQ(-1, pread(mem, text, 1, (unsigned long)map));
	close(mem);
}

TEST_F(map, proc_mem_does_not_write_what_the_program_may_not)
{
	if (on_32_bit_kernel())
		SKIP(return, "32-bit arm has no ioremap_prot(): its core does not ask the driver");

	int reader = open(CMEM_DEVICE, O_RDONLY | O_CLOEXEC);
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	char *map, *rw = cmem_map(self->fd, &self->buf);
	char text[8] = "";

	ASSERT_LE(0, reader);
	ASSERT_LE(0, mem);
	ASSERT_MAPPED(rw);
	ASSERT_EQ(0, cmem_register(reader, self->buf.phys_addr));
	map = mmap(NULL, self->page, PROT_READ, MAP_SHARED, reader, self->buf.mmap_offset);
	ASSERT_MAPPED(map);
	strcpy(rw, "secure");
	EXPECT_EQ(7, pread(mem, text, 7, (unsigned long)map));
	EXPECT_STREQ("secure", text);
	EXPECT_EQ(-1, pwrite(mem, "broken", 7, (unsigned long)map));
	EXPECT_STREQ("secure", rw);
	/* A debugger may use what mprotect() would allow the program. */
	ASSERT_EQ(0, mprotect(rw, self->page, PROT_READ));
	EXPECT_EQ(7, pwrite(mem, "poked!", 7, (unsigned long)rw));
	EXPECT_STREQ("poked!", map);
	EXPECT_EQ(0, munmap(map, self->page));
	EXPECT_EQ(0, munmap(rw, self->buf.length));
	close(mem);
	close(reader);
}

TEST_F(map, a_debugger_peeks_and_pokes_it)
{
	if (on_32_bit_kernel())
		SKIP(return, "32-bit arm has no ioremap_prot(): its core does not ask the driver");

	long *map = cmem_map(self->fd, &self->buf);
	int status;
	pid_t pid;

	ASSERT_MAPPED(map);
	map[1] = 0x12345678;
	IN_CHILD(pid) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		ASSERT_EQ(0x600df00d, map[2]);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	errno = 0;
	EXPECT_EQ(0x12345678, ptrace(PTRACE_PEEKDATA, pid, &map[1], 0));
	EXPECT_EQ(0, errno);
	EXPECT_EQ(0, ptrace(PTRACE_POKEDATA, pid, &map[2], 0x600df00d));
	EXPECT_EQ(0x600df00d, map[2]);
	ASSERT_EQ(0, ptrace(PTRACE_CONT, pid, 0, 0));
	join_child(pid);
	EXPECT_EQ(0, munmap(map, self->buf.length));
}

TEST_F(map, process_vm_readv_is_EFAULT)
{
	char *map = cmem_map(self->fd, &self->buf);
	char bytes[16], own[16] = "";
	struct iovec local = { bytes, sizeof(bytes) }, remote = { own, sizeof(own) };

	ASSERT_MAPPED(map);
	map[0] = 1;
	if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != sizeof(own)) {
		munmap(map, self->buf.length);
		SKIP(return, "no process_vm_readv() in this kernel");
	}
	remote.iov_base = map;
	EXPECT_EQ(-1, process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, munmap(map, self->buf.length));
}

TEST_HARNESS_MAIN
