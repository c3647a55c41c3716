"""Every command of the README and the other pages, run as written in a fresh copy of the project after `make demo`.

Searches get a tiny budget, and ports are free ones. Commands of the cloud run against the stand-in for Google Cloud; of
gcloud commands that it has no API for, the flags are checked against gcloud's own help.
"""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from mlflow import MlflowClient

from launch.processes import free_port
from tests.conftest import ROOT
from tests.docs.pages import PAGES, Command, blocks, commands
from tests.google_cloud.server import GoogleCloud

pytestmark = pytest.mark.check

MAX_SECONDS = 900  # of one command, for a busy machine
LONGEST = ("deploying.md", "training.md", "performance.md")  # pages whose commands deploy, search and measure
COMMANDS = [
    pytest.param(command, id=str(command), marks=[pytest.mark.slow] if page.name in LONGEST else [])
    for page in PAGES
    if page != ROOT / "bqlocal" / "README.md"  # has files of its own: tests/bqlocal/test_readme.py
    for command in commands(page)
    if not command.is_make and "pip " not in command.text
]
# Commands that need the function, which the page has the reader start in another terminal.
NEEDS_FUNCTION = re.compile(r"127\.0\.0\.1:8080|session\.db")
UNTIL_CTRL_C = re.compile(r" local up |functions-framework")
CLOUD = re.compile(r"gs://|\./deploy\.sh|^gcloud|^bq ")
BUCKET = "my-bucket"
REGISTRY = "https://mlflow.example.com"


def run(command: str, copy: Path, environment: dict[str, str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        cwd=copy, env={**os.environ, **environment}, input=stdin, capture_output=True, text=True, timeout=MAX_SECONDS,
        check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project's files with this environment as its .venv, after `make demo`."""
    folder = tmp_path_factory.mktemp("copy")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    # Each environment of a model takes half a minute and half a gigabyte.
    (ROOT / ".deploy").mkdir(exist_ok=True)
    (folder / ".deploy").symlink_to(ROOT / ".deploy")
    demo = run(".venv/bin/python -m local demo --minutes 0.05", folder, {})
    assert demo.returncode == 0, demo.stderr
    return folder


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory, copy: Path) -> Iterator[GoogleCloud]:
    """Return the stand-in for Google Cloud, with the demo's model at the place that the pages name."""
    for tool in ("gcloud", "bq"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    with GoogleCloud(tmp_path_factory.mktemp("google-cloud")) as google:
        google.create_bucket(BUCKET)
        model = copy / "demo-output" / "model"
        for file in model.rglob("*"):
            if file.is_file():
                httpx.post(
                    f"{google.cloud.storage_url}/upload/storage/v1/b/{BUCKET}/o",
                    params={"uploadType": "media", "name": f"houses/{file.relative_to(model)}"},
                    content=file.read_bytes(), trust_env=False,
                ).raise_for_status()  # fmt: skip
        yield google


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URI of an MLflow registry whose champion is the model in the bucket."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('registry')}/mlflow.db"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    client.create_registered_model("houses")
    client.create_model_version("houses", source=f"gs://{BUCKET}/houses")
    client.set_registered_model_alias("houses", "champion", "1")
    return uri


def assert_flags(command: str) -> None:
    """Assert that gcloud knows a command and its flags."""
    words = shlex.split(command)
    flags = {word.partition("=")[0] for word in words if word.startswith("--")}
    names = list(iter_until_argument(words[1:]))
    help_text = subprocess.run(
        ["gcloud", *names, "--help"],
        capture_output=True, text=True, timeout=MAX_SECONDS, check=False, env={**os.environ, "PAGER": "cat"},
    )  # fmt: skip
    assert help_text.returncode == 0, help_text.stderr
    assert [flag for flag in flags if flag not in help_text.stdout] == []


def iter_until_argument(words: list[str]) -> Iterator[str]:
    """Yield the words of gcloud's command groups: those before the first argument or flag."""
    groups = {"run": 3, "logging": 2, "functions": 2, "auth": 2}
    depth = groups[words[0]]
    if words[:3] == ["auth", "application-default", "login"]:
        depth = 3
    yield from words[:depth]


@contextlib.contextmanager
def running(command: str, copy: Path, port: int) -> Iterator[None]:
    """Run a command until the function answers on its port; then press Ctrl-C, and expect it to end."""
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}" if "=" not in command.split()[0] else command],
        cwd=copy, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + MAX_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}/favicon.ico", trust_env=False, timeout=MAX_SECONDS)
                break
            time.sleep(0.1)
        assert process.poll() is None, "it ended by itself"
        yield
        os.killpg(process.pid, signal.SIGINT)
        process.wait(MAX_SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def served(copy: Path) -> Iterator[int]:
    """Run the function with the demo's model; return its port."""
    port = free_port()
    with running(f".venv/bin/python -m local up --model demo-output/model --port {port}", copy, port):
        yield port


@pytest.mark.parametrize("command", COMMANDS)
def test_command_runs(command: Command, copy: Path, request: pytest.FixtureRequest) -> None:
    """A command of a page exits with status 0, or runs until Ctrl-C if it is a server."""
    text = re.sub(r"--minutes [\d.]+", "--minutes 0.05", command.text)
    if UNTIL_CTRL_C.search(text):
        port = free_port()
        with running(re.sub(r"--port \d+", f"--port {port}", text), copy, port):
            reply = httpx.get(f"http://127.0.0.1:{port}/", trust_env=False, timeout=MAX_SECONDS)
            assert reply.status_code == 200
        return
    environment, stdin = {}, ""
    if NEEDS_FUNCTION.search(text):
        text = text.replace(":8080", f":{request.getfixturevalue('served')}")
    if REGISTRY in text:
        text = text.replace(REGISTRY, request.getfixturevalue("registry"))
    if CLOUD.search(text):
        environment = request.getfixturevalue("google").environment
    if text.startswith("gcloud"):
        first, _, text = text.partition(" | ")
        assert_flags(first)
        stdin = (copy / "demo-output" / "function.log").read_text()
        if not text:
            return
    ended = run(text, copy, environment, stdin)
    assert ended.returncode == 0, f"{command.text}\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}"


def test_pytest_example(copy: Path, served: int) -> None:
    """The tests on the page about BigQuery on a laptop pass."""
    page = ROOT / "docs" / "bigquery-on-a-laptop.md"
    (copy / "example").mkdir()
    for name, text in zip(("conftest.py", "test_example.py"), blocks(page, "python"), strict=True):
        (copy / "example" / name).write_text(text)
    render = next(command.text for command in commands(page) if "sql.render" in command.text)
    ended = run(render.replace(":8080", f":{served}"), copy, {})
    assert ended.returncode == 0, ended.stderr
    ended = run(".venv/bin/python -m pytest -q -c /dev/null --rootdir example example", copy, {})
    assert "1 passed" in ended.stdout, ended.stdout + ended.stderr
