"""The entry point `predict` of the Cloud Function: settings from the environment, and a Handler made of them."""

import logging
import os
import sys

# Predictions run beside each other, one per thread. If each started a thread per core as well (OpenMP, BLAS), those
# threads would wait for each other by spinning: gradient boosting took ten times as long. NumPy reads the variable when
# it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from model_loader import ModelLoader
from serving import telemetry
from serving.handler import Handler
from sql.names import select_examples

level_name = os.environ.get("LOG_LEVEL", "INFO").upper()
level = logging.getLevelNamesMapping().get(level_name)
if level is None:
    sys.exit(f"LOG_LEVEL is {level_name!r}; expected DEBUG, INFO, WARNING, ERROR or CRITICAL.")
refresh_seconds = os.environ.get("MODEL_REFRESH_SECONDS", "0")
if not refresh_seconds.isdecimal():
    sys.exit(f"MODEL_REFRESH_SECONDS is {refresh_seconds!r}; expected a whole number of seconds, or 0 for never.")

telemetry.configure(level)
handler = Handler(
    ModelLoader(os.environ.get("MODEL_URI", ""), os.environ.get("MODEL_DIGEST"), float(refresh_seconds)),
    threads=os.cpu_count() or 1,  # more threads than cores would only queue
    level=level,
    project=os.environ.get("GOOGLE_CLOUD_PROJECT"),
    examples=select_examples,
)


@functions_framework.aio.http
async def predict(request: Request) -> Response:
    """Answer one request of BigQuery or of a browser."""
    return await handler.handle(request)
