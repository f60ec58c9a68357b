/* SPDX-License-Identifier: GPL-2.0-only */
/* Blocks that parameters describe (params.c, params_cmemk.c) */
#ifndef _CMEM_PARAMS_H
#define _CMEM_PARAMS_H

#include <linux/types.h>

struct device;

void cmem_params_init(struct device *dev);
const char *cmem_params_dma_heap_names(s32 id);
void cmem_params_create_blocks(struct device *dev);
s32 cmem_params_next_number(void);
int cmem_params_create_carveout(struct device *dev, phys_addr_t base,
				u64 length);
void cmem_params_finish(struct device *dev);

#endif /* _CMEM_PARAMS_H */
