// SPDX-License-Identifier: BSD-3-Clause
/*
 * Records the frames of a camera into a file, without a copy. The camera (V4L2) captures
 * into page-backed CMEM buffers: it imports their DMA-BUFs (V4L2_MEMORY_DMABUF). From the
 * same pages the frames go to the disk, with O_DIRECT, one io_uring request per buffer.
 *
 *	cc -o record record.c $(pkg-config --cflags --libs cmem)
 *	./record /dev/video0 video.raw 300
 *	ffplay -f rawvideo -pixel_format yuyv422 -video_size 640x480 video.raw
 *
 * It uses the camera's current format: v4l2-ctl --set-fmt-video=... sets it.
 *
 * A camera may not snoop the CPU's caches, and nor may a disk. The disk reads what the
 * camera wrote: the program has no dirty cache line of a buffer, and the disk's driver
 * maps the pages for DMA, which writes back those of a camera that is software (vivid).
 * The kernel may also read a frame with the CPU, to encrypt it, to compute a checksum, or
 * to copy it after all. DMA_BUF_IOCTL_SYNC before the write drops older cache lines.
 */
#define _GNU_SOURCE		/* O_DIRECT, ppoll(), statx() */
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/dma-buf.h>
#include <linux/io_uring.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ti/cmem.h>
#include <unistd.h>

#define BUFFERS		8	/* the camera fills some while the disk reads others */
#define PATIENCE_S	5	/* to wait for a frame */
#define ANY_BLOCK	INT_MIN

/* A multiple of the logical block sizes of disks, if the kernel does not tell */
#define USUAL_BLOCK	4096

static struct buffer {
	void *memory;
	int fd;			/* of its DMA-BUF */
	/* The frame in it, if the disk has the buffer */
	unsigned int frame;
	uint64_t before;	/* bytes of all frames before this one */
	uint64_t offset;	/* in the file */
	size_t length;		/* in the file */
	size_t written;
} buffers[BUFFERS];

static struct {
	int fd;
	unsigned int *tail, *mask, *array;	/* of the submission queue */
	unsigned int *head, *done_tail, *done_mask;	/* of the completion queue */
	struct io_uring_sqe *requests;
	struct io_uring_cqe *completions;
	unsigned int in_flight;
} ring;

static struct {
	const char *path;
	int fd;
	size_t step;		/* direct I/O writes multiples of this; 1: it is not direct */
} file;

static struct {
	const char *path;
	int fd;
	unsigned int buffers;	/* that it uses, of all */
} camera;

static unsigned int wanted = UINT_MAX;
static bool failed;
static int write_error;		/* errno */

/* What the file has, up to the first frame that could not be written */
static struct {
	unsigned int frames;
	uint64_t bytes;		/* of the frames */
	uint64_t end;		/* of the file, with what pads the frames */
} recorded;

static unsigned int copies;	/* frames */
static unsigned int lost;	/* frames that came to no buffer, or damaged */

static volatile sig_atomic_t stop;

static void interrupt(int signal_number)
{
	stop = signal_number;
}

static int __attribute__((format(printf, 1, 2)))
error(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "record: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	failed = true;
	return -1;
}

static int command(int fd, unsigned long number, void *argument)
{
	int ret;

	do {
		ret = ioctl(fd, number, argument);
	} while (ret && errno == EINTR);
	return ret;
}

static size_t round_up(size_t length, size_t step)
{
	return (length + step - 1) / step * step;
}

/* The file */

static int open_file(void)
{
	const int flags = O_RDWR | O_CREAT | O_CLOEXEC;	/* O_RDWR: in_page_cache() maps it */
	struct stat status;

	file.step = USUAL_BLOCK;
	file.fd = open(file.path, flags | O_DIRECT, 0666);
	if (file.fd < 0 && errno == EINVAL) {
		file.step = 1;
		file.fd = open(file.path, flags, 0666);
	}
	if (file.fd < 0)
		return error("%s: %s", file.path, strerror(errno));
	if (fstat(file.fd, &status) || !S_ISREG(status.st_mode))
		return error("%s is no regular file", file.path);
#ifdef STATX_DIOALIGN
	struct statx facts;

	/* Zero: the file system takes O_DIRECT and copies all the same. */
	if (file.step > 1 && !statx(file.fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &facts) &&
	    facts.stx_mask & STATX_DIOALIGN)
		file.step = facts.stx_dio_offset_align ? facts.stx_dio_offset_align : 1;
#endif
	if (file.step == 1)
		fprintf(stderr, "record: %s: this file system has no direct I/O; the kernel copies each frame\n",
			file.path);
	return 0;
}

