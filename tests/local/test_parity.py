"""`python -m local parity`: SQL and MLflow agree on a file of rows, and rows that differ are named."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeRegressor

from bqlocal.bigquery import BigQuery
from bqlocal.errors import SourceError
from launch.errors import Blocked
from launch.examine import Examined, examine
from launch.expected import input_example
from launch.function import Function
from local import parity
from model_loader import load
from parity.compare import differences
from serving.model import PLAN_DIFFERS
from sql.render import render
from sql.settings import SqlSettings
from tests import models

pytestmark = pytest.mark.check

Saved = Callable[[str], str]


def example(model: str) -> pd.DataFrame:
    """Return a model's input example as a table with named columns."""
    rows = mlflow.pyfunc.load_model(model).input_example
    frame = pd.DataFrame(rows)
    return frame.set_axis([str(name) for name in frame.columns], axis=1)


def known(folder: str) -> Examined:
    """Return what an examination finds out about a model."""
    return examine(Path(folder), folder)


def test_agrees_with_mlflow(saved: Saved, tmp_path: Path) -> None:
    """Neither columns in another order, nor NULLs, nor a hostile caller makes a difference."""
    frame = pd.concat([example(saved("categories"))] * 8, ignore_index=True)
    frame.loc[[3, 7], "city"] = None  # a required column
    frame[["lift", "city", "size", "rooms", "a"]].assign(extra=1).to_csv(tmp_path / "rows.csv", index=False)
    report = parity.run(saved("categories"), tmp_path / "rows.csv", chaos=1)
    assert report.differences == []
    assert str(report) == "40 rows compared: 2 skipped for NULL, 0 mismatches"


@pytest.mark.parametrize(
    ("name", "settings", "skipped"),
    [
        ("python_model", SqlSettings(params='{"factor": 3}'), 0),
        ("classifier", SqlSettings(class_label="yes"), 2),
        ("classifier", SqlSettings(on_null="pass"), 0),
    ],
    ids=["params", "class", "on_null"],
)
@pytest.mark.slow
def test_settings(name: str, settings: SqlSettings, skipped: int, saved: Saved, tmp_path: Path) -> None:
    """The settings of deploy.sh reach the SQL functions and the model's own library alike."""
    frame = pd.concat([example(saved(name))] * 4, ignore_index=True)
    if name == "classifier":
        frame = frame.astype(object)
        frame.iloc[[1, 5], 0] = None
    frame.to_csv(tmp_path / "rows.csv", index=False)
    report = parity.run(saved(name), tmp_path / "rows.csv", settings=settings)
    assert str(report) == f"{len(frame)} rows compared: {skipped} skipped for NULL, 0 mismatches"


def test_class_is_compared(saved: Saved, tmp_path: Path, endpoint: Any) -> None:
    """With a class, a probability that differs is a mismatch, though the predictions agree."""
    example(saved("classifier")).to_parquet(tmp_path / "rows.parquet")
    found = known(saved("classifier"))
    labels = found.description.predictions

    def answer(body: dict[str, Any]) -> tuple[int, str]:
        of_class = body["userDefinedContext"]["function"] == "predict_proba"
        return 200, json.dumps({"replies": [2.0] * len(labels) if of_class else labels})

    endpoint.answer = answer
    settings = SqlSettings(class_label=str(found.description.model.classes[0]))
    with BigQuery() as bigquery:
        report = parity.compare(found, bigquery, tmp_path / "rows.parquet", endpoint.url, settings)
    assert [it.answer for it in report.differences] == [2.0] * len(labels)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("tree_regressor", SqlSettings(class_label="yes"), "has no classes with probabilities"),
        ("classifier", SqlSettings(class_label="z", params="1"), "the model's classes are"),
    ],
)
def test_settings_refused(name: str, settings: SqlSettings, said: str, saved: Saved, tmp_path: Path) -> None:
    """Settings that the model doesn't take end with a sentence each, before the table is read."""
    with pytest.raises(Blocked, match=said) as refused:
        parity.run(saved(name), tmp_path / "none.csv", settings=settings)
    assert len(refused.value.blockers) == 1 + bool(settings.params)


