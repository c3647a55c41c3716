"""The flags of `gcloud functions deploy` for the options of passed.py, and those that undo omitted ones."""

from collections.abc import Iterable

from deploy.option import to_text
from deploy.passed import PASSED
from deploy.plan import Plan

KEYED = tuple(option.name for option in PASSED if not option.resets)  # whose keys are removed one by one


def settings(plan: Plan) -> list[str]:
    """Return the name of each option given, as the record has it; options with keys once for each key."""
    names = []
    for option in PASSED:
        value = getattr(plan, option.key)
        if option.name in KEYED:
            names += [f"{option.name} {key}" for key in value]
        elif value:
            names.append(option.name)
    return names


def passed_flags(plan: Plan) -> dict[str, str]:
    """Return the flags of the options given, by name; variables are left to those that deploy.sh sets itself."""
    values = {option.name: getattr(plan, option.key) for option in PASSED if option.name != "update-env-vars"}
    if account := plan.build_service_account:
        values["build-service-account"] = f"projects/{plan.project}/serviceAccounts/{account}"
    return {name: value if isinstance(value, str) else to_text(value) for name, value in values.items() if value}


def obsolete(plan: Plan, recorded: Iterable[str]) -> list[str]:
    """Return which recorded settings aren't given any more."""
    given = set(settings(plan))
    return [name for name in recorded if name not in given]


def removed_keys(names: Iterable[str], option: str) -> list[str]:
    """Return the keys of one option among the names of settings."""
    parts = (name.partition(" ") for name in names)
    return [key for word, _, key in parts if word == option and key]


def reset_flags(plan: Plan, names: Iterable[str]) -> list[str]:
    """Return the flags that undo settings without keys."""
    resets = {option.name: option.resets for option in PASSED}
    if not plan.vpc_connector:  # without which gcloud takes no such setting
        del resets["egress-settings"]
    return [resets[name] for name in names if resets.get(name)]
