"""Cloud Storage and the function as real processes: they answer, and nothing of them is left afterwards."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from bqlocal.bigquery import BigQuery

from launch.function import Function
from launch.processes import ProcessError
from local.storage import Storage

HANDLER = Path(__file__).parent / "handlers" / "echo"
ROOT = Path(__file__).parents[2]

# What a parent does whose end is tested: it starts both, says where, and waits.
PARENT = """
import signal, sys
from pathlib import Path
from launch.function import Function
from launch.processes import ended_by_sigterm
from local.storage import Storage
ended_by_sigterm()
with Storage() as storage, Function("x", source=Path(sys.argv[1])) as function:
    print(storage.port, function.port, flush=True)
    signal.pause() if sys.argv[2] == "wait" else 1 / 0
"""


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.mark.filterwarnings("ignore:Please install grpcio-status:ImportWarning")
def test_cloud_storage_keeps_objects_while_its_block_lasts() -> None:
    # Only here: its import warns where grpcio is installed without grpcio-status.
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    with Storage() as emulator:
        emulator.create_bucket("models")
        emulator.create_bucket("models")
        client = storage.Client(
            project="local",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": emulator.environment["STORAGE_EMULATOR_HOST"]},
        )
        client.bucket("models").blob("a/b c").upload_from_string("content")
        assert [blob.name for blob in client.list_blobs("models")] == ["a/b c"]
        assert client.bucket("models").blob("a/b c").download_as_bytes() == b"content"
        client.close()
    assert not listens(emulator.port)


def test_a_bucket_that_cannot_be_is_an_error() -> None:
    with Storage() as emulator, pytest.raises(ProcessError, match=r"^Bucket '' cannot be created: 4"):
        emulator.create_bucket("")


def test_sql_reaches_the_function_process() -> None:
    with (
        Function("gs://models/m", {"GREETING": "hello"}, source=HANDLER) as function,
        BigQuery() as bigquery,
    ):
        for reply in ("sum", "model", "greeting"):
            returns = "FLOAT64" if reply == "sum" else "STRING"
            bigquery.sql(
                f"CREATE FUNCTION ds.{reply}(a FLOAT64, b INT64) RETURNS {returns} "
                f"REMOTE WITH CONNECTION `local.us.c` OPTIONS (endpoint = '{function.url}', "
                f"user_defined_context = [('reply', '{reply}')], max_batching_rows = 700)"
            )
        assert bigquery.sql("SELECT ds.model(1, 2) AS m, ds.greeting(1, 2) AS g").table.to_pylist() == [
            {"m": "gs://models/m", "g": "hello"}
        ]
        result = bigquery.sql("SELECT SUM(ds.sum(x, 1)) AS s FROM UNNEST(GENERATE_ARRAY(1, 10000)) AS x")
        assert result.table["s"].to_pylist() == [50_015_000.0]
        assert result.calls.rows == 10_000
        assert function.log.is_file()
    assert not listens(function.port)
    assert not function.log.exists()


def test_the_function_takes_the_port_that_it_is_given(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(ProcessError, match=rf"^Port {port} on 127\.0\.0\.1 is in use; choose another one"),
            Function("x", source=HANDLER, port=port),
        ):
            pass
    with Function("x", source=HANDLER, port=port, log=tmp_path / "log") as function:
        assert httpx.get(f"http://127.0.0.1:{port}", trust_env=False).text == "ready"
    assert function.log.exists()
    # At once again: connections that wait for their end do not keep the port.
    with Function("x", source=HANDLER, port=port):
        pass


def test_a_function_that_dies_shows_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("raise RuntimeError('no model, no service')")
    with (
        pytest.raises(ProcessError, match=r"ended with status 1; the end of its log:\n(.|\n)*no model, no service"),
        Function("x", source=tmp_path),
    ):
        pass


@pytest.mark.parametrize(
    ("what", "number", "status"),
    [
        ("wait", signal.SIGINT, -signal.SIGINT),
        ("wait", signal.SIGTERM, 128 + signal.SIGTERM),
        ("fail", None, 1),
    ],
)
def test_nothing_is_left_when_the_parent_ends(what: str, number: signal.Signals | None, status: int) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(HANDLER), what],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    assert parent.stdout is not None
    ports = [int(port) for port in parent.stdout.readline().split()]
    if number is not None:
        assert all(map(listens, ports))
        parent.send_signal(number)
    parent.communicate(timeout=20)
    assert parent.returncode == status
    assert wait_for(lambda: not any(map(listens, ports)))
