// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl watch: prints changes. For root, the driver's tracepoints report each event, in
 * a separate instance of tracefs, so that other users of tracing are not disturbed;
 * without these, it polls.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cmemctl.h"

struct change {
	double time;		/* seconds since boot */
	char event[24];
	bool has_block, has_pool, has_owner;
	int block;
	int pool;
	uint64_t phys;
	uint64_t length;
	uint64_t owner;
	bool cached, private;
	char op[24];		/* of cache maintenance */
	pid_t pid;		/* 0: unknown */
	char command[64];
};

static volatile sig_atomic_t stopped;
static long changes_left = -1;
static double end_time;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static bool is_over(void)
{
	return stopped || !changes_left || (end_time && now() >= end_time);
}

static void print_text(const struct change *c)
{
	const char *sgr = !strcmp(c->event, "alloc") ? "32" :
			  !strcmp(c->event, "release") ? "31" : "36";

	printf("[%12.6f] %s%-10s%s %#11" PRIx64 " %10s", c->time, colour(sgr), c->event,
	       colour("0"), c->phys, human(c->length));
	if (c->has_block)
		printf("  block %d", c->block);
	if (c->has_pool)
		printf(" pool %s", pool_name(c->pool));
	if (c->cached)
		printf(" cached");
	if (c->private)
		printf(" private");
	if (*c->op)
		printf("  %s", c->op);
	if (c->pid)
		printf("  %d %s", (int)c->pid, printable(c->command));
	if (c->has_owner)
		printf(" (owner %" PRIu64 ")", c->owner);
	puts("");
}

static void print_json(const struct change *c)
{
	json_begin(true);
	json_real("time", c->time);
	json_string("event", c->event);
	json_number("address", c->phys);
	json_number("length", c->length);
	if (c->has_block)
		json_signed("block", c->block);
	if (c->has_pool)
		json_pool(c->pool);
	if (c->has_pool) {
		json_bool("cached", c->cached);
		json_bool("private", c->private);
	}
	if (*c->op)
		json_string("op", c->op);
	if (c->has_owner)
		json_number("owner", c->owner);
	if (c->pid) {
		json_signed("pid", c->pid);
		json_string("command", c->command);
	}
	json_end();
}

static void print(const struct change *change)
{
	if (is_over())
		return;
	if (settings.json)
		print_json(change);
	else
		print_text(change);
	fflush(stdout);
	if (ferror(stdout))
		stopped = 1;
	if (changes_left > 0)
		changes_left--;
}

/*
 * tracefs
 */

static char instance[128];

static bool write_file(const char *text, const char *format, ...) printf_like(2, 3);
static bool write_file(const char *text, const char *format, ...)
{
	char path[256];
	va_list args;
	bool ok;
	int fd;

	va_start(args, format);
	vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* trace_pipe of that instance, or -1 */
static int trace_pipe = -1;

/* An instance with a reader can't be removed. */
static void end_trace(void)
{
	if (!*instance)
		return;
	write_file("0", "%s/events/enable", instance);
	if (trace_pipe >= 0)
		close(trace_pipe);
	trace_pipe = -1;
	rmdir(instance);
	*instance = 0;
}

/* "cmemctl-<pid>", or with "-<n>" appended if another process uses that */
static bool is_instance(const char *name)
{
	unsigned int parts = 0;

	if (strncmp(name, "cmemctl-", strlen("cmemctl-")))
		return false;
	name += strlen("cmemctl");
	while (*name == '-') {
		size_t digits = strspn(++name, "0123456789");

		if (!digits)
			return false;
		name += digits;
		parts++;
	}
	return !*name && parts <= 2;
}

/*
 * Remove instances that a killed watch left behind, with their events on. A live watch
 * reads its instance, so the kernel does not remove it (EBUSY). That works in any PID
 * namespace, and even if a dead watch's pid is reused.
 */
static void remove_leftovers(const char *place)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/instances", place);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (!is_instance(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/instances/%s", place, entry->d_name);
		rmdir(path);
	}
	if (dir)
		closedir(dir);
}

