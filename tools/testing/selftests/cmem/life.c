// SPDX-License-Identifier: GPL-2.0
/*
 * How long a buffer lives: as long as a file is registered for it or a mapping shows it,
 * in whatever process, and not a moment longer, however the process ends.
 */
#include <pthread.h>

#include "cmem_test.h"

FIXTURE(life)
{
	int a;
	int b;
	struct source src;
	struct cmem_alloc buf;		/* of a, filled with tag 1 */
	char *map;			/* of the whole buffer */
	__u64 free_held;		/* free memory while it lives */
	struct snapshot before;
};

FIXTURE_VARIANT(life)
{
	bool heap;
};

FIXTURE_VARIANT_ADD(life, pool) { .heap = false };
FIXTURE_VARIANT_ADD(life, heap) { .heap = true };

FIXTURE_SETUP(life)
{
	OPEN_OR_SKIP(self->a);
	self->b = cmem_open();
	ASSERT_LE(0, self->b);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!find_source(ANY_KIND, variant->heap, 4 * page_size(), &self->src))
		SKIP(return, "no %s with four pages free", variant->heap ? "heap" : "pool");
	ASSERT_EQ(0, source_alloc(self->a, &self->src, CMEM_ALLOC_CACHED, &self->buf));
	self->map = cmem_map(self->a, &self->buf);
	ASSERT_MAPPED(self->map);
	fill(self->map, self->buf.length, 1);
	self->free_held = source_free(self->b, &self->src);
}

FIXTURE_TEARDOWN(life)
{
	close(self->a);
	close(self->b);
	expect_same(&self->before);
}

TEST_F(life, a_buffer_freed_while_mapped_stays_with_its_mapping)
{
	ASSERT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
	EXPECT_EQ(self->free_held, source_free(self->b, &self->src));
	expect_not_given_away(&self->src, &self->buf);
	EXPECT_EQ(-1, find_stranger(self->map, self->buf.length, 1));
	fill(self->map, self->buf.length, 2);
	expect_not_given_away(&self->src, &self->buf);
	EXPECT_EQ(-1, find_stranger(self->map, self->buf.length, 2));
	ASSERT_EQ(0, munmap(self->map, self->buf.length));
	EXPECT_LT(self->free_held, source_free(self->b, &self->src));
	expect_same(&self->before);
}

TEST_F(life, a_buffer_that_is_only_mapped_has_no_owner_and_gets_none)
{
	struct cmem_resolve res;
	void *remapped;

	ASSERT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
	EXPECT_REFUSED(ENOENT, cmem_free(self->a, self->buf.phys_addr));
	EXPECT_REFUSED(ENOENT, cmem_free(self->b, self->buf.phys_addr));
	EXPECT_REFUSED(ENOENT, cmem_register(self->a, self->buf.phys_addr));
	EXPECT_REFUSED(ENOENT, cmem_register(self->b, self->buf.phys_addr));
	remapped = cmem_map(self->a, &self->buf);
	EXPECT_TRUE(remapped == MAP_FAILED);
	EXPECT_EQ(EPERM, errno);
	/* RESOLVE still works on it, and so does cache maintenance. */
	EXPECT_EQ(0, cmem_resolve(self->b, self->map + page_size() + 1, &res));
	EXPECT_EQ(self->buf.phys_addr + page_size() + 1, res.phys_addr);
	EXPECT_EQ(0, cmem_sync(self->b, self->map, self->buf.length, CMEM_SYNC_WRITE_BACK));
	ASSERT_EQ(0, munmap(self->map, self->buf.length));
}

TEST_F(life, one_page_that_is_mapped_holds_the_whole_buffer)
{
	size_t rest = self->buf.length - page_size();

	ASSERT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
	ASSERT_EQ(0, munmap(self->map, rest));
	EXPECT_EQ(self->free_held, source_free(self->b, &self->src));
	expect_not_given_away(&self->src, &self->buf);
	ASSERT_EQ(0, munmap(self->map + rest, page_size()));
	EXPECT_LT(self->free_held, source_free(self->b, &self->src));
}

