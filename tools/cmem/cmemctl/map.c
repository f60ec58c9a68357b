// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl map: draws blocks as characters, as a list, as JSON or as SVG.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmemctl.h"

#define MAX_ROWS	8
/* The minimum length of a pool's mark or a holder's line */
#define MIN_COLUMNS	8
/* "0x1c0000000 " before each row */
#define MARGIN		13

static const char symbols[NUM_STATES] = {
	[FREE_CLEAN] = '.', [FREE_DIRTY] = ':', [FREE_UNKNOWN] = '.', [SCRUBBING] = '~',
	[QUARANTINE] = '%', [PINNED] = '^', [FAILED] = '!', [UNKNOWN] = '?',
};

static const char *const descriptions[NUM_STATES] = {
	[FREE_CLEAN] = "free, clean",
	[FREE_DIRTY] = "free, to be cleaned",
	[FREE_UNKNOWN] = "free",
	[SCRUBBING] = "being cleaned",
	[QUARANTINE] = "in quarantine",
	[PINNED] = "pinned: freed, but the kernel still uses pages of it",
	[FAILED] = "out of use: the memory has failed",
	[UNKNOWN] = "free, or held by others",
};

void heap_use(const struct block *block, const struct extents *extents, struct heap_use *use)
{
	*use = (struct heap_use){
		.free = block->info.heap_free, .largest = block->info.heap_largest,
	};
	if (extents->known && block_has_range(block)) {
		/* Use the data of the picture, not older data */
		use->free = 0;
		for (unsigned int i = 0; i < extents->count; i++) {
			const struct extent *e = &extents->extent[i];

			if (e->pool == CMEM_POOL_HEAP && !is_buffer(e->state) &&
			    e->state != FAILED)
				use->free += e->length;
		}
		use->largest = extents_largest(extents, &use->largest_start);
		use->start_known = use->largest;
	}
	if (use->free)
		use->fragmentation = 1 - (double)use->largest / use->free;
}

uint64_t row_length(const struct block *block, uint64_t least, unsigned int rows)
{
	uint64_t end = block->info.base + block->info.length;

	while ((end - 1) / least - block->info.base / least >= rows)
		least *= 2;
	return least;
}

/* The content of a picture's cell; groups of holders as for letters */
struct cell {
	uint64_t held;
	uint64_t state[NUM_STATES];
	unsigned int group;	/* the holder of most of @held */
};

static unsigned int group_of(const struct share *share)
{
	return share->rank < MAX_LETTERS ? share->rank : MAX_LETTERS;
}

static void look_at_cell(uint64_t start, uint64_t end, const struct extents *extents,
			 unsigned int *at, const struct shares *shares, struct cell *cell)
{
	uint64_t held[MAX_LETTERS + 1] = { };

	*cell = (struct cell){ };
	while (*at < extents->count && extents->extent[*at].start < end) {
		const struct extent *e = &extents->extent[*at];
		uint64_t from = e->start > start ? e->start : start;
		uint64_t to = e->start + e->length < end ? e->start + e->length : end;

		if (to > from && e->state == HELD) {
			cell->held += to - from;
			held[group_of(&shares->share[e->share])] += to - from;
		} else if (to > from) {
			cell->state[e->state] += to - from;
		}
		if (e->start + e->length > end)
			break;
		++*at;
	}
	for (unsigned int i = 1; i < ARRAY_SIZE(held); i++)
		if (held[i] > held[cell->group])
			cell->group = i;
}

