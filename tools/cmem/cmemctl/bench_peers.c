// SPDX-License-Identifier: BSD-3-Clause
/*
 * cmemctl bench: memory that is not CMEM's, to compare with. DMA-BUF heaps, a memfd that
 * udmabuf turns into a DMA-BUF, and anonymous memory, as malloc() has it for large sizes.
 *
 * A DMA-BUF heap is CMEM's if its name begins with "cmem-", which CMEM refuses to other
 * names. But a board may give its blocks other names, too. So before the first row of a
 * heap is measured, CMEM is asked to register for a buffer of it. To list the rows, no
 * buffer is allocated.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/udmabuf.h>
#if __has_include("linux/dma-heap.h")
#include <linux/dma-heap.h>
#else
/* The headers of a toolchain may be older than the board's kernel. */
struct dma_heap_allocation_data {
	__u64 len;
	__u32 fd;
	__u32 fd_flags;
	__u64 heap_flags;
};

#define DMA_HEAP_IOCTL_ALLOC	_IOWR('H', 0, struct dma_heap_allocation_data)
#endif

#include "bench.h"

#define HEAPS		"/dev/dma_heap"
#define OWN		"cmem-"

static int cmem;
static struct source *peers;
static unsigned int num_peers, room_peers;
static struct { const char *name; int block; } *own;
static unsigned int num_own, room_own;
static struct { char path[sizeof(HEAPS) + 1 + NAME_MAX]; int error; } *unusable;
static unsigned int num_unusable, room_unusable;

static bool find_memory(struct source *source, uint64_t length)
{
	source->buffer_length = length;
	return source_has_memory(source, "MemAvailable", length);
}

int dma_heap_open(const char *name)
{
	char path[sizeof(HEAPS) + 1 + NAME_MAX];

	snprintf(path, sizeof(path), HEAPS "/%s", name);
	return open(path, O_RDWR | O_CLOEXEC);
}

int dma_heap_allocate(struct source *source, uint64_t length, struct buffer *buffer)
{
	struct dma_heap_allocation_data request = {
		.len = length, .fd_flags = O_RDWR | O_CLOEXEC,
	};

	if (ioctl(source->fd, DMA_HEAP_IOCTL_ALLOC, &request))
		return -errno;
	*buffer = (struct buffer){ .fd = request.fd, .length = length };
	return 0;
}

int dma_heap_release(struct source *source, struct buffer *buffer)
{
	(void)source;
	return close(buffer->fd) ? -errno : 0;
}

static int udmabuf_allocate(struct source *source, uint64_t length, struct buffer *buffer)
{
	int memory = syscall(SYS_memfd_create, "cmemctl bench", 3U /* MFD_CLOEXEC, ALLOW_SEALING */);
	struct udmabuf_create request = {
		.memfd = memory, .flags = UDMABUF_FLAGS_CLOEXEC, .size = whole_pages(length),
	};
	int ret = -1;

	if (memory < 0)
		return -errno;
	if (!ftruncate(memory, request.size) && !fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK))
		ret = ioctl(source->fd, UDMABUF_CREATE, &request);
	if (ret < 0)
		ret = -errno;
	close(memory);
	if (ret < 0)
		return ret;
	*buffer = (struct buffer){ .fd = ret, .length = length };
	return 0;
}

/* Mapping it is all that there is to do. */
static int anonymous_allocate(struct source *source, uint64_t length, struct buffer *buffer)
{
	(void)source;
	*buffer = (struct buffer){ .fd = -1, .length = length };
	return 0;
}

static int anonymous_release(struct source *source, struct buffer *buffer)
{
	(void)source;
	(void)buffer;
	return 0;
}

static void remember_own(const char *name, int block)
{
	grow(own, num_own, room_own);
	own[num_own].name = name;
	own[num_own++].block = block;
}

/*
 * Whose heap this is: 1 CMEM's, 0 not, or a negative errno. Hardly any pool has buffers of
 * three pages: no last one of a pool is taken.
 */
static int look_whose(struct source *heap, int *block)
{
	struct cmem_register arg = { .size = sizeof(arg), .flags = CMEM_REGISTER_DMABUF };
	struct buffer buffer;
	int ret = dma_heap_allocate(heap, 3 * sysconf(_SC_PAGESIZE), &buffer);

	if (ret)
		return ret;
	arg.dmabuf_fd = buffer.fd;
	if (!ioctl(cmem, CMEM_IOCTL_REGISTER, &arg)) {
		device_free(cmem, arg.phys_addr);
		*block = arg.block;
		ret = 1;
	} else if (errno != EINVAL && errno != EOPNOTSUPP) {
		ret = -errno;
	}
	dma_heap_release(heap, &buffer);
	return ret;
}

