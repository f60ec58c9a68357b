// SPDX-License-Identifier: GPL-2.0-only
/*
 * A block: makes sure of its memory, carves it into pools and a heap, and puts
 * it into the table by which all others find it.
 *
 * A block that was made stays for good: who found one needs no reference, and
 * every ioctl saves two. What is in it is under its own lock.
 */
#include <linux/device.h>
#include <linux/init.h>
#include <linux/initrd.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/libfdt.h>
#include <linux/mm.h>
#include <linux/of_fdt.h>
#include <linux/rculist.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include <asm/sections.h>

#include "cmem.h"

/* In the order of their numbers. Only ever added to, under the lock. */
static LIST_HEAD(cmem_blocks);
static DEFINE_MUTEX(cmem_blocks_lock);

/**
 * cmem_block_find_from - find the block with the next number
 * @id: the lowest number that counts
 *
 * Return: the block, or NULL if there is none from there on.
 */
struct cmem_block *cmem_block_find_from(s32 id)
{
	struct cmem_block *block;

	list_for_each_entry_lockless(block, &cmem_blocks, in_blocks)
		if (block->id >= id)
			return block;
	return NULL;
}

/**
 * cmem_block_find - find a block by its number
 * @id: the number
 *
 * Return: the block or NULL.
 */
struct cmem_block *cmem_block_find(s32 id)
{
	struct cmem_block *block = cmem_block_find_from(id);

	return block && block->id == id ? block : NULL;
}

static bool cmem_block_has(const struct cmem_block *block, unsigned long pfn)
{
	return pfn - block->base_pfn < block->num_pages;
}

/**
 * cmem_block_find_pfn - find the block that has a page
 * @pfn: page frame number
 *
 * Return: the block or NULL.
 */
struct cmem_block *cmem_block_find_pfn(unsigned long pfn)
{
	struct cmem_block *block;

	list_for_each_entry_lockless(block, &cmem_blocks, in_blocks)
		if (cmem_block_has(block, pfn))
			return block;
	return cmem_cma_find_pfn(pfn);
}

/**
 * cmem_block_count - sum up the blocks
 * @count: where to put how many there are
 * @limit: where to put one more than the highest number, 0 without blocks
 * @coherent: where to put if all of them are coherent
 */
void cmem_block_count(u32 *count, u32 *limit, bool *coherent)
{
	const struct cmem_block *block;

	*count = 0;
	*limit = 0;
	*coherent = true;
	list_for_each_entry_lockless(block, &cmem_blocks, in_blocks) {
		(*count)++;
		*limit = block->id + 1;
		*coherent &= block->coherent;
	}
}

/**
 * cmem_block_best_pool - find the pool that fits a buffer best
 * @block: the block
 * @length: of the buffer, in bytes
 *
 * Return: the number of the pool with the smallest buffers that are long enough
 * and of which one is free; -ENOENT when no pool has buffers that long, -ENOMEM
 * when none of them is free.
 */
int cmem_block_best_pool(struct cmem_block *block, u64 length)
{
	int ret = -ENOENT;
	unsigned int i;

	mutex_lock(&block->lock);
	for (i = 0; i < block->num_pools && ret < 0; i++) {
		const struct cmem_carved_pool *pool;

		pool = &block->pools[block->by_size[i]];
		if ((u64)pool->pages << PAGE_SHIFT < length ||
		    !pool->slots.count)
			continue;
		ret = cmem_pool_free(&pool->slots) ? (int)pool->number : -ENOMEM;
		/* An area is not left for a larger one. */
		if (block->kind == CMEM_KIND_CMA)
			break;
	}
	mutex_unlock(&block->lock);
	return ret;
}

static phys_addr_t cmem_initrd_start, cmem_initrd_end;

/* Before it is unpacked, by a thread, after which the kernel forgets where it was. */
static int __init cmem_block_note_initrd(void)
{
	if (!IS_ENABLED(CONFIG_BLK_DEV_INITRD) || !initrd_start)
		return 0;

	cmem_initrd_start = __pa(initrd_start);
	cmem_initrd_end = __pa(initrd_end - 1) + 1;
	return 0;
}
core_initcall(cmem_block_note_initrd);

