"""Rows to measure a model with: its input example, or rows made up from its column types.

A model may score made-up rows faster or slower than real ones, so the report says which were used.
"""

import base64
import datetime
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
import orjson

from deploy.sizing.load_generator import bigquery_body
from loading.source import local_folder
from model_loader import load
from serving.errors import ServingError

MADE_UP_ROWS = 100
EPOCH = datetime.datetime(2020, 1, 1)
GENERATORS: Mapping[str, Callable[[random.Random], Any]] = {  # by MLflow type
    "boolean": lambda rng: rng.random() < 0.5,
    "integer": lambda rng: rng.randrange(100),
    "long": lambda rng: rng.randrange(100),
    "float": lambda rng: round(rng.gauss(0, 1), 4),
    "double": lambda rng: round(rng.gauss(0, 1), 4),
    "string": lambda rng: rng.choice(["a", "b", "c"]),
    "binary": lambda rng: base64.b64encode(rng.randbytes(16)).decode(),
    "datetime": lambda rng: (EPOCH + datetime.timedelta(rng.uniform(0, 1000))).isoformat() + "Z",
}


class SizingError(click.ClickException):
    """The model cannot be measured, or fits no instance; the message says why and what to do."""


@dataclass(frozen=True)
class Sample:
    """Rows as JSON values, one argument list each; `model_bytes` is the size of the model's files."""

    rows: Sequence[Sequence[Any]]
    made_up: bool
    model_bytes: int

    def body(self, count: int) -> bytes:
        """Return a request body with `count` rows, repeating the sample; values that JSON lacks (NaN) become null."""
        calls = [self.rows[at % len(self.rows)] for at in range(count)]
        return bigquery_body(orjson.dumps(calls))


def sample_rows(uri: str) -> Sample:
    """Load a model and return rows for it; raise SizingError if it cannot be loaded or no rows can be made up."""
    try:
        with local_folder(uri) as folder:
            model_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            model = load(str(folder))
    except ServingError as error:
        raise SizingError(str(error)) from error
    if model.example:
        return Sample(model.example, False, model_bytes)
    for column in model.signature.columns:
        if column.mlflow_type not in GENERATORS:
            raise SizingError(
                f"The model at {uri} has no input example, and values for its column {column} cannot be made up: "
                "save it again with input_example=X.head()."
            )
    rng = random.Random(1)
    generators = [GENERATORS[column.mlflow_type] for column in model.signature.columns]
    return Sample([[generate(rng) for generate in generators] for _ in range(MADE_UP_ROWS)], True, model_bytes)
