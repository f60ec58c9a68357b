// SPDX-License-Identifier: BSD-3-Clause
/*
 * The bytes of a held buffer, for read, write and fill. It maps a part at a time, so that
 * a buffer of any length fits into any address space. A mapping of one page holds the
 * buffer meanwhile: its owner may free it, but it is not reallocated.
 *
 * Caches: a read invalidates the range first, so it sees what a device wrote. A write
 * first does the same for the rest of the cache lines at either end. Written data reaches
 * memory before the mapping goes.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cmemctl.h"

/* The size of a mapped part */
#define WINDOW (16ULL << 20)

static int device = -1;
static bool writing, closing;
static uint64_t page_size;
/* The page that holds the buffer, and the part that is currently mapped */
static void *hold;
static char *window;
static uint64_t window_phys, window_length;
/* The buffer, if it needs a registration */
static uint64_t registered;
/* The range written but not yet written back */
static uint64_t dirty_start, dirty_end;

static volatile sig_atomic_t stopped;
static sigjmp_buf bus_error;
static volatile sig_atomic_t touching;

/* It may arrive just before a call that waits, and not interrupt it: repeat it. */
static void on_signal(int signal)
{
	if (signal != SIGALRM)
		stopped = signal;
	alarm(1);
}

static void on_bus_error(int signal)
{
	if (touching)
		siglongjmp(bus_error, 1);
	/* A SIGBUS outside the mapped memory */
	_exit(128 + signal);
}

static void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_signal }, old;
	struct sigaction bus = { .sa_handler = on_bus_error };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		sigaction(signals[i], NULL, &old);
		if (old.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGBUS, &bus, NULL);
	signal(SIGPIPE, SIG_IGN);
}

const char *contents_so_far(const struct contents *contents)
{
	static char text[96];

	if (contents->total)
		snprintf(text, sizeof(text), "%" PRIu64 " of %" PRIu64 " bytes", contents->done,
			 contents->total);
	else
		snprintf(text, sizeof(text), "%" PRIu64 " bytes", contents->done);
	return text;
}

/* Ctrl-C: completed work stays, and the message reports it. */
static void check_stopped(const struct contents *contents)
{
	if (stopped)
		die("stopped by a signal: %s were %s", contents_so_far(contents),
		    writing ? "written" : "read");
}

/* Why there is nothing to map at an address, as far as this user may know */
static void die_of(uint64_t phys, int error)
{
	const char *all = writing ? "write" : "read";
	const struct extent *extent;
	struct processes processes;
	const struct block *block;
	struct extents extents;
	struct blocks blocks;

	if (error == EHWPOISON)
		die("the memory at %#" PRIx64 " has failed", phys);
	if (error == EOVERFLOW)
		die("too many open files have the buffer at %#" PRIx64 ": %d at most",
		    phys, CMEM_MAX_HOLDERS);
	if (error != EINVAL && error != EPERM)
		die("%#" PRIx64 ": mmap: %s", phys, strerror(error));
	device_get_blocks(device, ALL_BLOCKS, &blocks);
	block = extents_at(&blocks, phys, &extents, &extent);
	if (!block)
		die("%#" PRIx64 " is in no block of CMEM: cmemctl info shows where these are",
		    phys);
	if (error == EPERM && (!extent || !extents.known || extent->state != HELD))
		die("the buffer at %#" PRIx64 " is another user's, is private, or nobody has it open any more. Root may %s another user's: run this as root.",
		    phys, all);
	if (error == EPERM && extent->private)
		die("%#" PRIx64 " is in a private buffer: only its owner can %s it",
		    phys, all);
	if (error == EPERM && !extent->owners)
		die("%#" PRIx64 " is in a buffer that no file of /dev/cmem has open any more, only a mapping or a DMA-BUF",
		    phys);
	if (error == EPERM) {
		processes_read(&processes);
		die("%#" PRIx64 " is in a buffer of %s: to %s it takes the same user, or CAP_SYS_RAWIO",
		    phys, printable(holder_name(&processes, extent)), all);
	}
	die("no buffer is allocated at %#" PRIx64 " (block %d): %s has what a program holds. cmemctl alloc holds buffers; cmemctl map --list %d shows those of block %d.",
	    phys, block->info.block, all, block->info.block, block->info.block);
}

