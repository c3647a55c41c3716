"""The keys of predict_row's rows: columns by name, in another case, or as their arguments are named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.types import ColSpec, Schema
from starlette.testclient import TestClient

from serving.column_names import keys_of_columns
from tests import models
from tests.assertions import assert_error

KEYS = {
    "as they are": (["a", "b"], ["b", "a"], {"a": "a", "b": "b"}),
    "another case": (["MedInc"], ["medinc"], {"MedInc": "medinc"}),
    "as arguments": (["mean radius", "Höhe (m)"], ["mean_radius", "hohe__m_"],
                     {"mean radius": "mean_radius", "Höhe (m)": "hohe__m_"}),
    "digits": (["2"], ["_2"], {"2": "_2"}),
    "exact before another case": (["Age"], ["age", "Age"], {"Age": "Age"}),
    "two keys for one column": (["Age"], ["age", "AGE"], {}),
    "one key for two columns": (["Age", "age"], ["AGE"], {}),
    "one key for two columns by argument": (["a b", "A_B"], ["a_b"], {}),
    "both exact": (["Age", "age"], ["age", "Age"], {"Age": "Age", "age": "age"}),
    "none": (["a"], ["b"], {}),
}  # fmt: skip


@pytest.mark.parametrize(("columns", "keys", "found"), KEYS.values(), ids=KEYS)
def test_keys_of_columns(columns: list[str], keys: list[str], found: dict[str, str]) -> None:
    """A key means a column unless it would fit two, or the column another key as well."""
    assert keys_of_columns(columns, keys).found == found


@pytest.mark.parametrize("extra", [{}, {"id": "x"}], ids=["numbers only", "with a text"])
@pytest.mark.parametrize("model", ["california", "odd_names"])
def test_row_by_names_in_sql(
    model: str, extra: dict[str, Any], app: Callable[..., TestClient], saved: Callable[[str], str]
) -> None:
    """Rows with the names that BigQuery knows get the predictions of rows with the columns' own."""
    from model_loader import load
    from serving.column_names import argument_names

    client = app(saved(model))
    columns = [column.name for column in load(saved(model)).signature.columns]
    context = {"function": "predict_row"}
    values = [float(place) for place in range(len(columns))]
    expected = client.post("/", json={"calls": [values]}).json()
    for names in (columns, [name.upper() for name in argument_names(columns)], [name.lower() for name in columns]):
        row = {**dict(zip(names, values, strict=True)), **extra}
        assert client.post("/", json={"calls": [[row]], "userDefinedContext": context}).json() == expected


UNCLEAR = {
    "one key for two columns": ({"A_B": 5}, "a b"),
    "two keys for one column": ({"mean_radius": 5, "Mean_Radius": 5, "a b": 1, "a_b": 2}, "mean radius"),
    "names of arguments that are names of columns": ({"a_b": 1, "a_b_2": 2}, "a b"),
}


@pytest.mark.parametrize(("row", "column"), UNCLEAR.values(), ids=UNCLEAR)
def test_unclear_key(row: dict[str, int], column: str, app: Callable[..., TestClient], tmp_path: Path) -> None:
    """A key that may mean a column or not is an error, also for a column that may be NULL."""
    inputs = Schema([ColSpec("double", name, required=False) for name in ("a b", "a_b", "mean radius")])
    client = app(str(models.formula(tmp_path / "model", "d.sum(axis=1)", inputs, models.schema(("double",)))))
    response = client.post("/", json={"calls": [[row]], "userDefinedContext": {"function": "predict_row"}})
    assert_error(response, 400, "Row 0", "it isn't clear", f'the column "{column}"')


def test_missing_key_names_the_column(app: Callable[..., TestClient], saved: Callable[[str], str]) -> None:
    """A key that fits no column leaves the column missing, and the message names both."""
    row = dict.fromkeys(["medinc", "houseage", "averooms", "avebedrms", "population", "aveoccup", "latitude", "lon"], 1)
    response = app(saved("california")).post(
        "/", json={"calls": [[row]], "userDefinedContext": {"function": "predict_row"}}
    )
    assert_error(response, 400, 'Row 0 has no "Longitude"', "lon")
