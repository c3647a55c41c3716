"""Fixtures for all tests: a clean environment, models saved by MLflow, a Cloud Storage emulator, the function's app."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# As in main.py: threads of OpenMP that wait for each other take many times as long when the machine is busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from functions_framework.aio import create_asgi_app
from hypothesis import HealthCheck, settings
from starlette.testclient import TestClient
from xdist.scheduler import LoadScopeScheduling

from local.storage import Storage
from tests import models
from tests.endpoint import Endpoint

# A job in the background of a script ignores Ctrl-C, and so would every process that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent
BUCKET = "models"  # in the Cloud Storage emulator
SETTINGS = (
    "MODEL_URI", "MODEL_DIGEST", "MODEL_REFRESH_SECONDS", "MODEL_THREADS", "ROWS_DEPEND", "MODEL_PLAN", "CLOUD_RUN_TIMEOUT_SECONDS",
    "LOG_LEVEL", "LOG_EXECUTION_ID", "K_SERVICE", "ALLOWED_HOSTS", "STORAGE_EMULATOR_HOST", "MLFLOW_TRACKING_URI",
)  # fmt: skip

settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")


SEPARATE = ("tests/serving", "tests/loading")  # folders whose files share nothing that takes long to make


class FolderScheduling(LoadScopeScheduling):
    """Keeps the tests of a folder in one process, where they share its trained models and running servers.

    The files of the folders with most tests go where there is room, so that both processes end at about the same time.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        folder = file.rpartition("/")[0]
        return file if folder in SEPARATE else folder


CHECKED = ("tests/faults/", "tests/fuzz/")  # folders that wait for processes: too slow for the fast tier


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the folders of CHECKED to make check."""
    for item in items:
        if item.nodeid.startswith(CHECKED) and not any(item.iter_markers("slow")):
            item.add_marker(pytest.mark.check)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FolderScheduling:
    return FolderScheduling(config, log)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Remove the function's settings from the environment, and undo what the framework sets after each test."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Return the folder of a model in tests/models.py by name; each is saved once for all tests."""
    root = tmp_path_factory.mktemp("models")

    def folder(name: str) -> str:
        if not (root / name).exists():
            models.RANDOM = np.random.default_rng(7)  # independent of the models saved before
            getattr(models, name)(root / name)
        return str(root / name)

    return folder


@pytest.fixture
def folder(saved: Callable[[str], str], tmp_path: Path) -> Path:
    """Return a copy of a model's folder for a test to damage."""
    return Path(shutil.copytree(saved("tree_regressor"), tmp_path / "model"))


@pytest.fixture(scope="session")
def emulator() -> Iterator[Storage]:
    """Return a running Cloud Storage emulator with the bucket BUCKET."""
    with Storage() as running:
        running.create_bucket(BUCKET)
        yield running


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Callable[..., TestClient]:
    """Return a test client of the function's app, created by the framework for a MODEL_URI and other settings."""

    def start(model_uri: str, **settings: str) -> TestClient:
        for name, value in {"MODEL_URI": model_uri, "LOG_LEVEL": "CRITICAL", **settings}.items():
            monkeypatch.setenv(name, value)
        return TestClient(create_asgi_app("predict", str(ROOT / "main.py")), base_url="http://127.0.0.1:8080")

    return start


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """Return a remote function that replies with the number of arguments until told otherwise."""
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()
