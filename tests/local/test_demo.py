"""The demo as a person runs it: train, publish, serve, register and query, all of it real, nothing left running."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.check

PATIENCE = 600  # seconds for a process that takes some; a busy machine needs more
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")


def demo(output: Path) -> subprocess.Popen[str]:
    """Start the demo with a search of six seconds."""
    return subprocess.Popen(
        [sys.executable, "-m", "local", "demo", "--output", str(output), "--minutes", "0.1"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "400"},  # do not wrap lines
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def listens(port: str) -> bool:
    """Return whether something accepts connections on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run the demo once; return its output folder and what it printed."""
    output = tmp_path_factory.mktemp("demo") / "output"
    process = demo(output)
    printed, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, printed
    return output, printed


def test_sql_predicts_what_mlflow_predicts(finished: tuple[Path, str]) -> None:
    """The predictions in the SQL result are those of the model in MLflow, and the error printed is theirs."""
    output, printed = finished
    scored = pd.read_csv(output / "predictions.csv")
    heldout = pd.read_parquet(output / "heldout.parquet")
    assert len(scored) == len(heldout) > 100
    model = mlflow.pyfunc.load_model(str(output / "model"))
    expected = model.predict(heldout[model.metadata.get_input_schema().input_names()])
    np.testing.assert_allclose(scored["predicted"], np.ravel(expected), rtol=0, atol=1e-9)
    error = np.abs(scored["predicted"] - scored["actual"]).mean()
    assert f"by SQL: {error:.4f}" in printed


def test_demo_lists_its_files_and_ends_everything(finished: tuple[Path, str]) -> None:
    """The demo prints the path of every file it left, and no server of it listens afterwards."""
    output, printed = finished
    for artifact in ("model", "heldout.parquet", "functions.sql", "predictions.csv", "function.log"):
        assert str(output / artifact) in printed
        assert (output / artifact).exists()
    assert "rows per second" in printed
    ports = ADDRESS.findall(printed)
    assert len(set(ports)) == 2
    assert not any(map(listens, ports))


def test_model_is_loaded_once(finished: tuple[Path, str]) -> None:
    """The first request loads the model, and no later one does."""
    output, _ = finished
    lines = (output / "function.log").read_text().splitlines()
    assert "Listening at" in lines[0]
    assert "Loaded the model" in lines[1]
    assert '"path":"/"' in lines[2]
    assert '"status":200' in lines[2]
    assert (output / "function.log").read_text().count('"cold":true') == 1


@pytest.mark.slow
def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    """Ctrl-C while the function runs ends all servers without a traceback."""
    process = demo(tmp_path / "output")
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if "function on" in line:
            break
    ports = ADDRESS.findall(printed)
    assert len(ports) == 2
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert "Traceback" not in printed + rest
    assert not any(map(listens, ports))
