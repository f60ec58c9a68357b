// SPDX-License-Identifier: GPL-2.0
/*
 * Memory failures, in buffers and in free memory: /sys and debugfs report them to the
 * kernel. Such memory is out of use until the next boot, so run this in a guest.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <drm/drm.h>
#include <linux/cmem.h>
#include <linux/dma-buf.h>

#define PAGE		4096
#define HUGE		(2 << 20)
#define SYSFS		"/sys/devices/system/memory/"
#define HWPOISON	"/sys/kernel/debug/hwpoison/"
#define TRACING		"/sys/kernel/tracing/"

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE	101
#endif
#define MAX_BUFFERS	64

static int number, failed, device, kmsg;
static int tested_block;

/* The failed pages of the block under test */
static uint64_t pages[64];
static unsigned int num_pages;

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

/* Waits for a kernel message about an address, and returns it. */
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
	ret = write(fd, text, sprintf(text, "%llu", (unsigned long long)value)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* The kernel's result for memory that it does not use means nothing: EBUSY */
static int fails(uint64_t phys)
{
	return write_to(SYSFS "hard_offline_page", phys);
}

/* Makes it fail, and waits for the driver's message. Returns the message. */
static const char *fails_in(int block, uint64_t phys, const char *what)
{
	const char *said;

	if (block == tested_block)
		pages[num_pages++] = phys;
	fails(phys);
	said = wait_for(what, phys);
	write_to(TRACING "trace_marker", phys);
	return said;
}

static sigjmp_buf jump;
static siginfo_t info;

static void on_sigbus(int signal, siginfo_t *why, void *context)
{
	info = *why;
	siglongjmp(jump, 1);
}

/* Whether a read gets the expected SIGBUS */
static int is_gone(volatile char *at)
{
	if (sigsetjmp(jump, 1))
		return info.si_code == BUS_MCEERR_AR &&
		       (uintptr_t)info.si_addr / PAGE == (uintptr_t)at / PAGE;
	(void)*at;
	return 0;
}

/* The log message comes before the unmapping. */
static int will_be_gone(char *at)
{
	int i;

	for (i = 0; i < 500 && !is_gone(at); i++)
		usleep(10000);
	return i < 500;
}

static int is_there(volatile char *at)
{
	if (sigsetjmp(jump, 1))
		return 0;
	return *at == 0x55;
}

static int allocate_for(int fd, int block, int pool, uint64_t length, uint32_t flags,
			struct cmem_alloc *alloc)
{
	*alloc = (struct cmem_alloc){
		.size = sizeof(*alloc),
		.block = block,
		.pool = pool,
		.flags = CMEM_ALLOC_CACHED | flags,
		.length = length,
	};
	return ioctl(fd, CMEM_IOCTL_ALLOC, alloc) ? -errno : 0;
}

static int allocate(int block, int pool, uint64_t length, struct cmem_alloc *alloc)
{
	return allocate_for(device, block, pool, length, 0, alloc);
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

static int flags_of(char *at)
{
	struct cmem_resolve arg = { .size = sizeof(arg), .user_addr = (uintptr_t)at };

	return ioctl(device, CMEM_IOCTL_RESOLVE, &arg) ? -errno : (int)arg.buffer_flags;
}

static int sync_all(void)
{
	struct cmem_sync_all arg = { .size = sizeof(arg), .op = CMEM_SYNC_WRITE_BACK };

	return ioctl(device, CMEM_IOCTL_SYNC_ALL, &arg) ? -errno : 0;
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

/* Cache maintenance works here. */
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

/* The first block that can have page-backed buffers */
static int page_backed_block(void)
{
	struct cmem_info info = { .size = sizeof(info) };
	int block;

	if (ioctl(device, CMEM_IOCTL_GET_INFO, &info))
		return -1;
	for (block = 0; block < (int)info.block_limit; block++)
		if (block_info(block).out_flags & CMEM_BLOCK_CAN_PAGES)
			return block;
	return -1;
}

/* Whether no buffer of a pool contains an address */
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

/* debugfs reports this state for an address */
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

/* The same, now or soon */
static int becomes(int block, uint64_t phys, const char *state)
{
	int i;

	for (i = 0; i < 500 && !shown_as(block, phys, state); i++)
		usleep(10000);
	return i < 500;
}

/* How often the kernel's trace has an event of some pages after the message about them */
static int traced(const char *event, uint64_t phys, uint64_t length, int after)
{
	unsigned long long at, bytes, marked;
	int count = 0, seen = !after;
	char line[512], *where;
	FILE *file;

	file = fopen(TRACING "trace", "r");
	while (file && fgets(line, sizeof(line), file)) {
		where = strstr(line, "tracing_mark_write: ");
		if (where && sscanf(where, "tracing_mark_write: %llu", &marked) == 1)
			seen |= marked == phys;
		where = strstr(line, event);
		if (!where || !seen || !(where = strstr(where, "phys=")) ||
		    sscanf(where, "phys=%llx length=%llx", &at, &bytes) != 2)
			continue;
		count += at < phys + length && phys < at + bytes;
	}
	if (file)
		fclose(file);
	return count;
}

static void trace(const char *event, int on)
{
	char path[128];

	snprintf(path, sizeof(path), TRACING "events/cmem/%s/enable", event);
	write_to(path, on);
}

static void in_use(int block, int pool, uint64_t length, uint32_t flags, const char *what)
{
	struct cmem_pool_info before = pool_info(block, pool);
	struct cmem_block_info block_before = block_info(block);
	int cma = block == CMEM_BLOCK_CMA, count;
	struct cmem_alloc alloc;
	const char *said;
	char *p;

	if (allocate_for(device, block, pool, length, flags, &alloc) || !(p = map(&alloc))) {
		result(0, "%s: no buffer", what);
		return;
	}
	memset(p, 0x55, alloc.length);
	result(!(flags_of(p) & CMEM_ALLOC_FAILED), "%s: is well", what);
	said = fails_in(block, alloc.phys_addr + 3 * PAGE, "memory failure at");
	result(said && strstr(said, "which is in use"), "%s: the log names block and address", what);
	result(will_be_gone(p + 3 * PAGE + 17), "%s: who touches the page gets SIGBUS", what);
	result(is_there(p) && is_there(p + 2 * PAGE) && is_there(p + 4 * PAGE),
	       "%s: the rest is there", what);
	result(flags_of(p) == (int)(CMEM_ALLOC_CACHED | flags | CMEM_ALLOC_FAILED),
	       "%s: RESOLVE says so", what);
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
		result(count == (int)before.free - 1 && pool_info(block, pool).free == before.free - 1 &&
		       pool_info(block, pool).failed == before.failed + 1,
		       "%s: its pool is one shorter: %d of %d", what, count, before.free);
	if (!cma)
		result(shown_as(block, alloc.phys_addr + 3 * PAGE, "failed"),
		       "%s: debugfs shows what it is", what);
	result(block_info(block).failed - block_before.failed ==
	       (cma ? 0 : pool < 0 ? PAGE : alloc.length), "%s: GET_BLOCK counts it", what);
}

/* A device (a DRM test driver) imports a DMA-BUF: without one, -ENODEV */
static int import(int dmabuf)
{
	struct drm_prime_handle prime = { .fd = dmabuf };
	struct drm_gem_close drop = { 0 };
	int fd = open("/dev/dri/card0", O_RDWR), ret;

	if (fd < 0)
		return -ENODEV;
	ret = ioctl(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime) ? -errno : 0;
	drop.handle = prime.handle;
	if (!ret)
		ioctl(fd, DRM_IOCTL_GEM_CLOSE, &drop);
	close(fd);
	return ret;
}

/* Mappings of a buffer: by its file, by a file that then frees it, and by a DMA-BUF */
enum { OWN, OTHER, DMABUF, NUM_MAPPINGS };

static const char *const mappings[NUM_MAPPINGS] = {
	"its file", "a file that has freed it", "a DMA-BUF",
};

static int other_name(void)
{
	struct stat st;
	int fd;

	if (fstat(device, &st) || mknod("/tmp/cmem-other", S_IFCHR | 0600, st.st_rdev))
		return -1;
	fd = open("/tmp/cmem-other", O_RDWR);
	unlink("/tmp/cmem-other");
	return fd;
}

/* A process with the same mappings: it returns a bit for each mapping that is gone. */
static int fork_toucher(char **p, uint64_t at, int *go)
{
	int ends[2], pid, i, gone = 0;
	char c;

	if (pipe(ends))
		return -1;
	pid = fork();
	if (!pid) {
		/* Map each one here as well. */
		for (i = 0; i < NUM_MAPPINGS; i++)
			if (!is_there(p[i] + at))
				_exit(64);
		if (read(ends[0], &c, 1) != 1)
			_exit(64);
		for (i = 0; i < NUM_MAPPINGS; i++)
			gone |= will_be_gone(p[i] + at) << i;
		_exit(gone);
	}
	*go = ends[1];
	return pid;
}

static int exit_of(int pid)
{
	int status = 0;

	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A buffer of two huge pages in a heap, by each kind of mapping, in two processes */
static void shared(int block)
{
	struct cmem_register reg = { .size = sizeof(reg) };
	struct cmem_export export = { .size = sizeof(export), .fd_flags = O_RDWR };
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	struct cmem_block_remove remove = { .size = sizeof(remove), .block = block };
	struct cmem_free drop = { .size = sizeof(drop) };
	int fd = other_name(), mem = open("/proc/self/mem", O_RDONLY), pid, go = -1, i, device_has;
	struct cmem_alloc alloc, well;
	uint64_t at = 5 * PAGE, bad;
	char *p[NUM_MAPPINGS], *w, *part, byte;

	if (fd < 0 || allocate(block, CMEM_POOL_HEAP, 2 * HUGE, &alloc) ||
	    !(p[OWN] = map(&alloc)) || allocate(block, 0, 0, &well) || !(w = map(&well))) {
		result(0, "a shared buffer: there is none");
		return;
	}
	bad = alloc.phys_addr + at;
	memset(p[OWN], 0x55, alloc.length);
	memset(w, 0x55, well.length);
	reg.phys_addr = drop.phys_addr = export.phys_addr = alloc.phys_addr;
	result(!ioctl(fd, CMEM_IOCTL_REGISTER, &reg) && !(reg.buffer_flags & CMEM_ALLOC_FAILED),
	       "a shared buffer: another file registers");
	p[OTHER] = mmap(NULL, alloc.length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, reg.mmap_offset);
	result(p[OTHER] != MAP_FAILED && !ioctl(fd, CMEM_IOCTL_FREE, &drop),
	       "a shared buffer: maps it, and frees it");
	result(!ioctl(device, CMEM_IOCTL_EXPORT, &export), "a shared buffer: it is a DMA-BUF");
	p[DMABUF] = mmap(NULL, alloc.length, PROT_READ | PROT_WRITE, MAP_SHARED, export.fd, 0);
	result(p[DMABUF] != MAP_FAILED && is_there(p[DMABUF] + at), "a shared buffer: and mapped");
	device_has = import(export.fd);
	for (i = 0; i < NUM_MAPPINGS; i++)
		if (!is_there(p[i] + at) || !is_there(p[i] + HUGE + at))
			result(0, "a shared buffer: %s has not what is there", mappings[i]);
	pid = fork_toucher(p, at, &go);
	usleep(100000);

	result(!!fails_in(block, bad, "memory failure at"), "a shared buffer: the log names block and address");
	for (i = 0; i < NUM_MAPPINGS; i++)
		result(will_be_gone(p[i] + at), "a shared buffer: gone from what %s maps", mappings[i]);
	result(write(go, "", 1) == 1 && exit_of(pid) == (1 << NUM_MAPPINGS) - 1,
	       "a shared buffer: and from all of that in another process");
	for (i = 0; i < NUM_MAPPINGS; i++)
		result(is_there(p[i] + HUGE + at) && is_there(p[i] + 2 * HUGE - 1),
		       "a shared buffer: the next 2 MiB are there in what %s maps", mappings[i]);
	result(is_there(w) && is_there(w + well.length - 1), "a shared buffer: another buffer is well");
	result(mem >= 0 && pread(mem, &byte, 1, (uintptr_t)p[OWN] + at) != 1 &&
	       pread(mem, &byte, 1, (uintptr_t)p[OWN] + HUGE) == 1,
	       "a shared buffer: a debugger does not get at the page, but at others");
	for (i = 0; i < NUM_MAPPINGS; i++)
		result(flags_of(p[i]) & CMEM_ALLOC_FAILED, "a shared buffer: RESOLVE says so of what %s maps",
		       mappings[i]);
	result(!ioctl(fd, CMEM_IOCTL_REGISTER, &reg) && reg.buffer_flags & CMEM_ALLOC_FAILED &&
	       !ioctl(fd, CMEM_IOCTL_FREE, &drop), "a shared buffer: REGISTER says so");
	result(mmap(NULL, alloc.length, PROT_READ, MAP_SHARED, export.fd, 0) == MAP_FAILED &&
	       errno == EHWPOISON, "a shared buffer: its DMA-BUF is not mapped again");
	if (device_has == -ENODEV)
		result(1, "a shared buffer: no device takes it # SKIP no DRM driver here");
	else
		result(!device_has && import(export.fd) == -EHWPOISON,
		       "a shared buffer: a device takes it no more");
	part = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, device, alloc.mmap_offset + 6 * PAGE);
	result(part != MAP_FAILED && is_there(part), "a shared buffer: a page that is well can be mapped");
	munmap(part, PAGE);
	if (is_incoherent()) {
		result(ioctl(export.fd, DMA_BUF_IOCTL_SYNC, &sync) && errno == EHWPOISON,
		       "a shared buffer: DMA_BUF_IOCTL_SYNC fails");
		trace("cmem_sync", 1);
		result(sync_all() == -EHWPOISON, "a shared buffer: SYNC_ALL fails");
		trace("cmem_sync", 0);
		result(traced("cmem_sync", well.phys_addr, 1, 0) &&
		       traced("cmem_sync", alloc.phys_addr, 1, 0) &&
		       traced("cmem_sync", alloc.phys_addr + alloc.length - 1, 1, 0) &&
		       !traced("cmem_sync", bad, PAGE, 0),
		       "a shared buffer: but maintains all that is well");
	}
	result(ioctl(device, CMEM_IOCTL_BLOCK_REMOVE, &remove) && errno == EBUSY,
	       "a shared buffer: its block can not be removed");
	munmap(p[OWN], alloc.length);
	munmap(p[OTHER], alloc.length);
	release(alloc.phys_addr);
	result(shown_as(block, bad, "held cached failed"), "a shared buffer: the DMA-BUF holds it");
	munmap(p[DMABUF], alloc.length);
	close(export.fd);
	result(shown_as(block, bad, "failed") && !shown_as(block, bad + PAGE, "failed"),
	       "a shared buffer: then its page is out of use");
	munmap(w, well.length);
	release(well.phys_addr);
	close(fd);
	close(mem);
}

/* Memory in quarantine, and memory that may not be allocated yet */
static void quarantined(int block)
{
	struct cmem_release let_go = { .size = sizeof(let_go), .block = block };
	struct cmem_pool_info before = pool_info(block, 1);
	struct cmem_alloc alloc;
	int fd = open("/dev/cmem", O_RDWR), count;

	result(!allocate_for(fd, block, 1, 0, CMEM_ALLOC_QUARANTINE, &alloc) && !close(fd) &&
	       block_info(block).quarantined_buffers == 1, "in quarantine: there is a buffer");
	result(!!fails_in(block, alloc.phys_addr + PAGE, "which is in use"),
	       "in quarantine: the log names block and address");
	result(block_info(block).quarantined_buffers == 1 && pool_info(block, 1).failed == before.failed,
	       "in quarantine: it stays there");
	result(!ioctl(device, CMEM_IOCTL_RELEASE, &let_go) && let_go.buffers == 1 &&
	       pool_info(block, 1).failed == before.failed + 1, "in quarantine: and then it is out of use");
	result(leaves_out(block, 1, 0, alloc.phys_addr, &count), "in quarantine: nobody gets it");
}

/* Whether the kernel reads all of a new page-backed buffer through its pages */
static int works_for_the_kernel(int block, uint64_t length, uint32_t flags)
{
	struct iovec remote, local = { .iov_len = length };
	struct cmem_alloc alloc;
	int good;
	char *p;

	if (allocate_for(device, block, CMEM_POOL_HEAP, length, flags, &alloc))
		return 0;
	p = map(&alloc);
	local.iov_base = malloc(length);
	if (!p || !local.iov_base)
		return 0;
	memset(p, 0x55, length);
	memset(local.iov_base, 0, length);
	remote = (struct iovec){ .iov_base = p, .iov_len = length };
	good = process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)length &&
	       !memcmp(local.iov_base, p, length);
	free(local.iov_base);
	munmap(p, alloc.length);
	release(alloc.phys_addr);
	return good;
}

/* A page fails that is mapped no more, but that a pipe still has. */
static void pinned(int block)
{
	uint64_t length = 8 * PAGE;
	struct cmem_alloc alloc;
	struct iovec iov = { .iov_len = 1 };
	int fds[2], count;
	char *p, byte;

	if (pipe(fds) || allocate_for(device, block, CMEM_POOL_HEAP, length, CMEM_ALLOC_PAGES, &alloc) ||
	    !(p = map(&alloc))) {
		result(0, "pinned: no buffer");
		return;
	}
	iov.iov_base = p;
	result(vmsplice(fds[1], &iov, 1, 0) == 1 && !munmap(p, alloc.length) &&
	       !release(alloc.phys_addr) && block_info(block).pinned_buffers == 1,
	       "pinned: there is a buffer");
	result(!!fails_in(block, alloc.phys_addr + PAGE, "which is in use"),
	       "pinned: the log names block and address");
	result(shown_as(block, alloc.phys_addr + PAGE, "pinned"), "pinned: it stays there");
	result(read(fds[0], &byte, 1) == 1 && becomes(block, alloc.phys_addr + PAGE, "failed"),
	       "pinned: and then the page is out of use");
	result(leaves_out(block, CMEM_POOL_HEAP, length, alloc.phys_addr + PAGE, &count),
	       "pinned: nobody gets it");
	close(fds[0]);
	close(fds[1]);
}

/* Whether a block has no pinned buffer, now or soon */
static int unpinned(int block)
{
	int i;

	for (i = 0; i < 500 && block_info(block).pinned_buffers; i++)
		usleep(10000);
	return i < 500;
}

/*
 * The page that a pipe has fails. CMA must not see it while the pipe, or the kernel's
 * handling of the failure, has a reference: it would warn, and lab/boot would see that.
 */
static void pinned_itself(int block)
{
	uint64_t length = 8 * PAGE;
	struct cmem_alloc alloc;
	struct iovec iov = { .iov_len = 1 };
	int fds[2], count;
	char *p;

	if (pipe(fds) || allocate_for(device, block, CMEM_POOL_HEAP, length, CMEM_ALLOC_PAGES, &alloc) ||
	    !(p = map(&alloc))) {
		result(0, "a pinned page of CMA: no buffer");
		return;
	}
	iov.iov_base = p;
	result(vmsplice(fds[1], &iov, 1, 0) == 1 && !munmap(p, alloc.length) &&
	       fails_in(block, alloc.phys_addr, "which is in use"),
	       "a pinned page of CMA: the log names block and address");
	result(!release(alloc.phys_addr) && block_info(block).pinned_buffers == 1 &&
	       shown_as(block, alloc.phys_addr, "pinned"), "a pinned page of CMA: it stays there");
	result(leaves_out(block, CMEM_POOL_HEAP, length, alloc.phys_addr, &count) && count,
	       "a pinned page of CMA: nobody gets it meanwhile");
	close(fds[0]);
	close(fds[1]);
	result(unpinned(block), "a pinned page of CMA: its buffer does not stay pinned");
	result(leaves_out(block, CMEM_POOL_HEAP, length, alloc.phys_addr, &count) && count &&
	       leaves_out(block, CMEM_POOL_HEAP, PAGE, alloc.phys_addr, &count) && count,
	       "a pinned page of CMA: nobody gets it");
	result(works_for_the_kernel(block, length, CMEM_ALLOC_PAGES),
	       "a pinned page of CMA: another buffer is page-backed");
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
	result(!!fails_in(block, alloc.phys_addr + PAGE, "memory failure at"),
	       "a free buffer: the log names block and address");
	result(pool_info(block, pool).free == before.free - 1 &&
	       pool_info(block, pool).failed == before.failed + 1,
	       "a free buffer: its pool is one shorter");
	result(leaves_out(block, pool, 0, alloc.phys_addr, &count) &&
	       count == (int)before.free - 1, "a free buffer: nobody gets it");
	result(shown_as(block, alloc.phys_addr, "failed"), "a free buffer: debugfs shows what it is");
	fails(alloc.phys_addr + PAGE);
	usleep(200000);
	result(pool_info(block, pool).failed == before.failed + 1,
	       "a free buffer: what fails again is counted once");
}

static void free_in_heap(int block)
{
	struct cmem_block_info before = block_info(block), after;
	struct cmem_alloc alloc;
	uint64_t phys;
	int count;

	/* In the middle of the largest possible buffer */
	if (allocate(block, CMEM_POOL_HEAP, before.heap_largest, &alloc) ||
	    release(alloc.phys_addr)) {
		result(0, "a free page of a heap: there is none");
		return;
	}
	phys = alloc.phys_addr + alloc.length / 2;
	result(!!fails_in(block, phys, "memory failure at"),
	       "a free page of a heap: the log names block and address");
	after = block_info(block);
	result(after.heap_free == before.heap_free - PAGE && after.failed == before.failed + PAGE,
	       "a free page of a heap: it is one page smaller");
	result(allocate(block, CMEM_POOL_HEAP, before.heap_largest, &alloc) == -ENOMEM,
	       "a free page of a heap: no buffer has it");
	result(leaves_out(block, CMEM_POOL_HEAP, after.heap_largest / 4, phys, &count) && count > 1,
	       "a free page of a heap: nor have smaller ones");
	result(shown_as(block, phys, "failed") && shown_as(block, phys - PAGE, "clean") +
	       shown_as(block, phys - PAGE, "dirty") + shown_as(block, phys - PAGE, "scrubbing") == 1,
	       "a free page of a heap: debugfs shows it, and it alone");
}

/* The kernel's test interface does not restore reserved memory, either. */
static void by_debugfs(int block)
{
	struct cmem_block_info before = block_info(block);
	struct cmem_alloc alloc;
	uint64_t phys;
	int ret;

	if (allocate(block, CMEM_POOL_HEAP, PAGE, &alloc) || release(alloc.phys_addr)) {
		result(0, "corrupt-pfn: there is no page");
		return;
	}
	phys = alloc.phys_addr;
	pages[num_pages++] = phys;
	write_to(HWPOISON "corrupt-pfn", phys / PAGE);
	result(!!wait_for("memory failure at", phys), "corrupt-pfn: the log names block and address");
	write_to(TRACING "trace_marker", phys);
	result(block_info(block).failed == before.failed + PAGE, "corrupt-pfn: the page is out of use");
	ret = write_to(HWPOISON "unpoison-pfn", phys / PAGE);
	result(ret && block_info(block).failed == before.failed + PAGE && shown_as(block, phys, "failed"),
	       "unpoison-pfn: fails, and it stays so: %s", strerror(-ret));
}

static int remove_block(int block)
{
	struct cmem_block_remove arg = { .size = sizeof(arg), .block = block };

	return ioctl(device, CMEM_IOCTL_BLOCK_REMOVE, &arg) ? -errno : 0;
}

static int add_block(int block, const struct cmem_block_info *info, uint64_t buffer,
		     uint32_t flags)
{
	struct cmem_block_pool pool = { .count = 1, .length = buffer };
	struct cmem_block_add add = {
		.size = sizeof(add),
		.block = block,
		.flags = flags,
		.base = info->base,
		.length = info->length,
		.num_pools = !!buffer,
		.pools = (uintptr_t)&pool,
	};

	return ioctl(device, CMEM_IOCTL_BLOCK_ADD, &add) ? -errno : 0;
}

/* A removed block keeps its failed memory when it is added again. */
static void add_block_again(int block)
{
	struct cmem_block_info info = block_info(block);
	uint64_t lost = info.length;

	result(!remove_block(block), "its block can be removed");
	result(!add_block(block, &info, 0, 0), "and made again, as a heap");
	/* The driver checks for failures before the first allocation. */
	(void)allocate(block, CMEM_POOL_HEAP, lost, &(struct cmem_alloc){ 0 });
	info = block_info(block);
	result(lost - info.heap_free == (uint64_t)num_pages * PAGE && info.failed == lost - info.heap_free,
	       "and has all but the %u pages that failed: %llu", num_pages,
	       (unsigned long long)(lost - info.heap_free));
}

/* Buffers of two lengths, of which the first ones together are about as long as the block */
static int is_never_given_out(const struct cmem_block_info *info, uint64_t phys)
{
	uint64_t length = (info->length / MAX_BUFFERS / PAGE + 1) * PAGE;
	int large, small;

	return leaves_out(info->block, CMEM_POOL_HEAP, length, phys, &large) && large &&
	       leaves_out(info->block, CMEM_POOL_HEAP, PAGE, phys, &small) && small;
}

/* A block with a page that has failed is page-backed again when it is added again. */
static void add_page_backed_block_again(int block)
{
	struct cmem_block_info before, after;
	struct cmem_alloc alloc;
	uint64_t bad;
	char *p;

	if (allocate_for(device, block, CMEM_POOL_HEAP, 8 * PAGE, CMEM_ALLOC_PAGES, &alloc) ||
	    !(p = map(&alloc))) {
		result(0, "a page-backed block: no buffer");
		return;
	}
	bad = alloc.phys_addr + 5 * PAGE;
	memset(p, 0x55, alloc.length);
	result(fails_in(block, bad, "which is in use") && !munmap(p, alloc.length) &&
	       !release(alloc.phys_addr) && becomes(block, bad, "failed"),
	       "a page-backed block: a page of it fails");
	before = block_info(block);
	result(!remove_block(block), "a page-backed block: it can be removed");
	result(!add_block(block, &before, 0, CMEM_BLOCK_PAGES),
	       "a page-backed block: and made again");
	/* The driver checks for failures before the first allocation. */
	(void)allocate(block, CMEM_POOL_HEAP, before.length, &alloc);
	after = block_info(block);
	result(after.base == before.base && after.length == before.length &&
	       after.out_flags & CMEM_BLOCK_CAN_PAGES && after.out_flags & CMEM_BLOCK_PAGES,
	       "a page-backed block: it still is page-backed, where it was");
	result(shown_as(block, bad, "failed") && after.failed >= PAGE &&
	       after.heap_free == after.length - after.failed,
	       "a page-backed block: it has all but what has failed");
	result(is_never_given_out(&after, bad), "a page-backed block: nobody gets the page");
	result(works_for_the_kernel(block, 8 * PAGE, 0),
	       "a page-backed block: the kernel reads another buffer");
}

/* The other owner's result: a file that has the buffer, an errno, or nothing yet */
#define NOTHING_YET	-1000

static int got;

static int got_yet(void)
{
	return __atomic_load_n(&got, __ATOMIC_ACQUIRE) != NOTHING_YET;
}

static void *allocates(void *arg)
{
	int fd = open("/dev/cmem", O_RDWR), ret;
	struct cmem_alloc alloc;

	ret = allocate_for(fd, *(int *)arg, 0, 0, 0, &alloc);
	__atomic_store_n(&got, ret ?: fd, __ATOMIC_RELEASE);
	return NULL;
}

/* A part of a block without failures, at most 16 MiB */
static struct cmem_block_info well_part(const struct cmem_block_info *whole)
{
	struct cmem_block_info part = { .length = 0 };
	uint64_t start, end;
	unsigned int i, j;

	for (i = 0; i <= num_pages; i++) {
		start = i ? pages[i - 1] + PAGE : whole->base;
		end = whole->base + whole->length;
		for (j = 0; j < num_pages; j++)
			if (pages[j] >= start && pages[j] < end)
				end = pages[j];
		if (end - start > part.length) {
			part.base = start;
			part.length = end - start;
		}
	}
	if (part.length > 8 * HUGE)
		part.length = 8 * HUGE;
	return part;
}

/* The last page of a large buffer fails while the scrubber or its next owner zeroes it */
static void being_cleaned(int block, const struct cmem_block_info *whole, int by_owner)
{
	const char *what = by_owner ? "what is cleaned for its next owner" : "what is being cleaned";
	struct cmem_block_info info = well_part(whole);
	struct cmem_alloc alloc;
	int busy, fd = open("/dev/cmem", O_RDWR), i;
	struct cmem_pool_info pool;
	pthread_t thread;
	uint64_t bad;

	write_to("/sys/module/cmem/parameters/scrub_delay_ms", by_owner ? 3600000 : 0);
	result(!add_block(block, &info, info.length, 0), "%s: a block of one buffer", what);
	if (allocate_for(fd, block, 0, 0, 0, &alloc)) {
		result(0, "%s: no buffer", what);
		return;
	}
	bad = alloc.phys_addr + alloc.length - PAGE;
	close(fd);
	if (by_owner) {
		got = NOTHING_YET;
		pthread_create(&thread, NULL, allocates, &block);
		while (pool_info(block, 0).free && !got_yet())
			;
	} else {
		for (i = 0; i < 100000 && !pool_info(block, 0).scrubbing && pool_info(block, 0).dirty; i++)
			;
	}
	pages[num_pages++] = bad;
	fails(bad);
	pool = pool_info(block, 0);
	busy = by_owner ? !got_yet() : pool.scrubbing;
	printf("# %s: it %s when its last page failed\n", what, busy ? "still was" : "was no more");
	result(!!wait_for("memory failure at", bad), "%s: the log names block and address", what);
	if (by_owner) {
		pthread_join(thread, NULL);
		result(got == -ENOMEM || got >= 0, "%s: who allocates it gets it or ENOMEM: %d", what,
		       got);
		close(got);
	}
	for (i = 0; i < 500 && !pool_info(block, 0).failed; i++)
		usleep(10000);
	write_to(TRACING "trace_marker", bad);
	pool = pool_info(block, 0);
	result(pool.failed == 1 && !pool.free && !pool.scrubbing, "%s: then it is out of use", what);
	result(allocate(block, 0, 0, &alloc) == -ENOMEM, "%s: nobody gets it", what);
	result(!remove_block(block), "%s: its block can be removed", what);
	write_to("/sys/module/cmem/parameters/scrub_delay_ms", 100);
}

static void never_cleaned(void)
{
	unsigned int i;

	for (i = 0; i < num_pages; i++)
		if (traced("cmem_scrub", pages[i], PAGE, 1))
			break;
	result(traced("cmem_scrub", 0, ~0ULL, 0) && i == num_pages,
	       "nothing that has failed was written to since: %u pages", num_pages);
}

/* Programs can't fake a failure: these mappings have no struct pages. */
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
	result(write_to(SYSFS "soft_offline_page", alloc.phys_addr) &&
	       is_there(p), "soft offline fails");
	munmap(p, alloc.length);
	result(!release(alloc.phys_addr) && pool_info(block, 0).free == pool_info(block, 0).count,
	       "and nothing is lost");
}

/*
 * What the kernel answers when memory fails that has no struct page. From 6.19 on, it looks
 * for a driver that has registered a mapping of such memory, and finds none.
 */
static int unknown_memory(void)
{
	unsigned int major, minor;
	struct utsname name;

	if (uname(&name) || sscanf(name.release, "%u.%u", &major, &minor) != 2)
		return 0;
	return major > 6 || (major == 6 && minor >= 19) ? -EBUSY : -ENXIO;
}

/* The kernel does not track memory without struct pages. */
static void without_pages(int block)
{
	uint64_t lost = block_info(block).failed;
	struct cmem_alloc alloc;
	char *p;

	if (allocate(block, 0, 0, &alloc) || !(p = map(&alloc))) {
		result(0, "memory without struct pages: no buffer");
		return;
	}
	memset(p, 0x55, PAGE);
	result(fails(alloc.phys_addr) == unknown_memory() && is_there(p),
	       "memory without struct pages: the kernel can't tell");
	munmap(p, alloc.length);
	result(!release(alloc.phys_addr) && block_info(block).failed == lost,
	       "memory without struct pages: it is freed as ever");
}

/* Seconds that all CPUs have spent in the kernel */
static double system_time(void)
{
	unsigned long long user, nice, system = 0;
	FILE *file = fopen("/proc/stat", "r");

	if (file) {
		if (fscanf(file, "cpu %llu %llu %llu", &user, &nice, &system) != 3)
			system = 0;
		fclose(file);
	}
	return (double)system / sysconf(_SC_CLK_TCK);
}

/*
 * A failure elsewhere must not cause a walk over each page of a 1 TiB block: that takes a
 * minute on this machine, and free and unmap wait for it.
 */
static void beside_a_vast_block(int block)
{
	struct cmem_block_add add = {
		.size = sizeof(add),
		.block = 77,
		.flags = CMEM_BLOCK_IS_MEMORY,
		.base = 2ULL << 40,
		.length = 1ULL << 40,
	};
	struct cmem_alloc alloc;
	double before, seconds;

	if (ioctl(device, CMEM_IOCTL_BLOCK_ADD, &add) && errno == EINVAL) {
		result(1, "a vast block # SKIP this machine has no such address");
		return;
	}
	if (allocate(block, CMEM_POOL_HEAP, PAGE, &alloc)) {
		result(0, "a vast block: no buffer beside it");
		return;
	}
	before = system_time();
	fails_in(block, alloc.phys_addr, "memory failure at");
	usleep(500000);
	release(alloc.phys_addr);
	seconds = remove_block(77) ? 1e9 : system_time() - before;
	result(seconds < 10, "a vast block: a failure elsewhere takes little time: %.2f s", seconds);
}

/* failure <block with pools 0 and 1, and a heap> <block without struct pages> */
int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };
	struct cmem_block_info whole;
	char command[256];
	int block, pageless;

	if (argc != 3)
		return 2;
	block = tested_block = atoi(argv[1]);
	pageless = atoi(argv[2]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGBUS, &action, NULL);
	device = open("/dev/cmem", O_RDWR);
	kmsg = open("/dev/kmsg", O_RDONLY);
	if (device < 0 || kmsg < 0) {
		perror("/dev/cmem or /dev/kmsg");
		return 2;
	}
	/* For a message that must not appear */
	alarm(600);
	printf("1..%d\n", is_incoherent() ? 146 : 133);
	trace("cmem_scrub", 1);
	by_program(block);
	without_pages(pageless);
	in_use(block, 1, 0, 0, "a buffer of a pool");
	in_use(block, CMEM_POOL_HEAP, 8 * PAGE, 0, "a buffer of a heap");
	in_use(page_backed_block(), CMEM_POOL_HEAP, 8 * PAGE, CMEM_ALLOC_PAGES,
	       "a page-backed buffer");
	pinned(page_backed_block());
	shared(block);
	quarantined(block);
	beside_a_vast_block(block);
	free_in_pool(block, 0);
	free_in_heap(block);
	by_debugfs(block);
	snprintf(command, sizeof(command), "cmemctl info %d | grep -q 'has failed: .* of pool 1' && "
		 "cmemctl map %d | grep -q 'out of use' && cmemctl test --quick %d >/dev/null", block, block, block);
	result(!system(command), "cmemctl tells what is out of use, and tests the rest");
	add_block_again(block);
	whole = block_info(block);
	result(!remove_block(block), "it can be removed again");
	being_cleaned(block, &whole, 0);
	being_cleaned(block, &whole, 1);
	in_use(CMEM_BLOCK_CMA, 0, 0, 0, "a buffer of CMA");
	in_use(CMEM_BLOCK_CMA, 0, 0, CMEM_ALLOC_PAGES, "a page-backed buffer of CMA");
	pinned_itself(CMEM_BLOCK_CMA);
	add_page_backed_block_again(page_backed_block());
	never_cleaned();
	return failed;
}
