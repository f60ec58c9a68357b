// SPDX-License-Identifier: GPL-2.0
/*
 * libcmem: every public function, with good and bad arguments, against what the kernel
 * reports through its own ioctls; threads, forked children, and processes that share.
 *
 * Compiled twice: as libcmem with a 64-bit off_t, and as libcmem_off32, with 32 bits
 * where that exists. An address that does not fit an off_t must then be an error, and
 * never another address.
 */
#include <pthread.h>
#include <stdarg.h>
#include <sys/uio.h>

#include "cmem_dmabuf.h"
#include <ti/cmem.h>

#define LENGTH		(4 * page_size())
#define FALLBACK	"/sys/module/cmem/parameters/useHeapIfPoolUnavailable"

/* Some results can only be told apart by errno. */
#define EXPECT_ERRNO(err, call) do {					\
	errno = 0;							\
	EXPECT_TRUE(call);						\
	EXPECT_EQ(err, errno) TH_LOG("%s", #call);			\
} while (0)

static bool fits(__u64 phys)
{
	return sizeof(off_t) == 8 || phys <= UINT32_MAX;
}

static __u64 from_off_t(off_t phys)
{
	return sizeof(off_t) == 8 ? (__u64)phys : (__u32)phys;
}

/* What the kernel says about a user address, through our own file: 0 if nothing */
static __u64 phys_of(const volatile void *addr)
{
	static int fd = -1;
	struct cmem_resolve res;

	if (fd < 0)
		fd = cmem_open();
	return cmem_resolve(fd, addr, &res) ? 0 : res.phys_addr;
}

static bool mapped_by_us(const volatile void *addr)
{
	return phys_of(addr);
}

FIXTURE(lib)
{
	int fd;
	struct snapshot before;
	struct source pool;
	struct source heap;
	bool coherent;
};

FIXTURE_SETUP(lib)
{
	struct cmem_info info;

	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	self->coherent = info.out_flags & CMEM_INFO_COHERENT;
	if (!find_pool_source(ANY_KIND, LENGTH, 2, &self->pool) ||
	    !find_heap_source(ANY_KIND, 8 << 20, &self->heap))
		SKIP(return, "no pool and heap with enough room on this board");
	ASSERT_EQ(0, CMEM_init());
}

FIXTURE_TEARDOWN(lib)
{
	/* Every test has freed its buffers, and the library hides nothing. */
	expect_same(&self->before);
	EXPECT_EQ(0, CMEM_exit());
	EXPECT_ERRNO(EBADF, CMEM_exit() == -1);
}

static CMEM_AllocParams heap_params(int flags, size_t alignment)
{
	return (CMEM_AllocParams) { .type = CMEM_HEAP, .flags = flags, .alignment = alignment };
}

static CMEM_AllocParams pool_params(int flags)
{
	return (CMEM_AllocParams) { .type = CMEM_POOL, .flags = flags };
}

/*
 * The open file
 */

TEST(without_CMEM_init_every_call_is_EBADF)
{
	CMEM_BlockAttrs attrs;
	unsigned long long size;
	char page[64];
	CMEM_off64_t phys;
	off_t base;
	int n;

	EXPECT_ERRNO(EBADF, CMEM_exit() == -1);
	EXPECT_ERRNO(EBADF, CMEM_getPool(1) == -1);
	EXPECT_ERRNO(EBADF, CMEM_getPool2(0, 1) == -1);
	EXPECT_ERRNO(EBADF, !CMEM_allocPool(0, NULL));
	EXPECT_ERRNO(EBADF, !CMEM_allocPool2(0, 0, NULL));
	EXPECT_ERRNO(EBADF, !CMEM_alloc(1, NULL));
	EXPECT_ERRNO(EBADF, !CMEM_alloc2(0, 1, NULL));
	EXPECT_ERRNO(EBADF, CMEM_allocPoolPhys(0, NULL) == 0);
	EXPECT_ERRNO(EBADF, CMEM_allocPoolPhys2(0, 0, NULL) == 0);
	EXPECT_ERRNO(EBADF, CMEM_allocPoolPhys64(0, 0, NULL) == 0);
	EXPECT_ERRNO(EBADF, CMEM_allocPhys(1, NULL) == 0);
	EXPECT_ERRNO(EBADF, CMEM_allocPhys2(0, 1, NULL) == 0);
	EXPECT_ERRNO(EBADF, CMEM_allocPhys64(0, 1, NULL) == 0);
	EXPECT_ERRNO(EBADF, !CMEM_registerAlloc(0x1000));
	EXPECT_ERRNO(EBADF, !CMEM_registerAlloc64(0x1000));
	EXPECT_ERRNO(EBADF, CMEM_free(page, NULL) == -1);
	EXPECT_ERRNO(EBADF, CMEM_unregister(page, NULL) == -1);
	EXPECT_ERRNO(EBADF, CMEM_freePhys(0x1000, NULL) == -1);
	EXPECT_ERRNO(EBADF, CMEM_freePhys64(0x1000, NULL) == -1);
	EXPECT_ERRNO(EBADF, CMEM_getPhys(page) == 0);
	EXPECT_ERRNO(EBADF, CMEM_getPhys64(page) == 0);
	EXPECT_ERRNO(EBADF, CMEM_cacheWb(page, 1) == -1);
	EXPECT_ERRNO(EBADF, CMEM_cacheInv(page, 1) == -1);
	EXPECT_ERRNO(EBADF, CMEM_cacheWbInv(page, 1) == -1);
	EXPECT_ERRNO(EBADF, CMEM_cacheWbInvAll() == -1);
	EXPECT_ERRNO(EBADF, !CMEM_map(0x1000, 1));
	EXPECT_ERRNO(EBADF, !CMEM_map64(0x1000, 1));
	EXPECT_ERRNO(EBADF, CMEM_unmap(page, 1) == -1);
	EXPECT_ERRNO(EBADF, CMEM_getVersion() == -1);
	EXPECT_ERRNO(EBADF, CMEM_getBlock(&base, &size) == -1);
	EXPECT_ERRNO(EBADF, CMEM_getBlockAttrs(0, &attrs) == -1);
	EXPECT_ERRNO(EBADF, CMEM_getNumBlocks(&n) == -1);
	EXPECT_ERRNO(EBADF, CMEM_export_dmabuf(page) == -1);
	EXPECT_ERRNO(EBADF, !CMEM_registerDmabuf(0));
	EXPECT_ERRNO(EBADF, CMEM_import_dmabuf(0, &phys, NULL) == -1);
}

TEST_F(lib, CMEM_init_counts)
{
	EXPECT_EQ(CMEM_VERSION, CMEM_getVersion());
	ASSERT_EQ(0, CMEM_init());
	ASSERT_EQ(0, CMEM_init());
	ASSERT_EQ(0, CMEM_exit());
	ASSERT_EQ(0, CMEM_exit());
	EXPECT_EQ(CMEM_VERSION, CMEM_getVersion());
	ASSERT_EQ(0, CMEM_exit());
	EXPECT_ERRNO(EBADF, CMEM_getVersion() == -1);
	EXPECT_ERRNO(EBADF, CMEM_exit() == -1);
	ASSERT_EQ(0, CMEM_init());
	EXPECT_EQ(CMEM_VERSION, CMEM_getVersion());
}

TEST_F(lib, CMEM_init_reports_that_the_device_may_not_be_opened)
{
	pid_t pid;

	ASSERT_EQ(0, CMEM_exit());
	IN_CHILD(pid) {
		ASSERT_EQ(0, setgid(OTHER_UID));
		ASSERT_EQ(0, become_user(OTHER_UID));
		ASSERT_EQ(-1, CMEM_init());
		ASSERT_EQ(EACCES, errno);
		ASSERT_EQ(-1, CMEM_exit());
	}
	join_child(pid);
	ASSERT_EQ(0, CMEM_init());
}

/* Allocating */

FIXTURE(lib_alloc)
{
	int fd;
	struct snapshot before;
	struct source src;
	CMEM_AllocParams params;
};

SOURCE_VARIANTS(lib_alloc);

FIXTURE_SETUP(lib_alloc)
{
	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!find_source(variant->kind, variant->heap, LENGTH, &self->src))
		SKIP(return, "no such memory on this board");
	self->params.type = variant->heap ? CMEM_HEAP : CMEM_POOL;
	self->params.flags = variant->flags & CMEM_ALLOC_CACHED ? CMEM_CACHED : CMEM_NONCACHED;
	self->params.alignment = 1;
	ASSERT_EQ(0, CMEM_init());
}

FIXTURE_TEARDOWN(lib_alloc)
{
	EXPECT_EQ(0, CMEM_exit());
	expect_same(&self->before);
}

TEST_F(lib_alloc, a_buffer_is_what_was_asked_for)
{
	size_t length = LENGTH - 100;
	char *buf = CMEM_alloc2(self->src.block, length, &self->params);
	struct cmem_resolve res;

	ASSERT_POINTER(buf);
	ASSERT_EQ(0, cmem_resolve(self->fd, buf, &res));
	EXPECT_EQ(self->src.block, res.block);
	EXPECT_EQ(variant->heap, res.pool == CMEM_POOL_HEAP);
	EXPECT_EQ(variant->flags, res.buffer_flags);
	EXPECT_EQ(res.buffer_addr, res.phys_addr);
	/* The whole buffer is mapped: for a pool, that is more than requested. */
	EXPECT_EQ(variant->heap ? LENGTH : self->src.length, res.contiguous);
	EXPECT_EQ(res.buffer_length, res.contiguous);

	for (size_t i = 0; i < LENGTH; i += 61) {
		EXPECT_EQ(res.phys_addr + i, CMEM_getPhys64(buf + i));
		if (fits(res.phys_addr)) {
			EXPECT_EQ(res.phys_addr + i, from_off_t(CMEM_getPhys(buf + i)));
		} else {
			EXPECT_ERRNO(EOVERFLOW, CMEM_getPhys(buf + i) == 0);
		}
	}
	EXPECT_EQ(-1, find_nonzero(buf, LENGTH));
	fill(buf, LENGTH, 1);
	EXPECT_EQ(-1, find_stranger(buf, LENGTH, 1));
	EXPECT_EQ(0, CMEM_free(buf, &self->params));
	EXPECT_FALSE(mapped_by_us(buf));
	EXPECT_ERRNO(EFAULT, CMEM_getPhys64(buf) == 0);
	expect_same(&self->before);
}

TEST_F(lib_alloc, without_mapping)
{
	off_t phys = CMEM_allocPhys2(self->src.block, LENGTH, &self->params);
	CMEM_off64_t phys64;
	char *map;

	phys64 = CMEM_allocPhys64(self->src.block, LENGTH, &self->params);
	ASSERT_NE(0, phys64);
	if (!fits(phys64)) {
		EXPECT_EQ(0, phys);
	} else {
		ASSERT_NE(0, phys);
		map = CMEM_map(phys, LENGTH);
		ASSERT_POINTER(map);
		EXPECT_EQ(from_off_t(phys), phys_of(map));
		EXPECT_EQ(phys, CMEM_getPhys(map));
		EXPECT_EQ(0, CMEM_unmap(map, LENGTH));
		EXPECT_EQ(0, CMEM_freePhys(phys, &self->params));
	}

	map = CMEM_map64(phys64, LENGTH);
	ASSERT_POINTER(map);
	EXPECT_EQ(phys64, (CMEM_off64_t)phys_of(map));
	EXPECT_EQ(phys64, CMEM_getPhys64(map));
	fill(map, LENGTH, 1);
	EXPECT_EQ(0, CMEM_cacheWb(map, LENGTH));
	EXPECT_EQ(0, CMEM_unmap(map, LENGTH));
	EXPECT_EQ(0, CMEM_freePhys64(phys64, &self->params));
	EXPECT_ERRNO(ENOENT, CMEM_freePhys64(phys64, &self->params) == -1);
	expect_same(&self->before);
}

TEST_F(lib_alloc, parts_are_mapped_many_times)
{
	const size_t page = page_size();
	CMEM_off64_t phys = CMEM_allocPhys64(self->src.block, LENGTH, &self->params);
	char *part[4], *whole;

	ASSERT_NE(0, phys);
	whole = CMEM_map64(phys, LENGTH);
	ASSERT_POINTER(whole);
	for (int i = 0; i < 4; i++) {
		part[i] = CMEM_map64(phys + i * page, (4 - i) * page);
		ASSERT_POINTER(part[i]);
		EXPECT_EQ(phys + i * page + 5, CMEM_getPhys64(part[i] + 5));
		part[i][7] = 'a' + i;
	}
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ('a' + i, whole[i * page + 7]);
		EXPECT_EQ('d', part[i][(3 - i) * page + 7]);
	}
	EXPECT_REFUSED(EINVAL, CMEM_map64(phys, LENGTH + self->src.length) ? 0 : -errno);
	EXPECT_REFUSED(EINVAL, CMEM_map64(phys + 1, page) ? 0 : -errno);
	EXPECT_REFUSED(EINVAL, CMEM_map64(phys, 0) ? 0 : -errno);
	EXPECT_REFUSED(EINVAL, CMEM_map64(-phys, page) ? 0 : -errno);
	EXPECT_REFUSED(ENOMEM, CMEM_map64(phys, SIZE_MAX) ? 0 : -errno);

	for (int i = 1; i < 4; i++)
		EXPECT_EQ(0, CMEM_unmap(part[i], (4 - i) * page));
	EXPECT_EQ(0, CMEM_unmap(whole, LENGTH));
	/* By the last of its mappings */
	EXPECT_EQ(0, CMEM_free(part[0], &self->params));
	expect_same(&self->before);
}

TEST_F(lib_alloc, any_of_its_mappings_frees_a_buffer)
{
	char *first = CMEM_alloc2(self->src.block, LENGTH, &self->params), *second;
	CMEM_off64_t phys;

	ASSERT_POINTER(first);
	phys = CMEM_getPhys64(first);
	second = CMEM_map64(phys + page_size(), page_size());
	ASSERT_POINTER(second);
	ASSERT_TRUE(first != second);
	fill(first, LENGTH, 1);

	EXPECT_EQ(0, CMEM_free(second, &self->params));
	/* This dropped the registration. The memory stays while it is mapped. */
	EXPECT_FALSE(mapped_by_us(second));
	EXPECT_EQ(-1, find_stranger(first, LENGTH, 1));
	EXPECT_EQ(phys, CMEM_getPhys64(first));
	EXPECT_REFUSED(ENOENT, CMEM_free(first, &self->params) ? -errno : 0);
	EXPECT_EQ(-1, find_stranger(first, LENGTH, 1));
	EXPECT_EQ(0, CMEM_unmap(first, variant->heap ? LENGTH : self->src.length));
	expect_same(&self->before);
}

TEST_F(lib_alloc, exhaustion_is_ENOMEM_and_undone)
{
	const int max = 4096;
	char **bufs = calloc(max, sizeof(*bufs));
	size_t length = variant->heap ? source_free(self->fd, &self->src) / 4 & -page_size() : 0;
	int count = 0;

	ASSERT_POINTER(bufs);
	if (!variant->heap && source_free(self->fd, &self->src) >= max)
		SKIP(return, "the pool is too large");
	errno = 0;
	while (count < max) {
		bufs[count] = variant->heap ?
			CMEM_alloc2(self->src.block, length, &self->params) :
			CMEM_allocPool2(self->src.block, self->src.pool, &self->params);
		if (!bufs[count])
			break;
		count++;
	}
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_LT(0, count);
	while (count--)
		EXPECT_EQ(0, CMEM_free(bufs[count], &self->params));
	free(bufs);
	expect_same(&self->before);
}

TEST_F(lib, NULL_params_are_the_defaults)
{
	struct cmem_resolve res;
	char *buf;

	EXPECT_EQ(CMEM_POOL, CMEM_DEFAULTPARAMS.type);
	EXPECT_EQ(CMEM_NONCACHED, CMEM_DEFAULTPARAMS.flags);
	EXPECT_EQ(1, CMEM_DEFAULTPARAMS.alignment);

	buf = CMEM_alloc2(self->pool.block, LENGTH, NULL);
	ASSERT_POINTER(buf);
	ASSERT_EQ(0, cmem_resolve(self->fd, buf, &res));
	EXPECT_LE(0, res.pool);
	EXPECT_EQ(0, res.buffer_flags);
	EXPECT_EQ(0, CMEM_free(buf, NULL));

	/* The program may change them. */
	CMEM_DEFAULTPARAMS = heap_params(CMEM_CACHED, 0);
	buf = CMEM_alloc2(self->heap.block, LENGTH, NULL);
	ASSERT_POINTER(buf);
	ASSERT_EQ(0, cmem_resolve(self->fd, buf, &res));
	EXPECT_EQ(CMEM_POOL_HEAP, res.pool);
	EXPECT_EQ(CMEM_ALLOC_CACHED, res.buffer_flags);
	EXPECT_EQ(0, CMEM_free(buf, NULL));
}

/* Ours accepts what TI's library accepts: an invalid type means a pool. */
TEST_F(lib, what_says_nothing_of_a_buffer_is_ignored)
{
	const int junk = CMEM_PHYS | CMEM_WB | CMEM_INV | CMEM_HEAP | 0x55;
	CMEM_AllocParams heap = heap_params(junk, 0), pool = pool_params(junk | CMEM_CACHED);
	const int types[] = { 3, CMEM_PHYS, CMEM_CACHED, -1, CMEM_HEAP | 1 };
	struct cmem_resolve res;
	char *buf;

	buf = CMEM_alloc2(self->heap.block, LENGTH, &heap);
	ASSERT_POINTER(buf);
	ASSERT_EQ(0, cmem_resolve(self->fd, buf, &res));
	EXPECT_EQ(CMEM_POOL_HEAP, res.pool);
	EXPECT_EQ(0, res.buffer_flags);
	EXPECT_EQ(0, CMEM_free(buf, &heap));
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		pool.type = types[i];
		buf = CMEM_alloc2(self->pool.block, LENGTH, &pool);
		ASSERT_POINTER(buf);
		ASSERT_EQ(0, cmem_resolve(self->fd, buf, &res));
		EXPECT_LE(0, res.pool);
		EXPECT_EQ(CMEM_ALLOC_CACHED, res.buffer_flags);
		EXPECT_EQ(0, CMEM_free(buf, &pool));
		buf = CMEM_allocPool2(self->pool.block, self->pool.pool, &pool);
		ASSERT_POINTER(buf);
		EXPECT_EQ(0, CMEM_free(buf, &pool));
	}
}

/* Programs use the whole length that they know a pool's buffer has. */
TEST_F(lib, all_of_a_pool_buffer_is_mapped)
{
	CMEM_AllocParams params = pool_params(CMEM_CACHED);
	struct cmem_resolve res;
	char *buf;

	buf = CMEM_alloc2(self->pool.block, 1, &params);
	ASSERT_POINTER(buf);
	ASSERT_EQ(0, cmem_resolve(self->fd, buf, &res));
	EXPECT_EQ(res.buffer_length, res.contiguous);
	fill(buf, res.buffer_length, 4);
	EXPECT_EQ(-1, find_stranger(buf, res.buffer_length, 4));
	EXPECT_EQ(0, CMEM_cacheWbInv(buf, res.buffer_length));
	EXPECT_EQ(0, CMEM_free(buf, &params));
	EXPECT_FALSE(mapped_by_us(buf + res.buffer_length - 1));
}

#define PTR_ERRNO(call) ((call) ? 0 : -errno)

TEST_F(lib, bad_params_and_sizes_are_refused)
{
	CMEM_AllocParams heap = heap_params(0, 0), crooked = heap_params(0, 3 * page_size());
	const int block = self->pool.block;

	EXPECT_REFUSED(EINVAL, PTR_ERRNO(CMEM_alloc2(block, 0, NULL)));
	EXPECT_REFUSED(EINVAL, PTR_ERRNO(CMEM_alloc2(block, 0, &heap)));
	EXPECT_REFUSED(EINVAL, PTR_ERRNO(CMEM_alloc2(block, SIZE_MAX, &heap)));
	EXPECT_REFUSED(EINVAL, PTR_ERRNO(CMEM_alloc2(self->heap.block, LENGTH, &crooked)));
	EXPECT_REFUSED(EINVAL, PTR_ERRNO(CMEM_allocPhys2(block, 0, NULL)));
	EXPECT_REFUSED(ENOENT, PTR_ERRNO(CMEM_alloc2(4711, LENGTH, NULL)));
	EXPECT_REFUSED(ENOENT, PTR_ERRNO(CMEM_alloc2(-2, LENGTH, NULL)));
	EXPECT_REFUSED(ENOENT, PTR_ERRNO(CMEM_allocPool2(4711, 0, NULL)));
	EXPECT_REFUSED(ENOENT, PTR_ERRNO(CMEM_allocPool2(block, MAX_POOLS, NULL)));
	/* Without the special meaning that these have in the kernel */
	EXPECT_REFUSED(ENOENT, PTR_ERRNO(CMEM_allocPool2(block, CMEM_POOL_BEST, NULL)));
	EXPECT_REFUSED(ENOENT, PTR_ERRNO(CMEM_allocPool2(block, CMEM_POOL_HEAP, NULL)));
	EXPECT_REFUSED(ENOENT, PTR_ERRNO(CMEM_allocPool(-1, NULL)));
	EXPECT_REFUSED(ENOENT, PTR_ERRNO(CMEM_allocPoolPhys(-1, NULL)));
	EXPECT_REFUSED(ENOENT, PTR_ERRNO(CMEM_allocPoolPhys2(block, -2, NULL)));
	EXPECT_REFUSED(ENOENT, PTR_ERRNO(CMEM_allocPoolPhys64(block, -2, NULL)));
}

