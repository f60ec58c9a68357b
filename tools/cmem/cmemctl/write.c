// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl write and fill: write data to a buffer.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmemctl.h"

/* Maximum bytes in a pattern */
#define MAX_PATTERN 256

static uint64_t parse_one_size(void)
{
	uint64_t size = parse_size("--size", optarg);

	if (!size)
		usage("--size: at least one byte");
	return size;
}

static int open_input(const char *name)
{
	int fd;

	if (!name)
		return STDIN_FILENO;
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("%s: %s", name, strerror(errno));
	return fd;
}

/* The length of the input; false if unknown, as for a pipe */
static bool input_length(int fd, const char *name, uint64_t *length)
{
	struct stat st;
	off_t at;

	if (fstat(fd, &st))
		die("%s: %s", name, strerror(errno));
	if (S_ISDIR(st.st_mode))
		die("%s: %s", name, strerror(EISDIR));
	/* Files in /proc and /sys report length 0 but are not empty. */
	if (!S_ISREG(st.st_mode) || !st.st_size)
		return false;
	at = lseek(fd, 0, SEEK_CUR);
	if (at < 0)
		return false;
	*length = st.st_size > at ? st.st_size - at : 0;
	return true;
}

/* The buffer is full: check whether the input has more. */
static void check_end(const struct contents *contents, int fd, const char *name)
{
	char byte;

	if (contents_read_file(contents, fd, name, &byte, 1))
		die("%s has more than the buffer has room for: its first %s were written, up to the end of the buffer",
		    name, contents_so_far(contents));
}

static void copy(struct contents *contents, int fd, const char *name)
{
	uint64_t end = contents->total ?: contents->room;
	char *data = xrealloc(NULL, CONTENTS_STEP, 1);

	while (contents->done < end) {
		uint64_t left = end - contents->done;
		size_t step = left < CONTENTS_STEP ? left : CONTENTS_STEP;
		size_t got = contents_read_file(contents, fd, name, data, step);

		/* Slow input becomes visible as it arrives. */
		contents_put(contents, data, got);
		contents_progress(contents);
		if (!got)
			break;
	}
	contents_end_progress();
	free(data);
}

static int run_write(int argc, char **argv)
{
	static const struct option options[] = {
		{ "size", required_argument, NULL, 's' },
		COMMON_OPTIONS
	};
	uint64_t size = 0, phys, length = 0;
	const char *name = NULL, *shown;
	struct contents contents;
	bool anyway = false, known;
	int in;

	while (next_option(&write_command, argc, argv, "s:", options) != -1)
		size = parse_one_size();
	if (optind == argc)
		usage("where? The ADDRESS of a buffer, such as cmemctl alloc prints, or inside of one");
	phys = parse_address("ADDRESS", argv[optind++]);
	if (optind < argc)
		name = argv[optind++];
	if (optind < argc)
		usage("one ADDRESS and one FILE: '%s' is too many", argv[optind]);
	if (name && !strcmp(name, "-")) {
		name = NULL;
		anyway = true;
	}
	shown = name ?: "standard input";
	if (!name && !anyway && isatty(STDIN_FILENO))
		usage("standard input is a terminal: name a FILE, or - if what is typed is meant");

	in = open_input(name);
	known = input_length(in, shown, &length);
	if (known && size && length < size)
		die("%s has %" PRIu64 " bytes, less than the %" PRIu64 " of --size. Nothing was written.",
		    shown, length, size);
	contents_open(&contents, phys, true);
	if (size)
		contents_need(&contents, "--size", size);
	else if (known)
		contents_need(&contents, shown, length);
	contents.total = size ?: length;

	if (!known || size || length)
		copy(&contents, in, shown);
	if (contents.done < contents.total)
		die("%s ended early: %s were written", shown, contents_so_far(&contents));
	if (!contents.total && contents.done == contents.room)
		check_end(&contents, in, shown);
	contents_close();
	contents_print(&contents, "written from", shown);
	return 0;
}

