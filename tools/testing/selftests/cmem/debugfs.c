// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/debug/cmem/<block>/extents: the whole block and who holds what, as in
 * Documentation/ABI/testing/debugfs-cmem; and cmem-owner of an fdinfo, which tells which
 * owner has a number.
 */
#include <inttypes.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "cmem_dmabuf.h"

#define DEBUGFS		"/sys/kernel/debug"
#define MAX_OWNERS	8
#define MAX_DMABUFS	8

struct extent {
	__u64 phys;
	__u64 length;
	__s32 pool;
	char state[16];
	bool cached;
	bool private;
	int num_owners;
	unsigned long long owner[MAX_OWNERS];
	unsigned int registrations[MAX_OWNERS];
	unsigned int mappings;
	int num_dmabufs;
	unsigned long long dmabuf[MAX_DMABUFS];
};

struct listing {
	struct extent *extent;
	int count;
};

static void extents_path(char *path, size_t size, __s32 block)
{
	snprintf(path, size, DEBUGFS "/cmem/%d/extents", block);
}

/* False if there is a word that the format does not define. */
static bool parse_word(const char *word, struct extent *e)
{
	int end = 0;

	if (sscanf(word, "phys=0x%" SCNx64 "%n", (uint64_t *)&e->phys, &end) == 1 ||
	    sscanf(word, "length=0x%" SCNx64 "%n", (uint64_t *)&e->length, &end) == 1 ||
	    sscanf(word, "pool=%d%n", &e->pool, &end) == 1 ||
	    sscanf(word, "state=%15[a-z]%n", e->state, &end) == 1 ||
	    sscanf(word, "mappings=%u%n", &e->mappings, &end) == 1)
		return !word[end];
	if (e->num_owners < MAX_OWNERS &&
	    sscanf(word, "owner=%llu:%u%n", &e->owner[e->num_owners],
		   &e->registrations[e->num_owners], &end) == 2) {
		e->num_owners++;
		return !word[end];
	}
	if (e->num_dmabufs < MAX_DMABUFS &&
	    sscanf(word, "dmabuf=%llu%n", &e->dmabuf[e->num_dmabufs], &end) == 1) {
		e->num_dmabufs++;
		return !word[end];
	}
	if (!strcmp(word, "pool=heap"))
		e->pool = CMEM_POOL_HEAP;
	else if (!strcmp(word, "cached"))
		e->cached = true;
	else if (!strcmp(word, "private"))
		e->private = true;
	else
		return false;
	return true;
}

#define read_extents(block, list) __read_extents(_metadata, block, list)
static void __read_extents(struct __test_metadata *_metadata, __s32 block, struct listing *list)
{
	char path[64], line[4096];
	int room = 0;
	FILE *f;

	extents_path(path, sizeof(path), block);
	f = fopen(path, "re");
	ASSERT_TRUE(!!f) TH_LOG("%s: %s", path, strerror(errno));
	list->count = 0;
	list->extent = NULL;
	while (fgets(line, sizeof(line), f)) {
		struct extent *e;

		if (list->count == room) {
			room = 2 * room + 1024;
			list->extent = realloc(list->extent, room * sizeof(*list->extent));
			ASSERT_TRUE(!!list->extent);
		}
		e = &list->extent[list->count++];
		memset(e, 0, sizeof(*e));
		ASSERT_EQ('\n', line[strlen(line) - 1]) TH_LOG("%s", line);
		line[strlen(line) - 1] = 0;
		for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) {
			ASSERT_TRUE(parse_word(word, e)) TH_LOG("%s: '%s'", path, word);
		}
	}
	fclose(f);
}

static const struct extent *find_extent(const struct listing *list, __u64 phys)
{
	for (int i = 0; i < list->count; i++)
		if (phys - list->extent[i].phys < list->extent[i].length)
			return &list->extent[i];
	return NULL;
}

static unsigned long long owner_of(int fd)
{
	unsigned long long owner = 0;
	char path[64], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "cmem-owner:\t%llu\n", &owner) == 1)
			break;
	if (f)
		fclose(f);
	return owner;
}

