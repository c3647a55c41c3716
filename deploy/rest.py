"""Asks Google Cloud's APIs what gcloud and bq have no command for, with the token of gcloud's login.

A request takes a tenth of a second, and gcloud a second, so it also asks what only preflight wants to know.
"""

import os
import threading
from collections.abc import Sequence
from functools import cached_property
from typing import Any
from urllib.parse import quote

import httpx

from deploy.gcloud import Commands, Result
from serving.errors import describe_error

HTTP_SECONDS = 60.0
WITH_VERSION = {
    "storage": "storage/v1/",
    "bigquery": "bigquery/v2/",
}  # which gcloud's overrides of these APIs have, too


def endpoint(api: str) -> str:
    """Return the address of an API, which a variable of gcloud may override."""
    own = os.environ.get(f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}")
    return own or f"https://{api}.googleapis.com/{WITH_VERSION.get(api, '')}"


class Rest:
    """Requests of several threads with one token, which is fetched once."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._lock = threading.Lock()

    @cached_property
    def _fetched(self) -> Result:
        return self._commands.run(["gcloud", "auth", "print-access-token"])

    def request(self, method: str, api: str, path: str, **options: Any) -> Result:
        """Make one request; return what was answered, as a command's result."""
        with self._lock:
            token = self._fetched
        if not token.ok:
            return token
        try:
            response = httpx.request(
                method, f"{endpoint(api)}{path}", timeout=HTTP_SECONDS,
                headers={"Authorization": f"Bearer {token.out.strip()}"}, **options,
            )  # fmt: skip
        except httpx.HTTPError as error:
            return Result(1, "", describe_error(error))
        if response.is_success:
            return Result(0, response.text, "")
        return Result(1, "", f"HTTP {response.status_code}: {' '.join(response.text.split())}")

    def granted(self, api: str, resource: str, permissions: Sequence[str]) -> Result:
        """Ask which of the permissions the caller has on a resource."""
        return self.request(
            "POST", api, f"{quote(resource, safe='/@')}:testIamPermissions", json={"permissions": list(permissions)}
        )

    def granted_on_bucket(self, bucket: str, permissions: Sequence[str]) -> Result:
        """Ask which of the permissions the caller has on a bucket."""
        return self.request(
            "GET", "storage", f"b/{bucket}/iam/testPermissions", params={"permissions": list(permissions)}
        )


def names(result: Result) -> frozenset[str] | None:
    """Return the permissions that an answer lists; None for one that failed."""
    return frozenset(result.json().get("permissions", [])) if result.ok else None
