"""Numbers that go from text to a matrix at once are those that come out value by value, or are left to that way."""

import contextlib
import dataclasses
import itertools
import json
import math
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.contract import Request, read
from serving.decoding import from_arguments, from_objects, from_request
from serving.errors import BadRequest
from serving.json_numbers import parse_numbers
from serving.rows import Rows
from serving.signature import Column, Signature

TWO_NUMBERS = Signature((Column("a", "double", "FLOAT64"), Column("b", "double", "FLOAT64")), None)


def body_of(calls: Any, separators: tuple[str, str] = (", ", ": ")) -> bytes:
    return json.dumps({"calls": calls}, separators=separators, ensure_ascii=False).encode()


def careful(request: Request) -> Request:
    """The same request, its calls parsed value by value."""
    return dataclasses.replace(request, raw_calls=list(request.calls), numbers=None)


def assert_same(fast: Rows, slow: Rows) -> None:
    assert fast.errors().keys() == slow.errors().keys()
    for name in ("a", "b"):
        assert fast.nulls(name).tolist() == slow.nulls(name).tolist()
        np.testing.assert_array_equal(fast[name], slow[name])


STAND_INS = ["-0.0", "-7e87", "-3.12e-302", "-3.312e-302"]


@pytest.mark.parametrize("number", STAND_INS)
def test_numbers_that_stand_for_words_in_parsing_are_numbers_when_they_come_themselves(number: str) -> None:
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
def test_rows_of_another_shape_are_refused_however_many_numbers_they_hold(calls: str) -> None:
    request = read(f'{{"calls": {calls}}}'.encode())
    assert request.numbers is None
    with contextlib.suppress(BadRequest):
        assert from_request(TWO_NUMBERS, request).errors()


def arrays(values: int, depth: int) -> Iterator[list[Any]]:
    """Every array of so many numbers at most, and of arrays in it, of so many levels."""
    yield []
    if not values:
        return
    for rest in arrays(values - 1, depth):
        yield [1.5, *rest]
    if depth > 1:
        for taken in range(values + 1):
            for inner, rest in itertools.product(arrays(taken, depth - 1), arrays(values - max(taken, 1), depth)):
                yield [inner, *rest]


@pytest.mark.parametrize("separator", [",", ", ", " ,\n"])
def test_of_all_small_arrays_of_arrays_only_tables_are_taken(separator: str) -> None:
    tables, others = set(), 0
    for rows in arrays(4, 3):
        for width in (1, 2, 3):
            is_table = bool(rows) and all(
                type(row) is list and [type(value) for value in row] == [float] * width for row in rows
            )
            numbers = parse_numbers(json.dumps(rows, separators=(separator, ":")).encode())
            assert (numbers is not None and numbers.matrix.shape[1] == width) == is_table, rows
            tables |= {(len(rows), width)} if is_table else set()
            others += not is_table
    assert len(tables) > 5
    assert others > 1_000


@pytest.mark.parametrize("width", [1, 2, 255, 256, 257])
@pytest.mark.parametrize("more", [1, 255, 256, 257, 512])
@pytest.mark.parametrize("at", [0, 1, -1])
def test_rows_whose_numbers_only_add_up_are_no_table(width: int, more: int, at: int) -> None:
    rows = [[1.0] * width for _ in range(more + 2)]
    assert parse_numbers(orjson.dumps(rows)) is not None
    rows[at] += [1.0] * more
    for row in [row for row in rows if row is not rows[at]][:more]:
        row.pop()
    assert sum(map(len, rows)) == width * len(rows)
    assert parse_numbers(orjson.dumps(rows)) is None


@pytest.mark.parametrize(
    "calls",
    ['[[1, "NaN"5]]', "[[null5, 1]]", '[["NaN"]1, 2]]', "[[1, nul]]", '[[1, 2]], "x": [3]', "[[1, 2]]]", "[[null5, -0.0]]",
     "[[1null, -0.0]]", "[[-null, 1]]", "[[1e-null, 1]]", "[[nullnull, 1]]", '[[null"NaN", 1]]', '[["NaN""NaN", 1]]', '[["NaN"7, -7e87]]',
     '[["Infinity"1, -3.12e-302]]', "[[null.0, -0.0]]", "[[nulle5, -0.0]]"],
)  # fmt: skip
def test_what_is_no_json_stays_none_whatever_stands_for_its_words(calls: str) -> None:
    if calls.endswith(": [3]"):
        assert read(f'{{"calls": {calls}}}'.encode()).calls == [[1, 2]]
    else:
        with pytest.raises(BadRequest, match="is not JSON"):
            assert from_request(TWO_NUMBERS, read(f'{{"calls": {calls}}}'.encode()))


