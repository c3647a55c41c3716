"""Scores one request on its own, without HTTP and without the scheduler."""

from typing import Any

from serving import encoding, scoring
from serving.contract import Request
from serving.functions import SqlFunction
from serving.model import Model
from serving.options import Options
from serving.telemetry import Timer


def answer(model: Model, function: SqlFunction, options: Options, request: Request) -> list[Any]:
    """Return one JSON-ready reply per call, under on_error "json" with what was wrong with its row."""
    rows = function.decode(model, request)
    job = scoring.prepare(model, function, options, rows, Timer())
    replies = encoding.as_list(scoring.score(job))
    if options.on_error == "json":
        replies = [{"value": value, "error": job.errors.get(row)} for row, value in enumerate(replies)]
    return replies * (function.count(request, rows) // max(1, len(rows)))
