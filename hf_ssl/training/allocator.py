# Copyright 2026 The hf_ssl authors. Licensed under the Apache License, Version 2.0.
"""The memory allocator of training on a CPU."""

import ctypes
import os
import platform

# Options of glibc's `mallopt` (malloc.h), and the variables by which a user sets them.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_OF_THE_USER = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")


def keep_freed_memory() -> bool:
    """Tells glibc to keep large tensors' memory for the next ones instead of giving it back to the system.

    By default every tensor of more than some megabytes is new memory that the system fills with zeros page by page, at
    every step again. The price is memory: where lengths vary, what is kept is in pieces that do not fit the next
    tensors, and the process grows; [`~hf_ssl.training.callbacks.FreedMemoryCallback`] gives it back when the machine
    has little left. Other systems are left alone, and so is a process whose user has set one of glibc's own variables:
    `MALLOC_TRIM_THRESHOLD_=131072`, its default, leaves all as it is.

    Returns:
        Whether it was done.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _OF_THE_USER):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # no memory maps for large blocks, and nothing trimmed from the end of the heap
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, -1))


def give_back_freed_memory() -> bool:
    """Gives the system back what [`keep_freed_memory`] has kept so far; the next tensors' memory is new then.

    Returns:
        Whether it was done: with glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    ctypes.CDLL(None).malloc_trim(0)
    return True
