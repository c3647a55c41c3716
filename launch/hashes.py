"""Whether the hashes that a model lists are those of files that the index has."""

import re

from packaging.utils import canonicalize_name
from packaging.version import Version

from launch.errors import Blocked
from launch.needs import Needs, pinned
from launch.resolver import PINNED

# A package of a lock, with the hashes of all files of its version, a line each.
_LOCKED = re.compile(PINNED + r"(.*(?:\n[ \t]+--hash=.*)*)", re.MULTILINE)


def check_hashes(lock: str, needs: Needs, uri: str) -> None:
    """Raise Blocked for each package of which the index has no file with a hash that the model lists.

    The lock keeps the hashes of all files: people list those of their own platform. A package in another version than
    the model pins isn't compared.
    """
    pins = {(canonicalize_name(each.name), pinned(each)) for each in needs.requirements}
    problems = []
    for found, version, rest in _LOCKED.findall(lock):
        name = canonicalize_name(found)
        listed = needs.hashes.get(name)
        if listed and (name, Version(version)) in pins and listed.isdisjoint(re.findall(r"--hash=(\S+)", rest)):
            problems.append(
                f"The model at {uri} cannot be installed: none of the hashes that it lists for {name}=={version} "
                "belongs to a file of that version. Correct them in a copy of its requirements.txt, and pass that with "
                "--requirements."
            )
    if problems:
        raise Blocked(problems)
