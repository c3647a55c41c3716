"""What is known about one request, as it becomes known, and the one JSON line that is logged of it.

The line is in the form that Cloud Logging takes apart (https://docs.cloud.google.com/logging/docs/structured-logging):
`severity`, `time` and the trace become fields of the log entry, all else its jsonPayload. There is no `httpRequest`,
since Cloud Run writes an entry with one itself, under which this line is shown by its trace.

The rule: keys and units stand here alone; `python -m local logs` and sql/requests_by_job.sql read them. No value of a
row is written, except for what an error's sentence says anyway.
"""

import asyncio
import logging
import re
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson

from serving.contract import Request
from serving.errors import ServingError
from serving.model import ModelInfo

TEXT_LIMIT = 1_000  # characters of a text that came from outside
TRACE_LIMIT = 20_000  # characters of a stack trace; Cloud Logging takes 256 KB a line

_CLOUD_TRACE = re.compile(r"([0-9a-f]{32})(/.*)?", re.IGNORECASE)
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-.*", re.IGNORECASE)


@dataclass(slots=True)
class RequestLog:
    """One request.

    `stages` holds the seconds of each: `read` (the body from the network), `parse` (its JSON), `load` (waiting for the
    model, when cold), `decode` (JSON to typed columns), `queue` (waiting for its turn), `predict` (the function, with
    the model's input made of the columns), `encode` (the reply). `null_rows` counts rows that were answered with NULL
    without a prediction.
    """

    method: str
    path: str
    trace: str | None = None
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
    error: str = ""  # the name of its class, as the exception itself would keep the request's frames alive
    sentence: str = ""
    cause: str = ""
    stack_trace: str = ""
    total: float = 0.0  # seconds
    stages: dict[str, float] = field(default_factory=dict)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    _started: float = field(default_factory=time.perf_counter)
    _lap: float = 0.0

    def __post_init__(self) -> None:
        self._lap = self._started

    def lap(self, stage: str) -> None:
        """Count the time since the last lap as this stage's; a stage may come again and adds up."""
        now = time.perf_counter()
        self.stages[stage] = self.stages.get(stage, 0.0) + now - self._lap
        self._lap = now

    def came(self, request: Request) -> None:
        """Note who asks."""
        self.request_id, self.user = request.request_id, request.session_user
        # //bigquery.googleapis.com/projects/P/jobs/P:US.bquxjob_1: what follows is the id that `bq show -j` takes.
        self.job = request.caller.rpartition("/jobs/")[2]

    def answered_by(self, info: ModelInfo) -> None:
        """Note the model's version, else the start of its digest, and when cold what its loading took."""
        self.model = info.version[:12]
        if self.cold:
            self.load_seconds = info.seconds

    def failed(self, error: BaseException, status: int) -> None:
        """Note what went wrong, and the status it is answered with."""
        self.status, self.severity = status, "WARNING" if status in (400, 429) else "ERROR"
        self.error = type(error).__name__
        self.sentence = str(error) if isinstance(error, ServingError) else _described(error)
        self.cause = _described(error.__cause__) if error.__cause__ else ""
        self.stack_trace = "".join(traceback.format_exception(error)) if status == 500 else ""

    def finish(self, bytes_out: int) -> None:
        self.bytes_out, self.total = bytes_out, time.perf_counter() - self._started

    def level(self) -> int:
        return logging.getLevelNamesMapping()[self.severity]

    def message(self) -> str:
        """Return what happened as a person reads it first."""
        if self.error:
            return _cut(self.sentence)
        answered = f": {self.rows} rows for {self.function}" if self.rows is not None else ""
        return _cut(f"{self.method} {self.path} {self.status} in {self.total * 1000:.1f} ms{answered}")

    def line(self) -> str:
        """Return the JSON line; what is not known, or does not apply, is left out."""
        milliseconds = {stage: round(seconds * 1000, 3) for stage, seconds in self.stages.items()}
        fields: dict[str, object] = {
            "severity": self.severity,
            "time": self.began,
            "logging.googleapis.com/trace": self.trace,
            "message": self.message(),
            "method": self.method,
            "path": _cut(self.path),
            "status": self.status,
            "requestId": _cut(self.request_id),
            "job": _cut(self.job),
            "user": _cut(self.user),
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
            "cause": _cut(self.cause),
            "stack_trace": _cut(self.stack_trace, TRACE_LIMIT),
        }
        known = {key: value for key, value in fields.items() if value is not None and value != ""}
        return orjson.dumps(known).decode()


class LogWriter:
    """Writes the lines of requests to stdout, as soon as their replies are on the way: who asked does not wait for it.

    Requests that shared a prediction end in the same round of the event loop, and their lines go out at once.
    """

    def __init__(self, level: int) -> None:
        self._level = level
        self._ended: list[RequestLog] = []

    def write(self, entry: RequestLog) -> None:
        """Write the line of a request that has ended; to be called on the event loop."""
        if entry.level() >= self._level:
            if not self._ended:
                asyncio.get_running_loop().call_soon(self._write_all)
            self._ended.append(entry)

    def _write_all(self) -> None:
        ended, self._ended = self._ended, []
        # logging would first find out who calls, which takes longer than the line
        sys.stdout.write("".join(f"{entry.line()}\n" for entry in ended))
        sys.stdout.flush()


def trace_of(headers: Mapping[str, str], project: str | None) -> str | None:
    """Return the trace that Cloud Run put this request into, as Cloud Logging names it; None without one."""
    found = _CLOUD_TRACE.fullmatch(headers.get("x-cloud-trace-context", "")) or _TRACEPARENT.fullmatch(
        headers.get("traceparent", "")
    )
    if found is None:
        return None
    trace = found[1].lower()
    return f"projects/{project}/traces/{trace}" if project else trace


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _cut(text: str, most: int = TEXT_LIMIT) -> str:
    """Return a text as JSON can hold it, and no longer than anybody reads."""
    if len(text) > most:
        text = f"{text[: most - 1]}…"
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
