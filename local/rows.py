"""How parity reads a file of rows: in the types of the model's signature, and as training read its own file.

In a file, 01 may be a text or a number, and 1,5 a number or a text; the model knows which. Training leaves its reading
in the model's metadata. Other models have their signature alone.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bqlocal import BigQuery, SourceError
from bqlocal.tables import AS_FOUND, Column, Kind, Reading, read
from serving.column_names import argument_names
from serving.model import Model
from sql.names import identifier

KINDS: dict[str, Kind] = {
    "FLOAT64": "number", "INT64": "number", "BOOL": "boolean", "STRING": "text", "DATE": "date", "DATETIME": "datetime",
    "TIMESTAMP": "timestamp",
}  # fmt: skip
FOUND_AGAIN = (",", ";", "\t", "|")  # delimiters that are guessed, in case the rows come from another program


def load_rows(bigquery: BigQuery, path: Path, model: Model) -> tuple[list[str], Sequence[Sequence[Any]]]:
    """Create parity.rows with the columns that the model needs; return their names there, and the rows.

    BigQuery's columns can't have all names that a file's have, so they are named like the function's arguments. The
    columns of a tensor have no names in MLflow: they are the table's columns, in order.
    """
    table = read(path, reading_for(model)).rows
    names, columns = table.column_names, model.signature.columns
    used = names[: len(columns)] if model.signature.tensors else [column.name for column in columns]
    missing = sorted({column.name for column in columns} if len(used) < len(columns) else set(used) - set(names))
    if missing:
        raise SourceError(f"The table has no column {missing[0]!r}, which the model needs; it has {', '.join(names)}.")
    arguments = argument_names(used)
    values = [table[name] for name in used]
    if _learned(model.info.metadata) is not AS_FOUND:
        values = [_finite(column) for column in values]  # as training did
    bigquery.load("parity.loaded", pa.table(values, names=arguments))
    selected = []
    for name, column in zip(map(identifier, arguments), columns, strict=True):
        cast = f"TO_JSON({name})" if column.sql_type == "JSON" else f"CAST({name} AS {column.sql_type})"
        selected.append(f"{cast} AS {name}")
    bigquery.sql(f"CREATE OR REPLACE TABLE parity.rows AS SELECT {', '.join(selected)} FROM parity.loaded")
    loaded = bigquery.sql("SELECT * FROM parity.rows").table
    lists = [
        [value and json.loads(value) for value in loaded[name].to_pylist()]
        if column.sql_type == "JSON"
        else loaded[name].to_pylist()
        for name, column in zip(arguments, columns, strict=True)
    ]
    return arguments, list(zip(*lists, strict=True))


def _finite(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return floats with NULL in place of infinity."""
    return pc.if_else(pc.is_inf(values), None, values) if pa.types.is_floating(values.type) else values


def reading_for(model: Model) -> Reading:
    """Return how to read rows for a model; columns of tensors have no names, so their types are guessed."""
    learned = _learned(model.info.metadata)
    if model.signature.tensors:
        return learned
    columns = {
        column.name: learned.columns.get(column.name) or Column(KINDS[column.sql_type])
        for column in model.signature.columns
        if column.sql_type in KINDS
    }
    return dataclasses.replace(learned, columns=columns)


def _learned(metadata: Any) -> Reading:
    """Return the reading that training left, without what is found again in each file."""
    fields = metadata.get("reading") if isinstance(metadata, Mapping) else None
    if not isinstance(fields, Mapping):
        return AS_FOUND
    try:
        reading = Reading.from_json(fields)
    except (AttributeError, TypeError):  # written by somebody else
        return AS_FOUND
    delimiter = None if reading.delimiter in FOUND_AGAIN else reading.delimiter
    encoding = None if reading.encoding in ("utf-8", "utf-16", "cp1252") else reading.encoding
    return dataclasses.replace(reading, delimiter=delimiter, encoding=encoding, numbers=())
