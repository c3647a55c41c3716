"""The servers that are compared: this function and its baselines, each a process started the way its users start it.

All of them get the same rows, encoded as BigQuery encodes them, and are timed only if they answer them correctly.
MLflow's two servers do not speak BigQuery's protocol: their requests carry the same rows in MLflow's own envelope, so
they are spared the work of a proxy.
"""

import contextlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workloads import Workload
from deploy.sizing.load_generator import Exchange, bigquery_body, generate, http_request
from launch.function import ROOT
from launch.processes import HOST, free_port, server

BASELINES = Path(__file__).parent / "baselines"
MLSERVER = Path(__file__).parent / ".venv-mlserver"  # its requirements conflict with the function's
MLSERVER_LOCK = Path(__file__).parent / "mlserver.txt"

# Makes the function score every request in its own prediction.
WITHOUT_COALESCING = {"FUNCTION_SOURCE": str(BASELINES / "one_by_one" / "main.py")}


@dataclass(frozen=True)
class Implementation:
    """How one server is started and called; `command` gets the model's folder, the port and a scratch folder."""

    name: str
    about: str
    command: Callable[[Path, int, Path], list[str]]
    cwd: Path = ROOT
    python: str = sys.executable
    path: str = "/"
    speaks_bigquery: bool = True
    probe: str = "/favicon.ico"
    max_rows: int | None = None  # in flight; with more, a run takes minutes

    def body(self, workload: Workload, rows: slice) -> bytes:
        """Return the body of a request with some of a workload's rows."""
        if self.speaks_bigquery:
            calls = f"[{','.join(workload.arguments[rows])}]".encode()
            return bigquery_body(calls, workload.function, workload.on_error)
        columns, data = json.dumps(workload.names), ",".join(workload.calls[rows])
        return f'{{"dataframe_split":{{"columns":{columns},"data":[{data}]}}}}'.encode()

    def values(self, reply: bytes) -> list[Any]:
        """Return the predictions in a reply body."""
        values = json.loads(reply)["replies" if self.speaks_bigquery else "predictions"]
        return [value["value"] if isinstance(value, dict) else value for value in values]

    def environment(self, folder: Path) -> dict[str, str]:
        """Return the environment variables to start it with."""
        path = os.pathsep.join([str(Path(self.python).parent), os.environ["PATH"]])  # mlflow runs `uvicorn`
        return {**os.environ, "PATH": path, "MODEL_URI": str(folder)}

    @contextlib.contextmanager
    def running(self, folder: Path, work: Path, environment: Mapping[str, str] | None = None) -> Iterator["Server"]:
        """Run it for the length of the block; raise ProcessError if it does not start."""
        port = free_port()
        with server(
            self.name,
            self.command(folder, port, work),
            f"http://{HOST}:{port}{self.probe}",
            work / f"{self.name.replace(' ', '-')}-{port}.log",
            cwd=self.cwd,
            env={**self.environment(folder), **(environment or {})},
            python=self.python,
        ) as process:
            yield Server(self, port, process.pid)


@dataclass(frozen=True)
class Server:
    """A running implementation."""

    implementation: Implementation
    port: int
    pid: int

    def exchanges(self, workload: Workload, expected: np.ndarray[Any, Any], rows: int) -> list[Exchange] | str:
        """Return requests of `rows` rows with the server's replies, or what is wrong with one of the replies."""
        batches = workload.slices(rows)
        bodies = [self.implementation.body(workload, batch) for batch in batches]
        requests = [http_request(self.implementation.path, body) for body in bodies]
        outcome = generate(self.port, list(map(Exchange, requests)), requests=len(requests))
        if outcome.error:
            return outcome.error
        for batch, reply in zip(batches, outcome.bodies, strict=True):
            values = self.implementation.values(reply)
            if error := difference(values, expected[batch], workload.may_be_null[batch], workload.tolerance):
                return error
        return [Exchange(*pair, workload.tolerance) for pair in zip(requests, outcome.bodies, strict=True)]


def difference(
    values: Sequence[Any],
    expected: np.ndarray[Any, Any],
    may_be_null: np.ndarray[Any, Any],
    tolerance: float = 0.0,
) -> str | None:
    """Return what is wrong with predictions, or None; numbers may differ by `tolerance`, relatively."""
    if len(values) != len(expected):
        return f"{len(values)} replies to {len(expected)} rows"
    for row, (value, right) in enumerate(zip(values, expected.tolist(), strict=True)):
        if value == right or (value is None and may_be_null[row]):
            continue
        if not (isinstance(value, float) and math.isclose(value, right, rel_tol=tolerance)):
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


OURS = Implementation("this function", "functions-framework, as in Cloud Functions", _functions_framework)
FASTAPI = Implementation(
    "FastAPI app",
    "FastAPI and pydantic on uvicorn, one DataFrame per request, as in blog posts",
    lambda _, port, __: ["uvicorn", "main:app", "--host", HOST, "--port", str(port)],
    cwd=BASELINES / "fastapi_app",
)
MLFLOW = Implementation(
    "mlflow models serve",
    "`mlflow models serve --env-manager local`; rows are sent as `dataframe_split`",
    _mlflow,
    path="/invocations",
    speaks_bigquery=False,
    probe="/ping",
)
MLSERVER_MLFLOW = Implementation(
    "MLServer",
    "MLServer with its MLflow runtime and no parallel workers; rows are sent as `dataframe_split`",
    _mlserver,
    python=str(MLSERVER / "bin" / "python"),
    path="/invocations",
    speaks_bigquery=False,
    probe="/v2/health/ready",
)
PER_ROW = Implementation(
    "predict per row",
    "a functions-framework handler that calls the model once per row",
    _functions_framework,
    cwd=BASELINES / "per_row",
    max_rows=1_000,
)


def install_mlserver() -> str | None:
    """Create MLServer's own environment; return why that failed, None if it is ready."""
    return install(MLSERVER, MLSERVER_LOCK)


def install(environment: Path, lock: Path) -> str | None:
    """Create an environment from a lock file, unless it is there; return why that failed, None if it is ready."""
    ready = environment / "installed"
    if ready.is_file() and ready.read_text() == lock.read_text():
        return None
    uv = str(Path(sys.executable).parent / "uv")
    python = str(environment / "bin" / "python")
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(environment)],
        [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, "-r", str(lock)],
    ):
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            return f"{lock.stem} cannot be installed: {' '.join(ended.stderr.split())[:300]}"
    ready.write_text(lock.read_text())
    return None
