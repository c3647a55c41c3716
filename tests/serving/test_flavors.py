"""Any flavor: what the model gets and what the caller gets back does not depend on which library made the model."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.models import infer_signature
from starlette.testclient import TestClient
from xgboost import XGBClassifier, XGBRegressor

from model_loader import load
from tests.assertions import assert_error
from tests.conftest import ROOT
from tests.models import numbers

App = Callable[..., TestClient]


def replies(client: TestClient, calls: list[Any], path: str = "/") -> list[Any]:
    response = client.post(path, json={"calls": calls})
    assert response.status_code == 200, response.text
    return response.json()["replies"]  # type: ignore[no-any-return]


def test_optional_columns_reach_a_pyfunc_model_with_one_dtype_whatever_is_missing(
    app: App, saved: Callable[[str], str]
) -> None:
    client = app(saved("optionals"))
    full, empty = [1, True, 0.5, "a", "2020-01-01T00:00:00Z"], [None] * 5
    dtypes = "Int64/boolean/float64/str/datetime64[ns]"
    expected = [f"{dtypes}: 1 True 0.5 a 2020-01-01 00:00:00", f"{dtypes}: - - - - -"]
    assert replies(client, [full, empty]) == expected
    assert replies(client, [empty, full]) == expected[::-1]
    assert replies(client, [full]) + replies(client, [empty]) == expected


def test_wide_integers_reach_the_model_whole_beside_nulls(app: App, saved: Callable[[str], str]) -> None:
    rows = [["9007199254740993", None, None, None, None], [None] * 5]
    assert "9007199254740993" in replies(app(saved("optionals")), rows)[0]


def test_arrays_and_objects_come_as_json_and_leave_as_json(app: App, saved: Callable[[str], str]) -> None:
    client = app(saved("structured"))
    rows = [[[1, 2.5], {"name": "a", "age": "9007199254740993"}, None], [["NaN"], {"age": 1, "name": "b"}, 7]]
    assert replies(client, rows) == [{"sum": 3.5, "name": "a", "n": None}, {"sum": "NaN", "name": "b", "n": 7}]
    bad = client.post("/", json={"calls": [[[1], {"name": 5, "age": 1}, 1]]})
    assert_error(bad, 400, "Row 0, column who", ".name", "expected a string")


@pytest.mark.parametrize("kind", [XGBRegressor, XGBClassifier])
def test_xgboost_models_answer_as_they_do_in_a_notebook(kind: Any, app: App, tmp_path: Path) -> None:
    X = numbers()
    target = X.a if kind is XGBRegressor else (X.a > X.b).astype(int)
    model = kind(n_estimators=5).fit(X, target)
    signature = infer_signature(X, model.predict(X))
    mlflow.xgboost.save_model(model, str(tmp_path / "model"), signature=signature, pip_requirements=["xgboost"])
    client = app(str(tmp_path / "model"))
    assert replies(client, X[:50].to_numpy().tolist()) == model.predict(X[:50]).astype(np.float64).tolist()
    if kind is XGBClassifier:
        probabilities = replies(client, X[:50].to_numpy().tolist(), "/predict_proba")
        assert [row["1"] for row in probabilities] == model.predict_proba(X[:50])[:, 1].astype(np.float64).tolist()


def test_the_function_that_pyfunc_would_call_is_the_one_that_predict_calls(
    tmp_path: Path, saved: Callable[[str], str]
) -> None:
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


def test_code_that_travels_with_a_scikit_learn_model_is_found(tmp_path: Path) -> None:
    code = tmp_path / "code" / "travelling_step.py"
    code.parent.mkdir()
    code.write_text("def double(X):\n    return X * 2\n")
    save = f"""
import sys; sys.path.insert(0, {str(code.parent)!r})
import mlflow, travelling_step
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from tests.models import numbers
X = numbers()
model = make_pipeline(FunctionTransformer(travelling_step.double), LinearRegression()).fit(X, X.a)
mlflow.sklearn.save_model(model, {str(tmp_path / "model")!r}, serialization_format="cloudpickle",
    code_paths=[{str(code)!r}], signature=infer_signature(X, model.predict(X)), pip_requirements=["scikit-learn"])
"""
    subprocess.run([sys.executable, "-c", save], cwd=ROOT, check=True, capture_output=True)
    model = load(str(tmp_path / "model"))
    X = numbers()
    np.testing.assert_allclose(model.predictor(X, None), X.a)
    assert load(str(tmp_path / "model")).info.digest == model.info.digest  # loading leaves no bytecode behind
