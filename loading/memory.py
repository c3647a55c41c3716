"""Whether a model fits into the memory before anything of it is loaded: a process that runs out is killed.

On Cloud Functions the disk is part of the memory, so a model's files and the loaded model share it, also with the
version that serves while another one is loaded.
"""

import contextlib
import ctypes
import os
import resource
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from serving.errors import ModelBlocked

# What loading takes at its peak, with what a first prediction sets up. Measured with files of 27 to 150 MB: forests and
# arrays in pickles, and forests in skops files, whose archive is in memory as well while it is unpacked.
_FACTOR, _FIXED = 1.1, 24 * 2**20
_PAGE = os.sysconf("SC_PAGE_SIZE")
_CGROUPS = Path("/sys/fs/cgroup")


def memory_limit() -> int:
    """Return the bytes that this process may use at most: the machine's, its container's, or its own limit."""
    return min(limit for limit, _ in _limits())


def usage() -> tuple[int, int]:
    """Return how many of the bytes of `memory_limit` are in use, without what the system can drop, and the limit."""
    limit, used = min(_limits())
    return used, limit


def return_freed() -> None:
    """Give the system what this process has freed, which glibc keeps unless it is told otherwise."""
    with contextlib.suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def gigabytes(size: float) -> str:
    """Return a number of bytes in GiB, as a message shows it."""
    return f"{size / 2**30:.2f} GiB"


def check_fits(folder: Path, uri: str, make_room: Callable[[float], object] = lambda _: None) -> None:
    """Raise ModelBlocked for a model in a folder that would take more memory than there is left.

    `make_room` is told before how many bytes it needs.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    size, unpacked = sum(path.stat().st_size for path in files), sum(map(_unpacked, files))
    needed = _FACTOR * unpacked + _FIXED
    make_room(needed)
    used, limit = usage()
    if used + needed > limit:
        raise ModelBlocked(
            f"The model at {uri} has {gigabytes(size)} of files, and loading it takes about {gigabytes(needed)}, but "
            f"{gigabytes(used)} of this function's {gigabytes(limit)} of memory are in use: deploy it with more "
            "--memory."
        )


def _unpacked(path: Path) -> int:
    """Return the bytes that a file takes in memory when it is unpacked; skops and NumPy write zip archives."""
    size = path.stat().st_size
    with contextlib.suppress(OSError, zipfile.BadZipFile, ValueError):
        with path.open("rb") as file:
            magic = file.read(4)
        if magic[:2] == b"PK":
            with zipfile.ZipFile(path) as archive:
                return size + sum(entry.file_size for entry in archive.infolist())
        if magic[:2] == b"\x1f\x8b":  # gzip writes the size of the content, up to 4 GiB, at the end
            with path.open("rb") as file:
                file.seek(-4, os.SEEK_END)
                return max(size, int.from_bytes(file.read(4), "little"))
    return size


def _limits() -> Iterator[tuple[int, int]]:
    """Yield each limit that this process has, and how much of it is in use."""
    memory = dict(line.split(":", 1) for line in _text(Path("/proc/meminfo")).splitlines())
    total = _PAGE * os.sysconf("SC_PHYS_PAGES")
    yield total, total - 1024 * int(memory.get("MemAvailable", f"{total // 1024} kB").split()[0])
    if (own := resource.getrlimit(resource.RLIMIT_AS)[0]) != resource.RLIM_INFINITY:
        yield own, _PAGE * int((_text(Path("/proc/self/statm")) or "0").split()[0])
    for folder in _groups():
        for limit, usage in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            with contextlib.suppress(OSError, ValueError):  # missing, or the word max
                yield int((folder / limit).read_text()), _group_usage(folder, usage)


def _groups() -> list[Path]:
    """Return the folders of this process's memory cgroups, of both versions, and of those around them."""
    found = [_CGROUPS, _CGROUPS / "memory"]
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            base = _CGROUPS / "memory" if controllers else _CGROUPS
            group = base / path.lstrip("/")
            found += [each for each in (group, *group.parents) if each.is_relative_to(base)]
    return list(dict.fromkeys(found))


def _group_usage(folder: Path, file: str) -> int:
    """Return the memory that a cgroup uses, without the content of files that the system can read again."""
    try:
        usage = int((folder / file).read_text())
    except (OSError, ValueError):  # not shown in some containers; its processes are this one and its server
        return _PAGE * int((_text(Path("/proc/self/statm")) or "0 0").split()[1])
    stat = dict(line.split(" ", 1) for line in _text(folder / "memory.stat").splitlines())
    for name in ("active_file", "inactive_file"):
        usage -= int(stat.get(f"total_{name}", stat.get(name, "0")))
    return max(0, usage)


def _text(file: Path) -> str:
    with contextlib.suppress(OSError):
        return file.read_text()
    return ""
