// SPDX-License-Identifier: GPL-2.0
/*
 * Page-backed buffers: the kernel finds struct pages behind their mappings, and their
 * memory is not free while it uses one.
 *
 * vmsplice() puts references to pages into a pipe, where they stay until someone reads
 * it: that is I/O that lasts as long as a test wants.
 */
#include <arpa/inet.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "cmem_dmabuf.h"

/* What a page's flags are in /proc/kpageflags */
#define KPF_REFERENCED	(1ULL << 2)
#define KPF_DIRTY	(1ULL << 4)
#define KPF_LRU		(1ULL << 5)
#define KPF_ACTIVE	(1ULL << 6)
#define KPF_MMAP	(1ULL << 11)
#define KPF_ANON	(1ULL << 12)

#define PAGES		(CMEM_ALLOC_CACHED | CMEM_ALLOC_PAGES)
#define PINNED		2	/* pages that a test pins */
#define TAG		0x5a5a

static struct cmem_alloc many[2048];

/* Numbers of pinned buffers and pages of the block and, if it is one, of the pool */
struct pins {
	__u64 bytes, buffers, pages, pool_buffers, pool_pages;
};

static struct pins pins_of(int fd, const struct source *src)
{
	struct cmem_pool_info pool = { 0 };
	struct cmem_block_info block = { 0 };

	cmem_get_block(fd, src->block, &block);
	if (src->pool != CMEM_POOL_HEAP)
		cmem_get_pool(fd, src->block, src->pool, &pool);
	return (struct pins){
		.bytes = block.pinned, .buffers = block.pinned_buffers,
		.pages = block.pinned_pages,
		.pool_buffers = pool.pinned, .pool_pages = pool.pinned_pages,
	};
}

FIXTURE(pages)
{
	int fd;
	struct snapshot before;
	struct source src;
	struct cmem_alloc buf;
	char *map;
	int pipe[2];
	char *copy;
	size_t pinned;		/* bytes that a test pins */
};

FIXTURE_VARIANT(pages)
{
	int kind;
	bool heap;
};

#define PAGES_VARIANT(name, _kind, _heap)				\
	FIXTURE_VARIANT_ADD(pages, name) { .kind = _kind, .heap = _heap }
PAGES_VARIANT(pool_of_reserved, CMEM_KIND_RESERVED, false);
PAGES_VARIANT(heap_of_reserved, CMEM_KIND_RESERVED, true);
PAGES_VARIANT(pool_of_cma, CMEM_KIND_CMA, false);
PAGES_VARIANT(heap_of_cma, CMEM_KIND_CMA, true);

FIXTURE_SETUP(pages)
{
	struct cmem_info info;

	OPEN_OR_SKIP(self->fd);
	self->pipe[0] = -1;
	self->pipe[1] = -1;
	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	ASSERT_TRUE(info.features & CMEM_FEATURE_PAGES);
	if (variant->heap ? !find_heap_source(variant->kind, 4 * page_size(), &self->src) :
	    !find_pool_source(variant->kind, 4 * page_size(), 2, &self->src))
		SKIP(return, "no such memory");
	if (!can_pages(self->fd, self->src.block))
		SKIP(return, "the kernel does not map this memory, or others use it");
	ASSERT_EQ(0, take_snapshot(&self->before));
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, PAGES, &self->buf));
	self->map = cmem_map(self->fd, &self->buf);
	ASSERT_MAPPED(self->map);
	self->pinned = PINNED * page_size();
	fill(self->map, self->buf.length, TAG);
	ASSERT_EQ(0, pipe(self->pipe));
	self->copy = malloc(self->buf.length);
	ASSERT_POINTER(self->copy);
}

FIXTURE_TEARDOWN(pages)
{
	if (self->map)
		munmap(self->map, self->buf.length);
	close(self->pipe[0]);
	close(self->pipe[1]);
	close(self->fd);
	free(self->copy);
	EXPECT_TRUE(eventually(is_same(&self->before)));
	expect_same(&self->before);
}

#define pin(self) __pin(_metadata, self)
static void __pin(struct __test_metadata *_metadata, FIXTURE_DATA(pages) *self)
{
	ASSERT_EQ((ssize_t)self->pinned, splice_pages(self->pipe[1], self->map, self->pinned));
}

/* Drops all that holds the buffer but the pipe. */
#define drop(self) __drop(_metadata, self)
static void __drop(struct __test_metadata *_metadata, FIXTURE_DATA(pages) *self)
{
	ASSERT_EQ(0, munmap(self->map, self->buf.length));
	self->map = NULL;
	ASSERT_EQ(0, cmem_free(self->fd, self->buf.phys_addr));
}

/* The pipe has what the buffer had when it was pinned. */
#define unpin(self) __unpin(_metadata, self)
static void __unpin(struct __test_metadata *_metadata, FIXTURE_DATA(pages) *self)
{
	ASSERT_TRUE(read_pipe(self->pipe[0], self->copy, self->pinned));
	EXPECT_EQ(-1, find_stranger(self->copy, self->pinned, TAG));
}

