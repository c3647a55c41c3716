"""Loads training data: a scikit-learn data set by name, or a file with a target column (read by train/files.py).

The result is the same for every source: features with unique column names, a target without missing values, and the
task. Data that cannot be learned from raises TrainError here, before anything expensive starts.
"""

import dataclasses
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal

import click
import pandas as pd
from sklearn import datasets

from train import files
from train.errors import TrainError

Task = Literal["regression", "classification"]

DOWNLOAD_SECONDS = 20  # for all of the 400 kB; a blocked host must not hold up a run for minutes
MAX_CLASSES = 20  # an integer target with more distinct values is a quantity
MIN_ROWS = 20  # fewer rows give held-out rows and folds too small to mean anything
MIN_CLASS_ROWS = 10  # fewer rows of a class may miss the held-out rows or a fold


@dataclasses.dataclass(frozen=True)
class Data:
    """Features and target, row by row; the last three fields describe a file and stay empty for a data set."""

    name: str
    features: pd.DataFrame
    target: pd.Series
    task: Task
    path: Path | None = None
    types: files.Types = dataclasses.field(default_factory=dict)
    integers: tuple[str, ...] = ()  # integer columns of the file, which the model takes as optional doubles


def load(source: str, target: str | None, task: Task | None = None) -> Data:
    """Load a data set by name, or a CSV or Parquet file by path. Raise TrainError."""
    if source in _BUNDLED:
        if target is not None:
            raise TrainError(f"--target {target!r} applies to files only; the data set {source!r} has its own target.")
        data = _BUNDLED[source]()
    elif Path(source).suffix.lower() in (".csv", ".parquet"):
        data = _from_file(Path(source), target)
    else:
        known = ", ".join(sorted(_BUNDLED))
        raise TrainError(f"--data {source!r} is neither one of {known} nor the path of a .csv or .parquet file.")
    return _checked(dataclasses.replace(data, task=task or data.task))


def _california() -> Data:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn announces its retry; our message is enough
            bunch = _within(DOWNLOAD_SECONDS, lambda: datasets.fetch_california_housing(as_frame=True, n_retries=1))
    except OSError as error:
        reason = str(error) or f"no answer within {DOWNLOAD_SECONDS} s"
        click.echo(
            f"California Housing could not be downloaded ({reason}); using the bundled diabetes data instead.",
            err=True,
        )
        return _diabetes()
    return Data("california", bunch.data, bunch.target, "regression")


def _within(seconds: float, download: Callable[[], Any]) -> Any:
    """Return the result of `download`; raise TimeoutError if it takes longer than `seconds`."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(download())
        except Exception as error:
            future.set_exception(error)

    # A socket timeout applies per address and per read. A thread, abandoned if need be, bounds their sum.
    threading.Thread(target=run, daemon=True).start()
    return future.result(seconds)


def _diabetes() -> Data:
    bunch = datasets.load_diabetes(as_frame=True)
    return Data("diabetes", bunch.data, bunch.target.rename("progression"), "regression")


def _breast_cancer() -> Data:
    bunch = datasets.load_breast_cancer(as_frame=True)
    # 'benign' reads better than 1 in a query result.
    diagnosis = pd.Series(bunch.target_names[bunch.target].astype(object), name="diagnosis")
    return Data("breast_cancer", bunch.data, diagnosis, "classification")


_BUNDLED: dict[str, Callable[[], Data]] = {
    "breast_cancer": _breast_cancer,
    "california": _california,
    "diabetes": _diabetes,
}


def _from_file(path: Path, target: str | None) -> Data:
    frame = files.read(path, target)
    assert target is not None
    unknown = frame[target].isna()
    if unknown.any():
        if unknown.all():
            raise TrainError(f"The target {target!r} is empty in every row of {path}; there is nothing to learn.")
        count = int(unknown.sum())
        click.echo(f"Ignoring {count} {'row' if count == 1 else 'rows'} without a value in {target!r}.", err=True)
        frame = frame[~unknown]
    if len(frame) < MIN_ROWS:
        raise TrainError(f"{path} has {len(frame)} rows with a value in {target!r}; expected at least {MIN_ROWS}.")
    integers = [name for name in frame if name != target and pd.api.types.is_integer_dtype(frame[name].dtype)]
    types = files.types(frame, target, gaps=bool(unknown.any()))
    frame = files.convert(frame, types)
    return Data(
        name=path.stem,
        features=frame.drop(columns=target),
        target=frame[target],
        task=_task(frame[target]),
        path=path.absolute(),
        types=types,
        integers=tuple(integers),
    )


def _checked(data: Data) -> Data:
    """Return the data; raise TrainError if the task cannot be learned from its target."""
    target, counts = data.target, data.target.value_counts()
    if len(counts) == 1:
        raise TrainError(
            f"The target {target.name!r} is always {counts.index[0]!r} in {data.name}; there is nothing to predict."
        )
    if data.task == "regression" and not pd.api.types.is_numeric_dtype(target.dtype):
        raise TrainError(f"The target {target.name!r} is not numeric; --task regression needs numbers.")
    if data.task == "classification" and counts.iloc[-1] < MIN_CLASS_ROWS:
        raise TrainError(
            f"The target {target.name!r} has too few rows of the class {counts.index[-1]!r}: {counts.iloc[-1]}; "
            f"expected at least {MIN_CLASS_ROWS} of each class. Merge rare classes, or pass --task regression if the "
            "target is a quantity."
        )
    return data


def _task(target: pd.Series) -> Task:
    """Return the task: text, booleans and a few distinct integers are classes, anything else is a quantity."""
    if pd.api.types.is_float_dtype(target):
        return "regression"
    if pd.api.types.is_integer_dtype(target) and target.nunique() > MAX_CLASSES:
        return "regression"
    return "classification"