/* Creates an instance, and opens its trace_pipe: -1 on failure */
static int open_instance(const char *place)
{
	char path[256];
	int fd;

	for (unsigned int n = 0; n < 100; n++) {
		/* In another PID namespace, a process may have the same pid. */
		snprintf(instance, sizeof(instance), n ? "%s/instances/cmemctl-%d-%u" :
			 "%s/instances/cmemctl-%d", place, (int)getpid(), n);
		if (mkdir(instance, 0700)) {
			if (errno == EEXIST)
				continue;
			break;
		}
		snprintf(path, sizeof(path), "%s/trace_pipe", instance);
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		/* Another watch that just started removed it as a leftover: retry. */
		if (errno != ENOENT && errno != ENODEV) {
			rmdir(instance);
			break;
		}
	}
	*instance = 0;
	return -1;
}

/* trace_pipe of an instance with the events on, or -1 */
static int begin_trace(bool all)
{
	static const char *const places[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	static const char *const events[] = { "cmem_alloc", "cmem_register", "cmem_free",
					      "cmem_quarantine", "cmem_pin", "cmem_release" };
	char path[256];

	for (size_t i = 0; i < ARRAY_SIZE(places) && trace_pipe < 0; i++) {
		snprintf(path, sizeof(path), "%s/events/cmem", places[i]);
		if (access(path, F_OK))
			continue;
		remove_leftovers(places[i]);
		trace_pipe = open_instance(places[i]);
	}
	if (trace_pipe < 0)
		return -1;
	atexit(end_trace);
	/* Each event at once, without batching */
	write_file("0", "%s/buffer_percent", instance);
	/* Use the same clock as the kernel's log and ours */
	write_file("mono", "%s/trace_clock", instance);
	if (all && !write_file("1", "%s/events/cmem/enable", instance))
		goto fail;
	for (size_t i = 0; !all && i < ARRAY_SIZE(events); i++) {
		/* A kernel without quarantine or pins has no events for them. */
		if (!write_file("1", "%s/events/cmem/%s/enable", instance, events[i]) &&
		    strcmp(events[i], "cmem_quarantine") && strcmp(events[i], "cmem_pin"))
			goto fail;
	}
	return trace_pipe;
fail:
	end_trace();
	return -1;
}

/* The text after " @key=" in an event's fields, or NULL */
static const char *field(const char *fields, const char *key)
{
	size_t length = strlen(key);

	for (const char *at = fields; (at = strstr(at, key)); at++)
		if ((at == fields || at[-1] == ' ') && at[length] == '=')
			return at + length + 1;
	return NULL;
}

static bool number_field(const char *fields, const char *key, uint64_t *value)
{
	const char *text = field(fields, key);

	if (text)
		*value = strtoull(text, NULL, 0);
	return text;
}

/* "comm-pid     [cpu] flags  seconds: cmem_alloc: owner=1 block=0 ..." */
static bool parse_event(char *line, struct change *c)
{
	char *cpu = strrchr(line, ']'), *name, *fields, *dash, *time;
	const char *text;
	uint64_t value;

	*c = (struct change){ };
	name = cpu ? strstr(cpu, ": cmem_") : NULL;
	fields = name ? strstr(name + 2, ": ") : NULL;
	if (!fields)
		return false;
	*name = *fields = 0;
	fields += 2;
	fields[strcspn(fields, "\n")] = 0;
	snprintf(c->event, sizeof(c->event), "%s", name + strlen(": cmem_"));
	time = strrchr(cpu, ' ');
	c->time = time ? strtod(time, NULL) : 0;

	while (cpu > line && *cpu != '[')
		cpu--;
	while (cpu > line && (*cpu == '[' || *cpu == ' '))
		*cpu-- = 0;
	dash = strrchr(line, '-');
	if (dash) {
		*dash = 0;
		c->pid = atoi(dash + 1);
	}
	line += strspn(line, " ");
	snprintf(c->command, sizeof(c->command), "%s", line);
	/* The kernel does not remember all names. */
	if (!strcmp(c->command, "<...>"))
		process_command(c->pid, c->command, sizeof(c->command));

	if (!number_field(fields, "phys", &c->phys) ||
	    !number_field(fields, "length", &c->length))
		return false;
	/* A DMA-BUF heap allocates without an owner. */
	c->has_owner = number_field(fields, "owner", &c->owner) && c->owner;
	c->has_block = number_field(fields, "block", &value);
	if (c->has_block)
		c->block = value;
	text = field(fields, "pool");
	if (text) {
		c->has_pool = true;
		c->pool = atoi(text);
	}
	text = field(fields, "flags");
	c->cached = text && strstr(text, "cached");
	c->private = text && strstr(text, "private");
	text = field(fields, "op");
	if (text)
		snprintf(c->op, sizeof(c->op), "%s", text);
	return true;
}

static void take_line(char *line)
{
	struct change change;

	if (strstr(line, "LOST") && strstr(line, "EVENTS"))
		warn("some events were lost: they came faster than they were read");
	else if (parse_event(line, &change))
		print(&change);
}

static void watch_trace(int fd)
{
	char text[8192];
	size_t length = 0;

	while (!is_over()) {
		struct pollfd in = { .fd = fd, .events = POLLIN };
		double left = end_time ? end_time - now() : 1;
		char *line, *end;
		ssize_t got;

		if (poll(&in, 1, left > 0.2 ? 200 : left * 1000 + 1) < 0)
			continue;
		got = read(fd, text + length, sizeof(text) - 1 - length);
		if (got <= 0)
			continue;
		length += got;
		text[length] = 0;
		for (line = text; (end = strchr(line, '\n')); line = end + 1) {
			*end = 0;
			take_line(line);
		}
		length = strlen(line);
		memmove(text, line, length + 1);
		if (length == sizeof(text) - 1)
			length = 0;
	}
	close(fd);
}

/*
 * Without tracing
 */

static bool has_owner(const struct extent *extent, uint64_t owner)
{
	for (unsigned int i = 0; i < extent->owners; i++)
		if (extent->owner[i].owner == owner)
			return true;
	return false;
}

/* The previous state: a process that released a buffer may have exited. */
static struct processes earlier;

static void print_change(const char *event, const struct block *block, const struct extent *e,
			 uint64_t owner, const struct processes *processes)
{
	struct change change = {
		.time = now(), .has_block = true, .block = block->info.block, .has_pool = true,
		.pool = e->pool, .phys = e->start, .length = e->length, .owner = owner,
		.has_owner = owner, .cached = e->cached, .private = e->private,
	};
	const struct process *who;
	unsigned int more;

	snprintf(change.event, sizeof(change.event), "%s", event);
	who = processes_owner(processes, owner, &more);
	if (!who)
		who = processes_owner(&earlier, owner, &more);
	if (who) {
		change.pid = who->pid;
		snprintf(change.command, sizeof(change.command), "%s", who->command);
	}
	print(&change);
}

/* The same buffer all the time: at least one owner stayed */
static bool is_same(const struct extent *old, const struct extent *new)
{
	if (old->start != new->start || old->length != new->length)
		return false;
	/* Quarantined or pinned memory never goes directly to a new owner. */
	if (old->state != HELD && new->state == HELD)
		return false;
	if (!old->owners || !new->owners)
		return true;
	for (unsigned int i = 0; i < old->owners; i++)
		if (has_owner(new, old->owner[i].owner))
			return true;
	return false;
}

static void compare_owners(const struct block *block, const struct extent *old,
			   const struct extent *new, const struct processes *processes)
{
	for (unsigned int i = 0; i < old->owners; i++)
		if (!has_owner(new, old->owner[i].owner))
			print_change("free", block, old, old->owner[i].owner, processes);
	for (unsigned int i = 0; i < new->owners; i++)
		if (!has_owner(old, new->owner[i].owner))
			print_change("register", block, new, new->owner[i].owner, processes);
}

/* Held, in quarantine or pinned: not free */
static const struct extent *next_held(const struct extents *extents, unsigned int *at)
{
	while (*at < extents->count && !is_buffer(extents->extent[*at].state))
		++*at;
	return *at < extents->count ? &extents->extent[*at] : NULL;
}

static uint64_t first_owner(const struct extent *extent)
{
	return extent->owners ? extent->owner[0].owner : 0;
}

/* Both are sorted by address. */
static void compare(const struct block *block, const struct extents *old,
		    const struct extents *new, const struct processes *processes)
{
	unsigned int i = 0, j = 0;

	for (;;) {
		const struct extent *a = next_held(old, &i), *b = next_held(new, &j);

		if (!a && !b)
			return;
		if (a && b && is_same(a, b)) {
			compare_owners(block, a, b, processes);
			if (a->state == HELD && b->state == QUARANTINE)
				print_change("quarantine", block, b, b->last_owner, processes);
			if (a->state != PINNED && b->state == PINNED)
				print_change("pin", block, b, b->last_owner, processes);
			i++;
			j++;
		} else if (a && (!b || a->start <= b->start)) {
			print_change("release", block, a, first_owner(a), processes);
			i++;
		} else {
			print_change("alloc", block, b, first_owner(b), processes);
			j++;
		}
	}
}

/* Tells waiting programs to continue. */
static void say_ready(const char *how)
{
	if (!settings.json)
		printf("watching by %s\n", how);
	fflush(stdout);
}

static void watch_by_polling(int fd, double interval)
{
	struct extents *old, *new;
	struct processes processes;
	struct blocks blocks;

	device_get_blocks(fd, ALL_BLOCKS, &blocks);
	old = xrealloc(NULL, blocks.count, sizeof(*old));
	new = xrealloc(NULL, blocks.count, sizeof(*new));
	processes_read(&earlier);
	for (unsigned int i = 0; i < blocks.count; i++)
		extents_read(&blocks.block[i], &old[i]);
	if (extents_advice())
		warn("%s", extents_advice());
	say_ready("polling");
	while (!is_over()) {
		usleep(interval * 1000000);
		for (unsigned int i = 0; i < blocks.count; i++)
			extents_read(&blocks.block[i], &new[i]);
		/* Read after the extents: it includes their owners. */
		processes_read(&processes);
		for (unsigned int i = 0; i < blocks.count; i++) {
			compare(&blocks.block[i], &old[i], &new[i], &processes);
			extents_free(&old[i]);
			old[i] = new[i];
		}
		processes_free(&earlier);
		earlier = processes;
	}
}

static int run_watch(int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "count", required_argument, NULL, 'n' },
		{ "for", required_argument, NULL, 'f' },
		{ "poll", no_argument, NULL, 'p' },
		{ "interval", required_argument, NULL, 'i' },
		COMMON_OPTIONS
	};
	struct sigaction action = { .sa_handler = stop };
	bool all = false, polling = false;
	double interval = 0.5;
	int c, fd, trace = -1;

	while ((c = next_option(&watch_command, argc, argv, "an:f:pi:", options)) != -1) {
		switch (c) {
		case 'a':
			all = true;
			break;
		case 'n':
			changes_left = parse_number("--count", optarg, 1, 1000000000);
			break;
		case 'f':
			end_time = now() + parse_seconds("--for", optarg);
			break;
		case 'p':
			polling = true;
			break;
		case 'i':
			interval = parse_seconds("--interval", optarg);
			break;
		}
	}
	if (optind < argc)
		usage("'%s' is too many: there is no argument", argv[optind]);
	if (all && polling)
		usage("--all is what tracing sees: it does not go with --poll");

	fd = device_open();
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	/* It stays ignored under nohup. */
	if (signal(SIGHUP, SIG_IGN) != SIG_IGN)
		sigaction(SIGHUP, &action, NULL);
	/* If the reader exits, still remove the tracefs instance. */
	signal(SIGPIPE, SIG_IGN);
	if (!polling)
		trace = begin_trace(all);
	if (trace < 0 && all)
		die("--all is what tracing sees, and there is no tracing: it is for root; is CONFIG_FTRACE on? mount -t tracefs none /sys/kernel/tracing");
	if (trace < 0 && !polling)
		warn("no tracing (it is for root, with tracefs mounted): looking every %g s, so what is short is not seen",
		     interval);
	if (trace < 0) {
		watch_by_polling(fd, interval);
	} else {
		say_ready("tracing");
		watch_trace(trace);
	}
	return 0;
}

const struct command watch_command = {
	.name = "watch",
	.summary = "print allocations and frees as they happen",
	.help =
"Usage: cmemctl watch [OPTION]...\n"
"Prints each change: alloc, register (another file joins), free (a file leaves),\n"
"release (nobody holds the buffer any more). By tracing, which is for root; else by\n"
"looking again and again, which misses what is short. Ctrl-C ends it.\n"
"\n"
"  -a, --all               mappings, scrubbing and cache maintenance as well\n"
"  -n, --count=N           stop after N changes\n"
"  -f, --for=SECONDS       stop after this time\n"
"  -p, --poll              do not trace\n"
"  -i, --interval=SECONDS  between two looks when polling, 0.5 by default\n"
"      --json              one line of JSON for each change\n"
"      --color=WHEN        auto, always or never\n",
	.run = run_watch,
};
