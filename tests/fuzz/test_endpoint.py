"""Chance against the running function: whatever is sent, a right answer or a 400 with a reason, and a process that lives.

FUZZ_SECONDS says how long this takes in all; `make fuzz` sets it. Each round has a seed of its own, which a failure
names: FUZZ_SEED=... repeats the round.
"""

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
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
from tests.assertions import assert_error
from tests.fuzz import bodies, openapi
from tests.fuzz.bodies import Sent
from tests.fuzz.reference import Reference
from tests.soak.watch import processes

MODELS = ["tree_regressor", "categories", "times", "structured", "optional_columns"]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
SHARE = float(os.environ.get("FUZZ_SECONDS", "60")) / len(MODELS)
AT_ONCE = 4  # requests that may share a prediction
ROUND = settings(max_examples=60, database=None, deadline=None, suppress_health_check=list(HealthCheck))


class Target:
    """The function as its own process, and what it must answer."""

    def __init__(self, folder: str, client: httpx.Client, threads: ThreadPoolExecutor) -> None:
        self.url = str(client.base_url).rstrip("/")
        self.reference = Reference(folder)
        self.answers = {200: 0, 400: 0}
        self._client = client
        self._threads = threads

    def send(self, sent: list[Sent]) -> None:
        """Send requests at the same time and check every answer."""
        for request, response in zip(sent, self._threads.map(self._send, sent), strict=True):
            if request.method == "POST":
                self.check(request.body, request.path, response)
            else:
                assert_error(response, 400, request.method, "expected POST")

    def check(self, body: bytes, path: str, response: httpx.Response) -> None:
        """Assert that a response is what the reference says."""
        status, expected = self.reference.answer(body, httpx.URL(self.url + path).path)
        try:
            self._compare(status, expected, body, response)
        except AssertionError as failure:
            failure.add_note(f"Sent to {path}: {body!r}\nCame: {response.status_code} {response.text[:500]}")
            raise
        self.answers[response.status_code] += 1

    def _compare(self, status: int, expected: Any, body: bytes, response: httpx.Response) -> None:
        assert response.status_code in self.answers
        if response.status_code == 200:
            assert (status, expected) == (200, json.loads(response.content)["replies"])
            return
        assert_error(response, 400)
        message = response.json()["errorMessage"]
        if "recursion limit" in message.lower():
            assert max(body.count(b"["), body.count(b"{")) > 500  # the reference may have gone deeper
        else:
            assert status == 400
            assert message in expected or expected[:200] in message

    def _send(self, request: Sent) -> httpx.Response:
        pieces = request.pieces
        content = (
            (request.body[at : at + pieces] for at in range(0, len(request.body), pieces)) if pieces else request.body
        )
        return self._client.request(request.method, request.path, content=content, headers=request.headers)


@pytest.fixture(scope="module", params=MODELS)
def target(request: pytest.FixtureRequest, saved: Callable[[str], str]) -> Iterator[Target]:
    folder = saved(request.param)
    with (
        Function(folder, {"LOG_LEVEL": "CRITICAL"}) as function,
        httpx.Client(base_url=function.url, trust_env=False, timeout=60) as client,
        ThreadPoolExecutor(AT_ONCE) as threads,
    ):
        target = Target(folder, client, threads)
        assert client.get("/").status_code == 200
        watched = processes(function.port)
        yield target
        assert client.get("/").status_code == 200
        assert processes(function.port) == watched, "it was started anew"
        print(f"\n{request.param}: {target.answers}")
        assert min(target.answers.values()) > 20


def rounds(seconds: float, test: Callable[[], None]) -> None:
    """Run a property test again and again for so long, each time with another seed."""
    deadline = time.monotonic() + seconds
    number = int(os.environ.get("FUZZ_SEED") or secrets.randbits(32))
    while time.monotonic() < deadline:
        try:
            seed(number)(test)()
        except Exception as failure:
            failure.add_note(f"FUZZ_SEED={number} repeats this round.")
            raise
        number += 1


def quarantines(body: Any) -> bool:
    """Whether a request asks for NULL where a row cannot be scored."""
    context = body.get("userDefinedContext") if isinstance(body, dict) else None
    return isinstance(context, dict) and context.get("on_error") == "null"


def test_what_fits_the_contract_is_answered_and_what_does_not_is_a_400(target: Target) -> None:
    document = schemathesis.openapi.from_dict(openapi.document(target.reference.signature))
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
        response = case.call(target.url, session=session)
        # Under `null` a row that does not fit is NULL, and under `fail` one that the model cannot score is refused.
        verdict = positive_data_acceptance if quarantines(case.body) else negative_data_rejection
        case.validate_response(response, checks=[*CHECKS, verdict])
        body = response.request.body or b""
        plain = httpx.Response(
            response.status_code,
            content=response.content,
            headers={"content-type": response.headers["content-type"][0]},
        )
        target.check(body.encode() if isinstance(body, str) else body, case.path, plain)

    with session:
        rounds(SHARE / 3, test)


def test_whatever_is_sent_the_answer_is_that_of_the_careful_way_or_a_400(target: Target) -> None:
    @ROUND
    @given(st.lists(bodies.sent(target.reference.signature), min_size=1, max_size=AT_ONCE))
    def test(sent: list[Sent]) -> None:
        target.send(sent)

    rounds(SHARE * 2 / 3, test)
