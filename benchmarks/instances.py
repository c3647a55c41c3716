"""Resources and limits of one instance of this function: memory, coalescing, processes, flatness."""

import os
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measurements import Plan, Ratio, Step
from benchmarks.models import saved
from benchmarks.servers import FASTAPI, OURS, WITHOUT_COALESCING, Server
from benchmarks.workloads import FOREST, NUMERIC, Workload
from deploy.sizing.load_generator import Exchange, Outcome, generate
from deploy.sizing.resources import Memory, available_cpus, memory, pin
from launch.processes import ProcessError

CALLERS = 64
REQUESTS = 10_000  # between the two measurements of memory
BATCH = 1_000  # rows per request, unless the measurement varies it
SCORED = (1_000, 10_000, 100_000, 1_000_000)  # rows
WARM_UP_REQUESTS = 20  # before the clock starts; the first request on a connection costs more than 1,000 rows


def measure_memory(work: Path, step: Step) -> dict[str, tuple[Memory, Memory]]:
    """Return the memory of this function and of the FastAPI app after the first request and after REQUESTS more."""
    folder = saved(NUMERIC.model, work)
    found = {}
    for implementation in (OURS, FASTAPI):
        step(f"memory of {implementation.name}")
        with implementation.running(folder, work) as server:
            exchanges = _exchanges(server, NUMERIC, folder, 128)
            first = memory(server.pid)
            _checked(generate(server.port, exchanges, 4, requests=REQUESTS))
            found[implementation.name] = (first, memory(server.pid))
    return found


@dataclass
class Callers:
    """Runs on the forest "with" coalescing and "without": CALLERS callers of one row, and a single caller."""

    many: dict[str, list[Outcome]] = field(default_factory=dict)
    single: dict[str, list[Outcome]] = field(default_factory=dict)

    def throughput(self) -> Ratio:
        """Requests per second of many callers, with coalescing over without."""
        pairs = zip(self.many["with"], self.many["without"], strict=True)
        return Ratio([mine.rate / other.rate for mine, other in pairs])

    def added_latency(self) -> Ratio:
        """Milliseconds that coalescing adds to a single caller's median latency."""
        pairs = zip(self.single["with"], self.single["without"], strict=True)
        return Ratio([(mine.latency(0.5) - other.latency(0.5)) * 1000 for mine, other in pairs])


def measure_callers(plan: Plan, work: Path, step: Step) -> Callers:
    """Measure requests of one row with and without coalescing."""
    folder = saved(FOREST.model, work)
    # A plan makes one row so cheap that sharing it saves little; models without one are those that need it.
    asked = {"MODEL_PLAN": "off"}
    variants: dict[str, Mapping[str, str]] = {"with": asked, "without": {**asked, **WITHOUT_COALESCING}}
    found = Callers()
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(OURS.running(folder, work, environment)) for name, environment in variants.items()
        }
        exchanges = {name: _exchanges(server, FOREST, folder, 1) for name, server in servers.items()}
        for number in range(-1, plan.rounds):
            step(f"{CALLERS} callers of one row, round {number + 1}")
            for name, server in servers.items():
                many = _checked(generate(server.port, exchanges[name], CALLERS, seconds=plan.seconds))
                single = _checked(generate(server.port, exchanges[name], 1, seconds=plan.seconds))
                if number >= 0:
                    found.many.setdefault(name, []).append(many)
                    found.single.setdefault(name, []).append(single)
    return found


@dataclass(frozen=True)
class Scaling:
    """Rows per second of one process and of two, by round, each process on its own CPU."""

    one: Sequence[float]
    two: Sequence[float]

    @property
    def ratio(self) -> Ratio:
        """Two processes over one."""
        return Ratio([both / single for both, single in zip(self.two, self.one, strict=True)])


def measure_scaling(plan: Plan, work: Path, step: Step) -> Scaling | None:
    """Measure one process and two in turn; None if there are fewer than two CPUs."""
    if len(available_cpus()) < 2:
        return None
    folder = saved(NUMERIC.model, work)
    one, two = [], []
    with ExitStack() as stack, ThreadPoolExecutor(2) as threads:
        servers = [stack.enter_context(OURS.running(folder, work)) for _ in range(2)]
        exchanges = _exchanges(servers[0], NUMERIC, folder, BATCH)
        _exchanges(servers[1], NUMERIC, folder, BATCH)
        pairs = list(zip(servers, available_cpus(), strict=False))
        for server, cpu in pairs:
            pin(server.pid, [cpu])

        def rate(pair: tuple[Server, int]) -> float:
            server, cpu = pair
            # The load generator shares the server's CPU; otherwise a single process would profit from the idle one.
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, [cpu])
            return _checked(generate(server.port, exchanges, 4, seconds=plan.seconds)).rate * BATCH

        for number in range(-1, plan.rounds):
            step(f"one process and two, round {number + 1}")
            single, both = threads.submit(rate, pairs[0]).result(), sum(threads.map(rate, pairs))
            if number >= 0:
                one.append(single)
                two.append(both)
    return Scaling(one, two)


def measure_flatness(plan: Plan, work: Path, step: Step) -> dict[int, float]:
    """Return microseconds per row by the number of rows scored, for a single caller on a warm connection."""
    folder = saved(NUMERIC.model, work)
    seconds: dict[int, list[float]] = {rows: [] for rows in SCORED}
    with OURS.running(folder, work) as server:
        exchanges = _exchanges(server, NUMERIC, folder, BATCH)
        for number in range(3 * plan.rounds):
            for rows in SCORED:
                step(f"{rows:,} rows scored, round {number + 1}")
                for _ in range(1 if rows > 10 * BATCH else 9):
                    run = _checked(generate(server.port, exchanges, requests=WARM_UP_REQUESTS + rows // BATCH))
                    seconds[rows].append(sum(run.latencies[WARM_UP_REQUESTS:]) / rows)
    return {rows: statistics.median(values) * 1e6 for rows, values in seconds.items()}


def _exchanges(server: Server, workload: Workload, folder: Path, rows: int) -> list[Exchange]:
    exchanges = server.exchanges(workload, workload.expected(folder), rows)
    if isinstance(exchanges, str):
        raise ProcessError(f"{server.implementation.name} answers {workload.name} incorrectly: {exchanges}.")
    return exchanges


def _checked(run: Outcome) -> Outcome:
    if run.error:
        raise ProcessError(f"A server failed under load: {run.error}.")
    return run
