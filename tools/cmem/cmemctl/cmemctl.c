// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl: inspects CMEM, and allocates memory from it, on the command line.
 * This file has the code common to all verbs: the command line and its errors.
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmemctl.h"

struct settings settings;

static const struct command *const commands[] = {
	&info_command,
	&map_command, &top_command, &doctor_command, &bench_command,
	&alloc_command, &free_command, &read_command, &write_command, &fill_command,
	&test_command, &watch_command, &load_command, &unload_command, &release_command,
};

/* The verb, for messages */
static const char *verb;

enum colours { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER };
static enum colours colours;

static void complain(const char *format, va_list args)
{
	fflush(stdout);
	fprintf(stderr, "cmemctl%s%s: ", verb ? " " : "", verb ? verb : "");
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

/* The same, and exit: a JSON reader gets JSON. */
static void complain_at_last(const char *format, va_list args)
{
	char text[1024];
	va_list copy;

	va_copy(copy, args);
	vsnprintf(text, sizeof(text), format, copy);
	va_end(copy);
	if (settings.json)
		json_error(text);
	complain(format, args);
}

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain_at_last(format, args);
	va_end(args);
	exit(EXIT_FAILED);
}

void usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain_at_last(format, args);
	va_end(args);
	fprintf(stderr, "Try: cmemctl %s%s--help\n", verb ? verb : "", verb ? " " : "");
	exit(EXIT_USAGE);
}

void warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(format, args);
	va_end(args);
}

void *xrealloc(void *old, size_t count, size_t size)
{
	void *memory = count > SIZE_MAX / size ? NULL : realloc(old, count * size);

	if (!memory)
		die("out of memory");
	return memory;
}

uint64_t parse_size(const char *what, const char *text)
{
	static const char letters[] = "kmgt";
	unsigned long long value;
	unsigned int shift = 0;
	const char *letter;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (end == text || strchr(text, '-') || errno)
		goto wrong;
	letter = *end ? strchr(letters, tolower((unsigned char)*end)) : NULL;
	if (letter) {
		shift = 10 * (letter - letters + 1);
		end++;
	}
	if (shift && !strcmp(end, "iB"))
		end += 2;
	if (*end || value > UINT64_MAX >> shift)
		goto wrong;
	return (uint64_t)value << shift;
wrong:
	usage("%s: '%s' is no size: a number of bytes (0x for hexadecimal), or one with K, M, G or T for KiB, MiB, GiB or TiB",
	      what, text);
}

uint64_t parse_address(const char *what, const char *text)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (end == text || *end || strchr(text, '-') || errno)
		usage("%s: '%s' is no physical address, such as 0xa0000000", what, text);
	return value;
}

long parse_number(const char *what, const char *text, long min, long max)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (end == text || *end || errno || value < min || value > max)
		usage("%s: '%s' is no number from %ld to %ld", what, text, min, max);
	return value;
}

double parse_seconds(const char *what, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !isfinite(value) || value <= 0 || value > 1e8)
		usage("%s: '%s' is no number of seconds above 0, such as 2 or 0.5", what, text);
	return value;
}

int parse_block(const char *text)
{
	if (!strcmp(text, "cma"))
		return CMEM_BLOCK_CMA;
	return parse_number("block", text, CMEM_BLOCK_CMA, MAX_BLOCKS - 1);
}

static void set_colours(const char *when)
{
	if (!strcmp(when, "auto"))
		colours = COLOUR_AUTO;
	else if (!strcmp(when, "always"))
		colours = COLOUR_ALWAYS;
	else if (!strcmp(when, "never"))
		colours = COLOUR_NEVER;
	else
		usage("--color=%s: auto, always or never", when);
}

/* A command line option overrides NO_COLOR. */
static bool wants_colour(void)
{
	const char *none = getenv("NO_COLOR");

	if (colours != COLOUR_AUTO)
		return colours == COLOUR_ALWAYS;
	return isatty(STDOUT_FILENO) && !(none && *none) && terminal_obeys();
}

static void print_version(void)
{
	printf("cmemctl %s (ABI %d of /dev/cmem)\n", CMEMCTL_VERSION, CMEM_ABI_VERSION);
	exit(0);
}

static void print_help(void)
{
	puts("Usage: cmemctl [--json] [--color=WHEN] VERB [OPTION]... [ARGUMENT]...\n"
	     "Looks at CMEM, the contiguous memory allocator, and takes memory from it.\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-7s %s\n", commands[i]->name, commands[i]->summary);
	puts("\n"
	     "  --json          print JSON, with sizes in bytes\n"
	     "  --color=WHEN    auto (on a terminal, the default), always or never\n"
	     "  -h, --help      this, or what a VERB takes: cmemctl VERB --help, cmemctl help VERB\n"
	     "  -V, --version\n"
	     "\n"
	     "See cmemctl(8). Exit status: 0; 1 when it failed; 2 for a wrong command line.");
}