TEST_F(life, a_mapping_in_pieces_holds_it_until_the_last_piece_goes)
{
	unsigned long page = page_size();
	char *pieces = self->map;

	ASSERT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
	ASSERT_EQ(0, munmap(pieces + page, page));
	ASSERT_EQ(0, mprotect(pieces + 2 * page, page, PROT_READ));
	EXPECT_EQ(self->free_held, source_free(self->b, &self->src));
	ASSERT_EQ(0, munmap(pieces + 3 * page, self->buf.length - 3 * page));
	ASSERT_EQ(0, munmap(pieces, page));
	EXPECT_EQ(self->free_held, source_free(self->b, &self->src));
	ASSERT_EQ(0, munmap(pieces + 2 * page, page));
	EXPECT_LT(self->free_held, source_free(self->b, &self->src));
}

TEST_F(life, a_mapping_that_is_replaced_lets_go)
{
	ASSERT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
	ASSERT_TRUE(mmap(self->map, self->buf.length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS |
			 MAP_FIXED, -1, 0) == self->map);
	EXPECT_LT(self->free_held, source_free(self->b, &self->src));
	EXPECT_EQ(-1, find_nonzero(self->map, self->buf.length));
	ASSERT_EQ(0, munmap(self->map, self->buf.length));
}

TEST_F(life, a_mapping_that_moved_holds_it)
{
	size_t length = self->buf.length;
	void *place = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_MAPPED(place);
	ASSERT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
	ASSERT_TRUE(mremap(self->map, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place) ==
		    place);
	EXPECT_EQ(self->free_held, source_free(self->b, &self->src));
	expect_not_given_away(&self->src, &self->buf);
	EXPECT_EQ(-1, find_stranger(place, length, 1));
	ASSERT_EQ(0, munmap(place, length));
	EXPECT_LT(self->free_held, source_free(self->b, &self->src));
}

TEST_F(life, a_mapping_holds_the_file_and_its_registration)
{
	close(self->a);
	EXPECT_EQ(self->free_held, source_free(self->b, &self->src));
	expect_not_given_away(&self->src, &self->buf);
	EXPECT_EQ(-1, find_stranger(self->map, self->buf.length, 1));
	/* A holder still exists, so others may register. */
	EXPECT_EQ(0, cmem_register(self->b, self->buf.phys_addr));
	EXPECT_EQ(0, cmem_free(self->b, self->buf.phys_addr));
	ASSERT_EQ(0, munmap(self->map, self->buf.length));
	EXPECT_LT(self->free_held, source_free(self->b, &self->src));
	EXPECT_EQ(-ENOENT, cmem_register(self->b, self->buf.phys_addr));
	self->a = cmem_open();
}

TEST_F(life, a_registered_buffer_survives_the_mapping_and_the_file_of_who_allocated_it)
{
	char *map;

	ASSERT_EQ(0, cmem_register(self->b, self->buf.phys_addr));
	ASSERT_EQ(0, munmap(self->map, self->buf.length));
	close(self->a);
	EXPECT_EQ(self->free_held, source_free(self->b, &self->src));
	expect_not_given_away(&self->src, &self->buf);
	map = cmem_map(self->b, &self->buf);
	ASSERT_MAPPED(map);
	EXPECT_EQ(-1, find_stranger(map, self->buf.length, 1));
	ASSERT_EQ(0, munmap(map, self->buf.length));
	ASSERT_EQ(0, cmem_free(self->b, self->buf.phys_addr));
	EXPECT_LT(self->free_held, source_free(self->b, &self->src));
	self->a = cmem_open();
}

TEST_F(life, a_duplicated_descriptor_is_the_same_file)
{
	int twin = dup(self->a);

	ASSERT_LE(0, twin);
	ASSERT_EQ(0, munmap(self->map, self->buf.length));
	close(self->a);
	EXPECT_EQ(self->free_held, source_free(self->b, &self->src));
	ASSERT_EQ(0, cmem_free(twin, self->buf.phys_addr));
	EXPECT_LT(self->free_held, source_free(self->b, &self->src));
	self->a = twin;
}

TEST_F(life, a_file_that_is_opened_anew_is_another_owner)
{
	ASSERT_EQ(0, munmap(self->map, self->buf.length));
	close(self->a);
	EXPECT_LT(self->free_held, source_free(self->b, &self->src));
	self->a = cmem_open();
	EXPECT_REFUSED(ENOENT, cmem_free(self->a, self->buf.phys_addr));
}

