// SPDX-License-Identifier: GPL-2.0
/*
 * What the old out-of-tree driver got wrong, one test per mistake. The numbers are those
 * of the list that the rewrite began with; the missing ones concern features that this
 * driver does not have yet, or how a kernel boots.
 */
#include <linux/types.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>

#include "cmem_trace.h"

FIXTURE(bug)
{
	int fd;
	unsigned long page;
	struct snapshot before;
};

FIXTURE_SETUP(bug)
{
	self->page = page_size();
	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!self->before.num_blocks)
		SKIP(return, "no block");
}

FIXTURE_TEARDOWN(bug)
{
	close(self->fd);
	expect_same(&self->before);
}

static struct cmem_alloc all[2048];

/* Memory of others */

TEST_F(bug, no_01_a_buffer_freed_while_mapped_does_not_go_to_the_next_process)
{
	for (int heap = 0; heap < 2; heap++) {
		struct source src;
		struct cmem_alloc buf;
		char *map;
		pid_t pid;

		if (!find_source(ANY_KIND, heap, self->page, &src))
			continue;
		ASSERT_EQ(0, source_alloc(self->fd, &src, CMEM_ALLOC_CACHED, &buf));
		map = cmem_map(self->fd, &buf);
		ASSERT_MAPPED(map);
		fill(map, buf.length, 1);
		ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
		IN_CHILD(pid) {
			int fd = cmem_open();
			int count = drain(fd, &src, CMEM_ALLOC_CACHED, all, ARRAY_SIZE(all));

			ASSERT_LE(0, count);
			for (int i = 0; i < count; i++) {
				char *his = cmem_map(fd, &all[i]);

				ASSERT_FALSE(overlaps(&all[i], &buf));
				ASSERT_MAPPED(his);
				ASSERT_EQ(0, *(volatile __u64 *)his);
				memset(his, 0xee, self->page);
				ASSERT_EQ(0, munmap(his, all[i].length));
			}
		}
		join_child(pid);
		EXPECT_EQ(-1, find_stranger(map, buf.length, 1));
		ASSERT_EQ(0, munmap(map, buf.length));
	}
}

TEST_F(bug, no_02_what_is_written_to_freed_memory_does_not_lead_the_heap_astray)
{
	unsigned int block = 0;
	struct cmem_alloc stale[4];
	__u64 *map[4];
	struct source src;
	int count;

	if (!find_heap_source(ANY_KIND, 64 * self->page, &src))
		SKIP(return, "no heap");
	while (self->before.block[block].block != src.block)
		block++;
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, cmem_alloc(self->fd, src.block, src.pool, 4 * self->page, 0,
					&stale[i]));
		map[i] = cmem_map(self->fd, &stale[i]);
		ASSERT_MAPPED(map[i]);
	}
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, cmem_free(self->fd, stale[i].phys_addr));
	}
	/* Junk, all ones, a huge size, and a pointer to itself. */
	for (size_t w = 0; w < 4 * self->page / sizeof(__u64); w++) {
		map[0][w] = 0x4141414141414141ULL * (w + 1);
		map[1][w] = ~0ULL;
		map[2][w] = w % 2 ? 1ULL << 62 : 0;
		map[3][w] = stale[3].phys_addr;
	}
	for (int round = 0; round < 2; round++) {
		count = drain(self->fd, &src, 0, all, ARRAY_SIZE(all));
		ASSERT_LT(0, count);
		while (count--) {
			const struct cmem_block_info *b = &self->before.block[block];

			EXPECT_LE(b->base, all[count].phys_addr);
			EXPECT_GE(b->base + b->length, all[count].phys_addr + all[count].length);
			ASSERT_EQ(0, cmem_free(self->fd, all[count].phys_addr));
		}
		/* Once with the mappings, once with only the junk left. */
		for (int i = 0; i < 4 && !round; i++) {
			ASSERT_EQ(0, munmap(map[i], stale[i].length));
		}
	}
}

