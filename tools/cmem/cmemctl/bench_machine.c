// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl bench: the machine that its figures are of. It is to be sent by mail, so there
 * is nothing in it that tells one machine of a kind from another: no names of hosts, no
 * serial numbers, no addresses.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"

#define TREE	"/sys/firmware/devicetree/base/"
#define CPU	"/sys/devices/system/cpu/cpu%d/"
#define DMI	"/sys/class/dmi/id/"

bool read_line(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t length = f ? fread(text, 1, size - 1, f) : 0;

	if (f)
		fclose(f);
	while (length && (!text[length - 1] || text[length - 1] == '\n'))
		length--;
	for (size_t i = 0; i < length; i++)
		if (!text[i])
			text[i] = ' ';
	text[length] = 0;
	text[strcspn(text, "\n")] = 0;
	return *text;
}

static bool read_cpu_line(const struct machine *machine, const char *name, char *text,
			  size_t size)
{
	char path[128];

	snprintf(path, sizeof(path), CPU "%s", machine->cpu, name);
	return read_line(path, text, size);
}

static uint64_t read_cpu_number(const struct machine *machine, const char *name)
{
	char text[32];

	return read_cpu_line(machine, name, text, sizeof(text)) ? strtoull(text, NULL, 10) : 0;
}

/* The value of a line, if it has this key */
static bool get_field(const char *line, const char *key, char *value, size_t size)
{
	const char *at = line + strlen(key);

	if (strncmp(line, key, strlen(key)))
		return false;
	at += strspn(at, " \t");
	if (*at++ != ':')
		return false;
	at += strspn(at, " \t");
	snprintf(value, size, "%.*s", (int)strcspn(at, "\n"), at);
	return true;
}

void read_field(const char *path, const char *key, char *value, size_t size)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;

	while (f && getline(&line, &room, f) >= 0)
		if (get_field(line, key, value, size))
			break;
	free(line);
	if (f)
		fclose(f);
}

static void read_model(struct machine *machine)
{
	char vendor[60], product[60];

	read_line(TREE "compatible", machine->compatible, sizeof(machine->compatible));
	if (read_line(TREE "model", machine->model, sizeof(machine->model)))
		return;
	read_line(DMI "sys_vendor", vendor, sizeof(vendor));
	read_line(DMI "product_name", product, sizeof(product));
	snprintf(machine->model, sizeof(machine->model), "%s%s%s", vendor,
		 *vendor && *product ? " " : "", product);
}

/* A board may have CPUs of two kinds: only what is behind the CPU's number is its own. */
static void read_processor(struct machine *machine)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char *line = NULL, number[16];
	bool is_own = false;
	size_t room = 0;

	while (f && getline(&line, &room, f) >= 0) {
		if (get_field(line, "processor", number, sizeof(number)))
			is_own = atoi(number) == machine->cpu;
		if (!is_own)
			continue;
		get_field(line, "model name", machine->processor, sizeof(machine->processor));
		get_field(line, "CPU implementer", machine->implementer,
			  sizeof(machine->implementer));
		get_field(line, "CPU part", machine->part, sizeof(machine->part));
	}
	free(line);
	if (f)
		fclose(f);
	read_cpu_line(machine, "regs/identification/midr_el1", machine->midr,
		      sizeof(machine->midr));
}

/* Firmware, device tree or processor tell of a hypervisor or an emulator. */
static void read_virtual(struct machine *machine)
{
	char flags[2048] = "";

	read_field("/proc/cpuinfo", "flags", flags, sizeof(flags));
	if (strstr(machine->compatible, "linux,dummy-virt") || strstr(machine->model, "QEMU"))
		strcpy(machine->virtual, "QEMU");
	else if (read_line("/sys/hypervisor/type", machine->virtual, sizeof(machine->virtual)) ||
		 read_line(TREE "hypervisor/compatible", machine->virtual,
			   sizeof(machine->virtual)))
		return;
	else if (strstr(flags, " hypervisor"))
		strcpy(machine->virtual, "a hypervisor");
}

/* The word in brackets of "always [madvise] never" */
static void read_huge_pages(struct machine *machine)
{
	char line[64], *word;

	read_line("/sys/kernel/mm/transparent_hugepage/enabled", line, sizeof(line));
	word = strchr(line, '[');
	if (word)
		snprintf(machine->huge_pages, sizeof(machine->huge_pages), "%.*s",
			 (int)strcspn(word + 1, "]"), word + 1);
}

static void read_schedule(struct machine *machine)
{
	static const char *const names[] = {
		[SCHED_OTHER] = "other", [SCHED_FIFO] = "fifo", [SCHED_RR] = "rr",
		[SCHED_BATCH] = "batch", [SCHED_IDLE] = "idle",
	};
	int policy = sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
	struct sched_param parameter = { };

	machine->policy = policy >= 0 && policy < (int)ARRAY_SIZE(names) && names[policy] ?
			  names[policy] : "another";
	if (!sched_getparam(0, &parameter))
		machine->priority = parameter.sched_priority;
	read_field("/proc/self/status", "Cpus_allowed_list", machine->affinity,
		   sizeof(machine->affinity));
}

