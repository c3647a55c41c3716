"""pipeline.py is self-contained: it builds, fits and scores the same pipeline without this project."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest

from tests.train.conftest import Run

PREDICT = """
import runpy, sys
import pandas as pd
script = runpy.run_path(sys.argv[1])
rows = pd.read_parquet(sys.argv[2])
pd.DataFrame({"predicted": script["main"]().predict(rows[rows.columns[:-1]])}).to_parquet("predicted.parquet")
assert not {"train", "model_steps", "tpot", "mlflow"} & set(sys.modules)
"""


@pytest.mark.check
@pytest.mark.parametrize(("name", "measure"), [("diabetes", "MAE"), ("breast_cancer", "accuracy"), ("houses", "MAE")])
def test_script_fits_the_same_pipeline(name: str, measure: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Run alone, the script predicts what the saved model predicts and prints the same score."""
    run: Run = request.getfixturevalue(name)
    files = [str(run.folder / "pipeline.py"), str(run.folder / "heldout.parquet")]
    done = subprocess.run(
        [sys.executable, "-I", "-c", PREDICT, *files], cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    theirs = pd.read_parquet(tmp_path / "predicted.parquet")["predicted"].to_numpy()
    rows = pd.read_parquet(files[1])
    ours = mlflow.sklearn.load_model(str(run.folder / "model")).predict(rows[rows.columns[:-1]])
    if measure == "MAE":
        np.testing.assert_allclose(theirs, ours, rtol=1e-9, atol=1e-9)
    else:
        assert list(theirs) == list(ours)
    score = json.loads((run.folder / "scores.json").read_text())["model"][measure]
    assert f": {score:.6g}" in done.stdout.splitlines()[0]


@pytest.mark.check
@pytest.mark.parametrize("name", ["diabetes", "breast_cancer", "houses"])
def test_script_is_formatted(name: str, request: pytest.FixtureRequest) -> None:
    """The script passes ruff: it is formatted, and imports exactly what it uses, in order."""
    path = request.getfixturevalue(name).folder / "pipeline.py"
    ruff = [Path(sys.executable).with_name("ruff")]
    width = ["--isolated", "--no-cache", "--line-length", "120"]
    subprocess.run([*ruff, "format", "--check", *width, path], check=True)
    subprocess.run([*ruff, "check", "--select", "E,F,I,UP,B", *width, path], check=True)