static void *map(uint64_t phys, uint64_t length)
{
	int protection = writing ? PROT_READ | PROT_WRITE : PROT_READ;

	/* A value that is no valid offset is no buffer address either. */
	if (phys > INT64_MAX - length) {
		errno = EINVAL;
		return MAP_FAILED;
	}
	return mmap(NULL, length, protection, MAP_SHARED, device, phys);
}

static void maintain(uint64_t phys, uint64_t length, unsigned int op)
{
	int ret = device_sync(device, window + (phys - window_phys), length, op);

	if (!ret)
		return;
	/* Do not retry at exit. */
	dirty_end = dirty_start;
	if (closing)
		warn("cache maintenance at %#" PRIx64 ": %s", phys, strerror(-ret));
	else
		die("cache maintenance at %#" PRIx64 ": %s", phys, strerror(-ret));
}

static void unmap_window(void)
{
	if (!window)
		return;
	if (dirty_start < dirty_end)
		maintain(dirty_start, dirty_end - dirty_start, CMEM_SYNC_WRITE_BACK);
	dirty_end = dirty_start;
	munmap(window, window_length);
	window = NULL;
}

/* Maps the window that contains an address. */
static void map_window(const struct contents *c, uint64_t phys)
{
	uint64_t end = c->buffer + c->buffer_length, first, last;

	if (window && phys - window_phys < window_length)
		return;
	unmap_window();
	window_phys = phys & ~(page_size - 1);
	window_length = end - window_phys < WINDOW ? end - window_phys : WINDOW;
	window = map(window_phys, window_length);
	if (window == MAP_FAILED) {
		window = NULL;
		die("%#" PRIx64 ": mmap of %s: %s; %s were %s", window_phys,
		    human(window_length), strerror(errno), contents_so_far(c),
		    writing ? "written" : "read");
	}
	first = phys;
	last = window_phys + window_length;
	if (c->total && c->phys + c->total < last)
		last = c->phys + c->total;
	if (!writing) {
		maintain(first, last - first, CMEM_SYNC_INVALIDATE);
		return;
	}
	/*
	 * The cache lines of the first and the last byte also contain other bytes: these
	 * must not be stale when the line is written back.
	 */
	maintain(first, 1, CMEM_SYNC_WRITE_BACK_INVALIDATE);
	maintain(last - 1, 1, CMEM_SYNC_WRITE_BACK_INVALIDATE);
}

/* At exit: this can't exit again. */
static void close_at_exit(void)
{
	closing = true;
	contents_close();
}

/* If a process dies with a buffer mapped, the buffer may go into quarantine. */
void contents_close(void)
{
	unmap_window();
	if (hold)
		munmap(hold, page_size);
	hold = NULL;
	if (registered)
		device_free(device, registered);
	registered = 0;
}

/* Before version 4 of the interface, mmap() needs a registration of the first byte. */
static void *register_and_map(uint64_t phys)
{
	struct cmem_register arg = { .size = sizeof(arg), .phys_addr = phys };

	if (ioctl(device, CMEM_IOCTL_REGISTER, &arg)) {
		errno = EPERM;
		return MAP_FAILED;
	}
	registered = phys;
	return map(phys, page_size);
}

void contents_open(struct contents *c, uint64_t phys, bool to_write)
{
	struct cmem_resolve resolve = { .size = sizeof(resolve) };

	writing = to_write;
	page_size = sysconf(_SC_PAGESIZE);
	device = to_write ? device_open() : device_open_to_read();
	atexit(close_at_exit);
	catch_signals();

	*c = (struct contents){ .phys = phys };
	hold = map(phys & ~(page_size - 1), page_size);
	if (hold == MAP_FAILED && errno == EPERM)
		hold = register_and_map(phys & ~(page_size - 1));
	if (hold == MAP_FAILED) {
		hold = NULL;
		die_of(phys, errno);
	}
	resolve.user_addr = (uintptr_t)hold;
	if (ioctl(device, CMEM_IOCTL_RESOLVE, &resolve))
		die("%#" PRIx64 ": CMEM_IOCTL_RESOLVE: %s", phys, strerror(errno));
	c->buffer = resolve.buffer_addr;
	c->buffer_length = resolve.buffer_length;
	c->room = c->buffer + c->buffer_length - phys;
}

void contents_need(const struct contents *c, const char *what, uint64_t length)
{
	if (length <= c->room)
		return;
	die("%s: %" PRIu64 " bytes (%s) from %#" PRIx64 " on are more than the buffer has: it is %s at %#" PRIx64 ", so %" PRIu64 " bytes (%s) are left there. Nothing was %s.",
	    what, length, human(length), c->phys, human(c->buffer_length), c->buffer, c->room,
	    human(c->room), writing ? "written" : "read");
}

