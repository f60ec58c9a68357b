// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl map --svg: draws blocks. Each block is some rows of memory. Addresses grow from
 * left to right and from row to row. A strip below each row names pools and heap. A
 * holder's name is in its area if there is room; otherwise a letter, which the legend
 * explains.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmemctl.h"

#define WIDTH		1000
#define MARGIN		100	/* at the left, for addresses */
#define EDGE		20
#define ROW_HEIGHT	24
#define STRIP		13
#define ROW_PITCH	48
#define TITLE_HEIGHT	44
#define FOOT_HEIGHT	24
#define LEGEND_PITCH	20
#define LEGEND_COLUMNS	3

/* Rows of a block, and how many more are possible with many holders */
#define ROWS		8
#define MOST_ROWS	32
/* The width that a name needs */
#define NAME_WIDTH	90

/* In nearly every monospace font, a character is 0.602 times as wide as high. */
#define COLUMN(size)	(0.602 * (size))
#define LABEL_SIZE	10
#define STRIP_SIZE	9

static FILE *out;

static const struct {
	const char *fill;
	const char *text;
} states[NUM_STATES] = {
	[FREE_CLEAN] = { "#eef3ee", "free, clean" },
	[FREE_DIRTY] = { "#d8cdb8", "free, to be cleaned" },
	[FREE_UNKNOWN] = { "#eef3ee", "free" },
	[SCRUBBING] = { "#a8d8f0", "being cleaned" },
	[QUARANTINE] = { "#c03030", "in quarantine" },
	[PINNED] = { "#d07000", "pinned: freed, but the kernel still uses pages" },
	[FAILED] = { "#202020", "out of use: the memory has failed" },
	[UNKNOWN] = { "#bbbbbb", "free, or held by others" },
};

/* Text as XML, in UTF-8; an invalid character becomes a question mark. */
static void put_text(const char *text)
{
	while (*text) {
		uint32_t code;
		size_t length = utf8_decode(text, &code);

		if (!length || is_control(code) || (code & 0xfffe) == 0xfffe)
			fputc('?', out);
		else if (*text == '<')
			fputs("&lt;", out);
		else if (*text == '>')
			fputs("&gt;", out);
		else if (*text == '&')
			fputs("&amp;", out);
		else if (*text == '"')
			fputs("&quot;", out);
		else
			fwrite(text, 1, length, out);
		text += length ?: 1;
	}
}

/* The amount of a primary colour at a hue, in degrees from that colour */
static double channel(unsigned int degrees)
{
	int from_opposite = (int)(degrees % 360) - 180;
	double x = (from_opposite < 0 ? -from_opposite : from_opposite) / 60.0 - 1;

	return x < 0 ? 0 : x > 1 ? 1 : x;
}

/* A fill colour, and a readable text colour on it */
struct paint {
	char fill[16];
	const char *ink;
};

static void choose_ink(struct paint *paint)
{
	unsigned int red, green, blue;

	paint->ink = "#000000";
	if (sscanf(paint->fill, "#%2x%2x%2x", &red, &green, &blue) == 3 &&
	    299 * red + 587 * green + 114 * blue < 125 * 1000)
		paint->ink = "#ffffff";
}

/*
 * Distinct colours: a turn of 137.5 degrees each. People can't distinguish more than some
 * dozens, so all further holders are grey.
 */
static struct paint holder_paint(const struct share *share)
{
	unsigned int hue = 210 + share->rank * 275 / 2;
	struct paint paint;
	unsigned int rgb[3];

	for (unsigned int i = 0; i < 3; i++)
		rgb[i] = 70 + 150 * channel(hue + 360 - 120 * i);
	if (share->rank < MAX_LETTERS)
		snprintf(paint.fill, sizeof(paint.fill), "#%02x%02x%02x", rgb[0], rgb[1], rgb[2]);
	else
		snprintf(paint.fill, sizeof(paint.fill), "%s",
			 share->rank % 2 ? "#9c9c9c" : "#b4b4b4");
	choose_ink(&paint);
	return paint;
}

