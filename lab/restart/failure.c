// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that fails, in buffers and where nobody has it: /sys tells the kernel so. Such
 * memory is out of use until the next boot, so this is for a guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/cmem.h>

#define PAGE		4096

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE	101
#endif
#define MAX_BUFFERS	64

static int number, failed, device, kmsg;

static void result(int good, const char *format, ...)
{
	va_list args;

	printf("%sok %d ", good ? "" : "not ", ++number);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	failed |= !good;
}

/* Waits until the kernel has said something of an address, and returns what. */
static const char *wait_for(const char *what, uint64_t phys)
{
	static char line[1024];
	char address[32];
	ssize_t length;

	snprintf(address, sizeof(address), "%llx", (unsigned long long)phys);
	while ((length = read(kmsg, line, sizeof(line) - 1)) > 0 || errno == EPIPE) {
		if (length <= 0)
			continue;
		line[length] = 0;
		if (strstr(line, "cmem: block ") && strstr(line, what) && strstr(line, address))
			return line;
	}
	return NULL;
}

static int write_to(const char *path, uint64_t value)
{
	int fd = open(path, O_WRONLY);
	char text[32];
	int ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, sprintf(text, "%#llx", (unsigned long long)value)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* What the kernel does with memory that it has no use for says nothing: EBUSY */
static int fails(uint64_t phys)
{
	return write_to("/sys/devices/system/memory/hard_offline_page", phys);
}

static sigjmp_buf jump;
static siginfo_t info;

static void on_sigbus(int signal, siginfo_t *why, void *context)
{
	info = *why;
	siglongjmp(jump, 1);
}

/* Whether a read gets SIGBUS as it should */
static int is_gone(volatile char *at)
{
	if (sigsetjmp(jump, 1))
		return info.si_code == BUS_MCEERR_AR &&
		       (uintptr_t)info.si_addr / PAGE == (uintptr_t)at / PAGE;
	(void)*at;
	return 0;
}

static int is_there(volatile char *at)
{
	if (sigsetjmp(jump, 1))
		return 0;
	return *at == 0x55;
}

static int allocate(int block, int pool, uint64_t length, struct cmem_alloc *alloc)
{
	*alloc = (struct cmem_alloc){
		.size = sizeof(*alloc),
		.block = block,
		.pool = pool,
		.flags = CMEM_ALLOC_CACHED,
		.length = length,
	};
	return ioctl(device, CMEM_IOCTL_ALLOC, alloc) ? -errno : 0;
}

static int release(uint64_t phys)
{
	struct cmem_free arg = { .size = sizeof(arg), .phys_addr = phys };

	return ioctl(device, CMEM_IOCTL_FREE, &arg) ? -errno : 0;
}

static char *map(const struct cmem_alloc *alloc)
{
	char *p = mmap(NULL, alloc->length, PROT_READ | PROT_WRITE, MAP_SHARED, device,
		       alloc->mmap_offset);

	return p == MAP_FAILED ? NULL : p;
}

static int sync_range(char *at, uint64_t length)
{
	struct cmem_sync_range range = {
		.user_addr = (uintptr_t)at,
		.length = length,
		.op = CMEM_SYNC_WRITE_BACK_INVALIDATE,
	};
	struct cmem_sync arg = {
		.size = sizeof(arg),
		.num_ranges = 1,
		.ranges = (uintptr_t)&range,
	};

	return ioctl(device, CMEM_IOCTL_SYNC, &arg) ? -errno : 0;
}

/* Caches are maintained here. */
static int is_incoherent(void)
{
	struct cmem_info arg = { .size = sizeof(arg) };

	return !ioctl(device, CMEM_IOCTL_GET_INFO, &arg) && !(arg.out_flags & CMEM_INFO_COHERENT);
}

static struct cmem_pool_info pool_info(int block, int pool)
{
	struct cmem_pool_info arg = { .size = sizeof(arg), .block = block, .pool = pool };

	if (ioctl(device, CMEM_IOCTL_GET_POOL, &arg))
		memset(&arg, 0, sizeof(arg));
	return arg;
}

static struct cmem_block_info block_info(int block)
{
	struct cmem_block_info arg = { .size = sizeof(arg), .block = block };

	if (ioctl(device, CMEM_IOCTL_GET_BLOCK, &arg))
		memset(&arg, 0, sizeof(arg));
	return arg;
}

/* Whether all that a pool gives leaves out an address */
static int leaves_out(int block, int pool, uint64_t length, uint64_t phys, int *count)
{
	struct cmem_alloc alloc[MAX_BUFFERS];
	int i, good = 1;

	for (*count = 0; *count < MAX_BUFFERS; ++*count) {
		if (allocate(block, pool, length, &alloc[*count]))
			break;
		if (phys - alloc[*count].phys_addr < alloc[*count].length)
			good = 0;
	}
	for (i = 0; i < *count; i++)
		release(alloc[i].phys_addr);
	return good;
}

/* debugfs says of an address: this state */
static int shown_as(int block, uint64_t phys, const char *state)
{
	char path[64], line[1024], want[64];
	unsigned long long at, length;
	int good = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/kernel/debug/cmem/%d/extents", block);
	snprintf(want, sizeof(want), " state=%s", state);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "phys=%llx length=%llx", &at, &length) == 2 && phys - at < length)
			good = !!strstr(line, want);
	if (file)
		fclose(file);
	return good;
}

