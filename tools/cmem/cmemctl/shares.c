// SPDX-License-Identifier: BSD-3-Clause
/*
 * How much each holder has of the selected blocks. A buffer with several holders counts
 * for the first one: the process that allocated it, as long as it is registered.
 */
#include <stdlib.h>
#include <string.h>

#include "cmemctl.h"

static unsigned int find(const struct shares *shares, const char *name)
{
	unsigned int i;

	for (i = 0; i < shares->count; i++)
		if (!strcmp(shares->share[i].name, name))
			break;
	return i;
}

/* Pointers to shares: largest first, then by address */
static int by_bytes(const void *left, const void *right)
{
	const struct share *a = *(struct share *const *)left, *b = *(struct share *const *)right;

	if (a->bytes != b->bytes)
		return a->bytes > b->bytes ? -1 : 1;
	return a < b ? -1 : a > b;
}

static void rank(struct shares *shares)
{
	struct share **order = xrealloc(NULL, shares->count + 1, sizeof(*order));

	for (unsigned int i = 0; i < shares->count; i++)
		order[i] = &shares->share[i];
	qsort(order, shares->count, sizeof(*order), by_bytes);
	for (unsigned int i = 0; i < shares->count; i++)
		order[i]->rank = i;
	free(order);
}

void shares_get(struct shares *shares, struct extents *extents, unsigned int count,
		const struct processes *processes)
{
	unsigned int room = 0;

	*shares = (struct shares){ };
	for (unsigned int block = 0; block < count; block++) {
		for (unsigned int i = 0; i < extents[block].count; i++) {
			struct extent *extent = &extents[block].extent[i];
			const char *name;

			if (extent->state != HELD)
				continue;
			name = holder_name(processes, extent);
			extent->share = find(shares, name);
			if (extent->share == shares->count) {
				grow(shares->share, shares->count, room);
				shares->share[shares->count] = (struct share){ };
				snprintf(shares->share[shares->count++].name,
					 sizeof(shares->share[0].name), "%s", name);
			}
			shares->share[extent->share].bytes += extent->length;
			shares->share[extent->share].buffers++;
		}
	}
	rank(shares);
}

const struct share *shares_ranked(const struct shares *shares, unsigned int rank)
{
	for (unsigned int i = 0; i < shares->count; i++)
		if (shares->share[i].rank == rank)
			return &shares->share[i];
	return NULL;
}

unsigned int shares_rest(const struct shares *shares, struct share *rest)
{
	unsigned int others = 0;

	*rest = (struct share){ };
	for (unsigned int i = 0; i < shares->count; i++) {
		if (shares->share[i].rank < MAX_LETTERS)
			continue;
		rest->bytes += shares->share[i].bytes;
		rest->buffers += shares->share[i].buffers;
		others++;
	}
	snprintf(rest->name, sizeof(rest->name), "%u other%s", others, others == 1 ? "" : "s");
	return others;
}

void shares_free(struct shares *shares)
{
	free(shares->share);
	*shares = (struct shares){ };
}
