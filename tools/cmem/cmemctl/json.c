// SPDX-License-Identifier: BSD-3-Clause
/*
 * Writes JSON to stdout: what is opened must be closed, and keys belong into
 * objects, not arrays.
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

/* How many bytes of a UTF-8 sequence start here; 0 if that is none */
static size_t utf8_length(const unsigned char *text)
{
	size_t length;

	if (text[0] < 0x80)
		return 1;
	if (text[0] >= 0xc2 && text[0] < 0xe0)
		length = 2;
	else if (text[0] >= 0xe0 && text[0] < 0xf0)
		length = 3;
	else if (text[0] >= 0xf0 && text[0] < 0xf5)
		length = 4;
	else
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong ones, surrogates, and what is beyond Unicode */
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
	    (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return length;
}

static void quote(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	putchar('"');
	while (*at) {
		size_t length = utf8_length(at);

		if (!length) {
			fputs("\\ufffd", stdout);
			length = 1;
		} else if (*at == '"' || *at == '\\') {
			printf("\\%c", *at);
		} else if (*at < 0x20 || *at == 0x7f) {
			printf("\\u%04x", *at);
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

/* Say why there is no more, in an object of its own or at the end of the one that was begun. */
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

/* The pool that something is of: its number, or "heap" */
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
