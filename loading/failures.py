"""Why a model could not be loaded, for the person who saved it: what is missing, and how to save or deploy it instead.

Python's own words name a module or a class. What to do depends on whose it is: a package that the model requires, a
file of the author that was not saved with the model, or a class of the author's notebook.
"""

import contextlib
import importlib.util
import pickle
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from loading.installed import version
from loading.limits import is_shortage
from loading.memory import gigabytes, memory_limit
from loading.mlmodel import requirements
from loading.packages import is_missing
from serving.errors import ModelBlocked, ModelUnusable, describe_error, join_names

# What pickle says about a class that its module doesn't have; the module is shown as repr() shows it.
_NO_ATTRIBUTE = re.compile(r"Can't get attribute '([^']+)' on (<module '([^']+)'.*>)", re.DOTALL)
_DISTRIBUTIONS = {"sklearn": "scikit-learn"}  # modules of packages with another name that many models need
_LFS_POINTER, _LFS_LIMIT = b"version https://git-lfs.github.com/spec/", 1024  # bytes


@contextlib.contextmanager
def loading_errors(folder: Path, uri: str) -> Iterator[None]:
    """Turn whatever goes wrong with a model's files into ModelUnusable."""
    try:
        yield
    except (ModelUnusable, MemoryError):
        raise
    except Exception as cause:
        kind = ModelBlocked if is_shortage(cause) else ModelUnusable
        raise kind(f"The model at {uri} {_reason(cause, folder)}") from cause


@contextlib.contextmanager
def contained(uri: str) -> Iterator[None]:
    """Turn what a model can do to its process, while it is loaded or tried, into ModelUnusable."""
    try:
        yield
    except MemoryError as cause:
        raise ModelBlocked(
            f"The model at {uri} does not fit into this function's {gigabytes(memory_limit())} of memory: "
            "deploy it with more --memory."
        ) from cause
    except Exception:
        raise
    except BaseException as cause:  # such as SystemExit, or a timeout of the model's own
        raise ModelUnusable(f"The model at {uri} raised {describe_error(cause)} while it was loaded.") from cause


def _reason(error: Exception, folder: Path) -> str:
    """Return the rest of the sentence that begins with the model: what is wrong with it and what to do."""
    if pointers := git_lfs_pointers(folder):
        return pointers_instead(pointers)
    if isinstance(error, FileNotFoundError) and (file := _within(folder, error.filename)):
        return missing([file])
    link: BaseException | None = error
    while link is not None:  # MLflow and joblib raise exceptions of their own instead
        reason = None
        if isinstance(link, ImportError) and link.name:
            reason = _import_failed(link, link.name, folder)
        elif isinstance(link, AttributeError) and (found := _NO_ATTRIBUTE.search(str(link))):
            reason = _class_missing(*found.groups(), folder=folder)
        if reason:
            return reason
        link = link.__cause__
    if isinstance(error, (pickle.UnpicklingError, EOFError)):
        said = describe_error(error).rstrip(".")
        return f"cannot be loaded: {said}. One of its files is damaged or incomplete: upload the whole folder again."
    advice = ""
    if type(error).__name__ == "UntrustedTypesFoundException":  # of skops, which need not be installed
        advice = ' Save it with serialization_format="cloudpickle", and files of your own in code_paths.'
    return f"cannot be loaded: {describe_error(error)}{advice}"


def missing(files: list[str]) -> str:
    """Return the rest of the sentence for files that aren't there."""
    return f"has no file {join_names(files)}, which its MLmodel file names: upload the whole folder."


def pointers_instead(files: list[str]) -> str:
    """Return the rest of the sentence for files of which only a pointer is there."""
    return (
        f"has a Git LFS pointer in place of {join_names(files)}: run `git lfs pull` in the repository that it comes "
        "from, and upload it again."
    )


