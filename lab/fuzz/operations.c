// SPDX-License-Identifier: GPL-2.0
/*
 * The operations of a program. An operation takes six bytes, and each selects one of a
 * few options. An operation fills empty slots on the way, so that it does something
 * anywhere in a program.
 */
#include "fuzz.h"

#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>
#include <linux/videodev2.h>
#include <drm/drm.h>
#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#define PAGE		4096UL
#define HUGE		(2UL << 20)

#define NOTE(ret, ...)	do { if (tracing) trace_result(ret, __VA_ARGS__); } while (0)

/* An access to memory that may not exist, or not allow it */
#define FRAGILE(strand, code) do {			\
	if (!sigsetjmp((strand)->escape, 0)) {		\
		(strand)->fragile = 1;			\
		__asm__ volatile("" ::: "memory");	\
		code;					\
	}						\
	__asm__ volatile("" ::: "memory");		\
	(strand)->fragile = 0;				\
} while (0)

static const uint64_t sizes[] = {
	4096, 65536, 1 << 20, 2 << 20, 4097, 1, 30000, 4 << 20,
	8192, 64 << 20, 4 << 20, (2 << 20) + 4096, (2 << 20) - 4096, 4095, 6 << 20, 0,
	(1 << 20) + 1, 5 << 20, 8 << 20, 65537, 1ULL << 32, ~0ULL, 1ULL << 63, ~0ULL - 4095,
	3 << 20, 256 << 10, 512 << 10, 12288, (4 << 20) + 1, 1ULL << 40, 0x7fffffff, 320 << 20,
};

static __attribute__((format(printf, 2, 3))) void
trace_result(long ret, const char *format, ...)
{
	char line[300];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	trace("  %s = %ld%s%s", line, ret, ret < 0 && ret > -4096 ? " " : "",
	      ret < 0 && ret > -4096 ? strerrorname_np(-ret) ?: "" : "");
}

static long result(long ret)
{
	return ret < 0 ? -errno : ret;
}

/* Count one more system call under test */
static void count_call(void)
{
	__atomic_add_fetch(&shared->calls, 1, __ATOMIC_RELAXED);
}

/* The same, for a call that was just made */
static long call(long ret)
{
	count_call();
	return result(ret);
}

/* Files */

/* Two ends of a socket, and of a pipe, created on demand */
int *sockets(struct strand *strand)
{
	struct process *process = strand->process;

	if (process->sockets[0] < 0 &&
	    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, process->sockets))
		process->sockets[0] = process->sockets[1] = -1;
	return process->sockets;
}

static int *pipes(struct strand *strand)
{
	struct process *process = strand->process;

	if (process->pipe[0] < 0 && pipe2(process->pipe, O_NONBLOCK | O_CLOEXEC))
		process->pipe[0] = process->pipe[1] = -1;
	return process->pipe;
}

static void keep_file(struct strand *strand, enum file_kind kind, int fd)
{
	struct process *process = strand->process;
	unsigned int slot = __atomic_fetch_add(&process->next[kind], 1, __ATOMIC_RELAXED) % FILES;
	int old;

	if (fd < 0)
		return;
	old = __atomic_exchange_n(&process->files[kind][slot], fd, __ATOMIC_RELAXED);
	if (old >= 0)
		close(old);
}

static long open_cmem(struct strand *strand, int flags)
{
	int fd = open("/dev/cmem", flags | O_CLOEXEC);

	count_call();
	NOTE(result(fd), "open(/dev/cmem, %#x)", flags);
	if (fd < 0)
		return -errno;
	keep_file(strand, CMEM_FILE, fd);
	return fd;
}

static int other_file(struct strand *strand, uint8_t choice)
{
	const struct process *process = strand->process;

	switch (choice % 4) {
	case 0:
		return process->files[DMABUF_FILE][choice / 4 % FILES];
	case 1:
		return process->files[OTHER_FILE][choice / 4 % FILES];
	case 2:
		return pipes(strand)[choice / 4 % 2];
	default:
		return -1;
	}
}

static int cmem_file(struct strand *strand, uint8_t choice)
{
	struct process *process = strand->process;
	int fd;

	if (choice >= 248)
		return other_file(strand, choice);
	fd = process->files[CMEM_FILE][choice % FILES];
	if (fd >= 0)
		return fd;
	/* Mostly an existing one: strands share files. */
	if (choice < 128)
		for (unsigned int i = 0; i < FILES; i++)
			if (process->files[CMEM_FILE][i] >= 0)
				return process->files[CMEM_FILE][i];
	return open_cmem(strand, O_RDWR);
}

static int32_t block_number(uint8_t choice)
{
	static const int32_t odd[] = { -2, 9, 15, INT32_MAX, INT32_MIN, 16, 1000, 7 };
	unsigned int count = blocks_count() + 1;

	if (choice >= 240)
		return PICK(odd, choice);
	choice %= count;
	return choice + 1 == (int)count ? CMEM_BLOCK_CMA : block_info(choice)->block;
}

static int32_t pool_number(uint8_t choice)
{
	static const int32_t pools[] = {
		CMEM_POOL_BEST, CMEM_POOL_HEAP, 0, 1, 2, 3, CMEM_POOL_HEAP, CMEM_POOL_BEST,
	};
	static const int32_t odd[] = { -3, 31, 32, INT32_MAX, INT32_MIN, 5 };

	return choice >= 240 ? PICK(odd, choice) : PICK(pools, choice);
}

/* The location of the next ioctl()'s structure, see op_place() */
static __thread unsigned int place;

static struct map *map_slot(struct strand *strand, uint8_t choice);

/* An ioctl() with its structure at a valid or invalid location. */
static long do_ioctl(struct strand *strand, int fd, unsigned long command, void *data, size_t size)
{
	unsigned int where = place;
	char *volatile at = data;
	volatile long ret;
	struct map *map;

	place = 0;
	if (where) {
		map = map_slot(strand, where >> 8);
		switch (where & 7) {
		case 1:		/* at the start of a mapping */
			at = (char *)map->addr;
			break;
		case 2:		/* at its end */
			at = (char *)map->addr + map->length - size;
			break;
		case 3:		/* beyond its end */
			at = (char *)map->addr + map->length - 4;
			break;
		case 4:		/* unmapped */
			at = NULL;
			break;
		case 5:		/* in read-only memory */
			at = (char *)ioctl;
			break;
		case 6:		/* across a boundary in it */
			at = (char *)map->addr + (map->length > HUGE ? HUGE : PAGE) - 8;
			break;
		default:	/* unaligned */
			at = (char *)map->addr + 3;
			break;
		}
		if ((where & 7) != 4 && (where & 7) != 5)
			FRAGILE(strand, memcpy(at, data, size));
	}
	ret = call(ioctl(fd, command, at));
	if (where && (where & 7) != 4 && (where & 7) != 5)
		FRAGILE(strand, memcpy(data, at, size));
	return ret;
}

/* Buffers */

static void keep_buffer(uint64_t phys, uint64_t length, uint64_t offset, int32_t block)
{
	unsigned int slot = __atomic_fetch_add(&shared->next_buffer, 1, __ATOMIC_RELAXED) % BUFFERS;

	shared->buffers[slot] = (struct known_buffer){ phys, length, offset, block };
}

static long allocate(struct strand *strand, int fd, int32_t block, int32_t pool, uint64_t length,
		     uint64_t alignment, uint32_t flags)
{
	struct cmem_alloc alloc = {
		.size = sizeof(alloc), .block = block, .pool = pool, .flags = flags,
		.length = length, .alignment = alignment,
	};
	long ret = do_ioctl(strand, fd, CMEM_IOCTL_ALLOC, &alloc, sizeof(alloc));

	if (!ret)
		keep_buffer(alloc.phys_addr, alloc.length, alloc.mmap_offset, block);
	NOTE(ret, "ALLOC(fd %d, block %d, pool %d, length %#llx, alignment %#llx, flags %#x): %#llx at %#llx",
	     fd, block, pool, (long long)length, (long long)alignment, flags,
	     (long long)alloc.length, (long long)alloc.phys_addr);
	return ret;
}

static struct known_buffer *buffer_slot(struct strand *strand, uint8_t choice)
{
	struct known_buffer *buffer = &shared->buffers[choice % BUFFERS];

	if (buffer->length)
		return buffer;
	for (unsigned int i = 0; i < BUFFERS; i++)
		if (shared->buffers[i].length)
			return &shared->buffers[i];
	allocate(strand, cmem_file(strand, 0), block_number(choice / 8), CMEM_POOL_BEST,
		 choice & 16 ? HUGE : PAGE, 0, CMEM_ALLOC_CACHED | CMEM_ALLOC_HEAP_FALLBACK);
	return &shared->buffers[(shared->next_buffer - 1) % BUFFERS];
}

/* An address: mostly the start of a buffer */
static uint64_t buffer_address(struct strand *strand, uint8_t choice, uint8_t odd)
{
	static const uint64_t wrong[] = {
		0, ~0ULL, 1ULL << 63, 4096, 0x40000000, 0xfffff000, 1ULL << 52, 0x12345,
	};
	uint64_t phys = buffer_slot(strand, choice + strand->iteration)->phys;

	if (odd < 224)
		return phys;
	if (odd >= 248)
		return wrong[odd - 248];
	return phys + (odd & 1 ? PAGE : odd & 2 ? 1 : -PAGE);
}

static int make_dmabuf(struct strand *strand, int fd, uint64_t phys, uint32_t flags)
{
	struct cmem_export export = {
		.size = sizeof(export), .phys_addr = phys, .fd_flags = flags, .fd = -1,
	};
	long ret = do_ioctl(strand, fd, CMEM_IOCTL_EXPORT, &export, sizeof(export));

	NOTE(ret, "EXPORT(fd %d, %#llx, flags %#x): fd %d", fd, (long long)phys, flags, export.fd);
	if (ret)
		return ret;
	keep_file(strand, DMABUF_FILE, export.fd);
	return export.fd;
}

