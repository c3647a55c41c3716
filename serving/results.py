"""From whatever a model returns to columns in the order of its rows: DataFrames, arrays, Series, lists, dictionaries.

encoding.py turns the columns into JSON. Columns are matched to the declared outputs by name where the model returns
names, and rows to the input by index where the model returns the input's index.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from serving.errors import ModelUnusable, join_names, quantity, short_repr
from serving.signature import Output
from serving.types import Array

_LISTS = (list, tuple, np.ndarray)


@dataclass(frozen=True)
class Result:
    """The columns of a result, each an array or a list with one value per row.

    `named` says whether the model itself named them.
    """

    names: list[str]
    columns: list[Any]
    named: bool


def read(result: Any, outputs: Sequence[Output] | None, rows: int, *, keeps_index: bool = True) -> Result:
    """Return the columns of a result, in the order of the declared outputs where there are several.

    Raise ModelUnusable for another number of rows or of columns than declared, for two columns of one name, and for
    several columns whose names are not those of the declared outputs.
    """
    if type(result) is np.ndarray and result.dtype != object and result.shape == (rows,) and len(outputs or ()) < 2:
        return Result(["0"], [result], named=False)  # what most estimators return
    if not keeps_index:
        result = _without_index(result)
    if outputs and len(outputs) == 1 and outputs[0].mlflow_type == "array" and isinstance(result, np.ndarray):
        result = list(result)  # each row of a matrix is the value of one row
    found = _columns(_unnested(result, outputs), {output.name for output in outputs or ()}, rows)
    if len(set(found.names)) < len(found.names):
        raise ModelUnusable(
            f"The model returned the columns {join_names(found.names)}: two of them have the same name. "
            "Save it again with distinct output names."
        )
    return _in_declared_order(found, outputs) if outputs and len(outputs) > 1 else found


def probabilities(result: Any, classes: Sequence[Any], rows: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the probabilities of the classes, shape (rows, classes), in the order of rows and of classes.

    Raise ModelUnusable for another shape, and for a DataFrame whose columns are named otherwise than the classes.
    """
    labels = [str(label) for label in classes]
    if isinstance(result, pd.DataFrame):
        names = [str(name) for name in result.columns]
        result = _in_row_order(result, rows)
        if sorted(names) == sorted(labels):
            result = result.iloc[:, [names.index(label) for label in labels]]
        elif not isinstance(result.columns, pd.RangeIndex):
            raise ModelUnusable(
                f"The model's predict_proba returned the columns {join_names(names)}; expected its classes, "
                f"{join_names(labels)}."
            )
    found = np.asarray(result, np.float64)
    if found.shape != (rows, len(labels)):
        raise ModelUnusable(
            f"The model's predict_proba returned an array of shape {found.shape} for {quantity(rows, 'row')}; expected "
            f"one column for each of its {len(labels)} classes."
        )
    return found


def has_input_index(result: Any, rows: int) -> bool:
    """Tell whether every index in a result may be its input's: it counts the rows, in any order, or has a name."""
    if isinstance(result, Mapping):
        return all(has_input_index(column, rows) for column in result.values())
    numbers = _row_numbers(result)
    return numbers is None or _is_order(numbers, rows)


def _row_numbers(result: Any) -> Array | None:
    """Return the index of a Series or DataFrame if it is like that of the input: whole numbers, without a name."""
    index = getattr(result, "index", None)
    if not isinstance(index, pd.Index) or index.name is not None or index.dtype.kind not in "iu":
        return None
    numbers: Array = index.to_numpy()
    return numbers


def _is_order(numbers: Array, rows: int) -> bool:
    return np.array_equal(np.sort(numbers), np.arange(rows))


def _without_index(result: Any) -> Any:
    if isinstance(result, Mapping):
        return {name: _without_index(column) for name, column in result.items()}
    return result.reset_index(drop=True) if isinstance(result, (pd.Series, pd.DataFrame)) else result


def _in_declared_order(found: Result, outputs: Sequence[Output]) -> Result:
    declared = [output.name for output in outputs]
    if found.named and all(declared):
        if set(declared) != set(found.names):
            raise ModelUnusable(
                f"The model returned the columns {join_names(found.names)}; its signature declares the outputs "
                f"{join_names([str(name) for name in declared])}: save it again with a signature that matches what it "
                "returns."
            )
        order = [found.names.index(str(name)) for name in declared]
        return Result([found.names[at] for at in order], [found.columns[at] for at in order], named=True)
    if len(found.columns) != len(outputs):
        returned = quantity(len(found.columns), "column")
        raise ModelUnusable(
            f"The model returned {returned}; its signature declares {len(outputs)} outputs: "
            "save it again with a signature that matches what it returns."
        )
    names = [name or own for name, own in zip(declared, found.names, strict=True)]
    return Result(names, found.columns, named=True)


