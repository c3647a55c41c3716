"""--model names a model of an MLflow registry: which version it is, where its files are, and whether it is followed."""

import contextlib
import io
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from mlflow import MlflowClient

from deploy.deployment import Deployment as Step
from deploy.function import environment_options
from deploy.observation import MemberReport, ModelReport
from deploy.options import OPTIONS as TABLE
from deploy.options import to_plan
from deploy.planned import planned_models
from deploy.registry import look_up
from launch import processes, registry
from launch.description import Description
from launch.errors import Blocked
from launch.processes import free_port
from launch.registry import Registered
from model_loader import folder_digest
from serving.model import Model, ModelInfo
from serving.signature import Signature
from tests import models
from tests.deploy.conftest import BUCKET, MAX_SECONDS, OPTIONS, PREFIX, Deployment, Run
from tests.google_cloud.cloud import PROJECT

SERVER = "https://mlflow.example.com"
CHAMPION = Registered("models:/houses@champion", "houses/3", "gs://models/tree", SERVER)
FUNCTION = f"projects/{PROJECT}/locations/us-central1/functions/predict"
VALUES = {**{it.key: it.default for it in TABLE}, **OPTIONS, "model": CHAMPION.uri}


def variables(values: dict[str, str], found: Registered | None, answers: str = "the plan") -> dict[str, str]:
    """Return the options for the function's environment."""
    settings = Description(Model(ModelInfo("m", answers=answers), Signature((), None), print), [], []).settings
    plan = to_plan(values, found)
    member = MemberReport("d", settings.get("MODEL_PLAN", "on"), (), 0)
    report = cast("ModelReport", SimpleNamespace(digest="d", members={"predict-model": member}))
    step = SimpleNamespace(plan=plan, models=planned_models(plan, report, []))
    return environment_options(cast("Step", step))


def test_fixed_version() -> None:
    """A version in a bucket is read where it is, pinned to its digest, and called by its name and number."""
    assert look_up({**VALUES, "model": "gs://models/tree"}) is None
    assert variables(VALUES, CHAMPION) == {
        "remove-env-vars": "MODELS,SQL_NAME,MODEL_REFRESH_SECONDS,MLFLOW_TRACKING_URI,MODEL_PLAN,DEPLOY_RECORD",
        "update-env-vars": "MODEL_URI=gs://models/tree,MODEL_DIGEST=d,MODEL_VERSION=houses/3,WORKERS=1",
    }


def test_plan_that_differs() -> None:
    """A model whose plan differed in its examination answers itself, however few rows the function compares."""
    differs = "the model, since its plan differs: sklearn.Ridge, row 7 of 3000"
    assert variables(VALUES, CHAMPION, differs)["update-env-vars"].endswith(",MODEL_PLAN=off,WORKERS=1")
    others = variables(VALUES, CHAMPION, "the model, since a plan doesn't cover it: it's R")
    assert "MODEL_PLAN" not in others["update-env-vars"]
    assert ",MODEL_PLAN," in others["remove-env-vars"]  # of an earlier model


def test_version_with_comma() -> None:
    """A registered name with a comma doesn't end the variable for gcloud."""
    found = variables(VALUES, replace(CHAMPION, version="houses, all/3"))
    assert found["update-env-vars"].startswith(
        "^@@^MODEL_URI=gs://models/tree@@MODEL_DIGEST=d@@MODEL_VERSION=houses, all/3@@"
    )


def test_followed_alias() -> None:
    """A followed alias is the function's MODEL_URI, with the registry's address and without a digest or a version."""
    values = {**VALUES, "follow": "300"}
    assert to_plan(values, CHAMPION).bucket == "models"
    assert variables(values, CHAMPION) == {
        "remove-env-vars": "MODELS,MODEL_DIGEST,MODEL_VERSION,SQL_NAME,MODEL_PLAN,DEPLOY_RECORD",
        "update-env-vars": f"MODEL_URI={CHAMPION.uri},MODEL_REFRESH_SECONDS=300,MLFLOW_TRACKING_URI={SERVER},WORKERS=1",
    }


