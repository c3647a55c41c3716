"""A model of an MLflow registry as what --model names: its files in a bucket, or a folder to publish."""

import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from deploy.options import BY_NAME, MODEL_URI, is_registered
from launch.errors import Blocked
from launch.registry import Registered, find, local_copy


def look_up(values: Mapping[str, str]) -> Registered | None:
    """Return what the registry says about --model, None for a model elsewhere; raise Blocked."""
    if not is_registered(values["model"]):
        return None
    found = find(values["model"])
    if found.in_bucket and not re.fullmatch(MODEL_URI, found.location, re.ASCII):
        raise Blocked([f"The files of {found.uri} are at {found.location!r}; expected gs://bucket/prefix."])
    if values["follow"]:
        _check_followed(found)
    elif not found.in_bucket and not values["publish"]:
        raise Blocked(
            [
                f"--publish is required, because the files of {found.uri} are at {found.location}, which is no bucket; "
                f"expected gs://bucket/prefix, such as {BY_NAME['publish'].example}."
            ]
        )
    return found


def fetched(found: Registered) -> Registered:
    """Return a model with its files in a bucket or in a folder of this machine; raise Blocked."""
    return found if found.in_bucket else replace(found, location=str(local_copy(found)))


def _check_followed(found: Registered) -> None:
    """Raise Blocked if the function can't follow an alias: it asks the registry and reads the bucket itself."""
    reason = ""
    if _is_local(found.registry):
        reason = f"the function cannot reach the registry at {found.registry!r}; expected http(s):// and another host"
    elif urlsplit(found.registry).username:
        reason = "MLFLOW_TRACKING_URI has a password, which everybody could read who sees the function; expected none"
    elif not found.in_bucket:
        reason = f"its files are at {found.location}; expected a registry that keeps them in gs://"
    if reason:
        raise Blocked([f"--follow cannot follow {found.uri}: {reason}."])


def _is_local(registry: str) -> bool:
    """Tell whether only this machine reaches a registry, as far as its address tells."""
    parts = urlsplit(registry)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or host in ("", "localhost", socket.gethostname().lower()):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified
