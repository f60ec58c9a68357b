/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Declarations shared by the files of cmemctl doctor. doctor.c checks the kernel and the
 * device node; doctor_tree.c checks the device tree and the memory that it reserves.
 */
#ifndef CMEMCTL_DOCTOR_H
#define CMEMCTL_DOCTOR_H

#include "cmemctl.h"

enum verdict { IS_OK, IS_NOTE, IS_WRONG, IS_UNKNOWN, NUM_VERDICTS };

/**
 * found - a check and its result
 * @verdict: correct, perhaps not intended, wrong, or not visible
 * @area: what was checked
 * @remedy: how to fix it, or NULL
 * @format: what was found
 */
void found(enum verdict verdict, const char *area, const char *remedy, const char *format, ...)
	printf_like(4, 5);
/* A sentence; overwritten after 8 more calls */
const char *say(const char *format, ...) printf_like(1, 2);

/* A path on the inspected machine; valid as say()'s */
const char *rooted(const char *path);
/* A whole file, which the caller frees, or NULL and errno */
char *read_text(const char *path);

/* A block of the device tree */
struct tree_block {
	long id;
	char *node;
	bool wrong;	/* the reason for its absence is already reported */
};

struct tree_blocks {
	struct tree_block *block;
	unsigned int count;
	bool areas;	/* CMA areas, for block -1 */
	bool nodes;	/* there is an enabled ti,cmem node */
};

/* Whether /proc/cmem has a block */
bool has_block(long id);
/* Whether it has any but the CMA block */
bool has_blocks(void);
void doctor_tree(struct tree_blocks *blocks);

#endif /* CMEMCTL_DOCTOR_H */
