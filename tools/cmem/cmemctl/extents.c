// SPDX-License-Identifier: BSD-3-Clause
/*
 * The use of each address of a block. For root, debugfs reports it, with owners and how
 * clean free memory is; otherwise /proc/cmem, which every user may read.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmemctl.h"

static const char *advice;

const char *extents_advice(void)
{
	return advice;
}

const char *state_name(enum extent_state state)
{
	static const char *const names[NUM_STATES] = {
		[FREE_CLEAN] = "clean",
		[FREE_DIRTY] = "dirty",
		[FREE_UNKNOWN] = "free",
		[SCRUBBING] = "scrubbing",
		[HELD] = "held",
		[QUARANTINE] = "quarantine",
		[PINNED] = "pinned",
		[FAILED] = "failed",
		[UNKNOWN] = "unknown",
	};

	return names[state];
}

struct list {
	struct extents *extents;
	unsigned int room;
};

/* Merge adjacent free extents of the same kind. */
static void append(struct list *list, const struct extent *extent)
{
	struct extents *to = list->extents;
	struct extent *last = to->count ? &to->extent[to->count - 1] : NULL;

	if (last && last->state == extent->state && last->pool == extent->pool &&
	    !is_buffer(extent->state) && last->start + last->length == extent->start) {
		last->length += extent->length;
		return;
	}
	grow(to->extent, to->count, list->room);
	to->extent[to->count++] = *extent;
}

static enum extent_state parse_state(const char *name)
{
	for (unsigned int i = 0; i < NUM_STATES; i++)
		if (!strcmp(state_name(i), name))
			return i;
	return UNKNOWN;
}

static void add_owner(struct extent *extent, uint64_t owner, unsigned int count)
{
	extent->owner = xrealloc(extent->owner, extent->owners + 1, sizeof(*extent->owner));
	extent->owner[extent->owners++] = (struct registration){ owner, count };
}

static void add_dmabuf(struct extent *extent, uint64_t inode)
{
	extent->dmabuf = xrealloc(extent->dmabuf, extent->dmabufs + 1, sizeof(*extent->dmabuf));
	extent->dmabuf[extent->dmabufs++] = inode;
}

/* One word of Documentation/ABI/testing/debugfs-cmem; words added later are ignored. */
static void parse_word(char *word, struct extent *extent)
{
	unsigned int count;
	uint64_t owner, inode;

	if (sscanf(word, "phys=%" SCNx64, &extent->start) == 1 ||
	    sscanf(word, "length=%" SCNx64, &extent->length) == 1 ||
	    sscanf(word, "pool=%d", &extent->pool) == 1 ||
	    sscanf(word, "mappings=%u", &extent->mappings) == 1 ||
	    sscanf(word, "last-owner=%" SCNu64, &extent->last_owner) == 1 ||
	    sscanf(word, "in-use=%" SCNu64, &extent->in_use) == 1 ||
	    sscanf(word, "since=%lf", &extent->since) == 1)
		return;
	if (sscanf(word, "owner=%" SCNu64 ":%u", &owner, &count) == 2)
		add_owner(extent, owner, count);
	else if (sscanf(word, "dmabuf=%" SCNu64, &inode) == 1)
		add_dmabuf(extent, inode);
	else if (!strncmp(word, "state=", 6))
		extent->state = parse_state(word + 6);
	else if (!strcmp(word, "cached"))
		extent->cached = true;
	else if (!strcmp(word, "private"))
		extent->private = true;
	else if (!strcmp(word, "failed"))
		extent->failed = true;
	else if (!strcmp(word, "pages"))
		extent->pages = true;
}

static bool read_debugfs(int block, struct list *list)
{
	char path[300], *line = NULL;
	size_t room = 0;
	FILE *f;

	snprintf(path, sizeof(path), DEBUGFS "/cmem/%d/extents", block);
	f = fopen(path, "re");
	if (!f) {
		if (getuid() || errno == EACCES || errno == EPERM)
			advice = "Who holds what, and how clean free memory is, is for root: run this as root.";
		else if (access(DEBUGFS "/cmem", F_OK))
			advice = "Who holds what is in debugfs, which is not there: is CONFIG_DEBUG_FS on? mount -t debugfs none " DEBUGFS;
		else
			advice = "Who holds what of this kind of block is not told.";
		return false;
	}
	while (getline(&line, &room, f) > 0) {
		struct extent extent = { .pool = CMEM_POOL_HEAP, .state = UNKNOWN };

		for (char *word = strtok(line, "\n "); word; word = strtok(NULL, "\n "))
			parse_word(word, &extent);
		if (extent.length)
			append(list, &extent);
	}
	free(line);
	fclose(f);
	return list->extents->count;
}

static int by_address(const void *left, const void *right)
{
	const struct extent *a = left, *b = right;

	return a->start < b->start ? -1 : a->start > b->start;
}

