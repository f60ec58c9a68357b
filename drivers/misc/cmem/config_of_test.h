/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The device trees of config_of_test.dtso, as they are built into the kernel.
 */
#ifndef _CMEM_CONFIG_OF_TEST_H
#define _CMEM_CONFIG_OF_TEST_H

#include <linux/types.h>

extern u8 __dtbo_config_of_test_begin[];
extern u8 __dtbo_config_of_test_end[];

#endif /* _CMEM_CONFIG_OF_TEST_H */
