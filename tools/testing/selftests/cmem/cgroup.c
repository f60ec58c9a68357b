// SPDX-License-Identifier: GPL-2.0
/*
 * What control groups limit. The kernel memory for a user's buffers, including the nodes
 * of the heap's tree, is charged to the user's memory cgroup. At its limit,
 * ALLOC fails with ENOMEM. In kernels with the dmem controller, the buffers themselves
 * are charged to the user's cgroup.
 */
#include <inttypes.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "cmem_dmabuf.h"

#define MANY 4096

#define ROOT_SIZE 64

/*
 * Each CPU may count a charge of less than a page late. The kernel sums up the counts of
 * all CPUs when they exceed 64 pages per CPU or are 2 seconds old, so the tests wait for
 * a value of memory.stat.
 */
#define COUNTED_LATE (16 * 4096)

FIXTURE(memcg)
{
	char root[ROOT_SIZE];
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

/* The number after @key, or without a key the number in the file; or -1 */
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

/* A group with a controller, in a mount of its own; false without the controller */
static bool make_group(char *root, char *group, size_t size, const char *controller,
		       const char *file)
{
	char path[128];

	snprintf(root, ROOT_SIZE, "/tmp/cmem-cgroup-XXXXXX");
	if (!mkdtemp(root))
		return false;
	snprintf(group, size, "%s/cmem", root);
	if (!mount("cgroup2", root, "cgroup2", 0, NULL)) {
		put(root, "cgroup.subtree_control", controller);
		mkdir(group, 0755);
	}
	snprintf(path, sizeof(path), "%s/%s", group, file);
	return !access(path, F_OK);
}

static void remove_group(const char *root, const char *group)
{
	rmdir(group);
	umount(root);
	rmdir(root);
}

FIXTURE_SETUP(memcg)
{
	int fd;

	OPEN_OR_SKIP(fd);
	close(fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!make_group(self->root, self->group, sizeof(self->group), "+memory",
			"memory.stat")) {
		remove_group(self->root, self->group);
		SKIP(return, "no memory cgroup");
	}
	if (!find_heap_source(ANY_KIND, 2ULL * MANY * page_size(), &self->src))
		SKIP(return, "no heap of %d pages", 2 * MANY);
	self->src.length = page_size();
}

FIXTURE_TEARDOWN(memcg)
{
	remove_group(self->root, self->group);
	expect_same(&self->before);
}

/*
 * Bytes of a buffer's own struct, including what the cgroup needs to know about it; or
 * -1. From v6.18 on, the latter takes no memory.
 */
static long long struct_size(void)
{
	long long size = get("/sys/kernel/slab/cmem_heap_buffer", "slab_size", "");

	if (size < 0 || !kernel_is_before(6, 18))
		return size;
	return size + (long long)sizeof(void *);
}

static long long slab_of(const char *group)
{
	return get(group, "memory.stat", "slab_unreclaimable ");
}

/* Moves this process into the group and opens the device there. */
static int join(const char *group, const struct source *src)
{
	struct cmem_alloc buf;
	int fd;

	if (!put(group, "cgroup.procs", "0"))
		return -1;
	fd = cmem_open();
	/* So that the costs of the first allocation do not count */
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
		long long before, used = 0, after = 0;
		int fd = join(self->group, &self->src);

		ASSERT_LE(0, fd);
		before = slab_of(self->group);
		for (int i = 0; i < MANY; i++)
			ASSERT_EQ(0, source_alloc(fd, &self->src, 0, &buf[i]));
		/* One node of 256 bytes has at most 16 entries, or 32 on 32 bits. */
		ASSERT_TRUE(eventually((used = slab_of(self->group) - before) >=
				       MANY * (size + 256 / 32) - COUNTED_LATE / 4))
			TH_LOG("%lld bytes for %d structs of %lld", used, MANY, size);
		for (int i = 0; i < MANY; i++)
			ASSERT_EQ(0, cmem_free(fd, buf[i].phys_addr));
		ASSERT_TRUE(eventually((after = slab_of(self->group) - before) < used / 2))
			TH_LOG("%lld of %lld bytes are left", after, used);
		close(fd);
	}
	join_child(pid);
	/* Little remains when all extents are merged again. */
	EXPECT_TRUE(eventually(slab_of(self->group) < COUNTED_LATE));
}

TEST_F(memcg, the_limit_of_the_group_is_enomem)
{
	pid_t pid;

	IN_CHILD(pid) {
		struct cmem_alloc buf;
		char limit[32], path[128];
		int max, fd = join(self->group, &self->src);
		long long now = get(self->group, "memory.current", "");
		int count = 0, ret = 0;

		ASSERT_LE(0, fd);
		ASSERT_LT(0, now);
		/* The kernel keeps up to 64 charged pages per CPU for later. */
		snprintf(limit, sizeof(limit), "%lld", now + (64 << 10));
		/* At the limit, opening a file would get the process killed. */
		snprintf(path, sizeof(path), "%s/memory.max", self->group);
		max = open(path, O_WRONLY | O_CLOEXEC);
		ASSERT_LE(0, max);
		ASSERT_EQ((ssize_t)strlen(limit), write(max, limit, strlen(limit)));
		for (; !ret && count < 2 * MANY; count++)
			ret = source_alloc(fd, &self->src, 0, &buf);
		ASSERT_EQ(3, write(max, "max", 3));
		ASSERT_EQ(-ENOMEM, ret) TH_LOG("after %d buffers", count);
		/* The heap has room, and others can allocate. */
		ASSERT_EQ(0, source_alloc(fd, &self->src, 0, &buf));
		close(fd);
	}
	join_child(pid);
}

