// SPDX-License-Identifier: GPL-2.0-only
/*
 * A buffer's life: allocated by a file, registered by others, held by mappings,
 * and given back to its pool or heap when the last of these is gone.
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
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "cmem.h"
#include "dmabuf.h"
#include "trace.h"

/**
 * struct cmem_sharer - a registration of a file that did not allocate
 * @file: the file
 * @buffer: the buffer
 * @in_file: in @file's list, under its lock
 * @in_buffer: in @buffer's list, under the block's lock
 * @count: how often it is registered, under the block's lock
 * @maps: mappings that the file made without being registered. As long as there is one,
 *	it counts as a registration. Under the block's lock.
 */
struct cmem_sharer {
	struct cmem_file *file;
	struct cmem_buffer *buffer;
	struct list_head in_file;
	struct hlist_node in_buffer;
	u16 count;
	u32 maps;
};

static_assert(CMEM_MAX_REGISTRATIONS <= U16_MAX);
#ifdef CONFIG_64BIT
static_assert(sizeof(struct cmem_buffer) + sizeof(struct cmem_slot) <=
	      64 + sizeof(struct cmem_dmem_charge));
#endif

static struct kmem_cache *cmem_heap_buffer_cache;
static struct kmem_cache *cmem_sharer_cache;
static atomic64_t cmem_last_owner;

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
MODULE_PARM_DESC(share, "who may register a buffer by its address: user (of one who is registered, default) or any (who can open /dev/cmem)");

int __init cmem_buffer_init(void)
{
	cmem_heap_buffer_cache = KMEM_CACHE(cmem_heap_buffer, SLAB_ACCOUNT);
	if (!cmem_heap_buffer_cache)
		return -ENOMEM;

	cmem_sharer_cache = KMEM_CACHE(cmem_sharer, SLAB_ACCOUNT);
	if (!cmem_sharer_cache) {
		kmem_cache_destroy(cmem_heap_buffer_cache);
		return -ENOMEM;
	}
	return 0;
}

void __init cmem_buffer_exit(void)
{
	kmem_cache_destroy(cmem_sharer_cache);
	kmem_cache_destroy(cmem_heap_buffer_cache);
}

/**
 * cmem_file_init - make a new owner
 * @file: to be filled in
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
	file->changes = NULL;
	file->changes_mm = NULL;
	file->changes_maps = 0;
}

/**
 * cmem_buffer_abi_flags - what users are told of a buffer's attributes
 * @buffer: a buffer that the caller holds
 *
 * Return: bits of enum cmem_alloc_flags.
 */
u32 cmem_buffer_abi_flags(const struct cmem_buffer *buffer)
{
	return (READ_ONCE(buffer->flags) & CMEM_BUFFER_ABI) /
	       CMEM_BUFFER_OF_ABI;
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
 * cmem_buffer_last_owner - tell whose a buffer was
 * @buffer: a buffer that was allocated, of a block that is locked
 *
 * Return: the number of the file that allocated it, 0 for one from a DMA-BUF heap.
 */
u64 cmem_buffer_last_owner(const struct cmem_buffer *buffer)
{
	const struct cmem_carved_pool *pool = buffer->pool;
	u64 tag = pool ? pool->slots.slots[buffer - pool->buffers].tag :
			 cmem_heap_buffer(buffer)->tag;

	return tag >> 1;
}

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
	struct cmem_carved_pool *pool = buffer->pool;
	struct cmem_block *block = cmem_buffer_block(buffer);

	cmem_alias_release(buffer);
	if (unlikely(buffer->flags & CMEM_BUFFER_FAILED)) {
		cmem_buffer_return_failed(buffer, shared);
		return;
	}
	buffer->flags = 0;
	cmem_dmem_uncharge(&buffer->dmem, cmem_buffer_length(buffer));
	if (pool) {
		u32 slot = buffer - pool->buffers;

		cmem_quota_uncharge(block, pool->slots.slots[slot].user,
				    pool->pages);
		cmem_pool_put(&pool->slots, slot,
			      shared ? 0 : pool->slots.slots[slot].tag);
		cmem_scrub_kick(block);
	} else if (block->kind == CMEM_KIND_CMA) {
		cmem_cma_put(cmem_heap_buffer(buffer));
	} else {
		struct cmem_heap_buffer *from = cmem_heap_buffer(buffer);

		cmem_quota_uncharge(block, from->user, from->pages);
		cmem_heap_put(&block->heap, from->start, from->pages,
			      shared ? 0 : from->tag);
		kmem_cache_free(cmem_heap_buffer_cache, from);
		cmem_scrub_kick(block);
	}
}

