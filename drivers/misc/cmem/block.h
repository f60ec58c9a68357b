/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory out of which buffers come, in pools and a heap: block_table.c has all blocks,
 * block.c how they come and go, block_fill.c what is in one, carved.c how memory of one
 * is taken.
 */
#ifndef _CMEM_BLOCK_H
#define _CMEM_BLOCK_H

#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rculist.h>
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
 * @block: whose it is
 * @number: of the pool, from 0
 * @start: page offset of the first buffer in the block
 * @pages: pages in a buffer
 * @requested: bytes in a buffer as configured
 * @quarantined: how many buffers are in quarantine
 * @failed: how many are kept out of use
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
	struct cmem_buffer *buffers;
};

/**
 * struct cmem_block_ops - what differs between memory that is all ours and CMA areas
 * @lends_free: what is free of the block is lent to the kernel: only buffers are ours
 * @one_pool: the smallest pool whose buffers are long enough is the only one that serves
 * @alloc: as cmem_buffer_alloc(); the block is not locked
 * @put: give back the memory of a buffer that nobody holds. The block is locked. The last
 *	owner must not have it back as it is if the last argument is true.
 * @has: tell if a page within @base_pfn and @num_pages is the block's, NULL if each is.
 *	The block need not be locked.
 * @length: bytes that buffers can have. The block need not be locked.
 * @largest: pages in the longest run that a buffer of the heap could have. The block is
 *	locked.
 * @place: tell where the buffers of a pool can be, or with CMEM_MAX_POOLS for its number
 *	those of the heap: page offset of the first page, and how many pages
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
 * @in_blocks: in the list of all blocks, for good once it is there
 * @id: the block's number, as users know it: never another one
 * @ops: where its memory comes from: never others
 * @lock: covers what follows, and the state of every buffer of this block
 * @present: there is a block of this number. Without, nothing that follows means
 *	anything: it has been removed, or is being made.
 * @added: it is not from the device tree
 * @kind: what memory it is
 * @keep_contents: never zero this memory
 * @is_memory: the device tree, a parameter or an ioctl vouches that there is memory
 * @is_ram: it is RAM by more than somebody's word
 * @coherent: the devices that it is for snoop the caches: all mappings are cached. A
 *	buffer of it needs maintenance all the same while another device is attached.
 * @base_pfn: page frame number of the first page. Page offsets in the block,
 *	not byte addresses, are what all bookkeeping uses: an unsigned long
 *	holds them for memory above 4 GiB on 32 bit as well.
 * @num_pages: length
 * @has_pages: all of it has struct pages
 * @claimed: the range in /proc/iomem, NULL if the memory is claimed otherwise
 * @alias: the kernel's own mapping of all of it, cached but for SRAM, or NULL; on 32 bit
 *	for SRAM alone, elsewhere for a no-map carveout as long as it is needed
 * @alias_on_demand: it comes and goes
 * @alias_users: of a mapping that comes and goes: buffers with CMEM_BUFFER_ALIASED, and
 *	those who work with it
 * @alias_cost: pages that were mapped for work because it was not there
 * @num_pools: how many of @pools are there
 * @num_carved: how many of these have a slot for each buffer: all, but none of CMA, whose
 *	pools' buffers are in @heap.extents like those of the heap
 * @pools: the pools by their numbers
 * @by_size: numbers of the pools, those with the smallest buffers first
 * @heap: the rest of the memory
 * @quota: pages of it that each user may have, ULONG_MAX for all
 * @own_quota: what it says of that by itself
 * @accounts: the struct cmem_account of each user that has memory of the block, by uid
 * @account: the account of the user that allocated last
 * @dmem: it as a region of the dmem cgroup controller
 * @has_failed: a page of it has failed, be it in use or not. Faults, and others who
 *	hold a buffer, look at it without the lock.
 * @failed: buffers that are kept out of use, by cmem_buffer.in_block
 * @heap_failed: pages of the heap in these
 * @failures: how many pages of the machine had failed when this was looked at
 * @scrubbing_pool: the pool of the buffer that is being cleaned now, or NULL
 * @scrubbing_slot: which buffer of it
 * @scrub_cancel: its last owner wants it back as it is
 * @scrub_queued: the scrubber knows that there is something to do
 * @scrub_urgent: it is to do so at once
 * @scrub_rests: it is to do nothing
 * @soiled: what counts as clean is not, nor is anything its last owner's any more
 * @scrub_round: counts what the scrubber finished, and removals
 * @scrub_wait: woken when @scrub_round goes on
 * @scrubber: thread that cleans free memory
 * @scrub_work: its work
 * @quarantine_config: what goes into quarantine, and for how long. Does not change
 *	while there is anything in it.
 * @rprocs: the remote processors that it names
 * @quarantine: buffers that nobody has and nobody gets, by cmem_buffer.in_block, those
 *	that are there longest first
 * @quarantined: how many these are
 * @quarantined_pages: and how long in all
 * @quarantine_work: lets them go
 * @incarnation: counts removals
 * @shown_in_use: /proc/cmem shows it only while buffers of it are in use
 * @dma_heap_config: it as DMA-BUF heaps
 * @debugfs: its directory there, for good once it is there, which nothing but
 *	@names_work touches
 * @names_work: gives it names there and as DMA-BUF heaps
 * @named: this has been done since it was made
 *
 * A block that was removed is the same struct with @present off, and becomes a
 * block again in place: who found one needs no reference, only to see under @lock
 * that it is present. While somebody holds a buffer of it, or is being given one,
 * it is not removed: then all but what changes with buffers can be read without
 * @lock.
 */
