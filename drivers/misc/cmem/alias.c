// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's own mapping of a block's memory: its alias.
 *
 * The streaming DMA API needs struct pages in the linear map, but a no-map carveout is
 * not in it. So the architecture's primitives, which take virtual addresses, run on a
 * cached alias, in the same way for all kinds of memory. On 64 bit, memory in the linear
 * map uses that. Other memory is mapped during the work, or while there are cached
 * buffers. On x86, it stays mapped. On 32 bit, memory is mapped page by page. The alias
 * of SRAM is not cached, like all buffers in SRAM.
 *
 * The alias of a live non-cached buffer is neither read nor written: a cacheline of it
 * would conflict with the non-cached mappings.
 */
#include <linux/cacheflush.h>
#include <linux/highmem.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#ifdef CONFIG_ARM64
#include <asm/tlbflush.h>
#endif
#ifdef CONFIG_X86
#include <asm/memtype.h>
#endif

#include "alias.h"
#include "block.h"
#include "buffer.h"

/* Size of the work between two cond_resched() calls */
#define CMEM_ALIAS_CHUNK	SZ_256K

/* Size that is mapped at a time during the work: at best, one huge page */
#define CMEM_ALIAS_RUN		SZ_2M

/* Fixed cost of mapping memory and flushing the TLB afterwards, in mapped pages */
#define CMEM_ALIAS_OVERHEAD	128

static_assert(CMEM_ALIAS_RUN % CMEM_ALIAS_CHUNK == 0);

/*
 * Whether the kernel maps a block only while needed, as no-map demands. The CPU may read
 * mapped memory speculatively. It must not where a firewall protects the memory of
 * another processor, or where it is not certain that there is memory.
 *
 * On x86, the alias also ensures that page table entries for this memory are write-back,
 * so it is kept for the block's lifetime. On 32 bit, there is no address space for one.
 */
static bool cmem_alias_is_on_demand(const struct cmem_block *block)
{
	return IS_ENABLED(CONFIG_64BIT) && !IS_ENABLED(CONFIG_X86) &&
	       (block->kind == CMEM_KIND_CARVEOUT || !block->is_ram) &&
	       block->kind != CMEM_KIND_SRAM && block->kind != CMEM_KIND_CMA;
}

/**
 * cmem_alias_init - make the alias of a block that keeps it for its lifetime
 * @block: the block
 *
 * SRAM is mapped write-combining like its driver's mapping, also on 32 bit: page by page,
 * it would be cached. It is small enough.
 *
 * Return: 0 or -ENOMEM.
 */
int cmem_alias_init(struct cmem_block *block)
{
	unsigned long flags = MEMREMAP_WB;

	block->alias_on_demand = cmem_alias_is_on_demand(block);
	if (block->kind == CMEM_KIND_SRAM)
		flags = MEMREMAP_WC;
	else if (!IS_ENABLED(CONFIG_64BIT) || block->alias_on_demand)
		return 0;

	block->alias = memremap(PFN_PHYS(block->base_pfn),
				PFN_PHYS(block->num_pages), flags);
	return block->alias ? 0 : -ENOMEM;
}

/**
 * cmem_alias_is_uncached - tell if memory has another type than requested
 * @block: the block, with an alias
 *
 * On x86, an MTRR or another mapping can override the type, which memremap() does not
 * report. All mappings then have that type. They work, but slowly.
 *
 * Return: true if the pages are tracked as uncached or write-combining.
 */
bool cmem_alias_is_uncached(const struct cmem_block *block)
{
#ifdef CONFIG_X86
	return pat_enabled() && pat_pfn_immune_to_uc_mtrr(block->base_pfn);
#else
	return false;
#endif
}

/* Unmap. Flush the TLB at once, not lazily as vmalloc does, to stop speculative reads. */
static void cmem_alias_memunmap(void *va, size_t length)
{
#ifdef CONFIG_ARM64
	unsigned long start = (unsigned long)va & PAGE_MASK;
	unsigned long end = PAGE_ALIGN((unsigned long)va + length);

	memunmap((void *)start);
	flush_tlb_kernel_range(start, end);
#else
	memunmap((void *)((unsigned long)va & PAGE_MASK));
#endif
}

void cmem_alias_exit(struct cmem_block *block)
{
	if (block->alias)
		memunmap(block->alias);
}

static void cmem_alias_leave(struct cmem_block *block)
{
	void *alias = block->alias;

	if (--block->alias_users)
		return;
	block->alias_cost = 0;
	if (!alias)
		return;
	WRITE_ONCE(block->alias, NULL);
	cmem_alias_memunmap(alias, PFN_PHYS(block->num_pages));
}

/* See cmem_alias_release(). */
void __cmem_alias_release(struct cmem_buffer *buffer)
{
	buffer->flags &= ~CMEM_BUFFER_ALIASED;
	cmem_alias_leave(cmem_buffer_block(buffer));
}

/*
 * Whether to map all of a block, given work on @length more bytes of it. That is slow
 * without huge pages, and wasted if the last cached buffer is freed soon. So do it once
 * mapping parts of the block has cost as much.
 */
