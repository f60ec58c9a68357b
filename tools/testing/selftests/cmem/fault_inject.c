// SPDX-License-Identifier: GPL-2.0
/*
 * The test makes each allocation and each access to user memory in a call fail once: the
 * first, the second, and so on until the call succeeds (Documentation/fault-injection:
 * fail-nth). A call fails with ENOMEM or EFAULT and changes nothing, or it succeeds;
 * FREE, munmap() and close() never lose anything. The kernel log shows any other error:
 * best run with KASAN, lockdep and kmemleak.
 */
#include <sys/mount.h>

#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif
#include <sys/syscall.h>
#include <sys/uio.h>

#include "cmem_dmabuf.h"

#define DEBUGFS "/sys/kernel/debug"
#define RDWR (O_RDWR | O_CLOEXEC)
/* More than any call here has; it only ends a sweep that never succeeds. */
#define SWEEP_CAP 500

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

/* Makes all kinds of allocations fail, silently; false without fault injection. */
static bool prepare_injection(void)
{
	struct dirent *entry;
	DIR *dir;

	if (access(DEBUGFS "/failslab", F_OK))
		mount("debugfs", DEBUGFS, "debugfs", 0, NULL);
	if (!put(DEBUGFS "/failslab/ignore-gfp-wait", "N"))
		return false;
	put(DEBUGFS "/fail_page_alloc/ignore-gfp-wait", "N");
	put(DEBUGFS "/fail_page_alloc/ignore-gfp-highmem", "N");
	put(DEBUGFS "/fail_page_alloc/min-order", "0");
	dir = opendir(DEBUGFS);
	while (dir && (entry = readdir(dir))) {
		char path[300];

		if (strncmp(entry->d_name, "fail", 4))
			continue;
		snprintf(path, sizeof(path), DEBUGFS "/%s/verbose", entry->d_name);
		put(path, "0");
	}
	if (dir)
		closedir(dir);
	return true;
}

/*
 * The C library has registered a place where the kernel writes the CPU's number when a
 * thread was preempted. After fork() the kernel has to copy that page first, and kills
 * the process if that fails: this is no failure of the call under test.
 */
static void unregister_rseq(void)
{
#if __has_include(<sys/rseq.h>)
	if (__rseq_size)
		syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset,
			sizeof(struct rseq), RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
#endif
}

FIXTURE(fail)
{
	int nth;			/* of this task */
	int fd;
	int other_fd;
	struct source src;
	struct cmem_alloc own;		/* of fd */
	struct cmem_alloc others;	/* of other */
	char *map;			/* of own */
	unsigned long page;
	struct snapshot before;
};

FIXTURE_VARIANT(fail)
{
	int kind;
	bool heap;
};

FIXTURE_VARIANT_ADD(fail, pool) { .kind = ANY_KIND, .heap = false };
FIXTURE_VARIANT_ADD(fail, heap) { .kind = ANY_KIND, .heap = true };
FIXTURE_VARIANT_ADD(fail, cma_pool) { .kind = CMEM_KIND_CMA, .heap = false };
FIXTURE_VARIANT_ADD(fail, cma_heap) { .kind = CMEM_KIND_CMA, .heap = true };

FIXTURE_SETUP(fail)
{
	char path[64];

	self->page = page_size();
	unregister_rseq();
	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	snprintf(path, sizeof(path), "/proc/self/task/%d/fail-nth", getpid());
	self->nth = open(path, O_RDWR | O_CLOEXEC);
	if (self->nth < 0 || !prepare_injection())
		SKIP(return, "no fault injection in this kernel");
	self->other_fd = cmem_open();
	ASSERT_LE(0, self->other_fd);
	if (!(variant->heap ? find_heap_source(variant->kind, 16 * self->page, &self->src) :
			      find_pool_source(variant->kind, 2 * self->page, 4, &self->src)))
		SKIP(return, "no room for four buffers");
	if (variant->heap)
		self->src.length = 4 * self->page;
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, CMEM_ALLOC_CACHED, &self->own));
	ASSERT_EQ(0, source_alloc(self->other_fd, &self->src, CMEM_ALLOC_CACHED, &self->others));
	self->map = cmem_map(self->fd, &self->own);
	ASSERT_MAPPED(self->map);
}

FIXTURE_TEARDOWN(fail)
{
	munmap(self->map, self->own.length);
	close(self->fd);
	close(self->other_fd);
	close(self->nth);
	expect_same(&self->before);
}

