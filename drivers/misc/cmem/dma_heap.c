// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each block as a DMA-BUF heap: /dev/dma_heap/cmem-<number>, or cmem-cma.
 *
 * So programs that know DMA-BUF heaps get this memory with the code that they have.
 * What they get has no file of /dev/cmem, only the DMA-BUF; it is always clean, unless
 * the block keeps its contents, and cached, as that of other heaps is.
 *
 * A heap can't be taken away again. It stays with the block, which stays as well, and
 * has nothing to give as long as the block is removed.
 */
#define pr_fmt(fmt) "cmem: " fmt

#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/err.h>
#include <linux/slab.h>

#include "cmem.h"
#include "dmabuf.h"

static struct dma_buf *cmem_dma_heap_allocate(struct dma_heap *heap,
					      unsigned long length, u32 fd_flags,
					      u64 heap_flags)
{
	struct cmem_block *block = dma_heap_get_drvdata(heap);
	struct cmem_request request = {
		.pool = CMEM_POOL_BEST,
		.flags = CMEM_ALLOC_CACHED | CMEM_ALLOC_HEAP_FALLBACK,
		.length = length,
	};
	struct cmem_buffer *buffer;

	buffer = cmem_buffer_alloc_unowned(block, &request);
	if (!IS_ERR(buffer))
		return cmem_dmabuf_wrap(buffer, dma_heap_get_name(heap), true,
					fd_flags);
	if (!READ_ONCE(block->present))
		return ERR_PTR(-ENODEV);
	/* Longer than the block: other heaps call that no room. */
	return PTR_ERR(buffer) == -EINTR ? ERR_CAST(buffer) : ERR_PTR(-ENOMEM);
}

static const struct dma_heap_ops cmem_dma_heap_ops = {
	.allocate = cmem_dma_heap_allocate,
};

/**
 * cmem_dma_heap_add - make a DMA-BUF heap of a block that is there for everybody
 * @block: the block, which may have been one before
 *
 * Without a heap a block is still a block: that it failed is logged only.
 */
void cmem_dma_heap_add(struct cmem_block *block)
{
	struct dma_heap_export_info info = {
		.ops = &cmem_dma_heap_ops,
		.priv = block,
	};
	struct dma_heap *heap;

	if (block->dma_heap)
		return;

	info.name = block->id == CMEM_BLOCK_CMA ?
		    kstrdup("cmem-cma", GFP_KERNEL) :
		    kasprintf(GFP_KERNEL, "cmem-%d", block->id);
	heap = info.name ? dma_heap_add(&info) : ERR_PTR(-ENOMEM);
	if (IS_ERR(heap)) {
		pr_warn("block %d: no DMA-BUF heap of it: %pe\n", block->id,
			heap);
		kfree(info.name);
		return;
	}
	block->dma_heap = heap;
}
