"""Query results as BigQuery's REST API writes them: all values as text, with their types in the schema."""

import base64
import json
from datetime import datetime
from typing import Any

import pyarrow as pa


def encoded(table: pa.Table) -> dict[str, Any]:
    """Return the schema and rows of a result."""
    fields = [{"name": field.name, "type": _type(field.type), "mode": "NULLABLE"} for field in table.schema]
    rows = [{"f": [{"v": _text(value)} for value in row.values()]} for row in table.to_pylist()]
    return {"schema": {"fields": fields}, "rows": rows, "totalRows": str(table.num_rows)}


def _type(arrow_type: pa.DataType) -> str:
    if isinstance(arrow_type, pa.JsonType):
        return "JSON"
    for test, name in (
        (pa.types.is_boolean, "BOOLEAN"),
        (pa.types.is_integer, "INTEGER"),
        (pa.types.is_floating, "FLOAT"),
        (pa.types.is_timestamp, "TIMESTAMP"),
        (pa.types.is_binary, "BYTES"),
    ):
        if test(arrow_type):
            return name
    return "STRING"


def _text(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return str(int(value.timestamp() * 1e6))
    if isinstance(value, dict | list):
        return json.dumps(value)
    return repr(value) if isinstance(value, float) else str(value)