/* The last hold is gone. The block is locked. */
static void cmem_buffer_release(struct cmem_buffer *buffer)
{
	struct cmem_extent extent;

	if ((buffer->flags & CMEM_BUFFER_QUARANTINE) &&
	    (buffer->flags & CMEM_BUFFER_ABANDONED)) {
		cmem_quarantine_add(buffer);
		return;
	}
	if (trace_cmem_release_enabled()) {
		cmem_buffer_locate(buffer, &extent);
		trace_cmem_release(extent.block, extent.start, extent.pages);
	}
	cmem_buffer_return(buffer, buffer->flags & CMEM_BUFFER_SHARED);
}

/**
 * cmem_buffer_get - hold a buffer that the caller's file or mapping holds
 * @buffer: the buffer
 */
void cmem_buffer_get(struct cmem_buffer *buffer)
{
	refcount_inc(&buffer->refs);
}

/**
 * cmem_buffer_put - let go of a buffer
 * @buffer: the buffer
 *
 * May sleep, but not long, and does not fail.
 */
void cmem_buffer_put(struct cmem_buffer *buffer)
{
	struct cmem_block *block = cmem_buffer_block(buffer);

	if (!refcount_dec_and_mutex_lock(&buffer->refs, &block->lock))
		return;

	cmem_buffer_release(buffer);
	mutex_unlock(&block->lock);
}

/**
 * cmem_buffer_share - somebody else can see a buffer now
 * @buffer: a buffer that the caller holds
 */
void cmem_buffer_share(struct cmem_buffer *buffer)
{
	struct cmem_block *block = cmem_buffer_block(buffer);

	mutex_lock(&block->lock);
	buffer->flags |= CMEM_BUFFER_SHARED;
	mutex_unlock(&block->lock);
}

/**
 * cmem_buffer_abandon - somebody who had told a device of a buffer has not freed it
 * @buffer: a buffer that the caller holds
 */
void cmem_buffer_abandon(struct cmem_buffer *buffer)
{
	struct cmem_block *block = cmem_buffer_block(buffer);

	mutex_lock(&block->lock);
	buffer->flags |= CMEM_BUFFER_ABANDONED;
	mutex_unlock(&block->lock);
}

static int cmem_buffer_take_pool(struct cmem_carved_pool *pool,
				 const struct cmem_request *request,
				 struct cmem_buffer **buffer)
{
	struct cmem_block *block = pool->block;
	u64 length = (u64)pool->pages << PAGE_SHIFT;
	u32 clean = pool->slots.num_clean;
	struct cmem_dmem_charge dmem;
	u32 slot;
	int ret;

	if (!cmem_quota_allows(block, request, pool->pages) ||
	    cmem_dmem_charge(&block->dmem, &dmem, length))
		return -ENOMEM;

	ret = cmem_pool_take(&pool->slots, request->tag, &slot);
	if (ret < 0) {
		cmem_dmem_uncharge(&dmem, length);
		/* His own need not be cleaned for him. */
		if (ret == -EAGAIN && block->scrubbing_pool == pool &&
		    pool->slots.slots[block->scrubbing_slot].tag == request->tag)
			WRITE_ONCE(block->scrub_cancel, true);
		return ret;
	}

	/* Others' memory is wanted: let there be clean memory when it is. */
	if ((ret == CMEM_TAKEN_DIRTY || pool->slots.num_clean != clean) &&
	    pool->slots.num_clean < cmem_pool_to_clean(&pool->slots) / 2)
		cmem_scrub_hurry(block);
	pool->slots.slots[slot].user = request->user;
	request->account->pages += pool->pages;
	*buffer = &pool->buffers[slot];
	(*buffer)->dmem = dmem;
	return ret;
}

/* The alignment that is asked for, in pages */
static unsigned long cmem_request_align(const struct cmem_request *request)
{
	u64 align = max(request->alignment >> PAGE_SHIFT, 1ULL);

	/* No address that this machine has is a multiple of more than this. */
	return min_t(u64, align, 1UL << (BITS_PER_LONG - 1));
}

