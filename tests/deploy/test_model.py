"""What a deployment finds out about a model: what it needs, whether it fits, and what it predicts."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import sklearn
import yaml
from click.testing import CliRunner
from mlflow.types.schema import AnyType

from bqlocal.bigquery import BigQuery
from deploy.model import MAX_ROWS, main
from deploy.observation import ModelReport
from deploy.verify import differences
from launch.function import Function
from model_loader import load
from sql.render import render
from tests import models

pytestmark = pytest.mark.check


def run(model: str, output: Path, *options: str) -> tuple[int, list[str]]:
    """Return the status of `python -m deploy.model` and its problems, or what click says of the options."""
    arguments = ["--model", model, "--functions", "my-project.ds", "--output", str(output), *options]
    ended = CliRunner().invoke(main, arguments)
    return ended.exit_code, (ended.stdout or ("" if ended.exit_code == 0 else ended.stderr)).splitlines()


@pytest.fixture
def edited(tmp_path: Path, saved: Callable[[str], str]) -> Callable[[str, Callable[[dict], None]], str]:  # type: ignore[type-arg]
    """Return a function that copies a model and changes its MLmodel file."""

    def edit(name: str, change: Callable[[dict], None]) -> str:  # type: ignore[type-arg]
        folder = tmp_path / "edited"
        shutil.copytree(saved(name), folder)
        mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
        change(mlmodel)
        (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))
        return str(folder)

    return edit


def report(model: str, output: Path) -> ModelReport:
    """Return the report on a model that can be deployed."""
    status, lines = run(model, output)
    assert status == 0, lines
    return ModelReport.parse(json.loads(output.read_text()))


@pytest.mark.parametrize("missing", ["saved_input_example_info", "signature"])
def test_less_is_enough(missing: str, edited: Callable[..., str], tmp_path: Path) -> None:
    """A model without an input example is compared on made-up rows; one without a signature gets one from its steps."""
    found = report(edited("tree_regressor", lambda it: it.pop(missing)), tmp_path / "out")
    assert "predict" in found.functions
    assert len(found.predictions) == (MAX_ROWS if missing == "saved_input_example_info" else 5)


@pytest.mark.slow
def test_other_python(edited: Callable[..., str], tmp_path: Path) -> None:
    """The function gets the Python that the model was saved with."""
    if not shutil.which("python3.12"):
        pytest.skip("no Python 3.12 on this machine")
    change = lambda it: it["flavors"]["python_function"].update(python_version="3.12.1")  # noqa: E731
    assert report(edited("tree_regressor", change), tmp_path / "out").runtime == "python312"


def test_own_versions(saved: Callable[[str], str], tmp_path: Path) -> None:
    """The deployed requirements have the model's version of scikit-learn, and the function's own packages."""
    lines = report(saved("tree_regressor"), tmp_path / "out").requirements.splitlines()
    assert f"scikit-learn=={sklearn.__version__}" in lines
    assert {"functions-framework", "orjson"} <= {line.partition("==")[0] for line in lines}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("scikit-learn\n-e git+https://example.com/x.git\n", ["its requirements.txt has '-e git+https://example.com"]),
        (
            "Matplotlib : 3.8.0\n./wheels/x.whl\n",
            ["has 'Matplotlib : 3.8.0'; expected", "has './wheels/x.whl'; expected"],
        ),
        ("numpy==1.25.2\nscipy==1.17.1\n", ["exclude each other, because"]),
    ],
    ids=["repository", "two-lines", "conflict"],
)
def test_blocked(lines: str, said: list[str], saved: Callable[[str], str], tmp_path: Path) -> None:
    """Every reason against a model is a sentence of its own."""
    folder = tmp_path / "model"
    shutil.copytree(saved("tree_regressor"), folder)
    (folder / "requirements.txt").write_text(lines)
    status, printed = run(str(folder), tmp_path / "out")
    assert status == 2
    assert len(printed) == len(said)
    for sentence, part in zip(printed, said, strict=True):
        assert str(folder) in sentence
        assert part in sentence


def test_requirements_option(saved: Callable[[str], str], tmp_path: Path) -> None:
    """--requirements replaces the model's requirements.txt; a file that isn't there is an error of the command line."""
    folder, own = tmp_path / "model", tmp_path / "own.txt"
    shutil.copytree(saved("tree_regressor"), folder)
    (folder / "requirements.txt").write_text("-e .\n")
    own.write_text("scikit-learn\n")
    assert run(str(folder), tmp_path / "out")[0] == 2
    assert run(str(folder), tmp_path / "out", "--requirements", str(own)) == (0, [])
    assert "does not exist" in run(str(folder), tmp_path / "out", "--requirements", "nowhere.txt")[1][-1]


def test_folder_without_model(tmp_path: Path) -> None:
    """A folder without an MLmodel file is a problem."""
    status, lines = run(str(tmp_path), tmp_path / "out")
    assert (status, len(lines)) == (2, 1)
    assert lines[0].startswith(f"There is no MLmodel file in {tmp_path}; expected ")


def test_no_rows_can_be_made(tmp_path: Path) -> None:
    """A model without an example, for whose type no rows can be made, can't be verified, and the sentence says so."""
    inputs = models.schema((AnyType(), "x"))
    folder = models.formula(tmp_path / "model", "d['x'].map(float)", inputs, models.schema(("double",)))
    status, lines = run(str(folder), tmp_path / "out")
    assert (status, len(lines)) == (2, 1)
    assert "a table of rows that it was trained on with --signature-from, or save it again with input_ex" in lines[0]


