"""Remote functions as BigQuery calls them: columns in, HTTP requests of at most max_batching_rows, a
column out.

The rule: the request holds what BigQuery documents and nothing else, and a reply counts only when it is a 200
with strict JSON, one reply per call, each of the declared type. 408, 429, 500, 503 and 504 are tried again,
nothing else.
"""

import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import pyarrow as pa

from local.decoding import ARROW, ReplyError, decode, parse
from local.encoding import encode
from local.errors import QueryError, RemoteFunctionError
from local.values import COERCIONS, coerce, plain

RETRIED = frozenset({408, 429, 500, 503, 504})
RETRIES = 20  # per HTTP call
LONGEST_WAIT = 10.0  # seconds between two tries
TIMEOUT = 20 * 60.0  # seconds, per HTTP call
HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class RemoteFunction:
    """What `CREATE FUNCTION ... REMOTE` declared."""

    name: str  # project.dataset.function
    arguments: tuple[tuple[str, str], ...]  # (name, BigQuery type)
    returns: str
    endpoint: str
    max_batching_rows: int = 0  # 0: as many as come
    context: dict[str, str] = field(default_factory=dict)
    description: str = ""

    def signature(self) -> str:
        return f"{self.name}({', '.join(sql_type for _, sql_type in self.arguments)})"


@dataclass
class Calls:
    """What the remote calls of one query cost."""

    requests: int = 0
    rows: int = 0
    retries: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    seconds: float = 0.0  # waiting for replies


class Job:
    """One query: its identity in the requests, its statistics, its end."""

    def __init__(self, project: str, session_user: str) -> None:
        name = f"bquxjob_{uuid.uuid4().hex[:8]}_{uuid.uuid4().hex[:11]}"
        self.caller = f"//bigquery.googleapis.com/projects/{project}/jobs/{project}:US.{name}"
        self.session_user = session_user
        self.calls = Calls()
        self.over = threading.Event()  # set, it ends every wait between two tries
        self._lock = threading.Lock()

    def count(self, **amounts: float) -> None:
        """Add to the statistics; DuckDB may call a function from several threads."""
        with self._lock:
            for name, amount in amounts.items():
                setattr(self.calls, name, getattr(self.calls, name) + amount)


class Caller:
    """Sends the requests; one per BigQuery, since connections are kept open."""

    def __init__(self, retry_delay: float) -> None:
        self._retry_delay = retry_delay
        self._client = httpx.Client(timeout=TIMEOUT, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def call(self, function: RemoteFunction, columns: list[pa.Array], rows: int, job: Job) -> pa.Array:
        """Return the function's value for every row."""
        arguments = _arguments(function, columns)
        calls = [f"[{','.join(row)}]" for row in zip(*arguments, strict=True)] if arguments else ["[]"] * rows
        batch = function.max_batching_rows or max(rows, 1)
        parts = [self._request(function, calls[start : start + batch], job) for start in range(0, rows, batch)]
        return pa.concat_arrays(parts) if parts else pa.array([], ARROW[function.returns])

    def _request(self, function: RemoteFunction, calls: list[str], job: Job) -> pa.Array:
        body = _body(function, calls, job)
        started = time.perf_counter()
        try:
            response = self._post(function, body, job)
        finally:
            job.count(requests=1, rows=len(calls), bytes_sent=len(body), seconds=time.perf_counter() - started)
        job.count(bytes_received=len(response.content))
        return _replies(function, response, len(calls))

    def _post(self, function: RemoteFunction, body: bytes, job: Job) -> httpx.Response:
        delay = self._retry_delay
        for _ in range(RETRIES):
            response = self._try(function, body, last=False)
            if response is not None and response.status_code not in RETRIED:
                return response
            if job.over.wait(delay):
                break
            delay = min(2 * delay, LONGEST_WAIT)
            job.count(retries=1)
        return cast(httpx.Response, self._try(function, body, last=True))

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


def _arguments(function: RemoteFunction, columns: list[pa.Array]) -> list[list[str]]:
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


def _body(function: RemoteFunction, calls: list[str], job: Job) -> bytes:
    envelope: dict[str, Any] = {
        "requestId": uuid.uuid4().hex,
        "caller": job.caller,
        "sessionUser": job.session_user,
    }
    if function.context:
        envelope["userDefinedContext"] = function.context
    return f'{json.dumps(envelope, ensure_ascii=False)[:-1]},"calls":[{",".join(calls)}]}}'.encode()


def _replies(function: RemoteFunction, response: httpx.Response, rows: int) -> pa.Array:
    endpoint = f"endpoint {function.endpoint} of remote function {function.name}"
    if response.status_code != 200:
        raise RemoteFunctionError(
            f"Received response code {response.status_code} from {endpoint}: {_error_message(response)}"
        )
    try:
        document = parse(response.content, function.returns)
    except ValueError as error:
        raise RemoteFunctionError(f"Invalid response from {endpoint}: it is no JSON ({error})") from error
    replies = document.get("replies") if isinstance(document, dict) else None
    if not isinstance(replies, list):
        raise RemoteFunctionError(f"Invalid response from {endpoint}: it has no array 'replies'")
    if len(replies) != rows:
        raise RemoteFunctionError(f"Invalid response from {endpoint}: it has {len(replies)} replies for {rows} calls")
    try:
        return decode(function.returns, replies)
    except ReplyError as error:
        raise RemoteFunctionError(f"Invalid response from {endpoint}: {error}") from error


def _error_message(response: httpx.Response) -> str:
    """Return the errorMessage of a failure, or the beginning of whatever came instead of it."""
    try:
        document = json.loads(response.content)
    except ValueError:
        document = None
    if isinstance(document, dict) and isinstance(document.get("errorMessage"), str):
        return str(document["errorMessage"])
    return f"no errorMessage in the body {response.text[:200]!r}"
