// SPDX-License-Identifier: GPL-2.0-only
/*
 * The files that hold a buffer, and those that may. A program names a buffer by its
 * address, so this file also finds the buffer at an address.
 *
 * A registration is one file's hold on one buffer, however often it is counted; a
 * mapping that a file makes of a buffer without being registered counts as one. That of
 * the file which allocated the buffer is kept in the buffer itself, so that the common
 * case costs no memory; others have a struct cmem_sharer. A buffer from a DMA-BUF heap has
 * no file that allocated it.
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

#include "dmabuf.h"
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

/**
 * cmem_buffer_at - find what has a page of a block
 * @block: the block, locked
 * @page: page offset in it
 *
 * Return: the buffer, which need not be live, or NULL.
 */
struct cmem_buffer *cmem_buffer_at(struct cmem_block *block, unsigned long page)
{
	unsigned int i, pools = block->num_pools;
	struct cmem_heap_buffer *from;

	if (block->kind == CMEM_KIND_CMA)
		pools = 0;
	for (i = 0; i < pools; i++) {
		struct cmem_carved_pool *pool = &block->pools[i];
		unsigned long offset = page - pool->start;

		if (offset >= pool->slots.count * pool->pages)
			continue;
		return &pool->buffers[offset / pool->pages];
	}

	from = cmem_heap_find(&block->heap, page);
	return from ? &from->buffer : NULL;
}

/* Find the live buffer that has a page of a block. The block is locked. */
static struct cmem_buffer *cmem_buffer_lookup(struct cmem_block *block,
					      unsigned long page)
{
	struct cmem_buffer *buffer = cmem_buffer_at(block, page);

	return buffer && buffer->flags & CMEM_BUFFER_LIVE ? buffer : NULL;
}

/**
 * cmem_buffer_is_registered - tell if any file is registered for a buffer
 * @buffer: a buffer of a block that is locked
 *
 * Return: false for what is only mapped, or a DMA-BUF: that has no owner any more, and
 * gets none by its address.
 */
bool cmem_buffer_is_registered(const struct cmem_buffer *buffer)
{
	return buffer->file || !hlist_empty(&buffer->sharers);
}

/* Find the live buffer that starts at a page frame, for its registrants. */
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

static struct cmem_sharer *cmem_buffer_sharer(const struct cmem_buffer *buffer,
					      const struct cmem_file *file)
{
	struct cmem_sharer *sharer;

	hlist_for_each_entry(sharer, &buffer->sharers, in_buffer)
		if (sharer->file == file)
			return sharer;
	return NULL;
}

/* The same user has one open, for all that the other is open for. */
static bool cmem_same_user(const struct file *holder, const struct file *filp)
{
	return uid_eq(holder->f_cred->euid, filp->f_cred->euid) &&
	       !(filp->f_mode & ~holder->f_mode & (FMODE_READ | FMODE_WRITE));
}

/**
 * cmem_buffer_has_user - tell if a buffer is for the user who opened a file
 * @buffer: a buffer of a block that is locked
 * @filp: the file: what counts is who opened it, not who uses it
 *
 * Return: true if a file that this user opened, for as much as @filp, is registered,
 * or if cmem.share=any makes all users one.
 */
bool cmem_buffer_has_user(const struct cmem_buffer *buffer,
			  const struct file *filp)
{
	const struct cmem_sharer *sharer;

	/* What is in quarantine is nobody's. */
	if (!(buffer->flags & CMEM_BUFFER_LIVE))
		return false;
	if (READ_ONCE(cmem_share_any))
		return true;
	if (buffer->file && cmem_same_user(buffer->file->filp, filp))
		return true;
	hlist_for_each_entry(sharer, &buffer->sharers, in_buffer)
		if (cmem_same_user(sharer->file->filp, filp))
			return true;
	return false;
}

/**
 * cmem_buffer_owners - go through the files that are registered
 * @buffer: a live buffer of a block that is locked
 * @fn: called with the owner's number and how often it is registered
 * @arg: passed on to @fn
 *
 * Return: how many files.
 */
unsigned int cmem_buffer_owners(const struct cmem_buffer *buffer,
				cmem_owner_fn fn, void *arg)
{
	const struct cmem_sharer *sharer;
	unsigned int owners = 0;

	if (buffer->file) {
		fn(buffer->file->owner, buffer->count, arg);
		owners++;
	}
	hlist_for_each_entry(sharer, &buffer->sharers, in_buffer) {
		fn(sharer->file->owner, sharer->count, arg);
		owners++;
	}
	return owners;
}

