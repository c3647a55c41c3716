"""The deployed function's requirements.txt, made to fit one model.

The rule: the project's locked versions stay, since they were tested together. A package that the model needs besides
is added as the model's own requirements.txt pins it; the patch version of scikit-learn follows the model. What a
pickle does not survive, another minor version of scikit-learn or another major version of the rest, is a problem.
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
# mlflow-skinny serves in the function's stead of it, from the lock.
LEFT_OUT = {"mlflow", "mlflow-skinny"}


def fitted(locked: str, wanted: Sequence[str], flavors: Mapping[str, Mapping[str, Any]]) -> tuple[str, list[str]]:
    """Return the text of a requirements.txt, and what makes it unfit, one sentence each.

    `locked` is the project's requirements.txt; `wanted` are the lines of the model's; `flavors` are those in MLmodel.
    """
    needed, problems = _needed(wanted, flavors)
    lines = []
    for line in locked.splitlines():
        requirement = _requirement(line)
        if requirement is None:
            continue
        model_s = needed.pop(canonicalize_name(requirement.name), None)
        version = _pinned(model_s) if model_s else None
        here = _pinned(requirement)
        if version and here and version != here:
            if not _compatible(requirement.name, version, here):
                problems.append(
                    f"The model was saved with {requirement.name} {version}, the function has {here}, which may not "
                    f"read it or may compute other predictions: train again with {here}, or pin {version} in "
                    "pyproject.toml and run `make lock`."
                )
            elif canonicalize_name(requirement.name) == "scikit-learn":
                line = str(model_s)
        lines.append(line)
    lines += [str(requirement) for _, requirement in sorted(needed.items())]
    return "".join(f"{line}\n" for line in lines), problems


def _needed(
    wanted: Sequence[str], flavors: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, Requirement], list[str]]:
    needed: dict[str, Requirement] = {}
    problems = []
    for line in wanted:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            problems.append(f"The model's requirements.txt has {line!r}; only packages with versions can be deployed.")
            continue
        if canonicalize_name(requirement.name) not in LEFT_OUT:
            needed[canonicalize_name(requirement.name)] = requirement
    for flavor, (package, key) in FLAVORS.items():
        version = flavors.get(flavor, {}).get(key)
        if version and (package not in needed or not needed[package].specifier):
            needed[canonicalize_name(package)] = Requirement(f"{package}=={version}")
    return needed, problems


def _requirement(line: str) -> Requirement | None:
    text = line.strip()
    return Requirement(text) if text and not text.startswith("#") else None


def _pinned(requirement: Requirement) -> Version | None:
    pins = [spec.version for spec in requirement.specifier if spec.operator == "==" and not spec.version.endswith("*")]
    return Version(pins[0]) if pins else None


def _compatible(package: str, version: Version, here: Version) -> bool:
    parts = 2 if canonicalize_name(package) == "scikit-learn" else 1
    return version.release[:parts] == here.release[:parts]
