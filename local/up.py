"""`python -m local up`: runs the function on this machine until Ctrl-C.

A model folder is first published to an emulated bucket, since a deployed function gets its model from one.
"""

import contextlib
import json
import os
import shlex
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click

from launch.examine import Examined, Options, examined
from launch.function import Function
from local.storage import Storage

BUCKET = "models"
URI = f"gs://{BUCKET}/model"


@contextlib.contextmanager
def published(folder: Path) -> Iterator[Storage]:
    """Run Cloud Storage with the model at `URI`; this process and its children use it meanwhile."""
    # Imported here because MLflow and Google's client take seconds, which a query need not wait for.
    from loading.publish import PublishError, publish

    with Storage() as storage, _environment(storage.environment):
        storage.create_bucket(BUCKET)
        try:
            publish(folder, URI)
        except PublishError as error:
            raise click.ClickException(str(error)) from error
        yield storage


def run(model: str, port: int | None, options: Options) -> None:
    """Serve a model, a folder or a URI, in its own environment until Ctrl-C."""
    with contextlib.ExitStack() as stack:
        found = stack.enter_context(examined(model, partial(click.echo, err=True), options))
        uri = model
        if options.signature_from or ("://" not in model and not model.startswith("models:/")):
            stack.enter_context(published(found.folder))
            uri = URI
        function = stack.enter_context(
            Function(uri, found.description.settings, port=port, python=found.environment.python)
        )
        call = _example_call(found)
        body = f'{{"requestId": "1", "caller": "curl", "sessionUser": "you@example.com", "calls": [{call}]}}'
        click.echo(f"The function runs on {function.url} (log: {function.log}); press Ctrl-C to stop it.")
        click.echo(f"curl {function.url} -H 'Content-Type: application/json' -d {shlex.quote(body)}")
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


def _example_call(found: Examined) -> str:
    """Return a row of the model's input example, or one made from its signature, as JSON arguments."""
    rows = found.description.rows
    return json.dumps([_sent(value) for value in rows[0]]) if rows else "[]"


def _sent(value: object) -> object:
    """Return an argument as BigQuery sends it: JSON has no NaN."""
    return "NaN" if value != value else value


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the length of the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