/* What the fdinfo of an open file has */
#define expect_page_backed(fd, bytes) __expect_page_backed(_metadata, fd, bytes)
static void __expect_page_backed(struct __test_metadata *_metadata, int fd, __u64 bytes)
{
	unsigned long long value = ~0ULL;
	char path[64], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	ASSERT_POINTER(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "cmem-page-backed-bytes:\t%llu\n", &value) == 1)
			break;
	fclose(f);
	EXPECT_EQ(bytes, value);
}

TEST_F(pages, are_reported)
{
	struct cmem_register reg;
	struct cmem_resolve res;
	int second = cmem_open();

	ASSERT_EQ(0, cmem_resolve(self->fd, self->map, &res));
	EXPECT_EQ(PAGES, res.buffer_flags & PAGES);
	ASSERT_EQ(0, cmem_register_info(second, self->buf.phys_addr, &reg));
	EXPECT_EQ(PAGES, reg.buffer_flags & PAGES);
	expect_page_backed(self->fd, self->buf.length);
	expect_page_backed(second, self->buf.length);
	ASSERT_EQ(0, cmem_free(second, self->buf.phys_addr));
	expect_page_backed(second, 0);
	close(second);
	drop(self);
	expect_page_backed(self->fd, 0);
}

/* RESOLVE does not report it of a buffer that is not page-backed, nor can the kernel use it. */
TEST_F(pages, are_only_of_a_buffer_that_asked_for_them)
{
	struct cmem_block_info info;
	struct cmem_resolve res;
	struct cmem_alloc plain;
	char *map;

	drop(self);
	ASSERT_EQ(0, cmem_get_block(self->fd, self->src.block, &info));
	if (info.out_flags & CMEM_BLOCK_PAGES)
		SKIP(return, "all buffers of the block are page-backed");
	ASSERT_TRUE(eventually(is_same(&self->before)));
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, CMEM_ALLOC_CACHED, &plain));
	map = cmem_map(self->fd, &plain);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, cmem_resolve(self->fd, map, &res));
	EXPECT_EQ(CMEM_ALLOC_CACHED, res.buffer_flags & PAGES);
	EXPECT_EQ(-EFAULT, splice_pages(self->pipe[1], map, page_size()));
	ASSERT_EQ(0, munmap(map, plain.length));
	ASSERT_EQ(0, cmem_free(self->fd, plain.phys_addr));
}

TEST_F(pages, need_cached_mappings)
{
	bool coherent = block_is_coherent(self->fd, self->src.block);
	struct cmem_alloc buf;
	int ret;

	drop(self);
	ASSERT_TRUE(eventually(is_same(&self->before)));
	ret = source_alloc(self->fd, &self->src, CMEM_ALLOC_PAGES, &buf);
	EXPECT_EQ(coherent ? 0 : -EINVAL, ret);
	if (!ret) {
		ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	}
}

/* The pages that the kernel finds are those of the buffer. */
TEST_F(pages, are_those_of_the_buffer)
{
	pin(self);
	unpin(self);
	for (size_t at = 0; at < self->buf.length; at += page_size()) {
		ASSERT_EQ((ssize_t)page_size(),
			  splice_pages(self->pipe[1], self->map + at, page_size()));
		ASSERT_TRUE(read_pipe(self->pipe[0], self->copy + at, page_size()));
	}
	EXPECT_EQ(-1, find_stranger(self->copy, self->buf.length, TAG));
	drop(self);
}

TEST_F(pages, are_for_process_vm_readv_and_writev)
{
	struct iovec local = { .iov_base = self->copy, .iov_len = self->buf.length };
	struct iovec remote = { .iov_base = self->map, .iov_len = self->buf.length };
	int hold[2];
	pid_t pid;
	char byte;

	ASSERT_EQ(0, pipe(hold));
	pid = fork_child(_metadata);
	if (!pid) {
		close(hold[1]);
		_exit(read(hold[0], &byte, 1) ? 1 : CHILD_EXIT_OK);
	}
	EXPECT_EQ((ssize_t)self->buf.length, process_vm_readv(pid, &local, 1, &remote, 1, 0));
	EXPECT_EQ(-1, find_stranger(self->copy, self->buf.length, TAG));
	fill(self->copy, self->buf.length, TAG + 1);
	EXPECT_EQ((ssize_t)self->buf.length, process_vm_writev(pid, &local, 1, &remote, 1, 0));
	EXPECT_EQ(-1, find_stranger(self->map, self->buf.length, TAG + 1));
	close(hold[1]);
	join_child(pid);
	close(hold[0]);
	drop(self);
}

