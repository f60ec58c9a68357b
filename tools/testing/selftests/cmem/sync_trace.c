// SPDX-License-Identifier: GPL-2.0
/*
 * What SYNC, SYNC_ALL and scrubbing execute: exactly the right cache primitive over
 * exactly the right bytes. Kprobes on the architecture's primitives record it, and the
 * tests compare that with the driver's tracepoint.
 *
 * The driver may work on a range in pieces, page by page on 32 bit: the tests join
 * neighbouring pieces before they compare. Everything contiguous happens in the order of
 * the request.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/utsname.h>

#include "cmem_dmabuf.h"
#include "cmem_trace.h"

#define MAX_RUNS 8192

struct run {
	__u64 phys_addr;
	__u64 length;
	__u32 op;
};

struct runs {
	int count;
	__u64 bytes;			/* total added, repeats included */
	int cuts;			/* within cache lines, where two were added */
	struct run run[MAX_RUNS];
};

static struct runs expected;		/* by the request */
static struct runs traced;		/* by the driver's tracepoint */
static struct runs executed;		/* by the primitives */

enum arch { ARM64, ARM_LPAE, ARM, X86, OTHER };

static enum arch arch;
/* On arm64: kernel address of a byte of the block minus its physical address. */
static __u64 alias;

/* On x86, where devices snoop, the test is that none of these primitives ever runs. */
static const struct { const char *event, *arm64, *arm, *x86; __u32 op; } primitives[] = {
	{ "clean", "dcache_clean_poc", "arm_dcache_clean_poc", "arch_wb_cache_pmem",
	  CMEM_SYNC_WRITE_BACK },
	{ "inval", "dcache_inval_poc", "arm_dcache_inval_poc", "wbinvd_on_all_cpus",
	  CMEM_SYNC_INVALIDATE },
	{ "clean_inval", "dcache_clean_inval_poc", "arm_dcache_clean_inval_poc",
	  "clflush_cache_range", CMEM_SYNC_WRITE_BACK_INVALIDATE },
};

/* If set, the test ignores everything outside these buffers. */
static const struct cmem_alloc *only;
static int num_only;

static bool is_of_interest(__u64 phys_addr)
{
	for (int i = 0; i < num_only; i++)
		if (phys_addr >= only[i].phys_addr &&
		    phys_addr < only[i].phys_addr + only[i].length)
			return true;
	return !only;
}

static void add_run(struct runs *runs, __u64 phys_addr, __u64 length, __u32 op)
{
	struct run *last = runs->count ? &runs->run[runs->count - 1] : NULL;

	if (!is_of_interest(phys_addr))
		return;
	runs->bytes += length;
	if (last && last->op == op && last->phys_addr + last->length == phys_addr) {
		last->length += length;
		runs->cuts += !!(phys_addr % 64);
	} else if (runs->count < MAX_RUNS) {
		runs->run[runs->count++] = (struct run){ phys_addr, length, op };
	}
}

static bool have_kprobes(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(primitives); i++) {
		char path[128];

		snprintf(path, sizeof(path), TRACEFS "/events/cmem_test/%s",
			 primitives[i].event);
		if (access(path, F_OK))
			return false;
	}
	return true;
}

static void remove_kprobes(void)
{
	trace_write("0", INSTANCE "/events/cmem_test/enable");
	for (size_t i = 0; i < ARRAY_SIZE(primitives); i++) {
		char text[64];

		snprintf(text, sizeof(text), "-:cmem_test/%s", primitives[i].event);
		trace_write(text, TRACEFS "/kprobe_events");
	}
}

/* They stay for all tests of the program: adding them takes long, too. */
__attribute__((destructor)) static void remove_kprobes_at_last(void)
{
	if (getpid() == trace_program && have_kprobes())
		remove_kprobes();
}

/* On arm the length of phys_addr_t decides which register has what. */
static bool add_kprobes(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(primitives); i++) {
		char text[256];

		if (arch == ARM64)
			snprintf(text, sizeof(text),
				 "p:cmem_test/%s %s start=%%x0:x64 end=%%x1:x64",
				 primitives[i].event, primitives[i].arm64);
		else if (arch == X86)
			snprintf(text, sizeof(text), "p:cmem_test/%s %s di=%%di:x64 si=%%si:x64",
				 primitives[i].event, primitives[i].x86);
		else
			snprintf(text, sizeof(text), "p:cmem_test/%s %s %s",
				 primitives[i].event, primitives[i].arm,
				 "r1=%r1:x32 r2=%r2:x32 r3=%r3:x32 s0=$stack0:x32");
		if (!trace_write(text, TRACEFS "/kprobe_events"))
			return false;
	}
	return true;
}

static __u32 op_of(const char *fields)
{
	return trace_field_is(fields, "op", "write-back") ? CMEM_SYNC_WRITE_BACK :
	       trace_field_is(fields, "op", "invalidate") ? CMEM_SYNC_INVALIDATE :
	       trace_field_is(fields, "op", "write-back-invalidate") ?
	       CMEM_SYNC_WRITE_BACK_INVALIDATE : 0;
}

