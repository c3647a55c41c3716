"""Where the time of a request goes: `python -m benchmarks.stages` prints it for this function, stage by stage.

parse is the request's JSON, decode makes typed columns and the model's input of it, predict is the model alone, encode
makes the reply's JSON of the predictions. They run in this process, one after the other. policy is what scoring does
besides (options, NULL rows). framework is what is left of the median latency of a lone caller of the running function:
HTTP, threads, the log line, the way through the kernel.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from benchmarks.contestants import OURS
from benchmarks.load import generate
from benchmarks.measurements import Step
from benchmarks.workloads import WORKLOADS, Workload, saved
from launch.processes import ProcessError
from model_loader import load
from serving import contract, replies, scoring
from serving.functions import find
from serving.model import Model
from serving.options import Options
from serving.request_log import RequestLog
from serving.rows import from_request

STAGES = ("parse", "decode", "predict", "encode", "policy", "framework")
SIZES = (1, 1_000)  # rows
RUNS = 201
SECONDS = 0.5  # of the lone caller

Profile = tuple[str, int, dict[str, float]]  # kind, rows, microseconds by stage


def measure(work: Path, step: Step, workloads: Sequence[Workload] = WORKLOADS) -> list[Profile]:
    """Return the medians of each stage."""
    found = []
    for workload in workloads:
        folder = saved(workload.model, work)
        model, expected = load(str(folder)), workload.expected(folder)
        with OURS.running(folder, work) as server:
            for rows in SIZES:
                step(f"stages of {workload.kind}, {rows} rows")
                exchanges = server.exchanges(workload, expected, rows)
                if isinstance(exchanges, str):
                    raise ProcessError(f"This function does not answer {workload.kind} rightly: {exchanges}.")
                lone = generate(server.port, exchanges, seconds=SECONDS)
                with threadpool_limits(1):  # as in the function
                    stages = _in_process(model, OURS.body(workload.calls[:rows]))
                stages["framework"] = lone.latency(0.5) * 1e6 - stages.pop("all")
                found.append((workload.kind, rows, stages))
    return found


def _in_process(model: Model, body: bytes) -> dict[str, float]:
    """Return the median microseconds of each stage, and of `all` of them as the function does it."""
    times: dict[str, list[float]] = {name: [] for name in ("parse", "decode", "predict", "encode", "all")}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = work()
        times[stage].append(time.perf_counter() - started)
        return result

    for _ in range(RUNS):
        timed("all", partial(_answered, model, body))
        request = timed("parse", partial(contract.decode, body))
        given = timed("decode", partial(_given, model, request))
        result = timed("predict", partial(model.predictor, given, None))
        timed("encode", partial(_reply, model, result))
    medians = {name: statistics.median(values) * 1e6 for name, values in times.items()}
    medians["policy"] = medians["all"] - sum(medians[name] for name in ("parse", "decode", "predict", "encode"))
    return medians


def _answered(model: Model, body: bytes) -> bytes:
    job = scoring.prepare(model, find({}, "predict"), Options(), contract.decode(body), RequestLog("POST", "/"))
    return contract.encode(scoring.score(job))


def _reply(model: Model, result: Any) -> bytes:
    return contract.encode(replies.encode(result, model.outputs, len(result)))


def _given(model: Model, request: contract.Request) -> Any:
    """Return what the model gets: the rows without NULL."""
    rows = from_request(model.signature, request)
    lacking = rows.lacking()
    return model._input(rows.take(np.delete(np.arange(len(rows)), lacking)) if len(lacking) else rows)


def table(profiles: Sequence[Profile]) -> Table:
    """Return the profile for a terminal."""
    shown = Table("rows of", "rows", *STAGES, "sum", title="microseconds per request")
    for kind, rows, stages in profiles:
        times = [stages[stage] for stage in STAGES]
        shown.add_row(kind, f"{rows:,}", *(f"{value:,.0f}" for value in [*times, sum(times)]))
    return shown


def main() -> None:
    """Print the profile."""
    console = Console()
    with TemporaryDirectory() as work, console.status("starting") as status:
        profiles = measure(Path(work), status.update)
    console.print(table(profiles))


if __name__ == "__main__":
    main()
