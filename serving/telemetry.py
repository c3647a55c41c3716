"""What the function reports about its requests: one JSON line each in the log, and the counters of this instance.

A line is in the form that Cloud Logging parses (https://docs.cloud.google.com/logging/docs/structured-logging):
`severity`, `time`, the trace and the execution id become fields of the log entry, everything else its jsonPayload.
There is no `httpRequest`: Cloud Run writes an entry with one itself, and this line is nested under it by its trace.

Keys and units are defined here; `python -m local logs` and sql/requests_by_job.sql read them. A line contains no value
of a row except what an error message quotes. This module is the only one that writes log lines; output.py turns what
others print into such lines.
"""

import asyncio
import logging
import re
import sys
import time
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timezone
from types import MappingProxyType
from typing import TextIO

import orjson

from serving.contract import Request
from serving.errors import CLIENT_ERRORS, Overloaded, describe_error, message_of, quantity
from serving.model import ModelInfo

TEXT_LIMIT = 1_000  # characters of a text from outside
TRACE_LIMIT = 20_000  # characters of a stack trace; Cloud Logging accepts 256 KB per line

# TRACE_ID/SPAN_ID;o=OPTIONS, where the span is a decimal number, and 1 in the options means that the trace is sampled.
_CLOUD_TRACE = re.compile(r"([0-9a-f]{32})(?:/(\d{1,20})\b)?(?:;o=(\d)|[/;].*)?", re.IGNORECASE)
# VERSION-TRACE_ID-SPAN_ID-FLAGS, where the lowest bit of the flags means that the trace is sampled.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-(?:([0-9a-f]{2})\b)?.*", re.IGNORECASE)

# What identifies the request that this code runs for, in the keys of Cloud Logging. Work that a request starts, such as
# loading the model in a thread, inherits it.
current_request: ContextVar[Mapping[str, object]] = ContextVar("current_request", default=MappingProxyType({}))


class _LogHandler(logging.StreamHandler):  # type: ignore[type-arg]  # not generic before Python 3.11
    """Writes the lines of events."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Drop a line that can't be written: it would be reported on sys.stderr, which leads here again."""


_logger = logging.getLogger("function")
_handler = _LogHandler()


def configure(level: int, stream: TextIO) -> None:
    """Send log lines of at least this level to a stream."""
    _handler.stream = stream
    _logger.addHandler(_handler)  # does nothing the second time
    _logger.propagate = False
    _logger.setLevel(level)
    _logger.disabled = False  # functions-framework disables all loggers when the platform sets LOG_EXECUTION_ID


def log_event(severity: str, message: str, **fields: object) -> None:
    """Log something other than a request; from any thread."""
    line = {"severity": severity, **current_request.get(), "message": message, **fields}
    _logger.log(logging.getLevelName(severity), orjson.dumps(line, default=str).decode())


class Timer:
    """The seconds that each stage of a request took."""

    def __init__(self) -> None:
        self.stages: dict[str, float] = {}
        self._started = self._last = time.perf_counter()

    def mark(self, stage: str) -> None:
        """Count the time since the last mark as this stage's; the times of a repeated stage add up."""
        now = time.perf_counter()
        self.stages[stage] = self.stages.get(stage, 0.0) + now - self._last
        self._last = now

    @property
    def elapsed(self) -> float:
        """The seconds since the start."""
        return time.perf_counter() - self._started


