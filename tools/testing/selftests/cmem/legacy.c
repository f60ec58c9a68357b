// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls of the out-of-tree driver, as programs built against its library issue them:
 * each command with valid and invalid arguments, on buffers that the new interface also
 * sees; and that driver's bugs, tried through its own interface. legacy_off32.c tests the
 * quirks of 32-bit programs without large files.
 */
#include <sys/syscall.h>

#include "cmem_dmabuf.h"
#include "cmem_trace.h"
#include "legacy.h"

#define PAGES 8

#define RW (PROT_READ | PROT_WRITE)

static char *map_part(int fd, __u64 phys, size_t length)
{
	return mmap(NULL, length, RW, MAP_SHARED, fd, phys);
}

/* 0 or a negative errno. Mappings go with the process. */
static int try_map(int fd, __u64 phys, size_t length, int flags)
{
	return mmap(NULL, length, RW, flags, fd, phys) == MAP_FAILED ? -errno : 0;
}

static void *map_buf(int fd, const struct old_buf *buf)
{
	return mmap(NULL, buf->size, RW, MAP_SHARED, fd, buf->phys);
}

/* A page followed by a hole, where any access fails. */
static char *page_before_a_hole(void)
{
	char *area = mmap(NULL, 2 * page_size(), RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED || munmap(area + page_size(), page_size()))
		return MAP_FAILED;
	return area;
}