def git_lfs_pointers(folder: Path) -> list[str]:
    """Return the files that hold only the address of their content, which Git LFS keeps elsewhere."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size < _LFS_LIMIT]
    return sorted(_within(folder, path) for path in files if path.read_bytes().startswith(_LFS_POINTER))


def _within(folder: Path, path: object) -> str:
    """Return a path relative to the folder, as a message shows it; empty for one outside."""
    return str(Path(str(path)).relative_to(folder)) if path and Path(str(path)).is_relative_to(folder) else ""


def _import_failed(error: ImportError, module: str, folder: Path) -> str | None:
    """Return the reason for an import that failed in the model's code or files; None when Python's words must do."""
    pin = _required(module, folder)
    top = module.partition(".")[0]
    if top not in sys.modules and importlib.util.find_spec(top) is None:
        if package := pin or _DISTRIBUTIONS.get(top):
            return (
                f"needs the Python package {module!r}, which is not installed: deploy with {package} in "
                "requirements.txt."
            )
        return f"needs the Python module {module!r}, which was not saved with it: {_save_with_code(module, folder)}"
    if package := _distribution(module):
        remedy = f"deploy with {pin} in requirements.txt" if pin else "save it again with that version"
        return f"does not work with the installed {package} ({error}): {remedy}."
    if top in sys.stdlib_module_names:
        return None
    return (
        f"does not find its module {module!r} ({error}), because the function has another module of this name: "
        f"{_save_with_code(module, folder)}"
    )


def _class_missing(name: str, shown: str, module: str, *, folder: Path) -> str | None:
    """Return the reason for a class or function that is not in the module where the model's pickle looks for it."""
    if module in ("__main__", "__mp_main__") or shown == repr(sys.modules["__main__"]):
        return (
            f"contains {name!r}, which belongs to the notebook or script that trained it and was not saved with it: "
            'save it again with serialization_format="cloudpickle", or move it to a file that you save with code_paths.'
        )
    if package := _distribution(module):
        pin = _required(module, folder) or _required(package.partition(" ")[0], folder)
        remedy = f"deploy with {pin} in requirements.txt" if pin else "save it again with that version"
        return f"contains {module}.{name}, which the installed {package} does not have: {remedy}."
    if module.partition(".")[0] in sys.stdlib_module_names:
        return None
    return (
        f"contains {name!r} of a module {module!r}, which was not saved with it, and the function's module of this "
        f"name does not have it: {_save_with_code(module, folder)}"
    )


def _save_with_code(module: str, folder: Path) -> str:
    top, dot, _ = module.partition(".")
    files = f'["{top}"]' if dot else f'["{top}.py"], or ["{top}"] for a folder'
    advice = f"save it again with code_paths={files}."
    if missing := _not_installed(folder):
        advice += (
            f" If it belongs to a package that the model requires and that is not installed ({join_names(missing)}), "
            "deploy with that in requirements.txt."
        )
    return advice


def _pins(folder: Path) -> dict[str, list[str]]:
    """Return the lines of the model's requirements.txt by the canonical name of the distribution."""
    found: dict[str, list[str]] = {}
    for line in requirements(folder):
        with contextlib.suppress(InvalidRequirement):  # an option of pip, or an address
            found.setdefault(canonicalize_name(_requirement(line).name), []).append(line)
    return found


def _requirement(line: str) -> Requirement:
    return Requirement(line.partition(" #")[0])


def _required(module: str, folder: Path) -> str | None:
    """Return the line of requirements.txt that is named like a module or the packages around it."""
    pins = _pins(folder)
    parts = module.split(".")
    for depth in range(len(parts), 0, -1):
        name = "-".join(parts[:depth])
        if lines := pins.get(canonicalize_name(_DISTRIBUTIONS.get(name, name))):
            return lines[0]
    return None


def _not_installed(folder: Path) -> list[str]:
    """Return the lines of requirements.txt whose distribution is not installed, nor another that stands in for it."""
    return [line for lines in _pins(folder).values() for line in lines if is_missing(_requirement(line))]


def _distribution(module: str) -> str | None:
    """Return name and version of the installed distribution that a module belongs to."""
    top = module.partition(".")[0]
    names = [_DISTRIBUTIONS.get(top, top)]
    with contextlib.suppress(Exception):  # some package has incomplete metadata, which Python reads for this
        names = [name for name in packages_distributions()[top] if name]
    found = ((name, version(name)) for name in names)
    return next((f"{name} {number}" for name, number in found if number), None)