@given(
    st.lists(
        st.lists(
            st.floats(width=64) | st.integers(-(2**70), 2**70) | st.none() | st.text(max_size=2), min_size=2, max_size=2
        ),
        max_size=8,
    )
)
def test_the_fast_way_and_the_careful_way_agree_on_every_batch(calls: list[list[Any]]) -> None:
    words = {math.inf: "Infinity", -math.inf: "-Infinity"}
    sent = [["NaN" if value != value else words.get(value, value) for value in row] for row in calls]
    assert_same(from_request(TWO_NUMBERS, read(body_of(sent))), from_arguments(TWO_NUMBERS, sent))


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
@pytest.mark.parametrize("names", ["ab", "ba", ("b", "x", "a", "longer"), ("ä", "a", "b"), ("{", "a", "b"), ("null", "b", "a")])  # fmt: skip
def test_objects_of_numbers_are_read_at_once_by_name_in_any_order(
    names: tuple[str, ...], separators: tuple[str, str]
) -> None:
    calls = [[dict(zip(names, [row + 0.5, row, None, row][: len(names)], strict=True))] for row in range(3)]
    request = read(body_of(calls, separators))
    rows = from_objects(TWO_NUMBERS, request)
    assert rows.numbers is not None
    assert_same(rows, from_objects(TWO_NUMBERS, careful(request)))


@pytest.mark.parametrize(
    "row",
    [
        '{"b": 2, "a": 1}', '{"a": 1}', '{"a": 1, "b": 2, "c": 3}', '{"a": 1, "b": "2"}', '{"a":1,"b":2}', '{"a": 1, "\\u0062": 2}',
        '{"a": 1, "b": [2]}', '{"a": 1, "b": {"b": 2}}', "null", "[1, 2]", "1", "{}", '{"a": 1, "a": 2}', '{"a": 1, "b": "NaN"}',
        '{"A": 1, "b": 2}', '{"a": 1, "b": ", "}', '{"a": 1, "b": 2}, {"a": 3, "b": 4}', '{"a": 99999999999999999999, "b": true}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_row_that_is_written_otherwise_gives_what_it_gives_value_by_value(row: str, at: int) -> None:
    plain = ['[{"a": 1, "b": 2}]'] * 2
    body = f'{{"calls": [{", ".join([*plain[:at], f"[{row}]", *plain[at:]])}]}}'.encode()

    def result(request: Request) -> Any:
        try:
            rows = from_objects(TWO_NUMBERS, request)
        except BadRequest as refusal:
            return str(refusal)
        return rows.errors(), [(rows[name].tolist(), rows.nulls(name).tolist()) for name in "ab"]

    assert repr(result(read(body))) == repr(result(careful(read(body))))


def mutations(text: bytes, seed: int) -> bytes:
    """The text with a few of its pieces taken out, doubled, exchanged or replaced."""
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 3)):
        at, size = chance.randrange(len(text)), chance.randint(1, 6)
        to = chance.randrange(len(text))
        new = [b"", text[to : to + size], text[at : at + size] * 2, chance.choice([b'"', b"{", b"}", b"[", b",", b":", b" ", b"\\", b'"b": ', b"null"])]  # fmt: skip
        text = text[:at] + chance.choice(new) + text[at + size * chance.randint(0, 1) :]
    return text


@pytest.mark.parametrize("names", ["ab", ("column_1", "b", "NaN")])
def test_a_text_that_is_broken_anywhere_is_refused_or_read_as_json_reads_it(names: tuple[str, ...]) -> None:
    values = itertools.count(1)
    calls = [[{name: next(values) / 4 for name in names}] for _ in range(3)]
    text = json.dumps(calls).encode()
    taken = 0
    for seed in range(5_000):
        broken = mutations(text, seed)
        numbers = parse_numbers(broken)
        if numbers is not None:
            meant = orjson.loads(broken)
            rows = [list(row[0].values()) if numbers.names else row for row in meant]
            matrix = numbers.matrix.tolist()
            assert rows == [[None if value != value else value for value in row] for row in matrix], broken
            assert not numbers.names or all((*row[0],) == numbers.names for row in meant)
            taken += 1
    assert taken > 50


def test_the_matrix_lies_in_memory_as_a_dataframe_does_however_it_came_about() -> None:
    by_name = body_of([[{"b": 1.5, "a": 2, "x": 3}], [{"b": 4, "a": 5, "x": 6}], [{"b": 7, "a": 8, "x": 9}]])
    named = from_objects(TWO_NUMBERS, read(by_name))
    one, other = (from_request(TWO_NUMBERS, read(body_of([[value, 2]]))) for value in (1, 3))
    for rows in (named, named.take(np.array([0, 2])), one.concat([other]), named.concat([one])):
        assert rows.numbers is not None
        assert rows.array().flags.f_contiguous
        np.testing.assert_array_equal(rows.array(), np.array([rows[name] for name in "ab"]).T)
