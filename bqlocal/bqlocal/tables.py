"""Reads tables from DataFrames and from CSV, Parquet and JSON lines files, with BigQuery's types.

The types are those that BigQuery gives to the same values: every integer is INT64, every float FLOAT64, text STRING;
missing values are NULL.
"""

from pathlib import Path
from typing import TypeAlias

import duckdb
import pandas as pd
import pyarrow as pa
from sqlglot import exp

from bqlocal.errors import SourceError

Source: TypeAlias = pd.DataFrame | pa.Table | str | Path

# Suffix of a file -> DuckDB's function that reads it, and the options that make it read as BigQuery loads: in CSV an
# empty field is NULL and an empty text in quotes is an empty text.
READERS = {
    ".csv": ("read_csv", ", header = true, allow_quoted_nulls = false"),
    ".parquet": ("read_parquet", ""),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), ("read_json", ", format = 'newline_delimited'")),
}
_WIDENED = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER"), "BIGINT"),
    **dict.fromkeys(("UBIGINT", "HUGEINT", "UHUGEINT"), "BIGINT"),
    "FLOAT": "DOUBLE",
    "UUID": "VARCHAR",
    **dict.fromkeys(("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), "TIMESTAMP"),
}


def read(path: str | Path) -> pa.Table:
    """Return the rows of a CSV, Parquet or JSON lines file, in the order of the file.

    Integers are int64, floats float64, times have microseconds. Raises SourceError when the file cannot be read.
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            return connection.sql(select_all(connection, _reader(Path(path)))).to_arrow_table()
        except duckdb.Error as error:
            raise _unreadable(path, error) from error


def create(connection: duckdb.DuckDBPyConnection, table: str, source: Source) -> None:
    """Create or replace a table, whose name is given in DuckDB's SQL; raise SourceError if the source is unreadable."""
    if isinstance(source, pd.DataFrame):
        source = _arrow(source)
    if isinstance(source, pa.Table):
        connection.register("loaded", source)
        rows = "loaded"
    else:
        rows = _reader(Path(source))
    try:
        connection.execute(f"CREATE OR REPLACE TABLE {table} AS {select_all(connection, rows)}")
    except duckdb.Error as error:
        raise _unreadable(source, error) from error
    finally:
        if isinstance(source, pa.Table):
            connection.unregister("loaded")


def select_all(connection: duckdb.DuckDBPyConnection, rows: str) -> str:
    """Return the query of all rows and columns of a FROM item, every column cast to one of BigQuery's types."""
    columns = connection.execute(f"DESCRIBE SELECT * FROM {rows}").fetchall()
    return f"SELECT {', '.join(_cast(*column[:2]) for column in columns)} FROM {rows}"


def full_name(name: str, project: str) -> str:
    """Return `project.dataset.table` for a name with or without its project."""
    parts = name.replace("`", "").split(".")
    if len(parts) not in (2, 3) or not all(parts):
        raise SourceError(f"{name!r} is not a table name; write dataset.table or project.dataset.table.")
    return ".".join(parts if len(parts) == 3 else [project, *parts])


def _arrow(frame: pd.DataFrame) -> pa.Table:
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SourceError(f"The DataFrame mixes types in a column: {error.args[0]}.") from error


def _reader(path: Path) -> str:
    """Return the FROM item that reads a file."""
    if path.suffix.lower() not in READERS:
        raise SourceError(f"Cannot load {str(path)!r}; expected a file that ends in {', '.join(READERS)}.")
    if not path.is_file():
        raise SourceError(f"There is no file {str(path)!r}; check the path.")
    reader, options = READERS[path.suffix.lower()]
    return f"{reader}({exp.Literal.string(str(path)).sql('duckdb')}{options})"


def _cast(column: str, duckdb_type: str) -> str:
    name = exp.to_identifier(column, quoted=True).sql("duckdb")
    wanted = "VARCHAR" if duckdb_type.startswith("ENUM(") else _WIDENED.get(duckdb_type)
    return f"CAST({name} AS {wanted}) AS {name}" if wanted else name


def _unreadable(source: object, error: duckdb.Error) -> SourceError:
    name = "the table" if isinstance(source, pa.Table) else repr(str(source))
    return SourceError(f"Cannot load {name}: {str(error).splitlines()[0]}")
