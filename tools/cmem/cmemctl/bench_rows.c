// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl bench: the rows. A row is an operation on memory of one source. Rows of the same
 * operation and length follow each other, those of CMEM first, to be compared.
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <linux/dma-buf.h>

#include "bench.h"

static const struct {
	const char *name;
	uint64_t length;
} sizes[] = {
	{ "64", 64 }, { "4k", 4 * KIB }, { "64k", 64 * KIB }, { "1m", MIB },
	{ "16m", 16 * MIB }, { "64m", LARGEST_BUFFER },
};

/* No cache has shorter lines. */
#define SHORTEST_LINE	32
/* What mapping memory for one SYNC costs the driver, in pages; and a limit for them */
#define PAGES_OF_SYNC	128
#define MOST_SYNCS	20000

#define SIZE_64		(1U << 0)
#define SIZE_4K		(1U << 1)
#define SIZE_64K	(1U << 2)
#define SIZE_1M		(1U << 3)
#define SIZE_16M	(1U << 4)
#define SIZE_64M	(1U << 5)

/* What an operation works on */
struct work {
	struct source *source;
	uint64_t length;
	struct buffer buffer;
	int file;
	bool written;
};

static uint64_t page;

/* The operations: each returns 0 or a negative errno. */

static int allocate(void *context)
{
	struct work *work = context;
	struct buffer buffer;

	return work->source->allocate(work->source, work->length, &buffer) ?:
	       work->source->release(work->source, &buffer);
}

/* One store into each page or cache line */
static void touch(void *memory, uint64_t length, uint64_t step)
{
	for (volatile char *at = memory, *end = at + length; at < end; at += step)
		*at = 1;
}

static int use_buffer(const struct buffer *buffer, uint64_t length)
{
	void *memory = buffer_map(buffer, length);

	if (memory == MAP_FAILED)
		return -errno;
	touch(memory, length, page);
	return munmap(memory, length) ? -errno : 0;
}

static int cycle(void *context)
{
	struct work *work = context;
	struct buffer buffer;
	int ret = work->source->allocate(work->source, work->length, &buffer), freed;

	if (ret)
		return ret;
	ret = use_buffer(&buffer, work->length);
	freed = work->source->release(work->source, &buffer);
	return ret ?: freed;
}

static int use(void *context)
{
	const struct work *work = context;

	return use_buffer(&work->buffer, work->length);
}

static int empty_ioctl(void *context)
{
	const struct work *work = context;

	/* A number that no kernel has */
	return ioctl(work->buffer.fd, _IO(CMEM_IOCTL_TYPE, 0xff), 0) ? 0 : -EPROTO;
}

static int resolve(void *context)
{
	const struct work *work = context;
	struct cmem_resolve arg = {
		.size = sizeof(arg), .user_addr = (uintptr_t)work->buffer.address,
	};

	return ioctl(work->buffer.fd, CMEM_IOCTL_RESOLVE, &arg) ? -errno : 0;
}

/* As a program does before a device reads */
static bool make_dirty(void *context)
{
	const struct work *work = context;

	touch(work->buffer.address, work->length, SHORTEST_LINE);
	return true;
}

static int sync_buffer(const struct work *work, unsigned int op)
{
	return device_sync(work->buffer.fd, work->buffer.address, work->length, op);
}

static int write_back(void *context)
{
	return sync_buffer(context, CMEM_SYNC_WRITE_BACK);
}

static int invalidate(void *context)
{
	return sync_buffer(context, CMEM_SYNC_INVALIDATE);
}

static int write_back_invalidate(void *context)
{
	return sync_buffer(context, CMEM_SYNC_WRITE_BACK_INVALIDATE);
}

static int export(void *context)
{
	const struct work *work = context;
	struct cmem_export arg = {
		.size = sizeof(arg), .phys_addr = work->buffer.phys, .fd_flags = O_RDWR | O_CLOEXEC,
	};

	if (ioctl(work->buffer.fd, CMEM_IOCTL_EXPORT, &arg))
		return -errno;
	return close(arg.fd) ? -errno : 0;
}

