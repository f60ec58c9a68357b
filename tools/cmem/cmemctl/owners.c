// SPDX-License-Identifier: BSD-3-Clause
/*
 * Which processes have /dev/cmem open, and so are an owner, or have a part of it
 * mapped: from /proc/<pid>/fdinfo and /proc/<pid>/maps. Root sees all of them, a
 * user his own.
 */
#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cmemctl.h"

struct list {
	struct processes *processes;
	unsigned int room;
};

static struct process *add(struct list *list, const struct process *who)
{
	struct processes *to = list->processes;

	grow(to->process, to->count, list->room);
	to->process[to->count] = *who;
	return &to->process[to->count++];
}

void process_command(pid_t pid, char *command, size_t size)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (!f || !fgets(command, size, f))
		snprintf(command, size, "?");
	if (f)
		fclose(f);
	command[strcspn(command, "\n")] = 0;
	make_printable(command);
}

static bool is_number(const char *text)
{
	return *text && !text[strspn(text, "0123456789")];
}

/* Reads what a descriptor is to CMEM; false if it is none of its. */
static bool read_fdinfo(pid_t pid, const char *fd, struct process *who)
{
	char path[300], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", (int)pid, fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "cmem-owner: %" SCNu64, &who->owner) != 1 &&
		    sscanf(line, "cmem-buffers: %" SCNu64, &who->buffers) != 1)
			sscanf(line, "cmem-bytes: %" SCNu64, &who->bytes);
	}
	if (f)
		fclose(f);
	return who->owner;
}

static void read_files(struct list *list, const struct process *who, dev_t device)
{
	unsigned int first = list->processes->count;
	struct dirent *entry;
	char path[300];
	struct stat st;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)who->pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		struct process file = *who;
		bool seen = false;

		if (!is_number(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)who->pid, entry->d_name);
		if (stat(path, &st) || !S_ISCHR(st.st_mode) || st.st_rdev != device ||
		    !read_fdinfo(who->pid, entry->d_name, &file))
			continue;
		/* A duplicate of the descriptor is the same owner. */
		for (unsigned int i = first; i < list->processes->count; i++)
			seen |= list->processes->process[i].owner == file.owner;
		if (!seen)
			add(list, &file);
	}
	if (dir)
		closedir(dir);
}

/* A mapping of a device has the device's number and, as offset, the address. */
static void read_mappings(struct list *list, const struct process *who, dev_t device, ino_t inode)
{
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)who->pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		struct process mapping = *who;
		unsigned int high, low;
		uint64_t start, end, ino;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %x:%x %" SCNu64,
			   &start, &end, &mapping.map_start, &high, &low, &ino) != 6 ||
		    ino != inode || makedev(high, low) != device)
			continue;
		mapping.map_length = end - start;
		add(list, &mapping);
	}
	if (f)
		fclose(f);
}

static int by_pid(const void *left, const void *right)
{
	const struct process *a = left, *b = right;

	if (a->pid != b->pid)
		return a->pid < b->pid ? -1 : 1;
	return a->owner < b->owner ? -1 : a->owner > b->owner;
}

void processes_read(struct processes *processes)
{
	struct list list = { .processes = processes };
	struct dirent *entry;
	struct stat node, st;
	char path[64];
	DIR *dir;

	*processes = (struct processes){ };
	if (stat("/dev/cmem", &node))
		return;
	dir = opendir("/proc");
	if (!dir)
		die("/proc is not there: mount -t proc proc /proc");
	while ((entry = readdir(dir))) {
		struct process who = { };

		if (!is_number(entry->d_name))
			continue;
		who.pid = atoi(entry->d_name);
		/* Ourselves: this file is only here to look. */
		if (who.pid == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%d", (int)who.pid);
		if (stat(path, &st))
			continue;
		who.uid = st.st_uid;
		process_command(who.pid, who.command, sizeof(who.command));
		read_files(&list, &who, node.st_rdev);
		read_mappings(&list, &who, node.st_dev, node.st_ino);
	}
	closedir(dir);
	if (processes->count)
		qsort(processes->process, processes->count, sizeof(*processes->process), by_pid);
}

void processes_free(struct processes *processes)
{
	free(processes->process);
	*processes = (struct processes){ };
}

const struct process *processes_owner(const struct processes *processes, uint64_t owner,
				      unsigned int *more)
{
	const struct process *found = NULL;

	*more = 0;
	for (unsigned int i = 0; i < processes->count; i++) {
		if (!owner || processes->process[i].owner != owner)
			continue;
		if (found)
			++*more;
		else
			found = &processes->process[i];
	}
	return found;
}

const struct process *processes_mapping(const struct processes *processes, uint64_t start,
					uint64_t length, unsigned int *more)
{
	const struct process *found = NULL;
	pid_t last = 0;

	*more = 0;
	for (unsigned int i = 0; i < processes->count; i++) {
		const struct process *p = &processes->process[i];

		if (p->owner || p->map_start >= start + length ||
		    p->map_start + p->map_length <= start || p->pid == last)
			continue;
		last = p->pid;
		if (found)
			++*more;
		else
			found = p;
	}
	return found;
}

const char *holder_name(const struct processes *processes, const struct extent *extent,
			unsigned int nth)
{
	static char room[8][128];
	static unsigned int next;
	char *text = room[next++ % ARRAY_SIZE(room)];
	const struct process *who = NULL;
	unsigned int more;

	if (nth < extent->owners)
		who = processes_owner(processes, extent->owner[nth].owner, &more);
	/* A mapping keeps the file open, though no descriptor shows it any more. */
	if (!who)
		who = processes_mapping(processes, extent->start, extent->length, &more);
	if (who && more)
		snprintf(text, sizeof(room[0]), "%d %s +%u more", (int)who->pid, who->command,
			 more);
	else if (who)
		snprintf(text, sizeof(room[0]), "%d %s", (int)who->pid, who->command);
	else if (nth < extent->owners)
		snprintf(text, sizeof(room[0]), "owner %" PRIu64, extent->owner[nth].owner);
	else if (!extent->owners && extent->mappings)
		snprintf(text, sizeof(room[0]), "a DMA-BUF");
	else
		snprintf(text, sizeof(room[0]), "not known");
	return text;
}
