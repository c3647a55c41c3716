"""The stand-in as a server: every API on one loopback port for the length of a `with` block."""

import re
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from launch.processes import HOST, free_port
from local.storage import Storage
from tests.google_cloud import builds, policies, projects, secrets, services, storage
from tests.google_cloud.bigquery import Queries
from tests.google_cloud.cloud import PROJECT, ApiError, Cloud
from tests.google_cloud.functions import Functions

GCLOUD_APIS = (
    "BIGQUERY", "BIGQUERYCONNECTION", "CLOUDBUILD", "CLOUDFUNCTIONS", "CLOUDRESOURCEMANAGER", "IAM", "LOGGING", "RUN", "SECRETMANAGER", "SERVICEUSAGE", "STORAGE",
)  # fmt: skip


class GoogleCloud:
    """Google Cloud with one project. `cloud` is its state; `environment` points gcloud, bq and client libraries at it."""

    def __init__(self, folder: Path, project: str = PROJECT) -> None:
        port = free_port()
        self.cloud = Cloud(project, f"http://{HOST}:{port}")
        self.functions = Functions(self.cloud, folder)
        self.queries = Queries(self.cloud)
        self._storage = Storage()
        routes = [
            *self.functions.routes(), *self.queries.routes(), *projects.routes(self.cloud), *builds.routes(),
            *policies.routes(self.cloud), *secrets.routes(self.cloud), *services.routes(self.cloud), *storage.routes(self.cloud),
        ]  # fmt: skip
        routes.sort(key=lambda route: not re.search(r":[a-zA-Z]+$", route.path))  # {name} also matches name:verb
        app = Starlette(routes=[Route(it.path, self._answering(it.endpoint), methods=it.methods) for it in routes])
        self._server = uvicorn.Server(uvicorn.Config(app, HOST, port, log_level="error", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        (folder / "bigqueryrc").write_text(f"--api={self.cloud.url}\n")
        self.environment = {
            "BIGQUERYRC": str(folder / "bigqueryrc"),
            "CLOUDSDK_AUTH_ACCESS_TOKEN": "token",
            "CLOUDSDK_CONFIG": str(folder / "gcloud"),
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "STORAGE_EMULATOR_HOST": self.cloud.url,
            **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}": f"{self.cloud.url}/" for name in GCLOUD_APIS},
        }
        self.environment["CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE"] += "storage/v1/"
        self.environment["CLOUDSDK_API_ENDPOINT_OVERRIDES_BIGQUERY"] += "bigquery/v2/"

    def __enter__(self) -> Self:
        self._storage.__enter__()
        self.cloud.storage_url = self._storage.url
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self.functions.close()
        self.queries.close()
        self._storage.__exit__(None, None, None)

    def create_bucket(self, name: str) -> None:
        self._storage.create_bucket(name)

    def _answering(self, endpoint: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                self.cloud.record(request, await request.body())
                answered = await endpoint(request)
            except ApiError as error:
                return JSONResponse(error.body, error.status)
            return answered if isinstance(answered, Response) else JSONResponse(answered)

        return answer
