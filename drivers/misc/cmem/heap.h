/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Heap bookkeeping: which pages of a block are in which buffer, or free.
 */
#ifndef _CMEM_HEAP_H
#define _CMEM_HEAP_H

#include <linux/maple_tree.h>
#include <linux/types.h>

struct mutex;

/**
 * enum cmem_heap_state - state of a page of a heap
 * @CMEM_HEAP_CLEAN: free and zeroed
 * @CMEM_HEAP_DIRTY: free, with the data of its last user
 * @CMEM_HEAP_SCRUBBING: free, being cleaned in the background
 * @CMEM_HEAP_USED: not free
 */
enum cmem_heap_state {
	CMEM_HEAP_CLEAN,
	CMEM_HEAP_DIRTY,
	CMEM_HEAP_SCRUBBING,
	CMEM_HEAP_USED,
};

/**
 * struct cmem_heap - the pages of a block that are in no pool
 * @extents: maps page offsets in the block to their state: no entry for pages that are
 *     free and clean, a value entry (the last user's tag) for free and dirty ones, a
 *     marker for pages that are in a pool or being cleaned, the user's pointer for
 *     pages in use
 * @base_pfn: page frame number of the block's first page, for alignment
 * @num_pages: pages of the block
 * @size: pages of the heap
 * @free: free pages: clean, dirty and being cleaned
 * @dirty: the dirty pages in @free
 * @untouched: the pages in @dirty that nobody has used yet; they are not cleaned until
 *     they are taken
 * @scrubbing: the pages in @free that are being cleaned
 * @recent: page offset of the extent freed last
 * @recent_pages: length of that extent, 0 if it is no longer known
 * @recent_tag: tag of that extent
 * @recent_old: that extent was freed before the last ageing
 * @cursor: page offset at which the search for dirty pages continues
 *
 * The caller serializes all calls. They may sleep, since the tree allocates memory. The
 * entries for what a user takes are charged to the user's memory cgroup.
 */
struct cmem_heap {
	struct maple_tree extents;
	unsigned long base_pfn;
	unsigned long num_pages;
	unsigned long size;
	unsigned long free;
	unsigned long dirty;
	unsigned long untouched;
	unsigned long scrubbing;
	unsigned long recent;
	unsigned long recent_pages;
	u64 recent_tag;
	bool recent_old;
	unsigned long cursor;
};

void cmem_heap_init(struct cmem_heap *heap, unsigned long base_pfn,
		    unsigned long num_pages, struct mutex *lock);
void cmem_heap_destroy(struct cmem_heap *heap);
int cmem_heap_reserve(struct cmem_heap *heap, unsigned long start,
		      unsigned long pages);
int cmem_heap_open(struct cmem_heap *heap, bool untouched);
int cmem_heap_take(struct cmem_heap *heap, unsigned long pages,
		   unsigned long align, u64 tag, void *user,
		   unsigned long *start);
int cmem_heap_make_room(void);
int cmem_heap_insert(struct cmem_heap *heap, unsigned long start,
		     unsigned long pages, void *user);
void cmem_heap_erase(struct cmem_heap *heap, unsigned long start,
		     unsigned long pages);
void cmem_heap_put(struct cmem_heap *heap, unsigned long start,
		   unsigned long pages, u64 tag);
void *cmem_heap_find(struct cmem_heap *heap, unsigned long page);
void *cmem_heap_next(struct cmem_heap *heap, unsigned long *page,
		     unsigned long last);
enum cmem_heap_state cmem_heap_look(struct cmem_heap *heap, unsigned long page,
				    unsigned long *pages, void **user);
void cmem_heap_age(struct cmem_heap *heap);
int cmem_heap_soil(struct cmem_heap *heap);
void cmem_heap_withdraw(struct cmem_heap *heap, unsigned long page, void *user);
bool cmem_heap_has_old(struct cmem_heap *heap);
long cmem_heap_scrub_begin(struct cmem_heap *heap, unsigned long max,
			   unsigned long *start);
void cmem_heap_scrub_end(struct cmem_heap *heap, unsigned long start,
			 unsigned long pages, bool cleaned);
unsigned long cmem_heap_largest(struct cmem_heap *heap);

/* Dirty pages that the scrubber will clean, sooner or later */
static inline unsigned long cmem_heap_to_clean(const struct cmem_heap *heap)
{
	return heap->dirty - heap->untouched;
}

#endif /* _CMEM_HEAP_H */
