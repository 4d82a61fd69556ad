# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The memory allocator of training on a CPU."""

import ctypes
import platform

# Options of glibc's `mallopt` (malloc.h).
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Tells glibc to keep large tensors' memory for the next ones instead of giving it back to the system.

    By default every tensor of more than some megabytes is new memory that the system fills with zeros page by page, at
    every step again. The process then never shrinks, which training does not either. Other systems are left alone.

    Returns:
        Whether it was done.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # no memory maps for large blocks, and nothing trimmed from the end of the heap
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, -1))