static void in_use(int block, int pool, uint64_t length, const char *what)
{
	struct cmem_pool_info before = pool_info(block, pool);
	int cma = block == CMEM_BLOCK_CMA, count;
	struct cmem_alloc alloc;
	const char *said;
	char *p;

	if (allocate(block, pool, length, &alloc) || !(p = map(&alloc))) {
		result(0, "%s: no buffer", what);
		return;
	}
	memset(p, 0x55, alloc.length);
	fails(alloc.phys_addr + 3 * PAGE);
	said = wait_for("memory failure at", alloc.phys_addr + 3 * PAGE);
	result(said && strstr(said, "which is in use"), "%s: the log names block and address", what);
	result(is_gone(p + 3 * PAGE + 17), "%s: who touches the page gets SIGBUS", what);
	result(is_there(p) && is_there(p + 2 * PAGE) && is_there(p + 4 * PAGE),
	       "%s: the rest is there", what);
	result(!map(&alloc) && errno == EHWPOISON, "%s: it is not mapped again", what);
	if (is_incoherent()) {
		result(sync_range(p, alloc.length) == -EHWPOISON,
		       "%s: its caches are not maintained", what);
		result(!sync_range(p, 3 * PAGE), "%s: but those of a part that is well", what);
	}
	munmap(p, alloc.length);
	result(!release(alloc.phys_addr), "%s: it can be freed", what);
	result(leaves_out(block, pool, length, alloc.phys_addr + 3 * PAGE, &count),
	       "%s: and is given to nobody", what);
	if (!cma && pool >= 0)
		result(count == (int)before.free - 1 && pool_info(block, pool).free == before.free - 1,
		       "%s: its pool is one shorter: %d of %d", what, count, before.free);
	if (!cma)
		result(shown_as(block, alloc.phys_addr + 3 * PAGE, "failed"),
		       "%s: debugfs shows what it is", what);
}

static void free_in_pool(int block, int pool)
{
	struct cmem_pool_info before = pool_info(block, pool);
	struct cmem_alloc alloc;
	int count;

	if (allocate(block, pool, 0, &alloc) || release(alloc.phys_addr)) {
		result(0, "a free buffer: there is none");
		return;
	}
	fails(alloc.phys_addr + PAGE);
	result(!!wait_for("memory failure at", alloc.phys_addr + PAGE),
	       "a free buffer: the log names block and address");
	result(pool_info(block, pool).free == before.free - 1,
	       "a free buffer: its pool is one shorter");
	result(leaves_out(block, pool, 0, alloc.phys_addr, &count) &&
	       count == (int)before.free - 1, "a free buffer: nobody gets it");
	result(shown_as(block, alloc.phys_addr, "failed"), "a free buffer: debugfs shows what it is");
}

