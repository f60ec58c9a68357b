// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded into cmemctl bench, a board that there is not: block 0 has pools of 4 KiB, of
 * 1 MiB and of one buffer of 64 MiB, and a heap; block 1 is small, and keeps its contents.
 * The file $BOARD is its memory. At exit $BOARD.log gets what was done, see report().
 *
 *	BOARD_BUSY=N		others have N buffers of the pool of 4 KiB
 *	BOARD_FLAGS, BOARD_KIND, BOARD_QUOTA	of block 0
 *	BOARD_CMA=1		there is block -1 as well
 *	BOARD_DIRTY=never|N|buffer:N
 *				no memory becomes clean; all of it bit by bit in N ms of
 *				sleep, or all at once after them. Sleep takes no time then.
 *	BOARD_HEAPS=A:B		DMA-BUF heaps; those whose names begin with c are CMEM's
 *	BOARD_REGISTER=N	the errno of each registration for a DMA-BUF
 *	BOARD_EXPORT=N		the errno of each export as a DMA-BUF
 *	BOARD_STEP=N		the clock's step in nanoseconds
 *	BOARD_ROOT=DIR		files that are there are read in place of the machine's
 *	BOARD_PERF=all|user|part|old	counters: of all, of user space alone, not all the time,
 *				or only with the kernel, which is not permitted
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/cmem.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/perf_event.h>

#include "fake_open.h"

#define PAGE 0x1000ULL
#define BASE 0x80000000ULL
#define HEAP_PAGES 0x2000U
/* What the counters count for an allocation */
#define COUNTED 70

/* A unit is a pool's buffer, or a page of the heap. */
static struct area {
	uint64_t at, length;
	unsigned int count;
	unsigned int used[HEAP_PAGES];	/* units of the buffer that begins here, or ~0 inside */
} areas[] = {
	{ BASE, PAGE, 64, { 0 } },
	{ BASE + 0x100000, 0x100000, 4, { 0 } },
	{ BASE + 0x1000000, 0x4000000, 1, { 0 } },
	{ BASE + 0x6000000, PAGE, HEAP_PAGES, { 0 } },
};

#define AREAS (sizeof(areas) / sizeof(areas[0]))
#define HEAP (AREAS - 1)

/* What file descriptors are, and of a DMA-BUF of CMEM's its buffer */
static struct {
	enum { NONE, HEAP_OF_CMEM, FOREIGN_HEAP, DMABUF, COUNTER } is;
	uint64_t phys;
} files[1024];

static int device = -1;
static uint64_t held, most, wrong_block, last, heap_allocs, syncs, clean_syncs, written, counted;
static uint64_t slept;	/* ms */
static char counter[64] = "-";

static unsigned long number(const char *name, unsigned long otherwise)
{
	const char *value = getenv(name);

	return value ? strtoul(value, NULL, 0) : otherwise;
}

static unsigned int others(unsigned int a)
{
	return a ? 0 : number("BOARD_BUSY", 0);
}

static unsigned int used_of(unsigned int a)
{
	unsigned int used = others(a);

	for (unsigned int i = 0; i < areas[a].count; i++)
		used += !!areas[a].used[i];
	return used;
}

/* Of @free, how many are clean by now */
static uint64_t clean_of(uint64_t free)
{
	const char *dirty = getenv("BOARD_DIRTY");
	bool at_once = dirty && !strncmp(dirty, "buffer:", 7);
	uint64_t ms = dirty ? strtoul(dirty + (at_once ? 7 : 0), NULL, 10) : 0;

	if (dirty && !strcmp(dirty, "never"))
		return 0;
	if (slept >= ms)
		return free;
	return at_once ? 0 : free * slept / ms;
}

/* The first run of free units, or NULL */
static unsigned int *find(struct area *area, unsigned int units)
{
	unsigned int run = 0;

	for (unsigned int i = 0; i < area->count; i++) {
		run = area->used[i] ? 0 : run + 1;
		if (run == units)
			return &area->used[i + 1 - units];
	}
	return NULL;
}

