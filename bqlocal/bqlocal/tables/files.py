"""Which files are tables, and the rows of those that have types: Parquet and JSON lines."""

from pathlib import Path

import duckdb
import pyarrow as pa
from sqlglot import exp

from bqlocal.errors import SourceError

DELIMITED = (".csv", ".tsv", ".txt")
# Suffix of other files -> DuckDB's function that reads it, and its options.
READERS = {
    ".parquet": ("read_parquet", ""),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), ("read_json", ", format = 'newline_delimited'")),
}
SUFFIXES = (*DELIMITED, *READERS)  # each but .parquet also with .gz
WORKBOOKS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers")
_WIDENED = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER"), "BIGINT"),
    **dict.fromkeys(("UBIGINT", "HUGEINT", "UHUGEINT"), "BIGINT"),
    "FLOAT": "DOUBLE",
    "UUID": "VARCHAR",
    **dict.fromkeys(("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), "TIMESTAMP"),
}


def known_suffix(path: Path) -> str:
    """Return the suffix of a file that can be read, without .gz; raise SourceError for others."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    suffix = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])
    if suffix in WORKBOOKS:
        raise SourceError(f"Cannot read the workbook {str(path)!r}; save the sheet as CSV, in UTF-8.")
    if suffix not in SUFFIXES or (suffix == ".parquet" and suffixes[-1] == ".gz"):
        raise SourceError(
            f"Cannot load {str(path)!r}; expected a file that ends in {', '.join(SUFFIXES)}, .csv.gz and so on."
        )
    if not path.is_file():
        raise SourceError(f"There is no file {str(path)!r}; check the path.")
    return suffix


def typed_file(path: Path) -> pa.Table:
    """Return the rows of a Parquet or JSON lines file."""
    reader, options = READERS[known_suffix(path)]
    rows = f"{reader}({exp.Literal.string(str(path)).sql('duckdb')}{options})"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            table = connection.sql(select_all(connection, rows)).to_arrow_table()
        except duckdb.Error as error:
            raise SourceError(f"Cannot load {str(path)!r}: {str(error).splitlines()[0].strip()}") from error
    if reader == "read_json" and table.column_names == ["json"]:
        raise SourceError(f"{str(path)!r} is not JSON lines; save it with one object per line and row.")
    return table


def select_all(connection: duckdb.DuckDBPyConnection, rows: str) -> str:
    """Return the query of all rows and columns of a FROM item, every column cast to one of BigQuery's types."""
    columns = connection.execute(f"DESCRIBE SELECT * FROM {rows}").fetchall()
    return f"SELECT {', '.join(_cast(*column[:2]) for column in columns)} FROM {rows}"


def _cast(column: str, duckdb_type: str) -> str:
    name = exp.to_identifier(column, quoted=True).sql("duckdb")
    if duckdb_type == "JSON":  # a column of JSON lines that has values of several types
        return f"{name} ->> '$' AS {name}"
    wanted = "VARCHAR" if duckdb_type.startswith("ENUM(") else _WIDENED.get(duckdb_type)
    return f"CAST({name} AS {wanted}) AS {name}" if wanted else name
