// SPDX-License-Identifier: GPL-2.0
/*
 * Each block as a DMA-BUF heap: which heaps exist, where their memory comes from and that
 * it returns there, that it is always clean, and how /dev/cmem sees it.
 */
#include "cmem_dmabuf.h"

#define MAX_BUFFERS 2048
#define RW (PROT_READ | PROT_WRITE)

/* SKIP if the kernel has no heaps at all. */
#define HEAPS_OR_SKIP() do {						\
	if (access(DMA_HEAPS, F_OK))					\
		SKIP(return, "no DMA-BUF heaps in this kernel");	\
} while (0)

/* The pool that should serve @length bytes, in whole pages, or CMEM_POOL_HEAP */
static __s32 best_pool(const struct cmem_block_info *b, const struct cmem_pool_info *pools,
		       __u64 length)
{
	for (__u32 i = 0; i < b->num_pools; i++)
		if (pools[i].length == length && pools[i].free)
			return pools[i].pool;
	return CMEM_POOL_HEAP;
}

static int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	int count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count;
}

/* Block number @i serves @length bytes, from the right place and from no other buffer. */
static void expect_served(struct __test_metadata *_metadata, int fd, int heap, unsigned int i,
			  __u64 length, bool cached)
{
	static struct snapshot before, now;
	const struct cmem_block_info *b = &before.block[i];
	__u64 page = page_size(), real;
	struct cmem_resolve res;
	int dmabuf;
	void *map;
	__s32 pool;

	ASSERT_EQ(0, take_snapshot(&before));
	real = (length + page - 1) & -page;
	pool = best_pool(b, before.pool[i], real);
	dmabuf = dma_heap_alloc(heap, length);
	if (pool == CMEM_POOL_HEAP && b->heap_largest < real) {
		EXPECT_EQ(-ENOMEM, dmabuf) TH_LOG("block %d: %llu bytes", b->block, length);
		expect_same(&before);
		return;
	}
	ASSERT_LE(0, dmabuf) TH_LOG("block %d: %llu bytes: %s", b->block, length,
				    strerror(-dmabuf));
	EXPECT_EQ(real, lseek(dmabuf, 0, SEEK_END));

	/* The counts include this buffer and nothing else. */
	ASSERT_EQ(0, take_snapshot(&now));
	for (unsigned int k = 0; k < now.num_blocks; k++) {
		__u64 heap_taken = k == i && pool == CMEM_POOL_HEAP ? real : 0;

		EXPECT_EQ(before.block[k].heap_free - heap_taken, now.block[k].heap_free);
		for (__u32 p = 0; p < now.block[k].num_pools; p++) {
			EXPECT_EQ(before.pool[k][p].free - (k == i && (__s32)p == pool),
				  now.pool[k][p].free)
				TH_LOG("%llu bytes of block %d: block %d pool %u", length,
				       b->block, now.block[k].block, p);
		}
	}
	map = dmabuf_map(dmabuf, 0, page);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, cmem_resolve(fd, map, &res));
	EXPECT_EQ(b->block, res.block);
	EXPECT_EQ(pool, res.pool);
	EXPECT_EQ(real, res.buffer_length);
	EXPECT_EQ(cached && b->kind != CMEM_KIND_SRAM ? CMEM_ALLOC_CACHED : 0, res.buffer_flags);
	ASSERT_EQ(0, munmap(map, page));
	if (real <= 2 * SZ_2M) {
		map = dmabuf_map(dmabuf, 0, real);
		ASSERT_MAPPED(map);
		if (!(b->out_flags & CMEM_BLOCK_KEEP_CONTENTS))
			EXPECT_EQ(-1, find_nonzero(map, real));
		fill(map, real, 1);
		EXPECT_EQ(-1, find_stranger(map, real, 1));
		ASSERT_EQ(0, munmap(map, real));
	}
	close(dmabuf);
	expect_same(&before);
}

FIXTURE(heaps)
{
	int fd;
	struct snapshot before;
};

FIXTURE_SETUP(heaps)
{
	OPEN_OR_SKIP(self->fd);
	DMABUF_OR_SKIP(self->fd);
	HEAPS_OR_SKIP();
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!self->before.num_blocks)
		SKIP(return, "no block");
}

FIXTURE_TEARDOWN(heaps)
{
	close(self->fd);
	expect_same(&self->before);
}

TEST_F(heaps, each_block_is_one)
{
	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		int heap = dma_heap_open(self->before.block[i].block);

		EXPECT_LE(0, heap) TH_LOG("block %d: %s", self->before.block[i].block,
					  strerror(-heap));
		close(heap);
	}
}

TEST_F(heaps, each_is_of_a_block_that_is_there_or_answers_ENODEV)
{
	DIR *dir = opendir(DMA_HEAPS);
	struct dirent *entry;
	int ours = 0;

	ASSERT_POINTER(dir);
	while ((entry = readdir(dir))) {
		bool cma = !strcmp(entry->d_name, "cmem-cma") ||
			   !strcmp(entry->d_name, "cmem-cma-uncached");
		int id = CMEM_BLOCK_CMA, heap, ret;
		struct cmem_block_info block;

		if (strncmp(entry->d_name, "cmem", 4))
			continue;
		if (!cma) {
			char *end;

			id = strtol(entry->d_name + 5, &end, 10);
			ASSERT_EQ('-', entry->d_name[4]);
			ASSERT_TRUE(end > entry->d_name + 5 &&
				    (!*end || !strcmp(end, "-uncached")))
				TH_LOG("%s", entry->d_name);
			ASSERT_LE(0, id);
		}
		heap = dma_heap_open_name(entry->d_name);
		ASSERT_LE(0, heap);
		ret = cmem_get_block(self->fd, id, &block);
		if (ret) {
			ASSERT_EQ(-ENOENT, ret);
			EXPECT_EQ(-ENODEV, dma_heap_alloc(heap, 1)) TH_LOG("%s", entry->d_name);
		} else {
			ours++;
		}
		close(heap);
	}
	closedir(dir);
	/* Each block, cached and uncached */
	EXPECT_EQ(2 * self->before.num_blocks, ours);
}

