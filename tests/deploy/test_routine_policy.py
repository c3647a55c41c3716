"""A bq that can't set the policies of routines: BigQuery's REST API does it, and a refusal names what the owner grants."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from deploy.observation import ROUTINE_CALLER
from tests.deploy.conftest import ANALYST, Deployment, Run
from tests.google_cloud.cloud import PROJECT

pytestmark = pytest.mark.slow

ROUTINE = f"projects/{PROJECT}/datasets/ds/routines/predict"


@pytest.fixture
def old_bq(tmp_path: Path) -> dict[str, str]:
    """Return the PATH with a bq that knows no --routine, and is bq otherwise."""
    script = f"""#!/bin/bash
for word in "$@"; do
  if [[ $word == *-iam-policy* && $* == *--routine* ]]; then
    echo "FATAL Flags parsing error: Unknown command line flag 'routine'"; exit 1
  fi
done
exec {shutil.which("bq")} "$@"
"""
    (tmp_path / "bq").write_text(script)
    (tmp_path / "bq").chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}"}


def test_grant_by_rest(deployment: Deployment, first: tuple[Run, dict[str, Any]], old_bq: dict[str, str]) -> None:
    """A new analyst is allowed, nobody loses a role, and a second run writes nothing."""
    deployment.restore(first[1])
    new = "user:eve@example.com"
    run = deployment.run("--grant", ANALYST, "--grant", new, environment=old_bq)
    assert (run.status, run.err) == (0, "")
    assert deployment.cloud.members(ROUTINE, ROUTINE_CALLER) == {ANALYST, new}
    again = deployment.run("--grant", ANALYST, "--grant", new, environment=old_bq)
    assert (again.status, again.changes) == (0, [])
    deployment.cloud.policies.pop(ROUTINE)
    deployment.cloud.fail("routines/predict:setIamPolicy", 403)
    run = deployment.run("--grant", ANALYST, environment=old_bq)
    assert run.status == 1
    assert f"to grant {ROUTINE_CALLER} on the routine {PROJECT}:ds.predict to {ANALYST}." in run.err
