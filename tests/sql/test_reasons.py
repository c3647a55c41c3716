"""The SQL around on_error = json, run against the real function: typed columns, one call per row, every reason."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeRegressor

from bqlocal import BigQuery
from launch.function import Function
from model_loader import load
from serving import functions
from sql.render import RenderError, render
from sql.settings import SqlSettings
from tests import googlesql, models

PLACE: dict[str, Any] = {"project": "my-project", "dataset": "ds", "connection": "us.c"}
EXPLAINED = SqlSettings(on_error="json")
MODELS = ["tree_regressor", "classifier", "two_outputs", "times", "wide", "structured", "odd_names"]
Saved = Callable[[str], str]


def written(folder: str, endpoint: str = "https://predict.run.app", **options: Any) -> str:
    return render(load(folder), **PLACE, endpoint=endpoint, settings=EXPLAINED, **options)


@contextmanager
def explained(folder: str, rows: pd.DataFrame) -> Iterator[tuple[BigQuery, Function]]:
    """Run the function for a model, with its SQL functions and with rows as the table ds.t."""
    with Function(folder, {"LOG_LEVEL": "CRITICAL"}) as function, BigQuery() as bigquery:
        bigquery.sql(written(folder, function.url))
        bigquery.load("ds.t", rows)
        yield bigquery, function


@pytest.mark.parametrize("name", MODELS)
def test_statements_parse(name: str, saved: Saved) -> None:
    """GoogleSQL's parser reads what creates the functions and what drops them, one statement for each."""
    script = written(saved(name))
    created = script.count("CREATE OR REPLACE FUNCTION")
    assert googlesql.statements(script) == created
    assert googlesql.statements(written(saved(name), form="drop")) == created


def test_remote_call_is_unconditional(saved: Saved) -> None:
    """The remote function is called by a statement of its own, where nothing may skip a row."""
    wrapper = written(saved("two_outputs")).split("\n\n")[2]
    assert wrapper.endswith(
        "RETURNS STRUCT<value STRUCT<low FLOAT64, high FLOAT64>, error STRING>\n"
        "AS (\n  `my-project`.ds.predict_parts(`my-project`.ds.predict_json(a, b, c, d))\n);"
    )


@pytest.mark.check
def test_two_outputs(saved: Saved) -> None:
    """10,000 rows are sent once each, in batches; both outputs are columns, and bad rows are found by their error."""
    rows = pd.DataFrame(np.random.default_rng(1).normal(size=(10_000, 4)), columns=list("abcd"))
    rows = rows.assign(id=range(10_000), a=rows.a.where(rows.index % 1_000 != 7))
    with explained(saved("two_outputs"), rows) as (bigquery, function):
        query = (
            "SELECT id, r.value.low, r.value.high, r.error "
            "FROM (SELECT id, ds.predict(a, b, c, d) AS r FROM ds.t) ORDER BY id"
        )
        found = bigquery.sql(query)
        with httpx.Client(trust_env=False) as client:
            instance = client.get(function.url).json()["instance"]
        assert (instance["rows"], instance["requests"]) == (10_000, found.calls.requests)
        assert found.calls.requests <= 20
        bad = bigquery.sql("SELECT COUNT(*) AS n FROM ds.t WHERE ds.predict(a, b, c, d).error IS NOT NULL")
        assert bad.table.to_pylist() == [{"n": 10}]
    expected = load(saved("two_outputs")).estimator.predict(rows[list("abcd")].to_numpy())
    good = found.frame[found.frame.error.isna()]
    np.testing.assert_array_equal(good[["low", "high"]].to_numpy(), expected[good.id])
    assert set(found.frame.error.dropna()) == {"Column a is NULL; the model needs FLOAT64."}
    assert found.frame.low[found.frame.error.notna()].isna().all()


