"""Cloud Run: the services that are not functions."""

from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from tests.google_cloud.cloud import ApiError, Cloud


def routes(cloud: Cloud) -> list[Route]:
    async def service(request: Request) -> Any:
        name = request.path_params["name"]
        if name not in cloud.foreign_services:
            raise ApiError(404, f"Resource '{name}' of kind 'SERVICE' does not exist")
        return {"name": name}

    return [Route("/v2/projects/{project}/locations/{region}/services/{name}", service)]
