"""Memory, CPU time and CPUs of a running server and the processes it started."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

CPU_CLOCK_TICK = 0.01  # seconds, on Linux


@dataclass(frozen=True)
class Memory:
    """Bytes of a server: resident in its largest process, and in all processes with shared pages counted once."""

    largest: int
    total: int


def memory(pid: int) -> Memory:
    """Return the memory of a process and its descendants."""
    infos = sorted((process.memory_full_info() for process in _processes(pid)), key=lambda info: int(info.rss))
    return Memory(infos[-1].rss, infos[-1].rss + sum(info.uss for info in infos[:-1]))


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process and its descendants have used so far, in steps of CPU_CLOCK_TICK."""
    times = [process.cpu_times() for process in _processes(pid)]
    return sum(time.user + time.system for time in times)


def available_cpus() -> list[int]:
    """Return the numbers of the CPUs that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def pin(pid: int, cpus: Sequence[int]) -> None:
    """Restrict a process and its descendants to some CPUs, where the system supports it (Linux)."""
    if hasattr(os, "sched_setaffinity"):
        for process in _processes(pid):
            for thread in process.threads():  # threads started later inherit it
                os.sched_setaffinity(thread.id, cpus)


def _processes(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]
