"""HTTP/1.1 over a bare socket, for callers that HTTP libraries can't imitate: slow ones, and ones that disconnect."""

import asyncio
import contextlib
import socket

from launch.processes import HOST

CHUNK = 2**16  # bytes
PATIENCE = 600.0  # seconds without a reply before the function counts as hung, even on a busy machine

Reply = tuple[int, bytes]  # status and body


def request(body: bytes, path: str = "/", *, method: str = "POST", headers: str = "") -> bytes:
    """Return the bytes of a request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


class Connection:
    """A caller's connection; it opens when needed, and again after it was closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._unread = b""

    async def ask(self, text: bytes) -> Reply:
        """Send a request and return its reply."""
        await self.send(text)
        return await self.reply()

    async def ask_slowly(self, text: bytes, pieces: int = 10, pause: float = 0.05) -> Reply:
        """Send a request in pieces, with a pause (seconds) before each; return the reply."""
        size = len(text) // pieces + 1
        for at in range(0, len(text), size):
            await asyncio.sleep(pause)
            await self.send(text[at : at + size])
        return await self.reply()

    async def ask_until_answered(self, head: bytes, piece: bytes, limit: int) -> Reply:
        """Repeat a piece until the reply arrives or `limit` bytes are sent; return the reply and hang up."""
        await self.send(head)
        listening = asyncio.create_task(self.reply())
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < limit and not listening.done():
                await self.send(piece)
                sent += len(piece)
        reply = await listening
        self.hang_up()
        return reply

    async def send(self, text: bytes) -> None:
        loop = asyncio.get_running_loop()
        if self._socket is None:
            self._socket, self._unread = socket.socket(), b""
            self._socket.setblocking(False)
            await loop.sock_connect(self._socket, (HOST, self._port))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_sendall(self._socket, text)

    async def reply(self) -> Reply:
        """Read the next reply."""
        while b"\r\n\r\n" not in self._unread:
            await self.read(len(self._unread) + 1)
        head = self._unread.partition(b"\r\n\r\n")[0].decode("latin-1").lower()
        start = len(head) + 4
        end = start + int(head.partition("content-length:")[2].partition("\r\n")[0])
        await self.read(end)
        reply = int(head.split()[1]), self._unread[start:end]
        self._unread = self._unread[end:]
        if "connection: close" in head:
            self.hang_up()
        return reply

    async def read(self, size: int) -> None:
        """Wait until this many bytes are received and unread."""
        assert self._socket
        pieces, missing = [self._unread], size - len(self._unread)
        while missing > 0:
            # asyncio's streams drop received data when a send fails, and a rejection may arrive during a send.
            piece = await asyncio.get_running_loop().sock_recv(self._socket, 4 * CHUNK)
            if not piece:
                raise EOFError("the function closed the connection")
            pieces.append(piece)
            missing -= len(piece)
        self._unread = b"".join(pieces)

    def hang_up(self) -> None:
        """Close the connection at once."""
        if self._socket:
            self._socket.close()
            self._socket = None
