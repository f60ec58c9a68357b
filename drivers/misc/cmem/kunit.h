/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KUnit, as the tests in this directory use it. In a kernel whose KUnit lacks some of
 * it, this is the one file that has to change.
 */
#ifndef _CMEM_KUNIT_H
#define _CMEM_KUNIT_H

#include <kunit/device.h>
#include <kunit/of.h>
#include <kunit/resource.h>
#include <kunit/test.h>

#endif /* _CMEM_KUNIT_H */