/**
 * cmem_buffer_unregister - end a registration
 * @file: whose
 * @buffer: a buffer of a block that is locked
 * @sharer: its registration, NULL for that of the file which allocated the buffer
 * @pages: in the buffer
 */
void cmem_buffer_unregister(struct cmem_file *file,
			    struct cmem_buffer *buffer,
			    struct cmem_sharer *sharer,
			    unsigned long pages)
{
	spin_lock(&file->lock);
	if (sharer) {
		list_del(&sharer->in_file);
		file->num_shared--;
	} else {
		list_del(&buffer->in_file);
		file->num_allocated--;
	}
	file->num_pages -= pages;
	spin_unlock(&file->lock);

	if (sharer) {
		hlist_del(&sharer->in_buffer);
		kmem_cache_free(cmem_sharer_cache, sharer);
	} else {
		buffer->file = NULL;
	}
	if (buffer->flags & CMEM_BUFFER_EXPORTED &&
	    !cmem_buffer_is_registered(buffer))
		cmem_dmabuf_forget(buffer);

	if (refcount_dec_and_test(&buffer->refs))
		cmem_buffer_release(buffer);
}

/**
 * cmem_buffer_undo_alloc - drop the registration that an allocation made
 * @file: whose
 * @buffer: what cmem_buffer_alloc() found, still held by the caller
 *
 * If another thread has dropped it already, there is nothing to do. Since the buffer is
 * held, no other can be at its address by now.
 */
void cmem_buffer_undo_alloc(struct cmem_file *file, struct cmem_buffer *buffer)
{
	struct cmem_extent extent;

	cmem_buffer_locate(buffer, &extent);
	mutex_lock(&extent.block->lock);
	if (buffer->file == file) {
		trace_cmem_free(file, &extent, buffer->flags);
		if (!--buffer->count)
			cmem_buffer_unregister(file, buffer, NULL,
					       extent.pages);
	}
	mutex_unlock(&extent.block->lock);
}

/**
 * cmem_buffer_free - drop one registration
 * @file: whose
 * @pfn: page frame number of the buffer's first page
 *
 * Return: 0; -ENOENT when no buffer that somebody is registered for starts
 * there, -EPERM when the file is not.
 */
int cmem_buffer_free(struct cmem_file *file, unsigned long pfn)
{
	struct cmem_sharer *sharer = NULL;
	struct cmem_buffer *buffer;
	struct cmem_extent extent;
	struct cmem_block *block;
	u16 *count;
	int ret = 0;

	block = cmem_block_lock_pfn(pfn);
	if (!block)
		return -ENOENT;

	buffer = cmem_buffer_lookup_start(block, pfn, &extent);
	if (!buffer) {
		ret = -ENOENT;
		goto out;
	}
	count = &buffer->count;
	if (buffer->file != file) {
		sharer = cmem_buffer_sharer(buffer, file);
		if (!sharer || !sharer->count) {
			ret = -EPERM;
			goto out;
		}
		count = &sharer->count;
	}

	trace_cmem_free(file, &extent, buffer->flags);
	if (!--*count && !(sharer && sharer->maps))
		cmem_buffer_unregister(file, buffer, sharer, extent.pages);
out:
	mutex_unlock(&block->lock);
	return ret;
}

static int cmem_buffer_register_again(u16 *count)
{
	if (*count == CMEM_MAX_REGISTRATIONS)
		return -EOVERFLOW;
	++*count;
	return 0;
}

/* Whether a file that knows no more of a buffer than its address may register */
static bool cmem_buffer_may_register(const struct cmem_file *file,
				     const struct cmem_buffer *buffer)
{
	if (buffer->flags & CMEM_BUFFER_PRIVATE)
		return false;
	return cmem_buffer_has_user(buffer, file->filp) ||
	       file_ns_capable(file->filp, &init_user_ns, CAP_SYS_RAWIO);
}

