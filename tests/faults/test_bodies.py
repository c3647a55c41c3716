"""Bodies that stop arriving or declare no size, with the function as its own process."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from launch.function import Function
from serving.admission import MAX_BYTES, REQUEST_LIMIT

FAST_RETRIES = Path(__file__).parent / "fast_retries"
BODY = json.dumps({"calls": [[0.5, -0.25, 1, 2]]}).encode()
DEADLINE = 600.0  # seconds; the machine may be busy
IDLE = 4.0  # seconds


@pytest.fixture(scope="module")
def function(saved: Callable[[str], str]) -> Iterator[Function]:
    """Return the function with its model loaded, which waits only IDLE seconds for a byte."""
    environment = {"IDLE_SECONDS": str(IDLE), "LOG_LEVEL": "CRITICAL"}
    with Function(saved("tree_regressor"), environment, source=FAST_RETRIES) as running:
        assert ask(running) == 200
        yield running


def ask(function: Function) -> int:
    return httpx.post(function.url, content=BODY, timeout=DEADLINE, trust_env=False).status_code


def begin(function: Function, header: str, piece: bytes) -> socket.socket:
    """Send the head of a request and a piece of its body; return the connection."""
    connection = socket.create_connection(("127.0.0.1", function.port), timeout=DEADLINE)
    connection.sendall(f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}\r\n\r\n".encode() + piece)
    return connection


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece)


def answer(connection: socket.socket) -> bytes:
    """Return everything that arrives until the function closes the connection."""
    received = b""
    while piece := connection.recv(65_536):
        received += piece
    return received


@pytest.mark.parametrize(
    ("header", "piece", "size"),
    [
        (f"Content-Length: {len(BODY)}", b"", 0),
        (f"Content-Length: {len(BODY)}", BODY[:-1], len(BODY) - 1),
        ("Transfer-Encoding: chunked", b"", 0),
        ("Transfer-Encoding: chunked", chunk(BODY), len(BODY)),
        ("Transfer-Encoding: chunked\r\nContent-Encoding: gzip", chunk(b"\x1f\x8b"), 2),
    ],
    ids=["nothing of a declared body", "not the end of it", "no chunk", "not the last chunk", "part of gzip"],
)
def test_body_stops(function: Function, header: str, piece: bytes, size: int) -> None:
    """A body that stops arriving is a 408 in the shape of an error, and the connection is closed."""
    started = time.monotonic()
    with begin(function, header, piece) as connection:
        assert ask(function) == 200
        head, _, body = answer(connection).partition(b"\r\n\r\n")
    assert time.monotonic() - started >= IDLE
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"\r\nconnection: close" in head
    assert json.loads(body)["errorMessage"].startswith(f"The request stopped after {size} bytes")


def test_slow_body_is_answered(function: Function) -> None:
    """A body that arrives slowly but steadily is answered, however long it takes."""
    with begin(function, f"Content-Length: {len(BODY)}\r\nConnection: close", b"") as connection:
        started = time.monotonic()
        for at in range(0, len(BODY), 4):
            connection.sendall(BODY[at : at + 4])
            time.sleep(IDLE / 6)
        assert time.monotonic() - started > IDLE
        assert answer(connection).startswith(b"HTTP/1.1 200 ")


def test_chunked_bodies_keep_nobody_out(function: Function) -> None:
    """More unfinished chunked requests than would fit at their largest size leave room for others."""
    with ExitStack() as stack:
        for _ in range(2 * MAX_BYTES // REQUEST_LIMIT):
            stack.enter_context(begin(function, "Transfer-Encoding: chunked", chunk(b"[" * 100)))
        for _ in range(5):
            assert ask(function) == 200
