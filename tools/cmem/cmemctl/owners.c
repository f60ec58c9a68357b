// SPDX-License-Identifier: BSD-3-Clause
/*
 * Which processes have /dev/cmem open (and so are an owner) or mapped, and which have
 * DMA-BUFs open or mapped: from /proc/<pid>/fdinfo and /proc/<pid>/maps. Root sees all
 * processes, a user sees processes of the same user.
 *
 * These files do not tell whether a DMA-BUF belongs to CMEM. The inodes in the extents of
 * blocks do; for users who can't read these, the exporter's name does.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cmemctl.h"

#define PATH_SIZE 600

struct list {
	struct processes *processes;
	unsigned int room;
};

static void add(struct list *list, const struct process *who)
{
	struct processes *to = list->processes;

	grow(to->process, to->count, list->room);
	to->process[to->count++] = *who;
}

void process_command(pid_t pid, char *command, size_t size)
{
	char path[PATH_SIZE];
	size_t length = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (f) {
		/* A name may contain a newline. */
		length = fread(command, 1, size - 1, f);
		fclose(f);
	}
	if (length && command[length - 1] == '\n')
		length--;
	command[length] = 0;
	if (!length)
		snprintf(command, size, "?");
}

static bool is_number(const char *text)
{
	return *text && !text[strspn(text, "0123456789")];
}

/* The fdinfo of a /dev/cmem file or a DMA-BUF */
static void read_fdinfo(pid_t pid, const char *fd, struct process *who)
{
	char path[PATH_SIZE], line[128];
	bool exporter = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", (int)pid, fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (who->kind == BY_FILE) {
			if (sscanf(line, "cmem-owner: %" SCNu64, &who->owner) != 1 &&
			    sscanf(line, "cmem-buffers: %" SCNu64, &who->buffers) != 1)
				sscanf(line, "cmem-bytes: %" SCNu64, &who->bytes);
		} else if (!exporter &&
			   sscanf(line, "ino: %" SCNu64, &who->dmabuf) != 1 &&
			   sscanf(line, "size: %" SCNu64, &who->bytes) != 1) {
			/* After it comes the name, which a program sets to any text. */
			exporter = sscanf(line, "exp_name: %31[^\n]", who->exporter) == 1;
		}
	}
	if (f)
		fclose(f);
}

/* A duplicated descriptor is the same owner, or the same DMA-BUF. */
static void add_once(struct list *list, unsigned int first, const struct process *what)
{
	for (unsigned int i = first; i < list->processes->count; i++) {
		const struct process *p = &list->processes->process[i];

		if (p->kind == what->kind && p->owner == what->owner && p->dmabuf == what->dmabuf)
			return;
	}
	add(list, what);
}

/* A kernel thread has no user memory, and no files to inspect. */
static bool is_kernel_thread(pid_t pid)
{
	char path[PATH_SIZE], text[512], *fields;
	unsigned int flags = 0;
	size_t length = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (f) {
		length = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	text[length] = 0;
	/* After the name: state, and six numbers before the flags */
	fields = strrchr(text, ')');
	return fields && sscanf(fields + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 &&
	       flags & 0x00200000;
}

static void read_files(struct list *list, const struct process *who, dev_t device)
{
	unsigned int first = list->processes->count;
	struct dirent *entry;
	char path[PATH_SIZE];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)who->pid);
	dir = opendir(path);
	if (!dir && (errno == EACCES || errno == EPERM) && !is_kernel_thread(who->pid))
		list->processes->unseen++;
	while (dir && (entry = readdir(dir))) {
		struct process file = *who;
		char target[16];
		struct stat st;
		ssize_t length;

		if (!is_number(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)who->pid, entry->d_name);
		length = readlink(path, target, sizeof(target));
		if (length >= 8 && !memcmp(target, "/dmabuf:", 8)) {
			file.kind = BY_DMABUF;
			read_fdinfo(who->pid, entry->d_name, &file);
			if (file.dmabuf)
				add_once(list, first, &file);
		} else if (!stat(path, &st) && S_ISCHR(st.st_mode) && st.st_rdev == device) {
			file.kind = BY_FILE;
			read_fdinfo(who->pid, entry->d_name, &file);
			if (file.owner)
				add_once(list, first, &file);
		}
	}
	if (dir)
		closedir(dir);
}