static bool cmem_alias_pays(struct cmem_block *block, u64 length)
{
	block->alias_cost += CMEM_ALIAS_OVERHEAD +
			     min_t(u64, length >> PAGE_SHIFT, block->num_pages);
	return block->alias_cost >= block->num_pages;
}

/*
 * Get the alias of a block for work on @length bytes, or NULL if the caller must map the
 * memory it works on. The caller holds @buffer, if not NULL. If @buffer is NULL or does
 * not itself keep the alias (CMEM_BUFFER_ALIASED), an existing on-demand alias is pinned
 * for the work, and @joined is set.
 */
static void *cmem_alias_begin(struct cmem_block *block,
			      const struct cmem_buffer *buffer, u64 length,
			      bool *joined)
{
	bool held = buffer && READ_ONCE(buffer->flags) & CMEM_BUFFER_ALIASED;
	void *alias = READ_ONCE(block->alias);

	*joined = false;
	if (!block->alias_on_demand || (held && alias))
		return alias;

	guard(mutex)(&block->lock);
	if (held && !block->alias && cmem_alias_pays(block, length))
		WRITE_ONCE(block->alias, memremap(PFN_PHYS(block->base_pfn),
						  PFN_PHYS(block->num_pages),
						  MEMREMAP_WB));
	if (!held && block->alias) {
		block->alias_users++;
		*joined = true;
	}
	return block->alias;
}

static void cmem_alias_end(struct cmem_block *block, bool joined)
{
	if (!joined)
		return;
	mutex_lock(&block->lock);
	cmem_alias_leave(block);
	mutex_unlock(&block->lock);
}

/* Map memory from a physical address on, and cut @length to what was mapped. */
static void *cmem_alias_map(phys_addr_t phys, size_t *length)
{
	size_t in_page = offset_in_page(phys);
	void *va;

	if (IS_ENABLED(CONFIG_HIGHMEM)) {
		*length = min_t(size_t, *length, PAGE_SIZE - in_page);
		return kmap_local_pfn(PHYS_PFN(phys)) + in_page;
	}

	*length = min_t(size_t, *length, CMEM_ALIAS_RUN - phys % CMEM_ALIAS_RUN);
	va = memremap(phys - in_page, *length + in_page, MEMREMAP_WB);
	return va ? va + in_page : NULL;
}

static void cmem_alias_unmap(void *va, size_t length)
{
	if (IS_ENABLED(CONFIG_HIGHMEM))
		kunmap_local(va);
	else
		cmem_alias_memunmap(va, length);
}

/* Work on a mapped run, and reschedule in between. */
static int cmem_alias_work(struct cmem_block *block, void *va, phys_addr_t phys,
			   size_t length, bool killable, cmem_alias_fn fn,
			   void *arg)
{
	size_t run;

	for (; length; va += run, phys += run, length -= run) {
		/* Aligned, so that no cacheline is split and worked on twice. */
		run = min_t(size_t, length,
			    CMEM_ALIAS_CHUNK - phys % CMEM_ALIAS_CHUNK);
		fn(block, va, phys, run, arg);
		cond_resched();
		if (length > run && killable && fatal_signal_pending(current))
			return -EINTR;
	}
	return 0;
}

/**
 * cmem_alias_for_each - call a function on mapped memory of a block
 * @block: the block, not locked
 * @buffer: the buffer of this memory, held by the caller, or NULL for free memory
 * @offset: offset of the first byte in the block
 * @length: length in bytes
 * @killable: stop on a fatal signal
 * @fn: called for each run of memory; must not sleep
 * @arg: passed to @fn
 *
 * May sleep between two calls of @fn.
 *
 * Return: 0, -EINTR, or -ENOMEM if the memory can't be mapped.
 */
int cmem_alias_for_each(struct cmem_block *block,
			const struct cmem_buffer *buffer, u64 offset,
			u64 length, bool killable, cmem_alias_fn fn, void *arg)
{
	phys_addr_t phys = cmem_block_phys(block, 0) + offset;
	void *va, *alias;
	bool joined;
	int ret = 0;

	if (IS_ENABLED(CONFIG_64BIT) && block->kind == CMEM_KIND_CMA)
		return cmem_alias_work(block, phys_to_virt(phys), phys, length,
				       killable, fn, arg);

	alias = cmem_alias_begin(block, buffer, length, &joined);
	if (alias)
		ret = cmem_alias_work(block, alias + offset, phys, length,
				      killable, fn, arg);
	while (!alias && length && !ret) {
		size_t run = min_t(u64, length, CMEM_ALIAS_RUN);

		/* Without an alias, joined is false. */
		va = cmem_alias_map(phys, &run);
		if (!va)
			return -ENOMEM;
		ret = cmem_alias_work(block, va, phys, run, killable, fn, arg);
		cmem_alias_unmap(va, run);
		phys += run;
		length -= run;
		if (length && !ret && killable && fatal_signal_pending(current))
			ret = -EINTR;
	}
	cmem_alias_end(block, joined);
	return ret;
}

struct cmem_copy {
	void *data;
	bool write;
};

