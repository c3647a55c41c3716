"""The HTTP entry point `predict`: reads the request, picks the SQL function, maps errors to statuses, logs one line.

The rule: every answer that leaves here is JSON in BigQuery's contract, but for the page that a browser asks for. The
framework's own fallback for an exception is plain text, which BigQuery takes for a failure of the infrastructure.
"""

import logging
import os
import sys

# Requests run beside each other, one thread each. Were every prediction to start a thread per core as well (OpenMP,
# BLAS), the threads would wait for each other by spinning: gradient boosting was seen to take ten times as long.
# It must be said before NumPy is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import functions_framework.aio
import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from model_loader import ModelLoader
from serving import contract, functions, page, scoring
from serving.admission import Admission, check_size
from serving.batching import Scorer
from serving.errors import BadRequest, InternalError, ServingError, error_body
from serving.instance import Instance
from serving.model import Model
from serving.options import check_schema, read_options
from serving.request_log import LogWriter, RequestLog, trace_of
from sql.names import select_examples

log = logging.getLogger("function")
log.addHandler(logging.StreamHandler(sys.stdout))
log.propagate = False
level = os.environ.get("LOG_LEVEL", "INFO").upper()
if level not in logging.getLevelNamesMapping():
    sys.exit(f"LOG_LEVEL is {level!r}; expected DEBUG, INFO, WARNING, ERROR or CRITICAL.")
log.setLevel(level)
lines = LogWriter(log.level)

refresh = os.environ.get("MODEL_REFRESH_SECONDS", "0")
if not refresh.isdecimal():
    sys.exit(f"MODEL_REFRESH_SECONDS is {refresh!r}; expected a whole number of seconds, or 0 for never.")
project = os.environ.get("GOOGLE_CLOUD_PROJECT")
instance = Instance()
loader = ModelLoader(os.environ.get("MODEL_URI", ""), os.environ.get("MODEL_DIGEST"), float(refresh))
admission = Admission()
scorer = Scorer(os.cpu_count() or 1)  # more threads than cores would only queue


@functions_framework.aio.http
async def predict(request: Request) -> Response:
    """Answer BigQuery's request on POST, and on GET what this function is: a page for a browser, else JSON."""
    entry = RequestLog(request.method, request.scope["path"], trace_of(request.headers, project))
    headers = {"content-type": "application/json"}
    for_person = request.method == "GET" and page.wanted(request.headers.get("accept", ""))
    try:
        if request.method == "GET":
            model = await _model(entry)
            if for_person:
                body, headers = page.render(model, instance, select_examples)
            else:
                body = orjson.dumps(page.facts(model, instance, select_examples), default=str)
        elif request.method == "POST":
            with admission.admitted(request.headers.get("content-length")):
                body = await _answer(request, entry)
        else:
            raise BadRequest(f"The method is {request.method}; expected POST with BigQuery's request, or GET.")
    except ServingError as error:
        if for_person:
            body, headers = page.render(error, instance, select_examples)
        else:
            body = error_body(error)
        entry.failed(error, error.status)
    except ClientDisconnect:
        left = BadRequest("The caller left before its request was complete.")
        body = error_body(left)
        entry.failed(left, left.status)
    except Exception as error:
        bland = InternalError(entry.request_id)
        body = error_body(bland)
        entry.failed(error, bland.status)
    entry.finish(len(body))
    instance.count(entry)
    lines.write(entry)
    return Response(body, entry.status, headers)


async def _answer(http: Request, entry: RequestLog) -> bytes:
    """Return the reply to BigQuery's request, noting in the log entry what is known so far."""
    body = await _body(http)
    entry.bytes_in = len(body)
    entry.lap("read")
    request = contract.decode(body)
    entry.came(request)
    entry.lap("parse")
    function = functions.find(request.context, entry.path)
    entry.function = function.name
    options = read_options(request.context, function.keys)
    model = await _model(entry)
    check_schema(request.context, model.signature)
    job = scoring.prepare(model, function, options, request, entry)
    kind = (id(model), function.name, frozenset(request.context.items()))
    del body, request  # the next request is read into the same memory, which the processor still has at hand
    replies = await scorer.score(job, kind)
    reply = contract.encode(replies)
    entry.lap("encode")
    return reply


async def _body(http: Request) -> bytes:
    """Return the body; stop reading one that turns out too large."""
    pieces, size = [], 0
    async for piece in http.stream():
        if piece:  # the last one is empty, and would make a copy of a single one before it
            pieces.append(piece)
            size += len(piece)
            check_size(size)
    return b"".join(pieces)


async def _model(entry: RequestLog) -> Model:
    """Return the model, noting which one it is and whether it had to be waited for."""
    entry.cold = not loader.loaded
    model = await loader.model()
    entry.answered_by(model.info)
    if entry.cold:
        entry.lap("load")
    return model
