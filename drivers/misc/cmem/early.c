// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reserves memory at boot, before the page allocator owns all memory: CMA areas
 * for block -1, and mapped memory for blocks of machines without a device tree.
 *
 *	cmem_cma_pools=<n>x<size>[,...]		an area for each pool
 *	cmem_cma_heapsize=<size>		an area for the heap
 *	cmem_carveout=<size>[@<address>][,...]	a block each
 *
 * On all architectures dma_contiguous_reserve() calls this file after it creates
 * the global area. A reservation that fails is logged, and the others are still
 * made. CMA has few slots for areas. This file leaves enough of them for the
 * device tree's own areas, some of which are created later.
 *
 * A kernel that saves a crash dump has little memory, and must preserve all other
 * memory. It reserves nothing and creates no block, unless cmem_kdump is given.
 */
#define pr_fmt(fmt) "cmem: " fmt

#include <linux/bitops.h>
#include <linux/cma.h>
#include <linux/crash_dump.h>
#include <linux/ctype.h>
#include <linux/dma-map-ops.h>
#include <linux/kmemleak.h>
#include <linux/kstrtox.h>
#include <linux/libfdt.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/of_fdt.h>
#include <linux/overflow.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "early.h"
#include "pool.h"

static struct cmem_early_pool cmem_pools[CMEM_MAX_POOLS] __initdata;
static unsigned int cmem_num_pools __initdata;
static u64 cmem_heap_length __initdata;
static struct cma *cmem_heap __initdata;
static struct cmem_region_config cmem_carveouts[CMEM_MAX_CARVEOUTS] __initdata;
static unsigned int cmem_num_carveouts __initdata;

/* Parse a decimal or 0x number with an optional unit K, M or G. */
static int __init cmem_early_number(const char **at, u64 *value)
{
	static const char units[] = "KMG";
	const char *unit, *p = *at;
	unsigned int shift = 0;
	bool hex = p[0] == '0' && tolower(p[1]) == 'x';
	char digits[24];
	size_t length = hex ? 2 : 0;

	while (hex ? isxdigit(p[length]) : isdigit(p[length]))
		length++;
	if (strscpy(digits, p, min(length + 1, sizeof(digits))) < 0 &&
	    length >= sizeof(digits))
		return -ERANGE;
	if (kstrtoull(digits, hex ? 16 : 10, value))
		return -EINVAL;

	unit = p[length] ? strchr(units, toupper(p[length])) : NULL;
	if (unit) {
		shift = 10 * (unit - units + 1);
		length++;
	}
	if (check_shl_overflow(*value, shift, value))
		return -ERANGE;
	*at = p + length;
	return 0;
}

/**
 * cmem_early_parse_size - parse a size
 * @val: bytes, decimal or with 0x, optionally followed by K, M or G
 * @size: set to the size in bytes on success
 *
 * Return: 0, or -EINVAL for an invalid size or 0.
 */
int __init cmem_early_parse_size(const char *val, u64 *size)
{
	u64 bytes;

	if (cmem_early_number(&val, &bytes) || *val || !bytes)
		return -EINVAL;
	*size = bytes;
	return 0;
}

static int __init cmem_early_parse_pool(const char **at,
					struct cmem_pool_config *pool)
{
	u64 page_mask = PAGE_SIZE - 1;
	u64 count = 0, bytes;
	const char *p = *at;

	while (isdigit(*p) && count < CMEM_SLOT_NONE)
		count = count * 10 + (*p++ - '0');
	if (*p++ != 'x' || cmem_early_number(&p, &pool->length))
		return -EINVAL;
	if (!count || count >= CMEM_SLOT_NONE || !pool->length ||
	    check_add_overflow(pool->length, page_mask, &bytes) ||
	    check_mul_overflow(bytes & ~page_mask, count, &bytes))
		return -EINVAL;

	pool->count = count;
	*at = p;
	return 0;
}

/**
 * cmem_early_parse_pools - parse cmem_cma_pools=
 * @val: one or more <number>x<size>, separated by commas. The number is decimal,
 *	the size is as for cmem_early_parse_size().
 * @pools: array of CMEM_MAX_POOLS
 *
 * Return: the number of pools, at least 1; -EINVAL, or -E2BIG for too many.
 */
int __init cmem_early_parse_pools(const char *val,
				  struct cmem_pool_config *pools)
{
	int i;

	for (i = 0; i < CMEM_MAX_POOLS; i++) {
		if (cmem_early_parse_pool(&val, &pools[i]))
			return -EINVAL;
		if (!*val)
			return i + 1;
		if (*val++ != ',')
			return -EINVAL;
	}
	return -E2BIG;
}

