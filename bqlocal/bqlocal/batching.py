"""Deals rows out to requests as BigQuery does: batches of varying size, several requests at a time.

Values come back in the order of the rows, whatever happens to the requests. BigQuery publishes neither how many rows it
sends without `max_batching_rows` nor how many requests it sends at a time; the numbers below are ours. With a seed, the
caller causes chaos: it does at random everything that BigQuery reserves the right to do, which must not change results.
"""

import itertools
import random
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from bqlocal.remote import Job, RemoteFunction, Sender

DEFAULT_BATCH_ROWS = 2_000  # at most, for functions without max_batching_rows
CONCURRENCY, CHAOS_CONCURRENCY = 4, 16  # requests at a time
SHUFFLED_BATCHES = 8  # batches that chaos sends out of order
DUPLICATED = DISCARDED = 0.2  # shares of the batches that chaos sends twice, or whose first reply it discards


@dataclass(frozen=True)
class Batch:
    """The rows of one request, and what chaos does to it."""

    columns: Sequence[pa.Array]
    rows: int
    copies: int = 1  # requests sent at the same time, any of which may answer
    discarded: int = 0  # complete replies thrown away before the one that counts


class Caller:
    """Calls remote functions for whole columns, from any thread."""

    def __init__(self, retry_delay: float, chaos: int | None) -> None:
        self._chaos = chaos is not None
        self._random = random.Random(chaos or 0)
        self._sender = Sender(retry_delay)
        concurrency = CHAOS_CONCURRENCY if self._chaos else CONCURRENCY
        self._max_pending = 2 * concurrency
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="remote")

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._sender.close()

    def call(
        self,
        function: RemoteFunction,
        chunks: Iterable[tuple[Sequence[pa.Array], int]],
        job: Job,
        *,
        one_row: bool = False,
    ) -> Iterator[pa.Array]:
        """Yield the function's values for chunks of (argument columns, number of rows), in order.

        `one_row` sends one row per request, as BigQuery does where an expression may skip rows.
        """
        batches = self._batches(chunks, 1 if one_row else function.max_batching_rows or DEFAULT_BATCH_ROWS)
        pending: deque[list[Future[pa.Array]]] = deque()
        try:
            while group := list(itertools.islice(batches, SHUFFLED_BATCHES if self._chaos else 1)):
                pending.extend(self._submit(function, group, job))
                while len(pending) > self._max_pending:
                    yield self._value(pending.popleft())
            while pending:
                yield self._value(pending.popleft())
        finally:
            if pending:  # a request failed, which makes the others pointless
                job.cancelled.set()
                for futures in pending:
                    for future in futures:
                        future.cancel()

    def _batches(self, chunks: Iterable[tuple[Sequence[pa.Array], int]], max_rows: int) -> Iterator[Batch]:
        min_rows = 1 if self._chaos else (max_rows + 1) // 2
        for columns, rows in chunks:
            start = 0
            while start < rows:
                size = min(self._random.randint(min_rows, max_rows), rows - start)
                part = [column.slice(start, size) for column in columns]
                yield Batch(part, size, 1 + self._chance(DUPLICATED), self._chance(DISCARDED))
                start += size

    def _chance(self, share: float) -> int:
        return int(self._chaos and self._random.random() < share)

    def _submit(self, function: RemoteFunction, group: list[Batch], job: Job) -> list[list[Future[pa.Array]]]:
        futures: list[list[Future[pa.Array]]] = [[] for _ in group]
        requests = [(index, batch) for index, batch in enumerate(group) for _ in range(batch.copies)]
        if self._chaos:
            self._random.shuffle(requests)
        for index, batch in requests:
            futures[index].append(self._threads.submit(self._send, function, batch, job))
        return futures

    def _send(self, function: RemoteFunction, batch: Batch, job: Job) -> pa.Array:
        for _ in range(batch.discarded):
            self._sender.send(function, batch.columns, batch.rows, job)
            job.count(function, retries=1)
        return self._sender.send(function, batch.columns, batch.rows, job)

    def _value(self, copies: list[Future[pa.Array]]) -> pa.Array:
        values = [copy.result() for copy in copies]
        return self._random.choice(values) if self._chaos else values[0]
