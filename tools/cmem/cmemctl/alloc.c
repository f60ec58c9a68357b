// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl alloc: allocates buffers and holds them: until it is stopped, for a time,
 * while a command runs, or in the background.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cmemctl.h"

struct wish {
	int block;
	int pool;
	uint64_t size;
	uint64_t alignment;
	unsigned int flags;
	unsigned int count;
	const char *command;
	double seconds;
	bool background;
};

static volatile sig_atomic_t ending;
static pid_t child;

static void list_pools(const struct block *block, char *text, size_t size)
{
	size_t length = 0;

	*text = 0;
	for (unsigned int i = 0; i < block->info.num_pools && length < size; i++)
		length += snprintf(text + length, size - length, "%s%u (%s)", i ? ", " : "", i,
				   human(block->pool[i].length));
	if (!length)
		snprintf(text, size, "none");
}

/* Why an allocation failed, and what to do instead */
static void die_of(int error, const struct wish *wish, unsigned int got)
{
	struct blocks blocks;
	const struct block *block;
	char pools[1024];

	device_get_blocks(device_open(), wish->block, &blocks);
	block = &blocks.block[0];
	list_pools(block, pools, sizeof(pools));
	if (wish->pool >= (int)block->info.num_pools)
		die("block %d has no pool %d: its pools are %s", wish->block, wish->pool, pools);
	if (error == -ENOENT)
		die("no pool of block %d has buffers of %s%s: its pools are %s. Take --pool heap or --or-heap.",
		    wish->block, human(wish->size), wish->alignment ? " with this alignment" : "",
		    pools);
	if (error == -EINVAL && wish->size > block->info.length)
		die("block %d is %s long: %s can not be had", wish->block,
		    human(block->info.length), human(wish->size));
	if (error == -EINVAL && wish->pool >= 0 && wish->size > block->pool[wish->pool].length)
		die("the buffers of pool %d are %s long: %s can not be had of it. The pools of block %d are %s.",
		    wish->pool, human(block->pool[wish->pool].length), human(wish->size),
		    wish->block, pools);
	if (error == -EINVAL && wish->alignment)
		die("the buffers of pool %d are not all aligned to %#" PRIx64 ": take --pool heap",
		    wish->pool, wish->alignment);
	if (error == -ENOMEM && wish->pool == CMEM_POOL_HEAP)
		die("the heap of block %d has no room for %u of %u buffers of %s: its largest free extent is %s of %s that are free. cmemctl map %d shows who holds the rest.",
		    wish->block, wish->count - got, wish->count, human(wish->size),
		    human(block->info.heap_largest), human(block->info.heap_free), wish->block);
	if (error == -ENOMEM)
		die("block %d has too few free buffers: %u of %u were to be had. cmemctl map %d shows who holds them.",
		    wish->block, got, wish->count, wish->block);
	die("block %d: %s", wish->block, strerror(-error));
}

static void allocate(struct holder *holder, struct cmem_alloc *buffers, const struct wish *wish)
{
	for (unsigned int i = 0; i < wish->count; i++) {
		struct cmem_alloc *buffer = &buffers[i];
		int ret;

		*buffer = (struct cmem_alloc){
			.block = wish->block, .pool = wish->pool, .flags = wish->flags,
			.length = wish->size, .alignment = wish->alignment,
		};
		ret = device_alloc(holder->fd, buffer);
		if (ret) {
			/* Undo everything before looking for the reason. */
			holder_end(holder);
			close(holder->fd);
			die_of(ret, wish, i);
		}
		holder->phys[holder->count++] = buffer->phys_addr;
	}
}

static void print(const struct cmem_alloc *buffers, unsigned int count, unsigned int flags,
		  pid_t pid)
{
	if (!settings.json) {
		for (unsigned int i = 0; i < count; i++)
			printf("%#" PRIx64 "  %s  block %d pool %s\n",
			       (uint64_t)buffers[i].phys_addr, human(buffers[i].length),
			       buffers[i].block, pool_name(buffers[i].pool));
		fflush(stdout);
		return;
	}
	json_begin(false);
	json_signed("pid", pid);
	json_open("buffers", '[');
	for (unsigned int i = 0; i < count; i++) {
		json_open(NULL, '{');
		json_signed("block", buffers[i].block);
		json_pool(buffers[i].pool);
		json_number("address", buffers[i].phys_addr);
		json_number("length", buffers[i].length);
		json_bool("cached", flags & CMEM_ALLOC_CACHED);
		json_bool("private", flags & CMEM_ALLOC_PRIVATE);
		json_bool("quarantine", flags & CMEM_ALLOC_QUARANTINE);
		json_bool("page_backed", flags & CMEM_ALLOC_PAGES);
		json_close('}');
	}
	json_close(']');
	json_end();
}