static struct paint state_paint(enum extent_state state)
{
	struct paint paint;

	snprintf(paint.fill, sizeof(paint.fill), "%s", states[state].fill ?: "#ffffff");
	choose_ink(&paint);
	return paint;
}

static void put_label(double x, double y, const char *attributes, const char *text)
{
	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
	put_text(text);
	fputs("</text>\n", out);
}

/* Where a block is drawn */
struct frame {
	uint64_t base;	/* of the first row: a multiple of the row length */
	uint64_t row_length;
	double top;
	double scale;	/* pixels per byte */
};

/**
 * struct box - a range of addresses to draw: one rectangle in each row that it touches
 * @y: from the top of a row
 * @stroke: with an edge
 * @title: the tooltip in a browser
 * @label: the text in it, cut if it has little room; or NULL
 * @least: the minimum number of characters that are still useful
 * @letter: the text if not even these fit; or NULL
 * @size: font size
 */
struct box {
	uint64_t start;
	uint64_t length;
	double y;
	double height;
	struct paint paint;
	bool stroke;
	const char *title;
	const char *label;
	unsigned int least;
	const char *letter;
	unsigned int size;
};

static void put_box_label(const struct box *box, double x, double y, double width)
{
	double room = (width - 4) / COLUMN(box->size);
	unsigned int columns = room < 0 ? 0 : room;
	const char *text = NULL;
	char attributes[160];

	if (box->label && (columns >= box->least || columns >= text_columns(box->label)))
		text = cut(box->label, columns);
	else if (box->letter && columns >= text_columns(box->letter))
		text = box->letter;
	if (!text || !*text)
		return;
	snprintf(attributes, sizeof(attributes),
		 "font-family=\"monospace\" font-size=\"%u\" fill=\"%s\" pointer-events=\"none\"",
		 box->size, box->paint.ink);
	put_label(x + 2, y + box->height / 2 + 0.36 * box->size, attributes, text);
}

static void put_box(const struct frame *frame, const struct box *box)
{
	uint64_t at = box->start - frame->base, end = at + box->length;

	while (at < end) {
		uint64_t row = at / frame->row_length;
		uint64_t stop = (row + 1) * frame->row_length;
		double x, y, width;

		if (stop > end)
			stop = end;
		x = MARGIN + (at - row * frame->row_length) * frame->scale;
		y = frame->top + row * ROW_PITCH + box->y;
		width = (stop - at) * frame->scale;
		fprintf(out, "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" fill=\"%s\"%s><title>",
			x, y, width, box->height, box->paint.fill,
			box->stroke ? " stroke=\"#ffffff\" stroke-width=\"0.5\"" : "");
		put_text(box->title);
		fputs("</title></rect>\n", out);
		put_box_label(box, x, y, width);
		at = stop;
	}
}

/* The letter of a holder, such as "A"; "" if the holder has none */
static const char *letter_of(const struct share *share)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ@";
	static char text[2];

	text[0] = share->rank < MAX_LETTERS ? letters[share->rank] : 0;
	return text;
}

/* Letter, process number, and the truncation mark */
static unsigned int label_least(const char *label)
{
	unsigned int start = label[0] && label[1] == ' ' ? 2 : 0;
	unsigned int digits = strspn(label + start, "0123456789");

	return start + (digits ?: 8) + 1;
}

