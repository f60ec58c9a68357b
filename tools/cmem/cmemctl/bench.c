// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl bench: what CMEM's operations take on this board, in nanoseconds, next to what
 * the kernel's other allocators of shareable memory take. This file has the command line
 * and the output: bench.h names the others.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench.h"

/* Of the JSON; raised when a member changes its meaning. New ones may appear without. */
#define SCHEMA		1

#define SECONDS		10
#define MOST_SECONDS	3600

/* The row of CMEM that those after it are compared with */
static struct {
	const char *title;
	uint64_t length;
	char name[96];
	double median;
} reference;

static struct {
	char name[96];
	char reason[160];
} *skipped;
static unsigned int num_skipped, room_skipped;
static unsigned int num_measured;

static void on_signal(int signal)
{
	bench_stopped = signal;
}

static void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction action = { .sa_handler = on_signal }, old;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		sigaction(signals[i], NULL, &old);
		if (old.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
	/* A write fails instead: to stdout, that ends it; to FILE, the row. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

static bool begins_group(const struct row *row)
{
	return reference.title != row->title || reference.length != row->length;
}

static void set_reference(const struct row *row)
{
	reference.title = row->title;
	reference.length = row->length;
	/* Nothing is a multiple of 0, which a coarse clock measures. */
	reference.median = row->source->peer || row->figures.median <= 0 ? NAN :
			   row->figures.median;
	snprintf(reference.name, sizeof(reference.name), "%s", row->name);
}

static void remember_skipped(const struct row *row, const char *reason)
{
	grow(skipped, num_skipped, room_skipped);
	snprintf(skipped[num_skipped].name, sizeof(skipped->name), "%s", row->name);
	snprintf(skipped[num_skipped++].reason, sizeof(skipped->reason), "%s", reason);
}

/* The table */

static const char *known(double value, char text[16])
{
	if (isnan(value))
		return "-";
	snprintf(text, 16, "%.0f", value);
	return text;
}

static void print_heading(const struct row *row)
{
	char line[160];

	if (num_measured)
		puts("");
	printf("%s%s%s%s%s\n", colour("1"), row->title, row->length ? ", " : "",
	       row->length ? human(row->length) : "", colour("0"));
	if (num_measured)
		return;
	snprintf(line, sizeof(line), "  %-24s %11s %11s %11s %8s %11s %11s %7s  %s", "ns:",
		 "median", "99 %", "worst", "ratio", "cycles", "instr.", "samples", "memory");
	print_line(line);
}

static void print_row(const struct row *row)
{
	const struct figures *f = &row->figures;
	char line[320], p99[16], ratio[16] = "-", cycles[16], instructions[16];

	if (begins_group(row)) {
		print_heading(row);
		set_reference(row);
	}
	if (!isnan(reference.median))
		snprintf(ratio, sizeof(ratio), "%.2f", f->median / reference.median);
	snprintf(line, sizeof(line), "  %-24s %11.0f %11s %11.0f %8s %11s %11s %7u  %s%s",
		 row->name, f->median, known(f->p99, p99), f->worst, ratio,
		 known(f->cycles, cycles), known(f->instructions, instructions), f->samples,
		 row->source->where, row->source->peer ? " (not CMEM)" : "");
	print_line(line);
	fflush(stdout);
	num_measured++;
}

/* This one, and all others of the same reason, which are done with that */
static void print_skipped_for(unsigned int first)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		die("out of memory");
	fprintf(f, "  %s: %s", printable(skipped[first].reason), skipped[first].name);
	for (unsigned int i = first + 1; i < num_skipped; i++) {
		if (strcmp(skipped[first].reason, skipped[i].reason))
			continue;
		fprintf(f, ", %s", skipped[i].name);
		*skipped[i].name = 0;
	}
	fclose(f);
	print_folded(text, 6, line_width());
	free(text);
}

/* Rows that were not measured */
static void print_skipped(void)
{
	if (num_skipped)
		puts("\nnot measured:");
	for (unsigned int i = 0; i < num_skipped; i++) {
		if (*skipped[i].name)
			print_skipped_for(i);
	}
}

static void print_own_heap(const char *name, int block)
{
	printf("dma-heap %s is CMEM's: block %d\n", printable(name), block);
}

static void print_unusable(const char *path, const char *why)
{
	printf("no peer: %s: %s\n", printable(path), why);
}

static void print_note(const char *text)
{
	print_folded(text, 6, line_width());
}

static void print_end(const struct machine *machine)
{
	print_skipped();
	puts("");
	peers_own(print_own_heap);
	peers_unusable(print_unusable);
	machine_print(machine);
	print_note(counters_scope());
	sources_left_out(print_note);
	machine_notes(machine, print_note);
}

/* The same as JSON */

static void json_source(const struct source *source, unsigned int live)
{
	json_string("memory", source->where);
	json_bool("peer", source->peer);
	if (source->peer)
		return;
	json_signed("block", source->block);
	if (source->pool == CMEM_POOL_BEST)
		json_string("pool", "best");
	else
		json_pool(source->pool);
	json_number("live", live);
}

