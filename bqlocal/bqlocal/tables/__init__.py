"""Reads tables from DataFrames and from CSV, TSV, Parquet and JSON lines files, with BigQuery's types.

The types are those that BigQuery gives to the same values: every integer is INT64, every float FLOAT64, text STRING;
missing values are NULL. In a text file, every column has the type that fits all of its values (`columns`), and notes
say what was guessed.
"""

import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from bqlocal.errors import SourceError
from bqlocal.names import repeated
from bqlocal.tables import text
from bqlocal.tables.columns import Typed, typed
from bqlocal.tables.files import DELIMITED, SUFFIXES, WORKBOOKS, known_suffix, select_all, typed_file
from bqlocal.tables.hints import Hint, sentences
from bqlocal.tables.numbers import measures
from bqlocal.tables.reading import AS_FOUND, Column, Kind, Reading
from bqlocal.tables.text import other_delimiter
from bqlocal.tables.texts import Texts

__all__ = [
    "AS_FOUND",
    "SUFFIXES",
    "WORKBOOKS",
    "Column",
    "Hint",
    "Kind",
    "Reading",
    "Source",
    "SourceError",
    "Table",
    "create",
    "full_name",
    "measures",
    "other_delimiter",
    "read",
    "retype",
    "select_all",
    "sentences",
]

Source: TypeAlias = pd.DataFrame | pa.Table | str | Path

