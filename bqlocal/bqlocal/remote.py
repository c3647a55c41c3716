"""Sends one request to a remote function as BigQuery does: columns in, HTTP, a column out.

A request contains what BigQuery documents and nothing else. A reply counts only if it is a 200 of at most 15 MB with
strict JSON and one reply per call, each of the declared type. Statuses 408, 429, 500, 503 and 504 are retried, others
are not; each attempt has its own requestId. `batching.py` deals rows out to requests.
"""

import json
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import pyarrow as pa

from bqlocal.decoding import ReplyError, decode, parse
from bqlocal.encoding import encode
from bqlocal.errors import QueryError, RemoteFunctionError, quantity
from bqlocal.types import accepts
from bqlocal.values import coerce, with_sql_type

RETRIED_STATUSES = frozenset({408, 429, 500, 503, 504})
MAX_RETRIES = 20  # per HTTP call
MAX_RETRY_DELAY = 10.0  # seconds
TIMEOUT = 20 * 60.0  # seconds, per HTTP call
MAX_ROW_BYTES = 5_000_000  # of one row's arguments
MAX_REPLY_BYTES = 15_000_000
MAX_ERROR_BYTES = 1024  # of a failed response's body in the error
HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class RemoteFunction:
    """A remote function as CREATE FUNCTION declared it."""

    name: str  # project.dataset.function
    arguments: Sequence[tuple[str, str]]  # (name, SQL type)
    returns: str  # SQL type
    endpoint: str
    max_batching_rows: int = 0  # 0: BigQuery chooses
    context: dict[str, str] = field(default_factory=dict)
    description: str = ""

    def signature(self) -> str:
        """Return the name with the arguments' types, as error messages show it."""
        return f"{self.name}({', '.join(sql_type for _, sql_type in self.arguments)})"