static bool cmem_pool_serves(const struct cmem_carved_pool *pool,
			     unsigned long pages, unsigned long align)
{
	return pool->pages >= pages &&
	       IS_ALIGNED(pool->block->base_pfn + pool->start, align) &&
	       (pool->slots.count == 1 || IS_ALIGNED(pool->pages, align));
}

/* Take of the pool with the smallest buffers that serve, which may have to be as asked. */
static int cmem_buffer_take_best(struct cmem_block *block,
				 const struct cmem_request *request,
				 unsigned long align, bool exact,
				 struct cmem_buffer **buffer)
{
	int ret = -ENOENT;
	unsigned int i;

	for (i = 0; i < block->num_pools; i++) {
		struct cmem_carved_pool *pool = &block->pools[block->by_size[i]];

		if (!cmem_pool_serves(pool, request->pages, align))
			continue;
		if (exact && pool->pages > request->pages)
			break;
		ret = cmem_buffer_take_pool(pool, request, buffer);
		if (ret != -ENOMEM)
			return ret;
	}
	return ret;
}

static int cmem_buffer_take_heap(struct cmem_block *block,
				 const struct cmem_request *request,
				 unsigned long align,
				 struct cmem_heap_buffer *from)
{
	u64 length = (u64)request->pages << PAGE_SHIFT;
	int ret;

	if (!cmem_quota_allows(block, request, request->pages) ||
	    cmem_dmem_charge(&block->dmem, &from->buffer.dmem, length))
		return -ENOMEM;

	ret = cmem_heap_take(&block->heap, request->pages, align, request->tag,
			     from, &from->start);
	if (ret < 0) {
		cmem_dmem_uncharge(&from->buffer.dmem, length);
		return ret;
	}

	from->block = block;
	from->pool = CMEM_POOL_HEAP;
	from->user = request->user;
	from->pages = request->pages;
	from->tag = request->tag;
	request->account->pages += request->pages;
	return ret;
}

/* Take memory as checked. @spare is what a heap buffer would be kept in. */
static int cmem_buffer_take(struct cmem_block *block,
			    const struct cmem_request *request,
			    struct cmem_heap_buffer **spare,
			    struct cmem_buffer **buffer)
{
	unsigned long align = cmem_request_align(request);
	bool exact = request->flags & CMEM_REQUEST_EXACT;
	struct cmem_heap_buffer *from = *spare;
	int ret = -ENOMEM;

	if (request->pool >= 0)
		ret = cmem_buffer_take_pool(&block->pools[request->pool],
					    request, buffer);
	else if (request->pool == CMEM_POOL_BEST)
		ret = cmem_buffer_take_best(block, request, align, exact,
					    buffer);
	if (!from || (ret != -ENOMEM && ret != -ENOENT))
		return ret;

	ret = cmem_buffer_take_heap(block, request, align, from);
	if (ret == -ENOMEM && exact && block->dma_heap_config.from_pools)
		return cmem_buffer_take_best(block, request, align, false,
					     buffer);
	if (ret < 0)
		return ret;
	*spare = NULL;
	*buffer = &from->buffer;
	return ret;
}

/* Whether a buffer is cached: in SRAM none is, and sram.c says why. */
static bool cmem_request_cached(const struct cmem_block *block,
				const struct cmem_request *request)
{
	return request->flags & CMEM_ALLOC_CACHED &&
	       block->kind != CMEM_KIND_SRAM;
}

/*
 * Give it to a file, or, without one, to the caller, who may show it to anybody. The
 * caller holds it beside the file: other threads know its address, too.
 */
static void cmem_buffer_admit(struct cmem_file *file,
			      struct cmem_buffer *buffer,
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
	buffer->file = file;
	if (!file) {
		flags |= CMEM_BUFFER_SHARED;
		buffer->count = 0;
	} else {
		buffer->count = 1;
		spin_lock(&file->lock);
		list_add(&buffer->in_file, &file->allocated);
		file->num_allocated++;
		file->num_pages += request->extent.pages;
		spin_unlock(&file->lock);
	}
	buffer->flags = flags | cmem_alias_hold(request->extent.block, flags);
	trace_cmem_alloc(file, &request->extent, flags);
}

