"""Sends the head of a reply together with its body: one system call and one packet instead of two of each.

uvicorn writes them one after the other, and uvloop sends each at once. The head alone wakes up the caller for nothing.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD = b"HTTP/1.1 200 "  # of a reply to POST, which has a body


class OneWriteProtocol(HttpToolsProtocol):
    """uvicorn's protocol, whose transport keeps the head of a reply until the body comes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, _JoiningTransport(transport, self)))


class _JoiningTransport:
    """A transport that writes the head of a reply to POST together with what is written next; else the one given."""

    def __init__(self, transport: asyncio.Transport, protocol: HttpToolsProtocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._head:
            self._transport.writelines((self._head, data))
            self._head = b""
        elif data.startswith(_HEAD) and self._protocol.scope["method"] == "POST":
            self._head = data
        else:
            self._transport.write(data)

    def close(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = b""
        self._transport.close()
