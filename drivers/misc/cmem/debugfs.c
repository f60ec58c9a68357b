// SPDX-License-Identifier: GPL-2.0-only
/*
 * Output in debugfs, only for root: cmem/<block>/extents shows who holds which part of a
 * block, and cmem/<block>/users shows how much each user is charged.
 * Documentation/ABI/testing/debugfs-cmem has the format.
 *
 * The extents are printed in chunks, so that a block with very many buffers is not locked
 * for long. Only the output for one chunk is consistent. But each chunk starts where the
 * last one ended, so each page of the block is shown once.
 *
 * A reader may sleep until a page of its own memory is read in, so nothing waits for a
 * reader. A file is created once for each block number and stays, like the block's
 * struct: debugfs need not protect a read from its removal. While there is no block of that
 * number, extents can't be opened, and users is empty.
 */
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/math64.h>
#include <linux/seq_file.h>
#include <linux/time64.h>

#include "block.h"
#include "buffer.h"
#include "debugfs.h"
#include "exports.h"
#include "heap.h"
#include "pool.h"
#include "quarantine.h"
#include "quota.h"
#include "registration.h"

/* Size of a chunk: buffers of a pool, or extents of a heap */
#define CMEM_DEBUGFS_CHUNK	256

/**
 * struct cmem_debugfs_reader - an open file
 * @block: the block that is shown
 * @incarnation: incarnation of the block when the file was opened
 * @end: page offset of the end of the last chunk
 */
struct cmem_debugfs_reader {
	struct cmem_block *block;
	unsigned int incarnation;
	unsigned long end;
};

/**
 * struct cmem_debugfs_extent - a run of pages in one state
 * @state: name of the state
 * @pool: number of the pool, or CMEM_POOL_HEAP
 * @start: page offset in the block
 * @pages: length
 * @buffer: the buffer if it is held, in quarantine or pinned, else NULL
 */
struct cmem_debugfs_extent {
	const char *state;
	s32 pool;
	unsigned long start;
	unsigned long pages;
	const struct cmem_buffer *buffer;
};

/* A used buffer in none of these states is being zeroed for its next user. */
static void cmem_debugfs_used(struct cmem_debugfs_extent *extent,
			      const struct cmem_buffer *buffer)
{
	if (buffer->flags & CMEM_BUFFER_LIVE) {
		extent->state = "held";
		extent->buffer = buffer;
	} else if (buffer->flags & CMEM_BUFFER_QUARANTINED) {
		extent->state = "quarantine";
		extent->buffer = buffer;
	} else if (buffer->flags & CMEM_BUFFER_PINNED) {
		extent->state = "pinned";
		extent->buffer = buffer;
	} else if (buffer->flags & CMEM_BUFFER_FAILED) {
		extent->state = "failed";
	} else {
		extent->state = "scrubbing";
	}
}

static void cmem_debugfs_pool(const struct cmem_carved_pool *pool,
			      unsigned long page,
			      struct cmem_debugfs_extent *extent)
{
	static const char *const states[] = {
		[CMEM_SLOT_CLEAN] = "clean",
		[CMEM_SLOT_DIRTY] = "dirty",
		[CMEM_SLOT_SCRUBBING] = "scrubbing",
	};
	u32 slot = (page - pool->start) / pool->pages;
	unsigned int state = pool->slots.slots[slot].state;

	extent->pool = pool->number;
	extent->pages = pool->start + (slot + 1) * pool->pages - page;
	if (state == CMEM_SLOT_TAKEN)
		cmem_debugfs_used(extent, &pool->buffers[slot]);
	else
		extent->state = states[state];
}

static void cmem_debugfs_heap(struct cmem_block *block, unsigned long page,
			      struct cmem_debugfs_extent *extent)
{
	struct cmem_heap_buffer *heap_buffer;
	void *user;

	extent->pool = CMEM_POOL_HEAP;
	switch (cmem_heap_look(&block->heap, page, &extent->pages, &user)) {
	case CMEM_HEAP_CLEAN:
		extent->state = "clean";
		break;
	case CMEM_HEAP_DIRTY:
		extent->state = "dirty";
		break;
	case CMEM_HEAP_SCRUBBING:
		extent->state = "scrubbing";
		break;
	case CMEM_HEAP_USED:
		heap_buffer = user;
		extent->pool = heap_buffer->pool;
		cmem_debugfs_used(extent, &heap_buffer->buffer);
		break;
	}
}