/* The block is locked, and stays so until what is asked for has been taken. */
static int cmem_request_check(const struct cmem_block *block,
			      struct cmem_request *request)
{
	const struct cmem_carved_pool *pool;
	u64 length;

	if (!block->present)
		return -ENOENT;
	if (request->alignment & (request->alignment - 1))
		return -EINVAL;

	if (request->pool < 0) {
		if (request->pool < CMEM_POOL_HEAP)
			return -ENOENT;
		length = (u64)block->num_pages << PAGE_SHIFT;
		if (!request->length || request->length > length)
			return -EINVAL;
		request->pages = DIV_ROUND_UP_ULL(request->length, PAGE_SIZE);
		return 0;
	}

	if (request->pool >= block->num_pools)
		return -ENOENT;
	request->pool = array_index_nospec(request->pool, block->num_pools);
	pool = &block->pools[request->pool];
	length = (u64)pool->pages << PAGE_SHIFT;
	if (request->length > length)
		return -EINVAL;
	if (!cmem_pool_serves(pool, 0, cmem_request_align(request)))
		return -EINVAL;
	request->pages = request->length ?
			 DIV_ROUND_UP_ULL(request->length, PAGE_SIZE) :
			 pool->pages;
	return 0;
}

/* Who gets memory back as he left it: the same owner, who maps it in the same way. */
static u64 cmem_buffer_tag(const struct cmem_file *file,
			   const struct cmem_block *block,
			   const struct cmem_request *request)
{
	if (!file)
		return CMEM_TAG_NOBODY;
	return file->owner << 1 | cmem_request_cached(block, request);
}

static int cmem_buffer_alloc_cma(struct cmem_file *file,
				 struct cmem_block *block,
				 struct cmem_request *request)
{
	struct cmem_heap_buffer *from;
	int ret;

	ret = cmem_cma_take(block, request, &from);
	if (ret)
		return ret;

	mutex_lock(&block->lock);
	from->tag = cmem_buffer_tag(file, block, request);
	cmem_failure_check(block);
	/* While it was on its way, the failure may have been seen, or not. */
	if (from->buffer.flags & CMEM_BUFFER_FAILED ||
	    cmem_failure_in_new(block, from->start, from->pages)) {
		cmem_buffer_return(&from->buffer, true);
		ret = -EHWPOISON;
	} else {
		cmem_buffer_admit(file, &from->buffer, request);
	}
	mutex_unlock(&block->lock);
	return ret;
}

/* -EHWPOISON: what was found has failed since. It is out of use. */
static int cmem_buffer_try_alloc(struct cmem_file *file,
				 struct cmem_block *block,
				 struct cmem_request *request)
{
	struct cmem_heap_buffer *spare = NULL;
	unsigned int tries = CMEM_ROOM_TRIES;
	struct cmem_buffer *buffer;
	unsigned int round;
	int ret;

	if (block->id < 0)
		return cmem_buffer_alloc_cma(file, block, request);

	if (request->pool == CMEM_POOL_HEAP ||
	    request->flags & CMEM_ALLOC_HEAP_FALLBACK) {
		spare = kmem_cache_zalloc(cmem_heap_buffer_cache,
					  CMEM_GFP_USER);
		if (!spare)
			return -ENOMEM;
	}

	/* While nobody holds the lock, it may become another block. */
	for (;;) {
		mutex_lock(&block->lock);
		ret = cmem_request_check(block, request);
		if (!ret)
			ret = cmem_quota_begin(block, request);
		if (!ret) {
			cmem_failure_check(block);
			request->tag = cmem_buffer_tag(file, block, request);
			ret = cmem_buffer_take(block, request, &spare, &buffer);
		}
		if (ret == CMEM_TAKEN_READY && block->soiled)
			ret = CMEM_TAKEN_DIRTY;
		if (ret == CMEM_TAKEN_READY)
			cmem_buffer_admit(file, buffer, request);
		round = block->scrub_round;
		mutex_unlock(&block->lock);
		if (cmem_try_again(&ret, &tries))
			continue;
		if (ret != -EAGAIN)
			break;

		if (wait_event_killable(block->scrub_wait,
					READ_ONCE(block->scrub_round) != round)) {
			ret = -EINTR;
			break;
		}
	}

