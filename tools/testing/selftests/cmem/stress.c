// SPDX-License-Identifier: GPL-2.0
/*
 * Eight processes of two threads each at once: they allocate, map, write, register
 * buffers of others, maintain caches, close, and get killed. No process sees another's
 * data, and afterwards every block is as full as before.
 */
#include <pthread.h>

#include "cmem_test.h"

#define PROCESSES	8
#define THREADS		2
#define BOARD		64		/* addresses that the processes share */
#define HELD		12

FIXTURE(stress)
{
	struct snapshot before;
};

FIXTURE_SETUP(stress)
{
	int fd;

	OPEN_OR_SKIP(fd);
	close(fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!self->before.num_blocks)
		SKIP(return, "no block");
}

FIXTURE_TEARDOWN(stress)
{
	expect_same(&self->before);
}

/* Reports errors in a thread, where ASSERT_*() does not work. */
#define CHECK(condition) do {						\
	if (!(condition) && !w->error) {				\
		w->error = #condition;					\
		w->line = __LINE__;					\
		w->saved_errno = errno;					\
	}								\
} while (0)

struct worker {
	const struct snapshot *blocks;
	volatile __u64 *board;
	unsigned int seed;
	unsigned int steps;
	__u32 tag;			/* owned by one thread */
	int fd;				/* of the process: its threads share it */
	int own;			/* of the thread */
	const char *error;
	int line;
	int saved_errno;
	unsigned int allocated;
	unsigned int refused;
};

struct held {
	struct cmem_alloc buf;
	char *map;
	size_t first;			/* mapped bytes, from the buffer's start */
	size_t length;
	int fd;
	__u32 tag;
};

static void take(struct worker *w, struct held *h)
{
	const struct cmem_block_info *b;
	unsigned long page = page_size();
	int ret;

	b = &w->blocks->block[rand_r(&w->seed) % w->blocks->num_blocks];
	h->fd = rand_r(&w->seed) % 2 ? w->fd : w->own;
	ret = cmem_alloc(h->fd, b->block, rand_r(&w->seed) % 2 ? CMEM_POOL_HEAP : CMEM_POOL_BEST,
			 1 + rand_r(&w->seed) % (1 << (8 + rand_r(&w->seed) % 10)),
			 rand_r(&w->seed) % 8, &h->buf);
	if (ret) {
		/* The only errors allowed: no room, or no pool that large. */
		errno = -ret;
		CHECK(ret == -ENOMEM || ret == -ENOENT);
		w->refused++;
		return;
	}
	w->allocated++;
	h->first = rand_r(&w->seed) % (h->buf.length / page) * page;
	h->length = (1 + rand_r(&w->seed) % ((h->buf.length - h->first) / page)) * page;
	h->map = mmap(NULL, h->length, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd,
		      h->buf.mmap_offset + h->first);
	CHECK(h->map != MAP_FAILED);
	if (h->map == MAP_FAILED) {
		h->map = NULL;
		cmem_free(h->fd, h->buf.phys_addr);
		return;
	}
	/* Not much, so that there are many steps. */
	if (h->length > 4 * page) {
		CHECK(munmap(h->map + 4 * page, h->length - 4 * page) == 0);
		h->length = 4 * page;
	}
	h->tag = ++w->tag;
	fill(h->map, h->length, h->tag);
	w->board[rand_r(&w->seed) % BOARD] = h->buf.phys_addr;
}

static void check(struct worker *w, struct held *h)
{
	struct cmem_resolve res;

	CHECK(find_stranger(h->map, h->length, h->tag) == -1);
	CHECK(cmem_resolve(w->fd, h->map + 8, &res) == 0);
	CHECK(res.phys_addr == h->buf.phys_addr + h->first + 8);
	CHECK(res.contiguous == h->length - 8);
	CHECK(res.buffer_addr == h->buf.phys_addr);
}

static void give(struct worker *w, struct held *h)
{
	bool unmap_first = rand_r(&w->seed) % 2;

	check(w, h);
	if (unmap_first)
		CHECK(munmap(h->map, h->length) == 0);
	CHECK(cmem_free(h->fd, h->buf.phys_addr) == 0);
	if (!unmap_first) {
		/* Freed but mapped: still only ours. */
		CHECK(find_stranger(h->map, h->length, h->tag) == -1);
		fill(h->map, h->length, ++w->tag);
		CHECK(find_stranger(h->map, h->length, w->tag) == -1);
		CHECK(munmap(h->map, h->length) == 0);
	}
	h->map = NULL;
}

