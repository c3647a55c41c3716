"""One request to a remote function as BigQuery sends it: columns in, HTTP, a column out.

The rule: the request holds what BigQuery documents and nothing else, and a reply counts only when it is a 200
of at most 15 MB with strict JSON, one reply per call, each of the declared type. 408, 429, 500, 503 and 504
are tried again, nothing else; each try is a request of its own, with its own requestId. How rows are dealt out
to requests is the business of `batching.py`.
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
from bqlocal.errors import QueryError, RemoteFunctionError
from bqlocal.values import COERCIONS, coerce, plain

RETRIED = frozenset({408, 429, 500, 503, 504})
RETRIES = 20  # per HTTP call
LONGEST_WAIT = 10.0  # seconds between two tries
TIMEOUT = 20 * 60.0  # seconds, per HTTP call
LARGEST_ROW = 5_000_000  # bytes of one row's arguments
LARGEST_REPLY = 15_000_000  # bytes
SHOWN_REPLY = 1024  # bytes of a failure's body that a person sees
HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class RemoteFunction:
    """What `CREATE FUNCTION ... REMOTE` declared."""

    name: str  # project.dataset.function
    arguments: Sequence[tuple[str, str]]  # (name, BigQuery type)
    returns: str
    endpoint: str
    max_batching_rows: int = 0  # 0: BigQuery chooses
    context: dict[str, str] = field(default_factory=dict)
    description: str = ""

    def signature(self) -> str:
        return f"{self.name}({', '.join(sql_type for _, sql_type in self.arguments)})"


@dataclass
class Calls:
    """What the calls of a remote function cost, or those of all functions of a job."""

    requests: int = 0
    rows: int = 0
    smallest: int = 0  # rows of a request
    largest: int = 0
    retries: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    seconds: float = 0.0  # of all requests, which run beside each other

    def add(self, other: "Calls") -> None:
        self.smallest = min(self.smallest or other.smallest, other.smallest or self.smallest)
        self.largest = max(self.largest, other.largest)
        for name in ("requests", "rows", "retries", "bytes_sent", "bytes_received", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @classmethod
    def of_all(cls, functions: Mapping[str, "Calls"]) -> "Calls":
        """Return the calls of all functions together."""
        total = cls()
        for calls in functions.values():
            total.add(calls)
        return total


class Job:
    """One query: its identity in the requests, its statistics, its end."""

    def __init__(self, project: str, session_user: str) -> None:
        name = f"bquxjob_{uuid.uuid4().hex[:8]}_{uuid.uuid4().hex[:11]}"
        self.caller = f"//bigquery.googleapis.com/projects/{project}/jobs/{project}:US.{name}"
        self.session_user = session_user
        self.functions: dict[str, Calls] = {}
        self.over = threading.Event()  # set, it ends every wait between two tries
        self._lock = threading.Lock()

    @property
    def calls(self) -> Calls:
        """The calls of all functions together."""
        return Calls.of_all(self.functions)

    def count(self, function: RemoteFunction, **amounts: Any) -> None:
        """Add to the statistics, from any thread."""
        with self._lock:
            self.functions.setdefault(function.name, Calls()).add(Calls(**amounts))


class Sender:
    """Sends requests from any thread; one per BigQuery, since connections are kept open."""

    def __init__(self, retry_delay: float) -> None:
        self._retry_delay = retry_delay
        self._client = httpx.Client(timeout=TIMEOUT, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def send(self, function: RemoteFunction, columns: Sequence[pa.Array], rows: int, job: Job) -> pa.Array:
        """Return the function's values for the rows of one request."""
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
        return _replies(function, response, rows)

    def _post(self, function: RemoteFunction, calls: str, job: Job) -> tuple[int, httpx.Response]:
        delay = self._retry_delay
        for _ in range(RETRIES):
            body = _body(function, calls, job)
            response = self._try(function, body, last=False)
            if response is not None and response.status_code not in RETRIED:
                return len(body), response
            if job.over.wait(delay):
                break
            delay = min(2 * delay, LONGEST_WAIT)
            job.count(function, retries=1)
        body = _body(function, calls, job)
        return len(body), cast(httpx.Response, self._try(function, body, last=True))

    def _try(self, function: RemoteFunction, body: bytes, *, last: bool) -> httpx.Response | None:
        """Send a request once; None is a connection that broke, which is worth another try."""
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
    """Return the calls as JSON, one argument list per row."""
    if not columns:
        return ",".join(["[]"] * rows)
    calls = [f"[{','.join(row)}]" for row in zip(*_arguments(function, columns), strict=True)]
    largest = max(calls, key=len)
    size = len(largest.encode()) if len(largest) > LARGEST_ROW // 4 else 0  # a character has at most four bytes
    if size > LARGEST_ROW:
        raise QueryError(
            f"The arguments of a row for remote function {function.name} take {size:,} bytes; "
            f"BigQuery allows {LARGEST_ROW:,}."
        )
    return ",".join(calls)


def _arguments(function: RemoteFunction, columns: Sequence[pa.Array]) -> list[list[str]]:
    typed = [plain(column) for column in columns]
    for (have, _), (_, want) in zip(typed, function.arguments, strict=True):
        if have not in (want, "NULL") and want not in COERCIONS.get(have, ()):
            types = ", ".join(have for have, _ in typed)
            raise QueryError(
                f"No matching signature for function {function.name} for argument types: {types}. "
                f"Supported signature: {function.signature()}"
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


def _replies(function: RemoteFunction, response: httpx.Response, rows: int) -> pa.Array:
    # "Received response code ... with response ..." is how BigQuery words it; the other sentences are our own.
    endpoint = f"endpoint {function.endpoint}"
    if response.status_code != 200:
        shown = response.content[:SHOWN_REPLY].decode(errors="replace")
        cut = " (cut after 1 KB, as BigQuery asks for less)" * (len(response.content) > SHOWN_REPLY)
        raise RemoteFunctionError(
            f"Received response code {response.status_code} from {endpoint} with response {shown}{cut}"
        )
    invalid = f"Invalid response from {endpoint} of remote function {function.name}"
    if len(response.content) > LARGEST_REPLY:
        raise RemoteFunctionError(
            f"{invalid}: it has {len(response.content):,} bytes for {rows} calls, BigQuery allows {LARGEST_REPLY:,}; "
            "a smaller max_batching_rows makes replies smaller"
        )
    try:
        document = parse(response.content, function.returns)
    except ValueError as error:
        raise RemoteFunctionError(f"{invalid}: it is no JSON ({error})") from error
    replies = document.get("replies") if isinstance(document, dict) else None
    if not isinstance(replies, list):
        raise RemoteFunctionError(f"{invalid}: it has no array 'replies'")
    if len(replies) != rows:
        raise RemoteFunctionError(f"{invalid}: it has {len(replies)} replies for {rows} calls")
    try:
        return decode(function.returns, replies)
    except ReplyError as error:
        raise RemoteFunctionError(f"{invalid}: {error}") from error
