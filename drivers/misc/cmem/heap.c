// SPDX-License-Identifier: GPL-2.0-only
/*
 * Heap bookkeeping: a maple tree of extents.
 *
 * One tree records both which pages are in use and which free pages are clean. Pages
 * without an entry are free and clean, so an allocation is one search for a gap, and
 * cleaned neighbours merge without further work. Clean and dirty are tracked by extent,
 * not in a bitmap: a value entry also records the last owner, and memory that is never
 * used costs no entries.
 *
 * This file knows page offsets in a block and opaque user pointers. It does not know
 * buffers. The caller holds the block's lock, which protects a heap.
 */
#include <linux/align.h>
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "cmem.h"
#include "heap.h"
#include "heap_entry.h"

/* Bytes of the nodes that splitting a deep tree needs */
#define CMEM_HEAP_ROOM		SZ_4K

const unsigned long cmem_heap_pooled;
const unsigned long cmem_heap_scrubbing;

/*
 * Store an entry where failure is not an option. This usually needs no memory: the extent
 * stays, only its entry changes. But if the extent becomes a gap, neighbours may have to
 * be merged into new nodes.
 */
void cmem_heap_store(struct cmem_heap *heap, unsigned long start,
		     unsigned long pages, void *entry)
{
	MA_STATE(mas, &heap->extents, start, start + pages - 1);

	WARN_ON_ONCE(mas_store_gfp(&mas, entry, GFP_KERNEL | __GFP_NOFAIL));
}

/*
 * Store an entry for a user. The tree's nodes are charged to the user's memory cgroup:
 * mas_store_gfp() would charge only nodes that it does not get at the first try. This
 * does not wait for memory, since the block is locked: all others would wait for a
 * cgroup that is at its limit.
 */
static int cmem_heap_store_user(struct cmem_heap *heap, unsigned long start,
				unsigned long pages, void *user)
{
	MA_STATE(mas, &heap->extents, start, start + pages - 1);

	if (mas_preallocate(&mas, user,
			    GFP_NOWAIT | __GFP_ACCOUNT | __GFP_NOWARN))
		return -ENOBUFS;
	mas_store_prealloc(&mas, user);
	return 0;
}

/**
 * cmem_heap_make_room - provide memory for bookkeeping, after -ENOBUFS
 *
 * Makes the kernel, or the caller's memory cgroup, reclaim more than one entry needs, and
 * leaves it free. Others may take it, so the caller must limit its retries. May sleep
 * for long. Called without locks.
 *
 * Return: 0 or -ENOMEM.
 */
int cmem_heap_make_room(void)
{
	void *room = kmalloc(CMEM_HEAP_ROOM, CMEM_GFP_USER);

	if (!room)
		return -ENOMEM;
	kfree(room);
	return 0;
}

/**
 * cmem_heap_init - initialize a heap without pages
 * @heap: the heap
 * @base_pfn: page frame number of the block's first page
 * @num_pages: pages of the block
 * @lock: the lock that the caller holds around all calls, for lockdep
 *
 * The caller then reserves pages for pools. After that, cmem_heap_open() gives the rest
 * to the heap.
 */
void cmem_heap_init(struct cmem_heap *heap, unsigned long base_pfn,
		    unsigned long num_pages, struct mutex *lock)
{
	*heap = (struct cmem_heap) {
		.base_pfn = base_pfn,
		.num_pages = num_pages,
	};
	mt_init_flags(&heap->extents,
		      MT_FLAGS_ALLOC_RANGE | MT_FLAGS_LOCK_EXTERN);
	mt_set_external_lock(&heap->extents, lock);
}

void cmem_heap_destroy(struct cmem_heap *heap)
{
	__mt_destroy(&heap->extents);
}

/**
 * cmem_heap_reserve - keep pages out of the heap, for a pool
 * @heap: a heap that is not open yet
 * @start: page offset
 * @pages: number of pages
 *
 * Return: 0 or -ENOMEM.
 */
int cmem_heap_reserve(struct cmem_heap *heap, unsigned long start,
		      unsigned long pages)
{
	MA_STATE(mas, &heap->extents, start, start + pages - 1);

	return mas_store_gfp(&mas, cmem_heap_marker(&cmem_heap_pooled),
			     GFP_KERNEL);
}

