"""Writes a query that contains the rows it scores, so checking the input example needs no table."""

import json
import math
from collections.abc import Sequence
from typing import Any

from serving.functions import find
from serving.signature import Column, Signature
from sql.names import exceeds_arguments, identifier, string_literal
from sql.settings import DEFAULT, SqlSettings


def example_query(
    signature: Signature, rows: Sequence[Sequence[Any]], dataset: str, settings: SqlSettings = DEFAULT
) -> str:
    """Return a query that scores rows given as argument lists, with the functions in `dataset`, "project.dataset".

    It returns the rows in order, with the columns `example`, the row's number from 0; `predicted`, the prediction as a
    JSON string; and `digest`, the digest of the model that answered.
    """
    project, _, name = dataset.rpartition(".")
    place = f"`{project}`.{name}"
    columns = signature.columns
    wide = exceeds_arguments(columns)
    names = ["document"] if wide else [f"x{at}" for at in range(len(columns))]
    structs = []
    for position, row in enumerate(rows):
        if wide:
            values = [_json({column.name: value for column, value in zip(columns, row, strict=True)})]
        else:
            values = [_literal(value, column) for value, column in zip(row, columns, strict=True)]
        fields = "".join(f", {value} AS {name}" for name, value in zip(names, values, strict=True))
        structs.append(f"  STRUCT({position} AS example{fields})")
    function = find({"function": "predict_row" if wide else "predict"}, "")
    call = f"{place}.{identifier(settings.routines(function)[0])}({', '.join(names)})"
    predicted = f"JSON_QUERY({call}, '$.value')" if settings.explains(function) else call
    return (
        f"SELECT example, TO_JSON_STRING({predicted}) AS predicted,\n"
        f"  JSON_VALUE({place}.{settings.sql_name('model_info')}(), '$.digest') AS digest\n"
        "FROM UNNEST([\n" + ",\n".join(structs) + "\n])\nORDER BY example\n"
    )


def _literal(value: Any, column: Column) -> str:
    """Return a JSON value as an expression of the column's SQL type."""
    if value is None or (isinstance(value, float) and math.isnan(value) and not column.required):
        return f"CAST(NULL AS {column.sql_type})"
    if column.sql_type == "JSON":
        return _json(value)
    literal = string_literal(value if isinstance(value, str) else json.dumps(value).strip('"'))
    casts = {"STRING": literal, "BYTES": f"FROM_BASE64({literal})"}
    return casts.get(column.sql_type, f"CAST({literal} AS {column.sql_type})")


def _json(value: Any) -> str:
    return f"PARSE_JSON({string_literal(json.dumps(value))}, wide_number_mode => 'round')"
