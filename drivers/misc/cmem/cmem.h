/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CMEM, the contiguous memory allocator: the calls between its files.
 *
 * Data goes one way:
 *
 *	config -> block -> pool / heap -> alloc -> buffer -> registration -> file
 *	       -> sram -> block                           -> quarantine
 *	early  -> cma
 *
 * vma.c maps a buffer. sync.c maintains its caches, through the mapping that alias.c
 * makes. dmabuf.c exports it. ioctl.c has what programs ask for, on top of all of these.
 * Beside it, legacy.c has the ioctls of the out-of-tree driver. main.c has /dev/cmem.
 *
 * Locks nest in this order:
 *
 *	cmem_blocks_lock	(a mutex, in block.c, while a block is made or removed)
 *	cmem_quota_lock		(a mutex, in quota.c, while quotas are set)
 *	cmem_file.sync_lock	(a mutex, for SYNC_ALL alone)
 *	mmap_lock		(taken by the callers of vma.c, and in sync.c)
 *	dma_resv		(of a DMA-BUF, by its importers)
 *	  cmem_block.lock	(a mutex)
 *	    cmem_file.lock	(a spinlock, around a few list entries)
 *	    i_mmap_rwsem	(of the address space of all mappings, while memory that
 *				 has failed is taken out of them)
 *
 * cmem_block.lock and cmem_file.lock are not held over an access to user memory, over
 * cache maintenance or over zeroing, and not taken interruptibly. The first one is held
 * while the kernel maps a carveout or unmaps it. Below it is cmem_exports_lock (a
 * spinlock, in dmabuf.c). cmem_dma_heaps_lock is held over making a device, which may
 * take long, and cmem_dmabuf_phys.lock over mmap_lock and dma_resv: neither is taken
 * with another held. sync_lock is held over the maintenance that it is for, is taken
 * killably, and nests with nothing but what SYNC_ALL takes. cmem_blocks_lock is not
 * taken with mmap_lock held.
 */
#ifndef _CMEM_CMEM_H
#define _CMEM_CMEM_H

#include <linux/completion.h>
#include <linux/dev_printk.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pgtable.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <uapi/linux/cmem.h>

#include "config.h"
#include "dmem.h"
#include "heap.h"
#include "pool.h"

struct cmem_rproc;
struct cred;
struct dentry;
struct device;
struct device_node;
struct file;
struct inode;
struct resource;
struct seq_file;
struct vm_area_struct;

/*
 * What begins at a multiple of this can be mapped with huge pages. Those of 64
 * KiB pages are 512 MiB: too much to align to.
 */
#if PMD_SHIFT <= 25
#define CMEM_HUGE_SIZE		PMD_SIZE
#else
#define CMEM_HUGE_SIZE		PAGE_SIZE
#endif

/* What taking memory from a pool or heap says when it does not fail */
#define CMEM_TAKEN_READY	0
#define CMEM_TAKEN_DIRTY	1

/* block: a range of memory, carved into pools and a heap (block.c) */

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
 * struct cmem_block - a range of memory
 * @in_blocks: in the list of all blocks, for good once it is there
 * @id: the block's number, as users know it: never another one
 * @lock: covers what follows, and the state of every buffer of this block
 * @present: there is a block of this number. Without, nothing that follows means
 *	anything: it has been removed, or is being made.
 * @added: it is not from the device tree
 * @kind: what memory it is
 * @keep_contents: never zero this memory
 * @is_memory: somebody gave his word that there is memory
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
 * @pools: the pools by their numbers
 * @by_size: numbers of the pools, those with the smallest buffers first
 * @heap: the rest of the memory
 * @quota: pages of it that each user may have, ULONG_MAX for all
 * @own_quota: what it says of that by itself
 * @accounts: a struct cmem_account for each user who has something, by uid
 * @account: that of the user who came last
 * @dmem: it as a region of the dmem cgroup controller
 * @has_failed: a page of it has failed, be it in use or not. Faults, and others who
 *	hold a buffer, look at it without the lock.
 * @failed: buffers that are kept out of use, by cmem_buffer.in_file
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
 * @quarantine: buffers that nobody has and nobody gets, by cmem_buffer.in_file, those
 *	that are there longest first
 * @quarantined: how many these are
 * @quarantined_pages: and how long in all
 * @quarantine_work: lets them go
 * @incarnation: counts removals
 * @dma_heap_config: it as DMA-BUF heaps
 * @debugfs: its directory there, for good once it is there, which nothing but
 *	@names_work and cma.c touches
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
	struct cmem_dma_heap_config dma_heap_config;
	struct dentry *debugfs;
	struct work_struct names_work;
	struct completion named;
};

