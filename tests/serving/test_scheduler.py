"""Requests that wait at the same time share a prediction; nobody waits for company, and nobody pays for another's."""

import asyncio
import threading
from typing import Any

import orjson
import pytest

from serving.contract import read
from serving.encoding import as_list
from serving.errors import BadRequest
from serving.functions import SqlFunction
from serving.model import Model, ModelInfo
from serving.options import Options
from serving.scheduler import MAX_BATCH_ROWS, Scheduler
from serving.scoring import Job, prepare
from serving.signature import Column, Output, Signature
from serving.telemetry import Timer


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
    rows = function.decode(model, read(orjson.dumps({"calls": [[value] for value in values]})))
    return prepare(model, function, Options(on_error=on_error), rows, Timer())


def scored(scheduler: Scheduler, *jobs: Job) -> list[Any]:
    """Return the outcome of each job, all of which come at once; an exception stands for itself."""

    async def run() -> list[Any]:
        return await asyncio.gather(*(scheduler.score(job) for job in jobs), return_exceptions=True)

    return [outcome if isinstance(outcome, Exception) else as_list(outcome) for outcome in asyncio.run(run())]


def test_one_row_requests_that_come_together_are_one_prediction_and_each_gets_its_own_answer() -> None:
    doubling = Doubling()
    answers = scored(Scheduler(1), *(job(doubling.model, value) for value in range(64)))
    assert answers == [[value * 2] for value in range(64)]
    assert doubling.calls == [64]


def test_a_lone_request_is_scored_alone_without_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.BaseEventLoop, "call_later", None)
    doubling = Doubling()
    assert scored(Scheduler(1), job(doubling.model, 4)) == [[8]]
    assert doubling.calls == [1]


async def one_a_round(scheduler: Scheduler, jobs: list[Job]) -> list[Any]:
    """Return the outcomes of jobs of which the loop brings another one in every round."""
    coming = []
    for each in jobs:
        coming.append(asyncio.ensure_future(scheduler.score(each)))
        await asyncio.sleep(0)
    return [as_list(outcome) for outcome in await asyncio.gather(*coming)]


def test_requests_that_are_just_coming_in_share_a_prediction_although_they_do_not_come_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serving.scheduler.ARRIVAL_SECONDS", 60.0)
    doubling = Doubling()
    jobs = [job(doubling.model, value) for value in range(20)]
    assert asyncio.run(one_a_round(Scheduler(1), jobs)) == [[value * 2] for value in range(20)]
    assert doubling.calls == [20]


def test_requests_that_never_end_do_not_put_off_a_prediction_beyond_the_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serving.scheduler.ARRIVAL_SECONDS", 0.0)
    monkeypatch.setattr("serving.scheduler.INLINE_SECONDS", 600.0)  # short, however busy the machine is
    doubling, scheduler = Doubling(), Scheduler(1)
    scheduler._last["f"] = (1, 0.0)
    jobs = [job(doubling.model, value) for value in range(20)]
    assert asyncio.run(one_a_round(scheduler, jobs)) == [[value * 2] for value in range(20)]
    assert max(doubling.calls) < 5
    assert sum(doubling.calls) == 20


def test_null_rows_stay_with_their_request_when_requests_share_a_prediction() -> None:
    doubling = Doubling()
    jobs = [job(doubling.model, *values) for values in ([1, None], [None], [], [2, 3])]
    assert scored(Scheduler(1), *jobs) == [[2, None], [None], [], [4, 6]]
    assert doubling.calls == [3]
    assert [each.null_rows for each in jobs] == [1, 1, 0, 0]


def test_a_bad_row_is_the_error_of_its_own_request_alone() -> None:
    doubling = Doubling()
    good, bad, forgiving = job(doubling.model, 1), job(doubling.model, -1), job(doubling.model, -2, 3, on_error="null")
    answers = scored(Scheduler(1), good, bad, forgiving)
    assert answers[0] == [2]
    assert isinstance(answers[1], BadRequest)
    assert "Row 0" in str(answers[1])
    assert answers[2] == [None, 6]


def test_requests_of_different_kinds_are_never_mixed() -> None:
    one, other = Doubling(), Doubling()
    answers = scored(Scheduler(1), job(one.model, 1), job(other.model, 2), job(one.model, 3))
    assert answers == [[2], [4], [6]]
    assert (one.calls, other.calls) == ([2], [1])


def test_large_requests_are_scored_one_by_one() -> None:
    doubling = Doubling()
    half = [1] * (MAX_BATCH_ROWS // 2 + 1)
    assert scored(Scheduler(1), *(job(doubling.model, *half) for _ in range(3))) == [[2] * len(half)] * 3
    assert doubling.calls == [len(half)] * 3


def test_long_predictions_leave_the_event_loop_free_and_share_what_came_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serving.scheduler.INLINE_SECONDS", 0.0)
    doubling, begun, go_on = Doubling(), threading.Event(), threading.Event()
    quick = doubling.model.predictor

    def slow(frame: Any, params: Any) -> Any:
        begun.set()
        assert go_on.wait(300)
        return quick(frame, params)

    doubling.model.predictor = slow

    async def run() -> list[Any]:
        scheduler = Scheduler(1)
        first = asyncio.ensure_future(scheduler.score(job(doubling.model, 1)))
        await asyncio.to_thread(begun.wait, 300)
        rest = [asyncio.ensure_future(scheduler.score(job(doubling.model, value))) for value in (2, 3, 4)]
        await asyncio.sleep(0)  # the loop runs: it is not in the prediction
        go_on.set()
        return [list(answer) for answer in await asyncio.gather(first, *rest)]

    assert asyncio.run(run()) == [[2], [4], [6], [8]]
    assert doubling.calls == [1, 3]
    assert threading.get_ident() not in doubling.threads


def test_short_predictions_are_made_on_the_event_loop_once_they_are_known_to_be_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    doubling, scheduler = Doubling(), Scheduler(1)

    async def run() -> None:
        for value in range(20):
            await scheduler.score(job(doubling.model, value))

    monkeypatch.setattr("serving.scheduler.INLINE_SECONDS", 600.0)  # short, however busy the machine is
    scheduler._last["f"] = (1, 0.0)
    asyncio.run(run())
    assert threading.get_ident() in doubling.threads


def test_a_request_whose_caller_has_gone_does_not_hold_up_the_others() -> None:
    doubling, scheduler = Doubling(), Scheduler(1)

    async def run() -> list[Any]:
        gone = asyncio.ensure_future(scheduler.score(job(doubling.model, 1)))
        stays = asyncio.ensure_future(scheduler.score(job(doubling.model, 2)))
        await asyncio.sleep(0)
        gone.cancel()
        return list(await stays)

    assert asyncio.run(run()) == [4]


@pytest.mark.parametrize("short", [0.0, 1.0])
def test_a_model_that_wants_to_end_the_process_fails_its_own_request_alone(
    short: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.scheduler.INLINE_SECONDS", short)
    doubling, scheduler = Doubling(), Scheduler(1)
    scheduler._last["f"] = (1, 0.5)
    quick = doubling.model.predictor

    def leaving(frame: Any, params: Any) -> Any:
        if (frame["a"] == 13).any():
            raise SystemExit(1)
        return quick(frame, params)

    doubling.model.predictor = leaving
    answers = scored(scheduler, *(job(doubling.model, value) for value in (1, 13, 2)))
    assert (answers[0], answers[2]) == ([2], [4])
    assert "called sys.exit()" in str(answers[1])
