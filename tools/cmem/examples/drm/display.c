// SPDX-License-Identifier: BSD-3-Clause
/*
 * A display shows what is in a CMEM buffer: DRM imports the buffer's DMA-BUF (PRIME) and scans
 * out of it. Whoever writes to its physical address, a DSP say, writes on the screen. Nobody
 * copies, and no buffer of DRM's own is made.
 *
 *	cc -o display display.c $(pkg-config --cflags --libs cmem) $(pkg-config --cflags libdrm)
 *	./display /dev/dri/card0 [SECONDS [FILE of pixels]]
 *
 * The pixels are blue, green, red and a byte that does not count (XRGB8888), row by row, as
 * many as the screen has; without a file it draws colour bars. Nobody else may have the
 * display: stop the desktop. Of libdrm only the headers are used, which are the kernel's.
 */
#define _FILE_OFFSET_BITS 64	/* physical addresses may have more than 32 bits */
#include <drm.h>
#include <drm_fourcc.h>
#include <drm_mode.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <ti/cmem.h>
#include <unistd.h>

#define MAX_OBJECTS	32	/* CRTCs, connectors, encoders of a card */

static void die(const char *what)
{
	fprintf(stderr, "display: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static void must(int fd, unsigned long command, void *argument, const char *what)
{
	int ret;

	do {
		ret = ioctl(fd, command, argument);
	} while (ret && (errno == EINTR || errno == EAGAIN));
	if (ret)
		die(what);
}

struct screen {
	uint32_t connector, crtc;
	struct drm_mode_modeinfo mode;
};

/* Looks whether something is connected there: its first mode, and a CRTC that it can have. */
static int is_screen(int card, uint32_t connector, const struct drm_mode_card_res *resources,
		     struct screen *screen)
{
	const uint32_t *crtcs = (const uint32_t *)(uintptr_t)resources->crtc_id_ptr;
	struct drm_mode_get_connector get = { .connector_id = connector };
	uint32_t encoders[MAX_OBJECTS];
	struct drm_mode_modeinfo *modes;

	/* Asked without room for modes, the driver looks which ones there are. */
	must(card, DRM_IOCTL_MODE_GETCONNECTOR, &get, "DRM_IOCTL_MODE_GETCONNECTOR");
	if (get.connection != 1 || !get.count_modes || get.count_encoders > MAX_OBJECTS)
		return 0;
	modes = calloc(get.count_modes, sizeof(*modes));
	if (!modes)
		die("modes");
	get.modes_ptr = (uintptr_t)modes;
	get.encoders_ptr = (uintptr_t)encoders;
	get.count_props = 0;
	must(card, DRM_IOCTL_MODE_GETCONNECTOR, &get, "DRM_IOCTL_MODE_GETCONNECTOR");
	screen->mode = modes[0];
	screen->connector = connector;
	free(modes);

	for (uint32_t i = 0; i < get.count_encoders; i++) {
		struct drm_mode_get_encoder encoder = { .encoder_id = encoders[i] };

		must(card, DRM_IOCTL_MODE_GETENCODER, &encoder, "DRM_IOCTL_MODE_GETENCODER");
		for (uint32_t j = 0; j < resources->count_crtcs; j++)
			if (encoder.possible_crtcs & 1U << j) {
				screen->crtc = crtcs[j];
				return 1;
			}
	}
	return 0;
}

static void find_screen(int card, struct screen *screen)
{
	uint32_t crtcs[MAX_OBJECTS], connectors[MAX_OBJECTS];
	struct drm_mode_card_res resources = {
		.crtc_id_ptr = (uintptr_t)crtcs, .count_crtcs = MAX_OBJECTS,
		.connector_id_ptr = (uintptr_t)connectors, .count_connectors = MAX_OBJECTS,
	};

	must(card, DRM_IOCTL_MODE_GETRESOURCES, &resources, "DRM_IOCTL_MODE_GETRESOURCES");
	for (uint32_t i = 0; i < resources.count_connectors && i < MAX_OBJECTS; i++)
		if (is_screen(card, connectors[i], &resources, screen))
			return;
	fprintf(stderr, "display: nothing is connected to this card\n");
	exit(EXIT_FAILURE);
}

/* Has a DMA-BUF shown, from its first byte on. */
static void show(int card, const struct screen *screen, int dmabuf, uint32_t pitch)
{
	struct drm_prime_handle prime = { .fd = dmabuf };
	struct drm_mode_fb_cmd2 framebuffer = {
		.width = screen->mode.hdisplay, .height = screen->mode.vdisplay,
		.pixel_format = DRM_FORMAT_XRGB8888, .pitches = { pitch },
	};
	struct drm_mode_crtc crtc = {
		.set_connectors_ptr = (uintptr_t)&screen->connector, .count_connectors = 1,
		.crtc_id = screen->crtc, .mode = screen->mode, .mode_valid = 1,
	};
	struct drm_gem_close gem_close = { 0 };

	/* The framebuffer has the memory as long as it is there: the handle may go. */
	must(card, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime, "DRM_IOCTL_PRIME_FD_TO_HANDLE");
	framebuffer.handles[0] = prime.handle;
	must(card, DRM_IOCTL_MODE_ADDFB2, &framebuffer, "DRM_IOCTL_MODE_ADDFB2");
	gem_close.handle = prime.handle;
	must(card, DRM_IOCTL_GEM_CLOSE, &gem_close, "DRM_IOCTL_GEM_CLOSE");

	crtc.fb_id = framebuffer.fb_id;
	must(card, DRM_IOCTL_MODE_SETCRTC, &crtc, "DRM_IOCTL_MODE_SETCRTC");
}

static void draw(uint32_t *pixels, const struct drm_mode_modeinfo *mode, const char *path)
{
	static const uint32_t bars[] = {
		0xffffff, 0xffff00, 0x00ffff, 0x00ff00, 0xff00ff, 0xff0000, 0x0000ff, 0x000000,
	};
	const size_t size = (size_t)mode->hdisplay * mode->vdisplay;
	FILE *file;

	if (!path) {
		for (size_t i = 0; i < size; i++)
			pixels[i] = bars[i % mode->hdisplay * 8 / mode->hdisplay];
		return;
	}
	file = fopen(path, "r");
	if (!file)
		die(path);
	if (fread(pixels, sizeof(*pixels), size, file) != size) {
		fprintf(stderr, "display: %s ends before %ux%u pixels of 4 bytes\n", path,
			mode->hdisplay, mode->vdisplay);
		exit(EXIT_FAILURE);
	}
	fclose(file);
}

int main(int argc, char **argv)
{
	CMEM_AllocParams params = { .type = CMEM_POOL, .flags = CMEM_CACHED };
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE };
	int seconds = argc > 2 ? atoi(argv[2]) : 5, card, dmabuf;
	struct screen screen;
	uint32_t pitch, *pixels;

	if (argc < 2 || argc > 4 || seconds < 0) {
		fprintf(stderr, "usage: display CARD [SECONDS [FILE of pixels]]\n");
		return 2;
	}
	card = open(argv[1], O_RDWR | O_CLOEXEC);
	if (card < 0)
		die(argv[1]);
	find_screen(card, &screen);
	pitch = screen.mode.hdisplay * sizeof(*pixels);

	if (CMEM_init())
		die("CMEM_init");
	pixels = CMEM_alloc((size_t)pitch * screen.mode.vdisplay, &params);
	if (!pixels)
		die("CMEM_alloc");
	dmabuf = CMEM_export_dmabuf(pixels);
	if (dmabuf < 0)
		die("CMEM_export_dmabuf");

	/* What the CPU writes is between these two: the display may not see the caches. */
	must(dmabuf, DMA_BUF_IOCTL_SYNC, &sync, "DMA_BUF_IOCTL_SYNC");
	draw(pixels, &screen.mode, argc > 3 ? argv[3] : NULL);
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE;
	must(dmabuf, DMA_BUF_IOCTL_SYNC, &sync, "DMA_BUF_IOCTL_SYNC");

	show(card, &screen, dmabuf, pitch);
	printf("%ux%u pixels of 4 bytes from %#llx on\n", screen.mode.hdisplay,
	       screen.mode.vdisplay, (unsigned long long)CMEM_getPhys64(pixels));
	fflush(stdout);
	sleep(seconds);

	/* With the card goes its framebuffer, and the last hold on the memory but ours. */
	close(card);
	close(dmabuf);
	CMEM_free(pixels, NULL);
	CMEM_exit();
	return EXIT_SUCCESS;
}
