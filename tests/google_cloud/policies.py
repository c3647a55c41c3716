"""IAM policies of every resource that has one. Setting a policy replaces it, as in the real APIs."""

from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from tests.google_cloud.cloud import Cloud

RESOURCES = (
    ("/v1/", "projects/{project}/locations/{region}/services/{name}"),
    ("/v1/", "projects/{project}/locations/{region}/connections/{name}"),
    ("/v1/", "projects/{project}"),
    ("/v1/", "projects/{project}/serviceAccounts/{name}"),
    ("/v2/", "projects/{project}/locations/{region}/functions/{name}"),
    ("/bigquery/v2/", "projects/{project}/datasets/{dataset}/routines/{name}"),
)


def routes(cloud: Cloud) -> list[Route]:
    def serve(prefix: str, resource: str) -> list[Route]:
        async def get(request: Request) -> Any:
            return cloud.policy(resource.format(**request.path_params))

        async def put(request: Request) -> Any:
            return cloud.set_policy(resource.format(**request.path_params), (await request.json())["policy"])

        async def permissions(request: Request) -> Any:
            name = resource.format(**request.path_params)
            return {"permissions": [it for it in (await request.json())["permissions"] if cloud.has(it, name)]}

        return [
            Route(f"{prefix}{resource}:testIamPermissions", permissions, methods=["POST"]),
            Route(f"{prefix}{resource}:getIamPolicy", get, methods=["GET", "POST"]),
            Route(f"{prefix}{resource}:setIamPolicy", put, methods=["POST"]),
        ]

    async def bucket(request: Request) -> Any:
        resource = f"buckets/{request.path_params['bucket']}"
        return cloud.set_policy(resource, await request.json()) if request.method == "PUT" else cloud.policy(resource)

    async def bucket_permissions(request: Request) -> Any:
        name, asked = request.path_params["bucket"], request.query_params.getlist("permissions")
        return {"permissions": [it for it in asked if cloud.has(it, name)]}

    return [
        Route("/storage/v1/b/{bucket}/iam/testPermissions", bucket_permissions),
        *(route for prefix, resource in RESOURCES for route in serve(prefix, resource)),
        Route("/storage/v1/b/{bucket}/iam", bucket, methods=["GET", "PUT"]),
    ]
