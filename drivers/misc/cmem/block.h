/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Blocks of memory that buffers are allocated from, as pools and a heap: block_table.c
 * finds blocks, block.c creates and removes them, block_fill.c sets one up, carved.c
 * allocates from one.
 */
#ifndef _CMEM_BLOCK_H
#define _CMEM_BLOCK_H

#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/stddef.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <uapi/linux/cmem.h>

#include "config.h"
#include "dmem.h"
#include "heap.h"
#include "pool.h"

struct cmem_account;
struct cmem_block;
struct cmem_buffer;
struct cmem_file;
struct cmem_request;
struct cmem_rproc;
struct dentry;
struct device;
struct resource;

/**
 * struct cmem_carved_pool - a pool with the memory behind it
 * @slots: which buffers are free
 * @block: the block that the pool belongs to
 * @number: number of the pool, from 0
 * @start: page offset of the first buffer in the block
 * @pages: pages in a buffer
 * @requested: bytes in a buffer as configured
 * @quarantined: number of buffers in quarantine
 * @failed: number of buffers that are kept out of use
 * @pinned: number of buffers that are pinned
 * @pinned_pages: number of pages in use of these
 * @buffers: array, one for each slot
 */
struct cmem_carved_pool {
	struct cmem_pool slots;
	struct cmem_block *block;
	unsigned int number;
	unsigned long start;
	unsigned long pages;
	u64 requested;
	u32 quarantined;
	u32 failed;
	u32 pinned;
	unsigned long pinned_pages;
	struct cmem_buffer *buffers;
};

/* The heap, where pools have their numbers */
#define CMEM_PLACE_HEAP		CMEM_MAX_POOLS

/**
 * struct cmem_block_ops - what differs between exclusively owned memory and CMA areas
 * @lends_free: free memory of the block is lent to the kernel: only buffers are ours
 * @one_pool: only the smallest pool whose buffers are long enough may serve a request
 * @alloc: find memory for a request, and make a buffer of it, as cmem_buffer_alloc(). The
 *	block is not locked. The function checks under the lock that the block is present,
 *	charges the user (cmem_quota_begin(), cmem_quota_allows(), cmem_quota_charge()) and
 *	the cgroup (cmem_dmem_charge()), and calls cmem_buffer_admit() with the block
 *	locked. It is called again after -EHWPOISON, so it must have taken the failed
 *	memory out of use.
 * @put: take back the memory of a buffer without references, and uncharge the user. The
 *	block is locked. The buffer is in no list any more, and the cgroup is uncharged. If
 *	@shared, the last owner must not get the memory back uncleaned.
 * @has: tell if a page within @base_pfn and @num_pages belongs to the block, NULL if
 *	each does. The block need not be locked.
 * @length: bytes that buffers can have. The block need not be locked.
 * @largest: pages in the longest run that a buffer of the heap could have. The block is
 *	locked.
 * @place: tell where the buffers of a pool can be, as page offset of the first page and
 *	number of pages; the number of the pool may be CMEM_PLACE_HEAP
 */
struct cmem_block_ops {
	bool lends_free;
	bool one_pool;
	int (*alloc)(struct cmem_file *file, struct cmem_block *block,
		     struct cmem_request *request);
	void (*put)(struct cmem_buffer *buffer, bool shared);
	bool (*has)(const struct cmem_block *block, unsigned long pfn);
	u64 (*length)(const struct cmem_block *block);
	unsigned long (*largest)(struct cmem_block *block);
	void (*place)(const struct cmem_block *block, unsigned int number,
		      unsigned long *start, unsigned long *pages);
};

