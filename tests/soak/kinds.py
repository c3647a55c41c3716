"""The kinds of callers of a soak: what each sends, how, and what it must get.

The expected numbers come from MLflow and scikit-learn alone. A kind's `act` returns True when it got what it should,
False when it was refused because too much is in hand (429), and raises Wrong otherwise.
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
from tests.soak.wire import CHUNK, Reply, Wire, request

VARIANTS = 8  # different requests of a kind
HUGE = 60_000  # rows; about 5 MB


class Wrong(Exception):
    """Something else came back than should; the message says what."""


@dataclass(frozen=True)
class Kind:
    """`weight` is how often it comes, against the others'."""

    name: str
    weight: int
    act: Callable[[Wire, Random], Awaitable[bool]]


@dataclass(frozen=True)
class Exchange:
    """A request as bytes, and the status and replies, or words of the message, that it must get."""

    text: bytes
    status: int
    expected: Any

    def judge(self, reply: Reply) -> bool:
        status, body = reply
        if status == 429:
            return False
        if status != self.status:
            raise Wrong(f"status {status} instead of {self.status}: {body[:200]!r}")
        if isinstance(self.expected, bytes):
            if self.expected not in body:
                raise Wrong(f"{body[:200]!r} lacks {self.expected!r}")
        elif orjson.loads(body) != {"replies": self.expected}:
            raise Wrong(f"other replies than {str(self.expected)[:100]}...: {body[:200]!r}")
        return True


def kinds(folder: Path) -> list[Kind]:
    """Return all kinds for the saved model `tree_regressor` of tests/models.py."""
    model = mlflow.sklearn.load_model(str(folder))
    chance = np.random.default_rng(11)

    def exchange(rows: int, *, nulls: float = 0, write: Callable[[Any], Any] = list, **context: str) -> Exchange:
        X = pd.DataFrame(chance.normal(size=(rows, 4)), columns=list("abcd"))
        missing = chance.random(X.shape) < nulls
        predicted = model.predict(X).tolist()
        expected = [None if absent else value for absent, value in zip(missing.any(axis=1), predicted, strict=True)]
        calls = [
            write([None if absent else value for absent, value in zip(*row, strict=True)])
            for row in zip(missing.tolist(), X.to_numpy().tolist(), strict=True)
        ]
        return Exchange(request(body(calls, **context)), 200, expected)

    def some(name: str, weight: int, make: Callable[[], Exchange], count: int = VARIANTS) -> Kind:
        return Kind(name, weight, at_once([make() for _ in range(count)]))

    row_of = {"function": "predict_row"}
    thousand = [exchange(1_000) for _ in range(VARIANTS)]
    huge = [exchange(HUGE) for _ in range(2)]
    bad_value = body([[1, 2, 3, 4], [1, "many", 3, 4]])
    return [
        some("one row", 300, lambda: exchange(1)),
        Kind("1,000 rows", 100, at_once(thousand)),
        some("1,000 rows by name", 50, lambda: exchange(1_000, write=lambda row: [dict(zip("abcd", row, strict=True))], **row_of)),
        some("1,000 rows with NULLs", 50, lambda: exchange(1_000, nulls=0.05)),
        some("1,000 rows of NUMERIC as texts", 20, lambda: exchange(1_000, write=lambda row: [f"{value:.17f}" for value in row])),
        Kind("huge", 3, at_once(huge)),
        Kind("huge, its reply read late", 1, reading_late(huge)),
        Kind("gone amid a huge reply", 1, leaving(huge, 1, read=CHUNK)),
        some("bad value", 40, lambda: Exchange(request(bad_value), 400, b"Row 1, column b:")),
        some("bad row under on_error", 20, lambda: bad_row_is_null(exchange(5))),
        some("no JSON", 40, lambda: Exchange(request(bad_value[:-20]), 400, b"is not JSON")),
        some("unknown path", 20, lambda: Exchange(request(b"{}", "/nothing"), 400, b"expected")),
        some("page", 10, lambda: Exchange(request(b"", method="GET", headers="Accept: text/html\r\n"), 200, b"</html>")),
        some("facts", 10, lambda: Exchange(request(b"", method="GET"), 200, b'"digest"')),
        Kind("slow", 2, slowly(thousand)),
        Kind("over the limit, declared", 2, too_large(f"Content-Length: {REQUEST_LIMIT + 1}", b"1" * CHUNK)),
        Kind("over the limit, in chunks", 2, too_large("Transfer-Encoding: chunked", b"%x\r\n%s\r\n" % (CHUNK, b"1" * CHUNK))),
        Kind("half a request, then gone", 20, leaving(thousand, 0.5)),
        Kind("gone before the reply", 20, leaving(thousand, 1)),
    ]  # fmt: skip


def body(calls: Sequence[Any], **context: str) -> bytes:
    """Return BigQuery's request."""
    fields = {"requestId": "soak", "caller": "soak", "sessionUser": "soak", "userDefinedContext": context}
    return json.dumps({**fields, "calls": calls}).encode()


def bad_row_is_null(good: Exchange) -> Exchange:
    """Return the exchange with its second row spoilt, under on_error = null."""
    message = json.loads(good.text.partition(b"\r\n\r\n")[2])
    message["calls"][1][2] = "many"
    expected = [None if row == 1 else value for row, value in enumerate(good.expected)]
    return Exchange(request(body(message["calls"], on_error="null")), 200, expected)


def at_once(exchanges: Sequence[Exchange]) -> Callable[[Wire, Random], Awaitable[bool]]:
    async def act(wire: Wire, chance: Random) -> bool:
        exchange = chance.choice(exchanges)
        return exchange.judge(await wire.ask(exchange.text))

    return act


def slowly(exchanges: Sequence[Exchange]) -> Callable[[Wire, Random], Awaitable[bool]]:
    async def act(wire: Wire, chance: Random) -> bool:
        exchange = chance.choice(exchanges)
        return exchange.judge(await wire.ask_slowly(exchange.text))

    return act


def too_large(header: str, piece: bytes) -> Callable[[Wire, Random], Awaitable[bool]]:
    refused = Exchange(f"POST / HTTP/1.1\r\nHost: soak\r\n{header}\r\n\r\n".encode(), 400, b"expected 33554432 at most")

    async def act(wire: Wire, chance: Random) -> bool:
        return refused.judge(await wire.ask_without_end(refused.text, piece, REQUEST_LIMIT + 4 * CHUNK))

    return act


def reading_late(exchanges: Sequence[Exchange]) -> Callable[[Wire, Random], Awaitable[bool]]:
    async def act(wire: Wire, chance: Random) -> bool:
        exchange = chance.choice(exchanges)
        await wire.send(exchange.text)
        await asyncio.sleep(0.5)
        return exchange.judge(await wire.reply())

    return act


def leaving(exchanges: Sequence[Exchange], part: float, read: int = 0) -> Callable[[Wire, Random], Awaitable[bool]]:
    """Return what sends this part of a request, reads so many bytes of the reply and hangs up."""

    async def act(wire: Wire, chance: Random) -> bool:
        text = chance.choice(exchanges).text
        await wire.send(text[: int(len(text) * part)])
        await wire.read(read)
        wire.hang_up()
        return True

    return act
