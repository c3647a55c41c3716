"""Many models in one process: each is loaded once, answers for itself alone, and leaves when memory is short."""

import json
import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from bqlocal import BigQuery
from launch.function import Function
from model_loader import load
from sql.render import render
from sql.settings import SqlSettings
from tests import models
from tests.assertions import assert_error
from tests.faults.processes import DEADLINE, workers
from tests.faults.test_memory import FAST_RETRIES, cgroup  # noqa: F401

ROW = [0.5, -0.25, 1, 2]
STEPS = """
from sklearn.base import BaseEstimator, TransformerMixin

class Scale(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X * {factor}
"""


def constant(value: float, folder: Path, megabytes: int = 0) -> Path:
    """Save a model that always predicts the same value, with an array of that size."""
    X = models.numbers(20)
    model = DummyRegressor(strategy="constant", constant=value).fit(X, X.a)
    model.table = np.random.default_rng(1).normal(size=megabytes * 2**17)
    return models.save(folder, model, X)


def listed(folder: Path, uris: dict[str, Path]) -> dict[str, str]:
    """Write a list of models; return the environment that names it."""
    path = folder / "models.yaml"
    path.write_text("".join(f"{name}: {uri}\n" for name, uri in uris.items()))
    return {"MODELS": str(path)}


def ask(function: Function, name: str) -> httpx.Response:
    return httpx.post(f"{function.url}/{name}", json={"calls": [ROW]}, trust_env=False, timeout=DEADLINE)


def logged(function: Function) -> list[dict[str, Any]]:
    lines = function.log.read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def loads(function: Function) -> Counter[str]:
    """Return how often each model has been loaded, by the last part of its URI."""
    found = (line["message"] for line in logged(function))
    return Counter(text.rpartition("/")[2].rstrip(".") for text in found if text.startswith("Loaded the model"))


def test_burst_on_cold_models(tmp_path: Path) -> None:
    """Of a burst on ten cold models, each is loaded once and answers for itself; a broken one fails alone."""
    uris = {f"m{at}": constant(at, tmp_path / f"m{at}") for at in range(10)}
    with Function("", listed(tmp_path, {**uris, "broken": tmp_path / "nothing"})) as function:
        names = [*uris, "broken"] * 4
        random.Random(1).shuffle(names)
        with ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(lambda name: ask(function, name), names))
        for name, answer in zip(names, answers, strict=True):
            if name == "broken":
                assert_error(answer, 424, "nothing")
            else:
                assert answer.json() == {"replies": [float(name[1:])]}
        assert loads(function) == dict.fromkeys(uris, 1)
        requests = [line for line in logged(function) if line.get("modelName") == "m3"]
        assert len(requests) == 4
        with BigQuery("my-project") as bigquery:  # the path names a model, and so does the context
            place = {"project": "my-project", "dataset": "ds", "connection": "us.c"}
            bigquery.sql(render(load(str(uris["m3"])), **place, endpoint=f"{function.url}/m3"))
            named = render(load(str(uris["m7"])), **place, endpoint=function.url, settings=SqlSettings("m7"))
            bigquery.sql(named.replace("[('function'", "[('model', 'm7'), ('function'"))
            query = "SELECT ds.predict(a, a, a, a) AS m3, ds.m7_row(TO_JSON(t)) AS m7 FROM (SELECT 1.5 AS a, 2 AS b, 3 AS c, 4 AS d) AS t"
            assert bigquery.sql(query).table.to_pylist() == [{"m3": 3.0, "m7": 7.0}]


def test_modules_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that bring the same module are both served; one with another version of it names both models."""
    X = models.numbers(20)
    uris = {}
    for name, factor in (("first", 2), ("same", 2), ("other", 3)):
        code = tmp_path / f"code-{name}" / "own_steps.py"
        code.parent.mkdir()
        code.write_text(STEPS.format(factor=factor))
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(code.parent))
            import own_steps  # type: ignore[import-not-found]

            model = make_pipeline(own_steps.Scale(), LinearRegression()).fit(X, X.a * factor)
            uris[name] = models.save(tmp_path / name, model, X, code_paths=[str(code)])
            patch.delitem(sys.modules, "own_steps")
    with Function("", listed(tmp_path, uris)) as function:
        assert ask(function, "first").json()["replies"] == pytest.approx([1.0])
        assert ask(function, "same").json()["replies"] == pytest.approx([1.0])
        expected = [
            f"The model at {uris['other']} has other code than the model at",
            "code/own_steps.py",
            "two services",
        ]
        assert_error(ask(function, "other"), 424, *expected)
        assert ask(function, "first").json()["replies"] == pytest.approx([1.0])


@pytest.mark.slow
def test_memory_for_three_of_ten(tmp_path: Path, cgroup: Callable[[int], Path]) -> None:  # noqa: F811
    """Ten models with memory for three: every answer is right, each that leaves is logged, nothing is killed."""
    uris = {f"m{at}": constant(at, tmp_path / f"m{at}", megabytes=40) for at in range(10)}
    environment = {**listed(tmp_path, uris), "MEMORY_CGROUP": str(cgroup(int(os.environ.get("MEMORY_MB", 470))))}
    with Function("", environment, source=FAST_RETRIES) as function:
        running = workers(function)
        order = random.Random(2).choices(list(uris), k=150)
        with ThreadPoolExecutor(3) as threads:
            for name, answer in zip(order, threads.map(lambda name: ask(function, name), order), strict=True):
                assert (name, answer.text) == (name, f'{{"replies":[{name[1:]}]}}')
        assert workers(function) == running, "a worker was killed"
        left = sum(line["message"].startswith("Unloaded the model") for line in logged(function))
        in_memory = [it["name"] for it in httpx.get(function.url, trust_env=False).json()["models"] if it["loaded"]]
        assert left == sum(loads(function).values()) - len(in_memory)
        assert left >= 10
        assert 2 <= len(in_memory) <= 5


@pytest.mark.slow
def test_memory_of_twenty(tmp_path: Path) -> None:
    """Twenty small models take at most a tenth more memory than one of them."""

    def memory(count: int) -> int:
        uris = {f"m{at}": models.tree_regressor(tmp_path / f"{count}-m{at}") for at in range(count)}
        with Function("", listed(tmp_path, uris)) as function:
            for name in uris:
                assert ask(function, name).status_code == 200
            (worker,) = psutil.Process(function.pid).children()
            return int(worker.memory_info().rss)

    one, twenty = memory(1), memory(20)
    print(f"{one / 2**20:.0f} and {twenty / 2**20:.0f} MiB")
    assert twenty <= 1.1 * one
