"""Rows made from a model's signature, for a model without an input example."""

import base64
import datetime
import random
from collections.abc import Sequence
from typing import Any

from loading import made_up
from serving.model import Model
from serving.signature import Column

COUNT = 200
ARRAY_LENGTH = 3
_EPOCH = datetime.datetime(2020, 1, 1)
_NULLS = 0.1  # of the values of an optional column
_NEVER_NULL = ("boolean", "integer", "long")  # MLflow refuses a missing value of these types, optional or not


def made_rows(model: Model) -> list[list[Any]]:
    """Return rows as argument lists, the same ones for the same model; empty for a type of which none can be made.

    Texts and numbers are the categories that the fitted model knows, if it knows any.
    """
    rng = random.Random(1)
    columns = model.signature.columns
    known = made_up.categories_known(model.estimator, columns)
    try:
        return [[_argument(column, known[column.name], rng) for column in columns] for _ in range(COUNT)]
    except _ImpossibleError:
        return []


class _ImpossibleError(Exception):
    """No value can be made for a type."""


def _argument(column: Column, known: Sequence[Any], rng: random.Random) -> Any:
    if not column.required and column.mlflow_type not in _NEVER_NULL and rng.random() < _NULLS:
        return None
    if known:
        return rng.choice(known)
    return made_up.argument(column, lambda name: _scalar(name, rng), ARRAY_LENGTH)


def _scalar(mlflow_type: str, rng: random.Random) -> Any:
    if mlflow_type in ("boolean", "bool"):
        return rng.random() < 0.5
    if mlflow_type.startswith(("int", "uint", "long")):
        return rng.randrange(100)
    if mlflow_type.startswith(("float", "double")):
        return round(rng.gauss(0, 1), 4)
    if mlflow_type in ("string", "str"):
        return rng.choice(["a", "b", "c"])
    if mlflow_type == "binary":
        return base64.b64encode(rng.randbytes(16)).decode()
    if mlflow_type == "datetime":
        return (_EPOCH + datetime.timedelta(rng.uniform(0, 1000))).isoformat() + "Z"
    raise _ImpossibleError
