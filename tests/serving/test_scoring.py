"""NULLs, bad values and rows that the model can't score: which rows get a reply, and what the others cause."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from serving.errors import BadRequest, ModelBlocked
from serving.functions import SqlFunction
from serving.model import Model
from serving.options import Options
from tests.answers import answer
from tests.assertions import assert_error
from tests.serving.doubling import Doubling, request, sql_function

ISOLATE, REASONS = Options(on_error="null"), Options(on_error="json")


def replies(
    doubling: Doubling, *values: Any, options: Options | None = None, function: SqlFunction | None = None
) -> list[Any]:
    """Return the replies to a request with one row per value."""
    return answer(doubling.model, function or sql_function(), options or Options(), request(values))


def test_good_rows() -> None:
    """All rows are scored in one call."""
    doubling = Doubling()
    assert replies(doubling, 1, 2, 3) == [2, 4, 6]
    assert doubling.calls == [3]


def test_null() -> None:
    """By default a row with NULL gets NULL, and only the others reach the model."""
    doubling = Doubling()
    assert replies(doubling, 1, None, 3) == [2, None, 6]
    assert doubling.calls == [2]


def test_only_nulls() -> None:
    """Rows that all have a NULL never reach the model."""
    doubling = Doubling()
    assert replies(doubling, None, None) == [None, None]
    assert doubling.calls == []


def test_null_passed() -> None:
    """Under on_null "pass" the model gets NULL as a missing value."""
    assert replies(Doubling(), 1, None, options=Options(on_null="pass")) == [2, "NaN"]


def test_null_as_error() -> None:
    """Under on_null "error" a NULL is an error naming row and column, or NULL under on_error "null"."""
    with pytest.raises(BadRequest, match="Row 1, column a is NULL"):
        replies(Doubling(), 1, None, options=Options(on_null="error"))
    assert replies(Doubling(), 1, None, options=Options("error", "null")) == [2, None]


def test_nan_is_not_null() -> None:
    """NaN and infinities reach the model."""
    assert replies(Doubling(), "NaN", "Infinity") == ["NaN", "Infinity"]


def test_bad_value_isolated() -> None:
    """Under on_error "null" a bad value gets NULL for its row alone."""
    doubling = Doubling()
    assert replies(doubling, 1, "x", 3, options=ISOLATE) == [2, None, 6]
    assert doubling.calls == [2]


@pytest.mark.parametrize(("on_null", "missing"), [("null", None), ("error", None), ("pass", "NaN")])
def test_bad_value_and_null(on_null: str, missing: Any) -> None:
    """A bad value is isolated under every policy for NULL."""
    assert replies(Doubling(), 1, "x", None, 4, options=Options(on_null, "null")) == [2, None, missing, 8]


@pytest.mark.parametrize("bad", [0, 1, 499, 998, 999])
def test_bad_row_named(bad: int) -> None:
    """A row that the model can't score is an error naming it, found in about log2(n) calls."""
    doubling = Doubling()
    values = [float(row) for row in range(1000)]
    values[bad] = -1.0
    with pytest.raises(BadRequest, match=f"Row {bad}: the model could not score it: ValueError: negative"):
        replies(doubling, *values)
    assert len(doubling.calls) <= 2 + math.ceil(math.log2(1000))


@pytest.mark.parametrize("count", [1, 2, 5, 20])
def test_bad_rows_isolated(count: int) -> None:
    """Isolating k bad rows takes about k log2(n) calls, and the good rows get the replies of one call."""
    doubling, n = Doubling(), 1024
    bad = set(np.random.default_rng(count).choice(n, count, replace=False).tolist())
    values = [-1.0 if row in bad else float(row) for row in range(n)]
    expected = [None if row in bad else row * 2 for row in range(n)]
    assert replies(doubling, *values, options=ISOLATE) == expected
    assert len(doubling.calls) <= 2 + count * (math.log2(n) + 2)
    assert doubling.calls[-1] == n - count


