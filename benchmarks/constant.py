"""A server that answers every request at once with the same reply: `python -m benchmarks.constant PORT FILE`.

What the load generator reaches against it is the most that it can measure.
"""

import asyncio
import sys
from pathlib import Path

from benchmarks.load import content_length


class _Constant(asyncio.Protocol):
    """One connection, on which requests come one after the other."""

    reply = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._received = transport, bytearray()
        self._awaited = -1

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._awaited < 0 and (end := self._received.find(b"\r\n\r\n")) >= 0:
            self._awaited = end + 4 + (content_length(bytes(self._received[:end])) or 0)
        if 0 <= self._awaited <= len(self._received):
            self._received, self._awaited = bytearray(), -1
            self._transport.write(self.reply)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Constant, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    body = Path(sys.argv[2]).read_bytes()
    _Constant.reply = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    asyncio.run(_serve(int(sys.argv[1])))
