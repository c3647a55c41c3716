"""The body of a POST request: read within the limits of time and size, and decompressed.

A page of another site can send a form or plain text to any server without asking it first, so neither is accepted. Any
other content type is, and none: BigQuery declares JSON, but people test with whatever their client sends.
"""

import asyncio
import gzip
import io
import zlib
from collections.abc import Mapping

from starlette.requests import ClientDisconnect, Request

from serving.admission import REQUEST_LIMIT, Admitted
from serving.alarms import Alarms
from serving.errors import BadRequest, RequestTimeout, UnsupportedEncoding, short_repr

IDLE_SECONDS = 30.0  # without a byte of the body, until it is given up
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")


async def read(request: Request, headers: Mapping[bytes, bytes], admitted: Admitted, alarms: Alarms) -> bytes:
    """Return the body, counting its bytes as admitted.

    Raise BadRequest for a form or a body that is too large, UnsupportedEncoding for one compressed by anything but
    gzip, and RequestTimeout for one that stops arriving.
    """
    content_type = headers.get(b"content-type", b"").decode("latin-1")
    if content_type.partition(";")[0].strip().lower() in FORMS:
        raise BadRequest(f"The Content-Type is {short_repr(content_type)}; expected application/json.")
    compressed = b"content-encoding" in headers and _compressed(headers[b"content-encoding"].decode("latin-1"))
    body = await _receive(request, admitted, alarms)
    if compressed:
        body = await asyncio.to_thread(_decompress, body)
        admitted.grow(len(body))
    return body


async def _receive(request: Request, admitted: Admitted, alarms: Alarms) -> bytes:
    """Return the body as it arrives. It isn't read as request.stream(), which doesn't tell whether more is expected."""
    pieces: list[bytes] = []
    size, more = 0, True
    task = asyncio.current_task()
    assert task
    idle = alarms.set(IDLE_SECONDS, task.cancel)
    try:
        while more:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            more = message.get("more_body", False)
            if piece := message.get("body"):
                pieces.append(piece)
                size += len(piece)
                admitted.grow(size)
                if more:
                    idle.postpone()
    except asyncio.CancelledError:
        if not idle.has_rung:
            raise
        raise RequestTimeout(
            f"The request stopped after {size} bytes: no other byte of its body arrived for {IDLE_SECONDS:.0f} seconds."
        ) from None
    finally:
        alarms.clear(idle)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _compressed(encoding: str) -> bool:
    """Return whether a body is compressed, by its Content-Encoding."""
    steps = [step for each in encoding.lower().split(",") if (step := each.strip()) not in ("", "identity")]
    if steps and steps not in (["gzip"], ["x-gzip"]):
        raise UnsupportedEncoding(f"The Content-Encoding is {short_repr(encoding)}; expected gzip or none.")
    return bool(steps)


def _decompress(body: bytes) -> bytes:
    """Return at most one byte more than a request may have."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            return file.read(REQUEST_LIMIT + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadRequest(f"The body is not gzip, as its Content-Encoding says: {error}.") from None
