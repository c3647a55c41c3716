"""Scores one request on its own, without HTTP and without the scheduler."""

from typing import Any

from serving import encoding, scoring
from serving.contract import Request
from serving.functions import SqlFunction
from serving.model import Model
from serving.options import Options
from serving.telemetry import Timer


def answer(model: Model, function: SqlFunction, options: Options, request: Request) -> list[Any]:
    """Return one JSON-ready reply per call."""
    job = scoring.prepare(model, function, options, function.decode(model, request), Timer())
    return encoding.as_list(scoring.score(job))