/*
 * Whether the page cache has any of a part of the file: the kernel has copied it to there.
 * Direct I/O leaves nothing there. What can't be found out counts as copied.
 */
static bool in_page_cache(uint64_t offset, size_t length)
{
	size_t page = sysconf(_SC_PAGESIZE), before = offset % page;
	size_t pages = round_up(before + length, page) / page;
	unsigned char *resident = malloc(pages);
	bool found = true;
	void *map;

	map = mmap(NULL, before + length, PROT_READ, MAP_SHARED, file.fd, offset - before);
	if (map == MAP_FAILED) {
		free(resident);
		return true;
	}
	if (resident && !mincore(map, before + length, resident)) {
		found = false;
		for (size_t i = 0; i < pages; i++)
			found |= resident[i] & 1;
	}
	munmap(map, before + length);
	free(resident);
	return found;
}

/* io_uring, see io_uring_setup(2) */

static void *map_ring(size_t length, off_t offset)
{
	void *map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd,
			 offset);

	if (map == MAP_FAILED)
		error("io_uring can't be mapped: %s", strerror(errno));
	return map;
}

static int open_ring(void)
{
	struct io_uring_params p = { 0 };
	void *sq, *cq, *requests;

	ring.fd = syscall(__NR_io_uring_setup, BUFFERS, &p);
	if (ring.fd < 0)
		return error("io_uring_setup: %s: the kernel must have CONFIG_IO_URING, and 0 in /proc/sys/kernel/io_uring_disabled",
			     strerror(errno));
	sq = map_ring(p.sq_off.array + p.sq_entries * sizeof(*ring.array), IORING_OFF_SQ_RING);
	cq = map_ring(p.cq_off.cqes + p.cq_entries * sizeof(*ring.completions),
		      IORING_OFF_CQ_RING);
	requests = map_ring(p.sq_entries * sizeof(*ring.requests), IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || requests == MAP_FAILED)
		return -1;
	ring.requests = requests;
	ring.completions = (void *)((char *)cq + p.cq_off.cqes);
	ring.tail = (void *)((char *)sq + p.sq_off.tail);
	ring.mask = (void *)((char *)sq + p.sq_off.ring_mask);
	ring.array = (void *)((char *)sq + p.sq_off.array);
	ring.head = (void *)((char *)cq + p.cq_off.head);
	ring.done_tail = (void *)((char *)cq + p.cq_off.tail);
	ring.done_mask = (void *)((char *)cq + p.cq_off.ring_mask);
	return 0;
}

/* Begin to write what is not yet written of a frame. */
static int write_frame(unsigned int index)
{
	const struct buffer *buffer = &buffers[index];
	unsigned int tail = *ring.tail, at = tail & *ring.mask;
	long ret;

	ring.requests[at] = (struct io_uring_sqe) {
		.opcode = IORING_OP_WRITE, .fd = file.fd,
		.addr = (uintptr_t)buffer->memory + buffer->written,
		.len = buffer->length - buffer->written,
		.off = buffer->offset + buffer->written,
		.user_data = index,
	};
	ring.array[at] = at;
	__atomic_store_n(ring.tail, tail + 1, __ATOMIC_RELEASE);
	do {
		ret = syscall(__NR_io_uring_enter, ring.fd, 1, 0, 0, NULL, 0);
	} while (ret < 0 && (errno == EINTR || errno == EAGAIN));
	if (ret != 1)
		return error("io_uring_enter: %s", strerror(errno));
	ring.in_flight++;
	return 0;
}

/* The buffers */

static void release_buffers(void)
{
	for (unsigned int i = 0; i < BUFFERS && buffers[i].memory; i++) {
		if (buffers[i].fd >= 0)
			close(buffers[i].fd);
		CMEM_free(buffers[i].memory, NULL);
		buffers[i].memory = NULL;
	}
}

