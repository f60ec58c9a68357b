// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl bench: CMEM's sources of memory. Each takes only what is free, and leaves a
 * buffer of each pool and half of each heap to others, unless nothing of it is in use.
 * What it has taken, it frees itself: an exit may quarantine it instead.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define MOST_LIVE	1024
#define MOST_FRAGMENTS	1024
#define FEWEST_FRAGMENTS 64
/* How long memory may take to become clean: while less of the block is dirty, and in all */
#define STALL_MS	10000
#define PATIENCE_MS	60000
#define POLL_MS		2
#define DELAY		"/sys/module/cmem/parameters/scrub_delay_ms"

static int cmem;
static int only_block;
static int dirty_block = ALL_BLOCKS;	/* whose memory did not become clean in that time */
static uint64_t page;

bool source_lacks(struct source *source, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(source->reason, sizeof(source->reason), format, args);
	va_end(args);
	return false;
}

uint64_t memory_of(const char *line)
{
	char text[32] = "";

	read_field("/proc/meminfo", line, text, sizeof(text));
	return strtoull(text, NULL, 10) * KIB;
}

bool source_has_memory(struct source *source, const char *line, uint64_t length)
{
	uint64_t free = memory_of(line);

	return free >= SPARE * length ||
	       source_lacks(source, "%s of /proc/meminfo is %s, of which a row takes no more than a quarter",
			    line, human(free));
}

void *buffer_map(const struct buffer *buffer, uint64_t length)
{
	int flags = buffer->fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;

	return mmap(NULL, length, PROT_READ | PROT_WRITE, flags, buffer->fd, buffer->offset);
}

/* How many buffers others do not need */
static unsigned int pool_spare(const struct cmem_pool_info *pool)
{
	return pool->free == pool->count || !pool->free ? pool->free : pool->free - 1;
}

/* At most half of what the quota still allows: the user has other programs. */
static uint64_t quota_room(const struct cmem_block_info *block)
{
	if (block->quota == CMEM_NO_QUOTA)
		return UINT64_MAX;
	return block->quota > block->charged ? (block->quota - block->charged) / 2 : 0;
}

/* How many of its buffers may be taken */
static unsigned int pool_room(const struct block *block, unsigned int pool)
{
	uint64_t allowed = quota_room(&block->info) / block->pool[pool].length;
	unsigned int spare = pool_spare(&block->pool[pool]);

	return spare < allowed ? spare : allowed;
}

/* How much of a heap may be taken, in one piece */
static uint64_t heap_room(const struct cmem_block_info *block)
{
	uint64_t room = block->heap_largest, allowed = quota_room(block);

	if (block->heap_free != block->heap_size && room > block->heap_free / 2)
		room = block->heap_free / 2;
	return room < allowed ? room : allowed;
}

uint64_t whole_pages(uint64_t length)
{
	return (length + page - 1) / page * page;
}

/*
 * Whether the kernel, where it chooses the pool, takes the last free buffer of one that
 * others use. It takes the shortest that is long enough; @exact: and no longer one.
 */
static bool takes_last(const struct block *block, uint64_t length, bool exact)
{
	uint64_t shortest = UINT64_MAX;
	bool last = false;

	for (unsigned int p = 0; p < block->info.num_pools; p++) {
		const struct cmem_pool_info *pool = &block->pool[p];

		if (!pool->free || pool->length < length || pool->length > shortest)
			continue;
		last = !pool_spare(pool) || (last && pool->length == shortest);
		shortest = pool->length;
	}
	return last && (!exact || shortest == whole_pages(length));
}

/* Why nothing is taken of a block that is not named, or NULL */
static const char *why_left_out(const struct cmem_block_info *block)
{
	if (only_block != ALL_BLOCKS)
		return NULL;
	if (block->out_flags & CMEM_BLOCK_KEEP_CONTENTS)
		return "it keeps its contents";
	if (block->out_flags & CMEM_BLOCK_QUARANTINE)
		return "what is not freed goes into quarantine";
	return block->kind == CMEM_KIND_SRAM ? "it is on-chip memory" : NULL;
}

