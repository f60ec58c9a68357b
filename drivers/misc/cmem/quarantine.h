/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory that its owner did not free (quarantine.c) */
#ifndef _CMEM_QUARANTINE_H
#define _CMEM_QUARANTINE_H

#include <linux/types.h>
#include <linux/workqueue.h>

#include "block.h"

struct cmem_buffer;
struct cmem_quarantine_config;
struct device;

void cmem_quarantine_init(struct cmem_block *block);
int cmem_quarantine_configure(struct device *dev, struct cmem_block *block,
			      const struct cmem_quarantine_config *config);
void cmem_quarantine_add(struct cmem_buffer *buffer);
u64 cmem_quarantine_since(const struct cmem_buffer *buffer);
int cmem_quarantine_release(s32 id, u64 *buffers, u64 *pages);
int cmem_quarantine_release_buffer(s32 id, unsigned long pfn, u64 *pages);

/**
 * cmem_quarantine_check - schedule a check for buffers of a block that may leave
 * @block: the block, locked or not, present or not
 */
static inline void cmem_quarantine_check(struct cmem_block *block)
{
	mod_delayed_work(system_unbound_wq, &block->quarantine_work, 0);
}

#endif /* _CMEM_QUARANTINE_H */
