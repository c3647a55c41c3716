"""A NULL that the model refuses is one sentence with the column's name, whatever its library says about it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from starlette.testclient import TestClient

from tests.assertions import assert_error
from tests.models import save

NUMBERS = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "b": [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]})
TEXTS = NUMBERS.assign(city=["Bern", "Genf"] * 3)
ENCODER = make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough")


def whole(frame: pd.DataFrame) -> pd.DataFrame:
    """Convert column b to integers, which fails for a missing value."""
    return frame.assign(b=frame["b"].astype(int))


class Strict(mlflow.pyfunc.PythonModel):
    """Raises an error of several lines for a missing value."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        if model_input["b"].isna().any():
            raise ValueError("b is needed.\nSee the manual.\nAsk the author.")
        return model_input["a"]


def strict(folder: Path) -> Path:
    signature = infer_signature(NUMBERS, NUMBERS["a"])
    options: dict[str, Any] = {"input_example": NUMBERS, "pip_requirements": []}
    mlflow.pyfunc.save_model(folder, python_model=Strict(), signature=signature, **options)
    return folder


def fitted(model: Any, frame: pd.DataFrame) -> Callable[[Path], Path]:
    target = np.where(frame["a"] > 3, "high", "low") if isinstance(model, KNeighborsClassifier) else frame["a"]
    return lambda folder: save(folder, model.fit(frame, target), frame)


@pytest.mark.parametrize(
    ("saved_to", "row", "sentence"),
    [
        (fitted(KNeighborsClassifier(3), NUMBERS), [1, None], "b is NULL, which the model's KNeighborsClassifier doesn't take."),
        (fitted(LinearRegression(), NUMBERS), [None, None], "a is NULL, which the model's LinearRegression doesn't take."),
        (fitted(make_pipeline(ENCODER, LinearRegression()), TEXTS), [1, 1, None], "city is NULL, which the model's OneHotEncoder doesn't take."),
        (fitted(make_pipeline(ENCODER, LinearRegression()), TEXTS), [None, 1, "Bern"], "a is NULL, which the model's LinearRegression doesn't take."),
        (fitted(make_pipeline(FunctionTransformer(whole), LinearRegression()), NUMBERS), [1, None], "b is NULL, which the model's FunctionTransformer doesn't take."),
        (strict, [None, None], "b is NULL, which the model doesn't take: ValueError: b is needed."),
    ],
    ids=["number", "two numbers", "text", "beside a text", "function", "user code"],
)  # fmt: skip
def test_null_refused(
    saved_to: Callable[[Path], Path], row: list[Any], sentence: str, app: Callable[..., TestClient], tmp_path: Path
) -> None:
    """Under on_null "pass" the error names the row, the column and what refuses the NULL, in one sentence."""
    client = app(str(saved_to(tmp_path / "model")))
    good = [1, 1, "Bern"][: len(row)]
    response = client.post("/", json={"calls": [good, row, good], "userDefinedContext": {"on_null": "pass"}})
    assert_error(response, 400)
    assert response.json()["errorMessage"] == f"Row 1, column {sentence}"


def test_other_reason(app: Callable[..., TestClient], tmp_path: Path) -> None:
    """A row with a NULL that the model refuses for another reason gets the model's own words."""
    client = app(str(fitted(make_pipeline(ENCODER, LinearRegression()), TEXTS)(tmp_path / "model")))
    body = {"calls": [[None, 1, "Rome"]], "userDefinedContext": {"on_null": "pass"}}
    assert_error(client.post("/", json=body), 400, "Row 0: the model could not score it: ", "unknown categories")
