// SPDX-License-Identifier: GPL-2.0
/*
 * Quarantine: which memory is kept from others when its owner ends without freeing it,
 * and how it comes back.
 */
#include <limits.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include <linux/dma-heap.h>

#include "cmem_dmabuf.h"
#include "slow_page.h"

static int cmem_release(int fd, __s32 block, __u32 flags, __u64 phys, struct cmem_release *out)
{
	struct cmem_release release = {
		.size = sizeof(release), .block = block, .flags = flags, .phys_addr = phys,
	};
	int ret = cmem_ioctl(fd, CMEM_IOCTL_RELEASE, &release);

	if (out)
		*out = release;
	return ret;
}

static __u32 quarantined(int fd, __s32 block)
{
	struct cmem_block_info info;

	return cmem_get_block(fd, block, &info) ? UINT_MAX : info.quarantined_buffers;
}

/* Whether the block's buffers stay in quarantine until their release. */
static bool is_for_ever(int fd, __s32 block)
{
	struct cmem_block_info info;

	if (cmem_get_block(fd, block, &info) || info.quarantine_ms ||
	    info.out_flags & CMEM_BLOCK_QUARANTINE || info.quarantined_buffers)
		return false;
	/* One of the lab's runs at boot. */
	return !(info.out_flags & CMEM_BLOCK_RPROC) ||
	       !access("/sys/bus/platform/drivers/cmem-lab-rproc", F_OK);
}

FIXTURE(quarantine)
{
	int fd;
	struct snapshot before;
	struct source src;
	struct cmem_alloc *buf;		/* shared with children */
};

FIXTURE_VARIANT(quarantine)
{
	int kind;
	bool heap;
	__u32 flags;
};

SOURCE_VARIANT(quarantine, carveout_pool, CMEM_KIND_CARVEOUT, false, CMEM_ALLOC_CACHED);
SOURCE_VARIANT(quarantine, carveout_heap, CMEM_KIND_CARVEOUT, true, 0);
SOURCE_VARIANT(quarantine, reserved_pool, CMEM_KIND_RESERVED, false, 0);
SOURCE_VARIANT(quarantine, reserved_heap, CMEM_KIND_RESERVED, true, CMEM_ALLOC_CACHED);
SOURCE_VARIANT(quarantine, cma_pool, CMEM_KIND_CMA, false, CMEM_ALLOC_CACHED);
SOURCE_VARIANT(quarantine, cma_heap, CMEM_KIND_CMA, true, 0);
SOURCE_VARIANT(quarantine, sram_pool, CMEM_KIND_SRAM, false, 0);
SOURCE_VARIANT(quarantine, sram_heap, CMEM_KIND_SRAM, true, 0);

FIXTURE_SETUP(quarantine)
{
	struct cmem_info info;

	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	ASSERT_TRUE(info.features & CMEM_FEATURE_QUARANTINE);
	if (getuid())
		SKIP(return, "to release is for root");
	if (!find_source(variant->kind, variant->heap, 2 * page_size(), &self->src))
		SKIP(return, "no such memory");
	if (!is_for_ever(self->fd, self->src.block))
		SKIP(return, "it does not stay in quarantine here");
	ASSERT_EQ(0, take_snapshot(&self->before));
	self->buf = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0);
	ASSERT_MAPPED(self->buf);
}

FIXTURE_TEARDOWN(quarantine)
{
	/* What a failed test left behind */
	cmem_release(self->fd, self->src.block, 0, 0, NULL);
	close(self->fd);
	expect_same(&self->before);
}

/* Through its own file: a buffer with the quarantine flag, full of data */
#define allocate(fd, self, variant) __allocate(_metadata, fd, self, variant)
static char *__allocate(struct __test_metadata *_metadata, int fd, FIXTURE_DATA(quarantine) *self,
			const FIXTURE_VARIANT(quarantine) *variant)
{
	char *map;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, source_alloc(fd, &self->src, variant->flags | CMEM_ALLOC_QUARANTINE,
				  self->buf));
	map = cmem_map(fd, self->buf);
	ASSERT_MAPPED(map);
	fill(map, self->buf->length, 0xdead);
	return map;
}

enum end { BY_CLOSE, BY_EXIT, BY_SIGNAL, BY_EXEC };

