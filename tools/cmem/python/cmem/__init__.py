# SPDX-License-Identifier: BSD-3-Clause
"""Physically contiguous memory to share with a DSP, a codec or a DMA engine.

A buffer's bytes lie one after the other in physical memory, so that a device without an
IOMMU can work on them. This package stands on libcmem (libcmem.so.1), and that on
/dev/cmem; libcmem(7) tells of blocks, pools, heaps and owners.

    import cmem
    import numpy

    with cmem.alloc(640 * 480 * 3, cached=True) as buf:
        pixels = numpy.frombuffer(buf, numpy.uint8).reshape(480, 640, 3)
        pixels[:] = 255
        buf.write_back_invalidate()     # before a device reads or writes
        run_device(buf.phys_addr, len(buf))
        buf.invalidate()                # after a device has written
        print(pixels.mean())
        del pixels                      # else the end of "with" is a BufferError

All sizes, lengths and offsets are in bytes. Addresses are physical ones.
"""
from ._blocks import Block, Heap, Info, Kind, Pool, block, blocks, info
from ._buffer import Buffer, DmaBuf, alloc, alloc_pool, import_dmabuf, register, register_dmabuf
from ._buffer import write_back_invalidate_all
from ._errors import Error, InvalidError, NoMemoryError, NotFoundError, NotPermittedError
from ._library import CMA_BLOCK, find_pool

__all__ = [
    "CMA_BLOCK", "Block", "Buffer", "DmaBuf", "Error", "Heap", "Info", "InvalidError", "Kind",
    "NoMemoryError", "NotFoundError", "NotPermittedError", "Pool", "alloc", "alloc_pool", "block",
    "blocks", "find_pool", "import_dmabuf", "info", "register", "register_dmabuf",
    "write_back_invalidate_all",
]
__version__ = "1.1.0"
