"""The client of `mlflow deployments`: what deploy.sh makes, changes and deletes, under a name in a dataset."""

from collections.abc import Mapping
from typing import Any

from mlflow.deployments import BaseDeploymentClient, PredictionsResponse
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_DOES_NOT_EXIST,
)

from mlflow_bigquery import cloud, predictions
from mlflow_bigquery.cloud import Deployment, Place
from mlflow_bigquery.options import arguments
from mlflow_bigquery.source import deploy

FLAVOR = "python_function"  # what MLflow prints; the model's own flavors decide how it is loaded


class BigQueryDeploymentClient(BaseDeploymentClient):
    """Deployments in one dataset, that of the target bigquery:/PROJECT/DATASET.

    A method that fails raises MlflowException with deploy.sh's sentences. `config` has deploy.sh's options.
    """

    def __init__(self, target_uri: str) -> None:
        self._place = Place.parse(target_uri)
        super().__init__(target_uri)

    def create_deployment(
        self,
        name: str,
        model_uri: str,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Deploy a model; return `name`, `flavor`, and what deploy.sh reports about the deployment."""
        _check(flavor, endpoint)
        options = arguments(config)
        if self._find(name):
            raise MlflowException(
                f"The deployment {name} exists in {self._place}; use 'mlflow deployments update'.",
                RESOURCE_ALREADY_EXISTS,
            )
        return self._deploy(name, model_uri, options)

    def update_deployment(
        self,
        name: str,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Deploy another model, by default the same one, with the options given and the defaults of all others."""
        _check(flavor, endpoint)
        options = arguments(config)
        deployment = self._found(name)
        service = cloud.service(self._place, deployment)
        if not service:
            raise MlflowException(
                f"The deployment {name} calls {deployment.endpoint}, but {self._place.project} has no function with "
                "that URL: run 'mlflow deployments delete' and create it again.",
                RESOURCE_DOES_NOT_EXIST,
            )
        options += _defaults(options, region=service.region, function=service.name)
        return self._deploy(name, model_uri or cloud.model_uri(self._place, deployment, service), options)

    def delete_deployment(
        self, name: str, config: Mapping[str, Any] | None = None, endpoint: str | None = None
    ) -> None:
        """Delete what deploy.sh created for a deployment; one that does not exist is no error.

        The other models of its Cloud Function stay. What an unfinished deployment left needs `region` and `model` in
        `config`, since no SQL function tells them.
        """
        _check(None, endpoint)
        options = arguments(config, also=["model"])
        deployment = self._find(name)
        service = cloud.service(self._place, deployment) if deployment else None
        if deployment and service:
            uri = cloud.model_uri(self._place, deployment, service)
            options += _defaults(options, region=service.region, function=service.name, model=uri)
        if deployment or (_has(options, "region") and _has(options, "model")):
            deploy("--destroy", *self._in_place, f"--name={name}", *options)

    def list_deployments(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """Return each deployment of the dataset, as `get_deployment` does."""
        _check(None, endpoint)
        return [self._described(it) for it in self._all().values()]

    def get_deployment(self, name: str, endpoint: str | None = None) -> dict[str, Any]:
        """Return a deployment's name, its SQL functions with their full names, which model answers, and where."""
        _check(None, endpoint)
        return self._described(self._found(name))

    def predict(
        self, deployment_name: str | None = None, inputs: Any = None, endpoint: str | None = None
    ) -> PredictionsResponse:
        """Return the predictions for a DataFrame, or for what makes one, by a query in BigQuery."""
        _check(None, endpoint)
        found = predictions.predict(self._place, self._found(str(deployment_name)), inputs)
        return PredictionsResponse({"predictions": found})

    def _deploy(self, name: str, model_uri: str, options: list[str]) -> dict[str, Any]:
        report = deploy(*self._options(name), f"--model={model_uri}", *options)
        return {"name": name, "flavor": FLAVOR, "outcome": report["outcome"], **(report["result"] or {})}

    def _options(self, name: str) -> list[str]:
        return [*self._in_place, f"--name={name}"] if name != cloud.UNNAMED else self._in_place

    @property
    def _in_place(self) -> list[str]:
        return [f"--project={self._place.project}", f"--dataset={self._place.dataset}"]

    def _all(self) -> dict[str, Deployment]:
        found = cloud.deployments(self._place)
        if found is None:
            raise MlflowException(f"There is no dataset {self._place}.", RESOURCE_DOES_NOT_EXIST)
        return found

    def _find(self, name: str) -> Deployment | None:
        return (cloud.deployments(self._place) or {}).get(name)

    def _found(self, name: str) -> Deployment:
        found = self._all()
        if name not in found:
            raise MlflowException(
                f"There is no deployment {name!r} in {self._place}; it has {', '.join(sorted(found)) or 'none'}.",
                RESOURCE_DOES_NOT_EXIST,
            )
        return found[name]

    def _described(self, deployment: Deployment) -> dict[str, Any]:
        return {
            "name": deployment.name,
            "flavor": FLAVOR,
            "endpoint": deployment.endpoint,
            "sql_functions": [f"{self._place}.{routine}" for routine in sorted(deployment.functions.values())],
            "description": deployment.description,
        }


def _check(flavor: str | None, endpoint: str | None) -> None:
    """Raise MlflowException for what other targets have and this one does not."""
    if flavor not in (None, FLAVOR):
        raise MlflowException(
            f"The flavor is {flavor!r}; omit it, since the model's own flavors decide.", INVALID_PARAMETER_VALUE
        )
    if endpoint:
        raise MlflowException(
            f"The endpoint is {endpoint!r}; omit it, since this target has deployments without endpoints.",
            INVALID_PARAMETER_VALUE,
        )


def _defaults(options: list[str], **values: str) -> list[str]:
    """Return the options that are not given, with the values that the deployment has."""
    return [f"--{name}={value}" for name, value in values.items() if not _has(options, name)]


def _has(options: list[str], name: str) -> bool:
    return any(option.startswith(f"--{name}=") for option in options)
