"""Training runs, made once for all tests that look at their results.

One is a process of its own, as on the command line; the others run inside the tests' process, which saves the seconds
that each process spends on imports.
"""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from threadpoolctl import threadpool_limits

from local.storage import Storage
from tests.conftest import BUCKET, ROOT
from train.__main__ import main

PATIENCE = 600  # seconds for a process that takes a few


@dataclasses.dataclass(frozen=True)
class Run:
    folder: Path
    stdout: str
    stderr: str
    store: str  # MLFLOW_TRACKING_URI


def train(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m train` as a person would."""
    command = [sys.executable, "-m", "train", *arguments]
    environ = os.environ | environment
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Fit with one thread, as training does: on busy cores, threads that wait for each other take ten times as long."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tracking store for all runs: creating one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture(scope="session")
def diabetes(tmp_path_factory: pytest.TempPathFactory, store: str, emulator: Storage) -> Run:
    """A regression, registered and published: a process that Ctrl-C ends once it has scored a pipeline."""
    folder = tmp_path_factory.mktemp("diabetes") / "out"
    options = ["--data", "diabetes", "--minutes", "60", "--jobs", "1", "--output", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "train", *options, "--register", "diabetes", "--publish", f"gs://{BUCKET}/diabetes"],
        cwd=ROOT,
        env=os.environ | emulator.environment | {"MLFLOW_TRACKING_URI": store, "FORCE_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    deadline = threading.Timer(PATIENCE, process.kill)
    deadline.start()
    seen = ""
    while "generation 1" not in seen and (more := process.stderr.read(100)):
        seen += more
    deadline.cancel()
    os.killpg(process.pid, signal.SIGINT)  # like a terminal: to the workers too
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, seen + stderr
    return Run(folder, stdout, seen + stderr, store)


def _train_here(folder: Path, store: str, *arguments: str) -> Run:
    """Search one small generation inside this process; the limit of 10 minutes is for a busy machine."""
    search = ["--minutes", "10", "--generations", "1", "--population", "2", "--jobs", "1"]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pytest turns warnings into errors
        patch.setenv("MLFLOW_TRACKING_URI", store)
        done = CliRunner(catch_exceptions=False).invoke(main, [*search, *arguments, "--output", str(folder)])
    assert done.exit_code == 0, done.output
    return Run(folder, done.stdout, done.stderr, store)


@pytest.fixture(scope="session")
def breast_cancer(tmp_path_factory: pytest.TempPathFactory, store: str) -> Run:
    """A classification with text labels."""
    return _train_here(tmp_path_factory.mktemp("breast_cancer") / "out", store, "--data", "breast_cancer")


@pytest.fixture(scope="session")
def houses(tmp_path_factory: pytest.TempPathFactory, store: str) -> Run:
    """A file with every type of column, gaps, an SQL keyword and letters beyond ASCII among the names."""
    folder = tmp_path_factory.mktemp("houses")
    rows(300).to_csv(folder / "houses.csv", index=False)
    return _train_here(folder / "out", store, "--data", str(folder / "houses.csv"), "--target", "price")


def rows(count: int) -> pd.DataFrame:
    """Return houses; the price depends on every column but `lift`."""
    random = np.random.default_rng(5)
    built = pd.Timestamp("1950-01-01") + pd.to_timedelta(random.integers(0, 25_000, count), unit="D")
    size = random.uniform(20, 200, count)
    city = random.choice(["Bern", "Köln", "Graz"], count)
    select = random.integers(0, 9, count)
    garden = random.random(count) < 0.4
    price = size * (2 + (city == "Bern")) + built.year - 1950 + 10 * select + 30 * garden
    frame = pd.DataFrame(
        {
            "Größe in m²": size,
            "select": select,
            "built": built.strftime("%Y-%m-%d"),
            "city": city,
            "garden": garden,
            "lift": random.random(count) < 0.5,
            "price": price,
        }
    )
    frame["garden"] = frame["garden"].astype(object)
    for name in ("Größe in m²", "built", "city", "garden"):
        frame.loc[random.random(count) < 0.1, name] = None
    return frame
