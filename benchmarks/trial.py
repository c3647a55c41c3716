"""The real function with somebody's model, measured for the adviser: batch sizes, callers, processors, memory.

Rows are those of the model's input example, over and over; a model without one gets rows made up from its column types,
which it may score faster or slower than real ones. Where the system allows it (Linux), the function is kept to as many
processors as the instance would have.
"""

import base64
import datetime
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import psutil
from bqlocal.errors import SourceError

from benchmarks.contestants import HEAD, OURS, Server
from benchmarks.instances import memory, pin, processors
from benchmarks.load import Exchange, Outcome, generate, request_bytes
from benchmarks.measurements import Step
from launch.function import Function
from launch.processes import ProcessError
from loading.source import fetched
from model_loader import load
from serving.errors import ServingError
from serving.signature import Column

SIZES = (1, 10, 100, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)  # rows per request
# Fewer would leave an instance idle while requests are on their way, and single rows without company.
CONNECTIONS = (8, 16, 32)
LONGEST = 5.0  # seconds of one request; larger batches are not tried
LARGEST = 15_000_000  # bytes of a request or a reply: BigQuery takes no larger reply, Cloud Run no request over 32 MB
NO_GAIN = 1.05  # over the best so far: two sizes in a row that gain less end the search
SAMPLES = 0.05  # seconds between looks at the memory

MADE_UP: Mapping[str, Callable[[random.Random], Any]] = {
    "boolean": lambda by: by.random() < 0.5,
    "integer": lambda by: by.randrange(100),
    "long": lambda by: by.randrange(100),
    "float": lambda by: round(by.gauss(0, 1), 4),
    "double": lambda by: round(by.gauss(0, 1), 4),
    "string": lambda by: by.choice(["a", "b", "c"]),
    "binary": lambda by: base64.b64encode(by.randbytes(16)).decode(),
    "datetime": lambda by: (datetime.datetime(2020, 1, 1) + datetime.timedelta(by.uniform(0, 1000))).isoformat() + "Z",
}


@dataclass(frozen=True)
class Point:
    """Requests of so many rows by one caller on one processor: the median seconds of one, and bytes."""

    rows: int
    seconds: float
    request: int
    reply: int

    @property
    def rate(self) -> float:
        """Rows per second."""
        return self.rows / self.seconds


@dataclass(frozen=True)
class Shape:
    """An instance with so many processors and processes: rows per second and slow seconds by callers, and memory."""

    cpu: int
    workers: int
    rates: Mapping[int, float]
    slowest: Mapping[int, float]  # p99
    memory: int  # bytes, the most that was seen


@dataclass(frozen=True)
class Trial:
    """All that was measured. `made_up` tells that the model has no input example; `files` are its bytes on the disk."""

    uri: str
    columns: int
    made_up: bool
    files: int
    cold_start: float  # seconds from process start to first reply
    curve: Sequence[Point]
    batch: int  # rows per request in the shapes
    shapes: Sequence[Shape]


def measure(uri: str, seconds: float, best: Callable[[Sequence[Point]], int], step: Step) -> Trial:
    """Measure a model; `best` picks the batch size from the curve. SourceError says why one cannot be measured."""
    step("reading the model")
    rows, made_up, files = sample_rows(uri)
    started = time.perf_counter()
    with _instance(uri, 1, 1) as server:
        _first(server, rows, made_up)
        cold_start = time.perf_counter() - started
        curve = _curve(server, rows, seconds, step)
        batch = best(curve)
        shapes = [_shape(server, rows, batch, seconds, 1, 1, step)]
    if len(processors()) > 1:
        with _instance(uri, 2, 2) as server:
            _first(server, rows, made_up)
            shapes.append(_shape(server, rows, batch, seconds, 2, 2, step))
    return Trial(uri, len(rows[0]), made_up, files, cold_start, curve, batch, shapes)


