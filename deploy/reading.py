"""Reads everything that a deployment depends on, in parallel, and changes nothing."""

import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from deploy.gcloud import Commands, Result
from deploy.observation import NO_POLICY, Connection, Dataset, FoundSecret, Function, ModelReport, Observation, Policy
from deploy.plan import Plan
from deploy.preflight import PERMISSIONS, offered
from deploy.record import Record
from deploy.secrets import SECRET_MANAGER, read_secret, secrets
from launch.lock import PYTHONS
from serving.errors import describe_error

RESOURCE_MANAGER = "https://cloudresourcemanager.googleapis.com/"
HTTP_SECONDS = 60.0
# What every command of gcloud and bq says to somebody who isn't logged in, or whose login expired.
LOGGED_OUT = (
    r"UNAUTHENTICATED|\b401\b|invalid authentication credentials|active account|[Rr]eauthenticat|refreshing .*token"
)
SWITCHED_OFF = r"SERVICE_DISABLED|has not been used in project|is disabled"


def observe(plan: Plan, commands: Commands) -> Observation:
    """Read all there is to know for a plan."""
    reader = Reader(plan, commands)
    version = commands.start(reader.gcloud_version)
    runtimes = commands.start(reader.runtimes)
    apis = commands.start(reader.apis)
    permissions = commands.start(lambda: reader.permissions(apis.result()))
    account = commands.start(reader.account)
    bucket_policy = commands.start(reader.bucket_policy)
    record = commands.start(reader.record)
    function = commands.start(reader.function)
    dataset = commands.start(reader.dataset)
    connection = commands.start(lambda: reader.connection(dataset.result()))
    model = commands.start(lambda: reader.model(runtimes.result()))
    project_policy = commands.start(reader.project_policy)
    secrets = commands.start(lambda: reader.secrets(apis.result()))
    others = commands.start(lambda: reader.others(model.result(), dataset.result(), record.result() or Record()))
    return Observation(
        gcloud_version=version.result(),
        runtimes=runtimes.result(),
        apis=apis.result(),
        permissions=permissions.result(),
        account_exists=account.result() is not None,
        bucket_policy=bucket_policy.result(),
        record=record.result() or Record(),
        function=function.result(),
        dataset=dataset.result(),
        connection=connection.result(),
        model=model.result(),
        project_policy=project_policy.result(),
        secrets=secrets.result(),
        others=others.result(),
        problems=tuple(sorted(_without_login(reader.problems))),
    )


def _without_login(problems: Sequence[str]) -> list[str]:
    """Return the problems with one sentence for all those of a missing or expired login."""
    others = [problem for problem in problems if not re.search(LOGGED_OUT, problem)]
    if len(others) == len(problems):
        return others
    return [*others, "You are not logged in to Google Cloud, or the login has expired: run 'gcloud auth login'."]


