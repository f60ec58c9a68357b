// SPDX-License-Identifier: GPL-2.0
/*
 * FREE and REGISTER: who may call them, which addresses are buffers, how several files'
 * registrations count in every order, and their limits.
 */
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "cmem_test.h"

FIXTURE(share)
{
	int a;
	int b;
	struct source src;
	struct cmem_alloc buf;		/* of a */
	struct snapshot before;
};

FIXTURE_VARIANT(share)
{
	bool heap;
};

FIXTURE_VARIANT_ADD(share, pool) { .heap = false };
FIXTURE_VARIANT_ADD(share, heap) { .heap = true };

FIXTURE_SETUP(share)
{
	OPEN_OR_SKIP(self->a);
	self->b = cmem_open();
	ASSERT_LE(0, self->b);
	ASSERT_EQ(0, take_snapshot(&self->before));
	/* Two pages, so that a buffer has a middle. */
	if (!find_source(ANY_KIND, variant->heap, 2 * page_size(), &self->src))
		SKIP(return, "no %s with two pages free", variant->heap ? "heap" : "pool");
	ASSERT_EQ(0, source_alloc(self->a, &self->src, CMEM_ALLOC_CACHED, &self->buf));
}

FIXTURE_TEARDOWN(share)
{
	close(self->a);
	close(self->b);
	expect_same(&self->before);
}

/* Leaves this process only the effective capabilities @keep, a bit mask. */
static int set_capabilities(unsigned long long keep)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = {
		{ keep, keep, 0 }, { keep >> 32, keep >> 32, 0 },
	};

	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

/*
 * FREE
 */

TEST_F(share, the_owner_frees_once)
{
	EXPECT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
	EXPECT_REFUSED(ENOENT, cmem_free(self->a, self->buf.phys_addr));
	EXPECT_REFUSED(ENOENT, cmem_free(self->b, self->buf.phys_addr));
	EXPECT_REFUSED(ENOENT, cmem_register(self->a, self->buf.phys_addr));
	EXPECT_REFUSED(ENOENT, cmem_register(self->b, self->buf.phys_addr));
}

TEST_F(share, a_file_that_is_not_registered_can_not_free)
{
	EXPECT_REFUSED(EPERM, cmem_free(self->b, self->buf.phys_addr));
	EXPECT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
}

TEST_F(share, unaligned_addresses_are_EINVAL)
{
	const __u64 off[] = { 1, 2, 4, 64, 2048, 4095 };

	for (size_t i = 0; i < ARRAY_SIZE(off); i++) {
		EXPECT_REFUSED(EINVAL, cmem_free(self->a, self->buf.phys_addr + off[i]));
		EXPECT_REFUSED(EINVAL, cmem_register(self->b, self->buf.phys_addr + off[i]));
	}
	EXPECT_REFUSED(EINVAL, cmem_free(self->a, 1));
	EXPECT_REFUSED(EINVAL, cmem_free(self->a, ~0ULL));
	EXPECT_REFUSED(EINVAL, cmem_register(self->a, ~0ULL));
}

TEST_F(share, the_middle_of_a_buffer_is_ENOENT)
{
	for (__u64 off = page_size(); off < self->buf.length; off *= 2) {
		EXPECT_REFUSED(ENOENT, cmem_free(self->a, self->buf.phys_addr + off));
		EXPECT_REFUSED(ENOENT, cmem_register(self->a, self->buf.phys_addr + off));
		EXPECT_REFUSED(ENOENT, cmem_register(self->b, self->buf.phys_addr + off));
	}
	EXPECT_REFUSED(ENOENT, cmem_free(self->a, self->buf.phys_addr + self->buf.length -
						  page_size()));
}

TEST_F(share, addresses_that_were_never_allocated_are_ENOENT)
{
	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];
		const __u64 at[] = { b->base, b->base + b->length - page_size() };

		if (b->kind == CMEM_KIND_CMA)
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(at); k++) {
			if (at[k] == self->buf.phys_addr)
				continue;
			EXPECT_REFUSED(ENOENT, cmem_free(self->a, at[k]));
			EXPECT_REFUSED(ENOENT, cmem_register(self->a, at[k]));
		}
		for (__u32 j = 0; j < b->num_pools; j++) {
			const struct cmem_pool_info *p = &self->before.pool[i][j];
			__u64 last = p->base + (p->count - 1) * p->length;

			if (last == self->buf.phys_addr)
				continue;
			EXPECT_REFUSED(ENOENT, cmem_free(self->a, last));
			EXPECT_REFUSED(ENOENT, cmem_register(self->a, last));
		}
	}
}

