// SPDX-License-Identifier: GPL-2.0
/*
 * A call that cannot write its answer changes nothing, whatever another thread of the
 * program does with the same buffer meanwhile. userfaultfd stops the call while it writes
 * the answer, and makes it fail.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "legacy.h"

/* A call in another thread, with its structure in a page that is not yet writable */
struct call {
	int uffd;
	pthread_t thread;
	int fd;
	unsigned long cmd;
	void *page;
	int ret;
};

static int protect(struct call *call, __u64 mode)
{
	struct uffdio_writeprotect wp = {
		.range = { .start = (uintptr_t)call->page, .len = page_size() }, .mode = mode,
	};

	return ioctl(call->uffd, UFFDIO_WRITEPROTECT, &wp) ? -errno : 0;
}

static bool prepare(struct call *call)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_WP };

	call->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (call->uffd < 0 || ioctl(call->uffd, UFFDIO_API, &api))
		return false;
	call->page = mmap(NULL, page_size(), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (uintptr_t)call->page;
	reg.range.len = page_size();
	return call->page != MAP_FAILED && !ioctl(call->uffd, UFFDIO_REGISTER, &reg);
}

static void *run(void *arg)
{
	struct call *call = arg;

	call->ret = cmem_ioctl(call->fd, call->cmd, call->page);
	return NULL;
}

/* Starts a call; on return, only the answer to the caller is missing. */
static int begin(struct call *call, int fd, unsigned long cmd, const void *arg, size_t size)
{
	struct pollfd in = { .fd = call->uffd, .events = POLLIN };
	struct uffd_msg msg;
	int ret;

	call->fd = fd;
	call->cmd = cmd;
	memcpy(call->page, arg, size);
	ret = protect(call, UFFDIO_WRITEPROTECT_MODE_WP);
	if (ret)
		return ret;
	if (pthread_create(&call->thread, NULL, run, call))
		return -EAGAIN;
	if (poll(&in, 1, -1) != 1 || read(call->uffd, &msg, sizeof(msg)) != sizeof(msg))
		return -errno;
	return msg.event == UFFD_EVENT_PAGEFAULT ? 0 : -EPROTO;
}

/* Makes the answer fail; returns the call's result. */
static int fail(struct call *call)
{
	if (mprotect(call->page, page_size(), PROT_READ) || protect(call, 0))
		return -errno;
	pthread_join(call->thread, NULL);
	mprotect(call->page, page_size(), PROT_READ | PROT_WRITE);
	return call->ret;
}

FIXTURE(undo)
{
	int fd;
	int other_fd;
	struct source src;
	struct call call;
	struct snapshot before;
};

FIXTURE_VARIANT(undo)
{
	bool heap;
	bool old;
};

FIXTURE_VARIANT_ADD(undo, pool) { .heap = false, .old = false };
FIXTURE_VARIANT_ADD(undo, heap) { .heap = true, .old = false };
FIXTURE_VARIANT_ADD(undo, old_pool) { .heap = false, .old = true };
FIXTURE_VARIANT_ADD(undo, old_heap) { .heap = true, .old = true };

FIXTURE_SETUP(undo)
{
	OPEN_OR_SKIP(self->fd);
	self->other_fd = cmem_open();
	ASSERT_LE(0, self->other_fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!prepare(&self->call))
		SKIP(return, "no userfaultfd that write-protects");
	if (!find_source(ANY_KIND, variant->heap, 2 * page_size(), &self->src))
		SKIP(return, "no %s with two pages free", variant->heap ? "heap" : "pool");
	if (variant->old && cmem_ioctl(self->fd, OLD_GETVERSION, self->call.page) == -ENOTTY)
		SKIP(return, "no CONFIG_TI_CMEM_LEGACY_ABI");
}

FIXTURE_TEARDOWN(undo)
{
	close(self->call.uffd);
	close(self->fd);
	close(self->other_fd);
	expect_same(&self->before);
}

static int begin_alloc(struct call *call, int fd, const struct source *src, bool old)
{
	union old_allocheap heap = { .in = { .size = src->length, .block = src->block } };
	union old_alloc pool = { .in = { .pool = src->pool, .block = src->block } };
	struct cmem_alloc alloc = {
		.size = sizeof(alloc), .block = src->block, .pool = src->pool,
		.length = src->length,
	};

	if (!old)
		return begin(call, fd, CMEM_IOCTL_ALLOC, &alloc, sizeof(alloc));
	return src->pool == CMEM_POOL_HEAP ?
	       begin(call, fd, OLD_ALLOCHEAP, &heap, sizeof(heap)) :
	       begin(call, fd, OLD_ALLOC, &pool, sizeof(pool));
}

