"""What an error of Cloud Storage says depends on who reads the model: a person with a login, or a deployed function."""

import pytest
from google.api_core.exceptions import Forbidden, Unauthorized
from google.auth.exceptions import DefaultCredentialsError, RefreshError

from loading.storage_errors import storage_errors
from serving.errors import ModelBlocked, ModelUnreachable, ServingError

LOGIN = "gs://b/m cannot be read: you are not logged in to Google Cloud, or the login has expired"
ACCOUNT = "may not be read by this function's service account, which needs roles/storage.objectViewer"


@pytest.mark.parametrize(
    ("cause", "deployed", "error", "message"),
    [
        (DefaultCredentialsError("none found"), False, ModelBlocked, LOGIN),
        (RefreshError("reauthentication needed"), False, ModelBlocked, LOGIN),
        (Unauthorized("expired"), False, ModelBlocked, LOGIN),
        (Forbidden("denied"), False, ModelBlocked, "may not be read by your account, which needs"),
        (Unauthorized("expired"), True, ModelBlocked, ACCOUNT),
        (Forbidden("denied"), True, ModelBlocked, ACCOUNT),
        (RefreshError("metadata server is busy"), True, ModelUnreachable, "cannot be read right now"),
    ],
)
def test_who_reads(
    cause: Exception, deployed: bool, error: type[ServingError], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person is told to log in; a function's owner is told what its service account needs."""
    if deployed:
        monkeypatch.setenv("K_SERVICE", "predict")
    with pytest.raises(error, match=message), storage_errors("gs://b/m"):
        raise cause
