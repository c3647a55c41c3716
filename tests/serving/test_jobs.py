"""Jobs and batches: which requests may share a prediction, and which part of it is whose."""

from dataclasses import replace

import numpy as np
import pytest

from serving.encoding import as_list
from serving.options import Options
from serving.scoring import Batch, score
from tests.serving.doubling import Doubling, job, sql_function

OPTIONS = Options(own={"class": "yes", "params": "{}"})


def test_same_key() -> None:
    """Requests with the same options in any order have the same key, whatever their rows are."""
    model = Doubling().model
    reordered = replace(OPTIONS, own=dict(reversed(OPTIONS.own.items())))
    assert list(reordered.own) != list(OPTIONS.own)
    assert job(model, 1, options=OPTIONS).key == job(model, 2, None, options=reordered).key


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        replace(OPTIONS, on_null="pass"),
        replace(OPTIONS, on_error="null"),
        replace(OPTIONS, own={"class": "yes"}),
        replace(OPTIONS, own={"class": "no", "params": "{}"}),
        replace(OPTIONS, own={"class": "{}", "params": "yes"}),
    ],
    ids=str,
)
def test_other_options_other_key(options: Options) -> None:
    """Requests with different options have different keys."""
    model = Doubling().model
    assert job(model, 1, options=OPTIONS).key != job(model, 1, options=options).key


def test_other_model_or_function_other_key() -> None:
    """Requests for different models or functions have different keys."""
    doubling = Doubling()
    key = job(doubling.model, 1).key
    assert job(Doubling().model, 1).key != key
    assert job(doubling.model, 1, function=sql_function(name="g")).key != key


def test_merge_and_split() -> None:
    """A batch has the valid rows of its jobs in order; split gives each job one reply per row of its own."""
    doubling = Doubling()
    jobs = [job(doubling.model, *values) for values in ([1, None], [2], [None, 3, 4])]
    batch = Batch.merge(jobs)
    assert batch.rows["a"].tolist() == [1, 2, 3, 4]
    replies = batch.split(batch.predict())
    assert doubling.calls == [4]
    assert [as_list(values) for values in replies] == [[2, None], [4], [None, 6, 8]]
    assert [as_list(score(each)) for each in jobs] == [[2, None], [4], [None, 6, 8]]
    assert [each.null_rows for each in jobs] == [1, 0, 1]


@pytest.mark.parametrize(
    ("values", "replies"),
    [
        (np.array([1.0, 2.0, 3.0]), [[1.0, None], [2.0, 3.0]]),
        ([1, "NaN", {"x": None}], [[1, None], ["NaN", {"x": None}]]),
    ],
    ids=["array", "list"],
)
def test_split_keeps_container(values: np.ndarray | list[object], replies: list[list[object]]) -> None:
    """An array is split into arrays, which orjson writes fastest, and a list into lists."""
    model = Doubling().model
    parts = Batch.merge([job(model, 5, None), job(model, 6, 7)]).split(values)
    assert [type(part) for part in parts] == [type(values)] * 2
    assert [as_list(part) for part in parts] == replies


def test_merge_one_job() -> None:
    """The batch of one job without NULLs has the rows of that job, without a copy."""
    only = job(Doubling().model, 1, 2)
    assert Batch.merge([only]).rows is only.rows


def test_stages_of_a_batch() -> None:
    """Every job of a batch records the time of the shared prediction."""
    model = Doubling().model
    jobs = [job(model, value) for value in (1, 2)]
    Batch.merge(jobs).predict()
    for each in jobs:
        assert list(each.timer.stages) == ["decode", "queue", "predict", "encode"]
