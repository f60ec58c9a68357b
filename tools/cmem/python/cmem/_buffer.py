# SPDX-License-Identifier: BSD-3-Clause
"""Buffers. Each is an mmap.mmap of its DMA-BUF, which makes lifetimes safe: an mmap counts who
looks at its memory (memoryviews, arrays of numpy), and does not close before they are gone; and
the kernel keeps the memory as long as it is mapped, whatever else was let go of.
"""
from __future__ import annotations

import contextlib
import ctypes
import fcntl
import mmap
import os
import struct
import sys
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn, TypeVar

from ._errors import Error
from ._library import (CACHED, HEAP, MAX_INT, MAX_PHYS, MAX_SIZE, NONCACHED, PAGES, POOL, PRIVATE,
                       AllocParams, block_number, call, integer, quietly)

_SelfT = TypeVar("_SelfT", bound="DmaBuf")

# <linux/dma-buf.h>
_DMA_BUF_IOCTL_SYNC = 0x40086200
_SYNC_READ, _SYNC_WRITE, _SYNC_START, _SYNC_END = 1, 2, 0, 4


class DmaBuf(mmap.mmap):
    """The mapped memory of a DMA-BUF, whoever exports it; import_dmabuf() makes them.

    It has the buffer protocol: memoryview(buf) and numpy.frombuffer(buf, ...) copy nothing.
    len(buf), slices and the rest are those of mmap.mmap.

    close() is a BufferError as long as there is a memoryview or an array of it, and changes
    nothing then. A DmaBuf that nobody has any more is closed (with a ResourceWarning), but not
    before its memoryviews and arrays are gone, too. The end of "with" closes it.

    In a child of fork() the mapping stays; who is done with it there may close it.
    """

    _phys_addr: int
    _capacity: int
    _owner: int         # the process that made it
    _fd: int            # of the DMA-BUF, once it was wanted
    _hold: int          # what CMEM_import_dmabuf() has returned

    def __new__(cls: type[_SelfT], *_args: Any, **_kwargs: Any) -> _SelfT:
        raise TypeError(f"{cls.__name__} is not made directly: alloc(), alloc_pool(), register(), "
                        "register_dmabuf() and import_dmabuf() do")

    @classmethod
    def _of(cls: type[_SelfT], fd: int, phys_addr: int, size: int | None, writable: bool,
            ) -> _SelfT:
        """Maps the first bytes of a DMA-BUF, or all of it. fd is the caller's, and may be closed."""
        capacity = os.lseek(fd, 0, os.SEEK_END)
        if size is None:
            size = capacity
        elif size > capacity:
            raise ValueError(f"size must be from 1 to {capacity}, which the buffer has, not {size}")
        new: Any = mmap.mmap.__new__
        self: _SelfT = new(cls, fd, size, mmap.MAP_SHARED,
                           mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0))
        self._phys_addr, self._capacity, self._owner = phys_addr, capacity, os.getpid()
        return self

    @property
    def phys_addr(self) -> int:
        """The physical address of the first byte, to tell a device. Those of the others follow.

        ValueError: the buffer is closed.
        """
        if self.closed:
            raise ValueError("the buffer is closed: its memory may be another's")
        return self._phys_addr

    @property
    def capacity(self) -> int:
        """The bytes that the buffer really has, at least len(buf): a buffer of a pool is as long as
        all of that pool, one of a heap is of whole pages."""
        return self._capacity

    def fileno(self) -> int:
        """The file descriptor of the DMA-BUF, to be handed to other drivers or, with
        socket.send_fds(), to other processes. It is closed with the buffer; export() makes one
        that is not.

        ValueError: the buffer is closed.
        """
        with memoryview(self):
            return self._fd

    def export(self) -> int:
        """A file descriptor of the DMA-BUF, of all of it, which is the caller's to close. It
        keeps the memory until then, also when the buffer is closed. It is closed by exec().

        ValueError: the buffer is closed. OSError: there are too many open files (EMFILE).
        """
        return os.dup(self.fileno())

    @contextlib.contextmanager
    def access(self: _SelfT, *, read: bool = True, write: bool = True) -> Iterator[_SelfT]:
        """What the CPU does with the memory is within "with buf.access():". The exporter then
        maintains the caches for the devices that are attached to the DMA-BUF, and waits for
        those that are at work on it: where other drivers have the DMA-BUF, this is what they
        expect. read, write: what the CPU is to do.

        ValueError: neither of both, or the buffer is closed. OSError: what the exporter says.
        """
        what = (_SYNC_READ if read else 0) | (_SYNC_WRITE if write else 0)
        if not what:
            raise ValueError("access must be to read, to write, or both")
        with memoryview(self):      # so that it is not closed meanwhile
            fd = self.fileno()
            _sync(fd, _SYNC_START | what)
            try:
                yield self
            finally:
                _sync(fd, _SYNC_END | what)

    def close(self) -> None:
        """Unmaps the memory and lets go of it. Once closed, nothing more happens.

        BufferError: there is a memoryview or an array of it, and nothing has changed.
        """
        super().close()
        self._let_go()

    def _let_go(self) -> None:
        """Whatever there is besides the mapping. pop(): of two threads, one does it."""
        for name in ("_fd", "_hold"):
            fd = self.__dict__.pop(name, -1)
            if fd >= 0:
                os.close(fd)

    def __enter__(self: _SelfT) -> _SelfT:
        if self.closed:
            raise ValueError("the buffer is closed")
        return self

    def __exit__(self, *failure: object) -> None:
        try:
            self.close()
        except BufferError:
            # The frames of a traceback may have arrays: what went wrong first counts.
            if failure[0] is None:
                raise

    def __del__(self) -> None:
        # At the end of the program, the kernel frees all, and knows that the program did not.
        if sys.is_finalizing() or self.closed or "_owner" not in self.__dict__:
            return
        if self._owner == os.getpid():
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        # Who records warnings has it yet. A view there may be, of a cycle that goes as a whole.
        with contextlib.suppress(BufferError):
            super().close()
        with contextlib.suppress(OSError):
            self._let_go()

    def __repr__(self) -> str:
        name = f"cmem.{type(self).__name__}"
        if self.closed:
            return f"<closed {name}>"
        return f"<{name} of {len(self)} bytes at {self._phys_addr:#x}>"

    def resize(self, newsize: int) -> NoReturn:
        """TypeError: a buffer keeps its size."""
        raise TypeError("a buffer keeps its size")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a buffer can not be pickled: pass on its file descriptor")


