"""Turns the exceptions of Google's client into errors with a status, for loading/bucket.py."""

import contextlib
import http.client
import os
from collections.abc import Iterator

from serving.errors import ModelBlocked, ModelUnreachable, describe_error

READER = "roles/storage.objectViewer on the bucket"


@contextlib.contextmanager
def storage_errors(uri: str) -> Iterator[None]:
    """Turn the exceptions of Google's client into ModelBlocked or ModelUnreachable."""
    from google.api_core import exceptions
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError

    deployed = "K_SERVICE" in os.environ  # set by Cloud Run; elsewhere a person runs this, with a login
    try:
        yield
    except exceptions.NotFound as cause:
        raise ModelBlocked(f"There is nothing at {uri}: {cause.message}") from cause
    except (exceptions.Forbidden, exceptions.Unauthorized, DefaultCredentialsError, RefreshError) as cause:
        if not deployed and not isinstance(cause, exceptions.Forbidden):
            raise ModelBlocked(_login_needed(uri)) from cause
        if isinstance(cause, RefreshError):
            raise ModelUnreachable(f"The model at {uri} cannot be read right now: {cause}") from cause
        reader = "this function's service account" if deployed else "your account"
        raise ModelBlocked(f"The model at {uri} may not be read by {reader}, which needs {READER}: {cause}") from cause
    except (exceptions.ServerError, exceptions.TooManyRequests, exceptions.RetryError) as cause:
        raise ModelUnreachable(f"The model at {uri} cannot be read right now: {cause}") from cause
    except exceptions.GoogleAPIError as cause:
        raise ModelBlocked(f"The model at {uri} cannot be read: {cause}") from cause
    # All of requests' exceptions are OSErrors.
    except (OSError, http.client.HTTPException, GoogleAuthError) as cause:
        raise ModelUnreachable(f"The model at {uri} cannot be read right now: {describe_error(cause)}") from cause


def _login_needed(uri: str) -> str:
    return (
        f"{uri} cannot be read: you are not logged in to Google Cloud, or the login has expired. Run "
        "'gcloud auth application-default login'."
    )
