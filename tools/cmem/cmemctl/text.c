// SPDX-License-Identifier: BSD-3-Clause
/*
 * Output for people: sizes, names, colours, the width of the terminal.
 *
 * Names come from other programs, and a terminal obeys escape sequences. So a terminal
 * never gets characters that are invalid in its encoding, move its cursor or change the
 * text direction.
 */
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "cmemctl.h"

#define ROOM 256

/* Room for results that are used together */
static char *scratch(void)
{
	static char room[32][ROOM];
	static unsigned int next;

	return room[next++ % ARRAY_SIZE(room)];
}

const char *human(uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	char *text = scratch();
	unsigned int unit = 0;
	double value = bytes;

	while (value >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		unit++;
	}
	/* Only significant digits, and no decimals for whole numbers */
	snprintf(text, ROOM, "%.*f %s", value == (uint64_t)value || value >= 1000 ? 0 : 1, value,
		 units[unit]);
	return text;
}

const char *pool_name(int pool)
{
	char *text = scratch();

	if (pool == CMEM_POOL_HEAP)
		return "heap";
	snprintf(text, ROOM, "%d", pool);
	return text;
}

const char *kind_name(unsigned int kind)
{
	static const char *const names[] = {
		[CMEM_KIND_CARVEOUT] = "carveout",
		[CMEM_KIND_RESERVED] = "reserved",
		[CMEM_KIND_SRAM] = "sram",
		[CMEM_KIND_CMA] = "cma",
	};

	return kind < ARRAY_SIZE(names) ? names[kind] : "unknown";
}

unsigned int terminal_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	long width = 0;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		width = size.ws_col;
	if (columns && atol(columns) > 0)
		width = atol(columns);
	if (width <= 0)
		width = 80;
	return width > 500 ? 500 : width;
}

/* Output to a file or another program is not cut, unless the user sets a width. */
unsigned int line_width(void)
{
	const char *columns = getenv("COLUMNS");

	if (isatty(STDOUT_FILENO) || (columns && atol(columns) > 0))
		return terminal_width();
	return UINT_MAX;
}

bool terminal_obeys(void)
{
	const char *term = getenv("TERM");

	return term && *term && strcmp(term, "dumb");
}

const char *colour(const char *sgr)
{
	char *text = scratch();

	if (!settings.colour)
		return "";
	snprintf(text, ROOM, "\033[%sm", sgr);
	return text;
}

size_t utf8_decode(const char *text, uint32_t *code)
{
	const unsigned char *at = (const unsigned char *)text;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length;

	if (at[0] < 0x80) {
		*code = at[0];
		return 1;
	}
	if (at[0] >= 0xc2 && at[0] < 0xe0)
		length = 2;
	else if (at[0] >= 0xe0 && at[0] < 0xf0)
		length = 3;
	else if (at[0] >= 0xf0 && at[0] < 0xf5)
		length = 4;
	else
		return 0;
	*code = at[0] & (0x7f >> length);
	for (size_t i = 1; i < length; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (at[i] & 0x3f);
	}
	/* Overlong sequences, surrogates, and values beyond Unicode */
	if (*code < least[length] || (*code >= 0xd800 && *code < 0xe000) || *code > 0x10ffff)
		return 0;
	return length;
}

