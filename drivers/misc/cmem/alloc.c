// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a buffer begins, when memory for it has been found, and ends, when nobody holds it
 * any more. Which memory that is, the block's kind decides: carved.c, cma.c.
 */
#include <linux/cred.h>
#include <linux/mm.h>

#include "alias.h"
#include "alloc.h"
#include "block.h"
#include "buffer.h"
#include "dmem.h"
#include "failure.h"
#include "file.h"
#include "quota.h"
#include "trace.h"

/* What has failed of it is not for anybody. */
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
 * cmem_buffer_return - give pages back
 * @buffer: a buffer that nobody holds, of a block that is locked. It is gone then if
 *	it is one from a heap.
 * @shared: its last owner must not have it back as it is
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

/* Whether a buffer is cached: in SRAM none is, and sram.c says why. */
static bool cmem_request_cached(const struct cmem_block *block,
				const struct cmem_request *request)
{
	return request->flags & CMEM_ALLOC_CACHED &&
	       block->kind != CMEM_KIND_SRAM;
}

/**
 * cmem_buffer_admit - make a buffer of memory that was taken for a request
 * @file: who asked, or NULL
 * @buffer: the memory, clean or the file's own, of a block that is locked
 * @request: what was asked; where to put the buffer and where it is
 *
 * The file owns the buffer from here on. The caller holds the buffer as well, since other
 * threads know its address. Without a file only the caller holds it, and may show it to
 * anybody.
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
		spin_unlock(&file->lock);
	}
	buffer->flags = flags | cmem_alias_hold(request->extent.block, flags);
	trace_cmem_alloc(file, &request->extent, flags);
}

/**
 * cmem_request_tag - what tells whose the memory of a request was, and how it was mapped
 * @file: who asks, or NULL
 * @block: the block
 * @request: what is asked
 *
 * An owner gets back memory that it left, without cleaning, if it maps the memory with the
 * same attributes. The tag says both.
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

/* Allocate a buffer. The caller may have no file: then it is nobody's. */
static int cmem_buffer_alloc_from(struct cmem_file *file,
				  struct cmem_block *block,
				  struct cmem_request *request)
{
	int ret;

	do {
		ret = block->ops->alloc(file, block, request);
	} while (ret == -EHWPOISON);
	return ret;
}

/**
 * cmem_buffer_alloc - allocate a buffer
 * @file: who is registered for it
 * @id: the number of the block
 * @request: what is wanted; where to put what was found
 *
 * May sleep, and waits for memory that is being cleaned when there is no other. When
 * all went well, the caller holds the buffer, and puts it when the user knows of it, or
 * after cmem_buffer_undo_alloc().
 *
 * Return: 0 or an errno, as struct cmem_alloc in the UAPI header says.
 */
int cmem_buffer_alloc(struct cmem_file *file, s32 id,
		      struct cmem_request *request)
{
	struct cmem_block *block = cmem_block_find(id);

	request->cred = file->filp->f_cred;
	request->user = file->user;
	return block ? cmem_buffer_alloc_from(file, block, request) : -ENOENT;
}

/**
 * cmem_buffer_alloc_unowned - allocate a buffer that no file is registered for
 * @block: a block, which need not be present
 * @request: what is wanted; where to put what was found
 *
 * The caller's user is charged for it. May sleep as cmem_buffer_alloc() may.
 *
 * Return: the buffer, clean, marked as shared and held by the caller; or an errno, as
 * struct cmem_alloc in the UAPI header says.
 */
struct cmem_buffer *cmem_buffer_alloc_unowned(struct cmem_block *block,
					      struct cmem_request *request)
{
	int ret;

	request->cred = current_cred();
	request->user = cmem_quota_user(request->cred);
	ret = cmem_buffer_alloc_from(NULL, block, request);
	return ret ? ERR_PTR(ret) : request->buffer;
}
