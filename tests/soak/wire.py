"""HTTP/1.1 over a plain connection, for callers that no HTTP library plays: slow ones, and those who leave half way."""

import asyncio
import contextlib

from local.processes import HOST

CHUNK = 2**16  # bytes
PATIENCE = 60.0  # seconds without an answer that are a hang

Reply = tuple[int, bytes]


def request(body: bytes, path: str = "/", *, method: str = "POST", headers: str = "") -> bytes:
    """Return a request as it goes over the wire."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


class Wire:
    """One caller's connection, opened anew when it is needed and was closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, text: bytes) -> Reply:
        """Send a request and return its reply."""
        await self.send(text)
        return await self.reply()

    async def ask_slowly(self, text: bytes, pieces: int = 10, pause: float = 0.05) -> Reply:
        """Send a request in pieces with a pause (seconds) before each; return its reply."""
        size = len(text) // pieces + 1
        for at in range(0, len(text), size):
            await asyncio.sleep(pause)
            await self.send(text[at : at + size])
        return await self.reply()

    async def ask_without_end(self, head: bytes, piece: bytes, most: int) -> Reply:
        """Send pieces until a reply comes, though at most so many bytes; return it and hang up."""
        await self.send(head)
        listening = asyncio.create_task(self.reply())
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < most and not listening.done():
                await self.send(piece)
                sent += len(piece)
        reply = await listening
        self.hang_up()
        return reply

    async def send(self, text: bytes) -> None:
        if self._streams is None:
            self._streams = await asyncio.open_connection(HOST, self._port)
        _, writer = self._streams
        writer.write(text)
        await writer.drain()

    async def read(self, size: int) -> bytes:
        """Return so many bytes of a reply."""
        assert self._streams
        return await self._streams[0].readexactly(size)

    async def reply(self) -> Reply:
        """Return status and body of the next reply."""
        assert self._streams
        reader, _ = self._streams
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        reply = int(head.split()[1]), await reader.readexactly(length)
        if "connection: close" in head:
            self.hang_up()
        return reply

    def hang_up(self) -> None:
        """Close the connection at once, whatever is under way."""
        if self._streams:
            self._streams[1].transport.abort()
            self._streams = None
