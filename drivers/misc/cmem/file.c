// SPDX-License-Identifier: GPL-2.0-only
/* /dev/cmem, and an open file of it, which owns buffers. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#include "buffer.h"
#include "file.h"
#include "quota.h"
#include "registration.h"
#include "trace.h"

/* Fall back to the heap when no pool can serve a program that names none. */
bool cmem_heap_fallback;
module_param_named(useHeapIfPoolUnavailable, cmem_heap_fallback, bool, 0644);
MODULE_PARM_DESC(useHeapIfPoolUnavailable, "programs that name no pool get memory from the heap when no pool can serve (default: no)");

/* main.c sets the file operations, since these call into all parts of the driver. */
struct miscdevice cmem_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "cmem",
	.mode = 0660,
};

static atomic64_t cmem_last_owner;

/**
 * cmem_file_init - initialize a new owner
 * @file: the struct to fill in
 * @filp: the open file
 */
void cmem_file_init(struct cmem_file *file, const struct file *filp)
{
	file->owner = atomic64_inc_return(&cmem_last_owner);
	file->filp = filp;
	file->user = cmem_quota_user(filp->f_cred);
	mutex_init(&file->sync_lock);
	spin_lock_init(&file->lock);
	INIT_LIST_HEAD(&file->allocated);
	INIT_LIST_HEAD(&file->shared);
	file->num_allocated = 0;
	file->num_shared = 0;
	file->num_pages = 0;
	file->num_page_backed = 0;
	file->changes = NULL;
	file->changes_mm = NULL;
	file->changes_maps = 0;
}

/* The buffer of a registration on one of a file's two lists */
static struct cmem_buffer *
cmem_file_buffer(struct cmem_registration *registration, bool shared)
{
	if (shared)
		return container_of(registration, struct cmem_sharer,
				    registration)->buffer;
	return container_of(registration, struct cmem_buffer, first);
}

/**
 * cmem_file_get_buffers - hold some of the buffers that a file is registered for
 * @file: the file
 * @shared: get buffers that the file did not allocate, instead of those it did
 * @buffers: filled with the buffers. The caller puts each of them.
 * @max: length of @buffers
 *
 * Moves these buffers to the other end of the list. Calling again until as many buffers
 * were returned as the list had yields each buffer that stayed on the list. The caller
 * holds sync_lock, so that no other walk reorders the list.
 *
 * Return: the number of buffers.
 */
unsigned int cmem_file_get_buffers(struct cmem_file *file, bool shared,
				   struct cmem_buffer **buffers,
				   unsigned int max)
{
	struct list_head *list = shared ? &file->shared : &file->allocated;
	struct cmem_registration *registration;
	struct cmem_buffer *buffer;
	unsigned int count = 0;

	spin_lock(&file->lock);
	while (count < max && !list_empty(list)) {
		registration = list_last_entry(list, struct cmem_registration,
					       in_file);
		list_move(&registration->in_file, list);
		buffer = cmem_file_buffer(registration, shared);
		/* The registration holds the buffer. */
		cmem_buffer_get(buffer);
		buffers[count++] = buffer;
	}
	spin_unlock(&file->lock);
	return count;
}

/**
 * cmem_file_release - drop all registrations of a file that is closed
 * @file: the file
 *
 * The file has no other users, so its lists do not change meanwhile. Does not fail, and
 * ignores signals.
 */
void cmem_file_release(struct cmem_file *file)
{
	struct cmem_registration *registration;
	struct cmem_buffer *buffer;
	struct cmem_extent extent;
	bool shared;

	while (file->num_allocated || file->num_shared) {
		shared = !file->num_allocated;
		registration = list_first_entry(shared ? &file->shared :
							 &file->allocated,
						struct cmem_registration, in_file);
		buffer = cmem_file_buffer(registration, shared);
		cmem_buffer_locate(buffer, &extent);
		mutex_lock(&extent.block->lock);
		trace_cmem_free(file, &extent, buffer->flags);
		/* This file did not free the buffer, even if others do. */
		buffer->flags |= CMEM_BUFFER_ABANDONED;
		cmem_buffer_unregister(buffer, registration, extent.pages);
		mutex_unlock(&extent.block->lock);
		cond_resched();
	}
}