/**
 * struct cmem_block - a range of memory, or the CMA areas
 * @in_blocks: entry in the list of all blocks; never removed
 * @id: the block's number, as users know it; never changes
 * @ops: where its memory comes from; never changes
 * @debugfs: its directory in debugfs, which is never removed. Only @names_work uses
 *	this pointer.
 * @names_work: creates its names in debugfs and its DMA-BUF heaps
 * @named: @names_work is done since the block was created
 * @lock: protects the members below, and the state of every buffer of this block
 * @present: there is a block of this number. If false, the block was removed, or is
 *	being created.
 * @incarnation: counts removals
 * @base_pfn: page frame number of the first page. All bookkeeping uses page offsets
 *	in the block, not byte addresses: an unsigned long holds them even for
 *	memory above 4 GiB on 32 bit.
 * @num_pages: length in pages
 * @accounts: the struct cmem_account of each user that has memory of the block, by uid
 * @failed: buffers that are kept out of use, by cmem_buffer.in_block
 * @scrub_round: counts what the scrubber finished, and removals
 * @scrub_wait: woken when @scrub_round changes
 * @quarantine: buffers that have no owner and can't be allocated, by
 *	cmem_buffer.in_block, oldest first
 * @quarantined: number of buffers in quarantine
 * @quarantine_work: releases them
 * @pinned: page-backed buffers that have no user, but whose pages may be in use, by
 *	cmem_buffer.in_block
 * @num_pinned: number of buffers in @pinned, and of those that are counted
 * @pins_counting: number of long buffers whose pages are counted now, before they become
 *	free, or pinned
 * @pins_counted: woken when one of these is done, or memory has become free
 * @pins_freed: number of pinned buffers that have become free
 * @pins_lock: a mutex, taken before @lock. Its holder takes buffers from @pinned.
 * @pins_work: looks at the pages in @pinned
 * @pins_delay: milliseconds between its last look and the next
 * @pins_due: when it looks next, in jiffies, if @pinned is not empty
 * @added: it is not from the device tree
 * @kind: kind of memory
 * @keep_contents: never zero this memory
 * @is_memory: the device tree, a parameter or an ioctl vouches that there is memory
 * @is_ram: it is known to be RAM, not only vouched for
 * @coherent: the devices that it is for snoop the caches: all mappings are cached. A
 *	buffer still needs maintenance while a device that does not snoop is attached.
 * @has_pages: all of it has struct pages
 * @can_pages: a buffer of it can be page-backed: its pages are in the linear map, and
 *	nobody else has references to them
 * @pages: all cached buffers of it are page-backed
 * @shown_in_use: /proc/cmem shows it only while buffers of it are in use
 * @claimed: the range in /proc/iomem, NULL if the memory is claimed otherwise
 * @alias: the kernel's own mapping of all of it, or NULL. It is cached, except for SRAM.
 *	On 32 bit only SRAM has one; with @alias_on_demand it exists while it is needed.
 * @alias_on_demand: @alias is created and removed as needed
 * @alias_users: users of an @alias on demand: buffers with CMEM_BUFFER_ALIASED, and
 *	work in progress
 * @alias_cost: pages that were mapped for work because @alias was not there
 * @num_pools: number of @pools
 * @num_carved: number of @pools with a slot for each buffer: all of them, but none of
 *	the CMA block, whose pools have their buffers in @heap.extents like a heap
 * @pools: the pools by their numbers
 * @by_size: numbers of the pools, those with the smallest buffers first
 * @heap: the rest of the memory
 * @quota: pages that each user may have, ULONG_MAX for all
 * @own_quota: quota from the configuration of the block itself
 * @account: the account of the user that allocated last
 * @dmem: region of the dmem cgroup controller
 * @has_failed: a page of it has failed, whether in use or not. Faults and holders of a
 *	buffer read it without the lock.
 * @heap_failed: pages of the heap in @failed
 * @failures: number of failed pages in the machine when this block was last checked
 * @scrubbing_pool: the pool of the buffer that is being cleaned now, or NULL
 * @scrubbing_slot: slot of that buffer
 * @scrub_cancel: stop cleaning it: its last owner wants it back as it is, for example
 * @scrub_queued: the scrubber knows that there is something to do
 * @scrub_urgent: the scrubber must start at once
 * @scrub_rests: the scrubber must not clean
 * @soiled: after a hibernation: no free memory is clean, or still its last owner's
 * @scrubber: thread that cleans free memory
 * @scrub_work: its work
 * @quarantine_config: what goes into quarantine, and for how long. Does not change
 *	while a buffer is in quarantine.
 * @rprocs: the remote processors that @quarantine_config names
 * @quarantined_pages: pages of the buffers in quarantine
 * @pinned_length: pages of the buffers in @pinned
 * @pinned_pages: those of them that are in use
 * @dma_heap_config: its configuration as DMA-BUF heaps
 *
 * A removed block keeps its struct, with @present off, and may become a block again
 * in place. So a lookup takes no reference, but must check @present under @lock. The
 * members from @added on describe what is there: they are zero when a block is created,
 * and are zeroed when it has been removed, so nothing of it is left for the next block
 * of its number. A block is not removed while a buffer of it is held or being allocated.
 * Meanwhile, only members that change with buffers need @lock to be read.
 */
struct cmem_block {
	struct list_head in_blocks;
	s32 id;
	const struct cmem_block_ops *ops;
	struct dentry *debugfs;
	struct work_struct names_work;
	struct completion named;

