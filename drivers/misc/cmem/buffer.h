/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A buffer: a run of pages that users hold (buffer.c). registration.h has the users.
 */
#ifndef _CMEM_BUFFER_H
#define _CMEM_BUFFER_H

#include <linux/build_bug.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <uapi/linux/cmem.h>

#include "block.h"

struct cmem_request;

/**
 * struct cmem_registration - one file's hold on one buffer, which may count many times
 * @file: the file, under the block's lock. NULL for the registration in the buffer
 *	itself while the file that allocated the buffer is not registered.
 * @in_file: entry in one of the lists of @file, under the file's lock
 * @next: the next registration for the same buffer, under the block's lock
 */
struct cmem_registration {
	struct cmem_file *file;
	struct list_head in_file;
	struct cmem_registration *next;
};

/* Factor from enum cmem_alloc_flags to enum cmem_buffer_flags */
#define CMEM_BUFFER_OF_ABI	2

/**
 * enum cmem_buffer_flags - bits of cmem_buffer.flags
 * @CMEM_BUFFER_LIVE: the buffer is allocated
 * @CMEM_BUFFER_CACHED: mappings are cached. Fixed at allocation.
 * @CMEM_BUFFER_PRIVATE: files can't register for the buffer by its address
 * @CMEM_BUFFER_SHARED: users other than the file that allocated the buffer could see
 *	it. It must be zeroed even before that file gets it back.
 * @CMEM_BUFFER_QUARANTINE: the buffer goes into quarantine if a user does not free it
 * @CMEM_BUFFER_FAILED: a page of the buffer has failed. Without CMEM_BUFFER_LIVE,
 *	CMEM_BUFFER_QUARANTINED and CMEM_BUFFER_PINNED, the buffer is kept out of use, or
 *	will be.
 * @CMEM_BUFFER_PAGES: mappings are of struct pages, which the kernel can pin
 * @CMEM_BUFFER_ABANDONED: a user has not freed the buffer
 * @CMEM_BUFFER_QUARANTINED: the buffer is in quarantine: it has no user and can't be
 *	allocated. CMEM_BUFFER_LIVE is clear.
 * @CMEM_BUFFER_UNSNOOPED: an attached device does not snoop the caches
 * @CMEM_BUFFER_SNOOPED: an attached device snoops the caches
 * @CMEM_BUFFER_ALIASED: the buffer counts in cmem_block.alias_users. Fixed while live.
 * @CMEM_BUFFER_EXPORTED: a DMA-BUF of it is kept while any file is registered
 * @CMEM_BUFFER_PINNED: the buffer has no user, but its pages may be in use: it can't be
 *	allocated. CMEM_BUFFER_LIVE is clear.
 */
enum cmem_buffer_flags {
	CMEM_BUFFER_LIVE	= 1 << 0,
	CMEM_BUFFER_CACHED	= CMEM_ALLOC_CACHED * CMEM_BUFFER_OF_ABI,
	CMEM_BUFFER_PRIVATE	= CMEM_ALLOC_PRIVATE * CMEM_BUFFER_OF_ABI,
	CMEM_BUFFER_SHARED	= 1 << 3,
	CMEM_BUFFER_QUARANTINE	= CMEM_ALLOC_QUARANTINE * CMEM_BUFFER_OF_ABI,
	CMEM_BUFFER_FAILED	= CMEM_ALLOC_FAILED * CMEM_BUFFER_OF_ABI,
	CMEM_BUFFER_PAGES	= CMEM_ALLOC_PAGES * CMEM_BUFFER_OF_ABI,
	CMEM_BUFFER_ABANDONED	= 1 << 7,
	CMEM_BUFFER_QUARANTINED	= 1 << 8,
	CMEM_BUFFER_UNSNOOPED	= 1 << 9,
	CMEM_BUFFER_SNOOPED	= 1 << 10,
	CMEM_BUFFER_ALIASED	= 1 << 11,
	CMEM_BUFFER_EXPORTED	= 1 << 12,
	CMEM_BUFFER_PINNED	= 1 << 13,
};

/* Flags that the UAPI reports. Each needs a bit of its own here. */
#define CMEM_BUFFER_ABI (CMEM_BUFFER_CACHED | CMEM_BUFFER_PRIVATE | \
			 CMEM_BUFFER_QUARANTINE | CMEM_BUFFER_FAILED | \
			 CMEM_BUFFER_PAGES)

