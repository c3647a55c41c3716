"""Builds an argument of any type of column, for trying a model on rows that nobody saved with it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from serving.signature import Column

Scalar = Callable[[str], Any]  # returns a value of an MLflow type, or of the dtype of a tensor


def argument(column: Column, scalar: Scalar, length: int) -> Any:
    """Return an argument for a column, made of what `scalar` returns; an array has `length` elements."""
    detail = column.detail or {}
    if column.mlflow_type == "tensor" and detail:
        return _tensor(detail["dtype"], detail["shape"], scalar)
    return _value(detail, column.mlflow_type, scalar, length)


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