/* Devices snoop the CPU's caches on each machine of this architecture. */
#define CMEM_ALWAYS_COHERENT	(!IS_ENABLED(CONFIG_ARM) && !IS_ENABLED(CONFIG_ARM64))

int cmem_block_create(struct device *dev, struct cmem_block_config *config,
		      bool coherent);
void cmem_block_reserve(struct device *dev, struct cmem_block_config *config,
			bool coherent);
int cmem_block_add(struct device *dev, struct cmem_block_config *config);
int cmem_block_remove(struct device *dev, s32 id);
void cmem_block_wait_for_names(void);
struct cmem_block *cmem_block_find(s32 id);
struct cmem_block *cmem_block_find_from(s32 id);
struct cmem_block *cmem_block_lock(s32 id);
struct cmem_block *cmem_block_lock_pfn(unsigned long pfn);
int cmem_block_for_each(int (*fn)(struct cmem_block *block));
void cmem_block_count(u32 *count, u32 *limit);
int cmem_block_best_pool(struct cmem_block *block, u64 length);

void cmem_block_sort_pools(struct cmem_block *block);

/* cma: the block of CMA areas (cma.c, cma_create.c) */

struct cmem_heap_buffer;
struct cmem_request;

#ifdef CONFIG_DMA_CMA
struct cmem_block *cmem_cma_block(void);
struct cmem_block *cmem_cma_find_pfn(unsigned long pfn);
u64 cmem_cma_length(struct cmem_block *block);
unsigned long cmem_cma_largest(struct cmem_block *block);
bool cmem_cma_is_ours(struct cmem_block *block);
void cmem_cma_area(struct cmem_block *block, unsigned int number,
		   unsigned long *start, unsigned long *pages);
int cmem_cma_take(struct cmem_block *block, struct cmem_request *request,
		  struct cmem_heap_buffer **from);
void cmem_cma_put(struct cmem_heap_buffer *from);
int cmem_cma_create_of(struct device *dev, int pool_cells, bool coherent);
void cmem_cma_create(struct device *dev);
#else
static inline struct cmem_block *cmem_cma_block(void)
{
	return NULL;
}

static inline struct cmem_block *cmem_cma_find_pfn(unsigned long pfn)
{
	return NULL;
}

static inline u64 cmem_cma_length(struct cmem_block *block)
{
	return 0;
}

static inline unsigned long cmem_cma_largest(struct cmem_block *block)
{
	return 0;
}

static inline bool cmem_cma_is_ours(struct cmem_block *block)
{
	return false;
}

static inline void cmem_cma_area(struct cmem_block *block, unsigned int number,
				 unsigned long *start, unsigned long *pages)
{
}

static inline int cmem_cma_take(struct cmem_block *block,
				struct cmem_request *request,
				struct cmem_heap_buffer **from)
{
	return -ENOENT;
}

static inline void cmem_cma_put(struct cmem_heap_buffer *from)
{
}

static inline int cmem_cma_create_of(struct device *dev, int pool_cells,
				     bool coherent)
{
	return 0;
}

static inline void cmem_cma_create(struct device *dev)
{
}
#endif

/* sram: blocks in on-chip memory (sram.c) */

#ifdef CONFIG_SRAM
void cmem_sram_add_block(struct device *dev, struct device_node *node,
			 const struct cmem_block_config *config);
int cmem_sram_init(void);
void cmem_sram_exit(void);
#else
static inline void cmem_sram_add_block(struct device *dev,
				       struct device_node *node,
				       const struct cmem_block_config *config)
{
	dev_err(dev, "block %d: sram: this kernel has no driver for on-chip memory: CONFIG_SRAM is not set\n",
		config->id);
}

static inline int cmem_sram_init(void)
{
	return 0;
}

static inline void cmem_sram_exit(void)
{
}
#endif

/* Bytes in a block */
static inline u64 cmem_block_length(struct cmem_block *block)
{
	if (block->kind == CMEM_KIND_CMA)
		return cmem_cma_length(block);
	return (u64)block->num_pages << PAGE_SHIFT;
}

/* params: the blocks that parameters describe (params.c) */

void cmem_params_init(struct device *dev);
const char *cmem_params_dma_heap_names(s32 id);
void cmem_params_create_blocks(struct device *dev);
s32 cmem_params_next_number(void);
int cmem_params_create_carveout(struct device *dev, phys_addr_t base,
				u64 length);
void cmem_params_finish(struct device *dev);

/* memory: whether a range of it may become a block (memory.c) */

unsigned long cmem_memory_next_page(unsigned long pfn);
int cmem_memory_check(struct device *dev, struct cmem_block_config *config);
int cmem_memory_check_unknown(struct device *dev,
			      struct cmem_block_config *config);

