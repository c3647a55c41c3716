"""The Python of the function: what gcloud lists as deprecated is told, what it lists as decommissioned is replaced."""

from typing import Any

import pytest

from deploy.preflight import offered
from launch.lock import PYTHONS
from tests.deploy.conftest import Deployment, Run
from tests.google_cloud.cloud import PROJECT

GA = {f"python{python.replace('.', '')}": "GA" for python in PYTHONS}


@pytest.mark.parametrize(
    ("runtimes", "pythons"),
    [
        (None, PYTHONS),
        (GA, PYTHONS),
        ({**GA, "python310": "DEPRECATED", "python39": "DECOMMISSIONED"}, PYTHONS),
        ({**GA, "python310": "DECOMMISSIONED"}, PYTHONS[1:]),
        ({"python312": "GA", "python313": "BETA"}, ("3.12", "3.13")),
        ({"python39": "GA"}, ()),
    ],
    ids=["not listed", "all", "deprecated", "decommissioned", "fewer", "none"],
)
def test_offered(runtimes: dict[str, str] | None, pythons: tuple[str, ...]) -> None:
    """A function can have each Python that is listed and not decommissioned, or any if none is listed."""
    assert offered(runtimes) == pythons


@pytest.fixture
def dry(deployment: Deployment, before: dict[str, Any]) -> Any:
    """Return a function that runs deploy.sh without a change, for these stages of Pythons."""

    def run(**stages: str) -> Run:
        deployment.restore(before)
        deployment.cloud.runtimes = {**deployment.cloud.runtimes, **stages}
        return deployment.run("--dry-run")

    return run


@pytest.mark.slow
def test_deprecated(dry: Any) -> None:
    """A deprecated runtime is deployed, and a line says so."""
    run = dry(python311="DEPRECATED")
    assert (run.status, run.err) == (0, "")
    assert "  Cloud Functions calls python311 deprecated: train the model again with a newer Python before" in run.out
    assert "--runtime=python311" in run.out


@pytest.mark.slow
def test_decommissioned(dry: Any) -> None:
    """The next newer Python replaces a decommissioned one, with the predictions of the model's own environment."""
    run = dry(python310="DECOMMISSIONED", python311="DECOMMISSIONED")
    assert (run.status, run.err) == (0, "")
    assert "  Cloud Functions has no Python 3.11 any more.\n" in run.out
    assert "--runtime=python312" in run.out
    assert "with Python 3.12 are those of the environment that the model was saved in." in run.out


@pytest.mark.slow
def test_nothing_left(dry: Any) -> None:
    """A region without any Python that the function runs on is one sentence."""
    run = dry(**dict.fromkeys(GA, "DECOMMISSIONED"))
    assert (run.status, run.changes) == (2, [])
    sentence = "Cloud Functions has no Python from 3.10 to 3.14 in us-central1: choose another --region."
    assert run.err == f"deploy.sh: {sentence}\n"


@pytest.mark.slow
def test_not_listed(deployment: Deployment, before: dict[str, Any]) -> None:
    """Where the runtimes can't be listed, the deployment goes on, and a line says so."""
    deployment.restore(before)
    deployment.cloud.fail(f"GET /v2/projects/{PROJECT}/locations/us-central1/runtimes", 403)
    run = deployment.run("--dry-run")
    assert (run.status, run.err) == (0, "")
    assert "  The runtimes of Cloud Functions cannot be listed, so a deprecated one would not be noticed.\n" in run.out
