"""A model's description crosses between environments as JSON, and SQL, pages and reports can't tell the difference."""

import datetime
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from launch.description import Description
from launch.inside import examine
from loading.plan import kernels
from loading.plan.check import ROWS
from loading.plan.kernel import Kernel
from model_loader import load
from serving.model import Model, ModelInfo
from serving.signature import Signature
from sql.names import callable_functions
from sql.render import render
from tests import models
from tests.sql.test_render import PLACE

Saved = Callable[[str], str]
MODELS = [
    "tree_regressor", "classifier", "categories", "times", "optional_columns", "tensor", "wide", "boosted",
    "python_model", "two_outputs", "odd_names", "structured", "optionals",
]  # fmt: skip


def parsed(model: Model) -> Description:
    """Return the description of a model after its way through JSON."""
    return Description.parse(Description(model, [], []).to_json())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("form", ["sql", "terraform"])
def test_same_sql(form: str, name: str, saved: Saved) -> None:
    """SQL and Terraform are those of the model itself."""
    model = load(saved(name))
    assert render(parsed(model).model, **PLACE, form=form) == render(model, **PLACE, form=form)


@pytest.mark.parametrize("name", MODELS)
def test_same_model(name: str, saved: Saved) -> None:
    """Signature, outputs, functions and information stay, down to the digest of the schema."""
    model = load(saved(name))
    found = parsed(model).model
    assert found.signature == model.signature
    assert found.signature.schema == model.signature.schema
    assert found.outputs == model.outputs
    assert found.sql_type == model.sql_type
    assert found.info == model.info
    assert found.notes == model.notes
    assert [it.name for it in callable_functions(found)] == [it.name for it in callable_functions(model)]


@pytest.mark.parametrize("wrong", [False, True])
def test_thorough_check(wrong: bool, saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    """An examination compares thousands of rows; a plan that differs only there must not answer in the function."""
    original = kernels.PREDICTORS["sklearn.DecisionTreeRegressor"]

    def tree(step: Any, method: str) -> Kernel:
        kernel = original(step, method)
        return lambda values: kernel(values) + (wrong and len(values) > ROWS)

    monkeypatch.setitem(kernels.PREDICTORS, "sklearn.DecisionTreeRegressor", tree)
    folder = Path(saved("tree_regressor"))
    assert load(str(folder)).plan
    found = Description.parse(examine(folder, "gs://b/m").to_json())
    assert found.settings == ({"MODEL_PLAN": "off"} if wrong else {})
    assert any("plan differs" in note for note in found.model.notes) == wrong


def test_classes(saved: Saved) -> None:
    """Classes are there if the model has probabilities, and only then."""
    assert list(parsed(load(saved("classifier"))).model.classes) == ["no", "yes"]
    assert parsed(load(saved("tree_regressor"))).model.probabilities is None


def test_cannot_predict(saved: Saved) -> None:
    """The description knows the model and doesn't have it."""
    found = parsed(load(saved("classifier"))).model
    with pytest.raises(NotImplementedError, match="is in its own environment"):
        found.predictor(None, None)
    assert found.probabilities is not None
    with pytest.raises(NotImplementedError):
        found.probabilities(None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.5, 1.5),
        (math.inf, math.inf),
        (2**63, 2**63),
        ("Zürich \u2028 '\"\\", "Zürich \u2028 '\"\\"),
        (None, None),
        ({"a": [1, None]}, {"a": [1, None]}),
        (np.int64(3), 3),
        (np.bool_(True), True),
        ({"a": np.float32(0.5)}, {"a": 0.5}),
        (np.array([1, 2]), [1, 2]),
        (b"\x00\xff", "AP8="),
        (pd.Timestamp("2020-01-02"), "2020-01-02T00:00:00.000000Z"),
        (datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC), "2020-01-02T00:00:00.000000Z"),
        (pd.NaT, None),
    ],
    ids=repr,
)
def test_values(value: Any, expected: Any) -> None:
    """JSON's own values stay; what JSON lacks is written as the function answers it."""
    model = Model(ModelInfo("m"), Signature((), None), lambda *_: None)
    found = Description.parse(Description(model, [[value]], [value], made_up=True, float32=True).to_json())
    assert (found.rows, found.predictions, found.made_up, found.float32) == ([[expected]], [expected], True, True)


def test_nan() -> None:
    """NaN stays NaN, which is no NULL."""
    model = Model(ModelInfo("m"), Signature((), None), lambda *_: None)
    found = Description.parse(Description(model, [[math.nan]], [math.nan]).to_json())
    assert math.isnan(found.rows[0][0])
    assert math.isnan(found.predictions[0])


@pytest.mark.parametrize("name", ["categories", "two_outputs", "classifier", "tensor"])
def test_examination(name: str, saved: Saved) -> None:
    """An examination has the example's rows, as many predictions, and the model's URI in place of its folder."""
    found = examine(Path(saved(name)), "gs://models/m")
    assert not found.made_up
    assert len(found.rows) == len(found.predictions) == 5
    assert found.model.info.uri == "gs://models/m"
    assert Description.parse(found.to_json()).rows == json.loads(json.dumps(found.rows))


@pytest.mark.parametrize("name", ["optional_columns", "times", "categories", "tensor"])
def test_examination_without_example(name: str, tmp_path: Path) -> None:
    """A model without an example is examined on rows made from its signature."""
    found = examine(getattr(models, name)(tmp_path / "model", input_example=None), "gs://models/m")
    assert found.made_up
    assert len(found.rows) == len(found.predictions) > 100


def test_model_that_refuses_made_up_rows(tmp_path: Path) -> None:
    """A model that can't predict what it never saw is examined without rows, and a note says why."""
    body = "if (d['x'] < 0).any():\n    raise ValueError('below zero')\nreturn d['x']"
    folder = models.formula(tmp_path / "model", body, models.schema(("double", "x")), models.schema(("double",)))
    found = examine(folder, "gs://models/m")
    assert (found.rows, found.predictions, found.made_up) == ([], [], True)
    assert "cannot predict rows made from its signature" in found.model.notes[-1]
    assert "below zero" in found.model.notes[-1]
