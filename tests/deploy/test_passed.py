"""The options that go to gcloud as they are: what is refused beforehand, what gcloud gets, and how a setting is undone."""

from dataclasses import replace
from typing import Any

import pytest

from deploy.observation import FoundSecret, Policy, Secret
from deploy.option import split_pairs, to_mapping, to_text
from deploy.options import OPTIONS, find_problems, to_plan
from deploy.passed_flags import obsolete, passed_flags, reset_flags, settings
from deploy.plan import Plan
from deploy.secrets import ACCESSOR, secret_note, secret_problems, secrets
from tests.deploy.conftest import Deployment, Run
from tests.google_cloud.cloud import BUILDER_ROLE, BUILDS, PROJECT

PLACE = f"projects/{PROJECT}/locations/us-central1"
KEY, REPOSITORY = f"{PLACE}/keyRings/ring/cryptoKeys/key", f"{PLACE}/repositories/images"
GIVEN = {
    "ingress_settings": "internal-only", "vpc_connector": "my-connector", "egress_settings": "all", "kms_key": KEY,
    "build_worker_pool": f"{PLACE}/workerPools/pool", "docker_repository": REPOSITORY,
    "build_service_account": f"builder@{PROJECT}.iam.gserviceaccount.com", "update_labels": "team=pricing",
    "update_env_vars": "^:^LOG_LEVEL=DEBUG:ALLOWED_HOSTS=a,b", "set_secrets": "TOKEN=token:1,/etc/secrets/ca=ca:latest",
}  # fmt: skip
ACCOUNT = f"sql-fn-predict@{PROJECT}.iam.gserviceaccount.com"
FUNCTION = f"{PLACE}/functions/predict"


def values(**given: str) -> dict[str, str]:
    """Return all options, with these in place of their defaults."""
    required = {"project": PROJECT, "region": "us-central1", "dataset": "ds", "model": "gs://models/tree"}
    return {**{it.key: it.default for it in OPTIONS}, **required, **given}


def plan(**given: str) -> Plan:
    """Return the plan for these options, which have no problems."""
    assert find_problems(values(**given)) == []
    return to_plan(values(**given))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ingress_settings": "internal"}, "--ingress-settings is 'internal'; expected all, internal-only or"),
        ({"egress_settings": "all"}, "--egress-settings requires --vpc-connector"),
        ({"vpc_connector": "My"}, "--vpc-connector is 'My'; expected a name or projects/PROJECT"),
        ({"kms_key": KEY}, "--kms-key requires --docker-repository"),
        ({"kms_key": KEY.replace("us-central1", "global"), "docker_repository": REPOSITORY}, "--kms-key is in global; expected a"),
        ({"build_worker_pool": "pool"}, "--build-worker-pool is 'pool'; expected projects/PROJECT"),
        ({"docker_repository": "images"}, "--docker-repository is 'images'; expected projects/PROJECT"),
        ({"update_labels": "Team=a"}, "--update-labels is 'Team=a'; expected KEY=VALUE of lowercase letters"),
        ({"update_labels": "deployed=yes"}, "--update-labels cannot set deployed, a label that deploy.sh sets"),
        ({"update_labels": "deployment-tool=x"}, "--update-labels cannot set deployment-tool, a label that gcloud sets"),
        ({"update_labels": "team=a,team=b"}, "--update-labels has team 2 times; expected it once."),
        ({"update_env_vars": "LOG_LEVEL"}, "--update-env-vars is 'LOG_LEVEL'; expected KEY=VALUE, such as LOG_LEVEL=DEBUG"),
        ({"update_env_vars": "A=1,"}, "--update-env-vars is ''; expected KEY=VALUE"),
        ({"update_env_vars": "MODEL_URI=x"}, "--update-env-vars cannot set MODEL_URI, which follows from --model"),
        ({"update_env_vars": "PORT=1"}, "--update-env-vars cannot set PORT, which Cloud Functions sets"),
        ({"set_secrets": "WORKERS=a:1"}, "--set-secrets cannot set WORKERS, which follows from --workers"),
        ({"set_secrets": "TOKEN=token"}, "--set-secrets is 'TOKEN=token'; expected VARIABLE=SECRET:VERSION"),
        ({"set_secrets": "/token=token:1"}, "--set-secrets is '/token=token:1'"),
        ({"set_secrets": "A=a:1", "update_env_vars": "A=1"}, "A is in --update-env-vars and in --set-secrets"),
    ],
)  # fmt: skip
def test_bad_value(given: dict[str, str], said: str) -> None:
    """A bad value, or options that exclude each other, are one sentence."""
    problems = find_problems(values(**given))
    assert len(problems) == 1
    assert said in problems[0]