TEST_F(life, fork_shares_the_owner)
{
	struct cmem_alloc *shared = mmap(NULL, page_size(), PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	ASSERT_MAPPED(shared);
	ASSERT_EQ(0, munmap(self->map, self->buf.length));
	IN_CHILD(pid) {
		/* The child frees what the parent allocated, and vice versa. */
		ASSERT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
		ASSERT_EQ(0, source_alloc(self->a, &self->src, 0, shared));
		close(self->a);
	}
	join_child(pid);
	EXPECT_EQ(self->free_held, source_free(self->b, &self->src));
	ASSERT_EQ(0, cmem_free(self->a, shared->phys_addr));
	EXPECT_REFUSED(ENOENT, cmem_free(self->a, shared->phys_addr));
	EXPECT_LT(self->free_held, source_free(self->b, &self->src));
	ASSERT_EQ(0, munmap(shared, page_size()));
}

TEST_F(life, an_inherited_mapping_holds_the_buffer)
{
	int go[2], gone[2];
	char byte = 0;
	pid_t pid;

	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, pipe(gone));
	IN_CHILD(pid) {
		close(go[1]);
		close(self->a);
		ASSERT_EQ(1, write(gone[1], &byte, 1));
		/* Until the parent has released everything. */
		ASSERT_EQ(1, read(go[0], &byte, 1));
		ASSERT_EQ(-1, find_stranger(self->map, self->buf.length, 1));
		fill(self->map, self->buf.length, 2);
		ASSERT_EQ(-1, find_stranger(self->map, self->buf.length, 2));
	}
	ASSERT_EQ(1, read(gone[0], &byte, 1));
	ASSERT_EQ(0, munmap(self->map, self->buf.length));
	ASSERT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
	EXPECT_EQ(self->free_held, source_free(self->b, &self->src));
	expect_not_given_away(&self->src, &self->buf);
	ASSERT_EQ(1, write(go[1], &byte, 1));
	join_child(pid);
	EXPECT_LT(self->free_held, source_free(self->b, &self->src));
}

TEST_F(life, a_file_sent_over_a_socket_is_the_same_owner_after_the_senders_death)
{
	struct cmem_alloc buf;
	int pair[2], fd;
	char *map;
	pid_t pid;

	ASSERT_EQ(0, munmap(self->map, self->buf.length));
	ASSERT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		SKIP(return, "no unix sockets: %s", strerror(errno));
	IN_CHILD(pid) {
		int mine = cmem_open();

		ASSERT_EQ(0, source_alloc(mine, &self->src, CMEM_ALLOC_PRIVATE, &buf));
		map = cmem_map(mine, &buf);
		ASSERT_MAPPED(map);
		fill(map, buf.length, 3);
		ASSERT_EQ(0, send_fd(pair[1], mine));
		ASSERT_EQ(sizeof(buf), write(pair[1], &buf, sizeof(buf)));
	}
	join_child(pid);
	EXPECT_EQ(self->free_held, source_free(self->b, &self->src));
	fd = receive_fd(pair[0]);
	ASSERT_LE(0, fd);
	ASSERT_EQ(sizeof(buf), read(pair[0], &buf, sizeof(buf)));
	map = cmem_map(fd, &buf);
	ASSERT_MAPPED(map);
	EXPECT_EQ(-1, find_stranger(map, buf.length, 3));
	ASSERT_EQ(0, munmap(map, buf.length));
	EXPECT_EQ(0, cmem_free(fd, buf.phys_addr));
	EXPECT_LT(self->free_held, source_free(self->b, &self->src));
	close(fd);
	close(pair[0]);
	close(pair[1]);
}

TEST_F(life, a_file_lost_in_a_socket_gives_its_buffers_back)
{
	struct cmem_alloc buf;
	int pair[2];
	pid_t pid;

	ASSERT_EQ(0, munmap(self->map, self->buf.length));
	ASSERT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		SKIP(return, "no unix sockets: %s", strerror(errno));
	IN_CHILD(pid) {
		int mine = cmem_open();

		ASSERT_EQ(0, source_alloc(mine, &self->src, 0, &buf));
		ASSERT_EQ(0, send_fd(pair[1], mine));
	}
	join_child(pid);
	EXPECT_EQ(self->free_held, source_free(self->b, &self->src));
	close(pair[0]);
	close(pair[1]);
	/* The kernel collects file descriptors in flight whenever it wants. */
	EXPECT_TRUE(eventually(is_same(&self->before)));
}

