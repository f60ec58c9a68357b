// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl top: shows repeatedly who holds how much.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cmemctl.h"

/* A holder of one kind: a file and the processes that have it, for example */
struct row {
	enum holding_kind kind;
	const struct process *process;	/* or NULL */
	const char *device;
	unsigned int more;
	uint64_t buffers;
	uint64_t bytes;
};

struct rows {
	struct row *row;
	unsigned int count;
	unsigned int room;
};

/* All data of one refresh */
struct view {
	struct blocks blocks;
	struct users users;
	struct extents *extents;	/* of each block */
	struct processes processes;
	struct rows rows;
};

static bool by_buffers;
static volatile sig_atomic_t stopped, suspended, continued;
static struct termios terminal;
/* The signal mask for waiting: signals arrive at no other time. */
static sigset_t while_waiting;
static bool escapes;

static int compare(const void *left, const void *right)
{
	const struct row *a = left, *b = right;
	uint64_t x = by_buffers ? a->buffers : a->bytes;
	uint64_t y = by_buffers ? b->buffers : b->bytes;

	if (x != y)
		return x > y ? -1 : 1;
	if (a->bytes != b->bytes)
		return a->bytes > b->bytes ? -1 : 1;
	if (a->process && b->process && a->process->pid != b->process->pid)
		return a->process->pid - b->process->pid;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return a->device && b->device ? strcmp(a->device, b->device) : 0;
}

static bool has_file(const struct processes *processes, pid_t pid)
{
	for (unsigned int i = 0; i < processes->count; i++)
		if (processes->process[i].pid == pid && processes->process[i].owner)
			return true;
	return false;
}

static bool is_same(const struct row *a, const struct row *b)
{
	if (a->kind != b->kind || a->kind == BY_FILE)
		return false;
	if (a->process && b->process)
		return a->process->pid == b->process->pid;
	if (a->device && b->device)
		return !strcmp(a->device, b->device);
	return !a->process && !b->process && !a->device && !b->device;
}

/* One row for each file, and for each other process or device that holds memory */
static void add(struct rows *rows, const struct row *row)
{
	for (unsigned int i = 0; i < rows->count; i++) {
		if (is_same(&rows->row[i], row)) {
			rows->row[i].buffers += row->buffers;
			rows->row[i].bytes += row->bytes;
			return;
		}
	}
	grow(rows->row, rows->count, rows->room);
	rows->row[rows->count++] = *row;
}

static void collect_files(struct view *view)
{
	const struct processes *processes = &view->processes;

	for (unsigned int i = 0; i < processes->count; i++) {
		const struct process *p = &processes->process[i];
		struct row row = {
			.kind = p->kind, .process = p, .buffers = p->buffers, .bytes = p->bytes,
		};

		if (p->kind == BY_FILE && processes_owner(processes, p->owner, &row.more) == p)
			add(&view->rows, &row);
		if (p->kind == BY_MAPPING && !has_file(processes, p->pid)) {
			/* It closed the file and kept mappings */
			row.buffers = 1;
			row.bytes = p->map_length;
			add(&view->rows, &row);
		}
	}
}

/* The kernel's per-buffer data for root, joined with the processes' data */
static void collect_dmabufs(struct view *view, const struct extents *extents)
{
	for (unsigned int i = 0; i < extents->count; i++) {
		const struct extent *e = &extents->extent[i];
		struct holdings holdings;

		if (e->state != HELD || (e->owners && !e->dmabufs))
			continue;
		holdings_get(&view->processes, e, &holdings);
		for (unsigned int n = 0; n < holdings.count; n++) {
			const struct holding *h = &holdings.holding[n];

			if (h->kind == BY_FILE || h->kind == BY_MAPPING)
				continue;
			add(&view->rows, &(struct row){
				.kind = h->kind, .process = h->process, .device = h->device,
				.buffers = 1, .bytes = e->length,
			});
		}
		holdings_free(&holdings);
	}
}

/* Other users see only the exporters of their own DMA-BUFs, not the buffers. */
static void collect_own_dmabufs(struct view *view)
{
	for (unsigned int i = 0; i < view->processes.count; i++) {
		const struct process *p = &view->processes.process[i];

		if (p->kind == BY_DMABUF && (!strcmp(p->exporter, "cmem") ||
					     !strncmp(p->exporter, "cmem-", 5)))
			add(&view->rows, &(struct row){
				.kind = BY_DMABUF, .process = p, .buffers = 1, .bytes = p->bytes,
			});
	}
}

