// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl test: does the memory work? For each pool and heap, it allocates what is free,
 * checks that it is zeroed, writes patterns, has them written back, reads them again, and
 * frees everything. It does not touch memory that others hold.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cmemctl.h"

/* The size of a mapped part: it fits into any address space. */
#define WINDOW		(16ULL << 20)
/* The size of each of a sample's two parts, at a buffer's start and end */
#define SAMPLE		(512ULL << 10)
#define SAMPLE_BUFFERS	2
/* The maximum size of a buffer from a heap */
#define HEAP_BUFFER	(64ULL << 20)

/* A pool or heap, cached or not, complete or sampled */
struct run {
	const struct block *block;
	int pool;
	bool cached;
	bool sample;
	int fd;
	struct cmem_alloc *buffer;
	unsigned int buffers;
	uint64_t bytes;
	uint64_t dirty;		/* words that were not zero */
	uint64_t first_dirty;
	struct faults faults;
	const char *failed;	/* a failure other than a memory fault */
	uint64_t failed_at;
	int error;
};

/* The memory under test, for the SIGBUS handler */
static volatile uint64_t looking_at;

static void on_bus_error(int signal)
{
	static const char text[] = "cmemctl test: FAIL: bus error: the memory does not answer (is its clock or power on?) in the 16 MiB from ";
	char address[19] = "0x0000000000000000";
	uint64_t left = looking_at;

	(void)signal;
	for (int i = 17; i > 1; i--, left >>= 4)
		address[i] = "0123456789abcdef"[left & 15];
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0 ||
	    write(STDERR_FILENO, address, 18) < 0 || write(STDERR_FILENO, "\n", 1) < 0)
		_exit(EXIT_FAILED);
	_exit(EXIT_FAILED);
}

static bool give_up(struct run *run, const char *what, uint64_t where, int error)
{
	if (!run->failed) {
		run->failed = what;
		run->failed_at = where;
		run->error = error;
	}
	return false;
}

/* The next part of a buffer to test; false after the last */
static bool next_window(const struct run *run, uint64_t length, uint64_t *offset, uint64_t *size)
{
	uint64_t end = *offset + *size;

	if (end >= length)
		return false;
	*offset = end;
	*size = length - end < WINDOW ? length - end : WINDOW;
	if (run->sample && length > 2 * SAMPLE) {
		*offset = end ? length - SAMPLE : 0;
		*size = SAMPLE;
	}
	return true;
}

enum act { CHECK_ZERO, FILL, CHECK };

static void check_zero(struct run *run, const volatile uint64_t *memory, size_t words,
		       uint64_t phys)
{
	for (size_t i = 0; i < words; i++)
		if (memory[i] && !run->dirty++)
			run->first_dirty = phys + 8 * i;
}

static bool look_at(struct run *run, const struct cmem_alloc *buffer, uint64_t offset,
		    uint64_t size, enum act act, enum pattern pattern)
{
	uint64_t phys = buffer->phys_addr + offset;
	struct cmem_resolve resolve = { .size = sizeof(resolve) };
	volatile uint64_t *memory;
	bool ok = true;
	int ret;

	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, run->fd,
		      buffer->mmap_offset + offset);
	if (memory == MAP_FAILED)
		return give_up(run, "mmap", phys, errno);
	resolve.user_addr = (uintptr_t)memory;
	if (ioctl(run->fd, CMEM_IOCTL_RESOLVE, &resolve))
		ok = give_up(run, "RESOLVE", phys, errno);
	else if (resolve.phys_addr != phys)
		ok = give_up(run, "RESOLVE names another address than was mapped", phys, 0);

	looking_at = phys;
	if (ok && act == CHECK_ZERO)
		check_zero(run, memory, size / 8, phys);
	if (ok && act == FILL)
		pattern_fill(memory, size / 8, phys, pattern);
	if (ok && act == CHECK)
		pattern_check(memory, size / 8, phys, pattern, &run->faults);
	/* The next read comes from memory and not from the cache. */
	if (ok) {
		ret = device_sync(run->fd, memory, size, CMEM_SYNC_WRITE_BACK_INVALIDATE);
		if (ret)
			ok = give_up(run, "SYNC", phys, -ret);
	}
	munmap((void *)memory, size);
	return ok;
}

