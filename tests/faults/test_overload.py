"""More than an instance can take, requests too large to read, and its end: the real function as its own process."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pandas as pd
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from launch.function import Function
from serving.admission import MOST_REQUESTS, REQUEST_LIMIT
from tests.assertions import assert_error


class Waiting(mlflow.pyfunc.PythonModel):
    """Answers once the file named by its second column exists."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        deadline = time.monotonic() + 60
        for place in set(model_input["until"]):
            while not Path(place).exists() and time.monotonic() < deadline:
                time.sleep(0.01)
        return model_input["value"] * 2


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models") / "waiting"
    columns = Schema([ColSpec("double", "value"), ColSpec("string", "until")])
    signature = ModelSignature(columns, Schema([ColSpec("double")]))
    mlflow.pyfunc.save_model(folder, python_model=Waiting(), signature=signature, pip_requirements=["pandas"])
    return str(folder)


@pytest.fixture
def function(waiting: str, tmp_path: Path) -> Iterator[Function]:
    with Function(waiting, log=tmp_path / "log") as running:
        assert httpx.get(running.url, timeout=60, trust_env=False).status_code == 200
        yield running


def lines(function: Function) -> list[dict[str, Any]]:
    return [json.loads(line) for line in function.log.read_text().splitlines() if line.startswith("{")]


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_over_the_bound_hears_429_at_once_and_what_was_taken_on_is_answered(
    function: Function, tmp_path: Path
) -> None:
    go_on, over = tmp_path / "go on", 60

    async def send() -> list[httpx.Response]:
        refused = 0

        async def ask(value: int) -> httpx.Response:
            nonlocal refused
            response = await client.post(function.url, json={"calls": [[value, str(go_on)]]})
            refused += response.status_code == 429
            if refused == over:
                go_on.touch()  # nothing was answered before all that is over had been refused
            return response

        limits = httpx.Limits(max_connections=MOST_REQUESTS + over)
        async with httpx.AsyncClient(timeout=60, trust_env=False, limits=limits) as client:
            return await asyncio.gather(*(ask(value) for value in range(MOST_REQUESTS + over)))

    answers = asyncio.run(send())
    for value, answer in enumerate(answers):
        if answer.status_code == 200:
            assert answer.json() == {"replies": [value * 2.0]}
        else:
            assert_error(answer, 429, f"{MOST_REQUESTS} requests", "ask again")
    assert sum(answer.status_code == 429 for answer in answers) == over


@pytest.mark.parametrize("declared", [True, False])
def test_a_request_over_32_mib_is_refused_without_reading_it_whole(function: Function, declared: bool) -> None:
    head = f"Content-Length: {10**12}" if declared else "Transfer-Encoding: chunked"
    host, port = "127.0.0.1", function.port
    with socket.create_connection((host, port), timeout=30) as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nHost: {host}\r\n{head}\r\n\r\n".encode())
        sent, piece = 0, b"1" * 65_536
        answered = threading.Event()
        reply = b""

        def listen() -> None:
            nonlocal reply
            while b"\r\n\r\n" not in reply or not reply.rstrip().endswith(b"}"):
                got = connection.recv(65_536)
                if not got:
                    break
                reply += got
            answered.set()

        with ThreadPoolExecutor(1) as threads:
            listening = threads.submit(listen)
            while not answered.is_set() and sent < 4 * REQUEST_LIMIT:
                try:
                    connection.sendall(piece if declared else b"%x\r\n%s\r\n" % (len(piece), piece))
                except (BrokenPipeError, ConnectionResetError):
                    break
                sent += len(piece)
            listening.result(30)
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert b"expected 33554432 at most" in reply
    assert sent < 2 * REQUEST_LIMIT
    assert httpx.get(function.url, timeout=60, trust_env=False).status_code == 200


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="tells who is connected by /proc/net/tcp, of Linux")
def test_termination_finishes_what_is_in_flight(function: Function, tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    found = subprocess.run(
        ["pgrep", "-o", "-f", f"functions_framework.*--port {function.port}"],
        capture_output=True,
        text=True,
        check=True,
    )
    master = int(found.stdout)
    with ThreadPoolExecutor(8) as threads:
        asked = [
            threads.submit(httpx.post, function.url, json={"calls": [[value, str(go_on)]]}, timeout=60, trust_env=False)
            for value in range(8)
        ]
        until(lambda: len(established(function.port)) >= 8)
        os.kill(master, signal.SIGTERM)
        until(lambda: not listens(function.port))
        go_on.touch()
        assert [each.result().json() for each in asked] == [{"replies": [value * 2.0]} for value in range(8)]
    until(lambda: not Path(f"/proc/{master}").exists() or "Z" in Path(f"/proc/{master}/stat").read_text().split()[2])
    assert [line["status"] for line in lines(function) if line.get("method") == "POST"] == [200] * 8


def established(port: int) -> list[str]:
    """Return the connections that a port has accepted (Linux)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[2] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
