"""Random requests to the running function: each gets the right answer or a 400 with a reason, and the process survives.

FUZZ_SECONDS is the time that all tests take together; `make fuzz` sets it. Each round has its own seed, which a failure
prints: FUZZ_SEED=... repeats the round.
"""

import gzip
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_schema_conformance,
    status_code_conformance,
)

from launch.function import Function
from serving.body import FORMS
from tests.assertions import assert_error
from tests.fuzz import bodies
from tests.fuzz.bodies import RawRequest
from tests.fuzz.reference import Reference
from tests.soak.resources import processes

MODELS = ["tree_regressor", "categories", "times", "structured", "optional_columns"]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
SECONDS_PER_MODEL = float(os.environ.get("FUZZ_SECONDS", "15")) / len(MODELS)
PARALLEL = 4  # requests at a time, which may share a prediction
TIMEOUT = 600.0  # seconds; the machine may be busy
ROUND = settings(max_examples=60, database=None, deadline=None, suppress_health_check=list(HealthCheck))


class Target:
    """The function as its own process, and the reference that its answers are compared with."""

    def __init__(self, folder: str, client: httpx.Client, threads: ThreadPoolExecutor) -> None:
        self.url = str(client.base_url).rstrip("/")
        self.document = client.get("/openapi.json").json()
        self.reference = Reference(folder)
        self.answers = {200: 0, 400: 0, 415: 0}
        self._client = client
        self._threads = threads

    def send(self, raw_requests: list[RawRequest]) -> None:
        """Send requests at the same time and check every response."""
        for request, response in zip(raw_requests, self._threads.map(self._send, raw_requests), strict=True):
            refused = refusal(request.headers)
            if request.method != "POST":
                assert_error(response, 400, request.method, "expected POST")
            elif refused:
                assert_error(response, *refused)
                self.answers[response.status_code] += 1
            else:
                self.check(request.body, request.path, response)

    def check(self, body: bytes, path: str, response: httpx.Response) -> None:
        """Assert that a response agrees with the reference."""
        status, expected = self.reference.answer(body, httpx.URL(self.url + path).path)
        try:
            self._compare(status, expected, body, response)
        except AssertionError as failure:
            failure.add_note(f"Sent to {path}: {body!r}\nReceived: {response.status_code} {response.text[:500]}")
            raise
        self.answers[response.status_code] += 1

    def _compare(self, status: int, expected: Any, body: bytes, response: httpx.Response) -> None:
        assert response.status_code in (200, 400)
        if response.status_code == 200:
            assert (status, expected) == (200, json.loads(response.content)["replies"])
            return
        assert_error(response, 400)
        message = response.json()["errorMessage"]
        if "recursion limit" in message.lower():
            assert max(body.count(b"["), body.count(b"{")) > 500  # the reference may parse deeper
        else:
            assert status == 400
            assert message in expected or expected[:200] in message

    def _send(self, request: RawRequest) -> httpx.Response:
        size, body = request.chunk_size, request.body
        if request.headers.get("content-encoding") == "gzip":
            body = gzip.compress(body)
        content = (body[at : at + size] for at in range(0, len(body), size)) if size else body
        return self._client.request(request.method, request.path, content=content, headers=request.headers)


def refusal(headers: Mapping[str, str | bytes]) -> tuple[int, str] | None:
    """Return the status and a word of the message if headers alone have a request refused."""
    if str(headers.get("content-type", "")).partition(";")[0] in FORMS:
        return 400, "Content-Type"
    if headers.get("content-encoding", "") not in ("", "gzip"):
        return 415, "Content-Encoding"
    return None


@pytest.fixture(scope="module", params=MODELS)
def target(request: pytest.FixtureRequest, saved: Callable[[str], str]) -> Iterator[Target]:
    """Return the function with one of MODELS; afterwards check that it was not restarted and gave both answers."""
    folder = saved(request.param)
    with (
        Function(folder, {"LOG_LEVEL": "CRITICAL"}) as function,
        httpx.Client(base_url=function.url, trust_env=False, timeout=TIMEOUT) as client,
        ThreadPoolExecutor(PARALLEL) as threads,
    ):
        target = Target(folder, client, threads)
        assert client.get("/").status_code == 200
        watched = processes(function.port)
        yield target
        assert client.get("/").status_code == 200
        assert processes(function.port) == watched, "the process was restarted"
        print(f"\n{request.param}: {target.answers}")
        assert min(target.answers[200], target.answers[400]) > 0  # how many depends on how busy the machine is


def repeat(seconds: float, test: Callable[[], None]) -> None:
    """Run a property test at least once and until the time is up, each time with another seed."""
    deadline = time.monotonic() + seconds
    number = int(os.environ.get("FUZZ_SEED") or secrets.randbits(32))
    while True:
        try:
            seed(number)(test)()
        except Exception as failure:
            failure.add_note(f"FUZZ_SEED={number} repeats this round.")
            raise
        number += 1
        if time.monotonic() >= deadline:
            return


def isolates_bad_rows(body: Any) -> bool:
    """Whether a request asks for NULL, or for NULL and the reason, in place of rows that cannot be scored."""
    context = body.get("userDefinedContext") if isinstance(body, dict) else None
    return isinstance(context, dict) and context.get("on_error") in ("null", "json")


def test_contract(target: Target) -> None:
    """Requests that match the function's own OpenAPI document are answered, the others get a 400."""
    document = schemathesis.openapi.from_dict(target.document)
    cases = st.one_of(
        document[path]["POST"].as_strategy(generation_mode=mode)
        for path in ("/predict", "/predict_row")
        for mode in schemathesis.GenerationMode
    )

    session = requests.Session()
    session.trust_env = False

    @ROUND
    @given(cases)
    def test(case: schemathesis.Case) -> None:
        response = case.call(target.url, session=session, timeout=TIMEOUT)
        # With on_error = null or json an invalid row is NULL; without it a valid row may be one that the model cannot score.
        verdict = positive_data_acceptance if isolates_bad_rows(case.body) else negative_data_rejection
        case.validate_response(response, checks=[*CHECKS, verdict])
        body = response.request.body or b""
        plain = httpx.Response(
            response.status_code,
            content=response.content,
            headers={"content-type": response.headers["content-type"][0]},
        )
        target.check(body.encode() if isinstance(body, str) else body, case.path, plain)

    with session:
        repeat(SECONDS_PER_MODEL / 3, test)


def test_random_bytes(target: Target) -> None:
    """Whatever is sent, the function gives the reference's replies or its 400."""

    @ROUND
    @given(st.lists(bodies.requests(target.reference.signature), min_size=1, max_size=PARALLEL))
    def test(raw_requests: list[RawRequest]) -> None:
        target.send(raw_requests)

    repeat(SECONDS_PER_MODEL * 2 / 3, test)
