"""Rows made from a signature are rows that the function and the model's own library take."""

import json
from collections.abc import Callable
from typing import Any

import mlflow.pyfunc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import AnyType, Array, Map, Object, Property

from launch.expected import predict_rows
from launch.made_rows import COUNT, made_rows
from loading.signature import read_signature
from model_loader import load
from serving.decoding import from_arguments
from serving.model import Model, ModelInfo
from serving.types import TYPES
from tests import models

Saved = Callable[[str], str]
SCALARS = [DataType[name] for name in TYPES if name in DataType.__members__]


def model_of(inputs: Schema) -> Model:
    """Return a model that declares these inputs; it has no estimator."""
    signature = read_signature({"signature": ModelSignature(inputs).to_dict()}, "m")
    assert signature is not None
    return Model(ModelInfo("m"), signature, lambda *_: None)


def assert_fit(model: Model) -> list[list[Any]]:
    """Assert that the function takes all rows that are made for a model, as JSON too; return them."""
    rows = made_rows(model)
    assert len(rows) == COUNT
    for calls in (rows, json.loads(json.dumps(rows, allow_nan=False))):
        found = from_arguments(model.signature, calls)
        assert found.errors() == {}
    return rows


@pytest.mark.parametrize("required", [True, False], ids=["required", "optional"])
@pytest.mark.parametrize("mlflow_type", SCALARS, ids=lambda it: it.name)
def test_type(mlflow_type: DataType, required: bool) -> None:
    """Rows of each MLflow type fit; NULL stands in an optional column, unless MLflow refuses it there."""
    rows = assert_fit(model_of(Schema([ColSpec(mlflow_type, "x", required=required), ColSpec("double", "y")])))
    nulls = sum(row[0] is None for row in rows)
    expected = not required and mlflow_type.name not in ("boolean", "integer", "long")
    assert (0 < nulls < COUNT / 4) if expected else nulls == 0
    assert all(row[1] is not None for row in rows)


NESTED = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: st.one_of(
        inner.map(Array),
        inner.map(Map),
        st.dictionaries(st.sampled_from("abc"), st.tuples(inner, st.booleans()), min_size=1).map(
            lambda found: Object([Property(name, *spec) for name, spec in found.items()])
        ),
    ),
    max_leaves=4,
)


@given(st.lists(st.tuples(NESTED, st.booleans()), min_size=1, max_size=4))
@settings(max_examples=50)
def test_nested_types(specs: list[tuple[Any, bool]]) -> None:
    """Rows of arrays, maps and objects fit, whatever they hold."""
    columns = [ColSpec(each, f"x{at}", required=required) for at, (each, required) in enumerate(specs)]
    assert_fit(model_of(Schema(columns)))


@pytest.mark.parametrize("shape", [(-1,), (-1, 3), (-1, 2, 2)], ids=str)
@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint8", "int16", "int32", "int64", "uint64", "float32", "float64", "str"]
)
@pytest.mark.parametrize("names", [[None], ["a", "b"]], ids=["one", "named"])
def test_tensors(names: list[str | None], dtype: str, shape: tuple[int, ...]) -> None:
    """Rows of tensors fit."""
    assert_fit(model_of(Schema([TensorSpec(np.dtype(dtype), shape, name) for name in names])))


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("inner", [AnyType(), Array(AnyType()), Object([Property("a", Map(AnyType()))])], ids=repr)
def test_impossible_type(inner: Any, required: bool) -> None:
    """For a column that may hold anything no rows are made, however deep the type is and whether it is optional."""
    columns = [ColSpec("double", "y"), ColSpec(inner, "x", required=required)]
    assert made_rows(model_of(Schema(columns))) == []


@pytest.mark.parametrize("name", ["tree_regressor", "categories", "times", "optional_columns", "tensor", "wide"])
def test_model(name: str, saved: Saved) -> None:
    """Rows fit real models, whose own library predicts all of them."""
    model = load(saved(name))
    rows = assert_fit(model)
    assert len(predict_rows(mlflow.pyfunc.load_model(saved(name)), rows, model).predictions) == COUNT


def test_same_rows_again(saved: Saved) -> None:
    """The same model gets the same rows, so that a second examination finds the same."""
    model = load(saved("categories"))
    assert made_rows(model) == made_rows(model)


def test_categories_are_known_ones(saved: Saved) -> None:
    """Texts are the categories that the model's encoder knows."""
    rows = made_rows(load(saved("categories")))
    assert {row[1] for row in rows} == {"Bern", "Zürich", "Genf"}
    assert {row[2] for row in rows} == {"S", "M", "L"}


def test_categories_of_another_type(tmp_path: Any) -> None:
    """Categories that aren't of the column's declared type are not used."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder
    from sklearn.tree import DecisionTreeRegressor

    X = models.numbers(columns=2).round(1)
    pipeline = make_pipeline(OneHotEncoder(handle_unknown="ignore"), DecisionTreeRegressor()).fit(X, X.a)
    model = load(str(models.save(tmp_path / "model", pipeline, X)))
    assert {type(value) for row in assert_fit(model) for value in row} == {float}