TEST_F(bug, no_04_the_next_owner_does_not_read_the_bytes_of_the_last)
{
	for (int heap = 0; heap < 2; heap++) {
		struct source src;
		int count, other_fd;
		char *map;

		if (!find_source(ANY_KIND, heap, self->page, &src))
			continue;
		count = drain(self->fd, &src, CMEM_ALLOC_CACHED, all, ARRAY_SIZE(all));
		ASSERT_LT(0, count);
		while (count--) {
			map = cmem_map(self->fd, &all[count]);
			ASSERT_MAPPED(map);
			fill(map, all[count].length, 0x5ec7e7);
			ASSERT_EQ(0, munmap(map, all[count].length));
			ASSERT_EQ(0, cmem_free(self->fd, all[count].phys_addr));
		}
		other_fd = cmem_open();
		count = drain(other_fd, &src, 0, all, ARRAY_SIZE(all));
		ASSERT_LT(0, count);
		while (count--) {
			map = cmem_map(other_fd, &all[count]);
			ASSERT_MAPPED(map);
			EXPECT_EQ(-1, find_nonzero(map, all[count].length));
			ASSERT_EQ(0, munmap(map, all[count].length));
		}
		close(other_fd);
	}
}

static int try_map(int fd, __u64 offset, size_t length)
{
	void *map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	return map == MAP_FAILED ? -errno : 0;
}

TEST_F(bug, no_05_mmap_takes_neither_anybodys_buffer_nor_a_length_that_wraps)
{
	int other_fd = cmem_open();
	struct cmem_alloc buf, private;
	struct source src;

	if (!find_source(ANY_KIND, false, 1, &src) && !find_source(ANY_KIND, true, 1, &src))
		SKIP(return, "no memory");
	ASSERT_EQ(0, source_alloc(other_fd, &src, 0, &buf));
	/* A caller that may not register may not map: here, a private buffer. */
	ASSERT_EQ(0, source_alloc(other_fd, &src, CMEM_ALLOC_PRIVATE, &private));
	EXPECT_REFUSED(EPERM, try_map(self->fd, private.mmap_offset, self->page));
	ASSERT_EQ(0, cmem_free(other_fd, private.phys_addr));
	EXPECT_REFUSED(EINVAL, try_map(other_fd, buf.mmap_offset, buf.length + self->page));
	/* A range that wraps around the address space, and a page with a huge offset. */
	if (sizeof(long) == 8) {
		EXPECT_REFUSED(EOVERFLOW, try_map(other_fd, -self->page, 2 * self->page));
		EXPECT_REFUSED(EINVAL, try_map(other_fd, buf.mmap_offset | 1ULL << 63, self->page));
	}
	/* Neither an unassigned offset nor ordinary memory can be mapped. */
	EXPECT_REFUSED(EINVAL, try_map(self->fd, 0, self->page));
	EXPECT_REFUSED(EINVAL, try_map(self->fd, address_outside(), self->page));
	close(other_fd);
}

static unsigned long kib_of(const char *key)
{
	FILE *file = fopen("/proc/meminfo", "re");
	size_t length = strlen(key);
	unsigned long kib = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, length) && line[length] == ':')
			kib = strtoul(line + length + 1, NULL, 10);
	if (file)
		fclose(file);
	return kib;
}

TEST_F(bug, no_06_RESOLVE_tells_no_kernel_addresses_and_leaks_no_pages)
{
	const __u64 kernel[] = {
		0xc0000000, 0xc0008000, 0xffff000000000000ULL, 0xffff800008000000ULL,
		0xffffffff81000000ULL, 0xffff888000000000ULL,
	};
	const unsigned int pages = 8192;
	struct cmem_resolve res;
	unsigned long before;

	for (size_t i = 0; i < ARRAY_SIZE(kernel); i++) {
		res = (struct cmem_resolve){ .size = sizeof(res), .user_addr = kernel[i] };
		EXPECT_EQ(-EFAULT, cmem_ioctl(self->fd, CMEM_IOCTL_RESOLVE, &res));
	}
	before = kib_of("MemFree");
	for (unsigned int i = 0; i < pages; i++) {
		char *map = mmap(NULL, self->page, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		ASSERT_MAPPED(map);
		*map = 1;
		ASSERT_EQ(-EFAULT, cmem_resolve(self->fd, map, &res));
		ASSERT_EQ(0, munmap(map, self->page));
	}
	/* A leak of one page per call would use it all; half of it is no coincidence. */
	EXPECT_LT(before, kib_of("MemFree") + pages * (self->page / 1024) / 2);
}

/* The kernel crashes or runs out of resources */

TEST_F(bug, no_07_a_heap_request_of_size_0_is_refused_and_blocks_nobody)
{
	struct cmem_alloc buf;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		__s32 block = self->before.block[i].block;

		for (int align = 0; align < 2; align++) {
			EXPECT_EQ(-EINVAL, cmem_alloc_aligned(self->fd, block, CMEM_POOL_HEAP, 0,
							      align, 0, &buf));
		}
		if (self->before.block[i].heap_largest) {
			ASSERT_EQ(0, cmem_alloc(self->fd, block, CMEM_POOL_HEAP, 1, 0, &buf));
			ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
		}
	}
}

