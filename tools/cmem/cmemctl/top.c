// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl top: who holds how much, again and again.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cmemctl.h"

/* An owner: an open file, and the processes that have it */
struct row {
	const struct process *process;
	unsigned int more;
	uint64_t buffers;
	uint64_t bytes;
};

struct rows {
	struct row *row;
	unsigned int count;
};

static bool by_buffers;
static volatile sig_atomic_t stopped;
static struct termios terminal;

static int compare(const void *left, const void *right)
{
	const struct row *a = left, *b = right;
	uint64_t x = by_buffers ? a->buffers : a->bytes;
	uint64_t y = by_buffers ? b->buffers : b->bytes;

	if (x != y)
		return x > y ? -1 : 1;
	if (a->bytes != b->bytes)
		return a->bytes > b->bytes ? -1 : 1;
	return a->process->pid - b->process->pid;
}

static bool has_file(const struct processes *processes, pid_t pid)
{
	for (unsigned int i = 0; i < processes->count; i++)
		if (processes->process[i].pid == pid && processes->process[i].owner)
			return true;
	return false;
}

static void collect(const struct processes *processes, struct rows *rows)
{
	unsigned int room = 0;

	*rows = (struct rows){ };
	for (unsigned int i = 0; i < processes->count; i++) {
		const struct process *p = &processes->process[i];
		struct row row = { .process = p, .buffers = p->buffers, .bytes = p->bytes };

		if (p->owner && processes_owner(processes, p->owner, &row.more) != p)
			continue;
		if (!p->owner) {
			/* Has closed the file and kept mappings: one row a process */
			if (has_file(processes, p->pid))
				continue;
			row.buffers = 1;
			row.bytes = p->map_length;
			if (rows->count && !rows->row[rows->count - 1].process->owner &&
			    rows->row[rows->count - 1].process->pid == p->pid) {
				rows->row[rows->count - 1].buffers++;
				rows->row[rows->count - 1].bytes += p->map_length;
				continue;
			}
		}
		grow(rows->row, rows->count, room);
		rows->row[rows->count++] = row;
	}
	if (rows->count)
		qsort(rows->row, rows->count, sizeof(*rows->row), compare);
}

static unsigned int print_users(const struct users *users, unsigned int lines)
{
	unsigned int used = 1;

	if (!users->count || lines < 2)
		return 0;
	printf("%s%7s %-10s %10s %10s %8s%s\n", colour("7"), "BLOCK", "USER", "CHARGED", "QUOTA",
	       "OF IT", colour("0"));
	for (unsigned int i = 0; i < users->count && used < lines; i++, used++) {
		const struct user *user = &users->user[i];

		printf("%7d %-10s %10s ", user->block, user_name(user->uid), human(user->bytes));
		if (user->quota == CMEM_NO_QUOTA)
			puts("      none");
		else if (!user->quota)
			printf("%10s\n", human(0));
		else
			printf("%10s %6.0f %%\n", human(user->quota),
			       100.0 * user->bytes / user->quota);
	}
	return used;
}

static void print_rows(const struct blocks *blocks, const struct users *users,
		       const struct rows *rows, unsigned int lines)
{
	time_t now = time(NULL);
	unsigned int used = 2;
	char clock[16];

	strftime(clock, sizeof(clock), "%H:%M:%S", localtime(&now));
	printf("cmemctl top - %s, %u owner%s, by %s\n", clock, rows->count,
	       rows->count == 1 ? "" : "s", by_buffers ? "buffers" : "bytes");
	for (unsigned int i = 0; i < blocks->count; i++, used++) {
		uint64_t length = blocks->block[i].info.length;
		uint64_t held = length - blocks_free_bytes(&blocks->block[i]);

		/* That it is not free is not because somebody holds it. */
		held -= blocks->block[i].info.quarantined + blocks->block[i].info.failed;
		printf("block %d: %s held of %s (%.0f %%)", blocks->block[i].info.block,
		       human(held), human(length), 100.0 * held / length);
		if (blocks->block[i].info.quarantined)
			printf(", %s in quarantine", human(blocks->block[i].info.quarantined));
		if (blocks->block[i].info.failed)
			printf(", %s out of use", human(blocks->block[i].info.failed));
		puts("");
	}
	/* Owners are what one looks for: users get half of the room at most. */
	used += print_users(users, lines > used ? (lines - used) / 2 : 0);
	printf("%s%7s %-10s %8s %10s %10s  %-20s%s\n", colour("7"), "PID", "USER", "OWNER",
	       "BUFFERS", "BYTES", "COMMAND", colour("0"));
	for (unsigned int i = 0; i < rows->count && used < lines; i++, used++) {
		const struct row *row = &rows->row[i];
		char owner[24] = "mapped";

		if (row->process->owner)
			snprintf(owner, sizeof(owner), "%" PRIu64, row->process->owner);
		printf("%7d %-10s %8s %10" PRIu64 " %10s  %s", (int)row->process->pid,
		       user_name(row->process->uid), owner, row->buffers, human(row->bytes),
		       row->process->command);
		if (row->more)
			printf(" (+%u)", row->more);
		puts("");
	}
}

