"""Random rows through the contract, compared with the predictions of the model's own library bit for bit."""

import base64
from collections.abc import Callable
from typing import Any

import mlflow
import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_loader import load
from serving import contract
from serving.functions import find
from serving.model import Model
from serving.options import Options
from serving.scoring import prepare, score_together
from serving.telemetry import Timer
from tests.answers import answer

# Values of a SQL column by MLflow type, apart from NULL.
VALUES = {
    "double": st.floats(-1e6, 1e6) | st.integers(-1000, 1000).map(float),
    "long": st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 50),
    "boolean": st.booleans(),
    "string": st.sampled_from(["Bern", "Zürich", "Genf", "S", "M", "L"])
    | st.text(max_size=5).filter(lambda t: t != "boom"),
    "datetime": st.datetimes(pd.Timestamp("1900-01-01"), pd.Timestamp("2200-01-01")),
}
MODELS = [
    "tree_regressor",
    "classifier",
    "categories",
    "times",
    "python_model",
    "boosted",
    "tensor",
    "optional_columns",
    "wide",
]


def sent(value: Any) -> Any:
    """Return the JSON that BigQuery sends for a value; this follows the contract and shares no code with serving/."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53:
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, pd.Timestamp):
        text = value.isoformat(timespec="microseconds" if value.microsecond else "seconds")
        return f"{text.removesuffix('000') if value.microsecond else text}Z"
    return value


@st.composite
def batches(draw: Any, model: Model) -> list[list[Any]]:
    """Draw up to 20 rows of the model's types, with NULLs."""
    columns = [VALUES[column.mlflow_type] | st.none() for column in model.signature.columns[:6]]
    rows = draw(st.lists(st.tuples(*columns), max_size=20))
    rest = [0.5] * (len(model.signature.columns) - len(columns))
    return [[pd.Timestamp(value) if hasattr(value, "year") else value for value in row] + rest for row in rows]


def frame(model: Model, rows: list[list[Any]]) -> Any:
    """Return the rows as one passes them to the model in a notebook."""
    columns = {}
    for position, column in enumerate(model.signature.columns):
        nullable = {"long": "Int64", "boolean": "boolean", "double": "float64"}
        plain = {"long": "int64", "boolean": "bool", "double": "float64", "string": "str", "datetime": "datetime64[ns]"}
        dtype = plain[column.mlflow_type] if column.required else nullable[column.mlflow_type]
        columns[column.name] = pd.Series([row[position] for row in rows], dtype=dtype)
    return pd.DataFrame(columns).to_numpy() if model.signature.tensors else pd.DataFrame(columns)


def replies(model: Model, rows: list[list[Any]]) -> list[Any]:
    body = orjson.dumps({"calls": [[sent(value) for value in row] for row in rows]})
    return orjson.loads(contract.write(answer(model, find({}, "/"), Options(), contract.read(body))))["replies"]


@pytest.fixture(scope="module", params=MODELS)
def pair(request: pytest.FixtureRequest, saved: Callable[[str], str]) -> tuple[Model, Callable[[Any], Any]]:
    """Return a model as the function loads it, and its predict method as MLflow loads it."""
    folder = saved(request.param)
    model = load(folder)
    if model.info.flavor == "sklearn":
        return model, mlflow.sklearn.load_model(folder).predict
    return model, mlflow.pyfunc.load_model(folder).predict


@settings(max_examples=40)
@given(data=st.data())
def test_same_as_notebook(data: st.DataObject, pair: Any) -> None:
    """Replies are bit for bit the predictions for a DataFrame of the same values."""
    model, predict = pair
    rows = data.draw(batches(model))
    required = [column.required for column in model.signature.columns]
    complete = [
        row for row in rows if not any(value is None for value, needed in zip(row, required, strict=True) if needed)
    ]
    expected = iter(np.asarray(predict(frame(model, complete))).tolist() if complete else [])
    assert replies(model, rows) == [next(expected) if row in complete else None for row in rows]


@settings(max_examples=25)
@given(data=st.data())
def test_split_and_shuffled(data: st.DataObject, pair: Any) -> None:
    """A row gets the same reply in any batch and in any order."""
    model, _ = pair
    rows = data.draw(batches(model))
    whole = replies(model, rows)
    cut = data.draw(st.integers(0, len(rows)))
    assert replies(model, rows[:cut]) + replies(model, rows[cut:]) == whole
    assert [replies(model, [row])[0] for row in rows[:5]] == whole[:5]
    order = data.draw(st.permutations(range(len(rows))))
    assert replies(model, [rows[row] for row in order]) == [whole[row] for row in order]


@settings(max_examples=25)
@given(data=st.data())
def test_scored_together(data: st.DataObject, pair: Any) -> None:
    """Requests that share a prediction get the replies that they get alone."""
    model, _ = pair
    requests = data.draw(st.lists(batches(model), min_size=2, max_size=5))
    decoded = [contract.read(orjson.dumps({"calls": [[*map(sent, row)] for row in rows]})) for rows in requests]
    predict = find({}, "/")
    jobs = [prepare(model, predict, Options(), predict.decode(model, request), Timer()) for request in decoded]
    together = [orjson.loads(contract.write(outcome))["replies"] for outcome in score_together(jobs)]
    assert together == [replies(model, rows) for rows in requests]
