// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl map: a picture of blocks, in characters, as a list, as JSON or as SVG.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmemctl.h"

#define MAX_ROWS	8
/* "0x1c0000000 " before each row */
#define MARGIN		13

static const char symbols[NUM_STATES] = {
	[FREE_CLEAN] = '.', [FREE_DIRTY] = ':', [FREE_UNKNOWN] = '.', [SCRUBBING] = '~',
	[QUARANTINE] = '%', [FAILED] = '!', [UNKNOWN] = '?',
};

static const char *const descriptions[NUM_STATES] = {
	[FREE_CLEAN] = "free, clean",
	[FREE_DIRTY] = "free, to be cleaned",
	[FREE_UNKNOWN] = "free",
	[SCRUBBING] = "being cleaned",
	[QUARANTINE] = "in quarantine",
	[FAILED] = "out of use: the memory has failed",
	[UNKNOWN] = "free, or held by others",
};

void heap_use(const struct block *block, const struct extents *extents, struct heap_use *use)
{
	*use = (struct heap_use){
		.free = block->info.heap_free, .largest = block->info.heap_largest,
	};
	if (extents->known && block_has_range(block)) {
		/* What the picture shows, and not what was a moment before */
		use->free = 0;
		for (unsigned int i = 0; i < extents->count; i++) {
			const struct extent *e = &extents->extent[i];

			if (e->pool == CMEM_POOL_HEAP && e->state != HELD &&
			    e->state != QUARANTINE && e->state != FAILED)
				use->free += e->length;
		}
		use->largest = extents_largest(extents, &use->largest_start);
		use->start_known = use->largest;
	}
	if (use->free)
		use->fragmentation = 1 - (double)use->largest / use->free;
}

/* What a cell of the picture stands for */
struct cell {
	uint64_t held;
	uint64_t state[NUM_STATES];
	unsigned int holder;	/* who has most of @held */
};

static void look_at_cell(uint64_t start, uint64_t end, const struct extents *extents,
			 unsigned int *at, const struct shares *shares,
			 const struct processes *processes, struct cell *cell)
{
	uint64_t *held = xrealloc(NULL, shares->count + 1, sizeof(*held));

	memset(held, 0, (shares->count + 1) * sizeof(*held));
	*cell = (struct cell){ };
	while (*at < extents->count && extents->extent[*at].start < end) {
		const struct extent *e = &extents->extent[*at];
		uint64_t from = e->start > start ? e->start : start;
		uint64_t to = e->start + e->length < end ? e->start + e->length : end;

		if (to > from && e->state == HELD) {
			cell->held += to - from;
			held[shares_index(shares, e, processes)] += to - from;
		} else if (to > from) {
			cell->state[e->state] += to - from;
		}
		if (e->start + e->length > end)
			break;
		++*at;
	}
	for (unsigned int i = 1; i < shares->count; i++)
		if (held[i] > held[cell->holder])
			cell->holder = i;
	free(held);
}

/* A letter for a holder: capital where the cell is his for the most part */
static char holder_letter(unsigned int holder, bool most)
{
	if (holder >= 26)
		return most ? '#' : '+';
	return (most ? 'A' : 'a') + holder;
}

static const char *holder_colour(unsigned int holder)
{
	static const char *const colours[] = { "1;32", "1;33", "1;34", "1;35", "1;36", "1;31" };

	return colour(colours[holder % ARRAY_SIZE(colours)]);
}

static const char *state_colour(enum extent_state state)
{
	return colour(state == SCRUBBING ? "1" : state == FREE_DIRTY ? "33" :
		      state == QUARANTINE || state == FAILED ? "1;31" : "2");
}

static void print_cell(const struct cell *cell, uint64_t size, bool *shown)
{
	enum extent_state most = 0;

	if (cell->held) {
		printf("%s%c%s", holder_colour(cell->holder),
		       holder_letter(cell->holder, 2 * cell->held >= size), colour("0"));
		return;
	}
	for (unsigned int i = 1; i < NUM_STATES; i++)
		if (cell->state[i] > cell->state[most])
			most = i;
	shown[most] = true;
	printf("%s%c%s", state_colour(most), symbols[most], colour("0"));
}

