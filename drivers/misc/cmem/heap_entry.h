/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entries in the tree of a heap, for heap.c, which takes pages and puts them back, and
 * heap_scrub.c, which handles free pages.
 */
#ifndef _CMEM_HEAP_ENTRY_H
#define _CMEM_HEAP_ENTRY_H

#include <linux/limits.h>
#include <linux/types.h>
#include <linux/xarray.h>

#include "heap.h"

/*
 * Markers: tree entries that are no user's pointer. Only their addresses matter. They
 * must be even, since an odd one would be a value entry.
 */
extern const unsigned long cmem_heap_pooled;
extern const unsigned long cmem_heap_scrubbing;

static inline void *cmem_heap_marker(const unsigned long *marker)
{
	return (void *)marker;
}

/* Tell if an entry is not a user's pointer. */
static inline bool cmem_heap_is_marker(void *entry)
{
	return xa_is_value(entry) ||
	       entry == cmem_heap_marker(&cmem_heap_pooled) ||
	       entry == cmem_heap_marker(&cmem_heap_scrubbing);
}

/* Dirty, and never used yet */
static inline void *cmem_heap_untouched_entry(void)
{
	return xa_mk_value(LONG_MAX);
}

/* A tag that does not fit into a value entry, on 32 bit, becomes nobody's. */
static inline void *cmem_heap_dirty_entry(u64 tag)
{
	return xa_mk_value(tag < LONG_MAX ? tag : 0);
}

static inline bool cmem_heap_is_own(void *entry, u64 tag)
{
	return entry != cmem_heap_untouched_entry() && xa_to_value(entry) &&
	       xa_to_value(entry) == tag;
}

void cmem_heap_store(struct cmem_heap *heap, unsigned long start,
		     unsigned long pages, void *entry);
void cmem_heap_forget_recent(struct cmem_heap *heap, unsigned long start,
			     unsigned long pages);

#endif /* _CMEM_HEAP_ENTRY_H */
