/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Data cache maintenance to the point of coherency, for memory that the
 * streaming DMA API can't be used on because it has no struct pages, or is not
 * in the linear map.
 */
#ifndef _ASM_ARM_DCACHE_POC_H
#define _ASM_ARM_DCACHE_POC_H

#include <linux/pgtable.h>
#include <linux/types.h>

struct page;

void arm_dcache_clean_poc(void *va, phys_addr_t phys, size_t length);
void arm_dcache_inval_poc(void *va, phys_addr_t phys, size_t length);
void arm_dcache_clean_inval_poc(void *va, phys_addr_t phys, size_t length);

void arm_lowmem_set_prot(struct page *page, unsigned long pages, pgprot_t prot);

#endif /* _ASM_ARM_DCACHE_POC_H */