/* A device mapping has the device's number and, as offset, the address. */
static void read_mappings(struct list *list, const struct process *who, const struct stat *node)
{
	unsigned int first = list->processes->count;
	char path[PATH_SIZE], *line = NULL;
	size_t room = 0;
	FILE *f;

	/* The process's entries found as files count as well. */
	while (first && list->processes->process[first - 1].pid == who->pid)
		first--;
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)who->pid);
	f = fopen(path, "re");
	while (f && getline(&line, &room, f) > 0) {
		struct process mapping = *who;
		unsigned int high, low;
		uint64_t start, end, ino;
		int name = 0;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %x:%x %" SCNu64 " %n",
			   &start, &end, &mapping.map_start, &high, &low, &ino, &name) != 6)
			continue;
		if (ino == node->st_ino && makedev(high, low) == node->st_dev) {
			mapping.kind = BY_MAPPING;
			mapping.map_length = end - start;
			add(list, &mapping);
		} else if (!high && name && !strncmp(line + name, "/dmabuf:", 8)) {
			mapping.kind = BY_DMABUF;
			mapping.map_start = 0;
			mapping.dmabuf = ino;
			add_once(list, first, &mapping);
		}
	}
	free(line);
	if (f)
		fclose(f);
}

static int by_pid(const void *left, const void *right)
{
	const struct process *a = left, *b = right;

	if (a->pid != b->pid)
		return a->pid < b->pid ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return a->owner < b->owner ? -1 : a->owner > b->owner;
}

void processes_read(struct processes *processes)
{
	struct list list = { .processes = processes };
	struct dirent *entry;
	struct stat node, st;
	char path[PATH_SIZE];
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
		/* Ourselves: this file is open only for this inspection. */
		if (who.pid == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%d", (int)who.pid);
		if (stat(path, &st))
			continue;
		who.uid = st.st_uid;
		process_command(who.pid, who.command, sizeof(who.command));
		read_files(&list, &who, node.st_rdev);
		read_mappings(&list, &who, &node);
	}
	closedir(dir);
	if (processes->count)
		qsort(processes->process, processes->count, sizeof(*processes->process), by_pid);
}

void processes_add_importers(struct processes *processes, const struct extents *extents,
			     unsigned int count)
{
	for (unsigned int block = 0; block < count; block++) {
		for (unsigned int i = 0; i < extents[block].count; i++) {
			if (!extents[block].extent[i].dmabufs)
				continue;
			importers_read(processes);
			return;
		}
	}
}

void processes_free(struct processes *processes)
{
	free(processes->process);
	free(processes->importer);
	*processes = (struct processes){ };
}

const char *processes_advice(const struct processes *processes)
{
	/* The first namespace has a fixed number: PROC_PID_INIT_INO. */
	static const char first[] = "pid:[4026531836]";
	static char text[160];
	char namespace[64];
	ssize_t length;

	if (processes->unseen) {
		snprintf(text, sizeof(text), "%u process%s could not be looked at: %s",
			 processes->unseen, processes->unseen == 1 ? "" : "es",
			 geteuid() ? "root sees all" : "that takes CAP_SYS_PTRACE");
		return text;
	}
	length = readlink("/proc/self/ns/pid", namespace, sizeof(namespace) - 1);
	if (length <= 0)
		return NULL;
	namespace[length] = 0;
	if (!strcmp(namespace, first))
		return NULL;
	return "processes outside of this PID namespace could not be looked at";
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

bool process_maps(const struct process *process, const struct extent *extent)
{
	return process->kind == BY_MAPPING &&
	       process->map_start < extent->start + extent->length &&
	       process->map_start + process->map_length > extent->start;
}
