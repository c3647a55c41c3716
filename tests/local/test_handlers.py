"""Common ways to write a remote function, and ours, called as BigQuery calls: which checks each of them fails.

The handlers in `handlers/` are small ones in the style of a blog post, of BigFunctions and of BigFrames. Each check is
one requirement of BigQuery's contract; `FAILED` lists the checks that a handler fails, and it must pass all others.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from bqlocal.bigquery import BigQuery
from bqlocal.errors import RemoteFunctionError
from launch.examine import examine
from launch.function import ROOT, Function
from launch.processes import HOST, free_port, server
from local.parity import compare
from model_loader import load
from sql.render import render
from tests import models

pytestmark = pytest.mark.slow

HANDLERS = Path(__file__).parent / "handlers"
BLOG, BIGFUNCTIONS, BIGFRAMES, OURS = "blog", "bigfunctions", "bigframes", "ours"
# Nothing listens there, as may happen to any service for a moment.
NOWHERE = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a model that predicts the logarithm of a sum, which is NaN where the sum is negative."""
    models.RANDOM = np.random.default_rng(7)  # independent of the tests before
    X = models.numbers(400)
    X = X.iloc[np.argsort(-X.sum(axis=1).to_numpy())]  # the input example, the first rows, has logarithms
    tree = make_pipeline(StandardScaler(), DecisionTreeRegressor(random_state=1))
    estimator = TransformedTargetRegressor(tree, func=np.positive, inverse_func=np.log, check_inverse=False)
    with np.errstate(invalid="ignore"):
        return str(models.save(tmp_path_factory.mktemp("logarithm") / "model", estimator.fit(X, X.sum(axis=1)), X))


@pytest.fixture(scope="module")
def endpoints(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return the URLs of all handlers with the same model, and of those that start even if its registry is down."""
    with ExitStack() as stack:
        urls = {BLOG: stack.enter_context(fastapi_server(model, tmp_path_factory.mktemp("blog") / "log"))}
        for name, source in ((BIGFUNCTIONS, HANDLERS / BIGFUNCTIONS), (BIGFRAMES, HANDLERS / BIGFRAMES), (OURS, ROOT)):
            urls[name] = stack.enter_context(Function(model, source=source)).url
            urls[f"{name} without its model"] = stack.enter_context(
                Function("models:/m@champion", NOWHERE, source=source)
            ).url
        yield urls


@contextmanager
def fastapi_server(model: str, log: Path) -> Iterator[str]:
    """Run the FastAPI handler under its own server; yield its URL."""
    port = free_port()
    url = f"http://{HOST}:{port}"
    command = ["uvicorn", "main:app", "--host", HOST, "--port", str(port), "--log-level", "critical"]
    with server("The blog's handler", command, url, log, cwd=HANDLERS / BLOG, env={**os.environ, "MODEL_URI": model}):
        yield url


class Case:
    """A handler with the SQL functions of its model in an emulator."""

    def __init__(self, bigquery: BigQuery, model: str, endpoints: dict[str, str], name: str) -> None:
        self.bigquery, self.model, self.endpoints, self.name = bigquery, model, endpoints, name
        self.url = endpoints[name]
        self.ddl = render(load(model), project="local", dataset="ds", connection="us.c", endpoint=self.url)
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

    def send_string(self, value: str) -> RemoteFunctionError:
        """Declare a FLOAT64 argument as STRING and send one; return the error."""
        return self.failure(self.ddl.replace("a FLOAT64", "a STRING"), f"ds.predict('{value}', 2, 3, 4)")


def check_predictions(case: Case, tmp_path: Path) -> None:
    """Integers and fractions give the model's predictions."""
    # Positive sums have a logarithm.
    frame = pd.DataFrame({name: [1.0, 2.5, 3.0, 0.5] for name in "abcd"})
    frame.to_parquet(tmp_path / "rows.parquet")
    found = examine(Path(case.model), case.model)
    assert not compare(found, case.bigquery, tmp_path / "rows.parquet", case.url).differences


def check_null(case: Case, _: Path) -> None:
    """A row with NULL gets NULL."""
    first, second = case.predict("2.0", "NULL")
    assert first is not None
    assert second is None


def check_nan(case: Case, _: Path) -> None:
    """A prediction that is NaN comes back as NaN."""
    first, second = case.predict("2.0", "-3.0")
    assert np.isfinite(first)
    assert np.isnan(second)


def check_bad_value(case: Case, _: Path) -> None:
    """A bad value gets a status that is not retried."""
    assert "Received response code 400" in case.send_string("abc").message


def check_message_size(case: Case, _: Path) -> None:
    """An error has a message of less than a kilobyte."""
    message = case.send_string("x" * 3000).message
    assert re.search(r'with response \{"errorMessage": ?".+"\}', message, re.DOTALL)
    assert "cut after 1 KB" not in message


def check_schema(case: Case, _: Path) -> None:
    """A SQL function created for other columns gets an error."""
    ddl = re.sub(r"\('schema', '\w+'\)", "('schema', '0000000000000000')", case.ddl)
    assert "Create the SQL function again" in case.failure(ddl).message


def check_transient_error(case: Case, _: Path) -> None:
    """An error that may pass gets a status that is retried."""
    away = case.endpoints.get(f"{case.name} without its model")
    if away is not None:  # the blog's handler does not even start
        assert "Received response code 503" in case.failure(case.ddl.replace(case.url, away)).message


def check_batch(case: Case, _: Path) -> None:
    """A batch is scored by one prediction, not row by row."""

    def seconds(rows: int) -> float:
        started = time.perf_counter()
        case.bigquery.sql(f"SELECT ds.predict(x, 1, 1, 1) FROM UNNEST(GENERATE_ARRAY(1, {rows})) AS x")
        return time.perf_counter() - started

    one = min(seconds(1) for _ in range(5))
    assert min(seconds(2000) for _ in range(3)) < 20 * one


CHECKS: list[Callable[[Case, Path], None]] = [
    check_predictions,
    check_null,
    check_nan,
    check_bad_value,
    check_message_size,
    check_schema,
    check_transient_error,
    check_batch,
]
FAILED = {
    BLOG: {
        check_null,
        check_nan,
        check_bad_value,
        check_message_size,
        check_schema,
    },
    BIGFUNCTIONS: {
        check_null,
        check_nan,
        check_message_size,
        check_schema,
        check_transient_error,
    },
    BIGFRAMES: {
        check_null,
        check_nan,
        check_message_size,
        check_schema,
        check_transient_error,
        check_batch,
    },
    OURS: set(),
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", FAILED)
def test_handlers(
    name: str, check: Callable[[Case, Path], None], model: str, endpoints: dict[str, str], tmp_path: Path
) -> None:
    """A handler fails the checks that FAILED lists for it, and passes all others."""
    with BigQuery(retry_delay=0.0) as bigquery:
        case = Case(bigquery, model, endpoints, name)
        if check not in FAILED[name]:
            check(case, tmp_path)
            return
        with pytest.raises((AssertionError, RemoteFunctionError, pytest.fail.Exception)):
            check(case, tmp_path)
