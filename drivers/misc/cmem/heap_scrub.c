// SPDX-License-Identifier: GPL-2.0-only
/*
 * Free pages of a heap: selects dirty pages to clean, and takes failed pages out of the
 * heap for good.
 */
#include <linux/minmax.h>
#include <linux/slab.h>

#include "heap.h"
#include "heap_entry.h"

/* Entries that the search for dirty pages visits before it drops the lock */
#define CMEM_HEAP_SEARCH_STEPS	512

/**
 * cmem_heap_age - make the extent freed last old
 * @heap: the heap
 */
void cmem_heap_age(struct cmem_heap *heap)
{
	heap->recent_old = true;
}

/**
 * cmem_heap_soil - make all free pages dirty, without a last owner
 * @heap: a heap of which no page is being cleaned
 *
 * Pages that nobody has used yet stay untouched.
 *
 * Return: 0; -ENOMEM if some pages did not change: call again.
 */
int cmem_heap_soil(struct cmem_heap *heap)
{
	unsigned long start, pages;
	int ret;

	heap->recent_pages = 0;
	for (start = 0; start < heap->num_pages; start += pages) {
		MA_STATE(mas, &heap->extents, start, start);
		void *entry = mas_walk(&mas);

		/* The gap behind the last entry is unbounded. */
		pages = min(mas.last, heap->num_pages - 1) - start + 1;
		if (entry && (!xa_is_value(entry) || !xa_to_value(entry) ||
			      entry == cmem_heap_untouched_entry()))
			continue;
		mas_set_range(&mas, start, start + pages - 1);
		ret = mas_store_gfp(&mas, cmem_heap_dirty_entry(0), GFP_KERNEL);
		if (ret)
			return ret;
		if (!entry)
			heap->dirty += pages;
	}
	return 0;
}

/**
 * cmem_heap_withdraw - take one page out of the heap for good
 * @heap: the heap
 * @page: page offset of a page that is free, and not being cleaned
 * @user: as for cmem_heap_take()
 */
void cmem_heap_withdraw(struct cmem_heap *heap, unsigned long page, void *user)
{
	MA_STATE(mas, &heap->extents, page, page);
	void *entry = mas_walk(&mas);

	cmem_heap_store(heap, page, 1, user);
	heap->free--;
	heap->dirty -= !!entry;
	heap->untouched -= entry == cmem_heap_untouched_entry();
	cmem_heap_forget_recent(heap, page, 1);
}

/**
 * cmem_heap_has_old - tell if there are pages to clean
 * @heap: the heap
 *
 * The extent freed last does not count until it has aged: its last user may reuse it.
 *
 * Return: true if there are.
 */
bool cmem_heap_has_old(struct cmem_heap *heap)
{
	if (heap->recent_old)
		return cmem_heap_to_clean(heap);
	return cmem_heap_to_clean(heap) > heap->recent_pages;
}

/**
 * cmem_heap_scrub_begin - pick dirty pages to clean
 * @heap: the heap
 * @max: at most this many
 * @start: where to put the page offset
 *
 * Return: number of pages; 0 if the search must drop the lock before it continues: call
 * again while cmem_heap_has_old(); -ENOMEM.
 */
long cmem_heap_scrub_begin(struct cmem_heap *heap, unsigned long max,
			   unsigned long *start)
{
	MA_STATE(mas, &heap->extents, heap->cursor, heap->cursor);
	unsigned int steps = CMEM_HEAP_SEARCH_STEPS;
	unsigned long pages;
	void *entry;
	int ret;

	mas_for_each(&mas, entry, heap->num_pages - 1) {
		heap->cursor = mas.last + 1;
		if (xa_is_value(entry) && entry != cmem_heap_untouched_entry() &&
		    (heap->recent_old || !heap->recent_pages ||
		     mas.index != heap->recent))
			goto found;
		if (!--steps)
			return 0;
	}
	heap->cursor = 0;
	return 0;

found:
	*start = mas.index;
	pages = min(mas.last - mas.index + 1, max);
	mas_set_range(&mas, *start, *start + pages - 1);
	ret = mas_store_gfp(&mas, cmem_heap_marker(&cmem_heap_scrubbing),
			    GFP_KERNEL);
	if (ret)
		return ret;

	heap->cursor = *start + pages;
	heap->dirty -= pages;
	heap->scrubbing += pages;
	cmem_heap_forget_recent(heap, *start, pages);
	return pages;
}

/**
 * cmem_heap_scrub_end - put pages back after cleaning
 * @heap: the heap
 * @start: page offset from cmem_heap_scrub_begin()
 * @pages: number of pages from cmem_heap_scrub_begin()
 * @cleaned: false if the pages could not be cleaned
 */
void cmem_heap_scrub_end(struct cmem_heap *heap, unsigned long start,
			 unsigned long pages, bool cleaned)
{
	cmem_heap_store(heap, start, pages,
			cleaned ? NULL : cmem_heap_dirty_entry(0));
	heap->scrubbing -= pages;
	if (!cleaned)
		heap->dirty += pages;
}
