"""Who is compared: this function and what a user would pick instead, each as one process started as its users start it.

The rule: everybody gets the same rows, values as BigQuery encodes them, and must answer them rightly before anything is
timed. MLflow's two servers do not speak BigQuery's protocol; only the envelope is converted for them, before the clock
runs, which spares them the work of a proxy.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.load import Exchange, generate, request_bytes
from benchmarks.workloads import NAMES, Workload, slices
from launch.processes import HOST, free_port, server

ROOT = Path(__file__).parents[1]
RIVALS = Path(__file__).parent / "rivals"
MLSERVER = Path(__file__).parent / ".venv-mlserver"  # its requirements contradict those of the function
MLSERVER_LOCK = Path(__file__).parent / "mlserver.txt"

# The function with the one difference that every request is scored in a prediction of its own.
WITHOUT_COALESCING = {"FUNCTION_SOURCE": str(Path(__file__).parent / "rivals" / "one_by_one" / "main.py")}

HEAD = (
    '{"requestId":"124ab1c","caller":"//bigquery.googleapis.com/projects/p/jobs/p:US.bquxjob_5b4c112c_17961fafeaf",'
    '"sessionUser":"ana@example.com","userDefinedContext":{"function":"predict"},"calls":['
)


@dataclass(frozen=True)
class Contestant:
    """How one of them is started and asked; `command` gets the model's folder, the port and a folder to write into."""

    name: str
    about: str
    command: Callable[[Path, int, Path], list[str]]
    cwd: Path = ROOT
    python: str = sys.executable
    path: str = "/"
    speaks_bigquery: bool = True
    environment: Mapping[str, str] | None = None
    probe: str = "/favicon.ico"
    most_rows: int | None = None  # in flight at a time, beyond which a run takes minutes

    def body(self, calls: Sequence[str]) -> bytes:
        """Return a request's body for rows given as JSON."""
        rows = ",".join(calls)
        if self.speaks_bigquery:
            return f"{HEAD}{rows}]}}".encode()
        return f'{{"dataframe_split":{{"columns":{json.dumps(NAMES)},"data":[{rows}]}}}}'.encode()

    def values(self, reply: bytes) -> list[Any]:
        """Return the predictions in a reply's body."""
        values = json.loads(reply)["replies" if self.speaks_bigquery else "predictions"]
        return list(values)

    def variables(self, folder: Path) -> dict[str, str]:
        """Return the environment that it runs in."""
        here = os.pathsep.join([str(Path(self.python).parent), os.environ["PATH"]])  # mlflow starts uvicorn by name
        return {**os.environ, "PATH": here, "MODEL_URI": str(folder), **(self.environment or {})}

    @contextlib.contextmanager
    def running(self, folder: Path, work: Path, environment: Mapping[str, str] | None = None) -> Iterator["Server"]:
        """Run it for the length of the block."""
        port = free_port()
        env = {**self.variables(folder), **(environment or {})}
        before = set(psutil.Process().children())
        with server(
            self.name,
            self.command(folder, port, work),
            f"http://{HOST}:{port}{self.probe}",
            work / f"{self.name.replace(' ', '-')}-{port}.log",
            cwd=self.cwd,
            env=env,
            python=self.python,
        ):
            (process,) = set(psutil.Process().children()) - before
            yield Server(self, port, process)


@dataclass(frozen=True)
class Server:
    """One that runs."""

    contestant: Contestant
    port: int
    process: psutil.Process

    def processes(self) -> list[psutil.Process]:
        """Return it and all that it started."""
        return [self.process, *self.process.children(recursive=True)]

    def exchanges(self, workload: Workload, expected: np.ndarray[Any, Any], rows: int) -> list[Exchange] | str:
        """Return requests of so many rows with the replies that it gave to them, or what was wrong with one of them."""
        places = slices(rows)
        bodies = [self.contestant.body(workload.calls[place]) for place in places]
        requests = [request_bytes(self.contestant.path, body) for body in bodies]
        outcome = generate(self.port, list(map(Exchange, requests)), requests=len(requests))
        fault = outcome.fault
        for place, reply in zip(places, outcome.bodies, strict=fault is None):
            values = self.contestant.values(reply)
            fault = fault or difference(values, expected[place], workload.has_null[place])
        return fault or list(map(Exchange, requests, outcome.bodies))


def difference(values: Sequence[Any], expected: np.ndarray[Any, Any], has_null: np.ndarray[Any, Any]) -> str | None:
    """Return what is wrong with predictions, None if nothing: a row with NULL may be answered by NULL, no other."""
    if len(values) != len(expected):
        return f"{len(values)} replies to {len(expected)} rows"
    for row, (value, right) in enumerate(zip(values, expected.tolist(), strict=True)):
        if value != right and not (value is None and has_null[row]):
            return f"wrong: {value!r} instead of {right!r}"
    return None


def _functions_framework(_: Path, port: int, __: Path) -> list[str]:
    return ["functions_framework", "--target", "predict", "--host", HOST, "--port", str(port)]


def _mlflow(folder: Path, port: int, _: Path) -> list[str]:
    options = ["--env-manager", "local", "--model-uri", str(folder), "--host", HOST, "--port", str(port)]
    return ["mlflow", "models", "serve", *options]


def _mlserver(folder: Path, port: int, work: Path) -> list[str]:
    settings = work / f"mlserver-{port}"
    settings.mkdir()
    ports = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
    (settings / "settings.json").write_text(json.dumps({"debug": False, "host": HOST, "parallel_workers": 0, **ports}))
    (settings / "model-settings.json").write_text(
        json.dumps({"name": "m", "implementation": "mlserver_mlflow.MLflowRuntime", "parameters": {"uri": str(folder)}})
    )
    return ["mlserver.cli.main", "start", str(settings)]


OURS = Contestant("this function", "functions-framework, as in Cloud Functions", _functions_framework)
FASTAPI = Contestant(
    "FastAPI app",
    "FastAPI and pydantic on uvicorn, one DataFrame per request, as blog posts do",
    lambda _, port, __: ["uvicorn", "main:app", "--host", HOST, "--port", str(port)],
    cwd=RIVALS / "fastapi_app",
)
MLFLOW = Contestant(
    "mlflow models serve",
    "`mlflow models serve --env-manager local`; the rows come as `dataframe_split`",
    _mlflow,
    path="/invocations",
    speaks_bigquery=False,
    probe="/ping",
)
MLSERVER_MLFLOW = Contestant(
    "MLServer",
    "MLServer with its MLflow runtime and no parallel workers; the rows come as `dataframe_split`",
    _mlserver,
    python=str(MLSERVER / "bin" / "python"),
    path="/invocations",
    speaks_bigquery=False,
    probe="/v2/health/ready",
)
PER_ROW = Contestant(
    "predict per row",
    "a functions-framework handler that asks the model for each row",
    _functions_framework,
    cwd=RIVALS / "per_row",
    most_rows=8_000,
)


def install_mlserver() -> str | None:
    """Make MLServer's own environment from its lock; return why it cannot be had, None if it is there."""
    ready = MLSERVER / "installed"
    if ready.is_file() and ready.read_text() == MLSERVER_LOCK.read_text():
        return None
    uv = str(Path(sys.executable).parent / "uv")
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(MLSERVER / "bin" / "python")]
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(MLSERVER)],
        [*install, "-r", str(MLSERVER_LOCK)],
    ):
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            return f"MLServer cannot be installed: {' '.join(ended.stderr.split())[:300]}"
    ready.write_text(MLSERVER_LOCK.read_text())
    return None
