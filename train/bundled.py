"""The data sets that come by name, from scikit-learn; California Housing is downloaded."""

import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pandas as pd
from sklearn import datasets

from train.errors import DataError

DOWNLOAD_SECONDS = 20  # for all of the 400 kB; a blocked host must not hold up a run for minutes


def _california() -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn announces its retry; our message is enough
            bunch = _within(DOWNLOAD_SECONDS, lambda: datasets.fetch_california_housing(as_frame=True, n_retries=1))
    except OSError as error:
        reason = str(error) or f"no answer within {DOWNLOAD_SECONDS} s"
        raise DataError(
            f"California Housing could not be downloaded ({reason}). Copy cal_housing_py3.pkz from the folder "
            "scikit_learn_data of a machine with a network into ~/scikit_learn_data, or into the folder that "
            "SCIKIT_LEARN_DATA names; or use --data diabetes, which needs no network."
        ) from error
    return bunch.data.assign(**{bunch.target.name: bunch.target})


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


def _diabetes() -> pd.DataFrame:
    bunch = datasets.load_diabetes(as_frame=True)
    return bunch.data.assign(progression=bunch.target)


def _breast_cancer() -> pd.DataFrame:
    bunch = datasets.load_breast_cancer(as_frame=True)
    # 'benign' reads better than 1 in a query result.
    return bunch.data.assign(diagnosis=bunch.target_names[bunch.target].astype(object))


# Name -> function that returns the features, and the target as the last column.
BUNDLED: dict[str, Callable[[], pd.DataFrame]] = {
    "breast_cancer": _breast_cancer,
    "california": _california,
    "diabetes": _diabetes,
}