/* Events of the tracepoint, one by one */
static struct run events[8192];
static int num_events;

static void list_event(const char *name, const char *fields, void *arg)
{
	if (!strcmp(name, "cmem_sync") && num_events < (int)ARRAY_SIZE(events) &&
	    is_of_interest(trace_field(fields, "phys")))
		events[num_events++] = (struct run){ trace_field(fields, "phys"),
						     trace_field(fields, "length"),
						     op_of(fields) };
}

static int read_events(void)
{
	num_events = 0;
	return trace_for_each(list_event, NULL);
}

static void sort_event(const char *name, const char *fields, void *arg)
{
	if (!strcmp(name, "cmem_sync"))
		add_run(&traced, trace_field(fields, "phys"), trace_field(fields, "length"),
			op_of(fields));
	/* Scrubbing zeroes, writes back and invalidates. */
	if (!strcmp(name, "cmem_scrub"))
		add_run(&traced, trace_field(fields, "phys"), trace_field(fields, "length"),
			CMEM_SYNC_WRITE_BACK_INVALIDATE);
	for (size_t i = 0; i < ARRAY_SIZE(primitives); i++) {
		__u64 start = trace_field(fields, "start");

		if (strcmp(name, primitives[i].event))
			continue;
		if (arch == X86)
			executed.run[executed.count++ % MAX_RUNS] = (struct run){
				trace_field(fields, "di"), trace_field(fields, "si"),
				primitives[i].op };
		else if (arch == ARM64)
			add_run(&executed, start - alias, trace_field(fields, "end") - start,
				primitives[i].op);
		else if (arch == ARM_LPAE)
			add_run(&executed, trace_field(fields, "r3") << 32 |
					   trace_field(fields, "r2"),
				trace_field(fields, "s0"), primitives[i].op);
		else
			add_run(&executed, trace_field(fields, "r1"), trace_field(fields, "r2"),
				primitives[i].op);
	}
}

/* How often a kprobe, or all of ours, was hit: handled, or missed. */
static long count_kprobe(const char *event, bool missed)
{
	FILE *profile = fopen(TRACEFS "/kprobe_profile", "r");
	unsigned long hits, misses, sum = 0;
	char name[64];

	if (!profile)
		return -1;
	while (fscanf(profile, " %63s %lu %lu", name, &hits, &misses) == 3)
		for (size_t i = 0; i < ARRAY_SIZE(primitives); i++)
			if (!strcmp(name, primitives[i].event) && (!event || !strcmp(name, event)))
				sum += missed ? misses : hits;
	fclose(profile);
	return sum;
}

static long kprobe_hits(const char *event)
{
	return count_kprobe(event, false);
}

/* In the tests before this one */
static long missed_before;

static long kprobes_missed(void)
{
	return count_kprobe(NULL, true) - missed_before;
}

/* Reads what was recorded since the last time. */
static int read_trace(void)
{
	traced.count = 0;
	traced.bytes = 0;
	traced.cuts = 0;
	executed.count = 0;
	executed.bytes = 0;
	executed.cuts = 0;
	return trace_for_each(sort_event, NULL);
}

FIXTURE(trace)
{
	int fd;
	int known;			/* has a buffer that shows the mapping */
	struct source src;
	struct cmem_alloc buf;
	char *map;
	unsigned long page;
	bool coherent;			/* the block's devices snoop the caches */
	bool works;			/* there is something to maintain */
	struct snapshot before;
};

SOURCE_VARIANTS(trace);

/*
 * One known range shows where the kernel maps the block, or how wide phys_addr_t is.
 * After enough work, the kernel maps it there while a cached buffer exists: @fd keeps
 * this one.
 */
static void *map_known(struct __test_metadata *_metadata, int fd, struct source src,
		       struct cmem_alloc *known)
{
	void *map;

	ASSERT_EQ(0, source_alloc(fd, &src, CMEM_ALLOC_CACHED, known)) {
		return NULL;
	}
	map = cmem_map(fd, known);
	ASSERT_MAPPED(map) {
		return NULL;
	}
	ASSERT_EQ(0, work_until_mapped(fd, src.block, map, 64)) {
		return NULL;
	}
	return map;
}

static void calibrate(struct __test_metadata *_metadata, int fd, void *map,
		      const struct cmem_alloc *known)
{
	alias = 0;
	read_trace();
	ASSERT_EQ(0, cmem_sync(fd, map, 64, CMEM_SYNC_WRITE_BACK));
	ASSERT_EQ(2, read_trace());
	ASSERT_EQ(1, executed.count);
	if (arch == ARM64)
		alias = executed.run[0].phys_addr - known->phys_addr;
	else if (executed.run[0].length != 64)
		arch = ARM;
	ASSERT_EQ(0, munmap(map, known->length));
}

