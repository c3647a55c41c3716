"""One HTTP request from its arrival to its answer: admit, read, score, answer, map errors to statuses, log.

Every answer is JSON in BigQuery's contract, except for the page that a browser asks for. The framework's own answer to
an exception is plain text, which BigQuery takes for a failure of the infrastructure.
"""

from typing import Protocol

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from serving import contract, functions, page, scoring
from serving.admission import Admission, check_size
from serving.errors import BadRequest, InternalError, ServingError, error_body
from serving.model import Model
from serving.options import check_schema, read_options
from serving.scheduler import Scheduler
from serving.stats import InstanceStats
from serving.telemetry import LogWriter, RequestLog, current_request, identify

JSON = {"content-type": "application/json"}


class ModelSource(Protocol):
    """Where the handler gets its model from."""

    @property
    def loaded(self) -> bool:
        """Whether `model` returns without waiting."""

    async def model(self) -> Model:
        """Return the model; raise ModelUnusable or ModelUnreachable."""


class Handler:
    """Answers the requests of one instance.

    `threads` is how many predictions run at a time, `log_writer` logs the requests, `project` is the Google Cloud
    project that traces belong to, and `examples` gives the queries that the page shows.
    """

    def __init__(
        self, models: ModelSource, *, threads: int, log_writer: LogWriter, project: str | None, examples: page.Examples
    ) -> None:
        self._models = models
        self._project = project
        self._examples = examples
        self._admission = Admission()
        self._scheduler = Scheduler(threads)
        self._log_writer = log_writer
        self._stats = InstanceStats()

    async def handle(self, request: Request) -> Response:
        """Answer BigQuery's request on POST; on GET describe the function, as a page to a browser, else as JSON."""
        identity = identify(dict(request.scope["headers"]), self._project)
        current_request.set(identity)
        log = RequestLog(request.method, request.scope["path"], identity)
        as_page = request.method == "GET" and page.wanted(request.headers.get("accept", ""))
        headers = JSON
        try:
            if request.method == "GET":
                body, headers = await self._describe(log, as_page)
            elif request.method == "POST":
                with self._admission.admitted(request.headers.get("content-length")):
                    body = await self._answer(request, log)
            else:
                raise BadRequest(f"The method is {request.method}; expected POST with BigQuery's request, or GET.")
        except ServingError as error:
            body, headers = page.render(error, self._stats, self._examples) if as_page else (error_body(error), JSON)
            log.fail(error, error.status)
        except ClientDisconnect:
            disconnected = BadRequest("The client disconnected before its request was complete.")
            body = error_body(disconnected)
            log.fail(disconnected, disconnected.status)
        except Exception as error:
            internal = InternalError(log.request_id)
            body = error_body(internal)
            log.fail(error, internal.status)
        log.finish(len(body))
        self._stats.count(log)
        self._log_writer.write(log)
        return Response(body, log.status, headers)

    async def _answer(self, http_request: Request, log: RequestLog) -> bytes:
        """Return the reply to BigQuery's request, recording in the log what is known so far."""
        timer = log.timer
        body = await _read_body(http_request)
        log.bytes_in = len(body)
        timer.mark("read")
        request = contract.read(body)
        log.set_request(request)
        timer.mark("parse")
        function = functions.find(request.context, log.path)
        log.function = function.name
        options = read_options(request.context, function.keys)
        model = await self._model(log)
        check_schema(request.context, model.signature)
        rows = function.decode(model, request)
        log.rows = len(rows)
        job = scoring.prepare(model, function, options, rows, timer)
        del body, request  # the next request is read into the same memory, which is still in the CPU cache
        replies = await self._scheduler.score(job)
        log.null_rows = job.null_rows
        reply = contract.write(replies)
        timer.mark("encode")
        return reply

    async def _describe(self, log: RequestLog, as_page: bool) -> tuple[bytes, dict[str, str]]:
        model = await self._model(log)
        if as_page:
            return page.render(model, self._stats, self._examples)
        return orjson.dumps(page.describe(model, self._stats, self._examples), default=str), JSON

    async def _model(self, log: RequestLog) -> Model:
        """Return the model, recording which one it is and whether the request waited for it."""
        log.cold = not self._models.loaded
        model = await self._models.model()
        log.set_model(model.info)
        if log.cold:
            log.timer.mark("load")
        return model


async def _read_body(request: Request) -> bytes:
    """Return the body; stop reading one that turns out too large."""
    pieces, size = [], 0
    async for piece in request.stream():
        if piece:  # the last piece is empty, and joining it would copy a body that came as one piece
            pieces.append(piece)
            size += len(piece)
            check_size(size)
    return b"".join(pieces)
