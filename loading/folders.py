"""The folders that models are fetched into: `model-*` in the folder for temporary files.

A process locks each of its folders for as long as it needs the files, and the system unlocks those of a dead process.
That is how the next start knows what it may remove: on Cloud Functions the disk is memory, so a folder that a killed
process left behind would cost its size until the instance ends. A folder named in a record of loading/versions.py stays
without a lock.
"""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

RECORDS = "versions-*"  # the folders of records, and in them the file that names a folder to keep
SERVED = "served"
# Other programs may have a folder named model-something; tempfile's names are longer than most, and private.
_NAME = re.compile(r"model-[a-z0-9_]{8}|versions-[0-9a-f]{16}")

_locks: dict[Path, int] = {}  # this process's folders and the open files that hold their locks


def create() -> Path:
    """Create a folder for a model, locked from the moment that others can see it."""
    hidden = Path(tempfile.mkdtemp(prefix=".model-"))
    lock = _open(hidden)
    fcntl.flock(lock, fcntl.LOCK_SH)
    folder = hidden.rename(hidden.with_name(hidden.name.removeprefix(".")))
    _locks[folder] = lock
    return folder


def claim(path: Path) -> bool:
    """Lock the folder with this path in it, which another process may have created; return whether it is there."""
    root = Path(tempfile.gettempdir())
    folder = next(each for each in (path, *path.parents) if each.parent in (root, each))
    if folder not in _locks:
        try:
            lock = _open(folder)
        except OSError:
            return False
        fcntl.flock(lock, fcntl.LOCK_SH)
        _locks[folder] = lock
        if not folder.exists():  # removed while this process waited for the lock
            os.close(_locks.pop(folder))
    return folder in _locks


def release(path: Path) -> None:
    """Give up the folder with this path in it; remove it unless another process uses it or a record names it."""
    for folder in [folder for folder in _locks if path.is_relative_to(folder)]:
        os.close(_locks.pop(folder))
        if not _is_recorded(folder):
            _remove(folder)


def remove_abandoned(own_records: Collection[Path]) -> None:
    """Remove what dead processes have left behind, except the records of this instance and the folders they name."""
    found = [path for path in Path(tempfile.gettempdir()).iterdir() if _NAME.fullmatch(path.name)]
    for path in sorted(found, key=lambda path: path.name, reverse=True):  # records first: they keep folders
        if path not in (*own_records, *_locks) and not _is_recorded(path) and _is_private(path):
            _remove(path)


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _is_private(path: Path) -> bool:
    with contextlib.suppress(OSError):
        found = path.lstat()
        return found.st_uid == os.getuid() and found.st_mode & 0o777 == 0o700
    return False


def _is_recorded(folder: Path) -> bool:
    for record in folder.parent.glob(f"{RECORDS}/{SERVED}"):
        with contextlib.suppress(OSError):
            if folder.name in record.read_text():
                return True
    return False


def _remove(folder: Path) -> None:
    """Remove a folder unless a process has locked it."""
    with contextlib.suppress(OSError):  # BlockingIOError when it is locked
        lock = _open(folder)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
