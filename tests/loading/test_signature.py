"""Which arguments a model has in SQL, for every form of signature that MLflow writes, and what it then gets."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import AnyType, Array, Map, Object, Property
from starlette.testclient import TestClient

from loading.signature import read_signature
from model_loader import load
from serving.errors import ModelUnusable
from tests.assertions import assert_error
from tests.models import formula, schema

App = Callable[..., TestClient]
DOUBLE = schema(("double",))


def tensor(dtype: str, *shape: int, name: str | None = None) -> TensorSpec:
    return TensorSpec(np.dtype(dtype), shape, name)


# inputs, body, function, calls, replies
SERVED: dict[str, tuple[Sequence[Any], str, str, Any, Any]] = {
    "one dimension": ([tensor("float64", -1)], "d * 2", "predict", [[1.0], [2.5]], [2.0, 5.0]),
    "two dimensions": ([tensor("float32", -1, 2)], "d[:, 0] - d[:, 1]", "predict", [[3, 1], [0, 1]], [2.0, -1.0]),
    "one column": ([tensor("float64", -1, 1)], "d[:, 0] * d.ndim", "predict", [[3]], [6.0]),
    "named": ([tensor("float32", -1, 3, name="a")], "d['a'].sum(axis=1)", "predict", [[1, 2, 3]], [6.0]),
    "named by name": (
        [tensor("float32", -1, 2, name="a")], "d['a'][:, 0]", "predict_row", [[{"a0": 1, "a1": 2}]], [1.0],
    ),
    "bytes": ([tensor("uint8", -1, 2)], "d.sum(axis=1).astype(float)", "predict", [[255, 2]], [257.0]),
    "small integers": ([tensor("int8", -1, 1)], "d[:, 0] * 1.0", "predict", [[-128]], [-128.0]),
    "half": ([tensor("float16", -1, 1)], "d[:, 0].astype(float)", "predict", [[0.5]], [0.5]),
    "booleans": ([tensor("bool", -1, 2)], "d.all(axis=1) * 1.0", "predict", [[True, False]], [0.0]),
    "texts": (
        [tensor("str", -1, 2)], "np.char.str_len(d).sum(axis=1) * 1.0", "predict", [["ab", "c"], ["", "d"]], [3.0, 1.0],
    ),
    "several": (
        [tensor("float32", -1, 3, name="a"), tensor("float64", -1, 1, name="b")],
        "d['a'].sum(axis=1) * d['b'][:, 0]", "predict_row", [[{"a": [1, 2, 3], "b": [2]}], [{"b": [0], "a": [1, 1, 1]}]],
        [12.0, 0.0],
    ),
    "several by position": (
        [tensor("int64", -1, name="a"), tensor("str", -1, 2, name="b")],
        "d['a'] + (d['b'] == 'x').sum(axis=1)", "predict", [[1, ["x", "x"]], [2, ["", "x"]]], [3.0, 3.0],
    ),
    "matrices": ([tensor("float64", -1, 2, 2)], "np.trace(d, axis1=1, axis2=2)", "predict", [[[[1, 2], [3, 4]]]], [5.0]),
    "object": (
        [ColSpec(Object([Property("k", DataType.double)]), "o")], "[o['k'] * 2 for o in d.o]", "predict", [[{"k": 1.5}]],
        [3.0],
    ),
    "map": ([ColSpec(Map(DataType.long), "m")], "[sum(m.values()) * 1.0 for m in d.m]", "predict", [[{"a": 1}]], [1.0]),
    "array": ([ColSpec(Array(DataType.double), "v")], "[sum(v) for v in d.v]", "predict", [[[1.5, 2]]], [3.5]),
    "anything": ([ColSpec(AnyType(), "v")], "[len(str(v)) * 1.0 for v in d.v]", "predict", [["abc"]], [3.0]),
}  # fmt: skip


@pytest.mark.parametrize(("inputs", "body", "function", "calls", "replies"), SERVED.values(), ids=SERVED)
def test_served(
    inputs: Sequence[Any], body: str, function: str, calls: Any, replies: Any, app: App, tmp_path: Path
) -> None:
    """The model gets its arrays or columns in the declared shape and dtype."""
    client = app(str(formula(tmp_path / "model", body, Schema(list(inputs)), DOUBLE)))
    response = client.post("/", json={"calls": calls, "userDefinedContext": {"function": function}})
    assert response.json() == {"replies": replies}


# dtype and shape, call, what the 400 says
BAD_VALUES = {
    "byte too large": (("uint8", -1, 2), [1, 256], "holds 0 to 255"),
    "byte with a fraction": (("uint8", -1, 1), [1.5], "expected a whole number"),
    "negative": (("uint16", -1, 1), [-1], "holds 0 to 65535"),
    "half too large": (("float16", -1, 1), [70000], "ends at 65504"),
    "text for a number": (("float64", -1, 1), ["a"], "expected a number"),
    "number for a text": (("str", -1, 1), [1], "expected a string"),
    "another shape": (("float64", -1, 2, 2), [[[1, 2]]], "expected an array of shape [2, 2]"),
    "ragged": (("float64", -1, 2, 2), [[[1, 2], [3]]], "expected an array of shape [2, 2]"),
    "no array": (("float64", -1, 2, 2), [1], "expected an array of shape [2, 2]"),
}


@pytest.mark.parametrize(("spec", "call", "words"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_bad_value_in_tensor(spec: tuple[str, int], call: Any, words: str, app: App, tmp_path: Path) -> None:
    """A value that the tensor can't hold is a 400 that says what was expected."""
    client = app(str(formula(tmp_path / "model", "np.zeros(len(d))", Schema([tensor(*spec)]), DOUBLE)))
    assert_error(client.post("/", json={"calls": [call]}), 400, "Row 0", words)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool", "str"])
