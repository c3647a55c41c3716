"""Whatever Cloud Storage does, a request gets the whole model that was stored, or the reason why not and another try."""

import asyncio
import contextlib
import gc
import resource
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launch.processes import free_port
from local.storage import Storage
from model_loader import ModelLoader, folder_digest, load
from serving.errors import ModelUnreachable, ModelUnusable, ServingError
from serving.model import Model
from serving.rows import from_arguments
from tests.faults import proxy as faults
from tests.faults.conftest import URI
from tests.faults.proxy import Asked, Fault, Plan, Proxy, put, times

pytestmark = [
    pytest.mark.usefixtures("quick"),
    # Google's client leaves the answers to downloads that it makes again unread, and the garbage collector closes them.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]


def each(*sequence: Fault) -> Plan:
    """Give the requests for model.pkl these faults, one after the other."""
    left = list(sequence)

    def plan(asked: Asked) -> Fault:
        return left.pop(0) if left and asked.name.endswith("/model.pkl") else faults.fine

    return plan


def always(fault: Fault, name: str | None = None) -> Plan:
    return times(10**9, fault, name)


def is_intact(model: Model, folder: str) -> bool:
    """Tell whether a model is that of a folder: its files, and what it predicts."""
    rows = from_arguments(model.signature, [[0.5, -0.25, 1, 2], [1, 2, 3, 4]])
    same = model.predict(rows).tolist() == load(folder).predict(rows).tolist()
    return same and model.info.digest == folder_digest(Path(folder))


@contextlib.contextmanager
def patience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a slow machine take its time over what must succeed."""
    with monkeypatch.context() as patient:
        patient.setattr("loading.bucket.TIMEOUT", (5, 5))
        patient.setattr("loading.bucket.TRY_AGAIN", 30)
        yield


PASSING: dict[str, Callable[[], Plan]] = {
    **{f"status {code} twice": lambda code=code: times(2, faults.status(code)) for code in (429, 500, 503, 504)},
    **{f"one object {code}": lambda code=code: times(3, faults.status(code), "model.pkl") for code in (404, 503)},
    "hung up": lambda: times(4, faults.hung_up),
    "silent": lambda: times(1, faults.silent, "MLmodel"),
    "listing silent": lambda: times(1, faults.silent, ""),
    "listing cut off": lambda: times(1, faults.cut_off, ""),
    "listing shortened": lambda: times(1, faults.shortened, ""),
    "reset half way": lambda: times(2, faults.reset_half_way, "model.pkl"),
    "cut off half way": lambda: times(2, faults.cut_off, "model.pkl"),
    "stalled half way": lambda: times(1, faults.stalled_half_way, "model.pkl"),
    "shortened": lambda: times(2, faults.shortened, "model.pkl"),
    "corrupted": lambda: times(2, faults.corrupted, "model.pkl"),
    "all of them corrupted": lambda: times(7, faults.corrupted),
    "corrupted after a reset": lambda: each(faults.reset_half_way, faults.corrupted),
    "all again after a reset": lambda: each(faults.reset_half_way, faults.ignored_range),
    "shortened after a reset": lambda: each(faults.cut_off, faults.shortened, faults.status(503)),
    "out of range after a reset": lambda: each(faults.reset_half_way, faults.status(416)),
}


@pytest.mark.parametrize("plan", PASSING.values(), ids=PASSING)
@pytest.mark.usefixtures("alert")
def test_the_first_request_gets_the_model_after_a_fault_that_passes(
    proxy: Proxy, plan: Callable[[], Plan], saved: Callable[[str], str], files: Path
) -> None:
    proxy.plan = plan()
    model = asyncio.run(ModelLoader(URI).model())
    assert is_intact(model, saved("tree_regressor"))
    del model
    gc.collect()
    assert list(files.iterdir()) == []


LASTING: dict[str, tuple[Plan, type[ServingError], str]] = {
    **{f"status {code}": (always(faults.status(code)), ModelUnreachable, "right now") for code in (429, 500, 503)},
    "hung up": (always(faults.hung_up), ModelUnreachable, "right now"),
    "silent": (always(faults.silent), ModelUnreachable, "right now"),
    "stalled half way": (always(faults.stalled_half_way, "model.pkl"), ModelUnreachable, "right now"),
    "reset half way": (always(faults.reset_half_way, "MLmodel"), ModelUnreachable, "right now"),
    "corrupted": (always(faults.corrupted, "model.pkl"), ModelUnreachable, "m/model.pkl arrived with another checksum"),
    "shortened": (always(faults.shortened, "model.pkl"), ModelUnreachable, "m/model.pkl arrived with another checksum"),
    "listing shortened": (always(faults.shortened, ""), ModelUnreachable, "right now"),
    "one object gone": (always(faults.status(404), "model.pkl"), ModelUnreachable, "m/model.pkl was removed"),
    "no bucket": (always(faults.status(404), ""), ModelUnusable, "There is nothing at gs://models/m"),
    "forbidden": (always(faults.status(403)), ModelUnusable, "needs roles/storage.objectViewer"),
    "unauthorized": (always(faults.status(401), "model.pkl"), ModelUnusable, "needs roles/storage.objectViewer"),
}


@pytest.mark.parametrize(("plan", "kind", "words"), LASTING.values(), ids=LASTING)
@pytest.mark.usefixtures("impatient")
def test_a_fault_that_lasts_is_an_error_that_leaves_nothing_behind_and_the_next_request_tries_again(
    proxy: Proxy,
    plan: Plan,
    kind: type[ServingError],
    words: str,
    saved: Callable[[str], str],
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loader = ModelLoader(URI)
    proxy.plan = plan
    with pytest.raises(kind, match=words):
        asyncio.run(loader.model())
    assert list(files.iterdir()) == []
    proxy.plan = times(0, faults.fine)
    with patience(monkeypatch):
        assert is_intact(asyncio.run(loader.model()), saved("tree_regressor"))


@pytest.mark.usefixtures("impatient")
def test_a_bucket_that_refuses_connections_is_a_503_until_it_is_back(
    emulator: Storage, saved: Callable[[str], str], files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(emulator.url, saved("tree_regressor"), "m")
    loader = ModelLoader(URI)
    with Proxy(emulator.url) as gone:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", gone.url)
    with pytest.raises(ModelUnreachable, match="Connection refused"):
        asyncio.run(loader.model())
    assert list(files.iterdir()) == []
    with Proxy(emulator.url, port=gone.server_port), patience(monkeypatch):
        assert is_intact(asyncio.run(loader.model()), saved("tree_regressor"))


def test_a_registry_that_refuses_connections_is_a_503(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for uri in ("models:/house@champion", "models:/house/1"):
        with pytest.raises(ModelUnreachable, match=f"The registry did not give {uri}"):
            asyncio.run(ModelLoader(uri).model())
    assert list(files.iterdir()) == []


@pytest.mark.parametrize("name", ["MLmodel", "model.pkl", "requirements.txt"])
def test_a_model_that_is_replaced_while_it_is_read_is_loaded_as_the_new_one(
    proxy: Proxy, emulator: Storage, name: str, saved: Callable[[str], str]
) -> None:
    def replaced(handler: faults.Handler, answer: Callable[[], faults.Answer]) -> None:
        put(emulator.url, saved("classifier"), "m")
        faults.fine(handler, answer)

    proxy.plan = times(1, replaced, name)
    model = asyncio.run(ModelLoader(URI).model())
    assert model.info.digest == folder_digest(Path(saved("classifier")))


def test_a_reset_download_goes_on_where_it_ended(proxy: Proxy) -> None:
    proxy.plan = times(1, faults.reset_half_way, "model.pkl")
    asyncio.run(ModelLoader(URI).model())
    asked = [asked for asked in proxy.asked if asked.name.endswith("model.pkl")]
    assert [bool(each.range) for each in asked] == [False, True]


def test_what_is_no_model_is_not_downloaded(proxy: Proxy) -> None:
    with pytest.raises(ModelUnusable, match="did you mean gs://models/m"):
        load("gs://models")
    assert [asked.name for asked in proxy.asked] == [""]


def test_a_request_does_not_wait_without_end_and_the_next_one_joins_the_same_download(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()

    def held(handler: faults.Handler, answer: Callable[[], faults.Answer]) -> None:
        goes_on.wait(30)
        faults.fine(handler, answer)

    async def ask() -> None:
        loader = ModelLoader(URI)
        with pytest.raises(ModelUnreachable, match="still being loaded"):
            await loader.model()
        goes_on.set()
        monkeypatch.setattr("model_loader.ANSWER_WITHIN", 60)
        await loader.model()

    monkeypatch.setattr("loading.bucket.TIMEOUT", (5, 60))
    monkeypatch.setattr("model_loader.ANSWER_WITHIN", 0.2)
    proxy.plan = times(1, held, "model.pkl")
    asyncio.run(ask())
    assert set(Counter(proxy.asked).values()) == {1}


def test_a_file_that_the_disk_does_not_take_is_a_424_that_leaves_nothing_behind(
    proxy: Proxy, saved: Callable[[str], str], files: Path
) -> None:
    loader = ModelLoader(URI)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        with pytest.raises(ModelUnusable, match=r"does not fit on the disk .File too large"):
            asyncio.run(loader.model())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(files.iterdir()) == []
    assert is_intact(asyncio.run(loader.model()), saved("tree_regressor"))


def test_a_model_larger_than_the_memory_is_refused_before_it_is_downloaded(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loading.bucket.memory_limit", lambda: 1_000)
    with pytest.raises(ModelUnusable, match=r"this function has 0\.00 GiB of memory"):
        asyncio.run(ModelLoader(URI).model())
    assert [asked.name for asked in proxy.asked] == [""]


ANY_FAULT = st.sampled_from(
    [
        faults.fine, faults.status(404), faults.status(429), faults.status(500), faults.status(503), faults.hung_up,
        faults.reset_half_way, faults.cut_off, faults.shortened, faults.corrupted, faults.ignored_range,
    ]
)  # fmt: skip


def check_any_faults(
    sequence: list[Fault], swaps: set[int], proxy: Proxy, emulator: Storage, models: list[str], files: Path
) -> None:
    """Whatever comes, and whoever publishes meanwhile: one of the models that were there, in full, or an error."""
    put(emulator.url, models[0], "m")
    proxy.asked.clear()
    turn = 0

    def plan(asked: Asked) -> Fault:
        nonlocal turn
        at = len(proxy.asked) - 1
        if at in swaps:
            turn += 1
            put(emulator.url, models[turn % 2], "m")
        return (
            sequence[at] if at < len(sequence) and (asked.name or sequence[at] is not faults.corrupted) else faults.fine
        )

    proxy.plan = plan
    loader = ModelLoader(URI)
    model = None
    for _ in range(len(sequence) + 20):  # a slow machine may run into timeouts besides
        with contextlib.suppress(ServingError):
            model = asyncio.run(loader.model())
            break
        assert list(files.iterdir()) == []
    assert model, "no request got the model after the faults had passed"
    digests = {folder_digest(Path(folder)): folder for folder in models}
    assert is_intact(model, digests[model.info.digest])
    del model, loader
    gc.collect()
    assert list(files.iterdir()) == []


FAULTS_AND_SWAPS = given(sequence=st.lists(ANY_FAULT, max_size=25), swaps=st.sets(st.integers(0, 15), max_size=3))
QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@settings(max_examples=15, **QUIET)
@FAULTS_AND_SWAPS
@pytest.mark.usefixtures("impatient")
def test_no_sequence_of_faults_gives_half_a_model(
    sequence: list[Fault], swaps: set[int], proxy: Proxy, emulator: Storage, saved: Callable[[str], str], files: Path
) -> None:
    check_any_faults(sequence, swaps, proxy, emulator, [saved("tree_regressor"), saved("classifier")], files)


@pytest.mark.slow
@settings(max_examples=300, **QUIET)
@FAULTS_AND_SWAPS
@pytest.mark.usefixtures("impatient")
def test_none_of_300_sequences_of_faults_gives_half_a_model(
    sequence: list[Fault], swaps: set[int], proxy: Proxy, emulator: Storage, saved: Callable[[str], str], files: Path
) -> None:
    check_any_faults(sequence, swaps, proxy, emulator, [saved("tree_regressor"), saved("classifier")], files)