/**
 * cmem_heap_open - give all pages that are not reserved to the heap, dirty
 * @heap: the heap
 * @untouched: do not clean a page before it is taken for the first time
 *
 * Return: 0 or -ENOMEM.
 */
int cmem_heap_open(struct cmem_heap *heap, bool untouched)
{
	void *dirty = untouched ? cmem_heap_untouched_entry() :
				  cmem_heap_dirty_entry(0);
	unsigned long start, pages;
	int ret;

	for (start = 0; start < heap->num_pages; start += pages) {
		MA_STATE(mas, &heap->extents, start, start);
		void *entry = mas_walk(&mas);

		/* The gap behind the last pool is unbounded. */
		pages = min(mas.last, heap->num_pages - 1) - start + 1;
		if (entry)
			continue;
		mas_set_range(&mas, start, start + pages - 1);
		ret = mas_store_gfp(&mas, dirty, GFP_KERNEL);
		if (ret)
			return ret;
		heap->size += pages;
	}

	heap->free = heap->size;
	heap->dirty = heap->size;
	heap->untouched = untouched ? heap->size : 0;
	return 0;
}

static bool cmem_heap_align(const struct cmem_heap *heap, unsigned long page,
			    unsigned long pages, unsigned long align,
			    unsigned long *start)
{
	unsigned long pfn;

	if (check_add_overflow(heap->base_pfn + page, align - 1, &pfn))
		return false;

	*start = ALIGN_DOWN(pfn, align) - heap->base_pfn;
	return *start < heap->num_pages && heap->num_pages - *start >= pages;
}

static bool cmem_heap_find_clean(struct cmem_heap *heap, unsigned long pages,
				 unsigned long align, unsigned long *start)
{
	unsigned long last = heap->num_pages - 1;
	MA_STATE(mas, &heap->extents, 0, 0);
	unsigned long padded;

	if (heap->free - heap->dirty - heap->scrubbing < pages)
		return false;

	/* One descent of the tree finds a gap with room to align in. */
	if (!check_add_overflow(pages, align - 1, &padded) &&
	    padded <= heap->num_pages &&
	    !mas_empty_area(&mas, 0, last, padded))
		return cmem_heap_align(heap, mas.index, pages, align, start);
	if (align == 1)
		return false;

	/* There is none: check the gaps that happen to be aligned. */
	mas_set(&mas, 0);
	while (!mas_empty_area(&mas, mas.index, last, pages)) {
		if (!cmem_heap_align(heap, mas.index, pages, align, start))
			return false;
		mas_set(&mas, *start);
		if (!mas_find(&mas, *start + pages - 1))
			return true;
		if (mas.last >= last)
			return false;
		mas_set(&mas, mas.last + 1);
	}
	return false;
}

/*
 * Find free pages, including dirty ones. They may span extents. This walks the tree,
 * which is worthwhile: a hit saves a wait for the scrubber, or is the user's own
 * memory.
 */
static bool cmem_heap_find_free(struct cmem_heap *heap, unsigned long pages,
				unsigned long align, bool with_scrubbing,
				unsigned long *start)
{
	MA_STATE(mas, &heap->extents, 0, 0);
	unsigned long run = 0;
	void *entry;

	mas_for_each(&mas, entry, heap->num_pages - 1) {
		if (xa_is_value(entry) ||
		    (with_scrubbing &&
		     entry == cmem_heap_marker(&cmem_heap_scrubbing)))
			continue;
		if (cmem_heap_align(heap, run, pages, align, start) &&
		    *start + pages <= mas.index)
			return true;
		run = mas.last + 1;
	}
	return cmem_heap_align(heap, run, pages, align, start);
}

/*
 * Count the dirty pages of a free range, and those of them that nobody has used yet, and
 * tell if all dirty pages were freed with @tag.
 */
