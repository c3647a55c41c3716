"""Models in environments other than this project's own: packages that aren't there, or older than here."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeClassifier

from loading import installed
from loading.failures import loading_errors
from model_loader import load
from serving.errors import ModelUnusable
from tests import models
from tests.conftest import ROOT

WITHOUT_SKLEARN = """
import sys
sys.modules["sklearn"] = sys.modules["skops"] = None
import main, model_loader
model = model_loader.load(sys.argv[1])
assert model.example_error is None, model.example_error
"""


@pytest.mark.check
def test_without_sklearn_and_skops(tmp_path: Path) -> None:
    """A model that needs neither scikit-learn nor skops is served where they aren't installed."""
    number, example = models.schema(("double", "x")), pd.DataFrame({"x": [1.0, 2.0]})
    folder = models.formula(tmp_path / "model", "d.x * 2", number, models.schema(("double",)), example)
    command = [sys.executable, "-W", "ignore", "-c", WITHOUT_SKLEARN, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("line", ["scikit-learn==1.2.2", "numpy"])
def test_sklearn_missing(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that needs scikit-learn, where it is missing, asks for it by the name of the package."""
    (tmp_path / "requirements.txt").write_text(line)
    monkeypatch.delitem(sys.modules, "sklearn")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    package = line if line.startswith("scikit-learn") else "scikit-learn"
    with (
        pytest.raises(ModelUnusable, match=f"deploy with {package} in requirements.txt"),
        loading_errors(tmp_path, "X"),
    ):
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")


@pytest.mark.parametrize("metadata", [None, "Metadata-Version: 2.1\nName: numpy\n"])
def test_package_without_version(
    metadata: str | None, saved: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package without metadata, or without a version in it, is left out of what is reported."""
    (tmp_path / "numpy-1.0.dist-info").mkdir()
    if metadata:
        (tmp_path / "numpy-1.0.dist-info" / "METADATA").write_text(metadata)
    monkeypatch.syspath_prepend(tmp_path)
    assert installed.version("numpy") is None
    assert installed.version("there is no such package") is None
    assert load(saved("tree_regressor")).info.versions.keys() == {"python", "mlflow-skinny", "pandas", "scikit-learn"}


@pytest.mark.parametrize("attribute", ["lgb_model", "cb_model", "xgb_model"])
def test_classifier_of_older_mlflow(
    attribute: str, saved: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """predict_proba is found in a model of an MLflow without get_raw_model."""
    classifier: Any = DecisionTreeClassifier().fit([[0.0] * 5, [1.0] * 5], ["a", "b"])
    wrapper = SimpleNamespace(**{attribute: classifier})
    loaded = SimpleNamespace(
        metadata=SimpleNamespace(signature=None),
        predict=lambda data, params=None: ["a"] * len(data),
        _model_impl=wrapper,
    )
    monkeypatch.setattr(mlflow.pyfunc, "load_model", lambda folder: loaded)
    model = load(saved("optionals"))
    assert list(model.classes) == ["a", "b"]
    assert model.probabilities == classifier.predict_proba


def test_mlflow_returns_no_model(saved: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A model for which MLflow returns None is unusable, and the message says what to change."""
    monkeypatch.setattr(mlflow.pyfunc, "load_model", lambda folder: None)
    with pytest.raises(ModelUnusable, match=r"MLflow \S+ returned no model\. Deploy with another version of mlflow"):
        load(saved("optionals"))