INDEX = re.compile(r"__index_level_\d+__")  # the index of a DataFrame, without a name, in a Parquet file
# A project of an old organization has its domain, with dots, before a colon.
_TABLE_NAME = r"(?P<project>([^.:]+|[^:]+:[^.:]+)\.)?[^.:]+\.[^.:]+"


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows in the order of a file, how it was read, and what a person should know about that."""

    rows: pa.Table
    reading: Reading  # with what was found out about each column of texts
    notes: list[str]  # what was guessed or left out, in sentences
    hints: list[Hint]  # what columns of texts look like
    numbers: np.ndarray  # of each row in the file, counted from 1
    unnamed: tuple[str, ...] = ()  # columns without a name in the file


def read(path: str | Path, reading: Reading = AS_FOUND, *, dates_in_texts: bool = False) -> Table:
    """Return the rows of a CSV, TSV, Parquet or JSON lines file, in the order of the file.

    Integers are int64, floats float64, times have microseconds. With `dates_in_texts`, columns of texts become dates in
    Parquet and JSON lines files too. Raises SourceError when the file cannot be read.
    """
    path = Path(path)
    suffix = known_suffix(path)
    if suffix not in DELIMITED:
        return retype(typed_file(path), reading, guess_dates=dates_in_texts)
    found = text.read(path, reading)
    _check_names(found.columns, reading, path)
    read_columns = {
        name: typed(Texts(name, column, found.rows, reading.null_markers), found.reading)
        for name, column in found.columns.items()
    }
    read_columns = _without_thousands(read_columns, found)
    return _table(read_columns, found.reading, found.notes, found.rows, found.unnamed)


def retype(rows: pa.Table, reading: Reading, *, guess_dates: bool = False) -> Table:
    """Return rows from a source with types; columns of texts are read where `reading` asks for it."""
    kept = [name for name in rows.column_names if not INDEX.fullmatch(name)]
    left_out = [name for name in rows.column_names if name not in kept]
    notes = [f"Left out: {', '.join(left_out)}, the index of the DataFrame that was saved."] if left_out else []
    _check_names(kept, reading, None)
    places = np.arange(1, len(rows) + 1)
    columns = {}
    for name in kept:
        column = rows[name]
        if pa.types.is_string(column.type):
            texts = Texts(name, column, places, reading.null_markers)
            columns[name] = typed(texts, reading, guess_numbers=False, guess_dates=guess_dates)
        else:
            columns[name] = Typed(column, None)
    return _table(columns, reading, notes, places, ())


def create(connection: duckdb.DuckDBPyConnection, table: str, source: Source, reading: Reading = AS_FOUND) -> list[str]:
    """Create or replace a table, whose name is given in DuckDB's SQL; return what was guessed in reading a file.

    Raises SourceError if the source is unreadable, or has two columns that are one to BigQuery.
    """
    notes: list[str] = []
    if isinstance(source, pd.DataFrame):
        source = _arrow(source)
    elif not isinstance(source, pa.Table):
        found = read(source, reading)
        source, notes = found.rows, [*found.notes, *sentences(found.hints)]
    if name := repeated(source.column_names):
        raise SourceError(f"The table has two columns {name!r}; BigQuery ignores case in such names: rename one.")
    connection.register("loaded", source)
    try:
        connection.execute(f"CREATE OR REPLACE TABLE {table} AS {select_all(connection, 'loaded')}")
    except duckdb.Error as error:
        raise SourceError(f"Cannot load the table: {str(error).splitlines()[0]}") from error
    finally:
        connection.unregister("loaded")
    return notes


def full_name(name: str, project: str) -> str:
    """Return `project.dataset.table` for a name with or without its project."""
    plain = name.replace("`", "")
    if not (match := re.fullmatch(_TABLE_NAME, plain)):
        raise SourceError(f"{name!r} is not a table name; write dataset.table or project.dataset.table.")
    return plain if match["project"] else f"{project}.{plain}"


def _arrow(frame: pd.DataFrame) -> pa.Table:
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SourceError(f"The DataFrame mixes types in a column: {error.args[0]}.") from error


def _check_names(names: Iterable[str], reading: Reading, path: Path | None) -> None:
    missing = [name for name in reading.numbers if name not in names]
    if missing:
        where = repr(str(path)) if path else "The data"
        raise SourceError(
            f"--read number={missing[0]}: {where} has no column {missing[0]!r}; it has {', '.join(names)}."
        )


def _without_thousands(columns: dict[str, Typed], found: text.Text) -> dict[str, Typed]:
    """Return columns such as 1.234 as texts if other columns, or a semicolon, say that a point may group thousands."""
    read = [each.column for each in columns.values() if each.column is not None]
    has_comma = found.reading.delimiter == ";" or any(column.decimal == "," for column in read)
    has_point = any(each.grouped is False for each in columns.values())
    unclear = [name for name, each in columns.items() if each.grouped]
    if not has_comma or has_point or found.reading.decimal == ".":
        return columns
    texts = {name: found.columns[name] for name in unclear}
    return columns | {
        name: Typed(column, Column("text"), hints=(Hint("ambiguous number", name, repr(_with_point(column))),))
        for name, column in texts.items()
    }


def _with_point(column: pa.ChunkedArray) -> str:
    return str(next(value for value in column.to_pylist() if value and "." in value))


def _unmarked(values: pa.ChunkedArray, markers: Iterable[str]) -> pa.ChunkedArray:
    """Return numbers with NULL in place of those that a NULL marker means, such as -999.0 for -999."""
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return values
    for marker in markers:
        try:
            number = pa.scalar(float(marker)).cast(values.type)
        except (ValueError, pa.ArrowInvalid):
            continue
        values = pc.if_else(pc.equal(values, number), None, values)
    return values


def _table(
    columns: dict[str, Typed], reading: Reading, notes: list[str], rows: np.ndarray, unnamed: tuple[str, ...]
) -> Table:
    """Return the columns as a table; notes of one kind are one sentence."""
    by_kind: dict[str, list[str]] = {}
    for each in columns.values():
        for what, where in each.notes:
            by_kind.setdefault(what, []).append(where)
    sentences = [f"Read {what}: {', '.join(places)}." for what, places in by_kind.items()]
    how = {name: each.column for name, each in columns.items() if each.column is not None}
    return Table(
        pa.table({name: _unmarked(each.values, reading.null_markers) for name, each in columns.items()}),
        dataclasses.replace(reading, columns=how),
        [*notes, *sentences],
        [each for column in columns.values() for each in column.hints],
        rows,
        unnamed,
    )
