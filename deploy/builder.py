"""The account that builds the function: whether it may, before a build fails for want of a role.

Since 2024 it is the Compute Engine default service account, which has no role in new organizations:
https://cloud.google.com/functions/docs/troubleshooting#build-service-account
"""

from collections.abc import Iterator

from deploy.observation import Observation, has_role
from deploy.plan import Plan

BUILDER = "roles/cloudbuild.builds.builder"
BUILDER_ROLES = (BUILDER, "roles/editor", "roles/owner")


def builder_problems(plan: Plan, seen: Observation) -> Iterator[str]:
    """Yield why the first build would fail. A function that was built before is left to the note."""
    if seen.builder and not _built(seen) and _may_build(plan, seen) is False:
        yield (
            f"The account {seen.builder} may not build functions in {plan.project}: name another one with "
            f"--build-service-account, or run: {_grant(plan, seen)}"
        )


def builder_note(plan: Plan, seen: Observation) -> str:
    """Return what couldn't be found out about the account that builds, or an empty text."""
    if not seen.builder:
        if _built(seen):
            return ""
        return (
            "The account that builds functions could not be read; if the build fails for want of a permission, give it "
            f"{BUILDER} on {plan.project}."
        )
    may = _may_build(plan, seen)
    if may or (may is None and _built(seen)):
        return ""
    return f"{seen.builder} may lack the right to build; if the build fails for want of it, run: {_grant(plan, seen)}"


def _built(seen: Observation) -> bool:
    return seen.function is not None and seen.function.state == "ACTIVE"


def _may_build(plan: Plan, seen: Observation) -> bool | None:
    """Tell whether the account may build; None if that can't be told, as of a chosen account with smaller roles."""
    member = f"serviceAccount:{seen.builder}"
    may = has_role([seen.project_policy], BUILDER_ROLES, member)
    has_any = seen.project_policy and any(member in members for members in seen.project_policy.members.values())
    return None if may is False and plan.build_service_account and has_any else may


def _grant(plan: Plan, seen: Observation) -> str:
    return (
        f"gcloud projects add-iam-policy-binding {plan.project} --member=serviceAccount:{seen.builder} --role={BUILDER}"
    )
