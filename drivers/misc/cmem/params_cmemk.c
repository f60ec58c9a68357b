// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parameters of the out-of-tree module by the names that they had: cmemk.phys_start=
 * and so on, for boards whose boot loader passes them on the kernel command line. They
 * are the same as cmem.phys_start=; of two that say the same, the later one counts.
 */
#include <linux/moduleparam.h>

#include "cmem.h"
#include "config.h"

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "cmemk."

#define CMEMK_BLOCK(suffix, number)					\
	module_param_named(phys_start##suffix,				\
			   cmem_params[number].phys_start, charp, 0444); \
	module_param_named(phys_end##suffix,				\
			   cmem_params[number].phys_end, charp, 0444);	\
	module_param_named(pools##suffix, cmem_params[number].pools,	\
			   charp, 0444)

CMEMK_BLOCK(, 0);
CMEMK_BLOCK(_1, 1);
CMEMK_BLOCK(_2, 2);
CMEMK_BLOCK(_3, 3);

static bool cmemk_allow_overlap;
module_param_named(allowOverlap, cmemk_allow_overlap, bool, 0444);
module_param_named(useHeapIfPoolUnavailable, cmem_heap_fallback, bool, 0644);