FIXTURE_SETUP(trace)
{
	struct cmem_alloc known;
	void *known_map = NULL;
	struct utsname name;

	self->page = page_size();
	OPEN_OR_SKIP(self->fd);
	self->known = cmem_open();
	ASSERT_LE(0, self->known);
	ASSERT_EQ(0, take_snapshot(&self->before));
	if (variant->kind == CMEM_KIND_SRAM)
		SKIP(return, "never cached: nothing is maintained");
	/* Room for six buffers of eight pages. */
	if (variant->heap ? !find_heap_source(variant->kind, 48 * self->page, &self->src) :
			    !find_pool_source(variant->kind, 8 * self->page, 6, &self->src))
		SKIP(return, "no such memory on this board");
	if (variant->heap)
		self->src.length = 8 * self->page;
	self->coherent = block_is_coherent(self->fd, self->src.block);
	self->works = variant->flags & CMEM_ALLOC_CACHED && !self->coherent;
	ASSERT_EQ(0, uname(&name));
	arch = !strcmp(name.machine, "aarch64") || !strncmp(name.machine, "armv8", 5) ? ARM64 :
	       !strncmp(name.machine, "arm", 3) ? ARM_LPAE :
	       !strcmp(name.machine, "x86_64") ? X86 : OTHER;
	if (!self->coherent)
		known_map = map_known(_metadata, self->known, self->src, &known);
	if (arch == OTHER)
		SKIP(return, "no known cache primitives on %s", name.machine);
	if (!trace_begin())
		SKIP(return, "no tracefs");
	if (!have_kprobes())
		remove_kprobes();	/* those of a program that died */
	if (!trace_has("cmem/cmem_sync") || (!have_kprobes() && !add_kprobes())) {
		remove_kprobes();
		trace_end();
		SKIP(return, "no tracepoints, or no kprobe events");
	}
	missed_before = count_kprobe(NULL, true);
	ASSERT_TRUE(trace_enable("cmem/cmem_sync", getpid()));
	for (size_t i = 0; i < ARRAY_SIZE(primitives); i++) {
		char event[64];

		snprintf(event, sizeof(event), "cmem_test/%s", primitives[i].event);
		ASSERT_TRUE(trace_enable(event, getpid()));
	}
	if (!self->coherent)
		calibrate(_metadata, self->known, known_map, &known);
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, variant->flags, &self->buf));
	self->map = cmem_map(self->fd, &self->buf);
	ASSERT_MAPPED(self->map);
	/* CMA is cleaned during the allocation: the tests must not count that. */
	read_trace();
}

FIXTURE_TEARDOWN(trace)
{
	munmap(self->map, self->buf.length);
	close(self->fd);
	close(self->known);
	trace_end();
	expect_same(&self->before);
}

static void expect_equal(struct __test_metadata *_metadata, const char *what,
			 const struct runs *seen)
{
	EXPECT_EQ(expected.count, seen->count) TH_LOG("%s", what);
	for (int i = 0; i < expected.count && i < seen->count; i++) {
		EXPECT_EQ(expected.run[i].phys_addr, seen->run[i].phys_addr)
			TH_LOG("%s: run %d", what, i);
		EXPECT_EQ(expected.run[i].length, seen->run[i].length)
			TH_LOG("%s: run %d", what, i);
		EXPECT_EQ(expected.run[i].op, seen->run[i].op) TH_LOG("%s: run %d", what, i);
	}
}

/* The record is as expected; empty if there is no cache to maintain. */
#define EXPECT_EXECUTED() do {						\
	if (!self->works)						\
		expected.count = 0;					\
	ASSERT_LE(0, read_trace());					\
	ASSERT_EQ(0, kprobes_missed());					\
	expect_equal(_metadata, "tracepoint", &traced);			\
	expect_equal(_metadata, "primitive", &executed);		\
	expected.count = 0;						\
} while (0)

static const __u32 ops[] = {
	CMEM_SYNC_WRITE_BACK, CMEM_SYNC_INVALIDATE, CMEM_SYNC_WRITE_BACK_INVALIDATE,
};

TEST_F(trace, each_operation_is_its_primitive_over_the_whole_buffer)
{
	for (size_t k = 0; k < ARRAY_SIZE(ops); k++) {
		ASSERT_EQ(0, cmem_sync(self->fd, self->map, self->buf.length, ops[k]));
		add_run(&expected, self->buf.phys_addr, self->buf.length, ops[k]);
		EXPECT_EXECUTED();
	}
}

TEST_F(trace, parts_are_maintained_to_the_byte)
{
	const struct { __u64 first, length; } parts[] = {
		{ 0, 1 }, { 1, 1 }, { 63, 2 }, { 64, 64 }, { 5, 200 },
		{ self->page - 1, 1 }, { self->page - 1, 2 }, { self->page, self->page },
		{ self->page + 13, 3 * self->page }, { self->buf.length - 1, 1 },
		{ 1, self->buf.length - 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(ops); k++) {
			ASSERT_EQ(0, cmem_sync(self->fd, self->map + parts[i].first,
					       parts[i].length, ops[k]));
			add_run(&expected, self->buf.phys_addr + parts[i].first,
				parts[i].length, ops[k]);
			EXPECT_EXECUTED();
		}
	}
}

