"""The SQL functions of one endpoint: their arguments, their options, and a function added by a user."""

from collections.abc import Callable, Iterator
from typing import Any

import mlflow
import pandas as pd
import pytest
from starlette.testclient import TestClient

from model_loader import load
from serving import functions
from serving.functions import available_functions, sql_function
from serving.model import Model
from serving.options import Options
from serving.rows import Rows
from tests.assertions import assert_error

ROWS = [[0.5, -0.25, 1, 2], [1.5, 0.25, -1, 0], [None, 1, 1, 1]]
NAMES = ["a", "b", "c", "d"]


def post(client: TestClient, calls: list[Any], **context: str) -> Any:
    return client.post("/", json={"requestId": "r", "calls": calls, "userDefinedContext": context})


def replies(client: TestClient, calls: list[Any], **context: str) -> list[Any]:
    response = post(client, calls, **context)
    assert response.status_code == 200, response.text
    return response.json()["replies"]  # type: ignore[no-any-return]


@pytest.fixture
def regressor(app: Callable[..., TestClient], saved: Callable[[str], str]) -> TestClient:
    return app(saved("tree_regressor"))


@pytest.fixture
def classifier(app: Callable[..., TestClient], saved: Callable[[str], str]) -> TestClient:
    return app(saved("classifier"))


def test_predict_row(regressor: TestClient) -> None:
    """predict_row takes columns by name in any order and ignores other keys."""
    objects = [[{"id": 7, **dict(zip(NAMES[::-1], row[::-1], strict=True))}] for row in ROWS]
    assert replies(regressor, objects, function="predict_row") == replies(regressor, ROWS)


def test_predict_row_missing_column(regressor: TestClient) -> None:
    """predict_row replies NULL to NULL, and a missing column is an error of its row."""
    assert replies(regressor, [[None]], function="predict_row") == [None]
    assert_error(post(regressor, [[{"a": 1, "b": 2, "c": 3}]], function="predict_row"), 400, "Row 0", '"d"')
    good = [dict(zip(NAMES, ROWS[0], strict=True))]
    answers = replies(regressor, [[{"a": 1}], good], function="predict_row", on_error="null")
    assert answers == [None, *replies(regressor, ROWS[:1])]


def test_predict_row_optional_columns(app: Callable[..., TestClient], saved: Callable[[str], str]) -> None:
    """predict_row takes a missing optional column as NULL."""
    client = app(saved("optional_columns"))
    assert replies(client, [[{"a": 1.0}]], function="predict_row") == replies(client, [[1.0, None, None]])


def test_predict_proba(classifier: TestClient, saved: Callable[[str], str]) -> None:
    """predict_proba replies with all classes as JSON, or with the class of its option `class`."""
    model = mlflow.sklearn.load_model(saved("classifier"))
    expected = model.predict_proba(pd.DataFrame(ROWS[:2], columns=NAMES)).tolist()
    labels = ["no", "yes"]
    every = replies(classifier, ROWS, function="predict_proba")
    assert every == [*[dict(zip(labels, row, strict=True)) for row in expected], None]
    one = replies(classifier, ROWS, **{"function": "predict_proba", "class": "yes"})
    assert one == [*[row[1] for row in expected], None]


def test_predict_proba_unknown_class(classifier: TestClient) -> None:
    """An unknown class is an error that lists the model's classes."""
    response = post(classifier, ROWS, **{"function": "predict_proba", "class": "maybe"})
    assert_error(response, 400, '"maybe"', "no, yes")


def test_option_of_another_function(classifier: TestClient) -> None:
    """A function rejects an option that only another function has."""
    assert_error(post(classifier, ROWS, **{"class": "yes"}), 400, "class")


def test_predict_proba_lightgbm(app: Callable[..., TestClient], saved: Callable[[str], str]) -> None:
    """predict_proba works for other flavors than scikit-learn's."""
    probabilities = replies(app(saved("boosted")), ROWS, function="predict_proba")[0]
    assert list(probabilities) == ["down", "up"]
    assert sum(probabilities.values()) == pytest.approx(1)


