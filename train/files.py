"""Turns a table into columns of the few types that a model takes from SQL.

Integers become doubles, because their column may have missing values later; text becomes `str`, timestamps UTC without
a time zone. A column of any other type raises DataError.
"""

import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from bqlocal.tables import Hint, Table
from train.errors import DataError

YEARS = (1678, 2261)  # of dates with nanoseconds, in which models are trained


@dataclasses.dataclass(frozen=True)
class Frame:
    """The columns of a table, in the types that a model is trained with."""

    columns: pd.DataFrame
    integers: tuple[str, ...]  # columns of whole numbers, which are doubles now
    notes: list[str]
    hints: list[Hint]  # on the columns that stayed text here


def frame(table: Table) -> Frame:
    """Return the columns of a table; raise DataError naming all whose type no model takes."""
    columns: dict[str, pd.Series] = {}
    integers, infinite, hints, problems = [], {}, [], []
    for name, column in zip(table.rows.column_names, table.rows.columns, strict=True):
        kind = column.type
        if pa.types.is_boolean(kind):
            columns[name] = column.to_pandas().astype("boolean" if column.null_count else "bool")
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            if pa.types.is_decimal(kind):
                column = pc.cast(column, pa.string())  # Arrow makes 24.560000000000002 of a decimal 24.56
            values = pc.cast(column, pa.float64(), safe=False).to_numpy().astype(np.float64)
            count = int(np.isinf(values).sum())
            if count:
                infinite[name] = count
                values = np.where(np.isinf(values), np.nan, values)
            if pa.types.is_integer(kind):
                integers.append(name)
            columns[name] = pd.Series(values)
        elif pa.types.is_temporal(kind) and not (pa.types.is_time(kind) or pa.types.is_duration(kind)):
            columns[name], hint = _dates(name, column)
            hints += hint
        elif pa.types.is_time(kind):
            columns[name] = _texts(pc.utf8_slice_codeunits(pc.cast(column, pa.string()), 0, len("10:15:00")))
            hints.append(Hint("time", name, f"times of day such as {columns[name].dropna().iloc[0]!r}"))
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
            columns[name] = _texts(column)
        else:
            problems.append(f"{name} ({kind})")
    if problems:
        raise DataError(
            f"No model takes the values of {', '.join(problems)} from SQL; expected numbers, text, dates or booleans. "
            "Convert these columns, or leave each out by --exclude COLUMN."
        )
    notes = []
    if infinite:
        places = ", ".join(f"{name} ({count:,})" for name, count in infinite.items())
        notes.append(f"Read as NULL: infinite values in {places}.")
    return Frame(pd.DataFrame(columns), tuple(integers), notes, hints)


def _texts(column: pa.ChunkedArray) -> pd.Series:
    return pd.Series(column.to_pandas(), dtype="str")


def _dates(name: str, column: pa.ChunkedArray) -> tuple[pd.Series, list[Hint]]:
    """Return timestamps in UTC without a zone; texts where some are out of the range of models."""
    times = pc.cast(column, pa.timestamp("us", "UTC" if getattr(column.type, "tz", None) else None), safe=False)
    years = pc.year(times)
    if pc.min(years).as_py() is None or YEARS[0] <= pc.min(years).as_py() <= pc.max(years).as_py() <= YEARS[1]:
        naive = pc.cast(times, pa.timestamp("us"))  # keeps the time in UTC
        return pd.Series(naive.to_numpy(), dtype="datetime64[us]").astype("datetime64[ns]"), []
    far = pc.filter(column, pc.or_(pc.less(years, YEARS[0]), pc.greater(years, YEARS[1])))[0]
    example = f"dates out of the years {YEARS[0]} to {YEARS[1]} such as {str(far)!r}"
    return _texts(pc.cast(column, pa.string())), [Hint("far date", name, example)]