static int access_by_cpu(void *context)
{
	const struct work *work = context;
	struct dma_buf_sync begin = { DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	struct dma_buf_sync end = { DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW };

	return ioctl(work->buffer.fd, DMA_BUF_IOCTL_SYNC, &begin) ||
	       ioctl(work->buffer.fd, DMA_BUF_IOCTL_SYNC, &end) ? -errno : 0;
}

static int fill(void *context)
{
	const struct work *work = context;

	memset(work->buffer.address, 1, work->length);
	return 0;
}

/* Copies it, to where the copy stays in the cache */
static int read_all(void *context)
{
	static char copy[4 * KIB];
	const struct work *work = context;

	for (uint64_t at = 0; at < work->length; at += sizeof(copy)) {
		memcpy(copy, work->buffer.address + at, sizeof(copy));
		/* Each copy counts. */
		__asm__ volatile("" : : "r" (copy) : "memory");
	}
	return 0;
}

/* Only once for a row: MOST_WRITTEN */
static bool may_write(void *context)
{
	struct work *work = context;
	bool first = !work->written;

	work->written = true;
	return first;
}

static int write_to_file(void *context)
{
	const struct work *work = context;
	ssize_t written = pwrite(work->file, work->buffer.address, work->length, 0);

	if (written != (ssize_t)work->length)
		return written < 0 ? -errno : -ENOSPC;
	return work->source->through_cache && fsync(work->file) ? -errno : 0;
}

/**
 * operations - by enum operation
 * @name: its part of a row's name, "" if a source's name is enough
 * @prepare: NULL, or as in struct task; for one operation, if it writes to no file
 * @sizes: bits of the sizes that are measured; one alone is in no name
 * @any_length: the length makes no difference
 * @buffer: works on a buffer that is there
 * @mapped: and mapped
 */
static const struct {
	const char *name;
	const char *title;
	int (*operate)(void *context);
	bool (*prepare)(void *context);
	unsigned int sizes;
	bool any_length;
	bool buffer;
	bool mapped;
} operations[NUM_OPERATIONS] = {
	[IOCTL] = { "ioctl", "empty ioctl", empty_ioctl, NULL, SIZE_4K, .any_length = true,
		    .buffer = true },
	[ALLOCATE] = { "", "allocate + free", allocate, NULL,
		       SIZE_4K | SIZE_64K | SIZE_1M | SIZE_16M | SIZE_64M },
	[CYCLE] = { "cycle", "allocate + map + touch + unmap + free", cycle, NULL,
		    SIZE_4K | SIZE_1M | SIZE_16M | SIZE_64M },
	[USE] = { "use", "map + touch + unmap", use, NULL, SIZE_1M | SIZE_64M, .buffer = true },
	[RESOLVE] = { "resolve", "RESOLVE", resolve, NULL, SIZE_64K, .any_length = true,
		      .buffer = true, .mapped = true },
	[SYNC] = { "sync", "SYNC, write-back", write_back, make_dirty,
		   SIZE_64 | SIZE_4K | SIZE_64K | SIZE_1M, .buffer = true, .mapped = true },
	[SYNC_INV] = { "sync-inv", "SYNC, invalidate", invalidate, make_dirty, SIZE_1M,
		       .buffer = true, .mapped = true },
	[SYNC_WBINV] = { "sync-wbinv", "SYNC, write-back and invalidate", write_back_invalidate,
			 make_dirty, SIZE_1M, .buffer = true, .mapped = true },
	[EXPORT] = { "export", "export as a DMA-BUF + close", export, NULL, SIZE_4K,
		     .any_length = true, .buffer = true },
	[ACCESS] = { "access", "begin + end of CPU access to a DMA-BUF", access_by_cpu, NULL,
		     SIZE_1M, .buffer = true, .mapped = true },
	[FILL] = { "fill", "fill a mapped buffer", fill, NULL, SIZE_1M | SIZE_64M,
		   .buffer = true, .mapped = true },
	[READ] = { "read", "read a mapped buffer", read_all, NULL, SIZE_1M | SIZE_64M,
		   .buffer = true, .mapped = true },
	[WRITE] = { "write", "write to a file", write_to_file, may_write, SIZE_1M | SIZE_64M,
		    .buffer = true, .mapped = true },
};

/* In the order of the table: what takes long comes last, and runs out of time first. */
static const enum operation order[] = {
	IOCTL, RESOLVE, SYNC, SYNC_INV, SYNC_WBINV, EXPORT, ACCESS, ALLOCATE, CYCLE, USE, FILL,
	READ, WRITE,
};

static bool has_one_size(enum operation o)
{
	return !(operations[o].sizes & (operations[o].sizes - 1));
}

/* Adds a part of a name, with a - if it is not the first one */
static void add_part(char *name, size_t size, const char *part)
{
	size_t length = strlen(name);

	if (*part)
		snprintf(name + length, size - length, "%s%s", length ? "-" : "", part);
}

/* "pool-4k", "cycle-4k", "system-cycle-4k", "resolve": as in lab/bench where that has it */
static void name_row(struct row *row, enum operation o, unsigned int size)
{
	add_part(row->name, sizeof(row->name), row->source->name);
	add_part(row->name, sizeof(row->name), operations[o].name);
	if (!has_one_size(o))
		add_part(row->name, sizeof(row->name), sizes[size].name);
	if (o == ALLOCATE)
		add_part(row->name, sizeof(row->name), row->source->suffix);
}

static bool is_chosen(const struct plan *plan, const char *name)
{
	for (unsigned int i = 0; i < plan->num_patterns; i++)
		if (!fnmatch(plan->patterns[i], name, 0))
			return true;
	return !plan->num_patterns;
}

/* Measuring a row */

static int open_file(const struct plan *plan, struct work *work)
{
	struct source *source = work->source;
	struct statvfs fs;
	int flags;

	/* A new file, and it is gone however this ends. */
	work->file = open(plan->file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (work->file < 0) {
		source_lacks(source, "FILE: %s", strerror(errno));
		return -errno;
	}
	unlink(plan->file);
	if (fstatvfs(work->file, &fs) || (uint64_t)fs.f_bavail * fs.f_frsize < 2 * work->length) {
		source_lacks(source, "FILE: too little free space");
		return -ENOSPC;
	}
	flags = fcntl(work->file, F_GETFL);
	if (source->through_cache || !fcntl(work->file, F_SETFL, flags | O_DIRECT))
		return 0;
	source_lacks(source, "FILE: its file system has no O_DIRECT");
	return -EINVAL;
}

static int map_buffer(struct work *work, enum operation o)
{
	void *memory = buffer_map(&work->buffer, work->buffer.length);

	if (memory == MAP_FAILED)
		return -errno;
	work->buffer.address = memory;
	if (o == WRITE && work->source->advice)
		madvise(memory, work->buffer.length, work->source->advice);
	touch(memory, work->buffer.length, page);
	return 0;
}

static bool is_sync(enum operation o)
{
	return o == SYNC || o == SYNC_INV || o == SYNC_WBINV;
}

/*
 * The driver maps memory that Linux does not map for each SYNC, until the sum of that
 * work has cost as much as mapping the whole block: it keeps that mapped then.
 */
static int warm_up(const struct work *work)
{
	struct cmem_block_info block;
	int ret = device_get_block(work->buffer.fd, work->source->block, &block);
	uint64_t count = ret ? 0 : block.length / page / PAGES_OF_SYNC + 1;

	for (uint64_t i = 0; i < count && i < MOST_SYNCS && !ret && !bench_stopped; i++)
		ret = device_sync(work->buffer.fd, work->buffer.address, 1, CMEM_SYNC_WRITE_BACK);
	return ret;
}

static int set_up(const struct plan *plan, struct work *work, enum operation o)
{
	int ret = work->source->hold ? work->source->hold(work->source, work->length) : 0;

	if (!ret && operations[o].buffer)
		ret = work->source->allocate(work->source, work->length, &work->buffer);
	if (!ret && operations[o].mapped)
		ret = map_buffer(work, o);
	if (!ret && is_sync(o))
		ret = warm_up(work);
	if (!ret && o == WRITE)
		ret = open_file(plan, work);
	return ret;
}

static void tear_down(struct work *work)
{
	if (work->file >= 0)
		close(work->file);
	if (work->buffer.address)
		munmap(work->buffer.address, work->buffer.length);
	if (work->buffer.length)
		work->source->release(work->source, &work->buffer);
	if (work->source->drop)
		work->source->drop(work->source);
}

static bool settle(void *context)
{
	struct work *work = context;

	return work->source->settle(work->source);
}

static int measure_row(const struct plan *plan, struct row *row, enum operation o,
		       uint64_t length, uint64_t until)
{
	struct source *source = row->source;
	struct work work = { .source = source, .length = length, .file = -1 };
	struct task task = {
		.operate = operations[o].operate, .prepare = operations[o].prepare,
		.context = &work, .run = o == WRITE ? MOST_WRITTEN / length : 1,
	};
	int ret = set_up(plan, &work, o);

	if (source->settle && !operations[o].buffer) {
		task.prepare = settle;
		task.run = source->run;
	}
	if (!ret)
		ret = measure(&task, until, plan->samples ?: MAX_SAMPLES, &row->figures);
	if (ret && !*source->reason)
		source_lacks(source, "%s", strerror(-ret));
	row->live = source->live;
	/* Nothing is held while it prints: that may end this. */
	tear_down(&work);
	if (!ret)
		plan->measured(row);
	return ret;
}

/* Whether caches make a difference that the row is about */
static bool has_effect(struct source *source, enum operation o)
{
	bool coherent = source->block_flags & CMEM_BLOCK_COHERENT;

	if (is_sync(o) && coherent)
		return source_lacks(source, "block %d is coherent: SYNC does nothing", source->block);
	if (is_sync(o) && source->kind == CMEM_KIND_SRAM)
		return source_lacks(source, "on-chip memory is not cached: SYNC does nothing");
	if (!source->peer && !(source->flags & CMEM_ALLOC_CACHED) && coherent)
		return source_lacks(source, "block %d is coherent: all its buffers are cached",
				    source->block);
	return true;
}

/* Why a row is not even tried, or NULL */
static const char *left_out(const struct plan *plan, struct source *source, enum operation o,
			    uint64_t length)
{
	*source->reason = 0;
	if (o == WRITE && !plan->file)
		return "wants --file";
	if (!source->find(source, length) || !has_effect(source, o))
		return source->reason;
	/* It may have looked in vain before it found room. */
	*source->reason = 0;
	return NULL;
}

/* All rows, or those left */

struct walk {
	const struct plan *plan;
	void (*each)(const struct row *row);	/* instead of measuring */
	uint64_t end;		/* of all, or 0 */
	unsigned int left;
	unsigned int count;
};

static int visit(struct walk *walk, enum operation o, unsigned int size, struct source *source)
{
	const struct plan *plan = walk->plan;
	struct row row = {
		.title = operations[o].title, .source = source,
		.length = operations[o].any_length ? 0 : sizes[size].length,
	};
	const char *reason;
	uint64_t now;
	int ret;

	name_row(&row, o, size);
	if (!is_chosen(plan, row.name))
		return 0;
	walk->count++;
	if (walk->each)
		walk->each(&row);
	if (!walk->left)
		return 0;
	now = measure_now();
	reason = left_out(plan, source, o, sizes[size].length);
	if (!reason && walk->end && now >= walk->end)
		reason = "the time is over: --seconds";
	if (reason) {
		walk->left--;
		plan->skipped(&row, reason);
		return 0;
	}
	/* What a row does not need of its share is for the others. */
	ret = measure_row(plan, &row, o, sizes[size].length,
			  walk->end ? now + (walk->end - now) / walk->left : UINT64_MAX);
	walk->left--;
	if (bench_stopped)
		return -EINTR;
	if (ret)
		plan->skipped(&row, source->reason);
	return ferror(stdout) ? -EPIPE : 0;
}

static bool has_size(const struct source *source, enum operation o, unsigned int size)
{
	return source->operations & CAN(o) && operations[o].sizes & (1U << size) &&
	       (!source->largest || sizes[size].length <= source->largest);
}

static int walk_sources(struct walk *walk, enum operation o, unsigned int size,
			struct source *source, unsigned int count)
{
	int ret = 0;

	for (unsigned int i = 0; i < count && !ret; i++)
		if (has_size(&source[i], o, size))
			ret = visit(walk, o, size, &source[i]);
	return ret;
}

static int walk_rows(struct walk *walk)
{
	unsigned int num_own, num_peers;
	struct source *own = sources_of_cmem(&num_own);
	struct source *peers = sources_of_peers(walk->plan->cmem, &num_peers);
	int ret = 0;

	page = sysconf(_SC_PAGESIZE);
	for (unsigned int i = 0; i < ARRAY_SIZE(order); i++)
		for (unsigned int s = 0; s < ARRAY_SIZE(sizes) && !ret; s++)
			ret = walk_sources(walk, order[i], s, own, num_own) ?:
			      walk_sources(walk, order[i], s, peers, num_peers);
	return ret;
}

unsigned int rows_count(const struct plan *plan, void (*each)(const struct row *row))
{
	struct walk walk = { .plan = plan, .each = each };

	walk_rows(&walk);
	return walk.count;
}

int rows_measure(const struct plan *plan)
{
	struct walk walk = { .plan = plan, .left = rows_count(plan, NULL) };

	if (plan->seconds)
		walk.end = measure_now() + plan->seconds * 1e9;
	return walk_rows(&walk);
}