/* From now on the @n-th operation that can fail does fail. */
static bool arm(int nth_fd, unsigned int n)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", n);

	return pwrite(nth_fd, text, length, 0) == length;
}

/* Whether it did. This can fail itself, and so may take two calls. */
static bool disarm(int nth_fd)
{
	char text[16] = "";
	bool failed = false;

	if (pread(nth_fd, text, sizeof(text), 0) < 0)
		failed = false;		/* this failed, and nothing in the call */
	else
		failed = text[0] == '0';
	while (pwrite(nth_fd, "0", 1, 0) != 1)
		;
	return failed;
}

/*
 * Sweeps @call, an expression with the value 0 or a negative errno. A failure changes
 * nothing; after a success @undo restores the state. Ends with the first call in which
 * nothing fails, which must succeed. An earlier failure proves that the sweep worked.
 */
#define SWEEP(call, undo) do {						\
	static struct snapshot _start;					\
	unsigned int _n, _failed = 0;					\
									\
	ASSERT_EQ(0, take_snapshot(&_start));				\
	for (_n = 1; _n < SWEEP_CAP; _n++) {				\
		bool _injected;						\
		int _ret;						\
									\
		ASSERT_TRUE(arm(self->nth, _n));			\
		_ret = (call);						\
		_injected = disarm(self->nth);				\
		_failed += _ret < 0;					\
		ASSERT_TRUE(!_ret || (_injected && (_ret == -ENOMEM || _ret == -EFAULT))) \
			TH_LOG("n %u: %s", _n, strerror(-_ret));	\
		if (!_ret) {						\
			undo;						\
		}							\
		expect_same(&_start);					\
		ASSERT_FALSE(has_failed(_metadata)) TH_LOG("n %u: %d", _n, _ret); \
		if (!_injected)						\
			break;						\
	}								\
	ASSERT_GT(SWEEP_CAP, _n);					\
	ASSERT_LT(0, _failed) TH_LOG("nothing was made to fail");	\
} while (0)

static int open_it(int *fd)
{
	*fd = cmem_open();
	return *fd < 0 ? -errno : 0;
}

TEST_F(fail, open)
{
	int fd;

	SWEEP(open_it(&fd), close(fd));
}

TEST_F(fail, get_info)
{
	struct cmem_info info;

	SWEEP(cmem_get_info(self->fd, &info), (void)0);
}

TEST_F(fail, get_block)
{
	struct cmem_block_info info;

	SWEEP(cmem_get_block(self->fd, self->src.block, &info), (void)0);
}

TEST_F(fail, get_pool_and_find_pool)
{
	struct cmem_pool_info info;
	__s32 found;

	if (variant->heap)
		SKIP(return, "pools only");
	SWEEP(cmem_get_pool(self->fd, self->src.block, self->src.pool, &info), (void)0);
	SWEEP(cmem_find_pool(self->fd, self->src.block, 1, &found), (void)0);
}

TEST_F(fail, alloc)
{
	struct cmem_alloc buf;

	SWEEP(source_alloc(self->fd, &self->src, 0, &buf),
	      ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr)));
	SWEEP(cmem_alloc(self->fd, self->src.block, CMEM_POOL_BEST, 1, CMEM_ALLOC_HEAP_FALLBACK,
			 &buf),
	      ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr)));
}

/* Memory that the call has to clean */
TEST_F(fail, alloc_of_what_another_owner_left)
{
	struct cmem_alloc buf;

	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, cmem_free(self->other_fd, self->others.phys_addr));
		SWEEP(source_alloc(self->fd, &self->src, CMEM_ALLOC_CACHED, &buf),
		      ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr)));
		ASSERT_EQ(0, source_alloc(self->other_fd, &self->src, 0, &self->others));
	}
}

TEST_F(fail, register)
{
	SWEEP(cmem_register(self->fd, self->others.phys_addr),
	      ASSERT_EQ(0, cmem_free(self->fd, self->others.phys_addr)));
	/* Nothing of the failed calls remains. */
	EXPECT_EQ(-EPERM, cmem_free(self->fd, self->others.phys_addr));
	SWEEP(cmem_register(self->fd, self->own.phys_addr),
	      ASSERT_EQ(0, cmem_free(self->fd, self->own.phys_addr)));
}

