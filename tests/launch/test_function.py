"""The function as a real process: it answers, and stops with everything it started."""

import socket
from pathlib import Path

import httpx
import pytest

from bqlocal import BigQuery
from launch.function import Function
from launch.processes import HOST, ProcessError
from tests.launch.conftest import ECHO, listens


def test_sql_reaches_function() -> None:
    """SQL reaches the process, which has the model's URI and the given environment; its log goes with it."""
    with (
        Function("gs://models/m", {"GREETING": "hello"}, source=ECHO) as function,
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


def test_port(tmp_path: Path) -> None:
    """The function listens on the given port, can reuse it at once, and fails if the port is in use."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(ProcessError, match=rf"^Port {port} on 127\.0\.0\.1 is in use; choose another one"),
            Function("x", source=ECHO, port=port),
        ):
            pass
    with Function("x", source=ECHO, port=port, log=tmp_path / "log") as function:
        assert httpx.get(f"http://{HOST}:{port}", trust_env=False).text == "ready"
    assert function.log.exists()
    with Function("x", source=ECHO, port=port):
        pass


def test_failed_start(tmp_path: Path) -> None:
    """A function that exits at its start is an error with the end of its log."""
    (tmp_path / "main.py").write_text("raise RuntimeError('no model, no service')")
    with (
        pytest.raises(ProcessError, match=r"exited with status 1; the end of its log:\n(.|\n)*no model, no service"),
        Function("x", source=tmp_path),
    ):
        pass