void sources_left_out(void (*each)(const char *text))
{
	struct blocks blocks;
	char text[160];

	device_get_blocks(cmem, only_block, &blocks);
	for (unsigned int i = 0; i < blocks.count; i++) {
		const struct cmem_block_info *block = &blocks.block[i].info;

		if (!why_left_out(block))
			continue;
		snprintf(text, sizeof(text), "Block %d is left out, because %s. --block=%d names it.",
			 block->block, why_left_out(block), block->block);
		each(text);
	}
	free(blocks.block);
}

/* A block that may be used, and that has all of these flags */
static bool is_chosen(const struct block *block, uint32_t flags)
{
	return !why_left_out(&block->info) && (block->info.out_flags & flags) == flags;
}

/* The blocks as they are now, without the CMA block or that alone */
static void get_blocks(struct blocks *blocks, bool cma)
{
	struct blocks all;

	device_get_blocks(cmem, only_block, &all);
	*blocks = all;
	blocks->count = 0;
	for (unsigned int i = 0; i < all.count; i++)
		if (cma == !block_has_range(&all.block[i]))
			blocks->block[blocks->count++] = all.block[i];
}

/* Leaves out those where the kernel would take the last buffer of a pool */
static void leave_last(struct blocks *blocks, uint64_t length, bool exact)
{
	unsigned int count = blocks->count;

	blocks->count = 0;
	for (unsigned int i = 0; i < count; i++)
		if (!takes_last(&blocks->block[i], length, exact))
			blocks->block[blocks->count++] = blocks->block[i];
}

static void found_block(struct source *source, const struct block *block)
{
	source->block = block->info.block;
	source->kind = block->info.kind;
	source->block_flags = block->info.out_flags;
}

static void found_pool(struct source *source, const struct block *block, unsigned int pool)
{
	found_block(source, block);
	source->pool = pool;
	source->buffer_length = block->pool[pool].length;
	source->run = pool_room(block, pool);
	snprintf(source->where, sizeof(source->where), "block %d pool %u of %s", source->block,
		 pool, human(source->buffer_length));
}

static void found_heap(struct source *source, const struct block *block, uint64_t length)
{
	found_block(source, block);
	source->pool = CMEM_POOL_HEAP;
	source->buffer_length = whole_pages(length);
	source->run = heap_room(&block->info) / source->buffer_length;
	snprintf(source->where, sizeof(source->where), "block %d heap", source->block);
}

/* The pool with the smallest buffers that are long enough; of several, the most free */
static bool pick_pool(struct source *source, const struct blocks *blocks, uint64_t length,
		      unsigned int least, uint32_t flags)
{
	const struct cmem_pool_info *best = NULL;

	for (unsigned int i = 0; i < blocks->count; i++) {
		const struct block *block = &blocks->block[i];

		for (unsigned int p = 0; is_chosen(block, flags) && p < block->info.num_pools; p++) {
			const struct cmem_pool_info *pool = &block->pool[p];

			if (pool->length < length || pool->length > LARGEST_BUFFER ||
			    pool_room(block, p) < least ||
			    (best && (pool->length > best->length ||
				      (pool->length == best->length && pool->free <= best->free))))
				continue;
			best = pool;
			found_pool(source, block, p);
		}
	}
	return best;
}

static bool pick_heap(struct source *source, const struct blocks *blocks, uint64_t length,
		      uint32_t flags)
{
	uint64_t most = 0;

	for (unsigned int i = 0; i < blocks->count; i++) {
		const struct block *block = &blocks->block[i];
		uint64_t room = heap_room(&block->info);

		if (!is_chosen(block, flags) || room < whole_pages(length) || room <= most)
			continue;
		most = room;
		found_heap(source, block, length);
	}
	return most;
}

static bool lacks_buffers(struct source *source, unsigned int least)
{
	return source_lacks(source, "no pool has %s of that length to spare",
			    least == 1 ? "a buffer" : "enough buffers");
}

static bool find_pool_with(struct source *source, uint64_t length, unsigned int least)
{
	struct blocks blocks;
	bool found;

	get_blocks(&blocks, false);
	found = pick_pool(source, &blocks, length, least, 0);
	free(blocks.block);
	return found || lacks_buffers(source, least);
}

