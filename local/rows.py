"""How parity reads a file of rows: in the types of the model's signature, and as training read its own file.

In a file, 01 may be a text or a number, and 1,5 a number or a text; the model knows which. Training leaves its reading
in the model's metadata. Other models have their signature alone.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from bqlocal.tables import AS_FOUND, Column, Kind, Reading
from serving.model import Model

KINDS: dict[str, Kind] = {
    "FLOAT64": "number", "INT64": "number", "BOOL": "boolean", "STRING": "text", "DATE": "date", "DATETIME": "datetime",
    "TIMESTAMP": "timestamp",
}  # fmt: skip
FOUND_AGAIN = (",", ";", "\t", "|")  # delimiters that are guessed, in case the rows come from another program


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
