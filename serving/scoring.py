"""From the calls of one request to its replies: typed rows, the NULL policy, one prediction, JSON-ready values.

The rule: only rows that are complete and well-formed reach the model, all in one call. Requests of the same kind may
share that call (score_together); each keeps its own policy, its own errors and the answers that it gets alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from serving import replies as written
from serving.contract import Request
from serving.errors import BadRequest, join_names
from serving.functions import SqlFunction, on_offer
from serving.model import Model
from serving.options import Options
from serving.quarantine import Positions, scored
from serving.replies import Replies
from serving.request_log import RequestLog
from serving.rows import Rows, from_objects, from_request

Outcome = Replies | Exception


@dataclass
class Job:
    """The decoded rows of one request, with those among them that the model should score."""

    model: Model
    function: SqlFunction
    options: Options
    rows: Rows
    chosen: Positions
    entry: RequestLog

    @property
    def part(self) -> Rows:
        """The rows to score."""
        return self.rows if len(self.chosen) == len(self.rows) else self.rows.take(self.chosen)

    def replies(self, positions: Positions, values: Replies) -> Replies:
        """Return one reply per row: the values at their positions, None elsewhere."""
        self.entry.null_rows = len(self.rows) - len(positions)
        if len(positions) == len(self.rows):
            return values
        if isinstance(values, list):
            answers: list[Any] = [None] * len(self.rows)
            for row, value in zip(positions.tolist(), values, strict=True):
                answers[row] = value
            return answers
        array = np.full(len(self.rows), np.nan)
        array[positions] = values
        return array


def prepare(model: Model, function: SqlFunction, options: Options, request: Request, entry: RequestLog) -> Job:
    """Return the job of a request; raise BadRequest for a row that cannot be scored, unless `on_error` is `null`."""
    if not function.offered(model):
        offers = join_names([other.name for other in on_offer(model)])
        raise BadRequest(f"{function.name} makes no sense for the model at {model.info.uri}, which offers {offers}.")
    rows = _rows(model, function, request)
    entry.rows = len(rows)
    rejected = rows.faults()
    if options.on_null == "error":
        for row, column in rows.null_in_required().items():
            rejected.setdefault(row, f"Row {row}, column {column.name} is NULL, the model needs {column.sql_type}.")
    if rejected and options.on_error == "fail":
        raise BadRequest(rejected[min(rejected)])
    chosen = np.arange(len(rows))
    lacking = rows.lacking() if options.on_null == "null" else np.array([], np.intp)
    if rejected or len(lacking):
        fit = np.ones(len(rows), np.bool_)
        fit[list(rejected)] = False
        fit[lacking] = False
        chosen = chosen[fit]
    entry.lap("decode")
    return Job(model, function, options, rows, chosen, entry)


def score(job: Job) -> Replies:
    """Return one JSON-ready reply per row; raise BadRequest for a row that the model cannot score under `fail`."""
    if not len(job.chosen):
        return job.replies(job.chosen, [])

    def encoded(positions: Positions) -> Replies:
        part = job.part if len(positions) == len(job.chosen) else job.rows.take(positions)
        return _predicted([job], part)

    return job.replies(*scored(encoded, job.chosen, job.options.on_error))


def score_together(jobs: Sequence[Job]) -> list[Outcome]:
    """Return for each job its replies, or what it raises, from one prediction for all that have rows to score.

    The jobs are of one model, one function and the same options. Whatever goes wrong with all of them together is
    found out with each alone.
    """
    together = [job for job in jobs if len(job.chosen)]
    if len(together) > 1:
        first, *rest = (job.part for job in together)
        try:
            values = _predicted(together, first.followed_by(rest))
        except (Exception, SystemExit):
            return [_outcome(job) for job in jobs]
        bounds = pairwise(accumulate((len(job.chosen) for job in jobs), initial=0))
        return [job.replies(job.chosen, values[start:end]) for job, (start, end) in zip(jobs, bounds, strict=True)]
    return [_outcome(job) for job in jobs]


def answer(model: Model, function: SqlFunction, options: Options, request: Request) -> list[Any]:
    """Return one JSON-ready reply per call of a request on its own."""
    return written.as_list(score(prepare(model, function, options, request, RequestLog("POST", "/"))))


def _outcome(job: Job) -> Outcome:
    try:
        return score(job)
    except Exception as cause:
        return cause
    except SystemExit as cause:  # it would end the process, with all that others wait for
        return RuntimeError(f"The model at {job.model.info.uri} wants to end the process: {cause!r}.")


def _predicted(jobs: Sequence[Job], rows: Rows) -> Replies:
    """Return the JSON-ready values of the rows of these jobs, which share their time."""
    first = jobs[0]
    for job in jobs:
        job.entry.lap("queue")
    result = first.function.score(first.model, rows, first.options)
    for job in jobs:
        job.entry.lap("predict")
    values = written.encode(result, first.function.outputs(first.model, first.options), len(rows))
    for job in jobs:
        job.entry.lap("encode")
    return values


def _rows(model: Model, function: SqlFunction, request: Request) -> Rows:
    if function.takes == "columns":
        return from_request(model.signature, request)
    if function.takes == "row":
        return from_objects(model.signature, request)
    for row, call in enumerate(request.calls):
        if call:
            raise BadRequest(f"Row {row} has {len(call)} arguments, {function.name} takes none.")
    return Rows(model.signature, [], len(request.calls))