/* All others */
#define CMEM_BUFFER_INTERNAL (CMEM_BUFFER_LIVE | CMEM_BUFFER_SHARED | \
			      CMEM_BUFFER_ABANDONED | CMEM_BUFFER_QUARANTINED | \
			      CMEM_BUFFER_UNSNOOPED | CMEM_BUFFER_SNOOPED | \
			      CMEM_BUFFER_ALIASED | CMEM_BUFFER_EXPORTED | \
			      CMEM_BUFFER_PINNED)

static_assert(!(CMEM_BUFFER_ABI & CMEM_BUFFER_INTERNAL));
static_assert((CMEM_BUFFER_ABI | CMEM_BUFFER_INTERNAL) <= U16_MAX);

/**
 * struct cmem_buffer - a run of pages that users hold
 * @pool: the pool of the buffer, or NULL for a buffer from a heap
 * @refs: one for each registered file, each mapping and each DMA-BUF, and for callers.
 *	It drops to 0 only with the block's lock held. The memory is then freed.
 * @flags: bits of enum cmem_buffer_flags
 * @count: registrations of the file that allocated the buffer
 * @first: the registration of that file, the head of the list of all registrations.
 *	A buffer from a DMA-BUF heap has no such file.
 * @since: in quarantine: when the quarantine began, in seconds since boot
 * @since_ms: in quarantine: the milliseconds in addition to @since
 * @in_block: in quarantine, pinned, or out of use: entry in the block's list of such
 *	buffers
 * @stops: in quarantine: cmem_rproc_stops() when the quarantine began
 * @first_pinned: pinned, with pages in use: the first of them, as offset in the buffer
 * @grace: pinned, of CMA, without pages in use: the RCU grace period that must pass
 *	before it is freed
 * @pinned: pinned: number of its pages that were in use when last counted
 * @dmem: the cgroup that is charged; empty without the dmem controller
 *
 * Each pool allocates these for all its buffers up front, so the struct is small: on
 * 64 bit, 48 bytes without @dmem, or 64 with the slot. For this, @count is not in
 * @first. The block's lock protects writes to all but @refs and @first.in_file.
 */
struct cmem_buffer {
	struct cmem_carved_pool *pool;
	refcount_t refs;
	u16 flags;
	union {
		u16 count;
		u16 since_ms;
	};
	union {
		struct cmem_registration first;
		struct {
			union {
				unsigned long since;
				unsigned long first_pinned;
				unsigned long grace;
			};
			struct list_head in_block;
			union {
				unsigned long stops;
				unsigned long pinned;
			};
		};
	};
	struct cmem_dmem_charge dmem;
};

/**
 * struct cmem_heap_buffer - a buffer from a heap
 * @buffer: the part that all buffers have
 * @block: the block of the buffer
 * @pool: CMEM_POOL_HEAP, or the number of its pool in the CMA block
 * @user: as cmem_slot.user
 * @start: page offset in the block
 * @pages: length
 * @tag: as cmem_slot.tag
 */
struct cmem_heap_buffer {
	struct cmem_buffer buffer;
	struct cmem_block *block;
	s32 pool;
	kuid_t user;
	unsigned long start;
	unsigned long pages;
	u64 tag;
};

/**
 * struct cmem_extent - where a buffer is
 * @block: the block of the buffer
 * @id: the block's number
 * @pool: number of the pool, or CMEM_POOL_HEAP
 * @start: page offset in the block
 * @pfn: page frame number
 * @pages: length
 */
struct cmem_extent {
	struct cmem_block *block;
	s32 id;
	s32 pool;
	unsigned long start;
	unsigned long pfn;
	unsigned long pages;
};

static inline struct cmem_heap_buffer *
cmem_heap_buffer(const struct cmem_buffer *buffer)
{
	return container_of(buffer, struct cmem_heap_buffer, buffer);
}

/* The pool of a buffer, also in the CMA block, or NULL for a buffer from a heap */
static inline struct cmem_carved_pool *
cmem_buffer_pool(const struct cmem_buffer *buffer)
{
	struct cmem_heap_buffer *heap_buffer = cmem_heap_buffer(buffer);

	if (buffer->pool || heap_buffer->pool == CMEM_POOL_HEAP)
		return buffer->pool;
	return &heap_buffer->block->pools[heap_buffer->pool];
}

