"""Several models in one process: each is loaded when it is asked for, and the least recently used makes room.

A model leaves before memory runs out, since a process that runs out is killed, and comes back when a request asks for
it. A request that a leaving model is answering keeps it in memory until then.
"""

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable
from typing import Protocol

from loading.limits import is_shortage
from loading.memory import gigabytes, return_freed, usage
from serving.errors import ModelBlocked
from serving.model import Model

# What stays free, for what requests and predictions take: a tenth of the memory, at most so many bytes.
RESERVE, MAX_RESERVE = 0.1, 256 * 2**20
CHECK_SECONDS = 1.0  # between two looks at the memory while requests arrive
LEAVE_SECONDS = 5.0  # how long a model that leaves may still answer before the memory is measured again

Measure = Callable[[], tuple[float, float]]  # bytes in use, and how many there are
LogEvent = Callable[..., None]


class Loader(Protocol):
    """Loads one model."""

    @property
    def loaded(self) -> bool:
        """Whether `model` returns without waiting."""

    async def model(self) -> Model:
        """Return the model; raise ModelUnusable or ModelUnreachable."""

    def unload(self) -> "weakref.ref[Model] | None":
        """Forget the model until it is asked for again; return a reference to it, None if there is none."""


class Residents:
    """The models of one process. `measure` tells how much memory is used, `log_event` writes a log line."""

    def __init__(self, log_event: LogEvent, measure: Measure = usage) -> None:
        self._log_event = log_event
        self._measure = measure
        self._loaders: dict[str, Loader] = {}  # the least recently used first
        self._evicting = threading.Lock()
        self._next_check = 0.0
        self._check: asyncio.Future[bool] | None = None

    def add(self, name: str, loader: Loader) -> "Resident":
        """Return the source of the model with this name."""
        self._loaders[name] = loader
        return Resident(self, name, loader)

    def used(self, name: str) -> None:
        """Note that a request asks for a model, and look at the memory from time to time; call it on the event loop."""
        self._loaders[name] = self._loaders.pop(name)
        now = time.monotonic()
        if now >= self._next_check and (self._check is None or self._check.done()):
            self._next_check = now + CHECK_SECONDS
            if self._is_short(0):
                self._check = asyncio.ensure_future(asyncio.to_thread(self.make_room, 0, name))

    def make_room(self, needed: float, name: str) -> bool:
        """Let models leave until there is room for so many bytes; return whether any left.

        The model with this name stays. Call it in a thread: it waits until a model that leaves has answered.
        """
        left = False
        with self._evicting:
            while self._is_short(needed) and self._evict(name):
                left = True
        return left

    def evict_one(self, name: str) -> bool:
        """Let the least recently used model leave, unless it has this name; return whether one left."""
        with self._evicting:
            return self._evict(name)

    def _is_short(self, needed: float) -> bool:
        used, limit = self._measure()
        return used + needed > limit - min(RESERVE * limit, MAX_RESERVE)

    def _evict(self, kept: str) -> bool:
        used, limit = self._measure()
        for name, loader in list(self._loaders.items()):
            if name == kept or not loader.loaded or (leaving := loader.unload()) is None:
                continue
            self._log_event(
                "INFO",
                f"Unloaded the model {name}, the least recently used: {gigabytes(used)} of {gigabytes(limit)} of "
                "memory were in use. The next request for it loads it again.",
            )
            _wait_until_gone(leaving)
            return True
        return False


class Resident:
    """One of the models of a process."""

    def __init__(self, residents: Residents, name: str, loader: Loader) -> None:
        self._residents = residents
        self._name = name
        self._loader = loader

    @property
    def loaded(self) -> bool:
        """Whether `model` returns without waiting."""
        return self._loader.loaded

    async def model(self) -> Model:
        """Return the model; raise ModelUnusable or ModelUnreachable.

        If memory or disk were too short for it, models leave one by one until it can be loaded.
        """
        self._residents.used(self._name)
        while True:
            try:
                return await self._loader.model()
            except ModelBlocked as error:
                if not is_shortage(error) or not await asyncio.to_thread(self._residents.evict_one, self._name):
                    raise


def _wait_until_gone(leaving: "weakref.ref[Model]") -> None:
    deadline = time.monotonic() + LEAVE_SECONDS
    gc.collect()
    while leaving() is not None and time.monotonic() < deadline:
        time.sleep(0.02)
        gc.collect()
    return_freed()