	struct mutex lock;
	bool present;
	unsigned int incarnation;
	unsigned long base_pfn;
	unsigned long num_pages;
	struct xarray accounts;
	struct list_head failed;
	unsigned int scrub_round;
	wait_queue_head_t scrub_wait;
	struct list_head quarantine;
	unsigned long quarantined;
	struct delayed_work quarantine_work;
	struct mutex pins_lock;
	struct list_head pinned;
	unsigned long num_pinned;
	unsigned long pins_counting;
	wait_queue_head_t pins_counted;
	unsigned long pins_freed;
	struct delayed_work pins_work;
	unsigned int pins_delay;
	unsigned long pins_due;

	struct_group(content,

	bool added;
	enum cmem_block_kind kind;
	bool keep_contents;
	bool is_memory;
	bool is_ram;
	bool coherent;
	bool has_pages;
	bool can_pages;
	bool pages;
	bool shown_in_use;
	struct resource *claimed;
	void *alias;
	bool alias_on_demand;
	unsigned long alias_users;
	unsigned long alias_cost;
	unsigned int num_pools;
	unsigned int num_carved;
	struct cmem_carved_pool *pools;
	u8 by_size[CMEM_MAX_POOLS];
	struct cmem_heap heap;
	unsigned long quota;
	struct cmem_amount own_quota;
	struct cmem_account *account;
	struct cmem_dmem_region dmem;
	bool has_failed;
	unsigned long heap_failed;
	long failures;
	struct cmem_carved_pool *scrubbing_pool;
	u32 scrubbing_slot;
	bool scrub_cancel;
	bool scrub_queued;
	bool scrub_urgent;
	bool scrub_rests;
	bool soiled;
	struct kthread_worker *scrubber;
	struct kthread_delayed_work scrub_work;
	struct cmem_quarantine_config quarantine_config;
	struct cmem_rproc *rprocs[CMEM_MAX_RPROCS];
	unsigned long quarantined_pages;
	unsigned long pinned_length;
	unsigned long pinned_pages;
	struct cmem_dma_heap_config dma_heap_config;

	);
};

extern const struct cmem_block_ops cmem_carved_ops;

/* block_table.c */
extern struct mutex cmem_blocks_lock;
extern struct list_head cmem_blocks;

/*
 * Iterate over all blocks, present or not. The blocks are not locked, and the list only
 * grows.
 */
#define cmem_for_each_block(block) \
	list_for_each_entry_lockless(block, &cmem_blocks, in_blocks)

void cmem_block_enter(struct cmem_block *block);
struct cmem_block *cmem_block_find_id(s32 id);
struct cmem_block *cmem_block_find(s32 id);
struct cmem_block *cmem_block_find_from(s32 id);
struct cmem_block *cmem_block_lock(s32 id);
struct cmem_block *cmem_block_lock_pfn(unsigned long pfn);
void cmem_block_count(u32 *count, u32 *limit);
int cmem_block_best_pool(struct cmem_block *block, u64 length, bool *pinned);

/* block.c */
int cmem_block_init(void (*name)(struct cmem_block *block));
void cmem_block_exit(void);
void cmem_block_prepare(struct cmem_block *block, s32 id,
			const struct cmem_block_ops *ops);
void cmem_block_publish(struct cmem_block *block);
int cmem_block_create(struct device *dev, struct cmem_block_config *config,
		      bool coherent);
void cmem_block_reserve(struct device *dev, struct cmem_block_config *config,
			bool coherent);
int cmem_block_add(struct device *dev, struct cmem_block_config *config);
int cmem_block_remove(struct device *dev, s32 id);
void cmem_block_wait_for_names(void);

/* block_fill.c, for block.c; cma_create.c sorts pools as well */
int cmem_block_fill(struct device *dev, struct cmem_block *block,
		    const struct cmem_block_config *config, bool coherent);
void cmem_block_empty(struct cmem_block *block);
void cmem_block_sort_pools(struct cmem_block *block);

/* carved.c */
int cmem_carved_init(void);
void cmem_carved_exit(void);

/**
 * cmem_block_length - length of a block
 * @block: the block
 *
 * Return: bytes.
 */
static inline u64 cmem_block_length(const struct cmem_block *block)
{
	return block->ops->length(block);
}

/* Find the pool that has a slot for a page of a block, or NULL. */
static inline struct cmem_carved_pool *
cmem_block_pool_at(const struct cmem_block *block, unsigned long page)
{
	unsigned int i;

	for (i = 0; i < block->num_carved; i++) {
		struct cmem_carved_pool *pool = &block->pools[i];

		if (page - pool->start < pool->slots.count * pool->pages)
			return pool;
	}
	return NULL;
}

/* Physical address of a page of a block */
static inline phys_addr_t cmem_block_phys(const struct cmem_block *block,
					  unsigned long page)
{
	return (phys_addr_t)(block->base_pfn + page) << PAGE_SHIFT;
}

#endif /* _CMEM_BLOCK_H */