static inline struct cmem_block *
cmem_buffer_block(const struct cmem_buffer *buffer)
{
	return buffer->pool ? buffer->pool->block :
	       cmem_heap_buffer(buffer)->block;
}

/**
 * cmem_buffer_at - look up the buffer that contains a page of a block
 * @block: the block, locked
 * @page: page offset in the block
 *
 * Inline, since this lookup dominates the cost of freeing a buffer.
 *
 * Return: the buffer, which may not be live, or NULL.
 */
static inline struct cmem_buffer *cmem_buffer_at(struct cmem_block *block,
						 unsigned long page)
{
	struct cmem_carved_pool *pool = cmem_block_pool_at(block, page);
	struct cmem_heap_buffer *heap_buffer;

	if (pool)
		return &pool->buffers[(page - pool->start) / pool->pages];
	heap_buffer = cmem_heap_find(&block->heap, page);
	return heap_buffer ? &heap_buffer->buffer : NULL;
}

/* Length of a buffer in bytes */
static inline u64 cmem_buffer_length(const struct cmem_buffer *buffer)
{
	return (u64)(buffer->pool ? buffer->pool->pages :
		     cmem_heap_buffer(buffer)->pages) << PAGE_SHIFT;
}

/**
 * cmem_buffer_locate - get the location of a buffer
 * @buffer: the buffer
 * @extent: filled with the location
 */
static inline void cmem_buffer_locate(const struct cmem_buffer *buffer,
				      struct cmem_extent *extent)
{
	const struct cmem_carved_pool *pool = buffer->pool;

	if (pool) {
		extent->block = pool->block;
		extent->start = pool->start +
				(buffer - pool->buffers) * pool->pages;
		extent->pages = pool->pages;
		extent->pool = pool->number;
	} else {
		const struct cmem_heap_buffer *heap_buffer = cmem_heap_buffer(buffer);

		extent->block = heap_buffer->block;
		extent->start = heap_buffer->start;
		extent->pages = heap_buffer->pages;
		extent->pool = heap_buffer->pool;
	}
	extent->id = extent->block->id;
	extent->pfn = extent->block->base_pfn + extent->start;
}

/**
 * cmem_buffer_get - take a reference on a buffer
 * @buffer: a buffer that the caller's file or mapping already holds
 */
static inline void cmem_buffer_get(struct cmem_buffer *buffer)
{
	refcount_inc(&buffer->refs);
}

/**
 * cmem_buffer_is_cached - tell if a buffer is mapped cached
 * @buffer: a buffer that the caller holds
 *
 * Return: true if all mappings of it, of programs and of the kernel, are cached.
 */
static inline bool cmem_buffer_is_cached(const struct cmem_buffer *buffer)
{
	const struct cmem_block *block = cmem_buffer_block(buffer);

	if (block->kind == CMEM_KIND_SRAM)
		return false;
	return block->coherent || READ_ONCE(buffer->flags) & CMEM_BUFFER_CACHED;
}

/**
 * cmem_buffer_is_registered - tell if any file is registered for a buffer
 * @buffer: a buffer of a locked block
 *
 * Return: true if so. A buffer that is only mapped or only a DMA-BUF has no owner, and
 * no file can register for it by its address.
 */
static inline bool
cmem_buffer_is_registered(const struct cmem_buffer *buffer)
{
	return buffer->first.file || buffer->first.next;
}

int cmem_buffer_alloc(struct cmem_file *file, s32 id,
		      struct cmem_request *request);
struct cmem_buffer *cmem_buffer_alloc_unowned(struct cmem_block *block,
					      struct cmem_request *request);
u32 cmem_buffer_abi_flags(const struct cmem_buffer *buffer);
void cmem_buffer_put(struct cmem_buffer *buffer);
void cmem_buffer_release(struct cmem_buffer *buffer);
void cmem_buffer_share(struct cmem_buffer *buffer);
void cmem_buffer_abandon(struct cmem_buffer *buffer);
u64 cmem_buffer_last_owner(const struct cmem_buffer *buffer);

#endif /* _CMEM_BUFFER_H */
