// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's half of "make demo": a program that processes a picture together
 * with another processor, which gets only physical addresses.
 *
 * The other processor (the "DSP", lab/demo/dsp) is a program on the host that
 * maps the guest's RAM. Three lines go each way over the virtio-serial port
 * org.ti-cmem.dsp:
 *
 *	sketch ADDRESS WIDTH HEIGHT PITCH	->
 *						<-	half
 *	continue (or stop)			->
 *						<-	done (or stopped)
 *
 * The picture itself comes over the port org.ti-cmem.picture. This program sends it
 * back as read through its own mapping: once as the DSP left it, and once as the
 * "filter" left it. The filter is another program in the guest, which does the same work
 * without an address: it gets a DMA-BUF over a socket. All reports go to standard output,
 * one per line; the exit status is the verdict.
 *
 * It uses libcmem. To check the results (counts of free buffers, the kernel's value of
 * an address), it uses the ioctls of /dev/cmem, through a file that owns nothing.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/cmem.h>
#include <linux/dma-buf.h>
#include <ti/cmem.h>

#define BLOCK			0
#define BYTES_PER_PIXEL		4
#define FRAMES			2	/* the picture, and one that must not change */
#define KILLED_FRAMES		3	/* of the program that is killed */
#define MAP_COLUMNS		64
#define FREE_LINES		2	/* of a list in /proc/cmem; the rest is cut */

struct port {
	FILE *from, *to;
};

struct picture {
	uint32_t width, height;
	uint8_t *pixels;	/* WIDTH * HEIGHT * BYTES_PER_PIXEL, no padding */
};

struct frame {
	uint64_t phys_addr;
	uint64_t length;
	uint8_t *mapping;
	int pool;
};

struct free_counts {
	uint32_t num_pools;
	uint32_t free[CMEM_MAX_POOLS];
	uint64_t heap;
};

static void __attribute__((noreturn, format(printf, 1, 2)))
fail(const char *format, ...)
{
	va_list arguments;

	printf("FAILED: ");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	exit(EXIT_FAILURE);
}

static void *checked(void *memory)
{
	if (!memory)
		fail("the guest is out of memory: give it more with QEMU's -m");
	return memory;
}

/* Ports: the host sets names, the kernel numbers. */

static struct port open_port(const char *name)
{
	DIR *ports = opendir("/sys/class/virtio-ports");
	struct dirent *entry;
	char path[PATH_MAX], found[64];
	struct port port;
	FILE *file;
	int fd;

	while (ports && (entry = readdir(ports))) {
		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name",
			 entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (!fgets(found, sizeof(found), file))
			found[0] = '\0';
		fclose(file);
		found[strcspn(found, "\n")] = '\0';
		if (strcmp(found, name))
			continue;

		closedir(ports);
		snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC);
		port.from = fd < 0 ? NULL : fdopen(fd, "r");
		port.to = fd < 0 ? NULL : fdopen(dup(fd), "w");
		if (!port.from || !port.to)
			fail("cannot open the virtio-serial port %s: %s: %s", name, path,
			     strerror(errno));
		return port;
	}
	fail("there is no virtio-serial port %s: start this program with \"make demo\"",
	     name);
}

static void __attribute__((format(printf, 2, 3)))
tell(struct port *port, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(port->to, format, arguments);
	va_end(arguments);
	if (fflush(port->to))
		fail("the other end of the port is gone: %s", strerror(errno));
}

static void expect(struct port *port, const char *answer)
{
	char line[256];

	if (!fgets(line, sizeof(line), port->from))
		fail("the DSP is gone, expected it to answer \"%s\"", answer);
	line[strcspn(line, "\n")] = '\0';
	if (strcmp(line, answer))
		fail("the DSP answered \"%s\", expected \"%s\"", line, answer);
}

static struct picture receive_picture(struct port *port)
{
	struct picture picture;
	size_t size;

