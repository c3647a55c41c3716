"""What a model needs, as its folder says: its Python, its packages, and when it was saved.

MLflow writes requirements.txt, conda.yaml and python_env.yaml beside MLmodel. Where they contradict each other, the
version that a flavor recorded wins: it is the version that the model was saved by, while people edit requirements.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from launch.errors import Blocked
from launch.packages import CONDA_ONLY, FLAVOR_VERSIONS, RENAMED
from loading.mlmodel import requirements
from loading.packages import LEFT_OUT

# Options of pip that say where packages come from.
_SOURCES = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links")
_IGNORED = ("--trusted-host", "--pre", "--prefer-binary", "--only-binary", "--no-binary", "--require-hashes")
_HASH = re.compile(r"\s--hash[= ]\S+")


@dataclass(frozen=True)
class Needs:
    """What a model needs. `python` and `saved` are empty where the model doesn't say.

    `python` and `mlflow` are versions such as 3.10.13, `saved` a time in ISO 8601; `options` are lines for pip that
    name indexes; `hashes` says that the model lists the hashes of its packages; `notes` tell the user what was chosen.
    """

    python: str
    requirements: tuple[Requirement, ...]
    options: tuple[str, ...] = ()
    saved: str = ""
    mlflow: str = ""
    hashes: bool = False
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The canonical names of the required packages."""
        return frozenset(canonicalize_name(each.name) for each in self.requirements)


@dataclass
class _Lines:
    """The lines of one file, as far as they could be read."""

    source: str
    requirements: dict[str, list[Requirement]] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    hashes: bool = False


def read_needs(folder: Path, uri: str, override: Path | None = None) -> Needs:
    """Return what the model in a folder needs; `override` is a requirements.txt to read instead of the model's.

    Raise Blocked with one sentence per line and per file that can't be read, except for MLmodel: loading/ reports it.
    """
    problems: list[str] = []
    mlmodel = _mapping(folder / "MLmodel", uri, [])
    conda = _mapping(folder / "conda.yaml", uri, problems)
    environment = _mapping(folder / "python_env.yaml", uri, problems)
    own = requirements(folder)
    if override:
        lines = _read(requirements(override.parent, override.name), str(override))
    elif any(map(str.strip, own)):
        lines = _read(own, "requirements.txt")
    else:
        lines = _read(_conda_lines(conda), "conda.yaml")
    problems += [f"The model at {uri} cannot be installed: {problem}" for problem in lines.problems]
    if problems:
        raise Blocked(problems)
    flavors = _flavors(mlmodel)
    for package, version in _flavor_versions(flavors).items():
        _prefer(package, version, lines)
    if any(flavor.get("serialization_format") == "skops" for flavor in flavors):
        lines.requirements.setdefault("skops", [Requirement("skops")])
    if "setuptools" not in lines.requirements:
        build = _read([str(it) for it in _list(environment.get("build_dependencies"))], "python_env.yaml")
        lines.requirements |= {name: each for name, each in build.requirements.items() if name == "setuptools"}
    return Needs(
        python=_python(mlmodel, environment, conda, lines.notes),
        requirements=tuple(each for group in lines.requirements.values() for each in group),
        options=tuple(dict.fromkeys(lines.options)),
        saved=str(mlmodel.get("utc_time_created") or ""),
        mlflow=str(mlmodel.get("mlflow_version") or ""),
        hashes=lines.hashes,
        notes=tuple(lines.notes),
    )


def pinned(requirement: Requirement) -> Version | None:
    """Return the version that a requirement pins with ==, if it pins one."""
    pins = [it.version for it in requirement.specifier if it.operator in ("==", "===") and not it.version.endswith("*")]
    try:
        return Version(pins[0]) if pins else None
    except InvalidVersion:
        return None


def _read(lines: Iterable[str], source: str) -> _Lines:
    found = _Lines(source)
    for line in _joined(lines):
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if _HASH.search(f" {text}"):
            found.hashes = True
            text = _HASH.sub("", f" {text}").strip()
        if not text or text.startswith(_IGNORED):
            continue
        if text.startswith(_SOURCES):
            found.options.append(text)
        else:
            _add(text, found)
    return found


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines, with those that end with a backslash joined to the next one."""
    begun = ""
    for line in lines:
        if line.rstrip().endswith("\\"):
            begun += line.rstrip()[:-1] + " "
            continue
        yield begun + line
        begun = ""
    if begun:
        yield begun


def _add(text: str, found: _Lines) -> None:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        requirement = None
    local = requirement is not None and (requirement.url or "").startswith("file:")
    if requirement is None or (requirement.url and not local):
        found.problems.append(
            f"its {found.source} has {text!r}; expected a package and its version, such as numpy==2.4.6. Correct the "
            "line in a copy of the file, and pass that with --requirements."
        )
        return
    name: str = canonicalize_name(requirement.name)
    if local:
        found.notes.append(f"{name} was installed from a file of the author's machine, so any version of it is taken.")
        requirement.url = None
    if name in RENAMED:
        found.notes.append(f"{name} in {found.source} means {RENAMED[name]}.")
        requirement.name = name = RENAMED[name]
    if name in LEFT_OUT:
        return
    others = found.requirements.setdefault(name, [])
    if str(requirement) not in map(str, others):
        others.append(requirement)


def _prefer(package: str, version: Version, lines: _Lines) -> None:
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
    listed = [str(it) for it in _list(conda.get("dependencies")) if not isinstance(it, Mapping)]
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


def _conda_lines(conda: Mapping[str, Any]) -> Iterator[str]:
    """Yield the packages of a conda.yaml as lines of a requirements.txt: conda's own first, then those of pip."""
    for each in _list(conda.get("dependencies")):
        if isinstance(each, Mapping):
            yield from map(str, _list(each.get("pip")))
            continue
        text = re.sub(r"^.*::", "", str(each)).strip()
        name, version = (re.split(r"[\s=<>!~\[]", text, maxsplit=1)[0], text)
        if name.lower() in CONDA_ONLY or name.lower().startswith(("lib", "_", "r-")) or name in ("pip", "cpuonly"):
            continue
        exact = re.fullmatch(r"[\w.-]+={1,2}([\w.]+)(=\S+)?", version)  # a third part is a build of conda's
        yield f"{name}=={exact[1]}" if exact else version.replace(" ", "")


def _mapping(file: Path, uri: str, problems: list[str]) -> Mapping[str, Any]:
    """Return the content of a YAML file; empty where there is none, or with a problem that is added to these."""
    try:
        found = yaml.safe_load(file.read_text(errors="replace")) if file.is_file() else {}
    except yaml.YAMLError as error:
        problems.append(f"The file {file.name} of the model at {uri} is not YAML: {' '.join(str(error).split())}.")
        return {}
    return found if isinstance(found, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