static void json_row(const struct row *row)
{
	const struct figures *f = &row->figures;

	if (begins_group(row))
		set_reference(row);
	json_open(NULL, '{');
	json_string("row", row->name);
	json_string("operation", row->title);
	json_number_or_null("length", row->length);
	json_source(row->source, row->live);
	json_real("median", f->median);
	json_real_or_null("p99", f->p99);
	json_real("worst", f->worst);
	json_real_or_null("cycles", f->cycles);
	json_real_or_null("instructions", f->instructions);
	json_real("faults", f->faults);
	json_real_or_null("ratio", f->median / reference.median);
	json_string_or_null("ratio_to", isnan(reference.median) ? "" : reference.name);
	json_number("samples", f->samples);
	json_number("operations", f->operations);
	json_close('}');
	fflush(stdout);
	num_measured++;
}

static void json_own_heap(const char *name, int block)
{
	json_open(NULL, '{');
	json_string("name", name);
	json_signed("block", block);
	json_close('}');
}

static void json_unusable(const char *path, const char *why)
{
	json_open(NULL, '{');
	json_string("path", path);
	json_string("reason", why);
	json_close('}');
}

static void json_note(const char *text)
{
	json_string(NULL, text);
}

static void json_blocks(const struct blocks *blocks)
{
	json_open("driver", '{');
	json_number("abi_version", blocks->info.abi_version);
	json_bool("coherent", blocks->info.out_flags & CMEM_INFO_COHERENT);
	json_number("cache_line", blocks->info.cache_line);
	json_open("blocks", '[');
	for (unsigned int i = 0; i < blocks->count; i++) {
		const struct cmem_block_info *b = &blocks->block[i].info;

		json_open(NULL, '{');
		json_signed("block", b->block);
		json_string("kind", kind_name(b->kind));
		json_number("length", b->length);
		json_number("heap", b->heap_size);
		json_bool("coherent", b->out_flags & CMEM_BLOCK_COHERENT);
		json_bool("page_backed", b->out_flags & CMEM_BLOCK_PAGES);
		json_bool("can_be_page_backed", b->out_flags & CMEM_BLOCK_CAN_PAGES);
		json_bool("keep_contents", b->out_flags & CMEM_BLOCK_KEEP_CONTENTS);
		json_bool("quarantine", b->out_flags & CMEM_BLOCK_QUARANTINE);
		json_close('}');
	}
	json_close(']');
	json_close('}');
}

static void json_begin_all(const struct plan *plan, const struct blocks *blocks,
			   const struct timer *timer)
{
	json_begin(false);
	json_number("schema", SCHEMA);
	json_string("cmemctl", CMEMCTL_VERSION);
	json_string("unit", "ns");
	json_open("clock", '{');
	json_string("name", "CLOCK_MONOTONIC_RAW");
	json_real("cost", timer->cost);
	json_real("step", timer->step);
	json_close('}');
	if (plan->samples)
		json_number("wanted_samples", plan->samples);
	else
		json_real("seconds", plan->seconds);
	json_blocks(blocks);
	json_open("rows", '[');
}

static void json_end_all(const struct machine *machine)
{
	json_close(']');
	json_open("skipped", '[');
	for (unsigned int i = 0; i < num_skipped; i++) {
		json_open(NULL, '{');
		json_string("row", skipped[i].name);
		json_string("reason", skipped[i].reason);
		json_close('}');
	}
	json_close(']');
	json_open("own_heaps", '[');
	peers_own(json_own_heap);
	json_close(']');
	json_open("unusable_peers", '[');
	peers_unusable(json_unusable);
	json_close(']');
	json_string("counters", counters_scope());
	machine_json(machine);
	json_open("notes", '[');
	sources_left_out(json_note);
	machine_notes(machine, json_note);
	json_close(']');
}

/* The command line */

static void list_row(const struct row *row)
{
	if (settings.json) {
		json_open(NULL, '{');
		json_string("row", row->name);
		json_string("operation", row->title);
		json_number_or_null("length", row->length);
		json_bool("peer", row->source->peer);
		json_close('}');
	} else {
		printf("%-28s %s%s%s%s\n", row->name, row->title, row->length ? ", " : "",
		       row->length ? human(row->length) : "",
		       row->source->peer ? " (not CMEM)" : "");
	}
}

static int list_rows(const struct plan *plan)
{
	if (settings.json) {
		json_begin(false);
		json_open("rows", '[');
	}
	rows_count(plan, list_row);
	if (settings.json) {
		json_close(']');
		json_end();
	}
	return 0;
}

static void check_patterns(const struct plan *plan)
{
	for (unsigned int i = 0; i < plan->num_patterns; i++) {
		struct plan one = *plan;

		one.patterns += i;
		one.num_patterns = 1;
		if (!rows_count(&one, NULL))
			usage("no row is called '%s': cmemctl bench --list has their names, and * stands for any letters",
			      plan->patterns[i]);
	}
}

