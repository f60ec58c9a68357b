// SPDX-License-Identifier: BSD-3-Clause
/*
 * What is printed for people: sizes, names, colours, the width of the terminal.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "cmemctl.h"

/* Room for results that are used together */
static char *scratch(void)
{
	static char room[8][96];
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
	/* As much as one can tell apart, and no decimals where there are none */
	snprintf(text, 96, "%.*f %s", value == (uint64_t)value || value >= 1000 ? 0 : 1, value,
		 units[unit]);
	return text;
}

const char *pool_name(int pool)
{
	char *text = scratch();

	if (pool == CMEM_POOL_HEAP)
		return "heap";
	snprintf(text, 96, "%d", pool);
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
	if (width < 40)
		width = 40;
	return width > 500 ? 500 : width;
}

const char *colour(const char *sgr)
{
	char *text = scratch();

	if (!settings.colour)
		return "";
	snprintf(text, 96, "\033[%sm", sgr);
	return text;
}

void make_printable(char *text)
{
	for (; *text; text++)
		if (iscntrl((unsigned char)*text))
			*text = '?';
}

/* getpwuid() does not work in a static program. */
const char *user_name(uid_t uid)
{
	FILE *f = fopen("/etc/passwd", "re");
	char *text = scratch();
	char line[512], found[32];
	unsigned int id;

	snprintf(text, 96, "%u", (unsigned int)uid);
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%31[^:]:%*[^:]:%u", found, &id) == 2 && id == uid) {
			snprintf(text, 96, "%s", found);
			break;
		}
	}
	if (f)
		fclose(f);
	return text;
}
