/* SPDX-License-Identifier: GPL-2.0-only */
/* /dev/cmem (main.c) */
#ifndef _CMEM_MAIN_H
#define _CMEM_MAIN_H

#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/types.h>

struct cmem_file;
struct device;
struct file;

/* Programs that name no pool want the heap where no pool can serve. */
extern bool cmem_heap_fallback;

struct cmem_file *cmem_file_of(const struct file *filp);
bool cmem_is_device(dev_t dev);
struct device *cmem_device(void);

/* A physical address that users name: of a page that this machine may have */
static inline int cmem_check_phys(u64 phys)
{
	if (!PAGE_ALIGNED(phys))
		return -EINVAL;
	return phys >> PAGE_SHIFT > ULONG_MAX ? -ENOENT : 0;
}

#endif /* _CMEM_MAIN_H */