static int allocate(struct cmem_alloc *arg)
{
	unsigned int a = arg->pool == CMEM_POOL_HEAP ? HEAP : 0, units, *first;

	counted += COUNTED;
	wrong_block += arg->block == 1;
	while (arg->pool == CMEM_POOL_BEST && a < HEAP &&
	       (areas[a].length < arg->length || used_of(a) >= areas[a].count))
		a++;
	if (arg->pool >= 0)
		a = arg->pool;
	units = (arg->length + areas[a].length - 1) / areas[a].length;
	first = find(&areas[a], units);
	if (!first || (others(a) && used_of(a) >= areas[a].count)) {
		errno = ENOMEM;
		return -1;
	}
	/* The last free one is not for a measurement, where others use the pool. */
	last += others(a) && used_of(a) + 1 >= areas[a].count;
	memset(first, 0xff, units * sizeof(*first));
	*first = units;
	arg->length = units * areas[a].length;
	arg->phys_addr = areas[a].at + (first - areas[a].used) * areas[a].length;
	arg->mmap_offset = arg->phys_addr;
	arg->pool = a == HEAP ? CMEM_POOL_HEAP : (int)a;
	held += arg->length;
	most = held > most ? held : most;
	return 0;
}

static int release(uint64_t phys)
{
	for (unsigned int a = 0; a < AREAS; a++) {
		unsigned int *first = &areas[a].used[(phys - areas[a].at) / areas[a].length];

		if (phys - areas[a].at >= areas[a].count * areas[a].length)
			continue;
		held -= *first * areas[a].length;
		memset(first, 0, *first * sizeof(*first));
		return 0;
	}
	errno = ENOENT;
	return -1;
}

/* Its heap is block 0's. */
static int get_cma(struct cmem_block_info *b)
{
	b->kind = CMEM_KIND_CMA;
	b->heap_size = b->heap_free = b->heap_largest = b->length = HEAP_PAGES * PAGE;
	return 0;
}

static int get_block(struct cmem_block_info *b)
{
	unsigned int run = 0;

	b->quota = CMEM_NO_QUOTA;
	if (b->block == CMEM_BLOCK_CMA && getenv("BOARD_CMA"))
		return get_cma(b);
	errno = ENOENT;
	if (b->block < 0 || b->block > 1)
		return -1;
	b->kind = CMEM_KIND_CARVEOUT;
	b->base = b->block ? 0xf0000000 : BASE;
	b->length = b->block ? PAGE : 0x8000000;
	b->out_flags = b->block ? CMEM_BLOCK_KEEP_CONTENTS : number("BOARD_FLAGS", 0);
	b->heap_size = b->heap_free = b->heap_largest = b->heap_clean = b->block ? PAGE : 0;
	if (b->block)
		return 0;
	b->kind = number("BOARD_KIND", CMEM_KIND_CARVEOUT);
	b->quota = number("BOARD_QUOTA", CMEM_NO_QUOTA);
	b->charged = held;
	b->num_pools = HEAP;
	b->heap_size = HEAP_PAGES * PAGE;
	b->heap_free = b->heap_size - used_of(HEAP) * PAGE;
	b->heap_clean = clean_of(b->heap_free / PAGE) * PAGE;
	for (unsigned int i = 0; i < HEAP_PAGES; i++) {
		run = areas[HEAP].used[i] ? 0 : run + 1;
		if (run * PAGE > b->heap_largest)
			b->heap_largest = run * PAGE;
	}
	return 0;
}

static int get_pool(struct cmem_pool_info *pool)
{
	const struct area *area = &areas[pool->pool];

	pool->base = area->at;
	pool->length = pool->requested_length = area->length;
	pool->count = area->count;
	pool->free = area->count - used_of(pool->pool);
	pool->clean = clean_of(pool->free);
	return 0;
}

/* Is there a store in each cache line? Then there is none. */
static int maintain(const struct cmem_sync *arg)
{
	const struct cmem_sync_range *range = (void *)(uintptr_t)arg->ranges;
	char *at = (void *)(uintptr_t)range->user_addr;
	bool clean = false;

	syncs++;
	if (range->length == 1)
		return 0;
	for (uint64_t i = 0; i < range->length; i += 64)
		clean |= !at[i];
	clean_syncs += clean;
	memset(at, 0, range->length);
	return 0;
}

