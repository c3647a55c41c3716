"""The secrets of --set-secrets: each must exist, and the function's account must be allowed to read it.

Cloud Run finds that out after the build, when the first instance starts.
"""

import re
from collections.abc import Iterator

from deploy.gcloud import Commands
from deploy.observation import FoundSecret, Policy, Secret, has_role
from deploy.passed import SECRET
from deploy.plan import Plan

SECRET_MANAGER = "secretmanager.googleapis.com"
ACCESSOR = "roles/secretmanager.secretAccessor"
ACCESSOR_ROLES = (ACCESSOR, "roles/secretmanager.admin", "roles/owner")


def secrets(plan: Plan) -> list[Secret]:
    """Return the secrets of a plan, each once."""
    matches = [re.fullmatch(SECRET, reference, re.ASCII) for reference in plan.set_secrets.values()]
    found = [_secret(match, plan.project) for match in matches if match]
    return list(dict.fromkeys(found))


def _secret(match: re.Match[str], project: str) -> Secret:
    if match["short"]:
        return Secret(project, match["short"], match["version"])
    return Secret(match["full_project"], match["full"], match["version"])


def read_secret(secret: Secret, commands: Commands) -> FoundSecret:
    """Read whether a secret's version exists and who may read the secret."""
    place = f"--project={secret.project}"
    version = commands.run(
        ["gcloud", "secrets", "versions", "describe", secret.version, f"--secret={secret.name}", place, "--format=json"]
    )
    policy = commands.run(["gcloud", "secrets", "get-iam-policy", secret.name, place, "--format=json"])
    return FoundSecret(
        secret,
        str(version.json().get("state", "")) if version.ok else "" if version.absent else None,
        Policy.parse(policy.json()) if policy.ok else None,
    )


def secret_problems(plan: Plan, found: FoundSecret, project: Policy | None, account_exists: bool) -> Iterator[str]:
    """Yield why the function couldn't read a secret; `project` is the policy of the project, if known."""
    secret, name = found.secret, f"the secret {found.secret.name} of {found.secret.project}"
    if found.state == "":
        yield f"--set-secrets: {name} has no version {secret.version}, or does not exist: create it or name another."
    elif found.state not in ("ENABLED", None):
        yield f"--set-secrets: version {secret.version} of {name} is {found.state}; expected one that is ENABLED."
    allowed = _may_read(plan, found, project)
    if found.state != "" and (allowed is False or not account_exists):
        create = f"gcloud iam service-accounts create {plan.account.partition('@')[0]} --project={plan.project} && "
        yield (
            f"The function's account {plan.account} may not read {name}; run: {'' if account_exists else create}"
            f"gcloud secrets add-iam-policy-binding {secret.name} --project={secret.project} "
            f"--member=serviceAccount:{plan.account} --role={ACCESSOR}"
        )


def secret_note(plan: Plan, found: FoundSecret, project: Policy | None) -> str:
    """Return what couldn't be found out about a secret, or an empty text."""
    if found.state is None or _may_read(plan, found, project) is None:
        return (
            f"You may not see all of the secret {found.secret.name} of {found.secret.project}: make sure that it has "
            f"version {found.secret.version}, and that {plan.account} has {ACCESSOR} on it."
        )
    return ""


def _may_read(plan: Plan, found: FoundSecret, project: Policy | None) -> bool | None:
    """Tell whether the function's account may read a secret; None if that can't be told."""
    inherited = project if found.secret.project == plan.project else None
    return has_role((found.policy, inherited), ACCESSOR_ROLES, f"serviceAccount:{plan.account}")