/* FREE of a buffer in the middle, so that the heap has to merge extents. */
TEST_F(fail, free_loses_nothing)
{
	struct cmem_alloc one, two, three;
	static struct snapshot start;
	unsigned int n, failed = 0;

	for (n = 1; n < SWEEP_CAP; n++) {
		bool injected;
		int ret;

		ASSERT_EQ(0, take_snapshot(&start));
		ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &one));
		if (source_alloc(self->fd, &self->src, 0, &two)) {
			ASSERT_EQ(0, cmem_free(self->fd, one.phys_addr));
			SKIP(return, "no room for more buffers");
		}
		ASSERT_EQ(0, cmem_register(self->other_fd, two.phys_addr));
		three = two;
		ASSERT_TRUE(arm(self->nth, n));
		ret = cmem_free(self->fd, two.phys_addr);
		injected = disarm(self->nth);
		failed += ret < 0;
		ASSERT_TRUE(!ret || (injected && ret == -EFAULT)) TH_LOG("n %u: %d", n, ret);
		if (ret) {
			/* It is still registered. */
			ASSERT_EQ(0, cmem_free(self->fd, two.phys_addr));
		}
		/* The last registration, which frees the memory. */
		ASSERT_TRUE(arm(self->nth, n));
		ret = cmem_free(self->other_fd, three.phys_addr);
		injected |= disarm(self->nth);
		ASSERT_TRUE(!ret || ret == -EFAULT) TH_LOG("n %u: %d", n, ret);
		if (ret) {
			ASSERT_EQ(0, cmem_free(self->other_fd, three.phys_addr));
		}
		ASSERT_EQ(0, cmem_free(self->fd, one.phys_addr));
		expect_same(&start);
		ASSERT_FALSE(has_failed(_metadata)) TH_LOG("n %u", n);
		if (!injected)
			break;
	}
	ASSERT_GT(SWEEP_CAP, n);
	ASSERT_LT(0, failed);
}

TEST_F(fail, resolve)
{
	struct cmem_resolve res;

	SWEEP(cmem_resolve(self->fd, self->map, &res), (void)0);
}

TEST_F(fail, sync)
{
	static struct cmem_sync_range range[CMEM_MAX_SYNC_RANGES];

	for (size_t i = 0; i < ARRAY_SIZE(range); i++) {
		range[i] = (struct cmem_sync_range){
			.user_addr = (unsigned long)self->map + i, .length = 1,
			.op = CMEM_SYNC_WRITE_BACK,
		};
	}
	SWEEP(cmem_sync_ranges(self->fd, range, ARRAY_SIZE(range)), (void)0);
	SWEEP(cmem_sync_ranges(self->fd, range, 1), (void)0);
}

TEST_F(fail, sync_all)
{
	SWEEP(cmem_sync_all(self->fd, CMEM_SYNC_WRITE_BACK), (void)0);
}

static int map_it(int fd, const struct cmem_alloc *buf, size_t length, void **map)
{
	*map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, buf->mmap_offset);
	return *map == MAP_FAILED ? -errno : 0;
}

/* Whether or not a mapping exists there */
static int map_there(int fd, const struct cmem_alloc *buf, size_t length, void *place)
{
	return mmap(place, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		    buf->mmap_offset) == MAP_FAILED ? -errno : 0;
}

TEST_F(fail, mmap)
{
	void *map;

	SWEEP(map_it(self->fd, &self->own, self->own.length, &map),
	      ASSERT_EQ(0, munmap(map, self->own.length)));
	SWEEP(map_it(self->fd, &self->own, self->page, &map),
	      ASSERT_EQ(0, munmap(map, self->page)));
}

static int alloc_pages(int fd, const struct source *src, struct cmem_alloc *buf)
{
	return source_alloc(fd, src, CMEM_ALLOC_CACHED | CMEM_ALLOC_PAGES, buf);
}

static int splice_it(int pipe_fd, void *map, size_t length)
{
	struct iovec iov = { .iov_base = map, .iov_len = length };
	ssize_t ret = vmsplice(pipe_fd, &iov, 1, SPLICE_F_NONBLOCK);

	return ret < 0 ? -errno : ret != (ssize_t)length;
}

