"""A table gives exactly the values that decoding the parsed values gives, or there is none."""

import contextlib
import dataclasses
import itertools
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.contract import Request, read
from serving.decoding import from_arguments, from_objects, from_request
from serving.errors import BadRequest
from serving.json_table import Table, parse_table
from serving.rows import Rows
from serving.signature import Column, Signature
from tests.conftest import ROOT

TWO_NUMBERS = Signature((Column("a", "double", "FLOAT64"), Column("b", "double", "FLOAT64")), None)


pytestmark = pytest.mark.usefixtures("small_tables")


def body_of(calls: Any, separators: tuple[str, str] = (", ", ": ")) -> bytes:
    return json.dumps({"calls": calls}, separators=separators, ensure_ascii=False).encode()


def value_by_value(request: Request) -> Request:
    """Return the request without its table, so that it is decoded from parsed values."""
    return dataclasses.replace(request, raw_calls=list(request.calls), table=None)


def assert_same(rows: Rows, expected: Rows) -> None:
    assert rows.errors().keys() == expected.errors().keys()
    for name in ("a", "b"):
        assert rows.nulls(name).tolist() == expected.nulls(name).tolist()
        np.testing.assert_array_equal(rows[name], expected[name])


@pytest.mark.parametrize("number", ["7e9", "-8e9", "-6e9", "-5e87"])
def test_replacement_sent_as_number(number: str) -> None:
    """A number that replaces a word during parsing is itself when the request contains it."""
    body = f'{{"calls": [[1, {number}], [null, "NaN"], ["Infinity", "-Infinity"]]}}'.encode()
    rows = from_request(TWO_NUMBERS, read(body))
    np.testing.assert_array_equal(rows["a"], [1.0, math.nan, math.inf])
    np.testing.assert_array_equal(rows["b"], [float(number), math.nan, -math.inf])
    assert rows.nulls("a").tolist() == [False, True, False]
    assert rows.nulls("b").tolist() == [False, False, False]


@pytest.mark.parametrize(
    "calls",
    ['[[1, 2], [3]]', '[[1, 2, 3], [4]]', '[[1, [2, 3]], [[], 4]]', '[[[1, 2]], [[3, 4]]]', '[[1, 2], 3, [4]]', '[1, 2]', '[[[1], 2]]',
     '[[1, 2, [3]], 4]', '[[1, 2], [3, [4]]]', '[[[1, 2], 3], 4]', '[1, 2, [[3, 4]]]', '[[1, 2], [3, 4], 5, [6]]', '[[1], [2], [3, 4, [5]], 6]'],
)  # fmt: skip
def test_wrong_shape(calls: str) -> None:
    """Rows of any other shape are never taken for a matrix, whatever their numbers add up to."""
    request = read(f'{{"calls": {calls}}}'.encode())
    assert request.table is None
    with contextlib.suppress(BadRequest):
        assert from_request(TWO_NUMBERS, request).errors()


def arrays(values: int, depth: int) -> Iterator[list[Any]]:
    """Yield every nested array with at most `values` numbers and `depth` levels."""
    yield []
    if not values:
        return
    for rest in arrays(values - 1, depth):
        yield [1.5, *rest]
    if depth > 1:
        for inside in range(values + 1):
            for inner, rest in itertools.product(arrays(inside, depth - 1), arrays(values - max(inside, 1), depth)):
                yield [inner, *rest]


@pytest.mark.parametrize("separator", [",", ", ", " ,\n"])
def test_all_small_arrays(separator: str) -> None:
    """Of all small nested arrays exactly the tables are parsed."""
    tables, others = set(), 0
    for rows in arrays(4, 3):
        for width in (1, 2, 3):
            is_table = bool(rows) and all(
                type(row) is list and [type(value) for value in row] == [float] * width for row in rows
            )
            table = parse_table(json.dumps(rows, separators=(separator, ":")).encode())
            assert (table is not None and len(table.columns) == width) == is_table, rows
            tables |= {(len(rows), width)} if is_table else set()
            others += not is_table
    assert len(tables) > 5
    assert others > 1_000


