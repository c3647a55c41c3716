"""What the function's processes hold while they are under load: memory, files and threads, and whether they grow."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import psutil

WARM_UP = 0.1  # of the samples, in which caches fill
MOST_GROWTH = 0.10  # from the first third to the last
LOW = 10  # percentile of a third: what is held while little is in hand, since requests of 32 MiB come and go


@dataclass(frozen=True)
class Sample:
    """At one moment, of all processes together; `memory` in bytes."""

    memory: int
    files: int
    threads: int


NAMES = ("resident memory", "open files", "threads")


def processes(port: int) -> list[psutil.Process]:
    """Return the processes of the function that this one started on a port."""
    return [child for child in psutil.Process().children(recursive=True) if str(port) in child.cmdline()]


def sample(watched: Sequence[psutil.Process]) -> Sample:
    """Return what these processes hold now; psutil.NoSuchProcess when one is gone."""
    return Sample(
        sum(process.memory_info().rss for process in watched),
        sum(process.num_fds() for process in watched),
        sum(process.num_threads() for process in watched),
    )


def busy_seconds(watched: Sequence[psutil.Process]) -> float:
    """Return the seconds of a core that these processes have used so far."""
    return sum(sum(process.cpu_times()[:2]) for process in watched)


def thirds(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    """Return, for each of NAMES, the low level of the first and of the last third after the warm-up."""
    warm = np.array([astuple(each) for each in samples[int(len(samples) * WARM_UP) :]])
    third = max(1, len(warm) // 3)
    first, last = (np.percentile(part, LOW, axis=0).tolist() for part in (warm[:third], warm[-third:]))
    return list(zip(first, last, strict=True))


def growing(samples: Sequence[Sample]) -> list[str]:
    """Return a sentence for each of NAMES that is not flat."""
    return [
        f"The {name} grew by {last / first - 1:.0%}, from {first:,.0f} to {last:,.0f}; at most {MOST_GROWTH:.0%} is flat."
        for name, (first, last) in zip(NAMES, thirds(samples), strict=True)
        if last > first * (1 + MOST_GROWTH)
    ]
