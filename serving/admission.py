"""How much an instance takes on at a time: what is over that is refused at once, before it is read.

A queue without a bound answers everybody too late and ends in the memory of the process. The rule: what has been taken
on is answered; a caller who is refused hears it while he still waits, and BigQuery asks again later (429).
"""

import contextlib
from collections.abc import Iterator

from serving.errors import BadRequest, Overloaded

REQUEST_LIMIT = 32 * 2**20  # bytes; Cloud Run passes no larger request on, BigQuery's have 10 MB at most
MOST_REQUESTS = 512
MOST_BYTES = 8 * REQUEST_LIMIT  # of the requests in hand; rows, columns and replies take a few times that


class Admission:
    """Counts the requests in hand and their bytes. To be used from one event loop."""

    def __init__(self) -> None:
        self._requests = 0
        self._bytes = 0

    @contextlib.contextmanager
    def admitted(self, declared: str | None) -> Iterator[None]:
        """Take a request on for the length of the block.

        `declared` is its Content-Length; one that declares none may be as large as any. Raise BadRequest for one that
        is too large, and Overloaded while too much is in hand.
        """
        size = int(declared) if declared and declared.isdecimal() else REQUEST_LIMIT
        check_size(size)
        if self._requests >= MOST_REQUESTS or (self._requests and self._bytes + size > MOST_BYTES):
            raise Overloaded(
                f"This instance has {self._requests} requests with {self._bytes} bytes in hand and takes no more: "
                "ask again, allow more instances, or give the SQL function fewer rows a request."
            )
        self._requests += 1
        self._bytes += size
        try:
            yield
        finally:
            self._requests -= 1
            self._bytes -= size


def check_size(size: int) -> None:
    """Raise BadRequest for a request of more bytes than one may have."""
    if size > REQUEST_LIMIT:
        raise BadRequest(
            f"The request has {size} bytes or more; expected {REQUEST_LIMIT} at most: create the SQL function with a "
            "smaller max_batching_rows."
        )
