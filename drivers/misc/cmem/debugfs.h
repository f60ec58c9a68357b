/* SPDX-License-Identifier: GPL-2.0-only */
/* Output in debugfs (debugfs.c) */
#ifndef _CMEM_DEBUGFS_H
#define _CMEM_DEBUGFS_H

struct cmem_block;

#ifdef CONFIG_DEBUG_FS
void cmem_debugfs_init(void);
void cmem_debugfs_exit(void);
void cmem_debugfs_add_block(struct cmem_block *block);
#else
static inline void cmem_debugfs_init(void)
{
}

static inline void cmem_debugfs_exit(void)
{
}

static inline void cmem_debugfs_add_block(struct cmem_block *block)
{
}
#endif

#endif /* _CMEM_DEBUGFS_H */
