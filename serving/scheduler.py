"""When and where jobs are scored: requests that wait at the same time share a prediction.

BigQuery sends one row per request where a query short-circuits (IF, CASE, COALESCE), and a model takes nearly as long
for one row as for a hundred. There is no batching window: a request is never delayed to wait for others. A job is
scored as soon as there is capacity, together with all jobs of the same key that have arrived by then.

A short prediction of a known library runs on the event loop, since handing it to a thread takes as long again. All
others run in threads, so that the loop can accept requests meanwhile; code of the model's author always does, since
nobody knows how long it takes next time.

A request is answered shortly before the platform gives it up, and its prediction goes on: a thread can't be stopped.
Once all threads are held by such predictions, the process ends, and the server starts another one.
"""

import asyncio
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from serving.alarms import Alarms
from serving.deadline import Deadline
from serving.errors import OutOfTime, ServingError
from serving.model import Model
from serving.scoring import Job, Outcome, predict_together, score, score_together
from serving.telemetry import log_event
from serving.threads import ModelThread
from serving.types import Replies

MAX_BATCH_ROWS = 5_000  # rows that requests share a prediction for; beyond, few models take less time per row
INLINE_SECONDS = 0.005  # a prediction expected to be shorter runs on the event loop
ARRIVAL_SECONDS = 0.003  # longest wait while every round of the event loop brings another request
NO_DEADLINE = Deadline()


@dataclass(eq=False)
class _Waiting:
    job: Job
    replies: "asyncio.Future[Replies]"
    batch: "_Batch | None" = None  # being scored in a thread


@dataclass(eq=False)
class _Batch:
    """Requests that share a prediction, with the sum of their rows and bytes, and the thread if one is scoring them."""

    requests: list[_Waiting]
    rows: int
    size: int
    started: float = 0.0
    thread: ModelThread | None = None

    @property
    def first(self) -> Job:
        return self.requests[0].job

    @property
    def given_up(self) -> bool:
        """Whether all of its requests have been answered without it."""
        return all(waiting.replies.done() for waiting in self.requests)