/* The group pays for structs, not for the pages of a buffer, in whatever way they are mapped. */
TEST_F(memcg, the_pages_of_a_buffer_are_not_charged)
{
	const size_t length = MANY * page_size();
	pid_t pid;

	IN_CHILD(pid) {
		int fd = join(self->group, &self->src);
		struct cmem_alloc buf;
		long long before;
		char *map;
		int ret;

		ASSERT_LE(0, fd);
		before = get(self->group, "memory.current", "");
		ret = cmem_alloc(fd, self->src.block, CMEM_POOL_HEAP, length,
				 CMEM_ALLOC_CACHED | CMEM_ALLOC_PAGES, &buf);
		if (ret == -EOPNOTSUPP)
			ret = cmem_alloc(fd, self->src.block, CMEM_POOL_HEAP, length,
					 CMEM_ALLOC_CACHED, &buf);
		ASSERT_EQ(0, ret);
		map = cmem_map(fd, &buf);
		ASSERT_MAPPED(map);
		memset(map, 1, length);
		ASSERT_GT((long long)length / 2, get(self->group, "memory.current", "") - before);
		ASSERT_GT((long long)length / 2, get(self->group, "memory.stat", "file_mapped "));
		ASSERT_EQ(0, munmap(map, length));
		close(fd);
	}
	join_child(pid);
}

FIXTURE(dmem)
{
	char root[ROOT_SIZE];
	char group[80];
	char region[32];
	struct source src;
	struct snapshot before;
};

FIXTURE_VARIANT(dmem)
{
	int kind;
	bool heap;
};

FIXTURE_VARIANT_ADD(dmem, pool) { .kind = ANY_KIND, .heap = false };
FIXTURE_VARIANT_ADD(dmem, heap) { .kind = ANY_KIND, .heap = true };
FIXTURE_VARIANT_ADD(dmem, cma_pool) { .kind = CMEM_KIND_CMA, .heap = false };
FIXTURE_VARIANT_ADD(dmem, cma_heap) { .kind = CMEM_KIND_CMA, .heap = true };

FIXTURE_SETUP(dmem)
{
	int fd;

	OPEN_OR_SKIP(fd);
	close(fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!make_group(self->root, self->group, sizeof(self->group), "+dmem", "dmem.max")) {
		remove_group(self->root, self->group);
		SKIP(return, "no dmem cgroup controller");
	}
	if (!(variant->heap ? find_heap_source(variant->kind, 16 * page_size(), &self->src) :
			      find_pool_source(variant->kind, page_size(), 5, &self->src)))
		SKIP(return, "no room for five buffers");
	if (variant->heap)
		self->src.length = 2 * page_size();
	if (self->src.block == CMEM_BLOCK_CMA)
		snprintf(self->region, sizeof(self->region), "cmem/cma ");
	else
		snprintf(self->region, sizeof(self->region), "cmem/block%d ", self->src.block);
}

FIXTURE_TEARDOWN(dmem)
{
	remove_group(self->root, self->group);
	expect_same(&self->before);
}

TEST_F(dmem, each_block_is_a_region)
{
	struct cmem_block_info info;
	int fd = cmem_open();

	ASSERT_EQ(0, cmem_get_block(fd, self->src.block, &info));
	EXPECT_EQ(info.length, get(self->root, "dmem.capacity", self->region));
	close(fd);
}

TEST_F(dmem, the_limit_of_the_group_is_enomem)
{
	char limit[64];
	pid_t pid;

	snprintf(limit, sizeof(limit), "%s%" PRIu64, self->region,
		 (uint64_t)(3 * self->src.length));
	ASSERT_TRUE(put(self->group, "dmem.max", limit));
	IN_CHILD(pid) {
		struct cmem_alloc buf[4];
		int fd, dmabuf;

		ASSERT_TRUE(put(self->group, "cgroup.procs", "0"));
		fd = cmem_open();
		ASSERT_LE(0, fd);
		for (int i = 0; i < 3; i++) {
			ASSERT_EQ(0, source_alloc(fd, &self->src, 0, &buf[i]));
			ASSERT_EQ((i + 1) * self->src.length,
				  get(self->group, "dmem.current", self->region));
		}
		EXPECT_REFUSED(ENOMEM, source_alloc(fd, &self->src, 0, &buf[3]));
		ASSERT_FALSE(has_failed(_metadata));
		ASSERT_EQ(3 * self->src.length,
			  get(self->group, "dmem.current", self->region));

		/* Charged as long as anything holds it */
		dmabuf = cmem_export(fd, buf[0].phys_addr, O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, dmabuf);
		ASSERT_EQ(0, cmem_free(fd, buf[0].phys_addr));
		ASSERT_EQ(-ENOMEM, source_alloc(fd, &self->src, 0, &buf[3]));
		close(dmabuf);
		ASSERT_EQ(2 * self->src.length,
			  get(self->group, "dmem.current", self->region));
		ASSERT_EQ(0, source_alloc(fd, &self->src, 0, &buf[0]));
		close(fd);
	}
	join_child(pid);
	EXPECT_EQ(0, get(self->group, "dmem.current", self->region));
}

TEST_HARNESS_MAIN