static void *read_only_page(void)
{
	return mmap(NULL, page_size(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/*
 * A buffer
 */

FIXTURE(old)
{
	int fd;
	int other_fd;
	struct source src;
	struct old_buf buf;
	char *map;
	unsigned long page;
	struct snapshot before;
};

SOURCE_VARIANTS(old);

#define cached(variant) ((variant)->flags & CMEM_ALLOC_CACHED ? OLD_CACHED : 0)

FIXTURE_SETUP(old)
{
	self->page = page_size();
	OPEN_OR_SKIP(self->fd);
	OLD_OR_SKIP(self->fd);
	self->other_fd = cmem_open();
	ASSERT_LE(0, self->other_fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!find_source(variant->kind, variant->heap, PAGES * self->page, &self->src))
		SKIP(return, "no such memory on this board");
	ASSERT_EQ(0, old_source_alloc(self->fd, &self->src, cached(variant), &self->buf));
	EXPECT_EQ(self->src.length, self->buf.size);
	self->map = map_buf(self->fd, &self->buf);
	ASSERT_MAPPED(self->map);
}

FIXTURE_TEARDOWN(old)
{
	munmap(self->map, self->buf.size);
	close(self->fd);
	close(self->other_fd);
	expect_same(&self->before);
}

TEST_F(old, ALLOC_gives_a_zeroed_buffer_that_the_new_interface_knows)
{
	struct cmem_resolve res;
	struct cmem_register reg;

	EXPECT_EQ(-1, find_nonzero(self->map, self->buf.size));
	fill(self->map, self->buf.size, 1);
	EXPECT_EQ(-1, find_stranger(self->map, self->buf.size, 1));

	ASSERT_EQ(0, cmem_resolve(self->fd, self->map, &res));
	EXPECT_EQ(self->buf.phys, res.phys_addr);
	EXPECT_EQ(self->buf.phys, res.buffer_addr);
	EXPECT_EQ(self->buf.size, res.buffer_length);
	EXPECT_EQ(variant->flags, res.buffer_flags);
	EXPECT_EQ(self->src.block, res.block);
	EXPECT_EQ(self->src.pool, res.pool);

	ASSERT_EQ(0, cmem_register_info(self->other_fd, self->buf.phys, &reg));
	EXPECT_EQ(self->buf.size, reg.length);
	EXPECT_EQ(0, cmem_free(self->other_fd, self->buf.phys));
	EXPECT_EQ(0, cmem_free(self->fd, self->buf.phys));
	EXPECT_REFUSED(ENOENT, old_free(self->fd, self->map));
}

TEST_F(old, a_buffer_of_the_new_interface_is_one_of_the_old)
{
	struct cmem_alloc buf;
	size_t size;
	int pool;
	__u64 phys;
	char *map;

	if (source_alloc(self->fd, &self->src, variant->flags, &buf))
		SKIP(return, "no second buffer");
	map = cmem_map(self->fd, &buf);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, old_getphys(self->fd, map + 5, &phys));
	EXPECT_EQ(buf.phys_addr + 5, phys);
	ASSERT_EQ(0, old_reguser(self->other_fd, buf.phys_addr, &size));
	EXPECT_EQ(buf.length, size);
	EXPECT_EQ(0, old_freephys(self->other_fd, buf.phys_addr));
	EXPECT_EQ(0, old_cache(self->fd, map, buf.length, OLD_WB));
	EXPECT_EQ(0, old_free_out(self->fd, map, 0, &pool, &size));
	EXPECT_EQ(buf.length, size);
	ASSERT_EQ(0, munmap(map, size));
	EXPECT_REFUSED(ENOENT, cmem_free(self->fd, buf.phys_addr));
}

TEST_F(old, GETPHYS_translates_each_byte)
{
	const __u64 offsets[] = {
		0, 1, 4, self->page - 1, self->page, 7 * self->page + 4095,
		self->buf.size / 2 + 1, self->buf.size - 1,
	};
	__u64 phys;

	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		ASSERT_EQ(0, old_getphys(self->fd, self->map + offsets[i], &phys));
		EXPECT_EQ(self->buf.phys + offsets[i], phys);
		ASSERT_EQ(0, old_getphys(self->other_fd, self->map + offsets[i], &phys));
		EXPECT_EQ(self->buf.phys + offsets[i], phys);
	}
}

TEST_F(old, GETPHYS_of_a_part_and_of_a_second_mapping)
{
	char *part = map_part(self->fd, self->buf.phys + 3 * self->page, 2 * self->page);
	char *remapped = map_buf(self->fd, &self->buf);
	__u64 phys;

	ASSERT_MAPPED(part);
	ASSERT_MAPPED(remapped);
	ASSERT_EQ(0, old_getphys(self->fd, part + 9, &phys));
	EXPECT_EQ(self->buf.phys + 3 * self->page + 9, phys);
	ASSERT_EQ(0, old_getphys(self->fd, remapped + 9, &phys));
	EXPECT_EQ(self->buf.phys + 9, phys);
	ASSERT_EQ(0, munmap(part, 2 * self->page));
	EXPECT_REFUSED(EFAULT, old_getphys(self->fd, part + 9, &phys));
	ASSERT_EQ(0, munmap(remapped, self->buf.size));
}

/*
 * FREE
 */

TEST_F(old, FREE_then_munmap_as_the_library_does)
{
	__u64 free_held = source_free(self->fd, &self->src);
	size_t size;
	int pool;

	fill(self->map, self->buf.size, 2);
	ASSERT_EQ(0, old_free_out(self->fd, self->map, variant->heap ? OLD_HEAP : 0,
				  &pool, &size));
	EXPECT_EQ(variant->heap ? -1 : self->src.pool, pool);
	EXPECT_EQ(self->buf.size, size);
	/* While it is mapped, nobody else gets it. */
	EXPECT_EQ(free_held, source_free(self->fd, &self->src));
	EXPECT_EQ(-1, find_stranger(self->map, self->buf.size, 2));
	EXPECT_REFUSED(ENOENT, old_free(self->fd, self->map));
	EXPECT_REFUSED(ENOENT, old_freephys(self->fd, self->buf.phys));
	ASSERT_EQ(0, munmap(self->map, size));
	EXPECT_LT(free_held, source_free(self->fd, &self->src));
	EXPECT_REFUSED(EFAULT, old_free(self->fd, self->map));
	EXPECT_REFUSED(ENOENT, old_freephys(self->fd, self->buf.phys));
	EXPECT_REFUSED(EINVAL, try_map(self->fd, self->buf.phys, self->page, MAP_SHARED));
}

/* A pool buffer with the type of a heap and vice versa: the driver knows the type. */
TEST_F(old, FREE_takes_either_type)
{
	unsigned int wrong = variant->heap ? 0 : OLD_HEAP;
	size_t size;
	int pool;

	ASSERT_EQ(0, old_reguser(self->fd, self->buf.phys, &size));
	ASSERT_EQ(0, old_free_out(self->fd, self->map, wrong, &pool, &size));
	EXPECT_EQ(variant->heap ? -1 : self->src.pool, pool);
	EXPECT_EQ(0, cmem_ioctl(self->fd, OLD_FREE | OLD_PHYS | wrong, &self->buf.phys));
	EXPECT_REFUSED(ENOENT, old_freephys(self->fd, self->buf.phys));
}

TEST_F(old, FREE_of_a_physical_address_writes_nothing)
{
	__u64 arg[3] = { self->buf.phys, 0x1122334455667788ULL, 42 };
	__u64 sent[3];
	char *page = read_only_page();

	memcpy(sent, arg, sizeof(arg));
	ASSERT_EQ(0, cmem_ioctl(self->fd, OLD_FREE | OLD_PHYS, arg));
	EXPECT_EQ(0, memcmp(sent, arg, sizeof(arg)));
	EXPECT_EQ(-ENOENT, cmem_ioctl(self->fd, OLD_FREE | OLD_PHYS | OLD_HEAP, arg));
	EXPECT_EQ(0, memcmp(sent, arg, sizeof(arg)));
	/* Memory that is not writable is enough. */
	ASSERT_MAPPED(page);
	EXPECT_REFUSED(ENOENT, cmem_ioctl(self->fd, OLD_FREE | OLD_PHYS, page));
}

TEST_F(old, FREE_of_the_middle_of_a_buffer_is_refused)
{
	EXPECT_REFUSED(EINVAL, old_free(self->fd, self->map + 1));
	EXPECT_REFUSED(EINVAL, old_free(self->fd, self->map + self->page - 1));
	EXPECT_REFUSED(ENOENT, old_free(self->fd, self->map + self->page));
	EXPECT_REFUSED(EINVAL, old_freephys(self->fd, self->buf.phys + 1));
	EXPECT_REFUSED(ENOENT, old_freephys(self->fd, self->buf.phys + self->page));
	EXPECT_REFUSED(ENOENT, old_freephys(self->fd, self->buf.phys + self->buf.size -
						      self->page));
	EXPECT_EQ(0, old_free(self->fd, self->map));
}

TEST_F(old, FREE_by_a_file_that_is_not_registered_is_EPERM)
{
	EXPECT_REFUSED(EPERM, old_free(self->other_fd, self->map));
	EXPECT_REFUSED(EPERM, old_freephys(self->other_fd, self->buf.phys));
	EXPECT_EQ(0, old_free(self->fd, self->map));
}

/* Not the buffer's size: munmap() would also unmap what is next to the mapping. */
TEST_F(old, FREE_returns_the_size_of_the_mapping)
{
	char *area = mmap(NULL, (PAGES + 2) * self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *part;
	size_t size;
	int pool;

	ASSERT_MAPPED(area);
	area[3 * self->page] = 'x';
	part = mmap(area, 3 * self->page, RW, MAP_SHARED | MAP_FIXED, self->fd, self->buf.phys);
	ASSERT_TRUE(part == area);
	ASSERT_EQ(0, old_free_out(self->fd, part, 0, &pool, &size));
	EXPECT_EQ(3 * self->page, size);
	ASSERT_EQ(0, munmap(part, size));
	EXPECT_EQ('x', area[3 * self->page]);
	ASSERT_EQ(0, munmap(area, (PAGES + 2) * self->page));
}

TEST_F(old, FREE_of_a_mapping_that_was_split_returns_all_of_its_size)
{
	size_t size;
	int pool;

	ASSERT_EQ(0, mprotect(self->map + self->page, self->page, PROT_READ));
	ASSERT_EQ(0, mprotect(self->map + 4 * self->page, self->page, PROT_NONE));
	ASSERT_EQ(0, old_free_out(self->fd, self->map, 0, &pool, &size));
	EXPECT_EQ(self->buf.size, size);
}

TEST_F(old, FREE_of_the_first_of_two_neighbours_leaves_the_second)
{
	char *area = mmap(NULL, 4 * self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t size;
	int pool;

	/* The same two pages twice: the second mapping does not continue the first. */
	ASSERT_MAPPED(area);
	for (int i = 0; i < 2; i++) {
		ASSERT_MAPPED(mmap(area + i * 2 * self->page, 2 * self->page, RW,
				   MAP_SHARED | MAP_FIXED, self->fd, self->buf.phys));
	}
	ASSERT_EQ(0, old_free_out(self->fd, area, 0, &pool, &size));
	EXPECT_EQ(2 * self->page, size);
	ASSERT_EQ(0, munmap(area, 4 * self->page));
}

TEST_F(old, FREE_that_can_not_answer_frees_nothing)
{
	union old_free *arg = read_only_page();
	char *page = page_before_a_hole();

	ASSERT_MAPPED(arg);
	ASSERT_MAPPED(page);
	ASSERT_EQ(0, mprotect(arg, self->page, RW));
	arg->addr = (unsigned long)self->map;
	ASSERT_EQ(0, mprotect(arg, self->page, PROT_READ));
	EXPECT_REFUSED(EFAULT, cmem_ioctl(self->fd, OLD_FREE, arg));

	/* There is room for the address, but not for the answer. */
	arg = (void *)(page + self->page - sizeof(arg->addr));
	arg->addr = (unsigned long)self->map;
	EXPECT_REFUSED(EFAULT, cmem_ioctl(self->fd, OLD_FREE, arg));
	EXPECT_EQ((unsigned long)self->map, arg->addr);
	EXPECT_EQ(0, old_free(self->fd, self->map));
}

/* The buffer's contents, including the ioctl's structure, stay while it is mapped. */
TEST_F(old, FREE_of_the_buffer_that_the_structure_is_in)
{
	union old_free *arg = (void *)(self->map + self->page - 8);

	arg->addr = (unsigned long)self->map;
	ASSERT_EQ(0, cmem_ioctl(self->fd, OLD_FREE, arg));
	EXPECT_EQ(self->buf.size, arg->out.size);
	arg->addr = (unsigned long)self->map;
	EXPECT_EQ(-ENOENT, cmem_ioctl(self->fd, OLD_FREE, arg));
}

/*
 * REGUSER
 */

TEST_F(old, REGUSER_returns_the_size_with_all_of_its_bytes)
{
	struct { union old_reguser arg; __u64 behind; } both;

	memset(&both, 0x5a, sizeof(both));
	both.arg.phys = self->buf.phys;
	ASSERT_EQ(0, cmem_ioctl(self->other_fd, OLD_REGUSER, &both.arg));
	EXPECT_EQ(self->buf.size, both.arg.size);
	EXPECT_EQ(0x5a5a5a5a5a5a5a5aULL, both.behind);
	/* If a size_t is shorter than the address, half of the address remains. */
	if (sizeof(size_t) == 4) {
		EXPECT_EQ(self->buf.phys >> 32, both.arg.phys >> 32);
	}
}

TEST_F(old, a_buffer_lives_until_all_who_registered_let_go)
{
	__u64 free_held = source_free(self->fd, &self->src);
	size_t size;
	char *map;

	ASSERT_EQ(0, old_reguser(self->other_fd, self->buf.phys, &size));
	map = map_buf(self->other_fd, &self->buf);
	ASSERT_MAPPED(map);
	fill(map, size, 3);
	EXPECT_EQ(-1, find_stranger(self->map, self->buf.size, 3));
	ASSERT_EQ(0, old_free(self->fd, self->map));
	ASSERT_EQ(0, munmap(self->map, self->buf.size));
	EXPECT_EQ(free_held, source_free(self->fd, &self->src));
	EXPECT_EQ(-1, find_stranger(map, size, 3));
	ASSERT_EQ(0, old_free(self->other_fd, map));
	ASSERT_EQ(0, munmap(map, size));
	EXPECT_LT(free_held, source_free(self->fd, &self->src));
}

TEST_F(old, registering_twice_wants_freeing_twice)
{
	size_t size;

	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, old_reguser(self->other_fd, self->buf.phys, &size));
	}
	ASSERT_EQ(0, old_reguser(self->fd, self->buf.phys, &size));
	EXPECT_EQ(0, old_freephys(self->other_fd, self->buf.phys));
	EXPECT_EQ(0, old_free(self->other_fd, self->map));
	EXPECT_REFUSED(EPERM, old_free(self->other_fd, self->map));
	EXPECT_EQ(0, old_free(self->fd, self->map));
	EXPECT_EQ(0, old_freephys(self->fd, self->buf.phys));
	EXPECT_REFUSED(ENOENT, old_free(self->fd, self->map));
}

TEST_F(old, REGUSER_takes_first_addresses_of_live_buffers_only)
{
	const __u64 far[] = {
		0, 1ULL << 39, 1ULL << 52, 1ULL << 63, -(__u64)self->page,
		self->buf.phys + (1ULL << 32), self->buf.phys + (1ULL << 44),
	};
	size_t size = 0;

	EXPECT_REFUSED(EINVAL, old_reguser(self->other_fd, self->buf.phys + 1, &size));
	EXPECT_REFUSED(EINVAL, old_reguser(self->other_fd, ~0ULL, &size));
	EXPECT_REFUSED(ENOENT, old_reguser(self->other_fd, self->buf.phys + self->page, &size));
	for (size_t i = 0; i < ARRAY_SIZE(far); i++) {
		EXPECT_REFUSED(ENOENT, old_reguser(self->other_fd, far[i], &size))
			TH_LOG("%#llx", far[i]);
	}
	/* Freed, but mapped: it gets no new owner. */
	ASSERT_EQ(0, old_free(self->fd, self->map));
	EXPECT_REFUSED(ENOENT, old_reguser(self->other_fd, self->buf.phys, &size));
	EXPECT_REFUSED(ENOENT, old_reguser(self->fd, self->buf.phys, &size));
	EXPECT_EQ(0, size);
}

TEST_F(old, REGUSER_that_can_not_answer_registers_nobody)
{
	union old_reguser *arg = read_only_page();

	ASSERT_MAPPED(arg);
	ASSERT_EQ(0, mprotect(arg, self->page, RW));
	arg->phys = self->buf.phys;
	ASSERT_EQ(0, mprotect(arg, self->page, PROT_READ));
	EXPECT_REFUSED(EFAULT, cmem_ioctl(self->other_fd, OLD_REGUSER, arg));
	EXPECT_REFUSED(EPERM, old_free(self->other_fd, self->map));
}

TEST_F(old, REGUSER_of_another_users_or_a_private_buffer_is_EPERM)
{
	struct cmem_alloc private;
	char rule[16] = "";
	size_t size;
	pid_t pid;

	if (!source_alloc(self->fd, &self->src, CMEM_ALLOC_PRIVATE, &private)) {
		EXPECT_REFUSED(EPERM, old_reguser(self->other_fd, private.phys_addr, &size));
		EXPECT_EQ(0, old_freephys(self->fd, private.phys_addr));
	}
	if (getuid() || parameter_read("share", rule, sizeof(rule)) || !strcmp(rule, "any"))
		SKIP(return, "wants root, and no cmem.share=any");
	IN_CHILD(pid) {
		int fd;

		ASSERT_EQ(0, become_user(OTHER_UID));
		fd = cmem_open();
		ASSERT_LE(0, fd);
		ASSERT_EQ(-EPERM, old_reguser(fd, self->buf.phys, &size));
		ASSERT_EQ(-EPERM, old_freephys(fd, self->buf.phys));
		/* The child inherited it, but this file is not registered for it. */
		ASSERT_EQ(-EPERM, old_free(fd, self->map));
		ASSERT_EQ(-EPERM, try_map(fd, self->buf.phys, self->page, MAP_SHARED));
	}
	join_child(pid);
	EXPECT_EQ(0, old_free(self->fd, self->map));
}

TEST_F(old, REGUSER_in_a_loop_ends)
{
	long count = 0;
	size_t size;
	int ret;

	while (!(ret = old_reguser(self->fd, self->buf.phys, &size))) {
		ASSERT_GT(1000000, ++count);
	}
	EXPECT_EQ(-EOVERFLOW, ret);
	EXPECT_EQ(CMEM_MAX_REGISTRATIONS - 1, count);
}

/*
 * mmap
 */

TEST_F(old, a_mapping_may_be_smaller_than_the_buffer_and_there_may_be_many)
{
	char *part[PAGES + 1];

	for (unsigned long pages = 1; pages <= PAGES; pages++) {
		char *map = map_part(self->fd, self->buf.phys, pages * self->page);

		ASSERT_MAPPED(map);
		*(volatile char *)map = pages;
		EXPECT_EQ(pages, self->map[0]);
		part[pages] = map;
	}
	for (unsigned long pages = 1; pages <= PAGES; pages++)
		ASSERT_EQ(0, munmap(part[pages], pages * self->page));
}

TEST_F(old, a_mapping_larger_than_the_buffer_is_refused)
{
	EXPECT_REFUSED(EINVAL, try_map(self->fd, self->buf.phys, self->buf.size + self->page,
				       MAP_SHARED));
	EXPECT_REFUSED(EINVAL, try_map(self->fd, self->buf.phys, self->page, MAP_PRIVATE));
	EXPECT_REFUSED(EINVAL, try_map(self->fd, 0, self->page, MAP_SHARED));
	EXPECT_REFUSED(EINVAL, try_map(self->fd, address_outside(), self->page,
				       MAP_SHARED));
}

/*
 * CACHE
 */

static const unsigned int cache_flags[] = { OLD_WB, OLD_INV, OLD_WB | OLD_INV };

TEST_F(old, CACHE_serves_all_operations_on_all_parts)
{
	const struct { size_t first, size; } parts[] = {
		{ 0, 1 }, { 0, self->page }, { 63, 2 }, { self->page - 1, 2 },
		{ 0, self->buf.size }, { self->buf.size - 1, 1 }, { 5, 3 * self->page },
		/* An empty range always succeeds. */
		{ 0, 0 },
	};

	fill(self->map, self->buf.size, 4);
	ASSERT_EQ(0, old_cache(self->fd, self->map, self->buf.size, OLD_WB));
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(cache_flags); k++) {
			EXPECT_EQ(0, old_cache(self->fd, self->map + parts[i].first,
					       parts[i].size, cache_flags[k]));
		}
	}
	EXPECT_EQ(-1, find_stranger(self->map, self->buf.size, 4));
}