static int dmabuf_file(struct strand *strand, uint8_t choice)
{
	const struct process *process = strand->process;
	int fd = process->files[DMABUF_FILE][choice % FILES];

	if (choice >= 248)
		return process->files[CMEM_FILE][choice % FILES];
	if (fd >= 0)
		return fd;
	for (unsigned int i = 0; i < FILES; i++)
		if (process->files[DMABUF_FILE][i] >= 0)
			return process->files[DMABUF_FILE][i];
	return make_dmabuf(strand, cmem_file(strand, 0), buffer_slot(strand, choice)->phys,
			   O_RDWR | O_CLOEXEC);
}

/* Mappings */

/* No mapping extends beyond its buffer, whatever the request was. */
static void check_resolved(const struct cmem_resolve *resolve)
{
	if (resolve->phys_addr < resolve->buffer_addr ||
	    resolve->phys_addr + resolve->contiguous >
	    resolve->buffer_addr + resolve->buffer_length)
		wrong("a mapping of %#llx bytes at %#llx of a buffer of %#llx at %#llx",
		      (long long)resolve->contiguous, (long long)resolve->phys_addr,
		      (long long)resolve->buffer_length, (long long)resolve->buffer_addr);
}

/* Another mapping may be there by now; the same holds for it. */
static void check_mapping(const struct process *process, const void *addr)
{
	struct cmem_resolve resolve = { .size = sizeof(resolve), .user_addr = (uintptr_t)addr };

	for (unsigned int i = 0; i < FILES; i++)
		if (process->files[CMEM_FILE][i] >= 0 &&
		    !ioctl(process->files[CMEM_FILE][i], CMEM_IOCTL_RESOLVE, &resolve)) {
			check_resolved(&resolve);
			break;
		}
}

static uintptr_t window(unsigned int slot)
{
	return ARENA + slot * WINDOW;
}

static long map_file(struct strand *strand, int fd, uint64_t offset, uint64_t length, int prot,
		     int flags, uint8_t where)
{
	struct process *process = strand->process;
	unsigned int slot = __atomic_fetch_add(&process->next_map, 1, __ATOMIC_RELAXED) % MAPS;
	uintptr_t wanted = window(slot);
	void *addr;

	/* Aligned for huge pages; or not; or once wherever the kernel chooses. */
	if (where < 160)
		wanted += offset % HUGE;
	else if (where < 224)
		wanted += PAGE;
	if (length > window(slot) + WINDOW - wanted && where < 250)
		length = window(slot) + WINDOW - wanted;
	if (where >= 240)
		addr = mmap64(NULL, length, prot, flags, fd, offset);
	else
		addr = mmap64((void *)wanted, length, prot, flags | MAP_FIXED, fd, offset);
	if (fd >= 0)
		count_call();
	NOTE(addr == MAP_FAILED ? -errno : 0, "mmap(%#lx, %#llx, prot %d, flags %#x, fd %d, %#llx): %p",
	     (long)(where >= 240 ? 0 : wanted), (long long)length, prot, flags, fd,
	     (long long)offset, addr);
	if (addr == MAP_FAILED)
		return -errno;
	if (where >= 240) {
		/* Move it to its place, if it fits. */
		void *moved = mremap(addr, length, length, MREMAP_MAYMOVE | MREMAP_FIXED,
				     (void *)window(slot));

		if (moved == MAP_FAILED) {
			munmap(addr, length);
			return -errno;
		}
		addr = moved;
	}
	process->maps[slot].addr = (uintptr_t)addr;
	process->maps[slot].length = length;
	check_mapping(process, addr);
	return 0;
}

static struct map *map_slot(struct strand *strand, uint8_t choice)
{
	struct process *process = strand->process;
	struct map *map = &process->maps[choice % MAPS];
	static struct map nothing = { ARENA, PAGE };
	const struct known_buffer *buffer;

	if (map->length)
		return map;
	for (unsigned int i = 0; i < MAPS; i++)
		if (process->maps[i].length)
			return &process->maps[i];
	buffer = buffer_slot(strand, choice);
	if (map_file(strand, cmem_file(strand, 0), buffer->offset, buffer->length,
		     PROT_READ | PROT_WRITE, MAP_SHARED, 0))
		return &nothing;
	return &process->maps[(process->next_map - 1) % MAPS];
}

/* A part of a mapping, or an address near it */
static void part_of(struct strand *strand, uint8_t choice, uint8_t part, uintptr_t *addr,
		    size_t *length)
{
	struct map map = *map_slot(strand, choice + strand->iteration);
	size_t half = map.length / 2 & -PAGE;

	*addr = map.addr;
	*length = map.length ?: PAGE;
	switch (part % 16) {
	case 0 ... 4:
		break;
	case 5:
		*length = half ?: PAGE;
		break;
	case 6:
		*addr += half;
		*length -= half;
		break;
	case 7:
		*length = PAGE;
		break;
	case 8:
		*addr += map.length - PAGE;
		*length = PAGE;
		break;
	case 9:
		*addr += half;
		*length = PAGE;
		break;
	case 10:
		*length = map.length > HUGE ? HUGE : map.length;
		break;
	case 11:
		*addr += map.length > HUGE ? HUGE : 0;
		*length = PAGE;
		break;
	case 12:	/* beyond its end */
		*addr += half;
		break;
	case 13:
		*addr -= PAGE;
		break;
	case 14:	/* all windows */
		*addr = ARENA;
		*length = MAPS * WINDOW;
		break;
	case 15:
		*addr += 123;
		*length = 4000;
		break;
	}
}

/* The operations */

static long op_start(struct strand *strand, const uint8_t *a)
{
	return 0;
}

static long op_fail(struct strand *strand, const uint8_t *a)
{
	strand->fail_nth = 1 + a[0] % 60;
	return 0;
}

static long op_repeat(struct strand *strand, const uint8_t *a)
{
	static const unsigned int times[] = { 2, 4, 8, 16, 3, 32, 64, 300, 4200 };

	strand->repeat = a[0] < 252 ? times[a[0] % 8] : times[8];
	return 0;
}

static long op_place(struct strand *strand, const uint8_t *a)
{
	place = (a[0] & 7) | a[1] << 8;
	return 0;
}

/* Wait until the other strands are here too, or almost */
static long op_meet(struct strand *strand, const uint8_t *a)
{
	unsigned int me_at = __atomic_add_fetch(&shared->meetings, 1, __ATOMIC_SEQ_CST);
	unsigned int wanted = (me_at + strand->strands - 1) / strand->strands * strand->strands;

	for (int i = 0; i < 300 && shared->meetings < wanted && !shared->ended; i++)
		sched_yield();
	for (volatile unsigned int i = 0; i < a[0] * 16U; i++)
		;
	return 0;
}

static long op_sleep(struct strand *strand, const uint8_t *a)
{
	/* At most, longer than the driver keeps memory for its last owner */
	struct timespec time = { .tv_nsec = a[0] < 240 ? a[0] * 10000 : 50000000 };

	return result(nanosleep(&time, NULL));
}

static long op_open(struct strand *strand, const uint8_t *a)
{
	static const int modes[] = { O_RDWR, O_RDWR, O_RDONLY, O_WRONLY, O_RDWR | O_NONBLOCK };

	return open_cmem(strand, PICK(modes, a[0]));
}

static long op_close(struct strand *strand, const uint8_t *a)
{
	enum file_kind kind = a[0] % FILE_KINDS;
	int fd = __atomic_exchange_n(&strand->process->files[kind][a[1] % FILES], -1,
				     __ATOMIC_RELAXED);
	long ret = fd < 0 ? -EBADF : call(close(fd));

	NOTE(ret, "close(%d)", fd);
	return ret;
}

static long op_dup(struct strand *strand, const uint8_t *a)
{
	enum file_kind kind = a[0] % FILE_KINDS;
	int fd = strand->process->files[kind][a[1] % FILES];
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	count_call();
	NOTE(result(copy), "dup(%d)", fd);
	if (copy < 0)
		return -errno;
	keep_file(strand, kind, copy);
	return 0;
}

static long op_get_info(struct strand *strand, const uint8_t *a)
{
	struct cmem_info info = { .size = sizeof(info), .flags = a[1] == 255 };
	int fd = cmem_file(strand, a[0]);
	long ret = do_ioctl(strand, fd, CMEM_IOCTL_GET_INFO, &info, sizeof(info));

	NOTE(ret, "GET_INFO(fd %d)", fd);
	return ret;
}

static long op_get_block(struct strand *strand, const uint8_t *a)
{
	struct cmem_block_info info = {
		.size = sizeof(info), .block = block_number(a[1]), .flags = a[2] == 255,
	};
	int fd = cmem_file(strand, a[0]);
	long ret = do_ioctl(strand, fd, CMEM_IOCTL_GET_BLOCK, &info, sizeof(info));

	NOTE(ret, "GET_BLOCK(fd %d, block %d)", fd, info.block);
	return ret;
}

static long op_get_pool(struct strand *strand, const uint8_t *a)
{
	struct cmem_pool_info info = {
		.size = sizeof(info), .block = block_number(a[1]), .pool = pool_number(a[2]),
		.flags = a[3] == 255, .__reserved = a[4] == 255,
	};
	int fd = cmem_file(strand, a[0]);
	long ret = do_ioctl(strand, fd, CMEM_IOCTL_GET_POOL, &info, sizeof(info));

	NOTE(ret, "GET_POOL(fd %d, block %d, pool %d)", fd, info.block, info.pool);
	return ret;
}

static long op_find_pool(struct strand *strand, const uint8_t *a)
{
	struct cmem_find_pool find = {
		.size = sizeof(find), .block = block_number(a[1]), .length = PICK(sizes, a[2]),
		.flags = a[3] == 255,
	};
	int fd = cmem_file(strand, a[0]);
	long ret = do_ioctl(strand, fd, CMEM_IOCTL_FIND_POOL, &find, sizeof(find));

	NOTE(ret, "FIND_POOL(fd %d, block %d, length %#llx)", fd, find.block, (long long)find.length);
	return ret;
}