static void cmem_copy_run(struct cmem_block *block, void *va, phys_addr_t phys,
			  size_t length, void *arg)
{
	struct cmem_copy *copy = arg;

	if (copy->write)
		memcpy(va, copy->data, length);
	else
		memcpy(copy->data, va, length);
	copy->data += length;
}

/* Map one page write-combining, as programs map a non-cached buffer. */
static void *cmem_map_uncached(unsigned long pfn)
{
	struct page *page;

	if (!pfn_valid(pfn))
		return memremap(PFN_PHYS(pfn), PAGE_SIZE, MEMREMAP_WC);

	page = pfn_to_page(pfn);
	return vmap(&page, 1, VM_MAP, pgprot_writecombine(PAGE_KERNEL));
}

static void cmem_unmap_uncached(unsigned long pfn, void *va)
{
	if (!pfn_valid(pfn))
		memunmap(va);
	else
		vunmap(va);
}

/**
 * cmem_buffer_copy - read or write a buffer, within one page
 * @buffer: a buffer that the caller holds
 * @offset: offset of the first byte in the buffer
 * @data: memory to copy to or from
 * @length: length in bytes, within one page
 * @write: copy to the buffer
 *
 * Return: 0 or -ENOMEM.
 */
int cmem_buffer_copy(struct cmem_buffer *buffer, u64 offset, void *data,
		     size_t length, bool write)
{
	struct cmem_copy copy = { .data = data, .write = write };
	struct cmem_extent extent;
	unsigned long pfn;
	void *va;

	cmem_buffer_locate(buffer, &extent);
	if (extent.block->coherent ||
	    READ_ONCE(buffer->flags) & CMEM_BUFFER_CACHED)
		return cmem_alias_for_each(extent.block, buffer,
					   ((u64)extent.start << PAGE_SHIFT) +
					   offset, length, false,
					   cmem_copy_run, &copy);

	pfn = extent.block->base_pfn + extent.start + (offset >> PAGE_SHIFT);
	va = cmem_map_uncached(pfn);
	if (!va)
		return -ENOMEM;
	cmem_copy_run(extent.block, va + offset_in_page(offset), 0, length,
		      &copy);
	cmem_unmap_uncached(pfn, va);
	return 0;
}

static void *cmem_vmap_pages(unsigned long pfn, unsigned long count,
			     pgprot_t prot)
{
	struct page **pages;
	unsigned long i;
	void *va;

	pages = kvmalloc_array(count, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return NULL;
	for (i = 0; i < count; i++)
		pages[i] = pfn_to_page(pfn + i);
	va = vmap(pages, count, VM_MAP, prot);
	kvfree(pages);
	return va;
}

/*
 * The buffer's part of the block's alias, if that has the same memory type as programs'
 * mappings. Once made, an on-demand alias exists at least as long as the buffer.
 */
static void *cmem_buffer_alias(const struct cmem_buffer *buffer)
{
	struct cmem_extent extent;

	cmem_buffer_locate(buffer, &extent);
	if (extent.block->kind != CMEM_KIND_SRAM &&
	    (!IS_ENABLED(CONFIG_64BIT) || !cmem_buffer_is_cached(buffer)))
		return NULL;
	if (extent.block->kind == CMEM_KIND_CMA)
		return phys_to_virt(PFN_PHYS(extent.pfn));
	if (!extent.block->alias)
		return NULL;
	return extent.block->alias + ((size_t)extent.start << PAGE_SHIFT);
}

/**
 * cmem_buffer_vmap - map a buffer for the kernel, with the type of programs' mappings
 * @buffer: a buffer that the caller holds
 *
 * May sleep.
 *
 * Return: the virtual address, or NULL if there is no memory to map it.
 */
void *cmem_buffer_vmap(struct cmem_buffer *buffer)
{
	bool cached = cmem_buffer_is_cached(buffer), joined;
	struct cmem_extent extent;
	void *va;

	cmem_buffer_locate(buffer, &extent);
	/* Always use the alias: cmem_buffer_vunmap() undoes nothing if there is one. */
	if (READ_ONCE(buffer->flags) & CMEM_BUFFER_ALIASED &&
	    !cmem_alias_begin(extent.block, buffer, U64_MAX, &joined))
		return NULL;
	va = cmem_buffer_alias(buffer);
	if (va)
		return va;
	if (!extent.block->has_pages)
		return memremap(PFN_PHYS(extent.pfn),
				PFN_PHYS(extent.pages),
				cached ? MEMREMAP_WB : MEMREMAP_WC);
	return cmem_vmap_pages(extent.pfn, extent.pages,
			       cached ? PAGE_KERNEL :
					pgprot_writecombine(PAGE_KERNEL));
}

/**
 * cmem_buffer_vunmap - undo cmem_buffer_vmap()
 * @buffer: the buffer
 * @va: the address that it returned
 */
void cmem_buffer_vunmap(struct cmem_buffer *buffer, void *va)
{
	if (cmem_buffer_alias(buffer))
		return;
	if (cmem_buffer_block(buffer)->has_pages)
		vunmap(va);
	else
		memunmap(va);
}
