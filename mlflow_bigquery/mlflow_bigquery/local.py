"""`mlflow deployments run-local`: the function on this machine, as `python -m local up` runs it."""

import importlib.util
from collections.abc import Mapping
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE

from mlflow_bigquery.source import run

KEYS = ("port", "python", "requirements", "signature-from")
INTERRUPTED = 130  # the exit status after Ctrl-C or SIGTERM


def run_local(
    name: str,  # noqa: ARG001 MLflow passes it, as the flavor
    model_uri: str,
    flavor: str | None = None,  # noqa: ARG001
    config: Mapping[str, Any] | None = None,
) -> None:
    """Serve a model in its own environment until Ctrl-C; `config` has the options of `python -m local up`."""
    given = {key.replace("_", "-"): value for key, value in (config or {}).items()}
    if unknown := sorted(given.keys() - set(KEYS)):
        sentences = [f"There is no key {key!r} for run-local; expected one of {', '.join(KEYS)}." for key in unknown]
        raise MlflowException("\n".join(sentences), INVALID_PARAMETER_VALUE)
    if not importlib.util.find_spec("gcp_storage_emulator"):
        raise MlflowException(
            "run-local needs packages that are not installed; run: pip install 'mlflow-bigquery[local]'", INTERNAL_ERROR
        )
    options = [f"--{key}={value}" for key, value in given.items()]
    status = run("local", "up", f"--model={model_uri}", *options, captured=False).returncode
    if status not in (0, INTERRUPTED):
        raise MlflowException(f"The function ended with status {status}: see the error above.", INTERNAL_ERROR)
