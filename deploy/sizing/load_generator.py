"""A load generator in its own process, which sends prepared requests and checks every byte of the replies.

It shares the machine with the server under test, so it has to be cheap: requests are bytes before the clock starts, and
a reply is checked by its status, its Content-Length and a comparison with the expected body; only one that differs is
parsed, if numbers may. A small request costs
about 20 microseconds; `Outcome.busy` reports the generator's share of a CPU. It imports only the standard library, so
that it starts fast.
"""

import pickle
import resource
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.sizing.reply_equality import equal_documents

ROOT = Path(__file__).parents[2]
REPLY_TIMEOUT = 120.0  # seconds without any reply before the run fails
UNEXPECTED_REPLY = "another reply than expected"
_RECEIVE_BYTES = 1 << 16  # per read; the system maps and unmaps memory for each read into a larger buffer
_SEND_BUFFER = 1 << 21  # bytes; the kernel takes a whole request, so the server never waits for the rest of it

# What BigQuery sends before the rows of a call.
BIGQUERY_HEAD = (
    b'{"requestId":"124ab1c","caller":"//bigquery.googleapis.com/projects/p/jobs/p:US.bquxjob_5b4c112c_17961fafeaf",'
    b'"sessionUser":"ana@example.com","userDefinedContext":{"function":"%s"%s},"calls":'
)


@dataclass(frozen=True)
class Exchange:
    """An HTTP request as bytes, head included, and the expected reply body; None accepts any body and returns it.

    `tolerance` is by how much the numbers of a reply may differ from the expected ones, relatively: those of a linear
    model differ in the last bit with the rows that other requests add to the prediction.
    """

    request: bytes
    reply: bytes | None = None
    tolerance: float = 0.0

    def accepts(self, body: bytes) -> bool:
        """Return whether a reply is the expected one."""
        if self.reply is None or body == self.reply:
            return True
        return self.tolerance > 0 and equal_documents(body, self.reply, self.tolerance)


@dataclass(frozen=True)
class Outcome:
    """The result of a run.

    `latencies` are the seconds from a request's first byte sent to its reply's last byte, in order of arrival; `busy`
    is the generator's CPU time divided by the elapsed time; `error` is the first wrong reply, if any; `bodies` are the
    replies to exchanges without an expected body.
    """

    seconds: float
    latencies: Sequence[float]
    busy: float
    error: str | None
    bodies: Sequence[bytes] = ()

    @property
    def requests(self) -> int:
        """The number of complete replies."""
        return len(self.latencies)

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    def latency(self, share: float) -> float:
        """Return a quantile of the latencies in seconds; `share` is between 0 and 1."""
        return sorted(self.latencies)[min(int(share * self.requests), self.requests - 1)]


def bigquery_body(calls: bytes, function: str = "predict", on_error: str = "fail") -> bytes:
    """Return the body of BigQuery's request; `calls` is a JSON array of argument lists."""
    more = b"" if on_error == "fail" else b',"on_error":"%s"' % on_error.encode()
    return BIGQUERY_HEAD % (function.encode(), more) + calls + b"}"


