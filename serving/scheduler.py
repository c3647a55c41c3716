"""When and where jobs are scored: requests that wait at the same time share a prediction.

BigQuery sends one row per request where a query short-circuits (IF, CASE, COALESCE), and a model takes nearly as long
for one row as for a hundred. There is no batching window: a request is never delayed to wait for others. A job is
scored as soon as there is capacity, together with all jobs of the same key that have arrived by then.

A short prediction runs on the event loop, since handing it to a thread takes as long again; a long one runs in a
thread, so that the loop can accept requests meanwhile.
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from serving.scoring import Job, Outcome, score_together
from serving.types import Replies

MAX_BATCH_ROWS = 5_000  # rows that requests share a prediction for; beyond, few models take less time per row
INLINE_SECONDS = 0.005  # a prediction expected to be shorter runs on the event loop
ARRIVAL_SECONDS = 0.003  # longest wait while every round of the event loop brings another request


@dataclass
class _Waiting:
    job: Job
    replies: "asyncio.Future[Replies]"


class Scheduler:
    """Scores jobs, at most one per thread at a time. Use it from one event loop only."""

    def __init__(self, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads)
        self._free_threads = threads
        self._waiting: list[_Waiting] = []
        self._scheduled = False
        self._last: dict[str, tuple[int, float]] = {}  # by function: rows and seconds of its last prediction

    async def score(self, job: Job) -> Replies:
        """Return one reply per row, or raise what scoring the job raises."""
        waiting = _Waiting(job, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._schedule()
        return await waiting.replies

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
        if not self._free_threads:
            return  # the next free thread picks these jobs up
        batch = self._take_batch()
        jobs = [waiting.job for waiting in batch]
        started = time.perf_counter()
        if self._is_short(jobs):
            self._deliver(batch, score_together(jobs), started)
        else:
            self._free_threads -= 1
            future = asyncio.get_running_loop().run_in_executor(self._executor, score_together, jobs)
            future.add_done_callback(lambda done: self._finish(batch, done.result(), started))
        self._schedule()

    def _take_batch(self) -> list[_Waiting]:
        """Remove and return the job that has waited longest, and those that can share its prediction."""
        first, *others = self._waiting
        batch, left, rows, key = [first], [], len(first.job.rows), first.job.key
        for other in others:
            if rows + len(other.job.rows) <= MAX_BATCH_ROWS and other.job.key == key:
                batch.append(other)
                rows += len(other.job.rows)
            else:
                left.append(other)
        self._waiting = left
        return batch

    def _is_short(self, jobs: Sequence[Job]) -> bool:
        """Whether a prediction should be short: it takes at most as long as a larger one, and no longer per row."""
        rows, seconds = self._last.get(jobs[0].function.name, (1, INLINE_SECONDS))
        return seconds * max(1.0, sum(len(job.rows) for job in jobs) / rows) < INLINE_SECONDS

    def _finish(self, batch: Sequence[_Waiting], outcomes: Sequence[Outcome], started: float) -> None:
        self._free_threads += 1
        self._deliver(batch, outcomes, started)
        self._schedule()

    def _deliver(self, batch: Sequence[_Waiting], outcomes: Sequence[Outcome], started: float) -> None:
        rows = max(1, sum(len(waiting.job.rows) for waiting in batch))
        self._last[batch[0].job.function.name] = rows, time.perf_counter() - started
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if waiting.replies.done():
                continue  # the request was cancelled
            if isinstance(outcome, Exception):
                waiting.replies.set_exception(outcome)
            else:
                waiting.replies.set_result(outcome)
