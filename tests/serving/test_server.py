"""What the workers of the server do otherwise than functions-framework lets them."""

from pathlib import Path
from typing import Any

import functions_framework.aio
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.testclient import TestClient

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
