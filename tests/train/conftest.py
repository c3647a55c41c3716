"""Real training runs, short ones, made once for all tests that look at what they left."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).parents[2]
SHORT = ("--minutes", "2", "--generations", "1", "--population", "8", "--jobs", "2")  # seconds, but on a busy machine


@dataclasses.dataclass(frozen=True)
class Run:
    folder: Path
    stdout: str
    store: str  # MLFLOW_TRACKING_URI


def train(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m train` as a person would."""
    command = [sys.executable, "-m", "train", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Fit as training does: on busy cores, threads that wait for each other take ten times as long."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tracking store for all runs: making one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


def _trained(folder: Path, store: str, *arguments: str) -> Run:
    done = train(*SHORT, *arguments, "--output", str(folder), MLFLOW_TRACKING_URI=store)
    assert done.returncode == 0, done.stderr
    return Run(folder, done.stdout, store)


@pytest.fixture(scope="session")
def diabetes(tmp_path_factory: pytest.TempPathFactory, store: str) -> Run:
    """A regression, registered."""
    folder = tmp_path_factory.mktemp("diabetes") / "out"
    return _trained(folder, store, "--data", "diabetes", "--register", "diabetes")


@pytest.fixture(scope="session")
def breast_cancer(tmp_path_factory: pytest.TempPathFactory, store: str) -> Run:
    """A classification with text labels."""
    folder = tmp_path_factory.mktemp("breast_cancer") / "out"
    return _trained(folder, store, "--data", "breast_cancer")


@pytest.fixture(scope="session")
def houses(tmp_path_factory: pytest.TempPathFactory, store: str) -> Run:
    """A file with every kind of column, gaps, an SQL keyword and letters beyond ASCII among the names."""
    folder = tmp_path_factory.mktemp("houses")
    rows(300).to_csv(folder / "houses.csv", index=False)
    arguments = ["--data", str(folder / "houses.csv"), "--target", "price"]
    return _trained(folder / "out", store, *arguments)


def rows(count: int) -> pd.DataFrame:
    """Return houses; the price depends on all that is known of them."""
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