class Buffer(DmaBuf):
    """A buffer of CMEM that this process is registered for: alloc(), alloc_pool(), register() and
    register_dmabuf() make them. See DmaBuf for what it has of the buffer protocol, and when it
    is closed.

    What is written to a cached buffer is in the CPU's caches. Where the device does not see
    those: write_back() before a device reads, write_back_invalidate() before one writes,
    invalidate() after it has written. There is nothing to do for buffers that are not cached.

    close() drops the registration; the memory is free when all who have registered have done
    so, and no mapping and no DMA-BUF of it is left. A child of fork() is no owner: what it
    closes stays its parent's. The end of the program frees all, but as what was not freed: in a
    block with quarantine, others get that when it was released.
    """

    _address: int
    _registered: bool

    @classmethod
    def _of_registered(cls, address: int, mapped: int | None, phys_addr: int, size: int | None,
                       ) -> Buffer:
        """For a registration, which is dropped when that fails, and a mapping of the library,
        which goes in any case. mapped: its length, or None: all of the buffer."""
        try:
            fd: int = call("CMEM_export_dmabuf", address, what=f"{phys_addr:#x}")
        except Error:
            quietly("CMEM_free", address, None)
            raise
        try:
            mapped = mapped or os.lseek(fd, 0, os.SEEK_END)
            self = cls._of(fd, phys_addr, size, True)
            self._address = ctypes.addressof(ctypes.c_char.from_buffer(self))
            self._registered = True
            return self
        except BaseException:
            quietly("CMEM_freePhys64", phys_addr, None)
            raise
        finally:
            if mapped:
                quietly("CMEM_unmap", address, mapped)
            os.close(fd)

    def fileno(self) -> int:
        with memoryview(self):
            fd = self.__dict__.get("_fd", -1)
            if fd < 0:
                # A file each is dear: only those that are wanted have one.
                new: int = call("CMEM_export_dmabuf", self._address, what=f"{self._phys_addr:#x}")
                fd = self.__dict__.setdefault("_fd", new)
                if fd != new:
                    os.close(new)
            return int(fd)

    def write_back(self, offset: int = 0, size: int | None = None) -> None:
        """What the CPU wrote reaches memory: before a device reads.

        offset: the first byte, from 0 to len(buf); size: how many, by default all to the end.
        ValueError: not all of that is in the buffer, or it is closed.
        """
        self._maintain("CMEM_cacheWb", offset, size)

    def invalidate(self, offset: int = 0, size: int | None = None) -> None:
        """What the CPU has of it in its caches is dropped: after a device has written. What the
        CPU wrote and did not write back is lost, so arrays that were written to before are
        written back first. The same range as for write_back().
        """
        self._maintain("CMEM_cacheInv", offset, size)

    def write_back_invalidate(self, offset: int = 0, size: int | None = None) -> None:
        """Both in one: before a device writes. The same range as for write_back()."""
        self._maintain("CMEM_cacheWbInv", offset, size)

    def _maintain(self, function: str, offset: int, size: int | None) -> None:
        with memoryview(self) as view:      # so that it is not closed meanwhile
            offset = integer(offset, "offset", 0, view.nbytes)
            if size is None:
                size = view.nbytes - offset
            else:
                size = integer(size, "size", 0, view.nbytes - offset)
            call(function, self._address + offset, size,
                 what=f"{size} bytes from {self._phys_addr + offset:#x}")

    def _let_go(self) -> None:
        super()._let_go()
        if self.__dict__.pop("_registered", False) and self._owner == os.getpid():
            call("CMEM_freePhys64", self._phys_addr, None, what=f"{self._phys_addr:#x}")