/* A program that knows no other block. */
TEST_F(lib, calls_without_a_block_mean_block_0)
{
	struct cmem_block_info block;
	struct cmem_pool_info pool;
	unsigned long long size = 1;
	CMEM_BlockAttrs attrs;
	off_t phys, base = 1;
	char *buf;

	if (cmem_get_block(self->fd, 0, &block) || !block.num_pools)
		SKIP(return, "no block 0 with pools");
	ASSERT_EQ(0, cmem_get_pool(self->fd, 0, block.num_pools - 1, &pool));

	EXPECT_EQ(CMEM_getPool2(0, 1), CMEM_getPool(1));
	buf = CMEM_alloc(page_size(), NULL);
	ASSERT_POINTER(buf);
	EXPECT_LT(phys_of(buf) - block.base, block.length);
	EXPECT_EQ(0, CMEM_free(buf, NULL));
	buf = CMEM_allocPool(pool.pool, NULL);
	ASSERT_POINTER(buf);
	EXPECT_LT(phys_of(buf) - pool.base, pool.length * pool.count);
	EXPECT_NE(0, phys_of(buf + pool.length - 1));
	EXPECT_EQ(0, CMEM_free(buf, NULL));

	if (fits(block.base + block.length)) {
		phys = CMEM_allocPhys(page_size(), NULL);
		EXPECT_LT(from_off_t(phys) - block.base, block.length);
		EXPECT_EQ(0, CMEM_freePhys(phys, NULL));
		phys = CMEM_allocPoolPhys(pool.pool, NULL);
		EXPECT_LT(from_off_t(phys) - pool.base, pool.length * pool.count);
		EXPECT_EQ(0, CMEM_freePhys(phys, NULL));
		ASSERT_EQ(0, CMEM_getBlock(&base, &size));
		EXPECT_EQ(block.base, from_off_t(base));
		EXPECT_EQ(block.length, size);
		ASSERT_EQ(0, CMEM_getBlockAttrs(0, &attrs));
		EXPECT_EQ(block.base, from_off_t(attrs.phys_base));
		EXPECT_EQ(block.length, attrs.size);
	} else {
		EXPECT_REFUSED(EOVERFLOW, PTR_ERRNO(CMEM_allocPhys(page_size(), NULL)));
		EXPECT_REFUSED(EOVERFLOW, PTR_ERRNO(CMEM_allocPoolPhys(pool.pool, NULL)));
		EXPECT_REFUSED(EOVERFLOW, PTR_ERRNO(CMEM_allocPhys2(0, page_size(), NULL)));
		EXPECT_REFUSED(EOVERFLOW, PTR_ERRNO(CMEM_allocPoolPhys2(0, pool.pool, NULL)));
		EXPECT_ERRNO(EOVERFLOW, CMEM_getBlock(&base, &size) == -1);
		EXPECT_EQ(1, base);
		EXPECT_EQ(1, size);
		EXPECT_ERRNO(EOVERFLOW, CMEM_getBlockAttrs(0, &attrs) == -1);
	}
}

TEST_F(lib, all_of_a_pools_buffer_is_mapped)
{
	char *buf = CMEM_allocPool2(self->pool.block, self->pool.pool, NULL);
	CMEM_off64_t phys64;
	off_t phys;

	ASSERT_POINTER(buf);
	EXPECT_EQ(phys_of(buf) + self->pool.length - 1, phys_of(buf + self->pool.length - 1));
	EXPECT_EQ(0, CMEM_free(buf, NULL));

	phys64 = CMEM_allocPoolPhys64(self->pool.block, self->pool.pool, NULL);
	ASSERT_NE(0, phys64);
	buf = CMEM_map64(phys64, self->pool.length);
	ASSERT_POINTER(buf);
	EXPECT_EQ(0, CMEM_unmap(buf, self->pool.length));
	EXPECT_EQ(0, CMEM_freePhys64(phys64, NULL));

	phys = CMEM_allocPoolPhys2(self->pool.block, self->pool.pool, NULL);
	EXPECT_EQ(fits(phys64), phys != 0);
	EXPECT_EQ(phys ? 0 : -1, CMEM_freePhys(phys, NULL));
}

/* Fills the smallest pool that serves @length, and puts the buffers into @bufs. */
static int fill_pool(FIXTURE_DATA(lib) *self, char **bufs, int max)
{
	int count = 0;

	while (count < max) {
		bufs[count] = CMEM_allocPool2(self->pool.block, self->pool.pool, NULL);
		if (!bufs[count])
			break;
		count++;
	}
	return count;
}