	if (ret == CMEM_TAKEN_DIRTY) {
		cmem_buffer_locate(buffer, &request->extent);
		ret = cmem_scrub_pages(block, request->extent.start,
				       request->extent.pages, true);

		mutex_lock(&block->lock);
		if (ret == -EHWPOISON)
			buffer->flags = CMEM_BUFFER_FAILED;
		else if (!ret && buffer->flags & CMEM_BUFFER_FAILED)
			ret = -EHWPOISON;
		if (ret)
			cmem_buffer_return(buffer, true);
		else
			cmem_buffer_admit(file, buffer, request);
		mutex_unlock(&block->lock);
	}

	if (spare)
		kmem_cache_free(cmem_heap_buffer_cache, spare);
	return ret;
}

/* Allocate a buffer. The caller may have no file: then it is nobody's. */
static int cmem_buffer_alloc_from(struct cmem_file *file,
				  struct cmem_block *block,
				  struct cmem_request *request)
{
	int ret;

	do {
		ret = cmem_buffer_try_alloc(file, block, request);
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

/*
 * End a registration: that of the file which allocated the buffer, or a
 * sharer's. The block is locked.
 */
static void cmem_buffer_unregister(struct cmem_file *file,
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
		 !cmem_buffer_may_register(file, buffer))
		buffer = ERR_PTR(-EPERM);
	else
		cmem_buffer_get(buffer);
	mutex_unlock(&block->lock);
	return buffer;
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
	struct cmem_buffer *buffer;
	struct cmem_extent extent;
	struct cmem_block *block;

	block = cmem_block_lock_pfn(pfn);
	if (!block)
		return ERR_PTR(-ENOENT);

	buffer = cmem_buffer_lookup_start(block, pfn, &extent);
	if (!buffer)
		buffer = ERR_PTR(-ENOENT);
	else if (buffer->file != file && !cmem_buffer_sharer(buffer, file))
		buffer = ERR_PTR(-EPERM);
	else
		cmem_buffer_get(buffer);
	mutex_unlock(&block->lock);
	return buffer;
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

/**
 * cmem_file_get_buffers - hold some of the buffers that a file has
 * @file: the file
 * @shared: of those that it did not allocate
 * @buffers: where to put them, to be put one by one
 * @max: how many there is room for
 *
 * These go to the other end of the list: asking again, until as many came as
 * there were, yields each that was there all the time, as long as nobody else
 * asks meanwhile: the caller holds sync_lock.
 *
 * Return: how many.
 */
unsigned int cmem_file_get_buffers(struct cmem_file *file, bool shared,
				   struct cmem_buffer **buffers,
				   unsigned int max)
{
	struct cmem_sharer *sharer;
	struct cmem_buffer *buffer;
	unsigned int count = 0;

	spin_lock(&file->lock);
	while (count < max) {
		if (shared) {
			if (list_empty(&file->shared))
				break;
			sharer = list_last_entry(&file->shared,
						 struct cmem_sharer, in_file);
			list_move(&sharer->in_file, &file->shared);
			buffer = sharer->buffer;
		} else {
			if (list_empty(&file->allocated))
				break;
			buffer = list_last_entry(&file->allocated,
						 struct cmem_buffer, in_file);
			list_move(&buffer->in_file, &file->allocated);
		}
		/* Being registered, the file holds it. */
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
 * Nobody else has the file any more, so its lists do not change meanwhile. Does
 * not fail, and no signal shortens it.
 */
void cmem_file_release(struct cmem_file *file)
{
	struct cmem_sharer *sharer;
	struct cmem_buffer *buffer;
	struct cmem_extent extent;

	while (file->num_allocated || file->num_shared) {
		if (file->num_allocated) {
			sharer = NULL;
			buffer = list_first_entry(&file->allocated,
						  struct cmem_buffer, in_file);
		} else {
			sharer = list_first_entry(&file->shared,
						  struct cmem_sharer, in_file);
			buffer = sharer->buffer;
		}

		cmem_buffer_locate(buffer, &extent);
		mutex_lock(&extent.block->lock);
		trace_cmem_free(file, &extent, buffer->flags);
		/* However many others free it: this one has not. */
		buffer->flags |= CMEM_BUFFER_ABANDONED;
		cmem_buffer_unregister(file, buffer, sharer, extent.pages);
		mutex_unlock(&extent.block->lock);
		cond_resched();
	}
}