/* The owner of a buffer ends in one of these ways, and is gone when this returns. */
static void end_without_free(struct __test_metadata *_metadata, FIXTURE_DATA(quarantine) *self,
			     const FIXTURE_VARIANT(quarantine) *variant, enum end end)
{
	int status, hold[2];
	pid_t pid;

	ASSERT_EQ(0, pipe(hold));
	pid = fork_child(_metadata);
	if (!pid) {
		int fd = cmem_open();
		char *map = allocate(fd, self, variant);

		switch (end) {
		case BY_CLOSE:
			munmap(map, self->buf->length);
			close(fd);
			break;
		case BY_SIGNAL:
			raise(SIGKILL);
			break;
		case BY_EXEC:
			dup2(hold[0], 0);
			close(hold[1]);
			execl("/bin/sh", "sh", "-c", "read -r line", NULL);
			_exit(1);
		case BY_EXIT:
			break;
		}
		_exit(CHILD_EXIT_OK);
	}
	/* The executed program has no access to the buffer, and lives on. */
	if (end == BY_EXEC)
		EXPECT_TRUE(eventually(quarantined(self->fd, self->src.block) == 1));
	close(hold[0]);
	close(hold[1]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	if (end == BY_SIGNAL)
		ASSERT_TRUE(WIFSIGNALED(status));
}

/* Nobody can reach it in any way. */
static void expect_unreachable(struct __test_metadata *_metadata, FIXTURE_DATA(quarantine) *self)
{
	const struct cmem_alloc *buf = self->buf;
	int other_fd = cmem_open();

	EXPECT_EQ(-ENOENT, cmem_register(other_fd, buf->phys_addr));
	EXPECT_EQ(-ENOENT, cmem_free(other_fd, buf->phys_addr));
	EXPECT_EQ(-ENOENT, cmem_export(other_fd, buf->phys_addr, O_RDWR | O_CLOEXEC));
	EXPECT_TRUE(cmem_map(other_fd, buf) == MAP_FAILED);
	EXPECT_EQ(EINVAL, errno);
	close(other_fd);
	expect_not_given_away(&self->src, buf);
	if (self->src.block >= 0)
		EXPECT_EQ(-EBUSY, cmem_block_remove(self->fd, self->src.block));
}

/* It is like any freed memory: others get it, and find zeros. */
static void expect_given_zeroed(struct __test_metadata *_metadata, FIXTURE_DATA(quarantine) *self)
{
	static struct cmem_alloc others[2048];
	int fd = cmem_open();
	bool found = false;
	int count;

	count = drain(fd, &self->src, 0, others, ARRAY_SIZE(others));
	/* More than that of the heap only matters to a test of the whole heap. */
	ASSERT_TRUE(count > 0 || count == -ENOSPC) TH_LOG("%d", count);
	for (int i = 0; i < (count < 0 ? ARRAY_SIZE(others) : count); i++) {
		char *map;

		if (!overlaps(&others[i], self->buf))
			continue;
		found = true;
		map = cmem_map(fd, &others[i]);
		ASSERT_MAPPED(map);
		EXPECT_EQ(-1, find_nonzero(map, others[i].length));
		munmap(map, others[i].length);
	}
	/* CMA picks any memory. */
	if (self->src.block >= 0)
		EXPECT_TRUE(found);
	close(fd);
}

/* debugfs shows what it is and who owned it. */
static void expect_shown(struct __test_metadata *_metadata, const struct cmem_alloc *buf)
{
	char path[64], begin[64], line[512];
	bool found = false;
	int at = 0, fields;
	double since;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/debug/cmem/%d/extents", buf->block);
	snprintf(begin, sizeof(begin), "phys=%#llx length=%#llx ",
		 (unsigned long long)buf->phys_addr, (unsigned long long)buf->length);
	f = fopen(path, "re");
	if (!f)
		return;
	while (!found && fgets(line, sizeof(line), f))
		found = !strncmp(line, begin, strlen(begin));
	fclose(f);
	ASSERT_TRUE(found);
	EXPECT_TRUE(!!strstr(line, " state=quarantine ")) TH_LOG("%s", line);
	EXPECT_TRUE(!strstr(line, " owner=") && !strstr(line, " mappings="));
	ASSERT_TRUE(!!strstr(line, " last-owner="));
	fields = sscanf(strstr(line, " last-owner="), " last-owner=%*u since=%lf%n", &since, &at);
	EXPECT_EQ(1, fields);
	EXPECT_LT(0, at);
}

static void expect_quarantined(struct __test_metadata *_metadata, FIXTURE_DATA(quarantine) *self)
{
	const struct cmem_alloc *buf = self->buf;
	struct cmem_block_info block;
	struct cmem_pool_info pool;

	ASSERT_EQ(0, cmem_get_block(self->fd, self->src.block, &block));
	EXPECT_EQ(1, block.quarantined_buffers);
	EXPECT_EQ(buf->length, block.quarantined);
	if (buf->pool >= 0) {
		ASSERT_EQ(0, cmem_get_pool(self->fd, buf->block, buf->pool, &pool));
		EXPECT_EQ(1, pool.quarantined);
		EXPECT_GE(pool.count, pool.free + 1);
	}
	expect_shown(_metadata, buf);
}

static void expect_released(struct __test_metadata *_metadata, FIXTURE_DATA(quarantine) *self)
{
	struct cmem_block_info block;
	struct cmem_pool_info pool;

	ASSERT_EQ(0, cmem_get_block(self->fd, self->src.block, &block));
	EXPECT_EQ(0, block.quarantined_buffers);
	EXPECT_EQ(0, block.quarantined);
	for (__u32 i = 0; i < block.num_pools; i++) {
		ASSERT_EQ(0, cmem_get_pool(self->fd, block.block, i, &pool));
		EXPECT_EQ(0, pool.quarantined);
	}
	expect_same(&self->before);
}

static void stays_until_released(struct __test_metadata *_metadata, FIXTURE_DATA(quarantine) *self,
				 const FIXTURE_VARIANT(quarantine) *variant, enum end end)
{
	const struct cmem_alloc *buf = self->buf;
	__s32 block = self->src.block;
	struct cmem_release release;
	pid_t pid;

	end_without_free(_metadata, self, variant, end);
	expect_quarantined(_metadata, self);
	expect_unreachable(_metadata, self);
	IN_CHILD(pid) {
		ASSERT_EQ(0, become_user(OTHER_UID));
		ASSERT_EQ(-EPERM, cmem_release(self->fd, block, 0, 0, NULL));
		ASSERT_EQ(-EPERM, cmem_release(self->fd, block, CMEM_RELEASE_BUFFER,
					       buf->phys_addr, NULL));
	}
	join_child(pid);
	EXPECT_EQ(-ENOENT, cmem_release(self->fd, block, CMEM_RELEASE_BUFFER,
					buf->phys_addr + page_size(), NULL));
	EXPECT_EQ(-EINVAL, cmem_release(self->fd, block, CMEM_RELEASE_BUFFER,
					buf->phys_addr + 1, NULL));
	EXPECT_EQ(-ENOENT, cmem_release(self->fd, block + 100, CMEM_RELEASE_BUFFER,
					buf->phys_addr, NULL));
	expect_quarantined(_metadata, self);
	ASSERT_EQ(0, cmem_release(self->fd, block, CMEM_RELEASE_BUFFER, buf->phys_addr, &release));
	EXPECT_EQ(1, release.buffers);
	EXPECT_EQ(buf->length, release.bytes);
	EXPECT_EQ(-ENOENT, cmem_release(self->fd, block, CMEM_RELEASE_BUFFER, buf->phys_addr,
					NULL));
	expect_released(_metadata, self);
	expect_given_zeroed(_metadata, self);
}

TEST_F(quarantine, what_is_left_at_close_stays_until_it_is_released)
{
	stays_until_released(_metadata, self, variant, BY_CLOSE);
}

TEST_F(quarantine, what_is_left_at_exit_stays_until_it_is_released)
{
	stays_until_released(_metadata, self, variant, BY_EXIT);
}

TEST_F(quarantine, what_the_killed_left_stays_until_it_is_released)
{
	stays_until_released(_metadata, self, variant, BY_SIGNAL);
}

TEST_F(quarantine, what_is_left_at_exec_stays_until_it_is_released)
{
	if (access("/bin/sh", X_OK))
		SKIP(return, "no /bin/sh");
	stays_until_released(_metadata, self, variant, BY_EXEC);
}

TEST_F(quarantine, without_the_flag_nothing_stays)
{
	pid_t pid;

	IN_CHILD(pid) {
		int fd = cmem_open();

		ASSERT_EQ(0, source_alloc(fd, &self->src, variant->flags, self->buf));
	}
	join_child(pid);
	expect_released(_metadata, self);
}

TEST_F(quarantine, what_was_freed_goes_back)
{
	struct cmem_register reg;
	pid_t pid;

	/* Freed before the unmapping, after it, and without one */
	IN_CHILD(pid) {
		int fd = cmem_open();
		char *map = allocate(fd, self, variant);

		ASSERT_EQ(0, cmem_free(fd, self->buf->phys_addr));
		ASSERT_EQ(0, munmap(map, self->buf->length));
		map = allocate(fd, self, variant);
		ASSERT_EQ(0, munmap(map, self->buf->length));
		ASSERT_EQ(0, cmem_register_info(fd, self->buf->phys_addr, &reg));
		ASSERT_TRUE(reg.buffer_flags & CMEM_ALLOC_QUARANTINE);
		ASSERT_EQ(0, cmem_free(fd, self->buf->phys_addr));
		ASSERT_EQ(0, cmem_free(fd, self->buf->phys_addr));
		allocate(fd, self, variant);
		ASSERT_EQ(0, cmem_free(fd, self->buf->phys_addr));
	}
	join_child(pid);
	expect_released(_metadata, self);
}

TEST_F(quarantine, freed_less_often_than_registered_is_not_freed)
{
	int fd = cmem_open();
	char *map = allocate(fd, self, variant);

	ASSERT_EQ(0, munmap(map, self->buf->length));
	ASSERT_EQ(0, cmem_register(fd, self->buf->phys_addr));
	ASSERT_EQ(0, cmem_free(fd, self->buf->phys_addr));
	close(fd);
	expect_quarantined(_metadata, self);
}

TEST_F(quarantine, each_file_must_free_it)
{
	for (int who = 0; who < 3; who++) {
		int fd[2] = { cmem_open(), cmem_open() };
		char *map = allocate(fd[0], self, variant);

		ASSERT_EQ(0, munmap(map, self->buf->length));
		ASSERT_EQ(0, cmem_register(fd[1], self->buf->phys_addr));
		for (int i = 0; i < 2; i++) {
			if (i == who)
				close(fd[i]);
			else
				ASSERT_EQ(0, cmem_free(fd[i], self->buf->phys_addr));
			if (!i)
				EXPECT_EQ(0, quarantined(self->fd, self->src.block));
		}
		EXPECT_EQ(who < 2, quarantined(self->fd, self->src.block));
		for (int i = 0; i < 2; i++)
			if (i != who)
				close(fd[i]);
		EXPECT_EQ(0, cmem_release(self->fd, self->src.block, 0, 0, NULL));
		expect_released(_metadata, self);
	}
}

TEST_F(quarantine, a_child_that_dies_has_not_closed_the_file)
{
	int fd = cmem_open();
	char *map = allocate(fd, self, variant);
	pid_t pid;
	int status;

	pid = fork_child(_metadata);
	if (!pid)
		raise(SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, quarantined(self->fd, self->src.block));
	EXPECT_EQ(-1, find_stranger(map, self->buf->length, 0xdead));
	ASSERT_EQ(0, munmap(map, self->buf->length));
	ASSERT_EQ(0, cmem_free(fd, self->buf->phys_addr));
	close(fd);
	expect_released(_metadata, self);
}

TEST_F(quarantine, it_begins_with_the_last_hold)
{
	int fd = cmem_open(), dmabuf;
	char *map = allocate(fd, self, variant);

	/* The mapping holds the file, and so the registration */
	close(fd);
	EXPECT_EQ(0, quarantined(self->fd, self->src.block));
	ASSERT_EQ(0, cmem_register(self->fd, self->buf->phys_addr));
	dmabuf = cmem_export(self->fd, self->buf->phys_addr, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, cmem_free(self->fd, self->buf->phys_addr));
	ASSERT_EQ(0, munmap(map, self->buf->length));
	EXPECT_EQ(0, quarantined(self->fd, self->src.block));
	map = dmabuf_map(dmabuf, 0, page_size());
	ASSERT_MAPPED(map);
	EXPECT_EQ(-1, find_stranger(map, page_size(), 0xdead));
	close(dmabuf);
	EXPECT_EQ(0, quarantined(self->fd, self->src.block));
	ASSERT_EQ(0, munmap(map, page_size()));
	expect_quarantined(_metadata, self);
	expect_unreachable(_metadata, self);
}

TEST_F(quarantine, a_dmabuf_that_outlives_a_free_is_no_reason)
{
	int fd = cmem_open(), dmabuf;
	char *map = allocate(fd, self, variant);

	ASSERT_EQ(0, munmap(map, self->buf->length));
	dmabuf = cmem_export(fd, self->buf->phys_addr, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, dmabuf);
	ASSERT_EQ(0, cmem_free(fd, self->buf->phys_addr));
	close(fd);
	close(dmabuf);
	expect_released(_metadata, self);
}

TEST_F(quarantine, all_of_a_block_is_released_at_once)
{
	struct cmem_alloc first;
	struct cmem_release release;

	end_without_free(_metadata, self, variant, BY_SIGNAL);
	first = *self->buf;
	if (source_free(self->fd, &self->src) < (self->src.pool < 0 ? self->src.length : 1))
		SKIP(return, "no second buffer");
	end_without_free(_metadata, self, variant, BY_CLOSE);
	EXPECT_FALSE(overlaps(&first, self->buf));
	EXPECT_EQ(2, quarantined(self->fd, self->src.block));
	ASSERT_EQ(0, cmem_release(self->fd, self->src.block, 0, 0, &release));
	EXPECT_EQ(2, release.buffers);
	EXPECT_EQ(2 * first.length, release.bytes);
	ASSERT_EQ(0, cmem_release(self->fd, self->src.block, 0, 0, &release));
	EXPECT_EQ(0, release.buffers);
	EXPECT_EQ(0, release.bytes);
	expect_released(_metadata, self);
}

/* Owners die, and two supervisors release buffers, all at once and one by one. */

struct supervisor {
	FIXTURE_DATA(quarantine) *self;
	bool one_by_one;
	bool stop;
	unsigned long long released;
};

static void *supervise(void *arg)
{
	struct supervisor *s = arg;
	struct cmem_release release;
	int fd = cmem_open();

	while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
		if (!cmem_release(fd, s->self->src.block,
				  s->one_by_one ? CMEM_RELEASE_BUFFER : 0,
				  s->one_by_one ? s->self->buf->phys_addr : 0, &release))
			s->released += release.buffers;
	}
	close(fd);
	return NULL;
}

