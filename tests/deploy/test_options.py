"""What deploy.sh refuses before it asks Google Cloud anything: all problems at once, a line each, exit status 2."""

import subprocess

import pytest

from tests.deploy.conftest import ROOT

GOOD = ["--project", "my-project", "--region", "us-central1", "--dataset", "ds", "--model", "gs://models/tree"]


def run(*arguments: str) -> tuple[int, list[str]]:
    ended = subprocess.run([ROOT / "deploy.sh", *arguments], capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stderr.splitlines()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--project", "My-Project"], "--project is 'My-Project'; expected 6 to 30 lower-case"),
        (["--location", "EU"], "The dataset's location EU and the region us-central1 do not fit"),
        (["--location", "us-east1"], "BigQuery calls functions in us-east1 alone"),
        (["--region", "europe-west2", "--location", "EU"], "any region europe-* inside the EU"),
        (["--function", "f" * 64], "expected at most 63 lower-case letters"),
        (["--function", "Predict"], "--function is 'Predict'"),
        (["--dataset", "my-dataset"], "--dataset is 'my-dataset'; expected letters, digits and underscores"),
        (["--model", "models:/houses@champion"], "expected gs://bucket/prefix or a folder that is there"),
        (["--model", "gs://models"], "--model is 'gs://models'"),
        (["--model", "."], "--publish is ''; expected the place in a bucket where the model of a folder goes"),
        (["--timeout", "1201"], "--timeout is '1201'; expected 1 to 1200 seconds"),
        (["--min-instances", "5", "--max-instances", "2"], "--min-instances 5 is more than --max-instances 2."),
        (["--grant", "allUsers"], "--grant is 'allUsers'; expected user:, group: or serviceAccount: and an email"),
        (["--service-account", "x"], "--service-account is 'x'"),
        (["--memory"], "--memory needs a value, such as --memory 4Gi."),
        (["--memory", "--cpu", "2"], "--memory needs a value, such as --memory 4Gi."),
        (["--instances", "3"], "There is no option --instances"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_value_is_refused_by_a_line_that_says_what_was_expected(arguments: list[str], said: str) -> None:
    status, lines = run(*GOOD, *arguments)
    assert status == 2
    assert any(said in line for line in lines)
    assert all(line.startswith("deploy.sh: ") for line in lines)


def test_all_problems_are_listed_at_once() -> None:
    status, lines = run("--project", "My-Project", "--cpu", "3", "--timeout", "0")
    assert status == 2
    assert [line.split("'")[0] for line in lines] == [
        "deploy.sh: --project is ", "deploy.sh: --region is ", "deploy.sh: --dataset is ", "deploy.sh: --cpu is ",
        "deploy.sh: --timeout is ", "deploy.sh: --model is ",
    ]  # fmt: skip


def test_help_shows_an_example_and_the_variable_of_every_option() -> None:
    shown = subprocess.run(
        [ROOT / "deploy.sh", "--help"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    for option in ("project", "location", "service-account", "max-batching-rows", "grant", "wait"):
        assert f"  --{option} " in shown
        assert f"[{option.upper().replace('-', '_')}]" in shown


def test_shellcheck_finds_nothing() -> None:
    subprocess.run([ROOT / ".venv/bin/shellcheck", "-x", "-a", "deploy.sh"], cwd=ROOT, timeout=120, check=True)