/* A holder's letter: a capital if it has most of the cell */
static char group_letter(unsigned int group, bool most)
{
	static const char large[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ@#";
	static const char small[] = "abcdefghijklmnopqrstuvwxyz*+";

	return (most ? large : small)[group];
}

static const char *group_colour(unsigned int group)
{
	static const char *const colours[] = { "1;32", "1;33", "1;34", "1;35", "1;36", "1;31" };

	return colour(group == MAX_LETTERS ? "1" : colours[group % ARRAY_SIZE(colours)]);
}

static const char *state_colour(enum extent_state state)
{
	return colour(state == SCRUBBING ? "1" : state == FREE_DIRTY ? "33" :
		      state == QUARANTINE || state == PINNED || state == FAILED ? "1;31" : "2");
}

static void print_cell(const struct cell *cell, uint64_t size, bool *shown)
{
	enum extent_state most = 0;

	if (cell->held) {
		printf("%s%c%s", group_colour(cell->group),
		       group_letter(cell->group, 2 * cell->held >= size), colour("0"));
		return;
	}
	for (unsigned int i = 1; i < NUM_STATES; i++)
		if (cell->state[i] > cell->state[most])
			most = i;
	shown[most] = true;
	printf("%s%c%s", state_colour(most), symbols[most], colour("0"));
}

/* The pool at a cell, for the line of pools; SEVERAL if no single pool has it. */
enum { OUTSIDE = -100, SEVERAL };

static int cell_pool(const struct block *block, uint64_t start, uint64_t end)
{
	uint64_t most = 0, in_pools = 0, bytes;
	int pool = CMEM_POOL_HEAP;

	for (unsigned int i = 0; i < block->info.num_pools; i++) {
		const struct cmem_pool_info *p = &block->pool[i];
		uint64_t last = p->base + p->count * p->length;
		uint64_t from = p->base > start ? p->base : start;
		uint64_t to = last < end ? last : end;

		if (from >= to)
			continue;
		bytes = to - from;
		if (p->base >= start && last <= end && bytes < end - start)
			return SEVERAL;
		in_pools += bytes;
		if (bytes > most) {
			most = bytes;
			pool = i;
		}
	}
	return end - start - in_pools > most ? CMEM_POOL_HEAP : pool;
}

/* "|pool 0-----", as wide as the pool, or cut to fit */
static void print_run(int pool, unsigned int columns, bool begins)
{
	char label[16] = "";

	if (pool == OUTSIDE) {
		printf("%*s", (int)columns, "");
		return;
	}
	if (pool == SEVERAL)
		memset(label, '+', columns < sizeof(label) ? columns : sizeof(label) - 1);
	else if (pool == CMEM_POOL_HEAP)
		snprintf(label, sizeof(label), columns > 5 ? "heap" : "h");
	else
		snprintf(label, sizeof(label), columns > 8 ? "pool %d" : "%d", pool);
	/* No room for two digits: still mark the start of the pool. */
	if (columns == 1 && label[1])
		snprintf(label, sizeof(label), "|");
	if (columns > 1 && pool != SEVERAL) {
		putchar(begins ? '|' : '-');
		columns--;
	}
	for (unsigned int i = 0, end = strlen(label); i < columns; i++)
		putchar(i < end ? label[i] : pool == SEVERAL ? '+' : '-');
}

/* Below a row: where pools and the heap begin and end */
static void print_pools(const struct block *block, uint64_t row, uint64_t size,
			unsigned int columns, int *last)
{
	uint64_t base = block->info.base, end = base + block->info.length;
	int pools[512];

	for (unsigned int i = 0; i < columns; i++) {
		uint64_t start = row + i * size, stop = start + size;

		pools[i] = stop <= base || start >= end ? OUTSIDE :
			   cell_pool(block, start < base ? base : start, stop > end ? end : stop);
	}
	while (columns && pools[columns - 1] == OUTSIDE)
		columns--;
	printf("%*s%s", MARGIN - 1, "", colour("2"));
	for (unsigned int i = 0, next; i < columns; i = next) {
		for (next = i; next < columns && pools[next] == pools[i]; next++)
			;
		print_run(pools[i], next - i, i || pools[i] != *last);
	}
	printf("%s\n", colour("0"));
	*last = columns ? pools[columns - 1] : OUTSIDE;
}

static void print_picture(const struct block *block, const struct extents *extents,
			  const struct shares *shares, uint64_t page, bool *shown)
{
	uint64_t base = block->info.base, end = base + block->info.length;
	unsigned int width = terminal_width(), columns = MIN_COLUMNS, at = 0;
	int last_pool = OUTSIDE;
	uint64_t size, length;
	char scale[100];

	while (2 * columns <= width - (MARGIN - 1) && width > MARGIN)
		columns *= 2;
	length = row_length(block, columns * page, MAX_ROWS);
	size = length / columns;
	for (uint64_t row = base / length * length; row < end; row += length) {
		printf("%#11" PRIx64 " ", row);
		for (uint64_t start = row; start < end && start < row + length; start += size) {
			uint64_t from = start < base ? base : start;
			uint64_t stop = start + size < end ? start + size : end;
			struct cell cell;

			if (stop <= base) {
				putchar(' ');
				continue;
			}
			look_at_cell(from, stop, extents, &at, shares, &cell);
			print_cell(&cell, stop - from, shown);
		}
		puts("");
		if (block->info.num_pools)
			print_pools(block, row, size, columns, &last_pool);
	}
	snprintf(scale, sizeof(scale), "%*sone character is %s, a row %s", width < 60 ? 1 : MARGIN - 1,
		 "", human(size), human(length));
	print_folded(scale, MARGIN - 1, width);
}

/* Text that grows as it is printed to */
struct text {
	char *text;
	size_t size;
	FILE *f;
};

static void text_open(struct text *text)
{
	text->f = open_memstream(&text->text, &text->size);
	if (!text->f)
		die("out of memory");
}

static void text_print(struct text *text, unsigned int indent, unsigned int width)
{
	if (fclose(text->f))
		die("out of memory");
	print_folded(text->text, indent, width);
	free(text->text);
}

static void list_extent(FILE *f, const struct extent *e, bool known,
			const struct processes *processes)
{
	struct holdings holdings;

	fprintf(f, "%#12" PRIx64 " %#12" PRIx64 " %10s %5s %-10s", e->start,
		e->start + e->length - 1, human(e->length), pool_name(e->pool),
		state_name(e->state));
	if (e->cached)
		fprintf(f, " cached");
	if (e->private)
		fprintf(f, " private");
	if (e->failed)
		fprintf(f, " failed");
	if (e->state == HELD && known)
		fprintf(f, " mapped %u times", e->mappings);
	if (e->state == QUARANTINE && e->last_owner)
		fprintf(f, " of owner %" PRIu64 ",", e->last_owner);
	if (e->state == QUARANTINE)
		fprintf(f, " since %.3f s", e->since);
	if (e->state != HELD)
		return;
	holdings_get(processes, e, &holdings);
	for (unsigned int n = 0; n < holdings.count; n++)
		fprintf(f, "%s %s", n ? "," : " by", printable(holding_text(&holdings.holding[n])));
	holdings_free(&holdings);
}

static void print_list(const struct extents *extents, const struct processes *processes)
{
	char head[80];

	snprintf(head, sizeof(head), "%12s %12s %10s %5s %s", "START", "END", "LENGTH", "POOL",
		 "STATE");
	print_folded(head, 4, line_width());
	for (unsigned int i = 0; i < extents->count; i++) {
		struct text line;

		text_open(&line);
		list_extent(line.f, &extents->extent[i], extents->known, processes);
		text_print(&line, 4, line_width());
	}
}

static void print_heap(const struct block *block, const struct extents *extents,
		       unsigned int width)
{
	struct heap_use use;
	struct text line;

	if (!block->info.heap_size)
		return;
	heap_use(block, extents, &use);
	text_open(&line);
	fprintf(line.f, "heap: %s free of %s, largest free extent %s", human(use.free),
		human(block->info.heap_size), human(use.largest));
	if (use.start_known)
		fprintf(line.f, " at %#" PRIx64, use.largest_start);
	fprintf(line.f, ", fragmentation %.0f %%", 100 * use.fragmentation);
	text_print(&line, 6, width);
}

static void print_holder(const struct share *share, unsigned int group)
{
	unsigned int width = terminal_width(), name = 28;
	struct text line;

	/* The rest of the line takes 33 columns. */
	if (width < 33 + name)
		name = width > 33 + MIN_COLUMNS ? width - 33 : MIN_COLUMNS;
	text_open(&line);
	fprintf(line.f, "  %s%c%s  %s %10s in %u buffer%s", group_colour(group),
		group_letter(group, true), colour("0"), column(share->name, name),
		human(share->bytes), share->buffers, share->buffers == 1 ? "" : "s");
	text_print(&line, 5, width);
}

static void print_legend(const struct shares *shares, const bool *shown, bool pools)
{
	unsigned int width = terminal_width();
	struct share rest;
	char text[160];

	puts("");
	for (unsigned int i = 0; i < shares->count && i < MAX_LETTERS; i++)
		print_holder(shares_ranked(shares, i), i);
	if (shares_rest(shares, &rest))
		print_holder(&rest, MAX_LETTERS);
	for (unsigned int i = 0; i < NUM_STATES; i++) {
		if (!shown[i])
			continue;
		snprintf(text, sizeof(text), "  %s%c%s  %s", state_colour(i), symbols[i],
			 colour("0"), descriptions[i]);
		print_folded(text, 5, width);
	}
	if (shares->count) {
		snprintf(text, sizeof(text), "  a small letter%s: less than half of it is held",
			 shares->count > MAX_LETTERS ? ", * or +" :
			 shares->count == MAX_LETTERS ? " or *" : "");
		print_folded(text, 5, width);
	}
	if (pools)
		print_folded("  below each row: pools and heap; + is where small pools are", 5,
			     width);
}

static void print_map(const struct blocks *blocks, const struct extents *extents,
		      const struct shares *shares, const struct processes *processes, bool list)
{
	unsigned int width = list ? line_width() : terminal_width();
	bool shown[NUM_STATES] = { }, pools = false;

	for (unsigned int i = 0; i < blocks->count; i++) {
		const struct block *block = &blocks->block[i];
		const struct cmem_block_info *b = &block->info;
		struct text line;

		text_open(&line);
		fprintf(line.f, "%sBlock %d%s  %s  %s  %s, %s free", colour("1"), b->block,
			colour("0"), kind_name(b->kind), block_range(block), human(b->length),
			human(blocks_free_bytes(block)));
		if (i)
			puts("");
		text_print(&line, 6, width);
		if (list || !block_has_range(block)) {
			print_list(&extents[i], processes);
		} else {
			print_picture(block, &extents[i], shares, blocks->info.alignment, shown);
			pools |= b->num_pools;
		}
		print_heap(block, &extents[i], width);
	}
	if (!list)
		print_legend(shares, shown, pools);
}

/* On standard error, to keep the requested output unchanged */
static void advise(const struct processes *processes)
{
	if (extents_advice())
		warn("%s", extents_advice());
	if (processes_advice(processes))
		warn("%s", processes_advice(processes));
}

static void json_process(const struct process *p)
{
	json_open(NULL, '{');
	json_signed("pid", p->pid);
	json_string("command", p->command);
	json_close('}');
}

static void json_dmabuf(uint64_t inode, const struct processes *processes)
{
	json_open(NULL, '{');
	json_number("inode", inode);
	json_open("processes", '[');
	for (unsigned int i = 0; i < processes->count; i++)
		if (processes->process[i].dmabuf == inode)
			json_process(&processes->process[i]);
	json_close(']');
	json_open("devices", '[');
	for (unsigned int i = 0; i < processes->importers; i++)
		if (processes->importer[i].dmabuf == inode)
			json_string(NULL, processes->importer[i].device);
	json_close(']');
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
	for (unsigned int i = 0; i < processes->count; i++)
		if (process_maps(&processes->process[i], e))
			json_process(&processes->process[i]);
	json_close(']');
	json_open("dmabufs", '[');
	for (unsigned int n = 0; n < e->dmabufs; n++)
		json_dmabuf(e->dmabuf[n], processes);
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
		json_bool("page_backed", e->pages);
		json_number("mappings", e->mappings);
	}
	if (e->state == PINNED) {
		if (e->last_owner)
			json_number("last_owner", e->last_owner);
		json_number("pages_in_use", e->in_use);
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
	json_number("processes_not_seen", processes->unseen);
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
	struct shares shares;
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
	processes_add_importers(&processes, extents, blocks.count);
	shares_get(&shares, extents, blocks.count, &processes);

	if (svg)
		svg_write(svg, &blocks, extents, &processes, &shares);
	else if (settings.json)
		print_json(&blocks, extents, &processes);
	else
		print_map(&blocks, extents, &shares, &processes, list);
	advise(&processes);
	return 0;
}

const struct command map_command = {
	.name = "map",
	.summary = "a picture of a block: free, held and by whom, being cleaned, in quarantine",
	.help =
"Usage: cmemctl map [--list | --svg FILE | --json] [BLOCK]\n"
"Draws each block (or BLOCK alone), scaled to the terminal, with its pools, who holds\n"
"what, by a file, a mapping or a DMA-BUF, the largest free extent of its heap, and how\n"
"fragmented that is. The 27 who hold most have a letter each, all others #. Who holds\n"
"what is for root; others see what is busy. The CMA areas of block cma are anywhere: of\n"
"these, what is held is listed.\n"
"\n"
"  -l, --list      one line for each extent instead of a picture\n"
"      --svg FILE  draw it into FILE (- for standard output) as SVG\n"
"      --json      print JSON, with sizes in bytes\n"
"      --color=WHEN\n"
"                  auto, always or never\n",
	.run = run_map,
};
