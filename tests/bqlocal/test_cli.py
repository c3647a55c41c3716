"""The command `bqlocal` as a person uses it: its output and its exit status."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from bqlocal.cli import main
from tests.endpoint import Endpoint


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command as a process."""
    command = [sys.executable, "-m", "bqlocal", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, input=stdin)


def invoke(*arguments: str) -> Result:
    """Run the command in this process, which saves the start of one."""
    return CliRunner().invoke(main, [*arguments])


def function_ddl(endpoint: Endpoint, signature: str, options: str = "") -> str:
    """Return the statement that creates a remote function returning INT64."""
    return (
        f"CREATE FUNCTION {signature} RETURNS INT64 REMOTE WITH CONNECTION local.us.c "
        f"OPTIONS (endpoint = '{endpoint.url}'{options});"
    )


@pytest.fixture(autouse=True)
def sigterm() -> Iterator[None]:
    """Restore the handler of SIGTERM, which the command sets."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_table_format(tmp_path: Path) -> None:
    """By default `sql` prints a table."""
    (tmp_path / "t.csv").write_text("a,b\n1,[x]\n2,\n")
    done = run("sql", "SELECT a, b, a / 4 FROM ds.t ORDER BY a", "--table", f"ds.t={tmp_path / 't.csv'}")
    assert (done.returncode, done.stderr) == (0, "")
    cells = [line.split("│")[1:-1] for line in done.stdout.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in cells] == [["1", "[x]", "0.25"], ["2", "NULL", "0.5"]]


def test_cost_on_stderr(endpoint: Endpoint) -> None:
    """What remote calls cost is printed to stderr."""
    done = invoke("sql", function_ddl(endpoint, "ds.f(a INT64)") + "SELECT ds.f(1) AS x")
    assert done.exit_code == 0
    assert done.stderr.startswith("local.ds.f: 1 request of 1 row, 1 row, 0 retries, ")


def test_json_format(tmp_path: Path, endpoint: Endpoint) -> None:
    """`--format json` prints one array to stdout, which contains nothing else."""
    (tmp_path / "t.jsonl").write_text('{"a": 1, "b": "x"}\n{"a": null, "b": ""}\n')
    (tmp_path / "q.sql").write_text(
        function_ddl(endpoint, "ds.f(a INT64, b STRING)")
        + "\nSELECT a, b, a / 0.5 AS c, DATE '2020-01-02' AS d, ds.f(a, b) AS n FROM ds.t ORDER BY a DESC;"
    )
    done = run("sql", "--file", str(tmp_path / "q.sql"), "--table", f"ds.t={tmp_path / 't.jsonl'}", "--format", "json")
    assert json.loads(done.stdout) == [
        {"a": 1, "b": "x", "c": 2.0, "d": "2020-01-02", "n": 2},
        {"a": None, "b": "", "c": None, "d": "2020-01-02", "n": 2},
    ]
    assert done.stderr.startswith("local.ds.f: 1 request of 2 rows, 2 rows, 0 retries, ")


def test_csv_and_parquet_formats(tmp_path: Path) -> None:
    """CSV and Parquet output can be read again."""
    query = "SELECT x, CAST(x AS STRING) AS s FROM UNNEST([1, 2]) AS x ORDER BY x"
    assert invoke("sql", query, "--format", "csv").stdout == "x,s\n1,1\n2,2\n"
    (tmp_path / "rows.parquet").write_bytes(invoke("sql", query, "--format", "parquet").stdout_bytes)
    assert pyarrow.parquet.read_table(tmp_path / "rows.parquet").to_pylist() == [{"x": 1, "s": "1"}, {"x": 2, "s": "2"}]


def test_state(tmp_path: Path, endpoint: Endpoint) -> None:
    """A session with the same --state has the tables and functions of the one before."""
    state = ["sql", "--state", str(tmp_path / "state.db"), "--format", "csv"]
    ddl = function_ddl(endpoint, "ds.f(a INT64)", ", user_defined_context = [('k', 'v')]")
    first = invoke(*state, "CREATE TABLE ds.t AS SELECT 5 AS a; " + ddl)
    assert (first.exit_code, first.stderr) == (0, "")
    assert invoke(*state, "SELECT a, ds.f(a) AS n FROM ds.t").stdout == "a,n\n5,1\n"
    assert endpoint.requests[0]["userDefinedContext"] == {"k": "v"}


def test_file_then_statement(tmp_path: Path, endpoint: Endpoint) -> None:
    """The statements of --file run before the one on the command line, which finds the functions of any project."""
    (tmp_path / "functions.sql").write_text(function_ddl(endpoint, "`my-project`.ds.f(a INT64)") + "\n-- the end")
    done = invoke("sql", "SELECT ds.f(1) AS n", "--file", str(tmp_path / "functions.sql"), "--format", "csv")
    assert (done.exit_code, done.stdout) == (0, "n\n1\n")
    assert done.stderr.startswith("my-project.ds.f: 1 request of 1 row")


@pytest.mark.parametrize("word", ["exit", "QUIT;", "quit"])
def test_leave_the_prompt(word: str) -> None:
    """The prompt ends at exit or quit, and explains itself at help."""
    done = CliRunner().invoke(main, ["sql", "--format", "csv"], input=f"help\nSELECT 1 AS a;\n{word}\nSELECT 2 AS b;\n")
    assert (done.exit_code, done.stdout) == (0, "a\n1\n")
    assert "exit, quit    leave" in done.stderr


def test_prompt() -> None:
    """Without statements they are read from stdin up to semicolons, and an error does not end the session."""
    done = run(
        *("sql", "--format", "csv", "--parameter", "p:FLOAT64:1.5"),
        stdin="CREATE TABLE ds.t AS\n  SELECT 1 AS a;\n\nSELECT 1/0;\nSELECT a, @p AS p\nFROM ds.t;\nSELECT 'no semicolon' AS x\n",
    )
    assert (done.returncode, done.stdout) == (0, "a,p\n1,1.5\nx\nno semicolon\n")
    assert done.stderr == "Error: division by zero: 1 / 0\n"


def test_adverse_option(endpoint: Endpoint) -> None:
    """--adverse makes more requests than needed, with the same result."""
    endpoint.answer = endpoint.echoing
    done = invoke(
        *("sql", "--adverse", "7", "--format", "csv"),
        function_ddl(endpoint, "ds.f(a INT64)", ", max_batching_rows = 5")
        + "SELECT SUM(ds.f(x)) AS s, COUNT(*) AS n FROM UNNEST(GENERATE_ARRAY(1, 100)) AS x",
    )
    assert done.stdout == "s,n\n5050,100\n"
    assert len(endpoint.calls) > 100


def test_lint(tmp_path: Path) -> None:
    """`lint` prints findings with file and line, and exits with 1 if there are any."""
    (tmp_path / "slow.sql").write_text("SELECT a,\n  IFNULL(ds.predict(a), 0) FROM ds.t;\n")
    (tmp_path / "fast.sql").write_text("SELECT ds.predict(a) FROM ds.t;\n")
    done = invoke("lint", str(tmp_path / "fast.sql"), str(tmp_path / "slow.sql"), "--function", "ds.predict")
    assert done.exit_code == 1
    assert done.stdout.startswith(f"{tmp_path / 'slow.sql'}:2: ds.predict(a) is inside COALESCE or IFNULL")
    assert invoke("lint", str(tmp_path / "fast.sql"), "--function", "ds.predict").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["SELECT 1/0"], "Error: division by zero: 1 / 0"),
        (["SELECT * FROM ds.t"], "Error: Not found: Table local.ds.t; loaded tables: none."),
        (["SELECT 1", "--table", "ds.t"], "Error: --table 'ds.t' names no file; write DATASET.TABLE=FILE."),
        (
            ["SELECT @p", "--parameter", "p=1"],
            "Error: --parameter 'p=1' has no type and value; write NAME:TYPE:VALUE, as in min:INT64:5.",
        ),
        (["SELECT @p", "--parameter", "p:INT64:x"], "Error: Bad int64 value: x"),
        (["SELECT 1", "--table", "ds.t=no.csv"], "Error: There is no file 'no.csv'; check the path."),
    ],
)
def test_errors(arguments: list[str], message: str) -> None:
    """An error is one line on stderr and exit status 1."""
    done = invoke("sql", *arguments)
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", message + "\n")


@pytest.mark.parametrize("arguments", [[], ["sql"], ["lint"]], ids=["bqlocal", "sql", "lint"])
def test_help(arguments: list[str]) -> None:
    """Every help text has an example."""
    done = CliRunner().invoke(main, [*arguments, "--help"], prog_name="bqlocal")
    assert done.exit_code == 0
    assert "  bqlocal " in done.stdout
