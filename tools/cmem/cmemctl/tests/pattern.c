// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does cmemctl test find what it is there for? Memory with a planted fault: what
 * is written goes through lines that are stuck, shorted or cut before it is kept.
 * Prints TAP.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cmemctl.h"

#define WORDS	(1UL << 15)
#define BASE	0xa0000000ULL

/* A fault of the lines between CPU and memory */
struct fault {
	const char *name;
	uint64_t stuck_high;	/* data lines */
	uint64_t stuck_low;
	int and_a, and_b;	/* two data lines shorted: both get a & b, or a | b */
	int or_a, or_b;
	uint64_t cut;		/* address line that does not reach the memory */
	int or_line_a, or_line_b;	/* address lines that are shorted */
	uint64_t cell;		/* address of one cell with a bit that is lost */
};

#define NONE .and_a = -1, .or_a = -1, .or_line_a = -1

static uint64_t memory[WORDS], image[WORDS];
static unsigned int number, failed;

static void result(bool good, const char *format, ...) printf_like(2, 3);
static void result(bool good, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("%sok %u - ", good ? "" : "not ", ++number);
	vprintf(format, args);
	puts("");
	va_end(args);
	failed += !good;
}

static uint64_t short_lines(uint64_t word, int a, int b, bool and)
{
	uint64_t x = word >> a & 1, y = word >> b & 1, both = and ? x & y : x | y;

	return (word & ~(1ULL << a | 1ULL << b)) | both << a | both << b;
}

static uint64_t through_data_lines(const struct fault *f, uint64_t word)
{
	if (f->and_a >= 0)
		word = short_lines(word, f->and_a, f->and_b, true);
	if (f->or_a >= 0)
		word = short_lines(word, f->or_a, f->or_b, false);
	return (word | f->stuck_high) & ~f->stuck_low;
}

static size_t through_address_lines(const struct fault *f, size_t word)
{
	uint64_t phys = 8 * word & ~f->cut;

	if (f->or_line_a >= 0)
		phys = short_lines(phys, f->or_line_a, f->or_line_b, false);
	return phys / 8;
}

/* Writes a pattern as cmemctl does, to memory with a fault, and checks it. */
static void run(const struct fault *f, enum pattern pattern, struct faults *found)
{
	pattern_fill(image, WORDS, BASE, pattern);
	for (size_t i = 0; i < WORDS; i++)
		memory[through_address_lines(f, i)] = through_data_lines(f, image[i]);
	if (f->cell)
		memory[(f->cell - BASE) / 8] &= ~(1ULL << 5);
	for (size_t i = 0; i < WORDS; i++)
		image[i] = memory[through_address_lines(f, i)];
	pattern_check(image, WORDS, BASE, pattern, found);
}

static struct faults run_all(const struct fault *f)
{
	struct faults found = { };

	for (unsigned int p = 0; p < NUM_PATTERNS; p++)
		run(f, p, &found);
	return found;
}

static bool mentions(const struct faults *found, const char *what)
{
	char text[1024];

	faults_describe(found, text, sizeof(text));
	return strstr(text, what);
}

static bool says(const struct faults *found, const char *what)
{
	char text[1024];

	if (mentions(found, what))
		return true;
	faults_describe(found, text, sizeof(text));
	printf("# '%s' is not in: %s\n", what, text);
	return false;
}

static void good_memory(void)
{
	struct fault none = { NONE };
	struct faults found = run_all(&none);

	result(!found.words, "good memory has no fault");
}

static void each_data_line(void)
{
	unsigned int missed = 0;
	char what[64];

	for (int bit = 0; bit < 64; bit++) {
		struct fault high = { NONE, .stuck_high = 1ULL << bit };
		struct fault low = { NONE, .stuck_low = 1ULL << bit };
		struct faults found;

		found = run_all(&high);
		snprintf(what, sizeof(what), "data bits always 1: %d", bit);
		missed += !found.words || !says(&found, what);
		found = run_all(&low);
		snprintf(what, sizeof(what), "data bits always 0: %d", bit);
		missed += !found.words || !says(&found, what);
	}
	result(!missed, "each data line, stuck at 0 or at 1, is found and named");
}

static void each_pair_of_data_lines(void)
{
	unsigned int missed = 0;

	for (int a = 0; a < 64; a++) {
		for (int b = 0; b < a; b++) {
			struct fault and = { NONE, .and_b = b };
			struct fault or = { NONE, .or_b = b };
			struct faults found = { };

			/* The walking ones alone must do. */
			and.and_a = a;
			run(&and, PATTERN_ONES, &found);
			missed += !found.words;
			found = (struct faults){ };
			or.or_a = a;
			run(&or, PATTERN_ZEROS, &found);
			missed += !found.words;
		}
	}
	result(!missed, "each pair of data lines that are shorted is found");
}

static void each_address_line(void)
{
	unsigned int missed = 0;
	char what[64];

	for (int bit = 3; 8 * WORDS >> bit > 1; bit++) {
		struct fault cut = { NONE, .cut = 1ULL << bit };
		struct faults found = run_all(&cut);

		snprintf(what, sizeof(what), "address bits that do not count: %d", bit);
		missed += !found.words || !says(&found, what) || mentions(&found, "always");
	}
	result(!missed, "each address line that is cut is found and named");
}

static void each_pair_of_address_lines(void)
{
	unsigned int missed = 0;

	for (int a = 3; 8 * WORDS >> a > 1; a++) {
		for (int b = 3; b < a; b++) {
			struct fault f = { NONE, .or_line_b = b };
			struct faults found;

			f.or_line_a = a;
			found = run_all(&f);
			missed += !found.words;
		}
	}
	result(!missed, "each pair of address lines that are shorted is found");
}

static void one_cell(void)
{
	struct fault f = { NONE, .cell = BASE + 8 * 4711 };
	struct faults found = run_all(&f);
	char what[64];

	snprintf(what, sizeof(what), "the first at %#" PRIx64, f.cell);
	result(found.words && found.words < NUM_PATTERNS && says(&found, what) &&
	       says(&found, "wrong at times: 5") && !mentions(&found, "always"),
	       "one bit of one cell is found, with its address");
}

int main(void)
{
	puts("TAP version 13\n1..6");
	good_memory();
	each_data_line();
	each_pair_of_data_lines();
	each_address_line();
	each_pair_of_address_lines();
	one_cell();
	return failed ? 1 : 0;
}