/* Make a file one of those that have a buffer, not counted yet. The block is locked. */
static struct cmem_sharer *cmem_buffer_add_sharer(struct cmem_file *file,
						  struct cmem_buffer *buffer,
						  struct cmem_sharer **spare,
						  unsigned long pages)
{
	struct cmem_sharer *sharer;
	unsigned int holders = !!buffer->file;

	hlist_for_each_entry(sharer, &buffer->sharers, in_buffer)
		holders++;
	if (holders >= CMEM_MAX_HOLDERS)
		return ERR_PTR(-EOVERFLOW);

	sharer = *spare;
	*spare = NULL;
	sharer->file = file;
	sharer->buffer = buffer;
	hlist_add_head(&sharer->in_buffer, &buffer->sharers);

	spin_lock(&file->lock);
	list_add(&sharer->in_file, &file->shared);
	file->num_shared++;
	file->num_pages += pages;
	spin_unlock(&file->lock);

	refcount_inc(&buffer->refs);
	buffer->flags |= CMEM_BUFFER_SHARED;
	return sharer;
}

static int cmem_buffer_register_locked(struct cmem_file *file,
				       struct cmem_buffer *buffer,
				       struct cmem_sharer **spare,
				       unsigned long pages, bool by_address)
{
	struct cmem_sharer *sharer;

	if (buffer->file == file)
		return cmem_buffer_register_again(&buffer->count);
	sharer = cmem_buffer_sharer(buffer, file);
	if (!sharer) {
		if (by_address && !cmem_buffer_may_register(file, buffer))
			return -EPERM;
		sharer = cmem_buffer_add_sharer(file, buffer, spare, pages);
		if (IS_ERR(sharer))
			return PTR_ERR(sharer);
	}
	return cmem_buffer_register_again(&sharer->count);
}

/*
 * Hold the buffer that starts at a page frame. The file is registered for it, or, with
 * @to_register, may register.
 */
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
	if (!buffer)
		buffer = ERR_PTR(-ENOENT);
	else if (buffer->file != file && !cmem_buffer_sharer(buffer, file) &&
		 !(to_register && cmem_buffer_may_register(file, buffer)))
		buffer = ERR_PTR(-EPERM);
	else
		cmem_buffer_get(buffer);
	mutex_unlock(&block->lock);
	return buffer;
}

/**
 * cmem_buffer_get_to_register - hold a buffer that a file may register for
 * @file: the file
 * @pfn: page frame number of the buffer's first page
 *
 * Return: the buffer; -ENOENT when no buffer that somebody is registered for starts
 * there, -EPERM when the file must not.
 */
struct cmem_buffer *cmem_buffer_get_to_register(struct cmem_file *file,
						unsigned long pfn)
{
	return cmem_buffer_get_start(file, pfn, true);
}

/**
 * cmem_buffer_register - register for a buffer
 * @file: who
 * @buffer: a buffer that the caller holds
 * @by_address: the file knows no more of it than its address
 *
 * What can fail for other reasons goes before: a registration is never undone.
 *
 * Return: 0, -ENOMEM or -EOVERFLOW; with @by_address -ENOENT when nobody is registered
 * any more, and -EPERM, as struct cmem_register in the UAPI header says.
 */
int cmem_buffer_register(struct cmem_file *file, struct cmem_buffer *buffer,
			 bool by_address)
{
	struct cmem_sharer *spare;
	struct cmem_extent extent;
	int ret = -ENOENT;

	spare = kmem_cache_zalloc(cmem_sharer_cache, GFP_KERNEL);
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
	if (spare)
		kmem_cache_free(cmem_sharer_cache, spare);
	return ret;
}

/**
 * cmem_buffer_get_registered - hold a buffer that a file is registered for
 * @file: the file
 * @pfn: page frame number of the buffer's first page
 *
 * Return: the buffer; -ENOENT when no buffer that somebody is registered for starts
 * there, -EPERM when the file is not.
 */
struct cmem_buffer *cmem_buffer_get_registered(struct cmem_file *file,
					       unsigned long pfn)
{
	return cmem_buffer_get_start(file, pfn, false);
}

/* Find the buffer that some pages are all in. The block is locked. */
static struct cmem_buffer *cmem_buffer_lookup_range(struct cmem_block *block,
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
 * cmem_buffer_get_range - hold the buffer that some pages are in
 * @file: who must be registered for it
 * @pfn: page frame number of the first page
 * @pages: how many, at least 1
 *
 * Return: the buffer; -EINVAL when the pages are not all in one buffer, -EPERM
 * when the file is not registered for it.
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
	if (!IS_ERR(buffer)) {
		if (buffer->file != file && !cmem_buffer_sharer(buffer, file))
			buffer = ERR_PTR(-EPERM);
		else
			cmem_buffer_get(buffer);
	}
	mutex_unlock(&block->lock);
	return buffer;
}

