// SPDX-License-Identifier: GPL-2.0
/*
 * A camera that captures into CMEM buffers: V4L2's test driver vivid, with DMA-BUFs
 * (V4L2_MEMORY_DMABUF), and with the addresses of page-backed buffers
 * (V4L2_MEMORY_USERPTR). Each frame must match the test pattern in every pixel, and vivid
 * must write nothing outside of the pixels.
 *
 *	vivid [picture]
 *
 * With an argument it runs one case only and sends its last frame to the host.
 *
 * The kernel was booted with vivid.n_devs=2 vivid.allocators=1,0: /dev/video0 attaches a
 * device to the DMA-BUF and maps it for DMA (dma-contig); for /dev/video1 the kernel
 * maps it for itself (vmalloc), as it does with the pages behind an address.
 */
#include "consumers.h"
#include "camera.h"

#define WIDTH		640
#define HEIGHT		360
#define BYTES_PER_PIXEL	3
#define PITCH		2048	/* longer than a row: there is something beside it */
#define BUFFERS		3	/* that the camera has */
#define FRAMES		6	/* each buffer is used more than once */
#define BARS		8
#define CHECKS		4	/* of each case */

struct kind {
	const char *device, *allocator;
};

enum { DMA_CONTIG, VMALLOC };

static const struct kind kinds[] = {
	[DMA_CONTIG]	= { "/dev/video0", "dma-contig" },
	[VMALLOC]	= { "/dev/video1", "vmalloc" },
};

static const struct camera_case {
	int kind, block, flags;
	bool userptr;
} cases[] = {
	{ DMA_CONTIG,	0,		CMEM_CACHED },
	{ DMA_CONTIG,	0,		CMEM_NONCACHED },
	{ DMA_CONTIG,	2,		CMEM_CACHED },
	{ DMA_CONTIG,	2,		CMEM_NONCACHED },
	{ DMA_CONTIG,	CMEM_BLOCK_CMA,	CMEM_CACHED },
	{ DMA_CONTIG,	CMEM_BLOCK_CMA,	CMEM_NONCACHED },
	{ VMALLOC,	0,		CMEM_CACHED },
	{ VMALLOC,	0,		CMEM_NONCACHED },
	{ VMALLOC,	2,		CMEM_CACHED },
	{ VMALLOC,	2,		CMEM_NONCACHED },
	{ VMALLOC,	CMEM_BLOCK_CMA,	CMEM_CACHED },
	{ VMALLOC,	CMEM_BLOCK_CMA,	CMEM_NONCACHED },
	/* In on-chip memory, without struct pages */
	{ VMALLOC,	5,		CMEM_NONCACHED },
	/* vivid takes addresses only without dma-contig. */
	{ VMALLOC,	2,		CMEM_CACHED | CMEM_PAGES,	true },
	/* A page-backed buffer works as a DMA-BUF as well. */
	{ DMA_CONTIG,	2,		CMEM_CACHED | CMEM_PAGES },
	{ VMALLOC,	2,		CMEM_CACHED | CMEM_PAGES },
	{ DMA_CONTIG,	CMEM_BLOCK_CMA,	CMEM_CACHED | CMEM_PAGES },
	{ VMALLOC,	CMEM_BLOCK_CMA,	CMEM_CACHED | CMEM_PAGES },
};

/* The camera would pin these for long, which CMA does not allow. */
static const struct camera_case refused = {
	VMALLOC,	CMEM_BLOCK_CMA,	CMEM_CACHED | CMEM_PAGES,	true
};

/* The 100 % colour bars, in full-range RGB: no rounding. */
static const uint8_t bars[BARS][BYTES_PER_PIXEL] = {
	{ 255, 255, 255 }, { 255, 255, 0 }, { 0, 255, 255 }, { 0, 255, 0 },
	{ 255, 0, 255 }, { 255, 0, 0 }, { 0, 0, 255 }, { 0, 0, 0 },
};

static const struct frame layout = { WIDTH, HEIGHT, PITCH, BYTES_PER_PIXEL, { 0, 1, 2 } };