/* C0, DEL, C1; line separators; characters that change the text direction */
bool is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) ||
	       code == 0x2028 || code == 0x2029 || code == 0x200e || code == 0x200f ||
	       code == 0x061c || (code >= 0x202a && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

/*
 * A small system's C library may lack the locale although the terminal has the encoding:
 * so read the user's environment.
 */
static bool is_utf8(bool *has_locale)
{
	static int utf8 = -1, locale;
	static const char *const variables[] = { "LC_ALL", "LC_CTYPE", "LANG" };
	const char *value = NULL;

	if (utf8 < 0) {
		for (size_t i = 0; i < ARRAY_SIZE(variables) && !(value && *value); i++)
			value = getenv(variables[i]);
		utf8 = value && (strcasestr(value, "utf-8") || strcasestr(value, "utf8"));
		locale = utf8 && setlocale(LC_CTYPE, "") && !strcmp(nl_langinfo(CODESET), "UTF-8");
	}
	*has_locale = locale;
	return utf8;
}

struct range {
	uint32_t first;
	uint32_t last;
};

static bool is_in(uint32_t code, const struct range *range, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (code >= range[i].first && code <= range[i].last)
			return true;
	return false;
}

/* Without a working wcwidth(): characters in most names */
static unsigned int plain_columns(uint32_t code)
{
	static const struct range none[] = {
		{ 0x0300, 0x036f }, { 0x0483, 0x0489 }, { 0x0591, 0x05bd }, { 0x0610, 0x061a },
		{ 0x064b, 0x065f }, { 0x0900, 0x0902 }, { 0x093c, 0x093c }, { 0x0941, 0x0948 },
		{ 0x094d, 0x094d }, { 0x0e31, 0x0e31 }, { 0x0e34, 0x0e3a }, { 0x0e47, 0x0e4e },
		{ 0x1ab0, 0x1aff }, { 0x1dc0, 0x1dff }, { 0x200b, 0x200d }, { 0x20d0, 0x20ff },
		{ 0x302a, 0x302d }, { 0x3099, 0x309a }, { 0xfe00, 0xfe0f }, { 0xfe20, 0xfe2f },
		{ 0xe0100, 0xe01ef },
	};
	static const struct range two[] = {
		{ 0x1100, 0x115f }, { 0x2e80, 0x303e }, { 0x3041, 0xa4cf }, { 0xa960, 0xa97c },
		{ 0xac00, 0xd7a3 }, { 0xf900, 0xfaff }, { 0xfe30, 0xfe6f }, { 0xff01, 0xff60 },
		{ 0xffe0, 0xffe6 }, { 0x1f300, 0x1f64f }, { 0x1f680, 0x1f6ff },
		{ 0x1f900, 0x1f9ff }, { 0x20000, 0x3fffd },
	};

	if (is_in(code, none, ARRAY_SIZE(none)))
		return 0;
	return is_in(code, two, ARRAY_SIZE(two)) ? 2 : 1;
}

/* Columns of a character; -1 if the terminal must not get it */
static int columns_of(uint32_t code)
{
	bool has_locale;

	if (is_control(code))
		return -1;
	if (code < 0x80)
		return 1;
	if (!is_utf8(&has_locale))
		return -1;
	return has_locale ? wcwidth(code) : (int)plain_columns(code);
}

void make_printable(const char *name, char *text, size_t size)
{
	size_t used = 0;

	while (*name) {
		uint32_t code;
		size_t length = utf8_decode(name, &code);
		bool shown = length && columns_of(code) >= 0;

		if (used + (shown ? length : 1) >= size)
			break;
		if (shown)
			memcpy(text + used, name, length);
		else
			text[used] = '?';
		used += shown ? length : 1;
		name += length ?: 1;
	}
	text[used] = 0;
}

const char *printable(const char *name)
{
	char *text = scratch();

	make_printable(name, text, ROOM);
	return text;
}

/* Columns of a printable text; @fits: how many bytes fit into @most */
static unsigned int measure(const char *text, unsigned int most, size_t *fits)
{
	unsigned int columns = 0;
	const char *at = text;

	*fits = 0;
	while (*at) {
		uint32_t code;
		size_t length;

		/* Our own colour: names no longer contain any. */
		if (!strncmp(at, "\033[", 2)) {
			at += strcspn(at, "m");
			at += *at == 'm';
			if (columns <= most)
				*fits = at - text;
			continue;
		}
		length = utf8_decode(at, &code);
		columns += length && columns_of(code) >= 0 ? columns_of(code) : 1;
		at += length ?: 1;
		if (columns <= most)
			*fits = at - text;
	}
	return columns;
}

unsigned int text_columns(const char *text)
{
	size_t fits;

	return measure(text, UINT_MAX, &fits);
}

const char *cut(const char *text, unsigned int columns)
{
	char *into = scratch();
	size_t fits;

	if (measure(text, columns, &fits) <= columns) {
		snprintf(into, ROOM, "%s", text);
	} else {
		measure(text, columns ? columns - 1 : 0, &fits);
		while (fits && text[fits - 1] == ' ')
			fits--;
		snprintf(into, ROOM, "%.*s%s", (int)fits, text, columns ? "+" : "");
	}
	return into;
}

const char *column(const char *name, unsigned int columns)
{
	const char *text = cut(printable(name), columns);
	char *into = scratch();

	snprintf(into, ROOM, "%s%*s", text, (int)(columns - text_columns(text)), "");
	return into;
}

void print_line(const char *text)
{
	unsigned int width = line_width();
	size_t fits;

	measure(text, width, &fits);
	printf("%.*s%s\n", (int)fits, text, text[fits] ? colour("0") : "");
}

void print_folded(const char *text, unsigned int indent, unsigned int width)
{
	unsigned int left = 0;

	if (indent > width / 2)
		indent = width / 2;
	while (measure(text, UINT_MAX, &(size_t){ 0 }) > width - left) {
		size_t fits, end;

		measure(text, width - left, &fits);
		/* Break at a blank if possible; leading blanks are the indentation. */
		end = fits;
		while (end && text[end] != ' ')
			end--;
		if (end <= strspn(text, " "))
			end = fits ?: 1;
		printf("%*s%.*s\n", (int)left, "", (int)end, text);
		text += end;
		text += strspn(text, " ");
		left = indent;
	}
	printf("%*s%s\n", (int)left, "", text);
}

/* getpwuid() does not work in a static program. */
const char *user_name(uid_t uid)
{
	FILE *f = fopen("/etc/passwd", "re");
	char *text = scratch();
	char line[512], found[64];
	unsigned int id;

	snprintf(text, ROOM, "%u", (unsigned int)uid);
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63[^:]:%*[^:]:%u", found, &id) == 2 && id == uid) {
			snprintf(text, ROOM, "%s", found);
			break;
		}
	}
	if (f)
		fclose(f);
	return text;
}
