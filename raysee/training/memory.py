"""What a training frees, its next step needs again: how to keep it meanwhile.

glibc gives large blocks back to the system as soon as they are freed, and the system hands out pages one by one, each
cleared: in a training on a CPU that can be a quarter of the time.
"""

import contextlib
import ctypes
from collections.abc import Iterator

# Names of malloc.h, and what they are afterwards. A process in which one of them was ever set no longer adjusts its
# thresholds: these are the highest ones that glibc would have adjusted them to.
_TRIM_THRESHOLD, _TRIM_BYTES = -1, 64 * 1024 * 1024
_MMAP_THRESHOLD, _MMAP_BYTES = -3, 32 * 1024 * 1024
_MMAP_MAX, _MMAP_BLOCKS = -4, 65_536


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Keep freed memory in this process, and give it back at the end; nothing happens without glibc.

    It helps the first thread of a process alone: glibc has other heaps for others.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        yield
        return
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_MAX, _MMAP_BLOCKS)
        libc.mallopt(_MMAP_THRESHOLD, _MMAP_BYTES)
        libc.mallopt(_TRIM_THRESHOLD, _TRIM_BYTES)
        libc.malloc_trim(0)
