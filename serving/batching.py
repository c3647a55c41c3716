"""Where and when jobs are scored: requests that wait at the same time share a prediction.

BigQuery sends one row a request where a query short-circuits (IF, CASE, COALESCE), and a model takes nearly as long
for one row as for a hundred. The rule: nobody waits for company that has not come. A job is scored as soon as there is
room, together with all of its kind that came meanwhile or are just coming in; a lone one at once.

A short prediction is made on the event loop, since handing it to a thread takes as long again; a long one in a thread,
so that the loop can accept what comes meanwhile.
"""

import asyncio
import time
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from serving.replies import Replies
from serving.scoring import Job, Outcome, score_together

TOGETHER = 5_000  # rows of requests scored together; beyond, hardly any model takes less time per row
SHORT = 0.005  # seconds of a prediction on the event loop
WINDOW = 0.003  # seconds in which jobs gather while one after the other comes


@dataclass
class _Waiting:
    job: Job
    kind: Hashable
    replies: "asyncio.Future[Replies]"


class Scorer:
    """Scores jobs, as many at a time as it has threads. To be used from one event loop."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads)
        self._free = threads
        self._waiting: list[_Waiting] = []
        self._due = False
        self._last: dict[str, tuple[int, float]] = {}  # by function: rows and seconds of its last prediction

    async def score(self, job: Job, kind: Hashable) -> Replies:
        """Return one reply per row, or raise what scoring the job raises.

        Jobs of the same kind have the same model, function and options.
        """
        waiting = _Waiting(job, kind, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._soon()
        return await waiting.replies

    def _soon(self) -> None:
        """Score once the loop has gone round and brought no other job: what lies ready in the sockets comes along."""
        if not self._due and self._waiting:
            self._due = True
            self._go_round(time.perf_counter() + WINDOW)

    def _go_round(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._next, len(self._waiting), until)

    def _next(self, known: int, until: float) -> None:
        if len(self._waiting) > known and time.perf_counter() < until:
            self._go_round(until)
            return
        self._due = False
        if not self._free:
            return  # whoever becomes free goes on
        batch = self._taken()
        jobs = [waiting.job for waiting in batch]
        started = time.perf_counter()
        if self._is_short(jobs):
            self._deliver(batch, score_together(jobs), started)
        else:
            self._free -= 1
            asyncio.get_running_loop().run_in_executor(self._threads, score_together, jobs).add_done_callback(
                lambda scored: self._from_thread(batch, scored.result(), started)
            )
        self._soon()

    def _taken(self) -> list[_Waiting]:
        """Take the job that waits longest, and those that go with it."""
        first, *others = self._waiting
        batch, left, rows = [first], [], len(first.job.rows)
        for other in others:
            if other.kind == first.kind and rows + len(other.job.rows) <= TOGETHER:
                batch.append(other)
                rows += len(other.job.rows)
            else:
                left.append(other)
        self._waiting = left
        return batch

    def _is_short(self, jobs: Sequence[Job]) -> bool:
        """Whether a prediction is expected to be: it takes at most as long as a larger one, and no longer per row."""
        rows, seconds = self._last.get(jobs[0].function.name, (1, SHORT))
        return seconds * max(1.0, sum(len(job.rows) for job in jobs) / rows) < SHORT

    def _from_thread(self, batch: Sequence[_Waiting], outcomes: Sequence[Outcome], started: float) -> None:
        self._free += 1
        self._deliver(batch, outcomes, started)
        self._soon()

    def _deliver(self, batch: Sequence[_Waiting], outcomes: Sequence[Outcome], started: float) -> None:
        rows = max(1, sum(len(waiting.job.rows) for waiting in batch))
        self._last[batch[0].job.function.name] = rows, time.perf_counter() - started
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if waiting.replies.done():
                continue  # whoever asked has been cancelled
            if isinstance(outcome, Exception):
                waiting.replies.set_exception(outcome)
            else:
                waiting.replies.set_result(outcome)
