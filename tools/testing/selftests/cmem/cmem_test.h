/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the CMEM selftests share: one C call per ioctl, the places on this board that have
 * memory to test with, a snapshot of all blocks that shows whether a call changed
 * anything, and patterns.
 *
 * The tests know no board: GET_INFO, GET_BLOCK and GET_POOL tell them what exists. They
 * need /dev/cmem for themselves, and root.
 */
#ifndef CMEM_TEST_H
#define CMEM_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <linux/cmem.h>

#include "../kselftest_harness.h"

/* A limit for tests that hang. Emulated debug kernels are slow. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 600

#define __packed	__attribute__((packed))

#define CMEM_DEVICE	"/dev/cmem"
#define SZ_2M		(2UL << 20)

/* The tests do not write all of a buffer or heap above this size. */
#define TOUCH_LIMIT	(64ULL << 20)
/* The tests do not empty pools with more buffers than this. */
#define COUNT_LIMIT	1024

/* A user other than root. Its group stays root, which may open the device. */
#define OTHER_UID	1000

/* Any memory that can be cached, which SRAM cannot */
#define ANY_KIND	(-1)

/* A 32-bit program may run on a 64-bit kernel: the kernel counts here. */
static inline bool on_32_bit_kernel(void)
{
	struct utsname name;

	return !uname(&name) && !strstr(name.machine, "64") && strcmp(name.machine, "armv8l");
}

/* Whether the kernel's release is before "version.patchlevel", for what other parts of it do */
static inline bool kernel_is_before(unsigned int version, unsigned int patchlevel)
{
	unsigned int v = 0, p = 0;
	struct utsname name;

	if (uname(&name) || sscanf(name.release, "%u.%u", &v, &p) != 2)
		return false;
	return v < version || (v == version && p < patchlevel);
}

/*
 * How many of @full repetitions to do: CMEM_TEST_SCALE percent of them. The default is
 * all, or a tenth with lockdep, which makes each lock ten times slower.
 */
static inline unsigned int scaled(unsigned int full)
{
	const char *percent = getenv("CMEM_TEST_SCALE");
	unsigned int n;

	n = percent ? atoi(percent) : access("/proc/lockdep", F_OK) ? 100 : 10;
	n = (unsigned long long)full * n / 100;
	return n ? n : 1;
}

/* Waits until @cond holds; returns whether it ever did. */
#define eventually(cond) ({						\
	bool _holds = (cond);						\
	for (int _ms = 0; !_holds && _ms < 300 * 1000; _ms++) {		\
		usleep(1000);						\
		_holds = (cond);					\
	}								\
	_holds;								\
})

static inline unsigned long page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

/* With larger pages, huge pages (32, 512 MiB) fit into no block of a test board. */
static inline bool huge_pages_are_2M(void)
{
	return page_size() == 4096;
}

static inline int cmem_open(void)
{
	return open(CMEM_DEVICE, O_RDWR | O_CLOEXEC);
}

/* The harness of v6.18 leaves each test a pidfd of every test that ran before. */
static inline void close_pidfds(void)
{
	for (int fd = STDERR_FILENO + 1;; fd++) {
		char path[32], what[32] = "";

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, what, sizeof(what) - 1) < 0)
			return;
		if (strstr(what, "[pidfd]"))
			close(fd);
	}
}

/* For FIXTURE_SETUP: the file, or SKIP where there is no CMEM. */
#define OPEN_OR_SKIP(fd) do {						\
	close_pidfds();							\
	(fd) = cmem_open();						\
	if ((fd) < 0 && (errno == ENOENT || errno == ENXIO))		\
		SKIP(return, "no " CMEM_DEVICE);			\
	if ((fd) < 0 && errno == EACCES && getuid())			\
		SKIP(return, CMEM_DEVICE " is for root");		\
	ASSERT_LE(0, (fd)) TH_LOG(CMEM_DEVICE ": %s", strerror(errno));	\
} while (0)

/* The ioctls: 0 or a negative errno. */

