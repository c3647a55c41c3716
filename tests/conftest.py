"""Fixtures for all tests: a clean environment, real models saved by MLflow, and the real app around one of them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from functions_framework.aio import create_asgi_app
from starlette.testclient import TestClient

from tests import models

ROOT = Path(__file__).parent.parent
SETTINGS = ("MODEL_URI", "MODEL_DIGEST", "LOG_LEVEL", "STORAGE_EMULATOR_HOST", "MLFLOW_TRACKING_URI")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a folder in one process, where they share its trained models and running servers."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(item.path.parent.name))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a folder in one process, where they share its trained models and running servers."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(item.path.parent.name))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the settings of the person who runs the tests out of them, and what the framework sets out of the next."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Return the folder of one of the models in tests/models.py, saved once for all tests."""
    root = tmp_path_factory.mktemp("models")

    def folder(name: str) -> str:
        if not (root / name).exists():
            getattr(models, name)(root / name)
        return str(root / name)

    return folder


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Callable[..., TestClient]:
    """Return a client of the real function, started by the real framework for one MODEL_URI."""

    def start(model_uri: str, **settings: str) -> TestClient:
        for name, value in {"MODEL_URI": model_uri, "LOG_LEVEL": "CRITICAL", **settings}.items():
            monkeypatch.setenv(name, value)
        return TestClient(create_asgi_app("predict", str(ROOT / "main.py")))

    return start
