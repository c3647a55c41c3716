"""From what a model and the function need to one lock: a requirements.txt in which every package has its version.

The model's environment wins. Packages that decide predictions stay as the model pins them, in the nearest Python for
which they have wheels; packages that the model leaves open are resolved as of the day on which it was saved; only the
function's own packages may be newer.
"""

import contextlib
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from launch import uv
from launch.errors import Blocked
from launch.hashes import check_hashes
from launch.needs import Needs, pinned
from launch.packages import CPU_BUILDS, DECIDING, FIRST_WITH_NUMPY_2
from launch.resolver import FOUNDATIONS, compile_lock, locked, own_requirements, tested, too_old
from launch.torch_builds import without_gpu
from launch.unresolved import OLD_SETUPTOOLS, explained, unavailable

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")  # that the function runs on
DEFAULT_PYTHON = "3.11"
# How far deciding packages may move: not at all, to another patch, to another minor version of a foundation. The judge
# compares the predictions then.
_STEPS = range(3)


def runtime(python: str) -> str:
    """Return what Cloud Functions calls a Python, such as python311 for 3.11."""
    return f"python{python.replace('.', '')}"


@dataclass(frozen=True)
class Lock:
    """The packages of a model's environment: `text` is a requirements.txt for this `python`, such as 3.11.

    `notes` tell what differs from what the model asks for; `moved` are those of the differing packages that decide
    predictions.
    """

    python: str
    text: str
    notes: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()

    @property
    def versions(self) -> dict[str, str]:
        """The version of each package by its canonical name."""
        return locked(self.text)

    @property
    def digest(self) -> str:
        """What identifies the environment: 16 hex digits."""
        return hashlib.sha256(f"{self.python}\n{self.text}".encode()).hexdigest()[:16]


def resolve(needs: Needs, uri: str, pythons: Sequence[str] = PYTHONS) -> Lock:
    """Return the lock of a model for one of these Pythons; raise Blocked when there is none, with the reason."""
    for moving in _STEPS:
        failures: list[uv.UvError] = []
        for python in _candidates(needs.python, pythons):
            try:
                found = _smaller(needs, python, moving=moving)
                check_hashes(found.text, needs, uri)
                return replace(found, notes=(*_gone(needs.python, pythons), *found.notes))
            except uv.UvError as error:
                failures.append(error)
                if not error.outside and error.nowhere:
                    raise Blocked(_all_nowhere(error, needs, python, uri)) from error
                if error.outside or not (error.another_python or too_old(needs)):
                    raise Blocked([explained(error, needs, uri)]) from error
        if not (too_old(needs) or any(error.without_wheel & DECIDING for error in failures)):
            break
    raise Blocked([unavailable(failures[0], needs, uri, pythons)])


def resolve_as_pinned(needs: Needs, pythons: Sequence[str]) -> Lock:
    """Return a lock with the pins of packages that decide predictions, for the first of these Pythons that has one.

    Raise UvError with the reason against the first of them.
    """
    failures: list[uv.UvError] = []
    for python in pythons:
        try:
            return _smaller(needs, python, moving=0)
        except uv.UvError as error:
            failures.append(error)
    raise failures[0]


def _candidates(saved_with: str, pythons: Sequence[str]) -> list[str]:
    """Return the Pythons to try: the model's own or the nearest first, newer ones before older if its own is gone."""
    own = int((saved_with or DEFAULT_PYTHON).split(".")[1])
    minors = {int(python.split(".")[1]) for python in pythons}
    nearest = sorted(minors, key=lambda minor: (own not in minors and minor < own, abs(minor - own), minor))
    return [f"3.{minor}" for minor in nearest]


def _gone(saved_with: str, pythons: Sequence[str]) -> Iterable[str]:
    python = ".".join(saved_with.split(".")[:2])
    if python in PYTHONS and python not in pythons:
        yield f"Cloud Functions has no Python {python} any more."


def _smaller(needs: Needs, python: str, *, moving: int) -> Lock:
    """Return the lock for one Python with builds for CPUs, if there are any of the versions that the model needs."""
    smaller, notes = [], []
    for each in needs.requirements:
        pin, (build, first) = pinned(each), CPU_BUILDS.get(canonicalize_name(each.name), ("", "0"))
        if build and pin and pin >= Version(first):
            notes.append(f"{each.name} {pin} is installed as {build} {pin}, which needs no libraries for GPUs.")
            smaller.append(Requirement(str(each).replace(each.name, build, 1)))
        else:
            smaller.append(each)
    if notes:
        with contextlib.suppress(uv.UvError):
            chosen = replace(needs, requirements=tuple(smaller), notes=(*needs.notes, *notes))
            return _resolved(chosen, python, moving=moving)
    return _resolved(needs, python, moving=moving)