/* region: memory that was reserved for CMEM when the kernel booted (region.c) */

/**
 * struct cmem_region - such a range of memory
 * @in_regions: in the list of all
 * @base: physical address of its first byte
 * @length: in bytes
 * @kind: what memory it is
 * @keep_contents: never zero it
 * @is_memory: somebody gave his word that there is memory
 * @coherent: devices that use it snoop the caches
 * @placed_by_kernel: it had no address of its own
 * @quarantine: what of it goes into quarantine, and for how long
 * @dma_heap: it as DMA-BUF heaps
 */
struct cmem_region {
	struct list_head in_regions;
	phys_addr_t base;
	u64 length;
	enum cmem_block_kind kind;
	bool keep_contents;
	bool is_memory;
	bool coherent;
	bool placed_by_kernel;
	struct cmem_quarantine_config quarantine;
	struct cmem_dma_heap_config dma_heap;
};

int cmem_region_remember(const struct cmem_block_config *config, bool coherent);

const struct cmem_region *
cmem_region_find(const struct cmem_block_config *config);

/*
 * buffer: its memory (alloc.c), its life (buffer.c), who holds it (registration.c, file.c),
 * and its cleaning (scrub.c)
 */

/**
 * struct cmem_file - an open file of /dev/cmem: an owner of buffers
 * @owner: number of this file, never used again for another
 * @filp: the file, which says who opened it
 * @user: who is charged for what it allocates
 * @sync_lock: one walk at a time over all buffers, for SYNC_ALL: it changes
 *	their order
 * @lock: covers what follows
 * @allocated: buffers that this file allocated, by cmem_buffer.in_file
 * @shared: registrations for others, by cmem_sharer.in_file
 * @num_allocated: buffers on @allocated
 * @num_shared: buffers on @shared
 * @num_pages: pages in all of these
 * @changes: the page that counts mappings that have ended, or NULL
 * @changes_mm: of whose mappings, as long as the page is mapped there, else NULL
 * @changes_maps: how often it is
 */
struct cmem_file {
	u64 owner;
	const struct file *filp;
	kuid_t user;
	struct mutex sync_lock;
	spinlock_t lock;
	struct list_head allocated;
	struct list_head shared;
	unsigned long num_allocated;
	unsigned long num_shared;
	u64 num_pages;
	struct page *changes;
	struct mm_struct *changes_mm;
	unsigned int changes_maps;
};

/* What users are told of a buffer is in its flags, that much higher. */
#define CMEM_BUFFER_OF_ABI	2

/**
 * enum cmem_buffer_flags - bits of cmem_buffer.flags
 * @CMEM_BUFFER_LIVE: it has been allocated
 * @CMEM_BUFFER_CACHED: mappings are cached. Fixed when it is allocated.
 * @CMEM_BUFFER_PRIVATE: it can't be registered by its address
 * @CMEM_BUFFER_SHARED: somebody else than the file that allocated it could see
 *	it: it must be cleaned even before that file gets it back
 * @CMEM_BUFFER_QUARANTINE: if somebody does not free it, it goes into quarantine
 * @CMEM_BUFFER_FAILED: a page of it has failed. Without CMEM_BUFFER_LIVE and
 *	CMEM_BUFFER_QUARANTINED, it is kept out of use, or will be.
 * @CMEM_BUFFER_ABANDONED: somebody has not freed it
 * @CMEM_BUFFER_QUARANTINED: it is there: nobody has it, nor gets it. It is not
 *	CMEM_BUFFER_LIVE then.
 * @CMEM_BUFFER_UNSNOOPED: a device is attached to it that does not snoop the caches
 * @CMEM_BUFFER_SNOOPED: a device is attached to it that snoops them
 * @CMEM_BUFFER_ALIASED: it counts in cmem_block.alias_users. Fixed as long as it is live.
 * @CMEM_BUFFER_EXPORTED: a DMA-BUF of it is kept as long as a file is registered
 */
enum cmem_buffer_flags {
	CMEM_BUFFER_LIVE	= 1 << 0,
	CMEM_BUFFER_CACHED	= CMEM_ALLOC_CACHED * CMEM_BUFFER_OF_ABI,
	CMEM_BUFFER_PRIVATE	= CMEM_ALLOC_PRIVATE * CMEM_BUFFER_OF_ABI,
	CMEM_BUFFER_SHARED	= 1 << 3,
	CMEM_BUFFER_QUARANTINE	= CMEM_ALLOC_QUARANTINE * CMEM_BUFFER_OF_ABI,
	CMEM_BUFFER_FAILED	= CMEM_ALLOC_FAILED * CMEM_BUFFER_OF_ABI,
	CMEM_BUFFER_ABANDONED	= 1 << 6,
	CMEM_BUFFER_QUARANTINED	= 1 << 7,
	CMEM_BUFFER_UNSNOOPED	= 1 << 8,
	CMEM_BUFFER_SNOOPED	= 1 << 9,
	CMEM_BUFFER_ALIASED	= 1 << 10,
	CMEM_BUFFER_EXPORTED	= 1 << 11,
};

