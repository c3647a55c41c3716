"""The name of the SQL functions and what they send with each request, as the options of sql.render and deploy.sh say."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlglot
from click.testing import CliRunner
from sqlglot import exp

from bqlocal import BigQuery
from bqlocal.ddl import remote_function
from deploy.model import main as examine
from launch.function import Function
from model_loader import load
from serving import functions
from sql.example_query import example_query
from sql.names import select_examples
from sql.render import RenderError, main, render
from sql.settings import SqlSettings, problems
from tests import googlesql

PLACE = {"project": "my-project", "dataset": "ds", "connection": "us.c", "endpoint": "https://predict-abc-uc.a.run.app"}
OPTIONS = [part for name, value in PLACE.items() for part in (f"--{name}", value)]
Saved = Callable[[str], str]


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("predict", "houses"), ("predict_row", "houses_row"), ("predict_proba", "houses_proba"),
        ("model_info", "houses_info"), ("predict_thousands", "houses_predict_thousands"), ("row_count", "houses_row_count"),
    ],
)  # fmt: skip
def test_name(function: str, name: str) -> None:
    """--name stands for predict, and the other functions' names follow it; without it they have their own."""
    assert SqlSettings(name="houses").sql_name(function) == name
    assert SqlSettings().sql_name(function) == function


def test_settings_in_context(saved: Saved) -> None:
    """Each function is sent the settings that it reads, and no others."""
    settings = SqlSettings("cities", "pass", "null", class_label="yes")
    script = render(load(saved("classifier")), **PLACE, settings=settings)
    contexts = {part.partition("(")[0]: part for part in script.split("FUNCTION `my-project`.ds.")[1:]}
    policies = "('on_null', 'pass'), ('on_error', 'null')"
    for name in ("cities", "cities_row"):
        assert f"{policies}]" in contexts[name]
    assert f"{policies}, ('class', 'yes')]" in contexts["cities_proba"]
    assert "RETURNS FLOAT64" in contexts["cities_proba"]
    assert "on_null" not in contexts["cities_info"]


@pytest.mark.parametrize(
    "settings", [SqlSettings("select"), SqlSettings("from", on_error="json")], ids=["plain", "explaining"]
)
def test_keyword_as_name(settings: SqlSettings, saved: Saved) -> None:
    """Functions named by a keyword are created, called and dropped, since their names are quoted."""
    model = load(saved("tree_regressor"))
    model.info = dataclasses.replace(model.info, sql_name=settings.name)
    with BigQuery("my-project") as bigquery:
        bigquery.sql(render(model, **PLACE, settings=settings))
        examples = [sql for _, _, sql in select_examples(model)]
        queries = [*examples, example_query(model.signature, model.example[:1], "my-project.ds", settings)]
        assert googlesql.statements("\n".join(queries)) == len(queries)
        assert f"ds.`{settings.name}`(" in examples[0]
        bigquery.sql(render(model, **PLACE, form="drop", settings=settings))


@pytest.mark.check
def test_answers(saved: Saved) -> None:
    """The functions do in SQL what the settings say: here a factor, NULL as a value, and a probability per row."""
    with BigQuery("my-project") as bigquery:
        with Function(saved("python_model")) as function:
            place = {**PLACE, "endpoint": function.url}
            settings = SqlSettings("scaled", params='{"factor": 2}')
            model = load(saved("python_model"))
            bigquery.sql(render(model, **place) + render(model, **place, settings=settings))
            query = (
                "SELECT ds.predict(a, n, text) AS plain, ds.scaled(a, n, text) AS scaled "
                "FROM (SELECT 0.5 AS a, 2 AS n, 'x' AS text)"
            )
            [row] = bigquery.sql(query).table.to_pylist()
            assert row["plain"] != row["scaled"]
        with Function(saved("classifier")) as function:
            place = {**PLACE, "endpoint": function.url}
            bigquery.sql(render(load(saved("classifier")), **place, settings=SqlSettings("c", class_label="yes")))
            rows = "UNNEST([0.5, -0.5]) AS x"
            found = bigquery.sql(f"SELECT ds.c_proba(x, x, x, x) AS p FROM {rows}").table["p"].to_pylist()
            assert all(0 <= p <= 1 for p in found)


def test_quotes_survive(saved: Saved) -> None:
    """Quotes and backslashes in parameters reach the function as they were given."""
    model = load(saved("python_model"))
    (parameter,) = model.signature.parameters
    text = dataclasses.replace(model.signature, parameters=(dataclasses.replace(parameter, mlflow_type="string"),))
    model.signature = text
    given = r"""{"factor": "it's \"so\" \\ \n"}"""
    script = render(model, **PLACE, settings=SqlSettings(params=given))
    statement = sqlglot.parse(script, read="bigquery")[0]
    assert isinstance(statement, exp.Create)
    assert remote_function(statement, "my-project").context["params"] == given


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("tree_regressor", SqlSettings(class_label="a"), "--class is 'a', but the model at"),
        ("classifier", SqlSettings(class_label="z"), "--class is 'z'; the model's classes are"),
        ("tree_regressor", SqlSettings(params='{"x": 1}'), "--params: params has 'x'; the model's signature declares none."),
        ("python_model", SqlSettings(params='{"factor": "a"}'), "the model's signature declares double."),
        ("python_model", SqlSettings(params="factor=2"), "--params: params is 'factor=2'; expected a JSON object."),
        ("python_model", SqlSettings(params='{"factor": 1' + " " * 5_000 + "}"), "--params has 5,013 bytes"),
    ],
)  # fmt: skip
def test_problems(name: str, settings: SqlSettings, said: str, saved: Saved) -> None:
    """Settings that the model doesn't take are named, and nothing is rendered."""
    model = load(saved(name))
    [found] = problems(settings, model)
    assert said.replace("'", '"') in found.replace("'", '"')
    with pytest.raises(RenderError):
        render(model, **PLACE, settings=settings)


def test_names_that_collide(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function of one's own whose name would be that of another one is refused under --name alone."""
    own = dataclasses.replace(functions._FUNCTIONS["predict"], name="row")
    monkeypatch.setitem(functions._FUNCTIONS, "row", own)
    model = load(saved("tree_regressor"))
    assert list(problems(SqlSettings(), model)) == []
    [found] = problems(SqlSettings("houses"), model)
    assert "predict_row, row would all be called houses_row" in found


@pytest.mark.check
def test_all_problems_at_once(saved: Saved, tmp_path: Path) -> None:
    """The examination before a deployment names every problem, a line each, and ends with status 2."""
    options = ["--class", "a", "--params", "{", "--functions", "p.ds", "--output", str(tmp_path / "report.json")]
    done = CliRunner().invoke(examine, ["--model", saved("tree_regressor"), *options])
    assert done.exit_code == 2
    assert "--class is" in done.stdout
    assert "--params: params is" in done.stdout
    assert not (tmp_path / "report.json").exists()


@pytest.mark.parametrize("name", ["my houses", "1st", "häuser", "a" * 201])
def test_malformed_name(name: str, saved: Saved) -> None:
    """A name that BigQuery doesn't allow for a function ends sql.render with status 2."""
    done = CliRunner().invoke(main, ["--model", saved("tree_regressor"), *OPTIONS, "--name", name])
    assert done.exit_code == 2
    assert "is no name of a SQL function" in done.stderr