static void on_signal(int signal)
{
	/* A signal goes to the command, and we end when it ends. */
	if (signal != SIGCHLD && child > 0)
		kill(child, signal);
	else if (signal != SIGCHLD)
		ending = 1;
}

static void catch_signals(sigset_t *waiting)
{
	struct sigaction action = { .sa_handler = on_signal }, old;
	const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGCHLD };
	sigset_t blocked;

	/* Signals arrive only while we wait. */
	sigemptyset(&blocked);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		sigaddset(&blocked, signals[i]);
		sigaction(signals[i], &action, &old);
		/* nohup, and a shell's background commands, ignore it. */
		if (old.sa_handler == SIG_IGN && signals[i] != SIGCHLD)
			sigaction(signals[i], &old, NULL);
	}
	sigprocmask(SIG_BLOCK, &blocked, waiting);
}

static void start_command(const char *command, const struct holder *holder, uint64_t length,
			  const sigset_t *mask)
{
	char *addresses = xrealloc(NULL, holder->count * 20 + 1, 1), text[32];

	*addresses = 0;
	for (unsigned int i = 0; i < holder->count; i++)
		sprintf(addresses + strlen(addresses), "%s%#" PRIx64, i ? " " : "",
			holder->phys[i]);
	snprintf(text, sizeof(text), "%" PRIu64, length);
	child = fork();
	if (child < 0)
		die("no process for the command: %s", strerror(errno));
	if (!child) {
		sigprocmask(SIG_SETMASK, mask, NULL);
		setenv("CMEM_ADDRESSES", addresses, 1);
		setenv("CMEM_LENGTH", text, 1);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	free(addresses);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* Holds until nothing is left to hold, or until a signal. */
static int hold(struct holder *holder, const struct wish *wish, const sigset_t *mask)
{
	double end = now() + wish->seconds;
	int status, ret = 0;

	for (;;) {
		struct pollfd request = { .fd = holder->socket, .events = POLLIN };
		struct timespec left = { };
		double rest = end - now();
		int ready;

		if (child > 0 && waitpid(child, &status, WNOHANG) == child) {
			ret = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
			break;
		}
		if (ending || (wish->seconds && rest <= 0) || (!child && !holder->count))
			break;
		left.tv_sec = rest;
		left.tv_nsec = (rest - left.tv_sec) * 1e9;
		ready = ppoll(&request, 1, wish->seconds ? &left : NULL, mask);
		if (ready > 0)
			holder_answer(holder);
	}
	holder_end(holder);
	return ret;
}

/* The process that goes on; its parent returns when the process is reachable. */
static void go_to_background(struct holder *holder, const struct cmem_alloc *buffers,
			     const struct wish *wish)
{
	int ready[2], null;
	char byte;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC))
		die("no pipe: %s", strerror(errno));
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("no process for the background: %s", strerror(errno));
	if (pid) {
		close(ready[1]);
		if (read(ready[0], &byte, 1) != 1)
			die("the process in the background ended at once");
		print(buffers, wish->count, wish->flags, pid);
		exit(0);
	}
	setsid();
	if (chdir("/"))
		warn("/: %s", strerror(errno));
	holder_listen(holder);
	if (write(ready[1], "", 1) != 1)
		_exit(EXIT_FAILED);
	close(ready[0]);
	close(ready[1]);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 3; i++)
		dup2(null, i);
}

static int parse_pool(const char *text)
{
	if (!strcmp(text, "best"))
		return CMEM_POOL_BEST;
	if (!strcmp(text, "heap"))
		return CMEM_POOL_HEAP;
	if (!*text || text[strspn(text, "0123456789")])
		usage("--pool: '%s' is neither best nor heap nor the number of a pool", text);
	return parse_number("--pool", text, 0, CMEM_MAX_POOLS - 1);
}