TEST_F(trace, a_part_of_a_part_that_is_mapped)
{
	char *part = mmap(NULL, 2 * self->page, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd,
			  self->buf.mmap_offset + 3 * self->page);

	ASSERT_MAPPED(part);
	ASSERT_EQ(0, cmem_sync(self->fd, part + 100, self->page, CMEM_SYNC_INVALIDATE));
	add_run(&expected, self->buf.phys_addr + 3 * self->page + 100, self->page,
		CMEM_SYNC_INVALIDATE);
	EXPECT_EXECUTED();
	ASSERT_EQ(0, munmap(part, 2 * self->page));
}

TEST_F(trace, a_batch_is_done_in_its_order)
{
	static struct cmem_sync_range batch[100];

	srand(4);
	for (size_t i = 0; i < ARRAY_SIZE(batch); i++) {
		__u64 first = rand() % (self->buf.length - 1);
		__u64 left = self->buf.length - first;
		__u64 length = 1 + rand() % (left < 3 * self->page ? left : 3 * self->page);

		batch[i] = (struct cmem_sync_range){
			.user_addr = (unsigned long)self->map + first, .length = length,
			.op = ops[rand() % 3],
		};
		add_run(&expected, self->buf.phys_addr + first, length, batch[i].op);
	}
	ASSERT_EQ(0, cmem_sync_ranges(self->fd, batch, ARRAY_SIZE(batch)));
	EXPECT_EXECUTED();
}

TEST_F(trace, a_range_over_several_mappings_follows_their_physical_addresses)
{
	char *area = mmap(NULL, 4 * self->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_MAPPED(area);
	for (int i = 0; i < 4; i++) {
		ASSERT_MAPPED(mmap(area + i * self->page, self->page, PROT_READ,
				   MAP_SHARED | MAP_FIXED, self->fd,
				   self->buf.mmap_offset + (3 - i) * self->page));
	}
	for (size_t k = 0; k < ARRAY_SIZE(ops); k++) {
		ASSERT_EQ(0, cmem_sync(self->fd, area + 10, 4 * self->page - 20, ops[k]));
		add_run(&expected, self->buf.phys_addr + 3 * self->page + 10, self->page - 10,
			ops[k]);
		add_run(&expected, self->buf.phys_addr + 2 * self->page, self->page, ops[k]);
		add_run(&expected, self->buf.phys_addr + self->page, self->page, ops[k]);
		add_run(&expected, self->buf.phys_addr, self->page - 10, ops[k]);
		EXPECT_EXECUTED();
	}
	ASSERT_EQ(0, munmap(area, 4 * self->page));
}

TEST_F(trace, a_buffer_of_the_other_attribute_is_judged_by_its_own)
{
	struct cmem_alloc other_buf;
	char *area;

	if (!self->works)
		SKIP(return, "the other way round is the same");
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &other_buf));
	area = mmap(NULL, 2 * self->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_MAPPED(area);
	ASSERT_MAPPED(mmap(area, self->page, PROT_READ, MAP_SHARED | MAP_FIXED, self->fd,
			   self->buf.mmap_offset));
	ASSERT_MAPPED(mmap(area + self->page, self->page, PROT_READ, MAP_SHARED | MAP_FIXED,
			   self->fd, other_buf.mmap_offset));
	read_trace();
	/* One range over both: only the cached one's bytes. */
	ASSERT_EQ(0, cmem_sync(self->fd, area + 1, 2 * self->page - 2, CMEM_SYNC_WRITE_BACK));
	add_run(&expected, self->buf.phys_addr + 1, self->page - 1, CMEM_SYNC_WRITE_BACK);
	EXPECT_EXECUTED();
	ASSERT_EQ(0, munmap(area, 2 * self->page));
}

TEST_F(trace, who_may_only_read_does_not_drop_what_others_wrote)
{
	int reader = open(CMEM_DEVICE, O_RDONLY | O_CLOEXEC);
	char *map;

	ASSERT_LE(0, reader);
	ASSERT_EQ(0, cmem_register(reader, self->buf.phys_addr));
	map = mmap(NULL, self->buf.length, PROT_READ, MAP_SHARED, reader, self->buf.mmap_offset);
	ASSERT_MAPPED(map);
	for (size_t k = 0; k < ARRAY_SIZE(ops); k++) {
		ASSERT_EQ(0, cmem_sync(self->fd, map + 100, self->page, ops[k]));
		add_run(&expected, self->buf.phys_addr + 100, self->page,
			ops[k] == CMEM_SYNC_INVALIDATE ? CMEM_SYNC_WRITE_BACK_INVALIDATE : ops[k]);
		EXPECT_EXECUTED();
	}
	/* A mapping that is read-only for now still counts. */
	ASSERT_EQ(0, mprotect(self->map, self->page, PROT_READ));
	ASSERT_EQ(0, cmem_sync(self->fd, self->map, self->page, CMEM_SYNC_INVALIDATE));
	add_run(&expected, self->buf.phys_addr, self->page, CMEM_SYNC_INVALIDATE);
	EXPECT_EXECUTED();
	ASSERT_EQ(0, munmap(map, self->buf.length));
	close(reader);
}

