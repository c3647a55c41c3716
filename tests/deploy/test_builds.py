"""What a failed build says: the end of its own log, by the address in the error of Cloud Functions."""

from typing import Any

import pytest

from deploy.builds import LINES, build_advice
from deploy.gcloud import Commands
from tests.deploy.conftest import Deployment
from tests.google_cloud import builds
from tests.google_cloud.cloud import PROJECT

REASON = (
    "ERROR: (gcloud.functions.deploy) OperationError: code=3, message=Build failed with status: FAILURE. For more details "
    "see the logs at https://console.cloud.google.com/cloud-build/builds;region=us-central1/{id}?project=123."
)


@pytest.mark.check
def test_log_of_failed_build(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last lines of the build's log are shown, and the command that shows all of it."""
    for name, value in deployment.google.environment.items():
        monkeypatch.setenv(name, value)
    log, advice = build_advice(Commands(PROJECT, 60), REASON.format(id=builds.FAILED), "predict", "us-central1")
    assert log == "".join(f"\n    {line}" for line in builds.LINES[-LINES:])
    assert f"gcloud builds log {builds.FAILED} --region=us-central1 --project={PROJECT}" in advice


def test_error_without_build() -> None:
    """An error that names no build leads to the list of builds."""
    log, advice = build_advice(Commands(PROJECT, 60), "ERROR: permission denied", "predict", "europe-west1")
    assert log == ""
    assert f"gcloud builds list --region=europe-west1 --project={PROJECT}" in advice
    assert f"gcloud functions logs read predict --gen2 --region=europe-west1 --project={PROJECT}" in advice


@pytest.mark.slow
def test_build_with_pip(deployment: Deployment, before: dict[str, Any]) -> None:
    """pip installs the deployed requirements in an empty environment, `pip check` finds nothing, and SQL agrees there."""
    deployment.restore(before)
    deployment.cloud.installs = True
    run = deployment.run()
    assert (run.status, run.err) == (0, "")
    assert run.out.endswith("predictions match the model's own.\n")
