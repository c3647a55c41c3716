"""What the model's own library predicts, as the JSON values that SQL must return."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import yaml

from launch import own_library
from launch.expected import Expected, frame_of, input_example, portable, predict
from launch.inside import examine
from model_loader import load
from serving.encoding import settle_outputs
from serving.model import Model, ModelInfo
from serving.signature import Output, Signature
from tests import models

Saved = Callable[[str], str]


def predicted(result: Any, names: list[str] | None = None) -> Expected:
    """Return the predictions for two rows of a model that predicts this, with these output names in its signature."""
    declared = None if names is None else tuple(Output(name, "JSON") for name in names)
    outputs = settle_outputs(result, declared, 2) if names is None else declared
    model = Model(ModelInfo("m"), Signature((), outputs), lambda *_: result, outputs=outputs)
    library = cast("mlflow.pyfunc.PyFuncModel", SimpleNamespace(predict=lambda _: result))
    return predict(library, pd.DataFrame({"a": [1, 2]}), model)


@pytest.mark.parametrize(
    ("result", "names", "predictions"),
    [
        (np.array([1.5, np.nan]), None, [1.5, np.nan]),
        (np.array([[1.5], [2.5]]), ["y"], [1.5, 2.5]),
        (np.array([[1, 2], [3, 4]]), None, [{"0": 1, "1": 2}, {"0": 3, "1": 4}]),
        (np.array([[1, 2], [3, 4]]), ["low", "high"], [{"low": 1, "high": 2}, {"low": 3, "high": 4}]),
        (np.array([[1, 2], [3, 4]]), ["one"], [{"0": 1, "1": 2}, {"0": 3, "1": 4}]),
        (pd.DataFrame({"y": [1.5, 2.5]}), ["other"], [1.5, 2.5]),
        (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), None, [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
        (pd.Series([True, pd.NA], dtype="boolean"), None, [True, None]),
        (pd.Series(["a", np.nan], dtype=object), None, ["a", None]),
        (pd.Series([1.5, np.nan], dtype=object), None, [1.5, np.nan]),
        (["a", "b"], None, ["a", "b"]),
        (
            {"label": np.array(["x", "y"]), "p": np.array([[0.5, 0.25, 0.25], [0.0, 0.5, 0.5]]), "n": np.ones((2, 1))},
            None,
            [{"label": "x", "p": [0.5, 0.25, 0.25], "n": 1.0}, {"label": "y", "p": [0.0, 0.5, 0.5], "n": 1.0}],
        ),
    ],
    ids=str,
)
def test_predictions_are_json_values(result: Any, names: list[str] | None, predictions: list[Any]) -> None:
    """Several outputs become an object by the signature's or the frame's names, a missing value becomes None."""
    assert repr(predicted(result, names).predictions) == repr(predictions)


@pytest.mark.parametrize(
    ("result", "float32"),
    [
        (np.ones(2, np.float32), True),
        (np.ones((2, 3), np.float32), True),
        (pd.DataFrame({"a": np.ones(2), "b": np.ones(2, np.float32)}), True),
        (np.ones(2), False),
        (["a", "b"], False),
    ],
    ids=str,
)
def test_float32_is_noted(result: Any, float32: bool) -> None:
    """A single output in single precision marks the prediction."""
    assert predicted(result).float32 == float32


def test_no_rows_ask_nothing_of_the_model() -> None:
    """Without rows there is nothing to predict; many models fail on an empty frame."""
    model = Model(ModelInfo("m"), Signature((), None), lambda *_: None)
    assert predict(cast("mlflow.pyfunc.PyFuncModel", None), pd.DataFrame(), model) == Expected([])


@pytest.mark.parametrize("name", ["categories", "two_outputs", "tensor", "wide"])
def test_input_example(name: str, saved: Saved) -> None:
    """The example's rows are argument lists in the signature's order, each with a prediction."""
    model = load(saved(name))
    rows, expected = input_example(Path(saved(name)), model)
    assert len(rows) == len(expected.predictions) == 5
    assert {len(row) for row in rows} == {len(model.signature.columns)}


def test_input_example_without_missing_booleans(tmp_path: Path) -> None:
    """MLflow reads a missing boolean as False, so rows with one are left out of rows and predictions."""
    example = pd.DataFrame(
        {
            "a": [0.5, 1.5, None],
            "n": pd.array([1, 2, 3], dtype="Int64"),
            "b": pd.array([True, None, True], dtype="boolean"),
        }
    )
    folder = models.optional_columns(tmp_path / "model", input_example=example)
    rows, expected = input_example(folder, load(str(folder)))
    assert [row[1:] for row in rows] == [[1, True], [3, True]]
    assert len(expected.predictions) == 2


def test_library_predicts_its_example(saved: Saved) -> None:
    """The expectation is pyfunc's prediction for the example as MLflow reads it."""
    direct = mlflow.pyfunc.load_model(saved("tree_regressor"))
    _, expected = input_example(Path(saved("tree_regressor")), load(saved("tree_regressor")))
    assert expected.predictions == direct.predict(direct.input_example).tolist()


@pytest.mark.parametrize("signed", [True, False], ids=["signature", "none"])
@pytest.mark.parametrize("name", ["tree_regressor", "categories", "classifier"])
def test_sklearn_flavor_alone(name: str, signed: bool, saved: Saved, tmp_path: Path) -> None:
    """A model without python_function, which pyfunc doesn't load, is predicted by the loader of its flavor."""
    folder = tmp_path / "model"
    shutil.copytree(saved(name), folder)
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    del mlmodel["flavors"]["python_function"]
    if not signed:
        del mlmodel["signature"], mlmodel["saved_input_example_info"]
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))
    _, expected = input_example(Path(saved(name)), load(saved(name)))
    description = examine(folder, "gs://b/m")
    assert description.rows
    if signed:
        assert description.predictions == expected.predictions
    else:
        assert description.made_up
    columns = portable(frame_of(description.rows, load(str(folder))))
    assert columns is not None
    judged = own_library.predict(str(folder), {"columns": columns, "named": True})
    assert judged == pytest.approx(description.predictions)