static unsigned long cmem_heap_count_dirty(struct cmem_heap *heap,
					   unsigned long start,
					   unsigned long pages, u64 tag,
					   bool *own, unsigned long *untouched)
{
	unsigned long last = start + pages - 1;
	MA_STATE(mas, &heap->extents, start, start);
	unsigned long dirty = 0, here;
	void *entry;

	*own = true;
	*untouched = 0;
	mas_for_each(&mas, entry, last) {
		here = min(mas.last, last) - max(mas.index, start) + 1;
		dirty += here;
		if (entry == cmem_heap_untouched_entry())
			*untouched += here;
		if (!cmem_heap_is_own(entry, tag))
			*own = false;
	}
	return dirty;
}

void cmem_heap_forget_recent(struct cmem_heap *heap, unsigned long start,
			     unsigned long pages)
{
	if (start < heap->recent + heap->recent_pages &&
	    heap->recent < start + pages)
		heap->recent_pages = 0;
}

static int cmem_heap_claim(struct cmem_heap *heap, unsigned long start,
			   unsigned long pages, unsigned long dirty, void *user)
{
	int ret;

	ret = cmem_heap_store_user(heap, start, pages, user);
	if (ret)
		return ret;

	heap->free -= pages;
	heap->dirty -= dirty;
	if (dirty)
		cmem_heap_forget_recent(heap, start, pages);
	return 0;
}

/**
 * cmem_heap_take - take pages out of the heap
 * @heap: the heap
 * @pages: number of pages, at least 1
 * @align: alignment of the page frame number, a power of two
 * @tag: tag of the new user, not 0
 * @user: what cmem_heap_find() returns for these pages; not NULL, and aligned to at
 *	least 4 bytes
 * @start: where to put the page offset
 *
 * Prefers what the same user freed last, then clean pages, then dirty ones. A request for
 * at least a huge page prefers a huge page boundary, so that huge pages can map it.
 *
 * Return: CMEM_TAKEN_READY, CMEM_TAKEN_DIRTY when the pages must be cleaned first,
 * -EAGAIN when there will be room once some pages are cleaned, -ENOMEM when there is no
 * room, -ENOBUFS when there is no memory for the bookkeeping: cmem_heap_make_room() may
 * help.
 */
int cmem_heap_take(struct cmem_heap *heap, unsigned long pages,
		   unsigned long align, u64 tag, void *user,
		   unsigned long *start)
{
	unsigned long huge = CMEM_HUGE_SIZE >> PAGE_SHIFT;
	unsigned long preferred = pages >= huge ? max(align, huge) : align;
	unsigned long dirty, untouched;
	bool own;
	int ret;

	if (pages > heap->free)
		return -ENOMEM;

	if (heap->recent_pages >= pages && heap->recent_tag == tag &&
	    IS_ALIGNED(heap->base_pfn + heap->recent, align)) {
		unsigned long rest = heap->recent_pages - pages;

		*start = heap->recent;
		if (!rest) {
			/* This is a whole extent: only its entry changes. */
			cmem_heap_store(heap, *start, pages, user);
			heap->free -= pages;
			heap->dirty -= pages;
		} else {
			ret = cmem_heap_claim(heap, *start, pages, pages, user);
			if (ret)
				return ret;
			heap->recent += pages;
		}
		heap->recent_pages = rest;
		return CMEM_TAKEN_READY;
	}

	for (;; preferred = align) {
		if (cmem_heap_find_clean(heap, pages, preferred, start)) {
			ret = cmem_heap_claim(heap, *start, pages, 0, user);
			return ret ?: CMEM_TAKEN_READY;
		}
		if (heap->dirty &&
		    cmem_heap_find_free(heap, pages, preferred, false, start)) {
			dirty = cmem_heap_count_dirty(heap, *start, pages, tag,
						      &own, &untouched);
			ret = cmem_heap_claim(heap, *start, pages, dirty, user);
			if (ret)
				return ret;
			heap->untouched -= untouched;
			return own ? CMEM_TAKEN_READY : CMEM_TAKEN_DIRTY;
		}
		if (preferred == align)
			break;
	}

	if (heap->scrubbing &&
	    cmem_heap_find_free(heap, pages, align, true, start))
		return -EAGAIN;
	return -ENOMEM;
}

/**
 * cmem_heap_put - give pages back
 * @heap: the heap
 * @start: page offset from cmem_heap_take()
 * @pages: number of pages, as taken
 * @tag: tag that may get the pages back uncleaned, 0 for none
 */
