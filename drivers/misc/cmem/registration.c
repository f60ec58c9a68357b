// SPDX-License-Identifier: GPL-2.0-only
/*
 * The files that hold a buffer, and those that may. Programs name a buffer by its
 * address, so this file also looks up buffers by address.
 *
 * A registration is one file's hold on one buffer, with a count. A mapping that a file
 * makes of a buffer without being registered counts as one. The registrations of a
 * buffer are a list. The first one, for the file that allocated the buffer, is in the
 * buffer itself, so the common case needs no allocation. The others are each in a
 * struct cmem_sharer.
 */
#define pr_fmt(fmt) "cmem: " fmt

#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "block.h"
#include "buffer.h"
#include "exports.h"
#include "file.h"
#include "heap.h"
#include "registration.h"
#include "trace.h"

static_assert(CMEM_MAX_REGISTRATIONS <= U16_MAX);

static struct kmem_cache *cmem_sharer_cache;

static bool cmem_share_any;

static int cmem_share_set(const char *val, const struct kernel_param *kp)
{
	if (sysfs_streq(val, "any")) {
		WRITE_ONCE(cmem_share_any, true);
	} else if (sysfs_streq(val, "user")) {
		WRITE_ONCE(cmem_share_any, false);
	} else {
		pr_err("share=%s is unknown, must be user or any\n", val);
		return -EINVAL;
	}
	return 0;
}

static int cmem_share_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%s\n", cmem_share_any ? "any" : "user");
}

static const struct kernel_param_ops cmem_share_ops = {
	.set = cmem_share_set,
	.get = cmem_share_get,
};
module_param_cb(share, &cmem_share_ops, NULL, 0644);
MODULE_PARM_DESC(share, "who may register for a buffer by its address: user (default: the user of a file that is registered for it) or any (every user who can open /dev/cmem)");

int __init cmem_registration_init(void)
{
	cmem_sharer_cache = KMEM_CACHE(cmem_sharer, SLAB_ACCOUNT);
	return cmem_sharer_cache ? 0 : -ENOMEM;
}

void __init cmem_registration_exit(void)
{
	kmem_cache_destroy(cmem_sharer_cache);
}

/* Find the live buffer that contains a page of a block. The block is locked. */
static inline struct cmem_buffer *cmem_buffer_lookup(struct cmem_block *block,
						     unsigned long page)
{
	struct cmem_buffer *buffer = cmem_buffer_at(block, page);

	return buffer && buffer->flags & CMEM_BUFFER_LIVE ? buffer : NULL;
}

/* Find the live buffer with a registered file that starts at a page frame. */
static struct cmem_buffer *cmem_buffer_lookup_start(struct cmem_block *block,
						    unsigned long pfn,
						    struct cmem_extent *extent)
{
	struct cmem_buffer *buffer;

	buffer = cmem_buffer_lookup(block, pfn - block->base_pfn);
	if (!buffer)
		return NULL;

	cmem_buffer_locate(buffer, extent);
	if (extent->pfn != pfn || !cmem_buffer_is_registered(buffer))
		return NULL;
	return buffer;
}

/* Whether the same user opened both files, and @holder has all of @filp's access modes */
static bool cmem_same_user(const struct file *holder, const struct file *filp)
{
	return uid_eq(holder->f_cred->euid, filp->f_cred->euid) &&
	       !(filp->f_mode & ~holder->f_mode & (FMODE_READ | FMODE_WRITE));
}

/**
 * cmem_buffer_has_user - tell if a buffer belongs to the user who opened a file
 * @buffer: a buffer of a locked block
 * @filp: the file. The user who opened it counts, not the one who uses it.
 *
 * Return: true if the buffer is live, and cmem.share=any is set or a file is registered
 * that the same user opened with at least the access modes of @filp.
 */
bool cmem_buffer_has_user(const struct cmem_buffer *buffer,
			  const struct file *filp)
{
	const struct cmem_registration *registration;

	/* A buffer in quarantine belongs to no user. */
	if (!(buffer->flags & CMEM_BUFFER_LIVE))
		return false;
	if (READ_ONCE(cmem_share_any))
		return true;
	for (registration = &buffer->first; registration;
	     registration = registration->next)
		if (registration->file &&
		    cmem_same_user(registration->file->filp, filp))
			return true;
	return false;
}

