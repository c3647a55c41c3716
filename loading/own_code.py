"""The Python modules that a model brings with it (`code_paths` of MLflow).

The code is hashed before Python imports it, since a module stays as long as the process lives: a new model with other
code under the same name would silently run the old code.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serving.errors import ModelUnusable, join_names

_admitted: dict[str, str] = {}  # the code that models have brought into this process, path in the folder -> sha256


def own_code(folder: Path, mlmodel: Mapping[str, Any]) -> dict[str, str]:
    """Return the code files that come with a model, path in the folder -> sha256."""
    below = {str(flavor["code"]) for flavor in mlmodel["flavors"].values() if flavor.get("code")}
    files = {path for code in below for path in (folder / code).rglob("*") if path.suffix != ".pyc"}
    files.update(folder.rglob("*.py"))
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if path.is_file()
    }


def admit_code(code: Mapping[str, str], uri: str) -> None:
    """Record that this code gets imported; raise ModelUnusable if the process has other code under the same name."""
    # MLflow imports a script next to the MLmodel file under a new name each time, so only folders matter.
    others = [name for name, digest in code.items() if "/" in name and _admitted.get(name, digest) != digest]
    if others:
        raise ModelUnusable(
            f"The model at {uri} has other code than an earlier model of this process: {join_names(others)}. "
            "Python would keep running the old code: deploy again, which starts new processes."
        )
    _admitted.update(code)
