"""Admission counts requests and bytes: declared ones at once, others as they arrive."""

from contextlib import ExitStack

import pytest

from serving.admission import MAX_BYTES, MAX_REQUESTS, REQUEST_LIMIT, Admission
from serving.errors import BadRequest, Overloaded

LARGEST = str(REQUEST_LIMIT).encode()


def test_received_bytes_count() -> None:
    """Requests without a Content-Length count with the bytes received, so many of them fit until they grow."""
    admission = Admission()
    with ExitStack() as stack:
        admitted = [stack.enter_context(admission.admitted(b"")) for _ in range(MAX_REQUESTS)]
        for each in admitted:
            each.grow(100)
        assert admission.bytes == 100 * MAX_REQUESTS
        with pytest.raises(Overloaded, match=f"{MAX_REQUESTS} requests"), admission.admitted(b""):
            pass
        while admission.bytes + REQUEST_LIMIT - 100 <= MAX_BYTES:
            admitted.pop().grow(REQUEST_LIMIT)
        with pytest.raises(Overloaded, match="retry later"):
            admitted.pop().grow(REQUEST_LIMIT)
        assert admission.bytes <= MAX_BYTES
    assert (admission.requests, admission.bytes) == (0, 0)


def test_declared_bytes_count_at_once() -> None:
    """A request counts with its Content-Length before a byte of it has arrived, and only once."""
    admission = Admission()
    with ExitStack() as stack:
        for _ in range(MAX_BYTES // REQUEST_LIMIT):
            stack.enter_context(admission.admitted(LARGEST)).grow(REQUEST_LIMIT // 2)
        assert admission.bytes == MAX_BYTES
        with pytest.raises(Overloaded), admission.admitted(b"1"):
            pass
        assert admission.requests == MAX_BYTES // REQUEST_LIMIT
    assert (admission.requests, admission.bytes) == (0, 0)


@pytest.mark.parametrize("declared", [str(REQUEST_LIMIT + 1).encode(), b"9" * 30])
def test_too_large(declared: bytes) -> None:
    """A request over the limit is a 400, declared or not."""
    admission = Admission()
    with pytest.raises(BadRequest, match="expected at most"), admission.admitted(declared):
        pass
    with pytest.raises(BadRequest, match="expected at most"), admission.admitted(b"") as admitted:
        admitted.grow(int(declared))
    assert (admission.requests, admission.bytes) == (0, 0)
