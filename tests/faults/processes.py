"""The processes of a running function, and waiting for what happens to them."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from launch.function import Function

DEADLINE = 600.0  # seconds; the machine may be busy


def wait_for(condition: Callable[[], bool], seconds: float = DEADLINE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def workers(function: Function) -> set[int]:
    """Return the processes that gunicorn has started."""
    return {worker.pid for worker in psutil.Process(function.pid).children()}


def kill_worker(function: Function, seconds: float = DEADLINE) -> None:
    """Kill the only worker, and wait until the server has started another one."""
    (worker,) = psutil.Process(function.pid).children()
    worker.send_signal(signal.SIGKILL)
    wait_for(lambda: workers(function) not in (set(), {worker.pid}), seconds)


def is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
