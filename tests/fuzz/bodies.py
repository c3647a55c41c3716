"""Strategies for requests that BigQuery could send to any model, and for random mutations of their bytes."""

import json
import re
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from serving.signature import Column, Signature

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
# json_text.py replaces texts and words by these numbers while it parses.
PLACEHOLDERS = st.sampled_from([7e9, -8e9, -6e9, -5e87])
PLAIN = (
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**63), 2**64 - 1)
    | st.integers(-9, 9)
    | st.integers(-900, 900).map(lambda number: number / 256)
    | PLACEHOLDERS
)
NUMBER = (
    PLAIN
    | st.integers(-(2**70), 2**70)
    | st.sampled_from(["NaN", "Infinity", "-Infinity", "12.50", "-0", -0.0, 2**53 + 1, "9007199254740993"])
)
JSON_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9).map(str),
    "double": NUMBER,
    "string": st.sampled_from(["Bern", "Zürich", "S", "", "null", '"', "\\", "[[1]]", '"calls"']) | st.text(max_size=8),
    "datetime": st.datetimes().map(lambda time: time.isoformat() + "Z"),
}

ODD_PIECES = [
    b'"', b"{", b"}", b"[", b"]", b",", b":", b" ", b"\\", b"\n", b"\x00", b"\x1f", b"0", b"-", b"e", b".",
    b"null", b"true", b"NaN", b'"NaN"', b"Infinity", b'"-Infinity"', b"1e999", b"-1e-999", b"9" * 400, b"0.", b"01",
    b"18446744073709551616", b"-9223372036854775809", b"7e9", b"1E400", b"0" * 50,
    b'"calls":[[1]],', b'"calls": [[{"a": 1}]]', b'"userDefinedContext":{"on_error":"null"},', b'"calls"', b'"a":', b'{"a":1}',
    b"]]}", b"[[", b"}]]}", b"[" * 900, b"[" * 5_000, b"]" * 900, b'{"a":' * 1_200, b"[[]," * 50,
    b'"\\ud800"', b"\\ud83d\\ude00", b"\\u0000", b"\\u0061", b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\x80", b"\xf0\x9f", b"\xef\xbb\xbf", "ä".encode(),
]  # fmt: skip

TOKEN = re.compile(rb'"[^"]*"|[^\s,:\[\]{}"]+')
WRAPPERS = [
    (b"[", b"]"),
    (b'"', b'"'),
    (b'{"a":', b"}"),
    (b"", b",0"),
    (b"[", b",1]"),
    (b"[]", b""),
    (b"", b"e5"),
    (b"-", b""),
]

PATHS = ["/"] * 20 + ["/predict", "/predict_row", "/predict_proba", "/v1/predict/", "/nothing", "/%2e%2e/main", "/a b", "//", "/%00", "/ä"]  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "content-encoding", "accept", "x-cloud-trace-context", "traceparent", "expect", "x-odd"]),
    st.sampled_from(["application/json", "text/html", "multipart/form-data; boundary=x", "gzip", "00-zz", "1/2;o=1", b"\xff", "", "a" * 5_000, "; charset=utf-16"]),
    max_size=3,
)  # fmt: skip


@dataclass(frozen=True)
class RawRequest:
    """A request as it is sent; `chunk_size` is in bytes, and 0 means that it has a Content-Length instead."""

    body: bytes
    path: str
    headers: dict[str, str | bytes]
    method: str = "POST"
    chunk_size: int = 0


def value(column: Column, plain: bool) -> st.SearchStrategy[Any]:
    """Mostly values of the column's type, sometimes NULL, and seldom a number if `plain`, else anything."""
    valid = _structured(column.detail) if column.mlflow_type in ("array", "object") else JSON_VALUES[column.mlflow_type]
    if plain and column.mlflow_type == "double":
        valid = PLAIN
    unusual = NUMBER if plain else ANYTHING
    return st.integers(0, 29).flatmap(lambda dice: valid if dice < 26 else st.none() if dice < 29 else unusual)


