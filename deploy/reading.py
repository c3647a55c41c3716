"""Reads everything that a deployment depends on, in parallel, and changes nothing."""

import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from deploy.gcloud import Commands
from deploy.missing import reader
from deploy.observation import BUCKET_READER, NO_POLICY, Connection, Dataset, Function, ModelReport, Observation, Policy
from deploy.plan import Plan, bq_connection, bucket_of
from deploy.preflight import offered
from deploy.project import ProjectReader
from deploy.record import Record
from deploy.record_file import Found, RecordUnreadable, read
from deploy.service import RECORD, ServiceModel
from launch.lock import PYTHONS

# What every command of gcloud and bq says to somebody who isn't logged in, or whose login expired.
LOGGED_OUT = (
    r"UNAUTHENTICATED|\b401\b|invalid authentication credentials|active account|[Rr]eauthenticat|refreshing .*token"
)


@dataclass(frozen=True)
class Standing:
    """What stands already: the record, and the function, which is still being read."""

    found: Found
    function: "Future[Function | None]"
    problems: list[str]


def look(plan: Plan, commands: Commands) -> Standing:
    """Read what the plan itself depends on."""
    reader = Reader(plan, commands)
    function = commands.start(reader.function)
    return Standing(reader.record(function), function, reader.problems)


def observe(plan: Plan, commands: Commands, standing: Standing, beside: Sequence[ServiceModel]) -> Observation:
    """Read all there is to know for a plan; `beside` are the other models of the service."""
    found = Reader(plan, commands)
    function, record = standing.function, standing.found.record
    version = commands.start(found.gcloud_version)
    runtimes = commands.start(found.runtimes)
    apis = commands.start(found.apis)
    permissions = commands.start(lambda: found.permissions(apis.result()))
    account = commands.start(found.account)
    service = commands.start(lambda: found.foreign_service(function.result()))
    bucket_policy = commands.start(lambda: found.bucket_policy(record))
    dataset = commands.start(found.dataset)
    connection = commands.start(lambda: found.connection(dataset.result()))
    model = commands.start(lambda: found.model(runtimes.result(), beside))
    project_policy = commands.start(found.project_policy)
    builder = commands.start(lambda: found.builder(apis.result()))
    secrets = commands.start(lambda: found.secrets(apis.result()))
    others = commands.start(lambda: found.others(model.result(), dataset.result(), record))
    seen = Observation(
        gcloud_version=version.result(),
        runtimes=runtimes.result(),
        apis=apis.result(),
        permissions=permissions.result(),
        account_exists=account.result() is not None,
        bucket_policy=bucket_policy.result(),
        found=standing.found,
        function=function.result(),
        foreign_service=service.result(),
        dataset=dataset.result(),
        connection=connection.result(),
        model=model.result(),
        builder=builder.result(),
        project_policy=project_policy.result(),
        secrets=secrets.result(),
        others=others.result(),
        tested={},
        lacking_on_buckets={},
        problems=tuple(sorted(_without_login([*standing.problems, *found.problems]))),
    )
    return replace(seen, tested=found.tested(seen), lacking_on_buckets=found.lacking_on_buckets(seen))


def _without_login(problems: Sequence[str]) -> list[str]:
    """Return the problems with one sentence for all those of a missing or expired login."""
    others = [problem for problem in problems if not re.search(LOGGED_OUT, problem)]
    if len(others) == len(problems):
        return others
    return [*others, "You are not logged in to Google Cloud, or the login has expired: run 'gcloud auth login'."]