struct cmem_block {
	struct list_head in_blocks;
	s32 id;
	const struct cmem_block_ops *ops;

	struct mutex lock;
	bool present;
	bool added;
	enum cmem_block_kind kind;
	bool keep_contents;
	bool is_memory;
	bool is_ram;
	bool coherent;
	unsigned long base_pfn;
	unsigned long num_pages;
	bool has_pages;
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
	struct xarray accounts;
	struct cmem_account *account;
	struct cmem_dmem_region dmem;
	bool has_failed;
	struct list_head failed;
	unsigned long heap_failed;
	long failures;
	struct cmem_carved_pool *scrubbing_pool;
	u32 scrubbing_slot;
	bool scrub_cancel;
	bool scrub_queued;
	bool scrub_urgent;
	bool scrub_rests;
	bool soiled;
	unsigned int scrub_round;
	wait_queue_head_t scrub_wait;
	struct kthread_worker *scrubber;
	struct kthread_delayed_work scrub_work;
	struct cmem_quarantine_config quarantine_config;
	struct cmem_rproc *rprocs[CMEM_MAX_RPROCS];
	struct list_head quarantine;
	unsigned long quarantined;
	unsigned long quarantined_pages;
	struct delayed_work quarantine_work;
	unsigned int incarnation;
	bool shown_in_use;
	struct cmem_dma_heap_config dma_heap_config;
	struct dentry *debugfs;
	struct work_struct names_work;
	struct completion named;
};

extern const struct cmem_block_ops cmem_carved_ops;

/* block_table.c */
extern struct mutex cmem_blocks_lock;
extern struct list_head cmem_blocks;

/*
 * Go through all blocks. They are not locked, need not be present, and the list only
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
int cmem_block_best_pool(struct cmem_block *block, u64 length);

/* block.c */
void cmem_block_init(void (*name)(struct cmem_block *block));
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

/* block_fill.c, for block.c and, to sort pools, cma_create.c */
int cmem_block_fill(struct device *dev, struct cmem_block *block,
		    const struct cmem_block_config *config, bool coherent);
void cmem_block_empty(struct cmem_block *block);
void cmem_block_sort_pools(struct cmem_block *block);

/* carved.c */
int cmem_carved_init(void);
void cmem_carved_exit(void);

/**
 * cmem_block_length - how long a block is
 * @block: the block
 *
 * Return: bytes.
 */
static inline u64 cmem_block_length(const struct cmem_block *block)
{
	return block->ops->length(block);
}

/* The pool that has a slot for a page of a block, or NULL */
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

/* Where a page of a block is */
static inline phys_addr_t cmem_block_phys(const struct cmem_block *block,
					  unsigned long page)
{
	return (phys_addr_t)(block->base_pfn + page) << PAGE_SHIFT;
}

#endif /* _CMEM_BLOCK_H */
