// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl read: copies a buffer to a file or to standard output.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmemctl.h"

static int open_output(const char *name)
{
	int fd;

	if (!name)
		return STDOUT_FILENO;
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		die("%s: %s", name, strerror(errno));
	return fd;
}

static int run_read(int argc, char **argv)
{
	static const struct option options[] = {
		{ "size", required_argument, NULL, 's' },
		COMMON_OPTIONS
	};
	const char *name = NULL, *shown;
	struct contents contents;
	uint64_t size = 0, phys;
	bool anyway = false;
	char *data;
	int out;

	while (next_option(&read_command, argc, argv, "s:", options) != -1) {
		size = parse_size("--size", optarg);
		if (!size)
			usage("--size: at least one byte");
	}
	if (optind == argc)
		usage("what? The ADDRESS of a buffer, such as cmemctl alloc prints, or inside of one");
	phys = parse_address("ADDRESS", argv[optind++]);
	if (optind < argc)
		name = argv[optind++];
	if (optind < argc)
		usage("one ADDRESS and one FILE: '%s' is too many (--size says how much)",
		      argv[optind]);
	if (name && !strcmp(name, "-")) {
		name = NULL;
		anyway = true;
	}
	shown = name ?: "standard output";
	if (!name && settings.json)
		usage("--json goes to standard output, and so would the bytes: name a FILE");
	if (!name && !anyway && isatty(STDOUT_FILENO))
		usage("standard output is a terminal: name a FILE, or - if it is to get the bytes all the same");

	contents_open(&contents, phys, false);
	if (size)
		contents_need(&contents, "--size", size);
	contents.total = size ?: contents.room;
	/* A wrong address must not destroy the existing file. */
	out = open_output(name);
	data = xrealloc(NULL, CONTENTS_STEP, 1);
	while (contents.done < contents.total) {
		uint64_t left = contents.total - contents.done;
		size_t step = left < CONTENTS_STEP ? left : CONTENTS_STEP;

		contents_get(&contents, data, step);
		contents_write_file(&contents, out, shown, data, step);
		contents_progress(&contents);
	}
	contents_end_progress();
	contents_close();
	free(data);
	/* Some file systems report only now that they are full. */
	if (name && close(out))
		die("%s: writing: %s", name, strerror(errno));
	if (name)
		contents_print(&contents, "read into", name);
	return 0;
}

const struct command read_command = {
	.name = "read",
	.summary = "copy what is in a buffer to a file",
	.help =
"Usage: cmemctl read [--size=SIZE] ADDRESS [FILE]\n"
"Copies what is in memory from the physical ADDRESS on, up to the end of the buffer\n"
"there, to FILE, or to standard output. The buffer is one that a program holds, such\n"
"as cmemctl alloc, and ADDRESS may be inside of it. What the CPU has in its caches is\n"
"dropped first, so that what a device wrote is seen.\n"
"Wants the user who holds the buffer, or root. FILE may be -.\n"
"\n"
"  -s, --size=SIZE     so many bytes, or with K, M or G\n"
"      --json          print JSON about what was done (with FILE)\n",
	.run = run_read,
};
