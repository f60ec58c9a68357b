// SPDX-License-Identifier: GPL-2.0
/*
 * RESOLVE: the physical address behind a user address, for every byte of every mapping of
 * /dev/cmem, and for nothing else.
 */
#include <sys/auxv.h>

#include "cmem_test.h"

FIXTURE(resolve)
{
	int fd;
	struct source src;
	struct cmem_alloc buf;
	char *map;
	unsigned long page;
	struct snapshot before;
};

SOURCE_VARIANTS(resolve);

FIXTURE_SETUP(resolve)
{
	self->page = page_size();
	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!find_source(variant->kind, variant->heap, 8 * self->page, &self->src))
		SKIP(return, "no such memory on this board");
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, variant->flags, &self->buf));
	self->map = cmem_map(self->fd, &self->buf);
	ASSERT_MAPPED(self->map);
}

FIXTURE_TEARDOWN(resolve)
{
	munmap(self->map, self->buf.length);
	close(self->fd);
	expect_same(&self->before);
}

TEST_F(resolve, every_offset_has_its_physical_address)
{
	const __u64 offsets[] = {
		0, 1, 3, self->page - 1, self->page, self->page + 1, 7 * self->page + 4095,
		self->buf.length / 2, self->buf.length - self->page - 1, self->buf.length - 1,
	};

	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		struct cmem_resolve res;

		ASSERT_EQ(0, cmem_resolve(self->fd, self->map + offsets[i], &res));
		EXPECT_EQ(self->buf.phys_addr + offsets[i], res.phys_addr);
		EXPECT_EQ(self->buf.length - offsets[i], res.contiguous);
		EXPECT_EQ(self->buf.phys_addr, res.buffer_addr);
		EXPECT_EQ(self->buf.length, res.buffer_length);
		EXPECT_EQ(variant->flags, res.buffer_flags);
		EXPECT_EQ(self->buf.block, res.block);
		EXPECT_EQ(self->buf.pool, res.pool);
		EXPECT_EQ((unsigned long)self->map + offsets[i], res.user_addr);
	}
}

TEST_F(resolve, large_mappings_resolve_to_their_end)
{
	struct cmem_resolve res;
	struct cmem_alloc buf;
	struct source src;
	char *map;

	if (!find_source(variant->kind, variant->heap, SZ_2M, &src))
		SKIP(return, "no buffer of 2 MiB");
	ASSERT_EQ(0, source_alloc(self->fd, &src, variant->flags, &buf));
	map = cmem_map(self->fd, &buf);
	ASSERT_MAPPED(map);
	for (__u64 off = 12345; off < buf.length; off += SZ_2M / 16) {
		ASSERT_EQ(0, cmem_resolve(self->fd, map + off, &res));
		EXPECT_EQ(buf.phys_addr + off, res.phys_addr);
		EXPECT_EQ(buf.length - off, res.contiguous);
	}
	ASSERT_EQ(0, munmap(map, buf.length));
}

TEST_F(resolve, attributes_are_those_of_the_allocation)
{
	__u32 flags = variant->flags | CMEM_ALLOC_PRIVATE;
	struct cmem_resolve res;
	struct cmem_alloc buf;
	char *map;

	if (source_alloc(self->fd, &self->src, flags, &buf))
		SKIP(return, "no second buffer");
	map = cmem_map(self->fd, &buf);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, cmem_resolve(self->fd, map, &res));
	EXPECT_EQ(flags, res.buffer_flags);
	ASSERT_EQ(0, munmap(map, buf.length));
}

