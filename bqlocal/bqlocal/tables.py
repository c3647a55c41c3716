"""Tables from frames and files, with BigQuery's types.

The rule: what BigQuery would load. Every integer is INT64, every float FLOAT64, text is STRING; a missing
value is NULL.
"""

from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pandas as pd
import pyarrow as pa
from sqlglot import exp

from bqlocal.errors import SourceError

Source: TypeAlias = pd.DataFrame | pa.Table | str | Path
READERS = {
    ".csv": "read_csv",
    ".parquet": "read_parquet",
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), "read_json"),
}

_WIDENED = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER"), "BIGINT"),
    **dict.fromkeys(("UBIGINT", "HUGEINT", "UHUGEINT"), "BIGINT"),
    "FLOAT": "DOUBLE",
    "UUID": "VARCHAR",
    **dict.fromkeys(("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), "TIMESTAMP"),
}


def full_name(name: str, project: str) -> str:
    """Return `project.dataset.table` for `dataset.table` or itself."""
    parts = name.replace("`", "").split(".")
    if len(parts) not in (2, 3) or not all(parts):
        raise SourceError(f"{name!r} is no table name; write dataset.table or project.dataset.table.")
    return ".".join(parts if len(parts) == 3 else [project, *parts])


def create(connection: duckdb.DuckDBPyConnection, table: str, source: Source) -> None:
    """Create or replace a table, given by its name in DuckDB's SQL, from a frame or a file."""
    if isinstance(source, pd.DataFrame):
        source = _arrow(source)
    if isinstance(source, pa.Table):
        connection.register("loaded", source)
        rows = "loaded"
    else:
        rows = _reader(Path(source))
    try:
        connection.execute(f"CREATE OR REPLACE TABLE {table} AS {selected(connection, rows)}")
    except duckdb.Error as error:
        raise SourceError(f"{_shown(source)} cannot be loaded: {str(error).splitlines()[0]}") from error
    finally:
        if isinstance(source, pa.Table):
            connection.unregister("loaded")


def selected(connection: duckdb.DuckDBPyConnection, rows: str) -> str:
    """Return the query of everything in a FROM item, every column with one of BigQuery's types."""
    columns = connection.execute(f"DESCRIBE SELECT * FROM {rows}").fetchall()
    return f"SELECT {', '.join(_selected(*column[:2]) for column in columns)} FROM {rows}"


def _arrow(frame: pd.DataFrame) -> pa.Table:
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SourceError(f"The DataFrame mixes types in a column: {error.args[0]}.") from error


def _reader(path: Path) -> str:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise SourceError(f"{str(path)!r} is no table; known are files that end in {', '.join(READERS)}.")
    if not path.is_file():
        raise SourceError(f"There is no file {str(path)!r}; check the path.")
    # As BigQuery loads CSV: an empty field is NULL, an empty text in quotes is an empty text.
    options = ", header = true, allow_quoted_nulls = false" if reader == "read_csv" else ""
    options = ", format = 'newline_delimited'" if reader == "read_json" else options
    return f"{reader}({exp.Literal.string(str(path)).sql('duckdb')}{options})"


def _selected(column: str, duckdb_type: str) -> str:
    name = exp.to_identifier(column, quoted=True).sql("duckdb")
    wanted = "VARCHAR" if duckdb_type.startswith("ENUM(") else _WIDENED.get(duckdb_type)
    return f"CAST({name} AS {wanted}) AS {name}" if wanted else name


def _shown(source: Any) -> str:
    return "The table" if isinstance(source, pa.Table) else repr(str(source))