static void free_in_heap(int block)
{
	struct cmem_block_info before = block_info(block), after;
	struct cmem_alloc alloc;
	uint64_t phys;
	int count;

	/* In the midst of what the largest buffer would have */
	if (allocate(block, CMEM_POOL_HEAP, before.heap_largest, &alloc) ||
	    release(alloc.phys_addr)) {
		result(0, "a free page of a heap: there is none");
		return;
	}
	phys = alloc.phys_addr + alloc.length / 2;
	fails(phys);
	result(!!wait_for("memory failure at", phys),
	       "a free page of a heap: the log names block and address");
	after = block_info(block);
	result(after.heap_free == before.heap_free - PAGE,
	       "a free page of a heap: it is one page smaller");
	result(allocate(block, CMEM_POOL_HEAP, before.heap_largest, &alloc) == -ENOMEM,
	       "a free page of a heap: no buffer has it");
	result(leaves_out(block, CMEM_POOL_HEAP, after.heap_largest / 4, phys, &count) && count > 1,
	       "a free page of a heap: nor have smaller ones");
	result(shown_as(block, phys, "failed") && shown_as(block, phys - PAGE, "clean") +
	       shown_as(block, phys - PAGE, "dirty") + shown_as(block, phys - PAGE, "scrubbing") == 1,
	       "a free page of a heap: debugfs shows it, and it alone");
}

/* A block goes and comes again with what has failed in it. */
static void again(int block)
{
	struct cmem_block_info info = block_info(block);
	struct cmem_block_remove remove = { .size = sizeof(remove), .block = block };
	struct cmem_block_add add = {
		.size = sizeof(add),
		.block = block,
		.base = info.base,
		.length = info.length,
	};
	uint64_t lost;

	lost = info.length;
	result(!ioctl(device, CMEM_IOCTL_BLOCK_REMOVE, &remove), "its block can be removed");
	result(!ioctl(device, CMEM_IOCTL_BLOCK_ADD, &add), "and made again, as a heap");
	/* What has failed is seen before anything is handed out. */
	(void)allocate(block, CMEM_POOL_HEAP, lost, &(struct cmem_alloc){ 0 });
	info = block_info(block);
	result(lost - info.heap_free == 4 * PAGE, "and has all but the four pages that failed: %llu",
	       (unsigned long long)(lost - info.heap_free));
}

/* Programs can't have the kernel believe so: these mappings have no pages for it. */
static void by_program(int block)
{
	struct cmem_alloc alloc;
	char *p;

	if (allocate(block, 0, 0, &alloc) || !(p = map(&alloc))) {
		result(0, "madvise: no buffer");
		return;
	}
	memset(p, 0x55, PAGE);
	result(madvise(p, PAGE, MADV_HWPOISON) && is_there(p), "MADV_HWPOISON fails: %s",
	       strerror(errno));
	result(madvise(p, PAGE, MADV_SOFT_OFFLINE) && is_there(p), "MADV_SOFT_OFFLINE fails: %s",
	       strerror(errno));
	result(write_to("/sys/devices/system/memory/soft_offline_page", alloc.phys_addr) &&
	       is_there(p), "soft offline fails");
	munmap(p, alloc.length);
	result(!release(alloc.phys_addr) && pool_info(block, 0).free == pool_info(block, 0).count,
	       "and nothing is lost");
}

/* Of memory without struct pages, the kernel knows nothing. */
static void without_pages(int block)
{
	struct cmem_alloc alloc;
	char *p;

	if (allocate(block, 0, 0, &alloc) || !(p = map(&alloc))) {
		result(0, "memory without struct pages: no buffer");
		return;
	}
	memset(p, 0x55, PAGE);
	result(fails(alloc.phys_addr) == -ENXIO && is_there(p),
	       "memory without struct pages: the kernel can't tell");
	munmap(p, alloc.length);
	result(!release(alloc.phys_addr), "memory without struct pages: it is freed as ever");
}

/* failure <block with pools 0 and 1, and a heap> <block without struct pages> */
int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };
	int block, pageless;

	if (argc != 3)
		return 2;
	block = atoi(argv[1]);
	pageless = atoi(argv[2]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGBUS, &action, NULL);
	device = open("/dev/cmem", O_RDWR);
	kmsg = open("/dev/kmsg", O_RDONLY);
	if (device < 0 || kmsg < 0) {
		perror("/dev/cmem or /dev/kmsg");
		return 2;
	}
	/* For a message that does not come */
	alarm(600);
	printf("1..%d\n", is_incoherent() ? 45 : 39);
	by_program(block);
	without_pages(pageless);
	in_use(block, 1, 0, "a buffer of a pool");
	in_use(block, CMEM_POOL_HEAP, 8 * PAGE, "a buffer of a heap");
	free_in_pool(block, 1);
	free_in_heap(block);
	again(block);
	in_use(CMEM_BLOCK_CMA, 0, 0, "a buffer of CMA");
	return failed;
}
