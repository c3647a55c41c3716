"""What render writes is GoogleSQL, says the model's own names and types, and refuses what BigQuery would refuse."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlglot
from click.testing import CliRunner

from model_loader import load
from sql.render import RenderError, main, render
from tests import googlesql, models

PLACE = {
    "project": "my-project",
    "dataset": "models",
    "connection": "us.remote-models",
    "endpoint": "https://predict-abc-uc.a.run.app",
}
EVERY_MODEL = [
    "tree_regressor", "classifier", "categories", "times", "optional_columns", "tensor", "wide", "boosted",
    "python_model", "two_outputs", "odd_names",
]  # fmt: skip


@pytest.mark.parametrize("name", EVERY_MODEL)
def test_every_statement_is_read_by_googlesql_and_by_sqlglot(name: str, saved: Callable[[str], str]) -> None:
    script = render(saved(name), **PLACE, max_batching_rows=500)
    count = script.count("CREATE OR REPLACE FUNCTION")
    assert googlesql.statements(script) == count
    parsed = sqlglot.parse(script, dialect="bigquery")
    assert [type(statement).__name__ for statement in parsed if statement] == ["Create"] * count


def functions(script: str) -> dict[str, str]:
    """Return name -> RETURNS type of the functions in a script."""
    return dict(re.findall(r"FUNCTION `my-project`\.models\.(\w+)\(.*?\)\nRETURNS (\w+)\n", script, re.DOTALL))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tree_regressor", {"predict": "FLOAT64", "predict_row": "FLOAT64", "model_info": "JSON"}),
        ("classifier", {"predict": "STRING", "predict_row": "STRING", "predict_proba": "JSON", "model_info": "JSON"}),
        ("two_outputs", {"predict": "JSON", "predict_row": "JSON", "model_info": "JSON"}),
        ("wide", {"predict_row": "FLOAT64", "model_info": "JSON"}),
    ],
)
def test_there_is_a_statement_for_each_function_that_makes_sense(
    name: str, expected: dict[str, str], saved: Callable[[str], str]
) -> None:
    assert functions(render(saved(name), **PLACE)) == expected


def test_arguments_are_the_columns_with_their_types_in_the_order_of_the_signature(saved: Callable[[str], str]) -> None:
    script = render(saved("categories"), **PLACE)
    assert "predict(\n  a FLOAT64,\n  city STRING,\n  size STRING,\n  rooms INT64,\n  lift BOOL\n)" in script


def test_the_context_names_the_function_and_the_schema_it_was_made_for(saved: Callable[[str], str]) -> None:
    schema = load(saved("classifier")).signature.schema
    script = render(saved("classifier"), **PLACE)
    for name in ("predict", "predict_row", "predict_proba", "model_info"):
        assert f"user_defined_context = [('function', '{name}'), ('schema', '{schema}')]" in script


def test_max_batching_rows_stands_there_only_when_given(saved: Callable[[str], str]) -> None:
    assert "max_batching_rows" not in render(saved("tensor"), **PLACE)
    assert render(saved("tensor"), **PLACE, max_batching_rows=128).count("max_batching_rows = 128") == 3


def test_a_mapped_name_is_explained_beside_it(saved: Callable[[str], str]) -> None:
    assert "  mean_radius FLOAT64,  -- mean radius\n" in render(saved("odd_names"), **PLACE)


BAD = {
    "project": ["My-Project", "p", "my project", "p`; DROP TABLE x", "project-"],
    "dataset": ["my-dataset", "", "a.b"],
    "connection": ["remote-models", "us/remote", "us.a b", "p.us.c"],
    "endpoint": [
        "predict-abc-uc.a.run.app", "https://host/a.b", "https://host/a?b", "https://host/a#b", "https://host/~me",
        "https://host/_ah/x", "https://host/eventlog", "https://host/healthz", 'https://host/"',
    ],
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in BAD.items() for value in values])
def test_a_place_that_bigquery_would_refuse_is_refused_naming_it(
    key: str, value: str, saved: Callable[[str], str]
) -> None:
    with pytest.raises(RenderError, match=re.escape(f"The {key} is {value!r}; expected ")):
        render(saved("tensor"), **{**PLACE, key: value})


def arguments(model: str) -> list[str]:
    return ["--model", model, *[part for key, value in PLACE.items() for part in (f"--{key}", value)]]


def test_the_command_prints_what_render_returns(saved: Callable[[str], str]) -> None:
    result = CliRunner().invoke(main, arguments(saved("tensor")))
    assert result.exit_code == 0
    assert result.stdout == render(saved("tensor"), **PLACE)


def test_a_model_that_is_not_there_is_one_sentence_on_stderr(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, arguments(str(tmp_path / "nothing")))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: The model URI is")
    assert result.stderr.count("\n") == 1


def test_the_file_to_paste_is_what_render_writes_for_such_a_model(tmp_path: Path) -> None:
    pasted = (Path(__file__).parents[2] / "sql" / "california.sql").read_text()
    written = render(str(models.california(tmp_path / "model")), **{**PLACE, "dataset": "ds"}, max_batching_rows=1000)

    def statements(text: str) -> list[str]:
        lines = [line for line in text.splitlines() if line and not line.startswith(("--", "  description"))]
        return [line.rstrip(",") for line in lines]

    assert statements(pasted) == statements(written)


def test_the_example_query_is_googlesql() -> None:
    for file in (Path(__file__).parents[2] / "sql").glob("*.sql"):
        assert googlesql.statements(file.read_text()) > 0