/**
 * cmem_early_parse_regions - parse cmem_carveout=
 * @val: one or more <size>[@<address>], separated by commas. Both are multiples
 *	of the page size, as for cmem_early_parse_size().
 * @regions: array of CMEM_MAX_CARVEOUTS
 *
 * Return: the number of regions, at least 1; -EINVAL, or -E2BIG for too many.
 */
int __init cmem_early_parse_regions(const char *val,
				    struct cmem_region_config *regions)
{
	int i;

	for (i = 0; i < CMEM_MAX_CARVEOUTS; i++) {
		struct cmem_region_config *region = &regions[i];
		u64 base = 0;

		if (cmem_early_number(&val, &region->length))
			return -EINVAL;
		region->fixed = *val == '@';
		if (region->fixed) {
			val++;
			if (cmem_early_number(&val, &base))
				return -EINVAL;
		}
		if (!region->length ||
		    !IS_ALIGNED(region->length | base, PAGE_SIZE) ||
		    overflows_type(base + region->length - 1, region->base) ||
		    base + region->length - 1 < base)
			return -EINVAL;
		region->base = base;
		if (!*val)
			return i + 1;
		if (*val++ != ',')
			return -EINVAL;
	}
	return -E2BIG;
}

/* Without CONFIG_DMA_CMA, nothing calls this file to reserve memory. */
static bool __init cmem_early_possible(const char *option)
{
	if (IS_ENABLED(CONFIG_DMA_CMA))
		return true;
	pr_err("%s= needs a kernel with CONFIG_DMA_CMA: it is ignored\n",
	       option);
	return false;
}

static int __init cmem_early_set_pools(char *val)
{
	static struct cmem_pool_config pools[CMEM_MAX_POOLS] __initdata;
	int i, count;

	if (!cmem_early_possible("cmem_cma_pools"))
		return 0;
	count = cmem_early_parse_pools(val ?: "", pools);
	if (count < 0) {
		pr_err("cmem_cma_pools=%s is ignored: must be 1 to %d of <number>x<size> with commas between them, such as 4x64K,1x0x100000\n",
		       val ?: "", CMEM_MAX_POOLS);
		return 0;
	}
	for (i = 0; i < count; i++)
		cmem_pools[i].config = pools[i];
	cmem_num_pools = count;
	return 0;
}
early_param("cmem_cma_pools", cmem_early_set_pools);

static int __init cmem_early_set_heap(char *val)
{
	if (!cmem_early_possible("cmem_cma_heapsize"))
		return 0;
	if (cmem_early_parse_size(val ?: "", &cmem_heap_length))
		pr_err("cmem_cma_heapsize=%s is ignored: must be a size in bytes, or with K, M or G, such as 64M\n",
		       val ?: "");
	return 0;
}
early_param("cmem_cma_heapsize", cmem_early_set_heap);

static int __init cmem_early_set_carveout(char *val)
{
	static struct cmem_region_config regions[CMEM_MAX_CARVEOUTS] __initdata;
	int count;

	if (!cmem_early_possible("cmem_carveout"))
		return 0;
	count = cmem_early_parse_regions(val ?: "", regions);
	if (count < 0) {
		pr_err("cmem_carveout=%s is ignored: must be 1 to %d of <size>[@<address>] with commas between them, multiples of %lu, such as 64M@0x90000000\n",
		       val ?: "", CMEM_MAX_CARVEOUTS, PAGE_SIZE);
		return 0;
	}
	memcpy(cmem_carveouts, regions, sizeof(regions));
	cmem_num_carveouts = count;
	return 0;
}
early_param("cmem_carveout", cmem_early_set_carveout);

static bool cmem_kdump __ro_after_init;

static int __init cmem_early_set_kdump(char *val)
{
	if (kstrtobool(val ?: "1", &cmem_kdump))
		pr_err("cmem_kdump=%s is ignored: must be 0 or 1\n", val);
	return 0;
}
early_param("cmem_kdump", cmem_early_set_kdump);

/**
 * cmem_early_saves_dump - tell if this kernel must leave all memory as it is
 *
 * The kernel learns that it saves a crash dump (linux,elfcorehdr in the device tree,
 * or elfcorehdr=) before it reserves any memory.
 *
 * Return: true if it saves a crash dump and cmem_kdump does not ask for blocks.
 */
bool cmem_early_saves_dump(void)
{
	return is_kdump_kernel() && !cmem_kdump;
}

#ifdef CONFIG_DMA_CMA

static int __init cmem_early_count(struct cma *cma, void *data)
{
	++*(unsigned int *)data;
	return 0;
}

#ifdef CONFIG_OF_EARLY_FLATTREE
struct cmem_early_name {
	const char *name;
	bool found;
};

static int __init cmem_early_match(struct cma *cma, void *data)
{
	struct cmem_early_name *match = data;

	match->found |= !strcmp(cma_get_name(cma), match->name);
	return match->found;
}