def _structured(detail: Any) -> st.SearchStrategy[Any]:
    if detail["type"] == "array":
        return st.lists(_structured(detail["items"]), max_size=4)
    if detail["type"] == "object":
        return st.fixed_dictionaries({name: _structured(inner) for name, inner in detail["properties"].items()})
    return JSON_VALUES[detail["type"]]


@st.composite
def well_formed(draw: st.DrawFn, signature: Signature) -> bytes:
    """A request body with the columns by position or by name, in any JSON notation."""
    plain = draw(st.integers(0, 2)) > 0  # as BigQuery writes it
    values = [value(column, plain) for column in signature.columns]
    rows = draw(st.lists(st.tuples(*values), min_size=int(plain), max_size=8))
    context: dict[str, str] = {}
    for key, values in {
        "on_null": ["null", "pass", "error"],
        "on_error": ["fail", "null", "json"],
        "on_nul": ["pass"],
    }.items():
        if draw(st.integers(0, 9)) < (1 if key == "on_nul" else 4):
            context[key] = draw(st.sampled_from(values))
    calls: list[list[Any]] = [list(row) for row in rows]
    if draw(st.booleans()):
        context["function"] = "predict_row"
        names = draw(st.permutations([column.name for column in signature.columns] + draw(st.sampled_from([[], ["other"]]))))  # fmt: skip
        by_name = [dict(zip([column.name for column in signature.columns], row, strict=True)) for row in rows]
        calls = [[{name: row.get(name, 1) for name in names}] for row in by_name]
    fields = {"requestId": "r", "caller": "c", "sessionUser": "s", "userDefinedContext": context}
    message = {**fields, "calls": calls} if plain or draw(st.booleans()) else {"calls": calls, **fields}
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (",", ":") if plain else (" ,\n", " : ")]))
    text = json.dumps(message, separators=separators, ensure_ascii=draw(st.booleans()))
    return text.encode("utf-8", "replace")


@st.composite
def mutated(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """A body with values wrapped or replaced, or bytes truncated, removed, repeated, moved or flipped."""
    body = draw(bodies)
    for _ in range(draw(st.integers(1, 3))):
        at, to, size = (draw(st.integers(0, most)) for most in (len(body), len(body), 12))
        tokens = [match.span() for match in TOKEN.finditer(body, max(0, body.find(b'"calls"') + 7))] or [(0, 0)]
        start, end = tokens[at % len(tokens)]
        before, after = draw(st.sampled_from(WRAPPERS))
        piece = draw(st.sampled_from(ODD_PIECES))
        mutations = [
            body[:start] + before + body[start:end] + after + body[end:],
            body[:start] + piece + body[end:],
            body[:at] + piece + body[at + size * (to % 2) :],
            body[:at],
            body[:at] + body[at + size :],
            body[:at] + body[to : to + size] + body[at:],
            body[: at + size] + body[at:],
            body[:at] + bytes(byte ^ (1 << size % 8) for byte in body[at : at + 1]) + body[at + 1 :],
        ]
        body = mutations[draw(st.sampled_from([0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7]))]
    return body


def requests(signature: Signature) -> st.SearchStrategy[RawRequest]:
    """Valid and invalid requests: any body, path, headers, method and chunk size."""
    good = well_formed(signature)
    bad = mutated(good)
    return st.builds(
        RawRequest,
        body=st.integers(0, 19).flatmap(
            lambda dice: good if dice < 8 else bad if dice < 19 else st.binary(max_size=50)
        ),
        path=st.sampled_from(PATHS),
        headers=st.just({}) | HEADERS,
        method=st.sampled_from(["POST"] * 24 + ["PUT", "DELETE", "PATCH", "OPTIONS"]),
        chunk_size=st.sampled_from([0, 0, 0, 0, 1, 7, 1_000]),
    )
