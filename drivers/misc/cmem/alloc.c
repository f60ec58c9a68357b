// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes buffers from memory that was taken, and returns the memory of buffers without
 * references. The block's kind decides how memory is taken: carved.c, cma.c.
 */
#define pr_fmt(fmt) "cmem: " fmt

#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/sched.h>

#include "alias.h"
#include "alloc.h"
#include "block.h"
#include "buffer.h"
#include "dmem.h"
#include "failure.h"
#include "file.h"
#include "trace.h"

/* Free a buffer, and take the part that has failed out of use. */
static noinline void cmem_buffer_return_failed(struct cmem_buffer *buffer,
					       bool shared)
{
	struct cmem_extent extent;

	cmem_buffer_locate(buffer, &extent);
	buffer->flags = 0;
	cmem_buffer_return(buffer, shared);
	cmem_failure_return(extent.block, extent.start, extent.pages);
}

/**
 * cmem_buffer_return - return the pages of a buffer to their pool or heap
 * @buffer: a buffer without references, of a locked block. If it is from a heap, it is
 *	no longer valid afterwards.
 * @shared: its last owner must not get the pages back without zeroing
 */
void cmem_buffer_return(struct cmem_buffer *buffer, bool shared)
{
	cmem_alias_release(buffer);
	if (unlikely(buffer->flags & CMEM_BUFFER_FAILED)) {
		cmem_buffer_return_failed(buffer, shared);
		return;
	}
	buffer->flags = 0;
	cmem_dmem_uncharge(&buffer->dmem, cmem_buffer_length(buffer));
	cmem_buffer_block(buffer)->ops->put(buffer, shared);
}

/* For cmem_request_check_pages(), if the request asks for struct pages */
int __cmem_request_check_pages(const struct cmem_block *block,
			       const struct cmem_request *request)
{
	if (!block->can_pages)
		return -EOPNOTSUPP;
	if (block->coherent || request->flags & CMEM_ALLOC_CACHED)
		return 0;
	pr_notice_ratelimited("block %d: a page-backed buffer must be cached, since the kernel accesses its pages through a cached mapping: %s[%d] must use CMEM_ALLOC_CACHED with CMEM_ALLOC_PAGES\n",
			      block->id, current->comm, task_pid_nr(current));
	return -EINVAL;
}

/* Whether to make a page-backed buffer. The request or the block may ask for it. */
static bool cmem_request_pages(const struct cmem_block *block,
			       const struct cmem_request *request)
{
	if (request->flags & CMEM_ALLOC_PAGES)
		return true;
	return block->pages &&
	       (block->coherent || request->flags & CMEM_ALLOC_CACHED);
}

/* Whether to make a cached buffer. None in SRAM is cached: see sram.c. */
static bool cmem_request_cached(const struct cmem_block *block,
				const struct cmem_request *request)
{
	return request->flags & CMEM_ALLOC_CACHED &&
	       block->kind != CMEM_KIND_SRAM;
}

/**
 * cmem_buffer_admit - make a live buffer of memory that was taken for a request
 * @file: the file that allocates, or NULL
 * @buffer: the buffer, clean or last used by @file, of a locked block
 * @request: the request; gets the buffer and its location
 *
 * The file is registered for the buffer on return. The caller holds a reference as well,
 * since other threads can free the buffer by its address. Without a file, only the caller
 * holds the buffer, and may share it with any user.
 */
void cmem_buffer_admit(struct cmem_file *file, struct cmem_buffer *buffer,
		       struct cmem_request *request)
{
	u16 flags = CMEM_BUFFER_LIVE;

	cmem_buffer_locate(buffer, &request->extent);
	if (cmem_request_cached(request->extent.block, request))
		flags |= CMEM_BUFFER_CACHED;
	if (request->flags & CMEM_ALLOC_PRIVATE)
		flags |= CMEM_BUFFER_PRIVATE;
	if (request->flags & CMEM_ALLOC_QUARANTINE ||
	    request->extent.block->quarantine_config.all)
		flags |= CMEM_BUFFER_QUARANTINE;
	if (cmem_request_pages(request->extent.block, request))
		flags |= CMEM_BUFFER_PAGES;

	refcount_set(&buffer->refs, file ? 2 : 1);
	request->buffer = buffer;
	buffer->first.file = file;
	if (!file) {
		flags |= CMEM_BUFFER_SHARED;
		buffer->count = 0;
	} else {
		buffer->count = 1;
		spin_lock(&file->lock);
		list_add(&buffer->first.in_file, &file->allocated);
		file->num_allocated++;
		file->num_pages += request->extent.pages;
		if (flags & CMEM_BUFFER_PAGES)
			file->num_page_backed += request->extent.pages;
		spin_unlock(&file->lock);
	}
	buffer->flags = flags | cmem_alias_hold(request->extent.block, flags);
	trace_cmem_alloc(file, &request->extent, flags);
}

/**
 * cmem_request_tag - get the tag for the memory of a request
 * @file: the file that allocates, or NULL
 * @block: the block
 * @request: the request
 *
 * An owner gets memory that it freed back without zeroing, if it maps the memory with the
 * same attributes. The tag combines owner and attributes.
 *
 * Return: the tag.
 */
u64 cmem_request_tag(const struct cmem_file *file, const struct cmem_block *block,
		     const struct cmem_request *request)
{
	if (!file)
		return CMEM_TAG_NOBODY;
	return file->owner << 1 | cmem_request_cached(block, request);
}