/* Many small pieces: no single one is long enough to be interrupted. */
TEST_F(trace, a_call_with_many_pieces_ends_when_its_process_is_killed)
{
	const unsigned int pieces = scaled(1000);
	struct cmem_sync_range ranges[64];
	long all = pieces * ARRAY_SIZE(ranges);
	long before = kprobe_hits("clean");
	int status;
	char *area;
	pid_t pid;

	if (!self->works)
		SKIP(return, "nothing is executed");
	IN_CHILD(pid) {
		area = mmap(NULL, pieces * self->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
		ASSERT_MAPPED(area);
		for (unsigned int i = 0; i < pieces; i++)
			ASSERT_MAPPED(mmap(area + i * self->page, self->page, PROT_READ,
					   MAP_SHARED | MAP_FIXED, self->fd,
					   self->buf.mmap_offset));
		for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
			ranges[i] = (struct cmem_sync_range){
				.user_addr = (unsigned long)area,
				.length = pieces * self->page, .op = CMEM_SYNC_WRITE_BACK,
			};
		cmem_sync_ranges(self->fd, ranges, ARRAY_SIZE(ranges));
		pause();
	}
	/* The event filter is for this process: kprobes count all the same. */
	while (kprobe_hits("clean") == before && !waitpid(pid, &status, WNOHANG))
		sched_yield();
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	EXPECT_LT(before, kprobe_hits("clean"));
	EXPECT_GT(before + all / 2, kprobe_hits("clean"));
}

TEST_F(trace, large_ranges_are_complete)
{
	struct cmem_alloc buf, known;
	struct source src;
	void *known_map;
	char *map;

	if (!find_source(variant->kind, variant->heap, SZ_2M, &src))
		SKIP(return, "no buffer of 2 MiB");
	if (self->works) {
		known_map = map_known(_metadata, self->known, src, &known);
		calibrate(_metadata, self->known, known_map, &known);
	}
	ASSERT_EQ(0, source_alloc(self->fd, &src, variant->flags, &buf));
	map = cmem_map(self->fd, &buf);
	ASSERT_MAPPED(map);
	read_trace();
	for (size_t k = 0; k < ARRAY_SIZE(ops); k++) {
		ASSERT_EQ(0, cmem_sync(self->fd, map + 3, buf.length - 5, ops[k]));
		add_run(&expected, buf.phys_addr + 3, buf.length - 5, ops[k]);
		EXPECT_EXECUTED();
		/* Cutting a range in two does not write back dropped bytes at the cut. */
		EXPECT_EQ(0, traced.cuts);
		EXPECT_EQ(0, executed.cuts);
	}
	ASSERT_EQ(0, munmap(map, buf.length));
}

static int by_address(const void *a, const void *b)
{
	const struct run *one = a, *two = b;

	return one->phys_addr < two->phys_addr ? -1 : one->phys_addr > two->phys_addr;
}

static void sort(struct runs *runs)
{
	static struct runs sorted;

	sorted.count = 0;
	sorted.bytes = 0;
	qsort(runs->run, runs->count, sizeof(runs->run[0]), by_address);
	for (int i = 0; i < runs->count; i++)
		add_run(&sorted, runs->run[i].phys_addr, runs->run[i].length, runs->run[i].op);
	*runs = sorted;
}

/* Each byte once, also where runs overlap */
static void unite(struct runs *runs)
{
	int count = 0;

	qsort(runs->run, runs->count, sizeof(runs->run[0]), by_address);
	for (int i = 0; i < runs->count; i++) {
		struct run *last = count ? &runs->run[count - 1] : NULL, *next = &runs->run[i];
		__u64 last_end = last ? last->phys_addr + last->length : 0;
		__u64 end = next->phys_addr + next->length;

		if (!last || last->op != next->op || next->phys_addr > last_end)
			runs->run[count++] = *next;
		else if (end > last_end)
			last->length = end - last->phys_addr;
	}
	runs->count = count;
}

TEST_F(trace, SYNC_ALL_is_every_cached_buffer_of_the_file_once_and_no_other)
{
	const __u32 all_ops[] = { CMEM_SYNC_WRITE_BACK, CMEM_SYNC_WRITE_BACK_INVALIDATE };
	struct cmem_alloc mine, others, unrelated, noncached;
	int other_fd = cmem_open();

	ASSERT_LE(0, other_fd);
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, variant->flags, &mine));
	ASSERT_EQ(0, source_alloc(other_fd, &self->src, variant->flags, &others));
	ASSERT_EQ(0, source_alloc(other_fd, &self->src, variant->flags, &unrelated));
	ASSERT_EQ(0, source_alloc(self->fd, &self->src, 0, &noncached));
	ASSERT_EQ(0, cmem_register(self->fd, others.phys_addr));
	ASSERT_EQ(0, cmem_register(self->fd, others.phys_addr));
	ASSERT_EQ(0, cmem_register(self->fd, mine.phys_addr));
	read_trace();
	for (size_t k = 0; k < ARRAY_SIZE(all_ops); k++) {
		ASSERT_EQ(0, cmem_sync_all(self->fd, all_ops[k]));
		ASSERT_LE(0, read_trace());
		expected.count = 0;
		if (self->works) {
			add_run(&expected, self->buf.phys_addr, self->buf.length, all_ops[k]);
			add_run(&expected, mine.phys_addr, mine.length, all_ops[k]);
			add_run(&expected, others.phys_addr, others.length, all_ops[k]);
		}
		sort(&expected);
		sort(&traced);
		sort(&executed);
		expect_equal(_metadata, "tracepoint", &traced);
		expect_equal(_metadata, "primitive", &executed);
	}
	/* Mapped or not does not matter, but freed does. */
	ASSERT_EQ(0, cmem_free(self->fd, others.phys_addr));
	ASSERT_EQ(0, cmem_free(self->fd, others.phys_addr));
	ASSERT_EQ(0, cmem_free(self->fd, mine.phys_addr));
	ASSERT_EQ(0, cmem_free(self->fd, mine.phys_addr));
	read_trace();
	ASSERT_EQ(0, cmem_sync_all(self->fd, CMEM_SYNC_WRITE_BACK));
	expected.count = 0;
	add_run(&expected, self->buf.phys_addr, self->buf.length, CMEM_SYNC_WRITE_BACK);
	EXPECT_EXECUTED();
	close(other_fd);
}