static void parse(int argc, char **argv, struct wish *wish)
{
	static const struct option options[] = {
		{ "block", required_argument, NULL, 'b' },
		{ "pool", required_argument, NULL, 'p' },
		{ "size", required_argument, NULL, 's' },
		{ "align", required_argument, NULL, 'a' },
		{ "count", required_argument, NULL, 'n' },
		{ "cached", no_argument, NULL, 'c' },
		{ "daemon", no_argument, NULL, 'd' },
		{ "exec", required_argument, NULL, 'x' },
		{ "for", required_argument, NULL, 'f' },
		{ "private", no_argument, NULL, OPTION_OWN },
		{ "or-heap", no_argument, NULL, OPTION_OWN + 1 },
		{ "quarantine", no_argument, NULL, OPTION_OWN + 2 },
		{ "pages", no_argument, NULL, OPTION_OWN + 3 },
		COMMON_OPTIONS
	};
	int c;

	while ((c = next_option(&alloc_command, argc, argv, "b:p:s:a:n:cdx:f:", options)) != -1) {
		switch (c) {
		case 'b':
			wish->block = parse_block(optarg);
			break;
		case 'p':
			wish->pool = parse_pool(optarg);
			break;
		case 's':
			wish->size = parse_size("--size", optarg);
			if (!wish->size)
				usage("--size: a buffer has at least one byte");
			break;
		case 'a':
			wish->alignment = parse_size("--align", optarg);
			if (!wish->alignment || wish->alignment & (wish->alignment - 1))
				usage("--align: '%s' is no power of two", optarg);
			break;
		case 'n':
			wish->count = parse_number("--count", optarg, 1, 1000000);
			break;
		case 'c':
			wish->flags |= CMEM_ALLOC_CACHED;
			break;
		case 'd':
			wish->background = true;
			break;
		case 'x':
			wish->command = optarg;
			break;
		case 'f':
			wish->seconds = parse_seconds("--for", optarg);
			break;
		case OPTION_OWN:
			wish->flags |= CMEM_ALLOC_PRIVATE;
			break;
		case OPTION_OWN + 1:
			wish->flags |= CMEM_ALLOC_HEAP_FALLBACK;
			break;
		case OPTION_OWN + 2:
			wish->flags |= CMEM_ALLOC_QUARANTINE;
			break;
		case OPTION_OWN + 3:
			wish->flags |= CMEM_ALLOC_PAGES | CMEM_ALLOC_CACHED;
			break;
		}
	}
	if (optind < argc)
		usage("'%s' is too many: there is no argument", argv[optind]);
	if (!wish->size && wish->pool < 0)
		usage("how much? --size SIZE, or --pool NUMBER for a whole buffer of that pool");
	if (wish->command && (wish->background || wish->seconds))
		usage("--exec holds as long as the command runs: neither --daemon nor --for go with it");
}

static int run_alloc(int argc, char **argv)
{
	struct wish wish = { .pool = CMEM_POOL_BEST, .count = 1 };
	struct holder holder = { .socket = -1 };
	struct cmem_alloc *buffers;
	struct blocks blocks;
	sigset_t mask;

	parse(argc, argv, &wish);
	buffers = xrealloc(NULL, wish.count, sizeof(*buffers));
	holder.phys = xrealloc(NULL, wish.count, sizeof(*holder.phys));
	holder.fd = device_open();
	/* For the error message about a missing block */
	device_get_blocks(holder.fd, wish.block, &blocks);
	allocate(&holder, buffers, &wish);
	catch_signals(&mask);
	if (wish.background) {
		go_to_background(&holder, buffers, &wish);
	} else {
		holder_listen(&holder);
		print(buffers, wish.count, wish.flags, getpid());
	}
	if (wish.command)
		start_command(wish.command, &holder, buffers[0].length, &mask);
	return hold(&holder, &wish, &mask);
}

const struct command alloc_command = {
	.name = "alloc",
	.summary = "allocate buffers and hold them",
	.help =
"Usage: cmemctl alloc --size SIZE | --pool NUMBER [OPTION]...\n"
"Allocates buffers, prints their physical addresses, and holds them until it gets a\n"
"signal (Ctrl-C) or cmemctl free gives the last of them back.\n"
"\n"
"  -s, --size=SIZE     bytes, or with K, M or G; a pool's whole buffer without it\n"
"  -b, --block=BLOCK   0 by default\n"
"  -p, --pool=POOL     best (the default: the pool that fits), heap or a number\n"
"      --or-heap       take from the heap when no pool can serve\n"
"  -a, --align=SIZE    a power of two that the address is to be a multiple of\n"
"  -n, --count=N       so many buffers, or none: 1 by default\n"
"  -c, --cached        mappings are cached\n"
"      --private       nobody can register for it by its address\n"
"      --pages         page-backed, and cached: for O_DIRECT, io_uring and the like\n"
"      --quarantine    if this is killed, nobody gets it until cmemctl release\n"
"  -x, --exec=COMMAND  hold as long as a shell runs COMMAND, with the addresses in\n"
"                      CMEM_ADDRESSES and the length in CMEM_LENGTH, and return its\n"
"                      exit status\n"
"  -f, --for=SECONDS   hold so long\n"
"  -d, --daemon        hold in the background: return when it is allocated\n"
"      --json          print JSON, with sizes in bytes, and who holds it\n",
	.run = run_alloc,
};