/* On all architectures: the core reaches struct pages without the driver. */
TEST_F(pages, are_for_debuggers)
{
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC), status;
	long *word = (long *)(self->map + page_size()) - 1;
	char text[8] = "";
	pid_t pid;

	ASSERT_LE(0, mem);
	strcpy((char *)word, "read me");
	ASSERT_EQ(8, pread(mem, text, sizeof(text), (unsigned long)word));
	EXPECT_STREQ("read me", text);
	ASSERT_EQ(8, pwrite(mem, "patched", sizeof(text), (unsigned long)word));
	EXPECT_STREQ("patched", (char *)word);
	close(mem);

	word[0] = 0x12345678;
	IN_CHILD(pid) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		ASSERT_EQ(0x600df00d, word[1]);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	errno = 0;
	EXPECT_EQ(0x12345678, ptrace(PTRACE_PEEKDATA, pid, &word[0], 0));
	EXPECT_EQ(0, errno);
	EXPECT_EQ(0, ptrace(PTRACE_POKEDATA, pid, &word[1], 0x600df00d));
	EXPECT_EQ(0x600df00d, word[1]);
	ASSERT_EQ(0, ptrace(PTRACE_CONT, pid, 0, 0));
	join_child(pid);
	drop(self);
}

/* From the buffer into a pipe, and from there into a file */
TEST_F(pages, are_spliced_to_a_file)
{
	int file = memfd_create("cmem-pages", MFD_CLOEXEC);

	ASSERT_LE(0, file);
	pin(self);
	ASSERT_EQ((ssize_t)self->pinned, splice(self->pipe[0], NULL, file, NULL, self->pinned, 0));
	ASSERT_EQ((ssize_t)self->pinned, pread(file, self->copy, self->pinned, 0));
	EXPECT_EQ(-1, find_stranger(self->copy, self->pinned, TAG));
	close(file);
	drop(self);
}

/* A socket of 127.0.0.1, which is up then; -1 if the kernel has no network */
static int loopback_socket(int type)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct ifreq interface = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int sock = socket(AF_INET, type | SOCK_CLOEXEC, 0), small = 4096;

	if (sock < 0)
		return -1;
	/* It may be up already, and only root may do it. */
	ioctl(sock, SIOCSIFFLAGS, &interface);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (type == SOCK_STREAM)
		setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (bind(sock, (struct sockaddr *)&address, sizeof(address))) {
		close(sock);
		return -1;
	}
	return sock;
}

/* Connects @from to @to, and lets it send without copying. */
static int connect_for_zerocopy(int from, int to)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	int on = 1;

	if (getsockname(to, (struct sockaddr *)&address, &size) ||
	    connect(from, (struct sockaddr *)&address, size) ||
	    setsockopt(from, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)))
		return -errno;
	return 0;
}

/*
 * Nobody reads, and the receiver has little room, so most of the buffer waits in the
 * sender. The pages stay in use although the buffer is free, and the process is, too.
 */
TEST_F(pages, are_sent_by_TCP)
{
	struct pins none = pins_of(self->fd, &self->src);
	size_t length = self->buf.length, sent = 0, got = 0;
	int from, to, listener = loopback_socket(SOCK_STREAM);
	ssize_t count;

	if (listener < 0)
		SKIP(return, "no network: %s", strerror(errno));
	ASSERT_EQ(0, listen(listener, 1));
	from = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ASSERT_LE(0, from);
	ASSERT_EQ(0, connect_for_zerocopy(from, listener));
	to = accept(listener, NULL, NULL);
	ASSERT_LE(0, to);
	while (sent < length) {
		count = send(from, self->map + sent, length - sent, MSG_ZEROCOPY | MSG_DONTWAIT);
		if (count < 0) {
			ASSERT_EQ(EAGAIN, errno);
			break;
		}
		sent += count;
	}
	ASSERT_LT(2 * 4096, sent);
	drop(self);
	EXPECT_TRUE(eventually(pins_of(self->fd, &self->src).pages != none.pages));
	expect_not_given_away(&self->src, &self->buf);
	for (; got < sent; got += count) {
		count = recv(to, self->copy + got, sent - got, 0);
		ASSERT_LT(0, count);
	}
	EXPECT_EQ(-1, find_stranger(self->copy, sent, TAG));
	close(from);
	close(to);
	close(listener);
}

TEST_F(pages, are_sent_by_UDP)
{
	int from, to = loopback_socket(SOCK_DGRAM);
	size_t length = self->buf.length < 32768 ? self->buf.length : 32768;

	if (to < 0)
		SKIP(return, "no network: %s", strerror(errno));
	from = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ASSERT_LE(0, from);
	ASSERT_EQ(0, connect_for_zerocopy(from, to));
	ASSERT_EQ((ssize_t)length, send(from, self->map, length, MSG_ZEROCOPY));
	drop(self);
	ASSERT_EQ((ssize_t)length, recv(to, self->copy, self->buf.length, 0));
	EXPECT_EQ(-1, find_stranger(self->copy, length, TAG));
	close(from);
	close(to);
}