TEST_F(heaps, memory_comes_from_a_pool_of_that_length_or_the_blocks_heap)
{
	for (unsigned int i = 0; i < 2 * self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i / 2];
		int heap = dma_heap_open_as(b->block, i % 2 ? "-uncached" : "");
		const __u64 some[] = { 1, page_size() + 1, 100000 };

		ASSERT_LE(0, heap);
		if (b->out_flags & CMEM_BLOCK_DMA_HEAP_POOLS) {
			close(heap);
			continue;
		}
		for (size_t k = 0; k < ARRAY_SIZE(some); k++)
			expect_served(_metadata, self->fd, heap, i / 2, some[k], !(i % 2));
		for (__u32 p = 0; p < b->num_pools; p++) {
			__u64 length = self->before.pool[i / 2][p].length;

			/* CMA pools may have failed to reserve memory. */
			if (!self->before.pool[i / 2][p].count)
				continue;
			for (int k = -1; k <= 1; k++)
				expect_served(_metadata, self->fd, heap, i / 2, length + k,
					      !(i % 2));
		}
		close(heap);
	}
}

/* One block of each kind */

FIXTURE(heap)
{
	int fd;				/* of /dev/cmem */
	int heap;
	unsigned int block;		/* its index in the snapshot */
	__s32 id;
	unsigned long page;
	struct snapshot before;
};

FIXTURE_VARIANT(heap)
{
	__u32 kind;
};

FIXTURE_VARIANT_ADD(heap, carveout) { .kind = CMEM_KIND_CARVEOUT };
FIXTURE_VARIANT_ADD(heap, reserved) { .kind = CMEM_KIND_RESERVED };
FIXTURE_VARIANT_ADD(heap, cma) { .kind = CMEM_KIND_CMA };
FIXTURE_VARIANT_ADD(heap, sram) { .kind = CMEM_KIND_SRAM };

/* A block that can be used up, if possible with pools and a heap */
static bool choose_block(const struct snapshot *s, __u32 kind, unsigned int *block)
{
	bool found = false, good = false;

	for (unsigned int i = 0; i < s->num_blocks; i++) {
		const struct cmem_block_info *b = &s->block[i];
		bool better = b->num_pools && b->heap_size;
		__u64 buffers = 0;

		for (__u32 p = 0; p < b->num_pools; p++)
			buffers += s->pool[i][p].count;
		if (!is_of_kind(b, kind) || b->length > TOUCH_LIMIT || buffers > COUNT_LIMIT ||
		    (good && !better) ||
		    (found && good == better && b->length >= s->block[*block].length))
			continue;
		*block = i;
		found = true;
		good = better;
	}
	return found;
}

FIXTURE_SETUP(heap)
{
	struct rlimit limit = { 2 * MAX_BUFFERS, 2 * MAX_BUFFERS };

	self->page = page_size();
	OPEN_OR_SKIP(self->fd);
	DMABUF_OR_SKIP(self->fd);
	HEAPS_OR_SKIP();
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!choose_block(&self->before, variant->kind, &self->block))
		SKIP(return, "no such block on this board, or too much of it");
	self->id = self->before.block[self->block].block;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	self->heap = dma_heap_open(self->id);
	ASSERT_LE(0, self->heap);
}

FIXTURE_TEARDOWN(heap)
{
	close(self->heap);
	close(self->fd);
	expect_same(&self->before);
}

static int dmabufs[MAX_BUFFERS];
static struct cmem_alloc bufs[MAX_BUFFERS];

/* Allocates all of the heap; returns the number of DMA-BUFs, or an errno. */
static int take_all(int heap, const struct cmem_block_info *b, const struct cmem_pool_info *pools)
{
	__u64 page = page_size(), length = (b->heap_size / 16 + page - 1) & -page;
	int count = 0;

	/* A pool only serves buffers of exactly its length. */
	for (__u32 i = 0; i < b->num_pools; i++) {
		for (__u32 k = 0; k < pools[i].count; k++) {
			int fd = count < MAX_BUFFERS ? dma_heap_alloc(heap, pools[i].length) :
				 -ENOSPC;

			if (fd < 0)
				return fd;
			dmabufs[count++] = fd;
		}
	}
	for (;;) {
		int fd;

		if (count == MAX_BUFFERS)
			return -ENOSPC;
		fd = dma_heap_alloc(heap, length);
		if (fd >= 0) {
			dmabufs[count++] = fd;
			continue;
		}
		if (fd != -ENOMEM)
			return fd;
		if (length <= page)
			return count;
		length = (length / 2 + page - 1) & -page;
	}
}

static int heap_take_all(FIXTURE_DATA(heap) *self)
{
	return take_all(self->heap, &self->before.block[self->block],
			self->before.pool[self->block]);
}

