"""--signature-from: a table of training rows gives a model without a signature one, in a copy of the model."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler

from launch import sign
from launch.errors import Blocked
from launch.examine import Examined, Options, examine
from launch.function import ROOT, Function
from launch.processes import free_port
from launch.sign import signed_copy
from model_loader import folder_digest, load
from tests import models

TABLE = pd.DataFrame({"b": [1, 2, 3], "a": [1.5, None, 3.0], "c": ["x", "y", None]})
NAMED = {"names": ["a", "b"], "count": 2}
SILENT: dict[str, Any] = {"names": [], "count": 0}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a model whose MLmodel file has nothing about inputs."""
    monkeypatch.setattr(sign, "SIGNED", tmp_path / "signed")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("flavors: {}\n")
    return tmp_path / "model"


def inputs(folder: Path) -> list[str]:
    """Return the inputs in a model's signature, as name, type and a question mark for optional ones."""
    found = yaml.safe_load(yaml.safe_load((folder / "MLmodel").read_text())["signature"]["inputs"])
    return [f"{each['name']} {each['type']}{'' if each['required'] else '?'}" for each in found]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("fitted_on", "expected"),
    [
        (NAMED, ["a double?", "b long"]),
        (SILENT, ["b long", "a double?", "c string?"]),
        ({"names": [], "count": 3}, ["b long", "a double?", "c string?"]),
    ],
    ids=["names", "nothing", "count"],
)
def test_columns(fitted_on: dict[str, Any], expected: list[str], suffix: str, folder: Path, tmp_path: Path) -> None:
    """The model's own columns and order count, and the table's where it tells none; missing values make optional."""
    table = tmp_path / f"rows.{suffix}"
    TABLE.to_csv(table, index=False) if suffix == "csv" else TABLE.to_parquet(table)
    before = folder_digest(folder)
    copy = signed_copy(folder, "gs://b/m", table, before, lambda: fitted_on)
    assert inputs(copy) == expected
    assert folder_digest(folder) == before
    assert signed_copy(folder, "gs://b/m", table, before, lambda: fitted_on) == copy


NO_FIT: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "missing": ("rows.csv", "b,x\n1,2\n", NAMED, "has no a, which the model at gs://b/m was fitted on; it has b, x."),
    "several missing": ("rows.csv", "x\n1\n", NAMED, "has no a, b, which the model"),
    "count": (
        "rows.csv",
        "x,y\n1,2\n",
        {"names": [], "count": 3},
        "has 2 columns, the model at gs://b/m takes 3: leave",
    ),
    "no rows": ("rows.csv", "a,b\n", NAMED, "has no rows; expected some of those that the model was trained on."),
    "empty": ("rows.csv", "", NAMED, "cannot be read as a table: No columns to parse"),
    "not Parquet": ("rows.parquet", "a,b\n1,2\n", NAMED, "cannot be read as a table: "),
    "other suffix": ("rows.xlsx", "a,b\n1,2\n", NAMED, "expected a file that ends with .csv or .parquet."),
}


@pytest.mark.parametrize(("name", "text", "fitted_on", "said"), NO_FIT.values(), ids=NO_FIT)
def test_table_that_does_not_fit(
    name: str, text: str, fitted_on: dict[str, Any], said: str, folder: Path, tmp_path: Path
) -> None:
    """A table that can't be read, or whose columns aren't the model's, is one sentence that names it."""
    (tmp_path / name).write_text(text)
    with pytest.raises(Blocked) as blocked:
        signed_copy(folder, "gs://b/m", tmp_path / name, "digest", lambda: fitted_on)
    (sentence,) = blocked.value.blockers
    assert str(tmp_path / name) in sentence
    assert said in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_all_digits_are_kept(suffix: str, folder: Path, tmp_path: Path) -> None:
    """The example has the table's numbers exactly: a rounded one may lie outside the range of the training."""
    values = [*np.random.default_rng(1).normal(size=18), 1e-300, np.nan]
    frame, table = pd.DataFrame({"a": values}), tmp_path / f"rows.{suffix}"
    frame.to_csv(table, index=False) if suffix == "csv" else frame.to_parquet(table)
    copy = signed_copy(folder, "gs://b/m", table, "digest", lambda: SILENT)
    written = json.loads((copy / "input_example.json").read_text())
    assert written == {"columns": ["a"], "data": [[value] for value in (*values[:-1], None)]}


