"""What a model needs, as its folder says: its Python, its packages, and when it was saved.

MLflow writes requirements.txt, conda.yaml and python_env.yaml beside MLmodel. Where they contradict each other, the
version that a flavor recorded wins: it is the version that the model was saved by, while people edit requirements.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from launch.errors import Blocked
from launch.packages import FLAVOR_VERSIONS
from launch.requirement_lines import Lines, as_list, conda_lines, read_file, read_lines
from loading.mlmodel import requirements


@dataclass(frozen=True)
class Needs:
    """What a model needs. `python` and `saved` are empty where the model doesn't say.

    `python` and `mlflow` are versions such as 3.10.13, `saved` a time in ISO 8601; `options` are lines for pip that
    name indexes; `hashes` are those that the model lists, by package; `limits` hold for packages that others
    require; `notes` tell the user what was chosen.
    """

    python: str
    requirements: tuple[Requirement, ...]
    options: tuple[str, ...] = ()
    saved: str = ""
    mlflow: str = ""
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    limits: tuple[Requirement, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The canonical names of the required packages."""
        return frozenset(canonicalize_name(each.name) for each in self.requirements)


def read_needs(folder: Path, uri: str, override: Path | None = None) -> Needs:
    """Return what the model in a folder needs; `override` is a requirements.txt to read instead of the model's.

    Raise Blocked with one sentence per line and per file that can't be read, except for MLmodel: loading/ reports it.
    """
    problems: list[str] = []
    mlmodel = _mapping(folder / "MLmodel", uri, [])
    conda = _mapping(folder / "conda.yaml", uri, problems)
    environment = _mapping(folder / "python_env.yaml", uri, problems)
    if override:
        lines = read_file(override, str(override))
    elif any(map(str.strip, requirements(folder))):
        lines = read_file(folder / "requirements.txt", "requirements.txt")
    else:
        lines = read_lines(conda_lines(conda), "conda.yaml", folder)
    problems += [f"The model at {uri} cannot be installed: {problem}" for problem in lines.problems]
    if problems:
        raise Blocked(problems)
    flavors = _flavors(mlmodel)
    for package, version in _flavor_versions(flavors).items():
        _prefer(package, version, lines)
    if any(flavor.get("serialization_format") == "skops" for flavor in flavors):
        lines.requirements.setdefault("skops", [Requirement("skops")])
    if "setuptools" not in lines.requirements:
        build = read_lines(map(str, as_list(environment.get("build_dependencies"))), "python_env.yaml")
        lines.requirements |= {name: each for name, each in build.requirements.items() if name == "setuptools"}
    return Needs(
        python=_python(mlmodel, environment, conda, lines.notes),
        requirements=tuple(each for group in lines.requirements.values() for each in group),
        options=tuple(dict.fromkeys(lines.options)),
        saved=str(mlmodel.get("utc_time_created") or ""),
        mlflow=str(mlmodel.get("mlflow_version") or ""),
        hashes={name: frozenset(hashes) for name, hashes in lines.hashes.items()},
        limits=tuple(each for name, group in lines.limits.items() if name not in lines.requirements for each in group),
        notes=tuple(lines.notes),
    )


def pinned(requirement: Requirement) -> Version | None:
    """Return the version that a requirement pins with ==, if it pins one."""
    pins = [it.version for it in requirement.specifier if it.operator in ("==", "===") and not it.version.endswith("*")]
    try:
        return Version(pins[0]) if pins else None
    except InvalidVersion:
        return None


def _prefer(package: str, version: Version, lines: Lines) -> None:
    """Let a flavor's version of a package win over the version of the model's requirements."""
    name = canonicalize_name(package)
    listed = lines.requirements.get(name, [])
    pins = [pin for each in listed if (pin := pinned(each))]
    if pins and all(pin.public == version.public for pin in pins):
        return
    if listed and not all(each.specifier.contains(version, prereleases=True) for each in listed):
        lines.notes.append(
            f"{lines.source} asks for {', '.join(map(str, listed))}, but the model was saved by {package} {version}, "
            "which is taken."
        )
    lines.requirements[name] = [Requirement(f"{package}=={version.public}")]


def _flavors(mlmodel: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what an MLmodel file says about each flavor; loading the model says what is wrong with the file."""
    flavors = mlmodel.get("flavors")
    return [it for it in flavors.values() if isinstance(it, Mapping)] if isinstance(flavors, Mapping) else []


def _flavor_versions(flavors: Iterable[Mapping[str, Any]]) -> dict[str, Version]:
    """Return the versions of libraries that the flavors recorded, by package."""
    found = {}
    for flavor in flavors:
        for key, package in FLAVOR_VERSIONS.items():
            value = flavor.get(key)
            try:
                if value is not None:
                    found[package] = Version(str(value))
            except InvalidVersion:
                continue
    return found


def _python(
    mlmodel: Mapping[str, Any], environment: Mapping[str, Any], conda: Mapping[str, Any], notes: list[str]
) -> str:
    """Return the version of Python that the model was saved with, by the first file that says so."""
    flavors = mlmodel.get("flavors")
    function = flavors.get("python_function") if isinstance(flavors, Mapping) else None
    listed = [str(it) for it in as_list(conda.get("dependencies")) if not isinstance(it, Mapping)]
    in_conda = [text.partition("=")[2].lstrip("=") for text in listed if re.match(r"python\s*[=<>]", text)]
    said = {
        "MLmodel": str(function.get("python_version") or "") if isinstance(function, Mapping) else "",
        "python_env.yaml": str(environment.get("python") or ""),
        "conda.yaml": in_conda[0] if in_conda else "",
    }
    # YAML reads 3.10 without quotes as the number 3.1.
    texts = {file: "3.10" if text == "3.1" else text for file, text in said.items()}
    found = {file: match[0] for file, text in texts.items() if (match := re.match(r"3\.\d+(\.\d+)?", text))}
    if not found:
        return ""
    first, *others = found.items()
    for file, version in others:
        if version.split(".")[:2] != first[1].split(".")[:2]:
            notes.append(f"{file} names Python {version}, but {first[0]} says {first[1]}, which is taken.")
    return first[1]


def _mapping(file: Path, uri: str, problems: list[str]) -> Mapping[str, Any]:
    """Return the content of a YAML file; empty where there is none, or with a problem that is added to these."""
    try:
        found = yaml.safe_load(file.read_text(errors="replace")) if file.is_file() else {}
    except yaml.YAMLError as error:
        problems.append(f"The file {file.name} of the model at {uri} is not YAML: {' '.join(str(error).split())}.")
        return {}
    return found if isinstance(found, Mapping) else {}