static const uint64_t alignments[] = {
	0, 0, 0, 4096, 65536, 1 << 20, 2 << 20, 1, 3, 16 << 20, 1ULL << 63, ~0ULL, 256 << 20,
};

static long op_alloc(struct strand *strand, const uint8_t *a)
{
	static const uint32_t flags[] = {
		CMEM_ALLOC_CACHED, 0, CMEM_ALLOC_CACHED | CMEM_ALLOC_HEAP_FALLBACK,
		CMEM_ALLOC_PRIVATE, CMEM_ALLOC_CACHED | CMEM_ALLOC_PRIVATE,
		CMEM_ALLOC_HEAP_FALLBACK, CMEM_ALLOC_QUARANTINE, 1 << 4, 1 << 31, CMEM_ALLOC_CACHED,
		CMEM_ALLOC_PAGES, CMEM_ALLOC_PAGES | CMEM_ALLOC_CACHED,
		CMEM_ALLOC_PAGES | CMEM_ALLOC_CACHED | CMEM_ALLOC_QUARANTINE,
		CMEM_ALLOC_CACHED | CMEM_ALLOC_QUARANTINE,
	};

	return allocate(strand, cmem_file(strand, a[0]), block_number(a[1]), pool_number(a[2]),
			PICK(sizes, a[3]), PICK(alignments, a[4]), PICK(flags, a[5]));
}

static long op_free(struct strand *strand, const uint8_t *a)
{
	struct cmem_free free = {
		.size = sizeof(free), .phys_addr = buffer_address(strand, a[1], a[2]),
		.flags = a[3] == 255,
	};
	int fd = cmem_file(strand, a[0]);
	long ret = do_ioctl(strand, fd, CMEM_IOCTL_FREE, &free, sizeof(free));

	NOTE(ret, "FREE(fd %d, %#llx)", fd, (long long)free.phys_addr);
	return ret;
}

static long op_register(struct strand *strand, const uint8_t *a)
{
	struct cmem_register reg = { .size = sizeof(reg) };
	int fd = cmem_file(strand, a[0]);
	long ret;

	if (a[3] & 1 || a[3] == 254) {
		reg.flags = CMEM_REGISTER_DMABUF;
		reg.dmabuf_fd = a[3] == 255 ? other_file(strand, a[1]) : dmabuf_file(strand, a[1]);
	}
	if (!(a[3] & 1))
		reg.phys_addr = buffer_address(strand, a[1], a[2]);
	if (a[4] == 255)
		reg.flags |= 2;
	ret = do_ioctl(strand, fd, CMEM_IOCTL_REGISTER, &reg, sizeof(reg));
	NOTE(ret, "REGISTER(fd %d, flags %#x, %#llx, dmabuf %d): block %d", fd, reg.flags,
	     (long long)reg.phys_addr, reg.dmabuf_fd, reg.block);
	if (!ret)
		keep_buffer(reg.phys_addr, reg.length, reg.mmap_offset, reg.block);
	return ret;
}

static uint64_t address_in(struct strand *strand, uint8_t choice, uint8_t part)
{
	static char nothing[16];
	uintptr_t addr;
	size_t length;

	if (part == 255)
		return choice & 1 ? (uintptr_t)nothing : ~0ULL;
	part_of(strand, choice, part, &addr, &length);
	return addr;
}

static long op_resolve(struct strand *strand, const uint8_t *a)
{
	unsigned int where = place;
	struct cmem_resolve resolve = {
		.size = sizeof(resolve), .user_addr = address_in(strand, a[1], a[2]),
		.flags = a[3] == 255, .__reserved = a[4] == 255,
	};
	int fd = cmem_file(strand, a[0]);
	long ret = do_ioctl(strand, fd, CMEM_IOCTL_RESOLVE, &resolve, sizeof(resolve));

	NOTE(ret, "RESOLVE(fd %d, %#llx): %#llx", fd, (long long)resolve.user_addr,
	     (long long)resolve.phys_addr);
	if (!ret && !where)
		check_resolved(&resolve);
	return ret;
}

static long op_sync(struct strand *strand, const uint8_t *a)
{
	static const uint32_t counts[] = { 1, 2, 3, 8, 17, 0, 1024, 1025, UINT32_MAX };
	static const uint32_t ops[] = { 1, 2, 3, 3, 0, 4 };
	static struct cmem_sync_range all[STRANDS][1024];
	struct cmem_sync_range *ranges = all[strand->number];
	struct cmem_sync sync = {
		.size = sizeof(sync), .num_ranges = PICK(counts, a[1]),
		.flags = a[5] == 255 ? 2 : a[6] == 255 ? CMEM_SYNC_BY_PHYS : 0,
		.range_size = a[5] == 254 ? a[4] : 0,
	};
	int fd = cmem_file(strand, a[0]);
	long ret;

	for (unsigned int i = 0; i < sync.num_ranges && i < 1024; i++) {
		uintptr_t addr;
		size_t length;

		part_of(strand, a[2] + (i < 17 ? i : 0), a[3] + i, &addr, &length);
		if (sync.flags == CMEM_SYNC_BY_PHYS)
			addr = buffer_address(strand, a[2], a[3]) + i;
		ranges[i] = (struct cmem_sync_range){
			.user_addr = addr, .op = ops[(a[4] + i / 4) % ARRAY_SIZE(ops)],
			.length = a[5] == 253 ? PICK(sizes, a[4]) : i < 17 ? length : PAGE,
			.__reserved = a[5] == 252,
		};
	}
	sync.ranges = a[5] == 251 ? map_slot(strand, a[2])->addr : (uintptr_t)ranges;
	ret = do_ioctl(strand, fd, CMEM_IOCTL_SYNC, &sync, sizeof(sync));
	NOTE(ret, "SYNC(fd %d, %u ranges, the first %#llx, %#llx, op %u)", fd, sync.num_ranges,
	     (long long)ranges[0].user_addr, (long long)ranges[0].length, ranges[0].op);
	return ret;
}

static long op_sync_all(struct strand *strand, const uint8_t *a)
{
	static const uint32_t ops[] = { 1, 3, 2, 0, 4 };
	struct cmem_sync_all sync = {
		.size = sizeof(sync), .op = PICK(ops, a[1]), .flags = a[2] == 255,
	};
	int fd = cmem_file(strand, a[0]);
	long ret = do_ioctl(strand, fd, CMEM_IOCTL_SYNC_ALL, &sync, sizeof(sync));

	NOTE(ret, "SYNC_ALL(fd %d, op %u)", fd, sync.op);
	return ret;
}

static long op_export(struct strand *strand, const uint8_t *a)
{
	static const uint32_t flags[] = {
		O_RDWR | O_CLOEXEC, O_RDONLY | O_CLOEXEC, O_RDWR | O_CLOEXEC, O_WRONLY | O_CLOEXEC,
		O_RDWR, O_RDWR | O_NONBLOCK, 3,
	};

	return make_dmabuf(strand, cmem_file(strand, a[0]), buffer_address(strand, a[1], a[2]),
			   PICK(flags, a[3]));
}

/* Arbitrary bytes, as any of our commands */
static long op_raw(struct strand *strand, const uint8_t *a)
{
	static const uint32_t lengths[] = { 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 4, 0, 4096, 4097, ~0U };
	static uint8_t all[STRANDS][8192];
	uint8_t *data = all[strand->number];
	uint32_t length = PICK(lengths, a[2]);
	int fd = cmem_file(strand, a[0]);
	long ret;

	memset(data, 0, 256);
	memcpy(data, &length, 4);
	data[4 + a[3] % 84] = a[4];
	data[4 + a[4] % 84] = a[5];
	ret = do_ioctl(strand, fd, _IO(CMEM_IOCTL_TYPE, a[1] % 24), data, 96);
	NOTE(ret, "ioctl(fd %d, %u, size %u)", fd, a[1] % 24, length);
	return ret;
}

