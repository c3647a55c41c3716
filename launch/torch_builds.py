"""PyTorch without libraries for GPUs: its builds for CPUs, which an index of PyTorch's own has and PyPI has not.

PyPI's builds for Linux require gigabytes of packages of nvidia. A version such as 2.5.1+cpu exists only in that index,
so pip, which installs the function's packages in Google Cloud, takes it from there once a line names the index.
"""

from collections.abc import Sequence
from dataclasses import replace

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from launch import packages, uv
from launch.needs import Needs
from launch.resolver import compile_lock, locked


def without_gpu(
    needs: Needs, python: str, lines: Sequence[str], text: str, wheels: Sequence[str]
) -> tuple[str, list[str]]:
    """Return a requirements.txt with builds for CPUs of the same versions, if it can be had, and what to tell the user.

    `text` is what `lines` were resolved to with PyPI's builds; `wheels` are as for `compile_lock`.
    """
    versions = locked(text)
    builds = {name: Version(versions[name]).public for name in packages.TORCH if name in versions}
    if "torch" not in builds or not any(name.startswith("nvidia-") for name in versions):
        return text, []
    others = [line for line in lines if canonicalize_name(Requirement(line).name) not in builds]
    asked = [*others, *(f"{name}=={version}+cpu" for name, version in builds.items())]
    told = " and ".join(f"{name} {version}" for name, version in builds.items())
    preferred = [line for line in text.splitlines() if not line.startswith("-")]
    options = (*needs.options, f"--extra-index-url {packages.TORCH_INDEX}")
    try:
        found = compile_lock(replace(needs, options=options), python, asked, preferred, wheels)
    except uv.UvError as error:
        reason = "cannot be reached" if error.outside else "has no build for CPUs that fits"
        return text, [f"Installed with libraries for GPUs, because {packages.TORCH_INDEX} {reason}: {told}."]
    return found, [f"Installed as builds for CPUs from {packages.TORCH_INDEX}: {told}."]