static void put_extents(const struct frame *frame, const struct extents *extents,
			const struct processes *processes, const struct shares *shares)
{
	unsigned int i = 0;

	while (i < extents->count) {
		const struct extent *first = &extents->extent[i];
		bool held = first->state == HELD;
		const struct share *share = held ? &shares->share[first->share] : NULL;
		char title[400], label[200];
		unsigned int buffers = 1;
		struct box box = {
			.start = first->start, .length = first->length, .height = ROW_HEIGHT,
			.title = title, .label = label, .size = LABEL_SIZE,
		};

		/* Merge ranges narrower than two pixels with their like. */
		for (i++; held && i < extents->count && box.length * frame->scale < 2; i++) {
			const struct extent *e = &extents->extent[i];

			if (e->state != HELD || e->share != first->share)
				break;
			box.length += e->length;
			buffers++;
		}
		snprintf(title, sizeof(title), "%#" PRIx64 " - %#" PRIx64 ", %s, %s%s: %s%s",
			 first->start, first->start + box.length - 1, human(box.length),
			 first->pool == CMEM_POOL_HEAP ? "" : "pool ", pool_name(first->pool),
			 held ? holder_name(processes, first) : states[first->state].text,
			 buffers > 1 ? " (several buffers)" : "");
		if (held) {
			box.paint = holder_paint(share);
			box.stroke = box.length * frame->scale > 4;
			box.letter = letter_of(share);
			snprintf(label, sizeof(label), "%s%s%s", box.letter,
				 *box.letter ? " " : "", share->name);
			/* A truncated process number is useless. */
			box.least = label_least(label);
		} else {
			box.paint = state_paint(first->state);
			/* The least important text there */
			if (first->state == FREE_CLEAN || first->state == FREE_UNKNOWN)
				box.paint.ink = "#7c8a7c";
			snprintf(label, sizeof(label), "%s %s", human(box.length),
				 first->state == QUARANTINE ? "in quarantine" :
				 first->state == PINNED ? "pinned" :
				 first->state == FAILED ? "out of use" :
				 first->state == UNKNOWN ? "free or held" :
				 first->state == SCRUBBING ? "being cleaned" : "free");
			box.least = strlen(label);
		}
		put_box(frame, &box);
	}
}

/* The heap, and pools in two alternating shades */
static void put_strips(const struct frame *frame, const struct block *block)
{
	const struct cmem_block_info *b = &block->info;
	struct box box = {
		.start = b->base, .length = b->length, .y = ROW_HEIGHT + 1, .height = STRIP,
		.paint = { "#d0d0d0", "#404040" }, .title = "heap", .size = STRIP_SIZE,
		.label = b->heap_size && !b->num_pools ? "heap" : NULL, .least = 4,
	};
	static const struct paint shades[] = {
		{ "#404a5c", "#ffffff" }, { "#707a8c", "#ffffff" },
	};
	char title[160], label[80], number[16];
	uint64_t at = b->base, end = b->base + b->length;

	put_box(frame, &box);
	for (unsigned int i = 0; i < b->num_pools; i++) {
		const struct cmem_pool_info *p = &block->pool[i];

		/* The heap is between the pools: write its name there. */
		if (p->base > at)
			put_box(frame, &(struct box){
				.start = at, .length = p->base - at, .y = box.y, .height = STRIP,
				.paint = box.paint, .title = "heap", .label = "heap", .least = 4,
				.size = STRIP_SIZE,
			});
		snprintf(title, sizeof(title), "pool %u: %u of %s, %u free", i, p->count,
			 human(p->length), p->free);
		snprintf(label, sizeof(label), "pool %u: %u of %s", i, p->count,
			 human(p->length));
		snprintf(number, sizeof(number), "%u", i);
		put_box(frame, &(struct box){
			.start = p->base, .length = p->count * p->length, .y = box.y,
			.height = STRIP, .title = title, .label = label, .least = 6,
			.paint = shades[i % 2],
			.letter = number, .size = STRIP_SIZE,
		});
		at = p->base + p->count * p->length;
	}
	if (b->num_pools && at < end)
		put_box(frame, &(struct box){
			.start = at, .length = end - at, .y = box.y, .height = STRIP,
			.paint = box.paint, .title = "heap", .label = "heap", .least = 4,
			.size = STRIP_SIZE,
		});
}

