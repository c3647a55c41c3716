"""The pytest plugin in a run of pytest by itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run_pytest(folder: Path, *arguments: str) -> str:
    """Run pytest in a folder of tests and return its output."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.stdout + done.stderr


@pytest.mark.check
def test_fixture(tmp_path: Path) -> None:
    """Without configuration the fixture is one empty emulator for the session, with the defaults of BigQuery()."""
    (tmp_path / "test_a.py").write_text(
        "def test_create(bigquery):\n"
        "    assert bigquery.project == 'local'\n"
        "    bigquery.sql('CREATE TABLE ds.t AS SELECT 1 AS a')\n"
    )
    (tmp_path / "test_b.py").write_text(
        "def test_shared(bigquery):\n    assert bigquery.sql('SELECT a FROM ds.t').table['a'].to_pylist() == [1]\n"
    )
    assert "2 passed" in run_pytest(tmp_path)


@pytest.mark.check
def test_options(tmp_path: Path) -> None:
    """The fixture `bigquery_options` sets the keyword arguments."""
    (tmp_path / "test_a.py").write_text(
        "import pytest\n"
        "@pytest.fixture(scope='session')\n"
        "def bigquery_options():\n"
        "    return {'project': 'shop'}\n"
        "def test_project(bigquery):\n"
        "    assert bigquery.project == 'shop'\n"
    )
    assert "1 passed" in run_pytest(tmp_path)


@pytest.mark.check
def test_unused(tmp_path: Path) -> None:
    """A run that does not use the fixture does not import the emulator."""
    (tmp_path / "test_a.py").write_text(
        "import sys\n"
        "def test_modules():\n"
        "    assert 'bqlocal.pytest_plugin' in sys.modules\n"
        "    assert 'duckdb' not in sys.modules\n"
    )
    assert "1 passed" in run_pytest(tmp_path)