/*
 * Allocates all of the block through /dev/cmem; returns the number of buffers or an
 * errno.
 */
static int cmem_take_all(FIXTURE_DATA(heap) *self, int fd, __u32 flags)
{
	struct source src = { .block = self->id };
	int count = 0;

	for (src.pool = CMEM_POOL_HEAP;
	     src.pool < (__s32)self->before.block[self->block].num_pools; src.pool++) {
		int ret;

		if (src.pool == CMEM_POOL_BEST ||
		    (src.pool == CMEM_POOL_HEAP && !self->before.block[self->block].heap_size) ||
		    (src.pool >= 0 && !self->before.pool[self->block][src.pool].count))
			continue;
		ret = drain(fd, &src, flags, bufs + count, MAX_BUFFERS - count);
		if (ret < 0)
			return ret;
		count += ret;
	}
	return count;
}

TEST_F(heap, all_of_the_block_can_be_had_and_not_more)
{
	static struct snapshot now;
	__u64 bytes = 0;
	int count;

	for (int round = 0; round < 3; round++) {
		count = heap_take_all(self);
		ASSERT_LT(0, count) TH_LOG("%s", strerror(-count));
		bytes = 0;
		for (int i = 0; i < count; i++)
			bytes += lseek(dmabufs[i], 0, SEEK_END);
		/* The kernel may use some CMA memory itself. */
		if (variant->kind != CMEM_KIND_CMA) {
			EXPECT_EQ(self->before.block[self->block].length, bytes);
			ASSERT_EQ(0, take_snapshot(&now));
			EXPECT_EQ(0, now.block[self->block].heap_free);
			for (__u32 p = 0; p < now.block[self->block].num_pools; p++) {
				EXPECT_EQ(0, now.pool[self->block][p].free);
			}
		}
		for (int i = 0; i < 10; i++) {
			EXPECT_REFUSED(ENOMEM, dma_heap_alloc(self->heap, 1));
			EXPECT_REFUSED(ENOMEM, dma_heap_alloc(self->heap, 1 << 20));
		}
		/* A freed buffer can be allocated again with the same length. */
		bytes = lseek(dmabufs[0], 0, SEEK_END);
		close(dmabufs[0]);
		dmabufs[0] = dma_heap_alloc(self->heap, bytes);
		EXPECT_LE(0, dmabufs[0]);
		for (int i = 0; i < count; i++)
			close(dmabufs[round ? i : count - 1 - i]);
		expect_same(&self->before);
	}
}

TEST_F(heap, when_no_pool_can_serve_the_heap_does)
{
	const struct cmem_block_info *b = &self->before.block[self->block];
	static struct snapshot now;
	struct cmem_resolve res;
	void *map;
	int fd;

	if (!b->num_pools || !b->heap_size)
		SKIP(return, "no block of this kind with pools and a heap");
	for (__u32 p = 0; p < b->num_pools; p++) {
		struct source src = { .block = self->id, .pool = p };

		ASSERT_LE(0, drain(self->fd, &src, 0, bufs, MAX_BUFFERS));
	}
	fd = dma_heap_alloc(self->heap, 3 * self->page);
	ASSERT_LE(0, fd);
	EXPECT_EQ(3 * self->page, lseek(fd, 0, SEEK_END));
	map = dmabuf_map(fd, 0, 3 * self->page);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, cmem_resolve(self->fd, map, &res));
	EXPECT_EQ(CMEM_POOL_HEAP, res.pool);
	ASSERT_EQ(0, take_snapshot(&now));
	EXPECT_EQ(b->heap_free - 3 * self->page, now.block[self->block].heap_free);
	ASSERT_EQ(0, munmap(map, 3 * self->page));
	close(fd);
}

/* Longer pool buffers are left for programs that rely on them. */
TEST_F(heap, longer_buffers_of_pools_are_left_alone)
{
	const struct cmem_block_info *b = &self->before.block[self->block];
	struct source src = { .block = self->id, .pool = CMEM_POOL_HEAP };
	int fds[400], count;

	if (!b->num_pools || !b->heap_size || b->out_flags & CMEM_BLOCK_DMA_HEAP_POOLS)
		SKIP(return, "no block of this kind with pools and a heap");
	for (count = 0; count < 400; count++) {
		fds[count] = dma_heap_alloc(self->heap, 3 * self->page);
		if (fds[count] < 0)
			break;
		EXPECT_EQ(3 * self->page, lseek(fds[count], 0, SEEK_END));
	}
	EXPECT_LT(0, count);
	/* All of the heap, but no pool buffer of another length */
	ASSERT_LE(0, drain(self->fd, &src, 0, bufs, MAX_BUFFERS));
	EXPECT_REFUSED(ENOMEM, dma_heap_alloc(self->heap, 3 * self->page));
	for (__u32 p = 0; p < b->num_pools; p++) {
		struct cmem_pool_info pool;

		ASSERT_EQ(0, cmem_get_pool(self->fd, self->id, p, &pool));
		if (pool.length != 3 * self->page && pool.length != self->page) {
			EXPECT_EQ(self->before.pool[self->block][p].free, pool.free);
		}
	}
	while (count--)
		close(fds[count]);
}