/* Enough rows for the names of holders, if possible */
static uint64_t choose_row_length(const struct block *block, uint64_t page,
				  const struct extents *extents)
{
	uint64_t held = 0, rows = ROWS;
	unsigned int runs = 0;

	for (unsigned int i = 0; i < extents->count; i++) {
		const struct extent *e = &extents->extent[i];

		if (e->state != HELD)
			continue;
		held += e->length;
		runs += !i || extents->extent[i - 1].state != HELD || e[-1].share != e->share;
	}
	if (held)
		rows = (double)runs * NAME_WIDTH / (WIDTH - MARGIN - EDGE) *
		       block->info.length / held + 1;
	rows = rows < ROWS ? ROWS : rows > MOST_ROWS ? MOST_ROWS : rows;
	return row_length(block, 16 * page, rows);
}

static unsigned int count_rows(const struct block *block, uint64_t length)
{
	return (block->info.base + block->info.length - 1) / length - block->info.base / length + 1;
}

static double block_height(const struct block *block, uint64_t page,
			   const struct extents *extents)
{
	if (!block_has_range(block))
		return TITLE_HEIGHT;
	return TITLE_HEIGHT + FOOT_HEIGHT +
	       ROW_PITCH * count_rows(block, choose_row_length(block, page, extents));
}

static void put_block(const struct block *block, uint64_t page, double top,
		      const struct extents *extents, const struct processes *processes,
		      const struct shares *shares)
{
	const struct cmem_block_info *b = &block->info;
	struct frame frame = { .top = top + TITLE_HEIGHT };
	struct heap_use use;
	unsigned int rows;
	char text[300];

	snprintf(text, sizeof(text), "Block %d: %s, %s, %s free%s", b->block, kind_name(b->kind),
		 human(b->length), human(blocks_free_bytes(block)), block_has_range(block) ? "" :
		 ". Its areas are anywhere, so there is no picture of it.");
	put_label(EDGE, top + 30, "font-size=\"16\" font-weight=\"bold\"", text);
	if (!block_has_range(block))
		return;

	frame.row_length = choose_row_length(block, page, extents);
	frame.base = b->base / frame.row_length * frame.row_length;
	frame.scale = (double)(WIDTH - MARGIN - EDGE) / frame.row_length;
	rows = count_rows(block, frame.row_length);
	put_extents(&frame, extents, processes, shares);
	put_strips(&frame, block);
	for (unsigned int row = 0; row < rows; row++) {
		snprintf(text, sizeof(text), "%#" PRIx64,
			 (uint64_t)(frame.base + row * frame.row_length));
		put_label(MARGIN - 6, frame.top + row * ROW_PITCH + 16,
			  "font-size=\"11\" text-anchor=\"end\" font-family=\"monospace\"", text);
	}
	if (b->heap_size) {
		heap_use(block, extents, &use);
		snprintf(text, sizeof(text),
			 "heap: %s free of %s, largest free extent %s, fragmentation %.0f %%. A row is %s.",
			 human(use.free), human(b->heap_size), human(use.largest),
			 100 * use.fragmentation, human(frame.row_length));
	} else {
		snprintf(text, sizeof(text), "A row is %s.", human(frame.row_length));
	}
	put_label(MARGIN, frame.top + rows * ROW_PITCH + 8, "font-size=\"12\"", text);
}

/* The legend: entries below each other, in several columns */
struct legend {
	double top;
	unsigned int rows;
	unsigned int used;
};