static void print_picture(const struct block *block, const struct extents *extents,
			  const struct shares *shares, const struct processes *processes,
			  uint64_t page, bool *shown)
{
	uint64_t base = block->info.base, end = base + block->info.length;
	unsigned int columns = terminal_width() - MARGIN;
	uint64_t rows = block->info.length / page / columns;
	unsigned int at = 0;
	uint64_t size;

	rows = rows < 1 ? 1 : rows > MAX_ROWS ? MAX_ROWS : rows;
	size = (block->info.length + rows * columns - 1) / (rows * columns);
	size = (size + page - 1) / page * page;
	for (uint64_t row = base; row < end; row += columns * size) {
		printf("%#11" PRIx64 " ", row);
		for (uint64_t start = row; start < end && start < row + columns * size;
		     start += size) {
			uint64_t stop = start + size < end ? start + size : end;
			struct cell cell;

			look_at_cell(start, stop, extents, &at, shares, processes, &cell);
			print_cell(&cell, stop - start, shown);
		}
		puts("");
	}
	printf("%*s one character is %s\n", MARGIN - 2, "", human(size));
}

static void print_list(const struct extents *extents, const struct processes *processes)
{
	printf("%12s %12s %10s %5s %-10s\n", "START", "END", "LENGTH", "POOL", "STATE");
	for (unsigned int i = 0; i < extents->count; i++) {
		const struct extent *e = &extents->extent[i];

		printf("%#12" PRIx64 " %#12" PRIx64 " %10s %5s %-10s", e->start,
		       e->start + e->length - 1, human(e->length), pool_name(e->pool),
		       state_name(e->state));
		if (e->cached)
			printf(" cached");
		if (e->private)
			printf(" private");
		if (e->failed)
			printf(" failed");
		if (e->state == HELD && extents->known)
			printf(" mapped %u times", e->mappings);
		if (e->state == QUARANTINE && e->last_owner)
			printf(" of owner %" PRIu64 ",", e->last_owner);
		if (e->state == QUARANTINE)
			printf(" since %.3f s", e->since);
		for (unsigned int n = 0; e->state == HELD && (!n || n < e->owners); n++)
			printf("%s %s", n ? "," : " by", holder_name(processes, e, n));
		puts("");
	}
}

static void print_heap(const struct block *block, const struct extents *extents)
{
	struct heap_use use;

	if (!block->info.heap_size)
		return;
	heap_use(block, extents, &use);
	printf("heap: %s free of %s, largest free extent %s", human(use.free),
	       human(block->info.heap_size), human(use.largest));
	if (use.start_known)
		printf(" at %#" PRIx64, use.largest_start);
	printf(", fragmentation %.0f %%\n", 100 * use.fragmentation);
}

static void print_legend(const struct shares *shares, const bool *shown)
{
	puts("");
	for (unsigned int i = 0; i < shares->count; i++)
		printf("  %s%c%s  %-28s %10s in %u buffer%s\n", holder_colour(i),
		       holder_letter(i, true), colour("0"), shares->share[i].name,
		       human(shares->share[i].bytes), shares->share[i].buffers,
		       shares->share[i].buffers == 1 ? "" : "s");
	for (unsigned int i = 0; i < NUM_STATES; i++)
		if (shown[i])
			printf("  %s%c%s  %s\n", state_colour(i), symbols[i], colour("0"),
			       descriptions[i]);
	if (shares->count)
		puts("  a small letter: less than half of it is held");
}

static void print_map(const struct blocks *blocks, const struct extents *extents,
		      const struct shares *shares, const struct processes *processes, bool list)
{
	bool shown[NUM_STATES] = { };

	for (unsigned int i = 0; i < blocks->count; i++) {
		const struct cmem_block_info *b = &blocks->block[i].info;

		printf("%s%sBlock %d%s  %s  %s  %s, %s free\n", i ? "\n" : "", colour("1"),
		       b->block, colour("0"), kind_name(b->kind), block_range(&blocks->block[i]),
		       human(b->length), human(blocks_free_bytes(&blocks->block[i])));
		if (list || !block_has_range(&blocks->block[i]))
			print_list(&extents[i], processes);
		else
			print_picture(&blocks->block[i], &extents[i], shares, processes,
				      blocks->info.alignment, shown);
		print_heap(&blocks->block[i], &extents[i]);
	}
	if (!list)
		print_legend(shares, shown);
	if (extents_advice())
		warn("%s", extents_advice());
}

static void json_process(const struct process *p)
{
	json_open(NULL, '{');
	json_signed("pid", p->pid);
	json_string("command", p->command);
	json_close('}');
}

static void json_holders(const struct extent *e, const struct processes *processes)
{
	json_open("owners", '[');
	for (unsigned int n = 0; n < e->owners; n++) {
		json_open(NULL, '{');
		json_number("owner", e->owner[n].owner);
		json_number("registrations", e->owner[n].count);
		json_open("processes", '[');
		for (unsigned int i = 0; i < processes->count; i++)
			if (processes->process[i].owner == e->owner[n].owner)
				json_process(&processes->process[i]);
		json_close(']');
		json_close('}');
	}
	json_close(']');
	json_open("mapped_by", '[');
	for (unsigned int i = 0; i < processes->count; i++) {
		const struct process *p = &processes->process[i];

		if (!p->owner && p->map_start < e->start + e->length &&
		    p->map_start + p->map_length > e->start)
			json_process(p);
	}
	json_close(']');
}