TEST_F(share, addresses_outside_of_every_block_are_ENOENT)
{
	const __u64 far[] = {
		0, page_size(), 1ULL << 39, 1ULL << 48, 1ULL << 52, 1ULL << 63,
		-(__u64)page_size(),
		/* above the buffer by all 32 bits of an address, or of a page number */
		self->buf.phys_addr + (1ULL << 32), self->buf.phys_addr + (1ULL << 44),
		self->buf.phys_addr + (1ULL << 63),
	};

	for (size_t k = 0; k < ARRAY_SIZE(far); k++) {
		EXPECT_REFUSED(ENOENT, cmem_free(self->a, far[k])) TH_LOG("%#llx", far[k]);
		EXPECT_REFUSED(ENOENT, cmem_register(self->a, far[k])) TH_LOG("%#llx", far[k]);
	}
	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];

		if (b->kind == CMEM_KIND_CMA)
			continue;
		EXPECT_REFUSED(ENOENT, cmem_free(self->a, b->base - page_size()));
		EXPECT_REFUSED(ENOENT, cmem_register(self->a, b->base - page_size()));
		EXPECT_REFUSED(ENOENT, cmem_free(self->a, b->base + b->length));
		EXPECT_REFUSED(ENOENT, cmem_register(self->a, b->base + b->length));
	}
}

/*
 * REGISTER
 */

TEST_F(share, register_tells_what_the_buffer_is)
{
	struct cmem_register reg;

	ASSERT_EQ(0, cmem_register_info(self->b, self->buf.phys_addr, &reg));
	EXPECT_EQ(self->buf.length, reg.length);
	EXPECT_EQ(self->buf.mmap_offset, reg.mmap_offset);
	EXPECT_EQ(self->buf.block, reg.block);
	EXPECT_EQ(self->buf.pool, reg.pool);
	EXPECT_EQ(CMEM_ALLOC_CACHED, reg.buffer_flags);
	EXPECT_EQ(self->buf.phys_addr, reg.phys_addr);
}

TEST_F(share, the_buffer_lives_until_the_last_file_lets_go)
{
	__u64 free_held = source_free(self->a, &self->src);

	ASSERT_EQ(0, cmem_register(self->b, self->buf.phys_addr));
	ASSERT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
	EXPECT_EQ(free_held, source_free(self->a, &self->src));
	/* a, which allocated it, is a stranger now. */
	EXPECT_REFUSED(EPERM, cmem_free(self->a, self->buf.phys_addr));
	ASSERT_EQ(0, cmem_free(self->b, self->buf.phys_addr));
	EXPECT_LT(free_held, source_free(self->a, &self->src));
}

TEST_F(share, registering_twice_wants_freeing_twice)
{
	ASSERT_EQ(0, cmem_register(self->b, self->buf.phys_addr));
	ASSERT_EQ(0, cmem_register(self->b, self->buf.phys_addr));
	ASSERT_EQ(0, cmem_free(self->b, self->buf.phys_addr));
	ASSERT_EQ(0, cmem_free(self->b, self->buf.phys_addr));
	EXPECT_REFUSED(EPERM, cmem_free(self->b, self->buf.phys_addr));

	/* The same for the file that allocated it. */
	ASSERT_EQ(0, cmem_register(self->a, self->buf.phys_addr));
	ASSERT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
	EXPECT_REFUSED(EPERM, cmem_free(self->b, self->buf.phys_addr));
	ASSERT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
	EXPECT_REFUSED(ENOENT, cmem_free(self->a, self->buf.phys_addr));
}

