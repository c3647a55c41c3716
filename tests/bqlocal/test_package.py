"""bqlocal as a distribution: it imports nothing of the project, and installs into an empty environment."""

import ast
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "bqlocal"
# What a user's environment must be able to do: SQL from the command line, the plugin, and the types.
TEST = """
import importlib.resources
from bqlocal import BigQuery

def test_installed(bigquery):
    assert isinstance(bigquery, BigQuery)
    assert bigquery.sql("SELECT SAFE_DIVIDE(1, 0) AS x").frame["x"].isna().all()
    assert importlib.resources.files("bqlocal").joinpath("py.typed").is_file()
"""


def test_imports_nothing_of_project() -> None:
    """No module of bqlocal imports a package or module at the root of this repository."""
    ours = {path.stem for path in ROOT.glob("*.py")} | {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert {"serving", "launch", "main"} <= ours
    for path in (PACKAGE / "bqlocal").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & ours, path.name


@pytest.mark.slow
@pytest.mark.parametrize("source", ["folder", "wheel"])
def test_install(source: str, tmp_path: Path) -> None:
    """`pip install` of the folder and of its wheel gives a working command and plugin in an empty environment."""
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    target = str(PACKAGE)
    if source == "wheel":
        run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(tmp_path), target, cwd=tmp_path)
        target = str(next(tmp_path.glob("bqlocal-*.whl")))
    run(python, "-m", "pip", "install", "--disable-pip-version-check", target, "pytest", cwd=tmp_path)
    done = run(tmp_path / "env" / "bin" / "bqlocal", "sql", "SELECT 7 / 2 AS x", "--format", "csv", cwd=tmp_path)
    assert done == "x\n3.5\n"
    (tmp_path / "test_installed.py").write_text(TEST)
    assert "1 passed" in run(python, "-m", "pytest", "-q", "test_installed.py", cwd=tmp_path)
    script = "from importlib.metadata import metadata; print(metadata('bqlocal')['License-Expression'])"
    assert run(python, "-c", script, cwd=tmp_path) == "Apache-2.0\n"


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed; return its stdout."""
    done = subprocess.run([*command], cwd=cwd, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