@pytest.mark.parametrize("differs", [False, True])
def test_plan_that_differs(differs: bool, saved: Saved) -> None:
    """The examination compares plan and model on thousands of rows, and the function goes by what it found."""
    found = known(saved("tree_regressor"))
    info = found.description.model.info
    assert info.answers == "the plan"  # with nothing left out
    if differs:
        found.description.model.info = replace(info, answers=f"{PLAN_DIFFERS}: sklearn.Ridge, row 7 of 3000")
    with parity._running(found, None) as url:
        page = httpx.get(url, headers={"Accept": "application/json"}, timeout=60).json()
    assert page["answers"] == ("the model" if differs else "the plan")


def test_outputs_are_compared_by_name(saved: Saved, tmp_path: Path, endpoint: Any) -> None:
    """Several outputs are compared by name, in any order."""
    frame = example(saved("two_outputs"))
    frame.to_parquet(tmp_path / "rows.parquet")
    low, high = mlflow.pyfunc.load_model(saved("two_outputs")).predict(frame).T
    replies = [{"high": h, "low": lo + (row == 2)} for row, (lo, h) in enumerate(zip(low, high, strict=True))]
    endpoint.answer = lambda _: (200, json.dumps({"replies": replies}))
    with BigQuery() as bigquery:
        report = parity.compare(known(saved("two_outputs")), bigquery, tmp_path / "rows.parquet", endpoint.url)
    assert [it.row for it in report.differences] == [2]


def test_differing_rows_are_named(saved: Saved, tmp_path: Path, endpoint: Any) -> None:
    """The report has each row that differs, with both values, and the counts."""
    example(saved("tree_regressor")).to_parquet(tmp_path / "rows.parquet")
    # The endpoint replies with the number of arguments.
    with BigQuery() as bigquery:
        report = parity.compare(known(saved("tree_regressor")), bigquery, tmp_path / "rows.parquet", endpoint.url)
    assert [(it.row, it.answer) for it in report.differences] == [(row, 4.0) for row in range(5)]
    assert str(report).startswith("row 0: 4.0 by SQL, ")
    assert str(report).endswith("5 rows compared: 0 skipped for NULL, 5 mismatches")


def test_missing_column(saved: Saved, tmp_path: Path) -> None:
    """A table without one of the model's columns is an error that names it."""
    (tmp_path / "rows.csv").write_text("a,b,c\n1,2,3\n")
    with pytest.raises(SourceError, match=r"^The table has no column 'd', which the model needs; it has a, b, c\.$"):
        parity.run(saved("tree_regressor"), tmp_path / "rows.csv", endpoint="http://127.0.0.1:9")


@pytest.mark.slow
def test_missing_integers_and_booleans(saved: Saved, tmp_path: Path) -> None:
    """NULL in an optional integer or boolean column, which MLflow refuses, is compared like any other row."""
    frame = pd.DataFrame(
        {
            "a": [0.5, None, 2.0],
            "n": pd.array([1, None, 3], dtype="Int64"),
            "b": pd.array([True, None, None], dtype="boolean"),
        }
    )
    frame.to_parquet(tmp_path / "rows.parquet")
    for name in ("optional_columns", "structured"):
        if name == "structured":
            frame = pd.DataFrame({"points": [[1.0], [2.0]], "who": [{"name": "a", "age": 1}] * 2, "n": frame.n[:2]})
            frame.to_parquet(tmp_path / "rows.parquet")
        report = parity.run(saved(name), tmp_path / "rows.parquet")
        assert str(report) == f"{len(frame)} rows compared: 0 skipped for NULL, 0 mismatches"


