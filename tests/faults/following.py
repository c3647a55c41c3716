"""How the tests of following ask for the model until something has happened."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from model_loader import ModelLoader, folder_digest
from serving.model import Model
from tests.faults.proxy import Proxy

OFTEN = 0.01  # seconds


def digest(folder: str | Path) -> str:
    return folder_digest(Path(folder))


async def until(loader: ModelLoader, condition: Callable[[Model], bool]) -> Model:
    """Ask for the model as requests do until a condition holds."""
    deadline = time.monotonic() + 30
    while not condition(model := await loader.model()):
        assert time.monotonic() < deadline, model.info
        await asyncio.sleep(OFTEN)
    return model


async def looks(proxy: Proxy, loader: ModelLoader, count: int) -> None:
    """Ask for the model until another `count` looks were taken."""
    before = len(proxy.asked)
    await until(loader, lambda _: len(proxy.asked) >= before + count)
