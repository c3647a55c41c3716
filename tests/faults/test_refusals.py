"""What may not follow, does not: bad versions, other digests, other code, and buckets that cannot be read."""

import asyncio
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from loading import mlmodel
from model_loader import ModelLoader
from serving.rows import from_arguments
from tests import models
from tests.faults import proxy as faults
from tests.faults.conftest import URI
from tests.faults.following import OFTEN, digest, looks, until
from tests.faults.proxy import Proxy, put, times

pytestmark = [
    pytest.mark.usefixtures("quick"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),  # as in test_loading.py
]


def spoilt_pickle(folder: Path) -> None:
    (folder / "model.pkl").write_bytes(b"not a pickle")


def no_mark(folder: Path) -> None:
    (folder / "MLmodel").unlink()


def no_example(folder: Path) -> None:
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    del mlmodel["saved_input_example_info"]
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))


def other_columns_than_it_was_fitted_on(folder: Path) -> None:
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    inputs = json.loads(mlmodel["signature"]["inputs"])[:3]
    mlmodel["signature"]["inputs"] = json.dumps(inputs)
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))


def other_output(folder: Path) -> None:
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    mlmodel["signature"]["outputs"] = json.dumps([{"type": "boolean", "name": "x"}])
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "not a pickle": (spoilt_pickle, "cannot be loaded: UnpicklingError"),
    "no MLmodel": (no_mark, "There is no MLmodel file"),
    "no example": (no_example, "has no input example to try it on"),
    "an example that it cannot score": (other_columns_than_it_was_fitted_on, "cannot score its own input example"),
    "another output than declared": (other_output, "cannot score its own input example"),
}


@pytest.mark.parametrize(("spoil", "reason"), BAD.values(), ids=BAD)
def test_a_bad_version_is_refused_and_said_to_be_so_once_and_a_good_one_still_follows(
    proxy: Proxy,
    saved: Callable[[str], str],
    second: str,
    spoil: Callable[[Path], None],
    reason: str,
    files: Path,
    log: list[dict[str, Any]],
    tmp_path: Path,
) -> None:
    bad = models.tree_regressor(tmp_path / "bad")
    spoil(bad)

    async def follow() -> None:
        loader = ModelLoader(URI, refresh=OFTEN)
        first = await loader.model()
        put(proxy.upstream, bad, "m") if (bad / "MLmodel").exists() else remove_mark(proxy)
        await until(loader, lambda model: any("was refused" in line["message"] for line in log))
        await looks(proxy, loader, 6)
        assert await loader.model() is first
        assert list(files.glob("model-*")) == [], "what is read whole needs no files any more"
        put(proxy.upstream, second, "m")
        await until(loader, lambda model: model.info.version == digest(second))

    asyncio.run(follow())
    (said,) = [line for line in log if line["severity"] != "INFO"]
    assert said["severity"] == "ERROR"
    assert said["message"].startswith(
        f"Version {digest(saved('tree_regressor'))} goes on; what is to follow it was refused"
    )
    assert reason in said["message"]


def remove_mark(proxy: Proxy) -> None:
    httpx.delete(f"{proxy.upstream}/storage/v1/b/models/o/m%2FMLmodel", trust_env=False).raise_for_status()


def test_with_a_digest_no_other_model_follows(
    proxy: Proxy, saved: Callable[[str], str], second: str, log: list[dict[str, Any]]
) -> None:
    async def follow() -> None:
        loader = ModelLoader(URI, digest(saved("tree_regressor")), refresh=OFTEN)
        first = await loader.model()
        put(proxy.upstream, second, "m")
        await until(loader, lambda model: any("MODEL_DIGEST asks for" in line["message"] for line in log))
        assert await loader.model() is first

    asyncio.run(follow())


def test_a_version_with_other_code_under_the_same_name_is_refused(
    proxy: Proxy, log: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(mlmodel, "_code_here", {})
    folder = models.python_model(tmp_path / "model")
    put(proxy.upstream, folder, "m")

    async def follow() -> None:
        loader = ModelLoader(URI, refresh=OFTEN)
        first = await loader.model()
        (folder / "code" / "prepare.py").write_text("def scale(frame, factor):\n    return frame.assign(total=0.0)\n")
        put(proxy.upstream, folder, "m")
        await until(loader, lambda model: any("brings other code" in line["message"] for line in log))
        model = await loader.model()
        assert model is first
        assert model.predict(from_arguments(model.signature, [[1.5, 1, "x"]])) == ["x: 2.500"]

    asyncio.run(follow())


def test_a_bucket_that_cannot_be_read_is_said_once_and_no_request_waits_for_a_look(
    proxy: Proxy, second: str, log: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()

    def held(handler: faults.Handler, answer: Callable[[], faults.Answer]) -> None:
        goes_on.wait(30)
        faults.status(503)(handler, answer)

    async def follow() -> None:
        loader = ModelLoader(URI, refresh=OFTEN)
        first = await loader.model()
        monkeypatch.setattr("loading.bucket.TRY_AGAIN", 0)
        monkeypatch.setattr("loading.bucket.TIMEOUT", (5, 60))
        proxy.plan = times(10**9, held)
        await looks(proxy, loader, 1)
        for _ in range(100):
            assert await asyncio.wait_for(loader.model(), 10) is first
        assert not goes_on.is_set()
        goes_on.set()
        await looks(proxy, loader, 3)
        assert await loader.model() is first
        proxy.plan = times(0, faults.fine)
        put(proxy.upstream, second, "m")
        await until(loader, lambda model: model.info.version == digest(second))

    asyncio.run(follow())
    assert [line["severity"] for line in log if "is not known" in line["message"]] == ["WARNING"]


def test_what_could_not_be_looked_at_is_tried_when_it_can_be(
    proxy: Proxy, second: str, log: list[dict[str, Any]]
) -> None:
    seen = False

    def only_the_first_look(_: faults.Asked) -> faults.Fault:
        nonlocal seen
        fault = faults.status(403) if seen else faults.fine
        seen = True
        return fault

    async def follow() -> None:
        loader = ModelLoader(URI, refresh=OFTEN)
        first = await loader.model()
        put(proxy.upstream, second, "m")
        proxy.plan = only_the_first_look
        await until(loader, lambda model: any("objectViewer" in line["message"] for line in log))
        assert await loader.model() is first
        proxy.plan = times(0, faults.fine)
        await until(loader, lambda model: model.info.version == digest(second))

    asyncio.run(follow())
