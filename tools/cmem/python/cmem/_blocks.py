# SPDX-License-Identifier: BSD-3-Clause
"""What there is: blocks, pools and heaps, as the kernel tells it (<linux/cmem.h>). All values are
those of one moment: others allocate, too."""
from __future__ import annotations

import ctypes
import enum
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from ._errors import NotFoundError, error
from ._library import CMA_BLOCK, DEVICE, block_number


class Kind(enum.Enum):
    """What memory is behind a block."""
    CARVEOUT = 0    # reserved, and not mapped by the kernel itself
    RESERVED = 1    # reserved, in the kernel's own map
    SRAM = 2        # on-chip memory, of which no mapping is cached
    CMA = 3         # contiguous memory areas


@dataclass(frozen=True)
class Pool:
    """A number of buffers of one size."""
    number: int
    phys_addr: int      # of its first buffer
    size: int           # bytes that a buffer of it has
    requested_size: int     # bytes that the board asked for: size is that, in whole pages
    count: int          # buffers
    free: int           # buffers that are free


@dataclass(frozen=True)
class Heap:
    """What the pools leave of a block."""
    size: int           # bytes
    free: int           # bytes that are free
    largest: int        # bytes of the longest run of free ones


@dataclass(frozen=True)
class Block:
    """Memory that was set aside, divided into pools and a heap."""
    number: int         # from 0, or CMA_BLOCK
    kind: Kind
    phys_addr: int      # of its first byte; 0 for CMA_BLOCK, whose areas are apart
    size: int           # bytes
    coherent: bool      # the devices that it is for see the CPU's caches
    pools: tuple[Pool, ...]
    heap: Heap          # of size 0 when the pools leave nothing
    page_backed: bool   # all cached buffers of it are
    can_be_page_backed: bool    # those that ask for it are: alloc(pages=True, cached=True)


@dataclass(frozen=True)
class Info:
    """What CMEM of this kernel is."""
    abi_version: int
    alignment: int      # bytes: buffers begin and end on a multiple of it
    cache_line: int     # bytes: what is smaller must not be shared by the CPU and a device
    coherent: bool      # all devices of this machine see the CPU's caches


class _Request(ctypes.Structure):
    command: ClassVar[int]

    def run(self, fd: int, what: str) -> None:
        """Calls the kernel, which fills in the rest."""
        setattr(self, "size", ctypes.sizeof(self))
        try:
            fcntl.ioctl(fd, 0xc700 | self.command, self)
        except OSError as why:
            raise error(why.errno or 0, "CMEM_IOCTL_" + what, str(getattr(self, "block", ""))) \
                from None


_U32, _S32, _U64 = ctypes.c_uint32, ctypes.c_int32, ctypes.c_uint64


class _Info(_Request):
    command = 0
    _fields_ = [("size", _U32), ("flags", _U32), ("abi_version", _U32), ("num_blocks", _U32),
                ("block_limit", _U32), ("alignment", _U32), ("cache_line", _U32),
                ("out_flags", _U32), ("features", _U64)]


class _BlockInfo(_Request):
    command = 1
    _fields_ = [("size", _U32), ("block", _S32), ("flags", _U32), ("kind", _U32), ("base", _U64),
                ("length", _U64), ("num_pools", _U32), ("out_flags", _U32), ("heap_size", _U64),
                ("heap_free", _U64), ("heap_clean", _U64), ("heap_largest", _U64)]


class _PoolInfo(_Request):
    command = 2
    _fields_ = [("size", _U32), ("block", _S32), ("pool", _U32), ("flags", _U32), ("base", _U64),
                ("requested_length", _U64), ("length", _U64), ("count", _U32), ("free", _U32),
                ("clean", _U32), ("dirty", _U32), ("scrubbing", _U32), ("reserved", _U32)]


_INFO_COHERENT = 1 << 0
_BLOCK_COHERENT, _BLOCK_PAGES, _BLOCK_CAN_PAGES = 1 << 5, 1 << 7, 1 << 8


@contextmanager
def _device() -> Iterator[int]:
    try:
        fd = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as why:
        raise error(why.errno or errno.EIO, "CMEM_init") from None
    try:
        yield fd
    finally:
        os.close(fd)


def _pool(fd: int, block: int, number: int) -> Pool:
    pool = _PoolInfo(block=block, pool=number)
    pool.run(fd, "GET_POOL")
    return Pool(number, pool.base, pool.length, pool.requested_length, pool.count, pool.free)


def _block(fd: int, number: int) -> Block:
    told = _BlockInfo(block=number)
    told.run(fd, "GET_BLOCK")
    return Block(number, Kind(told.kind), told.base, told.length,
                 bool(told.out_flags & _BLOCK_COHERENT),
                 tuple(_pool(fd, number, pool) for pool in range(told.num_pools)),
                 Heap(told.heap_size, told.heap_free, told.heap_largest),
                 bool(told.out_flags & _BLOCK_PAGES), bool(told.out_flags & _BLOCK_CAN_PAGES))


def info() -> Info:
    """What CMEM of this kernel is.

    NotFoundError: there is no /dev/cmem. NotPermittedError: the user may not open it.
    """
    with _device() as fd:
        told = _Info()
        told.run(fd, "GET_INFO")
    return Info(told.abi_version, told.alignment, told.cache_line,
                bool(told.out_flags & _INFO_COHERENT))


def block(number: int) -> Block:
    """One block. number: from 0, or CMA_BLOCK.

    NotFoundError: there is no such block. And the errors of info().
    """
    number = block_number(number)
    with _device() as fd:
        return _block(fd, number)


def blocks() -> list[Block]:
    """All blocks, in the order of their numbers, which may have gaps; that of CMA areas comes
    last, if there is one. The errors are those of info().
    """
    found = []
    with _device() as fd:
        told = _Info()
        told.run(fd, "GET_INFO")
        for number in [*range(told.block_limit), CMA_BLOCK]:
            try:
                found.append(_block(fd, number))
            except NotFoundError:
                continue    # a gap, or one that was just removed
    return found
