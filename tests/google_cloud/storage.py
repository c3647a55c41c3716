"""Cloud Storage: objects in the emulator. A function's account may read only what the bucket's policy allows.

The emulator knows no preconditions, so `ifGenerationMatch` is checked here.
"""

import re
import threading
from contextlib import nullcontext
from typing import Any
from urllib.parse import quote

import httpx
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.google_cloud.cloud import ApiError, Cloud

READER = "roles/storage.objectViewer"
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def routes(cloud: Cloud) -> list[Route]:
    changing = threading.Lock()

    async def forward(request: Request, path: str) -> Any:
        body = await request.body()
        headers = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
        if "content-type" in headers:  # the emulator cannot read gcloud's quotes around the boundary
            headers["content-type"] = headers["content-type"].replace("'", '"')
        query = f"?{request.url.query}" if request.url.query else ""

        def send() -> httpx.Response:
            with changing if request.method != "GET" else nullcontext():
                _check_generation(cloud, request, path, body)
                return httpx.request(
                    request.method, f"{cloud.storage_url}{path}{query}", content=body, headers=headers, trust_env=False
                )

        answer = await run_in_threadpool(send)
        kept = {
            name: value.replace(cloud.storage_url, cloud.url)
            for name, value in answer.headers.items()
            if name not in ("content-length", "content-encoding", "transfer-encoding")
        }
        return Response(answer.content, answer.status_code, headers=kept)

    async def direct(request: Request) -> Any:
        return await forward(request, _raw_path(request))

    async def as_account(request: Request) -> Any:
        account = request.path_params["account"]
        path = _raw_path(request).removeprefix(f"/as/{account}")
        bucket = path.partition("/b/")[2].partition("/")[0]
        if f"serviceAccount:{account}" not in cloud.members(f"buckets/{bucket}", READER):
            raise ApiError(403, f"{account} does not have storage.objects.list access to the bucket {bucket}.")
        return await forward(request, path)

    return [
        Route("/as/{account}/{path:path}", as_account, methods=METHODS),
        Route("/storage/v1/{path:path}", direct, methods=METHODS),
        Route("/upload/storage/v1/{path:path}", direct, methods=METHODS),
        Route("/download/storage/v1/{path:path}", direct, methods=METHODS),
    ]


def _check_generation(cloud: Cloud, request: Request, path: str, body: bytes) -> None:
    """Raise 412 if an object isn't of the generation that a request names; 0 stands for no object."""
    wanted = request.query_params.get("ifGenerationMatch")
    if wanted is None:
        return
    if path.startswith(("/upload/", "/resumable/")):
        named = re.search(rb'"name": "([^"]+)"', body)
        name = request.query_params.get("name") or (named[1].decode() if named else "")
        path = f"{path.partition('/upload')[2]}/{quote(name, safe='')}"
    found = httpx.get(f"{cloud.storage_url}{path}", trust_env=False)
    if wanted != (found.json()["generation"] if found.is_success else "0"):
        raise ApiError(412, "At least one of the pre-conditions you specified did not hold.")


def _raw_path(request: Request) -> str:
    """Return the path as it was sent, because object names contain encoded slashes."""
    return bytes(request.scope["raw_path"]).decode()
