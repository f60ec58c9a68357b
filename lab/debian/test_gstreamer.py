# SPDX-License-Identifier: GPL-2.0
"""Pipelines of GStreamer whose frames are in CMEM buffers from the source on: what a display
(vkms) scans out is looked at where it is, and who is attached to it is the kernel's word.
"""
import contextlib
import fcntl
import os
import re
import signal
import struct
import subprocess
import time
import unittest
from pathlib import Path

import numpy

import cmem

WIDTH, HEIGHT = 640, 480
CAPS = f"video/x-raw,format=BGRx,width={WIDTH},height={HEIGHT}"
SINK = "kmssink driver-name=vkms force-modesetting=true"
# A test pattern that stands still, without text in it
CAMERA = ("v4l2src device=/dev/video0 io-mode=dmabuf-import "
          "extra-controls=c,test_pattern=1,horizontal_movement=3,vertical_movement=3,osd_text_mode=2")
LOG = "/tmp/gstreamer.log"
PATIENCE_S = 120

# <drm/drm.h>, <drm/drm_mode.h>
GETRESOURCES, GETCRTC, GETFB2 = 0xc04064a0, 0xc06864a1, 0xc06864ce
PRIME_HANDLE_TO_FD, GEM_CLOSE, DROP_MASTER = 0xc00c642d, 0x40086409, 0x641f


