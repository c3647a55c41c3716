"""A saved model takes raw rows, with gaps and text, in either format."""

from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow.models import get_model_info
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline

from train.data import Data
from train.features import Columns, encoder
from train.package import ModelFormat, save, signature

ROWS = pd.DataFrame(
    {
        "size": np.where(np.arange(80) % 7, np.linspace(20, 200, 80), np.nan),
        "city": ["Bern", "Köln", None, "Graz"] * 20,
        "new": [True, False] * 40,
    }
)
PRICE = pd.Series(np.linspace(1.0, 9.0, 80), name="price")


@pytest.mark.parametrize(("model_format", "file"), [("skops", "model.skops"), ("cloudpickle", "model.pkl")])
def test_preprocessing_is_part_of_the_model(model_format: ModelFormat, file: str, tmp_path: Path) -> None:
    """A model saved in either format predicts the same as before for rows with gaps, and takes unseen values."""
    pipeline = make_pipeline(encoder(Columns.of(ROWS)), HistGradientBoostingRegressor(max_iter=5)).fit(ROWS, PRICE)
    data = Data("homes", ROWS, PRICE, "regression")
    assert save(pipeline, data, tmp_path / "model", model_format, {"seed": 1}) == model_format
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


def test_complete_numbers_need_no_preprocessing() -> None:
    """Columns of numbers without gaps go to the estimator as they are."""
    assert Columns.of(ROWS[["new"]].assign(size=1.0)).plain


def test_untrusted_type_is_saved_with_cloudpickle(tmp_path: Path) -> None:
    """A pipeline with a type outside the trusted list is saved with cloudpickle, and its package is required."""
    from xgboost import XGBRegressor

    pipeline = make_pipeline(XGBRegressor(n_estimators=2)).fit(ROWS[["size"]], PRICE)
    data = Data("homes", ROWS[["size"]], PRICE, "regression")
    assert save(pipeline, data, tmp_path / "model", "skops", {}) == "cloudpickle"
    assert "xgboost==" in (tmp_path / "model" / "requirements.txt").read_text()


def test_named_columns_are_optional() -> None:
    """A column named as optional is so in the signature even without gaps in the rows."""
    (inputs,) = signature(ROWS[["size"]].fillna(1.0), PRICE, "regression", ["size"]).inputs.to_dict()
    assert inputs == {"type": "double", "name": "size", "required": False}
