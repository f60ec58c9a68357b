// SPDX-License-Identifier: GPL-2.0
/*
 * A GPU and a display that use CMEM buffers: DRM's test drivers vgem and vkms import
 * them by PRIME. The test draws through one side and reads on the other. vkms scans out
 * one buffer, and its writeback connector writes another, which must be the picture.
 *
 *	drm [picture]
 *
 * With an argument it sends one picture of vkms to the host, and nothing more.
 */
#include <drm/drm.h>
#include <drm/drm_fourcc.h>
#include <drm/drm_mode.h>
#include <drm/vgem_drm.h>
#include <linux/dma-heap.h>
#include <poll.h>

#include "consumers.h"

#define WIDTH		640
#define HEIGHT		480
#define BYTES_PER_PIXEL	4
#define ROW		(WIDTH * BYTES_PER_PIXEL)
#define PITCH		(ROW + 64)	/* longer than a row: leaves a gap */
#define SIZE		(PITCH * HEIGHT)
#define VGEM_CHECKS	9
#define VKMS_CHECKS	5
#define MAX_OBJECTS	16
#define MAX_PROPERTIES	32

static const struct vgem_case {
	int block, flags;
} vgem_cases[] = {
	{ 0,			CMEM_CACHED },
	{ 2,			CMEM_NONCACHED },
	{ CMEM_BLOCK_CMA,	CMEM_CACHED },
};

static const struct vkms_case {
	int block, flags;
	const char *heap;	/* the source of the second picture's buffers */
} vkms_cases[] = {
	{ 1, CMEM_CACHED, "/dev/dma_heap/cmem-1" },
	{ 2, CMEM_NONCACHED, "/dev/dma_heap/cmem-cma" },
};

/* Blue, green, red and something unused: the bytes of DRM_FORMAT_XRGB8888 */
static const struct frame layout = { WIDTH, HEIGHT, PITCH, BYTES_PER_PIXEL, { 2, 1, 0 } };

/* The picture: two ramps, with inverted rings around a different point each */
static uint32_t pixel(int x, int y, int which)
{
	int dx = x - WIDTH / 2 + which * 40, dy = y - HEIGHT / 2;
	int distance = dx * dx + dy * dy;
	uint32_t red = x * 255 / (WIDTH - 1), green = y * 255 / (HEIGHT - 1);
	uint32_t colour = red << 16 | green << 8 | (255 - red);

	if (distance < 200 * 200 && distance / 2500 % 2 == 0)
		colour ^= 0xffffff;
	return 0xff000000 | colour;
}

static void draw(uint8_t *frame, int which)
{
	for (int y = 0; y < HEIGHT; y++)
		for (int x = 0; x < WIDTH; x++)
			((uint32_t *)(frame + y * PITCH))[x] = pixel(x, y, which);
}

static bool is_drawn(const uint8_t *frame, int which)
{
	for (int y = 0; y < HEIGHT; y++)
		for (int x = 0; x < WIDTH; x++) {
			uint32_t found = ((const uint32_t *)(frame + y * PITCH))[x];

			if (found != pixel(x, y, which)) {
				note("pixel %d, %d is %#x, should be %#x", x, y, found,
				     pixel(x, y, which));
				return false;
			}
		}
	return true;
}

/* Whether a fence, or all fences of a DMA-BUF that matter to a reader, have signalled */
static bool ready(int fd, int timeout)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout) == 1 && poll_fd.revents == POLLIN;
}

static int open_card(const char *driver)
{
	for (int i = 0; i < 8; i++) {
		char name[16], path[32];
		struct drm_version version = { .name = name, .name_len = sizeof(name) - 1 };
		int card;

		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		card = open(path, O_RDWR | O_CLOEXEC);
		if (card < 0)
			continue;
		if (!retried_ioctl(card, DRM_IOCTL_VERSION, &version)) {
			name[version.name_len] = '\0';
			if (!strcmp(name, driver))
				return card;
		}
		close(card);
	}
	fail("there is no card of %s's", driver);
}

static int try_import(int card, int fd, uint32_t *handle)
{
	struct drm_prime_handle prime = { .fd = fd };
	int ret = retried_ioctl(card, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime);

	*handle = prime.handle;
	return ret;
}

