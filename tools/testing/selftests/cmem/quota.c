// SPDX-License-Identifier: GPL-2.0
/*
 * Quotas: how much of a block each user may have, who the user is, what counts, and what
 * is visible of it.
 */
#include <inttypes.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/syscall.h>

#include "cmem_dmabuf.h"

#define PARAM "/sys/module/cmem/parameters/quota"
#define THIRD_UID 1001

static bool param_get(char *text, size_t size)
{
	int fd = open(PARAM, O_RDONLY | O_CLOEXEC);
	ssize_t got = read(fd, text, size - 1);

	close(fd);
	if (got < 0)
		return false;
	text[got] = 0;
	text[strcspn(text, "\n")] = 0;
	return true;
}

static int param_set(const char *text)
{
	int fd = open(PARAM, O_WRONLY | O_CLOEXEC);
	int ret;

	/* Writing nothing at all would change nothing. */
	if (!*text)
		text = "\n";
	ret = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -errno;
	close(fd);
	return ret;
}

/* A quota of this many bytes for one block */
static int set_quota(__s32 block, __u64 bytes)
{
	char text[64];

	snprintf(text, sizeof(text), "%d:%" PRIu64, block, (uint64_t)bytes);
	return param_set(text);
}

static __u64 charged(int fd, __s32 block)
{
	struct cmem_block_info info;

	return cmem_get_block(fd, block, &info) ? ~0ULL : info.charged;
}

/* The bytes that debugfs shows for a user, or -1 if it does not list the user */
static long long users_say(__s32 block, uid_t uid)
{
	unsigned long long bytes;
	unsigned int user;
	char path[64], line[128];
	long long found = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/kernel/debug/cmem/%d/users", block);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "uid=%u bytes=%llu", &user, &bytes) == 2 && user == uid)
			found = bytes;
	if (file)
		fclose(file);
	return found;
}

/* A child with another uid that runs the statement that follows */
#define AS_USER(pid, uid)						\
	IN_CHILD(pid)							\
		for (int _done = become_user(uid) ? (_exit(1), 1) : 0; !_done; _done = 1)

FIXTURE(quota)
{
	int fd;
	char old[256];
	struct source src;
	struct snapshot before;
};

FIXTURE_VARIANT(quota)
{
	int kind;
	bool heap;
};

FIXTURE_VARIANT_ADD(quota, pool) { .kind = ANY_KIND, .heap = false };
FIXTURE_VARIANT_ADD(quota, heap) { .kind = ANY_KIND, .heap = true };
FIXTURE_VARIANT_ADD(quota, reserved_pool) { .kind = CMEM_KIND_RESERVED, .heap = false };
FIXTURE_VARIANT_ADD(quota, reserved_heap) { .kind = CMEM_KIND_RESERVED, .heap = true };
FIXTURE_VARIANT_ADD(quota, cma_pool) { .kind = CMEM_KIND_CMA, .heap = false };
FIXTURE_VARIANT_ADD(quota, cma_heap) { .kind = CMEM_KIND_CMA, .heap = true };

FIXTURE_SETUP(quota)
{
	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	ASSERT_TRUE(param_get(self->old, sizeof(self->old)));
	if (!(variant->heap ? find_heap_source(variant->kind, 16 * page_size(), &self->src) :
			      find_pool_source(variant->kind, page_size(), 6, &self->src)))
		SKIP(return, "no room for six buffers");
	if (variant->heap)
		self->src.length = 2 * page_size();
	ASSERT_EQ(0, set_quota(self->src.block, 3 * self->src.length));
}

FIXTURE_TEARDOWN(quota)
{
	param_set(self->old);
	close(self->fd);
	expect_same(&self->before);
}

