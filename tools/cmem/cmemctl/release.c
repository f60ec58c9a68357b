// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl release: releases memory from quarantine once no device writes to it any more.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cmemctl.h"

/* Exits with advice. */
static void die_of_release(int block, const char *address, int error)
{
	if (error == EPERM)
		die("releasing is for root: it takes CAP_SYS_ADMIN");
	if (error == ENOTTY)
		die("this kernel's CMEM has no quarantine");
	if (error == ENOENT && address)
		die("block %d: no buffer in quarantine starts at %s: cmemctl map --list %d shows those that do",
		    block, address, block);
	if (error == EINVAL && address)
		die("block %d: %s is in the middle of a page: name the first byte of a buffer", block,
		    address);
	die("block %d: %s", block, strerror(error));
}

static void release(int fd, int block, const char *address, struct cmem_release *sum)
{
	struct cmem_release one = { .block = block };
	int ret;

	if (address) {
		one.flags = CMEM_RELEASE_BUFFER;
		one.phys_addr = parse_address("ADDRESS", address);
	}
	ret = device_release(fd, &one);
	if (ret)
		die_of_release(block, address, -ret);
	sum->buffers += one.buffers;
	sum->bytes += one.bytes;
}

static int run_release(int argc, char **argv)
{
	static const struct option options[] = { COMMON_OPTIONS };
	struct cmem_release sum = { };
	struct blocks blocks;
	int id = ALL_BLOCKS;
	int fd;

	next_option(&release_command, argc, argv, "", options);
	if (optind < argc)
		id = parse_block(argv[optind++]);
	/* Check the whole command line before the first release. */
	for (int i = optind; i < argc; i++)
		parse_address("ADDRESS", argv[i]);

	fd = device_open();
	device_get_blocks(fd, id, &blocks);
	for (int i = optind; i < argc; i++)
		release(fd, id, argv[i], &sum);
	for (unsigned int i = 0; optind == argc && i < blocks.count; i++)
		release(fd, blocks.block[i].info.block, NULL, &sum);
	close(fd);

	if (settings.json) {
		json_begin(true);
		json_number("released", sum.buffers);
		json_number("bytes", sum.bytes);
		json_end();
	} else {
		printf("%" PRIu64 " buffer%s released, %s\n", (uint64_t)sum.buffers,
		       sum.buffers == 1 ? "" : "s", human(sum.bytes));
	}
	return 0;
}

const struct command release_command = {
	.name = "release",
	.summary = "let memory out of quarantine",
	.help =
"Usage: cmemctl release [--json] [BLOCK [ADDRESS]...]\n"
"Lets memory out of quarantine: that of BLOCK, or the buffers at ADDRESS alone, or that\n"
"of all blocks. It was left by programs that ended without freeing it, and is kept from\n"
"others, because a DSP or a DMA engine may still write there. Stop that first: what it\n"
"writes later is written into the memory of somebody else. cmemctl map --list shows\n"
"what is in quarantine, and since when. For root.\n"
"\n"
"      --json      print JSON\n",
	.run = run_release,
};
