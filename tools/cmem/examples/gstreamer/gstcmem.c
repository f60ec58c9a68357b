// SPDX-License-Identifier: BSD-3-Clause
/*
 * A plugin for GStreamer 1.16 and later: pipelines with frames in CMEM buffers from the
 * source on. The element cmemalloc passes all data through unchanged. It offers the
 * upstream element a pool of buffers, each a DMA-BUF of CMEM. A software source draws
 * into them. A camera captures into them (io-mode=dmabuf-import), and a display shows
 * them: both import the DMA-BUF, without a copy.
 *
 *	cc -shared -fPIC -o libgstcmem.so gstcmem.c \
 *		$(pkg-config --cflags --libs gstreamer-video-1.0 gstreamer-allocators-1.0 cmem)
 *	export GST_PLUGIN_PATH=$PWD
 *	gst-launch-1.0 v4l2src io-mode=dmabuf-import ! cmemalloc ! kmssink
 *	gst-launch-1.0 videotestsrc ! cmemalloc block=1 ! kmssink
 *
 * Properties: block, the block number, -1 for CMA areas; heap, whether buffers come from
 * the block's heap and not from its pools; cached, whether the CPU's mappings are cached.
 *
 * An element that needs the physical address for a DSP calls
 * CMEM_import_dmabuf(gst_dmabuf_memory_get_fd(memory), ...).
 */
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <string.h>

#include <gst/allocators/gstdmabuf.h>
#include <gst/base/gstbasetransform.h>
#include <gst/gst.h>
#include <gst/video/gstvideometa.h>
#include <gst/video/gstvideopool.h>
#include <gst/video/video.h>
#include <ti/cmem.h>

/* Minimum frames of the upstream element: two on the display, two in transit */
#define MIN_BUFFERS	4

GST_DEBUG_CATEGORY_STATIC(cmem_debug);
#define GST_CAT_DEFAULT cmem_debug

/* The allocator: its memory comes from GStreamer's own DMA-BUF allocator. */

typedef struct {
	GstDmaBufAllocator parent;
	int block;
	CMEM_AllocParams params;
} CmemAllocator;

typedef struct {
	GstDmaBufAllocatorClass parent;
} CmemAllocatorClass;

static GType cmem_allocator_get_type(void);
G_DEFINE_TYPE(CmemAllocator, cmem_allocator, GST_TYPE_DMABUF_ALLOCATOR)

/*
 * Only the DMA-BUF holds the buffer: the registration of CMEM_alloc2() is dropped at
 * once, and so the last driver to release the DMA-BUF frees the memory.
 */
static GstMemory *cmem_allocator_alloc(GstAllocator *allocator, gsize size,
				       GstAllocationParams *params)
{
	CmemAllocator *self = (CmemAllocator *)allocator;
	gsize length = params->prefix + size + params->padding;
	void *buffer = CMEM_alloc2(self->block, length, &self->params);
	GstMemory *memory;
	int error, fd;

	if (!buffer) {
		error = errno;
		GST_ERROR_OBJECT(self, "no %" G_GSIZE_FORMAT " bytes of block %d: %s", length,
				 self->block, strerror(error));
		errno = error;
		return NULL;
	}
	fd = CMEM_export_dmabuf(buffer);
	error = errno;
	if (fd < 0)
		GST_ERROR_OBJECT(self, "CMEM_export_dmabuf: %s", strerror(error));
	else
		GST_INFO_OBJECT(self, "%" G_GSIZE_FORMAT " bytes at %#llx", length,
				(unsigned long long)CMEM_getPhys64(buffer));
	CMEM_free(buffer, NULL);
	errno = error;
	if (fd < 0)
		return NULL;
	memory = gst_dmabuf_allocator_alloc_with_flags(allocator, fd, length,
						       GST_FD_MEMORY_FLAG_KEEP_MAPPED);
	gst_memory_resize(memory, params->prefix, size);
	return memory;
}

