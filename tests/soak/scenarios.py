"""The scenarios of a soak: what a caller sends, how it sends it, and which reply is right.

The expected predictions come from MLflow and scikit-learn alone. A scenario's `run` returns True for the right reply
and False for 429, which an overloaded instance may give; it raises WrongReply for anything else.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import mlflow
import numpy as np
import orjson
import pandas as pd

from serving.admission import REQUEST_LIMIT
from tests.soak.connection import CHUNK, Connection, Reply, request

VARIANTS = 8  # different requests of a scenario
HUGE = 60_000  # rows; about 5 MB


class WrongReply(Exception):
    """The reply is not the expected one; the message shows it."""


Run = Callable[[Connection, Random], Awaitable[bool]]


@dataclass(frozen=True)
class Scenario:
    """`weight` is its frequency relative to the others."""

    name: str
    weight: int
    run: Run


@dataclass(frozen=True)
class Exchange:
    """A request with the status and the replies, or a part of the body, that it must get."""

    text: bytes
    status: int
    expected: Any

    def check(self, reply: Reply) -> bool:
        """Return whether the request was admitted; raise WrongReply unless the reply is right or a 429."""
        status, body = reply
        if status == 429:
            return False
        if status != self.status:
            raise WrongReply(f"status {status} instead of {self.status}: {body[:200]!r}")
        if isinstance(self.expected, bytes):
            if self.expected not in body:
                raise WrongReply(f"{body[:200]!r} lacks {self.expected!r}")
        elif orjson.loads(body) != {"replies": self.expected}:
            raise WrongReply(f"other replies than {str(self.expected)[:100]}...: {body[:200]!r}")
        return True


def scenarios(folder: Path) -> list[Scenario]:
    """Return all scenarios for a saved `tree_regressor` of tests/models.py."""
    model = mlflow.sklearn.load_model(str(folder))
    random = np.random.default_rng(11)

    def exchange(rows: int, *, nulls: float = 0, write: Callable[[Any], Any] = list, **context: str) -> Exchange:
        X = pd.DataFrame(random.normal(size=(rows, 4)), columns=list("abcd"))
        missing = random.random(X.shape) < nulls
        predicted = model.predict(X).tolist()
        expected = [None if absent else value for absent, value in zip(missing.any(axis=1), predicted, strict=True)]
        calls = [
            write([None if absent else value for absent, value in zip(*row, strict=True)])
            for row in zip(missing.tolist(), X.to_numpy().tolist(), strict=True)
        ]
        return Exchange(request(body(calls, **context)), 200, expected)

    def variants(name: str, weight: int, make: Callable[[], Exchange]) -> Scenario:
        return Scenario(name, weight, ask([make() for _ in range(VARIANTS)]))

    by_name = {"function": "predict_row"}
    thousand = [exchange(1_000) for _ in range(VARIANTS)]
    huge = [exchange(HUGE) for _ in range(2)]
    bad_value = body([[1, 2, 3, 4], [1, "many", 3, 4]])
    return [
        variants("one row", 300, lambda: exchange(1)),
        Scenario("1,000 rows", 100, ask(thousand)),
        variants("1,000 rows by name", 50, lambda: exchange(1_000, write=lambda row: [dict(zip("abcd", row, strict=True))], **by_name)),
        variants("1,000 rows with NULLs", 50, lambda: exchange(1_000, nulls=0.05)),
        variants("1,000 rows of NUMERIC as strings", 20, lambda: exchange(1_000, write=lambda row: [f"{value:.17f}" for value in row])),
        Scenario("huge", 3, ask(huge)),
        Scenario("huge, reply read late", 1, read_late(huge)),
        Scenario("disconnected during a huge reply", 1, disconnect(huge, 1, read=CHUNK)),
        variants("bad value", 40, lambda: Exchange(request(bad_value), 400, b"Row 1, column b:")),
        variants("bad row with on_error = null", 20, lambda: bad_row_is_null(exchange(5))),
        variants("invalid JSON", 40, lambda: Exchange(request(bad_value[:-20]), 400, b"is not JSON")),
        variants("unknown path", 20, lambda: Exchange(request(b"{}", "/nothing"), 400, b"expected")),
        variants("page", 10, lambda: Exchange(request(b"", method="GET", headers="Accept: text/html\r\n"), 200, b"</html>")),
        variants("model info", 10, lambda: Exchange(request(b"", method="GET"), 200, b'"digest"')),
        Scenario("slow", 2, ask_slowly(thousand)),
        Scenario("over the limit, declared", 2, send_too_much(f"Content-Length: {REQUEST_LIMIT + 1}", b"1" * CHUNK)),
        Scenario("over the limit, in chunks", 2, send_too_much("Transfer-Encoding: chunked", b"%x\r\n%s\r\n" % (CHUNK, b"1" * CHUNK))),
        Scenario("disconnected midway", 20, disconnect(thousand, 0.5)),
        Scenario("disconnected before the reply", 20, disconnect(thousand, 1)),
    ]  # fmt: skip


def body(calls: Sequence[Any], **context: str) -> bytes:
    """Return BigQuery's request."""
    fields = {"requestId": "soak", "caller": "soak", "sessionUser": "soak", "userDefinedContext": context}
    return json.dumps({**fields, "calls": calls}).encode()


def bad_row_is_null(good: Exchange) -> Exchange:
    """Return the exchange with an invalid value in its second row, and on_error = null."""
    message = json.loads(good.text.partition(b"\r\n\r\n")[2])
    message["calls"][1][2] = "many"
    expected = [None if row == 1 else value for row, value in enumerate(good.expected)]
    return Exchange(request(body(message["calls"], on_error="null")), 200, expected)


def ask(exchanges: Sequence[Exchange]) -> Run:
    async def run(connection: Connection, random: Random) -> bool:
        exchange = random.choice(exchanges)
        return exchange.check(await connection.ask(exchange.text))

    return run


def ask_slowly(exchanges: Sequence[Exchange]) -> Run:
    async def run(connection: Connection, random: Random) -> bool:
        exchange = random.choice(exchanges)
        return exchange.check(await connection.ask_slowly(exchange.text))

    return run


def send_too_much(header: str, piece: bytes) -> Run:
    rejected = Exchange(
        f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}\r\n\r\n".encode(), 400, b"expected at most 33554432"
    )

    async def run(connection: Connection, random: Random) -> bool:
        return rejected.check(await connection.ask_until_answered(rejected.text, piece, REQUEST_LIMIT + 4 * CHUNK))

    return run


def read_late(exchanges: Sequence[Exchange]) -> Run:
    async def run(connection: Connection, random: Random) -> bool:
        exchange = random.choice(exchanges)
        await connection.send(exchange.text)
        await asyncio.sleep(0.5)
        return exchange.check(await connection.reply())

    return run


def disconnect(exchanges: Sequence[Exchange], part: float, read: int = 0) -> Run:
    """Send this part of a request, read so many bytes of the reply and hang up."""

    async def run(connection: Connection, random: Random) -> bool:
        text = random.choice(exchanges).text
        await connection.send(text[: int(len(text) * part)])
        await connection.read(read)
        connection.hang_up()
        return True

    return run
