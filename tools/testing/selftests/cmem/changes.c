// SPDX-License-Identifier: GPL-2.0
/*
 * The page that counts how many mappings of a file have ended, for libraries that
 * remember them: when the count rises, when it does not, and who sees it.
 */
#include <pthread.h>

#include "cmem_dmabuf.h"

#define PAGES 4

FIXTURE(changes)
{
	int fd;
	struct cmem_info info;
	const volatile struct cmem_changes *changes;
	struct source src;
	struct cmem_alloc buf;
	unsigned long page;
	struct snapshot before;
};

static void *map_changes(int fd, const struct cmem_info *info, size_t length, int prot, int flags)
{
	return mmap(NULL, length, prot, flags, fd, info->changes_offset);
}

FIXTURE_SETUP(changes)
{
	OPEN_OR_SKIP(self->fd);
	self->page = page_size();
	ASSERT_EQ(0, cmem_get_info(self->fd, &self->info));
	if (!(self->info.features & CMEM_FEATURE_CHANGES))
		SKIP(return, "no struct cmem_changes in this kernel's CMEM");
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!find_source(ANY_KIND, true, PAGES * self->page, &self->src))
		SKIP(return, "no heap");
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, CMEM_ALLOC_CACHED, &self->buf));
	self->changes = map_changes(self->fd, &self->info, self->page, PROT_READ, MAP_SHARED);
	ASSERT_MAPPED(self->changes);
}

FIXTURE_TEARDOWN(changes)
{
	if (self->changes)
		munmap((void *)self->changes, self->page);
	close(self->fd);
	expect_same(&self->before);
}

/* How many mappings ended while a statement ran */
#define COUNTED(statement) ({				\
	__u32 _before = self->changes->count;		\
	statement;					\
	self->changes->count - _before;			\
})

TEST_F(changes, each_mapping_that_ends_counts)
{
	char *map = cmem_map(self->fd, &self->buf), *over, *moved;
	const unsigned long page = self->page;

	ASSERT_MAPPED(map);
	EXPECT_NE(0, self->changes->count);
	EXPECT_EQ(0, COUNTED(over = cmem_map(self->fd, &self->buf)));
	EXPECT_EQ(1, COUNTED(munmap(over, self->buf.length)));
	/* A part from the middle, then a part that moved */
	EXPECT_EQ(1, COUNTED(munmap(map + page, page)));
	EXPECT_EQ(1, COUNTED(moved = mremap(map + 2 * page, page, page,
					    MREMAP_MAYMOVE | MREMAP_FIXED, map + page)));
	ASSERT_TRUE(moved == map + page);
	EXPECT_EQ(1, COUNTED(mremap(map, page, 2 * page, 0) == MAP_FAILED ?
			     munmap(map, page) : 0));
	/* Two mappings at once */
	EXPECT_EQ(2, COUNTED(munmap(map, self->buf.length)));
	over = cmem_map(self->fd, &self->buf);
	ASSERT_MAPPED(over);
	EXPECT_EQ(1, COUNTED(mmap(over, self->buf.length, PROT_NONE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)));
	EXPECT_EQ(0, COUNTED(munmap(over, self->buf.length)));
}

TEST_F(changes, what_leaves_mappings_where_they_are_does_not_count)
{
	char *map = cmem_map(self->fd, &self->buf), *second;
	int file = cmem_open(), dmabuf;
	void *shown;

	ASSERT_MAPPED(map);
	EXPECT_EQ(0, COUNTED(mprotect(map + self->page, self->page, PROT_READ)));
	EXPECT_EQ(0, COUNTED(madvise(map, self->page, MADV_DONTFORK)));
	EXPECT_EQ(0, COUNTED(cmem_sync(self->fd, map, self->page, CMEM_SYNC_WRITE_BACK)));
	/* Mappings of other files and DMA-BUFs do not count here. */
	second = mmap(NULL, self->page, PROT_READ, MAP_SHARED, file, self->buf.mmap_offset);
	ASSERT_MAPPED(second);
	EXPECT_EQ(0, COUNTED(munmap(second, self->page)));
	dmabuf = cmem_export(self->fd, self->buf.phys_addr, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, dmabuf);
	shown = dmabuf_map(dmabuf, 0, self->page);
	ASSERT_MAPPED(shown);
	EXPECT_EQ(0, COUNTED(munmap(shown, self->page)));
	close(dmabuf);
	close(file);
	/* In three parts by now */
	EXPECT_LE(1, COUNTED(munmap(map, self->buf.length)));
}