/* Those that users are told of */
#define CMEM_BUFFER_ABI (CMEM_BUFFER_CACHED | CMEM_BUFFER_PRIVATE | \
			 CMEM_BUFFER_QUARANTINE | CMEM_BUFFER_FAILED)

/**
 * struct cmem_buffer - a run of pages that users hold
 * @pool: the pool it belongs to, or NULL for one from the heap
 * @refs: one for each file that is registered, for each mapping, for each DMA-BUF.
 *	With the last one the memory goes back; it drops to 0 under the block's lock
 *	only.
 * @flags: bits of enum cmem_buffer_flags
 * @count: how often @file is registered
 * @file: the file that allocated it, NULL when that is registered no more, and for
 *	one from a DMA-BUF heap
 * @in_file: in @file's list, under @file's lock; or in that of the quarantine
 * @sharers: other files that are registered
 * @since: in quarantine: since when, in seconds since boot
 * @since_ms: and how many milliseconds more
 * @stops: in quarantine: what cmem_rproc_stops() was then
 * @dmem: which cgroup is charged for it: no bytes where there is no such controller
 *
 * One for each buffer of a pool is there from the beginning, so it is kept
 * small: 48 bytes, with the slot 64. All but @in_file is under the block's
 * lock.
 */
struct cmem_buffer {
	struct cmem_carved_pool *pool;
	refcount_t refs;
	u16 flags;
	union {
		u16 count;
		u16 since_ms;
	};
	union {
		struct cmem_file *file;
		unsigned long since;
	};
	struct list_head in_file;
	union {
		struct hlist_head sharers;
		unsigned long stops;
	};
	struct cmem_dmem_charge dmem;
};

/**
 * struct cmem_heap_buffer - a buffer from a heap
 * @buffer: what all buffers have
 * @block: whose it is
 * @pool: CMEM_POOL_HEAP, or the number of its pool of CMA
 * @user: as cmem_slot.user
 * @start: page offset in the block
 * @pages: length
 * @tag: as cmem_slot.tag
 */
struct cmem_heap_buffer {
	struct cmem_buffer buffer;
	struct cmem_block *block;
	s32 pool;
	kuid_t user;
	unsigned long start;
	unsigned long pages;
	u64 tag;
};

/**
 * struct cmem_extent - where a buffer is
 * @block: whose it is
 * @id: the block's number
 * @pool: number of the pool, or CMEM_POOL_HEAP
 * @start: page offset in the block
 * @pfn: page frame number
 * @pages: length
 */
struct cmem_extent {
	struct cmem_block *block;
	s32 id;
	s32 pool;
	unsigned long start;
	unsigned long pfn;
	unsigned long pages;
};

static inline struct cmem_heap_buffer *
cmem_heap_buffer(const struct cmem_buffer *buffer)
{
	return container_of(buffer, struct cmem_heap_buffer, buffer);
}

static inline struct cmem_block *
cmem_buffer_block(const struct cmem_buffer *buffer)
{
	return buffer->pool ? buffer->pool->block :
	       cmem_heap_buffer(buffer)->block;
}

/* Bytes in a buffer */
static inline u64 cmem_buffer_length(const struct cmem_buffer *buffer)
{
	return (u64)(buffer->pool ? buffer->pool->pages :
		     cmem_heap_buffer(buffer)->pages) << PAGE_SHIFT;
}

/**
 * cmem_buffer_locate - tell where a buffer is
 * @buffer: the buffer
 * @extent: where to put it
 */
static inline void cmem_buffer_locate(const struct cmem_buffer *buffer,
				      struct cmem_extent *extent)
{
	const struct cmem_carved_pool *pool = buffer->pool;

	if (pool) {
		extent->block = pool->block;
		extent->start = pool->start +
				(buffer - pool->buffers) * pool->pages;
		extent->pages = pool->pages;
		extent->pool = pool->number;
	} else {
		const struct cmem_heap_buffer *from = cmem_heap_buffer(buffer);

		extent->block = from->block;
		extent->start = from->start;
		extent->pages = from->pages;
		extent->pool = from->pool;
	}
	extent->id = extent->block->id;
	extent->pfn = extent->block->base_pfn + extent->start;
}