TEST_F(heap, more_than_the_block_is_ENOMEM)
{
	const __u64 length = self->before.block[self->block].length;
	const __u64 lengths[] = {
		length + 1, length + self->page, 2 * length, 1ULL << 31, 0xfffff000ULL,
		/* Lengths that the core of a 32-bit kernel truncates */
		1ULL << 40, (1ULL << 40) + self->page, 1ULL << 62, 1ULL << 63,
		-2 * (__u64)self->page,
	};

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		if (lengths[i] <= length || (lengths[i] > 0xfffff000ULL && on_32_bit_kernel()))
			continue;
		EXPECT_REFUSED(ENOMEM, dma_heap_alloc(self->heap, lengths[i]))
			TH_LOG("%#llx", lengths[i]);
	}
	/* All of it at once, if there are pools. */
	if (self->before.block[self->block].num_pools) {
		EXPECT_REFUSED(ENOMEM, dma_heap_alloc(self->heap, length));
	}
}

static int alloc_raw(int heap, __u64 length, __u32 fd, __u32 fd_flags, __u64 heap_flags)
{
	struct dma_heap_allocation_data arg = {
		.len = length, .fd = fd, .fd_flags = fd_flags, .heap_flags = heap_flags,
	};

	return cmem_ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &arg);
}

TEST_F(heap, bad_requests_are_EINVAL)
{
	int fds = count_fds();

	EXPECT_REFUSED(EINVAL, alloc_raw(self->heap, 0, 0, O_RDWR, 0));
	EXPECT_REFUSED(EINVAL, alloc_raw(self->heap, ~0ULL, 0, O_RDWR, 0));
	EXPECT_REFUSED(EINVAL, alloc_raw(self->heap, 1, 1, O_RDWR, 0));
	EXPECT_REFUSED(EINVAL, alloc_raw(self->heap, 1, -1, O_RDWR, 0));
	for (int bit = 0; bit < 32; bit++) {
		EXPECT_REFUSED(EINVAL, alloc_raw(self->heap, 1, 0, O_RDWR, 1ULL << bit));
		if (1U << bit & (O_CLOEXEC | O_ACCMODE))
			continue;
		EXPECT_REFUSED(EINVAL, alloc_raw(self->heap, 1, 0, O_RDWR | 1U << bit, 0))
			TH_LOG("bit %d", bit);
	}
	EXPECT_REFUSED(EINVAL, alloc_raw(self->heap, 1, 0, O_RDWR, 1ULL << 63));
	EXPECT_EQ(fds, count_fds());
}

/* DMA-BUFs whose numbers did not reach the caller: some kernels leave them open. */
static void close_dmabufs(void)
{
	for (int fd = STDERR_FILENO + 1; fd < 128; fd++) {
		char path[32], what[32] = "";

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, what, sizeof(what) - 1) > 0 && strstr(what, "dmabuf"))
			close(fd);
	}
}

TEST_F(heap, what_can_not_be_handed_out_is_not_lost)
{
	struct dma_heap_allocation_data *arg = mmap(NULL, self->page, RW,
						    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fds = count_fds(), top = dup(self->fd);
	struct rlimit old, limit;

	ASSERT_MAPPED(arg);
	close(top);
	*arg = (struct dma_heap_allocation_data){ .len = 1, .fd_flags = O_RDWR };
	ASSERT_EQ(0, mprotect(arg, self->page, PROT_READ));
	for (int i = 0; i < 10; i++) {
		EXPECT_EQ(-EFAULT, cmem_ioctl(self->heap, DMA_HEAP_IOCTL_ALLOC, arg));
		close_dmabufs();
		expect_same(&self->before);
	}
	ASSERT_EQ(0, munmap(arg, self->page));
	EXPECT_REFUSED(EFAULT, cmem_ioctl(self->heap, DMA_HEAP_IOCTL_ALLOC, arg));

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	limit = (struct rlimit){ .rlim_cur = top, .rlim_max = old.rlim_max };
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	for (int i = 0; i < 10; i++) {
		EXPECT_REFUSED(EMFILE, dma_heap_alloc(self->heap, 1));
	}
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_EQ(fds, count_fds());
}

TEST_F(heap, a_DMA_BUF_is_open_for_what_was_asked)
{
	const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		for (int cloexec = 0; cloexec < 2; cloexec++) {
			int fd = dma_heap_alloc_flags(self->heap, 1,
						      modes[i] | (cloexec ? O_CLOEXEC : 0));
			void *map;

			ASSERT_LE(0, fd);
			EXPECT_EQ(modes[i], fcntl(fd, F_GETFL) & O_ACCMODE);
			EXPECT_EQ(cloexec ? FD_CLOEXEC : 0, fcntl(fd, F_GETFD));
			map = mmap(NULL, self->page, RW, MAP_SHARED, fd, 0);
			EXPECT_EQ(modes[i] == O_RDWR, map != MAP_FAILED);
			if (map != MAP_FAILED)
				munmap(map, self->page);
			close(fd);
		}
	}
}

TEST_F(heap, the_last_holder_gives_the_memory_back)
{
	int fd = dma_heap_alloc(self->heap, 2 * self->page), twin;
	pid_t pid;
	char *map;

	ASSERT_LE(0, fd);
	twin = dup(fd);
	map = dmabuf_map(fd, self->page, self->page);
	ASSERT_MAPPED(map);
	close(fd);
	EXPECT_FALSE(is_same(&self->before));
	/* The heap's own file does not hold the buffer, and may be closed. */
	close(self->heap);
	fill(map, self->page, 1);
	IN_CHILD(pid) {
		ASSERT_EQ(-1, find_stranger(map, self->page, 1));
		close(twin);
		ASSERT_EQ(0, munmap(map, self->page));
	}
	join_child(pid);
	EXPECT_FALSE(is_same(&self->before));
	close(twin);
	EXPECT_FALSE(is_same(&self->before));
	EXPECT_EQ(-1, find_stranger(map, self->page, 1));
	ASSERT_EQ(0, munmap(map, self->page));
	expect_same(&self->before);
	self->heap = dma_heap_open(self->id);
}