static bool __init cmem_early_is_area(unsigned long node)
{
	const char *status = of_get_flat_dt_prop(node, "status", NULL);

	return (!status || !strcmp(status, "okay") || !strcmp(status, "ok")) &&
	       of_flat_dt_is_compatible(node, "shared-dma-pool") &&
	       of_get_flat_dt_prop(node, "reusable", NULL);
}

/*
 * Count the areas that the device tree creates later. The kernel uses a slot in
 * one table for each node. On arm it also uses a slot in a second table of the
 * same size for each range in reg, but checks only the first table for room.
 */
static unsigned int __init cmem_early_later_areas(void)
{
	const void *fdt = initial_boot_params;
	int node, child, length;
	unsigned int later = 0;

	node = fdt ? fdt_path_offset(fdt, "/reserved-memory") : -1;
	if (node < 0)
		return 0;

	fdt_for_each_subnode(child, fdt, node) {
		struct cmem_early_name match = {
			.name = fdt_get_name(fdt, child, NULL),
		};

		if (!cmem_early_is_area(child))
			continue;
		if (!of_get_flat_dt_prop(child, "reg", &length))
			length = 0;
		length /= (int)sizeof(__be32) *
			  (dt_root_addr_cells + dt_root_size_cells);
		cma_for_each_area(cmem_early_match, &match);
		later += max(length, 1) - match.found;
	}
	return later;
}
#else
static unsigned int __init cmem_early_later_areas(void)
{
	return 0;
}
#endif

static unsigned int __init cmem_early_free_slots(void)
{
	unsigned int num_areas = cmem_early_later_areas();

	cma_for_each_area(cmem_early_count, &num_areas);
	return num_areas < MAX_CMA_AREAS ? MAX_CMA_AREAS - num_areas : 0;
}

static int __init cmem_early_declare(const char *name, u64 length,
				     phys_addr_t limit, struct cma **cma)
{
	int ret;

	if (!cmem_early_free_slots())
		return -ENOSPC;
	/* CMA stores the size of an area as unsigned long, in bytes. */
	if (length > ULONG_MAX - CMA_MIN_ALIGNMENT_BYTES)
		return -ENOMEM;
	ret = cma_declare_contiguous(0, length, limit, 0, 0, false, name, cma);
	if (ret)
		return ret;
	dma_contiguous_early_fixup(cma_get_base(*cma), cma_get_size(*cma));
	return 0;
}

static const char * __init cmem_early_reason(int err)
{
	return err == -ENOSPC ?
	       "no slot for another CMA area is left: raise CONFIG_CMA_AREAS" :
	       "there is not so much free memory in one piece";
}

static void __init cmem_early_reserve_pools(phys_addr_t limit)
{
	char name[sizeof("cmem-pool") + 10];
	unsigned int i;
	int ret;

	for (i = 0; i < cmem_num_pools; i++) {
		struct cmem_early_pool *pool = &cmem_pools[i];
		u64 bytes = round_up(pool->config.length, (u64)PAGE_SIZE) *
			    pool->config.count;

		snprintf(name, sizeof(name), "cmem-pool%u", i);
		ret = cmem_early_declare(name, bytes, limit, &pool->cma);
		if (ret)
			pr_err("cmem_cma_pools=: pool %u of %ux%llu can't be had: %s (CONFIG_CMA_AREAS is %d)\n",
			       i, pool->config.count, pool->config.length,
			       cmem_early_reason(ret), CONFIG_CMA_AREAS);
	}
}

static void __init cmem_early_reserve_heap(phys_addr_t limit)
{
	int ret;

	if (!cmem_heap_length)
		return;
	ret = cmem_early_declare("cmem-heap", cmem_heap_length, limit,
				 &cmem_heap);
	if (ret)
		pr_err("cmem_cma_heapsize=%llu can't be had: %s (CONFIG_CMA_AREAS is %d)\n",
		       cmem_heap_length, cmem_early_reason(ret), CONFIG_CMA_AREAS);
}

/* Tell if all of a range is memory and in the linear map. */
static bool __init cmem_early_is_mapped(phys_addr_t base, phys_addr_t length)
{
	phys_addr_t offset;

	if (!memblock_is_region_memory(base, length))
		return false;
	for (offset = 0; offset < length; offset += PAGE_SIZE)
		if (!memblock_is_map_memory(base + offset))
			return false;
	return true;
}

/*
 * 32-bit arm has not created the linear map yet. Memory that it omits has no cached
 * alias beside non-cached mappings of programs. The linear map consists of sections.
 */
#ifdef CONFIG_ARM
#define CMEM_CARVEOUT_UNIT	PMD_SIZE
#else
#define CMEM_CARVEOUT_UNIT	PAGE_SIZE
#endif

