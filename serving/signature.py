"""The model's signature, as MLflow writes it into the MLmodel file: what comes in, what goes out, by which type.

It is read here without MLflow, whose import costs a cold start more than all the rest of a small model. The rule:
what cannot be read with certainty is refused (`ModelUnusable`), because every value is decoded by what stands here.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from serving.errors import ModelUnusable, join_names

NO_SIGNATURE = (
    "The model at {uri} has no signature, so its SQL arguments are unknown: save it again with "
    "mlflow.<flavor>.save_model(..., signature=infer_signature(X, model.predict(X)), input_example=X.head())."
)

# MLflow type -> GoogleSQL type. serving/columns.py has a decoder and serving/replies.py an encoder for each.
SQL_TYPES = {
    "boolean": "BOOL",
    "integer": "INT64",
    "long": "INT64",
    "float": "FLOAT64",
    "double": "FLOAT64",
    "string": "STRING",
    "binary": "BYTES",
    "datetime": "TIMESTAMP",
    "array": "JSON",
    "object": "JSON",
    "map": "JSON",
    "any": "JSON",
}


@dataclass(frozen=True)
class Column:
    """One input column: an argument of the SQL function.

    `kind` is a key of SQL_TYPES; `detail` is MLflow's JSON of the type, which says what an array, object or map holds.
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
    """What the model takes and gives.

    `tensor` is the dtype of an input without column names, whose columns are then called x0, x1, ...;
    `named` says whether the model sees column names; `outputs` is None when the signature is silent about them.
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


def read_signature(mlmodel: Mapping[str, Any], uri: str) -> Signature:
    """Return the signature in a parsed MLmodel file; raise ModelUnusable when there is none that SQL can serve."""
    written = mlmodel.get("signature") or {}
    if not written.get("inputs"):
        raise ModelUnusable(NO_SIGNATURE.format(uri=uri))
    inputs = json.loads(written["inputs"])
    outputs = json.loads(written["outputs"]) if written.get("outputs") else None
    parameters = json.loads(written["params"]) if written.get("params") else []
    if any(spec["type"] == "tensor" for spec in inputs):
        columns, tensor, named = _tensor_columns(inputs, uri), inputs[0]["tensor-spec"]["dtype"], False
    else:
        columns, tensor, named = _columns(inputs, uri), None, "name" in inputs[0]
    return Signature(
        columns=columns,
        outputs=_outputs(outputs or []) or None,
        parameters=tuple(
            Parameter(spec["name"], spec["type"], spec.get("default"), spec.get("shape") is not None)
            for spec in parameters
        ),
        tensor=tensor,
        named=named,
    )


def sql_type_of_dtype(dtype: str) -> str:
    """Return the GoogleSQL type that holds every value of a NumPy dtype; JSON for one that none does."""
    if dtype.startswith("datetime64"):
        return "TIMESTAMP"
    if re.fullmatch(r"(str|<?U|bytes|<?S|\|S)\d*", dtype):
        return "BYTES" if "S" in dtype or dtype.startswith("bytes") else "STRING"
    family = dtype.rstrip("0123456789")
    return {"float": "FLOAT64", "int": "INT64", "uint": "INT64", "bool": "BOOL"}.get(family, "JSON")


def _columns(inputs: Sequence[Mapping[str, Any]], uri: str) -> tuple[Column, ...]:
    columns = []
    for position, spec in enumerate(inputs):
        kind = spec["type"]
        if kind not in SQL_TYPES:
            raise ModelUnusable(
                f"The model at {uri} has an input of type {kind!r}, which is none of {join_names(list(SQL_TYPES))}: "
                "save it again with a signature of these types."
            )
        name = spec.get("name", f"x{position}")
        columns.append(Column(name, kind, SQL_TYPES[kind], spec.get("required", True), spec))
    return tuple(columns)


def _tensor_columns(inputs: Sequence[Mapping[str, Any]], uri: str) -> tuple[Column, ...]:
    """Return the columns of an input of shape (-1, n): n FLOAT64 arguments, cast to its dtype without loss."""
    kinds = {"float64": "double", "float32": "float", "int64": "long", "int32": "integer"}
    spec = inputs[0].get("tensor-spec", {})
    shape, dtype = spec.get("shape", []), spec.get("dtype")
    if len(inputs) > 1 or "name" in inputs[0] or len(shape) != 2 or shape[1] < 1 or dtype not in kinds:
        raise ModelUnusable(
            f"The model at {uri} takes {json.dumps(inputs)}; as SQL arguments only one unnamed tensor of shape (-1, n) "
            f"and a dtype among {join_names(list(kinds))} can be served: save it with a DataFrame as the input of its "
            "signature."
        )
    return tuple(Column(f"x{position}", kinds[dtype], "FLOAT64") for position in range(shape[1]))


def _outputs(outputs: Sequence[Mapping[str, Any]]) -> tuple[Output, ...]:
    found = []
    for spec in outputs:
        if spec["type"] != "tensor":
            found.append(Output(spec.get("name"), SQL_TYPES.get(spec["type"], "JSON")))
            continue
        shape, dtype = spec["tensor-spec"]["shape"], spec["tensor-spec"]["dtype"]
        if dtype == "object":  # texts, most likely; only a prediction can tell
            return ()
        one_value_a_row = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
        found.append(Output(spec.get("name"), sql_type_of_dtype(dtype) if one_value_a_row else "JSON"))
    return tuple(found)
