"""A moved model is compared with the environment in which it was saved; only equal predictions let it pass."""

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from launch import judge as judging
from launch.environment import Environment
from launch.errors import Blocked
from launch.examine import examine
from launch.inside import main as inside
from launch.judge import judge
from launch.lock import Lock
from launch.needs import Needs
from tests import models
from tests.launch.test_matrix import SAVER, Year

Saved = Callable[[str], str]
NEEDS = Needs("3.8.18", (Requirement("numpy==1.19.5"),), saved="2022-12-01", mlflow="1.30.0")
MOVED = Lock("3.10", "numpy==1.22.4\n", moved=("numpy",))
PYTHON_ONLY = Lock("3.10", "numpy==1.19.5\n")


def told(_: str) -> None:
    """Take what a report says."""


@pytest.fixture
def sample(saved: Saved, tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """Return a function that makes rows for a model, with the predictions in this environment."""

    def find(folder: str) -> dict[str, Any]:
        inside("sample", folder, "gs://b/m", str(tmp_path / "sample.json"))
        found: dict[str, Any] = json.loads((tmp_path / "sample.json").read_text())
        return found

    return find


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this environment be the one that a model was saved in."""
    monkeypatch.setattr(judging, "make_own", lambda lock, *_: Environment(Path(sys.executable), lock))


@pytest.mark.parametrize("name", ["tree_regressor", "classifier", "categories", "two_outputs", "optional_columns"])
@pytest.mark.check
def test_equal(name: str, saved: Saved, sample: Callable[[str], Any], own: None) -> None:
    """Equal predictions are told, with their number and what was moved."""
    sentence = judge(Path(saved(name)), "gs://b/m", NEEDS, MOVED, sample(saved(name)), told)
    assert sentence == "All 200 predictions with numpy 1.22.4 are those of the environment that the model was saved in."


@pytest.mark.parametrize("lock", [MOVED, PYTHON_ONLY], ids=["package", "Python"])
@pytest.mark.check
def test_different(lock: Lock, saved: Saved, sample: Callable[[str], Any], own: None) -> None:
    """One different prediction refuses the model, and both values are shown."""
    found = sample(saved("tree_regressor"))
    found["predictions"][3] += 1e-6
    with pytest.raises(Blocked) as blocked:
        judge(Path(saved("tree_regressor")), "gs://b/m", NEEDS, lock, found, told)
    (sentence,) = blocked.value.blockers
    what = "numpy 1.22.4" if lock is MOVED else "Python 3.10"
    assert re.match(rf"The model at gs://b/m predicts differently with {what}: \S+ instead of \S+ for row 3 ", sentence)


def refuse(*_: object) -> Environment:
    raise Blocked(["There is no Python 3.8 on this machine."])


OBSTACLES: dict[str, tuple[Any, dict[str, Any], dict[str, Any], str]] = {
    "environment": (refuse, {}, {}, "There is no Python 3.8 on this machine"),
    "no rows": (refuse, {"columns": None}, {}, "no rows can be made from its signature"),
    "no Python": (refuse, {}, {"python": ""}, "the model doesn't say which Python it was saved with"),
    "model fails": (lambda lock, *_: Environment(Path(sys.executable), lock), {}, {}, "the model fails there ("),
}


@pytest.mark.parametrize(("make", "change", "needs", "said"), OBSTACLES.values(), ids=OBSTACLES)
def test_nothing_to_compare(
    make: Any, change: dict[str, Any], needs: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the model's own predictions, a moved package refuses it and names the pin; a moved Python is a note."""
    monkeypatch.setattr(judging, "make_own", make)
    found = {"columns": [["a", "float64", [1.0]]], "named": True, "predictions": [1.0], "float32": False, **change}
    asked = dataclasses.replace(NEEDS, **needs)
    sentence = judge(tmp_path, "gs://b/m", asked, PYTHON_ONLY, found, told)
    assert sentence.startswith(f"The model could not be compared with its own environment: {said}")
    with pytest.raises(Blocked) as blocked:
        judge(tmp_path, "gs://b/m", asked, MOVED, found, told)
    (sentence,) = blocked.value.blockers
    assert sentence.startswith("The model at gs://b/m needs numpy==1.19.5, which the function cannot have, and its own")
    assert said in sentence
    assert "--requirements" in sentence


@pytest.mark.check
def test_model_that_refuses_made_up_rows(sample: Callable[[str], Any], tmp_path: Path) -> None:
    """A model that refuses values that it never saw gives no rows to compare; it isn't an error."""
    body = "if (d['x'] < 9).any(): raise ValueError('x' * 5000)\nreturn d['x']"
    inputs, outputs = models.schema(("double", "x")), models.schema(("double",))
    folder = models.formula(tmp_path / "model", body, inputs, outputs)
    assert sample(str(folder)) == {"columns": None}
    inside("examine", str(folder), "gs://b/m", str(tmp_path / "found.json"))
    notes = json.loads(json.loads((tmp_path / "found.json").read_text())["description"])["notes"]
    (note,) = (each for each in notes if "rows made from its signature" in each)
    assert "ValueError: xxx" in note
    assert len(note) < 400


# The answer of this model depends on the NumPy that it runs with.
VERSIONED = """
import sys

import mlflow
import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.models.signature import infer_signature


class Versioned(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        import numpy

        return model_input["a"] * float(numpy.__version__.split(".")[1])


X = pd.DataFrame({"a": [1.0, 2.0]})
mlflow.pyfunc.save_model(
    sys.argv[1], python_model=Versioned(), signature=infer_signature(X, X["a"]),
    pip_requirements=["mlflow==1.30.0", "numpy==%s" % np.__version__],
)
"""


def old(numpy: str, day: str) -> Year:
    """Return an environment of Python 3.8 with a NumPy that the function can't have."""
    return Year("3.8", day, f"mlflow==1.30.0 scikit-learn==1.0.2 numpy=={numpy} pandas==1.3.5", "3.10")


def save_in(year: Year, program: str | Path, *arguments: str | Path) -> None:
    """Run a program in the environment of a year."""
    done = subprocess.run([year.environment().python, program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("numpy", ["1.19.5", "1.21.6"])
@pytest.mark.parametrize("kind", ["forest", "linear"])
def test_moved_numpy(numpy: str, kind: str, tmp_path: Path) -> None:
    """A forest and a linear model of Python 3.8 predict the same with the oldest NumPy that the function takes."""
    save_in(old(numpy, "2022-12-01"), SAVER, kind, tmp_path / "saved", "2022-12-01")
    with (tmp_path / "saved" / "model" / "requirements.txt").open("a") as stream:
        stream.write(f"\nnumpy=={numpy}\n")  # MLflow 1 doesn't name it
    found = examine(tmp_path / "saved" / "model", "gs://b/m")
    assert "numpy" in found.environment.lock.moved
    assert found.environment.lock.python == "3.10"
    assert found.notes[-1].startswith("All 200 predictions with numpy 1.2")


@pytest.mark.slow
def test_numpy_that_decides(tmp_path: Path) -> None:
    """A model whose answer depends on the version of NumPy is refused."""
    (tmp_path / "program.py").write_text(VERSIONED)
    save_in(old("1.21.6", "2022-12-01"), tmp_path / "program.py", tmp_path / "model")
    with pytest.raises(Blocked, match=r"^The model at gs://b/m predicts differently with numpy 1\.2\d\.\d"):
        examine(tmp_path / "model", "gs://b/m")