static bool find_pool(struct source *source, uint64_t length)
{
	return find_pool_with(source, length, 1);
}

static bool find_best_pool(struct source *source, uint64_t length)
{
	struct blocks blocks;
	bool found;

	get_blocks(&blocks, false);
	leave_last(&blocks, length, false);
	found = pick_pool(source, &blocks, length, 1, 0);
	free(blocks.block);
	if (!found)
		return lacks_buffers(source, 1);
	source->pool = CMEM_POOL_BEST;
	snprintf(source->where, sizeof(source->where), "block %d, the best pool", source->block);
	return true;
}

static bool find_half(struct source *source, uint64_t length)
{
	return find_pool_with(source, length, 4);
}

static bool find_turns(struct source *source, uint64_t length)
{
	/* One clean buffer always remains. */
	if (!find_pool_with(source, length, 2))
		return false;
	source->run /= 2;
	return true;
}

static bool find_heap(struct source *source, uint64_t length)
{
	struct blocks blocks;
	bool found;

	get_blocks(&blocks, false);
	found = pick_heap(source, &blocks, length, 0);
	free(blocks.block);
	return found || source_lacks(source, "no heap has so much to spare");
}

static bool find_any(struct source *source, uint64_t length)
{
	return find_pool(source, length) || find_heap(source, length) ||
	       source_lacks(source, "no pool and no heap has so much to spare");
}

static bool find_fragments(struct source *source, uint64_t length)
{
	return find_heap(source, length + 4 * FEWEST_FRAGMENTS * page);
}

static bool find_pages(struct source *source, uint64_t length)
{
	struct blocks blocks;
	bool found;

	get_blocks(&blocks, false);
	found = pick_pool(source, &blocks, length, 1, CMEM_BLOCK_CAN_PAGES) ||
		pick_heap(source, &blocks, length, CMEM_BLOCK_CAN_PAGES);
	free(blocks.block);
	return found || source_lacks(source, "no block that can be page-backed has so much to spare");
}

static bool find_cma(struct source *source, uint64_t length)
{
	struct blocks blocks;
	bool found;

	get_blocks(&blocks, true);
	found = pick_heap(source, &blocks, length, 0) || pick_pool(source, &blocks, length, 1, 0);
	if (!found)
		source_lacks(source, blocks.count ? "block cma has not so much to spare" :
			     "there is no block cma, or another one was named");
	free(blocks.block);
	return found && source_has_memory(source, "CmaFree", length);
}

/* A heap of ours takes a pool's buffer of exactly this length, or memory of the heap. */
static bool find_dma_heap(struct source *source, uint64_t length)
{
	struct blocks blocks;
	char name[32];
	bool found;

	get_blocks(&blocks, false);
	leave_last(&blocks, length, true);
	found = pick_pool(source, &blocks, length, 1, 0) &&
		source->buffer_length == whole_pages(length);
	found = found || pick_heap(source, &blocks, length, 0);
	free(blocks.block);
	if (!found)
		return source_lacks(source, "no pool of that length and no heap has it to spare");
	snprintf(name, sizeof(name), "cmem-%d", source->block);
	if (source->fd >= 0)
		close(source->fd);
	source->fd = dma_heap_open(name);
	if (source->fd < 0)
		return source_lacks(source, "/dev/dma_heap/%s: %s", name, strerror(errno));
	snprintf(source->where, sizeof(source->where), "dma-heap %s", name);
	source->run = source->run > 1 ? source->run / 2 : 1;
	return true;
}

static int allocate(struct source *source, uint64_t length, struct buffer *buffer)
{
	int owner = source->second >= 0 && source->turn++ % 2 ? source->second : cmem;
	struct cmem_alloc alloc = {
		.block = source->block, .pool = source->pool, .flags = source->flags,
		.length = length,
	};
	int ret = device_alloc(owner, &alloc);

	if (ret)
		return ret;
	*buffer = (struct buffer){
		.fd = owner, .offset = alloc.mmap_offset, .phys = alloc.phys_addr,
		.length = alloc.length,
	};
	return 0;
}

static int release(struct source *source, struct buffer *buffer)
{
	(void)source;
	return device_free(buffer->fd, buffer->phys);
}