static int open_camera(const struct kind *kind)
{
	struct v4l2_format format = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	struct v4l2_streamparm parameters = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	struct v4l2_capability capability;
	int video = open(kind->device, O_RDWR | O_CLOEXEC);

	if (video < 0)
		fail("%s: %s", kind->device, strerror(errno));
	must_ioctl(video, VIDIOC_QUERYCAP, &capability, "VIDIOC_QUERYCAP");
	if (strcmp((char *)capability.driver, "vivid") ||
	    !(capability.device_caps & V4L2_CAP_VIDEO_CAPTURE))
		fail("%s is no camera of vivid's", kind->device);

	format.fmt.pix.width = WIDTH;
	format.fmt.pix.height = HEIGHT;
	format.fmt.pix.pixelformat = V4L2_PIX_FMT_RGB24;
	format.fmt.pix.bytesperline = PITCH;
	must_ioctl(video, VIDIOC_S_FMT, &format, "VIDIOC_S_FMT");
	if (format.fmt.pix.width != WIDTH || format.fmt.pix.height != HEIGHT ||
	    format.fmt.pix.pixelformat != V4L2_PIX_FMT_RGB24 ||
	    format.fmt.pix.bytesperline != PITCH || format.fmt.pix.sizeimage != PITCH * HEIGHT)
		fail("%s does not take the format", kind->device);
	parameters.parm.capture.timeperframe.numerator = 1;
	parameters.parm.capture.timeperframe.denominator = 10;
	must_ioctl(video, VIDIOC_S_PARM, &parameters, "VIDIOC_S_PARM");

	set_menu(video, "Test Pattern", "100% Colorbar");
	set_menu(video, "Horizontal Movement", "No Movement");
	set_menu(video, "Vertical Movement", "No Movement");
	set_menu(video, "OSD Text Mode", "None");
	return video;
}

static enum v4l2_memory memory_of(const struct camera_case *this)
{
	return this->userptr ? V4L2_MEMORY_USERPTR : V4L2_MEMORY_DMABUF;
}

/* The buffer as the camera gets it: by its DMA-BUF, or by its address */
static struct v4l2_buffer v4l2_buffer_of(const struct camera_case *this, unsigned int index,
					 const struct buffer *buffer, int fd)
{
	struct v4l2_buffer v4l2_buffer = {
		.index = index, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = memory_of(this),
	};

	if (this->userptr) {
		v4l2_buffer.m.userptr = (unsigned long)buffer->mapping;
		v4l2_buffer.length = buffer->length;
	} else {
		v4l2_buffer.m.fd = fd;
	}
	return v4l2_buffer;
}

static void queue_buffer(int video, const struct camera_case *this, unsigned int index,
			 const struct buffer *buffer, int fd)
{
	struct v4l2_buffer v4l2_buffer = v4l2_buffer_of(this, index, buffer, fd);

	must_ioctl(video, VIDIOC_QBUF, &v4l2_buffer, "VIDIOC_QBUF");
}

static const char *name_of(const struct camera_case *this)
{
	static char name[80];

	snprintf(name, sizeof(name), "%s, %s, %s%s%s", kinds[this->kind].allocator,
		 block_name(this->block), flags_name(this->flags),
		 this->flags & CMEM_PAGES ? ", page-backed" : "",
		 this->userptr ? ", by address" : "");
	return name;
}

static void request_buffers(int video, const struct camera_case *this)
{
	struct v4l2_requestbuffers request = {
		.count = BUFFERS, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = memory_of(this),
	};

	must_ioctl(video, VIDIOC_REQBUFS, &request, "VIDIOC_REQBUFS");
	if (request.count != BUFFERS)
		fail("%s takes %u buffers, not %u", kinds[this->kind].device, request.count, BUFFERS);
}

static bool is_test_pattern(const uint8_t *frame)
{
	for (unsigned int y = 0; y < HEIGHT; y++)
		for (unsigned int x = 0; x < WIDTH; x++) {
			const uint8_t *pixel = frame + y * PITCH + x * BYTES_PER_PIXEL;

			if (memcmp(pixel, bars[x * BARS / WIDTH], BYTES_PER_PIXEL)) {
				note("pixel %u, %u is %u %u %u", x, y, pixel[0], pixel[1],
				     pixel[2]);
				return false;
			}
		}
	return true;
}

static void stream(int video, unsigned int command)
{
	int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;

	must_ioctl(video, command, &type, command == VIDIOC_STREAMON ? "VIDIOC_STREAMON" :
								      "VIDIOC_STREAMOFF");
}