TEST_F(bug, no_08_a_block_number_one_too_high_is_ENOENT_everywhere)
{
	struct cmem_block_info block;
	struct cmem_pool_info pool;
	struct cmem_alloc buf;
	struct cmem_info info;
	__s32 found;

	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	for (__s32 id = -4; id < (__s32)info.block_limit + 8; id++) {
		if (cmem_get_block(self->fd, id, &block) == 0)
			continue;
		EXPECT_REFUSED(ENOENT, cmem_get_block(self->fd, id, &block));
		EXPECT_REFUSED(ENOENT, cmem_get_pool(self->fd, id, 0, &pool));
		EXPECT_REFUSED(ENOENT, cmem_find_pool(self->fd, id, 1, &found));
		EXPECT_REFUSED(ENOENT, cmem_alloc(self->fd, id, 0, 1, 0, &buf));
		EXPECT_REFUSED(ENOENT, cmem_alloc(self->fd, id, CMEM_POOL_BEST, 1, 0, &buf));
		EXPECT_REFUSED(ENOENT, cmem_alloc(self->fd, id, CMEM_POOL_HEAP, 1, 0, &buf));
	}
}

TEST_F(bug, no_09_REGISTER_in_a_loop_ends_and_takes_no_kernel_memory)
{
	unsigned long before;
	struct cmem_alloc buf;
	struct source src;
	long count = 0;
	int ret;

	if (!find_source(ANY_KIND, false, 1, &src) && !find_source(ANY_KIND, true, 1, &src))
		SKIP(return, "no memory");
	ASSERT_EQ(0, source_alloc(self->fd, &src, 0, &buf));
	before = kib_of("Slab");
	while (!(ret = cmem_register(self->fd, buf.phys_addr))) {
		ASSERT_GT(1000000, ++count);
	}
	EXPECT_EQ(-EOVERFLOW, ret);
	EXPECT_EQ(CMEM_MAX_REGISTRATIONS - 1, count);
	/* 64 bytes each would be 4 MiB. */
	EXPECT_GT(before + 2048, kib_of("Slab"));
}