/* Never beyond the memory of the blocks at boot: other memory is in use. */
static long op_block_add(struct strand *strand, const uint8_t *a)
{
	static const struct { uint32_t count; uint64_t length; } layouts[][4] = {
		{ { 0 } },
		{ { 1, 8 << 20 } },
		{ { 2000, 4096 } },
		{ { 1, 2 << 20 }, { 1, 1 << 20 }, { 3, 4096 } },
		{ { 100000, 4096 } },
		{ { 1, 4 << 20 }, { 2, 1 << 20 } },
		{ { 600, 4096 }, { 4, 30000 } },
		{ { 4, 1 << 20 }, { 16, 65536 }, { 1, 1 }, { 5, 4097 } },
		{ { 1, 4096 } },
		{ { 0, 4096 } },
		{ { UINT32_MAX, 4096 } },
		{ { 4, 1ULL << 62 } },
		{ { 3, 0 } },
		{ { 2, 2 << 20 } },
		{ { 1 << 20, 4096 } },
		{ { 8, 1 << 20 } },
		{ { 2, 4096 }, { 3, 4096 }, { 1, 65536 } },
	};
	static const uint32_t counts[] = { 33, 32, UINT32_MAX, 4 };
	static const uint32_t flags[] = {
		0, CMEM_BLOCK_QUARANTINE, CMEM_BLOCK_KEEP_CONTENTS, CMEM_BLOCK_IS_MEMORY, 0,
		CMEM_BLOCK_QUARANTINE | CMEM_BLOCK_KEEP_CONTENTS, CMEM_BLOCK_ADDED, CMEM_BLOCK_RPROC,
		CMEM_BLOCK_COHERENT, CMEM_BLOCK_QUARANTINE | CMEM_BLOCK_DMA_HEAP_POOLS,
		CMEM_BLOCK_PAGES, CMEM_BLOCK_CAN_PAGES,
	};
	/* 0: until RELEASE */
	static const uint32_t times[] = { 0, 30, 0, 1, CMEM_MAX_QUARANTINE_MS, UINT32_MAX };
	struct cmem_block_pool pools[33] = { 0 };
	const struct cmem_block_info *of = block_info(a[1]);
	const typeof(layouts[0]) *layout = &PICK(layouts, a[3]);
	uint64_t length = of->length, start = 0, sum = 0;
	struct cmem_block_add add = {
		.size = sizeof(add), .block = a[0] < 16 ? (int)a[0] % 8 : block_number(a[0]),
		.pools = (uintptr_t)pools, .flags = PICK(flags, a[5]),
		.quarantine_ms = PICK(times, a[5] / ARRAY_SIZE(flags)),
		.quota = a[4] < 100 ? 0 : a[4] < 150 ? CMEM_NO_QUOTA : a[4] < 200 ? 1 << 20 : 0,
	};
	int fd = cmem_file(strand, a[5]);
	long ret;

	/* blocks_restore() checks only these. */
	if (add.block >= MAX_BLOCKS)
		add.block = MAX_BLOCKS - 1;
	switch (a[2] % 12) {
	case 0 ... 3:
		break;
	case 4:
		length = length / 2 & -PAGE;
		break;
	case 5:
		start = length / 2 & -PAGE;
		length -= start;
		break;
	case 6:
		length = PAGE;
		break;
	case 7:
		length -= 100;
		break;
	case 8:
		start = PAGE / 2;
		length -= PAGE;
		break;
	case 9:
		length = 0;
		break;
	case 10:
		length = ~0ULL & -PAGE;
		break;
	case 11:
		start = 1 << 20;
		length = length > (2 << 20) ? length - (1 << 20) : PAGE;
		break;
	}
	while (add.num_pools < 4 && (*layout)[add.num_pools].count + (*layout)[add.num_pools].length)
		add.num_pools++;
	for (unsigned int i = 0; i < add.num_pools; i++) {
		pools[i].count = (*layout)[i].count;
		pools[i].length = (*layout)[i].length;
		sum += pools[i].count * pools[i].length;
	}
	/* Usually as many as fit */
	if (a[4] < 200 && add.num_pools == 1 && sum > length && pools[0].length &&
	    pools[0].length <= length)
		pools[0].count = length / pools[0].length;
	if (a[4] >= 240)
		add.num_pools = PICK(counts, a[4]);
	if (a[4] == 239)
		add.pools = 8;
	add.base = of->base + start;
	add.length = length;
	ret = do_ioctl(strand, fd, CMEM_IOCTL_BLOCK_ADD, &add, sizeof(add));
	NOTE(ret, "BLOCK_ADD(fd %d, block %d, flags %#x, %#llx at %#llx, %u pools, the first %u of %#llx, quarantine %u ms)",
	     fd, add.block, add.flags, (long long)add.length, (long long)add.base, add.num_pools,
	     pools[0].count, (long long)pools[0].length, add.quarantine_ms);
	return ret;
}

static long op_block_remove(struct strand *strand, const uint8_t *a)
{
	struct cmem_block_remove remove = {
		.size = sizeof(remove), .flags = a[2] == 255, .__reserved = a[2] == 254,
		.block = a[1] < 16 ? (int)(a[1] + strand->iteration) % 8 : block_number(a[1]),
	};
	int fd = cmem_file(strand, a[0]);
	long ret = do_ioctl(strand, fd, CMEM_IOCTL_BLOCK_REMOVE, &remove, sizeof(remove));

	NOTE(ret, "BLOCK_REMOVE(fd %d, block %d)", fd, remove.block);
	return ret;
}

/* The same memory as another block: remove alone or add alone rarely succeeds. */
static long op_block_again(struct strand *strand, const uint8_t *a)
{
	uint8_t with[] = { block_info(a[1])->block, a[1], a[2], a[3], a[4], a[5] };
	struct cmem_block_remove remove = { .size = sizeof(remove), .block = with[0] };
	int fd = cmem_file(strand, a[0]);
	long ret = do_ioctl(strand, fd, CMEM_IOCTL_BLOCK_REMOVE, &remove, sizeof(remove));

	NOTE(ret, "BLOCK_REMOVE(fd %d, block %d)", fd, remove.block);
	return op_block_add(strand, with);
}

/* Waits until a buffer of a pool is being cleaned: this state is short. */
static long op_scrub_wait(struct strand *strand, const uint8_t *a)
{
	struct timespec pause = { .tv_nsec = 100000 };
	struct cmem_pool_info info = {
		.size = sizeof(info), .block = block_number(a[1]), .pool = a[2] % 4,
	};
	int fd = cmem_file(strand, a[0]);
	long ret = 0;

	count_call();
	for (int i = 0; i < 400 && !ret; i++) {
		ret = result(ioctl(fd, CMEM_IOCTL_GET_POOL, &info));
		if (ret || info.scrubbing || !info.dirty)
			break;
		nanosleep(&pause, NULL);
	}
	NOTE(ret, "wait for scrubbing of block %d, pool %d: %u", info.block, info.pool, info.scrubbing);
	return ret;
}

/* Allocate and free all of a pool: what others then allocate is dirty or in cleaning. */
static long op_churn(struct strand *strand, const uint8_t *a)
{
	struct cmem_alloc allocs[32];
	int fd = cmem_file(strand, a[0]);
	unsigned int count = 0;

	for (; count < ARRAY_SIZE(allocs); count++) {
		allocs[count] = (struct cmem_alloc){
			.size = sizeof(allocs[0]), .block = block_number(a[1]),
			.pool = a[2] & 128 ? CMEM_POOL_HEAP : a[2] % 4, .flags = a[3] & 1,
			.length = a[2] & 128 ? PICK(sizes, a[4]) : 0,
		};
		if (call(ioctl(fd, CMEM_IOCTL_ALLOC, &allocs[count])))
			break;
	}
	for (unsigned int i = 0; i < count; i++) {
		struct cmem_free free = {
			.size = sizeof(free), .phys_addr = allocs[a[5] & 1 ? i : count - 1 - i].phys_addr,
		};

		call(ioctl(fd, CMEM_IOCTL_FREE, &free));
	}
	NOTE(count, "churn(fd %d, block %d, pool %d)", fd, allocs[0].block, allocs[0].pool);
	return count;
}

/* A private buffer: it is zero, and no other strand can write to it. */
static long op_private(struct strand *strand, const uint8_t *a)
{
	struct cmem_alloc alloc = {
		.size = sizeof(alloc), .block = block_number(a[1]), .pool = pool_number(a[2]),
		.flags = CMEM_ALLOC_PRIVATE | (a[5] & (CMEM_ALLOC_CACHED | CMEM_ALLOC_HEAP_FALLBACK |
						       CMEM_ALLOC_QUARANTINE)),
		.length = PICK(sizes, a[3]), .alignment = PICK(alignments, a[4]),
	};
	struct cmem_block_info info = { .size = sizeof(info), .block = alloc.block };
	uint64_t tag = (uintptr_t)&alloc ^ (uint64_t)getpid() << 40;
	int fd = open("/dev/cmem", O_RDWR | O_CLOEXEC);
	uint64_t *base;
	size_t words;
	long ret;

	if (fd < 0)
		return -errno;
	ret = call(ioctl(fd, CMEM_IOCTL_ALLOC, &alloc));
	if (ret)
		goto out;
	/* This call's copy to user space may be made to fail. */
	ret = call(ioctl(fd, CMEM_IOCTL_GET_BLOCK, &info));
	if (ret)
		goto out;
	if (alloc.length > 64 << 10)
		alloc.length = 64 << 10;
	base = mmap64(NULL, alloc.length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, alloc.mmap_offset);
	ret = call(base == MAP_FAILED ? -1 : 0);
	if (ret)
		goto out;
	if (a[5] & 128) {
		struct cmem_free free = { .size = sizeof(free), .phys_addr = alloc.phys_addr };

		/* The mapping holds the buffer. */
		call(ioctl(fd, CMEM_IOCTL_FREE, &free));
		close(fd);
		fd = -1;
	}
	words = alloc.length / sizeof(*base);
	for (size_t i = 0; i < words; i++) {
		if (base[i] && !(info.out_flags & CMEM_BLOCK_KEEP_CONTENTS)) {
			wrong("block %d: a buffer of %#llx at %#llx is not zero at %#zx: %#llx", alloc.block,
			      (long long)alloc.length, (long long)alloc.phys_addr, i * sizeof(*base),
			      (long long)base[i]);
			break;
		}
		base[i] = tag + i;
	}
	for (int i = 0; i < 4; i++)
		sched_yield();
	for (size_t i = 0; i < words; i++)
		if (base[i] != tag + i) {
			wrong("block %d: somebody else wrote to a buffer of %#llx at %#llx, at %#zx: %#llx",
			      alloc.block, (long long)alloc.length, (long long)alloc.phys_addr,
			      i * sizeof(*base), (long long)base[i]);
			break;
		}
	call(munmap(base, alloc.length));
out:
	NOTE(ret, "private(block %d, pool %d): %#llx at %#llx", alloc.block, alloc.pool,
	     (long long)alloc.length, (long long)alloc.phys_addr);
	if (fd >= 0)
		close(fd);
	return ret;
}

