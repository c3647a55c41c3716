"""Versions that must not take over: bad ones, another digest, other code, and those in a bucket that cannot be read."""

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import sklearn
import yaml

from model_loader import ModelLoader
from serving.decoding import from_arguments
from serving.errors import ModelUnusable
from tests import models
from tests.faults import faults
from tests.faults.conftest import URI
from tests.faults.faults import always
from tests.faults.proxy import Fault, Handler, Proxy, Response, StorageRequest, no_fault, publish
from tests.faults.watching import DEADLINE, REFRESH, digest, wait_for_model, wait_for_polls, wait_for_version

pytestmark = [
    pytest.mark.usefixtures("fast_retries"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),  # as in test_loading.py
]


def spoil_pickle(folder: Path) -> None:
    (folder / "model.pkl").write_bytes(b"not a pickle")


def remove_mlmodel(folder: Path) -> None:
    (folder / "MLmodel").unlink()


def remove_example(folder: Path) -> None:
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    del mlmodel["saved_input_example_info"]
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))


def drop_column(folder: Path) -> None:
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    inputs = json.loads(mlmodel["signature"]["inputs"])[:3]
    mlmodel["signature"]["inputs"] = json.dumps(inputs)
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))


def change_output_type(folder: Path) -> None:
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    mlmodel["signature"]["outputs"] = json.dumps([{"type": "boolean", "name": "x"}])
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))


def require(line: str) -> Callable[[Path], None]:
    """Return what makes a model require a package, and impossible to load."""

    def spoil(folder: Path) -> None:
        (folder / "requirements.txt").write_text(f"{line}\n")
        spoil_pickle(folder)

    return spoil


BAD_VERSIONS: dict[str, tuple[Callable[[Path], None], str]] = {
    "not a pickle": (spoil_pickle, "cannot be loaded: UnpicklingError"),
    "no MLmodel": (remove_mlmodel, "There is no MLmodel file"),
    "no input example": (remove_example, "has no input example to try it on"),
    "fewer columns than fitted on": (drop_column, "fitted on 4 columns, but its signature declares 3 and lacks d"),
    "another scikit-learn": (
        require("scikit-learn==0.1"),
        f"requires scikit-learn==0.1, but scikit-learn {sklearn.__version__} is installed: deploy this version with",
    ),
    "a package that is not here": (require("no-such-package==1.2"), "but no-such-package is not installed"),
    "wrong output type": (change_output_type, "cannot score its own input example"),
}


@pytest.mark.parametrize(("spoil", "reason"), BAD_VERSIONS.values(), ids=BAD_VERSIONS)
def test_bad_version_rejected_once(
    proxy: Proxy,
    saved: Callable[[str], str],
    second_model: str,
    spoil: Callable[[Path], None],
    reason: str,
    temp_dir: Path,
    log: list[dict[str, Any]],
    tmp_path: Path,
) -> None:
    """A bad version is rejected and logged once, the old one keeps serving, and a good one still takes over."""
    bad = models.tree_regressor(tmp_path / "bad")
    spoil(bad)

    async def follow() -> None:
        loader = ModelLoader(URI, refresh=REFRESH)
        first = await loader.model()
        publish(proxy.upstream, bad, "m") if (bad / "MLmodel").exists() else delete_mlmodel(proxy)
        await wait_for_model(loader, lambda _: any("was rejected" in line["message"] for line in log))
        await wait_for_polls(proxy, loader, 6)
        assert await loader.model() is first
        (kept,) = temp_dir.glob("model-*")
        assert digest(kept) == first.info.digest, "the files of the version that serves stay, and no others"
        publish(proxy.upstream, second_model, "m")
        await wait_for_version(loader, second_model)

    asyncio.run(follow())
    (line,) = [line for line in log if "Still serving" in line["message"]]
    assert line["severity"] == "ERROR"
    assert reason in line["message"]
    assert line["message"].startswith(
        f"Still serving version {digest(saved('tree_regressor'))}: the next version was rejected"
    )


def test_first_version_is_checked(proxy: Proxy, tmp_path: Path) -> None:
    """A new instance that follows rejects a version by name, before it is loaded, as running ones do."""
    bad = models.tree_regressor(tmp_path / "bad")
    require("scikit-learn==0.1\nno-such-package==1.2")(bad)
    publish(proxy.upstream, bad, "m")
    with pytest.raises(ModelUnusable) as rejected:
        asyncio.run(ModelLoader(URI, refresh=REFRESH).model())
    assert "requires scikit-learn==0.1, but scikit-learn" in str(rejected.value)
    assert "no-such-package==1.2, but no-such-package is not installed: deploy this version" in str(rejected.value)
    assert "UnpicklingError" not in str(rejected.value)


