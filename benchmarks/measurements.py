"""Interleaved measurements: every server runs for a while in every round, so that all meet the same machine.

Reported are medians over the rounds. Ratios are taken within a round and reported with their range, since the machine
drifts more between rounds than within one.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bare import Bare
from benchmarks.models import saved
from benchmarks.servers import OURS, Implementation, Server
from benchmarks.workloads import Workload
from deploy.sizing.load_generator import Exchange, Outcome, generate
from launch.processes import ProcessError

WARM_UP = 0.3  # of a run's length, before the first round
MAX_SECONDS = 20.0  # per server and cell; a slower server skips the remaining rounds
BARE = "bare predict"

Checked = dict[tuple[str, int], Sequence[Exchange] | str]  # by server and rows
Step = Callable[[str], None]  # is told what is being measured


@dataclass(frozen=True)
class Cell:
    """One thing to measure: requests of `rows` rows over so many connections."""

    workload: Workload
    rows: int
    connections: int

    @property
    def name(self) -> str:
        """The workload and the number of rows."""
        return f"{self.workload.name}, {self.rows:,} row{'s' * (self.rows > 1)}"


@dataclass(frozen=True)
class Plan:
    """How long everything is measured; `seconds` is the length of one run."""

    rounds: int
    seconds: float


@dataclass
class Ratio:
    """A ratio by round; printed as its median and range."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        return f"{self.median:.2f} ({min(self.values):.2f} to {max(self.values):.2f})"


@dataclass
class Result:
    """What was measured in one cell, by server: rows per second and runs by round, or why there are none."""

    cell: Cell
    rates: dict[str, list[float]] = field(default_factory=dict)
    runs: dict[str, list[Outcome]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def rate(self, name: str) -> float:
        """Return the median rows per second of a server."""
        return statistics.median(self.rates[name])

    def ratio(self, name: str, to: str) -> Ratio:
        """Return the rows per second of `name` divided by those of `to`."""
        pairs = zip(self.rates[name], self.rates[to], strict=False)
        return Ratio([mine / other for mine, other in pairs])

    def latency(self, name: str, share: float) -> float:
        """Return a quantile of the latency in seconds, as the median over the rounds."""
        return statistics.median(run.latency(share) for run in self.runs[name])


def compare(
    cells: Sequence[Cell], implementations: Sequence[Implementation], plan: Plan, work: Path, step: Step
) -> list[Result]:
    """Measure cells that share a model.

    A baseline that does not start or answers incorrectly has an error in the results; raise ProcessError if this
    function does.
    """
    results = []
    with ExitStack() as stack:
        folder = saved(cells[0].workload.model, work)
        servers: list[Server] = []
        errors = {}
        for implementation in implementations:
            step(f"starting {implementation.name}")
            try:
                servers.append(stack.enter_context(implementation.running(folder, work)))
            except ProcessError as error:
                errors[implementation.name] = f"does not start: {error.message.splitlines()[-1][:200]}"
        for workload in dict.fromkeys(cell.workload for cell in cells):
            expected = workload.expected(folder)
            checked: Checked = {}
            with Bare(folder, workload, work) as bare:
                for cell in (cell for cell in cells if cell.workload == workload):
                    result = Result(cell, errors=dict(errors))
                    _measure(result, servers, expected, checked, bare, plan, step)
                    results.append(result)
    return results


def _measure(
    result: Result,
    servers: Sequence[Server],
    expected: np.ndarray[Any, Any],
    checked: Checked,
    bare: Bare,
    plan: Plan,
    step: Step,
) -> None:
    """Fill in one result."""
    cell = result.cell
    exchanges = {}
    for server in servers:
        name = server.implementation.name
        step(f"{cell.workload.name}, {cell.rows} rows: checking {name}")
        found = _requests(server, cell, expected, checked)
        if isinstance(found, str):
            result.errors[name] = found
        else:
            exchanges[name] = (server, found)
    _run_rounds(result, exchanges, bare, plan, step)
    if OURS.name in result.errors:
        raise ProcessError(f"{OURS.name}, {cell.rows} rows, {cell.workload.name}: {result.errors[OURS.name]}.")


def _requests(server: Server, cell: Cell, expected: np.ndarray[Any, Any], checked: Checked) -> Sequence[Exchange] | str:
    """Return requests with the server's replies, which were correct, or why the server is not measured."""
    implementation = server.implementation
    key = (implementation.name, cell.rows)
    if implementation.max_rows and cell.rows * cell.connections > implementation.max_rows:
        return "not measured, it takes too long"
    if key not in checked:
        found = server.exchanges(cell.workload, expected, cell.rows)
        checked[key] = f"fails: {found}" if isinstance(found, str) else found
    return checked[key]


def _run_rounds(
    result: Result, exchanges: Mapping[str, tuple[Server, Sequence[Exchange]]], bare: Bare, plan: Plan, step: Step
) -> None:
    cell = result.cell
    spent = dict.fromkeys(exchanges, 0.0)
    for number in range(-1, plan.rounds):  # the first one is the warm-up
        step(f"{cell.workload.name}, {cell.rows} rows, {cell.connections} connections: round {number + 1}")
        seconds = plan.seconds if number >= 0 else plan.seconds * WARM_UP
        if number >= 0:
            result.rates.setdefault(BARE, []).append(bare.rate(cell.rows, seconds / 2))
        for name, (server, requests) in exchanges.items():
            if name in result.errors or (spent[name] > MAX_SECONDS and name in result.rates):
                continue
            run = generate(server.port, requests, cell.connections, seconds=seconds)
            spent[name] += run.seconds
            if run.error:
                result.errors[name] = f"fails under load: {run.error}"
            elif number >= 0:
                result.rates.setdefault(name, []).append(run.rate * cell.rows)
                result.runs.setdefault(name, []).append(run)
