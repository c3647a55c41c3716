"""Raw rows, with gaps and text, can be sent to a saved model in either format."""

from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow.models import get_model_info
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline

from train.data import Data
from train.features import preparation
from train.package import Format, save, signature

ROWS = pd.DataFrame(
    {
        "size": np.where(np.arange(80) % 7, np.linspace(20, 200, 80), np.nan),
        "city": ["Bern", "Köln", None, "Graz"] * 20,
        "new": [True, False] * 40,
    }
)
PRICE = pd.Series(np.linspace(1.0, 9.0, 80), name="price")


@pytest.mark.parametrize(("form", "file"), [("skops", "model.skops"), ("cloudpickle", "model.pkl")])
def test_gaps_and_text_are_part_of_the_model(form: Format, file: str, tmp_path: Path) -> None:
    pipeline = make_pipeline(preparation(ROWS), HistGradientBoostingRegressor(max_iter=5)).fit(ROWS, PRICE)
    assert save(pipeline, Data("homes", ROWS, PRICE, "regression"), tmp_path / "model", form, {"seed": 1}) == form
    assert (tmp_path / "model" / file).is_file()
    inputs = get_model_info(str(tmp_path / "model")).signature.inputs.to_dict()
    assert [(column["name"], column["type"], column["required"]) for column in inputs] == [
        ("size", "double", False),
        ("city", "string", False),
        ("new", "boolean", True),
    ]
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    np.testing.assert_allclose(loaded.predict(ROWS), pipeline.predict(ROWS), rtol=0, atol=1e-9)
    unseen = pd.DataFrame({"size": [np.nan], "city": ["Oslo"], "new": [True]})
    assert np.isfinite(loaded.predict(unseen)).all()


def test_numbers_without_gaps_need_no_preparation() -> None:
    assert preparation(ROWS[["new"]].assign(size=1.0)) is None


def test_a_type_that_is_not_trusted_is_saved_with_cloudpickle(tmp_path: Path) -> None:
    from xgboost import XGBRegressor

    pipeline = make_pipeline(XGBRegressor(n_estimators=2)).fit(ROWS[["size"]], PRICE)
    data = Data("homes", ROWS[["size"]], PRICE, "regression")
    assert save(pipeline, data, tmp_path / "model", "skops", {}) == "cloudpickle"
    assert "xgboost==" in (tmp_path / "model" / "requirements.txt").read_text()


def test_whole_numbers_become_optional_doubles() -> None:
    (inputs,) = signature(ROWS[["size"]].fillna(1.0), PRICE, ["size"]).inputs.to_dict()
    assert inputs == {"type": "double", "name": "size", "required": False}
