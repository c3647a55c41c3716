"""Secret Manager: secrets with the state of each version, and what a function gets of them."""

from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from tests.google_cloud.cloud import NUMBER, PROJECT, ApiError, Cloud

SECRET = "projects/{project}/secrets/{name}"
ACCESSOR = "roles/secretmanager.secretAccessor"


def routes(cloud: Cloud) -> list[Route]:
    async def version(request: Request) -> Any:
        name, number = request.path_params["name"], request.path_params["version"]
        versions = cloud.secrets.get(name, {})
        found = max(versions, default="") if number == "latest" else number
        if found not in versions:
            raise ApiError(404, f"Secret [projects/{NUMBER}/secrets/{name}] not found or has no versions.")
        return {"name": f"projects/{NUMBER}/secrets/{name}/versions/{found}", "state": versions[found]}

    async def policy(request: Request) -> Any:
        name = request.path_params["name"]
        cloud.found(cloud.secrets, name, "Secret")
        return cloud.policy(f"projects/{PROJECT}/secrets/{name}")

    return [
        Route(f"/v1/{SECRET}/versions/{{version}}", version),
        Route(f"/v1/{SECRET}:getIamPolicy", policy),
    ]


def variables(cloud: Cloud, config: dict[str, Any]) -> dict[str, str]:
    """Return the variables that a service gets from secrets; fail as a revision does whose account may not read one."""
    member = f"serviceAccount:{config['serviceAccountEmail']}"
    found = {}
    for it in config.get("secretEnvironmentVariables", []):
        if member not in cloud.members(f"projects/{PROJECT}/secrets/{it['secret']}", ACCESSOR):
            raise ApiError(400, f"Permission denied on secret: projects/{NUMBER}/secrets/{it['secret']} for {member}")
        found[it["key"]] = f"value of {it['secret']}"
    return found
