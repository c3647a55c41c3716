"""Versions that can't be loaded for reasons around them: storage, disk or memory. They are tried again."""

import asyncio
import errno
import pkgutil
from collections.abc import Callable
from typing import Any

import pytest

from loading import progress
from model_loader import ModelLoader
from tests.faults import faults
from tests.faults.conftest import URI
from tests.faults.faults import always, first
from tests.faults.proxy import Proxy, publish
from tests.faults.watching import REFRESH, wait_for_polls, wait_for_version

pytestmark = [
    pytest.mark.usefixtures("fast_retries"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),  # as in test_loading.py
]


def fill_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next file system call that writes a model's file fail."""
    write = progress.Writer.write

    def full(self: progress.Writer, data: Any) -> int:
        monkeypatch.setattr(progress.Writer, "write", write)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(progress.Writer, "write", full)


def exhaust_memory(monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    """Let one call fail as it does when the memory is full."""
    owner, _, name = failing.rpartition(".")
    real = getattr(pkgutil.resolve_name(owner), name)

    def fail(*_: Any, **__: Any) -> Any:
        monkeypatch.setattr(failing, real)
        raise MemoryError

    monkeypatch.setattr(failing, fail)


SHORTAGES: dict[str, Callable[[Proxy, pytest.MonkeyPatch], None]] = {
    "one file forbidden": lambda proxy, _: setattr(proxy, "plan", first(1, faults.status(403), "model.pkl")),
    "bucket gone": lambda proxy, _: setattr(proxy, "plan", first(1, faults.status(404), "")),
    "disk full": lambda _, monkeypatch: fill_disk(monkeypatch),
    "too little memory to load": lambda _, monkeypatch: exhaust_memory(monkeypatch, "loading.load.build"),
    "too little memory to predict": lambda _, monkeypatch: exhaust_memory(monkeypatch, "serving.encoding.encode"),
}


@pytest.mark.parametrize("shorten", SHORTAGES.values(), ids=SHORTAGES)
def test_shortage_tried_again(
    proxy: Proxy,
    second_model: str,
    log: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    shorten: Callable[[Proxy, pytest.MonkeyPatch], None],
) -> None:
    """A version that storage, disk or memory kept from being loaded takes over later; the failure is logged once."""

    async def follow() -> None:
        loader = ModelLoader(URI, refresh=REFRESH)
        await loader.model()
        shorten(proxy, monkeypatch)
        publish(proxy.upstream, second_model, "m")
        await wait_for_version(loader, second_model)

    asyncio.run(follow())
    assert [line["severity"] for line in log if "Still serving" in line["message"]] == ["WARNING"]


def test_lasting_shortage_logged_once(
    proxy: Proxy, second_model: str, log: list[dict[str, Any]], saved: Callable[[str], str]
) -> None:
    """A version whose file stays forbidden is tried with growing pauses, logged once, and forgotten when it is gone."""

    async def follow() -> None:
        loader = ModelLoader(URI, refresh=REFRESH)
        first_model = await loader.model()
        proxy.requests.clear()
        proxy.plan = always(faults.status(403), "model.pkl")
        publish(proxy.upstream, second_model, "m")
        await wait_for_polls(proxy, loader, 120)
        assert await loader.model() is first_model
        names = [request.name for request in proxy.requests]
        assert 2 < names.count("m/model.pkl") < names.count("")  # how many fewer depends on how busy the machine is
        proxy.plan = None
        await wait_for_version(loader, second_model)

    asyncio.run(follow())
    assert len([line for line in log if "Still serving" in line["message"]]) == 1