FIXTURE(debugfs)
{
	int fd;
	int other_fd;
	unsigned long page;
	struct snapshot before;
	struct listing list;
};

FIXTURE_SETUP(debugfs)
{
	self->page = page_size();
	OPEN_OR_SKIP(self->fd);
	self->other_fd = cmem_open();
	ASSERT_LE(0, self->other_fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (getuid())
		SKIP(return, "debugfs is for root");
	if (access(DEBUGFS "/cmem", F_OK))
		mount("debugfs", DEBUGFS, "debugfs", 0, NULL);
	if (access(DEBUGFS "/cmem", F_OK))
		SKIP(return, "no " DEBUGFS "/cmem");
}

FIXTURE_TEARDOWN(debugfs)
{
	free(self->list.extent);
	close(self->fd);
	close(self->other_fd);
	expect_same(&self->before);
}

/*
 * The extents cover the block: without gap or overlap, each pool's within its pool, and
 * as many of each state as the ioctls count. In CMA, only held extents appear.
 */
static void expect_block(struct __test_metadata *_metadata, const struct cmem_block_info *b,
			 const struct cmem_pool_info *pools, const struct listing *list)
{
	__u64 at = b->base, heap_free = 0, heap_held = 0;
	static __u64 held[CMEM_MAX_POOLS], unheld[CMEM_MAX_POOLS];
	bool cma = b->kind == CMEM_KIND_CMA;

	memset(held, 0, sizeof(held));
	memset(unheld, 0, sizeof(unheld));
	if (!cma)
		ASSERT_LT(0, list->count);
	for (int i = 0; i < list->count; i++) {
		const struct extent *e = &list->extent[i];
		bool is_held = !strcmp(e->state, "held");

		if (cma) {
			ASSERT_TRUE(is_held);
			ASSERT_LE(at, e->phys);
			at = e->phys;
		}
		ASSERT_EQ(at, e->phys) TH_LOG("block %d, line %d", b->block, i);
		ASSERT_LT(0, e->length);
		at += e->length;
		ASSERT_TRUE(is_held || !strcmp(e->state, "clean") ||
			    !strcmp(e->state, "dirty") || !strcmp(e->state, "scrubbing"))
			TH_LOG("state '%s'", e->state);
		EXPECT_EQ(is_held, e->num_owners || e->mappings);
		if (e->pool == CMEM_POOL_HEAP) {
			*(is_held ? &heap_held : &heap_free) += e->length;
			continue;
		}
		ASSERT_LE(0, e->pool);
		ASSERT_GT(b->num_pools, e->pool);
		EXPECT_LE(pools[e->pool].base, e->phys);
		if (!cma)
			EXPECT_GE(pools[e->pool].base +
				  pools[e->pool].count * pools[e->pool].length, at);
		EXPECT_EQ(0, e->length % pools[e->pool].length);
		(is_held ? held : unheld)[e->pool] += e->length;
	}
	if (!cma) {
		EXPECT_EQ(b->base + b->length, at);
		EXPECT_EQ(b->heap_free, heap_free);
	}
	EXPECT_EQ(b->heap_size - b->heap_free, heap_held);
	for (__u32 p = 0; p < b->num_pools; p++) {
		if (!cma)
			EXPECT_EQ(pools[p].free * pools[p].length, unheld[p]);
		EXPECT_EQ((pools[p].count - pools[p].free) * pools[p].length, held[p]);
	}
}

static void expect_all_blocks(struct __test_metadata *_metadata)
{
	static struct snapshot now;

	ASSERT_EQ(0, take_snapshot(&now));
	for (unsigned int i = 0; i < now.num_blocks; i++) {
		struct listing list;

		read_extents(now.block[i].block, &list);
		expect_block(_metadata, &now.block[i], now.pool[i], &list);
		free(list.extent);
	}
}

TEST_F(debugfs, the_extents_are_the_block)
{
	struct cmem_alloc buf;

	expect_all_blocks(_metadata);
	/* With holes in it */
	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		const struct cmem_block_info *b = &self->before.block[i];

		for (__s32 pool = CMEM_POOL_HEAP; pool < (__s32)b->num_pools; pool++) {
			for (int n = 0; n < 5; n++) {
				if (pool == CMEM_POOL_BEST ||
				    cmem_alloc(self->fd, b->block, pool,
					       pool < 0 ? (n + 1) * self->page : 0, 0, &buf))
					break;
				if (n == 2)
					ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
			}
		}
	}
	expect_all_blocks(_metadata);
}

