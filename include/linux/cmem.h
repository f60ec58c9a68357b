/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CMEM, the contiguous memory allocator: what the rest of the kernel calls.
 */
#ifndef _LINUX_CMEM_H
#define _LINUX_CMEM_H

#include <linux/init.h>
#include <linux/types.h>

#ifdef CONFIG_TI_CMEM
void __init cmem_reserve(phys_addr_t limit);
#else
static inline void cmem_reserve(phys_addr_t limit)
{
}
#endif

#endif /* _LINUX_CMEM_H */
