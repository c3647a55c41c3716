"""From the start of a process to its first right reply, as a first query meets an instance.

This function fetches its model from an emulated bucket meanwhile; everybody else has it beside him on the disk. The
first start of each is not counted: it reads the packages from the machine's disk.
"""

import http.client
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.contestants import OURS, Contestant, difference
from benchmarks.measurements import Ratio, Step
from benchmarks.workloads import NUMERIC, saved
from launch.processes import HOST, ProcessError, end, free_port
from local.up import URI, published

PATIENCE = 120.0  # seconds
FROM_BUCKET = f"{OURS.name}, model in a bucket"

Starts = dict[str, list[float]]  # seconds by name


def measure(contestants: Sequence[Contestant], rounds: int, work: Path, step: Step) -> Starts:
    """Start each of them, this function also with its model in a bucket, interleaved; return the seconds."""
    folder = saved(NUMERIC.model, work)
    right = NUMERIC.expected(folder)[:1]
    with published(folder):
        everybody = [(FROM_BUCKET, OURS, URI), *((one.name, one, str(folder)) for one in contestants)]
        found: Starts = {name: [] for name, _, _ in everybody}
        for number in range(-1, rounds):
            for name, contestant, uri in everybody:
                step(f"cold start of {name}, round {number + 1}")
                seconds, reply = first_reply(contestant, folder, {"MODEL_URI": uri}, work)
                if difference(contestant.values(reply), right, NUMERIC.has_null[:1]):
                    raise ProcessError(f"{name} gave a wrong first reply: {reply[:200]!r}")
                if number >= 0:
                    found[name].append(seconds)
    return found


def ratio(found: Starts, name: str, to: str) -> Ratio:
    return Ratio([mine / other for mine, other in zip(found[name], found[to], strict=True)])


def median(found: Starts, name: str) -> float:
    return statistics.median(found[name])


def first_reply(
    contestant: Contestant, folder: Path, environment: Mapping[str, str], work: Path
) -> tuple[float, bytes]:
    """Start one, ask for one row until it answers, end it; return the seconds and the body."""
    port = free_port()
    body = contestant.body(NUMERIC.calls[:1])
    with (work / f"cold-{port}.log").open("wb") as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            [contestant.python, "-m", *contestant.command(folder, port, work)],
            cwd=contestant.cwd,
            env={**contestant.variables(folder), **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        while time.perf_counter() - started < PATIENCE and process.poll() is None:
            connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
            try:
                connection.request("POST", contestant.path, body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                reply = response.read()
            except ConnectionError:
                time.sleep(0.002)
                continue
            finally:
                connection.close()
            seconds = time.perf_counter() - started
            if response.status == 200:
                return seconds, reply
            time.sleep(0.002)
    finally:
        end(process)
    raise ProcessError(f"{contestant.name} gave no right reply within {PATIENCE:.0f} s of its start.")