TEST_F(resolve, one_past_the_end_is_EFAULT)
{
	/* Our mappings before and after it, so that it is not unmapped by chance. */
	char *area = mmap(NULL, 4 * self->page, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct cmem_resolve res;
	char *middle;

	ASSERT_MAPPED(area);
	middle = mmap(area + self->page, 2 * self->page, PROT_READ, MAP_SHARED | MAP_FIXED,
		      self->fd, self->buf.mmap_offset);
	ASSERT_MAPPED(middle);
	EXPECT_REFUSED(EFAULT, cmem_resolve(self->fd, middle - 1, &res));
	EXPECT_EQ(0, cmem_resolve(self->fd, middle, &res));
	EXPECT_EQ(2 * self->page, res.contiguous);
	EXPECT_EQ(0, cmem_resolve(self->fd, middle + 2 * self->page - 1, &res));
	EXPECT_EQ(1, res.contiguous);
	EXPECT_REFUSED(EFAULT, cmem_resolve(self->fd, middle + 2 * self->page, &res));
	ASSERT_EQ(0, munmap(area, 4 * self->page));
}

TEST_F(resolve, a_part_resolves_to_its_place_and_ends_where_it_ends)
{
	char *part = mmap(NULL, 2 * self->page, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd,
			  self->buf.mmap_offset + 3 * self->page);
	struct cmem_resolve res;

	ASSERT_MAPPED(part);
	ASSERT_EQ(0, cmem_resolve(self->fd, part + 100, &res));
	EXPECT_EQ(self->buf.phys_addr + 3 * self->page + 100, res.phys_addr);
	EXPECT_EQ(2 * self->page - 100, res.contiguous);
	EXPECT_EQ(self->buf.phys_addr, res.buffer_addr);
	EXPECT_EQ(self->buf.length, res.buffer_length);
	ASSERT_EQ(0, munmap(part, 2 * self->page));
}

TEST_F(resolve, a_mapping_that_was_split_ends_at_the_hole)
{
	struct cmem_resolve res;

	ASSERT_EQ(0, munmap(self->map + 4 * self->page, self->page));
	ASSERT_EQ(0, cmem_resolve(self->fd, self->map + 1, &res));
	EXPECT_EQ(4 * self->page - 1, res.contiguous);
	EXPECT_REFUSED(EFAULT, cmem_resolve(self->fd, self->map + 4 * self->page, &res));
	ASSERT_EQ(0, cmem_resolve(self->fd, self->map + 5 * self->page + 7, &res));
	EXPECT_EQ(self->buf.phys_addr + 5 * self->page + 7, res.phys_addr);
	EXPECT_EQ(self->buf.length - 5 * self->page - 7, res.contiguous);
}

TEST_F(resolve, any_protection_and_any_open_file_will_do)
{
	int other_fd = cmem_open();
	struct cmem_resolve res;

	ASSERT_LE(0, other_fd);
	ASSERT_EQ(0, mprotect(self->map, self->buf.length, PROT_NONE));
	ASSERT_EQ(0, cmem_resolve(other_fd, self->map + self->page, &res));
	EXPECT_EQ(self->buf.phys_addr + self->page, res.phys_addr);
	ASSERT_EQ(0, mprotect(self->map, self->buf.length, PROT_READ));
	EXPECT_EQ(0, cmem_resolve(other_fd, self->map, &res));
	close(other_fd);
}

TEST_F(resolve, an_unmapped_address_is_EFAULT)
{
	struct cmem_resolve res;

	ASSERT_EQ(0, munmap(self->map, self->buf.length));
	EXPECT_REFUSED(EFAULT, cmem_resolve(self->fd, self->map, &res));
	EXPECT_REFUSED(EFAULT, cmem_resolve(self->fd, self->map + self->page, &res));
}

TEST_F(resolve, what_a_child_inherited_resolves_there_and_its_own_addresses_only_there)
{
	struct cmem_resolve res;
	pid_t pid;

	IN_CHILD(pid) {
		ASSERT_EQ(0, cmem_resolve(self->fd, self->map, &res));
		ASSERT_EQ(self->buf.phys_addr, res.phys_addr);
		ASSERT_EQ(0, munmap(self->map, self->buf.length));
		ASSERT_EQ(-EFAULT, cmem_resolve(self->fd, self->map, &res));
	}
	join_child(pid);
	EXPECT_EQ(0, cmem_resolve(self->fd, self->map, &res));
}

/* Addresses outside the mappings of /dev/cmem */

FIXTURE(strange)
{
	int fd;
};

FIXTURE_SETUP(strange)
{
	OPEN_OR_SKIP(self->fd);
}

FIXTURE_TEARDOWN(strange)
{
	close(self->fd);
}

static int resolve_number(int fd, __u64 addr)
{
	struct cmem_resolve res = { .size = sizeof(res), .user_addr = addr };
	struct cmem_resolve sent = res;
	int ret = cmem_ioctl(fd, CMEM_IOCTL_RESOLVE, &res);

	/* The call reports nothing about it. */
	return ret && memcmp(&res, &sent, sizeof(res)) ? -EPROTO : ret;
}

TEST_F(strange, memory_of_other_kinds_is_EFAULT)
{
	static char data[64];
	char *heap = malloc(64), *file, *huge;
	unsigned long vdso = getauxval(AT_SYSINFO_EHDR);
	char stack[64];
	int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);

	EXPECT_REFUSED(EFAULT, resolve_number(self->fd, (unsigned long)stack));
	EXPECT_REFUSED(EFAULT, resolve_number(self->fd, (unsigned long)data));
	EXPECT_REFUSED(EFAULT, resolve_number(self->fd, (unsigned long)heap));
	EXPECT_REFUSED(EFAULT, resolve_number(self->fd, (unsigned long)resolve_number));
	if (vdso) {
		EXPECT_REFUSED(EFAULT, resolve_number(self->fd, vdso));
	}
	file = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, zero, 0);
	ASSERT_MAPPED(file);
	file[0] = 1;
	EXPECT_REFUSED(EFAULT, resolve_number(self->fd, (unsigned long)file));
	huge = mmap(NULL, 2 * SZ_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(huge);
	memset(huge, 1, 2 * SZ_2M);
	EXPECT_REFUSED(EFAULT, resolve_number(self->fd, (unsigned long)huge + SZ_2M));
	free(heap);
	close(zero);
}

