// SPDX-License-Identifier: BSD-3-Clause
/*
 * Which devices other drivers have attached to DMA-BUFs: from dma_buf/bufinfo in debugfs,
 * for root. A program may name its DMA-BUF with any characters, and the name is inside
 * the text. So a line counts only if the kernel would print it in this form; a name is
 * too short to forge it.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmemctl.h"

/* A number of at least eight digits and the tab after it, or NULL */
static const char *skip_number(const char *text)
{
	size_t digits = strspn(text, "0123456789abcdef");

	return digits >= 8 && text[digits] == '\t' ? text + digits + 1 : NULL;
}

/* size, flags, mode, count, exporter, inode and name of a DMA-BUF, with tabs between them */
static bool parse_dmabuf(const char *line, uint64_t *inode)
{
	for (unsigned int i = 0; line && i < 4; i++)
		line = skip_number(line);
	line = line ? strchr(line, '\t') : NULL;
	if (!line || !skip_number(line + 1))
		return false;
	*inode = strtoull(line + 1, NULL, 10);
	return true;
}

void importers_read(struct processes *processes)
{
	FILE *f = fopen(DEBUGFS "/dma_buf/bufinfo", "re");
	unsigned int room = 0, first = 0;
	bool devices = false;
	char *line = NULL;
	uint64_t inode = 0;
	size_t size = 0;

	while (f && getline(&line, &size, f) > 0) {
		struct importer importer = { };

		line[strcspn(line, "\n")] = 0;
		if (parse_dmabuf(line, &inode)) {
			devices = false;
			first = processes->importers;
		} else if (!strcmp(line, "\tAttached Devices:")) {
			/* The lines so far under this title were part of the name. */
			devices = inode;
			processes->importers = first;
		} else if (devices && line[0] == '\t' && line[1]) {
			importer.dmabuf = inode;
			snprintf(importer.device, sizeof(importer.device), "%s", line + 1);
			grow(processes->importer, processes->importers, room);
			processes->importer[processes->importers++] = importer;
		} else {
			devices = false;
		}
	}
	free(line);
	if (f)
		fclose(f);
}
