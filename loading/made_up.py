"""Builds an argument of any type of column, for trying a model on rows that nobody saved with it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loading.fitted import categories, steps_of_columns
from serving.signature import Column

_KNOWN = {"double": float, "float": float, "integer": int, "long": int, "string": str}
Scalar = Callable[[str], Any]  # returns a value of an MLflow type, or of the dtype of a tensor


def argument(column: Column, scalar: Scalar, length: int) -> Any:
    """Return an argument for a column, made of what `scalar` returns; an array has `length` elements."""
    detail = column.detail or {}
    if column.mlflow_type == "tensor" and detail:
        return _tensor(detail["dtype"], detail["shape"], scalar)
    return _value(detail, column.mlflow_type, scalar, length)


def categories_known(estimator: Any, columns: Sequence[Column]) -> dict[str, list[Any]]:
    """Return the texts and numbers that the encoders of a fitted model know, by the name of the column.

    A column may be declared as another type than that of its categories, which are left out then.
    """
    steps = steps_of_columns(estimator, [column.name for column in columns])
    return {
        column.name: [value for step, place in steps[column.name] for value in _of_type(column, step, place)]
        for column in columns
    }


def _of_type(column: Column, step: Any, place: int) -> list[Any]:
    found = categories(step)
    values = [value.item() if hasattr(value, "item") else value for value in found[place]] if place < len(found) else []
    return [value for value in values if type(value) is _KNOWN.get(column.mlflow_type) and value == value]


def _tensor(dtype: str, shape: Sequence[int], scalar: Scalar) -> Any:
    return [_tensor(dtype, shape[1:], scalar) for _ in range(shape[0])] if shape else scalar(dtype)


def _value(detail: Mapping[str, Any], mlflow_type: str, scalar: Scalar, length: int) -> Any:
    def inner(part: Mapping[str, Any]) -> Any:
        return _value(part, part["type"], scalar, length)

    if mlflow_type == "array":
        return [inner(detail["items"]) for _ in range(length)]
    if mlflow_type == "map":
        return {"a": inner(detail["values"])}
    if mlflow_type == "object":
        return {name: inner(part) for name, part in detail["properties"].items()}
    return scalar(mlflow_type)