static void look(int fd, struct view *view)
{
	bool known = false;

	*view = (struct view){ };
	device_get_blocks(fd, ALL_BLOCKS, &view->blocks);
	users_read(&view->blocks, &view->users);
	view->extents = xrealloc(NULL, view->blocks.count, sizeof(*view->extents));
	for (unsigned int i = 0; i < view->blocks.count; i++) {
		extents_read(&view->blocks.block[i], &view->extents[i]);
		known |= view->extents[i].known;
	}
	processes_read(&view->processes);
	processes_add_importers(&view->processes, view->extents, view->blocks.count);
	collect_files(view);
	/* A block of empty CMA areas has no data. */
	for (unsigned int i = 0; i < view->blocks.count; i++)
		if (view->extents[i].known)
			collect_dmabufs(view, &view->extents[i]);
	if (!known)
		collect_own_dmabufs(view);
	if (view->rows.count)
		qsort(view->rows.row, view->rows.count, sizeof(*view->rows.row), compare);
}

static void forget(struct view *view)
{
	free(view->rows.row);
	processes_free(&view->processes);
	for (unsigned int i = 0; i < view->blocks.count; i++)
		extents_free(&view->extents[i]);
	free(view->extents);
	users_free(&view->users);
	free(view->blocks.block);
}

/* Prints lines while there is room for them. */
struct page {
	unsigned int left;
};

static void line(struct page *page, const char *format, ...) printf_like(2, 3);

static void line(struct page *page, const char *format, ...)
{
	char text[1024];
	va_list args;

	if (!page->left)
		return;
	page->left--;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	print_line(text);
}

static void print_users(struct page *page, const struct users *users, unsigned int lines)
{
	if (!users->count || lines < 2)
		return;
	line(page, "%s%7s %-10s %10s %10s %8s%s", colour("7"), "BLOCK", "USER", "CHARGED", "QUOTA",
	     "OF IT", colour("0"));
	for (unsigned int i = 0; i < users->count && i + 1 < lines; i++) {
		const struct user *user = &users->user[i];
		const char *name = column(user_name(user->uid), 10);

		if (user->quota == CMEM_NO_QUOTA)
			line(page, "%7d %s %10s       none", user->block, name, human(user->bytes));
		else if (!user->quota)
			line(page, "%7d %s %10s %10s", user->block, name, human(user->bytes),
			     human(0));
		else
			line(page, "%7d %s %10s %10s %6.0f %%", user->block, name,
			     human(user->bytes), human(user->quota),
			     100.0 * user->bytes / user->quota);
	}
}

static void print_blocks(struct page *page, const struct blocks *blocks, unsigned int lines)
{
	unsigned int shown = blocks->count <= lines ? blocks->count : lines ? lines - 1 : 0;

	for (unsigned int i = 0; i < shown; i++) {
		const struct cmem_block_info *info = &blocks->block[i].info;
		uint64_t held = info->length - blocks_free_bytes(&blocks->block[i]);
		char more[128] = "";
		size_t used = 0;

		/* This memory is not free, but has no holder. */
		held -= info->quarantined + info->pinned + info->failed;
		if (info->quarantined)
			used = snprintf(more, sizeof(more), ", %s in quarantine",
					human(info->quarantined));
		if (info->pinned)
			used += snprintf(more + used, sizeof(more) - used, ", %s pinned",
					 human(info->pinned));
		if (info->failed)
			snprintf(more + used, sizeof(more) - used, ", %s out of use",
				 human(info->failed));
		line(page, "block %d: %s held of %s (%.0f %%)%s", info->block, human(held),
		     human(info->length), 100.0 * held / info->length, more);
	}
	if (shown < blocks->count && lines)
		line(page, "and %u more blocks", blocks->count - shown);
}

static const char *row_owner(const struct row *row)
{
	static char number[24];

	switch (row->kind) {
	case BY_FILE:
		snprintf(number, sizeof(number), "%" PRIu64, row->process->owner);
		return number;
	case BY_MAPPING:
		return "mapped";
	case BY_DEVICE:
		return "device";
	case BY_DMABUF:
	case BY_LOST_DMABUF:
	case BY_SOME_DMABUF:
		return "dma-buf";
	default:
		return "?";
	}
}

/* The program, or a substitute text */
static const char *row_command(const struct row *row)
{
	static char text[160];

	if (row->process && row->more)
		snprintf(text, sizeof(text), "%s (+%u)", printable(row->process->command),
			 row->more);
	else if (row->process)
		return printable(row->process->command);
	else if (row->kind == BY_DEVICE)
		return printable(row->device);
	else if (row->kind == BY_LOST_DMABUF)
		return "(in no process)";
	else
		return "(not known)";
	return text;
}

