"""The model's signature, as MLflow writes it into the MLmodel file: inputs, outputs, parameters and their types.

It is read here without MLflow, whose import takes longer in a cold start than everything else a small model needs.
Every value is decoded by what the signature says, so anything in it that can't be read with certainty raises
ModelUnusable.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from serving.errors import ModelUnusable, join_names
from serving.types import TYPES, sql_type_of_dtype

NO_SIGNATURE = (
    "The model at {uri} has no signature, so its SQL arguments are unknown: save it again with "
    "mlflow.<flavor>.save_model(..., signature=infer_signature(X, model.predict(X)), input_example=X.head())."
)

# NumPy dtypes that a tensor may have -> MLflow type. Its arguments are FLOAT64, cast to the dtype without loss.
_TENSOR_TYPES = {row.dtype.name: name for name, row in TYPES.items() if row.dtype.kind in "fi"}


@dataclass(frozen=True)
class Column:
    """One input column: an argument of the SQL function.

    `mlflow_type` is a key of types.TYPES; `detail` is MLflow's JSON of the type, which says what an array, object or
    map holds.
    """

    name: str
    mlflow_type: str
    sql_type: str
    required: bool = True
    detail: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.sql_type}"


@dataclass(frozen=True)
class Output:
    """One output of the model; `name` is None where MLflow recorded none."""

    name: str | None
    sql_type: str


@dataclass(frozen=True)
class Parameter:
    """One inference parameter with its default, as declared in the signature."""

    name: str
    mlflow_type: str
    default: Any
    is_list: bool


@dataclass(frozen=True)
class Signature:
    """The inputs, outputs and parameters of a model.

    `tensor` is the dtype of an input without column names, whose columns are called x0, x1, ...; `named` says whether
    the model sees column names; `outputs` is None when the signature declares none.
    """

    columns: tuple[Column, ...]
    outputs: tuple[Output, ...] | None
    parameters: tuple[Parameter, ...] = ()
    tensor: str | None = None
    named: bool = True

    @cached_property
    def schema(self) -> str:
        """The hash of argument names and types, 16 hex digits: the `schema` of user_defined_context."""
        arguments = json.dumps([[column.name, column.sql_type] for column in self.columns])
        return hashlib.sha256(arguments.encode()).hexdigest()[:16]

    @cached_property
    def all_double(self) -> bool:
        """Whether every column is of the MLflow type double, so that rows can be kept as one matrix."""
        return all(column.mlflow_type == "double" for column in self.columns)

    @property
    def arguments(self) -> str:
        """The columns with their SQL types, as a message lists them."""
        return join_names([str(column) for column in self.columns])


def read_signature(mlmodel: Mapping[str, Any], uri: str) -> Signature:
    """Return the signature in a parsed MLmodel file; raise ModelUnusable when there is none that SQL can serve."""
    written = mlmodel.get("signature") or {}
    if not written.get("inputs"):
        raise ModelUnusable(NO_SIGNATURE.format(uri=uri))
    inputs = json.loads(written["inputs"])
    outputs = json.loads(written["outputs"]) if written.get("outputs") else []
    parameters = json.loads(written["params"]) if written.get("params") else []
    if any(spec["type"] == "tensor" for spec in inputs):
        columns, tensor, named = _tensor_columns(inputs, uri), inputs[0]["tensor-spec"]["dtype"], False
    else:
        columns, tensor, named = _columns(inputs, uri), None, "name" in inputs[0]
    return Signature(
        columns=columns,
        outputs=_outputs(outputs) or None,
        parameters=tuple(
            Parameter(spec["name"], spec["type"], spec.get("default"), spec.get("shape") is not None)
            for spec in parameters
        ),
        tensor=tensor,
        named=named,
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
        columns.append(Column(name, mlflow_type, TYPES[mlflow_type].sql_type, spec.get("required", True), spec))
    return tuple(columns)


def _tensor_columns(inputs: Sequence[Mapping[str, Any]], uri: str) -> tuple[Column, ...]:
    """Return the columns of an input of shape (-1, n): n FLOAT64 arguments."""
    spec = inputs[0].get("tensor-spec", {})
    shape, dtype = spec.get("shape", []), spec.get("dtype")
    if len(inputs) > 1 or "name" in inputs[0] or len(shape) != 2 or shape[1] < 1 or dtype not in _TENSOR_TYPES:
        raise ModelUnusable(
            f"The model at {uri} takes {json.dumps(inputs)}; SQL arguments can only express one unnamed tensor of "
            f"shape (-1, n) with a dtype among {join_names(list(_TENSOR_TYPES))}. Save it with a DataFrame as the "
            "input of its signature."
        )
    return tuple(Column(f"x{position}", _TENSOR_TYPES[dtype], "FLOAT64") for position in range(shape[1]))


def _outputs(outputs: Sequence[Mapping[str, Any]]) -> tuple[Output, ...]:
    found = []
    for spec in outputs:
        if spec["type"] != "tensor":
            declared = TYPES.get(spec["type"])
            found.append(Output(spec.get("name"), declared.sql_type if declared else "JSON"))
            continue
        shape, dtype = spec["tensor-spec"]["shape"], spec["tensor-spec"]["dtype"]
        if dtype == "object":  # most likely texts, but only a prediction can tell
            return ()
        one_value_per_row = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
        found.append(Output(spec.get("name"), sql_type_of_dtype(dtype) if one_value_per_row else "JSON"))
    return tuple(found)