/**
 * cmem_buffer_owners - iterate over the files that are registered for a buffer
 * @buffer: a live buffer of a locked block
 * @fn: called with the owner's number and the number of its registrations
 * @arg: passed to @fn
 *
 * Return: the number of files.
 */
unsigned int cmem_buffer_owners(const struct cmem_buffer *buffer,
				cmem_owner_fn fn, void *arg)
{
	const struct cmem_registration *registration;
	const struct cmem_sharer *sharer;
	unsigned int owners = 0;

	for (registration = &buffer->first; registration;
	     registration = registration->next) {
		if (!registration->file)
			continue;
		sharer = cmem_registration_sharer(buffer, registration);
		fn(registration->file->owner,
		   sharer ? sharer->count : buffer->count, arg);
		owners++;
	}
	return owners;
}

static void cmem_registration_unlink(struct cmem_buffer *buffer,
				     struct cmem_registration *registration)
{
	struct cmem_registration **link = &buffer->first.next;

	while (*link != registration)
		link = &(*link)->next;
	*link = registration->next;
}

/* Like cmem_buffer_unregister(), but inline for cmem_buffer_free() */
static __always_inline void cmem_registration_end(struct cmem_buffer *buffer,
						  struct cmem_registration *registration,
						  unsigned long pages)
{
	struct cmem_file *file = registration->file;
	struct cmem_sharer *sharer;

	sharer = cmem_registration_sharer(buffer, registration);
	spin_lock(&file->lock);
	list_del(&registration->in_file);
	if (sharer)
		file->num_shared--;
	else
		file->num_allocated--;
	file->num_pages -= pages;
	if (buffer->flags & CMEM_BUFFER_PAGES)
		file->num_page_backed -= pages;
	spin_unlock(&file->lock);

	if (sharer) {
		cmem_registration_unlink(buffer, registration);
		kmem_cache_free(cmem_sharer_cache, sharer);
	} else {
		registration->file = NULL;
	}
	if (buffer->flags & CMEM_BUFFER_EXPORTED &&
	    !cmem_buffer_is_registered(buffer))
		cmem_exports_forget(buffer);

	if (refcount_dec_and_test(&buffer->refs))
		cmem_buffer_release(buffer);
}

/**
 * cmem_buffer_unregister - end a registration, and drop its reference on the buffer
 * @buffer: a buffer of a locked block
 * @registration: one of its registrations
 * @pages: length of the buffer in pages
 */
void cmem_buffer_unregister(struct cmem_buffer *buffer,
			    struct cmem_registration *registration,
			    unsigned long pages)
{
	cmem_registration_end(buffer, registration, pages);
}

/**
 * cmem_buffer_undo_alloc - drop the registration that an allocation made
 * @file: the file that allocated
 * @buffer: the buffer from cmem_buffer_alloc(), still held by the caller
 *
 * Does nothing if another thread has already dropped the registration. The caller's
 * reference ensures that no other buffer is at this address.
 */
void cmem_buffer_undo_alloc(struct cmem_file *file, struct cmem_buffer *buffer)
{
	struct cmem_extent extent;

	cmem_buffer_locate(buffer, &extent);
	mutex_lock(&extent.block->lock);
	if (buffer->first.file == file) {
		trace_cmem_free(file, &extent, buffer->flags);
		if (!--buffer->count)
			cmem_buffer_unregister(buffer, &buffer->first,
					       extent.pages);
	}
	mutex_unlock(&extent.block->lock);
}

/**
 * cmem_buffer_free - drop one registration of a file
 * @file: the file
 * @pfn: page frame number of the buffer's first page
 *
 * Return: 0; -ENOENT if no buffer with a registered file starts there, -EPERM if @file
 * is not registered for it.
 */
int cmem_buffer_free(struct cmem_file *file, unsigned long pfn)
{
	struct cmem_registration *registration;
	struct cmem_sharer *sharer;
	struct cmem_buffer *buffer;
	struct cmem_extent extent;
	struct cmem_block *block;
	u16 *count;
	int ret = -ENOENT;

	block = cmem_block_lock_pfn(pfn);
	if (!block)
		return ret;

	buffer = cmem_buffer_lookup_start(block, pfn, &extent);
	if (!buffer)
		goto out;

	ret = -EPERM;
	registration = cmem_registration_find(buffer, file);
	if (!registration)
		goto out;
	sharer = cmem_registration_sharer(buffer, registration);
	count = sharer ? &sharer->count : &buffer->count;
	if (!*count)
		goto out;

	ret = 0;
	trace_cmem_free(file, &extent, buffer->flags);
	if (!--*count && !(sharer && sharer->maps))
		cmem_registration_end(buffer, registration, extent.pages);
out:
	mutex_unlock(&block->lock);
	return ret;
}

