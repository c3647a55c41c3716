"""Several models in one service: added, replaced and removed one by one, while the SQL of the others answers."""

import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from sklearn.dummy import DummyRegressor

from tests import models
from tests.deploy.conftest import BUCKET, MAX_SECONDS, Deployment, Run
from tests.faults.processes import wait_for
from tests.google_cloud.cloud import PROJECT

pytestmark = pytest.mark.slow

FUNCTION = f"projects/{PROJECT}/locations/us-central1/functions/predict"
OTHER = "models2"
SERVICE = {"function": "predict"}
PATCH = f"PATCH /v2/{FUNCTION}"


@pytest.fixture(scope="module")
def constants(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Upload models that always predict 1, 2 and 3, the second to another bucket; return their URIs by name."""
    deployment.google.create_bucket(OTHER)
    uris = {}
    X = models.numbers(20, columns=2)
    for value, (name, bucket) in enumerate((("houses", BUCKET), ("cities", OTHER), ("better", BUCKET)), 1):
        model = DummyRegressor(strategy="constant", constant=value).fit(X, X.a)
        folder = models.save(tmp_path_factory.mktemp("models") / name, model, X)
        for file in folder.rglob("*"):
            if file.is_file():
                deployment.upload(f"{name}/{file.relative_to(folder).as_posix()}", file.read_bytes(), bucket)
        uris[name] = f"gs://{bucket}/{name}"
    return uris


def ask(deployment: Deployment, query: str) -> float:
    """Return the one value that BigQuery answers."""
    url = f"{deployment.cloud.url}/bigquery/v2/projects/{PROJECT}"
    body = {"configuration": {"query": {"query": query}}}
    job = httpx.post(f"{url}/jobs", json=body, trust_env=False, timeout=MAX_SECONDS).json()
    assert "errorResult" not in job["status"], job["status"]
    result = httpx.get(f"{url}/queries/{job['jobReference']['jobId']}", trust_env=False).json()
    return float(result["rows"][0]["f"][0]["v"])


def value(deployment: Deployment, name: str) -> float:
    """Return what a SQL function of two columns answers."""
    return ask(deployment, f"SELECT ds.{name}(0.5, 1.5) AS value")


@contextmanager
def answering(deployment: Deployment, query: str) -> Iterator[list[Any]]:
    """Ask a query again and again for the length of the block; every answer is in the list at its end."""
    answers: list[Any] = []
    stop = threading.Event()

    def ask_again() -> None:
        while not stop.is_set():
            try:
                answers.append(ask(deployment, query))
            except Exception as error:
                answers.append(error)
            stop.wait(0.2)

    thread = threading.Thread(target=ask_again)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join(MAX_SECONDS)


def etags(deployment: Deployment, *names: str) -> list[str]:
    """Return what says whether SQL functions were made again."""
    return [deployment.cloud.routines[f"ds.{name}"]["etag"] for name in names]


def listing(deployment: Deployment) -> Any:
    """Return the list in the source that was deployed last, None without one."""
    with zipfile.ZipFile(io.BytesIO(deployment.google.functions.archives[-1])) as source:
        return yaml.safe_load(source.read("models.yaml")) if "models.yaml" in source.namelist() else None


def test_one_by_one(deployment: Deployment, first: tuple[Run, dict[str, Any]], constants: dict[str, str]) -> None:
    """Three models are added, one is replaced, one removed; the others answer all the time, and aren't touched."""
    deployment.restore(first[1])
    query = "SELECT ds.predict(0.5, -0.25, 1, 2) AS value"
    expected = ask(deployment, query)
    before = etags(deployment, "predict", "predict_row", "model_info")
    with answering(deployment, query) as answers:
        houses = {**SERVICE, "name": "houses", "model": constants["houses"]}
        added = deployment.run(**houses, memory="4Gi")
        assert (added.status, added.err) == (0, "")
        config = deployment.cloud.functions[FUNCTION]["serviceConfig"]
        assert config["environmentVariables"]["MODELS"] == "models.yaml"
        assert not {"MODEL_URI", "MODEL_DIGEST"} & config["environmentVariables"].keys()
        entries = listing(deployment)
        assert [(name, it.get("default", False), len(it["digest"])) for name, it in entries.items()] == [
            ("predict-model", True, 64), ("houses", False, 64)
        ]  # fmt: skip
        assert value(deployment, "houses") == 1
        again = deployment.run(**houses, memory="4Gi")
        assert (again.status, again.changes) == (0, [])
        cities = {**SERVICE, "name": "cities", "model": constants["cities"]}  # from another bucket, without --memory
        third = deployment.run(**cities)
        assert (third.status, third.err) == (0, "")
        assert "--memory 4Gi, as the other models of predict have it" in third.out
        assert deployment.cloud.functions[FUNCTION]["serviceConfig"]["availableMemory"] == "4Gi"
        assert list(listing(deployment)) == ["predict-model", "houses", "cities"]
        assert deployment.objects("deployments/", OTHER) == []
        assert (value(deployment, "houses"), value(deployment, "cities")) == (1, 2)
        unchanged = etags(deployment, "houses", "cities")
        replaced = deployment.run(**{**houses, "model": constants["better"]}, memory="4Gi")
        assert (replaced.status, replaced.err) == (0, "")
        assert [it for it in replaced.changes if not it.startswith(("POST /upload", "PUT /source"))] == [
            f"POST {PATCH.partition(' ')[2].rpartition('/')[0]}:generateUploadUrl", PATCH,
            "POST /bigquery/v2/projects/my-project/jobs",
        ]  # fmt: skip
        assert (value(deployment, "houses"), value(deployment, "cities")) == (3, 2)
        assert etags(deployment, "houses", "cities")[1] == unchanged[1]
        removed = deployment.run("--destroy", **houses)
        assert (removed.status, removed.err) == (0, "")
        dropped = [at for at, it in enumerate(removed.changes) if it.startswith("DELETE /bigquery")]
        assert len(dropped) == 3
        assert max(dropped) < removed.changes.index(PATCH) < len(removed.changes) - 1
        assert list(listing(deployment)) == ["predict-model", "cities"]
        assert value(deployment, "cities") == 2
        assert deployment.run("--destroy", **houses).changes == []
        assert etags(deployment, "predict", "predict_row", "model_info") == before
    assert set(answers) == {expected}
    assert set(deployment.cloud.routines) == {
        f"ds.{name}" for name in ("predict", "predict_row", "model_info", "cities", "cities_row", "cities_info")
    }
    gone = deployment.run("--destroy", **cities)
    assert gone.status == 0
    assert listing(deployment) is None
    config = deployment.cloud.functions[FUNCTION]["serviceConfig"]["environmentVariables"]
    assert ("MODELS" in config, config["MODEL_URI"]) == (False, "gs://models/tree")
    assert deployment.run("--destroy").status == 0
    assert (deployment.cloud.functions, deployment.cloud.routines, deployment.record()) == ({}, {}, "")


def test_two_names_at_once(deployment: Deployment, before: dict[str, Any], constants: dict[str, str]) -> None:
    """Two runs at once in an empty project with different names: both models are in the list, and answer."""
    deployment.restore(before)
    runs = [deployment.start(**SERVICE, name=name, model=constants[name]) for name in ("houses", "better")]
    ends = [run.communicate(timeout=MAX_SECONDS) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], ends
    assert set(listing(deployment)) == {"houses", "better"}
    assert (value(deployment, "houses"), value(deployment, "better")) == (1, 3)
    assert any("starting over from what is there" in out for out, _ in ends)
    again = deployment.run(**SERVICE, name="houses", model=constants["houses"])
    assert (again.status, again.changes) == (0, [])


def test_ctrl_c_before_the_sql(
    deployment: Deployment, first: tuple[Run, dict[str, Any]], constants: dict[str, str]
) -> None:
    """A run after Ctrl-C between the entry and its SQL finishes; until then the others answer."""
    deployment.restore(first[1])
    archives = len(deployment.google.functions.archives)
    houses = {**SERVICE, "name": "houses", "model": constants["houses"]}
    with deployment.start(**houses) as run:
        wait_for(lambda: len(deployment.google.functions.archives) > archives or run.poll() is not None)
        run.terminate()
        assert run.wait(MAX_SECONDS) == 130
    assert "ds.houses" not in deployment.cloud.routines
    again = deployment.run(**houses)
    assert (again.status, again.err) == (0, "")
    assert value(deployment, "houses") == 1
    assert list(listing(deployment)) == ["predict-model", "houses"]


def test_no_common_packages(
    deployment: Deployment, first: tuple[Run, dict[str, Any]], constants: dict[str, str], tmp_path: Path
) -> None:
    """A model whose packages exclude those of another one is refused with both names, and nothing is made."""
    deployment.restore(first[1])
    (tmp_path / "other.txt").write_text("scikit-learn\npandas==2.3.3\n")
    (tmp_path / "pinned.txt").write_text("scikit-learn\npandas==2.3.2\n")
    houses = {**SERVICE, "name": "houses", "model": constants["houses"]}
    assert deployment.run(**houses, requirements=str(tmp_path / "other.txt")).status == 0
    cities = {**SERVICE, "name": "cities", "model": constants["cities"]}
    run = deployment.run(**cities, requirements=str(tmp_path / "pinned.txt"))
    assert (run.status, run.changes) == (2, [])
    assert run.err == (
        "deploy.sh: cities needs pandas 2.3.2, and houses pandas 2.3.3, but a service has one version of each package: "
        "deploy one of them with another --function.\n"
    )


def test_failed_function(deployment: Deployment, first: tuple[Run, dict[str, Any]], constants: dict[str, str]) -> None:
    """A model whose function could not be deployed is not in the record, so it doesn't keep others from being added."""
    deployment.restore(first[1])
    record = deployment.record()
    deployment.cloud.fail(f"PATCH /v2/{FUNCTION}", 403)
    run = deployment.run(**SERVICE, name="houses", model=constants["houses"])
    assert run.status == 1
    assert deployment.record() == record