	if (fscanf(port->from, "picture %u %u", &picture.width, &picture.height) != 2 ||
	    fgetc(port->from) != '\n' || !picture.width || !picture.height)
		fail("the host sent no \"picture WIDTH HEIGHT\"");
	size = (size_t)picture.width * picture.height * BYTES_PER_PIXEL;
	picture.pixels = checked(malloc(size));
	if (fread(picture.pixels, 1, size, port->from) != size)
		fail("the host sent less than the %zu bytes of the picture", size);
	return picture;
}

/* CMEM */

static int open_cmem(void)
{
	int cmem = open("/dev/cmem", O_RDWR | O_CLOEXEC);

	if (cmem < 0)
		fail("/dev/cmem: %s: it takes a kernel with CONFIG_TI_CMEM=y, booted with a device tree that has a ti,cmem node",
		     strerror(errno));
	return cmem;
}

static struct cmem_pool_info get_pool(int cmem, int pool)
{
	struct cmem_pool_info info = {
		.size = sizeof(info), .block = BLOCK, .pool = pool,
	};

	if (ioctl(cmem, CMEM_IOCTL_GET_POOL, &info))
		fail("CMEM_IOCTL_GET_POOL of block %d, pool %d: %s", BLOCK, pool,
		     strerror(errno));
	return info;
}

static struct cmem_block_info get_block(int cmem)
{
	struct cmem_block_info info = { .size = sizeof(info), .block = BLOCK };

	if (ioctl(cmem, CMEM_IOCTL_GET_BLOCK, &info))
		fail("CMEM_IOCTL_GET_BLOCK of block %d: %s: the board's device tree has to describe this block",
		     BLOCK, strerror(errno));
	return info;
}

static struct free_counts count_free(int cmem)
{
	struct cmem_block_info block = get_block(cmem);
	struct free_counts counts = {
		.num_pools = block.num_pools, .heap = block.heap_free,
	};

	for (uint32_t i = 0; i < block.num_pools; i++)
		counts.free[i] = get_pool(cmem, i).free;
	return counts;
}

static void expect_free(const struct free_counts *before, const struct free_counts *now)
{
	for (uint32_t i = 0; i < before->num_pools; i++)
		if (now->free[i] != before->free[i])
			fail("pool %u has %u free buffers, expected %u as before", i,
			     now->free[i], before->free[i]);
	if (now->heap != before->heap)
		fail("the heap has %llu bytes free, expected %llu as before",
		     (unsigned long long)now->heap, (unsigned long long)before->heap);
}

/* Each call after end_ownership() creates a new owner. */
static void begin_ownership(void)
{
	if (CMEM_init())
		fail("CMEM_init: %s", strerror(errno));
}

static void end_ownership(void)
{
	if (CMEM_exit())
		fail("CMEM_exit: %s", strerror(errno));
}

static CMEM_AllocParams cached = { .type = CMEM_POOL, .flags = CMEM_CACHED };

/* A buffer of a pool or of CMEM_POOL_BEST; checks its address twice. */
static struct frame allocate_frame(int cmem, int pool, size_t length)
{
	struct cmem_resolve resolve = { .size = sizeof(resolve) };
	struct frame frame;

	frame.mapping = pool == CMEM_POOL_BEST ? CMEM_alloc2(BLOCK, length, &cached) :
						 CMEM_allocPool2(BLOCK, pool, &cached);
	if (!frame.mapping)
		fail("no frame of %zu bytes: %s: block %d needs a pool with free buffers that long, see /proc/cmem",
		     length, strerror(errno), BLOCK);
	frame.phys_addr = CMEM_getPhys64(frame.mapping);

	resolve.user_addr = (uintptr_t)frame.mapping;
	if (ioctl(cmem, CMEM_IOCTL_RESOLVE, &resolve))
		fail("CMEM_IOCTL_RESOLVE of a mapped frame: %s", strerror(errno));
	if (resolve.phys_addr != frame.phys_addr || resolve.contiguous < length)
		fail("the mapping is of 0x%llx, %llu bytes long, expected 0x%llx, %zu bytes",
		     (unsigned long long)resolve.phys_addr,
		     (unsigned long long)resolve.contiguous,
		     (unsigned long long)frame.phys_addr, length);
	frame.length = resolve.contiguous;
	frame.pool = resolve.pool;
	return frame;
}

