"""What a plan saves: `model.ask(rows)`, the model's own library, beside `model.plan.predict(rows)`, in one process.

`python -m benchmarks.plans FOLDER ROUNDS` prints a line of JSON per model. Both get the same decoded rows and run on
one thread; the model's time includes building its input, a DataFrame or an array. They take turns, and batches rotate:
branch prediction makes a repeated one look faster than it is.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.bare import ONE_THREAD
from benchmarks.models import MODELS, saved
from benchmarks.workloads import REASONS, WITH_NULL, WORKLOADS, Workload
from launch.function import ROOT
from launch.processes import ProcessError

ROWS = (1, 128, 1_000, 5_000)
BATCHES = 16  # of one row each, in turn; with more rows there are fewer


@dataclass(frozen=True)
class Gain:
    """Microseconds of a model and of its plan by rows; the plan's are missing where the model itself answers."""

    model: str
    answers: str
    asked: dict[int, float]
    planned: dict[int, float]


def measure(rounds: int, work: Path, step: Callable[[str], None]) -> list[Gain]:
    """Return what the plan of each model saves, measured in a process of its own."""
    step("plans against their models")
    for name in MODELS:
        saved(name, work)
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.plans", str(work), str(rounds)],
        env={**os.environ, **ONE_THREAD},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise ProcessError(f"Plans can't be measured: {ended.stderr[-1000:]}")
    return [_read(line) for line in ended.stdout.splitlines()]


def _read(line: str) -> Gain:
    found = json.loads(line)
    asked, planned = ({int(rows): value for rows, value in found[key].items()} for key in ("asked", "planned"))
    return Gain(found["model"], found["answers"], asked, planned)


def gain_of(workload: Workload, folder: Path, rounds: int) -> Gain:
    """Measure the model in a folder, in this process."""
    from model_loader import load
    from serving.decoding import from_arguments
    from serving.model import Unplanned

    model = load(str(folder))
    gain = Gain(workload.name, model.info.answers.partition(",")[0], {}, {})
    for count in ROWS:
        batches = [
            from_arguments(model.signature, [json.loads(call) for call in workload.calls[batch]])
            for batch in workload.slices(count)[:BATCHES]
        ]
        sides: list[tuple[dict[int, float], Callable[[Any], Any]]] = [(gain.asked, model.ask)]
        if model.plan:
            sides.append((gain.planned, model.plan.predict))
        try:
            for (found, _), microseconds in zip(
                sides, _in_turn([ask for _, ask in sides], batches, rounds), strict=True
            ):
                found[count] = microseconds
        except Unplanned:
            (gain.asked[count],) = _in_turn([model.ask], batches, rounds)
    return gain


def _in_turn(calls: Sequence[Callable[[Any], Any]], batches: Sequence[Any], rounds: int) -> list[float]:
    """Return the median microseconds per batch of each call, over rounds in which each is called for every batch."""
    seconds: list[list[float]] = [[] for _ in calls]
    for number in range(-1, rounds):  # the first one is the warm-up
        for call, found in zip(calls, seconds, strict=True):
            started = time.perf_counter()
            for batch in batches:
                call(batch)
            if number >= 0:
                found.append((time.perf_counter() - started) / len(batches))
    return [statistics.median(found) * 1e6 for found in seconds]


def _main(folder: str, rounds: str) -> None:
    import warnings

    warnings.filterwarnings("ignore")
    for workload in WORKLOADS:
        if workload in (WITH_NULL, REASONS):  # the model of another workload, which never gets the rows with NULL
            continue
        print(json.dumps(asdict(gain_of(workload, saved(workload.model, Path(folder)), int(rounds)))), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
