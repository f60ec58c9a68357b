/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Remote processors whose stop releases buffers from quarantine (remoteproc.c)
 */
#ifndef _CMEM_REMOTEPROC_H
#define _CMEM_REMOTEPROC_H

#include <linux/kconfig.h>
#include <linux/types.h>

struct cmem_block;

#if IS_REACHABLE(CONFIG_REMOTEPROC)
int cmem_rproc_init(void);
void cmem_rproc_exit(void);
int cmem_rproc_configure(struct cmem_block *block);
void cmem_rproc_look(const struct cmem_block *block);
unsigned long cmem_rproc_stops(void);
bool cmem_rproc_have_stopped(const struct cmem_block *block,
			     unsigned long stops);
#else
static inline int cmem_rproc_init(void)
{
	return 0;
}

static inline void cmem_rproc_exit(void)
{
}

static inline int cmem_rproc_configure(struct cmem_block *block)
{
	return 0;
}

static inline void cmem_rproc_look(const struct cmem_block *block)
{
}

static inline unsigned long cmem_rproc_stops(void)
{
	return 0;
}

static inline bool cmem_rproc_have_stopped(const struct cmem_block *block,
					   unsigned long stops)
{
	return false;
}
#endif

#endif /* _CMEM_REMOTEPROC_H */