static void cmem_allocator_finalize(GObject *object)
{
	CMEM_exit();
	G_OBJECT_CLASS(cmem_allocator_parent_class)->finalize(object);
}

static void cmem_allocator_class_init(CmemAllocatorClass *class)
{
	GST_ALLOCATOR_CLASS(class)->alloc = cmem_allocator_alloc;
	G_OBJECT_CLASS(class)->finalize = cmem_allocator_finalize;
}

static void cmem_allocator_init(CmemAllocator *self)
{
	/* Other elements may call gst_allocator_alloc(). */
	GST_OBJECT_FLAG_UNSET(self, GST_ALLOCATOR_FLAG_CUSTOM_ALLOC);
}

/* They need CMEM_init(): the allocator undoes it when it is finalized. */
static GstAllocator *cmem_allocator_new(int block, const CMEM_AllocParams *params)
{
	CmemAllocator *self = g_object_new(cmem_allocator_get_type(), NULL);

	gst_object_ref_sink(self);
	self->block = block;
	self->params = *params;
	return GST_ALLOCATOR(self);
}

/* The element */

typedef struct {
	GstBaseTransform parent;
	int block;
	gboolean heap, cached;
} CmemAlloc;

typedef struct {
	GstBaseTransformClass parent;
} CmemAllocClass;

enum {
	PROPERTY_BLOCK = 1,
	PROPERTY_HEAP,
	PROPERTY_CACHED,
};

static GType cmem_alloc_get_type(void);
G_DEFINE_TYPE(CmemAlloc, cmem_alloc, GST_TYPE_BASE_TRANSFORM)

static GstStaticPadTemplate sink_template =
	GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS,
				GST_STATIC_CAPS("video/x-raw"));
static GstStaticPadTemplate src_template =
	GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS,
				GST_STATIC_CAPS("video/x-raw"));

/* Whether a frame can be allocated. Report failure here: a pool would hide the reason. */
static gboolean has_room(CmemAlloc *self, GstAllocator *allocator, gsize size)
{
	GstMemory *memory = gst_allocator_alloc(allocator, size, NULL);

	if (memory)
		gst_memory_unref(memory);
	else
		GST_ELEMENT_ERROR(self, RESOURCE, NO_SPACE_LEFT,
				  ("Block %d has no buffer of %" G_GSIZE_FORMAT " bytes: %s",
				   self->block, size, strerror(errno)), (NULL));
	return !!memory;
}

/* Ignore the downstream element's offers: its memory is not CMEM's. */
static gboolean cmem_alloc_propose_allocation(GstBaseTransform *transform, GstQuery *decided,
					      GstQuery *query)
{
	CmemAlloc *self = (CmemAlloc *)transform;
	CMEM_AllocParams params = {
		.type = self->heap ? CMEM_HEAP : CMEM_POOL,
		.flags = self->cached ? CMEM_CACHED : CMEM_NONCACHED,
	};
	GstAllocationParams allocation;
	GstAllocator *allocator;
	GstStructure *config;
	GstBufferPool *pool;
	GstVideoInfo info;
	GstCaps *caps;

	(void)decided;
	gst_query_parse_allocation(query, &caps, NULL);
	if (!caps || !gst_video_info_from_caps(&info, caps))
		return FALSE;
	if (CMEM_init()) {
		GST_ELEMENT_ERROR(self, RESOURCE, OPEN_READ_WRITE,
				  ("/dev/cmem: %s", strerror(errno)), (NULL));
		return FALSE;
	}

	gst_allocation_params_init(&allocation);
	allocator = cmem_allocator_new(self->block, &params);
	if (!has_room(self, allocator, info.size)) {
		gst_object_unref(allocator);
		return FALSE;
	}
	pool = gst_video_buffer_pool_new();
	config = gst_buffer_pool_get_config(pool);
	gst_buffer_pool_config_set_params(config, caps, info.size, MIN_BUFFERS, 0);
	gst_buffer_pool_config_set_allocator(config, allocator, &allocation);
	gst_buffer_pool_config_add_option(config, GST_BUFFER_POOL_OPTION_VIDEO_META);
	if (gst_buffer_pool_set_config(pool, config)) {
		gst_query_add_allocation_pool(query, pool, info.size, MIN_BUFFERS, 0);
		gst_query_add_allocation_param(query, allocator, &allocation);
		/* Rows may be longer than the source's default. */
		gst_query_add_allocation_meta(query, GST_VIDEO_META_API_TYPE, NULL);
	}
	gst_object_unref(pool);
	gst_object_unref(allocator);
	return gst_query_get_n_allocation_pools(query) > 0;
}