struct sync_all_caller {
	int fd;
	__u32 op;
	int calls;
	bool failed;
};

static void *sync_all_calls(void *arg)
{
	struct sync_all_caller *caller = arg;

	for (int i = 0; i < caller->calls; i++)
		caller->failed |= cmem_sync_all(caller->fd, caller->op);
	return NULL;
}

/* Two callers distinguish their work by the operation. */
TEST_F(trace, SYNC_ALL_of_two_threads_is_complete_for_each)
{
	enum { BUFFERS = 40, CALLS = 6 };	/* a trace holds this many pages */
	struct sync_all_caller one = { self->fd, CMEM_SYNC_WRITE_BACK, CALLS, false };
	struct sync_all_caller two = { self->fd, CMEM_SYNC_WRITE_BACK_INVALIDATE, CALLS, false };
	static struct cmem_alloc bufs[BUFFERS];
	int seen[BUFFERS][2] = {};
	pthread_t thread;

	if (!self->works)
		SKIP(return, "nothing is executed");
	for (int i = 0; i < BUFFERS; i++) {
		if (cmem_alloc(self->fd, self->src.block, CMEM_POOL_HEAP, self->page,
			       CMEM_ALLOC_CACHED, &bufs[i]))
			SKIP(return, "no heap of %d pages", BUFFERS);
	}
	ASSERT_TRUE(trace_everybody("cmem/cmem_sync"));
	ASSERT_TRUE(trace_write("0", INSTANCE "/events/cmem_test/enable"));
	read_trace();
	ASSERT_EQ(0, pthread_create(&thread, NULL, sync_all_calls, &two));
	sync_all_calls(&one);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_FALSE(one.failed);
	EXPECT_FALSE(two.failed);
	only = bufs;
	num_only = BUFFERS;
	ASSERT_LT(0, read_events());
	only = NULL;
	ASSERT_GT(ARRAY_SIZE(events), num_events);
	for (int i = 0; i < BUFFERS; i++) {
		for (int e = 0; e < num_events; e++)
			if (events[e].phys_addr == bufs[i].phys_addr)
				seen[i][events[e].op == two.op]++;
		EXPECT_EQ(CALLS, seen[i][0]) TH_LOG("buffer %d", i);
		EXPECT_EQ(CALLS, seen[i][1]) TH_LOG("buffer %d", i);
	}
}

/* DMA-BUFs: the whole buffer, at the start and at the end of CPU access */