@pytest.mark.parametrize("width", [1, 2, 255, 256, 257])
@pytest.mark.parametrize("more", [1, 255, 256, 257, 512])
@pytest.mark.parametrize("at", [0, 1, -1])
def test_unequal_rows_of_the_right_total(width: int, more: int, at: int) -> None:
    """Rows of different lengths are no table, even if their numbers would fill one."""
    rows = [[1.0] * width for _ in range(more + 2)]
    assert parse_table(orjson.dumps(rows)) is not None
    rows[at] += [1.0] * more
    for row in [row for row in rows if row is not rows[at]][:more]:
        row.pop()
    assert sum(map(len, rows)) == width * len(rows)
    assert parse_table(orjson.dumps(rows)) is None


@pytest.mark.parametrize(
    "calls",
    ['[[1, "NaN"5]]', "[[null5, 1]]", '[["NaN"]1, 2]]', "[[1, nul]]", "[[1, 2]]]", "[[null5, -0.0]]",
     "[[1null, -0.0]]", "[[-null, 1]]", "[[1e-null, 1]]", "[[nullnull, 1]]", '[[null"NaN", 1]]', '[["NaN""NaN", 1]]', '[["NaN"7, -7e87]]',
     '[["Infinity"1, -3.12e-302]]', "[[null.0, -0.0]]", "[[nulle5, -0.0]]"],
)  # fmt: skip
def test_invalid_json(calls: str) -> None:
    """Text that isn't JSON stays invalid when its words are replaced by numbers."""
    with pytest.raises(BadRequest, match="is not JSON"):
        from_request(TWO_NUMBERS, read(f'{{"calls": {calls}}}'.encode()))


@given(
    st.lists(
        st.lists(
            st.floats(width=64) | st.integers(-(2**70), 2**70) | st.none() | st.text(max_size=2), min_size=2, max_size=2
        ),
        max_size=8,
    )
)
def test_same_as_value_by_value(calls: list[list[Any]]) -> None:
    """Parsing at once gives what decoding value by value gives."""
    words = {math.inf: "Infinity", -math.inf: "-Infinity"}
    sent = [["NaN" if value != value else words.get(value, value) for value in row] for row in calls]
    assert_same(from_request(TWO_NUMBERS, read(body_of(sent))), from_arguments(TWO_NUMBERS, sent))


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
@pytest.mark.parametrize("names", ["ab", "ba", ("b", "x", "a", "longer"), ("ä", "a", "b"), ("{", "a", "b"), ("null", "b", "a")])  # fmt: skip
def test_objects(names: tuple[str, ...], separators: tuple[str, str]) -> None:
    """Objects of numbers are parsed at once, by name in any order."""
    calls = [[dict(zip(names, [row + 0.5, row, None, row][: len(names)], strict=True))] for row in range(3)]
    request = read(body_of(calls, separators))
    rows = from_objects(TWO_NUMBERS, request)
    assert rows.numbers is not None
    assert_same(rows, from_objects(TWO_NUMBERS, value_by_value(request)))


