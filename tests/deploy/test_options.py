"""What deploy.sh rejects before it asks Google Cloud anything."""

import os
import re
import subprocess

import pytest

from deploy.options import OPTIONS, find_problems, to_plan
from deploy.plan import bq_connection
from tests.deploy.conftest import MAX_SECONDS, ROOT

GOOD = ["--project", "my-project", "--region", "us-central1", "--dataset", "ds", "--model", "gs://models/tree"]


def run(*arguments: str) -> tuple[int, list[str]]:
    """Run deploy.sh; return its status and the lines it printed to stderr."""
    ended = subprocess.run(
        [ROOT / "deploy.sh", *arguments], capture_output=True, text=True, timeout=MAX_SECONDS, check=False
    )
    return ended.returncode, ended.stderr.splitlines()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--project", "My-Project"], "--project is 'My-Project'; expected 6 to 30 lowercase"),
        (["--location", "EU"], "The dataset's location EU and the region us-central1 do not match"),
        (["--location", "us-east1"], "BigQuery calls functions in us-east1 only"),
        (["--region", "europe-west2", "--location", "EU"], "any region europe-* inside the EU"),
        (["--function", "f" * 64], "expected at most 63 lowercase letters"),
        (["--function", "Predict"], "--function is 'Predict'"),
        (["--dataset", "my-dataset"], "--dataset is 'my-dataset'; expected letters, digits and underscores"),
        (
            ["--model", "models:/houses"],
            "expected gs://bucket/prefix, models:/name@alias, models:/name/3, models:/m-ID",
        ),
        (["--model", "models:/houses/latest"], "--model is 'models:/houses/latest'"),
        (["--model", "runs:/1234"], "--model is 'runs:/1234'"),
        (["--follow", "0"], "--follow is '0'; expected a whole number from 1, such as 300."),
        (
            ["--model", "models:/houses/3", "--follow", "9"],
            "--follow cannot follow models:/houses/3, which never changes",
        ),
        (["--model", "gs://models"], "--model is 'gs://models'"),
        (["--model", "."], "--publish is required; expected gs://bucket/prefix"),
        (["--signature-from", "nowhere.csv"], "--signature-from is 'nowhere.csv', but there is no such file."),
        (["--signature-from", "pyproject.toml"], "expected a file that ends with .csv or .parquet, such as rows.csv"),
        (["--signature-from", "nowhere.csv"], "--publish is required; expected gs://bucket/prefix"),
        (["--timeout", "1201"], "--timeout is '1201'; expected 1 to 1200 seconds"),
        (["--min-instances", "5", "--max-instances", "2"], "--min-instances 5 is greater than --max-instances 2."),
        (["--grant", "allUsers"], "--grant is 'allUsers'; expected user:, group: or serviceAccount: and an email"),
        (["--service-account", "x"], "--service-account is 'x'"),
        (["--memory"], "--memory needs a value, such as --memory 4Gi."),
        (["--memory", "--cpu", "2"], "--memory needs a value, such as --memory 4Gi."),
        (["--instances", "3"], "There is no option --instances"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_value(arguments: list[str], said: str) -> None:
    """A bad value ends with status 2 and a line that says what was expected."""
    status, lines = run(*GOOD, *arguments)
    assert status == 2
    assert any(said in line for line in lines)
    assert all(line.startswith("deploy.sh: ") for line in lines)


def test_all_problems_at_once() -> None:
    """All problems are listed at once, in the order of the table."""
    status, lines = run("--project", "My-Project", "--cpu", "3", "--timeout", "0")
    assert status == 2
    assert [re.split("[';]", line)[0] for line in lines] == [
        "deploy.sh: --project is ", "deploy.sh: --region is required", "deploy.sh: --dataset is required", "deploy.sh: --cpu is ",
        "deploy.sh: --timeout is ", "deploy.sh: --model is required",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("project", "account"),
    [
        ("my-project", "sql-fn-predict@my-project.iam.gserviceaccount.com"),
        ("example.com:my-project", "sql-fn-predict@my-project.example.com.iam.gserviceaccount.com"),
    ],
)
def test_account_of_a_project(project: str, account: str) -> None:
    """A project of an old organization has its domain after its name in the email of an account."""
    given = {"project": project, "region": "us-central1", "dataset": "ds", "model": "gs://models/tree"}
    values = {option.key: given.get(option.name, option.default) for option in OPTIONS}
    assert not find_problems(values)
    assert to_plan(values).account == account


def test_connection_of_a_project() -> None:
    """The record names a connection with its project; bq doesn't get the project, whose dots it would count."""
    given = {
        "project": "eng.example.com:my-project",
        "region": "us-central1",
        "dataset": "ds",
        "model": "gs://models/tree",
    }
    plan = to_plan({option.key: given.get(option.name, option.default) for option in OPTIONS})
    assert plan.connection_id("US") == "eng.example.com:my-project.us.predict"
    assert bq_connection(plan.connection_id("US")) == "us.predict"


def test_help() -> None:
    """--help shows an example and the environment variable of every option."""
    shown = subprocess.run(
        [ROOT / "deploy.sh", "--help"], capture_output=True, text=True, timeout=MAX_SECONDS, check=True
    ).stdout
    for option in ("project", "location", "service-account", "max-batching-rows", "grant", "wait"):
        assert f"  --{option} " in shown
        assert f"[env var: {option.upper().replace('-', '_')}" in " ".join(shown.split())


def test_documented_options() -> None:
    """docs/deploying.md has the table of options that deploy.sh has."""
    table = [
        f"| `--{it.name} {it.example}` | {it.default or ('required' if it.required else '')} | {it.meaning} |"
        for it in OPTIONS
    ]
    assert "\n".join(table) in (ROOT / "docs/deploying.md").read_text()


def test_missing_environment() -> None:
    """Without the project's packages, deploy.sh says how to install them."""
    ended = subprocess.run(
        [ROOT / "deploy.sh", *GOOD],
        env={**os.environ, "PYTHON": "no-such-python"}, capture_output=True, text=True, timeout=MAX_SECONDS, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.startswith("deploy.sh: no-such-python is not a Python with this project's packages: run 'make")


def test_shellcheck() -> None:
    """shellcheck finds nothing in deploy.sh."""
    subprocess.run([ROOT / ".venv/bin/shellcheck", "-x", "-a", "deploy.sh"], cwd=ROOT, timeout=MAX_SECONDS, check=True)
