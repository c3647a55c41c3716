"""Overload, requests that are too large, and termination, with the function as its own process."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
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
from serving.admission import MAX_REQUESTS, REQUEST_LIMIT
from tests.assertions import assert_error
from tests.faults.processes import DEADLINE, wait_for


class Waiting(mlflow.pyfunc.PythonModel):
    """Returns once the file named in the second column exists."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        deadline = time.monotonic() + 600
        for place in set(model_input["until"]):
            while not Path(place).exists() and time.monotonic() < deadline:
                time.sleep(0.01)
        return model_input["value"] * 2


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a `Waiting` model."""
    folder = tmp_path_factory.mktemp("models") / "waiting"
    columns = Schema([ColSpec("double", "value"), ColSpec("string", "until")])
    signature = ModelSignature(columns, Schema([ColSpec("double")]))
    mlflow.pyfunc.save_model(
        folder,
        python_model=Waiting(),
        signature=signature,
        input_example=pd.DataFrame({"value": [1.0], "until": ["/"]}),  # the loader tries it: it must not wait
        pip_requirements=["pandas"],
    )
    return str(folder)


@pytest.fixture(scope="module")
def function(waiting: str) -> Iterator[Function]:
    """Return the function with that model loaded, shared by all tests but the one that ends it."""
    with Function(waiting, {"LOG_LEVEL": "CRITICAL"}) as running:
        assert httpx.get(running.url, timeout=DEADLINE, trust_env=False).status_code == 200
        yield running


def test_excess_requests_get_429(function: Function, tmp_path: Path) -> None:
    """Requests above the limit get 429 while the admitted ones are still waiting; those are all answered."""
    resume, excess = tmp_path / "resume", 60

    async def send() -> list[httpx.Response]:
        rejected = 0

        async def ask(value: int) -> httpx.Response:
            nonlocal rejected
            response = await client.post(function.url, json={"calls": [[value, str(resume)]]})
            rejected += response.status_code == 429
            if rejected == excess:
                resume.touch()  # no admitted request is answered before all excess ones are
            return response

        limits = httpx.Limits(max_connections=MAX_REQUESTS + excess)
        async with httpx.AsyncClient(timeout=DEADLINE, trust_env=False, limits=limits) as client:
            return await asyncio.gather(*(ask(value) for value in range(MAX_REQUESTS + excess)))

    responses = asyncio.run(send())
    for value, response in enumerate(responses):
        if response.status_code == 200:
            assert response.json() == {"replies": [value * 2.0]}
        else:
            assert_error(response, 429, f"{MAX_REQUESTS} requests", "retry later")
    assert sum(response.status_code == 429 for response in responses) == excess


@pytest.mark.parametrize("declared", [True, False])
def test_request_over_32_mib(function: Function, declared: bool) -> None:
    """A request over 32 MiB is rejected without being read to its end, with or without a Content-Length."""
    head = f"Content-Length: {10**12}" if declared else "Transfer-Encoding: chunked"
    host, port = "127.0.0.1", function.port
    with socket.create_connection((host, port), timeout=DEADLINE) as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nHost: {host}\r\n{head}\r\n\r\n".encode())
        sent, piece = 0, b"1" * 65_536
        answered = threading.Event()
        reply = b""

        def listen() -> None:
            nonlocal reply
            while b"\r\n\r\n" not in reply or not reply.rstrip().endswith(b"}"):
                received = connection.recv(65_536)
                if not received:
                    break
                reply += received
            answered.set()

        with ThreadPoolExecutor(1) as threads:
            listening = threads.submit(listen)
            while not answered.is_set() and sent < 4 * REQUEST_LIMIT:
                try:
                    connection.sendall(piece if declared else b"%x\r\n%s\r\n" % (len(piece), piece))
                except (BrokenPipeError, ConnectionResetError):
                    break
                sent += len(piece)
            listening.result(DEADLINE)
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert b"expected at most 33554432" in reply
    assert sent < 2 * REQUEST_LIMIT
    assert httpx.get(function.url, timeout=DEADLINE, trust_env=False).status_code == 200


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads connections from Linux's /proc/net/tcp")
def test_termination_finishes_requests(waiting: str, tmp_path: Path) -> None:
    """After SIGTERM the function stops listening, answers the requests it has, and exits."""
    resume, sent = tmp_path / "resume", []

    def note_sent(event: str, info: dict[str, Any]) -> None:
        if event == "http11.send_request_body.complete":
            sent.append(event)

    def ask(value: int) -> httpx.Response:
        with httpx.Client(timeout=DEADLINE, trust_env=False) as client:
            body = {"calls": [[value, str(resume)]]}
            return client.post(function.url, json=body, extensions={"trace": note_sent})

    with Function(waiting, log=tmp_path / "log") as function, ThreadPoolExecutor(8) as threads:
        assert httpx.get(function.url, timeout=DEADLINE, trust_env=False).status_code == 200
        found = subprocess.run(
            ["pgrep", "-o", "-f", f"functions_framework.*--port {function.port}"],
            capture_output=True,
            text=True,
            check=True,
        )
        master = int(found.stdout)
        responses = [threads.submit(ask, value) for value in range(8)]
        wait_for(lambda: len(sent) == 8 and unread(function.port) == 0)
        os.kill(master, signal.SIGTERM)
        wait_for(lambda: not listens(function.port))
        resume.touch()
        assert [each.result().json() for each in responses] == [{"replies": [value * 2.0]} for value in range(8)]
        wait_for(lambda: has_exited(master))
        lines = [json.loads(line) for line in function.log.read_text().splitlines() if line.startswith("{")]
        assert [line["status"] for line in lines if line.get("method") == "POST"] == [200] * 8


def unread(port: int) -> int:
    """Return the bytes that the connections accepted on a port have received and not read (Linux)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    queues = [row[4] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"]
    return sum(int(queue.partition(":")[2], 16) for queue in queues)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def has_exited(pid: int) -> bool:
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]
    except (FileNotFoundError, ProcessLookupError):
        return True
