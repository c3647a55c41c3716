"""`python -m local` as a person uses it: a process, its output, its exit status."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from local.__main__ import main

ROOT = Path(__file__).parents[2]


def run(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, input=typed
    )


def invoke(*arguments: str) -> Result:
    """Run the command without a process of its own, which takes seconds to start."""
    return CliRunner().invoke(main, [*arguments])


@pytest.fixture(autouse=True)
def terminating() -> Iterator[None]:
    """The command takes SIGTERM for itself."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


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
    assert done.stderr.startswith("local.ds.f: 1 requests of 1 rows, 1 rows, 0 retries, ")


def test_json_is_one_array_on_stdout_alone(tmp_path: Path, endpoint: object) -> None:
    (tmp_path / "t.jsonl").write_text('{"a": 1, "b": "x"}\n{"a": null, "b": ""}\n')
    (tmp_path / "q.sql").write_text(
        "CREATE FUNCTION ds.f(a INT64, b STRING) RETURNS INT64 REMOTE WITH CONNECTION local.us.c "
        f"OPTIONS (endpoint = '{endpoint.url}');\n"  # type: ignore[attr-defined]
        "SELECT a, b, a / 0.5 AS c, DATE '2020-01-02' AS d, ds.f(a, b) AS n FROM ds.t ORDER BY a DESC;"
    )
    done = run("sql", "--file", str(tmp_path / "q.sql"), "--table", f"ds.t={tmp_path / 't.jsonl'}", "--format", "json")
    assert json.loads(done.stdout) == [
        {"a": 1, "b": "x", "c": 2.0, "d": "2020-01-02", "n": 2},
        {"a": None, "b": "", "c": None, "d": "2020-01-02", "n": 2},
    ]
    assert done.stderr.startswith("local.ds.f: 1 requests of 2 rows, 2 rows, 0 retries, ")


def test_csv_and_parquet_can_be_read_again(tmp_path: Path) -> None:
    query = "SELECT x, CAST(x AS STRING) AS s FROM UNNEST([1, 2]) AS x ORDER BY x"
    assert invoke("sql", query, "--format", "csv").stdout == "x,s\n1,1\n2,2\n"
    with (tmp_path / "rows.parquet").open("wb") as file:
        subprocess.run(
            [sys.executable, "-m", "local", "sql", query, "--format", "parquet"], cwd=ROOT, stdout=file, check=True
        )
    assert pyarrow.parquet.read_table(tmp_path / "rows.parquet").to_pylist() == [{"x": 1, "s": "1"}, {"x": 2, "s": "2"}]


def test_a_session_is_taken_up_again_from_its_state(tmp_path: Path, endpoint: object) -> None:
    state = ["--state", str(tmp_path / "state.db"), "--format", "csv"]
    first = run(
        *("sql", *state),
        "CREATE TABLE ds.t AS SELECT 5 AS a; CREATE FUNCTION ds.f(a INT64) RETURNS INT64 REMOTE WITH CONNECTION "
        f"local.us.c OPTIONS (endpoint = '{endpoint.url}', user_defined_context = [('k', 'v')])",  # type: ignore[attr-defined]
    )
    assert (first.returncode, first.stderr) == (0, "")
    assert run("sql", *state, "SELECT a, ds.f(a) AS n FROM ds.t").stdout == "a,n\n5,1\n"
    assert endpoint.requests[0]["userDefinedContext"] == {"k": "v"}  # type: ignore[attr-defined]


def test_statements_are_typed_at_the_prompt_and_an_error_does_not_end_it() -> None:
    done = run(
        *("sql", "--format", "csv", "--parameter", "p:FLOAT64:1.5"),
        typed="CREATE TABLE ds.t AS\n  SELECT 1 AS a;\n\nSELECT 1/0;\nSELECT a, @p AS p\nFROM ds.t;\nSELECT 'no semicolon' AS x\n",
    )
    assert (done.returncode, done.stdout) == (0, "a,p\n1,1.5\nx\nno semicolon\n")
    assert done.stderr == "Error: division by zero: 1 / 0\n"


def test_an_adverse_caller_is_asked_for_by_its_seed(endpoint: object) -> None:
    endpoint.answer = endpoint.echoing  # type: ignore[attr-defined]
    done = invoke(
        *("sql", "--adverse", "7", "--format", "csv"),
        "CREATE FUNCTION ds.f(a INT64) RETURNS INT64 REMOTE WITH CONNECTION local.us.c "
        f"OPTIONS (endpoint = '{endpoint.url}', max_batching_rows = 5);"  # type: ignore[attr-defined]
        "SELECT SUM(ds.f(x)) AS s, COUNT(*) AS n FROM UNNEST(GENERATE_ARRAY(1, 100)) AS x",
    )
    assert done.stdout == "s,n\n5050,100\n"
    assert len(endpoint.calls) > 100  # type: ignore[attr-defined]


def test_lint_names_file_and_line_and_fails(tmp_path: Path) -> None:
    (tmp_path / "slow.sql").write_text("SELECT a,\n  IFNULL(ds.predict(a), 0) FROM ds.t;\n")
    (tmp_path / "fast.sql").write_text("SELECT ds.predict(a) FROM ds.t;\n")
    done = invoke("lint", str(tmp_path / "fast.sql"), str(tmp_path / "slow.sql"), "--function", "ds.predict")
    assert done.exit_code == 1
    assert done.stdout.startswith(f"{tmp_path / 'slow.sql'}:2: ds.predict(a) stands in COALESCE or IFNULL")
    assert invoke("lint", str(tmp_path / "fast.sql"), "--function", "ds.predict").exit_code == 0


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
            ["sql", "SELECT @p", "--parameter", "p=1"],
            1,
            "Error: --parameter 'p=1' has no type and value; write NAME:TYPE:VALUE, as in min:INT64:5.",
        ),
        (["sql", "SELECT @p", "--parameter", "p:INT64:x"], 1, "Error: Bad int64 value: x"),
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
    done = invoke(*arguments)
    assert (done.exit_code, done.stdout, done.stderr) == (status, "", said + "\n")