/* What programs and libraries do to any memory does it no harm. */
TEST_F(pages, take_no_harm_from_advice_and_locks)
{
	static const int advices[] = {
		MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTFORK,
		MADV_DOFORK, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_MERGEABLE, MADV_UNMERGEABLE,
		MADV_FREE, MADV_COLD, MADV_PAGEOUT, MADV_REMOVE,
#ifdef MADV_COLLAPSE
		MADV_COLLAPSE,
#endif
	};

	for (size_t i = 0; i < ARRAY_SIZE(advices); i++) {
		int ret = madvise(self->map, self->buf.length, advices[i]);

		if (advices[i] == MADV_COLD || advices[i] == MADV_PAGEOUT) {
			ASSERT_EQ(0, ret) TH_LOG("%d: %s", advices[i], strerror(errno));
		}
		ASSERT_EQ(-1, find_stranger(self->map, self->buf.length, TAG))
			TH_LOG("%d", advices[i]);
	}
	ASSERT_EQ(0, mlock(self->map, self->buf.length));
	ASSERT_EQ(0, msync(self->map, self->buf.length, MS_ASYNC));
	/* There is nothing to write to: the device has no fsync(). */
	ASSERT_EQ(-1, msync(self->map, self->buf.length, MS_SYNC));
	ASSERT_EQ(EINVAL, errno);
	pin(self);
	ASSERT_EQ(0, munlock(self->map, self->buf.length));
	ASSERT_EQ(0, madvise(self->map, self->buf.length, MADV_DONTFORK));
	EXPECT_EQ(-1, find_stranger(self->map, self->buf.length, TAG));
	unpin(self);
	drop(self);
}

/* Freed, unmapped and closed: nobody gets the memory before the pipe has been read. */
TEST_F(pages, in_use_are_not_free)
{
	struct pins none = pins_of(self->fd, &self->src), pins;
	struct cmem_block_info charged, after;
	struct cmem_alloc fresh;
	int second = cmem_open();
	char *map;

	pin(self);
	ASSERT_EQ(0, cmem_get_block(self->fd, self->src.block, &charged));
	drop(self);
	/* The kernel counts when it looks, and that may be later. */
	EXPECT_TRUE(eventually(pins_of(second, &self->src).pages - none.pages == PINNED));
	pins = pins_of(second, &self->src);
	EXPECT_EQ(1, pins.buffers - none.buffers);
	EXPECT_EQ(self->buf.length, pins.bytes - none.bytes);
	if (!variant->heap) {
		EXPECT_EQ(1, pins.pool_buffers - none.pool_buffers);
		EXPECT_EQ(PINNED, pins.pool_pages - none.pool_pages);
	}
	ASSERT_EQ(0, cmem_get_block(self->fd, self->src.block, &after));
	EXPECT_EQ(charged.charged, after.charged);
	EXPECT_EQ(-ENOENT, cmem_free(self->fd, self->buf.phys_addr));
	EXPECT_EQ(-ENOENT, cmem_register(second, self->buf.phys_addr));
	EXPECT_TRUE(cmem_map(self->fd, &self->buf) == MAP_FAILED);
	expect_not_given_away(&self->src, &self->buf);

	/* Not even to the owner that freed it last */
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, PAGES, &fresh));
	EXPECT_FALSE(overlaps(&fresh, &self->buf));
	map = cmem_map(self->fd, &fresh);
	ASSERT_MAPPED(map);
	fill(map, fresh.length, TAG + 1);
	ASSERT_EQ(0, munmap(map, fresh.length));
	ASSERT_EQ(0, cmem_free(self->fd, fresh.phys_addr));

	unpin(self);
	EXPECT_TRUE(eventually(!memcmp(&none, (struct pins[]){ pins_of(second, &self->src) },
				       sizeof(none))));
	EXPECT_TRUE(eventually(is_same(&self->before)));
	close(second);
}

/* Each page counts: first, last, and one after the other. */
TEST_F(pages, hold_the_buffer_one_by_one)
{
	struct pins none = pins_of(self->fd, &self->src);
	size_t page = page_size();

	ASSERT_EQ((ssize_t)page, splice_pages(self->pipe[1], self->map, page));
	ASSERT_EQ((ssize_t)page, splice_pages(self->pipe[1],
					      self->map + self->buf.length - page, page));
	drop(self);
	EXPECT_TRUE(eventually(pins_of(self->fd, &self->src).pages - none.pages == 2));
	ASSERT_TRUE(read_pipe(self->pipe[0], self->copy, page));
	EXPECT_TRUE(eventually(pins_of(self->fd, &self->src).pages - none.pages == 1));
	expect_not_given_away(&self->src, &self->buf);
	ASSERT_TRUE(read_pipe(self->pipe[0], self->copy, page));
}

/* An allocation that finds no memory looks whether what was pinned is free now. */
TEST_F(pages, are_looked_at_before_an_allocation_fails)
{
	struct cmem_alloc buf;
	int count;

	pin(self);
	drop(self);
	count = drain(self->fd, &self->src, 0, many, ARRAY_SIZE(many));
	ASSERT_LE(0, count);
	/* Long enough that the kernel does not look often any more. */
	usleep(100 * 1000);
	ASSERT_EQ(-ENOMEM, cmem_alloc(self->fd, self->src.block, self->src.pool,
				      variant->heap ? page_size() : 0, PAGES, &buf));
	unpin(self);
	ASSERT_EQ(0, cmem_alloc(self->fd, self->src.block, self->src.pool,
				variant->heap ? page_size() : 0, PAGES, &buf));
	EXPECT_TRUE(overlaps(&buf, &self->buf));
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	for (int i = 0; i < count; i++) {
		ASSERT_EQ(0, cmem_free(self->fd, many[i].phys_addr));
	}
}

