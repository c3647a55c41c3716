"""What the workers of the server do otherwise than functions-framework lets them."""

import asyncio
from pathlib import Path
from typing import Any, cast

import functions_framework.aio
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.testclient import TestClient
from uvicorn.config import Config
from uvicorn.server import ServerState

from serving.one_write import OneWriteProtocol
from serving.server import post_directly

SOURCE = """
import functions_framework.aio
from starlette.responses import JSONResponse

@functions_framework.aio.http
async def predict(request):
    return JSONResponse({"path": request.scope["path"], "body": (await request.body()).decode()})
"""


async def predict(request: Request) -> Response:
    """Do what the function in SOURCE does."""
    return JSONResponse({"path": request.scope["path"], "body": (await request.body()).decode()})


def seen(client: TestClient, method: str, path: str) -> tuple[int, Any, bytes]:
    """Return what a caller sees of a reply."""
    reply = client.request(method, path, content=b"some bytes" if method == "POST" else None)
    return reply.status_code, dict(reply.headers), reply.content


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/predict", "/a/b/", "/robots.txt", "/favicon.ico", "/%C3%A9?x=1"])
def test_post_directly(tmp_path: Path, method: str, path: str) -> None:
    """A request that takes the shorter way, or doesn't, gets the reply that the framework would give."""
    (tmp_path / "main.py").write_text(SOURCE)
    app = functions_framework.aio.create_asgi_app("predict", str(tmp_path / "main.py"))
    direct = TestClient(post_directly(app, predict))
    assert seen(direct, method, path) == seen(TestClient(app), method, path)


def test_execution_id() -> None:
    """A request has the execution id of the platform, else one of its own."""

    async def execution_id(request: Request) -> Response:
        return Response(request.headers["function-execution-id"])

    async def framework(*_: Any) -> None:
        raise AssertionError

    client = TestClient(post_directly(framework, execution_id))
    assert client.post("/", headers={"Function-Execution-Id": "given"}).text == "given"
    own = {client.post("/").text for _ in range(3)}
    assert len(own) == 3
    assert all(len(each) == 12 for each in own)


class Sent(asyncio.Transport):
    """A transport that keeps what is written, one item per system call that a real one would make."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.calls.append(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.calls.append(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def sent(*requests: bytes) -> list[bytes]:
    """Return what is written in reply to bytes that arrive one after the other."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse(scope["path"])(scope, receive, send)

    config = Config(cast(Any, app), log_config=None)
    config.load()
    transport = Sent()
    protocol = OneWriteProtocol(config, ServerState(), {}, asyncio.get_running_loop())
    protocol.connection_made(transport)
    for request in requests:
        protocol.data_received(request)
        await asyncio.sleep(0.01)
    protocol.connection_lost(None)
    return transport.calls


def http(method: str, path: str, body: bytes = b"") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def test_head_and_body_in_one_write() -> None:
    """A reply to POST is written at once, one after the other on a connection that stays open."""
    calls = asyncio.run(sent(http("POST", "/a", b"1"), http("POST", "/b", b"2"), http("GET", "/c")))
    assert [call[:15] for call in calls[:2]] == [b"HTTP/1.1 200 OK"] * 2
    assert [call[-2:] for call in calls] == [b"/a", b"/b", b"\r\n", b"/c"]


@pytest.mark.parametrize("methods", ["POST POST", "HEAD POST", "POST HEAD", "GET POST HEAD POST", "POST GET POST"])
@pytest.mark.parametrize("at_once", [True, False])
def test_pipelined_requests(methods: str, at_once: bool) -> None:
    """Requests of any methods, sent without waiting, are all answered in their order."""
    requests = [http(method, f"/{at}", b"1" if method == "POST" else b"") for at, method in enumerate(methods.split())]
    written = b"".join(asyncio.run(sent(*([b"".join(requests)] if at_once else requests))))
    replies = written.split(b"HTTP/1.1 200 OK")[1:]
    bodies = [reply.partition(b"\r\n\r\n")[2].decode() for reply in replies]
    assert bodies == ["" if method == "HEAD" else f"/{at}" for at, method in enumerate(methods.split())]


def test_request_that_is_not_http() -> None:
    """Bytes that aren't HTTP get uvicorn's own answer."""
    (reply,) = asyncio.run(sent(b"?\r\n\r\n"))
    assert reply.startswith(b"HTTP/1.1 400 ")
