# SPDX-License-Identifier: BSD-3-Clause
"""Tests of the package cmem, on a machine with /dev/cmem and, for those of lifetimes, on any
with something that stands for libcmem.so.1 and has fake_registrations().

    PYTHONPATH=tools/cmem/python python3 -m unittest discover tools/cmem/python/tests
"""
from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import gc
import mmap
import os
import pickle
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock
import warnings
from typing import Any, Callable, Iterator

import numpy

import cmem
from cmem import _library

LIBRARY = ctypes.CDLL("libcmem.so.1")
FAKE = hasattr(LIBRARY, "fake_registrations")
SIZE = 100_000
if FAKE:
    _library.DEVICE = "/dev/null"   # which a child may open


def held() -> Any:
    """What is in use, by whomever"""
    if FAKE:
        return LIBRARY.fake_registrations(), LIBRARY.fake_mappings()
    return [(block.number, block.heap.free, [pool.free for pool in block.pools])
            for block in cmem.blocks()]


def in_child(function: Callable[[], None]) -> int:
    """The exit status of a child; one that ends as a program does, program() runs"""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        try:
            function()
        except BaseException as why:
            os.write(2, f"{why!r}\n".encode())
            os._exit(99)
        gc.collect()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def program(text: str, *arguments: str, **options: Any) -> Any:
    """Runs Python on a text of its own."""
    return subprocess.run([sys.executable, "-X", "dev", "-c", text, *arguments], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


class Case(unittest.TestCase):
    """Everything is as free as before when a test has ended, and no file is left open."""

    def setUp(self) -> None:
        with cmem.alloc(1):     # the library's own file is there
            pass
        self.files = len(os.listdir("/proc/self/fd"))
        self.held = held()

    def tearDown(self) -> None:
        gc.collect()
        self.assert_all_free()
        self.assertEqual(len(os.listdir("/proc/self/fd")), self.files)

    def assert_all_free(self) -> None:
        """The kernel may take its time."""
        end = time.monotonic() + (1 if FAKE else 20)
        while held() != self.held and time.monotonic() < end:
            time.sleep(0.01)
        self.assertEqual(held(), self.held)

    @contextlib.contextmanager
    def says(self, kind: type[Exception], pattern: str) -> Iterator[None]:
        """An error, with the errno that its class is for"""
        before = held()
        with self.assertRaisesRegex(kind, pattern) as caught:
            yield
        if isinstance(caught.exception, OSError):
            self.assertTrue(caught.exception.errno)
            self.assertTrue(caught.exception.strerror)
        self.assertEqual(held(), before)


class Lifetimes(Case):
    """No view of a buffer is ever of somebody else's memory."""

    def test_memory_is_shared_with_numpy(self) -> None:
        with cmem.alloc(SIZE) as buf:
            self.assertEqual(len(buf), SIZE)
            array = numpy.frombuffer(buf, numpy.uint8)
            array[:] = numpy.arange(SIZE) % 251
            self.assertEqual(buf[250:253], bytes([250, 0, 1]))
            buf[0:2] = b"\x55\xaa"
            self.assertEqual(list(array[:3]), [0x55, 0xaa, 2])
            self.assertEqual(memoryview(buf).nbytes, SIZE)
            self.assertFalse(memoryview(buf).readonly)
            del array

    def test_close_waits_for_no_view(self) -> None:
        buf = cmem.alloc(SIZE)
        array = numpy.frombuffer(buf, numpy.uint32)
        part = array[10:20]
        del array
        with self.assertRaises(BufferError):
            buf.close()
        self.assertFalse(buf.closed)
        part[:] = 7
        buf.write_back_invalidate()
        del part
        buf.close()
        self.assertTrue(buf.closed)
        self.assert_all_free()

    def test_view_keeps_a_buffer_that_has_no_name(self) -> None:
        array = numpy.frombuffer(cmem.alloc(SIZE), numpy.uint8)
        gc.collect()
        self.assertNotEqual(held(), self.held)
        array[:] = 3
        self.assertEqual(int(array.sum()), 3 * SIZE)
        with self.assertWarnsRegex(ResourceWarning, "unclosed <cmem.Buffer of 100000 bytes at 0x"):
            del array
            gc.collect()
        self.assert_all_free()

    def test_cycles_are_collected(self) -> None:
        for viewed in (False, True):
            buf = cmem.alloc(SIZE)
            setattr(buf, "cycle", memoryview(buf) if viewed else buf)
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                del buf
                gc.collect()
            self.assertEqual([str(warning.category) for warning in said], [str(ResourceWarning)])
            # What was recorded has the buffer; with a view, that is a cycle again.
            if viewed:
                said.clear()
                gc.collect()
            self.assert_all_free()

    def test_end_of_with_closes(self) -> None:
        with cmem.alloc(SIZE) as buf:
            self.assertFalse(buf.closed)
        self.assertTrue(buf.closed)
        self.assert_all_free()

    def test_end_of_with_says_that_there_is_a_view(self) -> None:
        with self.assertRaises(BufferError):
            with cmem.alloc(SIZE) as buf:
                view = memoryview(buf)
        view.release()
        buf.close()

    def test_exception_within_with_is_not_hidden(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            with cmem.alloc(SIZE) as buf:
                view = numpy.frombuffer(buf, numpy.uint8)
                raise ZeroDivisionError
        del view
        buf.close()

    def test_closed_buffer(self) -> None:
        buf = cmem.alloc(SIZE)
        buf.close()
        buf.close()
        uses: list[Callable[[], object]] = [
            lambda: memoryview(buf), lambda: len(buf), lambda: buf[0], lambda: buf.phys_addr,
            buf.fileno, buf.export, buf.write_back, buf.invalidate, buf.write_back_invalidate,
            buf.access().__enter__, buf.__enter__]
        for use in uses:
            with self.assertRaises(ValueError):
                use()
        self.assertEqual(repr(buf), "<closed cmem.Buffer>")

    def test_is_not_made_copied_or_resized(self) -> None:
        for kind in (cmem.Buffer, cmem.DmaBuf):
            with self.assertRaisesRegex(TypeError, "alloc"):
                kind(0, 4096)
        with cmem.alloc(SIZE) as buf:
            with self.assertRaises(TypeError):
                buf.resize(10)
            with self.assertRaises(TypeError):
                pickle.dumps(buf)

    def test_nothing_is_left_of_what_failed(self) -> None:
        files = [os.open("/dev/null", os.O_RDONLY) for _ in range(3)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(files) + 1, hard))
            buf = None
            with self.assertRaises(OSError) as caught:
                buf = cmem.alloc(SIZE)
            self.assertEqual(caught.exception.errno, errno.EMFILE)
            self.assertIsNone(buf)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for file in files:
                os.close(file)
        self.assert_all_free()

    @unittest.skipUnless(FAKE, "the kernel's exports do not fail on demand")
    def test_nothing_is_left_when_the_export_failed(self) -> None:
        LIBRARY.fake_fail_exports(1)
        with self.says(cmem.Error, "CMEM_export_dmabuf"):
            cmem.alloc(SIZE)

    def test_threads(self) -> None:
        wrong: list[str] = []

        def work(number: int) -> None:
            for i in range(50):
                with cmem.alloc(4096, heap=True) as buf:
                    array = numpy.frombuffer(buf, numpy.uint32)
                    array[:] = number << 16 | i
                    buf.write_back_invalidate()
                    time.sleep(0)
                    if (array != number << 16 | i).any():
                        wrong.append(f"{number} {i}")
                    del array
        threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_two_threads_close_one_buffer_once(self) -> None:
        for _ in range(50):
            buf = cmem.alloc(4096, heap=True)
            barrier = threading.Barrier(2)
            wrong: list[BaseException] = []

            def close(buf: cmem.Buffer = buf, barrier: threading.Barrier = barrier,
                      wrong: list[BaseException] = wrong) -> None:
                barrier.wait()
                try:
                    buf.close()
                except BaseException as why:  # pylint: disable=broad-exception-caught
                    wrong.append(why)
            thread = threading.Thread(target=close)
            thread.start()
            close()
            thread.join()
            self.assertEqual(wrong, [])

    def test_one_file_descriptor_is_made_for_all_threads(self) -> None:
        with cmem.alloc(SIZE) as buf:
            found: set[int] = set()
            threads = [threading.Thread(target=lambda: found.add(buf.fileno())) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(len(found), 1)

    def test_end_of_the_program(self) -> None:
        """Arrays and buffers that are left are no trouble, in whatever order they go."""
        run = program("import cmem, numpy, threading, time\n"
                      "kept = [cmem.alloc(4096, heap=True) for _ in range(5)]\n"
                      "arrays = [numpy.frombuffer(buf, numpy.uint8) for buf in kept]\n"
                      "only = numpy.frombuffer(cmem.alloc(4096), numpy.uint8)\n"
                      "fd = kept[0].fileno()\n"
                      "def work():\n"
                      "    while True:\n"
                      "        with cmem.alloc(4096, heap=True) as buf: buf.write_back()\n"
                      "threading.Thread(target=work, daemon=True).start()\n"
                      "time.sleep(0.2)\n"
                      "print('end')\n")
        self.assertEqual((run.returncode, run.stdout, run.stderr), (0, "end\n", ""))


class Processes(Case):
    """fork(): what is whose"""

    def test_child_takes_nothing_of_its_parents(self) -> None:
        buf = cmem.alloc(SIZE)
        buf[0:4] = b"mine"
        before = held()

        def child() -> None:
            self.assertEqual(buf[0:4], b"mine")
            buf[4:8] = b"ours"
            buf.close()
        self.assertEqual(in_child(child), 0)
        self.assertEqual(buf[0:8], b"mineours")
        self.assertEqual(held(), before)
        buf.write_back()
        buf.close()
        self.assert_all_free()

    def test_child_that_collects_or_just_ends(self) -> None:
        with cmem.alloc(SIZE) as buf:
            before = held()
            kept = [cmem.alloc(4096, heap=True)]

            def collect() -> None:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    kept.clear()
                    gc.collect()
            self.assertEqual(in_child(collect), 0)
            self.assertEqual(in_child(lambda: None), 0)
            kept[0].close()
            self.assertEqual(held(), before)
            buf[0] = 1

    def test_child_that_ends_as_a_program_does(self) -> None:
        run = program("import cmem, numpy, os, sys\n"
                      "kept = [cmem.alloc(4096, heap=True) for _ in range(3)]\n"
                      "array = numpy.frombuffer(kept[0], numpy.uint8)\n"
                      "if not os.fork():\n"
                      "    kept.append(cmem.alloc(4096, heap=True))\n"
                      "    sys.exit(0)\n"
                      "print(os.wait()[1])\n"
                      "array[:] = 7\n"
                      "del array\n"
                      "for buf in kept: buf.close()\n")
        self.assertEqual((run.returncode, run.stdout, run.stderr), (0, "0\n", ""))

    def test_what_a_child_allocates_is_its_own(self) -> None:
        ours = cmem.alloc(SIZE)

        def child() -> None:
            mine = cmem.alloc(SIZE)
            mine[0] = 1
            self.assertEqual(ours[0], 0)
            numpy.frombuffer(mine, numpy.uint8)[:] = 3
            os._exit(0)     # and frees nothing
        self.assertEqual(in_child(child), 0)
        ours.close()
        self.assert_all_free()

    def test_thread_may_hold_a_lock_while_another_forks(self) -> None:
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                cmem.alloc(4096, heap=True).close()
        thread = threading.Thread(target=work)
        thread.start()

        def child() -> None:
            signal.alarm(60)
            cmem.alloc(4096, heap=True).close()
        try:
            self.assertEqual([in_child(child) for _ in range(10)], [0] * 10)
        finally:
            stop.set()
            thread.join()

    def test_daemon_that_closes_all_files(self) -> None:
        def child() -> None:
            if FAKE:
                LIBRARY.fake_close_device()
            os.closerange(3, 1000)
            with cmem.alloc(SIZE) as buf:
                buf[0] = 5
                buf.write_back()
        self.assertEqual(in_child(child), 0)
        if FAKE:
            LIBRARY.fake_close_device()
            cmem.alloc(SIZE).close()


class Arguments(Case):
    """What can't be right is said so before anything is done, by its name and its range."""

    def test_ranges(self) -> None:
        calls: list[tuple[str, Callable[[], object]]] = [
                ("size", lambda: cmem.alloc(0)), ("size", lambda: cmem.alloc(-1)),
                ("size", lambda: cmem.alloc(2 ** 64 + 4096)), ("size", lambda: cmem.alloc(2 ** 63)),
                ("block", lambda: cmem.alloc(1, block=-2)),
                ("block", lambda: cmem.alloc(1, block=2 ** 32)),
                ("alignment", lambda: cmem.alloc(1, heap=True, alignment=-1)),
                ("alignment", lambda: cmem.alloc(1, heap=True, alignment=2 ** 64)),
                ("pool", lambda: cmem.alloc_pool(-1)), ("pool", lambda: cmem.alloc_pool(2 ** 32)),
                ("phys_addr", lambda: cmem.register(-4096)),
                ("phys_addr", lambda: cmem.register(2 ** 64)),
                ("size", lambda: cmem.register(4096, size=0)),
                ("fd", lambda: cmem.register_dmabuf(-1)), ("fd", lambda: cmem.import_dmabuf(2 ** 32)),
                ("size", lambda: cmem.find_pool(0)), ("block", lambda: cmem.find_pool(1, block=-3))]
        for name, call in calls:
            with self.says(ValueError, f"^{name} must be from -?\\d+ to \\d+, not -?\\d+$"):
                call()

    def test_types(self) -> None:
        for wrong in ("4096", 4096.0, None, True):
            with self.says(TypeError, "^size must be an integer, not "):
                cmem.alloc(wrong)  # type: ignore[arg-type]
        cmem.alloc(numpy.int64(4096)).close()  # type: ignore[arg-type]

    def test_cache_ranges(self) -> None:
        with cmem.alloc(SIZE) as buf:
            for maintain in (buf.write_back, buf.invalidate, buf.write_back_invalidate):
                maintain()
                maintain(SIZE)
                maintain(0, SIZE)
                maintain(SIZE - 1, 1)
                for offset, size in ((-1, None), (SIZE + 1, None), (0, SIZE + 1), (1, SIZE),
                                     (0, -1), (2 ** 64, 1)):
                    with self.says(ValueError, "^(offset|size) must be from 0 to "):
                        maintain(offset, size)
        cmem.write_back_invalidate_all()

    def test_access_to_nothing(self) -> None:
        with cmem.alloc(SIZE) as buf, self.says(ValueError, "to read, to write, or both"):
            with buf.access(read=False, write=False):
                pass


class Told(unittest.TestCase):
    """What becomes of the kernel's answers"""

    def test_flags_of_a_block(self) -> None:
        def answer(flags: int) -> Callable[[int, int, Any], int]:
            def ioctl(_fd: int, _command: int, told: Any) -> int:
                told.kind, told.out_flags = cmem.Kind.RESERVED.value, flags
                return 0
            return ioctl

        for flags, expected in ((0, (False, False, False)), (1 << 5, (True, False, False)),
                                (1 << 8, (False, False, True)),
                                (1 << 7 | 1 << 8, (False, True, True))):
            with unittest.mock.patch("cmem._blocks.DEVICE", "/dev/null"), \
                    unittest.mock.patch("cmem._blocks.fcntl.ioctl", answer(flags)):
                block = cmem.block(3)
            self.assertEqual((block.coherent, block.page_backed, block.can_be_page_backed),
                             expected)
            self.assertEqual((block.number, block.kind), (3, cmem.Kind.RESERVED))


class Errors(Case):
    """errno, its class, and a text that tells what was asked for"""

    def test_no_such_block_or_pool(self) -> None:
        with self.says(cmem.NotFoundError, r"block 77, 1 bytes\): there is no such block"):
            cmem.alloc(1, block=77)
        with self.says(cmem.NotFoundError, "no such pool"):
            cmem.alloc_pool(31)
        with self.says(cmem.NotFoundError, "no such block"):
            cmem.find_pool(1, block=77)

    def test_errors_are_oserrors(self) -> None:
        with self.assertRaises(OSError) as caught:
            cmem.alloc(1, block=77)
        self.assertEqual(caught.exception.errno, errno.ENOENT)
        for kind, base in ((cmem.NoMemoryError, OSError), (cmem.NotPermittedError, PermissionError),
                           (cmem.InvalidError, ValueError)):
            self.assertTrue(issubclass(kind, cmem.Error) and issubclass(kind, base))

    def test_alignment(self) -> None:
        with self.says(cmem.InvalidError, "power of two"):
            cmem.alloc(1, heap=True, alignment=3000)

    def test_nobody_is_registered(self) -> None:
        with cmem.alloc(SIZE) as buf:
            address = buf.phys_addr
            with self.says(cmem.InvalidError, "page's border"):
                cmem.register(address + 1)
        with self.says(cmem.NotFoundError, "nobody is registered"):
            cmem.register(address)

    def test_more_than_a_buffer_has(self) -> None:
        with cmem.alloc(SIZE) as buf:
            with self.says(ValueError, f"from 1 to {buf.capacity}, which the buffer has"):
                cmem.register(buf.phys_addr, size=buf.capacity + 1)

    def test_no_dmabuf(self) -> None:
        with tempfile.TemporaryFile() as file:
            with self.says(cmem.InvalidError, "no DMA-BUF of CMEM"):
                cmem.register_dmabuf(file.fileno())
        for take in (cmem.register_dmabuf, cmem.import_dmabuf):
            with self.assertRaises(OSError) as caught:
                take(999)
            self.assertEqual(caught.exception.errno, errno.EBADF)

    def test_no_library(self) -> None:
        run = program("import cmem\n"
                      "from cmem import _library\n"
                      "_library.SONAME = 'libnone.so.1'\n"
                      "try: cmem.alloc(1)\n"
                      "except cmem.Error as why: print(why.strerror)\n")
        self.assertRegex(run.stdout, "^libnone.so.1 can not be loaded: .*No such file")


class Sharing(Case):
    """One buffer, several owners"""

    def test_registered_twice(self) -> None:
        with cmem.alloc(SIZE) as first:
            with cmem.register(first.phys_addr, size=SIZE) as second:
                self.assertEqual(second.phys_addr, first.phys_addr)
                second[0:5] = b"hello"
                self.assertEqual(first[0:5], b"hello")
                first.close()
                self.assertEqual(second[0:5], b"hello")
        self.assert_all_free()

    def test_capacity(self) -> None:
        with cmem.alloc(SIZE, heap=True) as buf, cmem.register(buf.phys_addr) as whole:
            self.assertEqual(buf.capacity, -(-SIZE // mmap.PAGESIZE) * mmap.PAGESIZE)
            self.assertEqual(len(whole), buf.capacity)
        with cmem.alloc_pool(0) as buf:
            self.assertEqual(len(buf), buf.capacity)
        with cmem.alloc(1) as buf:
            self.assertGreaterEqual(buf.capacity, mmap.PAGESIZE)

    def test_export_outlives_the_buffer(self) -> None:
        with cmem.alloc(SIZE) as buf:
            fd = buf.export()
            self.assertNotEqual(fd, buf.fileno())
            self.assertTrue(fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC)
            buf[0:4] = b"kept"
            with self.assertRaises(OSError):
                os.close(buf.fileno())
                buf.close()
        with mmap.mmap(fd, SIZE) as memory:
            os.close(fd)
            self.assertEqual(memory[0:4], b"kept")


@unittest.skipIf(FAKE, "there is no /dev/cmem")
class Kernel(Case):
    """What needs CMEM itself"""

    def test_info(self) -> None:
        info = cmem.info()
        self.assertGreaterEqual(info.abi_version, 4)
        self.assertEqual(info.alignment, mmap.PAGESIZE)
        self.assertEqual(info.cache_line & (info.cache_line - 1), 0)

    def test_blocks_are_those_of_proc(self) -> None:
        with open("/proc/cmem", encoding="utf-8") as file:
            lines = file.read()
        blocks = {block.number: block for block in cmem.blocks()}
        pools = re.findall(r"^Block (\d+): Pool (\d+): (\d+) bufs size 0x([0-9a-f]+)", lines, re.M)
        self.assertTrue(pools)
        for number, pool, count, size in pools:
            told = blocks[int(number)].pools[int(pool)]
            self.assertEqual((told.number, told.count, told.size),
                             (int(pool), int(count), int(size, 16)))
            self.assertLessEqual(told.requested_size, told.size)
        for block in blocks.values():
            self.assertEqual(block.size, block.heap.size +
                             sum(pool.count * pool.size for pool in block.pools))
            self.assertEqual(cmem.block(block.number).kind, block.kind)
        with self.says(cmem.NotFoundError, r"CMEM_IOCTL_GET_BLOCK\(77\): there is no such block"):
            cmem.block(77)

    def test_each_kind_of_memory(self) -> None:
        for block in cmem.blocks():
            choices: list[dict[str, bool]] = [{}, {"cached": True}, {"heap": True}, {"private": True}]
            for arguments in choices:
                if arguments.get("heap") and not block.heap.free:
                    continue
                with cmem.alloc(5000, block=block.number, **arguments) as buf:
                    array = numpy.frombuffer(buf, numpy.uint16)
                    array[:] = 0x1234
                    self.assertTrue((array == 0x1234).all())
                    self.assertEqual(buf.phys_addr % mmap.PAGESIZE, 0)
                    if block.number >= 0:
                        self.assertTrue(block.phys_addr <= buf.phys_addr < block.phys_addr + block.size)
                    buf.write_back_invalidate()
                    with buf.access():
                        array[0] = 1
                    del array

    def test_page_backed(self) -> None:
        for block in cmem.blocks():
            self.assertLessEqual(block.page_backed, block.can_be_page_backed)
            if not block.heap.free:
                continue
            if block.can_be_page_backed:
                cmem.alloc(1, block=block.number, heap=True, cached=True, pages=True).close()
                continue
            with self.says(cmem.Error, "can be page-backed"):
                cmem.alloc(1, block=block.number, heap=True, cached=True, pages=True)

    def test_best_pool_and_next(self) -> None:
        number = cmem.find_pool(SIZE)
        pool = cmem.block(0).pools[number]
        self.assertGreaterEqual(pool.size, SIZE)
        with contextlib.ExitStack() as stack:
            for _ in range(pool.free):
                buf = stack.enter_context(cmem.alloc_pool(number))
                self.assertTrue(pool.phys_addr <= buf.phys_addr < pool.phys_addr + pool.count * pool.size)
            self.assertEqual(cmem.block(0).pools[number].free, 0)
            with self.says(cmem.NoMemoryError, "the pool has no free buffer"):
                cmem.alloc_pool(number)
            with cmem.alloc(SIZE) as buf:
                self.assertGreater(buf.capacity, pool.size)

    def test_alignment_of_the_heap(self) -> None:
        with cmem.alloc(SIZE, heap=True, alignment=1 << 20) as buf:
            self.assertEqual(buf.phys_addr % (1 << 20), 0)

    def test_heap_is_full(self) -> None:
        heap = cmem.block(1).heap
        with cmem.alloc(heap.largest, block=1, heap=True):
            with self.says(cmem.NoMemoryError, "no free buffer of that size"):
                cmem.alloc(heap.largest, block=1, heap=True)

    def test_physical_memory_is_that(self) -> None:
        """Block 2 is ordinary memory, which /dev/mem shows."""
        with cmem.alloc(SIZE, block=2) as buf:
            buf[0:8] = struct.pack("=Q", 0x0123456789abcdef)
            with open("/dev/mem", "rb") as file, \
                    mmap.mmap(file.fileno(), mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ,
                              offset=buf.phys_addr) as memory:
                self.assertEqual(memory[0:8], buf[0:8])

    def test_another_process_registers(self) -> None:
        with cmem.alloc(SIZE) as buf:
            buf[0:5] = b"first"
            run = program("import cmem, sys\n"
                          "with cmem.register(int(sys.argv[1])) as buf:\n"
                          "    print(buf[0:5])\n"
                          "    buf[0:6] = b'second'\n"
                          "    buf.write_back()\n", str(buf.phys_addr))
            self.assertEqual((run.stdout, run.stderr), ("b'first'\n", ""))
            self.assertEqual(buf[0:6], b"second")

    def test_another_process_keeps_it(self) -> None:
        """Who has registered holds it when the first one has ended."""
        with subprocess.Popen([sys.executable, "-c",
                               "import cmem, os, sys\n"
                               "buf = cmem.alloc(5000)\n"
                               "buf[0:5] = b'first'\n"
                               "print(buf.phys_addr, flush=True)\n"
                               "sys.stdin.readline()\n"
                               "os._exit(0)\n"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as other:
            assert other.stdout
            buf = cmem.register(int(other.stdout.readline()))
            other.communicate("\n")
        self.assertEqual(buf[0:5], b"first")
        buf.close()
        self.assert_all_free()

    def test_another_user(self) -> None:
        nobody: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []}
        with cmem.alloc(SIZE) as buf:
            run = program("import cmem, os, sys\n"
                          "try: cmem.alloc(1)\n"
                          "except PermissionError as why: print(why.errno, why.strerror)\n",
                          **nobody)
            self.assertEqual((run.stdout, run.stderr), (
                "13 CMEM_init(): the user may not open /dev/cmem: "
                "be in the group that it belongs to\n", ""))
            mode = os.stat("/dev/cmem").st_mode
            os.chmod("/dev/cmem", 0o666)
            try:
                run = program("import cmem, os, sys\n"
                              "try: cmem.register(int(sys.argv[1]))\n"
                              "except cmem.NotPermittedError as why: print(why.errno, why.strerror)\n",
                              str(buf.phys_addr), **nobody)
            finally:
                os.chmod("/dev/cmem", mode & 0o777)
            self.assertRegex(run.stdout, r"^1 CMEM_registerAlloc64\(0x[0-9a-f]+\): "
                                         "the buffer is another user's, or private")

    def test_private_buffer_is_passed_on(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs, cmem.alloc(SIZE, private=True) as buf:
            buf[0:6] = b"secret"
            run = program("import cmem, sys\n"
                          "try: cmem.register(int(sys.argv[1]))\n"
                          "except PermissionError: print('refused')\n", str(buf.phys_addr))
            self.assertEqual((run.stdout, run.stderr), ("refused\n", ""))
            socket.send_fds(ours, [b"x"], [buf.fileno()])
            run = program("import cmem, os, socket, sys\n"
                          "link = socket.socket(fileno=int(sys.argv[1]))\n"
                          "fd = socket.recv_fds(link, 1, 1)[1][0]\n"
                          "with link, cmem.register_dmabuf(fd) as buf:\n"
                          "    os.close(fd)\n"
                          "    print(buf[0:6], buf.phys_addr == int(sys.argv[2]))\n",
                          str(theirs.fileno()), str(buf.phys_addr), pass_fds=[theirs.fileno()])
            self.assertEqual((run.stdout, run.stderr), ("b'secret' True\n", ""))

    def page_twice(self) -> int:
        """A DMA-BUF that has one page twice, of /dev/udmabuf: UDMABUF_CREATE_LIST"""
        memory = os.memfd_create("page", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(memory, mmap.PAGESIZE)
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        page = struct.pack("=IIQQ", memory, 0, 0, mmap.PAGESIZE)
        device = os.open("/dev/udmabuf", os.O_RDWR | os.O_CLOEXEC)
        fd = fcntl.ioctl(device, 0x40087543, bytearray(struct.pack("=II", 1, 2) + page + page))
        os.close(device)
        os.close(memory)
        self.assertGreaterEqual(fd, 0)
        return fd

    def heap_fd(self, name: str, size: int) -> int:
        """A DMA-BUF of a DMA-BUF heap: struct dma_heap_allocation_data"""
        heap = os.open(f"/dev/dma_heap/{name}", os.O_RDWR | os.O_CLOEXEC)
        data = bytearray(struct.pack("=QIIQ", size, 0, os.O_RDWR | os.O_CLOEXEC, 0))
        fcntl.ioctl(heap, 0xc0184800, data)
        os.close(heap)
        return int(struct.unpack("=QIIQ", data)[1])

    def test_buffer_of_a_dma_heap(self) -> None:
        fd = self.heap_fd("cmem-1", SIZE)
        with cmem.register_dmabuf(fd) as buf:
            os.close(fd)
            block = cmem.block(1)
            self.assertTrue(block.phys_addr <= buf.phys_addr < block.phys_addr + block.size)
            buf[0] = 1
        self.assert_all_free()

    def test_dmabuf_of_another_exporter(self) -> None:
        fd = self.heap_fd("system", mmap.PAGESIZE)
        with cmem.import_dmabuf(fd) as buf:
            os.close(fd)
            array = numpy.frombuffer(buf, numpy.uint8)
            with buf.access(read=False):
                array[:] = 9
            self.assertTrue(buf.phys_addr)
            with self.assertRaises(BufferError):
                buf.close()
            again = buf.export()
            del array
        with mmap.mmap(again, mmap.PAGESIZE) as memory:
            os.close(again)
            self.assertEqual(memory[0:4], b"\x09" * 4)

    def test_dmabuf_that_is_not_contiguous(self) -> None:
        fd = self.page_twice()
        with self.says(cmem.InvalidError, "not contiguous"):
            cmem.import_dmabuf(fd)
        with self.says(cmem.InvalidError, "no DMA-BUF of CMEM"):
            cmem.register_dmabuf(fd)
        os.close(fd)

    def test_own_buffer_imported(self) -> None:
        with cmem.alloc(SIZE, cached=True) as buf, cmem.import_dmabuf(buf.fileno()) as other:
            self.assertEqual(other.phys_addr, buf.phys_addr)
            self.assertEqual(len(other), buf.capacity)
            buf.close()
            self.assertNotEqual(held(), self.held)

    def test_caches_are_maintained(self) -> None:
        """What the kernel is asked to do, by its tracepoint"""
        trace = "/sys/kernel/tracing/"
        enable = trace + "events/cmem/cmem_sync/enable"

        def write(path: str, text: str) -> None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        with cmem.alloc(SIZE, cached=True) as buf:
            write(trace + "trace", "")
            write(enable, "1")
            try:
                buf.write_back(4096, 100)
                buf.invalidate(8192, 200)
                buf.write_back_invalidate()
            finally:
                write(enable, "0")
            with open(trace + "trace", encoding="utf-8") as file:
                lines = [line for line in file if "cmem_sync:" in line]
            self.assertEqual(len(lines), 3, lines)
            for line, offset, size in zip(lines, (4096, 8192, 0), (100, 200, SIZE)):
                self.assertIn(f"phys={buf.phys_addr + offset:#x} length={size:#x} ", line)


if __name__ == "__main__":
    unittest.main()