static int hex_digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* "a5" or "0xa5"; "deadbeef" are four bytes in this order */
static size_t parse_pattern(const char *text, unsigned char *pattern)
{
	const char *digits = text;
	size_t length;

	/* With 0x, bytes would be a number; their order depends on the machine. */
	if (!strncasecmp(text, "0x", 2) && strlen(text) <= 4)
		digits += 2;
	length = strspn(digits, "0123456789abcdefABCDEF");
	if (!length || digits[length])
		usage("--pattern: '%s' is none: bytes in the order in which they are to lie in memory, two hexadecimal digits each, such as 00 or deadbeef",
		      text);
	if (length % 2)
		usage("--pattern: '%s' has half a byte: two hexadecimal digits for each", text);
	if (length / 2 > MAX_PATTERN)
		usage("--pattern: %zu bytes, at most %d are possible: cmemctl write takes a file",
		      length / 2, MAX_PATTERN);
	for (size_t i = 0; i < length / 2; i++)
		pattern[i] = hex_digit(digits[2 * i]) << 4 | hex_digit(digits[2 * i + 1]);
	return length / 2;
}

static int run_fill(int argc, char **argv)
{
	static const struct option options[] = {
		{ "size", required_argument, NULL, 's' },
		{ "pattern", required_argument, NULL, 'p' },
		COMMON_OPTIONS
	};
	unsigned char pattern[MAX_PATTERN] = { 0 };
	size_t pattern_length = 1, filled;
	struct contents contents;
	uint64_t size = 0, phys;
	unsigned char *data;
	int c;

	while ((c = next_option(&fill_command, argc, argv, "s:p:", options)) != -1) {
		if (c == 's')
			size = parse_one_size();
		else
			pattern_length = parse_pattern(optarg, pattern);
	}
	if (optind == argc)
		usage("where? The ADDRESS of a buffer, such as cmemctl alloc prints, or inside of one");
	phys = parse_address("ADDRESS", argv[optind++]);
	if (optind < argc)
		usage("one ADDRESS: '%s' is too many (--size says how much, --pattern with what)",
		      argv[optind]);

	contents_open(&contents, phys, true);
	if (size)
		contents_need(&contents, "--size", size);
	contents.total = size ?: contents.room;
	/* Whole patterns, so that each step continues where the last one ended */
	filled = CONTENTS_STEP - CONTENTS_STEP % pattern_length;
	data = xrealloc(NULL, filled, 1);
	for (size_t i = 0; i < filled; i++)
		data[i] = pattern[i % pattern_length];
	while (contents.done < contents.total) {
		uint64_t left = contents.total - contents.done;

		contents_put(&contents, data, left < filled ? left : filled);
		contents_progress(&contents);
	}
	contents_end_progress();
	free(data);
	contents_close();
	contents_print(&contents, "filled", NULL);
	return 0;
}

const struct command write_command = {
	.name = "write",
	.summary = "copy a file into a buffer",
	.help =
"Usage: cmemctl write [--size=SIZE] ADDRESS [FILE]\n"
"Copies FILE, or standard input, to memory from the physical ADDRESS on. The buffer\n"
"there is one that a program holds, such as cmemctl alloc, and ADDRESS may be inside of\n"
"it. What was written is in memory, and not only in the CPU's caches, when this ends.\n"
"A file that is longer than what is left of the buffer is refused, and nothing is\n"
"written; of a pipe, whose length nobody knows, the message says what was.\n"
"Wants the user who holds the buffer, or root. FILE may be -.\n"
"\n"
"  -s, --size=SIZE     only the first so many bytes, or with K, M or G\n"
"      --json          print JSON about what was done\n",
	.run = run_write,
};

const struct command fill_command = {
	.name = "fill",
	.summary = "fill a buffer with a pattern",
	.help =
"Usage: cmemctl fill [--size=SIZE] [--pattern=BYTES] ADDRESS\n"
"Fills memory from the physical ADDRESS on, up to the end of the buffer there. The\n"
"buffer is one that a program holds, such as cmemctl alloc, and ADDRESS may be inside\n"
"of it. What was written is in memory, and not only in the CPU's caches, when this\n"
"ends. Wants the user who holds the buffer, or root.\n"
"\n"
"  -s, --size=SIZE     so many bytes, or with K, M or G\n"
"  -p, --pattern=BYTES the bytes, two hexadecimal digits each, in the order of\n"
"                      addresses, again and again: 00 by default\n"
"      --json          print JSON about what was done\n",
	.run = run_fill,
};
