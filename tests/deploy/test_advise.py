"""deploy.sh --advise: what is measured of the model becomes the options that nobody gave."""

import re
from typing import Any

import pytest

from tests.deploy.conftest import Deployment

MEASURED = ("max-batching-rows", "cpu", "workers", "concurrency", "timeout")


@pytest.mark.slow
def test_measured_figures_become_the_options_that_were_not_given(
    deployment: Deployment, before: dict[str, Any]
) -> None:
    deployment.restore(before)
    run = deployment.run("--dry-run", "--advise", memory="16Gi")
    assert (run.status, run.err, run.changes) == (0, "", [])
    said = dict(re.findall(r"^  --([a-z-]+) (\d+): .+$", run.out, re.MULTILINE))
    assert set(said) == set(MEASURED)
    assert re.search(r"^  --memory 16Gi, as given; measured: \d+(Mi|Gi), \d", run.out, re.MULTILINE)
    assert re.search(r"^Expected of an instance: [\d,]+ rows/s", run.out, re.MULTILINE)
    deployed = next(line for line in run.out.splitlines() if line.startswith("    gcloud functions deploy"))
    assert " --memory=16Gi " in deployed
    for option in ("cpu", "concurrency"):
        assert f" --{option}={said[option]} " in deployed
    assert f" --timeout={said['timeout']}s " in deployed
    assert f",WORKERS={said['workers']} " in deployed.replace("\\", "")
    assert f"max_batching_rows = {said['max-batching-rows']}" in run.out
