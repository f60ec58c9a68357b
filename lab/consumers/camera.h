/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs that set up a camera have in common */
#ifndef CAMERA_H
#define CAMERA_H

#include <linux/videodev2.h>

/* Set a menu control to the menu item with a given name. */
static inline void set_menu(int video, const char *control, const char *entry)
{
	struct v4l2_queryctrl query = { .id = V4L2_CTRL_FLAG_NEXT_CTRL };

	for (; !ioctl(video, VIDIOC_QUERYCTRL, &query); query.id |= V4L2_CTRL_FLAG_NEXT_CTRL) {
		if (strcmp((char *)query.name, control))
			continue;
		for (int i = query.minimum; i <= query.maximum; i++) {
			struct v4l2_querymenu menu = { .id = query.id, .index = i };
			struct v4l2_control value = { .id = query.id, .value = i };

			if (ioctl(video, VIDIOC_QUERYMENU, &menu) ||
			    strcmp((char *)menu.name, entry))
				continue;
			must_ioctl(video, VIDIOC_S_CTRL, &value, control);
			return;
		}
	}
	fail("the camera has no \"%s\" in a control \"%s\"", entry, control);
}

#endif /* CAMERA_H */
