"""Tables from frames and files, with BigQuery's types.

The rule: what BigQuery would load. Every integer is INT64, every float FLOAT64, text is STRING; a missing
value is NULL.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pandas as pd
import pyarrow as pa
from sqlglot import exp

from local.errors import SourceError

Source: TypeAlias = pd.DataFrame | pa.Table | str | Path
READERS = {".csv": "read_csv", ".parquet": "read_parquet"}

_WIDENED = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER"), "BIGINT"),
    **dict.fromkeys(("UBIGINT", "HUGEINT", "UHUGEINT"), "BIGINT"),
    "FLOAT": "DOUBLE",
    "UUID": "VARCHAR",
    **dict.fromkeys(("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), "TIMESTAMP"),
}


def split_name(name: str, project: str) -> tuple[str, str, str]:
    """Return project, dataset and table of `dataset.table` or `project.dataset.table`."""
    parts = name.replace("`", "").split(".")
    if len(parts) not in (2, 3) or not all(parts):
        raise SourceError(f"{name!r} is no table name; write dataset.table or project.dataset.table.")
    return (project, *parts) if len(parts) == 2 else tuple(parts)  # type: ignore[return-value]


def create(connection: duckdb.DuckDBPyConnection, path: Sequence[str], source: Source) -> None:
    """Create or replace a table from a frame or a file."""
    if isinstance(source, pd.DataFrame):
        source = _arrow(source, ".".join(path))
    table = ".".join(exp.to_identifier(part, quoted=True).sql("duckdb") for part in path)
    if isinstance(source, pa.Table):
        connection.register("loaded", source)
        rows = "loaded"
    else:
        rows = _reader(Path(source))
    try:
        columns = connection.execute(f"DESCRIBE SELECT * FROM {rows}").fetchall()
        selected = ", ".join(_selected(*column[:2]) for column in columns)
        connection.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT {selected} FROM {rows}")
    except duckdb.Error as error:
        raise SourceError(f"{_shown(source)} cannot be loaded: {str(error).splitlines()[0]}") from error
    finally:
        if isinstance(source, pa.Table):
            connection.unregister("loaded")


def _arrow(frame: pd.DataFrame, name: str) -> pa.Table:
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SourceError(f"The DataFrame for {name} mixes types in a column: {error.args[0]}.") from error


def _reader(path: Path) -> str:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise SourceError(f"{str(path)!r} is no table; known are files that end in {' or '.join(READERS)}.")
    if not path.is_file():
        raise SourceError(f"There is no file {str(path)!r}; check the path.")
    options = ", header = true" if reader == "read_csv" else ""
    return f"{reader}({exp.Literal.string(str(path)).sql('duckdb')}{options})"


def _selected(column: str, duckdb_type: str) -> str:
    name = exp.to_identifier(column, quoted=True).sql("duckdb")
    wanted = "VARCHAR" if duckdb_type.startswith("ENUM(") else _WIDENED.get(duckdb_type)
    return f"CAST({name} AS {wanted}) AS {name}" if wanted else name


def _shown(source: Any) -> str:
    return "The table" if isinstance(source, pa.Table) else repr(str(source))
