"""Memory, open files and threads of the function's processes under load, and whether they grow."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import psutil

WARM_UP = 0.1  # share of the samples to skip while caches fill
MAX_GROWTH = 0.10  # from the first third to the last
LOW = 10  # percentile of a third; requests of 32 MiB come and go, and the low level shows what remains


@dataclass(frozen=True)
class Sample:
    """Totals over all processes at one moment; `memory` in bytes."""

    memory: int
    files: int
    threads: int


NAMES = ("resident memory", "open files", "threads")


def processes(port: int) -> list[psutil.Process]:
    """Return the processes of the function that this process started on a port."""
    return [child for child in psutil.Process().children(recursive=True) if str(port) in child.cmdline()]


def sample(watched: Sequence[psutil.Process]) -> Sample:
    """Measure these processes; raise psutil.NoSuchProcess when one has ended."""
    return Sample(
        sum(process.memory_info().rss for process in watched),
        sum(process.num_fds() for process in watched),
        sum(process.num_threads() for process in watched),
    )


def cpu_seconds(watched: Sequence[psutil.Process]) -> float:
    """Return the CPU time that these processes have used so far."""
    return sum(sum(process.cpu_times()[:2]) for process in watched)


def thirds(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    """Return the low level in the first and in the last third after the warm-up, for each of NAMES."""
    warm = np.array([astuple(each) for each in samples[int(len(samples) * WARM_UP) :]])
    third = max(1, len(warm) // 3)
    first, last = (np.percentile(part, LOW, axis=0).tolist() for part in (warm[:third], warm[-third:]))
    return list(zip(first, last, strict=True))


def growth(samples: Sequence[Sample]) -> list[str]:
    """Return a message for each of NAMES that grew by more than MAX_GROWTH."""
    return [
        f"The {name} grew by {last / first - 1:.0%}, from {first:,.0f} to {last:,.0f}; expected {MAX_GROWTH:.0%} at most."
        for name, (first, last) in zip(NAMES, thirds(samples), strict=True)
        if last > first * (1 + MAX_GROWTH)
    ]
