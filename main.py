"""The entry point `predict` of the Cloud Function: a Handler made of the settings."""

import gc
import os

# Pause garbage collection while importing: it takes 5% of the imports' time and finds nothing, because modules stay.
gc.disable()

# Predictions run beside each other, one per thread. If each started a thread per core as well (OpenMP, BLAS), those
# threads would wait for each other by spinning: gradient boosting took ten times as long. NumPy reads the variable when
# it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from model_loader import ModelLoader
from serving import json_table, output, server
from serving.callers import Callers
from serving.deadline import Deadline
from serving.handler import Handler
from serving.scheduler import Scheduler
from serving.selection import OnlyModel, Selection
from serving.settings import Settings
from serving.telemetry import LogWriter, log_event
from sql.names import select_examples

settings = Settings.read(os.environ)
stream = output.take_over(os.environ, settings.log_level)
if not json_table.AVAILABLE:
    log_event("INFO", "pysimdjson is not installed, so requests of numbers are parsed more slowly.")


def _scheduler(threads: int | None) -> Scheduler:
    return Scheduler(
        threads=threads or os.cpu_count() or 1,  # more threads than cores would only queue
        user_code_threads=threads or 1,  # nobody knows whether it's thread-safe
        deadline=Deadline(settings.request_seconds),
        end_process=server.end_process,
    )


models: Selection
if settings.models:
    from listed_models import listed_models  # which a service of one model doesn't import

    models = listed_models(settings.models, os.environ, _scheduler)
else:
    if not settings.model_uri:
        log_event(
            "WARNING",
            "MODEL_URI is not set, so every request fails: set it to the model's gs:// folder or models:/ URI.",
        )
    loader = ModelLoader(
        settings.model_uri,
        settings.model_digest,
        settings.refresh_seconds,
        version=settings.model_version,
        sql_name=settings.sql_name,
        allow_dependence=settings.allow_dependence,
        plan=settings.model_plan,
    )
    models = OnlyModel(loader, _scheduler(settings.model_threads))
handler = Handler(
    models,
    log_writer=LogWriter(settings.log_level, stream),
    project=settings.project,
    callers=Callers(settings.allowed_hosts),
    examples=select_examples,
)
server.configure(handler.handle)
gc.freeze()
gc.unfreeze()  # moves the modules to the oldest generation, so that the first collections don't search them
gc.enable()


@functions_framework.aio.http
async def predict(request: Request) -> Response:
    """Answer one request of BigQuery or of a browser."""
    return await handler.handle(request)