/**
 * cmem_buffer_may_register - tell if a file may register for a buffer by its address
 * @file: the file
 * @buffer: a buffer of a locked block
 *
 * Return: true if it may.
 */
bool cmem_buffer_may_register(const struct cmem_file *file,
			      const struct cmem_buffer *buffer)
{
	if (buffer->flags & CMEM_BUFFER_PRIVATE)
		return false;
	return cmem_buffer_has_user(buffer, file->filp) ||
	       file_ns_capable(file->filp, &init_user_ns, CAP_SYS_RAWIO);
}

/**
 * cmem_sharer_alloc - allocate memory for a registration, before locking a block
 *
 * Return: a spare for cmem_registration_add(), or NULL.
 */
struct cmem_sharer *cmem_sharer_alloc(void)
{
	return kmem_cache_zalloc(cmem_sharer_cache, GFP_KERNEL);
}

/**
 * cmem_sharer_free - free an unused spare
 * @spare: from cmem_sharer_alloc(), or NULL
 */
void cmem_sharer_free(struct cmem_sharer *spare)
{
	if (spare)
		kmem_cache_free(cmem_sharer_cache, spare);
}

/**
 * cmem_registration_add - add a file to the registrations of a buffer
 * @file: the file, which is not registered
 * @buffer: a buffer of a locked block
 * @spare: from cmem_sharer_alloc(). Set to NULL if used.
 * @pages: length of the buffer in pages
 *
 * Return: the registration, with a count of 0, or -EOVERFLOW.
 */
struct cmem_registration *
cmem_registration_add(struct cmem_file *file, struct cmem_buffer *buffer,
		      struct cmem_sharer **spare, unsigned long pages)
{
	struct cmem_registration *registration;
	struct cmem_sharer *sharer = *spare;
	unsigned int holders = 0;

	for (registration = &buffer->first; registration;
	     registration = registration->next)
		holders += !!registration->file;
	if (holders >= CMEM_MAX_HOLDERS)
		return ERR_PTR(-EOVERFLOW);

	*spare = NULL;
	sharer->buffer = buffer;
	registration = &sharer->registration;
	registration->file = file;
	registration->next = buffer->first.next;
	buffer->first.next = registration;

	spin_lock(&file->lock);
	list_add(&registration->in_file, &file->shared);
	file->num_shared++;
	file->num_pages += pages;
	if (buffer->flags & CMEM_BUFFER_PAGES)
		file->num_page_backed += pages;
	spin_unlock(&file->lock);

	refcount_inc(&buffer->refs);
	buffer->flags |= CMEM_BUFFER_SHARED;
	return registration;
}

static int cmem_buffer_register_locked(struct cmem_file *file,
				       struct cmem_buffer *buffer,
				       struct cmem_sharer **spare,
				       unsigned long pages, bool by_address)
{
	struct cmem_registration *registration;
	u16 *count;

	registration = cmem_registration_find(buffer, file);
	if (!registration) {
		if (by_address && !cmem_buffer_may_register(file, buffer))
			return -EPERM;
		registration = cmem_registration_add(file, buffer, spare, pages);
		if (IS_ERR(registration))
			return PTR_ERR(registration);
	}
	count = cmem_registration_count(buffer, registration);
	if (*count == CMEM_MAX_REGISTRATIONS)
		return -EOVERFLOW;
	++*count;
	return 0;
}

/* Hold a buffer that a file is registered for or, with @to_register, may register for. */
static struct cmem_buffer *cmem_buffer_get_for(struct cmem_file *file,
					       struct cmem_buffer *buffer,
					       bool to_register)
{
	if (!cmem_registration_find(buffer, file) &&
	    !(to_register && cmem_buffer_may_register(file, buffer)))
		return ERR_PTR(-EPERM);
	cmem_buffer_get(buffer);
	return buffer;
}