/*
 * What was in use already when the region was reserved is reserved as well: the
 * kernel's image, the initial RAM disk and the device tree. (32-bit arm does not
 * keep the physical address of that.)
 */
static const char *cmem_block_used_by(const struct cmem_block_config *config)
{
	phys_addr_t last = config->base + config->length - 1;

	if (config->base < __pa_symbol(_end) && last >= __pa_symbol(_text))
		return "the kernel";
#if defined(CONFIG_ARM64) && defined(CONFIG_OF_EARLY_FLATTREE)
	if (initial_boot_params &&
	    config->base < initial_boot_params_pa +
			   fdt_totalsize(initial_boot_params) &&
	    last >= initial_boot_params_pa)
		return "the device tree";
#endif
	if (config->base < cmem_initrd_end && last >= cmem_initrd_start)
		return "the initial RAM disk";
	return NULL;
}

static int cmem_block_add_ram(unsigned long pfn, unsigned long pages, void *sum)
{
	*(unsigned long *)sum += pages;
	return 0;
}

/* How many pages of a range are System RAM, be they reserved or not */
static unsigned long cmem_block_ram_pages(const struct cmem_block_config *config)
{
	unsigned long ram = 0;

	walk_system_ram_range(PHYS_PFN(config->base),
			      PHYS_PFN(config->base + config->length - 1) -
			      PHYS_PFN(config->base) + 1, &ram,
			      cmem_block_add_ram);
	return ram;
}

/*
 * The memory must be kept from the page allocator: handing out a page that it
 * hands out as well is the worst that this driver could do.
 */
static int cmem_block_check_memory(struct device *dev,
				   struct cmem_block_config *config)
{
	unsigned long pfn, end = PHYS_PFN(config->base + config->length - 1) + 1;
	unsigned long pages = end - PHYS_PFN(config->base);
	unsigned long ram = cmem_block_ram_pages(config);
	const char *user = cmem_block_used_by(config);

	if (user) {
		dev_err(dev, "block %d: %#llx bytes at %pa overlap %s, which the boot loader put there\n",
			config->id, config->length, &config->base, user);
		return -EBUSY;
	}

	if (config->kind == CMEM_KIND_CARVEOUT && ram) {
		dev_err(dev, "block %d: %#llx bytes at %pa are System RAM although their node says no-map: see the boot log for why\n",
			config->id, config->length, &config->base);
		return -EBUSY;
	}
	/* The kernel's linear map would be taken for all of it. */
	if (ram && ram != pages) {
		dev_err(dev, "block %d: only %#llx of %#llx bytes at %pa are System RAM: must be all, or none\n",
			config->id, (u64)ram << PAGE_SHIFT, config->length,
			&config->base);
		return -EINVAL;
	}
	/* What is not RAM is in no linear map, no-map or not. */
	if (!ram && config->kind == CMEM_KIND_RESERVED)
		config->kind = CMEM_KIND_CARVEOUT;

	for (pfn = PHYS_PFN(config->base); pfn < end; pfn++) {
		if (pfn_valid(pfn) && !PageReserved(pfn_to_page(pfn))) {
			phys_addr_t phys = PFN_PHYS(pfn);

			dev_err(dev, "block %d: the page at %pa is not reserved: it belongs to the kernel's page allocator\n",
				config->id, &phys);
			return -EBUSY;
		}
		if (!(pfn % SZ_64K))
			cond_resched();
	}
	return 0;
}

static int cmem_block_check_free(struct device *dev,
				 const struct cmem_block_config *config)
{
	unsigned long first = PHYS_PFN(config->base);
	unsigned long last = PHYS_PFN(config->base + config->length - 1);
	const struct cmem_block *other;

	if (!config->length || config->base + config->length - 1 < config->base) {
		dev_err(dev, "block %d: %#llx bytes at %pa are no range of memory\n",
			config->id, config->length, &config->base);
		return -EINVAL;
	}

	list_for_each_entry(other, &cmem_blocks, in_blocks) {
		if (other->id == config->id) {
			dev_err(dev, "block %d: there is a block of this number already\n",
				config->id);
			return -EEXIST;
		}
		if (first <= other->base_pfn + other->num_pages - 1 &&
		    last >= other->base_pfn) {
			dev_err(dev, "block %d: %#llx bytes at %pa overlap block %d\n",
				config->id, config->length, &config->base,
				other->id);
			return -EEXIST;
		}
	}
	return 0;
}

