"""The DDL is GoogleSQL with the model's own names and types, and malformed places are rejected before BigQuery sees them."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlglot
from click.testing import CliRunner

from model_loader import load
from sql.render import RenderError, main, render
from sql.settings import SqlSettings
from tests import googlesql, models

PLACE = {
    "project": "my-project",
    "dataset": "models",
    "connection": "us.remote-models",
    "endpoint": "https://predict-abc-uc.a.run.app",
}
MODELS = [
    "tree_regressor", "classifier", "categories", "times", "optional_columns", "tensor", "wide", "boosted",
    "python_model", "two_outputs", "odd_names",
]  # fmt: skip
Saved = Callable[[str], str]


@pytest.mark.parametrize("name", MODELS)
def test_statements_parse(name: str, saved: Saved) -> None:
    """GoogleSQL's parser and sqlglot both read every statement."""
    script = render(load(saved(name)), **PLACE, max_batching_rows=500)
    count = script.count("CREATE OR REPLACE FUNCTION")
    assert googlesql.statements(script) == count
    parsed = sqlglot.parse(script, dialect="bigquery")
    assert [type(statement).__name__ for statement in parsed if statement] == ["Create"] * count


def functions(script: str) -> dict[str, str]:
    """Return name -> RETURNS type of the functions in a script."""
    return dict(re.findall(r"FUNCTION `my-project`\.models\.(\w+)\(.*?\)\nRETURNS (\w+)\n", script, re.DOTALL))


def test_model_of_a_list(saved: Saved) -> None:
    """A function names its model in the service's list, if it isn't the default; SQL functions around it don't."""
    script = render(load(saved("tree_regressor")), **PLACE, called="houses", settings=SqlSettings(on_error="json"))
    assert script.count("('model', 'houses')") == script.count("REMOTE WITH CONNECTION") == 3
    assert "'model'" not in render(load(saved("tree_regressor")), **PLACE)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tree_regressor", {"predict": "FLOAT64", "predict_row": "FLOAT64", "model_info": "JSON"}),
        ("classifier", {"predict": "STRING", "predict_row": "STRING", "predict_proba": "JSON", "model_info": "JSON"}),
        ("two_outputs", {"predict": "JSON", "predict_row": "JSON", "model_info": "JSON"}),
        ("wide", {"predict_row": "FLOAT64", "model_info": "JSON"}),
    ],
)
def test_functions_and_return_types(name: str, expected: dict[str, str], saved: Saved) -> None:
    """There is a statement for each function that the model has and BigQuery can declare."""
    assert functions(render(load(saved(name)), **PLACE)) == expected


def test_arguments_follow_the_signature(saved: Saved) -> None:
    """Arguments are the columns, with their types, in the order of the signature."""
    script = render(load(saved("categories")), **PLACE)
    assert "predict(\n  a FLOAT64,\n  city STRING,\n  size STRING,\n  rooms INT64,\n  lift BOOL\n)" in script


def test_other_names_are_explained(saved: Saved) -> None:
    """A comment has the model's name for an argument that can't have it."""
    assert "  mean_radius FLOAT64,  -- mean radius\n" in render(load(saved("odd_names")), **PLACE)


def test_reserved_argument_names_are_quoted(saved: Saved) -> None:
    """An argument named by a reserved word is quoted."""
    assert "  `select` FLOAT64,\n" in render(load(saved("odd_names")), **PLACE)


def test_context(saved: Saved) -> None:
    """Each function's context has its name and the schema that it was made for."""
    schema = load(saved("classifier")).signature.schema
    script = render(load(saved("classifier")), **PLACE)
    for name in ("predict", "predict_row", "predict_proba", "model_info"):
        assert f"user_defined_context = [('function', '{name}'), ('schema', '{schema}')]" in script


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("houses/3", "Model houses version 3 at gs://models/houses, digest "),
        ("m-12", "Model m-12 at gs://models/houses, digest "),
        ("runs:/12/3", "Model runs:/12/3 at gs://models/houses, digest "),
        ("", "Model gs://models/houses, digest "),
    ],
)
def test_version_in_description(version: str, said: str, saved: Saved) -> None:
    """The description of every function names the version of a registered model."""
    model = load(saved("tensor"))
    model.info = dataclasses.replace(model.info, uri="gs://models/houses", version=version)
    script = render(model, **PLACE)
    assert script.count(said) == script.count("CREATE OR REPLACE FUNCTION")


def test_max_batching_rows_is_optional(saved: Saved) -> None:
    """The option is written only if it is given."""
    assert "max_batching_rows" not in render(load(saved("tensor")), **PLACE)
    assert render(load(saved("tensor")), **PLACE, max_batching_rows=128).count("max_batching_rows = 128") == 3


def test_project_of_an_old_organization(saved: Saved) -> None:
    """A project with a domain is quoted as one name, in the path of the connection too."""
    script = render(load(saved("tensor")), **{**PLACE, "project": "example.com:my-project"})
    assert script.startswith("CREATE OR REPLACE FUNCTION `example.com:my-project`.models.predict(")
    assert "REMOTE WITH CONNECTION `example.com:my-project`.us.`remote-models`\n" in script
    assert googlesql.statements(script) == 3


MALFORMED = {
    "project": [
        "My-Project", "p", "my project", "p`; DROP TABLE x", "project-",
        "example.com:", "example:my-project", ":my-project", "a.com:b.com:my-project",
    ],
    "dataset": ["my-dataset", "", "a.b"],
    "connection": ["remote-models", "us/remote", "us.a b", "p.us.c"],
    "endpoint": [
        "predict-abc-uc.a.run.app", "https://host/a.b", "https://host/a?b", "https://host/a#b", "https://host/~me",
        "https://host/_ah/x", "https://host/eventlog", "https://host/healthz", 'https://host/"',
    ],
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in MALFORMED.items() for value in values])
def test_malformed_place(key: str, value: str, saved: Saved) -> None:
    """A place that BigQuery would reject is an error that names it."""
    with pytest.raises(RenderError, match=re.escape(f"The {key} is {value!r}; expected ")):
        render(load(saved("tensor")), **{**PLACE, key: value})


def arguments(model: str) -> list[str]:
    return ["--model", model, *[part for key, value in PLACE.items() for part in (f"--{key}", value)]]


@pytest.mark.check
def test_command_prints_statements(saved: Saved) -> None:
    """The command prints what render() returns."""
    result = CliRunner().invoke(main, arguments(saved("tensor")))
    assert result.exit_code == 0
    assert result.stdout == render(load(saved("tensor")), **PLACE)


def test_help_has_an_example() -> None:
    """--help ends with a complete command."""
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert "Example: python -m sql.render --model gs://" in " ".join(result.stdout.split())


def test_command_without_model(tmp_path: Path) -> None:
    """A missing model is one line on stderr and status 2."""
    result = CliRunner().invoke(main, arguments(str(tmp_path / "nothing")))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: The model URI is")
    assert result.stderr.count("\n") == 1


def test_california_sql_is_current(tmp_path: Path) -> None:
    """sql/california.sql is what render() writes for such a model, without what differs from model to model."""
    pasted = (Path(__file__).parents[2] / "sql" / "california.sql").read_text()
    written = render(
        load(str(models.california(tmp_path / "model"))), **{**PLACE, "dataset": "ds"}, max_batching_rows=1000
    )

    header, blank, statements = pasted.partition("\n\n")
    assert all(line.startswith("-- ") for line in header.splitlines())
    assert blank + statements == "\n\n" + re.sub(r" Model \S+, digest \w{12}, saved [\d: -]+\.", "", written)
