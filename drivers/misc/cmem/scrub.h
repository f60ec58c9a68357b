/* SPDX-License-Identifier: GPL-2.0-only */
/* Cleaning free memory (scrub.c) */
#ifndef _CMEM_SCRUB_H
#define _CMEM_SCRUB_H

#include <linux/types.h>

struct cmem_block;

int cmem_scrub_start(struct cmem_block *block);
void cmem_scrub_dismiss(struct cmem_block *block);
void cmem_scrub_stop(struct cmem_block *block);
void cmem_scrub_kick(struct cmem_block *block);
void cmem_scrub_hurry(struct cmem_block *block);
void cmem_scrub_rest(struct cmem_block *block);
void cmem_scrub_wake(struct cmem_block *block);
int cmem_scrub_pages(struct cmem_block *block, unsigned long start,
		     unsigned long pages, bool killable);

#endif /* _CMEM_SCRUB_H */