@pytest.mark.slow
def test_values(saved: Saved) -> None:
    """Every function returns its value and its error, each of its type."""
    rows = pd.DataFrame([[2.0, 2.0, 0.0, 0.0]], columns=list("abcd"))
    with explained(saved("classifier"), rows) as (bigquery, _):
        for expression, expected in [
            ("ds.predict(a, b, c, d).value", "yes"),
            ("ds.predict_row(TO_JSON(t)).value", "yes"),
            ("FLOAT64(JSON_QUERY(ds.predict_proba(a, b, c, d).value, '$.yes'))", 1.0),
            ("ds.predict_proba(NULL, b, c, d).value IS NULL", True),
            ("ds.predict_row(JSON '{}').error", 'The row has no "a", only [].'),
            ("JSON_VALUE(ds.model_info(), '$.uri')", saved("classifier")),
        ]:
            assert bigquery.sql(f"SELECT {expression} AS x FROM ds.t AS t").table.to_pylist() == [{"x": expected}]


def test_drop_statements(saved: Saved) -> None:
    """Dropping in the order of the statements leaves nothing behind, and no function without one that it calls."""
    with BigQuery() as bigquery:
        bigquery.sql(written(saved("classifier")))
        for statement in written(saved("classifier"), form="drop").splitlines():
            bigquery.sql(statement.replace("IF EXISTS ", ""))
        bigquery.sql(written(saved("classifier")).replace("CREATE OR REPLACE", "CREATE"))


def test_names_that_meet(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function of one's own with a name that the wrapper needs is an error."""
    own = functions.find({"function": "predict_row"}, "/")
    monkeypatch.setitem(
        functions._FUNCTIONS, "predict_parts", functions.SqlFunction(**{**vars(own), "name": "predict_parts"})
    )
    with pytest.raises(RenderError, match="would all be called predict_parts"):
        written(saved("classifier"))


BAD = {
    "Column a is NULL; the model needs FLOAT64.": {"a": None},
    "Column city is NULL; the model needs STRING.": {"city": None},
    "Column n: 3000000000 is not INT64 (the model's type integer holds -2147483648 to 2147483647).": {"n": 3_000_000_000},
    "unknown categories": {"city": "Rome"},
    "infinity": {"a": math.inf},
}  # fmt: skip


@pytest.mark.slow
def test_million_rows(tmp_path: Path) -> None:
    """Of a million rows with twenty bad ones of each of five kinds, one query finds every reason, and all values."""
    generator = np.random.default_rng(3)
    count = int(os.environ.get("REASONS_ROWS", 1_000_000))

    def rows(count: int) -> pd.DataFrame:
        cities = generator.choice(["Bern", "Köln", "Ulm"], count)
        return pd.DataFrame(
            {"a": generator.normal(size=count), "n": generator.integers(0, 9, count).astype("int32"), "city": cities}
        )

    train = rows(2_000)
    encode = make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough")
    model = make_pipeline(encode, DecisionTreeRegressor(max_depth=4)).fit(train, train.a + train.n)
    folder = str(models.save(tmp_path / "model", model, train))
    table = rows(count).assign(id=range(count), n=lambda frame: frame.n.astype("int64"))
    expected = model.predict(table)
    places = generator.choice(count, 20 * len(BAD), replace=False).reshape(len(BAD), 20)
    for changes, kind in zip(BAD.values(), places, strict=True):
        for column, value in changes.items():
            table.loc[kind, column] = value
    with explained(folder, table) as (bigquery, _):
        bigquery.sql("CREATE TABLE ds.scored AS SELECT id, ds.predict(a, n, city) AS r FROM ds.t")
        found = bigquery.sql("SELECT id, r.error FROM ds.scored WHERE r.error IS NOT NULL ORDER BY id").frame
        values = bigquery.sql("SELECT r.value FROM ds.scored ORDER BY id").frame["value"].to_numpy()
    assert found.id.tolist() == sorted(places.ravel())
    by_row = dict(zip(found.id, found.error, strict=True))
    for reason, kind in zip(BAD, places, strict=True):
        assert {reason in by_row[row] for row in kind} == {True}
    good = np.setdiff1d(np.arange(count), places)
    np.testing.assert_array_equal(values[good], expected[good])
    assert np.isnan(values[places]).all()
