// SPDX-License-Identifier: GPL-2.0-only
/*
 * Output in /proc: /proc/cmem in the format of the old driver, and the fdinfo of an open
 * /dev/cmem.
 *
 * /proc/cmem is printed by section (the busy buffers of a pool, its free ones, a heap)
 * and, within these, by chunk. So a block with very many buffers is neither locked for
 * long nor printed into one huge page. Only the output for one chunk is consistent.
 *
 * Everybody may read it, as always. Addresses are only for readers that could open
 * /dev/cmem, which reports them as well, and for readers that see them in /proc/iomem.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/kdev_t.h>
#include <linux/major.h>
#include <linux/mm.h>
#include <linux/namei.h>
#include <linux/path.h>
#include <linux/proc_fs.h>
#include <linux/security.h>
#include <linux/seq_file.h>

#include "block.h"
#include "buffer.h"
#include "file.h"
#include "heap.h"
#include "pool.h"
#include "procfs.h"
#include "registration.h"

/* Size of a chunk: buffers of a pool, or pages of a heap */
#define CMEM_PROC_CHUNK		256

/**
 * struct cmem_proc_reader - an open /proc/cmem
 * @block: the block that the position is in
 * @addresses: the reader may see addresses
 * @all: also those of other users' buffers
 */
struct cmem_proc_reader {
	struct cmem_block *block;
	bool addresses;
	bool all;
};

/**
 * struct cmem_proc_place - a position in /proc/cmem
 * @block: number of the block
 * @cma: it is the CMA block, after all others
 * @pool: number of the pool, or CMEM_PLACE_HEAP
 * @free: in the list of free buffers
 * @chunk: number of the chunk in that list
 */
struct cmem_proc_place {
	u32 block;
	bool cma;
	unsigned int pool;
	bool free;
	u32 chunk;
};

static struct cmem_proc_place cmem_proc_place(loff_t pos)
{
	return (struct cmem_proc_place) {
		.block = pos >> 32,
		.cma = (pos >> 31) & 1,
		.pool = (pos >> 25) & 0x3f,
		.free = (pos >> 24) & 1,
		.chunk = pos & 0xffffff,
	};
}

static loff_t cmem_proc_pos(const struct cmem_proc_place *place)
{
	return (loff_t)place->block << 32 | (loff_t)place->cma << 31 |
	       place->pool << 25 | place->free << 24 | place->chunk;
}

/* The 24 bits of a chunk number are enough for any real memory. */
static u32 cmem_proc_chunks(unsigned long count)
{
	return min(DIV_ROUND_UP(count, CMEM_PROC_CHUNK), 0x1000000UL);
}

static struct cmem_block *cmem_proc_cma_block(void)
{
	struct cmem_block *block = cmem_block_find(CMEM_BLOCK_CMA);

	if (block && block->shown_in_use &&
	    READ_ONCE(block->heap.free) == block->heap.size)
		return NULL;
	return block;
}

static void *cmem_proc_start(struct seq_file *m, loff_t *pos)
{
	struct cmem_proc_reader *reader = m->private;
	struct cmem_proc_place place = cmem_proc_place(*pos);
	struct cmem_block *block = NULL;
	unsigned int num_pools;

	if (*pos >> 32 > S32_MAX || place.pool > CMEM_PLACE_HEAP)
		return NULL;
	if (!place.cma)
		block = cmem_block_find_from(place.block);
	if (block && block->id != place.block)
		place = (struct cmem_proc_place) { .block = block->id };
	if (!block) {
		block = cmem_proc_cma_block();
		if (!place.cma)
			place = (struct cmem_proc_place) {
				.block = S32_MAX, .cma = true,
			};
	}
	reader->block = block;
	if (!block)
		return NULL;

	/* A removed block counts as one without pools: nothing of it is shown. */
	mutex_lock(&block->lock);
	num_pools = block->present ? block->num_pools : 0;
	mutex_unlock(&block->lock);
	if (place.pool < CMEM_PLACE_HEAP && place.pool >= num_pools)
		place.pool = CMEM_PLACE_HEAP;
	*pos = cmem_proc_pos(&place);
	return pos;
}

/* A struct cmem_block is never freed, so there is no reference to drop. */
static void cmem_proc_stop(struct seq_file *m, void *v)
{
}

