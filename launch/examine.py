"""Examines a model in its own environment, before anything is deployed or served: resolve, make, load, predict.

The examination runs in a process of its own, because it runs the model's code. Descriptions are kept in `.deploy/` by
the content of the model, of its lock and of this project, so a second examination takes no time.
"""

import hashlib
import json
import os
import pickle
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from packaging.version import Version

from launch import kept
from launch.description import Description
from launch.environment import Environment, Report, make
from launch.errors import Blocked
from launch.judge import judge
from launch.lock import PYTHONS, Lock, resolve
from launch.needs import Needs, read_needs
from launch.sign import signed_copy
from loading.faults import find_faults
from loading.source import local_folder
from model_loader import folder_digest
from serving.errors import ServingError

DESCRIPTIONS = kept.KEPT / "descriptions"
SOURCES = ("launch", "loading", "serving")  # packages whose code a description depends on


@dataclass(frozen=True)
class Options:
    """What a user may say about a model: other requirements, which Python to run, a table to make a signature from.

    `pythons` are the versions of which the function can have one.
    """

    requirements: Path | None = None
    interpreter: str = ""
    signature_from: Path | None = None
    pythons: tuple[str, ...] = PYTHONS


MODELS_OWN = Options()


@dataclass(frozen=True)
class Examined:
    """A model that can be served, and the environment in which it was examined."""

    folder: Path
    uri: str
    description: Description
    environment: Environment

    @property
    def notes(self) -> tuple[str, ...]:
        """What differs from what the model asks for, and what could not be checked, a sentence each."""
        return (*self.environment.lock.notes, *self.description.model.notes)


@contextmanager
def examined(uri: str, report: Report = lambda _: None, options: Options = MODELS_OWN) -> Iterator[Examined]:
    """Fetch and examine the model at a URI; its files are there for the length of the block. Raise Blocked."""
    try:
        with local_folder(uri) as folder:
            yield examine(folder, uri, report, options)
    except ServingError as error:
        raise Blocked(error.reasons) from error


def examine(folder: Path, uri: str, report: Report = lambda _: None, options: Options = MODELS_OWN) -> Examined:
    """Return what an examination of the model in a folder finds out; raise Blocked with every reason against it.

    `uri` is what messages and SQL call the model; `report` is told what takes a while.
    """
    if not (folder / "MLmodel").is_file():
        raise Blocked([f"There is no MLmodel file in {uri}; expected a folder saved by mlflow.<flavor>.save_model."])
    needs, lock = _resolved(folder, uri, options)
    environment = make(lock, report, interpreter=options.interpreter)
    if options.signature_from:
        folder = signed_copy(
            folder,
            uri,
            options.signature_from,
            folder_digest(folder),
            partial(_run, environment, "fitted-on", folder, uri),
        )
        report(f"The signature was made from {options.signature_from}; a copy of the model has it: {folder}")
    file = _file(folder, uri, environment)
    if not file.is_file():
        report("Loading the model in its environment")
        text = _run(environment, "examine", folder, uri)["description"]
        if lock.moved or (needs.python and Version(needs.python) < Version(options.pythons[0])):
            judged = judge(folder, uri, needs, lock, _run(environment, "sample", folder, uri), report)
            description = Description.parse(text)
            description.model.notes.append(judged)
            text = description.to_json()
        _keep(file, text, folder, uri)
    found = Examined(folder, uri, Description.parse(file.read_text()), environment)
    for note in found.notes:
        report(note)
    return found


def examined_in(environment: Environment, folder: Path, uri: str, report: Report) -> Examined:
    """Return what an examination in another environment than the model's own finds out; raise Blocked."""
    file = _file(folder, uri, environment)
    if not file.is_file():
        report(f"Loading the model at {uri} in the environment of all models")
        _keep(file, _run(environment, "examine", folder, uri)["description"], folder, uri)
    return Examined(folder, uri, Description.parse(file.read_text()), environment)


def _file(folder: Path, uri: str, environment: Environment) -> Path:
    return DESCRIPTIONS / f"{_key(folder, uri, environment)}.json"


def _keep(file: Path, text: str, folder: Path, uri: str) -> None:
    """Keep a description with the model's URI in place of its folder on this machine."""
    kept.write(file, text.replace(json.dumps(str(folder))[1:-1], json.dumps(uri)[1:-1]))


def _resolved(folder: Path, uri: str, options: Options) -> tuple[Needs, Lock]:
    """Return what the model needs and its lock; raise Blocked with all that is wrong with its files too."""
    reasons = find_faults(folder, uri).reasons
    try:
        needs = read_needs(folder, uri, options.requirements)
        lock = resolve(needs, uri, options.pythons)
    except Blocked as error:
        reasons += error.blockers
    if reasons:
        raise Blocked(reasons)
    return needs, lock


def predictions(
    examined: Examined, rows: Sequence[Sequence[Any]], params: Mapping[str, Any] | None = None
) -> tuple[list[Any], bool]:
    """Return what the model's own library predicts for rows of arguments, and whether in single precision.

    Raise Blocked if the function can't hand on the inference parameters `params`.
    """
    return _answers(examined, "predict", rows, params)


def probabilities(examined: Examined, rows: Sequence[Sequence[Any]], label: str) -> tuple[list[Any], bool]:
    """Return the estimator's own probability of a class for rows of arguments, and whether in single precision."""
    return _answers(examined, "probabilities", rows, label)


def _answers(examined: Examined, command: str, rows: Sequence[Sequence[Any]], setting: Any) -> tuple[list[Any], bool]:
    with tempfile.TemporaryDirectory(prefix="rows-") as folder:
        file = Path(folder) / "rows"
        file.write_bytes(pickle.dumps(([list(row) for row in rows], setting)))
        found = _run(examined.environment, command, examined.folder, file)
    return found["predictions"], found["float32"]


def _run(environment: Environment, command: str, folder: Path, second: Path | str) -> dict[str, Any]:
    """Run launch.inside in an environment; raise Blocked with its errors."""
    with tempfile.TemporaryDirectory(prefix="examine-") as name:
        output = Path(name) / "output.json"
        program: list[str | Path] = [environment.python, "-m", "launch.inside"]
        variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
        done = subprocess.run(
            [*program, command, folder.resolve(), second, output],
            cwd=kept.ROOT,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if not output.is_file():
            last = " ".join(done.stderr.strip().splitlines()[-1:]) or f"status {done.returncode}"
            raise Blocked(
                [
                    f"The model at {second} ended its process while it was examined: {last.rstrip('.')}. "
                    "If its packages do not work together, pass other versions with --requirements."
                ]
            )
        found: dict[str, Any] = json.loads(output.read_text())
    if errors := found.get("errors"):
        shown = str(second) if command == "examine" else str(folder)
        raise Blocked([" ".join(error.replace(str(folder.resolve()), shown).split()) for error in errors])
    return found


def _key(folder: Path, uri: str, environment: Environment) -> str:
    """Return the hash of everything that a description depends on."""
    found = hashlib.sha256(f"{folder_digest(folder)} {uri} {environment.lock.digest}".encode())
    patterns = ("model_*.py", *(f"{name}/**/*.py" for name in SOURCES))
    for file in sorted(it for pattern in patterns for it in kept.ROOT.glob(pattern)):
        found.update(file.read_bytes())
    return found.hexdigest()[:40]