static inline int cmem_ioctl(int fd, unsigned long cmd, void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

static inline int cmem_get_info(int fd, struct cmem_info *info)
{
	*info = (struct cmem_info){ .size = sizeof(*info) };
	return cmem_ioctl(fd, CMEM_IOCTL_GET_INFO, info);
}

static inline int cmem_get_block(int fd, __s32 block, struct cmem_block_info *info)
{
	*info = (struct cmem_block_info){ .size = sizeof(*info), .block = block };
	return cmem_ioctl(fd, CMEM_IOCTL_GET_BLOCK, info);
}

/* The devices that the block is for snoop the caches: no maintenance is needed. */
static inline bool block_is_coherent(int fd, __s32 block)
{
	struct cmem_block_info info;

	return !cmem_get_block(fd, block, &info) && info.out_flags & CMEM_BLOCK_COHERENT;
}

static inline int cmem_get_pool(int fd, __s32 block, __u32 pool, struct cmem_pool_info *info)
{
	*info = (struct cmem_pool_info){ .size = sizeof(*info), .block = block, .pool = pool };
	return cmem_ioctl(fd, CMEM_IOCTL_GET_POOL, info);
}

static inline int cmem_find_pool(int fd, __s32 block, __u64 length, __s32 *pool)
{
	struct cmem_find_pool find = { .size = sizeof(find), .block = block, .length = length };
	int ret = cmem_ioctl(fd, CMEM_IOCTL_FIND_POOL, &find);

	if (!ret)
		*pool = find.pool;
	return ret;
}

static inline int cmem_alloc_aligned(int fd, __s32 block, __s32 pool, __u64 length,
				     __u64 alignment, __u32 flags, struct cmem_alloc *buf)
{
	*buf = (struct cmem_alloc){
		.size = sizeof(*buf), .block = block, .pool = pool, .flags = flags,
		.length = length, .alignment = alignment,
	};
	return cmem_ioctl(fd, CMEM_IOCTL_ALLOC, buf);
}

static inline int cmem_alloc(int fd, __s32 block, __s32 pool, __u64 length, __u32 flags,
			     struct cmem_alloc *buf)
{
	return cmem_alloc_aligned(fd, block, pool, length, 0, flags, buf);
}

static inline int cmem_free(int fd, __u64 phys_addr)
{
	struct cmem_free arg = { .size = sizeof(arg), .phys_addr = phys_addr };

	return cmem_ioctl(fd, CMEM_IOCTL_FREE, &arg);
}

static inline int cmem_register_info(int fd, __u64 phys_addr, struct cmem_register *reg)
{
	*reg = (struct cmem_register){ .size = sizeof(*reg), .phys_addr = phys_addr };
	return cmem_ioctl(fd, CMEM_IOCTL_REGISTER, reg);
}

static inline int cmem_register(int fd, __u64 phys_addr)
{
	struct cmem_register reg;

	return cmem_register_info(fd, phys_addr, &reg);
}

static inline int cmem_resolve(int fd, const volatile void *addr, struct cmem_resolve *res)
{
	*res = (struct cmem_resolve){ .size = sizeof(*res), .user_addr = (unsigned long)addr };
	return cmem_ioctl(fd, CMEM_IOCTL_RESOLVE, res);
}

static inline int cmem_sync_ranges(int fd, const struct cmem_sync_range *ranges, __u32 num)
{
	struct cmem_sync sync = {
		.size = sizeof(sync), .ranges = (unsigned long)ranges, .num_ranges = num,
	};

	return cmem_ioctl(fd, CMEM_IOCTL_SYNC, &sync);
}

static inline int cmem_sync(int fd, const volatile void *addr, __u64 length, __u32 op)
{
	struct cmem_sync_range range = {
		.user_addr = (unsigned long)addr, .length = length, .op = op,
	};

	return cmem_sync_ranges(fd, &range, 1);
}

static inline int cmem_sync_all(int fd, __u32 op)
{
	struct cmem_sync_all all = { .size = sizeof(all), .op = op };

	return cmem_ioctl(fd, CMEM_IOCTL_SYNC_ALL, &all);
}

static inline int cmem_block_add(int fd, __s32 block, __u64 base, __u64 length, __u32 flags,
				 const struct cmem_block_pool *pools, __u32 num_pools)
{
	struct cmem_block_add add = {
		.size = sizeof(add), .block = block, .flags = flags, .num_pools = num_pools,
		.base = base, .length = length, .pools = (unsigned long)pools,
	};

	return cmem_ioctl(fd, CMEM_IOCTL_BLOCK_ADD, &add);
}

static inline int cmem_block_remove(int fd, __s32 block)
{
	struct cmem_block_remove remove = { .size = sizeof(remove), .block = block };

	return cmem_ioctl(fd, CMEM_IOCTL_BLOCK_REMOVE, &remove);
}

static inline void *cmem_map(int fd, const struct cmem_alloc *buf)
{
	return mmap(NULL, buf->length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, buf->mmap_offset);
}

#define ASSERT_MAPPED(addr) ASSERT_TRUE((addr) != MAP_FAILED)

/* The harness prints differing values as numbers, which 32-bit pointers are not. */
#define ASSERT_POINTER(addr) ASSERT_TRUE(!!(addr))
#define ASSERT_NO_POINTER(addr) ASSERT_TRUE(!(addr))
#define EXPECT_NO_POINTER(addr) EXPECT_TRUE(!(addr))

/* A snapshot of all blocks. */

#define MAX_BLOCKS 16

struct snapshot {
	unsigned int num_blocks;
	struct cmem_block_info block[MAX_BLOCKS];
	struct cmem_pool_info pool[MAX_BLOCKS][CMEM_MAX_POOLS];
};

/*
 * Uses a file of its own, so that no test's file affects it. Fails with -EPROTO if the
 * sums that hold at every moment do not hold.
 */
static inline int take_snapshot(struct snapshot *s)
{
	static int fd = -1;
	struct cmem_info info;
	int ret;

	if (fd < 0)
		fd = cmem_open();
	if (fd < 0)
		return -errno;
	memset(s, 0, sizeof(*s));
	ret = cmem_get_info(fd, &info);
	for (__s32 id = CMEM_BLOCK_CMA; !ret && id < (__s32)info.block_limit; id++) {
		struct cmem_block_info *b = &s->block[s->num_blocks];

		ret = cmem_get_block(fd, id, b);
		if (ret == -ENOENT) {
			ret = 0;
			continue;
		}
		for (__u32 i = 0; !ret && i < b->num_pools; i++) {
			struct cmem_pool_info *p = &s->pool[s->num_blocks][i];

			ret = cmem_get_pool(fd, id, i, p);
			if (!ret && (p->free != p->clean + p->dirty + p->scrubbing ||
				     p->free > p->count))
				ret = -EPROTO;
		}
		if (!ret && (b->heap_clean > b->heap_free || b->heap_free > b->heap_size ||
			     b->heap_largest > b->heap_free))
			ret = -EPROTO;
		if (++s->num_blocks == MAX_BLOCKS)
			break;
	}
	return ret;
}

/* A physical address outside all blocks, probably in RAM. */
static inline __u64 address_outside(void)
{
	static struct snapshot s;
	__u64 address = 1 << 30;

	take_snapshot(&s);
	for (unsigned int i = 0; i < s.num_blocks; i++)
		if (s.block[i].kind != CMEM_KIND_CMA && address >= s.block[i].base &&
		    address - s.block[i].base < s.block[i].length) {
			address = s.block[i].base + s.block[i].length;
			i = -1;	/* another block may begin right after it */
		}
	return address;
}

/* Whether no more is pinned than before. CMA's is, for a grace period after its end. */
static inline bool is_unpinned(const struct snapshot *before)
{
	static struct snapshot now;

	if (take_snapshot(&now))
		return false;
	for (unsigned int i = 0; i < now.num_blocks; i++)
		if (now.block[i].pinned > before->block[i].pinned)
			return false;
	return true;
}

/* All blocks are as full and as fragmented as before. */
#define expect_same(before) __expect_same(_metadata, before)
static inline void __expect_same(struct __test_metadata *_metadata,
				 const struct snapshot *before)
{
	static struct snapshot now;

	EXPECT_TRUE(eventually(is_unpinned(before)));
	ASSERT_EQ(0, take_snapshot(&now));
	ASSERT_EQ(before->num_blocks, now.num_blocks);
	for (unsigned int i = 0; i < now.num_blocks; i++) {
		const struct cmem_block_info *a = &before->block[i], *b = &now.block[i];

		EXPECT_EQ(a->block, b->block);
		EXPECT_EQ(a->heap_free, b->heap_free)
			TH_LOG("heap of block %d", a->block);
		EXPECT_EQ(a->heap_largest, b->heap_largest)
			TH_LOG("heap of block %d", a->block);
		ASSERT_EQ(a->num_pools, b->num_pools);
		for (__u32 p = 0; p < a->num_pools; p++) {
			EXPECT_EQ(before->pool[i][p].free, now.pool[i][p].free)
				TH_LOG("block %d pool %u", a->block, p);
		}
	}
}

/* The same without a message: for eventually(). */
static inline bool is_same(const struct snapshot *before)
{
	static struct snapshot now;

	if (take_snapshot(&now) || before->num_blocks != now.num_blocks)
		return false;
	for (unsigned int i = 0; i < now.num_blocks; i++) {
		if (before->block[i].heap_free != now.block[i].heap_free ||
		    before->block[i].heap_largest != now.block[i].heap_largest)
			return false;
		for (__u32 p = 0; p < now.block[i].num_pools; p++)
			if (before->pool[i][p].free != now.pool[i][p].free)
				return false;
	}
	return true;
}

/* A block that a test removes and later puts back unchanged. */

struct spare_block {
	struct cmem_block_info info;
	struct cmem_block_pool pool[CMEM_MAX_POOLS];
};

/*
 * The smallest block that can be removed, does not keep its contents, is not number @but,
 * and of whose flags in @mask those in @flags are set; false if there is none. This does
 * not remove it yet.
 */
static inline bool find_spare_block_with(int fd, __s32 but, __u32 mask, __u32 flags,
					 struct spare_block *spare)
{
	struct cmem_pool_info pool;
	struct cmem_info info;
	bool found = false;

	if (cmem_get_info(fd, &info) || !(info.features & CMEM_FEATURE_BLOCK_ADD))
		return false;
	for (__s32 id = 0; id < (__s32)info.block_limit; id++) {
		struct cmem_block_info b;

		if (id == but || cmem_get_block(fd, id, &b) || b.heap_free != b.heap_size ||
		    b.out_flags & CMEM_BLOCK_KEEP_CONTENTS || b.length < 64 * page_size() ||
		    (b.out_flags & mask) != flags ||
		    (found && b.length >= spare->info.length))
			continue;
		spare->info = b;
		found = true;
	}
	for (__u32 i = 0; found && i < spare->info.num_pools; i++) {
		found = !cmem_get_pool(fd, spare->info.block, i, &pool) &&
			pool.free == pool.count;
		spare->pool[i] = (struct cmem_block_pool){
			.count = pool.count, .length = pool.requested_length,
		};
	}
	return found;
}

static inline bool find_spare_block(int fd, __s32 but, struct spare_block *spare)
{
	return find_spare_block_with(fd, but, 0, 0, spare);
}

static inline int put_back_block(int fd, const struct spare_block *spare)
{
	return cmem_block_add(fd, spare->info.block, spare->info.base, spare->info.length, 0,
			      spare->pool, spare->info.num_pools);
}

/* @call returns -@err and changes nothing. */
#define EXPECT_REFUSED(err, call)					\
	ASSERT_EQ(0, take_snapshot(&before_call));			\
	EXPECT_EQ(-(err), unchanged(call))
#define unchanged(ret) __unchanged(_metadata, ret)
static struct snapshot before_call;

static inline int __unchanged(struct __test_metadata *_metadata, int ret)
{
	expect_same(&before_call);
	return ret;
}

/* A place that has memory: a pool or a heap. */

struct source {
	__s32 block;
	__s32 pool;		/* or CMEM_POOL_HEAP */
	__u64 length;		/* of a buffer: the pool's, or as requested */
};

/*
 * New memory is not zero in a block that keeps its contents, and CMA shares its memory
 * with the kernel: only tests that ask for these two get them.
 */
static inline bool is_of_kind(const struct cmem_block_info *b, int kind)
{
	bool any = b->kind != CMEM_KIND_CMA && b->kind != CMEM_KIND_SRAM;

	return (kind == ANY_KIND ? any : b->kind == (__u32)kind) &&
	       !(b->out_flags & CMEM_BLOCK_KEEP_CONTENTS);
}

/* The pool with the smallest buffers of at least @min_length, @min_free of them free. */
static inline bool find_pool_source(int kind, __u64 min_length, __u32 min_free,
				    struct source *src)
{
	static struct snapshot s;
	bool found = false;

	if (take_snapshot(&s))
		return false;
	for (unsigned int i = 0; i < s.num_blocks; i++) {
		if (!is_of_kind(&s.block[i], kind))
			continue;
		for (__u32 j = 0; j < s.block[i].num_pools; j++) {
			const struct cmem_pool_info *p = &s.pool[i][j];

			if (p->length < min_length || p->length > TOUCH_LIMIT ||
			    p->free < min_free || (found && p->length >= src->length))
				continue;
			*src = (struct source){ p->block, j, p->length };
			found = true;
		}
	}
	return found;
}

/* The smallest heap with @length contiguous bytes. */
static inline bool find_heap_source(int kind, __u64 length, struct source *src)
{
	static struct snapshot s;
	__u64 smallest = 0;

	if (take_snapshot(&s))
		return false;
	for (unsigned int i = 0; i < s.num_blocks; i++) {
		const struct cmem_block_info *b = &s.block[i];

		if (!is_of_kind(b, kind) || b->heap_largest < length ||
		    (smallest && b->heap_size >= smallest))
			continue;
		*src = (struct source){ b->block, CMEM_POOL_HEAP, length };
		smallest = b->heap_size;
	}
	return smallest;
}

static inline int source_alloc(int fd, const struct source *src, __u32 flags,
			       struct cmem_alloc *buf)
{
	return cmem_alloc(fd, src->block, src->pool, src->length, flags, buf);
}

/* Free buffers of the source's pool, or bytes of its heap. */
static inline __u64 source_free(int fd, const struct source *src)
{
	struct cmem_block_info block;
	struct cmem_pool_info pool;

	if (src->pool == CMEM_POOL_HEAP)
		return cmem_get_block(fd, src->block, &block) ? 0 : block.heap_free;
	return cmem_get_pool(fd, src->block, src->pool, &pool) ? 0 : pool.free;
}

/*
 * Allocates the rest of a pool or heap into @buf; returns the number of buffers, or a
 * negative errno: -ENOSPC if there are more than @max.
 */
static inline int drain(int fd, const struct source *src, __u32 flags, struct cmem_alloc *buf,
			int max)
{
	__u64 page = page_size();
	__u64 length = 0;
	int count = 0, ret;

	if (src->pool == CMEM_POOL_HEAP)
		length = (source_free(fd, src) / 16 + page - 1) & -page;
	for (;;) {
		if (count == max)
			return -ENOSPC;
		ret = cmem_alloc(fd, src->block, src->pool, length, flags, &buf[count]);
		if (!ret) {
			count++;
			continue;
		}
		if (ret != -ENOMEM)
			return ret;
		if (length <= page)
			return count;
		length = (length / 2 + page - 1) & -page;
	}
}

static inline bool overlaps(const struct cmem_alloc *a, const struct cmem_alloc *b)
{
	return a->phys_addr < b->phys_addr + b->length && b->phys_addr < a->phys_addr + a->length;
}

/* Nothing that others can allocate from the pool or heap overlaps the buffer. */
#define expect_not_given_away(src, buf) __expect_not_given_away(_metadata, src, buf)
static inline void __expect_not_given_away(struct __test_metadata *_metadata,
					   const struct source *src,
					   const struct cmem_alloc *buf)
{
	static struct cmem_alloc others[2048];
	int fd = cmem_open();
	int count = drain(fd, src, 0, others, ARRAY_SIZE(others));

	EXPECT_LE(0, count);
	for (int i = 0; i < count; i++) {
		EXPECT_FALSE(overlaps(&others[i], buf)) TH_LOG("given to somebody else");
	}
	close(fd);
}

/* Runs a fixture on each combination of memory kind, pool or heap, cached or not. */
#define SOURCE_VARIANT(fixture, name, _kind, _heap, _flags)		\
	FIXTURE_VARIANT_ADD(fixture, name) {				\
		.kind = _kind, .heap = _heap, .flags = _flags }
#define SOURCE_VARIANTS(fixture)						\
	FIXTURE_VARIANT(fixture) {						\
		int kind;							\
		bool heap;							\
		__u32 flags;							\
	};									\
	SOURCE_VARIANT(fixture, carveout_pool_cached,				\
		       CMEM_KIND_CARVEOUT, false, CMEM_ALLOC_CACHED);		\
	SOURCE_VARIANT(fixture, carveout_pool, CMEM_KIND_CARVEOUT, false, 0);	\
	SOURCE_VARIANT(fixture, carveout_heap_cached,				\
		       CMEM_KIND_CARVEOUT, true, CMEM_ALLOC_CACHED);		\
	SOURCE_VARIANT(fixture, carveout_heap, CMEM_KIND_CARVEOUT, true, 0);	\
	SOURCE_VARIANT(fixture, reserved_pool_cached,				\
		       CMEM_KIND_RESERVED, false, CMEM_ALLOC_CACHED);		\
	SOURCE_VARIANT(fixture, reserved_pool, CMEM_KIND_RESERVED, false, 0);	\
	SOURCE_VARIANT(fixture, reserved_heap_cached,				\
		       CMEM_KIND_RESERVED, true, CMEM_ALLOC_CACHED);		\
	SOURCE_VARIANT(fixture, reserved_heap, CMEM_KIND_RESERVED, true, 0);	\
	SOURCE_VARIANT(fixture, cma_pool_cached,				\
		       CMEM_KIND_CMA, false, CMEM_ALLOC_CACHED);		\
	SOURCE_VARIANT(fixture, cma_pool, CMEM_KIND_CMA, false, 0);		\
	SOURCE_VARIANT(fixture, cma_heap_cached,				\
		       CMEM_KIND_CMA, true, CMEM_ALLOC_CACHED);			\
	SOURCE_VARIANT(fixture, cma_heap, CMEM_KIND_CMA, true, 0);			\
	/* never cached: sram.c */						\
	SOURCE_VARIANT(fixture, sram_pool, CMEM_KIND_SRAM, false, 0);		\
	SOURCE_VARIANT(fixture, sram_heap, CMEM_KIND_SRAM, true, 0)

static inline bool find_source(int kind, bool heap, __u64 min_length,
			       struct source *src)
{
	return heap ? find_heap_source(kind, min_length, src) :
		      find_pool_source(kind, min_length, 1, src);
}

/* Contents. */

/* Inverted, so that the last byte of a word and of a buffer is not zero. */
static inline __u64 fill_word(__u32 tag, size_t i)
{
	return ~((__u64)tag << 32 | i);
}

/* The tag that fill() wrote into a word */
static inline __u32 fill_tag(__u64 word)
{
	return ~word >> 32;
}

/* Every word tells its owner and its position. */
static inline void fill(volatile void *addr, size_t length, __u32 tag)
{
	volatile __u64 *word = addr;

	for (size_t i = 0; i < length / sizeof(*word); i++)
		word[i] = fill_word(tag, i);
}

/* Offset of the first byte that differs from what fill() wrote, or -1. */
static inline long long find_stranger(const volatile void *addr, size_t length, __u32 tag)
{
	const volatile __u64 *word = addr;

	for (size_t i = 0; i < length / sizeof(*word); i++)
		if (word[i] != fill_word(tag, i))
			return i * sizeof(*word);
	return -1;
}

/* Offset of the first byte that is not zero, or -1. */
static inline long long find_nonzero(const volatile void *addr, size_t length)
{
	const volatile __u64 *word = addr;

	for (size_t i = 0; i < length / sizeof(*word); i++)
		if (word[i])
			return i * sizeof(*word);
	return -1;
}

/* Page-backed buffers. */

static inline bool can_pages(int fd, __s32 block)
{
	struct cmem_block_info info;

	return !cmem_get_block(fd, block, &info) && info.out_flags & CMEM_BLOCK_CAN_PAGES;
}

/* Puts references to pages into a pipe, where they stay until someone reads it. */
static inline ssize_t splice_pages(int pipe, const void *map, size_t length)
{
	struct iovec iov = { .iov_base = (void *)map, .iov_len = length };
	ssize_t ret = vmsplice(pipe, &iov, 1, SPLICE_F_NONBLOCK);

	return ret < 0 ? -errno : ret;
}

/* Reads all that is in a pipe, which drops its references. */
static inline bool read_pipe(int pipe, char *to, size_t length)
{
	size_t done = 0;
	ssize_t got;

	for (; done < length; done += got) {
		got = read(pipe, to + done, length - done);
		if (got <= 0)
			return false;
	}
	return true;
}

/* Processes. */

/*
 * Runs the statement that follows in a child and waits for the child. The test fails
 * unless the child reaches the end of the statement. Only ASSERT_*() count in it.
 */
#define CHILD_EXIT_OK 77
#define IN_CHILD(pid)							\
	for ((pid) = fork_child(_metadata); (pid) == 0; _exit(CHILD_EXIT_OK))

static inline pid_t fork_child(struct __test_metadata *_metadata)
{
	pid_t pid;

	fflush(stdout);
	fflush(stderr);
	pid = fork();
	ASSERT_LE(0, pid);
	return pid;
}

/* Tells whether an EXPECT_*() of this process failed. */
static inline bool has_failed(const struct __test_metadata *_metadata)
{
	return _metadata->exit_code != KSFT_PASS;
}

#define join_child(pid) __join_child(_metadata, pid)
static inline void __join_child(struct __test_metadata *_metadata, pid_t pid)
{
	int status;

	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status)) TH_LOG("child died of signal %d", WTERMSIG(status));
	ASSERT_EQ(CHILD_EXIT_OK, WEXITSTATUS(status));
}