static void *cmem_proc_next(struct seq_file *m, void *v, loff_t *pos)
{
	struct cmem_proc_place place = cmem_proc_place(*pos);
	const struct cmem_proc_reader *reader = m->private;
	struct cmem_block *block = reader->block;
	unsigned long start, count = 0;

	mutex_lock(&block->lock);
	if (!block->present)
		place.pool = CMEM_PLACE_HEAP;
	else if (place.pool < block->num_carved)
		count = block->pools[place.pool].slots.count;
	else if (place.pool < block->num_pools || place.pool == CMEM_PLACE_HEAP)
		block->ops->place(block, place.pool, &start, &count);
	mutex_unlock(&block->lock);
	if (++place.chunk < cmem_proc_chunks(count)) {
		*pos = cmem_proc_pos(&place);
		return pos;
	}

	place.chunk = 0;
	if (place.pool == CMEM_PLACE_HEAP && place.cma) {
		place.pool++;
	} else if (place.pool == CMEM_PLACE_HEAP && block->id == S32_MAX) {
		place = (struct cmem_proc_place) {
			.block = S32_MAX, .cma = true,
		};
	} else if (place.pool == CMEM_PLACE_HEAP) {
		place = (struct cmem_proc_place) { .block = block->id + 1 };
	} else if (!place.free) {
		place.free = true;
	} else {
		place.free = false;
		place.pool++;
	}
	*pos = cmem_proc_pos(&place);
	return cmem_proc_start(m, pos);
}

/* Not %pa, which pads with zeros. Without permission, 0 as in /proc/iomem. */
static void cmem_proc_address(struct seq_file *m, const struct cmem_block *block,
			      unsigned long page)
{
	const struct cmem_proc_reader *reader = m->private;
	u64 phys = reader->addresses ? cmem_block_phys(block, page) : 0;

	seq_printf(m, "phys addr %#llx", phys);
}

/* Show the address only to a reader that could access the buffer. */
static void cmem_proc_busy(struct seq_file *m, const struct cmem_buffer *buffer)
{
	const struct cmem_proc_reader *reader = m->private;
	struct cmem_extent extent;

	if (reader->addresses && !reader->all &&
	    !cmem_buffer_has_user(buffer, m->file)) {
		seq_puts(m, "phys addr hidden");
		return;
	}
	cmem_buffer_locate(buffer, &extent);
	cmem_proc_address(m, extent.block, extent.start);
}

static void cmem_proc_separate(struct seq_file *m, const struct cmem_block *block)
{
	struct cmem_block *first = cmem_block_find_from(0);

	if (first && first != block)
		seq_putc(m, '\n');
}

/* Free buffers have no address yet, so print only their number. */
static void cmem_proc_show_uncarved(struct seq_file *m,
				    const struct cmem_carved_pool *pool,
				    const struct cmem_proc_place *place)
{
	struct cmem_block *block = pool->block;
	unsigned long start, pages, page, end;
	struct cmem_heap_buffer *heap_buffer;

	if (place->free) {
		if (!place->chunk)
			seq_printf(m, "%u bufs\n", cmem_pool_free(&pool->slots));
		return;
	}

	block->ops->place(block, pool->number, &start, &pages);
	page = start + place->chunk * CMEM_PROC_CHUNK;
	end = min(page + CMEM_PROC_CHUNK, start + pages);
	for (; page < end; page += heap_buffer->pages) {
		heap_buffer = cmem_heap_next(&block->heap, &page, end - 1);
		if (!heap_buffer)
			break;
		seq_printf(m, "id %lu: ", (page - start) / pool->pages);
		cmem_proc_busy(m, &heap_buffer->buffer);
		seq_putc(m, '\n');
	}
}

static void cmem_proc_show_pool(struct seq_file *m, struct cmem_block *block,
				const struct cmem_proc_place *place)
{
	const struct cmem_carved_pool *pool = &block->pools[place->pool];
	u32 slot = place->chunk * CMEM_PROC_CHUNK;
	u32 end = min_t(u64, (u64)slot + CMEM_PROC_CHUNK, pool->slots.count);

	if (!place->chunk && !place->free) {
		if (place->pool)
			seq_putc(m, '\n');
		else
			cmem_proc_separate(m, block);
		seq_printf(m, "Block %d: Pool %u: %u bufs size %#llx (%#llx requested)\n\nPool %u busy bufs:\n",
			   block->id, pool->number, pool->slots.count,
			   (u64)pool->pages << PAGE_SHIFT, pool->requested,
			   pool->number);
	} else if (!place->chunk) {
		seq_printf(m, "\nPool %u free bufs:\n", pool->number);
	}

	if (place->pool >= block->num_carved) {
		cmem_proc_show_uncarved(m, pool, place);
		return;
	}
	for (; slot < end; slot++) {
		const struct cmem_buffer *buffer = &pool->buffers[slot];
		bool busy = pool->slots.slots[slot].state == CMEM_SLOT_TAKEN;

		if (busy == place->free)
			continue;
		seq_printf(m, "id %u: ", slot);
		if (busy)
			cmem_proc_busy(m, buffer);
		else
			cmem_proc_address(m, block, pool->start +
					  slot * pool->pages);
		seq_putc(m, '\n');
	}
}

