"""Reads the signature that MLflow writes into the MLmodel file.

It is read without MLflow, whose import takes longer in a cold start than everything else a small model needs. Every
value is decoded by what the signature says, so anything in it that can't be read with certainty raises ModelUnusable.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from serving.errors import ModelUnusable, join_names, short_repr
from serving.signature import Column, Output, Parameter, Signature, Tensor
from serving.tensor_types import COLUMN_TYPES, TENSOR_TYPES
from serving.types import TYPES, sql_type_of_dtype

NO_SIGNATURE = (
    "The model at {uri} has no signature, and doesn't tell its SQL arguments itself: pass a table of rows that it was "
    "trained on with --signature-from, or save it again with "
    "mlflow.<flavor>.save_model(..., signature=infer_signature(X, model.predict(X)), input_example=X.head())."
)
_WAY_OUT = "Save it with a DataFrame as the input of its signature."
_SCALARS = {name for name in TENSOR_TYPES if name != "tensor"}


def read_signature(mlmodel: Mapping[str, Any], uri: str) -> Signature | None:
    """Return the signature in a parsed MLmodel file, if there is one; raise ModelUnusable if SQL can't serve it."""
    written = mlmodel.get("signature") or {}
    if not written.get("inputs"):
        return None
    inputs = json.loads(written["inputs"])
    outputs = json.loads(written["outputs"]) if written.get("outputs") else []
    parameters = json.loads(written["params"]) if written.get("params") else []
    tensors: tuple[Tensor, ...] = ()
    if any(spec["type"] == "tensor" for spec in inputs):
        tensors, columns = _tensors(inputs, uri)
    else:
        columns = _columns(inputs, uri)
    names = [column.name for column in columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ModelUnusable(
            f"The model at {uri} has more than one input named {join_names(twice)}; expected distinct names. "
            "Rename the columns and train again."
        )
    return Signature(
        columns=columns,
        outputs=_outputs(outputs) or None,
        parameters=tuple(
            Parameter(spec["name"], spec["type"], spec.get("default"), spec.get("shape") is not None)
            for spec in parameters
        ),
        tensors=tensors,
        named=not tensors and "name" in inputs[0],
    )


def _columns(inputs: Sequence[Mapping[str, Any]], uri: str) -> tuple[Column, ...]:
    columns = []
    for position, spec in enumerate(inputs):
        mlflow_type = spec["type"]
        if mlflow_type not in TYPES:
            raise ModelUnusable(
                f"The model at {uri} has an input of type {mlflow_type!r}; expected one of {join_names(list(TYPES))}. "
                "Save it again with a signature of these types."
            )
        name = spec.get("name", f"x{position}")
        if type(name) not in (str, int, float):
            raise ModelUnusable(
                f"The model at {uri} has an input named {short_repr(name)}; expected a text or a number. "
                "Rename the column and train again."
            )
        label = None if type(name) is str else name
        required = spec.get("required", True)
        columns.append(Column(str(name), mlflow_type, TYPES[mlflow_type].sql_type, required, spec, label))
    return tuple(columns)


def _tensors(inputs: Sequence[Mapping[str, Any]], uri: str) -> tuple[tuple[Tensor, ...], tuple[Column, ...]]:
    """Return the arrays that a model takes, and their arguments.

    A single array of one or two dimensions has an argument per number: x0, x1, ..., or after its name. Several arrays,
    and one of more dimensions, have a JSON argument each, of nested arrays.
    """
    tensors: list[Tensor] = []
    columns: list[Column] = []
    for spec in inputs:
        name, shape, dtype = _tensor_spec(spec, several=len(inputs) > 1, uri=uri)
        if len(inputs) > 1 or len(shape) > 1:
            argument = name if name is not None else "x"
            detail = {"dtype": dtype, "shape": list(shape)}
            tensors.append(Tensor(name, dtype, shape, (argument,), as_json=True))
            columns.append(Column(argument, "tensor", "JSON", detail=detail))
            continue
        stem = "x" if name is None else name
        names = tuple(f"{stem}{position}" for position in range(shape[0])) if shape else (name or "x0",)
        mlflow_type = COLUMN_TYPES.get(dtype, dtype)
        sql_type = {"bool": "BOOL", "str": "STRING"}.get(dtype, "FLOAT64")
        tensors.append(Tensor(name, dtype, shape, names))
        columns.extend(Column(each, mlflow_type, sql_type) for each in names)
    return tuple(tensors), tuple(columns)


def _tensor_spec(spec: Mapping[str, Any], *, several: bool, uri: str) -> tuple[str | None, tuple[int, ...], str]:
    """Return a tensor's name, the shape of one row, and its dtype."""
    tensor = spec.get("tensor-spec") or {}
    name, shape, dtype = spec.get("name"), tensor.get("shape") or [], str(tensor.get("dtype"))
    if spec["type"] != "tensor" or (several and name is None) or not (name is None or type(name) is str):
        raise ModelUnusable(
            f"The model at {uri} takes {json.dumps(spec)} beside others; expected only tensors, each with a name. "
            f"{_WAY_OUT}"
        )
    dtype = "str" if dtype.startswith(("str", "<U", "U")) else dtype
    if dtype not in _SCALARS:
        raise ModelUnusable(
            f"The model at {uri} takes a tensor of dtype {dtype}; SQL can express {join_names(sorted(_SCALARS))}. "
            f"{_WAY_OUT}"
        )
    if not shape or shape[0] != -1 or any(type(size) is not int or size < 1 for size in shape[1:]):
        raise ModelUnusable(
            f"The model at {uri} takes a tensor of shape {json.dumps(shape)}; expected -1 for the rows and then a "
            f"fixed size for every other dimension. {_WAY_OUT}"
        )
    return name, tuple(shape[1:]), dtype


def _outputs(outputs: Sequence[Mapping[str, Any]]) -> tuple[Output, ...]:
    found = []
    for spec in outputs:
        name = None if spec.get("name") is None else str(spec["name"])
        if spec["type"] != "tensor":
            declared = TYPES.get(spec["type"])
            found.append(Output(name, declared.sql_type if declared else "JSON", spec["type"] if declared else ""))
            continue
        shape, dtype = spec["tensor-spec"]["shape"], spec["tensor-spec"]["dtype"]
        if dtype == "object":  # most likely texts, but only a prediction can tell
            return ()
        one_value_per_row = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
        found.append(Output(name, sql_type_of_dtype(dtype) if one_value_per_row else "JSON"))
    return tuple(found)