def test_model_info(classifier: TestClient, saved: Callable[[str], str]) -> None:
    """model_info names the model's URI, digest, inputs, versions and time of loading."""
    info = replies(classifier, [[]], function="model_info")[0]
    assert info["uri"] == saved("classifier")
    assert len(info["digest"]) == 64
    assert [column["name"] for column in info["signature"]["inputs"]] == NAMES
    assert {"python", "scikit-learn", "numpy", "pandas"} <= info["versions"].keys()
    assert info["loaded"]


def test_params(app: Callable[..., TestClient], saved: Callable[[str], str]) -> None:
    """Inference parameters reach the model, and wrong ones are rejected."""
    client = app(saved("python_model"))
    row = [[1.5, 2, "x"]]
    assert replies(client, row) == ["x: 3.500"]
    assert replies(client, row, params='{"factor": 2}') == ["x: 7.000"]
    assert_error(post(client, row, params='{"factor": "two"}'), 400, "factor", "double")
    assert_error(post(client, row, params='{"rate": 2}'), 400, "rate", "factor")
    assert_error(post(client, row, params="[2]"), 400, "expected a JSON object")


def test_schema_changed(app: Callable[..., TestClient], saved: Callable[[str], str]) -> None:
    """A SQL function that was created for other columns is an error naming both schemas."""
    old, new = load(saved("tree_regressor")).signature.schema, load(saved("boosted")).signature.schema
    assert old == new  # same names and types: the same SQL serves both
    other = load(saved("categories")).signature.schema
    client = app(saved("tree_regressor"))
    assert replies(client, ROWS[:1], schema=old) == replies(client, ROWS[:1])
    assert_error(post(client, ROWS[:1], schema=other), 400, other, old, "a FLOAT64, b FLOAT64")


@pytest.fixture
def custom_functions() -> Iterator[None]:
    """Register two functions, as their code in serving/functions.py would."""

    @sql_function(returns="FLOAT64")
    def predict_thousands(model: Model, rows: Rows, options: Options) -> Any:
        """The prediction in thousands."""
        return model.predict(rows) / 1000

    @sql_function(returns="STRING", keys=("unit",))
    def describe(model: Model, rows: Rows, options: Options) -> Any:
        """The first column with a unit."""
        return [f"{value} {options.own.get('unit', '')}" for value in rows["a"]]

    yield
    for name in ("predict_thousands", "describe"):
        del functions._FUNCTIONS[name]


@pytest.mark.usefixtures("custom_functions")
def test_custom_function(regressor: TestClient, saved: Callable[[str], str]) -> None:
    """A function that a user adds is served with its options, and offered."""
    expected = [None if value is None else value / 1000 for value in replies(regressor, ROWS)]
    assert replies(regressor, ROWS, function="predict_thousands") == expected
    assert replies(regressor, ROWS, function="describe", unit="km") == ["0.5 km", "1.5 km", None]
    assert "predict_thousands" in [function.name for function in available_functions(load(saved("tree_regressor")))]


def test_several_outputs(app: Callable[..., TestClient], saved: Callable[[str], str]) -> None:
    """Several outputs are one JSON object per row, with the names of the signature."""
    answers = replies(app(saved("two_outputs")), ROWS)
    assert [list(answer) for answer in answers[:2]] == [["low", "high"]] * 2
    assert answers[2] is None


def test_wide_model_by_name(app: Callable[..., TestClient], saved: Callable[[str], str]) -> None:
    """A model with more columns than SQL has arguments gives the same replies by name as by position."""
    client = app(saved("wide"))
    names = [column.name for column in load(saved("wide")).signature.columns]
    values = [[row + column / 7 for column in range(300)] for row in range(50)]
    objects = [[dict(zip(names, row, strict=True))] for row in values]
    assert replies(client, objects, function="predict_row") == replies(client, values)