static void json_extent(const struct extent *e, const struct processes *processes, bool known)
{
	json_open(NULL, '{');
	json_number("start", e->start);
	json_number("length", e->length);
	json_pool(e->pool);
	json_string("state", state_name(e->state));
	if (e->state == HELD && known) {
		json_bool("cached", e->cached);
		json_bool("private", e->private);
		json_bool("failed", e->failed);
		json_number("mappings", e->mappings);
	}
	if (e->state == QUARANTINE) {
		json_bool("cached", e->cached);
		json_bool("private", e->private);
		json_bool("failed", e->failed);
		if (e->last_owner)
			json_number("last_owner", e->last_owner);
		json_real("since", e->since);
	}
	if (e->state == HELD)
		json_holders(e, processes);
	json_close('}');
}

static void print_json(const struct blocks *blocks, const struct extents *extents,
		       const struct processes *processes)
{
	json_begin(false);
	json_open("blocks", '[');
	for (unsigned int i = 0; i < blocks->count; i++) {
		const struct cmem_block_info *b = &blocks->block[i].info;
		struct heap_use use;

		heap_use(&blocks->block[i], &extents[i], &use);
		json_open(NULL, '{');
		json_signed("block", b->block);
		json_string("kind", kind_name(b->kind));
		json_number("base", b->base);
		json_number("length", b->length);
		json_bool("owners_known", extents[i].known);
		json_open("heap", '{');
		json_number("size", b->heap_size);
		json_number("free", use.free);
		json_number("largest", use.largest);
		if (use.start_known)
			json_number("largest_start", use.largest_start);
		json_real("fragmentation", use.fragmentation);
		json_close('}');
		json_open("extents", '[');
		for (unsigned int n = 0; n < extents[i].count; n++)
			json_extent(&extents[i].extent[n], processes, extents[i].known);
		json_close(']');
		json_close('}');
	}
	json_close(']');
	json_end();
	if (extents_advice())
		warn("%s", extents_advice());
}

static int run_map(int argc, char **argv)
{
	static const struct option options[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "svg", required_argument, NULL, OPTION_OWN },
		COMMON_OPTIONS
	};
	const char *svg = NULL;
	struct processes processes;
	struct shares shares = { };
	struct extents *extents;
	struct blocks blocks;
	bool list = false;
	int id = ALL_BLOCKS;
	int c;

	while ((c = next_option(&map_command, argc, argv, "l", options)) != -1) {
		if (c == 'l')
			list = true;
		else
			svg = optarg;
	}
	if (optind < argc)
		id = parse_block(argv[optind++]);
	if (optind < argc)
		usage("one BLOCK at most: '%s' is too many", argv[optind]);
	if (!!svg + list + settings.json > 1)
		usage("one of --svg, --list and --json at a time");

	device_get_blocks(device_open(), id, &blocks);
	extents = xrealloc(NULL, blocks.count, sizeof(*extents));
	for (unsigned int i = 0; i < blocks.count; i++)
		extents_read(&blocks.block[i], &extents[i]);
	processes_read(&processes);
	for (unsigned int i = 0; i < blocks.count; i++)
		shares_add(&shares, &extents[i], &processes);

	if (svg)
		svg_write(svg, &blocks, extents, &processes, &shares);
	else if (settings.json)
		print_json(&blocks, extents, &processes);
	else
		print_map(&blocks, extents, &shares, &processes, list);
	return 0;
}

const struct command map_command = {
	.name = "map",
	.summary = "a picture of a block: free, held and by whom, being cleaned, in quarantine",
	.help =
"Usage: cmemctl map [--list | --svg FILE | --json] [BLOCK]\n"
"Draws each block (or BLOCK alone), scaled to the terminal, with who holds what, the\n"
"largest free extent of its heap, and how fragmented that is. Who holds what is for\n"
"root; others see what is busy. The CMA areas of block cma are anywhere: of these,\n"
"what is held is listed.\n"
"\n"
"  -l, --list      one line for each extent instead of a picture\n"
"      --svg FILE  draw it into FILE (- for standard output) as SVG\n"
"      --json      print JSON, with sizes in bytes\n"
"      --color=WHEN\n"
"                  auto, always or never\n",
	.run = run_map,
};
