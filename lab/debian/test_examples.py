# SPDX-License-Identifier: GPL-2.0
"""The examples of tools/cmem with a camera (vivid) and a display (vkms)."""
import fcntl
import os
import re
import struct
import subprocess
import time
import unittest

import numpy

import cmem
from test_gstreamer import Display, PATIENCE_S

CAMERA = "/dev/video0"
S_FMT, S_CTRL = 0xc0d05605, 0xc008561c
BARS = numpy.array([(255, 255, 255), (0, 255, 255), (255, 255, 0), (0, 255, 0), (255, 0, 255),
                    (0, 0, 255), (255, 0, 0), (0, 0, 0)], numpy.uint8)


def run(*command):
    """Runs a program; returns its exit status, and what it said"""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, timeout=PATIENCE_S)
    return done.returncode, done.stdout


def colour_bars(width, height):
    """Blue, green and red of each pixel"""
    return numpy.tile(BARS[numpy.arange(width) * len(BARS) // width], (height, 1, 1))


def vivid_control(camera, name, value):
    """Sets a control that is known by its name: struct v4l2_queryctrl, V4L2_CTRL_FLAG_NEXT_CTRL"""
    number = 0
    while True:
        query = bytearray(struct.pack("=I64x", number | 0x80000000))
        fcntl.ioctl(camera, 0xc0445624, query)
        number, _, found = struct.unpack_from("=II32s", query)
        if found.rstrip(b"\0").decode() == name:
            fcntl.ioctl(camera, S_CTRL, struct.pack("=Ii", number, value))
            return


class Examples(unittest.TestCase):
    """What they print is true, and all is free when they have ended."""

    def setUp(self):
        with open("/proc/cmem", encoding="utf-8") as file:
            self.before = sorted(file)

    def tearDown(self):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with open("/proc/cmem", encoding="utf-8") as file:
                now = sorted(file)
            if now == self.before:
                return
            time.sleep(0.1)
        self.assertEqual(now, self.before)

    def is_in_block(self, number, address, size):
        """Whether that is memory of a block"""
        block = cmem.block(number)
        return block.phys_addr <= address and address + size <= block.phys_addr + block.size

    def test_capture(self):
        width, height = 640, 360
        with open(CAMERA, "rb+", buffering=0) as camera:
            form = struct.pack("=I4x3I188x", 1, width, height, int.from_bytes(b"XR24", "little"))
            fcntl.ioctl(camera, S_FMT, bytearray(form))
            for name, value in (("Test Pattern", 1), ("Horizontal Movement", 3),
                                ("Vertical Movement", 3), ("OSD Text Mode", 2)):
                vivid_control(camera, name, value)
        status, said = run("capture", CAMERA, "9", "/tmp/frame.raw")
        self.assertEqual(status, 0, said)
        lines = said.splitlines()
        size = width * height * 4
        self.assertEqual(lines[0], f"{width}x{height}, XR24, {width * 4} bytes in a row, {size} in a frame")
        places = re.findall(rf"^frame \d: {size} bytes at (0x[0-9a-f]+)$", said, re.M)
        self.assertEqual(len(places), 9, said)
        self.assertEqual(len(set(places)), 4, said)
        for place in places:
            self.assertTrue(self.is_in_block(0, int(place, 16), size), place)
        frame = numpy.fromfile("/tmp/frame.raw", numpy.uint8).reshape(height, width, 4)
        self.assertTrue((frame[:, :, :3] == colour_bars(width, height)).all(),
                        frame[0, ::80].tolist())

    def test_capture_refuses(self):
        self.assertEqual(run("capture")[0], 2)
        self.assertEqual(run("capture", "/dev/null"),
                         (1, "capture: VIDIOC_QUERYCAP: Inappropriate ioctl for device\n"))
        self.assertEqual(run("capture", "/dev/video99"),
                         (1, "capture: /dev/video99: No such file or directory\n"))

    def shown(self, *more):
        """What the display has while the example shows it: the address, pixels; and what it said"""
        display = Display()
        with subprocess.Popen(["display", f"/dev/dri/{display.name}", "3", *more], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            said = process.stdout.readline()
            frame = display.frame()
            said += process.communicate(timeout=PATIENCE_S)[0]
        os.close(display.fd)
        self.assertEqual(process.returncode, 0, said)
        self.assertIsNotNone(frame, said)
        width, height, address = re.fullmatch(
            r"(\d+)x(\d+) pixels of 4 bytes from (0x[0-9a-f]+) on\n", said).groups()
        self.assertEqual(int(address, 16), frame[0])
        self.assertTrue(self.is_in_block(0, frame[0], int(width) * int(height) * 4))
        self.assertEqual(frame[1].shape, (int(height), int(width), 3))
        return frame[1]

    def test_display(self):
        pixels = self.shown()
        height, width, _ = pixels.shape
        self.assertTrue((pixels == colour_bars(width, height)).all())
        drawn = numpy.random.default_rng(1).integers(0, 256, (height, width, 4), numpy.uint8)
        drawn.tofile("/tmp/pixels")
        self.assertTrue((self.shown("/tmp/pixels") == drawn[:, :, :3]).all())
        drawn[1:].tofile("/tmp/pixels")
        status, said = run("display", "/dev/dri/card0", "0", "/tmp/pixels")
        self.assertEqual(status, 1)
        self.assertRegex(said, "ends before|nothing is connected|DRM_IOCTL_MODE_GETRESOURCES")

    def test_display_refuses(self):
        self.assertEqual(run("display")[0], 2)
        self.assertEqual(run("display", "/dev/null"),
                         (1, "display: DRM_IOCTL_MODE_GETRESOURCES: Inappropriate ioctl for device\n"))