static uint32_t import(int card, int fd)
{
	uint32_t handle;

	if (try_import(card, fd, &handle))
		fail("DRM_IOCTL_PRIME_FD_TO_HANDLE: %s", strerror(errno));
	return handle;
}

static void close_handle(int card, uint32_t handle)
{
	struct drm_gem_close gem_close = { .handle = handle };

	must_ioctl(card, DRM_IOCTL_GEM_CLOSE, &gem_close, "DRM_IOCTL_GEM_CLOSE");
}

/* vgem */

static uint32_t attach_fence(int vgem, uint32_t handle)
{
	struct drm_vgem_fence_attach attach = { .handle = handle, .flags = VGEM_FENCE_WRITE };

	must_ioctl(vgem, DRM_IOCTL_VGEM_FENCE_ATTACH, &attach, "DRM_IOCTL_VGEM_FENCE_ATTACH");
	return attach.out_fence;
}

static void signal_fence(int vgem, uint32_t fence)
{
	struct drm_vgem_fence_signal signal = { .fence = fence };

	must_ioctl(vgem, DRM_IOCTL_VGEM_FENCE_SIGNAL, &signal, "DRM_IOCTL_VGEM_FENCE_SIGNAL");
}

static uint8_t shade(size_t i)
{
	return i * 7 >> 3;
}

static bool is_shaded(const uint8_t *mapping, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (mapping[i] != shade(i))
			return false;
	return true;
}

static void share_with_vgem(const struct vgem_case *this)
{
	struct drm_prime_handle prime = { .flags = DRM_RDWR | DRM_CLOEXEC };
	int vgem = open_card("vgem"), fd, second;
	struct buffer *buffer;
	struct hoard hoard;
	uint8_t *mapping;
	uint32_t fence;
	bool waits;
	char what[64];
	size_t length;		/* of the picture: half of the buffer */

	snprintf(what, sizeof(what), "vgem, %s, %s", block_name(this->block),
		 flags_name(this->flags));
	take_pool(&hoard, this->block, 1 << 20, this->flags, 3);
	buffer = &hoard.buffers[1];
	length = buffer->length / 2;
	fd = export_buffer(buffer);
	prime.handle = import(vgem, fd);
	check(prime.handle == import(vgem, fd), "%s: imported, twice the same", what);
	second = export_buffer(buffer);
	check(second != fd && prime.handle == import(vgem, second),
	      "%s: exported and imported again, the same", what);
	close(second);
	must_ioctl(vgem, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime, "DRM_IOCTL_PRIME_HANDLE_TO_FD");
	mapping = map_dmabuf(prime.fd, buffer->length);

	begin_access(prime.fd, DMA_BUF_SYNC_WRITE);
	memset(mapping, 0x5a, length);
	end_access(prime.fd, DMA_BUF_SYNC_WRITE);
	check(buffer->mapping[0] == 0x5a &&
	      !memcmp(buffer->mapping, buffer->mapping + 1, length - 1),
	      "%s: what is drawn through vgem's is read through CMEM's", what);

	begin_access(fd, DMA_BUF_SYNC_WRITE);
	for (size_t i = 0; i < length; i++)
		buffer->mapping[i] = shade(i);
	end_access(fd, DMA_BUF_SYNC_WRITE);
	begin_access(prime.fd, DMA_BUF_SYNC_READ);
	check(!memcmp(mapping, buffer->mapping, length) && is_shaded(mapping, length),
	      "%s: what is drawn through CMEM's is read through vgem's", what);
	check(filled(buffer, mapping, length, buffer->length) && neighbours_untouched(&hoard),
	      "%s: nothing was written beside it", what);
	end_access(prime.fd, DMA_BUF_SYNC_READ);

	fence = attach_fence(vgem, prime.handle);
	waits = !ready(fd, 0);
	signal_fence(vgem, fence);
	check(waits && ready(fd, -1), "%s: a reader of the DMA-BUF waits for vgem's fence", what);

	close(fd);
	munmap(mapping, buffer->length);
	close(prime.fd);
	free_pool(&hoard);
	check(in_use(&hoard, 1), "%s: the buffer is not free as long as vgem has it", what);
	must_ioctl(vgem, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime, "DRM_IOCTL_PRIME_HANDLE_TO_FD");
	mapping = map_dmabuf(prime.fd, buffer->length);
	check(is_shaded(mapping, length), "%s: and keeps what is in it", what);
	munmap(mapping, buffer->length);
	close(prime.fd);
	close_handle(vgem, prime.handle);
	check(in_use(&hoard, 0), "%s: all of the pool is free when vgem lets go", what);
	close(vgem);
}