/* Look up the extent from a page on. The caller holds the lock of the block. */
static struct cmem_debugfs_extent cmem_debugfs_look(struct cmem_block *block,
						    unsigned long page)
{
	const struct cmem_carved_pool *pool = cmem_block_pool_at(block, page);
	struct cmem_debugfs_extent extent = { .start = page };

	if (pool)
		cmem_debugfs_pool(pool, page, &extent);
	else
		cmem_debugfs_heap(block, page, &extent);
	return extent;
}

static void cmem_debugfs_owner(u64 owner, unsigned int count, void *arg)
{
	struct seq_file *m = arg;

	seq_printf(m, " owner=%llu:%u", owner, count);
}

static void cmem_debugfs_dmabuf(u64 inode, void *arg)
{
	struct seq_file *m = arg;

	seq_printf(m, " dmabuf=%llu", inode);
}

static void cmem_debugfs_print(struct seq_file *m,
			       const struct cmem_block *block,
			       const struct cmem_debugfs_extent *extent)
{
	const struct cmem_buffer *buffer = extent->buffer;
	unsigned int owners;

	/* Free memory that is lent to the kernel is not shown. */
	if (block->ops->lends_free && !buffer)
		return;

	seq_printf(m, "phys=%#llx length=%#llx",
		   (u64)cmem_block_phys(block, extent->start),
		   (u64)extent->pages << PAGE_SHIFT);
	if (extent->pool == CMEM_POOL_HEAP)
		seq_puts(m, " pool=heap");
	else
		seq_printf(m, " pool=%d", extent->pool);
	seq_printf(m, " state=%s", extent->state);
	if (buffer) {
		if (buffer->flags & CMEM_BUFFER_CACHED)
			seq_puts(m, " cached");
		if (buffer->flags & CMEM_BUFFER_PRIVATE)
			seq_puts(m, " private");
		if (buffer->flags & CMEM_BUFFER_FAILED)
			seq_puts(m, " failed");
		if (buffer->flags & CMEM_BUFFER_PAGES)
			seq_puts(m, " pages");
	}
	if (buffer && buffer->flags & CMEM_BUFFER_PINNED) {
		seq_printf(m, " last-owner=%llu in-use=%lu",
			   cmem_buffer_last_owner(buffer), buffer->pinned);
	} else if (buffer && buffer->flags & CMEM_BUFFER_QUARANTINED) {
		u64 since = cmem_quarantine_since(buffer);
		u32 ms = do_div(since, MSEC_PER_SEC);

		seq_printf(m, " last-owner=%llu since=%llu.%03u",
			   cmem_buffer_last_owner(buffer), since, ms);
	} else if (buffer) {
		owners = cmem_buffer_owners(buffer, cmem_debugfs_owner, m);
		/* Each registered file holds one reference. */
		seq_printf(m, " mappings=%u",
			   refcount_read(&buffer->refs) - owners);
		cmem_exports_inodes(buffer, cmem_debugfs_dmabuf, m);
	}
	seq_putc(m, '\n');
}

/* Whether the block is still the one from open(). The caller holds its lock. */
static bool cmem_debugfs_is_there(const struct cmem_debugfs_reader *reader)
{
	return reader->block->present &&
	       reader->block->incarnation == reader->incarnation;
}

static int cmem_debugfs_show(struct seq_file *m, void *v)
{
	struct cmem_debugfs_reader *reader = m->private;
	unsigned long page = *(loff_t *)v;
	struct cmem_block *block = reader->block;
	struct cmem_debugfs_extent run = {}, next;
	unsigned int steps = CMEM_DEBUGFS_CHUNK;

	mutex_lock(&block->lock);
	if (!cmem_debugfs_is_there(reader)) {
		mutex_unlock(&block->lock);
		return -EIO;
	}
	for (; page < block->num_pages && steps; steps--) {
		next = cmem_debugfs_look(block, page);
		page += next.pages;
		/* Merge free extents of the same state and pool. */
		if (run.pages && !run.buffer && !next.buffer &&
		    run.state == next.state && run.pool == next.pool) {
			run.pages += next.pages;
			continue;
		}
		if (run.pages)
			cmem_debugfs_print(m, block, &run);
		run = next;
	}
	cmem_debugfs_print(m, block, &run);
	mutex_unlock(&block->lock);
	reader->end = page;
	return 0;
}

