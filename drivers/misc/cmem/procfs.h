/* SPDX-License-Identifier: GPL-2.0-only */
/* Output in /proc (procfs.c) */
#ifndef _CMEM_PROCFS_H
#define _CMEM_PROCFS_H

struct file;
struct seq_file;

int cmem_procfs_init(void);
void cmem_procfs_exit(void);
void cmem_show_fdinfo(struct seq_file *m, struct file *filp);

#endif /* _CMEM_PROCFS_H */