TEST_F(debugfs, a_pool_taken_whole_is_one_line_a_buffer)
{
	static struct cmem_alloc buf[COUNT_LIMIT];
	struct source src;
	bool found = false;
	int count;

	/* More extents than one read shows. */
	for (unsigned int i = 0; i < self->before.num_blocks && !found; i++) {
		for (__u32 p = 0; p < self->before.block[i].num_pools && !found; p++) {
			const struct cmem_pool_info *pool = &self->before.pool[i][p];

			found = pool->free == pool->count && pool->count >= 256 &&
				pool->count < COUNT_LIMIT;
			src = (struct source){ pool->block, p, pool->length };
		}
	}
	if (!found)
		SKIP(return, "no pool of 256 to %d buffers", COUNT_LIMIT);
	count = drain(self->fd, &src, 0, buf, COUNT_LIMIT);
	ASSERT_LE(256, count);
	read_extents(src.block, &self->list);
	for (int i = 0; i < count; i++) {
		const struct extent *e = find_extent(&self->list, buf[i].phys_addr);

		ASSERT_TRUE(!!e);
		ASSERT_EQ(buf[i].phys_addr, e->phys);
		ASSERT_EQ(buf[i].length, e->length);
		ASSERT_STREQ("held", e->state);
		ASSERT_EQ(1, e->num_owners);
	}
	expect_all_blocks(_metadata);
}

static void hold_and_see(struct __test_metadata *_metadata, int fd, int other_fd, bool heap,
			 struct listing *list)
{
	unsigned long long owner = owner_of(fd), second = owner_of(other_fd);
	const struct extent *e;
	struct cmem_alloc buf;
	struct source src = {};
	char *map, *map2;
	int dmabuf;

	if (!find_source(ANY_KIND, heap, 3 * page_size(), &src))
		SKIP(return, "no memory");
	ASSERT_NE(0, owner);
	ASSERT_NE(owner, second);

	ASSERT_EQ(0, source_alloc(fd, &src, CMEM_ALLOC_CACHED, &buf));
#define SEE() do {							\
	free(list->extent);						\
	read_extents(src.block, list);					\
	e = find_extent(list, buf.phys_addr);				\
	ASSERT_TRUE(!!e);						\
} while (0)
#define EXPECT_HELD(_owners, _mappings) do {				\
	EXPECT_EQ(buf.phys_addr, e->phys);				\
	EXPECT_EQ(buf.length, e->length);				\
	EXPECT_EQ(buf.pool, e->pool);					\
	EXPECT_STREQ("held", e->state);					\
	EXPECT_TRUE(e->cached);						\
	EXPECT_FALSE(e->private);					\
	ASSERT_EQ(_owners, e->num_owners);				\
	EXPECT_EQ(_mappings, e->mappings);				\
} while (0)
	SEE();
	EXPECT_HELD(1, 0);
	EXPECT_EQ(owner, e->owner[0]);
	EXPECT_EQ(1, e->registrations[0]);

	ASSERT_EQ(0, cmem_register(other_fd, buf.phys_addr));
	ASSERT_EQ(0, cmem_register(other_fd, buf.phys_addr));
	map = cmem_map(fd, &buf);
	ASSERT_MAPPED(map);
	map2 = cmem_map(other_fd, &buf);
	ASSERT_MAPPED(map2);
	SEE();
	EXPECT_HELD(2, 2);
	for (int i = 0; i < 2; i++) {
		EXPECT_TRUE(e->owner[i] == owner || e->owner[i] == second);
		EXPECT_EQ(e->owner[i] == owner ? 1 : 2, e->registrations[i]);
	}

	/* Only others hold it now. */
	ASSERT_EQ(0, munmap(map2, buf.length));
	ASSERT_EQ(0, cmem_free(fd, buf.phys_addr));
	SEE();
	EXPECT_HELD(1, 1);
	EXPECT_EQ(second, e->owner[0]);
	/* Nobody is registered for it. */
	ASSERT_EQ(0, cmem_free(other_fd, buf.phys_addr));
	ASSERT_EQ(0, cmem_free(other_fd, buf.phys_addr));
	SEE();
	EXPECT_HELD(0, 1);
	ASSERT_EQ(0, munmap(map, buf.length));
	SEE();
	EXPECT_STRNE("held", e->state);
	EXPECT_EQ(0, e->num_owners);

	/* A DMA-BUF holds the buffer like a mapping does. */
	ASSERT_EQ(0, source_alloc(fd, &src, CMEM_ALLOC_CACHED, &buf));
	dmabuf = cmem_export(fd, buf.phys_addr, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, dmabuf);
	SEE();
	EXPECT_HELD(1, 1);
	map = dmabuf_map(dmabuf, 0, page_size());
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, cmem_free(fd, buf.phys_addr));
	SEE();
	EXPECT_HELD(0, 2);
	ASSERT_EQ(0, munmap(map, page_size()));
	SEE();
	EXPECT_HELD(0, 1);
	close(dmabuf);
	SEE();
	EXPECT_STRNE("held", e->state);
	EXPECT_EQ(0, e->num_owners);

	ASSERT_EQ(0, source_alloc(fd, &src, CMEM_ALLOC_PRIVATE, &buf));
	SEE();
	EXPECT_STREQ("held", e->state);
	EXPECT_TRUE(e->private);
	EXPECT_FALSE(e->cached);
}

