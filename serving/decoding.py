"""From the calls of a request to typed columns, a whole column at a time.

A column is decoded by the model's signature, never by what a batch happens to contain, so a value gives the same result
alone, in a batch, and in any order of rows. A column of the common Python types is decoded in one NumPy call; only a
column with anything else is decoded value by value, where a bad value becomes an error of its row alone.
"""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serving.column_names import Keys, keys_of_columns
from serving.contract import Request
from serving.errors import BadRequest, quantity, short_repr
from serving.json_numbers import Numbers
from serving.json_type import BadValue
from serving.rows import DecodedColumn, Rows
from serving.signature import Column, Signature


def from_request(signature: Signature, request: Request) -> Rows:
    """Return rows whose arguments are the model's columns in order; raise BadRequest for another number of them."""
    numbers = request.numbers
    if numbers and numbers.names is None and signature.all_double:
        rows, width = numbers.matrix.shape
        if width == len(signature.columns):
            return Rows(signature, rows, numbers=numbers)
    return from_arguments(signature, request.calls)


def from_arguments(signature: Signature, calls: Sequence[Sequence[Any]]) -> Rows:
    """Return rows whose arguments are the model's columns in order; raise BadRequest for another number of them."""
    width = len(signature.columns)
    if set(map(len, calls)) - {width}:
        row = next(row for row, call in enumerate(calls) if len(call) != width)
        raise BadRequest(
            f"Row {row} has {quantity(len(calls[row]), 'argument')}; the function takes {width}: {signature.arguments}."
        )
    columns = zip(*calls, strict=True) if calls else ((),) * width
    decoded = [decode_column(column, values) for column, values in zip(signature.columns, columns, strict=True)]
    return Rows(signature, len(calls), decoded)


def from_objects(signature: Signature, request: Request) -> Rows:
    """Return rows given as one JSON object each, with the columns by name in any order; other keys are ignored.

    A key is a column's name, or what BigQuery makes of it, as column_names.py says.

    A NULL instead of an object is a row of NULLs. A missing key of a required column is an error of its row: TO_JSON
    writes NULLs too, so a missing key means that the row comes from another table.
    """
    if signature.all_double and (numbers := _numbers_by_name(signature, request)) is not None:
        return Rows(signature, len(numbers.matrix), numbers=numbers)
    calls = request.calls
    for row, call in enumerate(calls):
        if len(call) != 1:
            raise BadRequest(
                f"Row {row} has {quantity(len(call), 'argument')}; the function takes one: TO_JSON of a table's row."
            )
    no_values = dict.fromkeys(column.name for column in signature.columns)
    objects, errors = [], {}
    for row, (value,) in enumerate(calls):
        objects.append(value if type(value) is dict else no_values)
        if type(value) is not dict and value is not None:
            errors[row] = f"Row {row} is {short_repr(value)}; expected an object with {signature.arguments}."
    decoded = []
    keys = _KeyReader([column.name for column in signature.columns])
    for column in signature.columns:
        try:
            values = list(map(operator.itemgetter(column.name), objects))
        except KeyError:
            values = []
            for row, value in enumerate(objects):
                known = keys.read(value)
                key = known.found.get(column.name)
                values.append(None if key is None else value[key])
                if column.name in known.unclear:
                    given = short_repr(known.unclear[column.name])
                    name = short_repr(column.name)
                    errors.setdefault(
                        row, f"Row {row}: it isn't clear whether {given} means the column {name}; use its own name."
                    )
                elif key is None and column.required:
                    given = short_repr(sorted(value))
                    errors.setdefault(row, f"Row {row} has no {short_repr(column.name)}, only {given}.")
        decoded.append(decode_column(column, values))
    decoded[0].errors = {**decoded[0].errors, **errors}
    return Rows(signature, len(calls), decoded)


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
    mlflow_type = column.type
    value_types = set(map(type, values))
    has_nulls = type(None) in value_types
    nulls = np.array([value is None for value in values]) if has_nulls else np.zeros(len(values), bool)
    present = [value for value in values if value is not None] if has_nulls else values
    errors = {}
    try:
        filled = mlflow_type.decode(present, value_types - {type(None)}, column.detail)
    except (BadValue, OverflowError):
        rows = np.flatnonzero(~nulls)
        filled = np.zeros(len(present), mlflow_type.dtype)
        for position, value in enumerate(present):
            try:
                filled[position] = mlflow_type.decode([value], {type(value)}, column.detail)[0]
            except (BadValue, OverflowError) as error:
                row = int(rows[position])
                reason = f" ({error})" if str(error) else ""
                errors[row] = f"Row {row}, column {column.name}: {short_repr(value)} is not {column.sql_type}{reason}."
    if not has_nulls:
        return DecodedColumn(column, filled, nulls, errors)
    array = np.full(len(values), mlflow_type.filler, mlflow_type.dtype)
    array[~nulls] = filled
    return DecodedColumn(column, array, nulls, errors)


def _numbers_by_name(signature: Signature, request: Request) -> Numbers | None:
    """Return the columns of objects that hold numbers only; None when they hold anything else or lack a column."""
    numbers = request.numbers
    if not numbers or not numbers.names:
        return None
    places = {name: place for place, name in enumerate(numbers.names)}
    try:
        order = [places[column.name] for column in signature.columns]
    except KeyError:
        keys = keys_of_columns([column.name for column in signature.columns], places).found
        if len(keys) < len(signature.columns):
            return None
        order = [places[keys[column.name]] for column in signature.columns]
    if order == list(places.values()):
        return numbers
    return Numbers(numbers.matrix[:, order], None if numbers.nulls is None else numbers.nulls[:, order])
