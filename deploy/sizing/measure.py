"""Measure the function with a model on this machine: batch sizes, callers, CPUs, memory.

The function runs as a separate process. Where the system supports it (Linux), it is restricted to as many CPUs as the
instance would have.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from deploy.sizing.load_generator import Exchange, Outcome, generate, http_request
from deploy.sizing.resources import available_cpus, memory, pin
from deploy.sizing.sample import Sample, SizingError, sample_rows
from launch.examine import Examined
from launch.function import Function
from launch.processes import ProcessError

BATCH_SIZES = (1, 10, 100, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)  # rows per request
# Fewer callers would leave an instance idle while requests travel, and single rows with nothing to be batched with.
CALLERS = (8, 16, 32)
MAX_REQUEST_SECONDS = 5.0  # larger batches are not tried
MAX_BYTES = 15_000_000  # of a request or reply: BigQuery accepts no larger reply, Cloud Run no request over 32 MB
MIN_GAIN = 1.05  # over the best rate so far: two batch sizes in a row that gain less end the search
MEMORY_INTERVAL = 0.05  # seconds between memory samples


@dataclass(frozen=True)
class Point:
    """Requests of `rows` rows by one caller on one CPU: the median seconds and the bytes of one."""

    rows: int
    seconds: float
    request_bytes: int
    reply_bytes: int

    @property
    def rate(self) -> float:
        """Rows per second."""
        return self.rows / self.seconds


@dataclass(frozen=True)
class Shape:
    """An instance with so many CPUs and worker processes, under load.

    `rates` (rows per second) and `p99` (seconds of a request) are by number of callers; `memory` is the peak in bytes.
    """

    cpu: int
    workers: int
    rates: Mapping[int, float]
    p99: Mapping[int, float]
    memory: int


@dataclass(frozen=True)
class Measurements:
    """Everything measured for one model; `batch` is the rows per request that the shapes were measured with."""

    uri: str
    made_up: bool  # the rows, because the model has no input example
    model_bytes: int
    cold_start: float  # seconds from process start to first reply
    curve: Sequence[Point]
    batch: int
    shapes: Sequence[Shape]


def measure(
    found: Examined, seconds: float, choose_batch: Callable[[Sequence[Point]], int], report: Callable[[str], None]
) -> Measurements:
    """Measure a model, each run for `seconds`; raise SizingError or ProcessError if it cannot be measured.

    `choose_batch` picks the batch size from the curve; `report` is called with what is being measured.
    """
    sample = sample_rows(found)
    started = time.perf_counter()
    with _instance(found, cpu=1) as function:
        _first_request(function, sample)
        cold_start = time.perf_counter() - started
        curve = _measure_curve(function, sample, seconds, report)
        batch = choose_batch(curve)
        shapes = [_measure_shape(function, sample.body(batch), batch, seconds, 1, report)]
    if len(available_cpus()) > 1:
        with _instance(found, cpu=2) as function:
            _first_request(function, sample)
            shapes.append(_measure_shape(function, sample.body(batch), batch, seconds, 2, report))
    return Measurements(found.uri, sample.made_up, sample.model_bytes, cold_start, curve, batch, shapes)


@contextmanager
def _instance(found: Examined, cpu: int) -> Iterator[Function]:
    """Run the function with one worker process per CPU."""
    with Function(
        found.uri, {**found.description.settings, "WORKERS": str(cpu)}, python=found.environment.python
    ) as function:
        pin(function.pid, available_cpus()[:cpu])
        yield function


def _first_request(function: Function, sample: Sample) -> None:
    """Send the sample once, which loads the model."""
    try:
        reply = httpx.post(function.url, content=sample.body(len(sample.rows)), timeout=None, trust_env=False)
    except httpx.TransportError as error:
        raise ProcessError(f"The function ended while loading the model: {error}") from error
    if reply.status_code != 200:
        rows = "rows made up from the model's column types" if sample.made_up else "the model's own input example"
        raise SizingError(
            f"The function answers {rows} with {reply.status_code}: {reply.json().get('errorMessage', '')} "
            + "Save the model again with input_example=X.head()." * sample.made_up
        )


def _measure_curve(
    function: Function, sample: Sample, seconds: float, report: Callable[[str], None]
) -> Sequence[Point]:
    """Measure growing batches until they gain little, take long, or exceed BigQuery's limits."""
    curve: list[Point] = []
    without_gain = 0
    for size, next_size in zip(BATCH_SIZES, (*BATCH_SIZES[1:], BATCH_SIZES[-1]), strict=True):
        report(f"{size:,} rows per request")
        request = http_request("/", sample.body(size))
        first = generate(function.port, [Exchange(request)], requests=1)
        if first.error and curve:
            break  # a reply larger than BigQuery accepts
        run = _checked(generate(function.port, [Exchange(request, first.bodies[0])], seconds=seconds))
        point = Point(size, run.latency(0.5), len(request), len(first.bodies[0]))
        gains = not curve or point.rate > MIN_GAIN * max(it.rate for it in curve)
        without_gain = 0 if gains else without_gain + 1
        curve.append(point)
        next_bytes = max(point.request_bytes, point.reply_bytes) / size * next_size
        if without_gain == 2 or point.seconds > MAX_REQUEST_SECONDS / 2 or next_bytes > MAX_BYTES:
            break
    return curve


def _measure_shape(
    function: Function, body: bytes, batch: int, seconds: float, cpu: int, report: Callable[[str], None]
) -> Shape:
    request = http_request("/", body)
    # One request per connection, so that every process has loaded the model before anything is timed.
    first = _checked(generate(function.port, [Exchange(request)], CALLERS[-1], requests=CALLERS[-1]))
    exchange = Exchange(request, first.bodies[0])
    peak, rates, p99 = 0, {}, {}
    with ThreadPoolExecutor(1) as thread:
        for callers in CALLERS:
            report(f"{cpu} CPUs, {cpu} processes, {callers} callers")
            running = thread.submit(generate, function.port, [exchange], callers, seconds=seconds)
            while not running.done():
                peak = max(peak, memory(function.pid).total)
                wait([running], MEMORY_INTERVAL)
            run = _checked(running.result())
            rates[callers], p99[callers] = run.rate * batch, run.latency(0.99)
    return Shape(cpu, cpu, rates, p99, peak)


def _checked(run: Outcome) -> Outcome:
    if run.error:
        raise ProcessError(f"The function failed under load: {run.error}.")
    return run