/* Registers for a buffer that another process had a moment ago, and checks it. */
static void visit(struct worker *w)
{
	__u64 phys_addr = w->board[rand_r(&w->seed) % BOARD];
	struct cmem_register reg;
	volatile char *map;
	int ret;

	if (!phys_addr)
		return;
	ret = cmem_register_info(w->own, phys_addr, &reg);
	if (ret) {
		errno = -ret;
		CHECK(ret == -ENOENT || ret == -EPERM);
		return;
	}
	map = mmap(NULL, reg.length, PROT_READ, MAP_SHARED, w->own, reg.mmap_offset);
	CHECK(map != MAP_FAILED);
	if (map != MAP_FAILED) {
		(void)map[0];
		(void)map[reg.length - 1];
		CHECK(munmap((void *)map, reg.length) == 0);
	}
	CHECK(cmem_free(w->own, phys_addr) == 0);
}

static void *work(void *arg)
{
	static const __u32 ops[] = { CMEM_SYNC_WRITE_BACK, CMEM_SYNC_WRITE_BACK_INVALIDATE };
	struct held held[HELD] = {};
	struct worker *w = arg;

	for (unsigned int n = 0; n < w->steps && !w->error; n++) {
		struct held *h = &held[rand_r(&w->seed) % HELD];

		switch (rand_r(&w->seed) % 8) {
		case 0:
			visit(w);
			break;
		case 1:
			CHECK(cmem_sync_all(w->own, ops[rand_r(&w->seed) % 2]) == 0);
			break;
		case 2:
			if (h->map)
				CHECK(cmem_sync(w->fd, h->map + 1, h->length - 2,
						ops[rand_r(&w->seed) % 2]) == 0);
			break;
		case 3:
			/* All buffers of this thread go at once. */
			if (rand_r(&w->seed) % 8)
				break;
			close(w->own);
			w->own = cmem_open();
			CHECK(w->own >= 0);
			for (h = held; h < held + HELD; h++) {
				if (!h->map || h->fd == w->fd)
					continue;
				CHECK(find_stranger(h->map, h->length, h->tag) == -1);
				CHECK(munmap(h->map, h->length) == 0);
				h->map = NULL;
			}
			break;
		default:
			if (h->map)
				give(w, h);
			else
				take(w, h);
		}
	}
	/* Half of them clean up, the others leave it to the kernel. */
	if (w->seed % 2) {
		for (struct held *h = held; h < held + HELD; h++) {
			if (h->map)
				give(w, h);
		}
	}
	return NULL;
}

static void run_process(struct __test_metadata *_metadata, const struct snapshot *blocks,
			volatile __u64 *board, unsigned int number, unsigned int steps)
{
	struct worker worker[THREADS];
	pthread_t thread[THREADS];
	int fd = cmem_open();

	ASSERT_LE(0, fd);
	for (unsigned int i = 0; i < THREADS; i++) {
		worker[i] = (struct worker){
			.blocks = blocks, .board = board, .seed = number * THREADS + i + 1,
			.steps = steps, .tag = (number * THREADS + i + 1) << 20,
			.fd = fd, .own = cmem_open(),
		};
		ASSERT_LE(0, worker[i].own);
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, work, &worker[i]));
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (unsigned int i = 0; i < THREADS; i++) {
		ASSERT_TRUE(!worker[i].error)
			TH_LOG("line %d: %s (%s)", worker[i].line, worker[i].error,
			       strerror(worker[i].saved_errno));
		ASSERT_LT(0, worker[i].allocated)
			TH_LOG("%u refused", worker[i].refused);
	}
}

TEST_F(stress, eight_processes_of_two_threads_keep_their_bytes_apart)
{
	volatile __u64 *board = mmap(NULL, BOARD * sizeof(*board), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid[PROCESSES];

	ASSERT_MAPPED(board);
	for (unsigned int n = 0; n < PROCESSES; n++) {
		IN_CHILD(pid[n]) {
			run_process(_metadata, &self->before, board, n, scaled(1000));
		}
	}
	for (unsigned int n = 0; n < PROCESSES; n++)
		join_child(pid[n]);
}

TEST_F(stress, processes_that_are_killed_leave_nothing_behind)
{
	volatile __u64 *board = mmap(NULL, BOARD * sizeof(*board), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid[PROCESSES] = {};
	int status;

	ASSERT_MAPPED(board);
	srand(3);
	for (unsigned int n = 0; n < scaled(60) + PROCESSES; n++) {
		unsigned int i = n % PROCESSES;

		/* One dies while the others work. */
		if (pid[i]) {
			usleep(rand() % 20000);
			ASSERT_EQ(0, kill(pid[i], SIGKILL));
			ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
			ASSERT_TRUE(WIFSIGNALED(status)) TH_LOG("ended by itself");
		}
		IN_CHILD(pid[i]) {
			run_process(_metadata, &self->before, board, n, 1000000);
		}
	}
	/* The rest at the same moment. */
	for (unsigned int i = 0; i < PROCESSES; i++) {
		if (pid[i]) {
			ASSERT_EQ(0, kill(pid[i], SIGKILL));
		}
	}
	for (unsigned int i = 0; i < PROCESSES; i++) {
		if (pid[i]) {
			ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		}
	}
	expect_same(&self->before);
}

TEST_HARNESS_MAIN
