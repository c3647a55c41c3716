"""Predictions that take too long or never end: everybody else is answered, and every process ends when it should."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pytest

from launch.function import Function
from tests.assertions import assert_error
from tests.faults import hanging
from tests.faults.hanging import ask, ask_until_loaded, began
from tests.faults.processes import DEADLINE, is_running, wait_for, workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads processes from Linux's /proc")
LIMIT = "4"  # seconds that a request may take


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a model whose predictions last until a file exists."""
    return hanging.hanging(tmp_path_factory.mktemp("models") / "hanging")


@pytest.fixture
def until(tmp_path: Path) -> Iterator[Path]:
    """Return the file that a prediction waits for; it exists after the test."""
    yield tmp_path / "until"
    (tmp_path / "until").touch()


@pytest.mark.parametrize("threads", [1, 2])
def test_others_answered_meanwhile(model: str, until: Path, threads: int) -> None:
    """While a prediction hangs, GET, refusals and rows with NULL are answered; other rows too if there is a thread."""
    with Function(model, {"MODEL_THREADS": str(threads)}) as function, ThreadPoolExecutor(2) as executor:
        for _ in range(30):  # short ones so far
            assert ask(function, [1, ""]).json() == {"replies": [2.0]}
        hangs = executor.submit(ask, function, [3, str(until)])
        wait_for(lambda: began(until))
        other = executor.submit(ask, function, [4, ""])
        assert httpx.get(function.url, trust_env=False, timeout=DEADLINE).status_code == 200
        assert_error(ask(function, ["x", ""]), 400, "Row 0")
        assert ask(function, [None, ""]).json() == {"replies": [None]}
        if threads == 2:
            assert other.result().json() == {"replies": [8.0]}
        assert not hangs.done()
        assert other.done() == (threads == 2)
        until.touch()
        assert hangs.result().json() == {"replies": [6.0]}
        assert other.result().json() == {"replies": [8.0]}


def test_model_that_is_not_thread_safe(model: str) -> None:
    """By default, code of a model's author scores one batch at a time: no reply is another row's."""
    with Function(model) as function, ThreadPoolExecutor(16) as executor:
        responses = list(executor.map(partial(ask, function), [[row, ""] for row in range(480)]))
    assert [response.json() for response in responses] == [{"replies": [row * 2.0]} for row in range(480)]


@pytest.mark.check
@pytest.mark.parametrize("processes", [pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize("holds_lock", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_sigterm_ends_workers(model: str, tmp_path: Path, processes: int, holds_lock: bool) -> None:
    """SIGTERM ends all processes within 10 seconds, also if a prediction holds the interpreter's lock."""
    files = [tmp_path / f"never-{number}" for number in range(4)]
    settings = {"WORKERS": str(processes), "MODEL_THREADS": str(len(files))}
    with Function(model, settings) as function, ThreadPoolExecutor(len(files) + 1) as executor:
        ask_until_loaded(function)
        wait_for(lambda: len(workers(function)) == processes)
        all_processes = [function.pid, *workers(function)]
        responses = []
        for never in files:  # one after the other, since requests that arrive together share a prediction
            responses.append(executor.submit(status, function, never))
            wait_for(partial(began, never))
        if holds_lock:
            responses.append(executor.submit(status, function, "ever"))
            time.sleep(1)  # nothing tells when it has begun: its worker does nothing else
        started = time.monotonic()
        os.kill(function.pid, signal.SIGTERM)
        wait_for(lambda: not any(map(is_running, all_processes)))
        assert time.monotonic() - started < 20  # by itself, gunicorn takes more than 30
        if not holds_lock:
            assert [response.result() for response in responses] == [503] * 4


def test_sigterm_ends_hanging_load(tmp_path: Path) -> None:
    """Requests for a model that hangs while it is loaded get 503, and its process ends on SIGTERM."""
    model = hanging.hanging(tmp_path / "model", load="time.sleep(86_400)")
    with Function(model, {"CLOUD_RUN_TIMEOUT_SECONDS": LIMIT}) as function:
        assert_error(ask(function, [1, ""]), 503, "still loading", "Retry later")
        processes = [function.pid, *workers(function)]
        os.kill(function.pid, signal.SIGTERM)
        wait_for(lambda: not any(map(is_running, processes)))


@pytest.mark.slow
def test_worker_ends_with_its_parent(model: str, until: Path) -> None:
    """A worker ends when gunicorn is killed, and when it gets a SIGTERM of its own; then gunicorn starts another."""
    with Function(model) as function, ThreadPoolExecutor(1) as executor:
        ask_until_loaded(function)
        (first,) = workers(function)
        hangs = executor.submit(status, function, until)
        wait_for(lambda: began(until))
        os.kill(first, signal.SIGTERM)
        assert hangs.result() == 503
        wait_for(lambda: not is_running(first))
        assert ask(function, [1, ""]).json() == {"replies": [2.0]}
        (second,) = workers(function)
        os.kill(function.pid, signal.SIGKILL)
        wait_for(lambda: not is_running(second))


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_process_whose_threads_hang(model: str, tmp_path: Path, processes: int) -> None:
    """Shortly before the limit a request that takes too long is a 400, those behind it are 503; a new process follows."""
    never, behind = tmp_path / "never", []
    settings = {"WORKERS": str(processes), "CLOUD_RUN_TIMEOUT_SECONDS": LIMIT}
    log = tmp_path / "log"
    with Function(model, settings, log=log) as function, ThreadPoolExecutor(4 * processes) as executor:
        for replaced in range(2):
            ask_until_loaded(function, processes + replaced)
            before = workers(function)
            hangs = executor.submit(ask, function, [1, str(never)], [2, ""])
            wait_for(lambda: began(never))
            behind = [executor.submit(ask, function, [1, ""]) for _ in range(3)]
            text = ("for the 2 rows of this request", "may take 4", "--max-batching-rows", "--timeout")
            assert_error(hangs.result(), 400, *text)
            for response in [each.result() for each in behind]:
                assert response.status_code in ((503,) if processes == 1 else (200, 503))
            wait_for(partial(has_new_worker, function, before))
            Path(f"{never}.began").unlink()
        ask_until_loaded(function)
    assert log.read_text().count("Ending this process: 1 predictions") == 2


@pytest.mark.slow
def test_thread_that_hangs_for_a_while(model: str, until: Path, tmp_path: Path) -> None:
    """Other threads go on, and a thread is free again once a prediction that took too long has ended."""
    settings = {"MODEL_THREADS": "2", "CLOUD_RUN_TIMEOUT_SECONDS": LIMIT}
    with Function(model, settings) as function:
        ask_until_loaded(function)
        before = workers(function)
        for number in range(3):
            other = until.with_name(f"{until.name}-{number}")  # it stays, so that its prediction ends in any case
            assert_error(ask(function, [1, str(other)]), 400, "--max-batching-rows")
            assert ask(function, [1, ""]).json() == {"replies": [2.0]}
            other.touch()
            wait_for(lambda other=other: ask(function, [1, str(other)]).status_code == 200)
        assert workers(function) == before


def has_new_worker(function: Function, before: set[int]) -> bool:
    """Whether one of the processes from before has been replaced."""
    now = workers(function)
    return now != before and len(now) == len(before)


def status(function: Function, until: Path | str) -> int:
    """Return the status of a request whose prediction waits for a file; 0 when the connection breaks."""
    try:
        return ask(function, [1, str(until)]).status_code
    except httpx.TransportError:
        return 0