static int cmem_block_claim(struct device *dev, struct cmem_block *block,
			    const struct cmem_block_config *config)
{
	/* What is in the linear map is claimed as reserved already. */
	if (config->kind != CMEM_KIND_CARVEOUT)
		return 0;

	/* So is a region that the kernel found a place for: no-map, and reserved. */
	if (config->placed_by_kernel)
		return 0;

	block->claimed = request_mem_region(config->base, config->length,
					    "cmem");
	if (!block->claimed) {
		dev_err(dev, "block %d: %#llx bytes at %pa are claimed by another driver: see /proc/iomem\n",
			block->id, config->length, &config->base);
		return -EBUSY;
	}
	return 0;
}

static int cmem_block_compare_pools(const void *a, const void *b,
				    const void *priv)
{
	const struct cmem_block *block = priv;
	const u8 *left = a, *right = b;

	if (block->pools[*left].pages != block->pools[*right].pages)
		return block->pools[*left].pages < block->pools[*right].pages ?
		       -1 : 1;
	return *left - *right;
}

/**
 * cmem_block_sort_pools - put the pools in the order of their buffers' sizes
 * @block: a block that is being made, with its pools
 */
void cmem_block_sort_pools(struct cmem_block *block)
{
	unsigned int i;

	for (i = 0; i < block->num_pools; i++)
		block->by_size[i] = i;
	sort_r(block->by_size, block->num_pools, sizeof(*block->by_size),
	       cmem_block_compare_pools, NULL, block);
}

static int cmem_block_init_pool(struct cmem_block *block, unsigned int number,
				unsigned long start,
				const struct cmem_pool_config *config)
{
	struct cmem_carved_pool *pool = &block->pools[number];
	u32 i;
	int ret;

	ret = cmem_heap_reserve(&block->heap, start,
				config->count * pool->pages);
	if (ret)
		return ret;

	ret = cmem_pool_init(&pool->slots, config->count);
	if (ret)
		return ret;

	pool->buffers = cmem_pool_alloc_array(config->count,
					      sizeof(*pool->buffers));
	if (!pool->buffers)
		return -ENOMEM;

	for (i = 0; i < config->count; i++)
		pool->buffers[i].pool = pool;
	return 0;
}

/*
 * Pools follow each other from the start of the block, in the order of their
 * numbers, and the heap is what remains. A pool of buffers of a huge page and
 * more is moved up to a boundary of such, so that huge pages can map them, if
 * the block is large enough; the gap is heap too, so nothing is lost.
 */
static int cmem_block_carve(struct device *dev, struct cmem_block *block,
			    const struct cmem_block_config *config)
{
	unsigned long huge = CMEM_HUGE_SIZE >> PAGE_SHIFT;
	unsigned long slack = block->num_pages;
	unsigned long start = 0;
	unsigned int i;
	int ret;

	guard(mutex)(&block->lock);

	for (i = 0; i < config->num_pools; i++) {
		struct cmem_carved_pool *pool = &block->pools[i];

		pool->block = block;
		pool->number = i;
		pool->requested = config->pools[i].length;
		pool->pages = PFN_UP(pool->requested);
		slack -= config->pools[i].count * pool->pages;
	}
	block->num_pools = config->num_pools;
	cmem_block_sort_pools(block);

	cmem_heap_init(&block->heap, block->base_pfn, block->num_pages,
		       &block->lock);
	for (i = 0; i < block->num_pools; i++) {
		struct cmem_carved_pool *pool = &block->pools[i];
		unsigned long gap = 0;

		if (pool->pages >= huge)
			gap = ALIGN(block->base_pfn + start, huge) -
			      (block->base_pfn + start);
		if (gap <= slack) {
			start += gap;
			slack -= gap;
		}
		pool->start = start;
		ret = cmem_block_init_pool(block, i, start, &config->pools[i]);
		if (ret)
			return ret;
		dev_dbg(dev, "block %d: pool %u: %u buffers of %#llx bytes at page %#lx\n",
			block->id, i, config->pools[i].count,
			(u64)pool->pages << PAGE_SHIFT, start);
		start += config->pools[i].count * pool->pages;
	}
	return cmem_heap_open(&block->heap);
}