static void run_on(long cpu)
{
	char online[64];
	cpu_set_t set;
	int error;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (!sched_setaffinity(0, sizeof(set), &set))
		return;
	error = errno;
	read_line("/sys/devices/system/cpu/online", online, sizeof(online));
	die("--cpu: CPU %ld can't be had (%s): online are %s", cpu, strerror(error),
	    *online ? online : "?");
}

static void measure_all(struct plan *plan, int block, long cpu)
{
	struct machine machine;
	struct blocks blocks;
	struct timer timer;
	int ret;

	device_get_blocks(plan->cmem, block, &blocks);
	machine_read(&machine);
	measure_begin(&timer, cpu);
	plan->measured = settings.json ? json_row : print_row;
	plan->skipped = remember_skipped;
	if (settings.json)
		json_begin_all(plan, &blocks, &timer);
	ret = rows_measure(plan);
	if (ret == -EPIPE) {
		/* This fails again, and the exit says why unless the reader has left. */
		puts("");
		exit(EXIT_FAILED);
	}
	machine_read_cpu(&machine);
	if (settings.json)
		json_end_all(&machine);
	else
		print_end(&machine);
	if (ret)
		die("stopped by a signal: %u rows were measured, and all that it took is free again",
		    num_measured);
	if (settings.json)
		json_end();
}

static int run_bench(int argc, char **argv)
{
	enum { OPTION_FILE = OPTION_OWN };
	static const struct option options[] = {
		{ "block", required_argument, NULL, 'b' },
		{ "cpu", required_argument, NULL, 'c' },
		{ "file", required_argument, NULL, OPTION_FILE },
		{ "list", no_argument, NULL, 'l' },
		{ "samples", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 's' },
		COMMON_OPTIONS
	};
	struct plan plan = { };
	int block = ALL_BLOCKS, c;
	bool list = false;
	long cpu = -1;

	while ((c = next_option(&bench_command, argc, argv, "b:c:ln:s:", options)) != -1) {
		switch (c) {
		case 'b':
			block = parse_block(optarg);
			break;
		case 'c':
			cpu = parse_number("--cpu", optarg, 0, CPU_SETSIZE - 1);
			break;
		case OPTION_FILE:
			plan.file = optarg;
			break;
		case 'l':
			list = true;
			break;
		case 'n':
			plan.samples = parse_number("--samples", optarg, 1, MAX_SAMPLES);
			break;
		case 's':
			plan.seconds = parse_seconds("--seconds", optarg);
			if (plan.seconds > MOST_SECONDS)
				usage("--seconds: %d at most", MOST_SECONDS);
			break;
		}
	}
	if (plan.samples && plan.seconds)
		usage("either --seconds for all rows or --samples of each");
	if (plan.file && !access(plan.file, F_OK))
		usage("--file: FILE exists. Name a new file, which bench makes and removes.");
	if (!plan.samples && !plan.seconds)
		plan.seconds = SECONDS;
	plan.patterns = argv + optind;
	plan.num_patterns = argc - optind;

	plan.cmem = device_open();
	sources_begin(plan.cmem, block);
	check_patterns(&plan);
	if (list)
		return list_rows(&plan);
	if (cpu >= 0)
		run_on(cpu);
	catch_signals();
	measure_all(&plan, block, cpu);
	return 0;
}

const struct command bench_command = {
	.name = "bench",
	.summary = "what CMEM's operations take on this board, next to the DMA-BUF heaps'",
	.help =
"Usage: cmemctl bench [OPTION]... [ROW]...\n"
"Measures CMEM's operations on this machine, in nanoseconds, and cycles and instructions\n"
"where the kernel permits it, and in the same way the DMA-BUF heaps that are not CMEM's,\n"
"udmabuf and anonymous memory. Prints the median, the 99th percentile (of 100 samples at\n"
"least) and the worst sample, and the median as a multiple of the first row of CMEM in\n"
"the same group.\n"
"Takes only what is free, at most 128 MiB at a time, and frees it all, also if a signal\n"
"ends it. Rows that this board can't have are named at the end, with the reason.\n"
"ROW is the name of a row, or a pattern with * and ?; the default is all.\n"
"\n"
"  -l, --list          print the names of the rows, and measure nothing\n"
"  -b, --block=BLOCK   only memory of this block; blocks that keep their contents, that\n"
"                      quarantine what is not freed, or that are on-chip memory, are\n"
"                      left out if they are not named\n"
"  -c, --cpu=N         run on this CPU\n"
"  -s, --seconds=S     for all rows together, about: 10 by default\n"
"  -n, --samples=N     so many samples of each row instead, from 1 to 10000\n"
"      --file=FILE     also write to a new FILE, which is removed, with O_DIRECT from\n"
"                      page-backed buffers and from anonymous memory: at most 1 GiB for\n"
"                      a row\n"
"      --json          print JSON, with a description of the machine, to be sent by mail\n"
"      --color=WHEN    auto, always or never\n",
	.run = run_bench,
};
