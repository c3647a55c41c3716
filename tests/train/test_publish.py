"""A model in the bucket is the folder, whole; what is already there stays untouched."""

from pathlib import Path

import pytest
from google.cloud import storage

from model_loader import folder_digest
from train.errors import TrainError
from train.publish import check, publish


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


def test_the_prefix_holds_the_folder_and_the_digest_is_the_folders(bucket: storage.Bucket, folder: Path) -> None:
    assert publish(folder, "gs://models/a/housing/") == folder_digest(folder)
    assert contents(bucket) == {
        "a/housing/MLmodel": b"flavors: {}",
        "a/housing/code/own.py": b"pass",
        "a/housing/model.skops": b"new",
    }


def test_mlmodel_comes_last(bucket: storage.Bucket, folder: Path) -> None:
    publish(folder, "gs://models/housing")
    made = {blob.name: blob.time_created for blob in bucket.list_blobs()}
    mark = made.pop("housing/MLmodel")
    assert mark > max(made.values())


def test_publishing_the_same_content_again_changes_nothing(bucket: storage.Bucket, folder: Path) -> None:
    publish(folder, "gs://models/housing")
    before = generations(bucket)
    publish(folder, "gs://models/housing")
    assert generations(bucket) == before


def test_a_new_model_replaces_the_older_one_and_its_neighbours_stay(bucket: storage.Bucket, folder: Path) -> None:
    for name in ("housing/MLmodel", "housing/model.pkl", "housing/code/own.py", "housing2/MLmodel"):
        bucket.blob(name).upload_from_string("old")
    publish(folder, "gs://models/housing")
    assert contents(bucket) == {
        "housing/MLmodel": b"flavors: {}",
        "housing/code/own.py": b"pass",
        "housing/model.skops": b"new",
        "housing2/MLmodel": b"old",
    }


def test_an_upload_that_broke_off_is_completed(bucket: storage.Bucket, folder: Path) -> None:
    bucket.blob("housing/model.skops").upload_from_string("half")
    bucket.blob("housing/model.pkl").upload_from_string("old")
    publish(folder, "gs://models/housing")
    assert sorted(contents(bucket)) == ["housing/MLmodel", "housing/code/own.py", "housing/model.skops"]


@pytest.mark.parametrize("other", ["models/v1/MLmodel", "models/report.csv"])
def test_a_prefix_that_holds_something_else_is_left_alone(bucket: storage.Bucket, folder: Path, other: str) -> None:
    bucket.blob(other).upload_from_string("precious")
    with pytest.raises(TrainError, match=r"gs://models/models .* of its own"):
        publish(folder, "gs://models/models")
    assert contents(bucket) == {other: b"precious"}


@pytest.mark.usefixtures("bucket")
def test_a_bucket_that_does_not_exist_is_named(folder: Path) -> None:
    with pytest.raises(TrainError, match="The bucket 'nowhere' of gs://nowhere/housing does not exist"):
        publish(folder, "gs://nowhere/housing")


@pytest.mark.usefixtures("bucket")
def test_a_bucket_that_does_not_exist_is_named_before_the_search() -> None:
    check("gs://models/anything")
    with pytest.raises(TrainError, match="The bucket 'nowhere' of gs://nowhere/housing does not exist"):
        check("gs://nowhere/housing")


def test_a_store_that_cannot_be_reached_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setattr("train.publish.GIVE_UP", 0.1)
    with pytest.raises(TrainError) as failure:
        publish(folder, "gs://models/housing")
    sentence = f"{folder} could not be uploaded to gs://models/housing: Connection refused. Run the same command again."
    assert failure.value.message == sentence


@pytest.mark.parametrize("uri", ["models/housing", "s3://models/housing", "gs://models", "gs://", "gs:///housing"])
def test_a_place_that_is_no_prefix_in_a_bucket_is_refused(folder: Path, uri: str) -> None:
    with pytest.raises(TrainError, match="expected gs://BUCKET/PREFIX"):
        publish(folder, uri)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="has no MLmodel file"):
        publish(tmp_path, "gs://models/housing")