void machine_read(struct machine *machine)
{
	struct utsname name;

	*machine = (struct machine){ };
	uname(&name);
	snprintf(machine->release, sizeof(machine->release), "%s", name.release);
	snprintf(machine->version, sizeof(machine->version), "%s", name.version);
	snprintf(machine->arch, sizeof(machine->arch), "%s", name.machine);
	read_line("/proc/loadavg", machine->load, sizeof(machine->load));
	machine->load[strcspn(machine->load, " ")] = 0;
	machine->page_size = sysconf(_SC_PAGESIZE);
	machine->memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * machine->page_size;
	machine->cpus = sysconf(_SC_NPROCESSORS_ONLN);
	read_model(machine);
	read_virtual(machine);
	read_huge_pages(machine);
	read_schedule(machine);
}

/* The first one only waits for an interrupt: the CPU is back at once. */
static unsigned int count_idle_states(const struct machine *machine)
{
	char name[64], text[32];
	unsigned int count = 0;

	for (unsigned int i = 1;; i++) {
		snprintf(name, sizeof(name), "cpuidle/state%u/disable", i);
		if (!read_cpu_line(machine, name, text, sizeof(text)))
			return count;
		count += !strcmp(text, "0");
	}
}

void machine_read_cpu(struct machine *machine)
{
	machine->cpu = sched_getcpu();
	read_processor(machine);
	machine->khz = read_cpu_number(machine, "cpufreq/scaling_cur_freq");
	machine->max_khz = read_cpu_number(machine, "cpufreq/cpuinfo_max_freq");
	read_cpu_line(machine, "cpufreq/scaling_governor", machine->governor,
		      sizeof(machine->governor));
	machine->idle_states = count_idle_states(machine);
}

void machine_json(const struct machine *machine)
{
	json_open("machine", '{');
	json_string("kernel", machine->release);
	json_string("kernel_version", machine->version);
	json_string("architecture", machine->arch);
	json_string_or_null("model", machine->model);
	json_string_or_null("compatible", machine->compatible);
	json_string_or_null("virtual", machine->virtual);
	json_number("page_size", machine->page_size);
	json_number("memory", machine->memory);
	json_string_or_null("transparent_hugepages", machine->huge_pages);
	json_number("cpus", machine->cpus);
	json_open("cpu", '{');
	json_number("number", machine->cpu);
	json_string_or_null("model", machine->processor);
	json_string_or_null("implementer", machine->implementer);
	json_string_or_null("part", machine->part);
	json_string_or_null("midr", machine->midr);
	json_string_or_null("governor", machine->governor);
	json_number_or_null("frequency_khz", machine->khz);
	json_number_or_null("max_frequency_khz", machine->max_khz);
	json_number("idle_states", machine->idle_states);
	json_close('}');
	json_string_or_null("affinity", machine->affinity);
	json_string("policy", machine->policy);
	json_number("priority", machine->priority);
	json_string_or_null("load", machine->load);
	json_close('}');
}

void machine_print(const struct machine *machine)
{
	printf("Linux %s %s, %s\n", machine->release, machine->arch,
	       *machine->model ? printable(machine->model) : "no model is known");
	printf("CPU %d of %ld, %s", machine->cpu, machine->cpus,
	       *machine->governor ? printable(machine->governor) : "no cpufreq");
	if (machine->khz)
		printf(", %.0f of %.0f MHz", machine->khz / 1e3, machine->max_khz / 1e3);
	printf(", pages of %s, load %s\n", human(machine->page_size), machine->load);
}

void machine_notes(const struct machine *machine, void (*note)(const char *text))
{
	char text[256];

	if (*machine->virtual) {
		snprintf(text, sizeof(text),
			 "This is a virtual machine (%s): its times are not a board's, and those of an emulator mean nothing.",
			 printable(machine->virtual));
		note(text);
	}
	if (*machine->governor && strcmp(machine->governor, "performance")) {
		snprintf(text, sizeof(text),
			 "The CPU's governor is %s: its frequency may change while it measures. With \"performance\" it does not.",
			 printable(machine->governor));
		note(text);
	}
	if (machine->idle_states)
		note("The CPU may sleep deeply in a pause, and wakes up slowly then: its idle states are enabled.");
	if (machine->cpus > 1 && strpbrk(machine->affinity, ",-"))
		note("It may have moved from CPU to CPU: --cpu keeps it on one.");
	if (strtod(machine->load, NULL) >= 0.5) {
		snprintf(text, sizeof(text),
			 "The load was %s when this began: other programs were busy, or bench has just run.",
			 machine->load);
		note(text);
	}
}
