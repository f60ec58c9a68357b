# SPDX-License-Identifier: BSD-3-Clause
"""libcmem.so.1, loaded when it is first wanted, and its file of /dev/cmem.

The library has one open file a process. A child of fork() has that of its parent, and what
it allocates with it is freed only when both have ended: so a child opens one of its own before
it allocates or registers, if it may.
"""
from __future__ import annotations

import ctypes
import errno
import os
import threading
from typing import Any

from ._errors import Error, error

SONAME = "libcmem.so.1"
DEVICE = "/dev/cmem"
CMA_BLOCK = -1
"""The number of the block of memory from CMA areas."""

HEAP, POOL = 0x00040000, 0
CACHED, NONCACHED, PRIVATE, PAGES = 0x00080000, 0, 0x01000000, 0x02000000


class AllocParams(ctypes.Structure):
    """CMEM_AllocParams"""
    _fields_ = [("type", ctypes.c_int), ("flags", ctypes.c_int), ("alignment", ctypes.c_size_t)]


_PARAMS = ctypes.POINTER(AllocParams)
_ADDRESS, _PHYS, _SIZE, _INT = ctypes.c_void_p, ctypes.c_longlong, ctypes.c_size_t, ctypes.c_int
# name -> what it returns, what it takes
_PROTOTYPES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "CMEM_init": (_INT, ()),
    "CMEM_exit": (_INT, ()),
    "CMEM_allocPhys64": (_PHYS, (_INT, _SIZE, _PARAMS)),
    "CMEM_allocPoolPhys64": (_PHYS, (_INT, _INT, _PARAMS)),
    "CMEM_free": (_INT, (_ADDRESS, _PARAMS)),
    "CMEM_freePhys64": (_INT, (_PHYS, _PARAMS)),
    "CMEM_map64": (_ADDRESS, (_PHYS, _SIZE)),
    "CMEM_unmap": (_INT, (_ADDRESS, _SIZE)),
    "CMEM_registerAlloc64": (_ADDRESS, (_PHYS,)),
    "CMEM_registerDmabuf": (_ADDRESS, (_INT,)),
    "CMEM_export_dmabuf": (_INT, (_ADDRESS,)),
    "CMEM_import_dmabuf": (_INT, (_INT, ctypes.POINTER(_PHYS), ctypes.POINTER(ctypes.c_ulonglong))),
    "CMEM_getPhys64": (_PHYS, (_ADDRESS,)),
    "CMEM_cacheWb": (_INT, (_ADDRESS, _SIZE)),
    "CMEM_cacheInv": (_INT, (_ADDRESS, _SIZE)),
    "CMEM_cacheWbInv": (_INT, (_ADDRESS, _SIZE)),
    "CMEM_cacheWbInvAll": (_INT, ()),
    "CMEM_getPool2": (_INT, (_INT, ctypes.c_ulonglong)),
}


class _Session:
    """The library, and in which process its file was opened."""

    def __init__(self) -> None:
        # Nothing is called with it that may run other code of this package, as a finalizer does.
        self.lock = threading.RLock()
        self.functions: dict[str, Any] = {}
        self.pid = 0

    def load(self) -> None:
        """Looks up all functions of the library."""
        try:
            library = ctypes.CDLL(SONAME, use_errno=True)
        except OSError as why:
            raise Error(errno.ENOENT, f"{SONAME} can not be loaded: {why}") from why
        functions = {}
        for name, (result, arguments) in _PROTOTYPES.items():
            try:
                function = getattr(library, name)
            except AttributeError as why:
                raise Error(errno.ENOSYS, f"{SONAME} has no {name}: it is older than 1.1") from why
            function.restype, function.argtypes = result, arguments
            functions[name] = function
        self.functions = functions

    def call(self, name: str, *arguments: Any) -> tuple[Any, int]:
        """Calls a function as it is; returns what that returns, and errno."""
        ctypes.set_errno(0)
        result = self.functions[name](*arguments)
        return result, ctypes.get_errno()

    def reopen(self) -> None:
        """Another file for this process. Those who count on the old one have it still."""
        self.call("CMEM_exit")
        self.pid = 0
        self.open()

    def open(self) -> None:
        """The library's file is open, and this process's own."""
        pid = os.getpid()
        if self.pid == pid:
            return
        with self.lock:
            if not self.functions:
                self.load()
            if self.pid and self.pid != pid and os.access(DEVICE, os.R_OK | os.W_OK):
                self.call("CMEM_exit")
            elif self.pid:
                self.pid = pid     # that of the parent has to do
                return
            result, number = self.call("CMEM_init")
            if result:
                self.pid = 0
                raise error(number, "CMEM_init")
            self.pid = pid


_session = _Session()
# A lock that another thread of the parent held would never be let go of in the child.
os.register_at_fork(after_in_child=lambda: setattr(_session, "lock", threading.RLock()))


def call(name: str, *arguments: Any, what: str = "") -> Any:
    """Calls a function of the library. One that returns an address fails with 0 or None, the
    others with -1: that is an Error, which tells of what.

    When the program has closed all its files, as a daemon does, the library's is opened again.
    """
    _session.open()
    result, number = _session.call(name, *arguments)
    failure = (None, 0) if _PROTOTYPES[name][0] in (_ADDRESS, _PHYS) else (-1,)
    if result in failure and number == errno.EBADF and name != "CMEM_freePhys64":
        with _session.lock:
            _session.reopen()
        result, number = _session.call(name, *arguments)
    if result in failure:
        raise error(number, name, what)
    return result


def quietly(name: str, *arguments: Any) -> None:
    """Calls a function where there is nobody to tell of an error, or one is told of already."""
    if _session.functions:
        _session.call(name, *arguments)


def integer(value: int, name: str, lowest: int, highest: int) -> int:
    """ctypes cuts off what does not fit: the value has to be in this range."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer, not {type(value).__name__}")
    number = value.__index__()
    if not lowest <= number <= highest:
        raise ValueError(f"{name} must be from {lowest} to {highest}, not {number}")
    return number


MAX_INT = 2 ** 31 - 1
MAX_SIZE = 2 ** (8 * ctypes.sizeof(_SIZE) - 1) - 1
MAX_PHYS = 2 ** 63 - 1


def block_number(block: int) -> int:
    """A block's number, or CMA_BLOCK"""
    return integer(block, "block", CMA_BLOCK, MAX_INT)


def find_pool(size: int, *, block: int = 0) -> int:
    """The number of the pool with the smallest buffers that are at least size bytes long, and of
    which one is free.

    size: in bytes, from 1; block: the block's number, from 0, or CMA_BLOCK.

    NotFoundError: there is no such block, or no pool of it has buffers of that size.
    NoMemoryError: there are such pools, but no buffer of them is free.
    """
    size = integer(size, "size", 1, MAX_SIZE)
    number: int = call("CMEM_getPool2", block_number(block), size,
                       what=f"block {block}, {size} bytes")
    return number
