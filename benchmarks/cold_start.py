"""The time from the start of a process to its first correct reply: what a first query waits for.

This function is measured twice, once downloading its model from an emulated bucket; the baselines have the model on
local disk. The first start of each server is not counted, because it reads the packages from disk into the page cache.
"""

import http.client
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measurements import Ratio, Step
from benchmarks.models import saved
from benchmarks.servers import OURS, Implementation, difference
from benchmarks.workloads import NUMERIC
from launch.processes import HOST, ProcessError, end, free_port
from local.up import URI, published

TIMEOUT = 120.0  # seconds from the start to the reply
POLL = 0.002  # seconds between attempts
FROM_BUCKET = f"{OURS.name}, model in a bucket"

Starts = dict[str, list[float]]  # seconds by name


def measure(servers: Sequence[Implementation], rounds: int, work: Path, step: Step) -> Starts:
    """Start each server once per round; raise ProcessError for a wrong reply or none."""
    folder = saved(NUMERIC.model, work)
    expected = NUMERIC.expected(folder)[:1]
    with published(folder):
        starters = [(FROM_BUCKET, OURS, URI), *((it.name, it, str(folder)) for it in servers)]
        found: Starts = {name: [] for name, _, _ in starters}
        for number in range(-1, rounds):
            for name, implementation, uri in starters:
                step(f"cold start of {name}, round {number + 1}")
                seconds, reply = first_reply(implementation, folder, {"MODEL_URI": uri}, work)
                if difference(implementation.values(reply), expected, NUMERIC.may_be_null[:1]):
                    raise ProcessError(f"The first reply of {name} is wrong: {reply[:200]!r}")
                if number >= 0:
                    found[name].append(seconds)
    return found


def ratio(found: Starts, name: str, to: str) -> Ratio:
    """Return the seconds of `name` divided by those of `to`, by round."""
    return Ratio([mine / other for mine, other in zip(found[name], found[to], strict=True)])


def median(found: Starts, name: str) -> float:
    """Return the median seconds of one server."""
    return statistics.median(found[name])


def first_reply(
    implementation: Implementation, folder: Path, environment: Mapping[str, str], work: Path
) -> tuple[float, bytes]:
    """Start a server, send it one row until it answers, end it; return the seconds and the reply's body."""
    port = free_port()
    body = implementation.body(NUMERIC, slice(1))
    with (work / f"cold-{port}.log").open("wb") as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            [implementation.python, "-m", *implementation.command(folder, port, work)],
            cwd=implementation.cwd,
            env={**implementation.environment(folder), **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        while time.perf_counter() - started < TIMEOUT and process.poll() is None:
            connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT)
            try:
                connection.request("POST", implementation.path, body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                reply = response.read()
            except ConnectionError:
                time.sleep(POLL)
                continue
            finally:
                connection.close()
            seconds = time.perf_counter() - started
            if response.status == 200:
                return seconds, reply
            time.sleep(POLL)
    finally:
        end(process)
    raise ProcessError(f"{implementation.name} gave no correct reply within {TIMEOUT:.0f} s of its start.")
