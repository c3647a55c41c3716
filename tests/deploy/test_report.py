"""--json: what stdout has after runs that end in different ways."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.conftest import ROOT, Deployment, Run
from tests.google_cloud.cloud import PROJECT

KEYS = ["outcome", "plan", "commands", "result", "problems"]


def test_blocked_by_options() -> None:
    """Problems of the options are in the object, the same sentences as on stderr, and there is no plan."""
    done = subprocess.run(
        [ROOT / "deploy.sh", "--json", "--memory", "9Zi"],
        env=os.environ, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert (done.returncode, list(found)) == (2, KEYS)
    assert (found["outcome"], found["plan"], found["commands"], found["result"]) == ("blocked", None, [], None)
    assert done.stderr == "".join(f"deploy.sh: {problem}\n" for problem in found["problems"])


def read(run: Run) -> dict[str, Any]:
    """Return the one line that a run printed on stdout."""
    assert run.out.count("\n") == 1
    found: dict[str, Any] = json.loads(run.out)
    assert list(found) == KEYS
    return found


@pytest.mark.check
def test_planned(deployment: Deployment, before: dict[str, Any]) -> None:
    """A dry run has its plan and the commands that it would run, and changes nothing."""
    deployment.restore(before)
    run = deployment.run("--json", "--dry-run")
    found = read(run)
    assert (run.status, run.changes, found["outcome"], found["result"]) == (0, [], "planned", None)
    assert (found["plan"]["memory"], found["plan"]["account"]) == (
        "2Gi",
        f"sql-fn-predict@{PROJECT}.iam.gserviceaccount.com",
    )
    programs = [Path(command[0]).name for command in found["commands"]]
    assert programs == ["gcloud", "gcloud", "gcloud", "gcloud", "bq", "gcloud", "bq", "gcloud", "bq", "gcloud"]
    assert "[3/11] Creating the service account" in run.err
    assert "[11/11] Comparing" in run.err


@pytest.mark.slow
def test_ends(deployment: Deployment, first: tuple[Run, dict[str, Any]]) -> None:
    """A deployment has its result, a failed step its sentence, and --destroy the commands that delete."""
    deployment.restore(first[1])
    run = deployment.run("--json")
    found = read(run)
    assert (run.status, found["outcome"], found["commands"], found["problems"]) == (0, "deployed", [], [])
    assert found["result"]["function_url"].endswith("/service/predict")
    assert f"{PROJECT}.ds.predict" in found["result"]["sql_functions"]
    assert found["result"]["predictions_compared"] == 5
    deployment.restore({**first[1], "connections": {}})
    deployment.cloud.fail("POST /v1/.*/connections$", 403)
    run = deployment.run("--json")
    found = read(run)
    assert (run.status, found["outcome"]) == (1, "failed")
    assert found["problems"][0].startswith("Creating the connection my-project.us.predict: ")
    deployment.restore(first[1])
    found = read(deployment.run("--json", "--destroy"))
    assert (found["outcome"], found["result"]) == ("destroyed", None)
    assert found["commands"][-1][:3] == ["gcloud", "storage", "rm"]
