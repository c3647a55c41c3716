"""How much work an instance admits at a time; anything beyond that is rejected at once, before it is read.

An unbounded queue answers everybody too late and exhausts the memory of the process. Admitted requests are always
answered; excess requests get 429 immediately, so BigQuery retries them.
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
        self._requests = 0
        self._bytes = 0

    @contextlib.contextmanager
    def admitted(self, content_length: str | None) -> Iterator[None]:
        """Admit a request for the length of the block.

        One without a Content-Length counts as the largest possible. Raise BadRequest for a request that is too large,
        and Overloaded while the instance has too much work.
        """
        size = int(content_length) if content_length and content_length.isdecimal() else REQUEST_LIMIT
        check_size(size)
        if self._requests >= MAX_REQUESTS or (self._requests and self._bytes + size > MAX_BYTES):
            raise Overloaded(
                f"This instance is busy with {self._requests} requests of {self._bytes} bytes in total: "
                "retry later, allow more instances, or lower the SQL function's max_batching_rows."
            )
        self._requests += 1
        self._bytes += size
        try:
            yield
        finally:
            self._requests -= 1
            self._bytes -= size


def check_size(size: int) -> None:
    """Raise BadRequest for a request of more bytes than REQUEST_LIMIT."""
    if size > REQUEST_LIMIT:
        raise BadRequest(
            f"The request has {size} bytes or more; expected at most {REQUEST_LIMIT}: create the SQL function with a "
            "smaller max_batching_rows."
        )