/* All others are taken, and a while later, what was pinned is not any more. */
#define end_pins_of_last(self) __end_pins_of_last(_metadata, self)
static void __end_pins_of_last(struct __test_metadata *_metadata, FIXTURE_DATA(pages) *self)
{
	pin(self);
	drop(self);
	ASSERT_LE(0, drain(self->fd, &self->src, 0, many, ARRAY_SIZE(many)));
	/* Long enough that the kernel does not look often any more. */
	usleep(100 * 1000);
	unpin(self);
}

TEST_F(pages, are_looked_at_before_the_heap_is_taken)
{
	struct cmem_alloc buf;

	if (variant->heap)
		SKIP(return, "the heap is the last choice");
	end_pins_of_last(self);
	ASSERT_EQ(0, cmem_alloc(self->fd, self->src.block, self->src.pool, 0,
				CMEM_ALLOC_HEAP_FALLBACK, &buf));
	EXPECT_TRUE(overlaps(&buf, &self->buf));
}

TEST_F(pages, are_looked_at_before_a_pool_is_said_to_be_full)
{
	__s32 found;

	if (variant->heap)
		SKIP(return, "the heap is no pool");
	ASSERT_EQ(0, cmem_find_pool(self->fd, self->src.block, self->buf.length, &found));
	if (found != self->src.pool)
		SKIP(return, "another pool is found first");
	end_pins_of_last(self);
	ASSERT_EQ(0, cmem_find_pool(self->fd, self->src.block, self->buf.length, &found));
	EXPECT_EQ(self->src.pool, found);
}

/* What others free and is never enough does not keep an allocation from failing. */
TEST_F(pages, of_others_do_not_keep_an_allocation_from_failing)
{
	struct cmem_block_info info;
	struct cmem_alloc buf;
	pid_t pid;

	if (!variant->heap)
		SKIP(return, "all buffers of a pool are the same");
	ASSERT_EQ(0, cmem_get_block(self->fd, self->src.block, &info));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int fd = cmem_open();

		for (;;) {
			if (cmem_alloc(fd, self->src.block, CMEM_POOL_HEAP, page_size(), PAGES,
				       &buf))
				continue;
			cmem_free(fd, buf.phys_addr);
		}
	}
	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(-ENOMEM, cmem_alloc(self->fd, self->src.block, CMEM_POOL_HEAP,
					      info.heap_size, PAGES, &buf));
	}
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
}

/* Who else gets the memory later reads zeros. */
TEST_F(pages, are_zeroed_for_the_next_owner)
{
	int second = cmem_open(), count, seen = 0;
	char *map;

	pin(self);
	drop(self);
	unpin(self);
	EXPECT_TRUE(eventually(is_same(&self->before)));
	count = drain(second, &self->src, PAGES, many, ARRAY_SIZE(many));
	ASSERT_LE(0, count);
	for (int i = 0; i < count; i++) {
		if (!overlaps(&many[i], &self->buf))
			continue;
		seen++;
		map = cmem_map(second, &many[i]);
		ASSERT_MAPPED(map);
		EXPECT_EQ(-1, find_nonzero(map, many[i].length));
		ASSERT_EQ(0, munmap(map, many[i].length));
	}
	/* CMA may give that part of its area to others. */
	if (variant->kind != CMEM_KIND_CMA) {
		EXPECT_LT(0, seen);
	}
	close(second);
}

enum end { BY_EXIT, BY_SIGNAL };

/* A process that pinned pages ends, by itself or by a signal. */
static void end_with_pins(struct __test_metadata *_metadata, FIXTURE_DATA(pages) *self,
			  enum end end)
{
	struct pins none = pins_of(self->fd, &self->src);
	struct cmem_alloc *buf;
	pid_t pid;

