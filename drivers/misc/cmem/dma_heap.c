// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each block as DMA-BUF heaps: /dev/dma_heap/cmem-<number>, or cmem-cma; the same with
 * the suffix -uncached; and names that the board chooses, for programs that look for
 * these.
 *
 * Programs written for DMA-BUF heaps thus get this memory without a change. Their buffers
 * have no file of /dev/cmem, only the DMA-BUF. They are always zeroed, unless the block
 * keeps its contents, and exactly as long as requested. Pools are for programs that name
 * them: a heap takes only buffers of exactly the right length from a pool, unless the
 * block has CMEM_BLOCK_DMA_HEAP_POOLS.
 *
 * A heap can't be removed, and the system has room for few. It stays with its struct
 * cmem_block, which stays as well, and allocates nothing while the block is removed. A
 * name of a removed block may move to another block.
 */
#define pr_fmt(fmt) "cmem: " fmt

#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/err.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "alloc.h"
#include "block.h"
#include "buffer.h"
#include "dma_heap.h"
#include "dmabuf.h"
#include "params.h"

/* Added blocks get heaps of their number only below this. */
#define CMEM_DMA_HEAP_ADDED	32

/**
 * struct cmem_dma_heap - a DMA-BUF heap of ours
 * @in_heaps: in the list of all
 * @block: the block, NULL if it no longer has this name
 * @uncached: its buffers are not cached
 * @name: its name
 */
struct cmem_dma_heap {
	struct list_head in_heaps;
	struct cmem_block *block;
	bool uncached;
	char name[];
};

/* Heaps are only added. A heap's block changes only under the lock. */
static LIST_HEAD(cmem_dma_heaps);
static DEFINE_MUTEX(cmem_dma_heaps_lock);

static struct dma_buf *cmem_dma_heap_allocate(struct dma_heap *dma_heap,
					      unsigned long length, u32 fd_flags,
					      u64 heap_flags)
{
	const struct cmem_dma_heap *heap = dma_heap_get_drvdata(dma_heap);
	struct cmem_block *block = READ_ONCE(heap->block);
	bool uncached = READ_ONCE(heap->uncached);
	struct cmem_request request = {
		.pool = CMEM_POOL_BEST,
		.flags = CMEM_ALLOC_HEAP_FALLBACK | CMEM_REQUEST_EXACT |
			 (uncached ? 0 : CMEM_ALLOC_CACHED),
		.length = length,
	};
	struct cmem_buffer *buffer;

	if (!block)
		return ERR_PTR(-ENODEV);
	buffer = cmem_buffer_alloc_unowned(block, &request);
	if (!IS_ERR(buffer))
		return cmem_dmabuf_wrap(buffer, heap->name, PAGE_ALIGN(length),
					true, fd_flags);
	if (!READ_ONCE(block->present))
		return ERR_PTR(-ENODEV);
	/* A request longer than the block: other heaps fail with -ENOMEM, too. */
	return PTR_ERR(buffer) == -EINTR ? ERR_CAST(buffer) : ERR_PTR(-ENOMEM);
}

static const struct dma_heap_ops cmem_dma_heap_ops = {
	.allocate = cmem_dma_heap_allocate,
};

static struct cmem_dma_heap *cmem_dma_heap_find(const char *name)
{
	struct cmem_dma_heap *heap;

	list_for_each_entry(heap, &cmem_dma_heaps, in_heaps)
		if (!strcmp(heap->name, name))
			return heap;
	return NULL;
}

static int cmem_dma_heap_make(struct cmem_block *block, const char *name,
			      bool uncached)
{
	struct dma_heap_export_info info = { .ops = &cmem_dma_heap_ops };
	struct dma_heap *dma_heap;
	struct cmem_dma_heap *heap;
	size_t size = strlen(name) + 1;

	heap = kzalloc(struct_size(heap, name, size), GFP_KERNEL);
	if (!heap)
		return -ENOMEM;
	heap->block = block;
	heap->uncached = uncached;
	memcpy(heap->name, name, size);
	info.name = heap->name;
	info.priv = heap;
	dma_heap = dma_heap_add(&info);
	if (IS_ERR(dma_heap)) {
		kfree(heap);
		return PTR_ERR(dma_heap);
	}
	list_add_tail(&heap->in_heaps, &cmem_dma_heaps);
	return 0;
}

