"""From the decoded rows of requests to their replies: the NULL policy, one prediction, JSON-ready values.

Only complete and well-formed rows reach the model, all of them in one call. Jobs with the same key may share that call
as a Batch; each job keeps its own policy, its own errors, and the answers that it would get alone.
"""

import contextlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from serving import encoding, isolation, refusal
from serving.errors import BadRequest, ModelBlocked, describe_error, without_row
from serving.functions import SqlFunction
from serving.model import Model
from serving.options import Options
from serving.rows import RowIndices, Rows
from serving.telemetry import Timer, current_request
from serving.types import Replies

Outcome = Replies | Exception


@dataclass
class Job:
    """The rows of one request, and which of them the model should score.

    `size` is the request's number of bytes, `request` what identifies it in the log. After scoring, `null_rows` is the
    number of rows answered with NULL without a prediction, and `errors` says under `on_error` "json" why, by row.
    """

    model: Model
    function: SqlFunction
    options: Options
    rows: Rows
    valid_rows: RowIndices
    timer: Timer
    size: int = 0
    request: Mapping[str, object] = field(default_factory=current_request.get)
    null_rows: int = 0
    errors: dict[int, str] = field(default_factory=dict)

    @cached_property
    def key(self) -> Hashable:
        """What jobs must have in common to share a prediction: model, function and options."""
        own = frozenset(self.options.own.items())
        return id(self.model), self.function.name, self.options.on_null, self.options.on_error, own

    @property
    def selected(self) -> Rows:
        """The rows to score."""
        return self.rows if len(self.valid_rows) == len(self.rows) else self.rows.take(self.valid_rows)

    def fill(self, scored: RowIndices, values: Replies) -> Replies:
        """Return one reply per row: the values at the rows that were scored, NULL elsewhere."""
        self.null_rows = len(self.rows) - len(scored)
        if not self.null_rows:
            return values
        if isinstance(values, list):
            replies: list[Any] = [None] * len(self.rows)
            for row, value in zip(scored.tolist(), values, strict=True):
                replies[row] = value
            return replies
        array = np.full(len(self.rows), np.nan)
        array[scored] = values
        return array


@dataclass
class Batch:
    """Jobs with the same key, and the rows of all of them, to be scored by one prediction."""

    jobs: Sequence[Job]
    rows: Rows

    @classmethod
    def merge(cls, jobs: Sequence[Job]) -> "Batch":
        """Return the batch of these jobs."""
        first, *rest = (job.selected for job in jobs)
        return cls(jobs, first.concat(rest) if rest else first)

    def predict(self) -> Replies:
        """Return the JSON-ready values of all rows."""
        first = self.jobs[0]
        # What a model prints belongs to the request, unless several share the prediction.
        current_request.set(first.request if len(self.jobs) == 1 else {})
        self._mark("queue")
        result = first.function.score(first.model, self.rows, first.options)
        self._mark("predict")
        outputs = first.function.outputs(first.model, first.options)
        values = encoding.encode(result, outputs, len(self.rows), keeps_index=first.model.keeps_index)
        self._mark("encode")
        return values

    def split(self, values: Replies) -> list[Replies]:
        """Return the replies of each job."""
        bounds = pairwise(accumulate((len(job.valid_rows) for job in self.jobs), initial=0))
        return [
            job.fill(job.valid_rows, values[start:end]) for job, (start, end) in zip(self.jobs, bounds, strict=True)
        ]

    def _mark(self, stage: str) -> None:
        for job in self.jobs:
            job.timer.mark(stage)


def prepare(model: Model, function: SqlFunction, options: Options, rows: Rows, timer: Timer, size: int = 0) -> Job:
    """Return the job of a request; under `on_error` "fail" raise BadRequest for a row that can't be scored."""
    errors = rows.errors()
    explained = options.on_error == "json"
    if options.on_null == "error" or (explained and options.on_null == "null"):
        for row, column in rows.first_null_columns().items():
            errors.setdefault(row, f"Row {row}, column {column.name} is NULL; the model needs {column.sql_type}.")
    elif options.on_null == "pass":
        for row, column in rows.first_nulls_in_tensors().items():
            errors.setdefault(
                row, f"Row {row}, column {column.name} is NULL, for which the model's tensor has no value."
            )
    if errors and options.on_error == "fail":
        raise BadRequest(errors[min(errors)])
    valid_rows = np.arange(len(rows))
    null_rows = rows.null_rows() if options.on_null == "null" else np.array([], np.intp)
    if errors or len(null_rows):
        valid = np.ones(len(rows), np.bool_)
        valid[list(errors)] = False
        valid[null_rows] = False
        valid_rows = valid_rows[valid]
    timer.mark("decode")
    job = Job(model, function, options, rows, valid_rows, timer, size)
    if explained:
        job.errors = {row: without_row(message) for row, message in errors.items()}
    return job


def score(job: Job) -> Replies:
    """Return one JSON-ready reply per row.

    Under `on_error` "fail" raise BadRequest for a row that the model can't score. Raise ModelBlocked if memory is
    short, which is no fault of a row.
    """
    if not len(job.valid_rows):
        return job.fill(job.valid_rows, [])

    def predict(rows: RowIndices) -> Replies:
        selected = job.selected if len(rows) == len(job.valid_rows) else job.rows.take(rows)
        return Batch([job], selected).predict()

    known: dict[Hashable, str] = {}  # to find the NULL that the model refuses takes a prediction per column

    def explain(row: int, error: BaseException) -> str:
        rows = job.rows.take(np.array([row]))
        key = tuple(rows.null_columns()), describe_error(error)
        if key not in known:
            example = job.model.example_rows
            known[key] = refusal.explain(row, rows, example, lambda rows: Batch([job], rows).predict(), error)
        return known[key]

    try:
        scored, values, errors = isolation.score_rows(predict, job.valid_rows, job.options.on_error, explain)
        job.errors |= {row: without_row(message) for row, message in errors.items()}
        return job.fill(scored, values)
    except MemoryError as cause:
        first, last = int(job.valid_rows[0]), int(job.valid_rows[-1])
        rows, remedy = f"row {first}", ""
        if last > first:
            rows, remedy = f"rows {first} to {last}", ", or create the SQL function with a smaller max_batching_rows"
        raise ModelBlocked(
            f"The model at {job.model.info.uri} ran out of memory on {rows}: deploy it with more --memory{remedy}."
        ) from cause


def predict_together(jobs: Sequence[Job]) -> list[Replies]:
    """Return the replies of jobs with the same key and rows to score, from one prediction.

    Raise what the model raises.
    """
    batch = Batch.merge(jobs)
    return batch.split(batch.predict())


def score_together(jobs: Sequence[Job]) -> Sequence[Outcome]:
    """Return for each of these jobs with the same key its replies, or the exception that scoring it raises.

    One prediction serves all of them. When it fails, each job is scored on its own.
    """
    filled = [job for job in jobs if len(job.valid_rows)]
    if len(filled) > 1:
        with contextlib.suppress(BaseException):
            replies = iter(predict_together(filled))
            return [next(replies) if len(job.valid_rows) else score(job) for job in jobs]
    return [_outcome(job) for job in jobs]


def _outcome(job: Job) -> Outcome:
    try:
        return score(job)
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, StopIteration):
            return error
        failure = RuntimeError(f"The model at {job.model.info.uri} raised {describe_error(error)}.")
        failure.__cause__ = error  # a future accepts no StopIteration, and other exceptions would end the event loop
        return failure