/* All from one block: from a pool that fits, or else from the heap */
static int allocate_from(int block, size_t size)
{
	CMEM_AllocParams pool = { .type = CMEM_POOL, .flags = CMEM_CACHED | CMEM_PAGES };
	CMEM_AllocParams heap = { .type = CMEM_HEAP, .flags = CMEM_CACHED | CMEM_PAGES };
	int reason;

	for (unsigned int i = 0; i < camera.buffers; i++) {
		struct buffer *buffer = &buffers[i];

		buffer->fd = -1;
		buffer->memory = CMEM_alloc2(block, size, &pool);
		if (!buffer->memory)
			buffer->memory = CMEM_alloc2(block, size, &heap);
		if (buffer->memory)
			buffer->fd = CMEM_export_dmabuf(buffer->memory);
		if (buffer->fd < 0) {
			reason = errno;
			release_buffers();
			errno = reason;
			return -1;
		}
	}
	return 0;
}

static int allocate(int block, size_t size)
{
	int blocks = 0, where = 0, reason = 0;

	if (block != ANY_BLOCK) {
		if (allocate_from(block, size))
			return error("block %d has no %u page-backed buffers of %zu bytes: %s; cmemctl info tells which blocks can be page-backed, and what is free",
				     block, camera.buffers, size, strerror(errno));
		return 0;
	}
	/* Behind the numbered blocks, that of CMA areas */
	CMEM_getNumBlocks(&blocks);
	for (int i = 0; i <= blocks; i++) {
		block = i < blocks ? i : CMEM_CMABLOCKID;
		if (!allocate_from(block, size))
			return 0;
		/* Where others hold the memory, it may become free. */
		if (!reason || (errno == ENOMEM && reason != ENOMEM)) {
			reason = errno;
			where = block;
		}
	}
	return error("no block has %u page-backed buffers of %zu bytes: %s in block %d; cmemctl info tells which blocks can be page-backed, and what is free",
		     camera.buffers, size, strerror(reason), where);
}

/* See the comment at the top. */
static int sync_buffer(const struct buffer *buffer, __u64 when)
{
	struct dma_buf_sync sync = { .flags = when | DMA_BUF_SYNC_READ };

	if (command(buffer->fd, DMA_BUF_IOCTL_SYNC, &sync))
		return error("DMA_BUF_IOCTL_SYNC: %s", strerror(errno));
	return 0;
}

/* The camera */

static int open_camera(struct v4l2_pix_format *pix)
{
	struct v4l2_format format = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	struct v4l2_requestbuffers request = {
		.count = BUFFERS, .type = format.type, .memory = V4L2_MEMORY_DMABUF,
	};
	struct v4l2_capability capability;

	camera.fd = open(camera.path, O_RDWR | O_CLOEXEC);
	if (camera.fd < 0)
		return error("%s: %s", camera.path, strerror(errno));
	if (command(camera.fd, VIDIOC_QUERYCAP, &capability))
		return error("%s is no camera: VIDIOC_QUERYCAP: %s", camera.path, strerror(errno));
	if (!(capability.device_caps & V4L2_CAP_VIDEO_CAPTURE) ||
	    !(capability.device_caps & V4L2_CAP_STREAMING))
		return error("%s streams no single-planar video", camera.path);
	if (command(camera.fd, VIDIOC_G_FMT, &format))
		return error("%s: VIDIOC_G_FMT: %s", camera.path, strerror(errno));
	if (command(camera.fd, VIDIOC_REQBUFS, &request))
		return error("%s takes no DMA-BUFs, or another process has its buffers: VIDIOC_REQBUFS: %s",
			     camera.path, strerror(errno));
	if (request.count > BUFFERS)
		return error("%s wants %u buffers, not %d", camera.path, request.count, BUFFERS);
	camera.buffers = request.count;
	*pix = format.fmt.pix;
	printf("%ux%u, %.4s, %u bytes in a row, %u in a frame\n", pix->width, pix->height,
	       (const char *)&pix->pixelformat, pix->bytesperline, pix->sizeimage);
	return 0;
}

static int give_to_camera(unsigned int index)
{
	struct v4l2_buffer buffer = {
		.index = index, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.memory = V4L2_MEMORY_DMABUF, .m.fd = buffers[index].fd,
	};

	if (command(camera.fd, VIDIOC_QBUF, &buffer))
		return error("%s: VIDIOC_QBUF: %s", camera.path, strerror(errno));
	return 0;
}