/* Hold the buffer that starts at a page frame. */
static struct cmem_buffer *cmem_buffer_get_start(struct cmem_file *file,
						 unsigned long pfn,
						 bool to_register)
{
	struct cmem_buffer *buffer;
	struct cmem_extent extent;
	struct cmem_block *block;

	block = cmem_block_lock_pfn(pfn);
	if (!block)
		return ERR_PTR(-ENOENT);

	buffer = cmem_buffer_lookup_start(block, pfn, &extent);
	buffer = buffer ? cmem_buffer_get_for(file, buffer, to_register) :
		 ERR_PTR(-ENOENT);
	mutex_unlock(&block->lock);
	return buffer;
}

/**
 * cmem_buffer_get_to_register - hold a buffer that a file may register for
 * @file: the file
 * @pfn: page frame number of the buffer's first page
 *
 * Return: the buffer; -ENOENT if no buffer with a registered file starts there, -EPERM
 * if @file may not register for it.
 */
struct cmem_buffer *cmem_buffer_get_to_register(struct cmem_file *file,
						unsigned long pfn)
{
	return cmem_buffer_get_start(file, pfn, true);
}

/**
 * cmem_buffer_register - register for a buffer
 * @file: the file
 * @buffer: a buffer that the caller holds
 * @by_address: the file names the buffer by its address, not by a DMA-BUF
 *
 * Callers do all else that can fail first, since a registration is never undone.
 *
 * Return: 0, -ENOMEM or -EOVERFLOW; with @by_address also -ENOENT if no file is
 * registered any more, and -EPERM as for struct cmem_register in the UAPI header.
 */
int cmem_buffer_register(struct cmem_file *file, struct cmem_buffer *buffer,
			 bool by_address)
{
	struct cmem_sharer *spare;
	struct cmem_extent extent;
	int ret = -ENOENT;

	spare = cmem_sharer_alloc();
	if (!spare)
		return -ENOMEM;

	cmem_buffer_locate(buffer, &extent);
	mutex_lock(&extent.block->lock);
	if (!by_address || cmem_buffer_is_registered(buffer))
		ret = cmem_buffer_register_locked(file, buffer, &spare,
						  extent.pages, by_address);
	if (!ret)
		trace_cmem_register(file, &extent, buffer->flags);
	mutex_unlock(&extent.block->lock);
	cmem_sharer_free(spare);
	return ret;
}

/**
 * cmem_buffer_get_registered - hold a buffer that a file is registered for
 * @file: the file
 * @pfn: page frame number of the buffer's first page
 *
 * Return: the buffer; -ENOENT if no buffer with a registered file starts there, -EPERM
 * if @file is not registered for it.
 */
struct cmem_buffer *cmem_buffer_get_registered(struct cmem_file *file,
					       unsigned long pfn)
{
	return cmem_buffer_get_start(file, pfn, false);
}

/**
 * cmem_buffer_lookup_range - find the live buffer that contains a range of pages
 * @block: the block of the pages, locked
 * @pfn: page frame number of the first page
 * @pages: number of pages, at least 1
 * @extent: filled with the location of the buffer
 *
 * Return: the buffer, or -EINVAL if the pages are not all in one buffer.
 */
struct cmem_buffer *cmem_buffer_lookup_range(struct cmem_block *block,
					     unsigned long pfn,
					     unsigned long pages,
					     struct cmem_extent *extent)
{
	unsigned long page = pfn - block->base_pfn;
	struct cmem_buffer *buffer = cmem_buffer_lookup(block, page);

	if (!buffer)
		return ERR_PTR(-EINVAL);
	cmem_buffer_locate(buffer, extent);
	if (pages > extent->start + extent->pages - page)
		return ERR_PTR(-EINVAL);
	return buffer;
}

/**
 * cmem_buffer_get_range - hold the buffer that contains a range of pages
 * @file: the file, which must be registered for the buffer
 * @pfn: page frame number of the first page
 * @pages: number of pages, at least 1
 *
 * Return: the buffer; -EINVAL if the pages are not all in one buffer, -EPERM if @file
 * is not registered for it.
 */
struct cmem_buffer *cmem_buffer_get_range(struct cmem_file *file,
					  unsigned long pfn,
					  unsigned long pages)
{
	struct cmem_buffer *buffer;
	struct cmem_extent extent;
	struct cmem_block *block;

	block = cmem_block_lock_pfn(pfn);
	if (!block)
		return ERR_PTR(-EINVAL);

	buffer = cmem_buffer_lookup_range(block, pfn, pages, &extent);
	if (!IS_ERR(buffer))
		buffer = cmem_buffer_get_for(file, buffer, false);
	mutex_unlock(&block->lock);
	return buffer;
}
