"""What a deployment finds out about a model: what it needs, whether it fits, and what it predicts."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from bqlocal.bigquery import BigQuery
from deploy import parity
from deploy.model import main
from deploy.requirements import fitted
from launch.function import Function
from model_loader import load
from sql.render import render

LOCKED = "numpy==2.4.6\nscikit-learn==1.9.1\n    # via x\npandas==3.1.1\n"


def run(model: str, output: Path) -> tuple[int, list[str]]:
    ended = CliRunner().invoke(main, ["--model", model, "--functions", "my-project.ds", "--output", str(output)])
    return ended.exit_code, ended.output.splitlines()


@pytest.fixture
def edited(tmp_path: Path, saved: Callable[[str], str]) -> Callable[[str, Callable[[dict], None]], str]:  # type: ignore[type-arg]
    """Return a copy of a model whose MLmodel file was changed."""
    import shutil

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
        (lambda it: it.update(signature=None), "has no signature"),
        (lambda it: it["flavors"]["sklearn"].update(sklearn_version="1.8.2"), "saved with scikit-learn 1.8.2"),
        (lambda it: it["flavors"]["python_function"].update(python_version="3.10.4"), "saved with Python 3.10.4"),
        (lambda it: it.pop("saved_input_example_info"), "has no input example"),
    ],
    ids=["no-signature", "other-scikit-learn", "other-python", "no-example"],
)
def test_a_model_that_cannot_be_deployed_is_refused_by_a_sentence(
    change: Callable[..., None], said: str, edited: Callable[..., str], tmp_path: Path
) -> None:
    status, lines = run(edited("tree_regressor", change), tmp_path / "out")
    assert status == 2
    assert len(lines) == 1
    assert said in lines[0]


def test_all_that_stands_against_a_model_is_listed(edited: Callable[..., str], tmp_path: Path) -> None:
    def change(mlmodel: dict) -> None:  # type: ignore[type-arg]
        mlmodel["flavors"]["sklearn"]["sklearn_version"] = "1.7.0"
        mlmodel["flavors"]["python_function"]["python_version"] = "3.9.1"

    assert len(run(edited("tree_regressor", change), tmp_path / "out")[1]) == 2


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    assert run(str(tmp_path), tmp_path / "out")[0] == 2


@pytest.mark.parametrize(
    "name", ["categories", "times", "classifier", "two_outputs", "wide", "optional_columns", "tensor"]
)
def test_the_gate_holds_for_columns_of_every_kind(name: str, saved: Callable[[str], str], tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert run(saved(name), output) == (0, [])
    with Function(saved(name)) as function, BigQuery("my-project") as bigquery:
        place = {"project": "my-project", "dataset": "ds", "connection": "us.predict", "endpoint": function.url}
        bigquery.sql(render(saved(name), **place))
        rows = bigquery.sql((output / "parity.sql").read_text()).table.to_pylist()
    assert parity.differences(json.loads((output / "expected.json").read_text()), rows) == []


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
        ([("1.0", "d")], ["SQL returned 1 rows for 2 rows of the input example."]),
        ([("1.0", "e"), ("2.5", "e")], ["The model with digest e answers, not the deployed d."]),
    ],
    ids=["equal", "within-tolerance", "differs", "null", "too-few", "another-model"],
)
def test_a_difference_is_named_by_its_row(rows: Sequence[tuple[str, str]], said: list[str]) -> None:
    expected = {"digest": "d", "predictions": [1.0, 2.5]}
    assert parity.differences(expected, [{"predicted": value, "digest": digest} for value, digest in rows]) == said


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
def test_the_requirements_are_the_lock_with_what_the_model_needs(
    wanted: list[str], flavors: dict[str, dict[str, str]], lines: list[str]
) -> None:
    text, problems = fitted(LOCKED, wanted, flavors)
    assert (text.split(), problems) == (lines, [])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("scikit-learn==1.8.0", "The model was saved with scikit-learn 1.8.0, the function has 1.9.1"),
        ("numpy==1.26.4", "The model was saved with numpy 1.26.4, the function has 2.4.6"),
        ("-e git+https://example.com/x.git", "The model's requirements.txt has '-e git+https://example.com/x.git'"),
    ],
)
def test_a_version_that_does_not_fit_is_a_problem(line: str, said: str) -> None:
    assert [problem[: len(said)] for problem in fitted(LOCKED, [line], {})[1]] == [said]


def test_what_was_found_out_is_not_computed_twice(saved: Callable[[str], str], tmp_path: Path) -> None:
    assert (
        run(saved("tree_regressor"), tmp_path / "first")[0] == run(saved("tree_regressor"), tmp_path / "second")[0] == 0
    )
    digest = load(saved("tree_regressor")).info.digest
    for name in ("digest", "runtime", "requirements.txt", "functions", "parity.sql", "expected.json"):
        assert (tmp_path / "first" / name).read_text() == (tmp_path / "second" / name).read_text()
    assert (tmp_path / "second" / "digest").read_text().strip() == digest