TEST_F(quota, more_than_it_is_enomem)
{
	pid_t pid;

	AS_USER(pid, OTHER_UID) {
		struct cmem_block_info info;
		struct cmem_alloc buf[4];
		int fd = cmem_open(), other_fd = cmem_open();

		ASSERT_LE(0, fd);
		ASSERT_LE(0, other_fd);
		for (int i = 0; i < 3; i++) {
			ASSERT_EQ(0, source_alloc(i & 1 ? other_fd : fd, &self->src, 0, &buf[i]));
			ASSERT_EQ((i + 1) * self->src.length, charged(fd, self->src.block));
		}
		EXPECT_REFUSED(ENOMEM, source_alloc(fd, &self->src, 0, &buf[3]));
		EXPECT_REFUSED(ENOMEM, source_alloc(other_fd, &self->src, 0, &buf[3]));
		ASSERT_EQ(0, cmem_get_block(fd, self->src.block, &info));
		ASSERT_EQ(3 * self->src.length, info.quota);
		ASSERT_EQ(3 * self->src.length, info.charged);

		/* Freed memory can be allocated again. */
		ASSERT_EQ(0, cmem_free(fd, buf[0].phys_addr));
		ASSERT_EQ(2 * self->src.length, charged(fd, self->src.block));
		ASSERT_EQ(0, source_alloc(fd, &self->src, 0, &buf[0]));
		ASSERT_EQ(-ENOMEM, source_alloc(fd, &self->src, 0, &buf[3]));
		close(other_fd);
		ASSERT_EQ(2 * self->src.length, charged(fd, self->src.block));
		close(fd);
		ASSERT_FALSE(has_failed(_metadata));
	}
	join_child(pid);
	EXPECT_EQ(0, charged(self->fd, self->src.block));
}

TEST_F(quota, each_user_has_one_of_his_own)
{
	uid_t uids[] = { OTHER_UID, THIRD_UID };
	pid_t pid[2];
	int told[2];
	char byte;

	ASSERT_EQ(0, pipe(told));
	for (int i = 0; i < 2; i++) {
		AS_USER(pid[i], uids[i]) {
			struct cmem_alloc buf;
			int fd = cmem_open();

			for (int j = 0; j < 2; j++)
				ASSERT_EQ(0, source_alloc(fd, &self->src, 0, &buf));
			ASSERT_EQ(2 * self->src.length, charged(fd, self->src.block));
			ASSERT_EQ(1, write(told[1], "x", 1));
			pause();
		}
	}
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(1, read(told[0], &byte, 1));
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(2 * self->src.length, users_say(self->src.block, uids[i]));
	}
	EXPECT_EQ(0, charged(self->fd, self->src.block));
	/* A death frees the buffers as well. */
	for (int i = 0; i < 2; i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
		EXPECT_EQ(-1, users_say(self->src.block, uids[i]));
	}
	close(told[0]);
	close(told[1]);
}

/* Gives up CAP_SYS_RESOURCE, as a service of root may do. */
static int drop_sys_resource(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return -errno;
	data[0].effective &= ~(1 << CAP_SYS_RESOURCE);
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

TEST_F(quota, it_is_not_for_who_opened_with_CAP_SYS_RESOURCE)
{
	struct cmem_alloc buf[5];
	pid_t pid;

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &buf[i]));
	EXPECT_EQ(4 * self->src.length, charged(self->fd, self->src.block));
	IN_CHILD(pid) {
		int fd;

		ASSERT_EQ(0, drop_sys_resource());
		fd = cmem_open();
		ASSERT_LE(0, fd);
		ASSERT_EQ(-ENOMEM, source_alloc(fd, &self->src, 0, &buf[4]));
		/* The other file was opened with the capability. */
		ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &buf[4]));
		ASSERT_EQ(0, cmem_free(self->fd, buf[4].phys_addr));
		close(fd);
	}
	join_child(pid);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, cmem_free(self->fd, buf[i].phys_addr));
}

TEST_F(quota, a_mapping_keeps_the_charge)
{
	pid_t pid;

	AS_USER(pid, OTHER_UID) {
		struct cmem_alloc buf;
		int fd = cmem_open();
		void *map;

		ASSERT_EQ(0, source_alloc(fd, &self->src, CMEM_ALLOC_CACHED, &buf));
		map = cmem_map(fd, &buf);
		ASSERT_MAPPED(map);
		ASSERT_EQ(0, cmem_free(fd, buf.phys_addr));
		ASSERT_EQ(self->src.length, charged(fd, self->src.block));
		munmap(map, buf.length);
		ASSERT_EQ(0, charged(fd, self->src.block));
		close(fd);
	}
	join_child(pid);
}

