"""Servers on this machine: waiting for their start, and stopping them with all their children."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from launch import processes
from launch.processes import HOST, ProcessError, free_port, server
from tests.conftest import ROOT
from tests.launch.conftest import ECHO, listens

MAX_SECONDS = 120.0  # for anything that happens within a second on an idle machine

# A module that serves HTTP on the port argv[1] once the file argv[2] exists.
SERVER = """
import http.server, pathlib, sys, time
while not pathlib.Path(sys.argv[2]).exists():
    time.sleep(0.01)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""

# A parent that starts Cloud Storage and the function, prints their ports, and then waits or fails.
PARENT = """
import signal, sys
from pathlib import Path
from launch.function import Function
from launch.processes import exit_on_sigterm
from local.storage import Storage
exit_on_sigterm()
with Storage() as storage, Function("x", source=Path(sys.argv[1])) as function:
    print(storage.port, function.port, flush=True)
    signal.pause() if sys.argv[2] == "wait" else 1 / 0
"""


def wait_for(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + MAX_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_slow_start(tmp_path: Path) -> None:
    """The block begins when the server answers, however long its start takes, and ends with the server stopped."""
    (tmp_path / "slow_server.py").write_text(SERVER)
    port = free_port()
    url = f"http://{HOST}:{port}"
    # The shell lets the server start after half a second without a connection.
    opener = subprocess.Popen(["sh", "-c", f"sleep 0.5; touch '{tmp_path}/open'"])
    with server("The server", ["slow_server", str(port), f"{tmp_path}/open"], url, tmp_path / "log", cwd=tmp_path):
        assert (tmp_path / "open").exists()
        assert httpx.get(url, trust_env=False).status_code == 200
    opener.wait()
    assert not listens(port)


def test_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that lives but never answers is an error after the limit, and is stopped."""
    monkeypatch.setattr(processes, "MAX_START_SECONDS", 0.5)
    (tmp_path / "slow_server.py").write_text(SERVER)
    port = free_port()
    with (
        pytest.raises(ProcessError, match=rf"^The server did not answer on http://{HOST}:{port} within 0 s; its log"),
        server(
            *("The server", ["slow_server", str(port), f"{tmp_path}/never"], f"http://{HOST}:{port}"),
            tmp_path / "log",
            cwd=tmp_path,
        ),
    ):
        pass


@pytest.mark.parametrize(
    ("action", "number", "status"),
    [
        ("wait", signal.SIGINT, -signal.SIGINT),
        ("wait", signal.SIGTERM, 128 + signal.SIGTERM),
        ("fail", None, 1),
    ],
    ids=["ctrl-c", "sigterm", "exception"],
)
def test_children_stop_with_parent(action: str, number: signal.Signals | None, status: int) -> None:
    """Servers stop when the process that started them is interrupted, terminated or fails."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(ECHO), action],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    assert parent.stdout is not None
    ports = [int(port) for port in parent.stdout.readline().split()]
    assert len(ports) == 2
    if number is not None:
        assert all(map(listens, ports))
        parent.send_signal(number)
    parent.communicate(timeout=MAX_SECONDS)
    assert parent.returncode == status
    assert wait_for(lambda: not any(map(listens, ports)))
