/* SPDX-License-Identifier: GPL-2.0-only */
/* The ioctls of the out-of-tree driver (legacy.c) */
#ifndef _CMEM_LEGACY_H
#define _CMEM_LEGACY_H

#include <linux/errno.h>
#include <linux/types.h>

struct cmem_file;

/* _IOC_TYPE() of the numbers of these ioctls, which are not made with _IOC() */
#define CMEM_LEGACY_TYPE	0xfe

#ifdef CONFIG_TI_CMEM_LEGACY_ABI
long cmem_legacy_ioctl(struct cmem_file *file, unsigned int cmd,
		       void __user *user, bool compat);
unsigned long cmem_legacy_pgoff(unsigned long pgoff);
#else
static inline long cmem_legacy_ioctl(struct cmem_file *file, unsigned int cmd,
				     void __user *user, bool compat)
{
	return -ENOTTY;
}

static inline unsigned long cmem_legacy_pgoff(unsigned long pgoff)
{
	return pgoff;
}
#endif

#endif /* _CMEM_LEGACY_H */
