"""Deploys from nothing to a SQL function that answers, deploys again, changes a setting and destroys."""

import io
import json
import signal
import zipfile
from pathlib import Path
from typing import Any

import httpx
import mlflow
import psutil
import pytest
import yaml
from sklearn.linear_model import LinearRegression

from tests import models
from tests.deploy.conftest import ANALYST, BUCKET, MAX_SECONDS, OPTIONS, PREFIX, RECORD, Deployment, Run, members
from tests.faults.processes import wait_for
from tests.google_cloud.cloud import PROJECT

pytestmark = pytest.mark.check

ACCOUNT = f"serviceAccount:sql-fn-predict@{PROJECT}.iam.gserviceaccount.com"
SERVICE = f"projects/{PROJECT}/locations/us-central1/services/predict"
FUNCTION = f"projects/{PROJECT}/locations/us-central1/functions/predict"
CONNECTION = f"projects/{PROJECT}/locations/us/connections/predict"


@pytest.fixture(scope="module")
def dry(deployment: Deployment, before: dict[str, Any]) -> Run:
    """Return a dry run in an empty project."""
    deployment.restore(before)
    return deployment.run("--dry-run", "--grant", ANALYST)


@pytest.fixture(scope="module")
def deployed(first: tuple[Run, dict[str, Any]]) -> dict[str, Any]:
    """Return the state of the project after the first run."""
    return first[1]


@pytest.fixture(scope="module")
def second(deployment: Deployment, deployed: dict[str, Any]) -> Run:
    """Return a second run with the same options."""
    deployment.restore(deployed)
    return deployment.run("--grant", ANALYST)


@pytest.fixture(scope="module")
def changed(deployment: Deployment, deployed: dict[str, Any]) -> Run:
    """Return a run with more memory than the first."""
    deployment.restore(deployed)
    return deployment.run("--grant", ANALYST, memory="4Gi")


@pytest.mark.slow
def test_dry_run(dry: Run) -> None:
    """A dry run prints every command and changes nothing."""
    assert (dry.status, dry.changes) == (0, [])
    for command in (
        "gcloud iam service-accounts create", "gcloud storage buckets add-iam-policy-binding", "gcloud functions deploy",
        "mk --connection", "gcloud run services add-iam-policy-binding", "mk --dataset", "CREATE OR REPLACE FUNCTION",
        "add-iam-policy-binding --connection", "add-iam-policy-binding --routine",
    ):  # fmt: skip
        assert command in dry.out


def test_first_run(first: tuple[Run, dict[str, Any]]) -> None:
    """The first run ends with SQL that returns the model's own predictions."""
    run = first[0]
    assert (run.status, run.err) == (0, "")
    assert run.out.endswith("5 predictions match the model's own.\n")


def test_created_resources(deployed: dict[str, Any]) -> None:
    """A deployment creates its resources and no others."""
    assert list(deployed["accounts"]) == [ACCOUNT.partition(":")[2]]
    assert list(deployed["functions"]) == [FUNCTION]
    assert list(deployed["connections"]) == [CONNECTION]
    assert deployed["datasets"]["ds"]["location"] == "US"
    assert sorted(deployed["routines"]) == ["ds.model_info", "ds.predict", "ds.predict_row"]


def test_function_settings(deployed: dict[str, Any]) -> None:
    """The function runs as its own account and loads only the model that was checked."""
    function = deployed["functions"][FUNCTION]
    config = function["serviceConfig"]
    assert function["buildConfig"]["runtime"] == "python311"
    assert f"serviceAccount:{config['serviceAccountEmail']}" == ACCOUNT
    assert config["environmentVariables"]["MODEL_URI"] == f"gs://{BUCKET}/{PREFIX}"
    assert len(config["environmentVariables"]["MODEL_DIGEST"]) == 64


def test_grants(deployed: dict[str, Any], before: dict[str, Any]) -> None:
    """Roles are granted on one bucket, one service, one connection and the routines."""
    caller = f"serviceAccount:{deployed['connections'][CONNECTION]['cloudResource']['serviceAccountId']}"
    routines = {
        f"projects/{PROJECT}/datasets/ds/routines/{name}": {ANALYST}
        for name in ("predict", "predict_row", "model_info")
    }
    granted = {
        name: members(policy) - members(before["policies"].get(name)) for name, policy in deployed["policies"].items()
    }
    assert {name: found for name, found in granted.items() if found} == {
        f"buckets/{BUCKET}": {ACCOUNT}, SERVICE: {caller}, CONNECTION: {ANALYST}, **routines
    }  # fmt: skip


@pytest.mark.slow
def test_grants_of_others(
    first: tuple[Run, dict[str, Any]], second: Run, changed: Run, before: dict[str, Any], deployed: dict[str, Any]
) -> None:
    """Nobody loses a role, and no role is granted on the project or to everyone."""
    for run in (first[0], second, changed):
        assert not [it.path for it in run.requests if it.path.endswith(f"/projects/{PROJECT}:setIamPolicy")]
        assert not [it.path for it in run.requests if members(it.body) & {"allUsers", "allAuthenticatedUsers"}]
    for resource, policy in before["policies"].items():
        assert members(policy) <= members(deployed["policies"][resource])


