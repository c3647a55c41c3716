"""What a deployment finds out about a model: what it needs, whether it fits, and what it predicts."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from bqlocal.bigquery import BigQuery
from deploy.model import main
from deploy.observation import ModelReport
from deploy.requirements import fit_requirements
from deploy.verify import differences
from launch.function import Function
from model_loader import load
from sql.render import render

pytestmark = pytest.mark.check

LOCKED = "numpy==2.4.6\nscikit-learn==1.9.1\n    # via x\npandas==3.1.1\n"


def run(model: str, output: Path) -> tuple[int, list[str]]:
    """Return the status of `python -m deploy.model` and the lines it printed."""
    ended = CliRunner().invoke(main, ["--model", model, "--functions", "my-project.ds", "--output", str(output)])
    return ended.exit_code, ended.output.splitlines()


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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda it: it["flavors"]["sklearn"].update(sklearn_version="1.8.2"), "saved with scikit-learn 1.8.2"),
        (lambda it: it["flavors"]["python_function"].update(python_version="3.10.4"), "saved with Python 3.10.4"),
        (lambda it: it.pop("saved_input_example_info"), "has no input example"),
    ],
    ids=["other-scikit-learn", "other-python", "no-example"],
)
def test_unfit_model(change: Callable[..., None], said: str, edited: Callable[..., str], tmp_path: Path) -> None:
    """A model that cannot be deployed is reported in one sentence."""
    status, lines = run(edited("tree_regressor", change), tmp_path / "out")
    assert status == 2
    assert len(lines) == 1
    assert said in lines[0]


def test_all_problems_at_once(edited: Callable[..., str], tmp_path: Path) -> None:
    """All problems of a model are listed at once."""

    def change(mlmodel: dict) -> None:  # type: ignore[type-arg]
        mlmodel["flavors"]["sklearn"]["sklearn_version"] = "1.7.0"
        mlmodel["flavors"]["python_function"]["python_version"] = "3.9.1"

    assert len(run(edited("tree_regressor", change), tmp_path / "out")[1]) == 2


def test_folder_without_model(tmp_path: Path) -> None:
    """A folder without an MLmodel file is a problem."""
    assert run(str(tmp_path), tmp_path / "out")[0] == 2


@pytest.mark.parametrize(
    "name", ["categories", "times", "classifier", "two_outputs", "wide", "optional_columns", "tensor"]
)
def test_parity(name: str, saved: Callable[[str], str], tmp_path: Path) -> None:
    """SQL returns the model's own predictions, whatever the types of its columns."""
    output = tmp_path / "out"
    assert run(saved(name), output) == (0, [])
    with Function(saved(name)) as function, BigQuery("my-project") as bigquery:
        place = {"project": "my-project", "dataset": "ds", "connection": "us.predict", "endpoint": function.url}
        bigquery.sql(render(saved(name), **place))
        report = ModelReport.parse(json.loads(output.read_text()))
        rows = bigquery.sql(report.parity_query).table.to_pylist()
    assert differences(report, rows) == []


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
    report = ModelReport("d", "python311", "", ("predict", "model_info"), "", [1.0, 2.5])
    assert differences(report, [{"predicted": value, "digest": digest} for value, digest in rows]) == said


@pytest.mark.parametrize(
    ("wanted", "flavors", "lines"),
    [
        (["mlflow==3.17.2", "scikit-learn==1.9.1"], {}, ["numpy==2.4.6", "scikit-learn==1.9.1", "pandas==3.1.1"]),
        (["scikit-learn==1.9.0"], {}, ["numpy==2.4.6", "scikit-learn==1.9.0", "pandas==3.1.1"]),
        (["numpy==2.3.0"], {}, LOCKED.replace("    # via x\n", "").split()),
        (["xgboost==3.2.0"], {}, [*LOCKED.replace("    # via x\n", "").split(), "xgboost==3.2.0"]),
        ([], {"lightgbm": {"lgb_version": "4.7.0"}}, [*LOCKED.replace("    # via x\n", "").split(), "lightgbm==4.7.0"]),
    ],
    ids=["same", "patch-of-scikit-learn", "lock-stays", "added", "flavor-s-package"],
)
def test_requirements(wanted: list[str], flavors: dict[str, dict[str, str]], lines: list[str]) -> None:
    """The requirements are the locked ones, and what else the model needs."""
    text, problems = fit_requirements(LOCKED, wanted, flavors)
    assert (text.split(), problems) == (lines, [])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("scikit-learn==1.8.0", "The model was saved with scikit-learn 1.8.0, but the function has 1.9.1"),
        ("numpy==1.26.4", "The model was saved with numpy 1.26.4, but the function has 2.4.6"),
        ("-e git+https://example.com/x.git", "The model's requirements.txt has '-e git+https://example.com/x.git'"),
    ],
)
def test_incompatible_version(line: str, said: str) -> None:
    """A package whose version does not fit the function is a problem."""
    assert [problem[: len(said)] for problem in fit_requirements(LOCKED, [line], {})[1]] == [said]


def test_report_is_kept(saved: Callable[[str], str], tmp_path: Path) -> None:
    """The second report on a model is the first one, kept."""
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(saved("tree_regressor"), first)[0] == run(saved("tree_regressor"), second)[0] == 0
    assert first.read_text() == second.read_text()
    assert json.loads(second.read_text())["digest"] == load(saved("tree_regressor")).info.digest
