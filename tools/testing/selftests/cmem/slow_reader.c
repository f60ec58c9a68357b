// SPDX-License-Identifier: GPL-2.0
/*
 * A reader whose page does not arrive: the kernel sleeps in the middle of a copy to it,
 * as long as the page's server wants (slow_page.h). Blocks come and go meanwhile,
 * whichever of our files is read or listed, and a process that adds or removes one can be
 * killed.
 */
#include <pthread.h>
#include <sys/mount.h>

#include "slow_page.h"

#define DEBUGFS		"/sys/kernel/debug"

enum what_is_read { EXTENTS, DIRECTORY, PROC_CMEM, FDINFO, PARAMETER };

FIXTURE(slow_reader)
{
	int fd;
	struct snapshot before;
	struct spare_block spare;	/* the block to remove and add */
	__s32 unused;			/* a number that no block ever had */
	struct slow_page slow;		/* arrives when complete() is called */
	char path[64];
	bool reading;
	pthread_t reader;
};

FIXTURE_VARIANT(slow_reader)
{
	enum what_is_read what;
};

FIXTURE_VARIANT_ADD(slow_reader, of_extents) { .what = EXTENTS };
FIXTURE_VARIANT_ADD(slow_reader, of_the_directory_of_extents) { .what = DIRECTORY };
FIXTURE_VARIANT_ADD(slow_reader, of_proc_cmem) { .what = PROC_CMEM };
FIXTURE_VARIANT_ADD(slow_reader, of_fdinfo) { .what = FDINFO };
FIXTURE_VARIANT_ADD(slow_reader, of_a_parameter) { .what = PARAMETER };

static void complete(FIXTURE_DATA(slow_reader) *self)
{
	if (!self->reading)
		return;
	slow_page_let_come(&self->slow);
	pthread_join(self->reader, NULL);
	self->reading = false;
}

static void *read_file(void *arg)
{
	FIXTURE_DATA(slow_reader) *self = arg;
	int fd = open(self->path, O_RDONLY | O_CLOEXEC);

	if (read(fd, self->slow.page, page_size()) < 0 && errno == EISDIR)
		syscall(__NR_getdents64, fd, self->slow.page, page_size());
	close(fd);
	return NULL;
}

static void extents_path(__s32 block, char *path, size_t size)
{
	snprintf(path, size, DEBUGFS "/cmem/%d", block);
}

FIXTURE_SETUP(slow_reader)
{
	struct cmem_info info;

	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (getuid())
		SKIP(return, "to add and remove blocks is for root");
	if (!find_spare_block(self->fd, CMEM_BLOCK_CMA, &self->spare))
		SKIP(return, "no block to remove");
	ASSERT_EQ(0, cmem_get_info(self->fd, &info));
	self->unused = info.block_limit;
	if (access(DEBUGFS "/cmem", F_OK))
		mount("debugfs", DEBUGFS, "debugfs", 0, NULL);
	do {
		extents_path(++self->unused, self->path, sizeof(self->path));
	} while (!access(self->path, F_OK));

	switch (variant->what) {
	case EXTENTS:
		extents_path(self->spare.info.block, self->path, sizeof(self->path));
		strcat(self->path, "/extents");
		break;
	case DIRECTORY:
		strcpy(self->path, DEBUGFS "/cmem");
		break;
	case PROC_CMEM:
		strcpy(self->path, "/proc/cmem");
		break;
	case FDINFO:
		snprintf(self->path, sizeof(self->path), "/proc/self/fdinfo/%d", self->fd);
		break;
	case PARAMETER:
		strcpy(self->path, "/sys/module/cmem/parameters/share");
		break;
	}
	if (access(self->path, R_OK))
		SKIP(return, "no %s", self->path);
	if (slow_page_make(&self->slow))
		SKIP(return, "no userfaultfd(): %s", strerror(errno));
	ASSERT_EQ(0, pthread_create(&self->reader, NULL, read_file, self));
	self->reading = true;
	ASSERT_TRUE(slow_page_is_missed(&self->slow)) complete(self);
}

FIXTURE_TEARDOWN(slow_reader)
{
	struct cmem_block_info info;

	complete(self);
	cmem_block_remove(self->fd, self->unused);
	if (cmem_get_block(self->fd, self->spare.info.block, &info))
		EXPECT_EQ(0, put_back_block(self->fd, &self->spare));
	expect_same(&self->before);
	slow_page_end(&self->slow);
	close(self->fd);
}

/* It has ended, while the reader still sleeps. */
static bool has_ended(pid_t pid, int *status)
{
	return waitpid(pid, status, WNOHANG) == pid;
}

TEST_F(slow_reader, does_not_keep_a_block_from_coming_and_going)
{
	bool ended;
	int status;
	pid_t pid;

	IN_CHILD(pid) {
		for (int i = 0; i < 3; i++) {
			ASSERT_EQ(0, cmem_block_remove(self->fd, self->spare.info.block));
			ASSERT_EQ(0, put_back_block(self->fd, &self->spare));
		}
	}
	ended = eventually(has_ended(pid, &status));
	complete(self);
	ASSERT_TRUE(ended) waitpid(pid, &status, 0);
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(CHILD_EXIT_OK, WEXITSTATUS(status));
}

/* A new number gets its names then, which takes the directory's lock. */
TEST_F(slow_reader, does_not_make_who_adds_a_block_immortal)
{
	struct cmem_block_info info;
	bool made, ended;
	int status;
	pid_t pid;

	ASSERT_EQ(0, cmem_block_remove(self->fd, self->spare.info.block));
	IN_CHILD(pid) {
		ASSERT_EQ(0, cmem_block_add(self->fd, self->unused, self->spare.info.base,
					    self->spare.info.length, 0, NULL, 0));
	}
	made = eventually(!cmem_get_block(self->fd, self->unused, &info));
	kill(pid, SIGKILL);
	ended = eventually(has_ended(pid, &status));
	/* It does not keep others from using that block either. */
	if (made && ended) {
		struct cmem_alloc buf;
		int fd = cmem_open();

		EXPECT_EQ(0, cmem_alloc(fd, self->unused, CMEM_POOL_HEAP, page_size(), 0, &buf));
		EXPECT_EQ(-EBUSY, cmem_block_remove(self->fd, self->unused));
		close(fd);
		EXPECT_EQ(0, cmem_block_remove(self->fd, self->unused));
	}
	complete(self);
	EXPECT_TRUE(made);
	ASSERT_TRUE(ended) waitpid(pid, &status, 0);
}

TEST_HARNESS_MAIN