/* Allocated, mapped, and put into a pipe */
TEST_F(fail, a_page_backed_buffer)
{
	struct cmem_block_info info;
	struct cmem_alloc buf;
	int pipefd[2], ret;
	char byte[2];
	void *map;

	ret = alloc_pages(self->fd, &self->src, &buf);
	if (ret == -EOPNOTSUPP)
		SKIP(return, "this memory can't have it");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, pipe(pipefd));
	SWEEP(map_it(self->fd, &buf, buf.length, &map), ASSERT_EQ(0, munmap(map, buf.length)));
	map = cmem_map(self->fd, &buf);
	ASSERT_MAPPED(map);
	for (unsigned int n = 1; n < 20; n++) {
		ASSERT_EQ(0, madvise(map, buf.length, MADV_DONTNEED));
		ASSERT_TRUE(arm(self->nth, n));
		ret = splice_it(pipefd[1], map, sizeof(byte));
		disarm(self->nth);
		ASSERT_TRUE(!ret || ret == -ENOMEM || ret == -EFAULT);
		if (!ret) {
			ASSERT_EQ(2, read(pipefd[0], byte, sizeof(byte)));
		}
	}
	ASSERT_EQ(0, munmap(map, buf.length));
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	ASSERT_TRUE(eventually(!alloc_pages(self->fd, &self->src, &buf)));
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));

	/* The structs of a pinned buffer are there already: freeing it can't fail. */
	ASSERT_EQ(0, alloc_pages(self->fd, &self->src, &buf));
	map = cmem_map(self->fd, &buf);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, splice_it(pipefd[1], map, sizeof(byte)));
	ASSERT_EQ(0, munmap(map, buf.length));
	ASSERT_TRUE(arm(self->nth, 1));
	ret = cmem_free(self->fd, buf.phys_addr);
	disarm(self->nth);
	ASSERT_TRUE(!ret || ret == -EFAULT);
	if (ret) {
		ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	}
	ASSERT_EQ(2, read(pipefd[0], byte, sizeof(byte)));
	close(pipefd[0]);
	close(pipefd[1]);
	/* The kernel may look later. */
	ASSERT_TRUE(eventually(!cmem_get_block(self->fd, self->src.block, &info) &&
			       !info.pinned_buffers));
}