static void free_frame(struct frame *frame)
{
	if (CMEM_free(frame->mapping, &cached))
		fail("freeing the frame at 0x%llx: %s",
		     (unsigned long long)frame->phys_addr, strerror(errno));
}

/* Before the DSP reads */
static void write_back(const struct frame *frame, size_t length)
{
	if (CMEM_cacheWb(frame->mapping, length))
		fail("CMEM_cacheWb of the frame at 0x%llx: %s",
		     (unsigned long long)frame->phys_addr, strerror(errno));
}

/* After the DSP has written */
static void invalidate(const struct frame *frame, size_t length)
{
	if (CMEM_cacheInv(frame->mapping, length))
		fail("CMEM_cacheInv of the frame at 0x%llx: %s",
		     (unsigned long long)frame->phys_addr, strerror(errno));
}

static bool all_zero(const struct frame *frame)
{
	const uint64_t *word = (const uint64_t *)frame->mapping;

	for (size_t i = 0; i < frame->length / sizeof(*word); i++)
		if (word[i])
			return false;
	return true;
}

/* Output for people: the map of the block, and /proc/cmem. */

/*
 * One bar per pool: '#' if all buffers behind a column are held, '+' if some are, '.' if
 * none is. /proc/cmem tells which buffers are held; their number must match the pool's
 * count.
 */
static void print_map(int cmem)
{
	struct cmem_block_info block = get_block(cmem);

	printf("block %d: %llu MiB at 0x%llx  (# held, + partly held, . free)\n", BLOCK,
	       (unsigned long long)block.length >> 20, (unsigned long long)block.base);
	for (uint32_t i = 0; i < block.num_pools; i++) {
		struct cmem_pool_info pool = get_pool(cmem, i);
		uint32_t columns = pool.count < MAP_COLUMNS ? pool.count : MAP_COLUMNS;
		uint32_t held[MAP_COLUMNS] = { 0 }, total[MAP_COLUMNS] = { 0 }, busy = 0;
		char heading[64], line[256], bar[MAP_COLUMNS + 1] = "";
		bool inside = false;
		FILE *proc = fopen("/proc/cmem", "r");

		if (!proc)
			fail("/proc/cmem: %s", strerror(errno));
		/* "Block 0: Pool 1: ...", then "Pool 1 busy bufs:", then the list. */
		snprintf(heading, sizeof(heading), "Block %d: Pool %u:", BLOCK, i);
		while (fgets(line, sizeof(line), proc)) {
			unsigned long long address;
			unsigned int id;

			if (!strncmp(line, heading, strlen(heading)))
				inside = true;
			else if (inside && strstr(line, "free bufs"))
				break;
			else if (inside && sscanf(line, "id %u: phys addr %llx", &id,
						  &address) == 2) {
				uint64_t n = (address - pool.base) / pool.length;

				if (address < pool.base || n >= pool.count)
					fail("/proc/cmem has 0x%llx in pool %u, which it is not in",
					     address, i);
				held[n * columns / pool.count]++;
				busy++;
			}
		}
		fclose(proc);
		if (busy != pool.count - pool.free)
			fail("/proc/cmem lists %u held buffers in pool %u, CMEM_IOCTL_GET_POOL says %u",
			     busy, i, pool.count - pool.free);

		for (uint32_t n = 0; n < pool.count; n++)
			total[(uint64_t)n * columns / pool.count]++;
		for (uint32_t n = 0; n < columns; n++)
			bar[n] = held[n] == total[n] ? '#' : held[n] ? '+' : '.';
		printf("  pool %u  %6u x %6llu KiB  [%s] %u free\n", i, pool.count,
		       (unsigned long long)pool.length >> 10, bar, pool.free);
	}
	if (block.heap_size)
		printf("  heap    %15llu KiB  %llu KiB free\n",
		       (unsigned long long)block.heap_size >> 10,
		       (unsigned long long)block.heap_free >> 10);
}

