"""Cloud Storage that misbehaves: a proxy before the emulator, whose every answer a test can spoil.

It also minds what the emulator does not: a generation that is asked for must be the present one.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

import httpx

from tests.conftest import BUCKET


@dataclass(frozen=True)
class Asked:
    """One request for an object's bytes, or for the listing, whose name is empty."""

    name: str
    range: str = ""


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet per answer
    timeout = 30  # seconds; a client that stays away must not keep a thread
    server: "Proxy"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        name = unquote(parts.path.rpartition("/o/")[2]) if "alt=media" in parts.query else ""
        fault = self.server.take(Asked(name, self.headers.get("Range", "")))
        fault(self, lambda: self.server.fetch(self.path, self.headers))

    def send(self, answer: Answer, *, length: int | None = None) -> None:
        """Send an answer; `length` is what its header says, where that is not the truth."""
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body) if length is None else length))
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

    def hang_up(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def log_message(self, *_: object) -> None:
        pass


Fault = Callable[[Handler, Callable[[], Answer]], None]
Plan = Callable[[Asked], Fault]


class Proxy(ThreadingHTTPServer):
    """The proxy for the length of a `with` block.

    `plan` gives each request its fault; `asked` are the requests so far.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, upstream: str, plan: Plan | None = None, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.upstream = upstream
        self.plan: Plan = plan or (lambda _: fine)
        self.asked: list[Asked] = []
        self._lock = threading.Lock()
        self._client = httpx.Client(base_url=upstream, trust_env=False, timeout=30)

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._client.close()

    def take(self, asked: Asked) -> Fault:
        with self._lock:
            self.asked.append(asked)
            return self.plan(asked)

    def fetch(self, path: str, headers: object) -> Answer:
        """Return the emulator's answer, or that of Cloud Storage for a generation that is no longer there."""
        own = {"Host": self.url.removeprefix("http://"), "Accept-Encoding": "identity"}
        if asked_range := headers.get("Range"):  # type: ignore[attr-defined]
            own["Range"] = asked_range
        parts = urlsplit(path)
        wanted = parse_qs(parts.query)
        for key, status in (("generation", 404), ("ifGenerationMatch", 412)):
            if key in wanted and "/o/" in parts.path:
                name = quote(unquote(parts.path.rpartition("/o/")[2]), safe="")
                there = self._client.get(f"/storage/v1/b/{BUCKET}/o/{name}")
                if there.status_code != 200 or there.json()["generation"] != wanted[key][0]:
                    return Answer(status, {}, f"no such {key}".encode())
        response = self._client.get(path, headers=own)
        kept = ("content-type", "x-goog-hash", "content-range")
        # An object's own link leads to whom it was sent to.
        body = (
            response.content if "alt" in wanted else response.content.replace(self.upstream.encode(), self.url.encode())
        )
        return Answer(response.status_code, {k: v for k, v in response.headers.items() if k in kept}, body)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        # Without the polite end that socketserver sends first: a reset must be one.
        self.close_request(request)

    def handle_error(self, *_: object) -> None:
        pass  # clients that leave in the middle are what this is about


def fine(handler: Handler, answer: Callable[[], Answer]) -> None:
    handler.send(answer())


def status(code: int) -> Fault:
    def fault(handler: Handler, answer: Callable[[], Answer]) -> None:
        handler.send(Answer(code, {}, b"not now"))

    return fault


def hung_up(handler: Handler, answer: Callable[[], Answer]) -> None:
    handler.hang_up(reset=True)


def _half(handler: Handler, answer: Callable[[], Answer]) -> None:
    whole = answer()
    handler.send(Answer(whole.status, whole.headers, whole.body[: len(whole.body) // 2]), length=len(whole.body))


def reset_half_way(handler: Handler, answer: Callable[[], Answer]) -> None:
    _half(handler, answer)
    handler.hang_up(reset=True)


def cut_off(handler: Handler, answer: Callable[[], Answer]) -> None:
    _half(handler, answer)
    handler.hang_up(reset=False)


def shortened(handler: Handler, answer: Callable[[], Answer]) -> None:
    """Half of the body, whose length is given as that of the half."""
    whole = answer()
    handler.send(Answer(whole.status, whole.headers, whole.body[: len(whole.body) // 2]))


def corrupted(handler: Handler, answer: Callable[[], Answer]) -> None:
    whole = answer()
    middle = len(whole.body) // 2
    flipped = whole.body[:middle] + bytes(byte ^ 1 for byte in whole.body[middle : middle + 1])
    handler.send(Answer(whole.status, whole.headers, flipped + whole.body[middle + 1 :]))


def ignored_range(handler: Handler, answer: Callable[[], Answer]) -> None:
    """The whole object for a request of its rest."""
    del handler.headers["Range"]
    handler.send(answer())


def silent(handler: Handler, answer: Callable[[], Answer]) -> None:
    _until_it_leaves(handler)


def stalled_half_way(handler: Handler, answer: Callable[[], Answer]) -> None:
    _half(handler, answer)
    _until_it_leaves(handler)


def _until_it_leaves(handler: Handler) -> None:
    with contextlib.suppress(OSError):
        handler.connection.recv(1)
    handler.close_connection = True


def times(count: int, fault: Fault, name: str | None = None) -> Plan:
    """Give a fault to the first requests, of one object when it is named."""
    left = count

    def plan(asked: Asked) -> Fault:
        nonlocal left
        if not left or name not in (None, asked.name.rpartition("/")[2]):
            return fine
        left -= 1
        return fault

    return plan


def put(url: str, folder: Path | str, prefix: str) -> None:
    """Make the emulator hold this folder, in the order of loading/publish.py: MLmodel goes first and comes last."""
    files = {f"{prefix}/{path.relative_to(folder)}": path for path in Path(folder).rglob("*") if path.is_file()}
    mark = f"{prefix}/MLmodel"
    with httpx.Client(base_url=url, trust_env=False) as client:
        listing = client.get(f"/storage/v1/b/{BUCKET}/o", params={"prefix": f"{prefix}/"}).json()
        there = {item["name"] for item in listing.get("items", [])}
        for name in sorted(there - set(files) | there & {mark}, key=lambda name: name != mark):
            client.delete(f"/storage/v1/b/{BUCKET}/o/{quote(name, safe='')}")
        for name in sorted(files, key=lambda name: name == mark):
            put_object(client, name, files[name].read_bytes())


def put_object(client: httpx.Client, name: str, content: bytes) -> None:
    query = {"uploadType": "media", "name": name}
    headers = {"Content-Type": "application/octet-stream"}
    client.post(f"/upload/storage/v1/b/{BUCKET}/o", params=query, content=content, headers=headers).raise_for_status()