/* Mapped page by page in steps of 512: if one fails, the earlier ones go as well. */
TEST_F(fail, mmap_in_steps)
{
	const size_t step = 512 * self->page, length = 3 * step;
	char *area, *map;
	struct source src;
	struct cmem_alloc buf;

	if (!variant->heap)
		SKIP(return, "as from the heap");
	if (!find_heap_source(variant->kind, 4 * step, &src))
		SKIP(return, "no heap with room for %zu bytes", 4 * step);
	ASSERT_EQ(0, cmem_alloc_aligned(self->fd, src.block, src.pool, length, SZ_2M,
					CMEM_ALLOC_CACHED, &buf));
	area = mmap(NULL, length + 2 * SZ_2M, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(area);
	/* A page that is not aligned for 2 MiB entries */
	map = area + (-(unsigned long)area & (SZ_2M - 1)) + self->page;
	SWEEP(map_there(self->fd, &buf, length, map), {
		for (size_t at = 0; at < length; at += self->page)
			ASSERT_EQ(0, map[at]);
		ASSERT_EQ(0, munmap(map, length));
	});
	ASSERT_EQ(0, munmap(area, length + 2 * SZ_2M));
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
}

/* Faults map what mmap() leaves for later, and what a move removed. */
TEST_F(fail, faults)
{
	struct source src;
	struct cmem_alloc buf;
	size_t away;
	int dmabuf;
	char *map;

	if (!find_source(ANY_KIND, variant->heap, 2 * SZ_2M, &src))
		SKIP(return, "no buffer of 4 MiB");
	ASSERT_EQ(0, source_alloc(self->fd, &src, 0, &buf));
	dmabuf = cmem_export(self->fd, buf.phys_addr, RDWR);
	ASSERT_LE(0, dmabuf);
	for (unsigned int n = 1; n < 80; n++) {
		map = n < 40 ? cmem_map(self->fd, &buf) : dmabuf_map(dmabuf, 0, buf.length);
		ASSERT_MAPPED(map);
		if (n % 2) {
			/* Another alignment: 2 MiB entries are impossible now. */
			char *place = mmap(NULL, buf.length + SZ_2M, PROT_NONE,
					   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			ASSERT_MAPPED(place);
			away = ((unsigned long)map & (SZ_2M - 1)) ==
			       ((unsigned long)place & (SZ_2M - 1)) ? self->page : 0;
			ASSERT_TRUE(mremap(map, buf.length, buf.length,
					   MREMAP_MAYMOVE | MREMAP_FIXED, place + away) ==
				    place + away);
			map = place + away;
		}
		ASSERT_TRUE(arm(self->nth, n % 40 + 1));
		for (size_t i = 0; i < buf.length; i += SZ_2M / 8)
			((volatile char *)map)[i] = n;
		disarm(self->nth);
		for (size_t i = 0; i < buf.length; i += SZ_2M / 8) {
			ASSERT_EQ((char)n, map[i]);
		}
		ASSERT_EQ(0, munmap(map, buf.length));
	}
	close(dmabuf);
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
}

static int unmap_it(void *map, size_t length)
{
	return munmap(map, length) ? -errno : 0;
}

static int protect_it(void *map, size_t length, int prot)
{
	return mprotect(map, length, prot) ? -errno : 0;
}

TEST_F(fail, splitting_a_mapping)
{
	struct cmem_resolve res;
	unsigned int n;

	/* munmap() of the middle splits the mapping, which needs memory. */
	for (n = 1; n < SWEEP_CAP; n++) {
		char *map = cmem_map(self->fd, &self->own);
		bool injected;
		int ret;

		ASSERT_MAPPED(map);
		ASSERT_TRUE(arm(self->nth, n));
		ret = protect_it(map, self->page, PROT_READ);
		injected = disarm(self->nth);
		ASSERT_TRUE(!ret || (injected && ret == -ENOMEM)) TH_LOG("n %u: %d", n, ret);
		ASSERT_EQ(0, cmem_resolve(self->fd, map + self->page, &res));
		EXPECT_EQ(self->own.phys_addr + self->page, res.phys_addr);
		ASSERT_TRUE(arm(self->nth, n));
		ret = unmap_it(map + self->page, self->page);
		injected |= disarm(self->nth);
		ASSERT_TRUE(!ret || ret == -ENOMEM) TH_LOG("n %u: %d", n, ret);
		while (munmap(map, self->own.length))
			;
		if (!injected)
			break;
	}
	ASSERT_GT(SWEEP_CAP, n);
}

static int fork_it(pid_t *pid)
{
	*pid = fork();
	if (!*pid)
		_exit(CHILD_EXIT_OK);
	return *pid < 0 ? -errno : 0;
}

TEST_F(fail, fork)
{
	pid_t pid;

	/* fork() returns EAGAIN for some of it. */
	SWEEP(({
		int ret = fork_it(&pid);

		ret == -EAGAIN ? -ENOMEM : ret;
	}), join_child(pid));
}

TEST_F(fail, close_loses_nothing)
{
	static struct snapshot start;
	unsigned int n;

	ASSERT_EQ(0, take_snapshot(&start));
	for (n = 1; n < 40; n++) {
		struct cmem_alloc buf[2];
		int fd = cmem_open();

		ASSERT_LE(0, fd);
		ASSERT_EQ(0, source_alloc(fd, &self->src, 0, &buf[0]));
		ASSERT_EQ(0, cmem_register(fd, buf[0].phys_addr));
		ASSERT_EQ(0, cmem_register(fd, self->own.phys_addr));
		ASSERT_TRUE(arm(self->nth, n));
		close(fd);
		disarm(self->nth);
		expect_same(&start);
		ASSERT_FALSE(has_failed(_metadata)) TH_LOG("n %u", n);
	}
}

/*
 * DMA-BUFs
 */

/* A call that returns a file descriptor: 0 or a negative errno, like the others */
static int take_fd(int ret, int *fd)
{
	*fd = ret;
	return ret < 0 ? ret : 0;
}

/* A leaked file descriptor is as bad as a leaked buffer. */
#define SWEEP_FDS(call, undo) do {					\
	int _fds = count_fds();						\
									\
	SWEEP(call, ({ undo; ASSERT_EQ(_fds, count_fds()); }));		\
	EXPECT_EQ(_fds, count_fds());					\
} while (0)

TEST_F(fail, export)
{
	int dmabuf;

	SWEEP_FDS(take_fd(cmem_export(self->fd, self->own.phys_addr, RDWR), &dmabuf),
		  close(dmabuf));
	/* Also when nothing else holds the buffer */
	ASSERT_EQ(0, cmem_register(self->fd, self->others.phys_addr));
	SWEEP_FDS(take_fd(cmem_export(self->fd, self->others.phys_addr, O_RDONLY), &dmabuf),
		  close(dmabuf));
	ASSERT_EQ(0, cmem_free(self->fd, self->others.phys_addr));
}

TEST_F(fail, register_by_a_DMA_BUF)
{
	int dmabuf = cmem_export(self->other_fd, self->others.phys_addr, RDWR);

	ASSERT_LE(0, dmabuf);
	SWEEP_FDS(cmem_register_dmabuf(self->fd, dmabuf),
		  ASSERT_EQ(0, cmem_free(self->fd, self->others.phys_addr)));
	/* Nothing of the failed calls remains. */
	EXPECT_EQ(-EPERM, cmem_free(self->fd, self->others.phys_addr));
	SWEEP_FDS(cmem_register_dmabuf(self->other_fd, dmabuf),
		  ASSERT_EQ(0, cmem_free(self->other_fd, self->others.phys_addr)));
	close(dmabuf);
}

static int map_dmabuf(int dmabuf, __u64 offset, size_t length, void **map)
{
	*map = dmabuf_map(dmabuf, offset, length);
	return *map == MAP_FAILED ? -errno : 0;
}

TEST_F(fail, mmap_of_a_DMA_BUF)
{
	int dmabuf = cmem_export(self->fd, self->own.phys_addr, RDWR);
	void *map;

	ASSERT_LE(0, dmabuf);
	SWEEP(map_dmabuf(dmabuf, 0, self->own.length, &map),
	      ASSERT_EQ(0, munmap(map, self->own.length)));
	SWEEP(map_dmabuf(dmabuf, self->page, self->page, &map),
	      ASSERT_EQ(0, munmap(map, self->page)));
	close(dmabuf);
}

TEST_F(fail, cpu_access_to_a_DMA_BUF)
{
	const __u64 flags[] = {
		DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW,
	};
	int dmabuf = cmem_export(self->fd, self->own.phys_addr, RDWR);

	ASSERT_LE(0, dmabuf);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		SWEEP(dmabuf_sync(dmabuf, flags[i]), (void)0);
	close(dmabuf);
}

TEST_F(fail, alloc_from_a_DMA_BUF_heap)
{
	int heap = dma_heap_open(self->src.block), dmabuf;

	if (heap == -ENOENT && access(DMA_HEAPS, F_OK))
		SKIP(return, "no DMA-BUF heaps in this kernel");
	ASSERT_LE(0, heap);
	SWEEP_FDS(take_fd(dma_heap_alloc(heap, self->src.length), &dmabuf), close(dmabuf));
	/* Memory that the call has to clean */
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, cmem_free(self->other_fd, self->others.phys_addr));
		SWEEP_FDS(take_fd(dma_heap_alloc(heap, self->src.length), &dmabuf), close(dmabuf));
		ASSERT_EQ(0, source_alloc(self->other_fd, &self->src, 0, &self->others));
	}
	close(heap);
}

