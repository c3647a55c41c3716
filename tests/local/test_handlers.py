"""Other people's ways to write a remote function, and ours, called as BigQuery calls: what each gets wrong.

The handlers in `handlers/` are small ones in the manner of a blog post, of BigFunctions and of BigFrames. Each
check is one demand of the contract; `FAILED` says which handler fails which, and nothing else may fail.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
from bqlocal.bigquery import BigQuery
from bqlocal.errors import RemoteFunctionError
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from launch.function import ROOT, Function
from launch.processes import HOST, end, free_port
from local.parity import compare
from sql.render import render
from tests import models

HANDLERS = Path(__file__).parent / "handlers"
BLOG, BIGFUNCTIONS, BIGFRAMES, OURS = "blog", "bigfunctions", "bigframes", "ours"
# Nobody listens there, which a deployed function may find true of anything for a moment.
NOWHERE = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A logarithm of a sum: not a number where the sum is negative."""
    X = models.numbers(400)
    X = X.iloc[np.argsort(-X.sum(axis=1).to_numpy())]  # the input example, which is the first rows, has a logarithm
    tree = make_pipeline(StandardScaler(), DecisionTreeRegressor(random_state=1))
    estimator = TransformedTargetRegressor(tree, func=np.positive, inverse_func=np.log, check_inverse=False)
    with np.errstate(invalid="ignore"):
        return str(models.save(tmp_path_factory.mktemp("logarithm") / "model", estimator.fit(X, X.sum(axis=1)), X))


@pytest.fixture(scope="module")
def endpoints(model: str) -> Iterator[dict[str, str]]:
    """All handlers with the same model, and those that start without it where it cannot be had."""
    with ExitStack() as stack:
        urls = {BLOG: stack.enter_context(Blog(model)).url}
        for name, source in ((BIGFUNCTIONS, HANDLERS / BIGFUNCTIONS), (BIGFRAMES, HANDLERS / BIGFRAMES), (OURS, ROOT)):
            urls[name] = stack.enter_context(Function(model, source=source)).url
            urls[f"{name} without its model"] = stack.enter_context(
                Function("models:/m@champion", NOWHERE, source=source)
            ).url
        yield urls


class Blog:
    """The FastAPI handler under its own server."""

    def __init__(self, model: str) -> None:
        port = free_port()
        self.url = f"http://{HOST}:{port}"
        command = [sys.executable, "-m", "uvicorn", "main:app", "--host", HOST, "--port", str(port)]
        self._process = subprocess.Popen(
            [*command, "--log-level", "critical"],
            cwd=HANDLERS / BLOG,
            env={**os.environ, "MODEL_URI": model},
            start_new_session=True,
        )

    def __enter__(self) -> "Blog":
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                httpx.get(self.url, trust_env=False)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return self
        end(self._process)
        raise RuntimeError("the blog's handler did not start")

    def __exit__(self, *_: object) -> None:
        end(self._process)


class Case:
    """A handler, registered for a model, in a BigQuery of its own."""

    def __init__(self, bigquery: BigQuery, model: str, endpoints: dict[str, str], name: str) -> None:
        self.bigquery, self.model, self.endpoints, self.name = bigquery, model, endpoints, name
        self.url = endpoints[name]
        self.ddl = render(model, project="local", dataset="ds", connection="us.c", endpoint=self.url)
        bigquery.sql(self.ddl)

    def predict(self, *values: str) -> list[float | None]:
        query = f"SELECT ds.predict(a, 2.5, a, a) AS x FROM UNNEST([{', '.join(values)}]) AS a"
        return self.bigquery.sql(query).table["x"].to_pylist()  # type: ignore[no-any-return]

    def failure(self, ddl: str = "", call: str = "ds.predict(1, 2, 3, 4)") -> RemoteFunctionError:
        if ddl:
            self.bigquery.sql(ddl)
        with pytest.raises(RemoteFunctionError) as failure:
            self.bigquery.sql(f"SELECT {call}")
        return failure.value

    def texts(self, value: str) -> RemoteFunctionError:
        """Register the function for a text, and send one."""
        return self.failure(self.ddl.replace("a FLOAT64", "a STRING"), f"ds.predict('{value}', 2, 3, 4)")


