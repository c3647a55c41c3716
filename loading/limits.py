"""Errors that say that disk, memory or threads ran out: the same model may load once there is more of them."""

import contextlib
import errno
from collections.abc import Iterator

from loading.memory import gigabytes, memory_limit
from serving.errors import ModelBlocked

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SHORT = (*_DISK, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EIO, errno.EAGAIN)
# Libraries in C++ and Python's threads raise exceptions of other classes.
_SHORT_WORDS = ("bad_alloc", "bad allocation", "not enough memory", "out of memory", "start new thread")


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
