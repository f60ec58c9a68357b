// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory test patterns: 64-bit words that depend on their physical addresses. The
 * test writes all memory before it reads back the first word.
 *
 *   address, and its complement
 *	each word is unique, so that a stuck address line, or one shorted to
 *	another, shows as a word with another's contents
 *   a walking 1, and a walking 0
 *	each data line is once the only one that differs, so that a stuck line,
 *	or one shorted to another, shows
 */
#include <inttypes.h>

#include "cmemctl.h"

uint64_t pattern_word(enum pattern pattern, uint64_t phys)
{
	/* It starts elsewhere every 64 words, to avoid a match with the row length. */
	uint64_t one = 1ULL << ((phys / 8 + phys / 512) % 64);

	switch (pattern) {
	case PATTERN_ADDRESS:
		return phys;
	case PATTERN_NOT_ADDRESS:
		return ~phys;
	case PATTERN_ONES:
		return one;
	default:
		return ~one;
	}
}

void pattern_fill(volatile uint64_t *memory, size_t words, uint64_t phys, enum pattern pattern)
{
	for (size_t i = 0; i < words; i++)
		memory[i] = pattern_word(pattern, phys + 8 * i);
}

static void note_fault(uint64_t phys, uint64_t wanted, uint64_t found, enum pattern pattern,
		       struct faults *faults)
{
	uint64_t line = wanted ^ found;

	if (!faults->words++) {
		faults->first = phys;
		faults->wanted = wanted;
		faults->found = found;
	}
	faults->wrong_high |= found & ~wanted;
	faults->wrong_low |= wanted & ~found;
	if (line < 8 || line & (line - 1))
		return;
	if (pattern == PATTERN_ADDRESS)
		faults->lines |= line;
	if (pattern == PATTERN_NOT_ADDRESS)
		faults->not_lines |= line;
}

void pattern_check(const volatile uint64_t *memory, size_t words, uint64_t phys,
		   enum pattern pattern, struct faults *faults)
{
	for (size_t i = 0; i < words; i++) {
		uint64_t wanted = pattern_word(pattern, phys + 8 * i);
		uint64_t found = memory[i];

		faults->any_high |= found;
		faults->any_low |= ~found;
		if (found != wanted)
			note_fault(phys + 8 * i, wanted, found, pattern, faults);
	}
}

static size_t list_bits(char *text, size_t size, size_t length, const char *what, uint64_t bits)
{
	const char *separator = " ";

	if (!bits || length >= size)
		return length;
	length += snprintf(text + length, size - length, "; %s", what);
	for (unsigned int i = 0; i < 64 && length < size; i++) {
		if (!(bits >> i & 1))
			continue;
		length += snprintf(text + length, size - length, "%s%u", separator, i);
		separator = ", ";
	}
	return length;
}

void faults_describe(const struct faults *faults, char *text, size_t size)
{
	uint64_t stuck_high = faults->wrong_high & ~faults->any_low;
	uint64_t stuck_low = faults->wrong_low & ~faults->any_high;
	uint64_t lines;
	size_t length;

	length = snprintf(text, size, "%" PRIu64 " word%s wrong, the first at %#" PRIx64
			  ": wrote %016" PRIx64 ", read %016" PRIx64,
			  faults->words, faults->words == 1 ? "" : "s", faults->first,
			  faults->wanted, faults->found);
	length = list_bits(text, size, length, "data bits always 1:", stuck_high);
	length = list_bits(text, size, length, "data bits always 0:", stuck_low);
	/* A stuck data bit looks like a stuck address line, but not twice. */
	lines = faults->lines & faults->not_lines & ~stuck_high & ~stuck_low;
	length = list_bits(text, size, length, "address bits that do not count:", lines);
	if (!stuck_high && !stuck_low && !lines)
		list_bits(text, size, length, "data bits that are wrong at times:",
			  faults->wrong_high | faults->wrong_low);
}