TEST_F(old, CACHE_is_for_buffers_only)
{
	static char data[4096];
	char *area = mmap(NULL, self->buf.size + self->page, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const size_t sizes[] = {
		self->buf.size + 1, self->buf.size + self->page, (size_t)1 << 31,
	};
	char *map;

	ASSERT_MAPPED(area);
	map = mmap(area, self->buf.size, RW, MAP_SHARED | MAP_FIXED, self->fd, self->buf.phys);
	ASSERT_MAPPED(map);
	for (size_t k = 0; k < ARRAY_SIZE(cache_flags); k++) {
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			EXPECT_REFUSED(EFAULT, old_cache(self->fd, map, sizes[i],
							 cache_flags[k]));
		}
		EXPECT_REFUSED(EFAULT, old_cache(self->fd, data, sizeof(data), cache_flags[k]));
		EXPECT_REFUSED(EFAULT, old_cache(self->fd, NULL, 1, cache_flags[k]));
		EXPECT_REFUSED(EFAULT, old_cache(self->fd, (void *)0xc0008000ul, 64,
						 cache_flags[k]));
	}
	/* From the buffer, wrapping around the address space, and back to it. */
	EXPECT_REFUSED(sizeof(long) == 8 ? EOVERFLOW : EFAULT,
		       old_cache(self->fd, map, ~(size_t)0, OLD_WB));
	EXPECT_REFUSED(EFAULT, old_cache(self->fd, map, ~(size_t)0 - (unsigned long)map, OLD_WB));
	ASSERT_EQ(0, munmap(area, self->buf.size + self->page));
}

TEST_F(old, CACHE_without_an_operation_is_EINVAL)
{
	EXPECT_REFUSED(EINVAL, old_cache(self->fd, self->map, 1, 0));
	EXPECT_REFUSED(EINVAL, old_cache(self->fd, self->map, 0, 0));
}

static void add_sync(const char *name, const char *fields, void *arg)
{
	unsigned long long *bytes = arg;

	if (!strcmp(name, "cmem_sync"))
		*bytes += trace_field(fields, "length");
}

TEST_F(old, CACHE_calls_do_what_they_say_and_CACHEWBINVALL_is_for_ones_own)
{
	unsigned long long bytes = 0, all = variant->flags & CMEM_ALLOC_CACHED ? self->buf.size : 0;

	if (block_is_coherent(self->fd, self->src.block))
		SKIP(return, "devices are coherent: there is nothing to do");
	if (!trace_begin())
		SKIP(return, "no tracefs");
	if (!trace_has("cmem/cmem_sync")) {
		trace_end();
		SKIP(return, "no tracepoints");
	}
	ASSERT_TRUE(trace_enable("cmem/cmem_sync", getpid()));
	EXPECT_EQ(0, cmem_ioctl(self->other_fd, OLD_CACHEWBINVALL, NULL));
	ASSERT_LE(0, trace_for_each(add_sync, &bytes));
	EXPECT_EQ(0, bytes);
	EXPECT_EQ(0, cmem_ioctl(self->fd, OLD_CACHEWBINVALL, NULL));
	ASSERT_LE(0, trace_for_each(add_sync, &bytes));
	EXPECT_EQ(all, bytes);
	bytes = 0;
	EXPECT_EQ(0, old_cache(self->fd, self->map + 64, self->page, OLD_WB | OLD_INV));
	ASSERT_LE(0, trace_for_each(add_sync, &bytes));
	EXPECT_EQ(all ? self->page : 0, bytes);
	bytes = 0;
	EXPECT_EQ(0, old_cache(self->fd, self->map, 0, OLD_WB));
	ASSERT_LE(0, trace_for_each(add_sync, &bytes));
	EXPECT_EQ(0, bytes);
	trace_end();
}