/* False if the memory does not respond */
static bool copy_bytes(void *to, const void *from, size_t size)
{
	if (sigsetjmp(bus_error, 1)) {
		touching = 0;
		return false;
	}
	touching = 1;
	memcpy(to, from, size);
	touching = 0;
	return true;
}

static void move(struct contents *c, char *to, const char *from, size_t size)
{
	while (size) {
		uint64_t phys = c->phys + c->done;
		size_t step;

		check_stopped(c);
		map_window(c, phys);
		step = window_phys + window_length - phys;
		if (step > size)
			step = size;
		if (!copy_bytes(to ?: window + (phys - window_phys),
				from ?: window + (phys - window_phys), step))
			die("bus error: the memory does not answer, or has failed, at or behind %#" PRIx64 ": %s were %s",
			    phys, contents_so_far(c), writing ? "written" : "read");
		if (from) {
			dirty_start = dirty_start < dirty_end ? dirty_start : phys;
			dirty_end = phys + step;
			from += step;
		} else {
			to += step;
		}
		size -= step;
		c->done += step;
	}
}

void contents_get(struct contents *contents, void *data, size_t size)
{
	move(contents, data, NULL, size);
}

void contents_put(struct contents *contents, const void *data, size_t size)
{
	move(contents, NULL, data, size);
}

/* Whether to retry after a failure: a signal, or another program made it non-blocking. */
static bool go_on(const struct contents *c, int fd, short events)
{
	struct pollfd file = { .fd = fd, .events = events };

	if (errno != EINTR && errno != EAGAIN)
		return false;
	if (errno == EAGAIN)
		poll(&file, 1, -1);
	check_stopped(c);
	return true;
}

ssize_t contents_read_file(const struct contents *c, int fd, const char *name, void *data,
			   size_t size)
{
	ssize_t got;

	for (;;) {
		got = read(fd, data, size);
		if (got >= 0)
			return got;
		if (!go_on(c, fd, POLLIN))
			die("%s: reading: %s: %s were written", name, strerror(errno),
			    contents_so_far(c));
	}
}

void contents_write_file(const struct contents *c, int fd, const char *name, const void *data,
			 size_t size)
{
	size_t length = 0;
	ssize_t put;

	while (length < size) {
		put = write(fd, (const char *)data + length, size - length);
		if (put >= 0) {
			length += put;
			continue;
		}
		if (go_on(c, fd, POLLOUT))
			continue;
		die("%s: writing: %s: %" PRIu64 " of %" PRIu64 " bytes are there", name,
		    strerror(errno), c->done - size + length, c->total);
	}
}

/*
 * Progress
 */

static double first_time, last_time;
static unsigned int last_width;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static unsigned int columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || !size.ws_col)
		return 80;
	return size.ws_col;
}

void contents_progress(const struct contents *c)
{
	double time = now(), passed;
	char text[128];
	int length;

	if (!first_time) {
		first_time = time;
		last_time = time;
	}
	/* A short operation needs no progress display. */
	if (time - first_time < 0.5 || time - last_time < 0.2 || !isatty(STDERR_FILENO))
		return;
	passed = time - first_time;
	if (c->total)
		length = snprintf(text, sizeof(text), "%3.0f %%  %s of %s, %s/s",
				  100.0 * c->done / c->total, human(c->done), human(c->total),
				  human(c->done / passed));
	else
		length = snprintf(text, sizeof(text), "%s, %s/s", human(c->done),
				  human(c->done / passed));
	/* In the last column, some terminals wrap to the next line. */
	if (length > (int)columns() - 1)
		text[columns() - 1] = 0;
	fprintf(stderr, "\r%-*s", last_width, text);
	last_width = strlen(text);
	last_time = time;
}

void contents_end_progress(void)
{
	if (last_width)
		fprintf(stderr, "\r%*s\r", last_width, "");
	last_width = 0;
}

void contents_print(const struct contents *c, const char *verb, const char *name)
{
	if (!settings.json) {
		printf("%" PRIu64 " bytes (%s) %s", c->done, human(c->done), verb);
		printf(name ? " %s\n" : "\n", name);
		return;
	}
	json_begin(true);
	json_number("address", c->phys);
	json_number("bytes", c->done);
	json_number("buffer", c->buffer);
	json_number("buffer_length", c->buffer_length);
	json_end();
}