TEST_F(fail, import)
{
	int dmabuf = cmem_export(self->fd, self->own.phys_addr, RDWR), vgem = vgem_open();
	bool pages = has_page(self->own.phys_addr);
	__u32 handle;

	ASSERT_LE(0, dmabuf);
	if (vgem >= 0 && pages)
		SWEEP_FDS(vgem_import(vgem, dmabuf, &handle),
			  ASSERT_EQ(0, vgem_close_handle(vgem, handle)));
	close(vgem);
	close(dmabuf);
	if (vgem < 0)
		SKIP(return, "no vgem in this kernel");
	if (!pages)
		SKIP(return, "this memory has no struct pages");
}

static int import_address(int fd, int dmabuf, int *hold)
{
	struct cmem_import_dmabuf arg = {
		.size = sizeof(arg), .dmabuf_fd = dmabuf, .fd_flags = O_CLOEXEC, .fd = -1,
	};
	int ret = cmem_ioctl(fd, CMEM_IOCTL_IMPORT, &arg);

	*hold = arg.fd;
	return ret;
}

TEST_F(fail, the_address_of_a_DMA_BUF)
{
	int ours = cmem_export(self->fd, self->own.phys_addr, RDWR), others = foreign_dmabuf();
	int hold;

	ASSERT_LE(0, ours);
	SWEEP_FDS(import_address(self->fd, ours, &hold), close(hold));
	if (others >= 0)
		SWEEP_FDS(import_address(self->fd, others, &hold), close(hold));
	close(ours);
	if (others < 0)
		SKIP(return, "nobody else exports DMA-BUFs");
	close(others);
}

