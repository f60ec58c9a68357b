/* SPDX-License-Identifier: GPL-2.0-only */
/* The common address space of all mappings (space.c) */
#ifndef _CMEM_SPACE_H
#define _CMEM_SPACE_H

#include <linux/types.h>

struct file;

/* Offset of DMA-BUFs' page frame numbers in the common address space */
extern unsigned long cmem_space_dmabuf_offset;

int cmem_space_init(void);
void cmem_space_exit(void);
void cmem_space_join(struct file *file);
void cmem_space_unmap(unsigned long pfn, unsigned long pages);

static inline bool cmem_space_is_dmabuf(unsigned long pgoff)
{
	return pgoff >= cmem_space_dmabuf_offset;
}

/* The page frame number at an offset in the common address space */
static inline unsigned long cmem_space_pfn(unsigned long pgoff)
{
	return cmem_space_is_dmabuf(pgoff) ? pgoff - cmem_space_dmabuf_offset :
					     pgoff;
}

#endif /* _CMEM_SPACE_H */
