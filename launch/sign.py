"""Gives a model without a signature one, from a table of the rows that it was trained on: `--signature-from`.

A copy of the model gets the signature and an input example; the original isn't touched.
"""

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from launch import kept
from launch.errors import Blocked
from serving.errors import join_names, quantity

SIGNED = kept.KEPT / "signed"
EXAMPLE_ROWS = 20
EXAMPLE = "input_example.json"
TYPES = {"b": "boolean", "i": "long", "u": "long", "f": "double"}  # MLflow's, by NumPy's kind of dtype; else string


def signed_copy(folder: Path, uri: str, table: Path, digest: str, fitted_on: Callable[[], Mapping[str, Any]]) -> Path:
    """Return a copy of a model with a signature made from a table; raise Blocked if the table doesn't fit the model.

    `digest` is that of the model's files; `fitted_on` returns the names and the number of the columns that the model
    was fitted on, as far as it tells.
    """
    frame = _read(table)
    key = hashlib.sha256(f"{digest} {table.suffix} ".encode() + table.read_bytes() + Path(__file__).read_bytes())
    place = SIGNED / key.hexdigest()[:16]

    def make(unfinished: Path) -> Path:
        taken = frame[_fitting(fitted_on(), list(frame.columns), uri, table)]
        shutil.copytree(folder, unfinished / "model")
        _sign(unfinished / "model", taken)
        return unfinished / "model"

    return kept.model_folder(place, make)


def _sign(folder: Path, frame: pd.DataFrame) -> None:
    """Write the signature and the example of these rows into a model's folder."""
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    mlmodel["signature"] = {"inputs": json.dumps(_inputs(frame)), "outputs": None, "params": None}
    mlmodel["saved_input_example_info"] = {"artifact_path": EXAMPLE, "pandas_orient": "split", "type": "dataframe"}
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))
    columns = [_json_values(frame[name][:EXAMPLE_ROWS]) for name in frame.columns]
    example = {"columns": list(frame.columns), "data": list(zip(*columns, strict=True))}
    (folder / EXAMPLE).write_text(json.dumps(example))


def _json_values(column: pd.Series) -> list[Any]:
    """Return the values of a column as JSON has them, numbers with all of their digits.

    pandas writes 15 decimals, and a rounded value may lie outside the range that the model was fitted on.
    """
    if column.dtype.kind == "f":
        return [float(value) if not pd.isna(value) and math.isfinite(value) else None for value in column]
    values: list[Any] = json.loads(column.to_json(orient="values"))
    return values


def _inputs(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the inputs of an MLflow signature; a column with missing values is optional."""
    return [
        {
            "name": name,
            "type": TYPES.get(frame[name].dtype.kind, "string"),
            "required": not frame[name].isna().any().item(),
        }
        for name in frame.columns
    ]


def _read(table: Path) -> pd.DataFrame:
    readers: dict[str, Any] = {".csv": pd.read_csv, ".parquet": pd.read_parquet}
    if table.suffix not in readers:
        raise Blocked([f"--signature-from is {str(table)!r}; expected a file that ends with .csv or .parquet."])
    try:
        frame: pd.DataFrame = readers[table.suffix](table)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise Blocked([f"The file {table} cannot be read as a table: {reason}"]) from error
    if frame.empty:
        raise Blocked([f"The table {table} has no rows; expected some of those that the model was trained on."])
    return frame.set_axis([str(name) for name in frame.columns], axis=1)


def _fitting(found: Mapping[str, Any], names: list[str], uri: str, table: Path) -> list[str]:
    """Return the names of the table's columns that the model takes, in its order."""
    known, count = found["names"], found["count"]
    if known and (missing := [name for name in known if name not in names]):
        raise Blocked(
            [
                f"The table {table} has no {join_names(missing)}, which the model at {uri} was fitted on; it has "
                f"{join_names(names)}."
            ]
        )
    if not known and count and count != len(names):
        raise Blocked(
            [
                f"The table {table} has {quantity(len(names), 'column')}, the model at {uri} takes {count}: leave "
                "out those that it doesn't take, such as the target."
            ]
        )
    return known or names
