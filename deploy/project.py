"""Reads what a deployment depends on in its project: tools, APIs, permissions, the builder and secrets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

from deploy.gcloud import Commands
from deploy.observation import FoundSecret, Observation, Policy
from deploy.plan import Plan
from deploy.rest import Rest, names
from deploy.rights import PERMISSIONS, needed, needed_on_buckets
from deploy.secrets import SECRET_MANAGER, read_secret, secrets

RESOURCE_MANAGER = "https://cloudresourcemanager.googleapis.com/"
CLOUD_BUILD = "cloudbuild.googleapis.com"
SWITCHED_OFF = r"SERVICE_DISABLED|has not been used in project|is disabled"


@dataclass
class ProjectReader:
    """Reads one thing per method, and collects a sentence for each that cannot be read."""

    plan: Plan
    commands: Commands
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rest = Rest(self.commands)

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
        result = self.rest.granted("cloudresourcemanager", f"v1/projects/{self.plan.project}", PERMISSIONS)
        if result.ok:
            return names(result)
        if result.matches(SWITCHED_OFF):
            self.problems.append(
                "The Cloud Resource Manager API is off, which tells what you may do; run: gcloud services enable "
                f"{urlsplit(RESOURCE_MANAGER).hostname} {self._project}"
            )
        else:
            self.problems.append(f"Your permissions on {self.plan.project} cannot be read: {result.reason}")
        return None

    def tested(self, seen: Observation) -> dict[str, bool]:
        """Return whether the caller has on a resource what the project doesn't grant, as far as it can be asked."""
        if seen.permissions is None:
            return {}
        places = {
            name: it for name, it in needed(self.plan, seen).items() if name not in seen.permissions and it and it.api
        }
        asked = {name: self.rest.granted(it.api, it.path, [name]) for name, it in places.items()}
        return {name: name in found for name, result in asked.items() if (found := names(result)) is not None}

    def lacking_on_buckets(self, seen: Observation) -> dict[str, tuple[str, ...]]:
        """Return the permissions that this run needs on a bucket and the caller doesn't have there."""
        wanted = needed_on_buckets(self.plan, seen)
        asked = {bucket: names(self.rest.granted_on_bucket(bucket, it)) for bucket, it in wanted.items()}
        lacking = {
            bucket: tuple(it for it in wanted[bucket] if has is not None and it not in has)
            for bucket, has in asked.items()
        }
        return {bucket: it for bucket, it in lacking.items() if it}

    def project_policy(self) -> Policy | None:
        """Return who has which role on the whole project; None if the caller may not read that."""
        path = f"v1/projects/{quote(self.plan.project)}:getIamPolicy"
        result = self.rest.request("POST", "cloudresourcemanager", path, json={})
        return Policy.parse(result.json()) if result.ok else None

    def builder(self, apis: frozenset[str] | None) -> str:
        """Return the email of the account that builds the function; empty if that can't be read."""
        if self.plan.build_service_account:
            return self.plan.build_service_account
        if apis is not None and CLOUD_BUILD not in apis:
            return ""  # which preflight reports
        path = f"v1/{quote(self.plan.region_path)}/defaultServiceAccount"
        result = self.rest.request("GET", "cloudbuild", path)
        return str(result.json().get("serviceAccountEmail", "")).rpartition("/")[2] if result.ok else ""

    def secrets(self, apis: frozenset[str] | None) -> tuple[FoundSecret, ...]:
        """Return what can be read about the secrets of --set-secrets."""
        if apis is not None and SECRET_MANAGER not in apis:
            return ()  # which preflight reports
        reads = [self.commands.start(partial(read_secret, it, self.commands)) for it in secrets(self.plan)]
        return tuple(read.result() for read in reads)

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
