"""Requests that wait at the same time share a prediction, but no request waits for others or fails with them."""

import asyncio
import threading
from contextvars import ContextVar
from typing import Any

import pytest

from serving.deadline import Deadline
from serving.encoding import as_list
from serving.errors import BadRequest, OutOfTime
from serving.model import Model
from serving.options import Options
from serving.rows import Rows
from serving.scheduler import MAX_BATCH_ROWS, Scheduler
from serving.scoring import Job
from serving.threads import ModelThread
from tests.serving.doubling import Doubling, job, sql_function


def scored(scheduler: Scheduler, *jobs: Job) -> list[Any]:
    """Return the replies to each of these simultaneous jobs, or its exception."""

    async def run() -> list[Any]:
        return await asyncio.gather(*(scheduler.score(job) for job in jobs), return_exceptions=True)

    return [outcome if isinstance(outcome, Exception) else as_list(outcome) for outcome in asyncio.run(run())]


def test_simultaneous_requests() -> None:
    """Requests that arrive at once share a prediction, and each gets its own reply."""
    doubling = Doubling()
    answers = scored(Scheduler(1), *(job(doubling.model, value) for value in range(64)))
    assert answers == [[value * 2] for value in range(64)]
    assert doubling.calls == [64]


def test_single_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single request is scored alone, without waiting for others."""
    monkeypatch.setattr(asyncio.BaseEventLoop, "call_later", None)
    doubling = Doubling()
    assert scored(Scheduler(1), job(doubling.model, 4)) == [[8]]
    assert doubling.calls == [1]


async def one_per_round(scheduler: Scheduler, jobs: list[Job]) -> list[Any]:
    """Return the replies to jobs that arrive in successive rounds of the event loop."""
    tasks = []
    for each in jobs:
        tasks.append(asyncio.ensure_future(scheduler.score(each)))
        await asyncio.sleep(0)
    return [as_list(outcome) for outcome in await asyncio.gather(*tasks)]


def test_one_request_per_loop_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that arrive in successive rounds of the event loop share a prediction."""
    monkeypatch.setattr("serving.scheduler.ARRIVAL_SECONDS", 60.0)
    doubling = Doubling()
    jobs = [job(doubling.model, value) for value in range(20)]
    assert asyncio.run(one_per_round(Scheduler(1), jobs)) == [[value * 2] for value in range(20)]
    assert doubling.calls == [20]


def test_endless_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that keep arriving delay a prediction by ARRIVAL_SECONDS at most."""
    monkeypatch.setattr("serving.scheduler.ARRIVAL_SECONDS", 0.0)
    monkeypatch.setattr("serving.scheduler.INLINE_SECONDS", 600.0)  # short enough however busy the machine is
    doubling, scheduler = Doubling(), Scheduler(1)
    scored(scheduler, job(doubling.model, 0))  # in a thread: nobody knows yet that it's short
    jobs = [job(doubling.model, value) for value in range(20)]
    assert asyncio.run(one_per_round(scheduler, jobs)) == [[value * 2] for value in range(20)]
    assert max(doubling.calls) < 5
    assert sum(doubling.calls) == 1 + 20


def test_null_rows() -> None:
    """Each request gets its own NULL rows, even if it shares a prediction."""
    doubling = Doubling()
    jobs = [job(doubling.model, *values) for values in ([1, None], [None], [], [2, 3])]
    assert scored(Scheduler(1), *jobs) == [[2, None], [None], [], [4, 6]]
    assert doubling.calls == [3]
    assert [each.null_rows for each in jobs] == [1, 1, 0, 0]


def test_bad_row() -> None:
    """A bad row fails only its own request."""
    doubling = Doubling()
    good, bad = job(doubling.model, 1), job(doubling.model, -1)
    tolerant = job(doubling.model, -2, 3, options=Options(on_error="null"))
    answers = scored(Scheduler(1), good, bad, tolerant)
    assert answers[0] == [2]
    assert isinstance(answers[1], BadRequest)
    assert "Row 0" in str(answers[1])
    assert answers[2] == [None, 6]


def test_different_models() -> None:
    """Requests for different models never share a prediction."""
    one, other = Doubling(), Doubling()
    answers = scored(Scheduler(1), job(one.model, 1), job(other.model, 2), job(one.model, 3))
    assert answers == [[2], [4], [6]]
    assert (one.calls, other.calls) == ([2], [1])


def test_large_requests() -> None:
    """Requests that exceed MAX_BATCH_ROWS together are scored one by one."""
    doubling = Doubling()
    half = [1] * (MAX_BATCH_ROWS // 2 + 1)
    assert scored(Scheduler(1), *(job(doubling.model, *half) for _ in range(3))) == [[2] * len(half)] * 3
    assert doubling.calls == [len(half)] * 3


def test_long_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long prediction leaves the event loop free; requests that arrive in the meantime share the next."""
    monkeypatch.setattr("serving.scheduler.INLINE_SECONDS", 0.0)
    doubling, started, finish = Doubling(), threading.Event(), threading.Event()
    predict = doubling.model.predictor

    def slow(frame: Any, params: Any) -> Any:
        started.set()
        assert finish.wait(300)
        return predict(frame, params)

    doubling.model.predictor = slow

    async def run() -> list[Any]:
        scheduler = Scheduler(1)
        first = asyncio.ensure_future(scheduler.score(job(doubling.model, 1)))
        await asyncio.to_thread(started.wait, 300)
        rest = [asyncio.ensure_future(scheduler.score(job(doubling.model, value))) for value in (2, 3, 4)]
        await asyncio.sleep(0)  # the event loop runs although the prediction hasn't ended
        finish.set()
        return [list(answer) for answer in await asyncio.gather(first, *rest)]

    assert asyncio.run(run()) == [[2], [4], [6], [8]]
    assert doubling.calls == [1, 3]
    assert threading.get_ident() not in doubling.threads


