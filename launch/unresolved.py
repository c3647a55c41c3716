"""Why there is no lock for a model, in a sentence that names the requirements and what to do."""

import re
from collections.abc import Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from launch import uv
from launch.needs import Needs
from launch.resolver import day, own_requirements, pinned_deciding

OLD_SETUPTOOLS = "setuptools<81"  # MLflow up to 2.13, and others of its time, import pkg_resources
_CORRECT = "correct its requirements.txt in a copy and pass that with --requirements."


def explained(error: uv.UvError, needs: Needs, uri: str) -> str:
    """Return the sentence for requirements that no Python satisfies."""
    if error.outside:  # first: a package is missing as well in an index that gives no access
        return (
            f"The packages of the model at {uri} cannot be fetched, because {error.reason.rstrip('.')}: give this "
            f"machine access to it, or {_CORRECT}"
        )
    if error.missing:
        names = ", ".join(error.missing)
        return (
            f"The model at {uri} needs {names}, which no package index has: {_CORRECT[:-1]}, or name the index in an "
            "--extra-index-url line."
        )
    if error.unmet:
        name, requirement, reason = error.unmet
        is_dated = day(needs.saved) and canonicalize_name(name.partition("[")[0]) not in pinned_deciding(needs)
        when = f" on {needs.saved[:10]}, when the model was saved" if is_dated else ""
        if reason.startswith("there is no version of ") or "exclude newer" in reason:
            reason = f"no package index {'had' if when else 'has'} such a version"
        elif when:
            reason = reason.replace("is available", "was available")
        return f"The model at {uri} needs {requirement}, but {reason}{when}: {_CORRECT}"
    cannot = "cannot be installed" if "there is no version of" in error.reason else "exclude each other"
    return f"The packages of the model at {uri} {cannot}{_because(error.reason)}: {_CORRECT}"


def _because(reason: str) -> str:
    """Return what uv concludes from, without the steps between: ", because ..."."""
    steps = re.split(r"(?:^|\. )(?:And )?[Bb]ecause ", reason.rstrip("."))[1:]
    premises = [_attributed(step.partition(", we can conclude that ")[0]) for step in steps]
    return f", because {', and '.join(premises)}" if premises else f" ({_attributed(reason.rstrip('.'))})"


def _attributed(premise: str) -> str:
    """Return a premise of uv's, which says that "you" require everything, with who does: the model or the function."""
    own = {f"{each.name}{each.specifier}" for each in map(Requirement, [*own_requirements(), OLD_SETUPTOOLS])}

    def told(match: re.Match[str]) -> str:
        required = [each for each in match.groups() if each]
        who = ["the function" if each in own else "the model" for each in required]
        if len(set(who)) == 1:
            return f"{who[0]} requires {' and '.join(required)}"
        return " and ".join(f"{each} requires {what}" for each, what in zip(who, required, strict=True))

    return re.sub(r"you require (\S*[^\s.,])(?: and (\S*[^\s.,])(?=[.,]?$|[.,]\s))?", told, premise)


def unavailable(error: uv.UvError, needs: Needs, uri: str, pythons: Sequence[str]) -> str:
    """Return the sentence for pins that have no wheel for any Python; the error is that of the nearest one."""
    without = sorted(error.without_wheel | error.only_source)
    pins = [str(each) for each in needs.requirements if canonicalize_name(each.name) in without] or without
    if not pins:
        return explained(error, needs, uri)
    return (
        f"The model at {uri} needs {', '.join(pins)}, which cannot be installed: no Python from {pythons[0]} to "
        f"{pythons[-1]} has a wheel of it on Linux. Train again with a newer version, or pass other versions with "
        "--requirements."
    )