	buf = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(buf);
	drop(self);
	pid = fork_child(_metadata);
	if (!pid) {
		int fd = cmem_open();

		close(self->fd);
		ASSERT_EQ(0, source_alloc(fd, &self->src, PAGES, buf));
		self->map = cmem_map(fd, buf);
		ASSERT_MAPPED(self->map);
		fill(self->map, buf->length, TAG);
		pin(self);
		if (end == BY_SIGNAL)
			raise(SIGKILL);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_TRUE(eventually(pins_of(self->fd, &self->src).pages - none.pages == PINNED));
	expect_not_given_away(&self->src, buf);
	unpin(self);
	munmap(buf, page_size());
}

TEST_F(pages, outlive_an_exit)
{
	end_with_pins(_metadata, self, BY_EXIT);
}

TEST_F(pages, outlive_a_kill)
{
	end_with_pins(_metadata, self, BY_SIGNAL);
}

/* What the kernel drops from a mapping comes back, for the program and for I/O. */
TEST_F(pages, come_back_after_madvise)
{
	size_t page = page_size();

	ASSERT_EQ(0, madvise(self->map + page, page, MADV_DONTNEED));
	EXPECT_EQ(-1, find_stranger(self->map, self->buf.length, TAG));
	ASSERT_EQ(0, madvise(self->map, self->buf.length, MADV_DONTNEED));
	pin(self);
	unpin(self);
	ASSERT_EQ(0, madvise(self->map, self->buf.length, MADV_DONTNEED));
#ifdef MADV_POPULATE_WRITE
	ASSERT_EQ(0, madvise(self->map, self->buf.length, MADV_POPULATE_WRITE));
#endif
	EXPECT_EQ(-1, find_stranger(self->map, self->buf.length, TAG));
	ASSERT_EQ(0, mprotect(self->map, self->buf.length, PROT_READ));
	EXPECT_EQ(SIGSEGV, access_signal(self->map, true));
	EXPECT_EQ(0, access_signal(self->map, false));
	ASSERT_EQ(0, mprotect(self->map, self->buf.length, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, access_signal(self->map, true));
	*self->map = 0;
	drop(self);
}

/* The mapping of a child, of a moved part and of a DMA-BUF have the same pages. */
TEST_F(pages, are_in_every_mapping)
{
	size_t page = page_size();
	char *moved, *room;
	pid_t pid;
	int dmabuf;

	IN_CHILD(pid) {
		ASSERT_EQ(-1, find_stranger(self->map, self->buf.length, TAG));
		pin(self);
		ASSERT_EQ(0, munmap(self->map, self->buf.length));
	}
	join_child(pid);
	unpin(self);

	room = mmap(NULL, self->buf.length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(room);
	moved = mremap(self->map + page, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, room);
	ASSERT_MAPPED(moved);
	ASSERT_EQ((ssize_t)page, splice_pages(self->pipe[1], moved, page));
	ASSERT_TRUE(read_pipe(self->pipe[0], self->copy, page));
	EXPECT_EQ(0, memcmp(self->copy, moved, page));
	ASSERT_EQ(0, munmap(room, self->buf.length));

	dmabuf = cmem_export(self->fd, self->buf.phys_addr, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, dmabuf);
	drop(self);
	self->map = mmap(NULL, self->buf.length, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
	ASSERT_MAPPED(self->map);
	close(dmabuf);
	EXPECT_EQ(-1, find_stranger(self->map, self->buf.length, TAG));
	pin(self);
	ASSERT_EQ(0, munmap(self->map, self->buf.length));
	self->map = NULL;
	expect_not_given_away(&self->src, &self->buf);
	unpin(self);
}

/* First the quarantine, then the pages: both keep the memory. */
TEST_F(pages, stay_after_a_quarantine)
{
	struct cmem_release release = {
		.size = sizeof(release), .block = self->src.block, .flags = CMEM_RELEASE_BUFFER,
	};
	struct pins none = pins_of(self->fd, &self->src);
	struct cmem_block_info info;
	int second = cmem_open();

	if (getuid())
		SKIP(return, "to release is for root");
	ASSERT_EQ(0, cmem_get_block(self->fd, self->src.block, &info));
	if (info.quarantine_ms || info.out_flags & CMEM_BLOCK_RPROC)
		SKIP(return, "it does not stay in quarantine here");
	drop(self);
	ASSERT_TRUE(eventually(is_same(&self->before)));
	ASSERT_EQ(0, source_alloc(second, &self->src, PAGES | CMEM_ALLOC_QUARANTINE, &self->buf));
	self->map = cmem_map(second, &self->buf);
	ASSERT_MAPPED(self->map);
	fill(self->map, self->buf.length, TAG);
	pin(self);
	ASSERT_EQ(0, munmap(self->map, self->buf.length));
	self->map = NULL;
	close(second);
	EXPECT_EQ(0, pins_of(self->fd, &self->src).buffers - none.buffers);
	release.phys_addr = self->buf.phys_addr;
	ASSERT_EQ(0, cmem_ioctl(self->fd, CMEM_IOCTL_RELEASE, &release));
	EXPECT_TRUE(eventually(pins_of(self->fd, &self->src).pages - none.pages == PINNED));
	expect_not_given_away(&self->src, &self->buf);
	unpin(self);
}

static bool read_page_facts(const char *file, __u64 phys, __u64 *facts, size_t count)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t got = pread(fd, facts, count * sizeof(*facts),
			    phys / page_size() * sizeof(*facts));

	close(fd);
	return got == (ssize_t)(count * sizeof(*facts));
}

/* Afterwards, the pages look as if nobody had mapped them. */
TEST_F(pages, keep_no_trace)
{
	static const __u64 traces = KPF_REFERENCED | KPF_DIRTY | KPF_LRU | KPF_ACTIVE | KPF_MMAP |
				    KPF_ANON;
	__u64 flags[4], mapped[4];

	if (!read_page_facts("/proc/kpageflags", self->buf.phys_addr, flags, 4))
		SKIP(return, "no /proc/kpageflags, or not for this user");
	EXPECT_TRUE(flags[0] & KPF_MMAP);
	pin(self);
	ASSERT_EQ(0, madvise(self->map, self->buf.length, MADV_DONTNEED));
	fill(self->map, self->buf.length, TAG);
	drop(self);
	unpin(self);
	ASSERT_TRUE(eventually(is_same(&self->before)));
	if (variant->kind == CMEM_KIND_CMA)
		SKIP(return, "the kernel may use them already");
	ASSERT_TRUE(read_page_facts("/proc/kpageflags", self->buf.phys_addr, flags, 4));
	ASSERT_TRUE(read_page_facts("/proc/kpagecount", self->buf.phys_addr, mapped, 4));
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(0, flags[i] & traces);
		EXPECT_EQ(0, mapped[i]);
	}
}

#define VMSTAT "/proc/vmstat"

/* The value of a line of it; per-CPU counts are added to it first. */
static long long vmstat(const char *key)
{
	size_t length = strlen(key);
	long long value = -1;
	char line[128];
	FILE *f;
	int fd;

	/* To read or write it adds them up. */
	fd = open("/proc/sys/vm/stat_refresh", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1) {
		close(fd);
		return -1;
	}
	close(fd);
	f = fopen(VMSTAT, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, length) && line[length] == ' ')
			value = atoll(line + length);
	if (f)
		fclose(f);
	return value;
}

/* The kernel counts mapped pages as those of files, and what it counts up it counts down. */
TEST_F(pages, are_counted_as_mapped_as_long_as_they_are)
{
	const long long pages = 1024, noise = 256;
	struct cmem_alloc buf;
	long long before;
	char *map;

	before = vmstat("nr_mapped");
	if (before < 0)
		SKIP(return, "/proc/sys/vm/stat_refresh is for root");
	if (!variant->heap || cmem_alloc(self->fd, self->src.block, CMEM_POOL_HEAP,
					 pages * page_size(), PAGES, &buf))
		SKIP(return, "no heap with room for %lld pages", pages);
	for (int i = 0; i < 4; i++) {
		map = cmem_map(self->fd, &buf);
		ASSERT_MAPPED(map);
		EXPECT_LT(before + pages - noise, vmstat("nr_mapped"));
		ASSERT_EQ(0, madvise(map, buf.length / 2, MADV_DONTNEED));
		ASSERT_EQ(0, munmap(map, buf.length));
		EXPECT_GT(before + noise, vmstat("nr_mapped"));
	}
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
}

/* All processors map, pin, free and read at once, and each finds its own bytes. */
TEST_F(pages, are_nobody_elses_under_load)
{
	unsigned int rounds = scaled(300);
	pid_t pid[4];

	drop(self);
	for (int i = 0; i < ARRAY_SIZE(pid); i++) {
		IN_CHILD(pid[i]) {
			size_t page = page_size(), length = 2 * page;
			int pipefd[2], fd = cmem_open();

			ASSERT_EQ(0, pipe(pipefd));
			for (unsigned int n = 0; n < rounds; n++) {
				struct cmem_alloc buf;
				char *map;
				int ret;

				ret = cmem_alloc(fd, self->src.block, self->src.pool,
						 variant->heap ? length : 0, PAGES, &buf);
				if (ret == -ENOMEM)
					continue;
				ASSERT_EQ(0, ret);
				map = cmem_map(fd, &buf);
				ASSERT_MAPPED(map);
				fill(map, length, TAG + i);
				ASSERT_EQ((ssize_t)length,
					  splice_pages(pipefd[1], map, length));
				ASSERT_EQ(0, cmem_free(fd, buf.phys_addr));
				ASSERT_EQ(0, munmap(map, buf.length));
				if (n % 3 == 0)
					sched_yield();
				ASSERT_TRUE(read_pipe(pipefd[0], self->copy, length));
				ASSERT_EQ(-1, find_stranger(self->copy, length, TAG + i));
			}
			close(fd);
		}
	}
	for (int i = 0; i < ARRAY_SIZE(pid); i++) {
		join_child(pid[i]);
	}
}

#ifdef __NR_io_uring_setup
#include <linux/io_uring.h>

static int uring_with_buffer(void *map, size_t length, int *ret)
{
	struct io_uring_params params = { 0 };
	struct iovec iov = { .iov_base = map, .iov_len = length };
	int ring = syscall(__NR_io_uring_setup, 2, &params);

	if (ring < 0)
		return -errno;
	*ret = syscall(__NR_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1) ?
	       -errno : 0;
	return ring;
}

/* io_uring pins its registered buffers for as long as it wants. The core refuses it for CMA. */
TEST_F(pages, are_for_io_urings_registered_buffers)
{
	struct pins none = pins_of(self->fd, &self->src);
	int ret, ring;

	ring = uring_with_buffer(self->map, self->pinned, &ret);
	if (ring < 0)
		SKIP(return, "no io_uring: %s", strerror(-ring));
	if (variant->kind == CMEM_KIND_CMA) {
		EXPECT_EQ(-EFAULT, ret);
		drop(self);
		close(ring);
		return;
	}
	if (ret == -EOPNOTSUPP && kernel_is_before(6, 5)) {
		close(ring);
		SKIP(return, "Linux before 6.5 registers no mapping of a driver's file");
	}
	ASSERT_EQ(0, ret);
	drop(self);
	EXPECT_TRUE(eventually(pins_of(self->fd, &self->src).pages - none.pages == PINNED));
	expect_not_given_away(&self->src, &self->buf);
	close(ring);
}
#endif

/* Memory that the kernel does not map can't have it, whatever else is asked for. */
TEST(no_pages_without_a_linear_map)
{
	static const int kinds[] = { CMEM_KIND_CARVEOUT, CMEM_KIND_SRAM };
	struct cmem_alloc buf;
	struct source src;
	int fd, tried = 0;

	OPEN_OR_SKIP(fd);
	for (int i = 0; i < 4; i++) {
		if (!find_source(kinds[i / 2], i % 2, page_size(), &src))
			continue;
		tried++;
		EXPECT_FALSE(can_pages(fd, src.block));
		EXPECT_REFUSED(EOPNOTSUPP, source_alloc(fd, &src, PAGES, &buf));
		EXPECT_REFUSED(EOPNOTSUPP, source_alloc(fd, &src, CMEM_ALLOC_PAGES, &buf));
	}
	close(fd);
	if (!tried)
		SKIP(return, "no such memory");
}

/* Makes a block again whose buffers all are to be page-backed. */
static int add_with_pages(int fd, const struct spare_block *spare)
{
	int ret = cmem_block_remove(fd, spare->info.block);

	return ret ?: cmem_block_add(fd, spare->info.block, spare->info.base,
				     spare->info.length, CMEM_BLOCK_PAGES, NULL, 0);
}

TEST(no_block_is_made_that_could_not_have_them)
{
	struct cmem_block_info info;
	struct spare_block spare;
	int fd;

	OPEN_OR_SKIP(fd);
	if (getuid())
		SKIP(return, "to make blocks is for root");
	if (!find_spare_block_with(fd, CMEM_BLOCK_CMA, CMEM_BLOCK_CAN_PAGES, 0, &spare))
		SKIP(return, "no block without them can be removed");
	EXPECT_EQ(-EOPNOTSUPP, add_with_pages(fd, &spare));
	EXPECT_EQ(-ENOENT, cmem_get_block(fd, spare.info.block, &info));
	EXPECT_EQ(0, put_back_block(fd, &spare));
	close(fd);
}

TEST(a_block_has_them_by_default)
{
	struct spare_block spare;
	struct cmem_block_info info;
	struct cmem_resolve res;
	struct cmem_alloc buf;
	int fd, pipefd[2];
	char *map;

	OPEN_OR_SKIP(fd);
	if (getuid())
		SKIP(return, "to make blocks is for root");
	if (!find_spare_block_with(fd, CMEM_BLOCK_CMA, CMEM_BLOCK_CAN_PAGES,
				   CMEM_BLOCK_CAN_PAGES, &spare))
		SKIP(return, "no block that can have them can be removed");
	ASSERT_EQ(0, pipe(pipefd));
	EXPECT_EQ(0, add_with_pages(fd, &spare));
	EXPECT_EQ(0, cmem_get_block(fd, spare.info.block, &info));
	EXPECT_TRUE(info.out_flags & CMEM_BLOCK_PAGES);

	/* A program that knows nothing of it */
	EXPECT_EQ(0, cmem_alloc(fd, spare.info.block, CMEM_POOL_HEAP, page_size(),
				CMEM_ALLOC_CACHED, &buf));
	map = cmem_map(fd, &buf);
	EXPECT_TRUE(map != MAP_FAILED);
	EXPECT_EQ(0, cmem_resolve(fd, map, &res));
	EXPECT_EQ(PAGES, res.buffer_flags & PAGES);
	EXPECT_EQ((ssize_t)page_size(), splice_pages(pipefd[1], map, page_size()));
	EXPECT_EQ(0, munmap(map, buf.length));
	EXPECT_EQ(0, cmem_free(fd, buf.phys_addr));
	EXPECT_EQ(-EBUSY, cmem_block_remove(fd, spare.info.block));
	close(pipefd[0]);
	close(pipefd[1]);

	/* One that is not cached is not page-backed, unless all are cached here. */
	EXPECT_EQ(0, cmem_alloc(fd, spare.info.block, CMEM_POOL_HEAP, page_size(), 0, &buf));
	map = cmem_map(fd, &buf);
	EXPECT_TRUE(map != MAP_FAILED);
	EXPECT_EQ(0, cmem_resolve(fd, map, &res));
	EXPECT_EQ(block_is_coherent(fd, spare.info.block),
		  !!(res.buffer_flags & CMEM_ALLOC_PAGES));
	EXPECT_EQ(0, munmap(map, buf.length));
	EXPECT_EQ(0, cmem_free(fd, buf.phys_addr));

	/* The pipe is gone: the removal itself finds that. */
	EXPECT_EQ(0, cmem_block_remove(fd, spare.info.block));
	EXPECT_EQ(0, put_back_block(fd, &spare));
	close(fd);
}

TEST_HARNESS_MAIN
