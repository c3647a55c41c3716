"""Models of five years and a dozen libraries, saved where they come from and served in the environment made for them.

Each is saved by tests/launch/saver.py in an environment of its day, examined, served as a process, and asked over HTTP
as BigQuery asks. The replies must be what the saver's own library predicted.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from launch.environment import Environment, find_python, make_own
from launch.errors import Blocked
from launch.examine import examine
from launch.function import Function
from launch.lock import Lock
from launch.needs import read_needs
from parity.compare import differences

SAVER = Path(__file__).parent / "saver.py"


@dataclass(frozen=True)
class Year:
    """The environment that a model is saved in: `runs_on` is the Python that it is served with."""

    python: str
    day: str
    packages: str
    runs_on: str

    def environment(self) -> Environment:
        """Return the environment, made once; skip the test where the machine has no such Python."""
        for python in {self.python, self.runs_on}:
            try:
                find_python(python)
            except Blocked as error:
                pytest.skip(error.blockers[0])
        lines = [*self.packages.split(), "setuptools<81"]
        return make_own(Lock(self.python, "\n".join(lines) + "\n"), self.day, lambda _: None)


YEARS = {
    "2022": Year("3.8", "2022-12-01", "mlflow==1.30.0 scikit-learn==1.0.2 numpy==1.23.5 pandas==1.5.2", "3.10"),
    "2023": Year("3.10", "2023-12-20", "mlflow==2.9.2 scikit-learn==1.2.2 numpy==1.23.5 pandas==1.5.3", "3.10"),
    "2024": Year("3.11", "2024-07-10", "mlflow==2.14.1 scikit-learn==1.4.2 numpy==1.26.4 pandas==2.2.2", "3.11"),
    "2025": Year("3.12", "2025-07-20", "mlflow==3.1.1 scikit-learn==1.6.1 numpy==2.2.6 pandas==2.3.1", "3.12"),
    "2026": Year("3.13", "2026-03-01", "mlflow==3.10.0 scikit-learn==1.8.0 numpy==2.4.2 pandas==2.3.3", "3.13"),
    "libraries": Year(
        "3.11",
        "2024-10-10",
        "mlflow==2.16.2 scikit-learn==1.5.2 numpy==1.26.4 pandas==2.2.3 xgboost==2.1.1 lightgbm==4.5.0 "
        "catboost==1.2.7 statsmodels==0.14.4 prophet==1.1.6 onnx==1.16.2 onnxruntime==1.19.2 spacy==3.7.6",
        "3.11",
    ),
}
EXACT = 0.0
SUMS = 1e-9  # linear algebra: the order of the sums depends on the memory's order and on the batch
FLOAT32 = 1e-5
SKLEARN = {
    "linear": SUMS,
    "linear-unpinned": SUMS,
    "linear-conda": SUMS,
    "forest_on_array": SUMS,  # saved with n_jobs=-1, which sums in any order
    "texts": EXACT,  # labels
    "forest": EXACT,
    "own_code": SUMS,
}
LIBRARIES = {
    "xgboost_booster": FLOAT32,
    "xgboost_wrapper": EXACT,
    "lightgbm": EXACT,
    "catboost": EXACT,
    "statsmodels": SUMS,
    "onnx": FLOAT32,
    "spacy": FLOAT32,
}
CELLS = [
    *((year, kind, tolerance) for year in YEARS if year != "libraries" for kind, tolerance in SKLEARN.items()),
    *(("libraries", kind, tolerance) for kind, tolerance in LIBRARIES.items()),
]
CHECKED = {("2023", "texts")}  # in make check; all others in make slow


def cells() -> list[Any]:
    """Return the cells of the matrix as parameters of a test."""
    found = []
    for year, kind, tolerance in CELLS:
        mark = pytest.mark.environments if (year, kind) in CHECKED else pytest.mark.slow
        found.append(pytest.param(year, kind, tolerance, id=f"{year}-{kind}", marks=mark))
    return found


@pytest.mark.parametrize(("year", "kind", "tolerance"), cells())
def test_matrix(year: str, kind: str, tolerance: float, tmp_path: Path) -> None:
    """A model of another year is served with its own packages, and answers what its own library predicts."""
    saved_in = YEARS[year]
    program = [saved_in.environment().python, SAVER, kind, tmp_path / "saved", saved_in.day]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    wanted = json.loads((tmp_path / "saved" / "answers.json").read_text())
    assert len(wanted["rows"]) == len(wanted["predictions"]) >= 50
    found = examine(tmp_path / "saved" / "model", "gs://b/m")
    lock = found.environment.lock
    assert (lock.python, lock.moved) == (saved_in.runs_on, ())
    pins = dict(each.split("==") for each in saved_in.packages.split())
    for package in pins.keys() & read_needs(found.folder, "gs://b/m").names - {"mlflow"}:
        installed = {package, f"{package}-cpu"} & lock.versions.keys()
        assert {lock.versions[name] for name in installed} == {pins[package]}
    assert replies(str(found.folder), found.environment, wanted["rows"], wanted["predictions"], tolerance) == []


@pytest.mark.slow
def test_prophet_refused(tmp_path: Path) -> None:
    """Prophet sorts its rows by time, so a batch in another order would get other rows' predictions: it is refused."""
    saved_in = YEARS["libraries"]
    program = [saved_in.environment().python, SAVER, "prophet", tmp_path / "saved", saved_in.day]
    subprocess.run(program, cwd=tmp_path, capture_output=True, check=True)
    with pytest.raises(Blocked, match="another order than its rows: for those of its input example in reverse order"):
        examine(tmp_path / "saved" / "model", "gs://b/m")


def replies(model: str, environment: Environment, rows: Any, predictions: Any, tolerance: float) -> list[Any]:
    """Return the rows for which the function, asked as BigQuery asks, doesn't reply with the predictions."""
    body = {
        "requestId": "1",
        "caller": "//bigquery.googleapis.com/projects/p/jobs/j",
        "sessionUser": "ana@example.com",
        "userDefinedContext": {"function": "predict"},
        "calls": rows,
    }
    with Function(model, python=environment.python) as function:
        answer = httpx.post(function.url, json=body, timeout=300, trust_env=False).json()
    assert "replies" in answer, answer
    return differences(answer["replies"], predictions, tolerance)