/* Is all free memory clean that the source takes from? */
static bool is_clean(const struct source *source)
{
	struct cmem_block_info block;
	struct cmem_pool_info pool;

	if (source->block_flags & CMEM_BLOCK_KEEP_CONTENTS)
		return true;
	if (source->pool >= 0)
		return device_get_pool(cmem, source->block, source->pool, &pool) ||
		       pool.clean == pool.free;
	return device_get_block(cmem, source->block, &block) ||
	       block.heap_clean == block.heap_free;
}

/* How many bytes of its block wait to be cleaned. One scrubber serves all of it. */
static uint64_t bytes_dirty(const struct source *source)
{
	struct cmem_block_info block;
	struct cmem_pool_info pool;
	uint64_t dirty;

	if (device_get_block(cmem, source->block, &block))
		return 0;
	dirty = block.heap_free - block.heap_clean;
	for (unsigned int p = 0; p < block.num_pools; p++)
		if (!device_get_pool(cmem, source->block, p, &pool))
			dirty += (pool.free - pool.clean) * pool.length;
	return dirty;
}

/* Why its memory will not become clean after @ms, or "" */
static void look_why_dirty(struct source *source, unsigned int ms)
{
	char delay[32];

	*source->reason = 0;
	read_line(DELAY, delay, sizeof(delay));
	if (2 * strtoull(delay, NULL, 10) >= STALL_MS)
		source_lacks(source, "freed memory waits %s ms or more to be cleaned: " DELAY, delay);
	else if (source->block != dirty_block)
		return;
	else if (source->kind == CMEM_KIND_SRAM || source->block_flags & CMEM_BLOCK_IS_MEMORY)
		source_lacks(source, "memory of block %d is not cleaned before its first use",
			     source->block);
	else
		source_lacks(source, "memory of block %d did not become clean in %u s: " DELAY " is %s",
			     source->block, ms / 1000, *delay ? delay : "not there");
}

static bool settle(void *context)
{
	struct source *source = context;
	uint64_t least = UINT64_MAX;
	unsigned int ms = 0, progress = 0;

	look_why_dirty(source, ms);
	while (!bench_stopped && ms - progress < STALL_MS && ms < PATIENCE_MS) {
		uint64_t dirty;

		if (is_clean(source)) {
			*source->reason = 0;
			return true;
		}
		if (*source->reason)
			return false;
		dirty = bytes_dirty(source);
		if (dirty < least) {
			least = dirty;
			progress = ms;
		}
		measure_sleep(POLL_MS);
		ms += POLL_MS;
	}
	/* Its other rows do not wait. */
	dirty_block = source->block;
	look_why_dirty(source, ms);
	return false;
}

static int hold_one(struct source *source, uint64_t length)
{
	struct buffer buffer;
	int ret = allocate(source, length, &buffer);

	if (!ret)
		source->held[source->live++] = buffer.phys;
	return ret;
}

static void drop(struct source *source)
{
	while (source->live)
		device_free(cmem, source->held[--source->live]);
	free(source->held);
	source->held = NULL;
}

static int hold_half(struct source *source, uint64_t length)
{
	uint64_t count = source->run / 2;
	int ret = 0;

	if (count > MOST_LIVE)
		count = MOST_LIVE;
	if (count > MOST_HELD / source->buffer_length)
		count = MOST_HELD / source->buffer_length;
	source->held = xrealloc(NULL, count + 1, sizeof(*source->held));
	while (source->live < count && !ret && !bench_stopped)
		ret = hold_one(source, length);
	return ret;
}

/* Each second page of a part of the heap */
static int hold_fragments(struct source *source, uint64_t length)
{
	uint64_t room = source->run * source->buffer_length - length;
	uint64_t count = MOST_FRAGMENTS;
	unsigned int kept = 0;
	int ret = 0;

	if (count > room / 4 / page)
		count = room / 4 / page;
	if (count > MOST_HELD / 2 / page)
		count = MOST_HELD / 2 / page;
	source->held = xrealloc(NULL, 2 * count + 1, sizeof(*source->held));
	while (source->live < 2 * count && !ret && !bench_stopped)
		ret = hold_one(source, page);
	for (unsigned int i = 0; i < source->live; i++) {
		if (i % 2)
			source->held[kept++] = source->held[i];
		else
			device_free(cmem, source->held[i]);
	}
	source->live = kept;
	return ret;
}