/* The ioctls of the out-of-tree driver: as its library calls them, with this word size */
static long op_legacy(struct strand *strand, const uint8_t *a)
{
	static const uint32_t flags[] = {
		0, 0, 0x80000, 0x40000, 0xc0000, 0x10000, 0x20000, 0x30000, 0x100000, 0x50000,
		0x200000, 0x1f0000,
	};
	unsigned int number = a[1] % 16, command = 0xfe00 | number | PICK(flags, a[2]);
	union {
		struct { int pool, block; } alloc;
		struct { size_t size, align; int block; } heap;
		struct { uint64_t phys, size; } buffer;
		struct { uint64_t size; int block; } pool;
		struct { unsigned long addr; size_t size; } cache;
		struct { unsigned long addr; int fd; } export;
		unsigned long addr;
		uint64_t phys;
		int block;
		char room[64];
	} data;
	int fd = cmem_file(strand, a[0]);
	uintptr_t addr;
	size_t length;
	long ret;

	memset(&data, 0x5a, sizeof(data));
	switch (number) {
	case 1:		/* ALLOC */
	case 5:		/* GETSIZE */
		data.alloc.pool = pool_number(a[3] + 2);
		data.alloc.block = block_number(a[4]);
		break;
	case 2:		/* ALLOCHEAP */
		data.heap.size = PICK(sizes, a[3]);
		data.heap.align = PICK(alignments, a[5]);
		data.heap.block = block_number(a[4]);
		break;
	case 3:		/* FREE */
		if (command & 0x100000) {
			data.phys = buffer_address(strand, a[3], a[4]);
			break;
		}
		/* fall through */
	case 4:		/* GETPHYS */
	case 13:	/* EXPORTDMABUF */
		data.addr = address_in(strand, a[3], a[4]);
		break;
	case 6:		/* GETPOOL */
		data.pool.size = PICK(sizes, a[3]);
		data.pool.block = block_number(a[4]);
		break;
	case 7:		/* CACHE */
		part_of(strand, a[3], a[4], &addr, &length);
		data.cache.addr = addr;
		data.cache.size = a[5] < 240 ? length : PICK(sizes, a[5]);
		break;
	case 9:		/* GETBLOCK */
		data.block = block_number(a[4]);
		break;
	case 10:	/* REGUSER */
		data.phys = buffer_address(strand, a[3], a[4]);
		break;
	}
	ret = do_ioctl(strand, fd, command, &data, sizeof(data));
	NOTE(ret, "legacy(fd %d, %#x): %#llx", fd, command, (long long)data.phys);
	if (ret)
		return ret;
	if (number == 1)
		keep_buffer(data.buffer.phys, data.buffer.size, data.buffer.phys, 0);
	if (number == 2)
		keep_buffer(data.phys, PICK(sizes, a[3]), data.phys, 0);
	if (number == 13)
		keep_file(strand, DMABUF_FILE, data.export.fd);
	return ret;
}

/* mmap() of /dev/cmem */
static long op_mmap(struct strand *strand, const uint8_t *a)
{
	static const int prots[] = {
		PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ, PROT_WRITE, PROT_NONE,
		PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC,
	};
	static const int flags[] = {
		MAP_SHARED, MAP_SHARED | MAP_POPULATE, MAP_SHARED, MAP_PRIVATE, MAP_SHARED | MAP_LOCKED,
		MAP_SHARED_VALIDATE | MAP_SYNC, MAP_SHARED | MAP_NORESERVE,
	};
	const struct known_buffer *buffer = buffer_slot(strand, a[1] + strand->iteration);
	uint64_t offset = buffer->offset, length = buffer->length;

	switch (a[2] % 16) {
	case 9:
		length = PAGE;
		break;
	case 10:
		offset += length / 2 & -PAGE;
		length = length / 2 ?: PAGE;
		break;
	case 11:
		offset += PAGE;
		break;
	case 12:
		length += PAGE;
		break;
	case 13:
		offset = PICK(sizes, a[5]) & -PAGE;
		break;
	case 14:
		length = PICK(sizes, a[5]);
		break;
	case 15:
		offset += length > HUGE ? HUGE : 0;
		length -= length > HUGE ? HUGE : 0;
		break;
	}
	return map_file(strand, cmem_file(strand, a[0]), offset, length, PICK(prots, a[3]),
			PICK(flags, a[4]), a[5]);
}

static long op_mmap_dmabuf(struct strand *strand, const uint8_t *a)
{
	static const int prots[] = { PROT_READ | PROT_WRITE, PROT_READ, PROT_WRITE, PROT_NONE };
	static const int flags[] = { MAP_SHARED, MAP_SHARED | MAP_POPULATE, MAP_PRIVATE };
	int fd = dmabuf_file(strand, a[0]);
	off_t size = lseek(fd, 0, SEEK_END);
	uint64_t offset = 0, length = size > 0 ? (uint64_t)size : PAGE;

	switch (a[1] % 8) {
	case 4:
		offset = PAGE;
		length -= PAGE;
		break;
	case 5:
		length += PAGE;
		break;
	case 6:
		offset = PICK(sizes, a[5]) & -PAGE;
		break;
	case 7:
		length = PAGE;
		break;
	}
	return map_file(strand, fd, offset, length, PICK(prots, a[2]), PICK(flags, a[3]), a[4]);
}

/* Other memory in a window, for calls across several mappings */
static long op_mmap_other(struct strand *strand, const uint8_t *a)
{
	uint64_t length = PICK(sizes, a[0]);

	/* The kernel has to zero all of it. */
	if (length > 4 << 20)
		length = 4 << 20;
	return map_file(strand, -1, 0, length, PROT_READ | PROT_WRITE,
			MAP_ANONYMOUS | (a[1] & 1 ? MAP_SHARED : MAP_PRIVATE), a[2]);
}

static long op_munmap(struct strand *strand, const uint8_t *a)
{
	struct map *map = &strand->process->maps[a[0] % MAPS];
	uintptr_t addr;
	size_t length;
	long ret;

	part_of(strand, a[0], a[1], &addr, &length);
	ret = call(munmap((void *)addr, length));
	NOTE(ret, "munmap(%#lx, %#zx)", (long)addr, length);
	if (!ret && map->addr == addr && map->length == length)
		map->length = 0;
	return ret;
}

static long op_mremap(struct strand *strand, const uint8_t *a)
{
	struct process *process = strand->process;
	unsigned int slot = a[4] % MAPS;
	uintptr_t addr;
	size_t length, wanted;
	void *moved;

	part_of(strand, a[0], a[1], &addr, &length);
	wanted = a[2] % 4 == 0 ? length : a[2] % 4 == 1 ? length / 2 & -PAGE :
		 a[2] % 4 == 2 ? length + PAGE : 0;
	switch (a[3] % 4) {
	case 0:
		moved = mremap((void *)addr, length, wanted, 0);
		break;
	case 1:
		moved = mremap((void *)addr, length, wanted, MREMAP_MAYMOVE | MREMAP_FIXED,
			       (void *)(window(slot) + (a[5] & 1 ? PAGE : 0) + addr % HUGE));
		break;
	case 2:
		moved = mremap((void *)addr, length, wanted,
			       MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, (void *)window(slot));
		break;
	default:	/* a copy of a shared mapping, as old programs make one */
		moved = mremap((void *)addr, 0, length, MREMAP_MAYMOVE | MREMAP_FIXED,
			       (void *)window(slot));
		wanted = length;
		break;
	}
	count_call();
	NOTE(moved == MAP_FAILED ? -errno : 0, "mremap(%#lx, %#zx, %#zx, %u): %p", (long)addr, length,
	     wanted, a[3] % 4, moved);
	if (moved == MAP_FAILED)
		return -errno;
	check_mapping(process, moved);
	if (a[3] % 4) {
		process->maps[slot].addr = (uintptr_t)moved;
		process->maps[slot].length = wanted;
	}
	return 0;
}

static long op_mprotect(struct strand *strand, const uint8_t *a)
{
	static const int prots[] = {
		PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE, PROT_READ | PROT_EXEC, PROT_WRITE,
		PROT_READ | PROT_WRITE | PROT_EXEC, PROT_READ | PROT_GROWSDOWN,
	};
	uintptr_t addr;
	size_t length;
	long ret;

	part_of(strand, a[0], a[1], &addr, &length);
	ret = call(mprotect((void *)addr, length, PICK(prots, a[2])));
	NOTE(ret, "mprotect(%#lx, %#zx, %d)", (long)addr, length, PICK(prots, a[2]));
	return ret;
}

/* Advice that takes pages out of use for good is left out, except on our mappings. */
static long op_madvise(struct strand *strand, const uint8_t *a)
{
	static const int advice[] = {
		MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, MADV_FREE,
		MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK, MADV_MERGEABLE, MADV_UNMERGEABLE,
		MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTDUMP, MADV_DODUMP, MADV_WIPEONFORK,
		MADV_KEEPONFORK, MADV_COLD, MADV_PAGEOUT, 22 /* POPULATE_READ */,
		23 /* POPULATE_WRITE */, 24 /* DONTNEED_LOCKED */, 25 /* COLLAPSE */, 1000,
	};
	uintptr_t addr;
	size_t length;
	long ret;

	part_of(strand, a[0], a[1], &addr, &length);
	ret = call(madvise((void *)addr, length, PICK(advice, a[2])));
	NOTE(ret, "madvise(%#lx, %#zx, %d)", (long)addr, length, PICK(advice, a[2]));
	return ret;
}

static long op_mlock(struct strand *strand, const uint8_t *a)
{
	uintptr_t addr;
	size_t length;
	long ret;

	part_of(strand, a[0], a[1], &addr, &length);
	switch (a[2] % 4) {
	case 0:
		ret = mlock((void *)addr, length);
		break;
	case 1:
		ret = munlock((void *)addr, length);
		break;
	case 2:
		ret = mlock2((void *)addr, length, MLOCK_ONFAULT);
		break;
	default:
		ret = a[3] & 1 ? munlockall() : mlockall(MCL_CURRENT);
		if (!(a[3] & 1))
			munlockall();
		break;
	}
	ret = call(ret);
	NOTE(ret, "mlock %u(%#lx, %#zx)", a[2] % 4, (long)addr, length);
	return ret;
}

static long op_access(struct strand *strand, const uint8_t *a)
{
	struct map map = *map_slot(strand, a[0] + strand->iteration);
	volatile size_t at, step = a[2] & 64 ? PAGE : HUGE;
	volatile char *base;
	volatile long done = 0;
	uintptr_t addr;
	size_t length;

	if (a[1] & 128) {
		part_of(strand, a[0], a[1], &addr, &length);
	} else {
		addr = map.addr;
		length = map.length;
	}
	base = (char *)addr;
	if (length > 16 << 20)
		length = 16 << 20;
	switch (a[2] % 6) {
	case 0:
		FRAGILE(strand, base[0] = a[3]; done = 1);
		break;
	case 1:
		FRAGILE(strand, done = base[0] + 1);
		break;
	case 2:		/* at several offsets */
		for (at = 0; at < length; at += step)
			FRAGILE(strand, base[at] = a[3]; done++);
		break;
	case 3:
		for (at = 0; at < length; at += step)
			FRAGILE(strand, (void)base[at]; done++);
		break;
	case 4:		/* its end, and beyond */
		FRAGILE(strand, base[length - 1] = 1; done++);
		FRAGILE(strand, base[length] = 1; done++);
		break;
	case 5:
		FRAGILE(strand, memset((void *)base, a[3], length < 65536 ? length : 65536); done++);
		break;
	}
	NOTE(done, "access %u(%p, %#zx)", a[2] % 6, base, length);
	return done ? 0 : -EFAULT;
}

