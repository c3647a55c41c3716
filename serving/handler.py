"""One HTTP request from its arrival to its answer: admit, read, score, answer, map errors to statuses, log.

Every answer is JSON in BigQuery's contract, except for the page that a browser asks for. The framework's own answer to
an exception is plain text, which BigQuery takes for a failure of the infrastructure.
"""

import asyncio
from collections.abc import Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from serving import body, contract, functions, openapi, page, scoring
from serving.admission import Admission, Admitted
from serving.alarms import Alarms
from serving.callers import Callers
from serving.errors import (
    BadRequest,
    InternalError,
    ModelUnreachable,
    NotFound,
    OutOfTime,
    RequestTimeout,
    ServingError,
    error_body,
)
from serving.model import Model
from serving.options import check_schema, read_options
from serving.selection import Selection, Served, own_parts
from serving.stats import InstanceStats
from serving.telemetry import LogWriter, RequestLog, Timer, current_request, identify

JSON = {"content-type": "application/json", "x-content-type-options": "nosniff"}
OK = b'{"status":"ok"}'
# Paths of GET besides that of the page. Probes come every few seconds, and from whatever host runs the function.
LIVE, READY, OPENAPI = "/live", "/ready", "/openapi.json"
PROBES = (LIVE, READY)

Answer = tuple[bytes, Mapping[str, str]]  # body and headers


