/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A run of pages that users hold (buffer.c). Who these are is in registration.h.
 */
#ifndef _CMEM_BUFFER_H
#define _CMEM_BUFFER_H

#include <linux/mm.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <uapi/linux/cmem.h>

#include "block.h"

/**
 * struct cmem_registration - the hold of one file on one buffer, however often counted
 * @file: the file, under the block's lock. NULL in a buffer that has no registration of
 *	the file which allocated it.
 * @in_file: in one of the lists of @file, under its lock
 * @next: the next registration for the same buffer, under the block's lock
 */
struct cmem_registration {
	struct cmem_file *file;
	struct list_head in_file;
	struct cmem_registration *next;
};

/* What users are told of a buffer is in its flags, that much higher. */
#define CMEM_BUFFER_OF_ABI	2

/**
 * enum cmem_buffer_flags - bits of cmem_buffer.flags
 * @CMEM_BUFFER_LIVE: it has been allocated
 * @CMEM_BUFFER_CACHED: mappings are cached. Fixed when it is allocated.
 * @CMEM_BUFFER_PRIVATE: it can't be registered by its address
 * @CMEM_BUFFER_SHARED: somebody else than the file that allocated it could see
 *	it: it must be cleaned even before that file gets it back
 * @CMEM_BUFFER_QUARANTINE: if somebody does not free it, it goes into quarantine
 * @CMEM_BUFFER_FAILED: a page of it has failed. Without CMEM_BUFFER_LIVE and
 *	CMEM_BUFFER_QUARANTINED, it is kept out of use, or will be.
 * @CMEM_BUFFER_ABANDONED: somebody has not freed it
 * @CMEM_BUFFER_QUARANTINED: it is there: nobody has it, nor gets it. It is not
 *	CMEM_BUFFER_LIVE then.
 * @CMEM_BUFFER_UNSNOOPED: a device is attached to it that does not snoop the caches
 * @CMEM_BUFFER_SNOOPED: a device is attached to it that snoops them
 * @CMEM_BUFFER_ALIASED: it counts in cmem_block.alias_users. Fixed as long as it is live.
 * @CMEM_BUFFER_EXPORTED: a DMA-BUF of it is kept as long as a file is registered
 */
enum cmem_buffer_flags {
	CMEM_BUFFER_LIVE	= 1 << 0,
	CMEM_BUFFER_CACHED	= CMEM_ALLOC_CACHED * CMEM_BUFFER_OF_ABI,
	CMEM_BUFFER_PRIVATE	= CMEM_ALLOC_PRIVATE * CMEM_BUFFER_OF_ABI,
	CMEM_BUFFER_SHARED	= 1 << 3,
	CMEM_BUFFER_QUARANTINE	= CMEM_ALLOC_QUARANTINE * CMEM_BUFFER_OF_ABI,
	CMEM_BUFFER_FAILED	= CMEM_ALLOC_FAILED * CMEM_BUFFER_OF_ABI,
	CMEM_BUFFER_ABANDONED	= 1 << 6,
	CMEM_BUFFER_QUARANTINED	= 1 << 7,
	CMEM_BUFFER_UNSNOOPED	= 1 << 8,
	CMEM_BUFFER_SNOOPED	= 1 << 9,
	CMEM_BUFFER_ALIASED	= 1 << 10,
	CMEM_BUFFER_EXPORTED	= 1 << 11,
};

/* Those that users are told of */
#define CMEM_BUFFER_ABI (CMEM_BUFFER_CACHED | CMEM_BUFFER_PRIVATE | \
			 CMEM_BUFFER_QUARANTINE | CMEM_BUFFER_FAILED)

