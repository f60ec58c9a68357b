// SPDX-License-Identifier: GPL-2.0
/*
 * Each change of a buffer's state has its tracepoint, which fires once for it with the
 * right numbers, and not for a refused call.
 */
#include "cmem_dmabuf.h"
#include "cmem_trace.h"

static const char *const events[] = {
	"cmem_alloc", "cmem_free", "cmem_register", "cmem_map", "cmem_unmap",
	"cmem_scrub", "cmem_release", "cmem_sync",
};

struct event {
	char name[32];
	char fields[256];
};

static struct event seen[256];
static int num_seen;

static void keep_event(const char *name, const char *fields, void *arg)
{
	struct event *e = &seen[num_seen];

	if (num_seen == ARRAY_SIZE(seen))
		return;
	snprintf(e->name, sizeof(e->name), "%s", name);
	snprintf(e->fields, sizeof(e->fields), "%s", fields);
	num_seen++;
}

/* Reads what was recorded since the last time. */
static int read_trace(void)
{
	num_seen = 0;
	return trace_for_each(keep_event, NULL);
}

FIXTURE(trace)
{
	int fd;
	int other_fd;
	struct source src;
	unsigned long page;
	struct snapshot before;
};

FIXTURE_VARIANT(trace)
{
	bool heap;
};

FIXTURE_VARIANT_ADD(trace, pool) { .heap = false };
FIXTURE_VARIANT_ADD(trace, heap) { .heap = true };

FIXTURE_SETUP(trace)
{
	self->page = page_size();
	OPEN_OR_SKIP(self->fd);
	self->other_fd = cmem_open();
	ASSERT_LE(0, self->other_fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (!find_source(ANY_KIND, variant->heap, 4 * self->page, &self->src))
		SKIP(return, "no %s with four pages free", variant->heap ? "heap" : "pool");
	if (!trace_begin())
		SKIP(return, "no tracefs");
	if (!trace_has("cmem")) {
		trace_end();
		SKIP(return, "no tracepoints");
	}
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		char event[64];

		snprintf(event, sizeof(event), "cmem/%s", events[i]);
		ASSERT_TRUE(trace_enable(event, getpid())) TH_LOG("no event %s", event);
	}
}

FIXTURE_TEARDOWN(trace)
{
	trace_end();
	close(self->fd);
	close(self->other_fd);
	expect_same(&self->before);
}

/* The record has exactly these events in this order, except for scrubbing. */
#define EXPECT_EVENTS(...) do {						\
	const char *const _want[] = { __VA_ARGS__ };			\
	expect_events(_metadata, _want, ARRAY_SIZE(_want));		\
} while (0)

static void expect_events(struct __test_metadata *_metadata, const char *const want[], int count)
{
	int kept = 0;

	ASSERT_LE(0, read_trace());
	for (int i = 0; i < num_seen; i++) {
		if (strcmp(seen[i].name, "cmem_scrub"))
			seen[kept++] = seen[i];
	}
	num_seen = kept;
	ASSERT_EQ(count, num_seen) TH_LOG("first: %s", num_seen ? seen[0].name : "none");
	for (int i = 0; i < count; i++) {
		ASSERT_STREQ(want[i], seen[i].name) TH_LOG("event %d", i);
	}
}

#define EXPECT_FIELD(i, key, value)					\
	EXPECT_EQ((__u64)(value), trace_field(seen[i].fields, key))	\
		TH_LOG("%s: %s", seen[i].name, seen[i].fields)

#define EXPECT_EXTENT(i, buf) do {					\
	EXPECT_FIELD(i, "block", (buf)->block);				\
	EXPECT_FIELD(i, "phys", (buf)->phys_addr);			\
	EXPECT_FIELD(i, "length", (buf)->length);			\
} while (0)

/* Pool numbers may be negative. */
#define EXPECT_POOL(i, buf)						\
	EXPECT_EQ((buf)->pool, (__s32)trace_field(seen[i].fields, "pool"))