class Handler:
    """Answers the requests of one instance.

    `models` are those that it may ask, `log_writer` logs the requests, `project` is the Google Cloud project that
    traces belong to, `callers` checks where requests come from, and `examples` gives the queries that the page shows.
    """

    def __init__(
        self,
        models: Selection,
        *,
        log_writer: LogWriter,
        project: str | None,
        callers: Callers,
        examples: page.Examples,
    ) -> None:
        self._models = models
        self._project = project
        self._callers = callers
        self._examples = examples
        self._admission = Admission()
        self._alarms = Alarms()
        self._log_writer = log_writer
        self._stats = InstanceStats()
        self._loading: asyncio.Future[Model] | None = None  # started by a readiness probe

    async def handle(self, request: Request) -> Response:
        """Answer BigQuery's request on POST; on GET describe the function or answer a probe."""
        http_headers = dict(request.scope["headers"])
        identity = identify(http_headers, self._project)
        current_request.set(identity)
        log = RequestLog(request.method, request.scope["path"], identity)
        headers: Mapping[str, str] = JSON
        try:
            if log.path not in PROBES:
                self._callers.check(http_headers)
            if request.method == "GET":
                reply, headers = await self._get(log, http_headers.get(b"accept", b"").decode("latin-1"))
            elif request.method == "POST":
                with self._admission.admitted(http_headers.get(b"content-length", b"")) as admitted:
                    reply = await self._post(request, http_headers, admitted, log)
            else:
                raise BadRequest(f"The method is {request.method}; expected POST with BigQuery's request, or GET.")
        except ServingError as error:
            reply = error_body(error)
            log.fail(error, error.status)
            if isinstance(error, RequestTimeout):
                headers = {**JSON, "connection": "close"}  # what might still arrive is not another request
        except ClientDisconnect:
            disconnected = BadRequest("The client disconnected before its request was complete.")
            reply = error_body(disconnected)
            log.fail(disconnected, disconnected.status)
        except asyncio.CancelledError as error:  # uvicorn gives up waiting for its requests
            ended = OutOfTime("This instance was stopped before the prediction ended. Retry later.")
            reply = error_body(ended)
            log.fail(error, ended.status)
        except Exception as error:
            internal = InternalError(log.request_id)
            reply = error_body(internal)
            log.fail(error, internal.status)
        log.finish(len(reply))
        self._stats.count(log)
        self._log_writer.write(log)
        return Response(reply, log.status, headers)

    async def _post(
        self, http_request: Request, headers: Mapping[bytes, bytes], admitted: Admitted, log: RequestLog
    ) -> bytes:
        """Return the reply to BigQuery's request, recording in the log what is known so far."""
        timer = log.timer
        text = await body.read(http_request, headers, admitted, self._alarms)
        log.bytes_in = len(text)
        timer.mark("read")
        request = contract.read(text)
        log.set_request(request)
        timer.mark("parse")
        served = self._models.find(request.context, log.path)
        log.model_name = served.name
        context, path = own_parts(request.context, log.path) if served.name else (request.context, log.path)
        function = functions.find(context, path)
        log.function = function.name
        options = read_options(context, function.keys)
        model = await self._model(served, log)
        check_schema(request.context, model.signature)
        rows = function.decode(model, request)
        count = log.rows = function.count(request, rows)
        job = scoring.prepare(model, function, options, rows, timer, log.bytes_in)
        del text, request  # the next request is read into the same memory, which is still in the CPU cache
        replies = await served.scheduler.score(job)
        log.null_rows = job.null_rows if len(rows) == count else job.null_rows * count
        errors = job.errors if options.on_error == "json" else None
        if len(rows) == count:
            reply = contract.write(replies, errors)
        else:
            reply = contract.write_repeated(replies, count, errors)
        timer.mark("encode")
        return reply

    async def _get(self, log: RequestLog, accept: str) -> Answer:
        """Answer a probe, or describe the function: as OpenAPI, as a page to a browser, or as JSON."""
        if log.path in PROBES:
            log.severity = "DEBUG"
            return (self._live() if log.path == LIVE else self._ready(log)), JSON
        as_page = page.wanted(accept)
        path = log.path.removesuffix(OPENAPI) if self._models.listed or log.path == OPENAPI else log.path
        if self._models.listed and path in ("", "/"):
            return self._list(as_page, as_openapi=not path)
        if not self._models.listed and not functions.is_path(path):
            raise NotFound(f"There is nothing at this path; GET is answered at /, {OPENAPI}, {LIVE} and {READY}.")
        try:
            served = self._models.find({}, path)
        except BadRequest as error:
            raise NotFound(f"There is nothing at this path: {error}") from None
        log.model_name = served.name
        try:
            model = await self._model(served, log)
        except ServingError as error:
            if not as_page:
                raise
            log.fail(error, error.status)
            return page.render(error, self._stats, self._examples)
        if path != log.path:
            return page.to_json(openapi.document(model, f"/{served.name}" if served.name else "")), JSON
        if as_page:
            return page.render(model, self._stats, self._examples)
        return page.to_json(page.describe(model, self._stats, self._examples)), JSON

    def _list(self, as_page: bool, as_openapi: bool) -> Answer:
        """Describe a service with a list of models."""
        if as_openapi:
            return page.to_json(openapi.document_of_list([served.name for served in self._models.listed])), JSON
        if as_page:
            return page.render_list(self._models, self._stats)
        return page.to_json(page.describe_list(self._models, self._stats)), JSON

    def _live(self) -> bytes:
        names = [served.name for served in self._models.listed]
        return page.to_json({"status": "ok", "models": names}) if names else OK

    def _ready(self, log: RequestLog) -> bytes:
        """Return whether the model is loaded, without waiting for it; start to load it if nobody has.

        An instance that gets no request before it is ready would otherwise wait for ever. Of a list, only the default
        model is loaded before a request asks for it.
        """
        default = self._models.default
        if default is None or default.source.loaded:
            loaded = {served.name: served.source.loaded for served in self._models.listed}
            return page.to_json({"status": "ok", "models": loaded}) if loaded else OK
        if self._loading is None or self._loading.cancelled():
            self._loading = asyncio.ensure_future(default.source.model())
            self._loading.add_done_callback(lambda done: done.cancelled() or done.exception())  # not a lost exception
        elif self._loading.done():
            failed, self._loading = self._loading, None
            failed.result()
        log.status = ModelUnreachable.status
        return error_body(ModelUnreachable("The model is still loading."))

    async def _model(self, served: Served, log: RequestLog) -> Model:
        """Return the model, recording which one it is and whether the request waited for it."""
        log.cold = not served.source.loaded
        model = await (self._first_model(served, log.timer) if log.cold else served.source.model())
        log.set_model(model.info)
        if log.cold:
            log.timer.mark("load")
        return model

    async def _first_model(self, served: Served, timer: Timer) -> Model:
        deadline = served.scheduler.deadline
        try:
            return await asyncio.wait_for(served.source.model(), deadline.left(timer))
        except asyncio.TimeoutError as cause:
            raise deadline.loading(timer) from cause