def whole_numbers_and_fractions_give_the_models_predictions(case: Case, tmp_path: Path) -> None:
    # Positive sums: the logarithm of the others is another check's.
    frame = pd.DataFrame({name: [1.0, 2.5, 3.0, 0.5] for name in "abcd"})
    frame.to_parquet(tmp_path / "rows.parquet")
    assert not compare(case.model, case.bigquery, tmp_path / "rows.parquet", case.url).differences


def a_row_with_null_gets_null(case: Case, _: Path) -> None:
    first, second = case.predict("2.0", "NULL")
    assert first is not None
    assert second is None


def what_is_not_a_number_is_answered_as_such(case: Case, _: Path) -> None:
    first, second = case.predict("2.0", "-3.0")
    assert np.isfinite(first)
    assert np.isnan(second)


def a_fault_of_the_data_is_asked_once(case: Case, _: Path) -> None:
    assert "Received response code 400" in case.texts("abc").message


def a_failure_has_a_message_of_less_than_a_kilobyte(case: Case, _: Path) -> None:
    message = case.texts("x" * 3000).message
    assert re.search(r'with response \{"errorMessage": ?".+"\}', message, re.DOTALL)
    assert "cut after 1 KB" not in message


def columns_of_another_model_are_refused(case: Case, _: Path) -> None:
    ddl = re.sub(r"\('schema', '\w+'\)", "('schema', '0000000000000000')", case.ddl)
    assert "Create the SQL function again" in case.failure(ddl).message


def a_fault_that_may_pass_is_tried_again(case: Case, _: Path) -> None:
    away = case.endpoints.get(f"{case.name} without its model")
    if away is not None:  # the blog's does not even start
        assert "Received response code 503" in case.failure(case.ddl.replace(case.url, away)).message


def a_batch_is_one_prediction(case: Case, _: Path) -> None:
    def seconds(rows: int) -> float:
        started = time.perf_counter()
        case.bigquery.sql(f"SELECT ds.predict(x, 1, 1, 1) FROM UNNEST(GENERATE_ARRAY(1, {rows})) AS x")
        return time.perf_counter() - started

    one = min(seconds(1) for _ in range(5))
    assert min(seconds(2000) for _ in range(3)) < 20 * one


CHECKS: list[Callable[[Case, Path], None]] = [
    whole_numbers_and_fractions_give_the_models_predictions,
    a_row_with_null_gets_null,
    what_is_not_a_number_is_answered_as_such,
    a_fault_of_the_data_is_asked_once,
    a_failure_has_a_message_of_less_than_a_kilobyte,
    columns_of_another_model_are_refused,
    a_fault_that_may_pass_is_tried_again,
    a_batch_is_one_prediction,
]
FAILED = {
    BLOG: {
        a_row_with_null_gets_null,
        what_is_not_a_number_is_answered_as_such,
        a_fault_of_the_data_is_asked_once,
        a_failure_has_a_message_of_less_than_a_kilobyte,
        columns_of_another_model_are_refused,
    },
    BIGFUNCTIONS: {
        a_row_with_null_gets_null,
        what_is_not_a_number_is_answered_as_such,
        a_failure_has_a_message_of_less_than_a_kilobyte,
        columns_of_another_model_are_refused,
        a_fault_that_may_pass_is_tried_again,
    },
    BIGFRAMES: {
        a_row_with_null_gets_null,
        what_is_not_a_number_is_answered_as_such,
        a_failure_has_a_message_of_less_than_a_kilobyte,
        columns_of_another_model_are_refused,
        a_fault_that_may_pass_is_tried_again,
        a_batch_is_one_prediction,
    },
    OURS: set(),
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", FAILED)
def test_handlers(
    name: str, check: Callable[[Case, Path], None], model: str, endpoints: dict[str, str], tmp_path: Path
) -> None:
    with BigQuery(retry_delay=0.0) as bigquery:
        case = Case(bigquery, model, endpoints, name)
        if check not in FAILED[name]:
            check(case, tmp_path)
            return
        with pytest.raises((AssertionError, RemoteFunctionError, pytest.fail.Exception)):
            check(case, tmp_path)