@dataclass
class Calls:
    """What the calls of one remote function, or of all functions of a job, cost."""

    requests: int = 0
    rows: int = 0
    smallest: int = 0  # rows of a request
    largest: int = 0
    retries: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    seconds: float = 0.0  # summed over requests, which run concurrently

    def add(self, other: "Calls") -> None:
        self.smallest = min(self.smallest or other.smallest, other.smallest or self.smallest)
        self.largest = max(self.largest, other.largest)
        for name in ("requests", "rows", "retries", "bytes_sent", "bytes_received", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @classmethod
    def total(cls, functions: Mapping[str, "Calls"]) -> "Calls":
        """Return the sum over all functions."""
        total = cls()
        for calls in functions.values():
            total.add(calls)
        return total


class Job:
    """One query: the identity that its requests carry, and its statistics."""

    def __init__(self, project: str, session_user: str) -> None:
        name = f"bquxjob_{uuid.uuid4().hex[:8]}_{uuid.uuid4().hex[:11]}"
        self.caller = f"//bigquery.googleapis.com/projects/{project}/jobs/{project}:US.{name}"
        self.session_user = session_user
        self.functions: dict[str, Calls] = {}
        self.cancelled = threading.Event()  # ends the wait before a retry
        self._lock = threading.Lock()

    def count(self, function: RemoteFunction, **amounts: Any) -> None:
        """Add amounts, named as the fields of `Calls`, to the statistics; thread-safe."""
        with self._lock:
            self.functions.setdefault(function.name, Calls()).add(Calls(**amounts))


class Sender:
    """Sends requests from any thread over connections that stay open."""

    def __init__(self, retry_delay: float) -> None:
        self._retry_delay = retry_delay
        self._client = httpx.Client(timeout=TIMEOUT, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def send(self, function: RemoteFunction, columns: Sequence[pa.Array], rows: int, job: Job) -> pa.Array:
        """Send one request with all the rows and return the function's values; raise QueryError if it fails."""
        calls = _calls(function, columns, rows)
        started = time.perf_counter()
        sent, response = self._post(function, calls, job)
        job.count(
            function,
            requests=1,
            rows=rows,
            smallest=rows,
            largest=rows,
            bytes_sent=sent,
            bytes_received=len(response.content),
            seconds=time.perf_counter() - started,
        )
        return _values(function, response, rows)

    def _post(self, function: RemoteFunction, calls: str, job: Job) -> tuple[int, httpx.Response]:
        """Return the bytes sent and the response of the last attempt."""
        delay = self._retry_delay
        for _ in range(MAX_RETRIES):
            body = _body(function, calls, job)
            response = self._try(function, body, last=False)
            if response is not None and response.status_code not in RETRIED_STATUSES:
                return len(body), response
            if job.cancelled.wait(delay):
                break
            delay = min(2 * delay, MAX_RETRY_DELAY)
            job.count(function, retries=1)
        body = _body(function, calls, job)
        return len(body), cast(httpx.Response, self._try(function, body, last=True))

    def _try(self, function: RemoteFunction, body: bytes, *, last: bool) -> httpx.Response | None:
        """Send a request once; return None when the connection broke, which is worth a retry."""
        try:
            return self._client.post(function.endpoint, content=body, headers=HEADERS)
        except httpx.TransportError as error:
            if not last and not isinstance(error, httpx.ConnectError | httpx.UnsupportedProtocol):
                return None
            raise RemoteFunctionError(
                f"Failed to call the endpoint {function.endpoint} of remote function {function.name}: "
                f"{error}; check that it runs and that the function was created with its URL."
            ) from error


def _calls(function: RemoteFunction, columns: Sequence[pa.Array], rows: int) -> str:
    """Return the calls as JSON, a list of arguments per row."""
    if not columns:
        return ",".join(["[]"] * rows)
    calls = [f"[{','.join(row)}]" for row in zip(*_arguments(function, columns), strict=True)]
    largest = max(calls, key=len)
    size = len(largest.encode()) if len(largest) > MAX_ROW_BYTES // 4 else 0  # a character has at most four bytes
    if size > MAX_ROW_BYTES:
        raise QueryError(
            f"The arguments of a row for remote function {function.name} take {size:,} bytes; "
            f"BigQuery allows {MAX_ROW_BYTES:,}."
        )
    return ",".join(calls)


def _arguments(function: RemoteFunction, columns: Sequence[pa.Array]) -> list[list[str]]:
    typed = [with_sql_type(column) for column in columns]
    wrong = [
        f"argument {position} ({name}) is {have}, not {want}"
        for position, ((have, _), (name, want)) in enumerate(zip(typed, function.arguments, strict=True), start=1)
        if not accepts(want, have)
    ]
    if wrong:
        raise QueryError(
            f"No matching signature for function {function.name}: {'; '.join(wrong)}. "
            f"CAST the values; supported signature: {function.signature()}"
        )
    return [
        encode(want, coerce(column, have, want))
        for (have, column), (_, want) in zip(typed, function.arguments, strict=True)
    ]


def _body(function: RemoteFunction, calls: str, job: Job) -> bytes:
    envelope: dict[str, Any] = {
        "requestId": uuid.uuid4().hex,
        "caller": job.caller,
        "sessionUser": job.session_user,
    }
    if function.context:
        envelope["userDefinedContext"] = function.context
    return f'{json.dumps(envelope, ensure_ascii=False)[:-1]},"calls":[{calls}]}}'.encode()


def _values(function: RemoteFunction, response: httpx.Response, rows: int) -> pa.Array:
    """Return the replies of a response; raise RemoteFunctionError if BigQuery would reject it."""
    # BigQuery words it "Received response code ... with response ..."; the other messages are ours.
    endpoint = f"endpoint {function.endpoint}"
    if response.status_code != 200:
        body = response.content[:MAX_ERROR_BYTES].decode(errors="replace")
        cut = " (cut after 1 KB, BigQuery's limit)" * (len(response.content) > MAX_ERROR_BYTES)
        raise RemoteFunctionError(
            f"Received response code {response.status_code} from {endpoint} with response {body}{cut}"
        )
    invalid = f"Invalid response from {endpoint} of remote function {function.name}"
    if len(response.content) > MAX_REPLY_BYTES:
        raise RemoteFunctionError(
            f"{invalid}: it has {len(response.content):,} bytes for {quantity(rows, 'call')}; "
            f"BigQuery allows {MAX_REPLY_BYTES:,}. "
            "A smaller max_batching_rows makes replies smaller"
        )
    try:
        document = parse(response.content, function.returns)
    except ValueError as error:
        raise RemoteFunctionError(f"{invalid}: it is not JSON ({error})") from error
    replies = document.get("replies") if isinstance(document, dict) else None
    if not isinstance(replies, list):
        raise RemoteFunctionError(f"{invalid}: it has no array 'replies'")
    if len(replies) != rows:
        found = quantity(len(replies), "reply", "replies")
        raise RemoteFunctionError(f"{invalid}: it has {found} for {quantity(rows, 'call')}")
    try:
        return decode(function.returns, replies)
    except ReplyError as error:
        raise RemoteFunctionError(f"{invalid}: {error}") from error
