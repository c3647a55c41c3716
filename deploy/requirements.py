"""Fits the deployed function's requirements.txt to one model.

The project's locked versions stay, since they were tested together. Packages that only the model needs are added as
its own requirements.txt pins them, and the patch version of scikit-learn follows the model. Pickles do not survive
another minor version of scikit-learn, or another major version of other packages: that is a problem.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

# Flavor -> the package it needs and the key of its version in MLmodel: not every requirements.txt names it.
FLAVORS = {
    "catboost": ("catboost", "catboost_version"),
    "lightgbm": ("lightgbm", "lgb_version"),
    "sklearn": ("scikit-learn", "sklearn_version"),
    "xgboost": ("xgboost", "xgb_version"),
}
# The function uses the locked mlflow-skinny instead.
SKIPPED = {"mlflow", "mlflow-skinny"}


def fit_requirements(
    locked: str, needed: Sequence[str], flavors: Mapping[str, Mapping[str, Any]]
) -> tuple[str, list[str]]:
    """Return the text of a requirements.txt, and why the model cannot use it, one sentence each.

    `locked` is the project's requirements.txt; `needed` are the lines of the model's; `flavors` are those in MLmodel.
    """
    additions, problems = _parse(needed, flavors)
    lines = []
    for line in locked.splitlines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        requirement = Requirement(text)
        wanted = additions.pop(canonicalize_name(requirement.name), None)
        saved_with, provided = _pinned(wanted), _pinned(requirement)
        if wanted and saved_with and provided and saved_with != provided:
            if not _compatible(requirement.name, saved_with, provided):
                problems.append(
                    f"The model was saved with {requirement.name} {saved_with}, but the function has {provided}, which "
                    f"may fail to load it or predict differently: train again with {provided}, or pin {saved_with} in "
                    "pyproject.toml and run `make lock`."
                )
            elif canonicalize_name(requirement.name) == "scikit-learn":
                line = str(wanted)
        lines.append(line)
    lines += [str(requirement) for _, requirement in sorted(additions.items())]
    return "".join(f"{line}\n" for line in lines), problems


def _parse(needed: Sequence[str], flavors: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Requirement], list[str]]:
    """Return the model's requirements by package, and a sentence for each line that is not one."""
    requirements: dict[str, Requirement] = {}
    problems = []
    for line in needed:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            problems.append(
                f"The model's requirements.txt has {line!r}; expected a package and its version, such as numpy==2.4.6."
            )
            continue
        if canonicalize_name(requirement.name) not in SKIPPED:
            requirements[canonicalize_name(requirement.name)] = requirement
    for flavor, (package, key) in FLAVORS.items():
        version = flavors.get(flavor, {}).get(key)
        if version and (package not in requirements or not requirements[package].specifier):
            requirements[package] = Requirement(f"{package}=={version}")
    return requirements, problems


def _pinned(requirement: Requirement | None) -> Version | None:
    """Return the version that a requirement pins with ==, if it pins one."""
    specifiers = requirement.specifier if requirement else ()
    pins = [it.version for it in specifiers if it.operator == "==" and not it.version.endswith("*")]
    return Version(pins[0]) if pins else None


def _compatible(package: str, saved_with: Version, provided: Version) -> bool:
    """Tell whether the version that the function has can be trusted with a pickle of the other."""
    parts = 2 if canonicalize_name(package) == "scikit-learn" else 1
    return saved_with.release[:parts] == provided.release[:parts]