def http_request(path: str, body: bytes) -> bytes:
    """Return a POST request with its head."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


def generate(
    port: int, exchanges: Sequence[Exchange], connections: int = 1, *, seconds: float = 0.0, requests: int = 0
) -> Outcome:
    """Send the exchanges in turn for `seconds`, or exactly `requests` of them; return the outcome.

    Each connection sends its next request as soon as its reply has arrived. Requests in flight at the end are awaited
    and counted. The first unexpected reply ends the run.
    """
    task = pickle.dumps((port, list(exchanges), connections, seconds, requests))
    command = [sys.executable, "-S", "-m", "deploy.sizing.load_generator"]  # starts faster without site-packages
    process = subprocess.run(command, input=task, capture_output=True, cwd=ROOT, check=False)
    if process.returncode:
        raise RuntimeError(f"The load generator failed: {process.stderr.decode(errors='replace')[-1000:]}")
    outcome: Outcome = pickle.loads(process.stdout)
    return outcome


class _RunError(Exception):
    """A reply is not the expected one."""


class _Connection:
    """A connection with at most one request in flight."""

    def __init__(self, port: int, selector: selectors.BaseSelector) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self.socket.setblocking(False)
        self.selector = selector
        selector.register(self.socket, selectors.EVENT_READ, self)

    def begin(self, exchange: Exchange) -> None:
        self.exchange, self.received, self.length = exchange, bytearray(), -1
        self.unsent = memoryview(exchange.request)
        self.started = time.perf_counter()
        self._send()
        if self.unsent:
            self.selector.modify(self.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, self)

    def write(self) -> None:
        self._send()
        if not self.unsent:
            self.selector.modify(self.socket, selectors.EVENT_READ, self)

    def _send(self) -> None:
        try:
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
        except BlockingIOError:
            return
        except ConnectionError:
            raise _RunError("the server closed the connection") from None

    def read(self) -> bytes | None:
        """Receive once; return the body if the reply is complete."""
        try:
            piece = self.socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except ConnectionError:
            piece = b""
        if not piece:
            raise _RunError("the server closed the connection")
        self.received += piece
        if self.length < 0 and (end := self.received.find(b"\r\n\r\n")) >= 0:
            self.body_at = end + 4
            length = content_length(bytes(self.received[:end]))
            if length is None:
                raise _RunError("a reply without Content-Length")
            self.length = self.body_at + length
        if self.length < 0 or len(self.received) < self.length:
            return None
        body = bytes(self.received[self.body_at :])
        status = bytes(self.received[9:12]).decode(errors="replace")
        if status != "200":
            raise _RunError(f"HTTP {status}")
        if not self.exchange.accepts(body):
            raise _RunError(UNEXPECTED_REPLY)
        return body

    def close(self) -> None:
        self.selector.unregister(self.socket)
        self.socket.close()


def content_length(head: bytes) -> int | None:
    """Return the Content-Length in a message's head, None if it has none."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return None


def _run(port: int, exchanges: Sequence[Exchange], connections: int, seconds: float, requests: int) -> Outcome:
    latencies: list[float] = []
    bodies: list[bytes] = []
    error, begun, in_flight = None, 0, 0
    with selectors.DefaultSelector() as selector:
        idle = [_Connection(port, selector) for _ in range(connections)]
        cpu_before = _cpu_seconds()
        started = last = time.perf_counter()
        deadline = started + seconds

        def send_next() -> None:
            """Start a request on every idle connection; close those that have nothing left to send."""
            nonlocal begun, in_flight
            while idle and (begun < requests if requests else time.perf_counter() < deadline):
                idle.pop().begin(exchanges[begun % len(exchanges)])
                in_flight += 1
                begun += 1
            while idle:
                idle.pop().close()  # or the server would, after its keep-alive timeout

        try:
            send_next()
            while in_flight:
                ready = selector.select(REPLY_TIMEOUT)
                if not ready:
                    raise _RunError(f"no reply for {REPLY_TIMEOUT:.0f} s")
                for key, events in ready:
                    connection: _Connection = key.data
                    if events & selectors.EVENT_WRITE:
                        connection.write()
                    if events & selectors.EVENT_READ and (body := connection.read()) is not None:
                        last = time.perf_counter()
                        latencies.append(last - connection.started)
                        if connection.exchange.reply is None:
                            bodies.append(body)
                        in_flight -= 1
                        idle.append(connection)
                        send_next()  # now: the server must not wait until every available reply has been read
        except _RunError as found:
            error = str(found)
        elapsed = max(last - started, 1e-9)
        busy = (_cpu_seconds() - cpu_before) / max(time.perf_counter() - started, 1e-9)
        for key in list(selector.get_map().values()):
            key.data.close()
    return Outcome(elapsed, latencies, busy, error, bodies)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    # Import this module by its name: under `python -m` its classes would be pickled as those of __main__.
    from deploy.sizing.load_generator import _run as run

    sys.stdout.buffer.write(pickle.dumps(run(*pickle.load(sys.stdin.buffer))))
