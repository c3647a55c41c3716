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
    rows = function.decode(model, request)
    replies = encoding.as_list(scoring.score(scoring.prepare(model, function, options, rows, Timer())))
    return replies * (function.count(request, rows) // max(1, len(rows)))