/* Narrow terminals get fewer columns, to leave useful room for the command. */
#define ALL_COLUMNS	60
#define MOST_COLUMNS	52

static void print_head(struct page *page)
{
	unsigned int width = line_width();

	if (width >= ALL_COLUMNS)
		line(page, "%s%7s %-10s %8s %10s %10s  %-20s%s", colour("7"), "PID", "USER", "OWNER",
		     "BUFFERS", "BYTES", "COMMAND", colour("0"));
	else if (width >= MOST_COLUMNS)
		line(page, "%s%7s %-8s %8s %10s  %-14s%s", colour("7"), "PID", "USER", "OWNER",
		     "BYTES", "COMMAND", colour("0"));
	else
		line(page, "%s%7s %8s %8s  %-13s%s", colour("7"), "PID", "OWNER", "BYTES", "COMMAND",
		     colour("0"));
}

static void print_row(struct page *page, const struct row *row)
{
	unsigned int width = line_width();
	char pid[16] = "-";
	const char *user = row->process ? user_name(row->process->uid) : "-";

	if (row->process)
		snprintf(pid, sizeof(pid), "%d", (int)row->process->pid);
	if (width >= ALL_COLUMNS)
		line(page, "%7s %s %8s %10" PRIu64 " %10s  %s", pid, column(user, 10),
		     row_owner(row), row->buffers, human(row->bytes), row_command(row));
	else if (width >= MOST_COLUMNS)
		line(page, "%7s %s %8s %10s  %s", pid, column(user, 8), row_owner(row),
		     human(row->bytes), row_command(row));
	else
		line(page, "%7s %8s %8s  %s", pid, row_owner(row), human(row->bytes),
		     row_command(row));
}

static void print_view(const struct view *view, unsigned int lines)
{
	const char *advice = processes_advice(&view->processes);
	const struct rows *rows = &view->rows;
	struct page page = { .left = lines };
	time_t now = time(NULL);
	char clock[16];

	strftime(clock, sizeof(clock), "%H:%M:%S", localtime(&now));
	line(&page, "cmemctl top - %s, %u owner%s, by %s", clock, rows->count,
	     rows->count == 1 ? "" : "s", by_buffers ? "buffers" : "bytes");
	/* Owners are most important: the rest gets at most half of the room. */
	print_blocks(&page, &view->blocks, page.left / 4);
	if (advice)
		line(&page, "%s", advice);
	if (extents_advice())
		line(&page, "Only DMA-BUFs that a process has open are seen: the others are in debugfs, for root.");
	print_users(&page, &view->users, page.left / 3);
	print_head(&page);
	for (unsigned int i = 0; i < rows->count; i++)
		print_row(&page, &rows->row[i]);
}

static void print_json(const struct view *view)
{
	static const char *const ways[] = {
		[BY_FILE] = "file", [BY_MAPPING] = "mapping", [BY_DMABUF] = "dma-buf",
		[BY_DEVICE] = "device", [BY_LOST_DMABUF] = "dma-buf", [BY_SOME_DMABUF] = "dma-buf",
		[BY_NOBODY_KNOWN] = "unknown",
	};
	const struct blocks *blocks = &view->blocks;
	const struct users *users = &view->users;

	json_begin(true);
	json_number("time", time(NULL));
	json_number("processes_not_seen", view->processes.unseen);
	json_open("blocks", '[');
	for (unsigned int i = 0; i < blocks->count; i++) {
		json_open(NULL, '{');
		json_signed("block", blocks->block[i].info.block);
		json_number("length", blocks->block[i].info.length);
		json_number("free", blocks_free_bytes(&blocks->block[i]));
		json_number("quarantined", blocks->block[i].info.quarantined);
		json_number("pinned", blocks->block[i].info.pinned);
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
	for (unsigned int i = 0; i < view->rows.count; i++) {
		const struct row *row = &view->rows.row[i];

		json_open(NULL, '{');
		if (row->kind == BY_FILE)
			json_number("owner", row->process->owner);
		else
			json_null("owner");
		json_string("by", ways[row->kind]);
		if (row->process) {
			json_signed("pid", row->process->pid);
			json_number("more_processes", row->more);
			json_number("uid", row->process->uid);
			json_string("command", row->process->command);
		} else {
			json_null("pid");
		}
		if (row->device)
			json_string("device", row->device);
		json_number("buffers", row->buffers);
		json_number("bytes", row->bytes);
		json_close('}');
	}
	json_close(']');
	json_end();
}

/* Lines of the terminal; many serial lines do not know their size. */
static unsigned int terminal_lines(void)
{
	const char *lines = getenv("LINES");
	struct winsize size;

	if (lines && atoi(lines) > 1)
		return atoi(lines);
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || size.ws_row < 2)
		return 24;
	return size.ws_row;
}