def _sync(fd: int, flags: int) -> None:
    while True:
        try:
            fcntl.ioctl(fd, _DMA_BUF_IOCTL_SYNC, struct.pack("=Q", flags))
            return
        except (InterruptedError, BlockingIOError):
            pass


def _params(heap: bool, cached: bool, private: bool, pages: bool, alignment: int = 0) -> Any:
    flags = (CACHED if cached else NONCACHED) | (PRIVATE if private else 0)
    flags |= PAGES if pages else 0
    alignment = integer(alignment, "alignment", 0, MAX_SIZE)
    return ctypes.byref(AllocParams(HEAP if heap else POOL, flags, alignment))


def _mapped(phys_addr: int, size: int | None) -> Buffer:
    """A Buffer of what was just allocated"""
    try:
        address = call("CMEM_map64", phys_addr, mmap.PAGESIZE, what=f"{phys_addr:#x}")
    except BaseException:
        quietly("CMEM_freePhys64", phys_addr, None)
        raise
    return Buffer._of_registered(address, mmap.PAGESIZE, phys_addr, size)


def alloc(size: int, *, block: int = 0, heap: bool = False, cached: bool = False,
          private: bool = False, pages: bool = False, alignment: int = 0) -> Buffer:
    """Allocates a buffer.

    size: in bytes, from 1. len() of the buffer is that; its capacity may be more.
    block: the block's number, from 0, or CMA_BLOCK.
    heap: from the block's heap. Otherwise from the pool with the smallest buffers that are
        long enough, or when it is empty, from the one with the next larger.
    cached: mapped as ordinary memory is, here and by all others; otherwise what the CPU
        writes goes to memory by itself, and reading is slow.
    private: no other process may register for it by its address, but by its DMA-BUF.
    pages: page-backed, so that os.writev() to a file with O_DIRECT and the like take it. The
        buffer must be cached, and Block.can_be_page_backed be true. That is reserved memory
        without no-map, cmem_carveout= (not on 32-bit arm), or CMA. The memory is free again
        only when I/O has finished as well.
    alignment: of the physical address of a buffer from a heap, a power of two; up to the
        page size is always granted.

    ValueError: a number is not in its range. InvalidError: it is longer than the block, or
    the alignment is no power of two, or the buffer is page-backed and not cached.
    NotFoundError: there is no such block, or no pool of it has buffers of that size.
    NoMemoryError: none is free. NotPermittedError: the user may not open /dev/cmem. Error: the
    block can't be page-backed (EOPNOTSUPP), or anything else.
    """
    size = integer(size, "size", 1, MAX_SIZE)
    phys_addr: int = call("CMEM_allocPhys64", block_number(block), size,
                          _params(heap, cached, private, pages, alignment),
                          what=f"block {block}, {size} bytes")
    return _mapped(phys_addr, size)