/* Clean memory */

enum user { HEAP, CMEM_CACHED, CMEM_NONCACHED };

/* Allocates all, checks each buffer, writes to each, and frees them. */
static void use_all(struct __test_metadata *_metadata, FIXTURE_DATA(heap) *self, enum user user,
		    bool zero, __u32 tag)
{
	int fd = cmem_open(), count;

	ASSERT_LE(0, fd);
	if (user == HEAP)
		count = heap_take_all(self);
	else
		count = cmem_take_all(self, fd, user == CMEM_CACHED ? CMEM_ALLOC_CACHED : 0);
	ASSERT_LT(0, count) TH_LOG("%s", strerror(-count));
	for (int i = 0; i < count; i++) {
		__u64 length = user == HEAP ? lseek(dmabufs[i], 0, SEEK_END) : bufs[i].length;
		char *map = user == HEAP ? dmabuf_map(dmabufs[i], 0, length) :
			    cmem_map(fd, &bufs[i]);

		ASSERT_MAPPED(map);
		if (zero)
			EXPECT_EQ(-1, find_nonzero(map, length)) TH_LOG("buffer %d", i);
		fill(map, length, tag);
		ASSERT_EQ(0, munmap(map, length));
		if (user == HEAP)
			close(dmabufs[i]);
	}
	close(fd);
}

TEST_F(heap, what_another_one_wrote_is_zero)
{
	static const struct { enum user first, then; } turns[] = {
		{ HEAP, HEAP }, { HEAP, CMEM_CACHED }, { CMEM_CACHED, HEAP },
		{ CMEM_NONCACHED, HEAP }, { HEAP, CMEM_NONCACHED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(turns); i++) {
		use_all(_metadata, self, turns[i].first, true, 0x1000 + i);
		use_all(_metadata, self, turns[i].then, true, 0x2000 + i);
		ASSERT_FALSE(has_failed(_metadata))
			TH_LOG("after %d came %d", turns[i].first, turns[i].then);
	}
}

/* There is no owner that could get its memory back as it left it. */
TEST_F(heap, what_one_wrote_oneself_is_zero)
{
	for (unsigned int n = 0; n < scaled(300); n++) {
		int fd = dma_heap_alloc(self->heap, n % 3 ? 1 : 3 * self->page);
		__u64 length;
		char *map;

		ASSERT_LE(0, fd);
		length = lseek(fd, 0, SEEK_END);
		map = dmabuf_map(fd, 0, length);
		ASSERT_MAPPED(map);
		ASSERT_EQ(-1, find_nonzero(map, length)) TH_LOG("time %u", n);
		fill(map, length, 0xabcd);
		/* It does not matter which of the two goes last. */
		if (n % 2)
			close(fd);
		ASSERT_EQ(0, munmap(map, length));
		if (!(n % 2))
			close(fd);
		/* Sometimes the cleaner runs in between. */
		if (n % 50 == 0)
			usleep(n * 1000);
	}
}

/*
 * /dev/cmem and /proc/cmem
 */

/* Where a DMA-BUF lies: through a registration that is then dropped */
static __u64 phys_of(struct __test_metadata *_metadata, int fd, int dmabuf)
{
	struct cmem_register reg;

	ASSERT_EQ(0, cmem_register_dmabuf_info(fd, dmabuf, &reg));
	ASSERT_EQ(0, cmem_free(fd, reg.phys_addr));
	return reg.phys_addr;
}

/* Whether /proc/cmem shows a buffer of the block as busy */
static bool proc_shows(__s32 id, __u64 phys_addr)
{
	FILE *proc = fopen("/proc/cmem", "re");
	bool here = false, busy = false, found = false;
	char line[256];

	while (proc && fgets(line, sizeof(line), proc)) {
		unsigned long long at;
		char *text;
		int block;

		if (sscanf(line, "Block %d:", &block) == 1)
			here = block == id;
		else if (strstr(line, " busy bufs:"))
			busy = true;
		else if (strstr(line, " free bufs:"))
			busy = false;
		text = strstr(line, "phys addr ");
		if (here && busy && text && sscanf(text, "phys addr %llx", &at) == 1)
			found |= at == phys_addr;
	}
	if (proc)
		fclose(proc);
	return found;
}

TEST_F(heap, proc_cmem_shows_it)
{
	const __u64 lengths[] = { 1, self->before.block[self->block].heap_largest / 2 };

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		__u64 phys_addr;
		pid_t pid;
		int fd;

		if (!lengths[i])
			continue;
		fd = dma_heap_alloc(self->heap, lengths[i]);
		ASSERT_LE(0, fd);
		phys_addr = phys_of(_metadata, self->fd, fd);
		EXPECT_TRUE(proc_shows(self->id, phys_addr)) TH_LOG("%#llx", phys_addr);
		/* Nobody is registered, so only root could reach it by address. */
		if (!getuid()) {
			IN_CHILD(pid) {
				ASSERT_EQ(0, become_user(OTHER_UID));
				if (cmem_register(cmem_open(), phys_addr) == -ENOENT)
					ASSERT_FALSE(proc_shows(self->id, phys_addr));
			}
			join_child(pid);
		}
		close(fd);
		EXPECT_FALSE(proc_shows(self->id, phys_addr)) TH_LOG("%#llx", phys_addr);
	}
}