TEST_F(quarantine, two_supervisors_release_each_buffer_once)
{
	struct supervisor s[2] = {
		{ .self = self, .one_by_one = false }, { .self = self, .one_by_one = true },
	};
	unsigned int times = scaled(300), died = 0;
	struct cmem_release rest;
	pthread_t thread[2];

	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, supervise, &s[i]));
	for (unsigned int i = 0; i < times; i++) {
		int fd = cmem_open();

		/* In CMA, buffers of others may be in the way. */
		if (!source_alloc(fd, &self->src, variant->flags | CMEM_ALLOC_QUARANTINE,
				  self->buf))
			died++;
		close(fd);
	}
	for (int i = 0; i < 2; i++) {
		__atomic_store_n(&s[i].stop, true, __ATOMIC_RELEASE);
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
	}
	ASSERT_EQ(0, cmem_release(self->fd, self->src.block, 0, 0, &rest));
	EXPECT_LT(0, died);
	EXPECT_EQ(died, s[0].released + s[1].released + rest.buffers);
	expect_released(_metadata, self);
}

/* A block that was added with quarantine for all buffers. */

FIXTURE(block)
{
	int fd;
	struct snapshot before;
	struct spare_block spare;
	__s32 id;
	struct cmem_alloc *buf;
};

static int add_block(FIXTURE_DATA(block) *self, __u32 flags, __u32 ms)
{
	struct cmem_block_add add = {
		.size = sizeof(add), .block = self->id, .flags = flags,
		.num_pools = self->spare.info.num_pools, .base = self->spare.info.base,
		.length = self->spare.info.length, .pools = (unsigned long)self->spare.pool,
		.quarantine_ms = ms,
	};

	return cmem_ioctl(self->fd, CMEM_IOCTL_BLOCK_ADD, &add);
}