TEST_F(share, close_drops_all_registrations_of_the_file_and_no_others)
{
	for (int n = 0; n < 5; n++) {
		ASSERT_EQ(0, cmem_register(self->b, self->buf.phys_addr));
	}
	ASSERT_EQ(0, cmem_register(self->a, self->buf.phys_addr));
	close(self->b);
	self->b = cmem_open();
	EXPECT_REFUSED(EPERM, cmem_free(self->b, self->buf.phys_addr));
	ASSERT_EQ(0, cmem_register(self->b, self->buf.phys_addr));
	close(self->a);
	self->a = cmem_open();
	EXPECT_REFUSED(EPERM, cmem_free(self->a, self->buf.phys_addr));
	ASSERT_EQ(0, cmem_free(self->b, self->buf.phys_addr));
	EXPECT_REFUSED(ENOENT, cmem_free(self->b, self->buf.phys_addr));
}

/*
 * Walks every sequence of @depth operations (register, free, close) of three files on one
 * buffer, and compares with a model of nine lines.
 */
struct walk {
	int fd[3];
	unsigned int count[3];
	__u64 phys_addr;
	struct source src;
	__u64 free_held;		/* free space while the buffer exists */
	unsigned long steps;
};

enum { REGISTER, FREE, CLOSE, OPERATIONS };

static void step(struct __test_metadata *_metadata, struct walk *w, int op, int file)
{
	unsigned int holders = w->count[0] + w->count[1] + w->count[2];
	__u64 room;

	w->steps++;
	if (op == REGISTER) {
		ASSERT_EQ(holders ? 0 : -ENOENT, cmem_register(w->fd[file], w->phys_addr));
		w->count[file] += !!holders;
	} else if (op == FREE) {
		ASSERT_EQ(w->count[file] ? 0 : holders ? -EPERM : -ENOENT,
			  cmem_free(w->fd[file], w->phys_addr));
		w->count[file] -= !!w->count[file];
	} else {
		close(w->fd[file]);
		w->fd[file] = cmem_open();
		ASSERT_LE(0, w->fd[file]);
		w->count[file] = 0;
	}
	holders = w->count[0] + w->count[1] + w->count[2];
	room = source_free(w->fd[0], &w->src);
	if (holders) {
		ASSERT_EQ(w->free_held, room);
	} else {
		ASSERT_LT(w->free_held, room);
	}
}

TEST_F(share, registrations_add_up_in_every_order)
{
	const unsigned int depth = scaled(100) < 100 ? 3 : 4;
	unsigned int sequences = 1;
	struct walk w = { .src = self->src };

	ASSERT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
	for (unsigned int i = 0; i < depth; i++)
		sequences *= OPERATIONS * 3;
	for (int i = 0; i < 3; i++)
		w.fd[i] = cmem_open();
	for (unsigned int n = 0; n < sequences; n++) {
		struct cmem_alloc buf;
		unsigned int rest = n;

		ASSERT_EQ(0, source_alloc(w.fd[0], &w.src, 0, &buf));
		w.phys_addr = buf.phys_addr;
		w.count[0] = 1;
		w.free_held = source_free(w.fd[0], &w.src);
		for (unsigned int i = 0; i < depth; i++, rest /= OPERATIONS * 3)
			step(_metadata, &w, rest % OPERATIONS, rest / OPERATIONS % 3);
		/* Releases whatever remains. */
		for (int i = 0; i < 3; i++)
			while (w.count[i])
				step(_metadata, &w, FREE, i);
	}
	EXPECT_LE(sequences * depth, w.steps);
	for (int i = 0; i < 3; i++)
		close(w.fd[i]);
}

/*
 * Who may
 */

TEST_F(share, a_private_buffer_is_not_registered_by_its_address)
{
	struct cmem_alloc private;

	ASSERT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
	ASSERT_EQ(0, source_alloc(self->a, &self->src, CMEM_ALLOC_PRIVATE, &private));
	EXPECT_REFUSED(EPERM, cmem_register(self->b, private.phys_addr));
	EXPECT_REFUSED(EPERM, cmem_free(self->b, private.phys_addr));
	/* "No other file": its own may. */
	EXPECT_EQ(0, cmem_register(self->a, private.phys_addr));
	EXPECT_EQ(0, cmem_free(self->a, private.phys_addr));
	EXPECT_REFUSED(EPERM, cmem_register(self->b, private.phys_addr));
	EXPECT_EQ(0, cmem_free(self->a, private.phys_addr));
	EXPECT_REFUSED(ENOENT, cmem_register(self->b, private.phys_addr));

	/* The next buffer at that place does not inherit the flag. */
	ASSERT_EQ(0, source_alloc(self->a, &self->src, 0, &private));
	EXPECT_EQ(0, cmem_register(self->b, private.phys_addr));
}

