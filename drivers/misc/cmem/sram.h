/* SPDX-License-Identifier: GPL-2.0-only */
/* Blocks in on-chip memory (sram.c) */
#ifndef _CMEM_SRAM_H
#define _CMEM_SRAM_H

#include <linux/dev_printk.h>

#include "config.h"

struct device;
struct device_node;

#ifdef CONFIG_SRAM
void cmem_sram_add_block(struct device *dev, struct device_node *node,
			 const struct cmem_block_config *config);
int cmem_sram_init(void);
void cmem_sram_exit(void);
#else
static inline void cmem_sram_add_block(struct device *dev,
				       struct device_node *node,
				       const struct cmem_block_config *config)
{
	dev_err(dev, "block %d: sram: this kernel has no driver for on-chip memory: CONFIG_SRAM is not set\n",
		config->id);
}

static inline int cmem_sram_init(void)
{
	return 0;
}

static inline void cmem_sram_exit(void)
{
}
#endif

#endif /* _CMEM_SRAM_H */