void cmem_heap_put(struct cmem_heap *heap, unsigned long start,
		   unsigned long pages, u64 tag)
{
	cmem_heap_store(heap, start, pages, cmem_heap_dirty_entry(tag));
	heap->free += pages;
	heap->dirty += pages;
	heap->recent = start;
	heap->recent_pages = pages;
	heap->recent_tag = tag;
	heap->recent_old = false;
}

/**
 * cmem_heap_insert - record pages that another allocator handed out
 * @heap: the heap, whose counters do not change
 * @start: page offset
 * @pages: number of pages, at least 1; none of them is recorded already
 * @user: as for cmem_heap_take()
 *
 * Return: 0 or -ENOBUFS, as cmem_heap_take().
 */
int cmem_heap_insert(struct cmem_heap *heap, unsigned long start,
		     unsigned long pages, void *user)
{
	return cmem_heap_store_user(heap, start, pages, user);
}

/**
 * cmem_heap_erase - undo cmem_heap_insert()
 * @heap: the heap
 * @start: page offset
 * @pages: number of pages, as recorded
 */
void cmem_heap_erase(struct cmem_heap *heap, unsigned long start,
		     unsigned long pages)
{
	cmem_heap_store(heap, start, pages, NULL);
}

/**
 * cmem_heap_find - find the user of a page
 * @heap: the heap
 * @page: page offset in the block
 *
 * Return: the user's pointer, or NULL if the page is free or in no heap.
 */
void *cmem_heap_find(struct cmem_heap *heap, unsigned long page)
{
	MA_STATE(mas, &heap->extents, page, page);
	void *entry = mas_walk(&mas);

	return cmem_heap_is_marker(entry) ? NULL : entry;
}

/**
 * cmem_heap_next - find the first user in a range of pages
 * @heap: the heap
 * @page: in: page offset in the block to start at; out: of the user's first page
 * @last: the last page offset at which a user may start
 *
 * Return: the user's pointer, or NULL if none starts in the range.
 */
void *cmem_heap_next(struct cmem_heap *heap, unsigned long *page,
		     unsigned long last)
{
	MA_STATE(mas, &heap->extents, *page, *page);
	void *entry;

	mas_for_each(&mas, entry, last) {
		if (mas.index < *page || cmem_heap_is_marker(entry))
			continue;
		*page = mas.index;
		return entry;
	}
	return NULL;
}

/**
 * cmem_heap_look - get the state of a page and the pages behind it
 * @heap: the heap
 * @page: page offset in the block, of a page that is in no pool
 * @pages: where to put the number of pages that share this state
 * @user: where to put the user's pointer if the page is in use
 *
 * Return: the state of these pages.
 */
enum cmem_heap_state cmem_heap_look(struct cmem_heap *heap, unsigned long page,
				    unsigned long *pages, void **user)
{
	MA_STATE(mas, &heap->extents, page, page);
	void *entry = mas_walk(&mas);

	/* The gap behind the last entry is unbounded. */
	*pages = min(mas.last, heap->num_pages - 1) - page + 1;
	if (!entry)
		return CMEM_HEAP_CLEAN;
	if (xa_is_value(entry))
		return CMEM_HEAP_DIRTY;
	if (entry == cmem_heap_marker(&cmem_heap_scrubbing))
		return CMEM_HEAP_SCRUBBING;
	*user = entry;
	return CMEM_HEAP_USED;
}

/**
 * cmem_heap_largest - get the longest run of free pages
 * @heap: the heap
 *
 * Walks the tree: for reports, not for allocation.
 *
 * Return: the length in pages, 0 if nothing is free.
 */
unsigned long cmem_heap_largest(struct cmem_heap *heap)
{
	MA_STATE(mas, &heap->extents, 0, 0);
	unsigned long largest = 0, run = 0;
	void *entry;

	mas_for_each(&mas, entry, heap->num_pages - 1) {
		if (xa_is_value(entry) ||
		    entry == cmem_heap_marker(&cmem_heap_scrubbing))
			continue;
		largest = max(largest, mas.index - run);
		run = mas.last + 1;
	}
	return max(largest, heap->num_pages - run);
}