def test_followed_bucket() -> None:
    """A followed prefix is the function's MODEL_URI, without a digest."""
    found = variables({**VALUES, "model": "gs://models/tree", "follow": "300"}, None)
    assert found["update-env-vars"] == "MODEL_URI=gs://models/tree,MODEL_REFRESH_SECONDS=300,WORKERS=1"


@pytest.mark.parametrize(
    ("changes", "options", "said"),
    [
        (
            {"location": "mlflow-artifacts:/1/a"},
            {},
            "--publish is required, because the files of models:/houses@champion",
        ),
        ({"location": "gs://models/a b"}, {}, "are at 'gs://models/a b'; expected gs://bucket/prefix."),
        ({"registry": "sqlite:///m.db"}, {"follow": "9"}, "the function cannot reach the registry at 'sqlite:///m.db'"),
        ({"registry": "http://localhost:5000"}, {"follow": "9"}, "the function cannot reach the registry at"),
        (
            {"registry": f"http://{socket.gethostname()}:5000"},
            {"follow": "9"},
            "the function cannot reach the registry",
        ),
        ({"registry": "http://127.0.0.1:5000"}, {"follow": "9"}, "the function cannot reach the registry at"),
        ({"registry": "https://ana:x@mlflow.example.com"}, {"follow": "9"}, "MLFLOW_TRACKING_URI has a password"),
        ({"location": "mlflow-artifacts:/1/a"}, {"follow": "9"}, "expected a registry that keeps them in gs://."),
    ],
    ids=[
        "no-publish",
        "space",
        "database",
        "localhost",
        "this-machine",
        "loopback",
        "password",
        "artifacts-of-the-server",
    ],
)
def test_refused(changes: dict[str, str], options: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be read in a bucket, or can't be followed, is refused in one sentence."""
    monkeypatch.setattr("deploy.registry.find", lambda _: replace(CHAMPION, **changes))
    with pytest.raises(Blocked, match="expected") as refused:
        look_up({**VALUES, **options})
    (sentence,) = refused.value.blockers
    assert said in sentence


def test_no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without MLFLOW_TRACKING_URI there is no registry to ask, and MLflow makes none."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(Blocked, match=r"^MLFLOW_TRACKING_URI is not set; models:/houses@champion needs"):
        look_up(VALUES)


@dataclass
class Store:
    """A registry in a file: houses/1 in the bucket, which is the champion, houses/2 in a folder, and a run's models."""

    uri: str
    run: str
    model: str  # the ID of a logged model
    folder: Path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, saved: Callable[[str], str]) -> Store:
    """Return a registry with models."""
    folder = tmp_path_factory.mktemp("registry")
    found = f"sqlite:///{folder}/mlflow.db"
    client = MlflowClient(tracking_uri=found, registry_uri=found)
    client.create_registered_model("houses")
    for source in (f"gs://{BUCKET}/{PREFIX}", saved("tree_regressor")):
        client.create_model_version("houses", source=source)
    client.set_registered_model_alias("houses", "champion", "1")
    experiment = client.create_experiment("e", artifact_location=(folder / "artifacts").as_uri())
    run = client.create_run(experiment).info.run_id
    client.log_artifacts(run, saved("tree_regressor"), "old")
    logged = client.create_logged_model(experiment, name="tree", source_run_id=run).model_id
    client.log_model_artifacts(logged, saved("tree_regressor"))
    return Store(found, run, logged, folder / "artifacts")