/* Fills the gaps with the heap's free memory. */
static void fill_gaps(const struct block *block, struct list *list, enum extent_state gap)
{
	struct extents known = *list->extents;
	uint64_t at = block->info.base, end = block->info.base + block->info.length;

	qsort(known.extent, known.count, sizeof(*known.extent), by_address);
	*list->extents = (struct extents){ };
	list->room = 0;
	for (unsigned int i = 0; i <= known.count; i++) {
		uint64_t next = i < known.count ? known.extent[i].start : end;
		struct extent hole = {
			.start = at, .length = next - at, .pool = CMEM_POOL_HEAP, .state = gap,
		};

		if (next > at)
			append(list, &hole);
		if (i == known.count)
			break;
		append(list, &known.extent[i]);
		at = known.extent[i].start + known.extent[i].length;
	}
	free(known.extent);
}

/* One line of /proc/cmem. @pool is the current pool: -1 in another block. */
static void parse_proc_line(const char *line, const struct block *block, int *pool, bool *busy,
			    bool *hidden, struct list *list)
{
	const struct cmem_pool_info *in_pool = *pool >= 0 ? &block->pool[*pool] : NULL;
	struct extent extent = { .state = HELD };
	unsigned int number, id;

	if (sscanf(line, "Block %u: Pool %u:", &number, &id) == 2) {
		*pool = (int)number == block->info.block && id < block->info.num_pools ?
			(int)id : -1;
	} else if (sscanf(line, "Block %u: Heap:", &number) == 1 && strstr(line, "Heap")) {
		*pool = (int)number == block->info.block ? CMEM_POOL_HEAP : -1;
	} else if (strstr(line, " busy bufs:")) {
		*busy = true;
	} else if (strstr(line, " free bufs:")) {
		*busy = false;
	} else if (in_pool && sscanf(line, "id %u:", &id) == 1 && id < in_pool->count) {
		extent.start = in_pool->base + id * in_pool->length;
		extent.length = in_pool->length;
		extent.pool = *pool;
		if (!*busy)
			extent.state = FREE_UNKNOWN;
		append(list, &extent);
	} else if (*pool == CMEM_POOL_HEAP &&
		   sscanf(line, "phys addr %" SCNx64 " size %" SCNx64, &extent.start,
			  &extent.length) == 2) {
		extent.pool = CMEM_POOL_HEAP;
		append(list, &extent);
	} else if (*pool == CMEM_POOL_HEAP && strstr(line, "hidden")) {
		*hidden = true;
	}
}

static void read_proc(const struct block *block, struct list *list)
{
	FILE *f = fopen("/proc/cmem", "re");
	bool busy = false, hidden = false;
	int pool = -1;
	char line[256];

	if (!f)
		die("/proc/cmem: %s", strerror(errno));
	while (fgets(line, sizeof(line), f))
		parse_proc_line(line, block, &pool, &busy, &hidden, list);
	fclose(f);
	if (block_has_range(block))
		fill_gaps(block, list, hidden ? UNKNOWN : FREE_UNKNOWN);
}

void extents_read(const struct block *block, struct extents *extents)
{
	struct list list = { .extents = extents };

	*extents = (struct extents){ };
	extents->known = read_debugfs(block->info.block, &list);
	if (!extents->known)
		read_proc(block, &list);
}

void extents_free(struct extents *extents)
{
	for (unsigned int i = 0; i < extents->count; i++) {
		free(extents->extent[i].owner);
		free(extents->extent[i].dmabuf);
	}
	free(extents->extent);
	*extents = (struct extents){ };
}

const struct extent *extents_find(const struct extents *extents, uint64_t phys)
{
	for (unsigned int i = 0; i < extents->count; i++)
		if (phys - extents->extent[i].start < extents->extent[i].length)
			return &extents->extent[i];
	return NULL;
}

const struct block *extents_at(const struct blocks *blocks, uint64_t phys,
			       struct extents *extents, const struct extent **extent)
{
	for (unsigned int i = 0; i < blocks->count; i++) {
		const struct block *block = &blocks->block[i];

		if (block_has_range(block) && phys - block->info.base >= block->info.length)
			continue;
		extents_read(block, extents);
		*extent = extents_find(extents, phys);
		if (*extent || block_has_range(block))
			return block;
		extents_free(extents);
	}
	return NULL;
}

uint64_t extents_largest(const struct extents *extents, uint64_t *start)
{
	uint64_t largest = 0, run = 0, end = 0;

	for (unsigned int i = 0; i < extents->count; i++) {
		const struct extent *e = &extents->extent[i];

		if (e->pool != CMEM_POOL_HEAP || is_buffer(e->state) || e->state == FAILED ||
		    e->state == UNKNOWN)
			continue;
		run = e->start == end ? run + e->length : e->length;
		end = e->start + e->length;
		if (run > largest) {
			largest = run;
			*start = end - run;
		}
	}
	return largest;
}
