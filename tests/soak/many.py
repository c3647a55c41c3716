"""Many models with memory for three of ten: a part of `make soak`, also `python -m tests.soak.many --minutes 3`.

Queries in BigQuery's SQL, sent in every way that BigQuery may send them, go to one model after the other. Exits with
status 1 when a value is wrong, when a process ends, when memory exceeds its limit, or when a model leaves unlogged.
"""

import json
import logging
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import httpx
import numpy as np
import pandas as pd
import psutil
from sklearn.linear_model import LinearRegression

from bqlocal import BigQuery
from launch.function import Function
from model_loader import load
from sql.render import render
from sql.settings import SqlSettings
from tests import models

MODELS, ROWS = 10, 3_000
ARRAY, LIMIT = 40, 470  # MiB: of each model, and of the function
CGROUPS = Path("/sys/fs/cgroup")
SOURCE = Path(__file__).parents[1] / "faults" / "fast_retries"  # the function, in the cgroup that MEMORY_CGROUP names


@click.command(epilog="Example: python -m tests.soak.many --minutes 3")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), default=3, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Random seed for the queries.")
def main(minutes: float, seed: int) -> None:
    """Query ten models in memory for three; check values, memory, and that each that leaves is logged."""
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        uris = {f"m{at}": _save(at, Path(folder) / f"m{at}") for at in range(MODELS)}
        (Path(folder) / "models.yaml").write_text("".join(f"{name}: {uri}\n" for name, uri in uris.items()))
        try:
            with _cgroup() as group:
                environment = {"MODELS": f"{folder}/models.yaml", "MEMORY_CGROUP": str(group)}
                with Function("", environment, source=SOURCE) as function:
                    failures = _soak(function, uris, minutes * 60, seed) + _after(function, group)
        except PermissionError as error:
            click.echo(f"Many models: not run, since making a cgroup requires root ({error}).")
            return
    click.echo("\n".join(failures) if failures else "All is well.", err=True)
    sys.exit(bool(failures))


def _save(number: int, folder: Path) -> Path:
    """Save a model that predicts a + 1000 times its number, with an array."""
    X = models.numbers()
    model = LinearRegression().fit(X, X.a + 1_000 * number)
    model.table = np.random.default_rng(number).normal(size=ARRAY * 2**17)
    return models.save(folder, model, X)


@contextmanager
def _cgroup() -> Iterator[Path]:
    """Make a cgroup with LIMIT for the length of the block; raise PermissionError without the right to."""
    old = (CGROUPS / "memory").exists()
    group = (CGROUPS / "memory" if old else CGROUPS) / f"soak-{os.getpid()}"
    group.mkdir()
    (group / ("memory.limit_in_bytes" if old else "memory.max")).write_text(str(LIMIT * 2**20))
    yield group
    deadline = time.monotonic() + 60
    while group.exists() and time.monotonic() < deadline:
        try:
            group.rmdir()
        except OSError:  # its last process is still ending
            time.sleep(0.1)


def _soak(function: Function, uris: dict[str, Path], seconds: float, seed: int) -> list[str]:
    """Run queries until the time is up; return what went wrong."""
    chosen, failures, queries = random.Random(seed), list[str](), 0
    rows = pd.DataFrame(np.random.default_rng(seed).normal(size=(ROWS, 4)), columns=list("abcd"))
    rows = rows.assign(id=range(ROWS), a=rows.a.where(rows.index % 50 != 3))
    place = {"project": "my-project", "dataset": "ds", "connection": "us.c", "max_batching_rows": 400}
    with BigQuery("my-project", chaos=seed, retry_delay=0.01) as bigquery:
        bigquery.load("ds.t", rows)
        for name, uri in uris.items():
            settings = SqlSettings(name, on_error="json")
            bigquery.sql(render(load(str(uri)), **place, endpoint=f"{function.url}/{name}", settings=settings))
        running, deadline = _workers(function), time.monotonic() + seconds
        while time.monotonic() < deadline and len(failures) < 5:
            names = chosen.sample(list(uris), 2)
            calls = ", ".join(f"ds.{name}(a, b, c, d) AS {name}" for name in names)
            found = bigquery.sql(f"SELECT id, a, {calls} FROM ds.t WHERE MOD(id, 7) = {chosen.randrange(7)}")
            queries += 1
            failures += [fault for name in names if (fault := _wrong(name, found.table.to_pylist()))]
    if _workers(function) != running:
        failures.append("A worker was killed.")
    click.echo(f"{queries} queries of {len(uris)} models in {seconds:.0f} s.")
    return failures


def _wrong(name: str, rows: list[dict[str, object]]) -> str | None:
    """Return the first row with another answer than the model's own."""
    for row in rows:
        value, error = row[name]["value"], row[name]["error"]  # type: ignore[index]
        if row["a"] is None:
            right = value is None and error == "Column a is NULL; the model needs FLOAT64."
        else:
            right = error is None and abs(value - row["a"] - 1_000 * int(name[1:])) < 1e-6
        if not right:
            return f"{name} answered {value!r}, {error!r} to {row}"
    return None


def _workers(function: Function) -> set[int]:
    return {worker.pid for worker in psutil.Process(function.pid).children()}


def _after(function: Function, group: Path) -> list[str]:
    """Return what the log and the cgroup say went wrong."""
    lines = [json.loads(line)["message"] for line in function.log.read_text().splitlines() if line.startswith("{")]
    loaded, left = (sum(text.startswith(f"{word} the model") for text in lines) for word in ("Loaded", "Unloaded"))
    listed = httpx.get(function.url, trust_env=False, timeout=600).json()["models"]
    in_memory = sum(it["loaded"] for it in listed)
    peak = next(
        int(file.read_text()) for it in ("memory.max_usage_in_bytes", "memory.peak") if (file := group / it).exists()
    )
    click.echo(f"Loaded {loaded} times, left {left} times; {in_memory} in memory, at most {peak / 2**20:,.0f} MiB.")
    failures = [] if left == loaded - in_memory else [f"{loaded - in_memory} models left, but the log has {left}."]
    return failures + ([] if left >= MODELS - in_memory else ["Too few models left for a test."])


if __name__ == "__main__":
    main(prog_name="python -m tests.soak.many")
