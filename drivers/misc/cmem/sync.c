// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's own view of a block's memory, and cache maintenance through it.
 *
 * The streaming DMA API wants struct pages that are in the linear map, which a
 * no-map carveout is not. So the architecture's primitives that work by virtual
 * address run on a cached alias, one way for all kinds of memory: on 64 bit the
 * block is mapped once and for all, on 32 bit, where there is no room for that,
 * page by page. What is no RAM is mapped while it is worked on: the CPU may read ahead
 * of time wherever something is mapped, and that there is memory was not proved. (The
 * alias of SRAM is not cached, nor is any buffer in it.)
 *
 * What programs ask for is found under mmap_lock, held by a reference, and
 * worked on with no lock held. The alias of a live buffer that is not cached is
 * never touched: one cached line of it would be a second truth.
 */
#include <linux/cacheflush.h>
#include <linux/highmem.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#ifdef CONFIG_ARM
#include <asm/dcache_poc.h>
#endif
#ifdef CONFIG_X86
#include <asm/memtype.h>
#endif

#include "cmem.h"
#include "trace.h"

/* Between two looks at whether somebody else should run */
#define CMEM_ALIAS_CHUNK	SZ_256K

/**
 * cmem_alias_init - map a block for the kernel, where that is done once
 * @block: the block
 *
 * On x86 the mapping also makes sure that page table entries for this memory
 * are write-back, so it is kept for the block's whole life.
 *
 * SRAM is mapped as its driver maps it, and on 32 bit as well: page by page it
 * would be cached, and there is not much of it. Other memory that is no RAM is not
 * mapped here, but on x86.
 *
 * Return: 0 or -ENOMEM.
 */
int cmem_alias_init(struct cmem_block *block)
{
	unsigned long flags = MEMREMAP_WB;

	if (block->kind == CMEM_KIND_SRAM)
		flags = MEMREMAP_WC;
	else if (!IS_ENABLED(CONFIG_64BIT) ||
		 (!IS_ENABLED(CONFIG_X86) && !block->is_ram))
		return 0;

	block->alias = memremap(PFN_PHYS(block->base_pfn),
				PFN_PHYS(block->num_pages), flags);
	return block->alias ? 0 : -ENOMEM;
}

/**
 * cmem_alias_is_uncached - tell whether memory has another type than was asked for
 * @block: the block, whose alias there is
 *
 * On x86, an MTRR or another mapping decides, and memremap() does not say so. All
 * mappings have that type then, and work, but slowly.
 *
 * Return: true if its pages are recorded as uncached or write-combining.
 */
bool cmem_alias_is_uncached(const struct cmem_block *block)
{
#ifdef CONFIG_X86
	return pat_enabled() && pat_pfn_immune_to_uc_mtrr(block->base_pfn);
#else
	return false;
#endif
}

void cmem_alias_exit(struct cmem_block *block)
{
	if (block->alias)
		memunmap(block->alias);
	block->alias = NULL;
}

/* The kernel has the block mapped for good. */
static bool cmem_alias_is_there(const struct cmem_block *block)
{
	return block->alias ||
	       (IS_ENABLED(CONFIG_64BIT) && block->kind == CMEM_KIND_CMA);
}

/* Map what follows a physical address, and cut length to what was mapped. */
static void *cmem_alias_map(struct cmem_block *block, u64 offset, size_t *length)
{
	phys_addr_t phys = cmem_block_phys(block, 0) + offset;
	size_t in_page = offset_in_page(offset);
	void *va;

	if (cmem_alias_is_there(block))
		return block->alias ? block->alias + offset : phys_to_virt(phys);

	if (IS_ENABLED(CONFIG_HIGHMEM)) {
		*length = min_t(size_t, *length, PAGE_SIZE - in_page);
		return kmap_local_pfn(PHYS_PFN(phys)) + in_page;
	}

	va = memremap(phys - in_page, *length + in_page, MEMREMAP_WB);
	return va ? va + in_page : NULL;
}

static void cmem_alias_unmap(struct cmem_block *block, void *va)
{
	if (cmem_alias_is_there(block))
		return;

	if (IS_ENABLED(CONFIG_HIGHMEM))
		kunmap_local(va);
	else
		memunmap((void *)((unsigned long)va & PAGE_MASK));
}

