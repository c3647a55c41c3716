"""The README of bqlocal, followed to the letter: its files, commands and output."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bqlocal.cli import main
from launch.processes import HOST, free_port, server
from tests.conftest import ROOT

README = (ROOT / "bqlocal" / "README.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8080"


def block(after: str) -> str:
    """Return the first code block after a text of the README."""
    match = re.compile(r"```\w+\n(.*?)```", re.DOTALL).search(README, README.index(after))
    assert match is not None
    return match[1]


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write the README's files into the current folder and return the address that its function shall have."""
    monkeypatch.chdir(tmp_path)
    address = f"http://{HOST}:{free_port()}"
    for name in ("main.py", "orders.csv", "query.sql", "conftest.py", "test_orders.py"):
        (tmp_path / name).write_text(block(f"`{name}`").replace(ADDRESS, address))
    return address


@pytest.mark.check
def test_first_screen(address: str, tmp_path: Path) -> None:
    """The first example prints what the README shows; only bytes and seconds may differ."""
    port = address.rpartition(":")[2]
    assert block("Start the function") == "functions-framework --target gross --port 8080\n"
    command = ["functions_framework", "--target", "gross", "--host", HOST, "--port", port]
    arguments = block("Query it from another terminal").split()
    assert arguments.pop(0) == "bqlocal"
    with server("The README's function", command, f"{address}/favicon.ico", tmp_path / "log", cwd=tmp_path):
        done = CliRunner().invoke(main, arguments)
        assert (done.exit_code, done.stderr.count("\n")) == (0, 1)
        shown = block("--file query.sql\n```\n")
        assert shown.startswith(done.stdout)
        assert shown.splitlines()[-1].startswith(done.stderr.partition(" retries")[0])
        pytest_run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
            env={**os.environ, "PYTHONPATH": ""},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert pytest_run.returncode == 0, pytest_run.stdout
        assert "1 passed" in pytest_run.stdout


def test_python_example(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The example for Python runs, and its parameter selects the row that it should."""
    exec(compile(block("## From Python"), "README.md", "exec"), {})
    assert "25.5" in capsys.readouterr().out


def test_lint_example(address: str) -> None:
    """The lint example has no findings."""
    arguments = block("and shows a faster form:").split()[1:]
    assert CliRunner().invoke(main, arguments).exit_code == 0
