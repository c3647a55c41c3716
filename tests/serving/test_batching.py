"""Requests that wait at the same time share a prediction; nobody waits for company, and nobody pays for another's."""

import asyncio
import threading
from typing import Any

import orjson
import pytest

from serving.batching import SHORT, TOGETHER, Scorer
from serving.contract import decode
from serving.errors import BadRequest
from serving.functions import SqlFunction
from serving.model import Model, ModelInfo
from serving.options import Options
from serving.replies import as_list
from serving.request_log import RequestLog
from serving.scoring import Job, prepare
from serving.signature import Column, Output, Signature


class Doubling:
    """A model of one double column that notes each call's rows and thread, and raises at a negative value."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.threads: set[int] = set()
        signature = Signature((Column("a", "double", "FLOAT64"),), (Output(None, "FLOAT64"),))
        self.model = Model(ModelInfo("test"), signature, self.predict)

    def predict(self, frame: Any, params: Any) -> Any:
        self.calls.append(len(frame))
        self.threads.add(threading.get_ident())
        if (frame["a"] < 0).any():
            raise ValueError("negative")
        return frame["a"].to_numpy() * 2


def job(model: Model, *values: Any, on_error: str = "fail") -> Job:
    outputs = (Output(None, "FLOAT64"),)
    function = SqlFunction(
        "f", "", lambda model, rows, _: model.predict(rows), "columns", lambda *_: outputs, (), lambda _: True
    )
    request = decode(orjson.dumps({"calls": [[value] for value in values]}))
    return prepare(model, function, Options(on_error=on_error), request, RequestLog("POST", "/"))


def scored(scorer: Scorer, *jobs: tuple[Job, str]) -> list[Any]:
    """Return the outcome of each job, all of which come at once; an exception stands for itself."""

    async def run() -> list[Any]:
        return await asyncio.gather(*(scorer.score(job, kind) for job, kind in jobs), return_exceptions=True)

    return [outcome if isinstance(outcome, Exception) else as_list(outcome) for outcome in asyncio.run(run())]


def test_one_row_requests_that_come_together_are_one_prediction_and_each_gets_its_own_answer() -> None:
    doubling = Doubling()
    answers = scored(Scorer(1), *((job(doubling.model, value), "k") for value in range(64)))
    assert answers == [[value * 2] for value in range(64)]
    assert doubling.calls == [64]


def test_a_lone_request_is_scored_alone_without_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.BaseEventLoop, "call_later", None)
    doubling = Doubling()
    assert scored(Scorer(1), (job(doubling.model, 4), "k")) == [[8]]
    assert doubling.calls == [1]


async def one_a_round(scorer: Scorer, jobs: list[Job]) -> list[Any]:
    """Return the outcomes of jobs of which the loop brings another one in every round."""
    coming = []
    for each in jobs:
        coming.append(asyncio.ensure_future(scorer.score(each, "k")))
        await asyncio.sleep(0)
    return [as_list(outcome) for outcome in await asyncio.gather(*coming)]


def test_requests_that_are_just_coming_in_share_a_prediction_although_they_do_not_come_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serving.batching.WINDOW", 60.0)
    doubling = Doubling()
    jobs = [job(doubling.model, value) for value in range(20)]
    assert asyncio.run(one_a_round(Scorer(1), jobs)) == [[value * 2] for value in range(20)]
    assert doubling.calls == [20]


def test_requests_that_never_end_do_not_put_off_a_prediction_beyond_the_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serving.batching.WINDOW", 0.0)
    doubling, scorer = Doubling(), Scorer(1)
    scorer._last["f"] = (1, SHORT / 100)
    jobs = [job(doubling.model, value) for value in range(20)]
    assert asyncio.run(one_a_round(scorer, jobs)) == [[value * 2] for value in range(20)]
    assert max(doubling.calls) < 5
    assert sum(doubling.calls) == 20


def test_null_rows_stay_with_their_request_when_requests_share_a_prediction() -> None:
    doubling = Doubling()
    jobs = [job(doubling.model, *values) for values in ([1, None], [None], [], [2, 3])]
    assert scored(Scorer(1), *((each, "k") for each in jobs)) == [[2, None], [None], [], [4, 6]]
    assert doubling.calls == [3]
    assert [each.entry.null_rows for each in jobs] == [1, 1, 0, 0]


def test_a_bad_row_is_the_error_of_its_own_request_alone() -> None:
    doubling = Doubling()
    good, bad, forgiving = job(doubling.model, 1), job(doubling.model, -1), job(doubling.model, -2, 3, on_error="null")
    answers = scored(Scorer(1), (good, "k"), (bad, "k"), (forgiving, "k"))
    assert answers[0] == [2]
    assert isinstance(answers[1], BadRequest)
    assert "Row 0" in str(answers[1])
    assert answers[2] == [None, 6]


def test_requests_of_different_kinds_are_never_mixed() -> None:
    one, other = Doubling(), Doubling()
    answers = scored(Scorer(1), (job(one.model, 1), "a"), (job(other.model, 2), "b"), (job(one.model, 3), "a"))
    assert answers == [[2], [4], [6]]
    assert (one.calls, other.calls) == ([2], [1])


def test_large_requests_are_scored_one_by_one() -> None:
    doubling = Doubling()
    half = [1] * (TOGETHER // 2 + 1)
    assert scored(Scorer(1), *((job(doubling.model, *half), "k") for _ in range(3))) == [[2] * len(half)] * 3
    assert doubling.calls == [len(half)] * 3


def test_long_predictions_leave_the_event_loop_free_and_share_what_came_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serving.batching.SHORT", 0.0)
    doubling, begun, go_on = Doubling(), threading.Event(), threading.Event()
    quick = doubling.model.predictor

    def slow(frame: Any, params: Any) -> Any:
        begun.set()
        assert go_on.wait(10)
        return quick(frame, params)

    doubling.model.predictor = slow

    async def run() -> list[Any]:
        scorer = Scorer(1)
        first = asyncio.ensure_future(scorer.score(job(doubling.model, 1), "k"))
        await asyncio.to_thread(begun.wait, 10)
        rest = [asyncio.ensure_future(scorer.score(job(doubling.model, value), "k")) for value in (2, 3, 4)]
        await asyncio.sleep(0)  # the loop runs: it is not in the prediction
        go_on.set()
        return [list(answer) for answer in await asyncio.gather(first, *rest)]

    assert asyncio.run(run()) == [[2], [4], [6], [8]]
    assert doubling.calls == [1, 3]
    assert threading.get_ident() not in doubling.threads


def test_short_predictions_are_made_on_the_event_loop_once_they_are_known_to_be_short() -> None:
    doubling, scorer = Doubling(), Scorer(1)

    async def run() -> None:
        for value in range(20):
            await scorer.score(job(doubling.model, value), "k")

    scorer._last["f"] = (1, SHORT / 100)  # as measured on an idle machine
    asyncio.run(run())
    assert threading.get_ident() in doubling.threads


def test_a_request_whose_caller_has_gone_does_not_hold_up_the_others() -> None:
    doubling, scorer = Doubling(), Scorer(1)

    async def run() -> list[Any]:
        gone = asyncio.ensure_future(scorer.score(job(doubling.model, 1), "k"))
        stays = asyncio.ensure_future(scorer.score(job(doubling.model, 2), "k"))
        await asyncio.sleep(0)
        gone.cancel()
        return list(await stays)

    assert asyncio.run(run()) == [4]


@pytest.mark.parametrize("short", [0.0, 1.0])
def test_a_model_that_wants_to_end_the_process_fails_its_own_request_alone(
    short: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.batching.SHORT", short)
    doubling, scorer = Doubling(), Scorer(1)
    scorer._last["f"] = (1, 0.5)
    quick = doubling.model.predictor

    def leaving(frame: Any, params: Any) -> Any:
        if (frame["a"] == 13).any():
            raise SystemExit(1)
        return quick(frame, params)

    doubling.model.predictor = leaving
    answers = scored(scorer, *((job(doubling.model, value), "k") for value in (1, 13, 2)))
    assert (answers[0], answers[2]) == ([2], [4])
    assert "wants to end the process" in str(answers[1])
