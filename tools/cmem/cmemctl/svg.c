// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl map --svg: draws blocks. Each is some rows of memory, the addresses
 * growing from left to right and from row to row, with a strip below each row
 * that shows pools and heap.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmemctl.h"

#define WIDTH		1000
#define MARGIN		100	/* at the left, for addresses */
#define EDGE		20
#define ROWS		8
#define ROW_HEIGHT	22
#define STRIP		5
#define ROW_PITCH	34
#define TITLE_HEIGHT	44
#define FOOT_HEIGHT	20
#define LEGEND_PITCH	20

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
	[FAILED] = { "#202020", "out of use: the memory has failed" },
	[UNKNOWN] = { "#bbbbbb", "free, or held by others" },
};

/* Text as XML has it; what is not ASCII becomes a question mark. */
static void put_text(const char *text)
{
	for (; *text; text++) {
		unsigned char c = *text;

		if (c == '<')
			fputs("&lt;", out);
		else if (c == '>')
			fputs("&gt;", out);
		else if (c == '&')
			fputs("&amp;", out);
		else if (c == '"')
			fputs("&quot;", out);
		else
			fputc(c < 0x20 || c >= 0x7f ? '?' : c, out);
	}
}

/* How much of a primary colour there is at a hue, in degrees from its own */
static double channel(unsigned int degrees)
{
	int from_opposite = (int)(degrees % 360) - 180;
	double x = (from_opposite < 0 ? -from_opposite : from_opposite) / 60.0 - 1;

	return x < 0 ? 0 : x > 1 ? 1 : x;
}

/* Colours that differ from each other: a turn of 137.5 degrees each */
static void holder_fill(unsigned int holder, char *fill, size_t size)
{
	unsigned int hue = 210 + holder * 275 / 2;
	unsigned int rgb[3];

	for (unsigned int i = 0; i < 3; i++)
		rgb[i] = 70 + 150 * channel(hue + 360 - 120 * i);
	snprintf(fill, size, "#%02x%02x%02x", rgb[0], rgb[1], rgb[2]);
}

static void put_label(double x, double y, const char *attributes, const char *text)
{
	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
	put_text(text);
	fputs("</text>\n", out);
}

/* Where a block is drawn */
struct frame {
	uint64_t base;
	uint64_t row_length;
	double top;
	double scale;	/* pixels for a byte */
};

/* A range of addresses: as many rectangles as it touches rows */
static void put_range(const struct frame *frame, uint64_t start, uint64_t length, double y,
		      double height, const char *style, const char *title)
{
	uint64_t at = start - frame->base, end = at + length;

	while (at < end) {
		uint64_t row = at / frame->row_length;
		uint64_t stop = (row + 1) * frame->row_length;
		double x;

		if (stop > end)
			stop = end;
		x = MARGIN + (at - row * frame->row_length) * frame->scale;
		fprintf(out, "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" %s><title>",
			x, frame->top + row * ROW_PITCH + y, (stop - at) * frame->scale, height,
			style);
		put_text(title);
		fputs("</title></rect>\n", out);
		at = stop;
	}
}

static void put_extents(const struct frame *frame, const struct extents *extents,
			const struct processes *processes, const struct shares *shares)
{
	unsigned int i = 0;

	while (i < extents->count) {
		const struct extent *first = &extents->extent[i], *e = first;
		bool held = first->state == HELD;
		unsigned int holder = held ? shares_index(shares, first, processes) : 0;
		uint64_t length = first->length;
		unsigned int buffers = 1;
		char fill[16], style[80], title[320];

		/* What would be finer than two pixels goes with its like. */
		for (i++; held && i < extents->count && length * frame->scale < 2; i++) {
			e = &extents->extent[i];
			if (e->state != HELD || shares_index(shares, e, processes) != holder)
				break;
			length += e->length;
			buffers++;
		}
		snprintf(fill, sizeof(fill), "%s", states[first->state].fill ?: "");
		if (held)
			holder_fill(holder, fill, sizeof(fill));
		snprintf(style, sizeof(style), "fill=\"%s\"%s", fill,
			 held && length * frame->scale > 4 ?
			 " stroke=\"#ffffff\" stroke-width=\"0.5\"" : "");
		snprintf(title, sizeof(title), "%#" PRIx64 " - %#" PRIx64 ", %s, %s %s: %s%s",
			 first->start, first->start + length - 1, human(length),
			 first->pool == CMEM_POOL_HEAP ? "" : "pool", pool_name(first->pool),
			 held ? holder_name(processes, first, 0) : states[first->state].text,
			 buffers > 1 ? " (several buffers)" : "");
		put_range(frame, first->start, length, 0, ROW_HEIGHT, style, title);
	}
}

/* Pools and heap, by turns in two shades */
static void put_strips(const struct frame *frame, const struct block *block)
{
	const struct cmem_block_info *b = &block->info;
	char title[160];

	put_range(frame, b->base, b->length, ROW_HEIGHT + 1, STRIP, "fill=\"#d0d0d0\"", "heap");
	for (unsigned int i = 0; i < b->num_pools; i++) {
		const struct cmem_pool_info *p = &block->pool[i];

		snprintf(title, sizeof(title), "pool %u: %u of %s, %u free", i, p->count,
			 human(p->length), p->free);
		put_range(frame, p->base, p->count * p->length, ROW_HEIGHT + 1, STRIP,
			  i % 2 ? "fill=\"#707a8c\"" : "fill=\"#404a5c\"", title);
	}
}