static void cmem_block_destroy(struct cmem_block *block)
{
	unsigned int i;

	cmem_scrub_stop(block);
	cmem_alias_exit(block);
	mutex_lock(&block->lock);
	cmem_heap_destroy(&block->heap);
	mutex_unlock(&block->lock);
	for (i = 0; i < block->num_pools; i++) {
		cmem_pool_destroy(&block->pools[i].slots);
		kvfree(block->pools[i].buffers);
	}
	if (block->claimed)
		release_mem_region(PFN_PHYS(block->base_pfn),
				   PFN_PHYS(block->num_pages));
	mutex_destroy(&block->lock);
	kfree(block->pools);
	kfree(block);
}

static void cmem_block_publish(struct cmem_block *block)
{
	struct cmem_block *next = cmem_block_find_from(block->id);

	list_add_tail_rcu(&block->in_blocks, next ? &next->in_blocks :
						    &cmem_blocks);
}

/**
 * cmem_block_create - make a block
 * @dev: whose block it is
 * @config: what it is to be. The pools fit into it. Its kind is set right if it
 *	turns out to be something else.
 * @coherent: devices snoop the caches
 *
 * The block is there for everybody when this returns. May sleep.
 *
 * Return: 0, or an errno, and why was logged.
 */
int cmem_block_create(struct device *dev, struct cmem_block_config *config,
		      bool coherent)
{
	struct cmem_block *block;
	int ret;

	guard(mutex)(&cmem_blocks_lock);

	ret = cmem_block_check_free(dev, config);
	if (ret)
		return ret;
	ret = cmem_block_check_memory(dev, config);
	if (ret)
		return ret;

	block = kzalloc(sizeof(*block), GFP_KERNEL);
	if (!block)
		return -ENOMEM;

	mutex_init(&block->lock);
	block->id = config->id;
	block->kind = config->kind;
	block->keep_contents = config->keep_contents;
	block->coherent = coherent;
	block->base_pfn = PHYS_PFN(config->base);
	block->num_pages = PHYS_PFN(config->base + config->length - 1) -
			   block->base_pfn + 1;
	cmem_scrub_init(block);
	if (config->num_pools) {
		block->pools = kcalloc(config->num_pools,
				       sizeof(*block->pools), GFP_KERNEL);
		if (!block->pools) {
			kfree(block);
			return -ENOMEM;
		}
	}

	ret = cmem_block_carve(dev, block, config);
	if (ret) {
		dev_err(dev, "block %d: no memory for its pools and heap: %pe\n",
			block->id, ERR_PTR(ret));
		goto err_destroy;
	}
	ret = cmem_block_claim(dev, block, config);
	if (ret)
		goto err_destroy;
	ret = cmem_alias_init(block);
	if (ret) {
		dev_err(dev, "block %d: the kernel has no room to map it: %pe\n",
			block->id, ERR_PTR(ret));
		goto err_destroy;
	}
	ret = cmem_scrub_start(block);
	if (ret) {
		dev_err(dev, "block %d: no thread to clean its memory: %pe\n",
			block->id, ERR_PTR(ret));
		goto err_destroy;
	}
	cmem_block_publish(block);

	dev_info(dev, "block %d: %#llx bytes at %pa, %u pools, heap of %#llx bytes\n",
		 block->id, config->length, &config->base, block->num_pools,
		 (u64)block->heap.size << PAGE_SHIFT);
	cmem_debugfs_add_block(block);
	return 0;

err_destroy:
	cmem_block_destroy(block);
	return ret;
}