/* /proc/cmem of this block; cuts long lists of free buffers. */
static void print_proc(void)
{
	FILE *proc = fopen("/proc/cmem", "r");
	char heading[32], line[256];
	bool inside = false, listing = false;
	unsigned int in_list = 0;

	if (!proc)
		fail("/proc/cmem: %s", strerror(errno));
	snprintf(heading, sizeof(heading), "Block %d:", BLOCK);
	printf("/proc/cmem, block %d:\n", BLOCK);
	while (fgets(line, sizeof(line), proc)) {
		if (!strncmp(line, "Block ", 6))
			inside = !strncmp(line, heading, strlen(heading));
		if (!inside || line[0] == '\n')
			continue;
		if (listing && !strncmp(line, "id ", 3)) {
			if (++in_list <= FREE_LINES)
				printf("  %s", line);
			continue;
		}
		if (in_list > FREE_LINES)
			printf("  ... and %u more\n", in_list - FREE_LINES);
		in_list = 0;
		listing = strstr(line, "free bufs");
		printf("  %s", line);
	}
	if (in_list > FREE_LINES)
		printf("  ... and %u more\n", in_list - FREE_LINES);
	fclose(proc);
}

/*
 * The expected result of the DSP, computed from the original picture: the outlines
 * (Sobel) of each colour on white. Outside the picture, the edge pixels repeat.
 */
static uint8_t *sketch(const struct picture *picture)
{
	int width = picture->width, height = picture->height;
	size_t pitch = (size_t)width * BYTES_PER_PIXEL;
	uint8_t *result = checked(malloc(pitch * height)), *to = result;

	for (int y = 0; y < height; y++) {
		const uint8_t *above = picture->pixels + (y ? y - 1 : 0) * pitch;
		const uint8_t *here = picture->pixels + y * pitch;
		const uint8_t *below = picture->pixels + (y + 1 < height ? y + 1 : y) * pitch;

		for (int x = 0; x < width; x++) {
			int left = (x ? x - 1 : 0) * BYTES_PER_PIXEL;
			int middle = x * BYTES_PER_PIXEL;
			int right = (x + 1 < width ? x + 1 : x) * BYTES_PER_PIXEL;

			for (int c = 0; c < BYTES_PER_PIXEL; c++) {
				int across = above[right + c] + 2 * here[right + c] + below[right + c] -
					above[left + c] - 2 * here[left + c] - below[left + c];
				int down = below[left + c] + 2 * below[middle + c] + below[right + c] -
					above[left + c] - 2 * above[middle + c] - above[right + c];
				int strength = abs(across) + abs(down);

				*to++ = 255 - (strength < 255 ? strength : 255);
			}
		}
	}
	return result;
}

static void send_job(struct port *dsp, const struct picture *picture, const struct frame *frame,
		     size_t pitch)
{
	tell(dsp, "sketch 0x%llx %u %u %zu\n", (unsigned long long)frame->phys_addr,
	     picture->width, picture->height, pitch);
}

static void write_picture(const struct picture *picture, const struct frame *frame,
			  size_t pitch)
{
	size_t row = (size_t)picture->width * BYTES_PER_PIXEL;

	for (uint32_t y = 0; y < picture->height; y++)
		memcpy(frame->mapping + y * pitch, picture->pixels + y * row, row);
}

static void read_picture(uint8_t *pixels, const struct picture *picture, const uint8_t *mapping,
			 size_t pitch)
{
	size_t row = (size_t)picture->width * BYTES_PER_PIXEL;

	for (uint32_t y = 0; y < picture->height; y++)
		memcpy(pixels + y * row, mapping + y * pitch, row);
}

static void send_picture(struct port *port, const struct picture *picture, const uint8_t *pixels)
{
	size_t size = (size_t)picture->width * BYTES_PER_PIXEL * picture->height;

	tell(port, "picture %u %u\n", picture->width, picture->height);
	if (fwrite(pixels, 1, size, port->to) != size || fflush(port->to))
		fail("sending the picture back: %s", strerror(errno));
}

