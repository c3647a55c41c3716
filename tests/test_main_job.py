"""The main job as a person runs it: train, publish, serve, register and query, all of it real, nothing left running."""

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

ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")


def demo(output: Path) -> subprocess.Popen[str]:
    """Start the demo with a search of some seconds."""
    return subprocess.Popen(
        [sys.executable, "-m", "local", "demo", "--output", str(output), "--minutes", "0.1"],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "400"},  # lines as long as they are
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def listens(port: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run the demo once; return its output folder and what it said."""
    output = tmp_path_factory.mktemp("demo") / "output"
    process = demo(output)
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    return output, said


def test_predictions_by_sql_are_those_of_mlflow_on_the_same_rows(finished: tuple[Path, str]) -> None:
    output, said = finished
    scored = pd.read_csv(output / "predictions.csv")
    heldout = pd.read_parquet(output / "heldout.parquet")
    assert len(scored) == len(heldout) > 100
    model = mlflow.pyfunc.load_model(str(output / "model"))
    expected = model.predict(heldout[model.metadata.get_input_schema().input_names()])
    np.testing.assert_allclose(scored["predicted"], np.ravel(expected), rtol=0, atol=1e-9)
    error = np.abs(scored["predicted"] - scored["actual"]).mean()
    assert f"by SQL: {error:.4f}" in said


def test_the_demo_says_where_each_thing_lies_and_leaves_nothing_running(finished: tuple[Path, str]) -> None:
    output, said = finished
    for artifact in ("model", "heldout.parquet", "functions.sql", "predictions.csv", "function.log"):
        assert str(output / artifact) in said
        assert (output / artifact).exists()
    assert "rows per second" in said
    ports = ADDRESS.findall(said)
    assert len(set(ports)) == 2
    assert not any(map(listens, ports))


def test_the_model_was_loaded_on_the_first_request_and_once(finished: tuple[Path, str]) -> None:
    output, _ = finished
    lines = (output / "function.log").read_text().splitlines()
    assert "Loaded the model" in lines[0]
    assert '"path":"/"' in lines[1]
    assert '"status":200' in lines[1]
    assert (output / "function.log").read_text().count('"cold":true') == 1


def test_ctrl_c_ends_everything_that_was_started(tmp_path: Path) -> None:
    process = demo(tmp_path / "output")
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if "function on" in line:
            break
    ports = ADDRESS.findall(said)
    assert len(ports) == 2
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in said + rest
    assert not any(map(listens, ports))