def _resolved(needs: Needs, python: str, *, moving: int) -> Lock:
    """Return the lock for one Python; with `moving`, deciding packages may take another patch version.

    A range that excludes the function's own packages gives way, if it decides nothing.
    """
    try:
        return _compiled(needs, needs.requirements, python, moving=moving)
    except uv.UvError as error:
        free = tuple(
            _with_specifier(each, "") if canonicalize_name(each.name) in tested() else each
            for each in needs.requirements
        )
        if error.outside or error.nowhere or error.without_wheel or free == needs.requirements:
            raise
        with contextlib.suppress(uv.UvError):
            return _compiled(needs, free, python, moving=moving)
        raise


def _compiled(needs: Needs, requirements: Sequence[Requirement], python: str, *, moving: int) -> Lock:
    lines = [*own_requirements(), *_model_lines(replace(needs, requirements=tuple(requirements)), moving=moving)]
    versions = dict(tested())
    versions |= {canonicalize_name(each.name): str(pin) for each in needs.requirements if (pin := pinned(each))}
    preferred = [f"{name}=={version}" for name, version in versions.items()]
    notes, wheels = list(needs.notes), [":all:"]
    try:
        text = compile_lock(needs, python, lines, preferred, wheels)
    except uv.UvError as error:
        built = sorted(error.only_source - DECIDING)
        if not built:
            raise
        notes.append(f"Built from source, because no version has a wheel: {', '.join(built)}.")
        wheels = sorted({*DECIDING, *tested()})
        text = compile_lock(needs, python, lines, preferred, wheels)
    text, told = without_gpu(needs, python, lines, text, wheels)
    notes += told
    lock = Lock(python, text)
    return replace(lock, notes=(*notes, *_moves(needs, lock)), moved=tuple(_moved(needs, lock)))


def _model_lines(needs: Needs, *, moving: int) -> Iterable[str]:
    oldest = too_old(needs)
    for each in needs.requirements:
        pin = pinned(each)
        name = canonicalize_name(each.name)
        if not pin or (name in DECIDING and not moving):
            yield str(each)
        elif name not in DECIDING:
            yield str(_with_specifier(each, ""))  # its version is preferred, not demanded
        elif moving == 2 and name in oldest:
            yield f"{name}=={oldest[name].major}.{oldest[name].minor}.*"
        elif moving == 2 and name in FOUNDATIONS:
            yield str(_with_specifier(each, f">={pin},<{pin.major + 1}"))
        else:
            yield str(_with_specifier(each, f"=={pin.major}.{pin.minor}.*"))
        if pin and pin < Version(FIRST_WITH_NUMPY_2.get(name, "0")):
            yield "numpy<2"
    if "setuptools" not in needs.names:
        yield OLD_SETUPTOOLS


def _with_specifier(requirement: Requirement, specifier: str) -> Requirement:
    found = Requirement(str(requirement))
    found.specifier = SpecifierSet(specifier)
    return found


def _moves(needs: Needs, lock: Lock) -> Iterable[str]:
    if needs.python and ".".join(needs.python.split(".")[:2]) != lock.python:
        yield f"The model was saved with Python {needs.python}; it gets {lock.python}, the nearest with its packages."
    moved = [
        f"{each.name} {pinned(each) or each.specifier} -> {lock.versions.get(canonicalize_name(each.name), 'left out')}"
        for each in _different(needs, lock)
    ]
    if moved:
        yield f"Moved to versions that can be installed: {', '.join(sorted(moved))}."


def _moved(needs: Needs, lock: Lock) -> list[str]:
    return sorted({name for each in _different(needs, lock) if (name := canonicalize_name(each.name)) in DECIDING})


def _different(needs: Needs, lock: Lock) -> Iterable[Requirement]:
    """Yield the requirements whose pinned version, or range, the lock doesn't have."""
    for each in needs.requirements:
        pin, found = pinned(each), lock.versions.get(canonicalize_name(each.name))
        if each.marker and not each.marker.evaluate({"python_version": lock.python}):
            continue
        if found is None:
            is_met = not pin
        elif pin:
            is_met = Version(found).public == pin.public
        else:
            is_met = each.specifier.contains(found, prereleases=True)
        if not is_met:
            yield each


def _all_nowhere(error: uv.UvError, needs: Needs, python: str, uri: str) -> list[str]:
    """Return a sentence for each requirement that exists nowhere; uv names one at a time."""
    reasons: list[str] = []
    while error.nowhere and (reason := explained(error, needs, uri)) not in reasons:
        reasons.append(reason)
        names = set(map(canonicalize_name, error.nowhere))
        left = tuple(each for each in needs.requirements if canonicalize_name(each.name) not in names)
        needs = replace(needs, requirements=left)
        try:
            _smaller(needs, python, moving=0)
            break
        except uv.UvError as following:
            error = following
    return reasons
