"""What one instance of this function takes and gives: memory, single rows from many callers, growth with processes."""

import os
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.contestants import FASTAPI, OURS, WITHOUT_COALESCING, Server
from benchmarks.load import Exchange, Outcome, generate
from benchmarks.measurements import Plan, Ratio, Step
from benchmarks.workloads import NUMERIC, WORKLOADS, Workload, saved
from launch.processes import ProcessError

CALLERS = 64
REQUESTS = 10_000  # between the two looks at the memory
BATCH = 1_000  # rows per request, where the number is not the question
SCORED = (1_000, 10_000, 100_000, 1_000_000)  # rows
IN_USE = 20  # requests before the clock runs, or 1,000 rows would show what the first request of a connection takes
FOREST = next(workload for workload in WORKLOADS if workload.model == "forest")


@dataclass(frozen=True)
class Memory:
    """Bytes of a server: resident in its largest process; in all of them, what the others share with it once."""

    largest: int
    total: int


def memory(server: Server) -> Memory:
    """Return what a server takes now."""
    infos = sorted((process.memory_full_info() for process in server.processes()), key=lambda info: int(info.rss))
    return Memory(infos[-1].rss, infos[-1].rss + sum(info.uss for info in infos[:-1]))


def measure_memory(work: Path, step: Step) -> dict[str, tuple[Memory, Memory]]:
    """Return the memory of this function and of the FastAPI app after the first request and after 10,000 more."""
    folder = saved(NUMERIC.model, work)
    found = {}
    for contestant in (OURS, FASTAPI):
        step(f"memory of {contestant.name}")
        with contestant.running(folder, work) as server:
            exchanges = _right(server, NUMERIC, folder, 128)
            first = memory(server)
            _sound(generate(server.port, exchanges, 4, requests=REQUESTS))
            found[contestant.name] = (first, memory(server))
    return found


@dataclass
class Callers:
    """Runs of the forest with coalescing and without: 64 callers of one row, and one."""

    many: dict[str, list[Outcome]] = field(default_factory=dict)
    lone: dict[str, list[Outcome]] = field(default_factory=dict)

    def throughput(self) -> Ratio:
        """How much more with coalescing."""
        pairs = zip(self.many["with"], self.many["without"], strict=True)
        return Ratio([mine.rate / other.rate for mine, other in pairs])

    def lone_growth(self) -> Ratio:
        """By how many milliseconds the median latency of a lone caller grows."""
        pairs = zip(self.lone["with"], self.lone["without"], strict=True)
        return Ratio([(mine.latency(0.5) - other.latency(0.5)) * 1000 for mine, other in pairs])


def measure_callers(plan: Plan, work: Path, step: Step) -> Callers:
    """Measure requests of one row."""
    folder = saved(FOREST.model, work)
    variants: dict[str, Mapping[str, str]] = {"with": {}, "without": WITHOUT_COALESCING}
    found = Callers()
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(OURS.running(folder, work, environment)) for name, environment in variants.items()
        }
        exchanges = {name: _right(server, FOREST, folder, 1) for name, server in servers.items()}
        for number in range(-1, plan.rounds):
            step(f"{CALLERS} callers of one row, round {number + 1}")
            for name, server in servers.items():
                many = _sound(generate(server.port, exchanges[name], CALLERS, seconds=plan.seconds))
                lone = _sound(generate(server.port, exchanges[name], 1, seconds=plan.seconds))
                if number >= 0:
                    found.many.setdefault(name, []).append(many)
                    found.lone.setdefault(name, []).append(lone)
    return found


@dataclass(frozen=True)
class Growth:
    """Rows per second of one process and of two, by round, each process with a processor of its own."""

    one: Sequence[float]
    two: Sequence[float]

    @property
    def ratio(self) -> Ratio:
        return Ratio([both / single for both, single in zip(self.two, self.one, strict=True)])


def measure_growth(plan: Plan, work: Path, step: Step) -> Growth | None:
    """Measure one process and two beside each other; None where there are fewer than two processors."""
    if len(processors()) < 2:
        return None
    folder = saved(NUMERIC.model, work)
    one, two = [], []
    with ExitStack() as stack, ThreadPoolExecutor(2) as threads:
        servers = [stack.enter_context(OURS.running(folder, work)) for _ in range(2)]
        exchanges = _right(servers[0], NUMERIC, folder, BATCH)
        _right(servers[1], NUMERIC, folder, BATCH)
        pairs = list(zip(servers, processors(), strict=False))
        for server, processor in pairs:
            pin(server, [processor])

        def rate(pair: tuple[Server, int]) -> float:
            server, processor = pair
            # The load that it gets comes from the same processor, or one process would have the other one's help.
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, [processor])
            return _sound(generate(server.port, exchanges, 4, seconds=plan.seconds)).rate * BATCH

        for number in range(-1, plan.rounds):
            step(f"one process and two, round {number + 1}")
            single, both = threads.submit(rate, pairs[0]).result(), sum(threads.map(rate, pairs))
            if number >= 0:
                one.append(single)
                two.append(both)
    return Growth(one, two)


def processors() -> list[int]:
    """Return the processors that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def pin(server: Server, chosen: Sequence[int]) -> None:
    """Keep a server to some processors, where the system can do that (Linux)."""
    if hasattr(os, "sched_setaffinity"):
        for process in server.processes():
            for thread in process.threads():  # those to come inherit it
                os.sched_setaffinity(thread.id, chosen)


def measure_flatness(plan: Plan, work: Path, step: Step) -> dict[int, float]:
    """Return microseconds per row by the number of rows scored, one caller on a connection that is in use."""
    folder = saved(NUMERIC.model, work)
    seconds: dict[int, list[float]] = {rows: [] for rows in SCORED}
    with OURS.running(folder, work) as server:
        exchanges = _right(server, NUMERIC, folder, BATCH)
        for number in range(3 * plan.rounds):
            for rows in SCORED:
                step(f"{rows:,} rows scored, round {number + 1}")
                for _ in range(1 if rows > 10 * BATCH else 9):
                    run = _sound(generate(server.port, exchanges, requests=IN_USE + rows // BATCH))
                    seconds[rows].append(sum(run.latencies[IN_USE:]) / rows)
    return {rows: statistics.median(values) * 1e6 for rows, values in seconds.items()}


def _right(server: Server, workload: Workload, folder: Path, rows: int) -> list[Exchange]:
    exchanges = server.exchanges(workload, workload.expected(folder), rows)
    if isinstance(exchanges, str):
        raise ProcessError(f"{server.contestant.name} does not answer {workload.kind} rightly: {exchanges}.")
    return exchanges


def _sound(run: Outcome) -> Outcome:
    if run.fault:
        raise ProcessError(f"A server failed under load: {run.fault}.")
    return run
