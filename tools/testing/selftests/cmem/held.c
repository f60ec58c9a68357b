// SPDX-License-Identifier: GPL-2.0
/*
 * Faults, mmap(), BLOCK_ADD and frees that are held up half-way while something else happens:
 * otherwise a race, or a kill at the right moment, would have to hit them. This needs a
 * kernel that can hold up calls of a function, in /sys/kernel/debug/hold; no ordinary
 * kernel can, and the tests are skipped there.
 *
 * A huge fault holds the lock of the VMA, others the mmap_lock, as prctl() does. So a
 * thread that turns huge pages off does not wait for a huge fault in progress, and both
 * kinds meet in the same 2 MiB. Either may be first. Once, a page table that the other
 * fault had made caused a warning, and a huge entry a bug or a failed fault.
 */
#include <pthread.h>
#include <sys/prctl.h>

#include "cmem_dmabuf.h"

#define HOLD	"/sys/kernel/debug/hold/"
#define RW	(PROT_READ | PROT_WRITE)

/* The lab's hold points: each holds one function at a time. */
enum { HUGE_FAULT, FAULT, REMAP, CHECK, MAKE = FAULT };

static bool put(int place, const char *file, const char *text)
{
	char path[64];
	bool ok;
	int fd;

	snprintf(path, sizeof(path), HOLD "%d/%s", place, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

/* Without stdio, which may need memory, and with it a lock that is held up. */
static long get(int place, const char *file)
{
	char path[64], text[32] = "";
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), HOLD "%d/%s", place, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	return got > 0 ? atol(text) : -1;
}

static unsigned long taint(void)
{
	FILE *in = fopen("/proc/sys/kernel/tainted", "re");
	unsigned long n;

	if (!in || fscanf(in, "%lu", &n) != 1)
		n = ~0UL;
	if (in)
		fclose(in);
	return n;
}

FIXTURE(held)
{
	int fd;
	int log;		/* the kernel log since the test began */
	int dmabuf;
	struct cmem_alloc buf;
	size_t length;		/* of the mapped part of it */
	char *area;
	char *map;
	unsigned long page;
	unsigned long taint;
	struct cmem_info info;
	struct snapshot before;
};

FIXTURE_VARIANT(held)
{
	bool dmabuf;
};

FIXTURE_VARIANT_ADD(held, buffer) { .dmabuf = false };
FIXTURE_VARIANT_ADD(held, dmabuf) { .dmabuf = true };

#define STEP_PAGES	512	/* that mmap() maps before it checks for signals */
#define STEPS		4

/* A mapping that is aligned for huge pages, or @pages off */
static char *map_at(const FIXTURE_DATA(held) *self, bool dmabuf, unsigned int pages)
{
	char *place = self->area + (-(unsigned long)self->area & (SZ_2M - 1));

	return mmap(place + pages * self->page, self->length, RW, MAP_SHARED | MAP_FIXED,
		    dmabuf ? self->dmabuf : self->fd, dmabuf ? 0 : self->buf.mmap_offset);
}

FIXTURE_SETUP(held)
{
	struct source src;

	self->page = page_size();
	self->length = STEPS * STEP_PAGES * self->page;
	self->taint = taint();
	self->dmabuf = -1;
	self->log = -1;
	OPEN_OR_SKIP(self->fd);
	ASSERT_EQ(0, take_snapshot(&self->before));
	ASSERT_EQ(0, cmem_get_info(self->fd, &self->info));
	if (access(HOLD, F_OK))
		SKIP(return, "this kernel can't hold calls up");
	if (!find_heap_source(ANY_KIND, self->length + SZ_2M, &src))
		SKIP(return, "no heap with room for %zu bytes", self->length);
	ASSERT_EQ(0, cmem_alloc_aligned(self->fd, src.block, src.pool, self->length, SZ_2M,
					CMEM_ALLOC_CACHED, &self->buf));
	if (variant->dmabuf) {
		self->dmabuf = cmem_export(self->fd, self->buf.phys_addr, O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, self->dmabuf);
	}
	self->area = mmap(NULL, self->length + 2 * SZ_2M, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	ASSERT_MAPPED(self->area);
	self->log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_LE(0, self->log);
	lseek(self->log, 0, SEEK_END);
}

FIXTURE_TEARDOWN(held)
{
	char line[1024];
	ssize_t got;

	for (int place = HUGE_FAULT; place <= REMAP; place++)
		put(place, "function", "\n");
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
	munmap(self->area, self->length + 2 * SZ_2M);
	close(self->dmabuf);
	close(self->fd);
	expect_same(&self->before);
	EXPECT_EQ(self->taint, taint());
	while (self->log >= 0 && (got = read(self->log, line, sizeof(line) - 1)) > 0) {
		line[got] = 0;
		/* A fault that failed and was retried */
		EXPECT_NO_POINTER(strstr(line, "VM_FAULT_OOM")) TH_LOG("%s", line);
	}
	close(self->log);
}

struct toucher {
	pthread_t thread;
	volatile char *byte;
	char with;
};

static void *touch(void *arg)
{
	struct toucher *toucher = arg;

	*toucher->byte = toucher->with;
	return NULL;
}

/*
 * Two faults in the same 2 MiB, both in progress at once: a huge one, and one after huge
 * pages were turned off.
 */
static void start_both(struct __test_metadata *_metadata, FIXTURE_DATA(held) *self,
		       struct toucher *huge, struct toucher *small)
{
	*huge = (struct toucher){ .byte = self->map, .with = 'h' };
	*small = (struct toucher){ .byte = self->map + 3 * self->page, .with = 's' };
	ASSERT_TRUE(put(HUGE_FAULT, "function", "cmem_vma_huge_fault\n"));
	ASSERT_TRUE(put(HUGE_FAULT, "hold", "1"));
	ASSERT_TRUE(put(FAULT, "function", "cmem_vma_fault\n"));
	ASSERT_TRUE(put(FAULT, "hold", "1"));
	ASSERT_EQ(0, pthread_create(&huge->thread, NULL, touch, huge));
	ASSERT_TRUE(eventually(get(HUGE_FAULT, "waiting") == 1));
	ASSERT_EQ(0, prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	ASSERT_EQ(0, pthread_create(&small->thread, NULL, touch, small));
	ASSERT_TRUE(eventually(get(FAULT, "waiting") == 1));
}

static void let_go(struct __test_metadata *_metadata, int place, struct toucher *toucher)
{
	ASSERT_TRUE(put(place, "hold", "0"));
	ASSERT_EQ(0, pthread_join(toucher->thread, NULL));
	ASSERT_EQ(toucher->with, *toucher->byte);
}

TEST_F(held, a_huge_fault_ends_after_one_that_must_not_be_huge)
{
	struct toucher huge, small;

	if (!(self->info.features & CMEM_FEATURE_PMD) || !huge_pages_are_2M())
		SKIP(return, "no huge pages of 2 MiB for this kernel's mappings");
	self->map = map_at(self, variant->dmabuf, 0);
	ASSERT_MAPPED(self->map);
	start_both(_metadata, self, &huge, &small);
	let_go(_metadata, FAULT, &small);
	let_go(_metadata, HUGE_FAULT, &huge);
	EXPECT_EQ('s', *small.byte);
}

TEST_F(held, a_huge_fault_ends_before_one_that_must_not_be_huge)
{
	struct toucher huge, small;

	if (!(self->info.features & CMEM_FEATURE_PMD) || !huge_pages_are_2M())
		SKIP(return, "no huge pages of 2 MiB for this kernel's mappings");
	self->map = map_at(self, variant->dmabuf, 0);
	ASSERT_MAPPED(self->map);
	start_both(_metadata, self, &huge, &small);
	let_go(_metadata, HUGE_FAULT, &huge);
	let_go(_metadata, FAULT, &small);
	EXPECT_EQ('h', *huge.byte);
}

/* Counts the function that maps a step: this kernel's driver calls one of the two. */
static bool put_remap(const FIXTURE_DATA(held) *self, bool dmabuf)
{
	static const char * const functions[] = {
		"remap_pfn_range\n", "remap_pfn_range_notrack\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		/* The next mapping takes the place of this one. */
		if (put(REMAP, "function", functions[i]) &&
		    map_at(self, dmabuf, 1) != MAP_FAILED && get(REMAP, "calls"))
			return put(REMAP, "function", functions[i]);
	}
	return false;
}

/* Page by page, because it is not aligned for huge pages */
TEST_F(held, a_large_mapping_is_made_in_steps)
{
	ASSERT_TRUE(put_remap(self, variant->dmabuf));
	self->map = map_at(self, variant->dmabuf, 1);
	ASSERT_MAPPED(self->map);
	EXPECT_LE(STEPS, get(REMAP, "calls"));
	EXPECT_GE(STEPS + 1, get(REMAP, "calls"));
	for (size_t i = 0; i < self->length; i += self->page) {
		ASSERT_EQ(0, self->map[i]);
		self->map[i] = 1;
	}
}

TEST_F(held, a_kill_ends_mmap_of_a_large_mapping)
{
	int status;
	pid_t pid;

	IN_CHILD(pid) {
		ASSERT_TRUE(put_remap(self, variant->dmabuf));
		ASSERT_TRUE(put(REMAP, "hold", "1"));
		map_at(self, variant->dmabuf, 1);
	}
	ASSERT_TRUE(eventually(get(REMAP, "waiting") == 1));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	/* The step in progress, and no more */
	EXPECT_EQ(1, get(REMAP, "calls"));
	/* The mapping is gone: the buffer goes with its file. */
	EXPECT_EQ(0, cmem_free(self->fd, self->buf.phys_addr));
	if (self->dmabuf >= 0) {
		close(self->dmabuf);
		self->dmabuf = -1;
	}
	EXPECT_TRUE(eventually(is_same(&self->before)));
}

/* BLOCK_ADD may have to check millions of pages. */
TEST(a_kill_ends_block_add)
{
	struct spare_block spare;
	struct cmem_block_info info;
	struct snapshot before;
	int fd, status;
	pid_t pid;

	OPEN_OR_SKIP(fd);
	if (access(HOLD, F_OK))
		SKIP(return, "this kernel can't hold calls up");
	if (!find_spare_block(fd, CMEM_BLOCK_CMA, &spare))
		SKIP(return, "no block to remove");
	ASSERT_EQ(0, take_snapshot(&before));
	ASSERT_EQ(0, cmem_block_remove(fd, spare.info.block));
	IN_CHILD(pid) {
		ASSERT_TRUE(put(CHECK, "function", "cmem_memory_check\n"));
		ASSERT_TRUE(put(CHECK, "hold", "1"));
		ASSERT_TRUE(put(MAKE, "function", "cmem_alias_init\n"));
		put_back_block(fd, &spare);
	}
	EXPECT_TRUE(eventually(get(CHECK, "waiting") == 1));
	EXPECT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	EXPECT_EQ(-ENOENT, cmem_get_block(fd, spare.info.block, &info));
	/* It did not get as far as creating a thread that then fails. */
	EXPECT_EQ(0, get(MAKE, "calls"));
	EXPECT_TRUE(put(CHECK, "function", "\n"));
	EXPECT_TRUE(put(MAKE, "function", "\n"));
	cmem_block_remove(fd, spare.info.block);
	EXPECT_EQ(0, put_back_block(fd, &spare));
	close(fd);
	expect_same(&before);
}

/* The pages of a long page-backed buffer are counted while others can use the block. */
FIXTURE(held_count)
{
	int fd;
	struct source src;
	struct cmem_block_info block;	/* before */
	struct snapshot before;
	pid_t owner;			/* frees a long buffer, and is held up as it does */
};

#define LONG_PAGES	1024
#define COUNT		"cmem_pins_count_long\n"

FIXTURE_SETUP(held_count)
{
	OPEN_OR_SKIP(self->fd);
	if (access(HOLD, F_OK))
		SKIP(return, "this kernel can't hold calls up");
	if (!find_heap_source(CMEM_KIND_RESERVED, LONG_PAGES * page_size(), &self->src))
		SKIP(return, "no heap with room for %d pages", LONG_PAGES);
	ASSERT_EQ(0, cmem_get_block(self->fd, self->src.block, &self->block));
	if (!(self->block.out_flags & CMEM_BLOCK_CAN_PAGES))
		SKIP(return, "no buffer of this block can be page-backed");
	if (self->block.heap_free != self->block.heap_size)
		SKIP(return, "the heap is in use");
	ASSERT_EQ(0, take_snapshot(&self->before));
	IN_CHILD(self->owner) {
		struct cmem_alloc buf;
		int fd = cmem_open();

		ASSERT_EQ(0, cmem_alloc(fd, self->src.block, CMEM_POOL_HEAP,
					LONG_PAGES * page_size(),
					CMEM_ALLOC_CACHED | CMEM_ALLOC_PAGES, &buf));
		ASSERT_TRUE(put(FAULT, "function", COUNT));
		ASSERT_TRUE(put(FAULT, "hold", "1"));
		ASSERT_EQ(0, cmem_free(fd, buf.phys_addr));
	}
	ASSERT_TRUE(eventually(get(FAULT, "waiting") == 1));
}

FIXTURE_TEARDOWN(held_count)
{
	put(FAULT, "function", "\n");
	close(self->fd);
	EXPECT_TRUE(eventually(is_same(&self->before)));
	expect_same(&self->before);
}

/* All of the heap, which is free only when the buffer is */
static int alloc_all(int fd, const FIXTURE_DATA(held_count) *self, struct cmem_alloc *buf)
{
	return cmem_alloc(fd, self->src.block, CMEM_POOL_HEAP, self->block.heap_free, 0, buf);
}

/* A process that allocates all of the heap, and then leaves */
static pid_t start_alloc_all(struct __test_metadata *_metadata, FIXTURE_DATA(held_count) *self)
{
	pid_t pid;

	IN_CHILD(pid) {
		struct cmem_alloc all;
		int fd = cmem_open();

		ASSERT_EQ(0, alloc_all(fd, self, &all));
		ASSERT_EQ(0, cmem_free(fd, all.phys_addr));
	}
	return pid;
}

/* The state of a process, as ps shows it; 0 if there is none */
static char state_of(pid_t pid)
{
	char path[64], state = 0;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	in = fopen(path, "re");
	if (in && fscanf(in, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	if (in)
		fclose(in);
	return state;
}

/* Waits until a process sleeps where at most a kill wakes it; false if it ends instead. */
static bool begins_to_wait(pid_t pid)
{
	return eventually(strchr("DZ", state_of(pid))) && state_of(pid) == 'D';
}

TEST_F(held_count, shows_the_buffer_as_pinned)
{
	struct cmem_block_info now;

	ASSERT_EQ(0, cmem_get_block(self->fd, self->src.block, &now));
	EXPECT_EQ(self->block.pinned_buffers + 1, now.pinned_buffers);
	EXPECT_EQ(self->block.pinned + LONG_PAGES * page_size(), now.pinned);
	EXPECT_EQ(self->block.heap_free - LONG_PAGES * page_size(), now.heap_free);
	ASSERT_TRUE(put(FAULT, "hold", "0"));
	join_child(self->owner);
	ASSERT_EQ(0, cmem_get_block(self->fd, self->src.block, &now));
	EXPECT_EQ(self->block.pinned_buffers, now.pinned_buffers);
	EXPECT_EQ(self->block.heap_free, now.heap_free);
}

/* It is not ENOMEM: the memory has been freed. */
TEST_F(held_count, is_waited_for_by_an_allocation)
{
	pid_t pid = start_alloc_all(_metadata, self);

	EXPECT_TRUE(begins_to_wait(pid));
	usleep(100 * 1000);
	EXPECT_EQ('D', state_of(pid));
	ASSERT_TRUE(put(FAULT, "hold", "0"));
	join_child(self->owner);
	join_child(pid);
}

TEST_F(held_count, ends_for_an_allocation_with_a_kill)
{
	pid_t pid = start_alloc_all(_metadata, self);
	int status;

	EXPECT_TRUE(begins_to_wait(pid));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	ASSERT_EQ(1, get(FAULT, "waiting"));
	ASSERT_TRUE(put(FAULT, "hold", "0"));
	join_child(self->owner);
}

/* What has room elsewhere need not wait. */
TEST_F(held_count, is_not_waited_for_without_need)
{
	struct cmem_alloc buf;

	if (self->block.heap_free < 2 * LONG_PAGES * page_size())
		SKIP(return, "no room beside the buffer");
	ASSERT_EQ(0, cmem_alloc(self->fd, self->src.block, CMEM_POOL_HEAP, page_size(), 0, &buf));
	ASSERT_EQ(1, get(FAULT, "waiting"));
	ASSERT_EQ(0, cmem_free(self->fd, buf.phys_addr));
	ASSERT_TRUE(put(FAULT, "hold", "0"));
	join_child(self->owner);
}

TEST_HARNESS_MAIN