TEST_F(bug, no_10_a_process_killed_with_more_signals_pending_leaks_nothing)
{
	int status, ready[2];
	struct source src;
	char byte = 0;
	pid_t pid;

	if (!find_source(ANY_KIND, false, 1, &src) && !find_source(ANY_KIND, true, 1, &src))
		SKIP(return, "no memory");
	ASSERT_EQ(0, pipe(ready));
	for (unsigned int n = 0; n < scaled(50); n++) {
		pid = fork_child(_metadata);
		if (!pid) {
			int fd = cmem_open();
			struct cmem_alloc buf;
			sigset_t set;

			/* All signals stay pending, also while the process dies. */
			sigfillset(&set);
			sigprocmask(SIG_BLOCK, &set, NULL);
			if (source_alloc(fd, &src, 0, &buf) || !cmem_map(fd, &buf) ||
			    write(ready[1], &byte, 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		ASSERT_EQ(1, read(ready[0], &byte, 1));
		for (int sig = SIGHUP; sig <= SIGRTMAX; sig++) {
			if (sig != SIGKILL && sig != SIGSTOP)
				kill(pid, sig);
		}
		ASSERT_EQ(0, kill(pid, SIGKILL));
		kill(pid, SIGTERM);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		expect_same(&self->before);
	}
	close(ready[0]);
	close(ready[1]);
}

struct faulting {
	int fd;
	struct source src;
	struct cmem_alloc *in_buffer;	/* the ioctl's struct, in CMEM memory itself */
	char *map;
	size_t length;
	volatile bool stop;
	int ret;
};

static void *call_from_cmem_memory(void *arg)
{
	struct faulting *f = arg;

	while (!f->stop && !f->ret) {
		struct cmem_alloc *a = f->in_buffer;
		struct cmem_free *gone = (void *)(a + 1);

		*a = (struct cmem_alloc){
			.size = sizeof(*a), .block = f->src.block, .pool = f->src.pool,
			.length = f->src.pool == CMEM_POOL_HEAP ? 1 : 0,
		};
		f->ret = cmem_ioctl(f->fd, CMEM_IOCTL_ALLOC, a);
		if (f->ret)
			break;
		*gone = (struct cmem_free){ .size = sizeof(*gone), .phys_addr = a->phys_addr };
		f->ret = cmem_ioctl(f->fd, CMEM_IOCTL_FREE, gone);
	}
	return NULL;
}

TEST_F(bug, no_11_ioctls_whose_struct_is_in_a_buffer_do_not_lock_up_with_mmap)
{
	struct faulting f = { .fd = self->fd };
	struct cmem_alloc buf;
	struct source home;
	pthread_t thread;
	char *place;

	if (!find_source(ANY_KIND, true, SZ_2M, &home) &&
	    !find_source(ANY_KIND, false, 4 * self->page, &home))
		SKIP(return, "no memory");
	if (!find_source(ANY_KIND, false, 1, &f.src) && !find_source(ANY_KIND, true, 1, &f.src))
		SKIP(return, "no second source");
	ASSERT_EQ(0, source_alloc(self->fd, &home, 0, &buf));
	f.map = cmem_map(self->fd, &buf);
	ASSERT_MAPPED(f.map);
	place = mmap(NULL, buf.length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(place);
	/* Across two pages. */
	f.in_buffer = (void *)(f.map + self->page - 16);
	ASSERT_EQ(0, pthread_create(&thread, NULL, call_from_cmem_memory, &f));
	for (unsigned int n = 0; n < scaled(2000); n++) {
		/* Take mmap_lock for writing and empty the page tables in the ioctl. */
		void *twin = mmap(place, buf.length, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_FIXED, self->fd, buf.mmap_offset);

		ASSERT_TRUE(twin == place);
		ASSERT_TRUE(mmap(f.map, buf.length, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_FIXED, self->fd, buf.mmap_offset) == f.map);
		*(volatile char *)place;
		ASSERT_EQ(0, munmap(place, buf.length));
	}
	f.stop = true;
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, f.ret);
	ASSERT_EQ(0, munmap(f.map, buf.length));
}

TEST_F(bug, no_12_an_unknown_ioctl_prints_nothing)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char record[8192];

	if (log < 0)
		SKIP(return, "no /dev/kmsg: %s", strerror(errno));
	ASSERT_LE(0, lseek(log, 0, SEEK_END));
	for (unsigned int nr = 32; nr < 256; nr++) {
		EXPECT_EQ(-ENOTTY, cmem_ioctl(self->fd, _IO(CMEM_IOCTL_TYPE, nr), record));
		EXPECT_EQ(-ENOTTY, cmem_ioctl(self->fd, nr, NULL));
	}
	EXPECT_EQ(-ENOENT, cmem_free(self->fd, 0));
	EXPECT_EQ(-EINVAL, cmem_free(self->fd, 1));
	EXPECT_EQ(-EINVAL, try_map(self->fd, 0, self->page));
	for (;;) {
		ssize_t got = read(log, record, sizeof(record) - 1);

		if (got < 0 && errno == EPIPE)
			continue;
		if (got < 0)
			break;
		record[got] = 0;
		EXPECT_FALSE(!!strstr(record, "cmem")) TH_LOG("%s", record);
	}
	EXPECT_EQ(EAGAIN, errno);
	close(log);
}

/* It does not do what it promises */

TEST_F(bug, no_14_every_FREE_that_returns_0_gives_the_bytes_back)
{
	struct cmem_block_info now;
	struct source src;

	if (!find_heap_source(ANY_KIND, 64 * self->page, &src))
		SKIP(return, "no heap");
	for (unsigned int n = 0; n < scaled(300); n++) {
		struct cmem_block_info then;
		struct cmem_alloc buf[8];

		ASSERT_EQ(0, cmem_get_block(self->fd, src.block, &then));
		for (int i = 0; i < 8; i++) {
			ASSERT_EQ(0, cmem_alloc_aligned(self->fd, src.block, src.pool,
							1 + (n * 7 + i * 13) % (8 * self->page),
							1 << (n + i) % 14, CMEM_ALLOC_CACHED,
							&buf[i]));
		}
		for (int i = 0; i < 8; i++) {
			ASSERT_EQ(0, cmem_free(self->fd, buf[(i * 3 + n) % 8].phys_addr));
		}
		ASSERT_EQ(0, cmem_get_block(self->fd, src.block, &now));
		ASSERT_EQ(then.heap_free, now.heap_free);
		ASSERT_EQ(then.heap_largest, now.heap_largest);
	}
}

TEST_F(bug, no_14_addresses_and_lengths_above_32_bits_are_not_cut)
{
	bool tried = false;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];
		int other_fd = cmem_open();
		struct cmem_register reg;
		struct cmem_resolve res;
		struct cmem_alloc buf;
		char *map;

		if (b->base + b->length <= 1ULL << 32 ||
		    cmem_alloc(self->fd, b->block, b->heap_largest ? CMEM_POOL_HEAP :
			       CMEM_POOL_BEST, b->length > 1ULL << 32 && b->heap_largest >
			       1ULL << 32 ? (1ULL << 32) + self->page : 3 * self->page, 0, &buf)) {
			close(other_fd);
			continue;
		}
		tried = true;
		EXPECT_LE(b->base, buf.phys_addr);
		ASSERT_EQ(0, cmem_register_info(other_fd, buf.phys_addr, &reg));
		EXPECT_EQ(buf.length, reg.length);
		EXPECT_EQ(-ENOENT, cmem_register(other_fd, buf.phys_addr & 0xffffffff));
		map = mmap(NULL, self->page, PROT_READ | PROT_WRITE, MAP_SHARED, other_fd,
			   reg.mmap_offset + self->page);
		ASSERT_MAPPED(map);
		*map = 1;
		ASSERT_EQ(0, cmem_resolve(other_fd, map, &res));
		EXPECT_EQ(buf.phys_addr + self->page, res.phys_addr);
		ASSERT_EQ(0, munmap(map, self->page));
		ASSERT_EQ(0, cmem_free(other_fd, buf.phys_addr));
		ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
		close(other_fd);
	}
	if (!tried)
		SKIP(return, "no memory above 4 GiB");
}