TEST_F(share, another_user_can_not_register)
{
	pid_t pid;

	if (getuid() || anyone_may_share())
		SKIP(return, "wants root, and no cmem.share=any");
	IN_CHILD(pid) {
		int fd;

		ASSERT_EQ(0, become_user(OTHER_UID));
		fd = cmem_open();
		ASSERT_LE(0, fd);
		ASSERT_EQ(-EPERM, cmem_register(fd, self->buf.phys_addr));
		ASSERT_EQ(-EPERM, cmem_free(fd, self->buf.phys_addr));
		ASSERT_EQ(-ENOENT, cmem_register(fd, self->buf.phys_addr + page_size()));
	}
	join_child(pid);
	EXPECT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
}

TEST_F(share, the_same_user_can_register_without_capabilities)
{
	pid_t pid;

	if (getuid() || anyone_may_share())
		SKIP(return, "wants root, and no cmem.share=any");
	IN_CHILD(pid) {
		struct cmem_alloc buf;
		int one, two;

		ASSERT_EQ(0, become_user(OTHER_UID));
		one = cmem_open();
		two = cmem_open();
		ASSERT_LE(0, two);
		ASSERT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
		ASSERT_EQ(0, source_alloc(one, &self->src, 0, &buf));
		ASSERT_EQ(0, cmem_register(two, buf.phys_addr));
	}
	join_child(pid);
}

TEST_F(share, what_counts_is_who_opened_the_file)
{
	pid_t pid;

	if (getuid() || anyone_may_share())
		SKIP(return, "wants root, and no cmem.share=any");
	IN_CHILD(pid) {
		/* Opened by root with CAP_SYS_RAWIO, used by another user. */
		int fd = cmem_open();

		ASSERT_EQ(0, become_user(OTHER_UID));
		ASSERT_EQ(0, cmem_register(fd, self->buf.phys_addr));
		ASSERT_EQ(0, cmem_free(fd, self->buf.phys_addr));
	}
	join_child(pid);
}