int next_option(const struct command *command, int argc, char **argv, const char *letters,
		const struct option *options)
{
	char text[64];
	int c;

	for (;;) {
		/* We print the messages: avoid the program's name twice. */
		opterr = 0;
		snprintf(text, sizeof(text), "%s:hV%s", *letters == '+' ? "+" : "",
			 letters + (*letters == '+'));
		c = getopt_long(argc, argv, text, options, NULL);
		switch (c) {
		case OPTION_JSON:
			settings.json = true;
			break;
		case OPTION_COLOUR:
			set_colours(optarg);
			break;
		case 'h':
		case OPTION_HELP:
			if (command)
				fputs(command->help, stdout);
			else
				print_help();
			exit(0);
		case 'V':
		case OPTION_VERSION:
			print_version();
			break;
		case ':':
			usage("%s wants a value", argv[optind - 1]);
		case '?':
			if (strncmp(argv[optind - 1], "--", 2))
				usage("no option -%c", optopt);
			usage("%s is no option, or has a value it does not take",
			      argv[optind - 1]);
		case -1:
			settings.colour = wants_colour();
			return -1;
		default:
			return c;
		}
	}
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t word_distance(const char *from, const char *to)
{
	size_t rows[3][32], *before = rows[0], *last = rows[1], *row = rows[2], *spare;
	size_t length = strlen(to);

	if (length >= ARRAY_SIZE(rows[0]))
		return SIZE_MAX;
	for (size_t k = 0; k <= length; k++)
		last[k] = k;
	for (size_t i = 1; from[i - 1]; i++) {
		row[0] = i;
		for (size_t k = 1; k <= length; k++) {
			row[k] = least(last[k - 1] + (from[i - 1] != to[k - 1]),
				       least(last[k], row[k - 1]) + 1);
			if (i > 1 && k > 1 && from[i - 1] == to[k - 2] && from[i - 2] == to[k - 1])
				row[k] = least(row[k], before[k - 2] + 1);
		}
		spare = before;
		before = last;
		last = row;
		row = spare;
	}
	return last[length];
}

/* The verbs as in "info, map or top" */
static const char *all_verbs(void)
{
	static char text[256];
	size_t length = 0;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		length += snprintf(text + length, sizeof(text) - length, "%s%s", !i ? "" :
				   i + 1 < ARRAY_SIZE(commands) ? ", " : " or ", commands[i]->name);
	return text;
}

static const struct command *find_command(const char *name)
{
	const struct command *closest = NULL;
	size_t closest_distance = strlen(name) > 4 ? 3 : 2;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		size_t far = word_distance(name, commands[i]->name);

		if (!far)
			return commands[i];
		if (far < closest_distance) {
			closest = commands[i];
			closest_distance = far;
		}
	}
	if (closest)
		usage("no verb '%s': do you mean %s?", name, closest->name);
	usage("no verb '%s': %s", name, all_verbs());
}

/* A failed write is an error, too: a full disk, for example. */
static void close_output(void)
{
	/* A caller may close the output if there is nothing to print. */
	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return;
	if (errno != EPIPE)
		fprintf(stderr, "cmemctl: writing: %s\n", strerror(errno ?: EIO));
	_exit(EXIT_FAILED);
}

/*
 * Block -1, which looks like an option, and options that work before the command line is
 * checked
 */
static void look_ahead(int argc, char **argv)
{
	char *cma = strdup("cma");

	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		if (!strcmp(argv[i], "--json"))
			settings.json = true;
		else if (!strcmp(argv[i], "-1") && argv[i - 1][0] != '-')
			argv[i] = cma ?: argv[i];
		else if (!strcmp(argv[i], "--exec") || !strcmp(argv[i], "-x"))
			break;
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = { COMMON_OPTIONS };
	const struct command *command;

	atexit(close_output);
	look_ahead(argc, argv);
	/* Up to the verb: its own options follow it. */
	if (next_option(NULL, argc, argv, "+", options) != -1 || optind >= argc) {
		print_help();
		return EXIT_USAGE;
	}
	if (!strcmp(argv[optind], "help")) {
		if (optind + 1 < argc)
			fputs(find_command(argv[optind + 1])->help, stdout);
		else
			print_help();
		return 0;
	}
	command = find_command(argv[optind]);

	verb = command->name;
	argc -= optind;
	argv += optind;
	optind = 0;
	return command->run(argc, argv);
}