TEST_F(bug, no_15_32_bit_programs_speak_the_same_ABI)
{
	/* True for every program; with -m32 or for arm, this proves it. */
	EXPECT_EQ(56, sizeof(struct cmem_info));
	EXPECT_EQ(136, sizeof(struct cmem_block_info));
	EXPECT_EQ(88, sizeof(struct cmem_pool_info));
	EXPECT_EQ(24, sizeof(struct cmem_find_pool));
	EXPECT_EQ(48, sizeof(struct cmem_alloc));
	EXPECT_EQ(16, sizeof(struct cmem_free));
	EXPECT_EQ(48, sizeof(struct cmem_register));
	EXPECT_EQ(80, sizeof(struct cmem_resolve));
	EXPECT_EQ(24, sizeof(struct cmem_sync_range));
	EXPECT_EQ(24, sizeof(struct cmem_sync));
	EXPECT_EQ(16, sizeof(struct cmem_sync_all));
	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		/* 64-bit members arrive complete. */
		EXPECT_EQ(sizeof(struct cmem_block_info), self->before.block[i].size);
		EXPECT_LT(0, self->before.block[i].length);
	}
}

TEST_F(bug, no_16_non_cached_is_not_device_memory)
{
	struct cmem_alloc buf;
	struct source src;
	char *map;

	if (!find_source(ANY_KIND, false, self->page, &src) &&
	    !find_source(ANY_KIND, true, self->page, &src))
		SKIP(return, "no memory");
	ASSERT_EQ(0, source_alloc(self->fd, &src, 0, &buf));
	map = cmem_map(self->fd, &buf);
	ASSERT_MAPPED(map);
	for (size_t at = 0; at < 64; at++) {
		struct { __u64 word; } __packed *odd = (void *)(map + at);

		/* memset() of arm64 clears by cache line, which faults on Device memory. */
		memset(map + at, at, self->page - at);
		EXPECT_EQ(at, map[self->page - 1]);
		odd->word = at * 0x0101010101010101ULL;
		EXPECT_EQ(at * 0x0101010101010101ULL, odd->word);
	}
	ASSERT_EQ(0, munmap(map, buf.length));
}

