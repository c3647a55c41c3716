"""Whether the packages of this function are those that a followed version requires.

deploy.sh installs what the version requires that it checked. Another one may require another version of a package that
decides predictions, or a package that isn't installed: it would fail, or predict something else.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from loading.installed import version
from loading.mlmodel import requirements
from serving.errors import ModelUnusable, join_names

ROOT = Path(__file__).parent.parent
# The requirements of each followed model, which deploy.sh resolved to this function's requirements.txt, with an empty
# line between two models.
RESOLVED = "model-requirements.txt"

# Packages that decide predictions: another version than the required one may predict something else.
DECIDING = frozenset(
    {
        *("catboost", "keras", "lightgbm", "numpy", "onnxruntime", "prophet", "scikit-learn", "spacy", "statsmodels"),
        *("tensorflow", "tensorflow-cpu", "torch", "transformers", "xgboost", "xgboost-cpu"),
    }
)
# What deploy.sh doesn't install though a model requires it: packages that the function brings itself, installers, those
# that exist only for Windows or macOS, and what pip lists on Ubuntu and in Anaconda that no package index has.
LEFT_OUT = frozenset(
    {
        *("mlflow", "mlflow-skinny", "mlflow-tracing", "pip", "pkg-resources", "wheel"),
        *("anaconda-client", "anaconda-navigator", "anaconda-project", "conda", "conda-build", "conda-content-trust"),
        *("conda-package-handling", "conda-repo-cli", "conda-token", "navigator-updater", "ruamel-yaml-conda"),
        *("menuinst", "mkl-fft", "mkl-random", "mkl-service"),
        *("appnope", "pypiwin32", "pywin32", "pywin32-ctypes", "pywinpty", "windows-curses", "winkerberos"),
        "tensorflow-metal",  # for GPUs of Apple's
        "tensorflow-io-gcs-filesystem",  # optional for TensorFlow, which names the versions that it takes
    }
)
# Other names of a package: builds without libraries for GPUs, and what people write.
OTHER_NAMES = {
    "pytorch": ("torch",),
    "sklearn": ("scikit-learn",),
    "tensorflow": ("tensorflow-cpu",),
    "tensorflow-intel": ("tensorflow-cpu", "tensorflow"),
    "tensorflow-macos": ("tensorflow-cpu", "tensorflow"),
    "xgboost": ("xgboost-cpu",),
}


def check_requirements(folder: Path, uri: str) -> None:
    """Raise ModelUnusable, before anything of the model is loaded, if its requirements.txt isn't met here.

    The requirements that deploy.sh resolved are met, although it may have moved a package to another version.
    """
    required = requirements(folder)
    if required and required in _resolved():
        return
    if unmet := list(_unmet(required)):
        raise ModelUnusable(
            f"The model at {uri} requires {join_names(unmet)}: deploy this version with deploy.sh, which installs what "
            "it requires."
        )


def _resolved() -> list[list[str]]:
    file = ROOT / RESOLVED
    blocks = file.read_text(encoding="utf-8").split("\n\n") if file.is_file() else []
    return [block.splitlines() for block in blocks]


def _unmet(lines: Iterable[str]) -> Iterator[str]:
    """Yield each requirement that isn't met, with what is installed."""
    for line in lines:
        try:
            required = Requirement(re.split(r"\s+(?:#|--|\\)", line)[0])
        except InvalidRequirement:  # an option of pip, a comment or an address
            continue
        name = canonicalize_name(required.name)
        if name == "setuptools" or _is_left_out(required):
            continue
        names = (name, *OTHER_NAMES.get(name, ()))
        installed = next((found for each in names if (found := version(each))), None)
        if installed is None:
            yield f"{name}{required.specifier}, but {name} is not installed"
        elif not DECIDING.isdisjoint(names) and not _is_met(name, required, installed):
            yield f"{name}{required.specifier}, but {name} {installed} is installed"


def is_missing(required: Requirement) -> bool:
    """Whether neither a required package nor one that stands in for it is installed, although it should be."""
    name = canonicalize_name(required.name)
    return not _is_left_out(required) and not any(map(version, (name, *OTHER_NAMES.get(name, ()))))


def _is_left_out(required: Requirement) -> bool:
    """Whether deploy.sh doesn't install a package though the model requires it."""
    marker = required.marker
    return canonicalize_name(required.name) in LEFT_OUT or bool(marker and not marker.evaluate())


def _is_met(name: str, required: Requirement, installed: str) -> bool:
    """Whether an installed version is a required one; NumPy's pinned version may be another of the same major one."""
    if name != "numpy":
        return required.specifier.contains(installed, prereleases=True)
    major = installed.partition(".")[0]
    exact = [it for it in required.specifier if it.operator in ("==", "===")]
    ranges = (it for it in required.specifier if it not in exact)
    return all(it.version.partition(".")[0] == major for it in exact) and all(
        it.contains(installed, prereleases=True) for it in ranges
    )
