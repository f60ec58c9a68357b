/* SPDX-License-Identifier: GPL-2.0-only */
/* Blocks during suspend and hibernation (power.c) */
#ifndef _CMEM_POWER_H
#define _CMEM_POWER_H

struct device;

#ifdef CONFIG_PM_SLEEP
void cmem_power_init(struct device *dev);
#else
static inline void cmem_power_init(struct device *dev)
{
}
#endif

#endif /* _CMEM_POWER_H */