def sample_rows(uri: str) -> tuple[Sequence[Sequence[Any]], bool, int]:
    """Return rows for the model, whether they are made up, and the bytes of its files."""
    try:
        with fetched(uri) as folder:
            try:
                files = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
                model = load(str(folder))
            finally:
                if str(folder) != uri:
                    shutil.rmtree(folder, ignore_errors=True)
    except ServingError as error:
        raise SourceError(str(error)) from error
    if model.example:
        return model.example, False, files
    by = random.Random(1)
    return [[_made_up(column, uri, by) for column in model.signature.columns] for _ in range(100)], True, files


def _made_up(column: Column, uri: str, by: random.Random) -> Any:
    if column.mlflow_type not in MADE_UP:
        raise SourceError(
            f"The model at {uri} has no input example, and no value can be made up for its column {column}: "
            "save it again with input_example=X.head()."
        )
    return MADE_UP[column.mlflow_type](by)


@contextmanager
def _instance(uri: str, cpu: int, workers: int) -> Iterator[Server]:
    before = set(psutil.Process().children())
    with Function(uri, {"WORKERS": str(workers)}) as function:
        (process,) = set(psutil.Process().children()) - before
        server = Server(OURS, function.port, process)
        pin(server, processors()[:cpu])
        yield server


def _body(rows: Sequence[Sequence[Any]], count: int) -> bytes:
    """Return a request for so many rows, taken in turn; what is no number in the example is NULL."""
    calls = [rows[at % len(rows)] for at in range(count)]
    return HEAD.encode() + orjson.dumps(calls)[1:] + b"}"


def _first(server: Server, rows: Sequence[Sequence[Any]], made_up: bool) -> None:
    """Have the model loaded and the rows tried."""
    try:
        url = f"http://127.0.0.1:{server.port}/"
        reply = httpx.post(url, content=_body(rows, len(rows)), timeout=None, trust_env=False)
    except httpx.TransportError as error:
        raise ProcessError(f"The function ended while it loaded the model: {error}") from error
    if reply.status_code != 200:
        what = "rows made up from the model's column types" if made_up else "the model's own input example"
        raise SourceError(
            f"The function answers {what} with {reply.status_code}: {reply.json().get('errorMessage', '')} "
            + "Save the model again with input_example=X.head()." * made_up
        )


def _curve(server: Server, rows: Sequence[Sequence[Any]], seconds: float, step: Step) -> list[Point]:
    curve: list[Point] = []
    without_gain = 0
    for size in SIZES:
        step(f"{size:,} rows per request")
        request = request_bytes("/", _body(rows, size))
        first = generate(server.port, [Exchange(request)], requests=1)
        if first.fault and curve:
            break  # a reply larger than BigQuery takes
        run = _sound(generate(server.port, [Exchange(request, *first.bodies)], seconds=seconds))
        point = Point(size, run.latency(0.5), len(request), len(first.bodies[0]))
        without_gain = 0 if not curve or point.rate > NO_GAIN * max(it.rate for it in curve) else without_gain + 1
        curve.append(point)
        grown = max(point.request, point.reply) / size * SIZES[min(SIZES.index(size) + 1, len(SIZES) - 1)]
        if without_gain == 2 or point.seconds > LONGEST / 2 or grown > LARGEST:
            break
    return curve


def _shape(
    server: Server, rows: Sequence[Sequence[Any]], batch: int, seconds: float, cpu: int, workers: int, step: Step
) -> Shape:
    request = request_bytes("/", _body(rows, batch))
    exchange = Exchange(request, *generate(server.port, [Exchange(request)], requests=1).bodies)
    most, rates, slowest = 0, {}, {}
    with ThreadPoolExecutor(1) as thread:
        for connections in CONNECTIONS:
            step(f"{cpu} CPUs, {workers} processes, {connections} callers")
            running = thread.submit(generate, server.port, [exchange], connections, seconds=seconds)
            while not running.done():
                most = max(most, memory(server).total)
                wait([running], SAMPLES)
            run = _sound(running.result())
            rates[connections], slowest[connections] = run.rate * batch, run.latency(0.99)
    return Shape(cpu, workers, rates, slowest, most)


def _sound(run: Outcome) -> Outcome:
    if run.fault:
        raise ProcessError(f"The function failed under load: {run.fault}.")
    return run
