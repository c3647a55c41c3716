"""`mlflow deployments predict`: rows that Python has, scored by a query in BigQuery."""

import base64
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from mlflow_bigquery.cloud import Deployment, Place, query

MAX_BYTES = 500_000  # of the rows in one query; BigQuery takes a text of 1 MB


def predict(place: Place, deployment: Deployment, inputs: Any) -> list[Any]:
    """Return the prediction for each row of a DataFrame, or of what makes one, in order.

    Each prediction is a JSON value, as the SQL function returns it.
    """
    frame = inputs if isinstance(inputs, pd.DataFrame) else pd.DataFrame(inputs)
    name = deployment.functions["predict_row"]
    predictions = []
    for rows in _parts([_literal(row) for row in frame.to_dict("records")]):
        found = query(place, _query(place, name, rows), len(rows))
        predictions += [json.loads(row["prediction"]) for row in found]
    return predictions


def _query(place: Place, name: str, rows: Sequence[str]) -> str:
    call = f"`{place.project}`.{place.dataset}.{name}(PARSE_JSON(row_text, wide_number_mode => 'round'))"
    return (
        f"SELECT TO_JSON_STRING({call}) AS prediction\nFROM UNNEST([\n  "
        + ",\n  ".join(rows)
        + "\n]) AS row_text WITH OFFSET AS at\nORDER BY at"
    )


def _literal(row: dict[Any, Any]) -> str:
    """Return a row as a string literal of GoogleSQL, which has JSON's escapes, that contains JSON."""
    values = {str(name): _value(value) for name, value in row.items()}
    return json.dumps(json.dumps(values, default=_plain, allow_nan=False))


def _value(value: Any) -> Any:
    """Return a value that JSON has; a missing one is null, and infinity the text by which TO_JSON writes it."""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _plain(value: Any) -> Any:
    """Return what stands for a value that json does not know: of NumPy, of pandas, bytes and dates."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def _parts(rows: Sequence[str]) -> Iterator[list[str]]:
    """Yield the rows in lists that fit into a query; a single one that does not is left to BigQuery to refuse."""
    part: list[str] = []
    size = 0
    for row in rows:
        length = len(row.encode())
        if part and size + length > MAX_BYTES:
            yield part
            part, size = [], 0
        part.append(row)
        size += length
    if part:
        yield part