TEST_F(heap, REGISTER_by_it_gives_an_address_and_a_mapping)
{
	int fd = dma_heap_alloc(self->heap, 2 * self->page), other_fd = cmem_open(), second;
	struct cmem_register reg;
	struct cmem_alloc seen;
	char *map, *own;

	ASSERT_LE(0, fd);
	ASSERT_LE(0, other_fd);
	ASSERT_EQ(0, cmem_register_dmabuf_info(self->fd, fd, &reg));
	EXPECT_EQ(self->id, reg.block);
	EXPECT_EQ(lseek(fd, 0, SEEK_END), reg.length);
	EXPECT_EQ(reg.phys_addr, reg.mmap_offset);
	EXPECT_EQ(variant->kind == CMEM_KIND_SRAM ? 0 : CMEM_ALLOC_CACHED, reg.buffer_flags);
	seen = (struct cmem_alloc){ .length = reg.length, .mmap_offset = reg.mmap_offset };
	own = cmem_map(self->fd, &seen);
	ASSERT_MAPPED(own);
	map = dmabuf_map(fd, 0, reg.length);
	ASSERT_MAPPED(map);
	fill(map, reg.length, 2);
	EXPECT_EQ(-1, find_stranger(own, reg.length, 2));

	/* From now on it is a buffer like any other. */
	EXPECT_EQ(0, cmem_register(other_fd, reg.phys_addr));
	EXPECT_EQ(0, cmem_free(other_fd, reg.phys_addr));
	EXPECT_REFUSED(EPERM, cmem_free(other_fd, reg.phys_addr));
	second = cmem_export(self->fd, reg.phys_addr, O_RDWR | O_CLOEXEC);
	EXPECT_LE(0, second);
	EXPECT_EQ(reg.length, lseek(second, 0, SEEK_END));
	close(second);
	close(fd);
	ASSERT_EQ(0, munmap(map, reg.length));
	EXPECT_EQ(-1, find_stranger(own, reg.length, 2));
	ASSERT_EQ(0, munmap(own, reg.length));
	EXPECT_FALSE(is_same(&self->before));
	EXPECT_EQ(0, cmem_free(self->fd, reg.phys_addr));
	expect_same(&self->before);
	close(other_fd);
}

TEST_F(heap, REGISTER_by_its_address_wants_somebody_who_is_registered)
{
	int fd = dma_heap_alloc(self->heap, 1), other_fd = cmem_open();
	struct cmem_register reg;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, cmem_register_dmabuf_info(self->fd, fd, &reg));
	ASSERT_EQ(0, cmem_free(self->fd, reg.phys_addr));
	for (int i = 0; i < 2; i++) {
		EXPECT_REFUSED(ENOENT, cmem_register(self->fd, reg.phys_addr));
		EXPECT_REFUSED(ENOENT, cmem_register(other_fd, reg.phys_addr));
		EXPECT_REFUSED(ENOENT, cmem_free(self->fd, reg.phys_addr));
		EXPECT_REFUSED(ENOENT, cmem_export(self->fd, reg.phys_addr, O_RDWR));
		ASSERT_EQ(0, cmem_register_dmabuf(self->fd, fd));
		EXPECT_EQ(0, cmem_register(other_fd, reg.phys_addr));
		EXPECT_EQ(0, cmem_free(self->fd, reg.phys_addr));
		EXPECT_EQ(0, cmem_register(self->fd, reg.phys_addr));
		EXPECT_EQ(0, cmem_free(self->fd, reg.phys_addr));
		EXPECT_EQ(0, cmem_free(other_fd, reg.phys_addr));
	}
	close(fd);
	close(other_fd);
}

/* Blocks that come and go */

FIXTURE(removal)
{
	int fd;
	int heap;
	struct spare_block spare;
	__s32 id;
	__s32 unused;			/* a number that no block has */
	struct snapshot before;
};

FIXTURE_SETUP(removal)
{
	OPEN_OR_SKIP(self->fd);
	DMABUF_OR_SKIP(self->fd);
	HEAPS_OR_SKIP();
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!find_spare_block(self->fd, CMEM_BLOCK_CMA, &self->spare))
		SKIP(return, "no block to remove");
	self->id = self->spare.info.block;
	/* Below 32, where added blocks have heaps with their numbers */
	for (self->unused = 31; self->unused > 0; self->unused--) {
		struct cmem_block_info b;

		if (cmem_get_block(self->fd, self->unused, &b) == -ENOENT)
			break;
	}
	self->heap = dma_heap_open(self->id);
	ASSERT_LE(0, self->heap);
	ASSERT_EQ(0, cmem_block_remove(self->fd, self->id));
}

FIXTURE_TEARDOWN(removal)
{
	/* What a failed test left behind */
	cmem_block_remove(self->fd, self->unused);
	cmem_block_remove(self->fd, self->id);
	EXPECT_EQ(0, put_back_block(self->fd, &self->spare));
	close(self->heap);
	close(self->fd);
	expect_same(&self->before);
}

