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
APIS = (
    "artifactregistry", "bigquery", "bigqueryconnection", "cloudbuild", "cloudfunctions", "cloudresourcemanager",
    "cloudkms", "iam", "run", "secretmanager", "serviceusage", "storage", "vpcaccess",
)  # fmt: skip


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


@dataclass
class Cloud:
    """The state of one project. Each module beside this one serves one of its APIs."""

    url: str = ""
    storage_url: str = ""
    runtimes: dict[str, str] = field(  # the stage of each
        default_factory=lambda: dict.fromkeys(("python310", "python311", "python312", "python313", "nodejs22"), "GA")
    )
    services: set[str] = field(default_factory=lambda: {f"{name}.googleapis.com" for name in APIS})
    denied: set[str] = field(default_factory=set)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    functions: dict[str, dict[str, Any]] = field(default_factory=dict)
    connections: dict[str, dict[str, Any]] = field(default_factory=dict)
    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)
    routines: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)  # the state of each version, by secret
    requests: list[Recorded] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    stuck: bool = False  # operations never end
    delay: int = 0  # calls of the function that still fail after the invoker was granted

    KEPT: ClassVar = (
        "runtimes",
        "services",
        "denied",
        "accounts",
        "policies",
        "functions",
        "connections",
        "datasets",
        "routines",
        "secrets",
    )

    def snapshot(self) -> dict[str, Any]:
        return {name: copy.deepcopy(getattr(self, name)) for name in self.KEPT}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Return to a snapshot, with no recorded requests and no failures."""
        for name in self.KEPT:
            setattr(self, name, copy.deepcopy(snapshot[name]))
        self.requests, self.failures, self.stuck, self.delay = [], [], False, 0

    def fail(self, pattern: str, status: int, times: int | None = None) -> None:
        """Answer requests whose "METHOD /path" matches with an error."""
        self.failures.append(Failure(pattern, status, times))

    def record(self, request: Request, body: bytes) -> None:
        """Record a request, and raise the failure that a test asked for."""
        path = request.url.path
        self.requests.append(Recorded(request.method, path, _readable(body)))
        for failure in self.failures:
            if failure.times != 0 and re.search(failure.pattern, f"{request.method} {path}"):
                failure.times = None if failure.times is None else failure.times - 1
                raise ApiError(failure.status, f"Injected failure {failure.status}.")

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