#define PAGES_OR_SKIP(self) do {						\
	if (!can_pages((self)->fd, (self)->src.block))			\
		SKIP(return, "this memory can't be page-backed");	\
} while (0)

/* A pipe has the first page of a page-backed buffer that is neither held nor mapped. */
#define pin_freed(fd, src, pipe) __pin_freed(_metadata, fd, src, pipe)
static void __pin_freed(struct __test_metadata *_metadata, int fd, const struct source *src,
			int pipe)
{
	struct cmem_alloc buf;
	char *map;

	ASSERT_EQ(0, source_alloc(fd, src, CMEM_ALLOC_CACHED | CMEM_ALLOC_PAGES, &buf));
	map = cmem_map(fd, &buf);
	ASSERT_MAPPED(map);
	ASSERT_EQ((ssize_t)page_size(), splice_pages(pipe, map, page_size()));
	ASSERT_EQ(0, munmap(map, buf.length));
	ASSERT_EQ(0, cmem_free(fd, buf.phys_addr));
}

/* Empties the pipe of the first page that pin_freed() put there. */
#define unpin(pipe) __unpin(_metadata, pipe)
static void __unpin(struct __test_metadata *_metadata, int pipe)
{
	char *page = malloc(page_size());

	ASSERT_POINTER(page);
	ASSERT_TRUE(read_pipe(pipe, page, page_size()));
	free(page);
}

TEST_F(quota, freed_buffers_whose_pages_are_in_use_count)
{
	pid_t pid;

	PAGES_OR_SKIP(self);
	AS_USER(pid, OTHER_UID) {
		int fd = cmem_open(), pipefd[2];
		struct cmem_alloc buf;

		ASSERT_LE(0, fd);
		ASSERT_EQ(0, pipe(pipefd));
		for (int i = 0; i < 3; i++)
			pin_freed(fd, &self->src, pipefd[1]);
		ASSERT_EQ(3 * self->src.length, charged(fd, self->src.block));
		ASSERT_EQ(-ENOMEM, source_alloc(fd, &self->src, 0, &buf));
		/* Each page that is read makes room for one buffer. */
		for (int i = 0; i < 3; i++) {
			unpin(pipefd[0]);
			ASSERT_EQ(0, source_alloc(fd, &self->src, 0, &buf));
			ASSERT_EQ(-ENOMEM, source_alloc(fd, &self->src, 0, &buf));
			ASSERT_EQ(3 * self->src.length, charged(fd, self->src.block));
		}
		close(fd);
	}
	join_child(pid);
	EXPECT_EQ(-1, users_say(self->src.block, OTHER_UID));
}

/* A process of @uid pins @count buffers by a pipe of others, and ends. */
#define pin_as(self, uid, count, pipe) __pin_as(_metadata, self, uid, count, pipe)
static void __pin_as(struct __test_metadata *_metadata, FIXTURE_DATA(quota) *self, uid_t uid,
		     int count, int pipe)
{
	pid_t pid;

	AS_USER(pid, uid) {
		int fd = cmem_open();

		ASSERT_LE(0, fd);
		for (int i = 0; i < count; i++)
			pin_freed(fd, &self->src, pipe);
		close(fd);
	}
	join_child(pid);
}

/* A process of @uid, without any buffer, gets @count buffers, and no more. */
#define expect_room(self, uid, count) __expect_room(_metadata, self, uid, count)
static void __expect_room(struct __test_metadata *_metadata, FIXTURE_DATA(quota) *self, uid_t uid,
			  int count)
{
	pid_t pid;

	AS_USER(pid, uid) {
		struct cmem_alloc buf;
		int fd = cmem_open();

		ASSERT_LE(0, fd);
		for (int i = 0; i < count; i++)
			ASSERT_EQ(0, source_alloc(fd, &self->src, 0, &buf));
		ASSERT_EQ(-ENOMEM, source_alloc(fd, &self->src, 0, &buf));
		close(fd);
	}
	join_child(pid);
}