FIXTURE_SETUP(block)
{
	OPEN_OR_SKIP(self->fd);
	if (getuid())
		SKIP(return, "to add blocks is for root");
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!find_spare_block(self->fd, CMEM_BLOCK_CMA, &self->spare) ||
	    !is_for_ever(self->fd, self->spare.info.block))
		SKIP(return, "no block to remove");
	self->id = self->spare.info.block;
	self->buf = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0);
	ASSERT_MAPPED(self->buf);
	ASSERT_EQ(0, cmem_block_remove(self->fd, self->id));
}

FIXTURE_TEARDOWN(block)
{
	cmem_release(self->fd, self->id, 0, 0, NULL);
	cmem_block_remove(self->fd, self->id);
	EXPECT_EQ(0, put_back_block(self->fd, &self->spare));
	close(self->fd);
	expect_same(&self->before);
}

static void leave_a_buffer(struct __test_metadata *_metadata, FIXTURE_DATA(block) *self)
{
	int status;
	pid_t pid;

	pid = fork_child(_metadata);
	if (!pid) {
		ASSERT_EQ(0, cmem_alloc(cmem_open(), self->id, CMEM_POOL_BEST, page_size(),
					CMEM_ALLOC_HEAP_FALLBACK, self->buf));
		raise(SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
}

TEST_F(block, all_of_its_buffers_may_go_there)
{
	struct cmem_block_info info;

	ASSERT_EQ(0, add_block(self, CMEM_BLOCK_QUARANTINE, 0));
	ASSERT_EQ(0, cmem_get_block(self->fd, self->id, &info));
	EXPECT_TRUE(info.out_flags & CMEM_BLOCK_QUARANTINE);
	EXPECT_EQ(0, info.quarantine_ms);
	leave_a_buffer(_metadata, self);
	EXPECT_EQ(1, quarantined(self->fd, self->id));
	EXPECT_EQ(-EBUSY, cmem_block_remove(self->fd, self->id));
	EXPECT_EQ(0, cmem_release(self->fd, self->id, 0, 0, NULL));
	EXPECT_EQ(0, cmem_block_remove(self->fd, self->id));
	EXPECT_EQ(-ENOENT, cmem_release(self->fd, self->id, 0, 0, NULL));
}

TEST_F(block, time_lets_them_go)
{
	struct cmem_block_info info;

	ASSERT_EQ(0, add_block(self, CMEM_BLOCK_QUARANTINE, 3));
	ASSERT_EQ(0, cmem_get_block(self->fd, self->id, &info));
	EXPECT_EQ(3, info.quarantine_ms);
	for (int i = 0; i < 5; i++)
		leave_a_buffer(_metadata, self);
	EXPECT_TRUE(eventually(!quarantined(self->fd, self->id)));
	EXPECT_EQ(0, cmem_block_remove(self->fd, self->id));

	/* The longest quarantine has not ended yet. */
	ASSERT_EQ(0, add_block(self, CMEM_BLOCK_QUARANTINE, CMEM_MAX_QUARANTINE_MS));
	leave_a_buffer(_metadata, self);
	EXPECT_EQ(1, quarantined(self->fd, self->id));
	EXPECT_EQ(0, cmem_release(self->fd, self->id, 0, 0, NULL));
	EXPECT_EQ(0, cmem_block_remove(self->fd, self->id));
	/* A pending timeout does not outlive the block. */
	ASSERT_EQ(0, add_block(self, 0, 1));
	leave_a_buffer(_metadata, self);
	EXPECT_EQ(0, quarantined(self->fd, self->id));
}

TEST_F(block, what_is_asked_for_is_checked)
{
	struct cmem_block_add add = {
		.size = sizeof(add), .block = self->id, .base = self->spare.info.base,
		.length = self->spare.info.length, .pool_size = 1,
	};
	struct cmem_release release = { .size = sizeof(release), .block = self->id };

	EXPECT_EQ(-EINVAL, add_block(self, 0, CMEM_MAX_QUARANTINE_MS + 1U));
	EXPECT_EQ(-EINVAL, add_block(self, CMEM_BLOCK_QUARANTINE, UINT_MAX));
	EXPECT_EQ(-EOPNOTSUPP, add_block(self, CMEM_BLOCK_RPROC, 0));
	EXPECT_EQ(-EINVAL, cmem_ioctl(self->fd, CMEM_IOCTL_BLOCK_ADD, &add));
	/* A caller that does not know about quarantine */
	add.pool_size = 0;
	add.size = offsetof(struct cmem_block_add, quarantine_ms);
	add.quarantine_ms = UINT_MAX;
	EXPECT_EQ(0, cmem_ioctl(self->fd, CMEM_IOCTL_BLOCK_ADD, &add));
	release.flags = 2;
	EXPECT_EQ(-EOPNOTSUPP, cmem_ioctl(self->fd, CMEM_IOCTL_RELEASE, &release));
	release.flags = 0;
	release.__reserved = 1;
	EXPECT_EQ(-EOPNOTSUPP, cmem_ioctl(self->fd, CMEM_IOCTL_RELEASE, &release));
	release.__reserved = 0;
	release.phys_addr = self->spare.info.base;
	EXPECT_EQ(-EOPNOTSUPP, cmem_ioctl(self->fd, CMEM_IOCTL_RELEASE, &release));
}

/* A buffer of a DMA-BUF heap has no owner: close() frees it, but death does not. */
TEST_F(block, a_buffer_of_its_dmabuf_heap_is_left_by_the_dead_only)
{
	struct dma_heap_allocation_data *data = (void *)self->buf;
	char name[64];
	int heap, status;
	pid_t pid;

	snprintf(name, sizeof(name), "/dev/dma_heap/cmem-%d", self->id);
	heap = open(name, O_RDWR | O_CLOEXEC);
	if (heap < 0)
		SKIP(return, "no %s", name);
	ASSERT_EQ(0, add_block(self, CMEM_BLOCK_QUARANTINE, 0));
	*data = (struct dma_heap_allocation_data){
		.len = page_size(), .fd_flags = O_RDWR | O_CLOEXEC,
	};
	ASSERT_EQ(0, ioctl(heap, DMA_HEAP_IOCTL_ALLOC, data));
	close(data->fd);
	EXPECT_EQ(0, quarantined(self->fd, self->id));

	for (int mapped = 0; mapped < 2; mapped++) {
		pid = fork_child(_metadata);
		if (!pid) {
			data->fd = 0;
			ASSERT_EQ(0, ioctl(heap, DMA_HEAP_IOCTL_ALLOC, data));
			if (mapped) {
				ASSERT_MAPPED(dmabuf_map(data->fd, 0, page_size()));
				close(data->fd);
			}
			raise(SIGKILL);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(1, quarantined(self->fd, self->id));
		EXPECT_EQ(0, cmem_release(self->fd, self->id, 0, 0, NULL));
		EXPECT_EQ(0, quarantined(self->fd, self->id));
	}
	close(heap);
}

struct peeper {
	struct slow_page slow;
	pid_t pid;
	void *at;	/* in its memory */
};

static void *peep(void *arg)
{
	struct peeper *p = arg;
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", p->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	pread(fd, p->slow.page, page_size(), (unsigned long)p->at);
	close(fd);
	return NULL;
}

/* A process that looks at another's memory (ps, a debugger) may be its last user. */
TEST_F(block, a_buffer_of_its_dmabuf_heap_is_left_by_the_dead_whoever_looks_on)
{
	struct dma_heap_allocation_data *data = (void *)self->buf;
	struct peeper p = { .at = data };
	pthread_t peeper;
	char name[64];
	int heap, status;

	snprintf(name, sizeof(name), "/dev/dma_heap/cmem-%d", self->id);
	heap = open(name, O_RDWR | O_CLOEXEC);
	if (heap < 0)
		SKIP(return, "no %s", name);
	if (slow_page_make(&p.slow))
		SKIP(return, "no userfaultfd(): %s", strerror(errno));
	ASSERT_EQ(0, add_block(self, CMEM_BLOCK_QUARANTINE, 0));
	*data = (struct dma_heap_allocation_data){
		.len = page_size(), .fd_flags = O_RDWR | O_CLOEXEC,
	};
	p.pid = fork_child(_metadata);
	if (!p.pid) {
		/* Two mappings: the first to go is not the last. */
		ASSERT_EQ(0, ioctl(heap, DMA_HEAP_IOCTL_ALLOC, data));
		ASSERT_MAPPED(dmabuf_map(data->fd, 0, page_size()));
		ASSERT_MAPPED(dmabuf_map(data->fd, 0, page_size()));
		close(data->fd);
		raise(SIGSTOP);
	}
	ASSERT_EQ(p.pid, waitpid(p.pid, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	ASSERT_EQ(0, pthread_create(&peeper, NULL, peep, &p));
	EXPECT_TRUE(slow_page_is_missed(&p.slow));
	kill(p.pid, SIGKILL);
	EXPECT_EQ(p.pid, waitpid(p.pid, &status, 0));
	EXPECT_EQ(0, quarantined(self->fd, self->id));
	slow_page_let_come(&p.slow);
	ASSERT_EQ(0, pthread_join(peeper, NULL));
	slow_page_end(&p.slow);
	EXPECT_EQ(1, quarantined(self->fd, self->id));
	EXPECT_EQ(0, cmem_release(self->fd, self->id, 0, 0, NULL));
	close(heap);
}

static void *release_all(void *arg)
{
	const FIXTURE_DATA(block) *self = arg;

	if (cmem_release(self->fd, self->id, 0, 0, NULL))
		return (void *)1;
	return (void *)(unsigned long)quarantined(self->fd, self->id);
}

/* Nothing is left, even if another supervisor is releasing: the block is removable. */
TEST_F(block, a_supervisor_who_releases_all_leaves_nothing)
{
	pthread_t thread[2];
	void *left[2];

	ASSERT_EQ(0, add_block(self, CMEM_BLOCK_QUARANTINE, 0));
	for (int round = 0; round < 20; round++) {
		int fd = cmem_open();

		for (int i = 0; i < 2000; i++)
			if (cmem_alloc(fd, self->id, CMEM_POOL_HEAP, page_size(), 0, self->buf))
				break;
		close(fd);
		ASSERT_NE(0, quarantined(self->fd, self->id));
		for (int i = 0; i < 2; i++)
			ASSERT_EQ(0, pthread_create(&thread[i], NULL, release_all, self));
		for (int i = 0; i < 2; i++)
			ASSERT_EQ(0, pthread_join(thread[i], &left[i]));
		ASSERT_NO_POINTER(left[0]);
		ASSERT_NO_POINTER(left[1]);
	}
}

/*
 * Remote processors that the block names. Those of the lab's board stop and start on
 * request: dsp-0 is off at boot, a boot loader has started dsp-1.
 */

#define RPROCS		"/sys/class/remoteproc"
#define RPROC_DRIVER	"/sys/bus/platform/drivers/cmem-lab-rproc"

FIXTURE(rproc)
{
	int fd;
	struct snapshot before;
	__s32 id;
	struct cmem_alloc *buf;
};

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return ret;
}

static bool read_text(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(text, size, f);

	if (f)
		fclose(f);
	if (ok)
		text[strcspn(text, "\n")] = 0;
	return ok;
}

/* The directory of dsp-<number>, whatever number the kernel gave it */
static bool rproc_path(int number, char *path, size_t size)
{
	char name[16], text[64];

	snprintf(name, sizeof(name), "dsp-%d", number);
	for (int i = 0; i < 64; i++) {
		snprintf(path, size, RPROCS "/remoteproc%d/name", i);
		if (!read_text(path, text, sizeof(text)) || strcmp(text, name))
			continue;
		snprintf(path, size, RPROCS "/remoteproc%d", i);
		return true;
	}
	return false;
}

static int rproc_set(int number, const char *what)
{
	char path[80];

	if (!rproc_path(number, path, sizeof(path) - 6))
		return -ENODEV;
	strcat(path, "/state");
	return write_text(path, what);
}

static bool rproc_is(int number, const char *state)
{
	char path[80], text[32];

	if (!rproc_path(number, path, sizeof(path) - 6))
		return false;
	strcat(path, "/state");
	return read_text(path, text, sizeof(text)) && !strcmp(text, state);
}

static int rproc_bind(int number, bool bind)
{
	char device[16];

	snprintf(device, sizeof(device), "dsp-%d", number);
	return write_text(bind ? RPROC_DRIVER "/bind" : RPROC_DRIVER "/unbind", device);
}

FIXTURE_SETUP(rproc)
{
	OPEN_OR_SKIP(self->fd);
	if (getuid() || access(RPROC_DRIVER, F_OK))
		SKIP(return, "no remote processors of the lab");
	ASSERT_EQ(0, take_snapshot(&self->before));
	self->id = INT_MAX;
	for (unsigned int i = 0; i < self->before.num_blocks; i++)
		if (self->before.block[i].out_flags & CMEM_BLOCK_RPROC)
			self->id = self->before.block[i].block;
	ASSERT_NE(INT_MAX, self->id);
	self->buf = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0);
	ASSERT_MAPPED(self->buf);
	ASSERT_TRUE(rproc_is(0, "offline"));
	ASSERT_TRUE(rproc_is(1, "detached"));
	ASSERT_EQ(0, rproc_set(0, "start"));
	ASSERT_EQ(0, rproc_set(1, "start"));
	ASSERT_TRUE(rproc_is(0, "running"));
	ASSERT_TRUE(rproc_is(1, "attached"));
}

FIXTURE_TEARDOWN(rproc)
{
	cmem_release(self->fd, self->id, 0, 0, NULL);
	/* As at boot */
	for (int i = 0; i < 2; i++) {
		rproc_bind(i, false);
		EXPECT_EQ(0, rproc_bind(i, true));
	}
	close(self->fd);
	expect_same(&self->before);
}

/* The count is @count and stays so. Repeated reads catch a late change. */
static bool stays(FIXTURE_DATA(rproc) *self, unsigned int count)
{
	for (int i = 0; i < 20; i++) {
		if (quarantined(self->fd, self->id) != count)
			return false;
		usleep(1000);
	}
	return true;
}

static bool gets(FIXTURE_DATA(rproc) *self, unsigned int count)
{
	return eventually(quarantined(self->fd, self->id) == count);
}

static void leave(struct __test_metadata *_metadata, FIXTURE_DATA(rproc) *self)
{
	int fd = cmem_open();

	ASSERT_EQ(0, cmem_alloc(fd, self->id, CMEM_POOL_BEST, page_size(),
				CMEM_ALLOC_HEAP_FALLBACK | CMEM_ALLOC_QUARANTINE, self->buf));
	close(fd);
}

TEST_F(rproc, all_of_them_must_have_stopped)
{
	leave(_metadata, self);
	EXPECT_TRUE(stays(self, 1));
	ASSERT_EQ(0, rproc_set(0, "stop"));
	EXPECT_TRUE(stays(self, 1));
	/* The processor continues without the kernel. */
	ASSERT_EQ(0, rproc_set(1, "detach"));
	EXPECT_TRUE(stays(self, 1));
	ASSERT_EQ(0, rproc_set(1, "start"));
	EXPECT_TRUE(stays(self, 1));
	ASSERT_EQ(0, rproc_set(1, "stop"));
	EXPECT_TRUE(gets(self, 0));
}

TEST_F(rproc, a_restart_is_a_stop_for_what_was_left_before)
{
	leave(_metadata, self);
	ASSERT_EQ(0, rproc_set(0, "stop"));
	ASSERT_EQ(0, rproc_set(0, "start"));
	leave(_metadata, self);
	EXPECT_TRUE(stays(self, 2));
	ASSERT_EQ(0, rproc_set(1, "stop"));
	ASSERT_EQ(0, rproc_set(1, "start"));
	EXPECT_TRUE(rproc_is(1, "running"));
	EXPECT_TRUE(gets(self, 1));
	EXPECT_TRUE(stays(self, 1));
	ASSERT_EQ(0, rproc_set(0, "stop"));
	EXPECT_TRUE(gets(self, 0));
}

TEST_F(rproc, recovery_from_a_crash_is_a_restart)
{
	char path[80];
	const char *number;

	ASSERT_TRUE(rproc_path(0, path, sizeof(path)));
	number = path + strlen(RPROCS "/");
	snprintf(path, sizeof(path), "/sys/kernel/debug/remoteproc/%s/crash", strdup(number));
	if (access(path, W_OK))
		SKIP(return, "no %s", path);
	ASSERT_EQ(0, rproc_set(1, "stop"));
	leave(_metadata, self);
	EXPECT_TRUE(stays(self, 1));
	ASSERT_EQ(0, write_text(path, "1"));
	EXPECT_TRUE(gets(self, 0));
	EXPECT_TRUE(eventually(rproc_is(0, "running")));
}

TEST_F(rproc, while_they_are_off_nothing_stays)
{
	ASSERT_EQ(0, rproc_set(0, "stop"));
	ASSERT_EQ(0, rproc_set(1, "stop"));
	leave(_metadata, self);
	EXPECT_TRUE(gets(self, 0));
}

TEST_F(rproc, they_may_come_late_and_go)
{
	/* Removing its driver stops the processor. */
	leave(_metadata, self);
	ASSERT_EQ(0, rproc_bind(0, false));
	EXPECT_TRUE(stays(self, 1));
	ASSERT_EQ(0, rproc_bind(1, false));
	EXPECT_TRUE(gets(self, 0));
	/* They are back, with their states recognized */
	ASSERT_EQ(0, rproc_bind(0, true));
	ASSERT_EQ(0, rproc_bind(1, true));
	ASSERT_EQ(0, rproc_set(0, "start"));
	leave(_metadata, self);
	EXPECT_TRUE(stays(self, 1));
	ASSERT_EQ(0, rproc_set(1, "start"));
	ASSERT_EQ(0, rproc_set(1, "stop"));
	EXPECT_TRUE(stays(self, 1));
	ASSERT_EQ(0, rproc_set(0, "stop"));
	EXPECT_TRUE(gets(self, 0));
}

TEST_F(rproc, a_supervisor_need_not_wait_for_them)
{
	leave(_metadata, self);
	EXPECT_EQ(0, cmem_release(self->fd, self->id, CMEM_RELEASE_BUFFER, self->buf->phys_addr,
				  NULL));
	EXPECT_EQ(0, quarantined(self->fd, self->id));
}

/* A process that only maps it counts as a user: the end of its last mapping counts. */
TEST_F(quarantine, who_only_maps_it_ends_too)
{
	int owner = cmem_open(), other_fd = cmem_open();
	char *map = allocate(owner, self, variant), *part;
	pid_t pid;

	part = mmap(NULL, page_size(), PROT_READ, MAP_SHARED, other_fd, self->buf->mmap_offset);
	ASSERT_MAPPED(part);
	/* A child that does nothing ends: the parent's mapping still exists. */
	IN_CHILD(pid) {
	}
	join_child(pid);
	ASSERT_EQ(0, munmap(part, page_size()));
	ASSERT_EQ(0, munmap(map, self->buf->length));
	ASSERT_EQ(0, cmem_free(owner, self->buf->phys_addr));
	expect_same(&self->before);

	/* A child that is the only user, and dies with it. */
	map = allocate(owner, self, variant);
	IN_CHILD(pid) {
		int fd = cmem_open();

		ASSERT_MAPPED(mmap(NULL, page_size(), PROT_READ, MAP_SHARED, fd,
				   self->buf->mmap_offset));
	}
	join_child(pid);
	ASSERT_EQ(0, munmap(map, self->buf->length));
	ASSERT_EQ(0, cmem_free(owner, self->buf->phys_addr));
	EXPECT_FALSE(is_same(&self->before));
	EXPECT_EQ(0, cmem_release(self->fd, self->src.block, CMEM_RELEASE_BUFFER,
				  self->buf->phys_addr, NULL));
	close(owner);
	close(other_fd);
}

TEST_HARNESS_MAIN
