"""The plugin of `mlflow deployments` for the target `bigquery`: MLflow finds its client and functions here.

It does what deploy.sh does by running the same program, and imports nothing of it: see source.py.
"""

from mlflow_bigquery.client import BigQueryDeploymentClient
from mlflow_bigquery.local import run_local
from mlflow_bigquery.options import target_help

__all__ = ["BigQueryDeploymentClient", "run_local", "target_help"]
