"""The limit: `model.predict` in a process of its own, without HTTP and JSON, on one thread.

`python -m benchmarks.bare MODEL ROWS.parquet` reads a line "ROWS SECONDS" and answers with rows per second, again and
again. A model whose columns are all FLOAT64 gets an array, as fast as it takes its rows; another one a DataFrame.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.workloads import Workload, slices


class Bare:
    """The bare model for the length of a `with` block."""

    def __init__(self, folder: Path, workload: Workload, work: Path) -> None:
        rows = work / f"bare-{workload.kind.replace('%', '').replace(' ', '-')}.parquet"
        workload.frame.to_parquet(rows)
        self._command = [sys.executable, "-m", "benchmarks.bare", str(folder), str(rows)]

    def __enter__(self) -> Self:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            self._command,
            env=environment,
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._process.communicate()  # the end of its input ends it

    def rate(self, rows: int, seconds: float) -> float:
        """Return rows per second when so many are scored at a time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{rows} {seconds}\n")
        return float(self._process.stdout.readline())


def _main(folder: str, rows: str) -> None:
    import warnings

    import mlflow.sklearn
    import numpy as np
    import pandas as pd

    warnings.filterwarnings("ignore", "X does not have valid feature names")
    model, frame = mlflow.sklearn.load_model(folder), pd.read_parquet(rows)
    numeric = all(dtype.kind == "f" for dtype in frame.dtypes)
    for line in sys.stdin:
        count, seconds = line.split()
        # The batches that the servers get: a processor learns the way of a single one through the tree by heart.
        batches = [np.ascontiguousarray(frame[place]) if numeric else frame[place] for place in slices(int(count))]
        model.predict(batches[0])
        done, started = 0, time.perf_counter()
        while time.perf_counter() - started < float(seconds):
            model.predict(batches[done % len(batches)])
            done += 1
        print(done * int(count) / (time.perf_counter() - started), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