def test_checked_requirements_start(proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new instance starts with requirements that deploy.sh resolved, or with a pinned digest, whatever is installed."""
    moved = models.tree_regressor(tmp_path / "moved")
    (moved / "requirements.txt").write_text("scikit-learn==0.1\n")
    publish(proxy.upstream, moved, "m")
    assert asyncio.run(ModelLoader(URI, digest(moved), refresh=REFRESH).model())
    monkeypatch.setattr("loading.packages.ROOT", tmp_path)
    (tmp_path / "model-requirements.txt").write_text("scikit-learn==0.1\n")
    assert asyncio.run(ModelLoader(URI, refresh=REFRESH).model())


def delete_mlmodel(proxy: Proxy) -> None:
    httpx.delete(f"{proxy.upstream}/storage/v1/b/models/o/m%2FMLmodel", trust_env=False).raise_for_status()


def test_other_digest_rejected(
    proxy: Proxy, saved: Callable[[str], str], second_model: str, log: list[dict[str, Any]]
) -> None:
    """With a MODEL_DIGEST no other model takes over."""

    async def follow() -> None:
        loader = ModelLoader(URI, digest(saved("tree_regressor")), refresh=REFRESH)
        first = await loader.model()
        publish(proxy.upstream, second_model, "m")
        await wait_for_model(loader, lambda _: any("but MODEL_DIGEST is" in line["message"] for line in log))
        assert await loader.model() is first

    asyncio.run(follow())


@pytest.mark.usefixtures("fresh_code")
def test_other_code_under_same_name_rejected(proxy: Proxy, log: list[dict[str, Any]], tmp_path: Path) -> None:
    """A version whose code has the file names of the old one and other content is rejected."""
    folder = models.python_model(tmp_path / "model")
    publish(proxy.upstream, folder, "m")

    async def follow() -> None:
        loader = ModelLoader(URI, refresh=REFRESH)
        first = await loader.model()
        (folder / "code" / "prepare.py").write_text("def scale(frame, factor):\n    return frame.assign(total=0.0)\n")
        publish(proxy.upstream, folder, "m")
        await wait_for_model(loader, lambda _: any("has other code" in line["message"] for line in log))
        model = await loader.model()
        assert model is first
        assert model.predict(from_arguments(model.signature, [[1.5, 1, "x"]])) == ["x: 2.500"]

    asyncio.run(follow())


def test_unreadable_bucket_delays_no_request(
    proxy: Proxy, second_model: str, log: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a poll hangs requests are answered at once; the failure is logged once, and polling recovers."""
    resume = threading.Event()

    def hold(handler: Handler, fetch: Callable[[], Response]) -> None:
        resume.wait(2 * DEADLINE)
        faults.status(503)(handler, fetch)

    async def follow() -> None:
        loader = ModelLoader(URI, refresh=REFRESH)
        first = await loader.model()
        monkeypatch.setattr("loading.bucket.RETRY_SECONDS", 0)
        monkeypatch.setattr("loading.bucket.TIMEOUT", (60, 2 * DEADLINE))
        proxy.plan = always(hold)
        await wait_for_polls(proxy, loader, 1)
        for _ in range(100):
            assert await asyncio.wait_for(loader.model(), DEADLINE) is first
        assert not resume.is_set()
        resume.set()
        await wait_for_polls(proxy, loader, 3)
        assert await loader.model() is first
        proxy.plan = None
        publish(proxy.upstream, second_model, "m")
        await wait_for_version(loader, second_model)

    asyncio.run(follow())
    assert [line["severity"] for line in log if "could not check" in line["message"]] == ["WARNING"]


def test_forbidden_poll_tried_again(proxy: Proxy, second_model: str, log: list[dict[str, Any]]) -> None:
    """A version whose second poll was forbidden takes over once the bucket can be read."""
    polled = False

    def allow_first_poll(_: StorageRequest) -> Fault:
        nonlocal polled
        fault = faults.status(403) if polled else no_fault
        polled = True
        return fault

    async def follow() -> None:
        loader = ModelLoader(URI, refresh=REFRESH)
        first = await loader.model()
        publish(proxy.upstream, second_model, "m")
        proxy.plan = allow_first_poll
        await wait_for_model(loader, lambda _: any("objectViewer" in line["message"] for line in log))
        assert await loader.model() is first
        proxy.plan = None
        await wait_for_version(loader, second_model)

    asyncio.run(follow())