static void share_picture(int cmem, struct port *dsp, struct port *pictures, const struct picture *picture,
			  size_t pitch)
{
	size_t row = (size_t)picture->width * BYTES_PER_PIXEL, used = pitch * picture->height;
	uint8_t *result = checked(malloc(row * picture->height)), *right = sketch(picture);
	struct frame frames[FRAMES];
	struct cmem_pool_info pool;
	size_t changed = 0;

	begin_ownership();
	for (int i = 0; i < FRAMES; i++)
		frames[i] = allocate_frame(cmem, CMEM_POOL_BEST, used);
	pool = get_pool(cmem, frames[0].pool);
	printf("The guest allocates %d frames of %zu bytes; the best fit is pool %d, %u buffers of %llu KiB.\n",
	       FRAMES, used, frames[0].pool, pool.count, (unsigned long long)pool.length >> 10);

	write_picture(picture, &frames[0], pitch);
	write_back(&frames[0], used);
	printf("It writes the picture into the frame at 0x%llx, writes the cache back, and tells the DSP that address.\n",
	       (unsigned long long)frames[0].phys_addr);
	send_job(dsp, picture, &frames[0], pitch);
	expect(dsp, "half");
	tell(dsp, "continue\n");
	expect(dsp, "done");

	invalidate(&frames[0], used);
	read_picture(result, picture, frames[0].mapping, pitch);
	for (size_t i = 0; i < row * picture->height; i++) {
		if (result[i] != right[i])
			fail("byte %zu of the DSP's picture is %u, the guest computes %u", i,
			     result[i], right[i]);
		changed += result[i] != picture->pixels[i];
	}
	if (!all_zero(&frames[1]))
		fail("the frame at 0x%llx is no longer zero: the DSP was never told of it",
		     (unsigned long long)frames[1].phys_addr);
	printf("The DSP has worked on it in place: %zu of %zu bytes changed, each as the guest computes it itself.\n",
	       changed, row * picture->height);

	send_picture(pictures, picture, result);
	printf("\n");
	print_map(cmem);
	printf("\n");
	print_proc();
	for (int i = 0; i < FRAMES; i++)
		free_frame(&frames[i]);
	end_ownership();
	free(result);
	free(right);
}

/* The filter: another process, which has only its end of a socket. */

struct filter_job {
	uint32_t width, height;
	uint64_t pitch;
};

static void send_dmabuf(int socket, const struct filter_job *job, int dmabuf)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .header = {
		.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
	} };
	struct iovec part = { .iov_base = (void *)job, .iov_len = sizeof(*job) };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control.space),
	};

	memcpy(CMSG_DATA(&control.header), &dmabuf, sizeof(dmabuf));
	if (sendmsg(socket, &message, 0) != sizeof(*job))
		fail("sending the DMA-BUF over a socket: %s", strerror(errno));
}

static int receive_dmabuf(int socket, struct filter_job *job)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec part = { .iov_base = job, .iov_len = sizeof(*job) };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control.space),
	};
	int dmabuf;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != sizeof(*job) ||
	    control.header.cmsg_type != SCM_RIGHTS)
		fail("the filter got no DMA-BUF over its socket");
	memcpy(&dmabuf, CMSG_DATA(&control.header), sizeof(dmabuf));
	return dmabuf;
}

static void access_dmabuf(int dmabuf, uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = flags };

	if (ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync))
		fail("DMA_BUF_IOCTL_SYNC: %s", strerror(errno));
}

static void __attribute__((noreturn)) run_filter(int socket)
{
	struct picture picture;
	struct filter_job job;
	uint8_t *mapping, *result;
	size_t length, row;
	int dmabuf;

	dmabuf = receive_dmabuf(socket, &job);
	length = lseek(dmabuf, 0, SEEK_END);
	picture = (struct picture){ .width = job.width, .height = job.height };
	row = (size_t)job.width * BYTES_PER_PIXEL;
	picture.pixels = checked(malloc(row * job.height));
	mapping = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
	if (mapping == MAP_FAILED)
		fail("the filter cannot map the DMA-BUF of %zu bytes: %s", length, strerror(errno));

	access_dmabuf(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW);
	read_picture(picture.pixels, &picture, mapping, job.pitch);
	result = sketch(&picture);
	for (uint32_t y = 0; y < job.height; y++)
		memcpy(mapping + y * job.pitch, result + y * row, row);
	access_dmabuf(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW);
	printf("The filter, process %d, has mapped a DMA-BUF of %zu bytes and worked on it in place.\n",
	       getpid(), length);
	exit(EXIT_SUCCESS);
}

