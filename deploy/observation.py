"""What a deployment found when it looked: resources, policies and the model, as typed values.

A resource that does not exist is None.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deploy.record import Record
from deploy.record_file import Found

BUCKET_READER = "roles/storage.objectViewer"
INVOKER = "roles/run.invoker"
CONNECTION_USER = "roles/bigquery.connectionUser"
ROUTINE_CALLER = "roles/bigquery.dataViewer"


@dataclass(frozen=True)
class Policy:
    """Who has which role on one resource."""

    members: Mapping[str, frozenset[str]]  # by role

    @classmethod
    def parse(cls, policy: Mapping[str, Any]) -> "Policy":
        """Read a policy as the APIs return it; an empty one has no bindings."""
        members: dict[str, frozenset[str]] = {}
        for binding in policy.get("bindings", []):
            members[binding["role"]] = members.get(binding["role"], frozenset()) | set(binding["members"])
        return cls(members)

    def grants(self, role: str, member: str) -> bool:
        """Tell whether a member has a role."""
        return member in self.members.get(role, ())


NO_POLICY = Policy({})


def has_role(policies: Iterable[Policy | None], roles: Collection[str], member: str) -> bool | None:
    """Tell whether a member has one of the roles by one of the policies; None if that can't be told.

    It can't where a policy couldn't be read (None), where a custom role of the member may contain the permission, and
    where a group has the role, since a policy doesn't say who is in a group.
    """
    known = True
    for policy in policies:
        if policy is None:
            known = False
            continue
        for role, members in policy.members.items():
            if role in roles and member in members:
                return True
            known = known and not (member in members and not role.startswith("roles/"))
            known = known and not (
                role in roles and any(it.startswith(("group:", "domain:", "principal")) for it in members)
            )
    return False if known else None


@dataclass(frozen=True)
class Function:
    """A Cloud Function that exists."""

    state: str
    source_hash: str  # the label `deployed`, which only deploy.sh sets
    url: str
    account: str  # that it runs as
    variables: Mapping[str, str]  # of its environment
    policy: Policy  # of its Cloud Run service

    @property
    def ours(self) -> bool:
        """Whether deploy.sh created it."""
        return bool(re.fullmatch(r"[0-9a-f]{40}", self.source_hash))


@dataclass(frozen=True)
class Dataset:
    """A dataset that exists."""

    location: str
    routines: frozenset[str]


@dataclass(frozen=True)
class Connection:
    """A BigQuery connection that exists."""

    account: str  # BigQuery calls the function as this service account
    policy: Policy

    @property
    def member(self) -> str:
        """The account as policies name it."""
        return f"serviceAccount:{self.account}"


@dataclass(frozen=True)
class Secret:
    """One version of a secret."""

    project: str
    name: str
    version: str  # a number or latest


@dataclass(frozen=True)
class FoundSecret:
    """What could be read about a secret; None where the caller may not read it."""

    secret: Secret
    state: str | None  # of the version, such as ENABLED; empty if there is no such version
    policy: Policy | None


@dataclass(frozen=True)
class MemberReport:
    """What `deploy.model` found out about one model of the service, in the packages of all of them."""

    digest: str
    plan: str  # on or off: whether the function may answer with its plan
    required: tuple[str, ...]  # the lines of its requirements.txt
    memory: int  # that a process has for itself once the model is loaded, in bytes; 0: not known

    @classmethod
    def parse(cls, report: Mapping[str, Any]) -> "MemberReport":
        """Read a report from JSON."""
        return cls(**{**report, "required": tuple(report["required"])})


@dataclass(frozen=True)
class ModelReport:
    """What `deploy.model` found out about a model that can be deployed."""

    digest: str
    description: str  # the JSON of launch.description
    notes: tuple[str, ...]  # for the user: what differs from what the model asks for, what could not be checked
    signed: str  # the folder of the copy with a signature from --signature-from, to be published; empty without
    runtime: str  # of Cloud Functions, such as python311
    requirements: str  # the deployed requirements.txt
    functions: tuple[str, ...]  # the SQL functions that the model offers
    parity_query: str  # scores the input example in SQL
    predictions: list[Any]  # what the model's own library predicts for it, a JSON value per row
    members: Mapping[str, MemberReport]  # the models of the service by name, this one too

    @classmethod
    def parse(cls, report: Mapping[str, Any]) -> "ModelReport":
        """Read a report from JSON."""
        members = {name: MemberReport.parse(it) for name, it in report["members"].items()}
        tuples = {name: tuple(report[name]) for name in ("functions", "notes")}
        return cls(**{**report, **tuples, "members": members})


@dataclass(frozen=True)
class Observation:
    """Everything that was read before the first change."""

    gcloud_version: str
    runtimes: Mapping[str, str] | None  # the stage of each Python of Cloud Functions, such as GA; None: not known
    apis: frozenset[str] | None  # None: could not be read
    permissions: frozenset[str] | None
    tested: Mapping[str, bool]  # whether the caller has a permission, which the project doesn't grant, on its resource
    lacking_on_buckets: Mapping[str, tuple[str, ...]]  # permissions by bucket
    found: Found  # the record
    account_exists: bool
    bucket_policy: Policy
    function: Function | None
    foreign_service: bool  # a Cloud Run service without a function has the name of the function
    dataset: Dataset | None
    connection: Connection | None
    model: ModelReport | None
    builder: str  # the account that builds the function; empty: could not be read
    project_policy: Policy | None  # None: may not be read
    secrets: tuple[FoundSecret, ...]
    others: Mapping[str, str]  # routines of others with the names of the SQL functions, and what they are
    problems: tuple[str, ...]  # what could not be read, and why a model cannot be deployed

    @property
    def record(self) -> Record:
        """What earlier runs created."""
        return self.found.record