TEST_F(trace, allocating_and_freeing)
{
	struct cmem_alloc buf;

	read_trace();
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, CMEM_ALLOC_CACHED | CMEM_ALLOC_PRIVATE,
				  &buf));
	EXPECT_EVENTS("cmem_alloc");
	EXPECT_EXTENT(0, &buf);
	EXPECT_POOL(0, &buf);
	EXPECT_TRUE(!!strstr(seen[0].fields, "cached")) TH_LOG("%s", seen[0].fields);
	EXPECT_TRUE(!!strstr(seen[0].fields, "private")) TH_LOG("%s", seen[0].fields);
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	EXPECT_EVENTS("cmem_free", "cmem_release");
	EXPECT_EXTENT(0, &buf);
	EXPECT_POOL(0, &buf);
	EXPECT_EXTENT(1, &buf);
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &buf));
	EXPECT_EVENTS("cmem_alloc");
	EXPECT_FALSE(!!strstr(seen[0].fields, "cached")) TH_LOG("%s", seen[0].fields);
	EXPECT_FALSE(!!strstr(seen[0].fields, "private")) TH_LOG("%s", seen[0].fields);
}

TEST_F(trace, registering)
{
	__u64 owner, other_owner;
	struct cmem_alloc buf;

	read_trace();
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &buf));
	EXPECT_EVENTS("cmem_alloc");
	owner = trace_field(seen[0].fields, "owner");
	ASSERT_EQ(0, cmem_register(self->other_fd, buf.phys_addr));
	EXPECT_EVENTS("cmem_register");
	EXPECT_EXTENT(0, &buf);
	EXPECT_POOL(0, &buf);
	other_owner = trace_field(seen[0].fields, "owner");
	EXPECT_NE(owner, other_owner);
	ASSERT_EQ(0, cmem_register(self->fd, buf.phys_addr));
	EXPECT_EVENTS("cmem_register");
	EXPECT_FIELD(0, "owner", owner);
	/* Three registrations, one release. */
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	EXPECT_EVENTS("cmem_free");
	EXPECT_FIELD(0, "owner", owner);
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	EXPECT_EVENTS("cmem_free");
	ASSERT_EQ(0, cmem_free(self->other_fd, buf.phys_addr));
	EXPECT_EVENTS("cmem_free", "cmem_release");
	EXPECT_FIELD(0, "owner", other_owner);
	EXPECT_EXTENT(1, &buf);
}

TEST_F(trace, an_owner_number_is_never_used_again)
{
	__u64 last = 0;

	for (int i = 0; i < 5; i++) {
		struct cmem_alloc buf;
		__u64 owner;

		read_trace();
		ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &buf));
		EXPECT_EVENTS("cmem_alloc");
		owner = trace_field(seen[0].fields, "owner");
		EXPECT_LT(last, owner);
		last = owner;
		close(self->fd);
		self->fd = cmem_open();
		ASSERT_LE(0, self->fd);
	}
}

TEST_F(trace, mapping_and_unmapping)
{
	struct cmem_alloc buf;
	char *map;

	ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &buf));
	read_trace();
	map = mmap(NULL, 2 * self->page, PROT_READ, MAP_SHARED, self->fd,
		   buf.mmap_offset + self->page);
	ASSERT_MAPPED(map);
	EXPECT_EVENTS("cmem_map");
	EXPECT_FIELD(0, "address", (unsigned long)map);
	EXPECT_FIELD(0, "phys", buf.phys_addr + self->page);
	EXPECT_FIELD(0, "length", 2 * self->page);
	ASSERT_EQ(0, munmap(map, 2 * self->page));
	EXPECT_EVENTS("cmem_unmap");
	EXPECT_FIELD(0, "address", (unsigned long)map);
	EXPECT_FIELD(0, "phys", buf.phys_addr + self->page);
	EXPECT_FIELD(0, "length", 2 * self->page);
}

static int count_event(const char *name)
{
	int count = 0;

	for (int i = 0; i < num_seen; i++)
		count += !strcmp(seen[i].name, name);
	return count;
}

TEST_F(trace, splitting_a_mapping_counts_its_pieces)
{
	struct cmem_alloc buf;
	int pieces = 0;
	char *map;

	ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &buf));
	read_trace();
	map = cmem_map(self->fd, &buf);
	ASSERT_MAPPED(map);
	ASSERT_EQ(0, munmap(map + self->page, self->page));
	ASSERT_LT(0, read_trace());
	pieces += count_event("cmem_map") - count_event("cmem_unmap");
	EXPECT_EQ(2, pieces);
	ASSERT_EQ(0, munmap(map, self->page));
	ASSERT_EQ(1, read_trace());
	EXPECT_EQ(1, count_event("cmem_unmap"));
	ASSERT_EQ(0, munmap(map + 2 * self->page, buf.length - 2 * self->page));
	EXPECT_EVENTS("cmem_unmap");
}

