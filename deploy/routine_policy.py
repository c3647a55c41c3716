"""Who may call a SQL function: bq reads and sets that, and BigQuery's REST API where bq cannot.

Google documents that its command line cannot set the policies of routines, though bq 2.1.18 does:
https://cloud.google.com/bigquery/docs/control-access-to-resources-iam#limitations
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from deploy.errors import StepFailed
from deploy.gcloud import CONFLICT, TRANSIENT, Commands
from deploy.observation import NO_POLICY, ROUTINE_CALLER, Policy
from deploy.rest import Rest

# What a bq says that has no policies of routines.
UNSUPPORTED = r"Unknown command line flag|[Uu]nrecognized|[Nn]ot supported|[Uu]nsupported|must specify|[Uu]sage:"
TRIES = 5  # of a change that another one of the same policy came before


def read_policy(commands: Commands, rest: Rest, routine: str) -> Policy:
    """Return the policy of a routine, PROJECT:DATASET.NAME; an empty one if it can't be read."""
    result = commands.run(commands.bq("get-iam-policy", "--routine", routine))
    if not result.ok and result.matches(UNSUPPORTED):
        result = rest.request("POST", "bigquery", f"{_path(routine)}:getIamPolicy", json={})
    return Policy.parse(result.json()) if result.ok else NO_POLICY


def allow_call(commands: Commands, rest: Rest, routine: str, member: str) -> None:
    """Let a member call a routine. Raise StepFailed with what its owner has to grant."""
    step = f"Allowing {member} to call {routine.rpartition(':')[2]}"
    advice = (
        f"Ask somebody with roles/bigquery.dataOwner on {routine.rpartition('.')[0]} to grant {ROUTINE_CALLER} on the "
        f"routine {routine} to {member}."
    )
    command = commands.bq(
        "add-iam-policy-binding", "--routine", f"--member={member}", f"--role={ROUTINE_CALLER}", routine
    )
    try:
        commands.change(step, advice, command)
    except StepFailed as failure:
        if not re.search(UNSUPPORTED, failure.reason):
            raise
        _allow_by_rest(rest, step, advice, routine, member)


def _allow_by_rest(rest: Rest, step: str, advice: str, routine: str, member: str) -> None:
    """Add a binding to the policy as it is, again if somebody else changed it meanwhile."""
    for _ in range(TRIES):
        result = rest.request("POST", "bigquery", f"{_path(routine)}:getIamPolicy", json={})
        if result.ok:
            policy = _with_binding(result.json(), member)
            result = rest.request("POST", "bigquery", f"{_path(routine)}:setIamPolicy", json={"policy": policy})
        if result.ok:
            return
        if not result.matches(f"{CONFLICT}|{TRANSIENT}"):
            break
    raise StepFailed(step, result.reason, advice)


def _with_binding(policy: Mapping[str, Any], member: str) -> dict[str, Any]:
    """Return a policy with one more binding; its etag stays, so that nobody's change is lost."""
    return {**policy, "bindings": [*policy.get("bindings", []), {"role": ROUTINE_CALLER, "members": [member]}]}


def _path(routine: str) -> str:
    """Return a routine's path in the REST API. The project of an old organization has a colon, too."""
    place, _, name = routine.rpartition(".")
    project, _, dataset = place.rpartition(":")
    return f"projects/{quote(project)}/datasets/{dataset}/routines/{name}"
