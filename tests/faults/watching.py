"""Helpers for tests of the model watcher: they request the model, as callers do, until something has happened."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from model_loader import ModelLoader, folder_digest
from serving.model import Model
from tests.faults.proxy import Proxy

REFRESH = 0.01  # seconds between two polls
DEADLINE = 600  # seconds; the machine may be busy


def digest(folder: str | Path) -> str:
    return folder_digest(Path(folder))


async def wait_for_model(loader: ModelLoader, condition: Callable[[Model], bool]) -> Model:
    """Request the model until a condition holds; return it."""
    deadline = time.monotonic() + DEADLINE
    while not condition(model := await loader.model()):
        assert time.monotonic() < deadline, model.info
        await asyncio.sleep(REFRESH)
    return model


async def wait_for_version(loader: ModelLoader, folder: str | Path) -> Model:
    """Request the model until it is the one in a folder; return it."""
    version = digest(folder)
    return await wait_for_model(loader, lambda model: model.info.version == version)


async def wait_for_polls(proxy: Proxy, loader: ModelLoader, count: int) -> None:
    """Request the model until the bucket has been polled `count` more times."""
    before = len(proxy.requests)
    await wait_for_model(loader, lambda _: len(proxy.requests) >= before + count)
