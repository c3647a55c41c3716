"""Interleaved runs: in every round each contestant answers for a while, so that all of them meet the same machine.

What is reported is the median over the rounds. A ratio is taken within each round and shown with its smallest and
largest value, since the machine drifts between rounds more than within one.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bare import Bare
from benchmarks.contestants import OURS, Contestant, Server
from benchmarks.load import Exchange, Outcome, generate
from benchmarks.workloads import Workload, saved
from launch.processes import ProcessError

WARM_UP = 0.3  # of a run's length, before the first round
MOST_SECONDS = 20.0  # that one contestant may take for one cell; it then goes without the rounds that are left
BARE = "bare predict"

Checked = dict[tuple[str, int], Sequence[Exchange] | str]  # by contestant and rows
Step = Callable[[str], None]  # tells a person what is being done


@dataclass(frozen=True)
class Cell:
    """One thing to measure: requests of so many rows over so many connections."""

    workload: Workload
    rows: int
    connections: int


@dataclass(frozen=True)
class Plan:
    """How long everything is measured."""

    rounds: int
    seconds: float  # of one run


@dataclass
class Ratio:
    """A ratio of things measured beside each other: its median over the rounds, and its range."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        return f"{self.median:.2f} ({min(self.values):.2f} to {max(self.values):.2f})"


@dataclass
class Result:
    """What each contestant did in one cell: rows per second by round, its runs, or why there are none."""

    cell: Cell
    rates: dict[str, list[float]] = field(default_factory=dict)
    runs: dict[str, list[Outcome]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)

    def rate(self, name: str) -> float:
        return statistics.median(self.rates[name])

    def ratio(self, name: str, to: str) -> Ratio:
        pairs = zip(self.rates[name], self.rates[to], strict=False)
        return Ratio([mine / other for mine, other in pairs])

    def latency(self, name: str, share: float) -> float:
        """Return the median over the rounds of the seconds within which this share was answered."""
        return statistics.median(run.latency(share) for run in self.runs[name])


def compare(
    cells: Sequence[Cell],
    contestants: Sequence[Contestant],
    plan: Plan,
    work: Path,
    step: Step,
) -> list[Result]:
    """Measure cells of one model; who does not start or answer rightly has a fault in the results."""
    results = []
    with ExitStack() as stack:
        folder = saved(cells[0].workload.model, work)
        servers: list[Server] = []
        faults = {}
        for contestant in contestants:
            step(f"starting {contestant.name}")
            try:
                servers.append(stack.enter_context(contestant.running(folder, work)))
            except ProcessError as error:
                faults[contestant.name] = f"does not start: {error.message.splitlines()[-1][:200]}"
        for workload in dict.fromkeys(cell.workload for cell in cells):
            expected = workload.expected(folder)
            checked: Checked = {}
            with Bare(folder, workload, work) as bare:
                for cell in (cell for cell in cells if cell.workload == workload):
                    result = Result(cell, faults=dict(faults))
                    exchanges = {}
                    for server in servers:
                        step(f"{workload.kind}, {cell.rows} rows: checking {server.contestant.name}")
                        found = _requests(server, cell, expected, checked)
                        if isinstance(found, str):
                            result.faults[server.contestant.name] = found
                        else:
                            exchanges[server.contestant.name] = (server, found)
                    _rounds(result, exchanges, bare, plan, step)
                    if OURS.name in result.faults:
                        raise ProcessError(
                            f"{OURS.name}, {cell.rows} rows, {workload.kind}: {result.faults[OURS.name]}."
                        )
                    results.append(result)
    return results


def _requests(server: Server, cell: Cell, expected: np.ndarray[Any, Any], checked: Checked) -> Sequence[Exchange] | str:
    """Return requests with a server's replies once these were found right, or why it is not measured."""
    key = (server.contestant.name, cell.rows)
    if server.contestant.most_rows and cell.rows * cell.connections > server.contestant.most_rows:
        return "not measured, it takes too long"
    if key not in checked:
        found = server.exchanges(cell.workload, expected, cell.rows)
        checked[key] = f"fails: {found}" if isinstance(found, str) else found
    return checked[key]


def _rounds(
    result: Result,
    exchanges: Mapping[str, tuple[Server, Sequence[Exchange]]],
    bare: Bare,
    plan: Plan,
    step: Step,
) -> None:
    cell = result.cell
    spent = dict.fromkeys(exchanges, 0.0)
    for number in range(-1, plan.rounds):
        step(f"{cell.workload.kind}, {cell.rows} rows, {cell.connections} connections: round {number + 1}")
        seconds = plan.seconds if number >= 0 else plan.seconds * WARM_UP
        if number >= 0:
            result.rates.setdefault(BARE, []).append(bare.rate(cell.rows, seconds / 2))
        for name, (server, requests) in exchanges.items():
            if name in result.faults or (spent[name] > MOST_SECONDS and name in result.rates):
                continue
            run = generate(server.port, requests, cell.connections, seconds=seconds)
            spent[name] += run.seconds
            if run.fault:
                result.faults[name] = f"fails under load: {run.fault}"
            elif number >= 0:
                result.rates.setdefault(name, []).append(run.rate * cell.rows)
                result.runs.setdefault(name, []).append(run)
