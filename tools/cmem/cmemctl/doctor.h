/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of cmemctl doctor share: doctor.c has the verb, the kernel and the device
 * node; doctor_tree.c the device tree, and the memory that it reserves.
 */
#ifndef CMEMCTL_DOCTOR_H
#define CMEMCTL_DOCTOR_H

#include "cmemctl.h"

enum verdict { IS_OK, IS_NOTE, IS_WRONG, IS_UNKNOWN, NUM_VERDICTS };

/**
 * found - one check, and what came of it
 * @verdict: all right, perhaps not as it is meant, wrong, or it can't be seen
 * @area: what was looked at
 * @remedy: what to do about it, or NULL
 * @format: what was found
 */
void found(enum verdict verdict, const char *area, const char *remedy, const char *format, ...)
	printf_like(4, 5);
/* A sentence that is valid until it has been called 8 times more */
const char *say(const char *format, ...) printf_like(1, 2);

/* Where a path of the machine is that is looked at; valid as say()'s */
const char *rooted(const char *path);
/* All of a file, to be freed, or NULL and errno */
char *read_text(const char *path);

/* A block of the device tree */
struct tree_block {
	long id;
	char *node;
	bool wrong;	/* it was said why it can't be there */
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
