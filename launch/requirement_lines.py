"""Reads lines of requirements as people, pip and conda write them, into requirements that can be resolved."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from launch.packages import CONDA_ONLY, DECIDING, RENAMED
from loading.mlmodel import requirements
from loading.packages import LEFT_OUT

# Options of pip that say where packages come from.
_SOURCES = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links")
_IGNORED = ("--trusted-host", "--pre", "--prefer-binary", "--only-binary", "--no-binary", "--require-hashes")
_HASH = re.compile(r"\s--hash[= ](\S+)")
_FILE = re.compile(r"(-r|--requirement|-c|--constraint)[= ]\s*(\S+)")
# conda's name=version=build; without a build, a version of two parts stands for all that begin with it.
_CONDA_PIN = re.compile(r"([\w.-]+)\s*(={1,2}|\s)\s*([\w.]+?)(\.?\*)?(=\S+)?")


@dataclass
class Lines:
    """The lines of one file, as far as they could be read; `limits` are those of the files of constraints it names."""

    source: str
    requirements: dict[str, list[Requirement]] = field(default_factory=dict)
    limits: dict[str, list[Requirement]] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    hashes: dict[str, set[str]] = field(default_factory=dict)  # by package, such as sha256:...


def read_file(file: Path, source: str) -> Lines:
    """Return the lines of a requirements.txt, which messages call `source`."""
    return read_lines(requirements(file.parent, file.name), source, file.parent)


def read_lines(lines: Iterable[str], source: str, folder: Path | None = None) -> Lines:
    """Return these lines, with those of the files that they name in their folder; MLflow writes `-c constraints.txt`.

    Files that such a file names in turn are not read.
    """
    found = Lines(source)
    for line in _joined(lines):
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        hashes = _HASH.findall(f" {text}")
        text = _HASH.sub("", f" {text}").strip()
        if not text or text.startswith(_IGNORED):
            continue
        named = _FILE.fullmatch(text)
        if text.startswith(_SOURCES):
            if "://" in text:
                found.options.append(text)
            else:
                found.problems.append(_unusable(found.source, text, "an address, such as https://pypi.org/simple"))
        elif named and folder and Path(named[2]).name == named[2] and (folder / named[2]).is_file():
            _include(read_lines(requirements(folder, named[2]), named[2]), found, named[1].startswith(("-c", "--c")))
        else:
            name = _add(text, found)
            if name and hashes:
                found.hashes.setdefault(name, set()).update(hashes)
    for name in found.limits.keys() & found.requirements.keys():
        found.requirements[name] += [it for it in found.limits[name] if it not in found.requirements[name]]
    return found


def _include(other: Lines, found: Lines, as_limits: bool) -> None:
    """Add the lines of a file that another one names."""
    target = found.limits if as_limits else found.requirements
    for name, group in other.requirements.items():
        target.setdefault(name, []).extend(group)
    found.options += other.options
    found.notes += other.notes
    found.problems += other.problems
    for name, hashes in other.hashes.items():
        found.hashes.setdefault(name, set()).update(hashes)


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


def _add(text: str, found: Lines) -> str | None:
    """Add a requirement; return the canonical name of its package, or None if it isn't one."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        requirement = None
    local = requirement is not None and (requirement.url or "").startswith("file:")
    if requirement is None or (requirement.url and not local):
        found.problems.append(_unusable(found.source, text, "a package and its version, such as numpy==2.4.6"))
        return None
    name: str = canonicalize_name(requirement.name)
    if local:
        found.notes.append(f"{name} was installed from a file of the author's machine, so any version of it is taken.")
        requirement.url = None
    if name in RENAMED:
        found.notes.append(f"{name} in {found.source} means {RENAMED[name]}.")
        if all(it.version.startswith("0.0") for it in requirement.specifier):  # of the empty package named sklearn
            requirement.specifier = SpecifierSet()
        requirement.name = name = RENAMED[name]
    if name in LEFT_OUT:
        return None
    others = found.requirements.setdefault(name, [])
    if str(requirement) not in map(str, others):
        others.append(requirement)
    return name


def _unusable(source: str, text: str, expected: str) -> str:
    return (
        f"its {source} has {text!r}; expected {expected}. Correct the line in a copy of the file, and pass that with "
        "--requirements."
    )


def as_list(value: Any) -> list[Any]:
    """Return a value of a YAML file that should be a list; an empty one in place of anything else."""
    return value if isinstance(value, list) else []


def conda_lines(conda: Mapping[str, Any]) -> Iterator[str]:
    """Yield the packages of a conda.yaml as lines of a requirements.txt: conda's own first, then those of pip."""
    for each in as_list(conda.get("dependencies")):
        if isinstance(each, Mapping):
            yield from map(str, as_list(each.get("pip")))
            continue
        text = re.sub(r"^.*::", "", str(each)).strip()
        text = re.sub(r"\[version=['\"]?([^'\"\]]*)['\"]?\]", r" \1", text)  # name[version=">=1"]
        name = re.split(r"[\s=<>!~\[]", text, maxsplit=1)[0]
        if name.lower() in CONDA_ONLY or name.lower().startswith(("lib", "_", "r-")) or name in ("pip", "cpuonly"):
            continue
        pin = _CONDA_PIN.fullmatch(text)
        yield f"{name}=={_version(pin)}" if pin else text.replace(" ", "")


def _version(pin: re.Match[str]) -> str:
    """Return the version that conda's pin stands for; that of a package which decides nothing is only preferred."""
    name, operator, version, star, build = pin.groups()
    is_short = operator != "==" and not build and version.count(".") < 2
    return f"{version}.*" if star or (is_short and canonicalize_name(name) in DECIDING) else version
