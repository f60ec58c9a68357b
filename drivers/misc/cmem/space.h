/* SPDX-License-Identifier: GPL-2.0-only */
/* The address space of all mappings (space.c) */
#ifndef _CMEM_SPACE_H
#define _CMEM_SPACE_H

#include <linux/types.h>

struct file;

/* What is added to the page frame numbers of DMA-BUFs */
extern unsigned long cmem_space_dmabuf_offset;

int cmem_space_init(void);
void cmem_space_exit(void);
void cmem_space_join(struct file *file);
void cmem_space_unmap(unsigned long pfn, unsigned long pages);

static inline bool cmem_space_is_dmabuf(unsigned long pgoff)
{
	return pgoff >= cmem_space_dmabuf_offset;
}

/* Which page is at an offset */
static inline unsigned long cmem_space_pfn(unsigned long pgoff)
{
	return cmem_space_is_dmabuf(pgoff) ? pgoff - cmem_space_dmabuf_offset :
					     pgoff;
}

#endif /* _CMEM_SPACE_H */
