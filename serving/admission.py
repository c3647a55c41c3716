"""How much work an instance admits at a time; anything beyond that is rejected at once, before it is read.

An unbounded queue answers everybody too late and exhausts the memory of the process. Admitted requests are always
answered; excess requests get 429 immediately, so BigQuery retries them. A request that doesn't declare its size counts
with what has arrived of it, so it can become excess while it is read.
"""

import contextlib
from collections.abc import Iterator

from serving.errors import BadRequest, Overloaded

REQUEST_LIMIT = 32 * 2**20  # bytes; Cloud Run accepts no larger request, and BigQuery's have 10 MB at most
MAX_REQUESTS = 512
MAX_BYTES = 8 * REQUEST_LIMIT  # of admitted requests; their rows, columns and replies take a few times that


class Admission:
    """Counts the admitted requests and their bytes. Use it from one event loop only."""

    def __init__(self) -> None:
        self.requests = 0
        self.bytes = 0

    @contextlib.contextmanager
    def admitted(self, content_length: bytes) -> Iterator["Admitted"]:
        """Admit a request for the length of the block.

        Raise BadRequest for a request that is too large, and Overloaded while the instance has too much work.
        """
        if self.requests >= MAX_REQUESTS:
            raise self.overloaded()
        self.requests += 1
        admitted = Admitted(self)
        try:
            admitted.grow(int(content_length) if content_length.isdigit() else 0)
            yield admitted
        finally:
            self.requests -= 1
            self.bytes -= admitted.size

    def overloaded(self) -> Overloaded:
        return Overloaded(
            f"This instance is busy with {self.requests} requests of {self.bytes} bytes in total: "
            "retry later, allow more instances, or lower the SQL function's max_batching_rows."
        )


class Admitted:
    """An admitted request: `size` is how many bytes it counts for."""

    def __init__(self, admission: Admission) -> None:
        self.size = 0
        self._admission = admission

    def grow(self, size: int) -> None:
        """Let the request count for at least `size` bytes; raise BadRequest or Overloaded when that is too much."""
        if size <= self.size:
            return
        if size > REQUEST_LIMIT:
            raise BadRequest(
                f"The request has {size} bytes or more; expected at most {REQUEST_LIMIT}: create the SQL function with "
                "a smaller max_batching_rows."
            )
        others = self._admission.bytes - self.size
        if others and others + size > MAX_BYTES:
            raise self._admission.overloaded()
        self._admission.bytes = others + size
        self.size = size