static void show(int fd, bool interactive)
{
	struct view view;

	look(fd, &view);
	if (settings.json) {
		print_json(&view);
	} else {
		if (interactive && escapes)
			fputs("\033[H\033[J", stdout);
		print_view(&view, interactive ? terminal_lines() - 1 : UINT_MAX);
		/* One below the other, if the cursor can't move */
		if (interactive && !escapes)
			puts("");
	}
	fflush(stdout);
	forget(&view);
}

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static void suspend(int signal)
{
	(void)signal;
	suspended = 1;
}

static void go_on(int signal)
{
	(void)signal;
	continued = 1;
}

/* The signal ends the wait of the main loop, which then reads the terminal's size. */
static void resize(int signal)
{
	(void)signal;
}

static void restore_terminal(void)
{
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
	if (escapes)
		fputs("\033[?25h", stdout);
	fflush(stdout);
}

/* Read keys one by one, without echo. */
static void take_terminal(void)
{
	struct termios raw = terminal;

	raw.c_lflag &= ~(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	/* In the background, this stops the process until it is in the foreground. */
	while (tcsetattr(STDIN_FILENO, TCSANOW, &raw) && errno == EINTR && !stopped)
		;
	if (escapes)
		fputs("\033[?25l", stdout);
}

static void prepare_terminal(void)
{
	static const struct {
		int signal;
		void (*handler)(int signal);
	} handlers[] = {
		{ SIGTSTP, suspend }, { SIGCONT, go_on }, { SIGWINCH, resize }, { SIGQUIT, stop },
		{ SIGHUP, stop }, { SIGINT, stop }, { SIGTERM, stop },
	};
	sigset_t blocked;

	if (tcgetattr(STDIN_FILENO, &terminal))
		die("the terminal: %s", strerror(errno));
	escapes = terminal_obeys();
	atexit(restore_terminal);
	sigemptyset(&blocked);
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) {
		struct sigaction action = { .sa_handler = handlers[i].handler }, before;

		/* The parent may have set it to ignored. */
		if (!sigaction(handlers[i].signal, NULL, &before) && before.sa_handler == SIG_IGN)
			continue;
		sigaction(handlers[i].signal, &action, NULL);
		sigaddset(&blocked, handlers[i].signal);
	}
	sigprocmask(SIG_BLOCK, &blocked, &while_waiting);
	take_terminal();
}

/* Restores the terminal for the shell, and reads its state again after fg. */
static void give_way(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL }, before;
	sigset_t blocked;

	suspended = 0;
	restore_terminal();
	sigaction(SIGTSTP, &action, &before);
	raise(SIGTSTP);
	sigprocmask(SIG_SETMASK, &while_waiting, &blocked);
	/* Continued here, after SIGCONT. */
	sigprocmask(SIG_SETMASK, &blocked, NULL);
	sigaction(SIGTSTP, &before, NULL);
	continued = 1;
}

/* Waits for a key, a signal, or the next refresh. */
static void wait_for_key(double seconds)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	struct timespec time = { .tv_sec = seconds };
	ssize_t got;
	char key;

	time.tv_nsec = (seconds - time.tv_sec) * 1e9;
	if (ppoll(&in, 1, &time, &while_waiting) > 0) {
		got = read(STDIN_FILENO, &key, 1);
		/* The input is closed. */
		if (!got || (got < 0 && errno != EINTR && errno != EAGAIN))
			stopped = 1;
		else if (got > 0 && key == 'q')
			stopped = 1;
		else if (got > 0 && key == 'b')
			by_buffers = false;
		else if (got > 0 && key == 'n')
			by_buffers = true;
	}
	if (suspended && !stopped)
		give_way();
	if (continued && !stopped) {
		continued = 0;
		take_terminal();
	}
}

static void wait_for_time(double seconds)
{
	struct timespec time = { .tv_sec = seconds };

	time.tv_nsec = (seconds - time.tv_sec) * 1e9;
	nanosleep(&time, NULL);
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
			wait_for_time(delay);
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
"(open files of /dev/cmem) by what they hold, again and again; and who holds buffers by\n"
"mappings or DMA-BUFs without such a file, devices of other drivers among them. Who\n"
"allocated is charged until the memory is free again, whoever holds it. Root sees all,\n"
"others themselves. Keys: q quits, b sorts by bytes, n by the number of buffers, ^Z\n"
"stops, any other looks at once.\n"
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