static bool look_at_all(struct run *run, enum act act, enum pattern pattern)
{
	for (unsigned int i = 0; i < run->buffers; i++) {
		uint64_t offset = 0, size = 0;

		while (next_window(run, run->buffer[i].length, &offset, &size)) {
			if (!look_at(run, &run->buffer[i], offset, size, act, pattern))
				return false;
			if (act == CHECK_ZERO)
				run->bytes += size;
		}
	}
	return true;
}

static bool check_overlap(struct run *run, const struct cmem_alloc *buffer)
{
	for (unsigned int i = 0; i + 1 < run->buffers; i++)
		if (run->sample && buffer->phys_addr < run->buffer[i].phys_addr +
		    run->buffer[i].length &&
		    run->buffer[i].phys_addr < buffer->phys_addr + buffer->length)
			return give_up(run, "two buffers overlap", buffer->phys_addr, 0);
	return true;
}

/* Check the allocation: pages, and in this block, if the block is one range */
static bool check_buffer(struct run *run, const struct cmem_alloc *buffer)
{
	const struct cmem_block_info *b = &run->block->info;

	if (buffer->phys_addr % sysconf(_SC_PAGESIZE))
		return give_up(run, "a buffer is not on a page's border", buffer->phys_addr, 0);
	if (!block_has_range(run->block))
		return check_overlap(run, buffer);
	if (buffer->phys_addr < b->base || buffer->length > b->length ||
	    buffer->phys_addr - b->base > b->length - buffer->length)
		return give_up(run, "a buffer is outside of its block", buffer->phys_addr, 0);
	return check_overlap(run, buffer);
}

/* Allocates what is free; others may allocate meanwhile. */
static bool allocate(struct run *run)
{
	uint64_t page = sysconf(_SC_PAGESIZE);
	struct cmem_block_info info;
	unsigned int room = 0;
	uint64_t length = 0;
	int ret;

	while (!run->sample || run->buffers < SAMPLE_BUFFERS) {
		struct cmem_alloc buffer = {
			.block = run->block->info.block, .pool = run->pool,
			.flags = run->cached ? CMEM_ALLOC_CACHED : 0,
		};

		if (run->pool == CMEM_POOL_HEAP) {
			ret = device_get_block(run->fd, run->block->info.block, &info);
			if (ret)
				return give_up(run, "GET_BLOCK", 0, -ret);
			length = info.heap_largest < HEAP_BUFFER ? info.heap_largest : HEAP_BUFFER;
			if (run->sample && length > 4 * SAMPLE)
				length = 4 * SAMPLE;
			if (length < page)
				break;
		}
		buffer.length = length;
		ret = device_alloc(run->fd, &buffer);
		if (ret == -ENOMEM && run->pool == CMEM_POOL_HEAP) {
			/* Another process was faster: get the new largest size. */
			if (device_get_block(run->fd, run->block->info.block, &info) ||
			    info.heap_largest >= length)
				break;
			continue;
		}
		if (ret == -ENOMEM)
			break;
		if (ret)
			return give_up(run, "ALLOC", 0, -ret);
		grow(run->buffer, run->buffers, room);
		run->buffer[run->buffers++] = buffer;
		if (!check_buffer(run, &buffer))
			return false;
	}
	return true;
}

