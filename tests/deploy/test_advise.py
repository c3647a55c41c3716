"""deploy.sh --advise: sizes measured with the model itself."""

import re
from typing import Any

import pytest

from tests.deploy.conftest import Deployment

MEASURED = ("max-batching-rows", "cpu", "workers", "concurrency", "timeout")


@pytest.mark.slow
def test_advise(deployment: Deployment, before: dict[str, Any]) -> None:
    """Measured sizes are used for the options that were not given."""
    deployment.restore(before)
    run = deployment.run("--dry-run", "--advise", memory="4Gi")
    assert (run.status, run.err, run.changes) == (0, "", [])
    measured = dict(re.findall(r"^  --([a-z-]+) (\d+): .+$", run.out, re.MULTILINE))
    assert set(measured) == set(MEASURED)
    assert re.search(r"^  --memory 4Gi, as given; measured: \d+(Mi|Gi), \d", run.out, re.MULTILINE)
    assert re.search(r"^Expected of an instance: [\d,]+ rows/s", run.out, re.MULTILINE)
    deployed = next(line for line in run.out.splitlines() if line.startswith("    gcloud functions deploy"))
    assert " --memory=4Gi " in deployed
    for option in ("cpu", "concurrency"):
        assert f" --{option}={measured[option]} " in deployed
    assert f" --timeout={measured['timeout']}s " in deployed
    assert f",WORKERS={measured['workers']} " in deployed.replace("\\", "")
    assert f"max_batching_rows = {measured['max-batching-rows']}" in run.out
