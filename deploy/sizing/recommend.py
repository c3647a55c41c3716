"""Choose deployment settings from measurements, with a reason for each.

Sources of the limits: https://cloud.google.com/run/docs/configuring/services/memory-limits and
https://docs.cloud.google.com/bigquery/quotas#remote_function_limits
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.sizes import INSTANCE_GIBIBYTES, fewest_cpus
from deploy.sizing.measure import Measurements, Point, Shape
from deploy.sizing.sample import SizingError
from launch.prices import usd

BATCH_RATE = 0.8  # of the best rate is enough: a larger batch means a longer wait, and a retry repeats all of it
CALLERS_RATE = 0.95  # of the best rate is enough
MEMORY_RESERVE = 1.3  # times the measured peak
GIBIBYTE = 2**30
MIN_TIMEOUT, MAX_TIMEOUT = 60, 1200  # seconds; BigQuery waits no longer
TIMEOUT_FACTOR = 10  # times the slowest request


@dataclass(frozen=True)
class Setting:
    """An option of deploy.sh with its value, and why."""

    name: str
    value: str
    reason: str


@dataclass(frozen=True)
class Sizing:
    """Settings, and the performance of an instance deployed with them."""

    settings: Sequence[Setting]
    rate: float  # rows per second
    batch: int  # rows per request
    cpu: int
    gibibytes: float
    cold_start: float  # seconds

    def seconds(self, rows: int, instances: int) -> float:
        """Return how long `rows` rows take, including one cold start."""
        return self.cold_start + rows / (self.rate * instances)

    def dollars(self, rows: int, instances: int) -> float:
        """Return the price of `rows` rows on Cloud Run in USD, including the cold starts."""
        busy = rows / self.rate + self.cold_start * instances
        return usd(busy, math.ceil(rows / self.batch), self.cpu, self.gibibytes)


def choose_batch(curve: Sequence[Point]) -> int:
    """Return the smallest batch size whose rate is close to the best."""
    best = max(point.rate for point in curve)
    return next(point.rows for point in curve if point.rate >= BATCH_RATE * best)


def recommend(measured: Measurements) -> Sizing:
    """Choose the shape with the lowest price per row, and its settings; raise SizingError if the model fits none."""
    sized = [(shape, _callers(shape), _gibibytes(measured, shape)) for shape in measured.shapes]
    shape, callers, gibibytes = min(sized, key=lambda it: _dollars_per_million(measured, *it))
    cpu = _cpus(shape, gibibytes)
    memory = f"{gibibytes:g}Gi" if gibibytes >= 1 else f"{gibibytes * 1024:g}Mi"
    slowest = shape.p99[callers]
    timeout = math.ceil((TIMEOUT_FACTOR * slowest + measured.cold_start) / 60) * 60
    best = max(point.rate for point in measured.curve)
    chosen = next(point for point in measured.curve if point.rows == measured.batch)
    tried = ", ".join(f"{it.cpu} with {it.workers}: {max(it.rates.values()):,.0f}" for it in measured.shapes)
    settings = (
        Setting(
            "max-batching-rows",
            str(measured.batch),
            f"{chosen.rate:,.0f} rows/s with one caller, of at most {best:,.0f}; a request takes "
            + _duration(chosen.seconds),
        ),
        Setting(
            "memory",
            memory,
            f"{_needed_bytes(measured, shape) / 2**20:,.0f} MiB needed: {MEMORY_RESERVE} times the peak of "
            f"{shape.memory / 2**20:,.0f}, plus {measured.model_bytes * shape.workers / 2**20:,.1f} for the model's "
            "files during loading",
        ),
        Setting(
            "cpu",
            str(cpu),
            f"the minimum for {memory} on Cloud Run"
            if cpu > shape.cpu
            else f"lowest price per row (rows/s by CPUs and processes: {tried})",
        ),
        Setting("workers", str(shape.workers), "processes per instance, as measured with that many CPUs"),
        Setting("concurrency", str(callers), f"{shape.rates[callers]:,.0f} rows/s; more callers add little"),
        Setting(
            "timeout",
            str(min(max(MIN_TIMEOUT, timeout), MAX_TIMEOUT)),
            f"{TIMEOUT_FACTOR} times the slowest request ({_duration(slowest)}) plus a cold start "
            f"({measured.cold_start:.1f} s)",
        ),
    )
    return Sizing(settings, shape.rates[callers], measured.batch, cpu, gibibytes, measured.cold_start)


def _callers(shape: Shape) -> int:
    """Return the fewest callers whose rate is close to the best."""
    best = max(shape.rates.values())
    return next(callers for callers, rate in shape.rates.items() if rate >= CALLERS_RATE * best)


def _gibibytes(measured: Measurements, shape: Shape) -> float:
    """Return the smallest instance memory that fits."""
    needed = _needed_bytes(measured, shape) / GIBIBYTE
    largest = INSTANCE_GIBIBYTES[-1]
    if needed > largest:
        raise SizingError(
            f"The model at {measured.uri} needs {needed:.1f} GiB of memory, but an instance has at most {largest}: "
            "train a smaller one."
        )
    return next(size for size in INSTANCE_GIBIBYTES if size >= needed)


def _needed_bytes(measured: Measurements, shape: Shape) -> float:
    """Return the peak with a reserve, plus each process's copy of the model's files while it loads them."""
    return shape.memory * MEMORY_RESERVE + measured.model_bytes * shape.workers


def _cpus(shape: Shape, gibibytes: float) -> int:
    return max(shape.cpu, fewest_cpus(gibibytes))


def _dollars_per_million(measured: Measurements, shape: Shape, callers: int, gibibytes: float) -> float:
    rows = 1_000_000
    requests = math.ceil(rows / measured.batch)
    return usd(rows / shape.rates[callers], requests, _cpus(shape, gibibytes), gibibytes)


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"
