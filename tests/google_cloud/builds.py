"""Cloud Build: one build that failed, with its log in Cloud Logging."""

from typing import Any

from starlette.requests import Request
from starlette.routing import Route

FAILED = "8e0e0b5c-6f0c-4d7b-9a58-0f3b8a3d2f11"
LINES = [f"line {number}" for number in range(40)] + ["ERROR: found incompatible dependencies"]
WHEN = "2025-01-01T00:00:00Z"


def routes() -> list[Route]:
    """Return the two calls of `gcloud builds log`."""
    return [
        Route("/v1/projects/{project}/locations/{region}/builds/" + FAILED, _build),
        Route("/v2/entries:list", _entries, methods=["POST"]),
    ]


async def _build(request: Request) -> Any:
    return {
        "id": FAILED, "projectId": request.path_params["project"], "status": "FAILURE", "createTime": WHEN,
        "name": request.url.path.removeprefix("/v1/"), "options": {"logging": "CLOUD_LOGGING_ONLY"},
    }  # fmt: skip


async def _entries(request: Request) -> Any:
    return {"entries": [{"textPayload": line, "timestamp": WHEN, "insertId": line} for line in LINES]}