def test_null_in_tensor_without_missing(dtype: str, app: App, tmp_path: Path) -> None:
    """Where a dtype has no missing value, NULL is NULL or, under on_null = pass, an error: never 0 or a text."""
    client = app(str(formula(tmp_path / "model", "np.ones(len(d))", Schema([tensor(dtype, -1, 1)]), DOUBLE)))
    assert client.post("/", json={"calls": [[None]]}).json() == {"replies": [None]}
    response = client.post("/", json={"calls": [[None]], "userDefinedContext": {"on_null": "pass"}})
    assert_error(response, 400, "Row 0, column x0 is NULL")


REFUSED = {
    "open dimension": [tensor("float64", -1, -1)],
    "no rows": [tensor("float64", 3)],
    "complex": [tensor("complex128", -1, 2)],
    "the same name twice": [ColSpec("double", "a"), ColSpec("double", "a")],
}


@pytest.mark.parametrize("inputs", REFUSED.values(), ids=REFUSED)
def test_refused(inputs: list[Any]) -> None:
    """What SQL can't express is refused with the reason and a way out."""
    with pytest.raises(ModelUnusable, match=r"Save it with|Rename the columns"):
        read_signature({"signature": {"inputs": json.dumps(Schema(inputs).to_dict())}}, "m")


@pytest.mark.parametrize("name", [["a"], {"a": 1}, None, True])
def test_name_of_no_use(name: Any) -> None:
    """A column's name that is neither a text nor a number is refused."""
    with pytest.raises(ModelUnusable, match="expected a text or a number"):
        read_signature({"signature": {"inputs": json.dumps([{"type": "double", "name": name}])}}, "m")


def test_names_that_are_numbers(app: App, tmp_path: Path) -> None:
    """Columns labeled by numbers keep their labels for the model, and their digits name them in predict_row."""
    folder = formula(tmp_path / "model", "d[2] * 100 + d[0]", schema(("double", "2"), ("double", "0")), DOUBLE)
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    specs = [{**spec, "name": int(spec["name"])} for spec in json.loads(mlmodel["signature"]["inputs"])]
    mlmodel["signature"]["inputs"] = json.dumps(specs)
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))
    client = app(str(folder))
    assert client.post("/", json={"calls": [[1, 5]]}).json() == {"replies": [105.0]}
    row = {"calls": [[{"0": 5, "2": 1}]], "userDefinedContext": {"function": "predict_row"}}
    assert client.post("/", json=row).json() == {"replies": [105.0]}


def test_metadata_with_odd_keys(app: App, tmp_path: Path) -> None:
    """Metadata whose keys are numbers or dates, and whose values aren't JSON, is shown and never a 500."""
    folder = formula(tmp_path / "model", "d.x", schema(("double", "x")), DOUBLE)
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    text = yaml.safe_dump(mlmodel) + "metadata:\n  2024: x\n  2024-01-01: 2024-01-02\n  1.5: [.nan, !!binary aGk=]\n"
    (folder / "MLmodel").write_text(text)
    client = app(str(folder))
    assert client.get("/").status_code == 200
    info = {"calls": [[]], "userDefinedContext": {"function": "model_info"}}
    assert client.post("/", json=info).status_code == 200
    assert load(str(folder)).info.metadata
