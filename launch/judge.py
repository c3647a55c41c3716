"""Compares a moved model with the environment in which it was saved, as far as that can be made on this machine.

A lock may have another patch version of a package that decides predictions, or another Python than the model's. Then
the predictions of the model's own environment decide whether it may be served.
"""

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from launch.environment import Report, make_own
from launch.errors import Blocked
from launch.lock import Lock
from launch.needs import Needs
from launch.resolver import day
from parity import compare

PROGRAM = Path(__file__).parent / "own_library.py"
FLOAT32_TOLERANCE = 1e-5  # relative


def judge(folder: Path, uri: str, needs: Needs, lock: Lock, sample: Mapping[str, Any], report: Report) -> str:
    """Return a sentence on the comparison; raise Blocked if predictions differ or there is nothing to compare with.

    `sample` is what `launch.inside sample` found in the lock's environment. A model of another Python that can't be had
    is served without a comparison, unless a package was moved too.
    """
    what = ", ".join(f"{name} {lock.versions.get(name, '')}".strip() for name in lock.moved) or f"Python {lock.python}"
    try:
        predictions = _predictions(folder, needs, sample, report)
    except UnavailableError as error:
        if not lock.moved:
            return f"The model could not be compared with its own environment: {error}."
        pins = ", ".join(str(each) for each in needs.requirements if canonicalize_name(each.name) in lock.moved)
        raise Blocked(
            [
                f"The model at {uri} needs {pins}, which the function cannot have, and its own environment, "
                f"which would show whether {what} predicts the same, is not to be had: {error}. "
                "Pass other versions with --requirements."
            ]
        ) from error
    answers = [_plain(*pair) for pair in zip(sample["predictions"], predictions, strict=True)]
    relative = FLOAT32_TOLERANCE if sample["float32"] else compare.TOLERANCE
    found = compare.differences(answers, predictions, relative)
    if found:
        raise Blocked(
            [
                f"The model at {uri} predicts differently with {what}: {found[0].answer!r} instead of "
                f"{found[0].prediction!r} for row {found[0].row} of those that were tried. "
                "Train again with versions that the function can have."
            ]
        )
    return f"All {len(predictions)} predictions with {what} are those of the environment that the model was saved in."


def _plain(answer: Any, prediction: Any) -> Any:
    """Return an object of several outputs as a list, if the other environment gave one."""
    return list(answer.values()) if isinstance(answer, dict) and isinstance(prediction, list) else answer


class UnavailableError(Exception):
    """The model's own environment can't be made or can't predict; the message says why, as the end of a sentence."""


def _predictions(folder: Path, needs: Needs, sample: Mapping[str, Any], report: Report) -> list[Any]:
    """Return the predictions of the model's own environment for a sample."""
    if not sample["columns"]:
        raise UnavailableError("no rows can be made from its signature")
    python = ".".join(needs.python.split(".")[:2])
    if not python:
        raise UnavailableError("the model doesn't say which Python it was saved with")
    library = f"mlflow=={needs.mlflow}" if needs.mlflow else "mlflow"
    lines = [*needs.options, *map(str, needs.requirements), library]
    if "setuptools" not in needs.names:
        lines.append("setuptools<81")
    lock = Lock(python, "\n".join(dict.fromkeys(lines)) + "\n")
    try:
        environment = make_own(lock, day(needs.saved), report)
    except Blocked as error:
        raise UnavailableError(" ".join(error.blockers).rstrip(".")) from error
    with tempfile.TemporaryDirectory(prefix="judge-") as name:
        rows, output = Path(name) / "rows", Path(name) / "output.json"
        rows.write_text(json.dumps({"columns": sample["columns"], "named": sample["named"]}))
        program: list[str | Path] = [environment.python, PROGRAM, folder.resolve(), rows, output]
        done = subprocess.run(program, cwd=name, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UnavailableError(f"the model fails there ({' '.join(done.stderr.strip().splitlines()[-1:])})")
        found: list[Any] = json.loads(output.read_text())
    return found
