"""From a Table of JSON scalars to typed columns.

Only a table in which every value fits its column is decoded here. For any other, decoding.py decodes the parsed values
and says what is wrong with which.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from serving.json_table import Table
from serving.json_type import EXACT_INT, BadValue
from serving.rows import Block, Mask, Rows
from serving.signature import Group, Signature
from serving.types import TYPES, Array


def decode(signature: Signature, table: Table, order: Sequence[int]) -> Rows | None:
    """Return the rows of a table, given the place of each of the signature's columns; None if a value doesn't fit."""
    if signature.all_double and not table.texts and table.booleans is None and order == range(len(table.columns)):
        return Rows(signature, table.columns.shape[1], [Block(table.columns, table.nulls)])
    try:
        blocks = [_block(group, table, list(group.pick(order))) for group in signature.groups]
    except (BadValue, OverflowError):
        return None
    return Rows(signature, table.columns.shape[1], blocks)


def _block(group: Group, table: Table, places: list[int]) -> Block:
    """Return the columns of a group; raise BadValue or OverflowError if a value doesn't fit."""
    array = _of(table.columns, places)
    nulls = None if table.nulls is None else _of(table.nulls, places)
    nulls = nulls if nulls is not None and nulls.any() else None
    booleans = None if table.booleans is None else _of(table.booleans, places)
    dtype = group.type.dtype
    if dtype.kind == "b":
        _check_all(booleans, nulls)
        return Block(array == 1, nulls)
    if booleans is not None and booleans.any():
        raise BadValue
    if dtype.kind == "f":
        return Block(_floats(array, table, places, dtype), nulls)
    if dtype.kind in "iu":
        return Block(_integers(array, nulls, dtype), nulls)
    if group.type.sql_type == "JSON":
        raise BadValue  # whose scalars may be of any type
    return Block(_texts(group, table, array, places, nulls), nulls)


def _of(columns: Array, places: list[int]) -> Array:
    """Return the columns at these places, in that order."""
    first, count = places[0], len(places)
    if places == list(range(first, first + count)):
        return columns[first : first + count]
    return columns[places]


def _check_all(mask: Mask | None, nulls: Mask | None) -> None:
    """Raise BadValue unless the mask covers every value that isn't NULL."""
    if mask is None or not (mask if nulls is None else mask | nulls).all():
        raise BadValue


def _floats(array: Array, table: Table, places: list[int], dtype: np.dtype[Any]) -> Array:
    for at, place in enumerate(places):
        if place in table.texts:  # such as "NaN", or a NUMERIC with a fraction
            texts = table.texts[place]
            rows = [row for row, text in enumerate(texts) if text is not None]
            array[at, rows] = TYPES["double"].decode(texts[rows].tolist(), {str}, None)
    if dtype == np.float64:
        return array
    with np.errstate(over="ignore"):
        narrow = array.astype(dtype)
    if (np.isinf(narrow) & ~np.isinf(array)).any():
        raise BadValue
    return narrow


def _integers(array: Array, nulls: Mask | None, dtype: np.dtype[Any]) -> Array:
    """Return numbers as integers; raise BadValue for those that FLOAT64 may have rounded, and for texts."""
    filled = array if nulls is None else np.where(nulls, 0.0, array)
    limits = np.iinfo(dtype)
    if not max(limits.min, 1 - EXACT_INT) <= filled.min() <= filled.max() <= min(limits.max, EXACT_INT - 1):
        raise BadValue
    whole = filled.astype(dtype)
    if (whole != filled).any():
        raise BadValue
    return whole


def _texts(group: Group, table: Table, array: Array, places: list[int], nulls: Mask | None) -> Array:
    """Return texts as what their type makes of them; raise BadValue where there is a number among them."""
    if not np.isnan(array).all():
        raise BadValue
    texts = np.full(array.shape, None, object)
    for at, place in enumerate(places):
        if place in table.texts:
            texts[at] = table.texts[place]
    mlflow_type = group.type
    if mlflow_type is TYPES["string"]:
        return texts
    decoded = np.full(array.shape, mlflow_type.filler, mlflow_type.dtype)
    present = np.ones(array.shape, np.bool_) if nulls is None else ~nulls
    decoded[present] = mlflow_type.decode(texts[present].tolist(), {str}, group.detail)
    return decoded