static void capture(const struct camera_case *this, bool picture)
{
	const char *what = name_of(this);
	bool pixels = true, margins = true;
	uint8_t *mappings[BUFFERS];
	struct hoard hoard;
	int fds[BUFFERS];
	int video;

	video = open_camera(&kinds[this->kind]);
	take_pool(&hoard, this->block, PITCH * HEIGHT, this->flags, 2 * BUFFERS + 1);
	request_buffers(video, this);
	for (int i = 0; i < BUFFERS; i++) {
		const struct buffer *buffer = &hoard.buffers[2 * i + 1];

		fds[i] = export_buffer(buffer);
		mappings[i] = map_dmabuf(fds[i], buffer->length);
		queue_buffer(video, this, i, buffer, fds[i]);
	}

	stream(video, VIDIOC_STREAMON);
	for (int n = 0; n < FRAMES; n++) {
		struct v4l2_buffer done = {
			.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = memory_of(this),
		};
		const struct buffer *buffer;
		int i;

		must_ioctl(video, VIDIOC_DQBUF, &done, "VIDIOC_DQBUF");
		i = done.index;
		buffer = &hoard.buffers[2 * i + 1];
		if (done.flags & V4L2_BUF_FLAG_ERROR || done.bytesused != PITCH * HEIGHT) {
			note("frame %d has %u bytes, flags %#x", n, done.bytesused, done.flags);
			pixels = false;
		}
		begin_access(fds[i], DMA_BUF_SYNC_READ);
		/* Through the DMA-BUF, and through the owner's mapping */
		pixels &= is_test_pattern(mappings[i]) && is_test_pattern(buffer->mapping);
		margins &= margin_untouched(buffer, mappings[i], &layout) &&
			   margin_untouched(buffer, buffer->mapping, &layout);
		if (picture && n == FRAMES - 1)
			send_picture("vivid", mappings[i], &layout);
		end_access(fds[i], DMA_BUF_SYNC_READ);
		if (n + BUFFERS < FRAMES) {
			fill(buffer);
			queue_buffer(video, this, i, buffer, fds[i]);
		}
	}
	check(pixels, "%s: %d frames are the test pattern, each pixel of them", what, FRAMES);
	check(margins && neighbours_untouched(&hoard), "%s: nothing was written beside the frames",
	      what);

	/* The camera holds the buffers that the program releases. */
	for (int i = 0; i < BUFFERS; i++) {
		munmap(mappings[i], hoard.buffers[2 * i + 1].length);
		close(fds[i]);
	}
	free_pool(&hoard);
	check(in_use(&hoard, BUFFERS),
	      "%s: the camera's buffers are not free as long as it has them", what);
	stream(video, VIDIOC_STREAMOFF);
	close(video);
	check(in_use(&hoard, 0), "%s: all of the pool is free when the camera is closed", what);
}

/* The camera says at once that it can't have the buffer, and does not keep it. */
static void refuse(const struct camera_case *this)
{
	struct v4l2_buffer v4l2_buffer;
	struct hoard hoard;
	int video, ret;

	video = open_camera(&kinds[this->kind]);
	take_pool(&hoard, this->block, PITCH * HEIGHT, this->flags, 1);
	request_buffers(video, this);
	v4l2_buffer = v4l2_buffer_of(this, 0, &hoard.buffers[0], -1);
	ret = ioctl(video, VIDIOC_QBUF, &v4l2_buffer);
	check(ret && errno == EFAULT, "%s: the camera refuses it: %s", name_of(this),
	      ret ? strerror(errno) : "no");
	free_pool(&hoard);
	check(in_use(&hoard, 0), "%s: all of the pool is free again", name_of(this));
	close(video);
}

int main(int argc, char **argv)
{
	(void)argv;
	plan(argc > 1 ? CHECKS : ARRAY_SIZE(cases) * CHECKS + 2);
	if (CMEM_init())
		fail("CMEM_init: %s", strerror(errno));
	for (size_t i = 0; i < (argc > 1 ? 1 : ARRAY_SIZE(cases)); i++)
		capture(&cases[i], i == 0);
	if (argc == 1)
		refuse(&refused);
	CMEM_exit();
	return verdict();
}