TEST_F(share, CAP_SYS_RAWIO_may_register_any_users_buffer_and_root_without_it_may_not)
{
	__u64 phys_addr = 0;
	int address[2], done[2];
	pid_t pid, other_pid;
	char byte;

	if (getuid() || anyone_may_share())
		SKIP(return, "wants root, and no cmem.share=any");
	ASSERT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
	ASSERT_EQ(0, pipe(address));
	ASSERT_EQ(0, pipe(done));
	IN_CHILD(other_pid) {
		struct cmem_alloc buf;
		int fd;

		close(done[1]);
		ASSERT_EQ(0, become_user(OTHER_UID));
		fd = cmem_open();
		ASSERT_EQ(0, source_alloc(fd, &self->src, 0, &buf));
		ASSERT_EQ(sizeof(buf.phys_addr), write(address[1], &buf.phys_addr,
						       sizeof(buf.phys_addr)));
		/* Until the others have tried, or died. */
		ASSERT_LE(0, read(done[0], &byte, 1));
		ASSERT_EQ(0, cmem_free(fd, buf.phys_addr));
	}
	close(address[1]);
	ASSERT_EQ(sizeof(phys_addr), read(address[0], &phys_addr, sizeof(phys_addr)));

	EXPECT_EQ(0, cmem_register(self->b, phys_addr));
	EXPECT_EQ(0, cmem_free(self->b, phys_addr));

	IN_CHILD(pid) {
		int fd;

		/* root, but without the capability */
		ASSERT_EQ(0, set_capabilities(~(1ULL << CAP_SYS_RAWIO) & 0xffffffff));
		fd = cmem_open();
		ASSERT_EQ(-EPERM, cmem_register(fd, phys_addr));
		ASSERT_EQ(-EPERM, cmem_free(fd, phys_addr));
		/* A file opened before keeps its rights. */
		ASSERT_EQ(0, cmem_register(self->b, phys_addr));
		ASSERT_EQ(0, cmem_free(self->b, phys_addr));
	}
	join_child(pid);

	IN_CHILD(pid) {
		int fd;

		/* a third user, with the capability */
		ASSERT_EQ(0, prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
		ASSERT_EQ(0, become_user(OTHER_UID + 1));
		ASSERT_EQ(0, set_capabilities(1ULL << CAP_SYS_RAWIO));
		fd = cmem_open();
		ASSERT_EQ(0, cmem_register(fd, phys_addr));
		/* A user with this uid is registered: its other files may, too. */
		ASSERT_EQ(0, set_capabilities(0));
		ASSERT_EQ(0, cmem_register(cmem_open(), phys_addr));
	}
	join_child(pid);

	/* That user is gone, and with it the right of the uid. */
	IN_CHILD(pid) {
		int fd;

		ASSERT_EQ(0, become_user(OTHER_UID + 1));
		fd = cmem_open();
		ASSERT_EQ(-EPERM, cmem_register(fd, phys_addr));
	}
	join_child(pid);

	close(done[1]);
	join_child(other_pid);
}

/*
 * Limits
 */

TEST_F(share, one_file_registers_a_buffer_CMEM_MAX_REGISTRATIONS_times)
{
	/* ALLOC registers a once. */
	for (int n = 1; n < CMEM_MAX_REGISTRATIONS; n++) {
		ASSERT_EQ(0, cmem_register(self->a, self->buf.phys_addr))
			TH_LOG("after %d", n);
	}
	EXPECT_REFUSED(EOVERFLOW, cmem_register(self->a, self->buf.phys_addr));
	/* This is a's limit: b has its own. */
	for (int n = 0; n < CMEM_MAX_REGISTRATIONS; n++) {
		ASSERT_EQ(0, cmem_register(self->b, self->buf.phys_addr))
			TH_LOG("after %d", n);
	}
	EXPECT_REFUSED(EOVERFLOW, cmem_register(self->b, self->buf.phys_addr));

	ASSERT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
	EXPECT_EQ(0, cmem_register(self->a, self->buf.phys_addr));
	EXPECT_REFUSED(EOVERFLOW, cmem_register(self->a, self->buf.phys_addr));
	for (int n = 0; n < CMEM_MAX_REGISTRATIONS; n++) {
		ASSERT_EQ(0, cmem_free(self->b, self->buf.phys_addr));
	}
	EXPECT_REFUSED(EPERM, cmem_free(self->b, self->buf.phys_addr));
}

TEST_F(share, CMEM_MAX_HOLDERS_files_may_be_registered)
{
	struct rlimit limit = { CMEM_MAX_HOLDERS + 64, CMEM_MAX_HOLDERS + 64 };
	static int fd[CMEM_MAX_HOLDERS + 1];

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	/* With a they are one too many. */
	for (int n = 0; n < CMEM_MAX_HOLDERS; n++) {
		fd[n] = cmem_open();
		ASSERT_LE(0, fd[n]);
		if (n == CMEM_MAX_HOLDERS - 1) {
			EXPECT_REFUSED(EOVERFLOW, cmem_register(fd[n], self->buf.phys_addr));
		} else {
			ASSERT_EQ(0, cmem_register(fd[n], self->buf.phys_addr))
				TH_LOG("file %d", n);
		}
	}
	/* Another registration by a file that already holds it is no problem. */
	EXPECT_EQ(0, cmem_register(fd[0], self->buf.phys_addr));
	/* A place becomes free: after close, and after FREE. */
	close(fd[0]);
	EXPECT_EQ(0, cmem_register(fd[CMEM_MAX_HOLDERS - 1], self->buf.phys_addr));
	fd[0] = cmem_open();
	EXPECT_REFUSED(EOVERFLOW, cmem_register(fd[0], self->buf.phys_addr));
	EXPECT_EQ(0, cmem_free(self->a, self->buf.phys_addr));
	EXPECT_EQ(0, cmem_register(fd[0], self->buf.phys_addr));
	EXPECT_REFUSED(EOVERFLOW, cmem_register(self->a, self->buf.phys_addr));
	for (int n = 0; n < CMEM_MAX_HOLDERS; n++)
		close(fd[n]);
}

TEST_HARNESS_MAIN