/*
 * Owners
 */

TEST_F(old, a_forked_child_is_the_same_owner)
{
	__u64 free_held = source_free(self->fd, &self->src);
	struct old_buf next;
	int pipes[2];
	size_t size;
	pid_t pid;

	ASSERT_EQ(0, pipe(pipes));
	IN_CHILD(pid) {
		__u64 phys;

		ASSERT_EQ(0, old_getphys(self->fd, self->map, &phys));
		ASSERT_EQ(self->buf.phys, phys);
		ASSERT_EQ(0, old_free(self->fd, self->map));
		ASSERT_EQ(0, old_source_alloc(self->fd, &self->src, 0, &next));
		ASSERT_EQ(sizeof(next), write(pipes[1], &next, sizeof(next)));
	}
	join_child(pid);
	ASSERT_EQ(sizeof(next), read(pipes[0], &next, sizeof(next)));
	/* The child freed the parent's buffer; the parent owns the child's. */
	EXPECT_REFUSED(ENOENT, old_free(self->fd, self->map));
	ASSERT_EQ(0, old_reguser(self->fd, next.phys, &size));
	EXPECT_EQ(0, old_freephys(self->fd, next.phys));
	EXPECT_EQ(0, old_freephys(self->fd, next.phys));
	EXPECT_EQ(free_held, source_free(self->fd, &self->src));
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(old, the_last_close_frees_what_the_file_held)
{
	struct old_buf buf;
	int go[2];
	pid_t pid;
	char byte;

	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, old_source_alloc(self->other_fd, &self->src, 0, &buf));
	IN_CHILD(pid) {
		close(go[1]);
		/* Until the parent has looked, or died. */
		ASSERT_LE(0, read(go[0], &byte, 1));
	}
	close(self->other_fd);
	self->other_fd = cmem_open();
	/* The child has the file open. */
	EXPECT_REFUSED(EPERM, old_freephys(self->other_fd, buf.phys));
	close(go[1]);
	join_child(pid);
	EXPECT_REFUSED(ENOENT, old_freephys(self->other_fd, buf.phys));
	close(go[0]);
}