TEST_F(removal, without_its_block_a_heap_answers_ENODEV)
{
	const struct cmem_block_pool pools[] = { { .count = 2, .length = 1 } };
	int second, fd;

	for (int i = 0; i < 3; i++) {
		second = dma_heap_open(self->id);
		ASSERT_LE(0, second);
		EXPECT_REFUSED(ENODEV, dma_heap_alloc(self->heap, 1));
		EXPECT_REFUSED(ENODEV, dma_heap_alloc(second, 1 << 20));
		EXPECT_REFUSED(ENODEV, dma_heap_alloc(second, self->spare.info.length * 2));
		EXPECT_REFUSED(EINVAL, dma_heap_alloc(second, 0));

		/* The layout differs each time, and heaps opened before still work. */
		ASSERT_EQ(0, cmem_block_add(self->fd, self->id, self->spare.info.base,
					    self->spare.info.length / (i + 1) & -page_size(), 0,
					    pools, i % 2));
		fd = dma_heap_alloc(self->heap, 1);
		ASSERT_LE(0, fd);
		EXPECT_REFUSED(EBUSY, cmem_block_remove(self->fd, self->id));
		close(fd);
		fd = dma_heap_alloc(second, self->spare.info.length / 4);
		ASSERT_LE(0, fd);
		EXPECT_REFUSED(ENOMEM, dma_heap_alloc(second, self->spare.info.length * 2));
		EXPECT_REFUSED(EBUSY, cmem_block_remove(self->fd, self->id));
		close(fd);
		EXPECT_EQ(0, cmem_block_remove(self->fd, self->id));
		close(second);
	}
}

TEST_F(removal, a_block_of_a_new_number_is_a_heap_at_once)
{
	int heap, fd;

	ASSERT_EQ(0, cmem_block_add(self->fd, self->unused, self->spare.info.base,
				    self->spare.info.length, 0, NULL, 0));
	heap = dma_heap_open(self->unused);
	ASSERT_LE(0, heap);
	EXPECT_REFUSED(ENODEV, dma_heap_alloc(self->heap, 1));
	fd = dma_heap_alloc(heap, self->spare.info.length);
	ASSERT_LE(0, fd);
	EXPECT_EQ(self->spare.info.base, phys_of(_metadata, self->fd, fd));
	close(fd);
	EXPECT_EQ(0, cmem_block_remove(self->fd, self->unused));
	EXPECT_REFUSED(ENODEV, dma_heap_alloc(heap, 1));
	close(heap);
}

/* If the board says so, DMA-BUF heap allocations may use any longer pool buffer. */
TEST_F(removal, longer_buffers_of_pools_serve_where_the_block_says_so)
{
	const __u64 page = page_size(), length = 16 * page;
	const struct cmem_block_pool pool = { .count = 3, .length = length };
	struct cmem_resolve res;
	int fds[3], fd;
	void *map;

	/* If the board always sets the flag, the case without it is omitted. */
	for (int with = !!(self->spare.info.out_flags & CMEM_BLOCK_DMA_HEAP_POOLS); with < 2;
	     with++) {
		ASSERT_EQ(0, cmem_block_add(self->fd, self->id, self->spare.info.base, 3 * length,
					    with ? CMEM_BLOCK_DMA_HEAP_POOLS : 0, &pool, 1));
		for (int i = 0; i < 3; i++) {
			fds[i] = dma_heap_alloc(self->heap, 3 * page - 1);
			if (!with) {
				EXPECT_EQ(-ENOMEM, fds[i]);
				continue;
			}
			/* Still as long as requested */
			ASSERT_LE(0, fds[i]);
			EXPECT_EQ(3 * page, lseek(fds[i], 0, SEEK_END));
			ASSERT_TRUE(dmabuf_map(fds[i], 0, 4 * page) == MAP_FAILED);
			map = dmabuf_map(fds[i], 0, 3 * page);
			ASSERT_MAPPED(map);
			ASSERT_EQ(0, cmem_resolve(self->fd, map, &res));
			EXPECT_EQ(length, res.buffer_length);
			EXPECT_EQ(0, res.pool);
			ASSERT_EQ(0, munmap(map, 3 * page));
		}
		fd = dma_heap_alloc(self->heap, length);
		if (with) {
			EXPECT_EQ(-ENOMEM, fd);
			for (int i = 0; i < 3; i++)
				close(fds[i]);
		} else {
			EXPECT_LE(0, fd);
			close(fd);
		}
		ASSERT_EQ(0, cmem_block_remove(self->fd, self->id));
	}
}

static int add_with_names(int fd, __s32 block, __u64 base, __u64 length, const char *names)
{
	struct cmem_block_add add = {
		.size = sizeof(add), .block = block, .base = base, .length = length,
		.dma_heap_names = (unsigned long)names,
	};

	return cmem_ioctl(fd, CMEM_IOCTL_BLOCK_ADD, &add);
}

/* The block of the heap with this name, or an errno, and whether it is cached */
static int block_of_name(int fd, const char *name, bool *cached)
{
	int heap = dma_heap_open_name(name), dmabuf, ret;
	const __u64 page = page_size();
	struct cmem_resolve res;
	void *map;

	if (heap < 0)
		return heap;
	dmabuf = dma_heap_alloc(heap, page);
	close(heap);
	if (dmabuf < 0)
		return dmabuf;
	map = dmabuf_map(dmabuf, 0, page);
	ret = map == MAP_FAILED ? -ENOMEM : cmem_resolve(fd, map, &res);
	if (map != MAP_FAILED)
		munmap(map, page);
	close(dmabuf);
	*cached = res.buffer_flags & CMEM_ALLOC_CACHED;
	return ret ?: res.block;
}