/*
 * A file is to map a buffer: 1 if that makes it one of those that have it, 0 if it is
 * registered; -EAGAIN without a spare that is wanted. The block is locked.
 */
static int cmem_buffer_map_locked(struct cmem_file *file,
				  struct cmem_buffer *buffer,
				  struct cmem_sharer **spare,
				  unsigned long pages)
{
	struct cmem_sharer *sharer;

	if (buffer->file == file)
		return 0;
	sharer = cmem_buffer_sharer(buffer, file);
	if (sharer && sharer->count)
		return 0;
	if (!sharer) {
		if (!cmem_buffer_is_registered(buffer) ||
		    !cmem_buffer_may_register(file, buffer))
			return -EPERM;
		if (!*spare)
			return -EAGAIN;
		sharer = cmem_buffer_add_sharer(file, buffer, spare, pages);
		if (IS_ERR(sharer))
			return PTR_ERR(sharer);
	}
	sharer->maps++;
	return 1;
}

/**
 * cmem_buffer_map_range - hold the buffer that some pages are in, for a mapping
 * @file: who maps it
 * @pfn: page frame number of the first page
 * @pages: how many, at least 1
 * @holds: where to put whether the mapping counts as a registration as well, which
 *	cmem_buffer_unmap() ends
 *
 * A file that may register for the buffer may map it without that, as old programs do.
 * The file then counts as registered as long as the mapping is there.
 *
 * Return: the buffer; -EINVAL when the pages are not all in one buffer; -EPERM
 * when the file is not registered for it and may not be, or when nobody is any more;
 * -EOVERFLOW when too many files are; -ENOMEM.
 */
struct cmem_buffer *cmem_buffer_map_range(struct cmem_file *file,
					  unsigned long pfn,
					  unsigned long pages, bool *holds)
{
	struct cmem_sharer *spare = NULL;
	struct cmem_buffer *buffer;
	struct cmem_extent extent;
	struct cmem_block *block;
	int ret;

	for (;;) {
		block = cmem_block_lock_pfn(pfn);
		if (!block) {
			ret = -EINVAL;
			break;
		}
		buffer = cmem_buffer_lookup_range(block, pfn, pages, &extent);
		ret = PTR_ERR_OR_ZERO(buffer);
		if (!ret)
			ret = cmem_buffer_map_locked(file, buffer, &spare,
						     extent.pages);
		if (ret >= 0)
			cmem_buffer_get(buffer);
		mutex_unlock(&block->lock);
		if (ret != -EAGAIN)
			break;
		spare = kmem_cache_zalloc(cmem_sharer_cache, GFP_KERNEL);
		if (!spare)
			return ERR_PTR(-ENOMEM);
	}
	if (spare)
		kmem_cache_free(cmem_sharer_cache, spare);
	*holds = ret > 0;
	return ret < 0 ? ERR_PTR(ret) : buffer;
}

/**
 * cmem_buffer_map_again - a mapping that counts as a registration is split or copied
 * @file: who made it
 * @buffer: the buffer
 */
void cmem_buffer_map_again(struct cmem_file *file, struct cmem_buffer *buffer)
{
	struct cmem_block *block = cmem_buffer_block(buffer);

	mutex_lock(&block->lock);
	cmem_buffer_sharer(buffer, file)->maps++;
	mutex_unlock(&block->lock);
}

/**
 * cmem_buffer_unmap - a mapping that counts as a registration ends
 * @file: who made it
 * @buffer: the buffer, which somebody holds: if no other, that registration
 * @abandoned: its process dies, and may have told a device of the buffer
 */
void cmem_buffer_unmap(struct cmem_file *file, struct cmem_buffer *buffer,
		       bool abandoned)
{
	struct cmem_sharer *sharer;
	struct cmem_extent extent;

	cmem_buffer_locate(buffer, &extent);
	mutex_lock(&extent.block->lock);
	sharer = cmem_buffer_sharer(buffer, file);
	if (!--sharer->maps && !sharer->count) {
		/* The last one: what ends before is a child's, say. */
		if (abandoned)
			buffer->flags |= CMEM_BUFFER_ABANDONED;
		cmem_buffer_unregister(file, buffer, sharer, extent.pages);
	}
	mutex_unlock(&extent.block->lock);
}
