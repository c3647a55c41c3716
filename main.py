"""The HTTP entry point `predict`: reads the request, picks the SQL function, maps errors to statuses, logs one line.

The rule: every answer that leaves here is JSON in BigQuery's contract. The framework's own fallback for an exception
is plain text, which BigQuery takes for a failure of the infrastructure.
"""

import asyncio
import logging
import os
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

# Requests run beside each other, one thread each. Were every prediction to start a thread per core as well (OpenMP,
# BLAS), the threads would wait for each other by spinning: gradient boosting was seen to take ten times as long.
# It must be said before NumPy is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import functions_framework.aio
import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from model_loader import ModelLoader
from serving import contract, functions, scoring
from serving.errors import BadRequest, InternalError, ServingError, error_body
from serving.options import check_schema, read_options

log = logging.getLogger("function")
log.addHandler(logging.StreamHandler(sys.stdout))
log.propagate = False
level = os.environ.get("LOG_LEVEL", "INFO").upper()
if level not in logging.getLevelNamesMapping():
    sys.exit(f"LOG_LEVEL is {level!r}; expected DEBUG, INFO, WARNING, ERROR or CRITICAL.")
log.setLevel(level)

loader = ModelLoader(os.environ.get("MODEL_URI", ""), os.environ.get("MODEL_DIGEST"))
# Scoring leaves the event loop free to accept what comes meanwhile; more threads than cores would only queue.
scorers = ThreadPoolExecutor(os.cpu_count() or 1)


@functions_framework.aio.http
async def predict(request: Request) -> Response:
    """Answer BigQuery's request on POST, and what this function is on GET."""
    started = time.perf_counter()
    entry: dict[str, object] = {"severity": "INFO", "method": request.method, "path": request.url.path}
    try:
        if request.method == "GET":
            status, body = 200, orjson.dumps((await loader.model()).facts, default=str)
        elif request.method == "POST":
            status, body = 200, await _answer(await request.body(), request.url.path, entry)
        else:
            raise BadRequest(f"The method is {request.method}; expected POST with BigQuery's request, or GET.")
    except ServingError as error:
        status, body = error.status, error_body(error)
        entry |= {"severity": "WARNING" if status == 400 else "ERROR", "message": str(error)}
    except ClientDisconnect:
        status, body = 400, error_body(BadRequest("The caller left before its request was complete."))
        entry |= {"severity": "WARNING", "message": "the caller left"}
    except Exception:
        bland = InternalError(str(entry.get("requestId", "")))
        status, body = bland.status, error_body(bland)
        entry |= {"severity": "ERROR", "message": str(bland), "trace": traceback.format_exc()}
    entry |= {"status": status, "milliseconds": round((time.perf_counter() - started) * 1000, 2)}
    log.log(logging.getLevelNamesMapping()[str(entry["severity"])], orjson.dumps(entry).decode())
    return Response(body, status, media_type="application/json")


async def _answer(body: bytes, path: str, entry: dict[str, object]) -> bytes:
    """Return the reply to BigQuery's request, noting in the log entry what is known so far."""
    request = contract.decode(body)
    entry |= {"requestId": request.request_id, "caller": request.caller}
    function = functions.find(request.context, path)
    options = read_options(request.context, function.keys)
    entry |= {"function": function.name, "cold": not loader.loaded}
    model = await loader.model()
    check_schema(request.context, model.signature)
    replies = await asyncio.get_running_loop().run_in_executor(
        scorers, scoring.answer, model, function, options, request
    )
    entry["rows"] = len(replies)
    return contract.encode(replies)
