"""What a model receives and what its caller gets must not depend on the library that the model was made with."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from starlette.testclient import TestClient
from xgboost import XGBClassifier, XGBRegressor

from model_loader import load
from tests.assertions import assert_error
from tests.models import numbers

App = Callable[..., TestClient]


def replies(client: TestClient, calls: list[Any], path: str = "/") -> list[Any]:
    response = client.post(path, json={"calls": calls})
    assert response.status_code == 200, response.text
    return response.json()["replies"]  # type: ignore[no-any-return]


def test_optional_columns(app: App, saved: Callable[[str], str]) -> None:
    """Optional columns reach a pyfunc model with the same dtypes, whichever values are NULL."""
    client = app(saved("optionals"))
    full, empty = [1, True, 0.5, "a", "2020-01-01T00:00:00Z"], [None] * 5
    dtypes = "Int64/boolean/float64/object/datetime64[ns]"
    expected = [f"{dtypes}: 1 True 0.5 a 2020-01-01 00:00:00", f"{dtypes}: - - - - -"]
    assert replies(client, [full, empty]) == expected
    assert replies(client, [empty, full]) == expected[::-1]
    assert replies(client, [full]) + replies(client, [empty]) == expected


def test_large_integer_beside_null(app: App, saved: Callable[[str], str]) -> None:
    """An integer beyond 2^53 reaches the model exactly, even in a column with NULLs."""
    rows = [["9007199254740993", None, None, None, None], [None] * 5]
    assert "9007199254740993" in replies(app(saved("optionals")), rows)[0]


def test_arrays_and_objects(app: App, saved: Callable[[str], str]) -> None:
    """Arrays and objects are JSON arguments and replies."""
    client = app(saved("structured"))
    rows = [[[1, 2.5], {"name": "a", "age": "9007199254740993"}, None], [["NaN"], {"age": 1, "name": "b"}, 7]]
    assert replies(client, rows) == [{"sum": 3.5, "name": "a", "n": None}, {"sum": "NaN", "name": "b", "n": 7}]
    bad = client.post("/", json={"calls": [[[1], {"name": 5, "age": 1}, 1]]})
    assert_error(bad, 400, "Row 0, column who", ".name", "expected a string")


@pytest.mark.parametrize("estimator", [XGBRegressor, XGBClassifier])
def test_xgboost(estimator: Any, app: App, tmp_path: Path) -> None:
    """An XGBoost model gives the predictions that it gives in a notebook."""
    X = numbers()
    target = X.a if estimator is XGBRegressor else (X.a > X.b).astype(int)
    model = estimator(n_estimators=5).fit(X, target)
    signature = infer_signature(X, model.predict(X))
    mlflow.xgboost.save_model(model, str(tmp_path / "model"), signature=signature, pip_requirements=["xgboost"])
    client = app(str(tmp_path / "model"))
    assert replies(client, X[:50].to_numpy().tolist()) == model.predict(X[:50]).astype(np.float64).tolist()
    if estimator is XGBClassifier:
        probabilities = replies(client, X[:50].to_numpy().tolist(), "/predict_proba")
        assert [row["1"] for row in probabilities] == model.predict_proba(X[:50])[:, 1].astype(np.float64).tolist()


def test_pyfunc_predict_fn(tmp_path: Path, saved: Callable[[str], str]) -> None:
    """predict calls the method that the model was saved with for pyfunc."""
    model = mlflow.sklearn.load_model(saved("classifier"))
    X = numbers()
    mlflow.sklearn.save_model(
        model, str(tmp_path / "model"), pyfunc_predict_fn="predict_proba", serialization_format="cloudpickle",
        signature=infer_signature(X, model.predict_proba(X)), pip_requirements=["scikit-learn"],
    )  # fmt: skip
    loaded = load(str(tmp_path / "model"))
    np.testing.assert_array_equal(
        loaded.predictor(X, None), mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(X)
    )
    assert loaded.sql_type == "JSON"


def test_code_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scikit-learn model finds the code that was saved with it, and loading it changes no file."""
    code = tmp_path / "code" / "doubling_step.py"
    code.parent.mkdir()
    code.write_text("def double(X):\n    return X * 2\n")
    X = numbers()
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(code.parent))
        double = import_module("doubling_step").double
        model = make_pipeline(FunctionTransformer(double), LinearRegression()).fit(X, X.a)
        mlflow.sklearn.save_model(
            model, str(tmp_path / "model"), serialization_format="cloudpickle", code_paths=[str(code)],
            signature=infer_signature(X, model.predict(X)), pip_requirements=["scikit-learn"],
        )  # fmt: skip
        del sys.modules["doubling_step"]
    code.unlink()
    loaded = load(str(tmp_path / "model"))
    assert Path(sys.modules["doubling_step"].__file__ or "").is_relative_to(tmp_path / "model")
    np.testing.assert_allclose(loaded.predictor(X, None), X.a)
    assert load(str(tmp_path / "model")).info.digest == loaded.info.digest  # no bytecode was written
