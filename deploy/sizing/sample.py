"""Rows to measure a model with: its input example, or rows made from its signature.

A model may score made-up rows faster or slower than real ones, so the report says which were used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click
import orjson

from deploy.sizing.load_generator import bigquery_body
from launch.examine import Examined


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


def sample_rows(found: Examined) -> Sample:
    """Return rows for a model; raise SizingError if it has no example and none can be made."""
    description = found.description
    if not description.rows:
        raise SizingError(
            f"The model at {found.uri} has no input example, and no rows can be made from its signature: save it again "
            "with input_example=X.head()."
        )
    model_bytes = sum(file.stat().st_size for file in found.folder.rglob("*") if file.is_file())
    return Sample(description.rows, description.made_up, model_bytes)
