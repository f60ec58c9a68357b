/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the files that read the device tree: config_of.c for a block's node,
 * config_of_memory.c for the memory that it refers to, config_of_check.c for mistakes
 * that nothing else would notice, and for which nodes count.
 */
#ifndef _CMEM_CONFIG_OF_H
#define _CMEM_CONFIG_OF_H

#include <linux/types.h>

struct cmem_block_config;
struct device;
struct device_node;

bool cmem_config_of_is_cmem(const struct device_node *node);
bool cmem_config_of_is_enabled(struct device_node *node);

struct device_node *cmem_config_of_user(const char *property,
					const struct device_node *memory);
int cmem_config_of_check_regions(struct device *dev,
				 const struct device_node *own,
				 const struct cmem_block_config *config);
int cmem_config_of_region(struct device *dev, struct device_node *region,
			  struct cmem_block_config *config);
int cmem_config_of_memory(struct device *dev, const struct device_node *node,
			  struct cmem_block_config *config);

#endif /* _CMEM_CONFIG_OF_H */