@pytest.mark.parametrize(
    "row",
    [
        '{"b": 2, "a": 1}', '{"a": 1}', '{"a": 1, "b": 2, "c": 3}', '{"a": 1, "b": "2"}', '{"a":1,"b":2}', '{"a": 1, "\\u0062": 2}',
        '{"a": 1, "b": [2]}', '{"a": 1, "b": {"b": 2}}', "null", "[1, 2]", "1", "{}", '{"a": 1, "a": 2}', '{"a": 1, "b": "NaN"}',
        '{"A": 1, "b": 2}', '{"a": 1, "b": ", "}', '{"a": 1, "b": 2}, {"a": 3, "b": 4}', '{"a": 99999999999999999999, "b": true}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("at", [0, 1, 2])
def test_one_row_written_differently(row: str, at: int) -> None:
    """A row written differently from the others gives what it gives value by value."""
    plain = ['[{"a": 1, "b": 2}]'] * 2
    body = f'{{"calls": [{", ".join([*plain[:at], f"[{row}]", *plain[at:]])}]}}'.encode()

    def result(request: Request) -> Any:
        try:
            rows = from_objects(TWO_NUMBERS, request)
        except BadRequest as error:
            return str(error)
        return rows.errors(), [(rows[name].tolist(), rows.nulls(name).tolist()) for name in "ab"]

    assert repr(result(read(body))) == repr(result(value_by_value(read(body))))


def mutate(text: bytes, seed: int) -> bytes:
    """Return the text with up to three pieces removed, doubled, moved or replaced."""
    random = Random(seed)
    for _ in range(random.randint(1, 3)):
        at, size = random.randrange(len(text)), random.randint(1, 6)
        to = random.randrange(len(text))
        new = [b"", text[to : to + size], text[at : at + size] * 2, random.choice([b'"', b"{", b"}", b"[", b",", b":", b" ", b"\\", b'"b": ', b"null"])]  # fmt: skip
        text = text[:at] + random.choice(new) + text[at + size * random.randint(0, 1) :]
    return text


def scalars(table: Table) -> list[list[Any]]:
    """Return the rows of a table as JSON scalars."""
    rows: list[list[Any]] = table.columns.T.tolist()
    for row, column in itertools.product(range(len(rows)), range(len(table.columns))):
        if table.booleans is not None and table.booleans[column, row]:
            rows[row][column] = rows[row][column] == 1
        elif table.nulls is not None and table.nulls[column, row]:
            rows[row][column] = None
        elif math.isnan(rows[row][column]):
            rows[row][column] = table.texts[column][row]
    return rows


@pytest.mark.parametrize(
    "calls",
    [
        [[dict.fromkeys(("a", "b"), value / 4)] for value in range(3)],
        [[dict.fromkeys(("column_1", "b", "NaN"), value / 4)] for value in range(3)],
        [[{"a": value / 4, "b": "{x}", "c": None}] for value in range(3)],
        [[value / 4, "Bern, [1]", True] for value in range(3)],
        [[None, "", 1.5], ["NaN", "x", None], [False, "é", -2]],
        [['"', "\\", 1.5], ['\\"', "x", None]],
    ],
)
def test_mutated_text(calls: list[list[Any]]) -> None:
    """A mutated text is left alone or parsed exactly as a JSON parser parses it."""
    text = json.dumps(calls, ensure_ascii=False).encode()
    parsed = 0
    for seed in range(5_000):
        mutated = mutate(text, seed)
        table = parse_table(mutated)
        if table is not None:
            expected = orjson.loads(mutated)
            rows = [list(row[0].values()) if table.names else row for row in expected]
            assert repr(scalars(table)) == repr(as_floats(rows)), mutated
            assert not table.names or all((*row[0],) == table.names for row in expected)
            parsed += 1
    assert parsed > 50


def as_floats(rows: list[list[Any]]) -> list[list[Any]]:
    """Return rows with floats in place of integers."""
    return [[float(value) if type(value) is int else value for value in row] for row in rows]


SCALARS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1) | st.none() | st.booleans() | st.text()  # fmt: skip


@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(SCALARS, min_size=width, max_size=width), min_size=1)))
def test_same_as_a_json_parser(rows: list[list[Any]]) -> None:
    """A table has exactly the scalars of the JSON."""
    for text in (orjson.dumps(rows), json.dumps(rows).encode()):
        table = parse_table(text)
        assert table is not None
        assert repr(scalars(table)) == repr(as_floats(rows))


def test_memory_layout() -> None:
    """The matrix has the memory layout of a DataFrame, however it was made."""
    by_name = body_of([[{"b": 1.5, "a": 2, "x": 3}], [{"b": 4, "a": 5, "x": 6}], [{"b": 7, "a": 8, "x": 9}]])
    named = from_objects(TWO_NUMBERS, read(by_name))
    one, other = (from_request(TWO_NUMBERS, read(body_of([[value, 2]]))) for value in (1, 3))
    for rows in (named, named.take(np.array([0, 2])), one.concat([other]), named.concat([one])):
        assert rows.numbers is not None
        assert rows.array().flags.f_contiguous
        np.testing.assert_array_equal(rows.array(), np.array([rows[name] for name in "ab"]).T)


WITHOUT_SIMDJSON = """
import json, sys
sys.modules["simdjson"] = None
import main
from serving.contract import read
request = read(b'{"calls": [[1, null], ["NaN", 2.5]]}')
print(json.dumps({"message": [request.table, list(request.calls)]}))
"""


def test_without_simdjson() -> None:
    """Where simdjson isn't installed, the log says so once and requests are decoded value by value."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_SIMDJSON], cwd=ROOT, capture_output=True, text=True, check=True, timeout=600
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["severity"] for line in lines if "pysimdjson" in line["message"]] == ["INFO"]
    assert lines[-1]["message"] == [None, [[1, None], ["NaN", 2.5]]]