/**
 * cmem_buffer_get - hold a buffer that the caller's file or mapping holds
 * @buffer: the buffer
 */
static inline void cmem_buffer_get(struct cmem_buffer *buffer)
{
	refcount_inc(&buffer->refs);
}

/**
 * cmem_buffer_is_cached - tell how a buffer is mapped
 * @buffer: a buffer that the caller holds
 *
 * Return: true if programs' and the kernel's mappings of it are cached.
 */
static inline bool cmem_buffer_is_cached(const struct cmem_buffer *buffer)
{
	const struct cmem_block *block = cmem_buffer_block(buffer);

	if (block->kind == CMEM_KIND_SRAM)
		return false;
	return block->coherent || READ_ONCE(buffer->flags) & CMEM_BUFFER_CACHED;
}

typedef void (*cmem_owner_fn)(u64 owner, unsigned int count, void *arg);

int cmem_alloc_init(void);
void cmem_alloc_exit(void);
int cmem_registration_init(void);
void cmem_registration_exit(void);
u32 cmem_buffer_abi_flags(const struct cmem_buffer *buffer);
bool cmem_buffer_has_user(const struct cmem_buffer *buffer,
			  const struct file *filp);
unsigned int cmem_buffer_owners(const struct cmem_buffer *buffer,
				cmem_owner_fn fn, void *arg);
bool cmem_buffer_is_registered(const struct cmem_buffer *buffer);
void cmem_buffer_put(struct cmem_buffer *buffer);
void cmem_buffer_release(struct cmem_buffer *buffer);
void cmem_buffer_share(struct cmem_buffer *buffer);
void cmem_buffer_abandon(struct cmem_buffer *buffer);
u64 cmem_buffer_last_owner(const struct cmem_buffer *buffer);
struct cmem_buffer *cmem_buffer_at(struct cmem_block *block, unsigned long page);
void cmem_buffer_return(struct cmem_buffer *buffer, bool shared);

/**
 * struct cmem_request - what is asked of an allocation, and what came of it
 * @pool: in: number of a pool, CMEM_POOL_BEST or CMEM_POOL_HEAP
 * @flags: in: bits of enum cmem_alloc_flags, and CMEM_REQUEST_EXACT
 * @length: in: bytes, 0 for all of a buffer of the pool named
 * @alignment: in: 0 or a power of two, in bytes
 * @cred: of who asks: the file's that he opened, or his own
 * @user: who is charged for it
 * @account: his in this block, while it is locked
 * @tag: who may have the memory uncleaned
 * @pages: @length in pages, once the block is known
 * @extent: out: where it is
 * @buffer: out: it
 */
struct cmem_request {
	s32 pool;
	u32 flags;
	u64 length;
	u64 alignment;
	const struct cred *cred;
	kuid_t user;
	struct cmem_account *account;
	u64 tag;
	unsigned long pages;
	struct cmem_extent extent;
	struct cmem_buffer *buffer;
};

/*
 * For what a buffer takes of the kernel's memory. The limit of the user's memory cgroup
 * is ENOMEM, which he can deal with, and kills none of its processes.
 */
#define CMEM_GFP_USER	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/* How often to make room for bookkeeping that others may take */
#define CMEM_ROOM_TRIES	8

/* After -ENOBUFS, with nothing locked: make room, and tell if that makes a new try worth it. */
static inline bool cmem_try_again(int *ret, unsigned int *tries)
{
	if (*ret != -ENOBUFS)
		return false;
	*ret = (*tries)-- ? cmem_heap_make_room() : -ENOMEM;
	return !*ret;
}

/*
 * A bit of cmem_request.flags beside those of the interface: no pool is wanted but one
 * with buffers of exactly that length, unless the block says that others may serve as
 * well.
 */
#define CMEM_REQUEST_EXACT	BIT(31)

/* A tag with which nobody leaves memory: owners are numbered from 1. */
#define CMEM_TAG_NOBODY	1

int cmem_buffer_alloc(struct cmem_file *file, s32 id,
		      struct cmem_request *request);
struct cmem_buffer *cmem_buffer_alloc_unowned(struct cmem_block *block,
					      struct cmem_request *request);
void cmem_buffer_undo_alloc(struct cmem_file *file, struct cmem_buffer *buffer);
int cmem_buffer_free(struct cmem_file *file, unsigned long pfn);
struct cmem_buffer *cmem_buffer_get_to_register(struct cmem_file *file,
						unsigned long pfn);
int cmem_buffer_register(struct cmem_file *file, struct cmem_buffer *buffer,
			 bool by_address);