static void put_entry(struct legend *legend, const struct paint *paint, const char *letter,
		      const char *text)
{
	double width = (double)(WIDTH - 2 * EDGE) / LEGEND_COLUMNS;
	double x = EDGE + legend->used / legend->rows * width;
	double y = legend->top + legend->used % legend->rows * LEGEND_PITCH;
	char attributes[160];

	legend->used++;
	fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"14\" height=\"14\" fill=\"%s\" stroke=\"#808080\" stroke-width=\"0.5\"/>\n",
		x, y, paint->fill);
	snprintf(attributes, sizeof(attributes),
		 "font-family=\"monospace\" font-size=\"%u\" text-anchor=\"middle\" fill=\"%s\"",
		 LABEL_SIZE, paint->ink);
	if (*letter)
		put_label(x + 7, y + 11, attributes, letter);
	put_label(x + 20, y + 11, "font-size=\"12\"", text);
}

static void put_share(struct legend *legend, const struct paint *paint, const struct share *share,
		      const char *letter)
{
	char text[256];

	snprintf(text, sizeof(text), "%s: %s in %u buffer%s", cut(share->name, 22),
		 human(share->bytes), share->buffers, share->buffers == 1 ? "" : "s");
	put_entry(legend, paint, letter, text);
}

static unsigned int count_entries(const bool *shown, const struct shares *shares)
{
	/* The last two are pools and heap. */
	unsigned int entries = 2 + (shares->count > MAX_LETTERS ? MAX_LETTERS + 1 : shares->count);

	for (unsigned int i = 0; i < NUM_STATES; i++)
		entries += shown[i];
	return entries;
}

static unsigned int legend_rows(const bool *shown, const struct shares *shares)
{
	return (count_entries(shown, shares) + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS;
}

static void put_legend(double top, const bool *shown, const struct shares *shares)
{
	struct legend legend = { .top = top, .rows = legend_rows(shown, shares) };
	struct paint pools = { "#404a5c", "#ffffff" }, heap = { "#d0d0d0", "#404040" };
	struct paint paint;
	struct share rest;

	for (unsigned int i = 0; i < shares->count && i < MAX_LETTERS; i++) {
		const struct share *share = shares_ranked(shares, i);

		paint = holder_paint(share);
		put_share(&legend, &paint, share, letter_of(share));
	}
	if (shares_rest(shares, &rest)) {
		rest.rank = MAX_LETTERS;
		paint = holder_paint(&rest);
		put_share(&legend, &paint, &rest, "");
	}
	for (unsigned int i = 0; i < NUM_STATES; i++) {
		if (!shown[i])
			continue;
		paint = state_paint(i);
		put_entry(&legend, &paint, "", states[i].text);
	}
	put_entry(&legend, &pools, "", "strip below a row: pools");
	put_entry(&legend, &heap, "", "strip below a row: heap");
}

void svg_write(const char *path, const struct blocks *blocks, const struct extents *extents,
	       const struct processes *processes, const struct shares *shares)
{
	uint64_t page = blocks->info.alignment;
	bool shown[NUM_STATES] = { };
	double height = 2 * EDGE, top = 0;

	for (unsigned int i = 0; i < blocks->count; i++) {
		height += block_height(&blocks->block[i], page, &extents[i]);
		for (unsigned int n = 0; block_has_range(&blocks->block[i]) && n < extents[i].count;
		     n++)
			shown[extents[i].extent[n].state] = true;
	}
	shown[HELD] = false;
	height += legend_rows(shown, shares) * LEGEND_PITCH;

	out = strcmp(path, "-") ? fopen(path, "we") : stdout;
	if (!out)
		die("--svg %s: %s", path, strerror(errno));
	fprintf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" viewBox=\"0 0 %d %.0f\" font-family=\"sans-serif\">\n"
		"<title>CMEM</title>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
		WIDTH, height, WIDTH, height);
	for (unsigned int i = 0; i < blocks->count; i++) {
		put_block(&blocks->block[i], page, top, &extents[i], processes, shares);
		top += block_height(&blocks->block[i], page, &extents[i]);
	}
	put_legend(top + EDGE, shown, shares);
	fputs("</svg>\n", out);
	if (ferror(out) || (out == stdout ? fflush(out) : fclose(out)))
		die("--svg %s: %s", path, strerror(errno));
}