/*
 * Work on a cached buffer until the kernel keeps the whole block mapped, where it does so
 * only when that pays off: it counts at least 128 pages each time.
 */
static inline int work_until_mapped(int fd, __s32 block, void *map, size_t length)
{
	struct cmem_block_info info = { .size = sizeof(info), .block = block };
	int ret = cmem_ioctl(fd, CMEM_IOCTL_GET_BLOCK, &info);

	if (info.kind == CMEM_KIND_CMA)
		return ret;
	for (__u64 i = 0; !ret && i <= info.length / page_size() / 128; i++)
		ret = cmem_sync(fd, map, length, CMEM_SYNC_WRITE_BACK);
	return ret;
}

/* With cmem.share=any the kernel refuses nobody because of the uid. */
static inline bool anyone_may_share(void)
{
	int fd = open("/sys/module/cmem/parameters/share", O_RDONLY | O_CLOEXEC);
	char word[16] = "";
	bool any;

	any = fd >= 0 && read(fd, word, sizeof(word) - 1) > 0 && !strncmp(word, "any", 3);
	close(fd);
	return any;
}

/* Become a user without any capability. */
static inline int become_user(uid_t uid)
{
	if (setgroups(0, NULL) || setresuid(uid, uid, uid))
		return -errno;
	return 0;
}