static long op_msync(struct strand *strand, const uint8_t *a)
{
	static const int flags[] = { MS_SYNC, MS_ASYNC, MS_INVALIDATE, MS_SYNC | MS_INVALIDATE };
	static unsigned char resident[STRANDS][MAPS * WINDOW / PAGE];
	uintptr_t addr;
	size_t length;
	long ret;

	part_of(strand, a[0], a[1], &addr, &length);
	if (a[2] & 4)
		ret = call(mincore((void *)addr, length, resident[strand->number]));
	else
		ret = call(msync((void *)addr, length, PICK(flags, a[2])));
	NOTE(ret, "%s(%#lx, %#zx)", a[2] & 4 ? "mincore" : "msync", (long)addr, length);
	return ret;
}

static long op_mempolicy(struct strand *strand, const uint8_t *a)
{
	static const int modes[] = {
		MPOL_BIND, MPOL_DEFAULT, MPOL_PREFERRED, MPOL_INTERLEAVE, MPOL_LOCAL, 5, 6,
	};
	static const unsigned int flags[] = {
		MPOL_MF_STRICT, MPOL_MF_MOVE, MPOL_MF_STRICT | MPOL_MF_MOVE, 0, MPOL_MF_MOVE_ALL,
		MPOL_MF_STRICT | MPOL_MF_MOVE_ALL, 8,
	};
	unsigned long nodes = 1UL << (a[4] & 1);
	unsigned long from = 1, to = 2;
	void *pages[8];
	int status[8], at[8] = { 0 }, node;
	uintptr_t addr;
	size_t length;
	long ret;

	part_of(strand, a[0], a[1], &addr, &length);
	for (unsigned int i = 0; i < 8; i++)
		pages[i] = (void *)(addr + i * (a[3] & 1 ? HUGE : PAGE));
	switch (a[2] % 8) {
	case 0 ... 2:
		ret = syscall(SYS_mbind, addr, length & -PAGE, PICK(modes, a[3]),
			      PICK(modes, a[3]) == MPOL_DEFAULT || PICK(modes, a[3]) == MPOL_LOCAL ?
			      NULL : &nodes, 3UL, PICK(flags, a[5]));
		break;
	case 3:
		at[a[4] % 8] = 1;
		ret = syscall(SYS_move_pages, 0, 8UL, pages, at, status,
			      a[5] & 1 ? MPOL_MF_MOVE : MPOL_MF_MOVE_ALL);
		break;
	case 4:
		ret = syscall(SYS_move_pages, 0, 8UL, pages, NULL, status, 0);
		break;
	case 5:
		ret = syscall(SYS_migrate_pages, 0, 3UL, a[4] & 1 ? &from : &to,
			      a[4] & 1 ? &to : &from);
		break;
	case 6:
		ret = syscall(SYS_get_mempolicy, &node, NULL, 0UL, addr,
			      MPOL_F_ADDR | (a[4] & 1 ? MPOL_F_NODE : 0));
		break;
	default:
		ret = syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0UL);
		break;
	}
	ret = call(ret);
	NOTE(ret, "mempolicy %u(%#lx, %#zx, %d, %u)", a[2] % 8, (long)addr, length,
	     PICK(modes, a[3]), PICK(flags, a[5]));
	return ret;
}

/* The kernel reads and writes a mapping for a program */
static long op_kernel_access(struct strand *strand, const uint8_t *a)
{
	static char others[STRANDS][8192];
	char *buffer = others[strand->number];
	struct iovec local = { buffer, 4096 }, remote;
	struct timespec no_time = { 0 };
	uintptr_t addr;
	size_t length;
	char path[40];
	long ret;
	int fd;

	part_of(strand, a[0], a[1], &addr, &length);
	if (length > sizeof(others[0]))
		length = sizeof(others[0]);
	remote = (struct iovec){ (void *)addr, length };
	switch (a[2] % 12) {
	case 0:
		ret = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
		break;
	case 1:
		ret = process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
		break;
	case 2:
		ret = vmsplice(pipes(strand)[1], &remote, 1, SPLICE_F_NONBLOCK);
		break;
	case 3:
		ret = vmsplice(pipes(strand)[0], &remote, 1, SPLICE_F_NONBLOCK);
		break;
	case 4:
		ret = write(pipes(strand)[1], (void *)addr, length);
		break;
	case 5:
		ret = read(pipes(strand)[0], (void *)addr, length);
		break;
	case 6:
	case 7:
		fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
		ret = a[2] % 12 == 6 ? pread64(fd, buffer, length, addr) :
				       pwrite64(fd, buffer, length, addr);
		close(fd);
		break;
	case 8:
		ret = syscall(SYS_futex, addr, a[3] & 1 ? FUTEX_WAKE : FUTEX_WAIT, a[3] & 2, &no_time,
			      NULL, 0);
		break;
	case 9:		/* O_DIRECT */
		snprintf(path, sizeof(path), "/tmp/direct.%u", strand->number);
		fd = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
		ret = a[3] & 1 ? pwrite(fd, (void *)addr, length, 0) : pread(fd, (void *)addr, length, 0);
		close(fd);
		break;
	case 10:
		ret = sendmsg(sockets(strand)[0],
			      &(struct msghdr){ .msg_iov = &remote, .msg_iovlen = 1 }, MSG_DONTWAIT);
		break;
	default:
		ret = recv(sockets(strand)[1], (void *)addr, length, MSG_DONTWAIT);
		break;
	}
	ret = call(ret);
	NOTE(ret, "kernel access %u(%#lx, %#zx)", a[2] % 12, (long)addr, length);
	return ret;
}

static long op_io_uring(struct strand *strand, const uint8_t *a)
{
	struct io_uring_params params = { 0 };
	struct iovec iov;
	uintptr_t addr;
	size_t length;
	int fd;
	long ret;

	part_of(strand, a[0], a[1], &addr, &length);
	iov = (struct iovec){ (void *)addr, length };
	fd = syscall(__NR_io_uring_setup, 4, &params);
	if (fd < 0)
		return -errno;
	ret = call(syscall(__NR_io_uring_register, fd, IORING_REGISTER_BUFFERS, &iov, 1));
	if (a[2] & 1) {
		int files[2] = { cmem_file(strand, a[3]), dmabuf_file(strand, a[4]) };

		ret = call(syscall(__NR_io_uring_register, fd, IORING_REGISTER_FILES, files, 2));
	}
	close(fd);
	NOTE(ret, "io_uring(%#lx, %#zx)", (long)addr, length);
	return ret;
}

static long op_userfaultfd(struct strand *strand, const uint8_t *a)
{
	static const uint64_t modes[] = {
		UFFDIO_REGISTER_MODE_MISSING, UFFDIO_REGISTER_MODE_WP, UFFDIO_REGISTER_MODE_MINOR,
		UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = PICK(modes, a[2]) };
	uintptr_t addr;
	size_t length;
	int fd;
	long ret;

	part_of(strand, a[0], a[1], &addr, &length);
	/* Only our memory: no thread would handle faults in other program memory. */
	reg.range.start = addr;
	reg.range.len = length & -PAGE;
	fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (fd < 0)
		return -errno;
	ret = ioctl(fd, UFFDIO_API, &api);
	if (!ret)
		ret = call(ioctl(fd, UFFDIO_REGISTER, &reg));
	if (a[3] & 1) {
		struct uffdio_writeprotect protect = {
			.range = reg.range, .mode = a[3] & 2 ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
		};

		ioctl(fd, UFFDIO_WRITEPROTECT, &protect);
	}
	close(fd);
	NOTE(ret, "userfaultfd(%#lx, %#zx, mode %#llx)", (long)addr, length, (long long)reg.mode);
	return ret;
}

struct scanned_region { uint64_t start, end, categories; };
struct scan_request {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted,
		 category_mask, category_anyof_mask, return_mask;
};

static long op_pagemap(struct strand *strand, const uint8_t *a)
{
	static uint64_t entries[STRANDS][1024];
	struct scanned_region regions[16];
	uintptr_t addr;
	size_t length;
	long ret;
	int fd;

	part_of(strand, a[0], a[1], &addr, &length);
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (a[2] & 1) {
		struct scan_request scan = {
			.size = sizeof(scan), .start = addr & -PAGE, .end = (addr + length) & -PAGE,
			.flags = a[3] % 4, .vec = (uintptr_t)regions, .vec_len = 16,
			.category_anyof_mask = a[4], .return_mask = 255,
		};

		ret = call(ioctl(fd, _IOWR('f', 16, struct scan_request), &scan));
	} else {
		ret = call(pread64(fd, entries[strand->number], sizeof(entries[0]), addr / PAGE * 8));
	}
	close(fd);
	NOTE(ret, "pagemap %u(%#lx, %#zx)", a[2] & 1, (long)addr, length);
	return ret;
}

