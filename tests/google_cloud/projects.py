"""Service Usage, Resource Manager, the account that Cloud Build uses, and service accounts."""

from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from tests.google_cloud.cloud import BUILDER, NUMBER, ApiError, Cloud


def routes(cloud: Cloud) -> list[Route]:
    async def services(request: Request) -> Any:
        return {"services": [_service(name) for name in sorted(cloud.services)]}

    async def service(request: Request) -> Any:
        name = request.path_params["name"]
        return _service(name, "ENABLED" if name in cloud.services else "DISABLED")

    async def project(request: Request) -> Any:
        return {"projectId": request.path_params["project"], "projectNumber": NUMBER, "lifecycleState": "ACTIVE"}

    async def builder(request: Request) -> Any:
        return {"serviceAccountEmail": f"projects/{cloud.project}/serviceAccounts/{BUILDER}"}

    async def account(request: Request) -> Any:
        email = request.path_params["email"]
        found = cloud.found(cloud.accounts, email, "service account")
        if request.method == "DELETE":
            del cloud.accounts[email]
            return {}
        return found

    async def create_account(request: Request) -> Any:
        body, project = await request.json(), request.path_params["project"]
        domain, _, name = project.rpartition(":")  # example.com:my-project has its accounts at my-project.example.com
        email = f"{body['accountId']}@{'.'.join(filter(None, (name, domain)))}.iam.gserviceaccount.com"
        if email in cloud.accounts:
            raise ApiError(409, f"Service account {email} already exists.")
        cloud.accounts[email] = {
            **body["serviceAccount"], "email": email, "name": f"projects/{project}/serviceAccounts/{email}"
        }  # fmt: skip
        return cloud.accounts[email]

    return [
        Route("/v1/projects/{project}/services", services),
        Route("/v1/projects/{project}/services/{name}", service),
        Route("/v1/projects/{project}", project),
        Route("/v1/projects/{project}/locations/{region}/defaultServiceAccount", builder),
        Route("/v1/projects/{project}/serviceAccounts", create_account, methods=["POST"]),
        Route("/v1/projects/{project}/serviceAccounts/{email}", account, methods=["GET", "DELETE"]),
    ]


def _service(name: str, state: str = "ENABLED") -> dict[str, Any]:
    return {"name": f"projects/{NUMBER}/services/{name}", "config": {"name": name}, "state": state}
