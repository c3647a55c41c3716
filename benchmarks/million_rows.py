"""1,000,000 rows scored by one SELECT, and what the caller takes of the time: `python -m benchmarks.million_rows`.

The function is a process of its own, as in a deployment. Its own figure is for the same rows in bodies that are
ready, by plain HTTP from as many threads, the replies not read; the better one of before and after counts, since
other work on the machine slows both. The caller's share is its CPU time beside the time of the query.
"""

import itertools
import json
import os
import resource
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import httpx
import mlflow
import numpy as np
from bqlocal.batching import PARALLEL
from bqlocal.bigquery import BigQuery

from benchmarks.workloads import COLUMNS, NAMES, numbers, saved
from launch.function import Function
from sql.render import render

BATCH = 2_000  # max_batching_rows
PART = 200_000  # rows for the function's own figure
MOST_MEMORY = 1_000_000_000  # bytes of the caller
PAGE = os.sysconf("SC_PAGE_SIZE")
QUERY = "SELECT id, ds.predict({}) AS predicted FROM ds.rows ORDER BY id"


class Memory:
    """The caller's resident bytes, sampled while a block runs."""

    def __init__(self) -> None:
        self.samples: list[int] = []
        self._over = threading.Event()

    def __enter__(self) -> "Memory":
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._over.wait(0.2):
            # Where there is no /proc, what is known is the largest so far.
            statm = Path("/proc/self/statm")
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            self.samples.append(int(statm.read_text().split()[1]) * PAGE if statm.exists() else peak)


def own_figure(url: str, values: np.ndarray) -> float:
    """Return the function's rows per second for bodies that are ready."""
    starts = range(0, len(values), BATCH)
    bodies = [json.dumps({"calls": values[start : start + BATCH].tolist()}).encode() for start in starts]
    with httpx.Client(timeout=600, trust_env=False) as client, ThreadPoolExecutor(PARALLEL) as threads:
        started = time.perf_counter()
        statuses = set(threads.map(lambda body: client.post(f"{url}/predict", content=body).status_code, bodies))
        seconds = time.perf_counter() - started
    if statuses != {200}:
        raise SystemExit(f"The function answered with {statuses}.")
    return len(values) / seconds


@click.command()
@click.option("--rows", default=1_000_000, show_default=True)
def main(rows: int) -> None:
    """Score rows by one SELECT; fail when one is missing, out of order or wrong, or when memory grows."""
    with TemporaryDirectory() as folder, BigQuery() as bigquery:
        uri = str(saved("tree", Path(folder)))
        frame = numbers(rows, seed=1)
        values = frame.to_numpy()
        frame.insert(0, "id", np.random.default_rng(2).permutation(rows))  # ORDER BY has something to do
        bigquery.load("ds.rows", frame)
        expected = mlflow.pyfunc.load_model(uri).predict(frame[NAMES])[np.argsort(frame["id"].to_numpy())]
        del frame
        with Function(uri) as function:
            names = {"project": "local", "dataset": "ds", "connection": "us.benchmark", "endpoint": function.url}
            bigquery.sql(render(uri, max_batching_rows=BATCH, **names))
            own = own_figure(function.url, values[:PART])
            with Memory() as memory:
                started, busy = time.perf_counter(), time.process_time()
                result = bigquery.sql(QUERY.format(", ".join(NAMES)))
                seconds, busy = time.perf_counter() - started, time.process_time() - busy
            own = max(own, own_figure(function.url, values[:PART]))
    if result.table["id"].to_pylist() != list(range(rows)):
        raise SystemExit("Rows are missing or out of order.")
    if not np.array_equal(result.table["predicted"].to_numpy(), expected):
        raise SystemExit("Predictions differ from those of MLflow.")
    calls = result.calls
    quarters = [max(part) for part in np.array_split(memory.samples, 4)]
    print(f"{rows:,} rows x {COLUMNS} columns, complete, in order, equal to mlflow.pyfunc: {seconds:.1f} s")
    print(f"{calls.requests:,} requests of {calls.smallest:,} to {calls.largest:,} rows, {calls.retries} retries")
    print(f"{rows / seconds:,.0f} rows/s by SQL; the function alone {own:,.0f} rows/s")
    share = f"{busy / seconds:.0%} of the time, {busy / rows * 1e6:.1f} microseconds a row"
    print(f"CPU of the caller: {busy:.1f} s, {share}")
    print("memory of the caller, MB by quarters of the query: " + ", ".join(f"{q / 1e6:.0f}" for q in quarters))
    if max(itertools.chain(quarters, [0])) > MOST_MEMORY:
        raise SystemExit(f"The caller took more than {MOST_MEMORY:,} bytes.")


if __name__ == "__main__":
    main()
