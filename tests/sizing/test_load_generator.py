"""The load generator against real servers: it sends every request, checks every reply and measures what happened."""

import threading
import time
from collections.abc import Callable

import pytest

from deploy.sizing.load_generator import Exchange, generate, http_request
from tests.sizing.conftest import Recorder

TIMEOUT = 60  # seconds that a busy machine may take to send eight requests


def exchange(body: bytes, reply: bytes | None = None) -> Exchange:
    return Exchange(http_request("/", body), reply)


def test_number_of_requests(recorder: Recorder) -> None:
    """The exchanges are sent in turn, whole, and as often as asked for."""
    bodies = [b"a", b"b" * 3_000_000, b"c"]
    outcome = generate(recorder.port, [exchange(body) for body in bodies], requests=7)
    assert (outcome.requests, outcome.error) == (7, None)
    assert recorder.bodies == [*bodies, *bodies, b"a"]
    assert list(outcome.bodies) == recorder.bodies


@pytest.mark.parametrize(
    ("reply", "accepted"),
    [
        (b'{"replies": [0.3, "a"]}', True),
        (b'{"replies":[0.30000000000000004,"a"]}', True),
        (b'{"replies":[0.3001,"a"]}', False),
        (b'{"replies":[0.3,"b"]}', False),
        (b'{"replies":[0.3]}', False),
        (b'{"errorMessage":"a"}', False),
        (b"0.3", False),
        (b"no JSON", False),
    ],
    ids=str,
)
def test_tolerance(reply: bytes, accepted: bool) -> None:
    """A tolerance is one for numbers; without one, each byte counts."""
    expected = b'{"replies":[0.3,"a"]}'
    assert Exchange(b"", expected, 1e-12).accepts(reply) == accepted
    assert not Exchange(b"", expected).accepts(reply)


def test_connections_are_concurrent(recorder: Recorder) -> None:
    """Every connection has one request in flight."""
    together = threading.Barrier(8)
    recorder.answer = lambda body: (together.wait(TIMEOUT), (200, body))[1]
    outcome = generate(recorder.port, [exchange(b"x", b"x")], 8, requests=24)
    assert (outcome.requests, outcome.error) == (24, None)


def test_rate_and_latencies(recorder: Recorder) -> None:
    """No latency is shorter than the server took, and the run lasts as long as asked for."""
    recorder.answer = lambda body: (time.sleep(0.02), (200, body))[1]
    outcome = generate(recorder.port, [exchange(b"x", b"x")], 2, seconds=0.5)
    assert len(recorder.bodies) == outcome.requests
    assert min(outcome.latencies) >= 0.02
    assert outcome.rate <= 2 / 0.02
    assert outcome.seconds >= 0.5
    assert outcome.latency(0.5) <= outcome.latency(0.99) == sorted(outcome.latencies)[int(0.99 * outcome.requests)]


def test_idle_connections_are_closed(recorder: Recorder) -> None:
    """A connection without a further request is closed while the others wait, so no keep-alive timeout ends the run."""
    closed = threading.Event()
    recorder.closed = closed.set
    recorder.answer = lambda body: (body == b"slow" and closed.wait(TIMEOUT), (200, body))[1]
    exchanges = [exchange(b"slow", b"slow"), exchange(b"fast", b"fast")]
    outcome = generate(recorder.port, exchanges, 2, requests=2)
    assert closed.is_set()
    assert (outcome.requests, outcome.error) == (2, None)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda body: (500, b""), "HTTP 500"),
        (lambda body: (200, body + b" "), "another reply than expected"),
        (lambda body: (200, b"y"), "another reply than expected"),
        (lambda body: (299, body), "a reply without Content-Length"),
        (lambda body: 1 / 0, "the server closed the connection"),
    ],
    ids=["status", "longer", "other", "no length", "closed"],
)
def test_wrong_reply_ends_the_run(recorder: Recorder, answer: Callable[[bytes], tuple[int, bytes]], error: str) -> None:
    """The first wrong reply ends the run and is reported."""
    recorder.answer = answer
    outcome = generate(recorder.port, [exchange(b"x", b"x")], seconds=30)
    assert outcome.error == error
    assert outcome.requests == 0


def test_one_wrong_reply_among_many(recorder: Recorder) -> None:
    """A single wrong reply is noticed."""
    recorder.answer = lambda body: (200, b"z" if len(recorder.bodies) == 40 else body)
    outcome = generate(recorder.port, [exchange(b"x", b"x")], requests=100)
    assert (outcome.requests, outcome.error) == (39, "another reply than expected")