/* Whether @name is one of @names, which colons separate */
static bool cmem_dma_heap_is_among(const char *name, const char *names)
{
	size_t length = strlen(name);

	for (; *names; names += *names == ':') {
		size_t next = strcspn(names, ":");

		if (next == length && !strncmp(names, name, length))
			return true;
		names += next;
	}
	return false;
}

/* A block works without a heap, so a failure is only logged. */
static void cmem_dma_heap_add_name(struct cmem_block *block, const char *name,
				   bool uncached)
{
	struct cmem_dma_heap *heap = cmem_dma_heap_find(name);
	int ret;

	uncached |= !!strstr(name, "uncached");
	if (heap && heap->block && heap->block != block &&
	    READ_ONCE(heap->block->present)) {
		pr_warn("block %d: no DMA-BUF heap '%s' of it: block %d has that name\n",
			block->id, name, heap->block->id);
		return;
	}
	/* A removed block had the name, or this one has it. */
	if (heap) {
		WRITE_ONCE(heap->uncached, uncached);
		WRITE_ONCE(heap->block, block);
		return;
	}
	ret = cmem_dma_heap_make(block, name, uncached);
	/* A name that another heap has was logged already. */
	if (ret && ret != -EINVAL && ret != -EEXIST)
		pr_warn("block %d: no DMA-BUF heap '%s' of it: %pe\n",
			block->id, name, ERR_PTR(ret));
}

static void cmem_dma_heap_add_names(struct cmem_block *block, const char *names,
				    bool uncached)
{
	char *text = kstrdup(names, GFP_KERNEL), *rest = text, *name;

	while ((name = strsep(&rest, ":")))
		if (*name)
			cmem_dma_heap_add_name(block, name, uncached);
	kfree(text);
}

/**
 * cmem_dma_heap_add - make DMA-BUF heaps of a block that is public
 * @block: the block; it may have been a block before, and may be removed again by now
 */
void cmem_dma_heap_add(struct cmem_block *block)
{
	const char *params = cmem_params_dma_heap_names(block->id);
	char names[CMEM_MAX_DMA_HEAP_NAMES], own[64] = "";
	struct cmem_dma_heap *heap;
	bool added, uncached;

	guard(mutex)(&cmem_dma_heaps_lock);

	mutex_lock(&block->lock);
	if (!block->present) {
		mutex_unlock(&block->lock);
		return;
	}
	added = block->added;
	uncached = block->dma_heap_config.uncached;
	strscpy(names, block->dma_heap_config.names, sizeof(names));
	mutex_unlock(&block->lock);

	if (block->id == CMEM_BLOCK_CMA)
		strscpy(own, "cmem-cma:cmem-cma-uncached", sizeof(own));
	else if (!added || block->id < CMEM_DMA_HEAP_ADDED)
		snprintf(own, sizeof(own), "cmem-%d:cmem-%d-uncached", block->id,
			 block->id);
	else
		pr_info("block %d: no DMA-BUF heap cmem-%d: it would be there for good, so blocks that are loaded have one up to number %d\n",
			block->id, block->id, CMEM_DMA_HEAP_ADDED - 1);

	/* Drop names of an earlier block of this number. */
	list_for_each_entry(heap, &cmem_dma_heaps, in_heaps)
		if (heap->block == block &&
		    !cmem_dma_heap_is_among(heap->name, own) &&
		    !cmem_dma_heap_is_among(heap->name, names) &&
		    !cmem_dma_heap_is_among(heap->name, params))
			WRITE_ONCE(heap->block, NULL);

	cmem_dma_heap_add_names(block, own, false);
	cmem_dma_heap_add_names(block, names, uncached);
	cmem_dma_heap_add_names(block, params, false);
}