TEST_F(old, a_killed_process_leaves_nothing_behind)
{
	struct snapshot before;
	int status, ready[2];
	char byte = 0;
	pid_t pid;

	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, take_snapshot(&before));
	pid = fork_child(_metadata);
	if (!pid) {
		int fd = cmem_open();
		struct old_buf buf;
		sigset_t set;

		sigfillset(&set);
		sigprocmask(SIG_BLOCK, &set, NULL);
		if (old_source_alloc(fd, &self->src, 0, &buf) || map_buf(fd, &buf) == MAP_FAILED ||
		    write(ready[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	for (int sig = SIGHUP; sig <= SIGRTMAX; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			kill(pid, sig);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	expect_same(&before);
	close(ready[0]);
	close(ready[1]);
}

TEST_F(old, the_next_owner_gets_neither_the_bytes_nor_the_memory_under_a_mapping)
{
	static struct old_buf all[2048];
	__u64 secret = 0x5ec7e75ec7e7ULL;
	int count = 0;

	for (size_t i = 0; i < self->buf.size / sizeof(secret); i++)
		((volatile __u64 *)self->map)[i] = secret;
	ASSERT_EQ(0, old_free(self->fd, self->map));
	/* Another owner allocates all that is free: with the mapping, and without it. */
	for (int round = 0; round < 2; round++) {
		bool seen = false;

		for (count = 0; count < ARRAY_SIZE(all); count++) {
			int ret = old_source_alloc(self->other_fd, &self->src, 0, &all[count]);
			char *map;

			if (ret) {
				ASSERT_EQ(-ENOMEM, ret);
				break;
			}
			seen |= all[count].phys == self->buf.phys;
			map = map_buf(self->other_fd, &all[count]);
			ASSERT_MAPPED(map);
			EXPECT_EQ(0, *(volatile __u64 *)map);
			EXPECT_EQ(0, *(volatile __u64 *)(map + all[count].size - 8));
			ASSERT_EQ(0, munmap(map, all[count].size));
		}
		if (!round) {
			EXPECT_FALSE(seen);
			EXPECT_EQ(secret, *(volatile __u64 *)self->map);
			ASSERT_EQ(0, munmap(self->map, self->buf.size));
		} else if (count < ARRAY_SIZE(all) && !variant->heap) {
			EXPECT_TRUE(seen);
		}
		while (count--)
			ASSERT_EQ(0, old_freephys(self->other_fd, all[count].phys));
	}
}

/* Addresses in 64 bits, and how a 32-bit program changes them */

#ifdef SYS_mmap2
/* mmap2() at a page offset that a C library may compute from a negative off_t. */
static char *map_page(int fd, unsigned long pgoff, size_t length)
{
	return (char *)syscall(SYS_mmap2, NULL, length, RW, MAP_SHARED, fd, pgoff);
}

static int try_map_page(int fd, unsigned long pgoff, size_t length)
{
	return map_page(fd, pgoff, length) == MAP_FAILED ? -errno : 0;
}

/* With an arithmetic shift */
static unsigned long shifted(__u64 phys)
{
	return (int)phys >> 12;
}

TEST_F(old, a_negative_offset_is_understood_when_the_file_is_registered)
{
	struct cmem_resolve res;
	char *map;

	if (self->buf.phys >> 31 != 1)
		SKIP(return, "the buffer is not between 2 and 4 GiB");
	map = map_page(self->fd, shifted(self->buf.phys), 2 * self->page);
	ASSERT_MAPPED(map);
	*(volatile char *)map = 'n';
	EXPECT_EQ('n', self->map[0]);
	ASSERT_EQ(0, cmem_resolve(self->fd, map + 5, &res));
	EXPECT_EQ(self->buf.phys + 5, res.phys_addr);
	EXPECT_EQ(0, old_cache(self->fd, map, 2 * self->page, OLD_WB));
	/* A part of it keeps the right offset. */
	ASSERT_EQ(0, munmap(map, self->page));
	ASSERT_EQ(0, cmem_resolve(self->fd, map + self->page, &res));
	EXPECT_EQ(self->buf.phys + self->page, res.phys_addr);
	ASSERT_EQ(0, munmap(map + self->page, self->page));

	/* A file that may register can map it, too */
	map = map_page(self->other_fd, shifted(self->buf.phys), self->page);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, munmap(map, self->page));
	EXPECT_REFUSED(EINVAL, try_map_page(self->fd, shifted(self->buf.phys),
					    self->buf.size + self->page));
	/* It lives while it is mapped, but no longer belongs to the file. */
	ASSERT_EQ(0, old_free(self->fd, self->map));
	EXPECT_REFUSED(EPERM, try_map_page(self->fd, shifted(self->buf.phys), self->page));
	ASSERT_EQ(0, munmap(self->map, self->buf.size));
	EXPECT_REFUSED(EINVAL, try_map_page(self->fd, shifted(self->buf.phys), self->page));
}

TEST_F(old, no_other_offset_is_taken_for_a_negative_one)
{
	unsigned long pgoff = self->buf.phys >> 12;

	/* If one of the sign bits is missing, the offset is invalid. */
	for (int bit = 19; bit < 32; bit++) {
		unsigned long flipped = (pgoff | 0xfff80000) ^ 1ul << bit;

		if (flipped == pgoff)
			continue;
		EXPECT_REFUSED(EINVAL, try_map_page(self->fd, flipped, self->page))
			TH_LOG("%#lx", flipped);
	}
}
#endif

TEST_F(old, the_upper_half_of_an_address_counts_where_it_has_one)
{
	__u64 above = self->buf.phys + (1ULL << 36);

	if (sizeof(long) == 4)
		SKIP(return, "a long has 32 bits");
	EXPECT_REFUSED(ENOENT, old_freephys(self->fd, above));
	EXPECT_REFUSED(ENOENT, old_freephys(self->fd, self->buf.phys | 0xffffffffULL << 32));
	EXPECT_REFUSED(EINVAL, try_map(self->fd, above, self->page, MAP_SHARED));
	EXPECT_REFUSED(EINVAL, try_map(self->fd, self->buf.phys | 0xfffULL << 32, self->page,
				       MAP_SHARED));
}

/*
 * EXPORTDMABUF
 */

TEST_F(old, EXPORTDMABUF_makes_a_DMA_BUF_of_all_of_the_buffer)
{
	char *part = map_part(self->fd, self->buf.phys + 3 * self->page, self->page);
	char *const inside[] = {
		self->map, self->map + 5, self->map + self->buf.size - 1, part, part + 77,
	};

	ASSERT_MAPPED(part);
	fill(self->map, self->buf.size, 5);
	for (size_t i = 0; i < ARRAY_SIZE(inside); i++) {
		struct old_exportdmabuf arg;
		char *map, first;

		memset(&arg, 0x5a, sizeof(arg));
		arg.addr = (unsigned long)inside[i];
		ASSERT_EQ(0, cmem_ioctl(self->fd, OLD_EXPORTDMABUF, &arg));
		EXPECT_EQ((unsigned long)inside[i], arg.addr);
		ASSERT_LE(0, arg.fd);
		EXPECT_EQ(self->buf.size, lseek(arg.fd, 0, SEEK_END));
		EXPECT_EQ(O_RDWR, fcntl(arg.fd, F_GETFL) & O_ACCMODE);
		EXPECT_EQ(FD_CLOEXEC, fcntl(arg.fd, F_GETFD));
		map = dmabuf_map(arg.fd, 0, self->buf.size);
		ASSERT_MAPPED(map);
		EXPECT_EQ(-1, find_stranger(map, self->buf.size, 5));
		first = map[0];
		map[0] = i + 1;
		EXPECT_EQ(i + 1, self->map[0]);
		map[0] = first;
		ASSERT_EQ(0, munmap(map, self->buf.size));
		close(arg.fd);
	}
	ASSERT_EQ(0, munmap(part, self->page));
}

TEST_F(old, EXPORTDMABUF_keeps_the_buffer)
{
	__u64 free_held = source_free(self->other_fd, &self->src);
	int dmabuf = old_exportdmabuf(self->fd, self->map);
	char *map;

	ASSERT_LE(0, dmabuf);
	fill(self->map, self->buf.size, 6);
	ASSERT_EQ(0, old_free(self->fd, self->map));
	ASSERT_EQ(0, munmap(self->map, self->buf.size));
	close(self->fd);
	EXPECT_EQ(free_held, source_free(self->other_fd, &self->src));
	map = dmabuf_map(dmabuf, 0, self->buf.size);
	ASSERT_MAPPED(map);
	EXPECT_EQ(-1, find_stranger(map, self->buf.size, 6));
	/* The old calls know a mapping of it, but a mapping is no registration. */
	EXPECT_EQ(0, old_cache(self->other_fd, map, self->buf.size, OLD_WB));
	EXPECT_REFUSED(ENOENT, old_exportdmabuf(self->other_fd, map));
	EXPECT_REFUSED(ENOENT, old_free(self->other_fd, map));
	/* A file can register through it, and pass the buffer on. */
	ASSERT_EQ(0, cmem_register_dmabuf(self->other_fd, dmabuf));
	close(dmabuf);
	dmabuf = old_exportdmabuf(self->other_fd, map + 1);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, old_free(self->other_fd, map));
	ASSERT_EQ(0, munmap(map, self->buf.size));
	EXPECT_EQ(free_held, source_free(self->other_fd, &self->src));
	close(dmabuf);
	EXPECT_LT(free_held, source_free(self->other_fd, &self->src));
	self->fd = cmem_open();
	self->map = MAP_FAILED;
}

TEST_F(old, EXPORTDMABUF_is_for_ones_own_buffers)
{
	int reader = open(CMEM_DEVICE, O_RDONLY | O_CLOEXEC), fds;
	char local = 0, *hole;

	ASSERT_LE(0, reader);
	hole = mmap(NULL, self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(hole);
	fds = count_fds();
	EXPECT_REFUSED(EFAULT, old_exportdmabuf(self->fd, &local));
	EXPECT_REFUSED(EFAULT, old_exportdmabuf(self->fd, hole));
	EXPECT_REFUSED(EFAULT, old_exportdmabuf(self->fd, NULL));
	EXPECT_REFUSED(EFAULT, old_exportdmabuf(self->fd, (void *)-1L));
	ASSERT_EQ(0, munmap(hole, self->page));
	EXPECT_REFUSED(EFAULT, old_exportdmabuf(self->fd, hole));
	EXPECT_REFUSED(EPERM, old_exportdmabuf(self->other_fd, self->map));
	/* It is always for reading and writing, which not everybody may do. */
	ASSERT_EQ(0, cmem_register(reader, self->buf.phys));
	EXPECT_REFUSED(EPERM, old_exportdmabuf(reader, self->map));
	close(reader);
	ASSERT_EQ(0, old_free(self->fd, self->map));
	EXPECT_REFUSED(ENOENT, old_exportdmabuf(self->fd, self->map));
	EXPECT_EQ(fds - 1, count_fds());
}

TEST_F(old, EXPORTDMABUF_that_can_not_answer_leaves_no_file_descriptor)
{
	char *page = page_before_a_hole();
	int fds = count_fds();
	unsigned long *last;

	/* Its input fits before the hole, its output does not. */
	ASSERT_MAPPED(page);
	last = (unsigned long *)(page + self->page) - 1;
	*last = (unsigned long)self->map;
	for (int i = 0; i < 10; i++) {
		EXPECT_REFUSED(EFAULT, cmem_ioctl(self->fd, OLD_EXPORTDMABUF, last));
	}
	*(unsigned long *)page = (unsigned long)self->map;
	ASSERT_EQ(0, mprotect(page, self->page, PROT_READ));
	for (int i = 0; i < 10; i++) {
		EXPECT_REFUSED(EFAULT, cmem_ioctl(self->fd, OLD_EXPORTDMABUF, page));
	}
	EXPECT_EQ(fds, count_fds());
	/* Nothing of it holds the buffer. */
	ASSERT_EQ(0, munmap(self->map, self->buf.size));
	ASSERT_EQ(0, old_freephys(self->fd, self->buf.phys));
	expect_same(&self->before);
	self->map = MAP_FAILED;
}

/* Without a buffer */

FIXTURE(call)
{
	int fd;
	unsigned long page;
	struct snapshot before;
	char version[32];
	char fallback[32];
};

FIXTURE_SETUP(call)
{
	self->page = page_size();
	OPEN_OR_SKIP(self->fd);
	OLD_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	ASSERT_EQ(0, parameter_read("legacy_version", self->version, sizeof(self->version)));
	ASSERT_EQ(0, parameter_read("useHeapIfPoolUnavailable", self->fallback,
				    sizeof(self->fallback)));
}

FIXTURE_TEARDOWN(call)
{
	if (!getuid()) {
		parameter_write("legacy_version", self->version);
		parameter_write("useHeapIfPoolUnavailable", self->fallback);
	}
	close(self->fd);
	expect_same(&self->before);
}

/* All commands, with the flags they may have and the bytes they read and write. */
#define BOTH (sizeof(struct { int pool; size_t size; }))
#define MEMBERS(type, last) \
	(__builtin_offsetof(type, last) + sizeof(((type *)0)->last))

/* The library put the caller's flags into the number; the driver ignored unknown ones. */
#define ANY 0xffff0000

static const struct {
	unsigned int nr, flags;
	size_t in, out;
} commands[] = {
	{ OLD_ALLOC, ANY, 8, 16 },
	{ OLD_ALLOCHEAP, ANY, MEMBERS(union old_allocheap, in.block), 8 },
	{ OLD_FREE, ANY, sizeof(long), BOTH },
	{ OLD_FREE | OLD_PHYS, ANY, sizeof(long), 0 },
	{ OLD_GETPHYS, 0, sizeof(long), 8 },
	{ OLD_GETSIZE, 0, 8, 4 },
	{ OLD_GETPOOL, 0, 12, 4 },
	{ OLD_CACHE | OLD_WB, OLD_WB | OLD_INV, 2 * sizeof(long), 0 },
	{ OLD_GETVERSION, 0, 0, 4 },
	{ OLD_GETBLOCK, 0, 4, 16 },
	{ OLD_REGUSER, 0, 8, sizeof(size_t) },
	{ OLD_GETNUMBLOCKS, 0, 0, 4 },
	{ OLD_CACHEWBINVALL, 0, 0, 0 },
	{ OLD_EXPORTDMABUF, 0, sizeof(long), sizeof(long) + 4 },
};

TEST_F(call, unknown_commands_and_flags_are_ENOTTY_and_print_nothing)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	static char arg[64], record[8192];

	if (log >= 0) {
		ASSERT_LE(0, lseek(log, 0, SEEK_END));
	}
	EXPECT_REFUSED(ENOTTY, cmem_ioctl(self->fd, OLD(0), arg));
	for (unsigned int nr = 14; nr < 256; nr++) {
		EXPECT_REFUSED(ENOTTY, cmem_ioctl(self->fd, OLD(nr), arg));
		EXPECT_EQ(-ENOTTY, cmem_ioctl(self->fd, OLD(nr), NULL));
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		for (int bit = 16; bit < 32; bit++) {
			unsigned int nr = commands[i].nr | 1u << bit;

			if (1u << bit & commands[i].flags ||
			    (commands[i].nr == OLD_FREE && 1u << bit == OLD_PHYS))
				continue;
			EXPECT_REFUSED(ENOTTY, cmem_ioctl(self->fd, nr, arg))
				TH_LOG("%#x", nr);
			EXPECT_EQ(-ENOTTY, cmem_ioctl(self->fd, nr, NULL));
		}
		/* The same number with another type is not ours either. */
		EXPECT_EQ(-ENOTTY, cmem_ioctl(self->fd, (commands[i].nr & 0xff) | 0xfd00, arg));
	}
	while (log >= 0) {
		ssize_t got = read(log, record, sizeof(record) - 1);

		if (got < 0 && errno == EPIPE)
			continue;
		if (got < 0)
			break;
		record[got] = 0;
		EXPECT_FALSE(!!strstr(record, "cmem")) TH_LOG("%s", record);
	}
	close(log);
}

TEST_F(call, bad_pointers_are_EFAULT)
{
	char *const page = page_before_a_hole();

	ASSERT_MAPPED(page);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		void *const bad[] = {
			NULL, (void *)8, page + self->page, (void *)-4096L, (void *)-8L,
			/* all but the last byte is accessible */
			page + self->page - (commands[i].in ?: commands[i].out) + 1,
		};

		if (!commands[i].in && !commands[i].out)
			continue;
		memset(page, 0, self->page);
		for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
			EXPECT_REFUSED(EFAULT, cmem_ioctl(self->fd, commands[i].nr, bad[k]))
				TH_LOG("%#x at %p", commands[i].nr, bad[k]);
		}
	}
}