/* A position is a page offset in the block. */
static void *cmem_debugfs_start(struct seq_file *m, loff_t *pos)
{
	struct cmem_debugfs_reader *reader = m->private;
	struct cmem_block *block = reader->block;
	void *ret;

	mutex_lock(&block->lock);
	if (!cmem_debugfs_is_there(reader))
		ret = ERR_PTR(-EIO);
	else
		ret = *pos < block->num_pages ? pos : NULL;
	mutex_unlock(&block->lock);
	return ret;
}

static void *cmem_debugfs_next(struct seq_file *m, void *v, loff_t *pos)
{
	struct cmem_debugfs_reader *reader = m->private;

	*pos = reader->end;
	return cmem_debugfs_start(m, pos);
}

static void cmem_debugfs_stop(struct seq_file *m, void *v)
{
}

static const struct seq_operations cmem_debugfs_ops = {
	.start = cmem_debugfs_start,
	.next = cmem_debugfs_next,
	.stop = cmem_debugfs_stop,
	.show = cmem_debugfs_show,
};

static int cmem_debugfs_open(struct inode *inode, struct file *filp)
{
	struct cmem_block *block = inode->i_private;
	struct cmem_debugfs_reader *reader;
	unsigned int incarnation;
	bool present;

	mutex_lock(&block->lock);
	present = block->present;
	incarnation = block->incarnation;
	mutex_unlock(&block->lock);
	if (!present)
		return -ENODEV;

	reader = __seq_open_private(filp, &cmem_debugfs_ops, sizeof(*reader));
	if (!reader)
		return -ENOMEM;
	reader->block = block;
	reader->incarnation = incarnation;
	return 0;
}

static const struct file_operations cmem_debugfs_fops = {
	.owner = THIS_MODULE,
	.open = cmem_debugfs_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = seq_release_private,
};

/* A position is a uid. The lock is held while one page of text is printed. */
static void *cmem_debugfs_users_start(struct seq_file *m, loff_t *pos)
{
	struct cmem_block *block = m->private;
	struct cmem_account *account = NULL;
	unsigned long index = *pos;

	mutex_lock(&block->lock);
	if (block->present && *pos <= U32_MAX)
		account = cmem_quota_next(block, &index);
	*pos = index;
	return account;
}

static void *cmem_debugfs_users_next(struct seq_file *m, void *v, loff_t *pos)
{
	struct cmem_account *account = NULL;
	unsigned long index = ++*pos;

	if (*pos <= U32_MAX)
		account = cmem_quota_next(m->private, &index);
	/* Past the last uid, where nothing is found */
	*pos = account ? index : (loff_t)U32_MAX + 1;
	return account;
}

static void cmem_debugfs_users_stop(struct seq_file *m, void *v)
{
	struct cmem_block *block = m->private;

	mutex_unlock(&block->lock);
}

static int cmem_debugfs_users_show(struct seq_file *m, void *v)
{
	const struct cmem_block *block = m->private;
	const struct cmem_account *account = v;

	seq_printf(m, "uid=%u bytes=%llu", __kuid_val(account->user),
		   (u64)account->pages << PAGE_SHIFT);
	if (block->quota != ULONG_MAX)
		seq_printf(m, " quota=%llu", (u64)block->quota << PAGE_SHIFT);
	seq_putc(m, '\n');
	return 0;
}

static const struct seq_operations cmem_debugfs_users_sops = {
	.start = cmem_debugfs_users_start,
	.next = cmem_debugfs_users_next,
	.stop = cmem_debugfs_users_stop,
	.show = cmem_debugfs_users_show,
};

DEFINE_SEQ_ATTRIBUTE(cmem_debugfs_users);

static struct dentry *cmem_debugfs;

/**
 * cmem_debugfs_add_block - create the debugfs files of a block
 * @block: a block that is in the table
 *
 * Does nothing if the block has them already. The caller makes sure that this does not
 * run concurrently for one block. Errors are ignored: nothing depends on the files. May
 * sleep for as long as a process that lists the directory does.
 */
void cmem_debugfs_add_block(struct cmem_block *block)
{
	char name[12];

	if (block->debugfs)
		return;
	snprintf(name, sizeof(name), "%d", block->id);
	block->debugfs = debugfs_create_dir(name, cmem_debugfs);
	debugfs_create_file_unsafe("extents", 0400, block->debugfs, block,
				   &cmem_debugfs_fops);
	debugfs_create_file_unsafe("users", 0400, block->debugfs, block,
				   &cmem_debugfs_users_fops);
}

void __init cmem_debugfs_init(void)
{
	cmem_debugfs = debugfs_create_dir("cmem", NULL);
}

void __init cmem_debugfs_exit(void)
{
	debugfs_remove(cmem_debugfs);
}
