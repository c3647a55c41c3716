"""Cloud Storage on this machine, used through Google's own client."""

import pytest

from launch.processes import ProcessError
from local.storage import Storage
from tests.launch.conftest import listens


@pytest.mark.filterwarnings("ignore:Please install grpcio-status:ImportWarning")
def test_objects() -> None:
    """Objects can be written, listed and read while the block lasts, and the server stops with it."""
    # Imported here because the import warns where grpcio is installed without grpcio-status.
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    with Storage() as emulator:
        emulator.create_bucket("models")
        emulator.create_bucket("models")
        client = storage.Client(
            project="local",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": emulator.environment["STORAGE_EMULATOR_HOST"]},
        )
        client.bucket("models").blob("a/b c").upload_from_string("content")
        assert [blob.name for blob in client.list_blobs("models")] == ["a/b c"]
        assert client.bucket("models").blob("a/b c").download_as_bytes() == b"content"
        client.close()
    assert not listens(emulator.port)


def test_invalid_bucket() -> None:
    """A bucket name that Cloud Storage rejects is an error."""
    with Storage() as emulator, pytest.raises(ProcessError, match=r"^Cannot create bucket '': 4"):
        emulator.create_bucket("")
