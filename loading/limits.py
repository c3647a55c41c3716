"""How much memory a model may take, and the errors for a model that doesn't fit.

On Cloud Functions the disk is part of the memory, so a model's files and the loaded model share it.
"""

import contextlib
import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from serving.errors import ModelUnusable

_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_limit() -> int:
    """Return the bytes that this process may use at most: the machine's, its container's, or its own limit."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    if (own := resource.getrlimit(resource.RLIMIT_AS)[0]) != resource.RLIM_INFINITY:
        limits.append(own)
    for file in _CGROUPS:
        with contextlib.suppress(OSError, ValueError):  # missing, or the word max
            limits.append(int(Path(file).read_text()))
    return min(limits)


def gigabytes(size: int) -> str:
    """Return a number of bytes in GiB, as a message shows it."""
    return f"{size / 2**30:.2f} GiB"


@contextlib.contextmanager
def disk_errors(uri: str) -> Iterator[None]:
    """Turn the errors of a disk that is full, or accepts no file of that size, into ModelUnusable."""
    try:
        yield
    except OSError as cause:
        if cause.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise ModelUnusable(
            f"The model at {uri} does not fit on the disk ({cause.strerror}), which is part of the function's "
            f"{gigabytes(memory_limit())} of memory: deploy it with more --memory."
        ) from cause
