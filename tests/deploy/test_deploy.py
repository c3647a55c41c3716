"""A deployment from nothing to a SQL function that answers, run again, changed and taken away."""

import io
import zipfile
from typing import Any

import pytest

from tests.deploy.conftest import ANALYST, BUCKET, OPTIONS, PREFIX, RECORD, Deployment, Run, members
from tests.google_cloud.cloud import PROJECT

ACCOUNT = f"serviceAccount:sql-fn-predict@{PROJECT}.iam.gserviceaccount.com"
SERVICE = f"projects/{PROJECT}/locations/us-central1/services/predict"
FUNCTION = f"projects/{PROJECT}/locations/us-central1/functions/predict"
CONNECTION = f"projects/{PROJECT}/locations/us/connections/predict"


@pytest.fixture(scope="module")
def dry(deployment: Deployment, before: dict[str, Any]) -> Run:
    deployment.restore(before)
    return deployment.run("--dry-run", "--grant", ANALYST)


@pytest.fixture(scope="module")
def made(first: tuple[Run, dict[str, Any]]) -> dict[str, Any]:
    return first[1]


@pytest.fixture(scope="module")
def second(deployment: Deployment, made: dict[str, Any]) -> Run:
    deployment.restore(made)
    return deployment.run("--grant", ANALYST)


@pytest.fixture(scope="module")
def changed(deployment: Deployment, made: dict[str, Any]) -> Run:
    deployment.restore(made)
    return deployment.run("--grant", ANALYST, memory="4Gi")


def test_a_dry_run_prints_every_command_and_asks_for_no_change(dry: Run) -> None:
    assert (dry.status, dry.changes) == (0, [])
    for command in (
        "gcloud iam service-accounts create", "gcloud storage buckets add-iam-policy-binding", "gcloud functions deploy",
        "mk --connection", "gcloud run services add-iam-policy-binding", "mk --dataset", "CREATE OR REPLACE FUNCTION",
        "add-iam-policy-binding --connection", "add-iam-policy-binding --routine",
    ):  # fmt: skip
        assert command in dry.out


def test_the_first_run_ends_with_sql_that_gives_the_model_s_own_predictions(first: tuple[Run, dict[str, Any]]) -> None:
    run = first[0]
    assert (run.status, run.err) == (0, "")
    assert run.out.endswith("5 predictions equal the model's own.\n")


def test_everything_is_made_and_nothing_else(made: dict[str, Any]) -> None:
    assert list(made["accounts"]) == [ACCOUNT.partition(":")[2]]
    assert list(made["functions"]) == [FUNCTION]
    assert list(made["connections"]) == [CONNECTION]
    assert made["datasets"]["ds"]["location"] == "US"
    assert sorted(made["routines"]) == ["ds.model_info", "ds.predict", "ds.predict_row"]


def test_the_function_runs_as_its_own_account_on_the_model_that_was_checked(made: dict[str, Any]) -> None:
    function = made["functions"][FUNCTION]
    config = function["serviceConfig"]
    assert function["buildConfig"]["runtime"] == "python311"
    assert f"serviceAccount:{config['serviceAccountEmail']}" == ACCOUNT
    assert config["environmentVariables"]["MODEL_URI"] == f"gs://{BUCKET}/{PREFIX}"
    assert len(config["environmentVariables"]["MODEL_DIGEST"]) == 64


def test_rights_are_given_on_one_bucket_one_service_one_connection_and_the_routines(
    made: dict[str, Any], before: dict[str, Any]
) -> None:
    caller = f"serviceAccount:{made['connections'][CONNECTION]['cloudResource']['serviceAccountId']}"
    routines = {
        f"projects/{PROJECT}/datasets/ds/routines/{name}": {ANALYST}
        for name in ("predict", "predict_row", "model_info")
    }
    granted = {
        name: members(policy) - members(before["policies"].get(name)) for name, policy in made["policies"].items()
    }
    assert {name: found for name, found in granted.items() if found} == {
        f"buckets/{BUCKET}": {ACCOUNT}, SERVICE: {caller}, CONNECTION: {ANALYST}, **routines
    }  # fmt: skip


def test_nobody_loses_a_right_and_no_request_grants_one_on_the_project_or_to_all(
    first: tuple[Run, dict[str, Any]], second: Run, changed: Run, before: dict[str, Any], made: dict[str, Any]
) -> None:
    for run in (first[0], second, changed):
        assert not [it.path for it in run.requests if it.path.endswith(f"/projects/{PROJECT}:setIamPolicy")]
        assert not [it.path for it in run.requests if members(it.body) & {"allUsers", "allAuthenticatedUsers"}]
    for resource, policy in before["policies"].items():
        assert members(policy) <= members(made["policies"][resource])


def test_the_uploaded_source_is_what_the_function_needs_and_small(deployment: Deployment, made: dict[str, Any]) -> None:
    archive = next(it for it in deployment.google.functions.archives if it)
    names = zipfile.ZipFile(io.BytesIO(archive)).namelist()
    assert {name.partition("/")[0] for name in names if not name.endswith("/")} == {
        "loading", "main.py", "model_loader.py",
        "requirements.txt", "serving", "sql",
    }  # fmt: skip
    assert {name for name in names if name.startswith("sql/")} - {"sql/"} == {"sql/__init__.py", "sql/names.py"}
    assert not [name for name in names if "__pycache__" in name]
    assert len(archive) < 200_000


def test_a_second_run_asks_for_no_change(second: Run) -> None:
    assert (second.status, second.changes) == (0, [])
    assert second.out.endswith("5 predictions equal the model's own.\n")


def test_a_changed_setting_asks_for_the_redeploy_alone(changed: Run) -> None:
    assert changed.status == 0
    assert [change.split("/")[-1] for change in changed.changes][::2] == ["functions:generateUploadUrl", "predict"]
    assert changed.changes[1].startswith("PUT /source/")
    assert changed.changes[-1] == f"PATCH /v2/{FUNCTION}"


def test_destroy_takes_away_what_was_made_and_leaves_the_rest(
    deployment: Deployment, made: dict[str, Any], before: dict[str, Any]
) -> None:
    deployment.restore(made)
    run = deployment.run("--destroy")
    after = deployment.snapshot()
    assert (run.status, run.err) == (0, "")
    for kind in ("accounts", "functions", "connections", "datasets", "routines"):
        assert after[kind] == before[kind]
    assert members(after["policies"][f"buckets/{BUCKET}"]) == members(before["policies"][f"buckets/{BUCKET}"])
    assert RECORD not in deployment.objects()
    assert f"{PREFIX}/MLmodel" in deployment.objects()


def test_the_options_can_come_from_the_environment(deployment: Deployment) -> None:
    variables = {name.upper(): value for name, value in OPTIONS.items()} | {"MEMORY": "lots"}
    run = deployment.run(environment=variables, **dict.fromkeys(OPTIONS, ""))
    assert (run.status, run.err) == (
        2, "deploy.sh: --memory is 'lots'; expected a number and a unit, such as 4Gi.\n"
    )  # fmt: skip
