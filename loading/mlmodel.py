"""What a model's folder says about itself, read before anything in it is imported or deserialized.

Anybody who can write to the bucket controls the MLmodel file. It is read as plain YAML of bounded size, and its paths
can't lead out of the model's folder.
"""

import codecs
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from serving.errors import ModelUnusable, describe_error, short_repr

MLMODEL_LIMIT = 2_000_000  # bytes; a signature of 10,000 columns has 700,000
NODES_LIMIT = 100_000  # values; a few lines of YAML expand to billions by referring to the same list repeatedly

_OPENED = ("flavors", "saved_input_example_info")  # the parts of MLmodel whose paths are opened
# Keys in them whose paths are never opened: where a file was on the author's machine, and the author's own settings.
_NOT_OPENED = ("config", "model_code_path", "model_config", "source_model_name", "uri")


def read_mlmodel(folder: Path, uri: str) -> dict[str, Any]:
    """Return the content of the MLmodel file: a mapping with a mapping `flavors` of mappings; raise ModelUnusable."""
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
        found = " ".join(describe_error(cause).split())  # YAML's errors have several lines
        raise ModelUnusable(f"The MLmodel file of {uri} is not YAML: {found}") from cause
    if type(mlmodel) is not dict or not _is_mapping_of_mappings(mlmodel.get("flavors")):
        raise ModelUnusable(f"The MLmodel file of {uri} has no mapping `flavors`; save the model again with MLflow.")
    for keys, value in _texts(mlmodel, uri):
        path = PurePosixPath(value)
        opened = keys[0] in _OPENED and not set(keys).intersection(_NOT_OPENED)
        if opened and (path.is_absolute() or ".." in path.parts):
            raise ModelUnusable(
                f"The MLmodel file of {uri} has {'.'.join(keys)} = {short_repr(value)}, "
                "which leads out of the model's folder."
            )
    return mlmodel


def requirements(folder: Path, name: str = "requirements.txt") -> list[str]:
    """Return the lines of a file of requirements; those of a model are the packages of its author's environment.

    PowerShell writes the output of pip freeze as UTF-16, other programs of Windows write a byte order mark.
    """
    file = folder / name
    content = file.read_bytes() if file.is_file() else b""
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    return [line for line in content.decode(encoding, errors="replace").splitlines() if line]


def _is_mapping_of_mappings(value: Any) -> bool:
    return type(value) is dict and all(type(each) is dict for each in value.values())


def _texts(mlmodel: Mapping[str, Any], uri: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield every string with the keys that lead to it; raise ModelUnusable when there are too many values."""
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
