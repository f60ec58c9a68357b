// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's half of "make bench": the cost of CMEM's operations, and of the same
 * operations with the kernel's other allocators of shareable memory.
 *
 * It needs QEMU's -icount shift=0 on one CPU, where a nanosecond is an instruction.
 * lab/bench/run starts it so, and a loop with a known instruction count checks this.
 * arm64's clock ticks once in 16 instructions, x86's with each, so many operations are
 * timed at once. Each result is one line of JSON on standard output;
 * lab/bench/limits.json has the limits.
 *
 *	instructions	of the whole machine while this thread worked, with RCU and
 *			timer ticks, but without idling for a disk, and without those of
 *	worker		the kernel threads that zero freed buffers, counted until they
 *			catch up
 *	thread		of this thread alone, with the kernel's work for it
 *	faults		page faults of this thread
 *	waits		how often this thread slept
 *
 * each for one operation: the median of the samples.
 *
 *	bench [SAMPLES]		measure all rows
 *	bench memory		report the free memory (the difference between boots with
 *				and without a pool is the pool's cost); and measure the
 *				rows for a board whose devices snoop the caches
 *	bench pages:SAMPLES	measure the rows of page-backed buffers, on a board with
 *				pools for them and a disk
 *	bench ROW:COUNT		run one row's operation COUNT times, for lab/bench/profile
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/cmem.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <ti/cmem.h>

#define KIB			1024UL
#define MIB			(1024 * KIB)
#define PAGE			(4 * KIB)

#define LEAST_OPERATIONS	64		/* per sample, due to the clock's tick */
#define SAMPLE_INSTRUCTIONS	(8 * 1000000.0)	/* enough for a shorter sample */
#define MOST_WORKERS		64
#define LIVE_BUFFERS		100000
#define WEIGHED_BUFFERS		50000
#define FRAGMENTS		4096
#define LIBRARY_BUFFERS		10000
#define ENOUGH_WORK		2048		/* SYNCs: for a block of 1 GiB, see cmem_alias_pays() */
#define DISK			"/dev/vda"

static int cmem;		/* owner of all buffers, except in two-owner rows */
static int samples = 11;
static const char *only_row;	/* the row to run, not measure */
static long only_count;		/* this many times */

static void __attribute__((noreturn, format(printf, 1, 2)))
fail(const char *format, ...)
{
	va_list arguments;

	printf("bench: ");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	exit(EXIT_FAILURE);
}

static void *checked(void *memory)
{
	if (!memory)
		fail("the guest is out of memory: give it more with QEMU's -m");
	return memory;
}

/* CMEM */

struct source {		/* a source of buffers, their length, and how to allocate them */
	int block;
	int pool;
	size_t length;
	uint32_t flags;
};

/* Inline, here and below: each instruction of the benchmark's own counts. */
static inline struct cmem_alloc allocate_buffer(int owner, const struct source *source)
{
	struct cmem_alloc request = {
		.size = sizeof(request), .block = source->block, .pool = source->pool,
		.flags = source->flags, .length = source->length,
	};

	if (ioctl(owner, CMEM_IOCTL_ALLOC, &request))
		fail("CMEM_IOCTL_ALLOC of %zu bytes from block %d, pool %d: %s",
		     source->length, source->block, source->pool, strerror(errno));
	return request;
}

static uint64_t allocate(int owner, const struct source *source)
{
	return allocate_buffer(owner, source).phys_addr;
}

static inline void release(int owner, uint64_t phys_addr)
{
	struct cmem_free request = { .size = sizeof(request), .phys_addr = phys_addr };

	if (ioctl(owner, CMEM_IOCTL_FREE, &request))
		fail("CMEM_IOCTL_FREE of 0x%llx: %s", (unsigned long long)phys_addr,
		     strerror(errno));
}

static struct cmem_info get_info(void)
{
	struct cmem_info info = { .size = sizeof(info) };

	if (ioctl(cmem, CMEM_IOCTL_GET_INFO, &info))
		fail("CMEM_IOCTL_GET_INFO: %s", strerror(errno));
	return info;
}

static bool get_block(int number, struct cmem_block_info *block)
{
	*block = (struct cmem_block_info) { .size = sizeof(*block), .block = number };
	if (!ioctl(cmem, CMEM_IOCTL_GET_BLOCK, block))
		return true;
	if (errno != ENOENT)
		fail("CMEM_IOCTL_GET_BLOCK of block %d: %s", number, strerror(errno));
	return false;
}

static struct cmem_pool_info get_pool(int block, int number)
{
	struct cmem_pool_info pool = {
		.size = sizeof(pool), .block = block, .pool = number,
	};

	if (ioctl(cmem, CMEM_IOCTL_GET_POOL, &pool))
		fail("CMEM_IOCTL_GET_POOL of block %d, pool %d: %s", block, number,
		     strerror(errno));
	return pool;
}

/* The largest pool with buffers of this length, in a block with all of these flags. */
static struct source find_pool_in(size_t length, uint32_t least, uint32_t block_flags)
{
	struct source found = { .length = length, .flags = CMEM_ALLOC_CACHED };
	struct cmem_block_info block;
	uint32_t count = 0;

	for (uint32_t b = 0; b < get_info().block_limit; b++) {
		if (!get_block(b, &block) || (block.out_flags & block_flags) != block_flags)
			continue;
		for (uint32_t p = 0; p < block.num_pools; p++) {
			struct cmem_pool_info pool = get_pool(b, p);

			if (pool.length == length && pool.count > count) {
				found.block = b;
				found.pool = p;
				count = pool.count;
			}
		}
	}
	if (count < least)
		fail("no pool has %u buffers of %zu KiB: start the board qemu-arm64 or qemu-x86_64, or give its benchmark block such a pool",
		     least, length / KIB);
	return found;
}

static struct source find_pool(size_t length, uint32_t least)
{
	return find_pool_in(length, least, 0);
}

static struct source find_pages_pool(size_t length)
{
	struct source found = find_pool_in(length, 1, CMEM_BLOCK_CAN_PAGES);

	found.flags |= CMEM_ALLOC_PAGES;
	return found;
}

static struct source find_heap(size_t length)
{
	struct source found = {
		.pool = CMEM_POOL_HEAP, .length = length, .flags = CMEM_ALLOC_CACHED,
	};
	struct cmem_block_info block;
	uint64_t largest = 0;

	for (uint32_t b = 0; b < get_info().block_limit; b++)
		if (get_block(b, &block) && block.heap_largest > largest) {
			found.block = b;
			largest = block.heap_largest;
		}
	/* Twice as many pages as fragments, and room behind them. */
	if (largest < 2 * FRAGMENTS * PAGE + 2 * MIB)
		fail("no block has a heap of %lu MiB: start the board qemu-arm64 or qemu-x86_64, or make its heap larger",
		     2 * FRAGMENTS * PAGE / MIB + 2);
	return found;
}

static bool all_clean(void)
{
	struct cmem_block_info block;

	for (uint32_t b = 0; b < get_info().block_limit; b++) {
		/* On-chip memory is not cleaned before its first use. */
		if (!get_block(b, &block) || block.out_flags & CMEM_BLOCK_KEEP_CONTENTS ||
		    block.kind == CMEM_KIND_SRAM)
			continue;
		if (block.heap_clean != block.heap_free)
			return false;
		for (uint32_t p = 0; p < block.num_pools; p++) {
			struct cmem_pool_info pool = get_pool(b, p);

			if (pool.clean != pool.free)
				return false;
		}
	}
	return true;
}

/* The kernel zeroes free memory in the background: at boot all, later freed memory. */
static void settle(void)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000000 };
	int tries = 60 * 100;

	while (!all_clean()) {
		if (!tries--)
			fail("free memory is still not all clean after a minute: see \"dirty\" in /proc/cmem or GET_POOL");
		nanosleep(&pause, NULL);
	}
}

