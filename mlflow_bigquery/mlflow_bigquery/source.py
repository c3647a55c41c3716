"""Runs the project's programs, whose source the wheel carries as data.

They run as deploy.sh runs them: the source is on PYTHONPATH, and the working directory stays the user's, because a
model's folder, `-C requirements=fixed.txt` and a registry such as sqlite:///mlflow.db are relative to it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE

_HERE = Path(__file__).parent
_CARRIED = _HERE / "project"
SOURCE = _CARRIED if _CARRIED.is_dir() else _HERE.parent.parent  # an editable installation runs the clone's
BLOCKED = 2  # the exit status of a run that changed nothing


def deploy(*options: str) -> dict[str, Any]:
    """Run `python -m deploy --json` and return its object; raise MlflowException with its sentences if it fails.

    Progress goes to stderr.
    """
    ended = run("deploy", *options, "--json")
    try:
        report: dict[str, Any] = json.loads(ended.stdout)
    except ValueError:
        raise MlflowException(
            f"The deployment ended with status {ended.returncode}: see the error above.", INTERNAL_ERROR
        ) from None
    if ended.returncode:
        code = INVALID_PARAMETER_VALUE if ended.returncode == BLOCKED else INTERNAL_ERROR
        raise MlflowException("\n".join(report["problems"]), code)
    return report


def run(module: str, *arguments: str, captured: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a module of the project to its end, with the registry that this process uses; stdout may be captured.

    After Ctrl-C the module, which gets that signal too, ends what it started before this function returns.
    """
    command = [sys.executable, "-P", "-m", module, *arguments]
    stdout = subprocess.PIPE if captured else None
    with subprocess.Popen(command, env=_environment(), stdout=stdout, text=True) as process:
        try:
            out, _ = process.communicate()
        except KeyboardInterrupt:
            process.wait()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out or "")


def _environment() -> dict[str, str]:
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    paths = [str(SOURCE), os.environ.get("PYTHONPATH", "")]
    return {
        "DEPLOY_CACHE": str(Path(caches) / "mlflow-bigquery"),
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(),
        "MLFLOW_REGISTRY_URI": mlflow.get_registry_uri(),
    }