/**
 * struct cmem_buffer - a run of pages that users hold
 * @pool: the pool it belongs to, or NULL for one from the heap
 * @refs: one for each file that is registered, for each mapping, for each DMA-BUF.
 *	With the last one the memory goes back; it drops to 0 under the block's lock
 *	only.
 * @flags: bits of enum cmem_buffer_flags
 * @count: how often the file that allocated it is registered
 * @first: the registration of that file, before those of all others. One from a DMA-BUF
 *	heap has no such file.
 * @since: in quarantine: since when, in seconds since boot
 * @since_ms: and how many milliseconds more
 * @in_block: in quarantine, or kept out of use: in the block's list of these
 * @stops: in quarantine: what cmem_rproc_stops() was then
 * @dmem: which cgroup is charged for it: no bytes where there is no such controller
 *
 * One for each buffer of a pool is there from the beginning, so it is kept
 * small: 48 bytes, with the slot 64. That is why @count is not in @first. All but
 * @first.in_file is under the block's lock.
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
			unsigned long since;
			struct list_head in_block;
			unsigned long stops;
		};
	};
	struct cmem_dmem_charge dmem;
};

/**
 * struct cmem_heap_buffer - a buffer from a heap
 * @buffer: what all buffers have
 * @block: whose it is
 * @pool: CMEM_POOL_HEAP, or the number of its pool of CMA
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
 * @block: whose it is
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

static inline struct cmem_block *
cmem_buffer_block(const struct cmem_buffer *buffer)
{
	return buffer->pool ? buffer->pool->block :
	       cmem_heap_buffer(buffer)->block;
}

/**
 * cmem_buffer_at - find what has a page of a block
 * @block: the block, locked
 * @page: page offset in it
 *
 * Inline: freeing a buffer is little more than this.
 *
 * Return: the buffer, which need not be live, or NULL.
 */
static inline struct cmem_buffer *cmem_buffer_at(struct cmem_block *block,
						 unsigned long page)
{
	struct cmem_carved_pool *pool = cmem_block_pool_at(block, page);
	struct cmem_heap_buffer *from;

	if (pool)
		return &pool->buffers[(page - pool->start) / pool->pages];
	from = cmem_heap_find(&block->heap, page);
	return from ? &from->buffer : NULL;
}

/* Bytes in a buffer */
static inline u64 cmem_buffer_length(const struct cmem_buffer *buffer)
{
	return (u64)(buffer->pool ? buffer->pool->pages :
		     cmem_heap_buffer(buffer)->pages) << PAGE_SHIFT;
}

/**
 * cmem_buffer_locate - tell where a buffer is
 * @buffer: the buffer
 * @extent: where to put it
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
		const struct cmem_heap_buffer *from = cmem_heap_buffer(buffer);

		extent->block = from->block;
		extent->start = from->start;
		extent->pages = from->pages;
		extent->pool = from->pool;
	}
	extent->id = extent->block->id;
	extent->pfn = extent->block->base_pfn + extent->start;
}

/**
 * cmem_buffer_get - hold a buffer that the caller's file or mapping holds
 * @buffer: the buffer
 */
static inline void cmem_buffer_get(struct cmem_buffer *buffer)
{
	refcount_inc(&buffer->refs);
}

/**
 * cmem_buffer_is_cached - tell how a buffer is mapped
 * @buffer: a buffer that the caller holds
 *
 * Return: true if programs' and the kernel's mappings of it are cached.
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
 * @buffer: a buffer of a block that is locked
 *
 * Return: false for what is only mapped, or a DMA-BUF: that has no owner any more, and
 * gets none by its address.
 */
static inline bool
cmem_buffer_is_registered(const struct cmem_buffer *buffer)
{
	return buffer->first.file || buffer->first.next;
}

u32 cmem_buffer_abi_flags(const struct cmem_buffer *buffer);
void cmem_buffer_put(struct cmem_buffer *buffer);
void cmem_buffer_release(struct cmem_buffer *buffer);
void cmem_buffer_share(struct cmem_buffer *buffer);
void cmem_buffer_abandon(struct cmem_buffer *buffer);
u64 cmem_buffer_last_owner(const struct cmem_buffer *buffer);

#endif /* _CMEM_BUFFER_H */
