"""NULL rows, bad rows and rows the model chokes on: who gets an answer, who gets NULL, and what the query is told."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pytest
from starlette.testclient import TestClient

from serving.contract import Request, read
from serving.decoding import decode_column
from serving.errors import BadRequest
from serving.functions import SqlFunction
from serving.model import Model, ModelInfo
from serving.options import Options
from serving.signature import Column, Output, Signature
from tests.answers import answer
from tests.assertions import assert_error

QUARANTINE = Options(on_error="null")


class Fussy:
    """A model of one double column that raises when a negative value is among its rows, and counts its calls."""

    def __init__(self, *, kind: type[Exception] = ValueError) -> None:
        self.calls: list[int] = []
        self._kind = kind
        column = Column("a", "double", "FLOAT64")
        signature = Signature((column,), (Output(None, "FLOAT64"),))
        self.model = Model(ModelInfo("test"), signature, self.predict)

    def predict(self, frame: Any, params: Any) -> Any:
        self.calls.append(len(frame))
        if (frame["a"] < 0).any():
            raise self._kind("negative")
        return frame["a"] * 2


def function(score: Callable[..., Any] = lambda model, rows, options: model.predict(rows)) -> SqlFunction:
    return SqlFunction("f", "", score, "columns", lambda *_: (Output(None, "FLOAT64"),), (), lambda _: True)


def rows(*values: Any) -> Request:
    return read(orjson.dumps({"calls": [[value] for value in values]}))


def test_a_clean_batch_is_scored_in_one_call() -> None:
    fussy = Fussy()
    assert answer(fussy.model, function(), Options(), rows(1, 2, 3)) == [2, 4, 6]
    assert fussy.calls == [3]


def test_only_complete_rows_reach_the_model_and_the_others_are_null() -> None:
    fussy = Fussy()
    assert answer(fussy.model, function(), Options(), rows(1, None, 3)) == [2, None, 6]
    assert fussy.calls == [2]


def test_a_batch_of_nulls_never_reaches_the_model() -> None:
    fussy = Fussy()
    assert answer(fussy.model, function(), Options(), rows(None, None)) == [None, None]
    assert fussy.calls == []


def test_pass_hands_nulls_to_the_model_as_missing() -> None:
    assert answer(Fussy().model, function(), Options(on_null="pass"), rows(1, None)) == [2, "NaN"]


def test_a_null_is_an_error_naming_row_and_column_under_error() -> None:
    with pytest.raises(BadRequest, match="Row 1, column a is NULL"):
        answer(Fussy().model, function(), Options(on_null="error"), rows(1, None))
    assert answer(Fussy().model, function(), Options("error", "null"), rows(1, None)) == [2, None]


def test_not_a_number_is_no_null() -> None:
    assert answer(Fussy().model, function(), Options(), rows("NaN", "Infinity")) == ["NaN", "Infinity"]


def test_a_bad_value_is_null_for_its_row_alone_in_quarantine() -> None:
    fussy = Fussy()
    assert answer(fussy.model, function(), QUARANTINE, rows(1, "x", 3)) == [2, None, 6]
    assert fussy.calls == [2]


@pytest.mark.parametrize(("on_null", "missing"), [("null", None), ("error", None), ("pass", "NaN")])
def test_a_bad_value_is_null_for_its_row_alone_whatever_becomes_of_null(on_null: str, missing: Any) -> None:
    answers = answer(Fussy().model, function(), Options(on_null, "null"), rows(1, "x", None, 4))
    assert answers == [2, None, missing, 8]


@pytest.mark.parametrize("bad", [0, 1, 499, 998, 999])
def test_a_row_that_the_model_cannot_score_is_named_in_about_log2_calls(bad: int) -> None:
    fussy = Fussy()
    values = [float(at) for at in range(1000)]
    values[bad] = -1.0
    with pytest.raises(BadRequest, match=f"Row {bad}: the model could not score it: ValueError: negative"):
        answer(fussy.model, function(), Options(), rows(*values))
    assert len(fussy.calls) <= 2 + math.ceil(math.log2(1000))


@pytest.mark.parametrize("count", [1, 2, 5, 20])
def test_quarantine_costs_about_k_log2_n_calls_and_leaves_the_good_rows_their_answers(count: int) -> None:
    fussy, n = Fussy(), 1024
    bad = set(np.random.default_rng(count).choice(n, count, replace=False).tolist())
    values = [-1.0 if at in bad else float(at) for at in range(n)]
    expected = [None if at in bad else at * 2 for at in range(n)]
    assert answer(fussy.model, function(), QUARANTINE, rows(*values)) == expected
    assert len(fussy.calls) <= 2 + count * (math.log2(n) + 2)
    assert fussy.calls[-1] == n - count  # the good rows' answers come from one call of their own


def test_quarantine_of_a_whole_batch_costs_no_more_than_a_few_calls_a_row() -> None:
    fussy = Fussy()
    assert answer(fussy.model, function(), QUARANTINE, rows(*[-1.0] * 300)) == [None] * 300
    assert len(fussy.calls) <= 3 * 300


def test_row_numbers_are_those_of_the_request_when_null_rows_were_left_out() -> None:
    with pytest.raises(BadRequest, match="Row 3:"):
        answer(Fussy().model, function(), Options(), rows(None, 1, None, -1))


def test_a_failure_that_does_not_repeat_costs_nobody_an_answer() -> None:
    fussy = Fussy()
    failures = iter([True])

    def flaky(model: Model, batch: Any, options: Options) -> Any:
        if next(failures, False):
            raise ValueError("once")
        return model.predict(batch)

    assert answer(fussy.model, function(flaky), Options(), rows(1, 2)) == [2, 4]


def test_rows_that_fail_only_together_are_an_error_naming_its_type() -> None:
    def together(model: Model, batch: Any, options: Options) -> Any:
        if len(batch) > 1:
            raise ValueError("too many")
        return model.predict(batch)

    with pytest.raises(BadRequest, match="these 2 rows together: ValueError: too many"):
        answer(Fussy().model, function(together), Options(), rows(1, 2))


def test_a_lack_of_memory_is_not_the_data_s_fault() -> None:
    with pytest.raises(MemoryError):
        answer(Fussy(kind=MemoryError).model, function(), QUARANTINE, rows(1, -1))


def test_what_the_model_raises_reaches_the_caller_without_a_trace(
    app: Callable[..., TestClient], saved: Callable[[str], str]
) -> None:
    client = app(saved("python_model"))
    calls = [[1.0, 2, "fine"], [1.0, 2, "boom"]]
    assert_error(client.post("/", json={"calls": calls}), 400, "Row 1: ", "ValueError: no price for boom")
    context = {"on_error": "null"}
    replies = client.post("/", json={"calls": calls, "userDefinedContext": context}).json()["replies"]
    assert replies == ["fine: 3.000", None]


def test_a_column_s_faults_do_not_depend_on_the_order_of_its_rows() -> None:
    column = Column("a", "double", "FLOAT64")
    values = [1, "x", None, "2.5", True]
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]):
        faults = decode_column(column, [values[at] for at in order]).errors
        assert {order[at] for at in faults} == {1, 4}