@pytest.mark.parametrize(
    "name",
    [
        "categories",
        "wide",
        "optional_columns",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("times", "classifier", "two_outputs", "tensor")),
    ],
)
def test_parity(name: str, saved: Callable[[str], str], tmp_path: Path) -> None:
    """SQL returns the model's own predictions, whatever the types of its columns."""
    output = tmp_path / "out"
    assert run(saved(name), output) == (0, [])
    with Function(saved(name)) as function, BigQuery("my-project") as bigquery:
        place = {"project": "my-project", "dataset": "ds", "connection": "us.predict", "endpoint": function.url}
        bigquery.sql(render(load(saved(name)), **place))
        found = ModelReport.parse(json.loads(output.read_text()))
        rows = bigquery.sql(found.parity_query).table.to_pylist()
    assert differences(found, rows) == []


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("1.0", "d"), ("2.5", "d")], []),
        ([("1.0000000001", "d"), ("2.5", "d")], []),
        (
            [("1.0", "d"), ("2.500001", "d")],
            ["Row 1 of the input example: SQL gives 2.500001, the model's own library 2.5."],
        ),
        ([("1.0", "d"), ("null", "d")], ["Row 1 of the input example: SQL gives null, the model's own library 2.5."]),
        ([("1.0", "d")], ["SQL returned 1 row for 2 rows of the input example."]),
        ([("1.0", "e"), ("2.5", "e")], ["The model with digest e answers, not the deployed d."]),
    ],
    ids=["equal", "within-tolerance", "differs", "null", "too-few", "another-model"],
)
def test_difference(rows: Sequence[tuple[str, str]], said: list[str]) -> None:
    """A difference names its row and both values."""
    found = cast("ModelReport", SimpleNamespace(digest="d", predictions=[1.0, 2.5]))
    assert differences(found, [{"predicted": value, "digest": digest} for value, digest in rows]) == said


def test_report_is_kept(saved: Callable[[str], str], tmp_path: Path) -> None:
    """The second report on a model is the first one, kept."""
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(saved("tree_regressor"), first)[0] == run(saved("tree_regressor"), second)[0] == 0
    assert first.read_text() == second.read_text()
    assert json.loads(second.read_text())["digest"] == load(saved("tree_regressor")).info.digest
