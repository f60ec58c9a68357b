// SPDX-License-Identifier: GPL-2.0
/*
 * Sets up a camera of vivid for lab/consumers/run/record: colour bars, of which each
 * frame is some pixels further than the one before.
 *
 * camera DEVICE WIDTH HEIGHT: prints the bytes in a frame
 */
#include "consumers.h"
#include "camera.h"

int main(int argc, char **argv)
{
	struct v4l2_format format = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	struct v4l2_streamparm parameters = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	int video = argc == 4 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;

	if (video < 0)
		fail("camera: %s: %s", argc > 1 ? argv[1] : "no device", strerror(errno));
	format.fmt.pix.width = atoi(argv[2]);
	format.fmt.pix.height = atoi(argv[3]);
	format.fmt.pix.pixelformat = V4L2_PIX_FMT_RGB24;
	must_ioctl(video, VIDIOC_S_FMT, &format, "VIDIOC_S_FMT");
	parameters.parm.capture.timeperframe.numerator = 1;
	parameters.parm.capture.timeperframe.denominator = 30;
	must_ioctl(video, VIDIOC_S_PARM, &parameters, "VIDIOC_S_PARM");
	set_menu(video, "Test Pattern", "100% Colorbar");
	set_menu(video, "Horizontal Movement", "Move Right");
	set_menu(video, "Vertical Movement", "No Movement");
	set_menu(video, "OSD Text Mode", "None");
	printf("%u\n", format.fmt.pix.sizeimage);
	return EXIT_SUCCESS;
}
