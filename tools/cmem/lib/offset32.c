// SPDX-License-Identifier: BSD-3-Clause
/*
 * offset.c for programs with a 32-bit off_t, where they exist.
 */
#undef _FILE_OFFSET_BITS
#undef _TIME_BITS
#include <ti/cmem.h>

#ifdef CMEM_OFF_T_VARIES
#define LIBCMEM_OFF_T_ONLY
#include "offset.c"

_Static_assert(sizeof(off_t) == 4, "offset.c has made the functions for 64 bits");
#endif
