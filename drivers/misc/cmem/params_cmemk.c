// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parameters of the out-of-tree module under their old names (cmemk.phys_start= and
 * so on), for boot loaders that pass them on the kernel command line. They set the same
 * values as cmem.phys_start= and so on; the last one on the command line wins.
 */
#include <linux/moduleparam.h>

#include "config.h"
#include "file.h"

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "cmemk."

module_param_named(phys_start, cmem_params[0].phys_start, charp, 0444);
module_param_named(phys_end, cmem_params[0].phys_end, charp, 0444);
module_param_named(pools, cmem_params[0].pools, charp, 0444);
module_param_named(phys_start_1, cmem_params[1].phys_start, charp, 0444);
module_param_named(phys_end_1, cmem_params[1].phys_end, charp, 0444);
module_param_named(pools_1, cmem_params[1].pools, charp, 0444);
module_param_named(phys_start_2, cmem_params[2].phys_start, charp, 0444);
module_param_named(phys_end_2, cmem_params[2].phys_end, charp, 0444);
module_param_named(pools_2, cmem_params[2].pools, charp, 0444);
module_param_named(phys_start_3, cmem_params[3].phys_start, charp, 0444);
module_param_named(phys_end_3, cmem_params[3].phys_end, charp, 0444);
module_param_named(pools_3, cmem_params[3].pools, charp, 0444);

static bool cmemk_allow_overlap;
module_param_named(allowOverlap, cmemk_allow_overlap, bool, 0444);
module_param_named(useHeapIfPoolUnavailable, cmem_heap_fallback, bool, 0644);
