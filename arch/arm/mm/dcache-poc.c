// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data cache maintenance to the point of coherency, by virtual address.
 *
 * The range must be mapped with the kernel's normal cached attributes, and be
 * physically contiguous: inner caches are maintained by its virtual address,
 * outer ones by its physical address. Lines at the ends that reach beyond the
 * range are written back before they are invalidated.
 */
#include <linux/cacheflush.h>
#include <linux/dma-direction.h>
#include <linux/mm.h>
#include <linux/types.h>

#include <asm/dcache_poc.h>
#include <asm/outercache.h>
#include <asm/tlbflush.h>

#include "dma.h"

/**
 * arm_dcache_clean_poc - write back to memory
 * @va: first byte
 * @phys: its physical address
 * @length: in bytes
 */
void arm_dcache_clean_poc(void *va, phys_addr_t phys, size_t length)
{
	dmac_map_area(va, length, DMA_TO_DEVICE);
	outer_clean_range(phys, phys + length);
}

/**
 * arm_dcache_inval_poc - drop what is cached, so that memory is read again
 * @va: first byte
 * @phys: its physical address
 * @length: in bytes
 *
 * The inner caches come first, or a dirty line would be evicted into the outer
 * one after that was done, and once more at the end, or a line that was fetched
 * from the outer one meanwhile would stay. Without an outer cache, once will do.
 */
void arm_dcache_inval_poc(void *va, phys_addr_t phys, size_t length)
{
	dmac_map_area(va, length, DMA_FROM_DEVICE);
#ifdef CONFIG_OUTER_CACHE
	if (outer_cache.inv_range) {
		outer_inv_range(phys, phys + length);
		dmac_unmap_area(va, length, DMA_FROM_DEVICE);
	}
#endif
}

/**
 * arm_dcache_clean_inval_poc - write back to memory, and drop what is cached
 * @va: first byte
 * @phys: its physical address
 * @length: in bytes
 *
 * One operation a line, so that no store is lost in between. With an outer cache
 * a line may be fetched from it again before it is flushed there, so the inner
 * caches come once more, and what was stored meanwhile is written back through
 * the outer one.
 */
void arm_dcache_clean_inval_poc(void *va, phys_addr_t phys, size_t length)
{
	dmac_flush_range(va, va + length);
#ifdef CONFIG_OUTER_CACHE
	if (outer_cache.flush_range) {
		outer_flush_range(phys, phys + length);
		dmac_flush_range(va, va + length);
		outer_clean_range(phys, phys + length);
	}
#endif
}

static int arm_lowmem_set_pte(pte_t *pte, unsigned long address, void *prot)
{
	set_pte_ext(pte, mk_pte(virt_to_page((void *)address),
				*(pgprot_t *)prot), 0);
	return 0;
}

/**
 * arm_lowmem_set_prot - change how the kernel itself maps pages of a CMA area
 * @page: the first page, which is in low memory
 * @pages: how many
 * @prot: PAGE_KERNEL, or what others map it with that must not be mixed with it
 *
 * dma_alloc_attrs() does this to what it allocates from a CMA area, but it can't
 * be told where to allocate, and can't be interrupted. CMA areas are mapped page
 * by page for it. May sleep.
 */
void arm_lowmem_set_prot(struct page *page, unsigned long pages, pgprot_t prot)
{
	unsigned long start = (unsigned long)page_address(page);
	unsigned long length = pages << PAGE_SHIFT;

	apply_to_existing_page_range(&init_mm, start, length,
				     arm_lowmem_set_pte, &prot);
	flush_tlb_kernel_range(start, start + length);
}