def _unnested(result: Any, outputs: Sequence[Output] | None) -> Any:
    """Return a list with one dictionary or list per row as columns, unless each of them is the value of its row."""
    if not outputs or (len(outputs) == 1 and outputs[0].holds_objects) or not _is_nested(result):
        return result
    values = list(_in_row_order(result, len(result)))
    if all(hasattr(value, "_asdict") for value in values):  # named tuples
        values = [value._asdict() for value in values]
    if all(isinstance(value, Mapping) and value for value in values):
        keys = list(values[0])
        other = next((row for row, value in enumerate(values) if set(value) != set(keys)), None)
        if other is not None:
            raise ModelUnusable(
                f"The model returned the keys {short_repr(sorted(map(str, values[other])))} for row {other} and "
                f"{short_repr(sorted(map(str, keys)))} for row 0; expected the same keys for every row."
            )
        return {key: [value[key] for value in values] for key in keys}
    width = len(outputs)
    if width == 1 and outputs[0].sql_type == "JSON":
        return result
    if all(isinstance(value, _LISTS) and len(value) == width for value in values):
        matrix = np.empty((len(values), width), object)
        for row, value in enumerate(values):
            matrix[row] = list(value)
        return matrix
    return result


def _is_nested(result: Any) -> bool:
    """Tell whether the value of the first row is a dictionary or a list."""
    if isinstance(result, (pd.Series, np.ndarray)) and (result.dtype != object or result.ndim != 1):
        return False
    if not isinstance(result, (list, tuple, pd.Series, np.ndarray)) or not len(result):
        return False
    first = result.iloc[0] if isinstance(result, pd.Series) else result[0]
    return isinstance(first, (Mapping, *_LISTS)) and getattr(first, "ndim", 1) == 1


def _columns(result: Any, declared: set[str | None], rows: int) -> Result:
    if isinstance(result, pd.DataFrame):
        ordered = _in_row_order(result, rows)
        names = [str(name) for name in result.columns]
        columns = [ordered.iloc[:, position] for position in range(result.shape[1])]
        named = not isinstance(result.columns, pd.RangeIndex) or set(names) == declared
    elif isinstance(result, Mapping):
        names, columns, named = [str(name) for name in result], list(result.values()), True
    else:
        array = result.toarray() if hasattr(result, "toarray") else result
        if isinstance(array, np.matrix):  # whose columns and rows stay matrices
            array = np.asarray(array)
        named = False
        if isinstance(array, np.ndarray) and array.ndim == 2:
            names, columns = [str(position) for position in range(array.shape[1])], list(array.T)
        else:
            names, columns = ["0"], [array]
    columns = [_plain(_in_row_order(column, rows)) for column in columns]
    for column in columns:
        if not isinstance(column, (np.ndarray, list, tuple)) or (isinstance(column, np.ndarray) and not column.ndim):
            returned = f"{short_repr(column)} for {quantity(rows, 'row')}"
            raise ModelUnusable(f"The model returned {returned}; expected one value per row.")
        if len(column) != rows:
            returned = f"{quantity(len(column), 'value')} for {quantity(rows, 'row')}"
            raise ModelUnusable(f"The model returned {returned}; expected one value per row.")
    if not columns:
        raise ModelUnusable("The model returned no column; expected one value per row.")
    return Result(names, columns, named)


def _in_row_order(result: Any, rows: int) -> Any:
    """Return a Series or DataFrame in the order of the model's input, if its index is the input's in another order.

    The input's index counts the rows and has no name. Any other index says nothing about rows: values are taken by
    position.
    """
    numbers = _row_numbers(result)
    if numbers is None or (numbers[:-1] <= numbers[1:]).all() or not _is_order(numbers, rows):
        return result
    return result.iloc[np.argsort(numbers)]


def _plain(column: Any) -> Any:
    """Return a column without its index, its nullable dtype, its mask or a second dimension of length one."""
    if isinstance(column, np.ma.MaskedArray):
        values = column.data.astype(object)
        values[np.ma.getmaskarray(column)] = None
        return _plain(values)
    if isinstance(column, (pd.Series, pd.Index, pd.api.extensions.ExtensionArray)):
        return np.asarray(column if isinstance(column.dtype, np.dtype) else column.astype(object))
    if not isinstance(column, (np.ndarray, list, tuple)) and hasattr(column, "__array__"):
        column = np.asarray(column)
    if isinstance(column, np.ndarray) and column.ndim == 2 and column.shape[1] == 1:
        return column.ravel()
    return column