/**
 * cmem_alias_for_each - do something with memory that the kernel maps for it
 * @block: the block
 * @offset: of the first byte in the block
 * @length: in bytes
 * @killable: give up on a fatal signal
 * @fn: called for one run after the other; must not sleep
 * @arg: for @fn
 *
 * May sleep between two calls of @fn.
 *
 * Return: 0, -EINTR, or -ENOMEM when there is no room to map it.
 */
int cmem_alias_for_each(struct cmem_block *block, u64 offset, u64 length,
			bool killable, cmem_alias_fn fn, void *arg)
{
	while (length) {
		size_t run = min_t(u64, length, CMEM_ALIAS_CHUNK);
		void *va;

		va = cmem_alias_map(block, offset, &run);
		if (!va)
			return -ENOMEM;
		fn(block, va, cmem_block_phys(block, 0) + offset, run, arg);
		cmem_alias_unmap(block, va);
		cond_resched();

		offset += run;
		length -= run;
		if (length && killable && fatal_signal_pending(current))
			return -EINTR;
	}
	return 0;
}

/**
 * cmem_cache_maintain - maintain the CPU's caches over a run of memory
 * @va: its first byte in a cached alias
 * @phys: its physical address
 * @length: in bytes
 * @op: what to do
 *
 * Lines at the ends that reach beyond the run are written back before they are
 * invalidated: the architectures' primitives see to that.
 */
void cmem_cache_maintain(void *va, phys_addr_t phys, size_t length,
			 enum cmem_sync_op op)
{
#if defined(CONFIG_ARM64)
	unsigned long start = (unsigned long)va;
	unsigned long end = start + length;

