"""The stand-in's state: resources, policies, recorded requests, and the failures that a test asked for."""

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from starlette.requests import Request

PROJECT = "my-project"
NUMBER = "123456789012"
BUILDER = f"{NUMBER}-compute@developer.gserviceaccount.com"
BUILDER_ROLE = "roles/cloudbuild.builds.builder"
# The project's policy: what an owner of a new organization has to grant before anything is built.
BUILDS = {"version": 1, "bindings": [{"role": BUILDER_ROLE, "members": [f"serviceAccount:{BUILDER}"]}]}
APIS = (
    "artifactregistry", "bigquery", "bigqueryconnection", "cloudbuild", "cloudfunctions", "cloudresourcemanager",
    "cloudkms", "iam", "run", "secretmanager", "serviceusage", "storage", "vpcaccess",
)  # fmt: skip


# The permission that a request requires, on the resource of the first group or on the project.
REQUIRED = {
    r"POST /v1/projects/[^/]+/serviceAccounts$": "iam.serviceAccounts.create",
    r"POST /v1/.*/connections$": "bigquery.connections.create",
    r"POST /bigquery/.*/datasets$": "bigquery.datasets.create",
    r"POST /bigquery/.*/jobs$": "bigquery.jobs.create",
    r"POST /v2/.*/functions$": "cloudfunctions.functions.create",
    r"PATCH /v2/(.*/functions/\w+)$": "cloudfunctions.functions.update",
    r"POST /v1/(.*/services/\w+):setIamPolicy": "run.services.setIamPolicy",
    r"GET /storage/v1/b/([^/]+)/iam$": "storage.buckets.getIamPolicy",
    r"PUT /storage/v1/b/([^/]+)/iam$": "storage.buckets.setIamPolicy",
    r"POST /(?:resumable/)?upload/storage/v1/b/([^/]+)/o": "storage.objects.create",
}


class ApiError(Exception):
    """An API's error response."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def body(self) -> dict[str, Any]:
        names = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
        names |= {409: "ALREADY_EXISTS", 412: "FAILED_PRECONDITION", 429: "RESOURCE_EXHAUSTED"}
        names |= {500: "INTERNAL", 503: "UNAVAILABLE"}
        reasons = {403: "accessDenied", 404: "notFound", 409: "duplicate", 429: "rateLimitExceeded"}
        reason = reasons.get(self.status, "backendError" if self.status >= 500 else "invalid")
        return {
            "error": {
                "code": self.status,
                "message": str(self),
                "status": names[self.status],
                "errors": [{"message": str(self), "reason": reason, "domain": "global"}],
            }
        }


@dataclass(frozen=True)
class Recorded:
    """One request as it arrived."""

    method: str
    path: str
    body: Any

    @property
    def writes(self) -> bool:
        """Whether it may change something; the tests know which uploads and queries do not."""
        reads = (":getIamPolicy", ":testIamPermissions")
        return self.method != "GET" and not self.path.endswith(reads)


@dataclass
class Failure:
    """Answers matching requests with a status: `times` times, or always if None."""

    pattern: str
    status: int
    times: int | None
    message: str


@dataclass
class Cloud:
    """The state of one project. Each module beside this one serves one of its APIs."""

    project: str = PROJECT
    url: str = ""
    storage_url: str = ""
    runtimes: dict[str, str] = field(  # the stage of each
        default_factory=lambda: dict.fromkeys(("python310", "python311", "python312", "python313", "nodejs22"), "GA")
    )
    services: set[str] = field(default_factory=lambda: {f"{name}.googleapis.com" for name in APIS})
    denied: set[str] = field(default_factory=set)  # permissions that the caller lacks on the project
    granted: dict[str, set[str]] = field(default_factory=dict)  # permissions that the caller has on one resource
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    functions: dict[str, dict[str, Any]] = field(default_factory=dict)
    connections: dict[str, dict[str, Any]] = field(default_factory=dict)
    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)
    routines: dict[str, dict[str, Any]] = field(default_factory=dict)
    foreign_services: set[str] = field(default_factory=set)  # services of Cloud Run that are no functions
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)  # the state of each version, by secret
    requests: list[Recorded] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    installs: bool = False  # a build installs the requirements with pip, and the function runs with them
    stuck: bool = False  # operations never end
    delay: int = 0  # calls of the function that still fail after the invoker was granted

    KEPT: ClassVar = (
        "runtimes",
        "services",
        "denied",
        "granted",
        "accounts",
        "policies",
        "functions",
        "connections",
        "datasets",
        "routines",
        "secrets",
        "foreign_services",
    )

    def __post_init__(self) -> None:
        self.policies[f"projects/{self.project}"] = copy.deepcopy(BUILDS)

    def snapshot(self) -> dict[str, Any]:
        return {name: copy.deepcopy(getattr(self, name)) for name in self.KEPT}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Return to a snapshot, with no recorded requests and no failures."""
        for name in self.KEPT:
            setattr(self, name, copy.deepcopy(snapshot[name]))
        self.requests, self.failures, self.stuck, self.delay = [], [], False, 0
        self.installs = False

    def fail(self, pattern: str, status: int, times: int | None = None, message: str = "") -> None:
        """Answer requests whose "METHOD /path" matches with an error."""
        self.failures.append(Failure(pattern, status, times, message or f"Injected failure {status}."))

    def record(self, request: Request, body: bytes) -> None:
        """Record a request, and raise the failure that a test asked for."""
        path = request.url.path
        self.requests.append(Recorded(request.method, path, _readable(body)))
        self.check(request.method, path)
        for failure in self.failures:
            if failure.times != 0 and re.search(failure.pattern, f"{request.method} {path}"):
                failure.times = None if failure.times is None else failure.times - 1
                raise ApiError(failure.status, failure.message)

    def has(self, permission: str, resource: str) -> bool:
        """Tell whether the caller has a permission on a resource, of itself or of the project."""
        return permission not in self.denied or permission in self.granted.get(resource, ())

    def check(self, method: str, path: str) -> None:
        """Raise 403 for a change that the caller has no permission for."""
        for pattern, permission in REQUIRED.items():
            if (match := re.search(pattern, f"{method} {path}")) and not self.has(
                permission, (match.groups() or ("",))[0]
            ):
                raise ApiError(403, f"Permission {permission!r} denied on resource {path!r}.")

    def policy(self, resource: str) -> dict[str, Any]:
        return self.policies.setdefault(resource, {"version": 1, "etag": "BwAAAAAAAAA=", "bindings": []})

    def set_policy(self, resource: str, policy: Mapping[str, Any]) -> dict[str, Any]:
        """Replace a policy, as the APIs do: members missing from the new one lose their roles."""
        self.policies[resource] = {"version": 1, "bindings": [], **policy, "etag": "BwAAAAAAAAA="}
        return self.policies[resource]

    def members(self, resource: str, role: str) -> set[str]:
        bindings = self.policy(resource)["bindings"]
        return {member for binding in bindings if binding["role"] == role for member in binding["members"]}

    def found(self, table: Mapping[str, Any], key: str, resource: str) -> Any:
        """Return a resource; raise 404 if it does not exist."""
        if key not in table:
            raise ApiError(404, f"Not found: {resource} {key}")
        return table[key]


def _readable(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return f"{len(body)} bytes"