def test_rows_at_the_edge_of_training(folder: Path, tmp_path: Path) -> None:
    """A root of values scaled to the range of training exists for every row of the table, its minimum included."""
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 4)), columns=list("abcd"))
    estimator = make_pipeline(MinMaxScaler(), FunctionTransformer(np.sqrt), LinearRegression()).fit(X, X.a)
    _save(estimator, str(tmp_path / "roots"))
    X.loc[[*X.idxmin(), *range(5)]].to_csv(tmp_path / "rows.csv", index=False)
    model = load(str(signed_copy(tmp_path / "roots", "gs://b/m", tmp_path / "rows.csv", "digest", lambda: SILENT)))
    assert len(model.example) == 9
    assert model.example_error is None


WEIGHTED = """
import mlflow


class Weighted(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["b"] * 2 + model_input["a"].fillna(0)


mlflow.models.set_model(Weighted())
"""


Saved = tuple[pd.DataFrame, list[list[Any]], list[Any], str]


def text(folder: str) -> Saved:
    """A vectorizer of texts takes no DataFrame."""
    table = pd.DataFrame({"text": ["good day", "bad day", "very good", "very bad"] * 10})
    estimator = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(table["text"], [1, 0, 1, 0] * 10)
    _save(estimator, folder)
    return table, [["good"], ["a bad day"]], [1, 0], "text STRING"


def own(folder: str) -> Saved:
    """A PythonModel tells nothing about its columns."""
    code = Path(f"{folder}.py")
    code.write_text(WEIGHTED)
    mlflow.pyfunc.save_model(folder, python_model=str(code), pip_requirements=models.PINS)
    return TABLE[["a", "b"]], [[1.5, 1], [None, 2]], [3.5, 4.0], "a FLOAT64, b INT64"


def array(folder: str) -> Saved:
    """A model that was fitted on an array: the table gives its columns names."""
    X = np.arange(60.0).reshape(20, 3) % 7
    _save(LinearRegression().fit(X, X.sum(axis=1)), folder)
    table = pd.DataFrame(X, columns=["alpha", "beta", "gamma"])
    return table, [[1.0, 2.0, 3.0]], [6.0], "alpha FLOAT64, beta FLOAT64, gamma FLOAT64"


def extra(folder: str) -> Saved:
    """A table with columns that the model doesn't take, in another order."""
    X = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [1.0, 0.0, 3.0]})
    _save(LinearRegression().fit(X, X.a * 2 + X.b), folder)
    return X.assign(y=1)[["y", "b", "a"]], [[1.0, 3.0]], [5.0], "a FLOAT64, b FLOAT64"


def _save(estimator: Any, folder: str) -> None:
    mlflow.sklearn.save_model(estimator, folder, pip_requirements=models.PINS, serialization_format="cloudpickle")


def signed(save: Callable[[str], Saved], folder: Path) -> tuple[Examined, Saved]:
    """Return a model that got its signature from a table, and what it must answer."""
    saved = save(str(folder / "model"))
    saved[0].to_csv(folder / "rows.csv", index=False)
    options = Options(signature_from=folder / "rows.csv")
    return examine(folder / "model", "gs://b/m", options=options), saved


@pytest.mark.slow
@pytest.mark.parametrize("save", [text, own, array, extra])
def test_copy_is_served(save: Callable[[str], Saved], tmp_path: Path) -> None:
    """The copy has the table's columns and example, passes the check at load, and answers."""
    found, (_, rows, expected, arguments) = signed(save, tmp_path)
    description = found.description
    assert description.model.signature.arguments == arguments
    assert not description.made_up
    assert len(description.rows) == len(description.predictions) >= 3
    with Function(str(found.folder), python=found.environment.python) as function:
        answer = httpx.post(function.url, json={"calls": rows}, timeout=120, trust_env=False).json()
    assert answer == {"replies": [pytest.approx(each) for each in expected]}


@contextlib.contextmanager
def command(*arguments: str | Path) -> Iterator["subprocess.Popen[str]"]:
    """Run a command of this project until the end of the block."""
    program = [sys.executable, "-m", *map(str, arguments)]
    running = subprocess.Popen(
        program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    with running:
        try:
            yield running
        finally:
            running.send_signal(signal.SIGINT)


@pytest.mark.check
def test_local_up(tmp_path: Path) -> None:
    """`local up --signature-from` serves the copy, and its curl command has a row of the table."""
    own(str(tmp_path / "model"))
    TABLE.to_csv(tmp_path / "rows.csv", index=False)
    options = ("--model", tmp_path / "model", "--signature-from", tmp_path / "rows.csv", "--port", str(free_port()))
    with command("local", "up", *options) as running:
        assert running.stdout is not None
        lines = [running.stdout.readline(), running.stdout.readline()]
        url = re.findall(r"http://[\d.:]+", lines[0])[0]
        answer = httpx.post(url, json={"calls": [[1, 1.5, "x"]]}, timeout=120, trust_env=False).json()
    assert answer == {"replies": [3.5]}
    assert '"calls": [[1, 1.5, "x"]]' in lines[1]