struct cmem_buffer *cmem_buffer_get_registered(struct cmem_file *file,
					       unsigned long pfn);
struct cmem_buffer *cmem_buffer_get_range(struct cmem_file *file,
					  unsigned long pfn,
					  unsigned long pages);
struct cmem_buffer *cmem_buffer_map_range(struct cmem_file *file,
					  unsigned long pfn,
					  unsigned long pages, bool *holds);
void cmem_buffer_map_again(struct cmem_file *file, struct cmem_buffer *buffer);
void cmem_buffer_unmap(struct cmem_file *file, struct cmem_buffer *buffer,
		       bool abandoned);
unsigned int cmem_file_get_buffers(struct cmem_file *file, bool shared,
				   struct cmem_buffer **buffers,
				   unsigned int max);
void cmem_file_init(struct cmem_file *file, const struct file *filp);
void cmem_file_release(struct cmem_file *file);

/*
 * quarantine: memory that its owner did not free (quarantine.c), and what remote
 * processors have to do with that (remoteproc.c)
 */

void cmem_quarantine_init(struct cmem_block *block);
int cmem_quarantine_configure(struct device *dev, struct cmem_block *block,
			      const struct cmem_quarantine_config *config);
void cmem_quarantine_add(struct cmem_buffer *buffer);
u64 cmem_quarantine_since(const struct cmem_buffer *buffer);
void cmem_quarantine_check(struct cmem_block *block);
int cmem_quarantine_release(s32 id, u64 *buffers, u64 *pages);
int cmem_quarantine_release_buffer(s32 id, unsigned long pfn, u64 *pages);

#if IS_REACHABLE(CONFIG_REMOTEPROC)
int cmem_rproc_init(void);
void cmem_rproc_exit(void);
int cmem_rproc_configure(struct cmem_block *block);
void cmem_rproc_look(const struct cmem_block *block);
unsigned long cmem_rproc_stops(void);
bool cmem_rproc_have_stopped(const struct cmem_block *block,
			     unsigned long stops);
#else
static inline int cmem_rproc_init(void)
{
	return 0;
}

static inline void cmem_rproc_exit(void)
{
}

static inline int cmem_rproc_configure(struct cmem_block *block)
{
	return 0;
}

static inline void cmem_rproc_look(const struct cmem_block *block)
{
}

static inline unsigned long cmem_rproc_stops(void)
{
	return 0;
}

static inline bool cmem_rproc_have_stopped(const struct cmem_block *block,
					   unsigned long stops)
{
	return false;
}
#endif

/* quota: who has how much of a block, and may have (quota.c) */

/**
 * struct cmem_account - what a user has of a block
 * @user: who
 * @pages: how much, in buffers that he allocated and that are not free yet
 */
struct cmem_account {
	kuid_t user;
	unsigned long pages;
};

kuid_t cmem_quota_user(const struct cred *cred);
int cmem_quota_find(struct cmem_block *block, struct cmem_request *request);
bool cmem_quota_excess(const struct cmem_request *request);
void cmem_quota_uncharge(struct cmem_block *block, kuid_t user,
			 unsigned long pages);
unsigned long cmem_quota_used(struct cmem_block *block, kuid_t user);
struct cmem_account *cmem_quota_next(struct cmem_block *block,
				     unsigned long *index);
void cmem_quota_init(struct cmem_block *block);
void cmem_quota_exit(struct cmem_block *block);
void cmem_quota_apply(struct cmem_block *block);

/**
 * cmem_quota_begin - find the account that a request will be charged to
 * @block: the block, locked until that is done
 * @request: the request
 *
 * Return: 0 or -ENOBUFS, as cmem_heap_take().
 */
static inline int cmem_quota_begin(struct cmem_block *block,
				   struct cmem_request *request)
{
	request->account = block->account;
	if (likely(request->account &&
		   uid_eq(request->account->user, request->user)))
		return 0;
	return cmem_quota_find(block, request);
}

/* Tell if a user may have so many pages more. The block is locked. */
static inline bool cmem_quota_allows(const struct cmem_block *block,
				     const struct cmem_request *request,
				     unsigned long pages)
{
	unsigned long used = min(request->account->pages, block->quota);

	return likely(pages <= block->quota - used) ||
	       cmem_quota_excess(request);
}

int cmem_scrub_start(struct cmem_block *block);
void cmem_scrub_dismiss(struct cmem_block *block);
void cmem_scrub_stop(struct cmem_block *block);
void cmem_scrub_kick(struct cmem_block *block);
void cmem_scrub_hurry(struct cmem_block *block);
void cmem_scrub_rest(struct cmem_block *block);
void cmem_scrub_wake(struct cmem_block *block);
int cmem_scrub_pages(struct cmem_block *block, unsigned long start,
		     unsigned long pages, bool killable);

