"""deploy.sh in a clone without .venv, as in Cloud Shell or CI: it makes the environment that it needs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.conftest import ROOT

ROOMS = ("bqlocal", "deploy", "launch", "loading", "parity", "serving", "sql")
FILES = ("deploy.sh", "model_loader.py", "model_steps.py", "pyproject.toml", "requirements.txt", "requirements-dev.txt")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a copy of what deploy.sh needs, without an environment, in a folder with a space in its name."""
    folder = tmp_path / "a clone"
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy(ROOT / file, folder / file)
    return folder


def run(command: list[str], folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    """Run a command with a script as python3."""
    tools = folder.parent / "bin"
    tools.mkdir(exist_ok=True)
    (tools / "python3").write_text(f'#!/bin/sh\nexec {python} "$@"\n')
    (tools / "python3").chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHON", "VIRTUAL_ENV")}
    environment |= {"PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(folder)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1200, check=False
    )


def test_unfit_python(clone: Path) -> None:
    """Without a fitting python3, one sentence says which are, and nothing is created."""
    done = run(["./deploy.sh", "--help"], clone, "false")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("deploy.sh: python3 is not Python 3.11, 3.12 or 3.13: ")
    assert not (clone / ".deploy").exists()


@pytest.mark.slow
def test_makes_environment(clone: Path) -> None:
    """The environment is made once, keeps stdout clean, and has what every command of a deployment imports."""
    first = run(["./deploy.sh", "--help"], clone, sys.executable)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("Usage: ./deploy.sh")
    assert "deploy.sh: creating " in first.stderr
    again = run(["./deploy.sh", "--help"], clone, sys.executable)
    assert (again.returncode, again.stdout, again.stderr) == (0, first.stdout, "")
    for module in ("deploy.model", "deploy.sizing", "loading.publish"):
        done = run([".deploy/venv/bin/python", "-m", module, "--help"], clone, sys.executable)
        assert done.returncode == 0, done.stderr