TEST_F(lib, the_best_pool_serves_and_when_it_is_empty_the_next)
{
	const int block = self->pool.block;
	char *bufs[COUNT_LIMIT], *buf;
	struct cmem_resolve res;
	int count, best, next;

	best = CMEM_getPool2(block, self->pool.length);
	EXPECT_EQ(self->pool.pool, best);
	count = fill_pool(self, bufs, COUNT_LIMIT);
	ASSERT_LT(0, count);
	ASSERT_GT(COUNT_LIMIT, count) TH_LOG("the pool is too large for this test");

	errno = 0;
	next = CMEM_getPool2(block, self->pool.length);
	buf = CMEM_alloc2(block, self->pool.length, NULL);
	if (next < 0) {
		EXPECT_NO_POINTER(buf);
		EXPECT_EQ(ENOMEM, errno);
	} else {
		ASSERT_POINTER(buf);
		EXPECT_NE(best, next);
		ASSERT_EQ(0, cmem_resolve(self->fd, buf, &res));
		EXPECT_EQ(next, res.pool);
		EXPECT_EQ(0, CMEM_free(buf, NULL));
	}
	while (count--)
		EXPECT_EQ(0, CMEM_free(bufs[count], NULL));
	EXPECT_EQ(best, CMEM_getPool2(block, self->pool.length));
	EXPECT_ERRNO(ENOENT, CMEM_getPool2(block, 1ULL << 50) == -1);
	EXPECT_ERRNO(ENOENT, CMEM_getPool2(4711, 1) == -1);
	EXPECT_ERRNO(EINVAL, CMEM_getPool2(block, 0) == -1);
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

TEST_F(lib, without_a_pool_the_heap_serves_where_the_system_says_so)
{
	const size_t large = 3 << 20;
	CMEM_AllocParams params = { .type = CMEM_POOL, .flags = CMEM_CACHED, .alignment = 1 << 20 };
	struct cmem_block_info block;
	struct cmem_resolve res;
	__u64 longest = 0;
	char *buf;

	/* A length that the heap has and no pool */
	ASSERT_EQ(0, cmem_get_block(self->fd, self->heap.block, &block));
	for (__u32 i = 0; i < block.num_pools; i++) {
		struct cmem_pool_info pool;

		ASSERT_EQ(0, cmem_get_pool(self->fd, self->heap.block, i, &pool));
		if (pool.length > longest)
			longest = pool.length;
	}
	longest = longest < large ? large : longest + page_size();
	if (block.heap_largest < longest + params.alignment || longest > TOUCH_LIMIT)
		SKIP(return, "no heap with longer buffers than its block's pools");

	EXPECT_REFUSED(ENOENT, PTR_ERRNO(CMEM_alloc2(self->heap.block, longest, &params)));
	ASSERT_EQ(0, CMEM_exit());
	ASSERT_EQ(0, write_file(FALLBACK, "1"));
	ASSERT_EQ(0, CMEM_init());
	buf = CMEM_alloc2(self->heap.block, longest, &params);
	/* Restore this for later tests, whatever happens here. */
	ASSERT_EQ(0, write_file(FALLBACK, "0"));
	ASSERT_POINTER(buf);
	ASSERT_EQ(0, cmem_resolve(self->fd, buf, &res));
	EXPECT_EQ(CMEM_POOL_HEAP, res.pool);
	EXPECT_EQ(CMEM_ALLOC_CACHED, res.buffer_flags);
	EXPECT_EQ(0, res.buffer_addr % params.alignment);
	EXPECT_EQ(0, CMEM_free(buf, &params));

	/* A named pool is used as requested. */
	EXPECT_REFUSED(ENOENT, PTR_ERRNO(CMEM_allocPool2(self->heap.block, MAX_POOLS, &params)));
	/* If a pool can serve the request, it does. */
	buf = CMEM_alloc2(self->pool.block, LENGTH, NULL);
	ASSERT_POINTER(buf);
	ASSERT_EQ(0, cmem_resolve(self->fd, buf, &res));
	EXPECT_LE(0, res.pool);
	EXPECT_EQ(0, CMEM_free(buf, NULL));
}

TEST_F(lib, heap_buffers_are_aligned_as_asked_and_pools_do_not_look)
{
	CMEM_AllocParams params;
	char *buf;

	for (size_t align = 1; align <= 2 << 20; align *= 2) {
		params = heap_params(0, align);
		buf = CMEM_alloc2(self->heap.block, LENGTH, &params);
		ASSERT_POINTER(buf) TH_LOG("alignment %zu", align);
		EXPECT_EQ(0, phys_of(buf) % align);
		EXPECT_EQ(0, CMEM_free(buf, &params));
	}
	/* Programs leave it undefined for pools. */
	params = pool_params(CMEM_CACHED);
	params.alignment = 0xdeadbeef;
	buf = CMEM_alloc2(self->pool.block, LENGTH, &params);
	ASSERT_POINTER(buf);
	EXPECT_EQ(0, CMEM_free(buf, &params));
}

TEST_F(lib, the_CMA_block_is_the_kernels_to_have)
{
	struct cmem_block_info block;
	CMEM_BlockAttrs attrs;

	if (!cmem_get_block(self->fd, CMEM_BLOCK_CMA, &block))
		SKIP(return, "this kernel has it");
	EXPECT_EQ(CMEM_BLOCK_CMA, CMEM_CMABLOCKID);
	EXPECT_REFUSED(ENOENT, PTR_ERRNO(CMEM_alloc2(CMEM_CMABLOCKID, LENGTH, NULL)));
	EXPECT_REFUSED(ENOENT, PTR_ERRNO(CMEM_allocPhys2(CMEM_CMABLOCKID, LENGTH, NULL)));
	EXPECT_ERRNO(ENOENT, CMEM_getPool2(CMEM_CMABLOCKID, 1) == -1);
	EXPECT_ERRNO(ENOENT, CMEM_getBlockAttrs(CMEM_CMABLOCKID, &attrs) == -1);
}

TEST_F(lib, a_block_that_is_not_there_has_no_memory)
{
	CMEM_BlockAttrs attrs = { 1, 1 };
	struct spare_block spare;
	struct cmem_info info;
	int count = -1;

	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	if (getuid() || !find_spare_block(self->fd, info.block_limit - 1, &spare))
		SKIP(return, "no block but the last one that can be removed");
	ASSERT_EQ(0, cmem_block_remove(self->fd, spare.info.block));
	EXPECT_EQ(0, CMEM_getNumBlocks(&count));
	EXPECT_EQ(info.block_limit, count);
	EXPECT_EQ(0, CMEM_getBlockAttrs(spare.info.block, &attrs));
	EXPECT_EQ(0, attrs.phys_base);
	EXPECT_EQ(0, attrs.size);
	EXPECT_ERRNO(ENOENT, CMEM_getBlockAttrs(-2, &attrs) == -1);
	ASSERT_EQ(0, put_back_block(self->fd, &spare));
}

TEST_F(lib, blocks_are_where_the_kernel_says)
{
	struct cmem_info info;
	CMEM_BlockAttrs attrs;
	int count = -1;

	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	ASSERT_EQ(0, CMEM_getNumBlocks(&count));
	EXPECT_EQ(info.block_limit, count);
	for (__u32 i = 0; i < info.block_limit; i++) {
		struct cmem_block_info block;

		if (cmem_get_block(self->fd, i, &block)) {
			EXPECT_EQ(0, CMEM_getBlockAttrs(i, &attrs));
			EXPECT_EQ(0, attrs.phys_base);
			EXPECT_EQ(0, attrs.size);
		} else if (fits(block.base)) {
			EXPECT_EQ(0, CMEM_getBlockAttrs(i, &attrs));
			EXPECT_EQ(block.base, from_off_t(attrs.phys_base));
			EXPECT_EQ(block.length, attrs.size);
		} else {
			EXPECT_ERRNO(EOVERFLOW, CMEM_getBlockAttrs(i, &attrs) == -1);
		}
	}
	EXPECT_ERRNO(ENOENT, CMEM_getBlockAttrs(info.block_limit, &attrs) == -1);
	EXPECT_ERRNO(EFAULT, CMEM_getBlockAttrs(0, NULL) == -1);
	EXPECT_ERRNO(EFAULT, CMEM_getNumBlocks(NULL) == -1);
	EXPECT_ERRNO(EFAULT, CMEM_getBlock(NULL, NULL) == -1);
}

/*
 * Freeing and unmapping
 */

TEST_F(lib, what_is_no_buffer_is_not_freed)
{
	char *buf = CMEM_alloc2(self->pool.block, LENGTH, NULL), local[64];
	CMEM_off64_t phys;

	ASSERT_POINTER(buf);
	phys = CMEM_getPhys64(buf);
	EXPECT_REFUSED(EFAULT, CMEM_free(NULL, NULL) ? -errno : 0);
	EXPECT_REFUSED(EFAULT, CMEM_free(local, NULL) ? -errno : 0);
	EXPECT_REFUSED(EFAULT, CMEM_unregister(local, NULL) ? -errno : 0);
	EXPECT_REFUSED(EINVAL, CMEM_free(buf + 1, NULL) ? -errno : 0);
	EXPECT_REFUSED(EINVAL, CMEM_free(buf + page_size(), NULL) ? -errno : 0);
	EXPECT_REFUSED(EINVAL, CMEM_freePhys64(phys + 1, NULL) ? -errno : 0);
	EXPECT_REFUSED(ENOENT, CMEM_freePhys64(phys + page_size(), NULL) ? -errno : 0);
	EXPECT_REFUSED(ENOENT, CMEM_freePhys64(-page_size(), NULL) ? -errno : 0);
	EXPECT_TRUE(mapped_by_us(buf));
	buf[0] = 1;
	EXPECT_EQ(0, CMEM_free(buf, NULL));
	EXPECT_REFUSED(EFAULT, CMEM_free(buf, NULL) ? -errno : 0);
}

/* A program may know the buffer by this address only. */
TEST_F(lib, a_buffer_can_be_freed_by_its_physical_address_though_it_is_mapped)
{
	char *buf = CMEM_alloc2(self->pool.block, LENGTH, NULL);

	ASSERT_POINTER(buf);
	fill(buf, LENGTH, 1);
	EXPECT_EQ(0, CMEM_freePhys64(CMEM_getPhys64(buf), NULL));
	EXPECT_EQ(-1, find_stranger(buf, LENGTH, 1));
	EXPECT_EQ(0, CMEM_unmap(buf, self->pool.length));
}

TEST_F(lib, parts_of_a_mapping_are_unmapped)
{
	CMEM_AllocParams heap = heap_params(0, 0);
	const size_t page = page_size();
	char *buf = CMEM_alloc2(self->heap.block, LENGTH, &heap), local[64];
	CMEM_off64_t phys;

	ASSERT_POINTER(buf);
	phys = CMEM_getPhys64(buf);
	EXPECT_ERRNO(EINVAL, CMEM_unmap(buf, 0) == -1);
	EXPECT_ERRNO(EINVAL, CMEM_unmap(buf + 1, page) == -1);
	EXPECT_ERRNO(EINVAL, CMEM_unmap(buf, LENGTH + 1) == -1);
	EXPECT_ERRNO(EINVAL, CMEM_unmap(buf, SIZE_MAX) == -1);
	EXPECT_ERRNO(EINVAL, CMEM_unmap(NULL, page) == -1);
	EXPECT_ERRNO(EINVAL, CMEM_unmap((void *)((uintptr_t)local & -page), page) == -1);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(phys + i * page, phys_of(buf + i * page));

	EXPECT_EQ(0, CMEM_unmap(buf + page, 1));
	EXPECT_EQ(phys, phys_of(buf));
	EXPECT_EQ(0, phys_of(buf + page));
	EXPECT_EQ(phys + 2 * page, phys_of(buf + 2 * page));
	EXPECT_EQ(phys + 5, CMEM_getPhys64(buf + 5));
	EXPECT_ERRNO(EFAULT, CMEM_getPhys64(buf + page) == 0);
	EXPECT_EQ(phys + 2 * page, CMEM_getPhys64(buf + 2 * page));
	EXPECT_ERRNO(EINVAL, CMEM_unmap(buf, LENGTH) == -1);

	EXPECT_EQ(0, CMEM_unmap(buf, page));
	EXPECT_ERRNO(EFAULT, CMEM_free(buf, NULL) == -1);
	EXPECT_EQ(0, CMEM_free(buf + 2 * page, NULL));
}

TEST_F(lib, a_mapping_that_the_program_moved_is_still_understood)
{
	CMEM_AllocParams heap = heap_params(0, 0);
	char *buf = CMEM_alloc2(self->heap.block, LENGTH, &heap), *moved;
	CMEM_off64_t phys;

	ASSERT_POINTER(buf);
	phys = CMEM_getPhys64(buf);
	moved = mmap(NULL, LENGTH, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(moved);
	ASSERT_TRUE(mremap(buf, LENGTH, LENGTH, MREMAP_MAYMOVE | MREMAP_FIXED, moved) == moved);
	EXPECT_EQ(phys + 9, CMEM_getPhys64(moved + 9));
	EXPECT_EQ(0, CMEM_cacheWb(moved, LENGTH));
	EXPECT_ERRNO(EINVAL, CMEM_free(moved + page_size(), NULL) == -1);
	EXPECT_EQ(0, CMEM_free(moved, NULL));
	EXPECT_FALSE(mapped_by_us(moved));
}

TEST_F(lib, where_the_program_unmapped_by_itself_the_next_mapping_counts)
{
	CMEM_AllocParams heap = heap_params(0, 0);
	char *buf = CMEM_alloc2(self->heap.block, LENGTH, &heap), *reallocated;
	CMEM_off64_t phys;

	ASSERT_POINTER(buf);
	phys = CMEM_getPhys64(buf);
	ASSERT_EQ(0, munmap(buf, LENGTH));
	/* The kernel reuses the same address. */
	reallocated = CMEM_alloc2(self->heap.block, LENGTH, &heap);
	ASSERT_POINTER(reallocated);
	EXPECT_TRUE(reallocated == buf) TH_LOG("this proves nothing");
	EXPECT_NE(phys, CMEM_getPhys64(reallocated));
	EXPECT_EQ(phys_of(reallocated), CMEM_getPhys64(reallocated));
	EXPECT_EQ(0, CMEM_free(reallocated, NULL));
	EXPECT_EQ(0, CMEM_freePhys64(phys, NULL));
}

static int cut_off[64];		/* the original files, by number, or 0 */

/* Replaces the library's file for a while: every ioctl fails with ENOTTY. */
static int cut_off_kernel(int own_fd)
{
	int null = open("/dev/null", O_RDWR), count = 0;

	for (int fd = 3; fd < 64; fd++) {
		char link[64], target[64] = "";

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		if (fd == own_fd || readlink(link, target, sizeof(target) - 1) < 0)
			continue;
		/* The tests' own files are older and stay. */
		if (!strcmp(target, CMEM_DEVICE)) {
			cut_off[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 64);
			dup2(null, fd);
			count++;
		}
	}
	close(null);
	return count;
}

static void connect_kernel(void)
{
	for (int fd = 3; fd < 64; fd++) {
		if (!cut_off[fd])
			continue;
		dup3(cut_off[fd], fd, O_CLOEXEC);
		close(cut_off[fd]);
		cut_off[fd] = 0;
	}
}

/* The table entry is no longer valid: neither for addresses, caches, nor freeing. */
#define EXPECT_NOT_OURS(address) do {						\
	EXPECT_ERRNO(EFAULT, CMEM_getPhys64(address) == 0);			\
	EXPECT_ERRNO(EFAULT, CMEM_cacheWb(address, LENGTH) == -1);		\
	EXPECT_ERRNO(EFAULT, CMEM_cacheInv(address, LENGTH) == -1);		\
	EXPECT_ERRNO(EFAULT, CMEM_cacheWbInv(address, 1) == -1);		\
	EXPECT_ERRNO(EFAULT, CMEM_free(address, NULL) == -1);			\
	EXPECT_ERRNO(EFAULT, CMEM_unregister(address, NULL) == -1);		\
	EXPECT_ERRNO(EFAULT, CMEM_export_dmabuf(address) == -1);		\
	EXPECT_ERRNO(EINVAL, CMEM_unmap(address, LENGTH) == -1);		\
} while (0)

FIXTURE_VARIANT(gone)
{
	int how;
};

enum { MUNMAP, MUNMAP_PART, MAP_OVER, MAP_OVER_PART, MREMAP, MREMAP_SHORTER };

FIXTURE(gone)
{
	struct source pool;
	struct snapshot before;
};

FIXTURE_VARIANT_ADD(gone, munmap) { .how = MUNMAP };
FIXTURE_VARIANT_ADD(gone, munmap_of_a_part) { .how = MUNMAP_PART };
FIXTURE_VARIANT_ADD(gone, something_mapped_over_it) { .how = MAP_OVER };
FIXTURE_VARIANT_ADD(gone, something_mapped_over_a_part) { .how = MAP_OVER_PART };
FIXTURE_VARIANT_ADD(gone, moved) { .how = MREMAP };
FIXTURE_VARIANT_ADD(gone, made_shorter) { .how = MREMAP_SHORTER };

FIXTURE_SETUP(gone)
{
	int fd;

	OPEN_OR_SKIP(fd);
	close(fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!find_pool_source(ANY_KIND, 2 * LENGTH, 3, &self->pool))
		SKIP(return, "no pool with three buffers");
	ASSERT_EQ(0, CMEM_init());
}

FIXTURE_TEARDOWN(gone)
{
	EXPECT_EQ(0, CMEM_exit());
	expect_same(&self->before);
}

TEST_F(gone, the_library_believes_nothing_of_it)
{
	CMEM_AllocParams params = pool_params(CMEM_CACHED);
	const int block = self->pool.block, pool = self->pool.pool;
	char *buf = CMEM_allocPool2(block, pool, &params), *second, *own, *gone, *moved = NULL;
	const size_t length = self->pool.length;
	CMEM_off64_t phys, other_phys;

	second = CMEM_allocPool2(block, pool, &params);
	ASSERT_POINTER(buf);
	ASSERT_POINTER(second);
	phys = CMEM_getPhys64(buf);
	other_phys = CMEM_getPhys64(second);
	gone = buf;
	switch (variant->how) {
	case MUNMAP:
		ASSERT_EQ(0, munmap(buf, length));
		break;
	case MUNMAP_PART:
	case MREMAP_SHORTER:
		gone += LENGTH;
		if (variant->how == MUNMAP_PART) {
			ASSERT_EQ(0, munmap(gone, length - LENGTH));
		} else {
			ASSERT_TRUE(mremap(buf, length, LENGTH, 0) == buf);
		}
		break;
	case MAP_OVER_PART:
		gone += LENGTH;
		break;
	case MREMAP:
		moved = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ASSERT_TRUE(mremap(buf, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, moved) ==
			    moved);
		break;
	}
	own = mmap(gone, length - (gone - buf), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	ASSERT_TRUE(own == gone);
	memset(own, 7, length - (gone - buf));
	EXPECT_NOT_OURS(own);
	EXPECT_EQ(7, own[0]);
	EXPECT_EQ(7, own[length - (gone - buf) - 1]);

	/* The rest of it, at its current address, and all others are as before. */
	if (gone != buf) {
		EXPECT_EQ(phys + 5, CMEM_getPhys64(buf + 5));
	}
	if (moved) {
		EXPECT_EQ(phys + length - 1, CMEM_getPhys64(moved + length - 1));
	}
	EXPECT_EQ(other_phys + 3, CMEM_getPhys64(second + 3));
	EXPECT_EQ(0, CMEM_cacheWb(second, length));
	EXPECT_EQ(0, CMEM_free(second, &params));
	second = CMEM_allocPool2(block, pool, &params);
	ASSERT_POINTER(second);
	EXPECT_EQ(phys_of(second), CMEM_getPhys64(second));
	EXPECT_EQ(0, CMEM_free(second, &params));

	if (moved || gone != buf) {
		EXPECT_EQ(0, CMEM_free(moved ?: buf, &params));
	} else {
		EXPECT_EQ(0, CMEM_freePhys64(phys, &params));
	}
	EXPECT_EQ(0, munmap(own, length - (gone - buf)));
}

TEST_F(gone, a_child_that_has_not_got_it_knows_that)
{
	CMEM_AllocParams params = pool_params(CMEM_CACHED);
	const size_t length = self->pool.length;
	char *buf = CMEM_allocPool2(self->pool.block, self->pool.pool, &params);
	char *second = CMEM_allocPool2(self->pool.block, self->pool.pool, &params);
	CMEM_off64_t phys;
	pid_t pid;

	ASSERT_POINTER(buf);
	ASSERT_POINTER(second);
	phys = CMEM_getPhys64(second);
	ASSERT_EQ(0, madvise(buf, length, MADV_DONTFORK));
	IN_CHILD(pid) {
		char *own = mmap(buf, length, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

		ASSERT_TRUE(own == buf);
		*own = 7;
		EXPECT_NOT_OURS(own);
		ASSERT_EQ(7, *own);
		/* The child still has other mappings. It unmaps them for itself only. */
		ASSERT_EQ(phys + 9, CMEM_getPhys64(second + 9));
		ASSERT_EQ(0, CMEM_unmap(second, length));
		EXPECT_NOT_OURS(second);
		second = CMEM_allocPool2(self->pool.block, self->pool.pool, &params);
		ASSERT_POINTER(second);
		ASSERT_EQ(phys_of(second), CMEM_getPhys64(second));
		ASSERT_EQ(0, CMEM_free(second, &params));
		ASSERT_FALSE(has_failed(_metadata));
	}
	join_child(pid);
	/* All of the parent's are there, without asking the kernel. */
	ASSERT_LT(0, cut_off_kernel(-1));
	EXPECT_EQ(phys, CMEM_getPhys64(second));
	EXPECT_NE(0, CMEM_getPhys64(buf + length - 1));
	connect_kernel();
	EXPECT_EQ(0, CMEM_free(buf, &params));
	EXPECT_EQ(0, CMEM_free(second, &params));
}

/* The library must not count what the kernel does not count. */
TEST_F(lib, what_others_mapped_does_not_mislead_the_table)
{
	CMEM_AllocParams heap = heap_params(CMEM_CACHED, 0);
	char *past = CMEM_alloc2(self->heap.block, LENGTH, &heap), *buf, *own, *shown;
	CMEM_off64_t phys;
	int dmabuf;

	ASSERT_POINTER(past);
	ASSERT_EQ(0, CMEM_exit());
	ASSERT_EQ(0, CMEM_init());
	buf = CMEM_alloc2(self->heap.block, LENGTH, &heap);
	ASSERT_POINTER(buf);
	phys = CMEM_getPhys64(buf);
	/* A mapping of a closed file, and the program's own one of a DMA-BUF */
	EXPECT_EQ(0, CMEM_free(past, &heap));
	EXPECT_FALSE(mapped_by_us(past));
	dmabuf = CMEM_export_dmabuf(buf);
	ASSERT_LE(0, dmabuf);
	shown = dmabuf_map(dmabuf, 0, LENGTH);
	ASSERT_MAPPED(shown);
	EXPECT_ERRNO(EINVAL, CMEM_unmap(shown, LENGTH) == -1);
	EXPECT_ERRNO(EINVAL, CMEM_free(shown, &heap) == -1);
	EXPECT_TRUE(mapped_by_us(shown));
	ASSERT_EQ(0, munmap(shown, LENGTH));
	close(dmabuf);

	ASSERT_EQ(0, munmap(buf, LENGTH));
	own = mmap(buf, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		   -1, 0);
	ASSERT_TRUE(own == buf);
	*own = 7;
	EXPECT_NOT_OURS(own);
	EXPECT_EQ(7, *own);
	EXPECT_EQ(0, CMEM_freePhys64(phys, &heap));
	ASSERT_EQ(0, munmap(own, LENGTH));
}

/* A mapping that the program has cut into pieces is freed as a whole, by any holder. */
TEST_F(lib, a_mapping_in_pieces_is_freed_and_unmapped)
{
	CMEM_AllocParams heap = heap_params(CMEM_CACHED, 0);
	const size_t page = page_size();

	for (int forgotten = 0; forgotten < 2; forgotten++) {
		char *buf = CMEM_alloc2(self->heap.block, LENGTH, &heap);
		char *second = CMEM_alloc2(self->heap.block, LENGTH, &heap);

		ASSERT_POINTER(buf);
		ASSERT_POINTER(second);
		ASSERT_EQ(0, mprotect(buf + page, page, PROT_READ));
		if (forgotten) {
			ASSERT_EQ(0, munmap(second + page, page));
		}
		EXPECT_EQ(0, CMEM_free(buf, &heap));
		for (size_t i = 0; i < LENGTH; i += page)
			EXPECT_FALSE(mapped_by_us(buf + i));
		if (forgotten) {
			EXPECT_EQ(0, CMEM_unmap(second + 2 * page, 2 * page));
		}
		EXPECT_EQ(0, CMEM_free(second, &heap));
	}
}

/* A child that lives on without using CMEM holds nothing of its parent's. */
TEST_F(lib, a_child_that_closes_the_file_holds_nothing)
{
	int ready[2], go[2];
	pid_t parent;
	char byte;

	ASSERT_EQ(0, CMEM_exit());
	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(go));
	parent = fork_child(_metadata);
	if (!parent) {
		CMEM_init();
		if (!fork()) {
			for (int fd = 3; fd < 64; fd++)
				if (fd != go[0])
					close(fd);
			_exit(read(go[0], &byte, 1) != 1);
		}
		byte = CMEM_allocPhys64(self->pool.block, LENGTH, NULL) ? 'y' : 'n';
		if (write(ready[1], &byte, 1) < 0)
			_exit(1);
		_exit(0);
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	EXPECT_EQ('y', byte);
	ASSERT_EQ(parent, waitpid(parent, NULL, 0));
	EXPECT_TRUE(eventually(is_same(&self->before)));
	ASSERT_EQ(1, write(go[1], "x", 1));
	ASSERT_EQ(0, CMEM_init());
}

/* A program that becomes a daemon closes all files and opens its own. */
TEST_F(lib, CMEM_exit_closes_no_file_of_the_programs)
{
	pid_t pid;

	IN_CHILD(pid) {
		int own[8], fd;

		for (fd = 3; fd < 64; fd++)
			close(fd);
		/* Some are files of /dev/cmem, too. */
		for (int i = 0; i < 8; i++) {
			own[i] = open(i % 2 ? "/dev/null" : CMEM_DEVICE, O_RDWR | O_CLOEXEC);
			ASSERT_LE(0, own[i]);
		}
		ASSERT_TRUE(CMEM_exit() == -1 && errno == EBADF);
		for (int i = 0; i < 8; i++)
			ASSERT_LE(0, fcntl(own[i], F_GETFD));
		/* Everything starts afresh. */
		ASSERT_TRUE(CMEM_exit() == -1 && errno == EBADF);
		ASSERT_EQ(0, CMEM_init());
		ASSERT_EQ(0, CMEM_exit());
	}
	join_child(pid);
}

static void *cancelled_in_init(void *arg)
{
	pthread_cancel(pthread_self());
	CMEM_init();
	pthread_testcancel();
	return arg;
}

static void *cancelled_in_exit(void *arg)
{
	pthread_cancel(pthread_self());
	CMEM_exit();
	pthread_testcancel();
	return arg;
}

TEST_F(lib, a_thread_that_is_cancelled_leaves_nothing_half_done)
{
	void *(*const threads[])(void *) = { cancelled_in_init, cancelled_in_exit };
	pthread_t thread;
	void *result;

	/* The last CMEM_exit() closes the file, the first CMEM_init() opens it. */
	ASSERT_EQ(0, CMEM_exit());
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_create(&thread, NULL, threads[i], "not cancelled"));
		ASSERT_EQ(0, pthread_join(thread, &result));
		EXPECT_TRUE(result == PTHREAD_CANCELED);
		/* The call took effect all the same. */
		EXPECT_EQ(i ? -1 : (int)CMEM_VERSION, CMEM_getVersion());
	}
	ASSERT_EQ(0, CMEM_init());
}

/* What the library knows itself */

TEST_F(lib, addresses_are_known_without_the_kernel)
{
	const size_t heap_length = 3 << 20;
	CMEM_AllocParams heap = heap_params(CMEM_CACHED, 0);
	char *pool_buf = CMEM_alloc2(self->pool.block, LENGTH, NULL);
	char *heap_buf = CMEM_alloc2(self->heap.block, heap_length, &heap), *part, local;
	CMEM_off64_t pool_phys, heap_phys;

	ASSERT_POINTER(pool_buf);
	ASSERT_POINTER(heap_buf);
	pool_phys = phys_of(pool_buf);
	heap_phys = phys_of(heap_buf);
	part = CMEM_map64(heap_phys + page_size(), page_size());
	ASSERT_POINTER(part);

	ASSERT_LT(0, cut_off_kernel(-1));
	ASSERT_NO_POINTER(CMEM_alloc2(self->pool.block, LENGTH, NULL));
	ASSERT_EQ(ENOTTY, errno);
	for (size_t i = 0; i < LENGTH; i++)
		ASSERT_EQ(pool_phys + i, CMEM_getPhys64(pool_buf + i));
	for (size_t i = 0; i < heap_length; i += 1021)
		ASSERT_EQ(heap_phys + i, CMEM_getPhys64(heap_buf + i));
	ASSERT_EQ(heap_phys + page_size() + 3, CMEM_getPhys64(part + 3));
	/* For other addresses it would have to ask the kernel. */
	ASSERT_EQ(0, CMEM_getPhys64(&local));
	ASSERT_EQ(ENOTTY, errno);
	/* CMEM_free() reports the failure and changes nothing. */
	ASSERT_EQ(-1, CMEM_free(pool_buf, NULL));
	ASSERT_EQ(ENOTTY, errno);
	ASSERT_EQ(pool_phys, CMEM_getPhys64(pool_buf));
	ASSERT_EQ(0, pool_buf[0]);
	connect_kernel();
	EXPECT_EQ(0, CMEM_unmap(part, page_size()));
	EXPECT_EQ(0, CMEM_free(pool_buf, NULL));
	EXPECT_EQ(0, CMEM_free(heap_buf, &heap));
}

TEST_F(lib, caches_are_maintained_without_the_kernel_where_that_can_be)
{
	CMEM_AllocParams heap = heap_params(CMEM_CACHED, 0), plain = heap_params(0, 0);
	char *cached = CMEM_alloc2(self->heap.block, LENGTH, &heap);
	char *noncached = CMEM_alloc2(self->heap.block, LENGTH, &plain);
	struct cmem_info info;
	bool by_program = false;
	int wb, kernel;

	ASSERT_POINTER(cached);
	ASSERT_POINTER(noncached);
	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
#ifdef __aarch64__
	by_program = info.out_flags & CMEM_INFO_USER_SYNC;
	EXPECT_TRUE(by_program) TH_LOG("this CPU has an erratum");
#endif
	/* The library calls the kernel where devices snoop: there is usually no work. */
	if (block_is_coherent(self->fd, self->heap.block))
		by_program = false;
	wb = self->coherent || by_program ? 0 : -1;
	kernel = self->coherent ? 0 : -1;
	ASSERT_LT(0, cut_off_kernel(-1));
	fill(cached, LENGTH, 1);
	ASSERT_EQ(wb, CMEM_cacheWb(cached, LENGTH));
	ASSERT_EQ(wb, CMEM_cacheWbInv(cached, LENGTH));
	ASSERT_EQ(wb, CMEM_cacheWb(cached + LENGTH - 1, 1));
	ASSERT_EQ(wb, CMEM_cacheWbInv(cached + 63, 2));
	ASSERT_EQ(-1, find_stranger(cached, LENGTH, 1));
	ASSERT_EQ(kernel, CMEM_cacheInv(cached, LENGTH));
	ASSERT_EQ(kernel, CMEM_cacheWbInvAll());
	/* The kernel knows the devices: one may snoop. */
	ASSERT_EQ(kernel, CMEM_cacheWb(noncached, LENGTH));
	ASSERT_EQ(kernel, CMEM_cacheWbInv(noncached + 5, 7));
	ASSERT_EQ(kernel, CMEM_cacheInv(noncached, LENGTH));
	/* The kernel refuses addresses that are not ours. */
	ASSERT_EQ(-1, CMEM_cacheWb(&info, sizeof(info)));
	ASSERT_EQ(ENOTTY, errno);
	connect_kernel();
	EXPECT_EQ(0, CMEM_free(cached, &heap));
	EXPECT_EQ(0, CMEM_free(noncached, &plain));
}

TEST_F(lib, cache_calls_take_ranges_of_ours_and_no_others)
{
	int (*const calls[])(void *, size_t) = { CMEM_cacheWb, CMEM_cacheInv, CMEM_cacheWbInv };
	CMEM_AllocParams params = heap_params(CMEM_CACHED, 0);
	char *buf = CMEM_alloc2(self->heap.block, LENGTH, &params), *guard;
	char local[256] = "local";

	ASSERT_POINTER(buf);
	/* A mapping followed by something else */
	guard = mmap(NULL, 8 * page_size(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(guard);
	ASSERT_TRUE(mremap(buf, LENGTH, LENGTH, MREMAP_MAYMOVE | MREMAP_FIXED, guard) == guard);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		buf = guard;
		EXPECT_EQ(0, calls[i](buf, LENGTH));
		EXPECT_EQ(0, calls[i](buf + 1, 1));
		EXPECT_EQ(0, calls[i](buf, 0));
		EXPECT_ERRNO(EFAULT, calls[i](buf, LENGTH + 1) == -1);
		EXPECT_ERRNO(EFAULT, calls[i](local, sizeof(local)) == -1);
		EXPECT_ERRNO(EFAULT, calls[i](NULL, 1) == -1);
		EXPECT_ERRNO(EOVERFLOW, calls[i](buf, SIZE_MAX) == -1);
	}
	EXPECT_STREQ("local", local);
	EXPECT_EQ(0, CMEM_cacheWbInvAll());
	EXPECT_EQ(0, CMEM_free(buf, &params));

	/* The same with a mapping that the table knows */
	buf = CMEM_alloc2(self->heap.block, LENGTH, &params);
	ASSERT_POINTER(buf);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		EXPECT_EQ(0, calls[i](buf, LENGTH));
		EXPECT_EQ(0, calls[i](buf + LENGTH - 1, 1));
		EXPECT_ERRNO(EOVERFLOW, calls[i](buf, SIZE_MAX) == -1);
	}
	EXPECT_EQ(0, CMEM_free(buf, &params));
}

TEST_F(lib, ranges_over_cached_and_noncached_buffers_are_maintained)
{
	CMEM_AllocParams cached = heap_params(CMEM_CACHED, 0), plain = heap_params(0, 0);
	char *space, *a, *b;

	space = mmap(NULL, 2 * LENGTH, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(space);
	ASSERT_EQ(0, munmap(space, 2 * LENGTH));
	/* From high to low addresses, next to each other */
	a = CMEM_alloc2(self->heap.block, LENGTH, &cached);
	b = CMEM_alloc2(self->heap.block, LENGTH, &plain);
	ASSERT_POINTER(a);
	ASSERT_POINTER(b);
	if (b + LENGTH != a)
		SKIP(goto out, "the mappings are not beside each other");
	EXPECT_EQ(0, CMEM_cacheWb(b, 2 * LENGTH));
	EXPECT_EQ(0, CMEM_cacheInv(b + 1, 2 * LENGTH - 2));
	EXPECT_EQ(0, CMEM_cacheWbInv(b + LENGTH - 1, 2));
out:
	EXPECT_EQ(0, CMEM_free(a, &cached));
	EXPECT_EQ(0, CMEM_free(b, &plain));
}

TEST_F(lib, a_buffer_is_exported_as_a_DMA_BUF)
{
	CMEM_AllocParams heap = heap_params(CMEM_CACHED, 0);
	char *buf = CMEM_alloc2(self->heap.block, LENGTH, &heap), *part, *map;
	int fds = count_fds(), fd[3];
	CMEM_off64_t phys;
	char local;

	ASSERT_POINTER(buf);
	phys = CMEM_getPhys64(buf);
	part = CMEM_map64(phys + page_size(), page_size());
	ASSERT_POINTER(part);
	fill(buf, LENGTH, 1);
	ASSERT_EQ(0, CMEM_cacheWb(buf, LENGTH));
	fd[0] = CMEM_export_dmabuf(buf);
	fd[1] = CMEM_export_dmabuf(buf + LENGTH - 1);
	fd[2] = CMEM_export_dmabuf(part + 3);
	for (int i = 0; i < 3; i++) {
		ASSERT_LE(0, fd[i]);
		EXPECT_EQ(LENGTH, lseek(fd[i], 0, SEEK_END));
		EXPECT_EQ(FD_CLOEXEC, fcntl(fd[i], F_GETFD));
		EXPECT_EQ(O_RDWR, fcntl(fd[i], F_GETFL) & O_ACCMODE);
	}
	EXPECT_EQ(fds + 3, count_fds());
	EXPECT_ERRNO(EFAULT, CMEM_export_dmabuf(&local) == -1);
	EXPECT_ERRNO(EFAULT, CMEM_export_dmabuf(NULL) == -1);
	EXPECT_EQ(0, CMEM_unmap(part, page_size()));
	EXPECT_ERRNO(EFAULT, CMEM_export_dmabuf(part) == -1);

	/* The library treats mappings of it as its own, if it can ask the kernel. */
	map = dmabuf_map(fd[1], 2 * page_size(), page_size());
	ASSERT_MAPPED(map);
	EXPECT_EQ(phys + 2 * page_size() + 7, CMEM_getPhys64(map + 7));
	EXPECT_EQ(0, CMEM_cacheWbInv(map + 1, page_size() - 2));
	EXPECT_EQ(0, CMEM_cacheInv(map, page_size()));
	EXPECT_EQ(0, memcmp(map, buf + 2 * page_size(), page_size()));

	/* In the end, this mapping keeps the buffer. */
	EXPECT_EQ(0, CMEM_free(buf, &heap));
	EXPECT_EQ(phys + 2 * page_size(), CMEM_getPhys64(map));
	EXPECT_FALSE(is_same(&self->before));
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	EXPECT_EQ(fill_word(1, 2 * page_size() / 8), *(volatile __u64 *)map);
	/* Nobody is registered for it any more. */
	EXPECT_ERRNO(ENOENT, CMEM_export_dmabuf(map) == -1);
	EXPECT_EQ(0, munmap(map, page_size()));
	expect_same(&self->before);
	EXPECT_EQ(fds, count_fds());
}

TEST_F(lib, only_who_is_registered_exports)
{
	char *buf = CMEM_alloc2(self->pool.block, LENGTH, NULL);
	char *map;
	int fd;

	ASSERT_POINTER(buf);
	fd = CMEM_export_dmabuf(buf);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, cmem_register_dmabuf(self->fd, fd));
	map = dmabuf_map(fd, 0, page_size());
	ASSERT_MAPPED(map);
	EXPECT_EQ(0, CMEM_free(buf, NULL));
	EXPECT_ERRNO(EPERM, CMEM_export_dmabuf(map) == -1);
	EXPECT_EQ(0, munmap(map, page_size()));
	close(fd);
	fd = cmem_open();
	close(self->fd);
	self->fd = fd;
}

TEST_F(lib, a_page_backed_buffer_is_for_the_kernels_io)
{
	CMEM_AllocParams params = heap_params(CMEM_CACHED | CMEM_PAGES, 0);
	struct iovec iov = { .iov_len = 8 };
	struct cmem_block_info info;
	int pipefd[2], kinds = 0;
	char byte[8], *buf;

	ASSERT_EQ(0, pipe(pipefd));
	for (__s32 id = CMEM_BLOCK_CMA; id < MAX_BLOCKS; id++) {
		if (cmem_get_block(self->fd, id, &info) || info.heap_free < LENGTH)
			continue;
		buf = CMEM_alloc2(id, LENGTH, &params);
		if (!(info.out_flags & CMEM_BLOCK_CAN_PAGES)) {
			EXPECT_TRUE(!buf && errno == EOPNOTSUPP);
			continue;
		}
		ASSERT_POINTER(buf);
		fill(buf, LENGTH, 9);
		iov.iov_base = buf;
		EXPECT_EQ(8, vmsplice(pipefd[1], &iov, 1, 0));
		EXPECT_EQ(8, read(pipefd[0], byte, sizeof(byte)));
		EXPECT_EQ(0, memcmp(byte, buf, sizeof(byte)));
		EXPECT_EQ(0, CMEM_free(buf, &params));
		kinds++;
	}
	close(pipefd[0]);
	close(pipefd[1]);
	if (!kinds)
		SKIP(return, "no block can have page-backed buffers");
}

TEST_F(lib, a_private_buffer_is_passed_on_as_a_DMA_BUF)
{
	CMEM_AllocParams params = heap_params(CMEM_CACHED | CMEM_PRIVATE, 0);
	char *buf = CMEM_alloc2(self->heap.block, LENGTH, &params);
	int dmabuf, fds = count_fds();
	CMEM_off64_t phys;
	pid_t pid;

	ASSERT_POINTER(buf);
	phys = CMEM_getPhys64(buf);
	EXPECT_EQ(-EPERM, cmem_register(self->fd, phys));
	fill(buf, LENGTH, 9);
	dmabuf = CMEM_export_dmabuf(buf);
	ASSERT_LE(0, dmabuf);
	IN_CHILD(pid) {
		char *map;

		while (!CMEM_exit())
			;
		ASSERT_EQ(0, CMEM_init());
		ASSERT_TRUE(!CMEM_registerAlloc64(phys) && errno == EPERM);
		map = CMEM_registerDmabuf(dmabuf);
		ASSERT_POINTER(map);
		ASSERT_EQ(phys, CMEM_getPhys64(map));
		ASSERT_EQ(0, CMEM_cacheInv(map, LENGTH));
		ASSERT_EQ(-1, find_stranger(map, LENGTH, 9));
		ASSERT_EQ(0, CMEM_unregister(map, NULL));
		ASSERT_TRUE(CMEM_unregister(map, NULL) == -1 && errno == EFAULT);
	}
	join_child(pid);
	EXPECT_ERRNO(EINVAL, !CMEM_registerDmabuf(self->fd));
	EXPECT_ERRNO(EBADF, !CMEM_registerDmabuf(-1));
	close(dmabuf);
	EXPECT_EQ(0, CMEM_free(buf, &params));
	EXPECT_EQ(fds, count_fds());
}

TEST_F(lib, the_address_of_any_DMA_BUF_is_told)
{
	CMEM_AllocParams params = heap_params(0, 0);
	char *buf = CMEM_alloc2(self->heap.block, LENGTH, &params);
	int dmabuf, hold, fds = count_fds();
	CMEM_off64_t phys = 1, told = 2;
	unsigned long long size = 3;

	ASSERT_POINTER(buf);
	phys = CMEM_getPhys64(buf);
	dmabuf = CMEM_export_dmabuf(buf);
	ASSERT_LE(0, dmabuf);
	EXPECT_ERRNO(EFAULT, CMEM_import_dmabuf(dmabuf, NULL, &size) == -1);
	hold = CMEM_import_dmabuf(dmabuf, &told, &size);
	ASSERT_LE(0, hold);
	EXPECT_EQ(phys, told);
	EXPECT_EQ(LENGTH, size);
	close(hold);
	hold = CMEM_import_dmabuf(dmabuf, &told, NULL);
	ASSERT_LE(0, hold);
	close(hold);
	close(dmabuf);
	EXPECT_EQ(0, CMEM_free(buf, &params));

	/* On failure the call reports nothing. */
	told = 2;
	EXPECT_ERRNO(EINVAL, CMEM_import_dmabuf(self->fd, &told, &size) == -1);
	EXPECT_ERRNO(EBADF, CMEM_import_dmabuf(-1, &told, &size) == -1);
	EXPECT_EQ(2, told);

	dmabuf = foreign_dmabuf();
	if (dmabuf >= 0) {
		hold = CMEM_import_dmabuf(dmabuf, &told, &size);
		ASSERT_LE(0, hold);
		EXPECT_EQ(page_size(), size);
		EXPECT_NE(0, told);
		close(hold);
		close(dmabuf);
	}
	EXPECT_EQ(fds, count_fds());
}

/* Other processes */

TEST_F(lib, another_process_registers_and_holds_the_buffer)
{
	CMEM_AllocParams params = pool_params(CMEM_CACHED);
	int to_child[2], to_parent[2];
	CMEM_off64_t phys = 0;
	char *buf, byte;
	pid_t pid;

	ASSERT_EQ(0, pipe(to_child));
	ASSERT_EQ(0, pipe(to_parent));
	ASSERT_EQ(0, CMEM_exit());	/* the child should open its own file */
	IN_CHILD(pid) {
		ASSERT_EQ(0, CMEM_init());
		ASSERT_EQ(sizeof(phys), read(to_child[0], &phys, sizeof(phys)));
		ASSERT_NO_POINTER(CMEM_registerAlloc64(phys + 1));
		ASSERT_EQ(EINVAL, errno);
		/* A part can be mapped without that, as old programs do. */
		buf = CMEM_map64(phys + page_size(), page_size());
		ASSERT_POINTER(buf);
		ASSERT_EQ(phys + page_size(), CMEM_getPhys64(buf));
		ASSERT_EQ(0, CMEM_cacheWbInvAll());
		ASSERT_EQ(-1, CMEM_free(buf, &params));
		ASSERT_EQ(EPERM, errno);
		ASSERT_EQ(0, CMEM_unmap(buf, page_size()));
		if (fits(phys)) {
			buf = CMEM_registerAlloc(phys);
		} else {
			buf = CMEM_registerAlloc64(phys);
		}
		ASSERT_POINTER(buf);
		ASSERT_EQ(phys, CMEM_getPhys64(buf));
		ASSERT_EQ(phys + self->pool.length - 1, phys_of(buf + self->pool.length - 1));
		ASSERT_EQ(1, write(to_parent[1], "r", 1));
		ASSERT_EQ(1, read(to_child[0], &byte, 1));
		/* The allocating process has freed it. */
		ASSERT_EQ(-1, find_stranger(buf, LENGTH, 1));
		ASSERT_EQ(0, CMEM_unregister(buf, &params));
		ASSERT_NO_POINTER(CMEM_registerAlloc64(phys));
		ASSERT_EQ(ENOENT, errno);
		ASSERT_EQ(0, CMEM_exit());
	}
	ASSERT_EQ(0, CMEM_init());
	buf = CMEM_allocPool2(self->pool.block, self->pool.pool, &params);
	ASSERT_POINTER(buf);
	fill(buf, LENGTH, 1);
	phys = CMEM_getPhys64(buf);
	ASSERT_EQ(sizeof(phys), write(to_child[1], &phys, sizeof(phys)));
	ASSERT_EQ(1, read(to_parent[0], &byte, 1));
	EXPECT_EQ(0, CMEM_free(buf, &params));
	ASSERT_EQ(1, write(to_child[1], "f", 1));
	join_child(pid);
	EXPECT_TRUE(eventually(is_same(&self->before)));
}

TEST_F(lib, registrations_of_one_process_count)
{
	char *first = CMEM_alloc2(self->pool.block, LENGTH, NULL), *second, *third;
	CMEM_off64_t phys;

	ASSERT_POINTER(first);
	phys = CMEM_getPhys64(first);
	second = CMEM_registerAlloc64(phys);
	third = CMEM_registerAlloc64(phys);
	ASSERT_POINTER(second);
	ASSERT_POINTER(third);
	first[0] = 'x';
	EXPECT_EQ('x', second[0]);
	EXPECT_EQ(0, CMEM_free(first, NULL));
	EXPECT_EQ(0, CMEM_unregister(second, NULL));
	EXPECT_EQ('x', third[0]);
	EXPECT_EQ(phys, CMEM_getPhys64(third));
	EXPECT_EQ(0, CMEM_unregister(third, NULL));
	EXPECT_ERRNO(ENOENT, CMEM_freePhys64(phys, NULL) == -1);
}

TEST_F(lib, a_forked_child_is_the_same_owner)
{
	char *keep = CMEM_alloc2(self->pool.block, LENGTH, NULL);
	char *give = CMEM_alloc2(self->pool.block, LENGTH, NULL), *buf;
	CMEM_off64_t phys = 0;
	int result[2];
	pid_t pid;

	ASSERT_POINTER(keep);
	ASSERT_POINTER(give);
	ASSERT_EQ(0, pipe(result));
	keep[0] = 'p';
	IN_CHILD(pid) {
		ASSERT_EQ(CMEM_getPhys64(keep), phys_of(keep));
		ASSERT_EQ('p', keep[0]);
		keep[0] = 'c';
		ASSERT_EQ(0, CMEM_cacheWb(keep, LENGTH));
		ASSERT_EQ(0, CMEM_free(give, NULL));
		/* This one is the parent's too, and outlives the child. */
		phys = CMEM_allocPhys64(self->heap.block, LENGTH,
					&(CMEM_AllocParams) { .type = CMEM_HEAP });
		ASSERT_NE(0, phys);
		ASSERT_EQ(sizeof(phys), write(result[1], &phys, sizeof(phys)));
		ASSERT_EQ(0, CMEM_exit());
		ASSERT_EQ(-1, CMEM_getVersion());
	}
	join_child(pid);
	EXPECT_EQ('c', keep[0]);
	/* The child's CMEM_exit() only concerned the child. */
	EXPECT_EQ(CMEM_VERSION, CMEM_getVersion());
	EXPECT_ERRNO(ENOENT, CMEM_free(give, NULL) == -1);
	EXPECT_EQ(0, CMEM_unmap(give, self->pool.length));
	ASSERT_EQ(sizeof(phys), read(result[0], &phys, sizeof(phys)));
	buf = CMEM_map64(phys, LENGTH);
	ASSERT_POINTER(buf);
	EXPECT_EQ(0, CMEM_free(buf, NULL));
	EXPECT_EQ(0, CMEM_free(keep, NULL));
}

TEST_F(lib, what_is_held_at_CMEM_exit)
{
	CMEM_AllocParams heap = heap_params(0, 0);
	char *buf;
	struct snapshot with_buf;
	CMEM_off64_t phys;

	/* Not mapped: goes with the file. */
	ASSERT_NE(0, CMEM_allocPhys64(self->heap.block, LENGTH, &heap));
	ASSERT_EQ(0, CMEM_exit());
	expect_same(&self->before);

	/* Mapped: stays, and the mapping keeps it for every user. */
	ASSERT_EQ(0, CMEM_init());
	buf = CMEM_alloc2(self->heap.block, LENGTH, &heap);
	ASSERT_POINTER(buf);
	phys = CMEM_getPhys64(buf);
	fill(buf, LENGTH, 1);
	ASSERT_EQ(0, take_snapshot(&with_buf));
	ASSERT_EQ(0, CMEM_exit());
	expect_same(&with_buf);
	EXPECT_EQ(-1, find_stranger(buf, LENGTH, 1));
	EXPECT_ERRNO(EBADF, CMEM_free(buf, &heap) == -1);

	/* A later session still knows it, and can free it. */
	ASSERT_EQ(0, CMEM_init());
	EXPECT_EQ(phys, CMEM_getPhys64(buf));
	EXPECT_EQ(0, CMEM_cacheWb(buf, LENGTH));
	EXPECT_EQ(0, CMEM_free(buf, &heap));
	EXPECT_FALSE(mapped_by_us(buf));
}

TEST_F(lib, a_process_that_dies_leaves_nothing_behind)
{
	int ready[2];
	char byte;
	pid_t pid;

	ASSERT_EQ(0, CMEM_exit());
	ASSERT_EQ(0, pipe(ready));
	pid = fork_child(_metadata);
	if (!pid) {
		CMEM_init();
		byte = CMEM_alloc2(self->pool.block, LENGTH, NULL) &&
		       CMEM_allocPhys64(self->pool.block, LENGTH, NULL) ? 'y' : 'n';
		if (write(ready[1], &byte, 1) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	EXPECT_EQ('y', byte);
	EXPECT_FALSE(is_same(&self->before));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_TRUE(eventually(is_same(&self->before)));
	ASSERT_EQ(0, CMEM_init());
}

/*
 * Threads
 */

#define THREADS 4
#define SHELF 8

struct crowd {
	struct source src;
	unsigned int rounds;
	char *shelf[SHELF];		/* a buffer that any thread may free */
	int errors;
};

struct member {
	struct crowd *crowd;
	unsigned int number;
};

/* Allocates, checks, and lets another thread free it. */
static void *jostle(void *arg)
{
	struct member *me = arg;
	struct crowd *crowd = me->crowd;
	unsigned int seed = me->number;
	CMEM_AllocParams params = pool_params(CMEM_CACHED);

	for (unsigned int i = 0; i < crowd->rounds; i++) {
		char *mine = CMEM_alloc2(crowd->src.block, LENGTH, &params), *found;
		CMEM_off64_t phys;

		if (mine) {
			phys = CMEM_getPhys64(mine);
			fill(mine, LENGTH, me->number);
			if (!phys || phys != (CMEM_off64_t)phys_of(mine) ||
			    CMEM_getPhys64(mine + LENGTH - 1) != phys + (CMEM_off64_t)LENGTH - 1 ||
			    CMEM_cacheWbInv(mine, LENGTH) ||
			    find_stranger(mine, LENGTH, me->number) >= 0)
				__atomic_add_fetch(&crowd->errors, 1, __ATOMIC_RELAXED);
		} else if (errno != ENOMEM) {
			__atomic_add_fetch(&crowd->errors, 1, __ATOMIC_RELAXED);
		}
		found = __atomic_exchange_n(&crowd->shelf[rand_r(&seed) % SHELF], mine,
					    __ATOMIC_ACQ_REL);
		if (found && (phys_of(found) != (__u64)CMEM_getPhys64(found) ||
			      CMEM_free(found, &params)))
			__atomic_add_fetch(&crowd->errors, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

#define start_crowd(crowd, members, threads) __start_crowd(_metadata, crowd, members, threads)
static void __start_crowd(struct __test_metadata *_metadata, struct crowd *crowd,
			  struct member *members, pthread_t *threads)
{
	phys_of(crowd);		/* opens the file before there are threads */
	for (unsigned int i = 0; i < THREADS; i++) {
		members[i] = (struct member) { crowd, i + 1 };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, jostle, &members[i]));
	}
}

#define end_crowd(crowd, threads) __end_crowd(_metadata, crowd, threads)
static void __end_crowd(struct __test_metadata *_metadata, struct crowd *crowd,
			pthread_t *threads)
{
	for (unsigned int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	for (unsigned int i = 0; i < SHELF; i++) {
		if (crowd->shelf[i]) {
			EXPECT_EQ(0, CMEM_free(crowd->shelf[i], NULL));
		}
	}
	EXPECT_EQ(0, crowd->errors);
}

TEST_F(lib, threads_free_what_others_allocated)
{
	struct crowd crowd = { .src = self->pool, .rounds = scaled(2000) };
	struct member members[THREADS];
	pthread_t threads[THREADS];

	start_crowd(&crowd, members, threads);
	end_crowd(&crowd, threads);
}

/* In the child the lock is free and the table consistent, whatever other threads did. */
TEST_F(lib, fork_while_threads_allocate)
{
	struct crowd crowd = { .src = self->pool, .rounds = scaled(2000) };
	struct member members[THREADS];
	pthread_t threads[THREADS];
	CMEM_AllocParams heap = heap_params(CMEM_CACHED, 0);

	start_crowd(&crowd, members, threads);
	for (unsigned int i = scaled(50); i; i--) {
		pid_t pid;

		IN_CHILD(pid) {
			char *buf = CMEM_alloc2(self->heap.block, LENGTH, &heap);

			ASSERT_POINTER(buf);
			ASSERT_EQ(phys_of(buf), (__u64)CMEM_getPhys64(buf));
			ASSERT_EQ(0, CMEM_free(buf, &heap));
		}
		join_child(pid);
	}
	end_crowd(&crowd, threads);
}

static void *init_and_exit(void *arg)
{
	for (unsigned int i = *(unsigned int *)arg; i; i--)
		if (CMEM_init() || CMEM_getVersion() != (int)CMEM_VERSION || CMEM_exit())
			return arg;
	return NULL;
}

TEST_F(lib, threads_init_and_exit)
{
	unsigned int rounds = scaled(2000);
	pthread_t threads[THREADS];
	void *result;

	for (unsigned int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, init_and_exit, &rounds));
	for (unsigned int i = 0; i < THREADS; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], &result));
		EXPECT_NO_POINTER(result);
	}
	EXPECT_EQ(CMEM_VERSION, CMEM_getVersion());
}

/* What CMEM_DEBUG=1 prints: this program runs itself for that. */

static int traced_calls(void)
{
	CMEM_AllocParams heap = { .type = CMEM_HEAP, .flags = CMEM_CACHED, .alignment = 1 };

	errno = 0;
	CMEM_exit();
	CMEM_init();
	CMEM_alloc2(4711, 9, &heap);
	if (errno != ENOENT)
		return 1;
	CMEM_getPool2(4711, 100);
	CMEM_cacheWb(NULL, 0);
	CMEM_freePhys64(0x123, NULL);
	heap.type = 3;
	heap.flags |= CMEM_PHYS;
	CMEM_alloc2(4711, 9, &heap);
	CMEM_exit();
	return 0;
}

static const char traced_text[] =
	"CMEM_exit() = -1 (errno 9: EBADF)\n"
	"CMEM_init() = 0\n"
	"CMEM_alloc2(4711, 9, {CMEM_HEAP, CMEM_CACHED, 1}) = (nil) (errno 2: ENOENT)\n"
	"CMEM_getPool2(4711, 100) = -1 (errno 2: ENOENT)\n"
	"CMEM_cacheWb((nil), 0) = 0\n"
	"CMEM_freePhys64(0x123, NULL) = -1 (errno 22: EINVAL)\n"
	"flags 0x180000: 0x100000 of it is ignored\n"
	"type 0x3: taken for CMEM_POOL\n"
	"CMEM_alloc2(4711, 9, {0x3, 0x180000, 1}) = (nil) (errno 2: ENOENT)\n"
	"CMEM_exit() = 0\n";

#define run_traced(value, text, size) __run_traced(_metadata, value, text, size)
static void __run_traced(struct __test_metadata *_metadata, const char *value, char *text,
			 size_t size)
{
	size_t length = 0;
	ssize_t got;
	int out[2], status;
	pid_t pid;

	ASSERT_EQ(0, pipe(out));
	pid = fork_child(_metadata);
	if (!pid) {
		dup2(out[1], STDERR_FILENO);
		setenv("CMEM_DEBUG", value, 1);
		execl("/proc/self/exe", "libcmem", "traced-calls", (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	while ((got = read(out[0], text + length, size - 1 - length)) > 0)
		length += got;
	text[length] = '\0';
	close(out[0]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));

	/* Removes the start of each line, which names the process */
	for (char *line = text, *to = text; *line; ) {
		char *end = strchr(line, '\n'), *begin = strstr(line, "]: ");

		ASSERT_POINTER(end);
		ASSERT_POINTER(begin);
		ASSERT_EQ(0, strncmp(line, "cmem[", 5));
		begin += strlen("]: ");
		end++;
		memmove(to, begin, end - begin);
		to += end - begin;
		line = end;
		*to = *line ? *to : '\0';
	}
}

TEST_F(lib, CMEM_DEBUG_tells_of_each_call)
{
	char text[4096];

	run_traced("1", text, sizeof(text));
	EXPECT_STREQ(traced_text, text);
	run_traced("0", text, sizeof(text));
	EXPECT_STREQ("", text);
	run_traced("", text, sizeof(text));
	EXPECT_STREQ("", text);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "traced-calls"))
		return traced_calls();
	return test_harness_run(argc, argv);
}
