"""The faults that the storage proxy can inject, and plans that say which requests get them."""

import contextlib
from collections.abc import Callable

from tests.faults.proxy import Fault, Handler, Plan, Response, StorageRequest, no_fault


def status(code: int) -> Fault:
    """Answer with this status instead."""

    def fault(handler: Handler, fetch: Callable[[], Response]) -> None:
        handler.send(Response(code, {}, b"not now"))

    return fault


def reset(handler: Handler, fetch: Callable[[], Response]) -> None:
    """Reset the connection without a response."""
    handler.hang_up(reset=True)


def reset_midway(handler: Handler, fetch: Callable[[], Response]) -> None:
    """Reset the connection after half of the body."""
    _send_half(handler, fetch)
    handler.hang_up(reset=True)


def close_midway(handler: Handler, fetch: Callable[[], Response]) -> None:
    """Close the connection after half of the body."""
    _send_half(handler, fetch)
    handler.hang_up(reset=False)


def truncate(handler: Handler, fetch: Callable[[], Response]) -> None:
    """Send half of the body with a Content-Length to match."""
    whole = fetch()
    handler.send(Response(whole.status, whole.headers, whole.body[: len(whole.body) // 2]))


def corrupt(handler: Handler, fetch: Callable[[], Response]) -> None:
    """Flip one bit in the middle of the body."""
    whole = fetch()
    middle = len(whole.body) // 2
    flipped = whole.body[:middle] + bytes(byte ^ 1 for byte in whole.body[middle : middle + 1])
    handler.send(Response(whole.status, whole.headers, flipped + whole.body[middle + 1 :]))


def ignore_range(handler: Handler, fetch: Callable[[], Response]) -> None:
    """Send the whole object when a range of it was requested."""
    del handler.headers["Range"]
    handler.send(fetch())


def no_reply(handler: Handler, fetch: Callable[[], Response]) -> None:
    """Send nothing until the client gives up."""
    _wait_for_client_to_leave(handler)


def stall_midway(handler: Handler, fetch: Callable[[], Response]) -> None:
    """Send half of the body, then nothing until the client gives up."""
    _send_half(handler, fetch)
    _wait_for_client_to_leave(handler)


def _send_half(handler: Handler, fetch: Callable[[], Response]) -> None:
    whole = fetch()
    handler.send(
        Response(whole.status, whole.headers, whole.body[: len(whole.body) // 2]), content_length=len(whole.body)
    )


def _wait_for_client_to_leave(handler: Handler) -> None:
    with contextlib.suppress(OSError):
        handler.connection.recv(1)
    handler.close_connection = True


def first(count: int, fault: Fault, name: str | None = None) -> Plan:
    """Inject a fault into the first `count` requests: of any kind, or for the file `name` (the listing's is empty)."""
    remaining = count

    def plan(request: StorageRequest) -> Fault:
        nonlocal remaining
        if not remaining or name not in (None, request.name.rpartition("/")[2]):
            return no_fault
        remaining -= 1
        return fault

    return plan


def always(fault: Fault, name: str | None = None) -> Plan:
    """Inject a fault into every request, or every request for the file `name`."""
    return first(10**9, fault, name)


def in_turn(*sequence: Fault) -> Plan:
    """Inject these faults into the requests for model.pkl, one after the other."""
    remaining = list(sequence)

    def plan(request: StorageRequest) -> Fault:
        return remaining.pop(0) if remaining and request.name.endswith("/model.pkl") else no_fault

    return plan