TEST_F(trace, the_last_mapping_releases_what_was_freed)
{
	struct cmem_alloc buf;
	char *map;

	ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &buf));
	map = cmem_map(self->fd, &buf);
	ASSERT_MAPPED(map);
	read_trace();
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	EXPECT_EVENTS("cmem_free");
	ASSERT_EQ(0, munmap(map, buf.length));
	EXPECT_EVENTS("cmem_unmap", "cmem_release");
	EXPECT_EXTENT(1, &buf);
}

TEST_F(trace, close_frees_and_releases_each_buffer)
{
	struct cmem_alloc buf;

	ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &buf));
	ASSERT_EQ(0, cmem_register(self->fd, buf.phys_addr));
	read_trace();
	close(self->fd);
	self->fd = -1;
	EXPECT_EVENTS("cmem_free", "cmem_release");
	EXPECT_EXTENT(0, &buf);
	EXPECT_EXTENT(1, &buf);
}

/* trace-cmd and perf print by the format, and do not know the kernel's names. */
TEST_F(trace, formats_have_numbers_for_names)
{
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		static char text[16384];
		char path[128];
		ssize_t got;
		int fd;

		snprintf(path, sizeof(path), TRACEFS "/events/cmem/%s/format", events[i]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		ASSERT_LE(0, fd);
		got = read(fd, text, sizeof(text) - 1);
		close(fd);
		ASSERT_LT(0, got);
		text[got] = 0;
		EXPECT_TRUE(!!strstr(text, "print fmt"));
		EXPECT_FALSE(!!strstr(text, "CMEM_")) TH_LOG("%s", strstr(text, "CMEM_"));
	}
}

TEST_F(trace, a_dying_process_unmaps_frees_and_releases)
{
	pid_t pid;

	/* The event records the child. */
	IN_CHILD(pid) {
		struct cmem_alloc buf;
		int fd = cmem_open();

		for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
			char event[64];

			snprintf(event, sizeof(event), "cmem/%s", events[i]);
			ASSERT_TRUE(trace_enable(event, getpid()));
		}
		ASSERT_EQ(0, source_alloc(fd, &self->src, 0, &buf));
		ASSERT_MAPPED(cmem_map(fd, &buf));
	}
	join_child(pid);
	ASSERT_LT(0, read_trace());
	EXPECT_EQ(1, count_event("cmem_alloc"));
	EXPECT_EQ(1, count_event("cmem_map"));
	EXPECT_EQ(1, count_event("cmem_unmap"));
	EXPECT_EQ(1, count_event("cmem_free"));
	EXPECT_EQ(1, count_event("cmem_release"));
}

TEST_F(trace, a_DMA_BUF_is_mapped_and_releases_as_others_do)
{
	struct cmem_alloc buf;
	int dmabuf;
	char *map;

	DMABUF_OR_SKIP(self->fd);
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &buf));
	read_trace();
	dmabuf = cmem_export(self->fd, buf.phys_addr, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, dmabuf);
	EXPECT_EQ(0, read_trace());
	map = dmabuf_map(dmabuf, self->page, 2 * self->page);
	ASSERT_MAPPED(map);
	EXPECT_EVENTS("cmem_map");
	EXPECT_FIELD(0, "address", (unsigned long)map);
	EXPECT_FIELD(0, "phys", buf.phys_addr + self->page);
	EXPECT_FIELD(0, "length", 2 * self->page);
	ASSERT_EQ(0, cmem_register_dmabuf(self->other_fd, dmabuf));
	EXPECT_EVENTS("cmem_register");
	EXPECT_EXTENT(0, &buf);
	EXPECT_POOL(0, &buf);
	EXPECT_TRUE(!!strstr(seen[0].fields, "shared")) TH_LOG("%s", seen[0].fields);
	ASSERT_EQ(0, cmem_free(self->other_fd, buf.phys_addr));
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	EXPECT_EVENTS("cmem_free", "cmem_free");
	ASSERT_EQ(0, munmap(map, 2 * self->page));
	EXPECT_EVENTS("cmem_unmap");
	EXPECT_FIELD(0, "phys", buf.phys_addr + self->page);
	close(dmabuf);
	EXPECT_EVENTS("cmem_release");
	EXPECT_EXTENT(0, &buf);
}

