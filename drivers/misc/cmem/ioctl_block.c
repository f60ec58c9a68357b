// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctls on blocks: get information about blocks, and add or remove them.
 */
#include <linux/cache.h>
#include <linux/capability.h>
#include <linux/cpufeature.h>
#include <linux/dev_printk.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>

#include "block.h"
#include "changes.h"
#include "cmem.h"
#include "config.h"
#include "early.h"
#include "file.h"
#include "heap.h"
#include "ioctl.h"
#include "pins.h"
#include "pool.h"
#include "quarantine.h"
#include "quota.h"

/*
 * arm64 lets programs execute DC CVAC and DC CIVAC, and CMEM's memory has no cache
 * beyond the point of coherency. With an erratum whose workaround traps and replaces each
 * of these instructions, one system call for a whole range is faster.
 */
static bool cmem_user_may_sync(void)
{
#ifdef CONFIG_ARM64
	return !cpus_have_final_cap(ARM64_WORKAROUND_CLEAN_CACHE);
#else
	return false;
#endif
}

int cmem_get_info(struct cmem_command *command)
{
	struct cmem_info *info = command->data;

	if (info->flags)
		return -EOPNOTSUPP;

	cmem_block_count(&info->num_blocks, &info->block_limit);
	info->out_flags = CMEM_ALWAYS_COHERENT ? CMEM_INFO_COHERENT : 0;
	if (cmem_user_may_sync())
		info->out_flags |= CMEM_INFO_USER_SYNC;
	if (READ_ONCE(cmem_heap_fallback))
		info->out_flags |= CMEM_INFO_HEAP_FALLBACK;
	info->abi_version = CMEM_ABI_VERSION;
	info->alignment = PAGE_SIZE;
	info->cache_line = cache_line_size();
	info->features = CMEM_FEATURE_SCRUB | CMEM_FEATURE_PRIVATE |
			 CMEM_FEATURE_BLOCK_ADD | CMEM_FEATURE_DMABUF |
			 CMEM_FEATURE_QUARANTINE | CMEM_FEATURE_ANY_ADDRESS |
			 CMEM_FEATURE_IMPORT | CMEM_FEATURE_CHANGES |
			 CMEM_FEATURE_PAGES;
	if (IS_ENABLED(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP))
		info->features |= CMEM_FEATURE_PMD;
	info->owner = command->file->owner;
	info->changes_offset = cmem_changes_offset();
	return cmem_respond(command);
}

int cmem_get_block(struct cmem_command *command)
{
	struct cmem_block_info *info = command->data;
	struct cmem_block *block;
	struct cmem_heap *heap;
	unsigned int i;

	if (info->flags)
		return -EOPNOTSUPP;
	block = cmem_block_lock(info->block);
	if (!block)
		return -ENOENT;

	heap = &block->heap;
	info->out_flags = block->keep_contents ? CMEM_BLOCK_KEEP_CONTENTS : 0;
	if (block->added)
		info->out_flags |= CMEM_BLOCK_ADDED;
	if (block->quarantine_config.all)
		info->out_flags |= CMEM_BLOCK_QUARANTINE;
	if (block->quarantine_config.num_rprocs)
		info->out_flags |= CMEM_BLOCK_RPROC;
	if (block->is_memory)
		info->out_flags |= CMEM_BLOCK_IS_MEMORY;
	if (block->coherent)
		info->out_flags |= CMEM_BLOCK_COHERENT;
	if (block->dma_heap_config.from_pools)
		info->out_flags |= CMEM_BLOCK_DMA_HEAP_POOLS;
	if (block->pages)
		info->out_flags |= CMEM_BLOCK_PAGES;
	if (block->can_pages)
		info->out_flags |= CMEM_BLOCK_CAN_PAGES;
	info->kind = block->kind;
	info->base = cmem_block_phys(block, 0);
	info->length = cmem_block_length(block);
	info->num_pools = block->num_pools;
	info->heap_size = (u64)heap->size << PAGE_SHIFT;
	info->heap_free = (u64)heap->free << PAGE_SHIFT;
	info->heap_clean = (u64)(heap->free - heap->dirty - heap->scrubbing) <<
			   PAGE_SHIFT;
	info->heap_largest = (u64)block->ops->largest(block) << PAGE_SHIFT;
	info->quarantined = (u64)block->quarantined_pages << PAGE_SHIFT;
	info->quarantined_buffers = block->quarantined;
	info->quarantine_ms = block->quarantine_config.ms;
	info->quota = block->quota == ULONG_MAX ? CMEM_NO_QUOTA :
		      (u64)block->quota << PAGE_SHIFT;
	info->charged = (u64)cmem_quota_used(block, command->file->user) <<
			PAGE_SHIFT;
	info->failed = (u64)block->heap_failed << PAGE_SHIFT;
	for (i = 0; i < block->num_pools; i++)
		info->failed += (u64)block->pools[i].failed *
				block->pools[i].pages << PAGE_SHIFT;
	info->pinned = (u64)block->pinned_length << PAGE_SHIFT;
	info->pinned_buffers = block->num_pinned;
	info->pinned_pages = block->pinned_pages;
	mutex_unlock(&block->lock);
	return cmem_respond(command);
}