/* Frees the only buffer of a file, wherever it is; returns its address, or 0. */
static __u64 guess_and_free(int fd, __s32 block)
{
	struct cmem_block_info info;

	if (cmem_get_block(fd, block, &info))
		return 0;
	for (__u64 at = info.base; at < info.base + info.length; at += page_size())
		if (!cmem_free(fd, at))
			return at;
	return 0;
}

TEST_F(undo, an_allocation_that_another_thread_freed_takes_nothing_from_it)
{
	static struct cmem_alloc rest[COUNT_LIMIT];
	struct cmem_alloc mine;
	int count = 0, ret;

	/* One buffer of the pool is left: the next allocation gets the freed buffer. */
	if (!variant->heap)
		count = drain(self->other_fd, &self->src, 0, rest, ARRAY_SIZE(rest));
	if (count > 0) {
		ASSERT_EQ(0, cmem_free(self->other_fd, rest[0].phys_addr));
	}

	ASSERT_EQ(0, begin_alloc(&self->call, self->fd, &self->src, variant->old));
	EXPECT_NE(0, guess_and_free(self->fd, self->src.block));
	ret = source_alloc(self->fd, &self->src, 0, &mine);
	EXPECT_EQ(-EFAULT, fail(&self->call));
	/* The call may still hold it: then another one, or none. */
	if (!ret)
		ret = cmem_free(self->fd, mine.phys_addr);
	else if (ret == -ENOMEM)
		ret = 0;
	EXPECT_EQ(0, ret);
}

TEST_F(undo, an_allocation_that_fails_leaves_what_others_registered)
{
	struct cmem_alloc probe;
	struct cmem_register reg;
	__u64 at;

	ASSERT_EQ(0, begin_alloc(&self->call, self->fd, &self->src, variant->old));
	at = guess_and_free(self->fd, self->src.block);
	EXPECT_NE(0, at);
	/* It is freed and unowned, but not reused until the call finishes. */
	EXPECT_EQ(-ENOENT, cmem_register_info(self->other_fd, at, &reg));
	ASSERT_EQ(0, source_alloc(self->other_fd, &self->src, 0, &probe));
	EXPECT_NE(at, probe.phys_addr);
	EXPECT_EQ(-EFAULT, fail(&self->call));
	EXPECT_EQ(0, cmem_free(self->other_fd, probe.phys_addr));
}

TEST_F(undo, an_allocation_that_fails_is_freed)
{
	ASSERT_EQ(0, begin_alloc(&self->call, self->fd, &self->src, variant->old));
	EXPECT_EQ(-EFAULT, fail(&self->call));
	expect_same(&self->before);
}

TEST_F(undo, a_registration_that_fails_is_none)
{
	struct cmem_register reg = { .size = sizeof(reg) };
	union old_reguser old;
	struct cmem_alloc buf;
	int ret;

	ASSERT_EQ(0, source_alloc(self->other_fd, &self->src, 0, &buf));
	reg.phys_addr = buf.phys_addr;
	old.phys = buf.phys_addr;
	ret = variant->old ?
	      begin(&self->call, self->fd, OLD_REGUSER, &old, sizeof(old)) :
	      begin(&self->call, self->fd, CMEM_IOCTL_REGISTER, &reg, sizeof(reg));
	ASSERT_EQ(0, ret);
	EXPECT_EQ(-EPERM, cmem_free(self->fd, buf.phys_addr));
	EXPECT_EQ(0, cmem_register(self->fd, buf.phys_addr));
	EXPECT_EQ(-EFAULT, fail(&self->call));
	/* Only the registration of the other thread remains */
	EXPECT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	EXPECT_EQ(-EPERM, cmem_free(self->fd, buf.phys_addr));
	EXPECT_EQ(0, cmem_free(self->other_fd, buf.phys_addr));
}

TEST_F(undo, a_registration_is_none_if_the_buffer_has_gone_meanwhile)
{
	struct cmem_register reg = { .size = sizeof(reg) };
	struct cmem_alloc buf;

	if (variant->old)
		SKIP(return, "as with the new interface");
	ASSERT_EQ(0, source_alloc(self->other_fd, &self->src, 0, &buf));
	reg.phys_addr = buf.phys_addr;
	ASSERT_EQ(0, begin(&self->call, self->fd, CMEM_IOCTL_REGISTER, &reg, sizeof(reg)));
	EXPECT_EQ(0, cmem_free(self->other_fd, buf.phys_addr));
	/* The answer gets through: there is no such buffer. */
	ASSERT_EQ(0, protect(&self->call, 0));
	pthread_join(self->call.thread, NULL);
	EXPECT_EQ(-ENOENT, self->call.ret);
}

TEST_HARNESS_MAIN