static int hold_second(struct source *source, uint64_t length)
{
	(void)length;
	source->second = device_try_open();
	return source->second < 0 ? -errno : 0;
}

static void drop_second(struct source *source)
{
	if (source->second >= 0)
		close(source->second);
	source->second = -1;
}

#define OF_CMEM		.allocate = allocate, .release = release, .second = -1
#define OF_DMA_HEAP	.allocate = dma_heap_allocate, .release = dma_heap_release, .second = -1

static struct source sources[] = {
	{ .name = "pool", .suffix = "", .find = find_pool, .flags = CMEM_ALLOC_CACHED,
	  .operations = CAN(ALLOCATE), OF_CMEM },
	{ .name = "", .suffix = "", .find = find_any, .flags = CMEM_ALLOC_CACHED,
	  .operations = CAN(CYCLE) | CAN(USE) | CAN(IOCTL) | CAN(RESOLVE) | CAN(SYNC) |
			CAN(SYNC_INV) | CAN(SYNC_WBINV) | CAN(EXPORT) | CAN(FILL) | CAN(READ),
	  OF_CMEM },
	{ .name = "pool-best", .suffix = "", .find = find_best_pool, .flags = CMEM_ALLOC_CACHED,
	  .operations = CAN(ALLOCATE), .largest = 4 * KIB, OF_CMEM },
	{ .name = "pool", .suffix = "half-live", .find = find_half, .flags = CMEM_ALLOC_CACHED,
	  .operations = CAN(ALLOCATE), .largest = MIB, .hold = hold_half, .drop = drop, OF_CMEM },
	{ .name = "turns", .suffix = "", .find = find_turns, .flags = CMEM_ALLOC_CACHED,
	  .operations = CAN(ALLOCATE), .largest = MIB, .settle = settle,
	  .hold = hold_second, .drop = drop_second, OF_CMEM },
	{ .name = "uncached", .suffix = "", .find = find_any,
	  .operations = CAN(CYCLE) | CAN(FILL) | CAN(READ), OF_CMEM },
	{ .name = "heap", .suffix = "", .find = find_heap, .flags = CMEM_ALLOC_CACHED,
	  .operations = CAN(ALLOCATE) | CAN(CYCLE) | CAN(USE), OF_CMEM },
	{ .name = "heap", .suffix = "fragments", .find = find_fragments,
	  .flags = CMEM_ALLOC_CACHED, .operations = CAN(ALLOCATE), .largest = MIB,
	  .hold = hold_fragments, .drop = drop, OF_CMEM },
	{ .name = "pages", .suffix = "", .find = find_pages,
	  .flags = CMEM_ALLOC_CACHED | CMEM_ALLOC_PAGES,
	  .operations = CAN(ALLOCATE) | CAN(CYCLE) | CAN(USE) | CAN(SYNC) | CAN(SYNC_INV) |
			CAN(SYNC_WBINV) | CAN(FILL) | CAN(READ) | CAN(WRITE), OF_CMEM },
	{ .name = "plain", .suffix = "", .find = find_any, .flags = CMEM_ALLOC_CACHED,
	  .operations = CAN(WRITE), .through_cache = true, OF_CMEM },
	{ .name = "block-cma", .suffix = "", .find = find_cma, .flags = CMEM_ALLOC_CACHED,
	  .operations = CAN(ALLOCATE) | CAN(CYCLE), OF_CMEM },
	{ .name = "dmaheap", .suffix = "ready", .find = find_dma_heap, .fd = -1,
	  .flags = CMEM_ALLOC_CACHED,
	  .operations = CAN(ALLOCATE) | CAN(CYCLE) | CAN(USE) | CAN(ACCESS), .settle = settle,
	  OF_DMA_HEAP },
};

void sources_begin(int fd, int block)
{
	cmem = fd;
	only_block = block;
	page = sysconf(_SC_PAGESIZE);
}

struct source *sources_of_cmem(unsigned int *count)
{
	*count = ARRAY_SIZE(sources);
	return sources;
}
