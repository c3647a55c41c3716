"""What the function reports about its requests: one JSON line each in the log, and the counters of this instance.

A line is in the form that Cloud Logging parses (https://docs.cloud.google.com/logging/docs/structured-logging):
`severity`, `time` and the trace become fields of the log entry, everything else its jsonPayload. There is no
`httpRequest`: Cloud Run writes an entry with one itself, and this line is nested under it by its trace.

Keys and units are defined here; `python -m local logs` and sql/requests_by_job.sql read them. A line contains no value
of a row except what an error message quotes. This module is the only one that writes log lines.
"""

import asyncio
import logging
import re
import sys
import time
import traceback
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import orjson

from serving.contract import Request
from serving.errors import ServingError, describe_error
from serving.model import ModelInfo

TEXT_LIMIT = 1_000  # characters of a text from outside
TRACE_LIMIT = 20_000  # characters of a stack trace; Cloud Logging accepts 256 KB per line
MAX_LAST_ERRORS = 10

_CLOUD_TRACE = re.compile(r"([0-9a-f]{32})(/.*)?", re.IGNORECASE)
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-.*", re.IGNORECASE)

_logger = logging.getLogger("function")


def configure(level: int) -> None:
    """Send log lines of at least this level to stdout."""
    _logger.addHandler(logging.StreamHandler(sys.stdout))
    _logger.propagate = False
    _logger.setLevel(level)


def log_event(severity: str, message: str, **fields: object) -> None:
    """Log something other than a request; from any thread."""
    line = orjson.dumps({"severity": severity, "message": message, **fields}, default=str).decode()
    _logger.log(logging.getLevelNamesMapping()[severity], line)


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
    """

    method: str
    path: str
    trace: str | None = None
    timer: Timer = field(default_factory=Timer)
    bytes_in: int = 0
    bytes_out: int = 0
    request_id: str = ""
    job: str = ""
    user: str = ""
    function: str = ""
    model: str = ""
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
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def set_request(self, request: Request) -> None:
        """Record who called."""
        self.request_id, self.user = request.request_id, request.session_user
        # //bigquery.googleapis.com/projects/P/jobs/P:US.bquxjob_1: `bq show -j` takes what follows /jobs/.
        self.job = request.caller.rpartition("/jobs/")[2]

    def set_model(self, info: ModelInfo) -> None:
        """Record the model's version or the start of its digest, and on a cold start how long loading took."""
        self.model = info.version[:12]
        if self.cold:
            self.load_seconds = info.seconds

    def fail(self, error: BaseException, status: int) -> None:
        """Record what went wrong, and the status of the answer."""
        self.status, self.severity = status, "WARNING" if status in (400, 429) else "ERROR"
        self.error = type(error).__name__
        self.error_message = str(error) if isinstance(error, ServingError) else describe_error(error)
        self.cause = describe_error(error.__cause__) if error.__cause__ else ""
        self.stack_trace = "".join(traceback.format_exception(error)) if status == 500 else ""

    def finish(self, bytes_out: int) -> None:
        """Record the size of the answer and the total time."""
        self.bytes_out, self.total = bytes_out, self.timer.elapsed

    @property
    def level(self) -> int:
        return logging.getLevelNamesMapping()[self.severity]

    @property
    def message(self) -> str:
        """What happened, as a person reads it first."""
        if self.error:
            return _truncate(self.error_message)
        answered = f": {self.rows} rows for {self.function}" if self.rows is not None else ""
        return _truncate(f"{self.method} {self.path} {self.status} in {self.total * 1000:.1f} ms{answered}")

    def line(self) -> str:
        """Return the JSON line, without what is unknown or doesn't apply."""
        milliseconds = {stage: round(seconds * 1000, 3) for stage, seconds in self.timer.stages.items()}
        fields: dict[str, object] = {
            "severity": self.severity,
            "time": self.began,
            "logging.googleapis.com/trace": self.trace,
            "message": self.message,
            "method": self.method,
            "path": _truncate(self.path),
            "status": self.status,
            "requestId": _truncate(self.request_id),
            "job": _truncate(self.job),
            "user": _truncate(self.user),
            "function": self.function,
            "model": self.model,
            "cold": self.cold,
            "loadSeconds": self.load_seconds,
            "rows": self.rows,
            "nullRows": self.null_rows,
            "bytesIn": self.bytes_in,
            "bytesOut": self.bytes_out,
            "milliseconds": {**milliseconds, "total": round(self.total * 1000, 3)},
            "error": self.error,
            "cause": _truncate(self.cause),
            "stack_trace": _truncate(self.stack_trace, TRACE_LIMIT),
        }
        known = {key: value for key, value in fields.items() if value is not None and value != ""}
        return orjson.dumps(known).decode()


class LogWriter:
    """Writes the lines of requests to stdout after their replies have been sent, so that no caller waits for them.

    Requests that shared a prediction end in the same round of the event loop, and their lines are written together.
    """

    def __init__(self, level: int) -> None:
        self._level = level
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
        sys.stdout.write("".join(f"{log.line()}\n" for log in ended))
        sys.stdout.flush()


@dataclass
class InstanceStats:
    """What this instance has done since it started, for the page at GET /.

    Instances come and go, so the statistics of the service are in the log. Every POST counts once; `refused` are the
    requests answered with 400, `failed` those with any other error.
    """

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    requests: int = 0
    rows: int = 0
    null_rows: int = 0
    refused: int = 0
    failed: int = 0
    seconds: float = 0.0
    last_errors: deque[Mapping[str, object]] = field(default_factory=lambda: deque(maxlen=MAX_LAST_ERRORS))

    def count(self, log: RequestLog) -> None:
        """Count an answered request; GET requests don't count."""
        if log.method == "GET":
            return
        self.requests += 1
        self.seconds += log.total
        if not log.error:
            self.rows += log.rows or 0
            self.null_rows += log.null_rows or 0
            return
        self.refused += log.status == 400
        self.failed += log.status != 400
        self.last_errors.appendleft(
            {
                "time": log.began.isoformat(timespec="seconds"),
                "status": log.status,
                "function": log.function,
                "requestId": log.request_id,
                "message": log.message,
            }
        )

    @property
    def uptime(self) -> timedelta:
        return timedelta(seconds=int((datetime.now(UTC) - self.started).total_seconds()))

    def as_dict(self) -> dict[str, object]:
        """Return everything as JSON-ready values."""
        return {
            "started": self.started.isoformat(timespec="seconds"),
            "uptimeSeconds": self.uptime.total_seconds(),
            "requests": self.requests,
            "rows": self.rows,
            "nullRows": self.null_rows,
            "refused": self.refused,
            "failed": self.failed,
            "seconds": round(self.seconds, 3),
            "lastErrors": list(self.last_errors),
        }


def trace_of(headers: Mapping[str, str], project: str | None) -> str | None:
    """Return the trace that Cloud Run assigned to a request, in Cloud Logging's format; None without one."""
    found = _CLOUD_TRACE.fullmatch(headers.get("x-cloud-trace-context", "")) or _TRACEPARENT.fullmatch(
        headers.get("traceparent", "")
    )
    if found is None:
        return None
    trace = found[1].lower()
    return f"projects/{project}/traces/{trace}" if project else trace


def _truncate(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return at most `limit` characters of a text, in a form that JSON can hold."""
    if len(text) > limit:
        text = f"{text[: limit - 1]}…"
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
