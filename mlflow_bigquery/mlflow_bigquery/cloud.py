"""What the target has: the SQL functions of deployments in a dataset, and the Cloud Functions that they call.

gcloud and bq answer, with the user's login, as for deploy.sh.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE

TARGET = r"bigquery:/([^/\s]+)/(\w+)/?"
ABSENT = r"[Nn]ot found: Dataset"
READERS = 8  # routines at a time; each is a process of bq
# What is added to a deployment's name, by what the SQL function does; a function of the user's own has _ and its name.
SUFFIXES = {"predict": "", "predict_row": "_row", "predict_proba": "_proba", "model_info": "_info"}
REPLY = "_json"  # under --on-error json, the remote function's ending
RECORD = "DEPLOY_RECORD"  # the function's variable that names the folder of deploy.sh's record
UNNAMED = "predict"  # the deployment whose SQL functions have the names of what they do


@dataclass(frozen=True)
class Place:
    """A project, and the dataset in it that has the SQL functions."""

    project: str
    dataset: str

    @classmethod
    def parse(cls, target: str) -> "Place":
        """Read a target such as bigquery:/my-project/ds; raise MlflowException."""
        if match := re.fullmatch(TARGET, target, re.ASCII):
            return cls(match[1], match[2])
        raise MlflowException(
            f"The target is {target!r}; expected bigquery:/PROJECT/DATASET, such as bigquery:/my-project/ds.",
            INVALID_PARAMETER_VALUE,
        )

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}"


@dataclass(frozen=True)
class Deployment:
    """The SQL functions of one model: `functions` has the name of each in the dataset, by what it does."""

    name: str
    endpoint: str  # the URL of the Cloud Function
    description: str  # which model answers
    functions: Mapping[str, str]


@dataclass(frozen=True)
class Service:
    """A Cloud Function: its name, where it runs, and the environment variables that deploy.sh set."""

    name: str
    region: str
    variables: Mapping[str, str]


def deployments(place: Place) -> dict[str, Deployment] | None:
    """Return the deployments in a dataset by name, None if there is no such dataset; raise MlflowException."""
    listed = _bq(place, "ls", "--routines", "--max_results=1000", f"{place.project}:{place.dataset}")
    if listed is None:
        return None
    names = [it["routineReference"]["routineId"] for it in listed if it["routineType"] == "SCALAR_FUNCTION"]
    with ThreadPoolExecutor(READERS) as readers:
        return grouped(readers.map(lambda name: _routine(place, name), names))


def grouped(routines: Iterable[Mapping[str, Any]]) -> dict[str, Deployment]:
    """Return the deployments that routines, as BigQuery's REST API describes them, belong to; others are left out."""
    found: dict[str, Deployment] = {}
    for routine in routines:
        remote = routine.get("remoteFunctionOptions", {})
        context = remote.get("userDefinedContext", {})
        if function := context.get("function"):
            routine_name = routine["routineReference"]["routineId"]
            if context.get("on_error") == "json":  # users call the function around it
                routine_name = routine_name.removesuffix(REPLY)
            name = deployment_name(routine_name, function)
            others = found[name].functions if name in found else {}
            functions = {**others, function: routine_name}
            found[name] = Deployment(name, remote["endpoint"], routine.get("description", ""), functions)
    return found


def deployment_name(routine: str, function: str) -> str:
    """Return the name of the deployment that a SQL function belongs to; `function` says what it does."""
    if routine == function:
        return UNNAMED
    return routine.removesuffix(SUFFIXES.get(function, f"_{function}"))


def service(place: Place, deployment: Deployment) -> Service | None:
    """Return the Cloud Function that a deployment calls, None if the project has none at that URL."""
    fields = "json(name,serviceConfig.uri,serviceConfig.environmentVariables)"
    listed = _json(["gcloud", "functions", "list", "--v2", f"--project={place.project}", f"--format={fields}"])
    for it in listed:
        config = it.get("serviceConfig", {})
        if config.get("uri") == deployment.endpoint:
            _, _, _, region, _, name = it["name"].split("/")
            return Service(name, region, config.get("environmentVariables", {}))
    return None


def model_uri(place: Place, deployment: Deployment, service: Service) -> str:
    """Return the model that a function serves for a deployment, as --model-uri names it: that of a registry by version.

    Raise MlflowException if the function serves several, and their record can't be read.
    """
    listed = _listed(place, deployment, service) if "MODELS" in service.variables else {}
    version = listed.get("version") or service.variables.get("MODEL_VERSION", "")
    if version:
        return str(version) if version.startswith("runs:/") else f"models:/{version}"
    return str(listed.get("uri") or service.variables.get("MODEL_URI", ""))


def _listed(place: Place, deployment: Deployment, service: Service) -> Mapping[str, Any]:
    """Return what deploy.sh's record has about a deployment's model; its lines are a word and a name or JSON."""
    record = f"{service.variables.get(RECORD)}/{place.project}/{service.region}/{service.name}.txt"
    lines = _printed(["gcloud", "storage", "cat", record]).splitlines()
    models = [json.loads(line.removeprefix("model ")) for line in lines if line.startswith("model ")]
    named = "" if deployment.name == UNNAMED else deployment.name
    return next((it for it in models if it["sql_name"] == named), {})


def query(place: Place, text: str, rows: int) -> list[Mapping[str, Any]]:
    """Return the rows of a query, at most `rows`; raise MlflowException with BigQuery's error."""
    command = [*_command(place), "query", "--nouse_legacy_sql", f"--max_rows={rows}"]
    return list(_json(command, text))


def _routine(place: Place, name: str) -> Mapping[str, Any]:
    """Return a routine as BigQuery's REST API describes it; an empty mapping for one that is gone."""
    return _bq(place, "show", "--routine", f"{place.project}:{place.dataset}.{name}") or {}


def _bq(place: Place, *arguments: str) -> Any:
    """Return what bq prints, None if the dataset does not exist."""
    try:
        return _json([*_command(place), *arguments])
    except MlflowException as error:
        if re.search(ABSENT, error.message):
            return None
        raise


def _command(place: Place) -> list[str]:
    return ["bq", "--quiet", "--headless", f"--project_id={place.project}", "--format=json"]


def _json(command: Sequence[str], stdin: str = "") -> Any:
    """Return the JSON that a command prints; nothing is an empty list. Raise MlflowException with its error."""
    return json.loads(_printed(command, stdin) or "[]")


def _printed(command: Sequence[str], stdin: str = "") -> str:
    """Return what a command prints; raise MlflowException with its error."""
    if not shutil.which(command[0]):
        advice = "see https://cloud.google.com/sdk/docs/install"
        raise MlflowException(f"{command[0]} is not installed: {advice}.", INTERNAL_ERROR)
    ended = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if ended.returncode:
        reason = " ".join(f"{ended.stderr}\n{ended.stdout}".split())
        raise MlflowException(f"{command[0]} failed: {reason}", INTERNAL_ERROR)
    return ended.stdout