class Scheduler:
    """Scores jobs, at most one per thread at a time. Use it from one event loop only.

    `threads` is how many predictions of a known library run at a time, `user_code_threads` how many of a model that
    runs code of its author. `end_process` ends this process after the replies have been written.
    """

    def __init__(
        self,
        threads: int,
        user_code_threads: int = 1,
        deadline: Deadline = NO_DEADLINE,
        end_process: Callable[[], None] = lambda: None,
    ) -> None:
        self._threads = threads
        self._user_code_threads = user_code_threads
        self.deadline = deadline
        self._end_process = end_process
        self._alarms = Alarms()
        self._ending = False
        self._waiting: list[_Waiting] = []
        self._running: list[_Batch] = []  # in threads
        self._idle_threads: list[ModelThread] = []
        self._scheduled = False
        self._last_model: Callable[[], Model | None] = lambda: None
        self._last: dict[str, tuple[int, int, float]] = {}  # by function: rows, bytes, seconds

    async def score(self, job: Job) -> Replies:
        """Return one reply per row, or raise what scoring the job raises."""
        if self._ending:
            raise _ending()
        if not len(job.valid_rows):
            return score(job)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(job, loop.create_future())
        self._waiting.append(waiting)
        self._schedule()
        left = self.deadline.left(job.timer)
        if left is None:
            return await waiting.replies
        alarm = self._alarms.set(left, partial(self._give_up, waiting))
        try:
            return await waiting.replies
        finally:
            self._alarms.clear(alarm)

    def _schedule(self) -> None:
        """Yield to the event loop until no more jobs arrive, so requests already received join the batch."""
        if not self._scheduled and self._waiting:
            self._scheduled = True
            self._yield(time.perf_counter() + ARRIVAL_SECONDS)

    def _yield(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._start, len(self._waiting), deadline)

    def _start(self, arrived: int, deadline: float) -> None:
        if len(self._waiting) > arrived and time.perf_counter() < deadline:
            self._yield(deadline)
            return
        self._scheduled = False
        if not self._waiting or len(self._running) >= self._limit(self._waiting[0].job.model):
            return  # the next free thread picks these jobs up
        batch = self._take_batch()
        if (self._is_short(batch) and self._score_inline(batch)) or self._score_in_thread(batch):
            self._schedule()

    def _limit(self, model: Model) -> int:
        return self._user_code_threads if model.user_code else self._threads

    def _take_batch(self) -> _Batch:
        """Remove and return the job that has waited longest, and those that can share its prediction."""
        first, *others = self._waiting
        batch, left = _Batch([first], len(first.job.rows), first.job.size), []
        for other in others:
            if batch.rows + len(other.job.rows) <= MAX_BATCH_ROWS and other.job.key == first.job.key:
                batch.requests.append(other)
                batch.rows += len(other.job.rows)
                batch.size += other.job.size
            else:
                left.append(other)
        self._waiting = left
        return batch

    def _is_short(self, batch: _Batch) -> bool:
        """Whether a prediction should be short.

        It takes at most as long as a larger one, and no longer per row, or per byte if rows are texts of any length.
        """
        model = batch.first.model
        if model.user_code or model is not self._last_model():
            return False
        rows, size, seconds = self._last.get(batch.first.function.name, (1, 1, INLINE_SECONDS))
        return seconds * max(1.0, batch.rows / rows, batch.size / size) < INLINE_SECONDS

    def _score_inline(self, batch: _Batch) -> bool:
        """Score a batch on the event loop; return whether the model scored it.

        If it raised, finding the bad rows takes many predictions: that's for a thread.
        """
        batch.started = time.perf_counter()
        try:
            replies = predict_together([waiting.job for waiting in batch.requests])
        except BaseException:
            return False
        self._deliver(batch, replies)
        return True

    def _score_in_thread(self, batch: _Batch) -> bool:
        """Begin to score a batch; return False if it has to wait, since the process can't start another thread."""
        batch.started = time.perf_counter()
        try:
            batch.thread = self._free_thread(batch.first.model)
        except RuntimeError as error:
            if self._running:
                self._waiting = batch.requests + self._waiting
                return False
            self._deliver(batch, [error] * len(batch.requests))
            return True
        self._running.append(batch)
        for waiting in batch.requests:
            waiting.batch = batch
        loop, jobs = asyncio.get_running_loop(), [waiting.job for waiting in batch.requests]
        loaded_in = batch.first.model.thread
        if loaded_in is None or loaded_in is batch.thread:
            scoring = loop.run_in_executor(batch.thread, score_together, jobs)
        else:  # context variables that the model set while it was loaded
            scoring = loop.run_in_executor(batch.thread, loaded_in.context.copy().run, score_together, jobs)
        scoring.add_done_callback(lambda done: self._finish(batch, done.result()))
        return True

    def _free_thread(self, model: Model) -> ModelThread:
        """Return the thread that loaded the model if it's free, else another one."""
        if model.thread and model.thread not in [batch.thread for batch in self._running]:
            return model.thread
        return self._idle_threads.pop() if self._idle_threads else ModelThread()

    def _finish(self, batch: _Batch, outcomes: Sequence[Outcome]) -> None:
        self._running.remove(batch)
        if batch.thread and batch.thread is not batch.first.model.thread:
            self._idle_threads.append(batch.thread)
        self._deliver(batch, outcomes)
        self._schedule()

    def _deliver(self, batch: _Batch, outcomes: Sequence[Outcome]) -> None:
        if batch.first.model is not self._last_model():
            self._last_model, self._last = weakref.ref(batch.first.model), {}
        seconds = time.perf_counter() - batch.started
        self._last[batch.first.function.name] = batch.rows or 1, batch.size or 1, seconds
        for waiting, outcome in zip(batch.requests, outcomes, strict=True):
            if waiting.replies.done():
                continue  # the request was cancelled, or given up
            if isinstance(outcome, Exception):
                waiting.replies.set_exception(outcome)
            else:
                waiting.replies.set_result(outcome)

    def _give_up(self, waiting: _Waiting) -> None:
        """Answer a request whose time is over; end the process if that was the last thread's."""
        if waiting.replies.done():
            return
        waiting.replies.set_exception(self._out_of_time(waiting))
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        limit = self._limit(waiting.job.model)
        if sum(batch.given_up for batch in self._running) >= limit:
            self._end(f"Ending this process: {limit} predictions, as many as may run at a time, do not end.")

    def _out_of_time(self, waiting: _Waiting) -> ServingError:
        rows, timer, batch = len(waiting.job.rows), waiting.job.timer, waiting.batch
        if batch is None:
            return self.deadline.waiting(rows, timer)
        return self.deadline.predicting(rows, time.perf_counter() - batch.started, alone=len(batch.requests) == 1)

    def _end(self, reason: str) -> None:
        """End the process after all requests have been answered."""
        if self._ending:
            return
        self._ending = True
        log_event("ERROR", reason)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.replies.done():
                each.replies.set_exception(_ending())
        self._end_process()


def _ending() -> OutOfTime:
    return OutOfTime("This instance restarts, because its predictions do not end. Retry later.")