def alloc_pool(pool: int, *, block: int = 0, cached: bool = False, private: bool = False,
               pages: bool = False) -> Buffer:
    """Allocates a buffer of one pool, all of it.

    pool: the pool's number, from 0; the others are as for alloc(), and so are the errors.
    """
    pool = integer(pool, "pool", 0, MAX_INT)
    phys_addr: int = call("CMEM_allocPoolPhys64", block_number(block), pool,
                          _params(False, cached, private, pages),
                          what=f"block {block}, pool {pool}")
    return _mapped(phys_addr, None)


def register(phys_addr: int, *, size: int | None = None) -> Buffer:
    """Makes this process an owner of a buffer that another one allocated.

    phys_addr: the physical address of its first byte, as that one told it.
    size: how many bytes are wanted, from 1; by default all of it.

    NotFoundError: no buffer starts there, or nobody is registered for it any more.
    NotPermittedError: it is another user's, or private. InvalidError: the address is not on a
    page's border. ValueError: a number is not in its range. Error: this process has registered
    for it too often (EOVERFLOW), or anything else.
    """
    phys_addr = integer(phys_addr, "phys_addr", 0, MAX_PHYS)
    if size is not None:
        size = integer(size, "size", 1, MAX_SIZE)
    address = call("CMEM_registerAlloc64", phys_addr, what=f"{phys_addr:#x}")
    return Buffer._of_registered(address, None, phys_addr, size)


def register_dmabuf(fd: int, *, size: int | None = None) -> Buffer:
    """Makes this process an owner of the buffer that a DMA-BUF is of, also of a private one and of
    another user's. fd stays the caller's.

    fd: the file descriptor of a DMA-BUF that CMEM or one of its DMA-BUF heaps exports.
    size: how many bytes are wanted, from 1; by default all of it.

    InvalidError: fd is no DMA-BUF of CMEM: see import_dmabuf(). NotPermittedError: it is not open
    for reading and writing. OSError: fd is no open file (EBADF). ValueError: a number is not in
    its range.
    """
    fd = integer(fd, "fd", 0, MAX_INT)
    if size is not None:
        size = integer(size, "size", 1, MAX_SIZE)
    os.fstat(fd)
    address = call("CMEM_registerDmabuf", fd, what=f"fd {fd}")
    phys_addr: int = call("CMEM_getPhys64", address)
    return Buffer._of_registered(address, None, phys_addr, size)


def import_dmabuf(fd: int, *, size: int | None = None) -> DmaBuf:
    """Takes a DMA-BUF, whoever exports it: its memory stays where it is, and a device may be told
    its physical address, as long as the DmaBuf is open. The CPU uses it within access(). It is
    mapped to be read only if fd is open so. fd stays the caller's.

    fd: the file descriptor of a DMA-BUF whose memory is contiguous.
    size: how many bytes are wanted, from 1; by default all of it.

    InvalidError: fd is no DMA-BUF, or its memory is not contiguous. OSError: fd is no open file
    (EBADF), or its exporter does not let programs map it. Error: what the exporter says to a
    device that attaches. ValueError: a number is not in its range.
    """
    fd = integer(fd, "fd", 0, MAX_INT)
    if size is not None:
        size = integer(size, "size", 1, MAX_SIZE)
    writable = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
    phys_addr = ctypes.c_longlong()
    hold: int = call("CMEM_import_dmabuf", fd, ctypes.byref(phys_addr), None, what=f"fd {fd}")
    own = -1
    try:
        own = os.dup(fd)
        self = DmaBuf._of(own, phys_addr.value, size, writable)
    except BaseException:
        os.close(hold)
        if own >= 0:
            os.close(own)
        raise
    self._fd, self._hold = own, hold
    return self


def write_back_invalidate_all() -> None:
    """Writes back and invalidates all buffers that this process is registered for and that need
    it. Where large parts of several are to be maintained, this is one call."""
    call("CMEM_cacheWbInvAll")
