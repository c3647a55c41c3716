"""Writes report.html: what to look at before serving a model, in one file that needs no network.

Jinja escapes everything that comes from the data, such as names and labels. The pipeline's diagram is scikit-learn's
HTML, with its style and script, and the figures are SVG; both come from libraries that escape names themselves. A
section whose results are absent is left out.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from sklearn.pipeline import Pipeline
from sklearn.utils import estimator_html_repr

from model_loader import load
from sql.names import exceeds_arguments, identifier, predict_call
from sql.render import render
from train.diagnosis import Diagnosis
from train.numbers import number

DATASET = "ds"
TABLE = f"{DATASET}.heldout"
# SQL types that BigQuery passes to an argument of another type without a CAST.
_COERCED = {("INT64", "FLOAT64"), ("INT64", "NUMERIC"), ("NUMERIC", "FLOAT64"), ("DATE", "DATETIME")}


@dataclasses.dataclass(frozen=True)
class Files:
    """The model's folder, its URI in the SQL, and the Parquet file with the held-out rows."""

    model: Path
    model_uri: str
    heldout: Path


def report(
    *,
    title: str,
    lead: str,
    results: Mapping[str, Any],
    notes: Sequence[str],
    figures: Mapping[str, str],
    diagnosis: Diagnosis,
    loss_name: str,
    pipeline: Pipeline,
    files: Files,
    target: str,
    details: Mapping[str, object],
) -> str:
    """Return the page.

    `results` are those of scores.json, `figures` SVG by title, `loss_name` what the diagnosis calls the loss of a row.
    """
    statements, query = sql(files, target)
    models = {name: results[name] for name in ("model", "baseline", "linear") if name in results}
    return _templates.get_template("report.html").render(
        title=title,
        lead=lead,
        verdict=results.get("verdict"),
        scores=_scores(models, results.get("verdict")),
        models=list(models),
        leaderboard=results.get("leaderboard") or [],
        data_check=results.get("data_check"),
        notes=notes,
        figures={name: Markup(svg) for name, svg in figures.items()},
        diagnosis=diagnosis,
        loss_name=loss_name,
        diagram=Markup(estimator_html_repr(pipeline)),
        statements=statements,
        query=query,
        table=TABLE,
        details=details,
    )


def sql(files: Files, target: str) -> tuple[str, str]:
    """Return the statements that register the model's functions, and a query over the held-out rows.

    Project, connection and endpoint are examples.
    """
    loaded = load(str(files.model), plan="thorough")
    statements = render(
        loaded,
        project="my-project",
        dataset=DATASET,
        connection="us.remote-models",
        endpoint="https://predict-abc-uc.a.run.app",
    ).replace(str(files.model), files.model_uri)
    columns = loaded.signature.columns
    if exceeds_arguments(columns):
        call = predict_call([column.name for column in columns], DATASET)
    else:
        schema = pyarrow.parquet.read_schema(files.heldout)
        call = f"{DATASET}.predict({', '.join(_argument(column.name, column.sql_type, schema) for column in columns)})"
    return statements, f"SELECT t.{identifier(target)} AS actual, {call} AS predicted\nFROM {TABLE} AS t"


def _argument(name: str, want: str, schema: pa.Schema) -> str:
    """Return a column of the held-out rows as SQL, with a CAST where the function wants another type."""
    value = f"t.{identifier(name)}"
    have = _sql_type(schema.field(name).type)
    return value if have == want or (have, want) in _COERCED else f"CAST({value} AS {want})"


def _sql_type(arrow_type: pa.DataType) -> str:
    """Return the type that BigQuery gives a Parquet column."""
    if pa.types.is_timestamp(arrow_type):
        return "TIMESTAMP" if arrow_type.tz else "DATETIME"
    if pa.types.is_dictionary(arrow_type):
        return _sql_type(arrow_type.value_type)
    tests = {
        "BOOL": pa.types.is_boolean, "INT64": pa.types.is_integer, "FLOAT64": pa.types.is_floating,
        "STRING": lambda it: pa.types.is_string(it) or pa.types.is_large_string(it), "DATE": pa.types.is_date,
        "NUMERIC": pa.types.is_decimal,
    }  # fmt: skip
    return next((name for name, test in tests.items() if test(arrow_type)), "")


def _scores(models: Mapping[str, Mapping[str, float]], verdict: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return a row for each measure: its name, and by model the value and, for the verdict's measure, the interval."""
    intervals = (verdict or {}).get("intervals", {})
    return [
        {
            "measure": measure,
            "cells": {
                name: (values[measure], intervals.get(name) if verdict and measure == verdict["measure"] else None)
                for name, values in models.items()
                if measure in values
            },
        }
        for measure in models["model"]
    ]


def _shown(value: object) -> str:
    """Return a value of the data as a reader expects it: numbers with separators, NULL for a missing one."""
    if value is None or value is pd.NA or value != value:
        return "NULL"
    if isinstance(value, bool | np.bool_):
        return str(value)
    if isinstance(value, pd.Timestamp):
        return str(value.date() if value == value.normalize() else value)
    try:
        as_number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return str(value)
    if isinstance(value, str) or not math.isfinite(as_number):
        return str(value)
    return f"{int(as_number):,}" if as_number == int(as_number) and abs(as_number) < 1e15 else number(as_number)


_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters |= {"number": number, "shown": _shown, "percent": lambda share: f"{share:.1%}"}
