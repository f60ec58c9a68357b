/* SPDX-License-Identifier: GPL-2.0-only */
/* Tells programs when their mappings have changed (changes.c) */
#ifndef _CMEM_CHANGES_H
#define _CMEM_CHANGES_H

#include <linux/types.h>

struct cmem_file;
struct vm_area_struct;

int cmem_changes_init(void);
void cmem_changes_exit(void);
u64 cmem_changes_offset(void);
int cmem_changes_mmap(struct cmem_file *file, struct vm_area_struct *vma);
void cmem_changes_count(struct cmem_file *file, const struct vm_area_struct *vma);
void cmem_changes_free(struct cmem_file *file);

#endif /* _CMEM_CHANGES_H */