def test_short_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prediction runs on the event loop if the last one was short."""
    monkeypatch.setattr("serving.scheduler.INLINE_SECONDS", 600.0)
    doubling, scheduler = Doubling(), Scheduler(1)

    async def run() -> None:
        for value in range(20):
            await scheduler.score(job(doubling.model, value))

    asyncio.run(run())
    assert threading.get_ident() in doubling.threads


def test_cancelled_request() -> None:
    """A cancelled request doesn't affect the others of its batch."""
    doubling, scheduler = Doubling(), Scheduler(1)

    async def run() -> list[Any]:
        cancelled = asyncio.ensure_future(scheduler.score(job(doubling.model, 1)))
        other = asyncio.ensure_future(scheduler.score(job(doubling.model, 2)))
        await asyncio.sleep(0)
        cancelled.cancel()
        return list(await other)

    assert asyncio.run(run()) == [4]


@pytest.mark.parametrize("inline_seconds", [0.0, 600.0], ids=["thread", "event loop"])
def test_model_that_exits(inline_seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that calls sys.exit() fails only the request that made it."""
    monkeypatch.setattr("serving.scheduler.INLINE_SECONDS", inline_seconds)
    doubling, scheduler = Doubling(), Scheduler(1)
    scored(scheduler, job(doubling.model, 0))
    predict = doubling.model.predictor

    def exit_at_13(frame: Any, params: Any) -> Any:
        if (frame["a"] == 13).any():
            raise SystemExit(1)
        return predict(frame, params)

    doubling.model.predictor = exit_at_13
    answers = scored(scheduler, *(job(doubling.model, value) for value in (1, 13, 2)))
    assert (answers[0], answers[2]) == ([2], [4])
    assert str(answers[1]) == "Row 0: the model could not score it: SystemExit: 1"


class Slow(Doubling):
    """A doubling model that waits for an event."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.finish = threading.Event(), threading.Event()

    def predict(self, frame: Any, params: Any) -> Any:
        self.began.set()
        assert self.finish.wait(300)
        return super().predict(frame, params)


@pytest.mark.parametrize(("together", "status"), [(1, 400), (2, 503)])
def test_request_out_of_time(together: int, status: int) -> None:
    """A prediction that takes too long is a 400 for a request scored alone, 503 for those merged or waiting."""
    slow, ended = Slow(), []

    async def run() -> list[Any]:
        scheduler = Scheduler(2, deadline=Deadline(1.0), end_process=lambda: ended.append(True))
        first = [asyncio.ensure_future(scheduler.score(job(slow.model, 1, 2, 3))) for _ in range(together)]
        await asyncio.to_thread(slow.began.wait, 300)
        outcomes = await asyncio.gather(*first, return_exceptions=True)
        assert not ended  # there is another thread
        slow.began.clear()
        second = asyncio.ensure_future(scheduler.score(job(slow.model, 4)))
        await asyncio.to_thread(slow.began.wait, 300)
        waiting = [scheduler.score(job(slow.model, 5)) for _ in range(3)]
        outcomes += (await asyncio.gather(second, *waiting, return_exceptions=True))[1:]
        with pytest.raises(OutOfTime):
            await scheduler.score(job(slow.model, 6))
        slow.finish.set()
        return outcomes

    outcomes = asyncio.run(run())
    assert [outcome.status for outcome in outcomes] == [status] * together + [503] * 3
    assert ("3 rows" in str(outcomes[0]), "--max-batching-rows" in str(outcomes[0])) == (True, status == 400)
    assert ended == [True]


def test_thread_is_free_again() -> None:
    """The thread of a prediction that took too long is used again once it has ended."""
    slow = Slow()

    async def run() -> Any:
        scheduler = Scheduler(2, deadline=Deadline(1.0))
        for _ in range(3):
            slow.finish.clear()
            with pytest.raises(BadRequest, match="--max-batching-rows"):
                await scheduler.score(job(slow.model, 1))
            slow.finish.set()
            while scheduler._running:
                await asyncio.sleep(0.01)
        return await scheduler.score(job(slow.model, 2))

    assert as_list(asyncio.run(run())) == [4]


@pytest.mark.parametrize("user_code", [False, True])
def test_user_code_never_inline(user_code: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """User code is scored in a thread however short its predictions are, one at a time."""
    monkeypatch.setattr("serving.scheduler.INLINE_SECONDS", 600.0)
    doubling, scheduler = Doubling(), Scheduler(4)
    doubling.model.user_code = user_code
    for value in range(20):
        assert scored(scheduler, job(doubling.model, value)) == [[value * 2]]
    assert (threading.get_ident() in doubling.threads) is not user_code


def test_context_of_load() -> None:
    """Context variables that a model set while it was loaded are there in every thread, and stay those of the model."""
    setting = ContextVar("setting", default=0)
    seen: list[int] = []

    def read(model: Model, rows: Rows, options: Options) -> Any:
        seen.append(setting.get())
        setting.set(seen[-1] + 1)
        return model.predict(rows)

    doubling, began, released = Doubling(), threading.Event(), threading.Event()
    model, function = doubling.model, sql_function(read)
    model.user_code, model.thread = True, ModelThread()
    model.thread.submit(setting.set, 17)

    async def run() -> None:
        scheduler = Scheduler(4, user_code_threads=2)
        await scheduler.score(job(model, 1, function=function))
        hanging = asyncio.ensure_future(scheduler.score(job(model, 2, function=sql_function(hang, "hang"))))
        await asyncio.to_thread(began.wait, 300)
        await scheduler.score(job(model, 3, function=function))
        released.set()
        await hanging

    def hang(model: Model, rows: Rows, options: Options) -> Any:
        began.set()
        released.wait(300)
        return model.predict(rows)

    asyncio.run(run())
    assert seen == [17, 18]
    assert len(doubling.threads) == 2
    assert setting.get() == 0


def test_long_text_never_inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is many times as large as those before may take as many times as long, so it runs in a thread."""
    monkeypatch.setattr("serving.scheduler.INLINE_SECONDS", 600.0)
    doubling, scheduler = Doubling(), Scheduler(1)
    large = job(doubling.model, 1)
    large.size = 10**12
    for each, inline in [(job(doubling.model, 1), False), (job(doubling.model, 1), True), (large, False)]:
        doubling.threads.clear()
        scored(scheduler, each)
        assert (threading.get_ident() in doubling.threads) is inline


def test_isolation_never_inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Finding bad rows takes many predictions, so it runs in a thread however short one is."""
    monkeypatch.setattr("serving.scheduler.INLINE_SECONDS", 600.0)
    doubling, scheduler = Doubling(), Scheduler(1)
    scored(scheduler, job(doubling.model, 0))
    bad = job(doubling.model, *[-1] * 100, options=Options(on_error="null"))
    loop_thread = []
    predict = doubling.model.predictor

    def count(frame: Any, params: Any) -> Any:
        loop_thread.append(threading.get_ident() == here)
        return predict(frame, params)

    here, doubling.model.predictor = threading.get_ident(), count
    assert scored(scheduler, bad) == [[None] * 100]
    assert loop_thread[0]
    assert not any(loop_thread[1:])
