// SPDX-License-Identifier: BSD-3-Clause
/*
 * The output of CMEM_DEBUG=1 in the environment: one line on standard error for each
 * call, with its arguments and result.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcmem.h"

bool libcmem_debug;

/* Before main(), to trace a call without CMEM_init() as well. */
static void __attribute__((constructor)) libcmem_trace_init(void)
{
	/* Not for set-user-ID programs: physical addresses must not leak. */
	const char *debug = secure_getenv("CMEM_DEBUG");

	libcmem_debug = debug && !strcmp(debug, "1");
}

/* Take no lock and allocate nothing, for signal handlers: strerror() does both. */
static const char *error_name(int error)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
	return strerrorname_np(error) ?: "";
#else
	(void)error;
	return "";
#endif
}

/**
 * libcmem_trace - print a line, in one piece
 * @failed: add the text of errno
 * @format: as for printf()
 *
 * Leaves errno as it is.
 */
void libcmem_trace(bool failed, const char *format, ...)
{
	const char *name = failed ? error_name(errno) : "";
	int error = errno, state;
	char line[256], why[80] = "";
	va_list arguments;
	ssize_t written;
	size_t length;

	length = snprintf(line, sizeof(line), "cmem[%d]: ", (int)getpid());
	va_start(arguments, format);
	vsnprintf(line + length, sizeof(line) - length, format, arguments);
	va_end(arguments);
	length = strlen(line);
	if (failed)
		snprintf(why, sizeof(why), " (errno %d%s%s)", error, *name ? ": " : "", name);
	if (length > sizeof(line) - sizeof(why) - 2)
		length = sizeof(line) - sizeof(why) - 2;
	length += snprintf(line + length, sizeof(line) - length, "%s\n", why);
	/*
	 * A failure to print does not affect the call. A thread cancelled here would not
	 * learn the call's result.
	 */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	written = write(STDERR_FILENO, line, length);
	pthread_setcancelstate(state, NULL);
	(void)written;
	errno = error;
}

static const char *type_text(int type)
{
	switch (type) {
	case CMEM_HEAP:
		return "CMEM_HEAP";
	case CMEM_POOL:
		return "CMEM_POOL";
	default:
		return NULL;
	}
}

/**
 * libcmem_params_text - describe an allocation request
 * @params: may be NULL
 * @text: the buffer
 *
 * Return: the text in @text.
 */
const char *libcmem_params_text(const CMEM_AllocParams *params,
				struct libcmem_params_text *text)
{
	char type[16], flags[16];

	if (!params)
		return "NULL";
	snprintf(type, sizeof(type), "%#x", params->type);
	snprintf(flags, sizeof(flags), "%#x", params->flags);
	snprintf(text->text, sizeof(text->text), "{%s, %s, %zu}",
		 type_text(params->type) ?: type,
		 params->flags == CMEM_CACHED ? "CMEM_CACHED" :
		 params->flags == CMEM_NONCACHED ? "CMEM_NONCACHED" : flags,
		 params->alignment);
	return text->text;
}
