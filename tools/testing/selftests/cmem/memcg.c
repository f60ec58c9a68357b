// SPDX-License-Identifier: GPL-2.0
/*
 * Kernel memory that a user's buffers take, the nodes of the heap's tree included, is
 * charged to the user's memory cgroup, and stops at its limit with ENOMEM.
 */
#include <sys/mount.h>
#include <sys/stat.h>

#include "cmem_test.h"

#define MANY 4096

/* What is charged may be counted late, in each CPU by less than a page. */
#define COUNTED_LATE (16 * 4096)

FIXTURE(memcg)
{
	char root[64];
	char group[80];
	struct source src;
	struct snapshot before;
};

static bool put(const char *dir, const char *name, const char *text)
{
	char path[128];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

/* The number behind @key, or, without a key, the number that the file is; -1 */
static long long get(const char *dir, const char *name, const char *key)
{
	size_t length = strlen(key);
	long long value = -1;
	char path[128], text[8192], *at;
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (got <= 0)
		return -1;
	text[got] = 0;
	for (at = text; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
		if (!strncmp(at, key, length) && sscanf(at + length, "%lld", &value) == 1)
			return value;
	return -1;
}

static bool make_group(char *root, char *group, size_t size)
{
	if (mount("cgroup2", root, "cgroup2", 0, NULL))
		return false;
	put(root, "cgroup.subtree_control", "+memory");
	snprintf(group, size, "%s/cmem", root);
	return !mkdir(group, 0755) && get(group, "memory.stat", "slab_unreclaimable ") >= 0;
}

FIXTURE_SETUP(memcg)
{
	int fd;

	OPEN_OR_SKIP(fd);
	close(fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	strcpy(self->root, "/tmp/cmem-memcg-XXXXXX");
	ASSERT_POINTER(mkdtemp(self->root));
	if (!make_group(self->root, self->group, sizeof(self->group))) {
		rmdir(self->group);
		umount(self->root);
		rmdir(self->root);
		SKIP(return, "no memory cgroup");
	}
	if (!find_heap_source(ANY_KIND, 2ULL * MANY * page_size(), &self->src))
		SKIP(return, "no heap of %d pages", 2 * MANY);
	self->src.length = page_size();
}

FIXTURE_TEARDOWN(memcg)
{
	if (*self->group)
		rmdir(self->group);
	umount(self->root);
	rmdir(self->root);
	expect_same(&self->before);
}

/* Bytes of a buffer's own struct, with what the cgroup needs to know of it; -1 */
static long long struct_size(void)
{
	long long size = get("/sys/kernel/slab/cmem_heap_buffer", "slab_size", "");

	return size < 0 ? size : size + (long long)sizeof(void *);
}

/* From now on, this process is in the group, and has opened the device there. */
static int join(const char *group, const struct source *src)
{
	struct cmem_alloc buf;
	int fd;

	if (!put(group, "cgroup.procs", "0"))
		return -1;
	fd = cmem_open();
	/* So that the first of all is not counted */
	if (fd < 0 || source_alloc(fd, src, 0, &buf) || cmem_free(fd, buf.phys_addr))
		return -1;
	return fd;
}

TEST_F(memcg, the_tree_of_the_heap_is_charged)
{
	static struct cmem_alloc buf[MANY];
	long long size = struct_size();
	pid_t pid;

	if (size < 0)
		SKIP(return, "the kernel does not tell the size of its structs");
	IN_CHILD(pid) {
		long long before, used, after;
		int fd = join(self->group, &self->src);

		ASSERT_LE(0, fd);
		before = get(self->group, "memory.stat", "slab_unreclaimable ");
		for (int i = 0; i < MANY; i++)
			ASSERT_EQ(0, source_alloc(fd, &self->src, 0, &buf[i]));
		used = get(self->group, "memory.stat", "slab_unreclaimable ") - before;
		for (int i = 0; i < MANY; i++)
			ASSERT_EQ(0, cmem_free(fd, buf[i].phys_addr));
		/* One node of 256 bytes has at most 16 entries. */
		ASSERT_LE(MANY * (size + 256 / 16), used + COUNTED_LATE / 4)
			TH_LOG("%lld bytes for %d structs of %lld", used, MANY, size);
		after = get(self->group, "memory.stat", "slab_unreclaimable ") - before;
		ASSERT_GT(used / 2, after);
		close(fd);
	}
	join_child(pid);
	/* What is left when all extents are one again is not much. */
	EXPECT_TRUE(eventually(get(self->group, "memory.stat", "slab_unreclaimable ") <
			       COUNTED_LATE));
}

TEST_F(memcg, the_limit_of_the_group_is_enomem)
{
	pid_t pid;

	IN_CHILD(pid) {
		struct cmem_alloc buf;
		char limit[32];
		int fd = join(self->group, &self->src);
		long long now = get(self->group, "memory.current", "");
		int count = 0, ret = 0;

		ASSERT_LE(0, fd);
		ASSERT_LT(0, now);
		snprintf(limit, sizeof(limit), "%lld", now + (256 << 10));
		ASSERT_TRUE(put(self->group, "memory.max", limit));
		for (; !ret && count < MANY; count++)
			ret = source_alloc(fd, &self->src, 0, &buf);
		ASSERT_TRUE(put(self->group, "memory.max", "max"));
		ASSERT_EQ(-ENOMEM, ret) TH_LOG("after %d buffers", count);
		/* The heap has room, and others get it. */
		ASSERT_EQ(0, source_alloc(fd, &self->src, 0, &buf));
		close(fd);
	}
	join_child(pid);
}

TEST_HARNESS_MAIN