/*
 * Memory without struct pages can't be attached. Do not try this with vivid: V4L2 never
 * releases a DMA-BUF that it failed to attach (in __prepare_dmabuf()).
 */
static void refuse_without_pages(void)
{
	int vgem = open_card("vgem"), fd, ret;
	struct hoard hoard;
	uint32_t handle;

	take_pool(&hoard, 5, 1 << 20, CMEM_NONCACHED, 1);
	fd = export_buffer(&hoard.buffers[0]);
	ret = try_import(vgem, fd, &handle);
	if (ret && errno != EOPNOTSUPP)
		note("DRM_IOCTL_PRIME_FD_TO_HANDLE: %s", strerror(errno));
	check(ret && errno == EOPNOTSUPP, "vgem, block 5: refused, it has no struct pages");
	close(fd);
	close(vgem);
	free_pool(&hoard);
}

/* vkms */

struct display {
	int card;
	uint32_t crtc, plane, writeback;
	uint32_t mode;		/* a blob */
};

struct request {
	uint32_t objects, properties;
	uint32_t object[MAX_OBJECTS], count[MAX_OBJECTS], property[MAX_PROPERTIES];
	uint64_t value[MAX_PROPERTIES];
};

/* Find a property of an object by name, and its value. */
static uint32_t find_property(int card, uint32_t object, uint32_t type, const char *name,
			      uint64_t *value)
{
	uint32_t ids[MAX_PROPERTIES];
	uint64_t values[MAX_PROPERTIES];
	struct drm_mode_obj_get_properties get = {
		.props_ptr = (uintptr_t)ids, .prop_values_ptr = (uintptr_t)values,
		.count_props = MAX_PROPERTIES, .obj_id = object, .obj_type = type,
	};

	must_ioctl(card, DRM_IOCTL_MODE_OBJ_GETPROPERTIES, &get,
		   "DRM_IOCTL_MODE_OBJ_GETPROPERTIES");
	for (uint32_t i = 0; i < get.count_props && i < MAX_PROPERTIES; i++) {
		struct drm_mode_get_property property = { .prop_id = ids[i] };

		must_ioctl(card, DRM_IOCTL_MODE_GETPROPERTY, &property,
			   "DRM_IOCTL_MODE_GETPROPERTY");
		if (strcmp(property.name, name))
			continue;
		if (value)
			*value = values[i];
		return ids[i];
	}
	fail("object %u of vkms has no property %s", object, name);
}

/* Add a property of an object to a request. */
static void set(const struct display *display, struct request *request, uint32_t object,
		uint32_t type, const char *name, uint64_t value)
{
	if (!request->objects || request->object[request->objects - 1] != object) {
		if (request->objects == MAX_OBJECTS)
			fail("too many objects in a request");
		request->object[request->objects++] = object;
	}
	if (request->properties == MAX_PROPERTIES)
		fail("too many properties in a request");
	request->count[request->objects - 1]++;
	request->property[request->properties] = find_property(display->card, object, type, name,
							       NULL);
	request->value[request->properties++] = value;
}

static void commit(const struct display *display, struct request *request, uint32_t flags)
{
	struct drm_mode_atomic atomic = {
		.flags = flags, .count_objs = request->objects,
		.objs_ptr = (uintptr_t)request->object,
		.count_props_ptr = (uintptr_t)request->count,
		.props_ptr = (uintptr_t)request->property,
		.prop_values_ptr = (uintptr_t)request->value,
	};

	must_ioctl(display->card, DRM_IOCTL_MODE_ATOMIC, &atomic, "DRM_IOCTL_MODE_ATOMIC");
}