TEST_F(quota, pages_in_use_count_for_who_had_them_even_when_it_is_gone)
{
	int pipes[2][2];

	PAGES_OR_SKIP(self);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pipe(pipes[i]));
	pin_as(self, OTHER_UID, 3, pipes[0][1]);
	pin_as(self, THIRD_UID, 1, pipes[1][1]);
	EXPECT_EQ(3 * self->src.length, users_say(self->src.block, OTHER_UID));
	EXPECT_EQ(self->src.length, users_say(self->src.block, THIRD_UID));
	EXPECT_EQ(0, charged(self->fd, self->src.block));
	expect_room(self, OTHER_UID, 0);
	expect_room(self, THIRD_UID, 2);
	unpin(pipes[0][0]);
	expect_room(self, OTHER_UID, 1);
	for (int i = 0; i < 2; i++)
		unpin(pipes[0][0]);
	expect_room(self, OTHER_UID, 3);
	EXPECT_EQ(-1, users_say(self->src.block, OTHER_UID));
	EXPECT_EQ(self->src.length, users_say(self->src.block, THIRD_UID));
	unpin(pipes[1][0]);
	expect_room(self, THIRD_UID, 3);
	EXPECT_EQ(-1, users_say(self->src.block, THIRD_UID));
	for (int i = 0; i < 2; i++) {
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
}

TEST_F(quota, passing_a_buffer_on_neither_evades_it_nor_charges_who_gets_it)
{
	int sockets[2], dmabuf[3];
	pid_t pid, other_pid;
	char byte;

	DMABUF_OR_SKIP(self->fd);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets));
	AS_USER(pid, OTHER_UID) {
		struct cmem_alloc buf;
		int fd = cmem_open();

		for (int i = 0; i < 3; i++) {
			int exported;

			ASSERT_EQ(0, source_alloc(fd, &self->src, 0, &buf));
			exported = cmem_export(fd, buf.phys_addr, O_RDWR | O_CLOEXEC);
			ASSERT_LE(0, exported);
			ASSERT_EQ(0, send_fd(sockets[0], exported));
			close(exported);
			ASSERT_EQ(0, cmem_free(fd, buf.phys_addr));
		}
		ASSERT_EQ(-ENOMEM, source_alloc(fd, &self->src, 0, &buf));
		ASSERT_EQ(1, send(sockets[0], "x", 1, 0));
		/* Until the other side has released one */
		ASSERT_EQ(1, recv(sockets[0], &byte, 1, 0));
		ASSERT_EQ(0, source_alloc(fd, &self->src, 0, &buf));
		ASSERT_EQ(-ENOMEM, source_alloc(fd, &self->src, 0, &buf));
		close(fd);
	}
	for (int i = 0; i < 3; i++) {
		dmabuf[i] = receive_fd(sockets[1]);
		ASSERT_LE(0, dmabuf[i]);
	}
	AS_USER(other_pid, THIRD_UID) {
		struct cmem_register reg = {
			.size = sizeof(reg), .flags = CMEM_REGISTER_DMABUF, .dmabuf_fd = dmabuf[0],
		};
		struct cmem_alloc buf;
		int fd = cmem_open();

		ASSERT_EQ(0, cmem_ioctl(fd, CMEM_IOCTL_REGISTER, &reg));
		ASSERT_EQ(0, charged(fd, self->src.block));
		ASSERT_EQ(0, source_alloc(fd, &self->src, 0, &buf));
		ASSERT_EQ(self->src.length, charged(fd, self->src.block));
		close(fd);
	}
	join_child(other_pid);
	EXPECT_EQ(3 * self->src.length, users_say(self->src.block, OTHER_UID));
	ASSERT_EQ(1, recv(sockets[1], &byte, 1, 0));
	close(dmabuf[0]);
	ASSERT_EQ(1, send(sockets[1], "x", 1, 0));
	join_child(pid);
	/* The user is gone, and still pays for what it passed on. */
	EXPECT_EQ(2 * self->src.length, users_say(self->src.block, OTHER_UID));
	close(dmabuf[1]);
	close(dmabuf[2]);
	EXPECT_EQ(-1, users_say(self->src.block, OTHER_UID));
	close(sockets[0]);
	close(sockets[1]);
}

