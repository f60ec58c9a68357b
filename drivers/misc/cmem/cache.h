/* SPDX-License-Identifier: GPL-2.0-only */
/* Maintenance of the CPU's caches, by architecture (cache.c) */
#ifndef _CMEM_CACHE_H
#define _CMEM_CACHE_H

#include <linux/types.h>
#include <uapi/linux/cmem.h>

void cmem_cache_maintain(void *va, phys_addr_t phys, size_t length,
			 enum cmem_sync_op op);

#endif /* _CMEM_CACHE_H */