class Reader(ProjectReader):
    """Reads the resources of one deployment, one thing per method."""

    def account(self) -> str | None:
        """Return the email of the account that the function runs as."""
        command = ["gcloud", "iam", "service-accounts", "describe", self.plan.account, self._project, "--format=json"]
        found = self._existing("service account", command)
        return str(found["email"]) if found else None

    def bucket_policy(self, record: Record) -> Policy:
        """Return who may do what with the bucket; where that can't be read, the grant of the record."""
        bucket = f"gs://{self.plan.bucket}"
        result = self.commands.run(["gcloud", "storage", "buckets", "get-iam-policy", bucket, "--format=json"])
        if result.ok:
            return Policy.parse(result.json())
        if reader(self.plan) in record and not result.absent:
            return Policy({BUCKET_READER: frozenset({f"serviceAccount:{self.plan.account}"})})
        self.problems.append(f"The bucket {bucket} does not exist or its policy cannot be read: {result.reason}")
        return NO_POLICY

    def record(self, function: "Future[Function | None]") -> Found:
        """Return what earlier runs created.

        A record of earlier options is in the model's bucket, where the function says, or in the bucket of the model
        which the function serves now.
        """
        for place in self._record_places(function):
            try:
                if found := read(self.rest, place, self.plan.dataset_id):
                    return found
            except RecordUnreadable as error:
                self.problems.append(
                    f"The record {place} cannot be read: {error} "
                    "Ask for roles/storage.objectViewer on its bucket, or name another place with --record."
                )
                break
        return Found()

    def _record_places(self, function: "Future[Function | None]") -> Iterator[str]:
        yield self.plan.record_uri
        if self.plan.record:
            yield self.plan.record_in(self.plan.own_record_folder)
        found = function.result()
        if found and found.ours:
            if folder := found.variables.get(RECORD):
                yield self.plan.record_in(folder)
            if served := bucket_of(found.variables.get("MODEL_URI", "")):
                yield self.plan.record_in(f"gs://{served}/deployments")

    def function(self) -> Function | None:
        """Return the Cloud Function with its service's policy."""
        name = [self.plan.function, self._project, f"--region={self.plan.region}", "--format=json"]
        found = self._existing("function", ["gcloud", "functions", "describe", "--v2", *name])
        if not found:
            return None
        config = found.get("serviceConfig", {})
        policy = self.commands.run(["gcloud", "run", "services", "get-iam-policy", *name])
        return Function(
            state=found.get("state", ""),
            source_hash=found.get("labels", {}).get("deployed", ""),
            url=config.get("uri", ""),
            account=config.get("serviceAccountEmail", ""),
            variables=config.get("environmentVariables", {}),
            policy=Policy.parse(policy.json()) if policy.ok else NO_POLICY,
        )

    def foreign_service(self, function: Function | None) -> bool:
        """Tell whether somebody else's Cloud Run service has the name that the function's service would get."""
        if function:
            return False
        place = f"v2/{quote(self.plan.region_path)}/services/{self.plan.function}"
        return self.rest.request("GET", "run", place).ok

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
        name = bq_connection(self.plan.connection_id(dataset.location if dataset else self.plan.new_location))
        found = self._existing("connection", self.commands.bq("show", "--connection", name))
        if not found:
            return None
        policy = NO_POLICY
        if self.plan.grant:
            result = self.commands.run(self.commands.bq("get-iam-policy", "--connection", name))
            policy = Policy.parse(result.json()) if result.ok else NO_POLICY
        return Connection(account=found["cloudResource"]["serviceAccountId"], policy=policy)

    def model(self, runtimes: Mapping[str, str] | None, beside: Sequence[ServiceModel]) -> ModelReport | None:
        """Return what a process of its own finds out about the model, since a model's code may do anything.

        It examines the other models of the service, too.
        """
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
            members = Path(folder) / "members.json"
            members.write_text(json.dumps([it.to_json() for it in beside]))
            arguments += ["--called", self.plan.model_name, "--members", str(members)]
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
            if f"{self.plan.dataset_id}.{name}" not in record.routines:
                shown = self.commands.run(self.commands.bq("show", "--routine", f"{place}.{name}"))
                routine = shown.json() if shown.ok else {}
                endpoint = routine.get("remoteFunctionOptions", {}).get("endpoint")
                found[name] = f"calls {endpoint}" if endpoint else "is not a remote function"
        return found
