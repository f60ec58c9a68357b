// SPDX-License-Identifier: BSD-3-Clause
/*
 * A camera captures into CMEM buffers: it imports their DMA-BUFs (V4L2_MEMORY_DMABUF),
 * and writes each frame to a known physical address, where a DSP may read it. Nothing
 * is copied.
 *
 *	cc -o capture capture.c $(pkg-config --cflags --libs cmem)
 *	./capture /dev/video0 30 frame.raw
 *
 * It uses the camera's current format: v4l2-ctl --set-fmt-video=... sets it.
 */
#define _FILE_OFFSET_BITS 64	/* physical addresses may have more than 32 bits */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <ti/cmem.h>
#include <unistd.h>

#define BUFFERS		4	/* of the camera: it fills one, others are full or wait */
#define PATIENCE_MS	5000	/* to wait for a frame */

static struct buffer {
	void *memory;
	unsigned long long phys;
	int fd;			/* of its DMA-BUF */
} buffers[BUFFERS];

static void die(const char *what)
{
	fprintf(stderr, "capture: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static void must(int fd, unsigned long command, void *argument, const char *what)
{
	int ret;

	do {
		ret = ioctl(fd, command, argument);
	} while (ret && errno == EINTR);
	if (ret)
		die(what);
}

static int open_camera(const char *device, struct v4l2_pix_format *pix)
{
	struct v4l2_format format = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	struct v4l2_capability capability;
	int camera = open(device, O_RDWR | O_CLOEXEC);

	if (camera < 0)
		die(device);
	must(camera, VIDIOC_QUERYCAP, &capability, "VIDIOC_QUERYCAP");
	if (!(capability.device_caps & V4L2_CAP_VIDEO_CAPTURE) ||
	    !(capability.device_caps & V4L2_CAP_STREAMING)) {
		fprintf(stderr, "capture: %s streams no single-planar video\n", device);
		exit(EXIT_FAILURE);
	}
	must(camera, VIDIOC_G_FMT, &format, "VIDIOC_G_FMT");
	*pix = format.fmt.pix;
	printf("%ux%u, %.4s, %u bytes in a row, %u in a frame\n", pix->width, pix->height,
	       (const char *)&pix->pixelformat, pix->bytesperline, pix->sizeimage);
	return camera;
}

/* Allocate the camera's buffers from any pool that fits. */
static void allocate(size_t size)
{
	CMEM_AllocParams params = { .type = CMEM_POOL, .flags = CMEM_CACHED };

	for (int i = 0; i < BUFFERS; i++) {
		buffers[i].memory = CMEM_alloc(size, &params);
		if (!buffers[i].memory)
			die("CMEM_alloc");
		buffers[i].phys = CMEM_getPhys64(buffers[i].memory);
		buffers[i].fd = CMEM_export_dmabuf(buffers[i].memory);
		if (buffers[i].fd < 0)
			die("CMEM_export_dmabuf");
	}
}

static void give(int camera, unsigned int index)
{
	struct v4l2_buffer buffer = {
		.index = index, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.memory = V4L2_MEMORY_DMABUF, .m.fd = buffers[index].fd,
	};

	must(camera, VIDIOC_QBUF, &buffer, "VIDIOC_QBUF");
}

/* Waits for a frame; returns its buffer number. */
static unsigned int take(int camera, unsigned int *length)
{
	struct v4l2_buffer buffer = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_DMABUF,
	};
	struct pollfd poll_fd = { .fd = camera, .events = POLLIN };

	if (poll(&poll_fd, 1, PATIENCE_MS) == 0)
		errno = ETIMEDOUT;
	else
		errno = 0;
	if (errno || !(poll_fd.revents & POLLIN)) {
		errno = errno ? errno : EIO;
		die("no frame");
	}
	must(camera, VIDIOC_DQBUF, &buffer, "VIDIOC_DQBUF");
	*length = buffer.flags & V4L2_BUF_FLAG_ERROR ? 0 : buffer.bytesused;
	return buffer.index;
}

/*
 * The CPU accesses a frame only between these two calls: they maintain the caches for the
 * camera, which may not snoop them.
 */
static void access_frame(const struct buffer *buffer, __u64 when)
{
	struct dma_buf_sync sync = { .flags = when | DMA_BUF_SYNC_READ };

	must(buffer->fd, DMA_BUF_IOCTL_SYNC, &sync, "DMA_BUF_IOCTL_SYNC");
}

static void save(const char *path, const struct buffer *buffer, size_t length)
{
	FILE *file = fopen(path, "w");

	if (!file)
		die(path);
	access_frame(buffer, DMA_BUF_SYNC_START);
	fwrite(buffer->memory, 1, length, file);
	access_frame(buffer, DMA_BUF_SYNC_END);
	if (fclose(file))
		die(path);
}

int main(int argc, char **argv)
{
	struct v4l2_requestbuffers request = {
		.count = BUFFERS, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_DMABUF,
	};
	int frames = argc > 2 ? atoi(argv[2]) : 1, type = request.type, camera;
	struct v4l2_pix_format pix;

	if (argc < 2 || argc > 4 || frames < 1) {
		fprintf(stderr, "usage: capture DEVICE [FRAMES [FILE for the last one]]\n");
		return 2;
	}
	if (CMEM_init())
		die("CMEM_init");
	camera = open_camera(argv[1], &pix);
	allocate(pix.sizeimage);
	must(camera, VIDIOC_REQBUFS, &request, "VIDIOC_REQBUFS");
	if (request.count > BUFFERS) {
		fprintf(stderr, "capture: the camera wants %u buffers\n", request.count);
		return EXIT_FAILURE;
	}
	for (unsigned int i = 0; i < request.count; i++)
		give(camera, i);
	must(camera, VIDIOC_STREAMON, &type, "VIDIOC_STREAMON");

	for (int n = 1; n <= frames; n++) {
		unsigned int length, i = take(camera, &length);

		printf("frame %d: %u bytes at %#llx\n", n, length, buffers[i].phys);
		if (n == frames && argc > 3)
			save(argv[3], &buffers[i], length);
		give(camera, i);
	}

	/* The camera releases the buffers; then they may be freed. */
	must(camera, VIDIOC_STREAMOFF, &type, "VIDIOC_STREAMOFF");
	close(camera);
	for (int i = 0; i < BUFFERS; i++) {
		close(buffers[i].fd);
		CMEM_free(buffers[i].memory, NULL);
	}
	CMEM_exit();
	return EXIT_SUCCESS;
}
