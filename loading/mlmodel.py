"""What a model's folder says of itself, read before anything in it is imported or deserialised.

The rule: the MLmodel file is data of whoever may write to the bucket. It is read as plain YAML of bounded size, it
cannot lead to a file outside its folder, and the code that travels with the model is known before Python sees it.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from serving.errors import ModelUnusable, join_names, short_repr

MLMODEL_LIMIT = 2_000_000  # bytes; a signature of 10,000 columns has 700,000
NODES_LIMIT = 100_000  # values; a few lines of YAML can stand for billions, by naming the same list again and again

_NAMES_FILES = ("flavors", "saved_input_example_info")  # the parts of MLmodel whose paths are opened
# What may be a path there without being opened: where the author had a file, and his own settings.
_NO_FILES = ("config", "model_code_path", "model_config", "source_model_name", "uri")

# The code that models brought into this process, name -> sha256. Python keeps a module for as long as the process
# lives, so another content under the same name would not be run: the new model would run the old one's code.
_code_here: dict[str, str] = {}


def read_mlmodel(folder: Path, uri: str) -> dict[str, Any]:
    """Return what the MLmodel file holds: a mapping with a mapping `flavors` of mappings; raise ModelUnusable."""
    file = folder / "MLmodel"
    if not file.is_file():
        raise ModelUnusable(
            f"There is no MLmodel file in {uri}; expected a folder saved by mlflow.<flavor>.save_model."
        )
    if file.stat().st_size > MLMODEL_LIMIT:
        raise ModelUnusable(f"The MLmodel file of {uri} has {file.stat().st_size} bytes, more than {MLMODEL_LIMIT}.")
    try:
        mlmodel = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, ValueError, RecursionError) as cause:
        raise ModelUnusable(f"The MLmodel file of {uri} is no YAML: {type(cause).__name__}: {cause}") from cause
    if type(mlmodel) is not dict or not _is_mapping_of_mappings(mlmodel.get("flavors")):
        raise ModelUnusable(f"The MLmodel file of {uri} has no mapping `flavors`; save the model again with MLflow.")
    for keys, value in _texts(mlmodel, uri):
        path = PurePosixPath(value)
        opened = keys[0] in _NAMES_FILES and not set(keys).intersection(_NO_FILES)
        if opened and (path.is_absolute() or ".." in path.parts):
            raise ModelUnusable(
                f"The MLmodel file of {uri} has {'.'.join(keys)} = {short_repr(value)}, which leads out of its folder."
            )
    return mlmodel


def own_code(folder: Path, mlmodel: Mapping[str, Any]) -> dict[str, str]:
    """Return the files of code that travel with a model, name below the folder -> sha256."""
    below = {str(flavor["code"]) for flavor in mlmodel["flavors"].values() if flavor.get("code")}
    files = {path for code in below for path in (folder / code).rglob("*") if path.suffix != ".pyc"}
    files.update(folder.rglob("*.py"))
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if path.is_file()
    }


def admit_code(code: Mapping[str, str], uri: str) -> None:
    """Note that this code is imported now; raise ModelUnusable where the process has other code under a name."""
    # MLflow imports a script beside the MLmodel file under a new name each time.
    others = [name for name, digest in code.items() if "/" in name and _code_here.get(name, digest) != digest]
    if others:
        raise ModelUnusable(
            f"The model at {uri} brings other code than a model before it did in this process: {join_names(others)}. "
            "Python would go on with the old code: deploy again, which starts new processes."
        )
    _code_here.update(code)


def requirements(folder: Path) -> list[str]:
    """Return the lines of the model's requirements.txt, the packages that its author had."""
    file = folder / "requirements.txt"
    return [line for line in file.read_text(errors="replace").splitlines() if line] if file.is_file() else []


def _is_mapping_of_mappings(value: Any) -> bool:
    return type(value) is dict and all(type(each) is dict for each in value.values())


def _texts(mlmodel: Mapping[str, Any], uri: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield every text with the keys that lead to it; raise ModelUnusable when there are too many values."""
    left: list[tuple[tuple[str, ...], Any]] = [((), mlmodel)]
    for _ in range(NODES_LIMIT):
        if not left:
            return
        keys, value = left.pop()
        if type(value) is dict:
            left.extend(((*keys, str(name)), each) for name, each in value.items())
        elif type(value) is list:
            left.extend((keys, each) for each in value)
        elif type(value) is str:
            yield keys, value
    raise ModelUnusable(f"The MLmodel file of {uri} holds more than {NODES_LIMIT} values.")