TEST_F(fail, letting_go_of_a_DMA_BUF_loses_nothing)
{
	int heap = dma_heap_open(self->src.block), vgem = vgem_open();
	static struct snapshot start;

	ASSERT_EQ(0, take_snapshot(&start));
	for (unsigned int n = 1; n < 40; n++) {
		int dmabuf[3] = {
			cmem_export(self->fd, self->own.phys_addr, RDWR),
			cmem_export(self->fd, self->own.phys_addr, RDWR),
			dma_heap_alloc(heap, 1),
		};
		__u32 handle = 0;
		void *map;

		ASSERT_LE(0, dmabuf[1]);
		map = dmabuf_map(dmabuf[0], 0, 2 * self->page);
		ASSERT_MAPPED(map);
		if (vgem >= 0 && has_page(self->own.phys_addr))
			ASSERT_EQ(0, vgem_import(vgem, dmabuf[1], &handle));
		ASSERT_TRUE(arm(self->nth, n));
		for (int i = 0; i < 3; i++)
			close(dmabuf[i]);
		if (handle)
			vgem_close_handle(vgem, handle);
		munmap(map, 2 * self->page);
		disarm(self->nth);
		/* Repeat the calls that failed */
		if (handle)
			vgem_close_handle(vgem, handle);
		munmap(map, 2 * self->page);
		expect_same(&start);
		ASSERT_FALSE(has_failed(_metadata)) TH_LOG("n %u", n);
	}
	close(vgem);
	close(heap);
}

TEST_F(fail, reading_proc)
{
	char text[512];

	SWEEP(({
		int fd = open("/proc/cmem", O_RDONLY | O_CLOEXEC), ret = fd < 0 ? -errno : 0;

		while (!ret) {
			ssize_t got = read(fd, text, sizeof(text));

			if (got == 0 || lseek(fd, 0, SEEK_CUR) > 20000)
				break;
			if (got < 0)
				ret = -errno;
		}
		if (fd >= 0)
			close(fd);
		ret;
	}), (void)0);
}

FIXTURE(fail_block)
{
	int nth;			/* of this task */
	int fd;
	struct spare_block spare;
	struct snapshot before;
};

FIXTURE_SETUP(fail_block)
{
	char path[64];

	unregister_rseq();
	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	snprintf(path, sizeof(path), "/proc/self/task/%d/fail-nth", getpid());
	self->nth = open(path, O_RDWR | O_CLOEXEC);
	if (self->nth < 0 || !prepare_injection())
		SKIP(return, "no fault injection in this kernel");
	if (!find_spare_block(self->fd, CMEM_BLOCK_CMA, &self->spare))
		SKIP(return, "no block to remove");
}

FIXTURE_TEARDOWN(fail_block)
{
	close(self->fd);
	close(self->nth);
	expect_same(&self->before);
}

TEST_F(fail_block, remove)
{
	SWEEP(cmem_block_remove(self->fd, self->spare.info.block),
	      ASSERT_EQ(0, put_back_block(self->fd, &self->spare)));
}

/* /proc/iomem cannot tell a range in use from a lack of memory for claiming it. */
static int add_it(int fd, const struct spare_block *spare)
{
	int ret = put_back_block(fd, spare);

	return ret == -EBUSY ? -ENOMEM : ret;
}

TEST_F(fail_block, add)
{
	ASSERT_EQ(0, cmem_block_remove(self->fd, self->spare.info.block));
	SWEEP(add_it(self->fd, &self->spare),
	      ASSERT_EQ(0, cmem_block_remove(self->fd, self->spare.info.block)));
	ASSERT_EQ(0, put_back_block(self->fd, &self->spare));
}

/* With a DMA-BUF heap of its own; the block also works without one. */
TEST_F(fail_block, add_of_a_new_number)
{
	struct spare_block renumbered = self->spare;
	struct cmem_info info;

	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	renumbered.info.block = info.block_limit + 3;
	ASSERT_EQ(0, cmem_block_remove(self->fd, self->spare.info.block));
	SWEEP(add_it(self->fd, &renumbered),
	      ASSERT_EQ(0, cmem_block_remove(self->fd, renumbered.info.block)));
	ASSERT_EQ(0, put_back_block(self->fd, &self->spare));
}

TEST_HARNESS_MAIN
