# SPDX-License-Identifier: BSD-3-Clause
"""Exceptions: each is an OSError whose errno is the library's, and whose text tells what it
means there, as the man pages do."""
from __future__ import annotations

import errno
import os


class Error(OSError):
    """What the library or the kernel says: errno and strerror are set."""


class NoMemoryError(Error):
    """ENOMEM: there is no free buffer, no room in the heap, or no address space."""


class NotFoundError(Error):
    """ENOENT: there is no such block, pool or buffer."""


class NotPermittedError(Error, PermissionError):
    """EPERM or EACCES: the buffer is another user's, or private, or the device may not be opened."""


class InvalidError(Error, ValueError):
    """EINVAL: what was asked for can never be right."""


_CLASSES: dict[int, type[Error]] = {
    errno.ENOMEM: NoMemoryError, errno.ENOENT: NotFoundError, errno.EPERM: NotPermittedError,
    errno.EACCES: NotPermittedError, errno.EINVAL: InvalidError,
}

# function -> errno -> what that means, as the man pages have it, where strerror() tells less
_MEANINGS: dict[str, dict[int, str]] = {
    "CMEM_init": {
        errno.ENOENT: "there is no /dev/cmem: this kernel is built without CONFIG_TI_CMEM",
        errno.EACCES: "the user may not open /dev/cmem: be in the group that it belongs to",
        errno.ENOTTY: "/dev/cmem belongs to another driver, such as cmemk.ko",
    },
    "CMEM_allocPhys64": {
        errno.EINVAL: "the size is longer than the block, the alignment is no power of two, "
                      "or the buffer is page-backed and not cached",
        errno.EOPNOTSUPP: "no buffer of this block can be page-backed",
        errno.ENOENT: "there is no such block, or no pool of it has buffers of that size",
        errno.ENOMEM: "there is no free buffer of that size",
    },
    "CMEM_allocPoolPhys64": {
        errno.EINVAL: "the buffer is page-backed and not cached",
        errno.EOPNOTSUPP: "no buffer of this block can be page-backed",
        errno.ENOENT: "there is no such block, or no such pool in it",
        errno.ENOMEM: "the pool has no free buffer",
    },
    "CMEM_registerAlloc64": {
        errno.EINVAL: "the address is not on a page's border",
        errno.ENOENT: "no buffer starts there, or nobody is registered for it any more",
        errno.EPERM: "the buffer is another user's, or private: whoever has it may pass on its "
                     "DMA-BUF",
        errno.EOVERFLOW: "this process has registered for it too often, or too many have",
    },
    "CMEM_registerDmabuf": {
        errno.EINVAL: "the file is no DMA-BUF of CMEM: import_dmabuf() takes others",
        errno.EPERM: "the DMA-BUF is not open for reading and writing",
        errno.EOVERFLOW: "this process has registered for it too often, or too many have",
    },
    "CMEM_import_dmabuf": {
        errno.EINVAL: "the file is no DMA-BUF, or its memory is not contiguous",
        errno.EIO: "this system copies what devices read and write (swiotlb=force)",
        errno.ENOTTY: "this kernel's CMEM is too old for that",
    },
    "CMEM_export_dmabuf": {
        errno.ENOENT: "nobody is registered for the buffer any more",
        errno.EPERM: "this process is not registered for the buffer",
        errno.ENOTTY: "this kernel's CMEM is too old for that",
    },
    "CMEM_freePhys64": {
        errno.ENOENT: "all registrations for the buffer are dropped already",
        errno.EPERM: "this process is not registered for the buffer",
    },
    "CMEM_getPool2": {
        errno.ENOENT: "there is no such block, or no pool of it has buffers of that size",
        errno.ENOMEM: "no pool with buffers of that size has a free one",
    },
    "CMEM_IOCTL_GET_BLOCK": {errno.ENOENT: "there is no such block"},
}


def error(number: int, function: str, what: str = "") -> Error:
    """The exception for an errno that a function of the library has set; what: on what"""
    text = _MEANINGS.get(function, {}).get(number) or os.strerror(number)
    return _CLASSES.get(number, Error)(number, f"{function}({what}): {text}")