/*
 * alias, sync: the kernel's alias of a block (alias.c), and cache maintenance on it
 * (sync.c)
 */

typedef void (*cmem_alias_fn)(struct cmem_block *block, void *va,
			      phys_addr_t phys, size_t length, void *arg);

int cmem_alias_init(struct cmem_block *block);
bool cmem_alias_is_uncached(const struct cmem_block *block);
void cmem_alias_exit(struct cmem_block *block);
void __cmem_alias_release(struct cmem_buffer *buffer);
int cmem_alias_for_each(struct cmem_block *block,
			const struct cmem_buffer *buffer, u64 offset,
			u64 length, bool killable, cmem_alias_fn fn, void *arg);

/**
 * cmem_alias_hold - keep a block mapped once it is, for a buffer that becomes cached
 * @block: the block, which is locked
 * @flags: the buffer's
 *
 * Its programs map it cached as well, and who maintains the caches does so often: nobody
 * gains by a kernel that maps it anew each time. It is mapped when there is enough work.
 *
 * Return: what belongs into the buffer's flags as well.
 */
static inline u16 cmem_alias_hold(struct cmem_block *block, u16 flags)
{
	if (!block->alias_on_demand ||
	    !(block->coherent || flags & CMEM_BUFFER_CACHED))
		return 0;
	block->alias_users++;
	return CMEM_BUFFER_ALIASED;
}

/**
 * cmem_alias_release - undo cmem_alias_hold(), if that was done
 * @buffer: a buffer of a block that is locked
 *
 * With the last one the kernel has no mapping of the block any more.
 */
static inline void cmem_alias_release(struct cmem_buffer *buffer)
{
	if (buffer->flags & CMEM_BUFFER_ALIASED)
		__cmem_alias_release(buffer);
}

int cmem_buffer_copy(struct cmem_buffer *buffer, u64 offset, void *data,
		     size_t length, bool write);
void *cmem_buffer_vmap(struct cmem_buffer *buffer);
void cmem_buffer_vunmap(struct cmem_buffer *buffer, void *va);
void cmem_cache_maintain(void *va, phys_addr_t phys, size_t length,
			 enum cmem_sync_op op);
bool cmem_buffer_must_sync(const struct cmem_buffer *buffer);
int cmem_buffer_sync(struct cmem_buffer *buffer, u64 offset, u64 length,
		     bool killable, enum cmem_sync_op op);
int cmem_sync_array(struct cmem_file *file, const struct cmem_sync_range *ranges,
		    u32 count);
int cmem_sync_ranges(struct cmem_file *file, const void __user *ranges, u32 count,
		     u32 size);
int cmem_sync_all(struct cmem_file *file, enum cmem_sync_op op);

/* vma: mappings of buffers (vma.c) */

int cmem_vma_init(void);
void cmem_vma_exit(void);
void cmem_vma_set_space(struct file *file);
void cmem_vma_unmap(unsigned long pfn, unsigned long pages);
int cmem_mmap(struct file *filp, struct vm_area_struct *vma);
int cmem_vma_map_dmabuf(struct cmem_buffer *buffer, struct vm_area_struct *vma);
struct cmem_buffer *cmem_vma_buffer(const struct vm_area_struct *vma);
u64 cmem_vma_phys(const struct vm_area_struct *vma, unsigned long address);
u64 cmem_vma_owner(const struct vm_area_struct *vma);
struct vm_area_struct *cmem_vma_lock(unsigned long address,
				     struct cmem_buffer **buffer);

/* changes: what a program knows of its mappings (changes.c) */

int cmem_changes_init(void);
void cmem_changes_exit(void);
u64 cmem_changes_offset(void);
int cmem_changes_mmap(struct cmem_file *file, struct vm_area_struct *vma);
void cmem_changes_count(struct cmem_file *file, const struct vm_area_struct *vma);
void cmem_changes_free(struct cmem_file *file);

/* ioctl: what programs ask of /dev/cmem (ioctl.c, ioctl_block.c) */

long cmem_ioctl(struct file *filp, unsigned int cmd, unsigned long arg);
long cmem_compat_ioctl(struct file *filp, unsigned int cmd, unsigned long arg);

/*
 * main: /dev/cmem (main.c), and what one sees in /proc (procfs.c) and in debugfs
 * (debugfs.c)
 */

/* Programs that name no pool want the heap where no pool can serve. */
extern bool cmem_heap_fallback;