static int new_file(int is, uint64_t phys)
{
	int fd = memfd_create("fake", MFD_CLOEXEC);

	if (fd < 0 || fd >= (int)(sizeof(files) / sizeof(files[0])))
		abort();
	files[fd].is = is;
	files[fd].phys = phys;
	return fd;
}

static int is(int fd)
{
	return fd >= 0 && fd < (int)(sizeof(files) / sizeof(files[0])) ? (int)files[fd].is : NONE;
}

/* Pools serve a heap only with buffers of exactly that length. */
static int allocate_of_heap(int heap, struct dma_heap_allocation_data *arg)
{
	struct cmem_alloc request = { .pool = CMEM_POOL_HEAP, .length = arg->len };

	heap_allocs++;
	for (unsigned int a = 0; a < HEAP; a++)
		if (areas[a].length == arg->len && used_of(a) < areas[a].count)
			request.pool = a;
	if (is(heap) == HEAP_OF_CMEM && allocate(&request))
		return -1;
	arg->fd = new_file(DMABUF, request.phys_addr);
	return ftruncate(arg->fd, arg->len);
}

/* Nothing is registered: the DMA-BUF holds it. */
static int register_for(struct cmem_register *arg)
{
	errno = number("BOARD_REGISTER", is(arg->dmabuf_fd) != DMABUF || !files[arg->dmabuf_fd].phys ?
		       EINVAL : 0);
	return errno ? -1 : 0;
}

/* What is a DMA-BUF of /dev/cmem here is a copy of that. */
int fake_open(open_function *real, const char *path, int flags)
{
	if (strcmp(path, "/dev/cmem"))
		return new_file(path[14] == 'c' ? HEAP_OF_CMEM : FOREIGN_HEAP, 0);
	if (device >= 0)
		return dup(device);
	device = real(getenv("BOARD"), flags);
	return dup(device);
}

int close(int fd)
{
	int (*real)(int) = dlsym(RTLD_NEXT, "close");

	if (is(fd) == DMABUF && files[fd].phys)
		release(files[fd].phys);
	if (is(fd))
		files[fd].is = NONE;
	return real(fd);
}

int scandir64(const char *path, struct dirent64 ***list, int (*select)(const struct dirent64 *),
	      int (*compare)(const struct dirent64 **, const struct dirent64 **))
{
	int (*real)(const char *, struct dirent64 ***, int (*)(const struct dirent64 *),
		    int (*)(const struct dirent64 **, const struct dirent64 **)) =
		dlsym(RTLD_NEXT, "scandir64");
	char *names = getenv("BOARD_HEAPS");
	int count = 0;

	if (!names || strcmp(path, "/dev/dma_heap"))
		return real(path, list, select, compare);
	names = strdup(names);
	*list = calloc(strlen(names) + 1, sizeof(**list));
	for (char *name = strtok(names, ":"); name; name = strtok(NULL, ":")) {
		(*list)[count] = calloc(1, sizeof(***list));
		strcpy((*list)[count++]->d_name, name);
	}
	return count;
}

FILE *fopen64(const char *path, const char *mode)
{
	FILE *(*real)(const char *, const char *) = dlsym(RTLD_NEXT, "fopen64");
	char name[4096];

	snprintf(name, sizeof(name), "%s%s", getenv("BOARD_ROOT") ?: "/nowhere", path);
	return real(access(name, R_OK) ? path : name, mode);
}

static int open_counter(const struct perf_event_attr *attr, long cpu)
{
	const char *perf = getenv("BOARD_PERF");
	bool is_old = !strcmp(perf, "old");

	errno = attr->exclude_kernel ? EOPNOTSUPP : EACCES;
	if (is_old || (!strcmp(perf, "user") && !attr->exclude_kernel))
		return -1;
	snprintf(counter, sizeof(counter), "kernel:%d,hv:%d,cpu:%ld", !attr->exclude_kernel,
		 !attr->exclude_hv, cpu);
	return new_file(COUNTER, 0);
}

long syscall(long call, ...)
{
	long (*real)(long, ...) = dlsym(RTLD_NEXT, "syscall"), arg[5];
	va_list args;

	va_start(args, call);
	for (int i = 0; i < 5; i++)
		arg[i] = va_arg(args, long);
	va_end(args);
	if (call == SYS_perf_event_open && getenv("BOARD_PERF"))
		return open_counter((void *)arg[0], (int)arg[2]);
	return real(call, arg[0], arg[1], arg[2], arg[3], arg[4]);
}

