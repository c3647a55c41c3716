"""The parity gate: the model's input example, scored by SQL, must give what the model's own library predicts.

    python -m deploy.parity expected.json < rows-of-bq.json

The rule: the expectation comes from `mlflow.pyfunc` on the example as MLflow reads it, and shares no code with the
function; a difference fails the deployment and names the row.
"""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from serving.model import Model
from serving.signature import Column, Signature
from sql.names import exceeds_arguments, string_literal

MOST_ROWS = 100  # of the input example
TOLERANCE = 1e-9  # relative to the value where that is greater than 1
WHOLE = {"boolean": "bool", "integer": "int32", "long": "int64"}


def examples(folder: Path, model: Model) -> tuple[Sequence[Sequence[Any]], list[Any]]:
    """Return the input example as argument lists, and MLflow's predictions for it."""
    import mlflow.pyfunc

    loaded = mlflow.pyfunc.load_model(str(folder))
    data = loaded.metadata.load_input_example(str(folder))
    if not isinstance(data, pd.DataFrame | np.ndarray):
        return [], []
    rows, data = model.example[:MOST_ROWS], data[:MOST_ROWS]
    if isinstance(data, pd.DataFrame):
        # MLflow refuses a missing integer or boolean even where the column is optional: those rows are left out.
        dtypes = {it.name: WHOLE[it.mlflow_type] for it in model.signature.columns if it.mlflow_type in WHOLE}
        complete = data[list(dtypes)].notna().all(axis=1)
        rows = [row for row, kept in zip(rows, complete, strict=True) if kept]
        data = data[complete].astype(dtypes)
    if not len(data):
        return [], []
    names = [output.name for output in model.signature.outputs or ()]
    return rows, _plain(loaded.predict(data), names)


def query(signature: Signature, rows: Sequence[Sequence[Any]], functions: str) -> str:
    """Return the SELECT that scores the rows, in their order, and asks which model answered."""
    project, dataset = functions.split(".")
    place = f"`{project}`.{dataset}"
    wide = exceeds_arguments(signature.columns)
    names = ["document"] if wide else [f"x{at}" for at in range(len(signature.columns))]
    structs = []
    for position, row in enumerate(rows):
        if wide:
            values = [_json(dict(zip((column.name for column in signature.columns), row, strict=True)))]
        else:
            values = [_literal(value, column) for value, column in zip(row, signature.columns, strict=True)]
        fields = "".join(f", {value} AS {name}" for name, value in zip(names, values, strict=True))
        structs.append(f"  STRUCT({position} AS example{fields})")
    call = f"predict{'_row' if wide else ''}({', '.join(names)})"
    return (
        f"SELECT example, TO_JSON_STRING({place}.{call}) AS predicted,\n"
        f"  JSON_VALUE({place}.model_info(), '$.digest') AS digest\n"
        "FROM UNNEST([\n" + ",\n".join(structs) + "\n])\nORDER BY example\n"
    )


def differences(expected: dict[str, Any], rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return where the rows of the query differ from what is expected, a sentence each."""
    predictions = expected["predictions"]
    if len(rows) != len(predictions):
        return [f"SQL returned {len(rows)} rows for {len(predictions)} rows of the input example."]
    found = [
        f"Row {at} of the input example: SQL gives {row['predicted']}, the model's own library {json.dumps(wanted)}."
        for at, (row, wanted) in enumerate(zip(rows, predictions, strict=True))
        if not _same(json.loads(row["predicted"]), wanted)
    ]
    others = sorted({str(row["digest"]) for row in rows} - {expected["digest"]})
    if others:
        found.insert(0, f"The model with digest {others[0]} answers, not the deployed {expected['digest']}.")
    return found


def _literal(value: Any, column: Column) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value) and not column.required):
        return f"CAST(NULL AS {column.sql_type})"
    if column.sql_type == "JSON":
        return _json(value)
    text = value if isinstance(value, str) else json.dumps(value).strip('"')
    literal = string_literal(text)
    casts = {"STRING": literal, "BYTES": f"FROM_BASE64({literal})"}
    return casts.get(column.sql_type, f"CAST({literal} AS {column.sql_type})")


def _json(value: Any) -> str:
    return f"PARSE_JSON({string_literal(json.dumps(value))}, wide_number_mode => 'round')"


def _plain(result: Any, names: Sequence[str | None] = ()) -> list[Any]:
    """Return a prediction as one JSON value per row, several outputs as an object with the signature's names."""
    if isinstance(result, pd.DataFrame):
        columns = [_plain(result[name]) for name in result.columns]
        names = [str(name) for name in result.columns]
    elif isinstance(result, np.ndarray) and result.ndim == 2:
        columns = [_plain(column) for column in result.T]
        names = [name or str(at) for at, name in enumerate(names or [None] * len(columns))]
    else:
        values = result.tolist() if hasattr(result, "tolist") else list(result)
        return [None if value is pd.NA or value is pd.NaT else value for value in values]
    if len(columns) == 1:
        return columns[0]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return (
            isinstance(found, dict)
            and found.keys() == wanted.keys()
            and all(_same(found[name], value) for name, value in wanted.items())
        )
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(_same, found, wanted))
    if isinstance(wanted, bool) or not isinstance(wanted, int | float):
        return bool(found == wanted)
    try:
        number = float(found)
    except (TypeError, ValueError):
        return found is None and math.isnan(wanted)
    if math.isnan(wanted) or math.isinf(wanted):
        return number == wanted or (math.isnan(number) and math.isnan(wanted))
    return abs(number - wanted) <= TOLERANCE * max(1.0, abs(wanted))


@click.command()
@click.argument("expected", type=click.Path(path_type=Path, exists=True))
def main(expected: Path) -> None:
    """Compare the rows of the query on standard input with what is expected."""
    wanted = json.loads(expected.read_text())
    found = differences(wanted, json.load(sys.stdin))
    if found:
        click.echo("\n".join(found), err=True)
        sys.exit(1)
    click.echo(f"{len(wanted['predictions'])} predictions equal the model's own.")


if __name__ == "__main__":
    main()