@dataclass
class Reader:
    """Reads one thing per method, and collects a sentence for each that cannot be read."""

    plan: Plan
    commands: Commands
    problems: list[str] = field(default_factory=list)

    def gcloud_version(self) -> str:
        """Return the version of the Google Cloud SDK."""
        found = self._existing("version of gcloud", ["gcloud", "version", "--format=json"])
        return str(found["Google Cloud SDK"]) if found else ""

    def runtimes(self) -> Mapping[str, str] | None:
        """Return the stage of each Python that Cloud Functions lists for the region; None if it lists none."""
        region = f"--region={self.plan.region}"
        result = self.commands.run(["gcloud", "functions", "runtimes", "list", self._project, region, "--format=json"])
        listed = result.json() if result.ok else []
        second = [it for it in listed if it["name"].startswith("python") and "GEN_2" in it["environments"]]
        return {it["name"]: it["stage"] for it in second} or None

    def apis(self) -> frozenset[str] | None:
        """Return the APIs enabled in the project."""
        result = self.commands.run(
            ["gcloud", "services", "list", "--enabled", self._project, "--format=json(config.name)"]
        )
        if result.ok:
            return frozenset(service["config"]["name"] for service in result.json())
        self.problems.append(
            f"The project {self.plan.project} cannot be read: {result.reason} "
            "Log in with 'gcloud auth login' and check --project."
        )
        return None

    def permissions(self, apis: frozenset[str] | None) -> frozenset[str] | None:
        """Return which of PERMISSIONS the caller has on the project; gcloud has no command for that."""
        if apis is not None and urlsplit(RESOURCE_MANAGER).hostname not in apis:
            return None  # which preflight reports
        token = self.commands.run(["gcloud", "auth", "print-access-token"])
        result = _test_permissions(self.plan.project, token.out.strip()) if token.ok else token
        if result.ok:
            return frozenset(result.json().get("permissions", []))
        if result.matches(SWITCHED_OFF):
            self.problems.append(
                "The Cloud Resource Manager API is off, which tells what you may do; run: gcloud services enable "
                f"{urlsplit(RESOURCE_MANAGER).hostname} {self._project}"
            )
        else:
            self.problems.append(f"Your permissions on {self.plan.project} cannot be read: {result.reason}")
        return None

    def account(self) -> str | None:
        """Return the email of the account that the function runs as."""
        command = ["gcloud", "iam", "service-accounts", "describe", self.plan.account, self._project, "--format=json"]
        found = self._existing("service account", command)
        return str(found["email"]) if found else None

    def project_policy(self) -> Policy | None:
        """Return who has which role on the whole project; None if the caller may not read that."""
        result = self.commands.run(["gcloud", "projects", "get-iam-policy", self.plan.project, "--format=json"])
        return Policy.parse(result.json()) if result.ok else None

    def secrets(self, apis: frozenset[str] | None) -> tuple[FoundSecret, ...]:
        """Return what can be read about the secrets of --set-secrets."""
        if apis is not None and SECRET_MANAGER not in apis:
            return ()  # which preflight reports
        reads = [self.commands.start(partial(read_secret, it, self.commands)) for it in secrets(self.plan)]
        return tuple(read.result() for read in reads)

    def bucket_policy(self) -> Policy:
        """Return who may do what with the bucket."""
        bucket = f"gs://{self.plan.bucket}"
        result = self.commands.run(["gcloud", "storage", "buckets", "get-iam-policy", bucket, "--format=json"])
        if result.ok:
            return Policy.parse(result.json())
        self.problems.append(f"The bucket {bucket} does not exist or its policy cannot be read: {result.reason}")
        return NO_POLICY

    def record(self) -> Record | None:
        """Return what earlier runs created."""
        result = self.commands.run(["gcloud", "storage", "cat", self.plan.record_uri])
        if result.ok:
            return Record.parse(result.out, self.plan.dataset_id)
        if not result.absent:
            self.problems.append(f"The record {self.plan.record_uri} cannot be read: {result.reason}")
        return None

    def function(self) -> Function | None:
        """Return the Cloud Function with its service's policy."""
        name = [self.plan.function, self._project, f"--region={self.plan.region}", "--format=json"]
        found = self._existing("function", ["gcloud", "functions", "describe", "--v2", *name])
        if not found:
            return None
        policy = self.commands.run(["gcloud", "run", "services", "get-iam-policy", *name])
        return Function(
            state=found.get("state", ""),
            source_hash=found.get("labels", {}).get("deployed", ""),
            url=found.get("serviceConfig", {}).get("uri", ""),
            policy=Policy.parse(policy.json()) if policy.ok else NO_POLICY,
        )

    def dataset(self) -> Dataset | None:
        """Return the dataset with the names of its routines."""
        name = f"{self.plan.project}:{self.plan.dataset}"
        found = self._existing("dataset", self.commands.bq("show", name))
        if not found:
            return None
        listed = self._existing("routines", self.commands.bq("ls", "--routines", "--max_results=1000", name))
        names = frozenset(routine["routineReference"]["routineId"] for routine in listed or ())
        return Dataset(location=found["location"], routines=names)

    def connection(self, dataset: Dataset | None) -> Connection | None:
        """Return the connection, whose name has the dataset's location."""
        name = self.plan.connection_id(dataset.location if dataset else self.plan.new_location)
        found = self._existing("connection", self.commands.bq("show", "--connection", name))
        if not found:
            return None
        policy = NO_POLICY
        if self.plan.grant:
            result = self.commands.run(self.commands.bq("get-iam-policy", "--connection", name))
            policy = Policy.parse(result.json()) if result.ok else NO_POLICY
        return Connection(account=found["cloudResource"]["serviceAccountId"], policy=policy)

    def model(self, runtimes: Mapping[str, str] | None) -> ModelReport | None:
        """Return what a process of its own finds out about the model, since a model's code may do anything."""
        pythons = offered(runtimes)
        if not pythons:
            self.problems.append(
                f"Cloud Functions has no Python from {PYTHONS[0]} to {PYTHONS[-1]} in {self.plan.region}: choose "
                "another --region."
            )
            return None
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "model.json"
            functions = f"{self.plan.project}.{self.plan.dataset}"
            arguments = ["--functions", functions, "--output", str(output), "--pythons", ",".join(pythons)]
            options = [*self.plan.model_options, *self.plan.sql.arguments]
            result = self.commands.run([sys.executable, "-m", "deploy.model", *options, *arguments], seconds=None)
            if result.ok:
                return ModelReport.parse(json.loads(output.read_text()))
        self.problems += result.out.splitlines() or [f"The model cannot be read: {result.reason}"]
        return None

    def others(self, model: ModelReport | None, dataset: Dataset | None, record: Record) -> Mapping[str, str]:
        """Return the routines of others that have a name of the model's SQL functions, with what they are.

        Those in the record are deploy.sh's own. The text is the end of a sentence, such as "calls https://predict-abc-uc.a.run.app".
        """
        taken = [name for name in model.functions if name in dataset.routines] if model and dataset else []
        place = f"{self.plan.project}:{self.plan.dataset}"
        found = {}
        for name in taken:
            if name not in record.routines(self.plan.dataset_id):
                shown = self.commands.run(self.commands.bq("show", "--routine", f"{place}.{name}"))
                routine = shown.json() if shown.ok else {}
                endpoint = routine.get("remoteFunctionOptions", {}).get("endpoint")
                found[name] = f"calls {endpoint}" if endpoint else "is not a remote function"
        return found

    @property
    def _project(self) -> str:
        return f"--project={self.plan.project}"

    def _existing(self, what: str, command: Sequence[str]) -> Any:
        """Return the JSON that describes a resource, or None when it does not exist or cannot be read."""
        result = self.commands.run(command)
        if result.ok:
            return result.json()
        if not result.absent:
            self.problems.append(f"The {what} cannot be read: {result.reason}")
        return None


def _test_permissions(project: str, token: str) -> Result:
    """Ask Resource Manager which of PERMISSIONS the caller has on the project."""
    endpoint = os.environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER", RESOURCE_MANAGER)
    try:
        response = httpx.post(
            f"{endpoint}v1/projects/{project}:testIamPermissions",
            json={"permissions": PERMISSIONS},
            headers={"Authorization": f"Bearer {token}"},
            timeout=HTTP_SECONDS,
        )
    except httpx.HTTPError as error:
        return Result(1, "", describe_error(error))
    if response.is_success:
        return Result(0, response.text, "")
    return Result(1, "", f"HTTP {response.status_code}: {response.text}")