TEST_F(call, structures_end_with_their_last_member)
{
	char *const page = page_before_a_hole();
	struct source src;
	int pool;

	ASSERT_MAPPED(page);
	/* Right before a hole, each call returns its own errno, or succeeds. */
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		size_t size = commands[i].in > commands[i].out ? commands[i].in : commands[i].out;
		char *arg = page + self->page - size;
		int ret;

		/* Block 0x7f7f7f7f, or an invalid address */
		memset(page, 0x7f, self->page);
		ret = cmem_ioctl(self->fd, commands[i].nr, arg);
		switch (commands[i].nr) {
		case OLD_FREE:
		case OLD_GETPHYS:
		case OLD_CACHE | OLD_WB:
		case OLD_EXPORTDMABUF:
			/* No mapping has this address. */
			EXPECT_EQ(-EFAULT, ret) TH_LOG("%#x", commands[i].nr);
			break;
		case OLD_FREE | OLD_PHYS:
		case OLD_REGUSER:
			EXPECT_EQ(-EINVAL, ret) TH_LOG("%#x", commands[i].nr);
			break;
		case OLD_ALLOCHEAP:
			/* an invalid alignment */
			EXPECT_EQ(-EINVAL, ret);
			break;
		case OLD_ALLOC:
		case OLD_GETSIZE:
		case OLD_GETPOOL:
		case OLD_GETBLOCK:
			EXPECT_EQ(-ENOENT, ret) TH_LOG("%#x", commands[i].nr);
			break;
		default:
			EXPECT_EQ(0, ret) TH_LOG("%#x", commands[i].nr);
		}
	}
	/* The calls that succeed. */
	if (find_heap_source(ANY_KIND, self->page, &src)) {
		union old_allocheap heap = { .in = { self->page, 0, src.block } };
		char *arg = page + self->page - MEMBERS(union old_allocheap, in.block);

		memcpy(arg, &heap, MEMBERS(union old_allocheap, in.block));
		ASSERT_EQ(0, cmem_ioctl(self->fd, OLD_ALLOCHEAP, arg));
		EXPECT_EQ(0, cmem_ioctl(self->fd, OLD_FREE | OLD_PHYS, arg));
	}
	if (find_pool_source(ANY_KIND, 1, 1, &src)) {
		union old_getpool find = { .in = { src.length, src.block } };
		char *arg = page + self->page - 12;

		memcpy(arg, &find, 12);
		ASSERT_EQ(0, cmem_ioctl(self->fd, OLD_GETPOOL, arg));
		memcpy(&pool, arg, sizeof(pool));
		EXPECT_EQ(src.pool, pool);
	}
}

TEST_F(call, a_call_that_can_not_answer_changes_nothing)
{
	char *page = page_before_a_hole();
	struct source src;

	ASSERT_MAPPED(page);
	if (find_pool_source(ANY_KIND, 1, 1, &src)) {
		/* Its input fits before the hole, its output does not. */
		union old_alloc alloc = { .in = { src.pool, src.block } };
		char *arg = page + self->page - 8;

		memcpy(arg, &alloc, 8);
		EXPECT_REFUSED(EFAULT, cmem_ioctl(self->fd, OLD_ALLOC, arg));
	}
	if (find_heap_source(ANY_KIND, self->page, &src)) {
		union old_allocheap *heap = (void *)page;

		*heap = (union old_allocheap){ .in = { 1, 1, src.block } };
		ASSERT_EQ(0, mprotect(page, self->page, PROT_READ));
		EXPECT_REFUSED(EFAULT, cmem_ioctl(self->fd, OLD_ALLOCHEAP | OLD_CACHED, heap));
	}
}

/* What exists */

/* Programs count from 0 to the number less 1, whatever the numbers of the blocks are. */
TEST_F(call, a_block_that_is_not_there_has_no_memory)
{
	struct spare_block spare;
	struct old_buf block = { 1, 1 };
	struct cmem_info info;
	int count;

	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	if (getuid() || !find_spare_block(self->fd, info.block_limit - 1, &spare))
		SKIP(return, "no block but the last one that can be removed");
	ASSERT_EQ(0, cmem_block_remove(self->fd, spare.info.block));
	EXPECT_EQ(0, cmem_ioctl(self->fd, OLD_GETNUMBLOCKS, &count));
	EXPECT_EQ(info.block_limit, count);
	EXPECT_EQ(0, old_getblock(self->fd, spare.info.block, &block));
	EXPECT_EQ(0, block.phys);
	EXPECT_EQ(0, block.size);
	EXPECT_EQ(-ENOENT, old_getblock(self->fd, info.block_limit, &block));
	EXPECT_EQ(-ENOENT, old_getblock(self->fd, -2, &block));
	ASSERT_EQ(0, put_back_block(self->fd, &spare));
}

TEST_F(call, blocks_and_pools_are_those_of_the_new_interface)
{
	struct old_buf block;
	struct cmem_info info;
	int count, size;

	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	ASSERT_EQ(0, cmem_ioctl(self->fd, OLD_GETNUMBLOCKS, &count));
	EXPECT_EQ(info.block_limit, count);
	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];

		if (b->kind == CMEM_KIND_CMA)
			continue;
		ASSERT_EQ(0, old_getblock(self->fd, b->block, &block));
		EXPECT_EQ(b->base, block.phys);
		EXPECT_EQ(b->length, block.size);
		for (__u32 p = 0; p < b->num_pools; p++) {
			__u64 length = self->before.pool[i][p].length;

			if (length > 0x7fffffff) {
				EXPECT_REFUSED(EOVERFLOW, old_getsize(self->fd, b->block, p,
								      &size));
				continue;
			}
			ASSERT_EQ(0, old_getsize(self->fd, b->block, p, &size));
			EXPECT_EQ(length, size);
		}
		EXPECT_REFUSED(ENOENT, old_getsize(self->fd, b->block, b->num_pools, &size));
		EXPECT_REFUSED(ENOENT, old_getsize(self->fd, b->block, -1, &size));
		EXPECT_REFUSED(ENOENT, old_getsize(self->fd, b->block, 0x7fffffff, &size));
		EXPECT_REFUSED(ENOENT, old_getsize(self->fd, b->block, -0x7fffffff - 1, &size));
	}
}