/* Reading the clock costs 100, and reading a counter 1000. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
	static int (*real)(clockid_t, struct timespec *);
	static long step;
	int ret;

	if (!real) {
		real = dlsym(RTLD_NEXT, "clock_gettime");
		step = number("BOARD_STEP", 0);
	}
	counted += 100;
	ret = real(clock, now);
	if (step)
		now->tv_nsec -= now->tv_nsec % step;
	return ret;
}

int nanosleep(const struct timespec *pause, struct timespec *left)
{
	int (*real)(const struct timespec *, struct timespec *) = dlsym(RTLD_NEXT, "nanosleep");

	slept += pause->tv_sec * 1000 + pause->tv_nsec / 1000000;
	return getenv("BOARD_DIRTY") ? 0 : real(pause, left);
}

ssize_t read(int fd, void *data, size_t size)
{
	ssize_t (*real)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
	uint64_t *value = data;

	if (is(fd) != COUNTER)
		return real(fd, data, size);
	counted += 1000;
	value[0] = value[1] = value[2] = counted;
	if (!strcmp(getenv("BOARD_PERF"), "part"))
		value[2] /= 2;
	return size;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
	ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");

	written += size;
	return real(fd, data, size, at);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset)
{
	void *(*real)(void *, size_t, int, int, int, off64_t) = dlsym(RTLD_NEXT, "mmap64");

	return real(address, length, protection, flags, fd,
		    (uint64_t)offset >= BASE ? (off64_t)(offset - BASE) : offset);
}

int ioctl(int fd, unsigned long request, ...)
{
	int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
	struct cmem_info *info;
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	switch (request) {
	case CMEM_IOCTL_GET_INFO:
		info = arg;
		info->abi_version = CMEM_ABI_VERSION;
		info->num_blocks = info->block_limit = 2;
		return 0;
	case CMEM_IOCTL_GET_BLOCK:
		return get_block(arg);
	case CMEM_IOCTL_GET_POOL:
		return get_pool(arg);
	case CMEM_IOCTL_ALLOC:
		return allocate(arg);
	case CMEM_IOCTL_FREE:
		return release(((struct cmem_free *)arg)->phys_addr);
	case CMEM_IOCTL_SYNC:
		return maintain(arg);
	case CMEM_IOCTL_REGISTER:
		return register_for(arg);
	case DMA_HEAP_IOCTL_ALLOC:
		return allocate_of_heap(fd, arg);
	case DMA_BUF_IOCTL_SYNC:
	case CMEM_IOCTL_RESOLVE:
		return 0;
	case CMEM_IOCTL_EXPORT:
		errno = number("BOARD_EXPORT", 0);
		((struct cmem_export *)arg)->fd = errno ? -1 : dup(device);
		return errno ? -1 : 0;
	}
	return real(fd, request, arg);
}

/*
 * The most that was held at a time, and what is left; how often block 1 was allocated from,
 * the last free buffer taken that others needed, and a heap allocated from; SYNCs, and those
 * of more than a byte without a store to each line before; bytes written; milliseconds slept;
 * the last counter.
 */
static void __attribute__((destructor)) report(void)
{
	char name[4096];
	FILE *log;

	if (device < 0)
		return;
	snprintf(name, sizeof(name), "%s.log", getenv("BOARD"));
	log = fopen(name, "w");
	if (!log)
		return;
	fprintf(log, "most=%llu left=%llu wrong_block=%llu last=%llu heap_allocs=%llu syncs=%llu clean_syncs=%llu written=%llu slept=%llu counter=%s\n",
		(unsigned long long)most, (unsigned long long)held,
		(unsigned long long)wrong_block, (unsigned long long)last,
		(unsigned long long)heap_allocs, (unsigned long long)syncs,
		(unsigned long long)clean_syncs, (unsigned long long)written,
		(unsigned long long)slept, counter);
	fclose(log);
}

/* As if it had the board until the end */
void _exit(int status)
{
	report();
	syscall(SYS_exit_group, status);
	__builtin_unreachable();
}