TEST_F(quota, memory_of_the_blocks_DMA_BUF_heap_counts)
{
	int heap = dma_heap_open(self->src.block);
	pid_t pid;

	if (heap < 0)
		SKIP(return, "no DMA-BUF heaps in this kernel");
	AS_USER(pid, OTHER_UID) {
		struct cmem_alloc buf;
		__u64 first;
		int fd = cmem_open();
		int dmabuf = dma_heap_alloc(heap, page_size());

		/* From the best pool, which may be another one with shorter buffers */
		ASSERT_LE(0, dmabuf);
		first = charged(fd, self->src.block);
		ASSERT_LE(page_size(), first);
		ASSERT_EQ(-ENOMEM, dma_heap_alloc(heap, 3 * self->src.length + 1));
		for (int i = 0; i < 2; i++)
			ASSERT_EQ(0, source_alloc(fd, &self->src, 0, &buf));
		ASSERT_EQ(first + 2 * self->src.length, charged(fd, self->src.block));
		close(dmabuf);
		ASSERT_EQ(2 * self->src.length, charged(fd, self->src.block));
		close(fd);
	}
	join_child(pid);
	close(heap);
}

TEST_F(quota, the_users_of_a_user_namespace_count_as_who_made_it)
{
	int ready[2], mapped[2];
	char path[64], byte;
	pid_t pid;
	int fd;

	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(mapped));
	AS_USER(pid, OTHER_UID) {
		struct cmem_alloc buf;
		int own = cmem_open(), in;

		for (int i = 0; i < 2; i++)
			ASSERT_EQ(0, source_alloc(own, &self->src, 0, &buf));
		if (unshare(CLONE_NEWUSER)) {
			ASSERT_EQ(1, write(ready[1], "n", 1));
			break;
		}
		ASSERT_EQ(1, write(ready[1], "y", 1));
		ASSERT_EQ(1, read(mapped[0], &byte, 1));
		ASSERT_EQ(0, setresuid(1, 1, 1));
		in = cmem_open();
		ASSERT_LE(0, in);
		ASSERT_EQ(2 * self->src.length, charged(in, self->src.block));
		ASSERT_EQ(0, source_alloc(in, &self->src, 0, &buf));
		ASSERT_EQ(-ENOMEM, source_alloc(in, &self->src, 0, &buf));
		close(in);
		close(own);
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	if (byte == 'y') {
		/* Like newuidmap for a user with subordinate uids */
		snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		ASSERT_LT(0, write(fd, "0 1000 1\n1 5000 9\n", 18));
		close(fd);
		ASSERT_EQ(1, write(mapped[1], "x", 1));
	}
	join_child(pid);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(mapped[i]);
	}
	if (byte != 'y')
		SKIP(return, "no user namespaces");
}

TEST_F(quota, it_may_change_while_there_are_buffers)
{
	int told[2], changed[2];
	pid_t pid;
	char byte;

	ASSERT_EQ(0, pipe(told));
	ASSERT_EQ(0, pipe(changed));
	AS_USER(pid, OTHER_UID) {
		struct cmem_alloc buf[2];
		int fd = cmem_open();

		for (int i = 0; i < 2; i++)
			ASSERT_EQ(0, source_alloc(fd, &self->src, 0, &buf[i]));
		ASSERT_EQ(1, write(told[1], "x", 1));
		ASSERT_EQ(1, read(changed[0], &byte, 1));
		/* The user is over the quota: it keeps its buffers, but gets no more. */
		ASSERT_EQ(2 * self->src.length, charged(fd, self->src.block));
		ASSERT_EQ(0, cmem_free(fd, buf[0].phys_addr));
		ASSERT_EQ(-ENOMEM, source_alloc(fd, &self->src, 0, &buf[0]));
		ASSERT_EQ(0, cmem_free(fd, buf[1].phys_addr));
		ASSERT_EQ(0, source_alloc(fd, &self->src, 0, &buf[0]));
		close(fd);
	}
	ASSERT_EQ(1, read(told[0], &byte, 1));
	ASSERT_EQ(0, set_quota(self->src.block, self->src.length));
	ASSERT_EQ(1, write(changed[1], "x", 1));
	join_child(pid);
	for (int i = 0; i < 2; i++) {
		close(told[i]);
		close(changed[i]);
	}
}