def test_all_given() -> None:
    """gcloud gets every option under its own name, and the record one setting for each, or for each key."""
    given = plan(**GIVEN)
    expected = {key.replace("_", "-"): value for key, value in GIVEN.items() if key != "update_env_vars"}
    expected["build-service-account"] = f"projects/{PROJECT}/serviceAccounts/{GIVEN['build_service_account']}"
    assert passed_flags(given) == expected
    assert given.update_env_vars == {"LOG_LEVEL": "DEBUG", "ALLOWED_HOSTS": "a,b"}
    assert settings(given) == [
        "ingress-settings", "vpc-connector", "egress-settings", "kms-key", "build-worker-pool", "docker-repository",
        "build-service-account", "update-labels team", "update-env-vars LOG_LEVEL", "update-env-vars ALLOWED_HOSTS", "set-secrets",
    ]  # fmt: skip


def test_all_omitted() -> None:
    """Each setting that was given before, and only those, has the flag that undoes it."""
    before, now = settings(plan(**GIVEN)), plan()
    assert obsolete(plan(**GIVEN), before) == []
    assert obsolete(now, before) == before
    assert reset_flags(now, before) == [
        "--ingress-settings=all", "--clear-vpc-connector", "--clear-kms-key", "--clear-build-worker-pool",
        "--clear-docker-repository", "--clear-build-service-account", "--clear-secrets",
    ]  # fmt: skip
    kept = plan(vpc_connector="my-connector")
    assert reset_flags(kept, ["egress-settings"]) == ["--egress-settings=private-ranges-only"]
    assert reset_flags(now, []) == []


@pytest.mark.parametrize("pairs", [{}, {"A": "1"}, {"A": "1,2", "B": ""}, {"A": "a@@b,c", "B": "=x"}])
def test_lists_of_pairs(pairs: dict[str, str]) -> None:
    """A mapping is written so that gcloud reads the same, whatever its values contain."""
    assert to_mapping(to_text(pairs)) == pairs
    assert len(split_pairs(to_text(pairs))) == len(pairs)


def test_names_of_secrets() -> None:
    """A secret is named in each way that gcloud takes, and read once."""
    given = plan(set_secrets="A=a:1,B=a:1,C=projects/other/secrets/c:2,/d/e=projects/o/secrets/c/versions/latest")
    assert secrets(given) == [Secret(PROJECT, "a", "1"), Secret("other", "c", "2"), Secret("o", "c", "latest")]


GRANTED = Policy({ACCESSOR: frozenset({f"serviceAccount:{ACCOUNT}"})})
FOUND = FoundSecret(Secret(PROJECT, "token", "1"), "ENABLED", GRANTED)
NOBODY = Policy({})
GROUP = Policy({ACCESSOR: frozenset({"group:readers@example.com"})})
CUSTOM = Policy({"projects/p/roles/reader": frozenset({f"serviceAccount:{ACCOUNT}"})})


@pytest.mark.parametrize(
    ("found", "project", "problems", "note"),
    [
        (FOUND, NOBODY, 0, False),
        (replace(FOUND, state=""), NOBODY, 1, False),
        (replace(FOUND, state="DISABLED"), NOBODY, 1, False),
        (replace(FOUND, policy=NOBODY), NOBODY, 1, False),
        (replace(FOUND, policy=NOBODY), GRANTED, 0, False),
        (replace(FOUND, policy=None), NOBODY, 0, True),
        (replace(FOUND, policy=None), GRANTED, 0, False),
        (replace(FOUND, state=None), NOBODY, 0, True),
        (replace(FOUND, policy=GROUP), NOBODY, 0, True),
        (replace(FOUND, policy=NOBODY), CUSTOM, 0, True),
        (replace(FOUND, policy=NOBODY), None, 0, True),
    ],
)
def test_secret(found: FoundSecret, project: Policy | None, problems: int, note: bool) -> None:
    """A secret that can't be read is a problem; what can't be found out is a note, and no more than that."""
    given = plan(set_secrets="TOKEN=token:1")
    assert len(list(secret_problems(given, found, project, account_exists=True))) == problems
    assert bool(secret_note(given, found, project)) == note