static void print_json(const struct blocks *blocks, const struct users *users,
		       const struct rows *rows)
{
	json_begin(true);
	json_number("time", time(NULL));
	json_open("blocks", '[');
	for (unsigned int i = 0; i < blocks->count; i++) {
		json_open(NULL, '{');
		json_signed("block", blocks->block[i].info.block);
		json_number("length", blocks->block[i].info.length);
		json_number("free", blocks_free_bytes(&blocks->block[i]));
		json_number("quarantined", blocks->block[i].info.quarantined);
		json_number("failed", blocks->block[i].info.failed);
		json_close('}');
	}
	json_close(']');
	json_open("users", '[');
	for (unsigned int i = 0; i < users->count; i++) {
		json_open(NULL, '{');
		json_signed("block", users->user[i].block);
		json_number("uid", users->user[i].uid);
		json_number("charged", users->user[i].bytes);
		json_quota(users->user[i].quota);
		json_close('}');
	}
	json_close(']');
	json_open("owners", '[');
	for (unsigned int i = 0; i < rows->count; i++) {
		const struct row *row = &rows->row[i];

		json_open(NULL, '{');
		if (row->process->owner)
			json_number("owner", row->process->owner);
		else
			json_null("owner");
		json_signed("pid", row->process->pid);
		json_number("more_processes", row->more);
		json_number("uid", row->process->uid);
		json_string("command", row->process->command);
		json_number("buffers", row->buffers);
		json_number("bytes", row->bytes);
		json_close('}');
	}
	json_close(']');
	json_end();
}

static void show(int fd, bool interactive)
{
	struct processes processes;
	unsigned int lines = -1;
	struct winsize size;
	struct blocks blocks;
	struct users users;
	struct rows rows;

	device_get_blocks(fd, ALL_BLOCKS, &blocks);
	users_read(&blocks, &users);
	processes_read(&processes);
	collect(&processes, &rows);
	if (interactive) {
		if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row > 4)
			lines = size.ws_row - 1;
		fputs("\033[H\033[J", stdout);
	}
	if (settings.json)
		print_json(&blocks, &users, &rows);
	else
		print_rows(&blocks, &users, &rows, lines);
	fflush(stdout);
	free(rows.row);
	processes_free(&processes);
	users_free(&users);
	free(blocks.block);
}

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static void restore_terminal(void)
{
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
	fputs("\033[?25h", stdout);
	fflush(stdout);
}

/* The keys are read one by one, and not shown. */
static void prepare_terminal(void)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &terminal))
		die("the terminal: %s", strerror(errno));
	raw = terminal;
	raw.c_lflag &= ~(ICANON | ECHO);
	atexit(restore_terminal);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	fputs("\033[?25l", stdout);
}

/* Waits for a key, or until it is time to look again. */
static void wait_for_key(double seconds)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char key;

	if (poll(&in, 1, seconds * 1000) <= 0 || read(STDIN_FILENO, &key, 1) != 1)
		return;
	if (key == 'q')
		stopped = 1;
	else if (key == 'b')
		by_buffers = false;
	else if (key == 'n')
		by_buffers = true;
}

static int run_top(int argc, char **argv)
{
	static const struct option options[] = {
		{ "batch", no_argument, NULL, 'b' },
		{ "iterations", required_argument, NULL, 'n' },
		{ "delay", required_argument, NULL, 'd' },
		{ "sort", required_argument, NULL, 's' },
		COMMON_OPTIONS
	};
	bool interactive = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	struct sigaction action = { .sa_handler = stop };
	long iterations = 0;
	double delay = 2;
	int c, fd;

	while ((c = next_option(&top_command, argc, argv, "bn:d:s:", options)) != -1) {
		switch (c) {
		case 'b':
			interactive = false;
			break;
		case 'n':
			iterations = parse_number("--iterations", optarg, 1, 1000000000);
			break;
		case 'd':
			delay = parse_seconds("--delay", optarg);
			break;
		case 's':
			if (strcmp(optarg, "bytes") && strcmp(optarg, "buffers"))
				usage("--sort: '%s' is neither bytes nor buffers", optarg);
			by_buffers = !strcmp(optarg, "buffers");
			break;
		}
	}
	if (optind < argc)
		usage("'%s' is too many: there is no argument", argv[optind]);
	if (settings.json)
		interactive = false;
	if (!interactive && !iterations)
		iterations = 1;

	fd = device_open();
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (interactive)
		prepare_terminal();
	for (;;) {
		show(fd, interactive);
		if (ferror(stdout))
			return EXIT_FAILED;
		if (iterations && !--iterations)
			break;
		if (interactive)
			wait_for_key(delay);
		else
			usleep(delay * 1000000);
		if (stopped)
			break;
	}
	return 0;
}

const struct command top_command = {
	.name = "top",
	.summary = "who holds how much, refreshed",
	.help =
"Usage: cmemctl top [OPTION]...\n"
"Shows which users are charged for how much of each block, with their quota, and owners\n"
"(open files of /dev/cmem) by what they hold, again and again. Who allocated is charged\n"
"until the memory is free again, whoever holds it. Root sees all, others themselves. Keys: q quits, b sorts by bytes, n by the number of\n"
"buffers, any other looks at once.\n"
"\n"
"  -b, --batch         no keys: print one picture after the other, as is done anyhow\n"
"                      when this is no terminal\n"
"  -n, --iterations=N  stop after N pictures; without it, batches stop after one\n"
"  -d, --delay=SECONDS between two pictures, 2 by default\n"
"  -s, --sort=KEY      bytes (the default) or buffers\n"
"      --json          one line of JSON for each picture\n"
"      --color=WHEN    auto, always or never\n",
	.run = run_top,
};