TEST_F(changes, a_child_reads_0)
{
	char *map = cmem_map(self->fd, &self->buf);
	__u32 count = self->changes->count;
	int ready[2];
	pid_t pid;
	char byte;

	ASSERT_MAPPED(map);
	ASSERT_EQ(0, pipe(ready));
	IN_CHILD(pid) {
		void *own;

		ASSERT_EQ(0, self->changes->count);
		ASSERT_EQ(0, munmap(map, self->buf.length));
		ASSERT_EQ(0, self->changes->count);
		/* While the parent has it mapped, nobody else can map it. */
		own = map_changes(self->fd, &self->info, self->page, PROT_READ, MAP_SHARED);
		ASSERT_TRUE(own == MAP_FAILED);
		ASSERT_EQ(EBUSY, errno);
		ASSERT_EQ(0, munmap((void *)self->changes, self->page));
		ASSERT_EQ(1, write(ready[1], "x", 1));
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	join_child(pid);
	/* The parent does not see what a child does to its own mappings. */
	EXPECT_EQ(count, self->changes->count);
	EXPECT_EQ(1, COUNTED(munmap(map, self->buf.length)));
}

TEST_F(changes, a_child_has_it_when_the_parent_has_not)
{
	char *map = cmem_map(self->fd, &self->buf);
	pid_t pid;

	ASSERT_MAPPED(map);
	ASSERT_EQ(0, munmap((void *)self->changes, self->page));
	self->changes = NULL;
	IN_CHILD(pid) {
		self->changes = map_changes(self->fd, &self->info, self->page, PROT_READ,
					    MAP_SHARED);
		ASSERT_MAPPED(self->changes);
		ASSERT_NE(0, self->changes->count);
		ASSERT_EQ(1, COUNTED(munmap(map, self->buf.length)));
	}
	join_child(pid);
	self->changes = map_changes(self->fd, &self->info, self->page, PROT_READ, MAP_SHARED);
	ASSERT_MAPPED(self->changes);
	EXPECT_EQ(1, COUNTED(munmap(map, self->buf.length)));
}

TEST_F(changes, the_page_itself_may_be_moved)
{
	__u32 count = self->changes->count;
	char *map = cmem_map(self->fd, &self->buf), *place;

	ASSERT_MAPPED(map);
	place = mmap(NULL, self->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(place);
	ASSERT_TRUE(mremap((void *)self->changes, self->page, self->page,
			   MREMAP_MAYMOVE | MREMAP_FIXED, place) == place);
	self->changes = (void *)place;
	EXPECT_EQ(count, self->changes->count);
	EXPECT_EQ(1, COUNTED(munmap(map, self->buf.length)));
}

/* A page mapping that fork() copied does not count, whatever happens to the original. */
TEST_F(changes, what_a_child_inherited_stays_0)
{
	char *map = cmem_map(self->fd, &self->buf);
	int go[2];
	pid_t pid;
	char byte;

	ASSERT_MAPPED(map);
	ASSERT_EQ(0, pipe(go));
	IN_CHILD(pid) {
		const volatile struct cmem_changes *inherited = self->changes, *own;

		ASSERT_EQ(1, read(go[0], &byte, 1));
		own = map_changes(self->fd, &self->info, self->page, PROT_READ, MAP_SHARED);
		ASSERT_MAPPED(own);
		ASSERT_NE(0, own->count);
		ASSERT_EQ(0, inherited->count);
		ASSERT_EQ(0, munmap((void *)inherited, self->page));
		self->changes = own;
		ASSERT_EQ(1, COUNTED(munmap(map, self->buf.length)));
	}
	ASSERT_EQ(0, munmap((void *)self->changes, self->page));
	self->changes = NULL;
	ASSERT_EQ(1, write(go[1], "x", 1));
	join_child(pid);
	ASSERT_EQ(0, munmap(map, self->buf.length));
}

TEST_F(changes, it_can_be_read_and_nothing_else)
{
	const struct { size_t length; int prot, flags, error; } bad[] = {
		{ self->page, PROT_READ | PROT_WRITE, MAP_SHARED, EACCES },
		{ self->page, PROT_READ | PROT_EXEC, MAP_SHARED, EACCES },
		{ self->page, PROT_READ, MAP_PRIVATE, EINVAL },
		{ 2 * self->page, PROT_READ, MAP_SHARED, EINVAL },
		{ self->page, PROT_READ, MAP_SHARED, EBUSY },
	};
	void *page = (void *)self->changes;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_TRUE(map_changes(self->fd, &self->info, bad[i].length, bad[i].prot,
					bad[i].flags) == MAP_FAILED);
		EXPECT_EQ(bad[i].error, errno) TH_LOG("%zu", i);
	}
	EXPECT_EQ(-1, mprotect(page, self->page, PROT_READ | PROT_WRITE));
	EXPECT_EQ(-1, mprotect(page, self->page, PROT_READ | PROT_EXEC));
	EXPECT_TRUE(mremap(page, self->page, 2 * self->page, MREMAP_MAYMOVE) == MAP_FAILED);
	EXPECT_EQ(SIGSEGV, access_signal(page, true));
	/* It is not a buffer either. */
	EXPECT_EQ(-EFAULT, cmem_sync(self->fd, page, 1, CMEM_SYNC_WRITE_BACK));
	EXPECT_EQ(0, madvise(page, self->page, MADV_DONTNEED));
	EXPECT_NE(0, self->changes->count);
	EXPECT_EQ(0, mlock(page, self->page));
	EXPECT_EQ(0, munlock(page, self->page));
}

#define TURNS 500

struct strand {
	int fd;
	const struct cmem_alloc *buf;
	bool failed;
};

static void *map_and_unmap(void *arg)
{
	struct strand *strand = arg;

	for (unsigned int i = 0; i < scaled(TURNS); i++) {
		void *map = cmem_map(strand->fd, strand->buf);

		strand->failed |= map == MAP_FAILED || munmap(map, strand->buf->length);
	}
	return NULL;
}

TEST_F(changes, none_is_missed_of_several_threads)
{
	struct strand strands[4];
	pthread_t threads[4];
	__u32 before = self->changes->count;

	for (int i = 0; i < 4; i++) {
		strands[i] = (struct strand){ self->fd, &self->buf, false };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, map_and_unmap, &strands[i]));
	}
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_FALSE(strands[i].failed);
	}
	EXPECT_EQ(4 * scaled(TURNS), self->changes->count - before);
}

