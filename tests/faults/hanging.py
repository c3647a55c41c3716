"""A model that hangs on demand and is not thread-safe, and requests to it."""

import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pandas as pd

from launch.function import Function
from tests import models
from tests.faults.processes import DEADLINE, wait_for

HANGING = """
    import mlflow, os, re, threading, time

    class Model(mlflow.pyfunc.PythonModel):
        def load_context(self, context):
            {load}

        def predict(self, context, model_input, params=None):
            for until in set(model_input["until"]) - {{"", "ever"}}:
                open(until + ".began", "w").close()
                while not os.path.exists(until):
                    time.sleep(0.01)
            if "ever" in set(model_input["until"]):
                re.match("(a+)+b", "a" * 1000)  # takes longer than the universe exists, and holds the interpreter's lock
            self.kept = model_input["x"] * 2
            time.sleep(0.001)
            return self.kept

    mlflow.models.set_model(Model())
"""


def hanging(folder: Path, load: str = "pass") -> str:
    """Save a model that doubles x once the file `until` exists, or at once if it is empty; it runs `load` first."""
    inputs = models.schema(("double", "x"), ("string", "until"))
    example = pd.DataFrame({"x": [1.0, 2.0], "until": ["", ""]})
    source = textwrap.dedent(HANGING).format(load=load)
    return str(models.from_code(folder, source, inputs, models.schema(("double",)), example))


def ask(function: Function, *calls: list[Any]) -> httpx.Response:
    """Return the response to a request on a connection of its own."""
    return _client().post(function.url, json={"calls": calls})


@cache
def _client() -> httpx.Client:
    """Return a client for any number of threads that keeps no connection: another worker may answer next time."""
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(trust_env=False, timeout=DEADLINE, limits=limits)


def ask_until_loaded(function: Function, times: int = 1) -> None:
    """Ask until processes have loaded the model so many times; a request that exceeds the limit meanwhile gets 503."""
    wait_for(
        lambda: (
            ask(function, [1, ""]).status_code == 200
            and function.log.read_text().count('"Loaded the model at ') >= times
        )
    )


def began(until: Path) -> bool:
    """Whether a prediction that waits for a file has begun."""
    return Path(f"{until}.began").exists()
