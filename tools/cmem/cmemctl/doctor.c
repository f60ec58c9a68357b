// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl doctor: finds out why CMEM does not work. It checks, in this order: kernel,
 * command line, device tree (doctor_tree.c), reservation, kernel log, blocks, /dev/cmem,
 * DMA-BUF heaps. It reads files and changes nothing, so it can also check a copy of
 * another machine's files.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doctor.h"

static const char *root = "";
static unsigned int count[NUM_VERDICTS], checks;
static char *proc_cmem;

/* The table of messages explains the driver's errors. */
static const char table[] = "Documentation/misc-devices/cmem-vendor-kernel.rst, \"What the messages mean\", says what to do.";

/* Findings */

void found(enum verdict verdict, const char *area, const char *remedy, const char *format, ...)
{
	static const char *const words[] = { "ok", "note", "wrong", "unknown" };
	static const char *const colours[] = { "32", "33", "1;31", "33" };
	char text[2048], shown[sizeof(text)], line[sizeof(text) + 128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	checks++;
	count[verdict]++;
	if (settings.json) {
		json_open(NULL, '{');
		json_string("status", words[verdict]);
		json_string("area", area);
		json_string("found", text);
		if (remedy)
			json_string("remedy", remedy);
		json_close('}');
		return;
	}
	make_printable(text, shown, sizeof(shown));
	snprintf(line, sizeof(line), "%s%-7s%s  %s: %s", colour(colours[verdict]), words[verdict],
		 colour("0"), area, shown);
	print_folded(line, 9, line_width());
	if (!remedy)
		return;
	make_printable(remedy, shown, sizeof(shown));
	snprintf(line, sizeof(line), "%9s%s", "", shown);
	print_folded(line, 9, line_width());
}

const char *say(const char *format, ...)
{
	static char text[8][1024];
	static unsigned int next;
	char *to = text[next++ % 8];
	va_list args;

	va_start(args, format);
	vsnprintf(to, sizeof(text[0]), format, args);
	va_end(args);
	return to;
}

const char *rooted(const char *path)
{
	return say("%s%s", root, path);
}

/* A read of /dev/kmsg returns a whole message or nothing. */
#define LONGEST_MESSAGE 8192

static char *read_all(int fd)
{
	size_t length = 0, room = 2 * LONGEST_MESSAGE;
	char *text = xrealloc(NULL, room, 1);
	ssize_t got;

	for (;;) {
		if (room - length <= LONGEST_MESSAGE) {
			room *= 2;
			text = xrealloc(text, room, 1);
		}
		got = read(fd, text + length, room - length - 1);
		/* /dev/kmsg: messages were overwritten during the read */
		if (got < 0 && (errno == EPIPE || errno == EINTR))
			continue;
		if (got <= 0)
			break;
		length += got;
	}
	text[length] = 0;
	return text;
}

char *read_text(const char *path)
{
	int fd = open(rooted(path), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text;

	if (fd < 0)
		return NULL;
	text = read_all(fd);
	close(fd);
	return text;
}

/* The line that begins with a given text, or NULL */
static const char *line_with(const char *text, const char *start)
{
	while (text && *text) {
		if (!strncmp(text, start, strlen(start)))
			return text;
		text = strchrnul(text, '\n');
		text += *text == '\n';
	}
	return NULL;
}

bool has_block(long id)
{
	return line_with(proc_cmem, say("Block %ld:", id));
}

bool has_blocks(void)
{
	for (const char *at = proc_cmem; (at = line_with(at, "Block ")); at++)
		if (isdigit((unsigned char)at[strlen("Block ")]))
			return true;
	return false;
}

/*
 * The kernel
 */

/* "5.10.0-1", of the inspected machine */
static const char *release(void)
{
	static char text[128];
	char *read;

	if (*text)
		return text;
	read = read_text("/proc/sys/kernel/osrelease");
	snprintf(text, sizeof(text), "%.*s", read ? (int)strcspn(read, "\n") : 1, read ?: "?");
	free(read);
	return text;
}

/* A compressed file; every board with a shell has the program for it. */
static char *read_compressed(const char *path)
{
	int in = open(rooted(path), O_RDONLY | O_CLOEXEC), out[2], status;
	char *text;
	pid_t pid;

	if (in < 0 || pipe2(out, O_CLOEXEC)) {
		if (in >= 0)
			close(in);
		return NULL;
	}
	fflush(stdout);
	pid = fork();
	if (!pid) {
		dup2(in, STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		execlp("zcat", "zcat", (char *)NULL);
		execlp("gzip", "gzip", "-dc", (char *)NULL);
		_exit(127);
	}
	close(in);
	close(out[1]);
	text = pid > 0 ? read_all(out[0]) : NULL;
	close(out[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    WEXITSTATUS(status)) {
		free(text);
		return NULL;
	}
	return text;
}

/* The kernel's configuration, and its location; NULL if not found */
static const char *kernel_config(const char **where)
{
	static char *text;
	static char place[256];

	if (!text) {
		text = read_compressed("/proc/config.gz");
		snprintf(place, sizeof(place), "/proc/config.gz");
	}
	for (int i = 0; i < 3 && !text; i++) {
		static const char *const places[] = {
			"/boot/config-%s", "/lib/modules/%s/config", "/lib/modules/%s/build/.config",
		};

		snprintf(place, sizeof(place), places[i], release());
		text = read_text(place);
	}
	*where = place;
	return text;
}

/* 'y', 'm', 'n', 'x' for an absent option, 0 without a configuration */
static char option(const char *name, const char **where)
{
	const char *config = kernel_config(where), *line;

	if (!config)
		return 0;
	line = line_with(config, say("%s=", name));
	if (line)
		return line[strlen(name) + 1];
	return line_with(config, say("# %s is not set", name)) ? 'n' : 'x';
}

static bool check_kernel(void)
{
	static const char area[] = "kernel";
	const char *where;
	char *modules;

	if (access(rooted("/proc"), F_OK)) {
		found(IS_UNKNOWN, area, NULL, "could not look at %s: %s", rooted("/proc"),
		      strerror(errno));
		return false;
	}
	modules = read_text("/proc/modules");
	if (line_with(modules, "cmemk "))
		found(IS_WRONG, area, "rmmod cmemk, and have nothing load it at boot: cmemctl load takes its parameters.",
		      "cmemk.ko, the out-of-tree module, is loaded");
	free(modules);
	proc_cmem = read_text("/proc/cmem");
	if (proc_cmem) {
		found(IS_OK, area, NULL, "it has CMEM: /proc/cmem is there");
		return true;
	}
	switch (option("CONFIG_TI_CMEM", &where)) {
	case 'y':
		found(IS_WRONG, area, "Was another kernel booted than the one that was built (uname -v)? Else its log says why: dmesg | grep cmem.",
		      "CONFIG_TI_CMEM is on in %s, but there is no /proc/cmem: CMEM did not start", where);
		break;
	case 'n':
		found(IS_WRONG, area, "Switch it on: scripts/kconfig/merge_config.sh .config Kconfig.fragment. Build and boot that kernel.",
		      "CONFIG_TI_CMEM is not set in %s", where);
		break;
	case 0:
		found(IS_WRONG, area, "Is CONFIG_TI_CMEM on? There is neither /proc/config.gz nor a configuration in /boot or /lib/modules to see that in.",
		      "it has no CMEM: there is no /proc/cmem");
		break;
	default:
		found(IS_WRONG, area, "Apply the patch series; or what CMEM depends on is off, such as PROC_FS: in make menuconfig, / and TI_CMEM show it.",
		      "%s does not know CONFIG_TI_CMEM", where);
	}
	return false;
}

/*
 * The command line of the kernel
 */

static const char *const parameters[] = {
	"cmem_cma_pools", "cmem_cma_heapsize", "cmem_carveout", "cmem_kdump", "cmem.quota",
	"cmem.legacy_version", "cmem.useHeapIfPoolUnavailable", "cmem.scrub_delay_ms",
	"cmem.share", "cmem.cma_share", "cmem.quarantine_cma", "cmem.dma_heap_names_cma",
	"cmem.allowOverlap", "cmem.phys_start", "cmem.phys_end", "cmem.pools", "cmem.quarantine",
	"cmem.is_memory", "cmem.dma_heap_pools", "cmem.page_backed", "cmem.page_backed_cma", "cmem.dma_heap_names",
	"cmemk.phys_start", "cmemk.phys_end", "cmemk.pools", "cmemk.allowOverlap",
	"cmemk.useHeapIfPoolUnavailable",
};

/* Parameters of a block end in its number, 1 to 3. */
static bool has_number(const char *name)
{
	return strstr(name, ".phys_") || strstr(name, ".pools") || strstr(name, ".is_memory") ||
	       strstr(name, ".dma_heap_") || strstr(name, ".quarantine") ||
	       strstr(name, ".page_backed");
}

/* The kernel treats - and _ the same. */
static void check_parameter(const char *word)
{
	size_t length = strcspn(word, "="), closest = 4;
	char name[64], bare[64];
	const char *right = NULL;

	if (length >= sizeof(name))
		return;
	snprintf(name, sizeof(name), "%.*s", (int)length, word);
	for (char *at = name; *at; at++)
		if (*at == '-')
			*at = '_';
	snprintf(bare, sizeof(bare), "%s", name);
	if (length > 2 && bare[length - 2] == '_' && strchr("123", bare[length - 1]) &&
	    has_number(bare))
		bare[length - 2] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(parameters); i++) {
		size_t far = word_distance(bare, parameters[i]);

		if (!far)
			return;
		if (far < closest) {
			closest = far;
			right = parameters[i];
		}
	}
	found(IS_WRONG, "command line", right ? say("Write %s=.", right) :
	      "Documentation/misc-devices/cmem.rst lists those that there are.",
	      "%s is no parameter of CMEM: the kernel ignores it", name);
}

static void check_command_line(void)
{
	static const char area[] = "command line";
	char *line = read_text("/proc/cmdline"), *save, *word;
	bool dump = false, wants_dump = false, wants_cma = false, no_cma = false;
	unsigned int before = count[IS_WRONG];
	const char *where;

	if (!line) {
		found(IS_UNKNOWN, area, NULL, "could not look at %s: %s", rooted("/proc/cmdline"),
		      strerror(errno));
		return;
	}
	for (word = strtok_r(line, "\n ", &save); word; word = strtok_r(NULL, "\n ", &save)) {
		if (!strncmp(word, "cmem", 4))
			check_parameter(word);
		dump |= !strncmp(word, "elfcorehdr=", 11);
		wants_dump |= !strncmp(word, "cmem_kdump", 10);
		wants_cma |= !strncmp(word, "cmem_cma_", 9);
		/* The last one counts. */
		if (!strncmp(word, "cma=", 4))
			no_cma = !strtoul(word + 4, NULL, 0);
	}
	if (no_cma && !wants_cma && proc_cmem && !has_block(-1))
		found(IS_NOTE, area, "Without cma=0, or with cmem_cma_heapsize=, there is one.",
		      "cma=0 leaves no global CMA area, so there is no block -1");
	if (dump && !wants_dump)
		found(IS_WRONG, area, "Reboot, or give it cmem_kdump as well.",
		      "elfcorehdr= is there: this kernel saves a crash dump, and makes no blocks");
	if (wants_cma && strchr("nx", option("CONFIG_DMA_CMA", &where) ?: 'y'))
		found(IS_WRONG, area, "Switch CONFIG_DMA_CMA on.",
		      "cmem_cma_pools= and cmem_cma_heapsize= need CONFIG_DMA_CMA, which is off in %s", where);
	if (wants_cma && proc_cmem && !has_block(-1))
		found(IS_WRONG, area, "dmesg | grep cmem_cma says why.",
		      "cmem_cma_pools= or cmem_cma_heapsize= is there, but no block -1");
	if (count[IS_WRONG] == before)
		found(IS_OK, area, NULL, "nothing in it is wrong");
	free(line);
}

/* The kernel's log */

/* A driver warning or error; or a failed memory reservation, at any level */
static bool is_bad(const char *text, unsigned int level)
{
	static const char *const reserved[] = {
		"unsupported node format", "invalid reg property", "failed to reserve memory",
		"failed to allocate memory", "OVERLAP DETECTED", "not enough space",
	};

	if (!strncmp(text, "cmem", 4) || !strncmp(text, "misc cmem:", 10))
		return level <= 4;
	if (!strstr(text, "eserved mem"))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (strstr(text, reserved[i]))
			return true;
	return false;
}

/*
 * "3,100,2000,-;cmem cmem: block 0: ..." of /dev/kmsg, or "<3>[    0.1] cmem ..." of
 * dmesg -r: returns the message and its level
 */
static const char *parse_line(const char *line, unsigned int *level)
{
	const char *text = strchr(line, ';');

	*level = strtoul(line + (*line == '<'), NULL, 10) & 7;
	if (*line == '<') {
		text = strchr(line, '>') ? strchr(line, '>') + 1 : line;
		if (*text == '[' && strchr(text, ']'))
			text = strchr(text, ']') + 1;
		return text + strspn(text, " ");
	}
	return isdigit((unsigned char)*line) && text ? text + 1 : NULL;
}

static char *read_log(const char **where)
{
	char *text;
	int fd;

	*where = rooted("/dmesg");
	text = read_text("/dmesg");
	if (text || *root)
		return text;
	*where = "/dev/kmsg";
	/* Messages are read one at a time: EAGAIN means no more. */
	fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	text = read_all(fd);
	close(fd);
	return text;
}

/* The maximum number of lines to print */
#define MAX_LINES 20

static void check_log(void)
{
	static const char area[] = "log";
	const char *where, *text;
	unsigned int level, bad = 0;
	char *log, *line, *save;

	log = read_log(&where);
	if (!log) {
		found(IS_UNKNOWN, area, NULL, "could not look at %s: %s", where,
		      errno == EPERM || errno == EACCES ? "run as root" : strerror(errno));
		return;
	}
	for (line = strtok_r(log, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		text = parse_line(line, &level);
		if (text && is_bad(text, level) && ++bad <= MAX_LINES)
			/* A warning: the driver created the block nevertheless. */
			found(level == 4 ? IS_NOTE : IS_WRONG, area, table, "%s", text);
	}
	if (bad > MAX_LINES)
		found(IS_WRONG, area, NULL, "%u more lines like these", bad - MAX_LINES);
	if (!bad)
		found(IS_OK, area, NULL, "no error of CMEM or of memory for it is in %s", where);
	free(log);
}

/*
 * Driver and blocks
 */

static void check_driver(const struct tree_blocks *blocks)
{
	static const char area[] = "driver";
	const char *path = rooted("/sys/bus/platform/drivers/cmem");
	struct dirent *entry;
	char *deferred;
	bool bound = false;
	DIR *dir;

	if (!blocks->nodes)
		return;
	dir = opendir(path);
	if (!dir) {
		found(IS_UNKNOWN, area, NULL, "could not look at %s: %s", path, strerror(errno));
		return;
	}
	while ((entry = readdir(dir)))
		bound |= entry->d_name[0] != '.' && strcmp(entry->d_name, "uevent") &&
			 strcmp(entry->d_name, "bind") && strcmp(entry->d_name, "unbind") &&
			 strcmp(entry->d_name, "module");
	closedir(dir);
	if (bound) {
		found(IS_OK, area, NULL, "it has the node of the device tree");
		return;
	}
	deferred = read_text("/sys/kernel/debug/devices_deferred");
	if (deferred && strstr(deferred, "cmem"))
		found(IS_WRONG, area, "The line in /sys/kernel/debug/devices_deferred says for what.",
		      "the device of the node waits for another driver");
	else
		found(IS_WRONG, area, "Is the node in the root node, /, and #pool-size-cells right? dmesg | grep cmem.",
		      "it has no device, though the device tree has a node with compatible = \"ti,cmem\"");
	free(deferred);
}

static void check_blocks(const struct tree_blocks *blocks)
{
	static const char area[] = "blocks";
	unsigned int missing = 0;

	for (unsigned int i = 0; i < blocks->count; i++) {
		const struct tree_block *block = &blocks->block[i];

		if (has_block(block->id))
			continue;
		missing++;
		found(IS_WRONG, area,
		      block->wrong ? "What is wrong with it stands above." :
		      say("dmesg | grep 'block %ld' says why; or it was removed (cmemctl unload), and comes with the next boot.",
			  block->id),
		      "block %ld (%s) is not there", block->id, block->node);
	}
	if (blocks->areas && !has_block(-1))
		found(IS_WRONG, area, "dmesg | grep 'block -1' says why.",
		      "block -1, which the device tree has areas for, is not there");
	if (!has_blocks() && !has_block(-1) && !missing)
		found(IS_WRONG, area, "Write a node into the device tree, or parameters on the kernel command line (Documentation/misc-devices/cmem.rst).",
		      "there is no block of memory");
	else if (!missing)
		found(IS_OK, area, NULL, "each of the device tree and the command line is there");
}

/*
 * Permissions
 */

static char group[64];

/* getgrnam() does not work in a static program. */
static bool find_group(const char *name, gid_t gid, bool *is_member)
{
	char *text = read_text("/etc/group"), *line, *save;
	char *user = getenv("USER");
	bool there = false;

	*is_member = false;
	for (line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *password = strchr(line, ':');
		char *id = password ? strchr(password + 1, ':') : NULL;
		char *members = id ? strchr(id + 1, ':') : NULL;

		if (!members)
			continue;
		*password = 0;
		*members++ = 0;
		if (name ? strcmp(line, name) : strtoul(id + 1, NULL, 10) != gid)
			continue;
		there = true;
		snprintf(group, sizeof(group), "%s", line);
		for (char *member = strtok(members, ","); member && user;
		     member = strtok(NULL, ","))
			*is_member |= !strcmp(member, user);
		break;
	}
	free(text);
	return there;
}

static bool have_rule(void)
{
	static const char *const places[] = {
		"/etc/udev/rules.d/70-cmem.rules", "/run/udev/rules.d/70-cmem.rules",
		"/usr/lib/udev/rules.d/70-cmem.rules", "/lib/udev/rules.d/70-cmem.rules",
		"/usr/local/lib/udev/rules.d/70-cmem.rules",
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (!access(rooted(places[i]), F_OK))
			return true;
	return false;
}

/* Why only root can use a device, and how to change that */
static const char *rule_advice(void)
{
	bool is_member;

	if (!have_rule())
		return "Install tools/cmem/udev/70-cmem.rules into /etc/udev/rules.d (make -C tools/cmem install does), and make the group: groupadd -r cmem.";
	if (!find_group("cmem", 0, &is_member))
		return "70-cmem.rules is there, but no group cmem: groupadd -r cmem, and udevadm trigger.";
	return "70-cmem.rules and the group cmem are there: udevadm control --reload; udevadm trigger. Without udev, chgrp cmem and chmod 0660 do it.";
}

/* Whether this user may open it: not known for another machine. */
static bool check_access(const char *area, const char *path, bool is_optional)
{
	bool is_member = false;
	struct stat st;

	if (stat(rooted(path), &st)) {
		if (!is_optional)
			found(IS_WRONG, area, "Mount devtmpfs on /dev, or have udev or mdev make the node.",
			      "there is no %s, although the kernel has CMEM", path);
		return false;
	}
	if (*root) {
		found(IS_OK, area, NULL, "%s is there, mode %04o, user %u, group %u", path,
		      (unsigned int)st.st_mode & 07777, (unsigned int)st.st_uid,
		      (unsigned int)st.st_gid);
		return true;
	}
	if (!S_ISCHR(st.st_mode)) {
		found(IS_WRONG, area, say("rm %s, and have devtmpfs, udev or mdev make the device.", path),
		      "%s is no device", path);
		return false;
	}
	if (!access(path, R_OK | W_OK)) {
		if (!geteuid() && (!(st.st_mode & 0060) || !st.st_gid) && !(st.st_mode & 0006))
			found(IS_OK, area, rule_advice(), "%s is there, for root alone", path);
		else
			found(IS_OK, area, NULL, "%s is there, and you may open it", path);
		return true;
	}
	if (!st.st_gid || !(st.st_mode & 0060)) {
		found(IS_WRONG, area, rule_advice(), "%s is for root alone", path);
		return false;
	}
	if (!find_group(NULL, st.st_gid, &is_member))
		snprintf(group, sizeof(group), "%u", (unsigned int)st.st_gid);
	found(IS_WRONG, area, is_member ? "You have been put into it: log in again." :
	      say("usermod -a -G %s USER, and log in again.", group),
	      "%s is for root and the group %s, which you (uid %u) are not in", path, group,
	      (unsigned int)geteuid());
	return false;
}

static void check_heaps(void)
{
	static const char area[] = "heaps";
	struct dirent *entry;
	unsigned int heaps = 0;
	const char *where;
	char mine;
	DIR *dir;

	mine = option("CONFIG_DMABUF_HEAPS", &where);
	dir = opendir(rooted("/dev/dma_heap"));
	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, "cmem-", 5)) {
			check_access(area, say("/dev/dma_heap/%s", entry->d_name), true);
			heaps++;
		}
	if (dir)
		closedir(dir);
	if (heaps)
		return;
	if (mine == 'y' && (has_blocks() || has_block(-1)))
		found(IS_NOTE, area, NULL, "CONFIG_DMABUF_HEAPS is on in %s, but /dev/dma_heap has no cmem-...: programs that want DMA-BUF heaps find none",
		      where);
	else if (mine == 'n' || mine == 'x')
		found(IS_OK, area, NULL,
		      "none: CONFIG_DMABUF_HEAPS is off in %s, which /dev/cmem does not need", where);
}

static void check_device(void)
{
	static const char area[] = "device";

	if (!check_access(area, "/dev/cmem", *root))
		return;
	if (*root)
		return;
	/* It exits, with advice, if another driver answers. */
	close(device_open());
}

static int run_doctor(int argc, char **argv)
{
	static const struct option options[] = {
		{ "root", required_argument, NULL, OPTION_OWN },
		COMMON_OPTIONS
	};
	struct tree_blocks blocks = { };
	struct stat st;
	bool runs;

	while (next_option(&doctor_command, argc, argv, "", options) != -1)
		root = optarg;
	if (optind < argc)
		usage("'%s' is too many: there is no argument", argv[optind]);
	if (*root && stat(root, &st))
		die("--root: %s: %s", root, strerror(errno));
	if (*root && !S_ISDIR(st.st_mode))
		die("--root: %s: %s", root, strerror(ENOTDIR));
	if (!strcmp(root, "/"))
		root = "";

	if (settings.json) {
		json_begin(false);
		json_open("checks", '[');
	}
	runs = check_kernel();
	check_command_line();
	doctor_tree(&blocks);
	check_log();
	if (runs) {
		check_driver(&blocks);
		check_blocks(&blocks);
		check_device();
		check_heaps();
	}
	if (settings.json) {
		json_close(']');
		json_number("wrong", count[IS_WRONG]);
		json_number("noted", count[IS_NOTE]);
		json_number("unknown", count[IS_UNKNOWN]);
		json_string("verdict", count[IS_WRONG] ? "wrong" : "ok");
		json_end();
	} else {
		printf("%u checks, %u wrong, %u to note, %u could not be made\n", checks,
		       count[IS_WRONG], count[IS_NOTE], count[IS_UNKNOWN]);
	}
	return count[IS_WRONG] ? EXIT_FAILED : 0;
}

const struct command doctor_command = {
	.name = "doctor",
	.summary = "why does it not work: what is missing, and what to do",
	.help =
"Usage: cmemctl doctor [OPTION]...\n"
"For a board on which CMEM does not work: looks at the kernel and its command line, the\n"
"device tree and what it reserves, the kernel's log, the blocks, and the permissions of\n"
"/dev/cmem and the DMA-BUF heaps, in this order, and prints for each whether it is ok or\n"
"wrong, and what to do; a note is of what may be meant so. Exits with 0 if nothing is\n"
"wrong, else with 1. It changes nothing. What only root may see is unknown to others.\n"
"\n"
"      --root=DIR      look at copies of another machine's /proc, /sys/firmware and so on\n"
"                      in DIR; DIR/dmesg is what dmesg -r printed there\n"
"      --json          print JSON\n"
"      --color=WHEN    auto, always or never\n",
	.run = run_doctor,
};