def test_secret_of_new_account() -> None:
    """An account that deploy.sh would create can't read a secret yet; the sentence has both commands."""
    said = list(secret_problems(plan(set_secrets="TOKEN=token:1"), FOUND, NOBODY, account_exists=False))
    assert len(said) == 1
    assert "gcloud iam service-accounts create sql-fn-predict" in said[0]
    assert (
        f"gcloud secrets add-iam-policy-binding token --project={PROJECT} --member=serviceAccount:{ACCOUNT}" in said[0]
    )


@pytest.mark.slow
def test_settings_come_and_go(deployment: Deployment, first: tuple[Run, dict[str, Any]]) -> None:
    """Settings are made once, changed by a new deployment, undone when they're omitted, and leave those of others."""
    deployment.restore(first[1])
    deployment.cloud.functions[FUNCTION]["serviceConfig"]["environmentVariables"]["MODEL_THREADS"] = "2"
    deployment.cloud.functions[FUNCTION]["labels"]["owner"] = "bob"
    deployment.cloud.secrets["token"] = {"1": "ENABLED"}
    grant = {"bindings": [{"role": ACCESSOR, "members": [f"serviceAccount:{ACCOUNT}"]}]}
    deployment.cloud.set_policy(f"projects/{PROJECT}/secrets/token", grant)
    builds = {"bindings": [{"role": BUILDER_ROLE, "members": [f"serviceAccount:{GIVEN['build_service_account']}"]}]}
    deployment.cloud.set_policy(f"projects/{PROJECT}", builds)
    given = {**GIVEN, "set_secrets": "TOKEN=token:1"}
    made = deployment.run(**given)
    assert (made.status, made.err) == (0, "")
    function = deployment.cloud.functions[FUNCTION]
    config, build = function["serviceConfig"], function["buildConfig"]
    assert (config["ingressSettings"], config["vpcConnector"]) == (
        "ALLOW_INTERNAL_ONLY",
        f"{PLACE}/connectors/my-connector",
    )
    assert (config["vpcConnectorEgressSettings"], function["kmsKeyName"]) == ("ALL_TRAFFIC", KEY)
    assert (build["workerPool"], build["dockerRepository"]) == (f"{PLACE}/workerPools/pool", REPOSITORY)
    assert config["environmentVariables"]["ALLOWED_HOSTS"] == "a,b"
    assert config["secretEnvironmentVariables"][0]["secret"] == "token"
    assert function["labels"]["team"] == "pricing"
    again = deployment.run(**given)
    assert (again.status, again.changes) == (0, [])
    changed = deployment.run(**{**given, "ingress_settings": "all", "update_env_vars": "LOG_LEVEL=INFO"})
    assert changed.status == 0
    assert "ALLOWED_HOSTS" not in deployment.cloud.functions[FUNCTION]["serviceConfig"]["environmentVariables"]
    deployment.cloud.set_policy(f"projects/{PROJECT}", BUILDS)
    without = deployment.run()
    assert (without.status, without.err) == (0, "")
    function = deployment.cloud.functions[FUNCTION]
    config, build = function["serviceConfig"], function["buildConfig"]
    assert config["ingressSettings"] == "ALLOW_ALL"
    assert not {"vpcConnector", "vpcConnectorEgressSettings", "secretEnvironmentVariables"} & set(config)
    assert not {"workerPool", "dockerRepository", "serviceAccount"} & set(build)
    assert "kmsKeyName" not in function
    assert config["environmentVariables"]["MODEL_THREADS"] == "2"
    assert "LOG_LEVEL" not in config["environmentVariables"]
    assert (function["labels"]["owner"], "team" in function["labels"]) == ("bob", False)
    assert "setting" not in deployment.record()
    assert deployment.run().changes == []


@pytest.mark.slow
def test_missing_secrets(deployment: Deployment, first: tuple[Run, dict[str, Any]]) -> None:
    """All that is wrong with secrets is listed at once, and nothing is made."""
    deployment.restore(first[1])
    deployment.cloud.secrets["token"] = {"1": "DISABLED"}
    run = deployment.run(set_secrets="TOKEN=token:1,OTHER=other:latest,THIRD=token:7")
    assert (run.status, run.changes) == (2, [])
    for said in (
        f"version 1 of the secret token of {PROJECT} is DISABLED; expected one that is ENABLED.",
        f"the secret other of {PROJECT} has no version latest, or does not exist",
        f"the secret token of {PROJECT} has no version 7",
        f"The function's account {ACCOUNT} may not read the secret token of {PROJECT}; run: gcloud secrets add-iam",
    ):
        assert run.err.count(said) == 1, run.err