static int start(void)
{
	int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;

	if (ftruncate(file.fd, 0))
		return error("%s: %s", file.path, strerror(errno));
	for (unsigned int i = 0; i < camera.buffers; i++)
		if (give_to_camera(i))
			return -1;
	if (command(camera.fd, VIDIOC_STREAMON, &type))
		return error("%s: VIDIOC_STREAMON: %s", camera.path, strerror(errno));
	return 0;
}

/* Recording */

/* Take a frame from the camera, and begin to write it. */
static int take_frame(void)
{
	struct v4l2_buffer taken = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_DMABUF,
	};
	static uint32_t expected;
	struct buffer *buffer;

	if (command(camera.fd, VIDIOC_DQBUF, &taken))
		return error("%s: VIDIOC_DQBUF: %s", camera.path, strerror(errno));
	if (recorded.frames && taken.sequence > expected)
		lost += taken.sequence - expected;
	expected = taken.sequence + 1;
	if (taken.flags & V4L2_BUF_FLAG_ERROR || !taken.bytesused) {
		lost++;
		return give_to_camera(taken.index);
	}

	buffer = &buffers[taken.index];
	buffer->frame = recorded.frames;
	buffer->before = recorded.bytes;
	buffer->offset = recorded.end;
	buffer->length = round_up(taken.bytesused, file.step);
	buffer->written = 0;
	if (sync_buffer(buffer, DMA_BUF_SYNC_START) || write_frame(taken.index))
		return -1;
	recorded.frames++;
	recorded.bytes += taken.bytesused;
	recorded.end += buffer->length;
	return 0;
}

/* The recording ends before this frame, or before an earlier one that fails later. */
static void cut(const struct buffer *buffer, int reason)
{
	failed = true;
	if (!write_error)
		write_error = reason;
	if (buffer->frame < recorded.frames) {
		recorded.frames = buffer->frame;
		recorded.bytes = buffer->before;
		recorded.end = buffer->offset;
	}
}

static bool is_finished(void)
{
	return failed || stop || recorded.frames == wanted;
}

static void end_write(unsigned int index, int result)
{
	struct buffer *buffer = &buffers[index];

	if (result <= 0) {
		cut(buffer, result ? -result : EIO);
		return;
	}
	buffer->written += result;
	if (buffer->written < buffer->length) {
		if (write_frame(index))
			cut(buffer, EIO);
		return;
	}
	copies += in_page_cache(buffer->offset, buffer->length);
	sync_buffer(buffer, DMA_BUF_SYNC_END);
	if (!is_finished())
		give_to_camera(index);
}

static void end_writes(void)
{
	unsigned int head = *ring.head;

	while (head != __atomic_load_n(ring.done_tail, __ATOMIC_ACQUIRE)) {
		const struct io_uring_cqe *done = &ring.completions[head & *ring.done_mask];
		unsigned int index = done->user_data;
		int result = done->res;

		__atomic_store_n(ring.head, ++head, __ATOMIC_RELEASE);
		ring.in_flight--;
		end_write(index, result);
	}
}

/* Signals come while it waits and at no other time: @mask is for then. */
static void record(const sigset_t *mask)
{
	const struct timespec patience = { .tv_sec = PATIENCE_S };

	while (!is_finished() || ring.in_flight) {
		struct pollfd fds[] = {
			{ .fd = is_finished() ? -1 : camera.fd, .events = POLLIN },
			{ .fd = ring.fd, .events = POLLIN },
		};
		int count = ppoll(fds, 2, &patience, mask);

		if (count < 0)
			continue;
		if (!count && !is_finished() && ring.in_flight < camera.buffers)
			error("%s: no frame for %d s", camera.path, PATIENCE_S);
		if (fds[1].revents)
			end_writes();
		if (fds[0].revents & POLLIN)
			take_frame();
		else if (fds[0].revents)
			error("%s does not stream any more", camera.path);
	}
}

