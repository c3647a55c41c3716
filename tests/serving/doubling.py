"""A model that doubles its one column, and jobs for it, for the tests of scoring and of the scheduler."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from serving import contract
from serving.contract import Request
from serving.functions import SqlFunction
from serving.model import Model, ModelInfo
from serving.options import Options
from serving.scoring import Job, prepare
from serving.signature import Column, Output, Signature
from serving.telemetry import Timer

OUTPUTS = (Output(None, "FLOAT64"),)


class Doubling:
    """A model of one double column that records the rows and threads of its calls, and raises for a negative value."""

    def __init__(self, error: type[Exception] = ValueError) -> None:
        self.calls: list[int] = []
        self.threads: set[int] = set()
        self._error = error
        self.model = Model(ModelInfo("test"), Signature((Column("a", "double", "FLOAT64"),), OUTPUTS), self.predict)

    def predict(self, frame: Any, params: Any) -> Any:
        self.calls.append(len(frame))
        self.threads.add(threading.get_ident())
        if (frame["a"] < 0).any():
            raise self._error("negative")
        return frame["a"].to_numpy() * 2


def sql_function(
    score: Callable[..., Any] = lambda model, rows, _: model.predict(rows), name: str = "f"
) -> SqlFunction:
    """Return a SQL function that takes the model's columns and returns FLOAT64."""
    return SqlFunction(name, "", score, "columns", lambda *_: OUTPUTS, (), lambda _: True)


def request(values: Sequence[Any]) -> Request:
    """Return a request with one row per value."""
    return contract.read(orjson.dumps({"calls": [[value] for value in values]}))


def job(model: Model, *values: Any, function: SqlFunction | None = None, options: Options | None = None) -> Job:
    """Return the job of a request with one row per value."""
    function = function or sql_function()
    return prepare(model, function, options or Options(), function.decode(model, request(values)), Timer())
