"""A booster fitted on category columns of pandas is refused when it is loaded, with ways out that work."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from lightgbm import Dataset, LGBMClassifier, LGBMRegressor, train
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from xgboost import DMatrix, XGBRegressor

from launch.inside import main
from model_loader import load
from serving.errors import ModelUnusable
from tests import models

pytestmark = pytest.mark.check
PLAIN = models.numbers(90, 1).assign(city=["Bonn", "Köln", "Ulm"] * 30, rooms=[10, 20, 30] * 30)
Y = np.array([1.0, 5.0, -3.0] * 30) + PLAIN.a.to_numpy()
CITIES = PLAIN[["a", "city"]].astype({"city": "category"})
ROOMS = PLAIN[["a", "rooms"]].astype({"rooms": "category"})
REFUSED = r"was fitted on category columns of pandas, which SQL can't pass: .*PythonModel.*OrdinalEncoder"


def light(**options: Any) -> Any:
    return LGBMRegressor(n_estimators=5, verbose=-1, **options)


def extreme() -> Any:
    return XGBRegressor(n_estimators=5, enable_categorical=True, tree_method="hist")


def behind_scaler() -> Any:
    """Return a pipeline that hands a category column on to its booster."""
    columns = ColumnTransformer([("a", StandardScaler(), ["a"])], remainder="passthrough")
    return make_pipeline(columns.set_output(transform="pandas"), light()).fit(CITIES, Y)


FITTED: dict[str, tuple[Callable[[], Any], pd.DataFrame]] = {
    "lightgbm": (lambda: light().fit(CITIES, Y), CITIES),
    "lightgbm classifier": (lambda: LGBMClassifier(n_estimators=2, verbose=-1).fit(CITIES, Y > 0), CITIES),
    "lightgbm booster": (lambda: train({"verbose": -1}, Dataset(CITIES, Y), 5), CITIES),
    "lightgbm integers": (lambda: light().fit(ROOMS, Y), ROOMS),
    "xgboost": (lambda: extreme().fit(CITIES, Y), CITIES),
    "xgboost booster": (lambda: extreme().fit(CITIES, Y).get_booster(), CITIES),
    "xgboost integers": (lambda: extreme().fit(ROOMS, Y), ROOMS),
    "search": (lambda: GridSearchCV(light(), {"max_depth": [3]}, cv=2).fit(CITIES, Y), CITIES),
    "vote": (lambda: VotingRegressor([("one", light())]).fit(CITIES, Y), CITIES),
    "pipeline": (lambda: make_pipeline(light()).fit(CITIES, Y), CITIES),
    "behind another step": (behind_scaler, CITIES),
}


def save(folder: Path, model: Any, **options: Any) -> str:
    library = type(model).__module__.partition(".")[0]
    if library == "sklearn":
        options["serialization_format"] = "cloudpickle"
    getattr(mlflow, library).save_model(model, str(folder), pip_requirements=models.PINS, **options)
    return str(folder)


@pytest.mark.parametrize("with_example", [False, True], ids=["signature", "example"])
@pytest.mark.parametrize(("make", "frame"), FITTED.values(), ids=FITTED)
def test_saved_signature(make: Callable[[], Any], frame: pd.DataFrame, with_example: bool, tmp_path: Path) -> None:
    """A signature turns categories into texts or integers, which the booster rejects or takes for codes."""
    example = {"input_example": frame[:5]} if with_example else {}
    folder = save(tmp_path / "model", make(), signature=infer_signature(frame, Y), **example)
    with pytest.raises(ModelUnusable, match=REFUSED):
        load(folder)


@pytest.mark.parametrize(("make", "frame"), FITTED.values(), ids=FITTED)
def test_no_signature(make: Callable[[], Any], frame: pd.DataFrame, tmp_path: Path) -> None:
    """No signature is made, nor is one from a table of rows asked for, which could not help."""
    folder = save(tmp_path / "model", make())
    with pytest.raises(ModelUnusable, match=REFUSED) as error:
        load(folder)
    assert "--signature-from" not in str(error.value)


def test_signature_from_refused(tmp_path: Path) -> None:
    """The examination for --signature-from refuses the model before a copy is made."""
    folder, output = save(tmp_path / "model", light().fit(CITIES, Y)), tmp_path / "output.json"
    main("fitted-on", folder, "gs://models/m", str(output))
    assert "gs://models/m was fitted on category columns" in output.read_text()


def test_codes_in_arrays(tmp_path: Path) -> None:
    """An array holds numbers, so codes that the caller passes are what the booster was fitted on."""
    codes = np.column_stack([PLAIN.a, np.arange(90) % 3])
    fitted = XGBRegressor(n_estimators=5, feature_types=["q", "c"], enable_categorical=True).fit(codes, Y)
    model = load(save(tmp_path / "model", fitted, signature=infer_signature(codes, Y)))
    assert model.signature.arguments == "x0 FLOAT64, x1 FLOAT64"
    booster = fitted.get_booster()
    assert booster.predict(DMatrix(codes, feature_types=["q", "c"], enable_categorical=True)).shape == (90,)


class Converting(mlflow.pyfunc.PythonModel):
    """The way out: it makes category columns of the texts that SQL passes."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        city = pd.Categorical(model_input["city"], categories=["Bonn", "Köln", "Ulm"])
        return self.estimator.predict(model_input.assign(city=city))


@pytest.mark.parametrize("make", [light, extreme])
def test_python_model_is_a_way_out(make: Callable[[], Any], tmp_path: Path, app: Any) -> None:
    """A PythonModel with the categories of the training data gives the booster's own predictions."""
    fitted = make().fit(CITIES, Y)
    rows = PLAIN[["a", "city"]]
    mlflow.pyfunc.save_model(
        str(tmp_path / "model"), python_model=Converting(fitted), signature=infer_signature(rows, Y),
        input_example=rows[:5], pip_requirements=models.PINS,
    )  # fmt: skip
    replies = app(str(tmp_path / "model")).post("/", json={"calls": rows[4:9].to_numpy().tolist()}).json()["replies"]
    assert replies == pytest.approx(fitted.predict(CITIES[4:9]).tolist())


@pytest.mark.parametrize("make", [light, extreme])
def test_encoder_is_a_way_out(make: Callable[[], Any], tmp_path: Path, app: Any) -> None:
    """A booster behind an OrdinalEncoder takes texts, with the signature that is made or saved."""
    rows = PLAIN[["a", "city"]]
    codes = ColumnTransformer([("city", OrdinalEncoder(), ["city"])], remainder="passthrough")
    fitted = make_pipeline(codes, make()).fit(rows, Y)
    for name, options in (("made", {}), ("saved", {"signature": infer_signature(rows, Y)})):
        folder = save(tmp_path / name, fitted, **options)
        replies = app(folder).post("/", json={"calls": rows[4:9].to_numpy().tolist()}).json()["replies"]
        assert replies == pytest.approx(fitted.predict(rows[4:9]).tolist())
