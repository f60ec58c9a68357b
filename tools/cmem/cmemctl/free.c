// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl free: makes cmemctl alloc free what it holds.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmemctl.h"

/* Why there was nothing to free at an address */
static void explain(uint64_t phys)
{
	struct processes processes;
	const struct extent *extent;
	const struct block *block;
	struct extents extents;
	struct blocks blocks;

	device_get_blocks(device_open(), ALL_BLOCKS, &blocks);
	block = extents_at(&blocks, phys, &extents, &extent);
	if (!block) {
		warn("%#" PRIx64 " is in no block of CMEM: cmemctl info shows where these are",
		     phys);
		return;
	}
	if (!extent || extent->state == UNKNOWN) {
		warn("%#" PRIx64 " is not held by a cmemctl alloc of yours. Whether another program does, root can see.",
		     phys);
	} else if (extent->state != HELD) {
		warn("%#" PRIx64 " is not allocated: block %d is free there", phys,
		     block->info.block);
	} else if (!extents.known) {
		warn("%#" PRIx64 " is held by another program, or another user's. Run this as root to see by whom.",
		     phys);
	} else {
		processes_read(&processes);
		processes_add_importers(&processes, &extents, 1);
		if (extent->start != phys)
			warn("%#" PRIx64 " is inside of the buffer at %#" PRIx64 ", held by %s: name its first byte",
			     phys, extent->start, printable(holder_name(&processes, extent)));
		else
			warn("%#" PRIx64 " is held by %s, which is no cmemctl alloc%s: only that can free it, or its end",
			     phys, printable(holder_name(&processes, extent)),
			     extent->owners > 1 ? " (and by others)" : "");
	}
	extents_free(&extents);
}

static int run_free(int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		COMMON_OPTIONS
	};
	bool all = false, failed = false;
	unsigned int freed = 0;
	uint64_t *phys;
	int count, c;

	while ((c = next_option(&free_command, argc, argv, "a", options)) != -1)
		all = true;
	count = argc - optind;
	if (all && count)
		usage("either --all or addresses");
	if (!all && !count)
		usage("what? The ADDRESS that cmemctl alloc printed, or --all");

	/* Check the whole command line before the first free. */
	phys = xrealloc(NULL, count + 1, sizeof(*phys));
	for (int i = 0; i < count; i++)
		phys[i] = parse_address("ADDRESS", argv[optind + i]);
	if (all)
		freed = holders_free(true, 0);
	for (int i = 0; i < count; i++) {
		unsigned int n = holders_free(false, phys[i]);

		freed += n;
		if (n)
			continue;
		failed = true;
		explain(phys[i]);
	}
	free(phys);
	if (settings.json) {
		json_begin(true);
		json_number("freed", freed);
		json_end();
	} else if (!failed || freed) {
		printf("%u buffer%s freed\n", freed, freed == 1 ? "" : "s");
	}
	return failed ? EXIT_FAILED : 0;
}

const struct command free_command = {
	.name = "free",
	.summary = "give back what cmemctl alloc holds",
	.help =
"Usage: cmemctl free ADDRESS... | --all\n"
"Has the cmemctl alloc that holds the buffer at ADDRESS give it back, or all of them\n"
"all they hold. A user reaches his own, root everybody's. What other programs hold\n"
"can't be freed from outside: it is theirs until they free it or end.\n"
"\n"
"  -a, --all       all buffers of all cmemctl allocs\n"
"      --json      print JSON\n",
	.run = run_free,
};