@pytest.fixture
def asked(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Let this process ask the registry."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    return store


@pytest.mark.check
def test_found(asked: Store, saved: Callable[[str], str]) -> None:
    """Every form of a URI leads to a version and to its files."""
    folder, run, logged = asked.folder, asked.run, asked.model
    expected = {
        "models:/houses@champion": ("houses/1", f"gs://{BUCKET}/{PREFIX}"),
        "models:/houses/2": ("houses/2", saved("tree_regressor")),
        f"models:/{logged}": (logged, f"{folder}/models/{logged}/artifacts"),
        f"runs:/{run}/tree": (f"runs:/{run}/tree", f"{folder}/models/{logged}/artifacts"),
        f"runs:/{run}/old": (f"runs:/{run}/old", f"{folder}/{run}/artifacts/old"),
    }
    found = {uri: registry.find(uri) for uri in expected}
    assert {uri: (it.version, it.location) for uri, it in found.items()} == expected
    assert all((registry.local_copy(it) / "MLmodel").is_file() for it in found.values() if not it.in_bucket)


@pytest.mark.check
@pytest.mark.parametrize(
    "uri",
    ["models:/houses@best", "models:/flats@champion", "models:/houses/9", f"models:/m-{'0' * 32}", "runs:/9/tree"],
)
def test_not_found(uri: str, asked: Store) -> None:
    """A model, version, alias or run that the registry doesn't have is one sentence."""
    with pytest.raises(Blocked) as refused:
        registry.find(uri)
    (sentence,) = refused.value.blockers
    assert sentence.startswith(f"The registry did not return {uri}: ")
    assert "\n" not in sentence


@pytest.mark.slow
def test_silent_registry(deployment: Deployment) -> None:
    """A registry that doesn't answer ends the run with status 2, before Google Cloud is asked."""
    environment = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    run = deployment.run(environment=environment, model="models:/houses@champion")
    assert (run.status, run.requests, run.out) == (2, [], "")
    assert run.err.startswith("deploy.sh: The registry did not return models:/houses@champion: API request to ")
    assert run.err.count("\n") == 1


@pytest.fixture(scope="module")
def champion(deployment: Deployment, store: Store, before: dict[str, Any]) -> tuple[Run, dict[str, Any]]:
    """Return the run that deployed the champion, and the state of the project after it."""
    deployment.restore(before)
    run = deployment.run(environment={"MLFLOW_TRACKING_URI": store.uri}, model="models:/houses@champion")
    return run, deployment.snapshot()


@pytest.mark.slow
def test_champion_from_bucket(deployment: Deployment, champion: tuple[Run, dict[str, Any]]) -> None:
    """An alias becomes its version, whose files are read where they are; everything that shows the model names it."""
    run, state = champion
    assert (run.status, run.err) == (0, "")
    deployed = state["functions"][FUNCTION]["serviceConfig"]["environmentVariables"]
    assert (deployed["MODEL_URI"], deployed["MODEL_VERSION"]) == (f"gs://{BUCKET}/{PREFIX}", "houses/1")
    assert (
        f" Model houses version 1 at gs://{BUCKET}/{PREFIX}, digest " in state["routines"]["ds.predict"]["description"]
    )
    url = deployment.google.functions.url("predict")
    assert version(url) == "houses/1"
    assert not [it for it in run.changes if f"{PREFIX}/" in it]


@pytest.mark.slow
def test_published_version(deployment: Deployment, store: Store, before: dict[str, Any]) -> None:
    """A version outside a bucket needs --publish, and is published there."""
    deployment.restore(before)
    environment = {"MLFLOW_TRACKING_URI": store.uri}
    refused = deployment.run(environment=environment, model="models:/houses/2")
    assert (refused.status, refused.changes) == (2, [])
    assert refused.err.startswith("deploy.sh: --publish is required, because the files of models:/houses/2 are at /")
    run = deployment.run(environment=environment, model="models:/houses/2", publish=f"gs://{BUCKET}/published")
    assert (run.status, run.err) == (0, "")
    assert "published/MLmodel" in deployment.objects()
    description = deployment.cloud.routines["ds.predict"]["description"]
    assert f" Model houses version 2 at gs://{BUCKET}/published, digest " in description
    options = {"model": "models:/houses/2", "publish": f"gs://{BUCKET}/published"}
    assert deployment.run("--destroy", environment=environment, **options).status == 0
    assert deployment.cloud.functions == before["functions"]


@pytest.mark.slow
def test_follow_after_pin(
    deployment: Deployment, champion: tuple[Run, dict[str, Any]], saved: Callable[[str], str]
) -> None:
    """--follow takes the digest and the version from a function that was pinned, and a run without it pins again."""
    deployment.restore(champion[1])
    assert deployment.run("--follow", "300").status == 0
    function = deployment.cloud.functions[FUNCTION]
    followed = function["serviceConfig"]["environmentVariables"]
    assert followed["MODEL_REFRESH_SECONDS"] == "300"
    assert not {"MODEL_DIGEST", "MODEL_VERSION"} & followed.keys()
    with zipfile.ZipFile(io.BytesIO(deployment.google.functions.archives[-1])) as source:
        resolved = source.read("model-requirements.txt").decode().splitlines()
    assert resolved == (Path(saved("tree_regressor")) / "requirements.txt").read_text().splitlines()
    assert deployment.run().status == 0
    pinned = deployment.cloud.functions[FUNCTION]["serviceConfig"]["environmentVariables"]
    assert len(pinned["MODEL_DIGEST"]) == 64
    assert "MODEL_REFRESH_SECONDS" not in pinned


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of an MLflow server, not a loopback one, because no function would reach that."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("198.51.100.1", 9))  # sends nothing
        host = probe.getsockname()[0]
    if host == "0.0.0.0" or host.startswith("127."):
        pytest.skip("this machine has no address besides the loopback one")
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    url = f"http://{host}:{port}"
    command = ["mlflow", "server", "--host", host, "--port", str(port), "--workers", "1", "--allowed-hosts", "*"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    with processes.server("MLflow", command, f"{url}/health", folder / "log", cwd=folder):
        yield url


@pytest.mark.slow
def test_proxied_files(
    server: str, saved: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model whose files the server keeps is downloaded once."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setattr(registry, "DOWNLOADS", tmp_path / "registered")
    client = MlflowClient(tracking_uri=server, registry_uri=server)
    logged = client.create_logged_model(client.create_experiment("e"), name="tree").model_id
    client.log_model_artifacts(logged, saved("tree_regressor"))
    found = registry.find(f"models:/{logged}")
    assert found.location.startswith("mlflow-artifacts:/")
    folder = registry.local_copy(found)
    assert folder_digest(folder) == folder_digest(Path(saved("tree_regressor")))
    monkeypatch.setattr(registry, "download_by_mlflow", None)
    assert registry.local_copy(found) == folder


@pytest.mark.slow
def test_alias_is_followed(server: str, deployment: Deployment, before: dict[str, Any], tmp_path: Path) -> None:
    """A function deployed with --follow serves what the alias points to, also after it moved."""
    deployment.restore(before)
    second = models.tree_regressor(tmp_path / "second")
    for file in second.rglob("*"):
        if file.is_file():
            deployment.upload(f"second/{file.relative_to(second)}", file.read_bytes())
    client = MlflowClient(tracking_uri=server, registry_uri=server)
    client.create_registered_model("houses")
    for prefix in (PREFIX, "second"):
        client.create_model_version("houses", source=f"gs://{BUCKET}/{prefix}")
    client.set_registered_model_alias("houses", "champion", "1")
    environment = {"MLFLOW_TRACKING_URI": server}
    run = deployment.run("--follow", "1", environment=environment, model="models:/houses@champion")
    assert (run.status, run.err) == (0, "")
    url = deployment.google.functions.url("predict")
    assert version(url) == "houses/1"
    client.set_registered_model_alias("houses", "champion", "2")
    deadline = time.monotonic() + MAX_SECONDS
    while version(url) != "houses/2":
        assert time.monotonic() < deadline
        time.sleep(0.2)


def version(url: str) -> str:
    """Return the version that a function serves."""
    shown = httpx.get(url, headers={"accept": "application/json"}, trust_env=False, timeout=60).json()
    return str(shown["version"])
