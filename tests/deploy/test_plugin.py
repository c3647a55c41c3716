"""mlflow deployments with the wheel of mlflow-bigquery in an environment of its own: every command, as a user types it."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow import MlflowClient

from launch.processes import free_port
from tests.conftest import ROOT
from tests.deploy.conftest import BUCKET, MAX_SECONDS, PREFIX, Deployment
from tests.environments import create

TARGET = ["-t", "bigquery:/my-project/ds"]
NAMED = [*TARGET, "--name", "houses"]
HERE = ["-C", "region=us-central1", "-C", "location=US"]
MODEL = "models:/houses@champion"
RECORD = "deployments/my-project/us-central1/houses.txt"
ROWS = [{"a": 1.0, "b": 0.30000000000000004, "c": 3, "d": 4}, {"d": 1, "c": 2.5, "b": 0, "a": 1e-300}]

pytestmark = pytest.mark.slow


@dataclass
class Plugin:
    """MLflow with the wheel, in a working directory outside this repository."""

    folder: Path
    environment: dict[str, str]

    def command(self, *words: str) -> list[str]:
        return [str(self.folder / "env" / "bin" / "mlflow"), "deployments", *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=MAX_SECONDS, check=False,
        )  # fmt: skip

    def succeed(self, *words: str) -> str:
        """Run a command that must succeed; return its stdout."""
        ended = self.run(*words)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def fail(self, *words: str) -> str:
        """Run a command that must fail; return the message of its MlflowException."""
        ended = self.run(*words)
        assert ended.returncode == 1
        return ended.stderr.rpartition("mlflow.exceptions.MlflowException: ")[2].strip()


@pytest.fixture(scope="module")
def plugin(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Plugin:
    """Return MLflow with the wheel and its extra, and a registry whose champion is the model in the bucket."""
    folder = tmp_path_factory.mktemp("plugin")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT / "mlflow_bigquery"], check=True)
    (wheel,) = folder.glob("*.whl")
    # mlflow-skinny, which the wheel requires, reads no registry in SQLite.
    create(folder / "env", f"{wheel}[local]", "mlflow")
    uri = f"sqlite:///{folder}/mlflow.db"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    client.create_registered_model("houses")
    client.create_model_version("houses", source=f"gs://{BUCKET}/{PREFIX}")
    client.set_registered_model_alias("houses", "champion", "1")
    environment = {**os.environ, **deployment.google.environment, "DEPLOY_CACHE": str(ROOT / ".deploy")}
    environment |= {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}  # relative to the working directory
    for name in ("PYTHONPATH", "VIRTUAL_ENV"):
        environment.pop(name, None)
    return Plugin(folder, environment)


@pytest.fixture(scope="module")
def created(plugin: Plugin, deployment: Deployment, before: dict[str, Any]) -> str:
    """Create a deployment in an empty project; return what MLflow prints."""
    deployment.restore(before)
    return plugin.succeed("create", *NAMED, "-m", MODEL, *HERE, "-C", "memory=4Gi")


def test_create(created: str, deployment: Deployment) -> None:
    """`create` deploys the alias' version, with SQL functions of the name and a record of what it made."""
    assert "python_function deployment houses is created" in created
    (function,) = deployment.cloud.functions.values()
    assert function["serviceConfig"]["availableMemory"] == "4Gi"
    assert function["serviceConfig"]["environmentVariables"]["MODEL_VERSION"] == "houses/1"
    assert deployment.cloud.routines.keys() == {"ds.houses", "ds.houses_row", "ds.houses_info"}
    assert RECORD in deployment.objects()


def test_create_again(plugin: Plugin, created: str) -> None:
    """A name that the dataset has is refused, before anything is asked."""
    assert plugin.fail("create", *NAMED, "-m", MODEL, *HERE) == (
        "The deployment houses exists in my-project.ds; use 'mlflow deployments update'."
    )


def test_get_and_list(plugin: Plugin, created: str) -> None:
    """`get` and `list` tell the SQL functions, and which model answers."""
    shown = plugin.succeed("get", *NAMED)
    assert "sql_functions: ['my-project.ds.houses', 'my-project.ds.houses_info', 'my-project.ds.houses_row']" in shown
    assert "houses version 1 at gs://models/tree" in shown
    assert "'name': 'houses'" in plugin.succeed("list", *TARGET)
    assert plugin.fail("get", *TARGET, "--name", "flats") == (
        "There is no deployment 'flats' in my-project.ds; it has houses."
    )


def test_predict(plugin: Plugin, created: str, deployment: Deployment) -> None:
    """`predict` returns what the function answers for the same numbers, by the columns' names."""
    file = plugin.folder / "rows.json"
    file.write_text(json.dumps(ROWS))
    found = json.loads(plugin.succeed("predict", *NAMED, "-I", str(file)))
    calls = {"calls": [[row[name] for name in "abcd"] for row in ROWS]}
    replies = httpx.post(deployment.google.functions.url("houses"), json=calls, trust_env=False).json()["replies"]
    assert found == {"predictions": replies}


def test_refused(plugin: Plugin, created: str) -> None:
    """Problems with the options are all in one exception."""
    message = plugin.fail("update", *NAMED, "-C", "memory=lots", "-C", "timeout=9999")
    assert [line.partition(" ")[0] for line in message.splitlines()] == ["--memory", "--timeout"]
    assert plugin.fail("update", *NAMED, "-C", "memroy=4Gi").startswith("There is no key 'memroy'; expected one of ")


def test_update_and_delete(plugin: Plugin, created: str, deployment: Deployment, before: dict[str, Any]) -> None:
    """`update` needs neither model nor region; `delete` leaves what was there before, and may be repeated."""
    assert "Deployment houses is updated (with flavor python_function)" in plugin.succeed(
        "update", *NAMED, "-C", "min_instances=1"
    )
    (function,) = deployment.cloud.functions.values()
    config = function["serviceConfig"]
    assert (config["availableMemory"], config["minInstanceCount"]) == ("2Gi", 1)
    assert config["environmentVariables"]["MODEL_VERSION"] == "houses/1"
    for _ in range(2):
        assert "Deployment houses is deleted" in plugin.succeed("delete", *NAMED)
    after = deployment.snapshot()
    for resources in ("accounts", "functions", "connections", "datasets", "routines"):
        assert after[resources] == before[resources]
    assert RECORD not in deployment.objects()


def test_run_local(plugin: Plugin, deployment: Deployment) -> None:
    """`run-local` serves the model until Ctrl-C."""
    port = free_port()
    words = ["run-local", "-t", "bigquery", "--name", "houses", "-m", f"gs://{BUCKET}/{PREFIX}", "-C", f"port={port}"]
    with subprocess.Popen(
        plugin.command(*words), cwd=plugin.folder, env=plugin.environment, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout
            line = next(line for line in process.stdout if "The function runs on" in line)
            assert f":{port} " in line
            reply = httpx.get(f"http://127.0.0.1:{port}/", trust_env=False, timeout=MAX_SECONDS)
            assert reply.status_code == 200
        finally:
            os.killpg(process.pid, signal.SIGINT)
        process.wait(MAX_SECONDS)


def test_console_script(plugin: Plugin) -> None:
    """mlflow-bigquery is deploy.sh."""
    script = plugin.folder / "env" / "bin" / "mlflow-bigquery"
    ended = subprocess.run([script, "--memory", "9Zi"], capture_output=True, text=True, check=False, cwd=plugin.folder)
    assert ended.returncode == 2
    assert "--memory is '9Zi'" in ended.stderr