TEST_F(removal, a_block_has_the_names_that_it_is_given)
{
	const __u64 half = self->spare.info.length / 2 & -page_size();
	const __u64 base = self->spare.info.base;
	bool cached;

	ASSERT_EQ(0, add_with_names(self->fd, self->id, base, half,
				    "test,heap:test.heap-uncached:test@heap"));
	EXPECT_EQ(self->id, block_of_name(self->fd, "test,heap", &cached));
	EXPECT_EQ(self->spare.info.kind != CMEM_KIND_SRAM, cached);
	EXPECT_EQ(self->id, block_of_name(self->fd, "test.heap-uncached", &cached));
	EXPECT_FALSE(cached);
	EXPECT_EQ(self->id, block_of_name(self->fd, "test@heap", &cached));

	/* A name in use is skipped, and the block still exists. */
	ASSERT_EQ(0, add_with_names(self->fd, self->unused, base + half, half,
				    "test,heap:test+other"));
	EXPECT_EQ(self->id, block_of_name(self->fd, "test,heap", &cached));
	EXPECT_EQ(self->unused, block_of_name(self->fd, "test+other", &cached));
	ASSERT_EQ(0, cmem_block_remove(self->fd, self->unused));
	ASSERT_EQ(0, cmem_block_remove(self->fd, self->id));
	EXPECT_EQ(-ENODEV, block_of_name(self->fd, "test,heap", &cached));

	/* A name that is free again may go to another block. */
	ASSERT_EQ(0, add_with_names(self->fd, self->unused, base, half, "test,heap"));
	EXPECT_EQ(self->unused, block_of_name(self->fd, "test,heap", &cached));
	EXPECT_EQ(-ENODEV, block_of_name(self->fd, "test@heap", &cached));
	ASSERT_EQ(0, cmem_block_remove(self->fd, self->unused));

	/* A block does not inherit names of an earlier block with its number either. */
	ASSERT_EQ(0, add_with_names(self->fd, self->unused, base, half, NULL));
	EXPECT_EQ(-ENODEV, block_of_name(self->fd, "test,heap", &cached));
	ASSERT_EQ(0, add_with_names(self->fd, self->id, base + half, half, "test,heap"));
	EXPECT_EQ(self->id, block_of_name(self->fd, "test,heap", &cached));
	ASSERT_EQ(0, cmem_block_remove(self->fd, self->unused));
	ASSERT_EQ(0, cmem_block_remove(self->fd, self->id));
}

TEST_F(removal, names_that_can_not_be_are_refused)
{
	static const char *const bad[] = {
		"", ":", "a:", ":a", "a::b", ".", "..", ".a", "a/b", "a b", "a\n", "cmem-0",
		"a:cmem-cma", "\xc3\xa4", "a:b/../c",
	};
	const __u64 base = self->spare.info.base, length = self->spare.info.length;
	char longer[2 * CMEM_MAX_DMA_HEAP_NAMES];
	int heaps = count_entries(DMA_HEAPS);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_REFUSED(EINVAL, add_with_names(self->fd, self->id, base, length, bad[i]))
			TH_LOG("'%s'", bad[i]);
	}
	memset(longer, 'a', sizeof(longer));
	longer[CMEM_MAX_DMA_HEAP_NAME + 1] = 0;
	EXPECT_REFUSED(EINVAL, add_with_names(self->fd, self->id, base, length, longer));
	for (size_t i = 1; i < sizeof(longer); i += 2)
		longer[i] = ':';
	for (size_t i = 0; i < sizeof(longer); i += 2)
		longer[i] = 'a';
	longer[CMEM_MAX_DMA_HEAP_NAMES + 1] = 0;
	EXPECT_REFUSED(EOVERFLOW, add_with_names(self->fd, self->id, base, length, longer));
	longer[sizeof(longer) - 1] = 'a';
	EXPECT_REFUSED(EOVERFLOW, add_with_names(self->fd, self->id, base, length, longer));
	EXPECT_REFUSED(EFAULT, add_with_names(self->fd, self->id, base, length, (char *)8));
	EXPECT_EQ(heaps, count_entries(DMA_HEAPS));
}

/* The system has room for 128 heaps, and none of them can be removed. */
TEST_F(removal, numbers_that_come_and_go_use_up_no_heaps)
{
	int heaps = count_entries(DMA_HEAPS), heap;

	for (int i = 0; i < 200; i++) {
		ASSERT_EQ(0, cmem_block_add(self->fd, 1000 + i, self->spare.info.base,
					    self->spare.info.length, 0, NULL, 0));
		ASSERT_EQ(0, cmem_block_remove(self->fd, 1000 + i));
	}
	EXPECT_EQ(heaps, count_entries(DMA_HEAPS));
	/* There is room for a name from the board. */
	ASSERT_EQ(0, add_with_names(self->fd, 1000, self->spare.info.base,
				    self->spare.info.length, "test-last"));
	heap = dma_heap_open_name("test-last");
	EXPECT_LE(0, heap);
	close(heap);
	ASSERT_EQ(0, cmem_block_remove(self->fd, 1000));
}

TEST_HARNESS_MAIN
