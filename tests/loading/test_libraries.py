"""Which models count as code of their authors, and that such code stays in the thread that has loaded it."""

import io
import pickle
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeRegressor
from starlette.testclient import TestClient

import model_steps
from loading.libraries import PACKAGES, RecordingUnpickler
from model_loader import load
from tests import models

NUMBER = ModelSignature(Schema([ColSpec("double", "x")]), Schema([ColSpec("double")]))
IN_ONE_THREAD = {
    "asks for an event loop": ("pass", "asyncio.run(asyncio.sleep(0))"),
    "uses the thread's event loop": ("pass", "asyncio.get_event_loop().run_until_complete(asyncio.sleep(0))"),
    "has a database connection": (
        "self.database = sqlite3.connect(':memory:')",
        "self.database.execute('select 1').fetchall()",
    ),
    "keeps a value in its thread": (
        "self.local = threading.local(); self.local.value = 1",
        "assert self.local.value",
    ),
    "sets context variables": (
        "setting.set(1); decimal.getcontext().prec = 50",
        "assert (setting.get(), decimal.getcontext().prec) == (1, 50)",
    ),
}
SCRIPT = """
    import asyncio, contextvars, decimal, mlflow, sqlite3, threading

    setting = contextvars.ContextVar("setting")

    class Model(mlflow.pyfunc.PythonModel):
        def load_context(self, context):
            {load}

        def predict(self, context, model_input, params=None):
            {predict}
            return model_input["x"]

    mlflow.models.set_model(Model())
"""


@pytest.mark.parametrize(
    ("name", "user_code"),
    [
        ("tree_regressor", False),
        ("categories", False),
        ("boosted", False),
        ("tensor", False),
        ("times", True),  # a FunctionTransformer with a function of this repository
        ("python_model", True),
        ("structured", True),
    ],
)
def test_user_code_is_recognized(name: str, user_code: bool, saved: Callable[[str], str]) -> None:
    """A model counts as user code if anything in it was written by its author."""
    assert load(saved(name)).user_code == user_code


def test_skops_model_is_library_code(tmp_path: Path) -> None:
    """A model saved by skops has only types that were reviewed."""
    types = ["sklearn.tree._tree.Tree"]
    folder = models.tree_regressor(tmp_path / "model", serialization_format="skops", skops_trusted_types=types)
    assert not load(str(folder)).user_code


@pytest.mark.parametrize("kind", [GradientBoostingClassifier, HistGradientBoostingClassifier])
def test_boosting_is_library_code(kind: Any) -> None:
    """scikit-learn's gradient boosting isn't taken for code of the author's."""
    X = models.numbers(60)
    unpickler = RecordingUnpickler(io.BytesIO(pickle.dumps(kind(max_depth=1).fit(X, X.a > 0))))
    unpickler.load()
    assert unpickler.packages - PACKAGES == set()


@pytest.mark.parametrize(("file", "user_code"), [("model_steps.py", False), ("steps.py", True)])
def test_own_files(file: str, user_code: bool, tmp_path: Path) -> None:
    """The steps of this project count as a library, any other file that comes with a model as user code."""
    code = tmp_path / file
    shutil.copy(model_steps.__file__, code)
    X = models.numbers()
    model = make_pipeline(model_steps.ZeroCount(), DecisionTreeRegressor()).fit(X, X.a)
    assert load(str(models.save(tmp_path / "model", model, X, code_paths=[str(code)]))).user_code == user_code


@pytest.mark.parametrize("case", IN_ONE_THREAD)
def test_user_code_stays_in_its_thread(case: str, app: Callable[..., TestClient], tmp_path: Path) -> None:
    """Code that needs the thread in which it was loaded, or an event loop, always gives its prediction."""
    load_line, predict_line = IN_ONE_THREAD[case]
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT).format(load=load_line, predict=predict_line))
    example = pd.DataFrame({"x": [1.0, 2.0]})
    mlflow.pyfunc.save_model(
        tmp_path / "model", python_model=str(script), signature=NUMBER, input_example=example, pip_requirements=[]
    )
    with app(str(tmp_path / "model")) as client:
        for count in [1, 1, 1, 1000, 1, 1, 1000, 1, 1, 1]:
            assert client.post("/", json={"calls": [[3]] * count}).json() == {"replies": [3.0] * count}
