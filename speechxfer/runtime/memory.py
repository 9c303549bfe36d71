"""The C library's memory allocator: freed memory is kept for the next step of training instead of returned to the system.

glibc gives large blocks back as soon as they are free, and the system clears them page by page when they are needed again, in
every step. Source: mallopt(3). Other C libraries, and allocators that replace glibc's, are left as they are.
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
KEPT_BYTES = 2**31 - 1  # at the end of the heap: as much as the parameter holds
GROWTH_BYTES = 64 * 2**20
LARGEST_HEAP_BLOCK_BYTES = 32 * 2**20  # the most that glibc accepts


def keep_freed_memory() -> bool:
    """Let this process keep freed memory from now on, whose most at any time is unchanged; False without glibc."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    options = {
        M_TRIM_THRESHOLD: KEPT_BYTES,
        M_TOP_PAD: GROWTH_BYTES,
        M_MMAP_THRESHOLD: LARGEST_HEAP_BLOCK_BYTES,
    }
    return all([mallopt(name, value) == 1 for name, value in options.items()])
