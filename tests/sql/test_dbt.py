"""dbt reads the files that sql.render writes for it, and compiles them to queries of BigQuery."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import sqlglot
import yaml
from click.testing import CliRunner

from model_loader import load
from sql import render as rendering
from sql.files import OutputError, joined, write
from sql.formats import render_around
from sql.names import identifier
from sql.settings import SqlSettings
from tests.conftest import ROOT
from tests.environments import create
from tests.google_cloud.server import GoogleCloud

Saved = Callable[[str], str]
PLACE = {"project": "my-project", "dataset": "ds"}
LOCK = ROOT / "tests" / "sql" / "dbt.txt"
PROJECT = {"name": "shop", "version": "1.0", "profile": "shop", "model-paths": ["models"], "macro-paths": ["macros"]}


def profile(url: str) -> dict[str, object]:
    """Return a profile that has dbt call the stand-in."""
    login = {"method": "oauth-secrets", "token": "token"}
    output = {
        **login,
        "type": "bigquery",
        "project": "my-project",
        "dataset": "scored",
        "location": "US",
        "api_endpoint": url,
    }
    return {"shop": {"target": "dev", "outputs": {"dev": output}}}


def files(model: str, name: str = "houses") -> dict[str, str]:
    return render_around(load(model), **PLACE, form="dbt", settings=SqlSettings(name))


def test_files(saved: Saved) -> None:
    """There are macros for the callable functions, a source with the model's columns, and an incremental model."""
    found = files(saved("tree_regressor"))
    assert list(found) == ["macros/houses.sql", "models/houses.yml", "models/houses_scored.sql"]
    assert (
        "{% macro call_houses(row) -%}\n`my-project`.ds.houses({{ row }}.a, {{ row }}.b," in found["macros/houses.sql"]
    )
    (source,) = yaml.safe_load(found["models/houses.yml"])["sources"]
    assert (source["database"], source["schema"]) == ("my-project", "ds")
    assert [it["name"] for it in source["tables"][0]["columns"]] == ["a", "b", "c", "d"]
    assert joined(found).startswith("-- macros/houses.sql\n{% macro")


def test_wide_model_is_called_by_row(saved: Saved) -> None:
    """A model with too many columns for arguments gets the row as JSON."""
    found = files(saved("wide"), "")
    assert "call_predict_row('t')" in found["models/predict_scored.sql"]
    assert "ds.predict_row(TO_JSON({{ row }}))" in found["macros/predict.sql"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--format", "dbt", "--endpoint", "https://x"], "--endpoint is not used by --format dbt: omit it."),
        (["--format", "sql"], "--connection is required. --endpoint is required."),
    ],
)
def test_options_of_formats(options: Sequence[str], sentence: str) -> None:
    """What a format can't use, and what it needs, is said before the model is read; the exit status is 2."""
    command = ["--model", "gs://no-bucket/model", "--project", "my-project", "--dataset", "ds", *options]
    done = CliRunner().invoke(rendering.main, command)
    assert (done.exit_code, done.stderr) == (2, f"Error: {sentence}\n")


def test_output_that_is_no_folder(tmp_path: Path) -> None:
    """An --output that can't be written is an error of one sentence."""
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"--output '.*file' cannot be written: "):
        write({"models/houses.yml": ""}, tmp_path / "file")


@pytest.fixture(scope="module")
def dbt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return dbt, in an environment of its own."""
    return create(tmp_path_factory.mktemp("dbt"), "-r", LOCK) / "dbt"


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleCloud]:
    """Return the stand-in for Google Cloud."""
    with GoogleCloud(tmp_path_factory.mktemp("google-cloud")) as google:
        yield google


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tree_regressor", "odd_names", "wide"])
def test_dbt_compiles(name: str, saved: Saved, dbt: Path, google: GoogleCloud, tmp_path: Path) -> None:
    """`dbt parse` and `dbt compile` succeed, and the compiled query has a call of the function for each row."""
    found = files(saved(name))
    write(found, tmp_path)
    (tmp_path / "dbt_project.yml").write_text(yaml.safe_dump(PROJECT))
    (tmp_path / "profiles.yml").write_text(yaml.safe_dump(profile(google.cloud.url)))
    environment = {**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_PROFILES_DIR": str(tmp_path)}
    variables = json.dumps({"houses_table": "blocks", "houses_key": "block"})
    for command in ("parse", "compile"):
        ended = subprocess.run(
            [dbt, "--warn-error", command, "--vars", variables],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout
    text = (tmp_path / "target/compiled/shop/models/houses_scored.sql").read_text()
    assert "FROM `my-project`.`ds`.`blocks` AS t" in text
    assert "SELECT t.block, `my-project`.ds.houses" in text
    (statement,) = sqlglot.parse(text, read="bigquery")
    assert isinstance(statement, sqlglot.exp.Select)
    if name == "odd_names":  # what Jinja has made of the names is what GoogleSQL needs
        for column in load(saved(name)).signature.columns:
            assert identifier(column.name) in text
