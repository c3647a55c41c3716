"""From what was measured of a model to how it should be deployed. Every figure comes with its reason.

Sources of the limits: https://cloud.google.com/run/docs/configuring/services/memory-limits and
https://docs.cloud.google.com/bigquery/quotas#remote_function_limits
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bqlocal.errors import SourceError

from benchmarks.trial import Point, Shape, Trial
from launch.prices import usd

ENOUGH_ROWS = 0.8  # of the best rate: a larger batch is a longer wait, and a retry repeats all of it
ENOUGH_CALLERS = 0.95  # of the best rate
RESERVE = 1.3  # over the memory that was seen
GIBIBYTE = 2**30
# The memory of an instance in GiB, and the CPUs that Cloud Run wants with it at least.
MEMORY = ((0.5, 1), (1, 1), (2, 1), (4, 1), (8, 2), (16, 4), (32, 8))
SHORTEST, LONGEST = 60, 1200  # seconds of timeout; BigQuery waits no longer
PATIENCE = 10  # times the slowest request


@dataclass(frozen=True)
class Setting:
    """An option of deploy.sh, its value and why."""

    name: str
    value: str
    reason: str


@dataclass(frozen=True)
class Advice:
    """Settings, and what an instance with them does."""

    settings: Sequence[Setting]
    rate: float  # rows per second
    batch: int
    cpu: int
    gibibytes: float
    cold_start: float

    def seconds(self, rows: int, instances: int) -> float:
        """Return how long so many rows take, the start of the instances included."""
        return self.cold_start + rows / (self.rate * instances)

    def dollars(self, rows: int, instances: int) -> float:
        """Return what they cost on Cloud Run."""
        busy = rows / self.rate + self.cold_start * instances
        return usd(busy, math.ceil(rows / self.batch), self.cpu, self.gibibytes)


def best_batch(curve: Sequence[Point]) -> int:
    """Return the smallest batch with enough of the most rows per second."""
    most = max(point.rate for point in curve)
    return next(point.rows for point in curve if point.rate >= ENOUGH_ROWS * most)


def advise(trial: Trial) -> Advice:
    """Choose the cheapest instance per row, and its settings; SourceError when the model fits into none."""
    shape, callers, gibibytes = min(
        (_sized(trial, shape) for shape in trial.shapes), key=lambda sized: _dollars(trial, *sized)
    )
    rate, most = shape.rates[callers], max(point.rate for point in trial.curve)
    cpu = _processors(shape, gibibytes)
    slowest = shape.slowest[callers]
    timeout = min(max(SHORTEST, math.ceil((PATIENCE * slowest + trial.cold_start) / 60) * 60), LONGEST)
    tried = ", ".join(f"{it.cpu} with {it.workers}: {max(it.rates.values()):,.0f}" for it in trial.shapes)
    cheapest = f"the cheapest per row (CPUs with processes, rows/s: {tried})"
    chosen = next(point for point in trial.curve if point.rows == trial.batch)
    settings = (
        Setting(
            "max-batching-rows",
            str(trial.batch),
            f"{chosen.rate:,.0f} rows/s by one caller, of at most {most:,.0f}; a request takes {_time(chosen.seconds)}",
        ),
        Setting(
            "memory",
            _memory_text(gibibytes),
            f"{_needed(trial, shape) / 2**20:,.0f} MiB are needed: {shape.memory / 2**20:,.0f} seen, times {RESERVE}, "
            f"and {trial.files * shape.workers / 2**20:,.1f} for the model's files while they are loaded",
        ),
        Setting(
            "cpu", str(cpu), f"Cloud Run wants so many with {_memory_text(gibibytes)}" if cpu > shape.cpu else cheapest
        ),
        Setting("workers", str(shape.workers), "processes of an instance, as measured with that CPU"),
        Setting(
            "concurrency", str(callers), f"{rate:,.0f} rows/s with so many callers at a time; more give hardly more"
        ),
        Setting(
            "timeout",
            str(timeout),
            f"{PATIENCE} times the slowest request ({_time(slowest)}) and a cold start ({trial.cold_start:.1f} s)",
        ),
    )
    return Advice(settings, rate, trial.batch, cpu, gibibytes, trial.cold_start)


def _sized(trial: Trial, shape: Shape) -> tuple[Shape, int, float]:
    """Return a shape with the callers at a time that it takes, and its memory in GiB."""
    most = max(shape.rates.values())
    callers = next(callers for callers, rate in shape.rates.items() if rate >= ENOUGH_CALLERS * most)
    needed = _needed(trial, shape) / GIBIBYTE
    if needed > MEMORY[-1][0]:
        raise SourceError(
            f"The model at {trial.uri} needs {needed:.1f} GiB of memory, an instance has {MEMORY[-1][0]} at most: "
            "train a smaller one."
        )
    return shape, callers, next(size for size, _ in MEMORY if size >= needed)


def _dollars(trial: Trial, shape: Shape, callers: int, gibibytes: float) -> float:
    """Return the price of a million rows."""
    rows = 1_000_000
    cpu = _processors(shape, gibibytes)
    return usd(rows / shape.rates[callers], math.ceil(rows / trial.batch), cpu, gibibytes)


def _processors(shape: Shape, gibibytes: float) -> int:
    return max(shape.cpu, next(cpu for size, cpu in MEMORY if size >= gibibytes))


def _needed(trial: Trial, shape: Shape) -> float:
    """Return bytes: what was seen with a reserve, and each process's files, in memory until the model is loaded."""
    return shape.memory * RESERVE + trial.files * shape.workers


def _memory_text(gibibytes: float) -> str:
    return f"{gibibytes:g}Gi" if gibibytes >= 1 else f"{gibibytes * 1024:g}Mi"


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"
