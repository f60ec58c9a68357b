/* SPDX-License-Identifier: GPL-2.0-only */
/* How a buffer begins and ends (alloc.c), of memory that carved.c or cma.c chooses */
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
 * struct cmem_request - what is asked of an allocation, and what came of it
 * @pool: in: number of a pool, CMEM_POOL_BEST or CMEM_POOL_HEAP
 * @flags: in: bits of enum cmem_alloc_flags, and CMEM_REQUEST_EXACT
 * @length: in: bytes, 0 for all of a buffer of the pool named
 * @alignment: in: 0 or a power of two, in bytes
 * @cred: credentials of the caller: those of the file that it opened, or its own
 * @user: the user who is charged
 * @account: the account of @user in the block, while that is locked
 * @tag: memory that was freed with this tag need not be cleaned
 * @pages: @length in pages, once the block is known
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

/* How often to make room for bookkeeping that others may take */
#define CMEM_ROOM_TRIES	8

/* After -ENOBUFS, with nothing locked: make room, and tell if that makes a new try worth it. */
static inline bool cmem_try_again(int *ret, unsigned int *tries)
{
	if (*ret != -ENOBUFS)
		return false;
	*ret = (*tries)-- ? cmem_heap_make_room() : -ENOMEM;
	return !*ret;
}

/*
 * A bit of cmem_request.flags beside those of the interface: no pool is wanted but one
 * with buffers of exactly that length, unless the block says that others may serve as
 * well.
 */
#define CMEM_REQUEST_EXACT	BIT(31)

/* A tag with which nobody leaves memory: owners are numbered from 1. */
#define CMEM_TAG_NOBODY	1

u64 cmem_request_tag(const struct cmem_file *file, const struct cmem_block *block,
		     const struct cmem_request *request);
void cmem_buffer_admit(struct cmem_file *file, struct cmem_buffer *buffer,
		       struct cmem_request *request);
void cmem_buffer_return(struct cmem_buffer *buffer, bool shared);
int cmem_buffer_alloc(struct cmem_file *file, s32 id,
		      struct cmem_request *request);
struct cmem_buffer *cmem_buffer_alloc_unowned(struct cmem_block *block,
					      struct cmem_request *request);

#endif /* _CMEM_ALLOC_H */
