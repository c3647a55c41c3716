"""The upper bound: `model.predict` alone in a process, without HTTP and JSON, on one thread.

`python -m benchmarks.bare MODEL ROWS.parquet` reads lines "ROWS SECONDS" and answers each with rows per second. A model
whose columns are all FLOAT64 gets an array, the fastest input it accepts; any other model gets a DataFrame.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.models import loaded
from benchmarks.workloads import Workload, slices
from launch.function import ROOT

# Of OpenMP and BLAS; the second is where LightGBM looks, which ignores the first.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "LOKY_MAX_CPU_COUNT": "1"}


class Bare:
    """The process with the model, running for the length of a `with` block."""

    def __init__(self, folder: Path, workload: Workload, work: Path) -> None:
        rows = work / f"bare-{workload.model.replace(' ', '-')}-{workload.rows.__name__}.parquet"
        workload.frame.to_parquet(rows)
        self._command = [sys.executable, "-m", "benchmarks.bare", str(folder), str(rows)]

    def __enter__(self) -> Self:
        environment = {**os.environ, **ONE_THREAD}
        self._process = subprocess.Popen(
            self._command,
            env=environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._process.communicate()  # closes its input, at which it exits

    def rate(self, rows: int, seconds: float) -> float:
        """Return rows per second when scoring `rows` at a time for `seconds`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{rows} {seconds}\n")
        return float(self._process.stdout.readline())


def _main(folder: str, rows: str) -> None:
    import warnings

    import numpy as np
    import pandas as pd

    warnings.filterwarnings("ignore", "X does not have valid feature names")
    model, frame = loaded(folder), pd.read_parquet(rows)
    numeric = all(dtype.kind == "f" for dtype in frame.dtypes)
    for line in sys.stdin:
        count, seconds = line.split()
        # Rotate the servers' batches: branch prediction makes a repeated batch look faster than it is.
        cut = [frame[batch] for batch in slices(int(count), len(frame))]
        batches = [np.ascontiguousarray(batch) for batch in cut] if numeric else cut
        model.predict(batches[0])
        done, started = 0, time.perf_counter()
        while time.perf_counter() - started < float(seconds):
            model.predict(batches[done % len(batches)])
            done += 1
        print(done * int(count) / (time.perf_counter() - started), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
