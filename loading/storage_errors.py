"""Turns the exceptions of Google's client into errors with a status, for loading/bucket.py."""

import contextlib
import http.client
from collections.abc import Iterator

from serving.errors import ModelBlocked, ModelUnreachable, describe_error


@contextlib.contextmanager
def storage_errors(uri: str) -> Iterator[None]:
    """Turn the exceptions of Google's client into ModelBlocked or ModelUnreachable."""
    from google.api_core import exceptions
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError

    try:
        yield
    except exceptions.NotFound as cause:
        raise ModelBlocked(f"There is nothing at {uri}: {cause.message}") from cause
    except (exceptions.Forbidden, exceptions.Unauthorized, DefaultCredentialsError) as cause:
        raise ModelBlocked(
            f"The model at {uri} may not be read by this function's service account, which needs "
            f"roles/storage.objectViewer on the bucket: {cause}"
        ) from cause
    except (exceptions.ServerError, exceptions.TooManyRequests, exceptions.RetryError) as cause:
        raise ModelUnreachable(f"The model at {uri} cannot be read right now: {cause}") from cause
    except exceptions.GoogleAPIError as cause:
        raise ModelBlocked(f"The model at {uri} cannot be read: {cause}") from cause
    # All of requests' exceptions are OSErrors.
    except (OSError, http.client.HTTPException, GoogleAuthError) as cause:
        raise ModelUnreachable(f"The model at {uri} cannot be read right now: {describe_error(cause)}") from cause