static void __init cmem_early_keep_unmapped(const struct cmem_region_config *region)
{
	if (IS_ENABLED(CONFIG_ARM))
		memblock_mark_nomap(region->base, region->length);
}

static int __init cmem_early_take_fixed(const struct cmem_region_config *region)
{
	phys_addr_t base = region->base, length = region->length;
	int ret;

	if (!IS_ALIGNED(base | length, CMEM_CARVEOUT_UNIT))
		return -EINVAL;
	if (!cmem_early_is_mapped(base, length) ||
	    memblock_is_region_reserved(base, length))
		return -EBUSY;
	ret = memblock_reserve(base, length);
	if (!ret)
		cmem_early_keep_unmapped(region);
	return ret;
}

static int __init cmem_early_take(struct cmem_region_config *region,
				  phys_addr_t limit)
{
	phys_addr_t base, length;

	if (region->length > PHYS_ADDR_MAX - CMEM_CARVEOUT_UNIT)
		return -ENOMEM;
	region->length = round_up(region->length, (u64)CMEM_CARVEOUT_UNIT);
	length = region->length;
	/* On 32 bit, memory above this limit is not in the linear map. */
	limit = min_not_zero(limit, memblock_get_current_limit());
	base = memblock_phys_alloc_range(length,
					 length >= PMD_SIZE ? PMD_SIZE : PAGE_SIZE,
					 0, limit);
	if (!base)
		return -ENOMEM;
	/* The memory has no pointers to kernel objects. */
	kmemleak_ignore_phys(base);
	region->base = base;
	cmem_early_keep_unmapped(region);
	return 0;
}

/* Reserve the regions with an address, or those without. */
static void __init cmem_early_reserve_carveouts(phys_addr_t limit, bool fixed)
{
	unsigned int i;
	int ret;

	for (i = 0; i < cmem_num_carveouts; i++) {
		struct cmem_region_config *region = &cmem_carveouts[i];

		if (region->fixed != fixed)
			continue;
		ret = region->fixed ? cmem_early_take_fixed(region) :
				      cmem_early_take(region, limit);
		if (!ret)
			continue;
		if (ret == -EINVAL)
			pr_err("cmem_carveout=%#llx@%pa can't be had: on this architecture both must be multiples of %#lx\n",
			       region->length, &region->base,
			       CMEM_CARVEOUT_UNIT);
		else if (region->fixed)
			pr_err("cmem_carveout=%#llx@%pa can't be had: this is no memory, or not free\n",
			       region->length, &region->base);
		else
			pr_err("cmem_carveout=%#llx can't be had: %s\n",
			       region->length, cmem_early_reason(ret));
		region->length = 0;
	}
}

/**
 * dma_contiguous_reserve_drivers - reserve memory for the kernel command line
 * @limit: end of the memory that devices can reach, as physical address; 0 for any
 *
 * Called once, while memblock is the only allocator.
 */
void __init dma_contiguous_reserve_drivers(phys_addr_t limit)
{
	if (cmem_early_saves_dump())
		return;

	/* Fixed addresses go first. */
	cmem_early_reserve_carveouts(limit, true);
	cmem_early_reserve_pools(limit);
	cmem_early_reserve_heap(limit);
	cmem_early_reserve_carveouts(limit, false);
}

#endif /* CONFIG_DMA_CMA */

/**
 * cmem_early_wanted - tell if the command line asks for CMA areas
 *
 * Return: true if it does, even if the reservation failed.
 */
bool __init cmem_early_wanted(void)
{
	return cmem_num_pools || cmem_heap_length;
}

/**
 * cmem_early_pool - get a pool of cmem_cma_pools=
 * @number: of the pool, from 0
 *
 * Return: the pool, or NULL if there are no more.
 */
const struct cmem_early_pool * __init cmem_early_pool(unsigned int number)
{
	return number < cmem_num_pools ? &cmem_pools[number] : NULL;
}

/**
 * cmem_early_heap - get the area of cmem_cma_heapsize=
 *
 * Return: the area, or NULL if there is none.
 */
struct cma * __init cmem_early_heap(void)
{
	return cmem_heap;
}

/**
 * cmem_early_carveout - get a region of cmem_carveout=
 * @number: of the region, from 0
 * @base: set to the physical address of its first byte
 * @length: set to its length in bytes, 0 if the reservation failed
 *
 * Return: false if there are no more.
 */
bool __init cmem_early_carveout(unsigned int number, phys_addr_t *base,
				u64 *length)
{
	if (number >= cmem_num_carveouts)
		return false;
	*base = cmem_carveouts[number].base;
	*length = cmem_carveouts[number].length;
	return true;
}
