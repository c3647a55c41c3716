"""Following the champion: whether another model stands at MODEL_URI, and when it may take over.

The rule: what answers goes on until the next one is there in full, loaded beside it and tried on its own input example.
A model that fails any of this is refused and said to be so once; another try is made when something else stands there.

A look is taken while requests come, never by a clock: Cloud Run gives an instance next to no CPU between requests.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import Callable

import orjson

from loading.source import state
from serving import replies
from serving.errors import ModelUnreachable, ModelUnusable, ServingError
from serving.model import Model
from serving.rows import from_arguments


def write_log(severity: str, message: str, **fields: object) -> None:
    """Write one JSON line for Cloud Logging, as main.py does for a request."""
    line = orjson.dumps({"severity": severity, "message": message, **fields}, default=str).decode()
    logging.getLogger("function").log(logging.getLevelNamesMapping()[severity], line)


class Follower:
    """Looks after every `seconds` what stands at the URI, and hands over what may be served.

    `load` fetches, checks and loads it in a thread; `serve` is called on the event loop.
    """

    def __init__(self, uri: str, seconds: float, load: Callable[[], Model], serve: Callable[[Model], None]) -> None:
        self._uri = uri
        self._seconds = seconds
        self._load = load
        self._serve = serve
        self._due = 0.0
        self._looking: asyncio.Task[None] | None = None
        self._served = self._refused = self._seen = ""  # states, as loading.source gives them
        self._said = ""

    def first(self) -> Model:
        """Return the model to begin with, in a thread."""
        self._served = state(self._uri)
        model = self._load()
        self._due = time.monotonic() + self._seconds
        return model

    def look_if_due(self, model: Model) -> None:
        """Begin a look when the time has come and none is under way; nobody waits for it."""
        if time.monotonic() >= self._due and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look(model))

    async def _look(self, model: Model) -> None:
        version, severity, said, trace = model.info.version, "", "", {}
        try:
            if new := await asyncio.to_thread(self._next):
                self._served = self._seen
                self._serve(new)
                severity, said = "INFO", f"Version {new.info.version} now answers, it was {version}."
        except ModelUnreachable as error:
            severity, said = "WARNING", f"Version {version} goes on; whether there is another is not known: {error}"
        except ServingError as error:
            severity, said = "ERROR", f"Version {version} goes on; what is to follow it was refused: {error}"
        except Exception:
            severity, said = "ERROR", f"Version {version} goes on; following {self._uri} failed by our own fault."
            trace = {"trace": traceback.format_exc()}
        if said and said != self._said:
            write_log(severity, said, uri=self._uri, **trace)
        self._said = said
        self._due = time.monotonic() + self._seconds

    def _next(self) -> Model | None:
        """Return the model that takes over, or None while there is no other; in a thread."""
        before, self._seen = self._seen, state(self._uri)
        if self._seen in (self._served, self._refused):
            return None
        # Who copies files into a bucket takes a while: only what stayed as it is for two looks is a whole model.
        if self._uri.startswith("gs://") and self._seen != before:
            return None
        try:
            model = self._load()
            _try_example(model)
        except ModelUnreachable:
            raise
        except Exception:
            self._refused = self._seen
            raise
        return model


def _try_example(model: Model) -> None:
    """Raise ModelUnusable unless the model answers for its own input example, in the type that it declares."""
    rows = from_arguments(model.signature, model.example)
    if not len(rows) or rows.faults():
        raise ModelUnusable(
            f"The model at {model.info.uri} has no input example to try it on: save it with input_example=X.head()."
        )
    try:
        replies.encode(model.predict(rows), model.outputs, len(rows))
    except Exception as cause:
        raise ModelUnusable(
            f"The model at {model.info.uri} cannot score its own input example: {type(cause).__name__}: {cause}"
        ) from cause