static void test(struct run *run, bool zeroed)
{
	run->fd = device_open();
	if (allocate(run) && look_at_all(run, CHECK_ZERO, 0)) {
		/* A block that keeps its contents may contain any data. */
		if (!zeroed)
			run->dirty = 0;
		for (unsigned int p = 0; p < NUM_PATTERNS; p++)
			if (!look_at_all(run, FILL, p) || !look_at_all(run, CHECK, p))
				break;
	}
	/* One by one: buffers left at close may go into quarantine. */
	for (unsigned int i = 0; i < run->buffers; i++)
		device_free(run->fd, run->buffer[i].phys_addr);
	close(run->fd);
	free(run->buffer);
}

static bool is_good(const struct run *run)
{
	return !run->failed && !run->faults.words && !run->dirty;
}

static void describe(const struct run *run, char *text, size_t size)
{
	size_t length = 0;

	*text = 0;
	if (run->failed)
		length = snprintf(text, size, "%s at %#" PRIx64 "%s%s; ", run->failed,
				  run->failed_at, run->error ? ": " : "",
				  run->error ? strerror(run->error) : "");
	if (run->dirty && length < size)
		length += snprintf(text + length, size - length,
				   "%" PRIu64 " words of a new buffer were not zero, the first at %#" PRIx64 "; ",
				   run->dirty, run->first_dirty);
	if (run->faults.words && length < size) {
		faults_describe(&run->faults, text + length, size - length);
		length = 0;
	}
	if (length >= 2 && length < size)
		text[length - 2] = 0;
}

static void print_run(const struct run *run)
{
	char text[1024];

	printf("block %d %-4s %4s  %-9s %10s in %u buffer%s%s  ", run->block->info.block,
	       run->pool == CMEM_POOL_HEAP ? "heap" : "pool",
	       run->pool == CMEM_POOL_HEAP ? "" : pool_name(run->pool),
	       run->cached ? "cached" : "uncached", human(run->bytes), run->buffers,
	       run->buffers == 1 ? "" : "s", run->sample ? " (a sample)" : "");
	if (is_good(run) && run->buffers)
		printf("%sok%s\n", colour("32"), colour("0"));
	else if (is_good(run))
		puts("nothing is free: not tested");
	else
		printf("%sFAIL%s\n", colour("1;31"), colour("0"));
	if (!is_good(run)) {
		describe(run, text, sizeof(text));
		printf("    %s\n", text);
	}
	fflush(stdout);
}

static void json_run(const struct run *run)
{
	char text[1024];

	json_open(NULL, '{');
	json_signed("block", run->block->info.block);
	json_pool(run->pool);
	json_bool("cached", run->cached);
	json_bool("sample", run->sample);
	json_number("buffers", run->buffers);
	json_number("bytes", run->bytes);
	json_number("faulty_words", run->faults.words);
	json_bool("ok", is_good(run));
	if (!is_good(run)) {
		describe(run, text, sizeof(text));
		json_string("fault", text);
	}
	json_close('}');
}

struct total {
	uint64_t bytes;
	uint64_t held;
	unsigned int buffers;
	unsigned int runs;
	unsigned int failed;
	unsigned int kept;	/* skipped blocks */
};

/* Its contents belong to a user, even without a holder. */
static bool keeps_contents(const struct block *block)
{
	return block->info.out_flags & CMEM_BLOCK_KEEP_CONTENTS;
}

/* Why a block is only tested if named, or NULL */
static const char *left_out(const struct block *block)
{
	if (keeps_contents(block))
		return "keeps its contents, which a test overwrites";
	if (!block_has_range(block))
		return "is CMA, whose memory the kernel uses as well";
	return NULL;
}

static void test_source(const struct blocks *blocks, const struct block *block, int pool,
			bool quick, struct total *total)
{
	bool zeroed = blocks->info.features & CMEM_FEATURE_SCRUB && !keeps_contents(block);

	/* Test cached mappings in full, for speed; uncached ones by a sample */
	for (int cached = 1; cached >= 0; cached--) {
		struct run run = {
			.block = block, .pool = pool, .cached = cached,
			.sample = quick || !cached,
		};

		test(&run, zeroed);
		total->runs++;
		total->failed += !is_good(&run);
		if (cached) {
			total->bytes += run.bytes;
			total->buffers += run.buffers;
		}
		if (settings.json)
			json_run(&run);
		else
			print_run(&run);
	}
}

