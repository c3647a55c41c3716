"""From MODEL_URI to a model: every form of the URI, one load per instance, and every reason why a load fails."""

import asyncio
import contextlib
import gc
import json
import shutil
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mlflow
import pytest
from google.cloud import storage
from starlette.testclient import TestClient

from local.storage import Storage
from model_loader import ModelLoader, folder_digest, load
from serving.errors import ModelUnreachable, ModelUnusable
from tests import models
from tests.assertions import assert_error
from tests.conftest import BUCKET, ROOT

ROW = [0.5, -0.25, 1, 2]


@pytest.fixture
def bucket(emulator: Storage, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return an empty bucket of the Cloud Storage emulator, which this process's clients use."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.url)
    found = storage.Client().bucket(BUCKET)
    for blob in found.list_blobs():
        blob.delete()
    return found


def upload(folder: str, bucket: Any, prefix: str) -> None:
    for path in Path(folder).rglob("*"):
        if path.is_file():
            name = f"{prefix}/{path.relative_to(folder)}" if prefix else str(path.relative_to(folder))
            bucket.blob(name).upload_from_filename(str(path))


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Run a fake Cloud Storage; return its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> str:
    """Apply a change to the MLmodel file of a folder; return the folder."""
    models.edit(folder, change)
    return str(folder)


@pytest.mark.parametrize("prefix", ["california", "teams/a/california", ""])
@pytest.mark.parametrize("slash", ["", "/"])
def test_load_from_bucket(bucket: Any, saved: Callable[[str], str], prefix: str, slash: str) -> None:
    """A model in a bucket is the one that was saved, with and without a prefix or a final slash."""
    upload(saved("tree_regressor"), bucket, prefix)
    model = load(f"gs://{BUCKET}/{prefix}{slash}")
    assert model.info.digest == folder_digest(Path(saved("tree_regressor")))
    assert model.signature == load(saved("tree_regressor")).signature


def test_prefix_ends_at_slash(bucket: Any, saved: Callable[[str], str]) -> None:
    """Objects under a longer prefix with the same beginning do not belong to the model."""
    upload(saved("tree_regressor"), bucket, "california")
    upload(saved("classifier"), bucket, "california-2")
    assert load(f"gs://{BUCKET}/california").info.digest == folder_digest(Path(saved("tree_regressor")))


def test_digest_agrees_with_sha256sum(folder: Path) -> None:
    """The digest is what the documented shell command prints."""
    (folder / "Zürich dir").mkdir()
    (folder / "Zürich dir" / "a").write_bytes(b"\x00")
    listing = "find . -type f -print0 | LC_ALL=C sort -z | sed -z 's|^./||' | xargs -0 sha256sum | sha256sum"
    printed = subprocess.run(["bash", "-c", listing], cwd=folder, capture_output=True, text=True, check=True).stdout
    assert folder_digest(folder) == printed.split()[0]


def test_wrong_digest(folder: Path) -> None:
    """A model with another digest than MODEL_DIGEST is rejected before anything is loaded."""
    digest = folder_digest(folder)
    assert load(str(folder), digest.upper()).info.digest == digest
    (folder / "model.pkl").write_bytes(b"not even a pickle")
    with pytest.raises(ModelUnusable, match=f"but MODEL_DIGEST is {digest}"):
        load(str(folder), digest)


@pytest.mark.parametrize("form", ["models:/house/1", "models:/house@champion"])
def test_load_from_registry(
    form: str, saved: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registered model is found by version and by alias."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    client.create_registered_model("house")
    client.create_model_version("house", source=saved("tree_regressor"))
    client.set_registered_model_alias("house", "champion", "1")
    assert load(form).info.digest == folder_digest(Path(saved("tree_regressor")))
    with pytest.raises(ModelUnusable, match="house"):
        load("models:/house/2")


UNUSABLE_URIS = {
    "empty": ("", "MODEL_URI is not set; expected gs://bucket/prefix"),
    "no such folder": ("/no/such/folder", "no such folder"),
    "no bucket": ("gs://", "expected gs://bucket/prefix"),
    "another store": ("s3://bucket/model", "expected gs://bucket/prefix"),
    "a web address": ("https://example.com/model", "expected gs://bucket/prefix"),
    "no version": ("models:/house", "expected gs://bucket/prefix"),
    "no name": ("models:/@champion", "expected gs://bucket/prefix"),
    "no such bucket": ("gs://no-such-bucket/model", "There is nothing at gs://no-such-bucket/model"),
    "no such prefix": (f"gs://{BUCKET}/nothing", "There is no MLmodel file"),
}


@pytest.mark.parametrize(("uri", "message"), UNUSABLE_URIS.values(), ids=UNUSABLE_URIS)
@pytest.mark.usefixtures("bucket")
def test_unusable_uri(app: Callable[..., TestClient], uri: str, message: str) -> None:
    """A URI without a model is a 424 that names the URI."""
    assert_error(app(uri).post("/", json={"calls": [ROW]}), 424, message, uri)


def test_prefix_one_level_too_high(bucket: Any, saved: Callable[[str], str]) -> None:
    """The error for a prefix one level above a model suggests the model's prefix."""
    upload(saved("tree_regressor"), bucket, "teams/california")
    with pytest.raises(ModelUnusable, match=f"did you mean gs://{BUCKET}/teams/california?"):
        load(f"gs://{BUCKET}/teams")


@pytest.mark.parametrize("name", ["m/../../escaped", "m//etc/escaped", "m/a/../../../escaped"])
def test_object_name_outside_folder(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object whose name leads out of the model's folder is rejected."""

    class Hostile(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            listing = json.dumps({"items": [{"name": name, "bucket": BUCKET, "generation": "1"}]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(listing)))
            self.end_headers()
            self.wfile.write(listing)

        def log_message(self, *_: Any) -> None:
            pass

    with serving(Hostile) as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        with pytest.raises(ModelUnusable, match="leads out of the model's folder"):
            load(f"gs://{BUCKET}/m")


DAMAGED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "unknown type": (lambda m: m["signature"].update(inputs='[{"type": "quaternion", "name": "q"}]'), "'quaternion'"),
    "tensor of open size": (
        lambda m: m["signature"].update(
            inputs='[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, -1, 8]}}]'
        ),
        "expected -1 for the rows and then a fixed size",
    ),
    "other scikit-learn version": (
        lambda m: m["flavors"]["sklearn"].update(sklearn_version="1.2.1"),
        "saved with scikit-learn 1.2.1",
    ),
    "missing file": (lambda m: m["flavors"]["sklearn"].update(pickled_model="gone.pkl"), "has no file gone.pkl"),
    "untrusted types": (
        lambda m: m["flavors"]["sklearn"].update(serialization_format="skops", skops_trusted_types=["os.system"]),
        "os.system",
    ),
}


@pytest.mark.parametrize(("change", "message"), DAMAGED.values(), ids=DAMAGED)
def test_unservable_model(
    app: Callable[..., TestClient], folder: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    """A model that cannot be served is a 424 that says why."""
    assert_error(app(edit(folder, change)).post("/", json={"calls": [ROW]}), 424, message)


def test_missing_package(tmp_path: Path) -> None:
    """The error for a missing Python package names the package and the version that the model requires."""
    folder = models.tree_regressor(tmp_path / "model")
    (folder / "model.pkl").write_bytes(b"cfancy_boost.core\nBooster\n.")
    (folder / "requirements.txt").write_text("fancy-boost==3.2.0\n")
    with pytest.raises(ModelUnusable, match=r"'fancy_boost.*fancy-boost==3.2.0"):
        load(str(folder))


def test_truncated_pickle(app: Callable[..., TestClient], folder: Path) -> None:
    """A truncated pickle is a 424."""
    (folder / "model.pkl").write_bytes((folder / "model.pkl").read_bytes()[:-100])
    assert_error(app(str(folder)).post("/", json={"calls": [ROW]}), 424, "cannot be loaded")


def test_skops_types_from_own_list(tmp_path: Path) -> None:
    """skops models are loaded with the function's list of trusted types, whatever the model's own list says."""
    trusted = ["sklearn.tree._tree.Tree"]
    folder = models.tree_regressor(tmp_path / "model", serialization_format="skops", skops_trusted_types=trusted)
    assert load(str(folder)).outputs
    edit(folder, lambda m: m["flavors"]["sklearn"].update(skops_trusted_types=None))
    assert load(str(folder)).outputs


def test_undeclared_output_type(tmp_path: Path) -> None:
    """A model that declares no outputs gets the type of its prediction for its example, or else for a made-up row."""
    folder = models.classifier(tmp_path / "model", outputs=False)
    assert load(str(folder)).sql_type == "STRING"
    shutil.rmtree(folder)
    bare = models.classifier(tmp_path / "model", outputs=False, input_example=None)
    assert load(str(bare)).sql_type == "STRING"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_busy_bucket_then_retry(
    status: int, saved: Callable[[str], str], emulator: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy bucket is a 503, and the next request tries again."""

    class Busy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    monkeypatch.setattr("loading.bucket.RETRY_SECONDS", 0.5)
    with serving(Busy) as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        loader = ModelLoader(f"gs://{BUCKET}/m")
        with pytest.raises(ModelUnreachable, match="right now"):
            asyncio.run(loader.model())
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.url)
    upload(saved("tree_regressor"), storage.Client().bucket(BUCKET), "m")
    assert asyncio.run(loader.model()).signature.columns


def test_first_requests_share_one_load(saved: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Many first requests cause one load and share its result, also when one of the callers leaves."""
    loads: list[str] = []
    release = threading.Event()

    def slow(uri: str, *arguments: Any, **options: Any) -> Any:
        loads.append(uri)
        release.wait(600)
        return load(uri, *arguments, **options)

    async def ask() -> list[Any]:
        loader = ModelLoader(saved("tree_regressor"))
        asking = [asyncio.ensure_future(loader.model()) for _ in range(100)]
        await asyncio.sleep(0)
        asking[0].cancel()
        release.set()
        return await asyncio.gather(*asking[1:])

    monkeypatch.setattr("model_loader.load", slow)
    answers = asyncio.run(ask())
    assert len(loads) == 1
    assert all(answer is answers[0] for answer in answers)


def test_sklearn_model_without_mlflow(saved: Callable[[str], str]) -> None:
    """A scikit-learn model is loaded without importing mlflow, which takes longer than loading a small model."""
    code = f"import sys, model_loader; model_loader.load({saved('tree_regressor')!r}); print(json.dumps('mlflow' in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"import json; {code}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) is False


def test_gc_enabled_after_load(folder: Path) -> None:
    """The garbage collector runs again after a load, successful or not, with the model in its oldest generation."""
    with pytest.raises(ModelUnusable):
        asyncio.run(ModelLoader("/no/such/folder").model())
    assert gc.isenabled()
    model = asyncio.run(ModelLoader(str(folder)).model())
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    assert any(each is model for each in gc.get_objects(generation=2))


def test_replaced_model_is_freed(saved: Callable[[str], str]) -> None:
    """A model that refers to itself is freed once another one serves."""
    loader = ModelLoader(saved("tree_regressor"))
    first = loader._load()
    first.__dict__["itself"] = first
    freed = weakref.ref(first)
    loader._serve(first)
    del first
    loader._serve(loader._load())
    gc.collect()
    assert freed() is None
