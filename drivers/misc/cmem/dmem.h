/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Blocks as regions of the dmem cgroup controller. Kernels without its Kconfig symbol do
 * not have the header either. Without the controller, these functions do nothing.
 *
 * The region of a block is cmem/block<number>, the region of the CMA block cmem/cma.
 */
#ifndef _CMEM_DMEM_H
#define _CMEM_DMEM_H

#include <linux/err.h>
#include <linux/types.h>

#if IS_ENABLED(CONFIG_CGROUP_DMEM)
#include <linux/cgroup_dmem.h>

struct cmem_dmem_region {
	struct dmem_cgroup_region *region;
};

/* The cgroup that a buffer is charged to until its memory returns */
struct cmem_dmem_charge {
	struct dmem_cgroup_pool_state *pool;
};

static inline int cmem_dmem_register(struct cmem_dmem_region *dmem, s32 id,
				     u64 length)
{
	dmem->region = id < 0 ?
		       dmem_cgroup_register_region(length, "cmem/cma") :
		       dmem_cgroup_register_region(length, "cmem/block%d", id);
	return PTR_ERR_OR_ZERO(dmem->region);
}

static inline void cmem_dmem_unregister(struct cmem_dmem_region *dmem)
{
	if (!IS_ERR_OR_NULL(dmem->region))
		dmem_cgroup_unregister_region(dmem->region);
	dmem->region = NULL;
}

/* Charge the caller's cgroup. Fails with -ENOMEM if the cgroup is at its limit. */
static inline int cmem_dmem_charge(struct cmem_dmem_region *dmem,
				   struct cmem_dmem_charge *charge, u64 length)
{
	charge->pool = NULL;
	if (IS_ERR_OR_NULL(dmem->region))
		return 0;
	return dmem_cgroup_try_charge(dmem->region, length, &charge->pool,
				      NULL) ? -ENOMEM : 0;
}

static inline void cmem_dmem_uncharge(struct cmem_dmem_charge *charge, u64 length)
{
	dmem_cgroup_uncharge(charge->pool, length);
	charge->pool = NULL;
}
#else
struct cmem_dmem_region {
};

struct cmem_dmem_charge {
};

static inline int cmem_dmem_register(struct cmem_dmem_region *dmem, s32 id,
				     u64 length)
{
	return 0;
}

static inline void cmem_dmem_unregister(struct cmem_dmem_region *dmem)
{
}

static inline int cmem_dmem_charge(struct cmem_dmem_region *dmem,
				   struct cmem_dmem_charge *charge, u64 length)
{
	return 0;
}

static inline void cmem_dmem_uncharge(struct cmem_dmem_charge *charge, u64 length)
{
}
#endif

#endif /* _CMEM_DMEM_H */
