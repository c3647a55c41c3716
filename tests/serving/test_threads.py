"""A model's thread: its calls in order, whatever they raise, and its end."""

import asyncio
import resource
import subprocess
import sys
import threading

import pytest

from serving.threads import ModelThread
from tests.conftest import ROOT


def test_calls_run_in_one_thread() -> None:
    """All calls run in one thread, in their order; each future gets its result or whatever the call raised."""
    thread, seen = ModelThread(), []

    def call(number: int) -> int:
        seen.append((number, threading.get_ident()))
        if number % 2:
            raise KeyboardInterrupt(number)
        return number

    futures = [thread.submit(call, number) for number in range(10)]
    for number, future in enumerate(futures):
        if number % 2:
            with pytest.raises(KeyboardInterrupt):
                future.result()
        else:
            assert future.result() == number
    assert [number for number, _ in seen] == list(range(10))
    assert len({identity for _, identity in seen}) == 1
    assert seen[0][1] != threading.get_ident()


def test_thread_ends() -> None:
    """The thread ends with its object, and keeps no call's result or argument alive meanwhile."""
    thread = ModelThread()
    running = thread.submit(threading.current_thread).result()
    assert running.daemon
    assert thread.submit(asyncio.get_event_loop).result().is_running() is False
    del thread
    running.join(300)
    assert not running.is_alive()


LATE_EXCEPTIONS = """
import ctypes, threading, time
from serving.threads import ModelThread

thread = ModelThread()
running = thread.submit(threading.current_thread).result()
for _ in range(20):
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(running.ident), ctypes.py_object(TimeoutError))
    outcomes = [thread.submit(time.sleep, 0) for _ in range(3)]
    assert [future.exception(300) is None for future in outcomes][1:] == [True, True]
assert running.is_alive()
"""


def test_late_exception() -> None:
    """An exception that a timeout raises in the thread after its call has ended does not end the thread.

    A process of its own measures no coverage: in Python 3.11, such an exception stops a thread that is being traced.
    """
    subprocess.run([sys.executable, "-c", LATE_EXCEPTIONS], cwd=ROOT, check=True, timeout=600)


def test_calls_stay_in_one_chunk() -> None:
    """However deep a loop of calls begins, Python doesn't map memory for each call."""

    def call() -> None: ...

    def page_faults(depth: int) -> int:
        if depth:
            return page_faults(depth - 1)
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        for _ in range(1000):
            call()
        return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before

    assert max(ModelThread().submit(page_faults, depth).result() for depth in range(300)) < 100