static bool find_own(struct source *heap, uint64_t length)
{
	(void)length;
	return source_lacks(heap, "this heap is CMEM's");
}

/* The names of others' areas say nothing: it may be in one if it is not "system". */
static bool find_foreign(struct source *heap, uint64_t length)
{
	return find_memory(heap, length) &&
	       (!strncmp(heap->name, "system", 6) || !memory_of("CmaTotal") ||
		source_has_memory(heap, "CmaFree", length));
}

static bool find_unknown(struct source *heap, uint64_t length)
{
	int block = ALL_BLOCKS, whose;

	if (!find_foreign(heap, length))
		return false;
	whose = look_whose(heap, &block);
	if (whose < 0)
		return source_lacks(heap, "whose heap this is can't be found out: %s",
				    strerror(-whose));
	if (whose)
		remember_own(heap->name, block);
	heap->find = whose ? find_own : find_foreign;
	return heap->find(heap, length);
}

static struct source *add(const char *name, int fd, unsigned int operations)
{
	struct source *peer;

	grow(peers, num_peers, room_peers);
	peer = &peers[num_peers++];
	*peer = (struct source){
		.name = name, .suffix = "", .peer = true, .fd = fd, .second = -1,
		.find = find_memory, .allocate = dma_heap_allocate, .release = dma_heap_release,
		.operations = operations,
	};
	return peer;
}

static void remember_unusable(const char *path, const char *name, int error)
{
	grow(unusable, num_unusable, room_unusable);
	snprintf(unusable[num_unusable].path, sizeof(unusable->path), "%s%s", path, name);
	unusable[num_unusable++].error = error;
}

static void add_heap(const char *name)
{
	struct source *peer;
	int fd;

	if (!strncmp(name, OWN, strlen(OWN))) {
		name += strlen(OWN);
		remember_own(name - strlen(OWN), strncmp(name, "cma", 3) ? atoi(name) : CMEM_BLOCK_CMA);
		return;
	}
	fd = dma_heap_open(name);
	if (fd < 0) {
		remember_unusable(HEAPS "/", name, errno);
		return;
	}
	peer = add(name, fd, CAN(ALLOCATE) | CAN(CYCLE) | CAN(USE) | CAN(ACCESS) | CAN(FILL) |
		   CAN(READ));
	peer->find = find_unknown;
	snprintf(peer->where, sizeof(peer->where), "dma-heap %s", printable(name));
}

static int is_name(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void add_heaps(void)
{
	struct dirent **entry;
	int count = scandir(HEAPS, &entry, is_name, alphasort);

	if (count < 0)
		remember_unusable(HEAPS, "", errno);
	for (int i = 0; i < count; i++)
		add_heap(entry[i]->d_name);
	/* The names stay, for the rows. */
	if (count >= 0)
		free(entry);
}

static void add_udmabuf(void)
{
	int fd = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	struct source *peer;

	if (fd < 0) {
		remember_unusable("/dev/udmabuf", "", errno);
		return;
	}
	peer = add("udmabuf", fd, CAN(ALLOCATE) | CAN(CYCLE));
	peer->allocate = udmabuf_allocate;
	strcpy(peer->where, "memfd + udmabuf");
}

static void add_anonymous(const char *name, unsigned int operations, int advice,
			  const char *where)
{
	struct source *peer = add(name, -1, operations);

	peer->advice = advice;
	peer->allocate = anonymous_allocate;
	peer->release = anonymous_release;
	snprintf(peer->where, sizeof(peer->where), "%s", where);
}

struct source *sources_of_peers(int fd, unsigned int *count)
{
	if (!num_peers) {
		cmem = fd;
		add_heaps();
		add_udmabuf();
		add_anonymous("malloc", CAN(CYCLE) | CAN(FILL) | CAN(READ) | CAN(WRITE),
			      MADV_NOHUGEPAGE, "anonymous memory");
		add_anonymous("malloc-huge", CAN(WRITE), MADV_HUGEPAGE,
			      "anonymous, huge pages");
	}
	*count = num_peers;
	return peers;
}

void peers_own(void (*each)(const char *name, int block))
{
	for (unsigned int i = 0; i < num_own; i++)
		each(own[i].name, own[i].block);
}

void peers_unusable(void (*each)(const char *path, const char *why))
{
	for (unsigned int i = 0; i < num_unusable; i++)
		each(unusable[i].path, strerror(unusable[i].error));
}