int cmem_get_pool(struct cmem_command *command)
{
	struct cmem_pool_info *info = command->data;
	const struct cmem_carved_pool *pool;
	struct cmem_block *block;

	if (info->flags || info->__reserved)
		return -EOPNOTSUPP;
	block = cmem_block_lock(info->block);
	if (!block)
		return -ENOENT;
	if (info->pool >= block->num_pools) {
		mutex_unlock(&block->lock);
		return -ENOENT;
	}

	pool = &block->pools[array_index_nospec(info->pool, block->num_pools)];
	info->base = cmem_block_phys(block, pool->start);
	info->requested_length = pool->requested;
	info->length = (u64)pool->pages << PAGE_SHIFT;
	info->count = pool->slots.count;
	info->free = cmem_pool_free(&pool->slots);
	info->clean = pool->slots.num_clean;
	info->dirty = pool->slots.num_dirty;
	info->scrubbing = pool->slots.num_scrubbing;
	info->quarantined = pool->quarantined;
	info->failed = pool->failed;
	info->pinned = pool->pinned;
	info->pinned_pages = pool->pinned_pages;
	mutex_unlock(&block->lock);
	return cmem_respond(command);
}

int cmem_find_pool(struct cmem_command *command)
{
	struct cmem_find_pool *find = command->data;
	struct cmem_block *block;

	if (find->flags)
		return -EOPNOTSUPP;
	if (!find->length)
		return -EINVAL;
	block = cmem_pins_find_pool(find->block, find->length, &find->pool);
	if (!block)
		return -ENOENT;
	mutex_unlock(&block->lock);
	return find->pool < 0 ? find->pool : cmem_respond(command);
}

int cmem_add_block(struct cmem_command *command)
{
	const struct cmem_block_add *add = command->data;
	struct device *dev = cmem_misc.this_device;
	struct cmem_block_config *config;
	int ret;

	if (add->flags & ~(CMEM_BLOCK_KEEP_CONTENTS | CMEM_BLOCK_QUARANTINE |
			   CMEM_BLOCK_IS_MEMORY | CMEM_BLOCK_DMA_HEAP_POOLS |
			   CMEM_BLOCK_PAGES))
		return -EOPNOTSUPP;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (cmem_early_saves_dump()) {
		dev_err(dev, "block %d: this kernel saves a crash dump: cmem_kdump on its command line is what lets it make blocks\n",
			add->block);
		return -EPERM;
	}

	config = kmalloc(sizeof(*config), GFP_KERNEL);
	if (!config)
		return -ENOMEM;
	ret = cmem_config_user_block(dev, add, config);
	if (!ret)
		ret = cmem_block_add(dev, config);
	kfree(config);
	if (!ret)
		cmem_block_wait_for_names();
	return ret;
}

int cmem_remove_block(struct cmem_command *command)
{
	const struct cmem_block_remove *remove = command->data;

	if (remove->flags || remove->__reserved)
		return -EOPNOTSUPP;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	return cmem_block_remove(cmem_misc.this_device, remove->block);
}

int cmem_release_quarantined(struct cmem_command *command)
{
	struct cmem_release *release = command->data;
	u64 buffers = 1, pages;
	int ret;

	if (release->flags & ~CMEM_RELEASE_BUFFER || release->__reserved)
		return -EOPNOTSUPP;
	if (!(release->flags & CMEM_RELEASE_BUFFER) && release->phys_addr)
		return -EOPNOTSUPP;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;

	if (release->flags & CMEM_RELEASE_BUFFER) {
		ret = cmem_check_phys(release->phys_addr);
		if (!ret)
			ret = cmem_quarantine_release_buffer(release->block,
							     release->phys_addr >> PAGE_SHIFT,
							     &pages);
	} else {
		ret = cmem_quarantine_release(release->block, &buffers, &pages);
	}
	if (ret)
		return ret;
	release->buffers = buffers;
	release->bytes = pages << PAGE_SHIFT;
	return cmem_respond(command);
}