/* The file ends with its last whole frame, and is on the disk. */
static void finish(void)
{
	if (write_error) {
		error("%s: %s; it has the first %u frames", file.path, strerror(write_error),
		      recorded.frames);
		/* Only then: it reads a block into the page cache to clear the rest of it. */
		if (ftruncate(file.fd, recorded.end))
			error("%s can't be cut: %s", file.path, strerror(errno));
	}
	if (fsync(file.fd))
		error("%s: %s", file.path, strerror(errno));
	close(file.fd);
	printf("%u frames, %llu bytes, %u copies\n", recorded.frames,
	       (unsigned long long)recorded.bytes, copies);
	if (recorded.end != recorded.bytes)
		printf("each frame is padded to a multiple of %zu bytes: the file has %llu\n",
		       file.step, (unsigned long long)recorded.end);
	if (lost)
		printf("%u frames lost: no buffer was free, or they were damaged\n", lost);
}

static const char usage[] =
	"usage: record DEVICE FILE [FRAMES [BLOCK]]\n"
	"\n"
	"Records frames of a camera into a file. The camera captures into page-backed CMEM\n"
	"buffers, and the disk reads them there: nothing is copied.\n"
	"\n"
	"  DEVICE    the camera, such as /dev/video0. v4l2-ctl sets its format.\n"
	"  FILE      what it has is lost. Frames follow each other without a gap if their\n"
	"            size is a multiple of the disk's logical block size. Otherwise each is\n"
	"            padded to one.\n"
	"  FRAMES    number of frames, from 1; by default it records until Ctrl-C\n"
	"  BLOCK     number of the block that the buffers are from, -1 for that of CMA areas;\n"
	"            by default the first one that has them\n"
	"\n"
	"It prints how many frames and bytes the file has, and how many of the frames were\n"
	"copied: the page cache had them after they were written. That happens on file\n"
	"systems without direct I/O. A signal ends the recording, and the frames so far are\n"
	"in the file. The exit status is 0 if they are, 1 after an error, 2 for wrong\n"
	"arguments.\n";

static bool parse(const char *text, long long min, long long max, long long *number)
{
	char *end;

	errno = 0;
	*number = strtoll(text, &end, 0);
	return !errno && end != text && !*end && *number >= min && *number <= max;
}

static int wrong_arguments(const char *what, const char *argument)
{
	fprintf(stderr, "record: %s%s%s%s; record --help tells more\n", what, argument ? " '" : "",
		argument ? argument : "", argument ? "'" : "");
	return 2;
}

static void catch_signals(sigset_t *unblocked)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGQUIT, SIGHUP };
	struct sigaction action = { .sa_handler = interrupt }, old;
	sigset_t blocked;

	sigemptyset(&blocked);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		sigaction(signals[i], NULL, &old);
		if (signals[i] == SIGHUP && old.sa_handler == SIG_IGN)
			continue;	/* nohup wants it ignored */
		sigaction(signals[i], &action, NULL);
		sigaddset(&blocked, signals[i]);
	}
	sigprocmask(SIG_BLOCK, &blocked, unblocked);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigdelset(unblocked, signals[i]);
}

int main(int argc, char **argv)
{
	long long block = ANY_BLOCK, frames;
	struct v4l2_pix_format pix;
	sigset_t unblocked;

	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc < 2)
		return wrong_arguments("which DEVICE?", NULL);
	if (argc < 3)
		return wrong_arguments("which FILE?", NULL);
	if (argc > 5)
		return wrong_arguments("too many arguments, from", argv[5]);
	if (argc > 3) {
		if (!parse(argv[3], 1, UINT_MAX - 1, &frames))
			return wrong_arguments("FRAMES is no number of frames, from 1:", argv[3]);
		wanted = frames;
	}
	if (argc > 4 && !parse(argv[4], CMEM_CMABLOCKID, INT_MAX, &block))
		return wrong_arguments("BLOCK is no number of a block, from -1:", argv[4]);

	camera.path = argv[1];
	file.path = argv[2];
	catch_signals(&unblocked);
	if (CMEM_init()) {
		error("CMEM_init: %s", strerror(errno));
		return 1;
	}
	/* After an error here, the kernel frees what this process has. */
	if (open_camera(&pix) || open_file() || open_ring() ||
	    allocate(block, round_up(pix.sizeimage, file.step)) || start())
		return 1;
	record(&unblocked);
	finish();
	/* Once it is closed, the camera does not write into the buffers. */
	close(camera.fd);
	close(ring.fd);
	release_buffers();
	CMEM_exit();
	if (fflush(stdout)) {
		error("writing the standard output: %s", strerror(errno));
		return 1;
	}
	return failed ? 1 : 0;
}