static void cmem_alloc_set_property(GObject *object, guint id, const GValue *value,
				    GParamSpec *spec)
{
	CmemAlloc *self = (CmemAlloc *)object;

	switch (id) {
	case PROPERTY_BLOCK:
		self->block = g_value_get_int(value);
		break;
	case PROPERTY_HEAP:
		self->heap = g_value_get_boolean(value);
		break;
	case PROPERTY_CACHED:
		self->cached = g_value_get_boolean(value);
		break;
	default:
		G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
	}
}

static void cmem_alloc_get_property(GObject *object, guint id, GValue *value, GParamSpec *spec)
{
	const CmemAlloc *self = (CmemAlloc *)object;

	switch (id) {
	case PROPERTY_BLOCK:
		g_value_set_int(value, self->block);
		break;
	case PROPERTY_HEAP:
		g_value_set_boolean(value, self->heap);
		break;
	case PROPERTY_CACHED:
		g_value_set_boolean(value, self->cached);
		break;
	default:
		G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
	}
}

static void cmem_alloc_class_init(CmemAllocClass *class)
{
	GObjectClass *object = G_OBJECT_CLASS(class);
	GstElementClass *element = GST_ELEMENT_CLASS(class);
	const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS |
				  GST_PARAM_MUTABLE_READY;

	object->set_property = cmem_alloc_set_property;
	object->get_property = cmem_alloc_get_property;
	g_object_class_install_property(object, PROPERTY_BLOCK,
		g_param_spec_int("block", "Block", "Number of the block, -1 for CMA areas",
				 CMEM_CMABLOCKID, G_MAXINT, 0, flags));
	g_object_class_install_property(object, PROPERTY_HEAP,
		g_param_spec_boolean("heap", "Heap", "From the block's heap, not from its pools",
				     FALSE, flags));
	g_object_class_install_property(object, PROPERTY_CACHED,
		g_param_spec_boolean("cached", "Cached", "The CPU's mappings are cached", TRUE,
				     flags));

	gst_element_class_add_static_pad_template(element, &sink_template);
	gst_element_class_add_static_pad_template(element, &src_template);
	gst_element_class_set_static_metadata(element, "CMEM allocator", "Filter/Video",
		"Offers buffers of CMEM to the element before it", "the CMEM project");
	GST_BASE_TRANSFORM_CLASS(class)->propose_allocation = cmem_alloc_propose_allocation;
	GST_BASE_TRANSFORM_CLASS(class)->passthrough_on_same_caps = TRUE;
}

static void cmem_alloc_init(CmemAlloc *self)
{
	self->cached = TRUE;
	gst_base_transform_set_passthrough(GST_BASE_TRANSFORM(self), TRUE);
}

static gboolean plugin_init(GstPlugin *plugin)
{
	GST_DEBUG_CATEGORY_INIT(cmem_debug, "cmem", 0, "buffers of CMEM");
	return gst_element_register(plugin, "cmemalloc", GST_RANK_NONE, cmem_alloc_get_type());
}

#define PACKAGE "cmem"
GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, cmem, "Video in buffers of CMEM",
		  plugin_init, "1.1.0", "BSD", "libcmem", "https://www.kernel.org")
