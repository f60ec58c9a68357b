// SPDX-License-Identifier: BSD-3-Clause
/*
 * The holders of a buffer: the kernel's data about the buffer, joined with the processes'
 * open files and mappings, and with the devices attached to its DMA-BUFs.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmemctl.h"

struct list {
	struct holdings *holdings;
	unsigned int room;
};

static void add(struct list *list, const struct holding *holding)
{
	struct holdings *to = list->holdings;

	/* Name each process or device once. */
	for (unsigned int i = 0; i < to->count; i++) {
		const struct holding *known = &to->holding[i];

		if (holding->process && known->process &&
		    holding->process->pid == known->process->pid)
			return;
		if (holding->device && known->device && !strcmp(holding->device, known->device))
			return;
	}
	grow(to->holding, to->count, list->room);
	to->holding[to->count++] = *holding;
}

static bool has_dmabuf(const struct extent *extent, uint64_t inode)
{
	for (unsigned int i = 0; i < extent->dmabufs; i++)
		if (extent->dmabuf[i] == inode)
			return true;
	return false;
}

static void add_processes(struct list *list, const struct processes *processes,
			  const struct extent *extent, enum holding_kind kind)
{
	for (unsigned int i = 0; i < processes->count; i++) {
		const struct process *p = &processes->process[i];

		if (p->kind != kind)
			continue;
		if (kind == BY_MAPPING ? process_maps(p, extent) : has_dmabuf(extent, p->dmabuf))
			add(list, &(struct holding){ .kind = kind, .process = p });
	}
}

static void add_devices(struct list *list, const struct processes *processes,
			const struct extent *extent)
{
	for (unsigned int i = 0; i < processes->importers; i++)
		if (has_dmabuf(extent, processes->importer[i].dmabuf))
			add(list, &(struct holding){
				.kind = BY_DEVICE, .device = processes->importer[i].device,
			});
}

static enum holding_kind not_found(const struct processes *processes, const struct extent *extent)
{
	if (!extent->mappings)
		return BY_NOBODY_KNOWN;
	/* An older driver does not report the DMA-BUF, and a process may be missing. */
	return extent->dmabufs && !processes_advice(processes) ? BY_LOST_DMABUF : BY_SOME_DMABUF;
}

void holdings_get(const struct processes *processes, const struct extent *extent,
		  struct holdings *holdings)
{
	struct list list = { .holdings = holdings };
	unsigned int files, mapped;

	*holdings = (struct holdings){ };
	for (unsigned int i = 0; i < extent->owners; i++) {
		struct holding holding = { .kind = BY_FILE, .owner = extent->owner[i].owner };

		holding.process = processes_owner(processes, holding.owner, &holding.more);
		if (holding.process)
			add(&list, &holding);
	}
	files = holdings->count;
	add_processes(&list, processes, extent, BY_MAPPING);
	mapped = holdings->count - files;
	/* A mapping keeps its file open, even after its descriptor is closed. */
	for (unsigned int i = 0; i < extent->owners; i++) {
		struct holding holding = { .kind = BY_FILE, .owner = extent->owner[i].owner };

		if (processes_owner(processes, holding.owner, &holding.more))
			continue;
		if (mapped)
			mapped--;
		else
			add(&list, &holding);
	}
	add_processes(&list, processes, extent, BY_DMABUF);
	add_devices(&list, processes, extent);
	if (!holdings->count)
		add(&list, &(struct holding){ .kind = not_found(processes, extent) });
}

void holdings_free(struct holdings *holdings)
{
	free(holdings->holding);
	*holdings = (struct holdings){ };
}

const char *holding_name(const struct holding *holding)
{
	static char room[8][128];
	static unsigned int next;
	char *text = room[next++ % ARRAY_SIZE(room)];
	const struct process *who = holding->process;

	if (who && holding->more)
		snprintf(text, sizeof(room[0]), "%d %s +%u more", (int)who->pid, who->command,
			 holding->more);
	else if (who)
		snprintf(text, sizeof(room[0]), "%d %s", (int)who->pid, who->command);
	else if (holding->kind == BY_FILE)
		snprintf(text, sizeof(room[0]), "owner %" PRIu64, holding->owner);
	else if (holding->kind == BY_DEVICE)
		snprintf(text, sizeof(room[0]), "device %s", holding->device);
	else if (holding->kind == BY_LOST_DMABUF)
		snprintf(text, sizeof(room[0]), "a DMA-BUF of no process");
	else if (holding->kind == BY_SOME_DMABUF)
		snprintf(text, sizeof(room[0]), "a DMA-BUF");
	else
		snprintf(text, sizeof(room[0]), "not known");
	return text;
}

const char *holding_text(const struct holding *holding)
{
	static char room[8][160];
	static unsigned int next;
	char *text = room[next++ % ARRAY_SIZE(room)];
	bool by_dmabuf = holding->kind == BY_DMABUF || holding->kind == BY_DEVICE;

	snprintf(text, sizeof(room[0]), "%s%s", holding_name(holding),
		 by_dmabuf ? " (DMA-BUF)" : "");
	return text;
}

const char *holder_name(const struct processes *processes, const struct extent *extent)
{
	struct holdings holdings;
	const char *name;

	holdings_get(processes, extent, &holdings);
	name = holding_name(&holdings.holding[0]);
	holdings_free(&holdings);
	return name;
}

/* The list may have thousands of entries: limit it for a message. */
#define NAMES_IN_A_MESSAGE 5

void block_holders(const struct block *block, char *text, size_t size)
{
	char seen[NAMES_IN_A_MESSAGE][160];
	struct processes processes;
	unsigned int names = 0;
	struct extents extents;
	bool more = false;
	size_t used = 0;

	extents_read(block, &extents);
	processes_read(&processes);
	processes_add_importers(&processes, &extents, 1);
	*text = 0;
	for (unsigned int i = 0; extents.known && i < extents.count; i++) {
		struct holdings holdings;

		if (extents.extent[i].state != HELD)
			continue;
		holdings_get(&processes, &extents.extent[i], &holdings);
		for (unsigned int n = 0; n < holdings.count; n++) {
			const char *name = printable(holding_text(&holdings.holding[n]));
			unsigned int k = 0;

			while (k < names && strcmp(seen[k], name))
				k++;
			if (k < names)
				continue;
			if (names == ARRAY_SIZE(seen)) {
				more = true;
				continue;
			}
			snprintf(seen[names], sizeof(seen[0]), "%s", name);
			if (used < size)
				used += snprintf(text + used, size - used, "%s%s",
						 names ? ", " : "", name);
			names++;
		}
		holdings_free(&holdings);
	}
	if (more && used < size)
		snprintf(text + used, size - used, " and others");
	processes_free(&processes);
	extents_free(&extents);
}