static void count_sync(const char *name, const char *fields, void *arg)
{
	unsigned long long *bytes = arg;

	if (!strcmp(name, "cmem_sync"))
		*bytes += trace_field(fields, "length");
}

TEST_F(bug, no_17_SYNC_ALL_is_for_ones_own_and_cache_calls_do_something)
{
	unsigned long long bytes = 0;
	struct cmem_alloc buf;
	struct source src;
	int other_fd;

	if (!find_source(ANY_KIND, false, 1, &src) && !find_source(ANY_KIND, true, 1, &src))
		SKIP(return, "no memory");
	if (block_is_coherent(self->fd, src.block))
		SKIP(return, "devices are coherent: there is nothing to do");
	if (!trace_begin())
		SKIP(return, "no tracefs");
	if (!trace_has("cmem/cmem_sync")) {
		trace_end();
		SKIP(return, "no tracepoints");
	}
	ASSERT_EQ(0, source_alloc(self->fd, &src, CMEM_ALLOC_CACHED, &buf));
	ASSERT_TRUE(trace_enable("cmem/cmem_sync", getpid()));
	other_fd = cmem_open();
	EXPECT_EQ(0, cmem_sync_all(other_fd, CMEM_SYNC_WRITE_BACK_INVALIDATE));
	ASSERT_LE(0, trace_for_each(count_sync, &bytes));
	EXPECT_EQ(0, bytes);
	EXPECT_EQ(0, cmem_sync_all(self->fd, CMEM_SYNC_WRITE_BACK_INVALIDATE));
	ASSERT_LE(0, trace_for_each(count_sync, &bytes));
	EXPECT_EQ(buf.length, bytes);
	trace_end();
	close(other_fd);
}

/*
 * CPU time of one ALLOC and FREE, in picoseconds. Runs enough of them to take a while,
 * since the clock may advance in ticks.
 */
static unsigned long long alloc_free_ps(struct __test_metadata *_metadata, int fd,
					const struct source *src)
{
	unsigned long long ns = 0;
	unsigned int count;

	for (count = 100; ns < 50 * 1000 * 1000; count *= 2) {
		struct timespec t0, t1;
		struct cmem_alloc buf;

		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
		for (unsigned int i = 0; i < count; i++) {
			ASSERT_EQ(0, source_alloc(fd, src, 0, &buf));
			ASSERT_EQ(0, cmem_free(fd, buf.phys_addr));
		}
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
		ns = (t1.tv_sec - t0.tv_sec) * 1000000000ULL + t1.tv_nsec - t0.tv_nsec;
	}
	return ns * 1000 / (count / 2);
}

/*
 * The old driver walked all live buffers: with 4,096 of them FREE took fifty times as
 * long as with a few. This test only needs a factor larger than noise; lab/bench has the
 * numbers.
 */
TEST_F(bug, no_18_ALLOC_and_FREE_do_not_depend_on_how_many_buffers_are_live)
{
	unsigned long long few, many;
	struct cmem_pool_info *most = NULL;
	struct cmem_alloc buf;
	struct source src;
	unsigned int live;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		for (__u32 j = 0; j < self->before.block[i].num_pools; j++) {
			struct cmem_pool_info *p = &self->before.pool[i][j];

			if (p->length == self->page && (!most || p->free > most->free))
				most = p;
		}
	}
	if (!most || most->free < 250)
		SKIP(return, "no pool of 250 pages");
	src = (struct source){ most->block, most->pool, 0 };
	few = alloc_free_ps(_metadata, self->fd, &src);
	live = most->free - 10 < 4096 ? most->free - 10 : 4096;
	for (unsigned int n = 0; n < live; n++) {
		ASSERT_EQ(0, source_alloc(self->fd, &src, 0, &buf));
	}
	many = alloc_free_ps(_metadata, self->fd, &src);
	EXPECT_GT(8 * few, many) TH_LOG("%u live: %llu ps, was %llu ps", live, many, few);
}

TEST_HARNESS_MAIN