static unsigned int block_rows(const struct block *block, uint64_t page)
{
	uint64_t pages = block->info.length / page;

	return pages < ROWS ? 1 : ROWS;
}

static double put_block(const struct block *block, uint64_t page, double top,
			const struct extents *extents, const struct processes *processes,
			const struct shares *shares)
{
	const struct cmem_block_info *b = &block->info;
	unsigned int rows = block_rows(block, page);
	struct frame frame = { .base = b->base, .top = top + TITLE_HEIGHT };
	struct heap_use use;
	char text[300];

	frame.row_length = (b->length / page + rows - 1) / rows * page;
	frame.scale = (double)(WIDTH - MARGIN - EDGE) / frame.row_length;
	snprintf(text, sizeof(text), "Block %d: %s, %s, %s free", b->block, kind_name(b->kind),
		 human(b->length), human(blocks_free_bytes(block)));
	put_label(EDGE, top + 30, "font-size=\"16\" font-weight=\"bold\"", text);
	put_extents(&frame, extents, processes, shares);
	put_strips(&frame, block);
	for (uint64_t row = 0; row * frame.row_length < b->length; row++) {
		snprintf(text, sizeof(text), "%#" PRIx64,
			 (uint64_t)(b->base + row * frame.row_length));
		put_label(MARGIN - 6, frame.top + row * ROW_PITCH + 15,
			  "font-size=\"11\" text-anchor=\"end\" font-family=\"monospace\"", text);
	}
	top = frame.top + rows * ROW_PITCH;
	if (b->heap_size) {
		heap_use(block, extents, &use);
		snprintf(text, sizeof(text),
			 "heap: %s free of %s, largest free extent %s, fragmentation %.0f %%",
			 human(use.free), human(b->heap_size), human(use.largest),
			 100 * use.fragmentation);
		put_label(MARGIN, top + 8, "font-size=\"12\"", text);
	}
	return top + FOOT_HEIGHT;
}

static double put_swatch(double top, const char *fill, const char *text)
{
	fprintf(out, "<rect x=\"%d\" y=\"%.1f\" width=\"14\" height=\"14\" fill=\"%s\" stroke=\"#808080\" stroke-width=\"0.5\"/>\n",
		MARGIN, top, fill);
	put_label(MARGIN + 22, top + 12, "font-size=\"13\"", text);
	return top + LEGEND_PITCH;
}

static void put_legend(double top, const bool *shown, const struct shares *shares)
{
	char fill[16], text[256];

	for (unsigned int i = 0; i < shares->count; i++) {
		const struct share *share = &shares->share[i];

		holder_fill(i, fill, sizeof(fill));
		snprintf(text, sizeof(text), "%s: %s in %u buffer%s", share->name,
			 human(share->bytes), share->buffers, share->buffers == 1 ? "" : "s");
		top = put_swatch(top, fill, text);
	}
	for (unsigned int i = 0; i < NUM_STATES; i++)
		if (shown[i])
			top = put_swatch(top, states[i].fill, states[i].text);
	top = put_swatch(top, "#404a5c", "strip below a row: pools, by turns in two shades");
	put_swatch(top, "#d0d0d0", "strip below a row: heap");
}

void svg_write(const char *path, const struct blocks *blocks, const struct extents *extents,
	       const struct processes *processes, const struct shares *shares)
{
	bool shown[NUM_STATES] = { };
	unsigned int swatches = shares->count + 2;
	double height = 2 * EDGE, top = 0;

	for (unsigned int i = 0; i < blocks->count; i++) {
		if (!block_has_range(&blocks->block[i]))
			continue;
		height += TITLE_HEIGHT + FOOT_HEIGHT +
			  block_rows(&blocks->block[i], blocks->info.alignment) * ROW_PITCH;
		for (unsigned int n = 0; n < extents[i].count; n++)
			shown[extents[i].extent[n].state] = true;
	}
	shown[HELD] = false;
	for (unsigned int i = 0; i < NUM_STATES; i++)
		swatches += shown[i];
	height += swatches * LEGEND_PITCH;

	out = strcmp(path, "-") ? fopen(path, "we") : stdout;
	if (!out)
		die("--svg %s: %s", path, strerror(errno));
	fprintf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" viewBox=\"0 0 %d %.0f\" font-family=\"sans-serif\">\n"
		"<title>CMEM</title>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
		WIDTH, height, WIDTH, height);
	for (unsigned int i = 0; i < blocks->count; i++)
		if (block_has_range(&blocks->block[i]))
			top = put_block(&blocks->block[i], blocks->info.alignment, top,
					&extents[i], processes, shares);
	put_legend(top + EDGE, shown, shares);
	fputs("</svg>\n", out);
	if (ferror(out) || (out == stdout ? fflush(out) : fclose(out)))
		die("--svg %s: %s", path, strerror(errno));
	if (extents_advice())
		warn("%s", extents_advice());
}
