"""Replies with reasons: what is written piece by piece is what a JSON library writes for the plain objects."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from serving import contract, encoding
from serving.errors import ModelUnusable, without_row
from serving.types import Replies

FLOATS = st.lists(st.floats(allow_infinity=False), min_size=1, max_size=30).map(np.array)
SCALARS = st.lists(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e300, 1e300), max_size=30)
ANYTHING = st.lists(st.text() | st.none() | st.dictionaries(st.text(), st.text()) | st.floats(0, 1), max_size=30)


@given(FLOATS | SCALARS | ANYTHING, st.dictionaries(st.integers(0, 29), st.text(min_size=1, max_size=9)), st.data())
def test_written_replies(replies: Replies, errors: dict[int, str], data: st.DataObject) -> None:
    """Every value and every reason arrives in its row, whatever the values are and wherever pieces begin."""
    errors = {row: text for row, text in errors.items() if row < len(replies)}
    for row in errors:
        replies[row] = np.nan if isinstance(replies, np.ndarray) else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contract, "ROWS_PER_PIECE", data.draw(st.integers(1, 40)))
        written = json.loads(contract.write(replies, errors))["replies"]
    assert written == [
        {"value": value, "error": errors.get(row)} for row, value in enumerate(encoding.as_list(replies))
    ]


def test_long_reasons() -> None:
    """A reason is at most 1,000 characters, and has no lone surrogate."""
    (reply,) = json.loads(contract.write([None], {0: "\ud800" + "x" * 5_000}))["replies"]
    assert len(reply["error"]) == 1_000
    assert reply["error"].startswith("?x")


def test_value_without_json() -> None:
    """A value that can't be written is the model's fault, as without reasons."""
    with pytest.raises(ModelUnusable, match="answer to row 1 cannot be written as JSON"):
        contract.write(["a", object()], {})


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Row 3, column a is NULL.", "Column a is NULL."),
        ("Row 17: the model could not score it.", "The model could not score it."),
        ('Row 0 has no "a".', 'The row has no "a".'),
        ("Rows are wrong.", "Rows are wrong."),
    ],
)
def test_message_without_row(message: str, expected: str) -> None:
    """A reason stands beside its row, so it doesn't number it."""
    assert without_row(message) == expected


GOOD = [0.5, 1.5, -0.5, 2.5]


@pytest.mark.parametrize(
    ("model", "function", "context"),
    [
        ("tree_regressor", "predict", {}),
        ("classifier", "predict", {}),
        ("classifier", "predict_proba", {}),
        ("classifier", "predict_proba", {"class": "yes"}),
        ("two_outputs", "predict", {}),
        ("tree_regressor", "predict_row", {}),
        ("tree_regressor", "model_info", {}),
    ],
)
def test_every_function(
    model: str, function: str, context: dict[str, str], app: Callable[..., TestClient], saved: Callable[[str], str]
) -> None:
    """Every function replies with its own values under on_error "json", and with a reason for a NULL."""
    client = app(saved(model))

    def replies(calls: list[list[Any]], **more: str) -> list[Any]:
        body = {"calls": calls, "userDefinedContext": {"function": function, **context, **more}}
        response = client.post("/", json=body)
        assert response.status_code == 200, response.text
        return list(response.json()["replies"])

    if function == "model_info":
        calls: list[list[Any]] = [[], []]
    elif function == "predict_row":
        calls = [[dict(zip("abcd", GOOD, strict=True))], [dict(zip("abcd", [None, *GOOD[1:]], strict=True))]]
    else:
        calls = [GOOD, [None, *GOOD[1:]]]
    plain = replies(calls)
    explained = replies(calls, on_error="json")
    assert [reply["value"] for reply in explained] == plain
    reason = None if function == "model_info" else "Column a is NULL; the model needs FLOAT64."
    assert [reply["error"] for reply in explained] == [None, reason]


def test_reason_of_missing_key(app: Callable[..., TestClient], saved: Callable[[str], str]) -> None:
    """A row of another table is explained like any other."""
    context = {"function": "predict_row", "on_error": "json"}
    response = app(saved("tree_regressor")).post("/", json={"calls": [[{"a": 1}]], "userDefinedContext": context})
    (reply,) = response.json()["replies"]
    assert reply == {"value": None, "error": 'The row has no "b", only ["a"].'}