TEST_F(quota, the_parameter_tells_what_it_was_set_to)
{
	static const char *const good[] = {
		"0:65536,25%,-1:none,7:100%,3:0", "25%", "none", "0", "1048576", "",
	};
	static const char *const bad[] = {
		"101%", "25%%", "-1", "x", "1:", ":1", "-2:5", "1:2:3", "64Q", "5,,6",
		"2147483648:1", "0x", "1:-5", " 5",
	};
	char many[33 * 4 + 1] = "", text[256];
	struct cmem_block_info info;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		ASSERT_EQ(0, param_set(good[i]));
		ASSERT_TRUE(param_get(text, sizeof(text)));
		EXPECT_EQ(0, strcmp(good[i], text)) TH_LOG("\"%s\": \"%s\"", good[i], text);
	}
	ASSERT_EQ(0, cmem_get_block(self->fd, self->src.block, &info));
	EXPECT_EQ(CMEM_NO_QUOTA, info.quota);
	ASSERT_EQ(0, param_set("64K\n"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, param_set(bad[i])) TH_LOG("\"%s\"", bad[i]);
	}
	for (int i = 0; i < 33; i++)
		strcat(many, i ? ",1:1" : "1:1");
	EXPECT_EQ(-EINVAL, param_set(many));
	ASSERT_TRUE(param_get(text, sizeof(text)));
	EXPECT_EQ(0, strcmp("65536", text)) TH_LOG("\"%s\"", text);
	ASSERT_EQ(0, cmem_get_block(self->fd, self->src.block, &info));
	EXPECT_EQ(65536, info.quota);
	ASSERT_EQ(0, param_set("64K,10%"));
	ASSERT_EQ(0, cmem_get_block(self->fd, self->src.block, &info));
	EXPECT_EQ((info.length / page_size() * 10 / 100) * page_size(), info.quota);
}

TEST(a_block_that_is_added_may_bring_a_quota)
{
	struct cmem_block_add add = { .size = sizeof(add) };
	struct cmem_block_info info;
	struct spare_block spare;
	char old[256];
	int fd;

	OPEN_OR_SKIP(fd);
	if (!find_spare_block(fd, -1, &spare))
		SKIP(return, "no block that can be removed");
	ASSERT_TRUE(param_get(old, sizeof(old)));
	ASSERT_EQ(0, cmem_block_remove(fd, spare.info.block));
	add.block = spare.info.block;
	add.base = spare.info.base;
	add.length = spare.info.length;
	add.num_pools = spare.info.num_pools;
	add.pools = (unsigned long)spare.pool;
	add.quota = 5 * page_size();
	EXPECT_EQ(0, cmem_ioctl(fd, CMEM_IOCTL_BLOCK_ADD, &add));

	EXPECT_EQ(0, param_set("50%"));
	EXPECT_EQ(0, cmem_get_block(fd, add.block, &info));
	EXPECT_EQ(5 * page_size(), info.quota);
	EXPECT_EQ(0, set_quota(add.block, 7 * page_size()));
	EXPECT_EQ(0, cmem_get_block(fd, add.block, &info));
	EXPECT_EQ(7 * page_size(), info.quota);
	EXPECT_EQ(0, param_set(old));
	EXPECT_EQ(0, cmem_get_block(fd, add.block, &info));
	EXPECT_EQ(5 * page_size(), info.quota);

	/* A block that is added later gets the parameter's value. */
	EXPECT_EQ(0, set_quota(add.block, 3 * page_size()));
	EXPECT_EQ(0, cmem_block_remove(fd, add.block));
	EXPECT_EQ(0, put_back_block(fd, &spare));
	EXPECT_EQ(0, cmem_get_block(fd, add.block, &info));
	EXPECT_EQ(3 * page_size(), info.quota);
	EXPECT_EQ(0, param_set(old));
	close(fd);
}

TEST_HARNESS_MAIN
