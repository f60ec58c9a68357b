// SPDX-License-Identifier: BSD-3-Clause
/*
 * Writes JSON to stdout: close every object and array; keys belong in objects, not in
 * arrays.
 */
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmemctl.h"

#define MAX_DEPTH 16

static bool compact;
static unsigned int depth;
static bool filled[MAX_DEPTH];
static char closing[MAX_DEPTH];

static void new_line(void)
{
	if (compact || !depth)
		return;
	putchar('\n');
	for (unsigned int i = 0; i < depth; i++)
		fputs("  ", stdout);
}

static void quote(const char *text)
{
	const char *at = text;

	putchar('"');
	while (*at) {
		uint32_t code;
		size_t length = utf8_decode(at, &code);

		if (!length) {
			fputs("\\ufffd", stdout);
			length = 1;
		} else if (*at == '"' || *at == '\\') {
			printf("\\%c", *at);
		} else if (is_control(code)) {
			/* The output may go to a terminal. */
			printf("\\u%04x", (unsigned int)code);
		} else {
			fwrite(at, 1, length, stdout);
		}
		at += length;
	}
	putchar('"');
}

static void begin_value(const char *key)
{
	if (depth && filled[depth - 1])
		putchar(',');
	if (depth)
		filled[depth - 1] = true;
	new_line();
	if (key) {
		quote(key);
		fputs(compact ? ":" : ": ", stdout);
	}
}

void json_begin(bool one_line)
{
	compact = one_line;
	depth = 0;
	json_open(NULL, '{');
}

void json_end(void)
{
	json_close('}');
	assert(!depth);
	putchar('\n');
	if (fflush(stdout))
		exit(EXIT_FAILED);
}

void json_open(const char *key, char bracket)
{
	begin_value(key);
	putchar(bracket);
	assert(depth < MAX_DEPTH);
	closing[depth] = bracket == '{' ? '}' : ']';
	filled[depth++] = false;
}

void json_close(char bracket)
{
	assert(depth);
	if (filled[--depth])
		new_line();
	if (!compact && !depth && filled[0])
		putchar('\n');
	putchar(bracket);
}

/* Report why the output ends, in a separate object or at the end of the current one. */
void json_error(const char *text)
{
	if (!depth)
		json_begin(true);
	while (depth > 1)
		json_close(closing[depth - 1]);
	json_string("error", text);
	json_end();
}

void json_number(const char *key, uint64_t value)
{
	begin_value(key);
	printf("%" PRIu64, value);
}

void json_signed(const char *key, int64_t value)
{
	begin_value(key);
	printf("%" PRId64, value);
}

void json_real(const char *key, double value)
{
	begin_value(key);
	if (isfinite(value))
		printf("%.12g", value);
	else
		fputs("null", stdout);
}

void json_string(const char *key, const char *value)
{
	begin_value(key);
	quote(value);
}

void json_bool(const char *key, bool value)
{
	begin_value(key);
	fputs(value ? "true" : "false", stdout);
}

void json_null(const char *key)
{
	begin_value(key);
	fputs("null", stdout);
}

/* A string, a number, or null for one that is not known: "", 0, NAN */
void json_string_or_null(const char *key, const char *value)
{
	if (*value)
		json_string(key, value);
	else
		json_null(key);
}

void json_number_or_null(const char *key, uint64_t value)
{
	if (value)
		json_number(key, value);
	else
		json_null(key);
}

void json_real_or_null(const char *key, double value)
{
	if (isnan(value))
		json_null(key);
	else
		json_real(key, value);
}

/* The pool of an item: its number, or "heap" */
void json_pool(int pool)
{
	if (pool == CMEM_POOL_HEAP)
		json_string("pool", "heap");
	else
		json_signed("pool", pool);
}

void json_quota(uint64_t quota)
{
	if (quota == CMEM_NO_QUOTA)
		json_null("quota");
	else
		json_number("quota", quota);
}
