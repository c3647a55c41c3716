"""`python -m local up`: runs the function on this machine until Ctrl-C.

A model folder is first published to an emulated bucket, since a deployed function gets its model from one.
"""

import contextlib
import json
import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import click

from launch.function import Function
from local.storage import Storage
from model_loader import load
from serving.errors import ServingError

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


def run(model: str, port: int | None) -> None:
    """Serve a model, a folder or a URI, until Ctrl-C."""
    with contextlib.ExitStack() as stack:
        call = "[]"
        uri = model
        if "://" not in model and not model.startswith("models:/"):
            call = _example_call(model)
            stack.enter_context(published(Path(model)))
            uri = URI
        function = stack.enter_context(Function(uri, port=port))
        body = f'{{"requestId": "1", "caller": "curl", "sessionUser": "you@example.com", "calls": [{call}]}}'
        click.echo(f"The function runs on {function.url} (log: {function.log}); press Ctrl-C to stop it.")
        click.echo(f"curl {function.url} -H 'Content-Type: application/json' -d {shlex.quote(body)}")
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


def _example_call(folder: str) -> str:
    """Return a row of the model's input example as JSON arguments."""
    try:
        example = load(folder).example
    except ServingError as error:
        raise click.ClickException(str(error)) from error
    return json.dumps(example[0]) if example else "[]"


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
