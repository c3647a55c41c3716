"""A real HTTP server that answers what a test tells it to."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import pytest


class Recorder:
    """An HTTP server for the length of a `with` block; it keeps every body and replies with `answer(body)`."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.answer: Callable[[bytes], tuple[int, bytes]] = lambda body: (200, body)
        self.closed: Callable[[], None] = lambda: None  # is called when a client has closed its connection
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                recorder.bodies.append(body)
                status, reply = recorder.answer(body)
                self.send_response(status)
                if status != 299:
                    self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def finish(self) -> None:
                super().finish()
                recorder.closed()

            def log_message(self, *_: object) -> None:
                """Keep the test's output clean."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Keep the test's output clean when an answer raises."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """A running recorder."""
    with Recorder() as recorder:
        yield recorder
