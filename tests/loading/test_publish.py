"""Publishing makes a prefix hold the model folder, whole, and touches nothing whose content is right already."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from gcp_storage_emulator.server import Server, create_server
from google.cloud import storage

from loading.publish import PublishError, check_bucket, publish


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Cloud Storage on a loopback port, in memory."""
    server = create_server("127.0.0.1", 0, in_memory=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def bucket(server: Server, monkeypatch: pytest.MonkeyPatch) -> storage.Bucket:
    """An empty bucket named `models`."""
    server.wipe()
    host, port = server._api._httpd.socket.getsockname()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{host}:{port}")
    return storage.Client().create_bucket("models")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what matters of a model: an MLmodel file and others, one of them nested."""
    for name, content in {"MLmodel": "flavors: {}", "model.skops": "new", "code/own.py": "pass"}.items():
        (tmp_path / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / name).write_text(content)
    return tmp_path / "model"


def contents(bucket: storage.Bucket) -> dict[str, bytes]:
    return {blob.name: blob.download_as_bytes() for blob in bucket.list_blobs()}


def generations(bucket: storage.Bucket) -> dict[str, int]:
    return {blob.name: blob.generation for blob in bucket.list_blobs()}


def test_prefix_holds_the_folder(bucket: storage.Bucket, folder: Path) -> None:
    """Every file of the folder becomes an object under the prefix, with its content and path."""
    publish(folder, "gs://models/a/housing/")
    assert contents(bucket) == {
        "a/housing/MLmodel": b"flavors: {}",
        "a/housing/code/own.py": b"pass",
        "a/housing/model.skops": b"new",
    }


def test_mlmodel_comes_last(bucket: storage.Bucket, folder: Path) -> None:
    """MLmodel, which makes a prefix a model, is uploaded after every other file."""
    publish(folder, "gs://models/housing")
    made = {blob.name: blob.time_created for blob in bucket.list_blobs()}
    marker = made.pop("housing/MLmodel")
    assert marker > max(made.values())


def test_same_content_writes_nothing(bucket: storage.Bucket, folder: Path) -> None:
    """Publishing the same folder again leaves every object at its generation."""
    publish(folder, "gs://models/housing")
    before = generations(bucket)
    publish(folder, "gs://models/housing")
    assert generations(bucket) == before


def test_new_model_replaces_the_old(bucket: storage.Bucket, folder: Path) -> None:
    """An older model's objects are replaced or deleted; those of a prefix that starts alike stay."""
    for name in ("housing/MLmodel", "housing/model.pkl", "housing/code/own.py", "housing2/MLmodel"):
        bucket.blob(name).upload_from_string("old")
    publish(folder, "gs://models/housing")
    assert contents(bucket) == {
        "housing/MLmodel": b"flavors: {}",
        "housing/code/own.py": b"pass",
        "housing/model.skops": b"new",
        "housing2/MLmodel": b"old",
    }


def test_broken_off_upload_is_completed(bucket: storage.Bucket, folder: Path) -> None:
    """A prefix without MLmodel that holds some of the model's files counts as an unfinished upload."""
    bucket.blob("housing/model.skops").upload_from_string("half")
    bucket.blob("housing/model.pkl").upload_from_string("old")
    publish(folder, "gs://models/housing")
    assert sorted(contents(bucket)) == ["housing/MLmodel", "housing/code/own.py", "housing/model.skops"]


@pytest.mark.parametrize("other", ["models/v1/MLmodel", "models/report.csv"])
def test_other_objects_are_protected(bucket: storage.Bucket, folder: Path, other: str) -> None:
    """A prefix that holds other models or files is rejected and stays as it is."""
    bucket.blob(other).upload_from_string("precious")
    with pytest.raises(PublishError, match=r"gs://models/models .*; publish .* prefix"):
        publish(folder, "gs://models/models")
    assert contents(bucket) == {other: b"precious"}


@pytest.mark.usefixtures("bucket")
def test_missing_bucket_is_named(folder: Path) -> None:
    """Publishing to a bucket that does not exist names the bucket."""
    with pytest.raises(PublishError, match="The bucket 'nowhere' of gs://nowhere/housing does not exist"):
        publish(folder, "gs://nowhere/housing")


@pytest.mark.usefixtures("bucket")
def test_check_finds_a_missing_bucket() -> None:
    """The check before a search passes for a bucket that exists, whatever the prefix, and fails for another."""
    check_bucket("gs://models/anything")
    with pytest.raises(PublishError, match="The bucket 'nowhere' of gs://nowhere/housing does not exist"):
        check_bucket("gs://nowhere/housing")


def test_unreachable_storage_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A storage server that does not answer gives one sentence with the system's reason and what to do."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setattr("loading.publish.RETRY_SECONDS", 0.1)
    with pytest.raises(PublishError) as failure:
        publish(folder, "gs://models/housing")
    sentence = f"{folder} could not be uploaded to gs://models/housing: Connection refused. Run the same command again."
    assert str(failure.value) == sentence


@pytest.mark.parametrize("uri", ["models/housing", "s3://models/housing", "gs://models", "gs://", "gs:///housing"])
def test_uri_needs_bucket_and_prefix(folder: Path, uri: str) -> None:
    """Anything but gs://BUCKET/PREFIX is rejected with the expected form."""
    with pytest.raises(PublishError, match="expected gs://BUCKET/PREFIX"):
        publish(folder, uri)


def test_folder_without_mlmodel_is_rejected(tmp_path: Path) -> None:
    """A folder that holds no MLmodel file is not a model."""
    with pytest.raises(PublishError, match="has no MLmodel file"):
        publish(tmp_path, "gs://models/housing")