TEST_F(debugfs, who_holds_a_buffer_of_a_pool)
{
	hold_and_see(_metadata, self->fd, self->other_fd, false, &self->list);
}

TEST_F(debugfs, who_holds_a_buffer_of_a_heap)
{
	hold_and_see(_metadata, self->fd, self->other_fd, true, &self->list);
}

static unsigned long long inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_ino;
}

static bool has_dmabuf(const struct extent *e, int fd)
{
	for (int i = 0; i < e->num_dmabufs; i++)
		if (e->dmabuf[i] == inode_of(fd))
			return true;
	return false;
}

/* The inode that a mapping, an fdinfo and bufinfo all show. */
static unsigned long long mapped_inode(const void *map)
{
	unsigned long long inode = 0;
	unsigned long start;
	char line[512];
	FILE *f;

	f = fopen("/proc/self/maps", "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%*x %*s %*x %*x:%*x %llu", &start, &inode) == 2 &&
		    start == (unsigned long)map)
			break;
	if (f)
		fclose(f);
	return inode;
}

TEST_F(debugfs, each_dmabuf_is_told_by_its_inode)
{
	const struct extent *e;
	struct cmem_alloc buf;
	struct source src = {};
	int rw, second, ro;
	char *map;

	if (!find_source(ANY_KIND, true, self->page, &src))
		SKIP(return, "no heap");
	ASSERT_EQ(0, source_alloc(self->fd, &src, 0, &buf));
#define SEE_DMABUFS(_count) do {					\
	free(self->list.extent);					\
	read_extents(src.block, &self->list);				\
	e = find_extent(&self->list, buf.phys_addr);			\
	ASSERT_TRUE(!!e);						\
	ASSERT_EQ(_count, e->num_dmabufs);				\
} while (0)
	SEE_DMABUFS(0);
	rw = cmem_export(self->fd, buf.phys_addr, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, rw);
	SEE_DMABUFS(1);
	EXPECT_TRUE(has_dmabuf(e, rw));
	map = dmabuf_map(rw, 0, self->page);
	ASSERT_MAPPED(map);
	EXPECT_EQ(e->dmabuf[0], mapped_inode(map));
	EXPECT_EQ(0, munmap(map, self->page));

	/* The same DMA-BUF again; a read-only one is another. */
	second = cmem_export(self->fd, buf.phys_addr, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, second);
	SEE_DMABUFS(1);
	ro = cmem_export(self->fd, buf.phys_addr, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, ro);
	SEE_DMABUFS(2);
	EXPECT_TRUE(has_dmabuf(e, rw));
	EXPECT_TRUE(has_dmabuf(e, ro));
	EXPECT_NE(inode_of(rw), inode_of(ro));

	/* Kept only while a file is registered. */
	close(rw);
	close(second);
	SEE_DMABUFS(2);
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	SEE_DMABUFS(1);
	EXPECT_TRUE(has_dmabuf(e, ro));
	EXPECT_EQ(1, e->mappings);
	close(ro);
	SEE_DMABUFS(0);
	EXPECT_STRNE("held", e->state);
}