int cmem_procfs_init(void);
void cmem_procfs_exit(void);
void cmem_show_fdinfo(struct seq_file *m, struct file *filp);
struct cmem_file *cmem_file_of(const struct file *filp);
bool cmem_is_device(dev_t dev);
struct device *cmem_device(void);

#ifdef CONFIG_DEBUG_FS
void cmem_debugfs_init(void);
void cmem_debugfs_exit(void);
void cmem_debugfs_add_block(struct cmem_block *block);
#else
static inline void cmem_debugfs_init(void)
{
}

static inline void cmem_debugfs_exit(void)
{
}

static inline void cmem_debugfs_add_block(struct cmem_block *block)
{
}
#endif

/* failure: memory that has failed (failure.c) */

#ifdef CONFIG_MEMORY_FAILURE
int cmem_failure_fault_begin(void);
void cmem_failure_fault_end(int idx);
unsigned long cmem_failure_before(const struct cmem_block *block,
				  unsigned long pfn, unsigned long pages);
void cmem_failure_look(struct cmem_block *block);
void cmem_failure_return(struct cmem_block *block, unsigned long start,
			 unsigned long pages);
void cmem_failure_forget(struct cmem_block *block);
void cmem_failure_init(void);

/* Tell if any page of a block, of which the caller has a buffer, has failed. */
static inline bool cmem_block_has_failed(const struct cmem_block *block)
{
	return unlikely(READ_ONCE(block->has_failed));
}

/* Before memory of a block, which is locked, is handed out or cleaned */
static inline void cmem_failure_check(struct cmem_block *block)
{
	if (unlikely(atomic_long_read(&num_poisoned_pages) != block->failures))
		cmem_failure_look(block);
}

/* Tell if memory has failed that nobody could look for, since it was nobody's. */
static inline bool cmem_failure_in_new(const struct cmem_block *block,
				       unsigned long pfn, unsigned long pages)
{
	return unlikely(atomic_long_read(&num_poisoned_pages)) &&
	       cmem_failure_before(block, pfn, pages) < pages;
}
#else
static inline int cmem_failure_fault_begin(void)
{
	return 0;
}

static inline void cmem_failure_fault_end(int idx)
{
}

static inline unsigned long cmem_failure_before(const struct cmem_block *block,
						unsigned long pfn,
						unsigned long pages)
{
	return pages;
}

static inline void cmem_failure_return(struct cmem_block *block,
				       unsigned long start, unsigned long pages)
{
}

static inline void cmem_failure_forget(struct cmem_block *block)
{
}

static inline void cmem_failure_init(void)
{
}

static inline bool cmem_block_has_failed(const struct cmem_block *block)
{
	return false;
}

static inline void cmem_failure_check(struct cmem_block *block)
{
}

static inline bool cmem_failure_in_new(const struct cmem_block *block,
				       unsigned long pfn, unsigned long pages)
{
	return false;
}
#endif

/* Tell if memory of a block, of which the caller has a buffer, has failed. */
static inline bool cmem_failure_in(const struct cmem_block *block,
				   unsigned long pfn, unsigned long pages)
{
	return cmem_block_has_failed(block) &&
	       cmem_failure_before(block, pfn, pages) < pages;
}

/* power: what becomes of blocks while the machine sleeps (power.c) */

#ifdef CONFIG_PM_SLEEP
void cmem_power_init(struct device *dev);
#else
static inline void cmem_power_init(struct device *dev)
{
}
#endif

/* A physical address that users name: of a page that this machine may have */
static inline int cmem_check_phys(u64 phys)
{
	if (!PAGE_ALIGNED(phys))
		return -EINVAL;
	return phys >> PAGE_SHIFT > ULONG_MAX ? -ENOENT : 0;
}

/* legacy: the ioctls of the out-of-tree driver (legacy.c) */

/* What _IOC_TYPE() finds in their numbers, which are not made with _IOC() */
#define CMEM_LEGACY_TYPE	0xfe

#ifdef CONFIG_TI_CMEM_LEGACY_ABI
long cmem_legacy_ioctl(struct cmem_file *file, unsigned int cmd,
		       void __user *user, bool compat);
unsigned long cmem_legacy_pgoff(unsigned long pgoff);
#else
static inline long cmem_legacy_ioctl(struct cmem_file *file, unsigned int cmd,
				     void __user *user, bool compat)
{
	return -ENOTTY;
}

static inline unsigned long cmem_legacy_pgoff(unsigned long pgoff)
{
	return pgoff;
}
#endif

static inline phys_addr_t cmem_block_phys(const struct cmem_block *block,
					  unsigned long page)
{
	return (phys_addr_t)(block->base_pfn + page) << PAGE_SHIFT;
}

#endif /* _CMEM_CMEM_H */
