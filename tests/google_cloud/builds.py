"""Cloud Build: what the buildpack does with requirements, and one build that failed, with its log in Cloud Logging."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from tests.google_cloud.cloud import ApiError

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


def installed(source: Path, runtime: str) -> Path:
    """Install the requirements as the buildpack does, with pip into an empty environment; return its Python.

    `pip check` fails the build, as in https://github.com/GoogleCloudPlatform/buildpacks. Only this Python is at hand.
    """
    here = f"python{sys.version_info.major}{sys.version_info.minor}"
    if runtime != here:
        raise ApiError(400, f"The stand-in has {here}, and the function wants {runtime}.")
    python = source / "environment" / "bin" / "python"
    for command in (
        [sys.executable, "-m", "venv", str(source / "environment")],
        [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(source / "requirements.txt")],
        [str(python), "-m", "pip", "check"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ApiError(400, f"Build failed with status: FAILURE. {done.stdout} {done.stderr}")
    return python