TEST_F(debugfs, the_dmabuf_of_a_heap_is_told_by_its_inode)
{
	int found = 0;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		__s32 block = self->before.block[i].block;
		int heap = dma_heap_open(block), told = 0;
		int dmabuf;

		if (heap < 0)
			continue;
		dmabuf = dma_heap_alloc(heap, self->page);
		close(heap);
		if (dmabuf < 0)
			continue;
		free(self->list.extent);
		read_extents(block, &self->list);
		for (int n = 0; n < self->list.count; n++)
			told += has_dmabuf(&self->list.extent[n], dmabuf);
		EXPECT_EQ(1, told) TH_LOG("block %d", block);
		close(dmabuf);
		found++;
	}
	if (!found)
		SKIP(return, "no DMA-BUF heap of CMEM");
}

TEST_F(debugfs, what_was_freed_gets_clean)
{
	struct cmem_alloc buf;
	struct source src;
	bool clean = false;

	if (!find_source(ANY_KIND, true, self->page, &src))
		SKIP(return, "no heap");
	ASSERT_EQ(0, source_alloc(self->fd, &src, 0, &buf));
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	for (int ms = 0; ms < 300 * 1000 && !clean; ms += 10) {
		const struct extent *e;

		free(self->list.extent);
		read_extents(src.block, &self->list);
		e = find_extent(&self->list, buf.phys_addr);
		ASSERT_TRUE(!!e);
		ASSERT_STRNE("held", e->state);
		clean = !strcmp(e->state, "clean");
		if (!clean)
			usleep(10 * 1000);
	}
	EXPECT_TRUE(clean);
}

/* Reads a whole file, @step bytes at a time. */
static char *read_steps(int fd, size_t step, size_t *length)
{
	size_t room = 0;
	char *text = NULL;
	ssize_t got;

	*length = 0;
	do {
		if (room - *length <= step) {
			room = 2 * room + step + 65536;
			text = realloc(text, room);
		}
		got = text ? read(fd, text + *length, step) : -1;
		if (got < 0) {
			free(text);
			return NULL;
		}
		*length += got;
	} while (got);
	text[*length] = 0;
	return text;
}

TEST_F(debugfs, read_in_small_pieces_it_is_the_same)
{
	const size_t steps[] = { 1, 100, 4095 };
	static struct cmem_alloc buf[COUNT_LIMIT];
	char path[64], *whole, *pieces;
	size_t length, n;
	struct source src;
	int fd;

	if (!find_source(ANY_KIND, true, 64 * self->page, &src))
		SKIP(return, "no heap");
	/* Every second page: as many lines as pages */
	for (int i = 0; i < ARRAY_SIZE(buf); i++)
		if (cmem_alloc(self->fd, src.block, CMEM_POOL_HEAP, self->page, 0, &buf[i]))
			break;
	for (int i = 0; i < ARRAY_SIZE(buf); i += 2)
		if (buf[i].phys_addr)
			ASSERT_EQ(0, cmem_free(self->fd, buf[i].phys_addr));
	/* Until all free memory is clean and nothing changes any more. */
	for (int ms = 0; ms < 300 * 1000; ms += 50) {
		struct cmem_block_info info;
		bool clean = true;

		ASSERT_EQ(0, cmem_get_block(self->fd, src.block, &info));
		clean = info.heap_clean == info.heap_free;
		for (__u32 p = 0; p < info.num_pools; p++) {
			struct cmem_pool_info pool;

			ASSERT_EQ(0, cmem_get_pool(self->fd, src.block, p, &pool));
			clean &= pool.clean == pool.free;
		}
		if (clean)
			break;
		usleep(50 * 1000);
	}

	extents_path(path, sizeof(path), src.block);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	whole = read_steps(fd, 1 << 20, &length);
	ASSERT_TRUE(!!whole);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		ASSERT_EQ(0, lseek(fd, 0, SEEK_SET));
		pieces = read_steps(fd, steps[i], &n);
		ASSERT_TRUE(!!pieces);
		EXPECT_EQ(length, n);
		EXPECT_STREQ(whole, pieces);
		free(pieces);
	}
	/* From the middle, and from beyond the end. */
	pieces = calloc(1, 1001);
	ASSERT_EQ(length > 2000 ? 1000 : length / 2, pread(fd, pieces, 1000, length / 2));
	EXPECT_EQ(0, memcmp(whole + length / 2, pieces, strlen(pieces)));
	EXPECT_EQ(0, pread(fd, pieces, 1000, length));
	EXPECT_EQ(0, pread(fd, pieces, 1000, 1LL << 62));
	free(pieces);
	free(whole);
	close(fd);
}