TEST_F(strange, numbers_that_are_no_user_address_are_EFAULT)
{
	const __u64 addr[] = {
		0, 1, 4095, 4096, 0xc0000000, 0xffff0000, 0xffffffff, 1ULL << 32, 1ULL << 47,
		1ULL << 48, 1ULL << 52, 1ULL << 55, 1ULL << 63, 0xffff800000000000ULL,
		0xffff000000000000ULL, 0xffff888000000000ULL, ~0ULL - 4095, ~0ULL,
	};

	for (size_t i = 0; i < ARRAY_SIZE(addr); i++) {
		EXPECT_REFUSED(EFAULT, resolve_number(self->fd, addr[i]))
			TH_LOG("%#llx", addr[i]);
	}
}

TEST_F(strange, bits_above_the_address_are_not_cut_off)
{
	struct cmem_alloc buf;
	struct source src;
	char *map;

	if (!find_source(ANY_KIND, true, page_size(), &src) &&
	    !find_source(ANY_KIND, false, page_size(), &src))
		SKIP(return, "no memory");
	ASSERT_EQ(0, source_alloc(self->fd, &src, 0, &buf));
	map = cmem_map(self->fd, &buf);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, resolve_number(self->fd, (unsigned long)map));
	/* Bits 56 to 63 may be a tag that the CPU ignores. */
	for (int bit = 0; bit < 56; bit++) {
		__u64 flipped = (unsigned long)map ^ 1ULL << bit;

		if (flipped >= (unsigned long)map && flipped < (unsigned long)map + buf.length)
			continue;
		EXPECT_REFUSED(EFAULT, resolve_number(self->fd, flipped)) TH_LOG("bit %d", bit);
	}
	ASSERT_EQ(0, munmap(map, buf.length));
}

TEST_HARNESS_MAIN