def test_only_bad_rows() -> None:
    """Isolating a batch of bad rows takes at most three calls per row."""
    doubling = Doubling()
    assert replies(doubling, *[-1.0] * 300, options=ISOLATE) == [None] * 300
    assert len(doubling.calls) <= 3 * 300


def test_bad_row_after_nulls() -> None:
    """An error names the row of the request, although rows with NULL didn't reach the model."""
    with pytest.raises(BadRequest, match="Row 3:"):
        replies(Doubling(), None, 1, None, -1)


def test_failure_that_does_not_repeat() -> None:
    """If the model fails once and then scores every row, all rows get their replies."""
    failures = iter([True])

    def flaky(model: Model, rows: Any, options: Options) -> Any:
        if next(failures, False):
            raise ValueError("once")
        return model.predict(rows)

    assert replies(Doubling(), 1, 2, function=sql_function(flaky)) == [2, 4]


def test_rows_that_fail_together() -> None:
    """Rows that fail only together are an error with what the model raised."""

    def fail_together(model: Model, rows: Any, options: Options) -> Any:
        if len(rows) > 1:
            raise ValueError("too many")
        return model.predict(rows)

    with pytest.raises(BadRequest, match="these 2 rows together: ValueError: too many"):
        replies(Doubling(), 1, 2, function=sql_function(fail_together))


def test_reasons() -> None:
    """Under on_error "json" each row has a value or the reason why it has none, without the number of a row."""
    found = replies(Doubling(), 1, None, "x", -1, 5, options=REASONS)
    assert found == [
        {"value": 2.0, "error": None},
        {"value": None, "error": "Column a is NULL; the model needs FLOAT64."},
        {
            "value": None,
            "error": 'Column a: "x" is not FLOAT64 '
            '(expected a number, a number as a string, "NaN", "Infinity" or "-Infinity").',
        },
        {"value": None, "error": "The model could not score it: ValueError: negative"},
        {"value": 10.0, "error": None},
    ]


def test_reasons_under_other_policies() -> None:
    """NULL is passed and scored under on_null "pass", and a reason like any other under "error"."""
    assert replies(Doubling(), None, options=Options("pass", "json")) == [{"value": "NaN", "error": None}]
    reason = "Column a is NULL; the model needs FLOAT64."
    assert replies(Doubling(), None, options=Options("error", "json")) == [{"value": None, "error": reason}]


def test_reasons_of_many_rows() -> None:
    """Reasons cost the good rows nothing: they get the replies of one call, like under on_error "null"."""
    doubling = Doubling()
    found = replies(doubling, *[-1.0 if row % 100 == 7 else float(row) for row in range(1000)], options=REASONS)
    assert [row for row, reply in enumerate(found) if reply["error"]] == list(range(7, 1000, 100))
    assert doubling.calls[-1] == 990


def test_out_of_memory() -> None:
    """Lack of memory is never taken for a bad row; the error names the rows and what to do."""
    advice = r"on rows 1 to 2: deploy it with more --memory, or .* smaller max_batching_rows\.$"
    with pytest.raises(ModelBlocked, match=advice) as raised:
        replies(Doubling(MemoryError), None, 1, -1, options=ISOLATE)
    assert raised.value.status == 424
    with pytest.raises(ModelBlocked, match=r"on row 0: deploy it with more --memory\.$"):
        replies(Doubling(MemoryError), -1, options=ISOLATE)


def test_error_of_model(app: Callable[..., TestClient], saved: Callable[[str], str]) -> None:
    """What the model raises reaches the caller without a stack trace, and only its row is isolated."""
    client = app(saved("python_model"))
    calls = [[1.0, 2, "fine"], [1.0, 2, "boom"]]
    assert_error(client.post("/", json={"calls": calls}), 400, "Row 1: ", "ValueError: no price for boom")
    body = {"calls": calls, "userDefinedContext": {"on_error": "null"}}
    assert client.post("/", json=body).json()["replies"] == ["fine: 3.000", None]
