"""`-C key=value` of mlflow deployments: which keys there are, and what they become."""

from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from deploy.options import OPTIONS
from mlflow_bigquery import options, source, target_help

FLAGS = {"advise", "dry-run"}


@pytest.fixture(autouse=True, scope="module")
def listed() -> Any:
    """Ask deploy.sh for its options once, for all tests here."""
    text = options._help()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(options, "_help", lambda: text)
        yield text


def test_known_options() -> None:
    """A configuration has every option of deploy.sh, except those that the target and MLflow's own options say."""
    expected = {it.name for it in OPTIONS} - {"project", "dataset", "model", "name"} | FLAGS
    assert options.known() == {name: name not in FLAGS for name in expected}


def test_help() -> None:
    """The help names every key, the target and the models, and no option that isn't a key."""
    text = target_help()
    assert [name for name in options.known() if f"  --{name}" not in text] == []
    assert "bigquery:/PROJECT/DATASET" in text
    assert "models:/name@alias" in text
    assert "--destroy" not in text
    assert "--project my-project" not in text


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (None, []),
        ({"region": "us-central1", "memory": "4Gi"}, ["--region=us-central1", "--memory=4Gi"]),
        ({"min_instances": 1, "max-instances": "50"}, ["--min-instances=1", "--max-instances=50"]),
        ({"advise": True, "dry_run": "true"}, ["--advise", "--dry-run"]),
        ({"advise": False, "dry-run": "false"}, []),
        ({"grant": "user:a@b.c group:d@e.f"}, ["--grant=user:a@b.c group:d@e.f"]),
        ({"update-env-vars": "LOG_LEVEL=DEBUG"}, ["--update-env-vars=LOG_LEVEL=DEBUG"]),
    ],
)
def test_arguments(config: dict[str, Any] | None, expected: list[str]) -> None:
    """A key may have _ for -, and a flag is true or false."""
    assert options.arguments(config) == expected


@pytest.mark.parametrize(
    ("config", "problems"),
    [
        (
            {"regoin": "x", "project": "y"},
            ["There is no key 'regoin'; expected one of ", "There is no key 'project'; "],
        ),
        ({"advise": "yes"}, ["advise is 'yes'; expected true or false."]),
    ],
)
def test_refused(config: dict[str, str], problems: list[str]) -> None:
    """All keys that deploy.sh has no option for are refused at once, and the known ones named."""
    with pytest.raises(MlflowException) as raised:
        options.arguments(config)
    lines = raised.value.message.split("\n")
    assert len(lines) == len(problems)
    assert all(line.startswith(problem) for line, problem in zip(lines, problems, strict=True))
    assert raised.value.error_code == "INVALID_PARAMETER_VALUE"
    assert all("min-instances" in line for line in lines if "expected one of" in line)


def test_sentences_of_deploy() -> None:
    """What deploy.sh refuses is an MlflowException with its sentences, a line each."""
    with pytest.raises(MlflowException) as raised:
        source.deploy("--region=us-central1", "--dataset=ds", "--model=gs://bucket/m", "--memory=lots")
    project, memory = raised.value.message.split("\n")
    assert project.startswith("--project is required; ")
    assert memory == "--memory is 'lots'; expected a number and a unit, such as 4Gi."
    assert raised.value.error_code == "INVALID_PARAMETER_VALUE"
