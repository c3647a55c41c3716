"""A remote function for tests: it records every request and answers what it is told."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Endpoint:
    """A remote function over real HTTP: it keeps every request and answers what it is told."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], tuple[int, str]] = self.counting
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet per reply: two would wait for each other

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.requests.append(body)
                status, text = endpoint.answer(body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @staticmethod
    def counting(body: dict[str, Any]) -> tuple[int, str]:
        """Reply the number of arguments."""
        return 200, json.dumps({"replies": [len(call) for call in body["calls"]]})

    @staticmethod
    def echoing(body: dict[str, Any]) -> tuple[int, str]:
        """Reply the first argument."""
        return 200, json.dumps({"replies": [call[0] for call in body["calls"]]})

    @property
    def calls(self) -> list[list[Any]]:
        """Every call of every request, in order of arrival."""
        return [call for request in self.requests for call in request["calls"]]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