TEST_F(trace, a_DMA_BUF_heap_allocates_for_nobody)
{
	int heap = dma_heap_open(self->src.block), dmabuf;
	struct cmem_alloc seen_buf;

	if (heap == -ENOENT && access(DMA_HEAPS, F_OK))
		SKIP(return, "no DMA-BUF heaps in this kernel");
	ASSERT_LE(0, heap);
	read_trace();
	dmabuf = dma_heap_alloc(heap, 2 * self->page);
	ASSERT_LE(0, dmabuf);
	EXPECT_EVENTS("cmem_alloc");
	EXPECT_FIELD(0, "owner", 0);
	EXPECT_FIELD(0, "block", self->src.block);
	EXPECT_FIELD(0, "length", lseek(dmabuf, 0, SEEK_END));
	EXPECT_TRUE(!!strstr(seen[0].fields, "shared")) TH_LOG("%s", seen[0].fields);
	seen_buf = (struct cmem_alloc){
		.block = self->src.block, .phys_addr = trace_field(seen[0].fields, "phys"),
		.length = trace_field(seen[0].fields, "length"),
	};
	close(dmabuf);
	EXPECT_EVENTS("cmem_release");
	EXPECT_EXTENT(0, &seen_buf);
	close(heap);
}

TEST_F(trace, cache_maintenance)
{
	struct cmem_alloc buf;
	char *map;

	if (block_is_coherent(self->fd, self->src.block))
		SKIP(return, "devices are coherent: nothing is maintained");
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, CMEM_ALLOC_CACHED, &buf));
	map = cmem_map(self->fd, &buf);
	ASSERT_MAPPED(map);
	read_trace();
	ASSERT_EQ(0, cmem_sync(self->fd, map + 10, 100, CMEM_SYNC_WRITE_BACK_INVALIDATE));
	EXPECT_EVENTS("cmem_sync");
	EXPECT_FIELD(0, "phys", buf.phys_addr + 10);
	EXPECT_FIELD(0, "length", 100);
	EXPECT_TRUE(trace_field_is(seen[0].fields, "op", "write-back-invalidate"));
	ASSERT_EQ(0, munmap(map, buf.length));
}

TEST_F(trace, what_is_refused_fires_nothing)
{
	struct cmem_alloc buf, none;

	ASSERT_EQ(0, source_alloc(self->fd, &self->src, CMEM_ALLOC_PRIVATE, &buf));
	read_trace();
	EXPECT_EQ(-EPERM, cmem_free(self->other_fd, buf.phys_addr));
	EXPECT_EQ(-ENOENT, cmem_free(self->fd, buf.phys_addr + self->page));
	EXPECT_EQ(-ENOENT, cmem_register(self->other_fd, buf.phys_addr + self->page));
	EXPECT_EQ(-EINVAL, cmem_alloc(self->fd, self->src.block, self->src.pool, ~0ULL, 0, &none));
	EXPECT_EQ(-EFAULT, cmem_sync(self->fd, &buf, 8, CMEM_SYNC_WRITE_BACK));
	EXPECT_TRUE(cmem_map(self->other_fd, &buf) == MAP_FAILED);
	EXPECT_EQ(0, read_trace());
}

TEST_F(trace, scrubbing_covers_what_was_released)
{
	__u64 covered = 0;
	struct cmem_alloc buf;

	for (unsigned int i = 0; i < self->before.num_blocks; i++) {
		if (self->before.block[i].block == self->src.block &&
		    self->before.block[i].out_flags & CMEM_BLOCK_KEEP_CONTENTS)
			SKIP(return, "this block is never zeroed");
	}
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &buf));
	/* Trace every scrubber. */
	ASSERT_TRUE(trace_write("0", INSTANCE "/events/cmem/cmem_scrub/filter"));
	read_trace();
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	/* It takes a while. */
	for (int ms = 0; ms < 60 * 1000 && covered < buf.length; ms += 20) {
		usleep(20 * 1000);
		ASSERT_LE(0, read_trace());
		for (int i = 0; i < num_seen; i++) {
			__u64 phys = trace_field(seen[i].fields, "phys");
			__u64 end = phys + trace_field(seen[i].fields, "length");

			if (strcmp(seen[i].name, "cmem_scrub"))
				continue;
			if (phys < buf.phys_addr)
				phys = buf.phys_addr;
			if (end > buf.phys_addr + buf.length)
				end = buf.phys_addr + buf.length;
			if (phys < end)
				covered += end - phys;
		}
	}
	EXPECT_EQ(buf.length, covered);
}

TEST_HARNESS_MAIN