static pid_t start_filter(int *socket)
{
	int ends[2];
	pid_t child;

	fflush(stdout);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends))
		fail("socketpair: %s", strerror(errno));
	child = fork();
	if (child < 0)
		fail("fork: %s", strerror(errno));
	if (!child) {
		/* All files of the parent, also /dev/cmem, but this and the output */
		if (dup2(ends[1], STDIN_FILENO) < 0 || close_range(STDERR_FILENO + 1, ~0U, 0))
			fail("the filter cannot close its parent's files: %s", strerror(errno));
		run_filter(STDIN_FILENO);
	}
	close(ends[1]);
	*socket = ends[0];
	return child;
}

static void share_dmabuf(int cmem, struct port *pictures, const struct picture *picture,
			 size_t pitch)
{
	struct filter_job job = { picture->width, picture->height, pitch };
	size_t row = (size_t)picture->width * BYTES_PER_PIXEL, used = pitch * picture->height;
	uint8_t *result = checked(malloc(row * picture->height)), *right = sketch(picture);
	struct free_counts before = count_free(cmem), after;
	int socket, dmabuf, status;
	struct frame frame;
	pid_t filter = start_filter(&socket);

	begin_ownership();
	frame = allocate_frame(cmem, CMEM_POOL_BEST, used);
	write_picture(picture, &frame, pitch);
	dmabuf = CMEM_export_dmabuf(frame.mapping);
	if (dmabuf < 0)
		fail("CMEM_export_dmabuf: %s", strerror(errno));
	/* The CPU has written data for another processor or device. */
	access_dmabuf(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE);
	printf("The guest writes the picture into another frame, and sends a DMA-BUF of it over a socket.\n");
	fflush(stdout);
	send_dmabuf(socket, &job, dmabuf);
	if (waitpid(filter, &status, 0) != filter || status)
		fail("the filter did not end well");

	access_dmabuf(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
	read_picture(result, picture, frame.mapping, pitch);
	if (memcmp(result, right, row * picture->height))
		fail("the filter's picture is not what the guest computes");
	printf("What the guest reads through its own mapping is what it computes itself.\n");
	send_picture(pictures, picture, result);

	/* For a while, only the DMA-BUF holds the frame. */
	free_frame(&frame);
	end_ownership();
	after = count_free(cmem);
	if (after.free[frame.pool] != before.free[frame.pool] - 1)
		fail("pool %d has %u free buffers while a DMA-BUF holds one, expected %u",
		     frame.pool, after.free[frame.pool], before.free[frame.pool] - 1);
	close(dmabuf);
	after = count_free(cmem);
	expect_free(&before, &after);
	close(socket);
	free(result);
	free(right);
}

/* The program to be killed: it maps its frames, the DSP works on one. */
static void __attribute__((noreturn))
hold_frames(int cmem, struct port *dsp, int ready, const struct picture *picture, size_t pitch)
{
	struct frame frames[KILLED_FRAMES];

	begin_ownership();
	for (int i = 0; i < KILLED_FRAMES; i++) {
		frames[i] = allocate_frame(cmem, CMEM_POOL_BEST, pitch * picture->height);
		write_picture(picture, &frames[i], pitch);
	}
	write_back(&frames[0], pitch * picture->height);
	send_job(dsp, picture, &frames[0], pitch);
	expect(dsp, "half");
	if (write(ready, frames, sizeof(frames)) != sizeof(frames))
		fail("the pipe to the parent: %s", strerror(errno));
	for (;;)
		pause();
}

static void kill_half_way(int cmem, struct port *dsp, const struct picture *picture, size_t pitch)
{
	struct free_counts before = count_free(cmem), during, after;
	struct frame held[KILLED_FRAMES], *reused;
	unsigned int held_here = 0, held_again = 0, dirty = 0;
	int ready[2], status, pool;
	pid_t child;

	fflush(stdout);
	if (pipe(ready))
		fail("pipe: %s", strerror(errno));
	child = fork();
	if (child < 0)
		fail("fork: %s", strerror(errno));
	if (!child) {
		close(ready[0]);
		hold_frames(cmem, dsp, ready[1], picture, pitch);
	}
	close(ready[1]);
	if (read(ready[0], held, sizeof(held)) != sizeof(held))
		fail("the second program did not get as far as the DSP");
	close(ready[0]);
	during = count_free(cmem);
	pool = held[0].pool;

	kill(child, SIGKILL);
	if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
		fail("the second program ended before it was killed");
	after = count_free(cmem);
	/* CMEM can't stop a DSP: the program's killer must stop it first. */
	tell(dsp, "stop\n");
	expect(dsp, "stopped");

	printf("A second program takes %d frames and is killed (SIGKILL) when the DSP has done half of its work.\n",
	       KILLED_FRAMES);
	printf("Free buffers of pool %d: %u before, %u while it ran, %u after.\n", pool,
	       before.free[pool], during.free[pool], after.free[pool]);
	if (during.free[pool] >= before.free[pool])
		fail("the second program was killed before it held a frame");
	expect_free(&before, &after);

	/*
	 * The next owner of its memory must not see its picture. Allocate all free
	 * buffers as a new owner: a previous owner may get its own buffers back, not
	 * zeroed.
	 */
	begin_ownership();
	reused = checked(calloc(after.free[pool], sizeof(*reused)));
	for (uint32_t i = 0; i < after.free[pool]; i++) {
		reused[i] = allocate_frame(cmem, pool, pitch * picture->height);
		dirty += !all_zero(&reused[i]);
		for (int j = 0; j < KILLED_FRAMES; j++)
			held_again += reused[i].phys_addr == held[j].phys_addr;
	}
	for (int j = 0; j < KILLED_FRAMES; j++)
		held_here += held[j].pool == pool;
	for (uint32_t i = 0; i < after.free[pool]; i++)
		free_frame(&reused[i]);
	free(reused);
	end_ownership();
	if (held_again != held_here)
		fail("of its %u frames only %u can be allocated again", held_here, held_again);
	if (dirty)
		fail("%u of the %u frames are not zero for their next owner", dirty,
		     after.free[pool]);
	printf("Its memory is back: a third one can allocate all %u, and finds them zero.\n",
	       after.free[pool]);
	after = count_free(cmem);
	expect_free(&before, &after);
}

int main(void)
{
	struct cmem_info info = { .size = sizeof(info) };
	struct port dsp = open_port("org.ti-cmem.dsp");
	struct port pictures = open_port("org.ti-cmem.picture");
	struct picture picture = receive_picture(&pictures);
	struct free_counts at_start, at_end;
	int cmem = open_cmem();
	size_t pitch;

	if (ioctl(cmem, CMEM_IOCTL_GET_INFO, &info))
		fail("CMEM_IOCTL_GET_INFO: %s", strerror(errno));
	at_start = count_free(cmem);
	/* Rows begin at a cache line, as accelerators need. */
	pitch = ((size_t)picture.width * BYTES_PER_PIXEL + info.cache_line - 1) &
		~((size_t)info.cache_line - 1);

	share_picture(cmem, &dsp, &pictures, &picture, pitch);
	printf("\n");
	share_dmabuf(cmem, &pictures, &picture, pitch);
	printf("\n");
	kill_half_way(cmem, &dsp, &picture, pitch);

	at_end = count_free(cmem);
	expect_free(&at_start, &at_end);
	printf("OK: block %d is as full as it was at the start.\n", BLOCK);
	return EXIT_SUCCESS;
}
