"""`python -m local` as a person uses it: a process, its output, its exit status."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def test_sql_prints_a_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,[x]\n2,\n")
    done = run("sql", "SELECT a, b, a / 4 FROM ds.t ORDER BY a", "--table", f"ds.t={tmp_path / 't.csv'}")
    assert (done.returncode, done.stderr) == (0, "")
    cells = [line.split("│")[1:-1] for line in done.stdout.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in cells] == [["1", "[x]", "0.25"], ["2", "NULL", "0.5"]]


def test_a_remote_call_reports_what_it_cost(endpoint: object) -> None:
    url = endpoint.url  # type: ignore[attr-defined]
    done = run(
        "sql",
        "CREATE FUNCTION ds.f(a INT64) RETURNS INT64 REMOTE WITH CONNECTION `local.us.c` "
        f"OPTIONS (endpoint = '{url}'); SELECT ds.f(1) AS x",
    )
    assert done.returncode == 0
    assert done.stderr.startswith("1 requests, 1 rows, 0 retries, ")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["sql", "SELECT 1/0"], 1, "Error: division by zero: 1 / 0"),
        (["sql", "SELECT * FROM ds.t"], 1, "Error: Not found: Table local.ds.t; loaded are: none."),
        (
            ["sql", "SELECT 1", "--table", "ds.t"],
            1,
            "Error: --table 'ds.t' names no file; write DATASET.TABLE=FILE.",
        ),
        (
            ["sql", "SELECT 1", "--table", "ds.t=no.csv"],
            1,
            "Error: There is no file 'no.csv'; check the path.",
        ),
        (
            ["up", "--model", "nowhere"],
            1,
            'Error: The model URI is "nowhere", and there is no such folder; expected gs://bucket/prefix, a local folder, '
            "models:/name@alias or models:/name/version.",
        ),
    ],
)
def test_an_error_is_one_sentence(arguments: list[str], status: int, said: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", said + "\n")
