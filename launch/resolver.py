"""Asks `uv pip compile` for the packages of a model and the function, as of the day on which the model was saved."""

import hashlib
import re
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from launch import kept, packages, uv
from launch.needs import Needs, pinned
from launch.packages import CPU_BUILDS, DECIDING

CACHE = kept.KEPT / "locks"
PLATFORM = "x86_64-manylinux_2_28"  # no newer than Cloud Functions
# Of the function's packages, those that a model brings itself if it needs them.
FOR_MODELS = ("scikit-learn", "skops")
# Of the deciding packages, those whose next minor versions may stand in, because models are not made of their classes.
FOUNDATIONS = ("joblib", "numpy", "pandas", "scipy")
# The name and the version of a package in a lock, at the beginning of a line.
PINNED = r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;\\]+)"
# Whose limits on other packages hold for mlflow-skinny too, which doesn't state them: pandas, NumPy, protobuf, ...
FULL = "mlflow"


def compile_lock(
    needs: Needs, python: str, lines: Sequence[str], preferred: Sequence[str], wheels: Sequence[str]
) -> str:
    """Return a requirements.txt by `uv pip compile`, the same one again for the same question.

    The packages in `wheels` aren't built from source. The model's options come first, as it wrote them: uv would write
    the address of this machine's own index too.
    """
    full = [line.replace("mlflow-skinny", FULL, 1) if line.startswith("mlflow-skinny") else line for line in lines]
    asked = [python, day(needs.saved), *lines, *preferred, *needs.options, str(bool(needs.hashes)), *wheels]
    asked += _limits(needs)
    question = "\n".join(asked)
    file = CACHE / f"{hashlib.sha256(question.encode()).hexdigest()[:16]}.txt"
    if file.is_file():
        return file.read_text()
    try:
        with_limits = _uv_compile(needs, python, full, preferred, wheels)
        text = _uv_compile(needs, python, lines, with_limits.splitlines(), wheels, constraints=with_limits)
    except uv.UvError as error:
        if FULL not in error.text:
            raise
        text = _uv_compile(needs, python, lines, preferred, wheels)
    text = "".join(f"{option}\n" for option in needs.options) + text
    kept.write(file, text)
    return text


def _uv_compile(
    needs: Needs,
    python: str,
    lines: Sequence[str],
    preferred: Sequence[str],
    wheels: Sequence[str],
    *,
    constraints: str = "",
) -> str:
    with tempfile.TemporaryDirectory(prefix="lock-") as name:
        folder = Path(name)
        (folder / "in.txt").write_text("\n".join([*needs.options, *lines]) + "\n")
        (folder / "limits.txt").write_text("\n".join([constraints, *_limits(needs)]))
        replaced = [name for name, (build, _) in CPU_BUILDS.items() if build in needs.names]
        (folder / "overrides.txt").write_text("".join(f"{name}; sys_platform == 'never'\n" for name in replaced))
        # uv keeps the versions of an existing lock where it can.
        (folder / "out.txt").write_text("\n".join(preferred) + "\n")
        arguments = [
            *("pip", "compile", "in.txt", "--output-file", "out.txt"),
            *("--constraints", "limits.txt", "--overrides", "overrides.txt"),
            *("--python", sys.executable, "--python-version", python, "--python-platform", PLATFORM),
            *("--no-header", "--no-annotate", "--quiet"),
            *(part for name in wheels for part in ("--only-binary", name)),
            *(["--generate-hashes"] if needs.hashes else []),
            *(["--index-strategy", "unsafe-best-match"] if needs.options else []),
        ]
        if as_of := day(needs.saved):
            arguments += ["--exclude-newer", as_of]
            builds = (build for build, _ in CPU_BUILDS.values())
            newer = [*tested(), FULL, "mlflow-tracing", *builds, *too_old(needs), *sorted(pinned_deciding(needs))]
            if any(packages.TORCH_INDEX in option for option in needs.options):
                newer += packages.TORCH  # that index doesn't say when a file was uploaded
            arguments += [part for package in newer for part in ("--exclude-newer-package", f"{package}=false")]
        uv.run(*arguments, cwd=folder)
        return (folder / "out.txt").read_text()


def _limits(needs: Needs) -> list[str]:
    """Return the model's constraints on packages that decide predictions; the others move, as all of their kind do."""
    return [str(each) for each in needs.limits if canonicalize_name(each.name) in DECIDING]


def locked(text: str) -> dict[str, str]:
    """Return the version of each package in a lock by its canonical name."""
    return {canonicalize_name(name): version for name, version in re.findall(PINNED, text, re.MULTILINE)}


def day(saved: str) -> str:
    """Return the end of the day on which a model was saved, or an empty text."""
    try:
        return str((datetime.fromisoformat(saved[:10]) + timedelta(days=1)).date())
    except ValueError:
        return ""


@cache
def own_requirements() -> list[str]:
    """Return what the function itself needs, from pyproject.toml."""
    project = tomllib.loads((kept.ROOT / "pyproject.toml").read_text())["project"]
    return [each for each in project["dependencies"] if canonicalize_name(Requirement(each).name) not in FOR_MODELS]


@cache
def tested() -> dict[str, str]:
    """Return the versions that the function was tested with, of the packages that may be newer than the model.

    These are the function's own and all that they need in turn, but none that decides predictions.
    """
    versions = locked((kept.ROOT / "requirements.txt").read_text())
    return {name: version for name, version in versions.items() if name not in DECIDING}


def pinned_deciding(needs: Needs) -> set[str]:
    """Return the packages that decide predictions and that the model pins, perhaps to a version newer than itself.

    Requirements that came with a model are edited later, by people and by tools that report vulnerabilities.
    """
    return {name for each in needs.requirements if pinned(each) and (name := canonicalize_name(each.name)) in DECIDING}


def too_old(needs: Needs) -> dict[str, Version]:
    """Return the packages that the model pins below what the function runs with, each with the oldest that it takes."""
    own = {canonicalize_name(it.name): it.specifier for it in map(Requirement, own_requirements())}
    found: dict[str, Version] = {}
    for each in needs.requirements:
        name, pin = canonicalize_name(each.name), pinned(each)
        if pin and name in FOUNDATIONS and name in own and not own[name].contains(pin, prereleases=True):
            found[name] = min(Version(it.version) for it in own[name] if it.operator == ">=")
    return found