@dataclass(slots=True)
class RequestLog:
    """One request, as its log line tells it.

    The stages of `timer` are `read` (the body from the network), `parse` (its JSON), `load` (waiting for the model on a
    cold start), `decode` (JSON to typed columns), `queue` (waiting for its turn), `predict` (the function, including
    the model's input), and `encode` (the reply). `null_rows` counts rows answered with NULL without a prediction.
    `identity` is what `identify` returns, `model_name` the model's name in a list of models.
    """

    method: str
    path: str
    identity: Mapping[str, object] = field(default_factory=dict)
    timer: Timer = field(default_factory=Timer)
    bytes_in: int = 0
    bytes_out: int = 0
    request_id: str = ""
    job: str = ""
    user: str = ""
    function: str = ""
    model: str = ""
    model_name: str = ""
    cold: bool | None = None
    load_seconds: Mapping[str, float] | None = None
    rows: int | None = None
    null_rows: int | None = None
    status: int = 200
    severity: str = "INFO"
    error: str = ""  # the class name: the exception itself would keep the request's frames alive
    error_message: str = ""
    cause: str = ""
    stack_trace: str = ""
    total: float = 0.0  # seconds
    began: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    def set_request(self, request: Request) -> None:
        """Record who called."""
        self.request_id, self.user = request.request_id, request.session_user
        # //bigquery.googleapis.com/projects/P/jobs/P:US.bquxjob_1: `bq show -j` takes what follows /jobs/.
        self.job = request.caller.rpartition("/jobs/")[2]

    def set_model(self, info: ModelInfo) -> None:
        """Record the model's version or the start of its digest, and on a cold start how long loading took."""
        self.model = info.version if info.registered else info.digest[:12]
        if self.cold:
            self.load_seconds = info.seconds

    def fail(self, error: BaseException, status: int) -> None:
        """Record what went wrong, and the status of the answer."""
        self.status = status
        self.severity = "WARNING" if status in CLIENT_ERRORS or status == Overloaded.status else "ERROR"
        self.error = type(error).__name__
        self.error_message = message_of(error)
        self.cause = describe_error(error.__cause__) if error.__cause__ else ""
        self.stack_trace = "".join(traceback.format_exception(error)) if status == 500 else ""

    def finish(self, bytes_out: int) -> None:
        """Record the size of the answer and the total time."""
        self.bytes_out, self.total = bytes_out, self.timer.elapsed

    @property
    def level(self) -> int:
        return int(logging.getLevelName(self.severity))

    @property
    def message(self) -> str:
        """What happened, as a person reads it first."""
        if self.error:
            return truncate(self.error_message)
        answered = f": {quantity(self.rows, 'row')} for {self.function}" if self.rows is not None else ""
        return truncate(f"{self.method} {self.path} {self.status} in {self.total * 1000:.1f} ms{answered}")

    def line(self) -> str:
        """Return the JSON line, without what is unknown or doesn't apply."""
        milliseconds = {stage: round(seconds * 1000, 3) for stage, seconds in self.timer.stages.items()}
        fields: dict[str, object] = {
            "severity": self.severity,
            "time": self.began,
            **self.identity,
            "message": self.message,
            "method": self.method,
            "path": truncate(self.path),
            "status": self.status,
            "requestId": truncate(self.request_id),
            "job": truncate(self.job),
            "user": truncate(self.user),
            "function": self.function,
            "modelName": self.model_name,
            "model": self.model,
            "cold": self.cold,
            "loadSeconds": self.load_seconds,
            "rows": self.rows,
            "nullRows": self.null_rows,
            "bytesIn": self.bytes_in,
            "bytesOut": self.bytes_out,
            "milliseconds": {**milliseconds, "total": round(self.total * 1000, 3)},
            "error": self.error,
            "cause": truncate(self.cause),
            "stack_trace": truncate(self.stack_trace, TRACE_LIMIT),
        }
        known = {key: value for key, value in fields.items() if value is not None and value != ""}
        return orjson.dumps(known).decode()


class LogWriter:
    """Writes the lines of requests after their replies have been sent, so that no caller waits for them.

    Requests that shared a prediction end in the same round of the event loop, and their lines are written together. The
    stream is that of the start, because models and the framework redirect sys.stdout meanwhile.
    """

    def __init__(self, level: int, stream: TextIO | None = None) -> None:
        self._level = level
        self._stream = stream or sys.stdout
        self._ended: list[RequestLog] = []

    def write(self, log: RequestLog) -> None:
        """Write the line of a request that has ended; call it on the event loop."""
        if log.level >= self._level:
            if not self._ended:
                asyncio.get_running_loop().call_soon(self._write_all)
            self._ended.append(log)

    def _write_all(self) -> None:
        ended, self._ended = self._ended, []
        # A logger would first look up its caller, which takes longer than the line.
        self._stream.write("".join(f"{log.line()}\n" for log in ended))
        self._stream.flush()


def identify(headers: Mapping[bytes, bytes], project: str | None) -> dict[str, object]:
    """Return what the headers of a request say about its execution and its trace, in the keys of Cloud Logging."""
    found: dict[str, object] = {}
    if execution := headers.get(b"function-execution-id"):  # from the platform, else functions-framework generates one
        found["logging.googleapis.com/labels"] = {"execution_id": truncate(execution.decode("latin-1"))}
    if cloud := _CLOUD_TRACE.fullmatch(headers.get(b"x-cloud-trace-context", b"").decode("latin-1")):
        trace, span, sampled = cloud[1], f"{int(cloud[2] or 0):016x}", cloud[3]
    elif parent := _TRACEPARENT.fullmatch(headers.get(b"traceparent", b"").decode("latin-1")):
        trace, span, sampled = parent[1], parent[2].lower(), parent[3]
    else:
        return found
    trace = trace.lower()
    found["logging.googleapis.com/trace"] = f"projects/{project}/traces/{trace}" if project else trace
    if len(span) == 16 and int(span, 16):
        found["logging.googleapis.com/spanId"] = span
    if sampled:
        found["logging.googleapis.com/trace_sampled"] = int(sampled, 16) % 2 == 1
    return found


def truncate(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return at most `limit` characters of a text, in a form that JSON can hold."""
    if len(text) > limit:
        text = f"{text[: limit - 1]}…"
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