static uint64_t source_held(const struct block *block)
{
	return block->info.length - blocks_free_bytes(block);
}

static bool print_verdict(const struct total *total)
{
	bool good = !total->failed && total->bytes;

	if (settings.json) {
		json_close(']');
		json_number("bytes", total->bytes);
		json_number("buffers", total->buffers);
		json_number("held_by_others", total->held);
		json_number("blocks_left_out", total->kept);
		json_number("patterns", NUM_PATTERNS);
		json_string("verdict", good ? "pass" : "fail");
		json_end();
		return good;
	}
	if (total->failed)
		printf("%sFAIL%s: %u of %u runs, over %s, found faults\n", colour("1;31"),
		       colour("0"), total->failed, total->runs, human(total->bytes));
	else if (!total->bytes)
		printf("%sFAIL%s: nothing is free, so nothing was tested\n", colour("1;31"),
		       colour("0"));
	else
		printf("%sPASS%s: %" PRIu64 " bytes (%s) in %u buffers, %d patterns, no fault\n",
		       colour("1;32"), colour("0"), total->bytes, human(total->bytes),
		       total->buffers, NUM_PATTERNS);
	if (total->held)
		printf("not tested, because others hold it: %s\n", human(total->held));
	return good;
}

static int run_test(int argc, char **argv)
{
	static const struct option options[] = {
		{ "quick", no_argument, NULL, 'q' },
		COMMON_OPTIONS
	};
	struct sigaction action = { .sa_handler = on_bus_error };
	struct total total = { };
	struct blocks blocks;
	int id = ALL_BLOCKS;
	bool quick = false;

	while (next_option(&test_command, argc, argv, "q", options) != -1)
		quick = true;
	if (optind < argc)
		id = parse_block(argv[optind++]);
	if (optind < argc)
		usage("one BLOCK at most: '%s' is too many", argv[optind]);

	sigaction(SIGBUS, &action, NULL);
	device_get_blocks(device_open(), id, &blocks);
	if (settings.json) {
		json_begin(false);
		json_open("runs", '[');
	}
	for (unsigned int i = 0; i < blocks.count; i++) {
		const struct block *block = &blocks.block[i];

		if (left_out(block) && id == ALL_BLOCKS) {
			total.kept++;
			if (!settings.json)
				printf("block %d %s: not tested unless it is named\n",
				       block->info.block, left_out(block));
			continue;
		}
		total.held += source_held(block);
		for (unsigned int p = 0; p < block->info.num_pools; p++)
			test_source(&blocks, block, p, quick, &total);
		if (block->info.heap_size)
			test_source(&blocks, block, CMEM_POOL_HEAP, quick, &total);
	}
	return print_verdict(&total) ? 0 : EXIT_FAILED;
}

const struct command test_command = {
	.name = "test",
	.summary = "does the memory work: a check for a new board",
	.help =
"Usage: cmemctl test [--quick] [--json] [BLOCK]\n"
"Allocates what is free of each pool and heap (of BLOCK alone, if it is given), sees\n"
"that it comes zeroed, writes patterns that show faults of data and address lines,\n"
"has them written back, reads them again, and frees it. Says PASS or FAIL, and exits\n"
"with 0 or 1. What others hold is not touched; but while a pool or heap is tested,\n"
"nothing of it is free for others. A block that keeps its contents is only tested when\n"
"it is named: they are overwritten. So is the block of CMA, of whose memory the kernel\n"
"has to let go first.\n"
"\n"
"  -q, --quick     a sample: two buffers of each pool and heap, 1 MiB of each\n"
"      --json      print JSON, with sizes in bytes\n"
"      --color=WHEN\n"
"                  auto, always or never\n",
	.run = run_test,
};
