/* SPDX-License-Identifier: GPL-2.0-only */
/* Allocating and freeing buffers (alloc.c) from memory that carved.c or cma.c chooses */
#ifndef _CMEM_ALLOC_H
#define _CMEM_ALLOC_H

#include <linux/bits.h>
#include <linux/types.h>
#include <linux/uidgid.h>

#include "buffer.h"
#include "heap.h"

struct cmem_account;
struct cmem_file;
struct cred;

/**
 * struct cmem_request - an allocation request and its result
 * @pool: in: number of a pool, CMEM_POOL_BEST or CMEM_POOL_HEAP
 * @flags: in: bits of enum cmem_alloc_flags, CMEM_REQUEST_EXACT and CMEM_REQUEST_LOOKED
 * @length: in: bytes, or 0 for a whole buffer of the given pool
 * @alignment: in: 0 or a power of two, in bytes
 * @cred: the credentials with which the file was opened, or those of the caller
 * @user: the user who is charged
 * @account: the account of @user in the block, valid while the block is locked
 * @tag: memory that was freed with this tag need not be zeroed
 * @pages: @length in pages, set when the request is checked against the block
 * @extent: out: where the buffer is
 * @buffer: out: the buffer
 */
struct cmem_request {
	s32 pool;
	u32 flags;
	u64 length;
	u64 alignment;
	const struct cred *cred;
	kuid_t user;
	struct cmem_account *account;
	u64 tag;
	unsigned long pages;
	struct cmem_extent extent;
	struct cmem_buffer *buffer;
};

/* Retries of making room for bookkeeping, since others may take that room */
#define CMEM_ROOM_TRIES	8

/* After -ENOBUFS, with no lock held: make room. Returns true to retry. */
static inline bool cmem_try_again(int *ret, unsigned int *tries)
{
	if (*ret != -ENOBUFS)
		return false;
	*ret = (*tries)-- ? cmem_heap_make_room() : -ENOMEM;
	return !*ret;
}

/*
 * An internal bit of cmem_request.flags: only a pool whose buffers have exactly the
 * requested length in pages may serve. A block may allow longer buffers as a last resort
 * (cmem_block.dma_heap_config.from_pools).
 */
#define CMEM_REQUEST_EXACT	BIT(31)

/*
 * Another internal bit: pinned buffers were looked at for this request. Without it, a
 * request whose first choice has no room because of pinned buffers is -EBUSY. It must not
 * get a worse choice while the pins may have ended long ago.
 */
#define CMEM_REQUEST_LOOKED	BIT(30)

/* Retries after pinned buffers became free, since others may take them */
#define CMEM_PINS_TRIES	8

/* Whether to return -EBUSY rather than fall back. @pinned is what the first choice has. */
static inline bool cmem_request_waits(const struct cmem_request *request,
				      unsigned long pinned)
{
	return pinned && !(request->flags & CMEM_REQUEST_LOOKED);
}

/* The tag of requests without a file. No owner has it, since owners start at 1. */
#define CMEM_TAG_NOBODY	1

u64 cmem_request_tag(const struct cmem_file *file, const struct cmem_block *block,
		     const struct cmem_request *request);
void cmem_buffer_admit(struct cmem_file *file, struct cmem_buffer *buffer,
		       struct cmem_request *request);
void cmem_buffer_return(struct cmem_buffer *buffer, bool shared);
int __cmem_request_check_pages(const struct cmem_block *block,
			       const struct cmem_request *request);

/**
 * cmem_request_check_pages - check that a block can serve a request for struct pages
 * @block: a block that is present
 * @request: the request
 *
 * The kernel uses the pages through its linear map, which is cached.
 *
 * Return: 0 if so, or if the request does not ask for it; -EOPNOTSUPP if the block has
 * no pages for that, -EINVAL if mappings would not be cached.
 */
static inline int cmem_request_check_pages(const struct cmem_block *block,
					   const struct cmem_request *request)
{
	if (!(request->flags & CMEM_ALLOC_PAGES))
		return 0;
	return __cmem_request_check_pages(block, request);
}

#endif /* _CMEM_ALLOC_H */