	switch (op) {
	case CMEM_SYNC_WRITE_BACK:
		dcache_clean_poc(start, end);
		break;
	case CMEM_SYNC_INVALIDATE:
		dcache_inval_poc(start, end);
		break;
	case CMEM_SYNC_WRITE_BACK_INVALIDATE:
		dcache_clean_inval_poc(start, end);
		break;
	}
#elif defined(CONFIG_ARM)
	switch (op) {
	case CMEM_SYNC_WRITE_BACK:
		arm_dcache_clean_poc(va, phys, length);
		break;
	case CMEM_SYNC_INVALIDATE:
		arm_dcache_inval_poc(va, phys, length);
		break;
	case CMEM_SYNC_WRITE_BACK_INVALIDATE:
		arm_dcache_clean_inval_poc(va, phys, length);
		break;
	}
#endif
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

/* Map one page as the programs do that have a buffer which is not cached. */
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
 * cmem_buffer_copy - read or write a buffer, in at most one of its pages
 * @buffer: a buffer that the caller holds
 * @offset: of the first byte in the buffer
 * @data: to copy to or from
 * @length: in bytes, within one page
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
	if (extent.block->coherent || buffer->flags & CMEM_BUFFER_CACHED)
		return cmem_alias_for_each(extent.block,
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

/* Whether programs' and the kernel's mappings of a buffer are cached */
static bool cmem_buffer_is_cached(const struct cmem_buffer *buffer)
{
	const struct cmem_block *block = cmem_buffer_block(buffer);

	if (block->kind == CMEM_KIND_SRAM)
		return false;
	return block->coherent || buffer->flags & CMEM_BUFFER_CACHED;
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

/* The part of the block's own mapping that shows a buffer as programs see it, if any */
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
 * cmem_buffer_vmap - map all of a buffer for the kernel, as programs have it mapped
 * @buffer: a buffer that the caller holds
 *
 * May sleep.
 *
 * Return: where it is mapped, or NULL when there is no room for that.
 */
void *cmem_buffer_vmap(struct cmem_buffer *buffer)
{
	bool cached = cmem_buffer_is_cached(buffer);
	void *va = cmem_buffer_alias(buffer);
	struct cmem_extent extent;

	if (va)
		return va;
	cmem_buffer_locate(buffer, &extent);
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
 * @va: what that returned
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

static void cmem_sync_run(struct cmem_block *block, void *va, phys_addr_t phys,
			  size_t length, void *arg)
{
	enum cmem_sync_op *op = arg;

	trace_cmem_sync(phys, length, *op);
	cmem_cache_maintain(va, phys, length, *op);
}

/* Leave out pages that have failed. The offset is one in the block. */
static int cmem_sync_around(struct cmem_block *block, u64 offset, u64 length,
			    bool killable, enum cmem_sync_op op)
{
	unsigned long page, well, last = (offset + length - 1) >> PAGE_SHIFT;
	u64 end = offset + length, next;
	int ret, failed = 0;

	for (; offset < end; offset = next) {
		page = offset >> PAGE_SHIFT;
		well = cmem_failure_before(block, block->base_pfn + page,
					   last - page + 1);
		next = min(end, (u64)(page + well) << PAGE_SHIFT);
		if (!well) {
			next = (u64)(page + 1) << PAGE_SHIFT;
			failed = -EHWPOISON;
			continue;
		}
		ret = cmem_alias_for_each(block, offset, next - offset,
					  killable, cmem_sync_run, &op);
		if (ret)
			return ret;
	}
	return failed;
}

/**
 * cmem_buffer_sync - maintain the caches over a part of a buffer
 * @buffer: a buffer that the caller holds
 * @offset: of the first byte in the buffer
 * @length: in bytes
 * @killable: give up on a fatal signal
 * @op: what to do
 *
 * Does so for a coherent block as well: there may be a device that is not. Leaves
 * alone what is not cached. May sleep.
 *
 * Return: 0, -EINTR, -ENOMEM when there is no room to map it, or -EHWPOISON when memory
 * there has failed and all that is well has been worked on.
 */
int cmem_buffer_sync(struct cmem_buffer *buffer, u64 offset, u64 length,
		     bool killable, enum cmem_sync_op op)
{
	struct cmem_extent extent;

	if (CMEM_ALWAYS_COHERENT || !cmem_buffer_is_cached(buffer))
		return 0;

	cmem_buffer_locate(buffer, &extent);
	offset += (u64)extent.start << PAGE_SHIFT;
	if (cmem_block_has_failed(extent.block))
		return cmem_sync_around(extent.block, offset, length, killable,
					op);
	return cmem_alias_for_each(extent.block, offset, length, killable,
				   cmem_sync_run, &op);
}

/* The same for a program, which has told the address to a device that the block knows. */
static int cmem_sync_buffer(struct cmem_buffer *buffer, u64 offset, u64 length,
			    enum cmem_sync_op op)
{
	if (cmem_buffer_block(buffer)->coherent)
		return 0;
	return cmem_buffer_sync(buffer, offset, length, true, op);
}

/**
 * struct cmem_piece - the part of a range that is in one mapping
 * @buffer: what is mapped there, held
 * @offset: of the first byte in the buffer
 * @length: in bytes
 * @writable: the mapping is, or could be made so
 */
struct cmem_piece {
	struct cmem_buffer *buffer;
	u64 offset;
	u64 length;
	bool writable;
};

/* Find the mapping that a user address is in, and hold its buffer. */
static int cmem_sync_find(unsigned long address, unsigned long length,
			  struct cmem_piece *piece)
{
	struct vm_area_struct *vma;
	struct cmem_extent extent;

	vma = cmem_vma_lock(address, &piece->buffer);
	if (IS_ERR(vma))
		return PTR_ERR(vma);

	cmem_buffer_get(piece->buffer);
	cmem_buffer_locate(piece->buffer, &extent);
	piece->offset = cmem_vma_phys(vma, address) - PFN_PHYS(extent.pfn);
	piece->length = min(length, vma->vm_end - address);
	piece->writable = vma->vm_flags & VM_MAYWRITE;
	mmap_read_unlock(current->mm);
	return 0;
}

/* Memory that has failed is told of when what is well has been worked on. */
static bool cmem_sync_is_over(int ret, int *failed)
{
	if (ret == -EHWPOISON)
		*failed = ret;
	return ret && ret != -EHWPOISON;
}

/* Go over the mappings of a range, and maintain the caches if asked to. */
static int cmem_sync_range(const struct cmem_sync_range *range, bool maintain)
{
	unsigned long address = range->user_addr;
	unsigned long left = range->length;
	enum cmem_sync_op op = range->op;
	struct cmem_piece piece;
	int ret, failed = 0;

	while (left) {
		if (fatal_signal_pending(current))
			return -EINTR;
		ret = cmem_sync_find(address, left, &piece);
		if (ret)
			return ret;
		/* Who may not write must not drop what another one wrote. */
		if (op == CMEM_SYNC_INVALIDATE && !piece.writable)
			op = CMEM_SYNC_WRITE_BACK_INVALIDATE;
		if (maintain)
			ret = cmem_sync_buffer(piece.buffer, piece.offset,
					       piece.length, op);
		cmem_buffer_put(piece.buffer);
		if (cmem_sync_is_over(ret, &failed))
			return ret;
		address += piece.length;
		left -= piece.length;
		op = range->op;
		cond_resched();
	}
	return failed;
}

static int cmem_sync_check(const struct cmem_sync_range *range)
{
	unsigned long address, length;
	u64 end;

	if (range->__reserved || range->op < CMEM_SYNC_WRITE_BACK ||
	    range->op > CMEM_SYNC_WRITE_BACK_INVALIDATE)
		return -EOPNOTSUPP;
	if (!range->length)
		return -EINVAL;
	if (check_add_overflow(range->user_addr, range->length, &end))
		return -EOVERFLOW;
	/* On 32 bit, what is above 4 GiB is no user's address. */
	if (overflows_type(range->user_addr, address) ||
	    overflows_type(range->length, length))
		return -EFAULT;
	return 0;
}

/**
 * cmem_sync_array - maintain the caches over ranges of user addresses
 * @ranges: array, of which nothing has been checked
 * @count: its length
 *
 * Return: 0, or as struct cmem_sync in the UAPI header says.
 */
int cmem_sync_array(const struct cmem_sync_range *ranges, u32 count)
{
	int ret = 0, failed = 0;
	u32 i;

	for (i = 0; i < count && !ret; i++)
		ret = cmem_sync_check(&ranges[i]);
	for (i = 0; i < count && !ret; i++)
		ret = cmem_sync_range(&ranges[i], false);
	if (ret)
		return ret;
	for (i = 0; i < count; i++) {
		ret = cmem_sync_range(&ranges[i], true);
		if (cmem_sync_is_over(ret, &failed))
			return ret;
	}
	return failed;
}

/**
 * cmem_sync_ranges - maintain the caches over ranges of user addresses
 * @ranges: array in user space
 * @count: its length, 1 to CMEM_MAX_SYNC_RANGES
 *
 * Return: 0, or as struct cmem_sync in the UAPI header says.
 */
int cmem_sync_ranges(const struct cmem_sync_range __user *ranges, u32 count)
{
	struct cmem_sync_range one, *copy = &one;
	int ret;

	if (count > 1)
		copy = memdup_array_user(ranges, count, sizeof(*ranges));
	else if (copy_from_user(&one, ranges, sizeof(one)))
		return -EFAULT;
	if (IS_ERR(copy))
		return PTR_ERR(copy);

	ret = cmem_sync_array(copy, count);
	if (copy != &one)
		kfree(copy);
	return ret;
}

static int cmem_sync_list(struct cmem_file *file, bool shared,
			  enum cmem_sync_op op)
{
	unsigned long left = READ_ONCE(*(shared ? &file->num_shared :
					 &file->num_allocated));
	struct cmem_buffer *buffers[16];
	struct cmem_extent extent;
	unsigned int i, count;
	int ret = 0, failed = 0;
	bool over = false;

	while (left && !over) {
		count = min_t(unsigned long, left, ARRAY_SIZE(buffers));
		count = cmem_file_get_buffers(file, shared, buffers, count);
		if (!count)
			break;

		for (i = 0; i < count; i++) {
			cmem_buffer_locate(buffers[i], &extent);
			if (!over)
				ret = cmem_sync_buffer(buffers[i], 0,
						       (u64)extent.pages <<
						       PAGE_SHIFT, op);
			over = cmem_sync_is_over(ret, &failed);
			cmem_buffer_put(buffers[i]);
		}
		left -= count;
		cond_resched();
		if (!over && fatal_signal_pending(current))
			return -EINTR;
	}
	return over ? ret : failed;
}

/**
 * cmem_sync_all - maintain the caches over all cached buffers of a file
 * @file: the file
 * @op: CMEM_SYNC_WRITE_BACK or CMEM_SYNC_WRITE_BACK_INVALIDATE
 *
 * Return: 0, -EINTR, -ENOMEM, or -EHWPOISON when memory has failed and all that is well
 * has been worked on.
 */
int cmem_sync_all(struct cmem_file *file, enum cmem_sync_op op)
{
	int ret, failed = 0;

	if (mutex_lock_killable(&file->sync_lock))
		return -EINTR;

	ret = cmem_sync_list(file, false, op);
	if (!cmem_sync_is_over(ret, &failed))
		ret = cmem_sync_list(file, true, op);
	mutex_unlock(&file->sync_lock);
	return ret ?: failed;
}