def launch(pipeline, **options):
    """Begins a pipeline; its log is in LOG."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(LOG)
    environment = os.environ | {
        "GST_REGISTRY": "/tmp/gstreamer.registry", "GST_DEBUG_FILE": LOG, "GST_DEBUG_NO_COLOR": "1",
        "GST_DEBUG": "2,cmem:4,kmsallocator:5,kmssink:5,v4l2src:4,v4l2bufferpool:4,GST_PERFORMANCE:5"}
    return subprocess.Popen(["gst-launch-1.0", "-q", *pipeline.split()], env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def run(pipeline):
    """Runs one to its end; returns its exit status and what it said."""
    with launch(pipeline) as process:
        try:
            said = process.communicate(timeout=PATIENCE_S)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            said = process.communicate()[0]
    return process.returncode, said


@contextlib.contextmanager
def playing(pipeline):
    """A pipeline that plays, and is ended as by ^C."""
    with launch(pipeline) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()


def log():
    """What GStreamer said so far"""
    with contextlib.suppress(FileNotFoundError):
        return Path(LOG).read_text(encoding="utf-8", errors="replace")
    return ""


class Display:
    """vkms, of which kmssink is the master: this only looks."""

    def __init__(self):
        for card in Path("/sys/class/drm").glob("card[0-9]"):
            if os.readlink(card / "device").endswith("vkms"):
                self.name = card.name
                self.fd = os.open(f"/dev/dri/{card.name}", os.O_RDWR | os.O_CLOEXEC)
        with contextlib.suppress(OSError):
            fcntl.ioctl(self.fd, DROP_MASTER)   # who opens it first is the master

    def ioctl(self, command, layout, *values):
        """Returns the structure as it is then."""
        data = bytearray(struct.pack(layout, *values))
        fcntl.ioctl(self.fd, command, data)
        return struct.unpack(layout, data)

    def framebuffer(self):
        """The DMA-BUF that is scanned out now, its pitch, width and height, or None"""
        crtcs = numpy.zeros(4, numpy.uint32)
        counts = self.ioctl(GETRESOURCES, "=4Q8I", 0, crtcs.ctypes.data, 0, 0, 0, 4, *[0] * 6)
        assert counts[5] == 1
        number = self.ioctl(GETCRTC, "=Q7I68x", 0, 0, int(crtcs[0]), *[0] * 5)[3]
        if not number:
            return None
        try:
            _, width, height, _, _, handle, *rest = self.ioctl(
                GETFB2, "=17I4x4Q", number, *[0] * 20)
        except FileNotFoundError:
            return None     # it went meanwhile
        fd = self.ioctl(PRIME_HANDLE_TO_FD, "=IIi", handle, os.O_RDWR | os.O_CLOEXEC, 0)[2]
        self.ioctl(GEM_CLOSE, "=II", handle, 0)
        return fd, rest[3], width, height

    def frame(self):
        """The physical address of what is scanned out, and its pixels; or None"""
        found = self.framebuffer()
        if not found:
            return None
        fd, pitch, width, height = found
        try:
            with cmem.import_dmabuf(fd) as memory:
                with memory.access(write=False):
                    rows = numpy.frombuffer(memory, numpy.uint8, pitch * height).copy()
                return memory.phys_addr, rows.reshape(height, pitch)[:, :width * 4].reshape(
                    height, width, 4)[:, :, :3]
        except cmem.InvalidError:
            return None     # not contiguous: not ours
        finally:
            os.close(fd)


def attached():
    """Of each DMA-BUF of CMEM the inode, and the drivers that are attached"""
    text = Path("/sys/kernel/debug/dma_buf/bufinfo").read_text(encoding="utf-8")
    for part in re.split(r"\n(?=\d{8,}\t)", text):
        if inode := re.match(r"\d{8,}\t.*\tcmem\S*\t(\d+)", part):
            devices = re.search(r"Attached Devices:\n((?:\t.*\n)*)", part)
            yield inode[1], set(devices[1].split()) if devices else set()


class Pipelines(unittest.TestCase):
    """Each plays until its frames have been looked at."""

    def setUp(self):
        self.display = Display()
        self.free = [(block.heap.free, [pool.free for pool in block.pools])
                     for block in cmem.blocks()]

    def tearDown(self):
        os.close(self.display.fd)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            now = [(block.heap.free, [pool.free for pool in block.pools]) for block in cmem.blocks()]
            if now == self.free:
                return
            time.sleep(0.1)
        self.assertEqual(now, self.free)

    def frame_in(self, process, number, expected):
        """Waits until frames of a block are on the display, and the expected one among them."""
        block = cmem.block(number)
        end = time.monotonic() + PATIENCE_S
        frame = None
        while time.monotonic() < end:
            if process.poll() is not None:
                self.fail(f"ended: {process.communicate()[0]}\n{log()[-3000:]}")
            frame = self.display.frame() or frame
            if frame and block.phys_addr <= frame[0] < block.phys_addr + block.size and (
                    numpy.array_equal(frame[1], expected)):
                return frame[0]
            time.sleep(0.1)
        what = "none" if not frame else f"at {frame[0]:#x}, pixels {frame[1][::100, ::80].tolist()}"
        self.fail(f"frame: {what}\n{log()[-3000:]}")

    def drawn(self):
        """What videotestsrc draws"""
        status, said = run(f"videotestsrc num-buffers=1 pattern=smpte100 ! {CAPS} ! "
                           "filesink location=/tmp/frame")
        self.assertEqual((status, said), (0, ""))
        return numpy.fromfile("/tmp/frame", numpy.uint8).reshape(HEIGHT, WIDTH, 4)[:, :, :3]

    def test_source_draws_into_cmem(self):
        with playing(f"videotestsrc is-live=true pattern=smpte100 ! {CAPS} ! cmemalloc ! {SINK}") \
                as process:
            self.frame_in(process, 0, self.expected)
            self.assertGreaterEqual(sum("vkms" in devices for _, devices in attached()), 1)
            self.assertNotIn("frame copy", log())

    def test_other_memory(self):
        """Of the heap of a block, not cached"""
        with playing(f"videotestsrc is-live=true pattern=smpte100 ! {CAPS} ! "
                     f"cmemalloc block=2 heap=true cached=false ! {SINK}") as process:
            at = self.frame_in(process, 2, self.expected)
            for pool in cmem.block(2).pools:
                self.assertFalse(pool.phys_addr <= at < pool.phys_addr + pool.count * pool.size)

    def test_camera_captures_into_cmem(self):
        """The camera's DMA-BUFs are those of the display, and CMEM's."""
        bars = numpy.array([(255, 255, 255), (0, 255, 255), (255, 255, 0), (0, 255, 0),
                            (255, 0, 255), (0, 0, 255), (255, 0, 0), (0, 0, 0)], numpy.uint8)
        expected = numpy.tile(bars[numpy.arange(WIDTH) * len(bars) // WIDTH], (HEIGHT, 1, 1))
        # The pool of such buffers has fewer than camera and display have between them.
        with playing(f"{CAMERA} ! {CAPS} ! cmemalloc heap=true ! {SINK}") as process:
            self.frame_in(process, 0, expected)
            # The camera lets go of a DMA-BUF when it gets the next one: not at the same time.
            end = time.monotonic() + PATIENCE_S
            seen = {}
            while not any({"vivid.0", "vkms"} <= devices for devices in seen.values()):
                self.assertLess(time.monotonic(), end, seen)
                for inode, devices in attached():
                    seen.setdefault(inode, set()).update(devices)
            self.assertNotIn("frame copy", log())

    def test_without_it_frames_are_elsewhere(self):
        """That the tests above could fail"""
        with playing(f"videotestsrc is-live=true pattern=smpte100 ! {CAPS} ! {SINK}"):
            end = time.monotonic() + PATIENCE_S
            while not self.display.framebuffer() and time.monotonic() < end:
                time.sleep(0.1)
            time.sleep(1)
            frame = self.display.frame()
            for block in cmem.blocks():
                self.assertFalse(frame and
                                 block.phys_addr <= frame[0] < block.phys_addr + block.size)
            self.assertEqual(list(attached()), [])

    def test_pipeline_that_ends_by_itself(self):
        status, said = run(f"videotestsrc num-buffers=20 ! {CAPS} ! cmemalloc ! "
                           f"{SINK} sync=false")
        self.assertEqual((status, said), (0, ""), log()[-2000:])

    def test_no_such_block(self):
        status, said = run(f"videotestsrc num-buffers=20 ! {CAPS} ! cmemalloc block=77 ! {SINK}")
        self.assertNotEqual(status, 0, said)
        self.assertRegex(said, r"Block 77 has no buffer of \d+ bytes: No such file or directory")


def setUpModule():
    """What videotestsrc draws is the same each time."""
    Pipelines.expected = Pipelines().drawn()
