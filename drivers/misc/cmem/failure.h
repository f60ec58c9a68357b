/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory that has failed (failure.c) */
#ifndef _CMEM_FAILURE_H
#define _CMEM_FAILURE_H

#include <linux/mm.h>

#include "block.h"

#ifdef CONFIG_MEMORY_FAILURE
int cmem_failure_fault_begin(void);
void cmem_failure_fault_end(int idx);
unsigned long cmem_failure_before(const struct cmem_block *block,
				  unsigned long pfn, unsigned long pages);
void cmem_failure_look(struct cmem_block *block);
void cmem_failure_return(struct cmem_block *block, unsigned long start,
			 unsigned long pages);
void cmem_failure_forget(struct cmem_block *block);
void cmem_failure_init(void);

/* Tell if any page of a block has failed. The caller has a buffer of it. */
static inline bool cmem_block_has_failed(const struct cmem_block *block)
{
	return unlikely(READ_ONCE(block->has_failed));
}

/* Look for new failures before memory of a locked block is handed out or cleaned. */
static inline void cmem_failure_check(struct cmem_block *block)
{
	if (unlikely(atomic_long_read(&num_poisoned_pages) != block->failures))
		cmem_failure_look(block);
}

/* Tell if newly allocated memory has failed, which no earlier look covered. */
static inline bool cmem_failure_in_new(const struct cmem_block *block,
				       unsigned long pfn, unsigned long pages)
{
	return unlikely(atomic_long_read(&num_poisoned_pages)) &&
	       cmem_failure_before(block, pfn, pages) < pages;
}
#else
static inline int cmem_failure_fault_begin(void)
{
	return 0;
}

static inline void cmem_failure_fault_end(int idx)
{
}

static inline unsigned long cmem_failure_before(const struct cmem_block *block,
						unsigned long pfn,
						unsigned long pages)
{
	return pages;
}

static inline void cmem_failure_return(struct cmem_block *block,
				       unsigned long start, unsigned long pages)
{
}

static inline void cmem_failure_forget(struct cmem_block *block)
{
}

static inline void cmem_failure_init(void)
{
}

static inline bool cmem_block_has_failed(const struct cmem_block *block)
{
	return false;
}

static inline void cmem_failure_check(struct cmem_block *block)
{
}

static inline bool cmem_failure_in_new(const struct cmem_block *block,
				       unsigned long pfn, unsigned long pages)
{
	return false;
}
#endif

/* Tell if memory of a block has failed. The caller has a buffer of the block. */
static inline bool cmem_failure_in(const struct cmem_block *block,
				   unsigned long pfn, unsigned long pages)
{
	return cmem_block_has_failed(block) &&
	       cmem_failure_before(block, pfn, pages) < pages;
}

#endif /* _CMEM_FAILURE_H */