/* Measuring */

static clockid_t workers[MOST_WORKERS];
static int num_workers;

/* Works for any process's CPU clock, also a kernel thread's. */
static void find_workers(void)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;
	char path[PATH_MAX], name[32];

	while (processes && (entry = readdir(processes))) {
		FILE *comm;

		if (!isdigit(entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		comm = fopen(path, "r");
		if (!comm)
			continue;
		if (fgets(name, sizeof(name), comm) && !strncmp(name, "cmem-scrub", 10) &&
		    num_workers < MOST_WORKERS &&
		    !clock_getcpuclockid(atoi(entry->d_name), &workers[num_workers]))
			num_workers++;
		fclose(comm);
	}
	if (processes)
		closedir(processes);
	if (!num_workers)
		fail("there is no kernel thread cmem-scrub/...: what clears freed memory would not be counted");
}

static double read_clock(clockid_t clock)
{
	struct timespec now;

	if (clock_gettime(clock, &now))
		fail("reading a clock: %s", strerror(errno));
	return now.tv_sec * 1e9 + now.tv_nsec;
}

/* 2 instructions per iteration, and nothing more */
static void turn(unsigned long turns)
{
#if defined(__aarch64__)
	__asm__ volatile("1: subs %0, %0, #1\n\tb.ne 1b" : "+r" (turns) : : "cc");
#elif defined(__x86_64__)
	__asm__ volatile("1: dec %0\n\tjnz 1b" : "+r" (turns) : : "cc");
#else
#error "which are two instructions here?"
#endif
}

static void check_clock(void)
{
	const double known = 16 * 1000000;
	double start = read_clock(CLOCK_MONOTONIC_RAW), counted;

	turn(known / 2);
	counted = read_clock(CLOCK_MONOTONIC_RAW) - start;
	/* Some timer ticks are included. */
	if (counted < 0.999 * known || counted > 1.01 * known)
		fail("%.0f instructions took %.0f ns: the clock does not count instructions", known,
		     counted);
	printf("{\"row\": \"clock\", \"instructions\": %.0f, \"nanoseconds\": %.0f}\n", known,
	       counted);
}

static double read_workers(void)
{
	double sum = 0;

	for (int i = 0; i < num_workers; i++)
		sum += read_clock(workers[i]);
	return sum;
}

/*
 * Under -icount the clock jumps ahead while the CPU is idle. So while an operation waits
 * for a disk, a process without priority counts how often it can execute a loop of known
 * length. It is the only one that gets CPU time without work to do, and that time is not
 * the operation's.
 */
static volatile uint64_t *idle_turns;	/* NULL without such a process */
static pid_t idler;

#if defined(__aarch64__)
#define IDLE_TURN	4	/* instructions */
#else
#define IDLE_TURN	2
#endif

static void __attribute__((noreturn)) idle(void)
{
#if defined(__aarch64__)
	uint64_t turns;

	__asm__ volatile("1: ldr %0, [%1]\n\tadd %0, %0, #1\n\tstr %0, [%1]\n\tb 1b"
			 : "=&r" (turns) : "r" (idle_turns) : "memory");
#else
	__asm__ volatile("1: incq (%0)\n\tjmp 1b" : : "r" (idle_turns) : "memory");
#endif
	__builtin_unreachable();
}

static void start_idler(void)
{
	const struct sched_param none = { 0 };
	pid_t parent = getpid();
	void *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (shared == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	idle_turns = shared;
	fflush(stdout);
	idler = fork();
	if (idler < 0)
		fail("fork: %s", strerror(errno));
	if (idler)
		return;
	/* It ends with its parent, however that ends. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent ||
	    sched_setscheduler(0, SCHED_IDLE, &none))
		_exit(EXIT_FAILURE);
	idle();
}

static void stop_idler(void)
{
	int status;

	kill(idler, SIGKILL);
	if (waitpid(idler, &status, 0) != idler || !WIFSIGNALED(status))
		fail("the process that counts idle time has ended: SCHED_IDLE is needed");
	munmap((void *)idle_turns, PAGE);
	idle_turns = NULL;
}

/* Instructions that nothing had work for */
static double read_idle(void)
{
	return idle_turns ? *idle_turns * (double)IDLE_TURN : 0;
}

enum { INSTRUCTIONS, WORKER, THREAD, FAULTS, WAITS, NUM_COLUMNS };

static const char * const column_names[NUM_COLUMNS] = {
	"instructions", "worker", "thread", "faults", "waits",
};

struct reading {
	double column[NUM_COLUMNS];
};

/* All but WORKER, which is read when the workers have caught up. */
static struct reading read_counters(void)
{
	struct rusage usage;
	struct reading now = { 0 };

	getrusage(RUSAGE_THREAD, &usage);
	now.column[FAULTS] = usage.ru_minflt + usage.ru_majflt;
	now.column[WAITS] = usage.ru_nvcsw;
	now.column[THREAD] = read_clock(CLOCK_THREAD_CPUTIME_ID);
	now.column[INSTRUCTIONS] = read_clock(CLOCK_MONOTONIC_RAW) - read_workers() - read_idle();
	return now;
}

/* The cost of reading the counters, included in their values. */
static struct reading own_cost;

/* Sleeping must cost no more than the timer ticks in between. */
static void check_idler(void)
{
	const struct timespec pause = { .tv_nsec = 16 * 1000000 };
	double start = read_counters().column[INSTRUCTIONS], counted;

	nanosleep(&pause, NULL);
	counted = read_counters().column[INSTRUCTIONS] - start;
	if (counted < 0 || counted > 0.01 * pause.tv_nsec)
		fail("a sleep of %ld ns took %.0f instructions: idle time is counted", pause.tv_nsec,
		     counted);
}

typedef void (*operation)(void *context);

static void run_batch(operation operate, void *context, long count, struct reading *sum)
{
	struct reading start = read_counters(), end;

	for (long i = 0; i < count; i++)
		operate(context);
	end = read_counters();
	for (int c = 0; c < NUM_COLUMNS; c++)
		sum->column[c] += end.column[c] - start.column[c] - own_cost.column[c];
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values, int count)
{
	qsort(values, count, sizeof(*values), compare);
	return count % 2 ? values[count / 2] :
		(values[count / 2 - 1] + values[count / 2]) / 2;
}

static void calibrate(void)
{
	double instructions[101], thread[101];

	for (int i = 0; i < 101; i++) {
		struct reading nothing = { 0 };

		run_batch(NULL, NULL, 0, &nothing);
		instructions[i] = nothing.column[INSTRUCTIONS];
		thread[i] = nothing.column[THREAD];
	}
	own_cost.column[INSTRUCTIONS] = median(instructions, 101);
	own_cost.column[THREAD] = median(thread, 101);
}

/*
 * The rows. Between two batches of at most @batch operations all freed memory is zeroed,
 * so that an operation that needs clean memory finds some.
 */
static void measure_in_batches(const char *row, operation operate, void *context, long batch)
{
	struct reading first = { 0 }, sample;
	double (*values)[samples] = checked(malloc(sizeof(double) * samples * NUM_COLUMNS));
	long operations = LEAST_OPERATIONS;

	if (only_row) {
		if (strcmp(row, only_row))
			return;
		operate(context);
		settle();
		for (long left = only_count; left > 0; left -= batch) {
			run_batch(operate, context, left < batch ? left : batch, &first);
			settle();
		}
		printf("{\"row\": \"%s\", \"operations\": %ld}\n", row, only_count);
		exit(EXIT_SUCCESS);
	}

	/* Once to warm up, and once to measure the length of one. */
	operate(context);
	settle();
	run_batch(operate, context, 1, &first);
	settle();
	if (first.column[INSTRUCTIONS] * operations > SAMPLE_INSTRUCTIONS)
		operations = SAMPLE_INSTRUCTIONS / first.column[INSTRUCTIONS] + 1;

	for (int i = 0; i < samples; i++) {
		double workers_before = read_workers();

		sample = (struct reading) { 0 };
		for (long left = operations; left > 0; left -= batch) {
			run_batch(operate, context, left < batch ? left : batch, &sample);
			settle();
		}
		sample.column[WORKER] = read_workers() - workers_before;
		for (int c = 0; c < NUM_COLUMNS; c++)
			values[c][i] = sample.column[c] / operations;
	}

	printf("{\"row\": \"%s\", \"samples\": %d, \"operations\": %ld", row, samples, operations);
	for (int c = 0; c < NUM_COLUMNS; c++)
		printf(", \"%s\": %.2f", column_names[c], median(values[c], samples));
	printf("}\n");
	fflush(stdout);
	free(values);
}

static void measure(const char *row, operation operate, void *context)
{
	measure_in_batches(row, operate, context, LONG_MAX);
}

/* The operations on CMEM */

static void empty_ioctl(void *context)
{
	(void)context;
	/* An ioctl number of CMEM's type that no kernel has. */
	if (ioctl(cmem, _IO(CMEM_IOCTL_TYPE, 0xff), 0) != -1)
		fail("an unknown ioctl of /dev/cmem did not fail");
}

static void allocate_free(void *context)
{
	release(cmem, allocate(cmem, context));
}

/* Without a user mapping: the kernel maps the memory if its block is not mapped. */
static void allocate_sync_free(void *context)
{
	const struct source *source = context;
	uint64_t phys = allocate(cmem, source);
	struct cmem_sync_range range = {
		.user_addr = phys, .length = source->length, .op = CMEM_SYNC_WRITE_BACK,
	};
	struct cmem_sync request = {
		.size = sizeof(request), .flags = CMEM_SYNC_BY_PHYS,
		.ranges = (uintptr_t)&range, .num_ranges = 1,
	};

	if (ioctl(cmem, CMEM_IOCTL_SYNC, &request))
		fail("CMEM_IOCTL_SYNC of %zu bytes: %s", source->length, strerror(errno));
	release(cmem, phys);
}

struct two_owners {
	int owner[2];
	unsigned int turn;
	struct source source;
};

static void take_turns(void *context)
{
	struct two_owners *two = context;
	int owner = two->owner[two->turn++ % 2];

	release(owner, allocate(owner, &two->source));
}

/* One store per page. */
static void touch(void *memory, size_t length)
{
	for (volatile char *page = memory, *end = page + length; page < end; page += PAGE)
		*page = 1;
}

static void touch_mapping(int fd, size_t length, uint64_t offset)
{
	void *mapping = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	if (mapping == MAP_FAILED)
		fail("mmap of %zu bytes: %s", length, strerror(errno));
	touch(mapping, length);
	if (munmap(mapping, length))
		fail("munmap: %s", strerror(errno));
}

static void cmem_cycle(void *context)
{
	const struct source *source = context;
	struct cmem_alloc buffer = allocate_buffer(cmem, source);

	touch_mapping(cmem, source->length, buffer.mmap_offset);
	release(cmem, buffer.phys_addr);
}

static void cmem_use(void *context)
{
	const struct cmem_alloc *buffer = context;

	touch_mapping(cmem, buffer->length, buffer->mmap_offset);
}

struct mapped {
	void *mapping;
	size_t length;
};

static void resolve(void *context)
{
	struct mapped *buffer = context;
	struct cmem_resolve request = {
		.size = sizeof(request), .user_addr = (uintptr_t)buffer->mapping,
	};

	if (ioctl(cmem, CMEM_IOCTL_RESOLVE, &request))
		fail("CMEM_IOCTL_RESOLVE: %s", strerror(errno));
}

static void write_back(void *context)
{
	struct mapped *buffer = context;
	struct cmem_sync_range range = {
		.user_addr = (uintptr_t)buffer->mapping, .length = buffer->length,
		.op = CMEM_SYNC_WRITE_BACK,
	};
	struct cmem_sync request = {
		.size = sizeof(request), .ranges = (uintptr_t)&range, .num_ranges = 1,
	};

	if (ioctl(cmem, CMEM_IOCTL_SYNC, &request))
		fail("CMEM_IOCTL_SYNC: %s", strerror(errno));
}

/* Writes to a disk */

struct record {
	int disk;
	void *memory;
	size_t length;
	off_t offset;
};

static void write_record(void *context)
{
	const struct record *record = context;
	ssize_t written = pwrite(record->disk, record->memory, record->length, record->offset);

	if (written != (ssize_t)record->length)
		fail("writing %zu bytes to " DISK ": %s", record->length,
		     written < 0 ? strerror(errno) : "it took less");
}

static void write_record_through_cache(void *context)
{
	const struct record *record = context;

	write_record(context);
	if (fsync(record->disk))
		fail("fsync of " DISK ": %s", strerror(errno));
}

/* The library, and the same with direct ioctls, from the best pool of a block */

static CMEM_AllocParams cached_pool = { .type = CMEM_POOL, .flags = CMEM_CACHED };

static void map_bare(void *context)
{
	const struct source *source = context;
	struct source best = {
		.block = source->block, .pool = CMEM_POOL_BEST, .length = source->length,
		.flags = source->flags,
	};
	uint64_t phys_addr = allocate(cmem, &best);
	void *mapping = mmap(NULL, source->length, PROT_READ | PROT_WRITE, MAP_SHARED, cmem,
			     phys_addr);

	if (mapping == MAP_FAILED || munmap(mapping, source->length))
		fail("mmap and munmap of %zu bytes: %s", source->length, strerror(errno));
	release(cmem, phys_addr);
}

static void *library_allocate(const struct source *source)
{
	void *buffer = CMEM_alloc2(source->block, source->length, &cached_pool);

	if (!buffer)
		fail("CMEM_alloc2 of %zu bytes from block %d: %s", source->length, source->block,
		     strerror(errno));
	return buffer;
}

static void library_free(void *buffer)
{
	if (CMEM_free(buffer, &cached_pool))
		fail("CMEM_free: %s", strerror(errno));
}

static void map_by_library(void *context)
{
	library_free(library_allocate(context));
}

struct library_buffers {
	char **buffers;
	unsigned int count;
	unsigned int next;
};

/* Each buffer in turn, at an offset inside it */
static void get_phys(void *context)
{
	struct library_buffers *live = context;

	if (!CMEM_getPhys(live->buffers[live->next] + 1234))
		fail("CMEM_getPhys: %s", strerror(errno));
	if (++live->next == live->count)
		live->next = 0;
}

static void library_write_back(void *context)
{
	struct mapped *buffer = context;

	if (CMEM_cacheWb(buffer->mapping, buffer->length))
		fail("CMEM_cacheWb: %s", strerror(errno));
}

/* The peers: each returns a dma-buf; closing it frees the memory. */

struct peer {
	const char *name;
	int device;
	int (*allocate)(const struct peer *peer, size_t length);
	size_t length;
	int buffer;
};

static int heap_allocate(const struct peer *peer, size_t length)
{
	struct dma_heap_allocation_data request = {
		.len = length, .fd_flags = O_RDWR | O_CLOEXEC,
	};

	if (ioctl(peer->device, DMA_HEAP_IOCTL_ALLOC, &request))
		fail("dma-heap %s has no %zu bytes: %s: the guest needs more memory, or a larger cma=",
		     peer->name, length, strerror(errno));
	return request.fd;
}

static int udmabuf_allocate(const struct peer *peer, size_t length)
{
	int memory = memfd_create("bench", MFD_ALLOW_SEALING | MFD_CLOEXEC), buffer;
	struct udmabuf_create request = {
		.memfd = memory, .flags = UDMABUF_FLAGS_CLOEXEC, .size = length,
	};

	if (memory < 0 || ftruncate(memory, length) ||
	    fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK))
		fail("a memfd of %zu bytes: %s", length, strerror(errno));
	buffer = ioctl(peer->device, UDMABUF_CREATE, &request);
	if (buffer < 0)
		fail("udmabuf of %zu bytes: %s", length, strerror(errno));
	close(memory);
	return buffer;
}

static void peer_allocate_free(void *context)
{
	struct peer *peer = context;

	close(peer->allocate(peer, peer->length));
}

static void peer_cycle(void *context)
{
	struct peer *peer = context;
	int buffer = peer->allocate(peer, peer->length);

	touch_mapping(buffer, peer->length, 0);
	close(buffer);
}

static void peer_use(void *context)
{
	struct peer *peer = context;

	touch_mapping(peer->buffer, peer->length, 0);
}

static void peer_sync(void *context)
{
	struct peer *peer = context;
	struct dma_buf_sync begin = { DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	struct dma_buf_sync end = { DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW };

	if (ioctl(peer->buffer, DMA_BUF_IOCTL_SYNC, &begin) ||
	    ioctl(peer->buffer, DMA_BUF_IOCTL_SYNC, &end))
		fail("DMA_BUF_IOCTL_SYNC of a buffer of %s: %s", peer->name, strerror(errno));
}

/* Operations on one buffer with a permanent DMA-BUF */
static void measure_buffer(const char *row, operation operate, struct peer *peer)
{
	peer->buffer = peer->allocate(peer, peer->length);
	touch_mapping(peer->buffer, peer->length, 0);
	measure(row, operate, peer);
	close(peer->buffer);
	settle();
}

static int open_peer(const char *path, const char *option)
{
	int device = open(path, O_RDWR | O_CLOEXEC);

	if (device < 0 && option)
		fail("%s: %s: the kernel needs %s", path, strerror(errno), option);
	return device;
}

static struct peer open_heap_of(const struct source *pool)
{
	struct peer heap = { "cmem", -1, heap_allocate, pool->length, -1 };
	uint32_t free = get_pool(pool->block, pool->pool).free;
	char path[64];
	int buffer;

	snprintf(path, sizeof(path), "/dev/dma_heap/cmem-%d", pool->block);
	heap.device = open_peer(path, "CONFIG_TI_CMEM=y and CONFIG_DMABUF_HEAPS=y");
	buffer = heap.allocate(&heap, heap.length);
	if (get_pool(pool->block, pool->pool).free != free - 1)
		fail("%s did not take %zu KiB from pool %d", path, pool->length / KIB, pool->pool);
	close(buffer);
	settle();
	return heap;
}

/* The rows */

static void measure_dma_heap(void)
{
	static const struct {
		const char *name;
		size_t length;
		bool dirty;
	} sizes[] = {
		{ "4k", 4 * KIB, true }, { "64k", 64 * KIB, false }, { "1m", MIB, true },
		{ "16m", 16 * MIB, false }, { "64m", 64 * MIB, true },
	};
	char row[32];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct source pool = find_pool(sizes[i].length, 1);
		uint32_t count = get_pool(pool.block, pool.pool).count, held = 0;
		struct peer heap = open_heap_of(&pool);
		uint64_t *others;

		/* As above, one clean buffer remains. */
		snprintf(row, sizeof(row), "dmaheap-%s-ready", sizes[i].name);
		measure_in_batches(row, peer_allocate_free, &heap, count > 1 ? count / 2 : 1);

		if (sizes[i].dirty) {
			/* Only one buffer exists, which was just freed. */
			others = checked(malloc(count * sizeof(*others)));
			while (held < count - 1)
				others[held++] = allocate(cmem, &pool);
			snprintf(row, sizeof(row), "dmaheap-%s-dirty", sizes[i].name);
			measure(row, peer_allocate_free, &heap);
			while (held)
				release(cmem, others[--held]);
			settle();
			free(others);
		}
		if (sizes[i].length == 64 * MIB)
			measure_buffer("dmaheap-use-64m", peer_use, &heap);
		close(heap.device);
	}
}

/* With devices that snoop the caches, or that do not access our buffers */
static void measure_coherent(void)
{
	struct source pool = find_pool(MIB, 1);
	struct peer heap = open_heap_of(&pool);
	struct cmem_block_info block;
	struct peer system = {
		"system", open_peer("/dev/dma_heap/system", "CONFIG_DMABUF_HEAPS_SYSTEM=y"),
		heap_allocate, MIB, -1
	};

	if (!get_block(pool.block, &block) || !(block.out_flags & CMEM_BLOCK_COHERENT))
		fail("devices do not snoop the caches: start the board with \"dma-coherent\" in its ti,cmem node");
	measure_buffer("dmaheap-sync", peer_sync, &heap);
	measure_buffer("system-sync", peer_sync, &system);
	close(system.device);
	close(heap.device);
}

static void measure_pools(void)
{
	static const struct {
		const char *row;
		size_t length;
	} sizes[] = {
		{ "pool-4k", 4 * KIB }, { "pool-64k", 64 * KIB }, { "pool-1m", MIB },
		{ "pool-16m", 16 * MIB }, { "pool-64m", 64 * MIB },
	};
	struct source source = find_pool(4 * KIB, LIVE_BUFFERS + 1);
	uint64_t *live = checked(malloc(LIVE_BUFFERS * sizeof(*live)));

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct source pool = find_pool(sizes[i].length, 1);

		measure(sizes[i].row, allocate_free, &pool);
	}

	live[0] = allocate(cmem, &source);
	measure("pool-4k-live-1", allocate_free, &source);
	for (int i = 1; i < LIVE_BUFFERS; i++)
		live[i] = allocate(cmem, &source);
	measure("pool-4k-live-100000", allocate_free, &source);
	for (int i = 0; i < LIVE_BUFFERS; i++)
		release(cmem, live[i]);
	settle();
	free(live);

	/* The same by length instead of the pool number. */
	source.pool = CMEM_POOL_BEST;
	measure("pool-best-4k", allocate_free, &source);
}

static int open_disk(int flags)
{
	int disk = open(DISK, O_RDWR | O_CLOEXEC | flags);

	if (disk < 0)
		fail(DISK ": %s: the board needs a disk", strerror(errno));
	return disk;
}

static void *map_buffer(const struct cmem_alloc *buffer)
{
	void *mapping = mmap(NULL, buffer->length, PROT_READ | PROT_WRITE, MAP_SHARED, cmem,
			     buffer->mmap_offset);

	if (mapping == MAP_FAILED)
		fail("mmap of %llu bytes: %s", (unsigned long long)buffer->length,
		     strerror(errno));
	touch(mapping, buffer->length);
	return mapping;
}

/* As malloc() returns it, but for the size of its pages */
static void measure_write_of_malloc(const char *row, struct record *record, int advice)
{
	if (posix_memalign(&record->memory, 2 * MIB, record->length))
		fail("the guest is out of memory: give it more with QEMU's -m");
	if (madvise(record->memory, record->length, advice))
		fail("madvise: %s", strerror(errno));
	touch(record->memory, record->length);
	measure(row, write_record, record);
	free(record->memory);
}

static void measure_writes(const struct source *pages)
{
	struct source plain = find_pool(pages->length, 1);
	struct cmem_alloc buffer = allocate_buffer(cmem, pages);
	struct record record = { .disk = open_disk(O_DIRECT), .length = pages->length };

	start_idler();
	check_idler();
	record.memory = map_buffer(&buffer);
	measure("pages-write-64m", write_record, &record);
	munmap(record.memory, record.length);
	release(cmem, buffer.phys_addr);

	measure_write_of_malloc("malloc-write-64m", &record, MADV_NOHUGEPAGE);
	measure_write_of_malloc("malloc-huge-write-64m", &record, MADV_HUGEPAGE);
	close(record.disk);

	record.disk = open_disk(0);
	buffer = allocate_buffer(cmem, &plain);
	record.memory = map_buffer(&buffer);
	measure("plain-write-64m", write_record_through_cache, &record);
	munmap(record.memory, record.length);
	release(cmem, buffer.phys_addr);
	close(record.disk);
	stop_idler();
	settle();
}

static void measure_pages(void)
{
	struct source small = find_pages_pool(4 * KIB), large = find_pages_pool(64 * MIB);
	struct cmem_alloc buffer;

	measure("pages-cycle-4k", cmem_cycle, &small);
	buffer = allocate_buffer(cmem, &large);
	measure("pages-use-64m", cmem_use, &buffer);
	release(cmem, buffer.phys_addr);
	settle();
	measure_writes(&large);
}

static int open_cmem(void)
{
	int fd = open("/dev/cmem", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fail("/dev/cmem: %s: it takes a kernel with CONFIG_TI_CMEM=y",
		     strerror(errno));
	return fd;
}

static void measure_two_owners(const char *row, size_t length, bool uncached)
{
	struct two_owners two = {
		.owner = { open_cmem(), open_cmem() }, .source = find_pool(length, 4),
	};
	struct cmem_pool_info pool = get_pool(two.source.block, two.source.pool);

	if (uncached)
		two.source.flags &= ~CMEM_ALLOC_CACHED;
	/* Half of a pool at a time: one clean buffer always remains. */
	measure_in_batches(row, take_turns, &two, pool.count / 2);
	close(two.owner[0]);
	close(two.owner[1]);
	settle();
}

/* The cost of the kernel mapping a block only as long as needed */
static void measure_mapped_by_kernel(void)
{
	struct source source = find_pool(64 * KIB, 2);
	uint64_t second;

	measure("alone-64k", allocate_sync_free, &source);
	second = allocate(cmem, &source);
	/* The kernel maps it after enough work. */
	for (int i = 0; i < ENOUGH_WORK; i++)
		allocate_sync_free(&source);
	measure("beside-64k", allocate_sync_free, &source);
	release(cmem, second);
	settle();
}

static void measure_heap(void)
{
	uint64_t *pages = checked(malloc(2 * FRAGMENTS * sizeof(*pages)));
	struct source small = find_heap(4 * KIB), large = find_heap(MIB);

	measure("heap-4k", allocate_free, &small);
	measure("heap-1m", allocate_free, &large);

	for (int i = 0; i < 2 * FRAGMENTS; i++)
		pages[i] = allocate(cmem, &small);
	for (int i = 0; i < 2 * FRAGMENTS; i += 2)
		release(cmem, pages[i]);
	settle();
	measure("heap-4k-fragments", allocate_free, &small);
	measure("heap-1m-fragments", allocate_free, &large);
	for (int i = 1; i < 2 * FRAGMENTS; i += 2)
		release(cmem, pages[i]);
	settle();
	free(pages);
}

static void measure_mapped(void)
{
	struct source source = find_pool(64 * KIB, 1);
	struct cmem_alloc request = allocate_buffer(cmem, &source);
	struct mapped buffer = { .mapping = map_buffer(&request) };

	/* The kernel maps the whole block after enough work. */
	buffer.length = 64;
	for (int i = 0; i < ENOUGH_WORK; i++)
		write_back(&buffer);

	measure("resolve", resolve, &buffer);
	buffer.length = 64;
	measure("sync-64", write_back, &buffer);
	buffer.length = 4 * KIB;
	measure("sync-4k", write_back, &buffer);
	buffer.length = 64 * KIB;
	measure("sync-64k", write_back, &buffer);

	munmap(buffer.mapping, source.length);
	release(cmem, request.phys_addr);
	settle();
}

/*
 * Free memory, with the pages in the per-CPU lists: these can be thousands, and MemFree
 * of /proc/meminfo omits them.
 */
static void measure_library(void)
{
	struct source four_kib = find_pool(4 * KIB, LIBRARY_BUFFERS), one_mib = find_pool(MIB, 1);
	struct library_buffers live = {
		.buffers = checked(malloc(LIBRARY_BUFFERS * sizeof(*live.buffers))), .count = 1,
	};
	struct mapped buffer = { .length = 64 };

	if (CMEM_init())
		fail("CMEM_init: %s", strerror(errno));
	measure("bare-4k", map_bare, &four_kib);
	measure("library-4k", map_by_library, &four_kib);
	measure("bare-1m", map_bare, &one_mib);
	measure("library-1m", map_by_library, &one_mib);

	live.buffers[0] = library_allocate(&four_kib);
	measure("getphys-1", get_phys, &live);
	buffer.mapping = live.buffers[0];
	measure("cachewb-64", library_write_back, &buffer);
	for (live.count = 1; live.count < LIBRARY_BUFFERS; live.count++)
		live.buffers[live.count] = library_allocate(&four_kib);
	measure("getphys-10000", get_phys, &live);
	measure("bare-4k-live-10000", map_bare, &four_kib);
	measure("library-4k-live-10000", map_by_library, &four_kib);
	while (live.count--)
		library_free(live.buffers[live.count]);
	free(live.buffers);
	settle();
	if (CMEM_exit())
		fail("CMEM_exit: %s", strerror(errno));
}

static long free_kib(void)
{
	FILE *zones = fopen("/proc/zoneinfo", "r");
	char line[256];
	long pages, sum = 0;

	while (zones && fgets(line, sizeof(line), zones))
		if (sscanf(line, " nr_free_pages %ld", &pages) == 1 ||
		    sscanf(line, " count: %ld", &pages) == 1)
			sum += pages;
	if (!sum)
		fail("/proc/zoneinfo tells of no free pages");
	fclose(zones);
	return sum * (PAGE / KIB);
}

/*
 * The buffers are outside of the kernel's free memory, so any decrease while they are
 * allocated is the kernel's own use.
 */
static void weigh_live_buffers(const char *row, struct source source, int count)
{
	uint64_t *live = checked(malloc(count * sizeof(*live)));
	long before, after;

	memset(live, 1, count * sizeof(*live));
	before = free_kib();
	for (int i = 0; i < count; i++)
		live[i] = allocate(cmem, &source);
	after = free_kib();
	for (int i = 0; i < count; i++)
		release(cmem, live[i]);
	settle();
	free(live);
	printf("{\"row\": \"%s\", \"bytes\": %.1f}\n", row,
	       (before - after) * 1024.0 / count);
}

static void measure_peers(void)
{
	static const struct {
		const char *name;
		size_t length;
	} sizes[] = { { "4k", 4 * KIB }, { "1m", MIB }, { "64m", 64 * MIB } };
	struct peer peers[] = {
		{ "system", open_peer("/dev/dma_heap/system", "CONFIG_DMABUF_HEAPS_SYSTEM=y"),
		  heap_allocate, 0, -1 },
		{ "cma", open_peer("/dev/dma_heap/reserved", NULL), heap_allocate, 0, -1 },
		{ "udmabuf", open_peer("/dev/udmabuf", "CONFIG_UDMABUF=y"), udmabuf_allocate, 0,
		  -1 },
	};
	char row[32];

	/* The CMA heap has its area's name, which later kernels changed. */
	if (peers[1].device < 0)
		peers[1].device = open_peer("/dev/dma_heap/default_cma_region",
					    "CONFIG_DMABUF_HEAPS_CMA=y and cma=128M");
	for (size_t p = 0; p < sizeof(peers) / sizeof(peers[0]); p++)
		for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
			peers[p].length = sizes[s].length;
			snprintf(row, sizeof(row), "%s-%s", peers[p].name, sizes[s].name);
			measure(row, peer_allocate_free, &peers[p]);
			if (sizes[s].length == MIB)
				continue;
			snprintf(row, sizeof(row), "%s-cycle-%s", peers[p].name, sizes[s].name);
			measure(row, peer_cycle, &peers[p]);
		}
	peers[0].length = 64 * MIB;
	measure_buffer("system-use-64m", peer_use, &peers[0]);
}

int main(int argc, char **argv)
{
	struct source four_kib, sixty_four_mib;
	bool memory_only = argc == 2 && !strcmp(argv[1], "memory");
	bool pages_only = argc == 2 && !strncmp(argv[1], "pages:", 6);
	char *colon = argc == 2 ? strchr(argv[1], ':') : NULL;

	if (pages_only) {
		samples = atoi(colon + 1);
	} else if (colon) {
		*colon = '\0';
		only_row = argv[1];
		only_count = atol(colon + 1);
	} else if (argc == 2 && !memory_only) {
		samples = atoi(argv[1]);
	}
	if (argc > 2 || samples < 1 || samples > 1001 || only_count < 0)
		fail("usage: bench [SAMPLES | memory | pages:SAMPLES | ROW:COUNT], with 1 to 1001 samples");

	cmem = open_cmem();
	settle();
	printf("{\"row\": \"memory-at-boot\", \"kib\": %ld}\n", free_kib());
	/* First, before other code leaves kernel memory for reuse. */
	if (!only_row && !memory_only && !pages_only) {
		weigh_live_buffers("memory-live", find_pool(4 * KIB, WEIGHED_BUFFERS),
				   WEIGHED_BUFFERS);
		weigh_live_buffers("memory-heap", find_heap(4 * KIB), 2 * FRAGMENTS);
	}

	check_clock();
	find_workers();
	calibrate();
	if (memory_only) {
		measure_coherent();
		return EXIT_SUCCESS;
	}
	if (pages_only) {
		measure_pages();
		return EXIT_SUCCESS;
	}
	measure("ioctl", empty_ioctl, NULL);
	measure_pools();
	measure_two_owners("turns-4k", 4 * KIB, false);
	measure_two_owners("turns-1m", MIB, false);
	measure_two_owners("turns-1m-uncached", MIB, true);
	measure_mapped_by_kernel();
	measure_heap();
	four_kib = find_pool(4 * KIB, 1);
	sixty_four_mib = find_pool(64 * MIB, 1);
	measure("cycle-4k", cmem_cycle, &four_kib);
	measure("cycle-64m", cmem_cycle, &sixty_four_mib);
	measure_mapped();
	measure_library();
	measure_dma_heap();
	measure_peers();
	/* lab/bench/profile boots with all of it. */
	if (only_row) {
		measure_pages();
		fail("there is no row %s: lab/bench/limits.json lists them", only_row);
	}
	return EXIT_SUCCESS;
}