/* The connector's type; the mode of our size, if any, becomes a blob. */
static uint32_t look_at_connector(struct display *display, uint32_t id)
{
	struct drm_mode_get_connector get = { .connector_id = id };
	struct drm_mode_modeinfo *modes;

	/* Called without room for modes, the driver probes the modes. */
	must_ioctl(display->card, DRM_IOCTL_MODE_GETCONNECTOR, &get, "DRM_IOCTL_MODE_GETCONNECTOR");
	get.count_props = 0;
	get.count_encoders = 0;
	modes = calloc(get.count_modes + 1, sizeof(*modes));
	if (!modes)
		fail("no memory for %u modes", get.count_modes);
	get.modes_ptr = (uintptr_t)modes;
	must_ioctl(display->card, DRM_IOCTL_MODE_GETCONNECTOR, &get, "DRM_IOCTL_MODE_GETCONNECTOR");
	for (uint32_t i = 0; i < get.count_modes && !display->mode; i++) {
		struct drm_mode_create_blob blob = {
			.data = (uintptr_t)&modes[i], .length = sizeof(modes[i]),
		};

		if (modes[i].hdisplay != WIDTH || modes[i].vdisplay != HEIGHT)
			continue;
		must_ioctl(display->card, DRM_IOCTL_MODE_CREATEPROPBLOB, &blob,
			   "DRM_IOCTL_MODE_CREATEPROPBLOB");
		display->mode = blob.blob_id;
	}
	free(modes);
	return get.connector_type;
}

static struct display open_display(void)
{
	struct display display = { .card = open_card("vkms") };
	struct drm_set_client_cap cap = { .capability = DRM_CLIENT_CAP_ATOMIC, .value = 1 };
	uint32_t crtcs[MAX_OBJECTS], connectors[MAX_OBJECTS], planes[MAX_OBJECTS];
	struct drm_mode_card_res resources = {
		.crtc_id_ptr = (uintptr_t)crtcs, .count_crtcs = MAX_OBJECTS,
		.connector_id_ptr = (uintptr_t)connectors, .count_connectors = MAX_OBJECTS,
	};
	struct drm_mode_get_plane_res plane_resources = {
		.plane_id_ptr = (uintptr_t)planes, .count_planes = MAX_OBJECTS,
	};

	must_ioctl(display.card, DRM_IOCTL_SET_CLIENT_CAP, &cap, "DRM_CLIENT_CAP_ATOMIC");
	cap.capability = DRM_CLIENT_CAP_WRITEBACK_CONNECTORS;
	must_ioctl(display.card, DRM_IOCTL_SET_CLIENT_CAP, &cap,
		   "DRM_CLIENT_CAP_WRITEBACK_CONNECTORS");
	must_ioctl(display.card, DRM_IOCTL_MODE_GETRESOURCES, &resources,
		   "DRM_IOCTL_MODE_GETRESOURCES");
	if (resources.count_crtcs != 1)
		fail("vkms has %u CRTCs, not one", resources.count_crtcs);
	display.crtc = crtcs[0];
	/* The virtual monitor stays off: newer kernels allow only one connector. */
	for (uint32_t i = 0; i < resources.count_connectors && i < MAX_OBJECTS; i++)
		if (look_at_connector(&display, connectors[i]) == DRM_MODE_CONNECTOR_WRITEBACK)
			display.writeback = connectors[i];
	must_ioctl(display.card, DRM_IOCTL_MODE_GETPLANERESOURCES, &plane_resources,
		   "DRM_IOCTL_MODE_GETPLANERESOURCES");
	for (uint32_t i = 0; i < plane_resources.count_planes && i < MAX_OBJECTS; i++) {
		uint64_t type;

		find_property(display.card, planes[i], DRM_MODE_OBJECT_PLANE, "type", &type);
		if (type == 1 /* a primary plane */)
			display.plane = planes[i];
	}
	if (!display.writeback || !display.plane || !display.mode)
		fail("vkms lacks a writeback connector, a plane or a mode of %u x %u", WIDTH, HEIGHT);
	return display;
}

