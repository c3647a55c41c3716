"""A signature that declares other columns than the model was fitted on is found when the model is loaded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from lightgbm import LGBMRegressor
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from starlette.testclient import TestClient
from xgboost import DMatrix, XGBRegressor, train

from model_loader import load
from serving.errors import ModelUnusable
from tests import models
from tests.assertions import assert_error

X = models.numbers(60)
Y = X.sum(axis=1).to_numpy()
THREE = X[["a", "b", "c"]]
MIXED = X[["a", "b"]].assign(city=["Bern", "Genf"] * 30, note=["x"] * 60)
FITTED = "was fitted on 3 columns, but its signature declares"


def doubles(*names: str) -> Schema:
    return models.schema(*(("double", name) for name in names))


def unnamed(count: int) -> Schema:
    return models.schema(*[("double",)] * count)


def tensor(count: int) -> Schema:
    return Schema([TensorSpec(np.dtype("float64"), (-1, count))])


def save(folder: Path, model: Any, inputs: Schema) -> str:
    """Save a model with a signature and without an example, as somebody did who wrote the signature by hand."""
    flavor = type(model).__module__.partition(".")[0]
    options = {"serialization_format": "cloudpickle"} if flavor == "sklearn" else {}
    signature = ModelSignature(inputs, models.schema(("double",)))
    getattr(mlflow, flavor).save_model(model, str(folder), signature=signature, pip_requirements=models.PINS, **options)
    return str(folder)


def linear(given: Any) -> Any:
    return LinearRegression().fit(given, Y)


def selecting() -> Any:
    """Return a pipeline that encodes one column, passes another on, and drops the others."""
    columns = ColumnTransformer([("encoded", OneHotEncoder(), ["city"]), ("a", "passthrough", ["a"])])
    return make_pipeline(columns, LinearRegression()).fit(MIXED, Y)


def boosted() -> Any:
    return LGBMRegressor(n_estimators=2, verbose=-1).fit(THREE, Y)


FALSE: dict[str, tuple[Callable[[], Any], Schema, str]] = {
    "fewer": (lambda: linear(THREE), doubles("a", "b"), f"{FITTED} 2 and lacks c. "),
    "more": (lambda: linear(THREE), doubles("a", "b", "c", "d"), f"{FITTED} 4. "),
    "other name": (lambda: linear(THREE), doubles("a", "b", "z"), f"{FITTED} 3 and lacks c. "),
    "other order": (
        lambda: linear(THREE), doubles("b", "a", "c"), f"{FITTED} them in another order; expected a, b, c. ",
    ),
    "pipeline": (
        lambda: make_pipeline(StandardScaler(), LinearRegression()).fit(THREE, Y), doubles("a"),
        f"{FITTED} 1 and lacks b, c. ",
    ),
    "ensemble": (
        lambda: VotingRegressor([("l", LinearRegression())]).fit(THREE, Y), doubles("a", "b"),
        f"{FITTED} 2 and lacks c. ",
    ),
    "array": (lambda: linear(THREE.to_numpy()), doubles("a", "b"), f"{FITTED} 2. "),
    "array without names": (lambda: linear(THREE.to_numpy()), unnamed(2), f"{FITTED} 2. "),
    "tensor": (
        lambda: LinearRegression().fit(np.eye(192), range(192)), tensor(66),
        "was fitted on 192 columns, but its signature declares 66. ",
    ),
    "selected column": (
        selecting, doubles("a", "b"), "was fitted on 4 columns, but its signature declares 2 and lacks city. ",
    ),
    "xgboost": (
        lambda: XGBRegressor(n_estimators=2).fit(THREE, Y), doubles("a", "b"), f"{FITTED} 2 and lacks c. ",
    ),
    "booster on an array": (lambda: train({}, DMatrix(THREE.to_numpy(), Y), 2), tensor(2), f"{FITTED} 2. "),
    "lightgbm": (boosted, doubles("a", "b"), f"{FITTED} 2. "),
    "lightgbm booster": (lambda: boosted().booster_, doubles("a"), f"{FITTED} 1. "),
}  # fmt: skip


@pytest.mark.parametrize(("make", "inputs", "words"), FALSE.values(), ids=FALSE)
def test_false_signature_refused(make: Callable[[], Any], inputs: Schema, words: str, tmp_path: Path) -> None:
    """The error names both numbers, or the columns that are missing, and the way out."""
    folder = save(tmp_path / "model", make(), inputs)
    with pytest.raises(ModelUnusable) as refused:
        load(folder)
    assert words in str(refused.value)
    assert "--signature-from" in str(refused.value)


def test_false_signature_with_example(app: Callable[..., TestClient], tmp_path: Path) -> None:
    """An input example that the model can't score makes no difference."""
    folder = models.tree_regressor(tmp_path / "model")
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    mlmodel["signature"]["inputs"] = json.dumps(json.loads(mlmodel["signature"]["inputs"])[:3])
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))
    answer = app(str(folder)).post("/", json={"calls": [[1, 2, 3]]})
    assert_error(answer, 424, "was fitted on 4 columns, but its signature declares 3 and lacks d.")


def doubled(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["a"]].assign(city=frame["city"] == "Bern")


LEGITIMATE: dict[str, tuple[Callable[[], Any], Schema]] = {
    "dropped columns": (selecting, models.schema(("double", "a"), ("string", "city"))),
    "more than it selects": (selecting, models.schema(("string", "z"), ("double", "a"), ("string", "city"))),
    "text that no encoder knows": (
        lambda: make_pipeline(OneHotEncoder(), LinearRegression()).fit(MIXED[["city"]], Y),
        models.schema(("string", "city")),
    ),
    "function of the author": (
        lambda: make_pipeline(FunctionTransformer(doubled), OneHotEncoder(), LinearRegression()).fit(MIXED, Y),
        models.schema(("double", "a"), ("string", "city")),
    ),
    "names for an array": (lambda: linear(THREE.to_numpy()), doubles("x", "y", "z")),
    "no names": (lambda: linear(THREE), unnamed(3)),
    "names that LightGBM ignores": (boosted, doubles("first column", "b", "z")),
}


@pytest.mark.parametrize(("make", "inputs"), LEGITIMATE.values(), ids=LEGITIMATE)
def test_true_signature_served(make: Callable[[], Any], inputs: Schema, tmp_path: Path) -> None:
    """A model is served that drops or selects columns, ignores names, or rejects only the values of a made-up row."""
    assert len(load(save(tmp_path / "model", make(), inputs)).signature.columns) == len(inputs.inputs)


class Picky(mlflow.pyfunc.PythonModel):
    """Calls something else its features, and takes no made-up text."""

    feature_names_in_ = ("city_Bern", "city_Genf")

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        return model_input["city"].map({"Bern": 1.0, "Genf": 2.0}.__getitem__)


def test_wrapper_served(tmp_path: Path) -> None:
    """What a class of the author calls its features needn't be the columns that it takes."""
    signature = ModelSignature(models.schema(("string", "city")), models.schema(("double",)))
    folder = str(tmp_path / "model")
    mlflow.pyfunc.save_model(folder, python_model=Picky(), signature=signature, pip_requirements=models.PINS)
    assert load(folder).signature.arguments == "city STRING"
