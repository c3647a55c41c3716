"""How BigQuery deals rows out to requests: in batches of varying size, several requests at a time.

The rule: values come back in the order of the rows, whatever happened to the requests. BigQuery publishes
neither how many rows it sends without `max_batching_rows` nor how many requests run beside each other; the
figures here are ours. A caller with a seed is adverse: it does, at random, everything that BigQuery reserves
the right to do, and the result must not change.
"""

import itertools
import random
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from bqlocal.remote import Job, RemoteFunction, Sender

MOST_ROWS = 2_000  # of a request when the function leaves it to BigQuery
PARALLEL, ADVERSE_PARALLEL = 4, 16  # requests at a time
READ_AHEAD = 8  # batches that an adverse caller brings out of order
SENT_TWICE = THROWN_AWAY = 0.2  # shares of an adverse caller's requests


@dataclass(frozen=True)
class Batch:
    """The rows of one request, and what an adverse caller does to it."""

    columns: Sequence[pa.Array]
    rows: int
    copies: int = 1  # requests beside each other, of which any answer counts
    thrown_away: int = 0  # complete replies before the one that counts


class Caller:
    """Calls remote functions for whole columns, from any thread."""

    def __init__(self, retry_delay: float, adverse: int | None) -> None:
        self._adverse = adverse is not None
        self._random = random.Random(adverse or 0)
        self._sender = Sender(retry_delay)
        parallel = ADVERSE_PARALLEL if self._adverse else PARALLEL
        self._in_flight = 2 * parallel
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="remote")

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
        """Yield the function's values for chunks of argument columns; `one_row` is BigQuery without batching."""
        batches = self._batches(chunks, 1 if one_row else function.max_batching_rows or MOST_ROWS)
        pending: deque[list[Future[pa.Array]]] = deque()
        try:
            while group := list(itertools.islice(batches, READ_AHEAD if self._adverse else 1)):
                pending.extend(self._submit(function, group, job))
                while len(pending) > self._in_flight:
                    yield self._any(pending.popleft())
            while pending:
                yield self._any(pending.popleft())
        finally:
            if pending:  # a request failed: the others no longer count
                job.over.set()
                for futures in pending:
                    for future in futures:
                        future.cancel()

    def _batches(self, chunks: Iterable[tuple[Sequence[pa.Array], int]], most: int) -> Iterator[Batch]:
        for columns, rows in chunks:
            start = 0
            while start < rows:
                fewest = 1 if self._adverse else (most + 1) // 2
                size = min(self._random.randint(fewest, most), rows - start)
                part = [column.slice(start, size) for column in columns]
                yield Batch(part, size, 1 + self._chance(SENT_TWICE), self._chance(THROWN_AWAY))
                start += size

    def _chance(self, share: float) -> int:
        return int(self._adverse and self._random.random() < share)

    def _submit(self, function: RemoteFunction, group: list[Batch], job: Job) -> list[list[Future[pa.Array]]]:
        futures: list[list[Future[pa.Array]]] = [[] for _ in group]
        requests = [(at, batch) for at, batch in enumerate(group) for _ in range(batch.copies)]
        if self._adverse:
            self._random.shuffle(requests)
        for at, batch in requests:
            futures[at].append(self._threads.submit(self._send, function, batch, job))
        return futures

    def _send(self, function: RemoteFunction, batch: Batch, job: Job) -> pa.Array:
        for _ in range(batch.thrown_away):
            self._sender.send(function, batch.columns, batch.rows, job)
            job.count(function, retries=1)
        return self._sender.send(function, batch.columns, batch.rows, job)

    def _any(self, copies: list[Future[pa.Array]]) -> pa.Array:
        values = [copy.result() for copy in copies]
        return self._random.choice(values) if self._adverse else values[0]
