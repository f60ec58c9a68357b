// SPDX-License-Identifier: BSD-3-Clause
/*
 * Who has how much of the blocks that are looked at. A buffer that several
 * owners share counts for the first of them, which is the one that allocated it
 * as long as that is registered.
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

unsigned int shares_index(const struct shares *shares, const struct extent *extent,
			  const struct processes *processes)
{
	return find(shares, holder_name(processes, extent, 0));
}

void shares_add(struct shares *shares, const struct extents *extents,
		const struct processes *processes)
{
	for (unsigned int i = 0; i < extents->count; i++) {
		const struct extent *extent = &extents->extent[i];
		const char *name;
		unsigned int at;

		if (extent->state != HELD)
			continue;
		name = holder_name(processes, extent, 0);
		at = find(shares, name);
		if (at == shares->count) {
			shares->share = xrealloc(shares->share, ++shares->count,
						 sizeof(*shares->share));
			shares->share[at] = (struct share){ };
			snprintf(shares->share[at].name, sizeof(shares->share[at].name), "%s",
				 name);
		}
		shares->share[at].bytes += extent->length;
		shares->share[at].buffers++;
	}
}

void shares_free(struct shares *shares)
{
	free(shares->share);
	*shares = (struct shares){ };
}