/* An entry of pagemap. Only root sees the PFN: others read 0. */
#define PM_PRESENT	(1ULL << 63)
#define PM_SOFT_DIRTY	(1ULL << 55)
#define PM_PFN(entry)	((entry) & ((1ULL << 55) - 1))

static inline bool read_pagemap(const char *map, __u64 *entries, size_t pages)
{
	off_t at = (unsigned long)map / page_size() * sizeof(*entries);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ssize_t got = pread(fd, entries, pages * sizeof(*entries), at);

	close(fd);
	return got == (ssize_t)(pages * sizeof(*entries));
}

/* The signal that one access to @addr raises, or 0. */
static inline int access_signal(volatile void *addr, bool write)
{
	volatile char *byte = addr;
	int status;
	pid_t pid = fork();

	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		if (write)
			*byte = 1;
		else
			(void)*byte;
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* Sends @fd and one byte over a socket. */
static inline int send_fd(int socket, int fd)
{
	union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof(int))]; } control = {};
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&msg);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return sendmsg(socket, &msg, 0) == 1 ? 0 : -errno;
}

static inline int receive_fd(int socket)
{
	union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof(int))]; } control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header;
	int fd;

	if (recvmsg(socket, &msg, 0) != 1)
		return -errno;
	header = CMSG_FIRSTHDR(&msg);
	if (!header || header->cmsg_type != SCM_RIGHTS)
		return -EBADMSG;
	memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

#endif /* CMEM_TEST_H */
