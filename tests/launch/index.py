"""A package index on a loopback port, with wheels of a few hundred bytes that a test makes."""

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from launch.processes import HOST

JSON = "application/vnd.pypi.simple.v1+json"


@dataclass
class Index:
    """An index, running for the length of a `with` block; `uploaded` is when, if the index says so at all."""

    uploaded: str = ""
    files: dict[str, bytes] = field(default_factory=dict)  # by name

    def add(self, name: str, version: str, requires: Sequence[str] = ()) -> None:
        """Add a wheel without content."""
        info = f"{name.replace('-', '_')}-{version}.dist-info"
        metadata = [
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}",
            *(f"Requires-Dist: {it}" for it in requires),
        ]
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as wheel:
            wheel.writestr(f"{info}/METADATA", "\n".join(metadata) + "\n")
            wheel.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            wheel.writestr(f"{info}/RECORD", "")
        self.files[f"{name.replace('-', '_')}-{version}-py3-none-any.whl"] = buffer.getvalue()

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer((HOST, 0), self._handler())
        self.url = f"http://{HOST}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _page(self, package: str) -> bytes | None:
        """Return the page of a package as the simple API's JSON; None for one that isn't there."""
        found = {name: data for name, data in self.files.items() if name.startswith(f"{package.replace('-', '_')}-")}
        listed: list[dict[str, Any]] = [
            {"filename": name, "url": f"/files/{name}", "hashes": {"sha256": hashlib.sha256(data).hexdigest()}}
            | ({"upload-time": self.uploaded} if self.uploaded else {})
            for name, data in found.items()
        ]
        page = {"meta": {"api-version": "1.1"}, "name": package, "files": listed}
        return json.dumps(page).encode() if found else None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._send()

            def do_GET(self) -> None:
                self.wfile.write(self._send())

            def _send(self) -> bytes:
                """Send the status and the headers; return the body."""
                folder, _, name = self.path.strip("/").rpartition("/")
                name = name.replace("%2B", "+")
                content = index.files.get(name) if folder == "files" else index._page(name)
                self.send_response(200 if content else 404)
                self.send_header("Content-Type", "application/octet-stream" if folder == "files" else JSON)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                return content or b""

            def log_message(self, *_: object) -> None:
                pass

        return Handler
