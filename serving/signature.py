"""The model's signature: inputs, outputs, parameters and their types. Every value is decoded by what it says.

loading/signature.py reads it from a model's files.
"""

import hashlib
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from serving.errors import join_names
from serving.tensor_types import TENSOR_TYPES
from serving.types import TYPES, MlflowType


@dataclass(frozen=True)
class Column:
    """One input column: an argument of the SQL function.

    `mlflow_type` is a key of TYPES or TENSOR_TYPES; `detail` is MLflow's JSON of the type, which says what an array,
    object or map holds. `label` is the column's label in the model's DataFrame if that is a number.
    """

    name: str
    mlflow_type: str
    sql_type: str
    required: bool = True
    detail: Mapping[str, Any] | None = None
    label: float | None = None

    @property
    def type(self) -> MlflowType:
        """How values are decoded and handed to the model."""
        return TYPES.get(self.mlflow_type) or TENSOR_TYPES[self.mlflow_type]

    def __str__(self) -> str:
        return f"{self.name} {self.sql_type}"


def _picker(keys: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that takes the items with these keys from a sequence or an object."""
    if len(keys) == 1:
        return lambda values: (values[keys[0]],)
    return operator.itemgetter(*keys)


@dataclass(frozen=True)
class Group:
    """Input columns that are decoded in one go: all of one type, or one whose type has a `detail` that matters.

    `positions` are their places in the signature, ascending; `required` are the places in the group of those that may
    not be NULL.
    """

    columns: tuple[Column, ...]
    positions: tuple[int, ...]

    @cached_property
    def type(self) -> MlflowType:
        """How their values are decoded."""
        return self.columns[0].type

    @property
    def detail(self) -> Mapping[str, Any] | None:
        """MLflow's JSON of their type."""
        return self.columns[0].detail

    @cached_property
    def required(self) -> list[int]:
        return [at for at, column in enumerate(self.columns) if column.required]

    @cached_property
    def pick(self) -> Callable[[Any], tuple[Any, ...]]:
        """Takes the values of these columns from those of all columns."""
        return _picker(self.positions)


@dataclass(frozen=True)
class Output:
    """One output of the model.

    `name` is None where MLflow recorded none; `mlflow_type` is empty where it isn't a key of types.TYPES.
    """

    name: str | None
    sql_type: str
    mlflow_type: str = ""

    @property
    def holds_objects(self) -> bool:
        """Whether a value may itself be a dictionary."""
        return self.sql_type == "JSON" and self.mlflow_type != "array"


def sql_type_of(outputs: Sequence[Output] | None) -> str:
    """Return the GoogleSQL type of a function with these outputs; JSON when there are several or none are known."""
    return outputs[0].sql_type if outputs and len(outputs) == 1 else "JSON"


@dataclass(frozen=True)
class Tensor:
    """One array that the model takes.

    `dtype` is NumPy's name of it, `shape` that of one row, and `columns` are the names of its arguments: one per
    number, or, if `as_json`, one that holds all of them as JSON. `name` is None for the only array of a model.
    """

    name: str | None
    dtype: str
    shape: tuple[int, ...]
    columns: tuple[str, ...]
    as_json: bool = False


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

    `tensors` are the arrays of a model that takes arrays and no DataFrame; `named` says whether the model sees column
    names; `outputs` is None when the signature declares none.
    """

    columns: tuple[Column, ...]
    outputs: tuple[Output, ...] | None
    parameters: tuple[Parameter, ...] = ()
    tensors: tuple[Tensor, ...] = ()
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

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The columns by type."""
        places: dict[Any, list[int]] = {}
        for position, column in enumerate(self.columns):
            places.setdefault(position if column.sql_type == "JSON" else column.mlflow_type, []).append(position)
        return tuple(Group(tuple(self.columns[at] for at in each), tuple(each)) for each in places.values())

    @cached_property
    def pick(self) -> Callable[[Any], tuple[Any, ...]]:
        """Takes the values of the columns, in their order, from an object with their names."""
        return _picker([column.name for column in self.columns])

    @cached_property
    def places(self) -> Mapping[str, tuple[int, int]]:
        """The group of each column, and its place there."""
        return {
            column.name: (number, at)
            for number, group in enumerate(self.groups)
            for at, column in enumerate(group.columns)
        }

    @cached_property
    def labels(self) -> pd.Index:
        """The columns of the DataFrame that the model gets."""
        if not self.named:
            return pd.RangeIndex(len(self.columns))
        return pd.Index([column.name if column.label is None else column.label for column in self.columns])

    @property
    def arguments(self) -> str:
        """The columns with their SQL types, as a message lists them."""
        return join_names([str(column) for column in self.columns])
