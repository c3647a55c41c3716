"""Which model leaves when memory is short, and that it comes back; loaders and memory are plain objects."""

import asyncio
import weakref

import pytest

from loading.residents import Resident, Residents
from serving.errors import ModelBlocked, ModelUnusable
from serving.model import Model, ModelInfo
from serving.signature import Signature

LIMIT = 100


class FakeLoader:
    """A model that takes some memory while it is loaded; the first `short` tries to load it run out of it."""

    def __init__(self, residents: Residents, name: str, size: int, short: int = 0) -> None:
        self.size, self.short = size, short
        self.loads = 0
        self._name = name
        self._residents = residents
        self._model: Model | None = None

    @property
    def loaded(self) -> bool:
        return self._model is not None

    async def model(self) -> Model:
        if self._model is None:
            await asyncio.to_thread(self._residents.make_room, self.size, self._name)
            self.loads += 1
            if self.loads <= self.short:
                raise ModelBlocked("It does not fit on the disk.") from OSError(28, "No space left on device")
            self._model = Model(ModelInfo(self._name), Signature((), None), lambda *_: None)
        return self._model

    def unload(self) -> "weakref.ref[Model] | None":
        model, self._model = self._model, None
        return None if model is None else weakref.ref(model)


class Process:
    """Models of a process with memory for 90 of LIMIT."""

    def __init__(self, **sizes: int) -> None:
        self.log: list[str] = []
        self.base = 0
        self.residents = Residents(lambda _, message: self.log.append(message), self.measure)
        self.loaders = {name: FakeLoader(self.residents, name, size) for name, size in sizes.items()}
        self.sources = {name: self.residents.add(name, loader) for name, loader in self.loaders.items()}

    def measure(self) -> tuple[float, float]:
        return self.base + sum(loader.size for loader in self.loaders.values() if loader.loaded), LIMIT

    def ask(self, names: str) -> str:
        """Ask for models by their letters, one after the other; return those that are loaded then."""

        async def each() -> None:
            for name in names:
                assert (await self.sources[name].model()).info.uri == name

        asyncio.run(each())
        return "".join(sorted(name for name, loader in self.loaders.items() if loader.loaded))


def test_least_recently_used_leaves() -> None:
    """The model that nobody has asked for the longest makes room, is logged, and comes back."""
    process = Process(a=30, b=30, c=30, d=30)
    assert process.ask("abc") == "abc"
    assert process.ask("ad") == "acd"
    assert [message.partition(",")[0] for message in process.log] == ["Unloaded the model b"]
    assert process.ask("b") == "abd"
    assert process.loaders["b"].loads == 2
    assert process.loaders["a"].loads == 1


def test_only_as_many_leave_as_necessary() -> None:
    """A large model takes the place of several; a small one that of none."""
    process = Process(a=30, b=30, c=20, d=70, e=10)
    assert process.ask("abce") == "abce"
    assert process.ask("d") == "de"
    assert len(process.log) == 3


def test_model_alone_is_kept() -> None:
    """A model doesn't leave for itself, however short memory is: loading it says what is wrong."""
    process = Process(a=95)
    assert process.ask("a") == "a"
    assert process.log == []


def test_memory_that_requests_take() -> None:
    """Models leave when something else than a model takes the memory."""
    process = Process(a=30, b=30)
    process.ask("ab")
    process.base = 50

    async def ask() -> None:
        await process.sources["b"].model()
        assert process.residents._check is not None
        await process.residents._check

    process.residents._next_check = 0.0
    asyncio.run(ask())
    assert not process.loaders["a"].loaded
    assert process.loaders["b"].loaded


def test_full_disk() -> None:
    """A model that finds no room on the disk, which is memory, is tried again after another one has left."""
    process = Process(a=10, b=10, c=10)
    process.ask("ab")
    process.loaders["c"].short = 2
    assert process.ask("c") == "c"
    process.loaders["a"].short = 99
    with pytest.raises(ModelBlocked):
        process.ask("a")


def test_failures_of_its_own() -> None:
    """A model that can't be loaded makes no other one leave."""
    process = Process(a=10, b=10)
    process.ask("a")

    class Broken(FakeLoader):
        async def model(self) -> Model:
            raise ModelUnusable("It is broken.")

    broken = Resident(process.residents, "b", Broken(process.residents, "b", 10))
    with pytest.raises(ModelUnusable):
        asyncio.run(broken.model())
    assert process.loaders["a"].loaded
