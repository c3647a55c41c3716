"""The load generator: a process of its own that sends prepared requests and checks every byte of the replies.

It shares the machine with the server that it measures, so it must be cheap: requests are bytes before it starts, and
of a reply it reads the status and the Content-Length and compares the body with the one that is expected. It takes
about 20 microseconds for a small request; `Outcome.busy` says how much of the time it was at work, and `constant.py`
is a server to measure its limit with. Only the standard library is imported, so that it starts at once.
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

PATIENCE = 120.0  # seconds without any reply
OTHER_REPLY = "another reply than expected"
_PIECE = 1 << 16  # bytes read at a time; a larger buffer is mapped and unmapped by the system for each read


@dataclass(frozen=True)
class Exchange:
    """One request as bytes, head included, and the body of the one right reply; None where it is to be found out."""

    request: bytes
    reply: bytes | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a run: complete replies, the time they took, and the first thing that was wrong.

    `latencies` are seconds from a request's first byte sent to its reply's last byte, in order of arrival; `busy` is
    the share of the time in which the generator used a processor; `bodies` are the replies to exchanges that know none.
    """

    seconds: float
    latencies: Sequence[float]
    busy: float
    fault: str | None
    bodies: Sequence[bytes] = ()

    @property
    def requests(self) -> int:
        return len(self.latencies)

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    def latency(self, share: float) -> float:
        """Return the seconds within which this share of the requests was answered."""
        return sorted(self.latencies)[min(int(share * self.requests), self.requests - 1)]


def request_bytes(path: str, body: bytes) -> bytes:
    """Return an HTTP request with its head."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


def generate(
    port: int, exchanges: Sequence[Exchange], connections: int = 1, *, seconds: float = 0.0, requests: int = 0
) -> Outcome:
    """Send requests, each connection its next one as soon as it has its reply, for a time or until there are so many.

    The exchanges are sent in turn. Whatever is in flight at the end is waited for and counts. The first reply that is
    not as expected ends the run.
    """
    task = pickle.dumps((port, list(exchanges), connections, seconds, requests))
    command = [sys.executable, "-S", "-m", "benchmarks.load"]  # without site-packages, it starts at once
    ended = subprocess.run(command, input=task, capture_output=True, cwd=Path(__file__).parents[1], check=False)
    if ended.returncode:
        raise RuntimeError(f"The load generator failed: {ended.stderr.decode(errors='replace')[-1000:]}")
    outcome: Outcome = pickle.loads(ended.stdout)
    return outcome


class _Fault(Exception):
    """A reply that is not as expected."""


class _Connection:
    """One connection with at most one request in flight."""

    def __init__(self, port: int, selector: selectors.BaseSelector) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A request is handed to the kernel whole, or the server would wait for the generator to send the rest.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 21)
        self.socket.setblocking(False)
        self.selector = selector
        selector.register(self.socket, selectors.EVENT_READ, self)
        self.busy = False

    def begin(self, exchange: Exchange) -> None:
        self.exchange, self.received, self.length, self.busy = exchange, bytearray(), -1, True
        self.unsent = memoryview(exchange.request)
        self.started = time.perf_counter()
        self.send()
        if self.unsent:
            self.selector.modify(self.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, self)

    def send(self) -> None:
        try:
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
        except BlockingIOError:
            return
        except ConnectionError:
            raise _Fault("the server closed the connection") from None

    def write(self) -> None:
        self.send()
        if not self.unsent:
            self.selector.modify(self.socket, selectors.EVENT_READ, self)

    def read(self) -> bytes | None:
        """Return the body once the reply is complete."""
        try:
            piece = self.socket.recv(_PIECE)
        except BlockingIOError:
            return None
        except ConnectionError:
            piece = b""
        if not piece:
            raise _Fault("the server closed the connection")
        self.received += piece
        if self.length < 0 and (end := self.received.find(b"\r\n\r\n")) >= 0:
            self.body_at = end + 4
            length = content_length(bytes(self.received[:end]))
            if length is None:
                raise _Fault("a reply without Content-Length")
            self.length = self.body_at + length
        if self.length < 0 or len(self.received) < self.length:
            return None
        self.busy = False
        body = bytes(self.received[self.body_at :])
        status = bytes(self.received[9:12]).decode(errors="replace")
        if status != "200":
            raise _Fault(f"HTTP {status}")
        if self.exchange.reply is not None and body != self.exchange.reply:
            raise _Fault(OTHER_REPLY)
        return body


def content_length(head: bytes) -> int | None:
    """Return the Content-Length in the head of a message, None where there is none."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return None


def _run(port: int, exchanges: Sequence[Exchange], connections: int, seconds: float, requests: int) -> Outcome:
    latencies: list[float] = []
    bodies: list[bytes] = []
    fault, begun = None, 0
    with selectors.DefaultSelector() as selector:
        idle = [_Connection(port, selector) for _ in range(connections)]
        used = _processor_seconds()
        started = last = time.perf_counter()
        deadline = started + seconds
        flying = 0

        def go_on() -> None:
            """Give every idle connection its next request."""
            nonlocal begun, flying
            while idle and (begun < requests if requests else time.perf_counter() < deadline):
                idle.pop().begin(exchanges[begun % len(exchanges)])
                flying += 1
                begun += 1

        try:
            go_on()
            while flying:
                ready = selector.select(PATIENCE)
                if not ready:
                    raise _Fault(f"no reply for {PATIENCE:.0f} s")
                for key, events in ready:
                    connection: _Connection = key.data
                    if events & selectors.EVENT_WRITE:
                        connection.write()
                    if events & selectors.EVENT_READ and (body := connection.read()) is not None:
                        last = time.perf_counter()
                        latencies.append(last - connection.started)
                        if connection.exchange.reply is None:
                            bodies.append(body)
                        flying -= 1
                        idle.append(connection)
                        go_on()  # at once: the server is not to wait until all replies at hand are read
        except _Fault as found:
            fault = str(found)
        elapsed = max(last - started, 1e-9)
        busy = (_processor_seconds() - used) / max(time.perf_counter() - started, 1e-9)
        for key in list(selector.get_map().values()):
            key.data.socket.close()
    return Outcome(elapsed, latencies, busy, fault, bodies)


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    # The classes by the name under which the caller knows them, which `python -m` does not give them.
    from benchmarks.load import _run as run

    sys.stdout.buffer.write(pickle.dumps(run(*pickle.load(sys.stdin.buffer))))
