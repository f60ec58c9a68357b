/* SPDX-License-Identifier: GPL-2.0-only */
/* Mappings of buffers (vma.c) */
#ifndef _CMEM_VMA_H
#define _CMEM_VMA_H

#include <linux/types.h>

struct cmem_buffer;
struct file;
struct vm_area_struct;

int cmem_mmap(struct file *filp, struct vm_area_struct *vma);
int cmem_vma_map_dmabuf(struct cmem_buffer *buffer, struct vm_area_struct *vma);
struct cmem_buffer *cmem_vma_buffer(const struct vm_area_struct *vma);
u64 cmem_vma_phys(const struct vm_area_struct *vma, unsigned long address);
u64 cmem_vma_owner(const struct vm_area_struct *vma);
struct vm_area_struct *cmem_vma_lock(unsigned long address,
				     struct cmem_buffer **buffer);

#endif /* _CMEM_VMA_H */
