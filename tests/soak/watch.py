"""What the function's processes hold while they are under load: memory, files and threads, and whether they grow."""

import statistics
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import psutil

WARM_UP = 0.1  # of the samples, in which caches fill
MOST_GROWTH = 0.10  # of the median of the last third over that of the first


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
    """Return, for each of NAMES, the medians of the first and the last third after the warm-up."""
    warm = samples[int(len(samples) * WARM_UP) :]
    third = max(1, len(warm) // 3)
    columns = zip(*map(astuple, warm), strict=True)
    return [(statistics.median(column[:third]), statistics.median(column[-third:])) for column in columns]


def growing(samples: Sequence[Sample]) -> list[str]:
    """Return a sentence for each of NAMES that is not flat."""
    return [
        f"The {name} grew by {last / first - 1:.0%}, from {first:,.0f} to {last:,.0f}; at most {MOST_GROWTH:.0%} is flat."
        for name, (first, last) in zip(NAMES, thirds(samples), strict=True)
        if last > first * (1 + MOST_GROWTH)
    ]
