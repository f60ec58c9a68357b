// SPDX-License-Identifier: GPL-2.0-only
/* Maintenance of the CPU's caches with the primitives of each architecture */
#include <linux/cacheflush.h>
#include <linux/types.h>

#ifdef CONFIG_ARM
#include <asm/dcache_poc.h>
#endif

#include "cache.h"

/**
 * cmem_cache_maintain - maintain the CPU's caches over a run of memory
 * @va: address of the first byte in a cached alias
 * @phys: physical address of the first byte
 * @length: length in bytes
 * @op: the operation
 *
 * The architectures' primitives write back cachelines that reach beyond the run before
 * they invalidate them.
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