TEST_F(call, blocks_that_are_not_there_are_ENOENT)
{
	struct cmem_block_info info;
	struct cmem_info all;
	struct old_buf buf;
	int number;

	ASSERT_EQ(0, cmem_get_info(self->fd, &all));
	for (int n = -4; n < (int)all.block_limit + 10; n++) {
		int id = n == -4 ? -0x7fffffff - 1 : n == (int)all.block_limit + 9 ? 0x7fffffff : n;

		if (cmem_get_block(self->fd, id, &info) == 0)
			continue;
		/* A gap in the block numbers is a block without memory. */
		if (id < 0 || (__u32)id >= all.block_limit) {
			EXPECT_REFUSED(ENOENT, old_getblock(self->fd, id, &buf)) {
				TH_LOG("block %d", id);
			}
		} else {
			EXPECT_EQ(0, old_getblock(self->fd, id, &buf)) {
				TH_LOG("block %d", id);
			}
			EXPECT_EQ(0, buf.phys);
			EXPECT_EQ(0, buf.size);
		}
		EXPECT_REFUSED(ENOENT, old_getsize(self->fd, id, 0, &number));
		EXPECT_REFUSED(ENOENT, old_getpool(self->fd, id, 1, &number));
		EXPECT_REFUSED(ENOENT, old_alloc(self->fd, id, 0, 0, &buf));
		EXPECT_REFUSED(ENOENT, old_allocheap(self->fd, id, 1, 0, 0, &buf));
	}
}

TEST_F(call, pools_that_are_not_there_are_ENOENT)
{
	struct old_buf buf;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];
		const int pools[] = { -0x7fffffff - 1, -3, -2, -1, b->num_pools, 32, 0x7fffffff };

		/* The kernel knows the devices: one may snoop. */
		for (size_t k = 0; k < ARRAY_SIZE(pools); k++) {
			EXPECT_REFUSED(ENOENT, old_alloc(self->fd, b->block, pools[k], 0, &buf));
		}
	}
}

TEST_F(call, GETPOOL_finds_the_best_that_is_free)
{
	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];

		EXPECT_REFUSED(EINVAL, ({ int pool; old_getpool(self->fd, b->block, 0, &pool); }));
		for (__u32 p = 0; p < b->num_pools; p++) {
			__u64 length = self->before.pool[i][p].length;

			for (int delta = -1; delta <= 1; delta++) {
				__s32 expected = -1, pool = -1;
				int ret = cmem_find_pool(self->fd, b->block, length + delta,
							 &expected);

				EXPECT_EQ(ret, old_getpool(self->fd, b->block, length + delta,
							   &pool));
				if (!ret) {
					EXPECT_EQ(expected, pool);
				}
			}
		}
		EXPECT_REFUSED(ENOENT, ({ int pool; old_getpool(self->fd, b->block, 1ULL << 62,
								&pool); }));
	}
}

TEST_F(call, GETPOOL_sends_to_the_heap_only_where_that_is_wanted_and_has_room)
{
	if (getuid())
		SKIP(return, "wants root");
	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];
		__u64 largest = 0;
		int pool;

		for (__u32 p = 0; p < b->num_pools; p++)
			if (self->before.pool[i][p].length > largest)
				largest = self->before.pool[i][p].length;
		ASSERT_EQ(0, parameter_write("useHeapIfPoolUnavailable", "0"));
		EXPECT_REFUSED(ENOENT, old_getpool(self->fd, b->block, largest + 1, &pool));
		ASSERT_EQ(0, parameter_write("useHeapIfPoolUnavailable", "1"));
		if (b->heap_largest > largest) {
			ASSERT_EQ(0, old_getpool(self->fd, b->block, largest + 1, &pool));
			EXPECT_EQ(-2, pool);
			ASSERT_EQ(0, old_getpool(self->fd, b->block, b->heap_largest, &pool));
			EXPECT_EQ(-2, pool);
		}
		/* Programs expect ENOMEM when there is no room. */
		if (b->heap_free > largest)
			largest = b->heap_free;
		EXPECT_REFUSED(ENOMEM, old_getpool(self->fd, b->block, largest + 1, &pool));
		EXPECT_REFUSED(ENOMEM, old_getpool(self->fd, b->block, ~0ULL, &pool));
		EXPECT_REFUSED(EINVAL, old_getpool(self->fd, b->block, 0, &pool));
		/* A pool with a free buffer comes first. */
		if (b->num_pools && self->before.pool[i][0].free) {
			ASSERT_EQ(0, old_getpool(self->fd, b->block, 1, &pool));
			EXPECT_LE(0, pool);
		}
	}
}

/* The heap has room again, but nobody has looked at its pinned buffer yet. */
TEST_F(call, GETPOOL_looks_at_pinned_buffers_of_the_heap)
{
	struct cmem_block_info info;
	struct cmem_alloc buf;
	struct source src;
	int pipefd[2], pool;
	void *map;

	if (getuid())
		SKIP(return, "wants root");
	if (!find_heap_source(CMEM_KIND_RESERVED, 4 * page_size(), &src))
		SKIP(return, "no such heap");
	ASSERT_EQ(0, cmem_get_block(self->fd, src.block, &info));
	if (!(info.out_flags & CMEM_BLOCK_CAN_PAGES))
		SKIP(return, "no buffer of this block can be page-backed");
	if (cmem_find_pool(self->fd, src.block, info.heap_free, &pool) != -ENOENT)
		SKIP(return, "a pool has buffers as long as the heap");
	ASSERT_EQ(0, parameter_write("useHeapIfPoolUnavailable", "1"));
	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(0, cmem_alloc(self->fd, src.block, CMEM_POOL_HEAP, 4 * page_size(),
				CMEM_ALLOC_CACHED | CMEM_ALLOC_PAGES, &buf));
	map = cmem_map(self->fd, &buf);
	ASSERT_MAPPED(map);
	ASSERT_EQ((ssize_t)page_size(), splice_pages(pipefd[1], map, page_size()));
	ASSERT_EQ(0, munmap(map, buf.length));
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	EXPECT_REFUSED(ENOMEM, old_getpool(self->fd, src.block, info.heap_free, &pool));
	/* Long enough that the kernel does not look often any more. */
	usleep(100 * 1000);
	ASSERT_EQ(0, close(pipefd[0]));
	ASSERT_EQ(0, close(pipefd[1]));
	ASSERT_EQ(0, old_getpool(self->fd, src.block, info.heap_free, &pool));
	EXPECT_EQ(-2, pool);
}

TEST_F(call, an_exhausted_pool_is_ENOMEM_and_GETPOOL_goes_on_to_the_next)
{
	static struct old_buf all[COUNT_LIMIT];
	struct old_buf buf;
	struct source src;
	int count, pool, ret;
	__s32 expected;

	if (!find_pool_source(ANY_KIND, 1, 1, &src) || source_free(self->fd, &src) > COUNT_LIMIT)
		SKIP(return, "no pool that is small enough");
	for (count = 0; !(ret = old_alloc(self->fd, src.block, src.pool, 0, &buf)); count++) {
		ASSERT_GT(COUNT_LIMIT, count);
		EXPECT_EQ(src.length, buf.size);
		all[count] = buf;
	}
	EXPECT_EQ(-ENOMEM, ret);
	EXPECT_REFUSED(ENOMEM, old_alloc(self->fd, src.block, src.pool, OLD_CACHED, &buf));
	ret = cmem_find_pool(self->fd, src.block, src.length, &expected);
	EXPECT_EQ(ret, old_getpool(self->fd, src.block, src.length, &pool));
	if (!ret) {
		EXPECT_EQ(expected, pool);
		EXPECT_NE(src.pool, pool);
	}
	while (count--)
		ASSERT_EQ(0, old_freephys(self->fd, all[count].phys));
}