/* A framebuffer with the only handle, and so the only reference, to a DMA-BUF */
static uint32_t make_framebuffer(const struct display *display, int fd)
{
	struct drm_mode_fb_cmd2 command = {
		.width = WIDTH, .height = HEIGHT, .pixel_format = DRM_FORMAT_XRGB8888,
		.handles = { import(display->card, fd) }, .pitches = { PITCH },
	};

	must_ioctl(display->card, DRM_IOCTL_MODE_ADDFB2, &command, "DRM_IOCTL_MODE_ADDFB2");
	close_handle(display->card, command.handles[0]);
	return command.fb_id;
}

/*
 * Begin to scan out one framebuffer, and to write the output into another. Returns a
 * fence, which signals when it is written.
 */
static int show(const struct display *display, uint32_t from, uint32_t to, uint32_t flags)
{
	struct request request = { 0 };
	int32_t fence = -1;

	set(display, &request, display->crtc, DRM_MODE_OBJECT_CRTC, "MODE_ID", display->mode);
	set(display, &request, display->crtc, DRM_MODE_OBJECT_CRTC, "ACTIVE", 1);
	set(display, &request, display->writeback, DRM_MODE_OBJECT_CONNECTOR, "CRTC_ID",
	    display->crtc);
	set(display, &request, display->writeback, DRM_MODE_OBJECT_CONNECTOR, "WRITEBACK_FB_ID",
	    to);
	set(display, &request, display->writeback, DRM_MODE_OBJECT_CONNECTOR,
	    "WRITEBACK_OUT_FENCE_PTR", (uintptr_t)&fence);
	set(display, &request, display->plane, DRM_MODE_OBJECT_PLANE, "FB_ID", from);
	set(display, &request, display->plane, DRM_MODE_OBJECT_PLANE, "CRTC_ID", display->crtc);
	set(display, &request, display->plane, DRM_MODE_OBJECT_PLANE, "SRC_W",
	    (uint64_t)WIDTH << 16);
	set(display, &request, display->plane, DRM_MODE_OBJECT_PLANE, "SRC_H",
	    (uint64_t)HEIGHT << 16);
	set(display, &request, display->plane, DRM_MODE_OBJECT_PLANE, "CRTC_W", WIDTH);
	set(display, &request, display->plane, DRM_MODE_OBJECT_PLANE, "CRTC_H", HEIGHT);
	commit(display, &request, flags | DRM_MODE_ATOMIC_ALLOW_MODESET);
	if (fence < 0)
		fail("vkms has given no fence for the writeback");
	return fence;
}

static void wait_for(int fence)
{
	if (!ready(fence, -1))
		fail("waiting for the writeback: %s", strerror(errno));
	close(fence);
}

static void switch_off(const struct display *display)
{
	struct request request = { 0 };

	set(display, &request, display->crtc, DRM_MODE_OBJECT_CRTC, "ACTIVE", 0);
	set(display, &request, display->crtc, DRM_MODE_OBJECT_CRTC, "MODE_ID", 0);
	set(display, &request, display->writeback, DRM_MODE_OBJECT_CONNECTOR, "CRTC_ID", 0);
	set(display, &request, display->plane, DRM_MODE_OBJECT_PLANE, "FB_ID", 0);
	set(display, &request, display->plane, DRM_MODE_OBJECT_PLANE, "CRTC_ID", 0);
	commit(display, &request, DRM_MODE_ATOMIC_ALLOW_MODESET);
}

static int allocate_from_heap(const char *path)
{
	struct dma_heap_allocation_data data = { .len = SIZE, .fd_flags = O_RDWR | O_CLOEXEC };
	int heap = open(path, O_RDONLY | O_CLOEXEC);

	if (heap < 0)
		fail("%s: %s", path, strerror(errno));
	must_ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data, "DMA_HEAP_IOCTL_ALLOC");
	close(heap);
	return data.fd;
}

/*
 * The second picture is in buffers allocated only by the DMA-BUF heap. vgem draws it,
 * like a GPU, after vkms is told to show it: vkms must wait for the fence.
 */