struct baton {
	int fd;
	struct source src;
	struct cmem_alloc buf;
	int ret;
};

static void *allocate_in_thread(void *arg)
{
	struct baton *baton = arg;

	baton->ret = source_alloc(baton->fd, &baton->src, 0, &baton->buf);
	return NULL;
}

static void *free_in_thread(void *arg)
{
	struct baton *baton = arg;

	baton->ret = cmem_free(baton->fd, baton->buf.phys_addr);
	return NULL;
}

TEST_F(life, threads_share_the_owner)
{
	struct baton baton = { .fd = self->a, .src = self->src };
	pthread_t thread;

	ASSERT_EQ(0, munmap(self->map, self->buf.length));
	ASSERT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(0, pthread_create(&thread, NULL, allocate_in_thread, &baton));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		ASSERT_EQ(0, baton.ret);
		/* One thread is dead, but its buffer belongs to the file. */
		EXPECT_EQ(self->free_held, source_free(self->b, &self->src));
		ASSERT_EQ(0, pthread_create(&thread, NULL, free_in_thread, &baton));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		ASSERT_EQ(0, baton.ret);
		EXPECT_LT(self->free_held, source_free(self->b, &self->src));
	}
}

/*
 * The end of a process
 */

FIXTURE(end)
{
	struct snapshot before;
};

FIXTURE_SETUP(end)
{
	int fd;

	OPEN_OR_SKIP(fd);
	close(fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!self->before.num_blocks)
		SKIP(return, "no block");
}

FIXTURE_TEARDOWN(end)
{
	expect_same(&self->before);
}

/* Allocates, registers, maps and touches at random, and frees half of it. */
static void live(const struct snapshot *s, unsigned int seed, unsigned int steps)
{
	struct { struct cmem_alloc buf; char *map; } held[16] = {};
	int fd[2] = { cmem_open(), cmem_open() };

	for (unsigned int n = 0; n < steps; n++) {
		unsigned int i = rand_r(&seed) % ARRAY_SIZE(held);
		const struct cmem_block_info *b = &s->block[rand_r(&seed) % s->num_blocks];
		int file = rand_r(&seed) % 2;

		if (held[i].map) {
			munmap(held[i].map, held[i].buf.length);
			held[i].map = NULL;
			cmem_free(fd[file], held[i].buf.phys_addr);
			continue;
		}
		if (cmem_alloc(fd[file], b->block, rand_r(&seed) % 2 ? CMEM_POOL_BEST :
			       CMEM_POOL_HEAP, 1 + rand_r(&seed) % 200000, rand_r(&seed) % 8,
			       &held[i].buf))
			continue;
		if (rand_r(&seed) % 4 == 0)
			cmem_register(fd[!file], held[i].buf.phys_addr);
		held[i].map = cmem_map(fd[file], &held[i].buf);
		if (held[i].map == MAP_FAILED)
			held[i].map = NULL;
		else
			memset(held[i].map, n, 4096);
	}
}

TEST_F(end, exit_gives_everything_back_at_once)
{
	pid_t pid;

	for (unsigned int n = 0; n < scaled(20); n++) {
		IN_CHILD(pid) {
			live(&self->before, n, 60);
		}
		join_child(pid);
		expect_same(&self->before);
	}
}

TEST_F(end, a_crash_gives_everything_back_at_once)
{
	int status;
	pid_t pid;

	for (unsigned int n = 0; n < scaled(20); n++) {
		pid = fork_child(_metadata);
		if (!pid) {
			signal(SIGABRT, SIG_DFL);
			live(&self->before, 100 + n, 60);
			abort();
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		expect_same(&self->before);
	}
}

TEST_F(end, SIGKILL_in_the_middle_gives_everything_back_at_once)
{
	int status;
	pid_t pid;

	srand(2);
	for (unsigned int n = 0; n < scaled(100); n++) {
		pid = fork_child(_metadata);
		if (!pid) {
			live(&self->before, 200 + n, 1000000);
			_exit(1);
		}
		usleep(rand() % 10000);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		ASSERT_EQ(SIGKILL, WTERMSIG(status));
		expect_same(&self->before);
	}
}

TEST_HARNESS_MAIN
