"""Several models in one environment: a service has one Python, and one version of each package.

Each model is examined in its own environment first. Then one lock must meet what decides their predictions there, and
each must predict the same in it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import combinations

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from launch import uv
from launch.environment import Report, make
from launch.errors import Blocked
from launch.examine import Examined, Options, examined, examined_in
from launch.judge import FLOAT32_TOLERANCE
from launch.lock import Lock, resolve_as_pinned
from launch.needs import Needs, pinned, read_needs
from launch.packages import CPU_BUILDS, DECIDING
from launch.unresolved import explained
from loading.mlmodel import read_mlmodel
from loading.own_code import own_code
from parity import compare
from serving.errors import join_names

APART = "deploy one of them with another --function."


@dataclass(frozen=True)
class Member:
    """One model of a service: its name there, where it is, and what a user says about it."""

    name: str
    uri: str
    options: Options


@contextmanager
def examined_together(members: Sequence[Member], report: Report) -> Iterator[dict[str, Examined]]:
    """Examine the models of a service in the environment that they share; their files stay for the block's length.

    The first member is the one that a run adds or replaces. Raise Blocked with every reason against it.
    """
    with ExitStack() as stack:
        alone = {it.name: stack.enter_context(examined(it.uri, report, it.options)) for it in members}
        if len(members) == 1:
            yield alone
            return
        found = [(it, alone[it.name]) for it in members]
        if problems := [*_different_pins(found), *_different_code(alone)]:
            raise Blocked(problems)
        environment = make(_lock(found), report, interpreter=members[0].options.interpreter)
        together: dict[str, Examined] = {}
        problems = []
        for name, one in alone.items():
            try:
                found_here = examined_in(environment, one.folder, one.uri, report)
                problems += _differences(name, one, found_here, _beside(name, members))
                together[name] = _noted(one, found_here)
            except Blocked as error:
                problems += [f"{name} cannot be served beside {_beside(name, members)}: {it}" for it in error.blockers]
        if problems:
            raise Blocked(problems)
        yield together


def _beside(name: str, members: Sequence[Member]) -> str:
    """Return who a model has to share its packages with: the one that is added, or all others."""
    first, *others = members
    return join_names([it.name for it in others]) if name == first.name else first.name


def _different_pins(found: Sequence[tuple[Member, Examined]]) -> Iterator[str]:
    """Yield a sentence for each two models of which both pin a package, each another version."""
    pins = {member.name: _pins(member, one) for member, one in found}
    for one, other in combinations(pins, 2):
        shared = sorted(name for name in pins[one].keys() & pins[other].keys() if pins[one][name] != pins[other][name])
        if shared:
            first, second = (" and ".join(f"{name} {pins[it][name]}" for name in shared) for it in (one, other))
            yield f"{one} needs {first}, and {other} {second}, but a service has one version of each package: {APART}"


def _pins(member: Member, one: Examined) -> dict[str, Version]:
    """Return the packages that decide predictions and that a model pins, in the versions that it was examined with."""
    needs = _needs(member, one)
    return {
        canonicalize_name(each.name): version
        for each in needs.requirements
        if pinned(each) and (version := _examined_version(each, one.environment.lock))
    }


def _examined_version(requirement: Requirement, lock: Lock) -> Version | None:
    name = canonicalize_name(requirement.name)
    if name not in DECIDING:
        return None
    version = lock.versions.get(name) or lock.versions.get(CPU_BUILDS.get(name, ("", ""))[0])
    return Version(Version(version).public) if version else None


def _needs(member: Member, one: Examined) -> Needs:
    return read_needs(one.folder, one.uri, member.options.requirements)


def _different_code(alone: Mapping[str, Examined]) -> Iterator[str]:
    """Yield a sentence for each two models that bring different modules of one name."""
    code = {name: own_code(one.folder, read_mlmodel(one.folder, one.uri)) for name, one in alone.items()}
    for one, other in combinations(code, 2):
        different = [
            path
            for path in code[one].keys() & code[other].keys()
            if "/" in path and code[one][path] != code[other][path]
        ]
        if different:
            yield (
                f"{one} and {other} bring different modules of one name, {join_names(sorted(different))}, and Python "
                f"has one of a name: rename it in one of them, or {APART}"
            )


def _lock(found: Sequence[tuple[Member, Examined]]) -> Lock:
    """Return the lock of all models; raise Blocked with the names of those that have none."""
    try:
        return _resolved(found)
    except uv.UvError as of_all:
        error, failing = of_all, list(found)
        first, *others = found
        for other in others:
            try:
                _resolved([first, other])
            except uv.UvError as reason:
                failing, error = [first, other], reason
                break
        names = join_names([member.name for member, _ in failing])
        reason_text = explained(error, _joint_needs(failing), names).partition(": correct")[0]
        raise Blocked([f"{names} have no packages in common. {reason_text}: {APART}"]) from error


def _resolved(found: Sequence[tuple[Member, Examined]]) -> Lock:
    pythons = list(dict.fromkeys(one.environment.lock.python for _, one in found))
    return resolve_as_pinned(_joint_needs(found), pythons)


def _joint_needs(found: Sequence[tuple[Member, Examined]]) -> Needs:
    """Return what all models need: what decides predictions in the version that each was examined with."""
    all_needs = [(_needs(member, one), one.environment.lock) for member, one in found]
    requirements = [_as_examined(each, lock) for needs, lock in all_needs for each in needs.requirements]
    unique = {str(each): each for each in requirements}
    saved = [needs.saved for needs, _ in all_needs]
    return Needs(
        python=all_needs[0][1].python,
        requirements=tuple(unique.values()),
        options=tuple(dict.fromkeys(option for needs, _ in all_needs for option in needs.options)),
        saved=max(saved) if all(saved) else "",
        hashes=_all_hashes([needs for needs, _ in all_needs]),
    )


def _all_hashes(all_needs: Sequence[Needs]) -> dict[str, frozenset[str]]:
    names = {name for needs in all_needs for name in needs.hashes}
    return {name: frozenset().union(*(needs.hashes.get(name, ()) for needs in all_needs)) for name in names}


def _as_examined(requirement: Requirement, lock: Lock) -> Requirement:
    version = _examined_version(requirement, lock)
    if not version or not pinned(requirement):
        return requirement
    found = Requirement(str(requirement))
    found.specifier = SpecifierSet(f"=={version}")
    return found


def _differences(name: str, alone: Examined, together: Examined, beside: str) -> Iterator[str]:
    """Yield a sentence if a model's own library predicts something else in the packages of all models."""
    before, now = alone.description, together.description
    relative = FLOAT32_TOLERANCE if before.float32 else compare.TOLERANCE
    versions = ", ".join(_changed(alone.environment.lock, together.environment.lock))
    if before.rows != now.rows:
        yield f"{name} cannot be compared beside {beside}, because its example has other rows with {versions}: {APART}"
    elif found := compare.differences(now.predictions, before.predictions, relative):
        yield (
            f"{name} would predict differently beside {beside}, {found[0].answer!r} instead of "
            f"{found[0].prediction!r} for row {found[0].row}, with {versions}: {APART}"
        )


def _noted(alone: Examined, together: Examined) -> Examined:
    """Return a model in the environment of all, with what is to be told about it in its own one, too."""
    lock = together.environment.lock
    own = alone.environment.lock.python
    moved = [f"The models of the service share Python {lock.python}, in place of {own}."] if own != lock.python else []
    notes = dict.fromkeys([*alone.notes, *lock.notes, *moved])
    noted = replace(lock, notes=tuple(it for it in notes if it not in together.description.model.notes))
    return replace(together, environment=replace(together.environment, lock=noted))


def _changed(alone: Lock, together: Lock) -> Iterator[str]:
    """Yield what may change predictions: the Python, and the packages that decide them."""
    if alone.python != together.python:
        yield f"Python {together.python} in place of {alone.python}"
    for package, version in together.versions.items():
        before = alone.versions.get(package)
        if package in DECIDING and before and before != version:
            yield f"{package} {version} in place of {before}"
