/* SPDX-License-Identifier: GPL-2.0-only */
/* Page-backed buffers that nobody holds, but whose pages are in use (pins.c) */
#ifndef _CMEM_PINS_H
#define _CMEM_PINS_H

#include <linux/types.h>

struct cmem_block;
struct cmem_buffer;

void cmem_pins_init(struct cmem_block *block);
void cmem_pins_release(struct cmem_buffer *buffer);
int cmem_pins_look(struct cmem_block *block, unsigned long freed);
struct cmem_block *cmem_pins_find_pool(s32 id, u64 length, int *pool);

#endif /* _CMEM_PINS_H */