/* Files that show CMEM or its mappings */
static long op_look(struct strand *strand, const uint8_t *a)
{
	static const char *const paths[] = {
		"/proc/cmem", "/proc/self/smaps", "/proc/self/numa_maps", "/proc/self/smaps_rollup",
		"/proc/self/maps", "fdinfo", "fdinfo", "debugfs", "debugfs", "debugfs",
		"/sys/kernel/debug/dma_buf/bufinfo", "/proc/iomem", "/sys/kernel/debug/page_tables/current_user",
		"/proc/meminfo", "/proc/cmem", "/sys/module/cmem/parameters/quota",
		"/sys/module/cmem/parameters/cma_share", "/sys/module/cmem/parameters/scrub_delay_ms",
		"/sys/module/cmem/parameters/share", "/sys/module/cmem/parameters/legacy_version",
	};
	static const char *const shown[] = {
		"cmem/0/extents", "cmem/1/extents", "cmem/2/extents", "cmem/3/extents", "cmem/0/pools",
		"cmem/4/extents", "cmem/cma/extents", "cmem/owners", "cmem/files",
	};
	static char all[STRANDS][16384];
	char *buffer = all[strand->number];
	const char *path = PICK(paths, a[0]);
	long ret = 0, got;
	char name[80];
	int fd;

	if (!strcmp(path, "fdinfo")) {
		snprintf(name, sizeof(name), "/proc/self/fdinfo/%d",
			 a[1] & 1 ? cmem_file(strand, a[2]) : dmabuf_file(strand, a[2]));
	} else if (!strcmp(path, "debugfs")) {
		DIR *dir;
		struct dirent *entry;
		char at[64];
		unsigned int skip = a[2] % 8;

		snprintf(at, sizeof(at), "/sys/kernel/debug/cmem/%d", block_number(a[1]));
		snprintf(name, sizeof(name), "/sys/kernel/debug/%s", PICK(shown, a[1]));
		dir = opendir(at);
		while (dir && (entry = readdir(dir))) {
			if (entry->d_name[0] == '.')
				continue;
			snprintf(name, sizeof(name), "%s/%.12s", at, entry->d_name);
			if (!skip--)
				break;
		}
		if (dir)
			closedir(dir);
	} else {
		snprintf(name, sizeof(name), "%s", path);
	}
	fd = open(name, O_RDONLY | O_CLOEXEC);
	count_call();
	if (fd < 0)
		return -errno;
	if (a[3] & 1)
		lseek(fd, PICK(sizes, a[4]), SEEK_SET);
	if (a[3] == 254)
		buffer = (char *)map_slot(strand, a[4])->addr;
	/* Not the whole of the largest: some blocks have 100,000 buffers. */
	for (int i = 0; i < 8; i++) {
		got = read(fd, buffer, a[3] & 2 ? 100 : sizeof(all[0]));
		if (got <= 0) {
			ret = result(got);
			break;
		}
	}
	close(fd);
	NOTE(ret, "read %s", name);
	return ret;
}

static long write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	long ret;

	if (fd < 0)
		return -errno;
	ret = call(write(fd, text, strlen(text)));
	close(fd);
	NOTE(ret, "write %s: %s", path, text);
	return ret;
}

static long op_tune(struct strand *strand, const uint8_t *a)
{
	static const struct { const char *path, *text; } writes[] = {
		{ "/proc/self/clear_refs", "1" },
		{ "/proc/self/clear_refs", "3" },
		{ "/proc/self/clear_refs", "4" },
		{ "/proc/self/clear_refs", "5" },
		{ "/sys/module/cmem/parameters/share", "any" },
		{ "/sys/module/cmem/parameters/share", "user" },
		{ "/sys/module/cmem/parameters/share", "nobody" },
		{ "/sys/kernel/tracing/events/cmem/enable", "1" },
		{ "/sys/kernel/tracing/events/cmem/enable", "0" },
		{ "/proc/self/coredump_filter", "0x7f" },
		{ "/sys/kernel/mm/ksm/run", "1" },
		{ "/proc/sys/vm/compact_memory", "1" },
		{ "/sys/module/cmem/parameters/scrub_delay_ms", "0" },
		{ "/sys/module/cmem/parameters/scrub_delay_ms", "20" },
		{ "/sys/module/cmem/parameters/scrub_delay_ms", "-1" },
		{ "/sys/module/cmem/parameters/legacy_version", "0x4000000" },
		{ "/sys/module/cmem/parameters/useHeapIfPoolUnavailable", "1" },
		{ "/sys/module/cmem/parameters/useHeapIfPoolUnavailable", "0" },
		{ "/sys/module/cmem/parameters/quota", "0:50%,3:1M,2M" },
		{ "/sys/module/cmem/parameters/quota", "64K" },
		{ "/sys/module/cmem/parameters/quota", "none" },
		{ "/sys/module/cmem/parameters/quota", "1:2:3" },
		{ "/sys/module/cmem/parameters/cma_share", "50%" },
		{ "/sys/module/cmem/parameters/cma_share", "much" },
	};

	return write_file(PICK(writes, a[0]).path, PICK(writes, a[0]).text);
}

static long op_prctl(struct strand *strand, const uint8_t *a)
{
	long ret = result(a[1] & 1 ? prctl(67 /* PR_SET_MEMORY_MERGE */, a[0] & 1, 0, 0, 0) :
				     prctl(PR_SET_THP_DISABLE, a[0] & 1, 0, 0, 0));

	NOTE(ret, "prctl(%u)", a[0] & 1);
	return ret;
}

/* A child with the same mappings and files, which does a little, and dies */
static long op_fork(struct strand *strand, const uint8_t *a)
{
	struct map map = *map_slot(strand, a[0]);
	pid_t child = fork();
	long ret;

	if (child < 0)
		return -errno;
	if (!child) {
		volatile char *base = (char *)map.addr;

		if (a[1] & 1)
			FRAGILE(strand, base[0] = 1);
		if (a[1] & 2)
			munmap((char *)base, map.length);
		if (a[1] & 4)
			mprotect((char *)base, map.length, PROT_READ);
		if (a[1] & 8)
			op_free(strand, a + 2);
		if (a[1] & 16)
			op_alloc(strand, a);
		if (a[1] & 32)
			pause();
		_exit(0);
	}
	if (a[1] & 32) {
		op_sleep(strand, a + 2);
		kill(child, SIGKILL);
	}
	ret = call(waitpid(child, NULL, 0));
	NOTE(ret, "fork(%u)", a[1]);
	return ret;
}

/* DMA-BUFs */

static long op_dmabuf_sync(struct strand *strand, const uint8_t *a)
{
	struct dma_buf_sync sync = { .flags = a[1] < 240 ? a[1] % 8 : a[1] };
	int fd = dmabuf_file(strand, a[0]);
	long ret = do_ioctl(strand, fd, DMA_BUF_IOCTL_SYNC, &sync, sizeof(sync));

	NOTE(ret, "DMA_BUF_IOCTL_SYNC(fd %d, %llu)", fd, (long long)sync.flags);
	return ret;
}

static long op_dmabuf_fence(struct strand *strand, const uint8_t *a)
{
	struct dma_buf_export_sync_file export = { .flags = 1 + a[1] % 4, .fd = -1 };
	int fd = dmabuf_file(strand, a[0]);
	long ret = do_ioctl(strand, fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export, sizeof(export));

	if (!ret && a[2] & 1) {
		struct dma_buf_import_sync_file import = { .flags = 1 + a[3] % 4, .fd = export.fd };

		ret = call(ioctl(dmabuf_file(strand, a[4]), DMA_BUF_IOCTL_IMPORT_SYNC_FILE,
				 &import));
	}
	NOTE(ret, "EXPORT_SYNC_FILE(fd %d): fd %d", fd, export.fd);
	keep_file(strand, OTHER_FILE, export.fd);
	return ret;
}

static long op_dmabuf_misc(struct strand *strand, const uint8_t *a)
{
	int fd = dmabuf_file(strand, a[0]);
	struct pollfd poll_fd = { fd, POLLIN | POLLOUT, 0 };
	long ret;

	switch (a[1] % 4) {
	case 0:
		ret = ioctl(fd, DMA_BUF_SET_NAME_B, a[2] & 1 ? "fuzz" : "a name that is longer than the kernel takes it");
		break;
	case 1:
		ret = lseek(fd, a[2], a[3] % 4);
		break;
	case 2:
		ret = poll(&poll_fd, 1, 0);
		break;
	default:
		ret = read(fd, (void *)map_slot(strand, a[2])->addr, 16);
		break;
	}
	ret = call(ret);
	NOTE(ret, "dmabuf misc %u(fd %d)", a[1] % 4, fd);
	return ret;
}

static long op_heap_alloc(struct strand *strand, const uint8_t *a)
{
	static const uint32_t flags[] = { O_RDWR | O_CLOEXEC, O_RDWR, O_RDONLY | O_CLOEXEC, 0xffffffff };
	struct dma_heap_allocation_data data = {
		.len = PICK(sizes, a[1]), .fd_flags = PICK(flags, a[2]), .heap_flags = a[3] == 255,
	};
	int32_t block = block_number(a[0]);
	char path[40];
	long ret;
	int fd;

	if (block < 0)
		snprintf(path, sizeof(path), "/dev/dma_heap/%s", a[4] == 255 ? "system" : "cmem-cma");
	else
		snprintf(path, sizeof(path), "/dev/dma_heap/cmem-%d%s", block,
			 a[5] & 1 ? "-uncached" : "");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = do_ioctl(strand, fd, DMA_HEAP_IOCTL_ALLOC, &data, sizeof(data));
	NOTE(ret, "%s: ALLOC(%#llx, flags %#x): fd %d", path, (long long)data.len, data.fd_flags, data.fd);
	close(fd);
	if (!ret)
		keep_file(strand, DMABUF_FILE, data.fd);
	return ret;
}

static long op_send(struct strand *strand, const uint8_t *a)
{
	union { struct cmsghdr header; char room[CMSG_SPACE(sizeof(int))]; } control;
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int fd = a[0] & 1 ? cmem_file(strand, a[1]) : dmabuf_file(strand, a[1]);
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	long ret;

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	ret = call(sendmsg(sockets(strand)[0], &message, MSG_DONTWAIT));
	NOTE(ret, "send fd %d", fd);
	return ret;
}

