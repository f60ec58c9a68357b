// SPDX-License-Identifier: GPL-2.0
/*
 * A QEMU plugin that counts how often each instruction of the guest is executed,
 * for lab/bench/profile:
 *
 *	-plugin count.so,out=FILE	a line each: address, how often
 *
 * Debian ships no header of the plugin interface, so what is used of its version
 * 1 is declared here. It makes no difference between address spaces.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct qemu_info;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

enum { QEMU_PLUGIN_INLINE_ADD_U64 };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id,
	void (*callback)(uint64_t id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int operation,
	void *counter, uint64_t addend);
void qemu_plugin_register_atexit_cb(uint64_t id, void (*callback)(uint64_t id, void *data),
	void *data);

int qemu_plugin_version = 1;

/* A hash table, never full: a kernel has fewer instructions. */
#define NUM_COUNTERS	(1U << 23)

static struct counter {
	uint64_t address;
	uint64_t executed;
} counters[NUM_COUNTERS];

static FILE *out;

static struct counter *find_counter(uint64_t address)
{
	uint32_t n = ((address >> 2) * 0x9e3779b97f4a7c15) >> 41;

	while (counters[n].address && counters[n].address != address)
		n = (n + 1) % NUM_COUNTERS;
	counters[n].address = address;
	return &counters[n];
}

static void count_block(uint64_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		struct counter *counter = find_counter(qemu_plugin_insn_vaddr(insn));

		qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64,
							   &counter->executed, 1);
	}
}

static void write_counters(uint64_t id, void *data)
{
	(void)id;
	(void)data;
	for (size_t i = 0; i < NUM_COUNTERS; i++)
		if (counters[i].executed)
			fprintf(out, "%llx %llu\n", (unsigned long long)counters[i].address,
				(unsigned long long)counters[i].executed);
	if (fclose(out))
		perror("count.so: writing the counters");
}

int qemu_plugin_install(uint64_t id, const struct qemu_info *info, int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "out=", 4)) {
		fprintf(stderr, "count.so: wants one argument, out=FILE\n");
		return -1;
	}
	out = fopen(argv[0] + 4, "w");
	if (!out) {
		fprintf(stderr, "count.so: %s: %s\n", argv[0] + 4, strerror(errno));
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, count_block);
	qemu_plugin_register_atexit_cb(id, write_counters, NULL);
	return 0;
}
