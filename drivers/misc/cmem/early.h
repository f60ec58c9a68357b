/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory that the kernel command line reserves at boot. The driver reads it once when
 * it starts.
 */
#ifndef _CMEM_EARLY_H
#define _CMEM_EARLY_H

#include <linux/init.h>

#include "config.h"

struct cma;

/* The largest number of regions in cmem_carveout= */
#define CMEM_MAX_CARVEOUTS	8

/**
 * struct cmem_region_config - a requested region
 * @base: physical address of the first byte, if @fixed
 * @fixed: the region must be at @base
 * @length: in bytes
 */
struct cmem_region_config {
	phys_addr_t base;
	bool fixed;
	u64 length;
};

/**
 * struct cmem_early_pool - a pool from cmem_cma_pools=
 * @config: the requested configuration
 * @cma: the area of the pool, NULL if the reservation failed
 */
struct cmem_early_pool {
	struct cmem_pool_config config;
	struct cma *cma;
};

int __init cmem_early_parse_pools(const char *val,
				  struct cmem_pool_config *pools);
int __init cmem_early_parse_regions(const char *val,
				    struct cmem_region_config *regions);
int __init cmem_early_parse_size(const char *val, u64 *size);

const struct cmem_early_pool * __init cmem_early_pool(unsigned int number);
struct cma * __init cmem_early_heap(void);
bool __init cmem_early_wanted(void);
bool cmem_early_saves_dump(void);
bool __init cmem_early_carveout(unsigned int number, phys_addr_t *base,
				u64 *length);

#endif /* _CMEM_EARLY_H */