/* Whatever comes and goes meanwhile, no page is missing or shown twice. */
TEST_F(debugfs, reading_while_buffers_come_and_go_shows_all_of_the_block)
{
	struct source pool, heap;
	pid_t pid;
	int status;

	if (!find_source(ANY_KIND, false, 1, &pool) ||
	    !find_source(ANY_KIND, true, 16 * self->page, &heap))
		SKIP(return, "no memory");
	pid = fork_child(_metadata);
	if (!pid) {
		for (unsigned int i = 0;; i++) {
			struct cmem_alloc buf[16];
			int count = 0;

			for (; count < 16; count++) {
				if (cmem_alloc(self->fd, heap.block, CMEM_POOL_HEAP,
					       (1 + (i + count) % 3) * self->page, 0,
					       &buf[count]))
					break;
			}
			while (count--)
				cmem_free(self->fd, buf[count].phys_addr);
			if (!source_alloc(self->fd, &pool, 0, &buf[0]))
				cmem_free(self->fd, buf[0].phys_addr);
		}
	}
	for (unsigned int n = 0; n < scaled(50); n++) {
		for (unsigned int i = 0; i < self->before.num_blocks; i++) {
			const struct cmem_block_info *b = &self->before.block[i];
			__u64 at = b->base;

			if (b->block != heap.block && b->block != pool.block)
				continue;
			free(self->list.extent);
			read_extents(b->block, &self->list);
			for (int j = 0; j < self->list.count; j++) {
				ASSERT_EQ(at, self->list.extent[j].phys);
				at += self->list.extent[j].length;
			}
			EXPECT_EQ(b->base + b->length, at);
		}
	}
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	/* This process shares the file with the child, and so the child's buffers. */
	close(self->fd);
	self->fd = -1;
}

TEST_F(debugfs, it_is_for_root_alone)
{
	struct stat st;
	char path[64];
	pid_t pid;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		extents_path(path, sizeof(path), self->before.block[i].block);
		ASSERT_EQ(0, stat(path, &st));
		EXPECT_EQ(0400, st.st_mode & 07777);
		EXPECT_EQ(0, st.st_uid);
	}
	IN_CHILD(pid) {
		ASSERT_EQ(0, become_user(OTHER_UID));
		ASSERT_EQ(-1, open(path, O_RDONLY | O_CLOEXEC));
		ASSERT_EQ(EACCES, errno);
	}
	join_child(pid);
}

TEST_F(debugfs, a_file_keeps_its_number_and_shares_it_with_its_duplicates)
{
	unsigned long long owner = owner_of(self->fd);
	int copy = dup(self->fd);
	int fresh = cmem_open();
	pid_t pid;

	ASSERT_LT(0, owner);
	EXPECT_EQ(owner, owner_of(copy));
	EXPECT_LT(owner, owner_of(fresh));
	IN_CHILD(pid) {
		ASSERT_EQ(owner, owner_of(self->fd));
	}
	join_child(pid);
	close(fresh);
	close(copy);
}

TEST_HARNESS_MAIN