TEST_F(trace, DMA_BUF_IOCTL_SYNC_maintains_all_of_the_buffer)
{
	static const struct { __u64 flags; __u32 op; } calls[] = {
		{ DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ, CMEM_SYNC_WRITE_BACK_INVALIDATE },
		{ DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW, CMEM_SYNC_WRITE_BACK_INVALIDATE },
		{ DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE, 0 },
		{ DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ, 0 },
		{ DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW, CMEM_SYNC_WRITE_BACK },
		{ DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE, CMEM_SYNC_WRITE_BACK },
	};
	int dmabuf[2], reader;

	DMABUF_OR_SKIP(self->fd);
	for (int i = 0; i < 2; i++) {
		dmabuf[i] = cmem_export(self->fd, self->buf.phys_addr, O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, dmabuf[i]);
	}
	reader = cmem_export(self->fd, self->buf.phys_addr, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, reader);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		__u32 op = calls[i].op;

		ASSERT_EQ(0, dmabuf_sync(dmabuf[i % 2], calls[i].flags));
		if (op)
			add_run(&expected, self->buf.phys_addr, self->buf.length, op);
		EXPECT_EXECUTED();
		/* A caller that can only read must not drop what others wrote. */
		ASSERT_EQ(0, dmabuf_sync(reader, calls[i].flags));
		if (op)
			add_run(&expected, self->buf.phys_addr, self->buf.length, op);
		EXPECT_EXECUTED();
		ASSERT_FALSE(has_failed(_metadata)) TH_LOG("flags %#llx", calls[i].flags);
	}
	/* A refused call does nothing. */
	EXPECT_EQ(-EINVAL, dmabuf_sync(dmabuf[0], DMA_BUF_SYNC_START));
	EXPECT_EQ(-EINVAL, dmabuf_sync(dmabuf[0], DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW | 8));
	EXPECT_EXECUTED();
	close(reader);
	for (int i = 0; i < 2; i++)
		close(dmabuf[i]);
	EXPECT_EXECUTED();
}

TEST_F(trace, a_mapping_of_a_DMA_BUF_is_maintained_to_the_byte)
{
	int dmabuf = cmem_export(self->fd, self->buf.phys_addr, O_RDWR | O_CLOEXEC);
	int reader = cmem_export(self->fd, self->buf.phys_addr, O_RDONLY | O_CLOEXEC);
	char *map, *readable;

	DMABUF_OR_SKIP(self->fd);
	ASSERT_LE(0, dmabuf);
	map = mmap(NULL, 3 * self->page, PROT_READ, MAP_SHARED, dmabuf, 2 * self->page);
	ASSERT_MAPPED(map);
	readable = mmap(NULL, self->page, PROT_READ, MAP_SHARED, reader, 5 * self->page);
	ASSERT_MAPPED(readable);
	for (size_t k = 0; k < ARRAY_SIZE(ops); k++) {
		ASSERT_EQ(0, cmem_sync(self->fd, map + 17, 2 * self->page, ops[k]));
		add_run(&expected, self->buf.phys_addr + 2 * self->page + 17, 2 * self->page,
			ops[k]);
		EXPECT_EXECUTED();
		ASSERT_EQ(0, cmem_sync(self->fd, readable + 5, 100, ops[k]));
		add_run(&expected, self->buf.phys_addr + 5 * self->page + 5, 100,
			ops[k] == CMEM_SYNC_INVALIDATE ? CMEM_SYNC_WRITE_BACK_INVALIDATE : ops[k]);
		EXPECT_EXECUTED();
	}
	ASSERT_EQ(0, munmap(readable, self->page));
	ASSERT_EQ(0, munmap(map, 3 * self->page));
	close(dmabuf);
	close(reader);
	EXPECT_EXECUTED();
}

/* The trace is as expected; also the execution, where we can read that. */
#define EXPECT_MAINTAINED() do {					\
	ASSERT_LE(0, read_trace());					\
	expect_equal(_metadata, "tracepoint", &traced);			\
	if (self->works)						\
		expect_equal(_metadata, "primitive", &executed);	\
	expected.count = 0;						\
} while (0)

/*
 * vgem is a device that does not snoop by nature: whatever the block says about others,
 * and through whichever descriptor the CPU works.
 */
TEST_F(trace, a_device_that_does_not_snoop_has_it_maintained)
{
	int dmabuf, another, vgem = vgem_open();
	bool maintained;
	__u32 handle;

	/* In a coherent block all mappings are cached. */
	maintained = arch != X86 && (variant->flags & CMEM_ALLOC_CACHED || self->coherent);
	DMABUF_OR_SKIP(self->fd);
	if (vgem < 0)
		SKIP(return, "no vgem in this kernel");
	if (!has_page(self->buf.phys_addr))
		SKIP(return, "this memory has no struct pages");
	dmabuf = cmem_export(self->fd, self->buf.phys_addr, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, dmabuf);
	another = cmem_export(self->fd, self->buf.phys_addr, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, another);
	read_trace();
	/* Before the device gets it */
	ASSERT_EQ(0, vgem_import(vgem, dmabuf, &handle));
	if (maintained)
		add_run(&expected, self->buf.phys_addr, self->buf.length, CMEM_SYNC_WRITE_BACK);
	EXPECT_MAINTAINED();
	ASSERT_EQ(0, dmabuf_sync(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW));
	if (maintained)
		add_run(&expected, self->buf.phys_addr, self->buf.length,
			CMEM_SYNC_WRITE_BACK_INVALIDATE);
	EXPECT_MAINTAINED();
	ASSERT_EQ(0, dmabuf_sync(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW));
	if (maintained)
		add_run(&expected, self->buf.phys_addr, self->buf.length, CMEM_SYNC_WRITE_BACK);
	EXPECT_MAINTAINED();
	/* The other DMA-BUF has no device, but the buffer has. */
	ASSERT_EQ(0, dmabuf_sync(another, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW));
	if (maintained)
		add_run(&expected, self->buf.phys_addr, self->buf.length,
			CMEM_SYNC_WRITE_BACK_INVALIDATE);
	EXPECT_MAINTAINED();
	for (size_t k = 0; k < ARRAY_SIZE(ops); k++) {
		ASSERT_EQ(0, cmem_sync(self->fd, self->map + 5, 100, ops[k]));
		if (maintained)
			add_run(&expected, self->buf.phys_addr + 5, 100, ops[k]);
		EXPECT_MAINTAINED();
	}
	ASSERT_EQ(0, cmem_sync_all(self->fd, CMEM_SYNC_WRITE_BACK));
	if (maintained)
		add_run(&expected, self->buf.phys_addr, self->buf.length, CMEM_SYNC_WRITE_BACK);
	EXPECT_MAINTAINED();
	/* When the device is done */
	ASSERT_EQ(0, vgem_close_handle(vgem, handle));
	if (maintained)
		add_run(&expected, self->buf.phys_addr, self->buf.length,
			CMEM_SYNC_WRITE_BACK_INVALIDATE);
	EXPECT_MAINTAINED();
	ASSERT_EQ(0, dmabuf_sync(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW));
	if (self->works)
		add_run(&expected, self->buf.phys_addr, self->buf.length, CMEM_SYNC_WRITE_BACK);
	EXPECT_MAINTAINED();
	close(dmabuf);
	close(another);
	close(vgem);
}