static void cmem_proc_show_heap(struct seq_file *m, struct cmem_block *block,
				const struct cmem_proc_place *place)
{
	unsigned long page = (unsigned long)place->chunk * CMEM_PROC_CHUNK;
	unsigned long end, start, pages;
	struct cmem_heap *heap = &block->heap;
	struct cmem_heap_buffer *heap_buffer;

	if (!heap->size)
		return;

	if (!place->chunk) {
		if (block->num_pools)
			seq_putc(m, '\n');
		else
			cmem_proc_separate(m, block);
		seq_printf(m, "Block %d: Heap: size %#llx, %#llx free\n\nHeap busy bufs:\n",
			   block->id, (u64)heap->size << PAGE_SHIFT,
			   (u64)heap->free << PAGE_SHIFT);
	}

	block->ops->place(block, CMEM_PLACE_HEAP, &start, &pages);
	page += start;
	end = min(page + CMEM_PROC_CHUNK, start + pages);
	for (; page < end; page += heap_buffer->pages) {
		heap_buffer = cmem_heap_next(heap, &page, end - 1);
		if (!heap_buffer)
			break;
		cmem_proc_busy(m, &heap_buffer->buffer);
		seq_printf(m, " size %#llx\n", (u64)heap_buffer->pages << PAGE_SHIFT);
	}
}

static int cmem_proc_show(struct seq_file *m, void *v)
{
	struct cmem_proc_place place = cmem_proc_place(*(loff_t *)v);
	const struct cmem_proc_reader *reader = m->private;
	struct cmem_block *block = reader->block;

	/* The block may have been removed or replaced since cmem_proc_start(). */
	mutex_lock(&block->lock);
	if (block->present && place.pool == CMEM_PLACE_HEAP)
		cmem_proc_show_heap(m, block, &place);
	else if (block->present && place.pool < block->num_pools)
		cmem_proc_show_pool(m, block, &place);
	mutex_unlock(&block->lock);
	return 0;
}

static const struct seq_operations cmem_proc_ops = {
	.start = cmem_proc_start,
	.next = cmem_proc_next,
	.stop = cmem_proc_stop,
	.show = cmem_proc_show,
};

/* This only checks the capability and does not use it, so do not audit. */
static bool cmem_proc_capable(int capability)
{
	return !security_capable(current_cred(), &init_user_ns, capability,
				 CAP_OPT_NOAUDIT);
}

/* Whether the caller could open /dev/cmem for reading, in its mount namespace */
static bool cmem_proc_has_device(void)
{
	struct path path;
	struct inode *inode;
	bool has;

	if (kern_path("/dev/cmem", LOOKUP_FOLLOW, &path))
		return false;
	inode = d_backing_inode(path.dentry);
	has = S_ISCHR(inode->i_mode) &&
	      inode->i_rdev == MKDEV(MISC_MAJOR, cmem_misc.minor) &&
	      may_open_dev(&path) && !path_permission(&path, MAY_READ);
	path_put(&path);
	return has;
}

static int cmem_proc_open(struct inode *inode, struct file *filp)
{
	struct cmem_proc_reader *reader;

	reader = __seq_open_private(filp, &cmem_proc_ops, sizeof(*reader));
	if (!reader)
		return -ENOMEM;
	reader->addresses = cmem_proc_capable(CAP_SYS_ADMIN) ||
			    cmem_proc_has_device();
	reader->all = cmem_proc_capable(CAP_SYS_RAWIO);
	return 0;
}

static const struct proc_ops cmem_proc_proc_ops = {
	.proc_open = cmem_proc_open,
	.proc_read_iter = seq_read_iter,
	.proc_lseek = seq_lseek,
	.proc_release = seq_release_private,
};

int __init cmem_procfs_init(void)
{
	return proc_create("cmem", 0444, NULL, &cmem_proc_proc_ops) ? 0 : -ENOMEM;
}

void __init cmem_procfs_exit(void)
{
	remove_proc_entry("cmem", NULL);
}

/**
 * cmem_show_fdinfo - print who an open file is and what it holds
 * @m: where to print
 * @filp: the open file
 *
 * This is for /proc/<pid>/fdinfo. A buffer counts once, however often it is registered.
 */
void cmem_show_fdinfo(struct seq_file *m, struct file *filp)
{
	struct cmem_file *file = cmem_file_of(filp);
	unsigned long buffers;
	u64 pages, page_backed;

	spin_lock(&file->lock);
	buffers = file->num_allocated + file->num_shared;
	pages = file->num_pages;
	page_backed = file->num_page_backed;
	spin_unlock(&file->lock);

	seq_printf(m, "cmem-owner:\t%llu\n", file->owner);
	seq_printf(m, "cmem-buffers:\t%lu\ncmem-bytes:\t%llu\n", buffers,
		   pages << PAGE_SHIFT);
	seq_printf(m, "cmem-page-backed-bytes:\t%llu\n", page_backed << PAGE_SHIFT);
}
