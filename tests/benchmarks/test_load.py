"""The load generator against real servers: every request arrives, every reply is checked, time is told as it is."""

import threading
import time
from collections.abc import Callable

import pytest

from benchmarks.load import Exchange, generate, request_bytes
from tests.benchmarks.conftest import Recorder


def exchange(body: bytes, reply: bytes | None = None) -> Exchange:
    return Exchange(request_bytes("/", body), reply)


def test_as_many_requests_as_asked_for_arrive_in_turn_and_whole(recorder: Recorder) -> None:
    bodies = [b"a", b"b" * 3_000_000, b"c"]
    outcome = generate(recorder.port, [exchange(body) for body in bodies], requests=7)
    assert (outcome.requests, outcome.fault) == (7, None)
    assert recorder.bodies == [*bodies, *bodies, b"a"]
    assert list(outcome.bodies) == recorder.bodies


def test_every_connection_has_one_request_in_flight(recorder: Recorder) -> None:
    together = threading.Barrier(8)
    recorder.answer = lambda body: (together.wait(10), (200, body))[1]
    outcome = generate(recorder.port, [exchange(b"x", b"x")], 8, requests=24)
    assert (outcome.requests, outcome.fault) == (24, None)


def test_rate_and_latencies_are_those_of_the_server(recorder: Recorder) -> None:
    recorder.answer = lambda body: (time.sleep(0.02), (200, body))[1]
    outcome = generate(recorder.port, [exchange(b"x", b"x")], 2, seconds=0.5)
    assert len(recorder.bodies) == outcome.requests
    assert min(outcome.latencies) >= 0.02
    assert outcome.rate <= 2 / 0.02
    assert outcome.seconds >= 0.5
    assert outcome.latency(0.5) <= outcome.latency(0.99) == sorted(outcome.latencies)[int(0.99 * outcome.requests)]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (lambda body: (500, b""), "HTTP 500"),
        (lambda body: (200, body + b" "), "another reply than expected"),
        (lambda body: (200, b"y"), "another reply than expected"),
        (lambda body: (299, body), "a reply without Content-Length"),
        (lambda body: 1 / 0, "the server closed the connection"),
    ],
    ids=["status", "longer", "other", "no length", "closed"],
)
def test_the_first_wrong_reply_ends_the_run_and_is_named(
    recorder: Recorder, answer: Callable[[bytes], tuple[int, bytes]], fault: str
) -> None:
    recorder.answer = answer
    recorder._server.handle_error = lambda *_: None  # type: ignore[method-assign]
    outcome = generate(recorder.port, [exchange(b"x", b"x")], seconds=30)
    assert outcome.fault == fault
    assert outcome.requests == 0


def test_a_wrong_reply_among_right_ones_is_noticed(recorder: Recorder) -> None:
    recorder.answer = lambda body: (200, b"z" if len(recorder.bodies) == 40 else body)
    outcome = generate(recorder.port, [exchange(b"x", b"x")], requests=100)
    assert (outcome.requests, outcome.fault) == (39, "another reply than expected")