TEST_F(trace, mapping_writing_and_unmapping_maintain_nothing)
{
	char *map;

	expected.count = 0;
	read_trace();
	map = cmem_map(self->fd, &self->buf);
	ASSERT_MAPPED(map);
	fill(map, self->buf.length, 1);
	ASSERT_EQ(0, munmap(map, self->buf.length));
	EXPECT_EXECUTED();
}

TEST_F(trace, scrubbing_writes_back_and_invalidates_what_it_zeroed)
{
	static struct cmem_alloc held[2048], refill[2048];
	int other_fd = cmem_open();
	int count;

	ASSERT_LE(0, other_fd);
	/*
	 * On 32 bit, that is page by page. Of 6,000 consecutive kprobe events there, ten
	 * were not recorded once, though the kernel counted none as missed or lost.
	 */
	if (source_free(self->fd, &self->src) >
	    (arch == ARM64 ? TOUCH_LIMIT : 2 * SZ_2M) / (variant->heap ? 1 : self->src.length))
		SKIP(return, "too much memory of this kind");
	/* Only a device that does not snoop needs a coherent block maintained. */
	if (arch != X86 && self->coherent) {
		int dmabuf, vgem = vgem_open();
		__u32 handle;

		if (vgem < 0 || arch != ARM64)
			SKIP(return, "no vgem to find the kernel's view of the block with");
		dmabuf = cmem_export(self->fd, self->buf.phys_addr, O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, dmabuf);
		ASSERT_EQ(0, vgem_import(vgem, dmabuf, &handle));
		ASSERT_EQ(0, work_until_mapped(self->fd, self->src.block, self->map, 64));
		alias = 0;
		read_trace();
		ASSERT_EQ(0, cmem_sync(self->fd, self->map, 64, CMEM_SYNC_WRITE_BACK));
		ASSERT_EQ(2, read_trace());
		ASSERT_EQ(1, executed.count);
		alias = executed.run[0].phys_addr - self->buf.phys_addr;
		close(dmabuf);
		close(vgem);
	}
	/* Memory that an owner holds is not scrubbed. Now trace every scrubber. */
	count = drain(other_fd, &self->src, CMEM_ALLOC_CACHED, held, ARRAY_SIZE(held));
	ASSERT_LT(0, count);
	ASSERT_TRUE(trace_enable("cmem/cmem_scrub", 0));
	for (size_t i = 0; i < ARRAY_SIZE(primitives); i++) {
		char event[64];

		snprintf(event, sizeof(event), "cmem_test/%s", primitives[i].event);
		ASSERT_TRUE(trace_everybody(event));
	}
	read_trace();
	only = held;
	num_only = count;
	for (int i = 0; i < count; i++) {
		ASSERT_EQ(0, cmem_free(other_fd, held[i].phys_addr));
	}
	ASSERT_LT(0, drain(self->fd, &self->src, variant->flags, refill, ARRAY_SIZE(refill)));
	ASSERT_LT(0, read_trace());
	ASSERT_EQ(0, kprobes_missed());
	ASSERT_LT(0, traced.count);
	expected = traced;
	/* Also in a coherent block: zeros only in a cache could be dropped. */
	if (arch == X86) {
		expected.count = 0;
		expected.bytes = 0;
	}
	/*
	 * Two may clean at once, the scrubber and a caller that waits for memory, and a
	 * part that the scrubber had begun may be cleaned again.
	 */
	unite(&expected);
	unite(&executed);
	expect_equal(_metadata, "primitive", &executed);
	if (arch != X86)
		EXPECT_EQ(expected.bytes, executed.bytes);
	close(other_fd);
}

TEST_HARNESS_MAIN