def test_uploaded_source(deployment: Deployment, deployed: dict[str, Any]) -> None:
    """The uploaded source is small and holds only what the function needs."""
    archive = next(it for it in deployment.google.functions.archives if it)
    names = zipfile.ZipFile(io.BytesIO(archive)).namelist()
    assert {name.partition("/")[0] for name in names if not name.endswith("/")} == {
        "listed_models.py", "loading", "main.py", "model_loader.py",
        "requirements.txt", "serving", "sql",
    }  # fmt: skip
    assert {name for name in names if name.startswith("sql/")} - {"sql/"} == {"sql/__init__.py", "sql/names.py"}
    assert not [name for name in names if "__pycache__" in name]
    assert len(archive) < 200_000


def test_second_run(second: Run) -> None:
    """A second run changes nothing."""
    assert (second.status, second.changes) == (0, [])
    assert second.out.endswith("5 predictions match the model's own.\n")


@pytest.mark.slow
def test_changed_setting(changed: Run) -> None:
    """A changed setting is recorded, redeploys the function, and changes nothing else."""
    assert changed.status == 0
    recorded, *deployed = changed.changes
    assert recorded == f"POST /upload/storage/v1/b/{BUCKET}/o"
    assert [change.split("/")[-1] for change in deployed][::2] == ["functions:generateUploadUrl", "predict"]
    assert deployed[1].startswith("PUT /source/")
    assert deployed[-1] == f"PATCH /v2/{FUNCTION}"


def test_destroy(deployment: Deployment, deployed: dict[str, Any], before: dict[str, Any]) -> None:
    """--destroy deletes what was created and leaves the rest."""
    deployment.restore(deployed)
    run = deployment.run("--destroy")
    after = deployment.snapshot()
    assert (run.status, run.err) == (0, "")
    for resources in ("accounts", "functions", "connections", "datasets", "routines"):
        assert after[resources] == before[resources]
    assert members(after["policies"][f"buckets/{BUCKET}"]) == members(before["policies"][f"buckets/{BUCKET}"])
    assert RECORD not in deployment.objects()
    assert f"{PREFIX}/MLmodel" in deployment.objects()


def test_options_from_environment(deployment: Deployment) -> None:
    """Every option can be an environment variable."""
    variables = {name.upper(): value for name, value in OPTIONS.items()} | {"MEMORY": "lots"}
    run = deployment.run(environment=variables, **dict.fromkeys(OPTIONS, ""))
    assert (run.status, run.err) == (
        2, "deploy.sh: --memory is 'lots'; expected a number and a unit, such as 4Gi.\n"
    )  # fmt: skip


def test_ctrl_c(deployment: Deployment, before: dict[str, Any]) -> None:
    """Ctrl-C ends the run with status 130, and every command that it started."""
    deployment.restore(before)
    with deployment.start() as run:
        wait_for(lambda: bool(deployment.cloud.requests) or run.poll() is not None)
        started = psutil.Process(run.pid).children(recursive=True)
        run.send_signal(signal.SIGINT)
        assert run.wait(MAX_SECONDS) == 130
    assert started
    assert psutil.wait_procs(started, MAX_SECONDS)[1] == []


@pytest.mark.slow
def test_local_folder(deployment: Deployment, before: dict[str, Any], tmp_path: Path) -> None:
    """A folder with a space and columns that need quotes are deployed; BigQuery is told the bucket, not the folder."""
    X = models.numbers(columns=3).set_axis(["a b", "c", "select"], axis=1)
    folder = models.save(tmp_path / "my models", LinearRegression().fit(X, X.c), X)
    deployment.restore(before)
    run = deployment.run(model=str(folder), publish=f"gs://{BUCKET}/published")
    assert run.status == 0, run.err
    assert run.out.endswith("predictions match the model's own.\n")
    routine = deployment.cloud.routines["ds.predict"]
    assert f" Model gs://{BUCKET}/published, digest " in routine["description"]
    assert str(tmp_path) not in json.dumps(deployment.cloud.routines)


@pytest.mark.slow
def test_signature_from(deployment: Deployment, before: dict[str, Any], tmp_path: Path) -> None:
    """With --signature-from, the copy of the model with a signature is what is published and deployed."""
    X = models.numbers(columns=2)
    estimator = LinearRegression().fit(X.to_numpy(), X.a + X.b)
    pins = {"pip_requirements": models.PINS, "serialization_format": "cloudpickle"}
    mlflow.sklearn.save_model(estimator, str(tmp_path / "model"), **pins)
    X.set_axis(["height", "weight"], axis=1).to_csv(tmp_path / "rows.csv", index=False)
    deployment.restore(before)
    options = {"publish": f"gs://{BUCKET}/signed", "signature_from": str(tmp_path / "rows.csv")}
    run = deployment.run(model=str(tmp_path / "model"), **options)
    assert run.status == 0, run.err
    assert "signed/input_example.json" in deployment.objects("signed/")
    assert run.out.endswith("predictions match the model's own.\n")
    url = f"{deployment.cloud.storage_url}/storage/v1/b/{BUCKET}/o/signed%2FMLmodel?alt=media"
    signature = yaml.safe_load(httpx.get(url, trust_env=False).text)["signature"]
    assert [each["name"] for each in json.loads(signature["inputs"])] == ["height", "weight"]
    assert "signature:" not in (tmp_path / "model" / "MLmodel").read_text()