/* Each pool of CMA has an area of its own. ALLOC never uses the area of another pool. */
TEST_F(call, GETPOOL_goes_on_to_no_other_area_of_CMA)
{
	static struct old_buf all[COUNT_LIMIT];
	bool larger = false;
	struct source src;
	int count, pool;

	if (!find_pool_source(CMEM_KIND_CMA, 1, 1, &src) ||
	    source_free(self->fd, &src) > COUNT_LIMIT)
		SKIP(return, "no pool of CMA that is small enough");
	for (unsigned int i = 0; i < self->before.num_blocks; i++)
		for (__u32 p = 0; p < self->before.block[i].num_pools; p++)
			larger |= self->before.block[i].block == src.block &&
				  self->before.pool[i][p].length > src.length &&
				  self->before.pool[i][p].free;
	if (!larger)
		SKIP(return, "no other pool of CMA with longer buffers");
	for (count = 0; !old_alloc(self->fd, src.block, src.pool, 0, &all[count]); count++)
		ASSERT_GT(COUNT_LIMIT - 1, count);
	EXPECT_REFUSED(ENOMEM, old_getpool(self->fd, src.block, src.length, &pool));
	while (count--)
		ASSERT_EQ(0, old_freephys(self->fd, all[count].phys));
}

TEST_F(call, ALLOCHEAP_refuses_sizes_that_are_none_and_has_no_room_for_too_much)
{
	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];
		const size_t sizes[] = {
			~(size_t)0, ~(size_t)0 - self->page + 1, ~(size_t)0 - self->page,
			~(size_t)0 / 2 + 1, b->length + 1, b->length, b->heap_largest + 1,
		};
		struct old_buf buf;

		for (size_t align = 0; align < 4; align += 1 + (align == 2)) {
			EXPECT_REFUSED(EINVAL, old_allocheap(self->fd, b->block, 0, align,
							     align ? OLD_CACHED : 0, &buf));
		}
		for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
			if (sizes[k] <= b->heap_largest)
				continue;
			EXPECT_REFUSED(ENOMEM, old_allocheap(self->fd, b->block, sizes[k], 0, 0,
							     &buf))
				TH_LOG("%#zx bytes of block %d", sizes[k], b->block);
		}
	}
}

TEST_F(call, ALLOCHEAP_aligns)
{
	const size_t good[] = { 0, 1, 2, 64, 4096, 8192, 65536, 1 << 20 };
	const size_t bad[] = { 3, 5, 4097, 12288, ~(size_t)0, ~(size_t)0 / 2 };
	struct source src;
	struct old_buf buf;
	char *map;

	if (!find_heap_source(ANY_KIND, SZ_2M, &src))
		SKIP(return, "no heap");
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		size_t align = good[i] > self->page ? good[i] : self->page;

		ASSERT_EQ(0, old_allocheap(self->fd, src.block, self->page + 1, good[i],
					   OLD_CACHED, &buf));
		EXPECT_EQ(0, buf.phys % align);
		/* Two whole pages. */
		map = map_buf(self->fd, &buf);
		ASSERT_MAPPED(map);
		EXPECT_EQ(2 * self->page, buf.size);
		ASSERT_EQ(0, munmap(map, buf.size));
		EXPECT_REFUSED(EINVAL, try_map(self->fd, buf.phys, 3 * self->page, MAP_SHARED));
		ASSERT_EQ(0, cmem_ioctl(self->fd, OLD_FREE | OLD_PHYS | OLD_HEAP, &buf.phys));
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_REFUSED(EINVAL, old_allocheap(self->fd, src.block, 1, bad[i], 0, &buf));
	}
	/* No address in the block is a multiple of that. */
	if (sizeof(size_t) == 8) {
		EXPECT_REFUSED(ENOMEM, old_allocheap(self->fd, src.block, 1, (size_t)(1ULL << 63),
						     0, &buf));
	}
}

TEST_F(call, every_FREE_of_the_heap_gives_the_bytes_back)
{
	struct cmem_block_info then, now;
	struct source src;
	struct old_buf buf[8];

	if (!find_heap_source(ANY_KIND, 64 * self->page, &src))
		SKIP(return, "no heap");
	for (unsigned int n = 0; n < scaled(100); n++) {
		ASSERT_EQ(0, cmem_get_block(self->fd, src.block, &then));
		for (int i = 0; i < 8; i++) {
			ASSERT_EQ(0, old_allocheap(self->fd, src.block,
						   1 + (n * 7 + i * 13) % (8 * self->page),
						   1 << (n + i) % 14, OLD_CACHED, &buf[i]));
		}
		for (int i = 0; i < 8; i++) {
			ASSERT_EQ(0, old_freephys(self->fd, buf[(i * 3 + n) % 8].phys));
		}
		ASSERT_EQ(0, cmem_get_block(self->fd, src.block, &now));
		ASSERT_EQ(then.heap_free, now.heap_free);
		ASSERT_EQ(then.heap_largest, now.heap_largest);
	}
}

TEST_F(call, only_addresses_in_buffers_are_translated_and_freed)
{
	static char data[64];
	char stack[64], *heap = malloc(64);
	/* Truncated to 32 bits if a long has no more. */
	const __u64 number[] = {
		0, 1, 4096, 0x40000000, 0xc0000000, 0xc0008000, 0xffff0000, -4096ULL, ~0ULL,
		(unsigned long)data, (unsigned long)stack, (unsigned long)heap,
		(unsigned long)old_getphys, 1ULL << 31, 1ULL << 63, 0xffff800008000000ULL,
		0xffff888000000000ULL, 0xffffffff81000000ULL,
	};

	for (size_t i = 0; i < ARRAY_SIZE(number); i++) {
		unsigned long addr = number[i];
		union old_getphys arg;

		memset(&arg, 0x5a, sizeof(arg));
		arg.addr = addr;
		EXPECT_REFUSED(EFAULT, cmem_ioctl(self->fd, OLD_GETPHYS, &arg))
			TH_LOG("%#lx", addr);
		/* The call leaves the argument unchanged. */
		EXPECT_EQ(addr, arg.addr);
		EXPECT_REFUSED(EFAULT, old_free(self->fd, (void *)addr))
			TH_LOG("%#lx", addr);
	}
	free(heap);
}

TEST_F(call, addresses_that_no_buffer_has_are_not_freed)
{
	const __u64 page = page_size();
	const __u64 far[] = { 0, page, 1ULL << 39, 1ULL << 52, 1ULL << 63, -page };

	for (size_t i = 0; i < ARRAY_SIZE(far); i++) {
		EXPECT_REFUSED(ENOENT, old_freephys(self->fd, far[i])) TH_LOG("%#llx", far[i]);
	}
	EXPECT_REFUSED(EINVAL, old_freephys(self->fd, 1));
	EXPECT_REFUSED(EINVAL, old_freephys(self->fd, ~0ULL));
	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];

		EXPECT_REFUSED(ENOENT, old_freephys(self->fd, b->base));
		EXPECT_REFUSED(ENOENT, old_freephys(self->fd, b->base + b->length));
	}
}

/*
 * GETVERSION
 */

TEST_F(call, GETVERSION_answers_what_the_parameter_says)
{
	const unsigned int versions[] = {
		0x04000300, 0x04000301, 0x04010000, 0x04120000, 0x04200001, 0x04ffffff,
	};
	unsigned int version = 0;
	char text[16], read[16];

	ASSERT_EQ(0, old_getversion(self->fd, &version));
	EXPECT_EQ(strtoul(self->version, NULL, 0), version);
	if (getuid())
		SKIP(return, "wants root");
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		snprintf(text, sizeof(text), i % 2 ? "%u\n" : "0x%x", versions[i]);
		ASSERT_EQ(0, parameter_write("legacy_version", text)) TH_LOG("%s", text);
		ASSERT_EQ(0, old_getversion(self->fd, &version));
		EXPECT_EQ(versions[i], version);
		snprintf(text, sizeof(text), "0x%08x", versions[i]);
		ASSERT_EQ(0, parameter_read("legacy_version", read, sizeof(read)));
		EXPECT_STREQ(text, read);
	}
}

TEST_F(call, the_parameter_takes_versions_only)
{
	const char *const bad[] = {
		"\n", "new", "4.20.00.01", "0x0420000g", "0x04200001 0x04200001", "-1", "0",
		"0x040002ff", "0x05000000", "0x03ffffff", "0xffffffff", "0x104200001",
		"99999999999999999999",
	};
	unsigned int version = 0;

	if (getuid())
		SKIP(return, "wants root");
	ASSERT_EQ(0, parameter_write("legacy_version", "0x04120007"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, parameter_write("legacy_version", bad[i]))
			TH_LOG("'%s'", bad[i]);
		ASSERT_EQ(0, old_getversion(self->fd, &version));
		EXPECT_EQ(0x04120007, version);
	}
}

TEST_HARNESS_MAIN