@pytest.mark.parametrize("marker", [None, float("nan")], ids=["None", "NaN"])
@pytest.mark.slow
def test_missing_texts(marker: Any, tmp_path: Path) -> None:
    """For a NULL text, parity gives MLflow what the model was fitted on, as the function does."""
    rows = pd.DataFrame({"city": pd.Series(["a", "b", marker] * 4, dtype=object)})
    y = [20.0, 30.0, 100.0] * 4
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), DecisionTreeRegressor()).fit(rows, y)
    signature = ModelSignature(Schema([ColSpec("string", "city", required=False)]), Schema([ColSpec("double")]))
    folder = str(models.save(tmp_path / "model", model, rows, signature=signature))
    rows.to_parquet(tmp_path / "rows.parquet")
    report = parity.run(folder, tmp_path / "rows.parquet")
    assert (report.rows, report.differences) == (12, [])
    with BigQuery() as bigquery, Function(folder) as function:
        bigquery.sql(render(load(folder), project="local", dataset="ds", connection="us.x", endpoint=function.url))
        assert bigquery.sql("SELECT ds.predict(CAST(NULL AS STRING)) AS p").table["p"].to_pylist() == [100.0]


@pytest.mark.parametrize(
    ("mlflow_type", "body"),
    [
        ("datetime", "pd.to_datetime(d['x'] * 1e6, unit='s')"),
        ("datetime", "pd.to_datetime(d['x'] * 1e6, unit='s').to_numpy('datetime64[ns]')"),
        ("binary", "[bytes([abs(int(x)), 0, 255]) for x in d['x']]"),
        ("string", "d['x'].map(str)"),
    ],
    ids=["Series", "array", "bytes", "texts"],
)
@pytest.mark.slow
def test_outputs_without_json(mlflow_type: str, body: str, tmp_path: Path) -> None:
    """Timestamps and bytes that a model predicts reach the comparison, though JSON has neither."""
    outputs = models.schema((mlflow_type,))
    folder = models.formula(tmp_path / "model", body, models.schema(("double", "x")), outputs)
    pd.DataFrame({"x": [1.0, 2.0, 3.5]}).to_parquet(tmp_path / "rows.parquet")
    report = parity.run(str(folder), tmp_path / "rows.parquet")
    assert (report.rows, report.differences) == (3, [])


TENSORS: dict[str, tuple[Any, ...]] = {
    "one dimension": ([TensorSpec(np.dtype("float64"), (-1,))], "d * 2", np.arange(4.0)),
    "named": ([TensorSpec(np.dtype("float32"), (-1, 2), "a")], "d['a'][:, 0]", {"a": np.eye(2, dtype=np.float32)}),
    "bytes": ([TensorSpec(np.dtype("uint8"), (-1, 2))], "d.sum(axis=1) * 1.0", np.eye(2, dtype=np.uint8) * 200),
    "several": (
        [TensorSpec(np.dtype("float64"), (-1, 2), "a"), TensorSpec(np.dtype("int64"), (-1,), "b")],
        "d['a'].sum(axis=1) * d['b']",
        {"a": np.eye(2), "b": np.array([2, 3])},
    ),
}


@pytest.mark.parametrize(("inputs", "body", "example"), TENSORS.values(), ids=TENSORS)
@pytest.mark.slow
def test_tensors(inputs: list[Any], body: str, example: Any, tmp_path: Path) -> None:
    """Tensors of every form are compared on the rows of their example, which is what deploy.sh does too."""
    folder = models.formula(tmp_path / "model", body, Schema(inputs), models.schema(("double",)), example)
    model = load(str(folder))
    rows, expected = input_example(folder, model)
    assert len(rows) == len(expected.predictions) >= 2
    columns = [column.name for column in model.signature.columns]
    with BigQuery() as bigquery, Function(str(folder)) as function:
        bigquery.load("ds.t", pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows]))
        bigquery.sql(render(load(str(folder)), project="local", dataset="ds", connection="us.x", endpoint=function.url))
        answers = bigquery.sql("SELECT ds.predict_row(TO_JSON(t)) AS p FROM ds.t AS t").table["p"].to_pylist()
    assert differences(answers, expected.predictions) == []