TEST_F(changes, RESOLVE_tells_where_a_mapping_begins_and_whose_it_is)
{
	struct cmem_info info;
	struct cmem_resolve res;
	int other_fd = cmem_open(), dmabuf;
	char *map = cmem_map(self->fd, &self->buf);
	char *part = mmap(NULL, self->page, PROT_READ, MAP_SHARED, other_fd,
			  self->buf.mmap_offset + self->page);

	ASSERT_MAPPED(map);
	ASSERT_MAPPED(part);
	ASSERT_EQ(0, cmem_get_info(other_fd, &info));
	EXPECT_NE(info.owner, self->info.owner);
	EXPECT_NE(0, info.owner);
	ASSERT_EQ(0, cmem_resolve(other_fd, map + self->page + 3, &res));
	EXPECT_EQ((uintptr_t)map, res.mapping_addr);
	EXPECT_EQ(self->info.owner, res.mapping_owner);
	ASSERT_EQ(0, cmem_resolve(self->fd, part + 3, &res));
	EXPECT_EQ((uintptr_t)part, res.mapping_addr);
	EXPECT_EQ(info.owner, res.mapping_owner);
	dmabuf = cmem_export(self->fd, self->buf.phys_addr, O_RDWR | O_CLOEXEC);
	ASSERT_EQ(0, munmap(part, self->page));
	part = dmabuf_map(dmabuf, self->page, self->page);
	ASSERT_MAPPED(part);
	ASSERT_EQ(0, cmem_resolve(self->fd, part + 3, &res));
	EXPECT_EQ((uintptr_t)part, res.mapping_addr);
	EXPECT_EQ(0, res.mapping_owner);
	ASSERT_EQ(0, munmap(part, self->page));
	ASSERT_EQ(0, munmap(map, self->buf.length));
	close(dmabuf);
	close(other_fd);
}

TEST_HARNESS_MAIN
