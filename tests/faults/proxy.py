"""An HTTP proxy in front of the Cloud Storage emulator that can spoil any response.

It also checks what the emulator doesn't: a generation in a request must be the object's current one.
"""

import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

import httpx

from tests.conftest import BUCKET

TIMEOUT = 600.0  # seconds; on a busy machine the emulator may take long


@dataclass(frozen=True)
class StorageRequest:
    """A request for an object's content, or for the listing, whose name is empty."""

    name: str
    range: str = ""


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet per response
    timeout = TIMEOUT  # ends the threads of clients that keep their connection open
    server: "Proxy"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        name = unquote(parts.path.rpartition("/o/")[2]) if "alt=media" in parts.query else ""
        fault = self.server.fault_for(StorageRequest(name, self.headers.get("Range", "")))
        fault(self, lambda: self.server.fetch(self.path, self.headers))

    def send(self, response: Response, *, content_length: int | None = None) -> None:
        """Send a response; `content_length` replaces the body's length in the header."""
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body) if content_length is None else content_length))
        self.end_headers()
        self.wfile.write(response.body)
        self.wfile.flush()

    def hang_up(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def log_message(self, *_: object) -> None:
        pass


Fault = Callable[[Handler, Callable[[], Response]], None]
Plan = Callable[[StorageRequest], Fault]


def no_fault(handler: Handler, fetch: Callable[[], Response]) -> None:
    """Pass the emulator's response on."""
    handler.send(fetch())


class Proxy(ThreadingHTTPServer):
    """Runs the proxy for the length of a `with` block.

    `plan` maps each request to its fault; without one there are none; `requests` are those received so far.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, upstream: str, plan: Plan | None = None, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.upstream = upstream
        self.plan = plan
        self.requests: list[StorageRequest] = []
        self._lock = threading.Lock()
        self._client = plain_client(upstream)

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._client.close()

    def fault_for(self, request: StorageRequest) -> Fault:
        with self._lock:
            self.requests.append(request)
            return self.plan(request) if self.plan else no_fault

    def fetch(self, path: str, headers: HTTPMessage) -> Response:
        """Return the emulator's response, or Cloud Storage's error for a generation that no longer exists."""
        forwarded = {"Host": self.url.removeprefix("http://"), "Accept-Encoding": "identity"}
        if byte_range := headers.get("Range"):
            forwarded["Range"] = byte_range
        parts = urlsplit(path)
        query = parse_qs(parts.query)
        for key, status in (("generation", 404), ("ifGenerationMatch", 412)):
            if key in query and "/o/" in parts.path:
                name = quote(unquote(parts.path.rpartition("/o/")[2]), safe="")
                current = self._client.get(f"/storage/v1/b/{BUCKET}/o/{name}")
                if current.status_code != 200 or current.json()["generation"] != query[key][0]:
                    return Response(status, {}, f"no such {key}".encode())
        response = self._client.get(path, headers=forwarded)
        kept = ("content-type", "x-goog-hash", "content-range")
        body = response.content
        if "alt" not in query:  # links in metadata must lead through the proxy too
            body = body.replace(self.upstream.encode(), self.url.encode())
        return Response(response.status_code, {k: v for k, v in response.headers.items() if k in kept}, body)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        # socketserver would shut the connection down in an orderly way first, and a reset would not be one.
        self.close_request(request)

    def handle_error(self, *_: object) -> None:
        pass  # clients that disconnect early are the point of these tests


def plain_client(url: str) -> httpx.Client:
    """Return a client for plain HTTP on loopback; loading certificates would take 30 ms each time."""
    return httpx.Client(base_url=url, trust_env=False, verify=False, timeout=TIMEOUT)


def publish(url: str, folder: Path | str, prefix: str) -> None:
    """Upload a model folder to the emulator as loading/publish.py does: MLmodel is deleted first and written last."""
    files = {f"{prefix}/{path.relative_to(folder)}": path for path in Path(folder).rglob("*") if path.is_file()}
    mlmodel = f"{prefix}/MLmodel"
    with plain_client(url) as client:
        listing = client.get(f"/storage/v1/b/{BUCKET}/o", params={"prefix": f"{prefix}/"}).json()
        existing = {item["name"] for item in listing.get("items", [])}
        for name in sorted(existing - set(files) | existing & {mlmodel}, key=lambda name: name != mlmodel):
            client.delete(f"/storage/v1/b/{BUCKET}/o/{quote(name, safe='')}")
        for name in sorted(files, key=lambda name: name == mlmodel):
            upload(client, name, files[name].read_bytes())


def upload(client: httpx.Client, name: str, content: bytes) -> None:
    query = {"uploadType": "media", "name": name}
    headers = {"Content-Type": "application/octet-stream"}
    client.post(f"/upload/storage/v1/b/{BUCKET}/o", params=query, content=content, headers=headers).raise_for_status()
