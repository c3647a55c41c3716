"""How much memory a model may take, and the errors for a model that doesn't fit.

On Cloud Functions the disk is part of the memory, so a model's files and the loaded model share it.
"""

import contextlib
import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from serving.errors import ModelBlocked

_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SHORT = (*_DISK, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EIO, errno.EAGAIN)
# Libraries in C++ and Python's threads raise exceptions of other classes.
_SHORT_WORDS = ("bad_alloc", "bad allocation", "not enough memory", "out of memory", "start new thread")


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
    """Turn the errors of a disk that is full, or accepts no file of that size, into ModelBlocked."""
    try:
        yield
    except OSError as cause:
        if cause.errno not in _DISK:
            raise
        raise ModelBlocked(
            f"The model at {uri} does not fit on the disk ({cause.strerror}), which is part of the function's "
            f"{gigabytes(memory_limit())} of memory: deploy it with more --memory."
        ) from cause


def is_shortage(error: BaseException) -> bool:
    """Whether an exception says, or was caused by one that says, that memory, disk or threads ran out."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, MemoryError) or (isinstance(link, OSError) and link.errno in _SHORT):
            return True
        if any(words in str(link).lower() for words in _SHORT_WORDS):
            return True
        link = link.__cause__ or link.__context__
    return False
