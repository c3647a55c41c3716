"""Whatever Cloud Storage does, a request gets the complete stored model, or an error and a retry on the next request."""

import asyncio
import contextlib
import resource
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launch.processes import free_port
from loading import bucket
from loading.source import REGISTRY_LIMITS
from local.storage import Storage
from model_loader import ModelLoader, folder_digest, load
from serving.decoding import from_arguments
from serving.errors import ModelUnreachable, ModelUnusable, ServingError
from serving.model import Model
from tests.faults import faults
from tests.faults.conftest import URI, patient
from tests.faults.faults import always, first, in_turn
from tests.faults.proxy import (
    Fault,
    Handler,
    Plan,
    Proxy,
    Response,
    StorageRequest,
    no_fault,
    plain_client,
    publish,
    upload,
)  # fmt: skip

pytestmark = [
    pytest.mark.usefixtures("fast_retries"),
    # Google's client leaves responses unread when it retries a download; their sockets are closed by the collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]


def is_intact(model: Model, folder: str) -> bool:
    """Whether a model has the digest and the predictions of the one in a folder."""
    rows = from_arguments(model.signature, [[0.5, -0.25, 1, 2], [1, 2, 3, 4]])
    same = model.predict(rows).tolist() == load(folder).predict(rows).tolist()
    return same and model.info.digest == folder_digest(Path(folder))


TRANSIENT: dict[str, Callable[[], Plan]] = {
    **{f"status {code} twice": lambda code=code: first(2, faults.status(code)) for code in (429, 500, 503, 504)},
    **{f"{code} for one file": lambda code=code: first(3, faults.status(code), "model.pkl") for code in (404, 503)},
    "reset": lambda: first(4, faults.reset),
    "no reply": lambda: first(1, faults.no_reply, "MLmodel"),
    "no reply to listing": lambda: first(1, faults.no_reply, ""),
    "listing closed midway": lambda: first(1, faults.close_midway, ""),
    "listing truncated": lambda: first(1, faults.truncate, ""),
    "reset midway": lambda: first(2, faults.reset_midway, "model.pkl"),
    "closed midway": lambda: first(2, faults.close_midway, "model.pkl"),
    "stalled midway": lambda: first(1, faults.stall_midway, "model.pkl"),
    "truncated": lambda: first(2, faults.truncate, "model.pkl"),
    "corrupted": lambda: first(2, faults.corrupt, "model.pkl"),
    "all files corrupted": lambda: first(7, faults.corrupt),
    "reset, then corrupted": lambda: in_turn(faults.reset_midway, faults.corrupt),
    "reset, then range ignored": lambda: in_turn(faults.reset_midway, faults.ignore_range),
    "closed, then truncated": lambda: in_turn(faults.close_midway, faults.truncate, faults.status(503)),
    "reset, then out of range": lambda: in_turn(faults.reset_midway, faults.status(416)),
}


@pytest.mark.parametrize("plan", TRANSIENT.values(), ids=TRANSIENT)
@pytest.mark.usefixtures("short_timeouts")
def test_transient_fault(proxy: Proxy, plan: Callable[[], Plan], saved: Callable[[str], str], temp_dir: Path) -> None:
    """The first request gets the complete model despite a fault that passes, and no file is left."""
    proxy.plan = plan()
    model = asyncio.run(ModelLoader(URI).model())
    assert is_intact(model, saved("tree_regressor"))
    assert list(temp_dir.iterdir()) == []


PERSISTENT: dict[str, tuple[Plan, type[ServingError], str]] = {
    **{f"status {code}": (always(faults.status(code)), ModelUnreachable, "right now") for code in (429, 500, 503)},
    "reset": (always(faults.reset), ModelUnreachable, "right now"),
    "no reply": (always(faults.no_reply), ModelUnreachable, "right now"),
    "stalled midway": (always(faults.stall_midway, "model.pkl"), ModelUnreachable, "right now"),
    "reset midway": (always(faults.reset_midway, "MLmodel"), ModelUnreachable, "right now"),
    "corrupted": (always(faults.corrupt, "model.pkl"), ModelUnreachable, "m/model.pkl has another checksum"),
    "truncated": (always(faults.truncate, "model.pkl"), ModelUnreachable, "m/model.pkl has another checksum"),
    "listing truncated": (always(faults.truncate, ""), ModelUnreachable, "right now"),
    "one file gone": (always(faults.status(404), "model.pkl"), ModelUnreachable, "m/model.pkl was deleted"),
    "no bucket": (always(faults.status(404), ""), ModelUnusable, "There is nothing at gs://models/m"),
    "forbidden": (always(faults.status(403)), ModelUnusable, "needs roles/storage.objectViewer"),
    "unauthorized": (always(faults.status(401), "model.pkl"), ModelUnusable, "you are not logged in to Google Cloud"),
}
SILENT = ("no reply", "stalled midway")  # only a timeout ends these; it would be an error of its own for the others


@pytest.mark.parametrize(("plan", "error", "message"), PERSISTENT.values(), ids=PERSISTENT)
@pytest.mark.usefixtures("few_retries")
def test_persistent_fault_then_retry(
    proxy: Proxy,
    plan: Plan,
    error: type[ServingError],
    message: str,
    saved: Callable[[str], str],
    temp_dir: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fault that persists is an error that leaves no file behind; the next request tries again."""
    loader = ModelLoader(URI)
    proxy.plan = plan
    with monkeypatch.context() as silent:
        if request.node.callspec.id in SILENT:
            silent.setattr("loading.bucket.TIMEOUT", (1, 1))
        with pytest.raises(error, match=message):
            asyncio.run(loader.model())
    assert list(temp_dir.iterdir()) == []
    proxy.plan = None
    patient(monkeypatch)
    assert is_intact(asyncio.run(loader.model()), saved("tree_regressor"))


@pytest.mark.usefixtures("few_retries")
def test_bucket_refuses_connections(
    emulator: Storage, saved: Callable[[str], str], temp_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused connection is a 503; the model loads once the bucket accepts connections again."""
    publish(emulator.url, saved("tree_regressor"), "m")
    loader = ModelLoader(URI)
    with Proxy(emulator.url) as stopped:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", stopped.url)
    with pytest.raises(ModelUnreachable, match="Connection refused"):
        asyncio.run(loader.model())
    assert list(temp_dir.iterdir()) == []
    patient(monkeypatch)
    with Proxy(emulator.url, port=stopped.server_port):
        assert is_intact(asyncio.run(loader.model()), saved("tree_regressor"))


def test_registry_refuses_connections(temp_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that refuses connections is a 503."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for uri in ("models:/house@champion", "models:/house/1"):
        with pytest.raises(ModelUnreachable, match=f"The registry did not return {uri}"):
            asyncio.run(ModelLoader(uri).model())
    assert list(temp_dir.iterdir()) == []


@pytest.mark.slow
def test_registry_wait_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without settings of its own, MLflow gives up on a registry in about the time that a bucket gets."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    for name in REGISTRY_LIMITS:
        monkeypatch.delenv(name, raising=False)
    started = time.monotonic()
    with pytest.raises(ModelUnreachable, match="The registry did not return"):
        load("models:/house@champion")
    assert time.monotonic() - started < 120


@pytest.mark.parametrize("name", ["MLmodel", "model.pkl", "requirements.txt"])
def test_replaced_during_download(proxy: Proxy, emulator: Storage, name: str, saved: Callable[[str], str]) -> None:
    """A model that is replaced during its download is loaded as the new one."""

    def replace(handler: Handler, fetch: Callable[[], Response]) -> None:
        publish(emulator.url, saved("classifier"), "m")
        no_fault(handler, fetch)

    proxy.plan = first(1, replace, name)
    model = asyncio.run(ModelLoader(URI).model())
    assert model.info.digest == folder_digest(Path(saved("classifier")))


def test_reset_download_resumes(proxy: Proxy) -> None:
    """After a reset the download resumes where it stopped."""
    proxy.plan = first(1, faults.reset_midway, "model.pkl")
    asyncio.run(ModelLoader(URI).model())
    requests = [request for request in proxy.requests if request.name.endswith("model.pkl")]
    assert [bool(request.range) for request in requests] == [False, True]


@pytest.mark.usefixtures("few_retries")
def test_download_in_pieces(proxy: Proxy, emulator: Storage, saved: Callable[[str], str]) -> None:
    """A download that gets a piece further with each try is never begun again, however long it takes altogether."""

    def cut(handler: Handler, fetch: Callable[[], Response]) -> None:
        whole = fetch()
        time.sleep(0.1)
        handler.send(Response(whole.status, whole.headers, whole.body[:20_000]), content_length=len(whole.body))
        handler.hang_up(reset=False)

    with plain_client(emulator.url) as client:
        upload(client, "m/table.bin", b"0123456789" * 30_000)
    proxy.plan = always(cut, "table.bin")
    started = time.monotonic()
    assert asyncio.run(ModelLoader(URI).model()).info.digest
    assert time.monotonic() - started > 2 * bucket.RETRY_SECONDS
    ranges = [request.range for request in proxy.requests if request.name.endswith("table.bin")]
    assert len(set(ranges)) == len(ranges) > 15


def test_complete_files_kept(proxy: Proxy, emulator: Storage, saved: Callable[[str], str]) -> None:
    """When a file is replaced during the download, those that are complete and unchanged are not fetched again."""

    def replace(handler: Handler, fetch: Callable[[], Response]) -> None:
        time.sleep(0.5)  # the small files arrive first
        with plain_client(emulator.url) as client:
            upload(client, "m/model.pkl", (Path(saved("tree_regressor")) / "model.pkl").read_bytes())
        no_fault(handler, fetch)

    proxy.plan = first(1, replace, "model.pkl")
    assert is_intact(asyncio.run(ModelLoader(URI).model()), saved("tree_regressor"))
    fetched = Counter(request.name for request in proxy.requests)
    assert fetched.pop("") == fetched.pop("m/model.pkl") == 2
    assert set(fetched.values()) == {1}


def test_prefix_without_model_not_downloaded(proxy: Proxy) -> None:
    """Nothing but the listing is read of a prefix that holds no model."""
    with pytest.raises(ModelUnusable, match="did you mean gs://models/"):
        load("gs://models")
    assert [request.name for request in proxy.requests] == [""]


def test_request_times_out_and_next_joins(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request stops waiting for a slow download in time for its caller; the next request joins that download."""
    resume = threading.Event()

    def hold(handler: Handler, fetch: Callable[[], Response]) -> None:
        resume.wait(600)
        no_fault(handler, fetch)

    async def ask() -> None:
        loader = ModelLoader(URI)
        try:
            with pytest.raises(ModelUnreachable, match="still loading"):
                await loader.model()
        finally:
            resume.set()
        monkeypatch.setattr("model_loader.MAX_WAIT", 600)
        await loader.model()

    monkeypatch.setattr("loading.bucket.TIMEOUT", (600, 600))
    monkeypatch.setattr("model_loader.MAX_WAIT", 0.2)
    proxy.plan = first(1, hold, "model.pkl")
    asyncio.run(ask())
    assert set(Counter(proxy.requests).values()) == {1}


def test_file_too_large_for_disk(proxy: Proxy, saved: Callable[[str], str], temp_dir: Path) -> None:
    """A file that the disk does not take is a 424 that leaves no file behind."""
    loader = ModelLoader(URI)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        with pytest.raises(ModelUnusable, match=r"does not fit on the disk .File too large"):
            asyncio.run(loader.model())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(temp_dir.iterdir()) == []
    assert is_intact(asyncio.run(loader.model()), saved("tree_regressor"))


def test_model_larger_than_memory(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model larger than the memory is rejected before it is downloaded."""
    monkeypatch.setattr("loading.bucket.memory_limit", lambda: 1_000)
    with pytest.raises(ModelUnusable, match=r"this function has 0\.00 GiB of memory"):
        asyncio.run(ModelLoader(URI).model())
    assert [request.name for request in proxy.requests] == [""]


ANY_FAULT = st.sampled_from(
    [
        no_fault, faults.status(404), faults.status(429), faults.status(500), faults.status(503), faults.reset,
        faults.reset_midway, faults.close_midway, faults.truncate, faults.corrupt, faults.ignore_range,
    ]
)  # fmt: skip


def check_fault_sequence(
    sequence: list[Fault], swaps: set[int], proxy: Proxy, emulator: Storage, models: list[str], temp_dir: Path
) -> None:
    """Inject faults into the first requests and publish the other model at some; the result is one complete model."""
    publish(emulator.url, models[0], "m")
    proxy.requests.clear()
    published = 0

    def plan(request: StorageRequest) -> Fault:
        nonlocal published
        at = len(proxy.requests) - 1
        if at in swaps:
            published += 1
            publish(emulator.url, models[published % 2], "m")
        fault = sequence[at] if at < len(sequence) else no_fault
        return no_fault if fault is faults.corrupt and not request.name else fault  # a listing has no checksum

    proxy.plan = plan
    loader = ModelLoader(URI)
    model = None
    deadline = time.monotonic() + 600
    while model is None:
        assert time.monotonic() < deadline, "no request got the model after the faults had passed"
        with contextlib.suppress(ServingError):
            model = asyncio.run(loader.model())
        assert list(temp_dir.iterdir()) == []
    digests = {folder_digest(Path(folder)): folder for folder in models}
    assert is_intact(model, digests[model.info.digest])


FAULTS_AND_SWAPS = given(sequence=st.lists(ANY_FAULT, max_size=25), swaps=st.sets(st.integers(0, 15), max_size=3))
SETTINGS = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@settings(max_examples=15, **SETTINGS)
@FAULTS_AND_SWAPS
@pytest.mark.usefixtures("few_retries")
def test_fault_sequences(
    sequence: list[Fault], swaps: set[int], proxy: Proxy, emulator: Storage, saved: Callable[[str], str], temp_dir: Path
) -> None:
    """No sequence of faults and publications gives half a model or leaves a file behind."""
    check_fault_sequence(sequence, swaps, proxy, emulator, [saved("tree_regressor"), saved("classifier")], temp_dir)


@pytest.mark.slow
@settings(max_examples=300, **SETTINGS)
@FAULTS_AND_SWAPS
@pytest.mark.usefixtures("few_retries")
def test_300_fault_sequences(
    sequence: list[Fault], swaps: set[int], proxy: Proxy, emulator: Storage, saved: Callable[[str], str], temp_dir: Path
) -> None:
    """The same for 300 sequences."""
    check_fault_sequence(sequence, swaps, proxy, emulator, [saved("tree_regressor"), saved("classifier")], temp_dir)