static long op_receive(struct strand *strand, const uint8_t *a)
{
	union { struct cmsghdr header; char room[CMSG_SPACE(sizeof(int))]; } control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header;
	long ret = call(recvmsg(sockets(strand)[1], &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
	int fd = -1;

	header = ret < 0 ? NULL : CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS) {
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
		keep_file(strand, a[0] & 1 ? CMEM_FILE : DMABUF_FILE, fd);
	}
	NOTE(ret, "receive: fd %d", fd);
	return ret;
}

/* Importers: DRM's test drivers, and V4L2's, one for a device and one for the CPU */

static long op_drm(struct strand *strand, const uint8_t *a)
{
	struct drm_prime_handle prime = { .fd = dmabuf_file(strand, a[1]), .flags = DRM_RDWR };
	struct drm_mode_map_dumb { uint32_t handle, pad; uint64_t offset; } map = { 0 };
	struct drm_gem_close closing = { 0 };
	char path[24];
	long ret;
	int fd;

	snprintf(path, sizeof(path), "/dev/dri/card%u", a[0] % 2);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = call(ioctl(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime));
	NOTE(ret, "%s: import fd %d", path, prime.fd);
	if (!ret) {
		map.handle = closing.handle = prime.handle;
		if (!ioctl(fd, DRM_IOWR(0xB3, struct drm_mode_map_dumb), &map) && a[2] & 1)
			map_file(strand, fd, map.offset, a[3] & 1 ? HUGE : PAGE,
				 PROT_READ | PROT_WRITE, MAP_SHARED, a[4]);
		if (a[2] & 2) {
			struct drm_prime_handle second = { .handle = prime.handle, .flags = DRM_CLOEXEC };

			if (!ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &second))
				keep_file(strand, DMABUF_FILE, second.fd);
		}
		if (a[2] & 4)
			ioctl(fd, DRM_IOCTL_GEM_CLOSE, &closing);
	}
	if (a[2] & 8)
		keep_file(strand, OTHER_FILE, fd);
	else
		close(fd);
	return ret;
}

/*
 * Whether a device can import a DMA-BUF: DRM tells. If attaching fails, videobuf2 of 6.12
 * keeps the DMA-BUF forever, with all the buffer's memory.
 */
static bool attaches(int dmabuf)
{
	struct drm_prime_handle prime = { .fd = dmabuf };
	int fd = open("/dev/dri/card0", O_RDWR | O_CLOEXEC);
	bool good = !ioctl(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime);

	close(fd);
	return good;
}

static long op_video(struct strand *strand, const uint8_t *a)
{
	static const uint32_t types[] = { V4L2_BUF_TYPE_VIDEO_CAPTURE, V4L2_BUF_TYPE_VIDEO_OUTPUT };
	uint32_t type = PICK(types, a[4] / 128);
	struct v4l2_requestbuffers request = {
		.count = 2, .type = type, .memory = V4L2_MEMORY_DMABUF,
	};
	struct v4l2_buffer buffer = {
		.type = type, .memory = V4L2_MEMORY_DMABUF, .index = 0,
	};
	struct v4l2_format format = { .type = type };
	struct pollfd poll_fd = { .events = POLLIN };
	char path[24];
	int fd, dmabuf;
	long ret;

	snprintf(path, sizeof(path), "/dev/video%u", a[0] % 2);
	arm(strand, 0);
	/* One that no other strand closes meanwhile */
	dmabuf = fcntl(dmabuf_file(strand, a[1]), F_DUPFD_CLOEXEC, 0);
	if (dmabuf < 0)
		return -errno;
	buffer.m.fd = dmabuf;
	fd = a[0] % 2 || attaches(dmabuf) ? open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC) : -1;
	if (fd < 0) {
		close(dmabuf);
		return -ENODEV;
	}
	format.fmt.pix.width = 160;
	format.fmt.pix.height = 90;
	format.fmt.pix.pixelformat = V4L2_PIX_FMT_GREY;
	ret = ioctl(fd, VIDIOC_S_FMT, &format);
	if (!ret)
		ret = ioctl(fd, VIDIOC_REQBUFS, &request);
	if (!ret)
		ret = ioctl(fd, VIDIOC_QBUF, &buffer);
	NOTE(result(ret), "%s: queue fd %d of %u bytes", path, buffer.m.fd, format.fmt.pix.sizeimage);
	ret = call(ret);
	if (!ret && a[2] & 1) {
		ret = result(ioctl(fd, VIDIOC_STREAMON, &type));
		if (!ret && (a[2] & 10) == 10) {
			poll_fd.fd = fd;
			poll(&poll_fd, 1, 60);
			ret = result(ioctl(fd, VIDIOC_DQBUF, &buffer));
		}
		if (a[2] & 4)
			ioctl(fd, VIDIOC_STREAMOFF, &type);
	}
	close(fd);
	close(dmabuf);
	return ret;
}

static long op_release(struct strand *strand, const uint8_t *a)
{
	struct cmem_release release = {
		.size = sizeof(release), .block = block_number(a[1]),
		.flags = a[2] < 248 ? a[2] & CMEM_RELEASE_BUFFER : 2, .__reserved = a[3] == 255,
	};
	int fd = cmem_file(strand, a[0]);
	long ret;

	if (a[2] & 1)
		release.phys_addr = buffer_address(strand, a[4], a[5]);
	ret = do_ioctl(strand, fd, CMEM_IOCTL_RELEASE, &release, sizeof(release));
	NOTE(ret, "RELEASE(fd %d, block %d, flags %#x, %#llx): %llu buffers", fd, release.block,
	     release.flags, (long long)release.phys_addr, (long long)release.buffers);
	return ret;
}

/*
 * Kills another strand as soon as it may be waiting. The first strand reaps it later, so
 * its pid is not reused before.
 */
static long op_kill(struct strand *strand, const uint8_t *a)
{
	pid_t process = shared->processes[1 + a[0] % (STRANDS - 1)];
	struct timespec time = { .tv_nsec = a[1] * 20000 };

	if (strand->number || !process)
		return -ESRCH;
	nanosleep(&time, NULL);
	NOTE(0, "kill strand %u", 1 + a[0] % (STRANDS - 1));
	return result(kill(process, SIGKILL));
}

/* Calls that return addresses of any DMA-BUF: of /dev/cmem, and of TI's kernels */
static long op_import(struct strand *strand, const uint8_t *a)
{
	struct { uint32_t fd; uint64_t phys; } old = { 0 };
	struct cmem_import_dmabuf import = {
		.size = sizeof(import), .dmabuf_fd = dmabuf_file(strand, a[1]),
		.fd_flags = a[2] < 248 ? O_CLOEXEC : 1 << a[3] % 32,
		.fd = -1,
	};
	int fd = cmem_file(strand, a[0]);
	long ret;

	if (a[4] < 192) {
		ret = do_ioctl(strand, fd, CMEM_IOCTL_IMPORT, &import, sizeof(import));
		NOTE(ret, "IMPORT(fd %d, fd %d): %#llx", fd, import.dmabuf_fd,
		     (long long)import.phys_addr);
		if (!ret)
			keep_file(strand, OTHER_FILE, import.fd);
		return ret;
	}
	fd = open("/dev/dma-buf-phys", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	old.fd = import.dmabuf_fd;
	ret = do_ioctl(strand, fd, _IOWR('D', 0, typeof(old)), &old, sizeof(old));
	NOTE(ret, "/dev/dma-buf-phys: fd %d: %#llx", import.dmabuf_fd, (long long)old.phys);
	keep_file(strand, OTHER_FILE, fd);
	return ret;
}

/* Add new ones at the end. */
const struct operation operations[] = {
	{ "start",		op_start,		2 },
	{ "fail",		op_fail,		8 },
	{ "repeat",		op_repeat,		6 },
	{ "place",		op_place,		5 },
	{ "meet",		op_meet,		5 },
	{ "sleep",		op_sleep,		1 },
	{ "open",		op_open,		6 },
	{ "close",		op_close,		10 },
	{ "dup",		op_dup,			2 },
	{ "get_info",		op_get_info,		1 },
	{ "get_block",		op_get_block,		2 },
	{ "get_pool",		op_get_pool,		2 },
	{ "find_pool",		op_find_pool,		2 },
	{ "alloc",		op_alloc,		30 },
	{ "free",		op_free,		20 },
	{ "register",		op_register,		12 },
	{ "resolve",		op_resolve,		4 },
	{ "sync",		op_sync,		8 },
	{ "sync_all",		op_sync_all,		3 },
	{ "export",		op_export,		8 },
	{ "raw",		op_raw,			4 },
	{ "block_add",		op_block_add,		1 },
	{ "block_remove",	op_block_remove,	1 },
	{ "scrub_wait",		op_scrub_wait,		1 },
	{ "churn",		op_churn,		1 },
	{ "legacy",		op_legacy,		20 },
	{ "mmap",		op_mmap,		24 },
	{ "mmap_dmabuf",	op_mmap_dmabuf,		8 },
	{ "mmap_other",		op_mmap_other,		2 },
	{ "munmap",		op_munmap,		10 },
	{ "mremap",		op_mremap,		6 },
	{ "mprotect",		op_mprotect,		6 },
	{ "madvise",		op_madvise,		8 },
	{ "mlock",		op_mlock,		4 },
	{ "access",		op_access,		20 },
	{ "msync",		op_msync,		2 },
	{ "mempolicy",		op_mempolicy,		8 },
	{ "kernel_access",	op_kernel_access,	8 },
	{ "io_uring",		op_io_uring,		1 },
	{ "userfaultfd",	op_userfaultfd,		2 },
	{ "pagemap",		op_pagemap,		3 },
	{ "look",		op_look,		3 },
	{ "tune",		op_tune,		2 },
	{ "prctl",		op_prctl,		2 },
	{ "fork",		op_fork,		2 },
	{ "dmabuf_sync",	op_dmabuf_sync,		4 },
	{ "dmabuf_fence",	op_dmabuf_fence,	2 },
	{ "dmabuf_misc",	op_dmabuf_misc,		2 },
	{ "heap_alloc",		op_heap_alloc,		8 },
	{ "send",		op_send,		2 },
	{ "receive",		op_receive,		2 },
	{ "drm",		op_drm,			1 },
	{ "video",		op_video,		1 },
	{ "private",		op_private,		6 },
	{ "release",		op_release,		4 },
	{ "kill",		op_kill,		1 },
	{ "block_again",	op_block_again,		2 },
	{ "import",		op_import,		4 },
};

const unsigned int num_operations = ARRAY_SIZE(operations);
