/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracing for the selftests that look at what the driver does inside: an
 * instance of tracefs of their own, events of this process only, and kprobe
 * events on the architecture's cache primitives. The instance is made once for
 * all tests of a program, because that takes long.
 */
#ifndef CMEM_TRACE_H
#define CMEM_TRACE_H

#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "cmem_test.h"

#define TRACEFS		"/sys/kernel/tracing"
#define INSTANCE	TRACEFS "/instances/cmem_test"

static inline bool trace_write(const char *text, const char *path_format, ...)
{
	char path[256];
	va_list args;
	bool ok;
	int fd;

	va_start(args, path_format);
	vsnprintf(path, sizeof(path), path_format, args);
	va_end(args);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

/* Gives each event once. */
static FILE *trace_pipe;

/* The process that all tests of the program are children of */
static pid_t trace_program;

__attribute__((constructor)) static void trace_note_program(void)
{
	trace_program = getpid();
}

__attribute__((destructor)) static void trace_remove(void)
{
	if (getpid() != trace_program)
		return;
	trace_write("0", INSTANCE "/events/enable");
	rmdir(INSTANCE);
}

/* Makes the instance, or has it begin anew; false where there is no tracefs. */
static inline bool trace_begin(void)
{
	int fd;

	if (access(TRACEFS "/instances", F_OK))
		mount("tracefs", TRACEFS, "tracefs", 0, NULL);
	if (mkdir(INSTANCE, 0755)) {
		if (errno != EEXIST || !trace_write("0", INSTANCE "/events/enable"))
			return false;
		/* What is left of the last test */
		fd = open(INSTANCE "/trace", O_WRONLY | O_TRUNC | O_CLOEXEC);
		if (fd < 0)
			return false;
		close(fd);
	}
	fd = open(INSTANCE "/trace_pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	trace_pipe = fd < 0 ? NULL : fdopen(fd, "r");
	return trace_pipe;
}

static inline void trace_end(void)
{
	trace_write("0", INSTANCE "/events/enable");
	if (trace_pipe)
		fclose(trace_pipe);
	trace_pipe = NULL;
}

/* Records events/@event, of the process @pid only unless that is 0. */
static inline bool trace_enable(const char *event, pid_t pid)
{
	char filter[64];

	/* 0: without the filter of the test before */
	snprintf(filter, sizeof(filter), pid ? "common_pid == %d" : "%d", pid);
	return trace_write(filter, INSTANCE "/events/%s/filter", event) &&
	       trace_write("1", INSTANCE "/events/%s/enable", event);
}

/* Goes on with an event that was enabled, for all processes. */
static inline bool trace_everybody(const char *event)
{
	return trace_write("0", INSTANCE "/events/%s/filter", event);
}

static inline bool trace_has(const char *event)
{
	char path[256];

	snprintf(path, sizeof(path), INSTANCE "/events/%s", event);
	return !access(path, F_OK);
}

/*
 * Calls @fn, unless that is NULL, with the name and the fields ("phys=0x...
 * length=0x...") of each event since the last time, the oldest first; returns
 * their number, or -1 when some were lost.
 */
static inline int trace_for_each(void (*fn)(const char *name, const char *fields, void *arg),
				 void *arg)
{
	char line[1024];
	int count = 0;

	while (trace_pipe && fgets(line, sizeof(line), trace_pipe)) {
		char *at, *name, *fields;

		if (strstr(line, "LOST") && strstr(line, "EVENTS"))
			count = -1;
		/* "comm-pid [cpu] flags seconds: name: fields" */
		at = strchr(line, ']');
		name = at ? strstr(at, ": ") : NULL;
		if (!name || count < 0)
			continue;
		name += 2;
		fields = strstr(name, ": ");
		if (!fields)
			continue;
		*fields = 0;
		fields += 2;
		fields[strcspn(fields, "\n")] = 0;
		if (fn)
			fn(name, fields, arg);
		count++;
	}
	/* EAGAIN: there is no more for now. */
	if (trace_pipe)
		clearerr(trace_pipe);
	return count;
}

/* The number behind " @key=" or at the start, ~0 if there is none. */
static inline unsigned long long trace_field(const char *fields, const char *key)
{
	size_t length = strlen(key);

	for (const char *at = fields; (at = strstr(at, key)); at++)
		if ((at == fields || at[-1] == ' ') && at[length] == '=')
			return strtoull(at + length + 1, NULL, 0);
	return ~0ULL;
}

/* True if @fields have "@key=@value". */
static inline bool trace_field_is(const char *fields, const char *key, const char *value)
{
	size_t length = strlen(key);

	for (const char *at = fields; (at = strstr(at, key)); at++)
		if ((at == fields || at[-1] == ' ') && at[length] == '=')
			return !strncmp(at + length + 1, value, strlen(value)) &&
			       (at[length + 1 + strlen(value)] == ' ' ||
				!at[length + 1 + strlen(value)]);
	return false;
}

#endif /* CMEM_TRACE_H */
