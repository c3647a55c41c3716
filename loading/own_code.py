"""The Python modules that a model brings with it (`code_paths` of MLflow).

The code is hashed before Python imports it, since a module stays as long as the process lives: a new model with other
code under the same name would silently run the old code. For the same reason a model's module can't have the name of
one that this process has imported. Those of the function make way: they have imported each other by then and never ask
Python for one by its name again (tests/test_imports.py). A name that any other module has is an error.
"""

import hashlib
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from serving.errors import ModelUnusable, join_names

_ROOT = Path(__file__).parent.parent

# The code that models have brought into this process: path in the folder -> sha256 and the model's URI.
_admitted: dict[str, tuple[str, str]] = {}


def own_code(folder: Path, mlmodel: Mapping[str, Any]) -> dict[str, str]:
    """Return the code files that come with a model, path in the folder -> sha256."""
    files = {path for code in _code_folders(folder, mlmodel) for path in code.rglob("*") if path.suffix != ".pyc"}
    files.update(folder.rglob("*.py"))
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if path.is_file()
    }


def admit_code(folder: Path, mlmodel: Mapping[str, Any], code: Mapping[str, str], uri: str) -> None:
    """Let this code be imported; raise ModelUnusable if the process has other modules under the same names."""
    # MLflow imports a script next to the MLmodel file under a new name each time, so only folders matter.
    others = {
        name: _admitted[name][1]
        for name, digest in code.items()
        if "/" in name and name in _admitted and _admitted[name][0] != digest
    }
    if others:
        earlier = next(iter(others.values()))
        found = f"The model at {uri} has other code than"
        if earlier == uri:
            raise ModelUnusable(
                f"{found} an earlier model of this process: {join_names(list(others))}. Python would keep running the "
                "old code: deploy again, which starts new processes."
            )
        raise ModelUnusable(
            f"{found} the model at {earlier}, which this process has loaded too: {join_names(list(others))}. Python "
            "has one module of a name: rename it in one of them, or serve them by two services."
        )
    for below in _code_folders(folder, mlmodel):
        for path in sorted(below.iterdir()) if below.is_dir() else []:
            name = path.name.partition(".")[0]
            if name.isidentifier() and not name.startswith("__") and PathFinder.find_spec(name, [str(below)]):
                _make_way(name, path, f"{below.name}/{path.name}", uri)
    _admitted.update({name: (digest, uri) for name, digest in code.items()})


def _code_folders(folder: Path, mlmodel: Mapping[str, Any]) -> set[Path]:
    return {folder / str(flavor["code"]) for flavor in mlmodel["flavors"].values() if flavor.get("code")}


def _make_way(name: str, path: Path, shown: str, uri: str) -> None:
    """See to it that `import name` gives a model's module: the file or folder at `path`."""
    loaded = sys.modules.get(name)
    plain_folder = path.is_dir() and not (path / "__init__.py").exists()
    if loaded is not None and _is_same(name, path.parent):
        _add_submodules(name, path.parent)
    elif loaded is None or _is_ours(name, loaded):
        for other, _ in _loaded(name):
            del sys.modules[other]
        if plain_folder and _exists_here(name):  # Python would prefer the function's package
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [str(path)]
            sys.modules[name] = module_from_spec(spec)
    elif not plain_folder:  # Python prefers any other module to such a folder, also where the model was trained
        raise ModelUnusable(
            f"The model at {uri} brings {shown}, but the name {name!r} is taken: the function has imported another "
            "module of that name, which Python would use instead. Rename the file in code_paths and save the model "
            "again."
        )


def _is_same(name: str, code: Path) -> bool:
    """Whether everything that Python has loaded of a module equals the files that the model brings."""
    for each, module in _loaded(name):
        file = Path(getattr(module, "__file__", None) or "")
        own = code.joinpath(*each.split("."), file.name) if hasattr(module, "__path__") else None
        own = own or code.joinpath(*each.split(".")[:-1], file.name)
        if not (file.is_file() and own.is_file() and file.read_bytes() == own.read_bytes()):
            return False
    return True


def _add_submodules(name: str, code: Path) -> None:
    """Let a package that an earlier model has brought find its submodules in the files of the next one.

    The files of the earlier model are removed once it no longer serves.
    """
    for each, module in _loaded(name):
        own = str(code.joinpath(*each.split(".")))
        if isinstance(found := getattr(module, "__path__", None), list) and own not in found:
            found.append(own)


def _loaded(name: str) -> list[tuple[str, ModuleType]]:
    return [(each, module) for each, module in list(sys.modules.items()) if each.partition(".")[0] == name]


def _is_ours(name: str, module: ModuleType) -> bool:
    """Whether a module is one of the function's; `main` is its entry point, wherever the framework has found it."""
    if name == "main":
        return True
    places = [Path(file) for file in (getattr(module, "__file__", None), *getattr(module, "__path__", ())) if file]
    return any(place in (_ROOT / f"{name}.py", _ROOT / name, _ROOT / name / "__init__.py") for place in places)


def _exists_here(name: str) -> bool:
    return (_ROOT / f"{name}.py").exists() or (_ROOT / name / "__init__.py").exists()