static void show_in_time(const struct display *display, const struct vkms_case *this,
			 const char *what)
{
	int vgem = open_card("vgem");
	int source = allocate_from_heap(this->heap), target = allocate_from_heap(this->heap);
	uint8_t *drawn = map_dmabuf(source, SIZE), *shown = map_dmabuf(target, SIZE);
	uint32_t handle = import(vgem, source), fence = attach_fence(vgem, handle);
	int written = show(display, make_framebuffer(display, source),
			   make_framebuffer(display, target), DRM_MODE_ATOMIC_NONBLOCK);
	bool waits = !ready(written, 0);

	/* The fence's owner does not wait for it, as begin_access() would. */
	draw(drawn, 1);
	end_access(source, DMA_BUF_SYNC_WRITE);
	signal_fence(vgem, fence);
	wait_for(written);
	begin_access(target, DMA_BUF_SYNC_READ);
	check(waits && is_drawn(shown, 1), "%s: in buffers of %s, vkms waits until vgem has drawn",
	      what, this->heap);
	end_access(target, DMA_BUF_SYNC_READ);

	munmap(drawn, SIZE);
	munmap(shown, SIZE);
	close(source);
	close(target);
	close(vgem);
}

static void show_pictures(const struct vkms_case *this, bool picture)
{
	struct display display = open_display();
	struct buffer *source, *target;
	struct hoard hoard;
	int source_fd, target_fd;
	uint8_t *shown;
	char what[64];

	snprintf(what, sizeof(what), "vkms, %s, %s", block_name(this->block),
		 flags_name(this->flags));
	take_pool(&hoard, this->block, SIZE, this->flags, 5);
	source = &hoard.buffers[1];
	target = &hoard.buffers[3];
	source_fd = export_buffer(source);
	target_fd = export_buffer(target);
	shown = map_dmabuf(target_fd, target->length);

	begin_access(source_fd, DMA_BUF_SYNC_WRITE);
	draw(source->mapping, 0);
	end_access(source_fd, DMA_BUF_SYNC_WRITE);
	wait_for(show(&display, make_framebuffer(&display, source_fd),
		      make_framebuffer(&display, target_fd), 0));
	begin_access(target_fd, DMA_BUF_SYNC_READ);
	check(is_drawn(shown, 0) && is_drawn(target->mapping, 0),
	      "%s: what is drawn in one buffer is written back into the other, each pixel of it",
	      what);
	check(is_drawn(source->mapping, 0) && margin_untouched(source, source->mapping, &layout) &&
	      margin_untouched(target, shown, &layout) && neighbours_untouched(&hoard),
	      "%s: nothing was written beside that", what);
	if (picture)
		send_picture("vkms", shown, &layout);
	end_access(target_fd, DMA_BUF_SYNC_READ);

	munmap(shown, target->length);
	close(source_fd);
	close(target_fd);
	free_pool(&hoard);
	/* Now only the framebuffers hold them. */
	check(in_use(&hoard, 2), "%s: the buffers are not free as long as vkms has them", what);
	if (this->heap)
		show_in_time(&display, this, what);
	switch_off(&display);
	close(display.card);
	check(in_use(&hoard, 0), "%s: all of the pool is free when the display is closed", what);
}

int main(int argc, char **argv)
{
	struct vkms_case only = vkms_cases[0];

	(void)argv;
	plan(argc > 1 ? VKMS_CHECKS - 1 :
	     ARRAY_SIZE(vgem_cases) * VGEM_CHECKS + 1 + ARRAY_SIZE(vkms_cases) * VKMS_CHECKS);
	if (CMEM_init())
		fail("CMEM_init: %s", strerror(errno));
	if (argc > 1) {
		only.heap = NULL;
		show_pictures(&only, true);
	} else {
		for (size_t i = 0; i < ARRAY_SIZE(vgem_cases); i++)
			share_with_vgem(&vgem_cases[i]);
		refuse_without_pages();
		for (size_t i = 0; i < ARRAY_SIZE(vkms_cases); i++)
			show_pictures(&vkms_cases[i], i == 0);
	}
	CMEM_exit();
	return verdict();
}
