"""From the calls of a request to typed columns, all columns of a type at a time.

A value is decoded by the model's signature, never by what a batch happens to contain, so it gives the same result
alone, in a batch, and in any order of rows. There are three ways, each for what the one before leaves: a Table of JSON
scalars, which has no Python objects; parsed values, of which all columns of a type are decoded in one NumPy call; and
for columns with a value that can't be decoded, value by value, where a bad value becomes an error of its row alone.
"""

import operator
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from serving import table_decoding
from serving.column_names import Keys, keys_of_columns
from serving.contract import Request
from serving.errors import BadRequest, quantity, short_repr
from serving.json_type import BadValue
from serving.rows import Block, DecodedColumn, Mask, Rows
from serving.signature import Column, Signature
from serving.types import Array, MlflowType

_NULL = type(None)


def from_request(signature: Signature, request: Request) -> Rows:
    """Return rows whose arguments are the model's columns in order; raise BadRequest for another number of them."""
    table = request.table
    if table and table.names is None and len(table.columns) == len(signature.columns):
        rows = table_decoding.decode(signature, table, range(len(table.columns)))
        if rows is not None:
            return rows
    return from_arguments(signature, request.calls)


def from_arguments(signature: Signature, calls: Sequence[Sequence[Any]]) -> Rows:
    """Return rows whose arguments are the model's columns in order; raise BadRequest for another number of them."""
    width = len(signature.columns)
    if set(map(len, calls)) - {width}:
        row = next(row for row, call in enumerate(calls) if len(call) != width)
        raise BadRequest(
            f"Row {row} has {quantity(len(calls[row]), 'argument')}; the function takes {width}: {signature.arguments}."
        )
    return _from_rows(signature, calls, {})


def _from_rows(signature: Signature, calls: Sequence[Sequence[Any]], errors: Mapping[int, str]) -> Rows:
    """Return rows given as one value per column; `errors` are those of whole rows."""
    count = len(calls)
    columns = () if count == 1 else tuple(zip(*calls, strict=True)) if calls else ((),) * len(signature.columns)
    blocks: list[Block] = []
    bad: list[tuple[int, DecodedColumn]] = []
    for group in signature.groups:
        values = group.pick(calls[0]) if count == 1 else list(chain.from_iterable(group.pick(columns)))
        shape = len(group.columns), count
        try:
            array, nulls = _decode(group.type, values, group.detail)
            blocks.append(Block(array.reshape(shape), None if nulls is None else nulls.reshape(shape)))
        except (BadValue, OverflowError):
            each = [decode_column(group.columns[at], values[at * count : (at + 1) * count]) for at in range(shape[0])]
            array = np.empty(shape, group.type.dtype)  # np.array would make one of nested lists, too
            for at, decoded in enumerate(each):
                array[at] = decoded.array
            blocks.append(Block(array, np.array([decoded.nulls for decoded in each])))
            bad += zip(group.positions, each, strict=True)
    for _, decoded in sorted(bad, key=operator.itemgetter(0)):
        errors = {**decoded.errors, **errors}
    return Rows(signature, count, blocks, errors)


def from_objects(signature: Signature, request: Request) -> Rows:
    """Return rows given as one JSON object each, with the columns by name in any order; other keys are ignored.

    A key is a column's name, or what BigQuery makes of it, as column_names.py says.

    A NULL instead of an object is a row of NULLs. A missing key of a required column is an error of its row: TO_JSON
    writes NULLs too, so a missing key means that the row comes from another table.
    """
    table = request.table
    if table and table.names and (order := _order(signature, table.names)):
        rows = table_decoding.decode(signature, table, order)
        if rows is not None:
            return rows
    calls = request.calls
    for row, call in enumerate(calls):
        if len(call) != 1:
            raise BadRequest(
                f"Row {row} has {quantity(len(call), 'argument')}; the function takes one: TO_JSON of a table's row."
            )
    try:
        values = [signature.pick(value) for (value,) in calls]
    except (KeyError, TypeError):  # not an object, or one without a column's own name
        return _from_other_objects(signature, calls)
    return _from_rows(signature, values, {})


def _from_other_objects(signature: Signature, calls: Sequence[Sequence[Any]]) -> Rows:
    """Return rows given as objects whose keys may differ from the columns' names and from each other's."""
    names = [column.name for column in signature.columns]
    no_values = dict.fromkeys(names)
    errors: dict[int, str] = {}
    keys = _KeyReader(names)
    found = []
    for row, (value,) in enumerate(calls):
        given = value if type(value) is dict else no_values
        if type(value) is not dict and value is not None:
            errors[row] = f"Row {row} is {short_repr(value)}; expected an object with {signature.arguments}."
        known = keys.read(given)
        found.append([given[known.found[name]] if name in known.found else None for name in names])
        for column in signature.columns:
            name = short_repr(column.name)
            if column.name in known.unclear:
                unclear = short_repr(known.unclear[column.name])
                errors.setdefault(
                    row, f"Row {row}: it isn't clear whether {unclear} means the column {name}; use its own name."
                )
            elif column.name not in known.found and column.required:
                errors.setdefault(row, f"Row {row} has no {name}, only {short_repr(sorted(given))}.")
    return _from_rows(signature, found, errors)


class _KeyReader:
    """Finds the key of a column in the objects of one batch, which mostly have the same keys."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._known: dict[tuple[str, ...], Keys] = {}

    def read(self, value: Mapping[str, Any]) -> Keys:
        """Return which key of an object means which column."""
        keys = tuple(value)
        if keys not in self._known:
            self._known[keys] = keys_of_columns(self._columns, keys)
        return self._known[keys]


def decode_column(column: Column, values: Sequence[Any]) -> DecodedColumn:
    """Return the column of a batch; a value that doesn't fit is a message in `errors` under its row."""
    try:
        array, nulls = _decode(column.type, values, column.detail)
        return DecodedColumn(column, array, np.zeros(len(values), np.bool_) if nulls is None else nulls)
    except (BadValue, OverflowError):
        pass
    nulls = np.array([value is None for value in values])
    array = np.full(len(values), column.type.filler, column.type.dtype)
    errors = {}
    for row in np.flatnonzero(~nulls).tolist():
        value = values[row]
        try:
            array[row] = column.type.decode([value], {type(value)}, column.detail)[0]
        except (BadValue, OverflowError) as error:
            reason = f" ({error})" if str(error) else ""
            errors[row] = f"Row {row}, column {column.name}: {short_repr(value)} is not {column.sql_type}{reason}."
    return DecodedColumn(column, array, nulls, errors)


def _decode(
    mlflow_type: MlflowType, values: Sequence[Any], detail: Mapping[str, Any] | None
) -> tuple[Array, Mask | None]:
    """Return values as an array, and the mask of NULLs if there are any; raise BadValue or OverflowError."""
    value_types = set(map(type, values))
    if _NULL not in value_types:
        return mlflow_type.decode(values, value_types, detail), None
    nulls = np.array([value is None for value in values])
    array = np.full(len(values), mlflow_type.filler, mlflow_type.dtype)
    array[~nulls] = mlflow_type.decode([value for value in values if value is not None], value_types - {_NULL}, detail)
    return array, nulls


def _order(signature: Signature, names: Sequence[str]) -> Sequence[int] | None:
    """Return the place of each column among the keys of objects; None when they lack a column."""
    places = {name: place for place, name in enumerate(names)}
    try:
        return [places[column.name] for column in signature.columns]
    except KeyError:
        keys = keys_of_columns([column.name for column in signature.columns], places).found
        return (
            [places[keys[column.name]] for column in signature.columns] if len(keys) == len(signature.columns) else None
        )
